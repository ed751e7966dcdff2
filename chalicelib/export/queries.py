"""Everything that is stored about one person, in one statement."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, literal_column, or_, select, union

from chalicelib.auth import Credential
from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, OneStatement, base64, json_object
from chalicelib.locations import queries as locations
from chalicelib.models import (
    Device,
    DeviceCard,
    FurtherEnvelope,
    GivenKey,
    Group,
    InviteCode,
    KeyEnvelope,
    Member,
    OwntracksCard,
    OwntracksServed,
    OwntracksTransition,
    User,
    Vouch,
)

_CALLER = auth.caller()
_ME = select(_CALLER.c.user_id).scalar_subquery()


def _of_my_devices(table: Any, **columns: Any) -> ColumnElement[Any]:
    return (
        select(func.json_agg(json_object(**columns)))
        .join(Device, Device.id == table.device_id)
        .where(Device.user_id == _ME)
        .scalar_subquery()
    )


_USER = (
    select(json_object(id=User.id, name=User.name, created_at=User.created_at))
    .where(User.id == _ME)
    .scalar_subquery()
)
_DEVICES = (
    select(
        func.json_agg(
            json_object(
                id=Device.id,
                name=Device.name,
                kind=Device.kind,
                tid=Device.tid,
                group_id=Device.group_id,
                key_version=Device.key_version,
                public_key=base64(Device.public_key),
                created_at=Device.created_at,
                last_used_on=Device.last_used_on,
                revoked_at=Device.revoked_at,
                in_browser=Device.in_browser,
            )
        )
    )
    .where(Device.user_id == _ME)
    .scalar_subquery()
)
_MEMBERSHIPS = (
    select(
        func.json_agg(
            json_object(
                id=Group.id,
                name=Group.name,
                role=Member.role,
                joined_at=Member.joined_at,
                sharing_paused=Member.sharing_paused,
                sharing_resumes_at=Member.sharing_resumes_at,
            )
        )
    )
    .select_from(Member)
    .join(Group, Group.id == Member.group_id)
    .where(Member.user_id == _ME)
    .scalar_subquery()
)
_INVITES = (
    select(
        func.json_agg(
            json_object(
                id=InviteCode.id,
                group_id=InviteCode.group_id,
                created_at=InviteCode.created_at,
                expires_at=InviteCode.expires_at,
                used_at=InviteCode.used_at,
                revoked_at=InviteCode.revoked_at,
                made_by_me=func.coalesce(InviteCode.created_by == _ME, literal_column("false")),
                join_proof=case((InviteCode.used_by == _ME, base64(InviteCode.join_proof))),
            )
        )
    )
    .where(or_(InviteCode.created_by == _ME, InviteCode.used_by == _ME))
    .scalar_subquery()
)
_ENVELOPES = _of_my_devices(
    KeyEnvelope,
    group_id=KeyEnvelope.group_id,
    key_version=KeyEnvelope.key_version,
    device_id=KeyEnvelope.device_id,
    created_at=KeyEnvelope.created_at,
    wrapper_device_id=KeyEnvelope.wrapper_device_id,
    wrapped_key=base64(KeyEnvelope.wrapped_key),
    wrapper_public_key=base64(KeyEnvelope.wrapper_public_key),
    roster_entry=base64(KeyEnvelope.roster_entry),
    former=base64(KeyEnvelope.former),
)
_FURTHER_ENVELOPES = _of_my_devices(
    FurtherEnvelope,
    group_id=FurtherEnvelope.group_id,
    key_version=FurtherEnvelope.key_version,
    device_id=FurtherEnvelope.device_id,
    created_at=FurtherEnvelope.created_at,
    wrapper_device_id=FurtherEnvelope.wrapper_device_id,
    wrapped_key=base64(FurtherEnvelope.wrapped_key),
    wrapper_public_key=base64(FurtherEnvelope.wrapper_public_key),
    roster_entry=base64(FurtherEnvelope.roster_entry),
    former=base64(FurtherEnvelope.former),
)
_GIVEN_KEYS = _of_my_devices(
    GivenKey,
    group_id=GivenKey.group_id,
    key_version=GivenKey.key_version,
    device_id=GivenKey.device_id,
)
_DEVICE_CARDS = _of_my_devices(
    DeviceCard,
    group_id=DeviceCard.group_id,
    device_id=DeviceCard.device_id,
    key_version=DeviceCard.key_version,
    sealed=base64(DeviceCard.sealed),
    updated_at=DeviceCard.updated_at,
)
_MY_DEVICES = select(Device.id).where(Device.user_id == _ME)
_MY_VOUCHES = union(
    select(Vouch.id).where(Vouch.device_id.in_(_MY_DEVICES)),
    select(Vouch.id).where(Vouch.voucher_device_id.in_(_MY_DEVICES)),
)
_VOUCHES = (
    select(
        func.json_agg(
            json_object(
                group_id=Vouch.group_id,
                key_version=Vouch.key_version,
                device_id=Vouch.device_id,
                voucher_device_id=Vouch.voucher_device_id,
                created_at=Vouch.created_at,
                entry=base64(Vouch.entry),
            )
        )
    )
    .where(Vouch.id.in_(_MY_VOUCHES))
    .scalar_subquery()
)
_CARDS = _of_my_devices(
    OwntracksCard,
    device_id=OwntracksCard.device_id,
    name=OwntracksCard.name,
    face=OwntracksCard.face,
    updated_at=OwntracksCard.updated_at,
)
_TRANSITIONS = _of_my_devices(
    OwntracksTransition,
    group_id=OwntracksTransition.group_id,
    device_id=OwntracksTransition.device_id,
    event=OwntracksTransition.event,
    description=OwntracksTransition.description,
    occurred_at=OwntracksTransition.occurred_at,
    waypoint_at=OwntracksTransition.waypoint_at,
    latitude=OwntracksTransition.latitude,
    longitude=OwntracksTransition.longitude,
    accuracy=OwntracksTransition.accuracy,
)
_POINTS = locations.page_of_mine(_CALLER)
_SERVED = _of_my_devices(
    OwntracksServed,
    device_id=OwntracksServed.device_id,
    user_id=OwntracksServed.user_id,
    sealed_served_at=OwntracksServed.sealed_served_at,
    card_served_at=OwntracksServed.card_served_at,
    transition_id=OwntracksServed.transition_id,
)
EXPORT = Compiled(
    lambda: auth.answer(
        _CALLER,
        None,
        _USER.label("user"),
        _DEVICES.label("devices"),
        _MEMBERSHIPS.label("groups"),
        _INVITES.label("invites"),
        _ENVELOPES.label("key_envelopes"),
        _FURTHER_ENVELOPES.label("further_envelopes"),
        _GIVEN_KEYS.label("given_keys"),
        _DEVICE_CARDS.label("device_cards"),
        _VOUCHES.label("vouches"),
        _CARDS.label("owntracks_cards"),
        _TRANSITIONS.label("owntracks_transitions"),
        _SERVED.label("owntracks_served"),
        _POINTS.points.label("locations"),
        _POINTS.has_more.label("has_more"),
    )
)


def export(
    connection: OneStatement, credential: Credential, *, after: tuple[UUID, UUID], limit: int
) -> Any:
    """Return one row with everything, and the page of points after (group id, id)."""
    last_group_id, last_id = after
    return connection.execute(
        EXPORT,
        credential.parameters
        | {"last_group_id": last_group_id, "last_id": last_id, "page_size": limit},
    )[0]
