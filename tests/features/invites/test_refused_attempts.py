from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pg8000.native import Connection
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.limits import Bucket
from tests import factories
from tests.database import Server
from tests.faults.processes import Call, perform
from tests.servers import serving

ATTEMPT = Call("POST", "/api/invites/validate", {"code": "ABCDEFGH"}, address="203.0.113.7")


def test_an_address_that_is_refused_takes_nothing_from_the_deployment(
    operator: Connection,
) -> None:
    attempts = [(bucket(operator), perform(ATTEMPT).status, bucket(operator)) for _ in range(15)]

    assert {status for _, status, _ in attempts} == {200, 429}
    for before, status, after in attempts:
        assert (after == before) == (status == 429)


def test_nobody_is_let_through_uncounted(server: Server, operator: Connection) -> None:
    with Session(engine.engine()) as session:
        una = factories.someone(session)
        factories.group(session, una)
        code = factories.founding_invite(session)
    before = stored(operator)
    operator.run("BEGIN")
    operator.run("LOCK TABLE rate_limits")

    with not_waiting_long(server, operator):
        answers = [
            perform(ATTEMPT),
            perform(Call("POST", "/api/auth/join", {"code": code.text, "name": "Ari"})),
            perform(Call("POST", "/api/groups/join", {"code": code.text}, token=una.token)),
            perform(Call("POST", "/api/invites", {}, token=una.token)),
        ]

    operator.run("ROLLBACK")
    assert [answer.status for answer in answers] == [503] * 4
    assert stored(operator) == before


def test_a_code_that_leads_nowhere_any_more_waits_for_no_group(operator: Connection) -> None:
    with Session(engine.engine()) as session:
        una, ari = factories.someone(session), factories.someone(session)
        group_id = factories.group(session, una)
        factories.group(session, ari)
        long_ago = factories.now(session) - timedelta(hours=1)
        dead: list[dict[str, Any]] = [{"used_at": long_ago}, {"revoked_at": long_ago}]
        dead += [{"expires_at": long_ago}]
        codes = [
            factories.invite(session, group_id=group_id, by=una, **columns).text for columns in dead
        ]
    operator.run("BEGIN")
    operator.run("SELECT FROM groups WHERE id = :id FOR UPDATE", id=group_id)

    answers = [
        perform(call)
        for code in codes
        for call in (
            Call("POST", "/api/auth/join", {"code": code, "name": "Ari"}),
            Call("POST", "/api/groups/join", {"code": code}, token=ari.token),
        )
    ]

    operator.run("ROLLBACK")
    assert [(answer.status, answer.code) for answer in answers] == [(404, "invite_not_valid")] * 6


def test_a_revocation_locks_the_group_before_the_invite(
    server: Server, operator: Connection
) -> None:
    with Session(engine.engine()) as session:
        una = factories.someone(session)
        group_id = factories.group(session, una)
        factories.invite(session, group_id=group_id, by=una)
    ((invite_id,),) = operator.run("SELECT id FROM invite_codes")
    revocation = Call("DELETE", f"/api/invites/{invite_id}", token=una.token)
    statuses = []

    for locked in ("groups", "invite_codes"):
        operator.run("BEGIN")
        operator.run(f"SELECT FROM {locked} FOR UPDATE")
        with not_waiting_long(server, operator):
            statuses.append(perform(revocation).status)
        operator.run("ROLLBACK")

    assert [*statuses, perform(revocation).status] == [503, 503, 204]


@contextmanager
def not_waiting_long(server: Server, operator: Connection) -> Iterator[None]:
    """Let the service give up soon: of itself it waits for a lock as long as a test may take."""
    ((name,),) = operator.run("SELECT current_database()")
    with serving(server.url_of(name), timeout_seconds=1):
        yield


def bucket(operator: Connection) -> Any:
    statement = "SELECT theoretical_arrival_at FROM rate_limits WHERE bucket = :name"
    return operator.run(statement, name=Bucket.FAILED_REDEMPTIONS.name)


def stored(operator: Connection) -> Any:
    return operator.run(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM groups),"
        " (SELECT count(*) FROM invite_codes WHERE used_at IS NULL)"
    )
