"""The queue: nothing is lost, and nothing is sent twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Timer
from uuid import RFC_4122, UUID

import pytest

from draugar.cli.failures import told
from draugar.client import Client
from draugar.errors import HomeUnusable, PointNotPossible, ServiceAway, Unknown
from draugar.models import Fix, Kind
from draugar.protocol.locations import open_location
from draugar.storage.home import Home
from tests.client.family import Family, fix
from tests.client.kept import Keyring
from tests.client.malice import SHARE, Forward, Relay, Reply, Request, refused, twice
from tests.laptop.runs import HANGS_AFTER

SENDER = """
import sys
from pathlib import Path
from draugar.storage.home import Home
from draugar.client import Client

with Home.open(Path(sys.argv[1])) as home, Client(home, tell=print) as member:
    print("ready", flush=True)
    member.flush()
"""
SHARER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from draugar.storage.home import Home
from draugar.client import Client
from draugar.models import Fix

with Home.open(Path(sys.argv[1])) as home, Client(home, tell=print) as member:
    print("ready", flush=True)
    while True:
        now = datetime.now(UTC)
        member.enqueue([Fix(latitude=1.0, longitude=2.0, accuracy=3.0, at=now) for _ in range(5)])
        print("queued", flush=True)
"""


def numbers(member: Client, group_id: UUID) -> list[int]:
    """Return the counters of what the service has of a member, ascending."""
    ring = Keyring(member._home, group_id)
    found = []
    query = {"groupId": str(group_id), "userId": str(member.user_id)}
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = member._api.history(query | ({"cursor": cursor} if cursor else {}))
        for point in page:
            key = ring.key(point.key_version)
            assert key is not None
            assert point.sealed is not None
            found.append(open_location(point.sealed, key)["draugar"]["n"])
    return sorted(found)


def many(count: int) -> list[Fix]:
    return [fix(number / 1000) for number in range(count)]


def test_what_cannot_be_sent_waits_on_disk(family: Family) -> None:
    una = family.found()
    una._transport.url = "http://127.0.0.1:9"
    una._transport._patience = 0

    with pytest.raises(ServiceAway):
        una.share([fix(1.0), fix(2.0)])
    una.close()
    again = family.again("Una")
    waiting = again.waiting()
    sent = again.flush()

    assert waiting == 2
    assert (sent.stored, sent.dropped, sent.waiting) == (2, 0, 0)
    assert [position.fix.latitude for position in again.history()] == [2.0, 1.0]


def test_queueing_needs_no_service(family: Family) -> None:
    una = family.found()
    una.close()

    una.enqueue(many(3))

    assert una.waiting() == 3


def test_a_long_queue_goes_in_batches_of_five_hundred(relayed: Family, relay: Relay) -> None:
    una = relayed.found()

    sent = una.share(many(1201))

    sizes = [len(asked.json["locations"]) for asked in relay.received if asked.route == SHARE]
    assert sizes == [500, 500, 201]
    assert (sent.stored, sent.waiting) == (1201, 0)
    assert numbers(una, una.group().id) == list(range(1, 1202))


def test_the_largest_batch_is_taken(family: Family) -> None:
    una = family.found("Ú" * 64)
    full = {"altitude": 2096.0, "velocity": 120.0, "course": 359.0, "battery": 100}

    sent = una.share([fix(ago=timedelta(seconds=number), **full) for number in range(500)])

    assert sent.stored == 500


def test_whatever_is_delivered_twice_is_stored_once(relayed: Family, relay: Relay) -> None:
    una = relayed.found()

    with relay.telling(twice):
        sent = una.share(many(3))

    assert sent.stored == 3
    assert numbers(una, una.group().id) == [1, 2, 3]


def test_a_lost_answer_costs_nothing(relayed: Family, relay: Relay) -> None:
    def lose(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        return refused(503, "temporarily_unavailable") if request.route == SHARE else reply

    una = relayed.found()
    una._transport._patience = 0

    with relay.telling(lose), pytest.raises(ServiceAway):
        una.share(many(3))
    sent = una.flush()

    assert (sent.stored, sent.waiting) == (3, 0)
    assert numbers(una, una.group().id) == [1, 2, 3]


def test_a_point_is_sealed_under_the_key_of_the_moment_and_keeps_its_number(
    family: Family,
) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    una.enqueue([fix(1.0)])
    before = una._home.row("SELECT id, counter FROM outbox")
    ari.rotate()

    una.flush()

    (position,) = ari.where()
    assert position.key_version == 2
    assert str(position.point_id) == before["id"]
    assert numbers(una, una.group().id) == [before["counter"]]


def test_a_key_that_changes_while_points_are_sent_is_fetched_and_they_are_sent_again(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    changed: list[int] = []

    def change(request: Request, forward: Forward) -> Reply:
        if request.route == SHARE and not changed:
            changed.append(1)
            with Home.open(relayed.path("Ari")) as home, Client(home, tell=print) as member:
                member.rotate()
        return forward(request)

    with relay.telling(change, to=una.device_id):
        sent = una.share([fix(1.0)])

    assert sent.stored == 1
    assert ari.where()[0].key_version == 2


def test_a_key_that_somebody_has_taken_away_is_replaced_unasked(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    ari.leave()

    sent = una.share([fix(1.0)])

    assert sent.stored == 1
    assert una.where()[0].key_version == 2
    assert Kind.ROTATED in family.hears("Una").kinds()


def test_points_while_sharing_is_paused_are_dropped_and_told(family: Family) -> None:
    una = family.found()
    una.pause()

    paused = una.share(many(2))
    una.resume()
    resumed = una.share([fix(5.0)])

    assert (paused.stored, paused.dropped, paused.waiting) == (0, 2, 0)
    assert family.hears("Una").kinds().count(Kind.NOT_SHARED) == 1
    assert (resumed.stored, resumed.dropped) == (1, 0)


def test_a_point_that_waited_too_long_is_dropped_and_the_others_are_sent(family: Family) -> None:
    una = family.found()
    una.enqueue([fix(1.0)])
    old = UUID(int=int((datetime.now(UTC) - timedelta(days=40)).timestamp() * 1000) << 80 | 7 << 76
               | 0b10 << 62)  # fmt: skip
    una._home.do("UPDATE outbox SET id = :id", id=old)

    sent = una.share([fix(2.0)])

    assert (sent.stored, sent.dropped, sent.waiting) == (1, 1, 0)
    assert [position.fix.latitude for position in una.where()] == [2.0]


def test_an_unknown_refusal_keeps_the_point(relayed: Family, relay: Relay) -> None:
    def refuse(request: Request, forward: Forward) -> Reply:
        if request.route != SHARE:
            return forward(request)
        results = [
            {"id": point["id"], "status": "rejected", "code": "something_new"}
            for point in request.json["locations"]
        ]
        return Reply(200, b"").saying({"results": results})

    una = relayed.found()

    with relay.telling(refuse):
        first = una.share([fix(1.0)])
    second = una.flush()

    assert (first.stored, first.waiting) == (0, 1)
    assert (second.stored, second.waiting) == (1, 0)


@pytest.mark.parametrize(
    ("impossible", "rule"),
    [
        ({"latitude": 91.0}, "a latitude is from -90 to 90"),
        ({"latitude": float("nan")}, "a latitude is from -90 to 90"),
        ({"longitude": -180.1}, "a longitude is from -180 to 180"),
        ({"accuracy": -1.0}, "an accuracy is from 0 to 20,037,508 metres"),
        ({"accuracy": float("inf")}, "an accuracy is from 0 to 20,037,508 metres"),
        ({"altitude": float("nan")}, "altitude, velocity, course and battery"),
        ({"accuracy": 20_037_509.0}, "an accuracy is from 0 to 20,037,508 metres"),
        ({"at": datetime.now(UTC) + timedelta(hours=1)}, "its time is in the future"),
        ({"at": datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)}, "before the year 2000"),
        ({"at": datetime(2026, 1, 1)}, "its time has no zone"),  # noqa: DTZ001
    ],
)
def test_what_is_no_position_queues_nothing_and_says_which_rule_it_broke(
    family: Family, impossible: dict[str, object], rule: str
) -> None:
    una = family.found()

    with pytest.raises(PointNotPossible) as failure:
        una.enqueue([fix(1.0), fix(**impossible)])  # type: ignore[arg-type]

    assert una.waiting() == 0
    assert rule in told(failure.value).reason
    assert len(told(failure.value).reason) < 100  # this rule, and no other
    assert "91" not in str(failure.value)


def test_nothing_is_queued_for_a_group_one_is_not_in(family: Family) -> None:
    una = family.found()

    with pytest.raises(Unknown):
        una.enqueue([fix(1.0)], UUID(int=1))

    assert una.waiting() == 0


def queued_times(member: Client) -> list[float]:
    """Return the times in the ids of what is queued, in seconds of Unix time, as it was queued."""
    ids = [row["id"] for row in member._home.rows("SELECT id FROM outbox ORDER BY counter")]
    assert len(set(ids)) == len(ids)
    assert {UUID(id_).version for id_ in ids} == {7}
    assert {UUID(id_).variant for id_ in ids} == {RFC_4122}
    return [(UUID(id_).int >> 80) / 1000 for id_ in ids]


def test_an_id_has_the_time_of_its_fix(family: Family) -> None:
    una = family.found()
    ages = [timedelta(days=29), timedelta(seconds=10), timedelta(days=2), timedelta(minutes=-9)]
    fixes = [fix(ago=age) for age in ages]
    precise = fix(at=datetime.now(UTC) - timedelta(hours=1))

    una.enqueue([*fixes, precise])

    *whole, exact = queued_times(una)
    assert whole == [one.at.timestamp() for one in fixes]
    assert exact == int(precise.at.timestamp() * 1000) / 1000


@pytest.mark.parametrize("days", [1, 7, 30])
def test_the_id_of_a_fix_that_the_group_does_not_keep_has_the_time_of_queueing(
    family: Family, days: int
) -> None:
    una = family.found()
    una._transport.call("PATCH", f"/groups/{una.group().id}", {"retentionDays": days})
    una.groups()
    kept, hour = timedelta(days=days), timedelta(hours=1)
    ages = [kept - 2 * hour, kept - hour / 2, kept + hour, timedelta(days=6000)]

    una.enqueue([fix(ago=age) for age in ages])
    times = queued_times(una)
    sent = una.flush()

    now = time.time()
    assert times[0] == pytest.approx(now - ages[0].total_seconds(), abs=60)
    assert times[1:] == pytest.approx([now] * 3, abs=60)
    assert (sent.stored, sent.dropped) == (4, 0)


def test_a_group_whose_retention_is_not_known_is_taken_to_keep_points_for_a_day(
    family: Family,
) -> None:
    una = family.found()
    una._home.do("UPDATE groups SET retention_days = NULL")

    una.enqueue([fix(ago=timedelta(hours=20)), fix(ago=timedelta(days=2))])

    recent, older = queued_times(una)
    assert recent < time.time() - 19 * 3600
    assert older == pytest.approx(time.time(), abs=60)


def test_ids_of_one_time_ascend_as_they_are_made(family: Family) -> None:
    una = family.found()
    at = fix(ago=timedelta(hours=1)).at

    una.enqueue([fix(at=at) for _ in range(5000)])
    una.enqueue([fix(at=at) for _ in range(10)])

    ids = [row["id"] for row in una._home.rows("SELECT id FROM outbox ORDER BY counter")]
    assert ids == sorted(set(ids))
    assert set(queued_times(una)) == {at.timestamp()}


def test_ids_do_not_tell_how_many_were_made_between_them(family: Family) -> None:
    una = family.found()
    hour = timedelta(hours=1)

    una.enqueue([fix(ago=age) for age in (hour, 2 * hour) for _ in range(100)])
    una.enqueue([fix(ago=3 * hour) for _ in range(2)])

    tails = [
        UUID(row["id"]).int & 2**62 - 1
        for row in una._home.rows("SELECT id FROM outbox ORDER BY counter")
    ]
    assert len({tail >> 40 for tail in tails}) > 2


def test_what_was_just_taken_is_after_a_joining_of_the_same_second(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.share([fix(1.0)])

    assert [position.fix.latitude for position in ari.where()] == [1.0]


def test_a_batch_is_taken_out_of_the_queue_in_one_change(family: Family) -> None:
    una = family.found()
    una.enqueue(many(300))
    una._home.do(
        "CREATE TRIGGER sent AFTER DELETE ON outbox WHEN old.counter = 200"
        " BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
    )

    with pytest.raises(HomeUnusable):
        una.flush()
    una._home.do("DROP TRIGGER sent")

    assert una.waiting() == 300
    assert una.flush().stored == 300


def test_a_fix_comes_back_as_it_was_shared(family: Family) -> None:
    una = family.found()
    shared = fix(-33.45, longitude=151.2, altitude=12.0, velocity=4.0, course=270.0, battery=55)

    una.share([shared])

    assert una.where()[0].fix == shared


def test_two_commands_that_send_at_once_send_each_point_once(family: Family) -> None:
    una = family.found()
    una.enqueue(many(1500))

    def flush(_: int) -> int:
        with Home.open(family.path("Una")) as home, Client(home, tell=print) as member:
            return member.flush().stored

    with ThreadPoolExecutor(3) as pool:
        stored = sum(pool.map(flush, range(3)))

    assert stored == 1500
    assert numbers(una, una.group().id) == list(range(1, 1501))


def test_two_commands_that_queue_at_once_never_share_a_number(family: Family) -> None:
    una = family.found()
    group_id = una.group().id

    def queue(_: int) -> None:
        with Home.open(family.path("Una")) as home:
            member = Client(home, tell=print)
            for _ in range(20):
                member.enqueue(many(3), group_id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(queue, range(4)))
    una.flush()

    assert numbers(una, group_id) == list(range(1, 241))


@pytest.mark.parametrize("moment", ["before it is stored", "before the answer", "afterwards"])
def test_a_crash_while_sending_loses_nothing_and_doubles_nothing(
    relayed: Family, relay: Relay, moment: str
) -> None:
    una = relayed.found()
    una.enqueue(many(2500))
    una.close()
    senders: list[subprocess.Popen[str]] = []
    batches: list[int] = []

    def crash(request: Request, forward: Forward) -> Reply:
        """Let each sender send a batch, and kill it at the moment of the test in the second."""
        if request.route != SHARE:
            return forward(request)
        batches[-1] += 1
        if batches[-1] == 1:
            return forward(request)
        reply = refused(503, "temporarily_unavailable")
        if batches[-1] > 2:  # only afterwards can it come so far, and it comes no further
            senders[-1].wait()
            return reply
        if moment != "before it is stored":
            reply = forward(request)
        # Afterwards it takes the batch from the queue: at any moment of that.
        delay = random.uniform(0, 0.05) if moment == "afterwards" else 0  # noqa: S311
        Timer(delay, senders[-1].kill).start()
        if moment != "afterwards":
            senders[-1].wait()
        return reply

    with relay.telling(crash):
        for _ in range(2):
            batches.append(0)
            senders.append(started(SENDER, relayed.path("Una")))
            senders[-1].communicate(timeout=HANGS_AFTER)
    again = relayed.again("Una")
    left = again.waiting()
    again.flush()

    assert [sender.returncode for sender in senders] == [-signal.SIGKILL] * 2
    assert 0 < left < 2500
    assert numbers(again, again.group().id) == list(range(1, 2501))


def test_a_crash_while_queueing_never_uses_a_number_again(family: Family) -> None:
    una = family.found()
    una.close()

    said = 0
    for _ in range(3):
        sharer = started(SHARER, family.path("Una"))
        assert sharer.stdout is not None
        said += sum(sharer.stdout.readline() == "queued\n" for _ in range(5))
        os.kill(sharer.pid, signal.SIGKILL)
        said += sharer.communicate()[0].count("queued")
    again = family.again("Una")
    again.flush()

    found = Counter(numbers(again, again.group().id))
    assert set(found.values()) == {1}
    assert len(found) >= 5 * said > 0
    assert set(found) == set(range(1, len(found) + 1))


def started(program: str, home: Path) -> subprocess.Popen[str]:
    """Start a program on a home, and wait until it is at work."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process
