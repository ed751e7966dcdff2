from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from tests import factories
from tests.api import Api, Reply

ROUTES = ["post", "history", "latest", "delete"]


def ask(api: Api, route: str, group_id: UUID | str | None) -> Reply:
    named: dict[str, Any] = {} if group_id is None else {"groupId": str(group_id)}
    match route:
        case "post":
            return api.post("/api/locations", factories.plain_point(**named))
        case "history":
            return api.get("/api/locations", **named)
        case "latest":
            return api.get("/api/locations/latest", **named)
        case _:
            return api.delete("/api/locations", **named)


@pytest.mark.parametrize("route", ROUTES)
def test_the_only_group_need_not_be_named(api: Api, session: Session, route: str) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    phone = api.as_(una.token)

    unnamed, named = ask(phone, route, None), ask(phone, route, group_id)

    assert (unnamed.status, named.status) == (200, 200)
    expected = [str(group_id)] * 2 if route == "post" else []
    shown = phone.get("/api/locations").json["locations"]
    assert [point["groupId"] for point in shown] == expected


@pytest.mark.parametrize("route", ROUTES)
def test_of_several_groups_one_has_to_be_named(api: Api, session: Session, route: str) -> None:
    una = factories.someone(session)
    groups = [factories.group(session, una) for _ in range(3)]
    strangers = factories.group(session, factories.someone(session))
    phone = api.as_(una.token)

    refused = ask(phone, route, None)

    assert (refused.status, refused.code) == (422, "group_required")
    assert all(str(group_id) in refused.json["detail"] for group_id in groups)
    assert str(strangers) not in refused.json["detail"]
    assert [ask(phone, route, group_id).status for group_id in groups] == [200, 200, 200]


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_group_there_is_none_to_name(api: Api, session: Session, route: str) -> None:
    factories.group(session, factories.someone(session))
    phone = api.as_(factories.someone(session).token)

    refused = ask(phone, route, None)

    assert (refused.status, refused.code) == (422, "group_required")
    assert refused.json["detail"] == "You are in no group."


@pytest.mark.parametrize("route", ROUTES)
def test_anothers_group_is_answered_like_none(api: Api, session: Session, route: str) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una)
    theirs = factories.group(session, ari)
    phone = api.as_(una.token)

    refused, none = ask(phone, route, theirs), ask(phone, route, uuid4())

    assert (refused.status, refused.code) == (none.status, none.code) == (404, "group_not_found")
    assert refused.json | {"requestId": None} == none.json | {"requestId": None}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("group_id", ["", "hearth", "0" * 33])
def test_a_group_is_named_by_its_id(api: Api, session: Session, route: str, group_id: str) -> None:
    una = factories.someone(session)
    factories.group(session, una)

    refused = ask(api.as_(una.token), route, group_id)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert refused.json["detail"].startswith("groupId: ")


def test_points_of_two_groups_never_mix(api: Api, session: Session) -> None:
    una, ari, eva = (factories.someone(session) for _ in range(3))
    home, work = factories.group(session, una, ari), factories.group(session, una, eva)
    batch = [
        factories.plain_point(groupId=str(group_id)) for group_id in (home, work, uuid4(), work)
    ] + [factories.plain_point()]

    posted = api.as_(una.token).post("/api/locations", {"locations": batch})

    assert [result.get("code") for result in posted.json["results"]] == [
        None, None, "group_not_found", None, "group_required",
    ]  # fmt: skip
    of_home, of_work = [batch[0]["id"]], [batch[3]["id"], batch[1]["id"]]
    for who, group_id, ids in (
        (una, home, of_home), (ari, home, of_home), (una, work, of_work), (eva, work, of_work),
    ):  # fmt: skip
        api_ = api.as_(who.token)
        history = api_.get("/api/locations", groupId=group_id).json["locations"]
        latest = api_.get("/api/locations/latest", groupId=group_id).json["locations"]
        assert {point["id"] for point in history} == set(ids)
        assert [point["id"] for point in latest] == [max(ids)]
        assert {point["groupId"] for point in history + latest} == {str(group_id)}
    deleted = api.as_(una.token).delete("/api/locations", groupId=work)
    assert deleted.json == {"deleted": 2}
    assert [
        point["id"] for point in api.as_(ari.token).get("/api/locations").json["locations"]
    ] == of_home
