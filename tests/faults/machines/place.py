"""Where a machine works: a database of its own, the service on it, and an operator beside."""

import io
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from typing import Any

from chalicelib.db import engine
from scripts.postgres import Postgres
from tests.api import UNSET, Api, Reply
from tests.database import connect
from tests.faults.processes import invoke
from tests.servers import serving

# The rest goes with these.
EMPTY = [
    "DELETE FROM groups",
    "DELETE FROM users",
    "DELETE FROM invite_codes",
    "DELETE FROM rate_limits",
]
LIMITED = {"/api/auth/join", "/api/groups/join", "/api/invites", "/api/invites/validate"}
STATE = """
    SELECT json_build_object(
        'people', (SELECT COALESCE(json_object_agg(id, name), '{}') FROM users),
        'devices', (SELECT COALESCE(json_object_agg(id, json_build_array(
            user_id, encode(public_key, 'hex'), revoked_at IS NULL)), '{}') FROM devices),
        'groups', (SELECT COALESCE(json_object_agg(id, json_build_array(
            name, encryption, retention_days, key_version, rotation_required)), '{}') FROM groups),
        'members', (SELECT json_agg(json_build_array(group_id, user_id, role))
            FROM group_members),
        'invites', (SELECT COALESCE(json_object_agg(id, json_build_array(
            group_id, created_by, for_creator, used_at IS NOT NULL, used_by, used_by_device_id,
            revoked_at IS NOT NULL, encode(key_package, 'hex'), key_version,
            idempotency_hash IS NOT NULL, encode(join_proof, 'hex'))), '{}') FROM invite_codes),
        'versions', (SELECT json_agg(json_build_array(
            group_id, key_version, encode(commitment, 'hex'), encode(roster, 'hex')))
            FROM group_keys),
        'envelopes', (SELECT json_agg(json_build_array(
            group_id, key_version, user_id, device_id, encode(wrapped_key, 'hex'),
            wrapper_device_id, encode(wrapper_public_key, 'hex'), encode(roster_entry, 'hex')))
            FROM key_envelopes),
        'points', (SELECT json_agg(json_build_array(
            group_id, user_id, device_id, id, latitude, encode(encrypted_data, 'hex'),
            key_version)) FROM locations)
    )
"""
# What no order of operations may leave behind, said without the model.
NEVER = {
    "a person whom no device has ever acted for": """
        SELECT FROM users WHERE NOT EXISTS (SELECT FROM devices WHERE user_id = users.id)""",
    "a group without an admin": """
        SELECT FROM groups WHERE NOT EXISTS (
            SELECT FROM group_members WHERE group_id = groups.id AND role = 'admin')""",
    "a live invite of somebody who is not in the group": """
        SELECT FROM invite_codes i WHERE used_at IS NULL AND revoked_at IS NULL
        AND group_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM group_members m WHERE m.group_id = i.group_id AND user_id = created_by)""",
    "a key package that nobody may have any more": """
        SELECT FROM invite_codes i JOIN groups g ON g.id = group_id WHERE key_package IS NOT NULL
        AND (used_at IS NOT NULL OR revoked_at IS NOT NULL OR rotation_required
            OR i.key_version <> g.key_version)""",
    "a point of somebody who is not in its group": """
        SELECT FROM locations l WHERE NOT EXISTS (SELECT FROM group_members m
            WHERE m.group_id = l.group_id AND m.user_id = l.user_id)""",
    "a point under a key that its group never had": """
        SELECT FROM locations l WHERE key_version IS NOT NULL AND NOT EXISTS (
            SELECT FROM group_keys k
            WHERE k.group_id = l.group_id AND k.key_version = l.key_version)""",
    "an envelope of somebody who is not in its group": """
        SELECT FROM key_envelopes e WHERE NOT EXISTS (SELECT FROM group_members m
            JOIN devices d ON d.user_id = m.user_id
            WHERE m.group_id = e.group_id AND m.user_id = e.user_id AND d.id = e.device_id)""",
    "an envelope without a row that says that it was given": """
        SELECT FROM key_envelopes e WHERE NOT EXISTS (
            SELECT FROM given_keys g WHERE g.device_id = e.device_id
            AND g.group_id = e.group_id AND g.key_version = e.key_version)""",
    "an envelope for a device without a public key": """
        SELECT FROM key_envelopes e JOIN devices d ON d.id = device_id
        WHERE public_key IS NULL""",
    "a group whose version is not that of its newest key": """
        SELECT FROM groups g WHERE key_version <> COALESCE(
            (SELECT max(key_version) FROM group_keys WHERE group_id = g.id), 0)""",
}  # fmt: skip -- what, and where it would be
# Everything is moved into the past by as much, instead of the clock into the future. The time of
# a point is in its id.
AGE = [
    # Past the triggers, such as that which keeps a code's use where it was.
    "SET LOCAL session_replication_role = replica",
    """
    UPDATE invite_codes SET created_at = created_at - span, expires_at = expires_at - span,
        used_at = used_at - span, revoked_at = revoked_at - span
    FROM (SELECT CAST(:span AS interval) AS span) AS passed
    """,
    """
    UPDATE group_members SET joined_at = joined_at - span,
        sharing_resumes_at = sharing_resumes_at - span
    FROM (SELECT CAST(:span AS interval) AS span) AS passed
    """,
    """
    UPDATE locations SET recorded_at = recorded_at - span, received_at = received_at - span,
        id = (
            lpad(to_hex(
                ('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint - :milliseconds
            ), 12, '0') || substr(translate(id::text, '-', ''), 13)
        )::uuid
    FROM (SELECT CAST(:span AS interval) AS span) AS passed
    """,
]
# As many months as points may be old by then: what no group keeps so long has been dropped.
ROOM = [
    "INSERT INTO groups (name, retention_days) VALUES ('Room', :days)",
    "SELECT make_location_partitions()",
    "DELETE FROM groups WHERE name = 'Room'",
]
OF_THE_SERVICE = """
    FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'draugar'
"""


class Place:
    """A database, and what can happen to the service's way to it."""

    def __init__(self, url: str, postgres: Postgres | None = None) -> None:
        self._url = url
        self._postgres = postgres
        self._operator: Any = None
        self.requests = 0
        self.kills = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve here, and let an operator look in."""
        self._operator = connect(self._url)
        try:
            with serving(self._url):
                yield
        finally:
            self._operator.close()

    @property
    def is_mortal(self) -> bool:
        """Whether the server is this place's own, and may be killed."""
        return self._postgres is not None

    def ask(
        self, token: str | None, method: str, path: str, body: Any = UNSET, **options: Any
    ) -> Reply:
        """Send a request, with room in every bucket: the limiter has tests of its own."""
        if method == "POST" and path in LIMITED:
            self.run("DELETE FROM rate_limits")
        self.requests += 1
        with redirect_stdout(io.StringIO()):
            reply = Api(token).call(method, path, body, **options)
        assert reply.status < 500, f"{method} {path}: {reply.text}"
        return reply

    def invoke(self, job: str) -> dict[str, Any]:
        """Run a job, as its schedule would."""
        with redirect_stdout(io.StringIO()):
            return invoke(job)

    def run(self, statement: str, **parameters: Any) -> Any:
        """Run a statement as an operator would."""
        return self._operator.run(statement, **parameters)

    def state(self) -> dict[str, Any]:
        """Return all that is stored."""
        ((found,),) = self.run(STATE)
        return {
            name: rows if isinstance(rows, dict) else sorted(map(str, rows or []))
            for name, rows in found.items()
        }

    def impossible(self) -> list[str]:
        """Return what is there that must never be."""
        each = [f"SELECT '{what}' AS what WHERE EXISTS ({it})" for what, it in NEVER.items()]
        return [what for (what,) in self.run(" UNION ALL ".join(each))]

    def empty(self) -> None:
        """Forget everything."""
        for statement in EMPTY:
            self.run(statement)

    def age(self, span: timedelta, *, room: timedelta) -> None:
        """Let so much time have passed; no point is older than `room` by then."""
        days, milliseconds = min(365, room.days + 1), span // timedelta(milliseconds=1)
        self.run("BEGIN")
        try:
            for statement in (*ROOM, *AGE):
                self.run(statement, days=days, span=span, milliseconds=milliseconds)
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def restart(self) -> None:
        """Go on in a new environment, which has no connection and no statement yet."""
        engine.engine().dispose()
        engine.engine.cache_clear()

    def cut(self) -> None:
        """End the service's connections, as a failover does."""
        self.run(f"SELECT pg_terminate_backend(pid) {OF_THE_SERVICE}")
        while self.run(f"SELECT {OF_THE_SERVICE}"):
            time.sleep(0.001)

    def kill(self) -> None:
        """Kill the server and start it again; it has to find all that was answered."""
        assert self._postgres is not None
        self._operator.close()
        os.kill(self._postgres.pid, signal.SIGKILL)
        self._postgres.stop()
        self._postgres.__enter__()
        self._operator = connect(self._url)
        self.kills += 1
