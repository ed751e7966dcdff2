"""The functions that run without a request, each in a process of its own.

    python -m scripts.jobs FUNCTION

This is the process: it reads an event, one line of JSON, from standard input, writes one line of
JSON, `{"answer": ...}` or `{"failed": "why"}`, to standard output, and the log to standard error.
It loads what Lambda loads for the function, and ends when its standard input does, so that no job
outlives the service that has started it.

`Upkeep` runs the scheduled ones for `make run` and `make host`. Of several instances on one
database, the one that holds a lock there runs them.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import IO, Any
from uuid import uuid4

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chalicelib.db.engine import migration_engine
from chalicelib.errors import Problem
from chalicelib.jobs.report import JobFailed
from chalicelib.settings import SettingsError
from scripts.installation import make_command
from scripts.schedule import Job, Schedule

PROJECT = Path(__file__).resolve().parent.parent
FAILURES = (Problem, SettingsError, JobFailed)
"""What a function raises: with texts for a person, without values."""

LOOKS_EVERY = 1.0  # seconds
ASKS_EVERY = 60.0  # seconds, while another instance holds the lock or the database is away
_LOCK = int.from_bytes(b"upkeep")  # of advisory locks; migrations/env.py has one of its own


class Process:
    """A function in a process of its own."""

    def __init__(
        self, name: str, *, log: IO[str] | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.jobs", name],
            cwd=PROJECT,
            env=os.environ | _variables(name) | dict(variables or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log or subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is the caller's to act on
        )

    def answer(self, event: dict[str, Any] | None = None) -> Any:
        """Return what the function answers; without an event, to its schedule's.

        Raises JobFailed, whose text holds nothing of anybody.
        """
        with self._process as process:
            assert process.stdin is not None  # noqa: S101 -- it is a pipe
            assert process.stdout is not None  # noqa: S101 -- it is a pipe
            with suppress(BrokenPipeError):  # it was stopped, or has failed to start
                process.stdin.write(json.dumps(_scheduled() if event is None else event) + "\n")
                process.stdin.flush()
            line = process.stdout.readline()
            with suppress(BrokenPipeError):
                process.stdin.close()
        if not line:
            raise JobFailed("its process has ended without an answer")
        said = json.loads(line)
        if "failed" in said:
            raise JobFailed(said["failed"])
        return said["answer"]

    def stop(self) -> None:
        """End the process at once; what its function has not committed is undone."""
        self._process.kill()


def run(
    name: str, event: dict[str, Any] | None = None, variables: Mapping[str, str] | None = None
) -> Any:
    """Run a function, with variables of its own, and return its answer. Raises JobFailed."""
    return Process(name, variables=variables).answer(event)


class Turn:
    """A lock in the database, held by at most one of the instances that work on it.

    It belongs to a connection, so PostgreSQL gives it up when its holder dies. A pooler that shares
    one connection between several clients would grant it to more than one of them.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def is_ours(self) -> bool:
        """Take the lock, or see that we still hold it. Raises DBAPIError or OSError."""
        try:
            if self._connection is None:
                self._connection = (
                    migration_engine(timeout=ASKS_EVERY)
                    .connect()
                    .execution_options(isolation_level="AUTOCOMMIT")
                )
            # Once more by its holder, it is granted again.
            ours = self._connection.scalar(
                text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}
            )
        except (DBAPIError, OSError):
            self.give_up()
            raise
        if not ours:
            self.give_up()
        return bool(ours)

    def give_up(self) -> None:
        """Let another instance take the lock."""
        if self._connection is not None:
            with suppress(DBAPIError, OSError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None


class Upkeep:
    """Runs the scheduled jobs: at the start, and then beside the requests when they are due."""

    def __init__(self, jobs: Sequence[Job], *, start: str) -> None:
        self._schedule = Schedule(jobs)
        self._turn = Turn()
        self._invoke = "invoke" if start == "run" else f"{start}-invoke"
        self._stopping = Event()
        self._lock = Lock()  # of the next
        self._process: Process | None = None
        self._asks_again = 0.0  # by time.monotonic
        self._thread = Thread(target=self._keep_on, daemon=True)

    def run_due(self, *, log: IO[str] | None = None) -> None:
        """Run the jobs that are due, if it is this instance's turn. Report failures, a line each.

        What the jobs log is written to `log`.
        """
        if time.monotonic() < self._asks_again or not self._schedule.has_due():
            return
        try:
            is_ours = self._turn.is_ours()
        except (DBAPIError, OSError):
            is_ours = False  # requests say that the database is away; the jobs stay due
        if not is_ours:
            self._asks_again = time.monotonic() + ASKS_EVERY
            return
        for job in self._schedule.take_due():
            try:
                self._run(job.name, log)
            except JobFailed as error:
                if self._stopping.is_set():
                    return
                reason = str(error).rstrip(".")
                print(
                    f"The job {job.name} has failed: {reason}. The service goes on. The job runs"
                    f" again in {job.every.total_seconds() / 3600:.0f} h, or at once by"
                    f" {make_command(self._invoke, FUNCTION=job.name)}",
                    file=sys.stderr,
                )

    def start(self) -> None:
        """Look at the clocks from now on, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Run no further job, and end one that is running."""
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._turn.give_up()

    def _run(self, name: str, log: IO[str] | None) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            self._process = Process(name, log=log)
        try:
            self._process.answer()
        finally:
            with self._lock:
                self._process = None

    def _keep_on(self) -> None:
        while not self._stopping.wait(LOOKS_EVERY):
            self.run_due(log=sys.stdout)


def _variables(name: str) -> dict[str, str]:
    """Return the environment variables that the function has on AWS: its time for a statement."""
    stages = json.loads((PROJECT / ".chalice" / "config.json").read_text())["stages"]
    function = stages["prod"]["lambda_functions"].get(name, {})
    return dict(function.get("environment_variables", {}))


def _scheduled() -> dict[str, Any]:
    """Make the event of a schedule, as EventBridge does."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": "",
        "resources": [],
        "detail": {},
    }


# The process.


def main(name: str) -> None:
    """Run a function on the event in standard input."""
    answers = sys.stdout
    event = json.loads(sys.stdin.readline())
    Thread(target=_end_with_the_caller, daemon=True).start()
    if not re.fullmatch("[a-z_]+", name):
        sys.exit("There is no such function.")
    try:
        with redirect_stdout(sys.stderr):  # what it logs
            function = getattr(importlib.import_module(f"chalicelib.jobs.{name}"), name)
            said = {"answer": function(event, None)}
    except FAILURES as error:
        said = {"failed": str(error)}
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def _end_with_the_caller() -> None:
    # Past Python's buffer, whose lock would hold up an ordinary end.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
