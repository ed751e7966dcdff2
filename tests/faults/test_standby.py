"""What the service says while its address leads to a standby, and how it leaves it (a failover)."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.orm import Session

from chalicelib.jobs.migrate import migrate
from chalicelib.jobs.report import JobFailed
from tests import factories
from tests.faults.own_server import OwnServer
from tests.faults.processes import Call, Processes
from tests.faults.standby import standby
from tests.faults.writers import attempt
from tests.laptop.runs import eventually
from tests.servers import serving

CODE = {"code": "RT5WLJ8BK2MNP4QX"}
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'draugar'"


@pytest.fixture(scope="module")
def una(followed: str) -> factories.Someone:
    with serving(followed) as engine, Session(engine) as session:
        una = factories.someone(session)
        factories.group(session, una)
        session.commit()
    return una


@pytest.fixture(scope="module")
def followed(own_server: OwnServer) -> Iterator[str]:
    with own_server.database() as url:
        yield url


@pytest.fixture(scope="module")
def following(
    followed: str, una: factories.Someone, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a database on a standby."""
    del una  # who is there before it is copied
    with standby(followed, tmp_path_factory.mktemp("standby")) as url:
        yield url


@pytest.fixture(scope="module")
def process(following: str) -> Iterator[Processes]:
    with Processes(following, count=1) as process:
        yield process


def writes(una: factories.Someone) -> dict[str, Call]:
    return {
        "validate": Call("POST", "/api/invites/validate", CODE),
        "join": Call("POST", "/api/auth/join", CODE | {"name": "Sif"}),
        "join a group": Call("POST", "/api/groups/join", CODE, token=una.token),
        "post": Call("POST", "/api/locations", factories.plain_point(), token=una.token),
        "invite": Call("POST", "/api/invites", {}, token=una.token),
        "ready": Call("GET", "/api/health/ready"),
    }


@pytest.mark.parametrize("what", ["validate", "join", "join a group", "post", "invite", "ready"])
def test_a_standby_is_answered_with_503_and_its_connection_given_up(
    following: str, process: Processes, una: factories.Someone, what: str
) -> None:
    refused = process.each(attempt, [writes(una)[what]])[0]

    assert (refused.reply.status, refused.reply.code) == (503, "temporarily_unavailable")
    assert refused.line.get("sqlstate") in ({None} if what == "ready" else {"25006", "0A000"})
    with psycopg.connect(following, autocommit=True) as operator:
        assert eventually(lambda: operator.execute(CONNECTED).fetchone() == (0,))


def test_migrate_refuses_a_standby(following: str) -> None:
    with serving(following), pytest.raises(JobFailed, match="standby, which takes no writes"):
        migrate({}, None)


@pytest.mark.parametrize("wanted", ["read-write", "primary"])
def test_a_standby_is_refused_where_the_url_asks_for_a_primary(following: str, wanted: str) -> None:
    with Processes(f"{following}&target_session_attrs={wanted}", count=1) as process:
        ready = process.each(attempt, [Call("GET", "/api/health/ready")])[0]

    assert (ready.reply.status, ready.line["sqlstate"]) == (503, "25006")


def test_a_standby_that_takes_over_is_served_by_the_same_function(
    following: str, process: Processes, una: factories.Someone
) -> None:
    process.each(attempt, [Call("GET", "/api/auth/me", token=una.token)])
    with psycopg.connect(following, autocommit=True) as operator:
        operator.execute("SELECT pg_promote()")

    replies = [process.each(attempt, [call])[0].reply for call in writes(una).values()]

    assert [reply.status for reply in replies] == [200, 404, 404, 200, 201, 200]
