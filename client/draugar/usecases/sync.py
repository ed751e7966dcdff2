"""How keys get from device to device: taking those that come, and giving them on.

`update` does all that needs nobody's word, and tells of it. Nothing here is done because the
service says so: it says what there is, and `TrustStore` and `Keyring` decide.
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
from draugar.models import Code
from draugar.protocol.envelopes import unwrap, wrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.rosters import RosterEntry, open_roster, seal_roster
from draugar.protocol.secrets import GroupKey
from draugar.service.api import Api
from draugar.service.responses import Envelope, Keys
from draugar.storage.home import Home
from draugar.storage.keyring import Keyring
from draugar.storage.trust_store import Trusted, TrustStore
from draugar.usecases import remind as reminding
from draugar.usecases.directory import DeviceDirectory
from draugar.usecases.notify import Notifier

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
    census: DeviceDirectory

    def require_key(self) -> None:
        """Raises KeyMissing, and KeyPending as the case is."""
        if self.key_version == 0:
            raise KeyMissing
        if self.holds_key:
            return
        if self.untrusted_wrappers:
            raise KeyNotTrusted
        raise KeyOutdated if self.has_held_key else KeyPending


class KeySync:
    """The way between this device and the others."""

    def __init__(self, home: Home, api: Api, teller: Notifier) -> None:
        self._home = home
        self._api = api
        self._teller = teller
        self._me = home.me()

    def update(self, group_id: UUID) -> GroupSnapshot:
        """Take keys, learn who is there, and give the key to those who are trusted.

        Raises VersionWentBack, and ServiceFailure.
        """
        view, is_to_repeat = self._update(group_id)
        if is_to_repeat:  # else the member's command would fail, and succeed the next time
            view, _ = self._update(group_id)
        return view

    def _update(self, group_id: UUID) -> tuple[GroupSnapshot, bool]:
        """Return a view, and whether a key is left that a device now trusted has wrapped."""
        circle, ring = TrustStore(self._home, group_id), Keyring(self._home, group_id)
        # Whoever another command trusts from here on may be missing in what is listed below.
        trusted, at_risk, is_first = circle.trusted(), ring.at_risk, ring.highest == 0
        keys = self._api.keys(group_id)
        if keys.key_version < ring.highest:
            raise VersionWentBack
        census = DeviceDirectory(self._home, self._teller, group_id, self._api.people(group_id))
        with self._home.transaction():
            taken, untrusted_wrappers, refused = self._take(group_id, keys)
            self._compare(group_id, keys)
            census.miss(trusted, at_risk=at_risk)
            if not (keys.rotation_required or ring.is_burnt):
                self._believe(census, keys, taken.get(keys.key_version), is_first=is_first)
            proven = census.recognise()
            census.check_own()
            if trusted.keys() - circle.trusted().keys():
                circle.close_links()
            must_rotate = keys.rotation_required or ring.is_burnt
            holds_key = 0 < ring.highest == keys.key_version
            self._note_phones(census, is_rotation_due=must_rotate and keys.key_version > 0)
            now_trusted = {device.public_key for device in circle.trusted().values()}
            is_to_repeat = any(
                envelope.wrapper_public_key in now_trusted
                and envelope.key_version <= keys.key_version
                and envelope.key_version not in refused
                and ring.key(envelope.key_version) is None
                for envelope in keys.envelopes
            )
        for key_version in refused:
            with suppress(Refused):
                self._api.delete_envelope(group_id, key_version, self._me.device_id)
        may_give = holds_key and not must_rotate
        view = GroupSnapshot(
            group_id=group_id,
            key_version=keys.key_version,
            must_rotate=must_rotate,
            holds_key=holds_key,
            has_held_key=ring.highest > 0,
            untrusted_wrappers=frozenset(untrusted_wrappers),
            waiting=self._waiting(group_id) if may_give else frozenset(),
            census=census,
        )
        if may_give:
            self.give(view, [*view.waiting, *proven])
            census.warn_of_unconfirmed(view.waiting, keys.key_version)
        return view, is_to_repeat

    def _note_phones(self, census: DeviceDirectory, *, is_rotation_due: bool) -> None:
        phones = {id_: phone for id_, (_, phone) in census.phones.items()}
        census.waiting = reminding.note(
            self._home, census.group_id, phones.values(), is_rotation_due=is_rotation_due
        )
        owners = {person.user_id for person, _ in census.phones.values()}
        reminding.note_own(self._home, has_phones=self._me.user_id in owners)

    def give(self, view: GroupSnapshot, device_ids: Iterable[UUID]) -> None:
        """Wrap the present key for those of the devices that are trusted, and vouch for them."""
        circle, ring = TrustStore(self._home, view.group_id), Keyring(self._home, view.group_id)
        key = ring.key(view.key_version)
        trusted = circle.trusted()
        for device_id in dict.fromkeys(device_ids):
            device = trusted.get(device_id)
            if key is None or device is None or device_id not in view.census.listed:
                continue
            entry = _entry([device, *trusted.values()], key)
            self._put(view.group_id, view.key_version, device, key, entry)
            if circle.is_mine(device.entry):
                # One's own new device may read what this one can.
                for version in ring.versions():
                    older = ring.key(version)
                    if older is not None and version < view.key_version:
                        self._put(view.group_id, version, device, older, None)

    def _take(self, group_id: UUID, keys: Keys) -> tuple[dict[int, UUID], set[UUID], list[int]]:
        """Accept what is authentic.

        Return the versions taken with their wrappers, the strangers who wrapped the present one,
        and the versions whose envelopes are refused.
        """
        me, ring = self._me, Keyring(self._home, group_id)
        circle = TrustStore(self._home, group_id)
        wrappers = {device.public_key: id_ for id_, device in circle.trusted().items()}
        wrappers |= circle.own()
        wrappers[me.device_key.public] = me.device_id
        taken: dict[int, UUID] = {}
        strangers: set[UUID] = set()
        refused: list[int] = []
        for envelope in keys.envelopes:
            version = envelope.key_version
            if ring.key(version) is not None or version > keys.key_version:
                continue
            wrapper = wrappers.get(envelope.wrapper_public_key)
            if wrapper is None:
                if version == keys.key_version and envelope.wrapper_device_id is not None:
                    strangers.add(envelope.wrapper_device_id)
                continue
            try:
                ring.accept(version, self._open(group_id, envelope, keys))
                taken[version] = wrapper
            except NotAuthentic as reason:
                refused.append(version)
                self._teller.tell(Code.ENVELOPE_REFUSED, group_id=group_id, reason=str(reason))
        return taken, strangers, refused

    def _open(self, group_id: UUID, envelope: Envelope, keys: Keys) -> GroupKey:
        key = unwrap(envelope.wrapped_key, envelope.wrapper_public_key, self._me.device_key)
        version = keys.versions.get(envelope.key_version)
        if version is None or version.commitment != key.commitment(group_id, version.key_version):
            raise NotAuthentic("not_agreed")
        ring, circle = Keyring(self._home, group_id), TrustStore(self._home, group_id)
        if ring.holds(key):
            raise NotAuthentic("used_before")
        for sealed in (version.roster, *keys.entries_of(version.key_version)):
            roster = self._roster(group_id, sealed, key)
            if circle.contradicts(roster, is_first=ring.highest == 0):
                raise NotAuthentic("mistaken_identity")
        return key

    def _compare(self, group_id: UUID, keys: Keys) -> None:
        """See by the commitments that all hold the same keys as this device."""
        ring = Keyring(self._home, group_id)
        for version in keys.versions.values():
            key = ring.key(version.key_version)
            if key and key.commitment(group_id, version.key_version) != version.commitment:
                self._teller.tell(
                    Code.KEYS_DIFFER,
                    group_id=group_id,
                    once=f"{version.key_version} {version.commitment.hex()}",
                )

    def _believe(
        self, census: DeviceDirectory, keys: Keys, author: UUID | None, *, is_first: bool
    ) -> None:
        """Believe rosters under the present key, which nobody who has gone knows.

        `author` is who wrapped it, where this device has just taken it. Its first key of a group
        is older than the trust by which it was taken.
        """
        circle = TrustStore(self._home, census.group_id)
        ring = Keyring(self._home, census.group_id)
        version = keys.key_version
        key = ring.key(version)
        if key is None:
            return
        if author is not None:
            entries = self._roster(census.group_id, keys.versions[version].roster, key)
            if any(entry.device_id not in census.listed for entry in entries):
                # They were given this key, and have gone: they could have sealed this roster.
                ring.mark_compromised(version)
                return
            for left_out in circle.believe(
                entries, version=version, author=author, is_whole=not is_first
            ):
                census.tell_ended(Code.DEVICE_LEFT_OUT, left_out)
            circle.advance(version)
        for entry in keys.entries:
            wrapper = entry.wrapper_device_id
            if entry.key_version == version and wrapper in circle.trusted():
                entries = self._roster(census.group_id, entry.sealed, key)
                circle.believe(entries, version=version, author=wrapper, is_whole=False)

    def _roster(self, group_id: UUID, sealed: bytes | None, key: GroupKey) -> list[RosterEntry]:
        if sealed is None:
            return []
        with suppress(NotAuthentic):
            return open_roster(sealed, key)
        self._teller.tell(Code.ROSTER_REFUSED, group_id=group_id, once=sealed[:24].hex())
        return []

    def _waiting(self, group_id: UUID) -> frozenset[UUID]:
        with suppress(NotConfirmed):
            return frozenset(self._api.pending(group_id)) - {self._me.device_id}
        return frozenset()

    def _put(
        self, group_id: UUID, version: int, device: Trusted, key: GroupKey, entry: bytes | None
    ) -> None:
        # Somebody else was faster, the device has gone, or it has no usable key: all are fine.
        with suppress(Refused, NotAuthentic):
            self._api.put_envelope(
                group_id,
                version,
                device.device_id,
                wrapped_key=wrap(key, device.public_key, self._me.device_key),
                roster_entry=entry,
            )


def _entry(devices: Sequence[Trusted], key: GroupKey) -> bytes:
    """Return the first of the devices, and as many more as there is room for, sealed."""
    entries = list({device.device_id: device.entry for device in devices}.values())[:_MOST_ENTRIES]
    while len(sealed := seal_roster(entries, key)) > _ENTRY_BYTES:
        entries.pop()
    return sealed
