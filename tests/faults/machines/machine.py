"""What all machines share: how they begin, what may happen between any two steps, what they see."""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import SearchStrategy, booleans, one_of, runner, sampled_from

from chalicelib.invites.codes import InviteCode as Code
from tests import factories
from tests.faults.machines.family import Family
from tests.faults.machines.model import Device, Group, Invite, Person, Point, now
from tests.faults.machines.place import Place

_Item = TypeVar("_Item")
Where = tuple[Device, Group]
"""Who does something, in which group."""
Target = tuple[Device, Group, Person]
"""And to whom."""

# None of them is a whole number of what anything lives: the moment itself has tests of its own.
SPANS = [timedelta(minutes=14), timedelta(minutes=16), timedelta(minutes=61), timedelta(hours=26),
         timedelta(days=8, minutes=1)]  # fmt: skip
STEPS = 30
GOING = ["removed", "left", "logged out", "account deleted"]
KEYS = [None, "A" * 22, "B" * 22]


# --- Who and what an operation may be about: mostly what it fits, now and then all there ever was


def _among(*finds: Callable[[Family], Sequence[_Item]]) -> SearchStrategy[_Item]:
    """Choose among what one of these finds at this step; the last always finds something."""

    def one(find: Callable[[Family], Sequence[_Item]]) -> SearchStrategy[_Item]:
        return runner().flatmap(
            lambda machine: sampled_from(find(machine.family) or finds[-1](machine.family))
        )

    return one_of(*map(one, finds))


def _members(family: Family) -> list[tuple[Device, Group]]:
    model = family.model
    return [(device, g) for g in model.groups for p in g.members for device in model.devices_of(p)]


def _confirmed(family: Family) -> list[tuple[Device, Group]]:
    return [(device, group) for device, group in _members(family) if group.is_confirmed(device)]


def _admins(family: Family) -> list[tuple[Device, Group]]:
    return [(d, group) for d, group in _members(family) if group.members[d.owner].role == "admin"]


def _anybody(family: Family) -> list[tuple[Device, Group]]:
    return [(device, group) for group in family.groups for device in family.devices]


def _valid(family: Family) -> list[Device]:
    return [device for device in family.devices if device.is_valid]


def _live(family: Family) -> list[Invite]:
    return [invite for invite in family.model.invites if invite.is_live]


def _dead(family: Family) -> list[Invite]:
    return [invite for invite in family.model.invites if not invite.is_live]


def _kept(family: Family) -> list[Invite]:
    return [invite for invite in family.model.invites if invite.key is not None]


def _points(family: Family) -> list[Point]:
    new = factories.plain_point()
    return family.model.points() or [Point(UUID(new["id"]), family.devices[0], new, 0)]


def _of_admins(family: Family) -> list[tuple[Device, Group, Person]]:
    return [(by, group, who) for by, group in _admins(family) for who in group.members]


def _of_anybody(family: Family) -> list[tuple[Device, Group, Person]]:
    people = dict.fromkeys(device.owner for device in family.devices)
    return [(by, group, who) for by, group in _anybody(family) for who in people]


def _to_the_pending(family: Family) -> list[tuple[Device, Group, Device]]:
    return [each for each in _to_members(family) if not each[1].is_confirmed(each[2])]


def _to_members(family: Family) -> list[tuple[Device, Group, Device]]:
    keyed = family.model.keyed_devices
    return [(by, group, to) for by, group in _confirmed(family) for to in keyed(group)]


def _to_anybody(family: Family) -> list[tuple[Device, Group, Device]]:
    return [(by, group, to) for by, group in _anybody(family) for to in family.devices]


def _of_makers(family: Family) -> list[tuple[Device, Invite]]:
    return [(by, each) for by, each in _of_others(family) if each.maker is by.owner]


def _of_others(family: Family) -> list[tuple[Device, Invite]]:
    return [(by, invite) for by in family.devices for invite in family.invites]


def _own(family: Family) -> list[tuple[Device, Device]]:
    return [(by, each) for by, each in _any_two(family) if by.owner is each.owner]


def _any_two(family: Family) -> list[tuple[Device, Device]]:
    return [(by, device) for by in family.devices for device in family.devices]


DEVICES = _among(_valid, _valid, lambda family: family.devices)
PAIRS = _among(_own, _any_two)
POINTS = _among(_points)
INVITES = _among(_live, _live, _dead, lambda family: family.invites)
REPEATS = _among(_kept, lambda family: family.invites)
REVOCATIONS = _among(_of_makers, _of_others)
MEMBERS = _among(_members, _members, _anybody)
CONFIRMED = _among(_confirmed, _confirmed, _members, _anybody)
ADMINS = _among(_admins, _admins, _members, _anybody)
TARGETS = _among(_of_admins, _of_admins, _of_anybody)
HANDINGS = _among(_to_the_pending, _to_the_pending, _to_members, _to_anybody)


class Machine(RuleBasedStateMachine):
    """A family in a random order of operations, with restarts and lost answers between them."""

    def __init__(self, place: Place, *, is_thorough: bool) -> None:
        super().__init__()
        self.is_thorough = is_thorough
        self.turns = count()
        place.empty()
        self.place = place
        self.family = Family(place)
        self.again: Callable[[], None] | None = None
        self.may_be_killed = place.is_mortal

    def do(self, operation: Callable[..., None], *arguments: Any, **named: Any) -> None:
        """Do something, and be ready to do the very same again."""
        self.again = partial(self.do, operation, *arguments, **named)
        self.family.doing = operation.__name__
        operation(*arguments, **named)

    @initialize(encryption=sampled_from(["optional", "required"]), with_keys=booleans())
    def four_people(self, encryption: str, *, with_keys: bool) -> None:
        """Una's family has Ari and Bera in it; Signy has one of her own."""
        family = self.family
        for name, founds in (("Una", True), ("Ari", False), ("Bera", False), ("Signy", True)):
            if founds:
                family.founding_code()
                group = {"name": f"{name}'s", "encryption": encryption}
            else:
                family.create_invite(family.devices[0], family.groups[0])
                group = None
            code = family.invites[-1].code
            family.join(code, name=name, public_key=factories.opaque(32), group=group)
        for each in family.groups if with_keys else []:
            to = family.model.keyed_devices(each)
            family.rotate(to[0], each, 0, key_for(*to), to)

    @rule()
    def the_answer_is_lost(self) -> None:
        """So whoever asked asks the very same again."""
        if self.again is not None:
            self.again()

    def invite_with_a_key(self, where: Where, *, for_me: bool, behind: int = 0) -> None:
        """Make a link: it has a code of the client's own, and the key wrapped with it."""
        by, group = where
        self.do(
            self.family.create_invite,
            by,
            group,
            forMe=for_me,
            code=own_code(),
            keyPackage=factories.opaque(64),
            keyVersion=max(1, group.key_version - behind),
        )

    @rule(span=sampled_from(SPANS))
    def time_passes(self, span: timedelta) -> None:
        """What is sent again after that is something else."""
        self.again = None
        self.let_pass(span)

    def let_pass(self, span: timedelta) -> None:
        """Make everything older, here and there."""
        oldest = span + max(map(_age, self.family.model.points()), default=timedelta())
        if oldest < timedelta(days=360):  # as far back as there can be room for points
            self.family.model.age(span)
            self.place.age(span, room=oldest)

    @rule(where=CONFIRMED, with_key=sampled_from([True, True, False]))
    def a_guest_comes(self, where: Where, *, with_key: bool) -> None:
        there = len(self.family.invites)
        self.do(self.family.create_invite, *where)
        for invite in self.family.invites[there:]:
            key = factories.opaque(32) if with_key else None
            self.do(self.family.join, invite.code, public_key=key)

    @rule(whom=TARGETS, how=sampled_from(GOING))
    def somebody_goes(self, whom: Target, how: str) -> None:
        """In one way or another: were each a rule, nobody would be left."""
        (by, group, who), family = whom, self.family
        match how:
            case "removed":
                self.do(family.remove, by, group, who)
            case "left":
                self.do(family.leave, by, group)
            case "logged out":
                self.do(family.log_out, by)
            case _:
                self.do(family.delete_account, by)

    @rule(job=sampled_from(["purge", "maintain", "after_restore"]))
    def a_job_runs(self, job: str) -> None:
        self.do(getattr(self.family, job))

    @rule()
    def the_service_restarts(self) -> None:
        self.place.restart()

    @rule()
    def the_connection_is_cut(self) -> None:
        self.place.cut()

    @precondition(lambda self: self.may_be_killed)
    @rule()
    def the_server_is_killed(self) -> None:
        """Once in an example, for it takes a second to come back."""
        self.may_be_killed = False
        self.place.kill()

    @invariant()
    def the_database_holds_what_is_true(self) -> None:
        assert self.place.impossible() == []
        assert self.place.state() == self.family.stored()

    @invariant()
    def it_is_seen_what_is_true(self) -> None:
        """Also by who has been signed out, and sees nothing: by everybody, or by one in turn."""
        devices = self.family.devices
        turn = next(self.turns) % len(devices)
        for device in devices if self.is_thorough else devices[turn : turn + 1]:
            self.view(device)

    @rule()
    def everybody_looks_at_everything(self) -> None:
        family = self.family
        for device in family.devices:
            family.see_groups(device)
            family.see_oneself(device)
            family.see_people(device)
            family.see_invites(device)
            family.see_keys(device)
            family.see_points(device)

    def view(self, by: Device) -> None:
        """Let somebody look at what the machine is about."""
        raise NotImplementedError


def _age(point: Point) -> timedelta:
    return now() - point.recorded_at


def own_code() -> str:
    """Make a code as a client does."""
    return Code.make(None).text


def key_for(*devices: Device, **fields: Any) -> dict[str, Any]:
    """Make a group key, wrapped for these devices, as it goes over the wire."""
    envelopes = [{"deviceId": each.id, "wrappedKey": factories.opaque()} for each in devices]
    return {"commitment": factories.opaque(32), "envelopes": envelopes, **fields}


# --- How they are run

ORDINARY = 1
"""How many examples are tried each time."""

SEEDS = [2026, 11, 22, 7]
IN_FULL, WITH_KILLS = 10, 6
"""How many examples of each seed, and how many on a server that is killed in most of them."""

SUCCESSES = {"200", "201", "204", "stored", "some"}


def run(
    machine: type[Machine],
    place: Place,
    mortal: Place | None = None,
    *,
    seen: Mapping[str, set[str]] | None = None,
) -> None:
    """Run a machine: a little, always in the same way, or in full.

    In full every operation has to have succeeded, or the machine was idle. Which of the refusals
    that should be `seen` were left out by chance is told.
    """
    if mortal is None or seen is None:
        _run(partial(machine, place, is_thorough=False), place, SEEDS[0], ORDINARY)
        return
    for number in SEEDS:
        _run(partial(machine, place, is_thorough=True), place, number, IN_FULL)
    _run(partial(machine, mortal, is_thorough=True), mortal, SEEDS[0], WITH_KILLS)
    outcomes = place.outcomes + mortal.outcomes
    missed = {
        (what, outcome)
        for what, wanted in seen.items()
        for outcome in wanted
        if not outcomes[what, outcome]
    }
    report = [f"{machine.__name__}: {place.requests + mortal.requests} requests,"]
    report += [f" {mortal.kills} times the server was killed\n"]
    report += [f"{many:8} {what}: {how}\n" for (what, how), many in sorted(outcomes.items())]
    report += [f"   never {what}: {how}\n" for what, how in sorted(missed)]
    sys.stdout.write("".join(report))
    assert mortal.kills
    assert {(what, how) for what, how in missed if how in SUCCESSES} == set()


def _run(machine: Callable[[], Machine], place: Place, number: int, examples: int) -> None:
    with place.served():
        run_state_machine_as_test(
            seed(number)(machine),  # type: ignore[arg-type]
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                database=None,
                deadline=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
