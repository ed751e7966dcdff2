"""The present position of a member: the newest position that can be believed, by its own time.

It depends neither on the order in which positions arrive, nor on the device, nor on the queue.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draugar.cli.everyday import trails_of
from draugar.cli.notices import text
from draugar.cli.positions import PositionRow
from draugar.client import Client
from draugar.errors import AnswerNotUnderstood
from draugar.models import Fix, Kind, Place, Position, newest
from draugar.protocol.locations import seal_location
from draugar.protocol.secrets import GroupKey
from draugar.usecases.phones import PhoneSetup
from tests.client import malice
from tests.client.family import Family, Service, fix
from tests.client.malice import HISTORY, LATEST, Forward, Relay, Reply, Request
from tests.client.test_member_points import first_app, of_draugar, post
from tests.client.test_phones import Handset
from tests.owntracks import Android, Ios

Json = dict[str, Any]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def two(relayed: Family) -> tuple[Client, Client]:
    """Una and Ari, who have trusted each other for a year."""
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    relayed.has_been_together_for(days=365)
    return una, ari


@pytest.fixture
def phone(two: tuple[Client, Client]) -> Handset:
    """A phone of Una's."""
    return Handset.of(Android, two[0].add_phone("Phone"))


def seen(member: Client, group_id: UUID | None = None) -> dict[str, tuple[float, bool]]:
    positions = member.where(group_id)
    return {position.name: (position.fix.latitude, position.is_old) for position in positions}


def warnings(family: Family, name: str) -> list[Kind]:
    return [notice.kind for notice in family.hears(name) if notice.is_warning]


def ago(span: timedelta) -> int:
    return int(time.time() - span.total_seconds())


# What is shared late


@pytest.mark.parametrize(
    ("ages", "present"),
    [
        ([timedelta(), 119 * MINUTE, 118 * MINUTE], 0),
        ([HOUR, 5 * HOUR, 3 * HOUR], 0),
        ([6000 * DAY, timedelta(), 40 * DAY, 2 * DAY], 1),
        ([6000 * DAY, 5000 * DAY, 5500 * DAY], 1),
        ([-9 * MINUTE, timedelta()], 0),
    ],
)
def test_what_is_shared_late_is_not_where_somebody_is(
    two: tuple[Client, Client], relayed: Family, ages: Sequence[timedelta], present: int
) -> None:
    una, ari = two

    for number, age in enumerate(ages):
        una.share([fix(50.0 + number, ago=age)])
        ari.where()

    assert seen(ari) == seen(una) == {"Una": (50.0 + present, False)}
    assert warnings(relayed, "Ari") == warnings(relayed, "Una") == []


def test_a_track_of_which_the_newest_point_stands_first(two: tuple[Client, Client]) -> None:
    una, ari = two

    una.share([fix(64.2, ago=HOUR), fix(64.1, ago=3 * HOUR), fix(64.0, ago=2 * HOUR)])

    assert seen(ari) == {"Una": (64.2, False)}


def test_what_an_older_client_queued_late_is_not_where_somebody_is(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    una.share([fix(64.5, ago=HOUR)])

    post(una, of_draugar(una, n=100) | {"lat": 64.1, "tst": ago(3 * HOUR)})  # its id is of now

    assert seen(ari) == {"Una": (64.5, False)}
    assert warnings(relayed, "Ari") == []


def test_of_two_devices_of_a_person_the_newer_position_stands(
    two: tuple[Client, Client], relayed: Family, phone: Handset
) -> None:
    una, ari = two
    laptop = relayed.join(una.invite(for_me=True).link, "Una", home="Una's laptop")
    una.where()

    laptop.share([fix(64.2, ago=10 * MINUTE)])
    una.share([fix(64.1, ago=20 * MINUTE)])
    phone.is_at(64.3, tst=ago(30 * MINUTE))

    assert seen(ari) == seen(una) == seen(laptop) == {"Una": (64.2, False)}


def test_a_phone_whose_clock_is_minutes_ahead_is_where_it_says_last(
    two: tuple[Client, Client], phone: Handset
) -> None:
    una, ari = two
    phone.is_at(64.9, tst=ago(-8 * MINUTE))
    una.share([fix(64.1)])

    assert seen(ari) == {"Una": (64.9, False)}


# Readings that are no position


def without(*names: str) -> Any:
    return lambda message: {name: said for name, said in message.items() if name not in names}


def saying(**said: Any) -> Any:
    return lambda message: message | said


READINGS = {
    "an accuracy below zero": saying(acc=-1),
    "an accuracy larger than the Earth": saying(acc=20_037_509),
    "an accuracy of 100,000 km": saying(acc=1e8),
    "an accuracy that is a text": saying(acc="12"),
    "an accuracy that is no number": saying(acc=float("nan")),
    "an endless accuracy": saying(acc=float("inf")),
    "an accuracy of many digits": saying(acc=10**4000),
    "a latitude of null": saying(lat=None),
    "a latitude beyond the pole": saying(lat=90.1),
    "a latitude that is a text": saying(lat="64.1"),
    "a latitude that is a truth": saying(lat=True),
    "a latitude that is no number": saying(lat=float("nan")),
    "a longitude of null": saying(lon=None),
    "a longitude beyond the antimeridian": saying(lon=-180.1),
    "a longitude that is a list": saying(lon=[1]),
    "no coordinates": without("lat", "lon"),
    "no type": without("_type"),
    "a type that is a number": saying(_type=7),
    "no time": without("tst"),
    "a time of zero": saying(tst=0),
    "a time below zero": saying(tst=-1),
    "a time that is a text": saying(tst="now"),
    "a time in milliseconds": saying(tst=1_782_907_200_000),
    "a time before 2000": saying(tst=946_684_799),
    "a time that no calendar has": saying(tst=2**52),
    "a time eleven minutes ahead": lambda message: message | {"tst": ago(-11 * MINUTE)},
}
EACH = pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS.keys())


@EACH
def test_a_phones_reading_that_is_no_position_hides_nothing_and_accuses_nobody(
    two: tuple[Client, Client], relayed: Family, phone: Handset, reading: Any
) -> None:
    una, ari = two
    phone.is_at(40.5, tst=ago(20 * MINUTE))
    before = seen(ari)

    phone.posts(reading(phone.location(10.0)))

    assert before == seen(ari) == seen(una) == {"Una": (40.5, False)}
    assert [past.fix.latitude for past in ari.history()] == [40.5]
    assert warnings(relayed, "Ari") == warnings(relayed, "Una") == []


SEALABLE = {name: reading for name, reading in READINGS.items() if "no number" not in name}


@pytest.mark.parametrize(
    "reading",
    [reading for name, reading in SEALABLE.items() if name != "an endless accuracy"],
)
def test_a_members_reading_that_is_no_position_hides_nothing_and_accuses_nobody(
    two: tuple[Client, Client], relayed: Family, reading: Any
) -> None:
    una, ari = two
    una.share([fix(40.5, ago=20 * MINUTE)])
    content = reading(of_draugar(una, n=50) | {"acc": 5})
    if content.get("acc") == 10**4000:
        content["acc"] = 2**53 - 1  # the largest number that can be sealed

    post(una, content)

    assert seen(ari) == {"Una": (40.5, False)}
    assert warnings(relayed, "Ari") == []


@pytest.mark.parametrize(
    "change",
    [
        {"latitude": 91},
        {"longitude": None},
        {"accuracy": -1},
        {"accuracy": 1e8},
        {"timestamp": "soon"},
        {"timestamp": None},
        {"timestamp": "1999-12-31T23:59:59Z"},
        {"timestamp": "2999-12-31T23:59:59Z"},
        {"timestamp": 10**15},
    ],
)
def test_a_reading_of_the_first_app_that_is_no_position_hides_nothing(
    two: tuple[Client, Client], relayed: Family, change: Json
) -> None:
    una, ari = two
    post(una, first_app(una, latitude=40.5))

    post(una, first_app(una, latitude=10.0) | change)

    assert seen(ari) == {"Una": (40.5, False)}
    assert warnings(relayed, "Ari") == []


def test_whoever_has_sent_no_position_is_nowhere_and_is_not_accused(
    two: tuple[Client, Client], relayed: Family, phone: Handset
) -> None:
    _, ari = two

    phone.posts(phone.location(10.0, acc=-1))

    assert seen(ari) == {}
    assert warnings(relayed, "Ari") == []


def test_a_point_that_does_not_belong_is_told_and_hides_nothing(
    two: tuple[Client, Client], relayed: Family, phone: Handset
) -> None:
    _, ari = two
    phone.is_at(40.5, tst=ago(20 * MINUTE))

    phone.is_at(10.0, tid="zz")

    assert seen(ari) == {"Una": (40.5, False)}
    (warning,) = [notice for notice in relayed.hears("Ari") if notice.is_warning]
    assert warning.kind is Kind.POINTS_DROPPED
    assert "1 position of Una" in text(warning)


@pytest.mark.parametrize("accuracy", [3e7, 1e300])
def test_a_reading_in_the_clear_that_is_no_position_hides_nothing(
    relayed: Family, relay: Relay, accuracy: float
) -> None:
    una = relayed.found()
    group_id = una._api.found_group("Office", "optional").id
    una.groups()
    for latitude in (50.0, 51.0):
        said = {"groupId": str(group_id), "latitude": latitude, "longitude": 6.0, "accuracy": 7.0}
        una._transport.call("POST", "/locations", said)

    def garbled(all_: list[Json]) -> list[Json]:
        return [one | ({"accuracy": accuracy} if one["latitude"] == 51.0 else {}) for one in all_]

    with relay.telling(malice.points(garbled)):
        assert seen(una, group_id) == {"Una": (50.0, False)}
    assert warnings(relayed, "Una") == []


@pytest.mark.parametrize("number", [10**400, 10**4000, -(10**400)])
def test_a_number_that_is_too_large_is_no_answer(
    relayed: Family, relay: Relay, number: int
) -> None:
    una = relayed.found()
    group_id = una._api.found_group("Office", "optional").id
    una.groups()
    said = {"groupId": str(group_id), "latitude": 50.0, "longitude": 60.0, "accuracy": 7.0}
    una._transport.call("POST", "/locations", said)

    def enlarged(name: str, all_: list[Json]) -> list[Json]:
        return [one | {name: number} for one in all_]

    for name in ("latitude", "accuracy"):
        lie = malice.points(partial(enlarged, name))
        with relay.telling(lie), pytest.raises(AnswerNotUnderstood):
            una.where(group_id)


# A search has an end


def send_late(
    service: Service, sender: Client, setup: PhoneSetup, contents: Iterable[Json]
) -> None:
    """Store what a phone has sealed, as though it had all just arrived, in this order."""
    key = GroupKey(json.loads(setup.otrc)["encryptionKey"].encode())
    topic = f"owntracks/{setup.device_id}/{sender.user_id}"
    now = time.time_ns() // 1_000_000
    sealed = [
        seal_location({"_type": "location", "tid": setup.tid, "topic": topic} | content, key)
        for content in contents
    ]
    ids = [
        UUID(int=now + number << 80 | 7 << 76 | 0b10 << 62 | number)
        for number, _ in enumerate(sealed, 1)
    ]
    service.query(
        "INSERT INTO locations (group_id, user_id, recorded_at, id, device_id, encrypted_data,"
        " key_version) SELECT :group::uuid, :user::uuid, uuid_time(id), id, :device::uuid,"
        " decode(sealed, 'hex'), 1 FROM unnest(:ids::uuid[], :sealed::text[]) AS sent (id, sealed)",
        group=setup.group_id,
        user=sender.user_id,
        device=setup.device_id,
        ids=[str(id_) for id_ in ids],
        sealed=[one.hex() for one in sealed],
    )


def day_before(count: int) -> list[Json]:
    """Return what a phone recorded the day before, oldest first."""
    start = ago(DAY + 12 * HOUR)
    return [{"lat": 50.0, "lon": 6.0, "tst": start + number} for number in range(count)]


def test_after_a_long_queue_the_newest_position_stands(
    two: tuple[Client, Client], relayed: Family, service: Service
) -> None:
    una, ari = two
    setup = una.add_phone("Phone")
    Handset.of(Android, setup).is_at(64.5)

    send_late(service, una, setup, day_before(1650))

    assert seen(ari) == {"Una": (64.5, False)}
    assert relayed.hears("Ari").kinds() == []


def test_a_position_that_was_seen_is_found_behind_any_queue(
    two: tuple[Client, Client], relayed: Family, service: Service
) -> None:
    una, ari = two
    setup = una.add_phone("Phone")
    Handset.of(Android, setup).is_at(64.5)
    ari.where()

    send_late(service, una, setup, day_before(3600))

    assert seen(ari) == {"Una": (64.5, False)}
    assert warnings(relayed, "Ari") == []


def test_a_search_that_ends_early_says_so_and_accuses_nobody(
    two: tuple[Client, Client], relayed: Family, service: Service, relay: Relay
) -> None:
    una, ari = two
    setup = una.add_phone("Phone")
    Handset.of(Android, setup).is_at(64.5)
    send_late(service, una, setup, day_before(3600))
    relay.received.clear()

    found = seen(ari)

    (notice,) = relayed.hears("Ari")[1:]
    assert found == {"Una": (50.0, False)}
    assert (notice.kind, notice.is_warning) == (Kind.SEARCH_ENDED, False)
    assert "there may be a newer position" in text(notice)
    assert "draugar history --who Una" in text(notice)
    assert [asked.route for asked in relay.received].count(HISTORY) == 6


def test_a_service_that_never_ends_a_search_is_not_asked_for_ever(
    two: tuple[Client, Client], relayed: Family, relay: Relay, phone: Handset
) -> None:
    _, ari = two
    ari.share([fix(65.5)])
    phone.posts({"_type": "lwt", "tst": 1})
    asked: list[str] = []

    def endless(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != HISTORY:
            return reply
        asked.append(request.target)
        return reply.saying(
            {"locations": [], "nextCursor": "A" * 42 + "AEIMQUYcgkosw048"[len(asked) % 9]}
        )

    with relay.telling(endless):
        assert seen(ari) == {"Ari": (65.5, False)}

    assert len(asked) <= 12
    assert Kind.SEARCH_ENDED in relayed.hears("Ari").kinds()


# What was seen


def test_a_position_that_the_service_shows_when_asked_for_it_is_not_missing(
    two: tuple[Client, Client], relayed: Family, relay: Relay
) -> None:
    una, ari = two
    una.share([fix(1.0, ago=MINUTE)])
    older = una._transport.call("GET", "/locations/latest")["locations"]
    una.share([fix(2.0)])
    ari.where()

    def outdated(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        return reply.saying({"locations": older}) if request.route == LATEST else reply

    with relay.telling(outdated):
        assert seen(ari) == {"Una": (2.0, False)}
    assert warnings(relayed, "Ari") == []


@pytest.mark.parametrize("is_counted", [True, False])
def test_a_position_that_was_seen_and_is_withheld_is_missed(
    two: tuple[Client, Client], relayed: Family, relay: Relay, phone: Handset, *, is_counted: bool
) -> None:
    una, ari = two
    if is_counted:
        una.share([fix(1.0, ago=HOUR)])
        una.share([fix(2.0)])
    else:
        phone.is_at(1.0, tst=ago(HOUR))
        phone.is_at(2.0)
    (present,) = ari.where()

    withheld = malice.points(
        lambda all_: [one for one in all_ if one["id"] != str(present.point_id)]
    )
    with relay.telling(withheld):
        shown = seen(ari)

    assert shown == {"Una": (1.0, True)}
    assert warnings(relayed, "Ari") == [Kind.OLDER_THAN_SEEN]
    assert seen(ari) == {"Una": (2.0, False)}


def test_what_the_group_keeps_no_longer_is_not_missed(
    two: tuple[Client, Client], relayed: Family, service: Service
) -> None:
    una, ari = two
    una.share([fix(2.0, ago=29 * DAY)])
    assert seen(ari) == {"Una": (2.0, False)}
    una.share([fix(1.0, ago=40 * DAY)])

    service.query(
        "DELETE FROM locations WHERE user_id = :user AND recorded_at < now() - interval '1 day'",
        user=una.user_id,
    )

    assert seen(ari) == {"Una": (1.0, False)}
    assert warnings(relayed, "Ari") == []


def test_the_time_that_an_upgraded_home_has_guessed_gives_way_to_the_points_own(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    post(una, of_draugar(una, n=7) | {"lat": 1.0, "tst": ago(3 * HOUR)})  # its id is of now
    ari.where()
    ari._home.do("UPDATE seen SET fix_at = at")  # which is what the upgrade knows
    una.share([fix(2.0, ago=HOUR)])

    assert seen(ari) == {"Una": (2.0, False)}
    assert warnings(relayed, "Ari") == []
    row = ari._home.row("SELECT fix_at FROM seen WHERE device_id = :id", id=una.device_id)
    assert row["fix_at"] < time.time() - 3000


def test_a_point_that_was_seen_is_not_believed_under_another_id(
    two: tuple[Client, Client], relayed: Family, relay: Relay
) -> None:
    una, ari = two
    una.share([fix(1.0)])
    ari.where()

    for _ in range(2):
        renamed = malice.points(lambda all_: [one | {"id": str(uuid4())} for one in all_])
        with relay.telling(renamed):
            assert list(ari.history()) == []
    assert Kind.POINTS_DROPPED in warnings(relayed, "Ari")


def test_history_marks_nothing_as_old(two: tuple[Client, Client]) -> None:
    una, ari = two
    una.share([fix(float(hours), ago=timedelta(hours=hours)) for hours in (3, 2, 1)])
    ari.where()

    assert [position.is_old for position in ari.history()] == [False] * 3


# Accuracy


@pytest.mark.parametrize(
    ("said", "shown"), [({}, None), ({"acc": 0}, None), ({"acc": None}, None), ({"acc": 7}, 7.0)]
)
def test_an_accuracy_that_is_zero_or_absent_is_unknown(
    two: tuple[Client, Client], phone: Handset, said: Json, shown: float | None
) -> None:
    _, ari = two

    phone.posts(without("acc")(phone.location(64.5)) | said)

    assert [position.fix.accuracy for position in ari.where()] == [shown]


@pytest.mark.parametrize(("shared", "read"), [(None, None), (0.0, None), (0.3, 1.0), (12.4, 12.0)])
def test_an_accuracy_that_a_member_shares_comes_back(
    two: tuple[Client, Client], shared: float | None, read: float | None
) -> None:
    una, ari = two

    una.share([fix(accuracy=shared)])

    assert [position.fix.accuracy for position in ari.where()] == [read]


def test_an_accuracy_in_the_clear_that_is_zero_is_unknown(family: Family) -> None:
    una = family.found()
    group_id = una._api.found_group("Office", "optional").id
    una.groups()
    said = {"groupId": str(group_id), "latitude": 50.0, "longitude": 60.0, "accuracy": 0}
    una._transport.call("POST", "/locations", said)

    assert [position.fix.accuracy for position in una.where(group_id)] == [None]


@pytest.mark.parametrize(
    ("accuracy", "spot", "place", "near", "within"),
    [
        (None, "Home", "Home", None, ""),
        (0.0, "Home", "Home", None, ""),
        (150.0, "Home", "Home", None, "150 m"),
        (400.0, "near Home", None, "Home", "400 m"),
        (22_000.0, "64.10000, -21.90000", None, None, "22 km"),
    ],
)
def test_no_more_is_said_of_a_place_than_the_fix_allows(
    accuracy: float | None, spot: str, place: str | None, near: str | None, within: str
) -> None:
    sight = PositionRow.of(position(accuracy), None, [Place("Home", 64.1, -21.9, 100)])

    data, row = sight.data(), sight.row(NOON)

    assert (data["place"], data["nearPlace"], data["accuracy"]) == (place, near, accuracy or None)
    assert (row[1], row[4]) == (spot, within)


@pytest.mark.parametrize(("accuracy", "way"), [(None, "here"), (60.0, "here"), (22_000.0, "near")])
def test_two_members_are_in_one_spot_only_where_their_fixes_allow_it(
    accuracy: float | None, way: str
) -> None:
    mine = position(10.0, is_mine=True)

    assert PositionRow.of(position(accuracy), mine, []).way == way


NOON = datetime(2026, 8, 5, 12, tzinfo=UTC)


def position(accuracy: float | None, *, is_mine: bool = False) -> Position:
    return Position(
        point_id=uuid4(),
        group_id=uuid4(),
        user_id=uuid4(),
        device_id=uuid4(),
        name="Una",
        fix=Fix(latitude=64.1, longitude=-21.9, accuracy=accuracy, at=NOON),
        received_at=NOON,
        key_version=1,
        is_confirmed=True,
        is_mine=is_mine,
    )


# Whatever the order


POSTS = st.lists(
    st.tuples(
        st.sampled_from(["computer", "laptop", "android", "ios", "old client", "bad reading"]),
        # Around now, where a clock may be ahead and ids are close; and as far back as is kept.
        st.integers(-580, 900) | st.integers(900, 29 * 86_400) | st.integers(31 * 86_400, 10**8),
        st.booleans(),
    ),
    min_size=1,
    max_size=9,
    unique_by=lambda sent: sent[1],
)


@dataclass
class Senders:
    """All that can post as Una."""

    computer: Client
    laptop: Client
    old: Client
    android: Handset
    ios: Handset
    counter: int = 1000

    def send(self, sender: str, at: int, latitude: float) -> None:
        """Post a position of a time, or a reading that is none."""
        match sender:
            case "computer" | "laptop":
                device = self.computer if sender == "computer" else self.laptop
                device.share([fix(latitude, at=datetime.fromtimestamp(at, UTC))])
            case "android" | "ios":
                handset = self.android if sender == "android" else self.ios
                handset.is_at(latitude, tst=at)
            case "old client":  # its ids are of the time of queueing
                self.counter += 1
                said = of_draugar(self.old, n=self.counter)
                post(self.old, said | {"lat": latitude, "tst": at})
            case _:
                self.android.is_at(latitude, tst=at, acc=-1)


@pytest.fixture
def senders(two: tuple[Client, Client], relayed: Family) -> Senders:
    una, ari = two
    laptop, old = (
        relayed.join(una.invite(for_me=True).link, "Una", home=f"Una's {name}")
        for name in ("laptop", "old computer")
    )
    android, ios = (Handset.of(app, una.add_phone("Phone")) for app in (Android, Ios))
    una.where()
    ari.where()
    relayed.has_been_together_for(days=4000)
    return Senders(una, laptop, old, android, ios)


def test_where_map_and_history_agree_whatever_is_posted_in_whatever_order(
    two: tuple[Client, Client], senders: Senders, relayed: Family, service: Service
) -> None:
    una, ari = two

    @settings(max_examples=20, deadline=None)
    @given(POSTS)
    def agree(posts: list[tuple[str, int, bool]]) -> None:
        service.query("DELETE FROM locations WHERE group_id = :id", id=una.group().id)
        ari._home.do("DELETE FROM seen")
        now = int(time.time())
        ages = {}
        for number, (sender, age, is_read_then) in enumerate(posts):
            senders.send(sender, now - age, 10.0 + number)
            if sender != "bad reading":
                ages[10.0 + number] = age
            if is_read_then:
                ari.where()

        current, past = ari.where(), list(ari.history())
        at = datetime.now(UTC)

        newest_of_all = sorted(ages, key=ages.__getitem__)[:1]
        assert sorted(position.fix.latitude for position in past) == sorted(ages)
        for shown in (current, newest(past).values()):
            assert [(one.fix.latitude, one.is_old) for one in shown] == [
                (latitude, False) for latitude in newest_of_all
            ]
        for drawn in (trails_of(current, past, at), trails_of(current, (), at)):
            assert [trail.fixes[-1].latitude for trail in drawn] == newest_of_all

    agree()
    assert warnings(relayed, "Ari") == []
