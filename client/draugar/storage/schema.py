"""The layout of a home's database, as numbered upgrades.

`user_version` of the database is the number of the last upgrade that it has had. A new home has
them all, one after the other, so there is one way to the present layout. An upgrade is never
changed once it is released: add another one at the end.
"""

from collections.abc import Sequence

from draugar.errors import FailureCode, HomeUnusable

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE me (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    url TEXT NOT NULL, user_id TEXT NOT NULL, name TEXT NOT NULL, device_id TEXT NOT NULL,
    token BLOB NOT NULL, device_key BLOB NOT NULL,
    is_further INTEGER NOT NULL  -- device of somebody who had one
);
CREATE TABLE joining (only INTEGER PRIMARY KEY CHECK (only = 1), plan BLOB NOT NULL);
CREATE TABLE groups (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    is_member INTEGER NOT NULL DEFAULT 1,
    is_founding INTEGER NOT NULL DEFAULT 0,
    has_key INTEGER NOT NULL DEFAULT 0,            -- by a member's word, before any was accepted
    highest_version INTEGER NOT NULL DEFAULT 0,    -- that was ever accepted
    attempted_version INTEGER NOT NULL DEFAULT 0,  -- that this device ever tried to make
    burnt_version INTEGER NOT NULL DEFAULT 0,      -- somebody who has gone may know up to this one
    counter INTEGER NOT NULL DEFAULT 0             -- of this device's own points
) WITHOUT ROWID;
CREATE TABLE packages (group_id TEXT PRIMARY KEY REFERENCES groups, plan BLOB NOT NULL)
    WITHOUT ROWID;
CREATE TABLE keys (
    group_id TEXT NOT NULL REFERENCES groups, version INTEGER NOT NULL,
    key BLOB NOT NULL, accepted_at REAL NOT NULL,
    PRIMARY KEY (group_id, version)
) WITHOUT ROWID;
CREATE TABLE trust (
    group_id TEXT NOT NULL REFERENCES groups, device_id TEXT NOT NULL,
    user_id TEXT NOT NULL, name TEXT NOT NULL, public_key BLOB NOT NULL,
    how TEXT NOT NULL, version INTEGER NOT NULL, vouched_by TEXT,
    ended TEXT, ended_version INTEGER,
    PRIMARY KEY (group_id, device_id)
) WITHOUT ROWID;
CREATE TABLE compared (
    group_id TEXT NOT NULL REFERENCES groups, user_id TEXT NOT NULL, keys BLOB NOT NULL,
    PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;
CREATE TABLE invites (
    id TEXT PRIMARY KEY, group_id TEXT NOT NULL REFERENCES groups, proof BLOB NOT NULL,
    for_me INTEGER NOT NULL, expires_at REAL NOT NULL, device_id TEXT
) WITHOUT ROWID;
CREATE TABLE outbox (
    id TEXT PRIMARY KEY, group_id TEXT NOT NULL REFERENCES groups,
    counter INTEGER NOT NULL, fix BLOB NOT NULL,
    UNIQUE (group_id, counter)
) WITHOUT ROWID;
CREATE TABLE seen (
    group_id TEXT NOT NULL REFERENCES groups, device_id TEXT NOT NULL,
    key_version INTEGER NOT NULL, counter INTEGER NOT NULL, is_counted INTEGER NOT NULL,
    point_id TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (group_id, device_id)
) WITHOUT ROWID;
CREATE TABLE told (
    kind TEXT NOT NULL, about TEXT NOT NULL, PRIMARY KEY (kind, about)
) WITHOUT ROWID;
"""
_ORDER_BY_TIME = """
-- As the service said last.
ALTER TABLE groups ADD COLUMN retention_days INTEGER;
-- The positions that were shown last, sealed.
ALTER TABLE groups ADD COLUMN last_known BLOB;
-- When a device was at the newest position that was seen of it.
ALTER TABLE seen ADD COLUMN fix_at REAL NOT NULL DEFAULT 0;
-- Of a counted point only the time of queueing was kept. It is never earlier, and gives way to the
-- point's own time when the point is read again.
UPDATE seen SET fix_at = CASE WHEN is_counted THEN at ELSE counter END;
DELETE FROM facts WHERE name = 'last_id';
"""
_TRUST_SEALED = """
-- Whom this device trusts and its keys, sealed as one value of each group.
CREATE TABLE states (
    group_id TEXT PRIMARY KEY REFERENCES groups, revision INTEGER NOT NULL, state BLOB NOT NULL
) WITHOUT ROWID;
-- Whose home it is and at which service, sealed.
ALTER TABLE me ADD COLUMN identity BLOB;
"""
_TRUST_CARRIED_OVER = """
DROP TABLE keys;
DROP TABLE trust;
DROP TABLE compared;
DROP TABLE invites;
ALTER TABLE groups DROP COLUMN highest_version;
ALTER TABLE groups DROP COLUMN attempted_version;
ALTER TABLE groups DROP COLUMN burnt_version;
"""
UPGRADES: Sequence[str] = (_TABLES, _ORDER_BY_TIME, _TRUST_SEALED, _TRUST_CARRIED_OVER)
"""Statements, each ended by a semicolon at the end of a line."""
CARRIED_OVER = 3
"""After this one `storage.carry_over` writes the new tables from the former ones."""


def missing(layout: int) -> Sequence[tuple[int, str]]:
    """Return the upgrades, with their numbers, that a database of a layout has not had.

    Raises HomeUnusable for a layout that this client does not know.
    """
    if not 0 <= layout <= len(UPGRADES):
        raise HomeUnusable(FailureCode.HOME_OF_NEWER_VERSION)
    return list(enumerate(UPGRADES, start=1))[layout:]
