"""Characters that a reader does not see, and dashes.

The sets are Unicode's, written out, so that they do not depend on what this Python knows.
"""

import re
import unicodedata

_BLANKS = "\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U00016fe4\U0001d159"
"""Letters and symbols whose glyph is empty: fillers of Hangul, Braille, hieroglyphs, music."""

_IGNORABLE = (
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point of Unicode 16, the annotations, and the object replacement."""

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
INVISIBLE = re.compile(f"[{_BLANKS}{_IGNORABLE}{_NONCHARACTERS}]")
DASHES = re.compile(
    "[\u02d7\u058a\u05be\u1400\u2010-\u2015\u2043\u207b\u208b\u2212\u2500\u2501\u2796\u2e3a\u2e3b"
    "\u30fc\ufe31\ufe32\ufe58\ufe63\uff0d]"
)
"""What keyboards, word processors and web pages write in the place of a hyphen or a minus."""

_AROUND = ("P", "Z", "S")
"""Categories of what encloses, ends or emphasises a text, or sets it off: emoji too."""
_FULL_WIDTH = {0xFF01 + step: chr(ord("!") + step) for step in range(94)} | {0x3002: "."}
"""As keyboards for Chinese, Japanese and Korean write ASCII."""


def is_visible(text: str) -> bool:
    """Whether a text shows anything: a character that is neither blank nor invisible.

    What this Python does not know yet may be a letter or an emoji, and shows.
    """
    kinds = map(unicodedata.category, INVISIBLE.sub("", text))
    return any(kind == "Cn" or kind[0] not in "ZC" for kind in kinds)


def pasted(text: str) -> str:
    """Return a text as it was before messengers, notes and mail added to it.

    Without invisible characters, and without punctuation, quotes and blanks around it; every dash
    a hyphen, and full width as ASCII.
    """
    found = DASHES.sub("-", INVISIBLE.sub("", text)).translate(_FULL_WIDTH)
    start, end = 0, len(found)
    while start < end and _is_around(found[start]):
        start += 1
    while end > start and _is_around(found[end - 1]):
        end -= 1
    return found[start:end]


def _is_around(character: str) -> bool:
    is_sign = character.isspace() or unicodedata.category(character).startswith(_AROUND)
    # A letter in a circle is a sign too, and may be meant as a letter.
    return is_sign and not unicodedata.normalize("NFKC", character).isalnum()
