"""What a stranger's tool makes of our contract: all phases and all checks of schemathesis.

It reads the document that is served, and asks for what the document says, and for what it forbids.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis import Case, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData
from schemathesis.schemas import BaseSchema
from schemathesis.transport.wsgi import WSGI_TRANSPORT
from sqlalchemy.orm import Session

from tests.api import Reply
from tests.faults import edge
from tests.faults.edge import STAND_IN, STAND_INS, Edge

SEED = 20261122
FEW = 1
"""So many examples of each operation are a glance, without the phase that tries every boundary."""

PHONE_ROUTES = ("/owntracks", "/pub")
NAMED = {
    **{f"path.{step}": name for step, name in edge.NAMED.items()},
    "query.groupId": "groupId",
    "query.userId": "userId",
    "body.groupId": "groupId",
    "body.envelopes[*].deviceId": "deviceId",
}
NO_ROUTE = Reply(404, {"Content-Type": "application/problem+json"}, '{"code": "route_not_found"}')

# Rules that belong to a body as a whole, to the present state, or to what a text means. A schema
# cannot say them, so what keeps to the schema may be answered 422 in these words.
BEYOND_A_SCHEMA = (
    "groupId and tid are a phone's",
    "keyPackage and keyVersion go together",
    "a keyPackage is made for a code, which goes with it",
    "an invite with a keyPackage lives 168 hours at most",
    "should be 16 to 32 of the letters and digits that codes are made of",
    "should name each device once",
    "should be visible text",
    # Of a text that was blank.
    "should have 1 or more characters",
    # To a schema 1.0 is one.
    "should be a whole number",
    "should be a UUID of version 7",
    "should be in the years 1 to 9999 of UTC",
    # The contract says contentEncoding, which tells a generator nothing of the characters.
    "should be base64url",
    "characters of base64url), and is",
)


@pytest.fixture
def caller(session: Session, url: str, tmp_path: Path) -> Iterator["Gateway"]:
    """What stands between the tool and the service."""
    with edge.serving(url, tmp_path / "log") as serving:
        yield Gateway(serving, session)


@pytest.mark.parametrize(
    ("who", "examples"),
    [
        ("admin", FEW),
        *(
            pytest.param(who, 100, marks=pytest.mark.full)
            for who in ("admin", "member", "pending", "stranger")
        ),
    ],
)
def test_every_answer_is_one_that_the_contract_promises(
    caller: "Gateway",
    who: str,
    examples: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caller.who = who
    monkeypatch.setattr(WSGI_TRANSPORT, "send", through(caller, WSGI_TRANSPORT.send))
    schema = read_contract(caller, examples)

    seen = list(from_schema(schema).execute())

    with capsys.disabled():
        print(f"\n{who}: {caller.count} requests, {dict(caller.statuses)}")  # noqa: T201
    assert [str(event.info) for event in seen if isinstance(event, events.NonFatalError)] == []
    found = failures(seen)
    assert not found, "\n\n".join(found)
    phases = {event.phase.name for event in seen if isinstance(event, events.PhaseFinished)}
    assert phases >= {PhaseName.EXAMPLES, PhaseName.FUZZING, PhaseName.STATEFUL_TESTING}
    assert {200, 201, 204, 401, 404, 422} <= caller.statuses.keys()
    if examples > FEW:
        assert PhaseName.COVERAGE in phases
        assert {405, 409, 415} <= caller.statuses.keys()


class Gateway:
    """API Gateway as a WSGI application, for a caller whose things exist whenever they are named.

    The tool knows callers and things by names that stay: what they stand for is made again when
    the tool has deleted it.
    """

    def __init__(self, serving: Edge, session: Session) -> None:
        self.who = "admin"
        self.is_spoilt = False
        self.made: set[str] = set()
        self.gone: set[str] = set()
        """What was left, or made for somebody who has been made again since."""
        self.statuses = Counter[int]()
        self._serving = serving
        self._session = session
        self._scene = edge.family(session)

    @property
    def count(self) -> int:
        """How many requests have been answered."""
        return self.statuses.total()

    def begin_anew(self) -> None:
        """Make again what was deleted."""
        self._scene = edge.family(self._session)
        self.is_spoilt = False
        self.gone |= self.made
        self.made.clear()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Serve a request."""
        body = environ["wsgi.input"].read()
        reply = self._answer(environ, body)
        if reply.status == 401 and STAND_IN in environ.get("HTTP_AUTHORIZATION", ""):
            self.begin_anew()
            reply = self._answer(environ, body)
        if reply.status < 300 and is_an_end(environ):
            self.is_spoilt = True
            self.gone |= {id_ for id_ in self.made if id_ in environ["PATH_INFO"]}
        if reply.status == 201 and "id" in reply.json:
            self.made.add(reply.json["id"])
        self.statuses[reply.status] += 1
        start(f"{reply.status} -", list(reply.headers.items()))
        return [reply.text.encode()]

    def _answer(self, environ: dict[str, Any], body: bytes) -> Reply:
        headers = {
            name.removeprefix("HTTP_").replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name == "CONTENT_TYPE"
        }
        method, path = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        target = f"{path}?{environ['QUERY_STRING']}"
        try:
            event = edge.event(self._scene, method, target, headers, body)
        except ValueError:
            return NO_ROUTE
        reply = self._serving.answer(event)
        edge.check(self._serving, method, path, reply)
        return reply


def is_an_end(environ: dict[str, Any]) -> bool:
    """Whether this request takes something or somebody away."""
    ways_out = ("/leave", "/logout", "/keys")
    path = str(environ["PATH_INFO"])
    return environ["REQUEST_METHOD"] == "DELETE" or path.endswith(ways_out)


def read_contract(caller: Gateway, examples: int) -> BaseSchema:
    """Read the document that is served, and say how it is to be tried."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "base-url": "http://localhost",
            "headers": {"Authorization": f"{STAND_IN} Bearer {caller.who}"},
            "operations": [
                {"include-path": path, "headers": {"Authorization": f"{STAND_IN} Basic phone"}}
                for path in PHONE_ROUTES
            ],
            "generation": {"max-examples": examples, "database": "none"},
            "phases": {
                "coverage": {
                    "enabled": examples > FEW,
                    "generate-duplicate-query-parameters": True,
                }
            },
            "dictionaries": {name: {"values": stand_ins} for name, stand_ins in STAND_INS.items()},
            "parameters": {
                place: {"dictionary": name, "probability": 0.7} for place, name in NAMED.items()
            },
        }
    )
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", caller, config=config)

    def filter_failure(_: Any, failure: Failure, case: Case[Any], response: Response) -> bool:
        return is_a_failure(caller, failure, case, response)

    schema.hook("filter_failure")(filter_failure)
    return schema


def is_a_failure(caller: Gateway, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether a check is right about what it found: each exception has its reason."""
    code, detail = told(response)
    if isinstance(failure, EnsureResourceAvailability):
        return not any(id_ in case.formatted_path for id_ in caller.gone)
    if code == "route_not_found":
        return False  # API Gateway's answer to a path of another shape, and no operation's
    if isinstance(failure, RejectedPositiveData):
        if code == "invalid_request":
            return not any(rule in detail for rule in BEYOND_A_SCHEMA)
        # Other codes are of the present state; and no schema keeps NUL out of every text.
        return code == "malformed_body" and "\\u0000" not in json.dumps(case.body)
    if isinstance(failure, AcceptedNegativeData):
        # Whatever a phone sends is read: a refusal would block its queue. And each point of a batch
        # is judged on its own, in a 200.
        return case.path not in PHONE_ROUTES and not is_a_batch(case.body)
    return True


def is_a_batch(body: Any) -> bool:
    """Whether a body has points that are each judged on their own."""
    return isinstance(body, dict) and isinstance(body.get("locations"), list)


def told(response: Response) -> tuple[str, str]:
    """Return the code and the detail of a problem."""
    problem = json.loads(response.content or b"{}") if response.status_code >= 400 else {}
    return problem.get("code", ""), problem.get("detail", "")


def failures(seen: Iterable[events.EngineEvent]) -> list[str]:
    """Return what the checks found, a text for each."""
    return [
        f"{check.name}: {check.failure_info.failure.message}\n{check.failure_info.code_sample}"
        for event in seen
        if isinstance(event, events.ScenarioFinished)
        for check in chain.from_iterable(event.recorder.checks.values())
        if check.failure_info is not None
    ]


def through(caller: Gateway, send: Callable[..., Response]) -> Callable[..., Response]:
    """Send what schemathesis sends, each to a family that is whole."""

    def sent(case: Case[Any], **options: Any) -> Response:
        # Only a sequence is to meet what it has deleted.
        if caller.is_spoilt and case.meta and case.meta.phase.name != TestPhase.STATEFUL:
            caller.begin_anew()
        # What only sockets have: the check that leaves credentials out passes it to applications.
        for name in ("max_redirects", "verify", "cert"):
            options.pop(name, None)
        return send(case, **options)

    return sent
