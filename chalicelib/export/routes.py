"""Export: all that is stored about the caller."""

from chalice.app import Blueprint

from chalicelib.auth import Credential
from chalicelib.db import one_statement
from chalicelib.export import service
from chalicelib.export.schemas import ExportAnswer, ExportQuery
from chalicelib.web import Access, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/export", methods=["GET"])
@endpoint(access=Access.APP)
def export(credential: Credential, query: ExportQuery) -> ExportAnswer:
    """Give me all that is stored about me, my points in pages."""
    with one_statement() as connection:
        everything = service.export(
            connection, credential=credential, after=query.after(), limit=query.limit
        )
    return ExportAnswer.of(everything)
