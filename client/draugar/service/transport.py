"""HTTP, as far as a member's device trusts it.

Certificates are verified, no redirect is followed, an answer has bounds in size and time, and the
token is in no text. Whoever is busy is asked again after a while that grows, or that they named.
"""

import json
import random
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from socket import SHUT_RDWR, socket
from threading import Event, Timer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import httpx

from draugar.errors import (
    AnswerNotUnderstood,
    AskedTooOften,
    InviteNotValid,
    NotAMember,
    NotConfirmed,
    Refused,
    ServiceAway,
    ServiceBroken,
    ServiceBusy,
    SignedOut,
    SurplusDevices,
    TidTaken,
    VersionConflict,
)
from draugar.protocol.address import is_local, service_url
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.json import parse
from draugar.service.responses import Problem
from draugar.service.unreachable import NotThatServer, why

if TYPE_CHECKING:
    from draugar.protocol.secrets import Token

LARGEST_ANSWER = 16 * 1024 * 1024
"""A page of points takes less than 1 MiB; of a former release of the service, less than 4 MiB."""

_SLOWEST_ANSWER = 60.0  # seconds
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_SHORTEST_PAUSE, _FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.3, 8.0  # seconds
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BUSY = {429, 500, 502, 503, 504}
_TOO_MANY, _BROKEN, _UNAVAILABLE = 429, 500, 503
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""What fails before a request is on its way: no name, no connection, no certificate."""

_SUCCESS, _REDIRECT, _ERROR, _SERVER_ERROR = 200, 300, 400, 500


@dataclass(frozen=True)
class _Reply:
    """What came back: no status where nothing did."""

    status: int | None
    asked_pause: float | None = None  # seconds
    content: bytes = field(default=b"", repr=False)
    is_sent: bool = True
    """Whether the request may have arrived."""
    silence: type[ServiceAway] = ServiceAway
    """What it means where no status came back."""

    def failure(self, *, may_be_done: bool) -> ServiceAway:
        """Return the failure that this is, once there is no patience left."""
        if self.status is None:
            return self.silence(may_be_done=may_be_done)
        if self.status == _TOO_MANY:
            wait = self.asked_pause
            asked = None if wait is None else timedelta(seconds=wait)
            return AskedTooOften(asked, may_be_done=may_be_done)
        kind = ServiceBroken if self.status == _BROKEN else ServiceBusy
        return kind(may_be_done=may_be_done)


class Transport:
    """A way to one service. `patience` is how long a busy one is waited for, in all."""

    def __init__(self, url: str, *, patience: timedelta) -> None:
        """Raises AddressNotSafe."""
        self.url = service_url(url)
        self.token: Token | None = None
        self.is_away = False
        """Whether the newest call found no service."""
        self._patience = patience.total_seconds()
        self._client = httpx.Client(
            verify=_certificates(urlsplit(self.url).scheme),
            timeout=_TIMEOUT,
            follow_redirects=False,
            # A proxy has no business between a device and itself.
            trust_env=not is_local(urlsplit(self.url).hostname or ""),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._stream: Any = None

    def call(  # noqa: PLR0913 -- an HTTP request has that many parts
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool = True,
    ) -> dict[str, Any]:
        """Send a request, and once more while the service is busy, if a repeat does no harm.

        Raises ServiceFailure.
        """
        self.is_away = True
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        may_be_done = False
        while True:
            reply = self._send(method, path, body, query=query, headers=headers)
            status = reply.status
            if status is not None and status not in _BUSY:
                self.is_away = False
                return _read(status, reply.content)
            # Reading changes nothing, and what is refused for haste was not begun.
            may_be_done |= method != "GET" and status != _TOO_MANY and reply.is_sent
            wait = pause * random.uniform(0.5, 1)  # noqa: S311 -- so that not all come at once
            if reply.asked_pause is not None:
                wait = max(reply.asked_pause, _SHORTEST_PAUSE)
            is_other = issubclass(reply.silence, NotThatServer)
            is_safe = is_repeatable or not reply.is_sent or status in (_TOO_MANY, _UNAVAILABLE)
            if is_other or not is_safe or time.monotonic() + wait > deadline:
                raise reply.failure(may_be_done=may_be_done)
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> _Reply:
        sent = dict(headers or {})
        content = None
        if body is not None:
            # All in ASCII: a text that has no UTF-8 is the service's to refuse.
            content = json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
            sent["Content-Type"] = "application/json"
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token.value.decode()}"
        try:
            with (
                self._in_time(may_be_done=method != "GET"),
                self._client.stream(
                    method,
                    f"{self.url}/api{path}",
                    params=dict(query or {}),
                    headers=sent,
                    content=content,
                    extensions={"trace": self._note_stream},
                ) as response,
            ):
                return _Reply(response.status_code, _asked_pause(response), _content(response))
        except httpx.HTTPError as error:
            # The library's own error holds the request, and with it the token.
            is_sent = not isinstance(error, _NOT_SENT)
            return _Reply(None, is_sent=is_sent, silence=why(error))

    @contextmanager
    def _in_time(self, *, may_be_done: bool) -> Iterator[None]:
        """Hang up on what takes too long in all: the library bounds each wait for a piece alone.

        Raises ServiceAway.
        """
        is_late = Event()

        def hang_up() -> None:
            is_late.set()
            with suppress(OSError, AttributeError):
                # Not the method of a TLS socket, which would take away what is being read from.
                socket.shutdown(self._stream.get_extra_info("socket"), SHUT_RDWR)

        timer = Timer(_SLOWEST_ANSWER, hang_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if is_late.is_set():
                raise ServiceAway(may_be_done=may_be_done) from None

    def _note_stream(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = info["return_value"]


@cache
def _certificates(scheme: str) -> ssl.SSLContext:
    """Return whom a connection trusts; to read all of them takes a while."""
    if scheme == "https":
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody


def _content(response: httpx.Response) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise AnswerNotUnderstood  # a bomb, perhaps: it was not asked for
    content = bytearray()
    for piece in response.iter_raw():
        content += piece
        if len(content) > LARGEST_ANSWER:
            raise AnswerNotUnderstood
    return bytes(content)


def _asked_pause(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if re.fullmatch("[0-9]{1,6}", text) else None


def _read(status: int, content: bytes) -> dict[str, Any]:
    if _SUCCESS <= status < _REDIRECT:
        return _object(content) if content.strip() not in (b"", b"null") else {}
    if not _ERROR <= status < _SERVER_ERROR:
        raise AnswerNotUnderstood  # a redirect, above all: no client is led elsewhere
    problem = Problem.read(_object(content))
    if problem.code == "surplus_devices":
        raise SurplusDevices({UUID(text) for text in _ID.findall(str(problem.detail))})
    kind = _KINDS.get(problem.code, SignedOut if status == httpx.codes.UNAUTHORIZED else Refused)
    raise kind(status=status, code=problem.code)


def _object(content: bytes) -> dict[str, Any]:
    with suppress(NotAuthentic):
        answer = parse(content)
        if isinstance(answer, dict):
            return answer
    raise AnswerNotUnderstood


_KINDS: dict[str, type[Refused]] = {
    "group_not_found": NotAMember,
    "not_confirmed": NotConfirmed,
    "invite_not_valid": InviteNotValid,
    "key_version_conflict": VersionConflict,
    "tid_taken": TidTaken,
}
