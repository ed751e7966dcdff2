"""The service as its gateway sees it: a process that is given events, its log and its memory."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any

from chalice.local import LambdaContext
from sqlalchemy import select
from sqlalchemy.orm import Session

from chalicelib.models import InviteCode
from tests import contract, factories
from tests.api import Reply
from tests.faults import processes
from tests.faults.processes import Processes
from tests.owntracks import basic

Event = dict[str, Any]

MARK = "zq7mark"
"""Stands in all that is sent, and nowhere in the log."""

STAND_IN = "stand-in"
_LIKE_AN_ID = "-0000-7000-8000-"
STAND_INS = {
    name: [f"{first:08x}{_LIKE_AN_ID}{number:012x}" for number in range(count)]
    for first, (name, count) in enumerate(
        {"groupId": 2, "userId": 3, "deviceId": 5, "id": 2, "inviteId": 1}.items(), 0x01A00000
    )
}
"""What a request may name before it is known which family is there to answer for it."""

NAMED = {
    "group_id": "groupId",
    "user_id": "userId",
    "device_id": "deviceId",
    "invite_id": "inviteId",
}
NOBODY = "01a2035b-5836-71ae-be39-5cf44440785f"

_addresses = count(int(IPv4Address("198.18.0.0")))
_MAY_BE_LOGGED = {
    "requestId",
    "method",
    "route",
    "status",
    "durationMs",
    "roundTrips",
    "code",
    "cause",
    "sqlstate",
}


class Edge:
    """One process that serves, as a Lambda function's does."""

    def __init__(self, serving: Processes, log: Path) -> None:
        self._serving = serving
        self._log = log
        self._read = 0
        self.count = 0
        serving.each(_write_to, [str(log)])

    def answer(self, event: Event) -> Reply:
        """Serve an event. A function that raises is answered for by its gateway."""
        (answer,) = self._serving.each(_serve, [event])
        self.count += 1
        return Reply(answer["statusCode"], answer["headers"], answer["body"])

    def memory(self) -> int:
        """How many bytes of memory the process holds."""
        (held,) = self._serving.each(_resident, [None])
        return int(held)

    def logged(self) -> str:
        """What has been written since the last time, to either stream."""
        with self._log.open() as log:
            log.seek(self._read)
            text = log.read()
            self._read = log.tell()
        return text


@contextmanager
def serving(url: str, log: Path) -> Iterator[Edge]:
    """Start a process on a database."""
    with Processes(url, count=1) as started:
        yield Edge(started, log)


def check(edge: Edge, method: str, path: str, reply: Reply) -> None:
    """Fail unless this is what the contract says, and neither answer nor log repeats the input."""
    assert reply.status < 500, f"{method} {path}: {reply.text}"
    contract.check(method, path, reply)
    if reply.status >= 400:
        assert reply.code
        # The name of an unknown field is told to the caller, and to the caller alone.
        assert MARK not in reply.text.replace(f'does not take: \\"{MARK}\\"', "")
    check_log(edge.logged())


def check_log(text: str) -> None:
    """Fail unless these are lines of the fields that a log may have, and of nothing sent."""
    assert MARK not in text
    for line in text.splitlines():
        assert json.loads(line).keys() <= _MAY_BE_LOGGED, line


@dataclass(frozen=True)
class Scene:
    """A family, and what it has, by the names that routes call it."""

    credentials: dict[str, str]
    ids: dict[str, list[str]]

    def present(self, text: str) -> str:
        """Put what this family has for what stands in for it."""
        if STAND_IN in text:
            for who, credential in self.credentials.items():
                scheme = credential.partition(" ")[0]
                text = text.replace(f"{STAND_IN} {scheme} {who}", credential)
        if _LIKE_AN_ID in text:
            for name, stand_ins in STAND_INS.items():
                for stand_in, meant in zip(stand_ins, self.ids[name], strict=True):
                    text = text.replace(stand_in, meant)
        return text


def family(session: Session) -> Scene:
    """A group of each kind with an admin, a member, one who waits and a phone; and a stranger."""
    una, bera, ari, signy = (factories.with_key(session, name=MARK) for _ in range(4))
    tablet = factories.further_device(session, una)
    plain = factories.group(session, una, bera, name=MARK)
    sealed = factories.group(session, una, bera, encryption="required", key_version=1)
    factories.confirm(session, sealed, tablet, 1, by=una)
    factories.add_member(session, sealed, ari)
    phone = factories.phone(session, plain, bera)
    points = [factories.stored_point(session, plain, who) for who in (una, bera)]
    factories.invite(session, group_id=plain, by=una)
    invites = select(InviteCode.id).where(InviteCode.group_id == plain)
    return Scene(
        credentials={
            "admin": f"Bearer {una.token}",
            "member": f"Bearer {bera.token}",
            "pending": f"Bearer {ari.token}",
            "stranger": f"Bearer {signy.token}",
            "phone": basic(phone.device_id, phone.token)["Authorization"],
        },
        ids={
            "groupId": [str(plain), str(sealed)],
            "userId": [str(who.user_id) for who in (una, bera, ari)],
            "deviceId": [str(who.device_id) for who in (una, tablet, bera, ari, phone)],
            "id": [str(point) for point in points],
            "inviteId": [str(id_) for id_ in session.scalars(invites)],
        },
    )


def _write_to(log: str) -> None:
    """Let everything that this process writes go to a file, whoever writes it."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.stdout = os.fdopen(file, "a", buffering=1)


def _serve(event: Event) -> dict[str, Any]:
    app, _ = processes._served()
    try:
        answer: dict[str, Any] = app(event, LambdaContext("api", memory_size=1024))
    except Exception as error:  # noqa: BLE001 -- Lambda tells its gateway, which answers so
        answer = {"statusCode": 502, "headers": {}, "body": type(error).__name__}
    return answer


def _resident(_: None) -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def event(scene: Scene, method: str, target: str, headers: dict[str, str], body: bytes) -> Event:
    """Make what API Gateway would pass on. Raises ValueError for a path that it has no route for.

    Each comes from an address of its own, so that guesses are not what is counted.
    """
    _, converter = processes._served()
    made: Event = converter.create_lambda_event(
        method,
        scene.present(target),
        {name: scene.present(value) for name, value in headers.items()},
        scene.present(body.decode("latin-1")).encode("latin-1"),
    )
    made["requestContext"]["identity"]["sourceIp"] = str(IPv4Address(next(_addresses)))
    return made
