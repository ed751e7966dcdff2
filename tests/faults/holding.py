"""Statements held in their middle, where nothing else would hold them long enough to be met."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from pg8000.native import Connection

from tests.database import connect
from tests.laptop.runs import eventually

_HOLD = """
    CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(hashtext(tg_argv[0])); RETURN new; END $$
"""
_WAITING = """
    SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE datname = current_database() AND NOT granted AND (locktype = 'advisory') = :held
"""


class Holding:
    """Somebody beside the service who holds whoever changes a table, until they let go."""

    def __init__(self, operator: Connection) -> None:
        self._operator = operator

    @classmethod
    @contextmanager
    def of(cls, url: str, change: str, *, each: str = "ROW") -> Iterator[Self]:
        """Hold changes such as "INSERT ON locations", of each "ROW", which is locked by then.

        Or each "STATEMENT", which has not looked for any row yet.
        """
        with connect(url) as operator:
            operator.run(_HOLD)
            operator.run(
                f"CREATE OR REPLACE TRIGGER hold BEFORE {change}"
                f" FOR EACH {each} EXECUTE FUNCTION hold('{change}')"
            )
            operator.run("SELECT pg_advisory_lock(hashtext(:change))", change=change)
            yield cls(operator)

    def has(self, number: int) -> bool:
        """Wait until so many are held."""
        return eventually(lambda: self._waiting(held=True) == number)

    def keeps_waiting(self, number: int) -> bool:
        """Wait until so many wait for locks of those who are held."""
        return eventually(lambda: self._waiting(held=False) == number)

    def let_go(self) -> None:
        """Let everybody go on."""
        self._operator.run("SELECT pg_advisory_unlock_all()")

    def _waiting(self, *, held: bool) -> int:
        ((number,),) = self._operator.run(_WAITING, held=held)
        return int(number)
