"""Points that are on their way while the key changes, or somebody goes who knows it (R4).

After a rotation, a removal or a revocation has committed, no point commits that was sealed under
the former key, or comes from who has gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from chalicelib.models import Group, Location
from tests import factories
from tests.api import Reply
from tests.database import Server, connect
from tests.factories import Someone
from tests.faults.holding import Holding
from tests.faults.processes import Call, Processes, own_database, perform

# Which rules a row breaks is found out when it commits, with the eyes of whoever comes later.
WITNESS = [
    "CREATE TABLE broken (rule text)",
    """
    CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO broken SELECT 'the present key' FROM groups
            WHERE id = new.group_id AND key_version <> new.key_version;
        INSERT INTO broken SELECT 'a key that need not be replaced' FROM groups
            WHERE id = new.group_id AND rotation_required AND new.key_version IS NOT NULL;
        INSERT INTO broken SELECT 'a valid device' WHERE NOT EXISTS (
            SELECT FROM devices WHERE id = new.device_id AND revoked_at IS NULL);
        INSERT INTO broken SELECT 'a confirmed device' WHERE NOT EXISTS (
            SELECT FROM groups JOIN key_envelopes
                ON group_id = groups.id AND key_envelopes.key_version = groups.key_version
            WHERE groups.id = new.group_id AND device_id = new.device_id);
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER judge AFTER INSERT ON locations DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION judge()
    """,
    # Between its read and its insert a post takes its time: at any moment some are in the middle.
    """
    CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(0.002); RETURN new; END $$
    """,
    "CREATE TRIGGER linger BEFORE INSERT ON locations FOR EACH ROW EXECUTE FUNCTION linger()",
]
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
POSTS = 500
CHANGES = ["rotation", "removal", "leaving", "revocation", "deletion"]


@dataclass(frozen=True)
class Hearth:
    """A group of three who all know its key; it is Ari to whom something happens."""

    group_id: UUID
    una: Someone
    ari: Someone
    bera: Someone

    def sealed(self, who: Someone) -> Call:
        """Post a point under the first key."""
        point = factories.sealed_point(groupId=str(self.group_id), keyVersion=1)
        return Call("POST", "/api/locations", point, token=who.token)

    def plain(self, who: Someone) -> Call:
        """Post a point in the clear."""
        point = factories.plain_point(groupId=str(self.group_id))
        return Call("POST", "/api/locations", point, token=who.token)

    def change(self, name: str) -> Call:
        """Let it happen."""
        path = f"/api/groups/{self.group_id}"
        key, una, ari = factories.new_key(1, self.una, self.bera), self.una.token, self.ari.token
        return {
            "rotation": Call("POST", f"{path}/keys", key, token=una),
            "removal": Call("DELETE", f"{path}/members/{self.ari.user_id}", token=una),
            "leaving": Call("POST", f"{path}/leave", token=ari),
            "revocation": Call("DELETE", f"/api/devices/{self.ari.device_id}", token=ari),
            "deletion": Call("DELETE", "/api/users/me", token=ari),
        }[name]


@dataclass(frozen=True)
class Race:
    """Those who post, and beside them one who changes something."""

    url: str
    posting: Processes
    changing: Processes


@pytest.fixture(scope="module")
def url(server: Server, schema: str) -> Iterator[str]:
    """The URL of a database with a witness, for all of these tests."""
    with own_database(server, schema) as url:
        with connect(url) as operator:
            for statement in WITNESS:
                operator.run(statement)
        yield url


@pytest.fixture(scope="module")
def race(url: str) -> Iterator[Race]:
    with Processes(url, count=3, threads=3) as posting, Processes(url, count=1) as changing:
        yield Race(url, posting, changing)


@pytest.fixture
def hearth(session: Session) -> Hearth:
    una, ari, bera = (factories.with_key(session) for _ in range(3))
    hearth = factories.group(session, una, ari, bera, key_version=1)
    # Whoever is removed stays signed in, and would be refused for nothing else.
    factories.group(session, ari)
    session.execute(text("DELETE FROM broken"))
    session.commit()
    return Hearth(hearth, una, ari, bera)


def broken(session: Session) -> dict[str, int]:
    """Return how many points have broken which rule."""
    session.rollback()
    rules = session.scalars(text("SELECT rule FROM broken")).all()
    return {rule: rules.count(rule) for rule in rules}


def outcome(reply: Reply) -> str:
    return "stored" if reply.status == 200 else reply.code


def has_happened(reply: Reply) -> bool:
    return reply.status in (201, 204)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_waits_for_points_that_did_not_know_of_it(
    session: Session, hearth: Hearth, race: Race, change: str
) -> None:
    everybody = (hearth.una, hearth.ari, hearth.bera)

    with Holding.of(race.url, "INSERT ON locations") as holding:
        race.posting.begin(perform, [hearth.sealed(who) for who in everybody])
        assert holding.has(3)
        race.changing.begin(perform, [hearth.change(change)])
        waits = holding.keeps_waiting(1)
        holding.let_go()
        posted, changed = race.posting.results(), race.changing.results()
    late = race.posting.each(perform, [hearth.sealed(who) for who in everybody])

    assert waits
    assert [outcome(reply) for reply in posted] == ["stored"] * 3
    assert all(map(has_happened, changed))
    assert broken(session) == {}
    assert "stored" not in map(outcome, late)


@pytest.mark.parametrize("change", CHANGES)
def test_points_that_wait_for_a_change_are_refused_once_it_is_there(
    session: Session, hearth: Hearth, race: Race, change: str
) -> None:
    posts = [hearth.sealed(hearth.ari), hearth.plain(hearth.ari), hearth.sealed(hearth.bera)]
    of_ari = {
        "rotation": ["key_version_conflict"] * 2,
        "removal": ["group_not_found"] * 2,
        "leaving": ["group_not_found"] * 2,
        "revocation": ["unauthenticated"] * 2,
        "deletion": ["unauthenticated"] * 2,
    }
    of_bera = "key_version_conflict" if change == "rotation" else "rotation_required"

    with Holding.of(race.url, "UPDATE ON groups") as holding:
        race.changing.begin(perform, [hearth.change(change)])
        assert holding.has(1)
        race.posting.begin(perform, posts)
        assert holding.keeps_waiting(3)
        holding.let_go()
        changed, posted = race.changing.results(), race.posting.results()

    assert all(map(has_happened, changed))
    assert [outcome(reply) for reply in posted] == [*of_ari[change], of_bera]
    assert broken(session) == {}
    points = select(func.count(Location.id)).filter_by(group_id=hearth.group_id)
    assert session.scalar(points) == 0


def test_nobody_whose_point_waits_for_a_rotation_is_told_that_they_are_not_let_in(
    hearth: Hearth, race: Race
) -> None:
    everybody = (hearth.una, hearth.bera)

    with Holding.of(race.url, "UPDATE ON groups") as holding:
        race.changing.begin(perform, [hearth.change("rotation")])
        assert holding.has(1)
        race.posting.begin(perform, [hearth.plain(who) for who in everybody])
        assert holding.keeps_waiting(2)
        holding.let_go()
        posted, _ = race.posting.results(), race.changing.results()
    again = race.posting.each(perform, [hearth.plain(who) for who in (*everybody, hearth.ari)])

    # What they see is the new key, and not yet whom it was given to.
    assert [outcome(reply) for reply in posted] == ["key_version_conflict"] * 2
    assert [outcome(reply) for reply in again] == ["stored", "stored", "not_confirmed"]


@pytest.mark.parametrize("change", ["rotation", "removal", "revocation"])
def test_no_point_breaks_a_rule_however_many_race_a_change(
    session: Session, hearth: Hearth, race: Race, change: str
) -> None:
    everybody = [hearth.una, hearth.ari, hearth.bera]
    calls = [hearth.sealed(everybody[number // 3 % 3]) for number in range(POSTS)]
    calls.insert(POSTS // 2, hearth.change(change))
    refusals = {
        "rotation": {"key_version_conflict"},
        "removal": {"rotation_required", "group_not_found"},
        "revocation": {"rotation_required", "unauthenticated"},
    }

    replies = race.posting.each(perform, calls)

    assert has_happened(replies.pop(POSTS // 2))
    # On a fast machine every post may be stored before the change takes effect.
    replies += race.posting.each(perform, [hearth.sealed(person) for person in everybody])
    outcomes = set(map(outcome, replies))
    assert {"stored"} < outcomes <= {"stored"} | refusals[change]
    assert broken(session) == {}
    assert session.scalar(text(DEADLOCKS)) == 0


def test_the_witness_sees_what_is_broken(session: Session, hearth: Hearth) -> None:
    lost = factories.further_device(session, hearth.una, revoked_at=func.now())
    session.execute(update(Group).filter_by(id=hearth.group_id).values(rotation_required=True))
    sealed = dict.fromkeys(("latitude", "longitude", "accuracy"), None)

    factories.stored_point(
        session, hearth.group_id, lost, encrypted_data=bytes(41), key_version=2, **sealed
    )

    assert broken(session) == {
        "the present key": 1,
        "a key that need not be replaced": 1,
        "a valid device": 1,
        "a confirmed device": 1,
    }
