"""Invites: a link that carries the key, or a code that carries nothing."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from draugar.errors import AnswerNotUnderstood, FailureCode, KeyPending, NotPossible
from draugar.protocol.codes import make_code
from draugar.protocol.invites import InviteKeys, Package, fitted, seal_package
from draugar.protocol.json import to_base64url
from draugar.protocol.links import InviteLink, Unreadable, canonical
from draugar.protocol.secrets import InviteSecret
from draugar.storage import groups
from draugar.trust import words
from draugar.trust.values import Link, Record, State
from draugar.usecases import sync
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
    state = context.group(group_id).trust
    key = context.group(group_id).key(view.key_version)
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
        roster=sync.entries(view, _by_rank(state, view)),
    )
    sealed = seal_package(fitted(package), keys)
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
    made = Link(
        id=id_,
        for_me=for_me,
        proof_key=keys.proof,
        code=code,
        version=view.key_version,
        # By this device's own clock: the service has no say in how long a link is good.
        expires_at=(context.clock() + life).timestamp(),
    )
    with context.changing(group_id) as change:
        change.trust(words.linked(change.state.trust, made))
    return Invitation(
        id=id_,
        group_id=group_id,
        link=link,
        code=code,
        expires_at=expires_at,
        for_me=for_me,
    )


def _by_rank(state: State, view: GroupSnapshot) -> list[Record]:
    """Return whom a package names, first those without whom the joiner could not go on."""
    trusted = [one for id_, one in state.trusted().items() if id_ in view.directory.listed]
    return sorted(trusted, key=lambda one: not state.is_own(one.device))


def revoked(context: Context, invite_id: UUID) -> None:
    """Know no device by a link any more."""
    for group_id in groups.ids(context.home):
        with context.changing(group_id) as change:
            change.trust(words.unlinked(change.state.trust, invite_id))


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
