"""`make host`, as the operator of a machine lives with it."""

import gzip
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from importlib.metadata import packages_distributions
from pathlib import Path
from re import MULTILINE, findall
from subprocess import run as run_program
from typing import Any

import pytest

from scripts.jobs import Turn
from scripts.postgres import Postgres
from tests.database import connect
from tests.features.site import files

from .runs import HANGS_AFTER, HOST, PROJECT, Run, eventually, is_deserted, is_free

Launch = Callable[..., Run]

# What every process of the service runs first: packages that are not pinned for it do not exist.
ONLY_ITS_PACKAGES = """
import sys
absent = frozenset({absent!r})
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that earlier tests may have used: a start on it takes half the time."""
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database that no service of these tests has started."""
    with Postgres(tmp_path_factory.mktemp("own") / "own", durable=False) as own:
        yield own.url("own")


def founding_code(run: Run) -> str:
    """Make a founding invite by the command that the service names."""
    made = run_program(
        [*HOST, "founding-link"],
        cwd=PROJECT,
        env=run.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS_AFTER,
    )
    assert made.stderr == ""
    return made.stdout.split()[2]


def attempt(run: Run, forwarded: str) -> int:
    """Try a code that does not exist, as if it came through proxies; return the status."""
    connection = HTTPConnection("127.0.0.1", run.port, timeout=HANGS_AFTER)
    with closing(connection):
        connection.request(
            "POST",
            "/api/auth/join",
            '{"code": "AAAAAAAAAAAAAAAAAAAAAAAA", "name": "Ada"}',
            {"Content-Type": "application/json", "X-Forwarded-For": forwarded},
        )
        response = connection.getresponse()
        response.read()
        return response.status


def asked(run: Run, path: str) -> socket.socket:
    """Send a request and return the connection, on which the answer will come."""
    made = socket.create_connection(("127.0.0.1", run.port), timeout=HANGS_AFTER)
    made.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    return made


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the connection ends."""
    told = b""
    while piece := connection.recv(65536):
        told += piece
    connection.close()
    return told


def test_what_was_acknowledged_is_there_after_it_was_killed(launch: Launch, lived_in: Path) -> None:
    first = launch(*HOST, data_dir=lived_in)
    first.printed_until_serving()
    code = founding_code(first)
    response, joined = first.request("POST", "/api/auth/join", {"code": code, "name": "Ada"})
    first.process.kill()
    first.process.wait()
    assert eventually(lambda: is_free(first.port) and is_deserted(first.postgres))

    second = launch(*HOST, data_dir=lived_in)
    second.printed_until_serving()

    assert response.status == 201
    assert second.request("GET", "/api/auth/me", token=joined["token"])[1]["name"] == "Ada"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_requests_in_flight_are_answered_before_a_signal_ends_it(
    launch: Launch, database: str, number: signal.Signals
) -> None:
    run = launch(*HOST, DATABASE_URL=database, DATABASE_TIMEOUT_SECONDS=60)
    run.printed_until_serving()
    with closing(connect(database)) as operator, ExitStack() as stack:
        operator.run("BEGIN")
        operator.run("LOCK alembic_version")
        # More than there are workers, so that some are still queued.
        waiting = [stack.enter_context(closing(asked(run, "/api/health/ready"))) for _ in range(12)]
        assert eventually(lambda: waiters(operator) == 8)

        run.process.send_signal(number)
        assert eventually(lambda: is_free(run.port))
        assert run.process.poll() is None
        operator.run("ROLLBACK")

        answers = [received(connection) for connection in waiting]
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 12
    assert run.ended() == (0, "")


def test_health_is_told_while_all_workers_wait_for_the_database(
    launch: Launch, database: str
) -> None:
    run = launch(*HOST, DATABASE_URL=database, DATABASE_TIMEOUT_SECONDS=60)
    run.printed_until_serving()
    with closing(connect(database)) as operator, ExitStack() as stack:
        operator.run("BEGIN")
        operator.run("LOCK alembic_version")
        waiting = [stack.enter_context(closing(asked(run, "/api/health/ready"))) for _ in range(20)]
        assert eventually(lambda: waiters(operator) == 8)

        told = received(asked(run, "/api/health"))

        assert told.startswith(b"HTTP/1.1 200")
        assert waiters(operator) == 8
        operator.run("ROLLBACK")
        assert all(received(connection).startswith(b"HTTP/1.1 200") for connection in waiting)


def waiters(operator: Any) -> int:
    """How many statements wait for a lock."""
    return int(operator.run("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0])


def test_the_limiter_counts_the_clients_of_a_trusted_proxy(launch: Launch, database: str) -> None:
    run = launch(*HOST, DATABASE_URL=database, TRUSTED_PROXIES="10.0.0.0/8, 127.0.0.1")
    run.printed_until_serving()
    forget_attempts(database)

    # The last address that no trusted proxy has: what stands before it, a client has written.
    statuses = [attempt(run, f"198.51.100.{n}, 203.0.113.7, 10.1.2.3") for n in range(12)]
    others = [attempt(run, f"203.0.113.{100 + n}, ::ffff:10.1.2.3") for n in range(12)]

    assert statuses[-1] == 429
    assert set(others) == {404}


def test_the_header_of_a_peer_that_is_not_trusted_is_ignored(launch: Launch, database: str) -> None:
    run = launch(*HOST, DATABASE_URL=database, TRUSTED_PROXIES="10.0.0.0/8")
    run.printed_until_serving()
    forget_attempts(database)

    statuses = [attempt(run, f"203.0.113.{n}") for n in range(12)]

    assert statuses[0] == 404
    assert statuses[-1] == 429


def forget_attempts(url: str) -> None:
    with closing(connect(url)) as operator:
        operator.run("DELETE FROM rate_limits")


def test_it_serves_at_a_path_and_trusts_who_may_open_it(launch: Launch, database: str) -> None:
    path = Path(f"/tmp/draugar-test-{os.getpid()}.sock")  # noqa: S108 -- a path has 107 bytes at most
    run = launch(*HOST, DATABASE_URL=database, LISTEN=f"unix:{path}")
    run.printed_until_serving()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /api/health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        told = received(client)
    run.process.terminate()

    assert told.startswith(b"HTTP/1.1 200")
    assert run.ended() == (0, "")
    assert not path.exists()


def test_the_web_app_is_served_as_it_was_built(launch: Launch, database: str) -> None:
    run = launch(*HOST, DATABASE_URL=database)
    run.printed_until_serving()
    connection = HTTPConnection("127.0.0.1", run.port, timeout=HANGS_AFTER)
    with closing(connection):
        for path, name in files.paths().items():
            connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
            response = connection.getresponse()
            body = response.read()

            coding = response.headers["Content-Encoding"]
            content = gzip.decompress(body) if coding == "gzip" else body
            assert files.digest(content) == files.hashes()[name]
            assert coding == ("gzip" if name.endswith(".js") and len(content) > 1024 else coding)
            assert response.headers["Content-Type"] == files.TYPES[Path(name).suffix]
            assert response.headers["Content-Security-Policy"] == files.POLICY


def test_of_two_instances_on_one_database_one_runs_the_jobs(launch: Launch, database: str) -> None:
    first = launch(*HOST, DATABASE_URL=database)
    first.printed_until_serving()
    with closing(connect(database)) as operator:
        operator.run("CREATE TABLE purges (at timestamptz DEFAULT now())")
        operator.run(
            "CREATE FUNCTION note_purge() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
            " AS 'BEGIN INSERT INTO public.purges DEFAULT VALUES; RETURN NULL; END'"
        )
        operator.run(
            "CREATE TRIGGER note_purge AFTER DELETE ON invite_codes EXECUTE FUNCTION note_purge()"
        )
        try:
            second = launch(*HOST, DATABASE_URL=database)
            second.printed_until_serving()
            beside = operator.run("SELECT count(*) FROM purges")
            first.kill()
            second.kill()
            assert eventually(
                lambda: (
                    operator.run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                    == [[0]]
                )
            )
            launch(*HOST, DATABASE_URL=database).printed_until_serving()
            alone = operator.run("SELECT count(*) FROM purges")
        finally:
            operator.run("DROP TRIGGER note_purge ON invite_codes")
            operator.run("DROP TABLE purges")
            operator.run("DROP FUNCTION note_purge")

    assert beside == [[0]]
    assert alone == [[1]]


def test_no_secret_is_told_to_a_pipe_or_stands_in_a_command_line(
    launch: Launch, lived_in: Path, database: str, tmp_path: Path
) -> None:
    url = tmp_path / "url"
    secret = "zq7password"
    url.write_text(database.replace("postgres@", f"postgres:{secret}@") + "\n")
    run = launch(*HOST, data_dir=lived_in, DATABASE_URL_FILE=url)
    printed = run.printed_until_serving()
    code = founding_code(run)
    lines = b"".join(command_lines())
    run.process.terminate()
    assert run.process.stdout
    assert run.process.stderr
    told, errors = run.process.stdout.read(), run.process.stderr.read()

    pepper = (lived_in / "invite_code_pepper").read_text()
    for hidden in (secret, code, pepper):
        assert hidden not in printed + told + errors
        assert hidden.encode() not in lines
    assert "make founding-link" in told
    assert errors == ""


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue


def test_it_runs_with_the_packages_that_are_pinned_for_it_alone(
    launch: Launch, lived_in: Path, tmp_path: Path
) -> None:
    text = (PROJECT / "requirements-host.txt").read_text()
    pinned = {name.lower() for name in findall(r"^([\w.-]+)==", text, MULTILINE)}
    absent = {
        module
        for module, distributions in packages_distributions().items()
        if not pinned & {name.lower().replace("_", "-") for name in distributions}
    }
    hook = tmp_path / "first" / "sitecustomize.py"
    hook.parent.mkdir()
    hook.write_text(ONLY_ITS_PACKAGES.format(absent=sorted(absent)))
    assert {"boto3", "botocore", "httpx", "click", "pytest", "nacl"} <= absent

    run = launch(*HOST, data_dir=lived_in, PYTHONPATH=hook.parent)
    run.printed_until_serving()

    assert run.request("GET", "/api/health/ready")[0].status == 200
    assert founding_code(run)
    run.process.terminate()
    assert run.ended() == (0, "")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LISTEN": "8000"}, "LISTEN must be an address and a port"),
        ({"LISTEN": "127.0.0.1:99999"}, "LISTEN must be an address and a port"),
        ({"TRUSTED_PROXIES": "10.0.0.0/99"}, "TRUSTED_PROXIES must be addresses or networks"),
        ({"PUBLIC_URL": "http://a.example"}, "PUBLIC_URL must be the address that clients use"),
        ({"PUBLIC_URL": "https://u:p@a.example"}, "PUBLIC_URL must be the address"),
        ({"DATABASE_URL_FILE": "/nonexistent/zq7"}, "DATABASE_URL_FILE cannot be read"),
    ],
)
def test_an_option_that_will_not_do_is_named_in_one_line(
    launch: Launch, tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    status, errors = launch(*HOST, data_dir=tmp_path / "none", **variables).ended()

    assert status == 1
    assert errors.startswith(said)
    assert errors.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_job_does_not_outlive_the_service_that_started_it(launch: Launch, database: str) -> None:
    launch(*HOST, DATABASE_URL=database).printed_until_serving()
    with closing(connect(database)) as operator:
        operator.run("BEGIN")
        operator.run("LOCK invite_codes")
        caller = launch(
            sys.executable,
            "-c",
            "from scripts.jobs import run; print('started', flush=True);"
            " run('purge_expired_invites')",
            DATABASE_URL=database,
            INVITE_CODE_PEPPER="pepper-for-tests-0123456789abcdef",
        )
        assert eventually(lambda: waiters(operator) == 1)

        caller.process.kill()

        assert eventually(lambda: waiters(operator) == 0)
        operator.run("ROLLBACK")


@pytest.mark.usefixtures("schema")
def test_a_turn_is_one_instances_until_it_gives_it_up() -> None:
    first, second = Turn(), Turn()
    try:
        assert [first.is_ours(), second.is_ours(), first.is_ours()] == [True, False, True]
        first.give_up()
        assert eventually(second.is_ours)
        assert not first.is_ours()
    finally:
        first.give_up()
        second.give_up()
