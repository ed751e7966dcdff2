"""What the log is told of a job."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from chalicelib import log
from chalicelib.db.failure import sqlstate
from chalicelib.errors import Problem
from chalicelib.settings import SettingsError

_Job = TypeVar("_Job", bound=Callable[..., Any])


class JobFailed(Exception):
    """A job failed. Lambda logs what is raised, so this is an error's class and SQLSTATE alone."""


def reported(job: _Job) -> _Job:
    """Write one line with the numbers that the job answers, or with the error that ended it.

    What it answers besides numbers, such as a code, is for the caller alone.
    """
    name = job.__name__

    @functools.wraps(job)
    def run(*arguments: Any) -> Any:
        try:
            answer = job(*arguments)
        except Exception as error:
            log.write(
                {"job": name, "sqlstate": sqlstate(error), "fault": log.fault(error)},
                {"failures": 1},
                by="job",
            )
            if isinstance(error, Problem | SettingsError):
                raise  # their texts hold nothing of anybody
            raise JobFailed(f"{type(error).__name__} {sqlstate(error) or ''}".strip()) from None
        counts = {what: many for what, many in answer.items() if isinstance(many, int)}
        log.write({"job": name} | counts, counts, by="job")
        return answer

    return run  # type: ignore[return-value]
