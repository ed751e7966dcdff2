"""The models say what the migrations have made: no more, no less, nothing else."""

from collections.abc import Iterator

import pytest
from alembic import command
from pg8000.native import Connection

from chalicelib.db.engine import migration_engine
from chalicelib.jobs.migrate import configuration
from chalicelib.models import User
from tests.data import catalogue
from tests.database import Server


@pytest.fixture
def modelled(server: Server, empty: str) -> Iterator[Connection]:
    """A database whose tables were made from the models, with the functions they stand on."""
    with migration_engine().connect() as connection:
        command.upgrade(configuration(connection), "0001")
        User.metadata.create_all(connection)
        connection.commit()
    with server.connect(empty) as connection:
        yield connection


@pytest.fixture
def migrated(server: Server, schema: str) -> Iterator[Connection]:
    """The database that the migrations have made."""
    with server.connect(schema) as connection:
        yield connection


def test_models_and_migrations_make_the_same_tables(
    modelled: Connection, migrated: Connection
) -> None:
    by_models = catalogue.read(modelled, catalogue.TABLES)

    by_migrations = catalogue.read(migrated, catalogue.TABLES)

    assert by_models == by_migrations


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE users DROP CONSTRAINT ck_users_name_length"],
        ["ALTER TABLE users RENAME CONSTRAINT ck_users_name_length TO ck_users_name"],
        ["ALTER TABLE locations DROP CONSTRAINT ck_locations_plaintext_or_ciphertext"],
        ["ALTER TABLE devices ALTER CONSTRAINT fk_devices_user_id DEFERRABLE"],
        ["DROP INDEX ix_devices_user_id"],
        [
            "DROP INDEX ix_invite_codes_expires_at",
            "CREATE INDEX ix_invite_codes_expires_at ON invite_codes (expires_at)",
        ],
        ["ALTER TABLE groups ALTER retention_days SET DEFAULT 31"],
        ["ALTER TABLE groups ALTER retention_days DROP NOT NULL"],
        ["ALTER TABLE groups ALTER retention_days TYPE bigint"],
        ["ALTER TABLE groups ADD note varchar"],
        ["ALTER TABLE rate_limits SET LOGGED"],
        ["DROP TABLE rate_limits"],
    ],
)
def test_the_comparison_sees_a_difference(migrated: Connection, statements: list[str]) -> None:
    before = catalogue.read(migrated, catalogue.TABLES)

    migrated.run("BEGIN")
    for statement in statements:
        migrated.run(statement)
    after = catalogue.read(migrated, catalogue.TABLES)
    migrated.run("ROLLBACK")

    assert after != before


def test_a_relationship_is_never_loaded_by_accident() -> None:
    lazy = {
        str(relationship): relationship.lazy
        for mapper in User.registry.mappers
        for relationship in mapper.relationships
    }

    assert "User.devices" in lazy
    assert lazy == dict.fromkeys(lazy, "raise")
