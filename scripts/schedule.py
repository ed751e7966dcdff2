"""When `make run` and `make host` run the jobs that AWS runs on a schedule.

A job's decorator in chalicelib/jobs says how often, as it does for AWS.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

from chalice.app import Chalice, Rate, ScheduledEventConfig

_UNITS = {
    Rate.MINUTES: timedelta(minutes=1),
    Rate.HOURS: timedelta(hours=1),
    Rate.DAYS: timedelta(days=1),
}


class Job(NamedTuple):
    """A function of the bundle and how often it runs."""

    name: str
    every: timedelta


def scheduled_jobs(app: Chalice) -> list[Job]:
    """Return the scheduled jobs of an app. Raises TypeError for a schedule that is not a rate."""
    jobs = []
    for source in app.event_sources:
        if isinstance(source, ScheduledEventConfig):
            rate = source.schedule_expression
            if not isinstance(rate, Rate):
                raise TypeError(f"{source.name}: only rates are supported here.")
            jobs.append(Job(source.name, rate.value * _UNITS[rate.unit]))
    return jobs


class Schedule:
    """Which jobs are due, by the clock of the machine and by one that is never set.

    A job is due when either clock says so: the first stands still on a machine whose clock was set
    back, the second while the machine sleeps.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        clocks: Sequence[Callable[[], float]] = (time.time, time.monotonic),
    ) -> None:
        self._jobs = jobs
        self._clocks = clocks
        self._begun: dict[str, list[float]] = {}

    def take_due(self) -> list[Job]:
        """Return the jobs that are due, which from then on count as run; at first all are due."""
        now = self._now()
        due = [job for job in self._jobs if self._is_due(job, now)]
        self._begun |= dict.fromkeys((job.name for job in due), now)
        return due

    def has_due(self) -> bool:
        """Whether a job is due."""
        now = self._now()
        return any(self._is_due(job, now) for job in self._jobs)

    def _now(self) -> list[float]:
        return [clock() for clock in self._clocks]

    def _is_due(self, job: Job, now: list[float]) -> bool:
        if (begun := self._begun.get(job.name)) is None:
            return True
        passed = max(later - earlier for later, earlier in zip(now, begun, strict=True))
        return passed >= job.every.total_seconds()
