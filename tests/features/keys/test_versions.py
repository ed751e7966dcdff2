"""A group's key: made by a device of its members, one version after another."""

import json
import secrets
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from chalicelib.models import Device, Group, GroupKey, KeyEnvelope
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api
from tests.factories import Someone, new_key, opaque
from tests.features.keys.hearth import Hearth

JSON = {"Content-Type": "application/json"}
IDLE = {"last_used_on": func.current_date() - 364}
IDLE_TOO_LONG = {"last_used_on": func.current_date() - 365}
REVOKED = {"revoked_at": func.now()}


@pytest.mark.parametrize("founder", ["una", "ari"])
def test_any_member_makes_the_first_key(
    keyless: Hearth, una: Someone, ari: Someone, founder: str
) -> None:
    first, other = (una, ari) if founder == "una" else (ari, una)
    before = keyless.keys(first)

    made = keyless.rotate(first, new_key(0, first))

    assert (made.status, made.json) == (201, {"keyVersion": 1})
    assert before == {
        "keyVersion": 0,
        "rotationRequired": False,
        "confirmed": True,
        "versions": [],
        "envelopes": [],
        "rosterEntries": [],
    }
    assert keyless.is_confirmed(first)
    assert not keyless.is_confirmed(other)


def test_a_founder_makes_the_first_key_of_the_group_they_founded(
    api: Api, session: Session
) -> None:
    code = factories.founding_invite(session)
    device = {"name": "Una's phone", "publicKey": opaque(32)}
    joined = api.post(
        "/api/auth/join",
        {"code": code.text, "name": "Una", "device": device, "group": {"name": "Hearth"}},
    ).json
    una = someone(joined)
    hearth = Hearth(UUID(joined["group"]["id"]))

    made = hearth.rotate(una, new_key(0, una))

    assert made.status == 201
    assert hearth.post_sealed(una).status == 200


def test_a_version_is_shown_as_it_was_made_with_the_envelope_of_who_asks(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    key = new_key(1, una, ari, roster=opaque(300))
    by_device = {sent["deviceId"]: sent["wrappedKey"] for sent in key["envelopes"]}

    assert hearth.rotate(una, key).status == 201

    shown = hearth.keys(ari)
    assert shown["keyVersion"] == 2
    assert [version["keyVersion"] for version in shown["versions"]] == [1, 2]
    assert shown["versions"][1] == {
        "keyVersion": 2,
        "commitment": key["commitment"],
        "roster": key["roster"],
    }
    assert "roster" not in shown["versions"][0]
    assert [envelope["keyVersion"] for envelope in shown["envelopes"]] == [1, 2]
    assert shown["envelopes"][1] == {
        "keyVersion": 2,
        "wrappedKey": by_device[str(ari.device_id)],
        "wrapperPublicKey": to_base64(una.public_key or b""),
        "wrapperDeviceId": str(una.device_id),
    }


def test_a_device_is_shown_no_envelope_of_another_not_even_of_ones_own(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    tablet = factories.further_device(session, una)
    factories.confirm(session, hearth.group_id, tablet, 1, by=una)
    wrapped = {
        str(device_id): to_base64(key or b"")
        for device_id, key in session.execute(
            select(KeyEnvelope.device_id, KeyEnvelope.wrapped_key)
        )
    }

    shown = {
        str(device.device_id): [
            envelope["wrappedKey"] for envelope in hearth.keys(device)["envelopes"]
        ]
        for device in (una, tablet, ari)
    }

    assert shown == {device_id: [key] for device_id, key in wrapped.items()}


def test_a_device_is_given_one_key_and_not_two(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    before = factories.everything(session)

    refused = hearth.rotate(una, new_key(1, una, ari, ari))

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert refused.json["detail"] == "envelopes: should name each device once"
    assert factories.everything(session) == before


@pytest.mark.parametrize("expected", [0, 2, 2**31 - 2])
def test_a_new_key_follows_the_present_one_or_nothing_changes(
    hearth: Hearth, session: Session, una: Someone, expected: int
) -> None:
    before = factories.everything(session)

    late = hearth.rotate(una, new_key(expected, una))

    assert (late.status, late.code) == (409, "key_version_conflict")
    assert "version 1 now" in late.json["detail"]
    assert factories.everything(session) == before


def test_of_two_from_the_same_version_the_first_wins(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    first, second = new_key(1, una, ari), new_key(1, una, ari)

    answers = [hearth.rotate(una, first), hearth.rotate(ari, second)]

    assert [answer.status for answer in answers] == [201, 409]
    assert hearth.keys(ari)["versions"][1]["commitment"] == first["commitment"]


def test_any_confirmed_device_makes_a_new_key(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    by_package = factories.further_device(session, una)
    factories.admit(session, hearth.group_id, by_package, 1)

    by_a_member = hearth.rotate(ari, new_key(1, ari, una, by_package))
    by_one_who_came_by_package = hearth.rotate(by_package, new_key(2, by_package))

    assert (by_a_member.status, by_one_who_came_by_package.status) == (201, 201)


@pytest.mark.parametrize("who", ["another member", "the admin's other device"])
def test_a_pending_device_makes_no_new_key(
    hearth: Hearth, session: Session, una: Someone, bera: Someone, who: str
) -> None:
    pending = bera if who == "another member" else factories.further_device(session, una)

    refused = hearth.rotate(pending, new_key(1, pending, una))

    assert (refused.status, refused.code) == (403, "not_confirmed")
    assert hearth.keys(una)["keyVersion"] == 1


def test_a_device_that_is_left_out_is_pending(hearth: Hearth, una: Someone, ari: Someone) -> None:
    assert hearth.is_confirmed(ari)

    assert hearth.rotate(una, new_key(1, una)).status == 201

    assert not hearth.is_confirmed(ari)
    assert [device["deviceId"] for device in hearth.pending(una)] == [str(ari.device_id)]
    assert [envelope["keyVersion"] for envelope in hearth.keys(ari)["envelopes"]] == [1]
    assert hearth.post_sealed(ari, 2).code == "not_confirmed"


def test_whoever_makes_a_key_keeps_it(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    before = factories.everything(session)

    refused = hearth.rotate(una, new_key(1, ari))

    assert (refused.status, refused.code) == (422, "own_envelope_missing")
    assert factories.everything(session) == before


def test_devices_that_may_not_have_the_key_are_named(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    removed, stranger = factories.with_key(session), factories.with_key(session)
    factories.add_member(session, hearth.group_id, removed)
    assert hearth.remove(una, removed).status == 204
    surplus = [
        stranger,
        removed,
        factories.further_device(session, ari, public_key=None),
        factories.further_device(session, ari, **REVOKED),
        factories.further_device(session, ari, **IDLE_TOO_LONG),
        factories.phone(session, hearth.group_id, ari, public_key=secrets.token_bytes(32)),
        Someone(user_id=ari.user_id, device_id=uuid4(), token=""),
    ]
    good = [una, ari, bera, factories.further_device(session, ari, **IDLE)]
    before = factories.everything(session)

    refused = hearth.rotate(una, new_key(1, *good, *surplus))
    taken = hearth.rotate(una, new_key(1, *good))

    assert (refused.status, refused.code) == (422, "surplus_devices")
    named = {device for device in surplus if str(device.device_id) in refused.json["detail"]}
    assert named == set(surplus)
    assert [device for device in good if str(device.device_id) in refused.json["detail"]] == []
    assert taken.status == 201
    assert factories.everything(session) != before
    assert [hearth.is_confirmed(device) for device in good] == [True] * 4


def test_a_device_without_a_public_key_makes_no_key(
    keyless: Hearth, session: Session, una: Someone
) -> None:
    bare = factories.further_device(session, una, public_key=None)

    with_itself = keyless.rotate(bare, new_key(0, una, bare))
    without = keyless.rotate(bare, new_key(0, una))

    assert (with_itself.status, with_itself.code) == (422, "surplus_devices")
    assert (without.status, without.code) == (422, "own_envelope_missing")
    assert session.scalar(select(func.count(GroupKey.id))) == 0


@pytest.mark.parametrize(
    "end",
    [
        {Device.revoked_at: func.now()},
        {Device.last_used_on: func.current_date() - 365},
    ],
    ids=["revoked", "idle for a year"],
)
def test_where_no_confirmed_device_is_left_an_admins_begins_anew(
    hearth: Hearth, session: Session, una: Someone, bera: Someone, end: Any
) -> None:
    tablet = factories.further_device(session, una)
    for lost in session.scalars(select(KeyEnvelope.device_id)).all():
        still_locked_out = hearth.rotate(tablet, new_key(1, tablet))
        assert (still_locked_out.status, still_locked_out.code) == (403, "not_confirmed")
        session.execute(update(Device).where(Device.id == lost).values(end))
        session.commit()

    by_a_member = hearth.rotate(bera, new_key(1, bera))
    by_an_admin = hearth.rotate(tablet, new_key(1, tablet, bera))

    assert (by_a_member.status, by_a_member.code) == (403, "not_confirmed")
    assert (by_an_admin.status, by_an_admin.json) == (201, {"keyVersion": 2})
    assert hearth.is_confirmed(bera)


def test_somebody_who_came_by_package_and_has_no_envelope_yet_is_a_confirmed_device_left(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, bera: Someone
) -> None:
    factories.admit(session, hearth.group_id, bera, 1)
    tablet = factories.further_device(session, una)
    for lost in (una, ari):
        session.execute(update(Device).where(Device.id == lost.device_id).values(REVOKED))
    session.commit()

    refused = hearth.rotate(tablet, new_key(1, tablet))

    assert (refused.status, refused.code) == (403, "not_confirmed")


def test_confirmed_devices_of_those_who_have_gone_hold_nobody_up(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    tablet = factories.further_device(session, una)
    assert hearth.give_back(una).status == 204
    held_up = hearth.rotate(tablet, new_key(1, tablet))

    assert hearth.leave(ari).status == 204
    begun = hearth.rotate(tablet, new_key(1, tablet))

    assert (held_up.status, held_up.code) == (403, "not_confirmed")
    assert begun.status == 201


def test_a_new_key_ends_the_wait_for_one(hearth: Hearth, una: Someone, ari: Someone) -> None:
    assert hearth.leave(ari).status == 204
    assert hearth.keys(una)["rotationRequired"] is True

    assert hearth.rotate(una, new_key(1, una)).status == 201

    assert hearth.keys(una)["rotationRequired"] is False
    assert hearth.post_sealed(una, 2).status == 200


@pytest.mark.parametrize(("hours", "status"), [(23, 429), (24, 201)])
def test_a_person_makes_forty_keys_of_a_group_a_day(
    keyless: Hearth, session: Session, una: Someone, hours: int, status: int
) -> None:
    earlier = factories.now(session) - timedelta(hours=hours)
    times = [earlier, *[factories.now(session)] * 38]
    make_versions(session, keyless.group_id, times, counted_for=una.user_id)
    factories.confirm(session, keyless.group_id, una, 39)
    assert keyless.rotate(una, new_key(39, una)).status == 201

    one_more = keyless.rotate(una, new_key(40, una))

    assert one_more.status == status
    if status == 429:
        assert one_more.code == "too_many_requests"
        assert one_more.headers["Retry-After"] == "3600"


@pytest.mark.parametrize("who", ["another member", "the same in another group", "no person"])
def test_the_keys_of_others_and_of_other_groups_do_not_count(
    keyless: Hearth, session: Session, una: Someone, ari: Someone, who: str
) -> None:
    counted_for = {"another member": ari.user_id, "no person": None}.get(who, una.user_id)
    place = keyless.group_id
    if who == "the same in another group":
        place = factories.group(session, una)
    make_versions(session, place, [factories.now(session)] * 40, counted_for=counted_for)
    version = session.get_one(Group, keyless.group_id).key_version
    if version:
        factories.confirm(session, keyless.group_id, una, version)

    assert keyless.rotate(una, new_key(version, una)).status == 201


def test_a_key_that_is_required_is_made_however_many_there_were_and_does_not_count(
    keyless: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    times = [factories.now(session)] * 40
    make_versions(session, keyless.group_id, times, counted_for=una.user_id)
    factories.confirm(session, keyless.group_id, una, 40)
    factories.confirm(session, keyless.group_id, ari, 40)
    assert keyless.rotate(una, new_key(40, una)).status == 429

    assert keyless.leave(ari).status == 204

    assert keyless.rotate(una, new_key(40, una)).status == 201
    counted = select(GroupKey.counted_for).where(GroupKey.key_version == 41)
    assert session.scalars(counted).all() == [None]


def make_versions(
    session: Session, group_id: UUID, made: list[datetime], *, counted_for: UUID | None
) -> None:
    """Give a group its versions, each made at its time."""
    for number, at in enumerate(made, 1):
        version = {"key_version": number, "commitment": bytes(32), "created_at": at}
        session.add(GroupKey(group_id=group_id, counted_for=counted_for, **version))
    session.execute(update(Group).where(Group.id == group_id).values(key_version=len(made)))
    session.commit()


def test_rosters_are_shown_of_the_newest_twenty_versions(
    keyless: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    keys = [new_key(version, una, ari, roster=opaque(64)) for version in range(22)]
    assert [keyless.rotate(una, key).status for key in keys] == [201] * 22

    shown = keyless.keys(ari)["versions"]

    assert [version["keyVersion"] for version in shown] == list(range(1, 23))
    assert [version["commitment"] for version in shown] == [key["commitment"] for key in keys]
    assert [version.get("roster") for version in shown] == (
        [None, None, *(key["roster"] for key in keys[2:])]
    )
    assert session.scalar(select(func.count(GroupKey.roster))) == 22


@pytest.mark.parametrize(
    "fields",
    [
        *({"commitment": opaque(length)} for length in (0, 31, 33)),
        {"commitment": None},
        *({"roster": opaque(length)} for length in (0, 40, 16 * 1024 + 1)),
        *({"statement": opaque(length)} for length in (0, 40, 56 * 1024 + 1)),
        {"envelopes": []},
        {"envelopes": [{"deviceId": str(uuid4()), "wrappedKey": opaque()}] * 501},
        *(
            {"envelopes": [{"deviceId": str(uuid4()), "wrappedKey": opaque(length)}]}
            for length in (0, 32, 71, 73)
        ),
        {"envelopes": [{"deviceId": "x", "wrappedKey": opaque()}]},
        *({"expectedVersion": number} for number in (-1, 2**31 - 1, 1.5, "1", None)),
    ],
    ids=count(),
)
def test_what_is_no_key_is_refused(
    hearth: Hearth, session: Session, una: Someone, fields: dict[str, Any]
) -> None:
    refused = hearth.rotate(una, new_key(1, una) | fields)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert session.scalars(select(Group.key_version)).all() == [1]


@pytest.mark.parametrize("length", [41, 16 * 1024])
def test_a_roster_has_up_to_16_kibibytes(hearth: Hearth, una: Someone, length: int) -> None:
    roster = opaque(length)

    assert hearth.rotate(una, new_key(1, una, roster=roster)).status == 201

    assert hearth.keys(una)["versions"][1]["roster"] == roster


def test_a_key_for_five_hundred_devices_fits_and_no_larger_body(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    devices = [una, *(factories.further_device(session, una) for _ in range(499))]
    key = json.dumps(new_key(1, *devices, roster=opaque(16 * 1024))).encode()
    una_calls = Api(una.token)

    answers = [
        una_calls.post(f"/api/groups/{hearth.group_id}/keys", raw=key.ljust(size), headers=JSON)
        for size in (160 * 1024 + 1, 160 * 1024)
    ]

    assert [answer.status for answer in answers] == [413, 201]
    assert answers[0].code == "body_too_large"
    assert hearth.is_confirmed(devices[-1])


def someone(joined: Any) -> Someone:
    """The person that an answer to a join speaks of."""
    return Someone(
        user_id=UUID(joined["user"]["id"]),
        device_id=UUID(joined["device"]["id"]),
        token=joined["token"],
    )
