"""As much load as the machine bears, on functions as Lambda runs them and a database that dies.

Every client has a process of the function to itself, behind AWS's own runtime client, and waits
for each answer before it asks again: so all processes always have something to do. The processes
hold nothing but the service and that runtime, so their memory is the service's.
"""

import os
import platform
import re
import signal
import sysconfig
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from math import sqrt
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import fmean
from threading import Event, Thread
from traceback import format_exc
from typing import Any, NamedTuple, Self

from scripts.package import PROJECT
from scripts.postgres import Postgres
from tests.bundle.runtime import Declared, Function, http_event, install_client, schedule_event
from tests.database import PEPPER, connect
from tests.faults.crowd import Client, Person, deal
from tests.faults.ledger import WITNESS, Ledger, Request, Rows, check, quantile

JOBS = ("purge_expired_invites", "maintain_locations")
_SEED = 2026
_AWAY = "temporarily_unavailable"
_ALL = "all"
_ENOUGH = 20
"""So many requests of a kind make a median."""
_FAMILY = 4
_context = get_context("forkserver")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long, how much, and what goes wrong meanwhile.

    `restarts` are the parts of the time after which the database is stopped, and how: "orderly" or
    "killed". Seconds all.
    """

    seconds: float
    unloaded: float
    clients: int
    families: int
    restarts: Mapping[float, str]
    rotate_every: float
    part_every: float
    jobs_every: float
    warm_up: float
    sample_every: float


class Restart(NamedTuple):
    """When the database was stopped, and when it accepted connections again."""

    how: str
    begun: float
    accepting: float


class Slope(NamedTuple):
    """Megabytes an hour with the standard error, and the megabytes at the beginning and end."""

    per_hour: float
    error: float
    first: float
    last: float

    @classmethod
    def of(cls, samples: list[tuple[float, float]]) -> "Slope":
        """Fit a line to (seconds, megabytes) by least squares."""
        times, values = zip(*samples, strict=True)
        mean_time, mean_value = fmean(times), fmean(values)
        spread = sum((at - mean_time) ** 2 for at in times)
        slope = sum((at - mean_time) * (value - mean_value) for at, value in samples) / spread
        rest = sum((value - mean_value - slope * (at - mean_time)) ** 2 for at, value in samples)
        error = sqrt(rest / max(1, len(samples) - 2) / spread)
        return cls(slope * 3600, error * 3600, values[0], values[-1])


@dataclass
class Outcome:
    """What came of it."""

    plan: Plan
    elapsed: float
    wrong: Counter[str]
    requests: Counter[tuple[str, str]]
    """By kind and outcome, under load."""
    unavailable: int
    """503s that no restart explains."""
    restarts: list[dict[str, Any]]
    """How, seconds without a database, and seconds to the first success after, and to each's."""
    rotations: int
    departures: int
    joins: int
    stored: int
    repeated: int
    jobs: Counter[tuple[str, str]]
    resident: list[Slope]
    private: list[Slope]
    backends: list[tuple[float, float]]
    """Private megabytes of the server's processes that served, at first and in the end."""
    latency: dict[str, dict[str, float]]
    """By kind, in milliseconds, of what was not answered 503."""
    machine: dict[str, Any]

    @property
    def rate(self) -> float:
        """Requests in a second."""
        return self.requests.total() / self.elapsed

    def report(self) -> dict[str, Any]:
        """Return everything as JSON values."""

        def joined(counts: Counter[tuple[str, str]]) -> dict[str, int]:
            return {" ".join(names): count for names, count in sorted(counts.items())}

        return asdict(self) | {
            "plan": asdict(self.plan) | {"restarts": dict(self.plan.restarts)},
            "wrong": dict(self.wrong),
            "rate": self.rate,
            "requests": joined(self.requests),
            "jobs": joined(self.jobs),
            "resident": [slope._asdict() for slope in self.resident],
            "private": [slope._asdict() for slope in self.private],
        }


class Functions:
    """The functions of the project, each started by its name on one database."""

    def __init__(self, directory: Path, url: str) -> None:
        self._client = install_client(directory)
        self._environment = {"DATABASE_URL": url, "INVITE_CODE_PEPPER": PEPPER}

    def api(self) -> Function:
        """Return a process that serves requests."""
        return self._function("app.app", 1024)

    def job(self, name: str) -> Function:
        """Return a process of a job."""
        return self._function(f"chalicelib.jobs.{name}.{name}", 512, DATABASE_TIMEOUT_SECONDS="60")

    def _function(self, handler: str, megabytes: int, **variables: str) -> Function:
        return Function(
            PROJECT,
            Declared(handler, megabytes, variables),
            client=self._client,
            environment=self._environment,
            path=(Path(sysconfig.get_path("purelib")),),
        )


def endure(plan: Plan, directory: Path) -> Outcome:
    """Carry a plan out, and return what came of it."""
    load_before = os.getloadavg()[0]
    with ExitStack() as stack:
        server = _Server(directory / "postgres")
        stack.callback(server.stop)
        functions = Functions(directory / "client", server.url)
        with functions.job("migrate") as migrate:
            migrate.invoke({})
        with connect(server.url) as operator:
            for statement in WITNESS:
                operator.run(statement)
        # Nothing starts any more while something is measured.
        workers = [
            stack.enter_context(_Worker(functions, seed)) for seed in range(1, plan.clients + 1)
        ]
        api = stack.enter_context(functions.api())
        jobs = stack.enter_context(_Jobs(functions, every=plan.jobs_every))
        alone = Client(api, [], _SEED)
        _found_families(alone, functions, plan.families)
        load = _Load(plan, server, workers)
        begun = time.monotonic()
        alone.work(
            lambda: time.monotonic() >= begun + plan.unloaded,
            rotate_every=plan.unloaded,
            part_every=plan.unloaded / 2,
        )
        unloaded = [request for request in alone.ledger.requests if request.begun >= begun]

        hands = deal(alone.people, plan.clients, _SEED)
        with jobs.running():
            ledgers = load.run(hands)

        whole = Ledger()
        for ledger in ledgers:
            whole.add(ledger)
        loaded = whole.requests[:]
        counts = len(whole.rotated), len(whole.departed), len(whole.joined)
        whole.add(alone.ledger)
        alone.ledger = Ledger()
        founders = [person for hand in hands for person in hand if person.is_founder]
        shown = {who.group_id: alone.read_whole_history(who) for who in founders}
        whole.wrong += alone.ledger.wrong
        for name in JOBS:
            jobs.run(name)
        rows = Rows.of(server.url)
        return Outcome(
            plan=plan,
            elapsed=max(request.ended for request in loaded) - load.begun,
            wrong=check(whole, rows) + _unlike(shown, rows) + jobs.failures(load),
            requests=Counter((request.kind, request.outcome) for request in loaded),
            unavailable=sum(
                request.outcome == _AWAY and not load.is_disturbed(request.begun, request.ended)
                for request in loaded
            ),
            restarts=[_told(restart, ledgers) for restart in load.restarts],
            rotations=counts[0],
            departures=counts[1],
            joins=counts[2],
            stored=len(rows.locations),
            repeated=whole.repeated,
            jobs=jobs.counts,
            resident=[Slope.of(samples) for samples in load.resident],
            private=[Slope.of(samples) for samples in load.private],
            backends=sorted(load.backends.values()),
            latency=dict(_latency(loaded, unloaded, load)),
            machine=_machine(server.url) | {"load before": load_before},
        )


def _found_families(client: Client, functions: Functions, count: int) -> None:
    """Make families of four, each with a phone; every fourth shows everybody where it is."""
    with functions.job("create_founding_invite") as invites:
        for number in range(count):
            code = invites.invoke({}).payload["code"]
            founder = client.found(code, f"Family {number}", seals=number % 4 != 3)
            client.people.append(founder)
            for _ in range(_FAMILY - 1):
                client.people.append(client.bring_in(founder))
            client.add_phone(client.people[-1])
    # OwnTracks counts whole seconds. A founder is not shown what another member recorded before
    # the group was there, and a report of this very second says that it was.
    time.sleep(1 - time.time() % 1)


class _Server:
    """PostgreSQL with the settings of an installation: what it has committed is on the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._postgres = Postgres(directory).__enter__()
        self.url = self._postgres.url("draugar")

    def stop(self) -> None:
        self._postgres.stop()

    def restart(self, how: str) -> Restart:
        """Stop it and start it again."""
        begun = time.monotonic()
        if how == "killed":
            for pid in [self._postgres.pid, *self.processes()]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            os.kill(self._postgres.pid, signal.SIGINT)  # what has been begun is not waited for
            while not self._postgres.has_ended:
                time.sleep(0.01)
        self.stop()
        self._postgres = Postgres(self._directory).__enter__()
        return Restart(how, begun, time.monotonic())

    def processes(self) -> list[int]:
        """Return the ids of the postmaster's children."""
        pid = self._postgres.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]


class _Worker:
    """A client in a process of its own, with a process of the function."""

    def __init__(self, functions: Functions, seed: int) -> None:
        self._pipe, theirs = _context.Pipe()
        self._process = _context.Process(
            target=_labour, args=(theirs, functions, seed), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # which takes the function's process with it
        self._process.join()
        self._pipe.close()

    def receive(self) -> Any:
        """Return what the process tells next. Raises RuntimeError when it has failed."""
        told, fault = self._pipe.recv()
        if fault is not None:
            raise RuntimeError(fault)
        return told

    def begin(self, people: list[Person], plan: Plan) -> None:
        """Let it work."""
        self._pipe.send((people, plan.rotate_every, plan.part_every))

    def end(self) -> None:
        """Let it finish what it is doing, and tell what it has written down."""
        with suppress(BrokenPipeError):  # then it has failed, and told why
            self._pipe.send(None)

    @property
    def has_told(self) -> bool:
        """Whether there is something to receive."""
        return self._pipe.poll()


def _labour(pipe: Pipe, functions: Functions, seed: int) -> None:
    try:
        with functions.api() as function:
            function.invoke(http_event("GET", "/api/health"))
            pipe.send((function.pid, None))
            people, rotate_every, part_every = pipe.recv()
            client = Client(function, people, seed)
            client.work(pipe.poll, rotate_every=rotate_every, part_every=part_every)
            pipe.send((client.ledger, None))
    except Exception:  # noqa: BLE001 -- told to who waits
        pipe.send((None, format_exc()))


class _Jobs:
    """The functions of the schedules."""

    def __init__(self, functions: Functions, *, every: float) -> None:
        self._functions, self._every = functions, every
        self._runs: list[tuple[str, float, float, bool]] = []

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._started = {
            name: self._stack.enter_context(self._functions.job(name)) for name in JOBS
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all of them again and again meanwhile."""
        over = Event()
        thread = Thread(target=self._run_all, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def run(self, name: str) -> None:
        """Run one, as its schedule would."""
        begun = time.monotonic()
        answer = self._started[name].invoke(schedule_event(name))
        self._runs.append((name, begun, time.monotonic(), answer.is_error))

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each was run, and how it ended."""
        return Counter(
            (name, "failed" if is_error else "done") for name, _, _, is_error in self._runs
        )

    def failures(self, load: "_Load") -> Counter[str]:
        """Return the runs that failed though the database was there."""
        return Counter(
            f"job failed: {name}"
            for name, begun, ended, is_error in self._runs
            if is_error and not load.is_disturbed(begun, ended)
        )

    def _run_all(self, over: Event) -> None:
        while True:
            for name in JOBS:
                self.run(name)
            if over.wait(self._every):
                return


class _Load:
    """The time of the load itself: samples of memory, and restarts."""

    def __init__(self, plan: Plan, server: _Server, workers: list[_Worker]) -> None:
        self._plan, self._server, self._workers = plan, server, workers
        self.restarts: list[Restart] = []
        self.resident: list[list[tuple[float, float]]] = [[] for _ in workers]
        self.private: list[list[tuple[float, float]]] = [[] for _ in workers]
        self.backends: dict[int, tuple[float, float]] = {}
        self._pids: list[int] = [worker.receive() for worker in workers]

    def run(self, hands: list[list[Person]]) -> list[Ledger]:
        """Let all work until the time and the restarts are over; return what they wrote down."""
        self.begun = time.monotonic()
        until = self.begun + self._plan.seconds
        for worker, people in zip(self._workers, hands, strict=True):
            worker.begin(people, self._plan)
        due = sorted(self._plan.restarts.items())
        while ((now := time.monotonic()) < until or due) and not any(
            worker.has_told for worker in self._workers
        ):
            if due and now - self.begun >= due[0][0] * self._plan.seconds:
                self.restarts.append(self._server.restart(due.pop(0)[1]))
            self._sample()
            time.sleep(self._plan.sample_every)
        for worker in self._workers:
            worker.end()
        return [worker.receive() for worker in self._workers]

    def is_disturbed(self, begun: float, ended: float) -> bool:
        """Whether the database was away at some time between."""
        return any(
            restart.begun <= ended and begun <= restart.accepting for restart in self.restarts
        )

    def _sample(self) -> None:
        at = time.monotonic() - self.begun
        if at >= self._plan.warm_up:
            for number, pid in enumerate(self._pids):
                resident, private = _megabytes(pid)
                self.resident[number].append((at, resident))
                self.private[number].append((at, private))
        for pid in self._server.processes():
            with suppress(FileNotFoundError, KeyError):  # it has just ended
                _, private = _megabytes(pid)
                self.backends[pid] = (self.backends.get(pid, (private,))[0], private)


def _megabytes(pid: int) -> tuple[float, float]:
    """Return the memory of a process: all that is resident, and what is its own."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB$", status, re.MULTILINE))
    return int(found["VmRSS"]) / 1024, int(found["RssAnon"]) / 1024


def _unlike(shown: Mapping[str, set[str]], rows: Rows) -> Counter[str]:
    """Compare what members are shown in the end with what is stored."""
    stored: dict[str, set[str]] = defaultdict(set)
    for id_, group_id, *_ in rows.locations:
        stored[group_id].add(id_)
    return Counter(
        f"history that is not what is stored: {len(ids)} shown, {len(stored[group_id])} stored"
        for group_id, ids in shown.items()
        if ids != stored[group_id]
    )


def _told(restart: Restart, ledgers: list[Ledger]) -> dict[str, Any]:
    firsts = [
        min(
            request.ended
            for request in ledger.requests
            if request.ended >= restart.accepting and request.outcome != _AWAY
        )
        - restart.accepting
        for ledger in ledgers
    ]
    away = restart.accepting - restart.begun
    return {"how": restart.how, "away": away, "first": min(firsts), "last": max(firsts)}


def _latency(
    loaded: list[Request], unloaded: list[Request], load: _Load
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield percentiles of each kind, and of all together."""
    answered = [request for request in loaded if request.outcome != _AWAY]
    times = _by_kind(answered)
    calm = _by_kind(
        request for request in answered if not load.is_disturbed(request.begun, request.ended)
    )
    alone = _by_kind(unloaded)
    for kind, values in sorted(times.items()):
        told = {"count": float(len(values)), "most": max(values)}
        told |= {f"p{share}": quantile(values, share / 100) for share in (50, 90, 99)}
        if calm[kind]:
            told["p99 without restarts"] = quantile(calm[kind], 0.99)
        if len(alone[kind]) >= _ENOUGH:
            base = quantile(alone[kind], 0.5)
            told |= {"unloaded p50": base, "ratio": told["p99"] / base}
            if calm[kind]:
                told["ratio without restarts"] = told["p99 without restarts"] / base
        yield kind, told


def _by_kind(requests: Iterable[Request]) -> dict[str, list[float]]:
    """Return milliseconds by kind, and all of them."""
    times: dict[str, list[float]] = defaultdict(list)
    for request in requests:
        for kind in (request.kind, _ALL):
            times[kind].append(request.milliseconds)
    return times


def _machine(url: str) -> dict[str, Any]:
    with connect(url) as operator:
        settings = {
            name: operator.run(f"SHOW {name}")[0][0]
            for name in ("server_version", "fsync", "synchronous_commit", "max_connections")
        }
        # Since the last crash.
        ((deadlocks,),) = operator.run("SELECT sum(deadlocks)::int FROM pg_stat_database")
    return settings | {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "deadlocks": deadlocks,
    }
