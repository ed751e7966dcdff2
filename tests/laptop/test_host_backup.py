"""`make backup` and `make restore`, as the operator of a machine uses them.

The family is the one that release 1.0.0 has left (tests/releases): Una founded, Ari came in by a
link, Sif by a typed code; Ari has a phone.
"""

import base64
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from draugar.client import Client
from draugar.storage.home import Home
from scripts.host.backup import understood
from tests import servers
from tests.client.family import fix
from tests.client.kept import move
from tests.database import PEPPER, connect

from .runs import FOREIGN, HANGS_AFTER, HOST, PROJECT, Run, eventually, is_deserted

Launch = Callable[..., Run]

LEFT = PROJECT / "tests" / "releases" / "1.0.0.tar.xz"
KEPT = ("users", "devices", "group_members", "group_keys", "key_envelopes", "locations")
PHONE = {"User-Agent": "Owntracks-Android/gms/420509000", "X-Limit-U": "ari", "X-Limit-D": "phone"}


@pytest.fixture(autouse=True)
def keys_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The homes keep their keys in files, so that they open on every machine."""
    monkeypatch.setenv("DRAUGAR_KEYRING", "file")


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The directory with what the release has left."""
    with tarfile.open(LEFT) as packed:
        packed.extractall(tmp_path / "left", filter="data")
    return tmp_path / "left"


def operate(data_dir: Path, *command: str | Path, url: str | None = None) -> tuple[int, str]:
    """Run a command of the operator; return its exit status and what it printed."""
    given = {"DATA_DIR": str(data_dir), "INVITE_CODE_PEPPER": PEPPER}
    if url is not None:
        given["DATABASE_URL"] = url
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    done = subprocess.run(
        [*HOST, *command],
        cwd=PROJECT,
        env=kept | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=4 * HANGS_AFTER,
    )
    return done.returncode, done.stdout


def serve(launch: Launch, data_dir: Path, left: Path, **variables: str) -> Run:
    """Serve, and tell the homes where."""
    run = launch(*HOST, data_dir=data_dir, INVITE_CODE_PEPPER=PEPPER, **variables)
    run.printed_until_serving()
    for name in ("una", "ari", "sif"):
        with closing(Home.open(left / name)) as home:
            move(home, f"http://127.0.0.1:{run.port}")
    return run


def stop(run: Run) -> None:
    run.process.terminate()
    assert run.ended() == (0, "")
    assert eventually(lambda: is_deserted(run.postgres))


def rows(url: str) -> dict[str, int]:
    with closing(connect(url)) as operator:
        # The fixture grows old; a family uses its devices.
        operator.run("UPDATE devices SET last_used_on = current_date WHERE revoked_at IS NULL")
        return {
            table: int(operator.run(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 -- ours
            for table in KEPT
        }


def test_a_family_goes_on_after_its_backup_was_restored(
    launch: Launch, left: Path, tmp_path: Path
) -> None:
    data, file = tmp_path / "data", tmp_path / "family.dump"

    # From 1.0.0, to a machine that has nothing yet.
    status, told = operate(data, "restore", left / "dump.sql")
    assert (status, "before" in told) == (0, False)
    first = serve(launch, data, left)
    before = rows(first.postgres.url("draugar"))
    assert before["users"] == 3
    renew_and_share(left)
    assert where(left, "ari") == {"Una": -48.5, "Ari": -48.5, "Sif": -48.5}
    with member(left, "ari") as ari:
        phone = ari.add_phone("Phone", tid="zz")
    assert open_invites(left) == []
    with member(left, "una") as una:
        una.invite()

    # From this release, while it serves.
    status, told = operate(data, "backup", file)
    kept = rows(first.postgres.url("draugar"))
    assert status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert operate(data, "backup", file)[0] == 1
    with member(left, "una") as una:
        una.share([fix(-47.0, longitude=-123.0)])
    status, told = operate(data, "restore", file)
    assert status == 1
    assert "in use by another run" in told
    stop(first)
    broken = tmp_path / "broken.dump"
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) * 2 // 3], whole[:-20], whole[:-20] + bytes(20), b""):
        broken.write_bytes(damaged)
        status, told = operate(data, "restore", broken)
        assert (status, "Nothing was restored" in told) == (1, True)

    status, told = operate(data, "restore", file)

    assert status == 0, told
    assert "draugar_before_restore" in told
    second = serve(launch, data, left)
    assert rows(second.postgres.url("draugar")) == kept
    former = rows(second.postgres.url("draugar_before_restore"))
    assert former["locations"] == kept["locations"] + 1
    assert open_invites(left) == []
    assert phone_posts(second, str(phone.device_id), phone.otrc) == 200
    renew_and_share(left)
    assert where(left, "sif") == {"Una": -48.5, "Ari": -48.5, "Sif": -48.5}


@pytest.mark.tools("node", "npm")
def test_a_backup_is_restored_on_an_older_server(
    launch: Launch, left: Path, tmp_path: Path
) -> None:
    data, file = tmp_path / "data", tmp_path / "family.dump"
    assert operate(data, "restore", left / "dump.sql")[0] == 0
    first = serve(launch, data, left)
    renew_and_share(left)
    kept = rows(first.postgres.url("draugar"))
    assert operate(data, "backup", file)[0] == 0
    stop(first)

    directory = tmp_path / "older"
    directory.mkdir()
    with servers.npm_server("15", directory) as older:
        with closing(connect(older.url)) as operator:
            operator.run("CREATE DATABASE family TEMPLATE template0 ENCODING 'UTF8'")
        server = older.url.partition("?")[0].rpartition("/")[0].replace("localhost", "127.0.0.1")
        url = f"{server}/family?sslmode=disable"

        status, told = operate(data, "restore", file, url=url)
        again, said = operate(data, "restore", file, url=url)

        assert (status, told.partition(" ")[0]) == (0, "Restored")
        assert (again, "family_before_restore" in said) == (0, True)
        second = serve(launch, data, left, DATABASE_URL=url)
        assert rows(url) == kept
        assert second.request("GET", "/api/health/ready")[0].status == 200
        renew_and_share(left)
        assert where(left, "una") == {"Una": -48.5, "Ari": -48.5, "Sif": -48.5}
        second.kill()


def member(left: Path, name: str) -> Client:
    return Client(Home.open(left / name), tell=lambda _: None)


def renew_and_share(left: Path) -> None:
    """Make a key as the operator has asked for, and let each share under it."""
    with member(left, "una") as una:
        una.rotate(is_restored=True)
    for name in ("una", "ari", "sif"):
        with member(left, name) as who:
            who.where()
            who.share([fix(-48.5, longitude=-123.0)])


def where(left: Path, name: str) -> dict[str, float]:
    with member(left, name) as reader:
        return {position.name: position.fix.latitude for position in reader.where()}


def open_invites(left: Path) -> list[object]:
    with member(left, "una") as una:
        return [made for made in una.invites() if not (made.revoked_at or made.used_by)]


def phone_posts(run: Run, username: str, otrc: bytes) -> int:
    """Post as the phone would, with the password that it was given; return the status."""
    password = json.loads(otrc)["password"]
    login = base64.b64encode(f"{username}:{password}".encode()).decode()
    connection = HTTPConnection("127.0.0.1", run.port, timeout=HANGS_AFTER)
    with closing(connection):
        body = json.dumps({"_type": "lwt", "tst": 1})
        headers = PHONE | {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        connection.request("POST", "/owntracks", body, headers)
        return connection.getresponse().status


def test_what_an_older_server_does_not_know_is_left_out_of_a_dump_but_not_of_its_data() -> None:
    dump = [
        b"SET transaction_timeout = 0;\n",
        b"SET statement_timeout = 0;\n",
        b"COPY public.users (name) FROM stdin;\n",
        b"SET transaction_timeout = 0;\n",
        b"GRANT SELECT ON TABLE users TO stranger;\n",
        b"\\.\n",
        b"GRANT SELECT ON TABLE public.users TO stranger;\n",
        b"GRANT SELECT ON TABLE public.users TO draugar_api;\n",
        b"REVOKE ALL ON FUNCTION public.grant_rights() FROM PUBLIC;\n",
    ]

    assert list(understood(dump, {b"draugar_api"})) == [dump[1], *dump[2:6], *dump[7:]]
