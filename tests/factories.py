"""Rows for tests: plain functions with defaults, each argument a keyword."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, Text, func, insert, select
from sqlalchemy import cast as cast_to
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import hash_token, make_token
from chalicelib.db.base import Base
from chalicelib.invites.codes import InviteCode as Code
from chalicelib.invites.codes import code_hash
from chalicelib.models import (
    Device,
    Group,
    GroupKey,
    InviteCode,
    KeyEnvelope,
    Location,
    Member,
    User,
)
from chalicelib.web import to_base64
from tests.database import PEPPER


@dataclass(frozen=True)
class Someone:
    """A person with a device, and the token that only they have."""

    user_id: UUID
    device_id: UUID
    token: str
    public_key: bytes | None = None


def keep(session: Session, table: type[Base], **columns: Any) -> UUID:
    """Insert a row and return its id, without what the session would do besides."""
    into = cast("Table", table.__table__)
    statement = insert(into).values(**columns).returning(into.c.id)
    id_: UUID = session.connection().execute(statement).scalar_one()
    return id_


def someone(session: Session, *, name: str = "Signy", **device: Any) -> Someone:
    """Make a person with one device."""
    user_id = keep(session, User, name=name)
    return _device(session, user_id, **{"name": "Phone", "kind": "app", **device})


def _device(session: Session, user_id: UUID, **columns: Any) -> Someone:
    token = make_token()
    made = keep(session, Device, **{"user_id": user_id, "token_hash": hash_token(token), **columns})
    session.commit()
    return Someone(
        user_id=user_id, device_id=made, token=token, public_key=columns.get("public_key")
    )


def with_key(session: Session, *, name: str = "Signy", **device: Any) -> Someone:
    """Make a person with one device, which has a public key."""
    return someone(session, name=name, public_key=secrets.token_bytes(32), **device)


def further_device(session: Session, owner: Someone, **columns: Any) -> Someone:
    """Give somebody another device, which has a public key."""
    told = {"name": "Tablet", "kind": "app", "public_key": secrets.token_bytes(32)}
    return _device(session, owner.user_id, **{**told, **columns})


def phone(
    session: Session, group_id: UUID, who: Someone, *, tid: str = "un", **columns: Any
) -> Someone:
    """Give somebody a phone with OwnTracks, without a key; its token is its password."""
    told = {"name": "OwnTracks", "kind": "owntracks", "group_id": group_id, "tid": tid}
    return _device(session, who.user_id, **{**told, "key_version": 0, **columns})


def group(
    session: Session, *members: Someone, admin: Someone | None = None, **columns: Any
) -> UUID:
    """Make a group; the first member is its admin unless somebody else is. Plaintext is allowed.

    Of a group with a key every member's device holds it.
    """
    group_id = keep(session, Group, **{"name": "Hearth", "encryption": "optional", **columns})
    admin = admin or members[0]
    everybody = [admin, *(member for member in members if member is not admin)]
    for number, member in enumerate(everybody):
        keep(
            session,
            Member,
            group_id=group_id,
            user_id=member.user_id,
            role="admin" if member is admin else "member",
            # A family that has been together for a while; longest-standing first.
            joined_at=datetime.now(UTC) - timedelta(days=20, minutes=-number),
        )
    for key_version in range(1, columns.get("key_version", 0) + 1):
        keep(session, GroupKey, group_id=group_id, key_version=key_version, commitment=bytes(32))
        for member in everybody:
            keep(session, KeyEnvelope, **_wrapped(group_id, member, key_version, by=member))
    session.commit()
    return group_id


def confirm(
    session: Session,
    group_id: UUID,
    who: Someone,
    key_version: int,
    *,
    by: Someone | None = None,
) -> None:
    """Give somebody's device a version of a group's key, wrapped by itself unless by another."""
    keep(session, KeyEnvelope, **_wrapped(group_id, who, key_version, by=by or who))
    session.commit()


def admit(session: Session, group_id: UUID, who: Someone, key_version: int) -> None:
    """Let somebody's device in as a key package does: it has put no envelope yet."""
    keep(session, KeyEnvelope, **_envelope(group_id, who, key_version))
    session.commit()


def _wrapped(group_id: UUID, who: Someone, key_version: int, *, by: Someone) -> dict[str, Any]:
    return _envelope(group_id, who, key_version) | {
        "wrapped_key": secrets.token_bytes(72),
        "wrapper_public_key": by.public_key or bytes(32),
        "wrapper_device_id": by.device_id,
    }


def _envelope(group_id: UUID, who: Someone, key_version: int) -> dict[str, Any]:
    return {
        "group_id": group_id,
        "key_version": key_version,
        "user_id": who.user_id,
        "device_id": who.device_id,
    }


def add_member(session: Session, group_id: UUID, who: Someone, **columns: Any) -> None:
    """Put somebody into a group."""
    told = {"group_id": group_id, "user_id": who.user_id, "role": "member"}
    keep(session, Member, **{**told, **columns})
    session.commit()


def invite(session: Session, *, group_id: UUID | None, by: Someone | None, **columns: Any) -> Code:
    """Make an invite and return its code."""
    code = Code.make(timedelta(hours=1))
    now = session.scalar(select(func.now()))
    assert now is not None
    told = {
        "code_hash": code_hash(code, PEPPER.encode()),
        "group_id": group_id,
        "created_by": by.user_id if by else None,
        # Older than any moment at which a test may let it expire.
        "created_at": now - timedelta(days=1),
        "expires_at": now + timedelta(hours=1),
    }
    keep(session, InviteCode, **{**told, **columns})
    session.commit()
    return code


def founding_invite(session: Session, **columns: Any) -> Code:
    """Make a founding invite and return its code."""
    return invite(session, group_id=None, by=None, **columns)


def opaque(length: int = 72) -> str:
    """Make so many bytes that the server cannot read, as they go over the wire."""
    return to_base64(secrets.token_bytes(length))


def new_key(expected_version: int, *devices: Someone, **fields: Any) -> dict[str, Any]:
    """Make a group key that is wrapped for these devices, as it goes over the wire."""
    return {
        "expectedVersion": expected_version,
        "commitment": opaque(32),
        "envelopes": [
            {"deviceId": str(device.device_id), "wrappedKey": opaque()} for device in devices
        ],
        **fields,
    }


def now(session: Session) -> datetime:
    """Return the moment at which time stands still in the session's transaction."""
    moment: datetime = session.scalars(select(func.now())).one()
    return moment


def point_id(at: datetime | None = None) -> str:
    """Make a UUID v7 of a moment, as a client would."""
    milliseconds = int((at or datetime.now(UTC)).timestamp() * 1000)
    value = (milliseconds << 80) | secrets.randbits(80)
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(UUID(int=value))


def plain_point(at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """Make a point in the clear, as it goes over the wire."""
    return {
        "id": point_id(at),
        "latitude": 64.1466,
        "longitude": -21.9426,
        "accuracy": 12.5,
        **fields,
    }


def sealed_point(
    at: datetime | None = None, *, sealed: bytes | None = None, **fields: Any
) -> dict[str, Any]:
    """Make a point that the server cannot read, as it goes over the wire."""
    return {
        "id": point_id(at),
        "encryptedData": to_base64(sealed or secrets.token_bytes(64)),
        "keyVersion": 3,
        **fields,
    }


def stored_point(
    session: Session, group_id: UUID, who: Someone, at: datetime | None = None, **columns: Any
) -> UUID:
    """Put a point where the service keeps them, of a time that it need not take any more."""
    moment = at or now(session)
    told = {
        "group_id": group_id,
        "user_id": who.user_id,
        "device_id": who.device_id,
        "id": UUID(point_id(moment)),
        "recorded_at": moment.replace(microsecond=moment.microsecond // 1000 * 1000),
        "latitude": 64.1466,
        "longitude": -21.9426,
        "accuracy": 12.5,
    }
    made = keep(session, Location, **{**told, **columns})
    session.commit()
    return made


def everything(session: Session) -> str:
    """Return every row of every table as text: what a copy of the database would tell."""
    return "\n".join(
        row
        for table in Base.metadata.sorted_tables
        for row in session.scalars(select(cast_to(table.table_valued(), Text)))
    )
