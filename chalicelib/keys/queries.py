"""Versions of group keys and their envelopes in the database."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    extract,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.orm import aliased

from chalicelib.auth import Caller
from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session, base64, json_object
from chalicelib.groups import queries as groups
from chalicelib.models import (
    Device,
    GivenKey,
    Group,
    GroupKey,
    InviteCode,
    KeyEnvelope,
    Member,
    User,
)

MOST_VERSIONS_A_DAY = 100
"""No family needs more, and every one is kept and shown for as long as the group lives."""

RECENT_VERSIONS = 20
"""Of so many versions the rosters are shown: what a device needs that was off for a long time."""

MOST_ENTRIES = 500
"""Of so many roster entries the newest are shown, or one member could make more of them than an
answer holds. Whoever's is left out is not known to be confirmed, which is the safe side."""


def join_proof(device: Any, member: Any) -> ColumnElement[bytes | None]:
    """Return what a device proved of itself when it came in to the group that it is in now."""
    return (
        select(InviteCode.join_proof)
        .where(
            InviteCode.used_by_device_id == device.id,
            InviteCode.group_id == member.group_id,
            InviteCode.used_at >= member.joined_at,
        )
        .order_by(InviteCode.used_at.desc())
        .limit(literal_column("1"))
        .correlate_except(InviteCode)
        .scalar_subquery()
    )


def _has_envelope(*, group_id: Any, key_version: Any, wrapped: bool) -> ColumnElement[bool]:
    found = select(KeyEnvelope.id).where(
        KeyEnvelope.device_id == Device.id,
        KeyEnvelope.group_id == group_id,
        KeyEnvelope.key_version == key_version,
    )
    if wrapped:
        found = found.where(KeyEnvelope.wrapped_key.is_not(None))
    return found.correlate_except(KeyEnvelope).exists()


def devices_with_keys(person: Any, member: Any) -> ColumnElement[Any]:
    """Return a person's valid devices with public keys as JSON, and what each is in a group."""
    group = aliased(Group)
    version = (
        select(group.key_version)
        .where(group.id == member.group_id)
        .correlate_except(group)
        .scalar_subquery()
    )
    confirmed = _has_envelope(group_id=member.group_id, key_version=version, wrapped=False)
    return (
        select(
            func.json_agg(
                aggregate_order_by(
                    json_object(
                        id=Device.id,
                        publicKey=base64(Device.public_key),
                        confirmed=or_(version == literal_column("0"), confirmed),
                        joinProof=base64(join_proof(Device, member)),
                    ),
                    Device.id,
                )
            )
        )
        .where(Device.user_id == person.id, Device.public_key.is_not(None), auth.IS_VALID)
        .correlate(person, member)
        .scalar_subquery()
    )


def _asked(membership: CTE) -> CTE:
    """Return the CTE `asked`: the membership of the group named by `asked_group_id`."""
    return (
        select(membership)
        .where(membership.c.group_id == bindparam("asked_group_id", type_=Uuid))
        .cte("asked")
    )


def _build_keys() -> Select[Any]:
    caller = auth.caller()
    asked = _asked(groups.membership(caller))
    oldest_shown = asked.c.key_version - literal_column(str(RECENT_VERSIONS))
    roster = case((GroupKey.key_version > oldest_shown, base64(GroupKey.roster)))
    versions = (
        select(
            func.json_agg(
                aggregate_order_by(
                    json_object(
                        keyVersion=GroupKey.key_version,
                        commitment=base64(GroupKey.commitment),
                        roster=roster,
                    ),
                    GroupKey.key_version,
                )
            )
        )
        .where(GroupKey.group_id == asked.c.group_id)
        .scalar_subquery()
    )
    envelopes = (
        select(
            func.json_agg(
                aggregate_order_by(
                    json_object(
                        keyVersion=KeyEnvelope.key_version,
                        wrappedKey=base64(KeyEnvelope.wrapped_key),
                        wrapperPublicKey=base64(KeyEnvelope.wrapper_public_key),
                        wrapperDeviceId=KeyEnvelope.wrapper_device_id,
                    ),
                    KeyEnvelope.key_version,
                )
            )
        )
        .where(
            KeyEnvelope.device_id == select(caller.c.device_id).scalar_subquery(),
            KeyEnvelope.group_id == asked.c.group_id,
            KeyEnvelope.wrapped_key.is_not(None),
        )
        .scalar_subquery()
    )
    entry = (
        select(KeyEnvelope)
        .where(
            KeyEnvelope.group_id == asked.c.group_id,
            KeyEnvelope.key_version > oldest_shown,
            KeyEnvelope.roster_entry.is_not(None),
        )
        .correlate(asked)
        .order_by(KeyEnvelope.id.desc())
        .limit(literal_column(str(MOST_ENTRIES)))
        .subquery("entry")
    )
    entries = select(
        func.json_agg(
            aggregate_order_by(
                json_object(
                    keyVersion=entry.c.key_version,
                    rosterEntry=base64(entry.c.roster_entry),
                    wrapperDeviceId=entry.c.wrapper_device_id,
                ),
                entry.c.id,
            )
        )
    ).scalar_subquery()
    return auth.answer(
        caller,
        asked,
        asked.c.group_id,
        asked.c.key_version,
        asked.c.rotation_required,
        asked.c.is_confirmed,
        versions.label("versions"),
        envelopes.label("envelopes"),
        entries.label("roster_entries"),
    )


def _build_pending() -> Select[Any]:
    caller = auth.caller()
    asked = _asked(groups.membership(caller))
    has_key = _has_envelope(
        group_id=asked.c.group_id, key_version=asked.c.key_version, wrapped=True
    )
    pending = (
        select(
            func.json_agg(
                aggregate_order_by(
                    json_object(
                        deviceId=Device.id,
                        userId=User.id,
                        name=User.name,
                        publicKey=base64(Device.public_key),
                        joinProof=base64(join_proof(Device, Member)),
                    ),
                    Device.id,
                )
            )
        )
        .select_from(Member)
        .join(User, User.id == Member.user_id)
        .join(Device, Device.user_id == User.id)
        .where(
            Member.group_id == asked.c.group_id,
            asked.c.is_confirmed,
            asked.c.key_version > literal_column("0"),
            Device.public_key.is_not(None),
            auth.IS_VALID,
            ~has_key,
        )
        .scalar_subquery()
    )
    return auth.answer(
        caller, asked, asked.c.group_id, asked.c.is_confirmed, pending.label("devices")
    )


def _build_newest() -> Select[Any]:
    caller = auth.caller()
    membership = groups.membership(caller)
    newest = (
        select(KeyEnvelope.wrapped_key, KeyEnvelope.wrapper_public_key, KeyEnvelope.key_version)
        .join(
            membership,
            and_(
                membership.c.group_id == KeyEnvelope.group_id,
                membership.c.key_version == KeyEnvelope.key_version,
            ),
        )
        .where(
            KeyEnvelope.device_id == select(caller.c.device_id).scalar_subquery(),
            KeyEnvelope.wrapped_key.is_not(None),
        )
        .order_by(KeyEnvelope.id.desc())
        .limit(literal_column("1"))
        .cte("newest")
    )
    has_key = select(membership.c.group_id).where(membership.c.key_version > literal_column("0"))
    return auth.answer(caller, newest, *newest.c, has_key.exists().label("is_pending"))


LIST_KEYS = Compiled(_build_keys)
LIST_PENDING = Compiled(_build_pending)
FIND_NEWEST = Compiled(_build_newest)


def set_public_key(session: Session, *, caller: Caller, public_key: bytes) -> bytes | None:
    """Give the calling device its public key, unless it has one; return which it has.

    None when its token is not valid any more.
    """
    statement = (
        update(Device)
        .where(
            Device.id == caller.device_id,
            Device.token_hash == caller.credential.token_hash,
            Device.revoked_at.is_(None),
        )
        .values(public_key=func.coalesce(Device.public_key, public_key))
        .returning(Device.public_key)
    )
    return session.scalar(statement)


def list_recipients(session: Session, *, group_id: UUID) -> Mapping[UUID, Any]:
    """Return the devices that may be given a group's key, by their ids.

    Rows have `user_id`, `public_key`, whether the device `is_confirmed` in the group's present
    version, and whether it `was_given` any version.
    """
    version = select(Group.key_version).where(Group.id == group_id).scalar_subquery()
    given = exists().where(GivenKey.device_id == Device.id, GivenKey.group_id == group_id)
    statement = (
        select(
            Device.id,
            Device.user_id,
            Device.public_key,
            _has_envelope(group_id=group_id, key_version=version, wrapped=False).label(
                "is_confirmed"
            ),
            given.label("was_given"),
        )
        .join(Member, Member.user_id == Device.user_id)
        .where(Member.group_id == group_id, Device.kind == "app", auth.IS_VALID)
    )
    return {row.id: row for row in session.execute(statement)}


def wait_for_version(session: Session, *, group_id: UUID, key_version: int) -> int:
    """Return how many seconds a group of this version has to wait for its next key; 0: none."""
    day: ColumnElement[Any] = literal_column("interval '1 day'")
    wait = func.ceil(extract("epoch", GroupKey.created_at + day - func.now()))
    statement = select(cast(wait, Integer)).where(
        GroupKey.group_id == group_id,
        GroupKey.key_version == key_version - MOST_VERSIONS_A_DAY + 1,
    )
    return max(0, session.scalar(statement) or 0)


def create_version(
    session: Session,
    *,
    group_id: UUID,
    key_version: int,
    envelopes: Sequence[Mapping[str, Any]],
    **columns: Any,
) -> None:
    """Give a group its next version with the envelopes that carry it.

    Packages with a former key go: they would no longer be handed out.
    """
    made = (
        insert(GroupKey).values(group_id=group_id, key_version=key_version, **columns).cte("made")
    )
    advanced = (
        update(Group)
        .where(Group.id == group_id)
        .values(key_version=key_version, rotation_required=False)
        .cte("advanced")
    )
    outdated = (
        update(InviteCode)
        .where(InviteCode.group_id == group_id, InviteCode.key_package.is_not(None))
        .values(key_package=None)
        .cte("outdated")
    )
    session.execute(
        insert(KeyEnvelope)
        .values(
            [
                {"group_id": group_id, "key_version": key_version, **envelope}
                for envelope in envelopes
            ]
        )
        .add_cte(made, advanced, outdated)
    )


def find_wrapping(
    session: Session, *, group_id: UUID, key_version: int, wrapper_id: UUID, recipient_id: UUID
) -> Any:
    """Return what there is to know before one device wraps a key for another, in one row.

    `version_exists`; of the wrapper `holds_key` in that version and `public_key`; of the recipient
    `user_id` (null where it may not be given the key), `is_admitted` (it has come by key package,
    or has an envelope), `wrapped_key`, and `is_own`: it came by a package and wrapped that itself.
    """
    wrapper, envelope = aliased(Device), aliased(KeyEnvelope)
    version = exists().where(GroupKey.group_id == group_id, GroupKey.key_version == key_version)
    held = exists().where(
        KeyEnvelope.device_id == wrapper_id,
        KeyEnvelope.group_id == group_id,
        KeyEnvelope.key_version == key_version,
    )
    came_by_package = exists().where(
        InviteCode.used_by_device_id == recipient_id,
        InviteCode.group_id == group_id,
        InviteCode.key_version == key_version,
    )
    eligible = (
        select(Device.id, Device.user_id)
        .join(Member, and_(Member.user_id == Device.user_id, Member.group_id == group_id))
        .where(Device.id == recipient_id, Device.public_key.is_not(None), auth.IS_VALID)
        .subquery("eligible")
    )
    statement = (
        select(
            version.label("version_exists"),
            held.label("holds_key"),
            wrapper.public_key,
            eligible.c.user_id,
            envelope.id.is_not(None).label("is_admitted"),
            envelope.wrapped_key,
            and_(envelope.wrapper_device_id == envelope.device_id, came_by_package).label("is_own"),
        )
        .select_from(wrapper)
        .outerjoin(eligible, literal_column("true"))
        .outerjoin(
            envelope,
            and_(
                envelope.device_id == eligible.c.id,
                envelope.group_id == group_id,
                envelope.key_version == key_version,
            ),
        )
        .where(wrapper.id == wrapper_id)
    )
    return session.execute(statement).one()


def put_envelope(session: Session, **columns: Any) -> None:
    """Keep an envelope, in the place of one without a wrapped key or with the device's own."""
    statement = insert(KeyEnvelope).values(**columns)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["device_id", "group_id", "key_version"],
            set_={
                name: statement.excluded[name]
                for name in (
                    "wrapped_key",
                    "wrapper_public_key",
                    "wrapper_device_id",
                    "roster_entry",
                )
            },
        )
    )


def delete_envelope(session: Session, *, group_id: UUID, key_version: int, device_id: UUID) -> int:
    """Delete a device's envelope of a version; return how many there were."""
    deleted: Any = session.execute(
        delete(KeyEnvelope).where(
            KeyEnvelope.device_id == device_id,
            KeyEnvelope.group_id == group_id,
            KeyEnvelope.key_version == key_version,
        )
    )
    return int(deleted.rowcount)
