from typing import Any

from pg8000.native import Connection

from chalicelib.limits import Bucket
from tests.faults.processes import Call, perform

ATTEMPT = Call("POST", "/api/invites/validate", {"code": "ABCDEFGH"}, address="203.0.113.7")


def test_an_address_that_is_refused_takes_nothing_from_the_deployment(
    operator: Connection,
) -> None:
    attempts = [(bucket(operator), perform(ATTEMPT).status, bucket(operator)) for _ in range(15)]

    assert {status for _, status, _ in attempts} == {200, 429}
    for before, status, after in attempts:
        assert (after == before) == (status == 429)


def bucket(operator: Connection) -> Any:
    statement = "SELECT theoretical_arrival_at FROM rate_limits WHERE bucket = :name"
    return operator.run(statement, name=Bucket.FAILED_REDEMPTIONS.name)
