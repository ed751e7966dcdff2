"""Browsers that load the client's modules from a service, and call its use cases.

The page is served by the relay before the service, so that it has the service's own origin.
"""

import fcntl
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import httpx
from playwright.sync_api import BrowserContext, Page

from scripts.vectors import VECTORS
from tests import tools
from tests.client.malice import Forward, Reply, Request

PROJECT = Path(__file__).parents[2]
CLIENT = PROJECT / "client" / "web"
DECISIONS = PROJECT / "docs" / "decisions.json"
_PAGE = (
    "<!doctype html><meta charset=utf-8><title>loading</title>"
    "<script type=module src=/checks.js></script>"
)
PATIENCE = 120  # seconds, on a busy machine


class Failed(Exception):
    """A use case has ended in a failure; `code` says which."""

    def __init__(self, code: str, parameters: Any) -> None:
        self.code = code
        self.parameters = parameters
        super().__init__(code)


class Tab(Protocol):
    """A page in which the client runs."""

    def run(self, script: str, *given: Any) -> Any:
        """Return what an expression gives; in it `given` is a list."""


class Chromium:
    """A page in Chromium."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.open(f"{url}/checks")

    def open(self, address: str) -> None:
        """Load the page of the tests at an address."""
        self.page.goto(address)
        self.page.wait_for_function("document.title === 'ready'")

    def run(self, script: str, *given: Any) -> Any:
        """Return what an expression gives; in it `given` is a list."""
        return self.page.evaluate(f"(given) => {script}", list(given))


class WebKit:
    """A page in WebKitGTK, by the WebDriver protocol of the W3C."""

    def __init__(self, driver: str, url: str) -> None:
        self._http = httpx.Client(base_url=driver, timeout=PATIENCE, trust_env=False)
        browser = {"binary": str(tools.program("minibrowser")), "args": ["--automation"]}
        wanted = {"browserName": "MiniBrowser", "webkitgtk:browserOptions": browser}
        made = self._post("/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        self._post(f"{self._session}/timeouts", {"script": PATIENCE * 1000})
        self._post(f"{self._session}/url", {"url": f"{url}/checks"})

    def close(self) -> None:
        """End the browser."""
        self._http.delete(self._session)
        self._http.close()

    def run(self, script: str, *given: Any) -> Any:
        """Return what an expression gives; in it `given` is a list."""
        program = f"""
            const [given, done] = arguments;
            const act = async () => {{
                try {{ done({{ value: await ({script}) }}); }}
                catch (error) {{ done({{ error: String(error) }}); }}
            }};
            const begin = () => document.title === "ready" ? act() : setTimeout(begin, 20);
            begin();
        """
        body = {"script": program, "args": [list(given)]}
        found = self._post(f"{self._session}/execute/async", body)
        assert "error" not in found, found
        return found["value"]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]


class Member:
    """A person's device in a browser."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self._value(tab.run("draugar.open()"))

    def __call__(self, method: str, *given: Any) -> Any:
        """Call a use case. Raises Failed."""
        return self._value(self.tab.run("draugar.call(given[0], given.slice(1))", method, *given))

    @property
    def me(self) -> Any:
        """Who this browser is."""
        return self.tab.run("draugar.me()")

    def told(self) -> list[str]:
        """Return the codes of all notices."""
        return [notice["code"] for notice in self.tab.run("draugar.notices()")]

    @staticmethod
    def _value(result: dict[str, Any]) -> Any:
        if "failure" in result:
            raise Failed(result["failure"], result["parameters"])
        return result["value"]


def page(request: Request, forward: Forward) -> Reply:
    """Answer for the page of the tests; all else goes to the service."""
    kept: dict[str, tuple[str, Callable[[], bytes]]] = {
        "/checks": ("text/html", _PAGE.encode),
        "/join": ("text/html", _PAGE.encode),
        "/checks.js": ("text/javascript", _bundle),
        "/vectors.json": ("application/json", VECTORS.read_bytes),
        "/decisions.json": ("application/json", DECISIONS.read_bytes),
    }
    if request.target not in kept:
        return forward(request)
    kind, content = kept[request.target]
    return Reply(200, content(), {"Content-Type": kind})


@cache
def _bundle() -> bytes:
    """Return the client's modules and what the tests call, as one script."""
    with installed() as modules:
        made = subprocess.run(
            [
                modules / ".bin" / "esbuild",
                PROJECT / "tests" / "web" / "checks" / "page.ts",
                "--bundle",
                "--format=esm",
                "--target=es2022",
                "--log-level=warning",
            ],
            env={"NODE_PATH": str(modules), "PATH": str(tools.program("node").parent)},
            capture_output=True,
            check=False,
        )
    assert made.returncode == 0, made.stderr.decode()
    return made.stdout


@contextmanager
def installed() -> Iterator[Path]:
    """Return the packages of the lock file, installed; one run at a time installs them."""
    modules = CLIENT / "node_modules"
    with (CLIENT / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = json.load(lock)["packages"]
        mark = modules / ".package-lock.json"
        kept = json.loads(mark.read_text())["packages"] if mark.exists() else {}
        if not kept.items() <= wanted.items() or not kept:
            npm = [str(tools.program("npm")), "ci", "--ignore-scripts", "--no-progress"]
            subprocess.run(npm, cwd=CLIENT, check=True, capture_output=True)
        yield modules
