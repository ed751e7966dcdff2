"""The command line as somebody uses it: a process of its own for each command.

Those without a terminal are forked from a server that has imported the command line already: a
test gives many, and each would take a third of a second for that alone.
"""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.faults.processes import forkserver

DRAUGAR = Path(sys.executable).with_name("draugar")
PATIENCE = 60.0
"""Seconds; a command takes one, and a machine may be busy."""


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: object
    out: str
    err: str

    @property
    def told(self) -> str:
        """What stderr says, in one line and without the notice of where secrets are kept."""
        lines = [line for line in self.err.splitlines() if "no keyring" not in line]
        return " ".join(" ".join(lines).split())


Type = Callable[..., Result]
"""Runs a command of a person, by their name, in the process of the test."""


def _hear_interrupts() -> None:
    # A shell starts what runs in the background with interrupts ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Person:
    """Somebody with a home, at a terminal or behind a pipe."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, *arguments: object, stdin: str = "", wait: float | None = None, **environment: str
    ) -> Result:
        """Run a command with its output going to files."""
        patience = () if wait is None else ("--wait", str(wait))
        directory = self._directory()
        with TemporaryDirectory() as streams:
            given, out, err = (Path(streams) / name for name in ("in", "out", "err"))
            given.write_text(stdin)
            process = forkserver.Process(
                target=_run,
                args=(
                    [*map(str, arguments), *patience],
                    self._environment(environment),
                    directory,
                    (given, out, err),
                ),
            )
            process.start()
            process.join(PATIENCE)
            if process.exitcode is None:
                process.kill()
            assert process.exitcode is not None, f"It took {PATIENCE} s"
            result = Result(process.exitcode, out.read_text(), err.read_text())
        assert "Traceback" not in result.err, result.err
        return result

    def does(self, *arguments: object, stdin: str = "") -> str:
        """Run a command that has to succeed, and return its answer."""
        result = self(*arguments, stdin=stdin)
        assert result.code == 0, result.err
        return result.out

    def reads(self, *arguments: object, stdin: str = "") -> Any:
        """Run a command that has to succeed, and return its answer in JSON."""
        return json.loads(self.does(*arguments, "--json", stdin=stdin))

    def fails(self, *arguments: object, code: int = 1, stdin: str = "", **more: Any) -> str:
        """Run a command that has to fail, and return what is told: one or two lines."""
        result = self(*arguments, stdin=stdin, **more)
        assert result.code == code, result
        assert result.out == ""
        return result.told

    def at_terminal(
        self,
        *arguments: object,
        columns: int = 80,
        types: str = "",
        interrupted_when: Callable[[int], object] | None = None,
        **environment: str,
    ) -> Result:
        """Run a command on a terminal, of whose two streams the screen makes one.

        `interrupted_when` waits, given the id of the process, for the moment of Ctrl-C.
        """
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        process = subprocess.Popen(
            [DRAUGAR, *map(str, arguments)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=self._environment({"TERM": "xterm-256color"} | environment),
            cwd=self._directory(),
            start_new_session=True,
            preexec_fn=_hear_interrupts,  # noqa: PLW1509 -- it makes a single call
        )
        os.close(terminal)
        if types:
            os.write(screen, types.encode())
        if interrupted_when is not None:
            interrupted_when(process.pid)
            process.send_signal(signal.SIGINT)
        shown = b""
        with suppress(OSError):  # which is how a terminal ends
            while piece := os.read(screen, 65536):
                shown += piece
        os.close(screen)
        return Result(process.wait(PATIENCE), shown.decode().replace("\r\n", "\n"), "")

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return (
            kept
            | {"HOME": str(self._directory()), "TZ": "UTC", "DRAUGAR_KEYRING": "file"}
            | {"DRAUGAR_HOME": str(self.home)}
            | self.environment
            | more
        )

    def _directory(self) -> Path:
        """Where commands run, and write what they write."""
        self.home.parent.mkdir(parents=True, exist_ok=True)
        return self.home.parent


def _run(
    arguments: Sequence[str], environment: dict[str, str], directory: Path, streams: Sequence[Path]
) -> None:
    from draugar.cli.app import main  # noqa: PLC0415 -- it is loaded in the process that forks

    for number, stream in enumerate(streams):
        os.dup2(os.open(stream, os.O_RDWR | os.O_CREAT), number)
    sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 -- for as long as it runs
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(directory)
    sys.argv = ["draugar", *arguments]
    main()
