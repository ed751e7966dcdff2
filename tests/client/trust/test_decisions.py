"""What follows from an update, a package or a word: each case, in any order, once and again."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from draugar.trust.as_json import camel, decoded, encoded
from draugar.trust.reconcile import reconcile
from draugar.trust.values import Decision, State, Stop
from scripts import decisions
from tests.client.trust.cases import CASES, Case

EACH = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
UPDATES = [case for case in CASES if case.does == "reconcile"]


@EACH
def test_what_is_claimed_follows(case: Case) -> None:
    decision = case.decide()
    if case.stops is not None:
        assert isinstance(decision, Stop)
        assert decision.code == case.stops
        return
    assert not isinstance(decision, Stop)
    if case.claim is not None:
        assert case.claim(decision)
    state = decision if isinstance(decision, State) else getattr(decision, "state", None)
    if state is not None:
        _check_state(case, state)
    if isinstance(decision, Decision):
        _check_decision(case, decision)


def _check_state(case: Case, state: State) -> None:
    trusted = {record.device for record in state.trusted().values()}
    assert trusted.issuperset(case.trusted)
    assert trusted.isdisjoint(case.untrusted)
    for device in case.trusted:
        assert state.records[device.device_id].device == device
    if case.own is not None:
        assert {*state.own} == {device.device_id for device in case.own}
    if case.compromised is not None:
        assert state.compromised == case.compromised
    for device, name in case.names.items():
        assert state.name_of(device.user_id) == name


def _check_decision(case: Case, decision: Decision) -> None:
    for claimed, found in (
        (case.holds, decision.holds),
        (case.rotate, decision.rotate),
    ):
        assert claimed in (None, found)
    if case.recipients is not None:
        assert {*decision.recipients} == {one.device_id for one in case.recipients}
    if case.gives is not None:
        gifts = {(gift.device_id, gift.version) for gift in decision.give}
        assert gifts == {(device.device_id, version) for device, version in case.gives}
    if case.vouches is not None:
        assert {one.device for one in decision.vouch} == {*case.vouches}
    codes = {notice.code for notice in decision.notices}
    assert codes.issuperset(case.tells)
    assert codes.isdisjoint(case.silent)


@pytest.mark.parametrize("case", UPDATES, ids=[case.name for case in UPDATES])
def test_the_order_of_what_the_service_answers_changes_nothing(case: Case) -> None:
    expected = case.decide()
    for order in map(random.Random, range(3)):
        assert reconcile(case.state, **shuffled(case.input, order)) == expected


def shuffled(given: dict[str, Any], order: random.Random) -> dict[str, Any]:
    """Return an answer with its lists in another order."""

    def mixed(value: Any, *names: str) -> Any:
        return replace(
            value,
            **{
                name: tuple(order.sample(getattr(value, name), len(getattr(value, name))))
                for name in names
            },
        )

    listing = mixed(given["listing"], "devices")
    keys = mixed(given["keys"], "versions", "envelopes", "vouches", "unsigned_entries")
    return given | {"listing": listing, "keys": keys}


@pytest.mark.parametrize("case", UPDATES, ids=[case.name for case in UPDATES])
def test_the_same_update_again_changes_and_tells_nothing(case: Case) -> None:
    first = case.decide()
    if not isinstance(first, Decision):
        return
    again = reconcile(first.state, **case.input)
    assert isinstance(again, Decision)
    assert again.state == first.state
    assert {notice.code for notice in again.notices} <= {"waiting_for"}
    assert replace(again, notices=()) == replace(first, notices=())


@EACH
def test_a_state_is_read_as_it_was_written(case: Case) -> None:
    decision = case.decide()
    after = decision.state if isinstance(decision, Decision) else case.state
    for state in (case.state, after):
        assert decoded(State, json.loads(json.dumps(encoded(state)))) == state


def test_the_file_has_all_cases_as_they_are_decided_now() -> None:
    assert decisions.DECISIONS.read_text() == decisions.document()


def test_each_case_is_decided_so_from_what_the_file_says() -> None:
    written = {case["name"]: case for case in json.loads(decisions.DECISIONS.read_text())["cases"]}
    for case in CASES:
        read = written[case.name]
        hints = {name: type(value) for name, value in case.input.items()}
        again = replace(
            case,
            state=decoded(State, read["state"]),
            input={
                name: _read(hints[name], value, read["input"][camel(name)])
                for name, value in case.input.items()
            },
        )
        assert decisions.encoded_decision(again.state, again.decide()) == read["decision"]


def _read(kind: Any, value: Any, written: Any) -> Any:
    if isinstance(value, tuple | frozenset):
        (item,) = {type(one) for one in value}
        return type(value)(decoded(item, one) for one in written)
    return decoded(kind, written)
