"""The page can be used by all: checked by axe, narrow and with large text, by keyboard."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests import tools
from tests.client.family import Service
from tests.web.pages import Profile, profile

pytestmark = pytest.mark.tools("chromium", "npm")

AXE = Path(__file__).parent / "axe"
ROOM = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
SMALL = """() => [...document.querySelectorAll('button, input, select, summary, a[href]')]
  .map((it) => [it, it.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 43.5 || box.height < 43.5))
  .map(([it, box]) => `${it.outerHTML.slice(0, 80)} ${box.width} x ${box.height}`)"""
SCREENS = {
    "people": ("People",),
    "map": ("Map",),
    "share": ("Share",),
    "more": ("More",),
    "invite": ("More", "Invite", "Make a link"),
    "who": ("More", "Who can see me"),
    "day": ("People", "A day of Una"),
    "person": ("More", "Devices: Una"),
    "question": ("More", "Leave the group"),
}
"""The tab, and the buttons that lead on from it."""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, of the version in the lock file."""
    directory = tmp_path_factory.mktemp("axe")
    for name in ("package.json", "package-lock.json"):
        (directory / name).write_bytes((AXE / name).read_bytes())
    npm = str(tools.program("npm"))
    subprocess.run([npm, "ci", "--ignore-scripts"], cwd=directory, check=True, capture_output=True)
    return (directory / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def new(chromium: Browser) -> Iterator[Callable[..., Profile]]:
    """What opens a profile of the browser, whose page tests may look into."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(profile(chromium, **options))


def look(person: Profile, axe: str, where: str) -> list[str]:
    """Return what axe finds fault with, and what is too small or too wide."""
    person.page.wait_for_timeout(300)
    found: Any = person.page.evaluate(f"() => {{ {axe}; return window.axe.run(); }}")
    faults = [
        f"{where}: {fault['id']}: {node['html'][:120]}: {node['failureSummary'][:200]}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]
    wide, room = person.page.evaluate(ROOM)
    if wide > room:
        faults.append(f"{where}: {wide} pixels wide in {room}")
    return faults + [f"{where}: {small}" for small in person.page.evaluate(SMALL)]


@pytest.mark.parametrize(
    "shown",
    [("light", 100, 390), ("dark", 100, 390), ("light", 200, 640), ("light", 100, 320)],
    ids=["light", "dark", "200 % text", "320 pixels"],
)
def test_every_screen_can_be_used_by_all(
    new: Callable[..., Profile], service: Service, axe: str, shown: tuple[str, int, int]
) -> None:
    scheme, zoom, width = shown
    una = new(color_scheme=scheme, viewport={"width": width, "height": 700})
    large = f"document.documentElement.style.fontSize = '{zoom}%'"
    una.open(f"{service.url}/")
    una.reads("Come in by an invitation")
    una.page.evaluate(large)
    faults = look(una, axe, "welcome")
    una.open("about:blank")
    una.found(service.url, service.founding_code())
    una.page.evaluate(large)
    una.share()
    una.update()
    for name, (tab, *buttons) in SCREENS.items():
        una.go(tab)
        for button in buttons:
            una.press(button)
        if name in ("map", "day"):
            una.page.locator(".label").first.wait_for()
        faults += look(una, axe, name)

    assert faults == []


def test_a_group_is_founded_and_a_link_is_made_by_keyboard(
    new: Callable[..., Profile], service: Service
) -> None:
    una = new()
    una.open(f"{service.url}/#found={service.founding_code()}")
    una.page.get_by_label("Your name").focus()
    for key in ("U", "n", "a", "Tab", "H", "a", "l", "l", "Enter"):
        una.page.keyboard.press(key)
    una.page.get_by_role("navigation").wait_for()
    # The focus goes on with the next screen: from its heading to the first thing to do.
    una.page.locator("h1:focus", has_text="People").wait_for()
    una.page.get_by_role("button", name="Invite the first person").focus()
    una.page.keyboard.press("Enter")
    una.page.locator("h1:focus", has_text="Invite a person").wait_for()
    una.page.keyboard.press("Tab")
    una.page.keyboard.press("Enter")

    una.page.locator("output.address").wait_for()


def test_the_page_speaks_german_to_those_who_do(
    new: Callable[..., Profile], service: Service
) -> None:
    una = new(locale="de-AT")

    una.open(f"{service.url}/#found=ABCD-EFGH")

    una.reads("Wo Ihre Familie ist")
    assert una.page.locator("html").get_attribute("lang") == "de"
    una.page.get_by_label(re.compile("^Ihr Name")).wait_for()
