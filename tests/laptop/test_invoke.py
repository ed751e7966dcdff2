"""`make invoke`, which runs a function of the bundle on this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chalicelib.health.service import REVISION
from scripts.postgres import Postgres
from tests.database import PEPPER, connect

from .runs import FOREIGN, PROJECT, Run, eventually


def test_a_function_runs_beside_the_service_on_its_database(running: Run) -> None:
    answered = invoke(running, "create_founding_invite", "{}")

    code = json.loads(answered.stdout)["code"]
    response, _ = running.request("POST", "/api/auth/join", {"code": code, "name": "Ada"})
    assert response.status == 201


def test_a_scheduled_function_runs_without_waiting_for_its_hour(running: Run) -> None:
    answered = invoke(running, "purge_expired_invites")

    assert json.loads(answered.stdout) == {"deleted": 0}
    assert json.loads(answered.stderr) == {"job": "purge_expired_invites", "deleted": 0}


def test_a_function_runs_while_the_service_does_not(
    launch: Callable[..., Run], lived_in: Path
) -> None:
    run = launch(data_dir=lived_in)
    run.printed_until_serving()
    run.kill()
    assert eventually(lambda: not Postgres(lived_in / "postgres").is_running)

    answered = invoke(run, "migrate")

    assert answered.returncode == 0
    assert json.loads(answered.stdout)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["no_such"], "There is no function 'no_such'; there are after_restore, "),
        (["migrate", "[1]"], "The payload is not a JSON object.\n"),
    ],
)
def test_a_mistake_is_told_in_one_line(running: Run, command: list[str], line: str) -> None:
    answered = invoke(running, *command)

    assert answered.returncode == 1
    assert answered.stderr.startswith(line)
    assert answered.stderr.count("\n") == 1


def invoke(run: Run, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.invoke", *command],
        cwd=PROJECT,
        env=run.environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("function", ["create_founding_invite", "migrate", "maintain_locations"])
def test_before_the_first_run_it_says_what_to_do_and_makes_nothing(
    tmp_path: Path, function: str
) -> None:
    data_dir = tmp_path / "it's $HOME"

    answered = start(tmp_path, "scripts.invoke", function, DATA_DIR=data_dir)

    assert answered.returncode == 1
    assert answered.stderr == (
        f"There is no database in {data_dir} yet, and nothing was done. Start the service there"
        f" first: make run 'DATA_DIR={tmp_path}/it'\"'\"'s $$HOME'\n"
    )
    assert not data_dir.exists()


def test_the_demo_says_before_the_first_run_what_to_do_and_makes_nothing(tmp_path: Path) -> None:
    played = start(tmp_path, "scripts.demo", DATA_DIR=tmp_path / "data")

    assert played.returncode == 1
    assert played.stderr.startswith(f"There is no database in {tmp_path}/data yet")
    assert played.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["scripts.demo", "scripts.invoke create_founding_invite"])
def test_a_database_without_a_schema_is_named_with_the_command(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "invite_code_pepper").write_text(PEPPER)
    with Postgres(tmp_path / "own", durable=False) as own:
        refused = start(
            tmp_path, *command.split(), DATA_DIR=tmp_path, DATABASE_URL=own.url("empty")
        )

    assert refused.returncode == 1
    assert refused.stderr == (
        "The database has no schema yet, or one that is older than this release. Nothing was done."
        f" Migrate it first: make invoke FUNCTION=migrate DATA_DIR={tmp_path} DATABASE_URL=...\n"
    )


def test_a_database_of_ones_own_is_migrated_without_a_data_directory(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with Postgres(tmp_path / "own", durable=False) as own:
        place = {"DATA_DIR": data_dir, "DATABASE_URL": own.url("empty")}
        migrated = start(tmp_path, "scripts.invoke", "migrate", **place)
        maintained = start(tmp_path, "scripts.invoke", "maintain_locations", **place)
        founding = start(tmp_path, "scripts.invoke", "create_founding_invite", **place)

    assert json.loads(migrated.stdout) == {"from": None, "to": REVISION}
    assert maintained.returncode == 0
    # Under a key that is not kept, the code could never be redeemed.
    assert founding.returncode == 1
    assert founding.stderr.startswith(f"There is no key for invite codes in {data_dir} yet")
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("role", "function"),
    [
        ("draugar_purge", "purge_expired_invites"),
        ("draugar_maintenance", "maintain_locations"),
    ],
)
def test_a_job_runs_as_the_role_that_may_do_no_more(
    tmp_path: Path, role: str, function: str
) -> None:
    with Postgres(tmp_path / "own", durable=False) as own:
        url = own.url("roles")
        with closing(connect(url)) as operator:
            operator.run(f"CREATE ROLE {role} LOGIN")
        start(tmp_path, "scripts.invoke", "migrate", DATABASE_URL=url)

        ran = start(
            tmp_path,
            "scripts.invoke",
            function,
            DATABASE_URL=url.replace("//postgres@", f"//{role}@"),
        )

    assert ran.stderr.startswith(f'{{"job": "{function}"')
    assert ran.returncode == 0


def test_a_function_that_fails_is_told_in_one_line(tmp_path: Path) -> None:
    with Postgres(tmp_path / "own", durable=False) as own:
        url = own.url("read_only")
        with closing(connect(url)) as operator:
            operator.run("ALTER DATABASE read_only SET default_transaction_read_only = on")

        refused = start(tmp_path, "scripts.invoke", "migrate", DATABASE_URL=url)

    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("migrate has failed: ")


def start(
    tmp_path: Path, module: str, *arguments: str, **environment: object
) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts to its end."""
    given = {"DATA_DIR": tmp_path / "none"} | environment
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name not in FOREIGN}
        | {name: str(value) for name, value in given.items()},
        capture_output=True,
        text=True,
        check=False,
    )
