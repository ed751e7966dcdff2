"""The invite code: how it looks, how it is read, what is kept of it.

One type for all layers. Everything that is hashed or compared is the canonical form: upper case,
without spaces or hyphens, and without what is around a code that was copied. Nothing is guessed:
what is left out is in no code, so that no code becomes another one.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from chalicelib.characters import pasted

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1, which people take for one another."""

SHORT_LIFE = timedelta(hours=1)
"""As long as a short code may live: 40 bits, and a limiter that allows 20 wrong guesses a second
in all, leave a guesser one chance in 15 million."""

_SHORT, _LONG = 8, 16
_LETTER = f"[{ALPHABET}{''.join(filter(str.isalpha, ALPHABET)).lower()}]"
_CODE = re.compile(rf"{_LETTER}{{{_SHORT}}}|{_LETTER}{{{_LONG},32}}")


@dataclass(frozen=True)
class InviteCode:
    """A code in its canonical form. Its text is never shown by accident."""

    text: str = field(repr=False)

    @property
    def is_short(self) -> bool:
        """Whether it can be guessed at all, so that wrong guesses have to be counted."""
        return len(self.text) == _SHORT

    @property
    def in_groups(self) -> str:
        """The code as people read it to each other: in groups of four."""
        return "-".join(self.text[start : start + 4] for start in range(0, len(self.text), 4))

    @classmethod
    def read(cls, text: str) -> "InviteCode | None":
        """Read what a person typed or pasted; None when it cannot be a code."""
        letters = re.sub(r"[\s-]", "", pasted(text))
        # In this order: other scripts have letters whose upper case is one of the alphabet.
        return cls(letters.upper()) if _CODE.fullmatch(letters) else None

    @classmethod
    def make(cls, life: timedelta | None) -> "InviteCode":
        """Make a code that is as long as its life asks for; None is for ever."""
        length = _SHORT if life is not None and life <= SHORT_LIFE else _LONG
        return cls("".join(secrets.choice(ALPHABET) for _ in range(length)))


def code_hash(code: InviteCode, pepper: bytes) -> bytes:
    """Return the 32 bytes under which a code is found."""
    return _keyed("invite code", code.text, pepper)


def key_hash(idempotency_key: str, pepper: bytes) -> bytes:
    """Return the 32 bytes that are kept of an `Idempotency-Key`."""
    return _keyed("idempotency key", idempotency_key, pepper)


def keyed_address(address: str, pepper: bytes) -> str:
    """Return what stands for an address, so that none is stored.

    Of an IPv6 address the first 64 bits count, for whoever has one has all of its network.
    """
    return _keyed("address", _network(address, 64), pepper).hex()


def keyed_network(address: str, pepper: bytes) -> str | None:
    """Return what stands for an IPv6 address and its neighbours; None for any other address.

    Whoever asks for 65,536 networks gets them, with the same first 48 bits.
    """
    network = _network(address, 48)
    return _keyed("network", network, pepper).hex() if ":" in network else None


def _network(address: str, bits: int) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    # An IPv4 address in IPv6 notation shares its first 64 bits with all others.
    return str(parsed.ipv4_mapped or ip_network((parsed, bits), strict=False))


def _keyed(purpose: str, text: str, pepper: bytes) -> bytes:
    return hmac.digest(pepper, f"draugar/{purpose}\0{text}".encode(), hashlib.sha256)
