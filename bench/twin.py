"""The twin: the same post as a good ordinary service would take it, and how ours compares.

FastAPI, SQLAlchemy's asyncio ORM and asyncpg in their usual shape: the device by a dependency on
the bearer's token, membership and group by one join, the rules in Python, the insert, a commit.
It has our tables, shapes, errors, headers and line of the log, answers alike in every case of
`check`, and does no more than it has to: five round trips (BEGIN, device, membership, insert,
COMMIT) of statements that asyncpg keeps prepared. Device, member and group are read FOR SHARE, the
device where it is found: that is a round trip less than our order of locks would take.

Both run in this process and are given what their servers would give them, made beforehand: API
Gateway's event, and ASGI's scope and messages.
"""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Discriminator, Tag
from sqlalchemy import func, make_url, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session

from bench.figures import Figure, interleaved, ratio
from bench.scene import Act, Handler, Performer, Scene, scene
from chalicelib.auth.credentials import app_credential, make_token
from chalicelib.auth.queries import IS_VALID
from chalicelib.db.engine import migration_engine
from chalicelib.errors import Problem, Unauthenticated
from chalicelib.groups.service import (
    GroupKeyMissing,
    GroupNotFound,
    GroupRequired,
    KeyVersionConflict,
    RotationRequired,
)
from chalicelib.locations.schemas import PlainPoint, SealedPoint, StoredAnswer
from chalicelib.locations.service import (
    EncryptionRequired,
    IdTimeMismatch,
    NewPoint,
    OutOfRange,
    SharingPaused,
    Verdict,
)
from chalicelib.models import Device, Group, Location, Member
from chalicelib.web import InvalidFields
from chalicelib.web.endpoint import HEADERS
from tests.factories import (
    add_member,
    group,
    plain_point,
    point_id,
    sealed_point,
    someone,
)
from tests.relay import relay_process

PATH = "/api/locations"
TOGETHER = 10
"""Posts that are timed together: entering an event loop should not count as the twin's."""

_AHEAD = timedelta(minutes=10)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The service.


def _is_sealed(value: Any) -> str:
    return "sealed" if isinstance(value, dict) and "encryptedData" in value else "plain"


Point = Annotated[
    Annotated[PlainPoint, Tag("plain")] | Annotated[SealedPoint, Tag("sealed")],
    Discriminator(_is_sealed),
]
_bearer = HTTPBearer(auto_error=False)


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


OpenSession = Annotated[AsyncSession, Depends(_session)]


async def _device(
    session: OpenSession, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Device:
    credential = app_credential(sent.credentials) if sent else None
    if credential is None:
        raise Unauthenticated
    device = await session.scalar(
        select(Device)
        .where(Device.token_hash == credential.token_hash, Device.kind == credential.kind, IS_VALID)
        .with_for_update(read=True)
    )
    if device is None:
        raise Unauthenticated
    return device


CallingDevice = Annotated[Device, Depends(_device)]


async def store_location(point: Point, device: CallingDevice, session: OpenSession) -> StoredAnswer:
    """Store one point."""
    sent = point.new_point()
    if sent.contradicts_itself:
        raise IdTimeMismatch
    membership = (
        select(Member, Group)
        .join(Group, Group.id == Member.group_id)
        .where(Member.user_id == device.user_id)
        .order_by(Group.id)
        .with_for_update(read=True)
    )
    if sent.group_id is not None:
        membership = membership.where(Member.group_id == sent.group_id)
    found = (await session.execute(membership)).all()
    if sent.group_id is None and len(found) != 1:
        raise GroupRequired(", ".join(str(row[1].id) for row in found))
    if not found:
        raise GroupNotFound
    member, its_group = found[0]
    id_ = sent.id or await session.scalar(select(func.new_id(sent.recorded_at or func.now())))
    assert id_ is not None  # noqa: S101 -- for the type
    recorded_at = _EPOCH + timedelta(milliseconds=int.from_bytes(id_.bytes[:6]))
    key = {
        "group_id": its_group.id,
        "user_id": member.user_id,
        "recorded_at": recorded_at,
        "id": id_,
    }
    refusal = _refusal(sent, member, its_group, recorded_at)
    if refusal is None:
        await session.execute(
            insert(Location)
            .values(
                **key,
                device_id=device.id,
                latitude=sent.latitude,
                longitude=sent.longitude,
                accuracy=sent.accuracy,
                encrypted_data=sent.encrypted_data,
                key_version=sent.key_version,
            )
            .on_conflict_do_nothing()
        )
        await session.commit()
    # What was taken once stays taken, whatever would refuse it now.
    elif await session.get(Location, key) is None:
        raise refusal
    return StoredAnswer.of([Verdict(id=id_)])


def _refusal(
    sent: NewPoint, member: Member, its_group: Group, recorded_at: datetime
) -> type[Problem] | None:
    now = datetime.now(UTC)
    resumes_at = member.sharing_resumes_at
    if member.sharing_paused and (resumes_at is None or resumes_at > now):
        return SharingPaused
    if sent.encrypted_data is None:
        if its_group.encryption == "required":
            return EncryptionRequired
    elif its_group.key_version == 0:
        return GroupKeyMissing
    elif its_group.rotation_required:
        return RotationRequired
    elif its_group.key_version != sent.key_version:
        return KeyVersionConflict
    oldest = now - timedelta(days=its_group.retention_days)
    return None if oldest <= recorded_at <= now + _AHEAD else OutOfRange


async def _tell(_request: Request, problem: Any) -> JSONResponse:
    document = {
        "type": f"urn:draugar:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    return JSONResponse(document, problem.status, media_type="application/problem+json")


async def _tell_fields(request: Request, error: Any) -> JSONResponse:
    told = "; ".join(f"{detail['loc']}: {detail['msg']}" for detail in error.errors())
    return await _tell(request, InvalidFields(told))


class _Surroundings:
    """Adds our headers, and writes our line of the log."""

    _headers = tuple((name.lower().encode(), value.encode()) for name, value in HEADERS.items())
    _log = logging.getLogger("twin")

    def __init__(self, app: Any) -> None:
        self._app = app
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        self._log.setLevel(logging.INFO)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        line = {"method": scope["method"], "route": scope["path"]}

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                line["status"] = message["status"]
                message["headers"].extend(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
        line["durationMs"] = round((time.perf_counter() - started) * 1000, 1)
        self._log.info(json.dumps(line))


def application(pool: AsyncEngine) -> FastAPI:
    """Return the twin's application."""
    app = FastAPI()
    app.state.sessions = async_sessionmaker(pool, expire_on_commit=False)
    app.add_middleware(_Surroundings)
    app.add_exception_handler(Problem, _tell)
    app.add_exception_handler(RequestValidationError, _tell_fields)
    app.post(PATH)(store_location)
    return app


# How both are called.

Sent = tuple[dict[str, Any], bytes]
Outcome = tuple[int, Any]
"""What has to be the same of both: the status, and the problem's code or the results."""


class Twin:
    """The twin in an event loop of this process, which stands still between calls."""

    def __init__(self, url: str, *, connections: int = 1) -> None:
        address = make_url(url).set(drivername="postgresql+asyncpg")
        pool = create_async_engine(address, pool_size=connections, max_overflow=0)
        self._app = application(pool)
        self._runner = asyncio.Runner()

    def run(self, *works: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run coroutines to their end, all at once."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*works)

        return self._runner.run(all_of_them())

    async def post(self, sent: Sent) -> tuple[int, str]:
        """Serve one post; return status and body."""
        scope, body = sent
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, b"".join(parts).decode()


def asgi_request(token: str, body: str) -> Sent:
    """Return what an ASGI server tells of a post."""
    headers = {
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    return scope, body.encode()


# Whether they answer alike.


def check(url: str) -> None:
    """Raise unless both answer every case alike, first and repeated, and store as many points."""
    from app import app  # noqa: PLC0415 -- it reads the settings of this process

    twin = Twin(url)

    def post_to_ours(token: str, body: str) -> Outcome:
        answer = app(Handler(token).event("POST", PATH, body), None)
        return _outcome(answer["statusCode"], answer["body"])

    def post_to_twin(token: str, body: str) -> Outcome:
        ((status, text),) = twin.run(twin.post(asgi_request(token, body)))
        return _outcome(status, text)

    engine = migration_engine().execution_options(isolation_level="AUTOCOMMIT")
    with Session(engine) as session:
        for name, (token, make) in _cases(session).items():
            ours, theirs = (
                _repeated(session, partial(post, token, json.dumps(make())))
                for post in (post_to_ours, post_to_twin)
            )
            if ours != theirs:
                raise AssertionError(f"{name}: ours {ours}, the twin {theirs}")


def _outcome(status: int, text: str) -> Outcome:
    body = json.loads(text)
    results = [{**result, "id": "id" in result} for result in body.get("results", ())]
    return status, body.get("code", results)


def _repeated(session: Session, post: Callable[[], Outcome]) -> tuple[Outcome, Outcome, int]:
    before = _count(session)
    return post(), post(), _count(session) - before


def _count(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(Location)).one()


def _cases(session: Session) -> dict[str, tuple[str, Callable[[], dict[str, Any]]]]:
    """Return whose token posts what, by name."""
    now = datetime.now(UTC)

    def member(*, device: Mapping[str, Any] | None = None, **columns: Any) -> str:
        who = someone(session, **(device or {}))
        group(session, who, **columns)
        return who.token

    plain, keyed = member(), member(key_version=3)
    host, paused, in_two = (someone(session) for _ in range(3))
    home, other = group(session, host), group(session, in_two)
    add_member(session, home, paused, sharing_paused=True)
    add_member(session, home, in_two)
    return {
        "stored": (plain, plain_point),
        "without an id": (plain, lambda: dict(list(plain_point().items())[1:])),
        "sealed": (keyed, sealed_point),
        "one group named": (in_two.token, lambda: plain_point(groupId=str(other))),
        "no group named": (in_two.token, plain_point),
        "unknown group": (plain, lambda: plain_point(groupId=point_id())),
        "paused": (paused.token, plain_point),
        "too old": (plain, lambda: plain_point(now - timedelta(days=31))),
        "ahead": (plain, lambda: plain_point(now + timedelta(minutes=12))),
        "a little ahead": (plain, lambda: plain_point(now + timedelta(minutes=8))),
        "two times": (plain, lambda: plain_point(recordedAt="2025-01-01T00:00:00Z")),
        "plain where sealed": (member(encryption="required"), plain_point),
        "no key": (plain, sealed_point),
        "former key": (keyed, lambda: sealed_point(keyVersion=2)),
        "key to be changed": (member(key_version=3, rotation_required=True), sealed_point),
        "beyond the pole": (plain, lambda: plain_point(latitude=91)),
        "unknown field": (plain, lambda: plain_point(altitude=3)),
        "unknown token": (make_token(), plain_point),
        "no token of ours": ("token", plain_point),
        "revoked": (member(device={"revoked_at": now}), plain_point),
        "idle": (member(device={"last_used_on": now.date() - timedelta(days=365)}), plain_point),
    }


# How fast they are.


def run(*, full: bool) -> list[Figure]:
    """Measure a warm post of one point, one after another in one process."""
    with scene() as family:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            check(family.url)
        return [_at(family, distance, 60 if full else 12) for distance in (0, 2)]


def ours(token: str) -> dict[str, Act]:
    """Return our posts."""
    handler = Handler(token)

    def make() -> list[dict[str, Any]]:
        return [handler.event("POST", PATH, json.dumps(plain_point())) for _ in range(TOGETHER)]

    def post(events: list[dict[str, Any]]) -> None:
        for event in events:
            handler(event)

    return {PATH: Act(make, post)}


def theirs(token: str, url: str) -> dict[str, Act]:
    """Return the twin's posts."""
    twin = Twin(url)

    def make() -> list[Sent]:
        return [asgi_request(token, json.dumps(plain_point())) for _ in range(TOGETHER)]

    async def post_all(requests: list[Sent]) -> None:
        for sent in requests:
            status, text = await twin.post(sent)
            if status != HTTPStatus.OK:
                raise RuntimeError(text)

    return {PATH: Act(make, lambda requests: twin.run(post_all(requests)))}


def _at(family: Scene, distance: int, rounds: int) -> Figure:
    """Measure at so many milliseconds added to a round trip."""
    token = family.tokens[0]
    with (
        relay_process(family.url, delay=distance / 1000) as url,
        Performer(ours, token, environment=family.environment(url)) as our_process,
        Performer(theirs, token, url, environment=family.environment(url)) as their_process,
    ):
        performers = {"ours": our_process, "twin": their_process}
        for performer in performers.values():
            performer.time(PATH, 3)  # connected, prepared, compiled
        times = interleaved(
            {name: partial(performer.time, PATH, 2) for name, performer in performers.items()},
            rounds=rounds,
        )
    return Figure(
        section="twin",
        name=f"POST {PATH}, at {distance} ms per round trip",
        value=median(times["ours"]) / TOGETHER,
        unit="ms",
        against="FastAPI, asyncpg, ORM",
        baseline=median(times["twin"]) / TOGETHER,
        ratio=ratio(times, "ours", "twin"),
    )
