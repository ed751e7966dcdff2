"""The member's words, and what this device notes of what it has done."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from draugar.protocol.statements import MOST_GONE, Browsers, fitted
from draugar.trust import words
from draugar.trust.evidence import UNSIGNED_UNTIL
from draugar.trust.numbers import is_void, number
from draugar.trust.reconcile import reconcile
from draugar.trust.values import Decision, Gift, Name, OwnDevice, State
from tests.client.trust.making import (
    ALL,
    ARI,
    BO,
    CLEO,
    EVE,
    GHOST,
    GROUP,
    NOW,
    OTHER_GROUP,
    UNA,
    UNAS_LAPTOP,
    UNAS_TABLET,
    card,
    commitment,
    device,
    key,
    keys,
    link,
    listing,
    own,
    proof,
    record,
    sealed,
    state,
    uuid,
)


def decision(known: State, *recipients: UUID) -> Decision:
    return Decision(state=known, holds=True, rotate=True, recipients=recipients)


def test_a_rename_has_the_number_after_all_others() -> None:
    known = state(
        trust=(
            record(UNAS_LAPTOP, card=Name(4, "Unna")),
            record(ARI, card=Name(9, "Ari")),
        ),
        own=own(UNAS_LAPTOP),
    )
    assert words.renamed(known, "U").card == Name(5, "U")
    assert words.renamed(state(card=None), "U").card == Name(0, "U")


def test_a_revoked_device_that_is_not_known_yet_comes_in_by_no_link_and_no_card() -> None:
    known = state(trust=(ARI, UNAS_TABLET), own=own(UNAS_TABLET), links=(link(for_me=True),))
    revoked = words.revoked(known, UNAS_LAPTOP.device_id)
    found = reconcile(
        revoked,
        listing(
            UNA,
            ARI,
            UNAS_TABLET,
            UNAS_LAPTOP,
            proofs={UNAS_LAPTOP: proof(UNAS_LAPTOP, "me")},
            cards={UNAS_TABLET: card(UNAS_TABLET, own=(UNAS_LAPTOP,))},
        ),
        keys(),
        NOW,
    )
    assert isinstance(found, Decision)
    assert UNAS_LAPTOP.device_id not in found.state.trusted()
    assert revoked.compromised == 0


def test_a_rename_passes_over_the_number_that_a_stolen_device_has_used_up() -> None:
    known = state(trust=(record(UNAS_LAPTOP, card=Name(2**31 - 1, "Thief")),), own=own(UNAS_LAPTOP))
    assert words.renamed(known, "U").card == Name(1, "U")


def test_the_last_number_is_not_passed() -> None:
    known = state(card=Name(2**31 - 1, "Una"))
    assert words.renamed(known, "U").card == Name(2**31 - 1, "U")


def test_unsigned_statements_count_for_a_year_after_the_release() -> None:
    assert datetime(2027, 12, 1, tzinfo=UTC).timestamp() == UNSIGNED_UNTIL


def test_links_are_kept_and_forgotten() -> None:
    one, other = link("one"), link("other")
    known = words.linked(words.linked(state(), one), other)
    assert known.links == (one, other)
    assert words.unlinked(known, one.id).links == (other,)


def test_an_attempt_is_noted_and_never_lowered() -> None:
    assert words.attempted(state(attempted=2), 3).attempted == 3
    assert words.attempted(state(attempted=5), 3).attempted == 5
    assert words.attempted(state(version=1), 3).at_risk == 3


def test_a_version_of_one_s_own_is_held_and_counts_as_given() -> None:
    known = state()
    roster = words.next_roster(decision(known, ARI.device_id), key(2), version=2, now=NOW)
    after = words.rotated(known, 2, key(2), roster, NOW)
    assert after.highest == 2
    assert after.held[2].key == key(2)
    assert after.held[2].made == int(NOW)
    assert after.superseded_at(1) == NOW
    assert after.gave == {(ARI.device_id, 2)}
    assert words.rotated(state(version=3), 2, key(2), None, NOW).highest == 3


def test_what_was_given_and_vouched_is_noted() -> None:
    assert words.gave(state(), Gift(ARI.device_id, 1)).gave == {(ARI.device_id, 1)}
    assert words.greeted(state(), [ARI.device_id]).greeted == {ARI.device_id}
    assert words.vouched(state(), ARI.device_id, 1).vouched == {(ARI.device_id, 1)}


def test_a_group_that_is_left_lists_no_device_of_mine() -> None:
    both = OwnDevice(UNAS_LAPTOP.public_key, frozenset({GROUP, OTHER_GROUP}))
    here = OwnDevice(CLEO.public_key, frozenset({GROUP}))
    left = words.own_after_leaving({UNAS_LAPTOP.device_id: both, CLEO.device_id: here}, GROUP)
    assert left == {
        UNAS_LAPTOP.device_id: OwnDevice(UNAS_LAPTOP.public_key, frozenset({OTHER_GROUP}))
    }


def test_the_next_roster_names_this_device_and_the_recipients() -> None:
    known = state(
        version=2,
        trust=(record(ARI, 1, card=Name(0, "Ari")), record(BO, 9), EVE),
        browsers=Browsers.REFUSED,
    )
    roster = words.next_roster(
        decision(known, ARI.device_id, BO.device_id), key(3), version=3, now=NOW + 0.5
    )
    assert [(one.device, one.since, one.name) for one in roster.introductions] == [
        (UNA, 1, "Una"),
        (ARI, 1, "Ari"),
        (BO, 3, None),
    ]
    assert roster.commitment == commitment(3)
    assert (roster.by, roster.made, roster.browsers) == (UNA.device_id, int(NOW), Browsers.REFUSED)
    assert roster.complete
    assert sealed(roster, 3)


def test_a_surplus_recipient_is_left_out_of_the_roster() -> None:
    roster = words.next_roster(
        decision(state(), ARI.device_id, BO.device_id),
        key(2),
        version=2,
        now=NOW,
        surplus={ARI.device_id},
    )
    assert [one.device for one in roster.introductions] == [UNA, BO]


def test_the_next_roster_says_who_has_gone() -> None:
    known = state(
        version=2,
        trust=(
            ARI,
            record(BO, 1, observed=1),
            record(EVE, 1, observed=7, removed=True),
            record(CLEO, -1, observed=-1, removed=True),
        ),
        unknown_gone={GHOST.device_id: {ARI.device_id: 1, BO.device_id: 9}},
    )
    roster = words.next_roster(decision(known, ARI.device_id), key(3), version=3, now=NOW)
    assert dict(roster.gone) == {BO.device_id: 1, EVE.device_id: 3, GHOST.device_id: 3}
    assert sealed(roster, 3)


def test_of_more_than_200_that_have_gone_the_newest_are_stated() -> None:
    many = {uuid(f"gone {n}"): {ARI.device_id: 1 + n % 2} for n in range(MOST_GONE + 40)}
    known = state(version=2, unknown_gone=many)
    roster = words.next_roster(decision(known, ARI.device_id), key(3), version=3, now=NOW)
    cut = fitted(roster)
    assert cut is not None
    assert len(cut.gone) == MOST_GONE
    assert not cut.complete
    assert [end for _, end in cut.gone].count(2) == (MOST_GONE + 40) // 2


def test_two_people_see_one_number() -> None:
    people = listing(UNA, UNAS_LAPTOP, ARI)
    una = state(own=own(UNAS_LAPTOP))
    ari = state(me=ARI, trust=(UNA,))
    assert number(una, people, ARI.user_id) == number(ari, people, UNA.user_id)


def test_a_number_is_void_where_a_device_is_listed_that_it_does_not_cover() -> None:
    other = device("ari's other", "Ari")
    known = state(compared={ARI.user_id: frozenset({ARI.device_id})})
    assert not is_void(known, listing(*ALL), ARI.user_id)
    assert is_void(known, listing(*ALL, other), ARI.user_id)
    assert not is_void(known, listing(*ALL, other), BO.user_id)


@pytest.mark.parametrize("last", [NOW - 50, NOW + 50])
def test_a_version_ends_no_later_than_the_next_one_was_held(last: float) -> None:
    # The clock of this device has been set back.
    known = state(version=2)
    first, second = known.held[1], known.held[2]
    known = replace(
        known,
        held={
            1: replace(first, last_current=last),
            2: replace(second, first_held=NOW, made=int(NOW) - 90),
        },
    )
    assert known.superseded_at(1) == min(last, NOW)
