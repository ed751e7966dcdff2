"""Invites: a link that carries the key, or a code that carries nothing."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from draugar.errors import AnswerNotUnderstood, FailureCode, KeyPending, NotPossible, TooManyDevices
from draugar.protocol.codes import make_code
from draugar.protocol.errors import Unsealable
from draugar.protocol.invites import InviteKeys, Package, seal_package
from draugar.protocol.json import to_base64url
from draugar.protocol.links import InviteLink, Unreadable, canonical
from draugar.protocol.secrets import InviteSecret
from draugar.storage import invites
from draugar.trust.state import OwnLink
from draugar.usecases.context import Context
from draugar.usecases.sync import GroupSnapshot

LONGEST_LIFE = timedelta(days=7)
"""Of a link, which opens the key to whoever has it and comes first."""


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """An invite just made. Whoever has the link, or the code, can come in by it, once."""

    id: UUID
    group_id: UUID
    link: InviteLink | None = field(repr=False)
    """Carries the group's key to the joiner; None for an invite by typed code."""
    code: str = field(repr=False)
    expires_at: datetime | None
    for_me: bool


def by_link(context: Context, view: GroupSnapshot, *, life: timedelta, for_me: bool) -> Invitation:
    """Make a link, and keep what proves who came in by it."""
    if not timedelta() < life <= LONGEST_LIFE:
        raise NotPossible(FailureCode.LINK_LIVES_TOO_LONG)
    me, group_id = context.me, view.group_id
    state = context.group(group_id)
    key = state.key(view.key_version)
    if key is None:
        raise KeyPending
    secret, code = InviteSecret.make(), make_code()
    keys = InviteKeys.of(secret, code)
    package = Package(
        group_key=key,
        key_version=view.key_version,
        group_id=group_id,
        inviter_user_id=me.user_id,
        inviter_public_key=me.device_key.public,
        commitment=key.commitment(group_id, view.key_version),
        roster=state.roster(),
    )
    try:
        sealed = seal_package(package, keys)
    except Unsealable:
        raise TooManyDevices from None
    body = {
        "groupId": str(group_id),
        "expiresInHours": life / timedelta(hours=1),
        "code": code,
        "keyPackage": to_base64url(sealed),
        "keyVersion": view.key_version,
        "forMe": for_me,
    }
    link = _link(me.url, code, secret, for_me=for_me)
    id_, _, expires_at = context.api.invite(body)
    invites.keep(
        context.home,
        group_id,
        OwnLink(
            id=id_,
            proof_key=keys.proof,
            code=code,
            for_me=for_me,
            # By this device's own clock: the service has no say in how long a link is good.
            expires_at=(context.clock() + life).timestamp(),
        ),
    )
    return Invitation(
        id=id_,
        group_id=group_id,
        link=link,
        code=code,
        expires_at=expires_at,
        for_me=for_me,
    )


def by_code(context: Context, group_id: UUID, *, life: timedelta | None) -> Invitation:
    """Make a code that is to be typed."""
    hours = None if life is None else life / timedelta(hours=1)
    body: dict[str, Any] = {"groupId": str(group_id), "expiresInHours": hours}
    id_, code, expires_at = context.api.invite(body)
    try:
        code = canonical(code)
    except Unreadable:
        raise AnswerNotUnderstood from None
    return Invitation(
        id=id_, group_id=group_id, link=None, code=code, expires_at=expires_at, for_me=False
    )


def _link(url: str, code: str, secret: InviteSecret, *, for_me: bool) -> InviteLink:
    try:
        return InviteLink(url=url, code=code, secret=secret, for_me=for_me)
    except Unreadable:
        raise NotPossible(FailureCode.NO_LINK_FOR_ADDRESS) from None
