"""What people send leaves no trace in logs, problem documents or exceptions.

Every route is asked with marks in whatever a request can hold: as the API wants it and with each
part spoilt, while all is well and while the database refuses rows with a mark and quotes them.
"""

import json
import logging
import re
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from chalicelib.errors import Problem
from chalicelib.models import InviteCode
from chalicelib.web import to_base64
from chalicelib.web.contract import Access, Contract
from tests import contract, factories
from tests.api import Api, Reply
from tests.features.site import files
from tests.owntracks import basic

MARK = "Markmarkmark"
UNKNOWN = "aFieldThatIsNotKnown"
KEY = "key-of-mark-0123456789"
BYTES = "bWFya21hcmttYXJr"  # twelve of them
SEALED = BYTES * 4
HASH = f"{BYTES * 2}bWFya21hcms"
POINT = {"latitude": 64.13579135, "longitude": -21.24680246, "accuracy": 13.9753197}
FIX = {
    "_type": "location",
    "lat": POINT["latitude"],
    "lon": POINT["longitude"],
    "acc": POINT["accuracy"],
    "tst": int(time.time()),
    "_id": MARK,
    "tid": MARK,
    "topic": MARK,
}
# What else a phone says.
SAID = [
    {"_type": "encrypted", "data": SEALED},
    {"_type": "card", "name": MARK, "face": BYTES},
    FIX | {"_type": "transition", "event": "enter", "wtst": 1, "desc": MARK},
    FIX | {"_type": "waypoint", "desc": MARK},
    FIX | {"_type": MARK},
]
GROUP = {"name": MARK, "encryption": "optional"}
ADDRESS = "127.0.0.1"  # of the caller, says Chalice's test client
MARKS = [MARK, KEY, BYTES, *(str(number).lstrip("-") for number in POINT.values())]
TOKEN = r"draugar_[\w-]{43}"

BODIES: dict[str, dict[str, Any]] = {
    "POST /api/auth/join": {
        "code": "{code}",
        "name": MARK,
        "device": {"name": MARK, "publicKey": HASH},
        "proof": HASH,
        "group": GROUP,
    },
    "POST /api/crypto/register-key": {"publicKey": "{public_key}"},
    "POST /api/devices": {"name": MARK},
    "POST /owntracks": FIX,
    "POST /pub": FIX,
    "POST /api/groups": GROUP,
    "POST /api/groups/join": {"code": "{code}", "proof": HASH, "group": GROUP},
    "POST /api/groups/{group_id}/keys": {
        "expectedVersion": 1,
        "commitment": HASH,
        "roster": SEALED,
        "statement": SEALED,
        "envelopes": [{"deviceId": "{device_id}", "wrappedKey": BYTES * 6}],
    },
    "POST /api/invites": {
        "groupId": "{group_id}",
        "code": "MARKMARKMARKMARK",
        "keyPackage": SEALED,
        "keyVersion": 1,
    },
    "POST /api/invites/validate": {"code": "{code}"},
    "POST /api/locations": {"locations": [POINT, {"encryptedData": SEALED, "keyVersion": 1}]},
    "PATCH /api/groups/{group_id}": {"name": MARK},
    "PATCH /api/groups/{group_id}/members/{user_id}": {"role": "admin"},
    "PATCH /api/users/me": {"name": MARK},
    "PUT /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}": {
        "wrappedKey": BYTES * 6,
        "rosterEntry": SEALED,
        "former": SEALED,
    },
    "PUT /api/groups/{group_id}/keys/{key_version}/vouches/{device_id}": {"entry": SEALED},
    "PUT /api/groups/{group_id}/card": {"keyVersion": 1, "sealed": SEALED},
    "PUT /api/groups/{group_id}/sharing": {"paused": True, "until": "2999-01-01T00:00:00Z"},
}
# A device gives back what is its own; it is others that it gives keys to.
NAMED = {
    "PUT /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}": {
        "device_id": "other_device_id"
    },
    "POST /api/devices/{device_id}/renew": {"device_id": "phone_id"},
}
REFUSED_ROWS = {
    "users": f"name <> '{MARK}'",
    "devices": f"name <> '{MARK}'",
    "groups": f"name <> '{MARK}'",
    "locations": f"latitude <> {POINT['latitude']}"
    " AND encode(encrypted_data, 'escape') NOT LIKE 'mark%'",
    "owntracks_cards": f"name <> '{MARK}'",
    "owntracks_transitions": f"description <> '{MARK}'",
    "invite_codes": "encode(key_package, 'escape') NOT LIKE 'mark%'",
    "group_keys": "encode(commitment, 'escape') NOT LIKE 'mark%'",
    "key_envelopes": "encode(wrapped_key, 'escape') NOT LIKE 'mark%'",
    "vouches": "encode(entry, 'escape') NOT LIKE 'mark%'",
    "device_cards": "encode(sealed, 'escape') NOT LIKE 'mark%'",
}
# The routes that would write such a row.
FAILING = {
    "POST /owntracks",
    "POST /pub",
    "POST /api/auth/join",
    "POST /api/devices",
    "POST /api/groups",
    "POST /api/groups/join",
    "POST /api/groups/{group_id}/keys",
    "POST /api/invites",
    "POST /api/locations",
    "PATCH /api/groups/{group_id}",
    "PATCH /api/users/me",
    "PUT /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}",
    "PUT /api/groups/{group_id}/keys/{key_version}/vouches/{device_id}",
    "PUT /api/groups/{group_id}/card",
}


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let all loggers say all, SQLAlchemy its statements (but no rows, as on DEBUG)."""
    with caplog.at_level(logging.INFO, logger="sqlalchemy"), caplog.at_level(logging.DEBUG):
        yield


@pytest.fixture
def names(session: Session) -> dict[str, str]:
    """What the placeholders of paths and bodies stand for, and the token of who asks."""
    una, ari, bera = (factories.with_key(session) for _ in range(3))
    group_id = factories.group(session, una, ari, key_version=1)
    factories.add_member(session, group_id, bera)
    factories.invite(session, group_id=group_id, by=una)
    invite_id = session.scalars(select(InviteCode.id)).one()
    phone = factories.phone(session, group_id, una, key_version=1)
    return {
        "phone_id": str(phone.device_id),
        "phone": basic(phone.device_id, phone.token)["Authorization"],
        "password": phone.token,
        "group_id": str(group_id),
        "user_id": str(ari.user_id),
        "device_id": str(una.device_id),
        "other_device_id": str(bera.device_id),
        "key_version": "1",
        "public_key": to_base64(una.public_key or b""),
        "invite_id": str(invite_id),
        "code": factories.founding_invite(session).text,
        "token": una.token,
        "name": next(name for name in files.names() if name.startswith("web/")).partition("/")[2],
    }


def routes() -> list[tuple[str, str, Contract]]:
    """Return the method, path and contract of each route."""
    return [(method, path, vars(view)["contract"]) for method, path, view in contract.routes()]


def put_in(template: str, names: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: names[name[1]], template)


def spoilt(value: Any) -> Any:
    """Put a mark of the wrong type in every place."""
    match value:
        case dict():
            return {name: spoilt(member) for name, member in value.items()}
        case list():
            return [spoilt(item) for item in value]
        case _:
            return {MARK: [MARK]}


def variants(method: str, path: str, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Make the requests to one route, the one that the API wants first."""
    route = f"{method} {path}"
    names = names | {name: names[other] for name, other in NAMED.get(route, {}).items()}
    headers = {"Idempotency-Key": KEY, "User-Agent": MARK, "X-Forwarded-For": MARK, MARK: MARK}
    if of_phones := path in {"/owntracks", "/pub"}:
        headers["Authorization"] = names["phone"]
    request = {"method": method, "path": put_in(path, names), "headers": headers}
    body = BODIES.get(route)
    right = request | (
        {} if body is None else {"body": json.loads(put_in(json.dumps(body), names))}
    )
    yield right
    yield right | {"path": re.sub(r"\{\w+\}", MARK, path)}
    yield right | {"query": {UNKNOWN: MARK}}
    for parameter in ("groupId", "userId", "from", "to", "limit", "cursor"):
        yield right | {"query": {parameter: MARK}}
    for token in (MARK, f"draugar_{MARK * 3}-------", f"{MARK} {MARK}"):
        yield right | {"headers": headers | {"Authorization": f"Bearer {token}"}}
        yield right | {"headers": headers | basic(names["phone_id"], token)}
        yield right | {"headers": headers | {"Authorization": f"Basic {token}"}}
    if of_phones:
        for message in SAID:
            yield right | {"body": message}
    if body is not None:
        yield right | {"body": right["body"] | {UNKNOWN: MARK}}
        yield right | {"body": spoilt(body)}
        yield right | {"headers": headers | {"Idempotency-Key": f"{MARK}!", "Content-Type": MARK}}
        yield request | {
            "raw": json.dumps(right["body"]).encode()[:-1],
            "headers": headers | {"Content-Type": "application/json"},
        }


@pytest.mark.usefixtures("every_log")  # before the connection, which would go on as it began
@pytest.mark.parametrize("refused_rows", [{}, REFUSED_ROWS], ids=["well", "failing"])
def test_nothing_of_a_request_is_told_to_the_log_or_in_a_problem(
    names: dict[str, str],
    database: Connection,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    refused_rows: dict[str, str],
) -> None:
    for table, condition in refused_rows.items():
        database.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK ({condition})"))
    caplog.clear()
    replies: dict[str, list[Reply]] = {}

    for method, path, _ in routes():
        for request in variants(method, path, names):
            savepoint = database.begin_nested()
            reply = Api(names["token"]).call(**request)
            replies.setdefault(f"{method} {path}", []).append(reply)
            savepoint.rollback()

    answers = [reply for several in replies.values() for reply in several]
    problems = [f"{reply.headers} {reply.text}" for reply in answers if reply.status >= 400]
    printed = capfd.readouterr()
    said = "\n".join([caplog.text, *printed, *problems])
    marks = [*MARKS, ADDRESS, names["code"], names["token"], names["password"]]
    marks += [names["phone"].removeprefix("Basic ")]
    assert [mark for mark in marks if mark.lower() in said.lower()] == []
    assert re.findall(TOKEN, said) == []
    # Its name alone is told to the caller, who has to find it, and never to the log.
    assert UNKNOWN in "".join(problems)
    assert UNKNOWN not in "\n".join([caplog.text, *printed])
    # The log was heard, and the requests that were right got as far as they should.
    assert printed.out.count('{"requestId": ') == len(answers)
    assert "INSERT INTO groups" in caplog.text
    assert {name for name, (right, *_) in replies.items() if right.status >= 300} == (
        FAILING if refused_rows else set()
    )


def test_every_body_has_its_marks(schema: str) -> None:
    del schema

    taking = {f"{method} {path}" for method, path, contract in routes() if contract.body}

    assert taking ^ BODIES.keys() == set(), (
        "A route with a body is new or gone: add the body, with a mark in each text, to BODIES in"
        " tests/guards/test_traces.py, or take it out."
    )


@pytest.mark.usefixtures("schema")
def test_a_shape_that_refuses_something_does_not_say_what() -> None:
    shapes = [
        shape
        for _, _, contract in routes()
        for shape in (contract.body, contract.query, contract.headers)
        if shape is not None and contract.access is not Access.PHONE  # whom nothing is refused
    ]

    refusals = []
    for shape in shapes:
        names = [str(field.alias) for field in shape.model_fields.values()]
        for value in (MARK, {UNKNOWN: MARK}, {name: [MARK] for name in names}):
            with pytest.raises(Problem) as caught:
                shape.read(value)
            refusals.append("".join(traceback.format_exception(caught.value)))

    assert [refusal for refusal in refusals if MARK in refusal] == []


def test_an_error_of_the_database_does_not_hold_the_parameters(database: Connection) -> None:
    with pytest.raises(DBAPIError) as caught, database.begin_nested():
        database.execute(text("SELECT :mark FROM nowhere"), {"mark": MARK})

    assert "nowhere" in str(caught.value)
    assert MARK not in "".join(traceback.format_exception(caught.value))
