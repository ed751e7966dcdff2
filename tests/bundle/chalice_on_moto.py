"""`chalice deploy` twice, `chalice url` and `chalice delete`, in a process whose AWS is moto.

    python -m tests.bundle.chalice_on_moto PROJECT

Prints as JSON what was there after each step. moto fails an API without a description and refuses
Swagger 2.0, which is what Chalice sends, so both are set right on their way in.
"""

import json
import sys
from typing import Any
from unittest.mock import patch

import boto3
from chalice.cli import cli
from click.testing import CliRunner
from moto import mock_aws
from moto.apigateway.models import APIGatewayBackend

from tests.database import PEPPER

DATABASE = {"username": "nobody", "password": "", "host": "localhost", "dbname": "nothing"}


def main(project: str) -> None:
    """Take a stage for trying out through its life."""
    _let_chalice_s_documents_pass()
    with mock_aws():
        secrets = boto3.client("secretsmanager")
        secrets.create_secret(Name="draugar/try/database", SecretString=json.dumps(DATABASE))
        secrets.create_secret(Name="draugar/try/pepper", SecretString=PEPPER)
        steps = {}
        for step, command in (
            ("deployed", "deploy"),
            ("found", "url"),
            ("deployed again", "deploy"),
            ("deleted", "delete"),
        ):
            said = _chalice(project, command)
            steps[step] = {"said": said, "there": _there()}
    sys.stdout.write(json.dumps(steps))


def _let_chalice_s_documents_pass() -> None:
    import_api, put_api = APIGatewayBackend.import_rest_api, APIGatewayBackend.put_rest_api

    def mended(document: dict[str, Any]) -> dict[str, Any]:
        rest = {name: value for name, value in document.items() if name != "swagger"}
        return rest | {"openapi": "3.0.0", "info": {"description": ""} | document["info"]}

    def import_mended(self: Any, document: dict[str, Any], *how: Any) -> Any:
        return import_api(self, mended(document), *how)

    def put_mended(self: Any, api: str, document: dict[str, Any], *how: Any, **named: Any) -> Any:
        return put_api(self, api, mended(document), *how, **named)

    patch.object(APIGatewayBackend, "import_rest_api", import_mended).start()
    patch.object(APIGatewayBackend, "put_rest_api", put_mended).start()


def _chalice(project: str, command: str) -> str:
    done = CliRunner().invoke(cli, ["--project-dir", project, command, "--stage", "try"], obj={})
    if done.exit_code:
        sys.exit(f"{done.output}{done.exception!r}")
    return done.output


def _there() -> dict[str, Any]:
    """Return what there is in the account, by AWS's own names for it."""
    functions = boto3.client("lambda").list_functions()["Functions"]
    iam, events = boto3.client("iam"), boto3.client("events")
    return {
        "apis": [api["id"] for api in boto3.client("apigateway").get_rest_apis()["items"]],
        "functions": {
            function["FunctionName"]: {
                "handler": function["Handler"],
                "timeout": function["Timeout"],
                "role": function["Role"].rpartition("/")[2],
                "variables": function["Environment"]["Variables"],
                "invoked by": _invoked_by(function["FunctionName"]),
            }
            for function in functions
        },
        "roles": {
            role["RoleName"]: [
                statement
                for policy in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
                for statement in iam.get_role_policy(RoleName=role["RoleName"], PolicyName=policy)[
                    "PolicyDocument"
                ]["Statement"]
            ]
            for role in iam.list_roles()["Roles"]
        },
        "schedules": {
            target["Arn"].rpartition(":")[2]: rule["ScheduleExpression"]
            for rule in events.list_rules()["Rules"]
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        },
    }


def _invoked_by(function: str) -> list[str]:
    client = boto3.client("lambda")
    try:
        policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return []
    return [statement["Principal"]["Service"] for statement in policy["Statement"]]


if __name__ == "__main__":
    main(sys.argv[1])
