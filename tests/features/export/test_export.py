import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from chalicelib.db.base import Base
from chalicelib.models import (
    Device,
    DeviceCard,
    FurtherEnvelope,
    GivenKey,
    InviteCode,
    KeyEnvelope,
    Location,
    Member,
    User,
    Vouch,
)
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api
from tests.factories import Someone

# What is not exported, and why it says nothing more about the person.
LEFT_OUT: dict[type[Base], set[str]] = {
    User: set(),
    Device: {
        "user_id",  # the person themselves
        "token_hash",  # a secret's hash
    },
    Member: {
        "id",  # named by its group
        "group_id",  # told as the group's id
        "user_id",  # the person themselves
        "created_at",  # told as joined_at
    },
    InviteCode: {
        "code_hash",  # a secret's hash
        "idempotency_hash",  # a secret's hash
        "created_by",  # told as made_by_me, for it may be somebody else
        "used_by",  # likewise
        "used_by_device_id",  # likewise
        "key_package",  # sealed for whoever has the code
        "key_version",  # the group's
        "for_creator",  # says how the code may be used, nothing of the person
    },
    KeyEnvelope: {
        "id",  # named by its device, group and version
        "user_id",  # the person themselves
    },
    FurtherEnvelope: {"id", "user_id"},  # likewise
    GivenKey: {"user_id"},  # the person themselves
    DeviceCard: {"user_id"},  # likewise
    Vouch: {
        "id",  # named by its devices and group
        "user_id",  # whose the device is, which may be another member's
        "voucher_id",  # likewise
    },
    Location: set(),
}


def test_everything_about_me_is_exported(api: Api, session: Session) -> None:
    una, ari = factories.with_key(session, name="Una"), factories.with_key(session)
    hearth = factories.group(session, una, ari, name="Hearth", key_version=1)
    post(api, una, hearth)
    keys = f"/api/groups/{hearth}/keys/1"
    sealed, wrapped = factories.opaque(100), {"wrappedKey": factories.opaque()}
    api.as_(ari.token).call(
        "PUT", f"{keys}/envelopes/{una.device_id}", wrapped, query={"form": "2"}
    )
    api.as_(ari.token).put(f"{keys}/vouches/{una.device_id}", {"entry": sealed})
    api.as_(una.token).put(f"{keys}/vouches/{ari.device_id}", {"entry": sealed})
    api.as_(una.token).put(f"/api/groups/{hearth}/card", {"keyVersion": 1, "sealed": sealed})
    api.as_(una.token).post("/api/invites", {})

    export = api.as_(una.token).get("/api/export").json

    told = {
        User: export["user"],
        Device: export["devices"][0],
        Member: export["groups"][0],
        InviteCode: export["invites"][0],
        KeyEnvelope: export["keyEnvelopes"][0],
        FurtherEnvelope: export["furtherEnvelopes"][0],
        GivenKey: export["givenKeys"][0],
        DeviceCard: export["deviceCards"][0],
        Vouch: export["vouches"][0],
        Location: export["locations"][0],
    }
    sealed_only = {"encryptedData", "keyVersion"}
    for model, left_out in LEFT_OUT.items():
        columns = set(Base.metadata.tables[model.__tablename__].columns.keys())
        expected = {camel(name) for name in columns - left_out}
        assert expected - told[model].keys() - sealed_only == set(), (
            f"{model.__name__} has columns that are not exported: add them to the statement in"
            " chalicelib/export/queries.py and the shape in schemas.py, or to LEFT_OUT in"
            " tests/features/export/test_export.py with the reason."
        )
    assert export.keys() == {
        *("user", "devices", "groups", "invites", "keyEnvelopes", "locations"),
        *("owntracksCards", "owntracksTransitions", "owntracksServed"),
        *("furtherEnvelopes", "givenKeys", "deviceCards", "vouches"),
    }
    assert {vouch["deviceId"] for vouch in export["vouches"]} == {
        str(una.device_id),
        str(ari.device_id),
    }


def test_each_thing_is_exported_as_it_is(api: Api, session: Session) -> None:
    code = factories.founding_invite(session)
    joined = api.post(
        "/api/auth/join",
        {"code": code.text, "name": "Una", "group": {"name": "H", "encryption": "optional"}},
    ).json
    una = api.as_(joined["token"])
    key = secrets.token_bytes(32)
    session.execute(update(Device).values(public_key=key))
    session.commit()
    tablet = una.post("/api/devices", {"name": "Tablet"}).json["id"]
    una.delete(f"/api/devices/{tablet}")
    una.put(f"/api/groups/{joined['group']['id']}/sharing", {"paused": True})
    invite = una.post("/api/invites", {"expiresInHours": None}).json["id"]

    export = una.get("/api/export").json

    now = factories.now(session)
    phone, other = sorted(export["devices"], key=lambda device: device["id"] == tablet)
    used, made = sorted(export["invites"], key=lambda invite: invite["madeByMe"])
    assert export["user"]["name"] == "Una"
    assert at(export["user"]["createdAt"]) == now
    assert (phone["name"], phone["kind"], phone["revokedAt"]) == ("App", "app", None)
    assert phone["publicKey"] == to_base64(key)
    assert (other["name"], at(other["revokedAt"])) == ("Tablet", now)
    assert other["lastUsedOn"] == now.date().isoformat()
    (group,) = export["groups"]
    assert (group["id"], group["name"], group["role"]) == (joined["group"]["id"], "H", "admin")
    assert (group["sharingPaused"], group["sharingResumesAt"]) == (True, None)
    assert at(group["joinedAt"]) == now
    assert (made["id"], made["expiresAt"], made["usedAt"]) == (invite, None, None)
    assert (at(used["usedAt"]), used["groupId"]) == (now, None)


def test_the_envelopes_of_all_ones_devices_are_exported_as_they_are(
    api: Api, session: Session
) -> None:
    una, ari = factories.with_key(session), factories.with_key(session)
    hearth = factories.group(session, una, ari, key_version=2)
    factories.add_member(session, factories.group(session, ari, key_version=1), una)
    wrapped = session.scalars(
        select(KeyEnvelope.wrapped_key).filter_by(device_id=una.device_id).order_by("key_version")
    )
    tablet = factories.further_device(session, una)

    first, second = api.as_(tablet.token).get("/api/export").json["keyEnvelopes"]

    assert [at(envelope.pop("createdAt")) for envelope in (first, second)] == (
        [factories.now(session)] * 2
    )
    assert [first, second] == [
        {
            "groupId": str(hearth),
            "keyVersion": version,
            "deviceId": str(una.device_id),
            "wrapperDeviceId": str(una.device_id),
            "wrappedKey": to_base64(key or b""),
            "wrapperPublicKey": to_base64(una.public_key or b""),
            "rosterEntry": None,
            "former": None,
        }
        for version, key in enumerate(wrapped, 1)
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 500])
def test_the_pages_walk_every_point_once_over_all_groups(
    api: Api, session: Session, limit: int
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    groups = [factories.group(session, una, ari) for _ in range(3)]
    moments = [0, 1, 1, 20]  # days ago: two at one moment
    sent = {post(api, una, group_id, days) for group_id in groups[:2] for days in moments}
    for group_id in groups:
        post(api, ari, group_id)

    pages = walk(api, una, limit)

    walked = [(UUID(point["groupId"]), point["id"]) for page in pages for point in page]
    assert len(walked) == len(sent)
    assert set(walked) == sent
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert pages[-1]


def test_every_page_repeats_all_but_the_points(api: Api, session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    for days in (0, 1):
        post(api, una, hearth, days)

    first = api.as_(una.token).get("/api/export", limit=1).json
    last = api.as_(una.token).get("/api/export", limit=1, cursor=first["nextCursor"]).json

    assert "nextCursor" not in last
    different = {"locations", "nextCursor"}
    assert {name: first[name] for name in first.keys() - different} == {
        name: last[name] for name in last.keys() - different
    }


def test_a_point_is_exported_as_it_was_stored(api: Api, session: Session) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una, key_version=3)
    plain = factories.plain_point()
    sealed = factories.sealed_point(datetime.now(UTC) + timedelta(seconds=1))
    for point in (plain, sealed):
        assert api.as_(una.token).post("/api/locations", point).status == 200

    first, second = api.as_(una.token).get("/api/export").json["locations"]

    owner = {
        "groupId": str(hearth),
        "userId": str(una.user_id),
        "deviceId": str(una.device_id),
    }
    for stored, point in ((first, plain), (second, sealed)):
        assert stored == {
            **point,
            **owner,
            "recordedAt": stored["recordedAt"],
            "receivedAt": stored["receivedAt"],
        }
        assert at(stored["recordedAt"]) == at_of(point["id"])
        assert at(stored["receivedAt"]) == factories.now(session)


def test_nothing_of_others_is_exported(api: Api, session: Session) -> None:
    una, ari = factories.someone(session, name="Una"), factories.someone(session, name="Arinbjörn")
    hearth = factories.group(session, ari, una)
    elsewhere = factories.group(session, ari, name="Elsewhere")
    points = [post(api, ari, group_id)[1] for group_id in (hearth, elsewhere)]
    invites = [
        api.as_(ari.token).post("/api/invites", {"groupId": str(group_id)}).json
        for group_id in (hearth, elsewhere)
    ]
    code = api.as_(una.token).post("/api/invites", {}).json["code"]
    bera = api.post("/api/auth/join", {"code": code, "name": "Bera"}).json

    text = api.as_(una.token).get("/api/export").text

    traces = [
        *(str(ari.user_id), str(ari.device_id), "Arinbj"),
        *(bera["user"]["id"], bera["device"]["id"], "Bera"),
        *(str(elsewhere), "Elsewhere", *points),
        *(invite["id"] for invite in invites),
        *(code, una.token, "hash"),
    ]
    assert [trace for trace in traces if trace in text] == []
    assert str(hearth) in text


def test_whoever_has_nothing_exports_their_name_and_device(api: Api, session: Session) -> None:
    una = factories.someone(session, name="Una")

    export = api.as_(una.token).get("/api/export").json

    assert (export["user"]["id"], export["user"]["name"]) == (str(una.user_id), "Una")
    assert [device["id"] for device in export["devices"]] == [str(una.device_id)]
    assert (export["groups"], export["invites"], export["locations"]) == ([], [], [])
    assert export["keyEnvelopes"] == []


@pytest.mark.parametrize("limit", ["0", "-1", "501", "1e9", "1000000000", "", "x", "9" * 5000])
def test_a_page_has_one_to_five_hundred_points(api: Api, session: Session, limit: str) -> None:
    una = factories.someone(session)

    refused = api.as_(una.token).get("/api/export", limit=limit)

    assert (refused.status, refused.code) == (422, "invalid_request")


@pytest.mark.parametrize("cursor", ["", "A", "A" * 42, "A" * 44, "!" * 43, "é" * 43])
def test_a_cursor_is_taken_as_it_was_given_only(api: Api, session: Session, cursor: str) -> None:
    una = factories.someone(session)

    refused = api.as_(una.token).get("/api/export", cursor=cursor)

    assert (refused.status, refused.code) == (422, "invalid_request")


def test_somebody_elses_cursor_opens_nothing(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    hearth = factories.group(session, una, ari)
    for days in (0, 1, 2):
        post(api, ari, hearth, days)
    mine = post(api, una, hearth, 0)[1]
    cursor = api.as_(ari.token).get("/api/export", limit=1).json["nextCursor"]

    page = api.as_(una.token).get("/api/export", cursor=cursor).json

    assert [point["id"] for point in page["locations"]] == [mine]


def post(api: Api, who: Someone, group_id: UUID, days_ago: int = 0) -> tuple[UUID, str]:
    point = factories.plain_point(
        datetime.now(UTC) - timedelta(days=days_ago), groupId=str(group_id)
    )
    assert api.as_(who.token).post("/api/locations", point).status == 200
    return group_id, str(point["id"])


def walk(api: Api, who: Someone, limit: int) -> list[list[dict[str, Any]]]:
    pages: list[list[dict[str, Any]]] = []
    query: dict[str, Any] = {"limit": limit}
    for _ in range(20):
        answer = api.as_(who.token).get("/api/export", **query).json
        pages.append(answer["locations"])
        if "nextCursor" not in answer:
            return pages
        query["cursor"] = answer["nextCursor"]
    pytest.fail("The pages do not end.")


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def at_of(point_id: str) -> datetime:
    milliseconds = int.from_bytes(UUID(point_id).bytes[:6])
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
