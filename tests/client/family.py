"""People who join one service, each with a home of their own."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from draugar.client import Client
from draugar.models import Fix, Kind, Notice
from draugar.protocol.links import InviteLink
from draugar.storage.home import Home
from tests.database import connect
from tests.servers import serving


@dataclass(frozen=True)
class Service:
    """The service, as whoever runs it sees it."""

    url: str
    database_url: str

    def founding_code(self) -> str:
        """Make a founding invite, by the job that makes them."""
        from chalicelib.jobs.create_founding_invite import (  # noqa: PLC0415 -- reads settings
            create_founding_invite,
        )

        with serving(self.database_url):
            code: str = create_founding_invite({}, None)["code"]
        return code

    def query(self, statement: str, **values: Any) -> Any:
        """Look into its database."""
        with connect(self.database_url) as operator:
            return operator.run(statement, **values)


def fix(latitude: float = 64.1466, *, ago: timedelta = timedelta(), **more: Any) -> Fix:
    """Return where somebody is, to the second."""
    at = (datetime.now(UTC) - ago).replace(microsecond=0)
    said: dict[str, Any] = {"latitude": latitude, "longitude": -21.9426, "accuracy": 12.0, "at": at}
    return Fix(**said | more)


class Heard(list[Notice]):
    """What a member was told."""

    def kinds(self) -> list[Kind]:
        """What it was about, but for where secrets are kept."""
        return [notice.kind for notice in self if notice.kind is not Kind.SECRETS_IN_FILE]


class Family:
    """People by name."""

    def __init__(self, service: Service, directory: Path, stack: ExitStack) -> None:
        self.service = service
        self._directory = directory
        self._stack = stack
        self.heard: dict[str, Heard] = {}

    def home(self, name: str) -> Home:
        """Open the home of this name."""
        return self._stack.enter_context(Home.open(self._directory / name))

    def path(self, name: str) -> Path:
        """Return where that home is."""
        return self._directory / name

    def hears(self, name: str) -> Heard:
        """Return what is told there."""
        return self.heard.setdefault(name, Heard())

    def found(self, name: str = "Una", **options: Any) -> Client:
        """Found a group."""
        told = {"group": "Hearth", "url": self.service.url} | options
        if "code" not in told:
            told["code"] = self.service.founding_code()
        return self._stack.enter_context(
            Client.found(
                self.home(name),
                name=name,
                tell=self.hears(name).append,
                **told,
            )
        )

    def join(self, invite: InviteLink | None, name: str = "Ari", **options: Any) -> Client:
        """Come in by a link."""
        assert invite is not None
        home = options.pop("home", name)
        return self._stack.enter_context(
            Client.join(self.home(home), invite, name=name, tell=self.hears(home).append, **options)
        )

    def join_by_code(self, code: str, name: str = "Ari", **options: Any) -> Client:
        """Come in by a typed code."""
        told = {"url": self.service.url} | options
        return self._stack.enter_context(
            Client.join_by_code(
                self.home(name), code=code, name=name, tell=self.hears(name).append, **told
            )
        )

    def again(self, name: str) -> Client:
        """Another command in a home that has joined."""
        return self._stack.enter_context(Client(self.home(name), tell=self.hears(name).append))

    def has_been_together_for(self, days: int) -> None:
        """Let all have joined so long ago that they see what is older than this test."""
        self.service.query(
            "UPDATE group_members SET joined_at = joined_at - make_interval(days => :days::int)",
            days=days,
        )

    def confirmed(self, inviter: Client, name: str) -> Client:
        """Let somebody in by a typed code, and have both compare their numbers."""
        member = self.join_by_code(inviter.invite_by_code().code, name)
        inviter.confirm(inviter.compare(member.user_id))
        member.confirm(member.compare(inviter.user_id))
        return member
