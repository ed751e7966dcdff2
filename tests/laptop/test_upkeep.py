"""What `make run` does by itself: the scheduled jobs, and running on a newer schema."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pg8000.native import Connection

from scripts.postgres import Postgres
from scripts.schedule import scheduled_jobs
from tests.client.dump import plain_dump
from tests.database import PEPPER, connect
from tests.jobs.test_migrate import drop_partitions, without_random_lines

from .runs import Run, eventually

Launch = Callable[..., Run]

# The service, two days later as soon as a file exists.
LATER = """
import pathlib, sys, time
from scripts import schedule, serve
asleep = pathlib.Path(sys.argv.pop())
clock = time.time
def later():
    return clock() + 2 * 86400 * asleep.exists()
schedule.Schedule.__init__.__kwdefaults__["clocks"] = (later, time.monotonic)
serve.main()
"""

NEXT_MONTH = """
    SELECT to_regclass(
        'locations_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')
    ) IS NOT NULL
"""
NEWER = "The schema is at 9999, newer than this release. It was left unchanged."


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, for a service that is started with it."""
    with Postgres(tmp_path / "own", durable=False) as own:
        yield own.url("own")


@contextmanager
def operator_of(url: str) -> Iterator[Connection]:
    with closing(connect(url)) as operator:
        yield operator


def test_an_installation_of_long_ago_serves_again_when_it_is_started(
    launch: Launch, database: str
) -> None:
    first = launch(DATABASE_URL=database)
    first.printed_until_serving()
    first.kill()
    with operator_of(database) as operator:
        drop_partitions(operator)
        operator.run(
            "INSERT INTO invite_codes (code_hash, created_at, expires_at) VALUES"
            " (sha256('any'), now() - interval '9 days', now() - interval '8 days')"
        )

        second = launch(DATABASE_URL=database)
        second.printed_until_serving()

        assert second.request("GET", "/api/health/ready")[0].status == 200
        assert operator.run(
            "SELECT count(*) FROM invite_codes WHERE expires_at < now() - interval '1 day'"
        ) == [[0]]


def test_jobs_run_again_while_it_serves_when_their_time_has_passed(
    launch: Launch, database: str, tmp_path: Path
) -> None:
    asleep = tmp_path / "asleep"
    run = launch(sys.executable, "-c", LATER, str(asleep), DATABASE_URL=database)
    run.printed_until_serving()
    with operator_of(database) as operator:
        drop_partitions(operator)
        before = run.request("GET", "/api/health/ready")[1]["code"]

        asleep.touch()

        # The database is asked, for nothing here reads the lines that the service logs of requests.
        assert before == "partition_missing"
        assert eventually(lambda: operator.run(NEXT_MONTH) == [[True]])
    assert run.request("GET", "/api/health/ready")[0].status == 200


def test_a_job_that_fails_is_told_in_one_line_and_the_service_goes_on(
    launch: Launch, database: str
) -> None:
    first = launch(DATABASE_URL=database)
    first.printed_until_serving()
    first.kill()
    with operator_of(database) as operator:
        operator.run("DROP FUNCTION drop_location_partitions()")

    second = launch(DATABASE_URL=database)
    second.printed_until_serving()

    assert second.request("GET", "/api/health/ready")[0].status == 200
    second.kill()
    assert second.errors.startswith("The job maintain_locations has failed: ")
    assert "make invoke FUNCTION=maintain_locations" in second.errors
    assert second.errors.count("\n") == 1
    assert PEPPER not in second.errors


def test_the_former_release_runs_on_a_newer_schema_and_changes_nothing_in_it(
    launch: Launch, database: str
) -> None:
    first = launch(DATABASE_URL=database)
    first.printed_until_serving()
    first.kill()
    with operator_of(database) as operator:
        operator.run("UPDATE alembic_version SET version_num = '9999'")
        operator.run("ALTER TABLE users ADD COLUMN of_a_later_release text")
    before = plain_dump(database, "--schema-only")

    second = launch(DATABASE_URL=database)
    printed = second.printed_until_serving().splitlines()

    assert printed[0] == NEWER
    assert printed[1].startswith("Founding invite: ")
    assert printed[2].startswith("Founding link: ")
    assert len(printed) == 4
    assert second.request("GET", "/api/health/ready")[0].status == 200
    code = printed[1].removeprefix("Founding invite: ")
    response, _ = second.request("POST", "/api/auth/join", {"code": code, "name": "Ada"})
    assert response.status == 201
    after = plain_dump(database, "--schema-only")
    assert without_random_lines(after) == without_random_lines(before)


def test_a_schema_that_cannot_be_prepared_is_told_in_one_line(
    launch: Launch, database: str
) -> None:
    with operator_of(database) as operator:
        operator.run("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
        operator.run("INSERT INTO alembic_version VALUES ('f00dcafe1234')")

    status, errors = launch(DATABASE_URL=database).ended()

    assert status == 1
    assert errors.startswith("The database could not be prepared, and nothing is served: ")
    assert errors.count("\n") == 1


@pytest.mark.usefixtures("schema")
def test_every_scheduled_job_is_one_that_it_can_run() -> None:
    from app import app  # noqa: PLC0415 -- reads the settings that `schema` makes

    assert {job.name for job in scheduled_jobs(app)} == {
        "purge_expired_invites",
        "maintain_locations",
    }


def test_it_says_how_to_get_another_founding_invite(launch: Launch, tmp_path: Path) -> None:
    data_dir = tmp_path / "a b"
    run = launch(data_dir=data_dir)
    run.printed_until_serving()

    assert run.process.stdout
    assert run.process.stdout.readline() == (
        "Another founding invite: make invoke FUNCTION=create_founding_invite"
        f" 'DATA_DIR={data_dir}'\n"
    )
