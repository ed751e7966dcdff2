"""Which points a member's device believes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from draugar.client import Client
from draugar.errors import AnswerNotUnderstood, KeyPending
from draugar.models import Kind, Position
from draugar.protocol.json import to_base64url
from draugar.protocol.locations import seal_location
from draugar.protocol.secrets import GroupKey
from draugar.storage import outbox
from tests.client import malice
from tests.client.family import Family, fix
from tests.client.kept import Keyring, age_keys, forget_links
from tests.client.malice import HISTORY, LATEST, USERS, Forward, Relay, Reply, Request

Point = dict[str, Any]


def latitudes(positions: list[Position]) -> list[float]:
    return [position.fix.latitude for position in positions]


def key_of(member: Client, version: int = 1) -> GroupKey:
    key = Keyring(member._home, member.group().id).key(version)
    assert key is not None
    return key


def post(member: Client, content: Point, *, version: int = 1) -> None:
    """Post what another client seals under the group's key."""
    with_id = outbox.new_id(member._home, datetime.now(UTC))
    sealed = seal_location(content, key_of(member, version))
    (verdict,) = member._api.store(
        [
            {
                "id": str(with_id),
                "groupId": str(member.group().id),
                "encryptedData": to_base64url(sealed),
                "keyVersion": version,
            }
        ]
    )
    assert verdict.code is None


def of_draugar(member: Client, **more: Any) -> Point:
    marks = {
        "g": str(member.group().id),
        "u": str(member.user_id),
        "d": str(member.device_id),
        "n": 1,
    }
    now = int(datetime.now(UTC).timestamp())
    return {"_type": "location", "lat": 1.0, "lon": 2.0, "tst": now, "draugar": marks | more}


def seconds_ago(count: float) -> int:
    return int(datetime.now(UTC).timestamp() - count)


@pytest.fixture
def two(relayed: Family) -> tuple[Client, Client]:
    """Una and Ari, who trust each other."""
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    return una, ari


def test_everybody_is_where_they_shared_last(two: tuple[Client, Client]) -> None:
    una, ari = two
    una.share([fix(1.0, ago=timedelta(minutes=1)), fix(2.0)])
    ari.share([fix(3.0)])

    seen = ari.where()

    assert [(position.name, position.fix.latitude) for position in seen] == [
        ("Ari", 3.0),
        ("Una", 2.0),
    ]
    assert [position.is_mine for position in seen] == [True, False]
    assert all(position.is_confirmed and not position.is_old for position in seen)


def test_history_is_of_the_time_asked_for(two: tuple[Client, Client], relayed: Family) -> None:
    una, ari = two
    relayed.has_been_together_for(days=1)
    una.share([fix(float(hours), ago=timedelta(hours=hours)) for hours in (3, 2, 1)])
    ari.share([fix(9.0)])
    now = datetime.now(UTC)

    everything = latitudes(list(ari.history()))
    of_una = latitudes(list(ari.history(user_id=una.user_id)))
    between = latitudes(
        list(
            ari.history(
                since=now - timedelta(hours=2, minutes=30),
                until=now - timedelta(hours=1, minutes=30),
            )
        )
    )

    assert everything == [9.0, 1.0, 2.0, 3.0]
    assert of_una == [1.0, 2.0, 3.0]
    assert between == [2.0]


def test_history_goes_over_pages(two: tuple[Client, Client]) -> None:
    una, ari = two
    una.share([fix(number / 100) for number in range(1100)])

    found = latitudes(list(ari.history()))

    assert found == [number / 100 for number in range(1099, -1, -1)]


def test_a_page_that_leads_to_itself_ends(two: tuple[Client, Client], relay: Relay) -> None:
    una, ari = two
    una.share([fix(1.0)])

    def again(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != malice.HISTORY:
            return reply
        return reply.saying(reply.json | {"nextCursor": "A" * 43})

    with relay.telling(again), pytest.raises(AnswerNotUnderstood):
        list(ari.history())


@pytest.mark.parametrize("name", ["userId", "deviceId"])
def test_a_point_that_is_shown_as_another_ones_is_dropped(
    two: tuple[Client, Client], relay: Relay, relayed: Family, name: str
) -> None:
    una, ari = two
    una.share([fix(1.0)])
    ari.share([fix(2.0)])
    ids = {"userId": (una.user_id, ari.user_id), "deviceId": (una.device_id, ari.device_id)}[name]
    swapped = {str(ids[0]): str(ids[1]), str(ids[1]): str(ids[0])}

    with relay.telling(
        malice.points(lambda all_: [{**one, name: swapped[one[name]]} for one in all_])
    ):
        seen, past = una.where(), list(una.history())

    assert (seen, past) == ([], [])
    assert Kind.POINTS_DROPPED in relayed.hears("Una").kinds()


def test_a_point_of_another_group_is_dropped(relayed: Family, relay: Relay) -> None:
    una = relayed.found()
    hearth, office = una.group().id, una.found_group("Office").id
    una.share([fix(1.0)], hearth)
    una.share([fix(2.0)], office)
    elsewhere = una._transport.call("GET", "/locations/latest", query={"groupId": str(office)})
    moved = [{**point, "groupId": str(hearth)} for point in elsewhere["locations"]]

    with relay.telling(malice.points(lambda all_: [*all_, *moved])):
        assert latitudes(una.where(hearth)) == [1.0]
        assert latitudes(list(una.history(hearth))) == [1.0]


def test_a_point_under_another_id_is_dropped(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    ari.share([fix(1.0)])
    una.where()

    with relay.telling(malice.points(lambda all_: [{**one, "id": str(uuid4())} for one in all_])):
        seen = una.where()
    with relay.telling(
        malice.points(lambda all_: [*all_, *({**one, "id": str(uuid4())} for one in all_)])
    ):
        past = list(una.history())

    assert seen == []
    assert len(past) == 1
    assert Kind.POINTS_DROPPED in relayed.hears("Una").kinds()


def test_an_older_point_than_was_seen_is_marked_and_told(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    ari.share([fix(1.0)])
    older = una._transport.call("GET", "/locations/latest")["locations"]
    ari.share([fix(2.0)])
    una.where()

    with relay.telling(malice.points(lambda _: older)):
        seen = una.where()
        una.where()

    assert [(position.fix.latitude, position.is_old) for position in seen] == [(1.0, True)]
    assert relayed.hears("Una").kinds().count(Kind.OLDER_THAN_SEEN) == 1
    assert [position.is_old for position in una.where()] == [False]


def test_somebody_who_is_not_shown_any_more_is_told(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    ari.share([fix(1.0)])
    una.where()

    with relay.telling(malice.points(lambda _: [])):
        una.where()

    assert Kind.OLDER_THAN_SEEN in relayed.hears("Una").kinds()


def test_history_may_show_what_was_seen(two: tuple[Client, Client], relayed: Family) -> None:
    una, ari = two
    ari.share([fix(1.0), fix(2.0)])
    una.where()

    first, second = list(una.history()), list(una.history())

    assert latitudes(first) == latitudes(second) == [2.0, 1.0]
    assert not [notice for notice in relayed.hears("Una") if notice.is_warning]


def test_a_point_in_the_clear_is_refused_once_there_was_a_key(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    ari.share([fix(1.0)])

    with relay.telling(malice.in_the_clear(50.0, 60.0)):
        assert una.where() == []
        assert list(una.history()) == []

    assert Kind.PLAINTEXT_REFUSED in relayed.hears("Una").kinds()


def test_a_group_that_never_had_a_key_is_read_as_it_is(family: Family) -> None:
    una = family.found()
    group_id = una._api.found_group("Office", "optional").id
    una.groups()
    una._transport.call(
        "POST",
        "/locations",
        {"groupId": str(group_id), "latitude": 50.0, "longitude": 60.0, "accuracy": 7.0},
    )

    (position,) = una.where(group_id)
    una.rotate(group_id)
    after = una.where(group_id)

    assert (position.fix.latitude, position.key_version) == (50.0, None)
    assert not position.is_confirmed or position.is_mine
    assert after == []


def test_a_point_under_a_key_that_was_replaced_by_then_is_dropped(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    marks = of_draugar(ari, n=99)
    una.rotate()
    age_keys(una._home, una.group().id, 3600)
    ari.share([fix(1.0)])
    forged = to_base64url(seal_location(marks, key_of(ari, 1)))

    with relay.telling(
        malice.points(
            lambda all_: [{**one, "encryptedData": forged, "keyVersion": 1} for one in all_]
        )
    ):
        seen = una.where()

    assert seen == []
    assert Kind.POINTS_DROPPED in relayed.hears("Una").kinds()
    assert latitudes(una.where()) == [1.0]


def test_a_forged_old_point_does_not_hide_the_newer_ones(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two
    ari.share([fix(1.0)])
    old = una._transport.call("GET", "/locations/latest")["locations"][0]
    content = of_draugar(ari, n=10**9) | {"tst": seconds_ago(60)}
    forged = {
        **old,
        "id": str(uuid4()),
        "encryptedData": to_base64url(seal_location(content, key_of(ari))),
    }
    una.rotate()

    with relay.telling(malice.points(lambda _: [forged])):
        una.where()
    ari.share([fix(2.0)])

    assert [(seen.fix.latitude, seen.is_old) for seen in una.where()] == [(2.0, False)]


def test_what_cannot_be_read_is_counted_and_told(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    ari.share([fix(1.0), fix(2.0)])

    def garbled(all_: list[Any]) -> list[Any]:
        changes: list[Point] = [{"encryptedData": "A" * 200}, {"keyVersion": 77}]
        return [{**one, **change} for one, change in zip(all_, changes, strict=True)]

    with relay.telling(malice.points(garbled)):
        assert list(una.history()) == []

    kinds = relayed.hears("Una").kinds()
    assert Kind.POINTS_DROPPED in kinds
    assert Kind.POINTS_UNREADABLE in kinds


@pytest.mark.parametrize("marks", [{}, None, []])
def test_what_does_not_say_where_it_belongs_is_dropped_and_told(
    two: tuple[Client, Client], relayed: Family, marks: object
) -> None:
    una, ari = two
    post(ari, of_draugar(ari) | {"draugar": marks})

    assert una.where() == []
    assert Kind.POINTS_DROPPED in relayed.hears("Una").kinds()


@pytest.mark.parametrize("counter", [0, -1, True, 1.0, "1", None, [1]])
def test_a_counter_that_is_none_is_refused(two: tuple[Client, Client], counter: object) -> None:
    una, ari = two
    post(ari, of_draugar(ari, n=counter))

    assert una.where() == []


def test_further_marks_are_refused(two: tuple[Client, Client]) -> None:
    una, ari = two
    post(ari, of_draugar(ari, x=1))

    assert una.where() == []


@pytest.mark.parametrize(
    ("change", "attribute", "value"),
    [
        ({"alt": "high"}, "altitude", None),
        ({"vel": -3}, "velocity", None),
        ({"cog": 361}, "course", None),
        ({"batt": 101}, "battery", None),
        ({"batt": 55}, "battery", 55),
        ({"vel": 4.5}, "velocity", 4.5),
    ],
)
def test_what_a_position_can_go_without_is_left_out_where_it_is_wrong(
    two: tuple[Client, Client], change: Point, attribute: str, value: object
) -> None:
    una, ari = two
    post(ari, of_draugar(ari) | change)

    assert getattr(una.where()[0].fix, attribute) == value


# Other clients


def first_app(member: Client, **more: Any) -> Point:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {
        "userId": str(member.user_id),
        "latitude": 5.0,
        "longitude": 6.0,
        "accuracy": 7.5,
        "timestamp": now,
    } | more


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-02T03:04:05.000Z",
        1767323045,
        1767323045000,
    ],
)
def test_a_point_of_the_first_app_is_read(two: tuple[Client, Client], timestamp: object) -> None:
    una, ari = two
    post(ari, first_app(ari, timestamp=timestamp))

    (position,) = una.where()

    assert (position.fix.latitude, position.fix.accuracy) == (5.0, 7.5)
    assert position.fix.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (position.name, position.is_confirmed) == ("Ari", True)


@pytest.mark.parametrize(
    "change",
    [
        {"userId": str(uuid4())},
        {"userId": None},
        {"latitude": 91},
        {"timestamp": "soon"},
        {"timestamp": None},
        {"timestamp": True},
    ],
)
def test_a_point_of_the_first_app_that_does_not_belong_is_dropped(
    two: tuple[Client, Client], change: Point
) -> None:
    una, ari = two
    post(ari, first_app(ari) | change)

    assert una.where() == []


def test_a_point_of_the_first_app_needs_a_sender_who_is_trusted(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    forget_links(una._home, una.group().id)
    post(ari, first_app(ari))

    before = una.where()
    una.confirm(una.compare(ari.user_id))
    after = una.where()

    assert before == []
    assert latitudes(after) == [5.0]


def test_a_device_that_counts_its_points_cannot_stop_counting(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    ari.share([fix(1.0)])
    una.where()
    post(ari, first_app(ari))

    assert latitudes(una.where()) == [1.0]
    assert Kind.POINTS_DROPPED in relayed.hears("Una").kinds()


def with_tid(member: Client, tid: str) -> malice.Lie:
    """Show what a member's device posts as that of a phone of theirs."""
    phone = {"id": str(uuid4()), "tid": tid, "needsSetup": False}

    def listed(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        body = reply.json
        if request.route == USERS:
            for user in body["users"]:
                if user["id"] == str(member.user_id):
                    user["groups"][0]["phones"] = [phone]
        elif request.route in (LATEST, HISTORY):
            for point in body["locations"]:
                if point["deviceId"] == str(member.device_id):
                    point["deviceId"] = phone["id"]
        return reply.saying(body)

    return listed


def owntracks(**more: Any) -> Point:
    return {"_type": "location", "lat": 5.5, "lon": 6.5, "tst": seconds_ago(5), "tid": "ar"} | more


def test_a_point_of_an_owntracks_phone_is_read(two: tuple[Client, Client], relay: Relay) -> None:
    una, ari = two
    post(ari, owntracks())

    with relay.telling(with_tid(ari, "ar")):
        (position,) = una.where()

    assert (position.fix.latitude, position.name) == (5.5, "Ari")


@pytest.mark.parametrize("tid", ["un", None, 7])
def test_a_point_of_an_owntracks_phone_that_calls_itself_otherwise_is_dropped(
    two: tuple[Client, Client], relay: Relay, tid: object
) -> None:
    una, ari = two
    post(ari, owntracks(tid=tid))

    with relay.telling(with_tid(ari, "ar")):
        assert una.where() == []


@pytest.mark.parametrize(
    ("content", "place"),
    [({"lat": 5.0}, (5.0, 0.0)), ({"lon": 6.0}, (0.0, 6.0)), ({}, None)],
)
def test_a_coordinate_that_is_left_out_is_zero_beside_the_other(
    two: tuple[Client, Client],
    relay: Relay,
    content: Point,
    place: tuple[float, float] | None,
) -> None:
    una, ari = two
    post(ari, {"_type": "location", "tst": seconds_ago(5), "tid": "ar"} | content)

    with relay.telling(with_tid(ari, "ar")):
        seen = [(one.fix.latitude, one.fix.longitude) for one in una.where()]

    assert seen == ([] if place is None else [place])


def test_points_without_a_counter_are_in_the_order_of_their_times(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two
    with relay.telling(with_tid(ari, "ar")):
        post(ari, owntracks(tst=seconds_ago(5)))
        una.where()
        post(ari, owntracks(tst=seconds_ago(60), lat=4.5))

        (newest,) = una.where()
        past = [(one.fix.latitude, one.is_old) for one in una.history()]

    assert (newest.fix.latitude, newest.is_old) == (5.5, False)
    assert past == [(4.5, False), (5.5, False)]


# Who may read


def test_a_pending_device_reads_nothing(family: Family) -> None:
    una = family.found()
    una.share([fix(1.0)])
    ari = family.join_by_code(una.invite_by_code().code)

    with pytest.raises(KeyPending):
        ari.where()
    with pytest.raises(KeyPending):
        ari.history()


def test_a_newcomer_reads_nothing_from_before(family: Family) -> None:
    una = family.found()
    una.share([fix(1.0)])

    ari = family.join(una.invite().link)
    una.share([fix(2.0)])

    assert latitudes(list(ari.history())) == [2.0]


def test_points_are_padded(two: tuple[Client, Client], relay: Relay) -> None:
    una, _ = two
    una.share([fix(1.0), fix(1.23456789, battery=5, altitude=100.0)])

    lengths = {len(point["encryptedData"]) for point in relay.received[-1].json["locations"]}
    assert len(lengths) == 1


def test_an_answer_with_two_points_of_a_person_shows_one(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two
    ari.share([fix(1.0), fix(2.0)])
    both = una._api.history({"groupId": str(una.group().id)})[0]
    raw = una._transport.call("GET", "/locations")["locations"]

    with relay.telling(
        lambda request, forward: (
            forward(request).saying({"locations": raw})
            if request.route == LATEST
            else forward(request)
        )
    ):
        seen = una.where()

    assert len(both) == 2
    assert latitudes(seen) == [2.0]
