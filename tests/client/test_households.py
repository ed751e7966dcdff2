"""Whatever a member and the service do, the invariants hold for honest devices over the service.

One household goes through every operation in a fixed order. State machines choose the order, and
in full many of them; there every operation succeeds in some of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import integers, sampled_from

from tests.client.family import Family, Service
from tests.client.household import BANS, ROSTERS, Household
from tests.client.malice import Relay

STATED = [*sorted(ROSTERS.keys() - BANS), "no statement", "unsigned", "rubbish", "false keys"]
VOUCHES = (
    "true",
    "another owner",
    "another key",
    "a browser",
    "a long name",
    "a late version",
    "an unlisted device",
    "rubbish",
)
CARDS = ("a long name", "another person", "another device", "others as own", "a browser", "rubbish")
LIES = ("old answers", "other order", "withheld", "a ghost", "a ghost device")
NUMBERS = integers(0, 11)
FEWEST = 3
"""Honest devices without which no one goes."""
STEPS, EXAMPLES = 12, 1
STEPS_IN_FULL, EXAMPLES_IN_FULL = 30, 12
SEEDS = (2026, 12, 1)

Begin = Callable[..., Household]


@pytest.fixture
def begin(service: Service, tmp_path: Path) -> Iterator[Begin]:
    """Let a household begin, each in a directory of its own."""
    numbers = count()
    with ExitStack() as stack:

        def begun(*, lies: bool = False, bans: bool = False) -> Household:
            service.query("TRUNCATE rate_limits")
            directory = tmp_path / str(next(numbers))
            directory.mkdir()
            relay = stack.enter_context(Relay(service.url))
            family = Family(Service(relay.url, service.database_url), directory, stack)
            household = Household(family, relay, lies=lies, bans=bans)
            stack.enter_context(relay.telling(household.remember))
            return household

        yield begun


def goes_on(household: Household) -> None:
    """Update, and share, on every device."""
    for number in range(len(household.honest)):
        household.update(number)
        household.share(number)


def test_whatever_a_member_states_changes_no_standing(begin: Begin) -> None:
    household = begin()
    assert household.join_by_link(0)
    assert household.join_by_code(0)
    assert household.join_by_link(1, further=True)
    household.settle()
    before = standing(household)
    for what in STATED:
        assert household.eve_rotates(what)
        household.update(1)
    for number, what in enumerate(VOUCHES):
        assert household.eve_vouches(what, number)
    for number, what in enumerate(CARDS):
        assert household.eve_shows(what, number)
        household.update(number)
    assert household.rotate(0)
    household.settle()
    assert household.eve_gives(1)
    household.settle()

    household.check_agreement()
    assert standing(household) == before
    assert household.remove(0, eve=True)
    household.check_agreement()
    household.check_traffic()


def test_all_that_people_do_succeeds_beside_a_hostile_member(begin: Begin) -> None:
    household = begin()
    assert household.join_by_link(0)
    assert household.rename(1)
    assert household.join_by_code(0)
    assert household.stranger(0)
    assert household.promote(0)
    assert household.join_by_link(0, further=True)
    assert household.rotate(1)
    assert household.update(0)  # gives Eve the key: she does not know yet who has made it
    assert household.where(2)
    assert household.eve_vouches("true", 1)
    assert household.share(1)
    assert household.revoke(0)
    assert household.eve_writes_a_newer_form(0)
    assert household.remove(0, eve=True)
    assert household.remove(0)
    assert household.leave(0)
    household.check_agreement()
    household.check_traffic()


def test_no_lie_of_the_service_breaks_an_invariant(begin: Begin) -> None:
    household = begin(lies=True)
    assert household.join_by_link(0)
    for number, what in enumerate(LIES):
        household.lie(what, number, partial(household.update, number))
        household.lie(what, number, partial(household.rotate, number))
        household.eve_rotates(STATED[number])
    goes_on(household)
    household.check_traffic()


def standing(household: Household) -> dict[tuple[object, object], bool]:
    """Return whom each device trusts of those who are honest."""
    return {
        (one.id, other.id): other.id in household.state(one).trusted()
        for one in household.honest
        for other in household.honest
        if one is not other
    }


class Machine(RuleBasedStateMachine):
    """Chooses what happens; what cannot happen just now does nothing.

    No rule has a precondition: the ids and keys of a household are others each time.
    """

    def __init__(self, begin: Begin, done: Counter[str], **how: bool) -> None:
        super().__init__()
        self._begin, self._done, self._how = begin, done, how

    @initialize(order=integers(0, 2**16))
    def begins(self, order: int) -> None:
        self.household = self._begin(**self._how)
        self.household.done = self._done
        self.household.random = Random(order)  # noqa: S311 -- an order
        self.household.join_by_link(order)

    @rule(number=NUMBERS, what=sampled_from(["update", "share", "where", "rotate", "rename"]))
    def every_day(self, number: int, what: str) -> None:
        getattr(self.household, what)(number)

    @rule(number=NUMBERS, what=sampled_from(["join_by_code", "join_by_link", "stranger"]))
    def comes(self, number: int, what: str) -> None:
        getattr(self.household, what)(number)

    @rule(number=NUMBERS)
    def further(self, number: int) -> None:
        self.household.join_by_link(number, further=True)

    @rule(number=NUMBERS, what=sampled_from(["leave", "remove", "revoke", "promote"]))
    def goes(self, number: int, what: str) -> None:
        if len(self.household.honest) > FEWEST:
            getattr(self.household, what)(number)

    @rule(number=NUMBERS)
    def eve_is_removed(self, number: int) -> None:
        if number == 0:
            self.household.remove(number, eve=True)

    @rule(what=sampled_from(STATED))
    def eve_rotates(self, what: str) -> None:
        self.household.eve_rotates(what)

    @rule(what=sampled_from(sorted(BANS)))
    def eve_bans(self, what: str) -> None:
        if self.household.bans:
            self.household.eve_rotates(what)

    @rule(what=sampled_from(VOUCHES), number=NUMBERS)
    def eve_vouches(self, what: str, number: int) -> None:
        self.household.eve_vouches(what, number)

    @rule(what=sampled_from(CARDS), number=NUMBERS)
    def eve_shows(self, what: str, number: int) -> None:
        self.household.eve_shows(what, number)

    @rule(number=NUMBERS)
    def eve_gives(self, number: int) -> None:
        self.household.eve_gives(number)

    @rule(number=NUMBERS)
    def eve_writes_a_newer_form(self, number: int) -> None:
        if self.household.bans:
            self.household.eve_writes_a_newer_form(number)

    @rule(
        what=sampled_from(LIES),
        number=NUMBERS,
        act=sampled_from(["update", "share", "rotate", "where"]),
    )
    def the_service_lies(self, what: str, number: int, act: str) -> None:
        household = self.household
        if household.lies:
            household.lie(what, number, partial(getattr(household, act), number))

    def teardown(self) -> None:
        if hasattr(self, "household"):
            self.household.check_agreement()
            self.household.check_traffic()


HOW = [{}, {"bans": True}, {"lies": True, "bans": True}]


@pytest.mark.parametrize("how", HOW, ids=["honest-service", "bans", "lies"])
def test_invariants_in_some_households(begin: Begin, how: dict[str, bool]) -> None:
    run(begin, how, Counter(), SEEDS[0], examples=EXAMPLES, steps=STEPS)


@pytest.mark.full
@pytest.mark.parametrize("how", HOW, ids=["honest-service", "bans", "lies"])
def test_invariants_in_many_households(begin: Begin, how: dict[str, bool]) -> None:
    done: Counter[str] = Counter()
    for number in SEEDS:
        run(begin, how, done, number, examples=EXAMPLES_IN_FULL, steps=STEPS_IN_FULL)

    # What Eve states, and what the service says, the tests above go through one by one.
    seen = {what.partition(":")[0] for what in done}
    expected = {"update", "share", "where", "rotate", "rename", "stranger", "further", "confirm"}
    expected |= {"join by link", "recognise", "leave", "remove", "revoke", "promote"}
    expected |= {"eve rotates", "eve vouches", "eve shows"} | (
        {"lie"} if how.get("lies") else set()
    )
    assert expected - seen == set()


def run(  # noqa: PLR0913 -- each by its name
    begin: Begin,
    how: dict[str, bool],
    done: Counter[str],
    number: int,
    *,
    examples: int,
    steps: int,
) -> None:
    """Run a machine so many times."""
    machine = partial(Machine, begin, done, **how)
    run_state_machine_as_test(
        seed(number)(machine),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
