"""What a database of the former release proves of who was given which key."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import Connection, func, select, update
from sqlalchemy.orm import Session

from chalicelib.db.engine import migration_engine
from chalicelib.jobs.migrate import configuration
from chalicelib.models import GivenKey, InviteCode, KeyEnvelope, Member
from tests import factories
from tests.factories import Someone

FORMER, REVISION = "0021", "0022"
OLD: dict[str, Any] = {"key_version": 1}


@pytest.fixture
def former(empty: str) -> Iterator[Connection]:
    """A connection to a database of the former release, without a row."""
    del empty
    with migration_engine().connect() as connection:
        command.upgrade(configuration(connection), FORMER)
        yield connection


def given(connection: Connection) -> set[tuple[UUID, UUID, int]]:
    """Migrate, and return which device of which person was given which version."""
    connection.commit()
    command.upgrade(configuration(connection), REVISION)
    rows = connection.execute(select(GivenKey.device_id, GivenKey.user_id, GivenKey.key_version))
    return {(row.device_id, row.user_id, row.key_version) for row in rows}


def row(who: Someone, key_version: int = 1) -> tuple[UUID, UUID, int]:
    return who.device_id, who.user_id, key_version


def test_every_envelope_was_given(former: Connection) -> None:
    with Session(former) as session:
        una, ari = factories.with_key(session), factories.with_key(session)
        factories.add_member(session, factories.group(session, una, key_version=2), ari)

    assert given(former) == {row(una, 1), row(una, 2)}


@pytest.mark.parametrize("when", ["as a member", "before they were removed and came back"])
def test_a_device_that_wrapped_a_key_had_been_given_it(former: Connection, when: str) -> None:
    with Session(former) as session:
        una, ari = factories.with_key(session), factories.with_key(session)
        hearth = factories.group(session, una, **OLD)
        factories.add_member(session, hearth, ari)
        session.execute(update(KeyEnvelope).values(wrapper_device_id=func.new_id()))
        factories.confirm(session, hearth, factories.further_device(session, una), 1, by=ari)
        if when.startswith("before"):
            came_back = func.now() + timedelta(hours=1)
            session.execute(
                update(Member).filter_by(user_id=ari.user_id).values(joined_at=came_back)
            )
        session.commit()

    assert (row(ari) in given(former)) is (when == "as a member")


@pytest.mark.parametrize(
    "lacking", ["nothing", "a package", "a public key", "a use", "the membership that it began"]
)
def test_a_device_that_redeemed_a_package_was_given_the_key(
    former: Connection, lacking: str
) -> None:
    with Session(former) as session:
        una = factories.with_key(session)
        ari = factories.someone(
            session, public_key=None if lacking == "a public key" else bytes(32)
        )
        hearth = factories.group(session, una, **OLD)
        joined_at = factories.now(session)
        used_at = joined_at - timedelta(days="membership" in lacking)
        factories.add_member(session, hearth, ari, joined_at=joined_at)
        used = {"used_by": ari.user_id, "used_by_device_id": ari.device_id, "used_at": used_at}
        package = {} if lacking == "a package" else OLD
        factories.invite(
            session, group_id=hearth, by=una, **package, **({} if lacking == "a use" else used)
        )
        session.execute(update(InviteCode).values(key_package=None))
        session.commit()

    assert (row(ari) in given(former)) is (lacking == "nothing")
