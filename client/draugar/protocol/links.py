"""What people pass to each other so that another person can join: a code, or a link with one.

    draugar://<host>/join#<code>.<secret>    only installed clients open it
    https://<host>/join#<code>.<secret>      a browser opens it, too

The secret stands behind the `#`, which no browser sends to a server.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from draugar.errors import AddressNotSafe, FailureCode, NotPossible
from draugar.protocol.address import SERVICE, is_local, service_url
from draugar.protocol.codes import is_code
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.secrets import InviteSecret
from draugar.text import pasted

_NO_WORD = "(?![_-]*[A-Za-z0-9])"
_ME = rf"(?i:(?P<me>\.me){_NO_WORD})?"
_ENDING = rf"(?P<code>[A-Za-z0-9-]+)\.(?P<secret>[\w-]*){_ME}"
_LINK = re.compile(
    rf"(?i:(?P<scheme>draugar|https?)://){SERVICE}/join(?P<for_me>\?me)?(?:#|%23){_ENDING}",
    re.ASCII,
)
_EXACT = re.compile(
    rf"(?P<scheme>draugar|https?)://{SERVICE}/join(?P<for_me>\?me)?"
    r"#(?P<code>[A-Za-z0-9-]+)\.(?P<secret>[\w-]+)(?P<me>(?(for_me)(?!)|\.me))?",
    re.ASCII,
)
"""A link as docs/protocol.md writes it: `me` stands at its end, or, in form 1, behind a `?`."""
_MOST_LINES = 8
"""Over so many lines a link may be wrapped, with other text before and behind it."""
_TAIL = re.compile(
    rf"(?:(?:(?:{SERVICE})?/)?join)?(?P<for_me>\?me)?#?{_ENDING}",
    re.ASCII,
)
"""A link whose front is missing: a double click, or a careless hand, leaves it out."""
_SECRET = re.compile(r"([\w-]{22})[_-]*", re.ASCII)
"""Behind it there may be the end of an emphasis, or a dash of the sentence around it."""
_LOOKS_LIKE_A_LINK = re.compile(r"//|#|[A-Za-z0-9]\.[\w-]{16,}")


class Unreadable(NotPossible):
    """What was typed or scanned is no code, or no link; it is never repeated."""

    code = FailureCode.LINK_UNREADABLE


def canonical(code: str) -> str:
    """Return a code as it is hashed: upper case, no spaces or hyphens. Raises Unreadable.

    It may be as it was pasted: what is left out is in no code, so that none becomes another one.
    """
    found = re.sub(r"[\s-]", "", pasted.bare(pasted.cleaned(code)))
    # In upper case, some letters of other scripts are those of a code.
    if not (found.isascii() and is_code(found.upper())):
        raise Unreadable(FailureCode.INVITE_CODE_UNREADABLE)
    return found.upper()


def is_link(text: str) -> bool:
    """Whether a text is to be read as a link, or what is left of one, rather than as a code."""
    return _LOOKS_LIKE_A_LINK.search(pasted.cleaned(text)) is not None


@dataclass(frozen=True)
class InviteLink:
    """An invite to the service at `url`; `for_me` makes another device of the inviter."""

    url: str
    code: str = field(repr=False)
    secret: InviteSecret
    for_me: bool = False

    def __post_init__(self) -> None:
        """Raises Unreadable for a service that no link can name."""
        object.__setattr__(self, "url", self.url.rstrip("/"))
        object.__setattr__(self, "code", canonical(self.code))
        if not _is_address(self.url):
            raise Unreadable(FailureCode.LINK_ADDRESS_NOT_POSSIBLE)

    @property
    def text(self) -> str:
        """The link itself, for installed clients: a device that has it can join.

        Of a service on this machine the scheme stands for http.
        """
        scheme, _, _ = self.url.partition("://")
        is_usual = scheme == _scheme(urlsplit(self.url).hostname or "")
        return self.web.replace(scheme, "draugar", 1) if is_usual else self.web

    @property
    def web(self) -> str:
        """The same link as one that a browser opens, too."""
        # Not behind a `?`: shells take that for a pattern.
        mark = ".me" if self.for_me else ""
        return f"{self.url}/join#{self.code}.{self.secret.text}{mark}"

    @classmethod
    def parse(cls, text: str) -> "InviteLink":
        """Read a link exactly as docs/protocol.md writes it. Raises Unreadable."""
        found = _EXACT.fullmatch(text)
        if found is None:
            raise Unreadable
        return cls._of(found, found["secret"], url=_service(found))

    @classmethod
    def paste(cls, text: str, *, url: str | None = None) -> "InviteLink":
        """Read a link as it was pasted: wrapped, quoted, or within a sentence.

        `url` is the service of one whose front is missing. Raises Unreadable.
        """
        found = _find(pasted.cleaned(text).replace("\\", ""))
        scheme = found.groupdict().get("scheme")
        if found["host"] and (scheme or not url or url.partition("://")[2] != _place(found)):
            url = _service(found)
        if not url:
            raise Unreadable(FailureCode.LINK_WITHOUT_SERVICE)
        whole = _SECRET.fullmatch(found["secret"])
        return cls._of(found, whole[1] if whole else found["secret"], url=url)

    @classmethod
    def _of(cls, found: re.Match[str], ending: str, *, url: str) -> "InviteLink":
        try:
            secret = InviteSecret.read(ending)
        except NotAuthentic:
            raise Unreadable(FailureCode.LINK_DAMAGED) from None
        for_me = found["for_me"] is not None or found["me"] is not None
        return cls(url=url, code=found["code"], secret=secret, for_me=for_me)


def _is_address(url: str) -> bool:
    """Whether this is the address of a service in its one form, but for capital letters in it."""
    with suppress(AddressNotSafe):
        return service_url(url).lower() == url.lower() and url.startswith("http")
    return False


def _place(found: re.Match[str]) -> str:
    return f"{found['host']}{found['port'] or ''}{found['prefix']}"


def _service(found: re.Match[str]) -> str:
    """Return the address of the service that a link names."""
    scheme = (found.groupdict().get("scheme") or "draugar").lower()
    front = _scheme(found["host"]) if scheme == "draugar" else scheme
    return f"{front}://{_place(found)}"


def _find(text: str) -> re.Match[str]:
    """Find the one link in a text. Raises Unreadable."""
    lines = pasted.lines(text)
    found = [link for start, _ in enumerate(lines) for link in _beginning(lines[start:])]
    if len({link[0] for link in found}) > 1:
        raise Unreadable(FailureCode.SEVERAL_LINKS)
    if found:
        return found[0]
    joined = pasted.bare("".join("".join(lines).split()), keep="-_?#")
    link = _LINK.search(joined)
    link = link if link and link.end() == len(joined) else None
    link = link or _TAIL.fullmatch(joined) or _LINK.search("".join(lines))
    if link is None:
        raise Unreadable
    return link


def _beginning(lines: list[str]) -> list[re.Match[str]]:
    """Return the links that begin in the first line, from as many lines as they take."""
    for end in range(1, min(len(lines), _MOST_LINES) + 1):
        links = list(_LINK.finditer("".join(lines[:end])))
        if whole := [link for link in links if _SECRET.fullmatch(link["secret"])]:
            return [_to_its_end(link, lines[end:]) for link in whole]
    return []


def _to_its_end(link: re.Match[str], following: list[str]) -> re.Match[str]:
    """Return a link together with its `.me`, where that is wrapped over the lines that follow.

    A line that goes on after it is a sentence, unless it begins with the dot.
    """
    tail = link.string[link.end() :]
    if link["me"] or not ".me".startswith(tail.lower()):
        return link
    is_cut = bool(tail)
    for line in following:
        tail += line
        if len(tail) >= len(".me"):
            break
        is_cut = True
    end = r"[\W_]*$" if is_cut else _NO_WORD
    if re.match(rf"(?i:\.me){end}", tail) is None:
        return link
    return _LINK.match(link.string[: link.end()] + tail, link.start()) or link


def _scheme(host: str) -> str:
    return "http" if is_local(host) else "https"
