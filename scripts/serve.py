"""The service on this machine: `make run`.

The environment says PORT (8000), DATA_DIR (.local), STAGE (local) and, where the database is not
to be a PostgreSQL of our own in DATA_DIR, DATABASE_URL. Whatever stands in the way is told in one
line, with exit status 1.
"""

import functools
import json
import os
import re
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from http import HTTPStatus
from http.client import HTTPMessage
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple

from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.local import ChaliceRequestHandler, LocalGatewayException
from chalice.test import Client

from chalicelib.db import one_statement
from chalicelib.db.failure import REFUSED_RIGHT, sqlstate
from chalicelib.errors import Problem
from chalicelib.health import service as health
from chalicelib.settings import SettingsError
from chalicelib.web.endpoint import left_out
from scripts.coding import coded
from scripts.installation import (
    founding_lines,
    installation,
    make_command,
    require_database,
)
from scripts.jobs import FAILURES, Upkeep
from scripts.postgres import Postgres
from scripts.schedule import scheduled_jobs

HOST = "127.0.0.1"
PROJECT = str(Path(__file__).resolve().parent.parent)

LARGEST_BODY = 10 * 1024 * 1024  # bytes: API Gateway's limit, above any of the routes' own


class Laptop(NamedTuple):
    """What runs here in the place of Lambda."""

    config: Config
    client: Client
    postgres: Postgres | None
    """The server that was started for this run, if one was."""

    def invoke(self, name: str, payload: dict[str, Any] | None = None) -> Any:
        """Run a function and return its answer; without a payload, as its schedule would.

        Raises Problem, SettingsError or JobFailed, whose texts hold nothing of anybody.
        """
        if payload is None:
            payload = self.client.events.generate_cw_event(
                source="aws.events", detail_type="Scheduled Event", detail={}, resources=[]
            )
        return self.client.lambda_.invoke(name, payload).payload

    def require_schema(self) -> None:
        """Check that the functions find the schema that they work on. Raises SystemExit."""
        try:
            with one_statement() as connection:
                health.check(connection)
        except health.PartitionMissing:
            pass  # the function that is about to run may be the one that makes it
        except health.SchemaNotReady:
            sys.exit(
                "The database has no schema yet, or one that is older than this release."
                f" Nothing was done. Migrate it first: {make_command('invoke', FUNCTION='migrate')}"
            )
        except Problem as error:
            # The roles of the jobs may not read the schema's revision, and work without it.
            if sqlstate(error.__cause__) != REFUSED_RIGHT:
                sys.exit(str(error))


def main() -> None:
    """Serve until a signal, or until PostgreSQL or the make that started this is gone."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # whoever reads it through a pipe waits for it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    make = os.getppid() if "MAKELEVEL" in os.environ else None
    port = _port()
    with _port_needed(port):
        socket.create_server((HOST, port)).close()

    with laptop() as here:
        postgres = here.postgres
        upkeep = Upkeep(scheduled_jobs(here.config.chalice_app), start="run")
        with redirect_stdout(StringIO()):  # what they log
            try:
                migrated = here.invoke("migrate", {})
                founding = here.invoke("create_founding_invite", {"onlyIfNoUsers": True})
            except FAILURES as error:
                sys.exit(f"The database could not be prepared, and nothing is served: {error}")
            upkeep.run_due()
        if "note" in migrated:
            print(migrated["note"])
        print(*founding_lines(f"http://{HOST}:{port}", founding["code"]), sep="", end="")

        def look_around() -> None:
            if _stopping:
                sys.exit()
            if make not in (None, os.getppid()):
                sys.exit()
            if postgres and postgres.has_ended:
                sys.exit(f"PostgreSQL has ended: see {postgres.log}")

        upkeep.start()
        try:
            _serve(here.config, port, look_around)
        finally:
            upkeep.stop()


_stopping: list[int] = []


def _stop(number: int, _frame: object) -> None:
    # Noted too, for an exit that is raised while a module is being compiled is swallowed there.
    _stopping.append(number)
    sys.exit()


@contextmanager
def laptop(*, join: bool = False, makes_codes: bool = True) -> Iterator[Laptop]:
    """Give the functions the environment they read and a database that answers.

    With `join`, what another run has made in DATA_DIR is used; see `installation`. Raises
    SystemExit.
    """
    stage = os.environ.get("STAGE") or "local"
    with installation(stage=stage, join=join, makes_codes=makes_codes) as started:
        config = CLIFactory(PROJECT, environ=os.environ).create_config_obj(stage)
        if stage not in config.config_from_disk["stages"]:
            sys.exit("STAGE must be one of the stages in .chalice/config.json.")
        try:
            app = config.chalice_app
        except SettingsError as error:
            sys.exit(str(error))
        require_database()
        client = Client(app, stage_name=stage, project_dir=PROJECT)
        yield Laptop(config, client, started)


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or int(text) not in range(1, 65536):
        sys.exit("PORT must be a number from 1 to 65535.")
    return int(text)


@contextmanager
def _port_needed(port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        sys.exit(f"Port {port} cannot be used ({reason}). Choose another: make run PORT={port + 1}")


def _serve(config: Config, port: int, look_around: Callable[[], None]) -> None:
    """Serve with Chalice's local server, calling `look_around` twice a second."""
    app = config.chalice_app
    with _port_needed(port):
        # The factory's way, because `chalice local` would poll every file for changes.
        local = CLIFactory(PROJECT).create_local_server(app, config, HOST, port)
    local.server.RequestHandlerClass = functools.partial(Gateway, app_object=app, config=config)
    local.server.socket.listen(128)  # 5 otherwise: a family's phones at once would wait for seconds
    local.server.service_actions = look_around
    print(f"Serving on http://{HOST}:{port}")
    print("Another founding invite: " + make_command("invoke", FUNCTION="create_founding_invite"))
    print("Only this computer reaches that address. For phones and others: docs/hosting.md")
    local.server.serve_forever()


class Gateway(ChaliceRequestHandler):
    """Chalice's imitation of API Gateway, mended where a client would notice the difference."""

    # An answer leaves as one packet, and waits for no acknowledgement (44 ms each).
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve a connection; that the client drops it is nothing to report."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Write nothing: the app logs each request, without addresses and query strings."""

    def parse_request(self) -> bool:
        """Read the head of a request; refuse a body too large, or without a length to read by."""
        if not super().parse_request():
            return False
        # Of two lengths a proxy might believe the other one: joined, they are none.
        length = ", ".join(self.headers.get_all("Content-Length", ["0"]))
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,15}", length):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "length_required", "Say the body's length.")
            return False
        if int(length) > LARGEST_BODY:
            self._refuse(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "No route takes that much."
            )
            return False
        # The imitation hands on one line of each: of several it is to be the list of all.
        for name in {name.lower() for name in self.headers}:
            if len(lines := self.headers.get_all(name, [])) > 1:
                del self.headers[name]
                self.headers[name] = ", ".join(lines)
        return True

    def send_error(self, *_: object) -> None:
        """Refuse what is no request; the words of the standard library's page repeat it."""
        self.request_version = self.protocol_version  # of what has none, HTTP/0.9 was assumed
        self.headers = HTTPMessage()  # what is no request has none, nor those of the one before it
        self._refuse(
            HTTPStatus.BAD_REQUEST,
            "unacceptable_request",
            "The request cannot be served as it was sent.",
        )

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        self.close_connection = True
        self._send_problem(status, code, detail)
        self.wfile.flush()
        # A client that is still sending would meet a reset before it reads the answer, so some of
        # what it sends is read, and dropped.
        self.connection.settimeout(1)
        for _ in range(4 * LARGEST_BODY // 65536):
            if not self.rfile.read(65536):
                break

    def _send_problem(self, status: HTTPStatus, code: str, detail: str) -> None:
        document = {
            "type": f"urn:draugar:problem:{code}",
            "title": status.phrase.capitalize(),  # as the deployed gateway says it
            "status": status,
            "detail": detail,
            "code": code,
            "requestId": str(uuid.uuid4()),
            "error": detail,
        }
        headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
        self._send_http_response(status, headers, json.dumps(document))

    def _send_error_response(self, error: LocalGatewayException) -> None:  # noqa: ARG002
        # No route has an authorizer, so this is the one way in which the gateway fails.
        self._send_problem(HTTPStatus.NOT_FOUND, "route_not_found", "There is no such route.")

    def _send_http_response(
        self, code: int, headers: dict[str, Any], body: str | bytes | None
    ) -> None:
        if self.command != "HEAD":
            content = body.encode() if isinstance(body, str) else body or b""
            headers, content = coded(code, headers, content, self.headers.get("Accept-Encoding"))
            super()._send_http_response(code, headers, content)
            return
        headers, _ = coded(code, headers, b"", accepted=None)
        # A body would be taken for the next answer; the length is that of the answer to GET.
        length = len(body or "") or left_out.get()
        self.send_response(code)
        self._send_headers({"Content-Length": str(length), **headers})


if __name__ == "__main__":
    main()
