"""Safety numbers: what two people compare, and what is trusted on their word."""

from collections.abc import Iterable
from uuid import UUID

from draugar.errors import FailureCode, NotPossible, Unknown
from draugar.models import Comparison, Device, TrustSource, TrustState
from draugar.protocol.rosters import RosterEntry
from draugar.protocol.safety import safety_number
from draugar.trust import decide
from draugar.trust.state import GroupState, Trusted
from draugar.usecases.context import Context
from draugar.usecases.sync import GroupSnapshot

_UNSURE = {TrustState.PENDING, TrustState.ENDED}


def pending(view: GroupSnapshot) -> list[Comparison]:
    """Return those who wait for this member's word, or whom this device waits for."""
    devices = view.directory.devices()
    if view.holds_key:
        asked = [device for device in devices if device.standing in _UNSURE]
    elif view.untrusted_wrappers:
        asked = [device for device in devices if device.id in view.untrusted_wrappers]
    else:
        asked = [device for device in devices if device.can_act]
    me = view.directory.state.me
    users = dict.fromkeys(device.user_id for device in asked)
    if not view.holds_key:
        users.pop(me.user_id, None)  # one's own devices are not compared
    return [compare(view, user_id) for user_id in users]


def compare(view: GroupSnapshot, user_id: UUID) -> Comparison:
    """Return what to compare with one person. Raises Unknown, NotPossible."""
    me = view.directory.state.me
    people = {person.user_id: person for person in view.directory.people}
    if user_id not in people:
        raise Unknown
    is_mine = user_id == me.user_id
    theirs = tuple(
        device
        for device in view.directory.devices()
        if device.user_id == user_id and device.standing is not TrustState.THIS
    )
    if not theirs:
        raise NotPossible(FailureCode.NO_DEVICE_TO_COMPARE)
    state = view.directory.state
    return Comparison(
        group_id=view.group_id,
        user_id=user_id,
        name=next((device.name for device in theirs if device.how), people[user_id].name),
        mark=theirs[0].mark,
        devices=theirs,
        safety_number=None
        if is_mine
        else safety_number(
            (me.user_id, _own_keys(state) | {me.key.public}),
            (user_id, {device.public_key for device in theirs}),
        ),
        is_mine=is_mine,
        was_shown=decide.was_shown(state, user_id, _in_number(state, theirs)),
        gives_key=any(device.id in view.untrusted_wrappers for device in theirs),
    )


def note_shown(context: Context, comparison: Comparison) -> None:
    """Note that a number was shown: a later word on it counts."""
    with context.changing(comparison.group_id) as change:
        number = _in_number(change.state, comparison.devices)
        change.state = decide.note_shown(change.state, comparison.user_id, number)


def confirm(context: Context, comparison: Comparison) -> None:
    """Trust what was compared. Raises NotPossible."""
    if comparison.safety_number is None:
        raise NotPossible(FailureCode.OWN_DEVICE_NOT_COMPARED)
    with context.changing(comparison.group_id) as change:
        for device in comparison.devices:
            change.state = decide.trust(change.state, entry(device), TrustSource.SAFETY)
        keys = [device.public_key for device in comparison.devices]
        change.state = decide.note_compared(change.state, comparison.user_id, keys)


def entry(device: Device) -> RosterEntry:
    """Return a device as this one vouches for it on its member's word."""
    return RosterEntry(device.user_id, device.name, device.id, device.public_key)


def _own_keys(state: GroupState) -> set[bytes]:
    # "of one's own, this device and those that this client has confirmed itself"
    own = state.trusted().values()
    return {one.public_key for one in own if _is_confirmed_by_me(one, state.me.user_id)}


def _in_number(state: GroupState, theirs: Iterable[Device]) -> bytes:
    """Return the keys that are in a number, but for this device's own."""
    keys = sorted(device.public_key for device in theirs)
    return b"".join(sorted(_own_keys(state)) + keys)


def _is_confirmed_by_me(device: Trusted, user_id: UUID) -> bool:
    return device.user_id == user_id and device.how in (TrustSource.PROOF, TrustSource.SAFETY)
