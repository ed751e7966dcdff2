"""The shapes of the contract itself."""

from typing import Any

from pydantic import ConfigDict, RootModel

from chalicelib.docs.page import STYLE_HASH
from chalicelib.web import Answer

# The same for everybody until the next release; the ETag makes asking again cheap.
_KEPT = {"Cache-Control": "public, max-age=300"}


class OpenApiAnswer(Answer, RootModel[dict[str, Any]]):
    """An OpenAPI document."""

    headers = _KEPT
    model_config = ConfigDict(json_schema_extra={"examples": [{"openapi": "3.1.0"}]})


class MarkdownAnswer(Answer, RootModel[str]):
    """A document in Markdown."""

    media_type = "text/markdown; charset=utf-8"
    headers = _KEPT
    model_config = ConfigDict(json_schema_extra={"examples": ["# Errors"]})

    def text(self) -> str:
        """Return the document as it goes out."""
        return self.root


class VectorsAnswer(Answer, RootModel[dict[str, Any]]):
    """Inputs and results of each function of the protocol."""

    headers = _KEPT
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"about": "Test vectors of docs/protocol.md"}]}
    )


class PageAnswer(Answer, RootModel[str]):
    """A page for people."""

    media_type = "text/html; charset=utf-8"
    headers = _KEPT | {
        "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; style-src 'sha256-{STYLE_HASH}'"
    }
    model_config = ConfigDict(json_schema_extra={"examples": ["<!doctype html>"]})

    def text(self) -> str:
        """Return the page as it goes out."""
        return self.root
