from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chalicelib.locations import partitions
from chalicelib.models import Location
from tests import factories
from tests.api import Api


def only_group(api: Api) -> Any:
    (group,) = api.get("/api/groups").json["groups"]
    return group


def test_a_new_group_requires_encryption_and_its_founder_runs_it(
    api: Api, session: Session
) -> None:
    una = api.as_(factories.someone(session).token)

    founded = una.post("/api/groups", {"name": "Hearth"})

    assert founded.status == 201
    group = founded.json
    assert UUID(group.pop("id")).version == 7
    assert group.pop("joinedAt")
    assert group == {
        "name": "Hearth",
        "encryption": "required",
        "keyVersion": 0,
        "rotationRequired": False,
        "retentionDays": 30,
        "confirmed": True,
        "role": "admin",
        "sharing": {"paused": False},
    }
    assert only_group(una) == founded.json


@pytest.mark.parametrize("encryption", ["required", "optional"])
def test_a_founder_chooses_the_encryption(api: Api, session: Session, encryption: str) -> None:
    una = api.as_(factories.someone(session).token)

    founded = una.post("/api/groups", {"name": "  Nest 🪺 ", "encryption": encryption})

    assert founded.status == 201
    assert founded.json["encryption"] == encryption
    assert founded.json["name"] == "Nest 🪺"


@pytest.mark.parametrize("name", ["a", "🪺" * 64])
def test_a_name_has_1_to_64_characters(api: Api, session: Session, name: str) -> None:
    una = api.as_(factories.someone(session).token)

    founded = una.post("/api/groups", {"name": name})

    assert founded.status == 201
    assert only_group(una)["name"] == name


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "   "},
        {"name": "a" * 65},
        {"name": "a\nb"},
        {"name": None},
        {"name": 7},
        {"name": "Hearth", "encryption": "none"},
        {"name": "Hearth", "encryption": None},
        {"name": "Hearth", "keyVersion": 1},
        {"name": "Hearth", "retentionDays": 7},
        [],
        None,
    ],
)
def test_a_group_is_not_founded_on_nonsense(api: Api, session: Session, body: Any) -> None:
    una = api.as_(factories.someone(session).token)

    refused = una.post("/api/groups", body)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert una.get("/api/groups").json == {"groups": []}


def test_everybody_sees_all_of_their_groups_and_no_other(api: Api, session: Session) -> None:
    una, ari, eva = (factories.someone(session) for _ in range(3))
    shared = factories.group(session, una, ari, name="Shared", retention_days=7, key_version=3)
    own = factories.group(session, ari, name="Own")
    factories.group(session, una, eva, name="Theirs")

    groups = api.as_(ari.token).get("/api/groups").json["groups"]

    assert [
        (group["id"], group["name"], group["role"], group["retentionDays"], group["keyVersion"])
        for group in sorted(groups, key=lambda group: group["name"])
    ] == [(str(own), "Own", "admin", 30, 0), (str(shared), "Shared", "member", 7, 3)]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"name": "Nest"},
        {"retentionDays": 1},
        {"retentionDays": 365},
        {"encryption": "required"},
        {"name": "Nest", "retentionDays": 90, "encryption": "required"},
    ],
)
def test_an_admin_changes_what_is_named_and_nothing_else(
    api: Api, session: Session, change: dict[str, Any]
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una, ari, key_version=3, rotation_required=True)
    admin, member = api.as_(una.token), api.as_(ari.token)
    before, seen_before = only_group(admin), only_group(member)

    changed = admin.patch(f"/api/groups/{group_id}", change)

    assert changed.status == 200
    assert changed.json == before | change
    assert only_group(admin) == before | change
    assert only_group(member) == seen_before | change


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "a" * 65},
        {"retentionDays": 0},
        {"retentionDays": -1},
        {"retentionDays": 366},
        {"retentionDays": 10**400},
        {"retentionDays": 1.5},
        {"retentionDays": "30"},
        {"retentionDays": True},
        {"encryption": "optional"},
        {"encryption": "none"},
        {"keyVersion": 4},
        {"rotationRequired": False},
        {"name": "Nest", "retentionDays": 0},
    ],
)
@pytest.mark.parametrize("encryption", ["required", "optional"])
def test_no_group_changes_beyond_its_bounds_or_back_to_plaintext(
    api: Api, session: Session, encryption: str, change: dict[str, Any]
) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una, encryption=encryption)
    admin = api.as_(una.token)
    before = only_group(admin)

    refused = admin.patch(f"/api/groups/{group_id}", change)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert only_group(admin) == before


def test_a_longer_retention_makes_room_for_older_points_at_once(api: Api, session: Session) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    admin = api.as_(una.token)
    point = factories.plain_point(factories.now(session) - timedelta(days=364))
    assert admin.post("/api/locations", point).code == "out_of_range"

    admin.patch(f"/api/groups/{group_id}", {"retentionDays": 365})

    assert admin.post("/api/locations", point).status == 200
    assert [each["id"] for each in admin.get("/api/locations").json["locations"]] == [point["id"]]


def test_what_a_group_keeps_no_longer_does_not_come_back_when_it_keeps_more(
    api: Api, session: Session
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una, ari, retention_days=1)
    other = factories.group(session, una, ari, retention_days=30)
    two_days_ago = factories.now(session) - timedelta(days=2)
    # The daily maintenance has not come by yet.
    factories.stored_point(session, group_id, ari, two_days_ago)
    kept = factories.stored_point(session, group_id, ari)
    elsewhere = factories.stored_point(session, other, ari, two_days_ago)

    changed = api.as_(una.token).patch(f"/api/groups/{group_id}", {"retentionDays": 365})

    assert changed.status == 200
    assert set(session.scalars(select(Location.id))) == {kept, elsewhere}


def test_a_new_group_takes_points_as_old_as_it_keeps_them_whatever_others_keep(
    api: Api, session: Session
) -> None:
    una = factories.someone(session)
    forgetful = factories.group(session, una, retention_days=1)
    phone = api.as_(una.token)
    partitions.drop(session)
    session.commit()

    group_id = phone.post("/api/groups", {"name": "Nest", "encryption": "optional"}).json["id"]

    oldest = factories.plain_point(factories.now(session) - timedelta(days=29), groupId=group_id)
    assert phone.post("/api/locations", oldest).status == 200
    assert phone.post("/api/locations", oldest | {"groupId": str(forgetful)}).status == 422
