import json
import math
from pathlib import Path

import pytest

from scripts import scaling
from scripts.scaling import Assumptions, Price, Sums

CONFIG = Path(__file__).parents[2] / ".chalice" / "config.json"


def sums(people: int, **given: float) -> Sums:
    return Sums(people=people, given=Assumptions(**given))


def test_the_document_shows_what_the_program_computes() -> None:
    document = scaling.DOCUMENT.read_text()

    assert scaling.written(document, scaling.of_document()) == document


def test_the_functions_have_the_memory_that_the_sums_take_for_granted() -> None:
    config = json.loads(CONFIG.read_text())

    assert Assumptions().memory_gb * 1024 == config["lambda_memory_size"]
    assert "lambda_memory_size" not in config["stages"]["prod"]["lambda_functions"]["api_handler"]


def test_a_day_of_posts_and_polls() -> None:
    # 3 h of 12 points and 21 h of 2 are 78; 6 times 2 polls are 12.
    day = sums(10_000)

    assert day.points_a_day == 780_000
    assert math.isclose(day.rate, 900_000 / 86_400)
    assert math.isclose(day.peak_rate, 31.25)


def test_batches_make_fewer_requests_of_as_many_points() -> None:
    batched = sums(1, points_per_post=2)

    assert batched.points_a_day == 78
    assert math.isclose(batched.rate * 86_400, 39 + 12)


def test_functions_at_once_are_the_rate_times_the_duration() -> None:
    # 31,250 a second, each for 12 ms and one in a hundred for a second more: 687.5, and
    # 2 x (687.5 + 5 x 26.22) is 1,637.2; two generations of these and twenty others connect.
    many = sums(10_000_000)

    assert math.isclose(many.at_once, 687.5)
    assert many.reserved == 1640
    assert many.connections == 3300


def test_points_take_their_disk_until_the_last_of_their_month_may_go() -> None:
    # 780,000 points of 520 bytes a day: 30 days are kept, and lie there for up to 61.
    disk = sums(10_000)

    assert math.isclose(disk.live_bytes, 12.168e9)
    assert math.isclose(disk.disk_bytes, 24.7416e9)


@pytest.mark.parametrize(
    ("minutes", "whole_pages"),
    [
        (5, 78),  # every point is the first on its page since the last checkpoint
        (30, 6 + 42),  # one in six while moving
        (60, 3 + 21),
    ],
)
def test_rarer_checkpoints_write_fewer_pages_whole(minutes: int, whole_pages: int) -> None:
    log = sums(1, checkpoint_minutes=minutes, wal_bytes=800, page_image_bytes=6700)

    assert math.isclose(log.wal_a_day, 78 * 800 + whole_pages * 6700)


def test_each_tier_is_paid_at_its_own_rate() -> None:
    price = Price("", "", ((10, 3.0), (30, 2.0), (math.inf, 1.0)), "", "")

    assert [price.of(units) for units in (0, 10, 11, 30, 31)] == [0, 30, 32, 70, 71]


def test_a_month_of_the_gateway() -> None:
    # 27,375 million: 333 at 3.50, 667 at 2.80, 19,000 at 2.38 and 7,375 at 1.51.
    by_hand = 333 * 3.50 + 667 * 2.80 + 19_000 * 2.38 + 7_375 * 1.51

    assert math.isclose(sums(10_000_000).bill["API Gateway (REST)"], by_hand)


def test_more_people_never_take_fewer_or_smaller_databases() -> None:
    chosen = [sums(10**power).databases for power in range(9)]

    order = [(count, scaling.MACHINES.index(machine)) for count, machine in chosen]
    assert order == sorted(order)


def test_an_option_changes_an_assumption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["", "--people", "50000", "--posts-per-hour", "6"])

    scaling.main()

    printed = capsys.readouterr().out
    assert "| Points a day | 3 million |" in printed  # 50,000 times 3 x 6 + 21 x 2
    assert "| `--posts-per-hour` | 6 |" in printed
