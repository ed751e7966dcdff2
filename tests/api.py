"""The API as a client meets it, through Chalice's own test client.

Every answer is compared with the contract on its way.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from chalice.test import Client

from tests import contract

UNSET: Any = object()


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of a problem document, whose shape is checked on the way."""
        problem = self.json
        assert self.headers["Content-Type"] == "application/problem+json"
        assert problem.keys() == {
            "type",
            "title",
            "status",
            "detail",
            "code",
            "requestId",
            "error",
        }
        assert problem["status"] == self.status
        assert problem["error"] == problem["detail"]
        return str(problem["code"])


def _text(body: bytes) -> str:
    """Return a body; the bytes of one that is no text come back by `surrogateescape`."""
    return body.decode(errors="surrogateescape")


class Api:
    """Calls to the app. `token` is a device's; without one nobody is signed in."""

    def __init__(self, token: str | None = None) -> None:
        from app import app  # noqa: PLC0415 -- it reads the settings that fixtures make

        self._client = Client(app, stage_name="local")
        self.token = token

    def as_(self, token: str) -> "Api":
        """The same app, called by somebody."""
        return Api(token)

    def call(
        self,
        method: str,
        path: str,
        body: Any = UNSET,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """Send a request; `body` goes as JSON, `raw` as it is, with `headers` beside or instead."""
        sent = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        content = raw or b""
        if body is not UNSET:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        target = f"{path}?{urlencode(query)}" if query else path
        answer = self._client.http.request(method, target, headers=sent, body=content)
        reply = Reply(answer.status_code, dict(answer.headers), _text(answer.body))
        contract.check(method, target, reply)
        return reply

    def get(self, path: str, **query: Any) -> Reply:
        """Read."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Any = UNSET, **options: Any) -> Reply:
        """Post."""
        return self.call("POST", path, body, **options)

    def put(self, path: str, body: Any = UNSET) -> Reply:
        """Put."""
        return self.call("PUT", path, body)

    def patch(self, path: str, body: Any = UNSET) -> Reply:
        """Patch."""
        return self.call("PATCH", path, body)

    def delete(self, path: str, **query: Any) -> Reply:
        """Delete."""
        return self.call("DELETE", path, query=query)
