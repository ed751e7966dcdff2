"""What a home of layout 2 knows, carried over into the states of form 2: upgrade 3, after its SQL.

It runs inside the transaction of that upgrade, once for each home.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

from draugar.protocol.json import from_base64url
from draugar.protocol.secrets import DeviceKey, GroupKey, Secret
from draugar.storage import groups
from draugar.storage.home import Home
from draugar.trust.migration import (
    FormerDevice,
    FormerGroup,
    FormerHome,
    FormerLink,
    FormerSource,
    migrated,
)
from draugar.trust.values import State

_EPOCH_DAY = date(1970, 1, 1).toordinal()


def run(home: Home) -> None:
    """Write the states of the groups of a joined home, and seal whose it is."""
    me = home.row("SELECT * FROM me")
    identity = home.seal_identity(me["url"], me["user_id"], me["device_id"])
    home.do("UPDATE me SET identity = :identity", identity=identity)
    for state in _states(home, me):
        groups.keep_state(home, state, revision=1)


def _states(home: Home, me: Any) -> tuple[State, ...]:
    former = FormerHome(
        user_id=UUID(me["user_id"]),
        device_id=UUID(me["device_id"]),
        key=DeviceKey(home.unseal(me["device_key"])),
        name=me["name"],
        is_further=bool(me["is_further"]),
        groups=tuple(_group(home, row) for row in home.rows("SELECT * FROM groups ORDER BY id")),
        met={
            UUID(name): date.fromisoformat(day).toordinal() - _EPOCH_DAY
            for name, day in home.recall_all("own ").items()
        },
    )
    return migrated(former)


def _rows(home: Home, table: str, group_id: str) -> list[Any]:
    statement = f"SELECT * FROM {table} WHERE group_id = :group"  # noqa: S608 -- of this file
    return home.rows(statement, group=group_id)


def _group(home: Home, row: Any) -> FormerGroup:
    id_ = row["id"]
    return FormerGroup(
        group_id=UUID(id_),
        highest=row["highest_version"],
        attempted=row["attempted_version"],
        compromised=row["burnt_version"],
        keys={
            one["version"]: (GroupKey(home.unseal(one["key"])), one["accepted_at"])
            for one in _rows(home, "keys", id_)
        },
        devices=tuple(_device(one) for one in _rows(home, "trust", id_)),
        compared={UUID(one["user_id"]): one["keys"] for one in _rows(home, "compared", id_)},
        links=tuple(_links(home, _rows(home, "invites", id_))),
    )


def _device(row: Any) -> FormerDevice:
    return FormerDevice(
        device_id=UUID(row["device_id"]),
        user_id=UUID(row["user_id"]),
        name=row["name"],
        public_key=row["public_key"],
        source=FormerSource(row["how"]),
        version=row["version"],
        vouched_by=row["vouched_by"] and UUID(row["vouched_by"]),
        ended=row["ended"],
        ended_version=row["ended_version"],
    )


def _links(home: Home, rows: list[Any]) -> Iterator[FormerLink]:
    for row in rows:
        kept = home.unseal_json(row["proof"])
        yield FormerLink(
            id=UUID(row["id"]),
            for_me=bool(row["for_me"]),
            proof_key=Secret(from_base64url(kept["key"])),
            code=kept["code"],
            expires_at=row["expires_at"],
            device_id=row["device_id"] and UUID(row["device_id"]),
        )
