"""`make invoke`, which runs a function of the bundle on this machine."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .runs import PROJECT, Run


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
    run.kill()

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
