"""What people read: times, lengths, names that others chose, and tables on any terminal."""

import io
import json
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from draugar.cli import everyday, output
from draugar.cli.terminal import Lines, Terminal
from draugar.cli.times import NotATime, parse_time
from draugar.maps import geojson, gpx
from draugar.models import Coordinates, Fix, Position
from draugar.models import Person as Member
from draugar.text.display import ago, clock, degrees, metres, plain
from tests.client.commands import Person

ESCAPE = "\x1b"
NOON = datetime(2026, 8, 5, 10, tzinfo=UTC).astimezone().replace(hour=12, second=30)
"""Of this machine's day, wherever it is."""


LEGITIMATE = (
    "Bea \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\u05d0\u05d1\u05d9\u200f",
    "N\u00f3i \U0001fae8",
    "\U0001faea and \U000323b0",  # newer than this Python
    "Anna\u00adlena",
    "\u2764\ufe0f",
    "\u0627\u061c\u200e",
)
"""Names in which nothing steers a terminal."""


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0 m"),
        (12.4, "12 m"),
        (999.4, "999 m"),
        (999.6, "1.0 km"),
        (2345, "2.3 km"),
        (9960, "10.0 km"),
        (12_345, "12 km"),
        (1_240_000, "1,240 km"),
    ],
)
def test_a_length_is_as_fine_as_anybody_asks(length: float, text: str) -> None:
    assert metres(length) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "1 h ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(hours=48), "2 days ago"),
    ],
)
def test_an_age_is_told_in_one_unit(age: timedelta, text: str) -> None:
    assert ago(age) == text


def test_a_time_of_today_goes_without_the_date() -> None:
    assert clock(NOON, NOON + timedelta(seconds=1)) == f"{NOON:%H:%M}"
    assert clock(NOON, NOON + timedelta(days=2)).endswith(f" Aug 2026, {NOON:%H:%M}")
    assert re.fullmatch(f"[A-Z][a-z]{{2}} {NOON.day} Aug 2026, {NOON:%H:%M}", clock(NOON))


def test_a_position_is_shown_to_the_metre() -> None:
    assert degrees(Coordinates(64.1466, -21.942612)) == "64.14660, -21.94261"
    assert degrees(Coordinates(-0.000001, -0.0)) == "0.00000, 0.00000"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Þorgerður", "Þorgerður"),
        ("李小龍", "李小龍"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # noqa: RUF001
        ("\x1b[31mred\x1b]0;title\x07", "\ufffd[31mred\ufffd]0;title\ufffd"),
        ("\x9b31m", "\ufffd31m"),
        ("Una\u202egnp", "Una\ufffdgnp"),
        ("two\nlines\tand\rmore", "two\ufffdlines\ufffdand\ufffdmore"),
        ("line\u2028separator", "line separator"),
        ("lone\ud800", "lone\ufffd"),
        *((kept, kept) for kept in LEGITIMATE),
    ],
)
def test_others_names_are_shown_without_what_steers_a_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_nothing_that_steers_a_terminal_gets_through(text: str) -> None:
    shown = plain(text)

    assert len(shown) == len(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)


def test_no_name_steers_the_terminal_that_tracks_are_written_to() -> None:
    nobody = UUID(int=0)
    said_by_a_member = Position(
        point_id=nobody,
        group_id=nobody,
        user_id=nobody,
        device_id=nobody,
        name="Una\x9b2J\u202e",
        fix=Fix(latitude=64.1, longitude=-21.9, accuracy=10, at=NOON),
        received_at=NOON,
        key_version=1,
        is_confirmed=True,
    )

    trails = everyday.trails_of((), [said_by_a_member], NOON)

    for written in (gpx.written(trails), json.dumps(geojson.written(trails), ensure_ascii=False)):
        assert "Una\ufffd2J\ufffd" in written
        assert not re.search("[\x80-\x9f\u202e]", written)


@pytest.mark.parametrize(
    ("typed", "before"),
    [
        ("90m", timedelta(minutes=90)),
        ("2h", timedelta(hours=2)),
        ("3 d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_a_span_is_counted_back_or_ahead(typed: str, before: timedelta) -> None:
    assert parse_time(typed, NOON) == NOON - before
    assert parse_time(typed, NOON, is_ahead=True) == NOON + before


def test_a_date_and_a_time_mean_the_zone_of_this_machine_unless_they_name_one() -> None:
    local = NOON.tzinfo

    assert parse_time("2026-08-05", NOON) == datetime(2026, 8, 5, tzinfo=local)
    assert parse_time("2026-08-05 18:30", NOON) == datetime(2026, 8, 5, 18, 30, tzinfo=local)
    assert parse_time("2026-08-05T18:30+02:00", NOON) == datetime(2026, 8, 5, 16, 30, tzinfo=UTC)


def test_a_time_of_day_is_of_today_and_ahead_the_next_one() -> None:
    earlier, later = NOON - timedelta(hours=1), NOON + timedelta(hours=1)

    assert parse_time(f"{earlier:%H:%M}", NOON) == earlier.replace(second=0)
    assert parse_time(f"{later:%H:%M}", NOON, is_ahead=True) == later.replace(second=0)
    tomorrow = earlier.replace(second=0) + timedelta(days=1)
    assert parse_time(f"{earlier:%H:%M}", NOON, is_ahead=True) == tomorrow


@pytest.mark.parametrize("typed", ["", "soon", "2", "h", "99999w", "24:01", "2026-13-01", "-2h"])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(NotATime):
        parse_time(typed, NOON)


@pytest.fixture
def una(tmp_path: Path) -> Person:
    person = Person(tmp_path / "una")
    person.does("places", "add", "[bold]Grandmother's[/bold]", 64.1466, -21.9426)
    return person


def test_a_pipe_gets_neither_colours_nor_cut_lines(una: Person) -> None:
    piped = una.does("places")

    assert ESCAPE not in piped
    assert "[bold]Grandmother's[/bold]   64.14660, -21.94260   150 m" in piped


def test_a_screen_gets_emphasis_and_with_no_color_no_colours(una: Person) -> None:
    told = una.at_terminal("places", "remove", "nowhere").out
    without = una.at_terminal("places", "remove", "nowhere", NO_COLOR="1").out

    assert f"{ESCAPE}[31mYou have no place of this name." in told
    assert "You have no place of this name." in without
    assert not re.search(rf"{ESCAPE}\[[0-9;]*[34][0-9]m", without)


def test_a_narrow_screen_gets_lines_below_each_other(una: Person) -> None:
    shown = re.sub(rf"{ESCAPE}\[[0-9;]*m", "", una.at_terminal("places", columns=40).out)

    assert shown.splitlines()[-3:] == [
        "[bold]Grandmother's[/bold]",
        "  Where: 64.14660, -21.94260",
        "  Within: 150 m",
    ]


def test_long_work_says_every_ten_seconds_how_far_it_is_where_no_screen_is() -> None:
    now, said = 100.0, list[str]()
    progress = Lines(said.append, "Sharing", 2000, clock=lambda: now)
    for done, now in ((500, 109.9), (1000, 110.0), (1500, 119.9), (1900, 125.0)):  # noqa: B007
        progress(done)

    assert said == ["Sharing: 1000 of 2000", "Sharing: 1900 of 2000"]


def test_work_without_a_known_end_says_how_much_is_done() -> None:
    times = iter((0.0, 11.0, 11.0))
    said = list[str]()

    Lines(said.append, "Reading positions", None, clock=lambda: next(times))(300)

    assert said == ["Reading positions: 300"]


def test_progress_on_a_screen_is_drawn_as_it_is_heard_of_and_by_no_thread() -> None:
    terminal, screen = Terminal(as_json=False), io.StringIO()
    terminal.err = Console(file=screen, force_terminal=True, width=80)
    before = threading.active_count()

    with terminal.progress("Sharing", 20) as progress:
        assert threading.active_count() == before
        progress(5)
        drawn = screen.getvalue()

    assert "Sharing" in drawn
    assert "5/20" in drawn


def test_a_member_is_shown_with_the_name_that_the_service_lists_where_it_differs() -> None:
    member = Member(
        user_id=UUID(int=7),
        name="Ari",
        listed_name="Eva",
        role="member",
        joined_at=NOON,
        is_me=False,
        is_changed=False,
        devices=(),
    )

    assert output.identified(member) == (
        'Ari: id 00000000-0000-0000-0000-000000000007, no device yet; the service says "Eva"'
    )
    assert output.identified(replace(member, listed_name="ari")).endswith("no device yet")
