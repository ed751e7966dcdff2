"""The first Draugar app: it registers its key and asks for the group's, wrapped for it."""

from itertools import count
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.models import Device
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone, new_key, opaque
from tests.features.keys.hearth import Hearth


def register(who: Someone, public_key: Any) -> Reply:
    return Api(who.token).post("/api/crypto/register-key", {"publicKey": public_key})


def group_key(who: Someone) -> Reply:
    return Api(who.token).get("/api/crypto/group-key")


@pytest.fixture
def bare(session: Session, hearth: Hearth) -> Someone:
    """A member whose app has registered no key yet."""
    bare = factories.someone(session, name="Bera")
    factories.add_member(session, hearth.group_id, bare)
    return bare


def test_a_key_that_is_registered_is_kept_while_nobody_has_wrapped_the_groups(
    hearth: Hearth, session: Session, una: Someone, bare: Someone
) -> None:
    public_key = opaque(32)

    pending = register(bare, public_key)

    assert (pending.status, pending.code) == (404, "key_pending")
    assert group_key(bare).code == "key_pending"
    kept = session.scalars(select(Device.public_key).filter_by(id=bare.device_id)).one()
    assert to_base64(kept or b"") == public_key
    assert [device["publicKey"] for device in hearth.pending(una)] == [public_key]


def test_the_groups_key_comes_with_the_key_of_who_wrapped_it(
    hearth: Hearth, ari: Someone, bare: Someone
) -> None:
    public_key, wrapped = opaque(32), opaque()
    register(bare, public_key)
    assert hearth.hand_on(ari, bare, wrapped).status == 204

    answers = [register(bare, public_key), group_key(bare)]

    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.json for answer in answers] == [
        {"package": wrapped, "adminPublicKey": to_base64(ari.public_key or b""), "keyVersion": 1}
    ] * 2


@pytest.mark.usefixtures("api")
def test_in_a_group_without_a_key_there_is_none_to_wait_for(session: Session) -> None:
    una, alone = factories.someone(session), factories.someone(session)
    factories.group(session, una)

    answers = [
        answer for who in (una, alone) for answer in (register(who, opaque(32)), group_key(who))
    ]

    assert {(answer.status, answer.code) for answer in answers} == {(409, "group_key_missing")}
    assert session.scalar(select(func.count(Device.public_key))) == 2


def test_a_public_key_is_written_once(session: Session, hearth: Hearth, bare: Someone) -> None:
    first = opaque(32)
    register(bare, first)

    another = register(bare, opaque(32))
    again = register(bare, first)

    assert (another.status, another.code) == (409, "public_key_set")
    assert (again.status, again.code) == (404, "key_pending")
    kept = session.scalars(select(Device.public_key).filter_by(id=bare.device_id)).one()
    assert to_base64(kept or b"") == first
    assert not hearth.is_confirmed(bare)


def test_a_public_key_that_came_with_the_join_stays(
    api: Api, session: Session, hearth: Hearth, una: Someone
) -> None:
    code = factories.invite(session, group_id=hearth.group_id, by=una)
    device = {"publicKey": opaque(32)}
    token = api.post("/api/auth/join", {"code": code.text, "name": "B", "device": device}).json[
        "token"
    ]

    another = api.as_(token).post("/api/crypto/register-key", {"publicKey": opaque(32)})

    assert (another.status, another.code) == (409, "public_key_set")


def test_the_newest_envelope_is_answered(hearth: Hearth, una: Someone, ari: Someone) -> None:
    key = new_key(1, una, ari)
    sent = {envelope["deviceId"]: envelope["wrappedKey"] for envelope in key["envelopes"]}
    former = group_key(ari).json

    assert hearth.rotate(una, key).status == 201

    present = group_key(ari).json
    assert (former["keyVersion"], present["keyVersion"]) == (1, 2)
    assert present["package"] == sent[str(ari.device_id)]


def test_a_device_that_a_rotation_left_out_is_not_shown_the_former_key(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    assert hearth.rotate(una, new_key(1, una)).status == 201

    answers = [group_key(ari), register(ari, to_base64(ari.public_key or b""))]

    assert [(answer.status, answer.code) for answer in answers] == [(404, "key_pending")] * 2


def test_one_who_came_by_package_waits_for_their_own_envelope(
    hearth: Hearth, session: Session, ari: Someone
) -> None:
    tablet = factories.further_device(session, ari)
    factories.admit(session, hearth.group_id, tablet, 1)

    before = group_key(tablet)
    wrapped = opaque()
    assert hearth.hand_on(tablet, tablet, wrapped).status == 204

    assert (before.status, before.code) == (404, "key_pending")
    assert group_key(tablet).json == {
        "package": wrapped,
        "adminPublicKey": to_base64(tablet.public_key or b""),
        "keyVersion": 1,
    }


def test_of_several_groups_the_newest_envelope_that_carries_a_present_key_counts(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    boat = Hearth(factories.group(session, una, ari, key_version=4))
    assert group_key(ari).json["keyVersion"] == 4

    assert boat.rotate(una, new_key(4, una)).status == 201

    assert group_key(ari).json["keyVersion"] == 1
    assert hearth.leave(ari).status == 204
    assert group_key(ari).code == "key_pending"


def test_it_is_the_device_that_is_answered_not_the_person(
    hearth: Hearth, session: Session, ari: Someone
) -> None:
    tablet = factories.further_device(session, ari, public_key=None)

    assert group_key(ari).status == 200
    assert register(tablet, opaque(32)).code == "key_pending"
    assert not hearth.is_confirmed(tablet)


@pytest.mark.parametrize(
    "public_key", [opaque(31), opaque(33), "", "!" * 43, None, 7, [opaque(32)]], ids=count()
)
def test_what_is_no_public_key_is_refused(session: Session, bare: Someone, public_key: Any) -> None:
    refused = register(bare, public_key)

    assert (refused.status, refused.code) == (422, "invalid_request")
    kept = session.scalars(select(Device.public_key).filter_by(id=bare.device_id)).one()
    assert kept is None
