"""The way to PostgreSQL: table base, engine, transactions, and what its errors mean."""

from sqlalchemy.orm import Session

from chalicelib.db.as_json import base64, json_object
from chalicelib.db.statement import Compiled
from chalicelib.db.transaction import OneStatement, one_statement, transaction
from chalicelib.db.wire import round_trips

__all__ = [
    "Compiled",
    "OneStatement",
    "Session",
    "base64",
    "json_object",
    "one_statement",
    "round_trips",
    "transaction",
]
