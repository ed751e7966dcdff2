"""The options of `make host`, from the environment."""

import os
import re
import sys
from typing import NamedTuple
from urllib.parse import urlsplit

from scripts.host.gateway import Network, networks
from scripts.host.server import Address


class Options(NamedTuple):
    """What the environment says, besides DATA_DIR and the database."""

    listen: Address
    public_url: str | None
    trusted: list[Network]

    @classmethod
    def read(cls) -> "Options":
        """Read the environment. Raises SystemExit, with one line that says what to correct."""
        try:
            listen = Address.parse(os.environ.get("LISTEN") or "127.0.0.1:8000")
        except ValueError:
            sys.exit("LISTEN must be an address and a port, as 127.0.0.1:8000, or unix:/a/path.")
        try:
            trusted = networks(os.environ.get("TRUSTED_PROXIES", ""))
        except ValueError:
            sys.exit(
                "TRUSTED_PROXIES must be addresses or networks, separated by commas, such as"
                " 127.0.0.1,10.0.0.0/8."
            )
        return cls(listen, _public_url(os.environ.get("PUBLIC_URL", "").strip()), trusted)

    @property
    def url(self) -> str:
        """The address to give to clients."""
        return self.public_url or str(self.listen)


def _public_url(text: str) -> str | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
        is_good = (
            parts.scheme == "https"
            and parts.hostname is not None
            and re.fullmatch(r"[\w.\-:]+", parts.hostname) is not None
            and parts.username is None
            and parts.port != 0
            and parts.path in ("", "/")
            and not re.search(r"[?#\s]", text)
        )
    except ValueError:
        is_good = False
    if not is_good:
        sys.exit("PUBLIC_URL must be the address that clients use, as https://family.example.org.")
    return text.rstrip("/")
