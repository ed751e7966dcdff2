"""What a former release has left is upgraded: its database, and the homes of its members.

The fixture of a release is a family of three: Una founded, Ari came in by a link, Sif by a typed
code. tests/releases/make.py makes it, by the code of that release.
"""

import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pg8000.native import Connection, identifier

from chalicelib.health.service import REVISION
from draugar.cli.notices import text
from draugar.client import Client
from draugar.models import Kind, Notice, TrustState
from draugar.protocol.locations import open_location
from draugar.storage.home import Home
from draugar.storage.places import listed as listed_places
from scripts.postgres import WHEEL
from tests.client.family import fix
from tests.client.kept import Keyring, move
from tests.database import PEPPER, Server, connect
from tests.faults.processes import Processes, invoke
from tests.laptop.runs import Run
from tests.releases.listed import Listed, releases

FAMILY = ["Ari", "Sif", "Una"]
PLACE = (-48.8767, -123.3933)

Heard = list[Notice]


@pytest.fixture(autouse=True)
def keys_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The homes keep their keys in files, so that they open on every machine."""
    monkeypatch.setenv("DRAUGAR_KEYRING", "file")


@pytest.fixture(params=releases()[1:], ids=lambda listed: listed.version)
def listed(request: pytest.FixtureRequest) -> Listed:
    """A former release."""
    found: Listed = request.param
    return found


@pytest.fixture
def left(listed: Listed, tmp_path: Path) -> Path:
    """The directory with what the release has left."""
    with tarfile.open(Path(__file__).with_name(f"{listed.version}.tar.xz")) as packed:
        packed.extractall(tmp_path / "left", filter="data")
    return tmp_path / "left"


@pytest.fixture
def url(server: Server, left: Path) -> Iterator[str]:
    """The URL of a database in which the release's dump was restored."""
    # A parameter that servers before 17 do not know.
    dump = (left / "dump.sql").read_text().replace("SET transaction_timeout = 0;\n", "")
    with server.database() as name:
        url = server.url_of(name)
        subprocess.run(
            [WHEEL / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", url],
            input=dump.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        yield url


@pytest.fixture
def operator(url: str) -> Iterator[Connection]:
    with closing(connect(url)) as operator:
        yield operator


@pytest.fixture
def homes(url: str, operator: Connection, left: Path, tmp_path: Path) -> Iterator[Path]:
    """The homes of the family, whose service is running on the upgraded database."""
    # The fixture grows old; a family uses its devices.
    operator.run("UPDATE devices SET last_used_on = current_date WHERE revoked_at IS NULL")
    run = Run(tmp_path / "service", DATABASE_URL=url, INVITE_CODE_PEPPER=PEPPER)
    run.printed_until_serving()
    for name in FAMILY:
        with closing(Home.open(left / name.lower())) as home:
            move(home, f"http://127.0.0.1:{run.port}")
    yield left
    run.kill()


def test_the_database_is_migrated_and_loses_nothing(
    url: str, operator: Connection, listed: Listed
) -> None:
    before = rows(operator)

    with Processes(url, count=1) as one:
        answers = one.each(invoke, ["migrate"])

    assert answers == [{"from": listed.schema, "to": REVISION}]
    assert {table: rows(operator).get(table) for table in before} == before
    assert before["users"] == len(FAMILY)


def test_the_keys_of_a_home_open_the_points_of_then(
    url: str, operator: Connection, left: Path
) -> None:
    with Processes(url, count=1) as one:
        one.each(invoke, ["migrate"])
    sealed = operator.run(
        "SELECT group_id, key_version, encrypted_data FROM locations ORDER BY recorded_at"
    )

    with closing(Home.open(left / "una")) as home:
        opened = [
            open_location(encrypted, key)
            for group, version, encrypted in sealed
            if (key := Keyring(home, group).key(version))
        ]

    assert len(opened) == len(sealed) == 4
    assert {round(value["lat"], 4) for value in opened} == {PLACE[0]}


def test_members_read_each_other_and_are_warned_of_nothing(homes: Path) -> None:
    heard: Heard = []
    with opened(homes, "Ari", heard) as ari, opened(homes, "Sif", heard) as sif:
        ari.share([fix(PLACE[0], longitude=PLACE[1])])
        sif.share([fix(PLACE[0], longitude=PLACE[1] - 1)])

    seen = {}
    for name in FAMILY:
        with opened(homes, name, heard) as reader:
            seen[name] = {
                position.name: (position.fix.latitude, position.fix.longitude)
                for position in reader.where()
            }

    for name in FAMILY:
        assert seen[name]["Ari"] == PLACE
        assert seen[name]["Sif"] == (PLACE[0], PLACE[1] - 1)
    assert [text(notice) for notice in heard if notice.is_warning] == []


def test_members_are_trusted_as_before(homes: Path) -> None:
    with opened(homes, "Una", []) as una:
        standing = {
            person.name: {device.standing for device in person.devices} for person in una.people()
        }
    with closing(Home.open(homes / "una")) as home:
        places = [place.name for place in listed_places(home)]

    trusted = {TrustState.TRUSTED}
    assert standing == {"Una": {TrustState.THIS}, "Ari": trusted, "Sif": trusted}
    assert places == ["Cabin"]


def test_members_change_the_key_and_invite(homes: Path) -> None:
    heard: Heard = []
    with opened(homes, "Una", heard) as una:
        una.rotate()
        invitation = una.invite()

    with opened(homes, "Sif", heard) as sif:
        sif.share([fix(PLACE[0], longitude=PLACE[1])])
    with opened(homes, "Una", heard) as una:
        names = {position.name for position in una.where()}

    assert invitation.link
    assert "Sif" in names
    assert Kind.POINTS_UNREADABLE not in {notice.kind for notice in heard}


@contextmanager
def opened(homes: Path, name: str, heard: Heard) -> Iterator[Client]:
    """Open the home of a member, who hears what they are told."""
    with (
        closing(Home.open(homes / name.lower())) as home,
        Client(home, tell=heard.append) as member,
    ):
        yield member


def rows(operator: Connection) -> dict[str, int]:
    """Count the rows of each table that the service fills."""
    tables = operator.run(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'alembic_version'"
    )
    return {table: len(operator.run(f"TABLE {identifier(table)}")) for (table,) in tables}
