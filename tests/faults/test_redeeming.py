"""One code and many who spend it at the same moment (R1), or one who does not give up (R2)."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from chalicelib.invites.codes import InviteCode as Code
from chalicelib.models import InviteCode, User
from tests import factories
from tests.api import Reply
from tests.faults.processes import Call, Processes, perform, perform_patiently

# Whoever has come in has a device and a group, and whoever redeemed is known to the code.
ORPHANS = """
    SELECT (SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM devices))
        + (SELECT count(*) FROM users WHERE id NOT IN (SELECT user_id FROM group_members))
        + (SELECT count(*) FROM groups WHERE id NOT IN (SELECT group_id FROM group_members))
"""
CLIENTS, PROCESSES, SPARE = 200, 8, 20
KEY = "a-key-of-random-characters"
PUBLIC_KEY = factories.opaque(32)  # which the inviter has been shown


@pytest.fixture
def processes(session: Session, url: str) -> Iterator[Processes]:
    # Each client has a connection, as far as a server that was set up by others has them to give.
    slots = int(session.scalars(text("SHOW max_connections")).one())
    connections = min(CLIENTS, slots - SPARE) // PROCESSES
    threads = CLIENTS // PROCESSES
    with Processes(url, count=PROCESSES, threads=threads, connections=connections) as processes:
        yield processes


def join(code: str, number: int, **headers: str) -> Call:
    """Ask for a join, each from an address of its own."""
    body = {"code": code, "name": "Ari", "device": {"name": "Phone", "publicKey": PUBLIC_KEY}}
    address = f"10.0.{number // 256}.{number % 256}"
    return Call("POST", "/api/auth/join", body, headers=headers, address=address)


def everybody(processes: Processes, code: Code) -> list[Reply]:
    """Let all clients come with one code; return how each was served in the end.

    They queue for one row. Whom a busy machine keeps waiting too long is told to come again.
    """
    joins = [join(code.text, number) for number in range(CLIENTS)]
    return processes.each(perform_patiently, joins)


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.full)])
def test_of_200_at_once_one_comes_in(session: Session, processes: Processes, rounds: int) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    counts = []

    for _ in range(rounds):
        code = factories.invite(session, group_id=hearth, by=una)
        session.execute(text("DELETE FROM rate_limits"))
        session.commit()
        replies = everybody(processes, code)
        counts.append(statuses(replies))

    assert counts == [{201: 1, 404: 199}] * rounds
    assert session.scalar(select(func.count(User.id))) == 1 + rounds
    assert session.scalar(select(func.count(InviteCode.used_by.distinct()))) == rounds
    assert session.scalar(text(ORPHANS)) == 0


def test_of_200_at_once_one_founds_a_group(session: Session, processes: Processes) -> None:
    code = factories.founding_invite(session)

    replies = everybody(processes, code)

    assert statuses(replies) == {201: 1, 404: 199}
    assert session.scalar(text("SELECT count(*) FROM groups")) == 1
    assert session.scalar(text(ORPHANS)) == 0


@pytest.mark.parametrize("repeated", ["in a row", "at once", "at once with the first"])
def test_a_join_that_is_repeated_ten_times_makes_one_person(
    session: Session, processes: Processes, repeated: str
) -> None:
    una = factories.someone(session)
    hearth = factories.group(session, una)
    code = factories.invite(session, group_id=hearth, by=una).text
    mine = [join(code, number, **{"Idempotency-Key": KEY}) for number in range(11)]
    # All that others know is the same, and they are others.
    others = [join(code, 20), join(code, 21, **{"Idempotency-Key": KEY[::-1]})]

    if repeated == "at once with the first":
        first, others = [], []
    else:
        first = processes.each(perform, mine[:1])
    if repeated == "in a row":
        replies = [
            reply for call in [*mine[1:], *others] for reply in processes.each(perform, [call])
        ]
    else:
        replies = processes.each(perform, mine[len(first) :] + others)
    repeats, refused = replies[: 11 - len(first)], replies[11 - len(first) :]
    (last,) = processes.each(perform, mine[:1])

    assert statuses(first + repeats) == {201: 11}
    assert [reply.code for reply in refused] == ["invite_not_valid"] * len(others)
    assert session.scalar(select(func.count(User.id))) == 2
    tokens = [reply.json["token"] for reply in [*first, *repeats, last]]
    calls = [Call("GET", "/api/auth/me", token=token) for token in tokens]
    assert [reply.status for reply in processes.each(perform, calls)] == [401] * 11 + [200]
