"""Statements as evidence: opened under held keys, verified, and attributed to trusted devices.

What is not opened, not verified or not of a trusted device is no evidence. It changes no standing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from draugar.protocol.errors import NotAuthentic
from draugar.protocol.rosters import RosterEntry, open_roster
from draugar.protocol.statements import (
    Card,
    Device,
    DeviceKind,
    Entry,
    Former,
    Introduction,
    NewerForm,
    Opened,
    Roster,
    open_statement,
)
from draugar.trust.values import Held, Keys, Listed, State

UNSIGNED_UNTIL = 1_827_619_200
"""When unsigned statements of form 1 end to be believed: 1 December 2027, a year after form 2."""


@dataclass(frozen=True)
class Believed:
    """A statement of a trusted device, or of this one."""

    version: int
    author: Device
    statement: Roster | Entry | Card | Former

    def introductions(self) -> tuple[Introduction, ...]:
        """Return the devices that it introduces."""
        match self.statement:
            case Roster(introductions=introductions):
                return introductions
            case Entry(introduction=introduction):
                return (introduction,)
            case Card(own=own):
                return own
        return ()


@dataclass(frozen=True)
class Unbelieved:
    """What a holder of the key sealed and no reader can use."""

    what: str
    version: int
    author: UUID | None
    """Who signed it; else who put it there, as the service says."""
    newer: int = 0
    """Its form, where that is newer than this client's."""


@dataclass(frozen=True)
class _Sealed:
    """A statement where it was found; `about` is the device beside which it stands."""

    what: type[Roster | Entry | Card | Former]
    version: int
    sealed: bytes
    about: Device | UUID | None = None
    said_by: UUID | None = None


class Evidence:
    """All statements of one update. Each is opened once, and verified once for each key."""

    def __init__(self, state: State, keys: Keys, devices: Mapping[UUID, Listed]) -> None:
        self._group_id = state.group_id
        self._keys = keys
        self._sealed = tuple(_found(keys, devices.values()))
        self._opened: dict[tuple[int, bytes], Opened] = {}
        self._verified: dict[tuple[int, bytes, bytes], bool] = {}
        self._unsigned: dict[tuple[int, bytes], tuple[RosterEntry, ...]] = {}

    def believed(
        self, held: Mapping[int, Held], authors: Mapping[UUID, Device]
    ) -> Iterator[Believed]:
        """Yield what trusted devices state, in any order."""
        for one in self._sealed:
            opened = self._open(one, held)
            if opened is None or isinstance(opened.statement, NewerForm):
                continue
            author = authors.get(opened.statement.by) if opened.statement.by else None
            statement = opened.statement
            if (
                author is not None
                and isinstance(statement, Roster | Entry | Card | Former)
                and self._is_in_place(one, statement, author, held)
                and self._is_signed(one, opened, author)
            ):
                yield Believed(one.version, author, statement)

    def unbelieved(
        self, held: Mapping[int, Held], authors: Mapping[UUID, Device]
    ) -> Iterator[Unbelieved]:
        """Yield what a trusted device signed and no reader can use, and what no device signed."""
        for one in self._sealed:
            opened = self._open(one, held)
            if opened is None:
                continue
            statement, by = opened.statement, opened.statement.by
            author = authors.get(by) if by else None
            signed = author is not None and self._is_signed(one, opened, author)
            signer = author.device_id if author is not None and signed else one.said_by
            what = one.what.__name__.lower()
            if isinstance(statement, NewerForm):
                newer = statement.form if signed else 0  # "Of other devices it is unreadable."
                yield Unbelieved(what, one.version, signer, newer)
            elif not isinstance(statement, Roster | Entry | Card | Former) or (
                author is not None
                and not (signed and self._is_in_place(one, statement, author, held))
            ):
                yield Unbelieved(what, one.version, signer)

    def unsigned(
        self, state: State, held: Mapping[int, Held], authors: Mapping[UUID, Device], now: float
    ) -> Iterator[Believed]:
        """Yield statements of form 1 as those that they stand for: an entry for each device.

        A roster is yielded as a whole one, too, which may leave devices out.
        """
        # "It believes unsigned rosters and entries of the present version, and only those of a
        # trusted device that it has never seen sign anything: an entry of the device that the
        # service names, a roster of a device that the roster itself names and that has wrapped this
        # version for it." "A roster beside a statement counts for nothing, and none counts from 1
        # December 2027 on."
        version = self._keys.version
        if now >= UNSIGNED_UNTIL or version not in held:
            return
        signing = {one.author.device_id for one in self.believed(held, authors)}
        silent = {
            id_: device
            for id_, device in authors.items()
            if id_ not in state.signers | signing
            and device != state.me
            and device.kind is DeviceKind.APP  # no browser was ever a client of form 1
        }
        for entry in self._keys.unsigned_entries:
            author = silent.get(entry.author_id) if entry.author_id else None
            if author is not None and entry.version == version:
                for one in self._open_unsigned(version, entry.sealed, held):
                    yield Believed(version, author, Entry(author.device_id, _entry(one, version)))
        wrappers = {one.wrapper_key for one in self._keys.envelopes if one.version == version}
        for shown in self._keys.versions:
            if shown.version != version or shown.roster is None or shown.statement is not None:
                continue
            named = self._open_unsigned(version, shown.roster, held)
            # A roster of form 1 names its author's own device. Of several who may have written
            # it, the least id stands for them.
            ids = {one.device_id for one in named}
            possible = [
                device
                for id_, device in silent.items()
                if id_ in ids and device.public_key in wrappers
            ]
            if possible:
                author = min(possible, key=lambda device: device.device_id)
                yield Believed(
                    version,
                    author,
                    Roster(
                        by=author.device_id,
                        commitment=shown.commitment,
                        made=0,
                        browsers=state.stated_browsers[1],
                        complete=False,
                        introductions=tuple(_entry(one, version) for one in named),
                    ),
                )

    def _open(self, one: _Sealed, held: Mapping[int, Held]) -> Opened | None:
        if one.version not in held:
            return None
        found = self._opened.get((one.version, one.sealed))
        if found is None:
            found = open_statement(one.sealed, key=held[one.version].key)
            self._opened[one.version, one.sealed] = found
        return found

    def _is_signed(self, one: _Sealed, opened: Opened, author: Device) -> bool:
        # "A reader verifies with the public key that it trusts for `by`, whatever the service says
        # of who wrote it."
        about = (one.version, one.sealed, author.public_key)
        if about not in self._verified:
            self._verified[about] = opened.is_signed_by(
                author.public_key, group_id=self._group_id, version=one.version
            )
        return self._verified[about]

    def _is_in_place(
        self,
        one: _Sealed,
        statement: Roster | Entry | Card | Former,
        author: Device,
        held: Mapping[int, Held],
    ) -> bool:
        match statement:
            case Roster():
                # "A roster whose `commitment` is not that of its version's key is ignored."
                commitment = held[one.version].key.commitment(self._group_id, one.version)
                is_here = statement.commitment == commitment
            case Entry():
                # "It counts only beside the device that it names."
                is_here = statement.introduction.device.device_id == one.about
            case Card():
                # "It counts only at the device that signed it, and where `userId` and `kind` are
                # those of that device."
                stated = (author.user_id, author.kind)
                is_here = one.about == author and (statement.user_id, statement.kind) == stated
            case Former():
                is_here = one.about == author.device_id
        return isinstance(statement, one.what) and is_here

    def _open_unsigned(
        self, version: int, sealed: bytes, held: Mapping[int, Held]
    ) -> tuple[RosterEntry, ...]:
        about = (version, sealed)
        if about not in self._unsigned:
            try:
                self._unsigned[about] = tuple(open_roster(sealed, held[version].key))
            except NotAuthentic:
                self._unsigned[about] = ()
        return self._unsigned[about]


def _found(keys: Keys, devices: Iterable[Listed]) -> Iterator[_Sealed]:
    for version in keys.versions:
        if version.statement is not None:
            yield _Sealed(Roster, version.version, version.statement)
    for vouch in keys.vouches:
        yield _Sealed(Entry, keys.version, vouch.sealed, vouch.about, vouch.voucher_id)
    for listed in devices:
        if listed.card is not None:
            yield _Sealed(
                Card,
                listed.card.version,
                listed.card.sealed,
                listed.device,
                listed.device.device_id,
            )
    by_key = {listed.device.public_key: listed.device.device_id for listed in devices}
    for envelope in keys.envelopes:
        wrapper = by_key.get(envelope.wrapper_key)
        if envelope.former is not None and envelope.version < keys.version and wrapper is not None:
            yield _Sealed(Former, envelope.version, envelope.former, wrapper, wrapper)


def _entry(one: RosterEntry, version: int) -> Introduction:
    device = Device(
        user_id=one.user_id,
        device_id=one.device_id,
        public_key=one.public_key,
        kind=one.kind,
    )
    return Introduction(device, version, one.name)
