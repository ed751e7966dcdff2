"""Invites that carry the group's key, sealed for whoever has the secret of their link."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import InviteCode
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone, new_key, opaque
from tests.faults.processes import invoke
from tests.features.keys.hearth import Hearth

REPEAT = {"Idempotency-Key": "nobody-else-knows-this-one"}


def package(**fields: Any) -> dict[str, Any]:
    """Make what an inviter's client sends."""
    return {
        "code": Code.make(None).text,
        "keyPackage": opaque(400),
        "keyVersion": 1,
        "expiresInHours": 24,
        **fields,
    }


def join(code: str, *, public_key: str | None = None, **headers: str) -> Reply:
    body: dict[str, Any] = {"code": code, "name": "Signy"}
    if public_key is not None:
        body["device"] = {"publicKey": public_key}
    return Api().post("/api/auth/join", body, headers=headers)


def joined(answer: Reply) -> Someone:
    """The person who has come in."""
    assert answer.status == 201, answer.text
    return Someone(
        user_id=UUID(answer.json["user"]["id"]),
        device_id=UUID(answer.json["device"]["id"]),
        token=answer.json["token"],
    )


def kept(session: Session) -> list[bytes]:
    """The packages that the service has."""
    return [key for key in session.scalars(select(InviteCode.key_package)) if key is not None]


def test_the_key_comes_with_the_answer_and_lets_the_joiner_in_at_once(
    hearth: Hearth, session: Session, ari: Someone
) -> None:
    sent = package()
    made = hearth.invite(ari, **sent)

    answer = join(sent["code"], public_key=opaque(32))

    assert (made.status, made.json["code"]) == (201, sent["code"])
    assert (answer.json["keyPackage"], answer.json["keyVersion"]) == (sent["keyPackage"], 1)
    signy = joined(answer)
    assert hearth.is_confirmed(signy)
    assert hearth.post_sealed(signy).status == 200
    assert Api(signy.token).get("/api/locations/latest").status == 200
    assert kept(session) == []


def test_a_joiner_puts_their_own_envelope_once(hearth: Hearth, una: Someone) -> None:
    sent = package()
    hearth.invite(una, **sent)
    signy = joined(join(sent["code"], public_key=opaque(32)))
    wrapped = opaque()
    waiting = hearth.pending(signy)

    answers = [hearth.hand_on(signy, signy, own) for own in (wrapped, wrapped, opaque())]

    assert [device["deviceId"] for device in waiting] == [str(signy.device_id)]
    assert [answer.status for answer in answers] == [204, 204, 409]
    assert answers[-1].code == "envelope_exists"
    assert hearth.pending(signy) == []
    assert Api(signy.token).get("/api/crypto/group-key").json["package"] == wrapped
    assert hearth.give_back(signy).status == 204
    assert hearth.hand_on(signy, signy, wrapped).code == "not_confirmed"


def test_a_joiner_hands_the_key_on(hearth: Hearth, una: Someone, bera: Someone) -> None:
    sent = package()
    hearth.invite(una, **sent)
    signy = joined(join(sent["code"], public_key=opaque(32)))

    assert hearth.hand_on(signy, bera).status == 204

    assert hearth.is_confirmed(bera)


def test_a_member_may_be_quicker_to_wrap_the_key(hearth: Hearth, una: Someone) -> None:
    sent = package()
    hearth.invite(una, **sent)
    signy = joined(join(sent["code"], public_key=opaque(32)))

    given = hearth.hand_on(una, signy)
    late = hearth.hand_on(signy, signy)

    assert given.status == 204
    assert (late.status, late.code) == (409, "envelope_exists")
    assert hearth.is_confirmed(signy)


def test_what_a_joiner_wrapped_gives_way_to_a_member_who_vouches_for_them(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    sent = package()
    hearth.invite(una, **sent)
    signy = joined(join(sent["code"], public_key=opaque(32)))
    own, wrapped, entry = opaque(), opaque(), opaque(64)
    hearth.hand_on(signy, signy, own)

    silent = hearth.hand_on(una, signy, opaque())
    vouching = [hearth.hand_on(una, signy, wrapped, rosterEntry=entry) for _ in range(2)]
    late = hearth.hand_on(ari, signy, opaque(), rosterEntry=opaque(64))

    assert (silent.status, silent.code) == (409, "envelope_exists")
    assert [answer.status for answer in vouching] == [204, 204]
    assert (late.status, late.code) == (409, "envelope_exists")
    (envelope,) = hearth.keys(signy)["envelopes"]
    assert envelope["wrappedKey"] == wrapped
    assert envelope["wrapperDeviceId"] == str(una.device_id)
    assert hearth.keys(ari)["rosterEntries"] == [
        {"keyVersion": 1, "rosterEntry": entry, "wrapperDeviceId": str(una.device_id)}
    ]


def test_an_answer_given_again_is_without_the_key_and_the_joiner_waits_for_an_envelope(
    hearth: Hearth, una: Someone
) -> None:
    sent, public_key = package(), opaque(32)
    hearth.invite(una, **sent)
    lost = join(sent["code"], public_key=public_key, **REPEAT)

    again = join(sent["code"], public_key=public_key, **REPEAT)

    assert again.json.keys() == lost.json.keys() - {"keyPackage", "keyVersion"}
    signy = joined(again)
    assert [device["deviceId"] for device in hearth.pending(una)] == [str(signy.device_id)]
    assert Api(signy.token).get("/api/crypto/group-key").code == "key_pending"
    assert hearth.hand_on(una, signy).status == 204
    assert Api(signy.token).get("/api/crypto/group-key").status == 200


def test_a_joiner_without_a_public_key_is_given_no_key(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    sent = package()
    hearth.invite(una, **sent)

    answer = join(sent["code"])

    assert answer.json.keys() == {"token", "user", "device", "group"}
    assert not hearth.is_confirmed(joined(answer))
    assert kept(session) == []


def test_after_a_rotation_it_is_left_out_and_the_joiner_is_pending(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    first, second = package(), package(keyVersion=2)
    hearth.invite(una, **first)
    assert len(kept(session)) == 1

    assert hearth.rotate(una, new_key(1, una)).status == 201

    assert kept(session) == []
    assert hearth.invite(una, **second).status == 201
    answer = join(first["code"], public_key=opaque(32))
    assert answer.json.keys() == {"token", "user", "device", "group"}
    signy = joined(answer)
    assert not hearth.is_confirmed(signy)
    assert hearth.hand_on(signy, signy, version=2).code == "not_confirmed"
    assert join(second["code"], public_key=opaque(32)).json["keyVersion"] == 2


def test_whoever_is_signed_in_is_given_it_too(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    signy, bare = factories.with_key(session), factories.someone(session)
    sent = [package(), package()]
    for each in sent:
        hearth.invite(una, **each)

    with_key = Api(signy.token).post("/api/groups/join", {"code": sent[0]["code"]})
    again = Api(signy.token).post("/api/groups/join", {"code": sent[0]["code"]})
    without = Api(bare.token).post("/api/groups/join", {"code": sent[1]["code"]})

    assert [answer.status for answer in (with_key, again, without)] == [200] * 3
    assert with_key.json["keyPackage"] == sent[0]["keyPackage"]
    assert (with_key.json["confirmed"], with_key.json["keyVersion"]) == (True, 1)
    assert "keyPackage" not in again.json
    assert again.json["confirmed"] is True
    assert "keyPackage" not in without.json
    assert without.json["confirmed"] is False
    assert kept(session) == []


def test_a_member_does_not_take_the_key_from_who_is_to_have_it(
    hearth: Hearth, session: Session, una: Someone, bera: Someone
) -> None:
    sent = package()
    hearth.invite(una, **sent)

    refused = Api(bera.token).post("/api/groups/join", {"code": sent["code"]})

    assert (refused.status, refused.code) == (409, "already_a_member")
    assert len(kept(session)) == 1
    assert not hearth.is_confirmed(bera)
    assert "keyPackage" in join(sent["code"], public_key=opaque(32)).json


def test_the_package_goes_with_a_revocation(hearth: Hearth, session: Session, una: Someone) -> None:
    invite = hearth.invite(una, **package()).json["id"]

    assert Api(una.token).delete(f"/api/invites/{invite}").status == 204

    assert kept(session) == []


@pytest.mark.parametrize("change", ["removal", "leaving", "revocation"])
def test_the_packages_go_with_whoever_knows_the_key(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, change: str
) -> None:
    sent = package()
    hearth.invite(una, **sent)

    gone = {
        "removal": lambda: hearth.remove(una, ari),
        "leaving": lambda: hearth.leave(ari),
        "revocation": lambda: Api(ari.token).post("/api/auth/logout"),
    }[change]()

    assert gone.status == 204
    assert kept(session) == []
    assert join(sent["code"], public_key=opaque(32)).code == "invite_not_valid"


def test_the_package_goes_when_the_code_has_expired(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    sent = package()
    hearth.invite(una, **sent)
    earlier = factories.now(session) - timedelta(days=8)
    session.execute(
        update(InviteCode).values(created_at=earlier, expires_at=factories.now(session))
    )
    session.commit()

    expired = join(sent["code"], public_key=opaque(32))
    invoke("purge_expired_invites")

    assert expired.code == "invite_not_valid"
    assert kept(session) == []


@pytest.mark.parametrize("version", [1, 3])
def test_a_package_holds_the_present_key_or_is_refused(
    hearth: Hearth, session: Session, una: Someone, version: int
) -> None:
    assert hearth.rotate(una, new_key(1, una)).status == 201

    refused = hearth.invite(una, **package(keyVersion=version))

    assert (refused.status, refused.code) == (409, "key_version_conflict")
    assert kept(session) == []


def test_a_key_that_has_to_be_replaced_is_sent_to_nobody(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    assert hearth.leave(ari).status == 204

    refused = hearth.invite(una, **package())

    assert (refused.status, refused.code) == (409, "rotation_required")
    assert kept(session) == []


def test_a_group_without_a_key_has_none_to_send(keyless: Hearth, una: Someone) -> None:
    refused = keyless.invite(una, **package())

    assert (refused.status, refused.code) == (409, "key_version_conflict")


def test_without_a_package_people_are_invited_while_a_new_key_is_missing(
    hearth: Hearth, una: Someone, ari: Someone
) -> None:
    assert hearth.leave(ari).status == 204

    assert hearth.invite(una).status == 201


@pytest.mark.parametrize("length", [41, 20 * 1024])
def test_a_package_has_up_to_20_kibibytes(hearth: Hearth, una: Someone, length: int) -> None:
    sent = package(keyPackage=opaque(length))

    assert hearth.invite(una, **sent).status == 201

    assert join(sent["code"], public_key=opaque(32)).json["keyPackage"] == sent["keyPackage"]


def test_an_invite_with_a_package_lives_seven_days_at_most(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    made = hearth.invite(una, **package(expiresInHours=168))

    assert made.status == 201
    week = datetime.fromisoformat(made.json["expiresAt"]) - factories.now(session)
    assert week == timedelta(days=7)


@pytest.mark.parametrize(
    "fields",
    [
        {"expiresInHours": 168.001},
        {"expiresInHours": None},
        {"code": None},
        {"keyVersion": None},
        {"keyPackage": None},
        {"keyVersion": 0},
        {"keyVersion": 2**31},
        *({"keyPackage": opaque(length)} for length in (0, 40, 20 * 1024 + 1)),
    ],
    ids=count(),
)
def test_what_is_no_package_is_refused(
    hearth: Hearth, session: Session, una: Someone, fields: dict[str, Any]
) -> None:
    refused = hearth.invite(una, **package(**fields))

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert session.scalars(select(InviteCode.id)).all() == []


def test_a_package_without_a_life_lives_for_an_hour(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    sent = package()
    del sent["expiresInHours"]

    made = hearth.invite(una, **sent)

    assert datetime.fromisoformat(made.json["expiresAt"]) == (
        factories.now(session) + timedelta(hours=1)
    )
