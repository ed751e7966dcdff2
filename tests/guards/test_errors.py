"""Codes are the contract with clients: each has one meaning, and docs/errors.md says which."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.errors import Problem
from draugar.cli.refusals import REFUSALS

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"


@pytest.fixture
def problems(schema: str) -> list[type[Problem]]:
    """Every error of the app that has a code of its own."""
    del schema
    import app  # noqa: F401, PLC0415 -- it reads the settings made by the fixture, and loads all modules

    return [problem for problem in descendants(Problem) if "code" in vars(problem)]


def descendants(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def documented() -> list[tuple[str, int]]:
    """Read (code, status) from the tables, each of which stands below its status."""
    found, status = [], 0
    for line in DOCUMENT.read_text().splitlines():
        if heading := re.match(r"## (\d{3}) ", line):
            status = int(heading[1])
        elif row := re.match(r"\| `(\w+)` \|", line):
            found.append((row[1], status))
    return found


def test_a_code_has_one_meaning(problems: list[type[Problem]]) -> None:
    codes = [problem.code for problem in problems]

    assert sorted(codes) == sorted(set(codes))


def test_the_document_lists_each_code_once_with_its_status(problems: list[type[Problem]]) -> None:
    known = [(problem.code, problem.status) for problem in problems]

    assert set(documented()) ^ set(known) == set(), (
        "A code is new or gone: add it to the table of its status in docs/errors.md, or take it"
        " out."
    )
    assert len(documented()) == len(known)


def test_each_code_has_a_sentence_in_the_client() -> None:
    missing = {code for code, _ in documented()} - REFUSALS.keys()

    assert not missing, (
        f"Say in client/draugar/cli/refusals.py what these mean to a person: {missing}"
    )


def test_the_document_names_statuses_as_the_answers_do(problems: list[type[Problem]]) -> None:
    titles = {(str(problem.status), problem.title) for problem in problems}

    headings = re.findall(r"^## (\d{3}) (.+)$", DOCUMENT.read_text(), re.MULTILINE)

    assert set(headings) == titles
