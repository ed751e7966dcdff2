"""What a database refuses that is there: full up, closing, in a conflict, read-only (R12, R13).

Whatever it says, the service answers 503 or tries once more. Nothing is done by halves, and all is
well again by itself.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from typing import Any
from unittest import mock
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from chalicelib.groups import service as groups
from tests import factories
from tests.factories import Someone
from tests.faults.own_server import OwnServer, as_api
from tests.faults.processes import Call, Processes
from tests.faults.writers import Attempt, attempt
from tests.laptop.runs import eventually
from tests.servers import serving

LOGGED = {
    "requestId",
    "method",
    "route",
    "status",
    "durationMs",
    "roundTrips",
    "code",
    "cause",
    "sqlstate",
}
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

# Some changes are refused with whatever SQLSTATE is asked for, and counted: what a sequence has
# given out, no rollback takes back.
REFUSING = """
    CREATE TABLE refusing (state text);
    CREATE SEQUENCE tries;
    GRANT ALL ON refusing, tries TO public;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE said text := (SELECT state FROM refusing);
    BEGIN
        IF said IS NOT NULL THEN
            PERFORM nextval('tries');
            RAISE EXCEPTION 'refused' USING ERRCODE = said;
        END IF;
        RETURN new;
    END $$;
    CREATE TRIGGER fail BEFORE INSERT ON locations
        FOR EACH ROW WHEN (new.accuracy = 7) EXECUTE FUNCTION fail();
    CREATE TRIGGER fail BEFORE UPDATE ON invite_codes FOR EACH ROW EXECUTE FUNCTION fail();
"""
PASSING = [
    *("40001", "40P01", "55P03", "57014", "25006", "25P03", "25P04"),
    *("53000", "53100", "53200", "53300", "53400", "58000", "58030"),
    *("57P01", "57P02", "57P03", "57P05", "08000", "08003", "08006"),
]


@dataclass(frozen=True)
class Scene:
    """Two admins of a group, and a process with one connection for each of them."""

    server: OwnServer
    url: str
    una: Someone
    ari: Someone
    group_id: UUID
    of_una: Processes
    of_ari: Processes

    def post(self, **body: Any) -> Call:
        """What takes one statement."""
        body = body or factories.plain_point()
        return Call("POST", "/api/locations", body, token=self.una.token)

    def pause(self) -> Call:
        """What takes a transaction, which locks the group and then the member."""
        path = f"/api/groups/{self.group_id}/sharing"
        return Call("PUT", path, {"paused": False}, token=self.ari.token)

    def of_una_now(self, call: Call) -> Attempt:
        """What comes of a request to Una's process."""
        return self.of_una.each(attempt, [call])[0]

    def of_ari_now(self, call: Call) -> Attempt:
        """What comes of a request to Ari's process."""
        return self.of_ari.each(attempt, [call])[0]

    def operator(self) -> psycopg.Connection:
        """Somebody beside the service."""
        return self.server.operator(self.url)

    def configure(self, setting: str) -> None:
        """Let connections begin with a setting from now on; those that there are end."""
        with self.operator() as operator:
            operator.execute(f'ALTER DATABASE "{operator.info.dbname}" {setting}')
            end_others(operator)


@pytest.fixture(scope="module")
def settled(own_server: OwnServer) -> Iterator[Scene]:
    with ExitStack() as stack:
        url = stack.enter_context(own_server.database())
        with own_server.operator(url) as operator:
            operator.execute(REFUSING)
        with serving(url) as engine, Session(engine) as session:
            una, ari = (factories.someone(session, name=name) for name in ("Una", "Ari"))
            group_id = factories.group(session, una, ari)
            session.execute(text("UPDATE group_members SET role = 'admin'"))
            session.commit()
        served = (stack.enter_context(Processes(as_api(url), count=1)) for _ in range(2))
        yield Scene(own_server, url, una, ari, group_id, *served)


@pytest.fixture
def scene(settled: Scene) -> Iterator[Scene]:
    """The scene, without a connection of the service's."""
    settled.server.start()
    settled.configure("RESET ALL")
    yield settled
    settled.server.start()


def end_others(operator: psycopg.Connection) -> None:
    """End every other connection to the database, and see them gone."""
    while ask(operator, f"SELECT count(pg_terminate_backend(pid)) {OTHERS}"):
        time.sleep(0.002)


def ask(operator: psycopg.Connection, query: str) -> Any:
    """Return the one value that a query asks for."""
    row = operator.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def put_off(*attempts: Attempt) -> set[str | None]:
    """Assert that all are told to come back; return the SQLSTATEs that are logged of them."""
    assert [attempt.reply.status for attempt in attempts] == [503] * len(attempts)
    assert {attempt.reply.code for attempt in attempts} == {"temporarily_unavailable"}
    assert {attempt.reply.headers["Retry-After"] for attempt in attempts} == {"1"}
    return {attempt.line.get("sqlstate") for attempt in attempts}


# R13: what the server may say of a statement.


@pytest.mark.parametrize(("number", "state"), list(enumerate(PASSING)), ids=PASSING)
def test_a_statement_that_may_pass_later_is_put_off_and_not_done_by_halves(
    scene: Scene, number: int, state: str
) -> None:
    points = [factories.plain_point(accuracy=accuracy) for accuracy in range(1, 11)]
    with serving(scene.url) as engine, Session(engine) as session:
        code = factories.invite(session, group_id=scene.group_id, by=scene.una).text
    post = scene.post(locations=points)
    join = Call(
        "POST", "/api/auth/join", {"code": code, "name": "Sif"}, address=f"192.0.2.{number}"
    )
    with scene.operator() as operator:
        before = stock(operator)
        operator.execute("ALTER SEQUENCE tries RESTART")
        operator.execute("INSERT INTO refusing VALUES (%s)", [state])

        refused = [scene.of_una_now(post), scene.of_una_now(join)]

        tries = ask(operator, "SELECT nextval('tries')") - 1
        meanwhile = stock(operator)
        operator.execute("DELETE FROM refusing")
        taken = [scene.of_una_now(post), scene.of_una_now(join)]
        afterwards = stock(operator)

    assert put_off(*refused) == {state}
    assert tries == (3 if state == "40P01" else 2)  # a post that met somebody's locks, once more
    assert meanwhile == before
    assert [each.reply.status for each in taken] == [200, 201]
    assert afterwards == (before[0] + 10, before[1] + 1, before[2] + 1)


def stock(operator: psycopg.Connection) -> tuple[int, ...]:
    """Return how many points, people and members there are."""
    return tuple(
        ask(operator, f"SELECT count(*) FROM {table}")  # noqa: S608 -- one of these
        for table in ("locations", "users", "group_members")
    )


# How a statement or its connection ends.


def cancel(_: Scene, operator: psycopg.Connection) -> None:
    operator.execute(f"SELECT pg_cancel_backend(pid) {OTHERS}")


def terminate(_: Scene, operator: psycopg.Connection) -> None:
    operator.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")


def shut_down_fast(scene: Scene, _: psycopg.Connection) -> None:
    scene.server.shut_down(signal.SIGINT)
    scene.server.await_end()


def crash_a_backend(scene: Scene, _: psycopg.Connection) -> None:
    scene.server.crash()


def kill(scene: Scene, _: psycopg.Connection) -> None:
    scene.server.kill()
    scene.server.await_end()


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (cancel, "57014"),
        (terminate, "57P01"),
        (shut_down_fast, "57P01"),
        (crash_a_backend, None),  # the server gives its reason as a warning
        (kill, None),
    ],
)
def test_whoever_is_ended_in_the_middle_is_put_off_and_has_done_nothing(
    scene: Scene, end: Callable[[Scene, psycopg.Connection], None], state: str | None
) -> None:
    post, pause = scene.post(), scene.pause()
    with closing(scene.operator()) as operator:
        before = stock(operator)
        operator.execute("BEGIN")
        operator.execute("SELECT FROM groups FOR UPDATE")

        scene.of_una.begin(attempt, [post])
        scene.of_ari.begin(attempt, [pause])
        assert keeps_waiting(operator, 2)
        end(scene, operator)
        ended = scene.of_una.results() + scene.of_ari.results()
    scene.server.start()
    with scene.operator() as operator:
        meanwhile = stock(operator)
    again = [scene.of_una_now(post), scene.of_ari_now(pause)]

    assert put_off(*ended) == {state}
    assert meanwhile == before
    assert [each.reply.status for each in again] == [200, 204]


def keeps_waiting(operator: psycopg.Connection, number: int) -> bool:
    """Wait until so many wait for a lock that another connection has."""
    waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    return eventually(lambda: ask(operator, waiting) == number)


def test_a_server_that_closes_lets_those_go_on_who_are_connected(scene: Scene) -> None:
    with closing(scene.operator()) as operator:
        warm = [scene.of_una_now(scene.post())]
        scene.server.shut_down(signal.SIGTERM)
        assert eventually(lambda: is_refused(scene))

        warm.append(scene.of_una_now(scene.post()))
        closed = scene.of_ari_now(scene.pause())
        end_others(operator)
    scene.server.await_end()
    gone = scene.of_una_now(scene.post())
    scene.server.start()
    again = [scene.of_una_now(scene.post()), scene.of_ari_now(scene.pause())]

    assert [each.reply.status for each in warm] == [200, 200]
    assert put_off(closed) == {"57P03"}
    assert put_off(gone) == {None}
    assert [each.reply.status for each in again] == [200, 204]


def is_refused(scene: Scene) -> bool:
    """Whether whoever connects now is refused."""
    try:
        scene.operator().close()
    except psycopg.OperationalError:
        return True
    return False


# R12: no connection is free.


@pytest.mark.parametrize("whose", ["the service's own role", "a superuser"])
def test_whoever_finds_no_slot_free_is_put_off_until_one_is(scene: Scene, whose: str) -> None:
    with ExitStack() as stack:
        warm = [scene.of_una_now(scene.post())]
        # Three are kept for superusers, who can use them up as well.
        kept = 3 if whose == "a superuser" else 0
        others = list(taken_slots(stack, scene, scene.url if kept else as_api(scene.url)))

        full = [scene.of_ari_now(scene.pause()) for _ in range(3)]
        warm.append(scene.of_una_now(scene.post()))
        for other in others[kept::-1]:
            other.close()
        meanwhile: list[Attempt] = []
        while (back := scene.of_ari_now(scene.pause())).reply.status == 503 and len(
            meanwhile
        ) < 500:
            meanwhile.append(back)

    assert put_off(*full, *meanwhile) == {"53300"}
    assert [each.reply.status for each in warm] == [200, 200]
    assert back.reply.status == 204
    for each in full:
        assert each.line.keys() == LOGGED
        assert scene.ari.token not in str(each.line)
        assert scene.url not in str(each.line)


def taken_slots(stack: ExitStack, scene: Scene, url: str) -> Iterator[psycopg.Connection]:
    """Take one slot after the other until there is none left for this role."""
    while True:
        try:
            yield stack.enter_context(scene.server.operator(url))
        except psycopg.OperationalError:
            return


# Conflicts with others.


def test_a_transaction_that_deadlocks_is_put_off(scene: Scene) -> None:
    pause = scene.pause()

    crossed = deadlocked(scene, scene.of_ari, pause, "group_members")

    assert put_off(crossed) == {"40P01"}
    assert scene.of_ari_now(pause).reply.status == 204


def test_a_statement_that_deadlocks_is_run_once_more(scene: Scene) -> None:
    crossed = deadlocked(scene, scene.of_una, scene.post(), "devices")

    assert crossed.reply.status == 200
    assert crossed.line["roundTrips"] == 2


def deadlocked(scene: Scene, process: Processes, call: Call, held: str) -> Attempt:
    """Let the service lock a group and wait for a row that is held, whose holder wants the group.

    The service looks first whether it is a deadlock, and is the one to give way. The holder stops
    wanting the group as soon as the service has given way, since its next try may lock the group
    before the holder has woken.
    """
    scene.configure("SET deadlock_timeout = '2s'")
    with (
        closing(scene.operator()) as operator,
        closing(scene.operator()) as watcher,
        ThreadPoolExecutor(1) as beside,
    ):
        operator.execute("SET deadlock_timeout = '60s'")
        operator.execute("BEGIN")
        operator.execute(f"SELECT FROM {held} FOR UPDATE".encode())
        process.begin(attempt, [call])
        assert keeps_waiting(watcher, 1)
        pid = ask(watcher, "SELECT pid FROM pg_locks WHERE NOT granted")
        waiting = doing(watcher, pid)
        wanting = beside.submit(operator.execute, "SELECT FROM groups FOR UPDATE")
        assert eventually(lambda: doing(watcher, pid) != waiting)
        watcher.execute("SELECT pg_cancel_backend(%s)", [operator.info.backend_pid])
        with suppress(psycopg.errors.QueryCanceled):
            wanting.result()
        operator.execute("ROLLBACK")
        crossed: Attempt = process.results()[0]
    return crossed


def doing(operator: psycopg.Connection, pid: int) -> Any:
    """Return in which state a connection is, and since when it runs its statement."""
    query = "SELECT state, query_start FROM pg_stat_activity WHERE pid = %s"
    return operator.execute(query, [pid]).fetchone()


ISOLATED = ["repeatable read", "serializable"]


@pytest.mark.parametrize("isolation", ISOLATED)
def test_a_statement_sees_what_it_has_waited_for_whatever_the_servers_defaults(
    scene: Scene, isolation: str
) -> None:
    scene.configure(f"SET default_transaction_isolation = '{isolation}'")
    post = scene.post()
    with closing(scene.operator()) as operator:
        operator.execute("BEGIN")
        operator.execute("UPDATE groups SET name = 'Boat'")
        scene.of_una.begin(attempt, [post])
        assert keeps_waiting(operator, 1)
        operator.execute("COMMIT")

    assert [each.reply.status for each in scene.of_una.results()] == [200]


@pytest.mark.parametrize("isolation", ISOLATED)
def test_what_a_transaction_sees_under_a_lock_is_no_matter_of_the_servers_defaults(
    scene: Scene, isolation: str
) -> None:
    scene.configure(f"SET default_transaction_isolation = '{isolation}'")
    resignations = [
        Call(
            "PATCH",
            f"/api/groups/{scene.group_id}/members/{who.user_id}",
            {"role": "member"},
            token=who.token,
        )
        for who in (scene.una, scene.ari)
    ]
    with closing(scene.operator()) as operator:
        operator.execute("BEGIN")
        operator.execute("SELECT FROM groups FOR UPDATE")
        scene.of_una.begin(attempt, resignations[:1])
        scene.of_ari.begin(attempt, resignations[1:])
        assert keeps_waiting(operator, 2)
        operator.execute("ROLLBACK")
        resigned = scene.of_una.results() + scene.of_ari.results()
        admins = ask(operator, "SELECT count(*) FROM group_members WHERE role = 'admin'")
        operator.execute(
            "UPDATE group_members SET role = 'admin' WHERE user_id = ANY(%s)",
            [[scene.una.user_id, scene.ari.user_id]],
        )

    assert sorted(each.reply.status for each in resigned) == [204, 409]
    assert admins == 1


# Limits of the server's own.


def test_a_database_that_takes_no_writes_is_left_for_one_that_does(scene: Scene) -> None:
    calls = [scene.post(), scene.post(), scene.pause(), scene.pause()]
    scene.configure("SET default_transaction_read_only = on")

    refused = [scene.of_una_now(call) for call in calls]
    with scene.operator() as operator:  # as after a failover, without an end to any connection
        name = operator.info.dbname
        operator.execute("SET default_transaction_read_only = off")
        operator.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
    again = [scene.of_una_now(call) for call in calls]

    assert put_off(*refused) == {"25006"}
    assert [each.reply.status for each in again] == [200, 200, 204, 204]


def test_a_transaction_that_is_idle_for_too_long_is_put_off(scene: Scene) -> None:
    (idle,) = scene.of_ari.each(dawdle, [scene.pause()])

    # Through a socket of Unix a statement finds nobody who could tell why.
    assert put_off(idle) <= {"25P03", None}
    assert scene.of_ari_now(scene.pause()).reply.status == 204


def dawdle(call: Call) -> Attempt:
    """Send a request to the app of this process, which is idle in the midst of it until it ends."""
    enter = groups.enter

    def slowly(session: Session, **options: Any) -> Any:
        membership = enter(session, **options)
        url = os.environ["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as onlooker:
            served = session.scalar(text("SELECT pg_backend_pid()"))
            session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10ms'"))
            there = "SELECT FROM pg_stat_get_activity(%s)"
            assert eventually(lambda: onlooker.execute(there, [served]).rowcount == 0)
        return membership

    with mock.patch.object(groups, "enter", slowly):
        return attempt(call)


def test_a_connection_that_was_idle_for_too_long_is_replaced_unnoticed(scene: Scene) -> None:
    scene.configure("SET idle_session_timeout = '300ms'")
    statuses = []
    with scene.operator() as operator:
        operator.execute("SET idle_session_timeout = 0")
        for _ in range(3):
            statuses.append(scene.of_una_now(scene.post()).reply.status)
            assert eventually(lambda: ask(operator, f"SELECT count(*) {OTHERS}") == 0)

    assert statuses == [200, 200, 200]


def test_connections_that_end_before_they_are_used_cost_no_wrong_answer(scene: Scene) -> None:
    scene.configure("SET idle_session_timeout = '1ms'")

    attempts = [scene.of_una_now(scene.post()) for _ in range(20)]

    assert {each.reply.status for each in attempts} <= {200, 503}
