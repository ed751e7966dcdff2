"""A household over the real service: honest devices, a hostile member, and a service that may lie.

Each operation names what happens and says whether it could. Every update of an honest device is
checked as it decides: the order of what the service answers, and its repetition, change nothing,
and the invariants of docs/protocol.md hold. Indices choose among what there is.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

from draugar.client import Client
from draugar.errors import Failure, KeyPending, NewerForm, NotConfirmed, Refused
from draugar.protocol.envelopes import wrap
from draugar.protocol.rosters import RosterEntry, seal_roster
from draugar.protocol.sealing import seal
from draugar.protocol.secrets import DeviceKey, GroupKey
from draugar.protocol.signing import sign
from draugar.protocol.statements import (
    LAST_NUMBER,
    LAST_SECOND,
    Browsers,
    Card,
    Device,
    DeviceKind,
    Entry,
    Former,
    Introduction,
    Roster,
    Statement,
    fitted,
    seal_statement,
)
from draugar.trust import words
from draugar.trust.reconcile import reconcile
from draugar.trust.values import Decision, Keys, Listing, Source, State, Stop
from draugar.usecases import sync
from tests.client.family import Family, fix
from tests.client.malice import (
    KEYS,
    USERS,
    Forward,
    Ghost,
    Lie,
    Relay,
    Reply,
    Request,
    ghost_device,
    ghost_person,
)

EVE = "Eve"
PEOPLE = ("Ari", "Bo", "Sif")
MOST_OF_A_PERSON = 3
LONGEST = "\N{GRINNING FACE}" * 64
LARGEST_ANSWER = 1024 * 1024
GROUP_ROUTES = {KEYS, USERS}


@dataclass(eq=False)
class Honest:
    """A device of a person who keeps to the protocol."""

    person: str
    client: Client

    @property
    def id(self) -> UUID:
        """The device."""
        return self.client.device_id


@dataclass
class Household:
    """Who is there. Eve joins by a link of Una's, and all trust her."""

    family: Family
    relay: Relay
    lies: bool = False
    bans: bool = False
    """Whether Eve states others to have gone, which ends trust in them."""
    random: Random = field(default_factory=lambda: Random(1))  # noqa: S311 -- an order
    done: Counter[str] = field(default_factory=Counter)
    honest: list[Honest] = field(default_factory=list)
    group_id: UUID = field(default_factory=uuid4)
    names: dict[UUID, set[str]] = field(default_factory=dict)
    """The names that honest people have taken."""
    devices: dict[UUID, Device] = field(default_factory=dict)
    """Every device that ever joined."""
    removed: dict[UUID, set[UUID]] = field(default_factory=dict)
    """People whom the person of a device has removed."""
    strangers: list[DeviceKey] = field(default_factory=list)
    """Devices that no member confirms, and that Eve does not vouch for."""
    ghost: Ghost = field(default_factory=Ghost)
    old: dict[tuple[UUID, str], list[Reply]] = field(default_factory=dict)
    """What the service answered before."""
    newer: bool = False
    """Whether Eve has stated something of a newer form."""
    lied_to: UUID | None = None
    """The device to which the service lies just now."""
    _homes: int = 0

    def __post_init__(self) -> None:
        una = self._came("Una", self.family.found("Una", url=self.relay.url))
        self.group_id = una.client.group().id
        link = una.client.invite().link
        self.eve = self.family.join(link, EVE)
        self._note(self.eve)
        una.client.people()
        self.eve.people()

    # Who is there

    def _came(self, person: str, client: Client) -> Honest:
        one = Honest(person, client)
        self.honest.append(one)
        self._note(client)
        self.names.setdefault(client.user_id, set()).add(client.name)
        return one

    def _note(self, client: Client) -> None:
        key = client._me.device_key
        self.devices[client.device_id] = Device(
            client.user_id, client.device_id, key.public, DeviceKind.APP
        )

    def state(self, one: Honest | Client) -> State:
        """Return what a device knows of the group."""
        client = one.client if isinstance(one, Honest) else one
        return client._context.group(self.group_id).trust

    @property
    def version(self) -> int:
        """The present version, as it is."""
        [[version]] = self.family.service.query(
            "SELECT key_version FROM groups WHERE id = :id", id=self.group_id
        )
        return int(version)

    @property
    def required(self) -> bool:
        """Whether the service requires a new key."""
        [[required]] = self.family.service.query(
            "SELECT rotation_required FROM groups WHERE id = :id", id=self.group_id
        )
        return bool(required)

    def holders(self) -> list[Honest]:
        """Return the honest devices that hold the present key."""
        version = self.version
        return [one for one in self.honest if version in self.state(one).held]

    def has_eve(self) -> bool:
        """Whether Eve is a member still."""
        members = self.family.service.query(
            "SELECT 1 FROM group_members WHERE group_id = :id AND user_id = :user_id",
            id=self.group_id,
            user_id=self.eve.user_id,
        )
        return bool(members)

    def admins(self) -> list[Honest]:
        """Return the honest devices of admins that hold the key."""
        rows = self.family.service.query(
            "SELECT user_id FROM group_members WHERE group_id = :id AND role = 'admin'",
            id=self.group_id,
        )
        people = {user_id for (user_id,) in rows}
        return [one for one in self.holders() if one.client.user_id in people]

    def _one(self, among: list[Any], number: int) -> Any:
        return among[number % len(among)]

    # What is checked

    def _attempt(self, what: str, one: Honest, call: Callable[[Client], Any]) -> bool:
        """Let a device do something, and check its decisions; whether it succeeded.

        Under lies it may fail, by a failure that has words. With an honest service it fails only
        without the key, and where Eve states what only a newer client can read.
        """
        service = self.family.service
        service.query("TRUNCATE rate_limits")
        try:
            with self._checked(one):
                call(one.client)
        except Failure as failure:
            if not self._may_fail(one, failure):
                raise
            return False
        self.done[what] += 1
        return True

    def _may_fail(self, one: Honest, failure: Failure) -> bool:
        # Who was never given a key waits for one, and the service lets them make none.
        if isinstance(failure, KeyPending | NotConfirmed):
            return self.lied_to == one.id or self.version not in self.state(one).held
        return self.lied_to == one.id or (isinstance(failure, NewerForm) and self.newer)

    @contextmanager
    def _checked(self, one: Honest) -> Iterator[None]:
        def checked(
            state: State, listing: Listing, keys: Keys, now: float, *, seen: Any = None
        ) -> Decision | Stop:
            decision = reconcile(state, listing, keys, now, seen=seen)
            mixed = self._mixed(listing, keys)
            assert reconcile(state, *mixed, now, seen=seen) == decision
            if isinstance(decision, Decision):
                again = reconcile(decision.state, listing, keys, now, seen=seen)
                assert isinstance(again, Decision)
                assert again.state == decision.state
                assert {notice.code for notice in again.notices} <= {"waiting_for"}
                self._check(one, state, decision, listing, keys)
            return decision

        with patch.object(sync, "reconcile", checked):
            yield

    def _mixed(self, listing: Listing, keys: Keys) -> tuple[Listing, Keys]:
        def mixed(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(self.random.sample(values, len(values)))

        return replace(listing, devices=mixed(listing.devices)), replace(
            keys,
            versions=mixed(keys.versions),
            envelopes=mixed(keys.envelopes),
            vouches=mixed(keys.vouches),
            unsigned_entries=mixed(keys.unsigned_entries),
        )

    def _check(
        self, one: Honest, before: State, decision: Decision, listing: Listing, keys: Keys
    ) -> None:
        after = decision.state
        shown = {listed.device for listed in listing.devices}
        secret = {self.ghost.key.public, *(key.public for key in self.strangers)}
        removed = self.removed.get(one.id, set())
        for id_ in decision.recipients:
            record = after.records[id_]
            assert record.device in shown
            assert record.device.public_key not in secret
            assert record.device.user_id not in removed
        for id_, record in after.records.items():
            known, true = before.records.get(id_), self.devices.get(id_)
            assert known is None or record.device == known.device
            assert true is None or not record.trusted or record.device == true
            taken = self.names.get(record.device.user_id)
            if record.card is not None and true is not None and taken is not None:
                assert record.card.name in taken
        departed = [record for record in before.trusted().values() if record.device not in shown]
        if departed or keys.rotation_required:
            proven = {
                id_
                for id_, record in after.trusted().items()
                if record.source is Source.PROOF and id_ not in before.trusted()
            }
            assert proven == set()
        own = {self.devices[id_].user_id for id_ in after.own}
        assert own <= {one.client.user_id}
        assert after.highest >= before.highest
        assert after.compromised >= before.compromised
        assert len({held.key for held in after.held.values()}) == len(after.held)

    def check_traffic(self) -> None:
        """No stranger was given a key by an honest device."""
        wrappers = [
            one.public_key for one in self.devices.values() if one.user_id != self.eve.user_id
        ]
        ghosts = [self.ghost, *(replace(self.ghost, key=key) for key in self.strangers)]
        for wrapped_key in self.relay.wrapped_keys():
            assert not any(ghost.opens(wrapped_key, wrappers) for ghost in ghosts)

    # What honest people do

    def update(self, number: int) -> bool:
        """Look who is there."""
        return self._attempt("update", self._one(self.honest, number), lambda me: me.people())

    def share(self, number: int) -> bool:
        """Share a position."""
        return self._attempt(
            "share", self._one(self.honest, number), lambda me: me.share([fix(self._place())])
        )

    def _place(self) -> float:
        return 60 + self.random.randrange(10_000) / 1000

    def where(self, number: int) -> bool:
        """Look where the others are."""
        return self._attempt("where", self._one(self.honest, number), lambda me: me.where())

    def rotate(self, number: int) -> bool:
        """Change the key."""
        return self._attempt("rotate", self._one(self.honest, number), lambda me: me.rotate())

    def rename(self, number: int) -> bool:
        """Take another name."""
        one = self._one(self.honest, number)
        name = f"{one.person} {len(self.names[one.client.user_id])}"
        self.names[one.client.user_id].add(name)
        return self._attempt("rename", one, lambda me: me.rename(name))

    def join_by_link(self, number: int, *, further: bool = False) -> bool:
        """Let a new person in, or a further device of the inviter's person."""
        if not (holders := self.holders()):
            return False
        by = self._one(holders, number)
        person = by.person if further else self._new_person(number)
        if person is None or (further and self._many(person) >= MOST_OF_A_PERSON):
            return False
        links: list[Any] = []
        if not self._attempt("invite", by, lambda me: links.append(me.invite(for_me=further).link)):
            return False
        self._homes += 1
        home = f"{person}-{self._homes}"
        client = self.family.join(links[0], person, home=home)
        self._came(person, client)
        self.done["further" if further else "join by link"] += 1
        return self._attempt("recognise", by, lambda me: me.people())

    def join_by_code(self, number: int) -> bool:
        """Let a new person in by a code; both compare their numbers."""
        holders = [one for one in self.holders() if self.lied_to != one.id]
        person = self._new_person(number)
        if not holders or person is None:
            return False
        by = self._one(holders, number)
        self.family.service.query("TRUNCATE rate_limits")
        code = by.client.invite_by_code().code
        self._homes += 1
        home = f"{person}-{self._homes}"
        client = self.family.join_by_code(code, home, url=self.relay.url)
        self.names[client.user_id] = {home}
        new = self._came(person, client)
        return self._compare(by, new) and self._compare(new, by)

    def _compare(self, by: Honest, other: Honest) -> bool:
        user_id = other.client.user_id
        return self._attempt("confirm", by, lambda me: me.confirm(me.compare(user_id)))

    def _new_person(self, number: int) -> str | None:
        new = [name for name in PEOPLE if all(one.person != name for one in self.honest)]
        return self._one(new, number) if new else None

    def _many(self, person: str) -> int:
        return sum(one.person == person for one in self.honest)

    def promote(self, number: int) -> bool:
        """Make another honest person an admin."""
        by = next(iter(self.admins()), None)
        others = [one for one in self.honest if by and one.client.user_id != by.client.user_id]
        if by is None or not others or self.lied_to == by.id:
            return False
        user_id = self._one(others, number).client.user_id
        return self._attempt("promote", by, lambda me: me.set_role(user_id, "admin"))

    def remove(self, number: int, *, eve: bool = False) -> bool:
        """Remove a person."""
        if not (admins := self.admins()):
            return False
        by = self._one(admins, number)
        others = [one for one in self.honest if one.person not in (by.person, "Una")]
        if eve and not self.has_eve():
            return False
        if not eve and not others:
            return False
        gone = self.eve.user_id if eve else self._one(others, number).client.user_id
        is_done = self._attempt("remove", by, lambda me: me.remove(gone))
        if is_done:
            self.removed.setdefault(by.id, set()).add(gone)
        self._forget_departed()
        return is_done

    def leave(self, number: int) -> bool:
        """Let a person other than Una leave."""
        others = [one for one in self.honest if one.person != "Una"]
        if not others:
            return False
        is_done = self._attempt("leave", self._one(others, number), lambda me: me.leave())
        self._forget_departed()
        return is_done

    def revoke(self, number: int) -> bool:
        """Revoke another device of one's own."""
        both = [
            (one, other)
            for one in self.holders()
            for other in self.honest
            if one is not other and one.person == other.person
        ]
        if not both:
            return False
        by, other = self._one(both, number)
        is_done = self._attempt("revoke", by, lambda me: me.revoke_device(other.id))
        self._forget_departed()
        return is_done

    def _forget_departed(self) -> None:
        rows = self.family.service.query(
            "SELECT d.id FROM devices d JOIN group_members m USING (user_id)"
            " WHERE m.group_id = :id AND d.revoked_at IS NULL",
            id=self.group_id,
        )
        left = {device_id for (device_id,) in rows}
        self.honest = [one for one in self.honest if one.id in left]

    def stranger(self, number: int) -> bool:
        """Let a person come by a code whom no one confirms, and go: no key is due for it."""
        holders = [one for one in self.holders() if self.lied_to != one.id]
        if not holders:
            return False
        by = self._one(holders, number)
        self.family.service.query("TRUNCATE rate_limits")
        code = by.client.invite_by_code().code
        self._homes += 1
        stranger = self.family.join_by_code(code, f"Stranger-{self._homes}", url=self.relay.url)
        self.strangers.append(stranger._me.device_key)
        before = self.version, self.required
        stranger.leave(self.group_id)
        assert (self.version, self.required) == before
        self.done["stranger"] += 1
        return True

    # What Eve does

    def _by_eve(self, what: str, act: Callable[[sync.GroupSnapshot], Any]) -> bool:
        self.family.service.query("TRUNCATE rate_limits")
        if not self.has_eve():
            return False
        try:
            view = sync.update(self.eve._context, self.group_id)
            if not view.holds_key:
                return False
            act(view)
        except Failure as failure:
            if isinstance(failure, NewerForm | KeyPending):
                return False
            raise
        self.done[what] += 1
        return True

    def eve_rotates(self, what: str) -> bool:
        """Make a key with a roster that no honest client would write."""

        def act(view: sync.GroupSnapshot) -> None:
            state, version, key = view.decision.state, view.key_version + 1, GroupKey.make()
            decision = replace(view.decision, rotate=True)
            true = fitted(words.next_roster(decision, key, version=version, now=time.time()))
            assert true is not None
            devices = [state.me, *(state.records[id_].device for id_ in decision.recipients)]
            statement, unsigned = None, None
            if what == "unsigned":
                entries = [RosterEntry(state.me.user_id, EVE, state.me.device_id, state.key.public)]
                unsigned = seal_roster(entries, key)
            elif what == "rubbish":
                statement = secrets.token_bytes(200)
            elif what != "no statement":
                falsified = ROSTERS.get(what, _as_it_is)
                statement = _sealed(state, falsified(true), version, key)
            if what == "left out":
                devices = devices[: 1 + len(devices) // 2]
            keys = {one.device_id: key for one in devices}
            if what == "false keys":
                keys |= {one.device_id: GroupKey.make() for one in devices[1:]}
            self.eve._api.rotate(
                view.group_id,
                expected_version=view.key_version,
                commitment=key.commitment(view.group_id, version),
                envelopes={
                    one.device_id: wrap(keys[one.device_id], one.public_key, state.key)
                    for one in devices
                },
                statement=statement,
                roster=unsigned,
            )
            # Eve keeps her key, so that she can go on.
            with self.eve._context.changing(self.group_id) as change:
                attempted = words.attempted(change.state.trust, version)
                change.trust(words.rotated(attempted, version, key, None, time.time()))

        return self._by_eve(f"eve rotates: {what}", act)

    def eve_vouches(self, what: str, number: int) -> bool:
        """State something of a device."""

        def act(view: sync.GroupSnapshot) -> None:
            state, version = view.decision.state, view.key_version
            target = self._one([*self.devices.values()], number)
            device, name, since = target, "Eve says", version
            match what:
                case "another owner":
                    device = replace(target, user_id=self.eve.user_id)
                case "another key":
                    device = replace(target, public_key=DeviceKey.make().public)
                case "a browser":
                    device = replace(target, kind=DeviceKind.WEB)
                case "a long name":
                    name = LONGEST
                case "a late version":
                    since = 2**31 - 1
                case "an unlisted device":
                    device = replace(target, device_id=uuid4(), public_key=DeviceKey.make().public)
            entry = Entry(state.me.device_id, Introduction(device, since, name))
            listed = {one.device.device_id for one in view.directory.listing.devices}
            about = target.device_id if target.device_id in listed else state.me.device_id
            sealed = _sealed(state, entry, version, state.held[version].key)
            if what == "rubbish":
                sealed = secrets.token_bytes(200)
            self.eve._api.put_vouch(view.group_id, version, about, sealed)

        return self._by_eve(f"eve vouches: {what}", act)

    def eve_shows(self, what: str, number: int) -> bool:
        """Put a card."""

        def act(view: sync.GroupSnapshot) -> None:
            state, version = view.decision.state, view.key_version
            target = self._one([*self.devices.values()], number)
            card = Card(state.me.device_id, self.eve.user_id, 2**31 - 1, LONGEST, DeviceKind.APP)
            match what:
                case "another person":
                    card = replace(card, user_id=target.user_id, name="Eve says")
                case "another device":
                    card = replace(card, by=target.device_id)
                case "others as own":
                    theirs = replace(target, user_id=self.eve.user_id)
                    card = replace(card, own=(Introduction(theirs, version),))
                case "a browser":
                    card = replace(card, kind=DeviceKind.WEB)
            sealed = _sealed(state, card, version, state.held[version].key)
            if what == "rubbish":
                sealed = secrets.token_bytes(200)
            self.eve._api.put_card(view.group_id, version, sealed)

        return self._by_eve(f"eve shows: {what}", act)

    def eve_gives(self, number: int) -> bool:
        """Give a device a false key, with a false time."""

        def act(view: sync.GroupSnapshot) -> None:
            state, version = view.decision.state, view.key_version
            target = self._one(self.honest, number)
            former = Former(state.me.device_id, 0)
            self.eve._api.put_envelope(
                view.group_id,
                version,
                target.id,
                wrapped_key=wrap(GroupKey.make(), self.devices[target.id].public_key, state.key),
                former=_sealed(state, former, version, state.held[version].key),
                roster_entry=secrets.token_bytes(300),
            )

        try:
            return self._by_eve("eve gives", act)
        except Refused:  # she has given this version before
            return False

    def eve_writes_a_newer_form(self, number: int) -> bool:
        """State something that only a newer client can read."""

        def act(view: sync.GroupSnapshot) -> None:
            state, version = view.decision.state, view.key_version
            target = self._one(self.honest, number)
            text = json.dumps({"form": 3, "is": "entry", "by": str(state.me.device_id)}).encode()
            message = b"".join(
                (b"draugar/statement/v2", view.group_id.bytes, version.to_bytes(4, "big"))
            )
            signature = sign(state.key, message + state.me.device_id.bytes + text)
            sealed = seal(text + signature, state.held[version].key, 700)
            self.eve._api.put_vouch(view.group_id, version, target.id, sealed)
            self.newer = True

        return self._by_eve("eve writes a newer form", act)

    # What the service does

    def lie(self, what: str, number: int, act: Callable[[], bool]) -> bool:
        """Lie to one honest device during an operation of it."""
        victim = self._one(self.honest, number)
        lie = self._lies()[what](victim)
        self.lied_to = victim.id
        with self.relay.telling(lie, to=victim.id):
            is_done = act()
        self.lied_to = None
        self.done[f"lie: {what}"] += 1
        return is_done

    def _lies(self) -> dict[str, Callable[[Honest], Lie]]:
        return {
            "old answers": lambda _: self._replayed,
            "other order": lambda _: self._shuffled,
            "withheld": lambda _: self._withheld,
            "a ghost": lambda _: ghost_person(self.ghost),
            "a ghost device": lambda one: ghost_device(self.ghost, of=one.client.user_id),
        }

    def remember(self, request: Request, forward: Forward) -> Reply:
        """Answer the truth; keep it, and see that it is not too large."""
        reply = forward(request)
        assert isinstance(reply.content, bytes)
        assert len(reply.content) < LARGEST_ANSWER
        if request.route in GROUP_ROUTES and request.device_id and reply.status == 200:
            kept = self.old.setdefault((request.device_id, request.target), [])
            kept.append(reply)
            del kept[:-6]
        return reply

    def _replayed(self, request: Request, forward: Forward) -> Reply:
        kept = self.old.get((request.device_id or uuid4(), request.target))
        return self.random.choice(kept) if kept else forward(request)

    def _shuffled(self, request: Request, forward: Forward) -> Reply:
        return self._changed(
            request, forward, lambda values: self.random.sample(values, len(values))
        )

    def _withheld(self, request: Request, forward: Forward) -> Reply:
        return self._changed(
            request, forward, lambda values: [one for one in values if self.random.random() < 0.7]
        )

    def _changed(
        self, request: Request, forward: Forward, change: Callable[[list[Any]], list[Any]]
    ) -> Reply:
        reply = forward(request)
        if request.route not in GROUP_ROUTES or reply.status != 200:
            return reply
        body = reply.json
        for lists in _objects(body):
            for name, value in lists.items():
                if isinstance(value, list) and value and isinstance(value[0], dict):
                    lists[name] = change(value)
        return reply.saying(body)

    # At the end

    def settle(self) -> None:
        """Let all honest devices update until what each gives has come to all."""
        for _ in range(3):
            for one in self.random.sample(self.honest, len(self.honest)):
                self._attempt("settle", one, lambda me: me.people())

    def check_agreement(self) -> None:
        """Devices that trust each other share the key, see the positions, and one number."""
        self.settle()
        holders = self.holders()
        for one in self.honest:
            givers = [other for other in holders if self._trust_each_other(one, other)]
            assert not givers or one in holders, (one.person, [other.person for other in givers])
        for one in holders:
            self._attempt("rotate", one, lambda me: me.rotate())
            break
        self.settle()
        places = {one.id: self._place() for one in self.holders()}
        for one in self.holders():
            latitude = places[one.id]
            self._attempt("share", one, _sharing(latitude))
        self._check_positions(places)
        self._check_numbers()

    def _check_positions(self, places: dict[UUID, float]) -> None:
        newest = {one.client.user_id: places[one.id] for one in self.holders()}
        for one in self.holders():
            seen: dict[UUID, float] = {}
            self._attempt("where", one, _seeing(seen))
            for other in self.holders():
                if self._trust_each_other(one, other) and seen:
                    user_id = other.client.user_id
                    assert seen[user_id] == newest[user_id], (one.person, other.person)

    def _check_numbers(self) -> None:
        if self.lies or self.bans or self.newer:
            return
        holders = self.holders()
        for one in holders:
            for other in holders:
                if one.client.user_id < other.client.user_id and self._trust_each_other(one, other):
                    mine = one.client.compare(other.client.user_id).safety_number
                    assert mine == other.client.compare(one.client.user_id).safety_number
                    self.done["numbers agree"] += 1

    def _trust_each_other(self, one: Honest, other: Honest) -> bool:
        return (
            one is not other
            and other.id in self.state(one).trusted()
            and one.id in self.state(other).trusted()
        )


def _sharing(latitude: float) -> Callable[[Client], Any]:
    return lambda me: me.share([fix(latitude)])


def _seeing(seen: dict[UUID, float]) -> Callable[[Client], Any]:
    return lambda me: seen.update(
        {at.user_id: at.fix.latitude for at in me.where() if at.is_confirmed}
    )


def _as_it_is(roster: Roster) -> Roster:
    return roster


def _each_other(change: Callable[[Introduction], Introduction]) -> Callable[[Roster], Roster]:
    def changed(roster: Roster) -> Roster:
        me, *others = roster.introductions
        return replace(roster, introductions=(me, *map(change, others)))

    return changed


def _alone(roster: Roster, **more: Any) -> Roster:
    return replace(roster, introductions=roster.introductions[:1], **more)


def _of_eve(roster: Roster) -> Roster:
    me, *others = roster.introductions
    taken = tuple(
        replace(one, name=me.name, device=replace(one.device, user_id=me.device.user_id))
        for one in others
    )
    return replace(roster, introductions=(me, *taken))


def _all_gone(roster: Roster) -> Roster:
    # As late as counts: at the version that is made.
    late = max(one.since for one in roster.introductions)
    gone = tuple((one.device.device_id, late) for one in roster.introductions[1:])
    return _alone(roster, gone=gone)


ROSTERS: dict[str, Callable[[Roster], Roster]] = {
    "other names": _each_other(lambda one: replace(one, name=f"Not {one.device.user_id.hex}")),
    "long names": _each_other(lambda one: replace(one, name=LONGEST)),
    "left out": _alone,
    "other keys": _each_other(
        lambda one: replace(one, device=replace(one.device, public_key=DeviceKey.make().public))
    ),
    "browsers": _each_other(
        lambda one: replace(one, device=replace(one.device, kind=DeviceKind.WEB))
    ),
    "other owners": _of_eve,
    "greatest numbers": _each_other(lambda one: replace(one, since=LAST_NUMBER)),
    "another commitment": lambda roster: replace(roster, commitment=secrets.token_bytes(32)),
    "browsers refused": lambda roster: replace(roster, browsers=Browsers.REFUSED, made=LAST_SECOND),
    "all gone": _all_gone,
    "incomplete": lambda roster: _alone(roster, complete=False),
}
"""What Eve states when she makes a key, by what is false in it."""

BANS = {"all gone", "incomplete"}
"""Those that end trust, until a person distrusts her."""


def _sealed(state: State, statement: Statement, version: int, key: GroupKey) -> bytes:
    return seal_statement(
        statement, group_id=state.group_id, version=version, device_key=state.key, key=key
    )


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in [*value.values()]:
            yield from _objects(one)
    if isinstance(value, list):
        for one in value:
            yield from _objects(one)
