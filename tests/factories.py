"""Rows for tests: plain functions with defaults, each argument a keyword."""

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, select
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


def someone(session: Session, *, name: str = "Signy", **device: Any) -> Someone:
    """Make a person with one device."""
    token = make_token()
    user = User(name=name)
    session.add(user)
    session.flush()
    made = Device(
        **{
            "user_id": user.id,
            "name": "Phone",
            "kind": "app",
            "token_hash": hash_token(token),
            **device,
        }
    )
    session.add(made)
    session.commit()
    return Someone(user_id=user.id, device_id=made.id, token=token, public_key=made.public_key)


def with_key(session: Session, *, name: str = "Signy", **device: Any) -> Someone:
    """Make a person with one device, which has a public key."""
    return someone(session, name=name, public_key=secrets.token_bytes(32), **device)


def further_device(session: Session, owner: Someone, **columns: Any) -> Someone:
    """Give somebody another device, which has a public key."""
    token = make_token()
    made = Device(
        **{
            "user_id": owner.user_id,
            "name": "Tablet",
            "kind": "app",
            "public_key": secrets.token_bytes(32),
            "token_hash": hash_token(token),
            **columns,
        }
    )
    session.add(made)
    session.commit()
    return replace(owner, device_id=made.id, token=token, public_key=made.public_key)


def phone(
    session: Session, group_id: UUID, who: Someone, *, tid: str = "un", **columns: Any
) -> Someone:
    """Give somebody a phone with OwnTracks, without a key; its token is its password."""
    token = make_token()
    made = Device(
        **{
            "user_id": who.user_id,
            "name": "OwnTracks",
            "kind": "owntracks",
            "token_hash": hash_token(token),
            "group_id": group_id,
            "tid": tid,
            "key_version": 0,
            **columns,
        }
    )
    session.add(made)
    session.commit()
    return Someone(user_id=who.user_id, device_id=made.id, token=token)


def group(
    session: Session, *members: Someone, admin: Someone | None = None, **columns: Any
) -> UUID:
    """Make a group; the first member is its admin unless somebody else is. Plaintext is allowed.

    Of a group with a key every member's device holds it.
    """
    made = Group(**{"name": "Hearth", "encryption": "optional", **columns})
    session.add(made)
    session.flush()
    admin = admin or members[0]
    everybody = [admin, *(member for member in members if member is not admin)]
    for number, member in enumerate(everybody):
        add_member(
            session,
            made.id,
            member,
            role="admin" if member is admin else "member",
            # A family that has been together for a while; longest-standing first.
            joined_at=datetime.now(UTC) - timedelta(days=20, minutes=-number),
        )
    session.refresh(made)
    for key_version in range(1, made.key_version + 1):
        session.add(GroupKey(group_id=made.id, key_version=key_version, commitment=bytes(32)))
        session.flush()
        for member in everybody:
            confirm(session, made.id, member, key_version)
    session.commit()
    return made.id


def confirm(
    session: Session,
    group_id: UUID,
    who: Someone,
    key_version: int,
    *,
    by: Someone | None = None,
) -> None:
    """Give somebody's device a version of a group's key, wrapped by itself unless by another."""
    envelope = _envelope(group_id, who, key_version)
    envelope.wrapped_key = secrets.token_bytes(72)
    envelope.wrapper_public_key = (by or who).public_key or bytes(32)
    envelope.wrapper_device_id = (by or who).device_id
    session.add(envelope)
    session.commit()


def admit(session: Session, group_id: UUID, who: Someone, key_version: int) -> None:
    """Let somebody's device in as a key package does: it has put no envelope yet."""
    session.add(_envelope(group_id, who, key_version))
    session.commit()


def _envelope(group_id: UUID, who: Someone, key_version: int) -> KeyEnvelope:
    return KeyEnvelope(
        group_id=group_id, key_version=key_version, user_id=who.user_id, device_id=who.device_id
    )


def add_member(session: Session, group_id: UUID, who: Someone, **columns: Any) -> None:
    """Put somebody into a group."""
    session.add(
        Member(**{"group_id": group_id, "user_id": who.user_id, "role": "member", **columns})
    )
    session.commit()


def invite(session: Session, *, group_id: UUID | None, by: Someone | None, **columns: Any) -> Code:
    """Make an invite and return its code."""
    code = Code.make(timedelta(hours=1))
    now = session.scalar(select(func.now()))
    assert now is not None
    session.add(
        InviteCode(
            **{
                "code_hash": code_hash(code, PEPPER.encode()),
                "group_id": group_id,
                "created_by": by.user_id if by else None,
                # Older than any moment at which a test may let it expire.
                "created_at": now - timedelta(days=1),
                "expires_at": now + timedelta(hours=1),
                **columns,
            }
        )
    )
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
    made = Location(
        **{
            "group_id": group_id,
            "user_id": who.user_id,
            "device_id": who.device_id,
            "id": UUID(point_id(moment)),
            "recorded_at": moment.replace(microsecond=moment.microsecond // 1000 * 1000),
            "latitude": 64.1466,
            "longitude": -21.9426,
            "accuracy": 12.5,
            **columns,
        }
    )
    session.add(made)
    session.commit()
    return made.id


def everything(session: Session) -> str:
    """Return every row of every table as text: what a copy of the database would tell."""
    return "\n".join(
        row
        for table in Base.metadata.sorted_tables
        for row in session.scalars(select(cast(table.table_valued(), Text)))
    )
