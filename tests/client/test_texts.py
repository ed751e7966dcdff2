"""What people read when something fails: sentences, and a command in full to type next."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import draugar
from draugar.cli.refusals import NEWER_SERVICE, REFUSALS
from draugar.errors import AskedTooOften, Refused
from tests.guards.test_errors import documented

CLIENT = Path(draugar.__file__).parent
COMMAND = re.compile(r"\b(draugar( --home DIRECTORY)? [a-z-]+|pipx install|the same command)\b")
GATEWAY = ["route_not_found", "length_required", "timed_out"]
"""Codes of what never reaches the service."""


@pytest.mark.parametrize("code", sorted({*(code for code, _ in documented()), *GATEWAY}))
def test_each_code_of_the_service_has_its_sentence_and_a_command(code: str) -> None:
    shown = str(Refused(status=400, code=code))

    assert REFUSALS[code].text in shown
    assert REFUSALS[code].text.endswith(".")
    assert COMMAND.search(REFUSALS[code].advice)
    assert not ("_" in code and code in shown)
    assert "errors.md" not in shown


def test_a_code_of_a_newer_service_is_not_shown_either() -> None:
    shown = str(Refused(status=422, code="something_new"))

    assert shown == f"{NEWER_SERVICE.text} {NEWER_SERVICE.advice}"
    assert COMMAND.search(shown)


@pytest.mark.parametrize(
    ("seconds", "when"),
    [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (61, "2 minutes"), (7200, "2 hours")],
)
def test_who_has_asked_too_often_is_told_how_long_to_wait(seconds: int, when: str) -> None:
    assert f" in {when}." in str(AskedTooOften(timedelta(seconds=seconds)))


def written(part: ast.AST) -> str:
    """Return what a part of an f-string says; `again` is a command in full wherever it is made."""
    if isinstance(part, ast.Constant) and isinstance(part.value, str):
        return part.value
    return "the same command" if isinstance(part, ast.Name) and part.id == "again" else ""


def advices() -> Iterator[tuple[str, str]]:
    """Yield each advice that stands in the client, with its place."""
    for file in sorted(CLIENT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[object] = []
            if isinstance(node, ast.keyword):
                names = [node.arg]
            elif isinstance(node, ast.Assign):
                names = [getattr(target, "id", None) for target in node.targets]
            if "advice" not in names or not isinstance(node, (ast.keyword, ast.Assign)):
                continue
            text = "".join(map(written, ast.walk(node.value)))
            if text:  # else it is another failure's, which is looked at where it stands
                yield f"{file.name}:{node.value.lineno}", text


def test_each_advice_names_a_command_in_full() -> None:
    found = list(advices())

    assert len(found) > 30
    assert [(place, text) for place, text in found if not COMMAND.search(text)] == []
