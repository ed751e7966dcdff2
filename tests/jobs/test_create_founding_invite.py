import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chalicelib.models import InviteCode
from tests import factories
from tests.api import Api
from tests.faults.processes import invoke


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let all loggers say all, SQLAlchemy its statements (but no rows, as on DEBUG)."""
    with caplog.at_level(logging.INFO, logger="sqlalchemy"), caplog.at_level(logging.DEBUG):
        yield


def test_it_makes_one_invite_to_found_a_group_within_an_hour(session: Session) -> None:
    answer = invoke("create_founding_invite")

    invite = session.scalars(select(InviteCode)).one()
    assert (invite.group_id, invite.created_by, invite.used_at) == (None, None, None)
    assert invite.expires_at == factories.now(session) + timedelta(hours=1)
    assert datetime.fromisoformat(answer["expiresAt"]) == invite.expires_at


def test_whoever_redeems_its_code_founds_a_group(api: Api) -> None:
    code = invoke("create_founding_invite")["code"]

    joined = api.post("/api/auth/join", {"code": code, "name": "Una", "group": {"name": "Hearth"}})

    assert joined.status == 201
    (group,) = api.as_(joined.json["token"]).get("/api/groups").json["groups"]
    assert (group["name"], group["role"]) == ("Hearth", "admin")


@pytest.mark.parametrize("payload", [{}, {"onlyIfNoUsers": False}])
def test_it_makes_another_one_beside_a_user(session: Session, payload: dict[str, bool]) -> None:
    factories.someone(session)

    answer = invoke("create_founding_invite", payload)

    assert answer["code"] is not None


def test_it_makes_none_beside_a_user_when_asked_to_mind(session: Session) -> None:
    factories.someone(session)

    answer = invoke("create_founding_invite", {"onlyIfNoUsers": True})

    assert answer == {"code": None, "expiresAt": None}
    assert session.scalars(select(InviteCode)).all() == []


def test_it_makes_one_where_there_is_no_user(session: Session) -> None:
    answer = invoke("create_founding_invite", {"onlyIfNoUsers": True})

    assert answer["code"] is not None
    assert len(session.scalars(select(InviteCode)).all()) == 1


# In this order: a connection that is open already goes on saying as little as before.
@pytest.mark.usefixtures("every_log", "database")
def test_the_code_is_in_the_answer_and_nowhere_else(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    code = invoke("create_founding_invite")["code"]

    said = caplog.text + "".join(capfd.readouterr())
    assert "INSERT INTO invite_codes" in said
    assert code not in said
    assert code.replace("-", "") not in said
