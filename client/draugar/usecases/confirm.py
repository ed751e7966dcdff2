"""Safety numbers: what two people compare, and what is trusted on their word."""

from uuid import UUID

from draugar.errors import FailureCode, NotPossible, Unknown
from draugar.models import Comparison, Device, TrustSource, TrustState
from draugar.protocol.rosters import RosterEntry
from draugar.protocol.safety import safety_number
from draugar.storage.home import Home
from draugar.storage.keyring import Keyring
from draugar.storage.trust_store import Trusted, TrustStore
from draugar.usecases.sync import GroupSnapshot

_UNSURE = {TrustState.PENDING, TrustState.ENDED}


def pending(home: Home, view: GroupSnapshot) -> list[Comparison]:
    """Return those who wait for this member's word, or whom this device waits for."""
    devices = view.census.devices()
    if view.holds_key:
        asked = [device for device in devices if device.standing in _UNSURE]
    elif view.untrusted_wrappers:
        asked = [device for device in devices if device.id in view.untrusted_wrappers]
    else:
        asked = [device for device in devices if device.can_act]
    me = home.me()
    users = dict.fromkeys(device.user_id for device in asked)
    if not view.holds_key:
        users.pop(me.user_id, None)  # one's own devices are not compared
    return [compare(home, view, user_id) for user_id in users]


def compare(home: Home, view: GroupSnapshot, user_id: UUID) -> Comparison:
    """Return what to compare with one person. Raises Unknown, NotPossible."""
    me = home.me()
    name = next((person.name for person in view.census.people if person.user_id == user_id), None)
    if name is None:
        raise Unknown
    is_mine = user_id == me.user_id
    theirs = tuple(
        device
        for device in view.census.devices()
        if device.user_id == user_id and device.standing is not TrustState.THIS
    )
    if not theirs:
        raise NotPossible(FailureCode.NO_DEVICE_TO_COMPARE)
    own = TrustStore(home, view.group_id).trusted().values()
    my_keys = {device.public_key for device in own if _is_confirmed_by_me(device, me.user_id)}
    keys = sorted(device.public_key for device in theirs)
    return Comparison(
        group_id=view.group_id,
        user_id=user_id,
        name=next((device.name for device in theirs if device.how), name),
        mark=theirs[0].mark,
        devices=theirs,
        safety_number=None
        if is_mine
        else safety_number(
            (me.user_id, my_keys | {me.device_key.public}),
            (user_id, {device.public_key for device in theirs}),
        ),
        is_mine=is_mine,
        was_shown=not home.is_news(
            "number", f"{view.group_id} {user_id} {b''.join(sorted(my_keys) + keys).hex()}"
        ),
        gives_key=any(device.id in view.untrusted_wrappers for device in theirs),
    )


def confirm(home: Home, comparison: Comparison) -> None:
    """Trust what was compared. Raises NotPossible."""
    if comparison.safety_number is None:
        raise NotPossible(FailureCode.OWN_DEVICE_NOT_COMPARED)
    circle = TrustStore(home, comparison.group_id)
    with home.transaction():
        for device in comparison.devices:
            trust(circle, device, version=Keyring(home, comparison.group_id).highest)
        keys = [device.public_key for device in comparison.devices]
        circle.note_compared(comparison.user_id, keys)


def trust(circle: TrustStore, device: Device, *, version: int) -> None:
    """Trust a device on this member's word."""
    entry = RosterEntry(device.user_id, device.name, device.id, device.public_key)
    circle.trust(entry, TrustSource.SAFETY, version=version)


def _is_confirmed_by_me(device: Trusted, user_id: UUID) -> bool:
    return device.user_id == user_id and device.how in (TrustSource.PROOF, TrustSource.SAFETY)
