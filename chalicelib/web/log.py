"""The request log: one line of JSON for each request, of fields that are named here.

No body, name, address, token, code or coordinate has a field to stand in. Of an error that
nobody expected it keeps the class and the places it came through, never its text: drivers and
parsers put values into theirs.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from dataclasses import dataclass, field

from chalice.app import Request

from chalicelib.db.failure import sqlstate
from chalicelib.errors import Problem

_logger = logging.getLogger("draugar.requests")


@dataclass
class Outcome:
    """What the log is told of a request besides its response."""

    code: str | None = None
    cause: str | None = None
    fault: list[str] = field(default_factory=list)

    def note_problem(self, problem: Problem) -> None:
        """Keep a problem's code, and of the error that led to it its class and SQLSTATE."""
        self.code = problem.code
        if problem.__cause__ is not None:
            state = sqlstate(problem.__cause__)
            self.cause = f"{type(problem.__cause__).__name__} {state or ''}".strip()

    def note_fault(self, error: BaseException) -> None:
        """Keep where an unexpected error came from, and which one led to it."""
        self.code = "internal_error"
        seen: BaseException | None = error
        told: set[int] = set()  # two errors may have led to each other
        while seen is not None and id(seen) not in told:
            told.add(id(seen))
            places = traceback.extract_tb(seen.__traceback__)
            self.fault.append(type(seen).__name__)
            self.fault.extend(f"{place.name}:{place.lineno}" for place in places[-8:])
            seen = seen.__cause__ or seen.__context__


outcome: ContextVar[Outcome] = ContextVar("outcome")


def start() -> None:
    """Send the log to standard output as it is; Lambda adds nothing of its own to it."""
    if not _logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    _logger.propagate = False


def request(event: Request, status: int, seconds: float, told: Outcome) -> None:
    """Write the line of one request; `route` is the template, whose ids are placeholders."""
    line = {
        "requestId": getattr(event.lambda_context, "aws_request_id", None),
        "method": event.method,
        "route": event.path,
        "status": status,
        "durationMs": round(seconds * 1000, 1),
    }
    if told.code is not None:
        line["code"] = told.code
    if told.cause is not None:
        line["cause"] = told.cause
    if told.fault:
        line["fault"] = told.fault
    _logger.log(logging.ERROR if told.fault else logging.INFO, json.dumps(line))
