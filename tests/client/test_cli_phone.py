"""Phones with OwnTracks by the command line."""

import json
import re
import shlex
import stat
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from draugar.cli.output import reach_warning
from draugar.cli.terminal import qr
from tests.client.commands import Person
from tests.client.family import Service
from tests.client.test_phones import Handset
from tests.owntracks import Android

HERE = (64.1466, -21.9426)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def una(service: Service, tmp_path: Path) -> Person:
    una = Person(tmp_path / "una")
    una.does(
        *("found", service.url, "-", "--name", "Una", "--group", "Hearth"),
        stdin=service.founding_code(),
    )
    return una


@pytest.fixture
def sif(una: Person, tmp_path: Path) -> Person:
    sif = Person(tmp_path / "sif")
    sif.does("join", "-", "--name", "Sif", stdin=una.does("invite"))
    una.does("where")
    return sif


@pytest.fixture
def ari(una: Person, tmp_path: Path) -> Person:
    ari = Person(tmp_path / "ari")
    ari.does("join", "-", "--name", "Ari", stdin=una.does("invite"))
    una.does("where")
    return ari


def handset(file: str | Path) -> Handset:
    phone = Handset(Android())
    phone.imports(Path(file).read_bytes())
    return phone


def phones(person: Person) -> dict[str, bool]:
    """Return which of somebody's phones need setting up again, by tid."""
    devices: list[dict[str, Any]] = person.reads("devices")["devices"]
    return {one["tid"]: one["needsSetup"] for one in devices if one["kind"] == "owntracks"}


def test_a_phone_is_set_up_seen_and_set_up_again(una: Person, ari: Person, tmp_path: Path) -> None:
    # A file that only Una may read, whose secrets stand nowhere else.
    added = una.reads("phone", "add", "Una's phone")
    file = Path(added["file"])
    assert added.keys() == {"id", "groupId", "name", "tid", "username", "file"}
    assert (added["tid"], file) == ("un", tmp_path / "owntracks-un.otrc")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    phone = handset(file)
    assert phone.settings["username"] == added["username"]

    # Each sees the other.
    ari.does("share", *HERE)
    phone.is_at(64.5)
    assert phone.app.friends["Ari"]["lat"] == HERE[0]
    seen = {one["name"]: one for one in ari.reads("where")["positions"]}
    assert (seen["Una"]["latitude"], seen["Una"]["isConfirmed"]) == (64.5, True)
    page = Path(ari.reads("map")["file"]).read_text()
    assert "Una" in page
    assert len(ari.reads("history", "--who", "Una")["points"]) == 1

    # The key changes, which is said before; until it is set up again the phone is not heard.
    told = ari("rotate").told
    assert "With a new key, 1 phone with OwnTracks in Hearth must be set up again" in told
    assert phones(una) == {"un": True}
    assert re.search(r"owntracks +un \(needs setting up again\)", una.does("devices"))
    phone.is_at(64.6)
    renewed = una.reads("phone", "renew")
    assert Path(renewed["file"]).name == "owntracks-un-2.otrc"
    assert {name: renewed[name] for name in ("id", "tid", "username")} == {
        name: added[name] for name in ("id", "tid", "username")
    }
    phone.imports(Path(renewed["file"]).read_bytes())
    phone.is_at(64.7)
    assert phones(una) == {"un": False}
    assert {one["name"]: one["latitude"] for one in ari.reads("where")["positions"]}["Una"] == 64.7


def test_what_is_said_holds_no_secret(una: Person) -> None:
    result = una("phone", "add", "Phone", "--file", "mine.otrc")

    said = json.loads((una.home.parent / "mine.otrc").read_text())
    shown = result.out + result.err
    assert result.code == 0
    assert "OwnTracks calls this phone un." in result.out
    assert "Android 2.6.0 and iOS 26.2.3" in result.told
    assert "Switch that off again" in result.told
    assert "Delete the file" in result.told
    for secret in (said["password"], said["encryptionKey"], "owntracks:///"):
        assert secret not in shown


def test_a_screen_shows_a_code_that_cameras_read(una: Person) -> None:
    shown = COLOURS.sub("", una.at_terminal("phone", "add", "--tid", "u1", columns=120).out)

    otrc = (una.home.parent / "owntracks-u1.otrc").read_bytes()
    link = f"owntracks:///config?inline={quote(b64encode(otrc), safe='')}"
    code = [line.rstrip() for line in qr(link).plain.splitlines()]
    lines = [line.rstrip() for line in shown.splitlines()]
    start = lines.index(code[0])
    assert lines[start : start + len(code)] == code


def test_a_screen_too_narrow_for_the_code_shows_none(una: Person) -> None:
    shown = " ".join(una.at_terminal("phone", "add", columns=60).out.split())

    assert "▄" not in shown
    assert re.search(r"this window has to be \d+ columns wide", shown)
    assert "draugar phone renew un" in shown


def test_no_file_is_written_over_unasked(una: Person, tmp_path: Path) -> None:
    (tmp_path / "mine.otrc").write_text("precious")

    refused = una.fails("phone", "add", "--file", "mine.otrc")
    assert "If you are sure: draugar phone add" in refused
    assert refused.endswith(" --yes")
    assert (tmp_path / "mine.otrc").read_text() == "precious"
    assert phones(una) == {}

    una.does("phone", "add", "--file", "mine.otrc", "--yes")
    assert handset(tmp_path / "mine.otrc").settings["tid"] == "un"


def test_where_nothing_can_be_written_no_phone_is_made(una: Person) -> None:
    assert "can be written" in una.fails("phone", "add", "--file", "nowhere/mine.otrc")
    una.fails("phone", "add", "--file", "-", code=2)

    assert phones(una) == {}


def test_a_phone_is_named_by_its_name_or_tid(una: Person) -> None:
    assert una.fails("phone", "renew").startswith("You have no phone with OwnTracks.")
    una.does("phone", "add", "Old")
    una.does("phone", "add", "New", "--tid", "N1")

    assert "Several phones of yours need it: Old (un), New (N1)" in una.fails("phone", "renew")
    assert una.reads("phone", "renew", "old")["tid"] == "un"
    assert una.reads("phone", "renew", "n1")["name"] == "New"
    assert una.fails("phone", "renew", "Zed").startswith("You have no phone of this name or tid.")
    assert una.fails("phone", "add", "--tid", "N1").startswith("Another phone in this group")
    assert una.fails("phone", "add", "--tid", "new").startswith("A tid is two letters or digits.")


def test_before_somebody_goes_it_is_said_whose_phones_must_be_set_up_again(
    una: Person, ari: Person
) -> None:
    una.does("phone", "add", "Lost")
    una.does("phone", "add", "Other")
    ari.does("phone", "add", "His")
    warning = "phones with OwnTracks in Hearth must be set up again"

    unsure = una("devices", "revoke", "Lost")
    revoked = una("devices", "revoke", "Lost", "--yes")
    una.does("phone", "renew")
    removed = una("remove", "Ari", "--yes")

    assert f"With a new key, 2 {warning}" in unsure.told
    assert (unsure.code, revoked.code, removed.code) == (1, 0, 0)
    assert "With a new key, 1 phone with OwnTracks" in removed.told
    assert phones(una) == {"ua": True}


def test_people_are_shown_with_their_phones(una: Person, ari: Person) -> None:
    ari.does("phone", "add")

    people = {person["name"]: person["phones"] for person in una.reads("people")["people"]}

    assert people["Una"] == []
    assert [(phone["tid"], phone["needsSetup"]) for phone in people["Ari"]] == [("ar", False)]
    assert re.search(r"trusted by the invite link +ar", una.does("people"))


# Phones that must be set up again


def key_changed_by(how: str, household: tuple[Person, Person, Person]) -> None:
    """Have the group's key changed by another member, or by one who goes."""
    _, ari, sif = household
    if how == "rotate":
        ari.does("rotate")
    elif how == "leave":
        sif.does("leave", "--yes")
    elif how == "revoke":
        link = sif.does("invite", "--for-me")
        sif.does("join", "-", "--device", "Lost", "--home", sif.home.with_name("lost"), stdin=link)
        sif.does("devices", "revoke", "Lost", "--yes")


@pytest.mark.parametrize("how", ["rotate", "leave", "revoke"])
def test_each_command_tells_the_owner_of_a_phone_that_must_be_set_up_again(
    una: Person, ari: Person, sif: Person, how: str
) -> None:
    phone = handset(una.reads("phone", "add", "Mobile", "--file", "first.otrc")["file"])
    phone.is_at(64.5)
    ari.does("where")
    key_changed_by(how, (una, ari, sif))
    note = re.compile(
        r"Note: Your phone shares nothing until set up again: Mobile \(un\) since \d\d:\d\d\."
        " Next: draugar phone renew un"
    )

    told = {
        command: una(*command.split(), stdin="").told
        for command in (
            *("where", "map", "history", "people", "groups", "devices", "invites", "confirm"),
            *("share 64 -21", "places", "places add Home 64 -21", "places remove Home", "resume"),
            *("rename Una", "safety Ari", "role Ari admin", "export -", "erase --to 20d --yes"),
        )
    }
    assert [command for command, said in told.items() if len(note.findall(said)) != 1] == []
    assert not note.search(ari("where").told)
    una.does("phone", "renew", "un", "--file", "second.otrc")
    assert not any(note.search(una(command).told) for command in ("where", "places", "groups"))


def test_a_phone_that_waits_is_marked_beside_a_newer_position_of_another_device(
    una: Person, ari: Person
) -> None:
    handset(una.reads("phone", "add", "Mobile", "--file", "first.otrc")["file"]).is_at(64.5)
    una.does("rotate")
    una.does("share", *HERE)

    (seen,) = ari.reads("where")["positions"]
    shown, page = ari.does("where"), Path(ari.reads("map")["file"]).read_text()
    una.does("phone", "renew", "--file", "second.otrc")

    assert (seen["tid"], seen["needsSetup"], seen["waitsSince"] is None) == (None, True, False)
    assert re.search(r"just now \(phone un waits since \d\d:\d\d\)", shown)
    assert re.search(r"just now, phone un waits since \d\d:\d\d", page)
    assert "waits" not in ari.does("where")


def test_a_phone_that_waits_is_marked_until_it_is_set_up(una: Person, ari: Person) -> None:
    phone = handset(una.reads("phone", "add", "Mobile", "--file", "first.otrc")["file"])
    phone.is_at(64.5)
    ari.does("share", *HERE)

    def marks(person: Person) -> dict[str, tuple[object, bool, bool]]:
        seen = person.reads("where")["positions"]
        return {
            one["name"]: (one["tid"], one["needsSetup"], one["waitsSince"] is not None)
            for one in seen
        }

    before = marks(ari)
    una.does("rotate")
    waits = marks(ari), marks(una)
    shown = ari.does("where")
    page = Path(ari.reads("map")["file"]).read_text()
    (past,) = una.reads("history", "--who", "Una")["points"]
    handset(una.reads("phone", "renew", "--file", "second.otrc")["file"]).is_at(64.6)

    assert before == {"Una": ("un", False, False), "Ari": (None, False, False)}
    assert waits[0] == waits[1] == {"Una": ("un", True, True), "Ari": (None, False, False)}
    assert re.search(r"Una +64\.5\d+, .* \(phone un waits since \d\d:\d\d\)", shown)
    assert shown.count("waits") == 1
    assert re.search(r"just now, phone un waits since \d\d:\d\d", page)
    assert past["needsSetup"] is True
    assert marks(ari) == before
    assert "waits" not in ari.does("where") + Path(ari.reads("map")["file"]).read_text()


# A phone is set up to the end or not at all


def test_a_phone_whose_file_cannot_be_written_is_finished_by_the_same_command(
    una: Person, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.otrc").mkdir()  # which no file can replace

    refused = una.fails("phone", "add", "Mobile", "--file", "full/mine.otrc", "--yes", code=2)
    assert phones(una) == {}, refused
    long = "x" * 250 + ".otrc"  # its temporary name is longer than file systems take
    told = una.fails("phone", "add", "Mobile", "--file", long)
    assert "The phone is not set up. Next: draugar phone renew un --file FILE" in told
    assert "Mobile (un)" in una("groups").told
    una.does("phone", "add", "Mobile", "--file", "mine.otrc")

    assert phones(una) == {"un": False}
    assert "Mobile" not in una("groups").told
    handset(tmp_path / "mine.otrc").is_at(64.5)


# Where a phone reaches the service


@pytest.mark.parametrize(
    ("url", "warning"),
    [
        ("http://127.0.0.1:8000", "this computer itself"),
        ("http://localhost:8000", "this computer itself"),
        ("http://[::1]:8000", "this computer itself"),
        ("https://[::ffff:127.0.0.1]", "this computer itself"),
        ("https://family.localhost", "this computer itself"),
        ("https://0.0.0.0", "this computer itself"),
        ("https://192.168.1.5", "one of your own network"),
        ("https://10.0.0.7:8443/v1", "one of your own network"),
        ("https://172.31.255.1", "one of your own network"),
        ("https://100.64.0.1", "one of your own network"),
        ("https://169.254.7.7", "one of your own network"),
        ("https://[fd00::1]", "one of your own network"),
        ("https://[fe80::1]", "one of your own network"),
        ("https://nas", "one of your own network"),
        ("https://nas.local", "one of your own network"),
        ("https://nas.fritz.box.", "one of your own network"),
        ("https://family.example.org", None),
        ("https://8.8.8.8", None),
        ("https://172.32.0.1", None),
        ("https://[2a00:1450::1]", None),
        ("https://localhost.example.org", None),
    ],
)
def test_an_address_that_a_phone_does_not_reach_is_told_apart(
    url: str, warning: str | None
) -> None:
    said = reach_warning(url)

    assert bool(said) is (warning is not None)
    assert warning is None or (warning in said and url in said)


def test_whoever_sets_a_phone_up_is_warned_of_a_local_address(una: Person) -> None:
    added = una("phone", "add")

    assert re.search(
        r"Warning: The service's address, http://127\.0\.0\.1:\d+, is this computer itself: a phone"
        " does not reach it",
        added.told,
    )


# The recipe for the phone of a child


def test_the_recipe_for_the_phone_of_a_child_works_as_it_is_written(una: Person) -> None:
    documents = Path(__file__).parents[2] / "docs"
    recipe = [
        "draugar --home ~/kid join LINK --name Kid",
        'draugar --home ~/kid phone add "Kid\'s phone"',
        "draugar --home ~/kid phone renew",
    ]
    for document in ("owntracks.md", "client.md"):
        assert recipe[0] in (documents / document).read_text()
    written = (documents / "owntracks.md").read_text()
    assert all(command in written for command in recipe)
    shown = " ".join(una.does("phone", "add", "--help").split())
    assert "draugar --home ~/kid join LINK --name Kid" in shown
    assert "draugar --home ~/kid phone add" in shown

    def does(command: str) -> str:
        home = str(una.home.with_name("kid"))
        words = [home if word == "~/kid" else word for word in shlex.split(command)[1:]]
        return una.does(*[link if word == "LINK" else word for word in words])

    link = una.does("invite").strip()
    does(recipe[0])
    does(recipe[1])
    phone = handset(una.home.with_name("owntracks-ki.otrc"))
    phone.is_at(64.5, batt=41)
    una.does("share", *HERE)
    seen = {one["name"]: one for one in una.reads("where")["positions"]}
    una.does("rotate")
    waits = una.does("where")
    does(recipe[2])
    phone.imports(una.home.with_name("owntracks-ki-2.otrc").read_bytes())
    phone.is_at(64.6)

    assert (seen["Kid"]["latitude"], seen["Kid"]["battery"], seen["Kid"]["isMine"]) == (
        64.5,
        41,
        False,
    )
    assert seen["Una"]["latitude"] == HERE[0]
    assert "phone ki waits since" in waits
    assert "64.6" in una.does("where")
