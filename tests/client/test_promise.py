"""The promise: whatever an operator could copy, nobody but the members can read where anybody is.

A family lives with a service of its own, by way of a relay that keeps what is sent. Then a complete
dump of the database, its files, and all that anybody logged are searched for every key, secret,
token, code and coordinate there was. Names are found: the service keeps them, and says so.
"""

import base64
import binascii
import gc
import io
import json
import logging
import os
import random
import secrets
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.traceback import Traceback

from draugar.cli.app import app
from draugar.client import Client
from draugar.models import Fix
from draugar.protocol.envelopes import unwrap
from draugar.protocol.invites import InviteKeys, Package
from draugar.protocol.links import InviteLink, canonical
from draugar.protocol.locations import open_location, seal_location
from draugar.protocol.rosters import open_roster
from draugar.protocol.secrets import DeviceKey, GroupKey, InviteSecret
from draugar.storage.home import Home
from draugar.usecases.invite import Invitation
from scripts.postgres import Postgres
from tests.client import malice
from tests.client.dump import Traces, files_of, plain_dump
from tests.client.family import Family, Service
from tests.client.kept import key_states
from tests.client.malice import Relay
from tests.database import PEPPER
from tests.laptop.runs import FOREIGN, PROJECT, SERVE
from tests.servers import free_port

NAME = "Guðrún"


@dataclass
class Life:
    """What a family left behind, and what must not be found in it."""

    service: Service
    data_dir: Path
    began_at: float = field(default_factory=time.time)
    traces: Traces = field(default_factory=Traces)
    logs: bytes = b""
    at_home: bytes = b""
    sent: bytes = b""
    places: list[tuple[float, float]] = field(default_factory=list)
    secrets: dict[str, bytes] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    def keep(self, name: str, secret: bytes) -> None:
        """Note a secret."""
        self.traces.add(name, secret)
        self.secrets[name] = secret

    def keep_code(self, name: str, code: str) -> None:
        """Note an invite code."""
        self.traces.add_code(name, canonical(code))
        self.codes[name] = canonical(code)

    def somewhere(self, *, ago: timedelta = timedelta()) -> Fix:
        """Return a place that nobody was at before, and note it."""
        latitude = random.uniform(60, 89)  # noqa: S311 -- a place, not a secret of the program's
        longitude = random.choice([-1, 1]) * random.uniform(61, 179)  # noqa: S311
        self.traces.add_place(f"place {len(self.places)}", latitude, longitude)
        self.places.append((latitude, longitude))
        at = (datetime.now(UTC) - ago).replace(microsecond=0)
        return Fix(latitude=latitude, longitude=longitude, accuracy=12.0, at=at)

    def copies(self) -> tuple[bytes, bytes]:
        """Return what an operator could copy of the database: a dump, and its files."""
        self.service.query("CHECKPOINT")
        return (
            plain_dump(self.service.database_url),
            files_of(self.data_dir / "postgres" / "data", since=self.began_at),
        )


@contextmanager
def _service(data_dir: Path, log: Path) -> Iterator[Service]:
    """Run the service as a person would, with a database of its own; keep all that it says."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment |= {"PORT": str(port), "DATA_DIR": str(data_dir), "INVITE_CODE_PEPPER": PEPPER}
    with log.open("wb") as output:
        process = subprocess.Popen(
            SERVE, cwd=PROJECT, env=environment, stdout=output, stderr=output
        )
        try:
            while b"Serving on" not in log.read_bytes():
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            # It prints a founding invite for whoever has started it; nobody here uses that.
            yield Service(
                f"http://127.0.0.1:{port}", Postgres(data_dir / "postgres").url("draugar")
            )
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def life(schema: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    del schema  # the settings of this process, in which founding invites are made
    directory = tmp_path_factory.mktemp("life")
    log = directory / "service.log"
    said = io.StringIO()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DRAUGAR_KEYRING", "file")
        stack.enter_context(_logged(said))
        service = stack.enter_context(_service(directory / "data", log))
        relay = stack.enter_context(Relay(service.url))
        homes = directory / "homes"
        family = Family(Service(relay.url, service.database_url), homes, stack)
        service.query("CHECKPOINT")
        service.query("SELECT pg_switch_wal()")
        life = Life(service, directory / "data")
        _live(life, family, relay, said)
        life.logs = log.read_bytes() + said.getvalue().encode()
        life.logs += (directory / "data" / "postgres" / "log").read_bytes()
        life.at_home = b"".join(
            path.read_bytes()
            for path in sorted(homes.rglob("*"))
            if path.is_file() and path.name != "home.key"
        )
        life.sent = b"\n".join(request.content for request in relay.received)
        yield life


@contextmanager
def _logged(said: io.StringIO) -> Iterator[None]:
    """Keep all that any library here would log, however chatty somebody has made it."""
    root, handler = logging.getLogger(), logging.StreamHandler(said)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _live(life: Life, family: Family, relay: Relay, said: io.StringIO) -> None:
    """A family's life, from the first to the last who leaves."""
    founding = life.service.founding_code()
    life.keep_code("founding code", founding)
    una = family.found(NAME, code=founding)

    ari = family.join(_noted(life, una.invite()), "Ari")
    typed = una.invite_by_code()
    life.keep_code("typed code", typed.code)
    bera = family.join_by_code(typed.code, "Bera")
    una.confirm(una.compare(bera.user_id))
    bera.confirm(bera.compare(una.user_id))
    tablet = family.join(_noted(life, una.invite(for_me=True)), "", home="Tablet")
    unused, revoked = una.invite(), una.invite()
    for invitation in (unused, revoked):
        _noted(life, invitation)
    una.revoke_invite(revoked.id)

    walk = [life.somewhere(ago=timedelta(minutes=minutes)) for minutes in range(20, 0, -1)]
    ari.share(walk)
    for member in (una, bera, tablet):
        member.share([life.somewhere()])
    bera.pause()
    bera.share([life.somewhere()])
    bera.resume()
    bera.share([life.somewhere()])
    una.rotate()
    una.remove(bera.user_id)
    _fail(said, lambda: bera.share([life.somewhere()]))
    tablet.share([life.somewhere()])

    away = ari.found_group("Away")
    further = _noted(life, ari.invite(away.id))
    una.join_group(further)
    ari.people(away.id)
    una.share([life.somewhere()], away.id)
    cara = family.join(_noted(life, una.invite(family_id := _only(tablet))), "Cara")
    cara.share([life.somewhere()])
    una.people(family_id)
    cara.leave()
    una.share([life.somewhere()], family_id)
    una.revoke_device(tablet.device_id)
    una.share([life.somewhere()], family_id)
    for member, group_id in ((una, family_id), (ari, family_id), (ari, away.id)):
        shown = member.where(group_id), list(member.history(group_id)), member.export()
        said.write(repr(shown[:2]))
    ari.delete_points(family_id)
    ari.enqueue([life.somewhere()], family_id)  # and it stays in the queue

    _err(life, family, relay, said)
    _know(life, [una, ari, bera, tablet, cara], relay)
    for thing in gc.get_objects():
        if str(type(thing).__module__).startswith("draugar."):
            said.write(f"{thing!r}\n{thing!s}\n")
    cara.delete_account()
    bera.logout()


def _only(member: Client) -> Any:
    (group_id,) = member._my_groups()
    return group_id


def _noted(life: Life, invitation: Invitation) -> InviteLink:
    """Note what stands in a link, and what is made of it."""
    link = invitation.link
    assert link is not None
    number = len(life.codes)
    keys = InviteKeys.of(link.secret, link.code)
    life.keep(f"invite secret {number}", link.secret.value)
    life.keep(f"wrap key {number}", keys.wrap.value)
    life.keep(f"proof key {number}", keys.proof.value)
    life.keep_code(f"code of link {number}", link.code)
    return link


def _know(life: Life, members: list[Client], relay: Relay) -> None:
    """Note the secrets of everybody's home, and those that went by."""
    for number, member in enumerate(members):
        home = member._home
        life.keep(f"device key {number}", home.me().device_key.value)
        for group_id, held in key_states(home):
            for version, one in held.items():
                life.keep(f"group key {number} {group_id} {version}", one.key.value)
    for header in ("Authorization", "Idempotency-Key"):
        sent = {
            request.headers.get(header, "").removeprefix("Bearer ") for request in relay.received
        }
        for number, text in enumerate(sorted(sent - {""})):
            life.keep(f"{header} {number}", text.encode())


def _fail(said: io.StringIO, call: Callable[[], object], *, is_pretty: bool = False) -> None:
    """Do what must fail, and write down all that is told of it."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 -- whichever it is, its text is what matters
        said.write(f"{error} {error!r} {vars(error)}\n{traceback.format_exc()}")
        said.write(f"{error.__cause__!r} {error.__context__!r}\n")
        if is_pretty:
            shown = Traceback.from_exception(type(error), error, error.__traceback__)
            Console(file=said, width=200).print(shown)
    else:
        pytest.fail("it did not fail")


def _err(life: Life, family: Family, relay: Relay, said: io.StringIO) -> None:
    """Let things go wrong with secrets in hand."""
    una, ari = family.again(NAME), family.again("Ari")
    key, other = GroupKey.make(), DeviceKey.make()
    life.keep("key of an error", key.value)
    life.keep("device key of an error", other.value)
    spent = InviteLink(
        url=relay.url, code=next(iter(life.codes.values())) * 2, secret=InviteSecret.make()
    )
    life.keep("secret of a spent link", spent.secret.value)
    life.keep_code("code of a spent link", spent.code)
    family_id = una.groups()[0].id
    far = life.somewhere()
    impossible = Fix(latitude=far.latitude + 90, longitude=far.longitude, accuracy=1, at=far.at)
    sealed = seal_location({"lat": far.latitude, "lon": far.longitude}, key)
    failures: list[Callable[[], object]] = [
        lambda: family.join(spent, "Dufa"),
        lambda: family.join_by_code(spent.code, "Dufa"),
        lambda: InviteLink.paste(spent.text.replace("/join", "/leave")),
        lambda: InviteLink.paste(spent.text[:-1]),
        lambda: canonical(spent.code + "0"),
        lambda: una.share([impossible], family_id),
        lambda: open_location(sealed, GroupKey.make()),
        lambda: open_roster(sealed, key),
        lambda: unwrap(secrets.token_bytes(72), other.public, other),
        lambda: seal_location({"lat": far.latitude, "much": "x" * 9999}, key),
        lambda: Package(
            group_key=key,
            key_version=1,
            group_id=family_id,
            inviter_user_id=una.user_id,
            inviter_public_key=other.public,
            commitment=bytes(32),
            roster=[],
        ),
        lambda: Home.open(family.path(NAME) / "home.key"),
    ]
    for failure in failures:
        _fail(said, failure)
    for route in (malice.KEYS, malice.SHARE, malice.LATEST):
        lie = malice.answering(route, malice.Reply(200, b"[]"))
        with relay.telling(lie):
            _fail(said, lambda: (ari.share([life.somewhere()], family_id), ari.where(family_id)))
    with relay.telling(malice.key_version(0)):
        _fail(said, lambda: ari.share([life.somewhere()], family_id))
    ari._transport._patience = 0.0
    with relay.telling(malice.answering(malice.SHARE, malice.refused(503, "away"))):
        _fail(said, lambda: ari.share([life.somewhere()], family_id), is_pretty=True)
    run = subprocess.run(
        [sys.executable, "-m", "draugar.cli.app", "join", spent.text, "--name", "Dufa"],
        env=os.environ | {"DRAUGAR_HOME": str(family.path("Dufa")), "DRAUGAR_DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said.write(run.stdout + run.stderr)


def test_nothing_that_an_operator_could_copy_tells_a_secret_or_a_place(life: Life) -> None:
    dump, files = life.copies()

    assert life.traces.found_in(dump) == set()
    assert life.traces.found_in(files) == set()
    assert life.traces.found_in(life.logs) == set()
    assert dump.count(NAME.encode()) > 0
    assert files.count(NAME.encode()) > 0
    assert life.logs.count(b'"route": "/api/locations"') > 0


def test_a_home_holds_nothing_that_opens_without_its_key(life: Life) -> None:
    assert life.traces.found_in(life.at_home) == set()
    assert life.at_home.count(NAME.encode()) > 0


def test_what_is_sent_holds_no_key_and_no_place(life: Life) -> None:
    sent = {name.partition(",")[0] for name in life.traces.found_in(life.sent)}

    # The service is told the codes that people type, and those that it is to know again.
    assert sent
    assert sent <= life.codes.keys()


def test_errors_are_shown_without_the_values_of_variables() -> None:
    assert not app.pretty_exceptions_enable
    assert not app.pretty_exceptions_show_locals


def test_whatever_was_planted_is_found_in_a_dump_and_in_the_files(life: Life) -> None:
    planted = life.secrets | {name: code.encode() for name, code in life.codes.items()}
    latitude, longitude = life.places[0]
    life.service.query("CREATE TABLE planted (bytes bytea, text text, lat float8, lon float8)")
    for secret in planted.values():
        life.service.query(
            "INSERT INTO planted (bytes, text) VALUES (:secret, encode(:secret, 'base64'))",
            secret=secret,
        )
    life.service.query("INSERT INTO planted (lat, lon) VALUES (:n, :e)", n=latitude, e=longitude)

    in_dump, in_files = (life.traces.found_in(copy) for copy in life.copies())
    life.service.query("DROP TABLE planted")

    for name in planted:
        assert {f"{name}, hex", f"{name}, base64 after 0 bytes"} <= in_dump
        assert {f"{name}, raw", f"{name}, base64 after 0 bytes"} <= in_files
    assert "place 0, as text, raw" in in_dump
    assert "place 0, as a number, raw" in in_files


@pytest.mark.parametrize(
    "secret",
    [secrets.token_bytes(32), b"NbUJ9-draugar_T0ken-ofSomebody"],
    ids=["of any bytes", "of letters"],
)
def test_a_planted_secret_is_found_however_it_was_written(secret: bytes) -> None:
    traces = Traces()
    traces.add("it", secret)
    written: dict[str, Callable[[bytes], bytes]] = {
        "raw": lambda text: text,
        "hex": binascii.hexlify,
        "upper-case hex": lambda text: binascii.hexlify(text).upper(),
        "as PostgreSQL dumps it": lambda text: b"\\\\x" + binascii.hexlify(text),
        "as PostgreSQL dumped it once": lambda text: b"".join(
            b"\\%03o" % byte if byte not in range(32, 127) else b"%c" % byte for byte in text
        ),
        "base64": base64.standard_b64encode,
        "unpadded": lambda text: base64.standard_b64encode(text).rstrip(b"="),
        "URL-safe": base64.urlsafe_b64encode,
        "URL-safe and unpadded": lambda text: base64.urlsafe_b64encode(text).rstrip(b"="),
        "as Python shows bytes": lambda text: repr(text).encode(),
        "as Python shows a list": lambda text: repr(list(text)).encode(),
        "as JSON has a list": lambda text: json.dumps(list(text), separators=(",", ":")).encode(),
    }
    for how, write in written.items():
        for before in range(7):
            for after in range(3):
                around = secrets.token_bytes(before), secrets.token_bytes(after)
                planted = b"...{%b}..." % write(secret.join(around))
                assert traces.found_in(planted), (how, before, after)
    assert not traces.found_in(b"...".join(write(b"another" * 9) for write in written.values()))


def test_a_planted_code_is_found_however_it_was_written() -> None:
    traces = Traces()
    traces.add_code("it", "NBUJDRAUGARTQKEN")

    for written in ("NBUJDRAUGARTQKEN", "nbuj-drau-gart-qken", "NBUJ DRAU GART QKEN"):
        for text in (written, written.encode().hex(), base64.b64encode(written.encode()).decode()):
            assert traces.found_in(f"code={text}&".encode())
    assert not traces.found_in(b"NBUJDRAUGARTQKEM")


@pytest.mark.parametrize("place", [(64.14658293, -121.94267318), (-71.50023456, 179.87654321)])
def test_a_planted_place_is_found_however_it_was_written(place: tuple[float, float]) -> None:
    traces = Traces()
    traces.add_place("it", *place)
    written: list[bytes] = []
    for degrees in place:
        size = abs(degrees)
        minutes = size % 1 * 60
        written += [
            *(f"{degrees:.{digits}f}".encode() for digits in range(4, 16)),
            repr(degrees).encode(),
            json.dumps({"lat": degrees}).encode(),
            f"{degrees:.12e}".encode(),
            f"{int(size)}{minutes:08.5f},N".encode(),
            str(round(degrees * 1e7)).encode(),
            struct.pack("<d", degrees),
            struct.pack(">d", degrees),
        ]
    for one, other in (place, place[::-1]):
        for order in "<>":
            written.append(struct.pack(f"{order}ff", one, other))
            written += [
                struct.pack(f"{order}2{form}", round(one * unit), round(other * unit))
                for unit in (1e5, 1e6, 1e7)
                for form in "iq"
            ]
    for text in written:
        for encoded in (text, text.hex().encode(), base64.b64encode(b"x" + text)):
            assert traces.found_in(b"..." + encoded + b"..."), text
    assert not traces.found_in(b"64.2466 -121.8426 71.6 179.98")
