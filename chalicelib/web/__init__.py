"""All that knows HTTP. Only routes and app.py import it."""

from chalicelib.web.contract import Access
from chalicelib.web.endpoint import Application, endpoint, gateway
from chalicelib.web.request import address
from chalicelib.web.shapes import (
    Answer,
    File,
    FormQuery,
    InvalidFields,
    Length,
    Moment,
    Name,
    Opaque,
    Optional,
    Request,
    Uuid,
    Whole,
    of_form,
    to_base64,
)

__all__ = [
    "Access",
    "Answer",
    "Application",
    "File",
    "FormQuery",
    "InvalidFields",
    "Length",
    "Moment",
    "Name",
    "Opaque",
    "Optional",
    "Request",
    "Uuid",
    "Whole",
    "address",
    "endpoint",
    "gateway",
    "of_form",
    "to_base64",
]
