"""Clients that write whatever happens, and repeat what got no answer."""

import io
import json
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from chalicelib.models import Group, Location, Member
from tests import factories
from tests.api import Reply
from tests.faults.processes import Call, Processes, perform
from tests.laptop.runs import eventually
from tests.servers import serving

PATIENCE = 0.02
"""Shorter than `Retry-After` asks for: how soon all is well again is to be the service's figure."""
BATCH, CODES = 10, 10

_ANSWERED, _PUT_OFF = b"+", b"-"

# Whoever has come in has a device and a group.
HALF_DONE = """
    SELECT (SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM devices))
        + (SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM group_members))
"""


@dataclass(frozen=True)
class Writer:
    """Somebody who writes to their group until a file tells them to stop."""

    number: int
    token: str
    group_id: str
    codes: list[str]
    """Of invites to the group, for those who join it."""
    stop: str

    @property
    def progress(self) -> Path:
        """The file of its attempts: a byte each, which says whether it was answered."""
        return Path(f"{self.stop}.{self.number}")


@dataclass(frozen=True)
class Attempt:
    """A request, which is the same in each of its repeats, and what came of it.

    `began` and `ended` are of a clock that all processes share.
    """

    call: Call
    began: float
    ended: float
    reply: Reply
    line: dict[str, Any]

    @property
    def is_answered(self) -> bool:
        return self.reply.status != 503


def settled(url: str, number: int, stop: Path) -> list[Writer]:
    """Make so many writers, each with a group of their own."""
    with serving(url) as engine, Session(engine) as session:
        return [_settled(session, each, stop) for each in range(number)]


def write(writer: Writer) -> list[Attempt]:
    """Write until told to stop; each request is repeated until it is answered."""
    attempts = []
    with writer.progress.open("ab", buffering=0) as progress:
        for call in chain.from_iterable(_rounds(writer)):
            while True:
                attempts.append(attempt(call))
                progress.write(_ANSWERED if attempts[-1].is_answered else _PUT_OFF)
                if attempts[-1].is_answered:
                    break
                time.sleep(PATIENCE)
    return attempts


def await_attempts(writers: list[Writer], *, answered: int = 0, put_off: int = 0) -> None:
    """Wait until each of the writers has been answered and put off so often from now on."""
    begun = [len(_progress(writer)) for writer in writers]

    def are_made() -> bool:
        made = [_progress(writer)[seen:] for writer, seen in zip(writers, begun, strict=True)]
        return all(
            each.count(_ANSWERED) >= answered and each.count(_PUT_OFF) >= put_off for each in made
        )

    assert eventually(are_made)


def _progress(writer: Writer) -> bytes:
    return writer.progress.read_bytes() if writer.progress.exists() else b""


def warm_up(processes: Processes, url: str, number: int) -> None:
    """Let each process do everything once: a first time takes long, for it reads the contract."""
    with TemporaryDirectory() as directory:
        told_to_stop = Path(directory) / "stop"
        told_to_stop.touch()
        processes.each(write, settled(url, number, told_to_stop))


def attempt(call: Call) -> Attempt:
    """Send a request to the app of this process, which has one thread, and read what it logs."""
    log = io.StringIO()
    began = time.monotonic()
    with redirect_stdout(log):
        reply = perform(call)
    return Attempt(call, began, time.monotonic(), reply, json.loads(log.getvalue()))


def assert_only_told_to_come_back(attempts: list[Attempt]) -> None:
    """Assert that each attempt succeeded or was put off, some of them, and as the contract says."""
    put_off = [attempt.reply for attempt in attempts if not attempt.is_answered]
    assert put_off
    assert {(reply.code, reply.headers["Retry-After"]) for reply in put_off} == {
        ("temporarily_unavailable", "1")
    }
    assert {200, 503} <= {attempt.reply.status for attempt in attempts} <= {200, 201, 503}


def assert_all_is_kept_once(
    url: str, processes: Processes, writers: list[Writer], attempts: list[Attempt]
) -> None:
    """Assert that the database has what was acknowledged, once, and nothing by halves."""
    answered = [attempt for attempt in attempts if attempt.is_answered]
    posted = [attempt.call.body for attempt in answered if attempt.call.path == "/api/locations"]
    points = [point for body in posted for point in body.get("locations", [body])]
    named = {
        attempt.reply.json["id"]: attempt.call.body["name"]
        for attempt in answered
        if attempt.call.method == "PATCH"
    }
    joined = [attempt.reply.json for attempt in answered if attempt.call.headers]
    group_ids = [writer.group_id for writer in writers]
    with serving(url) as engine, Session(engine) as session:
        kept = session.scalars(select(Location.id).where(Location.group_id.in_(group_ids)))
        groups = session.scalars(select(Group).where(Group.id.in_(group_ids)))
        members = session.scalars(select(Member.user_id).where(Member.group_id.in_(group_ids)))

        assert sorted(map(str, kept)) == sorted(point["id"] for point in points)
        assert {str(group.id): group.name for group in groups} == named
        assert len(members.all()) == len(writers) + len(joined)
        assert session.scalar(text(HALF_DONE)) == 0
    calls = [Call("GET", "/api/auth/me", token=each["token"]) for each in joined]
    assert {reply.status for reply in processes.each(perform, calls)} == {200}


def _settled(session: Session, number: int, stop: Path) -> Writer:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    codes = [factories.invite(session, group_id=group_id, by=una).text for _ in range(CODES)]
    return Writer(number, una.token, str(group_id), codes, str(stop))


def _rounds(writer: Writer) -> Iterator[list[Call]]:
    """Points alone and in a batch, which are a statement each, and transactions after them."""
    codes = iter(writer.codes)
    path = f"/api/groups/{writer.group_id}"
    for number in count():
        calls = [
            _post(writer, _point(writer)),
            _post(writer, {"locations": [_point(writer) for _ in range(BATCH)]}),
            Call("PATCH", path, {"name": f"Hearth {number}"}, token=writer.token),
        ]
        if number % 4 == 0 and (code := next(codes, None)):
            calls.append(_join(writer, code, number))
        yield calls
        if Path(writer.stop).exists():
            break


def _point(writer: Writer) -> dict[str, Any]:
    return factories.plain_point(groupId=writer.group_id)


def _post(writer: Writer, body: dict[str, Any]) -> Call:
    return Call("POST", "/api/locations", body, token=writer.token)


def _join(writer: Writer, code: str, number: int) -> Call:
    return Call(
        "POST",
        "/api/auth/join",
        {"code": code, "name": "Ari", "device": {"name": "Phone"}},
        headers={"Idempotency-Key": f"a-key-of-random-characters-{writer.number}-{number}"},
        # Each from an address of its own, or the limiter would let few of them in.
        address=f"10.{writer.number}.{number // 256 % 256}.{number % 256}",
    )
