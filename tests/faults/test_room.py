"""Two requests at once for the last room that there is (R1): one of them gets it."""

import secrets
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from chalicelib.auth.credentials import hash_token
from chalicelib.models import Device, Member, User
from tests import factories
from tests.api import Reply
from tests.database import Server
from tests.factories import Someone, opaque
from tests.faults.holding import Holding
from tests.faults.processes import Call, Processes, own_database, perform


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database for all of these tests, which are about groups of their own."""
    with own_database(server, schema) as url:
        yield url


@pytest.fixture(scope="module")
def processes(url: str) -> Iterator[tuple[Processes, Processes]]:
    with Processes(url, count=1) as one, Processes(url, count=1) as other:
        yield one, other


@pytest.fixture
def una(session: Session) -> Someone:
    return factories.with_key(session, name="Una")


@pytest.fixture
def ari(session: Session) -> Someone:
    return factories.with_key(session, name="Ari")


def joining(session: Session, group_id: UUID, by: Someone, *, for_creator: bool = False) -> Call:
    code = factories.invite(session, group_id=group_id, by=by, for_creator=for_creator).text
    body = {"code": code, "name": "Signy", "device": {"publicKey": opaque(32)}}
    address = str(IPv4Address(secrets.randbits(31)))  # the limiter counts by it
    return Call("POST", "/api/auth/join", body, address=address)


def entering(session: Session, who: Someone, group_id: UUID, by: Someone) -> Call:
    code = factories.invite(session, group_id=group_id, by=by).text
    return Call("POST", "/api/groups/join", {"code": code}, token=who.token)


def founding(who: Someone) -> Call:
    return Call("POST", "/api/groups", {"name": "Boat"}, token=who.token)


def registering(session: Session, who: Someone) -> Call:
    bare = factories.further_device(session, who, public_key=None)
    body = {"publicKey": opaque(32)}
    return Call("POST", "/api/crypto/register-key", body, token=bare.token)


def fill(session: Session, group_id: UUID, *, members: int, devices: int = 0) -> None:
    """Put so many people into a group, and so many devices with keys of them."""
    people = session.scalars(
        insert(User).returning(User.id), [{"name": "Oli"} for _ in range(members)]
    ).all()
    rows = [{"group_id": group_id, "user_id": id_, "role": "member"} for id_ in people]
    session.execute(insert(Member), rows)
    for number in range(devices):
        session.add(
            Device(
                user_id=people[number % members],
                name="Phone",
                kind="app",
                public_key=secrets.token_bytes(32),
                token_hash=hash_token(secrets.token_hex(16)),
            )
        )
    session.commit()


Meeting = Callable[[str, Call, Call], list[Reply]]


@pytest.fixture
def met(url: str, processes: tuple[Processes, Processes]) -> Meeting:
    def meet(change: str, first: Call, second: Call) -> list[Reply]:
        """Hold the first request in its change until the second waits for it."""
        one, other = processes
        with Holding.of(url, change) as holding:
            one.begin(perform, [first])
            assert holding.has(1)
            other.begin(perform, [second])
            assert holding.keeps_waiting(1)
            holding.let_go()
            return [*one.results(), *other.results()]

    return meet


def keyed_in(session: Session, group_id: UUID) -> int | None:
    session.rollback()
    return session.scalar(
        select(func.count())
        .select_from(Device)
        .join(Member, Member.user_id == Device.user_id)
        .where(Member.group_id == group_id, Device.public_key.is_not(None))
    )


def test_two_newcomers_do_not_both_become_the_fiftieth_member(
    session: Session, met: Meeting, una: Someone
) -> None:
    hearth = factories.group(session, una)
    fill(session, hearth, members=48)
    calls = [joining(session, hearth, una) for _ in range(2)]

    entered, refused = met("INSERT ON group_members", *calls)

    assert (entered.status, refused.code) == (201, "too_many_members")


@pytest.mark.parametrize("way", ["join", "found"])
def test_a_person_does_not_enter_two_groups_as_the_twentieth(
    session: Session, met: Meeting, una: Someone, ari: Someone, way: str
) -> None:
    for _ in range(19):
        factories.group(session, ari)
    first, second = (entering(session, ari, factories.group(session, una), una) for _ in range(2))
    if way == "found":
        second = founding(ari)

    entered, refused = met("INSERT ON group_members", first, second)

    assert (entered.status, refused.code) == (200, "too_many_groups")


@pytest.mark.parametrize("way", ["join", "register a key", "one of each"])
def test_a_person_does_not_have_two_sixteenth_devices_with_keys(
    session: Session, met: Meeting, una: Someone, way: str
) -> None:
    hearth = factories.group(session, una)
    for _ in range(14):
        factories.further_device(session, una)
    joins = [joining(session, hearth, una, for_creator=True) for _ in range(2)]
    registers = [registering(session, una) for _ in range(2)]
    first, second = {
        "join": joins,
        "register a key": registers,
        "one of each": [registers[0], joins[0]],
    }[way]
    change = "INSERT ON devices" if way == "join" else "UPDATE ON devices"

    _, refused = met(change, first, second)

    assert (refused.status, refused.code) == (409, "too_many_devices")
    assert keyed_in(session, hearth) == 16


@pytest.mark.parametrize("first", ["join", "join for its maker", "enter", "register a key"])
@pytest.mark.parametrize("second", ["join for its maker", "enter", "register a key"])
def test_two_members_do_not_both_bring_a_groups_last_device(  # noqa: PLR0913, PLR0917
    session: Session,
    met: Meeting,
    una: Someone,
    ari: Someone,
    first: str,
    second: str,
) -> None:
    hearth = factories.group(session, una, ari)
    fill(session, hearth, members=30, devices=147)

    def bring(way: str, who: Someone) -> Call:
        # In another of the person's groups, which has room.
        if way == "join for its maker":
            return joining(session, factories.group(session, who), who, for_creator=True)
        if way == "enter":
            return entering(session, factories.with_key(session), hearth, who)
        return registering(session, who) if way != "join" else joining(session, hearth, who)

    change = "UPDATE ON devices" if first == "register a key" else "INSERT ON devices"
    change = "INSERT ON group_members" if first == "enter" else change
    _, refused = met(change, bring(first, una), bring(second, ari))

    assert (refused.status, refused.code) == (409, "too_many_devices_in_group")
    assert keyed_in(session, hearth) == 150
