"""What holds in every family, whatever a member seals and the service answers."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from draugar.protocol.sealing import seal
from draugar.trust.reconcile import reconcile
from draugar.trust.values import (
    Decision,
    Envelope,
    Keys,
    Listing,
    SealedCard,
    State,
    Stop,
    UnsignedEntry,
    Version,
    Vouch,
)
from tests.client.trust.cases import CASES
from tests.client.trust.making import ALL, ARI, GHOST, GROUP, NOW, key, state
from tests.client.trust.world import World

SEEDS = st.integers(0, 2**32 - 1)
WORLDS = settings(
    max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
STEPS = 45


@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("eve_bans", [False, True])
@WORLDS
@given(seed=SEEDS)
def test_invariants(seed: int, *, lies: bool, eve_bans: bool) -> None:
    play(World(seed, lies=lies, eve_bans=eve_bans))


@pytest.mark.full
@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("eve_bans", [False, True])
@settings(WORLDS, max_examples=300, derandomize=False)
@given(seed=SEEDS)
def test_invariants_in_many_families(seed: int, *, lies: bool, eve_bans: bool) -> None:
    play(World(seed, lies=lies, eve_bans=eve_bans))


def play(world: World) -> None:
    """Let things happen; the world checks each update."""
    for _ in range(STEPS):
        world.step()


@WORLDS
@given(seed=SEEDS)
def test_devices_that_trust_each_other_come_to_hold_one_key(seed: int) -> None:
    # Whatever Eve seals, as long as she calls no device gone and the service is honest.
    world = World(seed)
    play(world)
    world.settle(7)
    if world.holders():
        assert not world.without_key()


@WORLDS
@given(seed=SEEDS)
def test_two_people_see_one_number_and_each_knows_their_own_devices(seed: int) -> None:
    world = World(seed)
    random = world.random
    for _ in range(30):
        act = random.choice(["link", "code", "further", "further", "sync", "sync", "rotate"])
        holders = world.holders()
        by = random.choice(holders)
        if act in ("link", "code"):
            world.invite(by, by_link=act == "link", names=("Ari", "Bo", "Sif"))
        elif act == "further":
            world.further(by, most=4)
        elif act == "rotate":
            world.asked_to_rotate(by)
        else:
            world.sync(random.choice(world.honest()))
    world.settle(9)
    for one in world.honest():
        theirs = {other.device_id for other in world.honest() if other.user_id == one.user_id} - {
            one.device_id
        }
        assert {*world.states[one.device_id].own} == theirs
    assert not world.numbers_differ()


@WORLDS
@given(seed=SEEDS)
def test_a_device_that_was_never_given_the_key_causes_no_new_one(seed: int) -> None:
    world = World(seed)
    random, by = world.random, world.holders()[0]
    for _ in range(random.randint(1, 3)):
        world.invite(by, by_link=random.random() < 0.5, names=("Ari", "Bo", "Sif"))
    world.settle(3)
    version = world.service.version
    for _ in range(12):
        world.stranger()
        world.sync(random.choice(world.honest()))
    world.settle(2)
    assert world.service.version == version
    assert not world.service.required


# No sealed input makes a decision raise, or take for ever.

SMALL = st.integers(0, 3)
BYTES = st.one_of(
    st.binary(max_size=120),
    # What opens, and is no statement.
    st.tuples(
        st.sampled_from([b"", b"{}", b"[]", b'{"form":2}', b'{"form":9,"by":7}']), st.binary()
    ).map(lambda parts: seal(parts[0] + parts[1], key(1), 1000)),
    # Statements of the cases, wherever they do not belong.
    st.sampled_from(
        sorted(
            {
                sealed
                for case in CASES
                if case.does == "reconcile"
                for sealed in (
                    *(one.statement for one in case.input["keys"].versions),
                    *(one.sealed for one in case.input["keys"].vouches),
                    *(one.card.sealed for one in case.input["listing"].devices if one.card),
                )
                if sealed
            }
        )
    ),
)
IDS = st.sampled_from([one.device_id for one in (*ALL, GHOST)])
PUBLIC_KEYS = st.sampled_from([one.public_key for one in (*ALL, GHOST)] + [bytes(32)])


@st.composite
def answers(draw: st.DrawFn) -> Keys:
    """Draw an answer in which every sealed thing may be anything."""
    return Keys(
        form=draw(st.sampled_from([1, 2])),
        version=draw(st.integers(1, 3)),
        rotation_required=draw(st.booleans()),
        versions=tuple(
            draw(
                st.lists(
                    st.builds(
                        Version,
                        version=SMALL,
                        commitment=st.sampled_from(
                            [key(one).commitment(GROUP, one) for one in (1, 2, 3)]
                        ),
                        statement=st.none() | BYTES,
                        roster=st.none() | BYTES,
                    ),
                    max_size=5,
                )
            )
        ),
        envelopes=tuple(
            draw(
                st.lists(
                    st.builds(
                        Envelope,
                        version=SMALL,
                        wrapped=st.binary(max_size=80),
                        wrapper_key=PUBLIC_KEYS,
                        wrapper_id=st.none() | IDS,
                        former=st.none() | BYTES,
                    ),
                    max_size=5,
                )
            )
        ),
        vouches=tuple(
            draw(
                st.lists(
                    st.builds(Vouch, about=IDS, sealed=BYTES, voucher_id=st.none() | IDS),
                    max_size=5,
                )
            )
        ),
        unsigned_entries=tuple(
            draw(
                st.lists(
                    st.builds(
                        UnsignedEntry, version=SMALL, sealed=BYTES, author_id=st.none() | IDS
                    ),
                    max_size=3,
                )
            )
        ),
    )


STATES = st.sampled_from(
    [state(), state(version=2), state(version=0, trust=(ARI,)), state(version=1, trust=())]
)
LISTINGS = st.sampled_from([case.input["listing"] for case in CASES if case.does == "reconcile"])


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Draw a list of devices, with cards that may be anything."""
    listing: Listing = draw(LISTINGS)
    devices = tuple(
        replace(
            one,
            card=draw(st.none() | st.builds(SealedCard, BYTES, SMALL)),
            join_proof=draw(st.none() | st.binary(max_size=40)),
        )
        for one in listing.devices
    )
    return replace(listing, devices=devices)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(known=STATES, listing=listings(), keys=answers(), seed=SEEDS)
def test_any_answer_leads_to_a_decision(
    known: State, listing: Listing, keys: Keys, seed: int
) -> None:
    decision = reconcile(known, listing, keys, NOW)
    assert isinstance(decision, Decision | Stop)
    random = Random(seed)  # noqa: S311 -- an order
    devices = tuple(random.sample(listing.devices, len(listing.devices)))
    again = reconcile(known, replace(listing, devices=devices), keys, NOW)
    assert again == decision
    if isinstance(decision, Decision):
        repeated = reconcile(decision.state, listing, keys, NOW)
        assert isinstance(repeated, Decision)
        assert repeated.state == decision.state
