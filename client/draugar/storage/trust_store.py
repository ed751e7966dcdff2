"""Whom this device trusts in one group, and why. The service has no say in it.

Trust is of a device's public key, and per group: who vouches in one group says nothing in another.
It comes by invite proof, by safety number, or by the roster of somebody trusted. It ends when the
device is gone from the group, when its person is removed, and when somebody trusted makes a new key
and leaves it out: that may be how this device hears of a removal that the service hides. What has
ended does not come back by the service's word, only by a member's.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from draugar.models import TrustSource
from draugar.protocol.rosters import RosterEntry
from draugar.storage.home import Home


class Ended(StrEnum):
    """Why a device is not trusted any more."""

    GONE = "gone"
    """The service lists it no more, or with another key."""
    REMOVED = "removed"
    """By this very member's word, which no roster overrules."""
    LEFT_OUT = "left out"
    """Of a newer key, by somebody trusted."""


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """A device that this one trusts, or did."""

    device_id: UUID
    user_id: UUID
    name: str = field(repr=False)
    public_key: bytes
    how: TrustSource
    version: int
    """Of the key that was the newest when it was last vouched for."""
    vouched_by: UUID | None
    ended: Ended | None

    @property
    def entry(self) -> RosterEntry:
        """It, as this device vouches for it."""
        return RosterEntry(self.user_id, self.name, self.device_id, self.public_key)


class TrustStore:
    """The devices of one group other than this one."""

    def __init__(self, home: Home, group_id: UUID) -> None:
        self._home = home
        self._group_id = group_id
        self._me = home.me()

    def known(self) -> dict[UUID, Trusted]:
        """Every device that is or was trusted, by its id."""
        rows = self._home.rows("SELECT * FROM trust WHERE group_id = :group", group=self._group_id)
        return {known.device_id: known for known in map(_read, rows)}

    def trusted(self) -> dict[UUID, Trusted]:
        """Every device that is trusted, by its id."""
        return {id_: known for id_, known in self.known().items() if known.ended is None}

    def roster(self) -> list[RosterEntry]:
        """This device, and all it vouches for."""
        me = self._me
        own = RosterEntry(me.user_id, me.name, me.device_id, me.device_key.public)
        return [own, *(trusted.entry for trusted in self.trusted().values())]

    def trust(self, entry: RosterEntry, how: TrustSource, *, version: int) -> None:
        """Trust a device on its member's word, or because it proved to hold an invite's secret."""
        if entry.device_id != self._me.device_id:
            self._keep(entry, how, version, vouched_by=None)

    def is_mine(self, entry: RosterEntry) -> bool:
        """Whether a device proved, in whatever group, to be this very member's."""
        return entry.user_id == self._me.user_id and (
            self.own().get(entry.public_key) == entry.device_id
        )

    def own(self) -> dict[bytes, UUID]:
        """The member's other devices, in whatever group they proved it, by their public keys."""
        rows = self._home.rows(
            "SELECT public_key, device_id FROM trust WHERE user_id = :user"
            " GROUP BY public_key, device_id HAVING max(how = :proof) AND count(ended) = 0",
            user=self._me.user_id,
            proof=TrustSource.PROOF,
        )
        return {row["public_key"]: UUID(row["device_id"]) for row in rows}

    def believe(
        self, entries: Iterable[RosterEntry], *, version: int, author: UUID, is_whole: bool
    ) -> list[Trusted]:
        """Believe somebody trusted. Return whom that leaves out.

        `is_whole`: it is the roster of a new version, which names all that its author trusts.
        """
        named = {entry.device_id: entry for entry in entries}
        known = self.known()
        taken_keys = {device.public_key for device in known.values()}
        taken_keys.add(self._me.device_key.public)
        for id_, entry in named.items():
            before = known.get(id_)
            if before is None and id_ != self._me.device_id:
                if entry.public_key not in taken_keys:
                    self._keep(entry, TrustSource.ROSTER, version, vouched_by=author)
            elif before is not None and before.entry.public_key == entry.public_key:
                self._believe_again(before, entry, version, author)
        if not is_whole:
            return []
        left_out = [
            device
            for id_, device in known.items()
            if device.ended is None
            and device.version < version
            and id_ != author
            and (id_ not in named or named[id_].public_key != device.public_key)
        ]
        for device in left_out:
            self.end([device.device_id], Ended.LEFT_OUT, version=version)
        return left_out

    def _believe_again(
        self, before: Trusted, entry: RosterEntry, version: int, author: UUID
    ) -> None:
        if before.user_id != entry.user_id or before.ended is Ended.REMOVED:
            return
        if before.ended is None:
            self._home.do(
                "UPDATE trust SET version = max(version, :version), name = :name"
                " WHERE group_id = :group AND device_id = :device",
                version=version,
                name=entry.name,
                group=self._group_id,
                device=entry.device_id,
            )
        elif version > self._ended_version(before.device_id):
            self._keep(entry, TrustSource.ROSTER, version, vouched_by=author)

    def contradicts(self, roster: Iterable[RosterEntry], *, is_first: bool) -> bool:
        """Whether others know this device as somebody else than the service told it to be.

        It would speak in their name. Whoever is new in a group (`is_first`) stands in no roster
        yet, but for further devices of theirs.
        """
        me, own = self._me, self.own()
        for entry in roster:
            is_this = (entry.user_id, entry.device_id) == (me.user_id, me.device_id)
            has_this_key = entry.public_key == me.device_key.public
            if (has_this_key or entry.device_id == me.device_id) and not (is_this and has_this_key):
                return True
            is_further = me.is_further or entry.public_key in own
            if is_first and entry.user_id == me.user_id and not (is_this or is_further):
                return True
        return False

    def note_compared(self, user_id: UUID, public_keys: Iterable[bytes]) -> None:
        """Note by which keys a person's safety number was compared."""
        self._home.do(
            "INSERT OR REPLACE INTO compared VALUES (:group, :user, :keys)",
            group=self._group_id,
            user=user_id,
            keys=_together(public_keys),
        )

    def is_changed(self, user_id: UUID, public_keys: Iterable[bytes]) -> bool:
        """Whether a person's number was compared when they had other keys."""
        found = self._home.row(
            "SELECT keys FROM compared WHERE group_id = :group AND user_id = :user",
            group=self._group_id,
            user=user_id,
        )
        return found is not None and found["keys"] != _together(public_keys)

    def advance(self, version: int) -> None:
        """Vouch for all that is trusted, in a version that this device has made."""
        self._home.do(
            "UPDATE trust SET version = :version WHERE group_id = :group AND ended IS NULL",
            version=version,
            group=self._group_id,
        )

    def end(self, device_ids: Collection[UUID], why: Ended, *, version: int) -> None:
        """Trust devices no longer."""
        for device_id in device_ids:
            self._home.do(
                "UPDATE trust SET ended = :why, ended_version = :version"
                " WHERE group_id = :group AND device_id = :device",
                why=why,
                version=version,
                group=self._group_id,
                device=device_id,
            )

    def close_links(self) -> None:
        """Know nobody by a link that is still open: whoever has gone may have read it."""
        self._home.do(
            "DELETE FROM invites WHERE group_id = :group AND device_id IS NULL",
            group=self._group_id,
        )

    def _ended_version(self, device_id: UUID) -> int:
        found = self._home.row(
            "SELECT ended_version FROM trust WHERE group_id = :group AND device_id = :device",
            group=self._group_id,
            device=device_id,
        )
        return int(found["ended_version"])

    def _keep(
        self, entry: RosterEntry, how: TrustSource, version: int, *, vouched_by: UUID | None
    ) -> None:
        self._home.do(
            "INSERT OR REPLACE INTO trust VALUES"
            " (:group, :device, :user, :name, :key, :how, :version, :vouched_by, NULL, NULL)",
            group=self._group_id,
            device=entry.device_id,
            user=entry.user_id,
            name=entry.name or "?",  # a roster with an empty name is none
            key=entry.public_key,
            how=how,
            version=version,
            vouched_by=vouched_by,
        )


def _read(row: Any) -> Trusted:
    return Trusted(
        device_id=UUID(row["device_id"]),
        user_id=UUID(row["user_id"]),
        name=row["name"],
        public_key=row["public_key"],
        how=TrustSource(row["how"]),
        version=row["version"],
        vouched_by=row["vouched_by"] and UUID(row["vouched_by"]),
        ended=row["ended"] and Ended(row["ended"]),
    )


def _together(public_keys: Iterable[bytes]) -> bytes:
    return b"".join(sorted(public_keys))
