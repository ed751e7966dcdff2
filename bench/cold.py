"""From nothing to the first committed answer, as Lambda starts the bundle: `python -m bench cold`.

A start is timed from the process to the answer: AWS's runtime client in a bare interpreter, a post
of one point, TLS and a password to Debian's PostgreSQL on this machine. It is measured in turns
with three others, in the same interpreter and with the same client:

- The bare stack: every module that `import app` loads, ours aside, imported one after another, and
  then what cannot be avoided: the stock driver connects the same way and commits one row. Nothing
  of ours can make a start shorter than that, only what is loaded can.
- The same bundle without its byte code, as `chalice package` would leave it.
- Everything at once: the same function after imports that ours puts off or does without. There the
  first answer is that of a route which needs no database, and each lever is also measured alone.

Memory is each function's peak once it has done its work.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from compileall import compile_dir
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Figure, interleaved, ratio
from chalicelib.settings import DatabaseAddress
from scripts.package import MACHINES, package
from tests.bundle.conftest import copy_of_the_project
from tests.bundle.runtime import (
    Declared,
    Function,
    as_task,
    declared,
    http_event,
    install,
    install_client,
    schedule_event,
)
from tests.database import PEPPER
from tests.factories import plain_point
from tests.servers import debian_server

OURS, BARE, UNCOMPILED, EAGER = "ours", "the bare stack", "no byte code", "everything at once"
MOST_IN_BARE_STARTS = 1.08
MOST_IN_UNCOMPILED_STARTS = 0.40
MOST_IN_EAGER_STARTS = 0.75

# What is put off until it is needed, or never loaded: the levers of a short start.
LEVERS = {
    "Alembic": "import alembic.command, alembic.config, alembic.runtime.migration",
    "boto3 with a client": "import boto3; boto3.client('secretsmanager')",
    "the rest of SQLAlchemy and Pydantic": """
import sqlalchemy.dialects.mysql, sqlalchemy.dialects.oracle, sqlalchemy.dialects.mssql
import sqlalchemy.dialects.sqlite, sqlalchemy.ext.hybrid, sqlalchemy.ext.mutable
import sqlalchemy.ext.associationproxy, sqlalchemy.ext.automap, sqlalchemy.ext.orderinglist
import pydantic
for name in pydantic.__all__:
    getattr(pydantic, name)
""",
}

_BARE = """
import json, os, ssl
from importlib import import_module
for name in {modules!r}:
    import_module(name)
import pg8000

def handler(event, context):
    arguments = json.loads(os.environ["DATABASE"])
    trusted = ssl.create_default_context(cafile=arguments.pop("authority"))
    connection = pg8000.connect(ssl_context=trusted, **arguments)
    connection.autocommit = True
    connection.cursor().execute("INSERT INTO bare VALUES (%s)", [event["body"]])
    return {{"statusCode": 200, "body": ""}}
"""

# By the time a module was first asked for; what is no file comes with something that is.
_MODULES = """
import app, sys
print(*(
    name
    for name, module in list(sys.modules.items())
    if name.partition(".")[0] not in ("__main__", "app", "chalicelib")
    and getattr(module, "__spec__", None)
    and module.__spec__.name == name
    and module.__spec__.has_location
))
"""


@dataclass(frozen=True)
class Stage:
    """Where functions start: the bundle in its forms, and a database with somebody in it."""

    directory: Path
    task: Path
    client: Path
    functions: dict[str, Declared]
    settings: dict[str, str]

    def start(self, function: Declared, task: Path | None = None, *path: Path) -> Function:
        """Return a function, to be started with its context."""
        return Function(
            task or self.task,
            function,
            client=self.client,
            environment=self.settings,
            path=path,
        )

    def handler(self, name: str, code: str) -> tuple[Path, Declared]:
        """Make a task whose module has this code and a function `handler`."""
        directory = self.directory / name
        directory.mkdir()
        (directory / f"{name}.py").write_text(code)
        compile_dir(directory, quiet=2)
        api = self.functions["APIHandler"]
        return directory, api._replace(handler=f"{name}.handler")


def run(*, full: bool) -> list[Figure]:
    """Measure starts, paired, and what each function takes of memory."""
    rounds = 10 if full else 5
    with stage() as set_up:
        peaks, token = _first_day(set_up)
        return [
            *_first_posts(set_up, token, rounds),
            *_loading(set_up, rounds),
            *(
                Figure(
                    section="cold",
                    name=f"peak memory of {function.handler.rpartition('.')[2]}",
                    value=peaks[name],
                    unit="MB",
                    at_most=function.megabytes / 2,
                )
                for name, function in set_up.functions.items()
            ),
        ]


@contextmanager
def stage() -> Iterator[Stage]:
    """Make the bundle for this machine, and a server with TLS and passwords."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (architecture,) = (name for name, kind in MACHINES.items() if kind == os.uname().machine)
        project = copy_of_the_project(directory / "project", architecture=architecture)
        bundle = package("prod", project=project)
        shutil.unpack_archive(bundle.code, directory / "tree")
        (directory / "server").mkdir()
        server = stack.enter_context(debian_server(directory / "server"))
        name = stack.enter_context(server.database())
        with server.connect(name) as operator:
            operator.run("CREATE TABLE bare (body text)")
        url = server.url_of(name)
        address = DatabaseAddress.parse(url)
        reached = {name: getattr(address, name) for name in ("user", "password", "host", "port")}
        stock = reached | {"database": address.database, "authority": address.sslrootcert}
        yield Stage(
            directory=directory,
            task=as_task(directory / "tree", directory / "task"),
            client=install_client(directory / "client"),
            functions=declared(bundle.template),
            settings={
                "DATABASE_URL": url,
                "INVITE_CODE_PEPPER": PEPPER,
                "DATABASE": json.dumps(stock),
            },
        )


def _first_day(set_up: Stage) -> tuple[dict[str, float], str]:
    """Let every function do its work once; return their peaks and somebody's token."""
    peaks: dict[str, float] = {}

    def work(name: str, event: Any) -> Any:
        with set_up.start(set_up.functions[name]) as function:
            answer = function.invoke(event)
            if answer.is_error:
                raise RuntimeError(answer.payload["errorMessage"])
            peaks[name] = function.peak
            return answer.payload

    work("Migrate", {})
    code = work("CreateFoundingInvite", {})["code"]
    group = {"name": "Hearth", "encryption": "optional"}
    body = {"code": code, "name": "Una", "group": group}
    joined = json.loads(work("APIHandler", http_event("POST", "/api/auth/join", body=body))["body"])
    work("PurgeExpiredInvites", schedule_event("purge"))
    work("MaintainLocations", schedule_event("maintain"))
    work("AfterRestore", {})
    return peaks, joined["token"]


def _first_posts(set_up: Stage, token: str, rounds: int) -> Iterator[Figure]:
    api = set_up.functions["APIHandler"]
    bare_task, bare = set_up.handler("bare", _BARE.format(modules=_modules(set_up)))
    plain = set_up.directory / "plain"
    shutil.copytree(set_up.directory / "tree", plain, ignore=shutil.ignore_patterns("__pycache__"))
    uncompiled = as_task(plain, set_up.directory / "uncompiled")

    def post() -> dict[str, Any]:
        return http_event("POST", "/api/locations", token=token, body=plain_point())

    times = _timed(
        {
            OURS: partial(_start, partial(set_up.start, api), post),
            BARE: partial(_start, partial(set_up.start, bare, bare_task, set_up.task), post),
            UNCOMPILED: partial(_start, partial(set_up.start, api, uncompiled), post),
        },
        rounds,
    )
    for other, bound in (
        (BARE, MOST_IN_BARE_STARTS),
        (UNCOMPILED, MOST_IN_UNCOMPILED_STARTS),
    ):
        yield Figure(
            section="cold",
            name=f"to the first committed post, against {other}",
            value=median(times[OURS]),
            unit="ms",
            against=other,
            baseline=median(times[other]),
            ratio=ratio(times, OURS, other),
            at_most=bound,
        )


def _loading(set_up: Stage, rounds: int) -> Iterator[Figure]:
    aws = install(set_up.directory / "aws", "boto3")
    codes = {EAGER: "\n".join(LEVERS.values())} | LEVERS
    measures: dict[str, Callable[[], float]] = {
        OURS: partial(_start, partial(set_up.start, set_up.functions["APIHandler"]), _health)
    }
    for number, (name, code) in enumerate(codes.items()):
        task, handler = set_up.handler(
            f"eager{number}", f"{code}\nfrom app import app as handler\n"
        )
        start = partial(set_up.start, handler, task, set_up.directory / "tree", aws)
        measures[name] = partial(_start, start, _health)
    times = _timed(measures, rounds)
    yield Figure(
        section="cold",
        name="to the first answer without a database, against everything at once",
        value=median(times[OURS]),
        unit="ms",
        against=EAGER,
        baseline=median(times[EAGER]),
        ratio=ratio(times, OURS, EAGER),
        at_most=MOST_IN_EAGER_STARTS,
    )
    for lever in LEVERS:
        yield Figure(
            section="cold",
            name=f"the same, with {lever} loaded too",
            value=median(times[lever]),
            unit="ms",
            against=OURS,
            baseline=median(times[OURS]),
            ratio=ratio(times, lever, OURS),
        )


def _timed(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    interleaved(measures, rounds=1)  # files in memory, byte code where it may be written
    return interleaved(measures, rounds=rounds)


def _start(start: Callable[[], Function], event: Callable[[], dict[str, Any]]) -> float:
    """Return the milliseconds from the start of a process to its first answer."""
    handed = event()
    begun = time.perf_counter()
    with start() as function:
        answer = function.invoke(handed)
        took = (time.perf_counter() - begun) * 1000
    if answer.is_error or answer.payload["statusCode"] != 200:  # noqa: PLR2004 -- HTTP's
        raise RuntimeError(answer.payload)
    return took


def _health() -> dict[str, Any]:
    return http_event("GET", "/api/health")


def _modules(set_up: Stage) -> list[str]:
    """Return the names of the modules that `import app` loads, ours aside, as they are loaded."""
    done = subprocess.run(  # noqa: S603 -- this interpreter
        [sys.executable, "-S", "-c", _MODULES],
        cwd=set_up.task,
        env=set_up.settings,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()
