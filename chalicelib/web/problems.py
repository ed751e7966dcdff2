"""Errors as RFC 9457 problem documents, the one shape of everything that is not a success."""

import json

from chalice.app import Response

from chalicelib.errors import Malformed, Problem, Unauthenticated, UnsupportedMedia
from chalicelib.web import request

_REALM = 'Bearer realm="draugar"'
_BASIC = 'Basic realm="draugar", charset="UTF-8"'


class MethodNotAllowed(Problem):
    """The path exists, with other methods."""

    status = 405
    title = "Method not allowed"
    code = "method_not_allowed"
    detail = "This path does not take that method."


class InternalError(Problem):
    """A bug of ours."""

    status = 500
    title = "Internal error"
    code = "internal_error"
    detail = "Something went wrong here. It has been noted."


class UnacceptableRequest(Malformed):
    """Chalice itself refused the request before any route saw it."""

    code = "unacceptable_request"
    detail = "The request cannot be served as it was sent."


def answer(problem: Problem, *, to_phone: bool = False) -> Response:
    """Return the response that tells a problem; a phone signs in another way than an app."""
    headers: dict[str, str | list[str]] = {"Content-Type": "application/problem+json"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == UnsupportedMedia.status:
        headers["Accept-Encoding"] = "identity"
    if isinstance(problem, Unauthenticated):
        # RFC 6750, section 3.1: no error code where no credentials, or others, were sent.
        sent = (request.header("authorization") or "").lower().startswith("bearer ")
        told_app = _REALM + (', error="invalid_token"' if sent else "")
        headers["WWW-Authenticate"] = _BASIC if to_phone else told_app
    told = document(problem, detail=problem.detail, request_id=request.request_id())
    return Response(body=json.dumps(told), headers=headers, status_code=problem.status)


def document(
    problem: Problem | type[Problem], *, detail: str, request_id: str
) -> dict[str, str | int]:
    """Return the members of a problem document.

    `error` repeats `detail` for the first Draugar app, which shows nothing else.
    """
    return {
        "type": f"urn:draugar:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "code": problem.code,
        "requestId": request_id,
        "error": detail,
    }
