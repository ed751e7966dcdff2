"""How the member is told what they must know."""

from collections.abc import Callable
from uuid import UUID

from draugar.models import Kind, Notice
from draugar.storage.home import Home

Tell = Callable[[Notice], None]


class Notifier:
    """Tells by calling; what is a state and not an event is told once."""

    def __init__(self, home: Home, tell: Tell) -> None:
        self._home = home
        self._tell = tell

    def say(
        self,
        kind: Kind,
        text: str,
        *,
        group_id: UUID | None = None,
        is_warning: bool = False,
        once: str | None = None,
    ) -> None:
        """Tell; with `once`, only if nothing of this kind was told about that yet."""
        if once is None or self._home.is_news(kind, f"{group_id} {once}"):
            self._tell(Notice(kind=kind, text=text, group_id=group_id, is_warning=is_warning))

    def warn(
        self, kind: Kind, text: str, *, group_id: UUID | None = None, once: str | None = None
    ) -> None:
        """Tell of what may be somebody's ill will."""
        self.say(kind, text, group_id=group_id, is_warning=True, once=once)
