"""The decisions: what a member's word changes, and what an update of a group leads to.

Each function takes a state and returns the next one. What the service says is an argument, and is
never a reason to give a device a key. Each rule quotes its sentence of docs/protocol.md.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from draugar.models import Code, Envelope, Keys, ListedPerson, Notice, TrustSource
from draugar.protocol.envelopes import unwrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.invites import Package, proof_holds
from draugar.protocol.rosters import RosterEntry, open_roster
from draugar.protocol.secrets import GroupKey
from draugar.text.naming import told_apart
from draugar.trust.directory import DeviceDirectory
from draugar.trust.state import Ended, GroupState, HeldKey, Trusted, together

OWN_NAME = "me"
"""What a further device of one's own proves in the place of a name."""

_REMINDED = timedelta(days=7)
_NUMBER = "number"


# A member's word


def trust(
    state: GroupState, entry: RosterEntry, how: TrustSource, *, version: int | None = None
) -> GroupState:
    """Trust a device on its member's word, or because it proved to hold an invite's secret."""
    if entry.device_id == state.me.device_id:
        return state
    return _keep(state, entry, how, state.highest if version is None else version, None)


def end(
    state: GroupState, device_ids: Iterable[UUID], why: Ended, *, version: int | None = None
) -> GroupState:
    """Trust devices no longer."""
    # "It ends when the service no longer lists the device in the group or lists it with another key
    # or owner, when its person is removed, and when a member who is trusted makes a new version
    # whose roster leaves it out."
    ended_version = state.highest if version is None else version
    ended = {
        id_: replace(state.devices[id_], ended=why, ended_version=ended_version)
        for id_ in device_ids
        if id_ in state.devices
    }
    return replace(state, devices={**state.devices, **ended})


def distrust(state: GroupState, device_ids: Collection[UUID]) -> GroupState:
    """End the trust in devices for good, and in every key that they may know."""
    # "none brings back a device that this client's own person has removed"
    state = close_links(end(state, device_ids, Ended.REMOVED))
    return mark_compromised(state, state.at_risk)


def forget_others(state: GroupState) -> GroupState:
    """Forget whom this device trusts in a group that its person has left; not its versions."""
    others = [id_ for id_, one in state.trusted().items() if one.user_id != state.me.user_id]
    return end(state, others, Ended.GONE)


def close_links(state: GroupState) -> GroupState:
    """Know no device by a link that is still open: whoever has gone may have read it."""
    used = {id_: link for id_, link in state.links.items() if link.device_id is not None}
    return replace(state, links=used)


def note_compared(state: GroupState, user_id: UUID, public_keys: Iterable[bytes]) -> GroupState:
    """Note by which keys a person's safety number was compared."""
    return replace(state, compared={**state.compared, user_id: together(public_keys)})


def was_shown(state: GroupState, user_id: UUID, number: bytes) -> bool:
    """Whether just this number of a person was shown before."""
    return (_NUMBER, _shown(user_id, number)) in state.told


def note_shown(state: GroupState, user_id: UUID, number: bytes) -> GroupState:
    """Note that a number of a person was shown; `number` are the keys that are in it."""
    return replace(state, told=state.told | {(_NUMBER, _shown(user_id, number))})


def _shown(user_id: UUID, number: bytes) -> str:
    return f"{user_id} {number.hex()}"


# Keys


def accept(state: GroupState, version: int, key: GroupKey, now: float) -> GroupState:
    """Hold a key. Of a version lower than the highest it is for reading only."""
    # "A version below its highest it may take for reading, never for sealing."
    held = {version: HeldKey(key=key, accepted_at=now), **state.keys}
    return replace(state, keys=held, highest=max(state.highest, version))


def attempt(state: GroupState, version: int) -> GroupState:
    """Note, before it is sent, that this device tries to make a version."""
    return replace(state, attempted=max(state.attempted, version))


def mark_compromised(state: GroupState, version: int) -> GroupState:
    """Note that a device that has gone may know this version, and those below it."""
    return replace(state, compromised=max(state.compromised, version))


def advance(state: GroupState, version: int) -> GroupState:
    """Vouch for all that is trusted, in a version that this device has made or believed."""
    vouched = {id_: replace(one, version=version) for id_, one in state.trusted().items()}
    return replace(state, devices={**state.devices, **vouched})


def recipients(
    state: GroupState, listed: Collection[UUID], surplus: Collection[UUID] = ()
) -> list[RosterEntry]:
    """Return for whom a next key would be made, this device not among them."""
    # "The recipients are the devices that this client trusts *and* the service lists in the group"
    return [
        device.entry
        for id_, device in state.trusted().items()
        if id_ in listed and id_ not in surplus
    ]


# Rosters


def believe(
    state: GroupState,
    entries: Iterable[RosterEntry],
    *,
    version: int,
    author: UUID,
    is_whole: bool,
) -> tuple[GroupState, list[Trusted]]:
    """Believe a trusted device. Return whom that leaves out.

    `is_whole`: it is the roster of a new version, which names all that its author trusts.
    """
    # "only where they add: no roster changes the public key or the owner of a device that is known
    # already, and none brings back a device that this client's own person has removed."
    named = {entry.device_id: entry for entry in entries}
    known = state.devices
    taken_keys = {device.public_key for device in known.values()}
    taken_keys.add(state.me.key.public)
    for id_, entry in named.items():
        before = known.get(id_)
        if before is None and id_ != state.me.device_id:
            if entry.public_key not in taken_keys:
                state = _keep(state, entry, TrustSource.ROSTER, version, author)
        elif before is not None and before.public_key == entry.public_key:
            state = _believe_again(state, before, entry, version, author)
    if not is_whole:
        return state, []
    left_out = [
        device
        for id_, device in known.items()
        if device.ended is None
        and device.version < version
        and id_ != author
        and (id_ not in named or named[id_].public_key != device.public_key)
    ]
    ids = [device.device_id for device in left_out]
    return end(state, ids, Ended.LEFT_OUT, version=version), left_out


def _believe_again(
    state: GroupState, before: Trusted, entry: RosterEntry, version: int, author: UUID
) -> GroupState:
    if before.user_id != entry.user_id or before.ended is Ended.REMOVED:
        return state
    if before.ended is None:
        again = replace(before, version=max(before.version, version), name=entry.name)
        return replace(state, devices={**state.devices, before.device_id: again})
    if version > (before.ended_version or 0):
        return _keep(state, entry, TrustSource.ROSTER, version, author)
    return state


def _keep(
    state: GroupState, entry: RosterEntry, how: TrustSource, version: int, vouched_by: UUID | None
) -> GroupState:
    kept = Trusted(
        device_id=entry.device_id,
        user_id=entry.user_id,
        name=entry.name or "?",  # a roster with an empty name is none
        public_key=entry.public_key,
        how=how,
        version=version,
        vouched_by=vouched_by,
    )
    return replace(state, devices={**state.devices, entry.device_id: kept})


# Joining


def check_package(state: GroupState, package: Package, *, for_me: bool) -> None:
    """See that a key package is about the group that was joined. Raises NotAuthentic."""
    # "a key package that is not about the group and version that were joined"
    if state.key(package.key_version) == package.group_key:
        return  # another command has just taken it
    if (
        package.group_id != state.group_id
        or package.key_version <= state.highest
        or state.holds(package.group_key)
        or (package.inviter_user_id == state.me.user_id) != for_me
        or state.contradicts(package.roster, is_first=state.highest == 0)
    ):
        raise NotAuthentic("misplaced")


def names_inviter(package: Package) -> bool:
    """Whether a package names the inviter's device, so that the service need not be asked."""
    return any(entry.public_key == package.inviter_public_key for entry in package.roster)


def inviter(package: Package, listing: Iterable[ListedPerson]) -> RosterEntry:
    """Return the inviter's device, whose key the package vouches for. Raises NotAuthentic."""
    # "Then it trusts the inviter's public key and the roster"
    for entry in package.roster:
        if entry.public_key == package.inviter_public_key:
            return entry
    for person in listing:
        for device in person.devices:
            if device.public_key == package.inviter_public_key:
                return RosterEntry(
                    package.inviter_user_id, person.name, device.id, device.public_key
                )
    raise NotAuthentic("inviter_gone")


def take_package(
    state: GroupState, package: Package, inviting: RosterEntry, now: float
) -> GroupState:
    """Hold the key of a package, and trust the inviter and whom the inviter confirmed."""
    version = package.key_version
    state = accept(state, version, package.group_key, now)
    state = trust(state, inviting, TrustSource.PROOF, version=version)
    state, _ = believe(
        state, package.roster, version=version, author=inviting.device_id, is_whole=False
    )
    return state


# An update


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What an update has led to, and what is to be done."""

    state: GroupState
    refuse: tuple[int, ...]
    """Versions whose envelopes are given back."""
    give: tuple[UUID, ...]
    """Devices that have just proved themselves: they are given the key."""
    untrusted_wrappers: frozenset[UUID]
    """Devices that are not trusted and have wrapped the present key for this one."""
    holds_key: bool
    """Whether this device holds the version that the service says is the present one."""
    rotate: bool
    """Whether the group needs a new key."""
    is_to_repeat: bool
    """Whether an envelope is left that a device now trusted has wrapped."""
    notices: tuple[Notice, ...]


def went_back(state: GroupState, keys: Keys) -> bool:
    """Whether the service shows a lower version than this device has seen."""
    # "a service whose `keyVersion` has gone back"
    return keys.key_version < state.highest


def reconcile(
    state: GroupState,
    listing: Sequence[ListedPerson],
    keys: Keys,
    now: datetime,
    *,
    before: GroupState,
) -> Decision:
    """Do all that needs no member's word: take keys, learn who is there, recognise newcomers.

    `before` is the state from before `keys` and `listing` were fetched: whom another command has
    trusted since may be missing there. `now` is a time of the reader's zone.
    """
    run = _Update(state, listing, keys, now)
    taken, strangers, refused = run.take()
    run.compare()
    run.miss(before.trusted(), at_risk=before.at_risk)
    if not (keys.rotation_required or run.state.is_compromised):
        run.believe(taken.get(keys.key_version), is_first=before.highest == 0)
    proven = run.recognise()
    run.check_own()
    if before.trusted().keys() - run.state.trusted().keys():
        run.state = close_links(run.state)
    state = run.state
    now_trusted = {device.public_key for device in state.trusted().values()}
    return Decision(
        state=state,
        refuse=tuple(refused),
        give=tuple(proven),
        untrusted_wrappers=frozenset(strangers),
        holds_key=0 < state.highest == keys.key_version,
        rotate=keys.rotation_required or state.is_compromised,
        is_to_repeat=any(
            envelope.wrapper_public_key in now_trusted
            and envelope.key_version <= keys.key_version
            and envelope.key_version not in refused
            and state.key(envelope.key_version) is None
            for envelope in keys.envelopes
        ),
        notices=tuple(run.notices),
    )


def unconfirmed(
    directory: DeviceDirectory, waiting: Collection[UUID], key_version: int
) -> Iterator[Notice]:
    """Tell of devices that have the key, says the service, by the word of no trusted device."""
    # "A client shows its person: any device that has the key by the service's account and is
    # trusted by nobody"
    state = directory.state
    fine = {*state.trusted(), *waiting, state.me.device_id}
    for id_, (person, device) in directory.listed.items():
        if device.can_act and id_ not in fine:
            yield Notice(
                code=Code.UNCONFIRMED_DEVICE,
                group_id=state.group_id,
                once=f"{id_} {key_version}",
                parameters={"name": person.name},
            )


class _Update:
    """One update on its way: a state that moves on, and what is to be told of it."""

    def __init__(
        self, state: GroupState, listing: Sequence[ListedPerson], keys: Keys, now: datetime
    ) -> None:
        self.state = state
        self.notices: list[Notice] = []
        self._listing = tuple(listing)
        self._keys = keys
        self._versions = {version.key_version: version for version in keys.listed}
        self._now = now

    @property
    def _directory(self) -> DeviceDirectory:
        return DeviceDirectory.of(self.state, self._listing)

    def _tell(self, code: Code, *, once: str | None = None, **parameters: Any) -> None:
        notice = Notice(code=code, group_id=self.state.group_id, parameters=parameters, once=once)
        if once is not None:
            subject = (str(notice.kind), once)
            if subject in self.state.told:
                return
            self.state = replace(self.state, told=self.state.told | {subject})
        self.notices.append(notice)

    def take(self) -> tuple[dict[int, UUID], set[UUID], list[int]]:
        """Accept what is authentic.

        Return the versions taken with their wrappers, the strangers who wrapped the present one,
        and the versions whose envelopes are refused.
        """
        # "looks that public key up among those it trusts, its own included. `wrapperDeviceId` is
        # only said by the service. If it is a stranger's, it asks its person to compare the safety
        # number with whoever is said to have wrapped it, and waits"
        me, present = self.state.me, self._keys.key_version
        wrappers = {device.public_key: id_ for id_, device in self.state.trusted().items()}
        wrappers |= self.state.own()
        wrappers[me.key.public] = me.device_id
        taken: dict[int, UUID] = {}
        strangers: set[UUID] = set()
        refused: list[int] = []
        for envelope in self._keys.envelopes:
            version = envelope.key_version
            if self.state.key(version) is not None or version > present:
                continue
            wrapper = wrappers.get(envelope.wrapper_public_key)
            if wrapper is None:
                if version == present and envelope.wrapper_device_id is not None:
                    strangers.add(envelope.wrapper_device_id)
                continue
            try:
                key = self._open(envelope)
            except NotAuthentic as reason:
                # "What fails at 2 to 5 it gives back by `DELETE`, and is pending again."
                refused.append(version)
                self._tell(Code.ENVELOPE_REFUSED, reason=str(reason))
            else:
                self.state = accept(self.state, version, key, self._now.timestamp())
                taken[version] = wrapper
        return taken, strangers, refused

    def _open(self, envelope: Envelope) -> GroupKey:
        state = self.state
        key = unwrap(envelope.wrapped_key, envelope.wrapper_public_key, state.me.key)
        version = self._versions.get(envelope.key_version)
        # "checks it against the commitment of that version"
        if version is None or version.commitment != key.commitment(
            state.group_id, version.key_version
        ):
            raise NotAuthentic("not_agreed")
        # "refuses a key that it already holds"
        if state.holds(key):
            raise NotAuthentic("used_before")
        number = version.key_version
        entries = [one.sealed for one in self._keys.entries if one.key_version == number]
        for sealed in (version.roster, *entries):
            roster = self._roster(sealed, key)
            if state.contradicts(roster, is_first=state.highest == 0):
                raise NotAuthentic("mistaken_identity")
        return key

    def compare(self) -> None:
        """See by the commitments that all hold the same keys as this device."""
        for version in self._versions.values():
            key = self.state.key(version.key_version)
            number = version.key_version
            if key and key.commitment(self.state.group_id, number) != version.commitment:
                self._tell(Code.KEYS_DIFFER, once=f"{number} {version.commitment.hex()}")

    def miss(self, trusted: dict[UUID, Trusted], *, at_risk: int) -> None:
        """End the trust in who is gone, or not who they were; they may know a key up to that."""
        # "It ends when the service no longer lists the device in the group or lists it with another
        # key or owner"
        gone = []
        directory = self._directory
        for id_, device in trusted.items():
            person, now = directory.listed.get(id_, (None, None))
            if person is None or now is None:
                gone.append(id_)
                self._tell(Code.DEVICE_GONE, name=directory.called(device))
            elif (person.user_id, now.public_key) != (device.user_id, device.public_key):
                gone.append(id_)
                self._tell(Code.KEY_CHANGED, name=directory.called(device))
            elif person.name != device.name and person.name != directory.names[person.user_id]:
                self._tell(
                    Code.SERVICE_NAME_DIFFERS,
                    once=f"{person.user_id} {person.name}",
                    name=directory.called(device),
                    listed=person.name,
                    shown=device.name,
                )
        if gone:
            self.state = mark_compromised(end(self.state, gone, Ended.GONE), at_risk)
        self._check_vouchers()
        directory = self._directory
        for person in self._listing:
            if directory.is_changed(person):
                # "When a member's keys change, the former comparison is shown as void."
                self._tell(
                    Code.NUMBER_VOID,
                    once=f"{person.user_id} {sorted(device.id for device in person.devices)}",
                    name=told_apart(person.name, directory.marks.get(person.user_id, "")),
                )

    def _check_vouchers(self) -> None:
        directory = self._directory
        for device in self.state.trusted().values():
            voucher = self.state.devices.get(device.vouched_by) if device.vouched_by else None
            if voucher is not None and voucher.ended is not None:
                is_same_person = voucher.user_id == device.user_id
                self._tell(
                    Code.VOUCHER_GONE,
                    once=f"{device.device_id} {voucher.device_id}",
                    name=directory.called(device),
                    voucher=None if is_same_person else directory.called(voucher),
                )

    def believe(self, author: UUID | None, *, is_first: bool) -> None:
        """Believe rosters under the present key, which no device that has gone knows.

        `author` is who wrapped it, where this device has just taken it. Its first key of a group
        is older than the trust by which it was taken.
        """
        # "of the version that is the highest it holds, and never of a lower one: a removed member
        # knows those keys, and could have written them anew together with the service"
        version = self._keys.key_version
        key = self.state.key(version)
        if key is None:
            return
        listed = self._directory.listed
        if author is not None:
            entries = self._roster(self._versions[version].roster, key)
            if any(entry.device_id not in listed for entry in entries):
                # "So it does when a new version's roster names a device that the service does not
                # list: that device was given the key, and has gone."
                self.state = mark_compromised(self.state, version)
                return
            self.state, left_out = believe(
                self.state, entries, version=version, author=author, is_whole=not is_first
            )
            for device in left_out:
                self._tell(Code.DEVICE_LEFT_OUT, name=self._directory.called(device))
            self.state = advance(self.state, version)
        for entry in self._keys.entries:
            # "of an entry only when it trusts the device that is said to have put it there"
            wrapper = entry.wrapper_device_id
            if entry.key_version == version and wrapper in self.state.trusted():
                entries = self._roster(entry.sealed, key)
                self.state, _ = believe(
                    self.state, entries, version=version, author=wrapper, is_whole=False
                )

    def _roster(self, sealed: bytes | None, key: GroupKey) -> list[RosterEntry]:
        if sealed is None:
            return []
        with suppress(NotAuthentic):
            return open_roster(sealed, key)
        self._tell(Code.ROSTER_REFUSED, once=sealed[:24].hex())
        return []

    def recognise(self) -> list[UUID]:
        """Trust who proves to hold the secret of a link, and this person's own other devices."""
        # "a device whose **join proof** it has verified with the secret of an invite that it made"
        now = self._now.timestamp()
        live = {id_: link for id_, link in self.state.links.items() if link.expires_at >= now}
        self.state = replace(self.state, links=live)
        known, proven = self.state.devices, []
        for id_, (person, device) in self._directory.listed.items():
            before = known.get(id_)
            if id_ == self.state.me.device_id or (before is not None and before.ended is None):
                continue
            entry = RosterEntry(person.user_id, person.name, id_, device.public_key)
            is_mine = before is None and self.state.is_mine(entry)
            # A link made since is this member's word on a device that had gone, too.
            if is_mine or self._proves(entry, device.join_proof):
                self.state = trust(self.state, entry, TrustSource.PROOF)
                proven.append(id_)
            if is_mine:
                self._tell(Code.OWN_DEVICE_ELSEWHERE)
        return proven

    def _proves(self, entry: RosterEntry, proof: bytes | None) -> bool:
        is_mine = entry.user_id == self.state.me.user_id
        name = OWN_NAME if is_mine else entry.name
        for link in self.state.links.values():
            if link.for_me != is_mine or proof is None:
                continue
            if not proof_holds(proof, link.proof_key, entry.public_key, name, link.code):
                continue
            if link.device_id == entry.device_id:
                return False  # it was believed once
            if link.device_id is not None:
                # "**One invite, one device**: a second device with a proof of the same invite is
                # refused and reported, for then somebody else had the link."
                self._tell(Code.LINK_USED_TWICE, once=str(entry.device_id), listed=entry.name)
                return False
            used = replace(link, device_id=entry.device_id)
            self.state = replace(self.state, links={**self.state.links, link.id: used})
            if is_mine:
                self._tell(Code.OWN_DEVICE_JOINED)
            else:
                self._tell(Code.JOINED, name=entry.name)
            return True
        return False

    def check_own(self) -> None:
        """Remind of what has come to act for this person, be it a device or a phone.

        On several days: a stranger may have let it in here, and have read what was told then.
        """
        # "and, for a week, any further device or phone of their own: somebody else may have had
        # this one."
        today = self._now.date()
        is_first = not self.state.has_met
        self.state = replace(self.state, has_met=True)
        for id_, code, parameters in self._own():
            met = self.state.met.get(id_)
            if met is None:
                # A further device of a person finds the others there.
                day = today - 2 * _REMINDED if is_first and self.state.me.is_further else today
                self.state = replace(self.state, met={**self.state.met, id_: day})
            elif timedelta() < today - met <= _REMINDED:
                self._tell(code, once=f"{id_} {today}", since=met.isoformat(), **parameters)

    def _own(self) -> Iterator[tuple[UUID, Code, dict[str, str]]]:
        me = self.state.me
        for person in self._listing:
            if person.user_id == me.user_id:
                for device in person.devices:
                    if device.id != me.device_id:
                        yield device.id, Code.OWN_DEVICE_PRESENT, {}
                for phone in person.phones:
                    yield phone.id, Code.OWN_PHONE_PRESENT, {"tid": phone.tid}
