"""What a service on this machine works with: DATA_DIR, its key for invite codes, its database.

`make run` and `make host` read the same settings: DATA_DIR (.local), and where the database is not
to be a PostgreSQL of our own in DATA_DIR, DATABASE_URL, or DATABASE_URL_FILE, a file that holds it.
"""

import os
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from chalicelib.db import engine
from chalicelib.settings import SettingsError, settings
from scripts.postgres import Postgres, PostgresUnavailable

# What was given, before a value is written there for the functions.
_GIVEN = [name for name in ("DATABASE_URL", "DATABASE_URL_FILE") if os.environ.get(name)]


def make_command(target: str, **variables: str) -> str:
    """Return a command to type, for the same data as this run's; its URL may hold a password."""
    for name in ("DATA_DIR", "STAGE", "DATABASE_URL_FILE"):
        if value := os.environ.get(name):
            variables[name] = value
    words = [f"{name}={value.replace('$', '$$')}" for name, value in variables.items()]
    url = " DATABASE_URL=..." if "DATABASE_URL" in _GIVEN else ""
    return shlex.join(["make", target, *words]) + url


def founding_lines(url: str, code: str | None) -> list[str]:
    """Say how the first member comes in: by the code, and in a browser by the link.

    The end of the link, from the # on, stays in the browser and never reaches the service.
    """
    if code is None:
        return []
    link = [f"Founding link: {url}/#found={code}\n"] if settings().web else []
    return [f"Founding invite: {code}\n", *link]


def data_directory() -> Path:
    """Return where this run's data are."""
    return Path(os.environ.get("DATA_DIR") or ".local").expanduser()


@contextmanager
def installation(
    *, stage: str = "local", start: str = "run", join: bool = False, makes_codes: bool = True
) -> Iterator[Postgres | None]:
    """Give the functions the environment they read; yield the PostgreSQL started for it, if any.

    With `join`, what another run has made in DATA_DIR is used, its PostgreSQL too if that is
    running, and nothing is made there; `start` is the make target of such a run, and `makes_codes`
    says whether what runs needs the key under which that run hashes invite codes. Raises
    SystemExit.
    """
    data_dir = data_directory()
    _read_url_from_its_file()
    try:
        if not join:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not os.environ.get("DATABASE_URL") and not (data_dir / "postgres" / "data").exists():
            sys.exit(
                f"There is no database in {data_dir} yet, and nothing was done."
                f" Start the service there first: {make_command(start)}"
            )
        # Any other stage must bring its own: an invented one would make old invites unreadable.
        if stage == "local" and not os.environ.get("INVITE_CODE_PEPPER"):
            pepper = data_dir / "invite_code_pepper"
            if not join:
                _make_pepper(pepper)
            elif makes_codes and not pepper.exists():
                sys.exit(
                    f"There is no key for invite codes in {data_dir} yet, and nothing was done."
                    f" Start the service there first: {make_command(start)}"
                )
            # What hashes no code takes any key for the settings' sake.
            text = pepper.read_text() if pepper.exists() else secrets.token_urlsafe(32)
            os.environ["INVITE_CODE_PEPPER"] = text
    except OSError as error:
        sys.exit(f"DATA_DIR cannot be used: {error}")

    postgres = None if os.environ.get("DATABASE_URL") else Postgres(data_dir / "postgres")
    started = postgres if postgres and not (join and postgres.is_running) else None
    try:
        with started or nullcontext():
            if postgres:
                os.environ["DATABASE_URL"] = postgres.url("draugar")
            yield started
    except PostgresUnavailable as error:
        sys.exit(str(error))


def require_database() -> None:
    """Check that the database answers. Raises SystemExit, without the URL."""
    try:
        engine.connect().close()
    except SettingsError as error:
        sys.exit(str(error))
    except (DBAPIError, OSError) as error:
        # The driver's own error: SQLAlchemy's adds a paragraph around it.
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        fields = cause.args[0] if cause.args else None
        reason = fields["M"] if isinstance(fields, dict) else cause
        sys.exit(f"The database of DATABASE_URL cannot be used: {reason}")


def _read_url_from_its_file() -> None:
    if "DATABASE_URL_FILE" not in _GIVEN:
        return
    if "DATABASE_URL" in _GIVEN:
        sys.exit("DATABASE_URL and DATABASE_URL_FILE are both set. Leave one of them out.")
    path = Path(os.environ["DATABASE_URL_FILE"]).expanduser()
    try:
        url = path.read_text().strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "It is not a text."
        sys.exit(f"DATABASE_URL_FILE cannot be read: {reason}")
    if not url:
        sys.exit("DATABASE_URL_FILE is empty. Write the database's URL into it.")
    os.environ["DATABASE_URL"] = url


def _make_pepper(path: Path) -> None:
    """Make the key that hashes invite codes, once: under another one they are not found again."""
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(32))
        unfinished.rename(path)
