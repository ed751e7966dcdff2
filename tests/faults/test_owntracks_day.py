"""A day of three phones with OwnTracks, through lost answers, a tunnel and a killed database.

Time is that of the messages: a day of them takes as long as the service does.
"""

import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread
from typing import IO, Any, cast

import pytest
from nacl.secret import SecretBox
from sqlalchemy import select
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.jobs.migrate import migrate
from chalicelib.models import Location
from chalicelib.settings import Settings
from scripts.postgres import Postgres
from tests import factories
from tests.database import PEPPER
from tests.factories import Someone
from tests.laptop.runs import HANGS_AFTER, Run
from tests.owntracks import Android, App, Ios, Json, basic

PHONES = [("un", 0), ("ar", 1), ("si", 1)]
"""Their tids, and the version of the key that each was set up with."""

KEY = secrets.token_urlsafe(24).encode()
LOST = 0.05
"""How many answers never arrive."""


@dataclass
class Phone:
    """A phone that keeps what it could not deliver, and tries the oldest again."""

    app: App
    who: Someone
    port: int
    chance: random.Random
    sent: Counter[int] = field(default_factory=Counter)
    """How often a fix was on its way, by its time."""
    statuses: Counter[int] = field(default_factory=Counter)
    delivered: int = 0

    def carry(self, messages: list[Json | None]) -> None:
        """Deliver messages one by one, as often as it takes."""
        for message in messages:
            self._deliver(message)
            self.delivered += 1

    def _deliver(self, message: Json | None) -> None:
        sealed_once = self._written(message)
        while True:
            body = sealed_once if isinstance(self.app, Ios) else self._written(message)
            if message is not None and message["_type"] == "location":
                self.sent[message["tst"]] += 1
            try:
                status, text = self._post(body)
            except (OSError, HTTPException):
                time.sleep(0.05)
                continue
            self.statuses[status] += 1
            if status == 503:
                time.sleep(0.05)
            elif self.chance.random() >= LOST:
                self.app.receive(status, text)
                return

    def _written(self, message: Json | None) -> bytes:
        return b"" if message is None else self.app.body(message)

    def _post(self, body: bytes) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=HANGS_AFTER)
        try:
            headers = self.app.headers | basic(self.who.device_id, self.who.token)
            connection.request("POST", "/owntracks/", body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def day(chance: random.Random, tid: str, count: int) -> list[Json | None]:
    """Make a day's messages: mostly fixes, from the oldest on, the first of them two days late."""
    now = int(datetime.now(UTC).timestamp())
    begins = now - 86_400
    messages: list[Json | None] = []
    for number in range(count):
        late = 2 * 86_400 if number < count // 10 else 0
        fix = {
            "_type": "location",
            "_id": f"{chance.getrandbits(32):08x}",
            "lat": 64 + chance.random(),
            "lon": -22 + chance.random(),
            "acc": chance.randrange(100),
            "tst": begins + number * 86_400 // count - late,
            "tid": tid,
            "t": "u",
        }
        messages.append(fix)
        if number % 20 == 0:
            messages.append(
                chance.choice(
                    [
                        {"_type": "card", "name": tid.upper(), "face": "iVBORw0KGgo=", "tid": tid},
                        {"_type": "waypoint", "desc": "Home", "tst": 1, "lat": 1.0, "lon": 1.0},
                        {"_type": "status", "android": {}},
                        {"_type": "lwt", "tst": now},
                        {
                            "_type": "transition",
                            "event": "enter",
                            "tst": now,
                            "wtst": 1,
                            "tid": tid,
                        },
                        None,
                    ]
                )
            )
    return messages


@contextmanager
def served(url: str, directory: Path) -> Iterator[tuple[int, list[str]]]:
    """Serve from a database; give the port, and the lines that the service logs."""
    run = Run(directory, DATABASE_URL=url, INVITE_CODE_PEPPER=PEPPER)
    lines: list[str] = []
    reader = Thread(target=lambda: lines.extend(cast("IO[str]", run.process.stdout)))
    try:
        run.printed_until_serving()
        reader.start()
        yield run.port, lines
    finally:
        run.process.kill()
        reader.join()
        run.kill()


@contextmanager
def looking(url: str) -> Iterator[Session]:
    """Look into the database, beside the service."""
    own = Settings.from_environment({"DATABASE_URL": url, "INVITE_CODE_PEPPER": PEPPER})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "settings", lambda: own)
        looked = engine.migration_engine()
        with Session(looked) as session:
            yield session
        looked.dispose()


def family(session: Session) -> list[Someone]:
    """Make three people and their phones: one posts in the clear, two seal what they post."""
    migrate({}, None)
    people = [factories.someone(session, name=name) for name in ("Una", "Ari", "Sif")]
    hearth = factories.group(session, *people, key_version=1)
    return [
        factories.phone(session, hearth, who, tid=tid, key_version=key_version)
        for who, (tid, key_version) in zip(people, PHONES, strict=True)
    ]


@pytest.mark.parametrize("count", [120, pytest.param(1590, marks=pytest.mark.full)])
def test_a_day_of_three_phones_loses_nothing(tmp_path: Path, count: int) -> None:
    chance = random.Random(count)  # noqa: S311 -- the same day in every run
    days = [day(chance, tid, count) for tid, _ in PHONES]
    directory = tmp_path / "postgres"
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres(directory))
        url = postgres.url("draugar")
        with looking(url) as session:
            devices = family(session)
        port, lines = stack.enter_context(served(url, tmp_path / "service"))
        pool = stack.enter_context(ThreadPoolExecutor(len(PHONES)))
        phones = [
            Phone(app, who, port, random.Random(count))  # noqa: S311 -- see above
            for app, who in zip([Android(), Android(key=KEY), Ios(key=KEY)], devices, strict=True)
        ]

        carried = [
            pool.submit(phone.carry, messages) for phone, messages in zip(phones, days, strict=True)
        ]
        until(carried, lambda: sum(phone.delivered for phone in phones) > count)
        os.kill(postgres.pid, signal.SIGKILL)
        postgres.stop()
        until(carried, lambda: all(phone.statuses[503] for phone in phones))
        stack.enter_context(Postgres(directory))
        for work in carried:
            work.result()
        with looking(url) as session:
            kept = stored(session)

    plain, resealed, sealed_once = phones
    assert {status for phone in phones for status in phone.statuses} == {200, 503}
    assert kept[plain.who.device_id] == Counter(dict.fromkeys(plain.sent, 1))
    assert kept[sealed_once.who.device_id] == Counter(dict.fromkeys(sealed_once.sent, 1))
    # Nobody without the key can tell that this one sealed a fix twice.
    assert kept[resealed.who.device_id].keys() == resealed.sent.keys()
    assert kept[resealed.who.device_id] <= resealed.sent
    assert plain.app.friends["un"]["tst"] == max(plain.sent)
    assert resealed.app.friends["si"]["tst"] in sealed_once.sent
    assert sealed_once.app.friends["ar"]["tst"] in resealed.sent
    answered = [json.loads(line) for line in lines if '"/owntracks"' in line]
    assert {line["roundTrips"] for line in answered if line["status"] == 200} == {1}


def until(carried: list[Future[None]], condition: Callable[[], bool]) -> None:
    """Wait while the phones are at work."""
    while not condition():
        for work in carried:
            if work.done():
                work.result()
        time.sleep(0.01)


def stored(session: Session) -> dict[Any, Counter[int]]:
    """Return how often each fix is kept, by device and the time it was made."""
    found: dict[Any, Counter[int]] = {}
    for point in session.scalars(select(Location)):
        at = int(point.recorded_at.timestamp())
        if point.encrypted_data is not None:
            opened = json.loads(SecretBox(KEY).decrypt(point.encrypted_data))
            if opened["_type"] != "location":
                continue  # the service cannot tell, and keeps it
            at = opened["tst"]
        found.setdefault(point.device_id, Counter())[at] += 1
    return found
