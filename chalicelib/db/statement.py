"""Statements that are written once and then run as they are."""

from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Select

from chalicelib.db import wire


class Compiled:
    """A statement that is built and written at its first use, and whose rows have names.

    SQLAlchemy finds a statement that it has compiled before by its whole structure, each time; for
    one with half a dozen subqueries that takes longer than the driver needs to run it. What stands
    in a module is the same each time anyway.
    """

    def __init__(self, build: Callable[[], Select[Any]]) -> None:
        self._build = build

    @cached_property
    def _statement(self) -> Select[Any]:
        return self._build()

    @cached_property
    def _compiled(self) -> Any:
        dialect = wire.Dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        return self._statement.compile(dialect=dialect)

    @cached_property
    def text(self) -> str:
        """The SQL, with `$1`, `$2`, … where parameters stand."""
        return str(self._compiled)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in the order of their numbers."""
        return tuple(self._compiled.positiontup)

    @cached_property
    def row(self) -> Any:
        """The class of its rows."""
        return namedtuple("Row", self._statement.selected_columns.keys())  # noqa: PYI024

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the parameters' values in order. Raises KeyError when one is missing."""
        return [parameters[name] for name in self.names]
