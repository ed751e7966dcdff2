"""Lambda as a function sees it: AWS's own runtime client in a bare interpreter, and its API.

    with Function(task, declared["Migrate"], client=client, environment=settings) as function:
        answer = function.invoke({})

A process is started as Lambda starts it. Its working directory is the bundle, which it cannot write
to; it can import the bundle, the runtime's client and the standard library, and nothing else; its
environment is what Lambda says and what the function is given. It asks for an event and sends what
came of it, in turns, so its API is served while somebody waits here, and needs no thread.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

_Told = TypeVar("_Told")

VERSION = "/2018-06-01/runtime"
REGION, ACCOUNT = "eu-north-1", "123456789012"
PATIENCE = 30
"""Seconds that a function may take to start, or to answer."""


class Ended(Exception):
    """The process has ended and not answered; the text is what it printed."""


class Declared(NamedTuple):
    """What a template says of a function."""

    handler: str
    megabytes: int
    variables: dict[str, str]


class Answer(NamedTuple):
    """What a function has sent: a result, or the error that an exception became."""

    payload: Any
    is_error: bool


def declared(template: Path) -> dict[str, Declared]:
    """Return the template's functions by name, their variables where it knows the values."""
    content = json.loads(template.read_text())
    parameters = content["Parameters"]

    def variables(properties: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for name, value in properties["Environment"]["Variables"].items():
            if isinstance(value, str):
                yield name, value
            elif "Default" in (parameter := parameters[value["Ref"]]):
                yield name, str(parameter["Default"])

    return {
        name: Declared(properties["Handler"], properties["MemorySize"], dict(variables(properties)))
        for name, resource in content["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
        for properties in [resource["Properties"]]
    }


def install(directory: Path, *names: str) -> Path:
    """Make a directory from which installed packages, and what they require, can be imported."""
    directory.mkdir(exist_ok=True)
    wanted, known = list(names), set[str]()
    while wanted:
        name = wanted.pop()
        known.add(name)
        found = distribution(name)
        tops = {file.parts[0] for file in found.files or ()}
        for top in tops - {"..", "__pycache__"}:
            if not (directory / top).exists():
                (directory / top).symlink_to(Path(str(found.locate_file(top))).resolve())
        required = [line for line in found.requires or () if "extra ==" not in line]
        wanted += {re.split(r"[^\w.-]", line)[0] for line in required} - known
    return directory


def install_client(directory: Path) -> Path:
    """Make what Lambda has beside the bundle: its runtime's client, and nothing else."""
    return install(directory, "awslambdaric")


def as_task(tree: Path, directory: Path) -> Path:
    """Copy an unpacked bundle to where nobody may write, not even byte code."""
    shutil.copytree(tree, directory, copy_function=os.link)
    for folder in (directory, *directory.rglob("*/")):
        folder.chmod(0o555)
    return directory


def http_event(  # noqa: PLR0913 -- an HTTP request has that many parts
    method: str,
    resource: str,
    ids: Mapping[str, object] | None = None,
    *,
    token: str | None = None,
    query: Mapping[str, str] | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make the event of API Gateway's REST API; `ids` fill the resource's placeholders."""
    path = resource.format_map({name: quote(str(value)) for name, value in (ids or {}).items()})
    sent = {"Accept": "*/*", "Host": "api.example.org", "User-Agent": "phone/1.0"}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    if body is not None:
        sent["Content-Type"] = "application/json"
    sent |= headers or {}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": (
            {name: [value] for name, value in query.items()} if query else None
        ),
        "pathParameters": {name: str(value) for name, value in ids.items()} if ids else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "api",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.7", "userAgent": sent["User-Agent"]},
            "path": f"/v1{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid4()),
            "resourcePath": resource,
            "stage": "v1",
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def schedule_event(rule: str) -> dict[str, Any]:
    """Make the event of EventBridge's schedules."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"],
        "detail": {},
    }


class Function:
    """One process of a function: started with the context, and killed at its end.

    `path` says what else it can import, after the bundle.
    """

    def __init__(
        self,
        task: Path,
        function: Declared,
        *,
        client: Path,
        environment: Mapping[str, str],
        path: tuple[Path, ...] = (),
    ) -> None:
        self._handler = function.handler
        name = function.handler.rpartition(".")[2]
        self._arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        self._task = task
        self._environment = {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python{}.{}".format(*sys.version_info),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.megabytes),
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2000/01/01/[$LATEST]0123456789abcdef",
            "AWS_REGION": REGION,
            "LAMBDA_RUNTIME_DIR": str(client),
            "LAMBDA_TASK_ROOT": str(task),
            "LANG": "en_US.UTF-8",
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(map(str, (*path, client))),
            "TZ": ":UTC",
            "_HANDLER": function.handler,
            **function.variables,
            **environment,
        }

    def __enter__(self) -> Self:
        self._printed = TemporaryFile()
        self._api = _RuntimeApi(self._arn)
        self._process = subprocess.Popen(
            # Without site-packages; the working directory is where it imports from first.
            [sys.executable, "-S", "-m", "awslambdaric", self._handler],
            cwd=self._task,
            env=self._environment | {"AWS_LAMBDA_RUNTIME_API": self._api.address},
            stdin=subprocess.DEVNULL,
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            preexec_fn=_step_down,  # noqa: PLW1509 -- asks the kernel and takes no lock
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._api.server_close()
        self._printed.close()

    def invoke(self, event: Any) -> Answer:
        """Hand over an event and return what is sent. Raises Ended."""
        self._api.event, self._api.answer = json.dumps(event).encode(), None
        return self._wait_for(lambda: self._api.answer)

    def refusal(self) -> dict[str, Any]:
        """Return the error that the process reports instead of starting. Raises Ended."""
        refusal = self._wait_for(lambda: self._api.refusal)
        self._process.wait(PATIENCE)
        return refusal

    def freeze(self) -> None:
        """Let time stand still for the process, as Lambda does between two events."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        """What the process has printed."""
        return os.pread(self._printed.fileno(), 1 << 24, 0).decode()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    @property
    def peak(self) -> float:
        """The most memory that the process has had, in megabytes, while it runs."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(kilobytes) / 1024

    def _wait_for(self, told: Callable[[], _Told | None]) -> _Told:
        deadline = time.monotonic() + PATIENCE
        while (found := told()) is None:
            if self.has_ended:
                raise Ended(self.log)
            if time.monotonic() > deadline:
                raise TimeoutError(self.log)
            self._api.handle_request()
        return found


class _RuntimeApi(HTTPServer):
    """Where a process asks for an event and says what came of it."""

    timeout = 0.2  # seconds, after which it is seen whether the process is still there

    def __init__(self, arn: str) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.address = f"127.0.0.1:{self.server_port}"
        self.arn = arn
        self.event: bytes | None = None
        self.answer: Answer | None = None
        self.refusal: dict[str, Any] | None = None


class _Request(BaseHTTPRequestHandler):
    server: _RuntimeApi

    def do_GET(self) -> None:
        event, self.server.event = self.server.event, None
        if self.path != f"{VERSION}/invocation/next" or event is None:
            self._send(403)  # which ends the client: it has started, and should not have
            return
        now = time.time()
        self._send(
            200,
            event,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": str(uuid4()),
                "Lambda-Runtime-Deadline-Ms": str(int((now + PATIENCE) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": self.server.arn,
                # Always the same: the client puts it into the environment, where glibc keeps every
                # value that ever was, 144 bytes for each request.
                "Lambda-Runtime-Trace-Id": f"Root=1-{0:08x}-{0:024x};Sampled=0",
            },
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        match self.path.removeprefix(VERSION).split("/")[1:]:
            case ["invocation", _, "response"]:
                self.server.answer = Answer(body, is_error=False)
            case ["invocation", _, "error"]:
                self.server.answer = Answer(body, is_error=True)
            case ["init", "error"]:
                self.server.refusal = body
        self._send(202)

    def _send(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def _step_down() -> None:
    """End with whoever started this, and take from root the power to write where nobody may."""
    set_parent_death_signal, drop_from_bounding_set, dac_override = 1, 24, 1  # <linux/prctl.h>
    libc = ctypes.CDLL(None)
    libc.prctl(set_parent_death_signal, signal.SIGKILL)
    libc.prctl(drop_from_bounding_set, dac_override, 0, 0, 0)
