"""Settings that are kept in Secrets Manager, for which moto stands in."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import secrets
from chalicelib.settings import Settings, SettingsError

PEPPER = "0123456789abcdef" * 2
HELD = {
    "engine": "postgres",
    "host": "db.example.org",
    "port": 6543,
    "dbname": "draugar",
    "username": "una",
    "password": "open-sesame/@:?",
}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Secrets Manager, empty."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "opens-nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    with mock_aws():
        secrets._client.cache_clear()
        yield boto3.client("secretsmanager")
    secrets._client.cache_clear()


def keep(aws: Any, name: str, text: str) -> str:
    return str(aws.create_secret(Name=name, SecretString=text)["ARN"])


def test_the_database_and_the_pepper_may_be_kept_as_secrets(aws: Any) -> None:
    environment = {
        "DATABASE_SECRET_ARN": keep(aws, "database", json.dumps(HELD)),
        "PEPPER_SECRET_ARN": keep(aws, "pepper", PEPPER),
    }

    settings = Settings.from_environment(environment)

    address = settings.database
    assert (address.host, address.port, address.database) == ("db.example.org", 6543, "draugar")
    assert (address.user, address.password) == ("una", "open-sesame/@:?")
    assert address.sslmode == "verify-full"
    assert settings.pepper == PEPPER.encode()


def test_a_secret_may_hold_the_login_alone_where_a_url_says_the_rest(aws: Any) -> None:
    # As RDS keeps the password that it manages itself.
    login = {"username": "una", "password": "open-sesame"}
    environment = {
        "DATABASE_URL": f"postgresql://db.example.org/draugar?sslrootcert={__file__}",
        "DATABASE_SECRET_ARN": keep(aws, "login", json.dumps(login)),
        "INVITE_CODE_PEPPER": PEPPER,
    }

    address = Settings.from_environment(environment).database

    assert (address.user, address.password, address.port) == ("una", "open-sesame", 5432)
    assert address.sslrootcert == __file__


@pytest.mark.parametrize(
    "text",
    [
        "open-sesame",
        "[]",
        "null",
        '"open-sesame"',
        "{}",
        json.dumps({"username": "una", "password": "open-sesame"}),
        json.dumps(HELD | {"dbname": 7}),
        json.dumps({name: value for name, value in HELD.items() if name != "password"}),
    ],
)
def test_a_secret_of_another_form_is_refused_by_name_and_not_told(aws: Any, text: str) -> None:
    environment = {
        "DATABASE_SECRET_ARN": keep(aws, "database", text),
        "INVITE_CODE_PEPPER": PEPPER,
    }

    with pytest.raises(SettingsError, match=r"^DATABASE_SECRET_ARN: the secret must be JSON") as no:
        Settings.from_environment(environment)

    assert "sesame" not in str(no.value)


@pytest.mark.parametrize("name", ["DATABASE_SECRET_ARN", "PEPPER_SECRET_ARN"])
def test_a_secret_that_is_not_there_is_named_with_the_reason(aws: Any, name: str) -> None:
    arn = keep(aws, "gone", PEPPER)
    aws.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    environment = {"DATABASE_URL": "postgresql://una@db.example.org/draugar", name: arn}

    with pytest.raises(SettingsError, match=rf"^{name}: .*\(ResourceNotFoundException\)\.$"):
        Settings.from_environment(environment)


def test_a_binary_secret_is_refused(aws: Any) -> None:
    arn = aws.create_secret(Name="binary", SecretBinary=b"\0" * 32)["ARN"]
    environment = {
        "DATABASE_URL": "postgresql://una@db.example.org/draugar",
        "PEPPER_SECRET_ARN": arn,
    }

    with pytest.raises(SettingsError, match=r"^PEPPER_SECRET_ARN: .*\(it is binary\)\.$"):
        Settings.from_environment(environment)


def test_without_credentials_the_start_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    environment = {
        "DATABASE_SECRET_ARN": "arn:aws:secretsmanager:eu-north-1:1:secret:x",
        "INVITE_CODE_PEPPER": PEPPER,
    }

    with pytest.raises(SettingsError, match=r"\(NoRegionError\)"):
        Settings.from_environment(environment)


def test_a_weak_pepper_is_weak_as_a_secret_too(aws: Any) -> None:
    environment = {
        "DATABASE_URL": "postgresql://una@db.example.org/draugar",
        "PEPPER_SECRET_ARN": keep(aws, "pepper", "a" * 64),
    }

    with pytest.raises(SettingsError, match=r"^PEPPER_SECRET_ARN is weak"):
        Settings.from_environment(environment)


def test_two_peppers_are_one_too_many(aws: Any) -> None:
    environment = {
        "DATABASE_URL": "postgresql://una@db.example.org/draugar",
        "INVITE_CODE_PEPPER": PEPPER,
        "PEPPER_SECRET_ARN": keep(aws, "pepper", PEPPER),
    }

    with pytest.raises(SettingsError, match="both set"):
        Settings.from_environment(environment)


def test_iam_makes_a_password_for_one_user_of_one_database() -> None:
    password = secrets.database_password(host="db.example.org", port=5432, user="draugar_api")

    assert password.startswith("db.example.org:5432/?Action=connect&DBUser=draugar_api&")
    assert "X-Amz-Expires=900" in password
