from typing import Any

from pg8000.native import Connection, identifier
from sqlalchemy.orm import Session

from chalicelib.db import engine
from chalicelib.limits import Bucket
from tests import factories
from tests.faults.processes import Call, perform

ATTEMPT = Call("POST", "/api/invites/validate", {"code": "ABCDEFGH"}, address="203.0.113.7")


def test_an_address_that_is_refused_takes_nothing_from_the_deployment(
    operator: Connection,
) -> None:
    attempts = [(bucket(operator), perform(ATTEMPT).status, bucket(operator)) for _ in range(15)]

    assert {status for _, status, _ in attempts} == {200, 429}
    for before, status, after in attempts:
        assert (after == before) == (status == 429)


def test_nobody_is_let_through_uncounted(operator: Connection) -> None:
    database = identifier(operator.run("SELECT current_database()")[0][0])
    operator.run(f"ALTER DATABASE {database} SET lock_timeout = '100ms'")
    with Session(engine.engine()) as session:
        una = factories.someone(session)
        factories.group(session, una)
        code = factories.founding_invite(session)
    before = stored(operator)
    operator.run("BEGIN")
    operator.run("LOCK TABLE rate_limits")

    answers = [
        perform(ATTEMPT),
        perform(Call("POST", "/api/auth/join", {"code": code.text, "name": "Ari"})),
        perform(Call("POST", "/api/groups/join", {"code": code.text}, token=una.token)),
        perform(Call("POST", "/api/invites", {}, token=una.token)),
    ]

    operator.run("ROLLBACK")
    assert [answer.status for answer in answers] == [503] * 4
    assert stored(operator) == before


def bucket(operator: Connection) -> Any:
    statement = "SELECT theoretical_arrival_at FROM rate_limits WHERE bucket = :name"
    return operator.run(statement, name=Bucket.FAILED_REDEMPTIONS.name)


def stored(operator: Connection) -> Any:
    return operator.run(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM groups),"
        " (SELECT count(*) FROM invite_codes WHERE used_at IS NULL)"
    )
