"""The web app as a person uses it: a profile of a browser, and what stands on its page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

PHONE = {"width": 390, "height": 780}
PATIENCE = 20_000  # milliseconds, on a busy machine
REYKJAVIK = {"latitude": 64.1466, "longitude": -21.9426, "accuracy": 12}
AKUREYRI = {"latitude": 65.6826, "longitude": -18.0907, "accuracy": 30}


@dataclass
class Profile:
    """A person's browser. What the page complains of, and all that it asks for, is kept."""

    context: BrowserContext
    page: Page
    place: dict[str, float]
    complaints: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def note(self, request: Request) -> None:
        """Keep what the page asks for."""
        self.requests.append(request)

    def open(self, url: str) -> None:
        """Open an address."""
        self.page.goto(url)

    def press(self, name: str, *, exact: bool = True) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=exact).click()

    def go(self, name: str) -> None:
        """Go to one of the four screens."""
        self.page.get_by_role("navigation").get_by_role("button", name=name, exact=True).click()

    def reads(self, text: str | re.Pattern[str]) -> None:
        """Wait until a text stands on the page."""
        self.page.get_by_text(text).first.wait_for()

    def heading(self) -> str:
        """Return what the screen is about."""
        return self.page.get_by_role("heading", level=1).inner_text()

    def found(self, url: str, code: str, name: str = "Una", group: str = "Hearth") -> None:
        """Found a group by a founding link."""
        self.open(f"{url}/#found={code}")
        self.page.get_by_label("Your name").fill(name)
        self.page.get_by_label("Name of the group").fill(group)
        self.press("Found the group")
        self.page.get_by_role("navigation").wait_for()
        self.reads("Updated just now.")

    def invite(self) -> str:
        """Make a link for another person."""
        self.go("More")
        self.press("Invite")
        self.press("Make a link")
        link = self.page.locator("output.address").inner_text()
        self.press("← Back")
        return link

    def join(self, link: str, name: str = "Ari") -> None:
        """Join by a link."""
        self.open(link)
        self.page.get_by_label("Your name").fill(name)
        self.press("Join")
        self.page.get_by_role("navigation").wait_for()
        self.reads("Updated just now.")

    def share(self) -> None:
        """Share once where this device is."""
        self.go("Share")
        # Chromium dates a simulated position by the moment at which it was set.
        self.context.set_geolocation(self.place)  # type: ignore[arg-type]
        with self.page.expect_response(
            lambda answer: answer.url.endswith("/api/locations") and answer.request.method == "POST"
        ):
            self.press("Share once")

    def update(self) -> None:
        """Ask the service for what is new."""
        self.go("People")
        with self.page.expect_response(lambda answer: "/api/locations/latest" in answer.url):
            self.press("Update now")

    def sees(self, name: str, *said: str) -> None:
        """Wait until the list says all this of a person."""
        entry = self.page.locator(".people > li", has_text=name)
        for text in said:
            entry = entry.filter(has_text=re.compile(text))
        entry.first.wait_for()


@contextmanager
def profile(
    browser: Browser, *, at: dict[str, float] = REYKJAVIK, **options: Any
) -> Iterator[Profile]:
    """Open a new profile; at its end, nothing has broken the page or its policy."""
    context = browser.new_context(
        **{
            "geolocation": at,
            "permissions": ["geolocation"],
            "viewport": PHONE,
            "locale": "en-GB",
        }
        | options
    )
    context.set_default_timeout(PATIENCE)
    person = Profile(context, context.new_page(), at)

    def complain(message: ConsoleMessage) -> None:
        # What the service refuses, and what is not there offline, the console tells too.
        if message.type == "error" and "Failed to load resource" not in message.text:
            person.complaints.append(message.text)

    person.page.on("console", complain)
    person.page.on("pageerror", lambda error: person.complaints.append(str(error)))
    context.on("request", person.note)
    try:
        yield person
        assert person.complaints == []
    finally:
        context.close()
