"""What stands between Chalice and a route.

`endpoint` calls a route with what its signature asks for, and makes responses of what it returns
or raises. `gateway` is the middleware around everything, so that even what Chalice answers by
itself has our headers and shape.
"""

import functools
import hashlib
import json
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from chalice.app import Chalice, Response, RestAPIEventHandler
from chalice.app import Request as ChaliceRequest

from chalicelib.errors import Problem, UnsupportedMedia
from chalicelib.log import write
from chalicelib.web import log, problems, request
from chalicelib.web.body import BODY_BYTES
from chalicelib.web.contract import Access, Contract
from chalicelib.web.shapes import Answer, to_base64

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
}
left_out: ContextVar[int] = ContextVar("left_out", default=0)
"""How many bytes an answer to HEAD leaves out, for the Content-Length that a server writes."""

_ENTITY_TAG = re.compile('(?:W/)?("[^"]*")')


def endpoint(  # noqa: PLR0913 -- each by its name
    *,
    access: Access,
    because: str | None = None,
    status: int = 200,
    largest_body: int = BODY_BYTES,
    etag: bool = False,
    raises: tuple[type[Problem], ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Make a view of a plain function.

    Its parameters say what it needs: `credential: Credential`, `body:`, `query:` and `headers:`
    of a Request shape, and path parameters as `UUID`. It returns an Answer, or None for 204.
    `etag` answers 304 to whoever holds already what the read would bring. What its use
    case `raises` is said here; what else may be answered, such as to a bad body, follows.
    """

    def decorate(route: Callable[..., Any]) -> Callable[..., Response]:
        contract = Contract.of(
            route,
            access=access,
            because=because,
            status=status,
            largest_body=largest_body,
            etag=etag,
            raises=raises,
        )

        @functools.wraps(route)
        def view(**path: str) -> Response:
            try:
                answer = route(**contract.arguments(path))
                return _success(answer, contract)
            except Problem as problem:
                log.outcome.get().note_problem(problem)
                return problems.answer(problem, to_phone=contract.access is Access.PHONE)
            except Exception as error:  # noqa: BLE001 -- the last place to keep its text inside
                log.outcome.get().note_fault(error)
                return problems.answer(problems.InternalError())

        view.contract = contract  # type: ignore[attr-defined]
        return view

    return decorate


class _EventHandler(RestAPIEventHandler):
    """Chalice's handler of requests, which serves a binary file whatever Accept says.

    Chalice answers 400 there, because API Gateway decodes only what Accept asks for. Ours takes
    every type as binary (.chalice/template.yaml), and decodes always.
    """

    def _validate_binary_response(self, *_: object) -> bool:
        return True


class Application(Chalice):
    """Chalice, and an answer where it cannot even make a request of what it is invoked with."""

    def _register_route(
        self, name: str, user_handler: Any, kwargs: Any, **unused: dict[str, Any]
    ) -> None:
        """Register a route that takes GET for HEAD too (RFC 9110, section 9.1)."""
        options = kwargs["kwargs"]
        if "GET" in options["methods"]:
            options["methods"] = [*options["methods"], "HEAD"]
        super()._register_route(name, user_handler, kwargs, **unused)

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Serve one event of API Gateway's."""
        try:
            # As Chalice does, with our handler.
            self.lambda_context = context
            handlers = self._get_middleware_handlers("http")
            handler = _EventHandler(
                self.routes, self.api, self.log, self.debug, middleware_handlers=handlers
            )
            self.current_request = handler.create_request_object(event, context)
            answered: dict[str, Any] = handler(event, context)
        except (AttributeError, KeyError, TypeError):  # before the middleware, which raises nothing
            answered = _not_a_request().to_dict()
        return answered


def gateway(
    event: ChaliceRequest | None, get_response: Callable[[ChaliceRequest], Response]
) -> Response:
    """Serve one request: the HTTP middleware, registered in app.py."""
    if event is None or not isinstance(event.path, str):
        return _not_a_request()
    started = time.perf_counter()
    request.current.set(event)
    outcome = log.Outcome()
    log.outcome.set(outcome)
    try:
        response = get_response(event)
    except Exception as error:  # noqa: BLE001 -- routes raise nothing, so Chalice cannot read it
        refusal = problems.UnacceptableRequest()
        outcome.code, outcome.cause = refusal.code, type(error).__name__
        response = problems.answer(refusal)
    if isinstance(response.body, dict):
        # Only Chalice's own refusals have a body that is not text yet.
        problem = _refusal(response.status_code)
        outcome.code = problem.code
        allow = response.headers.get("Allow")
        response = problems.answer(problem)
        if allow is not None:
            response.headers["Allow"] = allow
    response.headers = {**HEADERS, **response.headers}
    if event.method == "HEAD":
        left_out.set(len(_bytes(response.body)))
        response.body = type(response.body)()
    log.request(event, response.status_code, time.perf_counter() - started, outcome)
    return response


def _not_a_request() -> Response:
    """Answer whoever invokes the function with something that API Gateway would not send."""
    refusal = problems.UnacceptableRequest()
    told = problems.document(refusal, detail=refusal.detail, request_id="")
    write({"status": refusal.status, "code": refusal.code})
    headers: dict[str, str | list[str]] = {**HEADERS, "Content-Type": "application/problem+json"}
    return Response(body=json.dumps(told), headers=headers, status_code=refusal.status)


def _success(answer: Answer | None, contract: Contract) -> Response:
    if answer is None:
        return Response(body="", status_code=contract.status)
    log.outcome.get().code = answer.noted
    body = answer.body()
    headers: dict[str, str | list[str]] = {**answer.head()}
    if contract.etag:
        tag = f'"{to_base64(hashlib.sha256(_bytes(body)).digest()[:16])}"'
        headers["ETag"] = tag
        if _is_known(tag, (request.header("if-none-match") or "").strip()):
            # Of the body's type: Chalice encodes what is binary, and that has to be bytes.
            return Response(body=type(body)(), headers=headers, status_code=304)
    return Response(body=body, headers=headers, status_code=contract.status)


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _is_known(tag: str, asked: str) -> bool:
    """Whether If-None-Match names the tag, compared weakly (RFC 9110, section 13.1.2)."""
    return asked == "*" or tag in _ENTITY_TAG.findall(asked)


def _refusal(status: int) -> Problem:
    refusals: dict[int, type[Problem]] = {
        400: problems.UnacceptableRequest,
        405: problems.MethodNotAllowed,
        415: UnsupportedMedia,
    }
    return refusals.get(status, problems.InternalError)()
