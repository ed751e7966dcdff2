"""A group that is as full as the service lets it be, and groups that were fuller before.

The devices of the others are rows; what their members wrote is as long as it can be.
"""

from dataclasses import replace
from uuid import uuid4

import pytest

from draugar.client import Client
from draugar.protocol.json import from_base64url
from draugar.protocol.secrets import DeviceKey
from draugar.protocol.statements import (
    LAST_NUMBER,
    MOST_DEVICES,
    MOST_GONE,
    MOST_PEOPLE,
    Device,
    DeviceKind,
    Roster,
    open_statement,
)
from draugar.storage import groups
from draugar.trust.values import Name, Record, Source
from tests.client.family import Family, Service, fix
from tests.client.malice import ENVELOPE, LATEST, ROTATE, Forward, Relay, Reply, Request

LONGEST = "\N{GRINNING FACE}" * 64
MEBIBYTE = 1024 * 1024
MOST_OF_A_BODY = 160 * 1024
FULL = (MOST_PEOPLE, MOST_DEVICES)
FULLER = [(MOST_PEOPLE + 1, MOST_DEVICES), (MOST_PEOPLE, MOST_DEVICES + 1), (60, 200)]


def fill(service: Service, una: Client, people: int, devices: int) -> list[Device]:
    """Let so many people be in Una's group with so many devices with keys, and trust them."""
    group_id = una.group().id
    users = [una.user_id, *(uuid4() for _ in range(people - 1))]
    others = [
        Device(users[1:][number % (people - 1)], uuid4(), DeviceKey.make().public, DeviceKind.APP)
        for number in range(devices - 1)
    ]
    service.query(
        "INSERT INTO users (id, name) SELECT id, :name FROM unnest(CAST(:ids AS uuid[])) id",
        name=LONGEST,
        ids=[str(id_) for id_ in users[1:]],
    )
    service.query(
        "INSERT INTO group_members (group_id, user_id, role)"
        " SELECT :group_id, id, 'member' FROM unnest(CAST(:ids AS uuid[])) id",
        group_id=group_id,
        ids=[str(id_) for id_ in users[1:]],
    )
    service.query(
        "INSERT INTO devices (id, user_id, name, kind, public_key, token_hash)"
        " SELECT id, user_id, 'App', 'app', decode(key, 'hex'), sha256(uuid_send(id))"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:users AS uuid[]), CAST(:keys AS text[]))"
        " one (id, user_id, key)",
        ids=[str(one.device_id) for one in others],
        users=[str(one.user_id) for one in others],
        keys=[one.public_key.hex() for one in others],
    )
    with groups.changing(una._home, group_id) as change:
        records = {
            one.device_id: Record(
                device=one, since=1, source=Source.MEMBER, card=Name(LAST_NUMBER, LONGEST)
            )
            for one in others
        }
        # As many have gone before as a roster can name, and one more.
        gone = {
            one.device_id: Record(device=one, since=0, source=Source.MEMBER, observed=1)
            for one in (
                Device(uuid4(), uuid4(), DeviceKey.make().public, DeviceKind.APP)
                for _ in range(MOST_GONE + 1)
            )
        }
        change.trust(replace(change.state.trust, records=records | gone))
    return others


@pytest.fixture
def una(relayed: Family) -> Client:
    """A member whose group has a key, and who speaks through the relay."""
    return relayed.found()


@pytest.mark.parametrize(("people", "devices"), [FULL, *FULLER])
def test_a_key_change_succeeds_at_any_size_whatever_members_wrote(
    service: Service, relay: Relay, una: Client, people: int, devices: int
) -> None:
    others = fill(service, una, people, devices)

    rotation = una.rotate()

    assert {one.id for one in rotation.wrapped_for} == {
        una.device_id,
        *(one.device_id for one in others),
    }
    before = len(relay.received)
    assert una.share([fix(1.0)]).stored == 1
    # No device is given what it has just been given.
    assert [one for one in relay.received[before:] if one.route == ENVELOPE] == []
    assert una.remove(others[0].user_id).is_mine
    sent = [request for request in relay.received if request.route == ROTATE]
    assert max(len(request.content) for request in sent) <= MOST_OF_A_BODY
    roster = stated(una, sent[-2])
    if (people, devices) == FULL:
        assert roster is not None
        assert len(roster.introductions) == devices
        assert (len(roster.gone), roster.complete) == (MOST_GONE, False)
    else:
        assert roster is None


def stated(una: Client, request: Request) -> Roster | None:
    """Return what a new key's author states, if that was within its bounds."""
    sealed: str | None = request.json.get("statement")
    if sealed is None:
        return None
    version = request.json["expectedVersion"] + 1
    key = una._context.group(una.group().id).key(version)
    assert key is not None
    statement = open_statement(from_base64url(sealed), key=key).statement
    assert isinstance(statement, Roster)
    return statement


def test_no_answer_that_a_full_group_brings_about_is_large(
    service: Service, relay: Relay, una: Client
) -> None:
    fill(service, una, *FULL)
    service.query(
        "INSERT INTO locations (id, group_id, user_id, device_id, recorded_at, encrypted_data,"
        " key_version) SELECT point_id, :group_id, user_id, device_id, uuid_time(point_id),"
        " decode(repeat('ab', 4096), 'hex'), 1 FROM"
        " (SELECT new_id() point_id, user_id, d.id device_id FROM devices d"
        " JOIN group_members m USING (user_id) WHERE m.group_id = :group_id) one",
        group_id=una.group().id,
    )
    sizes: dict[str, int] = {}

    def measured(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        assert isinstance(reply.content, bytes)
        sizes[request.route] = max(sizes.get(request.route, 0), len(reply.content))
        return reply

    with relay.telling(measured):
        una.rotate()
        una.where()
        list(una.history())
        una.devices()
        una.invites()
        una.pending()

    assert sizes[LATEST] > 100_000
    assert {route: size for route, size in sizes.items() if size >= MEBIBYTE} == {}
