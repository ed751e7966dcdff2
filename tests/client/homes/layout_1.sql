-- A home as version 1.0.0 of the client made it, in layout 1. Never change it.
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE me (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    url TEXT NOT NULL, user_id TEXT NOT NULL, name TEXT NOT NULL, device_id TEXT NOT NULL,
    token BLOB NOT NULL, device_key BLOB NOT NULL,
    is_further INTEGER NOT NULL
);
CREATE TABLE joining (only INTEGER PRIMARY KEY CHECK (only = 1), plan BLOB NOT NULL);
CREATE TABLE groups (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    is_member INTEGER NOT NULL DEFAULT 1,
    is_founding INTEGER NOT NULL DEFAULT 0,
    has_key INTEGER NOT NULL DEFAULT 0,
    highest_version INTEGER NOT NULL DEFAULT 0,
    attempted_version INTEGER NOT NULL DEFAULT 0,
    burnt_version INTEGER NOT NULL DEFAULT 0,
    counter INTEGER NOT NULL DEFAULT 0
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
PRAGMA user_version = 1;
