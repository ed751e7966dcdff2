"""What each command does first: it learns who is in the group, and under which key."""

import json
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from draugar.client import Client
from draugar.protocol.envelopes import wrap
from draugar.protocol.locations import open_location
from draugar.protocol.sealing import seal
from draugar.protocol.secrets import GroupKey
from draugar.protocol.signing import sign
from draugar.protocol.statements import seal_statement
from draugar.trust import points as trust_points
from draugar.trust import words
from draugar.trust.reconcile import reconcile
from draugar.usecases import sync
from tests.client import malice
from tests.client.commands import Type
from tests.client.family import Family, fix
from tests.client.malice import Forward, Relay, Reply, Request


def make_key_for(
    member: Client, others: Iterable[Client], *, statement: bytes | None = None
) -> None:
    """Make a new key that leaves all further members out, with a roster or another statement."""
    view = sync.update(member._context, member.group().id)
    state, version, key = view.decision.state, view.key_version + 1, GroupKey.make()
    roster = words.next_roster(view.decision, key, version=version, now=time.time())
    devices = {one.device_id: one._me.device_key.public for one in (member, *others)}
    member._api.rotate(
        view.group_id,
        expected_version=view.key_version,
        commitment=key.commitment(view.group_id, version),
        envelopes={id_: wrap(key, public, state.key) for id_, public in devices.items()},
        statement=seal_statement(
            roster, group_id=view.group_id, version=version, device_key=state.key, key=key
        )
        if statement is None
        else seal(
            statement
            + sign(
                state.key,
                b"draugar/statement/v2"
                + view.group_id.bytes
                + version.to_bytes(4, "big")
                + member.device_id.bytes
                + statement,
            ),
            key,
            768,
        ),
    )


@pytest.mark.parametrize(
    ("command", "route"),
    [
        (["where"], malice.LATEST),
        (["history"], malice.HISTORY),
        (["share", "64", "-21"], malice.SHARE),
        (["invite"], malice.INVITE),
        (["rotate"], malice.ROTATE),
    ],
)
def test_keys_and_then_people_are_fetched_before_a_command_shows_posts_or_gives_anything(
    relayed: Family, relay: Relay, types: Type, command: list[str], route: str
) -> None:
    relayed.found()
    relay.received.clear()

    assert types("Una", *command).code == 0

    routes = [asked.route for asked in relay.received]
    assert routes.index(malice.KEYS) < routes.index(malice.USERS) < routes.index(route)


def test_a_device_that_a_key_leaves_out_says_so_at_each_command_and_makes_no_key(
    relayed: Family, relay: Relay, types: Type
) -> None:
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    ari.where()
    make_key_for(una, [])
    version = una.group().key_version
    relay.received.clear()

    told = [types("Ari", *command).told for command in (["where"], ["share", "64", "-21"])]

    assert malice.ROTATE not in [asked.route for asked in relay.received]
    assert una.group().key_version == version
    assert all("draugar rotate" in one for one in told)
    ari.rotate()
    assert una.share([fix(1.0)]).stored == 1
    assert [position.name for position in ari.where()] == ["Una"]


def test_a_newer_form_is_told_with_its_author_and_no_key_is_made(
    relayed: Family, relay: Relay, types: Type
) -> None:
    una = relayed.found()
    eve = relayed.join(una.invite().link, "Eve")
    ari = relayed.join(una.invite().link)
    for member in (una, eve, ari):
        member.where()
    newer = f'{{"form":3,"by":"{eve.device_id}"}}'.encode()
    make_key_for(eve, [una, ari], statement=newer)
    relay.received.clear()

    told = [types("Una", *command).told for command in (["where"], ["rotate"])]

    assert malice.ROTATE not in [asked.route for asked in relay.received]
    assert "Eve" in told[0]
    assert all("Update draugar" in one for one in told)

    assert "Eve" in types("Una", "people").out
    una.remove(eve.user_id)
    assert una.share([fix(1.0)]).stored == 1
    assert [position.name for position in ari.where()] == ["Una"]


def test_people_show_which_devices_are_browsers(relayed: Family, relay: Relay, types: Type) -> None:
    una = relayed.found()
    ari = relayed.join(una.invite().link)

    def as_browser(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != malice.USERS:
            return reply
        body = reply.json
        for device in malice._devices(body["users"]):
            if device["id"] == str(ari.device_id):
                device["kind"] = "web"
        return reply.saying(body)

    with relay.telling(as_browser, to=una.device_id):
        told = types("Una", "people").out
        people = json.loads(types("Una", "people", "--json").out)["people"]

    assert "browser, " in told
    kinds = {device["id"]: device["kind"] for person in people for device in person["devices"]}
    assert kinds[str(ari.device_id)] == "web"


def test_a_decision_is_made_again_where_another_command_has_saved_meanwhile(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una = family.found()
    link = una.invite().link
    una.where()
    ari = family.join(link)
    other = family.again("Una")
    decided: list[int] = []

    def reconciled(*values: Any, **named: Any) -> Any:
        decision = reconcile(*values, **named)
        decided.append(len(decided))
        if len(decided) == 1:
            other.rename("Unnur")
        return decision

    monkeypatch.setattr(sync, "reconcile", reconciled)
    una.where()

    trust = una._context.group(una.group().id).trust
    assert len(decided) > 2
    assert trust.name_of(una.user_id) == "Unnur"
    assert ari.device_id in trust.trusted()


@pytest.mark.parametrize(("minutes", "seen"), [(59, 1), (61, 0)])
def test_a_newcomer_sees_where_a_member_was_within_the_last_hour(
    family: Family, minutes: int, seen: int
) -> None:
    una = family.found()
    last = fix(3.0, ago=timedelta(minutes=minutes))
    una.share([fix(1.0, ago=timedelta(hours=3)), last, fix(2.0, ago=timedelta(hours=2))])
    ari = family.join(una.invite().link)
    assert ari.where() == []

    una.where()

    assert [position.fix.at for position in ari.where()] == [last.at] * seen
    assert [position.fix.latitude for position in ari.history()] == [3.0] * seen


def test_the_latest_position_is_shared_once_more_for_each_newcomer_and_listed_once(
    family: Family,
) -> None:
    una = family.found()
    una.share([fix(1.0, ago=timedelta(minutes=20)), fix(2.0, ago=timedelta(minutes=10))])
    for number, name in enumerate(["Ari", "Bo"], start=1):
        newcomer = family.join(una.invite().link, name)
        una.where()
        una.where()
        assert [position.is_repeat for position in newcomer.where()] == [True]
        assert number + 2 == points(family, una)

    assert [position.fix.latitude for position in una.history()] == [2.0, 1.0]
    assert [position.fix.latitude for position in newcomer.history()] == [2.0]
    assert [position.fix.latitude for position in una.where()] == [2.0]


def test_a_position_is_not_marked_as_a_repeat_while_a_client_of_form_1_may_read_it(
    family: Family,
) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    for member in (una, ari):
        member.where()
    una.share([fix(1.0)])
    family.service.query("DELETE FROM device_cards WHERE device_id = :id", id=ari.device_id)
    bo = family.join(una.invite().link, "Bo")

    una.where()

    assert [position.is_repeat for position in bo.where()] == [False]
    assert points(family, una) == 2


def test_nothing_is_shared_with_a_newcomer_in_a_pause_nor_what_was_deleted(family: Family) -> None:
    una = family.found()
    una.share([fix(1.0)])
    una.pause()
    ari = family.join(una.invite().link)
    una.where()
    una.resume()
    una.where()
    assert points(family, una) == 1
    assert ari.where() == []

    una.share([fix(2.0)])
    una.delete_points()
    bo = family.join(una.invite().link, "Bo")
    una.where()
    assert points(family, una) == 0
    assert bo.where() == []


def test_a_newcomer_is_shown_a_position_later_where_the_service_did_not_answer(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    una.share([fix(1.0)])
    ari = relayed.join(una.invite().link)

    refusal = malice.refused(400, "bad_request")
    with relay.telling(malice.answering(malice.SHARE, refusal), to=una.device_id):
        una.where()
    assert ari.where() == []

    una.where()
    assert [position.fix.latitude for position in ari.where()] == [1.0]


def test_a_point_says_that_it_is_a_repeat_by_true_alone() -> None:
    key = GroupKey.make()
    author = trust_points.Author(group_id=uuid4(), user_id=uuid4(), device_id=uuid4(), name="Una")
    sealed = trust_points.seal(fix(), author, 1, key, is_repeat=True)
    assert open_location(sealed, key)["draugar"]["r"] is True
    assert "r" not in open_location(trust_points.seal(fix(), author, 1, key), key)["draugar"]


def points(family: Family, member: Client) -> int:
    [[number]] = family.service.query(
        "SELECT count(*) FROM locations WHERE user_id = :id", id=member.user_id
    )
    return int(number)
