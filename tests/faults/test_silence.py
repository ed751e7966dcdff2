"""A server that is there and says nothing: stopped, or out of reach while packets vanish (R11)."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from chalicelib.models import Group, Location
from tests import factories
from tests.api import Reply
from tests.factories import Someone
from tests.faults import waits
from tests.faults.own_server import OwnServer
from tests.faults.processes import Call, perform
from tests.laptop.runs import HANGS_AFTER, eventually
from tests.relay import Ending, Relay, Way
from tests.servers import serving

pytestmark = pytest.mark.usefixtures("schema")  # by which the app finds its settings

AS_SET_UP = {"timeout_seconds": 5.0}
IMPATIENT = {"timeout_seconds": 2.0}

HELD = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@dataclass(frozen=True)
class Scene:
    """Una's group, and Bera, who has nothing to do with it; the service reaches them by a relay."""

    server: OwnServer
    relay: Relay
    session: Session
    una: Someone
    bera: Someone
    group_id: UUID

    @property
    def name(self) -> str:
        """What the group is called."""
        self.session.rollback()
        return self.session.get_one(Group, self.group_id).name

    @property
    def points(self) -> int:
        """How many points the group has."""
        self.session.rollback()
        count = select(func.count(Location.id)).filter_by(group_id=self.group_id)
        return self.session.scalars(count).one()

    def post(self) -> Call:
        return Call("POST", "/api/locations", factories.plain_point(), token=self.una.token)

    def rename(self) -> Call:
        path = f"/api/groups/{self.group_id}"
        return Call("PATCH", path, {"name": "Hall"}, token=self.una.token)

    def held_back(self) -> None:
        """Wait until two statements wait for us in the server."""

        def are_held() -> bool:
            onlooker.rollback()
            return bool(onlooker.scalar(text(HELD)) == 2)

        with Session(self.session.get_bind()) as onlooker:
            assert eventually(are_held)


@pytest.fixture(scope="module")
def url(own_server: OwnServer) -> Iterator[str]:
    """The URL of a database on a server that may be stopped."""
    with own_server.database() as url:
        yield url


@pytest.fixture
def scene(own_server: OwnServer, url: str, session: Session) -> Iterator[Scene]:
    una, bera = (factories.someone(session, name=name) for name in ("Una", "Bera"))
    group_id = factories.group(session, una)
    with Relay(url) as relay:
        yield Scene(own_server, relay, session, una, bera, group_id)


def who_am_i(who: Someone) -> Call:
    return Call("GET", "/api/auth/me", token=who.token)


@dataclass(frozen=True)
class Ended:
    """An answer, and the seconds of each wait for the server that came before it."""

    reply: Reply
    waits: list[float]


def ended(call: Call) -> Ended:
    with waits.of_this_thread() as waited:
        return Ended(perform(call), waited)


@pytest.fixture(autouse=True)
def _noted() -> Iterator[None]:
    with waits.noted():
        yield


Silence = Callable[[Scene], AbstractContextManager[None]]


def stopped(scene: Scene) -> AbstractContextManager[None]:
    return scene.server.halted()


def vanishing(*ways: Way) -> Silence:
    @contextmanager
    def vanish(scene: Scene) -> Iterator[None]:
        for way in ways:
            scene.relay.drops |= way
        yield
        scene.relay.drops = Way(0)

    return vanish


BOTH_WAYS = vanishing(Way.TO_SERVER, Way.TO_CLIENT)
SILENCES = [
    pytest.param(stopped, AS_SET_UP, id="stopped"),
    pytest.param(BOTH_WAYS, IMPATIENT, id="packets vanish"),
    pytest.param(BOTH_WAYS, AS_SET_UP, marks=pytest.mark.full, id="packets vanish for long"),
    pytest.param(vanishing(Way.TO_SERVER), IMPATIENT, marks=pytest.mark.full, id="requests vanish"),
    pytest.param(vanishing(Way.TO_CLIENT), IMPATIENT, marks=pytest.mark.full, id="answers vanish"),
]


@pytest.mark.parametrize(("silence", "settings"), SILENCES)
def test_a_silent_server_costs_its_seconds_and_nothing_else(
    scene: Scene, silence: Silence, settings: dict[str, float]
) -> None:
    posts = [scene.post(), scene.post()]
    # Two connections for what is in the server's hands, two idle ones, and one not made yet.
    with (
        serving(scene.relay.url, pool_size=5, **settings) as engine,
        ThreadPoolExecutor(5) as threads,
    ):
        perform(who_am_i(scene.una))  # so that the app is loaded
        scene.session.execute(select(Group).with_for_update())
        waiting = [threads.submit(ended, call) for call in (posts[0], scene.rename())]
        scene.held_back()
        with engine.connect(), engine.connect():
            pass
        connections = scene.relay.connections

        with silence(scene):
            calls = [who_am_i(scene.una), posts[1], who_am_i(scene.bera)]
            waiting += [threads.submit(ended, call) for call in calls]
            outcomes = [work.result(HANGS_AFTER) for work in waiting]

        assert connections == 4
        assert {outcome.reply.status for outcome in outcomes} == {503}
        assert {outcome.reply.code for outcome in outcomes} == {"temporarily_unavailable"}
        assert {outcome.reply.headers["Retry-After"] for outcome in outcomes} == {"1"}
        assert [outcome.waits for outcome in outcomes] == [[settings["timeout_seconds"]]] * 5

        assert scene.name == "Hearth"
        # The same process, and the first attempts, on several connections at once.
        repeated = threads.map(perform, [scene.rename(), *posts])
        assert [reply.status for reply in repeated] == [200] * 3
        asked = [scene.una, scene.bera] * 20
        told = threads.map(perform, map(who_am_i, asked))
        assert [reply.json["id"] for reply in told] == [str(who.user_id) for who in asked]
    assert (scene.name, scene.points) == ("Hall", 2)


@pytest.mark.parametrize(
    "settings", [IMPATIENT, pytest.param(AS_SET_UP, marks=pytest.mark.full)], ids=["2 s", "5 s"]
)
def test_what_a_transaction_held_that_cannot_be_reached_is_free_when_it_is_repeated(
    scene: Scene, settings: dict[str, float]
) -> None:
    def vanish_once_it_is_done(message: bytes) -> None:
        if b"UPDATE groups" in message:
            scene.relay.drops = Way.TO_SERVER | Way.TO_CLIENT

    with serving(scene.relay.url, **settings):
        perform(who_am_i(scene.una))  # so that the app is loaded
        scene.relay.on_message = vanish_once_it_is_done
        lost = ended(scene.rename())
        scene.relay.end_all(Ending.SILENCE)  # the server does not hear of the client's end either
        scene.relay.on_message, scene.relay.drops = None, Way(0)
        name = scene.name
        repeated = perform(scene.rename())

    assert lost.reply.status == 503
    assert lost.waits == [settings["timeout_seconds"]]
    assert name == "Hearth"
    assert (repeated.status, repeated.json["name"], scene.name) == (200, "Hall", "Hall")


def test_a_server_that_takes_no_connection_costs_no_more(scene: Scene) -> None:
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = deaf.getsockname()[1]
        for _ in range(3):  # then its queue is full, and Linux drops what else comes
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        stack.enter_context(serving(url, **IMPATIENT))
        lost = ended(who_am_i(scene.una))

    assert (lost.reply.status, lost.reply.code) == (503, "temporarily_unavailable")
    assert lost.waits == [IMPATIENT["timeout_seconds"]]
