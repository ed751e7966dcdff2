"""What form 2 adds for keys: envelopes of several wrappers, statements, vouches, cards, pages."""

from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from chalicelib.models import (
    Device,
    DeviceCard,
    FurtherEnvelope,
    Group,
    GroupKey,
    KeyEnvelope,
    Vouch,
)
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone, new_key, opaque
from tests.features.keys.hearth import Hearth


def keys(hearth: Hearth, by: Someone, **query: Any) -> Any:
    told = {name: str(value) for name, value in query.items()}
    shown = Api(by.token).get(f"/api/groups/{hearth.group_id}/keys", form="2", **told)
    assert shown.status == 200, shown.text
    return shown.json


def give(
    hearth: Hearth,
    by: Someone,
    to: Someone,
    wrapped: str | None = None,
    *,
    version: int = 1,
    **fields: Any,
) -> Reply:
    path = f"/api/groups/{hearth.group_id}/keys/{version}/envelopes/{to.device_id}"
    body = {"wrappedKey": wrapped or opaque(), **fields}
    return Api(by.token).call("PUT", path, body=body, query={"form": "2"})


def vouch(
    hearth: Hearth, by: Someone, about: Someone, entry: str | None = None, *, version: int = 1
) -> Reply:
    path = f"/api/groups/{hearth.group_id}/keys/{version}/vouches/{about.device_id}"
    return Api(by.token).put(path, {"entry": opaque(200) if entry is None else entry})


def put_card(hearth: Hearth, by: Someone, sealed: str | None = None, *, version: int = 1) -> Reply:
    body = {"keyVersion": version, "sealed": opaque(200) if sealed is None else sealed}
    return Api(by.token).put(f"/api/groups/{hearth.group_id}/card", body)


def people(by: Someone, **query: str) -> dict[str, dict[str, Any]]:
    """Return the devices that somebody is shown, by their ids."""
    shown = Api(by.token).get("/api/users", **query)
    assert shown.status == 200, shown.text
    return {
        device.pop("id"): device
        for person in shown.json["users"]
        for group in person["groups"]
        for device in group["devices"]
    }


# --- Envelopes


def test_what_a_stranger_wraps_first_blocks_no_members_envelope(
    hearth: Hearth, una: Someone, ari: Someone, bera: Someone
) -> None:
    rubbish, wrapped = opaque(), opaque()
    assert give(hearth, ari, bera, rubbish).status == 204

    given = give(hearth, una, bera, wrapped)

    assert given.status == 204
    shown = keys(hearth, bera)["envelopes"]
    assert [(sent["wrappedKey"], sent["wrapperDeviceId"]) for sent in shown] == [
        (rubbish, str(ari.device_id)),
        (wrapped, str(una.device_id)),
    ]
    assert shown[1]["wrapperPublicKey"] == to_base64(una.public_key or b"")
    # As before the other form shows the oldest alone.
    assert [sent["wrappedKey"] for sent in hearth.keys(bera)["envelopes"]] == [rubbish]


def test_each_wrapper_has_one_envelope_for_a_device_and_version(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    first, second = opaque(), opaque()
    assert give(hearth, ari, bera, first).status == 204
    assert give(hearth, una, bera, second).status == 204
    before = factories.everything(session)

    again = [give(hearth, ari, bera, first), give(hearth, una, bera, second)]
    other = [give(hearth, ari, bera), give(hearth, una, bera)]

    assert [answer.status for answer in again] == [204, 204]
    assert [(answer.status, answer.code) for answer in other] == [(409, "envelope_exists")] * 2
    assert factories.everything(session) == before


def test_in_form_1_another_wrapper_is_refused_as_before(
    hearth: Hearth, una: Someone, ari: Someone, bera: Someone
) -> None:
    assert give(hearth, ari, bera).status == 204

    refused = hearth.hand_on(una, bera)

    assert (refused.status, refused.code) == (409, "envelope_exists")


def test_a_wrapper_does_not_stand_twice_where_it_vouches_in_form_1_afterwards(
    hearth: Hearth, una: Someone
) -> None:
    hearth.invite(una, code="RT5WLJ8BK2MNP4QX", keyPackage=opaque(100), keyVersion=1)
    body = {"code": "RT5WLJ8BK2MNP4QX", "name": "Oli", "device": {"publicKey": opaque(32)}}
    joined = Api().post("/api/auth/join", body).json
    oli = Someone(UUID(joined["user"]["id"]), UUID(joined["device"]["id"]), joined["token"])
    assert give(hearth, oli, oli).status == 204
    assert give(hearth, una, oli).status == 204

    refused = hearth.hand_on(una, oli, rosterEntry=opaque())

    assert (refused.status, refused.code) == (409, "envelope_exists")
    assert len(keys(hearth, oli)["envelopes"]) == 2


def test_only_those_who_hold_a_key_add_an_envelope_and_only_for_members(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    refused = [
        give(hearth, bera, ari),
        give(hearth, una, factories.with_key(session)),
        give(hearth, una, ari, version=2),
    ]

    assert [answer.code for answer in refused] == [
        "not_confirmed",
        "recipient_not_found",
        "key_version_not_found",
    ]
    assert session.scalars(select(FurtherEnvelope.id)).all() == []


def test_where_the_oldest_envelope_is_given_back_the_next_takes_its_place(
    hearth: Hearth, una: Someone, ari: Someone, bera: Someone
) -> None:
    wrapped = opaque()
    assert give(hearth, ari, bera).status == 204
    assert give(hearth, una, bera, wrapped, rosterEntry=opaque(), former=opaque(50)).status == 204
    former = keys(hearth, bera)["envelopes"][1]
    entries = hearth.keys(una)["rosterEntries"]

    assert hearth.give_back(bera).status == 204

    assert keys(hearth, bera)["envelopes"] == [former]
    assert [sent["wrappedKey"] for sent in hearth.keys(bera)["envelopes"]] == [wrapped]
    assert hearth.keys(una)["rosterEntries"] == entries
    assert hearth.is_confirmed(bera)
    assert hearth.give_back(bera).status == 204
    assert not hearth.is_confirmed(bera)
    assert hearth.give_back(bera).code == "envelope_not_found"


def test_envelopes_of_four_wrappers_take_the_place_of_one_another_in_their_order(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    wrappers = [una, ari, *(factories.further_device(session, una) for _ in range(2))]
    for wrapper in wrappers[2:]:
        factories.confirm(session, hearth.group_id, wrapper, 1)

    given = [give(hearth, wrapper, bera) for wrapper in wrappers]

    assert [answer.status for answer in given] == [204] * 4
    for number in range(4):
        shown = [sent["wrapperDeviceId"] for sent in keys(hearth, bera)["envelopes"]]
        assert shown == [str(wrapper.device_id) for wrapper in wrappers[number:]]
        (oldest,) = hearth.keys(bera)["envelopes"]
        assert oldest["wrapperDeviceId"] == shown[0]
        assert hearth.give_back(bera).status == 204
    assert keys(hearth, bera)["envelopes"] == []


def test_the_envelopes_of_others_stay_where_one_is_given_back(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    boat = Hearth(factories.group(session, una, ari, key_version=1))
    factories.add_member(session, boat.group_id, bera)
    tablet = factories.further_device(session, bera)
    for place, to in ((hearth, bera), (hearth, tablet), (boat, bera)):
        for by in (una, ari):
            assert give(place, by, to).status == 204
    assert hearth.rotate(una, new_key(1, una, ari, bera)).status == 201
    assert give(hearth, ari, bera, version=2).status == 204

    assert hearth.give_back(bera, version=1).status == 204

    left = [sent["keyVersion"] for sent in keys(hearth, bera)["envelopes"]]
    assert left == [1, 2, 2]
    assert len(keys(hearth, tablet)["envelopes"]) == len(keys(boat, bera)["envelopes"]) == 2


def test_what_stands_beside_a_former_key_is_shown_to_its_device_in_form_2(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    tablet = factories.further_device(session, una)
    former = [opaque(41), opaque(256)]
    assert hearth.rotate(una, new_key(1, una, ari, tablet)).status == 201
    assert give(hearth, una, tablet, version=1, former=former[0]).status == 204
    assert give(hearth, ari, tablet, version=1, former=former[1]).status == 204

    shown = keys(hearth, tablet)["envelopes"]

    assert [sent.get("former") for sent in shown] == [*former, None]
    assert all("former" not in sent for sent in hearth.keys(tablet)["envelopes"])


@pytest.mark.parametrize("length", [0, 40, 257])
def test_what_is_too_large_beside_a_former_key_is_refused(
    hearth: Hearth, una: Someone, bera: Someone, length: int
) -> None:
    refused = give(hearth, una, bera, former=opaque(length))

    assert (refused.status, refused.code) == (422, "invalid_request")


def test_a_roster_entry_beside_a_further_envelope_is_shown_with_the_others(
    hearth: Hearth, una: Someone, ari: Someone, bera: Someone
) -> None:
    entries = [opaque(64), opaque(64)]
    for by, entry in zip((ari, una), entries, strict=True):
        assert give(hearth, by, bera, rosterEntry=entry).status == 204

    for shown in (hearth.keys(ari), keys(hearth, ari)):
        assert [told["rosterEntry"] for told in shown["rosterEntries"]] == entries


# --- Statements and pages


def test_a_statement_is_shown_in_form_2_and_the_roster_beside_it_in_form_1(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    both = {"roster": opaque(100), "statement": opaque(56 * 1024)}
    assert hearth.rotate(una, new_key(1, una, ari, **both)).status == 201
    assert hearth.rotate(una, new_key(2, una, ari, roster=both["roster"])).status == 201

    versions = {shown["keyVersion"]: shown for shown in keys(hearth, ari)["versions"]}
    in_form_1 = {shown["keyVersion"]: shown for shown in hearth.keys(ari)["versions"]}

    assert versions[2]["statement"] == both["statement"]
    assert "roster" not in versions[2]
    assert versions[3]["roster"] == both["roster"]
    assert in_form_1[2]["roster"] == both["roster"]
    assert [shown.keys() for shown in in_form_1.values()] == [
        {"keyVersion", "commitment"},
        *[{"keyVersion", "commitment", "roster"}] * 2,
    ]


def test_statements_are_shown_of_the_newest_twenty_versions(
    keyless: Hearth, una: Someone, ari: Someone
) -> None:
    made = [new_key(version, una, statement=opaque(64)) for version in range(21)]
    assert [keyless.rotate(una, key).status for key in made] == [201] * 21

    shown = keys(keyless, ari)["versions"]

    assert [version.get("statement") for version in shown] == (
        [None, *(key["statement"] for key in made[1:])]
    )


def test_the_members_of_form_1_are_as_they_were(hearth: Hearth, una: Someone, ari: Someone) -> None:
    group = f"/api/groups/{hearth.group_id}"
    assert vouch(hearth, una, ari).status == put_card(hearth, una).status == 204
    shown = Api(una.token)

    devices = shown.get("/api/devices").json["devices"][0].keys()

    assert hearth.keys(una).keys() == {
        *("keyVersion", "rotationRequired", "confirmed", "versions", "envelopes", "rosterEntries")
    }
    assert "browsers" not in shown.get("/api/groups").text
    assert "browsers" not in shown.patch(group, {"browsers": "refused"}).text
    assert [set(device) for device in people(una, groupId=str(hearth.group_id)).values()] == [
        {"publicKey", "confirmed"}
    ] * 2
    assert devices >= {"id", "kind", "isThisOne"}


@pytest.mark.parametrize("form", ["0", "3", "-1", "two", "", "1.5"])
def test_what_is_no_form_is_refused(hearth: Hearth, una: Someone, form: str) -> None:
    paths = [f"/api/groups/{hearth.group_id}/keys", "/api/groups", "/api/users", "/api/devices"]

    refused = [Api(una.token).get(path, form=form) for path in paths]

    assert [(answer.status, answer.code) for answer in refused] == [(422, "invalid_request")] * 4


def make_versions(session: Session, hearth: Hearth, number: int) -> None:
    """Let a group have so many versions."""
    rows = [
        {"group_id": hearth.group_id, "key_version": version, "commitment": bytes(32)}
        for version in range(2, number + 1)
    ]
    session.execute(insert(GroupKey).values(rows))
    session.execute(update(Group).where(Group.id == hearth.group_id).values(key_version=number))
    session.commit()


def test_a_page_has_a_hundred_versions_and_says_where_the_next_begins(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    make_versions(session, hearth, 201)
    factories.confirm(session, hearth.group_id, una, 101)
    factories.confirm(session, hearth.group_id, una, 102)

    pages: list[Any] = []
    before = None
    while before is not None or not pages:
        pages.append(keys(hearth, una, **({"before": before} if before else {})))
        before = pages[-1].get("nextBefore")

    shown = [[version["keyVersion"] for version in page["versions"]] for page in pages]
    assert shown == [list(range(102, 202)), list(range(2, 102)), [1]]
    envelopes = [[sent["keyVersion"] for sent in page["envelopes"]] for page in pages]
    assert envelopes == [[102], [101], [1]]
    assert [page["keyVersion"] for page in pages] == [201] * 3


@pytest.mark.parametrize(("before", "status"), [("1", 422), ("2", 200), ("2147483647", 200)])
def test_a_page_begins_below_a_version(
    hearth: Hearth, una: Someone, before: str, status: int
) -> None:
    path = f"/api/groups/{hearth.group_id}/keys"

    assert Api(una.token).get(path, form="2", before=before).status == status


def test_of_the_present_version_all_envelopes_are_shown_and_four_of_a_former_one(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    wrappers = [una, ari, *(factories.further_device(session, una) for _ in range(3))]
    for wrapper in wrappers[2:]:
        factories.confirm(session, hearth.group_id, wrapper, 1)
    sent = [opaque() for _ in wrappers]
    for wrapper, wrapped in zip(wrappers, sent, strict=True):
        assert give(hearth, wrapper, bera, wrapped).status == 204

    at_present = [shown["wrappedKey"] for shown in keys(hearth, bera)["envelopes"]]
    assert hearth.rotate(una, new_key(1, una)).status == 201
    formerly = [shown["wrappedKey"] for shown in keys(hearth, bera)["envelopes"]]

    assert at_present == sent
    assert formerly == sent[:4]


# --- Vouches


def test_a_vouch_is_shown_to_every_member_in_form_2(
    hearth: Hearth, una: Someone, ari: Someone, bera: Someone
) -> None:
    entry = opaque(768)

    given = vouch(hearth, una, ari, entry)

    assert (given.status, given.text) == (204, "")
    told = {
        "deviceId": str(ari.device_id),
        "entry": entry,
        "voucherDeviceId": str(una.device_id),
    }
    assert [keys(hearth, who)["vouches"] for who in (una, ari, bera)] == [[told]] * 3


def test_a_device_vouches_again_in_the_place_of_what_it_said_before(
    hearth: Hearth, una: Someone, ari: Someone, bera: Someone
) -> None:
    entries = [opaque(100), opaque(100), opaque(100)]
    assert vouch(hearth, una, bera, entries[0]).status == 204
    assert vouch(hearth, ari, bera, entries[1]).status == 204

    assert vouch(hearth, una, bera, entries[2]).status == 204

    shown = [told["entry"] for told in keys(hearth, una)["vouches"]]
    assert shown == [entries[2], entries[1]]


def test_vouches_are_of_the_present_version_alone(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    boat = Hearth(factories.group(session, una, ari, key_version=1))
    assert vouch(hearth, una, ari).status == vouch(boat, una, ari).status == 204
    assert hearth.rotate(una, new_key(1, una, ari)).status == 201

    late = vouch(hearth, una, ari, version=1)
    early = vouch(hearth, una, ari, version=3)

    assert (late.status, late.code) == (409, "key_version_conflict")
    assert (early.status, early.code) == (409, "key_version_conflict")
    assert keys(hearth, una)["vouches"] == []
    assert [row.group_id for row in session.scalars(select(Vouch))] == [boat.group_id]
    assert vouch(hearth, una, ari, version=2).status == 204
    assert len(keys(hearth, una)["vouches"]) == 1


def test_vouches_of_a_former_version_are_not_shown_where_a_former_release_left_them(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    assert vouch(hearth, una, ari).status == 204
    make_versions(session, hearth, 2)
    factories.confirm(session, hearth.group_id, una, 2)

    assert keys(hearth, una)["vouches"] == []
    assert vouch(hearth, una, ari, version=2).status == 204
    assert len(keys(hearth, una)["vouches"]) == 1
    assert keys(hearth, una, before=2)["vouches"] == []


def test_a_device_that_is_no_members_with_a_key_is_not_vouched_for(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    about = [
        factories.with_key(session),
        factories.further_device(session, ari, public_key=None),
        factories.further_device(session, ari, revoked_at=func.now()),
        factories.further_device(session, ari, last_used_on=func.current_date() - 365),
    ]

    refused = [vouch(hearth, una, device) for device in about]

    assert [(answer.status, answer.code) for answer in refused] == (
        [(404, "recipient_not_found")] * 4
    )
    assert session.scalars(select(Vouch.id)).all() == []


def test_a_pending_device_and_a_stranger_state_nothing(
    hearth: Hearth, session: Session, una: Someone, bera: Someone
) -> None:
    stranger = factories.with_key(session)

    refused = [
        act.code
        for who in (bera, stranger)
        for act in (vouch(hearth, who, una), put_card(hearth, who))
    ]

    assert refused == ["not_confirmed"] * 2 + ["group_not_found"] * 2


@pytest.mark.parametrize("length", [0, 40, 769])
def test_what_is_no_vouch_is_refused(
    hearth: Hearth, una: Someone, ari: Someone, length: int
) -> None:
    refused = vouch(hearth, una, ari, opaque(length))

    assert (refused.status, refused.code) == (422, "invalid_request")


def test_of_each_device_the_first_vouches_of_four_persons_are_shown(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    others = [factories.with_key(session) for _ in range(3)]
    for other in others:
        factories.add_member(session, hearth.group_id, other)
    tablet = factories.further_device(session, una)
    vouchers = [una, tablet, ari, *others]
    for voucher in (tablet, *others):
        factories.confirm(session, hearth.group_id, voucher, 1)
    for voucher in vouchers:
        assert vouch(hearth, voucher, bera).status == 204
    assert vouch(hearth, others[-1], ari).status == 204

    shown = keys(hearth, una)["vouches"]

    about_bera = [
        told["voucherDeviceId"] for told in shown if told["deviceId"] == str(bera.device_id)
    ]
    first_four = [una, ari, *others[:2]]
    assert about_bera == [str(voucher.device_id) for voucher in first_four]
    assert len(shown) == 5


# --- Cards


def test_a_card_is_shown_of_one_group_in_form_2(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    boat = Hearth(factories.group(session, una, ari, key_version=1))
    sealed = opaque(3072)
    assert put_card(boat, una).status == 204

    given = put_card(hearth, una, sealed)

    assert (given.status, given.text) == (204, "")
    shown = people(ari, form="2", groupId=str(hearth.group_id))
    assert shown[str(una.device_id)] == {
        "publicKey": to_base64(una.public_key or b""),
        "confirmed": True,
        "kind": "app",
        "card": {"sealed": sealed, "keyVersion": 1},
    }
    assert "card" not in shown[str(ari.device_id)]
    in_all = people(ari, form="2")
    assert {device["kind"] for device in in_all.values()} == {"app"}
    assert not any("card" in device for device in in_all.values())


def test_a_card_takes_the_place_of_the_former_one_and_stays_under_its_version(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    second = opaque(100)
    assert put_card(hearth, una).status == put_card(hearth, una, second).status == 204
    assert hearth.rotate(ari, new_key(1, ari, una)).status == 201
    query = {"form": "2", "groupId": str(hearth.group_id)}

    kept = people(ari, **query)[str(una.device_id)]["card"]
    late = put_card(hearth, una)
    third = put_card(hearth, una, opaque(100), version=2)

    assert kept == {"sealed": second, "keyVersion": 1}
    assert (late.status, late.code) == (409, "key_version_conflict")
    assert third.status == 204
    assert people(ari, **query)[str(una.device_id)]["card"]["keyVersion"] == 2
    assert session.scalar(select(func.count()).select_from(DeviceCard)) == 1


def test_a_group_without_a_key_takes_no_card(keyless: Hearth, una: Someone) -> None:
    refused = put_card(keyless, una)

    assert (refused.status, refused.code) == (409, "key_version_conflict")


@pytest.mark.parametrize(
    "body",
    [
        *({"sealed": opaque(length)} for length in (0, 40, 3073)),
        *({"keyVersion": number} for number in (0, -1, 2**31, 1.5, "1", None)),
    ],
    ids=count(),
)
def test_what_is_no_card_is_refused(hearth: Hearth, una: Someone, body: dict[str, Any]) -> None:
    told = {"keyVersion": 1, "sealed": opaque(41)} | body
    refused = Api(una.token).put(f"/api/groups/{hearth.group_id}/card", told)

    assert (refused.status, refused.code) == (422, "invalid_request")


def test_people_of_one_group_are_shown_to_its_members_alone(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    boat = factories.group(session, ari, factories.someone(session, name="Oli"))

    hers = Api(una.token).get("/api/users", groupId=str(hearth.group_id))
    refused = Api(una.token).get("/api/users", groupId=str(boat))
    his = Api(ari.token).get("/api/users", groupId=str(boat))

    assert {person["name"] for person in hers.json["users"]} == {"Una", "Ari"}
    assert (refused.status, refused.code) == (404, "group_not_found")
    assert {person["name"] for person in his.json["users"]} == {"Ari", "Oli"}
    groups = {group["groupId"] for person in his.json["users"] for group in person["groups"]}
    assert groups == {str(boat)}


def test_envelopes_of_further_wrappers_confirm_no_other_device(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    assert give(hearth, ari, bera).status == give(hearth, una, bera).status == 204
    tablet = factories.further_device(session, bera)

    assert keys(hearth, tablet)["envelopes"] == []
    assert not hearth.is_confirmed(tablet)
    assert session.scalar(select(func.count(KeyEnvelope.id))) == 3
    assert session.scalar(select(func.count(Device.id)).filter_by(in_browser=True)) == 0
