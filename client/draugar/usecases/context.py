"""What every use case works with: this device's home, the service, and what is to be told."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from draugar.models import Code
from draugar.service.api import Api
from draugar.storage import groups
from draugar.storage.groups import Change
from draugar.storage.home import Home, Me
from draugar.trust.state import GroupState
from draugar.usecases.notify import Notifier


def local_time() -> datetime:
    """Return the present time, in the zone of the reader."""
    return datetime.now(UTC).astimezone()


@dataclass(frozen=True)
class Context:
    """A home and the way to its service."""

    home: Home
    api: Api
    notifier: Notifier
    clock: Callable[[], datetime] = local_time

    @property
    def me(self) -> Me:
        """Whose home it is."""
        return self.home.me()

    def group(self, group_id: UUID) -> GroupState:
        """Return what this device knows of a group now."""
        return groups.load(self.home, group_id)

    def changing(self, group_id: UUID) -> AbstractContextManager[Change]:
        """Change what this device knows of a group, in one transaction."""
        return groups.changing(self.home, group_id)

    def tell(
        self,
        code: Code,
        *,
        group_id: UUID | None = None,
        once: str | None = None,
        **parameters: Any,
    ) -> None:
        """Collect a notice for the member."""
        self.notifier.tell(code, group_id=group_id, once=once, **parameters)
