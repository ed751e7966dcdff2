from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import Group, InviteCode, Member, User
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone

INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    "spell",
    [
        lambda code: code.text,
        lambda code: code.in_groups,
        lambda code: code.text.lower(),
        lambda code: f"  {code.in_groups.lower()}\t\n",
        lambda code: " ".join(code.text),
        lambda code: "--" + "-".join(code.text) + "-",
    ],
    ids=["canonical", "in groups", "lower case", "pasted", "spaced", "hyphens"],
)
def test_a_code_is_read_as_people_type_it(
    api: Api, code: Code, spell: Callable[[Code], str]
) -> None:
    validated = api.post("/api/invites/validate", {"code": spell(code)})
    joined = api.post("/api/auth/join", {"code": spell(code), "name": "Ari"})

    assert (validated.status, validated.json) == (200, {"valid": True, "code": code.text})
    assert joined.status == 201


def test_looking_at_a_code_does_not_spend_it(api: Api, code: Code) -> None:
    looks = [api.post("/api/invites/validate", {"code": code.text}).json for _ in range(3)]

    joined = api.post("/api/auth/join", {"code": code.text, "name": "Ari"})

    assert looks == [{"valid": True, "code": code.text}] * 3
    assert joined.status == 201


def test_a_code_can_be_spent_once(api: Api, session: Session, code: Code) -> None:
    first = api.post("/api/auth/join", {"code": code.text, "name": "Ari"})

    second = api.post("/api/auth/join", {"code": code.text, "name": "Bera"})

    assert (first.status, second.status) == (201, 404)
    assert second.code == "invite_not_valid"
    assert session.scalar(select(func.count()).select_from(User)) == 2
    assert api.post("/api/invites/validate", {"code": code.text}).json == {"valid": False}


def test_a_code_is_good_until_the_very_instant_at_which_it_expires(
    api: Api, session: Session, una: Someone, hearth: UUID
) -> None:
    now = factories.now(session)
    codes = [
        factories.invite(session, group_id=hearth, by=una, expires_at=at)
        for at in (now - INSTANT, now, now + INSTANT, None)
    ]

    joined = [api.post("/api/auth/join", {"code": code.text, "name": "Ari"}) for code in codes]

    assert [reply.status for reply in joined] == [404, 404, 201, 201]


@pytest.mark.parametrize("name", ["used", "expired", "revoked", "too long", "no code", "poison"])
def test_what_is_wrong_with_a_code_cannot_be_told_from_the_answer(
    api: Api, session: Session, una: Someone, hearth: UUID, name: str
) -> None:
    now = factories.now(session)
    bad = {
        "used": {"used_at": now},
        "expired": {"expires_at": now},
        "revoked": {"revoked_at": now},
    }
    texts = {"too long": "A" * 33, "no code": "not a code!", "poison": "'; --\u2028🧶"}
    text = texts.get(name) or factories.invite(session, group_id=hearth, by=una, **bad[name]).text
    somebody = api.as_(factories.someone(session).token)

    answers = [tell_nothing(reply) for reply in everywhere(api, somebody, text)]

    unknown = [tell_nothing(reply) for reply in everywhere(api, somebody, "ABCDEFGH")]
    assert answers == unknown
    assert [status for status, *_ in answers] == [404, 404, 200]
    assert "invite_not_valid" in answers[0][2]
    assert answers[0] == answers[1]
    assert answers[2][2] == '{"valid":false}'


def test_a_signed_in_person_joins_a_further_group(
    api: Api, session: Session, hearth: UUID, code: Code
) -> None:
    ari = factories.someone(session, name="Ari")
    factories.group(session, ari, name="Other")

    joined = api.as_(ari.token).post("/api/groups/join", {"code": code.in_groups})

    assert joined.status == 200
    groups = api.as_(ari.token).get("/api/groups").json["groups"]
    assert joined.json in groups
    assert (joined.json["id"], joined.json["role"]) == (str(hearth), "member")
    assert len(groups) == 2
    used = session.execute(select(InviteCode.used_by, InviteCode.used_at)).one()
    assert tuple(used) == (ari.user_id, factories.now(session))


def test_joining_a_group_needs_a_token_and_spends_nothing_without_one(api: Api, code: Code) -> None:
    refused = api.post("/api/groups/join", {"code": code.text})

    assert (refused.status, refused.code) == (401, "unauthenticated")
    assert api.post("/api/auth/join", {"code": code.text, "name": "Ari"}).status == 201


def test_a_member_does_not_spend_a_code_of_their_own_group(
    api: Api, una: Someone, code: Code
) -> None:
    refused = api.as_(una.token).post("/api/groups/join", {"code": code.text})

    assert (refused.status, refused.code) == (409, "already_a_member")
    assert api.post("/api/auth/join", {"code": code.text, "name": "Ari"}).status == 201


def test_a_repeated_join_of_a_group_is_answered_again(
    api: Api, session: Session, hearth: UUID, code: Code
) -> None:
    ari, bera = factories.someone(session), factories.someone(session)
    factories.add_member(session, hearth, bera)
    first = api.as_(ari.token).post("/api/groups/join", {"code": code.text})

    again = api.as_(ari.token).post("/api/groups/join", {"code": code.text})
    other = api.as_(bera.token).post("/api/groups/join", {"code": code.text})

    assert (again.status, again.json) == (200, first.json)
    assert (other.status, other.code) == (404, "invite_not_valid")
    assert session.scalar(select(func.count()).select_from(Member)) == 3


def test_whoever_has_left_does_not_come_back_by_their_old_code(
    api: Api, session: Session, hearth: UUID, code: Code
) -> None:
    ari = api.as_(factories.someone(session).token)
    ari.post("/api/groups/join", {"code": code.text})
    ari.post(f"/api/groups/{hearth}/leave")

    again = ari.post("/api/groups/join", {"code": code.text})

    assert (again.status, again.code) == (404, "invite_not_valid")


def test_a_signed_in_person_founds_a_further_group(api: Api, session: Session) -> None:
    ari = api.as_(factories.someone(session).token)
    code = factories.founding_invite(session)

    founded = ari.post(
        "/api/groups/join",
        {"code": code.text, "group": {"name": "Boat", "encryption": "optional"}},
    )

    assert founded.status == 200
    assert (founded.json["name"], founded.json["encryption"]) == ("Boat", "optional")
    assert founded.json["role"] == "admin"
    again = ari.post("/api/groups/join", {"code": code.text, "group": {"name": "Boat"}})
    assert (again.status, again.code) == (404, "invite_not_valid")
    assert session.scalar(select(func.count()).select_from(Group)) == 2


@pytest.mark.parametrize("path", ["/api/groups/join", "/api/auth/join"])
def test_an_ordinary_code_founds_no_group_and_is_not_spent_by_trying(
    api: Api, session: Session, code: Code, path: str
) -> None:
    ari = api.as_(factories.someone(session).token)
    body: dict[str, Any] = {"code": code.text}
    body |= {"name": "Ari"} if path == "/api/auth/join" else {}

    refused = ari.post(path, body | {"group": {"name": "Boat"}})

    assert (refused.status, refused.code) == (422, "group_not_founded")
    assert session.scalar(select(func.count()).select_from(Group)) == 1
    assert ari.post(path, body).status < 300


@pytest.fixture
def una(session: Session) -> Someone:
    """The admin."""
    return factories.someone(session, name="Una")


@pytest.fixture(autouse=True)
def hearth(session: Session, una: Someone) -> UUID:
    """Una's group."""
    return factories.group(session, una)


@pytest.fixture
def code(session: Session, una: Someone, hearth: UUID) -> Code:
    """A code that leads to it."""
    return factories.invite(session, group_id=hearth, by=una)


def everywhere(api: Api, somebody: Api, code: str) -> list[Reply]:
    return [
        api.post("/api/auth/join", {"code": code, "name": "Ari"}),
        somebody.post("/api/groups/join", {"code": code}),
        api.post("/api/invites/validate", {"code": code}),
    ]


def tell_nothing(reply: Reply) -> tuple[int, dict[str, str], str]:
    """The answer, byte by byte, without the one thing in it that is each request's own."""
    return reply.status, reply.headers, reply.text.replace(reply.json.get("requestId", "\0"), "")
