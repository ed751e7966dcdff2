"""A family's life by the command line, against a really running service."""

import json
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest

from tests.client.commands import Person
from tests.client.family import Service

REYKJAVIK, VIDEY, AKUREYRI = (64.1466, -21.9426), (64.1625, -21.8560), (65.6826, -18.0907)
LINK = re.compile(r"draugar://127\.0\.0\.1:[0-9]+/join#[A-Z2-9]{16}\.[\w-]{22}(\.me)?\n")
NAMESPACE = {"gpx": "http://www.topografix.com/GPX/1/1"}
FOR_ME = ["--for-me"]
NOT_VALID = (
    "There is no valid invite with this code: it was mistyped, used, taken back, or is over."
    " You have not joined. Ask for a new one, then: draugar join LINK --name NAME"
)
NUMBER = re.compile(r"\d{5}( \d{5}){11}")


class Household:
    """Who lives here, each with a home of their own on this one machine."""

    def __init__(self, service: Service, directory: Path) -> None:
        self.service = service
        self._directory = directory

    def person(self, name: str) -> Person:
        return Person(self._directory / name)

    def founder(self, name: str = "Una") -> Person:
        una = self.person(name)
        una.does(
            *("found", self.service.url, "-", "--name", name, "--group", "Hearth"),
            stdin=self.service.founding_code(),
        )
        return una

    def by_link(self, inviter: Person, name: str) -> Person:
        joiner = self.person(name)
        joiner.does("join", "-", "--name", name, stdin=inviter.does("invite"))
        return joiner

    def by_code(self, inviter: Person, name: str) -> Person:
        joiner = self.person(name)
        code = inviter.does("invite", "--typed").strip()
        joiner.does("join", code, "--url", self.service.url, "--name", name)
        return joiner


@pytest.fixture
def household(service: Service, tmp_path: Path) -> Household:
    return Household(service, tmp_path)


def names(positions: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {one["name"]: (one["latitude"], one["longitude"]) for one in positions["positions"]}


def test_a_family_comes_together_shares_and_parts(  # noqa: PLR0915 -- a life in one piece
    household: Household, tmp_path: Path
) -> None:
    # Una founds, and invites Ari by a link: both read at once.
    una = household.person("Una")
    founded = una.reads(
        *("found", household.service.url, "-", "--name", "Una", "--group", "Hearth"),
        stdin=household.service.founding_code(),
    )
    assert founded["name"] == "Una"
    assert founded["group"]["name"] == "Hearth"
    assert founded["group"]["keyState"] == "ready"
    assert una.does("where") == "You are the only one in Hearth. Next: draugar invite\n"
    ari = household.person("Ari")
    sent = una("invite")
    assert LINK.fullmatch(sent.out)
    assert "Send it by a private channel" in sent.told
    joined = ari.does("join", "-", "--name", "Ari Þórsson", stdin=sent.out)
    assert joined == (
        "You are in Hearth, and can read and share.\n"
        "You see each of the others from when they next share: draugar where\n"
    )

    # They share, and see each other from where they are.
    una.does("share", *REYKJAVIK)
    shared = ari.does("share", f"{VIDEY[0]},", VIDEY[1], "--accuracy", 30)
    assert shared == "Shared 1 position: 64.16250, -21.85600.\n"
    una.does("places", "add", "Home", *REYKJAVIK)
    heading, first, second = una.does("where").splitlines()
    assert heading.split() == ["Who", "Where", "From", "you", "Seen", "Within"]
    assert re.fullmatch(r"Ari Þórsson +64\.16250, -21\.85600 +4\.6 km ENE +just now +30 m *", first)
    assert re.fullmatch(r"Una \(you\) +Home +just now +10 m *", second)
    ari_seen, una_seen = una.reads("where")["positions"]
    assert ari_seen["distance"] == pytest.approx(4560, rel=0.02)
    assert ari_seen["bearing"] == pytest.approx(67, abs=2)
    assert (ari_seen["accuracy"], ari_seen["isConfirmed"], ari_seen["isMine"]) == (30, True, False)
    assert (una_seen["place"], una_seen["distance"], una_seen["isMine"]) == ("Home", None, True)

    # Sif comes by a code that was read out, and waits for a word.
    sif = household.by_code(una, "Sif")
    assert sif.fails("where") == (
        "No member has given this device the group's key yet."
        " See the number to compare with a member: draugar confirm"
    )
    told = sif("share", *AKUREYRI)
    assert told.code == 1
    assert "Nothing is lost: 1 position waiting here." in told.told
    (asked,) = una.reads("confirm")["pending"]
    assert asked["name"] == "Sif"
    assert NUMBER.fullmatch(asked["safetyNumber"])
    candidates = {one["name"]: one["safetyNumber"] for one in sif.reads("confirm")["pending"]}
    assert candidates["Una"] == asked["safetyNumber"]
    assert una.fails("confirm", "Sif").endswith("If you are sure: draugar confirm Sif --yes")
    assert una.reads("confirm", "sif", "--yes")["confirmed"]["name"] == "Sif"
    sif.does("confirm", "Una", "--yes")
    assert una.does("confirm") == "No one is waiting to be confirmed.\n"
    assert una.reads("safety", "Sif")["safetyNumber"] == asked["safetyNumber"]
    assert sif.does("share") == "Shared 1 position.\n"
    assert names(una.reads("where")) == {
        "Una": REYKJAVIK,
        "Ari Þórsson": VIDEY,
        "Sif": AKUREYRI,
    }
    standings = {
        person["name"]: [(one["standing"], one["how"]) for one in person["devices"]]
        for person in una.reads("people")["people"]
    }
    assert standings == {
        "Una": [("this device", None)],
        "Ari Þórsson": [("trusted", "invite proof")],
        "Sif": [("trusted", "safety number")],
    }

    # A map and a history, in files that only their owner may read.
    drawn = una.reads("map", "family.html")["file"]
    assert drawn == str(tmp_path / "family.html")
    page = Path(drawn).read_text()
    assert all(name in page for name in ("Hearth", "Una", "Ari Þórsson", "Sif", "Home"))
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    written = una.reads("history", "--gpx", "walks.gpx", "--geojson", "walks.json")
    assert written["points"] == 3
    for file in (drawn, *written["files"]):
        assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600

    # Ari pauses, and is seen by nobody until he resumes.
    paused = ari.reads("pause", "--until", "2h")
    resumes_in = datetime.fromisoformat(paused["resumesAt"]) - datetime.now().astimezone()
    assert timedelta(minutes=118) < resumes_in < timedelta(minutes=121)
    refused = ari("share", *AKUREYRI)
    assert refused.code == 1
    assert "you have paused sharing with the group" in refused.told
    assert ari.reads("groups")["groups"][0]["isPaused"] is True
    ari.does("resume")
    ari.does("share", *AKUREYRI)
    assert names(una.reads("where"))["Ari Þórsson"] == AKUREYRI

    # The key changes; Sif is removed and reads no more.
    assert {one["name"] for one in una.reads("rotate")["wrappedFor"]} >= {"Ari Þórsson", "Sif"}
    assert una.fails("remove", "Sif").endswith("If you are sure: draugar remove Sif --yes")
    removed = una.reads("remove", "Sif", "--yes")
    assert removed["removed"]["name"] == "Sif"
    assert removed["rotation"]["keyVersion"] == 3
    assert "Sif" not in {one["name"] for one in removed["rotation"]["wrappedFor"]}
    assert sif("where").code == 1
    ari.does("share", *VIDEY)
    assert set(names(una.reads("where"))) == {"Una", "Ari Þórsson"}

    # Ari leaves, and Una goes altogether, with what is hers on this machine.
    assert ari.reads("leave", "--yes")["left"]["name"] == "Hearth"
    exported = json.loads(una.does("export", "-"))
    assert exported["user"]["name"] == "Una"
    opened = [one["opened"] for one in exported["locations"]]
    assert (opened[0]["lat"], opened[0]["lon"]) == REYKJAVIK
    assert una.fails("delete-account").endswith("If you are sure: draugar delete-account --yes")
    assert una.reads("delete-account", "--yes") == {"deleted": True}
    assert not una.home.exists()
    assert una.fails("where").startswith("This device is not in a group yet.")


def test_a_track_is_shared_whole_and_read_back(household: Household, tmp_path: Path) -> None:
    una = household.founder()
    walked = [(64.1 + step / 10_000, -21.9 - step / 10_000) for step in range(620)]
    points = "".join(f'<trkpt lat="{lat:.6f}" lon="{lon:.6f}"/>' for lat, lon in walked)
    (tmp_path / "walk.gpx").write_text(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")

    shared = una.reads("share", "--gpx", "walk.gpx", "--end-now")
    written = una.does("history", "--from", "1d", "--gpx", "-")
    lines = json.loads(una.does("history", "--who", "una", "--geojson", "-"))

    assert shared == {"stored": 620, "dropped": 0, "waiting": 0}
    read = [
        (float(point.attrib["lat"]), float(point.attrib["lon"]))
        for point in ET.fromstring(written).iterfind(".//gpx:trkpt", NAMESPACE)  # noqa: S314
    ]
    assert read == [(round(lat, 6), round(lon, 6)) for lat, lon in walked]
    (line,) = lines["features"]
    assert len(line["geometry"]["coordinates"]) == 620
    assert una.reads("history", "--from", "3d", "--to", "2d") == {"points": []}


@pytest.mark.parametrize(
    "wrong", ["2043-10-14T14:14:09Z", "2026-00-00T00:00:00Z", "1970-01-01T00:00:01Z"]
)
@pytest.mark.parametrize("end_now", [(), ("--end-now",)], ids=["as it was", "shifted"])
def test_one_wrong_time_leaves_out_one_point_of_a_track(
    household: Household, tmp_path: Path, wrong: str, end_now: tuple[str, ...]
) -> None:
    una = household.founder()
    first, last = (
        (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for minutes in (60, 58)
    )
    points = "".join(
        f'<trkpt lat="{latitude}" lon="-21.9"><time>{at}</time></trkpt>'
        for latitude, at in ((64.1, first), (64.2, wrong), (64.3, last))
    )
    (tmp_path / "walk.gpx").write_text(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")

    shared = una("share", "--gpx", "walk.gpx", *end_now)
    written = una.does("history", "--from", "2h", "--gpx", "-")

    assert (shared.code, shared.out) == (0, "Shared 2 positions.\n")
    assert "1 of 3 track points is left out: point 2 has a time" in shared.told
    read = ET.fromstring(written).iterfind(".//gpx:trkpt", NAMESPACE)  # noqa: S314
    assert [point.attrib["lat"] for point in read] == ["64.1", "64.3"]
    times = ET.fromstring(written).iterfind(".//gpx:time", NAMESPACE)  # noqa: S314
    start, end = (datetime.fromisoformat(time.text or "") for time in times)
    assert end - start == timedelta(minutes=2)


def walk(
    directory: Path, *positions: tuple[float, float], ago: timedelta, name: str = "walk"
) -> str:
    """Write a track of a minute a position that ended so long ago."""
    end = datetime.now(UTC) - ago
    points = "".join(
        f'<trkpt lat="{latitude}" lon="{longitude}"><time>'
        f"{end - timedelta(minutes=len(positions) - 1 - number):%Y-%m-%dT%H:%M:%SZ}</time></trkpt>"
        for number, (latitude, longitude) in enumerate(positions)
    )
    file = directory / f"{name}.gpx"
    file.write_text(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")
    return file.name


def test_a_track_that_was_shared_before_is_not_shared_again_unasked(
    household: Household, tmp_path: Path
) -> None:
    una = household.founder()
    file = walk(tmp_path, REYKJAVIK, VIDEY, ago=timedelta(minutes=5))
    copy = tmp_path / "a copy.gpx"
    copy.write_text("<!-- again -->" + (tmp_path / file).read_text())

    def known() -> int:
        return len(una.reads("history")["points"])

    first = una("share", "--gpx", file)
    second = una("share", "--gpx", copy.name)
    after_two = known()
    again = una("share", "--gpx", copy.name, "--again")
    after_three = known()
    una.does("erase", "--yes")
    anew = una("share", "--gpx", file)
    una.does("pause")
    paused = walk(tmp_path, VIDEY, REYKJAVIK, ago=timedelta(minutes=3), name="paused")
    una("share", "--gpx", paused)
    una.does("resume")
    resumed = una("share", "--gpx", paused)

    assert "shared before" not in first.told + again.told + anew.told + resumed.told
    assert (second.code, second.out) == (0, "Nothing waits to be shared.\n")
    assert "This track was shared before, " in second.told
    assert "draugar share --gpx 'a copy.gpx' --again" in second.told
    assert (after_two, after_three) == (2, 4)
    assert resumed.out == "Shared 2 positions.\n"


def test_a_track_is_another_one_once_it_is_shifted(household: Household, tmp_path: Path) -> None:
    una = household.founder()
    file = walk(tmp_path, REYKJAVIK, VIDEY, ago=timedelta(days=2))

    told = [
        una("share", "--gpx", file, *more).told for more in ((), ("--end-now",), ("--end-now",))
    ]

    assert ["shared before" in said for said in told] == [False, False, True]
    assert "draugar share --gpx walk.gpx --end-now --again" in told[2]


def test_a_track_that_is_too_old_to_change_where_says_so(
    household: Household, tmp_path: Path
) -> None:
    una = household.founder()
    first = una("share", "--gpx", walk(tmp_path, VIDEY, ago=timedelta(hours=2), name="first"))
    una.does("share", *REYKJAVIK)
    old = una("share", "--gpx", walk(tmp_path, VIDEY, VIDEY, ago=timedelta(hours=1)))
    new = una("share", "--gpx", walk(tmp_path, VIDEY, ago=timedelta(seconds=-30), name="new"))

    assert "before your present position" not in first.told + new.told
    assert old.code == 0
    assert re.search(
        r"The track ends .*, before your present position of .*: where and map go on showing that"
        r" one\. To see the track: draugar history --from \d{4}-\d\d-\d\d",
        old.told,
    )


def test_a_track_that_looks_swapped_says_so(household: Household, tmp_path: Path) -> None:
    una = household.founder()
    swapped = [(longitude, latitude) for latitude, longitude in (REYKJAVIK, VIDEY)]
    una.does("places", "add", "Home", *REYKJAVIK)

    right = una("share", "--gpx", walk(tmp_path, VIDEY, ago=timedelta(hours=1), name="right"))
    told = una("share", "--gpx", walk(tmp_path, *swapped, ago=timedelta(minutes=5))).told

    assert "swapped" not in right.told
    assert "Warning: the positions of walk.gpx look as though latitude and longitude were" in told


def test_history_lists_the_newest_200_positions_first_unless_it_is_told_to_list_all(
    household: Household, tmp_path: Path
) -> None:
    una = household.founder()
    walked = [(64.1 + number / 1000, -21.9) for number in range(203)]
    una.does("share", "--gpx", walk(tmp_path, *walked, ago=timedelta(minutes=1)))

    listed = una("history", "--who", "Una")
    told = listed.told
    every = una("history", "--all")
    few = una("history", "--from", "3h")
    answer = una.reads("history")["points"]

    def latitudes(text: str) -> list[float]:
        return [float(line.split()[-2].rstrip(",")) for line in text.splitlines()[1:]]

    newest_first = [round(latitude, 5) for latitude, _ in reversed(walked)]
    assert latitudes(listed.out) == newest_first[:200]
    assert told == (
        "These are the newest 200 of 203 positions. To list them all: draugar history --who Una"
        " --all"
    )
    assert (latitudes(every.out), every.told) == (newest_first, "")
    assert 0 < len(latitudes(few.out)) < 200
    assert few.told == ""
    # Programs get all, in the order in which they were taken.
    assert [round(point["latitude"], 5) for point in answer] == newest_first[::-1]


def test_the_accuracy_of_a_track_is_not_made_up(household: Household, tmp_path: Path) -> None:
    una = household.founder()
    una.does("share", "--gpx", walk(tmp_path, VIDEY, ago=timedelta(hours=3), name="one"))
    una.does(
        "share",
        "--accuracy",
        25,
        "--gpx",
        walk(tmp_path, VIDEY, ago=timedelta(hours=2), name="two"),
    )
    una.does("share", *REYKJAVIK)

    accuracies = [point["accuracy"] for point in una.reads("history")["points"]]

    assert accuracies == [None, 25, 10]


@pytest.mark.parametrize("command", ["history --gpx F", "history --geojson F", "export F", "map F"])
def test_no_file_is_written_over_unasked(
    household: Household, tmp_path: Path, command: str
) -> None:
    una = household.founder()
    una.does("share", *REYKJAVIK)
    file = tmp_path / "F"
    file.write_text("precious")

    refused = una.fails(*command.split())
    kept = file.read_text()
    elsewhere = una.fails(*command.replace("F", "nowhere/F").split())
    una.does(*command.split(), "--yes")

    assert "F is there already. Write over it?" in refused
    assert refused.endswith(f"If you are sure: draugar {command} --yes")
    assert kept == "precious"
    assert elsewhere.startswith("Nothing can be written in nowhere.")
    assert file.read_text() != "precious"


def test_a_map_takes_the_place_of_the_map_before(household: Household, tmp_path: Path) -> None:
    una = household.founder()
    una.does("share", *REYKJAVIK)
    una.does("map")
    una.does("share", *VIDEY)
    una.does("map")

    assert "64.16250" in (tmp_path / "draugar-map.html").read_text()


def test_a_screen_shows_how_far_a_track_is(household: Household, tmp_path: Path) -> None:
    una = household.founder()
    points = '<trkpt lat="64" lon="-21"/>' * 700
    (tmp_path / "walk.gpx").write_text(f"<gpx><trk><trkseg>{points}</trkseg></trk></gpx>")

    shown = una.at_terminal("share", "--gpx", "walk.gpx", "--end-now").out

    assert "Sharing" in shown
    assert "/700" in shown
    assert "Shared 700 positions." in shown


def test_a_link_on_a_screen_comes_with_a_code_that_cameras_read(household: Household) -> None:
    una, ari = household.founder(), household.person("Ari")

    shown = una.at_terminal("invite").out

    link = LINK.search(shown)
    assert link
    assert modules(shown) == expected(link[0].strip())
    ari.does("join", link[0].strip(), "--name", "Ari")


@pytest.mark.parametrize("columns", [20, 40, 68, 79])
def test_a_link_is_in_one_piece_on_any_screen_and_a_code_whole_or_not_there(
    household: Household, columns: int
) -> None:
    una = household.founder()

    shown = [una.at_terminal("invite", *further, columns=columns).out for further in ([], FOR_ME)]

    for text in shown:
        link = LINK.search(text)
        assert link
        drawn = modules(text)
        assert drawn in ([], expected(link[0].strip()))
        assert bool(drawn) is (columns >= len(expected(link[0].strip())[0]))
        assert bool(drawn) is ("this window has to be" not in text)
    assert f"draugar join '{LINK.search(shown[1])[0].strip()}'\n" in shown[1]  # type: ignore[index]


def test_where_the_encoding_has_no_blocks_there_is_no_code_but_a_sentence(
    household: Household,
) -> None:
    una = household.founder()

    shown = una.at_terminal("invite", PYTHONIOENCODING="cp1252").out

    assert LINK.search(shown)
    assert "?" not in shown
    assert "There is no QR code: the encoding cp1252 has no characters for it." in shown


def test_the_link_of_a_service_on_this_machine_says_so(household: Household) -> None:
    founder = household.founder()

    assert "the link works on this machine only" in founder("invite").told
    assert "the code works on this machine only" in founder("invite", "--typed").told


@pytest.mark.parametrize(
    "around", ["{}.", '"{}"', "<{}>", "\u201c{}\u201d", "\ufeff{}", "Join us: {}"]
)
def test_a_link_is_joined_by_as_it_was_pasted(household: Household, around: str) -> None:
    una, ari, sif = household.founder(), household.person("Ari"), household.person("Sif")
    first, second = (una.does("invite").strip() for _ in range(2))

    ari.does("join", around.format(first), "--name", "Ari")
    sif.does("join", "-", "--name", "Sif", stdin=around.format(f"{second[:60]}\n{second[60:]}"))

    assert {one["name"] for one in una.reads("people")["people"]} == {"Una", "Ari", "Sif"}


def test_a_further_device_of_a_member_of_several_groups_joins_the_one_of_its_link(
    household: Household,
) -> None:
    una, gro = household.founder(), household.founder("Gro")
    una.does("join", "-", stdin=gro.does("invite"))
    gro.does("group", "--name", "Choir")
    una.does("groups")
    further = household.person("further")

    link = una.does("invite", "--for-me", "--group", "Choir")
    joined = further.reads("join", "-", stdin=link)

    assert (joined["name"], joined["group"]["name"]) == ("Una", "Choir")
    assert joined["group"]["keyState"] == "ready"
    assert {one["name"] for one in further.reads("groups")["groups"]} == {"Hearth", "Choir"}


def test_a_link_without_its_front_is_joined_by_with_the_address_or_in_a_home_that_has_one(
    household: Household,
) -> None:
    una, ari, sif = household.founder(), household.person("Ari"), household.founder("Sif")
    first, second = (una.does("invite").partition("#")[2] for _ in range(2))

    told = ari.fails("join", first, "--name", "Ari")
    ari.does("join", first, "--name", "Ari", "--url", f"\u201c{household.service.url}/\u201d.")
    sif.does("join", second)

    assert told.startswith("The beginning of this invite link is missing")
    assert {one["name"] for one in una.reads("people")["people"]} == {"Una", "Ari", "Sif"}


def test_a_link_that_is_pasted_over_two_lines_on_a_screen_is_read(household: Household) -> None:
    una, ari = household.founder(), household.person("Ari")
    link = una.does("invite").strip()

    shown = ari.at_terminal(
        "join", "-", "--name", "Ari", types=f"{link[:50]}\n{link[50:]}\n", columns=300
    )

    assert shown.code == 0, shown.out
    assert "You are in Hearth" in shown.out


def test_an_id_is_read_as_it_was_pasted(household: Household) -> None:
    una = household.founder()
    made = una.reads("invite", "--typed")["id"].replace("-", "\u2011").upper()

    una.does("invites", "revoke", f"\u200b\u201c{made}\u201d.")

    assert una.does("invites") == "No invite is open.\n"


@pytest.mark.parametrize(
    "typed",
    ["64.1466,-21.9426", "64.1466\t-21.9426", "64.1466, \u221221.9426", "\ufeff64.1466 -21.9426"],
)
def test_a_position_is_shared_as_a_map_copies_it_and_echoed(
    household: Household, typed: str
) -> None:
    una = household.founder()

    for shared in (una.does("share", typed), una.does("share", "-", stdin=typed)):
        assert shared == "Shared 1 position: 64.14660, -21.94260.\n"
    assert names(una.reads("where")) == {"Una": REYKJAVIK}


def test_a_person_a_group_and_a_device_are_found_however_their_name_is_typed(
    household: Household,
) -> None:
    una = household.founder()
    zoe = household.person("zoe")
    zoe.does("join", "-", "--name", "Zoe\u0308\u200f", stdin=una.does("invite"))
    zoe.does("share", *REYKJAVIK)

    for name in ("Zo\u00eb", "ZO\u00cb", "zoe\u0308"):
        found = una.reads("history", "--who", name, "--group", "hea\u200brth")
        assert len(found["points"]) == 1
    (person,) = [one for one in una.reads("people")["people"] if not one["isMe"]]
    pasted = f"\u201c{person['userId']}\u201d".replace("-", "\u2011")
    assert len(una.reads("history", "--who", pasted)["points"]) == 1


@pytest.mark.parametrize("blank", ["\u3164", "\u2800", "\ufe0f\ufe0f", "\U000e0041"])
def test_a_name_that_shows_nothing_is_refused_before_anything_is_sent(
    household: Household, blank: str
) -> None:
    una, ari = household.founder(), household.person("Ari")
    link = una.does("invite").strip()

    told = [
        ari.fails("join", link, "--name", blank),
        ari.fails("join", link, "--name", "Ari", "--device", blank),
        una.fails("rename", blank),
        una.fails("places", "add", blank, *REYKJAVIK),
        una.fails("phone", "add", blank),
    ]

    assert all(one.startswith("A name has 1 to 64 characters, of which at") for one in told)
    ari.does("join", link, "--name", "Ari")


def test_a_position_that_looks_swapped_is_shared_with_a_warning(household: Household) -> None:
    una = household.founder()
    warning = "look swapped"

    first = una("share", *REYKJAVIK)
    odd = una("share", *reversed(REYKJAVIK))
    right = una("share", *REYKJAVIK)
    place = una("places", "add", "Home", *reversed(REYKJAVIK))
    elsewhere = una("share", 48.2, 16.37)

    assert [warning in it.told for it in (first, odd, right, place, elsewhere)] == [
        *(False, True, False, True, False)
    ]
    assert odd.code == place.code == 0


def test_no_zero_is_negative(household: Household) -> None:
    una = household.founder()

    shared = una.does("share", 0.000001, -0.000001)
    listed = una.does("where")

    assert "0.00000, 0.00000" in shared
    assert "0.00000, 0.00000" in listed
    assert "-0.0" not in una.does("where", "--json").replace("-0.000001", "").replace("-1e-06", "")


def modules(shown: str) -> list[list[bool]]:
    """Read a QR code off a screen as a camera does: dark is where the background shows."""
    lines = [
        re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.splitlines() if "\x1b[97;40m" in line
    ]
    rows = []
    for line in lines:
        rows.append([character in " ▄" for character in line])
        rows.append([character in " ▀" for character in line])
    return rows


def expected(content: str) -> list[list[bool]]:
    import segno  # noqa: PLC0415 -- what is compared with

    code = segno.make(content, micro=False)
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=4)]
    return rows + [[False] * len(rows[0])] * (len(rows) % 2)


def test_a_pause_across_a_clock_change_ends_at_the_time_that_was_typed(
    household: Household,
) -> None:
    una = household.founder()
    summer = timezone(timedelta(hours=2))
    now = datetime.now(summer)
    change = now + timedelta(hours=12)
    julian = [(day - day.replace(month=1, day=1)).days + 1 for day in (now, change)]
    is_after_february = [day.year % 4 == 0 and day.month > 2 for day in (now, change)]
    begin, end = (day - leap for day, leap in zip(julian, is_after_february, strict=True))
    zone = f"AAA-1BBB-2,J{begin}/0,J{end}/{change.hour}"
    typed = now - timedelta(hours=2)

    paused = json.loads(una("pause", "--until", f"{typed:%H:%M}", "--json", TZ=zone).out)

    meant = (typed + timedelta(days=1)).replace(
        second=0, microsecond=0, tzinfo=timezone(timedelta(hours=1))
    )
    assert datetime.fromisoformat(paused["resumesAt"]) == meant


@pytest.mark.parametrize(
    "zone",
    [
        *("Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata"),
        "AAA-1BBB-2,J1/0,J335/3",
    ],
)
def test_commands_read_and_show_times_of_the_zone_that_they_run_in(
    household: Household, zone: str
) -> None:
    una = household.founder()

    paused = json.loads(una("pause", "--until", "12:00", "--json", TZ=zone).out)
    told = una("history", "--from", "2026-06-01 12:00", "--to", "2026-05-01 12:00", TZ=zone).told

    resumes_at = datetime.fromisoformat(paused["resumesAt"])
    local = resumes_at.astimezone(ZoneInfo(zone)) if "/" in zone.partition(",")[0] else None
    assert timedelta() < resumes_at - datetime.now(UTC) <= timedelta(hours=26)
    assert local is None or f"{local:%H:%M}" == "12:00"
    assert "begin Mon 1 Jun 2026, 12:00 and end Fri 1 May 2026, 12:00" in told


def test_a_range_that_is_empty_by_itself_is_refused_and_a_time_to_come_is_the_last_one(
    household: Household,
) -> None:
    una = household.founder()
    una.does("share", *REYKJAVIK)
    to_come = f"{datetime.now(UTC) + timedelta(hours=1):%H:%M}"

    for command in (["history"], ["erase", "--yes"]):
        told = una.fails(*command, "--from", "1h", "--to", "2h", code=2)
        assert told.startswith("This range is empty: it would begin ")
        assert "Nothing was read or deleted." in told
    shown = una.reads("history", "--from", to_come)
    deleted = una.reads("erase", "--from", to_come, "--yes")

    assert len(shown["points"]) == 1
    assert deleted == {"deleted": 1}


def test_what_cannot_be_undone_is_asked_on_a_screen(household: Household) -> None:
    una = household.founder()

    kept = una.at_terminal("leave", types="n\n")
    still = una.reads("groups")["groups"]
    left = una.at_terminal("leave", types="y\n")

    assert kept.code == 1
    assert "Leave Hearth? What you posted there is deleted. [y/N]" in kept.out
    assert "Nothing was done." in kept.out
    assert len(still) == 1
    assert left.code == 0
    assert una.reads("groups") == {"groups": []}


def test_another_device_of_mine_comes_by_a_link_and_can_be_revoked(household: Household) -> None:
    una, phone = household.founder(), household.person("phone")
    una.does("share", *REYKJAVIK)

    link = una.does("invite", "--for-me")
    phone.does("join", "-", "--device", "Phone", stdin=link)
    assert link.endswith(".me\n")
    assert names(phone.reads("where")) == {"Una": REYKJAVIK}
    listed = {one["name"]: one["isThisOne"] for one in una.reads("devices")["devices"]}
    revoked = una.reads("devices", "revoke", "phone", "--yes")

    assert listed == {"Computer": True, "Phone": False}
    assert [one["keyVersion"] for one in revoked["rotations"]] == [2]
    assert phone.fails("where").startswith("The service does not know this device any more")


@pytest.mark.parametrize("options", [(), ("--for-me",)])
def test_a_link_for_browsers_is_one_for_the_command_line_too(
    household: Household, options: tuple[str, ...]
) -> None:
    una, ari = household.founder(), household.person("Ari")
    una.does("share", *REYKJAVIK)

    link = una.reads("invite", "--web", *options)["link"]
    name = () if options else ("--name", "Ari")
    ari.does("join", "-", *name, stdin=f"Come in: {link}")
    una.does("where")

    assert link.startswith(f"{household.service.url}/join#")
    assert names(ari.reads("where")) == {"Una": REYKJAVIK}


def test_a_number_that_was_never_shown_cannot_have_been_compared(household: Household) -> None:
    una = household.founder()
    for name in ("Ari", "Sif"):
        household.by_code(una, name)

    una.fails("confirm", "Sif", "--yes")
    told = una.fails("confirm", "Ari", "--yes")
    confirmed = una.reads("confirm", "Ari", "--yes")

    assert "This number was not shown here before" in told
    assert NUMBER.search(told)
    assert confirmed["confirmed"]["name"] == "Ari"


def test_an_invite_is_listed_and_taken_back(household: Household) -> None:
    una, ari = household.founder(), household.person("Ari")
    made = una.reads("invite", "--typed", "--hours", 2)

    (listed,) = una.reads("invites")["invites"]
    una.does("invites", "revoke", listed["id"])

    assert listed["id"] == made["id"]
    assert una.does("invites") == "No invite is open.\n"
    told = ari.fails("join", made["code"], "--url", household.service.url, "--name", "Ari")
    assert told == NOT_VALID


def test_wrong_spent_and_expired_invites_are_told_alike(household: Household) -> None:
    una = household.founder()
    spent = una.does("invite")
    household.person("Ari").does("join", "-", "--name", "Ari", stdin=spent)
    expired = una.does("invite")
    household.service.query(
        "UPDATE invite_codes SET created_at = now() - interval '2 hours',"
        " expires_at = now() - interval '1 hour' WHERE used_at IS NULL"
    )
    wrong = spent.replace(re.findall("#([A-Z0-9]+)", spent)[0], "ABCDEFGHJKLMNPQR")

    told = {
        household.person(f"nobody {number}").fails("join", "-", "--name", "Sif", stdin=link)
        for number, link in enumerate((spent, expired, wrong))
    }

    assert told == {NOT_VALID}


def test_a_home_that_has_joined_joins_no_second_time(household: Household) -> None:
    una = household.founder()

    told = una.fails(
        *("found", household.service.url, "-", "--name", "Una"),
        stdin=household.service.founding_code(),
    )

    assert told.startswith("This device has joined already, as one person at one service.")


def test_two_homes_on_one_machine_are_two_people(household: Household) -> None:
    una, baldur = household.founder("Una"), household.founder("Baldur")

    una.does("share", *REYKJAVIK)

    assert baldur.does("where") == "You are the only one in Hearth. Next: draugar invite\n"
    assert names(una.reads("where", "--home", una.home)) == {"Una": REYKJAVIK}


def test_somebody_in_two_groups_names_the_one_that_is_meant(household: Household) -> None:
    una, baldur = household.founder("Una"), household.person("Baldur")
    baldur.does(
        *("found", household.service.url, "-", "--name", "Baldur", "--group", "Club"),
        stdin=household.service.founding_code(),
    )
    entered = una.reads("join", "-", stdin=baldur.does("invite"))

    assert entered["group"]["name"] == "Club"
    assert una.fails("share", *REYKJAVIK).startswith("You are in several groups")
    una.does("share", *REYKJAVIK, "--group", "club")
    assert names(baldur.reads("where")) == {"Una": REYKJAVIK}
    assert una.reads("where", "--group", "Hearth") == {"positions": []}
    assert una.fails("where", "--group", "Nowhere") == (
        "You are in no group of this name or id. See your groups: draugar groups"
    )


class Door:
    """A way to the service that can be shut."""

    def __init__(self, service: Service) -> None:
        self._service = urlsplit(service.url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.open()

    def open(self) -> None:
        if self._listener.fileno() == -1:
            self._listener = socket.create_server(self.address)
        Thread(target=self._admit, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which wakes whoever waits to accept
        self._listener.close()

    def _admit(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                guest, _ = listener.accept()
                inside = socket.create_connection((self._service.hostname, self._service.port))
                for pair in ((guest, inside), (inside, guest)):
                    Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source, target:
            while piece := source.recv(65536):
                target.sendall(piece)


@pytest.fixture
def door(service: Service) -> Iterator[Door]:
    made = Door(service)
    yield made
    made.shut()


def test_without_the_service_the_last_known_positions_are_shown_as_old(
    household: Household, door: Door, tmp_path: Path
) -> None:
    una = household.person("Una")
    una.does("found", door.url, "-", "--name", "Una", stdin=household.service.founding_code())
    una.does("share", *REYKJAVIK)
    una.does("places", "add", "Home", *REYKJAVIK)
    before = una.reads("where")

    door.shut()
    shown = una("where", wait=0)
    named = una("where", "--group", "family", "--json", wait=0)
    drawn = una("map", "--json", wait=0)
    unknown = una.fails("where", "--group", "Office", wait=0)
    door.open()

    after = una.reads("where")
    assert (shown.code, named.code, drawn.code) == (0, 0, 0)
    assert re.fullmatch(
        r"Una \(you\) +Home +(just now|\d min ago) +10 m *", shown.out.split("\n")[1]
    )
    for told in (shown.told, named.told, drawn.told):
        assert told.startswith("The service does not answer.")
        assert "These positions are old" in told
        assert told.endswith("To try again: draugar where")
    old = json.loads(named.out)
    (known,) = old["positions"]
    assert before["positions"] == after["positions"] == [known | {"asOf": None}]
    assert known["recordedAt"] <= known["asOf"]
    assert json.loads(drawn.out) == {"file": str(tmp_path / "draugar-map.html")}
    assert "The service did not answer." in (tmp_path / "draugar-map.html").read_text()
    assert unknown.startswith("The service does not answer.")


def test_without_the_service_positions_wait_and_are_shared_once(
    household: Household, door: Door
) -> None:
    una = household.person("Una")
    una.does("found", door.url, "-", "--name", "Una", stdin=household.service.founding_code())

    door.shut()
    waiting = una("share", *REYKJAVIK, "--json", wait=0)
    unseen = una.fails("where", wait=0)
    door.open()
    sent = una.reads("share")

    assert waiting.code == 1
    assert json.loads(waiting.out) == {"stored": 0, "dropped": 0, "waiting": 1}
    assert waiting.told == (
        "The service does not answer. Nothing is lost: 1 position waiting here."
        " They go with the next: draugar share"
    )
    assert unseen == "The service does not answer. Run this again later: draugar where --wait 0"
    assert sent == {"stored": 1, "dropped": 0, "waiting": 0}
    assert len(una.reads("history")["points"]) == 1


def test_a_join_that_never_arrived_leaves_nothing_to_finish(
    household: Household, door: Door
) -> None:
    una, ari = household.person("Una"), household.person("Ari")
    una.does("found", door.url, "-", "--name", "Una", stdin=household.service.founding_code())
    first, second = una.does("invite"), una.does("invite")

    door.shut()
    unanswered = ari.fails("join", "-", "--name", "Arri", stdin=first, wait=0)
    door.open()
    joined = ari.reads("join", "-", "--name", "Ari", stdin=second)

    assert unanswered == (
        "The service does not answer. You have not joined."
        " Run this again later: draugar join LINK --name NAME"
    )
    assert (joined["name"], joined["group"]["keyState"]) == ("Ari", "ready")
