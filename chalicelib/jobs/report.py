"""What the log is told of a job."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from chalicelib import log
from chalicelib.db.failure import schema_message, sqlstate
from chalicelib.errors import Problem, Unavailable
from chalicelib.settings import SettingsError

_Job = TypeVar("_Job", bound=Callable[..., Any])


class JobFailed(Exception):
    """A job failed. Lambda logs what is raised, so this tells of an error what holds no data.

    That is its class and SQLSTATE, and the server's message where it names nothing but the schema.
    """


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
            cause = error.__cause__ if isinstance(error, Unavailable) else error
            state = sqlstate(cause)
            log.write(
                {"job": name, "sqlstate": state, "fault": log.fault(error)},
                {"failures": 1},
                by="job",
            )
            # A missing right or table does not pass by itself: the server's words are told.
            if isinstance(error, Problem | SettingsError | JobFailed) and not (
                state or ""
            ).startswith("42"):
                raise  # their texts hold nothing of anybody
            told = f"{type(cause).__name__} {state or ''}".strip()
            message = schema_message(cause)
            raise JobFailed(f"{told}: {message}" if message else told) from None
        counts = {what: many for what, many in answer.items() if isinstance(many, int)}
        log.write({"job": name} | counts, counts, by="job")
        return answer

    return run  # type: ignore[return-value]
