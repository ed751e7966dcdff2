import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Text, cast, func, select
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import hash_token, make_token
from chalicelib.db.base import Base
from chalicelib.models import Device, InviteCode
from tests import factories
from tests.client import UNSET, Api, Reply

UNKNOWN = [
    "no token",
    "garbage",
    "unknown token",
    "revoked device",
    "device idle for 366 days",
    "member removed from their last group",
]
KNOWN = ["stranger", "removed member", "member", "admin"]


@dataclass(frozen=True)
class Rule:
    """What a route answers to whom. Names in braces stand for what belongs to the group."""

    method: str
    path: str
    statuses: Mapping[str, int]
    body: Any = UNSET
    query: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def ask(self, api: Api, names: Mapping[str, str]) -> Reply:
        """Call the route with these names put in."""
        parts = {"path": self.path, "query": self.query}
        if self.body is not UNSET:
            parts["body"] = self.body
        text = json.dumps(parts)
        for name, value in names.items():
            text = text.replace("{" + name + "}", value)
        return api.call(self.method, **json.loads(text))


def public(method: str, path: str, status: int, **request: Any) -> Rule:
    """Return the rule of a route that anybody may call, with whatever token."""
    return Rule(method, path, dict.fromkeys(UNKNOWN + KNOWN, status), **request)


def private(method: str, path: str, *statuses: int, **request: Any) -> Rule:
    """Return the rule of a route for who is signed in: one status, or one for each of KNOWN."""
    by_role = dict(zip(KNOWN, statuses * (4 // len(statuses)), strict=True))
    return Rule(method, path, dict.fromkeys(UNKNOWN, 401) | by_role, **request)


GROUP = {"groupId": "{group_id}"}
POINT = {"latitude": 1, "longitude": 1, "accuracy": 1}
CODE = {"code": "{code}"}
NAME = {"name": "Oli"}
ADMIN = {"role": "admin"}
PAUSED = {"paused": True}
RULES = [
    public("GET", "/api/health", 200),
    public("GET", "/api/health/ready", 200),
    public("POST", "/api/auth/join", 201, body=CODE | NAME),
    private("GET", "/api/auth/me", 200),
    private("POST", "/api/auth/logout", 204),
    private("GET", "/api/devices", 200),
    private("POST", "/api/devices", 201, body=NAME),
    private("DELETE", "/api/devices/{device_id}", 404, 404, 204, 404),
    private("POST", "/api/invites", 404, 404, 201, 201, body=GROUP),
    private("GET", "/api/invites", 200),
    public("POST", "/api/invites/validate", 200, body=CODE),
    private("DELETE", "/api/invites/{invite_id}", 404, 404, 204, 204),
    private("GET", "/api/users", 200),
    private("GET", "/api/users/{user_id}", 404, 404, 200, 200),
    private("PATCH", "/api/users/me", 204, body=NAME),
    private("DELETE", "/api/users/me", 204),
    private("POST", "/api/groups", 201, body=NAME),
    private("GET", "/api/groups", 200),
    private("POST", "/api/groups/join", 200, 200, 409, 409, body=CODE),
    private("PATCH", "/api/groups/{group_id}", 404, 404, 403, 200, body=NAME),
    private("DELETE", "/api/groups/{group_id}", 404, 404, 403, 204),
    private("PATCH", "/api/groups/{group_id}/members/{user_id}", 404, 404, 403, 204, body=ADMIN),
    private("DELETE", "/api/groups/{group_id}/members/{user_id}", 404, 404, 403, 204),
    private("POST", "/api/groups/{group_id}/leave", 404, 404, 204, 204),
    private("PUT", "/api/groups/{group_id}/sharing", 404, 404, 204, 204, body=PAUSED),
    private("POST", "/api/locations", 404, 404, 200, 200, body=GROUP | POINT),
    private("GET", "/api/locations", 404, 404, 200, 200, query=GROUP),
    private("DELETE", "/api/locations", 404, 404, 200, 200, query=GROUP),
    private("GET", "/api/locations/latest", 404, 404, 200, 200, query=GROUP),
    private("GET", "/api/export", 200),
    public("GET", "/api/openapi.json", 200),
    public("GET", "/api/docs", 200),
]
OUTSIDERS = ["stranger", "removed member"]
HIDDEN = [rule for rule in RULES if rule.statuses["stranger"] == 404]
OPEN = [rule for rule in RULES if rule.method == "GET" and rule not in HIDDEN]


@dataclass(frozen=True)
class Scene:
    """A group with an admin and a member, and everybody who wants something of it."""

    names: dict[str, str]
    tokens: dict[str, str | None]

    def api(self, role: str) -> Api:
        return Api(self.tokens[role])


@pytest.fixture
def scene(api: Api, session: Session) -> Scene:
    admin, member, removed, outcast, stranger = (factories.someone(session) for _ in range(5))
    group_id = factories.group(session, admin, member, removed, outcast)
    factories.group(session, stranger, removed)
    for who in (admin, member, removed, outcast):
        api.as_(who.token).post("/api/locations", factories.plain_point(groupId=str(group_id)))
    for who in (removed, outcast):
        api.as_(admin.token).delete(f"/api/groups/{group_id}/members/{who.user_id}")
    code = factories.invite(session, group_id=group_id, by=member)
    return Scene(
        names={
            "group_id": str(group_id),
            "user_id": str(member.user_id),
            "device_id": str(member.device_id),
            "invite_id": str(session.scalars(select(InviteCode.id)).one()),
            "code": code.text,
        },
        tokens={
            "no token": None,
            "garbage": "garbage",
            "unknown token": make_token(),
            # Both are the admin's, so that nothing but the device itself stands in the way.
            "revoked device": device_of(session, admin.user_id, revoked_at=func.now()),
            "device idle for 366 days": device_of(
                session, admin.user_id, last_used_on=func.current_date() - 366
            ),
            "member removed from their last group": outcast.token,
            "stranger": stranger.token,
            "removed member": removed.token,
            "member": member.token,
            "admin": admin.token,
        },
    )


def device_of(session: Session, user_id: UUID, **columns: Any) -> str:
    """Give somebody a further device; return its token."""
    token = make_token()
    session.add(
        Device(user_id=user_id, name="Old", kind="app", token_hash=hash_token(token), **columns)
    )
    session.commit()
    return token


def stored(database: Connection) -> dict[str, list[str]]:
    """Return every row of every table but the limiter's, whose ticks no refusal gives back."""
    return {
        table.name: sorted(database.scalars(select(cast(table.table_valued(), Text))))
        for table in Base.metadata.sorted_tables
        if table.name != "rate_limits"
    }


def told(reply: Reply) -> tuple[int, dict[str, Any]]:
    """Return all that an answer says, save for which request it belongs to."""
    return reply.status, reply.json | {"requestId": None}


def test_every_route_has_a_rule(api: Api) -> None:
    del api
    from app import app  # noqa: PLC0415 -- it reads the settings that fixtures make

    routes = {f"{method} {path}" for path, methods in app.routes.items() for method in methods}

    assert sorted(map(str, RULES)) == sorted(routes)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_everybody_gets_what_they_have_a_right_to(
    scene: Scene, database: Connection, rule: Rule
) -> None:
    before = stored(database)

    answered, changing = {}, []
    for role in UNKNOWN + KNOWN:
        with database.begin_nested() as attempt:
            answered[role] = rule.ask(scene.api(role), scene.names)
            if stored(database) != before:
                changing.append(role)
            attempt.rollback()

    assert {role: reply.status for role, reply in answered.items()} == rule.statuses
    assert [role for role in changing if answered[role].status >= 400] == []
    for reply in answered.values():
        if reply.status == 401:
            assert reply.code == "unauthenticated"
            assert reply.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("rule", HIDDEN, ids=str)
def test_what_is_not_ones_own_is_answered_like_what_is_not_there(scene: Scene, rule: Rule) -> None:
    for role in OUTSIDERS:
        not_theirs = rule.ask(scene.api(role), scene.names)
        not_there = rule.ask(scene.api(role), {name: str(uuid4()) for name in scene.names})

        assert told(not_theirs) == told(not_there)
        assert not any(value in not_theirs.text for value in scene.names.values())


@pytest.mark.parametrize("rule", OPEN, ids=str)
def test_what_anybody_may_read_says_nothing_of_anothers_group(scene: Scene, rule: Rule) -> None:
    for role in OUTSIDERS:
        answered = rule.ask(scene.api(role), scene.names)

        assert answered.status == 200
        assert not any(value in answered.text for value in scene.names.values())
