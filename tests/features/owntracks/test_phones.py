"""Phones with OwnTracks: added, set up again and revoked by their own person's devices."""

import json
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import hash_token
from chalicelib.devices import service as devices
from chalicelib.models import DepartedTid, Device, Group, OwntracksTransition
from chalicelib.owntracks import service
from tests import factories
from tests.api import Api
from tests.factories import Someone
from tests.owntracks import basic

PHONE: dict[str, Any] = {"name": "Una's old phone", "kind": "owntracks"}
KEYED: dict[str, Any] = {"key_version": 3, "encryption": "required"}


def stored(session: Session, device_id: str) -> Device:
    session.expire_all()
    return session.scalars(select(Device).where(Device.id == UUID(device_id))).one()


def test_a_phone_gets_a_name_and_a_password_for_its_settings(api: Api, session: Session) -> None:
    una = factories.someone(session, name="Una")
    hearth = factories.group(session, una, **KEYED)

    added = api.as_(una.token).post("/api/devices", PHONE)

    assert added.status == 201
    assert added.json == {
        "id": added.json["id"],
        "name": PHONE["name"],
        "token": added.json["password"],
        "username": added.json["id"],
        "password": added.json["password"],
        "tid": "un",
    }
    kept = stored(session, added.json["id"])
    assert (kept.kind, kept.group_id, kept.key_version, kept.tid) == ("owntracks", hearth, 3, "un")
    assert kept.token_hash == hash_token(added.json["password"])
    assert api.as_(added.json["password"]).get("/api/auth/me").status == 401


def test_a_tid_is_taken_from_the_persons_name_and_is_nobody_elses(
    api: Api, session: Session
) -> None:
    una, unn, umi = (factories.someone(session, name=name) for name in ("Una", "Unn", "Ūmi"))
    factories.group(session, una, unn, umi)

    tids = [
        api.as_(who.token).post("/api/devices", PHONE).json["tid"] for who in (una, unn, umi, una)
    ]

    assert tids == ["un", "u0", "um", "ua"]


@pytest.mark.parametrize("name", ["李", "🦊", "J"])
def test_a_name_without_two_plain_letters_has_a_tid_too(
    api: Api, session: Session, name: str
) -> None:
    who = factories.someone(session, name=name)
    factories.group(session, who)

    added = api.as_(who.token).post("/api/devices", PHONE)

    assert added.json["tid"] == {"J": "j0"}.get(name, "aa")


@pytest.mark.parametrize("tid", ["u", "unn", "ú1", "u-", "", "u\n", 12, " u"])
def test_a_tid_is_two_letters_or_digits(api: Api, session: Session, tid: Any) -> None:
    una = factories.someone(session)
    factories.group(session, una)

    refused = api.as_(una.token).post("/api/devices", PHONE | {"tid": tid})

    assert (refused.status, refused.code) == (422, "invalid_request")


@pytest.mark.parametrize("field", [{"tid": "un"}, {"groupId": str(uuid4())}])
def test_only_a_phone_has_a_group_and_a_tid(
    api: Api, session: Session, field: dict[str, Any]
) -> None:
    una = factories.someone(session)
    factories.group(session, una)

    refused = api.as_(una.token).post("/api/devices", {"name": "Tablet", **field})

    assert (refused.status, refused.code) == (422, "invalid_request")


def test_a_tid_that_another_persons_phone_had_is_never_given_again(
    api: Api, session: Session
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    hearth = factories.group(session, una, ari)
    gone = factories.phone(session, hearth, ari, tid="AB", revoked_at=factories.now(session))
    factories.phone(session, factories.group(session, una), una, tid="cd")

    def ask(who: Someone, tid: str) -> int:
        body = PHONE | {"tid": tid, "groupId": str(hearth)}
        return api.as_(who.token).post("/api/devices", body).status

    assert [ask(una, "AB"), ask(una, "ab"), ask(ari, "AB"), ask(una, "cd")] == [409, 409, 201, 201]
    assert api.as_(una.token).post(
        "/api/devices", PHONE | {"tid": "ab", "groupId": str(hearth)}
    ).code == ("tid_taken")
    assert gone.user_id == ari.user_id


@pytest.mark.parametrize("way", ["deletes the account", "leaves", "is removed"])
def test_the_tid_of_a_person_who_is_gone_is_not_given_to_another_at_once(
    api: Api, session: Session, way: str
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    hearth = factories.group(session, una, ari)
    for tid in ("ab", "cd"):
        asked = api.as_(ari.token).post("/api/devices", PHONE | {"tid": tid})
        assert asked.status == 201
    api.as_(ari.token).delete(f"/api/devices/{asked.json['id']}")

    gone = {
        "deletes the account": lambda: api.as_(ari.token).delete("/api/users/me"),
        "leaves": lambda: api.as_(ari.token).post(f"/api/groups/{hearth}/leave"),
        "is removed": lambda: api.as_(una.token).delete(
            f"/api/groups/{hearth}/members/{ari.user_id}"
        ),
    }[way]()

    def ask(tid: str) -> int:
        return api.as_(una.token).post("/api/devices", PHONE | {"tid": tid}).status

    assert gone.status == 204
    assert [ask("ab"), ask("AB"), ask("cd")] == [409, 409, 409]
    session.execute(
        update(DepartedTid).values(departed_at=DepartedTid.departed_at - timedelta(days=31))
    )
    assert devices.release_tids(session) == 2
    session.commit()
    assert [ask("ab"), ask("cd")] == [201, 201]


def test_who_is_in_several_groups_says_which(api: Api, session: Session) -> None:
    una = factories.someone(session)
    groups = [factories.group(session, una) for _ in range(2)]

    unsaid = api.as_(una.token).post("/api/devices", PHONE)
    said = api.as_(una.token).post("/api/devices", PHONE | {"groupId": str(groups[1])})
    strange = api.as_(una.token).post("/api/devices", PHONE | {"groupId": str(uuid4())})

    assert (unsaid.status, unsaid.code) == (422, "group_required")
    assert said.status == 201
    assert (strange.status, strange.code) == (404, "group_not_found")


def test_only_a_confirmed_device_adds_a_phone_or_sets_one_up_again(
    api: Api, session: Session
) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una, **KEYED)
    phone = factories.phone(session, hearth, una)
    pending = api.as_(una.token).post("/api/devices", {"name": "Tablet"}).json["token"]

    added = api.as_(pending).post("/api/devices", PHONE)
    renewed = api.as_(pending).post(f"/api/devices/{phone.device_id}/renew")

    assert (added.status, added.code) == (403, "not_confirmed")
    assert (renewed.status, renewed.code) == (403, "not_confirmed")


def test_a_phone_is_not_set_up_with_a_key_that_is_about_to_go(api: Api, session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una, **KEYED, rotation_required=True)
    phone = factories.phone(session, hearth, una)

    added = api.as_(una.token).post("/api/devices", PHONE)
    renewed = api.as_(una.token).post(f"/api/devices/{phone.device_id}/renew")

    assert (added.status, added.code) == (409, "rotation_required")
    assert (renewed.status, renewed.code) == (409, "rotation_required")


def test_setting_up_again_gives_a_new_password_and_the_present_key(
    api: Api, session: Session
) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una, **KEYED)
    phone = factories.phone(session, hearth, una, key_version=2)
    before = api.as_(una.token).get("/api/devices").json["devices"][1]

    renewed = api.as_(una.token).post(f"/api/devices/{phone.device_id}/renew")

    assert renewed.status == 200
    assert renewed.json["username"] == str(phone.device_id)
    assert renewed.json["tid"] == "un"
    assert renewed.json["password"] != phone.token
    kept = stored(session, str(phone.device_id))
    assert (kept.key_version, kept.token_hash) == (3, hash_token(renewed.json["password"]))
    after = api.as_(una.token).get("/api/devices").json["devices"][1]
    assert (before["tid"], before["groupId"], before["needsSetup"]) == ("un", str(hearth), True)
    assert after == before | {"needsSetup": False}


def test_only_ones_own_phone_that_is_not_revoked_is_set_up_again(
    api: Api, session: Session
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    hearth = factories.group(session, una, ari)
    strange = factories.phone(session, hearth, ari, tid="ar")
    gone = factories.phone(session, hearth, una, revoked_at=factories.now(session))

    answers = [
        api.as_(una.token).post(f"/api/devices/{device_id}/renew")
        for device_id in (strange.device_id, gone.device_id, una.device_id, uuid4())
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(404, "device_not_found")] * 4


@pytest.mark.parametrize(
    ("group", "key_version", "needs_setup"),
    [
        ({"encryption": "optional", "key_version": 3}, 0, False),
        ({"encryption": "optional", "key_version": 3}, 2, True),
        ({"encryption": "required", "key_version": 3}, 0, True),
        ({"encryption": "required", "key_version": 3}, 3, False),
        ({"encryption": "required", "key_version": 0}, 0, False),
    ],
)
def test_a_phone_needs_setting_up_when_the_key_it_uses_has_moved_on(
    api: Api, session: Session, group: dict[str, Any], key_version: int, *, needs_setup: bool
) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una, **group)
    phone = factories.phone(session, hearth, una, key_version=key_version)

    (listed,) = (
        device
        for device in api.as_(una.token).get("/api/devices").json["devices"]
        if device["id"] == str(phone.device_id)
    )
    (shown,) = api.as_(una.token).get("/api/users").json["users"][0]["groups"][0]["phones"]

    assert listed["needsSetup"] is needs_setup
    assert shown == {"id": str(phone.device_id), "tid": "un", "needsSetup": needs_setup}


def test_members_see_the_phones_of_their_own_group_alone(api: Api, session: Session) -> None:
    una, ari = (factories.someone(session, public_key=secrets.token_bytes(32)) for _ in range(2))
    hearth = factories.group(session, una, ari)
    elsewhere = factories.group(session, ari)
    here = factories.phone(session, hearth, ari, tid="ar")
    factories.phone(session, elsewhere, ari, tid="el")
    factories.phone(session, hearth, ari, tid="go", revoked_at=factories.now(session))

    shown = api.as_(una.token).get(f"/api/users/{ari.user_id}").json["groups"]

    (shared,) = shown
    assert [device["id"] for device in shared["devices"]] == [str(ari.device_id)]
    assert [(phone["id"], phone["tid"]) for phone in shared["phones"]] == [
        (str(here.device_id), "ar")
    ]


@pytest.mark.parametrize(("key_version", "rotates"), [(0, False), (3, True)])
def test_a_revoked_phone_takes_the_key_it_knew_out_of_use_in_its_group_alone(
    api: Api, session: Session, key_version: int, *, rotates: bool
) -> None:
    una = factories.someone(session)
    hearth, other = (factories.group(session, una, key_version=3) for _ in range(2))
    phone = factories.phone(session, hearth, una, key_version=key_version)

    revoked = api.as_(una.token).delete(f"/api/devices/{phone.device_id}")

    assert revoked.status == 204
    required = session.scalars(select(Group.id).where(Group.rotation_required)).all()
    assert required == ([hearth] if rotates else [])
    assert other not in required


def test_a_phone_goes_with_its_persons_membership(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    hearth = factories.group(session, una, ari)
    factories.group(session, ari)
    phone = factories.phone(session, hearth, ari)

    api.as_(una.token).delete(f"/api/groups/{hearth}/members/{ari.user_id}")

    assert session.scalars(select(Device.id).where(Device.id == phone.device_id)).all() == []
    assert api.as_(ari.token).get("/api/auth/me").status == 200


@pytest.mark.parametrize("change", [{"tid": "xx"}, {"group_id": None}, {"kind": "app"}])
def test_a_phone_never_changes_its_tid_or_group(session: Session, change: dict[str, Any]) -> None:
    una = factories.someone(session)
    phone = factories.phone(session, factories.group(session, una), una)

    with pytest.raises(Exception, match="a_phone_stays"):
        session.execute(update(Device).where(Device.id == phone.device_id).values(**change))


def test_all_that_a_phone_has_said_is_exported(api: Api, session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    phone = factories.phone(session, hearth, una)
    now = int(factories.now(session).timestamp())
    for message in (
        {"_type": "card", "name": "Una", "face": "iVBORw0KGgo="},
        {"_type": "transition", "event": "leave", "desc": "Home", "tst": now, "wtst": 1, "lat": 1},
    ):
        raw, sent = json.dumps(message).encode(), basic(phone.device_id, phone.token)
        api.call("POST", "/owntracks", raw=raw, headers=sent)

    export = api.as_(una.token).get("/api/export").json

    (card,), (transition,) = export["owntracksCards"], export["owntracksTransitions"]
    assert card.pop("updatedAt")
    assert card == {"deviceId": str(phone.device_id), "name": "Una", "face": "iVBORw0KGgo="}
    assert datetime.fromisoformat(transition.pop("occurredAt")).timestamp() == now
    assert transition == {
        "groupId": str(hearth),
        "deviceId": str(phone.device_id),
        "event": "leave",
        "description": "Home",
        "waypointAt": "1970-01-01T00:00:01Z",
        "latitude": 1,
        "longitude": 0,
        "accuracy": None,
    }
    assert export["owntracksServed"] == []
    (listed,) = [device for device in export["devices"] if device["kind"] == "owntracks"]
    assert (listed["tid"], listed["groupId"], listed["keyVersion"]) == ("un", str(hearth), 0)


def test_what_everybody_was_told_of_a_region_is_kept_for_a_day(session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    phone = factories.phone(session, hearth, una)
    now = factories.now(session)
    for event, days in (("enter", 0.9), ("leave", 1.1)):
        session.add(
            OwntracksTransition(
                group_id=hearth,
                user_id=una.user_id,
                device_id=phone.device_id,
                event=event,
                description="Home",
                occurred_at=now,
                waypoint_at=now,
                created_at=now - timedelta(days=days),
            )
        )
    session.flush()

    assert service.delete_old_transitions(session) == 1
    assert session.scalars(select(OwntracksTransition.event)).all() == ["enter"]
