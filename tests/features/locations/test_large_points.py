"""Answers stay below a mebibyte, whatever their points weigh."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from tests import factories
from tests.api import Api
from tests.factories import Someone

LARGEST = 20 * 1024
MEBIBYTE = 1024 * 1024
Json = dict[str, Any]


def sealed(session: Session, group_id: UUID, who: Someone, length: int, **ago: float) -> str:
    """Store a sealed point of so many bytes; return its id."""
    at = factories.now(session) - timedelta(**ago)
    columns = {"latitude": None, "longitude": None, "accuracy": None}
    stored = factories.stored_point(
        session, group_id, who, at, encrypted_data=bytes(length), key_version=1, **columns
    )
    return str(stored)


def pages(api: Api, path: str, **query: Any) -> list[list[Json]]:
    """Return the points of all pages there are, each of which is checked for its size."""
    found: list[list[Json]] = []
    for _ in range(100):
        reply = api.get(path, **query)
        assert reply.status == 200
        assert len(reply.text.encode()) < MEBIBYTE
        found.append(reply.json["locations"])
        if "nextCursor" not in reply.json:
            return found
        query["cursor"] = reply.json["nextCursor"]
    raise AssertionError("These pages have no end.")


@pytest.mark.parametrize("path", ["/api/locations", "/api/export"])
def test_a_page_of_large_points_is_cut_and_goes_on(api: Api, session: Session, path: str) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    stored = [sealed(session, hearth, una, LARGEST) for _ in range(80)]

    found = pages(api.as_(una.token), path, limit=500)

    assert len(found) == 3
    assert sorted(point["id"] for page in found for point in page) == sorted(stored)
    assert min(len(page) for page in found[:-1]) >= 30


@pytest.mark.parametrize("path", ["/api/locations", "/api/export"])
def test_a_limit_counts_beside_the_bytes(api: Api, session: Session, path: str) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    for length in (LARGEST, 41, LARGEST, 41, 41):
        sealed(session, hearth, una, length)

    found = pages(api.as_(una.token), path, limit=2)

    assert [len(page) for page in found] == [2, 2, 1]


@pytest.mark.parametrize("path", ["/api/locations", "/api/export"])
def test_five_hundred_points_of_the_clients_own_size_fill_one_page(
    api: Api, session: Session, path: str
) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    for _ in range(500):
        sealed(session, hearth, una, 1024)

    assert [len(page) for page in pages(api.as_(una.token), path, limit=500)] == [500]


@pytest.mark.parametrize("length", [LARGEST, 4096])
def test_latest_of_a_large_group_comes_in_pages(api: Api, session: Session, length: int) -> None:
    people = [factories.someone(session) for _ in range(300)]
    hearth = factories.group(session, *people)
    stored = {str(who.user_id): sealed(session, hearth, who, length) for who in people[:-1]}
    for who in people[:-1]:
        sealed(session, hearth, who, 41, hours=1)

    found = pages(api.as_(people[0].token), "/api/locations/latest", groupId=hearth)

    shown = [point for page in found for point in page]
    assert len(found) > 1
    assert [(point["userId"], point["id"]) for point in shown] == sorted(stored.items())


def test_a_made_up_cursor_of_latest_opens_nothing(api: Api, session: Session) -> None:
    una, eve = factories.someone(session), factories.someone(session)
    hearth, other = factories.group(session, una), factories.group(session, eve)
    sealed(session, other, eve, 41)
    mine = sealed(session, hearth, una, 41)

    first = api.as_(una.token).get("/api/locations/latest", cursor="A" * 43)
    beyond = api.as_(una.token).get("/api/locations/latest", cursor="_" * 42 + "8")

    assert [point["id"] for point in first.json["locations"]] == [mine]
    assert beyond.json["locations"] == []
