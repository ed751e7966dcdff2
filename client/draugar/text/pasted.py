"""Text as people paste it: without what messengers, notes, mail and web pages add to it.

Nothing is guessed: what is taken away is in no code, link, address or id, and what is left has to
be one.
"""

import re
import unicodedata
from uuid import UUID

from draugar.text.characters import DASHES, without_invisible

_FULL_WIDTH = {0xFF01 + step: chr(ord("!") + step) for step in range(94)} | {0x3002: "."}
"""As keyboards for Chinese, Japanese and Korean write ASCII."""
_AROUND = ("P", "Z", "S")
"""Categories of what encloses, ends or emphasises a text, or sets it off: emoji too."""
_LINE_BREAK = re.compile(r"[^\S\r\n]*[\r\n\v\f\x85\u2028\u2029]+(?:\s|>)*")


def cleaned(text: str) -> str:
    """Return a text without invisible characters, every dash a hyphen and full width as ASCII."""
    return DASHES.sub("-", without_invisible(text)).translate(_FULL_WIDTH)


def lines(text: str) -> list[str]:
    """Split a text where it was wrapped, without the marks of quoted mail."""
    return _LINE_BREAK.split(text.strip().lstrip("> "))


def bare(text: str, keep: str = "") -> str:
    """Return a text without the punctuation, quotes and blanks around it, other than `keep`."""
    start, end = 0, len(text)
    while start < end and _is_around(text[start], keep):
        start += 1
    while end > start and _is_around(text[end - 1], keep):
        end -= 1
    return text[start:end]


def as_id(text: str) -> UUID | None:
    """Read an id, with whatever dashes; None for another text."""
    try:
        return UUID(bare(cleaned("".join(text.split()))))
    except ValueError:
        return None


def _is_around(character: str, keep: str) -> bool:
    is_sign = character.isspace() or unicodedata.category(character).startswith(_AROUND)
    # A letter in a circle is a sign too, and may be meant as a letter.
    return (
        character not in keep and is_sign and not unicodedata.normalize("NFKC", character).isalnum()
    )
