"""The template is valid, and says of every function and of the gateway what has to be said."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chalicelib.web.endpoint import HEADERS
from scripts import coding
from scripts.package import PROJECT
from tests.api import Api
from tests.bundle.conftest import Bundle

Template = dict[str, Any]

# Each function's secret of the database, beside the pepper, and whether it is run by the clock.
FUNCTIONS = {
    "APIHandler": ("ApiDatabaseSecretArn", False),
    "CreateFoundingInvite": ("ApiDatabaseSecretArn", False),
    "AfterRestore": ("ApiDatabaseSecretArn", False),
    "Migrate": ("MigrationDatabaseSecretArn", False),
    "PurgeExpiredInvites": ("PurgeDatabaseSecretArn", True),
    "MaintainLocations": ("MaintenanceDatabaseSecretArn", True),
}
SCHEDULED = [name for name, (_, scheduled) in FUNCTIONS.items() if scheduled]

# What the gateway answers and the service never does: the status and title of each code.
ANSWERED_BY_THE_GATEWAY_ALONE = {
    "route_not_found": (404, "Not found"),
    "timed_out": (504, "Timed out"),
}


def properties(template: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def documented() -> dict[str, tuple[int, str]]:
    """Return the status and title of each code in docs/errors.md."""
    found: dict[str, tuple[int, str]] = {}
    for section in re.split(r"^## ", (PROJECT / "docs/errors.md").read_text(), flags=re.MULTILINE):
        if heading := re.match(r"(\d{3}) (.+)", section):
            codes = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
            found |= dict.fromkeys(codes, (int(heading[1]), heading[2]))
    return found


def gateway_responses(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = properties(template, "RestAPI")["GatewayResponses"]
    return found


def document_of(response: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response["ResponseTemplates"]["application/json"])
    return found


def test_cloudformation_s_linter_has_nothing_to_say(release: Bundle) -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), release.template],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
    assert "cfn-lint" not in release.template.read_text()


def test_every_function_is_there_with_the_uploaded_code(template: Template) -> None:
    functions = of_type(template, "AWS::Serverless::Function")

    assert functions.keys() == FUNCTIONS.keys()
    for function in functions.values():
        assert function["CodeUri"] == {"Bucket": {"Ref": "CodeBucket"}, "Key": {"Ref": "CodeKey"}}


def test_the_database_gives_up_before_the_function_and_the_function_before_the_gateway(
    template: Template,
) -> None:
    timeouts = {name: properties(template, name)["Timeout"] for name in FUNCTIONS}
    database = {
        name: float(
            properties(template, name)["Environment"]["Variables"]["DATABASE_TIMEOUT_SECONDS"]
        )
        for name in FUNCTIONS
    }

    assert timeouts["APIHandler"] < 29
    # To connect, and to wait for a statement; migrations bring their own limits.
    assert all(2 * database[name] < timeouts[name] for name in FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_write_its_log_and_read_its_secrets_and_nothing_else(
    template: Template, name: str
) -> None:
    secret, scheduled = FUNCTIONS[name]
    function = properties(template, name)
    role = function["Role"]["Fn::GetAtt"][0]

    (policy,) = properties(template, role)["Policies"]

    logs = function["LoggingConfig"]["LogGroup"]["Ref"]
    expected: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"Fn::GetAtt": [logs, "Arn"]},
        },
        {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": [{"Ref": secret}, {"Ref": "PepperSecretArn"}],
        },
    ]
    if scheduled:
        expected.append(
            {
                "Effect": "Allow",
                "Action": "sqs:SendMessage",
                "Resource": {"Fn::GetAtt": ["FailedRuns", "Arn"]},
            }
        )
    assert policy["PolicyDocument"]["Statement"] == expected
    variables = function["Environment"]["Variables"]
    assert variables["DATABASE_SECRET_ARN"] == {"Ref": secret}
    assert variables["PEPPER_SECRET_ARN"] == {"Ref": "PepperSecretArn"}


def test_no_two_functions_share_a_role_or_a_log(template: Template) -> None:
    functions = [properties(template, name) for name in FUNCTIONS]

    roles = {function["Role"]["Fn::GetAtt"][0] for function in functions}
    logs = {function["LoggingConfig"]["LogGroup"]["Ref"] for function in functions}

    assert len(roles) == len(logs) == len(FUNCTIONS)
    assert of_type(template, "AWS::IAM::Role").keys() == roles
    kept = {"RetentionInDays": {"Ref": "LogRetentionDays"}}
    assert of_type(template, "AWS::Logs::LogGroup") == dict.fromkeys(logs, kept)


def test_the_network_is_allowed_only_in_a_vpc(template: Template) -> None:
    assert template["Resources"]["NetworkPolicy"]["Condition"] == "InVpc"
    for role in of_type(template, "AWS::IAM::Role").values():
        assert role["ManagedPolicyArns"] == {
            "Fn::If": ["InVpc", [{"Ref": "NetworkPolicy"}], {"Ref": "AWS::NoValue"}]
        }
    for name in FUNCTIONS:
        assert properties(template, name)["VpcConfig"]["Fn::If"][0] == "InVpc"


def test_no_function_s_own_code_may_use_the_rights_by_which_lambda_connects_it(
    template: Template,
) -> None:
    allowed, denied = properties(template, "NetworkPolicy")["PolicyDocument"]["Statement"]

    assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
    assert all(action.startswith("ec2:") for action in allowed["Action"])
    assert (denied["Action"], denied["Resource"]) == ("ec2:*", "*")
    # A call of the code's carries this key, one of the Lambda service's does not.
    assert denied["Condition"]["ArnLike"].keys() == {"lambda:SourceFunctionArn"}


def test_connections_are_bounded_by_how_many_run_at_once(template: Template) -> None:
    reserved = {
        name: properties(template, name)["ReservedConcurrentExecutions"]["Fn::If"][1]
        for name in FUNCTIONS
    }

    jobs = dict.fromkeys(FUNCTIONS.keys() - {"APIHandler"}, 1)
    assert reserved == {"APIHandler": {"Ref": "ApiConcurrency"}} | jobs


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_scheduled_run_is_tried_again_and_kept_when_given_up(
    template: Template, name: str
) -> None:
    invoked = properties(template, name)["EventInvokeConfig"]

    assert invoked["MaximumRetryAttempts"] == 2
    assert invoked["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["FailedRuns", "Arn"]},
    }
    assert properties(template, "FailedRuns")["SqsManagedSseEnabled"] is True


def test_jobs_run_as_often_as_they_say(template: Template) -> None:
    schedules = {
        name: [
            event["Properties"]["Schedule"]
            for event in properties(template, name).get("Events", {}).values()
        ]
        for name in FUNCTIONS
    }

    assert {name: times for name, times in schedules.items() if times} == {
        "PurgeExpiredInvites": ["rate(1 hour)"],
        "MaintainLocations": ["rate(1 day)"],
    }


def test_every_stage_of_the_gateway_is_throttled(template: Template) -> None:
    api = properties(template, "RestAPI")

    # SAM makes a second stage, without our settings, unless the version is said here.
    assert api["OpenApiVersion"] == api["DefinitionBody"]["swagger"] == "2.0"
    assert api["StageName"] == "v1"
    assert api["MethodSettings"] == [
        {
            "HttpMethod": "*",
            "ResourcePath": "/*",
            "ThrottlingRateLimit": {"Ref": "RequestsPerSecond"},
            "ThrottlingBurstLimit": {"Ref": "RequestBurst"},
        }
    ]


def test_the_gateway_decodes_binary_files_whatever_a_client_accepts(template: Template) -> None:
    body = properties(template, "RestAPI")["DefinitionBody"]

    assert body["x-amazon-apigateway-binary-media-types"] == ["*/*"]


def test_the_gateway_compresses_from_the_size_on_from_which_the_servers_here_do(
    template: Template,
) -> None:
    assert properties(template, "RestAPI")["MinimumCompressionSize"] == coding.SMALLEST


def test_the_gateway_hands_on_every_file_of_the_web_app(template: Template) -> None:
    paths = properties(template, "RestAPI")["DefinitionBody"]["paths"]

    assert {path for path in paths if not path.startswith(("/api/", "/owntracks", "/pub"))} == {
        *("/", "/join", "/sw.js", "/manifest.webmanifest", "/web/config.json", "/web/{name}")
    }


def test_the_gateway_hands_head_on_wherever_it_hands_get_on(template: Template) -> None:
    paths = properties(template, "RestAPI")["DefinitionBody"]["paths"]
    readable = [path for path, methods in paths.items() if "get" in methods]

    assert len(readable) >= 15
    assert [path for path, methods in paths.items() if "head" in methods] == readable
    for path in readable:
        handed_on = "x-amazon-apigateway-integration"
        assert paths[path]["head"][handed_on] == paths[path]["get"][handed_on]


def test_what_the_gateway_answers_has_our_members(template: Template, api: Api) -> None:
    ours = api.get("/api/auth/me").json

    for response in gateway_responses(template).values():
        document = document_of(response)
        assert document.keys() == ours.keys()
        assert document["type"] == f"urn:draugar:problem:{document['code']}"
        assert document["error"] == document["detail"]
        assert document["requestId"] == "$context.requestId"


def test_what_the_gateway_answers_is_documented(template: Template) -> None:
    codes = documented() | ANSWERED_BY_THE_GATEWAY_ALONE

    for response in gateway_responses(template).values():
        document = document_of(response)
        assert (document["status"], document["title"]) == codes[document["code"]]
        assert response["StatusCode"] == str(document["status"])


def test_what_the_gateway_answers_has_our_headers(template: Template) -> None:
    expected = {name: f"'{value}'" for name, value in HEADERS.items()}
    expected["Content-Type"] = "'application/problem+json'"

    for response in gateway_responses(template).values():
        headers = dict(response["ResponseParameters"]["Headers"])
        headers.pop("Retry-After", None)
        assert headers == expected


def test_what_the_gateway_answers_repeats_nothing_that_was_sent(template: Template) -> None:
    said = json.dumps(gateway_responses(template))

    assert set(re.findall(r"\$[\w.]+", said)) == {"$context.requestId"}
    assert "method.request" not in said


def test_each_refusal_of_the_gateway_has_its_status(template: Template) -> None:
    found = {kind: response["StatusCode"] for kind, response in gateway_responses(template).items()}

    assert found == {
        "DEFAULT_4XX": "400",
        "DEFAULT_5XX": "500",
        "INTEGRATION_FAILURE": "504",
        "INTEGRATION_TIMEOUT": "504",
        "INVALID_SIGNATURE": "404",
        "MISSING_AUTHENTICATION_TOKEN": "404",
        "QUOTA_EXCEEDED": "503",
        "REQUEST_TOO_LARGE": "413",
        "RESOURCE_NOT_FOUND": "404",
        "THROTTLED": "503",
    }


@pytest.mark.parametrize("kind", ["THROTTLED", "QUOTA_EXCEEDED"])
def test_a_phone_that_is_throttled_keeps_its_points(template: Template, kind: str) -> None:
    response = gateway_responses(template)[kind]

    assert response["StatusCode"] == "503"
    assert int(response["ResponseParameters"]["Headers"]["Retry-After"].strip("'")) > 0


def test_a_401_says_what_is_wrong_without_the_header_that_the_gateway_renames(api: Api) -> None:
    """API Gateway hands WWW-Authenticate on as x-amzn-Remapped-WWW-Authenticate."""
    answer = api.get("/api/auth/me")

    assert "WWW-Authenticate" in answer.headers
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert "token" in answer.json["detail"]


def test_alarms_watch_answers_throttles_time_and_runs(template: Template) -> None:
    alarms = of_type(template, "AWS::CloudWatch::Alarm")

    watched = {
        name: (alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"][0]["Value"])
        for name, alarm in alarms.items()
    }
    assert watched == {
        "ServerErrors": ("AWS/ApiGateway", "5XXError", {"Ref": "AWS::StackName"}),
        "ApiThrottled": ("AWS/Lambda", "Throttles", {"Ref": "APIHandler"}),
        "ApiSlow": ("AWS/Lambda", "Duration", {"Ref": "APIHandler"}),
        "PurgeFailed": ("AWS/Lambda", "Errors", {"Ref": "PurgeExpiredInvites"}),
        "MaintenanceFailed": ("AWS/Lambda", "Errors", {"Ref": "MaintainLocations"}),
        "RunsGivenUp": (
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"Fn::GetAtt": ["FailedRuns", "QueueName"]},
        ),
    }
    # The API's name in its metrics is the title of its definition.
    body = properties(template, "RestAPI")["DefinitionBody"]
    assert body["info"]["title"] == {"Ref": "AWS::StackName"}
    told = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert all(alarm["AlarmActions"] == told for alarm in alarms.values())


def test_only_where_and_how_to_reach_the_database_has_to_be_said(template: Template) -> None:
    needed = {
        name for name, parameter in template["Parameters"].items() if "Default" not in parameter
    }

    assert needed == {"CodeBucket", "CodeKey", "PepperSecretArn"} | {
        secret for secret, _ in FUNCTIONS.values()
    }
