"""The function that brings the schema up to date. Invoked by hand, by a deploy or by `make run`."""

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib.db import preconditions
from chalicelib.db.engine import migration_engine
from chalicelib.jobs.report import JobFailed, reported
from chalicelib.locations import partitions

# Alembic is no concern of any other function: importing it stays out of their cold start.
if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

blueprint = Blueprint(__name__)


@blueprint.lambda_function(name="migrate")
@reported
def migrate(event: dict[str, Any], context: object) -> dict[str, str | None]:  # noqa: ARG001 -- Lambda's signature
    """Upgrade the schema to the newest revision, grant its rights and make partitions that are due.

    Before its first statement it looks whether the database and the role will do, and fails with a
    sentence if not. Runs that meet queue. It never goes back: a downgrade drops tables, which no
    event should be able to ask for. A schema that a later release has migrated is left unchanged,
    and `note` says so in one line. Answers `{"from": revision or null, "to": revision}`, with
    `note` where there is one.
    """
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    with migration_engine().connect() as connection:
        alembic = configuration(connection)
        try:
            preconditions.check(connection)
            before = revision(connection)
            command.upgrade(alembic, "head")
        except (preconditions.NotUsable, CommandError) as error:
            raise JobFailed(str(error)) from error  # which holds nothing of anybody
        answer = {"from": before, "to": revision(connection)}
        if alembic.attributes.get("schema_is_newer"):
            note = (
                f"The schema is at {answer['to']}, newer than this release. It was left unchanged."
            )
            return answer | {"note": note}
        partitions.make(connection)
        connection.commit()
        return answer


def configuration(connection: "Connection") -> "Config":
    """Return Alembic's configuration for the bundled migrations, run on this connection."""
    from alembic.config import Config  # noqa: PLC0415

    import migrations  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", migrations.__path__[0].replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def revision(connection: "Connection") -> str | None:
    """Return the revision that the schema is at, or None where there is no schema yet."""
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    found = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    return found
