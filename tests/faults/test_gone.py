"""A member who is removed, or whose device is revoked, and calls every route meanwhile (R5)."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from chalicelib.models import Group, InviteCode, KeyEnvelope, Location, Member
from chalicelib.web import to_base64
from tests import factories
from tests.database import Server
from tests.factories import Someone
from tests.faults.processes import Call, Processes, own_database, perform
from tests.features.test_rights import OF_PHONES, RULES, Rule
from tests.guards.test_round_trips import FIX
from tests.owntracks import basic

# By these somebody goes themselves, and then nothing is left to be taken from them.
GOING = {
    "POST /api/auth/logout",
    "DELETE /api/users/me",
    "DELETE /api/groups/{group_id}",
    "POST /api/groups/{group_id}/leave",
}
SIGNED_IN = [
    rule for rule in RULES if rule.statuses["no token"] == 401 and rule.path not in OF_PHONES
]
RACED = [rule for rule in SIGNED_IN if str(rule) not in GOING]
GOING_ONESELF = [rule for rule in SIGNED_IN if str(rule) in GOING]
OF_THE_GROUP = [rule for rule in RACED if rule.statuses["stranger"] == 404]
# Whoever is removed from one group may do these still.
NOT_OF_THE_GROUP = {("removal", "POST /api/auth/logout"), ("removal", "DELETE /api/users/me")}
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
CALLS = [300, pytest.param(1000, marks=pytest.mark.full)]


@dataclass(frozen=True)
class Timed:
    """How a call went, on the clock that all processes share."""

    begun: float
    ended: float
    status: int


def timed(call: Call) -> Timed:
    """Make a call, again while the service is busy as a client does, and note when."""
    for _ in range(100):
        begun = time.monotonic()
        reply = perform(call)
        if reply.status != 503:  # a revocation meets a person who is just entering another group
            break
        time.sleep(0.02)
    return Timed(begun, time.monotonic(), reply.status)


@dataclass(frozen=True)
class Scene:
    """A group with two admins, of whom Ari goes, and a member."""

    group_id: UUID
    una: Someone
    ari: Someone
    names: Mapping[str, str]

    def calls(self, rules: list[Rule], many: int) -> list[Call]:
        """Return so many calls of Ari's, of each route in turn."""
        return [
            replace(
                call_of(rules[number % len(rules)], self.names, token=self.ari.token),
                address=f"10.0.{number // 256}.{number % 256}",  # so that the limiter lets it pass
            )
            for number in range(many)
        ]


def call_of(rule: Rule, names: Mapping[str, str], *, token: str | None) -> Call:
    """Return the request of a rule with these names put in, as a process makes it."""
    request: dict[str, Any] = rule.request(names)
    query = f"?{urlencode(request['query'])}" if request["query"] else ""
    return Call(rule.method, request["path"] + query, request.get("body"), token=token)


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database for all of these tests."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture(scope="module")
def processes(url: str) -> Iterator[Processes]:
    with Processes(url, count=4, threads=2) as processes:
        yield processes


@pytest.fixture
def scene(session: Session) -> Scene:
    una, ari, bera = (factories.with_key(session) for _ in range(3))
    group_id = factories.group(session, una, key_version=1)
    factories.add_member(session, group_id, ari, role="admin")
    factories.confirm(session, group_id, ari, 1)
    factories.add_member(session, group_id, bera)
    factories.group(session, ari)  # so that they stay signed in when they are removed
    code = factories.invite(session, group_id=group_id, by=una)
    names = {
        "group_id": str(group_id),
        "user_id": str(bera.user_id),
        "device_id": str(bera.device_id),
        "key_version": "1",
        "invite_id": str(session.scalars(select(InviteCode.id).filter_by(group_id=group_id)).one()),
        "code": code.text,
        "own_device_id": str(ari.device_id),
        "own_public_key": to_base64(ari.public_key or b""),
    }
    return Scene(group_id, una, ari, names)


def removal(scene: Scene) -> Call:
    path = f"/api/groups/{scene.group_id}/members/{scene.ari.user_id}"
    return Call("DELETE", path, token=scene.una.token)


def race(processes: Processes, calls: list[Call], change: Call) -> tuple[set[int], set[int]]:
    """Make calls before, beside and after a change; return how those before it end, and after.

    A third of the calls has ended before the change begins, and a third begins after it has ended.
    The other third is made beside it, and tells by its times on which side each call was.
    """
    third = len(calls) // 3
    early, beside, late = calls[:third], calls[third : 2 * third], calls[2 * third :]
    half = third // 2

    outcomes = processes.each(timed, early)
    racing = processes.each(timed, [*beside[:half], change, *beside[half:]])
    changed = racing.pop(half)
    outcomes += racing + processes.each(timed, late)

    assert changed.status == 204
    before = {outcome.status for outcome in outcomes if outcome.ended < changed.begun}
    after = {outcome.status for outcome in outcomes if outcome.begun > changed.ended}
    return before, after


@pytest.mark.parametrize("many", CALLS)
def test_a_removed_member_does_nothing_more_in_the_group(
    session: Session, processes: Processes, scene: Scene, many: int
) -> None:
    before, after = race(processes, scene.calls(OF_THE_GROUP, many), removal(scene))

    assert before > {200, 201, 204}
    assert after - {429} == {404}
    assert traces(session, scene) == {"members": 0, "points": 0, "envelopes": 0, "invites": 0}
    # What Ari did under way counts for nothing: a key that they made has to be replaced.
    session.rollback()
    assert session.get_one(Group, scene.group_id).rotation_required
    assert session.scalar(text(DEADLOCKS)) == 0


@pytest.mark.parametrize("many", CALLS)
def test_a_revoked_device_does_nothing_more_at_all(
    session: Session, processes: Processes, scene: Scene, many: int
) -> None:
    tablet = factories.further_device(session, scene.ari)
    revocation = Call("DELETE", f"/api/devices/{scene.ari.device_id}", token=tablet.token)

    before, after = race(processes, scene.calls(RACED, many), revocation)

    assert before > {200, 201, 204}
    assert after == {401}
    assert traces(session, scene)["invites"] == 0
    session.rollback()
    assert session.get_one(Group, scene.group_id).rotation_required
    assert session.scalar(text(DEADLOCKS)) == 0


@pytest.mark.parametrize("change", ["removal", "revocation"])
@pytest.mark.parametrize("rule", GOING_ONESELF, ids=str)
def test_whoever_is_made_to_go_while_they_go_themselves_goes_once(
    session: Session, processes: Processes, scene: Scene, rule: Rule, change: str
) -> None:
    tablet = factories.further_device(session, scene.ari)
    path = f"/api/devices/{scene.ari.device_id}"
    revocation = Call("DELETE", path, token=tablet.token)
    forced = removal(scene) if change == "removal" else revocation

    calls = [*scene.calls([rule], 3), forced, *scene.calls([rule], 4)]
    outcomes = processes.each(timed, calls)
    changed = outcomes.pop(3)
    late = [outcome.status for outcome in processes.each(timed, scene.calls([rule], 8))]

    assert {changed.status, *(outcome.status for outcome in outcomes)} <= {204, 401, 404}
    assert [outcome.status for outcome in outcomes].count(204) <= 1
    assert set(late) <= {401, 404} or (change, str(rule)) in NOT_OF_THE_GROUP
    assert session.scalar(text(DEADLOCKS)) == 0


@pytest.mark.parametrize("many", CALLS)
@pytest.mark.parametrize("change", ["removal", "revocation"])
def test_a_phone_whose_person_or_token_has_gone_leaves_no_point(
    session: Session, processes: Processes, scene: Scene, change: str, many: int
) -> None:
    phone = factories.phone(session, scene.group_id, scene.ari)
    factories.group(session, scene.ari)
    headers, now = basic(phone.device_id, phone.token), int(time.time())
    calls = [
        Call("POST", OF_PHONES[number % 2], FIX | {"tst": now - number}, headers=headers)
        for number in range(many)
    ]
    revocation = Call("DELETE", f"/api/devices/{phone.device_id}", token=scene.ari.token)

    before, after = race(processes, calls, removal(scene) if change == "removal" else revocation)
    of_phone = select(func.count(Location.id)).filter_by(device_id=phone.device_id)
    session.rollback()
    kept = session.scalar(of_phone)
    processes.each(perform, calls[:20])

    assert before == {200}
    assert after == {401}
    session.rollback()
    assert session.scalar(of_phone) == kept
    assert change == "revocation" or kept == 0
    assert session.scalar(text(DEADLOCKS)) == 0


def traces(session: Session, scene: Scene) -> dict[str, int]:
    """Return how much is left of Ari in the group; of invites how many that still let people in."""
    session.rollback()
    of_ari = {"group_id": scene.group_id, "user_id": scene.ari.user_id}
    live = {"group_id": scene.group_id, "used_at": None, "revoked_at": None}
    found = {
        "members": select(func.count(Member.id)).filter_by(**of_ari),
        "points": select(func.count(Location.id)).filter_by(**of_ari),
        "envelopes": select(func.count(KeyEnvelope.id)).filter_by(**of_ari),
        "invites": select(func.count(InviteCode.id)).filter_by(**live),
    }
    return {name: session.scalar(count) or 0 for name, count in found.items()}
