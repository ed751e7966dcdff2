"""When `make run` runs the scheduled jobs."""

from datetime import timedelta

import pytest
from chalice.app import Chalice, Cron, Rate

from scripts.schedule import Job, Schedule, scheduled_jobs

HOUR, DAY = 3600.0, 86400.0
JOBS = [Job("purge", timedelta(hours=1)), Job("maintain", timedelta(days=1))]


class Clocks:
    """The machine's clock, and one that is never set and stands still while the machine sleeps."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000.0, 50.0
        self.schedule = Schedule(JOBS, clocks=(lambda: self.wall, lambda: self.steady))

    def due(self, *, wall: float = 0, steady: float = 0) -> list[str]:
        """Return what is due when the clocks have moved by so many seconds."""
        self.wall += wall
        self.steady += steady
        return [job.name for job in self.schedule.take_due()]


def test_every_job_runs_at_the_start_and_then_when_its_time_has_passed() -> None:
    clocks = Clocks()

    assert clocks.due() == ["purge", "maintain"]
    assert clocks.due(wall=HOUR - 1, steady=HOUR - 1) == []
    assert clocks.due(wall=1, steady=1) == ["purge"]
    assert clocks.due(wall=23 * HOUR, steady=23 * HOUR) == ["purge", "maintain"]
    assert clocks.due() == []


@pytest.mark.parametrize(
    ("wall", "steady"),
    [(DAY, 0.0), (-400 * DAY, DAY), (0.0, DAY), (400 * DAY, 0.0)],
    ids=["asleep for a day", "clock set back", "clock stands still", "clock set forward"],
)
def test_a_clock_that_jumps_keeps_no_job_from_running(wall: float, steady: float) -> None:
    clocks = Clocks()
    clocks.due()

    assert clocks.due(wall=wall, steady=steady) == ["purge", "maintain"]
    assert clocks.due() == []
    assert clocks.due(wall=HOUR, steady=HOUR) == ["purge"]


def test_after_a_long_sleep_a_job_runs_once() -> None:
    clocks = Clocks()
    clocks.due()

    assert clocks.due(wall=30 * DAY) == ["purge", "maintain"]
    assert clocks.due(wall=1, steady=1) == []


def test_schedules_are_those_of_the_decorators() -> None:
    app = Chalice("any")
    app.schedule(Rate(5, unit=Rate.MINUTES), name="often")(lambda event: event)
    app.lambda_function(name="by_hand")(lambda event, _: event)

    assert scheduled_jobs(app) == [Job("often", timedelta(minutes=5))]


def test_a_schedule_that_is_not_a_rate_is_refused() -> None:
    app = Chalice("any")
    app.schedule(Cron(0, 3, "*", "*", "?", "*"), name="nightly")(lambda event: event)

    with pytest.raises(TypeError, match="nightly"):
        scheduled_jobs(app)
