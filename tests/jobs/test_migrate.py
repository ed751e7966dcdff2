from contextlib import closing

import pytest
from pg8000.native import Connection

from chalicelib.health.service import REVISION
from chalicelib.jobs.report import JobFailed
from tests.client.dump import plain_dump
from tests.database import Server, connect
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


def test_it_makes_the_partitions_that_are_due(url: str) -> None:
    with closing(connect(url)) as operator, Processes(url, count=1) as one:
        names = drop_partitions(operator)
        ready = Call("GET", "/api/health/ready")

        before, answer, after = (
            one.each(perform, [ready]),
            one.each(invoke, ["migrate"]),
            one.each(perform, [ready]),
        )

    assert len(names) >= 4
    assert [reply.code for reply in before] == ["partition_missing"]
    assert answer == [{"from": REVISION, "to": REVISION}]
    assert [reply.status for reply in after] == [200]


def test_it_leaves_the_schema_of_a_later_release_unchanged(url: str) -> None:
    with closing(connect(url)) as operator, Processes(url, count=2) as two:
        operator.run("ALTER TABLE users ADD COLUMN of_a_later_release text")
        operator.run("UPDATE alembic_version SET version_num = '9999'")
        drop_partitions(operator)
        before = plain_dump(url)

        answers = two.each(invoke, ["migrate", "migrate"])
        (ready,) = two.each(perform, [Call("GET", "/api/health/ready")])

        assert operator.run("SELECT version_num FROM alembic_version") == [["9999"]]
    note = "The schema is at 9999, newer than this release. It was left unchanged."
    assert answers == [{"from": "9999", "to": "9999", "note": note}] * 2
    assert without_random_lines(plain_dump(url)) == without_random_lines(before)
    assert ready.code == "partition_missing"


def test_another_applications_revision_is_refused_and_left(url: str) -> None:
    with closing(connect(url)) as operator, Processes(url, count=1) as one:
        operator.run("UPDATE alembic_version SET version_num = 'f00dcafe1234'")

        failed = one.each(failing_migration, [None])
        ready = one.each(perform, [Call("GET", "/api/health/ready")])

        assert operator.run("SELECT version_num FROM alembic_version") == [["f00dcafe1234"]]
    assert failed == ["Can't locate revision identified by 'f00dcafe1234'"]
    assert [reply.code for reply in ready] == ["schema_not_ready"]


def failing_migration(_: None) -> str:
    """Migrate, and return what the failure says."""
    with pytest.raises(JobFailed) as failure:
        invoke("migrate", {})
    return str(failure.value)


def drop_partitions(operator: Connection) -> list[str]:
    """Leave the table of points without a partition, as if no job had run for months."""
    names = [
        name
        for (name,) in operator.run(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'locations'::regclass"
        )
    ]
    operator.run(f"DROP TABLE {', '.join(names)}")
    return names


def without_random_lines(dumped: bytes) -> list[bytes]:
    """Return the lines of a dump without those that pg_dump makes up anew each time."""
    return [
        line
        for line in dumped.splitlines()
        if not line.startswith((rb"\restrict", rb"\unrestrict"))
    ]
