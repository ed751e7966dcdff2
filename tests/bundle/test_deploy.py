"""`make deploy` and `make destroy` against moto: its S3, CloudFormation and Lambda.

moto knows nothing of SAM, whose types CloudFormation expands on its side, so the template is handed
over with its functions and its API as what they become. It runs no functions and does not see that
nothing has changed, so what `migrate` answers, that it fails, and that there is no change are said
here. That the real CloudFormation takes the template is shown by its linter alone.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts import deploy
from scripts.package import Bundle as Packaged
from scripts.package import parameters_of_the_template
from tests.bundle.test_template import FUNCTIONS

GIVEN = {
    "ApiDatabaseSecretArn": "arn:aws:secretsmanager:eu-north-1:123456789012:secret:api",
    "PurgeDatabaseSecretArn": "arn:aws:secretsmanager:eu-north-1:123456789012:secret:purge",
    "MaintenanceDatabaseSecretArn": "arn:aws:secretsmanager:eu-north-1:123456789012:secret:upkeep",
    "MigrationDatabaseSecretArn": "arn:aws:secretsmanager:eu-north-1:123456789012:secret:owner",
    "PepperSecretArn": "arn:aws:secretsmanager:eu-north-1:123456789012:secret:pepper",
    # moto takes it for a change when a default is said, and cannot change a log group.
    "LogRetentionDays": "30",
}
BUCKET = "bundles"
STACK = "draugar-prod"


def expanded(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template with what CloudFormation makes of SAM's types."""
    resources = {}
    for name, resource in template["Resources"].items():
        properties = dict(resource["Properties"])
        kind = resource["Type"]
        if kind == "AWS::Serverless::Function":
            location = properties.pop("CodeUri")
            properties["Code"] = {"S3Bucket": location["Bucket"], "S3Key": location["Key"]}
            for elsewhere in ("Events", "EventInvokeConfig", "Tags"):
                properties.pop(elsewhere, None)
            kind = "AWS::Lambda::Function"
        elif kind == "AWS::Serverless::Api":
            properties = {"Name": properties["DefinitionBody"]["info"]["title"]}
            kind = "AWS::ApiGateway::RestApi"
        elif kind == "AWS::CloudWatch::Alarm" or "Condition" in resource:
            continue  # moto's stacks have none, and trip over what a condition leaves out
        resources[name] = resource | {"Type": kind, "Properties": properties}
    without_sam = {name: value for name, value in template.items() if name != "Transform"}
    return without_sam | {"Resources": resources}


class Aws:
    """An account in which bundles can be released."""

    def __init__(self, directory: Path, template: dict[str, Any]) -> None:
        self.invoked: list[dict[str, str]] = []
        self.fails = False
        self.finds_changes = True
        self.status: str | None = None
        self.note: str | None = None
        self._directory = directory
        self._template = template

    def release(self, code: str, **given: str) -> None:
        """Release a bundle whose code is this."""
        archive = self._directory / "deployment.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(zipfile.ZipInfo("app.py"), code)
        template = self._directory / "template.json"
        template.write_text(json.dumps(self._template))
        bundle = Packaged(archive, template)
        deploy.deploy("prod", bundle, bucket=given.pop("bucket", None), given=given)

    def running(self) -> dict[str, str]:
        """Return the hash of the code that each function of the stack runs."""
        client = boto3.client("lambda")
        return {
            resource["LogicalResourceId"]: client.get_function(
                FunctionName=resource["PhysicalResourceId"]
            )["Configuration"]["CodeSha256"]
            for resource in self.resources()
            if resource["ResourceType"] == "AWS::Lambda::Function"
        }

    def resources(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = boto3.client("cloudformation").list_stack_resources(
            StackName=STACK
        )["StackResourceSummaries"]
        return found

    def keys(self) -> set[str]:
        """Return the names of the objects in the bucket."""
        listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET)
        return {entry["Key"] for entry in listed.get("Contents", [])}

    def note_invocation(self, **_: object) -> None:
        self.invoked.append(self.running())

    def answer(self, parsed: dict[str, Any], **_: object) -> None:
        said: dict[str, str | None] = {"from": None, "to": "0042"}
        if self.fails:
            parsed["FunctionError"] = "Unhandled"
            said = {"errorType": "JobFailed", "errorMessage": "LockNotAvailable 55P03"}
        if self.note:
            said = {"from": "9999", "to": "9999", "note": self.note}
        parsed["Payload"] = io.BytesIO(json.dumps(said).encode())

    def describe(self, parsed: dict[str, Any], **_: object) -> None:
        """Say that the stack is in a state that moto's never are in."""
        for stack in parsed.get("Stacks", []):
            stack["StackStatus"] = self.status or stack["StackStatus"]

    def note_deletion(self, **_: object) -> None:
        self.status = None

    def refuse_an_update(self, params: dict[str, Any], **_: object) -> None:
        """Refuse what CloudFormation refuses in that state."""
        update = b"ChangeSetType=UPDATE" in str(params["body"]).encode() or (
            params["body"].get("ChangeSetType") == "UPDATE"
        )
        assert not (self.status and update), f"{self.status}: can not be updated"

    def compare(self, parsed: dict[str, Any], **_: object) -> None:
        if not self.finds_changes:
            parsed["Status"] = "FAILED"
            parsed["StatusReason"] = "The submitted information didn't contain changes."


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, template: dict[str, Any]) -> Iterator[Aws]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws(config={"lambda": {"use_docker": False}}):
        boto3.setup_default_session()
        boto3.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"}
        )
        account = Aws(tmp_path, expanded(template))
        events = boto3.DEFAULT_SESSION.events
        events.register("before-call.lambda.Invoke", account.note_invocation)
        events.register("after-call.lambda.Invoke", account.answer)
        events.register("after-call.cloudformation.DescribeChangeSet", account.compare)
        events.register("after-call.cloudformation.DescribeStacks", account.describe)
        events.register("before-call.cloudformation.DeleteStack", account.note_deletion)
        events.register("before-call.cloudformation.CreateChangeSet", account.refuse_an_update)
        yield account
    boto3.DEFAULT_SESSION = None


def test_the_first_release_makes_the_stack_and_then_migrates(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)

    running = aws.running()
    assert running.keys() == FUNCTIONS.keys()
    assert len(set(running.values())) == 1
    assert aws.invoked == [running]
    said = capsys.readouterr().out
    assert "The schema is at 0042; it was at nothing." in said
    assert "aws lambda invoke --function-name draugar-prod-CreateFoundingInvite-" in said


def test_code_and_template_are_kept_by_their_contents(aws: Aws) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    first = aws.keys()

    aws.release("two")

    assert first < aws.keys()
    assert len(first) == 2
    for key in first:
        content = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert key.partition("/")[2].partition(".")[0] == hashlib.sha256(content).hexdigest()


def test_the_next_release_migrates_while_the_old_code_serves(aws: Aws) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    old = aws.running()

    aws.release("two")

    new = aws.running()
    assert set(new.values()).isdisjoint(old.values())
    assert aws.invoked[1:] == [old | {"Migrate": new["Migrate"]}]
    assert set(new.values()) == {new["Migrate"]}


def test_nothing_but_migrate_changes_when_the_migration_fails(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    old = aws.running()
    aws.fails = True

    with pytest.raises(SystemExit) as failed:
        aws.release("two")

    assert str(failed.value) == (
        "The migration has failed: LockNotAvailable 55P03\n"
        "The release before goes on serving, unchanged."
    )
    now = aws.running()
    assert now.pop("Migrate") != old.pop("Migrate")
    assert now == old
    assert capsys.readouterr().out.count("is released") == 1


def test_a_release_after_a_failed_one_goes_through(aws: Aws) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    aws.fails = True
    with pytest.raises(SystemExit):
        aws.release("two")
    aws.fails = False

    aws.release("three")

    assert len(set(aws.running().values())) == 1
    assert len(aws.invoked) == 3


def test_a_first_release_whose_migration_failed_is_finished_by_releasing_again(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.fails = True
    with pytest.raises(SystemExit, match="The stack stands, without a schema"):
        aws.release("one", bucket=BUCKET, **GIVEN)
    aws.fails = False

    aws.release("one")

    assert len(aws.invoked) == 2
    assert "prod is released" in capsys.readouterr().out


def test_what_is_released_already_is_migrated_and_not_changed(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    aws.finds_changes = False

    aws.release("one")

    assert len(aws.invoked) == 2
    assert "Nothing else is to be changed." in capsys.readouterr().out


def test_parameters_stay_until_they_are_given_anew(aws: Aws) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN, RequestBurst="7")

    aws.release("two", PepperSecretArn="arn:aws:secretsmanager:eu-north-1:1:secret:new")

    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    now = {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack["Parameters"]}
    assert now["RequestBurst"] == "7"
    assert now["PepperSecretArn"].endswith(":new")
    assert now["ApiDatabaseSecretArn"] == GIVEN["ApiDatabaseSecretArn"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "BUCKET="),
        ({"bucket": BUCKET}, "PepperSecretArn="),
        ({"bucket": BUCKET, **GIVEN, "PepperArn": "x"}, "no parameter PepperArn"),
        ({"PepperArn": "x"}, "BUCKET=\n.*no parameter PepperArn.\n.*ApiDatabaseSecretArn="),
    ],
)
def test_what_is_missing_or_unknown_is_named_before_anything_happens(
    aws: Aws, given: dict[str, str], said: str
) -> None:
    with pytest.raises(SystemExit, match=f"(?s){said}"):
        aws.release("one", **given)

    assert boto3.client("cloudformation").describe_stacks()["Stacks"] == []


def test_a_stage_is_destroyed_when_its_name_is_said(aws: Aws) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    boto3.client("s3").put_object(Bucket=BUCKET, Key="other/file", Body=b"")

    deploy.destroy("prod", confirmed="prod")

    assert boto3.client("cloudformation").describe_stacks()["Stacks"] == []
    assert boto3.client("lambda").list_functions()["Functions"] == []
    assert aws.keys() == {"other/file"}


def test_a_stage_is_not_destroyed_by_another_word(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    monkeypatch.setattr("builtins.input", lambda _: "yes")

    with pytest.raises(SystemExit, match="Nothing has been deleted"):
        deploy.destroy("prod", confirmed=None)

    assert aws.running().keys() == FUNCTIONS.keys()


@pytest.mark.usefixtures("aws")
def test_what_is_not_there_cannot_be_destroyed() -> None:
    with pytest.raises(SystemExit, match="There is no stack draugar-prod"):
        deploy.destroy("prod", confirmed="prod")


@pytest.mark.parametrize("status", sorted(deploy.NEVER_FINISHED))
def test_a_first_release_that_failed_is_deleted_and_made_again(
    aws: Aws, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    (before,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    aws.status = status

    aws.release("two")

    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackId"] != before["StackId"]
    assert len(set(aws.running().values())) == 1
    said = capsys.readouterr().out
    assert "The first release of draugar-prod has failed: what it left is deleted first." in said
    assert said.count("There is no user yet: aws lambda invoke --function-name draugar-prod-") == 2


def test_a_stack_that_is_being_changed_is_left_alone(aws: Aws) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    aws.status = "UPDATE_IN_PROGRESS"

    with pytest.raises(SystemExit, match="is being changed"):
        aws.release("two")

    assert len(aws.invoked) == 1


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws cloudformation continue-update-rollback --stack-name draugar-prod",
        ),
        ("DELETE_FAILED", "make destroy STAGE=prod"),
    ],
)
def test_a_stack_that_is_stuck_is_left_with_the_command_that_helps(
    aws: Aws, status: str, command: str
) -> None:
    aws.release("one", bucket=BUCKET, **GIVEN)
    aws.status = status

    with pytest.raises(SystemExit) as refused:
        aws.release("two")

    assert str(refused.value).endswith(f"deploy again: {command}")
    assert len(aws.invoked) == 1


def test_a_new_account_can_take_the_first_release_as_it_is(
    aws: Aws, template: dict[str, Any]
) -> None:
    """It may run ten functions at once, and AWS allows no reservation of any of those."""
    aws.release("one", bucket=BUCKET, **GIVEN)

    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    given = {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack["Parameters"]}
    concurrency = given.get("ApiConcurrency", template["Parameters"]["ApiConcurrency"]["Default"])
    assert int(concurrency) == 0


def test_the_former_release_goes_back_onto_a_newer_schema(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.release("new", bucket=BUCKET, **GIVEN)
    new = aws.running()
    # What its migrate function answers there: tests/jobs/test_migrate.py.
    aws.note = "The schema is at 9999, newer than this release. It was left unchanged."

    aws.release("former")

    assert set(aws.running().values()).isdisjoint(new.values())
    said = capsys.readouterr().out
    assert f"\n{aws.note}\n" in said
    assert "The schema is at 9999; it was" not in said
    assert said.count("prod is released") == 2


@pytest.fixture
def unpackaged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were packaged: making a bundle takes a minute, so none should be."""
    packaged: list[str] = []
    monkeypatch.setattr(deploy, "package", packaged.append)
    monkeypatch.setattr("sys.argv", ["deploy"])
    for name in ("STAGE", "BUCKET", "PARAMETERS", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    return packaged


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "BUCKET="),
        ({"BUCKET": BUCKET}, "  PepperSecretArn="),
        ({"BUCKET": BUCKET, "PARAMETERS": "PepperArn=x"}, "no parameter PepperArn"),
        ({"BUCKET": BUCKET, "PARAMETERS": "PepperSecretArn"}, "PARAMETERS are NAME=VALUE"),
        ({"BUCKET": BUCKET, "PARAMETERS": "PepperSecretArn='x"}, "PARAMETERS cannot be read"),
        ({"STAGE": "try"}, "chalice deploy --stage try"),
        ({"STAGE": "local"}, "make run"),
        ({"STAGE": "nowhere"}, "STAGE is one of prod"),
    ],
)
def test_what_is_given_is_checked_before_the_bundle_is_made(
    monkeypatch: pytest.MonkeyPatch,
    unpackaged: list[str],
    environment: dict[str, str],
    said: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit, match=said):
        deploy.main()

    assert unpackaged == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["AWS_DEFAULT_REGION"], "No AWS region is set, and nothing was done."),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "There are no credentials for AWS"),
    ],
    ids=["region", "credentials"],
)
def test_what_aws_needs_is_named_before_the_bundle_is_made(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    unpackaged: list[str],
    missing: list[str],
    said: str,
) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    for name in names:
        monkeypatch.setenv(name, "eu-north-1")
    for name in missing:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    boto3.DEFAULT_SESSION = None

    with pytest.raises(SystemExit, match=said):
        deploy.main()

    assert unpackaged == []


def test_parameters_are_known_before_the_template_is_made(template: dict[str, Any]) -> None:
    assert parameters_of_the_template() == template["Parameters"]
