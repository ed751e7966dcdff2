"""All that knows HTTP. Only routes and app.py import it."""

from chalicelib.web.contract import Access
from chalicelib.web.endpoint import Application, endpoint, gateway
from chalicelib.web.request import address
from chalicelib.web.shapes import (
    Answer,
    InvalidFields,
    Moment,
    Name,
    Opaque,
    Optional,
    Request,
    Uuid,
    Whole,
    bytes_schema,
    to_base64,
)

__all__ = [
    "Access",
    "Answer",
    "Application",
    "InvalidFields",
    "Moment",
    "Name",
    "Opaque",
    "Optional",
    "Request",
    "Uuid",
    "Whole",
    "address",
    "bytes_schema",
    "endpoint",
    "gateway",
    "to_base64",
]
