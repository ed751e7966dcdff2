"""What migrate needs of a database, asked before its first statement.

Each refusal is one sentence: what is wrong, and what the operator runs to cure it. It names roles,
tables and databases only.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pg8000
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from chalicelib.db import engine, wire

TABLES = (
    *("alembic_version", "departed_tids", "device_cards", "devices", "erased_points"),
    *("further_envelopes", "given_keys", "group_keys", "group_members", "groups", "invite_codes"),
    *("key_envelopes", "locations", "owntracks_cards", "owntracks_served"),
    *("owntracks_transitions", "rate_limits", "users", "vouches"),
)
WITH_OWNERS_RIGHTS = ("drop_location_partitions", "make_location_partitions")
"""Functions that run with the rights of their owner: only the roles that need one may call it."""

ROLES = ("draugar_api", "draugar_purge", "draugar_maintenance")

_OLDEST = 15
_TRIES = 10
_PATIENCE = 5  # seconds

_OURS = """
    SELECT c.oid, c.relname, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_class c LEFT JOIN pg_inherits ON inhrelid = c.oid
    WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p')
        AND (c.relname = ANY(:tables) OR inhparent = to_regclass('public.locations'))
"""
# Not foreign: our roles, superusers, those that act as the owner, and those that may read all.
_IS_FOREIGN = """(
    grantee = 0 OR NOT EXISTS (
        SELECT FROM pg_roles WHERE oid = grantee AND (
            rolsuper OR rolname = ANY(:roles) OR pg_has_role(oid, {owner}, 'USAGE')
            OR pg_has_role(oid, 'pg_read_all_data', 'USAGE')
        )
    )
)"""
_NAME = "CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END"

_FACTS = text("""
    SELECT quote_ident(current_database()) AS database,
        quote_ident(current_user) AS me,
        current_setting('server_encoding') AS encoding,
        current_setting('server_version') AS version,
        current_setting('server_version_num')::int / 10000 AS major,
        pg_is_in_recovery() AS is_standby,
        current_setting('transaction_read_only')::boolean AS is_read_only,
        current_setting('session_replication_role') AS triggers_of,
        to_regnamespace('public') IS NOT NULL AS has_public,
        coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), false) AS may_create
""")
_OF_OTHERS = text(f"""
    SELECT quote_ident(relname) AS name, quote_ident(pg_get_userbyid(relowner)) AS owner
    FROM ({_OURS}) ours WHERE NOT pg_has_role(relowner, 'USAGE') ORDER BY relname
""")  # noqa: S608 -- of constants
_HIDDEN = text(f"""
    SELECT quote_ident(relname) AS name, quote_ident(rolname) AS role
    FROM ({_OURS}) ours, pg_roles
    WHERE relrowsecurity AND (rolname = ANY(:roles) OR rolname = current_user)
        AND NOT rolsuper AND NOT rolbypassrls
        AND (relforcerowsecurity OR NOT pg_has_role(pg_roles.oid, relowner, 'USAGE'))
    ORDER BY relname, rolname
""")  # noqa: S608 -- of constants
_DEFAULTS = text(f"""
    SELECT DISTINCT {_NAME} AS grantee, quote_ident(pg_get_userbyid(defaclrole)) AS maker,
        CASE defaclnamespace WHEN 0 THEN '' ELSE ' IN SCHEMA public' END AS place,
        CASE defaclobjtype WHEN 'r' THEN 'TABLES' ELSE 'FUNCTIONS' END AS things
    FROM pg_default_acl, aclexplode(defaclacl)
    WHERE defaclnamespace IN (0, to_regnamespace('public')) AND defaclobjtype IN ('r', 'f')
        AND (defaclrole = current_user::regrole OR defaclrole IN (SELECT relowner FROM ({_OURS}) o))
        AND grantee <> defaclrole AND {_IS_FOREIGN.format(owner="defaclrole")}
        -- Built in: a migration takes it back where it matters.
        AND NOT (defaclobjtype = 'f' AND grantee = 0)
    ORDER BY 1, 4
""")  # noqa: S608 -- of constants
_GRANTED = text(f"""
    WITH ours AS ({_OURS}), granted AS (
        SELECT 'TABLE ' || quote_ident(relname) AS thing, relowner AS owner, acl.grantee
        FROM ours, aclexplode(relacl) acl
        UNION
        SELECT 'TABLE ' || quote_ident(relname), relowner, acl.grantee
        FROM ours JOIN pg_attribute ON attrelid = ours.oid, aclexplode(attacl) acl
        UNION
        SELECT 'FUNCTION ' || pg_proc.oid::regprocedure, proowner, acl.grantee
        FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) acl
        WHERE pronamespace = to_regnamespace('public') AND proname = ANY(:functions) AND prosecdef
    )
    SELECT DISTINCT {_NAME} AS grantee, thing FROM granted
    WHERE grantee <> owner AND {_IS_FOREIGN.format(owner="owner")}
    ORDER BY 1, 2
""")  # noqa: S608 -- of constants


class NotUsable(Exception):
    """Migrate cannot work with this database or role. One sentence, with the cure."""


def check(connection: Connection) -> None:
    """Check that migrate can begin, and set the connection's settings for the session.

    Raises NotUsable. Nothing of the database is changed.
    """
    driver = connection.connection.dbapi_connection
    if isinstance(driver, wire.Connection):
        if driver.process_id != _process(connection) and _is_shared(connection):
            raise NotUsable(
                "DATABASE_URL leads to a pooler that gives each transaction another connection, on"
                " which the lock of migrate would be lost: connect migrate to the database itself,"
                " or to the pooler's session mode (Neon: the host without -pooler; Supabase: port"
                " 5432)."
            )
        driver.settle()
    refusal = next(_refusals(connection), None)
    connection.rollback()
    if refusal is not None:
        raise NotUsable(refusal)


def _is_shared(connection: Connection) -> bool:
    """Whether a pooler gives this connection's server process to another client.

    In its session mode it does not. Where sessions take all of its connections, the other client is
    kept waiting.
    """
    with (
        suppress(OSError, DBAPIError, pg8000.Error),
        engine.migration_engine(timeout=_PATIENCE).connect() as other,
    ):
        for _ in range(_TRIES):
            before = _process(connection)
            with other.begin():
                if _process(other, end=False) == before or _process(connection) != before:
                    return True
    return False


def _process(connection: Connection, *, end: bool = True) -> int:
    found = int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
    if end:
        connection.rollback()
    return found


def _refusals(connection: Connection) -> Iterator[str]:
    facts = connection.execute(_FACTS).one()
    if facts.encoding != "UTF8":
        yield (
            f"The database {facts.database} has the encoding {facts.encoding}, in which names"
            f" cannot be stored: make one in UTF8 (CREATE DATABASE {facts.database} ENCODING 'UTF8'"
            " TEMPLATE template0) and migrate that."
        )
    if facts.major < _OLDEST:
        yield (
            f"The server is PostgreSQL {facts.version}: upgrade it to {_OLDEST} or later, or use"
            " another one."
        )
    if facts.is_standby:
        yield ("The server is a standby, which takes no writes: let DATABASE_URL name the primary.")
    if facts.is_read_only:
        yield (
            f"The database {facts.database} is read-only (default_transaction_read_only), as hosts"
            " make it when the disk is full: make room, then run SET default_transaction_read_only"
            f" = off; ALTER DATABASE {facts.database} RESET default_transaction_read_only;"
            f" ALTER ROLE {facts.me} RESET default_transaction_read_only."
        )
    if facts.triggers_of != "origin":
        yield (
            f"Foreign keys do nothing in the database {facts.database} (session_replication_role ="
            f" {facts.triggers_of}), so what belongs to a deleted person would stay: run ALTER"
            f" DATABASE {facts.database} RESET session_replication_role; ALTER ROLE {facts.me}"
            " RESET session_replication_role."
        )
    if not facts.has_public:
        yield (
            f"The database {facts.database} has no schema public: run CREATE SCHEMA public"
            f" AUTHORIZATION {facts.me}."
        )
    if not facts.may_create:
        yield (
            f"The role {facts.me} may not make tables in schema public of {facts.database}: run"
            f" ALTER DATABASE {facts.database} OWNER TO {facts.me}, or GRANT CREATE ON SCHEMA"
            f" public TO {facts.me}."
        )
    yield from _refusals_of_tables(connection, facts)


def _refusals_of_tables(connection: Connection, facts: Any) -> Iterator[str]:
    ours = {"tables": list(TABLES)}
    if others := connection.execute(_OF_OTHERS, ours).all():
        commands = "; ".join(
            f"ALTER TABLE public.{each.name} OWNER TO {facts.me}" for each in others
        )
        names, owners = (_list(column) for column in zip(*others, strict=True))
        yield (
            f"{names} belong to {owners}, not to {facts.me}: migrate as the owner, or run"
            f" {commands}."
        )
    if hidden := connection.execute(_HIDDEN, ours | {"roles": list(ROLES)}).all():
        commands = "; ".join(
            f"ALTER TABLE public.{name} DISABLE ROW LEVEL SECURITY"
            for name in dict.fromkeys(each.name for each in hidden)
        )
        yield (
            f"Row level security hides rows of {_list(each.name for each in hidden)} from"
            f" {_list(each.role for each in hidden)}: run {commands}."
        )
    roles = ours | {"roles": list(ROLES)}
    if defaults := connection.execute(_DEFAULTS, roles).all():
        commands = "; ".join(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {each.maker}{each.place} REVOKE ALL ON"
            f" {each.things} FROM {each.grantee}"
            for each in defaults
        )
        yield (
            f"By default privileges of {_list(each.maker for each in defaults)},"
            f" {_list(each.grantee for each in defaults)} would get rights to what migrate makes:"
            f" migrate as a role of its own, such as draugar_owner of docs/operations.md, or run"
            f" {commands}."
        )
    if granted := connection.execute(
        _GRANTED, roles | {"functions": list(WITH_OWNERS_RIGHTS)}
    ).all():
        commands = "; ".join(f"REVOKE ALL ON {each.thing} FROM {each.grantee}" for each in granted)
        yield (
            f"{_list(each.grantee for each in granted)} may use what only Draugar's roles should:"
            f" run {commands}. (A role that has to read everything gets pg_read_all_data.)"
        )


def _list(names: Any) -> str:
    return ", ".join(dict.fromkeys(names))
