"""The position that this device has shared last, sealed in its home.

The next one is compared with it: numbers in the wrong order lead far away.
"""

from draugar.models import Coordinates, Located
from draugar.protocol.json import from_base64url, to_base64url
from draugar.storage.home import Home

_FACT = "last_shared"


def recall(home: Home) -> list[Coordinates]:
    """Return it, if there is one."""
    sealed = home.recall(_FACT)
    return [Coordinates(*home.unseal_json(from_base64url(sealed)))] if sealed else []


def remember(home: Home, here: Located) -> None:
    """Keep the position that is shared now, in place of the one before."""
    sealed = home.seal_json([here.latitude, here.longitude])
    home.remember(_FACT, to_base64url(sealed))
