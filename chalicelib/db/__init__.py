"""The way to PostgreSQL: table base, engine, transactions, and what its errors mean."""

from sqlalchemy.orm import Session

from chalicelib.db.statement import Compiled
from chalicelib.db.transaction import OneStatement, one_statement, transaction

__all__ = ["Compiled", "OneStatement", "Session", "one_statement", "transaction"]
