"""The repository is written in plain technical English: docs/glossary.md."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
SCANNED = {".js", ".md", ".mjs", ".py", ".sql", ".toml", ".ts", ".yaml"}
NOT_OURS = {".git", ".local", ".venv", "build", "dist", "node_modules"}

AT_MOST = 779
"""Occurrences that are left. Lower it with every rewrite; never raise it."""


def terms() -> list[str]:
    """Return the glossary's terms, in its order."""
    rows = re.findall(r"^\| (.+?) \|", GLOSSARY.read_text(), re.MULTILINE)
    return [row for row in rows if row not in {"term", "---"}]


def unwritten() -> re.Pattern[str]:
    """Return what matches a word that is not written."""
    section = GLOSSARY.read_text().partition("## Words that are not written")[2]
    lines = re.findall(r"^    (.+)$", section, re.MULTILINE)
    words = [word for line in lines[:-1] for word in line.split()] + [lines[-1]]
    return re.compile(rf"\b({'|'.join(words)})\b", re.IGNORECASE)


def sources() -> list[Path]:
    """Return the files that people write here."""
    return [
        path
        for path in ROOT.rglob("*")
        if (path.suffix in SCANNED or path.name == "Makefile")
        and not NOT_OURS & set(path.relative_to(ROOT).parts)
        and path != GLOSSARY
    ]


def test_the_glossary_names_each_concept_once_in_order() -> None:
    names = terms()

    assert len(names) >= 40
    assert names == sorted(set(names), key=str.lower)


def test_the_words_that_are_not_written_become_fewer() -> None:
    word = unwritten()

    found = Counter({path: len(word.findall(path.read_text())) for path in sources()})

    assert found.total() <= AT_MOST, "\n".join(
        f"{number:4} {path.relative_to(ROOT)}" for path, number in found.most_common(20)
    )


def test_a_word_that_is_not_written_is_found_in_any_case() -> None:
    assert unwritten().findall("Somebody put down what nobody mended") == [
        "Somebody",
        "put down",
        "nobody",
        "mended",
    ]
