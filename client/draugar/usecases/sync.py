"""How keys get from device to device: taking those that come, and giving them on.

`update` does all that needs no member's word, and tells of it. Nothing here is done because the
service says so: it says what there is, and `trust.decide` decides.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from draugar.errors import (
    KeyMissing,
    KeyNotTrusted,
    KeyOutdated,
    KeyPending,
    NotConfirmed,
    Refused,
    VersionWentBack,
)
from draugar.protocol.envelopes import wrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.rosters import seal_roster
from draugar.protocol.secrets import GroupKey
from draugar.storage import phones as known_phones
from draugar.trust import decide
from draugar.trust.decide import Decision
from draugar.trust.directory import DeviceDirectory
from draugar.trust.state import GroupState, Trusted
from draugar.usecases import remind as reminding
from draugar.usecases.context import Context

_ENTRY_BYTES = 4096
"""What the service takes beside an envelope."""
_MOST_ENTRIES = 30


@dataclass(frozen=True, kw_only=True)
class GroupSnapshot:
    """A group as it was at an update."""

    group_id: UUID
    key_version: int
    must_rotate: bool
    holds_key: bool
    """Whether this device holds the version that the service says is the present one."""
    has_held_key: bool
    """Whether this device holds that version or an earlier one."""
    untrusted_wrappers: frozenset[UUID]
    """Devices that are not trusted and have wrapped the present key for this one."""
    waiting: frozenset[UUID]
    """Other devices that wait for the present key."""
    directory: DeviceDirectory

    def require_key(self) -> None:
        """Raises KeyMissing, and KeyPending as the case is."""
        if self.key_version == 0:
            raise KeyMissing
        if self.holds_key:
            return
        if self.untrusted_wrappers:
            raise KeyNotTrusted
        raise KeyOutdated if self.has_held_key else KeyPending


def update(context: Context, group_id: UUID) -> GroupSnapshot:
    """Take keys, learn who is there, and give the key to those who are trusted.

    Raises VersionWentBack, and ServiceFailure.
    """
    view, is_to_repeat = _update(context, group_id)
    if is_to_repeat:  # else the member's command would fail, and succeed the next time
        view, _ = _update(context, group_id)
    return view


def _update(context: Context, group_id: UUID) -> tuple[GroupSnapshot, bool]:
    before = context.group(group_id)
    keys = context.api.keys(group_id)
    if decide.went_back(before, keys):
        raise VersionWentBack
    listing = tuple(context.api.people(group_id))
    with context.changing(group_id) as change:
        decision = decide.reconcile(change.state, listing, keys, context.clock(), before=before)
        change.state = decision.state
        directory = _with_phones(
            context,
            DeviceDirectory(decision.state, listing),
            is_rotation_due=decision.rotate and keys.key_version > 0,
        )
    context.notifier.collect(decision.notices)
    for version in decision.refuse:
        with suppress(Refused):
            context.api.delete_envelope(group_id, version, context.me.device_id)
    view = _view(context, decision, directory, keys.key_version)
    if decision.holds_key and not decision.rotate:
        give(context, view, [*view.waiting, *decision.give])
        context.notifier.add(decide.unconfirmed(directory, view.waiting, keys.key_version))
    return view, decision.is_to_repeat


def _view(
    context: Context, decision: Decision, directory: DeviceDirectory, key_version: int
) -> GroupSnapshot:
    group_id, may_give = directory.group_id, decision.holds_key and not decision.rotate
    return GroupSnapshot(
        group_id=group_id,
        key_version=key_version,
        must_rotate=decision.rotate,
        holds_key=decision.holds_key,
        has_held_key=decision.state.highest > 0,
        untrusted_wrappers=decision.untrusted_wrappers,
        waiting=_waiting(context, group_id) if may_give else frozenset(),
        directory=directory,
    )


def _with_phones(
    context: Context, directory: DeviceDirectory, *, is_rotation_due: bool
) -> DeviceDirectory:
    phones = [phone for _, phone in directory.phones.values()]
    waiting = reminding.note(context.home, directory.state, phones, is_rotation_due=is_rotation_due)
    owners = {person.user_id for person, _ in directory.phones.values()}
    if directory.state.me.user_id in owners:
        known_phones.note_own(context.home)
    return DeviceDirectory(directory.state, directory.people, waiting)


def _waiting(context: Context, group_id: UUID) -> frozenset[UUID]:
    with suppress(NotConfirmed):
        return frozenset(context.api.pending(group_id)) - {context.me.device_id}
    return frozenset()


def give(context: Context, view: GroupSnapshot, device_ids: Iterable[UUID]) -> None:
    """Wrap the present key for those of the devices that are trusted, and vouch for them."""
    state = context.group(view.group_id)
    key = state.key(view.key_version)
    trusted = state.trusted()
    for device_id in dict.fromkeys(device_ids):
        device = trusted.get(device_id)
        if key is None or device is None or device_id not in view.directory.listed:
            continue
        entry = _entry([device, *trusted.values()], key)
        _put(context, state, device, version=view.key_version, key=key, entry=entry)
        if state.is_mine(device.entry):
            # One's own new device may read what this one can.
            for version, held in sorted(state.keys.items()):
                if version < view.key_version:
                    _put(context, state, device, version=version, key=held.key)


def _put(  # noqa: PLR0913 -- each by its name
    context: Context,
    state: GroupState,
    device: Trusted,
    *,
    version: int,
    key: GroupKey,
    entry: bytes | None = None,
) -> None:
    # Another member was faster, the device has gone, or it has no usable key: all are fine.
    with suppress(Refused, NotAuthentic):
        context.api.put_envelope(
            state.group_id,
            version,
            device.device_id,
            wrapped_key=wrap(key, device.public_key, state.me.key),
            roster_entry=entry,
        )


def _entry(devices: Sequence[Trusted], key: GroupKey) -> bytes:
    """Return the first of the devices, and as many more as there is room for, sealed."""
    entries = list({device.device_id: device.entry for device in devices}.values())[:_MOST_ENTRIES]
    while len(sealed := seal_roster(entries, key)) > _ENTRY_BYTES:
        entries.pop()
    return sealed
