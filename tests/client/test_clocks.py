"""Devices whose clocks are wrong, or that lie about the time."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from draugar.client import Client
from draugar.errors import AnswerNotUnderstood, ServiceBusy
from draugar.models import Kind, Position
from draugar.service import transport
from tests.client import malice
from tests.client.family import Family, fix
from tests.client.malice import Relay
from tests.client.test_phones import Handset
from tests.owntracks import Android

YEAR = timedelta(days=365)


@pytest.fixture
def two(relayed: Family) -> tuple[Client, Client]:
    """Una and Ari, who trust each other."""
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    return una, ari


def latitudes(positions: list[Position]) -> list[float]:
    return [position.fix.latitude for position in positions]


def off(by: timedelta) -> Callable[[], float]:
    """Return a clock in seconds that is wrong."""
    right = time.time
    return lambda: right() + by.total_seconds()


def _nanoseconds(clock: Callable[[], float]) -> int:
    return int(clock() * 1e9)


def test_a_device_whose_clock_was_years_off_is_told_and_goes_on(
    two: tuple[Client, Client], relayed: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una, ari = two
    shared = []

    for wrong in (-2 * YEAR, 2 * YEAR, 1000 * YEAR):
        with monkeypatch.context() as its:
            its.setattr(time, "time_ns", partial(_nanoseconds, off(wrong)))
            shared.append(una.share([fix(1.0, ago=-wrong)]))  # when it is by that clock
    shared.append(una.share([fix(2.0)]))

    *wrong_times, right = [(one.stored, one.dropped, one.waiting) for one in shared]
    assert wrong_times == [(0, 1, 0)] * 3
    assert right == (1, 0, 0)
    assert relayed.hears("Una").kinds().count(Kind.NOT_SHARED) == 3
    assert latitudes(ari.where()) == [2.0]


def test_a_phone_whose_clock_was_ahead_is_seen_again_once_it_is_right(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    phone = Handset.of(Android, una.add_phone("Phone"))

    phone.is_at(1.0, tst=int(off(2 * YEAR)()))
    ahead = ari.where()
    phone.is_at(2.0)

    assert ahead == []
    assert relayed.hears("Ari").kinds() == []
    assert [(one.fix.latitude, one.is_old) for one in ari.where()] == [(2.0, False)]


def _saying(said: dict[str, str], points: list[Any]) -> list[Any]:
    return [{**point, **said} for point in points]


def test_a_time_at_the_end_of_the_calendar_is_no_answer(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two
    ari.share([fix(1.0)])

    for name in ("receivedAt", "recordedAt"):
        for at in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
            lie = malice.points(partial(_saying, {name: at}))
            with relay.telling(lie), pytest.raises(AnswerNotUnderstood):
                una.where()

    assert latitudes(una.where()) == [1.0]


def test_a_clock_that_was_behind_when_the_key_changed_costs_the_past_and_no_more(
    two: tuple[Client, Client], relayed: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una, ari = two
    ari.share([fix(1.0)])
    with monkeypatch.context() as its:
        behind = replace(una._context, clock=lambda: datetime.now(UTC).astimezone() - YEAR)
        its.setattr(una, "_context", behind)
        una.rotate()

    past = list(una.history())
    ari.share([fix(2.0)])

    assert past == []
    assert Kind.POINTS_DROPPED in relayed.hears("Una").kinds()
    assert latitudes(una.where()) == [2.0]
    assert latitudes(list(ari.history())) == [2.0, 1.0]


def test_a_point_of_a_month_that_has_no_room_yet_waits_for_it(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una = family.found()
    una._transport._patience = 0
    monkeypatch.setattr(transport, "_BUSY", {503})  # else an error of the service would do
    month = f"{datetime.now(UTC):%Y_%m}"

    family.service.query(f"DROP TABLE locations_{month}")
    try:
        with pytest.raises(ServiceBusy):
            una.share([fix(1.0)])
        waiting = una.waiting()
    finally:
        family.service.query("SELECT make_location_partitions()")
    sent = una.flush()

    assert waiting == 1
    assert (sent.stored, sent.waiting) == (1, 0)
    assert latitudes(una.where()) == [1.0]
