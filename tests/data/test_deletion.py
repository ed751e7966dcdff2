"""What goes with a row that is deleted, and what stays."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.orm import Session

from chalicelib.models import (
    DepartedTid,
    Device,
    DeviceCard,
    ErasedPoint,
    FurtherEnvelope,
    Group,
    InviteCode,
    Location,
    Member,
    OwntracksCard,
    OwntracksServed,
    OwntracksTransition,
    User,
    Vouch,
)
from tests import factories
from tests.api import Api
from tests.factories import Someone

FOREIGN_KEYS = {
    "fk_departed_tids_group_id": "CASCADE",
    "fk_device_cards_device_id": "CASCADE",
    "fk_device_cards_group_id_user_id": "CASCADE",
    "fk_devices_group_id_user_id": "CASCADE",
    "fk_devices_user_id": "CASCADE",
    "fk_erased_points_group_id_user_id": "CASCADE",
    "fk_further_envelopes_device_id": "CASCADE",
    "fk_further_envelopes_group_id_key_version": "CASCADE",
    "fk_further_envelopes_group_id_user_id": "CASCADE",
    "fk_given_keys_device_id": "CASCADE",
    "fk_given_keys_group_id_user_id": "CASCADE",
    "fk_group_keys_counted_for": "SET NULL",
    "fk_group_keys_group_id": "CASCADE",
    "fk_group_members_group_id": "CASCADE",
    "fk_group_members_user_id": "CASCADE",
    "fk_invite_codes_created_by": "CASCADE",
    "fk_invite_codes_group_id": "CASCADE",
    "fk_invite_codes_used_by": "SET NULL",
    "fk_invite_codes_used_by_device_id": "SET NULL",
    "fk_key_envelopes_device_id": "CASCADE",
    "fk_key_envelopes_group_id_key_version": "CASCADE",
    "fk_key_envelopes_group_id_user_id": "CASCADE",
    "fk_locations_group_id_user_id": "CASCADE",
    "fk_owntracks_cards_device_id": "CASCADE",
    "fk_owntracks_served_device_id": "CASCADE",
    "fk_owntracks_served_user_id": "CASCADE",
    "fk_owntracks_transitions_device_id": "CASCADE",
    "fk_owntracks_transitions_group_id_user_id": "CASCADE",
    "fk_vouches_device_id": "CASCADE",
    "fk_vouches_group_id_user_id": "CASCADE",
    "fk_vouches_group_id_voucher_id": "CASCADE",
    "fk_vouches_voucher_device_id": "CASCADE",
}


@pytest.fixture
def una(session: Session) -> Someone:
    return factories.someone(session, name="Una")


@pytest.fixture
def ari(session: Session) -> Someone:
    return factories.someone(session, name="Ari")


@pytest.fixture
def hearth(session: Session, una: Someone, ari: Someone) -> UUID:
    """A group with a key, in which both have posted, made an invite and have a phone."""
    group_id = factories.group(session, una, ari, key_version=2)
    for who in (una, ari):
        factories.invite(session, group_id=group_id, by=who)
        factories.stored_point(session, group_id, who)
        phone = factories.phone(session, group_id, who, tid="un" if who is una else "ar")
        session.add(OwntracksCard(device_id=phone.device_id))
        session.add(OwntracksServed(device_id=phone.device_id, user_id=who.user_id))
        session.add(
            OwntracksTransition(
                group_id=group_id,
                user_id=who.user_id,
                device_id=phone.device_id,
                event="enter",
                description="",
                occurred_at=func.now(),
                waypoint_at=func.now(),
            )
        )
        session.add(ErasedPoint(group_id=group_id, user_id=who.user_id, digest=bytes(32)))
        of_who = {"group_id": group_id, "user_id": who.user_id, "device_id": who.device_id}
        session.add(DeviceCard(**of_who, key_version=2, sealed=bytes(41)))
        other = ari if who is una else una
        wrapper = {"wrapper_public_key": bytes(32), "wrapper_device_id": other.device_id}
        session.add(FurtherEnvelope(**of_who, key_version=2, wrapped_key=bytes(72), **wrapper))
        voucher = {"voucher_id": other.user_id, "voucher_device_id": other.device_id}
        session.add(Vouch(**of_who, key_version=2, entry=bytes(41), **voucher))
    session.add(DepartedTid(group_id=group_id, tid="go"))
    session.commit()
    return group_id


def counts(session: Session, **values: Any) -> dict[str, int]:
    """Return how many rows have these values, in each table that has such columns."""
    return {
        name: session.scalar(select(func.count()).select_from(table).filter_by(**values)) or 0
        for name, table in User.metadata.tables.items()
        if values.keys() <= set(table.columns.keys())
    }


@pytest.mark.usefixtures("hearth")
def test_a_person_takes_everything_of_theirs_along(
    session: Session, una: Someone, ari: Someone
) -> None:
    before = counts(session, user_id=ari.user_id)

    session.execute(delete(User).where(User.id == ari.user_id))

    assert before == {
        "device_cards": 1,
        "devices": 2,
        "erased_points": 1,
        "further_envelopes": 1,
        "given_keys": 2,
        "group_members": 1,
        "key_envelopes": 2,
        "locations": 1,
        "owntracks_served": 1,
        "owntracks_transitions": 1,
        "vouches": 1,
    }
    assert session.scalar(select(func.count()).select_from(OwntracksCard)) == 1
    assert counts(session, user_id=ari.user_id) == dict.fromkeys(before, 0)
    assert counts(session, created_by=ari.user_id) == {"invite_codes": 0}
    # What the other one vouched goes, too.
    assert counts(session, user_id=una.user_id) == before | {"vouches": 0}
    assert counts(session, created_by=una.user_id) == {"invite_codes": 1}


def test_a_group_takes_everything_in_it_along(
    session: Session, una: Someone, ari: Someone, hearth: UUID
) -> None:
    other = factories.group(session, una, key_version=1)
    factories.stored_point(session, other, una)

    session.execute(delete(Group).where(Group.id == hearth))

    assert counts(session, group_id=hearth) == {
        "departed_tids": 0,
        "device_cards": 0,
        "devices": 0,
        "erased_points": 0,
        "further_envelopes": 0,
        "given_keys": 0,
        "group_keys": 0,
        "group_members": 0,
        "invite_codes": 0,
        "key_envelopes": 0,
        "locations": 0,
        "owntracks_transitions": 0,
        "vouches": 0,
    }
    assert session.scalar(select(func.count()).select_from(OwntracksCard)) == 0
    assert counts(session, group_id=other) == {
        "departed_tids": 0,
        "device_cards": 0,
        "devices": 0,
        "erased_points": 0,
        "further_envelopes": 0,
        "given_keys": 1,
        "group_keys": 1,
        "group_members": 1,
        "invite_codes": 0,
        "key_envelopes": 1,
        "locations": 1,
        "owntracks_transitions": 0,
        "vouches": 0,
    }
    assert counts(session, user_id=ari.user_id)["devices"] == 1


def test_a_membership_takes_the_points_and_envelopes_of_that_group_along(
    session: Session, una: Someone, ari: Someone, hearth: UUID
) -> None:
    other = factories.group(session, una, ari, key_version=1)
    kept = factories.stored_point(session, other, ari)

    session.execute(delete(Member).where(Member.group_id == hearth, Member.user_id == ari.user_id))

    assert list(session.scalars(select(Location.id).filter_by(user_id=ari.user_id))) == [kept]
    assert counts(session, group_id=hearth, user_id=una.user_id)["locations"] == 1
    assert counts(session, group_id=hearth, user_id=ari.user_id)["key_envelopes"] == 0
    assert counts(session, group_id=hearth, user_id=ari.user_id)["given_keys"] == 0
    assert counts(session, group_id=other, user_id=ari.user_id)["key_envelopes"] == 1
    assert counts(session, group_id=hearth, user_id=una.user_id)["key_envelopes"] == 2


def test_a_device_takes_its_envelopes_along_and_leaves_those_that_it_wrapped(
    session: Session, una: Someone, ari: Someone, hearth: UUID
) -> None:
    tablet = factories.further_device(session, una)
    factories.confirm(session, hearth, tablet, 2, by=ari)

    session.execute(delete(Device).where(Device.id == ari.device_id))

    assert counts(session, device_id=ari.device_id)["key_envelopes"] == 0
    assert counts(session, device_id=ari.device_id)["given_keys"] == 0
    wrapped = {"key_envelopes": 1, "further_envelopes": 1}
    assert counts(session, wrapper_device_id=ari.device_id) == wrapped
    assert counts(session, voucher_device_id=ari.device_id) == {"vouches": 0}
    assert counts(session, device_id=tablet.device_id)["key_envelopes"] == 1


def test_a_spent_code_stays_spent_when_its_redeemer_goes(
    session: Session, api: Api, una: Someone, hearth: UUID
) -> None:
    code = factories.invite(session, group_id=hearth, by=una)
    joined = api.post("/api/auth/join", {"code": code.text, "name": "Signy"}).json
    redeemer_id = UUID(joined["user"]["id"])

    session.execute(delete(User).where(User.id == redeemer_id))

    spent = session.scalars(select(InviteCode).where(InviteCode.used_at.is_not(None))).one()
    assert spent.used_by is None
    repeat = api.post("/api/auth/join", {"code": code.text, "name": "Signy"})
    assert (repeat.status, repeat.code) == (404, "invite_not_valid")


def test_every_foreign_key_says_what_deletion_does(database: Connection) -> None:
    actions = """
        SELECT conname AS name,
            CASE confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' END AS action
        FROM pg_constraint JOIN pg_class c ON c.oid = conrelid
        WHERE contype = 'f' AND NOT relispartition
    """

    known = {row.name: row.action for row in database.execute(text(actions))}

    assert known == FOREIGN_KEYS
