"""What the member says, and what this device has done: each makes a new state."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from draugar.protocol.secrets import GroupKey
from draugar.protocol.statements import LAST_NUMBER, Device, DeviceKind, Introduction, Roster
from draugar.trust.values import (
    NEVER,
    Decision,
    Gift,
    Held,
    Link,
    Name,
    OwnDevice,
    Record,
    Source,
    State,
    changed,
    contradicts,
    introduced,
    own_name,
)


def confirmed(
    state: State, devices: Iterable[Device], *, name: str, covers: Collection[UUID]
) -> State:
    """Trust the devices of a person whose safety number was compared.

    `name` is the one that was shown; `covers` are all devices that stood in the number. Devices
    that are known by another key or owner, and those of this person, are left out.
    """
    # "A comparison or a proof makes `since` the greater of highest and `ended` + 1; the entry that
    # follows from it brings the device back for all."
    records, unknown = dict(state.records), dict(state.unknown_gone)
    compared, names = dict(state.compared), []
    for device in devices:
        id_ = device.device_id
        known = records.get(id_)
        if device.user_id == state.me.user_id or contradicts(state.me, records, device):
            continue
        record = known or Record(
            device=device, since=NEVER, source=Source.SAFETY, said=unknown.pop(id_, {})
        )
        since = max(state.highest, record.ended + 1, record.since)
        records[id_] = changed(record, since=since, source=Source.SAFETY, by=None, removed=False)
        names.append((device.user_id, name))
        compared[device.user_id] = frozenset(covers)
    return replace(
        state,
        records=records,
        unknown_gone=unknown,
        introduced=introduced(state.introduced, names),
        compared=compared,
    )


def removed(state: State, devices: Iterable[Device]) -> State:
    """Trust devices no more, by this person's word, and forget what they alone have stated.

    It is the same for a person who is removed from the group, and for one who stays in it. Only
    where one of them was trusted is a new key due. Devices that are known by another key or owner
    are left out: else a service could have one person removed in the place of another.
    """
    gone = {
        device.device_id: device
        for device in devices
        if device.device_id != state.me.device_id
        and not contradicts(state.me, state.records, device)
    }
    was_trusted = any(id_ in gone for id_ in state.trusted())
    # "Once this client's person removes or distrusts a signer, what that signer alone has stated to
    # have gone no longer counts."
    records = {
        id_: changed(record, said=_without(record.said, gone))
        for id_, record in state.records.items()
    }
    unknown = {
        id_: left
        for id_, said in state.unknown_gone.items()
        if id_ not in gone and (left := _without(said, gone))
    }
    for id_, device in gone.items():
        record = records.get(id_) or Record(device=device, since=NEVER, source=Source.MEMBER)
        # "Who removes or distrusts a device or person ends it by the same number, and it is
        # `removed`: no statement brings it back."
        end = max(state.at_risk, record.since, record.observed)
        records[id_] = changed(record, observed=end, removed=True)
    return replace(
        state,
        records=records,
        unknown_gone=unknown,
        # A link that was made before is no word on a device that was removed since.
        links=tuple(link for link in state.links if not link.open),
        own={id_: one for id_, one in state.own.items() if id_ not in gone},
        compromised=max(state.compromised, state.at_risk) if was_trusted else state.compromised,
    )


def _without(said: Mapping[UUID, int], signers: Collection[UUID]) -> dict[UUID, int]:
    return {signer: end for signer, end in said.items() if signer not in signers}


def revoked(state: State, device_id: UUID) -> State:
    """Trust a device of this person's own no more, also one that is not known here yet."""
    record, own = state.records.get(device_id), state.own.get(device_id)
    if record is not None:
        return removed(state, [record.device])
    if own is not None:
        return removed(state, [Device(state.me.user_id, device_id, own.public_key, DeviceKind.APP)])
    # It may hold a link, or stand in a card, of this person's: neither brings it in.
    said = {**state.unknown_gone.get(device_id, {}), state.me.device_id: state.at_risk}
    return replace(removed(state, ()), unknown_gone={**state.unknown_gone, device_id: said})


def exposed(state: State) -> State:
    """Note that a phone that has gone may know every key of this device."""
    return replace(state, compromised=max(state.compromised, state.at_risk))


def left(state: State) -> State:
    """Trust no other person's device in a group that this person has left; its keys stay.

    No old key returns, should this person come again.
    """
    records = {
        id_: record
        if record.device.user_id == state.me.user_id or not record.trusted
        else changed(record, observed=max(state.at_risk, record.since, record.observed))
        for id_, record in state.records.items()
    }
    own = own_after_leaving(state.own, state.group_id)
    return replace(state, records=records, links=(), own=own)


def renamed(state: State, name: str) -> State:
    """State another name of this person; the next update makes the card."""
    # "To rename, a client takes the greatest `n` that it knows of its person plus 1"
    before = own_name(state)
    n = 0 if before is None else min(before.n + 1, LAST_NUMBER)
    return replace(state, card=Name(n, name))


def linked(state: State, link: Link) -> State:
    """Keep a link that is about to be given out."""
    return replace(state, links=(*state.links, link))


def unlinked(state: State, link_id: UUID) -> State:
    """Forget a link that was revoked."""
    return replace(state, links=tuple(link for link in state.links if link.id != link_id))


def attempted(state: State, version: int) -> State:
    """Note, before it is sent, that this device tries to make a version."""
    # The service may show an attempt later that it has pretended to refuse.
    return replace(state, attempted=max(state.attempted, version))


def rotated(state: State, version: int, key: GroupKey, roster: Roster | None, now: float) -> State:
    """Hold a version that this device has made, and that the service has taken."""
    made = None if roster is None else roster.made
    held = Held(key=key, first_held=now, last_current=now, made=made)
    gave = {(one.device.device_id, version) for one in roster.introductions} if roster else set()
    return replace(
        state,
        held={**state.held, version: held},
        highest=max(state.highest, version),
        gave=state.gave | gave - {(state.me.device_id, version)},
    )


def gave(state: State, gift: Gift) -> State:
    """Note that a key was given, or refused for good."""
    return replace(state, gave=state.gave | {(gift.device_id, gift.version)})


def greeted(state: State, device_ids: Collection[UUID]) -> State:
    """Note that newcomers were shown the latest position, or that there was none to show."""
    return replace(state, greeted=state.greeted | {*device_ids})


def vouched(state: State, device_id: UUID, version: int) -> State:
    """Note that this device has vouched for another one."""
    return replace(state, vouched=state.vouched | {(device_id, version)})


def own_after_leaving(own: Mapping[UUID, OwnDevice], group_id: UUID) -> dict[UUID, OwnDevice]:
    """Return the devices of this person that a remaining group lists."""
    # "A home forgets one when its person says so, or when no group lists it."
    return {
        id_: OwnDevice(one.public_key, groups)
        for id_, one in own.items()
        if (groups := one.groups - {group_id})
    }


def next_roster(
    decision: Decision, key: GroupKey, *, version: int, now: float, surplus: Collection[UUID] = ()
) -> Roster:
    """Return what this device states of a version that it is about to make.

    `surplus` are recipients that the service has refused. `statements.fitted` cuts the roster to
    its bounds.
    """
    # "Make the roster: this device and the recipients, with names as shown, and as `gone` all known
    # devices that have ended."
    state = decision.state
    recipients = [state.records[id_] for id_ in decision.recipients if id_ not in surplus]
    me = Introduction(state.me, min(1, version), state.name_of(state.me.user_id))
    others = [
        Introduction(
            record.device,
            max(min(record.since, version), 0),
            state.name_of(record.device.user_id),
        )
        for record in recipients
    ]
    ended = {
        id_: min(record.ended, version)
        for id_, record in state.records.items()
        if not record.trusted and record.ended >= 0
    } | {id_: min(max(said.values()), version) for id_, said in state.unknown_gone.items()}
    return Roster(
        by=state.me.device_id,
        commitment=key.commitment(state.group_id, version),
        made=int(now),
        browsers=state.browsers,
        complete=True,
        introductions=(me, *others),
        gone=tuple(sorted(ended.items(), key=lambda one: (-one[1], one[0]))),
    )
