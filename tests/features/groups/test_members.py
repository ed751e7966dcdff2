from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pg8000.native import Connection
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import Group, InviteCode, Location
from tests import factories
from tests.api import UNSET, Api, Reply
from tests.factories import Someone

# What only admins may do: method, path below the group, body.
ADMINS_ONLY: list[tuple[str, str, Any]] = [
    ("PATCH", "", {}),
    ("PATCH", "", {"name": "Nest"}),
    ("PATCH", "", {"retentionDays": 1}),
    ("PATCH", "", {"encryption": "required"}),
    ("DELETE", "", UNSET),
    ("PATCH", "/members/{admin}", {"role": "member"}),
    ("PATCH", "/members/{member}", {"role": "admin"}),
    ("PATCH", "/members/{nobody}", {"role": "admin"}),
    ("DELETE", "/members/{admin}", UNSET),
    ("DELETE", "/members/{member}", UNSET),
    ("DELETE", "/members/{nobody}", UNSET),
]
MEMBERS_TOO: list[tuple[str, str, Any]] = [
    ("POST", "/leave", UNSET),
    ("PUT", "/sharing", {"paused": True}),
    ("PUT", "/sharing", {"paused": True, "until": "2001-01-01T00:00:00Z"}),
]


@dataclass(frozen=True)
class Family:
    """A group of three: Una runs it, Ari has been there longer than Eva."""

    api: Api
    session: Session
    una: Someone
    ari: Someone
    eva: Someone
    group_id: UUID

    def as_(self, who: Someone) -> Api:
        return self.api.as_(who.token)

    def path(self, rest: str = "", **ids: UUID) -> str:
        return f"/api/groups/{self.group_id}{rest.format(**ids)}"

    def roles(self, who: Someone) -> dict[UUID, str]:
        """Return everybody's role as somebody in the group sees it."""
        return {
            UUID(person["id"]): group["role"]
            for person in self.as_(who).get("/api/users").json["users"]
            for group in person["groups"]
            if group["groupId"] == str(self.group_id)
        }

    def points(self, who: Someone, group_id: UUID | None = None) -> int:
        """Return how many points of somebody are stored, seen or unseen."""
        of_person = select(func.count()).where(
            Location.group_id == (group_id or self.group_id), Location.user_id == who.user_id
        )
        return self.session.scalars(of_person).one()

    def group(self, who: Someone) -> Any:
        groups = self.as_(who).get("/api/groups").json["groups"]
        return next(group for group in groups if group["id"] == str(self.group_id))


def a_family(api: Api, session: Session, **columns: Any) -> Family:
    una, ari, eva = (factories.someone(session, name=name) for name in ("Una", "Ari", "Eva"))
    group_id = factories.group(session, una, eva, **columns)
    # Last in the table, and longest in the group.
    long_ago = factories.now(session) - timedelta(days=100)
    factories.add_member(session, group_id, ari, joined_at=long_ago)
    if key_version := columns.get("key_version"):
        factories.confirm(session, group_id, ari, key_version)
    return Family(api, session, una, ari, eva, group_id)


@pytest.fixture
def family(api: Api, session: Session) -> Family:
    return a_family(api, session)


def told(reply: Reply) -> tuple[int, dict[str, Any]]:
    """Return all that an answer says, save for which request it belongs to."""
    return reply.status, reply.json | {"requestId": None}


# --- Rights


@pytest.mark.parametrize(("method", "rest", "body"), ADMINS_ONLY)
def test_a_member_may_not_do_what_admins_do(
    family: Family, method: str, rest: str, body: Any
) -> None:
    path = family.path(rest, admin=family.una.user_id, member=family.ari.user_id, nobody=uuid4())
    roles, group = family.roles(family.una), family.group(family.una)

    refused = family.as_(family.ari).call(method, path, body)

    assert (refused.status, refused.code) == (403, "not_an_admin")
    assert (family.roles(family.una), family.group(family.una)) == (roles, group)


@pytest.mark.parametrize(("method", "rest", "body"), ADMINS_ONLY + MEMBERS_TOO)
def test_a_stranger_cannot_tell_a_group_from_none(
    family: Family, method: str, rest: str, body: Any
) -> None:
    stranger = factories.someone(family.session)
    factories.group(family.session, stranger)
    rest = rest.format(admin=family.una.user_id, member=family.ari.user_id, nobody=uuid4())

    theirs = family.as_(stranger).call(method, family.path(rest), body)
    none = family.as_(stranger).call(method, f"/api/groups/{uuid4()}{rest}", body)

    assert (theirs.status, theirs.code) == (404, "group_not_found")
    assert told(theirs) == told(none)
    assert len(family.roles(family.una)) == 3


# --- Roles


def test_an_admin_promotes_and_demotes(family: Family) -> None:
    admin, una_id, ari_id = family.as_(family.una), family.una.user_id, family.ari.user_id

    promoted = admin.patch(family.path("/members/{ari}", ari=ari_id), {"role": "admin"})
    roles = family.roles(family.eva)
    demoted = family.as_(family.ari).patch(
        family.path("/members/{una}", una=una_id), {"role": "member"}
    )

    assert (promoted.status, demoted.status) == (204, 204)
    assert roles == {una_id: "admin", ari_id: "admin", family.eva.user_id: "member"}
    assert family.roles(family.eva) == roles | {una_id: "member"}
    assert admin.patch(family.path(), {"name": "Nest"}).code == "not_an_admin"


def test_the_last_admin_cannot_be_demoted(family: Family) -> None:
    path = family.path("/members/{una}", una=family.una.user_id)

    refused = family.as_(family.una).patch(path, {"role": "member"})

    assert (refused.status, refused.code) == (409, "last_admin")
    assert family.roles(family.ari)[family.una.user_id] == "admin"
    assert family.as_(family.una).patch(path, {"role": "admin"}).status == 204


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_nobody_is_moved_who_is_not_in_the_group(family: Family, method: str) -> None:
    outsider = factories.someone(family.session)
    elsewhere = factories.group(family.session, outsider, family.una)
    body = {"role": "admin"} if method == "PATCH" else UNSET
    admin = family.as_(family.una)

    refused = admin.call(method, family.path(f"/members/{outsider.user_id}"), body)
    nobody = admin.call(method, family.path(f"/members/{uuid4()}"), body)

    assert (refused.status, refused.code) == (404, "member_not_found")
    assert told(refused) == told(nobody)
    (group,) = family.as_(outsider).get("/api/groups").json["groups"]
    assert group["id"] == str(elsewhere)


@pytest.mark.parametrize("body", [{}, {"role": "owner"}, {"role": None}, {"role": 1}])
def test_there_are_two_roles(family: Family, body: dict[str, Any]) -> None:
    path = family.path(f"/members/{family.ari.user_id}")

    refused = family.as_(family.una).patch(path, body)

    assert (refused.status, refused.code) == (422, "invalid_request")


# --- Going: by leaving, by being removed, by deleting the account


def leave(family: Family, who: Someone) -> Reply:
    return family.as_(who).post(family.path("/leave"))


def be_removed(family: Family, who: Someone) -> Reply:
    """Be removed by Una; when it is Una, she leaves by another door."""
    return family.as_(family.una).delete(family.path(f"/members/{who.user_id}"))


def delete_account(family: Family, who: Someone) -> Reply:
    return family.as_(who).delete("/api/users/me")


Going = Callable[[Family, Someone], Reply]
every_way_to_go = pytest.mark.parametrize("go", [leave, be_removed, delete_account])


@every_way_to_go
def test_who_goes_takes_their_points_along_and_nobody_elses(family: Family, go: Going) -> None:
    for who in (family.una, family.ari):
        family.as_(who).post("/api/locations", factories.plain_point())

    gone = go(family, family.ari)

    assert gone.status == 204
    assert (family.points(family.ari), family.points(family.una)) == (0, 1)
    assert family.roles(family.eva).keys() == {family.una.user_id, family.eva.user_id}
    seen = family.as_(family.eva).get("/api/locations/latest").json["locations"]
    assert [point["userId"] for point in seen] == [str(family.una.user_id)]


@pytest.mark.parametrize("go", [leave, be_removed])
def test_who_goes_from_one_group_keeps_the_others(family: Family, go: Going) -> None:
    other = factories.group(family.session, family.ari, family.eva, key_version=5)
    ari = family.as_(family.ari)
    for group_id in (family.group_id, other):
        ari.post("/api/locations", factories.plain_point(groupId=str(group_id)))
    invite = factories.invite(family.session, group_id=other, by=family.ari)

    go(family, family.ari)

    assert (family.points(family.ari), family.points(family.ari, other)) == (0, 1)
    (group,) = ari.get("/api/groups").json["groups"]
    assert (group["id"], group["role"], group["rotationRequired"]) == (str(other), "admin", False)
    assert ari.get("/api/locations", groupId=family.group_id).code == "group_not_found"
    assert is_valid(family, invite)


def is_valid(family: Family, code: Code) -> bool:
    checked = family.api.post("/api/invites/validate", {"code": code.text})
    return bool(checked.json["valid"])


@every_way_to_go
@pytest.mark.parametrize("key_version", [0, 3])
def test_who_goes_leaves_no_invite_behind_and_none_of_others_where_they_had_the_key(
    api: Api, session: Session, go: Going, key_version: int
) -> None:
    family = a_family(api, session, key_version=key_version)
    by_goer = factories.invite(family.session, group_id=family.group_id, by=family.ari)
    by_other = factories.invite(family.session, group_id=family.group_id, by=family.una)
    used = factories.invite(family.session, group_id=family.group_id, by=family.una)
    newcomer = family.api.post("/api/auth/join", {"code": used.text, "name": "Oli"})
    elsewhere = factories.invite(
        family.session, group_id=factories.group(family.session, family.una), by=family.una
    )

    go(family, family.ari)

    assert newcomer.status == 201
    assert not is_valid(family, by_goer)
    assert is_valid(family, by_other) is (key_version == 0)
    assert is_valid(family, elsewhere)
    assert family.api.as_(newcomer.json["token"]).get("/api/auth/me").status == 200


@every_way_to_go
@pytest.mark.parametrize("key_version", [0, 3])
def test_who_goes_makes_a_new_key_necessary_where_they_had_one(
    api: Api, session: Session, go: Going, key_version: int
) -> None:
    family = a_family(api, session, key_version=key_version)
    factories.group(session, family.una, name="Other", key_version=7)

    go(family, family.ari)

    required = {
        group["keyVersion"]: group["rotationRequired"]
        for group in family.as_(family.una).get("/api/groups").json["groups"]
    }
    assert required == {key_version: key_version > 0, 7: False}


@every_way_to_go
def test_when_the_last_admin_goes_the_longest_standing_member_becomes_one(
    family: Family, go: Going
) -> None:
    gone = go(family, family.una)

    assert gone.status == 204
    assert family.roles(family.eva) == {
        family.ari.user_id: "admin",
        family.eva.user_id: "member",
    }
    assert family.as_(family.ari).patch(family.path(), {"name": "Nest"}).status == 200


@every_way_to_go
def test_when_an_admin_goes_and_another_stays_nobody_is_promoted(family: Family, go: Going) -> None:
    family.as_(family.una).patch(family.path(f"/members/{family.eva.user_id}"), {"role": "admin"})

    go(family, family.una)

    assert family.roles(family.eva) == {
        family.ari.user_id: "member",
        family.eva.user_id: "admin",
    }


@every_way_to_go
@pytest.mark.parametrize("key_version", [0, 3])
def test_when_the_last_member_goes_the_group_goes(
    api: Api, session: Session, go: Going, key_version: int
) -> None:
    family = a_family(api, session, key_version=key_version)
    invite = factories.invite(session, group_id=family.group_id, by=family.una)
    family.as_(family.una).post("/api/locations", factories.plain_point())
    leave(family, family.eva)
    leave(family, family.ari)
    other = factories.group(session, family.eva)

    gone = go(family, family.una)

    assert gone.status == 204
    assert session.scalars(select(Group.id)).all() == [other]
    assert session.scalars(select(InviteCode.id)).all() == []
    assert family.points(family.una) == 0
    assert not is_valid(family, invite)


def test_who_leaves_stays_signed_in_and_comes_back_as_a_newcomer(family: Family) -> None:
    ari = family.as_(family.ari)
    ari.post("/api/locations", factories.plain_point())
    ari.put(family.path("/sharing"), {"paused": True})

    left = ari.post(family.path("/leave"))
    again = ari.post(family.path("/leave"))
    code = factories.invite(family.session, group_id=family.group_id, by=family.una)
    joined = ari.post("/api/groups/join", {"code": code.text})

    assert left.status == 204
    assert (again.status, again.code) == (404, "group_not_found")
    assert joined.status == 200
    assert joined.json["role"] == "member"
    assert joined.json["sharing"] == {"paused": False}
    assert ari.get("/api/locations/latest").json == {"locations": []}


def test_who_is_removed_from_their_last_group_is_signed_out_everywhere(family: Family) -> None:
    tablet = family.as_(family.ari).post("/api/devices", {"name": "Tablet"}).json["token"]

    removed = be_removed(family, family.ari)

    assert removed.status == 204
    for token in (family.ari.token, tablet):
        refused = family.api.as_(token).get("/api/auth/me")
        assert (refused.status, refused.code) == (401, "unauthenticated")
    assert family.as_(family.eva).get("/api/auth/me").status == 200


def test_who_is_removed_from_one_of_their_groups_stays_signed_in(family: Family) -> None:
    factories.group(family.session, family.eva, family.ari)

    be_removed(family, family.ari)

    assert family.as_(family.ari).get("/api/auth/me").status == 200
    assert family.as_(family.ari).get("/api/locations", groupId=family.group_id).status == 404


def test_who_removes_themselves_stays_signed_in(family: Family) -> None:
    removed = be_removed(family, family.una)

    assert removed.status == 204
    assert family.as_(family.una).get("/api/groups").json == {"groups": []}


def test_a_removal_that_is_repeated_finds_nobody(family: Family) -> None:
    be_removed(family, family.ari)

    again = be_removed(family, family.ari)

    assert (again.status, again.code) == (404, "member_not_found")


def test_a_deleted_group_takes_everything_of_it_along_and_nothing_else(family: Family) -> None:
    other = factories.group(family.session, family.una, family.ari, name="Other")
    for group_id in (family.group_id, other):
        family.as_(family.ari).post("/api/locations", factories.plain_point(groupId=str(group_id)))
    invites = [
        factories.invite(family.session, group_id=group_id, by=family.una)
        for group_id in (family.group_id, other)
    ]

    deleted = family.as_(family.una).delete(family.path())
    again = family.as_(family.una).delete(family.path())

    assert deleted.status == 204
    assert (again.status, again.code) == (404, "group_not_found")
    assert (family.points(family.ari), family.points(family.ari, other)) == (0, 1)
    assert [is_valid(family, invite) for invite in invites] == [False, True]
    (left,) = family.as_(family.ari).get("/api/groups").json["groups"]
    assert left["id"] == str(other)
    assert family.as_(family.eva).get("/api/groups").json == {"groups": []}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *ADMINS_ONLY[:1],
        *MEMBERS_TOO[:1],
        ("PUT", f"/keys/1/envelopes/{UUID(int=7)}", {"wrappedKey": factories.opaque()}),
    ],
)
def test_a_stranger_waits_for_nobody_in_anothers_group_nor_holds_it_up(
    operator: Connection, method: str, path: str, body: Any
) -> None:
    with Session(engine.engine()) as session:
        una, stranger = factories.someone(session), factories.someone(session)
        group_id = factories.group(session, una)
    operator.run("BEGIN")
    operator.run("SELECT FROM groups FOR UPDATE")

    answer = Api(stranger.token).call(method, f"/api/groups/{group_id}{path}", body)

    # Whoever waited would be told to come back: that there is such a group, and that it is busy.
    assert (answer.status, answer.code) == (404, "group_not_found")
