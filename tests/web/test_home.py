"""What a browser keeps, and what it says where it cannot keep anything."""

import pytest

from tests.client.family import Service
from tests.web.browsers import Failed, Member, WebKit
from tests.web.conftest import Profiles
from tests.web.test_family import group_of, here, latitudes

pytestmark = pytest.mark.tools("node", "npm", "chromium")


@pytest.mark.tools("webkitdriver", "minibrowser", "xvfb")
def test_a_device_is_kept_in_webkit(webkit: WebKit, service: Service) -> None:
    una = Member(webkit)
    una("found", {"code": service.founding_code(), "name": "Una", "group": "Hearth"})
    una("share", group_of(una), [here(64.1)])
    again = Member(webkit)
    assert again.me == una.me
    assert latitudes(again("look", group_of(again))) == {"Una": 64.1}
    assert webkit.run("draugar.stored()")["keyIsSecret"] is True


@pytest.mark.parametrize(
    "lacks",
    [
        "Object.defineProperty(navigator, 'locks', { value: undefined })",
        "Object.defineProperty(window, 'isSecureContext', { value: false })",
        "Object.defineProperty(crypto, 'subtle', { value: undefined })",
        "indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); }",
    ],
)
def test_a_browser_that_cannot_keep_a_device_says_so(profiles: Profiles, lacks: str) -> None:
    tab = profiles()()
    tab.run(f"void ({lacks})")
    with pytest.raises(Failed, match="storage_refused"):
        Member(tab)


def test_what_a_newer_page_has_kept_is_left_as_it_is(profiles: Profiles) -> None:
    tab = profiles()()
    for _ in range(2):
        tab.run("draugar.keep({ schema: 99, secret: given[0] })", "of a newer page")
        with pytest.raises(Failed, match="storage_newer"):
            Member(tab)


def test_what_was_cleared_is_a_device_that_has_not_joined(
    profiles: Profiles, service: Service
) -> None:
    tab = profiles()()
    una = Member(tab)
    una("found", {"code": service.founding_code(), "name": "Una", "group": "Hearth"})
    una("close")
    tab.run(
        "new Promise((done) => {"
        " indexedDB.deleteDatabase('draugar /').onsuccess = () => done(0); })"
    )
    assert Member(tab).me is None


def test_a_record_that_was_changed_is_not_believed(profiles: Profiles, service: Service) -> None:
    tab = profiles()()
    una = Member(tab)
    una("found", {"code": service.founding_code(), "name": "Una", "group": "Hearth"})
    tab.run("draugar.damage()")
    with pytest.raises(Failed, match="storage_lost"):
        Member(tab)


def test_two_tabs_that_write_at_once_lose_nothing(profiles: Profiles) -> None:
    open_tab = profiles()
    one, other = open_tab(), open_tab()
    one.run("void (window.done = draugar.count(100))")
    other.run("draugar.count(100)")
    one.run("window.done")
    assert one.run("draugar.count(1)") == 201
