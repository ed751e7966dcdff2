"""The connection: pg8000's, with one round trip to the server where the stock one takes three.

    stock    Parse Sync | Describe Sync | Bind Execute Sync      each | waits for the server
    here     [BEGIN] Parse Bind Describe Execute Sync

A statement is one message, composed wholly before its first byte is written: what cannot be
encoded never leaves half a statement behind, and a pooler that hands connections on between two
syncs cannot come in between. Whatever disturbs an exchange closes the connection, so that nobody
reads the answer to a question of somebody else.

BEGIN rides in front of a transaction's first statement. So do the settings by which answers are
read, until the server has shown that they hold for the session: a pooler may refuse or forget
them at the start, and hand each transaction to another server process.

Statements of autocommit can be kept
prepared on the server, under names made from their text: a pooler may move us to a server that
knows no such name, and then it is prepared there and run once more, but a name never means
another statement.

This stands on names that pg8000 does not promise, so it is pinned to one version. With another
version, importing this module fails.

Message formats: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import re
import select
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from struct import Struct, pack, unpack, unpack_from
from struct import error as StructError  # noqa: N812
from typing import Any, Self

import pg8000
from pg8000 import core, legacy
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

from chalicelib.db.failure import GAVE_UP_WAITING, NotConnected, is_read_only, sqlstate

PINNED = "1.31.6"
if pg8000.__version__ != PINNED:
    raise ImportError(
        f"pg8000 {pg8000.__version__} is installed, and chalicelib.db.wire was written for"
        f" {PINNED}. Install the pinned version: pip install -r requirements.txt"
    )

# What pg8000 raises at the start of a connection to a server that does not answer as PostgreSQL
# does, or that asks for a password where none is given.
_MISUNDERSTOOD = (
    AttributeError | IndexError | KeyError | ValueError | StructError | core.scramp.ScramException
)

MOST_PREPARED = 100
"""How many statements one connection keeps on the server."""


def _message(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return b"%b%b%b" % (kind, pack("!i", len(body) + 4), body)


_DESCRIBE_PORTAL = _message(b"D", b"P\0")
_EXECUTE = _message(b"E", b"\0", pack("!i", 0))
_SYNC = _message(b"S")
_READY = b"Z"
_ROWS = core.ROW_DESCRIPTION, core.DATA_ROW
_HEAD = Struct("!ci")
_CHUNK = 1 << 16
_TERMINATE = _message(b"X")
_RUN = _DESCRIBE_PORTAL + _EXECUTE + _SYNC
# Whatever is the default there: what is looked up under a lock has to be what is there by then.
_BEGIN_TEXT = "begin isolation level read committed"

_BINDS_BEFORE = 2
"""How many statements go along in front of one that runs alone, while settings do."""

# The steps of a login: https://www.postgresql.org/docs/current/protocol-message-formats.html
_LOGGED_IN, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 10, 11, 12

_round_trips: ContextVar[int] = ContextVar("round_trips", default=0)


def round_trips() -> int:
    """Return how often this thread, or task, has gone to a server and back, to connect aside."""
    return _round_trips.get()


@dataclass(frozen=True)
class _Statement:
    """A statement's text with $1, $2, …, its name, and the messages that make it known."""

    text: str
    name: bytes
    parse: bytes
    prepare: bytes


@lru_cache(maxsize=512)
def _statement_of_format(operation: str) -> _Statement:
    return _statement(legacy.convert_paramstyle("format", operation, ())[0])


@lru_cache(maxsize=512)
def _statement(text: str) -> _Statement:
    encoded = text.encode()
    name = b"draugar_" + sha256(encoded).hexdigest()[:32].encode()
    no_types = pack("!h", 0)
    return _Statement(
        text=text,
        name=name,
        parse=_message(b"P", b"\0", encoded, b"\0", no_types),
        # Behind a pooler the name may be there already. To close what does not exist is no error.
        prepare=_message(b"C", b"S", name, b"\0")
        + _message(b"P", name, b"\0", encoded, b"\0", no_types),
    )


def _settings_since(told: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return the settings that older servers do not have, and so would not start with."""
    if _version(told) >= (17,):
        yield "transaction_timeout", "0"


def _version(told: Mapping[str, str]) -> tuple[int, ...]:
    # As in "18.4", "18beta1" or "15.18 (Debian 15.18-0+deb12u1)".
    version = told["server_version"].split()[0]
    return tuple(map(int, re.findall(r"^\d+|(?<=\.)\d+", version)))


@lru_cache
def _carried(settings: tuple[tuple[str, str], ...]) -> "_Carried":
    return _Carried(settings)


class _Carried:
    """Settings that go along with a statement and end with its transaction.

    `message` also asks which process answers and which of the settings had their value before, as
    one row that no RowDescription comes before. `text` is for a simple query, and has no row.
    """

    def __init__(self, settings: Sequence[tuple[str, str]]) -> None:
        sets = [f"set_config('{name}', '{value}', true)" for name, value in settings]
        held = ", ".join(
            # Computed from left to right. What is set is returned as the server writes it.
            f"current_setting('{name}') = set_config('{name}', '{value}', true)"
            for name, value in settings
        )
        self.message = _without_parameters(f"select pg_backend_pid(), concat({held})")
        self.for_session = "select " + ", ".join(each.replace("true)", "false)") for each in sets)
        self.text = f"do $$begin perform {', '.join(sets)}; end$$;"


def _without_parameters(text: str) -> bytes:
    return (
        _message(b"P", b"\0", text.encode(), b"\0", pack("!h", 0))
        + _message(b"B", b"\0\0", pack("!hhh", 0, 0, 0))
        + _EXECUTE
    )


_BEGIN = _without_parameters(_BEGIN_TEXT)
# Of the transaction that the server makes of a statement alone.
_AS_BEGIN = _without_parameters("set transaction_isolation = 'read committed'")


class Cursor(legacy.Cursor):  # type: ignore[misc]
    """pg8000's cursor, on our connection."""

    _c: "Connection | None"
    _input_oids: Sequence[int]

    def execute(self, operation: str, args: Sequence[Any] = (), stream: Any = None) -> Self:
        """Run a statement with `%s` where its parameters stand."""
        connection = self._c
        if connection is None:
            raise pg8000.InterfaceError("Cursor closed")
        begin = not (connection.autocommit or connection._in_transaction)  # noqa: SLF001
        try:
            if args or stream is not None:
                self._context = connection.run_statement(
                    _statement_of_format(operation),
                    args,
                    self._input_oids,
                    stream=stream,
                    begin=begin,
                )
            else:
                self._context = connection.run_text(operation, begin=begin)
        except pg8000.DatabaseError as error:
            raise _as_stock_raises(error) from None
        self._row_iter = iter(self._context.rows or ())
        self._input_oids = ()
        return self


class Connection(legacy.Connection):  # type: ignore[misc]
    """pg8000's connection, one flush a statement.

    With `prepare`, statements that run in autocommit and have parameters stay prepared on the
    server. `settings` hold for every statement, whatever the server makes of them at the start.
    With `bound`, the server has to show by SCRAM that it ends the TLS connection itself.
    """

    autocommit: bool
    _usock: socket.socket | None
    _sock: Any

    def __init__(
        self,
        *,
        prepare: bool = False,
        settings: Mapping[str, str] | None = None,
        bound: bool = False,
        **arguments: Any,
    ) -> None:
        self._prepare = prepare
        self._settings = dict(settings or {})
        self._bound = bound
        self._has_proved_itself = False
        self._prepared: dict[bytes, bool] = {}  # whether the server took the statement
        self._unread = bytearray()
        self._carried: _Carried | None = None
        super().__init__(**arguments)
        if self._settings:
            self._carried = _carried(
                (*self._settings.items(), *_settings_since(self.parameter_statuses))
            )

    def cursor(self) -> Cursor:
        """Return a cursor."""
        return Cursor(self)

    @property
    def has_ended(self) -> bool:
        """Whether the server has closed this idle connection.

        Nothing is due on it, so whatever can be read is its end: looking costs no round trip,
        unlike a ping. A function that was frozen wakes up to this.
        """
        if self._usock is None or self._unread:
            return True
        poll = select.poll()
        poll.register(self._usock, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def process_id(self) -> int | None:
        """The server process that greeted this connection, or what a pooler said in its place."""
        greeted = self._backend_key_data
        return unpack_from("!i", greeted)[0] if greeted else None

    def settle(self) -> None:
        """Set the settings for the session, which no pooler may share with other clients."""
        if self._carried is not None:
            self.run_text(self._carried.for_session)
            self._carried = None

    def run_text(self, text: str, *, begin: bool = False) -> core.Context:
        """Run SQL without parameters, as a simple query: it may hold several statements."""
        prefix = f"{_BEGIN_TEXT};" if begin else ""
        if begin and self._carried is not None:
            prefix += self._carried.text
        context = core.Context(text)
        try:
            return self._exchange(_message(b"Q", (prefix + text).encode(), b"\0"), context)
        except pg8000.DatabaseError as error:
            fields = error.args[0]
            if prefix and isinstance(fields, dict) and "P" in fields:
                fields["P"] = str(int(fields["P"]) - len(prefix))
            raise

    def run_statement(
        self,
        statement: _Statement,
        values: Sequence[Any],
        oids: Sequence[int] = (),
        *,
        stream: Any = None,
        begin: bool = False,
    ) -> core.Context:
        """Run one statement with its parameters, in one flush."""
        parameters = [
            None if value is None else value.encode()
            for value in core.make_params(self.py_types, values)
        ]
        if stream is None and not oids and self._keeps(statement):
            return self._run_prepared(statement, parameters)
        parse = statement.parse
        if oids:
            types = pack(f"!{len(oids)}i", *(max(oid, 0) for oid in oids))
            parse = _message(
                b"P", b"\0", statement.text.encode(), b"\0", pack("!h", len(oids)), types
            )
        message = self._before(begin=begin) + parse + _bind(b"", parameters) + _RUN
        return self._exchange(message, core.Context(statement.text, stream=stream))

    def run_alone(self, text: str, values: Sequence[Any]) -> core.Context:
        """Run one statement, whose parameters are $1, $2, …, in autocommit."""
        before, self.autocommit = self.autocommit, True
        try:
            return self.run_statement(_statement(text), values)
        finally:
            self.autocommit = before

    # What the stock connection's own methods (prepare, tpc_begin, run) call.

    def execute_simple(self, statement: str) -> core.Context:
        """Run SQL without parameters."""
        return self.run_text(statement)

    def execute_unnamed(
        self,
        statement: str,
        vals: Sequence[Any] = (),
        oids: Sequence[int] = (),
        stream: Any = None,
    ) -> core.Context:
        """Run one statement whose parameters are $1, $2, …."""
        return self.run_statement(_statement(statement), vals, oids, stream=stream)

    def commit(self) -> None:
        """Commit, if a transaction is open."""
        self._end("commit")

    def rollback(self) -> None:
        """Roll back, if a transaction is open."""
        self._end("rollback")

    def close(self) -> None:
        """Take leave of the server. Closing again, or after a failure, is no error."""
        if self._usock is not None:
            with suppress(OSError):
                self._usock.sendall(_TERMINATE)
        self._hang_up()

    def handle_messages(self, context: core.Context) -> None:
        """Read the answer up to the server's ReadyForQuery, and raise the error it told, if any.

        A row that cannot be read is told at the end. If there is none, it was no row: where a
        server dies in the midst of one, a pooler writes its own last message there.
        """
        kind, unreadable = b"", None
        while kind != _READY:
            kind, body = self._next_message()
            try:
                self.message_types[kind](body, context)
            except Exception as error:
                if kind not in _ROWS:
                    raise
                unreadable = unreadable or error
        if unreadable is not None:
            raise unreadable
        if context.error is not None:
            raise context.error

    def _next_message(self) -> tuple[bytes, bytes]:
        # Takes whatever has arrived at once; pg8000 reads each message in two pieces.
        unread = self._unread
        while len(unread) < _HEAD.size:
            self._receive()
        kind, length = _HEAD.unpack_from(unread)
        if length < 0:
            raise pg8000.InterfaceError("out of step")
        while len(unread) <= length:
            self._receive()
        body = bytes(unread[_HEAD.size : length + 1])
        del unread[: length + 1]
        return kind, body

    def _receive(self) -> None:
        chunk = self._sock.read1(_CHUNK)
        if not chunk:
            raise pg8000.InterfaceError("network error")
        self._unread += chunk

    def handle_PARAMETER_STATUS(self, data: bytes, context: core.Context) -> None:  # noqa: N802
        """Take note of a setting. Raises InterfaceError when texts are not in UTF-8 any more."""
        super().handle_PARAMETER_STATUS(data, context)
        if self._client_encoding != "utf8":
            raise pg8000.InterfaceError("client_encoding has to be UTF8")

    def handle_BIND_COMPLETE(self, data: bytes, context: core.Context) -> None:  # noqa: ARG002, N802
        """Note that a statement is about to begin."""
        context.begun = getattr(context, "begun", 0) + 1

    def handle_DATA_ROW(self, data: bytes, context: core.Context) -> None:  # noqa: N802
        """Take a row; one that nothing has described tells which of the settings hold by now."""
        if context.columns is not None or self._carried is None:
            super().handle_DATA_ROW(data, context)
            return
        process, held = _texts(data)
        if int(process) == self.process_id and b"f" not in held:
            self._carried = None

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: core.Context) -> None:  # noqa: N802
        """Answer a step of the login, and with `bound` none that is not bound to the TLS."""
        (step,) = unpack("!i", data[:4])
        if self._bound:
            mechanisms = data[4:].split(b"\0") if step == _SASL else []
            if step == _LOGGED_IN:
                refused = not self._has_proved_itself
            elif step == _SASL:
                refused = b"SCRAM-SHA-256-PLUS" not in mechanisms
            else:
                refused = step not in (_SASL_CONTINUE, _SASL_FINAL)
            if refused:
                raise pg8000.InterfaceError("The server does not bind the login to its TLS.")
        super().handle_AUTHENTICATION_REQUEST(data, context)
        self._has_proved_itself = self._has_proved_itself or step == _SASL_FINAL

    def _keeps(self, statement: _Statement) -> bool:
        # In a transaction a name that the server does not know would be the end of it.
        return (
            self._prepare
            and self.autocommit
            and not self._in_transaction
            and (len(self._prepared) < MOST_PREPARED or statement.name in self._prepared)
        )

    def _run_prepared(
        self, statement: _Statement, parameters: Sequence[bytes | None]
    ) -> core.Context:
        run = _bind(statement.name, parameters) + _RUN
        if self._prepared.get(statement.name):
            context = core.Context(statement.text)
            before = self._before(begin=False)
            try:
                return self._exchange(before + run, context)
            except pg8000.DatabaseError as error:
                has_begun = getattr(context, "begun", 0) > (_BINDS_BEFORE if before else 0)
                if has_begun or self._usock is None or sqlstate(error) in GAVE_UP_WAITING:
                    raise
            # The server does not know it, or not as the tables are by now. Nothing has happened.
        self._prepared[statement.name] = False
        message = self._before(begin=False) + statement.prepare + run
        context = self._exchange(message, core.Context(statement.text))
        self._prepared[statement.name] = True
        return context

    def _before(self, *, begin: bool) -> bytes:
        """Return what goes along in front of a statement."""
        if self._carried is None or self._in_transaction:
            return _BEGIN if begin else b""
        return (_BEGIN if begin else _AS_BEGIN) + self._carried.message

    def _end(self, how: str) -> None:
        if self._in_transaction:
            self.run_text(how)

    def _exchange(self, message: bytes, context: core.Context) -> core.Context:
        if self._usock is None:
            raise pg8000.InterfaceError("connection is closed")
        _round_trips.set(_round_trips.get() + 1)
        try:
            self._usock.sendall(message)
            self.handle_messages(context)
        except BaseException as error:
            if error is context.error:  # the server's own, and it is ready for the next
                if is_read_only(error):
                    self.close()  # the next one may be led to the server that has taken over
                raise
            self._hang_up()
            if context.error is not None and isinstance(error, OSError | pg8000.InterfaceError):
                raise context.error from None  # the server said why before it hung up
            if isinstance(error, OSError):
                raise pg8000.InterfaceError("network error") from error
            raise
        return context

    def _hang_up(self) -> None:
        # A socket stays open until the file made from it is closed too, and a traceback that is
        # kept can hold that file for as long.
        ending, self._usock, self._sock = (self._sock, self._usock), None, None
        self._transaction_status = None
        self._unread.clear()
        for end in ending:
            if end is not None:
                with suppress(OSError):
                    end.close()


def _texts(row: bytes) -> list[bytes]:
    """Return the columns of a DataRow, none of them NULL."""
    columns, place = [], 2
    while place < len(row):
        (length,) = unpack_from("!i", row, place)
        columns.append(row[place + 4 : place + 4 + length])
        place += 4 + length
    return columns


def _bind(name: bytes, parameters: Sequence[bytes | None]) -> bytes:
    """Bind a statement to parameters in text form, in which its columns are asked for too."""
    values = [
        pack("!i", -1) if value is None else pack("!i", len(value)) + value for value in parameters
    ]
    return _message(
        b"B", b"\0", name, b"\0", pack("!hH", 0, len(parameters)), *values, pack("!h", 0)
    )


def _as_stock_raises(error: pg8000.DatabaseError) -> Exception:
    fields = error.args[0]
    state = sqlstate(error)
    if state == "28000":
        return pg8000.InterfaceError(fields)  # type: ignore[no-any-return]
    if state == "23505":
        return pg8000.IntegrityError(fields)  # type: ignore[no-any-return]
    return pg8000.ProgrammingError(fields)  # type: ignore[no-any-return]


def connect(
    *,
    timeout: float | None = None,
    connect_timeout: float | None = None,
    prepare: bool = False,
    settings: Mapping[str, str] | None = None,
    bound: bool = False,
    **arguments: Any,
) -> Connection:
    """Connect with the arguments of `pg8000.connect`, of which `ssl_context` has to be said.

    `timeout` is in seconds, for every silence of the server; `connect_timeout` stands in for it
    while connecting. The others are those of Connection. Raises OSError when nothing answers,
    NotConnected when what answers gives no connection.
    """
    sock = None
    arguments["startup_params"] = {"client_encoding": "UTF8"} | (
        arguments.get("startup_params") or {}
    )
    at_first = connect_timeout or timeout
    if arguments.get("unix_sock") is None:
        sock = _open_socket(arguments["host"], arguments["port"], at_first)
    try:
        made = Connection(
            prepare=prepare,
            settings=settings,
            bound=bound,
            sock=sock,
            timeout=at_first,
            **arguments,
        )
        if made._usock is not None:  # noqa: SLF001
            made._usock.settimeout(timeout)  # noqa: SLF001
        return made  # noqa: TRY300
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, pg8000.Error):
            raise NotConnected(*error.args) from error
        if isinstance(error, _MISUNDERSTOOD) and not isinstance(error, OSError):
            raise NotConnected("not an answer of PostgreSQL") from error
        raise


def _open_socket(host: str, port: int, timeout: float | None) -> socket.socket:
    """Ours, because pg8000's waits 40 ms in the midst of each long message and each handshake."""
    opened = socket.create_connection((host, port), timeout)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return opened


class Dialect(PGDialect_pg8000):
    """SQLAlchemy's dialect, without its questions to the server at the first connection.

    The server has told its version and how it reads strings by then. The default schema and
    isolation level nobody here asks for: NotImplementedError is SQLAlchemy's word for that.
    """

    supports_statement_cache = True

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        return _version(_told(connection))

    def _get_default_schema_name(self, connection: Any) -> str:
        raise NotImplementedError

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Leave it unasked."""
        raise NotImplementedError

    def _set_backslash_escapes(self, connection: Any) -> None:
        del connection
        self._backslash_escapes = False  # by standard_conforming_strings, which every session sets


def _told(connection: Any) -> dict[str, str]:
    told: dict[str, str] = connection.connection.dbapi_connection.parameter_statuses
    return told


registry.register("postgresql.draugar", __name__, "Dialect")
