"""Times as people type them, in zones whose clocks change."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from draugar.cli.erasing import shown_under
from draugar.cli.failures import told
from draugar.cli.times import EmptyRange, NotATime, between, parse_time

ZONES = (
    *("Europe/Berlin", "America/Santiago", "America/New_York", "Australia/Lord_Howe"),
    *("Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "UTC"),
)


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Let this machine be elsewhere."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("where", "typed", "now", "meant"),
    [
        ("Europe/Berlin", "08:00", "2026-10-24 19:00", "2026-10-25T08:00:00+01:00"),
        ("Europe/Berlin", "18:30", "2026-10-24 22:30", "2026-10-25T18:30:00+01:00"),
        ("Europe/Berlin", "08:00", "2027-03-27 19:00", "2027-03-28T08:00:00+02:00"),
        ("America/New_York", "08:00", "2026-10-31 20:00", "2026-11-01T08:00:00-05:00"),
        ("America/Santiago", "08:00", "2026-09-06 00:00", "2026-09-06T08:00:00-03:00"),
        ("America/Santiago", "08:00", "2027-04-03 20:00", "2027-04-04T08:00:00-04:00"),
        ("Australia/Lord_Howe", "08:00", "2026-10-03 09:00", "2026-10-04T08:00:00+11:00"),
        ("Australia/Lord_Howe", "08:00", "2027-04-03 09:00", "2027-04-04T08:00:00+10:30"),
        ("AAA-1BBB-2,J1/0,J335/3", "08:00", "2026-11-30 20:00", "2026-12-01T08:00:00+01:00"),
        ("AAA-1BBB-2,J1/0,J335/3", "08:00", "2026-12-31 20:00", "2027-01-01T08:00:00+02:00"),
        ("Asia/Kolkata", "08:00", "2026-10-24 19:00", "2026-10-25T08:00:00+05:30"),
    ],
)
def test_ahead_a_time_of_day_has_the_offset_of_its_own_date(
    where: str, typed: str, now: str, meant: str
) -> None:
    with zone(where):
        assert parse_time(typed, at(now), is_ahead=True).isoformat() == meant


@pytest.mark.parametrize(
    ("where", "typed", "now", "meant"),
    [
        ("Europe/Berlin", "00:30", "2026-10-25 11:00", "2026-10-25T00:30:00+02:00"),
        ("Europe/Berlin", "23:00", "2026-10-25 11:00", "2026-10-24T23:00:00+02:00"),
        ("Europe/Berlin", "23:00", "2027-03-28 11:00", "2027-03-27T23:00:00+01:00"),
        ("America/Santiago", "23:30", "2026-09-06 12:00", "2026-09-05T23:30:00-04:00"),
        ("Australia/Lord_Howe", "01:00", "2027-04-04 00:00", "2027-04-04T01:00:00+11:00"),
        ("AAA-1BBB-2,J1/0,J335/3", "01:00", "2026-12-01 08:00", "2026-12-01T01:00:00+02:00"),
        ("UTC", "23:00", "2026-11-30 16:45", "2026-11-29T23:00:00+00:00"),
        ("UTC", "16:45", "2026-11-30 16:45", "2026-11-30T16:45:00+00:00"),
    ],
)
def test_of_the_past_a_time_of_day_is_the_last_one_with_the_offset_of_its_own_date(
    where: str, typed: str, now: str, meant: str
) -> None:
    with zone(where):
        assert parse_time(typed, at(now)).isoformat() == meant


def test_a_time_that_the_clocks_leave_out_is_as_long_after_the_change() -> None:
    with zone("Europe/Berlin"):
        eve, day = at("2027-03-27 20:00"), at("2027-03-28 12:00")
        read = [
            parse_time("02:30", eve, is_ahead=True),
            parse_time("02:30", day),
            parse_time("2027-03-28 02:30", day),
            parse_time("2027-03-28 02:30", day, is_end=True),
        ]

    assert {one.isoformat() for one in read} == {"2027-03-28T03:30:00+02:00"}


def test_a_midnight_that_the_clocks_leave_out_is_their_change() -> None:
    with zone("America/Santiago"):
        read = parse_time("2026-09-06", at("2026-09-07 12:00"))

    assert read.isoformat() == "2026-09-06T01:00:00-03:00"


def test_of_a_time_that_comes_twice_a_beginning_is_the_first_and_an_end_the_second() -> None:
    with zone("Europe/Berlin"):
        eve, day = at("2026-10-24 19:00"), at("2026-10-25 12:00")
        starts = [parse_time("02:30", day), parse_time("2026-10-25 02:30", day)]
        ends = [
            parse_time("02:30", day, is_end=True),
            parse_time("2026-10-25 02:30", day, is_end=True),
            parse_time("02:30", eve, is_ahead=True),
        ]

    assert {one.isoformat() for one in starts} == {"2026-10-25T02:30:00+02:00"}
    assert {one.isoformat() for one in ends} == {"2026-10-25T02:30:00+01:00"}


def test_a_pause_does_not_end_before_a_time_that_is_still_to_come_once_more() -> None:
    with zone("Europe/Berlin"):
        between_both = at("2026-10-25 00:45")  # 02:45, the first time
        read = parse_time("02:30", between_both, is_ahead=True)

    assert read.isoformat() == "2026-10-25T02:30:00+01:00"


@given(
    where=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- of the zone beside them
    hour=st.integers(0, 23),
    minute=st.sampled_from([0, 15, 29, 30, 45, 59]),
    is_ahead=st.booleans(),
)
def test_the_clock_shows_what_was_typed_on_the_nearest_such_day(
    where: str, now: datetime, hour: int, minute: int, *, is_ahead: bool
) -> None:
    with zone(where):
        read = parse_time(f"{hour}:{minute:02}", now, is_ahead=is_ahead)

    # By another implementation of zones than the one that is tried.
    local = read.astimezone(ZoneInfo(where))
    # A UTC round trip shows what the clocks leave out.
    wall = local.replace(hour=hour, minute=minute, fold=0)
    is_left_out = wall.astimezone(UTC).astimezone(ZoneInfo(where)).time() != wall.time()
    assert (local.hour, local.minute) == (hour, minute) or is_left_out
    if is_ahead:
        assert timedelta() < read - now <= timedelta(hours=26)
    else:
        assert timedelta() <= now - read <= timedelta(hours=26)


@pytest.mark.parametrize(
    ("since", "until", "now", "meant"),
    [
        ("18:00", "06:00", "2026-11-30 16:45", ("2026-11-29 18:00", "2026-11-30 06:00")),
        ("23:00", None, "2026-11-30 16:45", ("2026-11-29 23:00", None)),
        (None, "23:00", "2026-11-30 16:45", (None, "2026-11-29 23:00")),
        ("08:00", "18:00", "2026-11-30 16:45", ("2026-11-30 08:00", "2026-11-30 18:00")),
        ("2h", "1h", "2026-11-30 16:45", ("2026-11-30 14:45", "2026-11-30 15:45")),
        ("2026-11-01", "2026-11-02", "2026-11-30 16:45", ("2026-11-01 00:00", "2026-11-02 00:00")),
        (None, None, "2026-11-30 16:45", (None, None)),
    ],
)
def test_a_range_of_the_past(
    since: str | None, until: str | None, now: str, meant: tuple[str | None, str | None]
) -> None:
    with zone("UTC"):
        read = between(since, until, at(now))

    assert read == tuple(at(one) if one else None for one in meant)


@pytest.mark.parametrize(
    ("since", "until", "ends"),
    [
        ("1h", "2h", ("Mon 30 Nov 2026, 15:45", "Mon 30 Nov 2026, 14:45")),
        ("1h", "1h", ("Mon 30 Nov 2026, 15:45", "Mon 30 Nov 2026, 15:45")),
        ("16:00", "15:00", ("Mon 30 Nov 2026, 16:00", "Mon 30 Nov 2026, 15:00")),
        ("2026-11-30", "2026-11-29", ("Mon 30 Nov 2026, 00:00", "Sun 29 Nov 2026, 00:00")),
        ("2026-12-01", None, ("Tue 1 Dec 2026, 00:00", "Mon 30 Nov 2026, 16:45")),
        ("0m", None, ("Mon 30 Nov 2026, 16:45", "Mon 30 Nov 2026, 16:45")),
        ("2026-12-01", "18:00", ("Tue 1 Dec 2026, 00:00", "Sun 29 Nov 2026, 18:00")),
    ],
)
def test_an_empty_range_is_refused_with_both_ends(
    since: str, until: str | None, ends: tuple[str, str]
) -> None:
    with zone("UTC"), pytest.raises(EmptyRange) as caught:
        between(since, until, at("2026-11-30 16:45"))

    assert all(end in told(caught.value).reason for end in ends)


@given(
    where=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- of the zone beside them
    ends=st.tuples(*2 * [st.times().map("{:%H:%M}".format)]),
)
def test_a_range_of_two_times_of_day_is_within_two_days_and_never_backwards(
    where: str, now: datetime, ends: tuple[str, str]
) -> None:
    with zone(where):
        try:
            start, end = between(*ends, now)
        except EmptyRange:
            return

    assert start is not None
    assert end is not None
    assert now - timedelta(hours=26) <= start < end <= now + timedelta(hours=26)


@pytest.mark.parametrize(
    "typed",
    [
        *("2026\u201108\u201105 18:30", "\u201c2026-08-05 18:30\u201d", "2026-08-05\u00a018:30."),
        *("Wed 5 Aug 2026, 18:30", "2026-08-05 18:30:00", "Wed 5 Aug 2026,\u00a018:30."),
        *("\ufeff2026-08-05T18:30", "2026\u221208\u221205 18\uff1a30", "2026-08-05T18:30Z"),
    ],
    ids=ascii,
)
def test_a_time_is_read_as_it_was_pasted(typed: str) -> None:
    with zone("UTC"):
        assert parse_time(typed, at("2026-11-30 16:45")) == at("2026-08-05 18:30")


def test_a_day_ends_at_24_00_which_the_next_one_begins_with() -> None:
    with zone("Europe/Berlin"):
        now = at("2026-10-24 16:45")  # the day before a change, and 18:45 there
        midnight = at("2026-10-24 22:00")

        assert (
            parse_time("24:00", now, is_ahead=True)
            == parse_time("0:00", now, is_ahead=True)
            == midnight
        )
        assert parse_time("24:00", now) == midnight - timedelta(days=1)
        assert (
            parse_time("2026-10-24 24:00", now)
            == parse_time("2026-10-24T24:00:00", now)
            == midnight
        )
        assert parse_time("2026-10-25 24:00", now) == midnight + timedelta(hours=25)
        assert between("08:00", "24:00", now) == (at("2026-10-24 06:00"), midnight)
        assert between("0:00", "24:00", now) == (midnight - timedelta(days=1), midnight)
        assert between("08:00", "00:00", now) == (at("2026-10-24 06:00"), midnight)


def test_what_history_shows_under_a_time_that_comes_twice_is_of_both() -> None:
    with zone("Europe/Berlin"):
        assert shown_under("Sun 25 Oct 2026, 02:30") == (
            at("2026-10-25 00:30"),
            at("2026-10-25 01:31"),
        )


def test_a_time_of_day_may_have_seconds() -> None:
    with zone("UTC"):
        assert parse_time("18:30:15", at("2026-11-30 16:45")) == at("2026-11-29 18:30:15")


@pytest.mark.parametrize("now", ["2026-11-30 16:45", "2026-11-30 18:05"])
@pytest.mark.parametrize("ends", [("18:00", "18:00"), ("18:00", "18:00:00"), ("0:00", "0:00")])
def test_a_range_from_a_time_of_day_to_the_same_is_empty(now: str, ends: tuple[str, str]) -> None:
    with zone("UTC"), pytest.raises(EmptyRange):
        between(*ends, at(now))


@pytest.mark.parametrize("typed", ["", "24:01", "8:60", "-2h", "2026-13-01", "8", "08:00 pm"])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(NotATime):
        parse_time(typed, at("2026-11-30 16:45"))


@given(
    where=st.sampled_from(ZONES),
    typed=st.text(max_size=8)
    | st.from_regex(
        "(000[12]|9999|20[0-9]{2})-[01][0-9]-[0-3][0-9]([ T][0-9:+]*)?", fullmatch=True
    ),
)
def test_whatever_is_typed_is_a_time_or_refused(where: str, typed: str) -> None:
    with zone(where):
        try:
            read = parse_time(typed, at("2026-11-30 16:45"))
        except NotATime:
            return

    assert read.utcoffset() is not None
