"""Chromium and WebKitGTK, before a really running service."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests import tools
from tests.client.conftest import (
    family,
    keys_in_files,
    relay,
    relayed,
    service,
    service_of_the_run,
)
from tests.client.malice import Relay
from tests.servers import free_port
from tests.web import browsers
from tests.web.browsers import Chromium, Member, WebKit

__all__ = ["family", "keys_in_files", "relay", "relayed", "service", "service_of_the_run"]

Tabs = Callable[[], Chromium]
"""Opens a tab of one profile."""
Profiles = Callable[[], Tabs]
"""Makes a new profile."""


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """The driver of Chromium."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Chromium of Debian."""
    sandbox = os.geteuid() != 0  # root has none
    browser = playwright.chromium.launch(
        executable_path=tools.program("chromium"), chromium_sandbox=sandbox
    )
    yield browser
    browser.close()


@pytest.fixture
def origin(relay: Relay) -> Iterator[str]:
    """The address of a service that serves the page of the tests, too."""
    with relay.telling(browsers.page):
        yield relay.url


@pytest.fixture
def profiles(chromium: Browser, origin: str) -> Iterator[Profiles]:
    """What makes a profile of a browser: it opens tabs that share what is stored."""
    with ExitStack() as stack:

        def profile() -> Tabs:
            context = stack.enter_context(chromium.new_context())
            return lambda: Chromium(context, origin)

        yield profile


@pytest.fixture
def browser(profiles: Profiles) -> Callable[[], Member]:
    """What opens the client in a new profile."""
    return lambda: Member(profiles()())


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A screen for browsers that have windows only."""
    reading, writing = os.pipe()
    arguments = ["-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(
        [tools.program("xvfb"), *arguments],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as numbers:
        number = numbers.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.fixture
def webkit(origin: str, display: str, tmp_path: Path) -> Iterator[WebKit]:
    """A page in WebKitGTK, with a new profile."""
    port = free_port()
    environment = {
        "DISPLAY": display,
        "HOME": str(tmp_path),
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",  # it would need user namespaces
    }
    driver = subprocess.Popen(
        [tools.program("webkitdriver"), "-p", str(port)],
        env={"PATH": os.defpath} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(port):
            assert driver.poll() is None
            time.sleep(0.02)
        page = WebKit(f"http://127.0.0.1:{port}", origin)
        yield page
        page.close()
    finally:
        driver.terminate()
        driver.wait()


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
