"""Joining by link: what is checked before anything of the key package is kept."""

from dataclasses import dataclass, replace
from uuid import UUID

from draugar.protocol.errors import NewerFormat, NotAuthentic
from draugar.protocol.invites import InviteKeys, Package, open_package
from draugar.protocol.rosters import RosterEntry
from draugar.protocol.statements import Device
from draugar.trust.growth import usable
from draugar.trust.values import (
    NEVER,
    Keys,
    Listed,
    Listing,
    Name,
    Notice,
    OwnDevice,
    Record,
    Source,
    State,
    changed,
    contradicts,
    introduced,
    taken,
)


@dataclass(frozen=True, kw_only=True)
class Joining:
    """A package as it came, and by which link."""

    sealed: bytes
    keys: InviteKeys
    version: int | None
    """That of the answer; None where the answer does not say it."""
    for_me: bool
    """Whether the link is one for a further device of its maker."""
    new_home: bool
    """Whether this join made a person of this home, by `auth/join`."""


def judge_package(
    state: State, joining: Joining, listing: Listing, keys: Keys, now: float
) -> State | Notice:
    """Return the state with the package's key, inviter and devices; or why it was refused.

    `keys` and `listing` are fetched before, in this order. What is refused leaves nothing behind:
    the joiner waits, and can be confirmed.
    """
    try:
        package = open_package(joining.sealed, joining.keys)
    except NewerFormat:
        return Notice.of("package_refused", reason="newer_form")
    except NotAuthentic:
        return Notice.of("package_refused", reason="not_authentic")
    listed = usable(state, listing)
    inviter = _inviter(state, package, listed)
    reason = (
        _wrong_version(state, joining, package, keys)
        or ("inviter" if inviter is None else None)
        or _wrong_person(state, joining, package)
    )
    if reason is not None or inviter is None:
        return Notice.of("package_refused", reason=reason or "inviter")
    known = _taken(state, package, inviter, listed, present=keys.version, now=now)
    return _with_met(known, listed) if joining.for_me else known


def _with_met(state: State, listed: dict[UUID, Listed]) -> State:
    # A further device of a person finds the others there: none of them has come since.
    mine = [id_ for id_, one in listed.items() if one.device.user_id == state.me.user_id]
    return replace(state, met=dict.fromkeys(mine, 0) | dict(state.met))


def _wrong_version(state: State, joining: Joining, package: Package, keys: Keys) -> str | None:
    # "its group and version are those of the answer;" "`GET .../keys` shows that version with that
    # commitment, and no lower version as the present one;" "the version is above the highest, and
    # its key was never held in any group;"
    version = package.key_version
    shown = {one.version: one.commitment for one in keys.versions}
    known = {held.key for held in state.held.values()} | state.elsewhere
    if package.group_id != state.group_id:
        return "group"
    if joining.version not in (None, version):
        return "version"
    if shown.get(version) != package.commitment or keys.version < version:
        return "commitment"
    if version <= state.highest:
        return "old_version"
    return "old_key" if package.group_key in known else None


def _inviter(state: State, package: Package, listed: dict[UUID, Listed]) -> Device | None:
    # "exactly one entry has `inviterPublicKey`, its person is `inviterUserId`, and that device is
    # listed so, and is not known with another id, key, owner or kind;"
    entries = [one for one in package.roster if one.public_key == package.inviter_public_key]
    if len(entries) != 1 or entries[0].user_id != package.inviter_user_id:
        return None
    inviter = _as_listed(entries[0], listed)
    is_other = inviter is not None and contradicts(state.me, state.records, inviter)
    return None if is_other else inviter


def _as_listed(entry: RosterEntry, listed: dict[UUID, Listed]) -> Device | None:
    found = listed.get(entry.device_id)
    stated = Device(entry.user_id, entry.device_id, entry.public_key, entry.kind)
    return stated if found is not None and found.device == stated else None


def _wrong_person(state: State, joining: Joining, package: Package) -> str | None:
    # "A `me` link is taken only where the home has no person yet." "the inviter is of the joiner's
    # own person if and only if it is a `me` link; an entry with this device's id or key is this
    # device; an entry of its own person is an own device, or it is a `me` link."
    me = state.me
    if joining.for_me and not joining.new_home:
        return "home_in_use"
    if (package.inviter_user_id == me.user_id) != joining.for_me:
        return "inviter_person"
    if package.inviter_public_key == me.public_key:
        return "inviter"
    for entry in package.roster:
        device = Device(entry.user_id, entry.device_id, entry.public_key, entry.kind)
        if device == me:
            continue
        if entry.device_id == me.device_id or entry.public_key == me.public_key:
            return "this_device"
        if entry.user_id == me.user_id and not (state.is_own(device) or joining.for_me):
            return "own_device"
    return None


def _taken(  # noqa: PLR0913 -- each by its name
    state: State,
    package: Package,
    inviter: Device,
    listed: dict[UUID, Listed],
    *,
    present: int,
    now: float,
) -> State:
    # "Then it keeps the key, trusts the inviter as a root, and takes the other listed entries as
    # introductions by the inviter with the version of the package."
    version = package.key_version
    held = taken(state.held, version, package.group_key, present=present, now=now)
    records, own = dict(state.records), dict(state.own)
    stated = []
    names = {one.device_id: one.name for one in package.roster}
    devices = [
        device for entry in package.roster if (device := _as_listed(entry, listed)) is not None
    ]
    for device in devices:
        is_root = device == inviter
        if device == state.me or contradicts(state.me, records, device):
            continue
        record = records.get(device.device_id) or Record(
            device=device, since=NEVER, source=Source.MEMBER
        )
        since = max(version, record.ended + 1, record.since) if is_root else version
        if not is_root and (record.removed or record.trusted):
            continue
        if since > record.ended:
            records[device.device_id] = changed(
                record,
                since=since,
                source=Source.PROOF if is_root else Source.MEMBER,
                by=None if is_root else inviter.device_id,
                removed=False,
            )
        if device.user_id != state.me.user_id:
            stated.append((device.user_id, names[device.device_id]))
        else:
            # "where this device itself came by a `me` link, the link's maker and the devices of its
            # own person in the key package;"
            own[device.device_id] = OwnDevice(device.public_key, frozenset({state.group_id}))
            stated.append((device.user_id, names[inviter.device_id]))
    return replace(
        state,
        held={**state.held, version: held},
        highest=max(state.highest, version),
        records=records,
        own=own,
        greeted=frozenset({*state.greeted, *records}),
        introduced=introduced(state.introduced, stated),
    )


def founded(state: State, name: str) -> State:
    """Return the state of a device that founds a group, or joins one, with its person's name."""
    return replace(state, card=Name(0, name))
