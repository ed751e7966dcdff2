import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from chalicelib.models import Group, Location
from tests import factories
from tests.api import Api, Reply

MILLISECOND = timedelta(milliseconds=1)
V4 = "0b5f3a52-6a2c-4d38-9a53-0f5f6f7c1a11"


def someone_in(api: Api, session: Session, **columns: Any) -> tuple[Api, UUID]:
    """Make a person in one group."""
    una = factories.someone(session)
    return api.as_(una.token), factories.group(session, una, **columns)


def stored(session: Session) -> list[str]:
    """Return the ids of all points there are, in the order of their times."""
    return [str(each) for each in session.scalars(select(Location.id).order_by(Location.id))]


def results(reply: Reply) -> list[tuple[str | None, str, str | None]]:
    assert reply.status == 200
    for result in reply.json["results"]:
        assert result.keys() <= {"id", "status", "code"}
    return [
        (result.get("id"), result["status"], result.get("code")) for result in reply.json["results"]
    ]


def time_of(point_id: str) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + (UUID(point_id).int >> 80) * MILLISECOND


def to_the_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


# --- What is stored


def test_a_point_is_stored_as_it_was_sent(api: Api, session: Session) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)
    point = factories.plain_point(latitude=-64.14660000000001, longitude=1e-300, accuracy=7)

    posted = phone.post("/api/locations", point)

    assert results(posted) == [(point["id"], "stored", None)]
    (shown,) = phone.get("/api/locations").json["locations"]
    assert datetime.fromisoformat(shown.pop("recordedAt")) == time_of(point["id"])
    assert datetime.fromisoformat(shown.pop("receivedAt")) == factories.now(session)
    assert shown == point | {
        "groupId": str(group_id),
        "userId": str(una.user_id),
        "deviceId": str(una.device_id),
    }


@pytest.mark.parametrize(
    "edge",
    [
        {"latitude": -90, "longitude": -180, "accuracy": 0},
        {"latitude": 90.0, "longitude": 180.0, "accuracy": 20_037_508},
        {"latitude": 5e-324, "longitude": -0.0, "accuracy": 0.1},
    ],
)
def test_coordinates_reach_to_the_edges(api: Api, session: Session, edge: dict[str, Any]) -> None:
    phone, _ = someone_in(api, session)

    posted = phone.post("/api/locations", factories.plain_point(**edge))

    assert posted.status == 200
    (shown,) = phone.get("/api/locations").json["locations"]
    assert {name: shown[name] for name in edge} == edge


def test_a_batch_of_500_is_answered_item_by_item_in_order(api: Api, session: Session) -> None:
    phone, _ = someone_in(api, session)
    now = factories.now(session)
    moments = [now - timedelta(microseconds=random.randrange(10**9)) for _ in range(500)]  # noqa: S311
    batch = [
        factories.plain_point(moment)
        if number % 2
        # Without an id the server makes one of that time.
        else {
            "recordedAt": moment.isoformat(),
            "latitude": number / 10,
            "longitude": 1,
            "accuracy": 1,
        }
        for number, moment in enumerate(moments)
    ]

    answered = results(phone.post("/api/locations", {"locations": batch}))

    assert {(status, code) for _, status, code in answered} == {("stored", None)}
    ids = [str(id_) for id_, _, _ in answered]
    assert [id_ for number, id_ in enumerate(ids) if number % 2] == [
        point["id"] for point in batch if "id" in point
    ]
    assert [time_of(id_) for id_ in ids] == [to_the_millisecond(moment) for moment in moments]
    assert stored(session) == sorted(ids)
    shown = phone.get("/api/locations", limit=500).json["locations"]
    assert {point["id"]: datetime.fromisoformat(point["recordedAt"]) for point in shown} == {
        id_: time_of(id_) for id_ in ids
    }
    assert {point["id"]: point["latitude"] for point in shown} == {
        id_: batch[number].get("latitude") for number, id_ in enumerate(ids)
    }


@pytest.mark.parametrize(
    "body",
    [
        {"locations": [factories.plain_point()] * 501},
        {"locations": []},
        {"locations": None},
        {"locations": factories.plain_point()},
        {"locations": [factories.plain_point()], "groupId": V4},
        factories.plain_point(locations=[]),
    ],
    ids=["501", "none", "null", "a point", "a group for all", "point and batch"],
)
def test_what_is_no_batch_is_refused_whole(api: Api, session: Session, body: Any) -> None:
    phone, _ = someone_in(api, session)

    refused = phone.post("/api/locations", body)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert stored(session) == []


def test_a_batch_may_be_larger_than_other_bodies_but_not_boundless(
    api: Api, session: Session
) -> None:
    phone, _ = someone_in(api, session)
    spaces = b" " * (3 * 1024 * 1024 - 2)
    json = {"Content-Type": "application/json"}

    largest = phone.post("/api/locations", raw=b"{}" + spaces, headers=json)
    too_large = phone.post("/api/locations", raw=b"{}" + spaces + b" ", headers=json)

    assert (largest.status, largest.code) == (422, "invalid_request")
    assert (too_large.status, too_large.code) == (413, "body_too_large")


# --- What is refused


@dataclass(frozen=True)
class Refusal:
    """A point that its group does not take, and why."""

    code: str
    status: int
    point: Callable[[datetime], dict[str, Any]]
    group: dict[str, Any] = field(default_factory=dict)
    pausing: bool = False
    named: bool = True


def plain(_now: datetime) -> dict[str, Any]:
    return factories.plain_point()


def sealed(version: int) -> Callable[[datetime], dict[str, Any]]:
    return lambda _now: factories.sealed_point(keyVersion=version)


REFUSALS = [
    Refusal("sharing_paused", 409, plain, pausing=True),
    Refusal("sharing_paused", 409, sealed(3), {"key_version": 3}, pausing=True),
    Refusal("encryption_required", 409, plain, {"encryption": "required"}),
    Refusal("encryption_required", 409, plain, {"encryption": "required", "key_version": 3}),
    Refusal("group_key_missing", 409, sealed(1)),
    Refusal("group_key_missing", 409, sealed(1), {"encryption": "required"}),
    Refusal("key_version_conflict", 409, sealed(2), {"key_version": 3}),
    Refusal("key_version_conflict", 409, sealed(4), {"key_version": 3}),
    Refusal("key_version_conflict", 409, sealed(2**31 - 1), {"key_version": 3}),
    Refusal("rotation_required", 409, sealed(3), {"key_version": 3, "rotation_required": True}),
    Refusal("rotation_required", 409, sealed(2), {"key_version": 3, "rotation_required": True}),
    Refusal("out_of_range", 422, lambda now: factories.plain_point(now - timedelta(days=31))),
    Refusal(
        "out_of_range",
        422,
        lambda now: factories.sealed_point(now + timedelta(minutes=11)),
        {"key_version": 3},
    ),
    Refusal(
        "out_of_range",
        422,
        # The largest time that an id can hold: the year 10889.
        lambda _now: factories.plain_point(id="ffffffff-ffff-7fff-bfff-ffffffffffff"),
    ),
    Refusal(
        "out_of_range",
        422,
        lambda _now: factories.plain_point(id="00000000-0000-7000-8000-000000000000"),
    ),
    *(
        Refusal(
            "out_of_range",
            422,
            lambda _now, at=at: {  # type: ignore[misc]
                "recordedAt": at,
                "latitude": 1,
                "longitude": 1,
                "accuracy": 1,
            },
        )
        for at in ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z")
    ),
    Refusal(
        "id_time_mismatch",
        422,
        lambda now: factories.plain_point(
            now, recordedAt=(to_the_millisecond(now) + MILLISECOND).isoformat()
        ),
    ),
    Refusal(
        "id_time_mismatch",
        422,
        lambda now: factories.sealed_point(
            now, recordedAt=(to_the_millisecond(now) - timedelta(microseconds=1)).isoformat()
        ),
        {"key_version": 3},
    ),
    Refusal("group_not_found", 404, lambda _now: factories.plain_point(groupId=str(uuid4()))),
    Refusal("group_not_found", 404, lambda _now: factories.sealed_point(groupId=str(uuid4()))),
    Refusal("group_required", 422, plain, named=False),
]
every_refusal = pytest.mark.parametrize(
    "refusal",
    REFUSALS,
    ids=[f"{number}-{refusal.code}" for number, refusal in enumerate(REFUSALS)],
)


def refused_point(
    api: Api, session: Session, refusal: Refusal
) -> tuple[Api, dict[str, Any], dict[str, Any]]:
    """Make a person in two groups; return a point that the one refuses and one the other takes."""
    una = factories.someone(session)
    group_id = factories.group(session, una, **refusal.group)
    shelter = factories.group(session, una)
    phone = api.as_(una.token)
    if refusal.pausing:
        phone.put(f"/api/groups/{group_id}/sharing", {"paused": True})
    bad = refusal.point(factories.now(session))
    if refusal.named:
        bad = {"groupId": str(group_id)} | bad
    return phone, bad, factories.plain_point(groupId=str(shelter))


@every_refusal
def test_a_point_alone_that_is_refused_is_an_error(
    api: Api, session: Session, refusal: Refusal
) -> None:
    phone, bad, _ = refused_point(api, session, refusal)

    refused = phone.post("/api/locations", bad)

    assert (refused.status, refused.code) == (refusal.status, refusal.code)
    assert stored(session) == []


@every_refusal
def test_a_point_in_a_batch_that_is_refused_loses_no_other(
    api: Api, session: Session, refusal: Refusal
) -> None:
    phone, bad, good = refused_point(api, session, refusal)
    other = factories.plain_point(groupId=good["groupId"])

    posted = phone.post("/api/locations", {"locations": [good, bad, other, bad]})

    # Where it had no id, it gets none: an id stands for something that is stored.
    bad_result = (bad.get("id"), "rejected", refusal.code)
    assert results(posted) == [
        (good["id"], "stored", None),
        bad_result,
        (other["id"], "stored", None),
        bad_result,
    ]
    assert stored(session) == sorted([good["id"], other["id"]])


NO_POINTS: list[Any] = [
    None,
    1,
    "point",
    [],
    [factories.plain_point()],
    {},
    {"id": factories.point_id()},
    {"latitude": 1, "longitude": 1},
    {"latitude": 1, "accuracy": 1},
    {"encryptedData": "A" * 80},
    {"encryptedData": "A" * 80, "keyVersion": 1, "latitude": 1},
    {"encryptedData": None, "latitude": 1, "longitude": 1, "accuracy": 1},
    *(
        factories.plain_point(**fields)
        for fields in (
            {"latitude": 90.00000000000001},
            {"latitude": -91},
            {"longitude": 180.1},
            {"longitude": -181},
            {"accuracy": -1e-9},
            {"accuracy": 20_037_508.1},
            {"latitude": None},
            {"latitude": True},
            {"latitude": "64.1"},
            {"latitude": 10**400},
            {"id": V4},
            {"id": "019a0000-0000-7000-0000-000000000000"},
            {"id": 7},
            {"id": None, "recordedAt": 1_700_000_000},
            {"id": "point"},
            {"id": ["0"]},
            {"groupId": "hearth"},
            {"groupId": 1},
            {"recordedAt": "2026-01-01"},
            {"recordedAt": "2026-01-01T00:00:00"},
            {"recordedAt": "2026-13-01T00:00:00Z"},
            {"recordedAt": "0001-01-01T00:00:00+14:00"},
            {"recordedAt": ""},
            {"keyVersion": 1},
            {"altitude": 100},
            {"userId": V4},
            {"receivedAt": "2026-01-01T00:00:00Z"},
        )
    ),
    *(
        factories.sealed_point(**fields)
        for fields in (
            {"keyVersion": 0},
            {"keyVersion": -1},
            {"keyVersion": 2**31},
            {"keyVersion": 10**400},
            {"keyVersion": 3.0},
            {"keyVersion": "3"},
            {"keyVersion": True},
            {"keyVersion": None},
            {"accuracy": 5},
            {"encryptedData": None},
            {"encryptedData": 7},
            {"encryptedData": ""},
            {"encryptedData": ["A" * 80]},
        )
    ),
]
every_non_point = pytest.mark.parametrize("item", NO_POINTS)


@every_non_point
def test_what_is_no_point_is_refused_alone(api: Api, session: Session, item: Any) -> None:
    phone, _ = someone_in(api, session, key_version=3)

    refused = phone.post("/api/locations", item)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert stored(session) == []


@every_non_point
def test_what_is_no_point_loses_no_other_in_a_batch(api: Api, session: Session, item: Any) -> None:
    phone, _ = someone_in(api, session, key_version=3)
    good = factories.plain_point()

    answered = results(phone.post("/api/locations", {"locations": [item, good]}))

    assert [(status, code) for _, status, code in answered] == [
        ("rejected", "invalid_point"),
        ("stored", None),
    ]
    sent = item.get("id") if isinstance(item, dict) else None
    assert answered[0][0] in (None, sent)
    assert stored(session) == [good["id"]]


def test_a_refused_item_is_known_again_by_its_id(api: Api, session: Session) -> None:
    phone, _ = someone_in(api, session)
    bad = factories.plain_point(latitude=91)

    answered = results(phone.post("/api/locations", {"locations": [bad, {"latitude": 1}]}))

    assert answered == [
        (bad["id"], "rejected", "invalid_point"),
        (None, "rejected", "invalid_point"),
    ]


# --- Times


def edges(session: Session, *, retention_days: int) -> tuple[datetime, datetime]:
    """Return the first and the last millisecond at which a point may have been recorded."""
    now = factories.now(session)
    oldest = now - timedelta(days=retention_days)
    first = to_the_millisecond(oldest)
    if first < oldest:
        first += MILLISECOND
    return first, to_the_millisecond(now + timedelta(minutes=10))


@pytest.mark.parametrize("retention_days", [1, 30])
def test_points_are_taken_from_retention_to_ten_minutes_ahead_to_the_millisecond(
    api: Api, session: Session, retention_days: int
) -> None:
    phone, _ = someone_in(api, session, retention_days=retention_days)
    first, last = edges(session, retention_days=retention_days)
    moments = [first - MILLISECOND, first, last, last + MILLISECOND]
    by_id = [factories.plain_point(moment) for moment in moments]
    by_time = [
        {"recordedAt": moment.isoformat(), "latitude": 1, "longitude": 1, "accuracy": 1}
        for moment in moments
    ]

    together = results(phone.post("/api/locations", {"locations": by_id + by_time}))
    alone = [phone.post("/api/locations", point).status for point in by_time]

    expected = ["out_of_range", None, None, "out_of_range"]
    assert [code for _, _, code in together] == expected * 2
    assert alone == [422, 200, 200, 422]
    assert {time_of(id_) for id_ in stored(session)} == {first, last}


@pytest.mark.parametrize("offset", ["+00:00", "+05:45", "-11:00"])
@pytest.mark.parametrize("finer", [0, 1, 499, 500, 999])
def test_the_time_beside_an_id_may_be_finer_and_of_any_zone(
    api: Api, session: Session, offset: str, finer: int
) -> None:
    phone, _ = someone_in(api, session)
    moment = to_the_millisecond(factories.now(session)) + timedelta(microseconds=finer)
    zone = datetime.fromisoformat(f"2026-01-01T00:00:00{offset}").tzinfo
    point = factories.plain_point(moment, recordedAt=moment.astimezone(zone).isoformat())

    posted = phone.post("/api/locations", point)

    assert results(posted) == [(point["id"], "stored", None)]


def test_a_point_without_id_and_time_is_of_now(api: Api, session: Session) -> None:
    phone, _ = someone_in(api, session)

    posted = phone.post("/api/locations", {"latitude": 1, "longitude": 1, "accuracy": 1})

    ((id_, status, code),) = results(posted)
    assert (status, code) == ("stored", None)
    assert stored(session) == [id_]
    assert UUID(id_).version == 7
    assert time_of(str(id_)) == to_the_millisecond(factories.now(session))


# --- Repeats


def test_a_repeat_is_answered_as_the_first_and_stores_nothing(api: Api, session: Session) -> None:
    phone, _ = someone_in(api, session)
    point = factories.plain_point()
    first = phone.post("/api/locations", point)

    again = phone.post("/api/locations", point)
    other = phone.post("/api/locations", point | {"latitude": 1.5})
    batch = phone.post("/api/locations", {"locations": [point, factories.plain_point(), point]})

    assert (again.status, again.json) == (other.status, other.json) == (first.status, first.json)
    assert [status for _, status, _ in results(batch)] == ["stored"] * 3
    assert len(stored(session)) == 2
    shown = phone.get("/api/locations").json["locations"]
    assert [each["latitude"] for each in shown if each["id"] == point["id"]] == [point["latitude"]]


def test_a_point_twice_in_one_batch_is_one_point(api: Api, session: Session) -> None:
    phone, _ = someone_in(api, session)
    point = factories.plain_point()

    posted = phone.post("/api/locations", {"locations": [point, point | {"accuracy": 1}, point]})

    assert results(posted) == [(point["id"], "stored", None)] * 3
    assert stored(session) == [point["id"]]


def test_without_an_id_every_post_is_a_point_of_its_own(api: Api, session: Session) -> None:
    phone, _ = someone_in(api, session)
    point = {"latitude": 1, "longitude": 1, "accuracy": 1}

    for _ in range(2):
        phone.post("/api/locations", {"locations": [point, point]})

    assert len(set(stored(session))) == 4


def test_an_id_names_one_point_of_one_person_in_one_group(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    groups = [factories.group(session, una, ari) for _ in range(2)]
    point = factories.plain_point()

    for who in (una, ari):
        for group_id in groups:
            posted = api.as_(who.token).post("/api/locations", point | {"groupId": str(group_id)})
            assert results(posted) == [(point["id"], "stored", None)]

    assert stored(session) == [point["id"]] * 4


def pause(phone: Api, session: Session, group_id: UUID) -> None:
    del session
    phone.put(f"/api/groups/{group_id}/sharing", {"paused": True})


def keep_a_day_only(phone: Api, session: Session, group_id: UUID) -> None:
    del session
    phone.patch(f"/api/groups/{group_id}", {"retentionDays": 1})


def require_encryption(phone: Api, session: Session, group_id: UUID) -> None:
    del session
    phone.patch(f"/api/groups/{group_id}", {"encryption": "required"})


def rotate(_phone: Api, session: Session, group_id: UUID) -> None:
    session.execute(update(Group).where(Group.id == group_id).values(key_version=4))
    session.commit()


def require_rotation(_phone: Api, session: Session, group_id: UUID) -> None:
    session.execute(update(Group).where(Group.id == group_id).values(rotation_required=True))
    session.commit()


@pytest.mark.parametrize(
    ("make", "change", "refusal"),
    [
        (factories.plain_point, pause, "sharing_paused"),
        (factories.sealed_point, pause, "sharing_paused"),
        (factories.plain_point, keep_a_day_only, "out_of_range"),
        (factories.plain_point, require_encryption, "encryption_required"),
        (factories.sealed_point, rotate, "key_version_conflict"),
        (factories.sealed_point, require_rotation, "rotation_required"),
    ],
)
def test_what_was_taken_once_stays_so_whatever_is_refused_now(
    api: Api,
    session: Session,
    make: Callable[[datetime], dict[str, Any]],
    change: Callable[[Api, Session, UUID], None],
    refusal: str,
) -> None:
    phone, group_id = someone_in(api, session, key_version=3)
    two_days_ago = factories.now(session) - timedelta(days=2)
    known, new = make(two_days_ago), make(two_days_ago)
    phone.post("/api/locations", known)
    change(phone, session, group_id)

    alone = phone.post("/api/locations", known)
    together = phone.post("/api/locations", {"locations": [known, new]})

    assert results(alone) == [(known["id"], "stored", None)]
    assert results(together) == [(known["id"], "stored", None), (new["id"], "rejected", refusal)]
    assert stored(session) == [known["id"]]


def test_a_repeat_is_no_way_to_learn_of_others_points(api: Api, session: Session) -> None:
    una, ari, stranger = (factories.someone(session) for _ in range(3))
    group_id = factories.group(session, una, ari)
    factories.group(session, stranger)
    point = factories.plain_point(groupId=str(group_id))
    api.as_(una.token).post("/api/locations", point)
    api.as_(ari.token).put(f"/api/groups/{group_id}/sharing", {"paused": True})

    by_stranger = api.as_(stranger.token).post("/api/locations", point)
    by_member = api.as_(ari.token).post("/api/locations", point)

    assert by_stranger.code == "group_not_found"
    assert by_member.code == "sharing_paused"
    assert session.scalars(select(func.count()).select_from(Location)).one() == 1
