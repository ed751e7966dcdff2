"""The largest answers that members can bring about in a group that is as full as it can be."""

import secrets
from uuid import UUID

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from chalicelib.models import User
from tests import factories
from tests.api import Api
from tests.factories import Someone

MEBIBYTE = 1024 * 1024
MOST_OF_KEYS = 3_000_000

# 50 people of 64 letters, 150 devices, 120 versions, each thing in them as large as it can be.
FULL = """
    INSERT INTO users (name) SELECT repeat('\U0001f600', 64) FROM generate_series(1, 49);
    INSERT INTO group_members (group_id, user_id, role)
        SELECT :group_id, id, 'member' FROM users WHERE id <> :una;
    INSERT INTO devices (user_id, name, kind, public_key, token_hash)
        SELECT id, repeat('\U0001f600', 64), 'app', sha256(uuid_send(new_id())),
            sha256(uuid_send(new_id()))
        FROM users, generate_series(1, 3) number WHERE id <> :una OR number < 3;
    INSERT INTO group_keys (group_id, key_version, commitment, roster, statement)
        SELECT :group_id, version, sha256('key'),
            decode(repeat('ab', 16384), 'hex'), decode(repeat('ab', 57344), 'hex')
        FROM generate_series(1, 120) version;
    UPDATE groups SET key_version = 120 WHERE id = :group_id;
    INSERT INTO key_envelopes (group_id, key_version, user_id, device_id, wrapped_key,
            wrapper_public_key, wrapper_device_id, roster_entry, former)
        SELECT :group_id, version, user_id, id, decode(repeat('ab', 72), 'hex'), public_key, id,
            decode(repeat('ab', 4096), 'hex'), decode(repeat('ab', 256), 'hex')
        FROM devices, generate_series(1, 120) version
        WHERE version > 118 OR id = :device_id;
    INSERT INTO further_envelopes (group_id, key_version, user_id, device_id, wrapped_key,
            wrapper_public_key, wrapper_device_id, former)
        SELECT :group_id, version, :una, :device_id, decode(repeat('ab', 72), 'hex'), public_key,
            id, decode(repeat('ab', 256), 'hex')
        FROM devices, generate_series(1, 120) version
        WHERE id <> :device_id AND (version = 120 OR get_byte(public_key, 0) < 32);
    INSERT INTO vouches (group_id, key_version, device_id, user_id, voucher_device_id, voucher_id,
            entry)
        SELECT :group_id, 120, one.id, one.user_id, other.id, other.user_id,
            decode(repeat('ab', 768), 'hex')
        FROM devices one, devices other WHERE get_byte(other.public_key, 0) < 32;
    INSERT INTO device_cards (device_id, group_id, user_id, key_version, sealed)
        SELECT id, :group_id, user_id, 120, decode(repeat('ab', 3072), 'hex') FROM devices;
    INSERT INTO invite_codes (group_id, code_hash, created_by, used_by, used_by_device_id, used_at,
            join_proof)
        SELECT :group_id, sha256(uuid_send(new_id())), :una, user_id, id, now(), sha256('proof')
        FROM devices;
"""


@pytest.fixture
def una(api: Api, session: Session) -> Someone:
    del api
    return factories.with_key(session, name="Una")


@pytest.fixture
def hearth(session: Session, una: Someone) -> UUID:
    """A group that is as full as it can be."""
    group_id = factories.group(session, una)
    values = {"group_id": group_id, "una": una.user_id, "device_id": una.device_id}
    for statement in FULL.split(";\n"):
        if statement.strip():
            bound = text(statement)
            known = {name: values[name] for name in values if f":{name}" in statement}
            session.execute(bound, known)
    session.execute(update(User).values(name="\U0001f600" * 64))
    session.commit()
    return group_id


def test_no_answer_about_keys_and_people_is_larger_than_it_may_be(
    hearth: UUID, una: Someone
) -> None:
    by_una = Api(una.token)
    path = f"/api/groups/{hearth}/keys"

    keys = by_una.get(path, form="2")
    former = by_una.get(path, form="2", before=str(keys.json["nextBefore"]))
    in_form_1 = by_una.get(path)
    others = {
        "people": by_una.get("/api/users", groupId=str(hearth), form="2"),
        "all people": by_una.get("/api/users"),
        "groups": by_una.get("/api/groups", form="2"),
        "pending": by_una.get(f"{path}/pending"),
        "former versions": former,
    }

    shown = keys.json
    assert len(shown["versions"]) == 100
    assert sum("statement" in version for version in shown["versions"]) == 20
    assert len(shown["vouches"]) == 600
    assert [len(told["rosterEntries"]) for told in (shown, in_form_1.json)] == [50, 100]
    at_present = [sent for sent in shown["envelopes"] if sent["keyVersion"] == 120]
    assert len(at_present) == 150
    assert len(shown["envelopes"]) == 150 + 99 * 4
    assert [len(former.json["versions"]), len(former.json["envelopes"])] == [20, 80]
    devices = [
        device
        for person in others["people"].json["users"]
        for group in person["groups"]
        for device in group["devices"]
    ]
    assert len(devices) == sum("card" in device for device in devices) == 150
    sizes = {name: len(answer.text.encode()) for name, answer in others.items()}
    assert {name: size for name, size in sizes.items() if size >= MEBIBYTE} == {}
    assert len(in_form_1.text.encode()) < MOST_OF_KEYS
    assert 2_500_000 < len(keys.text.encode()) < MOST_OF_KEYS


def test_in_form_1_the_newest_five_thousand_versions_are_shown(
    session: Session, una: Someone
) -> None:
    group_id = factories.group(session, una, key_version=1)
    session.execute(
        text(
            "INSERT INTO group_keys (group_id, key_version, commitment)"
            " SELECT :group_id, version, :commitment FROM generate_series(2, 5001) version"
        ),
        {"group_id": group_id, "commitment": secrets.token_bytes(32)},
    )
    session.execute(
        text("UPDATE groups SET key_version = 5001 WHERE id = :group_id"), {"group_id": group_id}
    )
    session.execute(
        text(
            "INSERT INTO key_envelopes (group_id, key_version, user_id, device_id, wrapped_key,"
            " wrapper_public_key, wrapper_device_id) SELECT group_id, version, user_id, device_id,"
            " wrapped_key, wrapper_public_key, wrapper_device_id"
            " FROM key_envelopes, generate_series(2, 5001) version"
        )
    )
    session.commit()

    shown = Api(una.token).get(f"/api/groups/{group_id}/keys")

    versions = [version["keyVersion"] for version in shown.json["versions"]]
    assert versions == list(range(2, 5002))
    assert [sent["keyVersion"] for sent in shown.json["envelopes"]] == versions
    assert len(shown.text.encode()) < MOST_OF_KEYS
