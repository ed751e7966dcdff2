"""A key handed on: to whom, by whom, once."""

from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from chalicelib.keys.queries import MOST_ENTRIES
from chalicelib.models import KeyEnvelope
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api
from tests.factories import Someone, new_key, opaque
from tests.features.keys.hearth import Hearth


def envelopes(session: Session) -> int:
    return session.scalar(select(func.count(KeyEnvelope.wrapped_key))) or 0


def test_any_confirmed_device_hands_the_key_on(hearth: Hearth, ari: Someone, bera: Someone) -> None:
    wrapped = opaque()

    given = hearth.hand_on(ari, bera, wrapped)

    assert (given.status, given.text) == (204, "")
    assert hearth.is_confirmed(bera)
    assert hearth.keys(bera)["envelopes"] == [
        {
            "keyVersion": 1,
            "wrappedKey": wrapped,
            "wrapperPublicKey": to_base64(ari.public_key or b""),
            "wrapperDeviceId": str(ari.device_id),
        }
    ]
    assert hearth.post_sealed(bera).status == 200
    assert hearth.pending(ari) == []


def test_the_same_again_does_no_harm_and_another_is_refused(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    wrapped = opaque()
    assert hearth.hand_on(ari, bera, wrapped).status == 204
    before = factories.everything(session)

    again = [
        hearth.hand_on(ari, bera, wrapped),
        hearth.hand_on(una, bera, wrapped, rosterEntry=opaque()),
        hearth.hand_on(bera, bera, wrapped),
    ]
    others = [hearth.hand_on(who, bera, opaque()) for who in (ari, una, bera)]

    assert [answer.status for answer in again] == [204] * 3
    assert [(answer.status, answer.code) for answer in others] == [(409, "envelope_exists")] * 3
    assert factories.everything(session) == before


def test_whoever_made_the_key_cannot_replace_an_envelope_that_came_with_it(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    assert hearth.rotate(una, new_key(1, una, ari)).status == 201
    held = hearth.keys(ari)["envelopes"]

    replaced = hearth.hand_on(una, ari, opaque(), version=2)

    assert (replaced.status, replaced.code) == (409, "envelope_exists")
    assert hearth.keys(ari)["envelopes"] == held


def test_whoever_vouches_for_somebody_does_not_replace_what_came_with_a_new_key(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    assert hearth.rotate(una, new_key(1, una, ari)).status == 201
    held = hearth.keys(una)["envelopes"]

    replaced = hearth.hand_on(ari, una, opaque(), version=2, rosterEntry=opaque())

    assert (replaced.status, replaced.code) == (409, "envelope_exists")
    assert hearth.keys(una)["envelopes"] == held


def test_only_valid_devices_of_members_with_a_public_key_are_given_it(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    no_recipients = [
        factories.with_key(session),
        factories.further_device(session, ari, public_key=None),
        factories.further_device(session, ari, revoked_at=func.now()),
        factories.further_device(session, ari, last_used_on=func.current_date() - 365),
        Someone(user_id=ari.user_id, device_id=uuid4(), token=""),
    ]
    before = factories.everything(session)

    refused = [hearth.hand_on(una, device) for device in no_recipients]

    assert [(answer.status, answer.code) for answer in refused] == (
        [(404, "recipient_not_found")] * len(no_recipients)
    )
    assert len({answer.json["detail"] for answer in refused}) == 1
    assert factories.everything(session) == before


def test_a_pending_device_hands_on_nothing_not_even_to_itself(
    hearth: Hearth, session: Session, una: Someone, bera: Someone
) -> None:
    tablet = factories.further_device(session, una)

    refused = [hearth.hand_on(who, to) for who in (bera, tablet) for to in (bera, tablet)]

    assert [(answer.status, answer.code) for answer in refused] == [(403, "not_confirmed")] * 4
    assert envelopes(session) == 2


@pytest.mark.parametrize("version", [2, 2**31 - 1])
def test_a_version_that_never_was_is_not_handed_on(
    hearth: Hearth, una: Someone, bera: Someone, version: int
) -> None:
    refused = hearth.hand_on(una, bera, version=version)

    assert (refused.status, refused.code) == (404, "key_version_not_found")


def test_a_group_without_a_key_has_none_to_hand_on(
    keyless: Hearth, una: Someone, ari: Someone
) -> None:
    refused = keyless.hand_on(una, ari)

    assert (refused.status, refused.code) == (404, "key_version_not_found")


@pytest.mark.parametrize(
    "version",
    ["0", "-1", "+1", "01x", "1.0", "1e0", "0x1", "\u0661", "%31", "2147483648", "9" * 5000, "key"],
)
def test_what_is_no_version_in_a_path_names_nothing(
    hearth: Hearth, una: Someone, bera: Someone, version: str
) -> None:
    path = f"/api/groups/{hearth.group_id}/keys/{version}/envelopes/{bera.device_id}"

    answers = [
        Api(una.token).put(path, {"wrappedKey": opaque()}),
        Api(una.token).delete(path),
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(404, "not_found")] * 2


def test_a_former_key_is_handed_on_by_those_who_hold_it(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    tablet = factories.further_device(session, una)
    assert hearth.rotate(una, new_key(1, una, bera, tablet)).status == 201

    by_one_who_came_later = hearth.hand_on(bera, tablet, version=1)
    by_one_who_was_left_out = hearth.hand_on(ari, tablet, version=1)
    by_a_holder = hearth.hand_on(una, tablet, version=1)

    assert (by_one_who_came_later.status, by_one_who_came_later.code) == (403, "not_confirmed")
    assert (by_one_who_was_left_out.status, by_one_who_was_left_out.code) == (403, "not_confirmed")
    assert by_a_holder.status == 204
    assert [envelope["keyVersion"] for envelope in hearth.keys(tablet)["envelopes"]] == [1, 2]


def test_a_former_key_confirms_nobody(hearth: Hearth, una: Someone, bera: Someone) -> None:
    assert hearth.rotate(una, new_key(1, una)).status == 201

    assert hearth.hand_on(una, bera, version=1).status == 204

    assert not hearth.is_confirmed(bera)
    assert hearth.post_sealed(bera, 2).code == "not_confirmed"


def test_a_roster_entry_is_shown_to_all_members_devices(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    entry = opaque(200)
    pending = factories.further_device(session, ari)

    assert hearth.hand_on(una, bera, rosterEntry=entry).status == 204

    shown = [hearth.keys(who)["rosterEntries"] for who in (una, ari, bera, pending)]
    assert shown == (
        [[{"keyVersion": 1, "rosterEntry": entry, "wrapperDeviceId": str(una.device_id)}]] * 4
    )


def test_roster_entries_are_shown_of_the_newest_twenty_versions(
    hearth: Hearth, una: Someone, bera: Someone
) -> None:
    entries = [opaque(41) for _ in range(2)]
    assert hearth.hand_on(una, bera, rosterEntry=entries[0]).status == 204
    assert hearth.rotate(una, new_key(1, una)).status == 201
    assert hearth.hand_on(una, bera, version=2, rosterEntry=entries[1]).status == 204
    for version in range(2, 21):
        assert hearth.rotate(una, new_key(version, una)).status == 201

    shown = hearth.keys(una)["rosterEntries"]

    assert [entry["rosterEntry"] for entry in shown] == entries[1:]


def test_of_more_roster_entries_than_an_answer_should_hold_the_newest_are_shown(
    hearth: Hearth, session: Session, una: Someone, bera: Someone
) -> None:
    for _ in range(MOST_ENTRIES):
        factories.confirm(session, hearth.group_id, factories.further_device(session, una), 1)
    session.execute(
        update(KeyEnvelope)
        .where(KeyEnvelope.device_id != una.device_id, KeyEnvelope.wrapped_key.is_not(None))
        .values(roster_entry=bytes(41))
    )
    newest = opaque(41)
    assert hearth.hand_on(una, bera, rosterEntry=newest).status == 204

    shown = [entry["rosterEntry"] for entry in hearth.keys(una)["rosterEntries"]]

    assert len(shown) == MOST_ENTRIES
    assert shown[-1] == newest


@pytest.mark.parametrize("length", [41, 4096])
def test_a_roster_entry_has_up_to_4_kibibytes(
    hearth: Hearth, una: Someone, bera: Someone, length: int
) -> None:
    entry = opaque(length)

    given = hearth.hand_on(una, bera, rosterEntry=entry)

    assert given.status == 204
    assert hearth.keys(una)["rosterEntries"][0]["rosterEntry"] == entry


@pytest.mark.parametrize(
    "fields",
    [
        *({"wrappedKey": opaque(length)} for length in (0, 32, 71, 73)),
        {"wrappedKey": None},
        *({"rosterEntry": opaque(length)} for length in (0, 40, 4097)),
        {"wrapperPublicKey": opaque(32)},
    ],
    ids=count(),
)
def test_what_is_no_envelope_is_refused(
    hearth: Hearth, session: Session, una: Someone, bera: Someone, fields: dict[str, Any]
) -> None:
    refused = Api(una.token).put(
        f"/api/groups/{hearth.group_id}/keys/1/envelopes/{bera.device_id}",
        {"wrappedKey": opaque(), **fields},
    )

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert envelopes(session) == 2


def test_whoever_gives_an_envelope_back_is_pending_until_they_are_given_another(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    given_back = hearth.give_back(ari)

    assert (given_back.status, given_back.text) == (204, "")
    assert not hearth.is_confirmed(ari)
    assert hearth.keys(ari)["envelopes"] == []
    assert hearth.post_sealed(ari).code == "not_confirmed"
    assert [device["deviceId"] for device in hearth.pending(una)] == [str(ari.device_id)]
    by_itself = hearth.hand_on(ari, ari)
    assert (by_itself.status, by_itself.code) == (403, "not_confirmed")
    assert hearth.hand_on(una, ari).status == 204
    assert hearth.is_confirmed(ari)


def test_giving_back_a_former_key_changes_nothing_else(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    assert hearth.rotate(una, new_key(1, una, ari)).status == 201

    assert hearth.give_back(ari, version=1).status == 204

    assert hearth.is_confirmed(ari)
    assert [envelope["keyVersion"] for envelope in hearth.keys(ari)["envelopes"]] == [2]


def test_only_ones_own_envelope_can_be_given_back_and_once(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    tablet = factories.further_device(session, ari)
    factories.confirm(session, hearth.group_id, tablet, 1)

    refused = [
        hearth.give_back(una, ari),  # not by an admin
        hearth.give_back(ari, tablet),  # not by another device of the same person
        hearth.give_back(bera, ari),
        hearth.give_back(bera),  # who has none
        hearth.give_back(ari, version=2),
    ]
    assert hearth.give_back(ari).status == 204
    refused.append(hearth.give_back(ari))

    assert [(answer.status, answer.code) for answer in refused] == (
        [(404, "envelope_not_found")] * 6
    )
    assert envelopes(session) == 2


def test_whoever_was_removed_and_comes_back_is_pending(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    factories.group(session, ari)  # so that they stay signed in
    assert hearth.remove(una, ari).status == 204

    factories.add_member(session, hearth.group_id, ari)

    assert not hearth.is_confirmed(ari)
    assert hearth.keys(ari)["envelopes"] == []
    assert hearth.hand_on(ari, ari).code == "not_confirmed"


def test_an_envelope_outlives_the_account_of_who_wrapped_it(
    hearth: Hearth, ari: Someone, bera: Someone
) -> None:
    wrapped = opaque()
    assert hearth.hand_on(ari, bera, wrapped).status == 204

    assert Api(ari.token).delete("/api/users/me").status == 204

    assert hearth.is_confirmed(bera)
    assert hearth.keys(bera)["envelopes"] == [
        {
            "keyVersion": 1,
            "wrappedKey": wrapped,
            "wrapperPublicKey": to_base64(ari.public_key or b""),
            "wrapperDeviceId": str(ari.device_id),
        }
    ]


def test_keys_of_one_group_let_nobody_in_to_another(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    boat = Hearth(factories.group(session, ari, key_version=1))
    factories.add_member(session, boat.group_id, una)

    refused = [
        boat.rotate(una, new_key(1, una)),
        boat.hand_on(una, una),
        boat.post_sealed(una),
        boat.give_back(una),
    ]

    assert not boat.is_confirmed(una)
    assert [answer.code for answer in refused] == ["not_confirmed"] * 3 + ["envelope_not_found"]
    assert hearth.is_confirmed(una)


def test_whoever_is_not_in_the_group_is_told_that_there_is_none(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    stranger = factories.with_key(session)
    nowhere = Hearth(UUID(int=7))

    told = [
        [
            {**answer.json, "requestId": ""}
            for answer in (
                place.rotate(stranger, new_key(1, stranger)),
                Api(stranger.token).get(f"/api/groups/{place.group_id}/keys"),
                Api(stranger.token).get(f"/api/groups/{place.group_id}/keys/pending"),
                place.hand_on(stranger, una),
                place.give_back(stranger),
            )
        ]
        for place in (hearth, nowhere)
    ]

    assert told[0] == told[1]
    assert [answer["code"] for answer in told[0]] == ["group_not_found"] * 5
