"""Invites: make, list, check, revoke, redeem. A code admits one person, once."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chalicelib import auth, limits
from chalicelib.auth import Caller, Credential
from chalicelib.auth import queries as people
from chalicelib.auth.credentials import hash_token, make_token
from chalicelib.db import OneStatement, Session
from chalicelib.errors import Conflict, Invalid, NotFound
from chalicelib.groups import queries as group_queries
from chalicelib.groups import service as groups
from chalicelib.invites import codes, queries
from chalicelib.invites.codes import InviteCode
from chalicelib.settings import settings

REPEATABLE = timedelta(minutes=15)
"""How long the answer to a join can be asked for again with its Idempotency-Key."""


LONGEST_LIFE_WITH_KEY = timedelta(days=7)
"""How long an invite may carry a key package, which opens with the secret in its link."""


@dataclass(frozen=True, kw_only=True)
class KeyPackage:
    """A group's key of a version, sealed under a secret that the service never sees."""

    sealed: bytes = field(repr=False)
    key_version: int


@dataclass(frozen=True, kw_only=True)
class WantedInvite:
    """What kind of invite somebody wants to make.

    To a group, or their only one; living for `life`, or for ever when that is None; with a code of
    their own making, or one of ours; `for_me` admits a further device of theirs.
    """

    group_id: UUID | None
    life: timedelta | None
    code: InviteCode | None
    key_package: KeyPackage | None
    for_me: bool


@dataclass(frozen=True, kw_only=True)
class NewInvite:
    """An invite just made: the only time its code is known."""

    id: UUID
    group_id: UUID | None
    code: InviteCode
    expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewGroup:
    """The group that the redeemer of a founding invite wants."""

    name: str = "Family"
    encryption: str = "required"


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """Who wants in: the name others will see, and the device it will be used on."""

    name: str
    device_name: str
    public_key: bytes | None
    in_browser: bool
    proof: bytes | None = field(repr=False)
    group: NewGroup | None
    idempotency_key: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Somebody who has just come in, with the only copy of their token."""

    token: str = field(repr=False)
    user_id: UUID
    name: str
    device_id: UUID
    group_id: UUID
    group_name: str
    key_package: KeyPackage | None = None


@dataclass(frozen=True, kw_only=True)
class ValidCode:
    """A code that would be accepted now."""

    code: InviteCode
    founds_group: bool
    """Whether its redeemer founds a group, and does not join one."""


class InviteNotValid(NotFound):
    """Unknown, used, expired or revoked: the answer is one and the same."""

    code = "invite_not_valid"
    detail = "There is no valid invite with this code. Ask for a new one."


class CodeTaken(Conflict):
    """The caller's own code is not theirs alone. Chance does not bring this about."""

    code = "code_taken"
    detail = "code: there is an invite with this code already. Make another."


class InviteNotFound(NotFound):
    """No such invite, or not one that the caller may revoke."""

    code = "invite_not_found"
    detail = "There is no such invite, or it is not yours to revoke."


class InviteUsed(Conflict):
    """Somebody has come in by it already."""

    code = "invite_used"
    detail = "Somebody has already joined with this invite. Remove the member instead."


class AlreadyAMember(Conflict):
    """The caller is in the group that the code leads to. The code is not spent."""

    code = "already_a_member"
    detail = "You are already in this group. The invite is still good for somebody else."


class GroupNotFounded(Invalid):
    """The code leads to a group that exists, so there is none to found. The code is not spent."""

    code = "group_not_founded"
    detail = "group: only a founding invite takes this."


def admit_attempt(connection: OneStatement, *, code: InviteCode | None, address: str) -> None:
    """Let somebody try a code, or not: by address, and short codes by the number of wrong guesses.

    Of a large network, so that it cannot use up alone what the whole deployment has.
    Raises TooManyRequests.
    """
    pepper = settings().pepper
    buckets = [limits.Bucket.of_address(codes.keyed_address(address, pepper))]
    if code is not None and code.is_short:
        if network := codes.keyed_network(address, pepper):
            buckets.append(limits.Bucket.of_network(network))
        buckets.append(limits.Bucket.FAILED_REDEMPTIONS)
    limits.admit(connection, *buckets)


def validate(session: Session, *, code: InviteCode | None) -> ValidCode | None:
    """Return a code that would be accepted now, and what for."""
    invite = None if code is None else queries.find_live(session, code_hash=_hash(code))
    if code is None or invite is None:
        return None
    _not_a_failure(session, code)
    return ValidCode(code=code, founds_group=invite.group_id is None)


def join(session: Session, *, code: InviteCode | None, newcomer: Newcomer) -> Joined:
    """Spend a code on a new person; or answer again what was lost, to whoever holds the key.

    Raises InviteNotValid, GroupNotFounded, and what groups refuse newcomers for: BrowsersRefused,
    TooManyDevices, TooManyDevicesInGroup, TooManyMembers.
    """
    invite = _lock(session, code)
    if invite is None:
        raise InviteNotValid
    key_hash = _key_hash(newcomer.idempotency_key)
    if invite.is_live:
        joined = _admit(session, invite, newcomer, key_hash)
    else:
        joined = _answer_again(session, invite, key_hash)
    _not_a_failure(session, code)
    return joined


def join_group(
    session: Session,
    *,
    caller: Caller,
    code: InviteCode | None,
    proof: bytes | None,
    group: NewGroup | None,
) -> tuple[groups.Membership, KeyPackage | None]:
    """Spend a code on somebody who is signed in. Their own repeat is answered again.

    The key package comes once, and to a device with a public key.
    Raises InviteNotValid, AlreadyAMember, GroupNotFounded, Unauthenticated, and what groups refuse
    newcomers for: BrowsersRefused, TooManyDevicesInGroup, TooManyGroups, TooManyMembers.
    """
    invite = _lock(session, code)
    # Whether there is a code or not: how long the answer takes says nothing of it either.
    auth.hold(session, caller, alone=True)
    # One for its creator admits a device that is not signed in yet, and nobody else.
    if invite is None or invite.for_creator:
        raise InviteNotValid
    if not invite.is_live:
        if invite.used_by != caller.user_id or invite.group_id is None:
            raise InviteNotValid
        _not_a_failure(session, code)
        try:
            return groups.find(session, caller=caller, group_id=invite.group_id), None
        except groups.GroupNotFound:
            # They have left since: the code is as spent as for anybody else.
            raise InviteNotValid from None
    group_id, key_package = _enter(
        session,
        invite,
        user_id=caller.user_id,
        device_id=caller.device_id,
        group=group,
        join_proof=proof,
    )
    _not_a_failure(session, code)
    return groups.find(session, caller=caller, group_id=group_id), key_package


def admit_inviter(connection: OneStatement, *, user_id: UUID) -> None:
    """Let somebody make an invite, or not. Raises TooManyRequests."""
    limits.admit(connection, limits.Bucket.of_inviter(user_id))


def create(session: Session, *, caller: Caller, wanted: WantedInvite) -> NewInvite:
    """Make an invite. The same with the same code again is answered as before.

    Raises CodeTaken, GroupNotFound, GroupRequired, NotConfirmed, Unauthenticated; with a key
    package also KeyVersionConflict, RotationRequired.
    """
    group_id = wanted.group_id or groups.only_group(session, caller=caller)
    membership = groups.enter_confirmed(session, caller=caller, group_id=group_id)
    package = wanted.key_package
    if package is not None:
        if membership.rotation_required:
            raise groups.RotationRequired
        if membership.key_version != package.key_version:
            raise groups.KeyVersionConflict.with_present(membership.key_version)
    return _create(
        session,
        life=wanted.life,
        code=wanted.code,
        # Such a code signs somebody in as its maker, so it is never a short one.
        is_long=wanted.for_me,
        group_id=group_id,
        created_by=caller.user_id,
        for_creator=wanted.for_me,
        key_package=package and package.sealed,
        key_version=package and package.key_version,
    )


def create_founding(session: Session, *, life: timedelta) -> NewInvite:
    """Make an invite whose redeemer founds a group. Only a job may."""
    return _create(session, life=life)


def list_invites(connection: OneStatement, *, credential: Credential) -> Sequence[Any]:
    """Return the invites that the caller may revoke or once could: rows of `LIST_INVITES`.

    Raises Unauthenticated.
    """
    rows = auth.read(connection, queries.LIST_INVITES, credential)
    return [row for row in rows if row.id is not None]


def revoke(session: Session, *, caller: Caller, invite_id: UUID) -> None:
    """Make a code worthless; once more does no harm.

    Raises InviteNotFound, InviteUsed, Unauthenticated.
    """
    invite = queries.lock_visible(session, caller=caller, invite_id=invite_id)
    if invite is None:
        raise InviteNotFound
    auth.hold(session, caller)
    if invite.used_at is not None:
        raise InviteUsed
    queries.revoke(session, invite_id=invite.id)


def revoke_all(session: Session) -> int:
    """Make every code worthless that could still let somebody in; return how many."""
    return queries.revoke_all(session)


def has_users(session: Session) -> bool:
    """Whether anybody has joined yet."""
    return queries.has_users(session)


def purge_expired(session: Session, *, at_most: int) -> int:
    """Delete codes that have expired unused; return how many."""
    return queries.delete_expired(session, at_most=at_most)


def _lock(session: Session, code: InviteCode | None) -> Any | None:
    if code is None:
        raise InviteNotValid
    return queries.lock_invite(session, code_hash=_hash(code), repeatable=REPEATABLE)


def _admit(
    session: Session,
    invite: Any,
    newcomer: Newcomer,
    idempotency_hash: bytes | None,
) -> Joined:
    token = make_token()
    device: dict[str, Any] = {
        "device_name": newcomer.device_name,
        "public_key": newcomer.public_key,
        "token_hash": hash_token(token),
        "in_browser": newcomer.in_browser,
    }
    if invite.for_creator:
        user_id, name = invite.created_by, None
        device_id = people.create_device(session, user_id=user_id, alone=True, **device)
    else:
        name = newcomer.name
        user_id, device_id = people.create_person(session, name=name, **device)
    group_id, key_package = _enter(
        session,
        invite,
        user_id=user_id,
        device_id=device_id,
        group=newcomer.group,
        join_proof=newcomer.proof,
        idempotency_hash=idempotency_hash,
    )
    return Joined(
        token=token,
        user_id=user_id,
        name=name or invite.creator_name,
        device_id=device_id,
        group_id=group_id,
        group_name=invite.group_name or (newcomer.group or NewGroup()).name,
        key_package=key_package,
    )


def _answer_again(session: Session, invite: Any, idempotency_hash: bytes | None) -> Joined:
    kept = invite.idempotency_hash
    if (
        not invite.is_repeatable
        or invite.used_by_device_id is None
        or kept is None
        or idempotency_hash is None
        or not hmac.compare_digest(kept, idempotency_hash)
    ):
        raise InviteNotValid
    found = queries.find_joined(session, invite=invite)
    if found is None:
        raise InviteNotValid
    token = make_token()
    people.replace_token(session, device_id=found.device_id, token_hash=hash_token(token))
    return Joined(token=token, **found._asdict())


def _enter(  # noqa: PLR0913 -- each by its name
    session: Session,
    invite: Any,
    *,
    user_id: UUID,
    device_id: UUID,
    group: NewGroup | None,
    join_proof: bytes | None,
    idempotency_hash: bytes | None = None,
) -> tuple[UUID, KeyPackage | None]:
    if invite.group_id is None:
        founded = group or NewGroup()
        entering = group_queries.new_group(
            name=founded.name, encryption=founded.encryption, founder_id=user_id
        )
    elif group is not None:
        raise GroupNotFounded
    elif invite.for_creator:
        entering = group_queries.present_member(group_id=invite.group_id, user_id=user_id)
    else:
        entering = group_queries.new_member(group_id=invite.group_id, user_id=user_id)
    entered = queries.spend(
        session,
        invite=invite,
        user_id=user_id,
        device_id=device_id,
        entering=entering,
        join_proof=join_proof,
        idempotency_hash=idempotency_hash,
    )
    if entered is None:
        raise AlreadyAMember  # which leaves the code unspent, as all that follows
    if entered.in_browser and invite.browsers == "refused":
        raise groups.BrowsersRefused
    if not invite.for_creator:
        groups.check_newcomer(entered)
    elif entered.has_key:
        groups.check_devices(entered)
    if not entered.is_admitted:
        return entered.group_id, None
    return entered.group_id, KeyPackage(sealed=invite.key_package, key_version=invite.key_version)


def _not_a_failure(session: Session, code: InviteCode | None) -> None:
    if code is not None and code.is_short:
        limits.give_back(session, limits.Bucket.FAILED_REDEMPTIONS)


def _create(
    session: Session,
    *,
    life: timedelta | None,
    code: InviteCode | None = None,
    is_long: bool = False,
    **columns: Any,
) -> NewInvite:
    while True:
        chosen = code or InviteCode.make(None if is_long else life)
        made = queries.create_invite(session, code_hash=_hash(chosen), life=life, **columns)
        if made is not None:
            return NewInvite(
                id=made.id,
                group_id=columns.get("group_id"),
                code=chosen,
                expires_at=made.expires_at,
            )
        # A short code is one of 10^12: somebody may have had it before.
        if code is not None:
            raise CodeTaken


def _hash(code: InviteCode) -> bytes:
    return codes.code_hash(code, settings().pepper)


def _key_hash(idempotency_key: str | None) -> bytes | None:
    return None if idempotency_key is None else codes.key_hash(idempotency_key, settings().pepper)
