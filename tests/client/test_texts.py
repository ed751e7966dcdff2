"""What people read when something fails: sentences, and a command in full to type next."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

import draugar
from draugar.cli.app import app
from draugar.cli.explain import STAKES
from draugar.cli.failures import STEPS, told
from draugar.cli.refusals import NEWER_SERVICE, REFUSALS
from draugar.cli.situations import TEXTS
from draugar.errors import AskedTooOften, Done, Failure, FailureCode, Refused
from draugar.protocol import errors as protocol_errors
from tests.client.saying import said
from tests.guards.test_errors import documented

CLIENT = Path(draugar.__file__).parent
COMMAND = re.compile(
    r"\b(draugar( --home DIRECTORY)? [a-z-]+|pipx install|the same command|as you typed it)\b"
    r"| --help$"
)
NAMED = re.compile(
    r"(?:\A|: |`)draugar (?:--home DIRECTORY )?(?P<rest>(?!keeps)[a-z-].*?)(?:[.,;)`](?= |\Z)|\Z)"
)
"""A command in a text: it stands behind a colon, or alone."""
GATEWAY = ["route_not_found", "length_required", "timed_out"]
"""Codes of what never reaches the service."""
VALUES: dict[str, Any] = {
    "directory": "home",
    "error": 13,
    "place": "keyring",
    "file": "home.sqlite3",
    "longest": 64,
    "largest": 20,
    "year": 2000,
    "name": "latitude",
    "limit": 90,
    "mebibytes": 32,
    "line": 6,
    "waypoints": 1,
    "route_points": 0,
    "point_id": "0198",
}


@pytest.mark.parametrize("code", sorted({*(code for code, _ in documented()), *GATEWAY}))
def test_each_code_of_the_service_has_its_sentence_and_a_command(code: str) -> None:
    text = told(Refused(status=400, code=code))

    assert text == REFUSALS[code] or code == FailureCode.ASKED_TOO_OFTEN
    assert text.reason.endswith(".")
    assert COMMAND.search(text.next_step)
    assert not ("_" in code and code in text.reason + text.next_step)
    assert "errors.md" not in text.next_step


def test_a_code_of_a_newer_service_is_not_shown_either() -> None:
    shown = said(Refused(status=422, code="something_new"))

    assert shown == f"{NEWER_SERVICE.reason} {NEWER_SERVICE.next_step}"
    assert COMMAND.search(shown)


@pytest.mark.parametrize(
    ("seconds", "when"),
    [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (61, "2 minutes"), (7200, "2 hours")],
)
def test_who_has_asked_too_often_is_told_how_long_to_wait(seconds: int, when: str) -> None:
    assert f" in {when}." in said(AskedTooOften(timedelta(seconds=seconds)))


def test_each_code_has_one_text_and_each_text_a_code() -> None:
    service = {*(code for code, _ in documented()), *GATEWAY}

    assert set(TEXTS) == {*map(str, FailureCode), *service}
    assert {code: TEXTS[code] for code in REFUSALS} == REFUSALS
    assert set(STEPS) == set(Done)


@pytest.mark.parametrize("code", sorted(FailureCode))
def test_each_code_is_told_in_a_sentence_with_a_command(code: str) -> None:
    text = told(Failure(code, **VALUES))

    assert text.reason.endswith(".")
    assert COMMAND.search(text.next_step)
    assert "{" not in text.reason
    assert "{" not in text.next_step.replace("{z}/{x}/{y}", "")


@pytest.mark.parametrize("done", sorted(Done))
def test_each_step_that_was_done_is_told_with_the_command_for_the_rest(done: Done) -> None:
    failure = Failure()
    failure.after(done, name="Mum's phone", point_id="0198")

    text = told(failure)

    assert text.effect.endswith(".")
    assert COMMAND.search(text.next_step)
    assert "{" not in text.effect + text.next_step


def test_each_code_and_step_is_one_that_the_client_raises() -> None:
    texts = {"failures.py", "situations.py"}
    used = {
        node.attr
        for file in modules(has_cli=True)
        if file.name not in texts
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in {"FailureCode", "Done"}
    }

    assert {code.name for code in (*FailureCode, *Done)} == used


def test_a_failure_shows_its_code_and_neither_names_nor_coordinates() -> None:
    failure = Failure(FailureCode.NUMBER_OUT_OF_RANGE, name="Una", limit=90, latitude=64.1466)

    assert str(failure) == "number_out_of_range (limit=90)"
    assert repr(failure) == "Failure(number_out_of_range (limit=90))"


# Where texts stand


def modules(*, has_cli: bool) -> list[Path]:
    cli = CLIENT / "cli"
    return [file for file in sorted(CLIENT.rglob("*.py")) if has_cli or cli not in file.parents]


def written(part: ast.AST) -> str:
    """Return what a string says, with a word in the place of each value that is filled in."""
    if isinstance(part, ast.JoinedStr):
        return "".join(map(written, part.values))
    if isinstance(part, ast.FormattedValue):
        return written(part.value)
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        return part.value
    # `again` is a command in full wherever it is made.
    return "the same command" if ast.unparse(part) == "again" else "VALUE"


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each string of a module with its line, but no docstring and no part of another."""
    passed_over: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            passed_over.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            passed_over |= {id(part) for part in node.values}
        if id(node) not in passed_over and isinstance(node, (ast.JoinedStr, ast.Constant)):
            yield node.lineno, written(node)


def test_no_module_but_the_command_line_holds_a_command_or_the_text_of_a_failure() -> None:
    found = []
    for file in modules(has_cli=False):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
                continue
            kind = ast.unparse(node.exc.func)
            if kind in FOR_DEVELOPERS:
                continue
            found += [
                f"{file.name}:{line}: {text}"
                for line, text in strings(node.exc)
                if " " in text.strip()
            ]
        found += [
            f"{file.name}:{line}: {text}"
            for line, text in strings(tree)
            if NAMED.search(text) or "the same command" in text
        ]

    assert found == []


SENTENCE = re.compile(r"\s*[A-Z]\w*,? (?:\S+ )+\S+[.:?!]\s*", re.DOTALL)


def prose(tree: ast.AST) -> list[str]:
    """Return the sentences of a module, but for those of exceptions that no person meets."""
    inside = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FOR_DEVELOPERS
        for line, _ in strings(node)
    }
    return [text for line, text in strings(tree) if line not in inside and SENTENCE.fullmatch(text)]


def test_no_module_but_the_command_line_and_the_page_of_a_map_holds_a_sentence() -> None:
    found = {
        file.relative_to(CLIENT).as_posix(): sentences
        for file in modules(has_cli=False)
        if (sentences := prose(ast.parse(file.read_text())))
    }

    assert found.keys() == {"maps/page.py"}, found


@pytest.mark.parametrize(
    "planted",
    ['notify("Ari has joined by your link.")', 'return f"{name}", f"Your key is {old} days old."'],
)
def test_a_sentence_that_stands_elsewhere_is_found(planted: str) -> None:
    assert len(prose(ast.parse(f"def told(name, old):\n    {planted}"))) == 1


FOR_DEVELOPERS = {*vars(protocol_errors), "TypeError", "AttributeError"}
"""Exceptions that no person meets: they name what does not hold."""


# The commands that texts name


@cache
def line() -> Any:
    return typer.main.get_command(app)


def wrong(command: str) -> str:
    """Return what a command names that the command line does not have; else nothing."""
    words, known = command.split(), line()
    while words and hasattr(known, "commands"):
        if words[0] not in known.commands:
            # A list is shown by its name alone.
            return "" if words[0].startswith("-") else words[0]
        known = known.commands[words.pop(0)]
    options = {"--help", *(name for option in known.params for name in option.opts)}
    return " ".join(word for word in words if word.startswith("--") and word not in options)


def test_a_command_that_is_named_is_one_that_there_is() -> None:
    named = [
        (f"{file.name}:{number}", found["rest"])
        for file in modules(has_cli=True)
        for number, text in strings(ast.parse(file.read_text()))
        for found in NAMED.finditer(text)
    ]

    assert len(named) > 100
    assert [(place, command) for place, command in named if wrong(command)] == []


@pytest.mark.parametrize("command", sorted(STAKES))
def test_what_is_at_stake_is_said_of_a_command_that_there_is(command: str) -> None:
    known = line()
    for word in command.split():
        known = known.commands[word]

    parameters = dict.fromkeys((option.name for option in known.params), "x")
    assert STAKES[command].undone.format_map(parameters).endswith(".")


@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        ("join LINK --name NAME", ""),
        ("devices revoke NAME", ""),
        ("devices", ""),
        ("jion LINK", "jion"),
        ("devices forget NAME", "forget"),
        ("rotate --restore", "--restore"),
    ],
)
def test_a_command_that_there_is_not_is_found(command: str, unknown: str) -> None:
    assert wrong(command) == unknown


def test_each_failure_of_the_command_line_itself_names_a_command_in_full() -> None:
    found = [
        (f"{file.name}:{node.lineno}", advice)
        for file in sorted((CLIENT / "cli").glob("*.py"))
        if file.stem not in {"situations", "refusals", "terminal"}
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Text", "CommandFailure"}
        for given in node.args[1:2]
        if " " in (advice := " ".join(text for _, text in strings(given)))
    ]

    assert len(found) > 10
    assert [(place, text) for place, text in found if not COMMAND.search(text)] == []


def test_a_file_of_the_command_line_can_be_read_at_once() -> None:
    lengths = {
        file.name: len(file.read_text().splitlines()) for file in (CLIENT / "cli").glob("*.py")
    }

    assert {name: length for name, length in lengths.items() if length > 400} == {}
