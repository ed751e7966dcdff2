"""A family, a hostile member and a service that may lie, with real keys and real statements.

Every honest device decides by `reconcile`. After each update it is checked that the order of the
answer and its repetition change nothing, and that the invariants of docs/protocol.md hold.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

from draugar.protocol.envelopes import wrap
from draugar.protocol.invites import InviteKeys, join_proof
from draugar.protocol.json import to_base64url
from draugar.protocol.secrets import DeviceKey, GroupKey, InviteSecret
from draugar.protocol.statements import (
    Card,
    Device,
    DeviceKind,
    Entry,
    Introduction,
    Roster,
    Statement,
    fitted,
    seal_statement,
)
from draugar.trust import words
from draugar.trust.growth import OWN_NAME
from draugar.trust.numbers import halves
from draugar.trust.reconcile import reconcile
from draugar.trust.values import (
    Decision,
    Envelope,
    Gift,
    Held,
    Keys,
    Link,
    Listed,
    Listing,
    Name,
    OwnDevice,
    Record,
    SealedCard,
    Source,
    State,
    Stop,
    Version,
    Vouch,
)

GROUP = UUID(int=7)
NOW = 1_800_000_000.0
CODE = "ABCDEFGHJKLMNPQR"
EVE = "Eve"


@dataclass
class Service:
    """What the service stores; it answers honestly."""

    version: int = 0
    required: bool = False
    versions: dict[int, Version] = field(default_factory=dict)
    keys: dict[int, GroupKey] = field(default_factory=dict)
    """Not the service's: for the test to know what is right."""
    envelopes: dict[tuple[int, UUID, UUID], Envelope] = field(default_factory=dict)
    vouches: dict[tuple[UUID, UUID], Vouch] = field(default_factory=dict)
    cards: dict[UUID, SealedCard] = field(default_factory=dict)
    devices: dict[UUID, Device] = field(default_factory=dict)
    proofs: dict[UUID, bytes] = field(default_factory=dict)
    members: list[UUID] = field(default_factory=list)
    names: dict[UUID, str] = field(default_factory=dict)
    given: set[tuple[int, UUID]] = field(default_factory=set)

    def listed(self) -> list[Device]:
        """Return the devices of members."""
        return [one for one in self.devices.values() if one.user_id in self.members]

    def listing(self) -> Listing:
        """Return the people."""
        return Listing(devices=tuple(self.show(one) for one in self.listed()))

    def show(self, one: Device) -> Listed:
        """Return a device as it is listed."""
        id_ = one.device_id
        return Listed(
            device=one,
            name=self.names[one.user_id],
            confirmed=(self.version, id_) in self.given,
            join_proof=self.proofs.get(id_),
            card=self.cards.get(id_),
        )

    def answer(self, to: Device) -> Keys:
        """Return the keys for a device."""
        return Keys(
            version=self.version,
            rotation_required=self.required,
            versions=tuple(self.versions.values()),
            envelopes=tuple(
                one
                for (_, recipient, _), one in self.envelopes.items()
                if recipient == to.device_id
            ),
            vouches=tuple(self.vouches.values()),
        )

    def rotate(self, author: Device, version: Version, envelopes: dict[UUID, Envelope]) -> None:
        """Take a new version."""
        assert version.version == self.version + 1
        self.version, self.required = version.version, False
        self.versions[version.version] = version
        self.vouches = {}
        for id_, envelope in envelopes.items():
            self.envelopes[version.version, id_, author.device_id] = envelope
            self.given.add((version.version, id_))

    def depart(self, devices: Iterable[Device]) -> None:
        """Let devices go: a new key is due where one was given the present one."""
        self.required |= any((self.version, one.device_id) in self.given for one in devices)


class World:
    """All devices, the service, and what is true of them."""

    def __init__(self, seed: int, *, lies: bool = False, eve_bans: bool = False) -> None:
        self.random = Random(seed)  # noqa: S311 -- what happens, by a seed
        self.lies, self.eve_bans = lies, eve_bans
        self.service = Service()
        self.states: dict[UUID, State] = {}
        self.secrets: dict[UUID, DeviceKey] = {}
        self.stated: dict[UUID, set[str]] = {}
        """Names that a person has stated."""
        self.persons: dict[str, UUID] = {}
        self.ghosts: set[bytes] = set()
        """Public keys of devices that no honest member has confirmed."""
        self.introduced: set[bytes] = set()
        """Those of them that Eve has vouched for, or let in by a link."""
        self.read_links: list[InviteKeys] = []
        """Links that Eve has read."""
        self.removed: dict[UUID, set[UUID]] = {}
        """Devices that removed a person."""
        self.pages: dict[UUID, list[tuple[Keys, Listing]]] = {}
        self.now = NOW
        self._numbers = itertools.count(1)
        first = self.join("Una")
        key = self.new_key()
        self.found(first, key)

    # Making things

    def bytes_(self, size: int) -> bytes:
        """Return bytes that no other call returns."""
        return next(self._numbers).to_bytes(4, "big") + self.random.randbytes(size - 4)

    def new_key(self) -> GroupKey:
        """Return a new group key."""
        return GroupKey(to_base64url(self.bytes_(24)).encode())

    def join(self, person: str, kind: str = "app") -> Device:
        """Let a new device of a new or known person sign in."""
        if person not in self.persons:
            self.persons[person] = UUID(bytes=self.bytes_(16))
            self.service.members.append(self.persons[person])
            self.service.names[self.persons[person]] = person
            self.stated[self.persons[person]] = {person}
        secret = DeviceKey(self.bytes_(32))
        one = Device(
            self.persons[person], UUID(bytes=self.bytes_(16)), secret.public, DeviceKind(kind)
        )
        self.secrets[one.device_id] = secret
        self.service.devices[one.device_id] = one
        state = State(me=one, key=secret, group_id=GROUP, card=Name(0, person))
        self.states[one.device_id] = state
        return one

    def found(self, one: Device, key: GroupKey) -> None:
        """Make the first key."""
        state = self.states[one.device_id]
        decision = Decision(state=state, holds=False, rotate=False, recipients=())
        roster = words.next_roster(decision, key, version=1, now=self.now)
        self.send(one, key, 1, roster, [one])
        self.states[one.device_id] = words.rotated(state, 1, key, roster, self.now)

    def send(
        self,
        author: Device,
        key: GroupKey,
        version: int,
        roster: Roster | None,
        recipients: Iterable[Device],
        *,
        others: dict[UUID, GroupKey] | None = None,
    ) -> None:
        """Make a version; `others` are given another key than the committed one."""
        statement = None if roster is None else self.seal(author, roster, version, key)
        self.service.keys[version] = key
        self.service.rotate(
            author,
            Version(
                version=version, commitment=key.commitment(GROUP, version), statement=statement
            ),
            {
                one.device_id: self.wrap(
                    author, one, (others or {}).get(one.device_id, key), version
                )
                for one in recipients
            },
        )

    def wrap(self, by: Device, to: Device, key: GroupKey, version: int) -> Envelope:
        """Return an envelope."""
        wrapped = wrap(key, to.public_key, self.secrets[by.device_id])
        return Envelope(
            version=version, wrapped=wrapped, wrapper_key=by.public_key, wrapper_id=by.device_id
        )

    def seal(self, by: Device, statement: Statement, version: int, key: GroupKey) -> bytes:
        """Seal a statement by whatever device."""
        return seal_statement(
            statement,
            group_id=GROUP,
            version=version,
            device_key=self.secrets[by.device_id],
            key=key,
        )

    # Who is who

    def is_evil(self, one: Device) -> bool:
        """Whether a device is Eve's, or made up by the service."""
        return one.user_id == self.persons.get(EVE) or one.public_key in self.ghosts

    def honest(self) -> list[Device]:
        """Return the honest devices that are listed."""
        return [one for one in self.service.listed() if not self.is_evil(one)]

    def holders(self) -> list[Device]:
        """Return the honest devices that hold the present key."""
        return [
            one
            for one in self.honest()
            if self.service.version in self.states[one.device_id].held
            and self.states[one.device_id].highest == self.service.version
        ]

    # An update

    def sync(self, one: Device, *, lie: bool = False) -> Decision | Stop:
        """Update a device, check what it decides, and do it."""
        state = self.states[one.device_id]
        keys, listing = self.service.answer(one), self.service.listing()
        pages = self.pages.setdefault(one.device_id, [])
        pages.append((keys, listing))
        del pages[:-6]
        if lie:
            keys, listing = self.lie(one, keys, listing)
        decision = reconcile(state, listing, keys, self.now)
        assert reconcile(state, *self.shuffled(listing, keys), self.now) == decision
        if isinstance(decision, Stop):
            assert lie or one.user_id == self.persons.get(EVE)
            return decision
        again = reconcile(decision.state, listing, keys, self.now)
        assert isinstance(again, Decision)
        assert again.state == decision.state
        assert {notice.code for notice in again.notices} <= {"waiting_for"}
        self.check(one, state, decision, listing, keys)
        self.states[one.device_id] = decision.state
        self.act(one, decision)
        return decision

    def shuffled(self, listing: Listing, keys: Keys) -> tuple[Listing, Keys]:
        """Return an answer in another order."""

        def mixed(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(self.random.sample(values, len(values)))

        return replace(listing, devices=mixed(listing.devices)), replace(
            keys,
            versions=mixed(keys.versions),
            envelopes=mixed(keys.envelopes),
            vouches=mixed(keys.vouches),
        )

    def act(self, one: Device, decision: Decision) -> None:
        """Do what was decided, as far as the honest service lets it be done."""
        service = self.service
        if (decision.state.highest, decision.holds) != (service.version, True):
            return
        if decision.rotate:
            self.rotate(one, decision)
            return
        for gift in decision.give:
            self.give(one, gift)
        key = decision.state.held[service.version].key
        for introduction in decision.vouch:
            if introduction.device in service.listed():
                about = introduction.device.device_id
                sealed = self.seal(one, Entry(one.device_id, introduction), service.version, key)
                service.vouches[about, one.device_id] = Vouch(about=about, sealed=sealed)
        if decision.card is not None:
            sealed = self.seal(one, decision.card, service.version, key)
            service.cards[one.device_id] = SealedCard(sealed, service.version)

    def give(self, one: Device, gift: Gift) -> None:
        """Put an envelope."""
        service, state = self.service, self.states[one.device_id]
        to = service.devices.get(gift.device_id)
        if to is None or to not in service.listed():
            return
        self.states[one.device_id] = words.gave(state, gift)
        key = state.held[gift.version].key
        about = (gift.version, gift.device_id, one.device_id)
        service.envelopes.setdefault(about, self.wrap(one, to, key, gift.version))
        service.given.add((gift.version, gift.device_id))

    def rotate(self, one: Device, decision: Decision) -> None:
        """Make a new key; recipients that the service does not know are surplus."""
        service, key = self.service, self.new_key()
        listed = {device.device_id: device for device in service.listed()}
        surplus = {
            id_
            for id_ in decision.recipients
            if listed.get(id_) != decision.state.records[id_].device
        }
        version = service.version + 1
        roster = words.next_roster(decision, key, version=version, now=self.now, surplus=surplus)
        recipients = [listed[id_] for id_ in decision.recipients if id_ not in surplus]
        state = words.attempted(decision.state, version)
        self.send(one, key, version, fitted(roster), [one, *recipients])
        self.states[one.device_id] = words.rotated(state, version, key, roster, self.now)

    # Lies of the service

    def lie(self, one: Device, keys: Keys, listing: Listing) -> tuple[Keys, Listing]:
        """Return an answer that is not true."""
        random = self.random
        kinds = ["old", "hide", "back", "unrequire", "drop", "ghost", "no proofs", "confirm"]
        for _ in range(random.randint(1, 3)):
            what = random.choice(kinds)
            if what == "old":
                keys, listing = random.choice(self.pages[one.device_id])
            elif what == "hide":
                hidden = random.choice(listing.devices)
                if hidden.device != one:
                    left = tuple(shown for shown in listing.devices if shown != hidden)
                    listing = replace(listing, devices=left)
            elif what == "back":
                shown = {listed.device.device_id for listed in listing.devices}
                back = (
                    self.service.show(device)
                    for id_, device in self.service.devices.items()
                    if id_ not in shown
                )
                listing = replace(listing, devices=(*listing.devices, *back))
            elif what == "unrequire":
                keys = replace(keys, rotation_required=False)
            elif what == "drop":
                keys = replace(
                    keys,
                    versions=tuple(
                        one if random.random() < 0.7 else replace(one, statement=None)
                        for one in keys.versions
                    ),
                    envelopes=tuple(one for one in keys.envelopes if random.random() < 0.8),
                    vouches=tuple(one for one in keys.vouches if random.random() < 0.7),
                )
            elif what == "ghost":
                listing = replace(listing, devices=(*listing.devices, self.ghost()))
            elif what == "no proofs":
                listing = replace(
                    listing,
                    devices=tuple(replace(one, join_proof=None) for one in listing.devices),
                )
            else:
                listing = replace(
                    listing,
                    devices=tuple(
                        replace(one, confirmed=random.random() < 0.5) for one in listing.devices
                    ),
                )
        return keys, listing

    def ghost(self) -> Listed:
        """Return a device that the service has made up, maybe with a proof of a link Eve read."""
        random, secret = self.random, DeviceKey(self.bytes_(32))
        user_id = random.choice([UUID(bytes=self.bytes_(16)), *self.service.members])
        self.ghosts.add(secret.public)
        name = self.service.names.get(user_id, "Ghost")
        device = Device(user_id, UUID(bytes=self.bytes_(16)), secret.public, DeviceKind.APP)
        proof = None
        if self.read_links and random.random() < 0.7:
            link = random.choice(self.read_links)
            proof = join_proof(link.proof, secret.public, name, CODE)
        return Listed(device=device, name=name, confirmed=True, join_proof=proof)

    # What must hold

    def check(
        self, one: Device, before: State, decision: Decision, listing: Listing, keys: Keys
    ) -> None:
        """Check the invariants of one update."""
        after = decision.state
        shown = {listed.device for listed in listing.devices}
        for id_ in decision.recipients:
            record = after.records[id_]
            assert self.has_a_chain(record)
            assert record.device in shown
            # Whom this person has removed is no recipient without a word of this person.
            assert record.device.user_id not in self.removed.get(one.device_id, set())
        departed = [record for record in before.trusted().values() if record.device not in shown]
        if departed or keys.rotation_required:
            assert not any(
                record.source is Source.PROOF
                and record.trusted
                and not (id_ in before.records and before.records[id_].trusted)
                for id_, record in after.records.items()
            )
        for id_, record in after.records.items():
            true = self.service.devices.get(id_)
            assert true is None or not record.trusted or record.device == true
            known = before.records.get(id_)
            assert known is None or (record.ended >= known.ended and record.device == known.device)
            card = record.card
            if card is not None and true is not None and not self.is_evil(true):
                assert card.name in self.stated[true.user_id]
        for id_ in after.own:
            assert self.service.devices[id_].user_id == one.user_id
        assert after.highest >= before.highest
        assert after.compromised >= before.compromised
        for version, held in after.held.items():
            assert held.key == self.service.keys[version]
        assert len({held.key for held in after.held.values()}) == len(after.held)

    def has_a_chain(self, record: Record) -> bool:
        """Whether trust in a device goes back to a root, or to a member who vouched for it."""
        key = record.device.public_key
        if record.source is Source.PROOF:
            self.introduced.add(key)  # by a link that Eve has read
        return key not in self.ghosts or key in self.introduced

    # What people do

    def step(self) -> None:
        """Let one thing happen."""
        random, holders = self.random, self.holders()
        self.now += random.choice([1.0, 3600.0])
        acts = ["sync"] * 6 + ["link", "code", "further", "rename", "remove", "leave", "rotate"]
        act = random.choice([*acts, "eve", "eve", "open link", "stranger"])
        if act == "sync" and (honest := self.honest()):
            self.sync(random.choice(honest), lie=self.lies and random.random() < 0.35)
        for name, happens in (
            ("eve", self.eve),
            ("leave", self.leave),
            ("stranger", self.stranger),
        ):
            if act == name:
                happens()
        if holders:
            by = random.choice(holders)
            acts_of = {
                "link": lambda: self.invite(by, by_link=True),
                "code": lambda: self.invite(by, by_link=False),
                "further": lambda: self.further(by, most=3),
                "open link": lambda: self.open_link(by),
                "rename": lambda: self.rename(by),
                "remove": lambda: self.remove(by),
                "rotate": lambda: self.asked_to_rotate(by),
            }
            acts_of.get(act, lambda: None)()

    def asked_to_rotate(self, by: Device) -> None:
        """Make a new key because a person wants one."""
        decision = self.sync(by)
        if isinstance(decision, Decision) and by in self.holders():
            self.rotate(by, replace(decision, state=self.states[by.device_id]))

    def name_of(self, one: Device) -> str:
        """Return the key by which a person is known to the test."""
        return next(name for name, id_ in self.persons.items() if id_ == one.user_id)

    def further(self, by: Device, *, most: int) -> None:
        """Let in a further device of a person."""
        if sum(one.user_id == by.user_id for one in self.service.listed()) < most:
            self.join_by_link(by, self.join(self.name_of(by)), for_me=True)

    def invite(
        self,
        by: Device,
        *,
        by_link: bool,
        names: Iterable[str] = ("Ari", "Bo", EVE, "Sif"),
    ) -> None:
        """Let in a person who is new."""
        new = [name for name in names if name not in self.persons]
        if not new:
            return
        one = self.join(self.random.choice(new))
        if by_link:
            self.join_by_link(by, one, for_me=False)
        else:
            self.confirm(by, one)
            self.confirm(one, by)

    def stranger(self) -> None:
        """Let in, or out again, a person whom no member confirms."""
        name = f"Stranger {next(self._numbers)}"
        strangers = [
            id_
            for known, id_ in self.persons.items()
            if known.startswith("Stranger") and id_ in self.service.members
        ]
        if not strangers:
            one = self.join(name)
            self.ghosts.add(one.public_key)
        else:
            gone = strangers[0]
            self.service.members.remove(gone)
            self.service.depart(one for one in self.service.devices.values() if one.user_id == gone)

    def keep_link(self, by: Device, *, for_me: bool) -> InviteKeys:
        """Make a link."""
        link = InviteKeys.of(InviteSecret(self.bytes_(16)), CODE)
        state = self.states[by.device_id]
        kept = Link(
            id=UUID(bytes=self.bytes_(16)),
            for_me=for_me,
            proof_key=link.proof,
            code=CODE,
            version=state.highest,
            expires_at=self.now + 10**6,
        )
        self.states[by.device_id] = words.linked(state, kept)
        return link

    def open_link(self, by: Device) -> None:
        """Make a link that stays open, and that Eve reads."""
        link = self.keep_link(by, for_me=False)
        if self.persons.get(EVE) in self.service.members:
            self.read_links.append(link)

    def join_by_link(self, by: Device, one: Device, *, for_me: bool) -> None:
        """Let a device in by a link, with a package."""
        link = self.keep_link(by, for_me=for_me)
        inviter, service = self.states[by.device_id], self.service
        name = OWN_NAME if for_me else service.names[one.user_id]
        service.proofs[one.device_id] = join_proof(link.proof, one.public_key, name, CODE)
        version = inviter.highest
        listed = {device.device_id: device for device in service.listed()}
        records = {by.device_id: Record(device=by, since=version, source=Source.PROOF)}
        for id_, record in inviter.trusted().items():
            if listed.get(id_) == record.device and id_ != one.device_id:
                records[id_] = Record(
                    device=record.device, since=version, source=Source.MEMBER, by=by.device_id
                )
        mine = {by.device_id: by} | {
            id_: record.device
            for id_, record in records.items()
            if record.device.user_id == one.user_id
        }
        names = {
            record.device.user_id: found
            for record in records.values()
            if record.device.user_id != one.user_id
            and (found := inviter.name_of(record.device.user_id))
        }
        key = inviter.held[version].key
        state = self.states[one.device_id]
        own_name = inviter.name_of(one.user_id) if for_me else None
        self.states[one.device_id] = replace(
            state,
            held={version: Held(key=key, first_held=self.now, last_current=self.now)},
            highest=version,
            records=records,
            own={
                id_: OwnDevice(device.public_key, frozenset({GROUP}))
                for id_, device in mine.items()
            }
            if for_me
            else {},
            introduced=names | ({one.user_id: own_name} if own_name else {}),
            card=None if own_name else state.card,
        )
        if version == service.version:
            about = (version, one.device_id, one.device_id)
            service.envelopes[about] = self.wrap(one, one, key, version)
            service.given.add((version, one.device_id))

    def confirm(self, one: Device, other: Device) -> None:
        """Compare a number, on the side of one."""
        state = self.states[one.device_id]
        name = self.service.names[other.user_id]
        self.states[one.device_id] = words.confirmed(
            state, [other], name=name, covers=[other.device_id]
        )

    def rename(self, by: Device) -> None:
        """Choose another name."""
        name = f"{self.name_of(by)} {next(self._numbers)}"
        self.stated[by.user_id].add(name)
        self.service.names[by.user_id] = name
        self.states[by.device_id] = words.renamed(self.states[by.device_id], name)

    def remove(self, by: Device) -> None:
        """Remove a person."""
        others = [id_ for id_ in self.service.members if id_ != by.user_id]
        if len(others) < 2:
            return
        gone = self.random.choice(others)
        theirs = [one for one in self.service.devices.values() if one.user_id == gone]
        self.states[by.device_id] = words.removed(self.states[by.device_id], theirs)
        self.removed.setdefault(by.device_id, set()).add(gone)
        self.service.members.remove(gone)
        self.service.depart(theirs)

    def leave(self) -> None:
        """Let a person leave, now and then."""
        others = [id_ for id_ in self.service.members if id_ != self.persons["Una"]]
        if len(others) > 1 and self.random.random() < 0.3:
            gone = self.random.choice(others)
            self.service.members.remove(gone)
            self.service.depart(one for one in self.service.devices.values() if one.user_id == gone)

    # What Eve does

    def eve(self) -> None:
        """Let Eve seal something."""
        random, service = self.random, self.service
        mine = [one for one in service.listed() if one.user_id == self.persons.get(EVE)]
        if not mine:
            return
        one = random.choice(mine)
        if (service.version, one.device_id) not in service.given:
            self.sync(one)
            return
        version = service.version
        key = service.keys[version]
        what = random.choice(["entry", "card", "rubbish", "rotate"])
        if what == "entry":
            introduction = self.lying_introduction(version)
            about = random.choice(
                [introduction.device, random.choice(list(service.devices.values()))]
            ).device_id
            sealed = self.seal(one, Entry(one.device_id, introduction), version, key)
            service.vouches[about, one.device_id] = Vouch(about=about, sealed=sealed)
        elif what == "card":
            stated = Card(
                by=random.choice([one, *service.devices.values()]).device_id,
                user_id=random.choice(service.members),
                n=random.choice([0, 9, 2**31 - 1]),
                name="Eve says",
                kind=DeviceKind.APP,
            )
            service.cards[one.device_id] = SealedCard(self.seal(one, stated, version, key), version)
        elif what == "rubbish":
            for other in self.honest():
                about_ = (version, other.device_id, one.device_id)
                if about_ not in service.envelopes:
                    service.envelopes[about_] = self.wrap(one, other, self.new_key(), version)
                    service.given.add((version, other.device_id))
        else:
            self.eve_rotates(one)

    def eve_rotates(self, one: Device) -> None:
        """Make a version that leaves people out, gives some rubbish, and states lies."""
        random, service = self.random, self.service
        version, key = service.version + 1, self.new_key()
        recipients = [other for other in service.listed() if other == one or random.random() < 0.7]
        rubbish = {
            other.device_id: self.new_key() for other in recipients if random.random() < 0.25
        }
        everyone = list(service.devices.values())
        lies = [self.lying_introduction(version) for _ in range(random.randint(0, 4))]
        introductions = {one.device.device_id: replace(one, name=None) for one in lies}
        gone = {
            random.choice(everyone).device_id: random.choice([version - 1, version, 10**6])
            for _ in range(random.randint(0, 2) if self.eve_bans else 0)
        }
        state = self.states[one.device_id]
        decision = Decision(state=state, holds=True, rotate=True, recipients=())
        roster = replace(
            words.next_roster(decision, key, version=version, now=self.now),
            made=random.choice([0, int(self.now), 2**33]),
            introductions=tuple(introductions.values()),
            gone=tuple(gone.items()),
        )
        self.send(one, key, version, fitted(roster), recipients, others=rubbish)
        self.states[one.device_id] = words.rotated(state, version, key, None, self.now)

    def lying_introduction(self, version: int) -> Introduction:
        """Introduce a device with another owner, key or version, or as it is."""
        random = self.random
        one = random.choice(list(self.service.devices.values()))
        user_id = random.choice([one.user_id, random.choice(self.service.members)])
        other = DeviceKey(self.bytes_(32)).public
        public_key = random.choice([one.public_key, one.public_key, other])
        since = random.choice([0, 1, version, version + 1, 10**6])
        named = random.choice(["Una", "Eve says", None])
        self.introduced.add(public_key)
        return Introduction(Device(user_id, one.device_id, public_key, one.kind), since, named)

    # At the end

    def settle(self, rounds: int) -> None:
        """Update all honest devices, several times."""
        for _ in range(rounds):
            devices = self.honest()
            for one in self.random.sample(devices, len(devices)):
                self.sync(one)

    def without_key(self) -> list[Device]:
        """Return the devices that could have the key without a word of a person, and have not."""
        holders = self.holders()
        return [
            one
            for one in self.honest()
            if one.public_key not in self.ghosts
            and one not in holders
            and (
                not holders
                or any(self.trusts(one, other) and self.trusts(other, one) for other in holders)
            )
        ]

    def trusts(self, one: Device, other: Device) -> bool:
        """Whether one device trusts another."""
        record = self.states[one.device_id].records.get(other.device_id)
        return record is not None and record.trusted

    def numbers_differ(self) -> list[tuple[Device, Device]]:
        """Return the pairs of honest devices of two people who see different numbers."""
        listing = self.service.listing()
        return [
            (one, other)
            for one in self.honest()
            for other in self.honest()
            if one.user_id < other.user_id
            and halves(self.states[one.device_id], listing, other.user_id)
            != tuple(reversed(halves(self.states[other.device_id], listing, one.user_id)))
        ]
