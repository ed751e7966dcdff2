"""The command line without a service: help, mistakes, and what is kept on this device alone."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from draugar.cli.app import app, main
from tests.client.commands import Person

COMMANDS = (
    *("found", "invite", "join", "invites"),
    *("where", "map", "share", "history", "pause", "resume", "places"),
    *("confirm", "people", "safety", "rotate", "remove"),
    *("groups", "devices", "phone", "leave", "export", "logout", "delete-account"),
)
TRACK = '<gpx><trk><trkseg><trkpt lat="64" lon="-21"/></trkseg></trk></gpx>'


@pytest.fixture
def una(tmp_path: Path) -> Person:
    return Person(tmp_path / "una")


Here = Callable[..., tuple[object, str, str]]


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    """Run a command in this very process, which is quicker; return its status and streams."""
    monkeypatch.setenv("DRAUGAR_HOME", str(tmp_path / "una"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.argv", ["draugar", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_help_lists_every_command(una: Person) -> None:
    listed = una.does("--help")

    assert all(re.search(rf"^│ {command} +\S", listed, re.MULTILINE) for command in COMMANDS)


def test_help_is_shown_without_what_only_a_home_and_the_service_take() -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "draugar.cli", "--help"],
        capture_output=True,
        check=True,
        text=True,
    )

    loaded = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "draugar.cli.app" in loaded
    libraries = {"httpx", "ssl", "idna", "nacl", "sqlite3", "segno", "importlib.metadata"}
    assert loaded & ({"draugar.client"} | libraries) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(here: Here, command: str) -> None:
    code, explained, _ = here(command, "--help")

    assert code == 0
    assert f"Usage: draugar {command}" in explained
    assert "--home" in explained or "Commands" in explained


def helps(command: Any, path: str = "draugar") -> Iterator[tuple[str, str]]:
    """Yield each command, with all that its help says."""
    options = (getattr(option, "help", None) or "" for option in command.params)
    yield path, "\n".join([command.help or "", *options])
    for name, below in getattr(command, "commands", {}).items():
        yield from helps(below, f"{path} {name}")


def test_no_command_or_address_stands_where_help_wraps_or_frames_it() -> None:
    to_copy = re.compile(r"\bdraugar\b|://|\b(history|share|invite|map) --?\w")

    found = list(helps(get_command(app)))

    assert len(found) > 30
    assert [(path, said) for path, said in found if to_copy.search(said)] == []


@pytest.mark.parametrize("columns", [20, 40, 80])
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("phone add", "draugar --home ~/kid join LINK --name Kid"),
        ("phone add", "draugar --home ~/kid phone add"),
        ("map", "draugar map --tiles 'https://HOST/{z}/{x}/{y}.png'"),
        ("erase", "draugar history --json"),
    ],
)
def test_help_shows_commands_on_a_line_of_their_own(
    here: Here, monkeypatch: pytest.MonkeyPatch, columns: int, command: str, line: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    _, explained, _ = here(*command.split(), "--help")

    assert line in map(str.strip, explained.splitlines())


def test_the_version_is_that_of_the_package(una: Person) -> None:
    assert re.fullmatch(r"draugar \d+\.\d+\.\d+\n", una.does("--version"))


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["wher"], "where"),
        (["found"], "Missing argument 'URL'"),
        (["found", "https://draugar.example", "CODE"], "Missing option '--name'"),
        (["where", "--nonsense"], "--nonsense"),
        (["share", "64", "-21", "--acuracy", "5"], "Did you mean --accuracy?"),
        (["share", "64", "-21", "--acuracy=5"], "Did you mean --accuracy?"),
        (["places", "add", "Home", "64", "-21", "--raduis", "5"], "Did you mean --radius?"),
        (["share", "--nonsense"], "No such option: --nonsense."),
        (["share", "-21.9426", "64.1466", "-x"], "No such option: -x."),
        (["share", "164.1466", "-21.9426"], "these look swapped"),
        (["share", "64.1466"], "a latitude and a longitude"),
        (["share", "64.1466", "-21.9426", "--gpx", "track.gpx"], "not both"),
        (["share", "--gpx", "nowhere.gpx"], "does not exist"),
        (["invite", "--typed", "--for-me"], "leave out --typed"),
        (["invite", "--typed", "--web"], "leave out --web"),
        (["invite", "--hours", "169"], "less than or equal to 168"),
        (["join", "7KQM-X2HD"], "--name"),
        (["join", "7KQM-X2HD", "--name", "Una"], "--url"),
        (["invites", "revoke", "one"], "Invalid value for 'ID'"),
        (["share", "91", "0"], "A latitude is a number from -90 to 90"),
        (["share", "0", "-180.5"], "A longitude is a number from -180 to 180"),
        (["share", "64,1", "-21,9"], "decimal degrees, like 64.1466 -21.9426"),
        (["places", "add", "Home", "here", "there"], "A latitude is a number"),
        (["history", "--from", "yesterday"], "This is not a time. Write 2h, 3d, 18:30"),
        (["pause", "--until", "25:00"], "This is not a time"),
    ],
)
def test_what_is_mistyped_is_explained_with_status_2(
    una: Person, tmp_path: Path, arguments: list[str], hint: str
) -> None:
    (tmp_path / "track.gpx").write_text(TRACK)

    assert hint in una.fails(*arguments, code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["where"],
        ["map"],
        ["share", "64.1466", "-21.9426"],
        ["history"],
        ["pause"],
        ["resume"],
        ["invite"],
        ["invites"],
        ["confirm"],
        ["people"],
        ["safety", "Ari"],
        ["rotate"],
        ["remove", "Ari"],
        ["groups"],
        ["devices"],
        ["leave"],
        ["export"],
        ["logout"],
        ["delete-account", "--yes"],
    ],
)
def test_a_home_that_nobody_has_joined_from_says_how_to_join(
    here: Here, arguments: list[str]
) -> None:
    code, answered, told = here(*arguments)

    assert (code, answered) == (1, "")
    assert told == (
        "This device is not in a group yet.\n"
        "With an invite: draugar join LINK --name NAME. With a founding code: draugar found URL"
        " CODE --name NAME\n"
    )


@pytest.mark.parametrize(
    "link",
    [
        "draugar://draugar.example/join",
        "http://draugar.example/join#RT5WLJ8BK2MNP4QX.AAECAwQFBgcICQoLDA0ODw",
        "draugar://xn--evil/join#RT5WLJ8BK2MNP4QX.AAECAwQFBgcICQoLDA0ODw",
        "draugar://draugar.example/join#RT5WLJ8BK2MNP4QX.AAECAwQFBgcICQoLDA0OD",
        "draugar://draugar.example/join#short.AAECAwQFBgcICQoLDA0ODw",
    ],
)
def test_a_damaged_link_is_refused_and_not_repeated(una: Person, link: str) -> None:
    told = una.fails("join", "-", "--name", "Ari", stdin=link)

    assert told.endswith("or ask for a new one. Then: draugar join LINK --name NAME")
    assert "RT5WLJ8B" not in told
    assert "AAECAw" not in told


def test_a_service_that_is_not_there_is_told_in_two_lines(una: Person) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        port = unheard.getsockname()[1]

    told = una.fails(
        "found", f"http://127.0.0.1:{port}", "-", "--name", "Una", stdin="7KQM-X2HD", wait=0
    )

    assert told == (
        "The service does not answer. No group was founded."
        " Run this again later: draugar found URL CODE --name NAME"
    )


@pytest.mark.parametrize(
    "url",
    ["https://xn--evil", "https://[::1]evil.example", f"https://{64 * 'a'}.example", "https://.."],
)
def test_what_is_no_address_is_refused_with_a_sentence_and_leaves_nothing(
    una: Person, url: str
) -> None:
    for command in (["found", url, "7KQM-X2HD"], ["join", "7KQM-X2HD", "--url", url]):
        told = una.fails(*command, "--name", "Una")
        assert told.startswith("This is not the address of a service.")
    # An attempt that was kept would be in the way of another one.
    told = una.fails("join", "RT5W-LJ8B", "--url", "http://127.0.0.1:1", "--name", "A", wait=0)
    assert "An earlier" not in told


def test_what_is_mistyped_is_explained_without_a_frame_that_breaks_commands(una: Person) -> None:
    shown = una.at_terminal("join", "7KQM-X2HD", "--name", "Una", columns=30).out
    plain = re.sub("\x1b\\[[0-9;]*m", "", shown)

    assert "draugar join CODE --url URL --name NAME\n" in plain
    assert "draugar join --help\n" in plain
    assert "\u2502" not in plain


def test_a_service_in_the_open_is_refused(una: Person) -> None:
    told = una.fails("found", "http://draugar.example", "7KQM-X2HD", "--name", "Una")

    assert "not an https address" in told
    assert "Use https://" in told


def test_places_are_named_listed_and_forgotten(una: Person) -> None:
    assert "draugar places add" in una.does("places")

    una.does("places", "add", "Grandmother's", "64.1466,", "-21.9426")
    una.does("places", "add", "学校", "-33.9", "18.4", "--radius", "75")

    assert una.reads("places") == {
        "places": [
            {
                "name": "Grandmother's",
                "latitude": 64.1466,
                "longitude": -21.9426,
                "radius": 150.0,
            },
            {"name": "学校", "latitude": -33.9, "longitude": 18.4, "radius": 75.0},
        ]
    }
    assert una.fails("places", "add", "GRANDMOTHER'S", 0, 0).startswith("You have a place of this")
    assert una.reads("places", "remove", "学校") == {"removed": "学校"}
    assert una.fails("places", "remove", "学校").startswith("You have no place of this name")
    assert "Grandmother's" in una.does("places", "list")


def test_columns_line_up_whatever_the_script(una: Person) -> None:
    una.does("places", "add", "Home", 1, 2)
    una.does("places", "add", "学校", 1, 2)

    heading, home, school = una.does("places").splitlines()

    assert heading.index("Where") == home.index("1.00000")
    assert school.startswith("学校    1.00000")  # each of the two is two columns wide


def test_a_home_is_named_before_or_after_the_command(una: Person, tmp_path: Path) -> None:
    una.does("places", "add", "Cabin", 1, 2, "--home", tmp_path / "other")

    assert "Cabin" in una.does("--home", tmp_path / "other", "places")
    assert "Cabin" not in una.does("places")


def test_a_home_that_is_a_file_cannot_be_used(una: Person, tmp_path: Path) -> None:
    (tmp_path / "una").write_text("")

    assert una.fails("places").startswith("This device cannot keep its data in ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<html><body>", "The file is not XML, as GPX is: line 1 is broken."),
        ("<gpx/>", "The file holds no track points."),
        (
            TRACK.replace("64", "264"),
            "The only track point cannot be shared: point 1 has no latitude from -90 to 90.",
        ),
        (
            TRACK.replace("64", "164"),
            "has no latitude from -90 to 90 (it looks swapped with the longitude).",
        ),
        ('<!DOCTYPE gpx [<!ENTITY a "b">]><gpx>&a;</gpx>', "The file has a document type"),
        (TRACK, "The only track point cannot be shared: point 1 has no time."),
        (TRACK, "Say --end-now to share it as though it had just ended."),
        (TRACK, "Next: draugar share --gpx track.gpx --end-now"),
    ],
)
def test_a_track_that_cannot_be_shared_says_why(
    una: Person, tmp_path: Path, content: str, reason: str
) -> None:
    (tmp_path / "track.gpx").write_text(content)

    assert reason in una.fails("share", "--gpx", "track.gpx")


def is_asleep(pid: int) -> bool:
    """Whether the main thread of a process waits for something."""
    return Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_an_interrupted_command_is_quiet(una: Person) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as stack:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        def when_it_waits(pid: int) -> None:
            asked = stack.enter_context(silent.accept()[0])
            with asked.makefile("rb") as request:
                head = b"".join(iter(request.readline, b"\r\n")).lower()
                (length,) = re.findall(rb"content-length: (\d+)", head)
                assert request.read(int(length))
            while not is_asleep(pid):  # the request is whole, so it waits for the answer
                time.sleep(0.01)

        # Longer than a slow machine takes to get here.
        found = ("found", url, "7KQM-X2HD", "--name", "Una", "--wait", "600")
        result = una.at_terminal(*found, interrupted_when=when_it_waits)

    assert result.code == 130
    assert result.out.strip() == ""
