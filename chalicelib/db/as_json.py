"""Rows as JSON, made by the server: what a read brings in one row beside the caller."""

from typing import Any

from sqlalchemy import ColumnElement, Text, func, literal_column


def json_object(**values: Any) -> ColumnElement[Any]:
    """Return a JSON object of these names, which may be those on the wire."""
    pairs: list[Any] = []
    for name, value in values.items():
        pairs += [_text(name), value]
    return func.json_build_object(*pairs)


def base64(bytes_: Any) -> ColumnElement[str]:
    """Return bytes as text, in one line: PostgreSQL breaks lines after 76 characters."""
    return func.translate(
        func.encode(bytes_, _text("base64")), literal_column("chr(10)"), _text("")
    )


def _text(value: str) -> ColumnElement[str]:
    return literal_column(f"'{value}'", Text)
