from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from chalicelib.models import Member
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone

HOUR = timedelta(hours=1)


def latest(api: Api, who: Someone, *, knowing: str | None = None) -> Reply:
    headers = {} if knowing is None else {"If-None-Match": knowing}
    return api.as_(who.token).call("GET", "/api/locations/latest", headers=headers)


def positions(reply: Reply) -> dict[UUID, str]:
    """Return the id of everybody's point."""
    points = reply.json["locations"]
    found = {UUID(point["userId"]): point["id"] for point in points}
    assert len(found) == len(points)
    return found


def post(api: Api, session: Session, who: Someone, *ages: timedelta) -> list[str]:
    """Post points of these ages; return their ids."""
    now = factories.now(session)
    points = [factories.plain_point(now - age) for age in ages]
    posted = api.as_(who.token).post("/api/locations", {"locations": points})
    assert [result["status"] for result in posted.json["results"]] == ["stored"] * len(ages)
    return [point["id"] for point in points]


def test_everybodys_newest_point_is_shown_whatever_came_last(api: Api, session: Session) -> None:
    una, ari, eva = (factories.someone(session) for _ in range(3))
    factories.group(session, una, ari, eva)
    _, unas, _ = post(api, session, una, 3 * HOUR, 1 * HOUR, 2 * HOUR)
    aris, _ = post(api, session, ari, -9 * timedelta(minutes=1), HOUR)

    shown = {who: positions(latest(api, who)) for who in (una, ari, eva)}

    # Eva has posted nothing, and stands nowhere.
    expected = {una.user_id: unas, ari.user_id: aris}
    assert shown == {una: expected, ari: expected, eva: expected}


def test_of_points_of_one_time_the_greatest_id_is_the_newest(api: Api, session: Session) -> None:
    una = factories.someone(session)
    factories.group(session, una)
    ids = post(api, session, una, *[HOUR] * 8)

    assert positions(latest(api, una)) == {una.user_id: max(ids)}


def test_nobody_has_been_anywhere_yet(api: Api, session: Session) -> None:
    una = factories.someone(session)
    factories.group(session, una)

    shown = latest(api, una)

    assert (shown.status, shown.json) == (200, {"locations": []})
    assert latest(api, una, knowing=shown.headers["ETag"]).status == 304


def test_what_is_known_is_not_told_again(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, ari)
    post(api, session, una, HOUR)
    tag = latest(api, una).headers["ETag"]

    known = latest(api, una, knowing=tag)
    known_among_others = latest(api, una, knowing=f'"other", W/{tag}')
    unknown = latest(api, una, knowing='"other"')

    assert (known.status, known.text, known.headers["ETag"]) == (304, "", tag)
    assert known_among_others.status == 304
    assert unknown.status == 200


def test_every_change_is_told(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    factories.group(session, una, ari)
    tags = [latest(api, una).headers["ETag"]]

    for change in ("first", "older", "newer", "other person", "deleted"):
        match change:
            case "first":
                post(api, session, una, HOUR)
            case "older":
                post(api, session, una, 2 * HOUR)
            case "newer":
                post(api, session, una, HOUR / 2)
            case "other person":
                post(api, session, ari, HOUR)
            case "deleted":
                api.as_(ari.token).delete("/api/locations")
        reply = latest(api, una, knowing=tags[-1])
        # An older point changes nothing that is shown.
        assert reply.status == (304 if change == "older" else 200)
        tags.append(reply.headers["ETag"])

    assert tags[1] == tags[2]
    assert tags[3] == tags[5]
    assert len(set(tags)) == 4


def test_the_etag_changes_with_the_last_byte_of_a_long_answer(api: Api, session: Session) -> None:
    members = [factories.someone(session) for _ in range(8)]
    factories.group(session, *members)
    for member in members:
        post(api, session, member, HOUR)
    before = latest(api, members[0])
    (last,) = (
        one for one in members if one.user_id == UUID(before.json["locations"][-1]["userId"])
    )

    post(api, session, last, HOUR / 2)
    after = latest(api, members[0])

    assert before.text[:1024] == after.text[:1024]
    assert before.headers["ETag"] != after.headers["ETag"]


def test_a_known_tag_opens_nothing(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una, ari)
    tag = latest(api, ari).headers["ETag"]

    api.as_(una.token).delete(f"/api/groups/{group_id}/members/{ari.user_id}")

    assert latest(api, ari, knowing=tag).status == 401


def test_a_newcomer_sees_nothing_from_before_but_their_own(api: Api, session: Session) -> None:
    una, ari, eva = (factories.someone(session) for _ in range(3))
    group_id = factories.group(session, una, ari)
    unas = post(api, session, una, 2 * HOUR)
    aris = post(api, session, ari, 2 * HOUR, HOUR / 2)
    factories.add_member(session, group_id, eva, joined_at=factories.now(session) - HOUR)
    evas = post(api, session, eva, 3 * HOUR)

    to_newcomer, to_una = latest(api, eva), latest(api, una)
    history = api.as_(eva.token).get("/api/locations").json["locations"]

    assert positions(to_newcomer) == {ari.user_id: aris[1], eva.user_id: evas[0]}
    assert positions(to_una) == {
        una.user_id: unas[0], ari.user_id: aris[1], eva.user_id: evas[0]
    }  # fmt: skip
    assert [point["id"] for point in history] == [aris[1], evas[0]]


def test_a_newcomer_sees_from_the_very_instant_of_joining(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una)
    factories.add_member(session, group_id, ari)
    # A time that an id can hold to the last digit.
    instant = factories.now(session).replace(microsecond=0)
    session.execute(update(Member).where(Member.user_id == ari.user_id).values(joined_at=instant))
    session.commit()
    points = [factories.plain_point(instant + timedelta(milliseconds=tick)) for tick in (-1, 0)]
    api.as_(una.token).post("/api/locations", {"locations": points})

    history = api.as_(ari.token).get("/api/locations").json["locations"]

    assert [point["id"] for point in history] == [points[1]["id"]]
    assert positions(latest(api, ari)) == {una.user_id: points[1]["id"]}


@pytest.mark.parametrize("later", [timedelta(0), timedelta(microseconds=1)])
def test_a_point_dated_ahead_is_not_for_who_joined_after_it_arrived(
    api: Api, session: Session, later: timedelta
) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una)
    factories.add_member(session, group_id, ari, joined_at=factories.now(session) + later)
    (ahead,) = post(api, session, una, -9 * timedelta(minutes=1))

    history = api.as_(ari.token).get("/api/locations").json["locations"]

    assert [point["id"] for point in history] == ([] if later else [ahead])
    assert positions(latest(api, ari)) == ({} if later else {una.user_id: ahead})


def test_what_a_group_keeps_no_longer_is_hidden_at_once(api: Api, session: Session) -> None:
    una, ari = factories.someone(session), factories.someone(session)
    group_id = factories.group(session, una, ari)
    day = timedelta(days=1)
    post(api, session, una, 2 * day, day + timedelta(milliseconds=1))
    _, young = post(api, session, ari, 2 * day, day - timedelta(milliseconds=1))

    api.as_(una.token).patch(f"/api/groups/{group_id}", {"retentionDays": 1})

    for who in (una, ari):
        assert positions(latest(api, who)) == {ari.user_id: young}
        history = api.as_(who.token).get("/api/locations").json["locations"]
        assert [point["id"] for point in history] == [young]
