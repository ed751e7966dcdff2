"""The function that brings the schema up to date. Invoked by hand, by a deploy or by `make run`."""

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib.db.engine import migration_engine
from chalicelib.jobs.report import reported

# Alembic is no concern of any other function: importing it stays out of their cold start.
if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

blueprint = Blueprint(__name__)


@blueprint.lambda_function(name="migrate")
@reported
def migrate(event: dict[str, Any], context: object) -> dict[str, str | None]:  # noqa: ARG001 -- Lambda's signature
    """Upgrade the schema to the newest revision and grant its rights; runs that meet queue.

    It never goes back: a downgrade drops tables, which no event should be able to ask for.
    Answers `{"from": revision or null, "to": revision}`.
    """
    from alembic import command  # noqa: PLC0415

    with migration_engine().connect() as connection:
        before = revision(connection)
        command.upgrade(configuration(connection), "head")
        return {"from": before, "to": revision(connection)}


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
