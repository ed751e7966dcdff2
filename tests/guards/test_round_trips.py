"""What every route costs: how often a request goes to the database and back.

Counted at the socket, on a connection that has served before; the limiter's statement and the
commit are part of it. `python -m tests.guards.test_round_trips` prints what is measured.
"""

import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cache, cached_property, partial
from io import StringIO
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
from sqlalchemy import delete, func
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import hash_token, make_token
from chalicelib.db import engine
from chalicelib.invites.codes import InviteCode as Code
from chalicelib.invites.codes import code_hash
from chalicelib.models import Device, RateLimit
from chalicelib.settings import DatabaseAddress, settings
from chalicelib.web import to_base64
from tests import contract, factories
from tests.api import UNSET, Api, Reply
from tests.database import PEPPER, Server
from tests.database import server as start_server
from tests.faults.processes import own_database
from tests.owntracks import basic
from tests.relay import Relay

MOST = 8
"""What no request may cost more than."""


@dataclass(frozen=True)
class Case:
    """A request to a route, how it is answered and what that costs.

    Names in braces stand for what the scene has by that name, `named` for what another name
    stands for here. Of `times` equal requests the last is counted.
    """

    status: int
    round_trips: int
    what: str = ""
    _: KW_ONLY
    by: str = "admin"
    body: Any = UNSET
    headers: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    times: int = 1

    def __str__(self) -> str:
        by = "" if self.by in {"admin", "newcomer"} else f"by {self.by}"
        return ", ".join(filter(None, (str(self.status), self.what, by)))


POINT = factories.plain_point()
BATCH = {"locations": [factories.plain_point() for _ in range(500)]}
GROUP = {"groupId": "{group_id}"}
NAME = {"name": "Ari"}
SHORT, LONG = {"code": "{short code}"}, {"code": "{long code}"}
FOUNDING, SPENT = {"code": "{founding code}"}, {"code": "{spent code}"}
WRONG, NO_CODE = {"code": "ABCDEFGH"}, {"code": "no code"}
KEY = {"Idempotency-Key": "nobody-else-knows-this-one"}
HELD = {"If-None-Match": '"{etag}"'}
KEYED, KEYLESS = {"device_id": "keyed_device_id"}, {"device_id": "member_device_id"}
NOBODY, NOWHERE = {"user_id": "unknown_id"}, {"group_id": "unknown_id"}
BYTES_32, BYTES_72 = to_base64(bytes(32)), to_base64(bytes(72))
PACKAGE = {
    "groupId": "{group_id}",
    "code": "{own code}",
    "keyPackage": BYTES_72,
    "keyVersion": 1,
}
CARRYING, MY_OWN = {"code": "{carrying code}"}, {"code": "{my own code}"}
WITH_KEY = {"device": {"publicKey": BYTES_32}, "proof": BYTES_32}
WRAPPED = {"wrappedKey": BYTES_72}
NEW_KEY = {
    "expectedVersion": 1,
    "commitment": BYTES_32,
    "roster": BYTES_72,
    "envelopes": [WRAPPED | {"deviceId": "{device_id}"}],
}
VOUCH = {"entry": "A" * 80}
CARD = {"keyVersion": 1, "sealed": "A" * 80}
SURPLUS = NEW_KEY | {"envelopes": [WRAPPED | {"deviceId": "{unknown_id}"}]}
PUBLIC_KEY = {"publicKey": "{public_key}"}
PENDING, NO_DEVICE = {"device_id": "pending_device_id"}, {"device_id": "unknown_id"}
PHONE = {"device_id": "phone_id"}
BASIC, UNKNOWN_BASIC = (
    {"Authorization": f"Basic {{{name}}}"} for name in ("phone", "unknown phone")
)
FIX = {"_type": "location", "lat": 64.1, "lon": -21.9, "tst": int(time.time())}
TRANSITION = {"_type": "transition", "event": "enter", "tst": FIX["tst"], "wtst": 1}
SEALED = {"_type": "encrypted", "data": "A" * 80}

TABLE = {
    "GET /api/health": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /api/openapi.json": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /join": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /sw.js": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /manifest.webmanifest": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /web/config.json": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /web/{name}": [
        Case(404, 0, by="newcomer", named={"name": "unknown_id"}),
    ],
    "GET /api/docs": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /api/docs/protocol.md": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /api/docs/errors.md": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /api/docs/vectors.json": [
        Case(200, 0, by="newcomer"),
    ],
    "GET /api/health/ready": [
        Case(200, 1, by="newcomer"),
    ],
    "GET /api/auth/me": [
        Case(200, 1),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/devices": [
        Case(200, 1),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/invites": [
        Case(200, 1),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/users": [
        Case(200, 1),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/users/{user_id}": [
        Case(200, 1),
        Case(404, 1, by="stranger"),
        Case(404, 1, "no such person", named=NOBODY),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/groups": [
        Case(200, 1),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/locations": [
        Case(200, 1),
        Case(422, 1, "which group?", by="member of two"),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/locations?groupId={group_id}": [
        Case(200, 1),
        Case(404, 1, by="stranger"),
        Case(404, 1, "no such group", named=NOWHERE),
    ],
    "GET /api/locations/latest": [
        Case(200, 1),
        Case(304, 1, headers=HELD),
        Case(422, 1, "which group?", by="member of two"),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/locations/latest?groupId={group_id}": [
        Case(200, 1),
        Case(404, 1, by="stranger"),
        Case(404, 1, "no such group", named=NOWHERE),
    ],
    "GET /api/export": [
        Case(200, 1),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/groups/{group_id}/keys": [
        Case(200, 1),
        Case(200, 1, by="pending member"),
        Case(404, 1, by="stranger"),
        Case(404, 1, "no such group", named=NOWHERE),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/groups/{group_id}/keys/pending": [
        Case(200, 1),
        Case(403, 1, by="pending member"),
        Case(404, 1, by="stranger"),
        Case(401, 1, by="unknown token"),
    ],
    "GET /api/crypto/group-key": [
        Case(200, 1),
        Case(404, 1, by="pending member"),
        Case(409, 1, by="stranger"),
        Case(401, 1, by="unknown token"),
    ],
    "POST /api/locations": [
        Case(200, 1, "1 point", body=POINT),
        Case(200, 1, "1 point, repeated", body=POINT, times=2),
        Case(200, 1, "500 points", body=BATCH),
        Case(403, 1, "1 point", by="pending member", body=POINT),
        Case(404, 1, "1 point", by="stranger", body=POINT | GROUP),
        Case(422, 1, "which group?", by="member of two", body=POINT),
        Case(401, 1, "500 points", by="unknown token", body=BATCH),
    ],
    "POST /api/auth/join": [
        Case(201, 6, "short code", by="newcomer", body=SHORT | NAME),
        Case(201, 5, "long code", by="newcomer", body=LONG | NAME),
        Case(201, 6, "founding code", by="newcomer", body=FOUNDING | NAME),
        Case(201, 6, "repeated", by="newcomer", body=SHORT | NAME, headers=KEY, times=2),
        Case(201, 5, "with a key", by="newcomer", body=CARRYING | NAME | WITH_KEY),
        Case(201, 5, "with a key for me", by="newcomer", body=MY_OWN | NAME | WITH_KEY),
        Case(404, 3, "wrong code", by="newcomer", body=WRONG | NAME),
        Case(404, 3, "spent code", by="newcomer", body=SPENT | NAME),
        Case(404, 1, "not a code", by="newcomer", body=NO_CODE | NAME),
        Case(429, 1, "too often", by="newcomer", body=WRONG | NAME, times=11),
    ],
    "POST /api/auth/logout": [
        Case(204, 8, by="member"),
        Case(204, 8, "of who knew keys"),
        Case(401, 2, by="unknown token"),
    ],
    "POST /api/devices": [
        Case(201, 6, body=NAME),
        Case(401, 1, by="unknown token", body=NAME),
    ],
    "DELETE /api/devices/{device_id}": [
        Case(204, 8, "one that knew no keys", by="member", named=KEYLESS),
        Case(204, 8, "one that knew keys", named=KEYED),
        Case(204, 7, "one that knew keys, repeated", named=KEYED, times=2),
        Case(404, 6, by="stranger"),
        Case(401, 2, by="unknown token"),
    ],
    "POST /api/devices/{device_id}/renew": [
        Case(200, 6, named=PHONE),
        Case(404, 3, by="stranger", named=PHONE),
        Case(401, 2, by="unknown token"),
    ],
    "POST /owntracks": [
        Case(200, 1, "in the clear", by="newcomer", body=FIX, headers=BASIC),
        Case(200, 1, "repeated", by="newcomer", body=FIX, headers=BASIC, times=2),
        Case(200, 1, "sealed", by="newcomer", body=SEALED, headers=BASIC),
        Case(200, 1, "card", by="newcomer", body={"_type": "card"}, headers=BASIC),
        Case(200, 1, "transition", by="newcomer", body=TRANSITION, headers=BASIC),
        Case(200, 1, "not kept", by="newcomer", body={"_type": "lwt"}, headers=BASIC),
        Case(401, 1, "unknown password", by="newcomer", body=FIX, headers=UNKNOWN_BASIC),
    ],
    "POST /pub": [
        Case(200, 1, "in the clear", by="newcomer", body=FIX, headers=BASIC),
    ],
    "POST /api/invites": [
        Case(201, 8, body={}),
        Case(201, 7, "group named", body=GROUP),
        Case(201, 7, "with a key", body=PACKAGE),
        Case(201, 7, "with a key, repeated", body=PACKAGE, times=2),
        Case(201, 7, "with a key for me", body=PACKAGE | {"forMe": True}),
        Case(403, 6, by="pending member", body=GROUP),
        Case(409, 6, "with a former key", body=PACKAGE | {"keyVersion": 2}),
        Case(404, 5, by="stranger", body=GROUP),
        Case(422, 5, "which group?", by="member of two", body={}),
        Case(429, 2, "too often", body=GROUP, times=21),
        Case(401, 1, by="unknown token", body={}),
    ],
    "POST /api/invites/validate": [
        Case(200, 4, "short code", by="newcomer", body=SHORT),
        Case(200, 3, "long code", by="newcomer", body=LONG),
        Case(200, 3, "wrong code", by="newcomer", body=WRONG),
        Case(200, 1, "not a code", by="newcomer", body=NO_CODE),
        Case(429, 1, "too often", by="newcomer", body=WRONG, times=11),
    ],
    "DELETE /api/invites/{invite_id}": [
        Case(204, 5),
        Case(204, 5, "repeated", times=2),
        Case(404, 3, by="stranger"),
        Case(409, 4, "spent", named={"invite_id": "spent_invite_id"}),
        Case(401, 2, by="unknown token"),
    ],
    "PATCH /api/users/me": [
        Case(204, 4, body=NAME),
        Case(401, 2, by="unknown token", body=NAME),
    ],
    "DELETE /api/users/me": [
        Case(204, 8),
        Case(204, 8, by="member of two"),
        Case(401, 2, by="unknown token"),
    ],
    "POST /api/groups": [
        Case(201, 7, body=NAME),
        Case(401, 1, by="unknown token", body=NAME),
    ],
    "POST /api/groups/join": [
        Case(200, 8, "short code", by="stranger", body=SHORT),
        Case(200, 7, "repeated", by="stranger", body=SHORT, times=2),
        Case(200, 7, "long code", by="stranger", body=LONG),
        Case(200, 8, "founding code", by="stranger", body=FOUNDING),
        Case(200, 7, "with a key", by="stranger", body=CARRYING),
        Case(404, 5, "for somebody else", by="stranger", body=MY_OWN),
        Case(404, 5, "wrong code", by="stranger", body=WRONG),
        Case(409, 6, "short code", body=SHORT),
        Case(429, 1, "too often", by="stranger", body=WRONG, times=11),
        Case(401, 3, by="unknown token", body=SHORT),
    ],
    "PATCH /api/groups/{group_id}": [
        Case(200, 5, "name", body=NAME),
        Case(200, 7, "longer retention", body={"retentionDays": 60}),
        Case(200, 4, "nothing", body={}),
        Case(403, 4, by="member", body=NAME),
        Case(404, 3, by="stranger", body=NAME),
        Case(401, 2, by="unknown token", body=NAME),
    ],
    "DELETE /api/groups/{group_id}": [
        Case(204, 5),
        Case(403, 4, by="member"),
        Case(404, 3, by="stranger"),
        Case(401, 2, by="unknown token"),
    ],
    "PATCH /api/groups/{group_id}/members/{user_id}": [
        Case(204, 5, body={"role": "admin"}),
        Case(403, 4, by="member", body={"role": "admin"}),
        Case(404, 5, "no such member", body={"role": "admin"}, named=NOBODY),
        Case(409, 6, "last admin", body={"role": "member"}, named={"user_id": "admin_id"}),
        Case(401, 2, by="unknown token", body={"role": "admin"}),
    ],
    "DELETE /api/groups/{group_id}/members/{user_id}": [
        Case(204, 8),
        Case(204, 6, "oneself", named={"user_id": "admin_id"}),
        Case(403, 4, by="member"),
        Case(404, 5, "no such member", named=NOBODY),
        Case(401, 2, by="unknown token"),
    ],
    "POST /api/groups/{group_id}/leave": [
        Case(204, 6),
        Case(404, 3, by="stranger"),
        Case(401, 2, by="unknown token"),
    ],
    "PUT /api/groups/{group_id}/sharing": [
        Case(204, 5, body={"paused": True}),
        Case(404, 3, by="stranger", body={"paused": True}),
        Case(422, 5, "until the past", body={"paused": True, "until": "2020-01-01T00:00:00Z"}),
        Case(401, 2, by="unknown token", body={"paused": True}),
    ],
    "POST /api/groups/{group_id}/keys": [
        Case(201, 7, body=NEW_KEY),
        Case(403, 5, by="pending member", body=NEW_KEY),
        Case(404, 3, by="stranger", body=NEW_KEY),
        Case(409, 4, "too late", body=NEW_KEY | {"expectedVersion": 0}),
        Case(422, 6, "a surplus device", body=SURPLUS),
        Case(401, 2, by="unknown token", body=NEW_KEY),
    ],
    "PUT /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}": [
        Case(204, 6, body=WRAPPED, named=PENDING),
        Case(204, 5, "repeated", body=WRAPPED, named=PENDING, times=2),
        Case(409, 5, "another", body=WRAPPED),
        Case(403, 4, by="pending member", body=WRAPPED, named=PENDING),
        Case(404, 3, by="stranger", body=WRAPPED, named=PENDING),
        Case(404, 5, "no such device", body=WRAPPED, named=NO_DEVICE),
        Case(401, 2, by="unknown token", body=WRAPPED, named=PENDING),
    ],
    "DELETE /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}": [
        Case(204, 5),
        Case(404, 4, by="member"),
        Case(404, 3, by="stranger"),
        Case(401, 2, by="unknown token"),
    ],
    "PUT /api/groups/{group_id}/keys/{key_version}/vouches/{device_id}": [
        Case(204, 5, body=VOUCH),
        Case(403, 4, by="pending member", body=VOUCH),
        Case(404, 3, by="stranger", body=VOUCH),
        Case(404, 5, "no such device", body=VOUCH, named=NO_DEVICE),
        Case(401, 2, by="unknown token", body=VOUCH),
    ],
    "PUT /api/groups/{group_id}/card": [
        Case(204, 5, body=CARD),
        Case(403, 4, by="pending member", body=CARD),
        Case(404, 3, by="stranger", body=CARD),
        Case(409, 4, "of another version", body=CARD | {"keyVersion": 2}),
        Case(401, 2, by="unknown token", body=CARD),
    ],
    "POST /api/crypto/register-key": [
        Case(200, 4, body=PUBLIC_KEY),
        Case(404, 4, by="pending member", body={"publicKey": "{pending_public_key}"}),
        Case(409, 3, "another key", body={"publicKey": BYTES_32}),
        Case(409, 4, by="stranger", body=PUBLIC_KEY),
        Case(401, 2, by="unknown token", body=PUBLIC_KEY),
    ],
    "DELETE /api/locations": [
        Case(200, 7),
        Case(422, 3, "which group?", by="member of two"),
        Case(401, 2, by="unknown token"),
    ],
    "DELETE /api/locations?groupId={group_id}": [
        Case(200, 6),
        Case(404, 3, by="stranger"),
    ],
}
CASES = [(request, case) for request, cases in TABLE.items() for case in cases]


@dataclass(frozen=True)
class Scene:
    """A group with an admin and a member, and everybody who wants something of it."""

    names: Mapping[str, str]
    tokens: Mapping[str, str | None]

    @classmethod
    def make(cls) -> Self:
        """Make people, a group and invites that nobody else has anything to do with."""
        ids = {name: uuid4() for name in ("invite_id", "spent_invite_id", "keyed_device_id")}
        long, carrying, my_own = (Code.make(None) for _ in range(3))
        public_key, pending_public_key = (secrets.token_bytes(32) for _ in range(2))
        with (
            engine.engine().begin() as connection,
            Session(connection, join_transaction_mode="rollback_only") as session,
        ):
            member, traveller = (factories.someone(session) for _ in range(2))
            admin, stranger = (factories.someone(session, public_key=public_key) for _ in range(2))
            pending = factories.someone(session, public_key=pending_public_key)
            group_id = factories.group(session, admin, member, traveller, key_version=1)
            factories.add_member(session, group_id, pending)
            factories.group(session, traveller)
            make_invite = partial(factories.invite, session, group_id=group_id, by=admin)
            codes = {
                "short code": make_invite(id=ids["invite_id"]),
                "spent code": make_invite(id=ids["spent_invite_id"], used_at=func.now()),
                "founding code": factories.founding_invite(session),
            }
            make_invite(code_hash=code_hash(long, PEPPER.encode()))
            package: dict[str, Any] = {"key_package": bytes(72), "key_version": 1}
            make_invite(code_hash=code_hash(carrying, PEPPER.encode()), **package)
            make_invite(code_hash=code_hash(my_own, PEPPER.encode()), for_creator=True, **package)
            factories.stored_point(session, group_id, admin)
            session.add(
                Device(
                    id=ids["keyed_device_id"],
                    user_id=admin.user_id,
                    name="Tablet",
                    kind="app",
                    token_hash=hash_token(make_token()),
                    public_key=bytes(32),
                )
            )
            phone = factories.phone(session, group_id, admin, key_version=1)
            session.flush()
        # The connection is warm from here on.
        etag = Api(admin.token).get("/api/locations/latest").headers["ETag"]
        return cls(
            names={
                "group_id": str(group_id),
                "admin_id": str(admin.user_id),
                "user_id": str(member.user_id),
                "device_id": str(admin.device_id),
                "member_device_id": str(member.device_id),
                "key_version": "1",
                "pending_device_id": str(pending.device_id),
                "unknown_id": str(uuid4()),
                "public_key": to_base64(public_key),
                "pending_public_key": to_base64(pending_public_key),
                "long code": long.text,
                "carrying code": carrying.text,
                "my own code": my_own.text,
                "own code": Code.make(None).text,
                "etag": etag.strip('"'),
                "phone_id": str(phone.device_id),
                **{
                    name: basic(phone.device_id, password)["Authorization"].removeprefix("Basic ")
                    for name, password in {
                        "phone": phone.token,
                        "unknown phone": make_token(),
                    }.items()
                },
                **{name: str(id_) for name, id_ in ids.items()},
                **{name: code.text for name, code in codes.items()},
            },
            tokens={
                "admin": admin.token,
                "member": member.token,
                "member of two": traveller.token,
                "pending member": pending.token,
                "stranger": stranger.token,
                "unknown token": make_token(),
                "newcomer": None,
            },
        )

    def ask(self, request: str, case: Case) -> Reply:
        """Make a request, with the names put in."""
        method, _, path = request.partition(" ")
        parts = {"path": path, "headers": dict(case.headers)}
        text = json.dumps(parts if case.body is UNSET else parts | {"body": case.body})
        named = {name: self.names[other] for name, other in case.named.items()}
        for name, value in {**self.names, **named}.items():
            text = text.replace("{" + name + "}", value)
        return Api(self.tokens[case.by]).call(method, **json.loads(text))


class Meter:
    """The service on one connection, which goes through a relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def measure(self, request: str, case: Case) -> int:
        """Return how many round trips a case takes."""
        changes = case.status < 300 and not request.startswith("GET ")
        scene = Scene.make() if changes else self._unchanged
        with engine.engine().begin() as connection:
            connection.execute(delete(RateLimit))
        for _ in range(case.times - 1):
            scene.ask(request, case)
        replies: list[Reply] = []
        _, round_trips = self._relay.count(lambda: replies.append(scene.ask(request, case)))
        assert replies[0].status == case.status, replies[0].text
        return round_trips

    @cached_property
    def _unchanged(self) -> Scene:
        return Scene.make()


@contextmanager
def metered(url: str) -> Iterator[Meter]:
    """Serve from a database that has been migrated, in this process."""
    with Relay(url) as relay, pytest.MonkeyPatch.context() as patch:
        own = replace(settings(), database=DatabaseAddress.parse(relay.url), pool_size=1)
        patch.setattr(engine, "settings", lambda: own)
        patch.setattr(engine, "engine", cache(engine.engine.__wrapped__))
        yield Meter(relay)
        engine.engine().dispose()


@pytest.fixture(scope="module")
def meter(server: Server, schema: str) -> Iterator[Meter]:
    with own_database(server, schema) as url, metered(url) as meter:
        yield meter


def test_every_route_stands_in_the_table(schema: str) -> None:
    del schema

    routes = {f"{method} {path}" for method, path, _ in contract.routes()}

    assert {request.partition("?")[0] for request in TABLE} ^ routes == set(), (
        "A route is new or gone: add its cases to TABLE in tests/guards/test_round_trips.py, or"
        " take it out."
    )


def test_reads_and_posts_of_points_are_one_round_trip() -> None:
    hot = {
        case.round_trips
        for request, case in CASES
        if request.startswith(("GET ", "POST /api/locations", "POST /owntracks"))
        if request not in {"GET /api/health", "GET /api/openapi.json"}
        if not request.startswith("GET /api/docs")
        # The web app is files.
        if request.startswith(("GET /api", "POST"))
    }

    assert hot == {1}


def test_no_write_costs_more_than_it_may() -> None:
    assert [(request, str(case)) for request, case in CASES if case.round_trips > MOST] == []


@pytest.mark.parametrize(("route", "case"), CASES, ids=str)
def test_a_request_costs_what_the_table_says(meter: Meter, route: str, case: Case) -> None:
    assert meter.measure(route, case) == case.round_trips


def main() -> None:
    """Print the table as it is measured, in Markdown."""
    from chalicelib.jobs.migrate import migrate  # noqa: PLC0415 -- it reads the settings made here

    with (
        tempfile.TemporaryDirectory() as directory,
        start_server(Path(directory)) as server,
        server.database() as name,
    ):
        os.environ["DATABASE_URL"] = server.url_of(name)
        os.environ["INVITE_CODE_PEPPER"] = PEPPER
        with redirect_stdout(StringIO()):
            migrate({}, None)
            with metered(server.url_of(name)) as meter:
                rows = [(*row, meter.measure(*row)) for row in CASES]
    for request, case, measured in rows:
        sys.stdout.write(f"| `{request}` | {case} | {measured} |\n")


if __name__ == "__main__":
    main()
