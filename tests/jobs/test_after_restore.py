from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from chalicelib.jobs.after_restore import after_restore
from tests import factories
from tests.api import Api


def run() -> dict[str, int]:
    answer: dict[str, int] = after_restore({}, None)
    return answer


def test_a_code_of_the_backup_lets_nobody_in(session: Session, api: Api) -> None:
    una = factories.someone(session)
    group_id = factories.group(session, una)
    codes = [
        factories.invite(session, group_id=group_id, by=una),
        factories.founding_invite(session),
    ]
    session.commit()

    answer = run()

    joins = [api.post("/api/auth/join", {"code": code.text, "name": "Ari"}) for code in codes]
    assert answer["invitesRevoked"] == 2
    assert [reply.status for reply in joins] == [404, 404]


def test_groups_with_a_key_have_to_make_a_new_one(session: Session) -> None:
    una = factories.someone(session)
    with_key, without = factories.group(session, una), factories.group(session, una)
    session.execute(text("UPDATE groups SET key_version = 3 WHERE id = :id"), {"id": with_key})
    session.commit()

    answer = run()

    found: dict[Any, bool] = dict(
        session.execute(text("SELECT id, rotation_required FROM groups")).all()
    )
    assert answer["groupsToRotate"] == 1
    assert found == {with_key: True, without: False}


def test_it_may_be_run_twice(session: Session) -> None:
    una = factories.someone(session)
    factories.invite(session, group_id=factories.group(session, una), by=una)
    session.commit()

    first, second = run(), run()

    assert (first["invitesRevoked"], second["invitesRevoked"]) == (1, 0)


def test_an_old_backup_gets_the_partitions_of_the_present_months(
    session: Session, api: Api
) -> None:
    drop_partitions(session)
    before = api.get("/api/health/ready").code

    first, second = run(), run()

    assert before == "partition_missing"
    assert first["partitionsMade"] >= 4  # this month and three ahead
    assert second["partitionsMade"] == 0
    assert api.get("/api/health/ready").status == 200


def drop_partitions(session: Session) -> None:
    """Leave the table of points without any partition, as it is months after the last job."""
    names = session.scalars(
        text(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'locations'::regclass"
        )
    ).all()
    for name in names:
        session.execute(text(f"DROP TABLE {name}"))
    session.commit()
