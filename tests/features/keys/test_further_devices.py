"""Invites for me: whoever redeems one is another device of who made it, and nobody new."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.models import InviteCode, Member, User
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone, opaque
from tests.features.keys.hearth import Hearth

CODE = "RT5WLJ8BK2MNP4QX"
REPEAT = {"Idempotency-Key": "nobody-else-knows-this-one"}


def join(code: str = CODE, **fields: Any) -> Reply:
    body = {"code": code, "name": "me", "device": {"name": "Tablet", "publicKey": opaque(32)}}
    return Api().post("/api/auth/join", body | fields, headers=REPEAT)


def people(session: Session) -> tuple[int, int]:
    return (
        session.scalar(select(func.count(User.id))) or 0,
        session.scalar(select(func.count(Member.id))) or 0,
    )


def test_whoever_redeems_it_is_another_device_of_mine(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    before, proof, package = people(session), opaque(32), opaque(400)
    made = hearth.invite(una, code=CODE, keyPackage=package, keyVersion=1, forMe=True)

    joined = join(proof=proof)

    assert (made.status, joined.status) == (201, 201)
    assert joined.json["user"] == {"id": str(una.user_id), "name": "Una"}
    assert joined.json["group"]["id"] == str(hearth.group_id)
    assert joined.json["keyPackage"] == package
    assert people(session) == before
    tablet = Api(joined.json["token"])
    assert tablet.get("/api/auth/me").json == {"id": str(una.user_id), "name": "Una"}
    phone, other = sorted(
        tablet.get("/api/devices").json["devices"], key=lambda device: device["isThisOne"]
    )
    assert (phone["id"], other["id"]) == (str(una.device_id), joined.json["device"]["id"])
    assert other["name"] == "Tablet"
    (shared,) = Api(una.token).get(f"/api/users/{una.user_id}").json["groups"]
    proofs = {device["id"]: device.get("joinProof") for device in shared["devices"]}
    assert proofs == {str(una.device_id): None, joined.json["device"]["id"]: proof}


def test_without_a_package_the_new_device_waits(hearth: Hearth, una: Someone) -> None:
    hearth.invite(una, code=CODE, forMe=True)

    joined = join().json

    assert "keyPackage" not in joined
    assert [device["deviceId"] for device in hearth.pending(una)] == [joined["device"]["id"]]


def test_the_new_device_waits_in_my_other_groups(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    boat = Hearth(factories.group(session, una, key_version=1))
    hearth.invite(una, code=CODE, keyPackage=opaque(400), keyVersion=1, forMe=True)

    joined = join().json

    tablet = Someone(una.user_id, UUID(joined["device"]["id"]), joined["token"])
    assert (hearth.is_confirmed(tablet), boat.is_confirmed(tablet)) == (True, False)


@pytest.mark.parametrize("hours", [0.5, 1, 2, None])
def test_a_code_that_signs_in_as_me_is_never_short(
    hearth: Hearth, una: Someone, hours: float | None
) -> None:
    made = hearth.invite(una, forMe=True, expiresInHours=hours)

    assert (made.status, len(made.json["code"])) == (201, 16)


def test_the_list_says_which_are_for_a_device_of_their_maker(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    mine = hearth.invite(una, forMe=True).json["id"]
    others = hearth.invite(ari).json["id"]

    listed = Api(una.token).get("/api/invites").json["invites"]

    assert {invite["id"]: invite["forMe"] for invite in listed} == {mine: True, others: False}


def test_nobody_who_is_signed_in_joins_by_it(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    hearth.invite(una, code=CODE, forMe=True)
    stranger = factories.with_key(session)

    refused = [
        Api(who.token).post("/api/groups/join", {"code": CODE}) for who in (una, ari, stranger)
    ]

    assert [(answer.status, answer.code) for answer in refused] == [(404, "invite_not_valid")] * 3
    assert join().status == 201


def test_it_admits_one_device(hearth: Hearth, una: Someone) -> None:
    hearth.invite(una, code=CODE, forMe=True)
    body = {"code": CODE, "name": "me"}

    answers = [Api().post("/api/auth/join", body) for _ in range(2)]

    assert [answer.status for answer in answers] == [201, 404]
    assert len(Api(una.token).get("/api/devices").json["devices"]) == 2


def test_a_lost_answer_is_given_again_for_the_same_device(hearth: Hearth, una: Someone) -> None:
    hearth.invite(una, code=CODE, keyPackage=opaque(400), keyVersion=1, forMe=True)
    lost = join()

    again = join()

    assert again.json == {
        name: value for name, value in lost.json.items() if not name.startswith("key")
    } | {"token": again.json["token"]}
    assert Api(lost.json["token"]).get("/api/auth/me").status == 401
    assert Api(again.json["token"]).get("/api/auth/me").json["id"] == str(una.user_id)
    assert Api(una.token).get("/api/auth/me").status == 200
    assert len(Api(una.token).get("/api/devices").json["devices"]) == 2


def test_a_device_that_was_revoked_does_not_come_back_by_a_repeat(
    hearth: Hearth, una: Someone
) -> None:
    hearth.invite(una, code=CODE, forMe=True)
    device = join().json["device"]["id"]
    assert Api(una.token).delete(f"/api/devices/{device}").status == 204

    again = join()

    assert (again.status, again.code) == (404, "invite_not_valid")


@pytest.mark.parametrize("change", ["left", "removed", "account deleted"])
def test_it_admits_nobody_once_its_maker_is_not_in_the_group(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, change: str
) -> None:
    factories.group(session, ari)
    hearth.invite(ari, code=CODE, forMe=True)

    gone = {
        "left": lambda: hearth.leave(ari),
        "removed": lambda: hearth.remove(una, ari),
        "account deleted": lambda: Api(ari.token).delete("/api/users/me"),
    }[change]()

    assert gone.status == 204
    assert join().code == "invite_not_valid"


def test_a_revoked_device_that_knew_keys_left_no_way_back_in(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    tablet = factories.further_device(session, una)
    factories.confirm(session, hearth.group_id, tablet, 1)
    hearth.invite(tablet, code=CODE, forMe=True)

    assert Api(una.token).delete(f"/api/devices/{tablet.device_id}").status == 204

    assert join().code == "invite_not_valid"


@pytest.mark.parametrize("for_me", [True, False], ids=["as its person", "as a newcomer"])
def test_a_revoked_device_without_a_key_left_no_way_back_in(
    keyless: Hearth, session: Session, una: Someone, *, for_me: bool
) -> None:
    bare = factories.further_device(session, una, public_key=None)
    assert keyless.invite(bare, code=CODE, forMe=for_me).status == 201

    assert Api(una.token).delete(f"/api/devices/{bare.device_id}").status == 204

    assert join().code == "invite_not_valid"


def test_it_founds_no_group(hearth: Hearth, session: Session, una: Someone) -> None:
    hearth.invite(una, code=CODE, forMe=True)

    refused = join(group={"name": "Boat"})

    assert (refused.status, refused.code) == (422, "group_not_founded")
    assert session.scalars(select(InviteCode.used_at)).all() == [None]
    assert join().status == 201
