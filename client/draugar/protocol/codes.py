"""Invite codes in their canonical form: upper case, without blanks and hyphens."""

import re
import secrets

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1, which people take for one another."""

_CODE = re.compile(f"[{ALPHABET}]{{8}}|[{ALPHABET}]{{16,32}}")


def make_code() -> str:
    """Make the code of a link: 16 characters, 80 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(16))


def is_code(text: str) -> bool:
    """Whether a text is a code in its canonical form: 8 characters, or 16 to 32."""
    return _CODE.fullmatch(text) is not None
