"""What the log is told of a request."""

from contextvars import ContextVar
from dataclasses import dataclass, field

from chalice.app import Request

from chalicelib import log
from chalicelib.db import round_trips
from chalicelib.db.failure import sqlstate
from chalicelib.errors import Problem

_CREATED = 201
_COUNTED = {
    ("POST", "/api/locations", 200): "posts",
    ("POST", "/owntracks", 200): "posts",
    ("POST", "/pub", 200): "posts",
    ("POST", "/api/auth/join", _CREATED): "joins",
    ("POST", "/api/groups/join", 200): "joins",
}
_REFUSED = 400


@dataclass
class Outcome:
    """What came of a request besides its response."""

    code: str | None = None
    cause: str | None = None
    sqlstate: str | None = None
    fault: list[str] = field(default_factory=list)
    round_trips_before: int = field(default_factory=round_trips)

    def note_problem(self, problem: Problem) -> None:
        """Keep a problem's code, and of the error that led to it its class and SQLSTATE."""
        self.code = problem.code
        if problem.__cause__ is not None:
            self.cause = type(problem.__cause__).__name__
            self.sqlstate = sqlstate(problem.__cause__)

    def note_fault(self, error: BaseException) -> None:
        """Keep where an unexpected error came from, and which one led to it."""
        self.code = "internal_error"
        self.sqlstate = sqlstate(error)
        self.fault = log.fault(error)


outcome: ContextVar[Outcome] = ContextVar("outcome")


def request(event: Request, status: int, seconds: float, told: Outcome) -> None:
    """Write the line of one request; `route` is the template, whose ids are placeholders."""
    counted = _COUNTED.get((event.method, event.path, status))
    if counted and told.code is not None:
        counted = "ignored"
    counts = {counted: 1} if counted else {"refusals": 1} if status >= _REFUSED else None
    log.write(
        {
            "requestId": getattr(event.lambda_context, "aws_request_id", None),
            "method": event.method,
            "route": event.path,
            "status": status,
            "durationMs": round(seconds * 1000, 1),
            "roundTrips": round_trips() - told.round_trips_before,
            "code": told.code,
            "cause": told.cause,
            "sqlstate": told.sqlstate,
            "fault": told.fault or None,
        },
        counts,
        by="code" if told.code else None,
    )
