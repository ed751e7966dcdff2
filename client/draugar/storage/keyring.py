"""The keys of one group that this device holds, and what it knows of their versions.

Keys are kept for reading what was sealed under them. Only the highest seals, and only while nobody
who has gone may know it.
"""

import time
from datetime import UTC, datetime
from uuid import UUID

from draugar.protocol.secrets import GroupKey
from draugar.storage.home import Home


class Keyring:
    """The keys of one group."""

    def __init__(self, home: Home, group_id: UUID) -> None:
        self._home = home
        self._group_id = group_id

    @property
    def highest(self) -> int:
        """The highest version that was ever accepted; 0 when none was."""
        return self._number("highest_version")

    @property
    def is_burnt(self) -> bool:
        """Whether somebody who has gone may know the highest version."""
        return 0 < self.highest <= self._number("burnt_version")

    @property
    def is_keyed(self) -> bool:
        """Whether the group has a key, whatever the service says."""
        return self.highest > 0 or self._number("has_key") > 0

    def key(self, version: int) -> GroupKey | None:
        """Return the key of a version, if it is held."""
        found = self._home.row(
            "SELECT key FROM keys WHERE group_id = :group AND version = :version",
            group=self._group_id,
            version=version,
        )
        return found and GroupKey(self._home.unseal(found["key"]))

    def versions(self) -> list[int]:
        """Return the versions that are held, ascending."""
        rows = self._home.rows(
            "SELECT version FROM keys WHERE group_id = :group ORDER BY version",
            group=self._group_id,
        )
        return [row["version"] for row in rows]

    def holds(self, key: GroupKey) -> bool:
        """Whether a key is held already, of whatever version and group."""
        rows = self._home.rows("SELECT key FROM keys")
        return any(GroupKey(self._home.unseal(row["key"])) == key for row in rows)

    def accept(self, version: int, key: GroupKey) -> None:
        """Hold a key. Of a version lower than the highest it is for reading only."""
        with self._home.transaction():
            self._home.do(
                "INSERT OR IGNORE INTO keys VALUES (:group, :version, :key, :now)",
                group=self._group_id,
                version=version,
                key=self._home.seal(key.value),
                now=time.time(),
            )
            self._raise("highest_version", version)

    def attempt(self, version: int) -> None:
        """Note, before it is sent, that this device tries to make a version."""
        self._raise("attempted_version", version)

    @property
    def at_risk(self) -> int:
        """The highest version that anybody may know who was trusted until now."""
        # The service may show an attempt later that it has pretended to refuse.
        return max(self.highest, self._number("attempted_version"))

    def mark_compromised(self, version: int) -> None:
        """Note that somebody who has gone may know this version, and those below it."""
        self._raise("burnt_version", version)

    def superseded_at(self, version: int) -> float | None:
        """Return when this device first held a higher version, in seconds of Unix time."""
        found = self._home.row(
            "SELECT min(accepted_at) AS at FROM keys"
            " WHERE group_id = :group AND version > :version",
            group=self._group_id,
            version=version,
        )
        return None if found["at"] is None else float(found["at"])

    def changed_at(self) -> datetime | None:
        """Return when this device first held the highest version, unless that is its first."""
        at = self.superseded_at(self.highest - 1)
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def _number(self, column: str) -> int:
        found = self._home.row(
            f"SELECT {column} AS number FROM groups WHERE id = :group",  # noqa: S608 -- of ours
            group=self._group_id,
        )
        return 0 if found is None else int(found["number"])

    def _raise(self, column: str, value: int) -> None:
        self._home.do(
            f"UPDATE groups SET {column} = max({column}, :value) WHERE id = :group",  # noqa: S608 -- of ours
            group=self._group_id,
            value=value,
        )
