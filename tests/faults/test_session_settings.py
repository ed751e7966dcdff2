"""Settings of the database and its roles change no answer, directly and through a pooler.

A pooler refuses most settings at the start of a connection, or accepts and forgets them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import literal_column, select, text
from sqlalchemy.orm import Session

from chalicelib.db import Compiled, engine, one_statement, round_trips, transaction, wire
from tests import factories
from tests.database import Server
from tests.faults.pgbouncer import pgbouncer
from tests.faults.processes import Call, Processes, perform
from tests.servers import serving

DEFAULTS = {
    "TimeZone": "Asia/Kolkata",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "transform_null_equals": "on",
    "row_security": "on",
    "search_path": "nowhere",
    "xmloption": "document",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "exit_on_error": "on",
    "client_min_messages": "error",
    "lock_timeout": "1h",
    "statement_timeout": "1h",
    "idle_in_transaction_session_timeout": "1h",
}
NAMES = [*engine._SESSION, "statement_timeout", "idle_in_transaction_session_timeout"]
_COLUMNS: list[Any] = [literal_column(f"current_setting('{name}')").label(name) for name in NAMES]
_COLUMNS.append(literal_column("current_setting('transaction_isolation')").label("isolation"))
CURRENT = Compiled(lambda: select(*_COLUMNS))
EXPECTED = engine._SESSION | {
    "statement_timeout": "4500ms",
    "idle_in_transaction_session_timeout": "5s",
    "isolation": "read committed",
}


def set_defaults(session: Session, defaults: dict[str, str]) -> None:
    name = session.scalar(text("SELECT current_database()"))
    for setting, value in defaults.items():
        session.execute(text(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'"))
    session.commit()


def family(session: Session) -> list[Call]:
    """Return what reads bytes, times, numbers and arrays, and what writes."""
    una = factories.with_key(session)
    group_id = factories.group(session, una, key_version=1)
    factories.phone(session, group_id, una, key_version=1)
    attic = factories.group(session, una)
    session.execute(text("UPDATE groups SET encryption = 'optional' WHERE id = :id"), {"id": attic})
    factories.stored_point(session, attic, una)
    session.commit()
    return [
        Call("GET", path, token=una.token)
        for path in (
            *("/api/auth/me", "/api/groups", "/api/devices", "/api/users"),
            *(f"/api/locations/latest?groupId={attic}", f"/api/locations?groupId={attic}"),
            f"/api/groups/{group_id}/keys",
        )
    ]


def answers(process: Processes, calls: list[Call]) -> list[tuple[int, Any]]:
    replies = [process.each(perform, [call])[0] for call in calls]
    return [(reply.status, reply.json) for reply in replies]


@pytest.mark.parametrize("setting", DEFAULTS)
def test_a_default_of_the_database_changes_no_answer(
    session: Session, url: str, setting: str
) -> None:
    calls = family(session)
    with Processes(url, count=1) as before:
        usual = answers(before, calls)
    set_defaults(session, {setting: DEFAULTS[setting]})

    with Processes(url, count=1) as after:
        assert answers(after, calls) == usual
    assert [status for status, _ in usual] == [200] * len(usual)


def test_the_settings_hold_for_every_statement(session: Session, url: str) -> None:
    set_defaults(session, DEFAULTS)

    with serving(url, timeout_seconds=5):
        for _ in range(3):
            held_in_one_statement_and_in_a_transaction()


def held_in_one_statement_and_in_a_transaction() -> None:
    with one_statement() as connection:
        (row,) = connection.execute(CURRENT, {})
    with transaction() as session:
        session.execute(text("SELECT 1"))
        within = session.execute(text(CURRENT.text)).one()

    assert row._asdict() == EXPECTED
    assert within._asdict() == EXPECTED


@pytest.fixture(params=["refuses", "forgets"])
def pooled(
    request: pytest.FixtureRequest, session: Session, url: str, tmp_path: Path
) -> Iterator[str]:
    """The URL of a database whose defaults are strange, through a pooler."""
    set_defaults(session, DEFAULTS)
    names = NAMES if request.param == "forgets" else ["extra_float_digits"]
    with pgbouncer(url, tmp_path, ignore_startup_parameters=",".join(names)) as through:
        yield through


@pytest.mark.tools("pgbouncer")
def test_a_pooler_changes_no_setting_and_costs_no_round_trip(pooled: str) -> None:
    with serving(pooled, timeout_seconds=5):
        for _ in range(5):
            held_in_one_statement_and_in_a_transaction()
        before = round_trips()
        with one_statement() as connection:
            connection.execute(CURRENT, {})

    assert round_trips() - before == 1


@pytest.mark.tools("pgbouncer")
def test_a_family_is_answered_through_a_pooler_as_directly(
    session: Session, url: str, tmp_path: Path
) -> None:
    calls = family(session)
    with Processes(url, count=1) as direct:
        usual = answers(direct, calls)
    set_defaults(session, DEFAULTS)

    with pgbouncer(url, tmp_path) as pooled, Processes(pooled, count=1) as through:
        assert [answers(through, calls) for _ in range(2)] == [usual, usual]


def test_a_connection_that_is_not_shared_sends_its_settings_once(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[bytes] = []
    exchange = wire.Connection._exchange

    def noted(connection: Any, message: bytes, context: Any) -> Any:
        messages.append(message)
        return exchange(connection, message, context)

    monkeypatch.setattr(wire.Connection, "_exchange", noted)
    with serving(server.url_of(schema)):
        for _ in range(3):
            with one_statement() as connection:
                connection.execute(CURRENT, {})

    assert [b"set_config" in message for message in messages] == [True, False, False]
