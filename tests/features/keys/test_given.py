"""Which device was given which key: whose departure costs a new one, and who may make it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from chalicelib.models import Device, GivenKey, Group, KeyEnvelope
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone, new_key, opaque
from tests.features.keys.hearth import Hearth

CODE = "RT5WLJ8BK2MNP4QX"

DEPARTURES: dict[str, Callable[[Hearth, Someone, Someone], Reply]] = {
    "removed": lambda hearth, una, who: hearth.remove(una, who),
    "left": lambda hearth, _, who: hearth.leave(who),
    "account deleted": lambda *people: Api(people[2].token).delete("/api/users/me"),
    "signed out": lambda *people: Api(people[2].token).post("/api/auth/logout"),
    "device revoked": lambda *people: Api(people[2].token).delete(
        f"/api/devices/{people[2].device_id}"
    ),
}
every_departure = pytest.mark.parametrize("departure", DEPARTURES)


def open_invites(session: Session, hearth: Hearth, *makers: Someone) -> dict[Someone, Any]:
    return {who: factories.invite(session, group_id=hearth.group_id, by=who) for who in makers}


def still_open(invites: dict[Someone, Any]) -> list[Someone]:
    return [
        who
        for who, code in invites.items()
        if Api().post("/api/invites/validate", {"code": code.text}).json["valid"]
    ]


@every_departure
def test_a_pending_device_that_goes_costs_nothing_but_the_invites_of_its_person(
    hearth: Hearth, session: Session, una: Someone, bera: Someone, departure: str
) -> None:
    invites = open_invites(session, hearth, una, bera)
    hearth.invite(una, code=CODE, keyPackage=opaque(100), keyVersion=1)

    assert DEPARTURES[departure](hearth, una, bera).status == 204

    assert hearth.keys(una)["rotationRequired"] is False
    assert still_open(invites) == [una]
    assert Api().post("/api/invites/validate", {"code": CODE}).json["valid"] is True
    assert hearth.post_sealed(una).status == 200


@every_departure
@pytest.mark.parametrize(
    "given",
    ["by a member", "by a member, and given back", "by a package", "by a version of its own"],
)
def test_a_device_that_was_given_the_present_key_costs_a_new_one(  # noqa: PLR0913, PLR0917
    hearth: Hearth, session: Session, una: Someone, bera: Someone, given: str, departure: str
) -> None:
    goes = give(given, hearth, session, una, bera)
    invites = open_invites(session, hearth, una, goes)

    assert DEPARTURES[departure](hearth, una, goes).status == 204

    assert hearth.keys(una)["rotationRequired"] is True
    assert still_open(invites) == []


def give(given: str, hearth: Hearth, session: Session, una: Someone, bera: Someone) -> Someone:
    """Give a device the present key in one of the ways there are; return its person."""
    if given == "by a package":
        hearth.invite(una, code=CODE, keyPackage=opaque(100), keyVersion=1)
        body = {"code": CODE, "name": "Oli", "device": {"publicKey": opaque(32)}}
        joined = Api().post("/api/auth/join", body).json
        assert "keyPackage" in joined
        device_id = session.scalars(select(Device.id).filter_by(id=joined["device"]["id"])).one()
        user_id = session.scalars(select(Device.user_id).filter_by(id=device_id)).one()
        return Someone(user_id, device_id, joined["token"])
    assert hearth.hand_on(una, bera).status == 204
    if given == "by a version of its own":
        assert hearth.rotate(bera, new_key(1, una, bera)).status == 201
    if given.endswith("given back"):
        assert hearth.give_back(bera).status == 204
        assert not hearth.is_confirmed(bera)
    return bera


@every_departure
def test_a_device_that_was_given_former_keys_alone_costs_nothing(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, departure: str
) -> None:
    assert hearth.rotate(una, new_key(1, una)).status == 201
    invites = open_invites(session, hearth, una, ari)

    assert DEPARTURES[departure](hearth, una, ari).status == 204

    assert hearth.keys(una)["rotationRequired"] is False
    assert still_open(invites) == [una]


@pytest.mark.parametrize("departure", ["removed", "left", "account deleted"])
@pytest.mark.parametrize("other", ["tablet", "revoked tablet", "phone"])
def test_any_device_of_a_departing_person_counts(  # noqa: PLR0913, PLR0917
    hearth: Hearth, session: Session, una: Someone, bera: Someone, other: str, departure: str
) -> None:
    if other == "phone":
        factories.phone(session, hearth.group_id, bera, key_version=1)
    else:
        revoked_at = func.now() if other == "revoked tablet" else None
        tablet = factories.further_device(session, bera, revoked_at=revoked_at)
        factories.confirm(session, hearth.group_id, tablet, 1, by=una)

    assert DEPARTURES[departure](hearth, una, bera).status == 204

    assert hearth.keys(una)["rotationRequired"] is True


@pytest.mark.parametrize("departure", ["removed", "left", "account deleted"])
def test_the_devices_and_phones_of_others_do_not_count(
    hearth: Hearth, session: Session, una: Someone, bera: Someone, departure: str
) -> None:
    factories.phone(session, hearth.group_id, una, key_version=1)
    boat = factories.group(session, bera, key_version=1)
    factories.phone(session, boat, bera, key_version=1)

    assert DEPARTURES[departure](hearth, una, bera).status == 204

    assert hearth.keys(una)["rotationRequired"] is False


@pytest.mark.parametrize(("key_version", "is_due"), [(0, False), (1, False), (2, True)])
def test_a_phone_costs_a_new_key_where_it_is_set_up_with_the_present_one(
    hearth: Hearth, session: Session, una: Someone, key_version: int, *, is_due: bool
) -> None:
    boat = Hearth(factories.group(session, una, key_version=1))
    assert hearth.rotate(una, new_key(1, una)).status == 201
    phone = factories.phone(session, hearth.group_id, una, key_version=key_version)

    assert Api(una.token).delete(f"/api/devices/{phone.device_id}").status == 204

    assert hearth.keys(una)["rotationRequired"] is is_due
    assert boat.keys(una)["rotationRequired"] is False


def test_a_phone_without_a_key_costs_a_group_without_one_nothing(
    keyless: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    factories.phone(session, keyless.group_id, ari, key_version=0)

    assert keyless.leave(ari).status == 204

    assert session.scalars(select(Group.rotation_required)).all() == [False]
    assert keyless.rotate(una, new_key(0, una)).status == 201


def test_a_revoked_device_costs_those_groups_a_key_whose_present_one_it_was_given(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    boat = Hearth(factories.group(session, una, ari, key_version=2))
    tablet = factories.further_device(session, una)
    factories.confirm(session, hearth.group_id, tablet, 1)
    factories.confirm(session, boat.group_id, tablet, 1)
    invites = open_invites(session, boat, ari) | {una: open_invites(session, hearth, ari)[ari]}

    assert Api(una.token).delete(f"/api/devices/{tablet.device_id}").status == 204

    required = [group.keys(una)["rotationRequired"] for group in (hearth, boat)]
    assert required == [True, False]
    assert still_open(invites) == [ari]


def test_who_was_removed_and_comes_back_pending_costs_nothing_and_makes_no_key(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    factories.group(session, ari)  # so that they stay signed in
    assert hearth.remove(una, ari).status == 204
    assert hearth.rotate(una, new_key(1, una)).status == 201
    factories.add_member(session, hearth.group_id, ari)

    refused = hearth.rotate(ari, new_key(2, ari))
    assert hearth.leave(ari).status == 204

    assert (refused.status, refused.code) == (403, "not_confirmed")
    assert hearth.keys(una)["rotationRequired"] is False


def test_a_device_that_was_ever_given_a_key_makes_the_next_when_it_is_left_out(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    assert hearth.rotate(una, new_key(1, una)).status == 201
    assert hearth.rotate(una, new_key(2, una)).status == 201
    assert not hearth.is_confirmed(ari)

    made = hearth.rotate(ari, new_key(3, ari, una))

    assert (made.status, made.json) == (201, {"keyVersion": 4})
    assert hearth.is_confirmed(ari)


@pytest.mark.parametrize("where", ["another group", "another device", "another person"])
def test_only_what_the_device_itself_was_given_in_the_group_counts(
    hearth: Hearth, session: Session, una: Someone, bera: Someone, where: str
) -> None:
    pending = bera
    if where == "another group":
        factories.group(session, bera, key_version=1)
    if where == "another device":
        tablet = factories.further_device(session, bera)
        factories.confirm(session, hearth.group_id, tablet, 1, by=una)

    refused = hearth.rotate(pending, new_key(1, pending))

    assert (refused.status, refused.code) == (403, "not_confirmed")


def test_deleting_an_envelope_does_not_undo_that_the_key_was_given(
    hearth: Hearth, session: Session, ari: Someone
) -> None:
    given = select(GivenKey.key_version).filter_by(device_id=ari.device_id)

    assert hearth.give_back(ari).status == 204

    envelopes = select(KeyEnvelope.id).filter_by(device_id=ari.device_id)
    assert session.scalars(envelopes).all() == []
    assert session.scalars(given).all() == [1]
    session.execute(delete(Device).where(Device.id == ari.device_id))
    assert session.scalars(given).all() == []
