import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from chalicelib.models import Device, Group, InviteCode
from tests import factories
from tests.api import Api
from tests.factories import Someone

KEYED: dict[str, Any] = {"key_version": 3}


def test_a_further_device_acts_for_the_same_person(api: Api, session: Session) -> None:
    una = factories.someone(session, name="Una")

    added = api.as_(una.token).post("/api/devices", {"name": " Tablet ", "kind": "app"})

    assert added.status == 201
    assert added.json.keys() == {"id", "name", "token"}
    assert added.json["name"] == "Tablet"
    tablet = api.as_(added.json["token"])
    assert tablet.get("/api/auth/me").json["id"] == str(una.user_id)
    assert api.as_(una.token).get("/api/auth/me").status == 200


@pytest.mark.parametrize(
    "body",
    [
        *({"name": name} for name in ("", " ", "x" * 65, "a\tb", None, 7)),
        {},
        *({"name": "Tablet", "kind": kind} for kind in ("APP", "", None)),
        {"name": "Tablet", "publicKey": "A" * 43},
        {"name": "Tablet", "userId": str(uuid4())},
    ],
)
def test_what_is_no_device_is_not_added(api: Api, session: Session, body: dict[str, Any]) -> None:
    una = factories.someone(session)

    refused = api.as_(una.token).post("/api/devices", body)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert session.scalars(select(Device.id)).all() == [una.device_id]


def test_the_list_shows_what_can_act_for_me_and_which_of_them_is_asking(
    api: Api, session: Session
) -> None:
    una = factories.someone(session)
    tablet = api.as_(una.token).post("/api/devices", {"name": "Tablet"}).json
    gone = api.as_(una.token).post("/api/devices", {"name": "Gone"}).json
    api.as_(una.token).delete(f"/api/devices/{gone['id']}")
    factories.someone(session, name="Somebody else")

    listed = api.as_(una.token).get("/api/devices").json["devices"]

    now = factories.now(session)
    assert [datetime.fromisoformat(device.pop("createdAt")) for device in listed] == [now, now]
    common = {"kind": "app", "lastUsedOn": now.date().isoformat()}
    assert listed == [
        {"id": str(una.device_id), "name": "Phone", "isThisOne": True, **common},
        {"id": tablet["id"], "name": "Tablet", "isThisOne": False, **common},
    ]
    seen_from_tablet = api.as_(tablet["token"]).get("/api/devices").json["devices"]
    assert [device["isThisOne"] for device in seen_from_tablet] == [False, True]


def test_a_revoked_devices_token_is_void_at_once(api: Api, session: Session) -> None:
    una = factories.someone(session)
    tablet = api.as_(una.token).post("/api/devices", {"name": "Tablet"}).json

    revoked = api.as_(una.token).delete(f"/api/devices/{tablet['id']}")

    assert (revoked.status, revoked.text) == (204, "")
    assert api.as_(tablet["token"]).get("/api/auth/me").status == 401
    assert api.as_(una.token).get("/api/auth/me").status == 200


def test_a_device_can_revoke_itself(api: Api, session: Session) -> None:
    una = factories.someone(session)

    revoked = api.as_(una.token).delete(f"/api/devices/{una.device_id}")

    assert revoked.status == 204
    assert api.as_(una.token).get("/api/auth/me").status == 401


def test_revoking_twice_keeps_the_time_of_the_first(api: Api, session: Session) -> None:
    una = factories.someone(session)
    tablet = api.as_(una.token).post("/api/devices", {"name": "Tablet"}).json["id"]
    earlier = factories.now(session) - timedelta(hours=1)
    session.execute(update(Device).where(Device.id == tablet).values(revoked_at=earlier))
    session.commit()

    again = api.as_(una.token).delete(f"/api/devices/{tablet}")

    assert again.status == 204
    assert session.scalar(select(Device.revoked_at).where(Device.id == tablet)) == earlier


def test_nobody_revokes_somebody_elses_device_or_learns_that_there_is_one(
    api: Api, session: Session
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, ari)

    refused = api.as_(una.token).delete(f"/api/devices/{ari.device_id}")
    unknown = api.as_(una.token).delete(f"/api/devices/{uuid4()}")

    assert (refused.status, refused.code) == (404, "device_not_found")
    assert {**unknown.json, "requestId": ""} == {**refused.json, "requestId": ""}
    assert api.as_(ari.token).get("/api/auth/me").status == 200


@pytest.mark.parametrize("path", ["/api/devices/{device_id}", "/api/auth/logout"])
def test_a_device_that_knew_group_keys_takes_them_out_of_use_when_it_goes(
    api: Api, session: Session, path: str
) -> None:
    una = factories.someone(session, public_key=secrets.token_bytes(32))
    ari = factories.someone(session)
    hers = [factories.group(session, una, ari, **KEYED), factories.group(session, una, **KEYED)]
    keyless = factories.group(session, una)
    others = factories.group(session, ari, **KEYED)
    live = {
        group_id: factories.invite(session, group_id=group_id, by=ari)
        for group_id in (*hers, keyless, others)
    }
    method = "POST" if path.endswith("logout") else "DELETE"

    api.as_(una.token).call(method, path.format(device_id=una.device_id))

    rotated = session.scalars(select(Group.id).where(Group.rotation_required)).all()
    assert set(rotated) == set(hers)
    valid = {
        group_id
        for group_id, code in live.items()
        if api.post("/api/invites/validate", {"code": code.text}).json["valid"]
    }
    assert valid == {others, keyless}


@pytest.mark.parametrize("public_key", [None, bytes(32)], ids=["without a key", "with one"])
def test_a_device_that_was_given_no_key_takes_none_out_of_use(
    api: Api, session: Session, public_key: bytes | None
) -> None:
    una, ari = factories.someone(session, public_key=public_key), factories.someone(session)
    hearth = factories.group(session, ari, **KEYED)
    factories.add_member(session, hearth, una)
    code = factories.invite(session, group_id=hearth, by=ari)

    api.as_(una.token).post("/api/auth/logout")

    assert session.scalars(select(Group.rotation_required)).all() == [False]
    assert api.post("/api/invites/validate", {"code": code.text}).json["valid"] is True


def test_revoking_once_more_takes_no_newer_key_or_invite_out_of_use(
    api: Api, session: Session
) -> None:
    una, tablet, hearth = keyed_tablet(api, session)
    api.as_(una.token).delete(f"/api/devices/{tablet}")
    session.execute(update(Group).values(rotation_required=False))
    session.commit()
    ari = factories.someone(session)
    factories.add_member(session, hearth, ari)
    code = factories.invite(session, group_id=hearth, by=ari)

    again = api.as_(una.token).delete(f"/api/devices/{tablet}")

    assert again.status == 204
    assert session.scalars(select(Group.rotation_required)).all() == [False]
    assert api.post("/api/invites/validate", {"code": code.text}).json["valid"] is True


def test_invites_that_were_used_or_revoked_before_stay_as_they_were(
    api: Api, session: Session
) -> None:
    una, tablet, hearth = keyed_tablet(api, session)
    earlier = factories.now(session) - timedelta(hours=1)
    factories.invite(session, group_id=hearth, by=una, used_at=earlier)
    factories.invite(session, group_id=hearth, by=una, revoked_at=earlier)

    revoked = api.as_(una.token).delete(f"/api/devices/{tablet}")

    assert revoked.status == 204
    rows = session.execute(
        select(InviteCode.used_at, InviteCode.revoked_at).order_by(InviteCode.id)
    ).all()
    assert [tuple(row) for row in rows] == [(earlier, None), (None, earlier)]


def keyed_tablet(api: Api, session: Session) -> tuple[Someone, UUID, UUID]:
    """Una, the id of her second device, and her group, whose key that device was given."""
    una = factories.someone(session)
    hearth = factories.group(session, una, **KEYED)
    tablet = UUID(api.as_(una.token).post("/api/devices", {"name": "Tablet"}).json["id"])
    key = secrets.token_bytes(32)
    session.execute(update(Device).where(Device.id == tablet).values(public_key=key))
    session.commit()
    factories.confirm(session, hearth, Someone(una.user_id, tablet, ""), KEYED["key_version"])
    return una, tablet, hearth
