"""Safety numbers: what two people compare, and what is trusted on their word."""

from uuid import UUID

from draugar.errors import FailureCode, NotPossible, Unknown
from draugar.models import Comparison, Device, TrustState
from draugar.protocol import statements
from draugar.protocol.safety import safety_number
from draugar.trust import numbers, words
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
    state, listing = view.directory.state, view.directory.listing
    mine, other = numbers.halves(state.trust, listing, user_id)
    tokens = mine[1] | other[1]
    return Comparison(
        group_id=view.group_id,
        user_id=user_id,
        name=view.directory.names[user_id],
        mark=theirs[0].mark,
        devices=theirs,
        safety_number=None if is_mine else safety_number(mine, other),
        is_mine=is_mine,
        was_shown=state.was_shown(user_id, tokens),
        gives_key=any(device.id in view.untrusted_wrappers for device in theirs),
        tokens=tokens,
    )


def note_shown(context: Context, comparison: Comparison) -> None:
    """Note that a number was shown: a later word on it counts."""
    with context.changing(comparison.group_id) as change:
        change.state = change.state.with_shown(comparison.user_id, comparison.tokens)


def confirm(context: Context, comparison: Comparison) -> None:
    """Trust what was compared. Raises NotPossible."""
    if comparison.safety_number is None:
        raise NotPossible(FailureCode.OWN_DEVICE_NOT_COMPARED)
    with context.changing(comparison.group_id) as change:
        change.trust(
            words.confirmed(
                change.state.trust,
                [known(device) for device in comparison.devices],
                name=comparison.name,
                covers=[device.id for device in comparison.devices],
            )
        )


def known(device: Device) -> statements.Device:
    """Return a device as decisions know it."""
    kind = statements.DeviceKind(device.kind)
    return statements.Device(device.user_id, device.id, device.public_key, kind)
