"""The page, in the hands of people: Chromium, and a service that really runs."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Playwright, Route

from draugar.protocol.links import InviteLink
from tests import tools
from tests.client.family import Family, Service, fix
from tests.web.pages import AKUREYRI, Profile, profile

pytestmark = pytest.mark.tools("chromium")

New = Callable[..., Profile]


@pytest.fixture
def new(chromium: Browser) -> Iterator[New]:
    """What opens a profile of the browser."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(profile(chromium, **options))


@pytest.fixture
def una(new: New, service: Service) -> Profile:
    """A person who has founded a group in her browser."""
    person = new()
    person.found(service.url, service.founding_code())
    return person


def test_a_family_comes_together_without_a_command_line(una: Profile, new: New) -> None:
    ari = new(at=AKUREYRI)
    ari.join(una.invite())

    una.update()  # gives him what he needs to see her
    una.share()
    ari.share()
    una.update()
    ari.update()

    una.sees("Ari", "Akureyri, Iceland", r"24\d km NE of you", "just now", "± 30 m")
    ari.sees("Una", "Reykjavík, Iceland", r"24\d km SW of you", "just now", "± 12 m")
    una.go("Map")
    una.page.locator(".label", has_text="Ari").wait_for()
    una.page.locator(".label", has_text="Una").wait_for()


def test_an_invitation_is_taken_out_of_the_address_once_it_is_used(una: Profile, new: New) -> None:
    link = una.invite()
    ari = new()

    ari.open(link)
    ari.page.get_by_label("Your name").fill("Ari")
    assert ari.page.url == link
    ari.press("Join")
    ari.page.get_by_role("navigation").wait_for()

    assert urlsplit(ari.page.url).fragment == ""
    assert urlsplit(ari.page.url).path == "/"
    assert una.page.url.endswith("/")


def test_a_browser_and_the_command_line_are_members_of_one_group(
    una: Profile, family: Family
) -> None:
    ari = family.join(InviteLink.paste(una.invite()))
    una.update()
    una.share()
    ari.where()  # takes the key, and says that it is he
    ari.share([fix(65.6826, longitude=-18.0907)])

    una.update()

    una.sees("Ari", "Akureyri, Iceland")
    (her,) = [it for it in ari.where() if it.user_id != ari.user_id]
    assert (her.name, her.is_confirmed) == ("Una", True)
    assert her.fix.latitude == pytest.approx(64.1466)


def test_a_removed_member_is_gone_and_the_key_is_new(una: Profile, new: New) -> None:
    ari = new()
    ari.join(una.invite())
    una.update()
    una.share()

    una.go("More")
    una.page.get_by_role("button", name="Devices: Ari").click()
    una.press("Remove Ari")
    una.press("Remove Ari")
    una.reads("Ari is removed.")
    una.share()
    ari.go("People")
    ari.press("Update now")

    assert una.heading() == "Share where you are"
    ari.page.get_by_role("alert").get_by_text("does not know this browser any more").wait_for()


def test_a_safety_number_is_compared_by_two_people(una: Profile, new: New) -> None:
    una.go("More")
    una.press("Invite")
    una.press("Make a code to type")
    code = una.page.locator(".code").inner_text()
    ari = new()
    ari.open(una.page.url)
    ari.page.get_by_label("Invitation link or code").fill(code)
    ari.press("Continue")
    ari.page.get_by_label("Your name").fill("Ari")
    ari.press("Join")
    ari.page.get_by_role("navigation").wait_for()
    una.update()

    numbers = []
    for person, name in ((una, "Ari"), (ari, "Una")):
        person.go("People")
        person.page.get_by_role("button", name="Compare the safety number").first.click()
        number = person.page.locator(".safety")
        number.wait_for()
        numbers.append(number.inner_text().split())
        person.press("The numbers are the same")
        person.reads(f"{name} is confirmed.")

    assert numbers[0] == numbers[1]
    assert [len(digits) for digits in numbers[0]] == [5] * 12


@pytest.mark.parametrize("ends", ["Sign out of this browser", "Delete my account"])
def test_a_person_can_go(una: Profile, ends: str) -> None:
    una.go("More")
    una.press(ends)
    una.press(ends)
    una.reads("Where your family is")

    una.page.reload()

    una.reads("Come in by an invitation")


def test_names_are_changed(una: Profile) -> None:
    una.go("More")
    una.page.get_by_label("My name").fill("Unnur")
    una.page.locator("form", has_text="My name").get_by_role("button").click()
    una.reads("Done.")
    una.page.get_by_label("Name of the group").fill("Hall")
    una.page.locator("form", has_text="Name of the group").get_by_role("button").click()

    una.page.locator("header", has_text="Hall").wait_for()
    una.go("People")
    una.page.locator(".people > li", has_text="Unnur").wait_for()


def test_one_s_own_points_are_taken_along_and_deleted(una: Profile) -> None:
    una.share()
    una.update()
    una.press("A day of Una")
    una.reads("1 positions")
    with una.page.expect_download() as download:
        una.press("Download as GPX")
    gpx = Path(download.value.path()).read_text()
    una.page.get_by_role("button", name=re.compile("^Delete the position of")).click()

    una.reads("No positions on this day.")

    assert re.search('<trkpt lat="64.1466[0-9]*" lon="-21.9426[0-9]*">', gpx)
    assert download.value.suggested_filename.endswith(".gpx")


def test_sharing_is_paused_and_resumed(una: Profile) -> None:
    una.go("Share")
    una.press("Until I resume")
    una.reads("You have paused sharing with this group.")

    una.press("Resume sharing")

    una.page.get_by_role("button", name="Start sharing").wait_for()


def test_sharing_while_open_is_seen_on_every_screen(una: Profile) -> None:
    una.go("Share")
    una.press("Start sharing")
    una.reads("You share while this page is open.")
    una.go("People")

    una.page.get_by_role("button", name="Sharing while open").click()
    una.press("Stop sharing")

    una.reads("This browser does not share.")


def test_what_was_known_is_shown_without_a_network(una: Profile) -> None:
    una.share()
    una.update()
    una.page.evaluate("navigator.serviceWorker.ready.then(() => 0)")

    una.context.set_offline(True)
    una.page.reload()

    una.reads("No connection. This is what was known")
    una.sees("Una", "Reykjavík, Iceland")
    una.go("Map")
    una.page.locator(".label", has_text="Una").wait_for()
    una.context.set_offline(False)


# What does not work here is said, with what to do, and the invitation stays unspent.


def test_a_link_is_not_spent_by_a_preview(una: Profile, new: New) -> None:
    link = una.invite()
    visitor = new()
    visitor.open(link)
    visitor.reads("You are invited")
    visitor.page.wait_for_timeout(1000)

    asked = [request.url for request in visitor.requests if "/api/" in request.url]
    assert asked == []
    ari = new()
    ari.join(link)


IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
ANDROID = "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36"
IN_APP = {
    "Instagram": f"{IPHONE} (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0.22.93",
    "Android": f"{ANDROID} (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36",
    "Facebook": f"{IPHONE} (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/470.0.0.39.108]",
}
SAFARI = f"{IPHONE} (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"


@pytest.mark.parametrize("agent", IN_APP.values(), ids=IN_APP)
def test_in_another_app_the_page_asks_for_the_real_browser(
    una: Profile, new: New, agent: str
) -> None:
    link = una.invite()
    visitor = new(user_agent=agent, permissions=["clipboard-read", "clipboard-write"])

    visitor.open(link)

    assert visitor.heading() == "Open this page in your browser"
    visitor.press("Copy")
    visitor.reads("Copied.")
    assert visitor.page.evaluate("navigator.clipboard.readText()") == link
    assert [request.url for request in visitor.requests if "/api/" in request.url] == []


def test_on_an_iphone_the_app_is_put_on_the_home_screen_before_the_link_is_spent(
    una: Profile, new: New
) -> None:
    link = una.invite()
    safari = new(user_agent=SAFARI, permissions=["clipboard-read", "clipboard-write"])
    safari.open(link)
    assert safari.heading() == "Put the app on your home screen first"
    safari.press("1. Copy the invitation")
    safari.reads("Copied.")
    copied = safari.page.evaluate("navigator.clipboard.readText()")

    installed = new(user_agent=SAFARI)  # with storage of its own, and without the fragment
    installed.page.add_init_script(
        "Object.defineProperty(navigator, 'standalone', { get: () => true })"
    )
    installed.open(link.partition("join#")[0])
    installed.page.get_by_label("Invitation link or code").fill(copied)
    installed.press("Continue")
    installed.page.get_by_label("Your name").fill("Ari")
    installed.press("Join")

    installed.page.get_by_role("navigation").wait_for()


def test_a_browser_without_the_cryptography_is_told_so(una: Profile, new: New) -> None:
    link = una.invite()
    old = new()
    old.page.add_init_script(
        "const make = crypto.subtle.generateKey.bind(crypto.subtle);"
        "crypto.subtle.generateKey = (algorithm, ...rest) => algorithm.name === 'X25519'"
        " ? Promise.reject(new DOMException('', 'NotSupportedError')) : make(algorithm, ...rest);"
    )

    old.open(link)

    assert old.heading() == "This browser is too old"
    assert [request.url for request in old.requests if "/api/" in request.url] == []


def test_a_page_that_is_not_encrypted_says_so(playwright: Playwright, service: Service) -> None:
    browser = playwright.chromium.launch(
        executable_path=tools.program("chromium"),
        chromium_sandbox=False,
        args=["--host-resolver-rules=MAP draugar.test 127.0.0.1"],
    )
    with profile(browser, permissions=[]) as visitor:
        visitor.open(f"http://draugar.test:{urlsplit(service.url).port}/#found=ABCD-EFGH")

        assert visitor.heading() == "This address is not encrypted"
    browser.close()


def test_a_browser_that_stores_nothing_says_so(new: New, service: Service) -> None:
    private = new()
    private.page.add_init_script(
        "Object.defineProperty(globalThis, 'indexedDB', { get: () => undefined })"
    )

    private.open(f"{service.url}/#found=ABCD-EFGH")

    assert private.heading() == "This browser keeps nothing"


@pytest.mark.parametrize(
    ("fragment", "says"),
    [
        ("found=AAAA-AAAA", "This invitation is not valid"),
        ("found=nonsense", "This is no invitation link and no code."),
    ],
)
def test_a_code_that_is_wrong_is_told_and_what_was_entered_stays(
    new: New, service: Service, fragment: str, says: str
) -> None:
    visitor = new()
    visitor.open(f"{service.url}/#{fragment}")
    visitor.page.get_by_label("Your name").fill("Una")
    visitor.page.get_by_label("Name of the group").fill("Hearth")

    visitor.press("Found the group")

    visitor.page.get_by_role("alert").get_by_text(says).wait_for()
    assert visitor.page.get_by_label("Your name").input_value() == "Una"


# Privacy


def test_no_request_holds_an_invitation_a_place_or_goes_to_another_host(
    una: Profile, new: New, service: Service
) -> None:
    link = una.invite()
    ari = new(at=AKUREYRI)
    ari.join(link)
    una.update()
    ari.share()
    una.share()
    ari.update()
    ari.go("Map")
    ari.page.locator(".label", has_text="Una").wait_for()

    secret = link.rpartition(".")[2]
    for person in (una, ari):
        for request in person.requests:
            said = f"{request.url} {request.all_headers()} {request.post_data or ''}"
            assert urlsplit(request.url).netloc == urlsplit(service.url).netloc
            for text in (secret, "64.1466", "21.9426", "65.6826", "18.0907"):
                assert text not in said


def test_street_maps_are_loaded_only_after_consent(una: Profile) -> None:
    asked: list[str] = []

    def tile(route: Route) -> None:
        asked.append(route.request.headers.get("referer", ""))
        route.fulfill(status=404)

    una.context.route("https://tile.openstreetmap.org/**", tile)
    una.share()
    una.update()
    una.go("Map")
    una.page.locator(".label", has_text="Una").wait_for()
    assert asked == []

    una.page.get_by_text("Street map", exact=True).click()
    una.reads("It learns your network address")
    una.press("Load street maps from tile.openstreetmap.org")
    una.page.locator(".attribution", has_text="OpenStreetMap").wait_for()
    una.page.locator(".label", has_text="Una").wait_for()

    assert set(asked) == {una.page.evaluate("location.origin + '/'")}


# What others say stays text

PAYLOADS = [
    "<b>bold</b>",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</bdi><h1>title</h1>",
    '"><svg onload=alert(1)>',
    "' onclick='alert(1)",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "&#60;script&#62;",
    "${alert(1)}",
    "{{7*7}}",
    "{name}",
    "{person}",
    "<!--",
    "]]>",
    "<style>*{display:none}</style>",
    "<a href=//example.org>x</a>",
    "<iframe srcdoc=x>",
    "<math><mtext></math>",
    "<template><p>",
    "`+alert(1)+`",
    "\\u003cb\\u003e",
    "%3Cb%3E",
    "Una\u202egnp.exe",
    "\u2066Una\u2069",
    "\u200fUna",
    "U\u200bna",
    "a\u0301" * 60,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u0007bell",
    "line\nbreak",
    "tab\tstop",
    "\u2028line",
    "\ufeffUna",
    "W" * 64,
    "long " * 5000,
    "../../etc/passwd",
    "con.txt\u0000",
    "null",
    "__proto__",
]
HIDING = re.compile("[\x00-\x08\x0b-\x1f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def test_there_are_forty_payloads() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 40


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_what_the_service_says_stays_text(new: New, service: Service, payload: str) -> None:
    """The group's name, a stranger's name, and the names of one's own devices."""
    una = new(service_workers="block")
    una.page.on("dialog", lambda dialog: una.complaints.append(dialog.message))
    una.found(service.url, service.founding_code())
    elements = una.page.locator("b, img, script:not([src]), iframe, style, template, math").count()

    def lie(route: Route) -> None:
        answer = route.fetch()
        body = json.loads(answer.body())
        rename(body, payload)
        route.fulfill(response=answer, body=json.dumps(body))

    una.context.route(re.compile(r"/api/(groups|devices|users)(\?.*)?$"), lie)
    una.press("Update now")
    una.page.wait_for_timeout(300)
    texts = []
    for screen in ("People", "Share", "More"):
        una.go(screen)
        una.page.wait_for_timeout(150)
        texts.append(una.page.locator("body").inner_text())
    una.press("Who can see me")
    una.page.wait_for_timeout(150)
    texts.append(una.page.locator("body").inner_text())

    assert una.page.title() == "Draugar"
    assert una.page.locator("h1").count() == 1
    assert (
        elements
        == una.page.locator("b, img, script:not([src]), iframe, style, template, math").count()
    )
    assert [text for text in texts if HIDING.search(text)] == []
    assert max(map(len, texts)) < 10_000


def rename(value: Any, name: str) -> None:
    """Give everything that has a name another one."""
    if isinstance(value, list):
        for item in value:
            rename(item, name)
    elif isinstance(value, dict):
        for key, member in value.items():
            if key == "name" and isinstance(member, str):
                value[key] = name
            else:
                rename(member, name)
