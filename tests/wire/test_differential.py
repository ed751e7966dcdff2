"""The same statements through the stock connection and through ours: the same answers and errors.

Each script runs on a connection of its own, in autocommit and in transactions, with and without
prepared statements, on two versions of PostgreSQL.
"""

import datetime as dt
import decimal
import io
import json
import math
import re
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any

import pg8000
import pytest
from pg8000 import legacy

from chalicelib.db import wire
from tests.servers import arguments

WHERE_IN_THE_SOURCE = {"F", "L", "R"}
NO_TRANSACTION = b"25P01"  # the stock connection commits even what it has not begun
NAMED_BY_THE_CONNECTION = re.compile(r"(?<=pg_temp)_\d+|draugar_[0-9a-f]{32}")
HARD_TEXTS = [
    "",
    " ",
    "it's",
    "''",
    '"quoted"',
    "\\",
    "\\x41",
    "E'\\n'",
    "100%",
    "%s",
    "%%s",
    "$1",
    "$$",
    ":name",
    "?",
    "-- no comment",
    "; DROP TABLE users",
    "a\nb\r\n\tc\x01\x7f",
    "Þórr ☃ \u202e \ufeff \ufffe",
    "😀\U0010ffff",
    "e\u0301",
]


class Transcript:
    """A connection, whose every answer is written down in a form that compares."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.lines: list[Any] = []

    def run(self, sql: str, *parameters: Any, stream: Any = None) -> None:
        """Run a statement and fetch all of it."""
        cursor = self.connection.cursor()
        if self.note(cursor.execute, sql, parameters, stream):
            self.note(lambda: (cursor.rowcount, cursor.description))
            self.note(cursor.fetchall)

    def note(self, call: Callable[..., Any], *arguments: Any) -> bool:
        """Write down what a call returns or raises; return whether it did not raise."""
        try:
            said = call(*arguments)
            self.lines.append("cursor" if isinstance(said, legacy.Cursor) else repr(said))
        except Exception as error:  # noqa: BLE001 -- of whatever class, it is to be the same
            self.lines.append((type(error), *_fields(error)))
            return False
        return True

    def commit(self) -> None:
        self.note(self.connection.commit)

    def rollback(self) -> None:
        self.note(self.connection.rollback)

    def close(self) -> None:
        """See whether questions and answers are still in step, and what else was heard."""
        self.rollback()
        self.run("SELECT 'still', %s", "in step")
        self.lines += [
            [
                _fields(notice)
                for notice in self.connection.notices
                if notice[b"C"] != NO_TRANSACTION
            ],
            [heard[1:] for heard in self.connection.notifications],
        ]
        self.connection.close()


def _fields(error: Any) -> Any:
    fields = error.args[0] if isinstance(error, Exception) and error.args else error
    if not isinstance(fields, dict):
        return error.args
    names = {name: name.decode() if isinstance(name, bytes) else name for name in fields}
    return sorted(
        (names[name], NAMED_BY_THE_CONNECTION.sub("", str(value)))
        for name, value in fields.items()
        if names[name] not in WHERE_IN_THE_SOURCE
    )


def texts(do: Transcript) -> None:
    for text in HARD_TEXTS:
        do.run("SELECT %s::text, length(%s)", text, text)
        quoted = text.replace("'", "''")
        do.run(f"SELECT '{quoted}' AS \"100% {len(text)}\"")
    do.run("SELECT %s::text", "\ud800"[:0] + "a\0b")


def text_of_statements(do: Transcript) -> None:
    for sql in (
        "SELECT 5 %% 3, %s::int",
        "SELECT '%s %% $1', %s::int",
        'SELECT %s::int AS "%s %%"',
        "SELECT E'\\'%s', %s::int",
        "SELECT $$%s$$, %s::int",
        "SELECT $q$%s$q$, %s::int",
        "SELECT %s::int -- %s\n",
        "SELECT %s::int /* 'þ 😀' */",
        "SELECT %s::int;",
        "SELECT %s::int; SELECT 2",
        "SELECT %d",
        "SELECT %s, %s::int",
        "SELECT 1",
        "SELECT ☃, %s::int",
    ):
        do.run(sql, 7)
        do.rollback()


def statements_without_parameters(do: Transcript) -> None:
    for sql in (
        "SELECT 5 % 3, 5 %% 3",
        "SELECT '%s', '%'",
        "",
        ";",
        " ;; ",
        "-- nothing",
        "/* nothing */",
        "SELECT 1; SELECT 2, 3",
        "SELECT 1; SELECT 1/0; SELECT 3",
        "CREATE TEMP TABLE a (n int); INSERT INTO a VALUES (1), (2); TABLE a",
        "SELECT $1",
    ):
        do.run(sql)
        do.rollback()


def values(do: Transcript) -> None:
    utc = dt.timezone.utc  # noqa: UP017 -- as drivers and the standard library's docs have it
    for kind, value in (
        ("uuid", uuid.UUID(int=2**128 - 1)),
        ("uuid", "00000000-0000-0000-0000-000000000000"),
        ("timestamptz", dt.datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=utc)),
        ("timestamptz", dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-5.5)))),
        ("timestamptz", "infinity"),
        ("timestamptz", "-infinity"),
        ("timestamptz", "10000-01-01 00:00:00+00"),
        ("timestamptz", "0044-03-15 00:00:00+00 BC"),
        ("timestamp", dt.datetime(9999, 12, 31, 23, 59, 59)),  # noqa: DTZ001 -- it has none
        ("date", dt.date(1, 1, 1)),
        ("date", "4713-01-01 BC"),
        ("date", "infinity"),
        ("time", dt.time(23, 59, 59, 1)),
        ("timetz", "12:00:00+02"),
        ("interval", dt.timedelta(days=-3, microseconds=1)),
        ("interval", "1 year -2 mons 3 days 04:05:06.7"),
        ("json", json.dumps({"a": [1, None, "%s", "☃"]})),
        ("jsonb", json.dumps({"a": {"b": 1e300}})),
        ("jsonb", "null"),
        ("bytea", bytes(range(256))),
        ("bytea", b""),
        ("numeric", decimal.Decimal("-1234567890123456789.000000000000000000001000")),
        ("numeric", decimal.Decimal("NaN")),
        ("numeric", "Infinity"),
        ("float8", math.inf),
        ("float8", -math.inf),
        ("float8", math.nan),
        ("float8", 5e-324),
        ("float8", -0.0),
        ("float4", 0.1),
        ("int8", 2**63 - 1),
        ("int8", -(2**63)),
        ("int8", 2**63),
        ("int2", 32768),
        ("int4", "seven"),
        ("bool", True),
        ("bool", False),
        ("int[]", [1, None, -3]),
        ("int[]", []),
        ("int[]", [[1, 2], [3, None]]),
        ("text[]", ["", None, "NULL", 'a"b', "c,d", "{}", "\\", "☃", "it's"]),
        ("uuid[]", [uuid.UUID(int=7), None]),
        ("timestamptz[]", [dt.datetime(2024, 1, 1, tzinfo=utc), None]),
        ("float8[]", [0.5, math.inf, None]),
        ("bytea[]", [b"\x00\xff", b""]),
        ("numeric[]", [decimal.Decimal("1.10"), None]),
        ("jsonb[]", ['{"a": 1}', None]),
        ("inet", "10.0.0.1"),
        ("int4range", "[1,5)"),
        ("money", "1234.56"),
        ("xml", "<a>☃</a>"),
        ("int", None),
    ):
        do.run(f"SELECT %s::{kind} AS value", value)
        do.rollback()
        do.run(f"SELECT %s::{kind}::text", value)
        do.rollback()


def parameters_whose_type_is_guessed(do: Transcript) -> None:
    do.run("CREATE TEMP TABLE t (a int, b text, c timestamptz, d bytea, e boolean[])")
    do.run(
        "INSERT INTO t VALUES (%s, %s, %s, %s, %s) RETURNING *",
        1,
        "x",
        "epoch",
        b"\0",
        [True, None],
    )
    do.run("SELECT %s", "unknown becomes text")
    do.run("SELECT %s + 1", 2)
    do.run("SELECT %s + %s", 2, 3)
    do.rollback()


def parameters_whose_type_is_said(do: Transcript) -> None:
    for sizes, value in (
        ((pg8000.INTEGER,), 5),
        ((pg8000.BIGINTEGER,), 2**40),
        ((-1,), "guess"),
        ((0,), "guess"),
        ((int,), 5),
        ((object,), "guess"),
        ((pg8000.INTEGER, pg8000.INTEGER), 5),
        ((), "guess"),
        ((99999999,), "no such type"),
    ):
        cursor = do.connection.cursor()
        cursor.setinputsizes(*sizes)
        for _ in range(2):
            do.note(cursor.execute, "SELECT %s", [value])
            do.note(cursor.fetchall)
        do.rollback()


def shapes_of_answers(do: Transcript) -> None:
    for sql in (
        "SELECT",
        "SELECT FROM generate_series(1, %s)",
        "SELECT NULL, NULL::int FROM generate_series(1, %s)",
        "SELECT 1 WHERE %s > 5",
        "SELECT n, repeat('x', n) FROM generate_series(1, 10 * %s) n",
        'SELECT 1 AS a, 2 AS a, 3 AS "☃", %s AS "\u00a0"',
    ):
        do.run(sql, *([3] if "%s" in sql else []))
        do.run(sql.replace("%s", "3"))


def many(do: Transcript) -> None:
    do.run("SELECT n, md5(n::text) FROM generate_series(1, %s) n", 10_000)
    do.run("SELECT " + ", ".join(map(str, range(1600))))
    do.run("SELECT " + ", ".join(["%s::int"] * 1600), *range(1600))
    do.run("SELECT 1 WHERE 1 IN (" + ", ".join(["%s"] * 5000) + ")", *range(5000))


def large(do: Transcript) -> None:
    text = "0123456789☃" * 250_000
    do.run("SELECT md5(%s), length(%s::text)", text, text)
    do.run("SELECT repeat(%s, 3000000)", "x")
    do.run(f"SELECT length('{text}')")
    do.run("SELECT octet_length(%s::bytea)", bytes(1_000_000))


def counts_of_rows(do: Transcript) -> None:
    for sql in (
        "CREATE TEMP TABLE t (n int PRIMARY KEY)",
        "INSERT INTO t SELECT generate_series(1, %s)",
        "INSERT INTO t VALUES (%s) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES (%s + 100), (%s + 101) RETURNING n, n * 2 AS twice",
        "UPDATE t SET n = n + 1000 WHERE n > %s",
        "UPDATE t SET n = n WHERE n = %s RETURNING n",
        "DELETE FROM t WHERE n < %s",
        "SELECT * FROM t WHERE n <> %s",
        "MERGE INTO t USING (VALUES (%s), (77)) AS s (n) ON t.n = s.n WHEN MATCHED THEN DELETE",
        "WITH gone AS (DELETE FROM t RETURNING n) SELECT count(*) + %s FROM gone",
        "CREATE TEMP TABLE u AS SELECT %s::int AS n",
        "VALUES (%s), (2)",
        "EXPLAIN (COSTS OFF) SELECT %s::int",
        "TRUNCATE t",
        "DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5)",
        "FETCH 2 FROM c",
        "MOVE 2 FROM c",
        "SET work_mem = '5MB'",
        "SHOW work_mem",
        "DROP TABLE t",
    ):
        do.run(sql, *([5] * sql.count("%s")))


def an_error_fails_its_transaction(do: Transcript) -> None:
    do.run("CREATE TEMP TABLE t (n int PRIMARY KEY CHECK (n < 10))")
    do.run("CREATE TEMP TABLE u (n int REFERENCES t)")
    do.run("INSERT INTO t VALUES (%s)", 1)
    do.commit()
    for sql, *parameters in (
        ("INSERT INTO t VALUES (%s)", 1),
        ("INSERT INTO t VALUES (%s)", 11),
        ("INSERT INTO t VALUES (%s)", None),
        ("INSERT INTO u VALUES (%s)", 2),
        ("INSERT INTO t VALUES (%s)", "one"),
        ("INSERT INTO t VALUES (%s, %s)", 3, 4),
        ("SELEC %s", 1),
        ("SELECT %s FROM nowhere", 1),
        ("SELECT nothing, %s FROM t", 1),
        ("SELECT 1 / (3 - n), %s::text FROM generate_series(1, 5) n", "x"),
        ("SELECT n, 1 / (9000 - n) FROM generate_series(1, 10000) n WHERE n > %s", 0),
        ("SELECT nosuch(%s)", 1),
        ("SELECT pg_typeof(%s) = %s::int", 1, 2),
        ("LISTEN a; LISTEN %s", 1),
        ("VACUUM t",),
        ("SELECT 1 / 0",),
        ("INSERT INTO t VALUES (1)",),
    ):
        do.run("SELECT 'begun'")
        do.run(sql, *parameters)
        do.run("SELECT count(*) FROM t WHERE n > %s", 0)  # 25P02 in a transaction
        do.run("SELECT 'or not'")
        do.commit()
        do.rollback()
        do.run("SELECT count(*) FROM t")
        do.rollback()


def an_error_in_the_first_statement_of_a_transaction(do: Transcript) -> None:
    for sql in ("SELECT 'þ😀', nothing", "SELECT 1 +\n nowhere.x", "SELECT 1/0", "SET nosuch = 1"):
        do.run(sql)
        do.run("SELECT 1")
        do.rollback()


def the_place_of_a_syntax_error(do: Transcript) -> None:
    for sql in ("SELEC 1", "SELECT '😀' +\n FROM", "SELECT 'unterminated", "SELECT 1; SELEC 2"):
        do.run(sql)
        do.rollback()


def savepoints(do: Transcript) -> None:
    do.run("BEGIN")
    do.run("CREATE TEMP TABLE t (n int UNIQUE)")
    do.run("SAVEPOINT a")
    do.run("INSERT INTO t VALUES (%s)", 1)
    do.run("SAVEPOINT b")
    do.run("INSERT INTO t VALUES (%s)", 1)
    do.run("SELECT %s", 1)
    do.run("ROLLBACK TO SAVEPOINT b")
    do.run("INSERT INTO t VALUES (%s)", 2)
    do.run("RELEASE SAVEPOINT a")
    do.run("RELEASE SAVEPOINT a")
    do.run("ROLLBACK TO SAVEPOINT nosuch")
    do.run("ROLLBACK")
    do.run("TABLE t")


def ends_of_transactions(do: Transcript) -> None:
    do.commit()
    do.rollback()
    do.run("CREATE TEMP TABLE t (n int)")
    do.commit()
    do.commit()
    do.run("INSERT INTO t VALUES (%s)", 1)
    do.rollback()
    do.rollback()
    do.run("TABLE t")
    do.rollback()
    do.run("INSERT INTO t VALUES (2)")
    do.run("COMMIT")
    do.run("TABLE t")
    do.run("COMMIT")
    do.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
    do.run("SHOW transaction_isolation")
    do.run("SELECT %s", 1)
    do.commit()
    do.run("SHOW transaction_isolation")


def switches_of_autocommit(do: Transcript) -> None:
    do.run("CREATE TEMP TABLE t (n int)")
    do.commit()
    for autocommit in (True, False, True, True, False):
        do.connection.autocommit = autocommit
        do.run("INSERT INTO t VALUES (%s)", 1)
        do.rollback()
        do.run("SELECT count(*) FROM t WHERE n = %s", 1)
        do.commit()


def a_constraint_that_fails_at_the_end(do: Transcript) -> None:
    do.run("CREATE TEMP TABLE t (n int PRIMARY KEY, m int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    do.commit()
    do.run("INSERT INTO t VALUES (%s, %s)", 1, 1)
    do.run("INSERT INTO t VALUES (%s, %s)", 2, 1)
    do.run("INSERT INTO t VALUES (3, 1)")
    do.commit()
    do.run("TABLE t")
    do.commit()


def copies(do: Transcript) -> None:
    do.run("CREATE TEMP TABLE t (n int CHECK (n < 100), s text)")
    do.commit()
    long = "".join(f"{n % 100}\t{'☃' * 100}\n" for n in range(1000))
    for source in (
        io.StringIO("1\tone\n2\t\\N\n"),
        io.BytesIO("3\t☃\n".encode()),
        io.StringIO(long),
        io.BytesIO(long.encode()),
        io.StringIO(""),
        ["4\tfour\n", b"5\tfive\n", "6\t", "six\n"],
        (f"{n}\t{n}\n" for n in range(7, 10)),
        io.StringIO("ten\tten\n"),
        io.StringIO("1000\tchecked\n" + long),
    ):
        do.run("COPY t FROM STDIN", stream=source)
        do.run("SELECT count(*) FROM t WHERE n >= %s", 0)
        do.commit()
    do.run("COPY nowhere FROM STDIN", stream=io.StringIO("1\n"))
    do.rollback()
    for sink in (io.StringIO(), io.BytesIO()):
        do.run("COPY (SELECT * FROM t ORDER BY n, s) TO STDOUT", stream=sink)
        do.note(sink.getvalue)
    do.run("COPY (SELECT 1 / (3 - n) FROM generate_series(1, 5) n) TO STDOUT", stream=io.BytesIO())
    do.rollback()
    do.run("SELECT %s", "no copy", stream=io.BytesIO())


def notices(do: Transcript) -> None:
    do.run("DROP TABLE IF EXISTS nowhere")
    do.run("DO $$BEGIN RAISE NOTICE 'þ %', 1; RAISE WARNING '😀' USING HINT = 'none'; END$$")
    do.run("SET client_min_messages = 'debug1'")
    do.run("SELECT %s::int", 1)
    do.run("RESET client_min_messages")
    do.run("SET application_name = 'other'")
    do.note(lambda: do.connection.parameter_statuses)


def notifications(do: Transcript) -> None:
    do.run("LISTEN there")
    do.commit()
    do.run("NOTIFY there, 'first'")
    do.run("SELECT pg_notify('there', %s)", "second")
    do.commit()
    do.run("SELECT %s", 1)
    do.run("UNLISTEN *")
    do.commit()


def repeats(do: Transcript) -> None:
    do.run("CREATE TEMP TABLE t (n int UNIQUE, s text)")
    do.commit()
    for rows in (
        [],
        [(1, "a")],
        [(2, "b"), (3, None), (4, "☃")],
        [(5, "e"), (1, "again"), (6, "")],
    ):
        cursor = do.connection.cursor()
        do.note(cursor.executemany, "INSERT INTO t VALUES (%s, %s)", rows)
        do.note(getattr, cursor, "rowcount")
        do.rollback()
        do.run("SELECT * FROM t ORDER BY n")
    for _ in range(12):  # more often than a plan stays custom
        do.run("SELECT count(*) FROM t WHERE n > %s", 1)


def fetches(do: Transcript) -> None:
    cursor = do.connection.cursor()
    for call in (
        lambda: (cursor.rowcount, cursor.description, cursor.arraysize),
        cursor.fetchone,
        cursor.fetchmany,
        cursor.fetchall,
        lambda: cursor.execute("SELECT generate_series(1, %s)", [9]),
        cursor.fetchone,
        cursor.fetchmany,
        lambda: cursor.fetchmany(3),
        lambda: next(cursor),
        lambda: cursor.fetchmany(0),
        lambda: list(cursor),
        cursor.fetchone,
        cursor.fetchmany,
        cursor.fetchall,
        lambda: next(cursor),
        lambda: cursor.execute("SET work_mem = '6MB'"),
        cursor.fetchone,
        cursor.fetchmany,
        cursor.fetchall,
        lambda: cursor.execute("SELECT 1/0 WHERE %s", [True]),
        lambda: (cursor.rowcount, cursor.description),
        cursor.fetchall,
        do.connection.rollback,
        lambda: cursor.execute("SELECT"),
        cursor.fetchall,
        lambda: cursor.setoutputsize(1),
        cursor.close,
        lambda: cursor.execute("SELECT 1"),
        lambda: cursor.execute("SELECT %s", [1]),
        lambda: cursor.executemany("SELECT %s", [[1]]),
        cursor.fetchall,
        cursor.close,
    ):
        do.note(call)
    with do.connection.cursor() as other:
        do.note(lambda: other.execute("SELECT %s", [1]).fetchone())
    do.note(lambda: other.execute("SELECT 1"))


def methods_of_the_stock_connection(do: Transcript) -> None:
    connection = do.connection
    prepared = connection.prepare("SELECT CAST(:n AS int) + 1 AS n")
    for call in (
        lambda: connection.run("SELECT :a || :b || :a", a="x", b="☃"),
        lambda: connection.run("SELECT 1; SELECT 2"),
        lambda: connection.description,
        lambda: connection.run("SELECT :a::int", a="one"),
        connection.rollback,
        lambda: prepared.run(n=1),
        lambda: prepared.run(n=2),
        lambda: prepared.run(n="two"),
        connection.rollback,
        lambda: prepared.run(n=3),
        prepared.close,
        lambda: connection.run("COPY (SELECT 1) TO STDOUT", stream=io.BytesIO()),
    ):
        do.note(call)


def two_phases(do: Transcript) -> None:
    connection = do.connection
    name = uuid.uuid4().hex
    for end in (connection.tpc_commit, connection.tpc_rollback):
        for prepares in (True, False):
            do.note(lambda: connection.tpc_begin(connection.xid(1, name, "")))
            do.run("SELECT %s", 1)
            if prepares and do.note(connection.tpc_prepare):
                do.note(lambda: connection.tpc_recover() == [(0, name, "")])
            do.note(end, (0, name, ""))
            do.rollback()
    do.note(connection.tpc_commit)
    do.note(connection.tpc_rollback)
    connection.notices.clear()  # they would name the transaction


def adapters(do: Transcript) -> None:
    do.connection.register_out_adapter(complex, lambda value: f"({value.real},{value.imag})")
    do.connection.register_in_adapter(600, lambda text: f"point {text}")
    do.run("SELECT %s::point", 1 + 2j)
    do.run("SELECT point(1, 2)")
    do.run("SELECT %s::text", 1 + 2j)


def an_end(do: Transcript) -> None:
    cursor = do.connection.cursor()
    cursor.execute("SELECT generate_series(1, %s)", [3])
    do.connection.close()
    for call in (
        cursor.fetchone,
        lambda: cursor.execute("SELECT %s", [1]),
        lambda: cursor.execute("SELECT 1"),
        lambda: do.connection.cursor().execute("SELECT 1"),
        cursor.close,
    ):
        do.note(call)


SCRIPTS = [
    texts,
    text_of_statements,
    statements_without_parameters,
    values,
    parameters_whose_type_is_guessed,
    parameters_whose_type_is_said,
    shapes_of_answers,
    many,
    large,
    counts_of_rows,
    an_error_fails_its_transaction,
    an_error_in_the_first_statement_of_a_transaction,
    the_place_of_a_syntax_error,
    savepoints,
    ends_of_transactions,
    switches_of_autocommit,
    a_constraint_that_fails_at_the_end,
    copies,
    notices,
    notifications,
    repeats,
    fetches,
    methods_of_the_stock_connection,
    two_phases,
    adapters,
    an_end,
]


@cache
def expected(target: str, script: Callable[[Transcript], None], *, autocommit: bool) -> Any:
    """Return what is heard on the stock connection."""
    return transcript(script, pg8000.connect(**arguments(target)), autocommit=autocommit)


def transcript(script: Callable[[Transcript], None], connection: Any, *, autocommit: bool) -> Any:
    """Run the script and return what is heard."""
    connection.autocommit = autocommit
    do = Transcript(connection)
    script(do)
    if script is not an_end:
        do.close()
    return do.lines


@pytest.mark.parametrize("prepare", [False, True], ids=["unnamed", "prepared"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transactions"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_ours_answers_as_the_stock_connection_does(
    target: str, script: Callable[[Transcript], None], *, autocommit: bool, prepare: bool
) -> None:
    ours = wire.connect(**arguments(target), prepare=prepare)

    heard = transcript(script, ours, autocommit=autocommit)

    assert heard == expected(target, script, autocommit=autocommit)
