"""Sentences of the client, each in the situation in which a person reads it.

A sentence says what happened, and ends with the command to type next where there is one to type.
Further ones: test_messages.py.
"""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from draugar.client import Client
from draugar.protocol.json import to_base64url
from tests.client import malice
from tests.client.commands import Person, Type
from tests.client.family import Family, Service, fix
from tests.client.malice import Forward, Relay, Reply, Request, refused

LINK = "draugar://127.0.0.1:8000/join#ABCDEFGHJKLMNPQR.AAAAAAAAAAAAAAAAAAAAAA"
DOCUMENTS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def two(relayed: Family) -> tuple[Client, Client]:
    """Una and Ari, who know each other."""
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    return una, ari


# Coming in


@pytest.mark.parametrize(
    "command", [["where"], ["share", "64", "-21"], ["invite"], ["groups"], ["pause"], ["logout"]]
)
def test_a_device_that_is_in_no_group_yet(types: Type, command: list[str]) -> None:
    assert types("Una", *command).told == (
        "This device is not in a group yet. With an invite: draugar join LINK --name NAME."
        " With a founding code: draugar found URL CODE --name NAME"
    )


def test_a_second_founding_in_one_home(family: Family, types: Type) -> None:
    family.found()
    code = family.service.founding_code()

    told = types("Una", "found", family.service.url, code, "--name", "Una").told

    assert told == (
        "This device has joined already, as one person at one service."
        " A further group of this service: draugar join LINK. Another person on this machine:"
        " draugar --home DIRECTORY join LINK --name NAME, with a new directory."
        " To found a group there: draugar --home DIRECTORY found URL CODE --name NAME"
    )


def test_a_link_for_another_device_in_a_home_that_has_joined(family: Family, types: Type) -> None:
    link = family.found().invite(for_me=True).link
    assert link is not None

    assert types("Una", "join", link.text).told == (
        "This link is for a new device, and this one has joined already."
        " Use it on the new device: draugar join LINK"
    )


def test_a_link_of_another_service_in_a_home_that_has_joined(family: Family, types: Type) -> None:
    family.found()

    assert types("Una", "join", LINK).told == (
        "This link leads to another service than the one that you are at."
        " Join there as another person on this machine, with a new directory:"
        " draugar --home DIRECTORY join LINK --name NAME"
    )


# Names and ids that are not there


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ["where", "--group", "Club"],
            "You are in no group of this name or id. See your groups: draugar groups",
        ),
        (
            ["safety", "Aron"],
            "No other member has this name. See who is in the group: draugar people",
        ),
        (
            ["history", "--who", "Aron"],
            "No other member has this name. See who is in the group: draugar people",
        ),
        (
            ["devices", "revoke", "Phone", "--yes"],
            "You have no other device of this name or id. See which you have: draugar devices",
        ),
        (
            ["phone", "renew"],
            "You have no phone with OwnTracks. To add one: draugar phone add NAME",
        ),
        (
            ["places", "remove", "Boat"],
            "You have no place of this name. See your places: draugar places",
        ),
        (
            ["invites", "revoke", "00000000-0000-4000-8000-000000000000"],
            (
                "There is no such invite, or it is not yours to take back."
                " See the open invites: draugar invites"
            ),
        ),
    ],
)
def test_what_is_named_is_not_there(
    family: Family, types: Type, command: list[str], told: str
) -> None:
    una = family.found()
    family.join(una.invite().link)
    una.where()

    assert types("Una", *command).told == told


# Sharing and pausing


def test_what_is_shared_while_another_device_has_paused_sharing(
    family: Family, types: Type
) -> None:
    una = family.found()
    laptop = family.join(una.invite(for_me=True).link, "Una", home="laptop")
    una.where()
    laptop.pause()

    told = types("Una", "share", 64, -21).told

    assert told.endswith(
        "You have paused sharing with this group. 1 position was not shared, and not kept."
        " Share again: draugar resume"
    )
    assert "for good" not in told


def test_until_when_sharing_is_paused(family: Family, types: Type) -> None:
    family.found()

    types("Una", "pause", "--until", "2h")
    until = types("Una", "groups").out
    types("Una", "pause")
    without_end = types("Una", "groups").out

    assert re.search(r"paused until (\w{3} \d+ \w{3} \d{4}, )?\d\d:\d\d", until)
    assert "paused" in without_end
    assert "until" not in without_end


@pytest.mark.usefixtures("two")
def test_a_pause_that_is_over_by_the_clock_of_the_service(relay: Relay, types: Type) -> None:
    def ahead(request: Request, forward: Forward) -> Reply:
        if request.route == "PUT /api/groups/ID/sharing":
            return refused(422, "resumes_in_the_past")
        return forward(request)

    with relay.telling(ahead):
        told = types("Una", "pause", "--until", "2h").told

    assert "By the clock of the service, that time is past." in told
    assert told.endswith("Give a later time: draugar pause --until 2h")


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    "code", ["temporarily_unavailable", "partition_missing", "schema_not_ready", "rows_hidden"]
)
def test_the_service_cannot_do_it_at_the_moment(relay: Relay, types: Type, code: str) -> None:
    def busy(request: Request, forward: Forward) -> Reply:
        if request.route == "POST /api/locations":
            return refused(503, code)
        return forward(request)

    with relay.telling(busy):
        told = types("Una", "share", 64, -21, "--wait", 0).told

    assert told == (
        "The service cannot do this at the moment. Nothing is lost: 1 position waiting here."
        " They go with the next: draugar share"
    )


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ('<trkpt lat="264" lon="-21"/>', "point 1 has no latitude from -90 to 90"),
        ('<trkpt lat="64" lon="-21"/>', "point 1 has no time"),
        (
            '<trkpt lat="64" lon="-21"><time>soon</time></trkpt>',
            "point 1 has a time that cannot be read",
        ),
        (
            '<trkpt lat="64" lon="-21"><time>1980-01-06T00:00:00Z</time></trkpt>',
            "point 1 has a time before the year 2000",
        ),
        (
            '<trkpt lat="64" lon="-21"><time>2999-01-01T00:00:00Z</time></trkpt>',
            "point 1 has a time in the future",
        ),
    ],
)
def test_a_track_point_that_cannot_be_shared(
    family: Family, types: Type, tmp_path: Path, point: str, reason: str
) -> None:
    family.found()
    (tmp_path / "walk.gpx").write_text(f"<gpx><trk><trkseg>{point}</trkseg></trk></gpx>")

    told = types("Una", "share", "--gpx", "walk.gpx").told

    assert told.startswith(f"The only track point cannot be shared: {reason}.")
    assert re.search(r"draugar share --gpx \S+( --end-now)?$", told)


# Questions


def test_a_question_without_a_terminal_to_ask_it_on(family: Family, types: Type) -> None:
    family.found()

    assert types("Una", "leave").told == (
        "Confirmation needed, but there is no terminal to ask on. Nothing was done. It would ask:"
        " Leave Hearth? What you posted there is deleted."
        " If you are sure: draugar leave --yes"
    )


def test_there_is_no_one_to_confirm(family: Family, types: Type) -> None:
    family.found()

    assert types("Una", "confirm").out == "No one is waiting to be confirmed.\n"


# Phones


def test_a_code_is_to_be_scanned_only_where_it_is_shown(service: Service, tmp_path: Path) -> None:
    una = Person(tmp_path / "una")
    una.does("found", service.url, "-", "--name", "Una", stdin=service.founding_code())

    piped = una("phone", "add", "One").told
    narrow = una.at_terminal("phone", "add", "Two", columns=40).out
    wide = una.at_terminal("phone", "add", "Three", columns=300).out

    for shown in (piped, narrow):
        assert "Open the file on the phone; let OwnTracks take it." in " ".join(shown.split())
        assert "Scan" not in shown
    assert "For a QR code, in another window: draugar phone renew" in " ".join(narrow.split())
    assert "Scan the code with the phone's camera, or open the file on it" in wide


# What is left out of what the service shows


def test_a_position_that_is_not_what_was_shared(
    two: tuple[Client, Client], relay: Relay, types: Type
) -> None:
    _, ari = two
    ari.share([fix(1.0)])

    with relay.telling(
        malice.points(lambda all_: [{**one, "encryptedData": "A" * 200} for one in all_])
    ):
        told = types("Una", "history").told

    assert (
        "Warning: Left out 1 position of Ari: what the service shows is not what was shared. If it"
        " happens again, ask the person who runs the service."
    ) in told


def test_a_position_under_a_key_that_this_device_does_not_have(
    two: tuple[Client, Client], relay: Relay, types: Type
) -> None:
    _, ari = two
    ari.share([fix(1.0)])

    with relay.telling(malice.points(lambda all_: [{**one, "keyVersion": 77} for one in all_])):
        told = types("Una", "history").told

    assert (
        "Warning: Left out 1 position of Ari: sealed under a key that this device does not have."
        " You see them when they next share."
    ) in told


def test_an_exported_position_that_is_not_what_was_shared(
    two: tuple[Client, Client], relay: Relay, types: Type
) -> None:
    una, _ = two
    una.share([fix(1.0)])

    def garbled(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != "GET /api/export":
            return reply
        body: dict[str, Any] = reply.json
        body["locations"] = [{**one, "encryptedData": "A" * 200} for one in body["locations"]]
        return reply.saying(body)

    with relay.telling(garbled):
        told = types("Una", "export", "--yes").told

    assert (
        "The service lists 1 of 1 positions as yours that this device cannot verify. They are in"
        " the file as they came, and were not opened."
    ) in told


def test_a_list_of_devices_that_does_not_open(
    two: tuple[Client, Client], relay: Relay, types: Type
) -> None:
    una, ari = two

    def garbled(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != "GET /api/groups/ID/keys":
            return reply
        body: dict[str, Any] = reply.json
        for version in body["versions"]:
            version["statement"] = to_base64url(bytes(200))
        return reply.saying(body)

    una.rotate()
    with relay.telling(garbled, to=ari.device_id):
        told = types("Ari", "where").told

    assert "under key 2" in told
    assert "is not signed or breaks a rule. This device believed nothing of it." in told


# Who is who


def test_a_member_has_taken_another_name(family: Family, types: Type) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()

    ari.rename("Sif")

    assert (
        "Note: Ari has changed their name, and is now called Sif. See who is in the group: draugar"
        " people"
    ) in types("Una", "where").told


def test_a_member_is_known_by_the_word_of_one_who_has_gone(family: Family, types: Type) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    family.join(ari.invite().link, "Sif")
    ari.where()
    ari.rotate()
    una.where()

    told = types("Una", "remove", "Ari", "--yes").told

    assert "Note: This device knows device " in told
    assert (
        " of Sif only by the word of Ari, who has no trusted device any more. It still trusts that"
        " device. Compare your numbers: draugar confirm Sif"
    ) in told


def test_a_device_of_a_person_who_has_another_one_is_gone(family: Family, types: Type) -> None:
    una = family.found()
    family.join(una.invite().link)
    una.where()
    laptop = family.join(una.invite(for_me=True).link, "Una", home="laptop")
    una.where()
    una.rotate()
    types("Ari", "where")

    laptop.revoke_device(una.device_id)
    told = types("Ari", "where").told

    assert f"The service does not list device {una.device_id} of Una any more" in told
    assert "by the word of" not in told


def test_a_member_has_left(family: Family, types: Type) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()

    ari.leave()

    assert (
        f"Note: The service does not list device {ari.device_id} of Ari any more: it was revoked,"
        " or its person left or was removed. This device gives it no key after key 1."
    ) in types("Una", "where").told


# What is on this device


@pytest.mark.parametrize(
    ("home", "reason"),
    [("/proc/nowhere/home", "No such file or directory"), ("letter/home", "Not a directory")],
)
def test_a_directory_that_cannot_be_one(
    types: Type, tmp_path: Path, home: str, reason: str
) -> None:
    (tmp_path / "letter").write_text("Dear Ari")

    assert types("Una", "--home", home, "where").told == (
        f"This device cannot keep its data in {home}: {reason}."
        " See that it is yours, can be written and that the disk is not full, or name another:"
        " draugar --home DIRECTORY where"
    )


def test_a_device_is_logged_out(family: Family, types: Type) -> None:
    family.found()

    assert types("Una", "logout", "--yes").out == (
        "This device is logged out, and everything that draugar kept on it is deleted.\n"
    )


def test_a_place_is_removed(family: Family, types: Type) -> None:
    family.found()
    types("Una", "places", "add", "home", 64, -21)

    assert types("Una", "places", "remove", "home").out == (
        "The place home is removed from this device.\n"
    )


# Tables


def test_a_group_and_its_members_are_described(family: Family, types: Type) -> None:
    una = family.found()
    family.join_by_code(una.invite_by_code().code, "Sif")

    headings, group = types("Una", "groups").out.splitlines()
    _, *people = types("Una", "people").out.splitlines()

    assert re.split(r" {2,}", headings.strip()) == [
        *("Group", "Your role", "Encryption", "This device", "Positions", "Your sharing")
    ]
    assert re.split(r" {2,}", group.strip()) == [
        *("Hearth", "admin", "always", "can read and share", "kept for 30 days", "on")
    ]
    assert {re.split(r" {2,}", person.strip())[-1] for person in people} == {
        *("this device", "not confirmed yet")
    }


# Documents


def test_the_page_of_the_api_names_what_each_part_does(service: Service) -> None:
    page = httpx.get(f"{service.url}/api/docs", trust_env=False).text

    assert "Sign-in: join by an invite code, show the caller, sign out." in page


def test_the_document_of_the_client_says_what_a_command_does_in_plain_words() -> None:
    written = " ".join((DOCUMENTS / "client.md").read_text().split())

    assert (
        re.search(r"\b(worthless|heed|ill will|somebody|whoever)\b", written, re.IGNORECASE) is None
    )
