"""A malicious service before a browser: the lies that the command line is told, too."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from draugar.protocol.json import from_base64url
from draugar.protocol.links import InviteLink
from tests.client import malice
from tests.client.family import Family, Service, fix
from tests.client.malice import Ghost, Relay
from tests.web.browsers import Failed, Member
from tests.web.test_family import group_of, here, latitudes

pytestmark = pytest.mark.tools("node", "npm", "chromium")

New = Callable[[], Member]


@pytest.fixture
def una(browser: New, service: Service) -> Member:
    """A browser that has founded a group."""
    member = browser()
    member("found", {"code": service.founding_code(), "name": "Una", "group": "Hearth"})
    return member


def wrapped_for(relay: Relay, ghost: Ghost, *publics: str) -> bool:
    """Whether any envelope that was ever sent opens for a ghost."""
    wrappers = [from_base64url(public) for public in publics]
    return any(ghost.opens(wrapped, wrappers) for wrapped in relay.wrapped_keys())


@pytest.mark.parametrize("kind", ["person", "device"])
def test_a_ghost_gets_no_key(una: Member, relay: Relay, kind: str) -> None:
    group, ghost = group_of(una), Ghost()
    lie = (
        malice.ghost_person(ghost)
        if kind == "person"
        else malice.ghost_device(ghost, of=UUID(una.me["userId"]))
    )
    with relay.telling(lie):
        una("look", group)
        una("rotate", group)
        una("look", group)
    assert not wrapped_for(relay, ghost, una.tab.run("draugar.publicKey()"))
    assert ("waiting" if kind == "person" else "own_unknown") in una.told()


@pytest.mark.parametrize("version", [0, 1])
def test_a_version_that_went_back_is_refused_and_nothing_is_posted(
    una: Member, relay: Relay, version: int
) -> None:
    group = group_of(una)
    una("rotate", group)
    before = len([one for one in relay.received if one.route == malice.SHARE])
    lie = malice.key_version(version) if version else malice.no_key_at_all
    with relay.telling(lie), pytest.raises(Failed, match="version_went_back"):
        una("share", group, [here()])
    assert len([one for one in relay.received if one.route == malice.SHARE]) == before
    assert una("share", group, [here()])["stored"] == 2


def test_an_old_key_as_a_new_version_is_refused(una: Member, relay: Relay) -> None:
    group = group_of(una)
    with (
        relay.telling(malice.old_key_as_new(UUID(group))),
        pytest.raises(Failed, match=r"key_outdated|version"),
    ):
        una("share", group, [here()])
    assert "envelope_refused" in una.told()


def test_points_in_the_clear_and_of_other_people_are_not_shown(
    una: Member, relayed: Family, relay: Relay
) -> None:
    group = group_of(una)
    ari = relayed.join(InviteLink.paste(una("invite", group)["link"]))
    ari.share([fix(64.2)])
    una("share", group, [here(64.1)])
    una("look", group)
    with relay.telling(malice.in_the_clear(1.0, 2.0)):
        assert latitudes(una("look", group)) == {}

    me = una.me
    hers = {"userId": me["userId"], "deviceId": me["deviceId"]}

    def as_una(all_: list[Any]) -> list[Any]:
        return [one | hers for one in all_]

    with relay.telling(malice.points(as_una)):
        assert set(latitudes(una("look", group)).values()) <= {64.1}
    assert {"plaintext_refused", "points_dropped"} <= set(una.told())


def test_a_point_that_comes_again_as_a_newer_one_is_dropped(
    una: Member, relayed: Family, relay: Relay
) -> None:
    group = group_of(una)
    ari = relayed.join(InviteLink.paste(una("invite", group)["link"]))
    ari.share([fix(64.2)])
    una("look", group)

    def again(all_: list[Any]) -> list[Any]:
        return [malice.moved(one, timedelta(minutes=5)) for one in all_]

    with relay.telling(malice.points(again)):
        assert latitudes(una("look", group)) == {}
    assert "points_dropped" in una.told()
    assert latitudes(una("look", group)) == {"Ari": 64.2}


def test_a_package_of_another_group_is_refused(browser: New, una: Member, relay: Relay) -> None:
    group = group_of(una)
    ari = browser()
    with relay.telling(malice.another_package("A" * 80)):
        joined = ari("join", {"invite": una("invite", group)["link"], "name": "Ari"})
    assert joined["keyState"] == "pending"
    assert "package_refused" in ari.told()


def test_a_joiner_who_proves_something_else_gets_no_key(
    browser: New, una: Member, relay: Relay
) -> None:
    group = group_of(una)
    ari = browser()
    with relay.telling(malice.another_proof(bytes(32)), malice.another_package(None)):
        ari("join", {"invite": una("invite", group)["link"], "name": "Ari"})
        view = una("look", group)
        [device] = [person["devices"][0] for person in view["people"] if not person["isMe"]]
        assert device["standing"] == "pending"
        assert ari("look", group)["obstacle"] == "key_pending"
    una("look", group)
    assert ari("look", group)["obstacle"] in (None, "key_not_trusted")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"groups": [], "groups": []}', b'{"groups": [{}]}', b"\xff", b"{" * 9000],
)
def test_an_answer_that_is_none_is_a_failure(una: Member, relay: Relay, content: bytes) -> None:
    reply = malice.Reply(200, content)
    with (
        relay.telling(malice.answering(malice.GROUPS, reply)),
        pytest.raises(Failed, match="answer_not_understood"),
    ):
        una("groups")


def test_a_redirect_is_not_followed(una: Member, relay: Relay) -> None:
    reply = malice.Reply(302, b"", {"Location": f"{relay.url}/api/elsewhere"})
    with (
        relay.telling(malice.answering(malice.GROUPS, reply)),
        pytest.raises(Failed, match="answer_not_understood"),
    ):
        una("groups")
    assert not any("elsewhere" in one.target for one in relay.received)


def test_no_secret_or_place_is_in_any_request(una: Member, browser: New, relay: Relay) -> None:
    group = group_of(una)
    link = una("invite", group)["link"]
    ari = browser()
    ari("join", {"invite": link, "name": "Ari"})
    ari("share", group, [here(64.123456)])
    una("look", group)
    secret = link.rpartition(".")[2].encode()
    for request in relay.received:
        sent = request.content + request.target.encode() + repr(request.headers).encode()
        assert secret not in sent
        assert b"64.12" not in sent
