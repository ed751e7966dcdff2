"""Liveness and readiness checks."""

from datetime import UTC, datetime

from chalice.app import Blueprint

from chalicelib.db import one_statement
from chalicelib.errors import Unavailable
from chalicelib.health import service
from chalicelib.health.schemas import HealthAnswer, ReadyAnswer
from chalicelib.release import VERSION
from chalicelib.web import Access, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/health", methods=["GET"])
@endpoint(
    access=Access.PUBLIC, because="it says that this process runs, and of which release it is"
)
def health() -> HealthAnswer:
    """Say that the process runs, and of which release it is; the database is not asked."""
    return HealthAnswer(status="ok", timestamp=datetime.now(UTC), version=VERSION)


@blueprint.route("/api/health/ready", methods=["GET"])
@endpoint(
    access=Access.PUBLIC,
    because="it says that the service can work, and nothing else",
    raises=(
        service.SchemaNotReady,
        service.PartitionMissing,
        service.RowsHidden,
        Unavailable,
    ),
)
def ready() -> ReadyAnswer:
    """Say whether the database is there, with the schema that this release works on."""
    with one_statement() as connection:
        service.check(connection)
    return ReadyAnswer(status="ok", timestamp=datetime.now(UTC))
