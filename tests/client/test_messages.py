"""Failures as people meet them: what happened, what did not, and the command to type next."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from draugar.client import Client
from draugar.storage import pauses as pausing
from draugar.storage.home import Home
from tests.client.commands import Type
from tests.client.family import Family, Service, fix
from tests.client.kept import move
from tests.client.malice import JOIN, Forward, Relay, Reply, Request, refused

UNHEARD = "http://127.0.0.1:9"
"""Where no service listens."""


def lose_contact(*members: Client) -> None:
    """Have the devices look for the service where there is none."""
    for member in members:
        move(member._home, UNHEARD)


def find_contact(service: Service, *members: Client) -> None:
    for member in members:
        move(member._home, service.url)


class Lost:
    """What is asked of a route is done, and its answer never arrives."""

    def __init__(self, route: str) -> None:
        self.route = route

    def __call__(self, request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != self.route:
            return reply
        return refused(502, "timed_out", **{"Retry-After": "0"})


# Founding and joining


def test_what_was_mistyped_while_founding_is_corrected(service: Service, types: Type) -> None:
    code = service.founding_code()

    unreached = types(
        "Una", "found", UNHEARD, code, "--name", "Unaaa", "--group", "Heart", "--wait", 0
    )
    founded = types("Una", "found", service.url, code, "--name", "Una", "--group", "Hearth")

    assert unreached.told == (
        "The service does not answer. No group was founded."
        " Run this again later: draugar found URL CODE --name NAME"
    )
    assert founded.out.startswith("Welcome, Una. You have founded Hearth.")


@pytest.mark.parametrize(
    ("command", "again"),
    [
        (["found", UNHEARD, "7KQM"], "draugar found URL CODE --name NAME"),
        (["join", "7KQM", "--url", UNHEARD], "draugar join CODE --url URL --name NAME"),
    ],
)
def test_a_code_that_is_none_is_typed_again_to_the_same_command(
    types: Type, command: list[str], again: str
) -> None:
    refused = types("Una", *command, "--name", "Una")

    assert refused.told == (
        "This is not an invite code: one has 8 letters and digits, or 16 to 32."
        f" Type it again as you were given it: {again}"
    )


def test_names_are_corrected_even_where_the_first_attempt_has_arrived(
    service: Service, relay: Relay, types: Type, tmp_path: Path
) -> None:
    code = service.founding_code()

    with relay.telling(Lost(JOIN)):
        lost = types(
            "Una", "found", relay.url, code, "--name", "Unaaa", "--group", "Heart", "--wait", 0
        )
    founded = types("Una", "found", relay.url, code, "--name", "Una", "--group", "Hearth")
    listed = types("Una", "people")

    assert lost.told == (
        "The service cannot do this at the moment. The service may have done it all the same: its"
        " answer was lost. Run this again later: draugar found URL CODE --name NAME"
    )
    assert founded.out.startswith("Welcome, Una. You have founded Hearth.")
    assert "Una (you)" in listed.out
    with Home.open(tmp_path / "Una") as home, Client(home, tell=print) as una:
        assert una.group().name == "Hearth"


def test_an_attempt_that_was_sent_is_finished_or_given_up(
    service: Service, relay: Relay, types: Type
) -> None:
    first, second = service.founding_code(), service.founding_code()

    with relay.telling(Lost(JOIN)):
        types("Una", "found", relay.url, first, "--name", "Una", "--wait", 0)
    unfinished = types("Una", "found", relay.url, second, "--name", "Una")
    over = types("Una", "found", relay.url, second, "--name", "Una", "--start-over")

    assert unfinished.told.startswith("An earlier attempt with another code was sent")
    assert "--start-over" in unfinished.told
    assert over.out.startswith("Welcome, Una.")


def test_a_link_joins_by_the_name_that_was_sent_and_says_so(
    relayed: Family, relay: Relay, types: Type
) -> None:
    una = relayed.found()
    link = una.invite().link
    assert link is not None

    with relay.telling(Lost(JOIN)):
        types("Ari", "join", link.text, "--name", "Arri", "--wait", 0)
    joined = types("Ari", "join", link.text, "--name", "Ari")

    assert joined.code == 0
    assert "you are Arri there. To change your name: draugar rename NAME" in joined.told
    assert {person.name for person in una.people()} == {"Una", "Arri"}


def test_one_who_tried_too_often_is_told_when_to_try_again(
    service: Service, relay: Relay, types: Type
) -> None:
    def hasty(request: Request, forward: Forward) -> Reply:
        if request.route == JOIN:
            return refused(429, "too_many_requests", **{"Retry-After": "700"})
        return forward(request)

    code = service.founding_code()

    with relay.telling(hasty):
        told = types("Una", "found", relay.url, code, "--name", "Unna").told
    founded = types("Una", "found", service.url, code, "--name", "Una")

    assert told == (
        "The service takes no more attempts for now. No group was founded."
        " Run this again in 12 minutes: draugar found URL CODE --name NAME"
    )
    assert founded.out.startswith("Welcome, Una.")


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "\u202eanU"])
def test_a_name_is_checked_before_anything_is_sent(types: Type, name: str) -> None:
    found = types("Una", "found", UNHEARD, "7KQM-X2HD", "--name", name, "--wait", 0)
    group = types(
        "Una", "found", UNHEARD, "7KQM-X2HD", "--name", "Una", "--group", name, "--wait", 0
    )

    for told in (found.told, group.told):
        assert told.startswith("A name has 1 to 64 characters")
        assert "draugar" in told or "the same command" in told


@pytest.mark.parametrize(
    ("command", "again"),
    [
        (["rename", ""], "draugar rename NAME"),
        (["group", "--name", "x" * 65], "draugar group --name NAME"),
        (["places", "add", "\u200b", "64", "-21"], "draugar places add NAME LAT LON"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_command_for_another(
    family: Family, types: Type, command: list[str], again: str
) -> None:
    family.found()

    assert types("Una", *command).told.endswith(f"Choose another name: {again}")


@pytest.mark.parametrize("code", ["7KQM-X2HD", "7KQM"])
def test_a_founding_code_that_is_none_is_refused_with_the_command_for_another(
    service: Service, types: Type, code: str
) -> None:
    shown = types("Una", "found", service.url, code, "--name", "Una")

    assert shown.told.endswith("draugar found URL CODE --name NAME")
    assert "draugar join" not in shown.told


@pytest.mark.parametrize("host", ["http://127.0.0.1", "https://host.invalid"])
def test_an_address_that_is_wrong_is_to_be_corrected_and_not_tried_later(
    relay: Relay, types: Type, host: str
) -> None:
    if host.startswith("http:"):  # where https is asked for, and the answer is not of it
        host = relay.url.replace("http:", "https:")

    told = types("Una", "found", host, "7KQM-X2HD", "--name", "Una", "--wait", 0).told

    assert told.endswith(
        "No group was founded. Run this again when that is right: draugar found URL CODE"
        " --name NAME"
    )


def test_an_invite_that_is_not_there_is_not_said_to_be_of_use(family: Family, types: Type) -> None:
    una = family.found()
    used = una.invite()
    family.join(used.link, "Ari")

    for known, id_ in (("used", used.id), ("unknown", uuid4())):
        told = types("Una", "invites", "revoke", id_).told

        assert "can still be used" not in told, known
        assert "draugar" in told


def test_the_founding_code_is_refused_where_a_group_is_joined(
    service: Service, types: Type
) -> None:
    code = service.founding_code()

    told = types("Una", "join", code, "--url", service.url, "--name", "Una").told

    assert told == (
        "This code is for founding a new group. It was not used up."
        " Found the group: draugar found URL CODE --name NAME --group GROUP"
    )


def test_a_group_is_not_founded_with_an_invite(family: Family, types: Type) -> None:
    code = family.found().invite_by_code().code

    told = types("Ari", "found", family.service.url, code, "--name", "Ari").told

    assert "an invite to a group that exists already" in told
    assert "No group was founded." in told
    assert told.endswith("Join that group: draugar join CODE --url URL --name NAME")


# The service is away


@pytest.mark.parametrize(
    ("arguments", "stays"),
    [
        (["leave", "--yes"], "You are still in the group, and it can still see you."),
        (["remove", "Cleo", "--yes"], "Cleo is still in the group."),
        (["role", "Cleo", "admin"], "The role of Cleo was not changed."),
        (["rotate"], "The group's key was not changed."),
        (["devices", "revoke", "Phone", "--yes"], "Phone can still read and share as you."),
        (["rename", "Unna"], "Your name was not changed."),
        (["erase", "--yes"], "Nothing was deleted."),
        (["logout", "--yes"], "This device is still logged in, and keeps all its data."),
        (["delete-account", "--yes"], "You and your data are still at the service"),
        (["invite"], "No invite was made."),
        (["confirm", "Cleo"], "No one was confirmed."),
        (["phone", "add"], "No phone was added."),
        (["group", "--name", "Heart"], "The group was not changed."),
    ],
)
def test_each_command_says_what_stays_as_it_was_when_the_service_is_away(
    family: Family, types: Type, arguments: list[str], stays: str
) -> None:
    lose_contact(family.found())

    shown = types("Una", *arguments, "--wait", 0)

    assert shown.code == 1
    assert shown.told.startswith(f"The service does not answer. {stays}")
    assert re.search(r"Run this again later: draugar " + arguments[0], shown.told)


def test_where_an_answer_is_lost_the_way_to_see_what_was_done_is_named(
    relayed: Family, relay: Relay, types: Type
) -> None:
    una = relayed.found()
    relayed.join(una.invite().link, "Cleo")

    with relay.telling(Lost("DELETE /api/groups/ID/members/ID")):
        told = types("Una", "remove", "Cleo", "--yes", "--wait", 0).told

    assert "The service may have done it all the same" in told
    assert "See: draugar people. If it was not done: draugar remove Cleo --yes" in told


def test_a_removal_without_its_new_key_says_what_is_left_to_do(
    relayed: Family, relay: Relay, types: Type
) -> None:
    una = relayed.found()
    relayed.join(una.invite().link, "Cleo")
    una.where()

    def shut(request: Request, forward: Forward) -> Reply:
        if request.route == "POST /api/groups/ID/keys":
            return refused(503, "temporarily_unavailable")
        return forward(request)

    with relay.telling(shut):
        told = types("Una", "remove", "Cleo", "--yes", "--wait", 0).told

    assert "The member is removed, but the group's key is not changed yet." in told
    assert told.endswith("Change it as soon as the service answers: draugar rotate")


def test_what_an_admin_may_do_alone_is_refused_in_words(family: Family, types: Type) -> None:
    una = family.found()
    family.join(una.invite().link, "Ari")

    told = types("Ari", "remove", "Una", "--yes").told

    assert told.endswith(
        "Only an admin of the group can do this, and you are not one. Una is still in the group."
        " See who is an admin: draugar people"
    )


# Pausing


def test_a_pause_without_the_service_begins_here_at_once_and_is_told_later(
    family: Family, types: Type
) -> None:
    una = family.found()
    ari = family.join(una.invite().link, "Ari")
    lose_contact(ari)

    paused = types("Ari", "pause", "--wait", 0)
    shared = types("Ari", "share", 64, -21, "--wait", 0)
    find_contact(family.service, ari)
    types("Ari", "share")
    listed = types("Ari", "groups")
    positions = list(una.history())

    assert paused.code == 0
    assert paused.out == "This device shares nothing until you run: draugar resume\n"
    assert "your other devices and phones share on" in paused.told
    assert (shared.code, "1 position was not shared, and not kept." in shared.told) == (1, True)
    assert shared.told.endswith("Share again: draugar resume")
    assert "paused" in listed.out
    assert positions == []


def test_a_resumption_without_the_service_is_told_before_what_is_shared_then(
    family: Family, types: Type
) -> None:
    una = family.found()
    ari = family.join(una.invite().link, "Ari")
    ari.pause()
    lose_contact(ari)

    resumed = types("Ari", "resume", "--wait", 0)
    types("Ari", "share", 64, -21, "--wait", 0)
    find_contact(family.service, ari)
    sent = types("Ari", "share")

    assert resumed.code == 0
    assert "the others cannot see you yet" in resumed.told
    assert sent.out == "Shared 1 position.\n"
    assert len(list(una.history())) == 1


def test_what_waited_before_a_pause_goes_after_it(family: Family, types: Type) -> None:
    una = family.found()
    una.enqueue([fix(1.0)])

    paused = types("Una", "pause")
    held = types("Una", "share")
    types("Una", "resume")
    sent = types("Una", "share")

    assert "Shared before the pause, and kept here until it ends: 1 position." in paused.told
    assert "Nothing is lost: 1 position waiting here." in held.told
    assert sent.out == "Shared 1 position.\n"


def test_a_pause_that_ended_before_the_service_answered_is_not_told(family: Family) -> None:
    una = family.found()
    over = datetime.now(UTC) - timedelta(minutes=1)
    pausing.begin(una._home, una.group().id, until=over)

    again = family.again("Una")
    shared = again.share([fix(1.0)])

    assert shared.stored == 1
    assert not again.group().is_paused


def test_a_pause_that_would_end_in_the_past_is_refused_and_changes_nothing(
    family: Family, types: Type
) -> None:
    una = family.found()

    told = types("Una", "pause", "--until", "2020-01-01").told

    assert told.startswith("That time is past. Nothing was changed.")
    assert "draugar pause --until" in told
    assert una.share([fix(1.0)]).stored == 1


# Two of one name


@pytest.fixture
def namesakes(family: Family) -> tuple[Client, Client, Client]:
    """A founder called Una, a second Una, and Ari, all by links."""
    founder = family.found()
    link = founder.invite().link
    assert link is not None
    second = family.join(link, "Una", home="second")
    return founder, second, family.join(founder.invite().link, "Ari")


def test_two_members_of_one_name_are_told_apart_wherever_they_are_shown(
    namesakes: tuple[Client, Client, Client], types: Type
) -> None:
    founder, second, ari = namesakes
    founder.share([fix(1.0)])
    founder.where()
    ari.where()
    second.share([fix(2.0)])
    founder.share([fix(1.0)])
    marks = {member.user_id.hex[-4:] for member in (founder, second)}

    for command in ("where", "history", "people"):
        assert set(re.findall(r"Una \[(\w+)\]", types("Ari", command).out)) == marks
    types("Ari", "map")
    assert marks <= set(re.findall(r"Una \[(\w+)\]", Path("draugar-map.html").read_text()))


def test_who_is_alone_is_told_so_and_that_no_map_was_drawn(family: Family, types: Type) -> None:
    family.found()

    assert types("Una", "map").told == (
        "No map was drawn. You are the only one in Hearth. Next: draugar invite"
        " Share where you are: draugar share LAT LON"
    )


def test_a_name_that_two_have_is_not_guessed_and_the_command_is_given(
    namesakes: tuple[Client, Client, Client], types: Type
) -> None:
    _, second, ari = namesakes

    told = types("Ari", "safety", "Una").told
    command = re.search(r"as in: draugar safety (\w+)$", told)
    shown = types("Ari", "safety", second.user_id.hex[-4:])

    assert told.startswith("Several members have this name: Una [")
    assert told.count("joined ") == 2
    assert command
    assert shown.out.startswith(f"Una [{second.user_id.hex[-4:]}]")
    assert ari.group().name == "Hearth"


def test_oneself_and_those_who_do_not_fit_are_not_meant(
    family: Family, namesakes: tuple[Client, Client, Client], types: Type
) -> None:
    founder, second, _ = namesakes
    third = family.join_by_code(founder.invite_by_code().code, "Una ")

    asked = types("Una", "confirm", "una")
    removed = types("second", "safety", "Una")

    assert f"Una [{third.user_id.hex[-4:]}]" in asked.told
    assert second.user_id.hex[-4:] not in asked.told
    assert f"[{second.user_id.hex[-4:]}]" not in removed.told


def test_an_id_means_its_member_whatever_name_another_one_has(family: Family, types: Type) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    unused = uuid4()
    family.join(una.invite().link, str(ari.user_id), home="posing")
    family.join(una.invite().link, unused.hex, home="unmatched")

    asked = types("Una", "remove", str(ari.user_id)).told
    unmatched = [types("Una", command, str(unused)).told for command in ("confirm", "remove")]

    assert f"Ari: id {ari.user_id}" in asked
    assert "Remove Ari?" in asked
    assert all(told.startswith("No other member has this name.") for told in unmatched)


def test_who_is_confirmed_or_removed_is_shown_by_what_no_member_chooses(
    family: Family, types: Type
) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    bera = family.join_by_code(una.invite_by_code().code, "Bera")

    confirmed = types("Una", "confirm", "Bera").told
    removed = types("Una", "remove", "Ari", "--yes").told

    assert f"Bera: id {bera.user_id}, not confirmed yet" in confirmed
    assert f"Ari: id {ari.user_id}, trusted by the invite link" in removed


def test_who_takes_a_name_that_is_taken_is_told(family: Family, types: Type) -> None:
    una = family.found()
    link = una.invite().link
    assert link is not None

    joined = types("second", "join", link.text, "--name", "UNA")
    renamed = types("second", "rename", "Ari")
    again = types("second", "rename", "una")

    assert "Another member of Hearth has this name too." in joined.told
    assert joined.told.endswith("To take another name: draugar rename NAME")
    assert "has this name too" not in renamed.told
    assert "has this name too" in again.told


def test_a_new_name_is_understood_by_those_who_know_the_former_one(
    family: Family, types: Type
) -> None:
    una = family.found()
    family.join(una.invite().link, "Ari")
    una.where()

    renamed = types("Ari", "rename", "Aron")
    noted = types("Una", "safety", "Aron")
    listed = types("Una", "people")

    assert "The others see it at their next update" in renamed.out
    assert noted.out.startswith("Aron")
    assert noted.told.startswith("Note: Ari has changed their name, and is now called Aron.")
    assert "Aron" in listed.out
    assert "says the service" not in listed.out


# What a newcomer reads


def test_a_newcomer_is_told_from_when_on_the_others_are_seen(family: Family, types: Type) -> None:
    una = family.found()
    una.share([fix(1.0)])
    link = una.invite().link
    assert link is not None

    joined = types("Dad", "join", link.text, "--name", "Dad")
    before = types("Dad", "where")
    mapped = types("Dad", "map")
    una.where()
    una.share([fix(2.0)])
    after = types("Dad", "where")

    assert "You see each of the others from when they next share: draugar where" in joined.out
    assert before.out.startswith("No one else in Hearth has shared since you joined (")
    assert before.out.endswith("You see each of them when they next share.\n")
    assert "No one else in Hearth has shared since you joined" in mapped.told
    assert after.out.count("Una") == 1


def test_who_was_given_the_key_by_one_not_confirmed_is_told_to_confirm_them(
    family: Family, types: Type
) -> None:
    una = family.found()
    sif = family.join_by_code(una.invite_by_code().code, "Sif")

    unconfirmed = types("Sif", "where").told
    una.confirm(una.compare(sif.user_id))
    given = types("Sif", "where").told
    shared = types("Sif", "share", 64, -21).told

    assert unconfirmed.startswith("No member has given this device the group's key yet.")
    for told in (given, shared):
        assert "you have not confirmed that member here yet." in told
        assert "See who it is and the number to compare with them: draugar confirm" in told
        assert "A person listed as Una has given it one" in told


def test_no_command_fails_that_would_succeed_at_its_repeat(family: Family) -> None:
    anna = family.found("Anna")
    bert = family.join(anna.invite().link, "Bert")
    cleo = family.join(bert.invite().link, "Cleo")

    cleo.rotate()
    cleo.share([fix(1.0)])

    assert [position.name for position in bert.where()] == ["Cleo"]


# Groups, devices and homes


def test_a_group_is_renamed_and_told_how_long_to_keep_positions(
    family: Family, types: Type
) -> None:
    una = family.found()

    renamed = types("Una", "group", "--name", "Hearth and home")
    unsure = types("Una", "group", "--keep-days", 7)
    shortened = types("Una", "group", "--keep-days", 7, "--yes")
    refused_name = types("Una", "group", "--name", "x" * 65)

    assert "Hearth and home" in renamed.out
    assert unsure.told.endswith("If you are sure: draugar group --keep-days 7 --yes")
    assert "kept for 7 days" in shortened.out
    assert refused_name.told.startswith("A name has 1 to 64 characters")
    assert (una.group().name, una.group().retention_days) == ("Hearth and home", 7)


def test_a_home_is_deleted_without_the_service(family: Family, types: Type) -> None:
    una = family.found()
    lose_contact(una)

    away = types("Una", "logout", "--yes", "--wait", 0)
    wiped = types("Una", "logout", "--local", "--yes")

    assert "This device is still logged in" in away.told
    assert away.told.endswith("without the service: draugar logout --local")
    assert wiped.out == "Everything that draugar kept on this device is deleted.\n"
    assert "From another device of yours: draugar devices revoke NAME" in wiped.told
    assert not (family.path("Una") / "home.sqlite3").exists()


def test_where_nothing_is_kept_nothing_is_said_to_be_deleted(types: Type, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter").write_text("Dear Ari")

    for name in ("missing", "empty", "letters"):
        shown = types(name, "logout", "--local")

        assert shown.code == 0
        assert shown.out.startswith("Nothing was there to delete: draugar keeps nothing in ")
        assert str(tmp_path / name) in shown.out
        assert shown.err == ""
    assert not (tmp_path / "missing").exists()
    assert (tmp_path / "letters" / "letter").exists()


def test_a_home_that_never_joined_is_not_said_to_be_listed(types: Type, tmp_path: Path) -> None:
    Home.open(tmp_path / "Una").close()

    shown = types("Una", "logout", "--local", "--yes")

    assert "It had not joined a group, so no service knows it." in shown.out
    assert "lists" not in shown.err
    assert not (tmp_path / "Una").exists()


def test_a_home_whose_join_was_not_finished_may_be_listed(
    service: Service, relay: Relay, types: Type
) -> None:
    with relay.telling(Lost(JOIN)):
        types("Una", "found", relay.url, service.founding_code(), "--name", "Una", "--wait", 0)

    shown = types("Una", "logout", "--local", "--yes")

    assert "The service was not told" in shown.told


def test_a_home_whose_key_is_lost_is_deleted_too(family: Family, types: Type) -> None:
    family.found()
    (family.path("Una") / "home.key").unlink()

    lost = types("Una", "where")
    wiped = types("Una", "logout", "--local", "--yes")

    assert "draugar logout --local" in lost.told
    assert wiped.code == 0
    assert not (family.path("Una") / "home.sqlite3").exists()


def test_who_is_in_no_group_or_in_several_is_told_which_it_is(family: Family, types: Type) -> None:
    una = family.found()
    una.found_group("Club")

    several = types("Una", "where").told
    una.leave(una.group("Club").id)
    una.leave()
    none = types("Una", "where").told

    assert several.startswith("You are in several groups")
    assert several.endswith("Then run the command again with --group NAME")
    assert none == "You are in no group. Ask a member for an invite, then: draugar join LINK"


def test_who_was_removed_is_told_so_and_how_to_come_back(family: Family, types: Type) -> None:
    una = family.found()
    sif = family.join(una.invite().link, "Sif")

    una.remove(sif.user_id)
    told = types("Sif", "where").told
    types("Sif", "logout", "--local", "--yes")
    link = una.invite().link
    assert link is not None
    back = types("Sif", "join", link.text, "--name", "Sif")

    assert "you were removed from your last group" in told
    assert "Then: draugar logout --local, and: draugar join LINK --name NAME" in told
    assert back.out.startswith("You are in Hearth, and can read and share.")


def test_groups_and_people_are_shown_in_words(family: Family, types: Type) -> None:
    una = family.found()
    family.join_by_code(una.invite_by_code().code, "Sif")

    groups, people = types("Una", "groups").out, types("Una", "people").out

    assert "can read and share" in groups
    assert "kept for 30 days" in groups
    assert "not confirmed yet" in people
    assert "pending" not in people


# One position


def test_a_single_position_is_deleted_by_the_time_that_history_shows(
    family: Family, types: Type
) -> None:
    una = family.found()
    una.share([fix(1.0, ago=timedelta(minutes=30)), fix(2.0)])
    shown = types("Una", "history").out.splitlines()[2].partition("   ")[0]

    nothing = types("Una", "erase", "--at", "2020-01-01", "--yes")
    unsure = types("Una", "erase", "--at", shown)
    erased = types("Una", "erase", "--at", shown, "--yes")

    assert nothing.told.startswith("You have shared no such position with Hearth. Nothing was")
    assert "1.00000" in unsure.told
    assert erased.out.startswith("Deleted 1 position.")
    assert [position.fix.latitude for position in una.history()] == [2.0]


def test_a_single_position_is_deleted_by_its_id_and_no_one_elses(
    family: Family, types: Type
) -> None:
    una = family.found()
    ari = family.join(una.invite().link, "Ari")
    una.where()
    una.share([fix(1.0), fix(2.0)])
    ari.share([fix(3.0)])
    (theirs,) = [position for position in una.history() if not position.is_mine]
    mine = next(position for position in una.history() if position.fix.latitude == 1.0)

    refused_id = types("Una", "erase", "--id", theirs.point_id, "--yes")
    typed = f"\u201c{mine.point_id}\u201d.".replace("-", "\u2011")
    mistyped = types("Una", "erase", "--id", "1234", "--yes")
    erased = types("Una", "erase", "--id", typed, "--yes")

    assert refused_id.code == 1
    assert "An id has 32 digits and letters a to f." in mistyped.told
    assert erased.out.startswith("Deleted 1 position.")
    assert {position.fix.latitude for position in una.history()} == {2.0, 3.0}


def test_a_single_position_that_waits_is_deleted_by_its_id_or_its_time(
    family: Family, types: Type
) -> None:
    una = family.found()
    una.enqueue([fix(1.0, ago=timedelta(minutes=30)), fix(2.0), fix(3.0, ago=timedelta(hours=1))])
    by_latitude = {at.latitude: (id_, at) for id_, at in una.queued().items()}
    shown_at = f"{by_latitude[1.0][1].at.astimezone():%Y-%m-%d %H:%M}"

    unsure = types("Una", "erase", "--at", shown_at)
    by_time = types("Una", "erase", "--at", shown_at, "--yes")
    by_id = types("Una", "erase", "--id", by_latitude[2.0][0], "--yes")
    again = types("Una", "erase", "--id", by_latitude[2.0][0], "--yes")

    assert "1.00000" in unsure.told
    assert by_time.out.startswith("Deleted 1 position.")
    assert by_id.out.startswith("Deleted 1 position.")
    assert again.told.endswith(
        "You have shared no such position with Hearth. Nothing was deleted."
        " See what there is: draugar history --from 7d --who Una"
    )
    assert [at.latitude for at in una.queued().values()] == [3.0]


@pytest.mark.parametrize("option", ["--id", "--at"])
def test_a_position_that_waits_is_deleted_while_the_service_is_away(
    family: Family, types: Type, option: str
) -> None:
    una = family.found()
    una.enqueue([fix(2.0)])
    ((point_id, at),) = una.queued().items()
    lose_contact(una)
    meant = point_id if option == "--id" else f"{at.at.astimezone():%Y-%m-%d %H:%M}"

    shown = types("Una", "erase", option, meant, "--yes", "--wait", 0)

    assert shown.code == 1
    assert "is deleted, and is not sent any more." in shown.told
    assert shown.told.endswith(f"draugar erase --id {point_id}")
    assert una.queued() == {}


def test_a_position_that_this_device_cannot_read_is_deleted_by_its_id(
    family: Family, types: Type
) -> None:
    una = family.found()
    una.share([fix(1.0)])
    (mine,) = una.history()
    family.service.query(
        "UPDATE locations SET encrypted_data = decode('00', 'hex') || encrypted_data"
        " WHERE id = :id",
        id=str(mine.point_id),
    )
    assert list(una.history()) == []

    erased = types("Una", "erase", "--id", mine.point_id, "--yes")

    assert erased.out.startswith("Deleted 1 position.")


# Addresses


def test_the_address_of_a_page_of_the_service_is_that_of_the_service(
    service: Service, types: Type, tmp_path: Path
) -> None:
    page = f"{service.url}/api/docs"

    founded = types("Una", "found", page, service.founding_code(), "--name", "Una")
    code = types("Una", "invite", "--typed").out.strip()
    joined = types("Ari", "join", code, "--url", page, "--name", "Ari")

    assert founded.out.startswith("Welcome, Una. You have founded ")
    assert joined.code == 0
    for name in ("Una", "Ari"):
        with Home.open(tmp_path / name) as home:
            assert home.me().url == service.url


@pytest.mark.parametrize("behind", ["/api", "/owntracks", "/pub", "/family", "/api/groups"])
def test_an_address_with_something_behind_it_is_explained(
    service: Service, types: Type, behind: str
) -> None:
    code = service.founding_code()

    refused = types("Una", "found", f"{service.url}{behind}", code, "--name", "Una")
    founded = types("Una", "found", service.url, code, "--name", "Una")

    assert refused.code == 1
    assert "Give the address without anything behind it, as in: draugar found" in refused.told
    assert founded.out.startswith("Welcome, Una. You have founded ")
