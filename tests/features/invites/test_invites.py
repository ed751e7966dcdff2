import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.invites.codes import ALPHABET
from chalicelib.models import InviteCode
from tests import factories
from tests.api import Api
from tests.database import PEPPER
from tests.factories import Someone

HOUR = timedelta(hours=1)


def test_an_invite_is_answered_with_the_only_copy_of_its_code(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    made = api.as_(una.token).post("/api/invites", {})

    assert made.status == 201
    assert made.json.keys() == {"id", "groupId", "code", "expiresAt"}
    assert made.json["groupId"] == str(hearth)
    assert set(made.json["code"]) <= set(ALPHABET)
    assert moment(made.json["expiresAt"]) == factories.now(session) + HOUR
    assert api.post("/api/auth/join", {"code": made.json["code"], "name": "Ari"}).status == 201


@pytest.mark.parametrize(
    ("hours", "characters"), [(0.01, 8), (1, 8), (1.001, 16), (24, 16), (87600, 16)]
)
def test_a_code_that_lives_longer_is_longer(
    api: Api, session: Session, una: Someone, hours: float, characters: int
) -> None:
    made = api.as_(una.token).post("/api/invites", {"expiresInHours": hours})

    assert len(made.json["code"]) == characters
    assert moment(made.json["expiresAt"]) == factories.now(session) + hours * HOUR


def test_null_means_for_ever_and_absent_does_not(api: Api, una: Someone) -> None:
    for_ever = api.as_(una.token).post("/api/invites", {"expiresInHours": None})
    absent = api.as_(una.token).post("/api/invites", {})

    assert for_ever.json["expiresAt"] is None
    assert len(for_ever.json["code"]) == 16
    assert absent.json["expiresAt"] is not None


@pytest.mark.parametrize(
    "hours",
    [
        *("1", "", "null", True, False, [], [1], {}),
        *(0, 0.0, -0.0, -1, -1e-300, 1e-300, 1e-10),
        *(87600.1, 1e9, 1e300, 10**400),
    ],
    ids=repr,
)
def test_a_life_that_makes_no_sense_is_refused_and_never_for_ever(
    api: Api, session: Session, una: Someone, hours: Any
) -> None:
    refused = api.as_(una.token).post("/api/invites", {"expiresInHours": hours})

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert invites(session) == 0


@pytest.mark.parametrize("hours", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_a_life_that_is_no_number_of_json_is_refused(
    api: Api, session: Session, una: Someone, hours: str
) -> None:
    refused = api.as_(una.token).post(
        "/api/invites",
        raw=f'{{"expiresInHours": {hours}}}'.encode(),
        headers={"Content-Type": "application/json"},
    )

    assert (refused.status, refused.code) == (400, "malformed_body")
    assert invites(session) == 0


def test_of_a_code_only_a_keyed_hash_is_stored(api: Api, session: Session, una: Someone) -> None:
    codes = [
        api.as_(una.token).post("/api/invites", {"expiresInHours": hours}).json["code"]
        for hours in (1, None)
    ]

    stored = factories.everything(session)

    for code in codes:
        keyed = hmac.digest(PEPPER.encode(), b"draugar/invite code\0" + code.encode(), "sha256")
        assert keyed.hex() in stored
        assert code not in stored
        assert hashlib.sha256(code.encode()).hexdigest() not in stored


def test_whoever_is_in_several_groups_names_the_one_they_mean(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    other = factories.group(session, una)

    unnamed = api.as_(una.token).post("/api/invites", {})
    named = api.as_(una.token).post("/api/invites", {"groupId": str(other)})

    assert (unnamed.status, unnamed.code) == (422, "group_required")
    assert str(hearth) in unnamed.json["detail"]
    assert (named.status, named.json["groupId"]) == (201, str(other))


def test_only_members_invite(api: Api, session: Session, hearth: UUID) -> None:
    stranger = api.as_(factories.someone(session).token)

    named = stranger.post("/api/invites", {"groupId": str(hearth)})
    unknown = stranger.post("/api/invites", {"groupId": str(uuid4())})
    unnamed = stranger.post("/api/invites", {})

    assert (named.status, named.code) == (404, "group_not_found")
    assert {**unknown.json, "requestId": ""} == {**named.json, "requestId": ""}
    assert (unnamed.status, unnamed.code) == (422, "group_required")
    assert invites(session) == 0


def test_a_list_shows_all_of_an_invite_but_its_code(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    made = api.as_(una.token).post("/api/invites", {}).json

    (listed,) = api.as_(una.token).get("/api/invites").json["invites"]

    assert listed == {
        "id": made["id"],
        "groupId": str(hearth),
        "createdBy": str(una.user_id),
        "createdAt": listed["createdAt"],
        "expiresAt": made["expiresAt"],
        "forMe": False,
    }
    assert moment(listed["createdAt"]) == factories.now(session)


def test_a_list_shows_what_became_of_invites_newest_first(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    now = factories.now(session)
    used = factories.invite(session, group_id=hearth, by=una)
    ari = api.post("/api/auth/join", {"code": used.text, "name": "Ari"}).json["user"]
    factories.invite(session, group_id=hearth, by=una, revoked_at=now)
    factories.invite(session, group_id=hearth, by=una, expires_at=now - HOUR)
    factories.invite(session, group_id=hearth, by=una, expires_at=None)

    listed = api.as_(una.token).get("/api/invites").json["invites"]

    for_ever, expired, revoked, spent = listed
    assert for_ever["expiresAt"] is None
    assert moment(expired["expiresAt"]) == now - HOUR
    assert moment(revoked["revokedAt"]) == now
    assert (spent["usedBy"], moment(spent["usedAt"])) == (ari["id"], now)
    assert all("usedAt" not in invite for invite in (for_ever, expired, revoked))


def test_members_see_their_own_invites_and_admins_all_of_their_groups(
    api: Api, session: Session, una: Someone, ari: Someone, hearth: UUID
) -> None:
    stranger = factories.someone(session)
    elsewhere = factories.group(session, stranger, ari)
    by_una, by_ari = invited(api, una, hearth), invited(api, ari, hearth)
    by_stranger = invited(api, stranger, elsewhere)

    seen = {
        who.user_id: {
            invite["id"] for invite in api.as_(who.token).get("/api/invites").json["invites"]
        }
        for who in (una, ari, stranger)
    }

    assert seen == {
        una.user_id: {by_una, by_ari},
        ari.user_id: {by_ari},
        stranger.user_id: {by_stranger},
    }


def test_whoever_has_left_sees_none_of_the_groups_invites(
    api: Api, una: Someone, ari: Someone, hearth: UUID
) -> None:
    invited(api, ari, hearth)
    api.as_(ari.token).post(f"/api/groups/{hearth}/leave")

    listed = api.as_(ari.token).get("/api/invites")

    assert listed.json == {"invites": []}
    assert len(api.as_(una.token).get("/api/invites").json["invites"]) == 1


@pytest.mark.parametrize(("by", "revoker"), [("ari", "ari"), ("ari", "una"), ("una", "una")])
def test_its_maker_and_any_admin_revoke_an_invite(
    api: Api, session: Session, family: dict[str, Someone], by: str, revoker: str
) -> None:
    made = api.as_(family[by].token).post("/api/invites", {}).json

    revoked = api.as_(family[revoker].token).delete(f"/api/invites/{made['id']}")

    assert (revoked.status, revoked.text) == (204, "")
    assert api.post("/api/invites/validate", {"code": made["code"]}).json == {"valid": False}
    assert session.scalar(select(InviteCode.revoked_at)) == factories.now(session)


@pytest.mark.parametrize("revoker", ["member", "stranger", "admin elsewhere"])
def test_nobody_else_revokes_an_invite_or_learns_that_there_is_one(
    api: Api, session: Session, una: Someone, ari: Someone, revoker: str
) -> None:
    made = api.as_(una.token).post("/api/invites", {}).json["id"]
    who = ari if revoker == "member" else factories.someone(session)
    if revoker == "admin elsewhere":
        factories.group(session, who)

    refused = api.as_(who.token).delete(f"/api/invites/{made}")
    unknown = api.as_(who.token).delete(f"/api/invites/{uuid4()}")

    assert (refused.status, refused.code) == (404, "invite_not_found")
    assert {**unknown.json, "requestId": ""} == {**refused.json, "requestId": ""}
    assert session.scalar(select(InviteCode.revoked_at)) is None


def test_whoever_has_left_revokes_no_invite_any_more(api: Api, ari: Someone, hearth: UUID) -> None:
    made = invited(api, ari, hearth)
    api.as_(ari.token).post(f"/api/groups/{hearth}/leave")

    refused = api.as_(ari.token).delete(f"/api/invites/{made}")

    assert (refused.status, refused.code) == (404, "invite_not_found")


def test_a_used_invite_is_not_revoked(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    code = factories.invite(session, group_id=hearth, by=una)
    joined = api.post("/api/auth/join", {"code": code.text, "name": "Ari"}).json
    used = session.scalars(select(InviteCode.id)).one()

    refused = api.as_(una.token).delete(f"/api/invites/{used}")

    assert (refused.status, refused.code) == (409, "invite_used")
    assert session.scalar(select(InviteCode.revoked_at)) is None
    assert api.as_(joined["token"]).get("/api/auth/me").status == 200


def test_revoking_twice_keeps_the_time_of_the_first(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    earlier = factories.now(session) - HOUR
    factories.invite(session, group_id=hearth, by=una, revoked_at=earlier)
    revoked = session.scalars(select(InviteCode.id)).one()

    again = api.as_(una.token).delete(f"/api/invites/{revoked}")

    assert again.status == 204
    assert session.scalar(select(InviteCode.revoked_at)) == earlier


@pytest.fixture
def una(session: Session) -> Someone:
    """The admin."""
    return factories.someone(session, name="Una")


@pytest.fixture
def ari(session: Session, hearth: UUID) -> Someone:
    """A member."""
    ari = factories.someone(session, name="Ari")
    factories.add_member(session, hearth, ari)
    return ari


@pytest.fixture
def family(una: Someone, ari: Someone) -> dict[str, Someone]:
    """Both, by name."""
    return {"una": una, "ari": ari}


@pytest.fixture(autouse=True)
def hearth(session: Session, una: Someone) -> UUID:
    """Una's group."""
    return factories.group(session, una)


def invited(api: Api, who: Someone, group_id: UUID) -> str:
    made = api.as_(who.token).post("/api/invites", {"groupId": str(group_id)})
    return str(made.json["id"])


def invites(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(InviteCode)) or 0


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
