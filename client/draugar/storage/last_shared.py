"""What this device has shared last, sealed in its home.

The next position is compared with it: numbers in the wrong order lead far away. The latest fix of a
group is shared with newcomers once more.
"""

from collections.abc import Sequence
from uuid import UUID

from draugar.models import Coordinates, Fix, Located
from draugar.protocol.json import from_base64url, to_base64url
from draugar.storage.home import Home
from draugar.storage.outbox import as_json, from_json

_FACT = "last_shared"
_LATEST = "latest fix "


def recall(home: Home) -> list[Coordinates]:
    """Return it, if there is one."""
    sealed = home.recall(_FACT)
    return [Coordinates(*home.unseal_json(from_base64url(sealed)))] if sealed else []


def remember(home: Home, here: Located) -> None:
    """Keep the position that is shared now, in place of the one before."""
    sealed = home.seal_json([here.latitude, here.longitude])
    home.remember(_FACT, to_base64url(sealed))


def latest(home: Home, group_id: UUID) -> Fix | None:
    """Return the newest fix that a group has of this device, unless points were deleted since."""
    sealed = home.recall(f"{_LATEST}{group_id}")
    return from_json(home.unseal_json(from_base64url(sealed))) if sealed else None


def note_stored(home: Home, group_id: UUID, fixes: Sequence[Fix]) -> None:
    """Note what the service has stored of a group; in a transaction."""
    known = latest(home, group_id)
    newest = max([*fixes, *([known] if known else [])], key=lambda fix: fix.at, default=None)
    if newest is not None and newest != known:
        home.remember(f"{_LATEST}{group_id}", to_base64url(home.seal_json(as_json(newest))))


def forget(home: Home, group_id: UUID) -> None:
    """Forget the latest fix of a group: it is not to be shared again."""
    home.forget(f"{_LATEST}{group_id}")
