from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from chalicelib.web import to_base64
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone

HOUR = timedelta(hours=1)
KATHMANDU = timezone(timedelta(hours=5, minutes=45))
Key = tuple[str, str]
"""Which point: its id, and whose it is."""


def keys(reply: Reply) -> list[Key]:
    assert reply.status == 200
    return [(point["id"], point["userId"]) for point in reply.json["locations"]]


def post(api: Api, who: Someone, *points: dict[str, Any]) -> list[Key]:
    posted = api.as_(who.token).post("/api/locations", {"locations": points})
    assert [result["status"] for result in posted.json["results"]] == ["stored"] * len(points)
    return [(point["id"], str(who.user_id)) for point in points]


def walk(api: Api, **query: Any) -> list[list[Key]]:
    """Return all pages there are."""
    pages = []
    # As many as no walk here may take, should one go round in circles.
    for _ in range(100):
        reply = api.get("/api/locations", **query)
        pages.append(keys(reply))
        assert reply.json.keys() <= {"locations", "nextCursor"}
        if "nextCursor" not in reply.json:
            return pages
        query["cursor"] = reply.json["nextCursor"]
    raise AssertionError("This walk has no end.")


def crowd(api: Api, session: Session, *, moments: int, at_once: int) -> tuple[Someone, set[Key]]:
    """Make a group of three, recorded `at_once` times at each of the same moments.

    Some points of two of them have the same id. Return one of the three, and all points.
    """
    people = [factories.someone(session) for _ in range(3)]
    factories.group(session, *people)
    now = factories.now(session)
    times = [now - HOUR * number for number in range(moments) for _ in range(at_once)]
    shared = [factories.plain_point(moment) for moment in times]
    everything: set[Key] = set()
    for number, person in enumerate(people):
        # Even ones have ids in common, odd ones a time only.
        own = shared if number % 2 == 0 else [factories.plain_point(moment) for moment in times]
        everything.update(post(api, person, *own))
    assert len(everything) == 3 * moments * at_once
    return people[0], everything


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 23, 24, 25, 500])
def test_pages_hold_every_point_exactly_once_newest_first(
    api: Api, session: Session, limit: int
) -> None:
    una, everything = crowd(api, session, moments=2, at_once=4)

    pages = walk(api.as_(una.token), limit=limit)

    walked = [key for page in pages for key in page]
    assert walked == sorted(everything, reverse=True)
    # Every page is full but the last, which is not empty.
    assert [len(page) for page in pages[:-1]] == [limit] * ((24 - 1) // limit)
    assert pages[-1]


def test_the_largest_pages_hold_500(api: Api, session: Session) -> None:
    una, everything = crowd(api, session, moments=7, at_once=25)

    pages = walk(api.as_(una.token), limit=500)

    assert [len(page) for page in pages] == [500, 25]
    assert [key for page in pages for key in page] == sorted(everything, reverse=True)


def test_a_page_holds_100_unless_another_size_is_asked_for(api: Api, session: Session) -> None:
    una, _ = crowd(api, session, moments=1, at_once=34)

    pages = walk(api.as_(una.token))

    assert [len(page) for page in pages] == [100, 2]


def test_points_that_arrive_meanwhile_disturb_no_walk(api: Api, session: Session) -> None:
    una, everything = crowd(api, session, moments=3, at_once=2)
    phone = api.as_(una.token)
    first = phone.get("/api/locations", limit=5)
    post(api, una, factories.plain_point())

    rest = walk(phone, limit=5, cursor=first.json["nextCursor"])

    walked = keys(first) + [key for page in rest for key in page]
    assert walked == sorted(everything, reverse=True)


def test_pages_keep_to_a_person_and_a_range(api: Api, session: Session) -> None:
    una, everything = crowd(api, session, moments=5, at_once=3)
    now = factories.now(session)
    query = {
        "userId": una.user_id,
        "from": (now - HOUR * 3.5).isoformat(),
        "to": (now - HOUR / 2).isoformat(),
    }

    pages = walk(api.as_(una.token), limit=2, **query)

    mine = sorted((key for key in everything if key[1] == str(una.user_id)), reverse=True)
    assert [key for page in pages for key in page] == mine[3:12]


def test_history_of_one_person_is_theirs_alone(api: Api, session: Session) -> None:
    una, ari, eva, stranger = (factories.someone(session) for _ in range(4))
    factories.group(session, una, ari, eva)
    factories.group(session, stranger)
    unas, aris = post(api, una, factories.plain_point()), post(api, ari, factories.plain_point())
    post(api, stranger, factories.plain_point())
    phone = api.as_(eva.token)

    found = [
        keys(phone.get("/api/locations", userId=each))
        for each in (una.user_id, ari.user_id, eva.user_id, stranger.user_id, uuid4())
    ]

    assert found == [unas, aris, [], [], []]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"from": 0}, [3, 2, 1, 0]),
        ({"from": 1}, [3, 2, 1]),
        ({"to": 3}, [2, 1, 0]),
        ({"from": 1, "to": 3}, [2, 1]),
        ({"from": 1, "to": 1}, []),
        ({"from": 3, "to": 1}, []),
        ({"from": 4}, []),
        ({"to": 0}, []),
    ],
)
@pytest.mark.parametrize("zone", [UTC, KATHMANDU], ids=["UTC", "Kathmandu"])
def test_a_range_has_its_beginning_and_not_its_end(
    api: Api, session: Session, bounds: dict[str, int], expected: list[int], zone: timezone
) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    start = factories.now(session).replace(microsecond=0) - HOUR
    moments = [start + timedelta(milliseconds=number) for number in range(5)]
    points = post(api, una, *(factories.plain_point(moment) for moment in moments[:4]))
    query = {name: moments[number].astimezone(zone).isoformat() for name, number in bounds.items()}

    found = api.as_(una.token).get("/api/locations", **query)

    assert keys(found) == [points[number] for number in expected]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-01"}, "from"),
        ({"to": "2026-01-01T00:00:00"}, "to"),
        ({"to": "1767225600"}, "to"),
        ({"to": ""}, "to"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "to"),
        ({"since": "2026-01-01T00:00:00Z"}, "the request"),
    ],
)
def test_a_range_is_of_moments(
    api: Api, session: Session, method: str, query: dict[str, str], name: str
) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    phone = api.as_(una.token)
    points = post(api, una, factories.plain_point())

    refused = phone.call(method, "/api/locations", query=query)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert refused.json["detail"].startswith(f"{name}: ")
    assert keys(phone.get("/api/locations")) == points


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_range_may_be_all_of_time(api: Api, session: Session, method: str) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    post(api, una, factories.plain_point())
    query = {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59.999999Z"}

    found = api.as_(una.token).call(method, "/api/locations", query=query)

    assert found.status == 200
    assert len(found.json["locations"]) == 1 if method == "GET" else found.json == {"deleted": 1}


CURSOR = to_base64(bytes(32))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *(
            ({"limit": size}, "limit")
            for size in (
                "0",
                "501",
                "-1",
                "1000000000",
                "1e9",
                "abc",
                "",
                "1.5",
                "9" * 30,
                "9" * 5000,
            )
        ),
        *(
            ({"cursor": cursor}, "cursor")
            for cursor in ("", "2", "abc", CURSOR[:-2], CURSOR + "AA", "*" * 43, "é" * 43, "A" * 41)
        ),
        ({"userId": "una"}, "userId"),
        ({"page": "2"}, "the request"),
    ],
)
def test_a_page_that_cannot_be_is_refused(
    api: Api, session: Session, query: dict[str, str], name: str
) -> None:
    una = factories.someone(session)
    factories.group(session, una)

    refused = api.as_(una.token).get("/api/locations", **query)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert refused.json["detail"].startswith(f"{name}: ")


@pytest.mark.parametrize("byte", [0, 255], ids=["first", "last"])
def test_a_made_up_cursor_opens_nothing(api: Api, session: Session, byte: int) -> None:
    una, ari, stranger = (factories.someone(session) for _ in range(3))
    group_id = factories.group(session, una)
    factories.group(session, stranger)
    long_ago = factories.now(session) - HOUR
    post(api, una, factories.plain_point(long_ago))
    post(api, stranger, factories.plain_point())
    factories.add_member(session, group_id, ari)
    own = post(api, ari, factories.plain_point(long_ago))

    found = api.as_(ari.token).get("/api/locations", cursor=to_base64(bytes([byte] * 32)))

    assert keys(found) == ([] if byte == 0 else own)


# --- Deleting


def test_my_history_goes_and_nobody_elses(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una, ari)
    post(api, una, *(factories.plain_point() for _ in range(3)))
    aris = post(api, ari, factories.plain_point())

    deleted = api.as_(una.token).delete("/api/locations")
    again = api.as_(una.token).delete("/api/locations", groupId=group_id)

    assert (deleted.status, deleted.json) == (200, {"deleted": 3})
    assert (again.status, again.json) == (200, {"deleted": 0})
    assert keys(api.as_(ari.token).get("/api/locations")) == aris


def test_a_range_of_my_history_goes_with_its_beginning_and_not_its_end(
    api: Api, session: Session
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, ari)
    start = factories.now(session).replace(microsecond=0) - HOUR
    moments = [start + timedelta(milliseconds=number) for number in range(5)]
    for who in (una, ari):
        post(api, who, *(factories.plain_point(moment) for moment in moments))
    query = {"from": moments[1].isoformat(), "to": moments[3].isoformat()}

    deleted = api.as_(una.token).delete("/api/locations", **query)

    assert deleted.json == {"deleted": 2}
    left = api.as_(ari.token).get("/api/locations").json["locations"]
    assert [
        datetime.fromisoformat(point["recordedAt"])
        for point in left
        if point["userId"] == str(una.user_id)
    ] == [moments[4], moments[3], moments[0]]
    assert sum(point["userId"] == str(ari.user_id) for point in left) == 5


@pytest.mark.parametrize("query", [{"userId": "me"}, {"limit": "1"}])
def test_only_my_own_history_can_be_asked_to_go(
    api: Api, session: Session, query: dict[str, str]
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, ari)
    aris = post(api, ari, factories.plain_point())
    query = {name: str(ari.user_id) if value == "me" else value for name, value in query.items()}

    refused = api.as_(una.token).delete("/api/locations", **query)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert keys(api.as_(una.token).get("/api/locations")) == aris


def test_what_is_deleted_stays_so_when_it_is_posted_again(api: Api, session: Session) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    point = factories.plain_point()
    post(api, una, point)
    api.as_(una.token).delete("/api/locations")

    post(api, una, point)

    assert keys(api.as_(una.token).get("/api/locations")) == []


def test_one_point_is_deleted_by_its_id_and_never_anothers(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, ari)
    first, second = post(api, una, factories.plain_point(), factories.plain_point())
    (theirs,) = post(api, ari, factories.plain_point())
    phone = api.as_(una.token)

    deleted = phone.delete("/api/locations", id=first[0])
    again = phone.delete("/api/locations", id=first[0])
    of_another = phone.delete("/api/locations", id=theirs[0])
    outside = phone.delete("/api/locations", id=second[0], to="2020-01-01T00:00:00Z")

    assert [reply.json["deleted"] for reply in (deleted, again, of_another, outside)] == [
        1,
        0,
        0,
        0,
    ]
    assert set(keys(phone.get("/api/locations"))) == {second, theirs}


def test_what_is_hidden_by_retention_goes_too(api: Api, session: Session) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    post(api, una, factories.plain_point(factories.now(session) - timedelta(days=2)))
    api.as_(una.token).patch(f"/api/groups/{group_id}", {"retentionDays": 1})

    deleted = api.as_(una.token).delete("/api/locations")

    assert deleted.json == {"deleted": 1}
