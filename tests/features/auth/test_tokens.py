import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import column, select
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import make_token
from chalicelib.models import Device
from tests import factories
from tests.api import Api
from tests.factories import Someone

DAY = timedelta(days=1)
READS = [
    "/api/devices",
    "/api/export",
    "/api/groups",
    "/api/invites",
    "/api/locations",
    "/api/locations/latest",
    "/api/users",
]


def test_i_am_told_who_i_am(api: Api, session: Session) -> None:
    una = factories.someone(session, name="Una")

    me = api.as_(una.token).get("/api/auth/me")

    assert (me.status, me.json) == (200, {"id": str(una.user_id), "name": "Una"})


def test_a_token_is_recognisable_and_has_256_random_bits(api: Api, session: Session) -> None:
    code = factories.founding_invite(session)

    token = api.post("/api/auth/join", {"code": code.text, "name": "Una"}).json["token"]

    assert re.fullmatch(r"draugar_[A-Za-z0-9_-]{43}", token)


def test_of_a_token_only_its_sha_256_is_stored(api: Api, session: Session) -> None:
    code = factories.founding_invite(session)
    first = api.post("/api/auth/join", {"code": code.text, "name": "Una"}).json["token"]
    second = api.as_(first).post("/api/devices", {"name": "Tablet"}).json["token"]

    stored = factories.everything(session)

    for token in (first, second):
        assert token not in stored
        assert token.removeprefix("draugar_") not in stored
        assert hashlib.sha256(token.encode()).hexdigest() in stored


def test_logging_out_makes_this_devices_token_void_at_once(api: Api, session: Session) -> None:
    una = factories.someone(session)
    tablet = api.as_(una.token).post("/api/devices", {"name": "Tablet"}).json

    left = api.as_(una.token).post("/api/auth/logout")

    assert (left.status, left.text) == (204, "")
    assert api.as_(una.token).get("/api/auth/me").status == 401
    assert api.as_(tablet["token"]).get("/api/auth/me").status == 200


def test_logging_out_once_more_changes_nothing(api: Api, session: Session) -> None:
    una = factories.someone(session, revoked_at=factories.now(session) - DAY)
    before = factories.everything(session)

    again = api.as_(una.token).post("/api/auth/logout")

    assert (again.status, again.code) == (401, "unauthenticated")
    assert factories.everything(session) == before


@pytest.mark.parametrize(
    ("idle", "status"), [(0 * DAY, 200), (364 * DAY, 200), (365 * DAY, 401), (999 * DAY, 401)]
)
def test_a_token_that_was_idle_for_a_year_is_void(
    api: Api, session: Session, idle: timedelta, status: int
) -> None:
    una = factories.someone(session, last_used_on=today(session) - idle)

    answer = api.as_(una.token).get("/api/auth/me")

    assert answer.status == status


@pytest.mark.parametrize("path", ["/api/auth/me", *READS])
@pytest.mark.parametrize(
    "device", [{"idle": 365 * DAY}, {"revoked": True}], ids=["idle", "revoked"]
)
def test_no_read_brings_a_void_token_back(
    api: Api, session: Session, path: str, device: dict[str, Any]
) -> None:
    day = today(session) - device.get("idle", DAY)
    revoked_at = factories.now(session) if device.get("revoked") else None
    una = factories.someone(session, last_used_on=day, revoked_at=revoked_at)

    answer = api.as_(una.token).get(path)

    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert last_use(session, una)[0] == day


def test_without_credentials_a_caller_is_told_the_scheme_and_no_error(api: Api) -> None:
    answer = api.get("/api/auth/me")

    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="draugar"'


@pytest.mark.parametrize("sent", ["Basic dW5hOnNlY3JldA==", "draugar_token", ""])
def test_another_scheme_is_answered_like_no_credentials(api: Api, sent: str) -> None:
    answer = api.call("GET", "/api/auth/me", headers={"Authorization": sent})

    # RFC 6750, section 3.1: so is an unsupported authentication method.
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="draugar"'


@pytest.mark.parametrize(
    "token",
    ["", "x", "draugar_", make_token()[:-1], make_token() + "=", make_token(), "\ud800" * 51],
    ids=["none", "one letter", "prefix only", "too short", "too long", "unknown", "surrogates"],
)
def test_a_token_that_is_not_valid_is_called_so(api: Api, token: str) -> None:
    answer = api.as_(token).get("/api/auth/me")

    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == ('Bearer realm="draugar", error="invalid_token"')


def test_a_token_of_another_kind_of_device_opens_no_route_of_the_app(
    api: Api, session: Session
) -> None:
    una = factories.someone(session)
    phone = factories.phone(session, factories.group(session, una), una)

    answer = api.as_(phone.token).get("/api/auth/me")

    assert answer.status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_compared_without_case(api: Api, session: Session, scheme: str) -> None:
    una = factories.someone(session)

    answer = api.call("GET", "/api/auth/me", headers={"authorization": f"{scheme} {una.token}"})

    assert answer.status == 200


@pytest.mark.parametrize("path", [*READS, "/api/users/{user_id}", "/api/auth/me"])
def test_a_read_notes_the_day_once(api: Api, session: Session, path: str) -> None:
    una = factories.someone(session, last_used_on=today(session) - DAY)
    other = factories.someone(session, last_used_on=today(session) - DAY)
    factories.group(session, una, other)
    path = path.format(user_id=una.user_id)

    api.as_(una.token).get(path)

    noted = last_use(session, una)
    assert noted[0] == today(session)
    assert last_use(session, other)[0] == today(session) - DAY
    api.as_(una.token).get(path)
    assert last_use(session, una) == noted  # in the same place: the row was not written again


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/locations", factories.plain_point()),
        ("PATCH", "/api/users/me", {"name": "Una"}),
    ],
)
def test_a_write_notes_no_day(
    api: Api, session: Session, method: str, path: str, body: dict[str, Any]
) -> None:
    una = factories.someone(session, last_used_on=today(session) - DAY)
    factories.group(session, una)
    before = last_use(session, una)

    answer = api.as_(una.token).call(method, path, body)

    assert answer.status < 300
    assert last_use(session, una) == before


def today(session: Session) -> Any:
    # The database's day is that of its clock in UTC.
    return factories.now(session).date()


def last_use(session: Session, who: Someone) -> tuple[Any, str]:
    """The day that is noted, and where the row lies: an update would move it."""
    row: Any = session.execute(
        select(Device.last_used_on, column("ctid", is_literal=True).label("place"))
        .select_from(Device)
        .where(Device.id == who.device_id)
    ).one()
    return row.last_used_on, str(row.place)
