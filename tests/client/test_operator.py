"""Whoever runs the service changes its rows, and hands out what it keeps to who has a key."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from draugar.client import Client
from draugar.models import Kind, Position
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.json import from_base64url
from draugar.protocol.locations import open_location
from tests.client.family import Family, Service, fix
from tests.client.kept import Keyring
from tests.client.malice import SHARE, Relay

SWAPPED = (
    "UPDATE locations here SET encrypted_data = there.encrypted_data FROM locations there"
    " WHERE here.group_id = :group AND there.group_id = :group AND here.user_id <> there.user_id"
)
"""What two people have posted stands in each other's rows."""


@pytest.fixture
def two(relayed: Family) -> tuple[Client, Client]:
    """Una and Ari, who trust each other and have each shared where they are."""
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.share([fix(1.0)])
    ari.share([fix(2.0)])
    una.where()
    relayed.hears("Una").clear()
    return una, ari


def latitudes(positions: list[Position]) -> list[float]:
    return [position.fix.latitude for position in positions]


def test_no_row_that_was_changed_is_believed(two: tuple[Client, Client], relayed: Family) -> None:
    una, _ = two
    garbled = "UPDATE locations SET encrypted_data = sha512(encrypted_data) WHERE group_id = :group"
    in_the_clear = (
        "UPDATE locations SET encrypted_data = null, key_version = null,"
        " latitude = 50, longitude = 60, accuracy = 5 WHERE group_id = :group"
    )

    for change in (SWAPPED, garbled, in_the_clear):
        relayed.service.query(change, group=str(una.group().id))

        assert (una.where(), list(una.history())) == ([], [])
        assert any(notice.is_warning for notice in relayed.hears("Una"))
        relayed.hears("Una").clear()


def test_an_export_opens_what_is_ones_own_alone(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, _ = two
    (before,) = una.export()["locations"]

    relayed.service.query(SWAPPED, group=str(una.group().id))
    (after,) = una.export()["locations"]

    assert before["opened"]["lat"] == 1.0
    assert "opened" not in after
    assert relayed.hears("Una").kinds() == [Kind.POINTS_DROPPED]


def test_a_newcomer_whom_the_service_shows_the_past_opens_it_back_to_the_last_new_key(
    family: Family,
) -> None:
    una = family.found()
    una.share([fix(1.0)])
    una.rotate()
    una.share([fix(2.0)])
    una.share([fix(3.0)])
    ari = family.join(una.invite().link)
    una.where()  # which shares the latest position once more, for the newcomer
    of_right = latitudes(list(ari.history()))

    family.service.query(
        "UPDATE group_members SET joined_at = '2020-01-01' WHERE user_id = :user",
        user=str(ari.user_id),
    )
    in_league = latitudes(list(ari.history()))

    assert of_right == [3.0]
    assert in_league == [3.0, 2.0]


def test_nothing_is_sent_to_be_handed_out_while_sharing_is_paused_here(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, _ = two
    una.pause()
    relay.received.clear()

    shared = una.share([fix(3.0)])

    assert (shared.stored, shared.dropped, shared.waiting) == (0, 1, 0)
    assert [request for request in relay.received if request.route == SHARE] == []
    assert relayed.hears("Una").kinds() == [Kind.NOT_SHARED]


def test_what_was_shared_without_network_in_a_pause_is_not_sent_after_it(
    two: tuple[Client, Client], service: Service
) -> None:
    una, ari = two
    una.pause()
    una._transport.url = "http://127.0.0.1:9"
    una._transport._patience = 0

    dropped = una.share([fix(3.0)]).dropped
    una._transport.url = service.url
    una.resume()
    una.share([fix(4.0)])

    assert dropped == 1
    assert latitudes(list(ari.history(user_id=una.user_id))) == [4.0, 1.0]


def test_a_pause_that_somebody_else_has_ended_is_told_by_every_command(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, _ = two
    una.pause()
    relayed.again("Una").where()
    quiet = relayed.hears("Una").kinds()

    relayed.service.query(
        "UPDATE group_members SET sharing_paused = false WHERE user_id = :user",
        user=str(una.user_id),
    )
    relayed.again("Una").where()
    relayed.again("Una").where()
    una.resume()
    relayed.again("Una").where()

    assert quiet == []
    assert relayed.hears("Una").kinds() == [Kind.PAUSE_ENDED, Kind.PAUSE_ENDED]


def test_a_pause_ends_here_when_it_was_to_end(two: tuple[Client, Client], relayed: Family) -> None:
    una, ari = two
    una.pause(until=datetime.now(UTC) + timedelta(seconds=0.3))

    dropped = una.share([fix(3.0)]).dropped
    while una.share([fix(4.0)]).stored == 0:
        pass

    assert dropped == 1
    assert latitudes(ari.where())[-1] == 4.0
    assert Kind.PAUSE_ENDED not in relayed.hears("Una").kinds()


def test_a_removed_member_opens_nothing_new_whatever_they_are_handed(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two
    former = Keyring(ari._home, una.group().id).key(1)
    una.remove(ari.user_id)
    relay.received.clear()
    una.share([fix(5.0)])
    una.invite()

    (posted,) = [request.json for request in relay.received if request.route == SHARE]
    sealed: Any = posted["locations"][0]["encryptedData"]
    assert former is not None
    with pytest.raises(NotAuthentic):
        open_location(from_base64url(sealed), former)
