import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from chalicelib.db.base import Base
from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import Device, Group, InviteCode, KeyEnvelope, Location, Member, User
from tests import factories
from tests.api import Api
from tests.factories import Someone


def test_nothing_in_any_table_tells_that_a_deleted_person_was_there(
    api: Api, session: Session
) -> None:
    ari = factories.someone(session, name="Ari")
    hearth = factories.group(session, ari)
    code = factories.invite(session, group_id=hearth, by=ari)
    before = counts(session)
    una = lived_here(api, session, code, hearth)
    traces = [str(una.user_id), str(una.device_id), "Una", "Tablet of hers"]
    stored = factories.everything(session)
    assert all(trace in stored for trace in traces)

    gone = api.as_(una.token).delete("/api/users/me")

    assert (gone.status, gone.text) == (204, "")
    stored = factories.everything(session)
    assert [trace for trace in traces if trace in stored] == []
    assert counts(session) | {"rate_limits": 0} == before | {"rate_limits": 0}
    assert api.as_(una.token).get("/api/auth/me").status == 401


def test_what_others_have_stays(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session, name="Ari")
    hearth = factories.group(session, ari, una)
    point = factories.plain_point()
    api.as_(ari.token).post("/api/locations", point)
    invite = api.as_(ari.token).post("/api/invites", {}).json["id"]

    api.as_(una.token).delete("/api/users/me")

    assert session.scalars(select(Location.id)).all() == [UUID(point["id"])]
    assert session.scalars(select(InviteCode.id)).all() == [UUID(invite)]
    (group,) = api.as_(ari.token).get("/api/groups").json["groups"]
    assert (group["id"], group["role"]) == (str(hearth), "admin")
    (person,) = api.as_(ari.token).get("/api/users").json["users"]
    assert person["name"] == "Ari"


def test_the_longest_standing_member_inherits_a_group_without_another_admin(
    api: Api, session: Session
) -> None:
    una, ari, bera = (factories.someone(session) for _ in range(3))
    inherited = factories.group(session, una, ari, bera)
    has_admin = factories.group(session, bera, una, ari)

    api.as_(una.token).delete("/api/users/me")

    assert roles(session, inherited) == {ari.user_id: "admin", bera.user_id: "member"}
    assert roles(session, has_admin) == {bera.user_id: "admin", ari.user_id: "member"}


def test_a_group_that_is_left_empty_goes_and_a_group_with_a_key_needs_a_new_one(
    api: Api, session: Session
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, key_version=2)
    shared = factories.group(session, ari, una, key_version=3)
    untouched = factories.group(session, ari, key_version=4)
    code = factories.invite(session, group_id=shared, by=ari)

    api.as_(una.token).delete("/api/users/me")

    rows = session.execute(select(Group.id, Group.rotation_required)).all()
    assert {row.id: row.rotation_required for row in rows} == {shared: True, untouched: False}
    assert api.post("/api/invites/validate", {"code": code.text}).json == {"valid": False}


@pytest.mark.parametrize("way", ["join", "join a group"])
def test_the_code_that_a_deleted_person_came_by_stays_spent(
    api: Api, session: Session, way: str
) -> None:
    ari = factories.someone(session)
    code = factories.invite(session, group_id=factories.group(session, ari), by=ari)
    if way == "join":
        una = api.as_(api.post("/api/auth/join", {"code": code.text, "name": "Una"}).json["token"])
    else:
        una = api.as_(factories.someone(session).token)
        una.post("/api/groups/join", {"code": code.text})

    una.delete("/api/users/me")

    used = session.execute(select(InviteCode.used_by, InviteCode.used_at)).one()
    assert tuple(used) == (None, factories.now(session))
    assert api.post("/api/auth/join", {"code": code.text, "name": "Una"}).status == 404
    assert "usedBy" not in api.as_(ari.token).get("/api/invites").json["invites"][0]


def test_what_stays_is_in_the_envelopes_of_others(api: Api, session: Session) -> None:
    una, ari = factories.with_key(session), factories.with_key(session)
    hearth = factories.group(session, una, ari, key_version=1)
    session.execute(delete(KeyEnvelope).where(KeyEnvelope.device_id == ari.device_id))
    wrapper = {"wrapper_device_id": una.device_id, "wrapper_public_key": una.public_key}
    session.add(
        KeyEnvelope(
            group_id=hearth,
            key_version=1,
            user_id=ari.user_id,
            device_id=ari.device_id,
            wrapped_key=bytes(72),
            **wrapper,
        )
    )
    session.commit()

    api.as_(una.token).delete("/api/users/me")

    traces = (una.user_id, una.device_id, una.public_key.hex() if una.public_key else "")
    text = factories.everything(session)
    assert [text.count(str(trace)) for trace in traces] == [0, 1, 1]
    (kept,) = api.as_(ari.token).get(f"/api/groups/{hearth}/keys").json["envelopes"]
    assert kept["wrapperDeviceId"] == str(una.device_id)


def test_every_device_of_a_deleted_person_is_void(api: Api, session: Session) -> None:
    una = api.as_(factories.someone(session).token)
    tablet = api.as_(una.post("/api/devices", {"name": "Tablet"}).json["token"])

    gone = tablet.delete("/api/users/me")

    assert gone.status == 204
    assert una.get("/api/auth/me").status == 401
    assert tablet.delete("/api/users/me").status == 401
    assert session.scalar(select(func.count()).select_from(User)) == 0


def test_whoever_is_in_no_group_can_go_too(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)

    gone = api.as_(una.token).delete("/api/users/me")

    assert gone.status == 204
    assert session.scalars(select(User.id)).all() == [ari.user_id]


def lived_here(api: Api, session: Session, code: Code, hearth: UUID) -> Someone:
    """Make Una leave something in every table."""
    joined = api.post(
        "/api/auth/join",
        {"code": code.text, "name": "Una"},
        headers={"Idempotency-Key": "k" * 22},
    ).json
    una = api.as_(joined["token"])
    una.post("/api/devices", {"name": "Tablet of hers"})
    own = una.post("/api/groups", {"name": "Una's own", "encryption": "optional"}).json["id"]
    for group_id in (str(hearth), own):
        una.post("/api/invites", {"groupId": group_id})
        una.put(f"/api/groups/{group_id}/sharing", {"paused": False})
        for days in (0, 20):
            at = datetime.now(UTC) - timedelta(days=days)
            stored = una.post("/api/locations", factories.plain_point(at, groupId=group_id))
            assert stored.status == 200
    user_id, device_id = UUID(joined["user"]["id"]), UUID(joined["device"]["id"])
    session.execute(
        update(Device).where(Device.id == device_id).values(public_key=secrets.token_bytes(32))
    )
    session.commit()
    return Someone(user_id=user_id, device_id=device_id, token=joined["token"])


def counts(session: Session) -> dict[str, int]:
    return {
        table.name: session.scalar(select(func.count()).select_from(table)) or 0
        for table in Base.metadata.sorted_tables
    }


def roles(session: Session, group_id: UUID) -> dict[Any, str]:
    rows = session.execute(select(Member.user_id, Member.role).where(Member.group_id == group_id))
    return {row.user_id: row.role for row in rows}
