"""Names that people choose: what one may be, and how two people of one name are told apart."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from uuid import UUID

from draugar.errors import FailureCode, NotPossible
from draugar.text.characters import (
    APOSTROPHES,
    DASHES,
    DOUBLE_QUOTES,
    is_visible,
    without_invisible,
)

LONGEST = 64
"""Characters of a name that the service takes."""
_SHORTEST_MARK = 4
_STEERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What breaks a line, steers a terminal or turns the text around it: the service refuses it."""


class NotAName(NotPossible):
    """A name that the service would not take."""

    code = FailureCode.NAME_NOT_POSSIBLE

    def __init__(self) -> None:
        super().__init__(longest=LONGEST)


def checked(name: str) -> str:
    """Return a name as it is sent. Raises NotAName."""
    found = name.strip()
    if not is_name(found):
        raise NotAName
    return found


def is_name(name: str) -> bool:
    """Whether the service and every client take a text as a name, exactly as it is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return (
        name == name.strip()
        and len(name) <= LONGEST
        and is_visible(name)
        and not _STEERS.search(name)
    )


def same(name: str) -> str:
    """Return a form that two names share which a reader takes for one.

    NFKC casefold, without what a reader does not see: some keyboards add marks to a name. Which
    apostrophe, dash or quotation mark a name has depends on the keyboard, too.
    """
    plain = without_invisible(name)
    for written, typed in ((APOSTROPHES, "'"), (DASHES, "-"), (DOUBLE_QUOTES, '"')):
        plain = written.sub(typed, plain)
    folded = unicodedata.normalize("NFKC", plain).casefold()
    return " ".join(unicodedata.normalize("NFKC", without_invisible(folded)).split())


def marks(names: Mapping[UUID, str]) -> dict[UUID, str]:
    """Return the end of the id of each person whose name another has too: enough to tell.

    The end of an id is random, its beginning the time when it was made.
    """
    namesakes: defaultdict[str, list[UUID]] = defaultdict(list)
    for user_id, name in names.items():
        namesakes[same(name)].append(user_id)
    found: dict[UUID, str] = {}
    for ids in namesakes.values():
        length = _SHORTEST_MARK
        while len({id_.hex[-length:] for id_ in ids}) < len(ids):
            length += 1
        if len(ids) > 1:
            found |= {id_: id_.hex[-length:] for id_ in ids}
    return found


def told_apart(name: str, mark: str) -> str:
    """Return a name with what tells its person from others of the same name."""
    return f"{name} [{mark}]" if mark else name
