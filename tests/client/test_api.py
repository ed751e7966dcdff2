"""HTTP with a service that is away, busy, broken or ill-disposed."""

import gzip
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest

from draugar.cli.failures import told
from draugar.errors import (
    AddressNotSafe,
    AnswerNotUnderstood,
    AskedTooOften,
    Failure,
    InviteNotValid,
    NotAMember,
    NotConfirmed,
    Refused,
    ServiceAway,
    ServiceBusy,
    SignedOut,
    SurplusDevices,
    VersionConflict,
)
from draugar.protocol.address import service_url
from draugar.protocol.json import to_base64url
from draugar.protocol.secrets import Token
from draugar.protocol.statements import Browsers, Device, DeviceKind
from draugar.service import transport
from draugar.service.api import Api
from draugar.service.transport import Transport
from draugar.service.unreachable import (
    CertificateNotTrusted,
    CertificateOfAnother,
    CertificateOutOfDate,
    NoSuchHost,
    NoTls,
)
from draugar.trust.values import Listed, SealedCard, UnsignedEntry, Vouch
from draugar.usecases import listing as mapped
from tests.certificates import make_certificates
from tests.client.family import Family
from tests.client.saying import failing
from tests.laptop.runs import HANGS_AFTER
from tests.servers import free_port

GROUP, USER, DEVICE, POINT = (UUID(int=number) for number in range(1, 5))
MOMENT = "2026-01-02T03:04:05.678901+00:00"
TOKEN = "draugar_0123456789abcdef"
KEYS: dict[str, Any] = {
    "keyVersion": 1,
    "rotationRequired": False,
    "confirmed": True,
    "versions": [{"keyVersion": 1, "commitment": "A" * 43}],
    "envelopes": [
        {
            "keyVersion": 1,
            "wrappedKey": "A" * 96,
            "wrapperPublicKey": "A" * 43,
            "wrapperDeviceId": str(DEVICE),
        }
    ],
    "rosterEntries": [],
}
VOUCH = {"deviceId": str(DEVICE), "entry": "A" * 100, "voucherDeviceId": str(POINT)}
SEALED_POINT = {
    "id": str(POINT),
    "groupId": str(GROUP),
    "userId": str(USER),
    "deviceId": str(DEVICE),
    "recordedAt": MOMENT,
    "receivedAt": MOMENT,
    "encryptedData": "A" * 100,
    "keyVersion": 1,
}


@dataclass
class Script:
    """A service that answers what it is told to, and keeps what it was asked."""

    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    hung: list[bytes] = field(default_factory=list)
    """Pieces of endless answers that the client still read when this counted as a hang."""

    def says(self, body: Any, status: int = 200, **headers: str) -> None:
        """Answer JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | named).items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(content)

        self.answers.append(answer)

    def refuses(self, status: int, code: str, detail: str = "No.", **headers: str) -> None:
        """Answer a problem document."""
        self.says({"code": code, "status": status, "detail": detail}, status, **headers)

    def hangs_up(self) -> None:
        """Close the connection without an answer."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)

        self.answers.append(answer)

    def drips(self, piece: bytes, pause: float, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        """Answer without end, until the client hangs up. If it does not, the test fails."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(head)
            request.close_connection = True
            deadline = time.monotonic() + HANGS_AFTER
            while time.monotonic() < deadline:
                request.wfile.write(piece)
                time.sleep(pause)
            self.hung.append(piece)

        self.answers.append(answer)


@contextmanager
def listening(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Script]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            script.asked.append((self.command, self.path, dict(self.headers), content))
            script.answers.pop(0)(self)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert script.hung == [], "the client did not hang up"


@pytest.fixture
def script() -> Iterator[Script]:
    with listening(Script()) as script:
        yield script


@pytest.fixture
def api(script: Script) -> Iterator[Api]:
    with Transport(script.url, patience=timedelta(seconds=5)) as way:
        way.token = Token(TOKEN.encode())
        yield Api(way)


@pytest.fixture
def impatient(script: Script) -> Iterator[Api]:
    with Transport(script.url, patience=timedelta()) as way:
        way.token = Token(TOKEN.encode())
        yield Api(way)


# Where it goes


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Draugar.Example/", "https://draugar.example"),
        ("https://draugar.example:8443/Family", "https://draugar.example:8443/Family"),
        (" http://127.0.0.1:8000 ", "http://127.0.0.1:8000"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("HTTPS://[2001:db8::1]", "https://[2001:db8::1]"),
        ('"https://draugar.example"', "https://draugar.example"),
        ("<https://draugar.example/>", "https://draugar.example"),
        ("https://draugar.example/v1.", "https://draugar.example/v1"),
        ("\ufeffhttps://draugar.example\u200b", "https://draugar.example"),
        ("https://drau\ngar.example", "https://draugar.example"),
        ("https://my\u2011family.example", "https://my-family.example"),
        ("The service: https://draugar.example", "https://draugar.example"),
        ("\u201chttps://[2001:db8::1]\u201d", "https://[2001:db8::1]"),
        ("(https://[2001:db8::1])", "https://[2001:db8::1]"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("http://127.0.0.1:8000/api/docs", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/api/docs/", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/api/docs#/Auth", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/api/docs/errors.md?x=1#gone", "http://127.0.0.1:8000"),
        ("<http://[::1]:8000/api/docs>", "http://[::1]:8000"),
        ("Look: https://draugar.example/api/health/ready.", "https://draugar.example"),
        ("https://draugar.example/v1/api/openapi.json", "https://draugar.example/v1"),
        ("https://draugar.example/api/api/docs", "https://draugar.example/api"),
        ("https://draugar.example/api", "https://draugar.example/api"),
        ("https://draugar.example/api/docs/ours", "https://draugar.example/api/docs/ours"),
        ("https://draugar.example/api/family", "https://draugar.example/api/family"),
    ],
)
def test_an_address_has_one_form(text: str, url: str) -> None:
    assert service_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://draugar.example",
        "http://127.0.0.1.draugar.example",
        "http://una@127.0.0.1",
        "http://draugar.example@127.0.0.1",
        "http://127.0.0.1@draugar.example",
        "ftp://127.0.0.1",
        "draugar.example",
        "https://",
        "https://draugar.example?x=1",
        "https://draugar.example/#x",
        "https://draugar.example/v1?x=/api/docs",
        "https://draugar.example:0",
        "https://draugar.example:99999",
        "https://draugar example",
        "https://[::1",
        "https://xn--evil",
        "https://[::1]evil.example",
        f"https://{64 * 'a'}.example",
        "https://" + ".".join(5 * [60 * "a"]),
        "https://..",
        "https://a..example",
        "https://a-.example",
        "https://1.2.3.999",
        "https://0x7f.1",
        "https://[1:2]",
        "https://draugar.example/../v1",
        "",
    ],
)
def test_an_address_that_is_not_safe_is_refused(text: str) -> None:
    with pytest.raises(AddressNotSafe):
        service_url(text)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Let this machine trust an authority as well."""

    def trust(authority: Path) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        transport._certificates.cache_clear()

    yield trust
    transport._certificates.cache_clear()


@pytest.mark.parametrize(
    ("is_trusted", "made", "failure"),
    [
        (False, {}, CertificateNotTrusted),
        (True, {"host": "elsewhere.example"}, CertificateOfAnother),
        (True, {"life": timedelta(minutes=-1)}, CertificateOutOfDate),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused_at_once_and_told_by_its_fault(
    tmp_path: Path,
    trusting: Callable[[Path], None],
    made: dict[str, Any],
    failure: type[ServiceAway],
    *,
    is_trusted: bool,
) -> None:
    certificates = make_certificates(tmp_path, **made)
    if is_trusted:
        trusting(certificates.authority)

    with listening(Script(), certificates.server_context()) as script:
        url = script.url.replace("http://127.0.0.1", "https://localhost")
        # However long it would wait for one that is away.
        with Transport(url, patience=timedelta(days=1)) as way, pytest.raises(failure) as caught:
            way.call("POST", "/groups", {})

    assert script.asked == []
    assert caught.value.may_be_done is False
    assert "nothing was sent" in told(caught.value).reason


def test_a_certificate_of_an_authority_that_is_trusted_is_taken(
    tmp_path: Path, trusting: Callable[[Path], None]
) -> None:
    certificates = make_certificates(tmp_path)
    trusting(certificates.authority)

    with listening(Script(), certificates.server_context()) as script:
        script.says({"groups": []})
        url = script.url.replace("http://127.0.0.1", "https://localhost")
        with Transport(url, patience=timedelta()) as way:
            assert Api(way).groups() == []


def test_a_server_without_tls_a_name_without_a_server_and_silence_are_told_apart(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    reasons = {}
    for url, failure in {
        script.url.replace("http://", "https://"): NoTls,
        "https://draugar.invalid": NoSuchHost,
        f"http://127.0.0.1:{free_port()}": ServiceAway,
    }.items():
        with Transport(url, patience=timedelta()) as way, pytest.raises(ServiceAway) as caught:
            way.call("GET", "/groups")
        assert type(caught.value) is failure
        reasons[failure] = told(caught.value).reason

    assert len({*reasons.values()}) == 3
    assert script.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(script: Script, api: Api, status: int) -> None:
    script.says({}, status, Location=f"{script.url}/elsewhere")

    with pytest.raises(AnswerNotUnderstood):
        api.groups()

    assert len(script.asked) == 1


def test_the_token_goes_in_its_header_and_nowhere_else(script: Script, api: Api) -> None:
    script.says({"groups": []})

    api.groups()

    ((method, path, headers, content),) = script.asked
    assert (method, path.split("?")[0]) == ("GET", "/api/groups")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in f"{path}{content!r}"


# Busy and away


def test_who_does_not_listen_is_away() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with Transport(url, patience=timedelta()) as way, pytest.raises(ServiceAway):
        way.call("GET", "/groups")


def test_a_connection_that_breaks_is_tried_again(script: Script, api: Api) -> None:
    script.hangs_up()
    script.hangs_up()
    script.says({"groups": []})

    assert api.groups() == []
    assert len(script.asked) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_who_is_busy_is_asked_again(script: Script, api: Api, status: int) -> None:
    script.refuses(status, "temporarily_unavailable")
    script.says({"groups": []})

    assert api.groups() == []


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client makes, on a clock that stands still beside them."""
    pauses: list[float] = []
    monkeypatch.setattr("draugar.service.transport.time.sleep", pauses.append)
    monkeypatch.setattr("draugar.service.transport.time.monotonic", lambda: sum(pauses))
    return pauses


def test_the_pause_that_is_asked_for_is_kept(script: Script, api: Api, pauses: list[float]) -> None:
    script.refuses(503, "temporarily_unavailable", Retry_After="1")
    script.says({"groups": []})

    api.groups()

    assert pauses == [1]


def test_a_pause_longer_than_ones_patience_is_told_at_once(
    script: Script, api: Api, pauses: list[float]
) -> None:
    script.refuses(429, "too_many_requests", Retry_After="999999")

    with pytest.raises(ServiceBusy):
        api.groups()

    assert pauses == []


def test_the_pause_grows_and_ends(script: Script, api: Api, pauses: list[float]) -> None:
    for _ in range(20):
        script.refuses(503, "temporarily_unavailable")

    with pytest.raises(ServiceBusy):
        api.groups()

    assert sum(pauses) <= 5
    assert pauses == sorted(pauses)
    assert pauses[-1] > 3 * pauses[0]


def test_what_would_be_done_twice_is_not_sent_again(script: Script, api: Api) -> None:
    script.hangs_up()

    with pytest.raises(ServiceAway):
        api.found_group("Hearth", "required")

    assert len(script.asked) == 1


def test_what_was_refused_for_haste_is_sent_again_even_so(script: Script, api: Api) -> None:
    script.refuses(429, "too_many_requests", Retry_After="0")
    script.says({}, 500)

    with pytest.raises(ServiceAway):
        api.found_group("Hearth", "required")

    assert len(script.asked) == 2


# What comes back


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (401, "unauthenticated", SignedOut),
        (401, "something_new", SignedOut),
        (403, "not_confirmed", NotConfirmed),
        (403, "not_an_admin", Refused),
        (404, "group_not_found", NotAMember),
        (404, "invite_not_valid", InviteNotValid),
        (409, "key_version_conflict", VersionConflict),
        (422, "something_new", Refused),
    ],
)
def test_a_problem_is_a_failure_with_its_code(
    script: Script, api: Api, status: int, code: str, failure: type[Refused]
) -> None:
    script.refuses(status, code, detail="Una is at 64.1466")

    with pytest.raises(failure) as refused:
        api.groups()

    assert (refused.value.status, refused.value.code) == (status, code)
    assert type(refused.value) is failure
    assert "Una" not in f"{refused.value} {refused.value!r}"


def test_surplus_devices_are_named(script: Script, api: Api) -> None:
    script.refuses(422, "surplus_devices", detail=f"envelopes: not for: {DEVICE}, {USER}")

    with pytest.raises(SurplusDevices) as refused:
        api.groups()

    assert refused.value.device_ids == {DEVICE, USER}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"groups": []',
        b'{"groups": [], "groups": []}',
        b'{"groups": NaN}',
        b'{"groups": ' + b"[" * 200_000,
        b'{"groups": [[]]}',
        b'{"groups": [' + b"9" * 10_000 + b"]}",
        b'{"groups": {}}',
        b"<html>",
        json.dumps({"groups": [{}] * 20_001}).encode(),
    ],
)
def test_what_is_no_answer_is_one_failure(script: Script, api: Api, body: bytes) -> None:
    script.says(body)

    with pytest.raises(AnswerNotUnderstood):
        api.groups()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"x",
        b'{"code": 1}',
        b'{"code": "a\\u001b[2J"}',
        b'{"code": "' + b"x" * 99,
    ],
)
def test_a_problem_that_is_none_is_one_failure(script: Script, api: Api, body: bytes) -> None:
    script.says(body, 400)

    with pytest.raises(AnswerNotUnderstood):
        api.groups()


@pytest.mark.parametrize("status", [304, 306, 600])
def test_an_unheard_of_status_is_not_understood(
    script: Script, impatient: Api, status: int
) -> None:
    script.says(b"", status)

    with pytest.raises((AnswerNotUnderstood, ServiceAway)):
        impatient.groups()


def test_an_answer_that_is_too_large_is_not_read_to_its_end(script: Script, api: Api) -> None:
    script.drips(b" " * 1024 * 1024, 0)

    with pytest.raises(AnswerNotUnderstood):
        api.groups()


def test_an_answer_that_does_not_end_is_not_waited_for(
    script: Script, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.says({"groups": []})
    script.drips(b" ", 0.05)
    api.groups()  # from here on there is a connection to hang up on
    monkeypatch.setattr(transport, "_SLOWEST_ANSWER", 0.3)

    with pytest.raises(ServiceAway):
        api.groups()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Many: x\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nX-Early: x\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["a long header", "many headers", "answers ahead of the answer", "pieces"],
)
def test_whatever_of_an_answer_does_not_end_is_not_waited_for(
    script: Script, api: Api, monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    script.says({"groups": []})
    script.drips(piece, 0.05, head)
    script.says({"groups": []})
    api.groups()  # from here on there is a connection to hang up on

    with monkeypatch.context() as patch:
        patch.setattr(transport, "_SLOWEST_ANSWER", 0.3)
        with pytest.raises(ServiceAway):
            api.groups()

    assert api.groups() == []


def test_an_answer_that_was_packed_unasked_is_not_unpacked(script: Script, api: Api) -> None:
    script.says(gzip.compress(b'{"groups": []}'), Content_Encoding="gzip")

    with pytest.raises(AnswerNotUnderstood):
        api.groups()


def test_keys_are_read(script: Script, api: Api) -> None:
    script.says(KEYS)

    keys = api.keys(GROUP)

    assert keys.key_version == 1
    assert keys.listed[0].commitment == bytes(32)
    assert keys.envelopes[0].wrapped_key == bytes(72)


def test_bytes_are_read_in_standard_base64_too(script: Script, api: Api) -> None:
    versions = [{"keyVersion": 1, "commitment": "+/" * 21 + "8="}]
    script.says(KEYS | {"versions": versions})

    assert api.keys(GROUP).listed[0].commitment[:3] == b"\xfb\xff\xbf"


@pytest.mark.parametrize(
    "change",
    [
        {"keyVersion": -1},
        {"keyVersion": True},
        {"keyVersion": 1.0},
        {"keyVersion": "1"},
        {"keyVersion": 2**31 - 1},
        {"rotationRequired": 0},
        {"rotationRequired": None},
        {"versions": None},
        {"versions": [{"keyVersion": 0, "commitment": "A" * 43}]},
        {"versions": [{"keyVersion": 1, "commitment": "A" * 42}]},
        {"versions": [{"keyVersion": 1, "commitment": "A" * 42 + "B"}]},
        {"versions": [{"keyVersion": 1, "commitment": "A" * 42 + "é"}]},
        {"versions": [{"keyVersion": 1, "commitment": 43}]},
        {"envelopes": [{**KEYS["envelopes"][0], "wrappedKey": "A" * 100}]},
        {"envelopes": [{**KEYS["envelopes"][0], "wrapperDeviceId": "x"}]},
        {"envelopes": [[]]},
        {"browsers": "some"},
        {"browsers": True},
        {"versions": [{**KEYS["versions"][0], "statement": "A" * 54}]},
        {"versions": [{**KEYS["versions"][0], "statement": "A" * 76_460}]},
        {"versions": KEYS["versions"] * 2},
        {"envelopes": [{**KEYS["envelopes"][0], "former": "A" * 343}]},
        {"vouches": [VOUCH] * 601},
        {"vouches": [{**VOUCH, "entry": "A" * 1_026}]},
        {"vouches": [{**VOUCH, "deviceId": None}]},
        {"vouches": [{**VOUCH, "voucherDeviceId": "x"}]},
        {"nextBefore": 1},
        {"nextBefore": True},
        {"nextBefore": 2},
        {"rosterEntries": [{"keyVersion": 1, "rosterEntry": "A" * 40_000}]},
    ],
)
def test_keys_of_a_wrong_shape_are_one_failure(
    script: Script, api: Api, change: dict[str, Any]
) -> None:
    script.says(KEYS | change)

    with pytest.raises(AnswerNotUnderstood):
        api.keys(GROUP)


def page(*versions: int, **more: Any) -> dict[str, Any]:
    """Return a page of keys; the present version is 250."""
    listed = [{"keyVersion": version, "commitment": "A" * 43} for version in versions]
    envelopes = [KEYS["envelopes"][0] | {"keyVersion": version} for version in versions]
    common = {"keyVersion": 250, "browsers": "refused", "envelopes": envelopes}
    return KEYS | common | {"versions": listed} | more


def test_keys_are_asked_for_in_form_2_page_by_page(script: Script, api: Api) -> None:
    script.says(page(*range(151, 251), vouches=[VOUCH], nextBefore=151))
    script.says(page(*range(51, 151), vouches=[], nextBefore=51))
    script.says(page(*range(1, 51), vouches=[]))

    keys = api.keys(GROUP)

    path = f"/api/groups/{GROUP}/keys?form=2"
    assert [path for _, path, _, _ in script.asked] == [
        path,
        f"{path}&before=151",
        f"{path}&before=51",
    ]
    assert [version.key_version for version in keys.listed] == [*range(1, 251)]
    assert [envelope.key_version for envelope in keys.envelopes] == [*range(1, 251)]
    assert len(keys.vouches) == 1
    assert keys.next_before is None


def test_pages_that_do_not_end_are_not_all_asked_for(script: Script, api: Api) -> None:
    script.says(page(250, nextBefore=250))
    for version in range(249, 150, -1):
        script.says(page(version, nextBefore=version))

    keys = api.keys(GROUP)

    assert len(script.asked) == 50
    assert keys.next_before == keys.listed[0].key_version == 201


@pytest.mark.parametrize(
    "second",
    [
        page(151),
        page(250),
        page(150, nextBefore=151),
        page(nextBefore=151),
        page(envelopes=[KEYS["envelopes"][0] | {"keyVersion": 151}]),
        page(rosterEntries=[{"keyVersion": 151, "rosterEntry": "A" * 100}]),
    ],
)
def test_a_page_of_other_versions_than_were_asked_for_is_not_understood(
    script: Script, api: Api, second: dict[str, Any]
) -> None:
    script.says(page(151, nextBefore=151))
    script.says(second)

    with pytest.raises(AnswerNotUnderstood):
        api.keys(GROUP)


def test_versions_below_one_are_asked_for(script: Script, api: Api) -> None:
    script.says(page(1))
    script.says(page(2))

    api.keys(GROUP, 2)
    with pytest.raises(AnswerNotUnderstood):
        api.keys(GROUP, before=2)

    assert {path.partition("&")[2] for _, path, _, _ in script.asked} == {"before=2"}


def test_a_service_of_form_1_is_known_by_its_answers(script: Script, api: Api) -> None:
    device = {"id": str(DEVICE), "publicKey": "A" * 43, "confirmed": True}
    group = {"groupId": str(GROUP), "role": "member", "joinedAt": MOMENT, "devices": [device]}
    script.says(KEYS)
    script.says({"users": [{"id": str(USER), "name": "Una", "groups": [group]}]})

    keys, (person,) = api.keys(GROUP), api.people(GROUP)

    assert mapped.keys(keys).form == 1
    assert mapped.keys(keys).browsers is Browsers.ACCEPTED
    assert person.devices[0].kind is DeviceKind.APP
    assert person.devices[0].card is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": "not-a-uuid"},
        {"groupId": None},
        {"recordedAt": "yesterday"},
        {"recordedAt": "2026-13-01T00:00:00Z"},
        {"recordedAt": "2026-01-02T03:04:05"},
        {"recordedAt": "0001-01-01T00:00:00+23:59"},
        {"recordedAt": 1},
        {"encryptedData": "A"},
        {"encryptedData": "A" * 40_000},
        {"encryptedData": None},
        {"encryptedData": None, "latitude": 91, "longitude": 0, "accuracy": 1},
        {"encryptedData": None, "latitude": True, "longitude": 0, "accuracy": 1},
        {"encryptedData": None, "latitude": "1", "longitude": 0, "accuracy": 1},
        {"keyVersion": 0},
    ],
)
def test_a_point_of_a_wrong_shape_is_one_failure(
    script: Script, api: Api, change: dict[str, Any]
) -> None:
    script.says({"locations": [SEALED_POINT | change]})

    with pytest.raises(AnswerNotUnderstood):
        api.latest(GROUP)


@pytest.mark.parametrize(
    "change",
    [
        {"latitude": 64.1, "longitude": -21.9, "accuracy": 1},
        {"latitude": 64.1, "longitude": -21.9, "accuracy": 1, "keyVersion": None},
    ],
)
def test_a_point_in_the_clear_is_read(script: Script, api: Api, change: dict[str, Any]) -> None:
    point = {name: value for name, value in SEALED_POINT.items() if name != "keyVersion"}
    script.says({"locations": [point | {"encryptedData": None} | change]})

    (read,) = api.latest(GROUP)

    assert (read.sealed, read.key_version, read.place) == (None, 0, (64.1, -21.9, 1.0))


@pytest.mark.parametrize(
    "results",
    [
        [],
        [{"id": str(uuid4()), "status": "stored"}],
        [{"id": str(POINT), "status": "lost"}],
        [{"id": str(POINT), "status": "rejected"}],
        [{"id": str(POINT), "status": "stored"}] * 2,
    ],
)
def test_verdicts_are_on_what_was_sent(script: Script, api: Api, results: list[Any]) -> None:
    script.says({"results": results})

    with pytest.raises(AnswerNotUnderstood):
        api.store([{"id": str(POINT)}])


def test_a_device_that_two_people_have_is_nobodys(script: Script, api: Api) -> None:
    device = {"id": str(DEVICE), "publicKey": "A" * 43, "confirmed": True}
    group = {
        "groupId": str(GROUP),
        "role": "member",
        "joinedAt": MOMENT,
        "devices": [device],
    }
    users = [{"id": str(id_), "name": "Una", "groups": [group]} for id_ in (USER, POINT)]
    script.says({"users": users})

    with pytest.raises(AnswerNotUnderstood):
        api.people(GROUP)


SEALED = "A" * 100
GROUP_ANSWER = {
    "id": str(GROUP),
    "name": "Hearth",
    "role": "admin",
    "encryption": "required",
    "keyVersion": 1,
    "rotationRequired": False,
    "retentionDays": 30,
    "joinedAt": MOMENT,
    "sharing": {"paused": False, "resumesAt": MOMENT},
    "browsers": "refused",
    "keyPackage": SEALED,
}
ANSWERS: dict[str, tuple[dict[str, Any], Callable[[Api], object]]] = {
    "join": (
        {
            "token": TOKEN,
            "user": {"id": str(USER), "name": "Una"},
            "device": {"id": str(DEVICE)},
            "group": {"id": str(GROUP), "name": "Hearth"},
            "keyPackage": SEALED,
            "keyVersion": 1,
        },
        lambda api: api.join({}, idempotency_key="k" * 32),
    ),
    "validate": ({"foundsGroup": True}, lambda api: api.founds_group("7KQMX2HD")),
    "groups": ({"groups": [GROUP_ANSWER]}, lambda api: api.groups()),
    "group": (GROUP_ANSWER, lambda api: api.join_group({})),
    "invite": (
        {"id": str(POINT), "code": "7KQMX2HD", "expiresAt": MOMENT},
        lambda api: api.invite({"code": "7KQMX2HD"}),
    ),
    "invites": (
        {
            "invites": [
                {
                    "id": str(POINT),
                    "groupId": str(GROUP),
                    "createdBy": str(USER),
                    "createdAt": MOMENT,
                    "expiresAt": MOMENT,
                    "usedAt": MOMENT,
                    "usedBy": str(USER),
                    "revokedAt": MOMENT,
                    "forMe": True,
                }
            ]
        },
        lambda api: api.invites(),
    ),
    "keys": (
        {
            **KEYS,
            "browsers": "accepted",
            "versions": [
                {"keyVersion": 1, "commitment": "A" * 43, "roster": SEALED, "statement": SEALED}
            ],
            "envelopes": [{**KEYS["envelopes"][0], "former": SEALED}],
            "vouches": [{"deviceId": str(DEVICE), "entry": SEALED, "voucherDeviceId": str(POINT)}],
            "rosterEntries": [
                {"keyVersion": 1, "rosterEntry": SEALED, "wrapperDeviceId": str(DEVICE)}
            ],
        },
        lambda api: api.keys(GROUP),
    ),
    "rotate": (
        {"keyVersion": 2},
        lambda api: api.rotate(GROUP, expected_version=1, commitment=b"", roster=b"", envelopes={}),
    ),
    "people": (
        {
            "users": [
                {
                    "id": str(USER),
                    "name": "Una",
                    "groups": [
                        {
                            "groupId": str(GROUP),
                            "role": "member",
                            "joinedAt": MOMENT,
                            "devices": [
                                {
                                    "id": str(DEVICE),
                                    "publicKey": "A" * 43,
                                    "confirmed": True,
                                    "joinProof": "A" * 43,
                                    "kind": "web",
                                    "card": {"sealed": SEALED, "keyVersion": 1},
                                }
                            ],
                            "phones": [{"id": str(POINT), "tid": "un", "needsSetup": False}],
                        }
                    ],
                }
            ]
        },
        lambda api: api.people(GROUP),
    ),
    "devices": (
        {
            "devices": [
                {
                    "id": str(DEVICE),
                    "name": "Phone",
                    "kind": "owntracks",
                    "createdAt": MOMENT,
                    "lastUsedOn": "2026-01-02",
                    "isThisOne": True,
                    "publicKey": "A" * 43,
                    "groupId": str(GROUP),
                    "tid": "un",
                    "needsSetup": True,
                }
            ]
        },
        lambda api: api.devices(),
    ),
    "phone": (
        {
            "id": str(DEVICE),
            "username": str(DEVICE),
            "name": "Phone",
            "password": TOKEN,
            "tid": "un",
        },
        lambda api: api.renew_phone(DEVICE),
    ),
    "store": (
        {"results": [{"id": str(POINT), "status": "rejected", "code": "out_of_range"}]},
        lambda api: api.store([{"id": str(POINT)}]),
    ),
    "history": (
        {"locations": [SEALED_POINT], "nextCursor": "next"},
        lambda api: api.history({}),
    ),
    "export": (
        {
            "locations": [
                {
                    **{name: SEALED_POINT[name] for name in [*SEALED_POINT][:6]},
                    "latitude": 64.1,
                    "longitude": -21.9,
                    "accuracy": 1,
                }
            ],
            "nextCursor": "next",
        },
        lambda api: api.export(None),
    ),
    "delete": ({"deleted": 1}, lambda api: api.delete_point(GROUP, POINT)),
}
LEFT_OUT = object()
SECRET = "PLACE-OF-UNA"
WRONG = [
    *(LEFT_OUT, None, True, False, 0, -1, 2**31, 2**53 + 1, 10**400, 1e308, 90.1, 1.0),
    *("", "1", SECRET, "A" * 201, "A" * 40_000, "\x1b[2J", "\ud800", "\u202e", MOMENT, str(USER)),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30", "\u0660" * 32),
    *([], [None], [[]], [{}], {}, {SECRET: SECRET}, [SECRET] * 3),
]


def members_of(value: Any, *way: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to each value of a document."""
    if way:
        yield way
    if isinstance(value, dict):
        for name, member in value.items():
            yield from members_of(member, *way, name)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from members_of(item, *way, index)


def changed(document: Any, way: tuple[str | int, ...], value: object) -> Any:
    """Return a document with another value, or none, in one place."""
    copy = json.loads(json.dumps(document))
    place = copy
    for step in way[:-1]:
        place = place[step]
    if value is LEFT_OUT:
        del place[way[-1]]
    else:
        place[way[-1]] = value
    return copy


class Told:
    """What an Api calls in the place of a transport: it reads an answer as a transport does."""

    def __init__(self, answer: object) -> None:
        self.content = json.dumps(answer).encode()

    def call(self, *_: object, **__: object) -> dict[str, Any]:
        return transport._read(200, self.content)


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_the_service_says_is_read_or_is_one_failure(name: str) -> None:
    answer, read = ANSWERS[name]
    read(Api(Told(answer)))  # type: ignore[arg-type]
    shown = []

    for way in members_of(answer):
        for value in WRONG:
            told = Api(Told(changed(answer, way, value)))  # type: ignore[arg-type]
            try:
                read(told)
            except AnswerNotUnderstood as failure:
                context = None if failure.__suppress_context__ else failure.__context__
                shown.append(f"{failure} {failure!r} {failure.__cause__!r} {context!r}")

    assert len(shown) >= 10
    assert not any(SECRET in text for text in shown)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_later_service_adds_is_left_alone(name: str) -> None:
    answer, read = ANSWERS[name]
    ways = [(), *members_of(answer)]
    places = [way for way in ways if isinstance(at_way(answer, way), dict)]

    for way in places:
        more = changed(answer, (*way, "addedLater"), {"\ud800": [2**70, "\x1b[2J"]})
        if name != "export":  # which hands all of it on
            assert read(Api(Told(more))) == read(Api(Told(answer)))  # type: ignore[arg-type]


def at_way(document: Any, way: tuple[str | int, ...]) -> Any:
    """Return what is in one place of a document."""
    for step in way:
        document = document[step]
    return document


def test_members_that_need_not_be_there_may_be_null(script: Script, api: Api) -> None:
    answer, _ = ANSWERS["people"]
    for phones in (None, LEFT_OUT):
        script.says(changed(answer, ("users", 0, "groups", 0, "phones"), phones))

        (person,) = api.people(GROUP)

        assert person.phones == []


def test_a_name_moves_no_cursor_and_shuts_nobody_out(script: Script, api: Api) -> None:
    group = {"groupId": str(GROUP), "role": "member", "joinedAt": MOMENT, "devices": []}
    name = "\x1b[2JUna\u202e\ud800 👩‍👧"
    script.says({"users": [{"id": str(USER), "name": name, "groups": [group]}]})

    (person,) = api.people(GROUP)

    assert person.name == "\ufffd[2JUna\ufffd\ufffd 👩‍👧"


@pytest.mark.parametrize("token", ["short", "a" * 201, "draugar_\r\nX-Evil: 1234567890", 7, None])
def test_a_token_that_is_none_is_not_taken(script: Script, api: Api, token: object) -> None:
    joined = {
        "token": token,
        "user": {"id": str(USER), "name": "Una"},
        "device": {"id": str(DEVICE)},
        "group": {"id": str(GROUP), "name": "Hearth"},
    }
    script.says(joined, 201)

    with pytest.raises(AnswerNotUnderstood) as failure:
        api.join({}, idempotency_key="k" * 32)

    assert "Evil" not in f"{failure.value!r} {failure.value.__cause__!r}"


def test_no_failure_holds_the_token_or_what_was_sent(script: Script, impatient: Api) -> None:
    ways: list[Callable[[], None]] = [
        script.hangs_up,
        lambda: script.says(b"x"),
        lambda: script.refuses(400, "malformed_body", detail=TOKEN),
        lambda: script.refuses(503, "temporarily_unavailable"),
    ]
    for way in ways:
        way()
        with pytest.raises(Failure) as failure:
            impatient.rename("SECRET-NAME") if way is ways[0] else impatient.groups()
        error: BaseException | None = failure.value
        while error is not None:
            shown = f"{error} {error!r} {vars(error)}"
            assert TOKEN not in shown
            assert "SECRET-NAME" not in shown
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_name_that_has_no_utf_8_is_the_services_to_refuse(script: Script, api: Api) -> None:
    script.refuses(400, "malformed_body")

    with failing(Refused, "does not understand"):
        api.rename("\ud800")

    ((_, _, headers, body),) = script.asked
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"name": "\ud800"}


def test_every_failure_says_what_to_do_next() -> None:
    def tree(kind: type[Failure]) -> Iterator[type[Failure]]:
        yield kind
        for child in kind.__subclasses__():
            yield from tree(child)

    kinds = [kind for kind in tree(Failure) if not issubclass(kind, (Refused, AskedTooOften))]

    assert len(kinds) > 15
    for kind in kinds:
        assert told(kind()).reason.endswith(".")
        assert re.search("draugar [a-z-]|the same command", told(kind()).next_step), kind


def test_the_drawn_tree_of_failures_is_the_real_one() -> None:
    from draugar import errors  # noqa: PLC0415

    drawn = [
        line.split("──")[1].split()[0]
        for line in (errors.__doc__ or "").splitlines()
        if "── " in line
    ]
    real = [
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Failure) and kind is not Failure
    ]

    assert sorted(drawn) == sorted(real)


# With the real service


def test_what_form_2_gives_is_shown_and_becomes_the_values_of_the_core(family: Family) -> None:
    una = family.found()
    ari = family.confirmed(una, "Ari")
    group_id, version = una.group().id, 2

    made = una._api.rotate(
        group_id,
        expected_version=1,
        commitment=b"c" * 32,
        statement=b"s" * 56 * 1024,
        envelopes={una.device_id: b"w" * 72, ari.device_id: b"a" * 72},
    )
    ari._api.put_envelope(
        group_id, version, una.device_id, wrapped_key=b"x" * 72, former=b"f" * 256
    )
    ari._api.put_vouch(group_id, version, una.device_id, b"v" * 768)
    ari._api.put_card(group_id, version, b"k" * 3072)
    keys = mapped.keys(una._api.keys(group_id))
    listing = mapped.listing(una._api.people(group_id), una._api.invites())

    assert made == version
    assert (keys.form, keys.version, keys.rotation_required) == (2, version, False)
    assert keys.browsers is Browsers.ACCEPTED
    assert [one.version for one in keys.versions] == [1, 2]
    assert keys.versions[0].statement is not None
    assert (keys.versions[1].statement, keys.versions[1].roster) == (b"s" * 56 * 1024, None)
    assert [(one.wrapped, one.wrapper_id, one.former) for one in keys.envelopes[-2:]] == [
        (b"w" * 72, una.device_id, None),
        (b"x" * 72, ari.device_id, b"f" * 256),
    ]
    assert keys.envelopes[-1].wrapper_key == ari._me.device_key.public
    assert keys.vouches == (
        Vouch(about=una.device_id, sealed=b"v" * 768, voucher_id=ari.device_id),
    )
    listed = {one.device.device_id: one for one in listing.devices}
    assert listed.keys() == {una.device_id, ari.device_id}
    assert listed[ari.device_id] == Listed(
        device=Device(ari.user_id, ari.device_id, ari._me.device_key.public, DeviceKind.APP),
        name="Ari",
        confirmed=True,
        card=SealedCard(b"k" * 3072, version),
    )
    assert listed[una.device_id].card is not None  # which Una put when she founded the group
    assert len(listing.used_links) == 1


def test_the_form_1_statements_of_a_version_are_shown_where_it_has_no_other(
    family: Family,
) -> None:
    una = family.found()
    ari = family.confirmed(una, "Ari")
    group_id = una.group().id

    una._api.rotate(
        group_id,
        expected_version=1,
        commitment=b"c" * 32,
        roster=b"r" * 100,
        envelopes={una.device_id: b"w" * 72},
    )
    una._api.put_envelope(
        group_id, 2, ari.device_id, wrapped_key=b"a" * 72, roster_entry=b"e" * 4096
    )
    keys = mapped.keys(una._api.keys(group_id))

    assert (keys.versions[1].statement, keys.versions[1].roster) == (None, b"r" * 100)
    assert keys.unsigned_entries[-1] == UnsignedEntry(
        version=2, sealed=b"e" * 4096, author_id=una.device_id
    )


def test_all_versions_are_shown_however_many_pages_they_are(family: Family) -> None:
    una = family.found()
    group_id = una.group().id
    family.service.query(
        "INSERT INTO group_keys (id, group_id, key_version, commitment)"
        " SELECT gen_random_uuid(), :group_id, version, decode(repeat('ab', 32), 'hex')"
        " FROM generate_series(2, 203) AS version",
        group_id=str(group_id),
    )
    family.service.query(
        "UPDATE groups SET key_version = 203 WHERE id = :group_id", group_id=str(group_id)
    )

    keys, older = una._api.keys(group_id), una._api.keys(group_id, before=3)

    assert [version.key_version for version in keys.listed] == [*range(1, 204)]
    assert [envelope.key_version for envelope in keys.envelopes] == [1]
    assert [version.key_version for version in older.listed] == [1, 2]
    assert keys.next_before is older.next_before is None


def test_a_group_refuses_browsers_and_says_so(family: Family) -> None:
    una = family.found()
    group_id = una.group().id
    invite = una.invite_by_code()
    before = una._api.groups()[0].browsers

    changed = una._api.change_group(group_id, browsers=Browsers.REFUSED)
    body = {"code": invite.code, "name": "Eva", "device": {"kind": "web"}}
    with (
        Transport(family.service.url, patience=timedelta()) as way,
        failing(Refused, "does not accept browsers.*draugar join LINK") as refused,
    ):
        Api(way).join(body, idempotency_key="k" * 32)

    assert (before, changed.browsers) == (Browsers.ACCEPTED, Browsers.REFUSED)
    assert una._api.groups()[0].browsers is Browsers.REFUSED
    assert mapped.keys(una._api.keys(group_id)).browsers is Browsers.REFUSED
    assert refused.value.code == "browsers_refused"
    assert family.join_by_code(invite.code, "Ari").group().id == group_id


def test_a_browser_is_listed_as_one(family: Family) -> None:
    una = family.found()
    group_id = una.group().id
    key = to_base64url(b"k" * 32)
    body = {
        "code": una.invite_by_code().code,
        "name": "Eva",
        "device": {"kind": "web", "publicKey": key},
    }

    with Transport(family.service.url, patience=timedelta()) as way:
        joined = Api(way).join(body, idempotency_key="k" * 32)
        way.token = joined.token
        (own,) = Api(way).devices()

    listed = {one.device for one in mapped.listing(una._api.people(group_id)).devices}
    assert Device(joined.user_id, joined.device_id, b"k" * 32, DeviceKind.WEB) in listed
    assert own.kind == "web"


def test_statements_of_another_version_and_of_strangers_are_refused(family: Family) -> None:
    una = family.found()
    ari = family.join_by_code(una.invite_by_code().code)
    group_id = una.group().id

    with pytest.raises(VersionConflict):
        una._api.put_vouch(group_id, 2, ari.device_id, b"v" * 100)
    with pytest.raises(VersionConflict):
        una._api.put_card(group_id, 2, b"k" * 100)
    with pytest.raises(NotConfirmed):
        ari._api.put_vouch(group_id, 1, una.device_id, b"v" * 100)
    with pytest.raises(NotConfirmed):
        ari._api.put_card(group_id, 1, b"k" * 100)
    with failing(Refused, "draugar people"):
        una._api.put_vouch(group_id, 1, DEVICE, b"v" * 100)
    with pytest.raises(NotAMember):
        una._api.put_card(GROUP, 1, b"k" * 100)
    with pytest.raises(NotAMember):
        una._api.people(GROUP)
