"""Each promise of the protocol and the threat model is paired with a test: docs/promises.md.

`python -m tests.guards.test_promises` prints what is not paired, as rows of that table.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from draugar.trust.values import Notice
from tests.client.trust.cases import CASES

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
TABLE = DOCS / "promises.md"
DOCUMENTS = ("protocol.md", "threat-model.md")

WORDS = re.compile(
    r"\b(told|tells?|shows?|shown|visible|lists|listed so|marks?|marked|warn\w*|says? so|named"
    r"|asks? (?:its|the) person|refus\w+|reject\w*|check\w*|verif\w+|compar\w+|ignor\w*"
    r"|believ\w*|recogni\w+|drops?|dropped|passed over|cannot|never|no client)\b",
    re.IGNORECASE,
)
"""A sentence that has one of these words promises something."""
WHOLE_TABLES = (
    "## What a person is told",
    "## What a malicious operator can do, and what a client does about it",
)
"""Sections of which each row of a table promises something, whatever its words."""
CHAIRS = "## Eight chairs"
"""The section whose tables name the tests of each row themselves."""
NO_PROMISE = "No promise: "
NOT_PREVENTED = "not prevented"
TOLD_BY_USE_CASES = {"phone_needs_setup", "rotated"}
"""Codes of what no update decides."""


@dataclass(frozen=True)
class Unit:
    """One sentence, item or row of a document."""

    section: str
    text: str
    promises: bool
    cells: tuple[str, ...] = ()


def plain(text: str) -> str:
    """Return a text in one line, without emphasis and the addresses of links."""
    without_links = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(without_links.replace("*", "").split())


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!;])\s+(?=[A-Z`(])", plain(text))


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (section, kind, text) of each paragraph, item and row outside of code."""
    section, lines, kind, is_code = "", list[str](), "paragraph", False
    for line in [*text.splitlines(), ""]:
        if line.startswith("```"):
            is_code = not is_code
        starts = re.match(r"\s*(?:- |\d+\. )", line)
        ends = not line.strip() or line.startswith(("#", "|", "```"))
        if lines and (ends or starts or is_code):
            yield section, kind, " ".join(lines)
            lines, kind = [], "paragraph"
        if line.startswith("## ") or (line.startswith("# ") and not is_code):
            section = line
        if line.startswith("|") and not is_code:
            yield section, "row", line
        elif starts and not is_code:
            lines, kind = [line[starts.end() :]], "item"
        elif not ends and not is_code:
            lines.append(line.strip())


def units(text: str) -> list[Unit]:
    """Return what a document says, and which of it promises something.

    All items promise something where the sentence that introduces them does.
    """
    found: list[Unit] = []
    are_promises = False
    for section, kind, block in blocks(text):
        if re.fullmatch(r"\[[^]]*\]\(#[^)]*\)", block):
            continue  # an entry of the contents
        if kind == "row":
            cells = tuple(plain(cell) for cell in re.split(r"(?<!\\)\|", block.strip("|")))
            row = " / ".join(cells)
            is_head = set(block) <= set("|- ") or cells[0] in {"code", "it may"}
            promises = not is_head and (section in WHOLE_TABLES or bool(WORDS.search(row)))
            found.append(Unit(section, row, promises, cells))
            continue
        parts = [plain(block)] if kind == "item" and are_promises else sentences(block)
        for part in parts:
            promises = bool(WORDS.search(part)) or (kind == "item" and are_promises)
            found.append(Unit(section, part, promises))
        if kind == "paragraph":
            are_promises = found[-1].promises and found[-1].text.endswith((":", ","))
    return found


def promises(text: str) -> list[str]:
    return [unit.text for unit in units(text) if unit.promises and not _names_its_tests(unit)]


def _names_its_tests(unit: Unit) -> bool:
    return unit.section == CHAIRS and bool(unit.cells)


def pairs() -> list[tuple[str, str, str]]:
    """Read (document, sentence, tests) from the table."""
    found, document = [], ""
    for line in TABLE.read_text().splitlines():
        if line.startswith("## "):
            document = line.removeprefix("## ")
        elif line.startswith("| ") and document in DOCUMENTS and not line.startswith("| sentence"):
            sentence, tests = line.strip("| ").split(" | ")
            found.append((document, sentence, tests))
    return found


def unpaired(document: str, text: str) -> list[str]:
    paired = {sentence for of, sentence, _ in pairs() if of == document}
    return [sentence for sentence in promises(text) if sentence not in paired]


def references(cell: str) -> list[tuple[str, str]]:
    """Return the (path, test) that a cell names, where `::` alone goes on in the file before it."""
    found, path = [], ""
    for named in re.findall(r"`([\w/]*\.?(?:py)?(?:::\w+)?)`", cell):
        before, _, test = named.partition("::")
        path = before or path
        if path.endswith(".py"):
            found.append((path, test))
    return found


@cache
def functions(path: str, root: Path = TESTS) -> frozenset[str]:
    """Return the functions of a file; none if there is no such file."""
    file = root / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_bytes())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def is_test(path: str, test: str) -> bool:
    """Tell whether a file has a test. A decision is one, which test_decisions.py runs."""
    is_named_so = test.startswith("test_") or path == "client/trust/cases.py"
    return is_named_so and test in functions(path)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_promise_is_paired_with_a_test(document: str) -> None:
    missing = unpaired(document, (DOCS / document).read_text())

    assert missing == [], "Pair each of these with its test in docs/promises.md"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_pair_is_of_a_sentence_that_stands_there(document: str) -> None:
    written = Counter(promises((DOCS / document).read_text()))

    paired = Counter(sentence for of, sentence, _ in pairs() if of == document)

    assert paired - Counter(set(written)) == Counter(), "Take these out of docs/promises.md"


def test_each_pair_names_tests_that_there_are() -> None:
    wrong = [
        (sentence, tests)
        for _, sentence, tests in pairs()
        if not (
            tests.startswith(NO_PROMISE)
            or (references(tests) and all(is_test(*one) for one in references(tests)))
        )
    ]

    assert wrong == []


def documented_codes() -> dict[str, str]:
    """Return the row of each code that a person is told of."""
    return {
        code: unit.text
        for unit in units((DOCS / "protocol.md").read_text())
        if unit.section == WHOLE_TABLES[0] and unit.promises and unit.cells
        for code in re.findall(r"`(\w+)`", unit.cells[0])
    }


def test_each_code_is_told_in_a_case_that_its_row_names() -> None:
    tests = {sentence: cell for _, sentence, cell in pairs()}
    decided = {case.name: case.decide() for case in CASES}

    for code, row in documented_codes().items():
        named = [
            test.replace("_s_", "'s_").replace("_", " ")
            for path, test in references(tests[row])
            if path == "client/trust/cases.py"
        ]
        told = {one.code for name in named for one in notices(decided[name])}
        assert code in told or code in TOLD_BY_USE_CASES, f"No case of {code} is named: {named}"


def notices(decision: Any) -> tuple[Notice, ...]:
    """Return what a decision tells; a refused package is a notice itself."""
    return (decision,) if isinstance(decision, Notice) else getattr(decision, "notices", ())


def test_the_table_has_each_code_that_the_core_tells() -> None:
    told = {one.code for case in CASES for one in notices(case.decide())}

    assert told | TOLD_BY_USE_CASES == documented_codes().keys()


def test_each_row_of_the_chairs_names_tests_that_there_are() -> None:
    rows = [
        unit.cells
        for unit in units((DOCS / "threat-model.md").read_text())
        if _names_its_tests(unit) and unit.cells[0] != "path tried" and "---" not in unit.cells[0]
    ]
    missing = [
        named
        for *_, cell in rows
        for named in [*references(cell), *((path, "") for path in re.findall(r"[\w/]+\.\w+", cell))]
        if not exists(*named)
    ]
    without = [
        path
        for path, outcome, cell in rows
        if not references(cell) and not outcome.startswith(NOT_PREVENTED)
    ]

    assert len(rows) >= 100
    assert (missing, without) == ([], [])


def exists(path: str, function: str) -> bool:
    """Tell whether a row of the chairs may name this: a line of the code shows some of them."""
    roots = (TESTS, TESTS.parent)
    if function:
        return any(function in functions(path, root) for root in roots)
    return any((root / path).is_file() for root in roots)


def test_a_sentence_that_is_not_paired_is_found() -> None:
    planted = "Each member is told when a stranger reads the group."
    text = (DOCS / "protocol.md").read_text()

    found = unpaired("protocol.md", f"{text}\n\nSome text. {planted} More\ntext.\n")

    assert [sentence for sentence in found if sentence not in unpaired("protocol.md", text)] == [
        planted
    ]


def test_items_and_rows_that_are_not_paired_are_found() -> None:
    items = (
        "## A\n\nA client refuses\nthese:\n\n- one that is\n  long;\n- two.\n\nText.\n\n- three\n"
    )
    table = "## What a person is told\n\n| code | of what |\n|---|---|\n| `new` | a `link` |\n"

    assert promises(items) == ["A client refuses these:", "one that is long;", "two."]
    assert promises(table) == ["`new` / a `link`"]


def test_code_and_headings_promise_nothing() -> None:
    assert promises("# What a person is told\n\n```\nis told\n\n- is shown\n```\n") == []


def test_a_test_that_there_is_not_is_found() -> None:
    here = "guards/test_promises.py"

    assert references(f"`{here}::test_a`, `::test_b`") == [(here, "test_a"), (here, "test_b")]
    assert is_test(here, "test_a_test_that_there_is_not_is_found")
    assert not is_test(here, "test_a")
    assert not is_test(here, "references")
    assert not is_test("guards/test_promise.py", "test_a")


if __name__ == "__main__":
    for name in DOCUMENTS:
        for sentence in unpaired(name, (DOCS / name).read_text()):
            sys.stdout.write(f"{name}: | {sentence} | `` |\n")
