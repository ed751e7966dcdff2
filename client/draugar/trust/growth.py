"""Who becomes trusted by one update, and which keys are taken: section "Updating" of the protocol.

The saved state is grown until nothing changes. What trusted devices then state to have gone ends,
and it is grown again from the saved state, so that nothing counts that rests on what has ended.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

from draugar.protocol.envelopes import unwrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.invites import proof_holds
from draugar.protocol.secrets import GroupKey
from draugar.protocol.signing import is_device_key
from draugar.protocol.statements import (
    LAST_SECOND,
    Card,
    Device,
    DeviceKind,
    Former,
    Introduction,
    Roster,
)
from draugar.trust.evidence import Believed, Evidence
from draugar.trust.values import (
    NEVER,
    Envelope,
    Keys,
    Link,
    Listed,
    Listing,
    Name,
    OwnDevice,
    Record,
    Source,
    State,
    changed,
    contradicts,
    is_own,
    taken,
)

OWN_NAME = "me"
"""What a further device of one's own proves in the place of a name."""
MOST_UNKNOWN_GONE = 256


def usable(state: State, listing: Listing) -> dict[UUID, Listed]:
    """Return the listed devices that share neither an id nor a key, and whose key is one.

    "Listed devices that share an id or a public key are ignored, and so is a device with a public
    key that no device can have." "a device that this client knows by exactly that id, person, key
    and kind counts as listed even where another one has its key": else any stranger who registers
    a copy of a member's public key would end all trust in that member.
    """
    ids = Counter(one.device.device_id for one in listing.devices)
    keys = Counter(one.device.public_key for one in listing.devices)
    known = {state.me, *(record.device for record in state.records.values())}
    return {
        one.device.device_id: one
        for one in listing.devices
        if ids[one.device.device_id] == 1
        and (keys[one.device.public_key] == 1 or one.device in known)
        and is_device_key(one.device.public_key)
    }


@dataclass(frozen=True)
class Update:
    """One update: what was saved, and what the service answers."""

    state: State
    keys: Keys
    listed: Mapping[UUID, Listed]
    """Without devices that share an id or a key."""
    listed_ids: frozenset[UUID]
    evidence: Evidence
    at: float

    def lists(self, device: Device) -> bool:
        """Whether a device is listed with just this owner, key and kind."""
        found = self.listed.get(device.device_id)
        return found is not None and found.device == device


@dataclass(frozen=True)
class Ends:
    """What has ended: by the list, and by whose word."""

    observed: Mapping[UUID, int] = field(default_factory=dict)
    said: Mapping[UUID, Mapping[UUID, int]] = field(default_factory=dict)
    departure: bool = False
    """Whether all open links are closed."""


class Growth:
    """What is trusted and held once nothing changes any more."""

    def __init__(self, update: Update, ends: Ends) -> None:
        state = update.state
        self._update = update
        self._me = state.me
        self.ends = ends
        self.records = dict(state.records)
        self.unknown_gone = {id_: dict(said) for id_, said in state.unknown_gone.items()}
        self.own = {
            id_: OwnDevice(one.public_key, groups)
            for id_, one in state.own.items()
            if (groups := self._groups(id_, one))
        }
        self.held = dict(state.held)
        self.highest = state.highest
        self.refused: dict[tuple[int, UUID], None] = {}
        self.joined: dict[UUID, UUID] = {}
        """Devices that proved a link, with its id."""
        self.used_twice: dict[tuple[UUID, UUID], None] = {}
        self._unwrapped: dict[Envelope, GroupKey | None] = {}
        self._note(ends)
        self.links = self._close_links()
        self._prove()
        while self._grow():
            pass

    # Ends

    def _groups(self, id_: UUID, one: OwnDevice) -> frozenset[UUID]:
        # "A home forgets one when its person says so, or when no group lists it."
        here = frozenset({self._update.state.group_id})
        device = self._update.listed.get(id_)
        is_listed = device is not None and (device.device.public_key, device.device.user_id) == (
            one.public_key,
            self._me.user_id,
        )
        return one.groups | here if is_listed else one.groups - here

    def _note(self, ends: Ends) -> None:
        for id_, end in ends.observed.items():
            record = self.records[id_]
            self.records[id_] = changed(record, observed=max(record.observed, end))
        for id_, said in ends.said.items():
            self._note_said(id_, said)

    def _note_said(self, id_: UUID, said: Mapping[UUID, int]) -> None:
        # "Each signer's number is kept by itself."
        record = self.records.get(id_)
        if record is not None:
            self.records[id_] = changed(record, said=greatest(record.said, said))
        else:
            self.unknown_gone[id_] = greatest(self.unknown_gone.get(id_, {}), said)

    def ended(self, id_: UUID) -> int:
        """Return the greatest end of a device, known or not."""
        record = self.records.get(id_)
        if record is not None:
            return record.ended
        return max(self.unknown_gone.get(id_, {}).values(), default=NEVER)

    def _close_links(self) -> list[Link]:
        # "If there is a departure, all links of the group that no device has used are closed." "The
        # end of another one closes the links that were made under a version up to that end." A link
        # that is over is none.
        reach = max(
            (end for said in self.ends.said.values() for end in said.values()), default=NEVER
        )
        return [
            link
            for link in self._update.state.links
            if not link.open
            or (
                not self.ends.departure
                and link.version > reach
                and link.expires_at > self._update.at
            )
        ]

    # Proofs

    def _prove(self) -> None:
        # "A device that alone proves an open link becomes a root, and the link is bound to it.
        # Where two or more prove it, none is trusted, and the link is closed. Another device that
        # proves a bound link is told of."
        for place, link in enumerate(self.links):
            provers = sorted(
                id_ for id_, listed in self._update.listed.items() if self._proves(listed, link)
            )
            if not link.open:
                others = [id_ for id_ in provers if id_ != link.used_by]
                self.used_twice |= dict.fromkeys((link.id, id_) for id_ in others)
            elif len(provers) > 1:
                self.links[place] = replace(link, closed=True)
                self.used_twice |= dict.fromkeys((link.id, id_) for id_ in provers)
            elif provers and self._trust_proven(self._update.listed[provers[0]].device):
                self.links[place] = replace(link, used_by=provers[0])
                self.joined[provers[0]] = link.id

    def _proves(self, listed: Listed, link: Link) -> bool:
        device = listed.device
        if listed.join_proof is None:
            return False
        if (device.user_id == self._me.user_id) != link.for_me:
            return False
        name = OWN_NAME if link.for_me else listed.name
        return proof_holds(
            listed.join_proof, link.proof_key, device.public_key, name, link.code, device.kind
        )

    def _trust_proven(self, device: Device) -> bool:
        if contradicts(self._me, self.records, device):
            return False
        record, ended = self.records.get(device.device_id), self.ended(device.device_id)
        # "A comparison or a proof makes `since` the greater of highest and `ended` + 1"
        since = max(self._update.state.highest, ended + 1, record.since if record else 0)
        self._keep(device, since, Source.PROOF, None)
        if device.user_id == self._me.user_id:
            self._own(device)
        return True

    # Growth

    def _grow(self) -> bool:
        # Each step is taken from one and the same set of trusted devices, so that no order counts.
        authors = self.authors()
        believed = list(self._believed(authors))
        steps = [self._trust_own(), self._introduce(believed), self._open_envelopes(authors)]
        return any(steps)

    def authors(self) -> dict[UUID, Device]:
        """Return the devices whose statements and envelopes count: the trusted, and this one."""
        trusted = {
            id_: record.device
            for id_, record in self.records.items()
            if record.trusted and self._update.lists(record.device)
        }
        return trusted | {self._me.device_id: self._me}

    def is_own(self, device: Device) -> bool:
        """Whether a device is this one or another one of its person."""
        return is_own(self._me, self.own, device)

    def signed(self) -> list[Believed]:
        """Return what trusted devices have signed."""
        return list(self._update.evidence.believed(self.held, self.authors()))

    def unsigned(self) -> list[Believed]:
        """Return what form 1 states."""
        return list(self._unsigned(self.authors()))

    def _unsigned(self, authors: Mapping[UUID, Device]) -> Iterator[Believed]:
        update = self._update
        return update.evidence.unsigned(update.state, self.held, authors, update.at)

    def _believed(self, authors: Mapping[UUID, Device]) -> Iterator[Believed]:
        yield from self._update.evidence.believed(self.held, authors)
        yield from self._unsigned(authors)

    def _trust_own(self) -> bool:
        # Growth begins with "own devices that never ended;" wherever they are listed.
        grown = False
        for id_ in sorted(self.own):
            listed = self._update.listed.get(id_)
            if (
                listed is not None
                and self.is_own(listed.device)
                and listed.device != self._me
                and id_ not in self.records
                and self.ended(id_) == NEVER
            ):
                since = max(self._update.state.highest, 1)
                grown |= self._accept(listed.device, since, Source.OWN, None)
        return grown

    def _introduce(self, believed: list[Believed]) -> bool:
        # "The voucher that is shown is, of all whose word counts, an own device first, then the one
        # with the greatest `since`, then the least id."
        candidates: dict[Device, list[tuple[bool, int, UUID]]] = {}
        for one in believed:
            is_own = self.is_own(one.author)
            for introduction in one.introductions():
                if self.counts(one, introduction):
                    candidates.setdefault(introduction.device, []).append(
                        (not is_own, -introduction.since, one.author.device_id)
                    )
        grown = False
        for device, words in candidates.items():
            # A word that has ended does not hide another one that still counts.
            valid = [word for word in words if -word[1] > self.ended(device.device_id)]
            if not valid:
                continue
            since = max(-word[1] for word in valid)
            grown |= self._accept(device, since, Source.MEMBER, min(valid)[2])
            record = self.records.get(device.device_id)
            if (
                device.user_id == self._me.user_id
                and device.device_id not in self.own
                and record is not None
                and record.trusted
            ):
                self._own(device)  # "the devices in `own` of cards that own devices signed"
                grown = True
        return grown

    def counts(self, one: Believed, introduction: Introduction) -> bool:
        """Whether an introduction counts."""
        device = introduction.device
        # "An introduction by a statement of version v counts only if": "its signer is trusted;"
        # "the device is listed with **identical** person, key and kind;" "it is not about the
        # signer, nor about this device;" "a device of this client's own person is introduced by a
        # card of an own device, and by nothing else;" "its `since` is at most v + 1." A card names
        # devices of its author's person only, so no card of others introduces.
        if isinstance(one.statement, Card):
            is_of_whom_it_may_be = self.is_own(one.author)
        else:
            is_of_whom_it_may_be = device.user_id != self._me.user_id
        return (
            is_of_whom_it_may_be
            and self._update.lists(device)
            and device.device_id not in (self._me.device_id, one.author.device_id)
            and introduction.since <= one.version + 1
        )

    def _accept(self, device: Device, since: int, source: Source, by: UUID | None) -> bool:
        """Trust a device from a version on; return whether that changed anything."""
        record = self.records.get(device.device_id)
        if contradicts(self._me, self.records, device):
            return False
        if record is not None and (record.removed or (record.trusted and record.since >= since)):
            return False  # removed: "no statement brings it back"
        if record is not None and record.trusted:
            self.records[device.device_id] = changed(record, since=since)
        else:
            self._keep(device, since, source, by)
        return True

    def _keep(self, device: Device, since: int, source: Source, by: UUID | None) -> None:
        id_ = device.device_id
        known = self.records.get(id_) or Record(
            device=device, since=since, source=source, said=self.unknown_gone.pop(id_, {})
        )
        self.records[id_] = changed(known, since=since, source=source, by=by, removed=False)

    def _own(self, device: Device) -> None:
        groups = frozenset({self._update.state.group_id})
        self.own[device.device_id] = OwnDevice(device.public_key, groups)

    # Envelopes

    def _open_envelopes(self, authors: Mapping[UUID, Device]) -> bool:
        # "envelopes of trusted devices and of this one (Envelopes), by ascending versions." What
        # does not open, match the commitment, or is a key that was held before is refused.
        wrappers = {device.public_key: id_ for id_, device in authors.items()}
        commitments = self._commitments()
        grown = False
        for envelope in sorted(
            self._update.keys.envelopes, key=lambda one: (one.version, one.wrapped)
        ):
            version = envelope.version
            wrapper = wrappers.get(envelope.wrapper_key)
            if wrapper is None or version in self.held or version > self._update.keys.version:
                continue
            key = self._unwrap(envelope)
            if key is None or not self._is_new(key, version, commitments.get(version)):
                self.refused[version, wrapper] = None
                continue
            present = self._update.keys.version
            self.held[version] = taken(
                self.held, version, key, present=present, now=self._update.at
            )
            self.highest = max(self.highest, version)
            grown = True
        return grown

    def _commitments(self) -> dict[int, bytes]:
        shown: dict[int, set[bytes]] = {}
        for one in self._update.keys.versions:
            shown.setdefault(one.version, set()).add(one.commitment)
        return {version: found.pop() for version, found in shown.items() if len(found) == 1}

    def _unwrap(self, envelope: Envelope) -> GroupKey | None:
        if envelope not in self._unwrapped:
            self._unwrapped[envelope] = None
            with suppress(NotAuthentic):
                self._unwrapped[envelope] = unwrap(
                    envelope.wrapped, envelope.wrapper_key, self._update.state.key
                )
        return self._unwrapped[envelope]

    def _is_new(self, key: GroupKey, version: int, commitment: bytes | None) -> bool:
        return (
            commitment == key.commitment(self._update.state.group_id, version)
            and key not in self._update.state.elsewhere
            and all(held.key != key for held in self.held.values())
        )

    # What trusted devices state to have gone

    def said_gone(self) -> dict[UUID, dict[UUID, int]]:
        """Return of each device the ends that trusted devices state, and that count."""
        found: dict[UUID, dict[UUID, int]] = {}
        for one in self.signed():
            if isinstance(one.statement, Roster):
                gone = dict(one.statement.gone)
                if not one.statement.complete:
                    # "Being left out of a roster ends nothing, unless `complete` is false: then
                    # each trusted device that is in neither `people` nor `gone` ends at v - 1."
                    gone = dict.fromkeys(self._left_out(one), one.version - 1) | gone
                self._note_gone(found, one, gone)
        # "A device that the roster leaves out ends at v - 1 when the version is first met, unless
        # it is a browser, which form 1 cannot name, or the version is the first that this device
        # meets."
        saved = self._update.state
        if saved.highest > 0 and self._update.keys.version not in saved.held:
            for one in self.unsigned():
                if isinstance(one.statement, Roster):
                    apps = (
                        id_ for id_, kind in self._left_out(one).items() if kind is DeviceKind.APP
                    )
                    self._note_gone(found, one, dict.fromkeys(apps, one.version - 1))
        return found

    def _left_out(self, one: Believed) -> dict[UUID, DeviceKind]:
        named = {introduction.device.device_id for introduction in one.introductions()}
        return {id_: device.kind for id_, device in self.authors().items() if id_ not in named}

    def _note_gone(
        self, found: dict[UUID, dict[UUID, int]], one: Believed, gone: Mapping[UUID, int]
    ) -> None:
        # "each number in `gone` counts if `since` <= the number <= v. It never counts for the
        # signer or for this device, and for own devices only by an own device."
        signer = one.author.device_id
        for id_, end in gone.items():
            record = self.records.get(id_)
            is_mine = record is not None and record.device.user_id == self._me.user_id
            if (
                id_ not in (signer, self._me.device_id)
                and end <= one.version
                and (record is None or record.since <= end)
                and (not is_mine or self.is_own(one.author))
            ):
                said = found.setdefault(id_, {})
                said[signer] = max(end, said.get(signer, NEVER))

    # The new state

    def state(self, news: Mapping[UUID, Mapping[UUID, int]]) -> State:
        """Return what is known now; `news` are the ends that change nothing yet."""
        for id_, said in news.items():
            self._note_said(id_, said)
        update, signed = self._update, self.signed()
        self._note_cards(signed)
        self._note_versions(signed)
        rosters = [
            (one.version, one.statement.browsers)
            for one in signed
            if isinstance(one.statement, Roster)
        ]
        return replace(
            update.state,
            held=self.held,
            highest=self.highest,
            records=self.records,
            unknown_gone=self._kept_unknown(),
            links=tuple(self.links),
            own=self.own,
            browsers=update.keys.browsers,
            stated_browsers=max([update.state.stated_browsers, *rosters]),
            signers=update.state.signers | {one.author.device_id for one in signed},
        )

    def _note_cards(self, signed: list[Believed]) -> None:
        for one in signed:
            card, record = one.statement, self.records.get(one.author.device_id)
            if isinstance(card, Card) and record is not None:
                stated = Name(card.n, card.name)
                best = max(stated, record.card or stated)
                self.records[one.author.device_id] = changed(record, card=best)

    def _note_versions(self, signed: list[Believed]) -> None:
        now, present = self._update.at, self._update.keys.version
        made: dict[int, int] = {}
        for one in signed:
            held = self.held[one.version]
            if isinstance(one.statement, Roster):  # the earliest, if a service shows several
                made[one.version] = min(one.statement.made, made.get(one.version, LAST_SECOND))
                self.held[one.version] = replace(held, made=made[one.version])
            if isinstance(one.statement, Former) and self.is_own(one.author):
                until = one.statement.until
                earliest = until if held.until is None else min(until, held.until)
                self.held[one.version] = replace(held, until=earliest)
        if present in self.held:
            held = self.held[present]
            self.held[present] = replace(held, last_current=max(held.last_current, now))

    def _kept_unknown(self) -> dict[UUID, dict[UUID, int]]:
        # "Numbers about unknown devices are kept, the 256 greatest that own devices state and the
        # 256 greatest of others" -- more than one roster states, so that none is news twice.
        own = {self._me.device_id, *self.own}
        ranked = sorted(self.unknown_gone.items(), key=lambda one: (-max(one[1].values()), one[0]))
        mine = [one for one in ranked if not own.isdisjoint(one[1])]
        others = [one for one in ranked if own.isdisjoint(one[1])]
        return dict(mine[:MOST_UNKNOWN_GONE] + others[:MOST_UNKNOWN_GONE])


def greatest(one: Mapping[UUID, int], other: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return the greater number of each id."""
    return {id_: max(one.get(id_, NEVER), other.get(id_, NEVER)) for id_ in {**one, **other}}
