"""After what cannot be sent, or cannot be read, nobody gets what was meant for another."""

import io
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pg8000
import pytest
from sqlalchemy import Integer, bindparam, cast, literal_column, select, text
from sqlalchemy.orm import Session

from chalicelib.db import Compiled, engine, one_statement, transaction, wire
from chalicelib.errors import Unavailable
from chalicelib.web import body, to_base64
from tests import factories
from tests.api import Api
from tests.database import Server
from tests.faults.processes import own_database
from tests.guards.test_traces import BODIES, put_in
from tests.owntracks import basic
from tests.servers import arguments, serving

REQUESTS = 20
DOUBLED = Compiled(
    lambda: select((cast(bindparam("n"), Integer) * literal_column("2")).label("doubled"))
)
ECHOED = Compiled(lambda: select(bindparam("value").label("value")))


class Unprintable:
    def __str__(self) -> str:
        raise ValueError


POISON = {
    "lone surrogate": ("SELECT %s", ["\ud800"]),
    "lone surrogate after others": ("SELECT %s, %s::int", ["fine", "1\udfff"]),
    "lone surrogate in an array": ("SELECT %s::text[]", [["fine", "\udbff"]]),
    "NUL": ("SELECT %s::text", ["a\0b"]),
    "too long": ("INSERT INTO pg_temp.short VALUES (%s)", ["four"]),
    "wrong type": ("SELECT %s::int", ["seven"]),
    "no text at all": ("SELECT %s::text", [Unprintable()]),
    "too many": ("SELECT 1", [1] * 65_536),
    "too few": ("SELECT %s, %s", [1]),
    "placeholder that is none": ("SELECT %d", [1]),
    "lone surrogate in the statement": ("SELECT '\ud800'", []),
    "lone surrogate in the statement, with a parameter": ("SELECT '\ud800', %s", [1]),
    "NUL in the statement": ("SELECT '\0'", []),
    "NUL in the statement, with a parameter": ("SELECT '\0', %s", [1]),
}


def connected(
    connect: Callable[..., Any], url: str, *, autocommit: bool = True, **options: Any
) -> Any:
    """Connect, and know a table whose texts are short."""
    connection = connect(**arguments(url), **options)
    connection.autocommit = True
    connection.cursor().execute("CREATE TEMP TABLE short (s varchar(3))")
    connection.autocommit = autocommit
    return connection


def answers(connection: Any) -> list[Any]:
    """Ask many questions that somebody else would, and return what is answered."""

    def ask(number: int) -> Any:
        try:
            cursor = connection.cursor().execute("SELECT %s::int * 2, 'mine'", [number])
            return cursor.fetchone()
        except Exception as error:  # noqa: BLE001 -- any would be wrong
            return error

    return [ask(number) for number in range(REQUESTS)]


RIGHT = [[number * 2, "mine"] for number in range(REQUESTS)]


@pytest.mark.parametrize("prepare", [False, True], ids=["unnamed", "prepared"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transactions"])
@pytest.mark.parametrize(("sql", "parameters"), POISON.values(), ids=POISON)
def test_a_poisoned_statement_disturbs_nobody(
    empty: str, sql: str, parameters: list[Any], *, autocommit: bool, prepare: bool
) -> None:
    with connected(wire.connect, empty, autocommit=autocommit, prepare=prepare) as connection:
        refused = []

        for _ in range(2):  # a name that was prepared for the first is there for the second
            try:
                connection.cursor().execute(sql, parameters)
            except Exception as error:  # noqa: BLE001 -- as it may
                refused.append(error)
            connection.rollback()

        assert len(refused) == 2
        assert answers(connection) == RIGHT


def test_on_the_stock_connection_somebody_gets_what_was_meant_for_another(empty: str) -> None:
    with connected(pg8000.connect, empty) as connection:
        with pytest.raises(UnicodeEncodeError):
            connection.cursor().execute("SELECT %s", ["\ud800"])

        answered = answers(connection)

    assert answered != RIGHT
    # A row, without an error: of whoever asked before.
    assert any(
        isinstance(row, list) and row != right for row, right in zip(answered, RIGHT, strict=True)
    )


@pytest.mark.parametrize("poison", ["\ud800", "a\0b"], ids=["lone surrogate", "NUL"])
def test_a_poisoned_parameter_of_the_service_disturbs_nobody(empty: str, poison: str) -> None:
    with serving(empty):
        before = whose()
        with (
            pytest.raises(Exception, match=r"surrogates|22021"),
            one_statement() as connection,
        ):
            connection.execute(ECHOED, {"value": poison})
        with (
            pytest.raises(Exception, match=r"surrogates|22021"),
            transaction() as session,
        ):
            session.execute(text("SELECT CAST(:value AS text)"), {"value": poison})

        answered = [doubled(number) for number in range(REQUESTS)]

        assert answered == [2 * number for number in range(REQUESTS)]
        assert whose() == before or poison == "\ud800"  # the pool cannot know that nothing was sent


def doubled(number: int) -> Any:
    with one_statement() as connection:
        return connection.execute(DOUBLED, {"n": number})[0].doubled


def whose() -> int:
    """Return the server process behind the service's one connection."""
    with transaction() as session:
        return int(session.scalar(text("SELECT pg_backend_pid()")) or 0)


# Over HTTP, in every string of every body.

UNREADABLE = {
    "lone surrogate": "Una\ud800",
    "surrogates the wrong way about": "\udc00\ud800",
    "NUL": "Una\0",
}
# What they post is not kept then; a refusal would block their queue.
OF_PHONES = {"POST /owntracks", "POST /pub"}
# A batch is answered by the point, and a roster may be that long.
TAKEN = {"POST /api/locations", "POST /api/groups/{group_id}/keys"}
BAD_STRINGS: dict[str, Any] = UNREADABLE | {
    "too long": "x" * 5000,
    "wrong type": 7,
    "wrong shape": ["x"],
}


def poisoned(value: Any, poison: Any) -> Iterator[Any]:
    """Give copies of a body, each with one string in it, or the name of one, replaced."""
    if isinstance(value, str):
        yield poison
    elif isinstance(value, dict):
        for name, member in value.items():
            for bad in poisoned(member, poison):
                yield value | {name: bad}
        yield value | {str(poison): "x"}
    elif isinstance(value, list):
        for number, item in enumerate(value):
            for bad in poisoned(item, poison):
                yield [*value[:number], bad, *value[number + 1 :]]


@pytest.fixture
def url(server: Server, schema: str) -> Iterator[str]:
    with own_database(server, schema) as url:
        yield url


@pytest.mark.parametrize("guarded", [True, False], ids=["checked", "unchecked"])
def test_a_poisoned_field_is_refused_and_disturbs_nobody(
    url: str, monkeypatch: pytest.MonkeyPatch, *, guarded: bool
) -> None:
    if not guarded:
        monkeypatch.setattr(body, "_check_strings", lambda _value: None)
    with serving(url):
        with Session(engine.migration_engine()) as session:
            una, ari = factories.with_key(session), factories.with_key(session, name="Ari")
            group_id = factories.group(session, una, ari, key_version=1)
            phone = factories.phone(session, group_id, una)
        names = {
            "group_id": str(group_id),
            "code": "AAAA-AAAA-AAAA",
            "user_id": str(ari.user_id),
            "device_id": str(una.device_id),
            "key_version": "1",
            "public_key": to_base64(una.public_key or b""),
        }
        before, statuses, others = whose(), {}, []

        for route, template in BODIES.items():
            method, path = put_in(route, names).split(" ")
            signed = basic(phone.device_id, phone.token) if route in OF_PHONES else None
            wanted = json.loads(put_in(json.dumps(template), names))
            for kind, poison in BAD_STRINGS.items():
                for number, bad in enumerate(poisoned(wanted, poison)):
                    reply = Api(una.token).call(method, path, bad, headers=signed)
                    statuses[route, kind, number] = reply.status
            others += [Api(ari.token).get("/api/auth/me") for _ in range(REQUESTS)]

        assert max(statuses.values()) < 500
        unreadable = {
            (route in OF_PHONES, status)
            for (route, kind, _), status in statuses.items()
            if kind in UNREADABLE
        }
        assert unreadable == {(True, 200), (False, 400)} or not guarded
        taken = {route for (route, _, _), status in statuses.items() if status < 400}
        assert taken <= OF_PHONES | TAKEN or not guarded
        assert {reply.status for reply in others} == {200}
        assert {reply.json["id"] for reply in others} == {str(ari.user_id)}
        assert whose() == before


# Exchanges that are broken off.


@contextmanager
def interrupted(connection: Any) -> Iterator[None]:
    """Let Ctrl-C be pressed while this connection waits for an answer."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    connection._sock = InterruptedFile(connection._sock)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def failing_stream() -> Iterator[str]:
    yield "one\n"
    raise LookupError


class FullStream(io.BytesIO):
    def write(self, _data: object) -> int:
        raise LookupError


class HalfSocket:
    """A socket on which Ctrl-C is pressed when half of a message has been sent."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def sendall(self, data: bytes) -> None:
        self.whole.sendall(data[: len(data) // 2])
        raise KeyboardInterrupt


class InterruptedFile:
    """What a socket receives. Ctrl-C is pressed when it has been waited for a short while."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole

    def __getattr__(self, name: str) -> Any:
        # Not a method `read1`: the exception would keep its frame, and that the open file.
        if name == "read1":
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        return getattr(self.whole, name)


def waiting_too_long(connection: Any) -> None:
    connection._usock.settimeout(0.1)
    connection.cursor().execute("SELECT pg_sleep(3600), %s", [1])


def interrupted_while_waiting(connection: Any) -> None:
    with interrupted(connection):
        connection.cursor().execute("SELECT pg_sleep(3600), %s", [1])


def interrupted_while_sending(connection: Any) -> None:
    connection._usock = HalfSocket(connection._usock)
    connection.cursor().execute("SELECT %s", ["x" * 1000])


def interrupted_while_an_error_arrives(connection: Any) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    connection.message_types[b"Z"] = interrupt
    connection.cursor().execute("SELECT 1 / 0, %s", [1])


def copying_from_what_fails(connection: Any) -> None:
    connection.cursor().execute("COPY pg_temp.short FROM STDIN", stream=failing_stream())


def copying_to_what_fails(connection: Any) -> None:
    connection.cursor().execute("COPY (SELECT 1) TO STDOUT", stream=FullStream())


def copying_without_a_stream(connection: Any) -> None:
    connection.cursor().execute("COPY pg_temp.short FROM STDIN")


def reading_what_cannot_be_read(connection: Any) -> None:
    connection.cursor().execute("SELECT time '24:00', %s", [1])


def speaking_another_encoding(connection: Any) -> None:
    connection.cursor().execute("SET client_encoding = 'LATIN1'")


def losing_the_server(connection: Any) -> None:
    connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid()), %s", [1])


BROKEN_OFF: dict[Callable[[Any], None], type[BaseException]] = {
    waiting_too_long: pg8000.InterfaceError,
    interrupted_while_waiting: KeyboardInterrupt,
    interrupted_while_sending: KeyboardInterrupt,
    interrupted_while_an_error_arrives: KeyboardInterrupt,
    copying_from_what_fails: LookupError,
    copying_to_what_fails: LookupError,
    copying_without_a_stream: pg8000.InterfaceError,
    reading_what_cannot_be_read: ValueError,
    speaking_another_encoding: pg8000.InterfaceError,
    losing_the_server: pg8000.ProgrammingError,
}


@pytest.mark.parametrize("prepare", [False, True], ids=["unnamed", "prepared"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transactions"])
@pytest.mark.parametrize(
    ("break_off", "error"), BROKEN_OFF.items(), ids=lambda value: value.__name__
)
def test_a_connection_that_was_disturbed_is_closed_at_once(
    empty: str,
    break_off: Callable[[Any], None],
    error: type[BaseException],
    *,
    autocommit: bool,
    prepare: bool,
) -> None:
    connection = connected(wire.connect, empty, autocommit=autocommit, prepare=prepare)
    connection.run("SELECT 'begun'")
    (server_process,) = connection.run("SELECT pg_backend_pid()")[0]
    sock, file = connection._usock, connection._sock  # `file` stands for the frames that hold it

    with pytest.raises(error) as raised:
        break_off(connection)

    assert connection.has_ended
    assert file.closed
    assert sock.fileno() == -1
    with pytest.raises(pg8000.InterfaceError, match="connection is closed"):
        connection.cursor().execute("SELECT %s", [1])
    connection.close()
    # While somebody still holds the exception, and by it the frames that read.
    assert raised.tb is not None
    assert ends(empty, server_process)


def ends(url: str, server_process: int) -> bool:
    """See whether a server process ends; a minute is for a machine that is busy."""
    with pg8000.connect(**arguments(url)) as onlooker:
        onlooker.autocommit = True
        deadline = time.monotonic() + 60
        while onlooker.run("SELECT FROM pg_stat_activity WHERE pid = :pid", pid=server_process):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
    return True


@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transactions"])
def test_neither_connection_survives_its_server(empty: str, *, autocommit: bool) -> None:
    for connect in (pg8000.connect, wire.connect):
        connection = connected(connect, empty, autocommit=autocommit)
        with pytest.raises(pg8000.Error):
            losing_the_server(connection)

        for _ in range(2):
            with pytest.raises(pg8000.InterfaceError):
                connection.cursor().execute("SELECT %s", [1])
        with suppress(pg8000.InterfaceError):
            connection.close()


@pytest.mark.parametrize("way", ["one statement", "transaction"])
def test_the_pool_replaces_a_connection_that_was_disturbed(empty: str, way: str) -> None:
    slow = Compiled(lambda: select(literal_column("pg_sleep(3600)").label("slept")))
    with serving(empty) as own:
        before = whose()
        driver = own.raw_connection()
        driver.dbapi_connection._usock.settimeout(0.1)  # type: ignore[union-attr]
        driver.close()

        if way == "one statement":
            with pytest.raises(Unavailable), one_statement() as connection:
                connection.execute(slow, {})
        else:
            with pytest.raises(Unavailable), transaction() as session:
                session.execute(text("SELECT pg_sleep(3600)"))

        assert [doubled(number) for number in range(3)] == [0, 2, 4]
        assert whose() != before


@pytest.mark.parametrize("way", ["one statement", "transaction"])
def test_the_pool_replaces_a_connection_that_was_interrupted(empty: str, way: str) -> None:
    slow = Compiled(lambda: select(literal_column("pg_sleep(3600)").label("slept")))
    with serving(empty) as own:
        before = whose()
        pooled = own.raw_connection()
        driver = pooled.dbapi_connection
        pooled.close()

        if way == "one statement":
            with (
                pytest.raises(KeyboardInterrupt),
                interrupted(driver),
                one_statement() as connection,
            ):
                connection.execute(slow, {})
        else:
            with pytest.raises(KeyboardInterrupt), interrupted(driver), transaction() as session:
                session.execute(text("SELECT pg_sleep(3600)"))

        assert [doubled(number) for number in range(3)] == [0, 2, 4]
        assert whose() != before


def test_a_transaction_that_its_server_gave_up_is_a_passing_failure(target: str) -> None:
    limits = []
    with serving(target):
        before = whose()

        def dawdle() -> None:
            with transaction() as session:
                limits.append(session.scalar(text("SHOW idle_in_transaction_session_timeout")))
                server_process = session.scalar(text("SELECT pg_backend_pid()"))
                session.execute(text("SET idle_in_transaction_session_timeout = '10ms'"))
                assert ends(target, server_process)
                session.execute(text("SELECT 2"))

        with pytest.raises(Unavailable):
            dawdle()

        assert limits == ["1min"]  # as long as the service waits for its database here
        assert doubled(1) == 2
        assert whose() != before
