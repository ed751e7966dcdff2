"""Decisions as data: what a device knows, what the service answers, and what follows.

Each case is one update, one package or one word of the member. The state of a later update is what
an earlier one has led to. The names say what is claimed; docs/decisions.json has all of them with
the whole decision.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from draugar.protocol.statements import Browsers, Device, DeviceKind, Introduction, Roster
from draugar.trust import words
from draugar.trust.evidence import UNSIGNED_UNTIL
from draugar.trust.joining import Joining, judge_package
from draugar.trust.numbers import halves
from draugar.trust.reconcile import reconcile
from draugar.trust.values import (
    Decision,
    Keys,
    Listing,
    Name,
    Notice,
    SealedCard,
    Source,
    State,
    Stop,
    Vouch,
)
from tests.client.trust.making import (
    ALL,
    ARI,
    BO,
    CLEO,
    EVE,
    EVES_OTHER,
    GHOST,
    GROUP,
    NAMES,
    NOW,
    OTHER_GROUP,
    UNA,
    UNAS_LAPTOP,
    UNAS_TABLET,
    WES,
    XEN,
    card,
    commitment,
    device,
    entry,
    envelope,
    former,
    held,
    introduction,
    key,
    keys,
    link,
    link_keys,
    listing,
    newer,
    own,
    package,
    proof,
    record,
    repeatable,
    roster,
    sealed,
    state,
    unsigned_entry,
    unsigned_roster,
    uuid,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One decision, and what is claimed of it."""

    name: str = ""
    does: str = "reconcile"
    state: State
    input: dict[str, Any]
    trusted: tuple[Device, ...] = ()
    untrusted: tuple[Device, ...] = ()
    own: tuple[Device, ...] | None = None
    holds: bool | None = None
    rotate: bool | None = None
    recipients: tuple[Device, ...] | None = None
    gives: tuple[tuple[Device, int], ...] | None = None
    vouches: tuple[Device, ...] | None = None
    compromised: int | None = None
    names: Mapping[Device, str] = field(default_factory=dict)
    tells: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    stops: str | None = None
    claim: Callable[[Any], bool] | None = None
    """What the members above cannot say."""

    def decide(self) -> Decision | Stop | State | Notice | Any:
        """Return what follows."""
        return _ACTS[self.does](self.state, **self.input)


def _confirm(
    known: State, *, devices: Iterable[Device], name: str, covers: Iterable[UUID]
) -> State:
    return words.confirmed(known, devices, name=name, covers=frozenset(covers))


def _remove(known: State, *, devices: Iterable[Device]) -> State:
    return words.removed(known, devices)


def _number(known: State, *, listing: Listing, user_id: UUID) -> Any:
    mine, theirs = halves(known, listing, user_id)
    return Halves(mine=mine[1], theirs=theirs[1])


@dataclass(frozen=True, kw_only=True)
class Halves:
    """The tokens of both people of a safety number."""

    mine: frozenset[bytes]
    theirs: frozenset[bytes]


def _join(known: State, **given: Any) -> State | Notice:
    return judge_package(known, **given)


_ACTS: dict[str, Callable[..., Any]] = {
    "reconcile": reconcile,
    "package": _join,
    "confirm": _confirm,
    "remove": _remove,
    "number": _number,
}
CASES: list[Case] = []


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    """Collect a case; its name is that of the function."""
    with repeatable(make.__name__):
        CASES.append(replace(make(), name=make.__name__.replace("_s_", "'s_").replace("_", " ")))
    return make


def update(
    known: State, people: Listing, service: Keys, *, now: float = NOW, **claims: Any
) -> Case:
    """Return the case of an update."""
    seen = claims.pop("seen", None)
    given: dict[str, Any] = {"listing": people, "keys": service, "now": now}
    if seen is not None:
        given["seen"] = frozenset(one.device_id for one in seen)
    return Case(state=known, input=given, **claims)


def after(known: State, people: Listing, service: Keys, *, now: float = NOW) -> State:
    """Return the state after an update."""
    found = reconcile(known, people, service, now)
    assert isinstance(found, Decision)
    return found.state


def told(decision: Any, code: str) -> list[dict[str, str | int]]:
    """Return the parameters of all notices of a code."""
    return [dict(one.parameters) for one in decision.notices if one.code == code]


# Names


def _lies() -> tuple[Introduction, ...]:
    return introduction(ARI, 1, "Una"), introduction(EVE, 1, "Ari")


ARIS_NAME = record(ARI, card=Name(3, "Ari"))


@case
def a_roster_renames_no_person_who_has_a_card() -> Case:
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL),
        keys(rosters={1: roster(EVE, 1, _lies())}),
        names={ARI: "Ari"},
        silent=("renamed",),
    )


@case
def an_entry_renames_no_person_who_has_a_card() -> Case:
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL),
        keys(vouches=(entry(EVE, 1, ARI, name="Una"),)),
        names={ARI: "Ari"},
    )


@case
def a_card_beside_another_person_s_device_renames_no_person() -> Case:
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL, cards={ARI: card(EVE, n=99, name="Eve says")}),
        keys(),
        names={ARI: "Ari"},
        tells=("statement_refused",),
    )


@case
def a_card_signed_by_another_device_than_it_names_is_refused() -> Case:
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL, cards={ARI: card(ARI, n=99, name="Eve says", signer=EVE)}),
        keys(),
        names={ARI: "Ari"},
        tells=("statement_refused",),
    )


@case
def a_card_for_another_person_is_refused() -> Case:
    stated = card(EVE, n=99, name="Eve says", user_id=ARI.user_id)
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL, cards={EVE: stated}),
        keys(),
        names={ARI: "Ari"},
        tells=("statement_refused",),
    )


@case
def a_card_of_another_kind_than_the_device_is_refused() -> Case:
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL, cards={ARI: card(ARI, n=4, name="Aron", kind=DeviceKind.WEB)}),
        keys(),
        names={ARI: "Ari"},
        tells=("statement_refused",),
    )


@case
def a_person_s_own_card_renames_them_without_a_new_key() -> Case:
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL, cards={ARI: card(ARI, n=4, name="Aron")}),
        keys(),
        names={ARI: "Aron"},
        rotate=False,
        tells=("renamed", "service_name_differs"),
    )


@case
def an_older_card_shown_again_changes_no_name() -> Case:
    return update(
        state(trust=(ARIS_NAME, BO, EVE)),
        listing(*ALL, cards={ARI: card(ARI, n=2, name="Arnold")}),
        keys(),
        names={ARI: "Ari"},
        silent=("renamed",),
    )


@case
def of_two_cards_of_a_person_with_one_number_the_greatest_device_id_holds() -> Case:
    other = device("ari's other", "Ari")
    greater = max(ARI, other, key=lambda one: one.device_id)
    return update(
        state(trust=(ARI, other, EVE)),
        listing(
            UNA,
            ARI,
            other,
            EVE,
            cards={
                ARI: SealedCard(card(ARI, n=5, name="First").sealed, 1),
                other: card(other, n=5, name="Second"),
            },
        ),
        keys(),
        names={ARI: "First" if greater == ARI else "Second"},
    )


@case
def a_revoked_device_s_card_names_its_person_no_more() -> Case:
    other = device("ari's other", "Ari")
    known = state(
        trust=(ARIS_NAME, record(other, card=Name(2**31 - 1, "Thief"))),
    )
    return update(known, listing(UNA, ARI), keys(), names={ARI: "Ari"}, tells=("renamed",))


@case
def a_person_without_a_card_has_the_first_name_by_version_and_signer() -> Case:
    first = min(ARI, BO, key=lambda one: one.device_id)
    return update(
        state(trust=(ARI, BO, EVE)),
        listing(*ALL, CLEO),
        keys(
            vouches=(
                entry(ARI, 1, CLEO, name="Cleo of Ari"),
                entry(BO, 1, CLEO, name="Cleo of Bo"),
            )
        ),
        names={CLEO: "Cleo of Ari" if first == ARI else "Cleo of Bo"},
    )


@case
def an_introduced_name_is_not_changed_by_a_later_introduction() -> Case:
    return update(
        state(trust=(ARI, BO, EVE), introduced={BO.user_id: "Bo"}),
        listing(*ALL),
        keys(vouches=(entry(ARI, 1, BO, name="Beau"),)),
        names={BO: "Bo"},
    )


@case
def a_device_that_is_not_trusted_brings_no_name() -> Case:
    return update(
        state(trust=(ARI, EVE)),
        listing(UNA, ARI, EVE, GHOST),
        keys(vouches=(entry(EVE, 1, GHOST, name="Una", beside=ARI),)),
        untrusted=(GHOST,),
        claim=lambda decision: decision.state.name_of(GHOST.user_id) is None,
    )


@case
def a_name_of_mine_comes_from_no_device_that_is_not_mine() -> Case:
    return update(
        state(trust=(ARI, record(UNAS_LAPTOP, card=None))),
        listing(
            UNA, ARI, UNAS_LAPTOP, cards={UNAS_LAPTOP: card(UNAS_LAPTOP, n=9, name="Eve says")}
        ),
        keys(),
        names={UNA: "Una"},
    )


@case
def another_device_of_mine_renames_me_and_my_card_says_so() -> Case:
    return update(
        state(trust=(record(UNAS_LAPTOP),), own=own(UNAS_LAPTOP)),
        listing(
            UNA,
            UNAS_LAPTOP,
            cards={
                UNA: card(UNA, own=[UNAS_LAPTOP]),
                UNAS_LAPTOP: card(UNAS_LAPTOP, n=2, name="Unna"),
            },
        ),
        keys(),
        names={UNA: "Unna"},
        claim=lambda decision: (decision.card.n, decision.card.name) == (2, "Unna"),
    )


@case
def the_greatest_number_of_a_device_of_mine_is_not_repeated() -> Case:
    last = card(UNAS_LAPTOP, n=2**31 - 1, name="Thief")
    return update(
        state(trust=(record(UNAS_LAPTOP),), own=own(UNAS_LAPTOP)),
        listing(UNA, UNAS_LAPTOP, cards={UNAS_LAPTOP: last}),
        keys(),
        names={UNA: "Thief"},
        claim=lambda decision: (decision.card.n, decision.card.name) == (0, "Una"),
    )


@case
def a_card_without_a_name_that_others_take_is_not_made() -> Case:
    return update(
        state(trust=(ARI,), card=Name(0, "\u3164")),
        listing(UNA, ARI),
        keys(),
        claim=lambda decision: decision.card is None,
    )


@case
def a_device_that_came_by_its_package_states_the_name_that_it_brought() -> Case:
    return update(
        state(trust=(ARI,), card=None, introduced={UNA.user_id: "Una"}),
        listing(UNA, ARI),
        keys(),
        claim=lambda decision: (decision.card.n, decision.card.name) == (0, "Una"),
    )


@case
def a_device_without_a_name_makes_no_card() -> Case:
    return update(
        state(trust=(ARI,), card=None),
        listing(UNA, ARI),
        keys(),
        claim=lambda decision: decision.card is None,
    )


@case
def a_name_that_breaks_the_rules_is_not_introduced() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, GHOST, names={GHOST: "\u2800"}, proofs={GHOST: proof(GHOST, "\u2800")}),
        keys(),
        trusted=(GHOST,),
        claim=lambda decision: (
            decision.state.name_of(GHOST.user_id) is None and decision.vouch[0].name is None
        ),
    )


# Statements of a newer form


@case
def a_statement_of_a_newer_form_by_a_trusted_device_stops_the_update() -> Case:
    return update(
        state(),
        listing(UNA, ARI, BO, EVE),
        keys(vouches=(newer(EVE),), rotation_required=True),
        stops="newer_form",
    )


@case
def a_statement_of_a_newer_form_by_a_device_that_is_not_trusted_stops_nothing() -> Case:
    return update(
        state(trust=(ARI, BO)),
        listing(*ALL),
        keys(vouches=(newer(EVE),)),
        holds=True,
        tells=("statement_refused",),
    )


@case
def a_statement_of_a_newer_form_in_another_s_name_stops_nothing() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(vouches=(newer(ARI, signer=EVE),)),
        holds=True,
        tells=("statement_refused",),
    )


@case
def a_statement_of_a_newer_form_by_who_has_gone_stops_nothing() -> Case:
    return update(
        state(),
        listing(UNA, ARI, BO),
        keys(vouches=(newer(EVE),)),
        untrusted=(EVE,),
        rotate=True,
    )


@case
def a_statement_of_a_newer_form_by_whom_this_person_has_removed_stops_nothing() -> Case:
    return update(
        words.removed(state(), [EVE]),
        listing(*ALL),
        keys(vouches=(newer(EVE),)),
        rotate=True,
        recipients=(ARI, BO),
    )


@case
def a_card_of_a_newer_form_stops_the_update_too() -> Case:
    return update(
        state(),
        listing(*ALL, cards={ARI: SealedCard(newer(ARI).sealed, 1)}),
        keys(),
        stops="newer_form",
    )


# Introductions


@case
def an_entry_that_gives_a_device_to_another_person_counts_for_nothing() -> Case:
    of_una = replace(EVES_OTHER, user_id=UNA.user_id)
    return update(
        state(me=BO),
        listing(*ALL, EVES_OTHER),
        keys(vouches=(entry(EVE, 1, of_una),)),
        untrusted=(EVES_OTHER,),
        rotate=False,
    )


@case
def an_entry_with_another_key_than_the_listed_one_counts_for_nothing() -> Case:
    other_key = device("eve's other", "Eve", key="another")
    return update(
        state(me=BO),
        listing(*ALL, EVES_OTHER),
        keys(vouches=(entry(EVE, 1, other_key),)),
        untrusted=(EVES_OTHER,),
        rotate=False,
    )


@case
def an_entry_with_another_kind_than_the_listed_one_counts_for_nothing() -> Case:
    as_web = replace(CLEO, kind=DeviceKind.WEB)
    return update(
        state(),
        listing(*ALL, CLEO),
        keys(vouches=(entry(EVE, 1, as_web),)),
        untrusted=(CLEO,),
    )


@case
def an_entry_of_a_trusted_device_introduces() -> Case:
    return update(
        state(),
        listing(*ALL, CLEO, confirmed=ALL),
        keys(vouches=(entry(BO, 1, CLEO, 2),)),
        trusted=(CLEO,),
        gives=((ARI, 1), (BO, 1), (EVE, 1), (CLEO, 1)),
        vouches=(),
        tells=("device_added",),
        claim=lambda decision: decision.state.records[CLEO.device_id].by == BO.device_id,
    )


@case
def an_entry_of_a_device_that_is_not_trusted_introduces_no_device() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(*ALL, CLEO),
        keys(vouches=(entry(BO, 1, CLEO),)),
        untrusted=(CLEO, BO),
    )


@case
def an_entry_beside_another_device_introduces_no_device() -> Case:
    return update(
        state(trust=(ARI, EVE)),
        listing(*ALL, GHOST),
        keys(vouches=(entry(EVE, 1, GHOST, beside=ARI),)),
        untrusted=(GHOST,),
        tells=("statement_refused",),
    )


@case
def an_entry_in_another_s_name_is_refused() -> Case:
    # The service says that Ari has put it there.
    forged = entry(ARI, 1, GHOST, signer=EVE)
    return update(
        state(trust=(ARI,)),
        listing(*ALL, GHOST),
        keys(vouches=(forged,)),
        untrusted=(GHOST,),
        tells=("statement_refused",),
    )


@case
def a_roster_in_the_place_of_an_entry_is_refused() -> Case:
    moved = Vouch(about=GHOST.device_id, sealed=roster(EVE, 1, (*ALL, GHOST)), voucher_id=None)
    return update(
        state(),
        listing(*ALL, GHOST),
        keys(vouches=(moved,)),
        untrusted=(GHOST,),
        tells=("statement_refused",),
    )


@case
def a_roster_with_another_commitment_is_ignored() -> Case:
    stated = roster(EVE, 1, (*ALL, GHOST), commitment=bytes(32))
    return update(
        state(),
        listing(*ALL, GHOST),
        keys(rosters={1: stated}),
        untrusted=(GHOST,),
        tells=("statement_refused",),
    )


@case
def a_statement_under_another_version_s_key_is_refused() -> Case:
    return update(
        state(version=2),
        listing(*ALL, GHOST),
        keys(2, rosters={2: roster(EVE, 1, (*ALL, GHOST))}),
        untrusted=(GHOST,),
        tells=("statement_refused",),
    )


@case
def a_statement_signed_for_another_version_is_refused() -> Case:
    stated = Roster(
        by=EVE.device_id,
        commitment=commitment(2),
        made=int(NOW),
        browsers=Browsers.ACCEPTED,
        complete=True,
        introductions=(introduction(GHOST),),
    )
    return update(
        state(version=2),
        listing(*ALL, GHOST),
        keys(2, rosters={2: sealed(stated, 1, under=key(2))}),
        untrusted=(GHOST,),
        tells=("statement_refused",),
    )


@case
def a_statement_that_does_not_open_changes_no_standing_and_names_who_put_it_there() -> Case:
    rubbish = Vouch(about=GHOST.device_id, sealed=bytes(60), voucher_id=EVE.device_id)
    return update(
        state(),
        listing(*ALL, GHOST),
        keys(rosters={1: bytes(99)}, vouches=(rubbish,)),
        trusted=(ARI, BO, EVE),
        rotate=False,
        tells=("statement_refused",),
        claim=lambda decision: (
            {one["device"] for one in told(decision, "statement_refused")}
            == {"", str(EVE.device_id)}
        ),
    )


@case
def a_version_from_the_future_introduces_no_device() -> Case:
    return update(
        state(trust=(ARI, EVE)),
        listing(*ALL, GHOST),
        keys(vouches=(entry(EVE, 1, GHOST, 3),)),
        untrusted=(GHOST,),
    )


@case
def the_version_after_the_present_one_introduces() -> Case:
    return update(
        state(trust=(ARI, EVE)),
        listing(*ALL, GHOST),
        keys(vouches=(entry(EVE, 1, GHOST, 2),)),
        trusted=(GHOST,),
    )


@case
def what_a_member_introduced_for_the_next_version_ends_with_the_list() -> Case:
    known = after(
        state(trust=(ARI, EVE)),
        listing(*ALL, GHOST),
        keys(vouches=(entry(EVE, 1, GHOST, 2),)),
    )
    gone = after(known, listing(*ALL), keys())
    return update(
        gone,
        listing(*ALL, GHOST),
        keys(vouches=(entry(EVE, 1, GHOST, 2),)),
        untrusted=(GHOST,),
    )


@case
def of_several_vouchers_my_own_device_is_named() -> Case:
    words_ = (entry(ARI, 1, CLEO, 2), entry(UNAS_LAPTOP, 1, CLEO, 1))
    return update(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, UNAS_LAPTOP, CLEO),
        keys(vouches=words_),
        trusted=(CLEO,),
        claim=lambda decision: (
            decision.state.records[CLEO.device_id].by == UNAS_LAPTOP.device_id
            and decision.state.records[CLEO.device_id].since == 2
        ),
    )


@case
def of_several_vouchers_this_device_itself_is_named() -> Case:
    ended = record(CLEO, 0, observed=0)
    return update(
        state(trust=(ARI, ended)),
        listing(UNA, ARI, CLEO),
        keys(vouches=(entry(ARI, 1, CLEO, 2), entry(UNA, 1, CLEO, 1))),
        trusted=(CLEO,),
        claim=lambda decision: (
            decision.state.records[CLEO.device_id].by == UNA.device_id
            and decision.state.records[CLEO.device_id].ended == 0
        ),
    )


@case
def a_word_that_has_ended_does_not_hide_one_that_counts() -> Case:
    # My laptop's old roster names Ari, too, who has ended since and is vouched for again.
    ended = record(ARI, 1, said={EVE.device_id: 2})
    return update(
        state(version=2, trust=(ended, BO, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, BO, UNAS_LAPTOP),
        keys(
            2,
            rosters={1: roster(UNAS_LAPTOP, 1, (UNA, ARI, UNAS_LAPTOP))},
            vouches=(entry(BO, 2, ARI, 3),),
        ),
        trusted=(ARI,),
        claim=lambda decision: decision.state.records[ARI.device_id].by == BO.device_id,
    )


@case
def an_introduction_raises_since_and_keeps_the_voucher() -> Case:
    return update(
        state(trust=(ARI, record(BO, 1, by=ARI.device_id), EVE)),
        listing(*ALL),
        keys(vouches=(entry(EVE, 1, BO, 2),)),
        claim=lambda decision: (
            decision.state.records[BO.device_id].since == 2
            and decision.state.records[BO.device_id].by == ARI.device_id
        ),
    )


@case
def a_device_does_not_introduce_itself_again() -> Case:
    return update(
        state(version=2, trust=(ARI, EVE)),
        listing(*ALL),
        keys(2, rosters={2: roster(EVE, 2, (*ALL[:3], introduction(EVE, 3)))}),
        claim=lambda decision: decision.state.records[EVE.device_id].since == 1,
    )


@case
def a_device_with_the_key_of_another_one_is_not_introduced() -> Case:
    copy = device("copy of ari", "Eve", key="ari")
    ended = record(ARI, 1, observed=1)
    return update(
        state(trust=(ended, BO, EVE)),
        listing(UNA, BO, EVE, copy),
        keys(vouches=(entry(EVE, 1, copy, 2),)),
        untrusted=(copy, ARI),
    )


@case
def trust_grows_from_device_to_device_in_one_update() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(*ALL, CLEO),
        keys(vouches=(entry(BO, 1, CLEO), entry(ARI, 1, BO))),
        trusted=(ARI, BO, CLEO),
        untrusted=(EVE,),
    )


# Devices of one's own


@case
def another_member_s_entry_makes_no_device_mine() -> Case:
    return update(
        state(trust=(ARI, EVE)),
        listing(*ALL, UNAS_LAPTOP),
        keys(vouches=(entry(EVE, 1, UNAS_LAPTOP),)),
        untrusted=(UNAS_LAPTOP,),
        own=(),
        tells=("own_unknown",),
    )


@case
def another_member_s_card_makes_no_device_mine() -> Case:
    stated = card(EVE, own=[replace(UNAS_LAPTOP, user_id=EVE.user_id)])
    return update(
        state(trust=(ARI, EVE)),
        listing(*ALL, UNAS_LAPTOP, cards={EVE: stated}),
        keys(),
        untrusted=(UNAS_LAPTOP,),
        own=(),
    )


@case
def a_card_of_a_device_of_mine_makes_another_one_mine() -> Case:
    return update(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(
            *ALL,
            UNAS_LAPTOP,
            UNAS_TABLET,
            cards={UNAS_LAPTOP: card(UNAS_LAPTOP, own=[UNAS_TABLET])},
        ),
        keys(),
        trusted=(UNAS_TABLET,),
        own=(UNAS_LAPTOP, UNAS_TABLET),
        silent=("own_unknown",),
    )


@case
def an_entry_of_a_device_of_mine_makes_no_device_mine() -> Case:
    return update(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(*ALL, UNAS_LAPTOP, UNAS_TABLET),
        keys(vouches=(entry(UNAS_LAPTOP, 1, UNAS_TABLET),)),
        untrusted=(UNAS_TABLET,),
        own=(UNAS_LAPTOP,),
    )


@case
def a_card_of_a_trusted_device_that_is_not_mine_makes_none_mine() -> Case:
    # It is listed as mine and was compared as such by an older client.
    return update(
        state(trust=(ARI, UNAS_LAPTOP)),
        listing(
            *ALL,
            UNAS_LAPTOP,
            UNAS_TABLET,
            cards={UNAS_LAPTOP: card(UNAS_LAPTOP, own=[UNAS_TABLET])},
        ),
        keys(),
        untrusted=(UNAS_TABLET,),
        own=(),
    )


@case
def a_card_of_others_introduces_no_device() -> Case:
    other = device("ari's other", "Ari")
    return update(
        state(),
        listing(*ALL, other, cards={ARI: card(ARI, own=[other])}),
        keys(),
        untrusted=(other,),
    )


@case
def a_device_of_mine_from_another_group_is_trusted_here() -> Case:
    return update(
        state(trust=(ARI,), own=own(UNAS_LAPTOP, group=OTHER_GROUP)),
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
        trusted=(UNAS_LAPTOP,),
        claim=lambda decision: (
            decision.state.own[UNAS_LAPTOP.device_id].groups == {GROUP, OTHER_GROUP}
        ),
    )


@case
def a_device_of_mine_that_ended_here_does_not_come_back_by_itself() -> Case:
    ended = record(UNAS_LAPTOP, 1, source=Source.OWN, by=None, observed=1)
    return update(
        state(trust=(ARI, ended), own=own(UNAS_LAPTOP, group=OTHER_GROUP)),
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
        untrusted=(UNAS_LAPTOP,),
    )


@case
def a_device_of_mine_that_was_called_gone_before_it_was_met_is_not_trusted_by_itself() -> Case:
    return update(
        state(
            trust=(ARI,),
            own=own(UNAS_LAPTOP, group=OTHER_GROUP),
            unknown_gone={UNAS_LAPTOP.device_id: {ARI.device_id: 1}},
        ),
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
        untrusted=(UNAS_LAPTOP,),
    )


@case
def a_device_that_no_group_lists_is_mine_no_more() -> Case:
    return update(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI),
        keys(),
        untrusted=(UNAS_LAPTOP,),
        own=(),
        tells=("trust_ended",),
    )


@case
def a_device_that_another_group_lists_stays_mine() -> Case:
    return update(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP, group=OTHER_GROUP)),
        listing(UNA, ARI),
        keys(),
        untrusted=(UNAS_LAPTOP,),
        own=(UNAS_LAPTOP,),
    )


@case
def a_device_listed_as_mine_with_another_key_is_not_mine() -> Case:
    other_key = device("una's laptop", "Una", key="another")
    return update(
        state(trust=(ARI,), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, other_key),
        keys(),
        untrusted=(UNAS_LAPTOP,),
        own=(),
    )


@case
def a_device_of_mine_that_the_service_gives_to_another_person_is_not_mine() -> Case:
    of_eve = replace(UNAS_LAPTOP, user_id=EVE.user_id)
    return update(
        state(trust=(ARI,), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, of_eve),
        keys(),
        untrusted=(UNAS_LAPTOP,),
        own=(),
    )


@case
def a_trusted_device_that_is_listed_as_mine_and_is_not_is_told() -> Case:
    return update(
        state(trust=(ARI, UNAS_TABLET)),
        listing(UNA, ARI, UNAS_TABLET),
        keys(),
        trusted=(ARI, UNAS_TABLET),
        own=(),
        tells=("own_unknown",),
    )


@case
def a_new_device_of_mine_is_told_on_the_next_day() -> Case:
    known = after(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
    )
    return update(
        known,
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
        now=NOW + 86_400,
        tells=("new_own_device",),
    )


@case
def a_device_of_mine_is_told_for_a_week() -> Case:
    known = after(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
    )
    return update(
        known,
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
        now=NOW + 8 * 86_400,
        silent=("new_own_device",),
    )


# Links and departures


def _ghost_by_link(**changes: Any) -> Listing:
    return listing(*ALL, GHOST, proofs={GHOST: proof(GHOST)}, confirmed=ALL, **changes)


@case
def a_device_that_proves_a_link_is_a_root_and_is_vouched_for() -> Case:
    return update(
        state(links=(link(),)),
        _ghost_by_link(),
        keys(),
        trusted=(GHOST,),
        vouches=(GHOST,),
        names={GHOST: "Ghost"},
        tells=("joined",),
        claim=lambda decision: (
            decision.state.links[0].used_by == GHOST.device_id
            and decision.state.records[GHOST.device_id].source is Source.PROOF
        ),
    )


@case
def a_proof_for_another_name_proves_nothing() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, GHOST, proofs={GHOST: proof(GHOST, "Another")}, used=[link().id]),
        keys(),
        untrusted=(GHOST,),
        tells=("link_used_unproved",),
    )


@case
def a_link_that_no_device_has_used_is_not_told() -> Case:
    return update(
        state(links=(link(),)), listing(*ALL), keys(), silent=("link_used_unproved", "link_closed")
    )


@case
def a_proof_for_another_link_proves_nothing() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, GHOST, proofs={GHOST: proof(GHOST, link="another")}),
        keys(),
        untrusted=(GHOST,),
    )


@case
def a_link_that_is_over_proves_nothing() -> Case:
    return update(
        state(links=(link(expires_at=NOW),)), _ghost_by_link(), keys(), untrusted=(GHOST,)
    )


@case
def a_device_with_another_key_than_it_is_known_by_proves_no_link() -> Case:
    ended = replace(record(GHOST, 1, observed=1), device=device("ghost", "Ghost", key="another"))
    return update(
        state(trust=(ARI, BO, EVE, ended), links=(link(),)),
        _ghost_by_link(),
        keys(),
        untrusted=(GHOST,),
        tells=("key_changed",),
        claim=lambda decision: decision.state.links[0].open,
    )


@case
def a_device_that_proves_a_link_for_me_is_mine() -> Case:
    return update(
        state(links=(link(for_me=True),)),
        listing(*ALL, UNAS_LAPTOP, proofs={UNAS_LAPTOP: proof(UNAS_LAPTOP, "me")}),
        keys(),
        trusted=(UNAS_LAPTOP,),
        own=(UNAS_LAPTOP,),
    )


@case
def a_link_for_me_admits_no_other_person() -> Case:
    return update(
        state(links=(link(for_me=True),)),
        listing(*ALL, GHOST, proofs={GHOST: proof(GHOST, "me")}),
        keys(),
        untrusted=(GHOST,),
        own=(),
    )


@case
def a_link_for_others_admits_no_device_of_mine() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, UNAS_LAPTOP, proofs={UNAS_LAPTOP: proof(UNAS_LAPTOP)}),
        keys(),
        untrusted=(UNAS_LAPTOP,),
        own=(),
    )


@case
def two_devices_that_prove_one_link_are_both_not_trusted_and_the_link_is_closed() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, GHOST, CLEO, proofs={GHOST: proof(GHOST), CLEO: proof(CLEO)}),
        keys(),
        untrusted=(GHOST, CLEO),
        tells=("link_used_twice",),
        claim=lambda decision: decision.state.links[0].closed,
    )


@case
def a_closed_link_admits_no_device() -> Case:
    return update(state(links=(link(closed=True),)), _ghost_by_link(), keys(), untrusted=(GHOST,))


@case
def a_second_device_that_proves_a_used_link_is_told_and_not_trusted() -> Case:
    return update(
        state(trust=(ARI, BO, EVE, CLEO), links=(link(used_by=CLEO.device_id),)),
        listing(*ALL, CLEO, GHOST, proofs={GHOST: proof(GHOST), CLEO: proof(CLEO)}),
        keys(),
        untrusted=(GHOST,),
        tells=("link_used_twice",),
    )


@case
def the_device_that_used_a_link_may_go_on_proving_it() -> Case:
    return update(
        state(trust=(ARI, BO, EVE, CLEO), links=(link(used_by=CLEO.device_id),)),
        listing(*ALL, CLEO, proofs={CLEO: proof(CLEO)}),
        keys(),
        silent=("link_used_twice", "joined"),
    )


@case
def a_link_made_after_a_removal_brings_the_device_back() -> Case:
    ended = record(CLEO, 1, observed=1, removed=True)
    return update(
        state(trust=(ARI, ended), links=(link(),)),
        listing(UNA, ARI, CLEO, proofs={CLEO: proof(CLEO)}),
        keys(),
        trusted=(CLEO,),
        claim=lambda decision: (
            decision.state.records[CLEO.device_id].since == 2
            and decision.state.records[CLEO.device_id].ended == 1
        ),
    )


@case
def a_departure_closes_links_before_a_joiner_is_recognised() -> Case:
    return update(
        state(links=(link(),)),
        listing(UNA, ARI, BO, GHOST, proofs={GHOST: proof(GHOST)}),
        keys(),
        untrusted=(GHOST, EVE),
        rotate=True,
        recipients=(ARI, BO),
        tells=("trust_ended", "link_closed"),
    )


@case
def a_departure_that_a_roster_of_the_same_update_states_closes_links() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, GHOST, proofs={GHOST: proof(GHOST)}),
        keys(
            2,
            rosters={2: roster(BO, 2, (UNA, ARI, BO), gone=[(EVE, 1)])},
            envelopes=(envelope(2, BO),),
        ),
        holds=True,
        untrusted=(EVE, GHOST),
        claim=lambda decision: not decision.state.links,
    )


@case
def a_key_that_is_due_closes_links() -> Case:
    return update(
        state(links=(link(),)),
        _ghost_by_link(),
        keys(rotation_required=True),
        untrusted=(GHOST,),
        rotate=True,
    )


@case
def the_departure_of_a_device_that_was_never_trusted_closes_no_link() -> Case:
    known = after(state(links=(link(),)), listing(*ALL, CLEO), keys())
    return update(
        known,
        _ghost_by_link(),
        keys(),
        trusted=(GHOST,),
        rotate=False,
        silent=("link_closed", "trust_ended"),
    )


@case
def an_unknown_device_that_had_gone_before_a_link_was_made_does_not_close_it() -> Case:
    stated = roster(BO, 2, ALL, gone=[(XEN, 1)])
    return update(
        state(version=2, links=(link(version=2),)),
        _ghost_by_link(),
        keys(2, rosters={2: stated}),
        trusted=(GHOST,),
    )


@case
def an_unknown_device_that_may_have_met_a_link_closes_it() -> Case:
    stated = roster(BO, 2, ALL, gone=[(XEN, 2)])
    return update(
        state(version=2, links=(link(version=2),)),
        _ghost_by_link(),
        keys(2, rosters={2: stated}),
        untrusted=(GHOST,),
        tells=("link_closed",),
    )


@case
def of_several_unknown_devices_that_have_gone_the_latest_closes_links() -> Case:
    stated = roster(BO, 2, ALL, gone=[(XEN, 2), (CLEO, 1)])
    return update(
        state(version=2, links=(link(version=2),)),
        _ghost_by_link(),
        keys(2, rosters={2: stated}),
        untrusted=(GHOST,),
    )


@case
def a_used_link_survives_a_departure() -> Case:
    return update(
        state(links=(link(used_by=ARI.device_id),)),
        listing(UNA, ARI, BO),
        keys(),
        claim=lambda decision: len(decision.state.links) == 1,
        silent=("link_closed",),
    )


@case
def a_device_that_was_confirmed_while_the_list_was_fetched_has_not_gone() -> Case:
    return update(
        state(trust=(ARI, BO, CLEO)),
        listing(UNA, ARI, BO),
        keys(),
        seen=(ARI, BO),
        rotate=False,
        silent=("trust_ended",),
        claim=lambda decision: decision.state.records[CLEO.device_id].trusted,
    )


# Ends


@case
def a_device_that_is_listed_no_more_ends_and_a_new_key_is_due() -> Case:
    return update(
        state(version=2, attempted=3),
        listing(UNA, ARI, BO),
        keys(2),
        untrusted=(EVE,),
        rotate=True,
        compromised=3,
        recipients=(ARI, BO),
        gives=(),
        tells=("trust_ended",),
        claim=lambda decision: decision.state.records[EVE.device_id].ended == 3,
    )


@case
def a_device_that_is_listed_with_another_key_ends_for_good() -> Case:
    other_key = device("ari", "Ari", key="another")
    return update(
        state(),
        listing(UNA, other_key, BO, EVE),
        keys(vouches=(entry(EVE, 1, other_key, 2),)),
        untrusted=(ARI,),
        rotate=True,
        recipients=(BO, EVE),
        tells=("key_changed", "trust_ended"),
    )


@case
def a_device_that_is_listed_with_another_kind_ends() -> Case:
    return update(
        state(),
        listing(UNA, replace(ARI, kind=DeviceKind.WEB), BO, EVE),
        keys(),
        untrusted=(ARI,),
        rotate=True,
        tells=("key_changed",),
    )


@case
def a_device_that_is_listed_with_another_owner_ends() -> Case:
    return update(
        state(),
        listing(UNA, replace(ARI, user_id=EVE.user_id), BO, EVE),
        keys(),
        untrusted=(ARI,),
        rotate=True,
        tells=("key_changed",),
    )


@case
def a_device_that_the_service_lists_again_does_not_come_back() -> Case:
    known = after(state(), listing(UNA, ARI, BO), keys())
    return update(
        known,
        listing(*ALL),
        keys(
            2,
            rosters={2: roster(ARI, 2, ALL)},
            envelopes=(envelope(2, ARI),),
        ),
        holds=True,
        untrusted=(EVE,),
        rotate=True,
        compromised=2,
        recipients=(ARI, BO),
    )


@case
def a_device_that_left_comes_back_by_a_member_s_later_word() -> Case:
    known = after(state(), listing(UNA, ARI, BO), keys())
    return update(
        known,
        listing(*ALL),
        keys(vouches=(entry(ARI, 1, EVE, 2),)),
        trusted=(EVE,),
        tells=("device_added",),
    )


@case
def what_this_person_removed_comes_back_by_no_member_s_word() -> Case:
    ended = record(EVE, 1, observed=1, removed=True)
    return update(
        state(trust=(ARI, BO, ended)),
        listing(*ALL, confirmed=(UNA, ARI, BO)),
        keys(vouches=(entry(ARI, 1, EVE, 2),)),
        untrusted=(EVE,),
        recipients=(ARI, BO),
        silent=("waiting",),
    )


@case
def a_ghost_that_was_vouched_for_by_who_goes_in_the_same_update_is_not_trusted() -> Case:
    # The entry of Eve is under the present version, and Bo's next one says that Eve has gone.
    return update(
        state(),
        listing(*ALL, GHOST),
        keys(
            2,
            rosters={
                1: roster(EVE, 1, (*ALL, GHOST)),
                2: roster(BO, 2, (UNA, ARI, BO), gone=[(EVE, 1)]),
            },
            envelopes=(envelope(2, BO),),
        ),
        holds=True,
        untrusted=(EVE, GHOST),
        recipients=(ARI, BO),
        tells=("trust_ended",),
        claim=lambda decision: told(decision, "trust_ended")[0]["by"] == str(BO.device_id),
    )


@case
def a_key_that_who_goes_in_the_same_update_has_wrapped_is_not_taken() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(
            3,
            rosters={3: roster(BO, 3, (UNA, ARI, BO), gone=[(EVE, 2)])},
            envelopes=(envelope(2, EVE), envelope(3, BO)),
        ),
        holds=True,
        untrusted=(EVE,),
        claim=lambda decision: sorted(decision.state.held) == [1, 3],
    )


@case
def a_member_s_word_that_another_has_gone_ends_and_names_the_author() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(
            2,
            rosters={2: roster(EVE, 2, (UNA, BO, EVE), gone=[(ARI, 2)])},
            envelopes=(envelope(2, EVE),),
        ),
        holds=True,
        untrusted=(ARI,),
        compromised=1,
        rotate=False,
        tells=("trust_ended",),
        claim=lambda decision: (
            told(decision, "trust_ended")
            == [{"device": str(ARI.device_id), "why": "said", "by": str(EVE.device_id), "ended": 2}]
        ),
    )


@case
def one_member_s_later_word_brings_back_whom_another_called_gone() -> Case:
    ban = roster(EVE, 2, (UNA, BO, EVE), gone=[(ARI, 2)])
    known = after(state(), listing(*ALL), keys(2, rosters={2: ban}, envelopes=(envelope(2, EVE),)))
    return update(
        known,
        listing(*ALL),
        keys(2, rosters={2: ban}, vouches=(entry(BO, 2, ARI, 3),)),
        trusted=(ARI,),
        rotate=False,
        claim=lambda decision: decision.state.records[ARI.device_id].said == {EVE.device_id: 2},
    )


@case
def another_member_cannot_say_that_my_devices_have_gone() -> Case:
    stated = roster(EVE, 2, (EVE,), gone=[(UNAS_LAPTOP, 2), (UNA, 2), (EVE, 2)])
    return update(
        state(trust=(ARI, EVE, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, EVE, UNAS_LAPTOP),
        keys(2, rosters={2: stated}, envelopes=(envelope(2, EVE),)),
        holds=True,
        trusted=(UNAS_LAPTOP, EVE),
        silent=("trust_ended",),
    )


@case
def my_own_device_can_say_that_another_one_of_mine_has_gone() -> Case:
    stated = roster(UNAS_LAPTOP, 2, (UNA, ARI, UNAS_LAPTOP), gone=[(UNAS_TABLET, 1)])
    return update(
        state(trust=(ARI, UNAS_LAPTOP, UNAS_TABLET), own=own(UNAS_LAPTOP, UNAS_TABLET)),
        listing(UNA, ARI, UNAS_LAPTOP, UNAS_TABLET),
        keys(2, rosters={2: stated}, envelopes=(envelope(2, UNAS_LAPTOP),)),
        untrusted=(UNAS_TABLET,),
    )


@case
def an_end_beyond_the_version_is_none() -> Case:
    stated = roster(EVE, 2, ALL, gone=[(ARI, 3)])
    return update(
        state(),
        listing(*ALL),
        keys(2, rosters={2: stated}, envelopes=(envelope(2, EVE),)),
        trusted=(ARI,),
    )


@case
def an_end_before_the_device_was_introduced_is_none() -> Case:
    stated = roster(EVE, 2, ALL, gone=[(ARI, 1)])
    return update(
        state(version=2, trust=(record(ARI, 2), BO, EVE)),
        listing(*ALL),
        keys(2, rosters={2: stated}),
        trusted=(ARI,),
    )


@case
def an_end_at_the_version_of_the_introduction_counts() -> Case:
    stated = roster(EVE, 2, (UNA, BO, EVE), gone=[(ARI, 2)])
    return update(
        state(version=2, trust=(record(ARI, 2), BO, EVE)),
        listing(*ALL),
        keys(2, rosters={2: stated}),
        untrusted=(ARI,),
    )


@case
def being_left_out_of_a_roster_ends_nothing() -> Case:
    return update(
        state(),
        listing(*ALL, confirmed=(UNA, BO)),
        keys(2, rosters={2: roster(BO, 2, (UNA, BO))}, envelopes=(envelope(2, BO),)),
        holds=True,
        trusted=(ARI, EVE),
        gives=((ARI, 2), (BO, 2), (EVE, 2)),
    )


@case
def being_left_out_of_a_roster_that_is_not_complete_ends() -> Case:
    stated = roster(BO, 2, (UNA, BO), complete=False)
    return update(
        state(),
        listing(*ALL),
        keys(2, rosters={2: stated}, envelopes=(envelope(2, BO),)),
        holds=True,
        untrusted=(ARI, EVE),
        recipients=(BO,),
        claim=lambda decision: decision.state.records[ARI.device_id].ended == 1,
    )


@case
def what_a_roster_that_is_not_complete_says_to_have_gone_ends_by_its_number() -> Case:
    stated = roster(BO, 2, (UNA, BO), gone=[(ARI, 2)], complete=False)
    return update(
        state(),
        listing(*ALL),
        keys(2, rosters={2: stated}, envelopes=(envelope(2, BO),)),
        untrusted=(ARI, EVE),
        claim=lambda decision: decision.state.records[ARI.device_id].ended == 2,
    )


@case
def a_roster_that_is_not_complete_ends_no_device_of_that_very_version() -> Case:
    stated = roster(BO, 2, (UNA, BO), complete=False)
    return update(
        state(version=2, trust=(record(ARI, 2), BO)),
        listing(UNA, ARI, BO),
        keys(2, rosters={2: stated}),
        trusted=(ARI,),
    )


@case
def a_device_that_was_called_gone_before_it_was_met_is_not_trusted() -> Case:
    known = after(
        state(trust=(ARI, BO)),
        listing(UNA, ARI, BO),
        keys(
            2,
            rosters={2: roster(BO, 2, (UNA, ARI, BO), gone=[(GHOST, 2)])},
            envelopes=(envelope(2, BO),),
        ),
    )
    return update(
        known,
        listing(UNA, ARI, BO, GHOST),
        keys(2, vouches=(entry(ARI, 2, GHOST, 2),)),
        untrusted=(GHOST,),
        recipients=(ARI, BO),
    )


@case
def whom_a_member_called_gone_before_is_trusted_by_a_later_word() -> Case:
    known = state(version=2, trust=(ARI, BO), unknown_gone={GHOST.device_id: {BO.device_id: 1}})
    return update(
        known,
        listing(UNA, ARI, BO, GHOST),
        keys(2, vouches=(entry(ARI, 2, GHOST, 2),)),
        trusted=(GHOST,),
        claim=lambda decision: (
            not decision.state.unknown_gone
            and decision.state.records[GHOST.device_id].said == {BO.device_id: 1}
        ),
    )


@case
def of_an_unknown_device_the_greatest_end_that_was_stated_counts() -> Case:
    said = {ARI.device_id: 1, BO.device_id: 2}
    return update(
        state(version=2, trust=(ARI, BO), unknown_gone={GHOST.device_id: said}),
        listing(UNA, ARI, BO, GHOST),
        keys(2, vouches=(entry(ARI, 2, GHOST, 2),)),
        untrusted=(GHOST,),
    )


@case
def of_unknown_devices_that_have_gone_the_newest_256_are_kept_and_those_my_devices_name() -> Case:
    many = {uuid(f"unknown {n}"): {EVE.device_id: 2} for n in range(256)}
    mine = {uuid("named by mine"): {UNA.device_id: 0}}
    newer = {uuid("newer"): {EVE.device_id: 3}}
    return update(
        state(version=3, unknown_gone=many | mine | newer),
        listing(*ALL),
        keys(3),
        claim=lambda decision: (
            len(decision.state.unknown_gone) == 256 + 1
            and {*mine, *newer} < {*decision.state.unknown_gone}
        ),
    )


@case
def made_up_devices_beside_those_that_i_have_named_close_a_link_once() -> Case:
    first, later = (
        [(device(f"made up {version} {n}", "Ghost"), version) for n in range(200)]
        for version in (1, 3)
    )
    service = keys(3, rosters={2: roster(UNA, 2, gone=first), 3: roster(EVE, 3, gone=later)})
    met = after(state(version=3), listing(*ALL), service)
    return update(
        replace(met, links=(link(version=3),)),
        listing(*ALL),
        service,
        silent=("link_closed",),
        claim=lambda decision: len(decision.state.links) == 1,
    )


@case
def two_members_who_call_each_other_gone_have_both_gone() -> Case:
    return update(
        state(version=2),
        listing(*ALL),
        keys(
            2,
            rosters={
                1: roster(EVE, 1, ALL, gone=[(BO, 1)]),
                2: roster(BO, 2, ALL, gone=[(EVE, 1)]),
            },
        ),
        untrusted=(EVE, BO),
        trusted=(ARI,),
    )


# Keys


@case
def a_service_that_goes_back_is_stopped() -> Case:
    return update(state(version=3), listing(*ALL), keys(2), stops="version_went_back")


@case
def a_list_without_this_device_is_stopped() -> Case:
    return update(state(), listing(ARI, BO), keys(), stops="not_listed")


@case
def a_list_with_this_device_as_another_person_s_is_stopped() -> Case:
    return update(
        state(), listing(replace(UNA, user_id=EVE.user_id), ARI), keys(), stops="not_listed"
    )


@case
def a_list_with_another_key_for_this_device_is_stopped() -> Case:
    return update(
        state(), listing(device("una", "Una", key="another"), ARI), keys(), stops="not_listed"
    )


@case
def a_key_in_an_envelope_of_a_trusted_device_is_taken() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(2, envelopes=(envelope(2, BO),)),
        holds=True,
        claim=lambda decision: (
            decision.state.held[2].first_held == NOW and decision.state.highest == 2
        ),
    )


@case
def a_key_in_an_envelope_of_one_s_own_is_taken() -> Case:
    return update(state(), listing(*ALL), keys(2, envelopes=(envelope(2, UNA),)), holds=True)


@case
def an_envelope_of_a_stranger_blocks_no_other_one() -> Case:
    rubbish = envelope(2, EVE, of=key(2, other="rubbish"))
    return update(
        state(me=UNA, trust=(ARI,)),
        listing(*ALL),
        keys(2, envelopes=(rubbish, envelope(2, ARI))),
        holds=True,
    )


@case
def an_envelope_of_a_stranger_is_not_opened() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(*ALL),
        keys(2, envelopes=(envelope(2, EVE),)),
        holds=False,
        rotate=False,
        gives=(),
        recipients=(ARI,),
        tells=("waiting_for",),
        claim=lambda decision: told(decision, "waiting_for") == [{"wrapper": str(EVE.device_id)}],
    )


@case
def an_envelope_with_another_key_than_the_committed_one_is_refused_and_told() -> Case:
    rubbish = envelope(2, EVE, of=key(2, other="rubbish"))
    return update(
        state(),
        listing(*ALL),
        keys(2, envelopes=(rubbish,)),
        holds=False,
        tells=("envelope_refused", "waiting_for"),
        claim=lambda decision: told(decision, "waiting_for") == [{"left_out": 1}],
    )


@case
def an_envelope_that_does_not_open_is_refused() -> Case:
    stranger = replace(envelope(2, BO), wrapped=bytes(72))
    return update(
        state(),
        listing(*ALL),
        keys(2, envelopes=(stranger,)),
        holds=False,
        tells=("envelope_refused",),
    )


@case
def of_several_envelopes_the_one_that_opens_is_taken() -> Case:
    rubbish = envelope(2, EVE, of=key(2, other="rubbish"))
    return update(
        state(),
        listing(*ALL),
        keys(2, envelopes=(rubbish, envelope(2, BO))),
        holds=True,
        silent=("envelope_refused",),
    )


@case
def an_old_key_as_a_new_version_is_refused() -> Case:
    again = {1: commitment(1), 2: commitment(2, of=key(1))}
    return update(
        state(),
        listing(*ALL),
        keys(2, commitments=again, envelopes=(envelope(2, ARI, of=key(1)),)),
        holds=False,
        tells=("envelope_refused",),
        claim=lambda decision: decision.state.highest == 1,
    )


@case
def a_key_of_another_group_is_refused() -> Case:
    return update(
        state(elsewhere=frozenset({key(2)})),
        listing(*ALL),
        keys(2, envelopes=(envelope(2, ARI),)),
        holds=False,
        tells=("envelope_refused",),
    )


@case
def a_device_that_waits_for_its_key_makes_no_statement() -> Case:
    return update(
        state(trust=(record(ARI, source=Source.SAFETY, by=None),)),
        listing(UNA, ARI),
        keys(2),
        gives=(),
        vouches=(),
        claim=lambda decision: decision.card is None and decision.greet == (),
    )


@case
def a_version_beyond_the_present_one_is_not_taken() -> Case:
    return update(
        state(),
        listing(*ALL),
        replace(keys(2, envelopes=(envelope(2, ARI),)), version=1),
        claim=lambda decision: decision.state.highest == 1,
    )


@case
def a_former_version_is_taken_for_reading_only() -> Case:
    known = state(version=2)
    return update(
        replace(known, held={2: known.held[2]}),
        listing(*ALL),
        keys(2, envelopes=(envelope(1, BO),)),
        holds=True,
        claim=lambda decision: decision.state.highest == 2 and 1 in decision.state.held,
    )


@case
def a_version_that_is_shown_with_two_commitments_is_not_taken() -> Case:
    service = keys(2, envelopes=(envelope(2, ARI),))
    other = replace(service.versions[1], commitment=commitment(2, of=key(9)))
    return update(
        state(),
        listing(*ALL),
        replace(service, versions=(*service.versions, other)),
        holds=False,
    )


@case
def another_commitment_of_a_version_that_is_held_is_told() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(commitments={1: commitment(1, of=key(9))}),
        tells=("keys_differ",),
    )


@case
def a_device_without_a_key_waits_for_a_member() -> Case:
    return update(
        state(version=0, trust=(BO,)),
        listing(*ALL),
        keys(2),
        holds=False,
        claim=lambda decision: told(decision, "waiting_for") == [{"left_out": 0}],
    )


@case
def one_update_takes_a_key_whose_wrapper_a_member_vouches_for_in_it() -> Case:
    return update(
        state(trust=(BO,)),
        listing(UNA, BO, CLEO),
        keys(
            2,
            rosters={1: roster(BO, 1, (UNA, BO, CLEO))},
            envelopes=(envelope(2, CLEO),),
        ),
        holds=True,
        trusted=(CLEO,),
    )


@case
def a_group_without_a_key_asks_for_nothing() -> Case:
    return update(
        state(version=0, trust=()), listing(UNA), keys(0), holds=False, silent=("waiting_for",)
    )


# What is due


@case
def a_version_that_names_a_device_that_has_gone_is_compromised() -> Case:
    return update(
        state(trust=(ARI, BO)),
        listing(UNA, ARI, BO),
        keys(
            2,
            rosters={2: roster(BO, 2, (UNA, ARI, BO, XEN))},
            envelopes=(envelope(2, BO),),
        ),
        rotate=True,
        compromised=2,
        tells=("version_names_gone",),
    )


@case
def an_entry_about_a_device_that_has_gone_makes_its_version_compromised() -> Case:
    return update(
        state(trust=(ARI, BO)),
        listing(UNA, ARI, BO),
        keys(vouches=(entry(BO, 1, XEN),)),
        rotate=True,
        compromised=1,
    )


@case
def a_lie_about_the_key_of_a_device_that_has_ended_makes_no_version_compromised() -> Case:
    other_key = device("bo", "Bo", key="another")
    return update(
        state(trust=(ARI, record(BO, 1, observed=1), EVE)),
        listing(*ALL),
        keys(vouches=(entry(EVE, 1, other_key),)),
        rotate=False,
        compromised=0,
    )


@case
def a_version_that_names_a_device_which_is_trusted_again_is_not_compromised() -> Case:
    return update(
        state(version=2, trust=(record(ARI, 3, said={EVE.device_id: 2}), BO)),
        listing(UNA, ARI, BO),
        keys(2, rosters={2: roster(BO, 2, (UNA, ARI, BO))}),
        trusted=(ARI,),
        rotate=False,
    )


@case
def whom_another_member_confirms_after_i_have_removed_them_causes_no_key_and_is_told() -> Case:
    # Else both would make keys without end.
    ended = record(EVE, 1, observed=1, removed=True)
    return update(
        state(version=2, trust=(ARI, ended)),
        listing(UNA, ARI, EVE),
        keys(2, vouches=(entry(ARI, 2, EVE, 3),)),
        untrusted=(EVE,),
        rotate=False,
        recipients=(ARI,),
        tells=("unconfirmed_device",),
    )


@case
def a_card_that_names_a_device_which_has_gone_makes_no_version_compromised() -> Case:
    other = device("ari's other", "Ari")
    return update(state(), listing(*ALL, cards={ARI: card(ARI, own=[other])}), keys(), rotate=False)


@case
def a_former_version_that_names_a_device_that_has_gone_needs_no_new_key() -> Case:
    return update(
        state(version=2, trust=(ARI, BO)),
        listing(UNA, ARI, BO),
        keys(2, rosters={1: roster(BO, 1, (UNA, ARI, BO, XEN))}),
        rotate=False,
        compromised=0,
    )


@case
def a_roster_of_a_device_that_is_not_trusted_makes_no_version_compromised() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(UNA, ARI, BO),
        keys(rosters={1: roster(BO, 1, (UNA, ARI, BO, XEN))}),
        rotate=False,
        compromised=0,
    )


@case
def the_departure_of_a_pending_device_needs_no_new_key() -> Case:
    known = after(state(links=(link(),)), listing(*ALL, CLEO, confirmed=ALL), keys())
    return update(
        known,
        listing(*ALL),
        keys(),
        rotate=False,
        compromised=0,
        claim=lambda decision: len(decision.state.links) == 1,
    )


@case
def a_new_key_that_the_service_asks_for_is_made() -> Case:
    return update(
        state(), listing(*ALL), keys(rotation_required=True), rotate=True, gives=(), vouches=()
    )


@case
def a_device_without_the_present_key_makes_none() -> Case:
    return update(
        state(trust=(ARI, BO)),
        listing(UNA, ARI, BO),
        keys(2, rotation_required=True),
        rotate=False,
        holds=False,
    )


@case
def a_device_that_knew_a_key_which_this_device_tried_to_make_makes_it_compromised() -> Case:
    known = after(words.attempted(state(), 2), listing(UNA, ARI, BO), keys())
    return update(
        known,
        listing(UNA, ARI, BO),
        keys(2, envelopes=(envelope(2, UNA),)),
        rotate=True,
        compromised=2,
    )


@case
def a_card_of_the_version_is_an_acknowledgement() -> Case:
    return update(
        state(),
        listing(*ALL, cards={ARI: card(ARI)}),
        keys(),
        gives=((BO, 1), (EVE, 1)),
    )


@case
def a_card_of_a_former_version_is_no_acknowledgement() -> Case:
    return update(
        state(version=2),
        listing(*ALL, cards={ARI: card(ARI, 1)}),
        keys(2),
        gives=((ARI, 2), (BO, 2), (EVE, 2)),
    )


@case
def what_the_service_calls_a_card_is_no_acknowledgement() -> Case:
    return update(
        state(),
        listing(*ALL, cards={ARI: SealedCard(bytes(80), 1)}),
        keys(),
        gives=((ARI, 1), (BO, 1), (EVE, 1)),
    )


@case
def a_key_is_given_once() -> Case:
    return update(
        state(gave=frozenset({(ARI.device_id, 1), (BO.device_id, 1)})),
        listing(*ALL),
        keys(),
        gives=((EVE, 1),),
    )


@case
def a_device_of_mine_is_given_the_former_versions_from_before_it_came() -> Case:
    known = state(version=3, trust=(record(UNAS_LAPTOP, 3), record(ARI, 3)), own=own(UNAS_LAPTOP))
    return update(
        known,
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(3),
        gives=((ARI, 3), (UNAS_LAPTOP, 3), (UNAS_LAPTOP, 1), (UNAS_LAPTOP, 2)),
        claim=lambda decision: (
            {one.until for one in decision.give if one.version == 1} == {int(NOW) - 3600}
        ),
    )


@case
def a_root_that_the_version_s_roster_names_is_not_vouched_for() -> Case:
    return update(
        state(trust=(record(ARI, source=Source.SAFETY, by=None), BO)),
        listing(UNA, ARI, BO),
        keys(rosters={1: roster(BO, 1, (UNA, ARI, BO))}),
        vouches=(),
    )


@case
def a_root_is_vouched_for_where_only_its_own_roster_names_it() -> Case:
    return update(
        state(trust=(record(ARI, source=Source.SAFETY, by=None), BO)),
        listing(UNA, ARI, BO),
        keys(rosters={1: roster(ARI, 1, (UNA, ARI, BO))}),
        vouches=(ARI,),
    )


@case
def a_root_is_vouched_for_where_only_a_former_roster_names_it() -> Case:
    return update(
        state(version=2, trust=(record(ARI, source=Source.SAFETY, by=None), BO)),
        listing(UNA, ARI, BO),
        keys(2, rosters={1: roster(BO, 1, (UNA, ARI, BO))}),
        vouches=(ARI,),
    )


@case
def another_member_s_entry_does_not_stand_for_mine() -> Case:
    return update(
        state(trust=(record(ARI, source=Source.SAFETY, by=None), BO)),
        listing(UNA, ARI, BO),
        keys(vouches=(entry(BO, 1, ARI),)),
        vouches=(ARI,),
    )


@case
def my_own_entry_is_not_made_twice() -> Case:
    return update(
        state(trust=(record(ARI, source=Source.SAFETY, by=None), BO)),
        listing(UNA, ARI, BO),
        keys(vouches=(entry(UNA, 1, ARI),)),
        vouches=(),
    )


@case
def an_entry_of_mine_that_the_service_does_not_show_is_not_made_twice() -> Case:
    return update(
        state(
            trust=(record(ARI, source=Source.SAFETY, by=None), BO),
            vouched=frozenset({(ARI.device_id, 1)}),
        ),
        listing(UNA, ARI, BO),
        keys(),
        vouches=(),
    )


@case
def a_further_device_of_mine_is_vouched_for_beside_my_card() -> Case:
    laptop = record(UNAS_LAPTOP, source=Source.PROOF, by=None)
    return update(
        state(trust=(ARI, laptop), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, UNAS_LAPTOP, cards={UNA: card(UNA, own=[UNAS_LAPTOP])}),
        keys(),
        vouches=(UNAS_LAPTOP,),
        claim=lambda decision: decision.card is None,
    )


@case
def who_was_introduced_by_a_member_is_not_vouched_for() -> Case:
    return update(state(), listing(*ALL), keys(), vouches=())


@case
def my_card_is_made_where_there_is_none() -> Case:
    return update(
        state(trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP)),
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(),
        claim=lambda decision: (
            decision.card.name == "Una"
            and [one.device for one in decision.card.own] == [UNAS_LAPTOP]
        ),
    )


@case
def my_card_is_made_again_for_a_new_version() -> Case:
    return update(
        state(version=2, trust=(ARI,)),
        listing(UNA, ARI, cards={UNA: card(UNA, 1)}),
        keys(2),
        claim=lambda decision: decision.card is not None,
    )


@case
def my_card_is_not_made_again_while_it_is_right() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(UNA, ARI, cards={UNA: card(UNA, 1)}),
        keys(),
        claim=lambda decision: decision.card is None,
    )


@case
def the_cards_of_others_do_not_stand_for_mine() -> Case:
    others = {ARI: card(ARI), BO: card(BO), EVE: card(EVE)}
    return update(
        state(),
        listing(*ALL, cards=others | {UNA: card(UNA, 1)}),
        keys(rosters={1: roster(UNA, 1)}),
        claim=lambda decision: decision.card is None,
    )


@case
def my_card_is_made_again_where_it_differs() -> Case:
    return update(
        words.renamed(state(trust=(ARI,)), "Unna"),
        listing(UNA, ARI, cards={UNA: card(UNA, 1)}),
        keys(),
        claim=lambda decision: (decision.card.n, decision.card.name) == (1, "Unna"),
    )


# The list


@case
def a_stranger_who_copies_a_member_s_key_ends_no_trust() -> Case:
    copy = device("copy of ari", "Eve", key="ari")
    return update(
        state(),
        listing(*ALL, copy),
        keys(),
        trusted=(ARI, BO, EVE),
        untrusted=(copy,),
        rotate=False,
        tells=("duplicate_key",),
        silent=("trust_ended",),
    )


@case
def a_stranger_who_copies_this_device_s_key_stops_nothing() -> Case:
    copy = device("copy of una", "Eve", key="una")
    return update(state(), listing(*ALL, copy), keys(), holds=True, tells=("duplicate_key",))


@case
def of_two_unknown_devices_with_one_key_neither_is_trusted() -> Case:
    copy = device("copy of cleo", "Ghost", key="cleo")
    return update(
        state(links=(link(),)),
        listing(*ALL, CLEO, copy, proofs={CLEO: proof(CLEO)}),
        keys(vouches=(entry(BO, 1, CLEO),)),
        untrusted=(CLEO, copy),
        tells=("duplicate_key",),
    )


@case
def a_device_that_is_listed_twice_with_one_id_has_gone() -> Case:
    twice = replace(device("z", "Eve"), device_id=ARI.device_id)
    return update(
        state(),
        listing(*ALL, twice),
        keys(),
        untrusted=(ARI,),
        tells=("duplicate_key", "trust_ended"),
    )


@case
def a_device_with_a_key_that_no_device_can_have_is_never_trusted() -> Case:
    weak = replace(GHOST, public_key=bytes(32))
    return update(
        state(),
        listing(*ALL, weak),
        keys(),
        untrusted=(weak,),
        tells=("unusable_key",),
        silent=("duplicate_key", "waiting"),
    )


@case
def a_link_is_proved_by_no_key_that_no_device_can_have() -> Case:
    weak = replace(GHOST, public_key=bytes(32))
    return update(
        state(links=(link(),)),
        listing(*ALL, weak, proofs={weak: proof(weak)}),
        keys(),
        untrusted=(weak,),
    )


@case
def a_device_that_no_member_has_confirmed_waits_and_is_told() -> Case:
    return update(
        state(), listing(*ALL, CLEO, confirmed=ALL), keys(), untrusted=(CLEO,), tells=("waiting",)
    )


@case
def a_device_that_the_service_alone_calls_confirmed_is_told() -> Case:
    return update(
        state(), listing(*ALL, CLEO), keys(), untrusted=(CLEO,), tells=("unconfirmed_device",)
    )


@case
def devices_known_by_the_word_of_a_person_who_has_gone_are_told() -> Case:
    return update(
        state(trust=(ARI, record(CLEO, 1, by=EVE.device_id), EVE)),
        listing(UNA, ARI, CLEO),
        keys(),
        trusted=(CLEO,),
        tells=("voucher_gone",),
    )


@case
def a_device_for_which_another_member_vouches_too_is_known_by_that_word() -> Case:
    return update(
        state(trust=(ARI, record(CLEO, 1, by=EVE.device_id), EVE)),
        listing(UNA, ARI, CLEO),
        keys(vouches=(entry(ARI, 1, CLEO),)),
        trusted=(CLEO,),
        silent=("voucher_gone",),
        claim=lambda decision: decision.state.records[CLEO.device_id].by == ARI.device_id,
    )


@case
def a_word_that_does_not_count_stands_for_no_voucher_who_has_gone() -> Case:
    return update(
        state(trust=(ARI, record(CLEO, 1, by=EVE.device_id), EVE)),
        listing(UNA, ARI, CLEO),
        keys(vouches=(entry(ARI, 1, CLEO, 3),)),
        trusted=(CLEO,),
        tells=("voucher_gone",),
    )


@case
def a_device_for_which_another_device_of_that_person_stands_is_not_told() -> Case:
    return update(
        state(trust=(ARI, record(CLEO, 1, by=EVE.device_id), EVE, EVES_OTHER)),
        listing(UNA, ARI, CLEO, EVES_OTHER),
        keys(),
        silent=("voucher_gone",),
    )


# Safety numbers


def _compared(*covers: Device) -> dict[UUID, frozenset[UUID]]:
    return {ARI.user_id: frozenset(one.device_id for one in covers)}


@case
def a_device_that_a_compared_device_s_card_names_needs_no_new_comparison() -> Case:
    other = device("ari's other", "Ari")
    return update(
        state(trust=(ARI, other), compared=_compared(ARI)),
        listing(UNA, ARI, other, cards={ARI: card(ARI, own=[other])}),
        keys(),
        tells=("person_device_added",),
        silent=("number_void",),
        claim=lambda decision: other.device_id in decision.state.compared[ARI.user_id],
    )


@case
def a_device_that_no_compared_device_names_makes_the_number_void() -> Case:
    other = device("ari's other", "Ari")
    return update(
        state(trust=(ARI, other), compared=_compared(ARI)),
        listing(UNA, ARI, other, cards={other: card(other, own=[ARI])}),
        keys(),
        tells=("number_void",),
        silent=("person_device_added",),
    )


@case
def a_card_of_a_compared_device_that_has_ended_covers_no_device() -> Case:
    other = device("ari's other", "Ari")
    return update(
        state(trust=(record(ARI, 1, observed=1), other), compared=_compared(ARI)),
        listing(UNA, ARI, other, cards={ARI: card(ARI, own=[other])}),
        keys(),
        tells=("number_void",),
    )


@case
def a_card_of_another_person_covers_no_device() -> Case:
    other = device("ari's other", "Ari")
    stated = card(BO, own=[replace(other, user_id=BO.user_id)])
    return update(
        state(trust=(ARI, BO, other), compared=_compared(ARI, BO)),
        listing(UNA, ARI, BO, other, cards={BO: stated}),
        keys(),
        tells=("number_void",),
    )


@case
def the_number_has_this_device_and_those_that_are_mine() -> Case:
    return Case(
        does="number",
        state=state(trust=(UNAS_LAPTOP, UNAS_TABLET), own=own(UNAS_LAPTOP)),
        input={
            "listing": listing(UNA, UNAS_LAPTOP, UNAS_TABLET, ARI, BO),
            "user_id": ARI.user_id,
        },
        claim=lambda number: (
            number.mine == {UNA.public_key, UNAS_LAPTOP.public_key}
            and number.theirs == {ARI.public_key}
        ),
    )


@case
def a_device_of_mine_that_is_listed_with_another_key_is_not_in_the_number() -> Case:
    other_key = device("una's laptop", "Una", key="another")
    return Case(
        does="number",
        state=state(own=own(UNAS_LAPTOP)),
        input={"listing": listing(UNA, other_key, ARI), "user_id": ARI.user_id},
        claim=lambda number: number.mine == {UNA.public_key},
    )


@case
def a_browser_stands_in_the_number_as_one() -> Case:
    return Case(
        does="number",
        state=state(),
        input={"listing": listing(UNA, WES), "user_id": WES.user_id},
        claim=lambda number: len(number.theirs) == 1 and WES.public_key not in number.theirs,
    )


# Browsers


@case
def a_browser_that_the_service_calls_an_app_fails_its_proof() -> Case:
    relabelled = replace(WES, kind=DeviceKind.APP)
    return update(
        state(links=(link(),)),
        listing(*ALL, relabelled, proofs={relabelled: proof(WES)}),
        keys(),
        untrusted=(relabelled,),
    )


@case
def a_browser_joins_by_its_own_proof_and_is_told() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, WES, proofs={WES: proof(WES)}),
        keys(),
        trusted=(WES,),
        recipients=(ARI, BO, EVE, WES),
        tells=("browser", "joined"),
    )


@case
def a_browser_is_given_no_key_where_the_service_says_that_they_are_refused() -> Case:
    return update(
        state(links=(link(),)),
        listing(*ALL, WES, proofs={WES: proof(WES)}),
        keys(browsers=Browsers.REFUSED),
        trusted=(WES,),
        recipients=(ARI, BO, EVE),
        vouches=(),
        tells=("browser_refused",),
    )


@case
def a_browser_is_given_no_key_where_the_newest_roster_says_that_they_are_refused() -> Case:
    return update(
        state(version=2, trust=(ARI, WES)),
        listing(UNA, ARI, WES),
        keys(
            2,
            rosters={
                1: roster(ARI, 1, (UNA, ARI)),
                2: roster(ARI, 2, (UNA, ARI), browsers=Browsers.REFUSED),
            },
        ),
        recipients=(ARI,),
    )


@case
def a_later_roster_accepts_browsers_again() -> Case:
    return update(
        state(version=2, trust=(ARI, WES), stated_browsers=(1, Browsers.REFUSED)),
        listing(UNA, ARI, WES),
        keys(
            2,
            rosters={
                1: roster(ARI, 1, (UNA, ARI), browsers=Browsers.REFUSED),
                2: roster(ARI, 2, (UNA, ARI)),
            },
        ),
        recipients=(ARI, WES),
    )


@case
def a_service_that_hides_the_roster_does_not_accept_browsers_again() -> Case:
    return update(
        state(version=2, trust=(ARI, WES), stated_browsers=(2, Browsers.REFUSED)),
        listing(UNA, ARI, WES),
        keys(2),
        recipients=(ARI,),
    )


# Times of versions


@case
def the_author_s_time_of_the_next_version_ends_the_former_one() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(
            2,
            rosters={2: roster(BO, 2, made=int(NOW) - 1800)},
            envelopes=(envelope(2, BO),),
        ),
        claim=lambda decision: (
            decision.state.superseded_at(1) == NOW - 1800
            and decision.state.superseded_at(2) is None
        ),
    )


@case
def an_author_s_time_before_the_version_was_last_present_is_moved_to_then() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(2, rosters={2: roster(BO, 2, made=0)}, envelopes=(envelope(2, BO),)),
        claim=lambda decision: decision.state.superseded_at(1) == NOW - 3600,
    )


@case
def an_author_s_time_after_the_next_version_was_held_is_moved_to_then() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(2, rosters={2: roster(BO, 2, made=int(NOW) + 999)}, envelopes=(envelope(2, BO),)),
        claim=lambda decision: decision.state.superseded_at(1) == NOW,
    )


@case
def a_version_is_present_as_of_the_update_that_shows_it() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(),
        claim=lambda decision: decision.state.held[1].last_current == NOW,
    )


@case
def versions_that_a_device_has_missed_end_when_their_authors_say() -> Case:
    made = {2: int(NOW) - 3000, 3: int(NOW) - 2000, 4: int(NOW) - 1000}
    return update(
        state(),
        listing(*ALL),
        keys(
            4,
            rosters={number: roster(BO, number, made=at) for number, at in made.items()},
            envelopes=tuple(envelope(number, BO) for number in made),
        ),
        claim=lambda decision: (
            [decision.state.superseded_at(number) for number in (1, 2, 3)] == [*made.values()]
        ),
    )


@case
def an_author_ends_no_missed_version_before_an_earlier_one_was_present() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(
            3,
            rosters={3: roster(BO, 3, made=0)},
            envelopes=(envelope(2, BO), envelope(3, BO)),
        ),
        claim=lambda decision: decision.state.superseded_at(2) == NOW - 3600,
    )


@case
def of_two_rosters_of_one_version_the_earlier_time_counts() -> Case:
    shown = keys(2, envelopes=(envelope(2, BO),))
    twice = tuple(
        replace(shown.versions[1], statement=roster(author, 2, made=int(NOW) - ago))
        for author, ago in ((BO, 1800), (EVE, 900))
    )
    return update(
        state(),
        listing(*ALL),
        replace(shown, versions=(shown.versions[0], *twice)),
        claim=lambda decision: decision.state.superseded_at(1) == NOW - 1800,
    )


@case
def my_own_device_says_until_when_a_former_version_was_present() -> Case:
    known = state(version=2, trust=(ARI, UNAS_LAPTOP), own=own(UNAS_LAPTOP))
    until = former(UNAS_LAPTOP, 1, NOW - 86_400)
    return update(
        replace(known, held={2: known.held[2]}),
        listing(UNA, ARI, UNAS_LAPTOP),
        keys(2, envelopes=(envelope(1, UNAS_LAPTOP, former=until),)),
        claim=lambda decision: decision.state.superseded_at(1) == NOW - 86_400,
    )


@case
def another_member_does_not_say_until_when_a_version_was_present() -> Case:
    known = state(version=2, trust=(ARI,))
    return update(
        replace(known, held={2: known.held[2]}),
        listing(UNA, ARI),
        keys(2, envelopes=(envelope(1, ARI, former=former(ARI, 1, NOW - 86_400)),)),
        claim=lambda decision: decision.state.superseded_at(1) == NOW - 3600,
    )


# A service of form 1, and members with older clients


@case
def an_unsigned_entry_of_a_device_that_never_signed_introduces() -> Case:
    return update(
        state(),
        listing(*ALL, CLEO),
        keys(unsigned_entries=(unsigned_entry(BO, 1, CLEO),)),
        trusted=(CLEO,),
    )


@case
def an_unsigned_entry_of_a_browser_counts_for_nothing() -> Case:
    return update(
        state(trust=(ARI, BO, EVE, WES)),
        listing(*ALL, WES, CLEO),
        keys(unsigned_entries=(unsigned_entry(WES, 1, CLEO),)),
        untrusted=(CLEO,),
    )


@case
def an_unsigned_entry_of_a_device_that_has_signed_counts_for_nothing() -> Case:
    return update(
        state(signers=frozenset({BO.device_id})),
        listing(*ALL, CLEO),
        keys(unsigned_entries=(unsigned_entry(BO, 1, CLEO),)),
        untrusted=(CLEO,),
    )


@case
def an_unsigned_entry_of_a_device_that_signs_in_the_same_update_counts_for_nothing() -> Case:
    return update(
        state(),
        listing(*ALL, CLEO, cards={BO: card(BO)}),
        keys(unsigned_entries=(unsigned_entry(BO, 1, CLEO),)),
        untrusted=(CLEO,),
        claim=lambda decision: decision.state.signers == {BO.device_id},
    )


@case
def an_unsigned_entry_of_a_device_that_is_not_trusted_counts_for_nothing() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(*ALL, CLEO),
        keys(unsigned_entries=(unsigned_entry(BO, 1, CLEO),)),
        untrusted=(CLEO,),
    )


@case
def an_unsigned_entry_makes_no_device_mine() -> Case:
    return update(
        state(),
        listing(*ALL, UNAS_LAPTOP),
        keys(unsigned_entries=(unsigned_entry(BO, 1, UNAS_LAPTOP),)),
        untrusted=(UNAS_LAPTOP,),
    )


@case
def an_unsigned_entry_under_a_former_version_counts_for_nothing() -> Case:
    return update(
        state(version=2),
        listing(*ALL, CLEO),
        keys(2, unsigned_entries=(unsigned_entry(BO, 1, CLEO),)),
        untrusted=(CLEO,),
    )


@case
def an_unsigned_entry_counts_for_nothing_a_year_after_the_release() -> Case:
    return update(
        state(links=()),
        listing(*ALL, CLEO),
        keys(unsigned_entries=(unsigned_entry(BO, 1, CLEO),)),
        now=UNSIGNED_UNTIL,
        untrusted=(CLEO,),
    )


@case
def an_unsigned_roster_of_the_wrapper_introduces_and_ends_whom_it_leaves_out() -> Case:
    return update(
        state(),
        listing(*ALL, CLEO),
        keys(
            2,
            unsigned_rosters={2: unsigned_roster(2, (UNA, BO, CLEO))},
            envelopes=(envelope(2, BO),),
        ),
        holds=True,
        trusted=(BO, CLEO),
        untrusted=(ARI, EVE),
        tells=("trust_ended",),
    )


@case
def an_unsigned_roster_ends_no_browser() -> Case:
    return update(
        state(trust=(ARI, BO, WES)),
        listing(UNA, ARI, BO, WES),
        keys(
            2,
            unsigned_rosters={2: unsigned_roster(2, (UNA, BO))},
            envelopes=(envelope(2, BO),),
        ),
        holds=True,
        trusted=(BO, WES),
        untrusted=(ARI,),
    )


@case
def whom_this_device_has_not_met_before_is_greeted_once_it_may_read() -> Case:
    return update(
        state(greeted=frozenset({ARI.device_id, BO.device_id})),
        listing(*ALL),
        keys(),
        claim=lambda decision: decision.greet == (EVE.device_id,),
    )


@case
def no_device_is_greeted_while_a_new_key_is_due() -> Case:
    return update(
        state(),
        listing(*ALL),
        keys(rotation_required=True),
        claim=lambda decision: decision.greet == (),
    )


@case
def an_unsigned_roster_beside_a_signed_one_counts_for_nothing() -> Case:
    return update(
        state(trust=(ARI, BO, EVE)),
        listing(*ALL, CLEO),
        keys(
            2,
            rosters={2: bytes(90)},
            unsigned_rosters={2: unsigned_roster(2, (UNA, BO, CLEO))},
            envelopes=(envelope(2, BO),),
        ),
        trusted=(ARI, BO, EVE),
        untrusted=(CLEO,),
    )


@case
def an_unsigned_roster_of_a_device_that_gave_no_key_counts_for_nothing() -> Case:
    return update(
        state(version=2),
        listing(*ALL, CLEO),
        keys(2, unsigned_rosters={2: unsigned_roster(2, (UNA, BO, CLEO))}),
        trusted=(ARI, BO, EVE),
        untrusted=(CLEO,),
    )


@case
def an_unsigned_roster_ends_no_device_of_its_own_version() -> Case:
    return update(
        state(trust=(record(ARI, 2), BO)),
        listing(UNA, ARI, BO),
        keys(
            2,
            unsigned_rosters={2: unsigned_roster(2, (UNA, BO))},
            envelopes=(envelope(2, BO),),
        ),
        trusted=(ARI,),
    )


@case
def the_first_unsigned_roster_ends_no_device() -> Case:
    return update(
        state(version=0, trust=(record(ARI, 0), record(BO, 0))),
        listing(UNA, ARI, BO),
        keys(
            2,
            unsigned_rosters={2: unsigned_roster(2, (UNA, BO))},
            envelopes=(envelope(2, BO),),
        ),
        holds=True,
        trusted=(ARI, BO),
    )


@case
def at_a_service_of_form_1_an_envelope_that_does_not_open_is_given_back() -> Case:
    rubbish = envelope(2, EVE, of=key(2, other="rubbish"))
    return update(
        state(trust=(ARI,)),
        listing(*ALL),
        keys(2, form=1, envelopes=(rubbish,)),
        claim=lambda decision: decision.give_back == (2,),
    )


@case
def at_a_service_of_form_1_a_stranger_s_envelope_stays_while_no_device_is_trusted() -> Case:
    return update(
        state(version=0, trust=()),
        listing(*ALL),
        keys(2, form=1, envelopes=(envelope(2, EVE),)),
        claim=lambda decision: decision.give_back == (),
    )


@case
def at_a_service_of_form_2_no_envelope_is_given_back() -> Case:
    rubbish = envelope(2, EVE, of=key(2, other="rubbish"))
    return update(
        state(trust=(ARI,)),
        listing(*ALL),
        keys(2, envelopes=(rubbish,)),
        claim=lambda decision: decision.give_back == (),
    )


@case
def statements_of_form_1_are_written_while_a_listed_device_has_no_card() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(UNA, ARI),
        keys(),
        claim=lambda decision: decision.needs_form_1,
    )


@case
def statements_of_form_1_are_written_while_any_listed_app_has_no_card() -> Case:
    return update(
        state(trust=(ARI, BO)),
        listing(UNA, ARI, BO, cards={ARI: card(ARI)}),
        keys(),
        claim=lambda decision: decision.needs_form_1,
    )


@case
def no_statements_of_form_1_are_written_once_all_listed_devices_have_cards() -> Case:
    return update(
        state(trust=(ARI,)),
        listing(UNA, ARI, WES, cards={ARI: card(ARI)}),
        keys(),
        claim=lambda decision: not decision.needs_form_1,
    )


# The member's own words


@case
def a_comparison_makes_a_root_that_is_vouched_for() -> Case:
    known = words.confirmed(state(trust=(BO,)), [ARI], name="Ari", covers=[ARI.device_id])
    return update(
        known,
        listing(UNA, ARI, BO),
        keys(),
        trusted=(ARI,),
        vouches=(ARI,),
        names={ARI: "Ari"},
    )


def confirming(known: State, *devices: Device, **claims: Any) -> Case:
    """Return the case of a comparison."""
    return Case(
        does="confirm",
        state=known,
        input={
            "devices": devices,
            "name": NAMES[devices[0].user_id],
            "covers": tuple(sorted(one.device_id for one in devices)),
        },
        **claims,
    )


@case
def a_comparison_lifts_a_removal() -> Case:
    ended = record(ARI, 1, observed=3, removed=True)
    return confirming(
        state(version=2, trust=(ended,)),
        ARI,
        trusted=(ARI,),
        claim=lambda known: known.records[ARI.device_id].since == 4,
    )


@case
def a_comparison_makes_no_device_mine() -> Case:
    return confirming(state(), UNAS_LAPTOP, untrusted=(UNAS_LAPTOP,), own=())


@case
def a_comparison_changes_no_key() -> Case:
    other_key = device("ari", "Ari", key="another")
    return confirming(
        state(), other_key, claim=lambda known: known.records[ARI.device_id] == record(ARI)
    )


@case
def a_comparison_outweighs_what_others_say_of_a_device() -> Case:
    known = state(trust=(), unknown_gone={ARI.device_id: {EVE.device_id: 7}})
    return confirming(
        known, ARI, trusted=(ARI,), claim=lambda now: now.records[ARI.device_id].since == 8
    )


def removing(known: State, *devices: Device, **claims: Any) -> Case:
    """Return the case of a removal, or of a word that a device is not trusted."""
    return Case(does="remove", state=known, input={"devices": devices}, **claims)


@case
def a_removal_ends_closes_links_and_needs_a_new_key() -> Case:
    return removing(
        state(version=2, attempted=3, links=(link(),)),
        EVE,
        untrusted=(EVE,),
        compromised=3,
        claim=lambda known: (
            not known.links
            and known.records[EVE.device_id] == record(EVE, observed=3, removed=True)
        ),
    )


@case
def the_removal_of_a_device_that_was_never_trusted_needs_no_new_key() -> Case:
    return removing(
        state(links=(link(),)),
        CLEO,
        untrusted=(CLEO,),
        compromised=0,
        claim=lambda known: known.records[CLEO.device_id].removed and not known.links,
    )


@case
def what_a_removed_member_alone_has_stated_lapses() -> Case:
    ended = record(ARI, 1, said={EVE.device_id: 2})
    return removing(state(version=2, trust=(ended, BO, EVE)), EVE, trusted=(ARI, BO))


@case
def what_another_member_has_stated_too_stays() -> Case:
    ended = record(ARI, 1, said={EVE.device_id: 2, BO.device_id: 2})
    return removing(state(version=2, trust=(ended, BO, EVE)), EVE, untrusted=(ARI,))


@case
def what_the_list_has_shown_stays() -> Case:
    ended = record(ARI, 1, observed=1, said={EVE.device_id: 2})
    return removing(state(version=2, trust=(ended, BO, EVE)), EVE, untrusted=(ARI,))


@case
def what_a_removed_member_has_stated_of_unknown_devices_lapses() -> Case:
    return removing(
        state(unknown_gone={GHOST.device_id: {EVE.device_id: 1}, XEN.device_id: {BO.device_id: 1}}),
        EVE,
        claim=lambda known: {*known.unknown_gone} == {XEN.device_id},
    )


@case
def all_that_a_member_has_called_gone_comes_back_once_that_member_is_removed() -> Case:
    ban = roster(EVE, 2, (EVE,), gone=[(ARI, 2), (BO, 2), (UNA, 2)])
    banned = after(state(), listing(*ALL), keys(2, rosters={2: ban}, envelopes=(envelope(2, EVE),)))
    return update(
        words.removed(banned, [EVE]),
        listing(*ALL),
        keys(2, rosters={2: ban}),
        trusted=(ARI, BO),
        untrusted=(EVE,),
        rotate=True,
        recipients=(ARI, BO),
    )


@case
def the_removal_of_a_device_that_is_known_as_another_person_s_changes_nothing_of_it() -> Case:
    return removing(
        state(version=2),
        EVE,
        replace(ARI, user_id=EVE.user_id),
        trusted=(ARI, BO),
        untrusted=(EVE,),
        claim=lambda known: known.records[ARI.device_id] == record(ARI),
    )


@case
def a_removed_device_is_mine_no_more() -> Case:
    return removing(
        state(trust=(UNAS_LAPTOP,), own=own(UNAS_LAPTOP)),
        UNAS_LAPTOP,
        untrusted=(UNAS_LAPTOP,),
        own=(),
    )


# Key packages


def joining(
    sealed_: bytes | None = None,
    *,
    known: State | None = None,
    people: Listing | None = None,
    service: Keys | None = None,
    version: int = 1,
    for_me: bool = False,
    new_home: bool = True,
    **claims: Any,
) -> Case:
    """Return the case of a package that Cleo, or Una's laptop, has got from Una."""
    joiner = UNAS_LAPTOP if for_me else CLEO
    return Case(
        does="package",
        state=known or state(joiner, 0, ()),
        input={
            "joining": Joining(
                sealed=package(UNA) if sealed_ is None else sealed_,
                keys=link_keys(),
                version=version,
                for_me=for_me,
                new_home=new_home,
            ),
            "listing": people or listing(*ALL, CLEO, UNAS_LAPTOP),
            "keys": service or keys(),
            "now": NOW,
        },
        **claims,
    )


def refused(reason: str) -> Callable[[Any], bool]:
    """Return the claim that a package was refused for a reason."""
    return lambda found: found == Notice.of("package_refused", reason=reason)


@case
def a_package_brings_its_key_its_inviter_and_who_is_listed() -> Case:
    return joining(
        package(UNA, named=(UNA, ARI, XEN)),
        trusted=(UNA, ARI),
        untrusted=(XEN, BO),
        names={ARI: "Ari", UNA: "Una"},
        own=(),
        claim=lambda known: (
            known.highest == 1
            and known.records[UNA.device_id].source is Source.PROOF
            and known.records[ARI.device_id].by == UNA.device_id
        ),
    )


@case
def a_package_that_does_not_open_is_refused() -> Case:
    return joining(bytes(200), claim=refused("not_authentic"))


@case
def a_package_of_another_group_is_refused() -> Case:
    other = package(UNA, group_id=OTHER_GROUP, commitment=key(1).commitment(OTHER_GROUP, 1))
    return joining(other, claim=refused("group"))


@case
def a_package_of_another_version_than_the_answer_s_is_refused() -> Case:
    return joining(version=2, service=keys(2), claim=refused("version"))


@case
def a_package_with_another_commitment_than_the_shown_one_is_refused() -> Case:
    return joining(
        service=keys(commitments={1: commitment(1, of=key(9))}), claim=refused("commitment")
    )


@case
def a_package_of_a_version_that_the_service_does_not_show_is_refused() -> Case:
    last = 2**31 - 1
    stated = package(UNA, last, group_key=key(last), commitment=commitment(last))
    return joining(stated, version=last, claim=refused("commitment"))


@case
def a_package_of_a_version_beyond_the_present_one_is_refused() -> Case:
    service = replace(keys(2), version=1)
    return joining(package(UNA, 2), version=2, service=service, claim=refused("commitment"))


@case
def a_package_of_a_version_that_was_held_is_refused() -> Case:
    return joining(known=state(CLEO, 1, ()), claim=refused("old_version"))


@case
def a_package_with_a_key_of_another_group_is_refused() -> Case:
    return joining(
        known=state(CLEO, 0, (), elsewhere=frozenset({key(1)})), claim=refused("old_key")
    )


@case
def a_package_that_does_not_name_its_inviter_is_refused() -> Case:
    return joining(package(UNA, named=(ARI, BO)), claim=refused("inviter"))


@case
def a_package_whose_inviter_s_key_is_another_person_s_is_refused() -> Case:
    return joining(package(UNA, inviter_user_id=ARI.user_id), claim=refused("inviter"))


@case
def a_package_whose_inviter_is_named_twice_is_refused() -> Case:
    twice = replace(EVE, public_key=UNA.public_key)
    return joining(package(UNA, named=(UNA, twice)), claim=refused("inviter"))


@case
def a_package_whose_inviter_is_not_listed_so_is_refused() -> Case:
    return joining(people=listing(ARI, BO, CLEO), claim=refused("inviter"))


@case
def a_package_whose_inviter_is_listed_with_another_key_is_refused() -> Case:
    other_key = device("una", "Una", key="another")
    return joining(people=listing(other_key, ARI, BO, CLEO), claim=refused("inviter"))


@case
def a_package_whose_inviter_is_listed_as_a_browser_is_refused() -> Case:
    browser = replace(UNA, kind=DeviceKind.WEB)
    return joining(people=listing(browser, ARI, BO, CLEO), claim=refused("inviter"))


@case
def a_package_whose_inviter_is_known_with_another_key_is_refused() -> Case:
    other_key = device("una", "Una", key="another")
    return joining(known=state(CLEO, 0, (record(other_key, observed=1),)), claim=refused("inviter"))


@case
def a_package_whose_inviter_has_the_key_of_another_known_device_is_refused() -> Case:
    return joining(
        known=state(CLEO, 0, (record(device("old", "Old", key="una"), observed=1),)),
        claim=refused("inviter"),
    )


@case
def of_a_package_what_has_the_key_of_another_known_device_is_left_out() -> Case:
    return joining(
        known=state(CLEO, 0, (record(device("old", "Old", key="ari"), observed=0),)),
        trusted=(UNA, BO),
        untrusted=(ARI,),
    )


@case
def a_package_of_a_version_that_is_no_more_the_present_one_ends_when_the_next_was_made() -> Case:
    return joining(
        service=keys(2),
        claim=lambda known: known.held[1].last_current == 0,
    )


@case
def of_a_package_what_is_listed_with_another_key_or_owner_is_left_out() -> Case:
    other_key, of_eve = device("ari", "Ari", key="another"), replace(BO, user_id=EVE.user_id)
    return joining(
        package(UNA, named=(UNA, other_key, of_eve, XEN)),
        people=listing(UNA, ARI, BO, XEN, CLEO),
        trusted=(UNA, XEN),
        untrusted=(ARI, BO),
    )


@case
def a_package_of_a_link_for_me_by_another_person_is_refused() -> Case:
    return joining(package(EVE), for_me=True, claim=refused("inviter_person"))


@case
def a_package_of_a_link_for_others_by_a_device_of_mine_is_refused() -> Case:
    return joining(package(UNA), known=state(UNAS_LAPTOP, 0, ()), claim=refused("inviter_person"))


@case
def a_link_for_me_in_a_home_that_belongs_to_a_person_is_refused() -> Case:
    return joining(for_me=True, new_home=False, claim=refused("home_in_use"))


@case
def a_package_that_gives_this_device_s_id_another_key_is_refused() -> Case:
    other_key = device("cleo", "Cleo", key="another")
    return joining(package(UNA, named=(UNA, other_key)), claim=refused("this_device"))


@case
def a_package_that_gives_this_device_s_key_to_another_person_is_refused() -> Case:
    copy = replace(EVE, public_key=CLEO.public_key)
    return joining(package(UNA, named=(UNA, copy)), claim=refused("this_device"))


@case
def a_package_that_names_a_device_as_mine_is_refused() -> Case:
    mine = device("cleo's other", "Cleo")
    return joining(package(UNA, named=(UNA, mine)), claim=refused("own_device"))


@case
def a_package_may_name_this_very_device() -> Case:
    return joining(package(UNA, named=(UNA, CLEO)), trusted=(UNA,))


@case
def a_package_may_name_a_device_that_is_mine() -> Case:
    mine = device("cleo's other", "Cleo")
    return joining(
        package(UNA, named=(UNA, mine)),
        known=state(CLEO, 0, (), own=own(mine, group=OTHER_GROUP)),
        trusted=(UNA,),
    )


@case
def a_package_of_a_link_for_me_makes_its_inviter_and_my_devices_mine() -> Case:
    return joining(
        package(UNA, named=(UNA, UNAS_TABLET, ARI)),
        people=listing(*ALL, UNAS_LAPTOP, UNAS_TABLET),
        known=state(UNAS_LAPTOP, 0, (), card=None),
        for_me=True,
        trusted=(UNA, UNAS_TABLET, ARI),
        own=(UNA, UNAS_TABLET),
        names={UNA: "Una"},
    )


@case
def a_package_does_not_bring_back_what_was_removed() -> Case:
    ended = record(ARI, 0, observed=0, removed=True)
    return joining(
        package(UNA, named=(UNA, ARI)),
        known=state(CLEO, 0, (ended,)),
        trusted=(UNA,),
        untrusted=(ARI,),
    )


__all__ = ["CASES", "Case", "held"]
