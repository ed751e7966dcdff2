"""Group keys that several devices make, hand on and come by at the same moment (R3)."""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import (
    Device,
    DeviceCard,
    FurtherEnvelope,
    Group,
    GroupKey,
    InviteCode,
    KeyEnvelope,
    Vouch,
)
from chalicelib.web import to_base64
from tests import factories
from tests.api import Reply
from tests.database import Server
from tests.factories import Someone, new_key, opaque
from tests.faults.holding import Holding
from tests.faults.processes import Call, Processes, own_database, perform

ROTATIONS, PROCESSES = 50, 5
ROUNDS = 6
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database for all of these tests, which are about groups of their own."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture(scope="module")
def processes(url: str) -> Iterator[Processes]:
    threads = ROTATIONS // PROCESSES
    with Processes(url, count=PROCESSES, threads=threads) as processes:
        yield processes


@pytest.fixture(autouse=True)
def no_deadlock(session: Session) -> Iterator[None]:
    """Not even one that was overcome by a second try."""
    before = session.scalar(text(DEADLOCKS))
    yield
    session.rollback()
    assert session.scalar(text(DEADLOCKS)) == before


@pytest.fixture
def una(session: Session) -> Someone:
    return factories.with_key(session, name="Una")


@pytest.fixture
def ari(session: Session) -> Someone:
    return factories.with_key(session, name="Ari")


def rotate(group_id: UUID, by: Someone, key: dict[str, Any]) -> Call:
    return Call("POST", f"/api/groups/{group_id}/keys", key, token=by.token)


def hand_on(group_id: UUID, by: Someone, to: Someone) -> Call:
    path = f"/api/groups/{group_id}/keys/1/envelopes/{to.device_id}"
    return Call("PUT", path, {"wrappedKey": opaque()}, token=by.token)


def joining(code: str, public_key: str) -> Call:
    body = {"code": code, "name": "Signy", "device": {"publicKey": public_key}}
    address = str(IPv4Address(secrets.randbits(31)))  # the limiter counts by it
    return Call("POST", "/api/auth/join", body, address=address)


def carrying(group_id: UUID, by: Someone) -> Call:
    """Make an invite that carries the first key."""
    package = {
        "groupId": str(group_id),
        "code": Code.make(None).text,
        "keyPackage": opaque(400),
        "keyVersion": 1,
    }
    return Call("POST", "/api/invites", package, token=by.token)


def keyed(session: Session, *members: Someone) -> list[UUID]:
    """Make a group with a key for each round."""
    return [factories.group(session, *members, key_version=1) for _ in range(ROUNDS)]


def envelope(session: Session, group_id: UUID, device_id: UUID, version: int = 1) -> bytes | None:
    """Return a device's wrapped key as it is now."""
    session.rollback()
    return session.scalars(
        select(KeyEnvelope.wrapped_key).filter_by(
            group_id=group_id, device_id=device_id, key_version=version
        )
    ).one_or_none()


@pytest.mark.parametrize("first_version", [0, 1])
def test_of_fifty_new_keys_at_once_one_is_taken(
    session: Session, processes: Processes, una: Someone, first_version: int
) -> None:
    phones = [una, *(factories.further_device(session, una) for _ in range(ROTATIONS - 1))]
    group_id = factories.group(session, una, key_version=first_version)
    if first_version:
        for phone in phones[1:]:
            factories.confirm(session, group_id, phone, first_version)
    keys = [new_key(first_version, phone) for phone in phones]

    replies = processes.each(
        perform, [rotate(group_id, *one) for one in zip(phones, keys, strict=True)]
    )

    assert Counter(reply.status for reply in replies) == {201: 1, 409: ROTATIONS - 1}
    assert {reply.code for reply in replies if reply.status == 409} == {"key_version_conflict"}
    winner = next(number for number, reply in enumerate(replies) if reply.status == 201)
    session.rollback()
    present = session.get_one(Group, group_id).key_version
    commitments = session.scalars(
        select(GroupKey.commitment).filter_by(group_id=group_id, key_version=present)
    ).all()
    assert present == first_version + 1
    assert [to_base64(commitment) for commitment in commitments] == [keys[winner]["commitment"]]
    holders = session.scalars(
        select(KeyEnvelope.device_id).filter_by(group_id=group_id, key_version=present)
    ).all()
    assert holders == [phones[winner].device_id]


def test_of_two_envelopes_for_one_device_the_first_stays(
    session: Session, processes: Processes, una: Someone, ari: Someone
) -> None:
    bera = factories.with_key(session)
    kept, sent = [], []

    for group_id in keyed(session, una, ari):
        factories.add_member(session, group_id, bera)
        calls = [hand_on(group_id, who, bera) for who in (una, ari)]
        replies = processes.each(perform, calls)
        assert sorted(reply.status for reply in replies) == [204, 409]
        sent += [call.body for call, reply in zip(calls, replies, strict=True) if not reply.text]
        kept.append(envelope(session, group_id, bera.device_id))

    assert [to_base64(key or b"") for key in kept] == [body["wrappedKey"] for body in sent]


def test_the_joiner_and_a_member_may_both_wrap_the_key_for_the_joiner(
    session: Session, processes: Processes, una: Someone
) -> None:
    signy = factories.with_key(session)
    kept, sent = [], []

    for group_id in keyed(session, una):
        factories.add_member(session, group_id, signy)
        factories.admit(session, group_id, signy, 1)
        calls = [hand_on(group_id, who, signy) for who in (una, signy)]
        replies = processes.each(perform, calls)
        assert sorted(reply.status for reply in replies) == [204, 409]
        sent += [call.body for call, reply in zip(calls, replies, strict=True) if not reply.text]
        kept.append(envelope(session, group_id, signy.device_id))

    assert [to_base64(key or b"") for key in kept] == [body["wrappedKey"] for body in sent]


def test_the_same_envelope_many_times_at_once_is_kept_once(
    session: Session, processes: Processes, una: Someone, ari: Someone
) -> None:
    (group_id, *_) = keyed(session, una)
    factories.add_member(session, group_id, ari)

    replies = processes.each(perform, [hand_on(group_id, una, ari)] * 20)

    assert [reply.status for reply in replies] == [204] * 20
    assert envelope(session, group_id, ari.device_id)


def test_a_removed_member_is_left_without_an_envelope_however_it_is_given_meanwhile(
    session: Session, processes: Processes, una: Someone, ari: Someone
) -> None:
    bera = factories.with_key(session)
    factories.group(session, bera)
    statuses = set()

    for group_id in keyed(session, una, ari):
        factories.add_member(session, group_id, bera)
        path = f"/api/groups/{group_id}/members/{bera.user_id}"
        removal = Call("DELETE", path, token=una.token)
        gave, removed = processes.each(perform, [hand_on(group_id, ari, bera), removal])
        assert removed.status == 204
        assert envelope(session, group_id, bera.device_id) is None
        statuses.add(gave.status)

    assert statuses <= {204, 404}


def test_a_new_key_for_a_device_that_is_being_revoked_is_refused_or_has_to_be_replaced(
    session: Session, processes: Processes, una: Someone
) -> None:
    seen = set()

    for group_id in keyed(session, una):
        tablet = factories.further_device(session, una)
        revocation = Call("DELETE", f"/api/devices/{tablet.device_id}", token=una.token)
        rotation = rotate(group_id, una, new_key(1, una, tablet))
        rotated, revoked = processes.each(perform, [rotation, revocation])
        assert revoked.status == 204
        session.rollback()
        group = session.get_one(Group, group_id)
        seen.add((rotated.status, group.key_version, group.rotation_required))

    # Revoked first it was never given a key, and costs none.
    assert seen <= {(201, 2, True), (422, 1, False)}


def test_a_rotation_and_a_revocation_of_who_rotates_leave_nobody_in_doubt(
    session: Session, processes: Processes, una: Someone, ari: Someone
) -> None:
    seen = set()

    for group_id in keyed(session, ari):
        factories.add_member(session, group_id, una)
        tablet = factories.further_device(session, una)
        factories.confirm(session, group_id, tablet, 1)
        revocation = Call("DELETE", f"/api/devices/{tablet.device_id}", token=una.token)
        rotation = rotate(group_id, tablet, new_key(1, tablet))
        rotated, revoked = processes.each(perform, [rotation, revocation])
        assert revoked.status == 204
        session.rollback()
        group = session.get_one(Group, group_id)
        seen.add((rotated.status, group.key_version, group.rotation_required))

    assert seen <= {(201, 2, True), (401, 1, True)}


def met(url: str, processes: Processes, entering: Call, revocation: Call) -> list[Reply]:
    """Let a device's revocation wait for it to enter a group; the last answer is of a repeat."""
    with Processes(url, count=1) as other, Holding.of(url, "INSERT ON group_members") as holding:
        processes.begin(perform, [entering])
        assert holding.has(1)
        other.begin(perform, [revocation])
        assert holding.keeps_waiting(1)
        holding.let_go()
        replies = [*processes.results(), *other.results()]
        return [*replies, *other.each(perform, [revocation])]


def test_a_device_that_is_revoked_while_it_comes_by_a_key_leaves_none_that_it_knows(
    url: str, session: Session, processes: Processes, una: Someone, ari: Someone
) -> None:
    group_id = factories.group(session, una, key_version=1)
    tablet = factories.further_device(session, ari)
    factories.group(session, ari, key_version=1)
    (made,) = processes.each(perform, [carrying(group_id, una)])
    entering = Call("POST", "/api/groups/join", {"code": made.json["code"]}, token=ari.token)
    revocation = Call("DELETE", f"/api/devices/{ari.device_id}", token=tablet.token)

    entered, revoked, again = met(url, processes, entering, revocation)

    assert (entered.status, revoked.status, again.status) == (200, 503, 204)
    assert "keyPackage" in entered.json
    session.rollback()
    assert session.get_one(Group, group_id).rotation_required


def test_nor_does_one_without_a_key_leave_an_invite_where_it_has_just_come_in(
    url: str, session: Session, processes: Processes, una: Someone
) -> None:
    ari = factories.someone(session)
    tablet = factories.further_device(session, ari)
    factories.group(session, ari)
    code = factories.invite(session, group_id=factories.group(session, una), by=una).text
    entering = Call("POST", "/api/groups/join", {"code": code}, token=ari.token)
    revocation = Call("DELETE", f"/api/devices/{ari.device_id}", token=tablet.token)

    entered, revoked, again = met(url, processes, entering, revocation)

    assert (entered.status, revoked.status, again.status) == (200, 503, 204)


def test_a_joiner_who_waits_for_a_rotation_is_given_no_former_key(
    url: str, session: Session, processes: Processes, una: Someone
) -> None:
    group_id = factories.group(session, una, key_version=1)
    (made,) = processes.each(perform, [carrying(group_id, una)])

    with Processes(url, count=1) as other, Holding.of(url, "INSERT ON group_keys") as holding:
        processes.begin(perform, [rotate(group_id, una, new_key(1, una))])
        assert holding.has(1)
        other.begin(perform, [joining(made.json["code"], opaque(32))])
        assert holding.keeps_waiting(1)
        holding.let_go()
        (rotated,), (joined,) = processes.results(), other.results()

    assert (rotated.status, joined.status) == (201, 201)
    assert joined.json.keys() == {"token", "user", "device", "group"}
    device_id = UUID(joined.json["device"]["id"])
    assert envelope(session, group_id, device_id) is None
    assert session.scalars(select(KeyEnvelope.id).filter_by(device_id=device_id)).all() == []
    packages = select(InviteCode.key_package).filter_by(group_id=group_id)
    assert session.scalars(packages).all() == [None]


def test_a_rotation_that_waits_for_a_joiner_leaves_them_pending(
    url: str, session: Session, processes: Processes, una: Someone
) -> None:
    group_id = factories.group(session, una, key_version=1)
    (made,) = processes.each(perform, [carrying(group_id, una)])

    with Processes(url, count=1) as other, Holding.of(url, "INSERT ON key_envelopes") as holding:
        other.begin(perform, [joining(made.json["code"], opaque(32))])
        assert holding.has(1)
        processes.begin(perform, [rotate(group_id, una, new_key(1, una))])
        assert holding.keeps_waiting(1)
        holding.let_go()
        (joined,), (rotated,) = other.results(), processes.results()

    assert (joined.status, rotated.status) == (201, 201)
    assert joined.json["keyVersion"] == 1
    keys = Call("GET", f"/api/groups/{group_id}/keys", token=joined.json["token"])
    (shown,) = processes.each(perform, [keys])
    assert (shown.json["keyVersion"], shown.json["confirmed"]) == (2, False)


def test_of_many_who_join_by_one_package_one_is_given_it(
    session: Session, processes: Processes, una: Someone
) -> None:
    group_id = factories.group(session, una, key_version=1)
    (made,) = processes.each(perform, [carrying(group_id, una)])
    code = made.json["code"]

    replies = processes.each(perform, [joining(code, opaque(32)) for _ in range(8)])

    assert Counter(reply.status for reply in replies) == {201: 1, 404: 7}
    assert sum("keyPackage" in reply.json for reply in replies) == 1
    session.rollback()
    assert len(session.scalars(select(KeyEnvelope.id).filter_by(group_id=group_id)).all()) == 2


def test_of_two_public_keys_for_one_device_the_first_stays(
    session: Session, processes: Processes, una: Someone
) -> None:
    phones = [factories.further_device(session, una, public_key=None) for _ in range(ROUNDS)]
    factories.group(session, una, key_version=1)
    kept, sent = [], []

    for phone in phones:
        keys = [opaque(32), opaque(32)]
        calls = [
            Call("POST", "/api/crypto/register-key", {"publicKey": key}, token=phone.token)
            for key in keys
        ]
        replies = processes.each(perform, calls)
        assert sorted(reply.code for reply in replies) == ["key_pending", "public_key_set"]
        sent += [key for key, reply in zip(keys, replies, strict=True) if reply.status == 404]
        session.rollback()
        kept.append(session.get_one(Device, phone.device_id).public_key)

    assert [to_base64(key or b"") for key in kept] == sent


def test_an_invite_that_is_asked_for_many_times_at_once_is_one(
    session: Session, processes: Processes, una: Someone
) -> None:
    group_id = factories.group(session, una, key_version=1)

    replies = processes.each(perform, [carrying(group_id, una)] * 12)

    assert {(reply.status, reply.text) for reply in replies} == {(201, replies[0].text)}
    session.rollback()
    assert len(session.scalars(select(InviteCode.id).filter_by(group_id=group_id)).all()) == 1


# --- What form 2 adds


def give(group_id: UUID, by: Someone, to: Someone) -> Call:
    called = hand_on(group_id, by, to)
    return replace(called, path=f"{called.path}?form=2")


def vouch(group_id: UUID, by: Someone, about: Someone) -> Call:
    path = f"/api/groups/{group_id}/keys/1/vouches/{about.device_id}"
    return Call("PUT", path, {"entry": opaque(100)}, token=by.token)


def card(group_id: UUID, by: Someone) -> Call:
    body = {"keyVersion": 1, "sealed": opaque(100)}
    return Call("PUT", f"/api/groups/{group_id}/card", body, token=by.token)


def rows(session: Session, table: Any, group_id: UUID) -> list[Any]:
    session.rollback()
    return list(session.scalars(select(table).filter_by(group_id=group_id)))


def test_two_wrappers_at_once_each_have_an_envelope_in_form_2(
    session: Session, processes: Processes, una: Someone, ari: Someone
) -> None:
    bera = factories.with_key(session)

    for group_id in keyed(session, una, ari):
        factories.add_member(session, group_id, bera)
        replies = processes.each(perform, [give(group_id, who, bera) for who in (una, ari)] * 5)
        # Each call has bytes of its own, and is sent five times.
        assert [reply.status for reply in replies] == [204] * 10
        kept = [
            row.wrapper_device_id
            for table in (KeyEnvelope, FurtherEnvelope)
            for row in rows(session, table, group_id)
            if row.device_id == bera.device_id
        ]
        assert sorted(kept) == sorted([una.device_id, ari.device_id])


@pytest.mark.parametrize("said", ["a vouch", "a card"])
def test_what_a_device_says_many_times_at_once_is_kept_once(
    session: Session, processes: Processes, una: Someone, ari: Someone, said: str
) -> None:
    for group_id in keyed(session, una, ari):
        calls = [
            vouch(group_id, una, ari) if said == "a vouch" else card(group_id, una)
            for _ in range(10)
        ]
        replies = processes.each(perform, calls)
        assert [reply.status for reply in replies] == [204] * 10
        assert len(rows(session, Vouch if said == "a vouch" else DeviceCard, group_id)) == 1


@pytest.mark.parametrize("said", [vouch, card, give])
def test_what_is_said_under_a_key_that_is_just_replaced_is_refused(  # noqa: PLR0913, PLR0917
    url: str,
    session: Session,
    processes: Processes,
    una: Someone,
    ari: Someone,
    said: Any,
) -> None:
    group_id = factories.group(session, una, ari, key_version=1)
    bera = factories.with_key(session)
    factories.add_member(session, group_id, bera)
    late = card(group_id, ari) if said is card else said(group_id, ari, bera)

    with Processes(url, count=1) as other, Holding.of(url, "INSERT ON group_keys") as holding:
        processes.begin(perform, [rotate(group_id, una, new_key(1, una))])
        assert holding.has(1)
        other.begin(perform, [late])
        assert holding.keeps_waiting(1)
        holding.let_go()
        (rotated,), (refused,) = processes.results(), other.results()

    # Who is left out of the new key is not confirmed any more.
    assert (rotated.status, refused.status, refused.code) == (201, 403, "not_confirmed")
    assert rows(session, Vouch, group_id) == rows(session, DeviceCard, group_id) == []
    assert rows(session, FurtherEnvelope, group_id) == []


@pytest.mark.parametrize("goes", ["who vouches", "who is vouched for"])
def test_no_vouch_is_left_of_a_member_who_is_being_removed(
    session: Session, processes: Processes, una: Someone, ari: Someone, goes: str
) -> None:
    bera = factories.with_key(session)
    factories.group(session, bera)
    statuses = set()

    for group_id in keyed(session, una, ari):
        factories.add_member(session, group_id, bera)
        factories.confirm(session, group_id, bera, 1)
        said = vouch(group_id, bera, ari) if goes == "who vouches" else vouch(group_id, ari, bera)
        path = f"/api/groups/{group_id}/members/{bera.user_id}"
        told, removed = processes.each(perform, [said, Call("DELETE", path, token=una.token)])
        assert removed.status == 204
        assert rows(session, Vouch, group_id) == []
        statuses.add(told.status)

    assert statuses <= {204, 404}


def test_an_envelope_that_is_given_back_while_another_comes_leaves_one_or_none_but_the_new(
    session: Session, processes: Processes, una: Someone, ari: Someone
) -> None:
    bera = factories.with_key(session)

    for group_id in keyed(session, una, ari):
        factories.add_member(session, group_id, bera)
        (first,) = processes.each(perform, [give(group_id, una, bera)])
        back = replace(hand_on(group_id, bera, bera), method="DELETE", body=None)
        second, given_back = processes.each(perform, [give(group_id, ari, bera), back])
        assert (first.status, second.status, given_back.status) == (204, 204, 204)
        kept = [
            row for row in rows(session, KeyEnvelope, group_id) if row.device_id == bera.device_id
        ]
        assert [row.wrapper_device_id for row in kept] == [ari.device_id]
        assert rows(session, FurtherEnvelope, group_id) == []
