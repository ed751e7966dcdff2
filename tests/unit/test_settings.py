import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from chalicelib.settings import DatabaseAddress, MapTiles, Settings, SettingsError

PROJECT = Path(__file__).parents[2]
URL = "postgresql://una:open-sesame@db.example.org/draugar"
PEPPER = "0123456789abcdef" * 2
ENVIRONMENT = {"DATABASE_URL": URL, "INVITE_CODE_PEPPER": PEPPER}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+pg8000"])
def test_a_url_says_where_the_database_is(scheme: str) -> None:
    address = DatabaseAddress.parse(
        f"{scheme}://una:p%40ss%2Fword@db.example.org:6543/dr%C3%A1ugar?sslrootcert={__file__}"
    )

    assert address == DatabaseAddress(
        user="una",
        password="p@ss/word",
        host="db.example.org",
        port=6543,
        database="dráugar",
        socket=None,
        sslmode="verify-full",
        sslrootcert=__file__,
    )


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("postgresql://una@db/d", {"port": 5432, "password": None, "sslrootcert": None}),
        ("postgresql://una@/d", {"host": "localhost", "socket": None}),
        ("postgresql://una@[::1]:7/d", {"host": "::1", "port": 7}),
        ("postgresql://una@/d?host=/run/pg", {"socket": "/run/pg/.s.PGSQL.5432"}),
        ("postgresql://una@/d?host=/run/a,b", {"socket": "/run/a,b/.s.PGSQL.5432"}),
        ("postgresql://una@:7/d?host=/run/pg", {"socket": "/run/pg/.s.PGSQL.7"}),
        ("postgresql://una@/d?host=/run/pg&port=7", {"socket": "/run/pg/.s.PGSQL.7"}),
        ("postgresql://una@%2Frun%2Fpg/d", {"socket": "/run/pg/.s.PGSQL.5432"}),
        ("postgresql://una@db/d?host=other", {"host": "other", "socket": None}),
        ("postgresql://%C3%BAna@db/d", {"user": "úna"}),
    ],
)
def test_what_a_url_leaves_out_is_what_everybody_expects(url: str, fields: dict[str, Any]) -> None:
    address = DatabaseAddress.parse(url)

    assert {name: getattr(address, name) for name in fields} == fields


BINDING = "sslmode=require&channel_binding=require"


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (
            f"postgresql://u:secret@ep-x-pooler.us-east-2.aws.neon.tech/neondb?{BINDING}",
            {"sslmode": "require", "channel_binding": "require", "database": "neondb"},
        ),
        (
            "postgresql://postgres.abc:secret@aws-0-eu-north-1.pooler.supabase.com:6543/postgres",
            {"user": "postgres.abc", "port": 6543, "sslmode": "verify-full"},
        ),
        (
            "postgres://u:secret@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d0abc",
            {"database": "d0abc", "application_name": "draugar", "connect_timeout": None},
        ),
        (f"{URL}?application_name=a%20b+c", {"application_name": "a b+c"}),
        (f"{URL}?connect_timeout=10", {"connect_timeout": 10}),
        (f"{URL}?connect_timeout=0", {"connect_timeout": None}),
        (f"{URL}?target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        (
            URL.replace("open-sesame", "open@sesame"),
            {"password": "open@sesame", "host": "db.example.org"},
        ),
    ],
)
def test_urls_work_as_hosts_hand_them_out(url: str, fields: dict[str, Any]) -> None:
    address = DatabaseAddress.parse(url)

    assert {name: getattr(address, name) for name in fields} == fields


@pytest.mark.parametrize(
    "option", ["options", "pgbouncer", "sslcert", "keepalives", "gssencmode", "sslnegotiation"]
)
def test_an_option_that_is_not_supported_is_named(option: str) -> None:
    with pytest.raises(SettingsError, match=rf"the option {option} is not supported"):
        DatabaseAddress.parse(f"{URL}?{option}=open-sesame")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("channel_binding=disable", "channel_binding must be one of prefer, require"),
        ("sslmode=disable&channel_binding=require", "channel_binding=require needs TLS"),
        ("target_session_attrs=standby", "target_session_attrs must be one of any, primary"),
        ("connect_timeout=soon", "connect_timeout must be a whole number"),
        ("connect_timeout=901", "connect_timeout must be a whole number"),
        ("sslmode=require&sslmode=disable", "the option sslmode may be given once only"),
    ],
)
def test_an_option_with_another_value_is_refused_by_name(query: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        DatabaseAddress.parse(f"{URL}?{query}")


@pytest.mark.parametrize("character", [*"#?/[]", "%E9", "%zz#", ":12?", ":1/"])
def test_a_password_that_has_to_be_percent_encoded_is_told_so(character: str) -> None:
    with pytest.raises(SettingsError, match="percent-encode") as refused:
        DatabaseAddress.parse(URL.replace("open-sesame", f"open{character}sesame"))

    assert "sesame" not in str(refused.value)


def test_only_one_host_can_be_named() -> None:
    with pytest.raises(SettingsError, match="only one host"):
        DatabaseAddress.parse("postgresql://u@one,two/d")


@pytest.mark.parametrize(
    ("url", "sslmode"),
    [
        *((f"postgresql://u@{host}/d", "disable") for host in ("localhost", "127.0.0.1", "[::1]")),
        *((f"postgresql://u@{host}/d", "disable") for host in ("127.9.9.9", "", "%2Frun")),
        ("postgresql://u@/d?host=/run", "disable"),
        *((f"postgresql://u@{host}/d", "verify-full") for host in ("db", "10.0.0.1", "[fd00::1]")),
        ("postgresql://u@localhost.example.org/d", "verify-full"),
        ("postgresql://u@db/d?sslmode=", "verify-full"),
        ("postgresql://u@127.0.0.1.example.org/d", "verify-full"),
        ("postgresql://u@localhost/d?host=db.example.org", "verify-full"),
        *((f"postgresql://u@db/d?sslmode={mode}", mode) for mode in ("disable", "require")),
        ("postgresql://u@db/d?sslmode=verify-full", "verify-full"),
        (f"postgresql://u@db/d?sslmode=verify-ca&sslrootcert={__file__}", "verify-ca"),
        ("postgresql://u@localhost/d?sslmode=verify-full", "verify-full"),
    ],
)
def test_whatever_leaves_this_machine_is_verified_unless_the_url_says_otherwise(
    url: str, sslmode: str
) -> None:
    assert DatabaseAddress.parse(url).sslmode == sslmode


@pytest.mark.parametrize(
    "url",
    [
        *("open-sesame", "", "mysql://una:open-sesame@db/d", "http://una:open-sesame@db/d"),
        *("postgresql://:open-sesame@db/d", "postgresql://db/open-sesame"),
        *("postgresql://una:open-sesame@db", "postgresql://una:open-sesame@db/"),
        *("postgresql://una:open-sesame@db:x/d", "postgresql://una:open-sesame@db:99999/d"),
        *("postgresql://una:open-sesame@[db/d", "postgresql://una:open#sesame@db/d"),
        *(f"{URL}?open-sesame", f"{URL}?options=open-sesame", f"{URL}?sslmode=open-sesame"),
        *(f"{URL}?sslmode=prefer", f"{URL}?sslmode=allow", f"{URL}?sslmode=verify-ca"),
        *(f"{URL}?port={port}" for port in ("x", "0", "-1", "65536", "open-sesame")),
        *(f"{URL}?sslmode=require&sslmode=disable", f"{URL}?host=a&host=b"),
        *(f"{URL}?sslrootcert=/open-sesame", f"{URL}?sslrootcert={PROJECT}"),
        # Any public authority signs any name: without its check a root proves nothing.
        *(f"{URL}?sslrootcert=system&sslmode={mode}" for mode in ("verify-ca", "require")),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_one_line_without_its_secrets(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        DatabaseAddress.parse(url)

    assert str(refused.value).startswith("DATABASE_URL")
    assert "\n" not in str(refused.value)
    assert "sesame" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "secret"),
    [("DATABASE_URL", "DATABASE_SECRET_ARN"), ("INVITE_CODE_PEPPER", "PEPPER_SECRET_ARN")],
)
@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_setting_that_is_missing_is_named(name: str, secret: str, value: str | None) -> None:
    environment = {key: text for key, text in ENVIRONMENT.items() if key != name}
    environment |= {} if value is None else {name: value}

    with pytest.raises(SettingsError, match=rf"^Neither {name} nor {secret} is set\.$"):
        Settings.from_environment(environment)


@pytest.mark.parametrize(
    "pepper",
    ["x", "a" * 64, "ab" * 32, "0123456789abcdef"[:7] * 9, PEPPER[:-1], f" {PEPPER[:-1]} "],
)
def test_a_weak_pepper_is_refused_without_being_shown(pepper: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(ENVIRONMENT | {"INVITE_CODE_PEPPER": pepper})

    assert str(refused.value).startswith("INVITE_CODE_PEPPER is weak")
    assert pepper == "x" or pepper.strip() not in str(refused.value)


@pytest.mark.parametrize("pepper", [PEPPER, "abcdefgh" * 4, "þæöðáéíó" * 2])
def test_a_pepper_of_32_bytes_will_do(pepper: str) -> None:
    settings = Settings.from_environment(ENVIRONMENT | {"INVITE_CODE_PEPPER": pepper})

    assert settings.pepper == pepper.encode()


def test_a_lambda_function_has_one_connection_and_a_laptop_several() -> None:
    on_lambda = Settings.from_environment(ENVIRONMENT | {"AWS_LAMBDA_FUNCTION_NAME": "api"})
    on_laptop = Settings.from_environment(ENVIRONMENT)

    assert on_lambda.pool_size == 1
    assert on_laptop.pool_size > 1


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, 5), ("", 5), ("1", 1), ("2.5", 2.5), ("900", 900)]
)
def test_a_database_is_waited_for_as_long_as_is_said(said: str | None, seconds: float) -> None:
    environment = {} if said is None else {"DATABASE_TIMEOUT_SECONDS": said}

    settings = Settings.from_environment(ENVIRONMENT | environment)

    assert settings.timeout_seconds == seconds


@pytest.mark.parametrize("said", ["0", "0.9", "-1", "901", "inf", "nan", "five", "5s"])
def test_a_time_nobody_would_wait_is_refused(said: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_TIMEOUT_SECONDS must be"):
        Settings.from_environment(ENVIRONMENT | {"DATABASE_TIMEOUT_SECONDS": said})


@pytest.mark.parametrize(("said", "on"), [(None, True), ("", True), ("on", True), ("off", False)])
def test_statements_are_kept_prepared_unless_it_is_switched_off(
    said: str | None, *, on: bool
) -> None:
    environment = {} if said is None else {"DATABASE_PREPARED_STATEMENTS": said}

    settings = Settings.from_environment(ENVIRONMENT | environment)

    assert settings.prepare_statements is on


@pytest.mark.parametrize("said", ["yes", "1", "OFF", "true"])
def test_a_switch_is_on_or_off(said: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_PREPARED_STATEMENTS must be on or off"):
        Settings.from_environment(ENVIRONMENT | {"DATABASE_PREPARED_STATEMENTS": said})


def test_the_web_app_is_served_unless_it_is_switched_off() -> None:
    assert Settings.from_environment(ENVIRONMENT).web
    assert not Settings.from_environment(ENVIRONMENT | {"WEB": "off"}).web
    with pytest.raises(SettingsError, match=r"^WEB must be on or off\.$"):
        Settings.from_environment(ENVIRONMENT | {"WEB": "no"})


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://tiles.example.org/{z}/{x}/{y}.png", "https://tiles.example.org"),
        ("http://10.0.0.5:8080/osm/{z}/{y}/{x}@2x.png", "http://10.0.0.5:8080"),
    ],
)
def test_street_maps_may_come_from_another_host(url: str, origin: str) -> None:
    said = {"MAP_TILES_URL": url, "MAP_TILES_ATTRIBUTION": "© Example"}

    tiles = Settings.from_environment(ENVIRONMENT | said).tiles

    assert tiles == MapTiles(url=url, origin=origin, attribution="© Example")


def test_street_maps_are_openstreetmap_s_unless_they_are_off() -> None:
    tiles = Settings.from_environment(ENVIRONMENT).tiles

    assert tiles is not None
    assert tiles.origin == "https://tile.openstreetmap.org"
    assert Settings.from_environment(ENVIRONMENT | {"MAP_TILES_URL": "off"}).tiles is None


@pytest.mark.parametrize(
    "url",
    [
        "on",
        "https://tiles.example.org/tiles.png",
        "https://tiles.example.org/{z}/{x}.png",
        "https://tiles.example.org; script-src *//{z}/{x}/{y}.png",
        "https://tiles.example.org,evil.example/{z}/{x}/{y}.png",
        "https://*/{z}/{x}/{y}.png",
        "https://tiles.example.org/{z}/{x}/{y}.png?key=1",
        "https://una:secret@tiles.example.org/{z}/{x}/{y}.png",
        "javascript:alert(1)//{z}{x}{y}",
        "https://tiles.example.org/{z}/{x}/{y}.png\r\nX: y",
        "//tiles.example.org/{z}/{x}/{y}.png",
    ],
)
def test_an_address_of_street_maps_that_could_say_more_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^MAP_TILES_URL must be off, or a URL") as refused:
        Settings.from_environment(
            ENVIRONMENT | {"MAP_TILES_URL": url, "MAP_TILES_ATTRIBUTION": "x"}
        )

    assert "example.org;" not in str(refused.value)


@pytest.mark.parametrize("attribution", ["", " ", "a\nb", "a" * 201, "\u202eb"])
def test_street_maps_of_another_host_name_whose_they_are(attribution: str) -> None:
    said = {
        "MAP_TILES_URL": "https://tiles.example.org/{z}/{x}/{y}.png",
        "MAP_TILES_ATTRIBUTION": attribution,
    }

    with pytest.raises(SettingsError, match=r"^MAP_TILES_ATTRIBUTION "):
        Settings.from_environment(ENVIRONMENT | said)


def test_settings_show_no_secrets_and_do_not_change() -> None:
    settings = Settings.from_environment(ENVIRONMENT)

    for shown in (repr(settings), str(settings), f"{settings.database}"):
        assert "open-sesame" not in shown
        assert PEPPER not in shown
        assert "db.example.org" in shown
    with pytest.raises(FrozenInstanceError):
        settings.pepper = b""  # type: ignore[misc]


def test_the_app_does_not_start_on_settings_that_cannot_be_used() -> None:
    environment = ENVIRONMENT | {"DATABASE_URL": f"{URL}?sslmode=prefer"}

    started = subprocess.run(
        [sys.executable, "-c", "import app"],
        cwd=PROJECT,
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert started.returncode == 1
    assert "SettingsError: DATABASE_URL: sslmode must be one of" in started.stderr
    assert "open-sesame" not in started.stderr
