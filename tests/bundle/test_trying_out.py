"""A stage for trying out, by `chalice deploy` alone."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from scripts.package import PROJECT
from tests.bundle.conftest import copy_of_the_project

pytestmark = pytest.mark.full

TIMEOUTS = {
    "after_restore": 20,
    "create_founding_invite": 20,
    "maintain_locations": 20,
    "migrate": 900,
    "purge_expired_invites": 20,
}
SCHEDULES = {"maintain_locations": "rate(1 day)", "purge_expired_invites": "rate(1 hour)"}
SECRETS = {
    "DATABASE_SECRET_ARN": "draugar/try/database",
    "PEPPER_SECRET_ARN": "draugar/try/pepper",
}


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was said, and what was there, after each step of a stage's life."""
    project = copy_of_the_project(tmp_path_factory.mktemp("try") / "it", architecture="x86_64")
    inherited = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bundle.chalice_on_moto", project],
        cwd=PROJECT,
        # The stage brings the settings.
        env=inherited
        | {
            "PATH": os.environ["PATH"],
            "HOME": str(project),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-north-1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


@pytest.mark.parametrize("step", ["deployed", "deployed again"])
def test_every_function_is_deployed_with_its_handler_and_the_stage_s_secrets(
    steps: dict[str, Any], step: str
) -> None:
    functions = dict(steps[step]["there"]["functions"])

    api = functions.pop("draugar-try")
    assert (api["handler"], api["timeout"], api["variables"]) == ("app.app", 20, SECRETS)
    assert functions.keys() == {f"draugar-try-{name}" for name in TIMEOUTS}
    for name, timeout in TIMEOUTS.items():
        function = functions[f"draugar-try-{name}"]
        assert function["handler"] == f"chalicelib.jobs.{name}.{name}"
        assert (function["timeout"], function["variables"]) == (timeout, SECRETS)


@pytest.mark.parametrize("step", ["deployed", "deployed again"])
def test_the_gateway_invokes_the_api_and_the_clock_the_scheduled_jobs(
    steps: dict[str, Any], step: str
) -> None:
    there = steps[step]["there"]

    invoked = {
        name: function["invoked by"]
        for name, function in there["functions"].items()
        if function["invoked by"]
    }
    schedules = {f"draugar-try-{name}": times for name, times in SCHEDULES.items()}
    by_the_clock = {name: ["events.amazonaws.com"] for name in schedules}
    assert there["schedules"] == schedules
    assert invoked == {"draugar-try": ["apigateway.amazonaws.com"]} | by_the_clock


def test_each_function_has_a_role_that_reads_this_stage_s_secrets_alone(
    steps: dict[str, Any],
) -> None:
    there = steps["deployed again"]["there"]

    assert {function["role"] for function in there["functions"].values()} == there["roles"].keys()
    assert len(there["roles"]) == len(there["functions"])
    for statements in there["roles"].values():
        logs, secrets = statements
        assert logs["Resource"] == "arn:*:logs:*:*:log-group:/aws/lambda/draugar-try*"
        assert secrets["Action"] == "secretsmanager:GetSecretValue"
        assert secrets["Resource"] == "arn:*:secretsmanager:*:*:secret:draugar/try/*"


def test_its_address_is_found_and_stays_when_it_is_deployed_again(steps: dict[str, Any]) -> None:
    (api,) = steps["deployed"]["there"]["apis"]

    expected = f"https://{api}.execute-api.eu-north-1.amazonaws.com/v1/"
    assert steps["found"]["said"].strip() == expected
    assert steps["deployed again"]["there"]["apis"] == [api]


def test_nothing_is_left_when_it_is_deleted(steps: dict[str, Any]) -> None:
    there = steps["deleted"]["there"]

    assert there == {"apis": [], "functions": {}, "roles": {}, "schedules": {}}
