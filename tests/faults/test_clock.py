"""A function whose clock is a day off: all that depends on time goes by the database's (R17)."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from chalicelib.models import InviteCode, Location
from tests import factories
from tests.api import Reply
from tests.database import Server
from tests.factories import Someone
from tests.faults.processes import Call, Processes, invoke, own_database, perform

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database for all of these tests."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture(scope="module", params=[-DAY, DAY], ids=["a day behind", "a day ahead"])
def off(request: pytest.FixtureRequest, url: str) -> Iterator[tuple[timedelta, Processes]]:
    """How far a process's clock is off, and the process."""
    with Processes(url, count=1) as process:
        process.each(set_clock, [request.param])
        yield request.param, process


Send = Callable[..., Reply]


@pytest.fixture
def send(off: tuple[timedelta, Processes]) -> Send:
    """Send a request to the process whose clock is off."""

    def send(*parts: Any, **options: Any) -> Reply:
        return off[1].each(perform, [Call(*parts, **options)])[0]

    return send


@pytest.fixture
def una(session: Session) -> Someone:
    return factories.someone(session)


@pytest.fixture
def hearth(session: Session, una: Someone) -> UUID:
    return factories.group(session, una)


@pytest.fixture
def code(session: Session, una: Someone, hearth: UUID) -> str:
    return factories.invite(session, group_id=hearth, by=una).text


def set_clock(by: timedelta) -> None:
    """Set the clock of this process, wherever one of its modules has got hold of it."""
    seconds, nanoseconds, utc, local = time.time, time.time_ns, time.gmtime, time.localtime

    def now() -> float:
        return seconds() + by.total_seconds()

    moments, days = calendar(by)
    instead: list[tuple[Any, Any]] = [
        (datetime, moments),
        (date, days),
        (time.time, now),
        (time.time_ns, lambda: nanoseconds() + by // timedelta(microseconds=1) * 1000),
        (time.gmtime, lambda at=None: utc(now() if at is None else at)),
        (time.localtime, lambda at=None: local(now() if at is None else at)),
    ]
    clocks = {id(right): wrong for right, wrong in instead}
    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if id(value) in clocks:
                setattr(module, name, clocks[id(value)])


def calendar(by: timedelta) -> tuple[type, type]:
    """Return a datetime and a date that make ordinary ones, but are wrong about the present."""
    moment, day = datetime, date

    class Reads(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, cls.__mro__[1])

    class Moments(datetime, metaclass=Reads):
        def __new__(cls, *parts: Any, **named: Any) -> Any:
            return moment(*parts, **named)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return moment.now(tz) + by

        @classmethod
        def utcnow(cls) -> Any:
            return moment.now(UTC).replace(tzinfo=None) + by

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    class Days(date, metaclass=Reads):
        def __new__(cls, *parts: Any, **named: Any) -> Any:
            return day(*parts, **named)

        @classmethod
        def today(cls) -> Any:
            return Moments.now().date()

    return Moments, Days


def test_the_clock_is_off(off: tuple[timedelta, Processes], send: Send, session: Session) -> None:
    told = datetime.fromisoformat(send("GET", "/api/health").json["timestamp"])

    assert abs(told - clock(session) - off[0]) < MINUTE


def test_an_invite_lives_by_the_clock_of_the_database(
    off: tuple[timedelta, Processes], send: Send, session: Session, una: Someone, hearth: UUID
) -> None:
    begun = clock(session)
    live = factories.invite(session, group_id=hearth, by=una, expires_at=begun + 5 * MINUTE).text
    dead = factories.invite(session, group_id=hearth, by=una, expires_at=begun - MINUTE).text

    made = send("POST", "/api/invites", {"expiresInHours": 1}, una.token).json
    valid = [
        send("POST", "/api/invites/validate", {"code": code}, address="192.0.2.2").json["valid"]
        for code in (made["code"], live, dead)
    ]
    purged = off[1].each(invoke, ["purge_expired_invites"])
    joins = [join(send, code, "192.0.2.3").status for code in (made["code"], live, dead)]

    assert begun + HOUR <= datetime.fromisoformat(made["expiresAt"]) <= clock(session) + HOUR
    assert valid == [True, True, False]
    assert purged == [{"deleted": 1}]
    assert joins == [201, 201, 404]


@pytest.mark.parametrize(("ago", "status"), [(14 * MINUTE, 201), (16 * MINUTE, 404)])
def test_a_join_can_be_repeated_for_as_long_as_ever(
    send: Send, session: Session, code: str, ago: timedelta, status: int
) -> None:
    lost = join(send, code, "192.0.2.4")
    # The database keeps a used code as it is, from everybody but replication.
    session.execute(text("SET LOCAL session_replication_role = replica"))
    used = update(InviteCode).filter_by(used_by=UUID(lost.json["user"]["id"]))
    session.execute(used.values(used_at=func.now() - ago))
    session.commit()

    assert join(send, code, "192.0.2.4").status == status


def test_the_limiter_counts_as_ever(send: Send, session: Session) -> None:
    session.execute(text("DELETE FROM rate_limits"))
    session.commit()
    guesses = [
        send("POST", "/api/invites/validate", {"code": "no code"}, address="192.0.2.5")
        for _ in range(10)
    ]
    # As full as it is by now, ten more would fit after a minute, and none yet.
    full = "UPDATE rate_limits SET theoretical_arrival_at = now() + interval '60 seconds'"
    session.execute(text(full))
    session.commit()

    refused = send("POST", "/api/invites/validate", {"code": "no code"}, address="192.0.2.5")

    assert [reply.status for reply in guesses] == [200] * 10
    assert refused.code == "too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 6


@pytest.mark.parametrize(("idle", "status"), [(364, 200), (365, 401)])
def test_a_token_is_void_after_a_year_as_ever(
    send: Send, session: Session, una: Someone, idle: int, status: int
) -> None:
    used = text(
        "UPDATE devices SET last_used_on = current_date - CAST(:idle AS int) WHERE id = :id"
    )
    session.execute(used, {"idle": idle, "id": una.device_id})
    session.commit()

    assert send("GET", "/api/auth/me", token=una.token).status == status
    today = text("SELECT last_used_on = current_date FROM devices WHERE id = :id")
    assert session.scalar(today, {"id": una.device_id}) == (status == 200)


def test_a_pause_begins_and_ends_by_the_clock_of_the_database(
    send: Send, session: Session, una: Someone, hearth: UUID
) -> None:
    now, path = clock(session), f"/api/groups/{hearth}/sharing"

    past, ahead = (
        send("PUT", path, {"paused": True, "until": moment.isoformat()}, una.token)
        for moment in (now - MINUTE, now + HOUR)
    )
    shown = send("GET", "/api/groups", token=una.token).json["groups"][0]["sharing"]
    paused = post(send, una)
    over = "UPDATE group_members SET sharing_resumes_at = now() WHERE sharing_paused"
    session.execute(text(over))
    session.commit()
    resumed = post(send, una)

    assert (past.code, ahead.status) == ("resumes_in_the_past", 204)
    assert shown["paused"]
    assert (paused.code, resumed.status) == ("sharing_paused", 200)


@pytest.mark.usefixtures("hearth")
def test_what_is_made_is_named_by_the_time_of_the_database(
    send: Send, session: Session, una: Someone
) -> None:
    begun = clock(session) - timedelta(milliseconds=1)

    point = post(send, una, id=None).json["results"][0]["id"]
    group = send("POST", "/api/groups", {"name": "Boat"}, una.token).json["id"]

    for made in (point, group):
        at = text("SELECT uuid_time(:id)")
        assert begun <= session.scalars(at, {"id": made}).one() <= clock(session)


@pytest.mark.parametrize(
    ("at", "outcome"),
    [
        (9 * MINUTE, "stored"),
        (11 * MINUTE, "out_of_range"),
        (-29 * DAY, "stored"),
        (-31 * DAY, "out_of_range"),
    ],
)
@pytest.mark.usefixtures("hearth")
def test_a_point_is_taken_from_the_same_times(
    send: Send, session: Session, una: Someone, at: timedelta, outcome: str
) -> None:
    posted = post(send, una, id=factories.point_id(clock(session) + at))
    seen = send("GET", "/api/locations/latest", token=una.token).json["locations"]
    told = {point["id"] for point in seen}

    assert (posted.json["results"][0]["status"] if posted.status == 200 else posted.code) == outcome
    assert len(told) == (outcome == "stored")


def test_maintenance_keeps_what_it_kept(
    off: tuple[timedelta, Processes], send: Send, session: Session, una: Someone, hearth: UUID
) -> None:
    kept = factories.stored_point(session, hearth, una, clock(session) - 29 * DAY - 23 * HOUR)
    limit = clock(session) - 30 * DAY
    month = limit.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    # Whole months that are past have no partition, so it is of the month that is kept in part.
    factories.stored_point(session, hearth, una, max(limit - HOUR, month + (limit - month) / 2))

    (done,) = off[1].each(invoke, ["maintain_locations"])

    assert done["pointsDeleted"] == 1
    assert done["partitionsMade"] == done["partitionsDropped"] == 0
    left = select(Location.id).filter_by(group_id=hearth)
    assert session.scalars(left).all() == [kept]
    assert send("GET", "/api/health/ready").status == 200


def join(send: Send, code: str, address: str) -> Reply:
    headers = {"Idempotency-Key": "a-key-of-random-characters"}
    body = {"code": code, "name": "Ari"}
    return send("POST", "/api/auth/join", body, headers=headers, address=address)


def post(send: Send, who: Someone, **fields: Any) -> Reply:
    point = {name: value for name, value in factories.plain_point(**fields).items() if value}
    return send("POST", "/api/locations", point, who.token)


def clock(session: Session) -> datetime:
    """Return what time it is for the database."""
    session.rollback()
    moment: datetime = session.scalars(select(func.clock_timestamp())).one()
    session.rollback()
    return moment
