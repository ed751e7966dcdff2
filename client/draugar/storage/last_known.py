"""The positions that `where` showed last, for when the service does not answer.

They are in the home, sealed like all that is secret there, and only of groups one is in.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from draugar.models import Fix, Phone, Position
from draugar.storage.home import Home


@dataclass(frozen=True, kw_only=True)
class LastKnown:
    """Where the members of a group were when the service last answered."""

    group_name: str = field(repr=False)
    as_of: datetime
    positions: list[Position]


def keep(home: Home, group_id: UUID, positions: list[Position]) -> None:
    """Keep positions as the last known ones of a group."""
    said = {
        "as_of": datetime.now(UTC).isoformat(),
        "positions": [asdict(position) for position in positions],
    }
    home.do(
        "UPDATE groups SET last_known = :sealed WHERE id = :id",
        sealed=home.seal(json.dumps(said, default=str).encode()),  # ids and times as text
        id=group_id,
    )


def find(home: Home, name_or_id: str | UUID | None) -> LastKnown | None:
    """Return what is known of a group, by name or id, or of the only one there is."""
    wanted = str(name_or_id).casefold()
    found = [
        row
        for row in home.rows("SELECT id, name, last_known FROM groups WHERE is_member")
        if name_or_id is None or wanted in (row["name"].casefold(), row["id"])
    ]
    if len(found) != 1 or found[0]["last_known"] is None:
        return None
    said = home.unseal_json(found[0]["last_known"])
    with suppress(KeyError, TypeError, ValueError):  # another version of this client wrote it
        positions = [_position(position) for position in said["positions"]]
        if positions:
            return LastKnown(
                group_name=found[0]["name"],
                as_of=datetime.fromisoformat(said["as_of"]),
                positions=positions,
            )
    return None


def forget(home: Home, group_id: UUID) -> None:
    """Forget what is known of a group."""
    home.do("UPDATE groups SET last_known = NULL WHERE id = :id", id=group_id)


def _position(said: dict[str, Any]) -> Position:
    ids = {name: UUID(said[name]) for name in ("point_id", "group_id", "user_id", "device_id")}
    return Position(
        **said
        | ids
        | {
            "fix": Fix(**said["fix"] | {"at": datetime.fromisoformat(said["fix"]["at"])}),
            "received_at": datetime.fromisoformat(said["received_at"]),
            "phone": said["phone"] and _phone(said["phone"]),
            "silent": tuple(map(_phone, said.get("silent", ()))),
        }
    )


def _phone(said: dict[str, Any]) -> Phone:
    since = said["waits_since"]
    return Phone(
        **said | {"id": UUID(said["id"]), "waits_since": since and datetime.fromisoformat(since)}
    )
