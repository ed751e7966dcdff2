"""The address of a service: what one may be, and its one form.

An address is bounded by what DNS and the HTTP library take, so that a mistyped one is refused
before anything is kept or sent.
"""

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import idna

from draugar.errors import AddressNotSafe, AddressNotUsable
from draugar.text import pasted

SERVICE = (
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?"
    r"(?P<prefix>(?:/(?!\.+(?:/|$))[A-Za-z0-9._~-]+)*)"
)
"""Host, port and path of a service, as an address and a link name them."""

_ADDRESS = re.compile(rf"(?P<scheme>(?i:https?))://{SERVICE}/?")
_PAGE = re.compile(
    r"/api/(?:docs(?:/[a-z]+\.[a-z]+)?|health(?:/ready)?|openapi\.json)/?(?:[?#].*)?\Z"
)
"""What a browser shows of a service, and so is copied in the place of its address."""
_BEGIN = re.compile(r"(?<![\w/.=?&%@-])https?://", re.IGNORECASE)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LAST_PORT = 65535
_LONGEST_HOST, _LONGEST_LABEL = 253, 63


def service_url(text: str) -> str:
    """Return a service's address, as it was pasted, in one form.

    Of the address of a page of the service, such as `/api/docs`, it is what stands before.

    Raises AddressNotUsable, and AddressNotSafe for one that is neither https nor this machine.
    """
    typed = "".join(pasted.lines(pasted.cleaned(text)))
    if begin := _BEGIN.search(typed):
        typed = typed[begin.start() :]
    # The bracket of an IPv6 address is a part of it.
    typed = pasted.bare(typed, keep="]" if "]" in typed and typed.count("[") else "")
    found = _ADDRESS.fullmatch(_PAGE.sub("", typed).rstrip("/"))
    if found is None:
        raise AddressNotUsable
    scheme, host, port = found["scheme"].lower(), found["host"].lower(), found["port"] or ""
    url = f"{scheme}://{host}{port}{found['prefix']}"
    if not (_is_host(host) and _is_port(port) and _is_decoded(host)):
        raise AddressNotUsable
    if scheme != "https" and not is_local(host):
        raise AddressNotSafe
    return url


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    return host.lower().strip("[]") in _LOOPBACK


def _is_host(host: str) -> bool:
    if host.startswith("["):
        with suppress(ValueError):
            return bool(IPv6Address(host[1:-1]))
        return False
    labels = host.split(".")
    if labels[-1].isdigit():
        with suppress(ValueError):
            return bool(IPv4Address(host))
        return False
    return len(host) <= _LONGEST_HOST and all(
        0 < len(label) <= _LONGEST_LABEL and not label.startswith("-") and not label.endswith("-")
        for label in labels
    )


def _is_port(port: str) -> bool:
    return not port or 0 < int(port[1:]) <= _LAST_PORT


def _is_decoded(host: str) -> bool:
    """Whether the HTTP library takes a host: it decodes a name in another script."""
    with suppress(idna.IDNAError):
        return not host.startswith("xn--") or bool(idna.decode(host))
    return False
