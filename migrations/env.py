"""Run the migrations on the connection that the migrate function hands over.

A schema that a later release has migrated is left as it is, its rights included: each migration is
made so that the release before it works on the result.

Runs that meet queue on an advisory lock. Each asks for it again and again, so that it can tell of a
lock that is not given back: a pooler may have kept it, with a connection of an earlier run.
"""

import time
from contextlib import suppress

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text

LOCK = 0x64726175676172  # "draugar" in ASCII: any number will do that others do not take
LONGEST_WAIT, LONGEST_IDLE = 300, 30  # seconds

HOLDER = text("""
    SELECT pid, state LIKE 'idle%' AND clock_timestamp() - state_change
        > make_interval(secs => :longest_idle) AS is_idle
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) + objid::bigint = :lock
""")


def run_migrations(connection: Connection) -> None:
    """Bring the schema to the revision that was asked for, each migration in its transaction.

    Raises CommandError when another run keeps the lock.
    """
    take_lock(connection)
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '300s'"))
    connection.commit()
    try:
        migrate_under_lock(connection)
    except BaseException:
        # What has failed is what is told. If the connection is gone, so is its lock.
        with suppress(Exception):
            give_lock_back(connection)
        raise
    give_lock_back(connection)


def migrate_under_lock(connection: Connection) -> None:
    """Run what is due, and grant the rights."""
    context.configure(connection=connection, transaction_per_migration=True)
    # Asked under the lock, for the run that was waited for may have been a later release's.
    if is_newer(context.get_context().get_current_revision()):
        context.config.attributes["schema_is_newer"] = True
        return
    with context.begin_transaction():
        context.run_migrations()
    if connection.scalar(text("SELECT to_regproc('grant_rights')")):
        # To roles too that the operator has made since.
        connection.execute(text("SELECT grant_rights()"))
        connection.commit()


def take_lock(connection: Connection) -> None:
    """Wait until no other run holds the lock. Raises CommandError when one keeps it."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
        holder = connection.execute(HOLDER, {"lock": LOCK, "longest_idle": LONGEST_IDLE}).first()
        connection.rollback()
        if holder is not None and (holder.is_idle or time.monotonic() > deadline):
            raise CommandError(
                f"Another run of migrate holds the lock, in the server process {holder.pid}: run"
                " migrate again when it has ended. If none is running, a pooler has kept the lock:"
                f" run SELECT pg_terminate_backend({holder.pid})."
            )
        time.sleep(0.1)


def give_lock_back(connection: Connection) -> None:
    """Give the lock to the next run."""
    connection.rollback()
    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
    connection.commit()


def is_newer(found: str | None) -> bool:
    """Tell whether a later release has migrated the schema. Revisions are numbers."""
    newest = context.script.get_current_head()
    return bool(found and newest and found.isdecimal() and int(found) > int(newest))


run_migrations(context.config.attributes["connection"])
