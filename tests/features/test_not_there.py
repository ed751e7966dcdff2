"""What is not there and what is not one's own cannot be told apart (R20).

Not by a byte or a header, not by how often the database is asked, and not by the clock. The clock
is asked in turns, each time in another order, so that whatever else the machine does falls on all
alike: on a busy machine a request that comes last may be interrupted more often than the first.
"""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, text, update
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import hash_token, make_token
from chalicelib.db import engine
from chalicelib.invites.codes import InviteCode as Code
from chalicelib.invites.codes import code_hash
from chalicelib.models import Device
from tests import contract, factories
from tests.api import Api, Reply
from tests.database import PEPPER, Server
from tests.faults.processes import own_database
from tests.features.test_rights import (
    HIDDEN,
    OF_PHONES,
    OUTSIDERS,
    RULES,
    Rule,
    Scene,
    make_scene,
)
from tests.guards.test_round_trips import FIX
from tests.owntracks import basic
from tests.relay import Relay
from tests.servers import serving

ATTEMPTS = 4
MOSTLY = 0.75
SIGNED_IN = [
    rule for rule in RULES if rule.statuses["no token"] == 401 and rule.path not in OF_PHONES
]
TOKENS = [
    "unknown token",
    "revoked device",
    "device idle for 366 days",
    "member removed from their last group",
    "phone, as if it were an app",
]
BRIEFLY = [
    "GET /api/users/{user_id} by a stranger",
    "POST /api/locations by a stranger",
    "DELETE /api/groups/{group_id} by a stranger",
    "GET /api/auth/me with a token",
    "POST /api/auth/join with a short code",
    "POST /owntracks with a password",
]
# So often each is made, in turns, and by so much one may take longer than another. A slow hash of
# what one alone brings, or the reading of a table, goes beyond; a row that is found and refused
# does not. On a busy machine each is the slower by chance, but not mostly, attempt after attempt.
MEASURED = [
    pytest.param((BRIEFLY, 20, 1.5), id="some, briefly"),
    pytest.param((None, 100, 1.25), id="all", marks=pytest.mark.full),
]


@dataclass(frozen=True)
class Request:
    """A request that is made again and again."""

    method: str
    path: str
    token: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def ask(self) -> Reply:
        """Make it."""
        return Api(self.token).call(self.method, self.path, **self.options)

    def seconds(self) -> float:
        """Make it, and return how long the answer took."""
        begun = time.perf_counter()
        self.ask()
        return time.perf_counter() - begun


Alike = dict[str, Request]
"""Requests that nobody can tell apart by their answers, by what each is about."""


@dataclass(frozen=True)
class Hearth:
    """A scene on a database of its own, which a relay leads to."""

    url: str
    relay: Relay
    requests: Mapping[str, Alike]


@pytest.fixture(scope="module")
def hearth(server: Server, schema: str) -> Iterator[Hearth]:
    with own_database(server, schema) as url, Relay(url) as relay:
        with serving(url), Session(engine.migration_engine()) as session:
            scene = make_scene(Api(), session)
            requests = dict(everything_alike(scene, session))
        yield Hearth(url, relay, requests)


def everything_alike(scene: Scene, session: Session) -> Iterator[tuple[str, Alike]]:
    """Give all that is answered alike, by a name."""
    for rule in HIDDEN:
        for role in OUTSIDERS:
            yield f"{rule} by a {role}", hidden(scene, rule, role)
    for rule in SIGNED_IN:
        yield f"{rule} with a token", tokens(scene, rule)
    for length, codes in all_codes(session).items():
        for route, (token, body) in {
            "/api/auth/join": (None, {"name": "Ari"}),
            "/api/invites/validate": (None, {}),
            "/api/groups/join": (scene.tokens["stranger"], {}),
        }.items():
            alike = {
                what: Request("POST", route, token, {"body": body | {"code": code.text}})
                for what, code in codes.items()
            }
            yield f"POST {route} with a {length} code", alike
    passwords = all_passwords(scene, session)
    for path in OF_PHONES:
        alike = {
            what: Request("POST", path, None, {"body": FIX, "headers": basic(*signed)})
            for what, signed in passwords.items()
        }
        yield f"POST {path} with a password", alike


def hidden(scene: Scene, rule: Rule, role: str) -> Alike:
    """Return a request for what is another group's, and for what there is not."""
    own = scene.own[role]
    elsewhere = {name: str(uuid4()) for name in scene.names} | {"key_version": "1"}
    return {
        what: as_request(rule.request(names | own), rule, scene.tokens[role])
        for what, names in {"not theirs": scene.names, "not there": elsewhere}.items()
    }


def tokens(scene: Scene, rule: Rule) -> Alike:
    """Return a request with each token that is not valid."""
    request = rule.request(scene.names | scene.own["admin"])
    return {name: as_request(request, rule, scene.tokens[name]) for name in TOKENS}


def as_request(request: dict[str, Any], rule: Rule, token: str | None) -> Request:
    options = {name: part for name, part in request.items() if name != "path"}
    return Request(rule.method, request["path"], token, options)


def all_codes(session: Session) -> dict[str, dict[str, Code]]:
    """Return codes that let nobody in, short ones and long ones: why each does not."""
    una = factories.someone(session)
    group_id = factories.group(session, una)
    past = func.now() - timedelta(hours=1)
    why: dict[str, dict[str, Any]] = {
        "used": {"used_at": past, "used_by": una.user_id, "used_by_device_id": una.device_id},
        "expired": {"expires_at": past},
        "revoked": {"revoked_at": past},
        "used, to found": {"group_id": None, "by": None, "used_at": past},
    }
    codes: dict[str, dict[str, Code]] = {}
    for length, life in {"short": timedelta(hours=1), "long": None}.items():
        codes[length] = {"unknown": Code.make(life)}
        for name, columns in why.items():
            code = Code.make(life)
            kept = {"group_id": group_id, "code_hash": code_hash(code, PEPPER.encode()), **columns}
            factories.invite(session, **{"by": una, **kept})
            codes[length][name] = code
    return codes


def all_passwords(scene: Scene, session: Session) -> dict[str, tuple[UUID, str]]:
    """Return usernames and passwords of phones, by which nobody is signed in."""
    phone, group_id = scene.phones["phone"], UUID(scene.names["group_id"])
    app, revoked = scene.phones["app, as if it were a phone"], scene.phones["revoked phone"]
    renewed, other = (factories.phone(session, group_id, phone, tid=tid) for tid in ("a1", "a2"))
    former = renewed.token
    session.execute(
        update(Device)
        .where(Device.id == renewed.device_id)
        .values(token_hash=hash_token(make_token()))
    )
    elsewhere = factories.someone(session)
    theirs = factories.phone(session, factories.group(session, elsewhere), elsewhere)
    session.commit()
    return {
        "unknown phone": (uuid4(), make_token()),
        "unknown phone with a phone's password": (uuid4(), phone.token),
        "wrong password": (phone.device_id, make_token()),
        "another phone's password": (phone.device_id, other.token),
        "another group's phone's password": (phone.device_id, theirs.token),
        "password from before it was renewed": (renewed.device_id, former),
        "revoked phone": (revoked.device_id, revoked.token),
        "an app's device and token": (app.device_id, app.token),
    }


def afresh() -> None:
    """Let nobody have tried anything yet."""
    with engine.engine().begin() as connection:
        connection.execute(text("DELETE FROM rate_limits"))


def told(reply: Reply) -> Any:
    """Return all that an answer says, save for which request it belongs to."""
    body = reply.json
    length = len(reply.text)
    return reply.status, reply.headers, length, {**body, "requestId": None}


def test_all_that_is_answered_alike_takes_as_many_trips_and_says_the_same(hearth: Hearth) -> None:
    different = {}

    with serving(hearth.relay.url):
        for name, alike in hearth.requests.items():
            afresh()
            next(iter(alike.values())).ask()  # what the connection prepares is there from here on
            seen = {what: asked(hearth.relay, request) for what, request in alike.items()}
            if any(other != next(iter(seen.values())) for other in seen.values()):
                different[name] = seen

    assert different == {}


@pytest.mark.parametrize("measured", MEASURED)
def test_all_that_is_answered_alike_takes_as_long(
    hearth: Hearth, monkeypatch: pytest.MonkeyPatch, measured: tuple[list[str] | None, int, float]
) -> None:
    names, rounds, ratio = measured
    telling: dict[str, Any] = dict.fromkeys(names or hearth.requests)
    monkeypatch.setattr(contract, "check", lambda *_: None)  # which takes longer than the service

    with serving(hearth.url):
        for _ in range(ATTEMPTS):
            found = {name: slower(hearth.requests[name], rounds, ratio) for name in telling}
            telling = {name: what for name, what in found.items() if what}

    assert telling == {}


def slower(alike: Alike, rounds: int, ratio: float) -> dict[str, float]:
    """Return which requests mostly take longer, or less long, than the first of them: how often."""
    for request in alike.values():
        request.ask()  # the connection is there then, and what it prepares
    taken = []
    order = list(alike)
    for _ in range(rounds):
        afresh()
        random.shuffle(order)
        taken.append({what: alike[what].seconds() for what in order})
    first, *others = alike
    shares = {
        what: max(
            sum(seconds[what] > ratio * seconds[first] for seconds in taken) / rounds,
            sum(seconds[first] > ratio * seconds[what] for seconds in taken) / rounds,
        )
        for what in others
    }
    return {what: share for what, share in shares.items() if share > MOSTLY}


def asked(relay: Relay, request: Request) -> tuple[tuple[int, int], Any]:
    """Make a request; return its statements and round trips, and all that it is told."""
    replies: list[Reply] = []
    cost = relay.count(lambda: replies.append(request.ask()))
    return cost, told(replies[0])
