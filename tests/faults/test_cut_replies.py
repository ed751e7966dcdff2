"""Answers of the server that break off at any byte, and connections that end unobserved (R11)."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from chalicelib.db.base import Base
from chalicelib.models import Device, Group, Location, Member, User
from tests import factories
from tests.certificates import make_certificates
from tests.database import Server
from tests.factories import Someone
from tests.faults import waits
from tests.faults.pgbouncer import pgbouncer
from tests.faults.processes import Call, own_database, perform
from tests.owntracks import basic
from tests.relay import Break, Ending, Relay
from tests.servers import serving

HANG_UPS = [Ending.FIN, Ending.RST]
TIMEOUT = 2
"""Seconds that the service waits for a silent server, once in a request."""

AN_ANSWER_MAY_VARY = 8
"""So many bytes: times are written without their last zeros."""


@dataclass(frozen=True)
class Errand:
    """A request, and what is right as the answer to it, however often it is made."""

    call: Call
    is_right: Callable[[Any], bool]


@dataclass(frozen=True)
class Scene:
    """A group of Una's, her phone and a point of hers, and Bera, who has nothing to do with her."""

    session: Session
    una: Someone
    bera: Someone
    group_id: UUID
    phone: Someone
    point_id: UUID

    def read(self, _number: int) -> Errand:
        return who_am_i(self.una, "Una")

    def read_latest(self, _number: int) -> Errand:
        call = Call("GET", "/api/locations/latest", token=self.una.token)
        points = [(str(self.point_id), str(self.una.user_id), 64.1466)]
        return Errand(
            call,
            lambda told: (
                points
                == [(each["id"], each["userId"], each["latitude"]) for each in told["locations"]]
            ),
        )

    def post(self, _number: int) -> Errand:
        point = factories.plain_point()
        stored = {"results": [{"id": point["id"], "status": "stored"}]}
        call = Call("POST", "/api/locations", point, token=self.una.token)
        return Errand(call, lambda told: told == stored)

    def post_from_phone(self, number: int) -> Errand:
        at = int(time.time()) - 80_000 + number
        fix = {"_type": "location", "lat": 64.1, "lon": -22, "acc": 9, "tid": "un", "tst": at}
        call = Call(
            "POST", "/owntracks", fix, headers=basic(self.phone.device_id, self.phone.token)
        )
        return Errand(call, lambda told: {each["tid"] for each in told} == {"un"})

    def rename(self, number: int) -> Errand:
        path, name = f"/api/groups/{self.group_id}", f"Hearth {number}"
        call = Call("PATCH", path, {"name": name}, token=self.una.token)
        return Errand(call, lambda told: told["name"] == name)

    def join(self, number: int) -> Errand:
        code, name = factories.founding_invite(self.session).text, f"Sif {number}"
        body = {"code": code, "name": name, "device": {"name": "Phone"}}
        key = {"Idempotency-Key": f"a-key-for-join-number-{number}"}
        address = f"10.0.{number // 256}.{number % 256}"  # so that the limiter lets it pass
        call = Call("POST", "/api/auth/join", body, headers=key, address=address)
        return Errand(call, lambda told: told["user"]["name"] == name)

    def others(self) -> Errand:
        """What Bera asks, who comes next."""
        return who_am_i(self.bera, "Bera")

    def stored(self, tables: list[type[Base]]) -> list[int]:
        """Count the rows of these tables, beside the service."""
        self.session.rollback()
        counts = [select(func.count()).select_from(table) for table in tables]
        return [self.session.scalars(count).one() for count in counts]


Kind = Callable[[Scene, int], Errand]


def name_of(kind: Kind) -> str:
    return kind.__name__


def who_am_i(who: Someone, name: str) -> Errand:
    me = {"id": str(who.user_id), "name": name}
    return Errand(Call("GET", "/api/auth/me", token=who.token), lambda told: told == me)


GROWING: dict[Kind, list[type[Base]]] = {
    Scene.read: [],
    Scene.read_latest: [],
    Scene.post: [Location],
    Scene.post_from_phone: [Location],
    Scene.rename: [],
    Scene.join: [User, Device, Group, Member],
}
"""In which tables a kind of request leaves a row."""


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database for all of these tests."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture
def scene(session: Session) -> Scene:
    una, bera = (factories.someone(session, name=name) for name in ("Una", "Bera"))
    group_id = factories.group(session, una)
    point_id = factories.stored_point(session, group_id, una)
    phone = factories.phone(session, group_id, una)
    return Scene(session, una, bera, group_id, phone, point_id)


@pytest.fixture
def relay(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Iterator[Relay]:
    """A relay to the database, which speaks TLS where a test says so."""
    if getattr(request, "param", None) != "by TLS":
        with Relay(url) as relay:
            yield relay
        return
    made = make_certificates(tmp_path)
    with Relay(url, tls=made.server_context()) as relay:
        relay.url += f"?sslmode=verify-full&sslrootcert={made.authority}"
        yield relay


@pytest.fixture
def service(relay: Relay) -> Iterator[Engine]:
    """The service in this process, on one connection, which goes through the relay."""
    with serving(relay.url) as engine:
        yield engine


@pytest.fixture
def pooled(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Iterator[Relay]:
    """A relay on either side of a pooler, with the service in front of them."""
    with ExitStack() as stack:
        if request.param == "before the pooler":
            relay = stack.enter_context(Relay(stack.enter_context(pgbouncer(url, tmp_path))))
            stack.enter_context(serving(relay.url))
        else:
            relay = stack.enter_context(Relay(url))
            stack.enter_context(serving(stack.enter_context(pgbouncer(relay.url, tmp_path))))
        yield relay


def succeeds(errand: Errand) -> bool:
    """Make a request, which is answered right or 503; return whether it was the former."""
    reply = perform(errand.call)
    if reply.status == 503:
        assert (reply.code, reply.headers["Retry-After"]) == ("temporarily_unavailable", "1")
        return False
    assert reply.status in {200, 201}, reply.text
    assert errand.is_right(reply.json), reply.text
    return True


def succeeds_cut(relay: Relay, errand: Errand, after: int, by: Ending) -> bool:
    """Do the same while the server's answers break off. Without a whole one it cannot succeed."""
    with relay.breaking_off(after, by) as breaking:
        has_succeeded = succeeds(errand)
    assert not (has_succeeded and breaking.lost)
    return has_succeeded


def length(relay: Relay, errand: Errand) -> int:
    """Return how many bytes the server's answers to a request are."""
    with relay.breaking_off(1 << 30, Ending.FIN) as whole:
        assert succeeds(errand)
    return whole.passed


def places(length: int, stride: int) -> list[int]:
    """Return after how many bytes to cut: up to the whole, and where nothing is cut any more."""
    beyond = range(length, length + AN_ANSWER_MAY_VARY + 1, min(stride, AN_ANSWER_MAY_VARY))
    return [*range(0, length, stride), *beyond]


def cut(
    scene: Scene, relay: Relay, kind: Kind, stride: int, endings: list[Ending]
) -> tuple[list[bool], int]:
    """Cut the answers to requests of a kind, further and further back, on a used connection each.

    Each time somebody else comes next, and then the client repeats its request. Returns which
    requests succeeded at once, and how many were made.
    """
    errands = (kind(scene, number) for number in count())
    by = cycle(endings)
    succeeds(next(errands))  # so that its statements are prepared
    whole = length(relay, next(errands))
    outcomes = []
    for after in places(whole, stride):
        errand = next(errands)
        outcomes.append(succeeds_cut(relay, errand, after, next(by)))
        assert succeeds(scene.others())
        assert succeeds(errand)
    return outcomes, 2 + len(outcomes)


CUTS = [
    pytest.param(89, HANG_UPS, id="here and there"),
    *(
        pytest.param(1, [by], marks=pytest.mark.full, id=f"everywhere, {by.name}")
        for by in HANG_UPS
    ),
]


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(("stride", "endings"), CUTS)
@pytest.mark.parametrize("kind", GROWING, ids=name_of)
def test_an_answer_that_breaks_off_is_a_503_and_what_is_repeated_is_done_once(
    scene: Scene, relay: Relay, kind: Kind, stride: int, endings: list[Ending]
) -> None:
    before = scene.stored(GROWING[kind])

    outcomes, made = cut(scene, relay, kind, stride, endings)

    assert (outcomes[0], outcomes[-1]) == (False, True)
    assert scene.stored(GROWING[kind]) == [number + made for number in before]


# Python forgets to close a socket that is reset just before its handshake; the collector does not.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize(
    ("relay", "stride"),
    [
        ("in the clear", 89),
        ("by TLS", 197),
        pytest.param("in the clear", 1, marks=pytest.mark.full),
        pytest.param("by TLS", 7, marks=pytest.mark.full),
    ],
    indirect=["relay"],
)
@pytest.mark.parametrize("by", HANG_UPS)
def test_a_connection_that_ends_while_it_is_made_is_a_503(
    scene: Scene, relay: Relay, service: Engine, stride: int, by: Ending
) -> None:
    with relay.breaking_off(1 << 30, Ending.FIN) as greeting:
        service.connect().close()

    outcomes = []
    for after in places(greeting.passed, stride):
        service.dispose()
        outcomes.append(succeeds_cut(relay, scene.read(0), after, by))
        assert succeeds(scene.others())

    assert outcomes == [False] * len(outcomes)


@pytest.mark.parametrize("by", HANG_UPS)
def test_a_connection_that_ends_between_two_requests_is_replaced_before_anybody_notices(
    scene: Scene, relay: Relay, service: Engine, by: Ending
) -> None:
    assert succeeds(scene.others())

    for number, kind in enumerate(GROWING):
        relay.end_all(by)
        assert succeeds(kind(scene, number))

    assert relay.connections == 1 + len(GROWING)
    assert service.pool.status().startswith("Pool size: 1  Connections in pool: 1 ")


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("by", HANG_UPS)
@pytest.mark.parametrize(
    ("kind", "last"),
    [(Scene.post, b""), (Scene.post_from_phone, b""), (Scene.join, b"commit\0")],
    ids=["post", "post_from_phone", "join"],
)
def test_what_was_committed_is_not_done_again_when_the_word_of_it_is_lost(
    scene: Scene, relay: Relay, kind: Kind, last: bytes, by: Ending
) -> None:
    assert succeeds(kind(scene, 0))
    before = scene.stored(GROWING[kind])
    errand = kind(scene, 1)

    def lose_the_answer_to_the_last(message: bytes) -> None:
        if message.endswith(last):
            relay.breaking = Break(0, by)

    relay.on_message = lose_the_answer_to_the_last
    has_succeeded = succeeds(errand)
    relay.on_message = relay.breaking = None

    assert not has_succeeded
    committed = scene.stored(GROWING[kind])
    assert committed == [number + 1 for number in before]
    assert succeeds(errand)
    assert scene.stored(GROWING[kind]) == committed


@pytest.mark.parametrize("relay", ["in the clear", "by TLS"], indirect=True)
def test_an_answer_that_comes_byte_by_byte_is_understood(
    scene: Scene, relay: Relay, service: Engine
) -> None:
    relay.trickle = 0.0001

    for kind in GROWING:
        assert succeeds(kind(scene, 0))
        service.dispose()
        assert succeeds(kind(scene, 1))


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        (Scene.post, 1),
        *(pytest.param(kind, 6, marks=pytest.mark.full, id=name_of(kind)) for kind in GROWING),
    ],
)
def test_an_answer_that_stops_in_its_midst_is_a_503_as_well(
    scene: Scene, relay: Relay, kind: Kind, times: int
) -> None:
    before = scene.stored(GROWING[kind])
    errands = [kind(scene, number) for number in range(times + 2)]
    with waits.noted(), serving(relay.url, timeout_seconds=TIMEOUT):
        succeeds(errands[-1])
        whole = length(relay, errands[-2])

        for number, errand in enumerate(errands[:times]):
            after = (2 * number + 1) * whole // (2 * times)
            with waits.of_this_thread() as waited:
                assert not succeeds_cut(relay, errand, after, Ending.SILENCE)
            assert waited == [TIMEOUT]
            assert succeeds(scene.others())
            assert succeeds(errand)

    assert scene.stored(GROWING[kind]) == [number + times + 2 for number in before]


@pytest.mark.tools("pgbouncer")
@pytest.mark.parametrize("pooled", ["before the pooler", "behind the pooler"], indirect=True)
@pytest.mark.parametrize("stride", [151, pytest.param(13, marks=pytest.mark.full)])
@pytest.mark.parametrize("kind", [Scene.post, Scene.join], ids=name_of)
def test_with_a_pooler_an_answer_that_breaks_off_is_a_503_too(
    scene: Scene, pooled: Relay, kind: Kind, stride: int
) -> None:
    before = scene.stored(GROWING[kind])

    outcomes, made = cut(scene, pooled, kind, stride, HANG_UPS)

    assert (outcomes[0], outcomes[-1]) == (False, True)
    assert scene.stored(GROWING[kind]) == [number + made for number in before]
