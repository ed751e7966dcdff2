"""What a home of form 1 knows is known afterwards, and nothing more is believed."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from draugar.protocol.statements import Device
from draugar.trust.migration import (
    FormerDevice,
    FormerGroup,
    FormerHome,
    FormerLink,
    FormerSource,
    migrated,
)
from draugar.trust.values import OwnDevice, Source, State
from tests.client.trust.making import (
    ARI,
    BO,
    EVE,
    GROUP,
    NAMES,
    NOW,
    OTHER_GROUP,
    UNA,
    UNAS_LAPTOP,
    UNAS_TABLET,
    key,
    link_keys,
    secret_of,
    uuid,
)


def row(one: Device, source: FormerSource = FormerSource.ROSTER, **changes: Any) -> FormerDevice:
    known = FormerDevice(
        device_id=one.device_id,
        user_id=one.user_id,
        name=NAMES[one.user_id],
        public_key=one.public_key,
        source=source,
        version=2,
    )
    return replace(known, **changes)


def link(name: str, **changes: Any) -> FormerLink:
    known = FormerLink(
        id=uuid(name),
        for_me=False,
        proof_key=link_keys(name).proof,
        code="ABCDEFGHJKLMNPQR",
        expires_at=NOW + 60,
    )
    return replace(known, **changes)


def group(*devices: FormerDevice, **changes: Any) -> FormerGroup:
    known = FormerGroup(
        group_id=GROUP,
        highest=2,
        attempted=3,
        compromised=1,
        keys={1: (key(1), NOW - 20), 2: (key(2), NOW - 10)},
        devices=devices,
    )
    return replace(known, **changes)


def home(*groups: FormerGroup, is_further: bool = False, **changes: Any) -> FormerHome:
    known = FormerHome(
        user_id=UNA.user_id,
        device_id=UNA.device_id,
        key=secret_of(UNA),
        name="Una",
        is_further=is_further,
        groups=groups,
    )
    return replace(known, **changes)


def only(former: FormerHome) -> State:
    (state,) = migrated(former)
    return state


def test_keys_and_versions_are_kept() -> None:
    state = only(home(group()))
    assert {version: held.key for version, held in state.held.items()} == {1: key(1), 2: key(2)}
    assert state.held[1].first_held == state.held[1].last_current == NOW - 20
    assert (state.highest, state.attempted, state.compromised) == (2, 3, 1)
    assert state.me == UNA


def test_keys_of_other_groups_are_known() -> None:
    other = group(group_id=OTHER_GROUP, keys={1: (key(9), NOW)})
    here, there = migrated(home(group(), other))
    assert here.elsewhere == {key(9)}
    assert there.elsewhere == {key(1), key(2)}


@pytest.mark.parametrize(
    ("former", "source"),
    [
        (FormerSource.PROOF, Source.PROOF),
        (FormerSource.SAFETY, Source.SAFETY),
        (FormerSource.ROSTER, Source.MEMBER),
    ],
)
def test_a_trusted_device_stays_trusted_by_the_same_source(
    former: FormerSource, source: Source
) -> None:
    state = only(home(group(row(ARI, former, vouched_by=BO.device_id))))
    record = state.trusted()[ARI.device_id]
    assert (record.device, record.since, record.source) == (ARI, 2, source)
    assert record.by == BO.device_id


@pytest.mark.parametrize("ended", ["gone", "left out", "removed"])
@pytest.mark.parametrize("ended_version", [None, 1, 2, 5])
def test_what_has_ended_stays_so(ended: str, ended_version: int | None) -> None:
    state = only(home(group(row(ARI, ended=ended, ended_version=ended_version))))
    record = state.records[ARI.device_id]
    assert not record.trusted
    assert record.removed == (ended == "removed")
    assert record.ended == max(ended_version or 0, 2)


def test_names_are_introductions_of_trusted_devices_first() -> None:
    other = replace(ARI, device_id=UUID(int=1), public_key=BO.public_key)
    state = only(
        home(group(row(ARI), row(other, name="Former Ari", ended="gone", ended_version=2)))
    )
    assert state.name_of(ARI.user_id) == "Ari"
    assert state.best_card(ARI.user_id) is None
    assert state.name_of(UNA.user_id) == "Una"


def test_a_device_that_used_a_link_for_me_is_mine() -> None:
    used = link("used", for_me=True, device_id=UNAS_LAPTOP.device_id)
    state = only(home(group(row(UNAS_LAPTOP, FormerSource.PROOF), links=(used,))))
    assert state.own == {
        UNAS_LAPTOP.device_id: OwnDevice(UNAS_LAPTOP.public_key, frozenset({GROUP}))
    }


def test_a_device_that_used_a_link_for_others_is_not_mine() -> None:
    used = link("used", device_id=UNAS_LAPTOP.device_id)
    state = only(home(group(row(UNAS_LAPTOP, FormerSource.PROOF), links=(used,))))
    assert not state.own


@pytest.mark.parametrize("source", [FormerSource.ROSTER, FormerSource.SAFETY])
def test_a_device_that_proved_nothing_is_not_mine(source: FormerSource) -> None:
    used = link("used", for_me=True, device_id=UNAS_LAPTOP.device_id)
    state = only(home(group(row(UNAS_LAPTOP, source), links=(used,))))
    assert not state.own
    assert state.records[UNAS_LAPTOP.device_id].source is Source.MEMBER


def test_a_device_that_has_ended_is_not_mine() -> None:
    used = link("used", for_me=True, device_id=UNAS_LAPTOP.device_id)
    ended = row(UNAS_LAPTOP, FormerSource.PROOF, ended="gone", ended_version=2)
    assert not only(home(group(ended, links=(used,)))).own


def test_the_inviter_of_a_further_device_is_mine() -> None:
    laptop = row(UNAS_LAPTOP, FormerSource.PROOF)
    assert {*only(home(group(laptop), is_further=True)).own} == {UNAS_LAPTOP.device_id}
    assert not only(home(group(laptop))).own


def test_only_in_the_group_with_the_earliest_key_a_device_counts_as_the_inviter() -> None:
    # A member who invited "a further device of mine" into a group of theirs stands in it so.
    theirs = group(
        row(UNAS_TABLET, FormerSource.PROOF),
        group_id=OTHER_GROUP,
        keys={1: (key(9), NOW)},
    )
    first = group(row(UNAS_LAPTOP, FormerSource.PROOF))
    for states in (
        migrated(home(first, theirs, is_further=True)),
        migrated(home(theirs, first, is_further=True)),
    ):
        assert {*states[0].own} == {*states[1].own} == {UNAS_LAPTOP.device_id}


def test_of_several_who_may_be_the_inviter_none_is_mine() -> None:
    both = group(row(UNAS_LAPTOP, FormerSource.PROOF), row(UNAS_TABLET, FormerSource.PROOF))
    state = only(home(both, is_further=True))
    assert not state.own
    assert {*state.trusted()} == {UNAS_LAPTOP.device_id, UNAS_TABLET.device_id}


def test_the_inviter_is_told_from_a_device_that_used_my_link() -> None:
    used = link("used", for_me=True, device_id=UNAS_TABLET.device_id)
    both = group(
        row(UNAS_LAPTOP, FormerSource.PROOF), row(UNAS_TABLET, FormerSource.PROOF), links=(used,)
    )
    assert {*only(home(both, is_further=True)).own} == {
        UNAS_LAPTOP.device_id,
        UNAS_TABLET.device_id,
    }


def test_a_home_without_a_key_has_no_inviter() -> None:
    waiting = group(row(UNAS_LAPTOP, FormerSource.PROOF), keys={}, highest=0)
    assert not only(home(waiting, is_further=True)).own


def test_a_device_of_mine_is_known_with_all_groups_that_have_it() -> None:
    used = link("used", for_me=True, device_id=UNAS_LAPTOP.device_id)
    here = group(row(UNAS_LAPTOP, FormerSource.PROOF), links=(used,))
    there = group(
        row(UNAS_LAPTOP, FormerSource.ROSTER), group_id=OTHER_GROUP, keys={1: (key(9), NOW)}
    )
    for state in migrated(home(here, there)):
        assert state.own[UNAS_LAPTOP.device_id].groups == {GROUP, OTHER_GROUP}


def test_links_stay_open_until_a_device_ends() -> None:
    state = only(home(group(links=(link("open"), link("used", device_id=ARI.device_id)))))
    assert [one.open for one in state.links] == [True, False]
    assert [one.version for one in state.links] == [0, 0]


def test_what_was_compared_covers_the_same_devices() -> None:
    former = group(
        row(ARI, FormerSource.SAFETY),
        row(BO),
        compared={ARI.user_id: ARI.public_key + EVE.public_key},
    )
    assert only(home(former)).compared == {ARI.user_id: frozenset({ARI.device_id})}


def test_known_devices_are_no_newcomers() -> None:
    assert only(home(group(row(ARI), row(BO)))).greeted == {ARI.device_id, BO.device_id}


def test_devices_of_mine_are_not_announced_again() -> None:
    former = home(group(row(UNAS_LAPTOP), row(UNAS_TABLET)), met={UNAS_TABLET.device_id: 20_000})
    assert only(former).met == {UNAS_LAPTOP.device_id: 0, UNAS_TABLET.device_id: 20_000}
