"""How much there may be of what every member is shown: refused before a code is spent."""

import secrets
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import hash_token
from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import Device, InviteCode, Member, User
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone, opaque


def fill(session: Session, group_id: UUID, *, members: int = 0, devices: int = 0) -> None:
    """Put so many people into a group, and so many devices with keys, three each, at most 16."""
    people = session.scalars(
        insert(User).returning(User.id), [{"name": "Oli"} for _ in range(members)]
    ).all()
    session.execute(
        insert(Member),
        [{"group_id": group_id, "user_id": id_, "role": "member"} for id_ in people],
    )
    session.execute(
        insert(Device),
        [
            {
                "user_id": people[number % len(people)],
                "name": "Phone",
                "kind": "app",
                "public_key": secrets.token_bytes(32),
                "token_hash": hash_token(str(secrets.token_bytes(32))),
            }
            for number in range(devices)
        ],
    ) if devices else None
    session.commit()


def join(code: Code, public_key: str | None = None, **device: Any) -> Reply:
    told = {"publicKey": public_key} if public_key else {}
    body = {"code": code.text, "name": "Ari", "device": told | device}
    return Api().post("/api/auth/join", body)


def is_open(code: Code) -> bool:
    return bool(Api().post("/api/invites/validate", {"code": code.text}).json["valid"])


@pytest.fixture
def una(api: Api, session: Session) -> Someone:
    del api
    return factories.with_key(session, name="Una")


@pytest.mark.parametrize("way", ["join", "join a group"])
@pytest.mark.parametrize(("members", "status"), [(48, 200), (49, 409)])
def test_a_group_has_fifty_members(
    session: Session, una: Someone, way: str, members: int, status: int
) -> None:
    hearth = factories.group(session, una)
    fill(session, hearth, members=members)
    code = factories.invite(session, group_id=hearth, by=una)
    if way == "join":
        entered = join(code)
    else:
        ari = factories.someone(session)
        entered = Api(ari.token).post("/api/groups/join", {"code": code.text})

    assert entered.status == (201 if way == "join" and status == 200 else status)
    present = session.scalar(select(func.count()).where(Member.group_id == hearth))
    assert present == 50
    if status == 409:
        assert entered.code == "too_many_members"
        assert is_open(code)


@pytest.mark.parametrize(("others", "status"), [(148, 201), (149, 409)])
def test_a_group_has_a_hundred_and_fifty_devices_with_keys(
    session: Session, una: Someone, others: int, status: int
) -> None:
    hearth = factories.group(session, una)
    fill(session, hearth, members=40, devices=others)
    factories.further_device(session, una, revoked_at=func.now())
    factories.further_device(session, una, public_key=None)
    factories.further_device(session, una, last_used_on=func.current_date() - 365)
    codes = [factories.invite(session, group_id=hearth, by=una) for _ in range(2)]

    without_key = join(codes[0])
    entered = join(codes[1], opaque(32))

    assert (without_key.status, entered.status) == (201, status)
    if status == 409:
        assert entered.code == "too_many_devices_in_group"
        assert is_open(codes[1])


@pytest.mark.parametrize(("others", "status"), [(147, 200), (148, 409)])
def test_who_enters_a_group_brings_all_their_devices(
    session: Session, una: Someone, others: int, status: int
) -> None:
    ari = factories.with_key(session)
    factories.further_device(session, ari)
    hearth = factories.group(session, una)
    fill(session, hearth, members=40, devices=others)
    code = factories.invite(session, group_id=hearth, by=una)

    entered = Api(ari.token).post("/api/groups/join", {"code": code.text})

    assert entered.status == status
    if status == 409:
        assert entered.code == "too_many_devices_in_group"
        assert is_open(code)


@pytest.mark.parametrize("way", ["join", "register a key"])
@pytest.mark.parametrize(("devices", "status"), [(15, 201), (16, 409)])
def test_a_person_has_sixteen_devices_with_keys(
    session: Session, una: Someone, way: str, devices: int, status: int
) -> None:
    hearth = factories.group(session, una)
    for _ in range(devices - 1):
        factories.further_device(session, una)
    factories.further_device(session, una, revoked_at=func.now())
    bare = factories.further_device(session, una, public_key=None)
    if way == "join":
        code = factories.invite(session, group_id=hearth, by=una, for_creator=True)
        told = join(code, opaque(32))
    else:
        told = Api(bare.token).post("/api/crypto/register-key", {"publicKey": opaque(32)})

    keyed = select(func.count()).where(
        Device.user_id == una.user_id, Device.public_key.is_not(None), Device.revoked_at.is_(None)
    )
    assert session.scalar(keyed) == 16
    if status == 409:
        assert (told.status, told.code) == (409, "too_many_devices")
    elif way == "join":
        assert told.status == 201
    else:
        assert told.code == "group_key_missing"  # the group's; this device's is kept
    if way == "join":
        spent = session.scalar(select(func.count()).where(InviteCode.used_at.is_not(None)))
        assert spent == int(status == 201)


@pytest.mark.parametrize("way", ["join", "register a key"])
@pytest.mark.parametrize(("others", "is_full"), [(148, False), (149, True)])
def test_a_further_device_needs_room_in_every_group_of_its_person(
    session: Session, una: Someone, way: str, others: int, *, is_full: bool
) -> None:
    hearth, boat = factories.group(session, una), factories.group(session, una)
    fill(session, boat, members=40, devices=others)
    fill(session, factories.group(session, factories.with_key(session)), members=40, devices=150)
    bare = factories.further_device(session, una, public_key=None)
    if way == "join":
        code = factories.invite(session, group_id=hearth, by=una, for_creator=True)
        told = join(code, opaque(32))
    else:
        told = Api(bare.token).post("/api/crypto/register-key", {"publicKey": opaque(32)})

    assert (told.status >= 400 and told.code == "too_many_devices_in_group") is is_full


def test_a_full_group_takes_no_room_in_another(session: Session, una: Someone) -> None:
    hearth = factories.group(session, una)
    fill(session, factories.group(session, factories.someone(session)), members=60, devices=160)
    code = factories.invite(session, group_id=hearth, by=una)

    assert join(code, opaque(32)).status == 201


def test_a_further_device_without_a_key_is_not_counted(session: Session, una: Someone) -> None:
    hearth = factories.group(session, una)
    for _ in range(15):
        factories.further_device(session, una)
    code = factories.invite(session, group_id=hearth, by=una, for_creator=True)

    assert join(code).status == 201


def test_a_key_that_is_registered_again_is_not_counted_again(
    session: Session, una: Someone
) -> None:
    factories.group(session, una)
    for _ in range(16):
        factories.further_device(session, una)  # there was no bound when they came

    key = to_base64(una.public_key or b"")
    told = Api(una.token).post("/api/crypto/register-key", {"publicKey": key})

    assert told.code == "group_key_missing"


@pytest.mark.parametrize("way", ["found", "join", "found by a code"])
@pytest.mark.parametrize(("groups", "is_full"), [(19, False), (20, True)])
def test_a_person_is_in_twenty_groups(
    session: Session, una: Someone, way: str, groups: int, *, is_full: bool
) -> None:
    for _ in range(groups):
        factories.group(session, una)
    ari = factories.someone(session)
    if way == "found":
        told = Api(una.token).post("/api/groups", {"name": "Boat"})
    else:
        code = (
            factories.invite(session, group_id=factories.group(session, ari), by=ari)
            if way == "join"
            else factories.founding_invite(session)
        )
        told = Api(una.token).post("/api/groups/join", {"code": code.text})
        assert is_open(code) is is_full

    assert (told.status == 409) is is_full
    if is_full:
        assert told.code == "too_many_groups"
    assert len(Api(una.token).get("/api/groups").json["groups"]) == 20


def test_who_is_in_a_full_group_is_told_that_they_are(session: Session, una: Someone) -> None:
    hearth = factories.group(session, una)
    fill(session, hearth, members=60, devices=200)  # there was no bound when they came
    code = factories.invite(session, group_id=hearth, by=una)

    again = Api(una.token).post("/api/groups/join", {"code": code.text})

    assert (again.status, again.code) == (409, "already_a_member")


# --- Browsers


def listed_kinds(who: Someone, **query: str) -> list[str]:
    devices = Api(who.token).get("/api/devices", **query).json["devices"]
    return sorted(device["kind"] for device in devices)


def test_a_browser_is_listed_as_one_in_form_2_and_as_an_app_in_form_1(
    session: Session, una: Someone
) -> None:
    hearth = factories.group(session, una)
    codes = [
        factories.invite(session, group_id=hearth, by=una, for_creator=True),
        factories.invite(session, group_id=hearth, by=una),
    ]

    joined = [join(code, opaque(32), kind="web") for code in codes]

    assert [answer.status for answer in joined] == [201, 201]
    assert listed_kinds(una, form="2") == ["app", "web"]
    assert listed_kinds(una) == listed_kinds(una, form="1") == ["app", "app"]
    shown = Api(una.token).get("/api/users", form="2").json["users"]
    kinds = {
        (person["name"], device["kind"])
        for person in shown
        for group in person["groups"]
        for device in group["devices"]
    }
    assert kinds == {("Una", "app"), ("Una", "web"), ("Ari", "web")}
    assert Api(joined[0].json["token"]).get("/api/auth/me").status == 200


@pytest.mark.parametrize("for_me", [False, True])
@pytest.mark.parametrize(
    ("browsers", "kind", "status"),
    [("accepted", "web", 201), ("refused", "web", 403), ("refused", "app", 201)],
)
def test_a_group_that_refuses_browsers_spends_no_code_on_one(  # noqa: PLR0913
    session: Session, una: Someone, browsers: str, kind: str, status: int, *, for_me: bool
) -> None:
    hearth = factories.group(session, una)
    Api(una.token).patch(f"/api/groups/{hearth}", {"browsers": browsers})
    code = factories.invite(session, group_id=hearth, by=una, for_creator=for_me)

    joined = join(code, opaque(32), kind=kind)

    assert joined.status == status
    if status == 403:
        assert joined.code == "browsers_refused"
        assert is_open(code)
        assert join(code, opaque(32)).status == 201


def test_a_browser_enters_no_further_group_that_refuses_it(session: Session, una: Someone) -> None:
    hearth = factories.group(session, una)
    boat = factories.group(session, una, browsers="refused")
    ari = factories.with_key(session, in_browser=True)
    codes = [factories.invite(session, group_id=group, by=una) for group in (hearth, boat)]

    entered, refused = (
        Api(ari.token).post("/api/groups/join", {"code": code.text}) for code in codes
    )

    assert entered.status == 200
    assert (refused.status, refused.code) == (403, "browsers_refused")
    assert is_open(codes[1])
    founding = factories.founding_invite(session)
    assert Api(ari.token).post("/api/groups/join", {"code": founding.text}).status == 200


def test_an_admin_alone_says_whether_browsers_may_join(session: Session, una: Someone) -> None:
    ari = factories.someone(session)
    path = f"/api/groups/{factories.group(session, una, ari)}"

    by_member = Api(ari.token).patch(path, {"browsers": "refused"})
    changed = Api(una.token).call("PATCH", path, {"browsers": "refused"}, query={"form": "2"})
    wrong = Api(una.token).patch(path, {"browsers": "maybe"})

    assert (by_member.status, by_member.code) == (403, "not_an_admin")
    assert changed.json["browsers"] == "refused"
    assert (wrong.status, wrong.code) == (422, "invalid_request")
    (shown,) = Api(ari.token).get("/api/groups", form="2").json["groups"]
    assert shown["browsers"] == "refused"
    keys = Api(ari.token).get(f"{path}/keys", form="2").json
    assert keys["browsers"] == "refused"
    founded = Api(una.token).call("POST", "/api/groups", {"name": "B"}, query={"form": "2"})
    assert founded.json["browsers"] == "accepted"
