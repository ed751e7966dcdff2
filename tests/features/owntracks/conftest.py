import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chalicelib.models import Location
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone
from tests.owntracks import Android, App, Ios, basic

Json = dict[str, Any]


@dataclass
class Phone:
    """A phone with an app in it, that posts to the service."""

    api: Api
    who: Someone
    app: App
    path: str = "/owntracks"
    last: Reply = field(init=False)

    def post(self, message: Json) -> list[Json]:
        """Post a message as the app does; return what the app understood of the answer."""
        return self.post_raw(self.app.body(message))

    def post_raw(self, raw: bytes, **headers: str) -> list[Json]:
        """Post a body as it is."""
        sent = self.app.headers | basic(self.who.device_id, self.who.token) | headers
        self.last = self.api.call("POST", self.path, raw=raw, headers=sent)
        return self.app.receive(self.last.status, self.last.text)


@dataclass
class Family:
    """Una and Ari in a group, each with a phone."""

    una: Someone
    ari: Someone
    group_id: UUID
    session: Session

    def now(self, **ago: float) -> int:
        """Return the second so long ago."""
        return int((factories.now(self.session) - timedelta(**ago)).timestamp())

    def fix(self, **fields: Any) -> Json:
        """Make a fix as an app sends it."""
        return {
            "_type": "location",
            "lat": 64.1466,
            "lon": -21.9426,
            "acc": 12,
            "tst": self.now(),
            "tid": "xx",
            "t": "u",
            "batt": 81,
            **fields,
        }

    def stored(self) -> list[Location]:
        """Return the points there are, from the oldest on."""
        self.session.expire_all()
        return list(self.session.scalars(select(Location).order_by(Location.recorded_at)))


@pytest.fixture
def family(session: Session) -> Family:
    una, ari = factories.someone(session, name="Una"), factories.someone(session, name="Ari")
    return Family(una, ari, factories.group(session, una, ari), session)


@pytest.fixture(params=[Android, Ios])
def app(request: pytest.FixtureRequest) -> type[App]:
    """Each of the apps."""
    kind: type[App] = request.param
    return kind


@pytest.fixture
def phone_of(api: Api, family: Family) -> Callable[..., Phone]:
    """Give somebody of the family a phone with an app."""

    def make(who: Someone, app: type[App], *, key: bytes | None = None, **columns: Any) -> Phone:
        tid = "un" if who is family.una else "ar"
        made = factories.phone(
            family.session, family.group_id, who, **{"tid": tid, "key_version": 0, **columns}
        )
        return Phone(api, made, app(key=key))

    return make


def noted(text: str) -> Any:
    """Return the code in the last line of the log."""
    return json.loads(text.splitlines()[-1]).get("code")
