"""Members of one group with clients of the former release and of this one.

The former client states nothing that is signed, believes rosters of form 1 only, and reads no
statement. In each direction: a group is founded, joined, its key is changed, and members go. Trust
ends for those who have gone, and for no one else; every position opens at every member.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.client.commands import Person
from tests.client.family import Service
from tests.client.life import FormerPerson
from tests.releases.checkout import client_of
from tests.releases.listed import previous

pytestmark = pytest.mark.tools("git")

PLACE = (-48.8767, -123.3933)


@pytest.fixture(scope="module")
def former_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which the former client is installed."""
    return client_of(previous().commit, tmp_path_factory.mktemp("former"))


@dataclass
class Mixed:
    """A family by the names of its homes; of each it is known which client opens it."""

    service: Service
    directory: Path
    python: Path
    people: dict[str, Person] = field(default_factory=dict)
    shared: int = 0
    """How many positions were shared."""

    def person(self, name: str, *, is_former: bool) -> Person:
        """Open, or make, a home with one of the two clients."""
        home = self.directory / name
        one = FormerPerson(home, python=self.python) if is_former else Person(home)
        self.people[name] = one
        return one

    def found(self, name: str, *, is_former: bool) -> Person:
        """Found the group."""
        one = self.person(name, is_former=is_former)
        found = ("found", self.service.url, self.service.founding_code())
        one.does(*found, "--name", name, "--group", "Hearth")
        return one

    def join_by_link(self, inviter: Person, name: str, *, is_former: bool) -> Person:
        """Come in by a link."""
        one = self.person(name, is_former=is_former)
        one.does("join", inviter.reads("invite")["link"], "--name", name)
        inviter.does("people")
        return one

    def join_by_code(self, inviter: Person, name: str, *, is_former: bool) -> Person:
        """Come in by a typed code; both compare their numbers."""
        one = self.person(name, is_former=is_former)
        code = inviter.reads("invite", "--typed")["code"]
        one.does("join", code, "--url", self.service.url, "--name", name)
        self.compare(inviter, one)
        return one

    def compare(self, inviter: Person, joiner: Person) -> None:
        """Two people compare, and confirm each other."""
        both = ((inviter, joiner.home.name), (joiner, inviter.home.name))
        numbers = {person.reads("safety", other)["safetyNumber"] for person, other in both}
        assert len(numbers) == 1
        for person, other in both:
            person.does("confirm", other, "--yes")

    def settle(self) -> None:
        """Let each device update twice: what one gives, the other takes at its next update."""
        for _ in range(2):
            for person in self.people.values():
                person.does("people")

    def opens_everything(self) -> None:
        """Each device shares, and each sees where the newest device of every person is."""
        places: dict[str, float] = {}
        for name, person in self.people.items():
            owner = name.partition("-")[0]
            self.shared += 1
            places[owner] = round(PLACE[0] + self.shared / 1000, 4)
            shared = person.reads("share", places[owner], PLACE[1])
            assert (shared["stored"], shared["waiting"]) == (1, 0)
        for name, person in self.people.items():
            seen = person.reads("where")["positions"]
            assert {one["name"]: one["latitude"] for one in seen} == places, name

    def trusts_all(self, *, but: Iterable[str] = ()) -> None:
        """Every device trusts every other device, and confirms what it sees of them."""
        for name, person in self.people.items():
            if name in but:
                continue
            standing = {
                (one["name"], device["standing"])
                for one in person.reads("people")["people"]
                for device in one["devices"]
            }
            owners = {name.partition("-")[0] for name in self.people}
            assert {owner for owner, _ in standing} == owners, name
            assert {state for _, state in standing} <= {"trusted", "this device"}, (name, standing)


@pytest.fixture
def mixed(service: Service, tmp_path: Path, former_python: Path) -> Mixed:
    """A family without members yet."""
    return Mixed(service, tmp_path, former_python)


@pytest.fixture(params=[True, False], ids=["former-founds", "now-founds"])
def first(request: pytest.FixtureRequest) -> bool:
    """Whether the founder has the former client; each joiner has the other one than its inviter."""
    is_former: bool = request.param
    return is_former


def gone(mixed: Mixed, name: str) -> Person:
    """Forget a home; return it."""
    return mixed.people.pop(name)


def test_they_join_each_other_and_rotate_in_turn(mixed: Mixed, *, first: bool) -> None:
    una = mixed.found("Una", is_former=first)
    ari = mixed.join_by_link(una, "Ari", is_former=not first)
    mixed.join_by_link(ari, "Bo", is_former=first)
    mixed.join_by_code(una, "Sif", is_former=not first)
    mixed.join_by_link(una, "Kit", is_former=first)
    mixed.settle()
    mixed.opens_everything()
    mixed.trusts_all()

    for person in list(mixed.people.values()):
        assert person.reads("rotate")["leftOut"] == []
    mixed.opens_everything()
    mixed.trusts_all()


def test_a_member_who_is_removed_reads_nothing_more(mixed: Mixed, *, first: bool) -> None:
    una = mixed.found("Una", is_former=first)
    ari = mixed.join_by_link(una, "Ari", is_former=not first)
    mixed.join_by_code(una, "Sif", is_former=not first)
    mixed.join_by_link(ari, "Bo", is_former=first)
    mixed.join_by_link(ari, "Eve", is_former=not first)
    mixed.settle()
    una.does("role", "Ari", "admin")

    assert una.reads("remove", "Eve", "--yes")["rotation"]["leftOut"] == []
    gone(mixed, "Eve")
    mixed.opens_everything()
    assert ari.reads("remove", "Bo", "--yes")["rotation"]["leftOut"] == []
    gone(mixed, "Bo")
    mixed.opens_everything()
    gone(mixed, "Sif").does("leave", "--yes")
    mixed.settle()

    mixed.opens_everything()
    mixed.trusts_all()


def test_a_further_device_has_the_newer_client(mixed: Mixed, *, first: bool) -> None:
    una = mixed.found("Una", is_former=first)
    ari = mixed.join_by_link(una, "Ari", is_former=not first)
    for inviter, name in ((una, "Una-2"), (ari, "Ari-2")):
        link = inviter.reads("invite", "--for-me")["link"]
        if not isinstance(inviter, FormerPerson):
            # The former client does not know the form of this link; its code is not used.
            former = mixed.person(name, is_former=True)
            assert "not an invite link" in former.fails("join", link)
        mixed.person(name, is_former=False).does("join", link)
        inviter.does("people")
    mixed.settle()
    mixed.opens_everything()
    mixed.trusts_all()

    for person in list(mixed.people.values()):
        assert person.reads("rotate")["leftOut"] == []
    mixed.opens_everything()
    mixed.trusts_all()


def test_members_upgrade_one_after_another(mixed: Mixed) -> None:
    una = mixed.found("Una", is_former=True)
    mixed.join_by_link(una, "Ari", is_former=True)
    mixed.join_by_code(una, "Sif", is_former=True)
    mixed.join_by_link(una, "Eve", is_former=True)
    mixed.settle()

    for name in ("Sif", "Una", "Ari"):
        upgraded = mixed.person(name, is_former=False)
        mixed.opens_everything()
        mixed.trusts_all()
        assert upgraded.reads("rotate")["leftOut"] == []
        mixed.opens_everything()
        mixed.trusts_all()
    assert mixed.people["Una"].reads("remove", "Eve", "--yes")["rotation"]["leftOut"] == []
    gone(mixed, "Eve")

    mixed.opens_everything()
    mixed.trusts_all()
