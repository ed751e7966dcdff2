"""What people pass to each other so that somebody can join: a code, or a link that holds one.

The secret stands behind the `#` of a scheme that only clients open, so that no web server is ever
asked for a page with it.
"""

import re
import secrets
from dataclasses import dataclass, field

from draugar.crypto import InviteSecret, NotAuthentic

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1, which people take for one another."""

_CODE = re.compile(f"[{ALPHABET}]{{8}}|[{ALPHABET}]{{16,32}}")
_LAST_PORT = 65535
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_SERVICE = (
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?"
    r"(?P<prefix>(?:/(?!\.+(?:/|$))[A-Za-z0-9._~-]+)*)"
)
_URL = re.compile(rf"(?P<scheme>https?)://{_SERVICE}/?")
_LINK = re.compile(
    rf"draugar://{_SERVICE}/join(?P<for_me>\?me)?#(?P<code>[A-Za-z0-9-]+)\.(?P<secret>[\w-]+)",
    re.ASCII,
)


class Unreadable(Exception):
    """What was typed or scanned is no code, or no link. The text never repeats it."""


def make_code() -> str:
    """Make the code of a link: 16 characters, 80 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(16))


def canonical(code: str) -> str:
    """Return a code as it is hashed: upper case, no spaces or hyphens. Raises Unreadable."""
    found = re.sub(r"[\s-]", "", code).upper()
    if _CODE.fullmatch(found) is None:
        raise Unreadable("This is not an invite code: one has 8 letters and digits, or 16 to 32.")
    return found


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
        service = _URL.fullmatch(self.url)
        if (
            service is None
            or service["scheme"] != _scheme(service["host"])
            or int((service["port"] or ":1")[1:]) > _LAST_PORT
        ):
            raise Unreadable(
                "A link leads to https://host, with a port and a path if need be, "
                "or to http:// on this machine."
            )

    @property
    def text(self) -> str:
        """The link itself. Whoever has it is in."""
        place = self.url.partition("://")[2]
        mark = "?me" if self.for_me else ""
        return f"draugar://{place}/join{mark}#{self.code}.{self.secret.text}"

    @classmethod
    def parse(cls, text: str) -> "InviteLink":
        """Read a link; raises Unreadable."""
        found = _LINK.fullmatch(text.strip())
        if found is None:
            raise Unreadable("This is not an invite link.")
        try:
            secret = InviteSecret.read(found["secret"])
        except NotAuthentic:
            raise Unreadable("The end of this invite link is missing or damaged.") from None
        return cls(
            url=f"{_scheme(found['host'])}://{found['host']}{found['port'] or ''}{found['prefix']}",
            code=found["code"],
            secret=secret,
            for_me=found["for_me"] is not None,
        )


def _scheme(host: str) -> str:
    return "http" if host.lower() in _LOOPBACK else "https"
