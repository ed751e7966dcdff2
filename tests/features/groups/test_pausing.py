from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from chalicelib.models import Member
from tests import factories
from tests.api import Api

TICK = timedelta(microseconds=1)


def sharing(api: Api, group_id: UUID) -> Any:
    groups = {group["id"]: group for group in api.get("/api/groups").json["groups"]}
    return groups[str(group_id)]["sharing"]


def post(api: Api, group_id: UUID) -> str:
    """Post a point; return what became of it."""
    reply = api.post("/api/locations", factories.plain_point(groupId=str(group_id)))
    return "stored" if reply.status == 200 else reply.code


def everything(api: Api) -> list[tuple[int, str, str | None]]:
    """Return all that somebody can read, to the byte."""
    me = api.get("/api/auth/me").json["id"]
    paths = ["auth/me", "groups", "users", "devices", "invites", "locations", "locations/latest"]
    people = [person["id"] for person in api.get("/api/users").json["users"]]
    assert len(people) == 2
    assert me in people
    replies = [api.get(f"/api/{path}") for path in [*paths, "export"]]
    replies += [api.get(f"/api/users/{person}") for person in people]
    replies += [api.get("/api/locations", userId=person) for person in people]
    return [(reply.status, reply.text, reply.headers.get("ETag")) for reply in replies]


def test_a_pause_refuses_points_of_that_person_in_that_group_until_it_ends(
    api: Api, session: Session
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una, ari)
    other = factories.group(session, una, ari)
    phone = api.as_(una.token)

    paused = phone.put(f"/api/groups/{group_id}/sharing", {"paused": True})
    shown = sharing(phone, group_id)
    outcomes = (post(phone, group_id), post(phone, other), post(api.as_(ari.token), group_id))
    resumed = phone.put(f"/api/groups/{group_id}/sharing", {"paused": False})

    assert (paused.status, resumed.status) == (204, 204)
    assert shown == {"paused": True}
    assert outcomes == ("sharing_paused", "stored", "stored")
    assert sharing(phone, group_id) == {"paused": False}
    assert post(phone, group_id) == "stored"


@pytest.mark.parametrize("watching", ["admin", "member"])
def test_a_pause_is_visible_to_that_person_alone(api: Api, session: Session, watching: str) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    pausing, watcher = (ari, una) if watching == "admin" else (una, ari)
    group_id = factories.group(session, una, ari)
    post(api.as_(pausing.token), group_id)
    before = everything(api.as_(watcher.token))

    api.as_(pausing.token).put(
        f"/api/groups/{group_id}/sharing",
        {"paused": True, "until": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
    )

    assert sharing(api.as_(pausing.token), group_id)["paused"]
    assert everything(api.as_(watcher.token)) == before


def test_a_pause_until_a_time_shows_when_it_ends(api: Api, session: Session) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)
    until = factories.now(session) + TICK

    paused = phone.put(
        f"/api/groups/{group_id}/sharing", {"paused": True, "until": until.isoformat()}
    )

    assert paused.status == 204
    assert sharing(phone, group_id)["paused"] is True
    assert datetime.fromisoformat(sharing(phone, group_id)["resumesAt"]) == until
    assert post(phone, group_id) == "sharing_paused"


@pytest.mark.parametrize(
    ("until", "outcome"), [(TICK, "sharing_paused"), (timedelta(), "stored"), (-TICK, "stored")]
)
def test_a_pause_ends_by_itself_at_its_very_instant(
    api: Api, session: Session, until: timedelta, outcome: str
) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)
    # Time stands still here, so the end of the pause comes to it.
    session.execute(
        update(Member)
        .where(Member.user_id == una.user_id)
        .values(sharing_paused=True, sharing_resumes_at=factories.now(session) + until)
    )
    session.commit()

    posted = post(phone, group_id)

    assert posted == outcome
    if outcome == "stored":
        assert sharing(phone, group_id) == {"paused": False}
    else:
        assert sharing(phone, group_id).keys() == {"paused", "resumesAt"}


@pytest.mark.parametrize("until", [timedelta(), -TICK, timedelta(days=-400_000)])
def test_a_pause_cannot_end_before_it_begins(api: Api, session: Session, until: timedelta) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)
    past = (factories.now(session) + until).isoformat()

    refused = phone.put(f"/api/groups/{group_id}/sharing", {"paused": True, "until": past})

    assert (refused.status, refused.code) == (422, "resumes_in_the_past")
    assert sharing(phone, group_id) == {"paused": False}


def test_only_a_pause_has_an_end(api: Api, session: Session) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)
    phone.put(f"/api/groups/{group_id}/sharing", {"paused": True})
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    refused = phone.put(f"/api/groups/{group_id}/sharing", {"paused": False, "until": until})

    assert (refused.status, refused.code) == (422, "resumes_in_the_past")
    assert sharing(phone, group_id) == {"paused": True}


@pytest.mark.parametrize("then", [{"paused": True}, {"paused": False}])
def test_the_newest_wish_replaces_the_former_whole(
    api: Api, session: Session, then: dict[str, Any]
) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    phone.put(f"/api/groups/{group_id}/sharing", {"paused": True, "until": until})

    phone.put(f"/api/groups/{group_id}/sharing", then)

    assert sharing(phone, group_id) == then


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"until": "2999-01-01T00:00:00Z"},
        {"paused": None},
        {"paused": "true"},
        {"paused": 1},
        {"paused": True, "until": "2999-01-01T00:00:00"},
        {"paused": True, "until": "2999-01-01"},
        {"paused": True, "until": "tomorrow"},
        {"paused": True, "until": 32503680000},
        {"paused": True, "until": "9999-12-31T23:59:59-14:00"},
        {"paused": True, "until": "0001-01-01T00:00:00+14:00"},
        {"paused": True, "userId": "00000000-0000-7000-8000-000000000000"},
    ],
)
def test_a_pause_is_said_plainly(api: Api, session: Session, body: dict[str, Any]) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)

    refused = phone.put(f"/api/groups/{group_id}/sharing", body)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert sharing(phone, group_id) == {"paused": False}


@pytest.mark.parametrize(
    "until", ["9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59+14:00", "2999-01-01t00:00:00z"]
)
def test_a_pause_may_end_at_any_time_to_come(api: Api, session: Session, until: str) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)

    paused = phone.put(f"/api/groups/{group_id}/sharing", {"paused": True, "until": until})

    assert paused.status == 204
    assert post(phone, group_id) == "sharing_paused"
    assert sharing(phone, group_id)["paused"] is True
    assert phone.get("/api/export").status == 200
