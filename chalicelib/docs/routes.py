"""The contract of this API, for programs and for people."""

from functools import cache

from chalice.app import Blueprint

from chalicelib.docs import page
from chalicelib.docs.schemas import OpenApiAnswer, PageAnswer
from chalicelib.web import Access, endpoint, openapi

WHY_PUBLIC = "a developer has no token, and the contract holds no secret"

blueprint = Blueprint(__name__)


@blueprint.route("/api/openapi.json", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True)
def contract() -> OpenApiAnswer:
    """Give the contract as an OpenAPI 3.1 document."""
    return _contract()


@blueprint.route("/api/docs", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True)
def docs() -> PageAnswer:
    """Show the contract as a page, which needs no script and loads nothing."""
    return _page()


# Made when somebody asks first: a cold start has better things to do.
@cache
def _contract() -> OpenApiAnswer:
    return OpenApiAnswer(openapi.document(blueprint.current_app.routes))


@cache
def _page() -> PageAnswer:
    return PageAnswer(page.render(_contract().root))
