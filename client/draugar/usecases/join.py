"""Coming in: so that neither a crash nor a lost answer costs the invite.

plan      what is to be sent, written before it is sent: the same again is the same join
answer    kept as it is, the key package included, which comes once only
settling  the package is opened, or the first key made: at the next command if not at once
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from draugar.errors import (
    AlreadyJoined,
    FailureCode,
    FoundingCode,
    JoinUnfinished,
    NotPossible,
    Refused,
    ServiceAway,
)
from draugar.models import Code
from draugar.protocol.address import service_url
from draugar.protocol.envelopes import wrap
from draugar.protocol.invites import InviteKeys, join_proof
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.links import InviteLink, Unreadable, canonical
from draugar.protocol.secrets import DeviceKey, InviteSecret
from draugar.service.api import Api
from draugar.service.transport import Transport
from draugar.storage import groups
from draugar.storage.home import Home, Me
from draugar.text import naming
from draugar.trust import joining
from draugar.trust.growth import OWN_NAME
from draugar.trust.values import State
from draugar.usecases import leave as leaving
from draugar.usecases import listing as listed
from draugar.usecases import rotate as rotation
from draugar.usecases import sync
from draugar.usecases.context import Context


@dataclass(frozen=True, kw_only=True)
class Invite:
    """What somebody was given to come in by."""

    url: str
    code: str = field(repr=False)
    """In its canonical form."""
    secret: InviteSecret | None = None
    for_me: bool = False

    @classmethod
    def typed(cls, url: str, code: str, *, founds: bool = False) -> Self:
        """Read a code as it was typed. Raises NotPossible."""
        try:
            return cls(url=url, code=canonical(code))
        except Unreadable:
            mistyped = (
                FailureCode.FOUNDING_CODE_MISTYPED if founds else FailureCode.INVITE_CODE_MISTYPED
            )
            raise NotPossible(mistyped) from None

    @classmethod
    def link(cls, link: InviteLink) -> Self:
        """Take a link."""
        return cls(url=link.url, code=link.code, secret=link.secret, for_me=link.for_me)


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """Who comes in, and what they would found."""

    name: str = field(repr=False)
    device: str = field(repr=False)
    group: dict[str, str] | None = field(default=None, repr=False)


def join(home: Home, invite: Invite, newcomer: Newcomer, *, patience: timedelta) -> None:
    """Make a home somebody's. The same again finishes what was begun.

    Raises AlreadyJoined, JoinUnfinished, FoundingCode, InviteNotValid and other ServiceFailure.
    """
    plan, is_new = _plan(home, invite, newcomer)
    device_key = DeviceKey(from_base64url(plan["device_key"]))
    with Transport(plan["url"], patience=patience) as transport:
        api = Api(transport)
        try:
            if is_new and newcomer.group is None:
                require_invitation(api, invite)
            joined = api.join(_body(plan, device_key), idempotency_key=plan["idempotency_key"])
        except (Refused, FoundingCode):
            home.forget_join()
            raise
        except ServiceAway as failure:
            if is_new and not failure.may_be_done:
                home.forget_join()  # nothing of it has arrived, so that all of it may change
            raise
    with home.transaction():
        home.forget_join()
        home.belong_to(
            Me(
                url=plan["url"],
                user_id=joined.user_id,
                name=_name(plan, joined.name),
                device_id=joined.device_id,
                token=joined.token,
                device_key=device_key,
                is_further=invite.for_me,
            )
        )
        _enter_by(home, invite, joined.group_id, joined.group_name)
        if joined.key_package is not None:
            _keep_package(
                home,
                joined.group_id,
                joined.key_package,
                invite,
                version=joined.key_version,
                new_home=True,
            )


def require_invitation(api: Api, invite: Invite) -> None:
    """See that a typed code leads to a group: else it would found one unasked.

    Raises FoundingCode, ServiceFailure.
    """
    if invite.secret is not None:
        return  # no link is made for founding
    try:
        is_founding = api.founds_group(invite.code)
    except ServiceAway as failure:
        failure.may_be_done = False  # to ask changes nothing
        raise
    if is_founding:
        raise FoundingCode


def join_group(context: Context, invite: Invite) -> UUID:
    """Join a further group. Raises FoundingCode, ServiceFailure."""
    home, me = context.home, context.me
    require_invitation(context.api, invite)
    body: dict[str, Any] = {"code": invite.code}
    if invite.secret is not None:
        keys = InviteKeys.of(invite.secret, invite.code)
        proof = join_proof(keys.proof, me.device_key.public, me.name, invite.code)
        body["proof"] = to_base64url(proof)
    group = context.api.join_group(body)
    with home.transaction():
        if group.id not in groups.ids(home):
            leaving.forget(context, group.id)  # what was known of it is from another time
        _enter_by(home, invite, group.id, group.name)
        if group.key_package is not None:
            # The answer's version is that of the group, which may be newer than the package's.
            _keep_package(home, group.id, group.key_package, invite, version=None, new_home=False)
        if me.is_further:
            with context.changing(group.id) as change:
                change.trust(joining.founded(change.state.trust, me.name))
    return group.id


def _enter_by(home: Home, invite: Invite, group_id: UUID, name: str) -> None:
    # A link leads to a group that has a key; a code may be a founding one.
    groups.enter(home, group_id, name, is_founding=invite.secret is None)
    if invite.secret is not None:
        groups.note_key(home, group_id)


def settle(context: Context) -> None:
    """Finish what a join has begun: open a package, or make a group's first key."""
    for group_id, plan in groups.packages(context.home):
        _open_package(context, group_id, plan)
    for group_id in groups.founding(context.home):
        view = sync.update(context, group_id)
        is_alone = all(person.user_id == context.me.user_id for person in view.directory.people)
        if view.key_version == 0 and is_alone:
            rotation.rotate(context, group_id)
        groups.founded(context.home, group_id)


def _plan(home: Home, invite: Invite, newcomer: Newcomer) -> tuple[dict[str, Any], bool]:
    """Return what is to be sent, and whether nothing of it may have been sent before.

    What was sent and not answered is sent with the same keys, so that it is one join however often
    it arrives; a name that was corrected meanwhile is sent as it is now. For another service it is
    made anew. Raises NotPossible before anything is kept.
    """
    group = newcomer.group and {**newcomer.group, "name": naming.checked(newcomer.group["name"])}
    wanted: dict[str, Any] = {
        "url": service_url(invite.url),
        "code": invite.code,
        "secret": invite.secret and invite.secret.text,
        "for_me": invite.for_me,
        "name": OWN_NAME if invite.for_me else naming.checked(newcomer.name),
        "device": naming.checked(newcomer.device),
        "group": group,
    }
    with home.transaction():
        if home.is_joined:
            raise AlreadyJoined
        before = home.begun_join() or {}
        if before and before["code"] != wanted["code"]:
            raise JoinUnfinished
        is_new = before.get("url") != wanted["url"]
        if is_new:
            plan = wanted | {
                "device_key": to_base64url(DeviceKey.make().value),
                "idempotency_key": secrets.token_urlsafe(32),
                "earlier_names": [],
            }
        else:
            plan = before | wanted
            plan["earlier_names"] = [*before.get("earlier_names", []), before["name"]]
        home.begin_join(plan)
    return plan, is_new


def _name(plan: dict[str, Any], answered: str) -> str:
    """Return by which of the names that were sent the service knows this member.

    Of a further device it is the answered one, until the package says which.
    """
    is_sent = answered in plan["earlier_names"]
    return answered if plan["for_me"] or is_sent else str(plan["name"])


def _body(plan: dict[str, Any], device_key: DeviceKey) -> dict[str, Any]:
    body: dict[str, Any] = {
        "code": plan["code"],
        "name": plan["name"],
        "device": {"name": plan["device"], "publicKey": to_base64url(device_key.public)},
    }
    if plan["group"] is not None:
        body["group"] = plan["group"]
    if plan["secret"] is not None:
        keys = InviteKeys.of(InviteSecret.read(plan["secret"]), plan["code"])
        proof = join_proof(keys.proof, device_key.public, plan["name"], plan["code"])
        body["proof"] = to_base64url(proof)
    return body


def _keep_package(  # noqa: PLR0913 -- each by its name
    home: Home,
    group_id: UUID,
    sealed: bytes,
    invite: Invite,
    *,
    version: int | None,
    new_home: bool,
) -> None:
    if invite.secret is None:
        return  # for a code that was typed there is none
    groups.keep_package(
        home,
        group_id,
        {
            "sealed": to_base64url(sealed),
            "secret": invite.secret.text,
            "code": invite.code,
            "for_me": invite.for_me,
            "version": version,
            "new_home": new_home,
        },
    )


def _open_package(context: Context, group_id: UUID, plan: dict[str, Any]) -> None:
    home, me = context.home, context.me
    coming = joining.Joining(
        sealed=from_base64url(plan["sealed"]),
        keys=InviteKeys.of(InviteSecret.read(plan["secret"]), plan["code"]),
        version=plan.get("version"),
        for_me=plan["for_me"],
        new_home=plan.get("new_home", plan["for_me"]),
    )
    keys = listed.keys(context.api.keys(group_id))
    listing = listed.listing(context.api.people(group_id))
    now = context.clock().timestamp()
    found = joining.judge_package(context.group(group_id).trust, coming, listing, keys, now)
    if isinstance(found, State):
        key = found.held[found.highest].key
        # Where the key was changed meanwhile, or this was done before a crash, it is as well.
        with suppress(Refused):
            context.api.put_envelope(
                group_id,
                found.highest,
                me.device_id,
                wrapped_key=wrap(key, me.device_key.public, me.device_key),
            )
    with home.transaction():
        if (group_id, plan) not in groups.packages(home):
            return  # another command has just opened it
        groups.drop_package(home, group_id)
        with context.changing(group_id) as change:
            found = joining.judge_package(change.state.trust, coming, listing, keys, now)
            if isinstance(found, State):
                change.trust(found)
                if plan["for_me"]:
                    home.rename(found.name_of(me.user_id) or me.name)
                return
    reason = dict(found.parameters)["reason"]
    context.tell(Code.PACKAGE_REFUSED, group_id=group_id, reason=reason)
