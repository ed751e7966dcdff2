"""A device that nobody has let in yet: what it may not do, what it may, and who sees it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from chalicelib.models import Group, InviteCode, Location
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api
from tests.factories import Someone, new_key, opaque
from tests.features.keys.hearth import Hearth


@pytest.mark.parametrize("encryption", ["optional", "required"])
def test_a_pending_device_neither_posts_nor_reads_nor_lets_anybody_in(
    hearth: Hearth, session: Session, una: Someone, bera: Someone, encryption: str
) -> None:
    assert hearth.post_sealed(una).status == 200
    session.execute(update(Group).values(encryption=encryption))
    session.commit()
    pending, group = Api(bera.token), str(hearth.group_id)

    answers = [
        hearth.post_sealed(bera),
        pending.get("/api/locations", groupId=group),
        pending.get("/api/locations/latest", groupId=group),
        pending.get("/api/locations"),
        pending.get("/api/locations/latest"),
        pending.get(f"/api/groups/{group}/keys/pending"),
        hearth.invite(bera),
        hearth.invite(bera, forMe=True),
    ]
    if encryption == "optional":
        answers.append(hearth.post(bera, factories.plain_point()))

    assert {(answer.status, answer.code) for answer in answers} == {(403, "not_confirmed")}
    assert session.scalar(select(func.count(Location.id))) == 1
    assert session.scalar(select(func.count(InviteCode.id))) == 0


def test_what_a_pending_device_sees_of_a_group_is_this_and_no_more(
    hearth: Hearth, session: Session, una: Someone, bera: Someone
) -> None:
    group = str(hearth.group_id)
    hearth.invite(una)
    factories.phone(session, hearth.group_id, una)
    factories.invite(
        session,
        group_id=hearth.group_id,
        by=una,
        used_at=func.now(),
        used_by=una.user_id,
        used_by_device_id=una.device_id,
        join_proof=bytes(32),
    )
    card = {"keyVersion": 1, "sealed": opaque(100)}
    assert Api(una.token).put(f"/api/groups/{group}/card", card).status == 204
    pending = Api(bera.token)

    (shown,) = pending.get("/api/groups", form="2").json["groups"]
    keys = pending.get(f"/api/groups/{group}/keys", form="2").json
    people = pending.get("/api/users", groupId=group, form="2").json["users"]

    assert shown.keys() == {
        *("id", "name", "encryption", "keyVersion", "rotationRequired", "retentionDays"),
        *("confirmed", "role", "joinedAt", "sharing", "browsers"),
    }
    assert keys["envelopes"] == []
    assert {name for version in keys["versions"] for name in version} == {
        *("keyVersion", "commitment"),
    }
    assert {person["name"] for person in people} == {"Una", "Ari", "Bera"}
    of_una = next(person for person in people if person["name"] == "Una")
    assert of_una.keys() == {"id", "name", "groups"}
    (in_hearth,) = of_una["groups"]
    assert in_hearth.keys() == {"groupId", "role", "joinedAt", "devices", "phones"}
    (device,) = in_hearth["devices"]
    assert device.keys() == {"id", "publicKey", "confirmed", "joinProof", "kind", "card"}
    (phone,) = in_hearth["phones"]
    assert phone.keys() == {"id", "tid", "needsSetup"}
    assert pending.get("/api/invites").json == {"invites": []}
    assert pending.get(f"/api/groups/{group}/keys/pending").code == "not_confirmed"


def test_in_a_batch_a_pending_devices_points_are_refused_one_by_one(
    hearth: Hearth, session: Session, bera: Someone
) -> None:
    boat = factories.group(session, bera)
    there, here = (
        factories.plain_point(groupId=str(group_id)) for group_id in (boat, hearth.group_id)
    )

    posted = Api(bera.token).post("/api/locations", {"locations": [here, there]})

    assert posted.json["results"] == [
        {"id": here["id"], "status": "rejected", "code": "not_confirmed"},
        {"id": there["id"], "status": "stored"},
    ]


def test_a_pending_device_learns_of_a_rotation_before_it_learns_that_it_was_left_out(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    assert hearth.rotate(una, new_key(1, una)).status == 201

    former, present = hearth.post_sealed(ari, 1), hearth.post_sealed(ari, 2)

    assert (former.status, former.code) == (409, "key_version_conflict")
    assert (present.status, present.code) == (403, "not_confirmed")


def test_what_was_stored_before_stays_stored_for_one_who_is_pending_now(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    point = factories.sealed_point(keyVersion=1)
    first = hearth.post(ari, point)
    assert hearth.rotate(una, new_key(1, una)).status == 201

    again = hearth.post(ari, point)

    assert (first.status, again.status) == (200, 200)
    assert again.json == first.json


def test_a_pending_device_reads_and_ends_what_is_its_own(
    hearth: Hearth, session: Session, ari: Someone
) -> None:
    assert hearth.post(ari, factories.plain_point()).status == 200
    tablet = factories.further_device(session, ari)
    pending, group = Api(tablet.token), f"/api/groups/{hearth.group_id}"

    answers = [
        pending.get(f"{group}/keys"),
        pending.get("/api/users"),
        pending.get("/api/devices"),
        pending.get("/api/invites"),
        pending.get("/api/export"),
        pending.put(f"{group}/sharing", {"paused": True}),
        pending.delete("/api/locations"),
        pending.post(f"{group}/leave"),
    ]

    assert [answer.status for answer in answers] == [200] * 5 + [204, 200, 204]
    assert answers[0].json["confirmed"] is False
    assert session.scalar(select(func.count(Location.id))) == 0


def test_in_a_group_without_a_key_every_members_device_may_act(
    keyless: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    bare = factories.further_device(session, ari, public_key=None)
    group = str(keyless.group_id)

    answers = [
        keyless.post(bare, factories.plain_point()),
        keyless.invite(bare),
        Api(bare.token).get("/api/locations", groupId=group),
        Api(bare.token).get("/api/locations/latest", groupId=group),
    ]

    assert [answer.status for answer in answers] == [200, 201, 200, 200]
    assert keyless.is_confirmed(bare)
    assert keyless.pending(una) == []


def test_who_waits_is_listed_with_what_others_need_to_let_them_in(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    tablet = factories.further_device(session, ari)
    by_package = factories.further_device(session, ari)
    factories.admit(session, hearth.group_id, by_package, 1)
    factories.further_device(session, ari, public_key=None)
    factories.further_device(session, ari, revoked_at=func.now())
    factories.further_device(session, ari, last_used_on=func.current_date() - 365)
    stranger = factories.with_key(session)
    factories.add_member(session, factories.group(session, stranger, key_version=1), una)

    listed = hearth.pending(una)

    waiting = sorted([bera, tablet, by_package], key=lambda device: device.device_id)
    assert listed == [
        {
            "deviceId": str(device.device_id),
            "userId": str(device.user_id),
            "name": "Bera" if device is bera else "Ari",
            "publicKey": to_base64(device.public_key or b""),
        }
        for device in waiting
    ]
    assert hearth.pending(by_package) == listed


def test_a_proof_is_shown_to_the_group_that_it_was_made_for(
    api: Api, hearth: Hearth, session: Session, una: Someone
) -> None:
    proof = opaque(32)
    code = factories.invite(session, group_id=hearth.group_id, by=una)
    device = {"publicKey": opaque(32)}
    joined = api.post(
        "/api/auth/join", {"code": code.text, "name": "Bera", "device": device, "proof": proof}
    ).json
    boat = factories.group(session, una, key_version=1)
    in_the_boat = factories.invite(session, group_id=boat, by=una)
    bera = api.as_(joined["token"])
    assert bera.post("/api/groups/join", {"code": in_the_boat.text}).status == 200

    seen = devices_of(una, joined["user"]["id"])

    shown = {"id": joined["device"]["id"], "publicKey": device["publicKey"], "confirmed": False}
    assert seen == {str(hearth.group_id): [shown | {"joinProof": proof}], str(boat): [shown]}
    waiting = {"deviceId": shown["id"], "userId": joined["user"]["id"], "name": "Bera"}
    waiting["publicKey"] = device["publicKey"]
    assert hearth.pending(una) == [waiting | {"joinProof": proof}]
    assert Hearth(boat).pending(una) == [waiting]


def test_a_proof_is_shown_while_the_membership_of_that_joining_lasts(
    api: Api, hearth: Hearth, session: Session, una: Someone
) -> None:
    bera = factories.with_key(session)
    factories.group(session, bera)
    proofs = [opaque(32), opaque(32)]
    seen = []
    for proof in (proofs[0], None, proofs[1]):
        code = factories.invite(session, group_id=hearth.group_id, by=una)
        body = {"code": code.text} if proof is None else {"code": code.text, "proof": proof}
        assert api.as_(bera.token).post("/api/groups/join", body).status == 200
        ((_, (device,)),) = devices_of(una, str(bera.user_id)).items()
        seen.append(device.get("joinProof"))
        assert hearth.pending(una)[0].get("joinProof") == seen[-1]
        assert hearth.leave(bera).status == 204
        an_hour_passes(session)

    assert seen == [proofs[0], None, proofs[1]]


def test_a_device_is_shown_as_what_it_is_in_each_group(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    tablet = factories.further_device(session, ari)
    factories.admit(session, hearth.group_id, tablet, 1)
    attic, boat = factories.group(session, una, ari), factories.group(session, una, key_version=2)
    factories.add_member(session, boat, ari)
    factories.confirm(session, boat, ari, 1)  # which is not the present one

    seen = devices_of(una, str(ari.user_id))

    confirmed = {
        UUID(group_id): {UUID(device["id"]): device["confirmed"] for device in devices}
        for group_id, devices in seen.items()
    }
    assert confirmed == {
        hearth.group_id: {ari.device_id: True, tablet.device_id: True},
        attic: {ari.device_id: True, tablet.device_id: True},
        boat: {ari.device_id: False, tablet.device_id: False},
    }


def test_ones_devices_are_listed_with_their_public_keys(session: Session, api: Api) -> None:
    una = factories.with_key(session)
    bare = factories.further_device(session, una, public_key=None)

    listed = api.as_(una.token).get("/api/devices").json["devices"]

    assert {device["id"]: device.get("publicKey") for device in listed} == {
        str(una.device_id): to_base64(una.public_key or b""),
        str(bare.device_id): None,
    }


def devices_of(by: Someone, user_id: str) -> dict[str, list[dict[str, Any]]]:
    """What somebody is shown of a person's devices, by group; in the list and by id alike."""
    person = Api(by.token).get(f"/api/users/{user_id}").json
    assert person in Api(by.token).get("/api/users").json["users"]
    return {group["groupId"]: group["devices"] for group in person["groups"]}


def an_hour_passes(session: Session) -> None:
    """Set back the uses of all codes, past the trigger that keeps them where they were."""
    session.execute(text("ALTER TABLE invite_codes DISABLE TRIGGER a_used_code_stays_used"))
    earlier = InviteCode.used_at - timedelta(hours=1)
    session.execute(update(InviteCode).values(used_at=earlier))
    session.execute(text("ALTER TABLE invite_codes ENABLE TRIGGER a_used_code_stays_used"))
    session.commit()
