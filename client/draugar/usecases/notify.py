"""What the member must be told: collected here, and handed on by the facade after each step."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from draugar.models import Code, Notice
from draugar.storage.home import Home

Tell = Callable[[Notice], None]


class Notifier:
    """Collects notices. What is a state and not an event is told once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._collected: list[Notice] = []

    def tell(
        self,
        code: Code,
        *,
        group_id: UUID | None = None,
        once: str | None = None,
        **parameters: Any,
    ) -> None:
        """Collect a notice; with `once`, only if nothing of its kind was told about that yet."""
        self.add([Notice(code=code, group_id=group_id, parameters=parameters, once=once)])

    def add(self, notices: Iterable[Notice]) -> None:
        """Collect notices, but for what was told before."""
        for notice in notices:
            if notice.subject is None or self._home.is_news(notice.kind, notice.subject):
                self._collected.append(notice)

    def collect(self, notices: Iterable[Notice]) -> None:
        """Collect notices that a decision has found to be new."""
        self._collected.extend(notices)

    def drop(self, code: Code) -> None:
        """Tell nothing of a kind that was collected: a failure says it."""
        self._collected = [notice for notice in self._collected if notice.code != code]

    def take(self) -> list[Notice]:
        """Return what was collected since the last time, in the order in which it happened."""
        taken, self._collected = self._collected, []
        return taken
