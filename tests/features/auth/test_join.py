from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.models import User
from tests import factories
from tests.api import Api


@pytest.mark.parametrize(
    ("wanted", "founded"),
    [
        ({}, {"name": "Family", "encryption": "required"}),
        ({"group": {"name": " Hearth "}}, {"name": "Hearth", "encryption": "required"}),
        (
            {"group": {"name": "Hearth", "encryption": "optional"}},
            {"name": "Hearth", "encryption": "optional"},
        ),
    ],
)
def test_the_redeemer_of_a_founding_invite_founds_a_group_and_runs_it(
    api: Api, session: Session, wanted: dict[str, Any], founded: dict[str, Any]
) -> None:
    code = factories.founding_invite(session)

    joined = api.post("/api/auth/join", {"code": code.text, "name": "Una", **wanted})

    assert joined.status == 201
    una = api.as_(joined.json["token"])
    (group,) = una.get("/api/groups").json["groups"]
    assert founded | {"role": "admin"} == {name: group[name] for name in (*founded, "role")}
    assert joined.json["group"] == {"id": group["id"], "name": group["name"]}


def test_a_newcomer_is_answered_with_a_token_and_what_they_have_become(
    api: Api, session: Session
) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una, name="Hearth")
    code = factories.invite(session, group_id=hearth, by=una)

    joined = api.post("/api/auth/join", {"code": code.text, "name": "Ari"})

    assert joined.status == 201
    ari = api.as_(joined.json["token"])
    (device,) = ari.get("/api/devices").json["devices"]
    (group,) = ari.get("/api/groups").json["groups"]
    assert joined.json == {
        "token": joined.json["token"],
        "user": ari.get("/api/auth/me").json,
        "device": {"id": device["id"]},
        "group": {"id": str(hearth), "name": "Hearth"},
    }
    assert joined.json["user"]["name"] == "Ari"
    assert group["role"] == "member"


@pytest.mark.parametrize(
    ("sent", "name"), [({}, "App"), ({"device": {}}, "App"), ({"device": {"name": " M "}}, "M")]
)
def test_the_first_device_has_the_name_it_was_given(
    api: Api, session: Session, sent: dict[str, Any], name: str
) -> None:
    code = factories.founding_invite(session)

    joined = api.post("/api/auth/join", {"code": code.text, "name": "Una", **sent})

    (device,) = api.as_(joined.json["token"]).get("/api/devices").json["devices"]
    assert device["name"] == name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("  Una\t", "Una"),
        ("U", "U"),
        ("x" * 64, "x" * 64),
        (" " * 100 + "🧶" * 64, "🧶" * 64),
        ("Þórr-Ása O'Hara", "Þórr-Ása O'Hara"),
    ],
)
def test_a_name_is_trimmed_and_kept(api: Api, session: Session, sent: str, kept: str) -> None:
    code = factories.founding_invite(session)

    joined = api.post("/api/auth/join", {"code": code.text, "name": sent})

    assert joined.json["user"]["name"] == kept


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", value) for value in ("", " \t ", "x" * 65, "a\nb", "\x7f", None, 7, ["Una"])),
        *(("device", {"name": value}) for value in ("", "x" * 65, None)),
        *(("group", value) for value in ({}, {"name": ""}, {"name": "x" * 65}, "Hearth")),
        ("group", {"name": "Hearth", "encryption": "none"}),
        *(("code", value) for value in ("", "x" * 65, None, 12345678)),
        ("publicKey", "A" * 43),
    ],
)
def test_what_is_no_join_is_refused_and_spends_nothing(
    api: Api, session: Session, field: str, value: Any
) -> None:
    code = factories.founding_invite(session)
    right = {"code": code.text, "name": "Una"}

    refused = api.post("/api/auth/join", right | {field: value})

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert session.scalar(select(func.count()).select_from(User)) == 0
    assert api.post("/api/auth/join", right).status == 201


@pytest.mark.parametrize("field", ["code", "name"])
def test_a_join_without_code_or_name_says_which_is_missing(api: Api, field: str) -> None:
    right = {"code": "ABCDEFGH", "name": "Una"}
    del right[field]

    refused = api.post("/api/auth/join", right)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert refused.json["detail"] == f"{field}: is missing"


def test_a_refused_join_leaves_nobody_behind(api: Api, session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    code = factories.invite(session, group_id=hearth, by=una)

    refused = api.post(
        "/api/auth/join", {"code": code.text, "name": "Ari", "group": {"name": "Other"}}
    )

    assert (refused.status, refused.code) == (422, "group_not_founded")
    assert "Ari" not in factories.everything(session)
    assert api.post("/api/auth/join", {"code": code.text, "name": "Ari"}).status == 201
