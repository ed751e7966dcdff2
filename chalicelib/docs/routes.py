"""The contract of this API, for programs and for people, and the documents that go with it."""

import json
from functools import cache
from pathlib import Path

from chalice.app import Blueprint

from chalicelib.docs import page
from chalicelib.docs.schemas import MarkdownAnswer, OpenApiAnswer, PageAnswer, VectorsAnswer
from chalicelib.web import Access, endpoint, openapi

WHY_PUBLIC = "a developer has no token, and the contract holds no secret"

# In the bundle the folder has what vendor/docs links to.
_DOCUMENTS = Path(__file__).parents[2] / "docs"

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


@blueprint.route("/api/docs/protocol.md", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True)
def protocol() -> MarkdownAnswer:
    """Give the protocol: what a client seals and signs, and how."""
    return _markdown("protocol.md")


@blueprint.route("/api/docs/errors.md", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True)
def errors() -> MarkdownAnswer:
    """Give the list of error codes, with what a client does on each."""
    return _markdown("errors.md")


@blueprint.route("/api/docs/vectors.json", methods=["GET"])
@endpoint(access=Access.PUBLIC, because=WHY_PUBLIC, etag=True)
def vectors() -> VectorsAnswer:
    """Give the test vectors of the protocol."""
    return _vectors()


# Made or read on the first request for it, to keep cold starts short.
@cache
def _contract() -> OpenApiAnswer:
    return OpenApiAnswer(openapi.document(blueprint.current_app.routes))


@cache
def _page() -> PageAnswer:
    return PageAnswer(page.render(_contract().root))


@cache
def _markdown(name: str) -> MarkdownAnswer:
    return MarkdownAnswer((_DOCUMENTS / name).read_text(encoding="utf-8"))


@cache
def _vectors() -> VectorsAnswer:
    return VectorsAnswer(json.loads((_DOCUMENTS / "vectors.json").read_bytes()))
