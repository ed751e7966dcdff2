"""Run the migrations on the connection that the migrate function hands over.

A schema that a later release has migrated is left as it is, its rights included: each migration is
made so that the release before it works on the result.

Runs that meet queue on an advisory lock. It is waited for without a limit, so `lock_timeout`,
which would cut that wait short too, is set only after it.
"""

from alembic import context
from sqlalchemy import Connection, text

LOCK = 0x64726175676172  # "draugar" in ASCII: any number will do that others do not take


def run_migrations(connection: Connection) -> None:
    """Bring the schema to the revision that was asked for, each migration in its transaction."""
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '300s'"))
    connection.commit()
    try:
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
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.commit()


def is_newer(found: str | None) -> bool:
    """Tell whether a later release has migrated the schema. Revisions are numbers."""
    newest = context.script.get_current_head()
    return bool(found and newest and found.isdecimal() and int(found) > int(newest))


run_migrations(context.config.attributes["connection"])
