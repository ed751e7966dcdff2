"""Every request delivered again, in a row and three at once (R7): a network may, and clients do."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import InviteCode
from chalicelib.web import to_base64
from tests import contract, factories
from tests.api import UNSET, Reply
from tests.database import Server
from tests.faults.processes import Call, Processes, own_database, perform
from tests.faults.test_gone import DEADLOCKS, call_of
from tests.features.site import files
from tests.features.test_rights import RULES, stored
from tests.guards.test_round_trips import FIX, SEALED, TRANSITION
from tests.owntracks import basic
from tests.servers import serving

RULE = {str(rule): rule for rule in RULES}
KEY = {"Idempotency-Key": "nobody-else-knows-this-one"}
ROUNDS = [1, pytest.param(5, marks=pytest.mark.full)]


@dataclass(frozen=True)
class Delivery:
    """A request that is delivered again: how the first is answered, and how every further one.

    A further one changes no row and, with the same status, has the same body, unless `because`
    says why not: then `fresh` names what of the body is another each time, and `adds` the tables
    to which every delivery adds a row. `body`, `headers` and `names` stand in the place of the
    rule's own.
    """

    first: int
    again: int
    what: str = ""
    _: KW_ONLY
    because: str = ""
    by: str = "admin"
    fresh: frozenset[str] = frozenset()
    adds: frozenset[str] = frozenset()
    body: Any = UNSET
    headers: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.first), "then", str(self.again), self.what)))


NOT_FOUND = "it is gone, and whoever asked for that knows from the answer that it is"
SIGNED_OUT = "the device that asks has gone itself: its client forgets the token on any 401"
NEW_TOKEN = "only a hash is kept, so a token that was lost is replaced; the last one works"
NEW_THING = "it has no key of its own; what a lost answer has made is listed, and can be deleted"
NEW_POINT = "without an id it is not the same point; clients that repeat make one (docs/errors.md)"
CARRIED = "the key package is handed out once; the device puts its envelope, or asks a member"

POINT = factories.plain_point(groupId="{group_id}")
PACKAGE = {
    "groupId": "{group_id}",
    "code": "{own_code}",
    "keyPackage": factories.opaque(400),
    "keyVersion": 1,
}
JOIN = {"name": "Sif", "device": {"publicKey": factories.opaque(32)}}
PHONE = {"name": "Phone", "kind": "owntracks", "groupId": "{group_id}"}
TABLE: dict[str, list[Delivery]] = {
    **{str(rule): [Delivery(200, 200)] for rule in RULES if rule.method == "GET"},
    "GET /api/health": [Delivery(200, 200, fresh=frozenset({"timestamp"}), because="it is later")],
    "GET /api/health/ready": [
        Delivery(200, 200, fresh=frozenset({"timestamp"}), because="it is later")
    ],
    "POST /api/auth/join": [
        Delivery(
            201,
            201,
            "with a key",
            body=JOIN | {"code": "{code}"},
            headers=KEY,
            fresh=frozenset({"token"}),
            because=NEW_TOKEN,
        ),
        Delivery(
            201,
            201,
            "to found, with a key",
            body=JOIN | {"code": "{founding_code}", "group": {"name": "Boat"}},
            headers=KEY,
            fresh=frozenset({"token"}),
            because=NEW_TOKEN,
        ),
        Delivery(
            201,
            201,
            "with a key, by a link",
            body=JOIN | {"code": "{carrying_code}"},
            headers=KEY,
            fresh=frozenset({"token", "keyPackage", "keyVersion"}),
            because=f"{NEW_TOKEN}; {CARRIED}",
        ),
        Delivery(201, 404, "without", because="nothing tells it from somebody else with the code"),
    ],
    "POST /api/auth/logout": [Delivery(204, 401, because=SIGNED_OUT)],
    "POST /api/devices": [
        Delivery(
            201,
            201,
            because=NEW_THING,
            fresh=frozenset({"id", "token"}),
            adds=frozenset({"devices"}),
        ),
        Delivery(
            201,
            201,
            "a phone",
            body=PHONE,
            because=NEW_THING,
            fresh=frozenset({"id", "token", "username", "password", "tid"}),
            adds=frozenset({"devices"}),
        ),
        Delivery(
            201,
            409,
            "a phone of this tid",
            body=PHONE | {"tid": "aa"},
            because="the tid is taken, by the first",
        ),
    ],
    "DELETE /api/devices/{device_id}": [
        Delivery(204, 204, "another", names={"device_id": "tablet_id"}),
        Delivery(204, 204, "a phone", names={"device_id": "phone_id"}),
        Delivery(204, 401, "itself", names={"device_id": "own_device_id"}, because=SIGNED_OUT),
    ],
    "POST /api/devices/{device_id}/renew": [
        Delivery(
            200,
            200,
            names={"device_id": "phone_id"},
            fresh=frozenset({"token", "password"}),
            because=NEW_TOKEN,
        )
    ],
    "POST /api/invites": [
        Delivery(
            201,
            201,
            "code of ours",
            because=NEW_THING,
            fresh=frozenset({"id", "code", "expiresAt"}),
            adds=frozenset({"invite_codes"}),
        ),
        Delivery(201, 201, "code of one's own", body=PACKAGE),
        Delivery(201, 201, "for me", body=PACKAGE | {"forMe": True}),
    ],
    "POST /api/invites/validate": [Delivery(200, 200)],
    "DELETE /api/invites/{invite_id}": [Delivery(204, 204)],
    "PATCH /api/users/me": [Delivery(204, 204)],
    "DELETE /api/users/me": [Delivery(204, 401, because=SIGNED_OUT)],
    "POST /api/groups": [
        Delivery(
            201,
            201,
            because=NEW_THING,
            fresh=frozenset({"id", "joinedAt"}),
            adds=frozenset({"groups", "group_members"}),
        )
    ],
    "POST /api/groups/join": [
        Delivery(200, 200, by="stranger"),
        Delivery(
            200,
            200,
            "by a link",
            by="stranger",
            body={"code": "{carrying_code}"},
            fresh=frozenset({"keyPackage", "keyVersion"}),
            because=CARRIED,
        ),
        Delivery(
            200,
            404,
            "to found",
            by="stranger",
            body={"code": "{founding_code}"},
            because="a code that founds leads to no group; the new one is among the caller's",
        ),
        Delivery(409, 409, "a group of one's own"),
    ],
    "PATCH /api/groups/{group_id}": [
        Delivery(200, 200),
        Delivery(200, 200, "kept longer", body={"retentionDays": 60}),
    ],
    "DELETE /api/groups/{group_id}": [Delivery(204, 404, because=NOT_FOUND)],
    "PATCH /api/groups/{group_id}/members/{user_id}": [Delivery(204, 204)],
    "DELETE /api/groups/{group_id}/members/{user_id}": [Delivery(204, 404, because=NOT_FOUND)],
    "POST /api/groups/{group_id}/leave": [Delivery(204, 404, because=NOT_FOUND)],
    "PUT /api/groups/{group_id}/sharing": [Delivery(204, 204)],
    "POST /api/groups/{group_id}/keys": [
        Delivery(201, 409, because="the version is another now; whether it is this key, GET says")
    ],
    "PUT /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}": [Delivery(204, 204)],
    "DELETE /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}": [
        Delivery(204, 404, names={"device_id": "own_device_id"}, because=NOT_FOUND)
    ],
    "PUT /api/groups/{group_id}/keys/{key_version}/vouches/{device_id}": [Delivery(204, 204)],
    "PUT /api/groups/{group_id}/card": [Delivery(204, 204)],
    "POST /api/crypto/register-key": [
        Delivery(200, 200),
        Delivery(404, 404, "first seen", by="keyless", body={"publicKey": factories.opaque(32)}),
    ],
    "POST /api/locations": [
        Delivery(200, 200, body=POINT),
        Delivery(200, 200, "a batch", body={"locations": [POINT, factories.plain_point() | POINT]}),
        Delivery(
            200,
            200,
            "without an id",
            because=NEW_POINT,
            fresh=frozenset({"results"}),
            adds=frozenset({"locations"}),
        ),
    ],
    "DELETE /api/locations": [
        Delivery(200, 200, fresh=frozenset({"deleted"}), because="it says how many it deleted")
    ],
    "POST /owntracks": [
        Delivery(200, 200, what, by="phone", body=message)
        for what, message in {
            "fix": FIX,
            "sealed": SEALED,
            "transition": TRANSITION,
            "card": {"_type": "card", "name": "Una"},
            "not kept": {"_type": "lwt", "tst": FIX["tst"]},
        }.items()
    ],
    "POST /pub": [Delivery(200, 200, by="phone", body=FIX)],
}
CASES = [(route, delivery) for route, deliveries in TABLE.items() for delivery in deliveries]


@dataclass(frozen=True)
class Scene:
    """A group with a key and an admin, a member who waits for it, and who else may ask."""

    names: Mapping[str, str]
    tokens: Mapping[str, str | None]
    phone: Mapping[str, str]

    def call(self, route: str, delivery: Delivery) -> Call:
        """Return the request, with what belongs to this scene in it."""
        rule = RULE[route]
        if delivery.body is not UNSET:
            rule = replace(rule, body=delivery.body)
        named = {name: self.names[other] for name, other in delivery.names.items()}
        call = call_of(rule, {**self.names, **named}, token=self.tokens[delivery.by])
        headers = self.phone if delivery.by == "phone" else delivery.headers
        return replace(call, headers=dict(headers))


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database for all of these tests, each of which has a scene of its own."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture(scope="module")
def processes(url: str) -> Iterator[Processes]:
    with Processes(url, count=3) as processes:
        yield processes


@pytest.fixture(scope="module")
def unchanged(url: str) -> tuple[Scene, Scene]:
    """What is only read."""
    with serving(url), Session(engine.migration_engine()) as session:
        return new_scenes(session)


@pytest.fixture(autouse=True)
def no_deadlock(session: Session) -> Iterator[None]:
    """Not even one that was overcome by a second try."""
    yield
    session.rollback()
    assert session.scalar(text(DEADLOCKS)) == 0


def new_scenes(session: Session) -> tuple[Scene, Scene]:
    """Make what a request is about twice, and forget who has asked how often."""
    session.execute(text("DELETE FROM rate_limits"))
    with Session(session.connection(), join_transaction_mode="rollback_only") as making:
        scenes = make_scene(making), make_scene(making)
    session.commit()
    return scenes


def make_scene(session: Session) -> Scene:
    una, ari, sif = (factories.with_key(session) for _ in range(3))
    group_id = factories.group(session, una, key_version=1)
    factories.add_member(session, group_id, ari)
    factories.group(session, sif)
    tablet = factories.further_device(session, una)
    keyless = factories.further_device(session, una, public_key=None)
    phone = factories.phone(session, group_id, una)
    factories.stored_point(session, group_id, una)
    code = factories.invite(session, group_id=group_id, by=una)
    of_code = select(InviteCode.id).filter_by(group_id=group_id)
    invite_id = session.scalars(of_code).one()
    carrying = factories.invite(
        session, group_id=group_id, by=una, key_package=bytes(400), key_version=1
    )
    names = {
        "group_id": str(group_id),
        "user_id": str(ari.user_id),
        "device_id": str(ari.device_id),
        "key_version": "1",
        "invite_id": str(invite_id),
        "code": code.text,
        "founding_code": factories.founding_invite(session).text,
        "carrying_code": carrying.text,
        "own_code": Code.make(None).text,
        "own_device_id": str(una.device_id),
        "own_public_key": to_base64(una.public_key or b""),
        "tablet_id": str(tablet.device_id),
        "phone_id": str(phone.device_id),
        "name": files.names()[-1].removeprefix("web/"),
    }
    tokens = {
        "admin": una.token,
        "stranger": sif.token,
        "keyless": keyless.token,
        "phone": None,
    }
    return Scene(names, tokens, basic(phone.device_id, phone.token))


def everything(session: Session) -> dict[str, list[str]]:
    """Return every row of every table, but the limiter's."""
    session.rollback()
    return stored(session.connection())


def gained(before: dict[str, list[str]], after: dict[str, list[str]]) -> Counter[str]:
    """Return by how many rows each table has grown, or shrunk."""
    change = Counter({name: len(rows) for name, rows in after.items()})
    change.subtract({name: len(rows) for name, rows in before.items()})
    return Counter({name: rows for name, rows in change.items() if rows})


def told(reply: Reply, fresh: frozenset[str]) -> Any:
    """Return what an answer says, save for what is another with each."""
    if not reply.headers.get("Content-Type", "").endswith("json"):
        return reply.text
    body = reply.json
    if isinstance(body, dict):
        return {name: value for name, value in body.items() if name not in fresh | {"requestId"}}
    return body


def test_every_route_is_delivered_again(schema: str) -> None:
    del schema

    routes = {f"{method} {path}" for method, path, _ in contract.routes()}

    assert set(TABLE) ^ routes == set(), (
        "A route is new or gone: add it to TABLE in tests/faults/test_delivered_twice.py, or take"
        " it out."
    )


def test_whatever_is_not_answered_alike_has_its_reason() -> None:
    differing = [
        (route, delivery)
        for route, delivery in CASES
        if delivery.first != delivery.again or delivery.fresh or delivery.adds
    ]

    assert [case for case in differing if not case[1].because] == []
    assert [case for case in CASES if case[1].because and case not in differing] == []


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}, {case[1]}")
def test_a_request_that_is_delivered_again_is_done_once(
    session: Session,
    processes: Processes,
    unchanged: tuple[Scene, Scene],
    case: tuple[str, Delivery],
    rounds: int,
) -> None:
    route, delivery = case
    for _ in range(rounds):
        scenes = unchanged if route.startswith("GET ") else new_scenes(session)
        in_a_row, at_once = (scene.call(route, delivery) for scene in scenes)

        before = everything(session)
        (first,) = processes.each(perform, [in_a_row])
        once = everything(session)
        (second,) = processes.each(perform, [in_a_row])
        twice = everything(session)
        three = processes.each(perform, [at_once] * 3)
        after = everything(session)

        assert (first.status, second.status) == (delivery.first, delivery.again)
        statuses = [delivery.first, delivery.again, delivery.again]
        assert Counter(reply.status for reply in three) == Counter(statuses)
        assert gained(once, twice) == Counter(delivery.adds)
        assert twice == once or delivery.fresh
        of_three = gained(before, once)
        of_three.update(2 * list(delivery.adds))
        assert gained(twice, after) == of_three
        if delivery.first == delivery.again:
            assert told(first, delivery.fresh) == told(second, delivery.fresh)
            answers = [told(reply, delivery.fresh) for reply in three]
            assert answers == answers[:1] * 3
