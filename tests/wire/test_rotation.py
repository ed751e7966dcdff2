"""A password that is changed while the service runs; moto stands in for Secrets Manager."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from moto import mock_aws
from sqlalchemy import literal_column, select

from chalicelib import secrets
from chalicelib.db import Compiled, one_statement, wire
from chalicelib.db import engine as engines
from chalicelib.errors import Unavailable
from chalicelib.settings import Settings
from tests.servers import TlsServer, arguments, serving

pytestmark = pytest.mark.tools("postgresql")

ONE = Compiled(lambda: select(literal_column("1").label("one")))
ENVIRONMENT = {"INVITE_CODE_PEPPER": "0123456789abcdef" * 2}


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "opens-nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    with mock_aws():
        secrets._client.cache_clear()
        yield boto3.client("secretsmanager")
    secrets._client.cache_clear()


@pytest.fixture
def operator(debian: TlsServer) -> Iterator[Any]:
    """Whoever keeps the role `rotated`, whose password is `first`."""
    with wire.connect(**arguments(debian.url)) as connection:
        connection.autocommit = True
        connection.run("CREATE ROLE rotated LOGIN PASSWORD 'first'")
        yield connection
        connection.run("DROP ROLE rotated")


def held(password: str) -> str:
    return json.dumps({"username": "rotated", "password": password})


def sign_in_anew() -> int:
    """Use a connection that is made for it."""
    engines.engine().pool.dispose()
    with one_statement() as connection:
        return int(connection.execute(ONE, {})[0].one)


def test_a_rotated_password_is_fetched_and_another_one_refused(
    debian: TlsServer, manager: Any, operator: Any
) -> None:
    arn = manager.create_secret(Name="database", SecretString=held("first"))["ARN"]
    parts = urlsplit(debian.url)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    settings = Settings.from_environment(
        ENVIRONMENT | {"DATABASE_URL": url, "DATABASE_SECRET_ARN": arn}
    )
    with serving(debian.url, database=settings.database, database_source=settings.database_source):
        assert sign_in_anew() == 1

        operator.run("ALTER ROLE rotated PASSWORD 'second'")
        with pytest.raises(Unavailable) as refused:
            sign_in_anew()  # the secret is still the old one
        manager.put_secret_value(SecretId=arn, SecretString=held("second"))

        assert [sign_in_anew(), sign_in_anew()] == [1, 1]
        assert "first" not in f"{refused.value!r} {refused.value.__cause__!r}"


def test_without_credentials_for_iam_the_database_counts_as_away(
    debian: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    secrets._client.cache_clear()

    with serving(debian.url, iam=True), pytest.raises(Unavailable):
        sign_in_anew()

    secrets._client.cache_clear()
