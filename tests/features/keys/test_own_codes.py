"""Codes that a client makes itself, because what it sends with them is made for them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from chalicelib.invites.codes import InviteCode as Code
from chalicelib.invites.codes import code_hash
from chalicelib.models import InviteCode
from tests import factories
from tests.api import Api
from tests.database import PEPPER
from tests.factories import Someone, opaque
from tests.features.keys.hearth import Hearth

CODE = "RT5WLJ8BK2MNP4QX"


@pytest.mark.parametrize("code", [CODE, CODE + "ABCDEFGH", CODE * 2])
def test_a_code_of_ones_own_has_16_to_32_characters(
    api: Api, hearth: Hearth, una: Someone, code: str
) -> None:
    made = hearth.invite(una, code=code)

    assert (made.status, made.json["code"]) == (201, code)
    assert api.post("/api/auth/join", {"code": code, "name": "Signy"}).status == 201


def test_a_code_is_kept_and_answered_in_its_canonical_form(
    api: Api, hearth: Hearth, una: Someone
) -> None:
    made = hearth.invite(una, code="rt5w-lj8b k2mn-p4qx")

    assert made.json["code"] == CODE
    assert api.post("/api/invites/validate", {"code": CODE}).json["valid"] is True


@pytest.mark.parametrize(
    "code",
    [
        *(CODE[:length] for length in (0, 8, 15)),
        CODE * 2 + "A",
        *(CODE[:-1] + letter for letter in "IO01!é_"),
        CODE[:8] + "-" * 8,
        7,
    ],
)
def test_what_is_no_code_of_ones_own_is_refused(
    hearth: Hearth, session: Session, una: Someone, code: Any
) -> None:
    refused = hearth.invite(una, code=code)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert "code" in refused.json["detail"]
    assert session.scalars(select(InviteCode.id)).all() == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"keyPackage": opaque(100), "keyVersion": 1},
        {"keyPackage": opaque(100), "keyVersion": 1, "forMe": True},
    ],
    ids=["bare", "with a key", "for me"],
)
def test_the_same_again_is_answered_as_before(
    hearth: Hearth, session: Session, una: Someone, fields: dict[str, Any]
) -> None:
    lost = hearth.invite(una, code=CODE, **fields)

    again = hearth.invite(una, code=CODE.lower(), **fields)

    assert (lost.status, again.status) == (201, 201)
    assert again.json == lost.json
    assert session.scalar(select(func.count(InviteCode.id))) == 1


def test_the_same_by_another_device_of_mine_is_the_same(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    tablet = factories.further_device(session, una)
    factories.confirm(session, hearth.group_id, tablet, 1)
    first = hearth.invite(una, code=CODE)

    again = hearth.invite(tablet, code=CODE)

    assert again.json == first.json


def test_anothers_code_is_taken_and_theirs_stays_as_it_is(
    hearth: Hearth, session: Session, una: Someone, ari: Someone
) -> None:
    hearth.invite(ari, code=CODE, keyPackage=opaque(100), keyVersion=1)
    before = everything(session)

    by_another = hearth.invite(una, code=CODE)
    from_elsewhere = Hearth(factories.group(session, una)).invite(una, code=CODE)

    assert (by_another.status, by_another.code) == (409, "code_taken")
    assert (from_elsewhere.status, from_elsewhere.code) == (409, "code_taken")
    assert everything(session) == before


@pytest.mark.parametrize(
    "fields",
    [{"keyPackage": opaque(100), "keyVersion": 1}, {"forMe": True}],
    ids=["with a key", "for me"],
)
def test_a_code_stands_for_one_thing(
    hearth: Hearth, session: Session, una: Someone, fields: dict[str, Any]
) -> None:
    hearth.invite(una, code=CODE)
    before = everything(session)

    refused = hearth.invite(una, code=CODE, **fields)

    assert (refused.status, refused.code) == (409, "code_taken")
    assert everything(session) == before


def test_a_code_of_mine_leads_to_one_group(hearth: Hearth, session: Session, una: Someone) -> None:
    hearth.invite(una, code=CODE)

    refused = Hearth(factories.group(session, una)).invite(una, code=CODE)

    assert (refused.status, refused.code) == (409, "code_taken")


@pytest.mark.parametrize("end", ["used", "revoked", "expired"])
def test_a_code_that_lets_nobody_in_any_more_does_not_begin_to_again(
    api: Api, hearth: Hearth, session: Session, una: Someone, end: str
) -> None:
    invite = hearth.invite(una, code=CODE).json["id"]
    if end == "used":
        assert api.post("/api/auth/join", {"code": CODE, "name": "Signy"}).status == 201
    elif end == "revoked":
        assert Api(una.token).delete(f"/api/invites/{invite}").status == 204
    else:
        now = factories.now(session)
        session.execute(
            update(InviteCode).values(created_at=now - timedelta(hours=2), expires_at=now)
        )
        session.commit()

    refused = hearth.invite(una, code=CODE)

    assert (refused.status, refused.code) == (409, "code_taken")
    assert api.post("/api/invites/validate", {"code": CODE}).json == {"valid": False}


def test_the_code_of_a_founding_invite_is_taken(
    hearth: Hearth, session: Session, una: Someone
) -> None:
    factories.founding_invite(session, code_hash=code_hash(Code(CODE), PEPPER.encode()))

    refused = hearth.invite(una, code=CODE)

    assert (refused.status, refused.code) == (409, "code_taken")
    assert session.scalars(select(InviteCode.group_id)).all() == [None]


def everything(session: Session) -> list[Any]:
    rows = session.execute(select(InviteCode.__table__).order_by(InviteCode.id))
    return [tuple(row) for row in rows]
