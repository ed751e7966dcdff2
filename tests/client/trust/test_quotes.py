"""Each rule in trust/ quotes its sentence of docs/protocol.md, and the sentence stands there."""

import re
import tokenize
from pathlib import Path

import pytest

from draugar import trust

MODULES = sorted(Path(trust.__path__[0]).glob("*.py"))
PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"


def plain(text: str) -> str:
    """Return a text in one line, without emphasis and the addresses of links."""
    without_links = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text.replace("**", ""))
    return " ".join(without_links.split())


def quotes(module: Path) -> list[str]:
    """Return the sentences that stand in quotation marks in comments and docstrings."""
    with module.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    comments = " ".join(one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT)
    docstrings = " ".join(one.string.strip('"') for one in tokens if one.string.startswith('"""'))
    return [
        quote
        for text in (comments, docstrings)
        for quote in re.findall(r'"([^"]{20,})"', " ".join(text.split()))
        if not quote.startswith(" ")
    ]


@pytest.mark.parametrize("module", MODULES, ids=[module.stem for module in MODULES])
def test_what_is_quoted_stands_in_the_protocol(module: Path) -> None:
    text = plain(PROTOCOL.read_text())
    assert [quote for quote in quotes(module) if plain(quote) not in text] == []


def test_the_rules_are_quoted() -> None:
    assert sum(len(quotes(module)) for module in MODULES) >= 30
