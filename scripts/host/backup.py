"""Backups of the service's database, by PostgreSQL's own programs.

A backup is one file of SQL, compressed by gzip; a plain one of pg_dump is restored too. Both end in
a line by which a file that was cut is seen, which pg_dump's own format does not have. It holds no
group key and no position in clear, but who is in which group. What an older PostgreSQL does not
understand of a newer one's dump is left out.

A restore fills a database of its own, brings that up to date, and takes the place of the present
one only when all of it has succeeded.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

from chalicelib.jobs.report import JobFailed
from chalicelib.settings import DatabaseAddress
from scripts.jobs import run
from scripts.postgres import WHEEL

RESTORING, BEFORE = "_restoring", "_before_restore"
"""What is put behind the database's name while one is filled, and for the one of before."""

_GZIP = b"\x1f\x8b"
_PLAIN = re.compile(rb"--\r?\n-- PostgreSQL database dump\r?\n")
_ENDS_WITHIN = 200  # bytes
_END = b"-- PostgreSQL database dump complete"
_COPY = re.compile(rb"COPY .* FROM stdin;\r?\n")
_UNKNOWN_SETTING = re.compile(rb"SET transaction_timeout = 0;\r?\n")
_RIGHT = re.compile(rb'(?:GRANT|REVOKE) .* (?:TO|FROM) "?([^"\s]+)"?(?: WITH GRANT OPTION)?;\r?\n')
_LONGEST_NAME = 63


def back_up(url: str, file: Path) -> None:
    """Write a backup of a database into a new file. Raises SystemExit; then there is no file."""
    if file.exists():
        sys.exit(f"{file} exists already, and nothing was written. Name another file: FILE=...")
    address = DatabaseAddress.parse(url)
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        failed = _fails(
            [
                *(_program("pg_dump", address), "--no-owner", "--compress=6"),
                f"--file={unfinished}",
            ],
            libpq(address),
        )
        if failed:
            sys.exit(f"No backup was made: {failed}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(file)
    except OSError as error:
        sys.exit(f"No backup was made: {file} cannot be written ({error.strerror}).")
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def restore(url: str, file: Path) -> str | None:
    """Put what a backup holds in the place of a database.

    Returns the name of the database that holds what was there before, if there was something. No
    other program may use the database meanwhile. Raises SystemExit; then nothing has changed.
    """
    present = DatabaseAddress.parse(url)
    restoring, before = (
        replace(present, database=present.database + end) for end in (RESTORING, BEFORE)
    )
    if len(before.database.encode()) > _LONGEST_NAME:
        sys.exit("Nothing was restored: the database's name is too long for another one beside it.")
    _require_backup(file)
    if not _ask(present, _HAS_TABLES):
        _fill(present, file)
        return None
    beside = replace(present, database="postgres")
    _require_unused(present)
    _ask(beside, _MAKE, name=restoring.database)
    try:
        _fill(restoring, file)
        _require_unused(present)
        _ask(
            beside,
            _SWAP,
            present=present.database,
            restoring=restoring.database,
            before=before.database,
        )
    except BaseException:
        with suppress(SystemExit):
            _ask(beside, _DROP, name=restoring.database)
        raise
    return before.database


_HAS_TABLES = "SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace LIMIT 1;"
_USERS = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() LIMIT 1;
"""
_DROP = 'DROP DATABASE IF EXISTS :"name";'
_MAKE = f"""{_DROP}
    CREATE DATABASE :"name" TEMPLATE template0 ENCODING 'UTF8';"""
_SWAP = """DROP DATABASE IF EXISTS :"before";
    BEGIN;
    ALTER DATABASE :"present" RENAME TO :"before";
    ALTER DATABASE :"restoring" RENAME TO :"present";
    COMMIT;"""


def _ask(address: DatabaseAddress, statements: str, **names: str) -> str:
    """Run statements and return what they answer. Raises SystemExit."""
    done = subprocess.run(
        [
            *_psql(address),
            "--tuples-only",
            "--no-align",
            *(f"--set={k}={v}" for k, v in names.items()),
        ],
        env=libpq(address),
        input=statements.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"Nothing was restored: {_reason(done.stderr)}")
    return done.stdout.decode().strip()


def _require_unused(address: DatabaseAddress) -> None:
    if _ask(address, _USERS):
        sys.exit(
            "Nothing was restored: the database is in use. Stop the service and all else that uses"
            " it, and restore again."
        )


def _fill(address: DatabaseAddress, file: Path) -> None:
    """Restore into an empty database, and bring that up to date. Raises SystemExit."""
    roles = set(_ask(address, "SELECT rolname FROM pg_roles;").encode().split(b"\n"))
    if failed := _load(address, file, roles):
        sys.exit(f"Nothing was restored: {failed}")
    variables = {"DATABASE_URL": _url(address)}
    try:
        run("migrate", {}, variables)
        run("after_restore", {}, variables)
    except JobFailed as error:
        sys.exit(f"Nothing was restored: {error}")


def _load(address: DatabaseAddress, file: Path, roles: set[bytes]) -> str | None:
    """Send the statements of a backup to a database, all or none; return why that failed."""
    command: list[str | Path] = [*_psql(address), "--single-transaction", "--output=/dev/null"]
    psql = subprocess.Popen(
        command,
        env=libpq(address),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert psql.stdin is not None  # noqa: S101 -- it is a pipe
    try:
        with _open(file) as lines, suppress(BrokenPipeError):  # then it has said why
            psql.stdin.writelines(understood(lines, roles))
        errors = psql.communicate()[1]
    finally:
        psql.kill()
        psql.wait()
    return _reason(errors) if psql.returncode else None


def understood(lines: Iterable[bytes], roles: set[bytes]) -> Iterator[bytes]:
    """Leave out of a dump what a server does not know: a newer one's setting, and other roles."""
    is_data = False
    for line in lines:
        if is_data:
            is_data = line.rstrip(b"\r\n") != rb"\."
        elif _COPY.fullmatch(line):
            is_data = True
        elif _UNKNOWN_SETTING.fullmatch(line) or (
            (right := _RIGHT.fullmatch(line)) and right[1] not in roles | {b"PUBLIC"}
        ):
            continue
        yield line


def _open(file: Path) -> IO[bytes]:
    with file.open("rb") as opened:
        is_compressed = opened.read(len(_GZIP)) == _GZIP
    return cast("IO[bytes]", gzip.open(file)) if is_compressed else file.open("rb")


def _require_backup(file: Path) -> None:
    """Read it to its end, so that a damaged one is seen before anything is done."""
    begin, end = b"", b""
    try:
        with _open(file) as dump:
            while piece := dump.read(1 << 20):
                begin = begin or piece
                end = (end + piece)[-_ENDS_WITHIN:]
    except (EOFError, gzip.BadGzipFile, zlib.error):
        end = b""
    except OSError as error:
        sys.exit(f"Nothing was restored: {file} cannot be read ({error.strerror}).")
    if not _PLAIN.match(begin) or _END not in end:
        sys.exit(
            f"Nothing was restored: {file} is no backup that make backup has written, or a damaged"
            " one."
        )


def _fails(command: list[str | Path], environment: Mapping[str, str]) -> str | None:
    """Run one of PostgreSQL's programs; return why it has failed, if it has."""
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    return _reason(done.stderr) if done.returncode else None


def _program(name: str, address: DatabaseAddress) -> Path:
    """Return one of PostgreSQL's programs, for a database. Raises SystemExit.

    Those of the wheel have no TLS.
    """
    if address.sslmode == "disable":
        return WHEEL / name
    found = shutil.which(name)
    if found is None:
        sys.exit(
            f"The database is reached by TLS, for which {name} has to be installed: on Debian, the"
            " package postgresql-client, of the server's version or later. Nothing was done."
        )
    return Path(found)


def _psql(address: DatabaseAddress) -> list[str | Path]:
    return [_program("psql", address), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]


def _reason(errors: bytes) -> str:
    """Return what a program says in the first line of its errors, without a row's values."""
    first = next(iter(errors.decode(errors="replace").splitlines()), "it was ended")
    return re.sub(r"^(?:\S+: )?(?:<stdin>:\d+: |psql:\S* )?(?:error: |ERROR: +)", "", first)


def libpq(address: DatabaseAddress) -> dict[str, str]:
    """Return the environment by which PostgreSQL's programs reach a database.

    A command line would show the password to every user of the machine.
    """
    root = address.sslrootcert or ("system" if address.sslmode == "verify-full" else None)
    return {
        "LC_ALL": "C",
        "PGHOST": address.host,
        "PGPORT": str(address.port),
        "PGUSER": address.user,
        "PGDATABASE": address.database,
        "PGSSLMODE": address.sslmode,
        "PGAPPNAME": address.application_name,
        "PGCLIENTENCODING": "UTF8",
        "PGCHANNELBINDING": address.channel_binding,
        **({"PGPASSWORD": address.password} if address.password else {}),
        **({"PGSSLROOTCERT": root} if root else {}),
    }


def _url(address: DatabaseAddress) -> str:
    """Return the URL of a database on the same server as that of DATABASE_URL."""
    user = quote(address.user, safe="")
    if address.password:
        user += f":{quote(address.password, safe='')}"
    options = {
        "host": address.host,
        "port": address.port,
        "sslmode": address.sslmode,
        "channel_binding": address.channel_binding,
        "application_name": address.application_name,
    }
    if address.sslrootcert:
        options["sslrootcert"] = address.sslrootcert
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in options.items())
    return f"postgresql://{user}@/{quote(address.database, safe='')}?{query}"
