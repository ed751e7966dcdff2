"""Characters that a reader does not see, and those that several keys write: dashes, quotes.

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
APOSTROPHES = re.compile(
    "[`\u00b4\u02b9\u02bb-\u02bd\u02c8\u02ca\u02cb\u055a\u05f3\u1fbd\u1fbf\u2018\u2019\u201b\u2032\u2035"
    "\ua78b\ua78c\uff07\uff40]"
)
"""What they write in the place of an apostrophe, and letters that are typed as one."""
DOUBLE_QUOTES = re.compile("[\u05f4\u201c-\u201f\u2033\u2036\uff02]")


def without_invisible(text: str) -> str:
    """Return a text without the characters that no reader sees."""
    return INVISIBLE.sub("", text)


def is_visible(text: str) -> bool:
    """Whether a text shows anything: a character that is neither blank nor invisible.

    What this Python does not know yet may be a letter or an emoji, and shows.
    """
    kinds = map(unicodedata.category, without_invisible(text))
    return any(kind == "Cn" or kind[0] not in "ZC" for kind in kinds)
