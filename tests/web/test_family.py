"""A browser and the command line are members of one group, by the same protocol."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from draugar.client import Client
from draugar.models import Kind, TrustSource, TrustState
from draugar.protocol.links import InviteLink
from draugar.protocol.statements import Browsers
from tests.client.family import Family, Service, fix
from tests.client.malice import JOIN, Forward, Relay, Reply, Request
from tests.web.browsers import Failed, Member
from tests.web.conftest import Profiles

pytestmark = pytest.mark.tools("node", "npm", "chromium")

New = Callable[[], Member]


def here(latitude: float = 64.1466, **more: Any) -> dict[str, Any]:
    """Return where a browser is, as its own API says."""
    unknown = dict.fromkeys(("altitude", "velocity", "course", "battery"))
    at = int(time.time()) * 1000
    return unknown | {"latitude": latitude, "longitude": -21.94, "accuracy": 9, "at": at} | more


def latitudes(view: dict[str, Any]) -> dict[str, float]:
    """Return where each person is."""
    return {one["name"]: one["fix"]["latitude"] for one in view["positions"]}


@pytest.fixture
def una(browser: New, service: Service) -> Member:
    """A browser that has founded a group."""
    member = browser()
    member("found", {"code": service.founding_code(), "name": "Una", "group": "Hearth"})
    return member


def group_of(member: Member) -> str:
    """Return the id of the one group of a browser."""
    [group] = member("groups")
    return str(group["id"])


def test_a_browser_founds_and_the_command_line_joins_by_its_link(
    una: Member, relayed: Family
) -> None:
    group = group_of(una)
    link = una("invite", group)["link"]
    assert link.startswith(f"{relayed.service.url}/join#")
    una("share", group, [here(64.1)])

    ari = relayed.join(InviteLink.paste(link))
    ari.share([fix(64.2)])
    # To recognise him is to share with him where she is.
    assert latitudes(una("look", group)) == {"Una": 64.1, "Ari": 64.2}
    assert latitudes_of(ari) == {"Una": 64.1, "Ari": 64.2}
    assert una.told() == ["rotated", "joined"]
    [device] = [one.devices[0] for one in ari.people() if not one.is_me]
    assert (device.kind, device.standing) == ("web", TrustState.TRUSTED)


def test_the_command_line_founds_and_a_browser_joins_by_its_link(
    browser: New, relayed: Family
) -> None:
    una = relayed.found()
    una.share([fix(64.1)])
    invitation = una.invite()
    assert invitation.link is not None

    ari = browser()
    group = ari("join", {"invite": invitation.link.text, "name": "Ari"})
    assert group["keyState"] == "ready"
    # The command line knows the browser by its join proof, which says that it is one.
    una.where()
    assert Kind.JOINED in relayed.hears("Una").kinds()
    [device] = [one.devices[0] for one in una.people() if not one.is_me]
    assert (device.kind, device.how) == ("web", TrustSource.PROOF)
    assert latitudes(ari("look", group["id"])) == {"Una": 64.1}


def test_each_changes_the_key_and_a_removed_browser_opens_nothing_of_later(
    browser: New, una: Member, relayed: Family, service: Service
) -> None:
    group = group_of(una)
    ari = relayed.join(InviteLink.paste(una("invite", group)["link"]))
    bo = browser()
    bo("join", {"invite": una("invite", group)["link"], "name": "Bo"})
    una("look", group)

    for version in (2, 3):
        if version == 2:
            una("rotate", group)
        else:
            ari.rotate()
        una("share", group, [here(64 + version / 10)])
        views = [member("look", group) for member in (una, bo)]
        assert [latitudes(view)["Una"] for view in views] == [64 + version / 10] * 2
        assert latitudes_of(ari)["Una"] == 64 + version / 10

    una("remove", group, bo.me["userId"])
    una("share", group, [here(64.9)])
    assert latitudes_of(ari)["Una"] == 64.9
    with pytest.raises(Failed, match="unauthenticated"):
        bo("look", group)
    # Neither what is stored here nor what lies in the service opens what she has posted since.
    assert max(map(int, bo.tab.run("draugar.held()")[group])) == 3
    [[version]] = service.query(
        "SELECT max(key_version) FROM locations WHERE group_id = CAST(:id AS uuid)", id=group
    )
    assert version == 4
    [[envelopes]] = service.query(
        "SELECT count(*) FROM key_envelopes WHERE key_version = 4"
        " AND device_id = CAST(:id AS uuid)",
        id=bo.me["deviceId"],
    )
    assert envelopes == 0


def latitudes_of(client: Client) -> dict[str, float]:
    """Return where the command line sees each person."""
    return {position.name: position.fix.latitude for position in client.where()}


def test_a_lost_answer_to_a_join_does_not_cost_the_invite(
    una: Member, browser: New, relay: Relay
) -> None:
    link = una("invite", group_of(una))["link"]

    def lose(request: Request, forward: Forward) -> Reply:
        answer = forward(request)
        return Reply(502, b"") if request.route == JOIN else answer

    ari = browser()
    with relay.telling(lose), pytest.raises(Failed) as failure:
        ari("join", {"invite": link, "name": "Ari"})
    assert failure.value.parameters["mayBeDone"] is True
    assert ari.me is None

    again = Member(ari.tab)
    assert ari.tab.run("draugar.unfinished()") == {"founds": False, "name": "Ari"}
    # The package came once and is lost: the maker of the link gives the key by the proof.
    assert again("resume")["keyState"] == "pending"
    una("look", group_of(una))
    assert again("look", group_of(una))["obstacle"] in (None, "key_not_trusted")


def test_a_joiner_by_typed_code_is_confirmed_by_the_same_number(
    una: Member, relayed: Family
) -> None:
    group = group_of(una)
    ari = relayed.join_by_code(una("inviteByCode", group)["code"])
    [comparison] = una("pending", group)
    assert comparison["name"] == "Ari"
    theirs = ari.compare(UUID(una.me["userId"]))
    assert comparison["safetyNumber"] == theirs.safety_number

    una("confirm", comparison)
    ari.confirm(theirs)
    ari.share([fix(64.3)])
    assert latitudes(una("look", group))["Ari"] == 64.3


def test_a_further_browser_of_a_person_has_her_name_and_sees_what_was(
    una: Member, browser: New
) -> None:
    group = group_of(una)
    una("share", group, [here(64.1)])
    tablet = browser()
    tablet("join", {"invite": una("invite", group, {"forMe": True})["link"]})
    assert tablet.me["name"] == "Una"
    assert tablet.me["userId"] == una.me["userId"]
    una("rename", "Una Sól")
    assert latitudes(tablet("look", group)) == {"Una Sól": 64.1}


def test_a_day_of_a_person_is_shown_oldest_first(una: Member) -> None:
    group = group_of(una)
    now = int(time.time()) * 1000
    una("share", group, [here(64 + step / 10, at=now - (5 - step) * 60_000) for step in range(5)])
    wanted = {"userId": una.me["userId"], "since": now - 200_000, "until": now + 1}
    found = una("history", group, wanted)
    assert [one["fix"]["latitude"] for one in found] == [64.2, 64.3, 64.4]


def test_what_is_known_is_shown_while_the_service_is_away(una: Member, relay: Relay) -> None:
    group = group_of(una)
    una("share", group, [here(64.1)])
    una("look", group)
    with relay.telling(lambda _, __: Reply(503, b"", {"Retry-After": "60"})):
        view = una("look", group)
        assert (view["isOffline"], latitudes(view)) == (True, {"Una": 64.1})
        assert [one["name"] for one in una("groups")] == ["Hearth"]
    assert una("look", group)["isOffline"] is False


def test_an_open_page_asks_for_little_until_there_is_news(
    una: Member, relayed: Family, relay: Relay
) -> None:
    group = group_of(una)
    ari = relayed.join(InviteLink.paste(una("invite", group)["link"]))
    una("share", group, [here(64.1)])
    una("look", group)
    sent = len(relay.received)
    assert una("hasNews", group) is False
    assert len(relay.received) == sent + 1
    ari.share([fix(64.2)])
    assert una("hasNews", group) is True
    assert latitudes(una("look", group))["Ari"] == 64.2
    assert una("hasNews", group) is False


def test_a_person_manages_what_is_theirs(una: Member, browser: New) -> None:
    group = group_of(una)
    now = int(time.time()) * 1000
    una("share", group, [here(64.1, at=now - 60_000), here(64.2, at=now)])
    position = una("look", group)["positions"][0]
    opened = [one["opened"]["lat"] for one in una("export")["locations"]]
    assert sorted(opened) == [64.1, 64.2]
    assert una("deletePoint", group, position["pointId"]) == 1
    assert una("deletePoints", group, None, None) == 1

    una("pause", group, None)
    with pytest.raises(Failed, match="sharing_paused"):
        una("share", group, [here()])
    una("resumeSharing", group)
    assert una("share", group, [here()])["stored"] == 1

    invitation = una("invite", group)
    una("revokeInvite", invitation["id"])
    with pytest.raises(Failed, match="invite_not_valid"):
        browser()("join", {"invite": invitation["link"], "name": "Ari"})
    assert [device["isThisOne"] for device in una("devices")] == [True]

    una("deleteAccount")
    assert Member(una.tab).me is None


def test_a_browser_that_leaves_or_signs_out_is_nobodys(una: Member, browser: New) -> None:
    group = group_of(una)
    ari = browser()
    ari("join", {"invite": una("invite", group)["link"], "name": "Ari"})
    una("look", group)
    ari("leave", group)
    assert ari("groups") == []
    una("look", group)
    assert "trust_ended" in una.told()
    una("signOut")
    assert una.me is None
    assert una.tab.run("draugar.stored().then(() => 0, () => 1)") == 1


def test_a_group_that_refuses_browsers_spends_no_invite_on_one(
    browser: New, relayed: Family
) -> None:
    una = relayed.found()
    link = una.invite().link
    assert link is not None
    una._api.change_group(una.groups()[0].id, browsers=Browsers.REFUSED)
    ari = browser()
    with pytest.raises(Failed, match="browsers_refused"):
        ari("join", {"invite": link.text, "name": "Ari"})
    assert ari.tab.run("draugar.unfinished()") is None
    relayed.join(link)


def test_links_to_other_services_and_founding_codes_are_refused_before_anything_is_sent(
    browser: New, service: Service, relay: Relay
) -> None:
    ari = browser()
    secret = "yMnKy8zNzs_Q0dLT1NXW1w"
    with pytest.raises(Failed, match="link_to_another_service"):
        ari("join", {"invite": f"https://a.example/join#RT5WLJ8BK2MNP4QX.{secret}", "name": "Ari"})
    with pytest.raises(Failed, match="founding_code"):
        ari("join", {"invite": service.founding_code(), "name": "Ari"})
    assert [one for one in relay.received if one.route == JOIN] == []


def test_no_code_is_spent_before_a_person_says_so(
    una: Member, profiles: Profiles, relay: Relay
) -> None:
    link = una("invite", group_of(una))["link"]
    tab = profiles()()
    del relay.received[:]
    tab.open(link)
    ari = Member(tab)
    assert tab.run("draugar.readInvite(location.href)")["value"]["is"] == "link"
    assert ari.me is None
    assert [one.route for one in relay.received if "/api/" in one.target] == []
    assert ari("join", {"invite": link, "name": "Ari"})["keyState"] == "ready"


def test_what_is_stored_is_sealed_with_a_key_that_no_script_reads(una: Member) -> None:
    una("share", group_of(una), [here(64.1234)])
    stored = una.tab.run("draugar.stored()")
    assert stored["keyIsSecret"] is True
    for plain in ("Una", "Hearth", "64.1234", una.me["userId"], "token"):
        assert plain not in stored["text"]


def test_two_tabs_never_give_one_counter_to_two_points(
    profiles: Profiles, service: Service, relay: Relay
) -> None:
    tabs = profiles()
    una, other = Member(tabs()), None
    una("found", {"code": service.founding_code(), "name": "Una", "group": "Hearth"})
    other = Member(tabs())
    group = group_of(other)
    del relay.received[:]
    fixes = [here(64 + step / 1000) for step in range(10)]
    script = (
        "(async () => { for (let i = 0; i < 50; i++)"
        " await draugar.call('share', [given[0], given[1]]); })()"
    )
    # Both run at once; the first is not waited for.
    una.tab.run(f"void (window.done = {script})", group, fixes)
    other.tab.run(script, group, fixes)
    una.tab.run("window.done")
    points = service.query(
        "SELECT count(*), count(DISTINCT id) FROM locations WHERE group_id = CAST(:id AS uuid)",
        id=group,
    )
    assert points == [[1000, 1000]]
    counters = una.tab.run("draugar.counters(given[0])", group)
    assert len(counters) == len(set(counters)) == 1000


def test_home_survives_a_new_page(una: Member) -> None:
    group = group_of(una)
    una("share", group, [here(64.1)])
    again = Member(una.tab)
    assert latitudes(again("look", group)) == {"Una": 64.1}
    assert len(again("devices")) == 1
