"""A family's life by the command line, told in JSON: each command in each of its variants.

It is the same for every release whose command line it is played with.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from tests.client.commands import PATIENCE, Person, Result
from tests.client.family import Service
from tests.client.json_contract import is_known
from tests.client.malice import (
    Forward,
    Ghost,
    Relay,
    Reply,
    Request,
    ghost_device,
    nobody_else,
    refused,
)
from tests.client.test_phones import Handset
from tests.owntracks import Android

HOME, BESIDE, AWAY, FAR = (
    (64.1466, -21.9426),
    (64.1490, -21.9426),
    (64.1625, -21.8560),
    (65.6826, -18.0907),
)
MAIN = "from draugar.cli import main; main()"

Play = Callable[[str], Person]


@dataclass
class FormerPerson(Person):
    """A person whose command line is that of another release, in an environment of its own."""

    python: Path = Path()

    def __call__(
        self, *arguments: object, stdin: str = "", wait: float | None = None, **environment: str
    ) -> Result:
        """Run a command."""
        patience = () if wait is None else ("--wait", str(wait))
        done = subprocess.run(
            [self.python, "-c", MAIN, *map(str, arguments), *patience],
            input=stdin,
            env=self._environment(environment),
            cwd=self._directory(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)


class Life:
    """Persons with a release of the command line, and what it has answered them."""

    def __init__(
        self, release: str, person: Play, service: Service, relay: Relay, directory: Path
    ) -> None:
        self._release = release
        self._person = person
        self._service = service
        self._relay = relay
        self._directory = directory
        self._una, self._ari, self._sif = person("una"), person("ari"), person("sif")
        self.answers: dict[str, list[Any]] = {}
        """By the names of the schemas."""

    def told(self, person: Person, *arguments: object, code: int = 0, **more: Any) -> Any:
        """Run a command and keep its answer. One that the release does not have answers None."""
        words = [str(argument) for argument in arguments]
        name = _name(words)
        if not is_known(name, self._release):
            return None
        result = person(*words, "--json", **more)
        assert result.code == code, (words, result)
        answer = json.loads(result.out)
        self.answers.setdefault(name, []).append(answer)
        return answer

    def joins(self, person: Person, link: str, *more: str) -> None:
        """Join by a link."""
        self.told(person, "join", "-", *more, stdin=link)

    def begins(self) -> None:
        """A group is founded; one joins by a link, one by a code."""
        una, ari, sif = self._una, self._ari, self._sif
        found = ("found", self._relay.url, "-", "--name", "Una", "--group", "Hearth")
        self.told(una, *found, stdin=self._service.founding_code())
        for command in ("where", "history", "places", "invites", "confirm", "people", "devices"):
            self.told(una, command)
        self.told(una, "groups")
        self.told(una, "rotate")

        link = self.told(una, "invite")["link"]
        self.told(una, "invites")
        for_me = self.told(una, "invite", "--for-me")
        self.told(una, "invites")
        self._service.query(
            "UPDATE invite_codes SET expires_at = NULL WHERE id = :id", id=for_me["id"]
        )
        self.told(una, "invites")
        self.told(una, "invites", "revoke", for_me["id"])
        self.joins(ari, link, "--name", "Ari")

        code = self.told(una, "invite", "--typed")["code"]
        self.told(sif, "join", code, "--url", self._relay.url, "--name", "Sif")
        self.told(sif, "groups")
        self.told(sif, "share", *FAR, code=1)

    def goes_on(self) -> None:
        """They name places, share, look, pause and delete."""
        una, ari = self._una, self._ari
        self.told(una, "places", "add", "Home", *HOME)
        self.told(una, "places")
        self.told(una, "places", "add", "Cabin", *FAR, "--radius", "75")
        self.told(una, "places")
        self.told(una, "places", "remove", "Cabin")

        self.told(una, "share", *HOME)
        self.told(una, "where")
        self.told(una, "history")
        self.told(ari, "share", *BESIDE, "--accuracy", "5")
        self.told(una, "where")
        self.told(una, "share", "--gpx", track(self._directory))
        self.told(una, "history")
        self.told(una, "history", "--gpx", "walks.gpx")
        self.told(una, "history", "--gpx", "walks-2.gpx", "--geojson", "walks.json")
        self.told(una, "map")
        self.told(una, "share")

        self.told(ari, "pause", "--until", "2h")
        self.told(ari, "groups")
        self.told(ari, "share", *AWAY, code=1)
        self.told(ari, "resume")
        self.told(ari, "pause")
        self.told(ari, "resume")
        if is_known("group", self._release):
            with self._relay.telling(away):
                self.told(una, "where", wait=0)
                self.told(una, "pause", wait=0)
                self.told(una, "resume", wait=0)
                self.told(una, "share", *HOME, code=1, wait=0)
            self.told(una, "share")
        self.told(una, "erase", "--from", "10m", "--yes")
        self.told(una, "erase", "--yes")
        self.told(una, "share", *HOME)
        self.told(ari, "share", *BESIDE)

    def compares(self) -> None:
        """They confirm each other; the key changes; persons and devices go."""
        una, ari, sif = self._una, self._ari, self._sif
        self.told(una, "confirm")
        self.told(sif, "confirm")
        self.told(una, "safety", "Sif")
        self.told(una, "people")
        self.told(una, "confirm", "Sif", "--yes")
        self.told(sif, "confirm")
        self.told(sif, "confirm", "Una", "--yes")
        self.told(sif, "share")
        self.told(sif, "where")
        self.told(ari, "where")
        self.told(una, "safety", "Ari")
        self.told(una, "rotate")
        self.told(sif, "people")

        # Persons who wait, beside what the service alone lists as a device of Una's.
        for name in ("Eve", "Fia"):
            code = self.told(una, "invite", "--typed")["code"]
            self.told(self._person(name), "join", code, "--url", self._relay.url, "--name", name)
        una_id = UUID(next(one["userId"] for one in self.answers["found"]))
        with self._relay.telling(ghost_device(Ghost(), of=una_id)):
            self.told(una, "confirm")
            self.told(una, "people")
            # Sif has compared a number with Una, which does not cover that device.
            self.told(sif, "people")
        self.told(una, "rotate")
        self.told(una, "role", "Ari", "admin")
        self.told(una, "role", "Ari", "member")
        self.told(una, "remove", "Eve", "--yes")

        second = self._person("second")
        self.joins(second, self.told(una, "invite", "--for-me")["link"])
        self.told(una, "devices")
        self.told(una, "people")
        self.told(ari, "safety", "Una")
        self.told(sif, "people")
        self._revoke_another()
        self.told(ari, "people")

        # The service lists no one but Sif for a while; then she goes, and is still a member.
        with self._relay.telling(nobody_else):
            self.told(sif, "people")
        self.told(sif, "people")
        self.told(sif, "logout", "--yes")
        self.told(una, "people")

    def _revoke_another(self) -> None:
        una = self._una
        device = next(one for one in self.told(una, "devices")["devices"] if not one["isThisOne"])
        self.told(una, "devices", "revoke", device["id"], "--yes")

    def has_phones(self) -> None:
        """Phones with OwnTracks share, and have to be set up again."""
        una, ari = self._una, self._ari
        first = self.told(una, "phone", "add", "Pocket", "--tid", "u1")
        self.told(una, "people")
        phone = Handset(Android())
        phone.imports(Path(first["file"]).read_bytes())
        self.told(una, "phone", "add", "Old one", "--tid", "u2")
        self.told(una, "people")
        phone.is_at(64.2, vel=12, cog=90, alt=55)
        self.told(ari, "where")
        self.told(ari, "history")
        self.told(ari, "rotate")
        self.told(una, "devices")
        self.told(una, "people")
        self.told(una, "where")
        self.told(ari, "where")
        self.told(una, "phone", "renew", "u1", "--file", "again.otrc")

        # A position that Ari has seen is deleted.
        self.told(una, "share", *AWAY)
        seen = {one["name"]: one for one in self.told(ari, "where")["positions"]}
        self._service.query("DELETE FROM locations WHERE id = :id", id=seen["Una"]["pointId"])
        self.told(ari, "where")

    def ends(self) -> None:
        """They leave, log out and delete what is theirs."""
        una, ari = self._una, self._ari
        self.told(una, "rename", "Una Björk")
        self.told(una, "group", "--name", "Home")
        self.told(una, "export")
        self.told(ari, "leave", "--yes")
        self.told(una, "groups")
        self.told(una, "rotate")
        self.told(ari, "groups")
        gone = self._person("gone")
        self.joins(gone, self.told(una, "invite")["link"], "--name", "Gro")
        if is_known("group", self._release):
            self.told(gone, "logout", "--local", "--yes")

        # A second group, whose key a further device of Una's is given too.
        gudny = self._person("gudny")
        found = ("found", self._relay.url, "-", "--name", "Guðný", "--group", "Choir")
        self.told(gudny, *found, stdin=self._service.founding_code())
        further = self._person("further")
        self.joins(further, self.told(una, "invite", "--for-me")["link"])
        una("where")
        self.joins(una, self.told(gudny, "invite")["link"])
        in_choir = ("--group", "Choir")
        further("where", *in_choir)
        una("where", *in_choir)
        self._revoke_another()

        # A group without a key, which no command makes.
        token = next(one.headers["Authorization"] for one in self._relay.received if one.device_id)
        office = {"name": "Office", "encryption": "optional"}
        httpx.post(
            f"{self._relay.url}/api/groups", json=office, headers={"Authorization": token}
        ).raise_for_status()
        self.told(una, "groups")
        in_office = ("--group", "Office")
        added = self.told(una, "phone", "add", "Shared one", "--in-the-clear", *in_office)
        self.told(una, "devices", "revoke", added["id"], "--yes")
        self.told(una, "leave", *in_office, "--yes")
        self.told(una, "delete-account", "--yes")


def _name(words: list[str]) -> str:
    """Return the name of a command's schema."""
    below = {"invites", "places", "devices", "phone"}
    is_pair = words[0] in below and len(words) > 1 and not words[1].startswith("-")
    return "-".join(words[: 1 + is_pair])


def away(request: Request, forward: Forward) -> Reply:  # noqa: ARG001 -- a lie takes both
    """Answer nothing: the service cannot be reached."""
    return refused(503, "temporarily_unavailable")


def track(directory: Path) -> str:
    """Write a track with heights, whose file does not say how exact it is."""
    start = datetime.now(UTC) - timedelta(minutes=20)
    points = "".join(
        f'<trkpt lat="64.15{number}" lon="-21.95"><ele>{30 + number}</ele>'
        f"<time>{start + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}</time></trkpt>"
        for number in range(3)
    )
    (directory / "walk.gpx").write_text(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")
    return "walk.gpx"


def play(release: str, person: Play, service: Service, directory: Path) -> dict[str, list[Any]]:
    """Live it, and return what each command has answered."""
    with Relay(service.url) as relay:
        life = Life(release, person, service, relay, directory)
        life.begins()
        life.goes_on()
        life.compares()
        life.has_phones()
        life.ends()
    return life.answers
