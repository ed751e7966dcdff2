import pytest

from chalicelib.health.service import REVISION
from tests.database import Server
from tests.faults.processes import Call, Processes, invoke, perform


def test_it_makes_an_empty_database_ready(server: Server) -> None:
    with server.database() as name, Processes(server.url_of(name), count=1) as one:
        ready = Call("GET", "/api/health/ready")

        before, answer, after = (
            one.each(perform, [ready]),
            one.each(invoke, ["migrate"]),
            one.each(perform, [ready]),
        )

    assert [reply.code for reply in before] == ["schema_not_ready"]
    assert answer == [{"from": None, "to": REVISION}]
    assert [reply.status for reply in after] == [200]


@pytest.mark.usefixtures("schema")
@pytest.mark.parametrize("payload", [{"revision": "base"}, {"to": "0001"}, {"downgrade": True}])
def test_an_event_cannot_ask_for_the_way_back(payload: dict[str, object]) -> None:
    answer = invoke("migrate", payload)

    assert answer == {"from": REVISION, "to": REVISION}
