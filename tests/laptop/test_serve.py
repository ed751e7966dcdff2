"""`make run`, as a person lives with it."""

import gzip
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest

from chalicelib.web.endpoint import HEADERS
from scripts import coding
from scripts.postgres import Postgres
from tests.features.site import files

from .runs import HANGS_AFTER, SERVE, Run, eventually, is_deserted, is_free

Launch = Callable[..., Run]


def test_the_founding_invite_lets_in_a_person_whom_a_later_start_still_knows(
    launch: Launch,
) -> None:
    first = launch()
    invite, link, serving = first.printed_until_serving().splitlines()
    code = invite.removeprefix("Founding invite: ")
    response, joined = first.request("POST", "/api/auth/join", {"code": code, "name": "Ada"})
    first.kill()

    second = launch()
    printed = second.printed_until_serving()

    assert link == f"Founding link: http://127.0.0.1:{first.port}/#found={code}"
    assert serving == f"Serving on http://127.0.0.1:{first.port}"
    assert response.status == 201
    assert printed == f"Serving on http://127.0.0.1:{second.port}\n"
    assert second.request("GET", "/api/auth/me", token=joined["token"])[1]["name"] == "Ada"


def test_no_link_is_printed_where_the_web_app_is_off(launch: Launch) -> None:
    printed = launch(WEB="off").printed_until_serving().splitlines()

    assert [line.partition(": ")[0].partition(" on ")[0] for line in printed] == [
        "Founding invite",
        "Serving",
    ]


def test_the_secret_under_which_codes_are_hashed_is_made_once_and_kept_private(
    launch: Launch, lived_in: Path
) -> None:
    pepper = lived_in / "invite_code_pepper"
    first = launch(data_dir=lived_in)
    first.printed_until_serving()
    made = pepper.read_text()
    first.kill()

    launch(data_dir=lived_in).printed_until_serving()

    assert len(made) >= 32
    assert pepper.read_text() == made
    assert stat.S_IMODE(pepper.stat().st_mode) == 0o600


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_service_and_database_without_a_word(
    launch: Launch, lived_in: Path, number: signal.Signals
) -> None:
    run = launch(data_dir=lived_in)
    run.printed_until_serving()

    run.process.send_signal(number)

    assert run.ended() == (0, "")
    assert is_free(run.port)
    assert is_deserted(run.postgres)


def test_a_killed_launcher_leaves_nothing_behind(launch: Launch, lived_in: Path) -> None:
    run = launch(data_dir=lived_in)
    run.printed_until_serving()

    run.process.kill()

    assert eventually(lambda: is_free(run.port) and is_deserted(run.postgres))


def test_a_killed_make_leaves_nothing_behind(launch: Launch, lived_in: Path) -> None:
    # The packages are here already: make is kept from looking after them.
    programs = Path(sys.executable).parent
    run = launch("make", "run", f"BIN={programs}", "--assume-old=.venv/.ready", data_dir=lived_in)
    run.printed_until_serving()

    run.process.kill()

    assert eventually(lambda: is_free(run.port) and is_deserted(run.postgres))


def test_a_killed_database_ends_the_service_with_one_line(launch: Launch, lived_in: Path) -> None:
    run = launch(data_dir=lived_in)
    run.printed_until_serving()

    os.kill(run.postgres.pid, signal.SIGKILL)

    status, errors = run.ended()
    assert status == 1
    assert errors == f"PostgreSQL has ended: see {run.postgres.log}\n"
    assert is_free(run.port)


def test_a_busy_port_is_named_before_anything_is_started(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        run = launch(PORT=port)

        status, errors = run.ended()
    assert status == 1
    assert errors.startswith(f"Port {port} cannot be used (Address already in use).")
    assert "PORT=" in errors
    assert errors.count("\n") == 1
    assert not run.data_dir.exists()


def test_a_database_that_does_not_answer_is_told_without_its_password(launch: Launch) -> None:
    run = launch(DATABASE_URL="postgresql://ada:open-sesame@127.0.0.1:1/draugar")

    status, errors = run.ended()

    assert status == 1
    assert errors.startswith("The database of DATABASE_URL cannot be used: ")
    assert errors.count("\n") == 1
    assert "open-sesame" not in errors


def test_a_database_of_ones_own_is_used_as_it_is(launch: Launch, tmp_path: Path) -> None:
    with Postgres(tmp_path / "own", durable=False) as own:
        run = launch(DATABASE_URL=own.url("mine"))

        run.printed_until_serving()

        assert run.request("GET", "/api/health/ready")[0].status == 200
        assert not run.postgres.data_dir.exists()


def test_a_stage_other_than_local_must_bring_its_pepper(launch: Launch, lived_in: Path) -> None:
    run = launch(data_dir=lived_in, STAGE="prod")

    status, errors = run.ended()

    assert status == 1
    assert errors == "Neither INVITE_CODE_PEPPER nor PEPPER_SECRET_ARN is set.\n"


def test_its_data_may_be_in_a_directory_of_any_name(launch: Launch, tmp_path: Path) -> None:
    run = launch(data_dir=tmp_path / '-una\'s "x" $HOME #50% ü`id` a,b:c=d&e;f?g (h)\\')
    run.printed_until_serving()

    assert run.request("GET", "/api/health/ready")[0].status == 200


def test_an_ordinary_user_can_run_it(launch: Launch, tmp_path: Path) -> None:
    # For root there is one more step first: to become nobody, who may enter the directories above
    # this project and its Python, wherever they are, and is as ordinary as anybody otherwise.
    home = tmp_path / "home"
    home.mkdir()
    become_ordinary = (
        "import os, pathlib, sys; from scripts.postgres import _step_down;"
        "os.geteuid() or _step_down(pathlib.Path(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
    )

    run = launch(sys.executable, "-c", become_ordinary, str(home), *SERVE, data_dir=home / "data")
    run.printed_until_serving()

    assert run.request("GET", "/api/health/ready")[0].status == 200
    assert run.data_dir.owner() != "root"


def test_an_unknown_path_is_answered_with_a_problem(running: Run) -> None:
    response, problem = running.request("GET", "/api/nowhere", token="any")

    assert response.status == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == "route_not_found"
    assert problem.keys() == {
        "type", "title", "status", "detail", "code", "requestId", "error"
    }  # fmt: skip


def test_a_connection_stays_in_step_after_head(running: Run) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=HANGS_AFTER)
    for path in ("/api/health", "/api/nowhere"):
        connection.request("HEAD", path)
        connection.getresponse().read()

    connection.request("GET", "/api/health")

    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    ("path", "status"), [("/api/health", 200), ("/api/docs", 200), ("/api/nowhere", 404)]
)
def test_head_says_how_long_the_answer_to_get_is(running: Run, path: str, status: int) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=HANGS_AFTER)
    answers = {}

    for method in ("HEAD", "GET", "HEAD"):
        connection.request(method, path)
        response = connection.getresponse()
        answers[method] = (response, response.read())

    (head, nothing), (got, body) = answers["HEAD"], answers["GET"]
    assert (head.status, nothing) == (got.status, b"") == (status, b"")
    assert head.headers["Content-Length"] == str(len(body))
    assert {*head.headers} == {*got.headers}
    connection.close()


@pytest.mark.parametrize("accepted", ["", "gzip, deflate, br"])
def test_the_web_app_is_served_as_it_was_built(running: Run, accepted: str) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=HANGS_AFTER)
    for path, name in files.paths().items():
        connection.request("GET", path, headers={"Accept-Encoding": accepted})
        response = connection.getresponse()
        body = response.read()

        is_small = len((files.DIST / name).read_bytes()) < coding.SMALLEST
        is_compressed = bool(accepted) and not is_small and not name.endswith(".png")
        assert (response.status, response.headers["Content-Encoding"]) == (
            200,
            "gzip" if is_compressed else None,
        )
        content = gzip.decompress(body) if is_compressed else body
        assert files.digest(content) == files.hashes()[name]
        assert response.headers["Content-Type"] == files.TYPES[Path(name).suffix]
        assert response.headers["Content-Security-Policy"] == files.POLICY
        kept = HEADERS.keys() - files.OWN_HEADERS
        assert {header: response.headers[header] for header in kept} == {
            header: HEADERS[header] for header in kept
        }
    connection.close()


def test_head_of_what_takes_no_get_is_refused(running: Run) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=HANGS_AFTER)

    connection.request("HEAD", "/api/auth/join")

    response = connection.getresponse()
    assert (response.status, response.headers["Allow"], response.read()) == (405, "POST", b"")
    connection.close()


@pytest.mark.parametrize("size", [10 * 1024 * 1024 + 1, 30_000_000])
def test_a_body_beyond_the_gateways_limit_is_refused(running: Run, size: int) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=HANGS_AFTER)

    connection.request("POST", "/api/auth/join", bytes(size))

    response = connection.getresponse()
    assert response.status == 413
    assert b"body_too_large" in response.read()
    connection.close()


def test_a_body_without_a_length_is_refused(running: Run) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=HANGS_AFTER)

    connection.request("POST", "/api/auth/join", iter([b"{}"]), encode_chunked=True)

    assert connection.getresponse().status == 411
    connection.close()


def test_a_body_of_two_lengths_is_refused(running: Run) -> None:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=HANGS_AFTER)
    connection.putrequest("POST", "/api/auth/join")
    for length in ("2", "100"):
        connection.putheader("Content-Length", length)

    connection.endheaders(b"{}")

    assert connection.getresponse().status == 411
    connection.close()
