"""What a thousand times as many rows cost: time, bytes, and getting rid of a month of them.

The rows grow by families, all of five people with a thousand points each of the last 29 days, in
the same partitions at every size. One more database holds a family like a real one, whose five
people have posted a point a minute, among forty of the others, with fresh statistics: there the
points that a statement reads are counted too. The statements are the service's, run by psycopg,
which adds next to nothing. Ten people ask at every size, so their rows stay in memory; "anybody" is
a different person every time, whose rows may have to be read. The server has PostgreSQL's own
settings, among them 128 MB of shared buffers, but no commit waits for the disk.
"""

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle, pairwise, product
from pathlib import Path
from statistics import median

import psycopg
from pg8000.native import Connection

from bench.figures import Figure, paired, ratio
from bench.rows import (
    MEMBERS,
    PAYLOAD_BYTES,
    Asked,
    Person,
    asked,
    make_families,
    make_points,
    some_people,
)
from chalicelib.locations import service
from scripts.postgres import Postgres
from tests.database import Server, connect

POINTS_EACH = 1000
FEWEST = 10_000
SMALL_FAMILIES, REAL_EACH = 40, 29 * 24 * 60
REAL = f"a family of {MEMBERS} x {REAL_EACH:,} points among {SMALL_FAMILIES} small ones"
MOST_BYTES = 600
"""On disk for a point, its share of the index included."""

_ASKING = FEWEST // POINTS_EACH
_TOGETHER = 4
_TEMPLATE = "draugar"

_DISK = """
SELECT (SELECT sum(pg_total_relation_size(relid))::float8 FROM pg_partition_tree('locations')),
    (SELECT count(*) FROM locations)
"""
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8"
_MONTH = "SELECT date_trunc('month', now()) - CAST(:ago AS integer) * interval '1 month'"
_KEEP_SINCE = """
UPDATE groups SET retention_days = extract(day FROM now() - CAST(:month AS timestamptz))
"""


_READ = """
SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::float8
FROM pg_stat_xact_user_tables WHERE relid IN (SELECT relid FROM pg_partition_tree('locations'))
"""


def _latest(who: Person) -> Asked:
    return asked(service.latest, credential=who.credential, group_id=who.group_id)


def _history(who: Person) -> Asked:
    wanted = service.Wanted(
        group_id=who.group_id, user_id=None, since=None, until=None, after=None, limit=100
    )
    return asked(service.history, credential=who.credential, wanted=wanted)


def _post(who: Person) -> Asked:
    point = service.NewPoint(
        id=None,
        group_id=who.group_id,
        recorded_at=None,
        encrypted_data=bytes(PAYLOAD_BYTES),
        key_version=1,
    )
    submission = service.Submission(points=[point], alone=True)
    return asked(service.store, credential=who.credential, submission=submission)


# With the most that the largest size may take, in the first.
STATEMENTS: dict[str, tuple[Callable[[Person], Asked], float]] = {
    "latest of a group": (_latest, 1.10),
    "history, 100 points": (_history, 1.20),
    "post of 1 point": (_post, 1.10),
}
# With the most points of each member that may be read.
READS = {"latest of a group": (_latest, 1), "history, 100 points": (_history, 101)}


def run(*, full: bool) -> list[Figure]:
    """Measure at 10 thousand rows and at 200 thousand, or at a million and at ten."""
    sizes = (FEWEST, 1_000_000, 10_000_000) if full else (FEWEST, 200_000)
    with _server() as server, ExitStack() as stack:
        urls = {
            f"{size:,} points": stack.enter_context(
                _filled(server, families=size // POINTS_EACH // MEMBERS, each=POINTS_EACH)
            )
            for size in sizes
        }
        largest = list(urls)[-1]
        disk = _disk(urls[largest], largest)
        if full:
            urls["1,000,000 points of one family"] = stack.enter_context(
                _filled(server, families=1, each=1_000_000 // MEMBERS)
            )
        url, members = stack.enter_context(_mixed(server))
        askers = {size: (url, _people(url, at_most=_ASKING)) for size, url in urls.items()}
        return [
            disk,
            *_reads(url, members),
            *_times(askers | {REAL: (url, members)}, largest, rounds=150 if full else 15),
            *_retention(server, families=200 if full else 4),
        ]


def _reads(url: str, members: Sequence[Person]) -> Iterator[Figure]:
    """Count the points that a statement reads in a family like a real one."""
    for (name, (question, of_each)), prepare in product(READS.items(), (True, False)):
        asks = question(members[0])
        with psycopg.connect(url, cursor_factory=psycopg.RawCursor) as connection:
            ((before,),) = connection.execute(_READ)
            connection.execute(asks.statement.text, asks.values, prepare=prepare)
            ((after,),) = connection.execute(_READ)
        yield Figure(
            section="growth",
            name=f"{name}, {'prepared' if prepare else 'unprepared'}, points read: {REAL}",
            value=after - before,
            unit="points",
            at_most=MEMBERS * of_each,
        )


def _times(
    same: Mapping[str, tuple[str, list[Person]]], largest: str, *, rounds: int
) -> Iterator[Figure]:
    first, (url, _) = next(iter(same)), same[largest]
    many = _people(url, at_most=rounds * _TOGETHER)
    # Apart from the others, whose rows they would push out of memory.
    anybody = {first: same[first], f"anybody of {largest}": (url, many)}
    for name, (question, at_most) in STATEMENTS.items():
        for how, prepare in {"prepared": True, "unprepared": False}.items():
            for askers in (same, anybody):
                with ExitStack() as stack:
                    things = {
                        size: stack.enter_context(
                            _asking(url, [question(who) for who in people], prepare=prepare)
                        )
                        for size, (url, people) in askers.items()
                    }
                    times = paired(things, rounds=rounds, each=_TOGETHER)
                for size in list(askers)[1:]:
                    yield Figure(
                        section="growth",
                        name=f"{name}, {how}: {size}",
                        value=median(times[size]),
                        unit="ms",
                        against=first,
                        baseline=median(times[first]),
                        ratio=ratio(times, size, first),
                        at_most=at_most if size in (largest, REAL) else None,
                    )


def _disk(url: str, size: str) -> Figure:
    with connect(url) as operator:
        ((taken, points),) = operator.run(_DISK)
    return Figure(
        section="growth",
        name=f"disk for a point of {PAYLOAD_BYTES} bytes: {size}",
        value=taken / points,
        unit="bytes",
        at_most=MOST_BYTES,
    )


def _retention(server: Server, *, families: int) -> Iterator[Figure]:
    """Drop one month as the daily job does; delete the next, of as many points."""
    with _filled(server, families=families, each=0) as url, connect(url) as operator:
        months = [operator.run(_MONTH, ago=ago)[0][0] for ago in (3, 2, 1)]
        operator.run(_KEEP_SINCE, month=months[0])
        operator.run("SELECT make_location_partitions()")
        for since, until in pairwise(months):
            make_points(operator, each=POINTS_EACH, since=since, until=until)
        operator.run(_KEEP_SINCE, month=months[1])
        dropped = _spent(operator, "SELECT drop_location_partitions()")
        delete = f"DELETE FROM locations WHERE recorded_at < '{months[2]}'"  # noqa: S608
        deleted = _spent(operator, delete, "VACUUM locations")
        if operator.run("SELECT EXISTS (SELECT FROM locations)") != [[False]]:
            raise RuntimeError("Points are left.")
    for unit, ours, theirs in zip(("s", "MB of WAL"), dropped, deleted, strict=True):
        yield Figure(
            section="growth",
            name=f"a month of {families * MEMBERS * POINTS_EACH:,} points dropped",
            value=ours,
            unit=unit,
            against="DELETE and VACUUM",
            baseline=theirs,
            ratio=ours / theirs,
        )


def _spent(operator: Connection, *statements: str) -> tuple[float, float]:
    """Run statements just after a checkpoint; return seconds and MB of WAL."""
    operator.run("CHECKPOINT")
    ((before,),), begun = operator.run(_WAL), time.perf_counter()
    for statement in statements:
        operator.run(statement)
    seconds, ((after,),) = time.perf_counter() - begun, operator.run(_WAL)
    return seconds, (after - before) / 1e6


@contextmanager
def _asking(
    url: str, questions: Sequence[Asked], *, prepare: bool
) -> Iterator[Callable[[], object]]:
    """Connect; give what asks the next of the questions, when it has warmed up."""
    with psycopg.connect(
        url,
        autocommit=True,
        options="-c synchronous_commit=off",
        cursor_factory=psycopg.RawCursor,
    ) as connection:
        turn = cycle(questions)

        def ask() -> None:
            question = next(turn)
            connection.execute(question.statement.text, question.values, prepare=prepare)

        for _ in range(2 * _ASKING):
            ask()
        yield ask


def _people(url: str, *, at_most: int) -> list[Person]:
    with connect(url) as operator:
        return some_people(operator, families=at_most // MEMBERS)


@contextmanager
def _filled(server: Server, *, families: int, each: int) -> Iterator[str]:
    """Make a database with families in it, and points of the last weeks; give its URL."""
    now = datetime.now(UTC)
    with server.database(template=_TEMPLATE) as name, server.connect(name) as operator:
        operator.run("SET synchronous_commit = off")
        make_families(operator, families=families)
        make_points(operator, each=each, since=now - timedelta(days=29), until=now)
        operator.run("CHECKPOINT")
        yield server.url_of(name)


@contextmanager
def _mixed(server: Server) -> Iterator[tuple[str, list[Person]]]:
    """Make small families and one like a real one; give the URL, and the members of the latter."""
    with (
        _filled(server, families=SMALL_FAMILIES + 1, each=POINTS_EACH) as url,
        connect(url) as operator,
    ):
        members, now = some_people(operator, families=1), datetime.now(UTC)
        make_points(
            operator,
            each=REAL_EACH - POINTS_EACH,
            since=now - timedelta(days=29),
            until=now,
            group_id=members[0].group_id,
        )
        yield url, members


@contextmanager
def _server() -> Iterator[Server]:
    """A server whose database `draugar` has the newest schema."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Postgres(Path(directory, "postgres")) as postgres,
    ):
        url, pepper = postgres.url(_TEMPLATE), secrets.token_urlsafe(32)
        os.environ |= {"DATABASE_URL": url, "INVITE_CODE_PEPPER": pepper}
        from chalicelib.jobs.migrate import migrate  # noqa: PLC0415 -- reads the settings made above

        migrate({}, None)
        yield Server(url)
