"""How many posts eight clients get through, and how much processor time each of them takes.

Eight processes post one point after the other, each for a person of its own:

    ours      as in eight sandboxes of Lambda: one request and one connection at a time
    the twin  eight event loops, each with some requests in flight, and as many connections
    pgbench   our statement, prepared, and nothing else: the database and its protocol

pgbench runs the text of our statement with its parameters as variables; they hold a point without
an id, for which the database makes one, so every transaction stores another. As a client keeps its
variables, each is a pgbench of its own.

Clients and server share the machine's cores. How much a post takes of them depends less on who
else is there than how many there are in a second, so both are told. Linux only: the server's
processor time is read from /proc.
"""

import json
import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from statistics import median
from unittest.mock import patch

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bench.figures import Figure, ratio
from bench.scene import Handler, scene
from bench.twin import PATH, Twin, asgi_request
from chalicelib.db import OneStatement
from chalicelib.db.engine import migration_engine
from scripts.postgres import PROGRAMS
from tests.factories import group, plain_point, someone
from tests.faults.processes import Processes

CLIENTS = 8
IN_FLIGHT = 8
"""For each of the twin's processes: the best for it of 1, 4 and 8, by a little, on two cores."""

_MOST_A_SECOND = 1000  # for each process; requests are made before the time begins
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Work:
    """What a process is to do: post for a person, for so many seconds."""

    url: str
    token: str
    seconds: float

    def bodies(self) -> Iterable[str]:
        """Yield the bodies of more posts than there is time for."""
        for _ in range(int(self.seconds * _MOST_A_SECOND)):
            yield json.dumps(plain_point())


@dataclass(frozen=True)
class Load:
    """Posts in a second, and the milliseconds of processor time of one: clients', server's."""

    rate: float
    client: float
    server: float = 0


class Meter:
    """Counts posts until their time is over."""

    def __init__(self, seconds: float) -> None:
        self._posts = 0
        self._cpu, self._begun = time.process_time(), time.perf_counter()
        self._end = self._begun + seconds

    def count(self) -> bool:
        """Count one, and return whether there is time for another."""
        self._posts += 1
        return time.perf_counter() < self._end

    def load(self) -> Load:
        """Return what it came to."""
        elapsed, cpu = time.perf_counter() - self._begun, time.process_time() - self._cpu
        return Load(self._posts / elapsed, cpu / self._posts * 1000)


def post_to_ours(work: Work) -> Load:
    """Post to the service of this process."""
    _send_the_log_nowhere()
    handler = Handler(work.token)
    events = [handler.event("POST", PATH, body) for body in work.bodies()]
    meter = Meter(work.seconds)
    for event in events:
        handler(event)
        if not meter.count():
            break
    return meter.load()


def post_to_twin(work: Work) -> Load:
    """Post to the twin of this process."""
    _send_the_log_nowhere()
    twin = _twin(work.url)
    requests = iter([asgi_request(work.token, body) for body in work.bodies()])
    meter = Meter(work.seconds)

    async def post() -> None:
        for sent in requests:
            status, text = await twin.post(sent)
            if status != HTTPStatus.OK:
                raise RuntimeError(text)
            if not meter.count():
                return

    twin.run(*(post() for _ in range(IN_FLIGHT)))
    return meter.load()


@cache
def _twin(url: str) -> Twin:
    return Twin(url, connections=IN_FLIGHT)


@cache
def _send_the_log_nowhere() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


_RATE = "posts a second"
_TOLD: list[tuple[str, str, Callable[[Load], float]]] = [
    (_RATE, "1/s", lambda load: load.rate),
    ("posts a second of processor time", "1/s", lambda load: 1000 / (load.client + load.server)),
    ("clients' processor time of a post", "ms", lambda load: load.client),
    ("server's processor time of a post", "ms", lambda load: load.server),
]


class PgBench:
    """One pgbench for each person."""

    def __init__(self, url: str, tokens: Iterable[str], script: Path) -> None:
        self._url = url
        self._script = script
        self._variables = []
        for token in tokens:
            text, variables = _statement(token)
            self._variables.append([f"-D{name}={value}" for name, value in variables.items()])
        script.write_text(f"{text};\n")

    def post(self, seconds: float) -> Load:
        """Post for so many seconds, a whole number."""
        cpu = _used_by_children()
        processes = [
            subprocess.Popen(  # noqa: S603 -- our own program
                [
                    *(PROGRAMS / "pgbench", "--no-vacuum", "--protocol=prepared"),
                    *(f"--time={seconds:.0f}", f"--file={self._script}", *variables, self._url),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for variables in self._variables
        ]
        rate = sum(_rate(process.communicate()[0]) for process in processes)
        return Load(rate, (_used_by_children() - cpu) / (rate * seconds) * 1000)


def _rate(output: str) -> float:
    found = _TPS.search(output)
    if found is None:
        raise RuntimeError(output)
    return float(found[1])


def _statement(token: str) -> tuple[str, dict[str, str]]:
    """Return the statement of a post with `:name` for each parameter, and their values."""
    handler = Handler(token)
    point = plain_point()
    del point["id"]
    execute = OneStatement.execute
    with patch.object(OneStatement, "execute", autospec=True, side_effect=execute) as seen:
        handler(handler.event("POST", PATH, json.dumps(point)))
    _, statement, parameters = seen.call_args.args
    text = re.sub(
        r"\$(\d+)", lambda match: f":{statement.names[int(match[1]) - 1]}", statement.text
    )
    return text, {
        name: rf"\x{value.hex()}" if isinstance(value, bytes) else str(value)
        for name, value in parameters.items()
    }


def _used_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Server:
    """The server's processes, found by a connection to it."""

    def __init__(self, session: Session) -> None:
        backend = session.scalars(select(func.pg_backend_pid())).one()
        self._postmaster = int(_stat(backend)[1])

    def used(self) -> float:
        """Return the seconds of processor time they have used, those that have ended too."""
        process = f"/proc/{self._postmaster}/task/{self._postmaster}"
        ticks = 0
        for child in Path(process, "children").read_text().split():
            with suppress(FileNotFoundError):  # it has just ended, and is added to its parent
                ticks += sum(map(int, _stat(int(child))[11:13]))
        return (ticks + sum(map(int, _stat(self._postmaster)[11:15]))) / _TICKS


def _stat(pid: int) -> list[str]:
    """Return the fields of a process from the third on, its state: see proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def run(*, full: bool) -> list[Figure]:
    """Let the three post in turns."""
    seconds, rounds = (10, 6) if full else (2, 4)
    with (
        scene() as family,
        tempfile.TemporaryDirectory() as directory,
        Session(migration_engine()) as session,
        Processes(family.url, count=CLIENTS) as processes,
    ):
        tokens = list(_loners(session))
        server = Server(session)

        def post_by(function: Callable[[Work], Load], seconds: float) -> Load:
            loads = processes.each(function, [Work(family.url, token, seconds) for token in tokens])
            rate = sum(load.rate for load in loads)
            return Load(rate, sum(load.client * load.rate for load in loads) / rate)

        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            pgbench = PgBench(family.url, tokens, Path(directory, "post.sql"))
        clients: dict[str, Callable[[float], Load]] = {
            "ours": partial(post_by, post_to_ours),
            "twin": partial(post_by, post_to_twin),
            "pgbench": pgbench.post,
        }
        for post in clients.values():
            post(1)  # connected, prepared, compiled
        loads: dict[str, list[Load]] = {name: [] for name in clients}
        for _ in range(rounds):
            for name, post in clients.items():
                used = server.used()
                load = post(seconds)
                server_ms = (server.used() - used) / (load.rate * seconds) * 1000
                loads[name].append(replace(load, server=server_ms))
    return list(_figures(loads))


def _loners(session: Session) -> Iterable[str]:
    """Make people who are each in a group of their own; give their tokens."""
    for _ in range(CLIENTS):
        who = someone(session)
        group(session, who)
        yield who.token
    session.commit()


def _figures(loads: Mapping[str, list[Load]]) -> Iterable[Figure]:
    for theirs, bound in (("twin", 3.0), ("pgbench", None)):
        for name, unit, of in _TOLD:
            values = {who: [of(load) for load in loads[who]] for who in ("ours", theirs)}
            yield Figure(
                section="throughput",
                name=f"{CLIENTS} clients, {name}, against {theirs}",
                value=median(values["ours"]),
                unit=unit,
                against=theirs,
                baseline=median(values[theirs]),
                ratio=ratio(values, "ours", theirs),
                at_least=bound if name == _RATE else None,
            )
