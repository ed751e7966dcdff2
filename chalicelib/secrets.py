"""What AWS keeps for us: secrets in Secrets Manager, and passwords that IAM makes.

boto3 comes with Lambda's runtime, and takes a third of a second to load: only whoever asks for a
secret pays for it.
"""

from functools import cache
from typing import Any


class SecretUnavailable(Exception):
    """A secret cannot be had. The text says why, in AWS's word for it, and holds nothing of it."""


def fetch(arn: str) -> str:
    """Return a secret's text as it is now. Raises SecretUnavailable."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        text = _client("secretsmanager").get_secret_value(SecretId=arn).get("SecretString")
    except ClientError as error:
        raise SecretUnavailable(str(error.response["Error"]["Code"])) from None
    except BotoCoreError as error:
        raise SecretUnavailable(type(error).__name__) from None
    if text is None:
        raise SecretUnavailable("it is binary")
    return str(text)


def database_password(*, host: str, port: int, user: str) -> str:
    """Return a password for the database, good for 15 minutes, made with the function's own role.

    Nothing is asked of AWS: it is a signature. Raises SecretUnavailable.
    """
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    try:
        return str(
            _client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
        )
    except BotoCoreError as error:
        raise SecretUnavailable(type(error).__name__) from None


@cache
def _client(service: str) -> Any:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    patience = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 2})
    return boto3.client(service, config=patience)
