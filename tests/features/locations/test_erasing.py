"""What is erased stays erased, also where a device repeats it because an answer was lost."""

import base64
import json
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from chalicelib.locations import service
from chalicelib.models import ErasedPoint, Location, Member
from tests import factories
from tests.api import Api
from tests.factories import Someone
from tests.owntracks import Ios, basic

Json = dict[str, Any]


@pytest.fixture
def una(session: Session) -> Someone:
    return factories.someone(session, name="Una")


@pytest.fixture
def hearth(session: Session, una: Someone) -> UUID:
    return factories.group(session, una, key_version=3)


def stored(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Location)) or 0


def message(kind: str, **more: Any) -> Json:
    """Return what a phone posts, in the clear or sealed as iOS repeats it."""
    if kind == "sealed":
        data = base64.b64encode(secrets.token_bytes(80)).decode()
        return {"_type": "encrypted", "data": data}
    return {"_type": "location", "lat": 64.1, "lon": -21.9, "acc": 12, "tid": "un", **more}


@pytest.mark.parametrize("kind", ["sealed", "in the clear"])
def test_a_phone_that_repeats_what_was_erased_does_not_bring_it_back(
    api: Api, session: Session, una: Someone, hearth: UUID, kind: str
) -> None:
    phone = factories.phone(session, hearth, una, key_version=3)
    said = message(kind, tst=int(factories.now(session).timestamp()) - 60)
    headers = Ios.headers | basic(phone.device_id, phone.token)

    def post(what: Json) -> tuple[int, Any]:
        answer = api.call("POST", "/owntracks", raw=json.dumps(what).encode(), headers=headers)
        return answer.status, stored(session)

    assert post(said) == (200, 1)
    assert api.as_(una.token).delete("/api/locations").json == {"deleted": 1}
    assert [post(said), post(said)] == [(200, 0)] * 2
    assert post(message(kind, tst=int(factories.now(session).timestamp()))) == (200, 1)


@pytest.mark.parametrize("is_batch", [False, True])
def test_an_app_that_repeats_what_was_erased_is_answered_as_before(
    api: Api, session: Session, una: Someone, hearth: UUID, *, is_batch: bool
) -> None:
    points = [factories.sealed_point(), factories.plain_point()]
    body: Json = {"locations": points} if is_batch else points[0]
    mine = api.as_(una.token)
    first = mine.post("/api/locations", body)
    mine.delete("/api/locations", groupId=hearth)

    again = mine.post("/api/locations", body)
    session.execute(update(Member).values(sharing_paused=True))
    session.commit()
    in_a_pause = mine.post("/api/locations", body)

    assert first.json == again.json == in_a_pause.json
    assert stored(session) == 0


def test_what_was_not_erased_can_be_shared_in_its_place(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    mine = api.as_(una.token)
    at = factories.now(session) - timedelta(hours=1)
    mine.post("/api/locations", factories.plain_point(at))
    mine.delete("/api/locations", groupId=hearth)

    mine.post("/api/locations", factories.plain_point(at))

    assert stored(session) == 1


@pytest.mark.usefixtures("hearth")
def test_only_what_was_erased_is_refused(api: Api, session: Session, una: Someone) -> None:
    mine = api.as_(una.token)
    now = factories.now(session)
    old, new = factories.plain_point(now - timedelta(hours=2)), factories.plain_point(now)
    mine.post("/api/locations", {"locations": [old, new]})

    mine.delete("/api/locations", to=(now - timedelta(hours=1)).isoformat())
    mine.post("/api/locations", {"locations": [old, new]})

    assert [str(id_) for id_ in session.scalars(select(Location.id))] == [new["id"]]


def test_what_is_remembered_says_nothing_and_is_forgotten(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    mine = api.as_(una.token)
    point = factories.plain_point()
    mine.post("/api/locations", point)
    mine.delete("/api/locations", groupId=hearth)

    told = factories.everything(session)
    assert point["id"] not in told
    assert UUID(point["id"]).hex not in told
    assert service.forget_erased(session) == 0
    session.execute(
        update(ErasedPoint).values(erased_at=ErasedPoint.erased_at - timedelta(days=31))
    )
    assert service.forget_erased(session) == 1


def test_another_members_point_of_the_same_id_is_taken(
    api: Api, session: Session, una: Someone
) -> None:
    ari = factories.someone(session)
    hearth = factories.group(session, una, ari)
    point = factories.plain_point(groupId=str(hearth))
    api.as_(una.token).post("/api/locations", point)
    api.as_(una.token).delete("/api/locations", groupId=hearth)

    api.as_(ari.token).post("/api/locations", point)

    assert session.scalars(select(Location.user_id)).all() == [ari.user_id]
