"""A malicious service: a relay before the real one, which lies when it is told to.

    with Relay(service) as relay:
        signy = Client.found(home, url=relay.url, ...)
        with relay.telling(claim_version(1), to=signy.device_id):
            ...

A lie is handed a request and a way to have it answered, and returns an answer: it may change what
goes in and what comes out, or answer by itself. Whatever any client sends is kept.
"""

import json
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from draugar.client import Client
from draugar.protocol.envelopes import unwrap, wrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.rosters import RosterEntry, seal_roster
from draugar.protocol.secrets import DeviceKey, GroupKey
from tests.laptop.runs import HANGS_AFTER

KEYS = "GET /api/groups/ID/keys"
ROTATE = "POST /api/groups/ID/keys"
ENVELOPE = "PUT /api/groups/ID/keys/N/envelopes/ID"
USERS = "GET /api/users"
GROUPS = "GET /api/groups"
LATEST = "GET /api/locations/latest"
HISTORY = "GET /api/locations"
SHARE = "POST /api/locations"
JOIN = "POST /api/auth/join"
JOIN_GROUP = "POST /api/groups/join"
INVITE = "POST /api/invites"
"""Routes, with ID and N for what stands in their path."""

_IDENTIFIER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Request:
    """What a client sends."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    device_id: UUID | None

    @property
    def route(self) -> str:
        """Which route it is for."""
        path = _IDENTIFIER.sub("ID", self.target.partition("?")[0])
        return f"{self.method} {re.sub('/[0-9]+', '/N', path)}"

    @property
    def group_id(self) -> UUID:
        """The first id in its path or query."""
        found = _IDENTIFIER.search(self.target)
        assert found is not None
        return UUID(found[0])

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.content or b"null")

    def saying(self, body: Any) -> "Request":
        """Return it with another body."""
        return replace(self, content=json.dumps(body).encode())


@dataclass(frozen=True)
class Reply:
    """What a client is answered; the content may come in pieces, and need not end."""

    status: int
    content: bytes | Iterable[bytes]
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @property
    def json(self) -> Any:
        """Its body."""
        assert isinstance(self.content, bytes)
        return json.loads(self.content or b"null")

    def saying(self, body: Any) -> "Reply":
        """Return it with another body."""
        return replace(self, content=json.dumps(body).encode())


Forward = Callable[[Request], Reply]
Lie = Callable[[Request, Forward], Reply]


class Relay:
    """A relay to the service at an address, reached by `self.url` while its context lasts."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._lies: list[tuple[Lie, UUID | None]] = []
        self._device_ids: dict[str, UUID] = {}
        self.received: list[Request] = []
        """All that was ever sent by any client, as it was sent."""
        self._mistakes: list[Exception] = []

    def __enter__(self) -> Self:
        self._client = httpx.Client(
            base_url=self._service,
            timeout=HANGS_AFTER,
            trust_env=False,
            # There is no TLS to the service; to read the world's authorities takes long.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.relay = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()
        assert self._mistakes == []

    @contextmanager
    def telling(self, *lies: Lie, to: UUID | None = None) -> Iterator[None]:
        """Tell lies to a device, or to all that speak; the last of them has the last word.

        A changed answer that no client has asked for fails the test, which proves nothing then.
        """
        told = [(lie, to) for lie in lies]
        self._lies += told
        changed = [lie for lie in lies if isinstance(lie, _Changed)]
        for lie in changed:
            lie.was_told = False
        try:
            yield
        finally:
            for one in told:
                self._lies.remove(one)
        assert [lie.routes for lie in changed if not lie.was_told] == []

    def answer(self, request: Request) -> Reply:
        """Answer a request, with the lies that are told just now."""
        try:
            return self._answer(request)
        except Exception as mistake:
            self._mistakes.append(mistake)
            raise

    def _answer(self, request: Request) -> Reply:
        token = request.headers.get("Authorization", "")
        request = replace(request, device_id=self._device_ids.get(token))
        self.received.append(request)
        forward: Forward = self._forward
        for lie, victim in self._lies:
            if victim in (None, request.device_id):
                forward = _told(lie, forward)
        return forward(request)

    def wrapped_keys(self) -> list[bytes]:
        """Return every envelope that any client has sent."""
        wrapped = [
            envelope["wrappedKey"]
            for request in self.received
            if request.route == ROTATE
            for envelope in request.json["envelopes"]
        ]
        wrapped += [
            request.json["wrappedKey"] for request in self.received if request.route == ENVELOPE
        ]
        return [from_base64url(text) for text in wrapped]

    def _forward(self, request: Request) -> Reply:
        answer = self._client.request(
            request.method, request.target, headers=request.headers, content=request.content
        )
        if request.route == JOIN and answer.is_success:
            joined = answer.json()
            self._device_ids[f"Bearer {joined['token']}"] = UUID(joined["device"]["id"])
        kept = ("Content-Type", "Retry-After", "ETag")
        headers = {name: answer.headers[name] for name in kept if name in answer.headers}
        return Reply(answer.status_code, answer.content, headers)


def _told(lie: Lie, forward: Forward) -> Forward:
    return lambda request: lie(request, forward)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    relay: Relay


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        kept = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match")
        headers = {name: self.headers[name] for name in kept if name in self.headers}
        reply = self.server.relay.answer(
            Request(self.command, self.path, headers, content, device_id=None)
        )
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.content, bytes):
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)
        else:
            self.close_connection = True
            self.send_header("Connection", "close")
            self.end_headers()
            for piece in reply.content:
                self.wfile.write(piece)
                self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 -- as the library calls them

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@dataclass(frozen=True)
class Ghost:
    """A person whom the service has made up, with a device that it holds the key of."""

    name: str = "Ghost"
    user_id: UUID = field(default_factory=uuid4)
    device_id: UUID = field(default_factory=uuid4)
    key: DeviceKey = field(default_factory=DeviceKey.make)

    def opens(self, wrapped_key: bytes, wrappers: Iterable[bytes]) -> bool:
        """Whether an envelope of any of these devices was made for it."""
        return any(_opens(wrapped_key, wrapper, self.key) for wrapper in wrappers)

    @property
    def entry(self) -> RosterEntry:
        """It, as a roster would name it."""
        return RosterEntry(self.user_id, self.name, self.device_id, self.key.public)

    @property
    def _device(self) -> dict[str, Any]:
        return {
            "id": str(self.device_id),
            "publicKey": to_base64url(self.key.public),
            "confirmed": False,
            "joinProof": to_base64url(secrets.token_bytes(32)),
        }


def _opens(wrapped_key: bytes, wrapper: bytes, key: DeviceKey) -> bool:
    try:
        unwrap(wrapped_key, wrapper, key)
    except NotAuthentic:
        return False
    return True


# Lies about who is there


def ghost_person(ghost: Ghost) -> Lie:
    """Somebody more is in every group, and waits for the key."""

    def listed(_: Request, body: Any) -> None:
        groups = {group["groupId"]: group for user in body["users"] for group in user["groups"]}
        theirs = [{**group, "devices": [ghost._device]} for group in groups.values()]
        body["users"].append({"id": str(ghost.user_id), "name": ghost.name, "groups": theirs})

    return _changing(listed, USERS)


def ghost_device(ghost: Ghost, *, of: UUID) -> Lie:
    """A person has one device more, which waits for the key."""

    def listed(_: Request, body: Any) -> None:
        for user in body["users"]:
            for group in user["groups"] if user["id"] == str(of) else ():
                group["devices"].append(ghost._device)

    return _changing(listed, USERS)


def another_public_key(device_id: UUID, key: bytes) -> Lie:
    """A device has another public key, and waits for the group's key."""

    def listed(_: Request, body: Any) -> None:
        for device in _devices(body["users"]):
            if device["id"] == str(device_id):
                device |= {"publicKey": to_base64url(key), "confirmed": False}

    return _changing(listed, USERS)


def every_device_is(*, confirmed: bool) -> Lie:
    """Every device that is listed has the key already, or none has it yet."""

    def listed(_: Request, body: Any) -> None:
        for device in _devices(body["users"]):
            device["confirmed"] = confirmed

    return _changing(listed, USERS)


def nobody_else(request: Request, forward: Forward) -> Reply:
    """Whoever asks is alone in the group."""

    def listed(request: Request, body: Any) -> None:
        body["users"] = [
            user
            for user in body["users"]
            if str(request.device_id) in {device["id"] for device in _devices([user])}
        ]

    return _changing(listed, USERS)(request, forward)


def exchanged(one: UUID, other: UUID) -> Lie:
    """Two people, devices or groups stand in each other's place, in all that is said of them."""
    ids = str(one), str(other)

    def exchange(text: bytes) -> bytes:
        parts = re.split("|".join(ids).encode(), text)
        found = re.findall("|".join(ids).encode(), text)
        swapped = [ids[1 - ids.index(id_.decode())].encode() for id_ in found]
        return b"".join(a + b for a, b in zip(parts, [*swapped, b""], strict=True))

    def lie(request: Request, forward: Forward) -> Reply:
        target = exchange(request.target.encode()).decode()
        reply = forward(replace(request, target=target, content=exchange(request.content)))
        assert isinstance(reply.content, bytes)
        return replace(reply, content=exchange(reply.content))

    return lie


def named(user_id: UUID, name: str) -> Lie:
    """Somebody is called otherwise."""

    def listed(_: Request, body: Any) -> None:
        for user in body["users"]:
            if user["id"] == str(user_id):
                user["name"] = name

    return _changing(listed, USERS)


# Lies about keys


def key_version(version: int) -> Lie:
    """The key has another version than it has."""

    def claimed(request: Request, body: Any) -> None:
        for group in body["groups"] if request.route == GROUPS else [body]:
            group["keyVersion"] = version
        if request.route == KEYS:
            for name in ("versions", "envelopes", "rosterEntries"):
                body[name] = [item for item in body[name] if item["keyVersion"] <= version]

    return _changing(claimed, GROUPS, KEYS)


def no_key_at_all(request: Request, forward: Forward) -> Reply:
    """The group never had a key, and takes points in the clear, which it then does."""

    def claimed(request: Request, body: Any) -> None:
        for group in body["groups"] if request.route == GROUPS else [body]:
            group |= {"encryption": "optional", "keyVersion": 0, "rotationRequired": False}
        if request.route == KEYS:
            body |= {"versions": [], "envelopes": [], "rosterEntries": []}

    if request.route == SHARE:
        return taken(request, forward)
    return _changing(claimed, GROUPS, KEYS)(request, forward)


def optional(request: Request, forward: Forward) -> Reply:
    """The group takes points in the clear; sealed ones are refused for want of a key."""

    def claimed(request: Request, body: Any) -> None:
        for group in body["groups"] if request.route == GROUPS else [body]:
            group["encryption"] = "optional"

    if request.route == SHARE:
        return refused(409, "group_key_missing")
    return _changing(claimed, GROUPS)(request, forward)


def rotation_is(*, due: bool) -> Lie:
    """A new key is due, or is not."""

    def claimed(request: Request, body: Any) -> None:
        for group in body["groups"] if request.route == GROUPS else [body]:
            group["rotationRequired"] = due

    return _changing(claimed, GROUPS, KEYS)


def old_key_as_new(group_id: UUID, key: GroupKey | None = None) -> Lie:
    """An old envelope comes again, as that of a newer version.

    With the key, as a removed member knows it, the commitment fits.
    """

    def claimed(request: Request, body: Any) -> None:
        if request.route == GROUPS:
            for group in body["groups"]:
                group["keyVersion"] += group["id"] == str(group_id)
            return
        body["keyVersion"] += 1
        version = body["keyVersion"]
        newest = body["versions"][-1]
        commitment = key and to_base64url(key.commitment(group_id, version))
        body["versions"].append(
            {**newest, "keyVersion": version, "commitment": commitment or newest["commitment"]}
        )
        body["envelopes"].append({**body["envelopes"][0], "keyVersion": version})

    return _changing(claimed, GROUPS, KEYS)


def key_of_a_stranger(
    ghost: Ghost, group_id: UUID, *, recipient: bytes, instead_of: UUID, above: int = 1
) -> Lie:
    """The service has made a version itself, and says that a member did.

    Commitment and roster fit the key; `above` is how many versions it is above the real one.
    """
    key = GroupKey.make()

    def claimed(request: Request, body: Any) -> None:
        if request.route == GROUPS:
            for group in body["groups"]:
                group["keyVersion"] += above if group["id"] == str(group_id) else 0
            return
        version = body["keyVersion"] = body["keyVersion"] + above
        body["versions"].append(
            {
                "keyVersion": version,
                "commitment": to_base64url(key.commitment(group_id, version)),
                "roster": to_base64url(seal_roster([ghost.entry], key)),
            }
        )
        body["envelopes"].append(
            {
                "keyVersion": version,
                "wrappedKey": to_base64url(wrap(key, recipient, ghost.key)),
                "wrapperPublicKey": to_base64url(ghost.key.public),
                "wrapperDeviceId": str(instead_of),
            }
        )

    return _changing(claimed, GROUPS, KEYS)


def another_commitment(request: Request, forward: Forward) -> Reply:
    """Every version has another key than it has."""

    def claimed(_: Request, body: Any) -> None:
        for version in body["versions"]:
            version["commitment"] = to_base64url(secrets.token_bytes(32))

    return _changing(claimed, KEYS)(request, forward)


def vouched_for(ghost: Ghost, key: GroupKey, *, version: int, by: UUID) -> Lie:
    """A member has confirmed a stranger, in an entry sealed under a key that a former one knows."""

    def claimed(_: Request, body: Any) -> None:
        body["rosterEntries"].append(
            {
                "keyVersion": version,
                "rosterEntry": to_base64url(seal_roster([ghost.entry], key)),
                "wrapperDeviceId": str(by),
            }
        )

    return _changing(claimed, KEYS)


def first_key_of_a_stranger(ghost: Ghost) -> Lie:
    """A group that was just founded has a key already, of a member who was there before."""
    keys: dict[UUID, Lie] = {}
    joined: dict[str, Any] = {}

    def lie(request: Request, forward: Forward) -> Reply:
        if request.route == JOIN:
            reply = forward(request)
            joined.update(reply.json, sent=request.json)
            return reply
        if request.route == KEYS:
            recipient = from_base64url(joined["sent"]["device"]["publicKey"])
            made = keys.setdefault(
                request.group_id,
                key_of_a_stranger(
                    ghost, request.group_id, recipient=recipient, instead_of=ghost.device_id
                ),
            )
            return made(request, forward)
        return ghost_person(ghost)(request, forward)

    return lie


def rotation_withheld(kept: list[Any]) -> Lie:
    """A new key is refused and kept, for another day."""

    def lie(request: Request, forward: Forward) -> Reply:
        if request.route != ROTATE:
            return forward(request)
        kept.append(request)
        return refused(409, "key_version_conflict")

    return lie


def rotation_accepted(at_most: int) -> Lie:
    """A new key is taken, says the answer; it is thrown away, and asked for again and again."""
    asked = iter(range(at_most))

    def lie(request: Request, forward: Forward) -> Reply:
        if request.route != ROTATE:
            return forward(request)
        next(asked)
        return Reply(201, b"").saying({"keyVersion": request.json["expectedVersion"] + 1})

    return lie


def surplus(device_id: UUID) -> Lie:
    """A device may not be given the key."""

    def lie(request: Request, forward: Forward) -> Reply:
        given = request.json["envelopes"] if request.route == ROTATE else []
        if str(device_id) in {envelope["deviceId"] for envelope in given}:
            return refused(422, "surplus_devices", detail=f"envelopes: {device_id}")
        return forward(request)

    return lie


def rotation_refused(code: str, status: int = 409, **more: str) -> Lie:
    """A new key is refused, though it has been taken."""

    def lie(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        return refused(status, code, **more) if request.route == ROTATE else reply

    return lie


# Lies about points


def points(change: Callable[[list[Any]], list[Any]]) -> Lie:
    """Other points are shown than there are."""

    def shown(_: Request, body: Any) -> None:
        body["locations"] = change(body["locations"])

    return _changing(shown, LATEST, HISTORY)


def shown(point: Any, member: Client) -> Any:
    """Return a point that was posted as if a member had, just now."""
    return {
        **point,
        "userId": str(member.user_id),
        "deviceId": str(member.device_id),
        "recordedAt": datetime.now(UTC).isoformat(),
        "receivedAt": datetime.now(UTC).isoformat(),
    }


def moved(point: Any, by: timedelta) -> Any:
    """Return a point as if it had been sent at another time."""
    at = datetime.fromisoformat(point["recordedAt"]) + by
    received = datetime.fromisoformat(point["receivedAt"]) + by
    return {
        **point,
        "id": id_of(point, round(at.timestamp() * 1000)),
        "recordedAt": at.isoformat(timespec="milliseconds"),
        "receivedAt": received.isoformat(),
    }


def id_of(point: Any, milliseconds: int) -> str:
    """Return another id for a point, of a time."""
    return str(UUID(int=(milliseconds << 80) | (UUID(point["id"]).int & (1 << 80) - 1)))


def history_as_latest(request: Request, forward: Forward) -> Reply:
    """All points there are stand where the newest should."""
    if request.route != LATEST:
        return forward(request)
    return forward(replace(request, target=request.target.replace("/latest", "")))


def these(shown: list[Any]) -> Lie:
    """There are these points and no others."""
    return points(lambda _: shown)


def in_the_clear(latitude: float, longitude: float) -> Lie:
    """Every point is elsewhere, and not sealed."""

    def open_(point: dict[str, Any]) -> dict[str, Any]:
        kept = {
            name: value
            for name, value in point.items()
            if name not in ("encryptedData", "keyVersion")
        }
        return {**kept, "latitude": latitude, "longitude": longitude, "accuracy": 5.0}

    return points(lambda all_: [open_(point) for point in all_])


def taken(request: Request, forward: Forward) -> Reply:
    """Points are taken, says the answer, and are thrown away."""
    if request.route != SHARE:
        return forward(request)
    sent = request.json["locations"]
    return Reply(200, b"").saying(
        {"results": [{"id": point["id"], "status": "stored"} for point in sent]}
    )


def twice(request: Request, forward: Forward) -> Reply:
    """Whatever is posted is delivered twice."""
    if request.method != "GET":
        forward(request)
    return forward(request)


# Lies about coming in


def you_are(
    *, user_id: UUID | None = None, device_id: UUID | None = None, name: str | None = None
) -> Lie:
    """A joiner is told to be somebody else."""

    def told(_: Request, body: Any) -> None:
        if user_id is not None:
            body["user"]["id"] = str(user_id)
        if device_id is not None:
            body["device"]["id"] = str(device_id)
        if name is not None:
            body["user"]["name"] = name

    return _changing(told, JOIN)


def another_package(package: str | None) -> Lie:
    """A joiner is handed another key package than was made for the invite, or none."""

    def handed(_: Request, body: Any) -> None:
        body["keyPackage"] = package

    return _changing(handed, JOIN)


def another_proof(proof: bytes, *, of: UUID | None = None) -> Lie:
    """A device, or each of them, proved something else when it joined."""

    def listed(_: Request, body: Any) -> None:
        for device in _devices(body["users"]):
            if of is None or str(of) == device["id"]:
                device["joinProof"] = to_base64url(proof)

    return _changing(listed, USERS)


def _devices(users: list[Any]) -> Iterator[Any]:
    for user in users:
        for group in user["groups"]:
            yield from group["devices"]


def joined(group_id: UUID) -> Lie:
    """A member has joined this group, and not the one that they were invited to."""

    def told(_: Request, body: Any) -> None:
        body["id"] = str(group_id)

    return _changing(told, JOIN_GROUP)


# Answers that are none


def answering(route: str, reply: Reply | Callable[[], Reply]) -> Lie:
    """A route answers something else altogether."""

    def lie(request: Request, forward: Forward) -> Reply:
        if request.route != route:
            return forward(request)
        return reply if isinstance(reply, Reply) else reply()

    return lie


def remembering(route: str, kept: list[Any]) -> Lie:
    """The truth, which is kept."""

    def lie(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route == route:
            kept[:] = [reply.json]
        return reply

    return lie


def slowly() -> Iterator[bytes]:
    """Return an answer that comes byte by byte, and does not end before this counts as a hang."""
    deadline = time.monotonic() + HANGS_AFTER
    while time.monotonic() < deadline:
        time.sleep(0.02)
        yield b" "


def refused(status: int, code: str, **more: str) -> Reply:
    """Return a problem document."""
    detail = more.pop("detail", "No.")
    problem = {
        "type": f"urn:draugar:problem:{code}",
        "title": "No",
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": str(uuid4()),
        "error": detail,
    }
    return replace(Reply(status, b"").saying(problem), headers=more)


def _changing(change: Callable[[Request, Any], None], *routes: str) -> Lie:
    """Change the answers of some routes, where they succeed."""
    return _Changed(change, routes)


@dataclass(eq=False)
class _Changed:
    """Answers of some routes that are changed, and whether there was one."""

    change: Callable[[Request, Any], None]
    routes: tuple[str, ...]
    was_told: bool = False

    def __call__(self, request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route not in self.routes or reply.status >= 300:
            return reply
        self.was_told = True
        body = reply.json
        self.change(request, body)
        return reply.saying(body)
