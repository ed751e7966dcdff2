"""The same bytes and the same decisions as in Python, in each engine."""

import pytest

from tests.web.browsers import Tab, WebKit
from tests.web.conftest import Profiles

pytestmark = pytest.mark.tools("node", "npm", "chromium")


def _hold(tab: Tab) -> None:
    vectors, decisions = tab.run("draugar.vectors()"), tab.run("draugar.decisions()")
    assert vectors["wrong"] == []
    assert vectors["checked"] > 750
    assert decisions["wrong"] == []
    assert decisions["checked"] >= 250


def test_vectors_and_decisions_hold_in_chromium(profiles: Profiles) -> None:
    _hold(profiles()())


@pytest.mark.tools("webkitdriver", "minibrowser", "xvfb")
def test_vectors_and_decisions_hold_in_webkit(webkit: WebKit) -> None:
    _hold(webkit)
