"""The service on a machine of one's own: `make host`.

    python -m scripts.host                    serve, until a signal
    python -m scripts.host founding-link      make an invite for the first member
    python -m scripts.host invoke FUNCTION    run a function, such as a job
    python -m scripts.host backup FILE        write a backup of the database
    python -m scripts.host restore FILE       put a backup in the place of the database
    python -m scripts.host upgrade [VERSION]  write a backup and check a release out
    python -m scripts.host rollback           check the release of before that out

The environment says LISTEN (127.0.0.1:8000), PUBLIC_URL, TRUSTED_PROXIES, DATA_DIR (.local), and
where the database is not to be a PostgreSQL of our own in DATA_DIR, DATABASE_URL or
DATABASE_URL_FILE. What stands in the way is told in one line, with exit status 1.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from chalicelib.jobs.report import JobFailed
from chalicelib.settings import SettingsError
from scripts.host import backup, release
from scripts.host.gateway import Gateway
from scripts.host.options import Options
from scripts.host.server import Address, Server
from scripts.installation import founding_lines, installation, make_command, require_database
from scripts.jobs import Upkeep, run
from scripts.schedule import scheduled_jobs


def serve() -> None:
    """Serve until a signal, or until PostgreSQL or the make that started this is gone."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit)
    make = os.getppid() if "MAKELEVEL" in os.environ else None
    options = Options.read()
    with _listening(options.listen) as listening, installation(start="host") as postgres:
        require_database()
        note, founding = _prepare()
        # Only now, for it reads the settings.
        from app import app  # noqa: PLC0415

        upkeep = Upkeep(scheduled_jobs(app), start="host")
        upkeep.run_due()
        server = Server(
            Gateway(app, options.trusted), listening, largest_body=_largest_body(app.routes)
        )

        def look_around() -> None:
            if make not in (None, os.getppid()):
                server.stop()
            if postgres and postgres.has_ended:
                sys.exit(f"PostgreSQL has ended: see {postgres.log}")

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        upkeep.start()
        try:
            _greet(options, note, founding)
            server.serve(look_around)
        finally:
            upkeep.stop()


def make_founding_link() -> None:
    """Print an invite that founds a group, for the one who typed the command."""
    options = Options.read()
    with installation(start="host", join=True):
        require_database()
        try:
            code = run("create_founding_invite", {})["code"]
        except JobFailed as error:
            sys.exit(f"No founding invite was made: {error}")
    _print_invite(options, code)


def invoke(name: str) -> None:
    """Run a function with the event of a schedule, and print what it answers."""
    with installation(start="host", join=True, makes_codes=name == "create_founding_invite"):
        require_database()
        try:
            print(json.dumps(run(name)))
        except JobFailed as error:
            sys.exit(f"{name} has failed: {error}")


def make_backup(file: str) -> None:
    """Write a backup, also while the service runs."""
    if not file:
        sys.exit("Name the file to write: make backup FILE=...")
    with installation(start="host", join=True, makes_codes=False):
        require_database()
        backup.back_up(os.environ["DATABASE_URL"], Path(file).expanduser())
    print(f"Wrote {file}. Keep it on another machine. It holds who is in which group.")


def restore_backup(file: str) -> None:
    """Put a backup in the place of the database, whose service has been stopped."""
    if not file:
        sys.exit("Name the backup: make restore FILE=...")
    with installation(start="host"):  # a connection of our own would count as a use of it
        before = backup.restore(os.environ["DATABASE_URL"], Path(file).expanduser())
    print(f"Restored {file}. All open invites are revoked, and each group makes a new key.")
    if before:
        print(f"What was there before is in the database {before}, until the next restore.")
    print(f"Start the service: {make_command('host')}")
    print("Then a member of each group whose key is refused: draugar rotate --restored")


def upgrade(version: str) -> None:
    """Write a backup and check another release out."""
    with installation(start="host", join=True, makes_codes=False):
        require_database()
        release.upgrade(os.environ["DATABASE_URL"], version or None)


def _exit(*_: object) -> None:
    sys.exit()


@contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    try:
        listening = address.listen()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        sys.exit(f"LISTEN: {address} cannot be used ({reason}). Choose another: LISTEN=...")
    with listening:
        yield listening
    if address.path is not None:
        Path(address.path).unlink(missing_ok=True)


def _prepare() -> tuple[str | None, str | None]:
    """Migrate; return what is to be said of the schema, and a founding code while one is needed.

    The code is made only for a terminal: elsewhere it would end in a log.
    """
    try:
        note = run("migrate", {}).get("note")
        code = None
        if sys.stdout.isatty():
            code = run("create_founding_invite", {"onlyIfNoUsers": True})["code"]
    except JobFailed as error:
        sys.exit(f"The database could not be prepared, and nothing is served: {error}")
    return note, code


def _greet(options: Options, note: str | None, founding: str | None) -> None:
    if note:
        print(note)
    print(f"Serving on {options.listen}")
    if options.public_url is None:
        print(
            "PUBLIC_URL is not set: links, QR codes and files for phones that are made at this"
            " address work on this computer only. See docs/hosting.md"
        )
    if founding:
        _print_invite(options, founding)
    else:
        print(f"To invite the first member: {make_command('founding-link')}")


def _print_invite(options: Options, code: str) -> None:
    print(*founding_lines(options.url, code), sep="", end="")
    print(f"On a computer: draugar found {options.url} {code} --name NAME")


def _largest_body(routes: dict[str, dict[str, Any]]) -> int:
    largest: int = max(
        entry.view_function.contract.largest_body
        for methods in routes.values()
        for entry in methods.values()
    )
    return largest


def main() -> None:
    """Do what the command line says."""
    try:
        match sys.argv[1:]:
            case []:
                serve()
            case ["founding-link"]:
                make_founding_link()
            case ["invoke", name]:
                invoke(name)
            case ["backup", file]:
                make_backup(file)
            case ["restore", file]:
                restore_backup(file)
            case ["upgrade", version]:
                upgrade(version)
            case ["rollback"]:
                release.roll_back()
            case _:
                sys.exit("make help lists the commands.")
    except SettingsError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
