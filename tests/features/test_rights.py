import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Label, Table, Text, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import make_token
from chalicelib.db.base import Base
from chalicelib.models import InviteCode
from chalicelib.web import to_base64
from tests import contract, factories
from tests.api import UNSET, Api, Reply
from tests.factories import Someone
from tests.owntracks import basic

UNKNOWN = [
    "no token",
    "garbage",
    "unknown token",
    "revoked device",
    "device idle for 366 days",
    "member removed from their last group",
    "phone, as if it were an app",
]
KNOWN = ["stranger", "removed member", "pending member", "member", "admin"]


@dataclass(frozen=True)
class Rule:
    """What a route answers to whom.

    Names in braces stand for what belongs to the group, those with `own` to whoever asks.
    """

    method: str
    path: str
    statuses: Mapping[str, int]
    body: Any = UNSET
    query: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def request(self, names: Mapping[str, str]) -> dict[str, Any]:
        """Return the path, the query and the body, with these names put in."""
        parts = {"path": self.path, "query": self.query}
        if self.body is not UNSET:
            parts["body"] = self.body
        text = json.dumps(parts)
        for name, value in names.items():
            text = text.replace("{" + name + "}", value)
        request: dict[str, Any] = json.loads(text)
        return request

    def ask(self, api: Api, names: Mapping[str, str]) -> Reply:
        """Call the route with these names put in."""
        return api.call(self.method, **self.request(names))


def public(method: str, path: str, status: int, **request: Any) -> Rule:
    """Return the rule of a route that anybody may call, with whatever token."""
    return Rule(method, path, dict.fromkeys(UNKNOWN + KNOWN, status), **request)


def private(method: str, path: str, *statuses: int, **request: Any) -> Rule:
    """Return the rule of a route for who is signed in: one status, or one for each of KNOWN."""
    by_role = dict(zip(KNOWN, statuses * (len(KNOWN) // len(statuses)), strict=True))
    return Rule(method, path, dict.fromkeys(UNKNOWN, 401) | by_role, **request)


OF_PHONES = ["/owntracks", "/pub"]
GROUP = {"groupId": "{group_id}"}
POINT = {"latitude": 1, "longitude": 1, "accuracy": 1}
CODE = {"code": "{code}"}
NAME = {"name": "Oli"}
ADMIN = {"role": "admin"}
PAUSED = {"paused": True}
MEMBER = "/api/groups/{group_id}/members/{user_id}"
KEYS = "/api/groups/{group_id}/keys"
ENVELOPES = "/api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}"
VOUCHES = "/api/groups/{group_id}/keys/{key_version}/vouches/{device_id}"
CARD = "/api/groups/{group_id}/card"
WRAPPED = {"wrappedKey": to_base64(bytes(72))}
VOUCH = {"entry": to_base64(bytes(41))}
SEALED_CARD = {"keyVersion": 1, "sealed": to_base64(bytes(41))}
FORM_2 = {"form": "2"}
NEW_KEY = {
    "expectedVersion": 1,
    "commitment": to_base64(bytes(32)),
    "envelopes": [WRAPPED | {"deviceId": "{own_device_id}"}],
}
OWN_KEY = {"publicKey": "{own_public_key}"}
RULES = [
    public("GET", "/api/health", 200),
    public("GET", "/api/health/ready", 200),
    public("POST", "/api/auth/join", 201, body=CODE | NAME),
    private("GET", "/api/auth/me", 200),
    private("POST", "/api/auth/logout", 204),
    private("GET", "/api/devices", 200),
    private("POST", "/api/devices", 201, body=NAME),
    private("DELETE", "/api/devices/{device_id}", 404, 404, 404, 204, 404),
    private("POST", "/api/devices/{device_id}/renew", 404),  # an app's, which is no phone
    private("POST", "/api/invites", 404, 404, 403, 201, 201, body=GROUP),
    private("GET", "/api/invites", 200),
    public("POST", "/api/invites/validate", 200, body=CODE),
    private("DELETE", "/api/invites/{invite_id}", 404, 404, 404, 204, 204),
    private("GET", "/api/users", 200),
    private("GET", "/api/users/{user_id}", 404, 404, 200, 200, 200),
    private("PATCH", "/api/users/me", 204, body=NAME),
    private("DELETE", "/api/users/me", 204),
    private("POST", "/api/groups", 201, body=NAME),
    private("GET", "/api/groups", 200),
    private("POST", "/api/groups/join", 200, 200, 409, 409, 409, body=CODE),
    private("PATCH", "/api/groups/{group_id}", 404, 404, 403, 403, 200, body=NAME),
    private("DELETE", "/api/groups/{group_id}", 404, 404, 403, 403, 204),
    private("PATCH", MEMBER, 404, 404, 403, 403, 204, body=ADMIN),
    private("DELETE", MEMBER, 404, 404, 403, 403, 204),
    private("POST", "/api/groups/{group_id}/leave", 404, 404, 204, 204, 204),
    private("PUT", "/api/groups/{group_id}/sharing", 404, 404, 204, 204, 204, body=PAUSED),
    private("POST", KEYS, 404, 404, 403, 201, 201, body=NEW_KEY),
    private("GET", KEYS, 404, 404, 200, 200, 200),
    private("GET", f"{KEYS}/pending", 404, 404, 403, 200, 200),
    private("PUT", ENVELOPES, 404, 404, 403, 204, 204, body=WRAPPED),
    private("DELETE", ENVELOPES, 404, 404, 404, 204, 404),
    private("PUT", VOUCHES, 404, 404, 403, 204, 204, body=VOUCH),
    private("PUT", CARD, 404, 404, 403, 204, 204, body=SEALED_CARD),
    private("POST", "/api/crypto/register-key", 409, 409, 404, 404, 200, body=OWN_KEY),
    private("GET", "/api/crypto/group-key", 409, 409, 404, 404, 200),
    private("POST", "/api/locations", 404, 404, 403, 200, 200, body=GROUP | POINT),
    private("GET", "/api/locations", 404, 404, 403, 200, 200, query=GROUP),
    private("DELETE", "/api/locations", 404, 404, 200, 200, 200, query=GROUP),
    private("GET", "/api/locations/latest", 404, 404, 403, 200, 200, query=GROUP),
    private("GET", "/api/export", 200),
    # Nobody signs in there by a token.
    *(Rule("POST", path, dict.fromkeys(UNKNOWN + KNOWN, 401)) for path in OF_PHONES),
    public("GET", "/api/openapi.json", 200),
    public("GET", "/api/docs", 200),
    public("GET", "/api/docs/protocol.md", 200),
    public("GET", "/api/docs/errors.md", 200),
    public("GET", "/api/docs/vectors.json", 200),
    public("GET", "/", 200),
    public("GET", "/join", 200),
    public("GET", "/sw.js", 200),
    public("GET", "/manifest.webmanifest", 200),
    public("GET", "/web/config.json", 200),
    public("GET", "/web/{name}", 404),
]
OUTSIDERS = ["stranger", "removed member"]
HIDDEN = [rule for rule in RULES if rule.statuses["stranger"] == 404]
OPEN = [rule for rule in RULES if rule.method == "GET" and rule.statuses["stranger"] == 200]


@dataclass(frozen=True)
class Scene:
    """A group with a key, an admin and a member, and everybody who wants something of it.

    The admin's device has been given the key; the member's came by a key package, and has yet to
    put its own envelope.
    """

    names: dict[str, str]
    tokens: dict[str, str | None]
    phones: dict[str, Someone]
    own: dict[str, dict[str, str]]

    def ask(self, rule: Rule, role: str) -> Reply:
        """Call a route as somebody."""
        return rule.ask(Api(self.tokens[role]), self.names | self.own.get(role, self.own["admin"]))

    @property
    def ids(self) -> list[str]:
        """What nobody may learn who has nothing to do with the group."""
        return [value for name, value in self.names.items() if name != "key_version"]


@pytest.fixture
def scene(api: Api, session: Session) -> Scene:
    return make_scene(api, session)


def make_scene(api: Api, session: Session) -> Scene:
    """Make it anew."""
    everybody = [factories.with_key(session) for _ in range(6)]
    admin, member, removed, outcast, stranger, pending = everybody
    group_id = factories.group(session, admin, removed, outcast, key_version=1)
    factories.add_member(session, group_id, member)
    factories.admit(session, group_id, member, 1)
    factories.add_member(session, group_id, pending)
    factories.group(session, stranger, removed)
    for who in (admin, member, removed, outcast):
        api.as_(who.token).post("/api/locations", factories.plain_point(groupId=str(group_id)))
    for who in (removed, outcast):
        api.as_(admin.token).delete(f"/api/groups/{group_id}/members/{who.user_id}")
    code = factories.invite(session, group_id=group_id, by=member)
    phone = factories.phone(session, group_id, admin)
    return Scene(
        names={
            "group_id": str(group_id),
            "user_id": str(member.user_id),
            "device_id": str(member.device_id),
            "key_version": "1",
            "invite_id": str(
                session.scalars(select(InviteCode.id).filter_by(group_id=group_id)).one()
            ),
            "code": code.text,
        },
        tokens={
            "no token": None,
            "garbage": "garbage",
            "unknown token": make_token(),
            # Both are the admin's, so that nothing but the device itself stands in the way.
            "revoked device": old_device(session, group_id, admin, revoked_at=func.now()),
            "device idle for 366 days": old_device(
                session, group_id, admin, last_used_on=func.current_date() - 366
            ),
            "member removed from their last group": outcast.token,
            "phone, as if it were an app": phone.token,
            "stranger": stranger.token,
            "removed member": removed.token,
            "pending member": pending.token,
            "member": member.token,
            "admin": admin.token,
        },
        phones={
            "app, as if it were a phone": admin,
            "phone with another's password": replace(phone, token=make_token()),
            "revoked phone": factories.phone(session, group_id, admin, revoked_at=func.now()),
            "phone": phone,
        },
        own={
            role: {
                "own_device_id": str(who.device_id),
                "own_public_key": to_base64(who.public_key or b""),
            }
            for role, who in {
                "admin": admin,
                "member": member,
                "removed member": removed,
                "stranger": stranger,
                "pending member": pending,
            }.items()
        },
    )


def old_device(session: Session, group_id: UUID, owner: Someone, **columns: Any) -> str:
    """Give somebody a further device that knows the group's key; return its token."""
    device = factories.further_device(session, owner, **columns)
    factories.confirm(session, group_id, device, 1)
    return device.token


def _rows(table: Table) -> Label[Any]:
    row = cast(table.table_valued(), Text)
    return select(func.json_agg(aggregate_order_by(row, row))).scalar_subquery().label(table.name)


EVERYTHING = select(
    *(_rows(table) for table in Base.metadata.sorted_tables if table.name != "rate_limits")
)


def stored(database: Connection) -> dict[str, list[str]]:
    """Return every row of every table but the limiter's, whose ticks no refusal gives back."""
    row = database.execute(EVERYTHING).one()
    return {name: rows or [] for name, rows in row._mapping.items()}


def told(reply: Reply) -> tuple[int, dict[str, Any]]:
    """Return all that an answer says, save for which request it belongs to."""
    return reply.status, reply.json | {"requestId": None}


def test_every_route_has_a_rule(api: Api) -> None:
    del api

    routes = {f"{method} {path}" for method, path, _ in contract.routes()}

    assert {str(rule) for rule in RULES} ^ routes == set(), (
        "A route is new or gone: add a Rule to RULES in tests/features/test_rights.py that says who"
        " may call it, or take it out."
    )
    assert len(RULES) == len(routes)


# What the same routes answer in form 2.
RULES_OF_FORM_2 = [
    private("GET", KEYS, 404, 404, 200, 200, 200, query=FORM_2),
    private("GET", "/api/users", 404, 404, 200, 200, 200, query=GROUP | FORM_2),
    private("GET", "/api/groups", 200, query=FORM_2),
    private("PUT", ENVELOPES, 404, 404, 403, 204, 204, body=WRAPPED, query=FORM_2),
]


@pytest.mark.parametrize("rule", RULES + RULES_OF_FORM_2, ids=str)
def test_everybody_gets_what_they_have_a_right_to(
    scene: Scene, database: Connection, rule: Rule
) -> None:
    before = stored(database)

    answered, changing = {}, []
    for role in UNKNOWN + KNOWN:
        with database.begin_nested() as attempt:
            answered[role] = scene.ask(rule, role)
            if stored(database) != before:
                changing.append(role)
            attempt.rollback()

    assert {role: reply.status for role, reply in answered.items()} == rule.statuses
    assert [role for role in changing if answered[role].status >= 400] == []
    for reply in answered.values():
        if reply.status == 401:
            assert reply.code == "unauthenticated"
            assert reply.headers["WWW-Authenticate"].startswith(("Bearer ", "Basic "))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_phone_posts_what_it_has_to_say_and_gets_in_nowhere_else(
    scene: Scene, database: Connection, rule: Rule
) -> None:
    before = stored(database)
    request = rule.request(scene.names | scene.own["admin"])

    answered, changing = {}, []
    for role, who in scene.phones.items():
        with database.begin_nested() as attempt:
            headers = basic(who.device_id, who.token)
            answered[role] = Api(None).call(rule.method, **request, headers=headers).status
            if stored(database) != before:
                changing.append(role)
            attempt.rollback()

    everybody = rule.statuses["no token"]
    posts = {"phone": 200} if rule.path in OF_PHONES else {}
    assert answered == dict.fromkeys(scene.phones, everybody) | posts
    assert set(changing) <= {role for role, status in answered.items() if status < 300}


@pytest.mark.parametrize("rule", HIDDEN, ids=str)
def test_what_is_not_ones_own_is_answered_like_what_is_not_there(scene: Scene, rule: Rule) -> None:
    elsewhere = {name: str(uuid4()) for name in scene.names} | {"key_version": "2"}

    for role in OUTSIDERS:
        not_theirs = scene.ask(rule, role)
        not_there = replace(scene, names=elsewhere).ask(rule, role)

        assert told(not_theirs) == told(not_there)
        assert not any(value in not_theirs.text for value in scene.ids)


@pytest.mark.parametrize("rule", OPEN, ids=str)
def test_what_anybody_may_read_says_nothing_of_anothers_group(scene: Scene, rule: Rule) -> None:
    for role in OUTSIDERS:
        answered = scene.ask(rule, role)

        assert answered.status == 200
        assert not any(value in answered.text for value in scene.ids)
