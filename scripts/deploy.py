"""A stage's release, and its end: `make deploy`, `make destroy`.

    python -m scripts.deploy
    python -m scripts.deploy destroy

The environment says STAGE (prod), BUCKET (of S3, for the bundle) and PARAMETERS (of the template,
NAME=VALUE, separated by spaces). Bucket and parameters are remembered by the stack, so they are
needed the first time and for changes. Credentials and region are found where AWS's own tools find
them. Destroying asks for the stage's name, unless CONFIRM says it.

A release is three steps, and each stops everything when it fails:

1. The bundle is uploaded, and a change set made of its template: CloudFormation says what is wrong
   before anything happens.
2. The new code goes to the migrate function, alone, which is then invoked. The other functions go
   on with the old code; a migration is written so that they can.
3. The change set is executed. If that fails, CloudFormation goes back to the old code by itself,
   which works on the new schema as it did in step 2.

The first release has no function to migrate with, so there 3 comes before 2: until the migration
is done, the API answers that it is not ready. What a first release that failed has left behind is
deleted by the next one: it was never in use, and the database is not part of it.

What is given is checked before the bundle is made, which takes a minute.
"""

import hashlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    WaiterError,
)

from scripts.package import Bundle, package, parameters_of_the_template, require_releasable

# A migration may take as long as its function may, and is not to be started twice.
PATIENCE = Config(read_timeout=910, retries={"total_max_attempts": 1}, tcp_keepalive=True)


# What CloudFormation changes no more, and how an operator goes on.
STUCK = {
    "UPDATE_ROLLBACK_FAILED": "aws cloudformation continue-update-rollback --stack-name {name}",
    "DELETE_FAILED": "make destroy STAGE={stage}",
}

# What a stack is that was never finished: it can only be deleted.
NEVER_FINISHED = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"}


def check(
    stage: str, known: dict[str, Any], *, bucket: str | None, given: dict[str, str]
) -> tuple["Stack", str]:
    """Check what is given for a release against the parameters that its template takes.

    Returns the stack and the bucket. Raises SystemExit.
    """
    stack = Stack(stage)
    if stack.status.endswith("_IN_PROGRESS") and stack.exists:
        sys.exit(f"{stack.name} is being changed ({stack.status}). Wait, and deploy again.")
    if way_out := STUCK.get(stack.status):
        command = way_out.format(name=stack.name, stage=stage)
        sys.exit(
            f"{stack.name} cannot be changed as it is ({stack.status}), and nothing has been"
            f" released. Mend what failed, run this and deploy again: {command}"
        )
    bucket = bucket or stack.parameters.get("CodeBucket")
    problems = [] if bucket else ["Say which S3 bucket takes the bundle: BUCKET="]
    if unknown := given.keys() - known.keys():
        problems.append(f"The template has no parameter {', '.join(sorted(unknown))}.")
    needed = {name for name, parameter in known.items() if "Default" not in parameter}
    if missing := needed - OURS - given.keys() - stack.parameters.keys():
        problems += ["Give in PARAMETERS:", *(f"  {name}=" for name in sorted(missing))]
    if problems or bucket is None:
        sys.exit("\n".join([*problems, "Nothing has been released."]))
    return stack, bucket


OURS = {"CodeBucket", "CodeKey"}
"""The parameters that a release sets by itself."""


def deploy(stage: str, bundle: Bundle, *, bucket: str | None, given: dict[str, str]) -> None:
    """Release a bundle. `given` are parameters of its template. Raises SystemExit."""
    template = json.loads(bundle.template.read_text())
    stack, bucket = check(stage, template["Parameters"], bucket=bucket, given=given)
    if stack.status in NEVER_FINISHED:
        print(f"The first release of {stack.name} has failed: what it left is deleted first.")
        stack.delete()
    key = _upload(bundle.code, bucket, stage)
    url = f"{_client('s3').meta.endpoint_url}/{bucket}/{_upload(bundle.template, bucket, stage)}"
    parameters = _parameters(
        template, given | {"CodeBucket": bucket, "CodeKey": key}, stack.parameters
    )

    change_set = stack.prepare(url, parameters)
    if stack.exists:
        function = stack.physical_id("Migrate")
        architectures = template["Resources"]["Migrate"]["Properties"]["Architectures"]
        _replace_code(function, bucket, key, architectures)
        _migrate(function, otherwise="The release before goes on serving, unchanged.")
    if change_set is None:
        print("Nothing else is to be changed.")
    else:
        print("Updating the functions and what is around them (some minutes).")
        stack.execute(change_set)
    if not stack.exists:
        _migrate(
            stack.physical_id("Migrate"),
            otherwise="The stack stands, without a schema. Mend what is wrong and deploy again.",
        )
        invoked = stack.physical_id("CreateFoundingInvite")
        print(f"There is no user yet: aws lambda invoke --function-name {invoked} /dev/stdout")
    print(f"{stage} is released: {stack.output('EndpointURL')}")


def destroy(stage: str, *, confirmed: str | None) -> None:
    """Delete a stage's stack and its bundles; its database stays. Raises SystemExit."""
    stack = Stack(stage)
    if not stack.exists:
        sys.exit(f"There is no stack {stack.name}.")
    if confirmed is None:
        confirmed = input(f"This deletes {stack.name}. Type {stage} to go on: ")
    if confirmed != stage:
        sys.exit("Nothing has been deleted.")
    stack.delete()
    bucket = boto3.resource("s3").Bucket(stack.parameters["CodeBucket"])
    bucket.objects.filter(Prefix=f"{stage}/").delete()
    print(f"{stack.name} is gone. Its database, its secrets and the bucket are as they were.")


class Stack:
    """A stage's CloudFormation stack, as it is when this is made."""

    def __init__(self, stage: str) -> None:
        self.name = f"draugar-{stage}"
        self._client = _client("cloudformation")
        try:
            (described,) = self._client.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            described = {}
        # A change set that was never executed leaves the name of a stack, and no stack.
        self.status: str = described.get("StackStatus", "REVIEW_IN_PROGRESS")
        self.exists = self.status != "REVIEW_IN_PROGRESS"
        self.parameters: dict[str, str] = {
            parameter["ParameterKey"]: parameter["ParameterValue"]
            for parameter in described.get("Parameters", [])
        }

    def prepare(self, url: str, parameters: list[dict[str, str]]) -> str | None:
        """Make a change set and return its id, or None where nothing would change."""
        made = self._client.create_change_set(
            StackName=self.name,
            ChangeSetName=f"release-{time.time_ns()}",
            ChangeSetType="UPDATE" if self.exists else "CREATE",
            TemplateURL=url,
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        change_set: str = made["Id"]
        try:
            waiter = self._client.get_waiter("change_set_create_complete")
            waiter.wait(ChangeSetName=change_set, WaiterConfig={"Delay": 5})
        except WaiterError as error:
            reason = error.last_response.get("StatusReason", str(error))
            if "didn't contain changes" in reason or "No updates" in reason:
                return None
            sys.exit(f"CloudFormation does not take the template: {reason}")
        return change_set

    def execute(self, change_set: str) -> None:
        """Execute a change set and wait for its end."""
        self._client.execute_change_set(ChangeSetName=change_set)
        self._wait("stack_update_complete" if self.exists else "stack_create_complete")

    def delete(self) -> None:
        """Delete the stack and wait for its end; its parameters are still known here."""
        self._client.delete_stack(StackName=self.name)
        self._wait("stack_delete_complete")
        self.status, self.exists = "REVIEW_IN_PROGRESS", False

    def physical_id(self, resource: str) -> str:
        """Return the name that a resource of the template has in AWS."""
        described = self._client.describe_stack_resource(
            StackName=self.name, LogicalResourceId=resource
        )
        return str(described["StackResourceDetail"]["PhysicalResourceId"])

    def output(self, name: str) -> str | None:
        """Return an output of the template."""
        (described,) = self._client.describe_stacks(StackName=self.name)["Stacks"]
        outputs = described.get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}.get(name)

    def _wait(self, end: str) -> None:
        try:
            self._client.get_waiter(end).wait(
                StackName=self.name, WaiterConfig={"Delay": 10, "MaxAttempts": 360}
            )
        except WaiterError:
            events = self._client.describe_stack_events(StackName=self.name)["StackEvents"]
            failures = [
                f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
                for event in reversed(events)
                if event["ResourceStatus"].endswith("_FAILED") and "ResourceStatusReason" in event
            ]
            again = [] if self.exists else ["Mend what is wrong, and run the same command again."]
            sys.exit("\n".join([f"{self.name} could not be changed.", *failures[:3], *again]))


def _upload(file: Path, bucket: str, stage: str) -> str:
    content = file.read_bytes()
    key = f"{stage}/{hashlib.sha256(content).hexdigest()}{file.suffix}"
    _client("s3").put_object(Bucket=bucket, Key=key, Body=content)
    return key


def _parameters(
    template: dict[str, Any], given: dict[str, str], before: dict[str, str]
) -> list[dict[str, str]]:
    values = before | given
    return [
        {"ParameterKey": name, "ParameterValue": values[name]}
        for name in template["Parameters"]
        if name in values
    ]


def _replace_code(function: str, bucket: str, key: str, architectures: list[str]) -> None:
    client = _client("lambda")
    client.update_function_code(
        FunctionName=function, S3Bucket=bucket, S3Key=key, Architectures=architectures
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=function)


def _migrate(function: str, *, otherwise: str) -> None:
    print("Migrating the database.")
    answer = _client("lambda").invoke(FunctionName=function, Payload=b"{}")
    payload = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        sys.exit(f"The migration has failed: {payload.get('errorMessage')}\n{otherwise}")
    print(
        payload.get("note")
        or f"The schema is at {payload['to']}; it was at {payload['from'] or 'nothing'}."
    )


def _client(service: str) -> Any:
    return boto3.client(service, config=PATIENCE if service == "lambda" else None)


def main() -> None:
    """Release the stage, or destroy it."""
    stage = os.environ.get("STAGE") or "prod"
    try:
        if sys.argv[1:] == ["destroy"]:
            destroy(stage, confirmed=os.environ.get("CONFIRM") or None)
        else:
            require_releasable(stage)
            bucket, given = os.environ.get("BUCKET") or None, _pairs()
            check(stage, parameters_of_the_template(), bucket=bucket, given=given)
            deploy(stage, package(stage), bucket=bucket, given=given)
    except NoRegionError:
        sys.exit(
            "No AWS region is set, and nothing was done. Name one: make deploy"
            f" STAGE={stage} AWS_DEFAULT_REGION=eu-north-1 ..."
        )
    except NoCredentialsError:
        sys.exit("There are no credentials for AWS, and nothing was done. Set them: aws configure")
    except (BotoCoreError, ClientError) as error:
        sys.exit(str(error))


def _pairs() -> dict[str, str]:
    try:
        pairs = shlex.split(os.environ.get("PARAMETERS") or "")
    except ValueError as error:
        sys.exit(f"PARAMETERS cannot be read ({error}). They are NAME=VALUE, separated by spaces.")
    if not all("=" in pair for pair in pairs):
        sys.exit("PARAMETERS are NAME=VALUE, separated by spaces.")
    return dict(pair.split("=", 1) for pair in pairs)


if __name__ == "__main__":
    main()
