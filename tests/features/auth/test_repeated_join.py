from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import InviteCode, User
from tests import factories
from tests.api import Api, Reply

KEY = "nobody-else-knows-this-one"

Leave = Callable[[Api, Reply], Reply]


def test_a_lost_answer_is_given_again_with_a_fresh_token(
    api: Api, session: Session, code: Code
) -> None:
    lost = join(api, code)

    again = join(api, code)

    assert (lost.status, again.status) == (201, 201)
    assert again.json == lost.json | {"token": again.json["token"]}
    assert api.as_(lost.json["token"]).get("/api/auth/me").status == 401
    assert api.as_(again.json["token"]).get("/api/auth/me").json == lost.json["user"]
    assert people(session) == 2


def test_of_many_repeats_the_last_token_works(api: Api, session: Session, code: Code) -> None:
    tokens = [join(api, code).json["token"] for _ in range(5)]

    answers = [api.as_(token).get("/api/auth/me").status for token in tokens]

    assert answers == [401, 401, 401, 401, 200]
    assert people(session) == 2


def test_a_repeat_by_a_founder_founds_no_second_group(api: Api, session: Session) -> None:
    code = factories.founding_invite(session)
    lost = join(api, code, group={"name": "Hearth"})

    again = join(api, code, group={"name": "Hearth"})

    assert again.json == lost.json | {"token": again.json["token"]}
    assert len(api.as_(again.json["token"]).get("/api/groups").json["groups"]) == 1


def test_a_repeat_is_about_the_device_that_joined(api: Api, code: Code) -> None:
    ari = api.as_(join(api, code).json["token"])
    tablet = ari.post("/api/devices", {"name": "Tablet"}).json

    again = join(api, code)

    assert again.json["device"]["id"] != tablet["id"]
    assert api.as_(tablet["token"]).get("/api/auth/me").status == 200
    assert ari.get("/api/auth/me").status == 401


def test_a_repeat_spells_the_code_as_it_likes_and_changes_no_name(api: Api, code: Code) -> None:
    lost = join(api, code)

    again = join(api, Code(code.in_groups.lower()), name="Bera")

    assert again.json["user"] == lost.json["user"]


@pytest.mark.parametrize(
    ("ago", "status"),
    [
        (timedelta(minutes=15) - timedelta(microseconds=1), 201),
        (timedelta(minutes=15), 404),
        (timedelta(days=1), 404),
    ],
)
def test_a_join_can_be_repeated_for_fifteen_minutes(
    api: Api, session: Session, code: Code, ago: timedelta, status: int
) -> None:
    first = join(api, code)
    spent(session, factories.now(session) - ago)

    again = join(api, code)

    assert again.status == status
    former_token = api.as_(first.json["token"]).get("/api/auth/me").status
    assert former_token == (401 if status == 201 else 200)


def test_a_code_that_has_expired_since_can_still_be_answered_again(
    api: Api, session: Session, code: Code
) -> None:
    join(api, code)
    session.execute(update(InviteCode).values(expires_at=func.now()))
    session.commit()

    again = join(api, code)

    assert again.status == 201


@pytest.mark.parametrize(
    ("first", "second"),
    [(KEY, KEY.upper()), (KEY, None), (None, KEY), (None, None)],
    ids=["another key", "no key", "a key too late", "never a key"],
)
def test_a_join_is_repeated_by_the_holder_of_its_key_only(
    api: Api, session: Session, code: Code, first: str | None, second: str | None
) -> None:
    joined = join(api, code, key=first)

    again = join(api, code, key=second)

    assert (again.status, again.code) == (404, "invite_not_valid")
    assert api.as_(joined.json["token"]).get("/api/auth/me").status == 200
    assert people(session) == 2


def test_a_key_is_of_one_code(api: Api, session: Session, code: Code) -> None:
    other = factories.founding_invite(session)
    first = join(api, code)

    second = join(api, other, name="Bera")

    assert second.status == 201
    assert second.json["user"]["id"] != first.json["user"]["id"]


@pytest.mark.parametrize(
    "leave",
    [
        lambda ari, _: ari.post("/api/auth/logout"),
        lambda ari, joined: ari.delete(f"/api/devices/{joined.json['device']['id']}"),
        lambda ari, joined: ari.post(f"/api/groups/{joined.json['group']['id']}/leave"),
        lambda ari, _: ari.delete("/api/users/me"),
    ],
    ids=["signed out", "device revoked", "left", "account deleted"],
)
def test_whoever_has_gone_does_not_come_back_by_a_repeat(
    api: Api, code: Code, leave: Leave
) -> None:
    joined = join(api, code)
    assert leave(api.as_(joined.json["token"]), joined).status == 204

    again = join(api, code)

    assert (again.status, again.code) == (404, "invite_not_valid")


def test_whoever_was_removed_does_not_come_back_by_a_repeat(
    api: Api, session: Session, code: Code
) -> None:
    joined = join(api, code).json
    admin = api.as_(session.info["una"].token)
    removed = admin.delete(f"/api/groups/{joined['group']['id']}/members/{joined['user']['id']}")
    assert removed.status == 204

    again = join(api, code)

    assert (again.status, again.code) == (404, "invite_not_valid")


def test_whoever_has_left_does_not_come_back_for_being_in_another_group(
    api: Api, code: Code
) -> None:
    joined = join(api, code)
    ari = api.as_(joined.json["token"])
    ari.post("/api/groups", {"name": "Boat"})
    ari.post(f"/api/groups/{joined.json['group']['id']}/leave")

    again = join(api, code)

    assert (again.status, again.code) == (404, "invite_not_valid")
    assert ari.get("/api/auth/me").status == 200


@pytest.mark.parametrize("key", ["a" * 22, "A-z_0123456789-abcdefgh", "_" * 64])
def test_a_key_has_22_to_64_characters_of_base64url(api: Api, code: Code, key: str) -> None:
    first, again = join(api, code, key=key), join(api, code, key=key)

    assert (first.status, again.status) == (201, 201)


@pytest.mark.parametrize(
    "key", ["", "a" * 21, "a" * 65, "a" * 21 + "é", "a b" * 10, "a" * 22 + "\n", "\ud800" * 22]
)
def test_a_key_of_another_form_is_refused_and_spends_nothing(
    api: Api, session: Session, code: Code, key: str
) -> None:
    refused = join(api, code, key=key)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert people(session) == 1
    assert join(api, code).status == 201


@pytest.fixture
def code(session: Session) -> Code:
    """A code that leads to a group of one."""
    una = session.info["una"] = factories.someone(session)
    return factories.invite(session, group_id=factories.group(session, una), by=una)


def join(api: Api, code: Code, *, name: str = "Ari", key: str | None = KEY, **fields: Any) -> Reply:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post("/api/auth/join", {"code": code.text, "name": name, **fields}, headers=headers)


def people(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(User)) or 0


def spent(session: Session, at: Any) -> None:
    # Past the trigger that keeps a code's use where it was.
    session.execute(text("ALTER TABLE invite_codes DISABLE TRIGGER a_used_code_stays_used"))
    session.execute(update(InviteCode).values(used_at=at))
    session.execute(text("ALTER TABLE invite_codes ENABLE TRIGGER a_used_code_stays_used"))
    session.commit()
