"""Each function's role can do its function's work, and nothing else."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pg8000.native import DatabaseError
from sqlalchemy.orm import Session

from chalicelib.db.failure import sqlstate
from tests import factories
from tests.database import Server, connect
from tests.faults.pgbouncer import pgbouncer
from tests.faults.processes import Call, Processes, invoke, own_database, perform
from tests.owntracks import basic
from tests.servers import serving

API, PURGE, MAINTENANCE = "draugar_api", "draugar_purge", "draugar_maintenance"
PASSWORD = "opens-nothing-outside-a-test"

TABLES: dict[str, Mapping[str, str]] = {
    API: {
        "alembic_version": "SELECT",
        "departed_tids": "INSERT SELECT UPDATE",
        "device_cards": "INSERT SELECT UPDATE",
        "devices": "INSERT SELECT UPDATE",
        "erased_points": "INSERT SELECT",
        "further_envelopes": "DELETE INSERT SELECT",
        "given_keys": "INSERT SELECT",
        "group_keys": "INSERT SELECT",
        "group_members": "DELETE INSERT SELECT UPDATE",
        "groups": "DELETE INSERT SELECT UPDATE",
        "invite_codes": "INSERT SELECT UPDATE",
        "key_envelopes": "DELETE INSERT SELECT UPDATE",
        "locations": "DELETE INSERT SELECT",
        "owntracks_cards": "INSERT SELECT UPDATE",
        "owntracks_served": "INSERT SELECT UPDATE",
        "owntracks_transitions": "INSERT SELECT",
        "rate_limits": "DELETE INSERT SELECT UPDATE",
        "users": "DELETE INSERT SELECT UPDATE",
        "vouches": "DELETE INSERT SELECT UPDATE",
    },
    PURGE: {"invite_codes": "DELETE SELECT UPDATE"},
    MAINTENANCE: {
        "departed_tids": "DELETE SELECT",
        "devices": "SELECT UPDATE",
        "erased_points": "DELETE SELECT",
        "group_members": "SELECT",
        "groups": "SELECT",
        "locations": "DELETE SELECT",
        "owntracks_transitions": "DELETE SELECT",
        "rate_limits": "DELETE SELECT UPDATE",
        "users": "DELETE SELECT UPDATE",
    },
}
# What PUBLIC may call too, unless the operator has taken it back.
CALLED_BY_ALL = {
    *("delete_points_past_retention", "is_erased", "location_is_stored", "new_id"),
    *("newest_of_member", "points_of_member", "points_of_member_after", "uuid_time"),
}
FUNCTIONS = {
    API: {"make_location_partitions"},
    PURGE: set[str](),
    MAINTENANCE: {"drop_location_partitions", "make_location_partitions"},
}


# A group with a key, and one device that holds it.
HEARTH = [
    "INSERT INTO users (name) VALUES ('Una')",
    """
    INSERT INTO devices (user_id, name, kind, token_hash, public_key)
    SELECT id, 'Phone', 'app', sha256('token'), sha256('key') FROM users
    """,
    "INSERT INTO groups (name, key_version) VALUES ('Hearth', 1)",
    """
    INSERT INTO group_members (group_id, user_id, role)
    SELECT groups.id, users.id, 'admin' FROM groups, users
    """,
    """
    INSERT INTO group_keys (group_id, key_version, commitment)
    SELECT id, 1, sha256('key') FROM groups
    """,
    """
    INSERT INTO key_envelopes (group_id, key_version, user_id, device_id,
        wrapped_key, wrapper_public_key, wrapper_device_id)
    SELECT group_members.group_id, 1, user_id, devices.id,
        decode(repeat('00', 72), 'hex'), public_key, new_id()
    FROM group_members JOIN devices USING (user_id)
    """,
]


@pytest.fixture
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database that was migrated, and whose operator made the roles afterwards."""
    with server.connect() as operator:
        known = {name for (name,) in operator.run("SELECT rolname FROM pg_roles")}
        made = TABLES.keys() - known
        for role in made:
            operator.run(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    with own_database(server, schema) as url:
        with Processes(url, count=1) as processes:
            processes.each(migrate, [{}])
        yield url
    with server.connect() as operator:
        for role in made:
            operator.run(f"DROP ROLE {role}")


def migrate(event: dict[str, str]) -> dict[str, str]:
    return invoke("migrate", event)


def revoke_all_from_public(url: str) -> None:
    """Take from PUBLIC what PostgreSQL gives it, as operators do, and migrate once more."""
    with connect(url) as operator:
        operator.run("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        operator.run("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    with Processes(url, count=1) as processes:
        processes.each(migrate, [{}])


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{PASSWORD}@{place}"))


def test_what_each_role_may_do_is_what_stands_here(url: str) -> None:
    with connect(url) as operator:
        tables = operator.run("""
            SELECT grantee, table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type)
            FROM information_schema.role_table_grants WHERE grantee LIKE 'draugar@_%' ESCAPE '@'
            GROUP BY grantee, table_name
        """)
        functions = operator.run("""
            SELECT grantee, routine_name FROM information_schema.role_routine_grants
            WHERE grantee LIKE 'draugar@_%' ESCAPE '@'
        """)

    assert {
        role: {table: rights for grantee, table, rights in tables if grantee == role}
        for role in TABLES
    } == TABLES
    assert {
        role: {name for grantee, name in functions if grantee == role} for role in FUNCTIONS
    } == {role: names | CALLED_BY_ALL for role, names in FUNCTIONS.items()}


@pytest.mark.parametrize("of_public", ["kept", "revoked"])
def test_the_apis_role_serves_a_familys_day(url: str, of_public: str) -> None:
    if of_public == "revoked":
        revoke_all_from_public(url)

    with Processes(as_role(url, API), count=1) as processes:

        def send(call: Call) -> dict[str, Any]:
            reply = processes.each(perform, [call])[0]
            assert reply.status < 300, (call, reply)
            return reply.json if reply.text else {}

        code = processes.each(found, [None])[0]["code"]
        device = {"publicKey": factories.opaque(32)}
        una = send(Call("POST", "/api/auth/join", {"code": code, "name": "Una", "device": device}))
        token, path = str(una["token"]), f"/api/groups/{una['group']['id']}"
        invite = send(Call("POST", "/api/invites", {}, token=token))
        send(Call("POST", "/api/invites/validate", {"code": invite["code"]}))
        ari = send(
            Call("POST", "/api/auth/join", {"code": invite["code"], "name": "A", "device": device})
        )
        share_a_key(send, una, ari, device)
        send(Call("POST", "/api/groups", {"name": "Attic", "encryption": "optional"}, token=token))
        attic = send(Call("GET", "/api/groups", token=token))["groups"][-1]["id"]
        point = {"groupId": attic, "latitude": 64.1, "longitude": -21.9, "accuracy": 9}
        send(Call("POST", "/api/locations", point, token=token))
        for read in ("/api/auth/me", "/api/users", "/api/devices", "/api/invites", "/api/export"):
            send(Call("GET", read, token=token))
        send(Call("GET", "/api/health/ready"))
        send(Call("GET", f"/api/locations/latest?groupId={attic}", token=token))
        send(Call("GET", f"/api/locations?groupId={attic}", token=token))
        send(Call("DELETE", f"/api/locations?groupId={attic}", token=token))
        send(Call("PUT", f"{path}/sharing", {"paused": True}, token=token))
        send(Call("PATCH", path, {"retentionDays": 365}, token=token))
        member = f"{path}/members/{ari['user']['id']}"
        send(Call("PATCH", member, {"role": "admin"}, token=token))
        send(Call("DELETE", member, token=token))
        send(Call("POST", "/api/devices", {"name": "Tablet"}, token=token))
        carry_a_phone(send, attic, token)
        send(Call("DELETE", path, token=token))
        send(Call("DELETE", "/api/users/me", token=token))


def test_not_even_the_apis_role_changes_a_key_that_stands(url: str) -> None:
    with connect(url) as operator:
        for row in HEARTH:
            operator.run(row)
    refused = []

    with connect(as_role(url, API)) as connection:
        for attempt in (
            "UPDATE group_keys SET commitment = sha256('another')",
            "DELETE FROM group_keys",
            "UPDATE key_envelopes SET wrapped_key = decode(repeat('01', 72), 'hex')",
            "UPDATE key_envelopes SET wrapper_public_key = sha256('another')",
            "UPDATE devices SET public_key = sha256('another')",
            "UPDATE groups SET encryption = 'optional'",
            "UPDATE groups SET key_version = 0",
        ):
            with pytest.raises(DatabaseError) as caught:
                connection.run(attempt)
            refused.append(sqlstate(caught.value))

    assert refused == ["42501"] * 2 + ["23514"] * 5


def share_a_key(
    send: Callable[[Call], dict[str, Any]],
    una: dict[str, Any],
    ari: dict[str, Any],
    device: dict[str, str],
) -> None:
    """Make a key, hand it on to one member, and let another come by a package with it."""
    path, by = f"/api/groups/{una['group']['id']}", una["token"]
    wrapped = {"wrappedKey": factories.opaque()}
    key = factories.new_key(0) | {"envelopes": [wrapped | {"deviceId": una["device"]["id"]}]}
    send(Call("POST", f"{path}/keys", key, token=by))
    send(Call("GET", f"{path}/keys", token=by))
    send(Call("GET", f"{path}/keys/pending", token=by))
    given = f"{path}/keys/1/envelopes/{ari['device']['id']}"
    send(Call("PUT", given, wrapped, token=by))
    send(Call("POST", "/api/crypto/register-key", device, token=ari["token"]))
    send(Call("GET", "/api/crypto/group-key", token=ari["token"]))
    package = {"code": "RT5WLJ8BK2MNP4QX", "keyPackage": factories.opaque(), "keyVersion": 1}
    send(Call("POST", "/api/invites", package, token=by))
    newcomer = {"code": package["code"], "name": "Bera", "device": device}
    bera = send(Call("POST", "/api/auth/join", newcomer))
    own = f"{path}/keys/1/envelopes/{bera['device']['id']}"
    send(Call("PUT", own, wrapped, token=bera["token"]))
    send(Call("DELETE", own, token=bera["token"]))


def carry_a_phone(send: Callable[[Call], dict[str, Any]], group_id: str, token: str) -> None:
    """Add a phone with OwnTracks, set it up again and let it say what phones do."""
    add = {"name": "Phone", "kind": "owntracks", "groupId": group_id}
    phone = send(Call("POST", "/api/devices", add, token=token))
    phone = send(Call("POST", f"/api/devices/{phone['id']}/renew", token=token))
    sign_in = basic(phone["username"], phone["password"])
    at = int(time.time())
    for message in (
        {"_type": "card", "face": "AAAA"},
        {"_type": "transition", "event": "enter", "tst": at, "wtst": 1},
        {"_type": "location", "lat": 1, "tst": at},
        {"_type": "encrypted", "data": "A" * 80},
        {"_type": "lwt"},
    ):
        send(Call("POST", "/owntracks", message, headers=sign_in))


def found(_: None) -> dict[str, str]:
    return invoke("create_founding_invite", {})


@pytest.mark.parametrize("of_public", ["kept", "revoked"])
@pytest.mark.parametrize(
    ("job", "role"), [("purge_expired_invites", PURGE), ("maintain_locations", MAINTENANCE)]
)
def test_a_job_is_done_by_its_own_role_alone(url: str, job: str, role: str, of_public: str) -> None:
    outcomes = {}
    if of_public == "revoked":
        revoke_all_from_public(url)

    for each in TABLES:
        with Processes(as_role(url, each), count=1) as processes:
            outcomes[each] = processes.each(outcome_of, [job])[0]

    assert outcomes == {each: None if each == role else "42501" for each in TABLES}


SECURED = [[table] for table in ("devices", "group_members", "groups", "users", "locations")]
SECURED.append(["devices", "group_members", "groups", "users", "locations"])


def secure(url: str, tables: list[str]) -> None:
    with connect(url) as operator:
        for table in tables:
            operator.run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")


@pytest.mark.parametrize("tables", SECURED, ids=" ".join)
def test_rows_that_are_hidden_from_a_role_are_an_error_and_never_an_absence(
    url: str, tables: list[str]
) -> None:
    una = settled(url)
    secure(url, tables)

    assert_rows_are_missed(url, url, una)


@pytest.mark.tools("pgbouncer")
@pytest.mark.parametrize("tables", SECURED[-1:], ids=" ".join)
def test_rows_that_are_hidden_behind_a_pooler_are_an_error_too(
    url: str, tables: list[str], tmp_path: Path
) -> None:
    una = settled(url)
    secure(url, tables)

    with ExitStack() as stack:
        for role in (API, MAINTENANCE):
            (tmp_path / role).mkdir()
        through = {
            role: stack.enter_context(pgbouncer(as_role(url, role), tmp_path / role))
            for role in (API, MAINTENANCE)
        }
        assert_rows_are_missed(url, through, una)


def settled(url: str) -> factories.Someone:
    """Store a person with a group and a point who has used nothing for half a year."""
    with serving(url) as engine, Session(engine) as session:
        una = factories.someone(session)
        factories.stored_point(session, factories.group(session, una), una)
        session.commit()
    return una


def assert_rows_are_missed(url: str, urls: str | dict[str, str], una: factories.Someone) -> None:
    def of(role: str) -> str:
        return as_role(urls, role) if isinstance(urls, str) else urls[role]

    with Processes(of(API), count=1) as api, Processes(of(MAINTENANCE), count=1) as maintenance:
        me, latest, ready = (
            api.each(perform, [Call("GET", path, token=una.token)])[0]
            for path in ("/api/auth/me", "/api/locations/latest", "/api/health/ready")
        )
        job = maintenance.each(outcome_of, ["maintain_locations"])[0]
    with connect(url) as operator:
        left = operator.run(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM devices),"
            " (SELECT count(*) FROM locations)"
        )

    assert me.status in (200, 503)
    assert latest.status == 503 or len(latest.json["locations"]) == 1
    assert (ready.status, ready.code) == (503, "rows_hidden")
    assert job is not None
    assert left == [[1, 1, 1]]


def outcome_of(job: str) -> str | None:
    try:
        invoke(job)
    except Exception as error:  # noqa: BLE001
        return str(error).partition(" ")[2][:5]
    return None


@pytest.mark.parametrize("role", TABLES)
def test_no_role_changes_the_schema(url: str, role: str) -> None:
    attempts = [
        "CREATE TABLE mine ()",
        "CREATE FUNCTION mine() RETURNS void LANGUAGE sql AS ''",
        "ALTER TABLE users ADD COLUMN spy text",
        "DROP TABLE locations",
        "TRUNCATE locations",
        "SELECT grant_rights()",
    ]
    refused = []

    with connect(as_role(url, role)) as connection:
        for attempt in attempts:
            with pytest.raises(DatabaseError) as caught:
                connection.run(attempt)
            refused.append(sqlstate(caught.value))

    assert refused == ["42501"] * len(attempts)
