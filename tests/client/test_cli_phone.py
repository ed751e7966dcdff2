"""Phones with OwnTracks by the command line."""

import json
import re
import stat
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from draugar.render import qr
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
    assert refused.endswith("Say --yes if you are sure.")
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

    assert "several phones: Old (un), New (N1)" in una.fails("phone", "renew")
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
    assert re.search(r"trusted by invite proof +ar", una.does("people"))
