"""What a phone with OwnTracks costs beside an app that posts the same point.

Both are the warm function, in one process, on one connection through one relay. The phone's
statement also finds what to tell it: where the others were last, or a sealed message of one.
"""

import base64
import json
import secrets
import time
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.figures import Figure, interleaved, ratio
from bench.scene import Act, Handler, Performer, Scene, scene
from tests.factories import Someone, group, phone, plain_point, sealed_point
from tests.owntracks import basic
from tests.relay import relay_process

APP, PHONE = "POST /api/locations", "POST /owntracks"
FORMS = ("in the clear", "sealed")
KEY_VERSION = 1
SEALED_BYTES = 424
"""Of a fix as the apps write it."""

# The most that a phone may take, in what an app takes, by milliseconds added to a round trip.
BOUNDS = {0: 1.6, 10: 1.15}


def run(*, full: bool) -> list[Figure]:
    """Measure both forms of a message, near the database and far from it."""
    with scene() as family:
        keyed, phones = _phones(family)
        return [
            figure
            for distance in BOUNDS
            for figure in _at(family, keyed, phones, distance, 60 if full else 15)
        ]


def _phones(family: Scene) -> tuple[UUID, list[Someone]]:
    """Give the first of the family two phones: one in the clear, and one in a group with a key."""
    from chalicelib.auth.credentials import hash_token  # noqa: PLC0415 -- with the settings made
    from chalicelib.db.engine import migration_engine  # noqa: PLC0415
    from chalicelib.models import Device  # noqa: PLC0415

    with Session(migration_engine()) as session:
        people = [
            Someone(user_id=device.user_id, device_id=device.id, token=token)
            for token in family.tokens
            for device in session.scalars(
                select(Device).where(Device.token_hash == hash_token(token))
            )
        ]
        keyed = group(session, *people, key_version=KEY_VERSION)
        return keyed, [
            phone(session, family.group_id, people[0]),
            phone(session, keyed, people[0], key_version=KEY_VERSION),
            # Somebody to be told of.
            phone(session, keyed, people[1], tid="ar", key_version=KEY_VERSION),
        ]


def acts(token: str, group_ids: list[UUID], phones: list[Someone]) -> dict[str, Act]:
    """Return an app's posts and a phone's."""
    app = Handler(token)
    clear, sealed, other = map(_PhoneHandler, phones)
    other(other.event("POST", "/owntracks", _sealed()))

    def by_app(point: dict[str, Any], group_id: UUID) -> dict[str, Any]:
        return app.event("POST", "/api/locations", json.dumps(point | {"groupId": str(group_id)}))

    return {
        f"{APP}, in the clear": Act(lambda: by_app(plain_point(), group_ids[0]), app),
        f"{APP}, sealed": Act(
            lambda: by_app(
                sealed_point(sealed=secrets.token_bytes(SEALED_BYTES), keyVersion=KEY_VERSION),
                group_ids[1],
            ),
            app,
        ),
        f"{PHONE}, in the clear": Act(lambda: clear.event("POST", "/owntracks", _fix()), clear),
        f"{PHONE}, sealed": Act(lambda: sealed.event("POST", "/owntracks", _sealed()), sealed),
    }


class _PhoneHandler(Handler):
    """The warm function, called by a phone."""

    def __init__(self, who: Someone) -> None:
        super().__init__(who.token)
        self._headers |= {
            "authorization": basic(who.device_id, who.token)["Authorization"],
            "user-agent": "Owntracks-Android/gms/420509000",
        }


def _fix() -> str:
    fix = {"_type": "location", "lat": 64.1466, "lon": -21.9426, "acc": 12, "tst": int(time.time())}
    return json.dumps(fix | {"_id": secrets.token_hex(4), "tid": "un", "t": "u", "batt": 81})


def _sealed() -> str:
    data = base64.b64encode(secrets.token_bytes(SEALED_BYTES)).decode()
    return json.dumps({"_type": "encrypted", "data": data})


def _at(
    family: Scene, keyed: UUID, phones: list[Someone], distance: int, rounds: int
) -> list[Figure]:
    """Measure at so many milliseconds added to a round trip."""
    with (
        relay_process(family.url, delay=distance / 1000) as url,
        Performer(
            acts,
            family.tokens[0],
            [family.group_id, keyed],
            phones,
            environment=family.environment(url),
        ) as performer,
    ):
        return [_compared(performer, form, distance, rounds) for form in FORMS]


def _compared(performer: Performer, form: str, distance: int, rounds: int) -> Figure:
    names = {route: f"{route}, {form}" for route in (APP, PHONE)}
    for name in names.values():
        performer.time(name, 20)  # connected, prepared, compiled
    times = interleaved(
        {route: partial(performer.time, name, 10) for route, name in names.items()}, rounds=rounds
    )
    return Figure(
        section="owntracks",
        name=f"{names[PHONE]}, at {distance} ms per round trip",
        value=median(times[PHONE]),
        unit="ms",
        against=APP,
        baseline=median(times[APP]),
        ratio=ratio(times, PHONE, APP),
        at_most=BOUNDS[distance],
    )
