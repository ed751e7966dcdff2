"""A family's day against a running service: `make demo`.

Three people found an encrypted group: one by a founding invite, one by a link that carries the
key, one by a typed code and a safety number. Their phones share walks the way phones do: a batch
after a time without network, then point by point. Then it prints what the members see
next to what the service sees, and checks that every point arrived once and opens.

The environment says URL (http://127.0.0.1:8000), TRACKS (a directory of GPX files; without one
walks are made up) and CODE (a founding invite; without one it is made in the database of
`make run`). Each walk begins when all have joined, for a member sees nothing of before, and is
walked within the next minutes. The members' homes are temporary.
"""

import math
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from draugar.cli import notices
from draugar.client import Client
from draugar.errors import Failure
from draugar.maps import gpx
from draugar.models import Fix, Notice
from draugar.protocol.links import InviteLink
from draugar.storage.home import Home
from draugar.usecases.invite import Invitation
from scripts.jobs import FAILURES
from scripts.serve import laptop

Walk = tuple[str, list[Fix]]

AHEAD = timedelta(minutes=9)
"""By which the last point of a walk may be ahead: the service takes ten minutes."""


def main() -> None:
    """Play the day."""
    os.environ["DRAUGAR_KEYRING"] = "file"  # what is made here goes again
    url = os.environ.get("URL") or "http://127.0.0.1:8000"
    walks = list(islice(cycle(_walks(os.environ.get("TRACKS"))), 3))
    with TemporaryDirectory() as directory, ExitStack() as stack:

        def home(name: str) -> Home:
            return stack.enter_context(Home.open(Path(directory, name)))

        code = os.environ.get("CODE") or _founding_code()
        una = Client.found(
            home("Una"), url=url, code=code, name="Una", group="Demo family", tell=_tell
        )
        print("Una founded the group 'Demo family' and made its key, which the service never sees.")
        ari = Client.join(home("Ari"), _link(una.invite()), name="Ari", tell=_tell)
        print("Ari joined by a link, whose second half never reaches the service.")
        typed = una.invite_by_code().code
        sif = Client.join_by_code(home("Sif"), url=url, code=typed, name="Sif", tell=_tell)
        for one, other in ((una, sif), (sif, una)):
            (found,) = [each for each in one.pending() if each.user_id == other.user_id]
            if one is una:
                print(f"Sif typed a code. They compare, and confirm:\n  {found.safety_number}")
            one.confirm(found)

        family = (una, ari, sif)
        for member in family:
            stack.enter_context(member)
        walks = [(title, _beginning_now(walk)) for title, walk in walks]
        for member, (title, walk) in zip(family, walks, strict=True):
            started = time.perf_counter()
            _share(member, walk)
            seconds = time.perf_counter() - started
            print(f"{member.name}'s phone shared {title}: {len(walk)} points, {seconds:.1f} s.")

        _show_members_view(una)
        _show_service_view(home("Una"))
        print("\nEvery point arrived once, and opens:")
        complete = [
            _arrived(una, member, walk) for member, (_, walk) in zip(family, walks, strict=True)
        ]
    sys.exit(0 if all(complete) else "Points are missing, doubled or changed.")


def _tell(notice: Notice) -> None:
    if notice.is_warning:
        print(f"  {notices.text(notice)}")


def _founding_code() -> str:
    with laptop(join=True) as here, redirect_stdout(StringIO()):
        here.require_schema()
        try:
            return str(here.invoke("create_founding_invite", {})["code"])
        except FAILURES as error:
            sys.exit(f"The demo has no invite to begin with: {error}")


def _link(invitation: Invitation) -> InviteLink:
    if invitation.link is None:
        raise TypeError("This invite is a code.")
    return invitation.link


def _share(member: Client, walk: list[Fix]) -> None:
    """Share most of it after a time without network, and the rest as it happens."""
    offline, live = walk[:-20], walk[-20:]
    member.enqueue(offline)
    member.flush()
    for fix in live:
        member.share([fix])


def _show_members_view(una: Client) -> None:
    print("\nWhat the members see:")
    for position in una.where():
        latitude, longitude = position.fix.latitude, position.fix.longitude
        at = f"{position.fix.at.astimezone():%H:%M:%S}"
        print(f"  {position.name:<4} {latitude:>10.5f} {longitude:>11.5f}  {at}")


def _show_service_view(home: Home) -> None:
    me = home.me()
    answer = httpx.get(
        f"{me.url}/api/locations/latest",
        headers={"Authorization": f"Bearer {me.token.value.decode()}"},
    )
    print("\nWhat the service sees of the same points:")
    for point in answer.raise_for_status().json()["locations"]:
        sealed = point["encryptedData"]
        print(f"  person {point['userId']}, device {point['deviceId']}")
        print(f"    {point['receivedAt']}, key {point['keyVersion']}: {sealed[:60]}…")


def _told(fix: Fix) -> tuple[int, float, float]:
    """Return what a point says; its time is in whole seconds."""
    return int(fix.at.timestamp()), fix.latitude, fix.longitude


def _arrived(una: Client, member: Client, walk: Sequence[Fix]) -> bool:
    seen = [_told(position.fix) for position in una.history(user_id=member.user_id)]
    sent = [_told(fix) for fix in walk]
    complete = sorted(seen) == sorted(sent)
    told = "yes" if complete else "NO"
    print(f"  {member.name:<4} {len(sent):>5} shared, {len(seen):>5} opened by Una: {told}")
    return complete


def _walks(directory: str | None) -> list[Walk]:
    if not directory:
        return [(f"a walk of {round(2 * radius)} m", _walk(radius)) for radius in (300, 500, 800)]
    files = sorted(file for file in Path(directory).glob("*") if file.suffix.lower() == ".gpx")
    walks = [(file.name, _recorded(file)) for file in files]
    if not walks:
        sys.exit(f"{directory} holds no GPX files.")
    return walks


def _recorded(file: Path) -> list[Fix]:
    return gpx.read(file).ending(datetime.now(UTC)).fixes(accuracy=10)


def _beginning_now(walk: Sequence[Fix]) -> list[Fix]:
    """Let a walk begin now, and end before the service takes it for a wrong clock's."""
    begin, pace = datetime.now(UTC), min(timedelta(seconds=1), AHEAD / len(walk))
    return [replace(fix, at=begin + number * pace) for number, fix in enumerate(walk)]


def _walk(radius: float) -> list[Fix]:
    """Make up an hour's walk on a circle of so many metres around Reykjavik's pond."""
    latitude, longitude, end = 64.1440, -21.9420, datetime.now(UTC)
    metre = 1 / 111_320
    return [
        Fix(
            latitude=latitude + radius * metre * math.sin(step / 240 * math.tau),
            longitude=longitude
            + radius * metre * math.cos(step / 240 * math.tau) / math.cos(math.radians(latitude)),
            accuracy=10,
            at=end - timedelta(seconds=15 * (239 - step)),
        )
        for step in range(240)
    ]


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (Failure, OSError) as failure:
        sys.exit(str(failure))
