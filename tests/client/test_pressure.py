"""Somebody under the same roof, who has had the unlocked laptop for a minute."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from draugar.cli.app import app
from draugar.cli.coordinates import NotAPosition
from draugar.cli.notices import text
from draugar.cli.positions import PositionRow
from draugar.client import Client
from draugar.errors import Failure, InviteNotValid, NotAMember, SignedOut
from draugar.models import Kind, Position
from draugar.storage import places
from tests.client.family import Family, Heard, fix
from tests.client.kept import age_meetings, forget_links
from tests.client.saying import said


@pytest.fixture
def watched(family: Family) -> tuple[Client, Client]:
    """Una, and a device that somebody has made hers by a link from her laptop."""
    una = family.found()
    hidden = family.join(una.invite(for_me=True).link, "ignored", home="hidden", device="Computer")
    una.where()
    family.hears("Una").clear()
    return una, hidden


def told(heard: Heard, kind: Kind) -> list[str]:
    return [text(notice) for notice in heard if notice.kind is kind]


def days_later(member: Client, days: int) -> None:
    """Let what this device has met of its member's own have been met so much earlier."""
    age_meetings(member._home, member.group().id, days)


def test_a_device_that_reads_as_me_is_counted_when_the_key_changes(
    family: Family, watched: tuple[Client, Client]
) -> None:
    una, _ = watched
    ari = family.join(una.invite().link)
    una.where()

    una.remove(ari.user_id)

    assert told(family.hears("Una"), Kind.ROTATED) == [
        "The group has a new key, given to Una (2 devices)."
    ]


def test_a_device_and_a_phone_that_act_for_me_are_told_of_for_a_week(
    family: Family, watched: tuple[Client, Client]
) -> None:
    una, hidden = watched
    una.add_phone("Phone")

    una.where()
    on_the_first_day = family.hears("Una").kinds()
    days_later(una, 1)
    una.where()
    una.where()
    on_the_second_day = family.hears("Una").kinds()
    days_later(una, 7)
    family.hears("Una").clear()
    una.where()
    hidden.where()
    days_later(hidden, 1)
    hidden.where()

    assert on_the_first_day == []
    assert on_the_second_day == [Kind.NEW_DEVICE, Kind.NEW_DEVICE]
    assert family.hears("Una").kinds() == []
    assert Kind.NEW_DEVICE not in family.hears("hidden").kinds()


def test_a_device_of_mine_that_reads_a_further_group_is_told_of(
    family: Family, watched: tuple[Client, Client]
) -> None:
    una, hidden = watched
    hearth = una.group().id
    refuge = una.found_group("Refuge").id
    una.where(refuge)
    una.leave(hearth)
    una.share([fix(7.0)], refuge)

    assert [position.fix.latitude for position in hidden.where(refuge)] == [7.0]
    (text,) = told(family.hears("Una"), Kind.CONFIRMED)
    assert f"trusts your device {hidden.device_id}" in text
    una.revoke_device(hidden.device_id)
    with pytest.raises(SignedOut):
        hidden.where(refuge)


def test_a_copy_of_a_home_is_worthless_once_its_device_is_replaced(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    shutil.copytree(family.path("Una"), family.path("copy"))
    copy = family.again("copy")
    ari.share([fix(1.0)])
    by_the_copy = copy.where()
    way_back = copy.invite(for_me=True).link

    new = family.join(una.invite(for_me=True).link, "ignored", home="new")
    una.where()
    ari.where()  # which learns of the new device by the old one's word
    new.revoke_device(una.device_id)
    ari.share([fix(2.0)])

    assert [position.fix.latitude for position in by_the_copy] == [1.0]
    assert [position.fix.latitude for position in new.where()] == [2.0]
    with pytest.raises(SignedOut):
        copy.where()
    with pytest.raises(InviteNotValid):
        family.join(way_back, "ignored", home="back")


def test_whoever_leaves_takes_along_what_shares_and_reads_in_their_name(
    family: Family, watched: tuple[Client, Client]
) -> None:
    una, hidden = watched
    ari = family.join(una.invite().link)
    hearth = una.group().id
    una.add_phone("Phone")

    una.leave()
    ari.share([fix(3.0)])

    with pytest.raises(NotAMember):
        hidden._api.latest(hearth)
    assert [device.kind for device in una.devices()] == ["app", "app"]
    assert [person.name for person in ari.people()] == ["Ari"]
    una.delete_account()
    with pytest.raises(SignedOut):
        hidden.groups()


def test_nobody_else_can_tell_a_pause_from_being_offline(relayed: Family) -> None:
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    ari.share([fix(2.0)])
    asked = [("GET", f"/{what}") for what in ("users", "locations/latest", "locations", "groups")]
    before = [una._transport.call(*request) for request in asked]

    ari.pause()
    after = [una._transport.call(*request) for request in asked]

    assert after == before


def test_a_pause_that_another_device_of_mine_has_begun_holds_here(
    family: Family, watched: tuple[Client, Client]
) -> None:
    una, hidden = watched
    hidden.pause()

    shared = una.share([fix(3.0)])

    assert (shared.stored, shared.dropped) == (0, 1)
    assert family.hears("Una").kinds() == [Kind.NOT_SHARED]


# The command line


def test_a_position_stands_neither_in_the_list_of_processes_nor_in_the_shells_history(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una = family.found()
    monkeypatch.setenv("DRAUGAR_HOME", str(family.path("Una")))

    shared = CliRunner().invoke(app, ["share", "-"], input="64.1466, -21.9426\n")
    CliRunner().invoke(app, ["places", "add", "Home", "-"], input="64.1466 -21.9426\n")
    half = CliRunner().invoke(app, ["share", "-"], input="64.1466\n")

    assert shared.stdout == "Shared 1 position: 64.14660, -21.94260.\n"
    assert [position.fix.latitude for position in una.where()] == [64.1466]
    assert [place.name for place in places.listed(una._home)] == ["Home"]
    assert isinstance(half.exception, NotAPosition)


def test_what_is_ones_own_is_erased_renamed_and_given_out_of_hand_by_commands(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.share([fix(1.0)])
    una.invite(for_me=True)
    monkeypatch.setenv("DRAUGAR_HOME", str(family.path("Una")))

    invites = CliRunner().invoke(app, ["invites"])
    unasked = CliRunner().invoke(app, ["erase"])
    earlier = CliRunner().invoke(app, ["erase", "--yes", "--to", "1h"])
    erased = CliRunner().invoke(app, ["erase", "--yes"])
    renamed = CliRunner().invoke(app, ["rename", "Una Dís"])
    given = CliRunner().invoke(app, ["role", "Ari", "admin"])

    assert "a device of its maker" in invites.stdout
    assert isinstance(unasked.exception, Failure)
    assert "If you are sure: " in said(unasked.exception)
    assert earlier.stdout.startswith("Deleted 0 positions.")
    assert erased.stdout.startswith("Deleted 1 position.")
    assert list(ari.history()) == []
    assert renamed.stdout.startswith("You are Una Dís now. The others see it at their next update.")
    assert given.stdout == "Ari is an admin now.\n"
    assert ari.group().is_admin


def test_whose_position_is_not_sure_is_not_sure_on_a_map_or_in_a_file_either(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una = family.found()
    ari = family.join(una.invite().link, "Ari")
    forget_links(una._home, una.group().id)
    ari.share([fix(1.0), fix(2.0)])
    una.share([fix(3.0)])
    monkeypatch.setenv("DRAUGAR_HOME", str(family.path("Una")))
    monkeypatch.chdir(family.path("Una").parent)

    CliRunner().invoke(app, ["map", "map.html"])
    geojson = CliRunner().invoke(app, ["history", "--geojson", "-"])
    track = CliRunner().invoke(app, ["history", "--gpx", "-"])

    names = [feature["properties"]["name"] for feature in json.loads(geojson.stdout)["features"]]
    assert sorted(names) == ["Ari (not confirmed)", "Una"]
    assert "<name>Ari (not confirmed)</name>" in track.stdout
    assert "Ari (not confirmed)" in Path("map.html").read_text()


def test_a_position_in_ones_own_name_may_be_not_sure_too() -> None:
    mine = Position(
        point_id=uuid4(),
        group_id=uuid4(),
        user_id=uuid4(),
        device_id=uuid4(),
        name="Una",
        fix=fix(),
        received_at=fix().at,
        key_version=1,
        is_confirmed=False,
        is_mine=True,
    )

    assert PositionRow.of(mine, None, []).name == "Una (you) (not confirmed)"


def test_what_waits_is_erased_with_what_was_sent_by_when_it_was_queued(family: Family) -> None:
    una = family.found()
    una.share([fix(1.0)])
    una.enqueue([fix(2.0)])
    hour = timedelta(hours=1)

    later = una.delete_points(since=fix().at + hour)
    earlier = una.delete_points(until=fix().at - hour)
    deleted = una.delete_points(since=fix().at - hour)

    assert (later, earlier, deleted) == (0, 0, 2)
    assert (una.waiting(), list(una.history())) == (0, [])
