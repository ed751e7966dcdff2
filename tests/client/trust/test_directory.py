"""What is shown of people, devices and phones beside what this device knows of them."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from draugar.models import Fix, Phone, Position
from draugar.service.responses import ListedPerson
from draugar.trust.directory import DeviceDirectory
from draugar.trust.state import GroupState
from tests.client.trust.making import ARI, UNA, state

AT = datetime(2026, 12, 1, tzinfo=UTC)


def person(user_id: UUID, name: str, *phones: Phone) -> ListedPerson:
    return ListedPerson(
        user_id=user_id, name=name, role="member", joined_at=AT, devices=[], phones=[*phones]
    )


def phone(tid: str) -> Phone:
    return Phone(id=uuid4(), tid=tid, needs_setup=False)


def test_beside_a_position_stand_its_person_s_other_phones_that_are_silent() -> None:
    sends, silent, first, heard, of_una = map(phone, ("a1", "a3", "a2", "a4", "u1"))
    known = GroupState(trust=state(), name="Una")
    directory = DeviceDirectory(
        known,
        (
            person(ARI.user_id, "Ari", sends, silent, first, heard),
            person(UNA.user_id, "Una", of_una),
        ),
        waiting={one.id: AT for one in (sends, silent, first, of_una)},
    )
    position = Position(
        point_id=uuid4(),
        group_id=known.group_id,
        user_id=ARI.user_id,
        device_id=sends.id,
        name="Ari",
        fix=Fix(latitude=64.1466, longitude=-21.9426, accuracy=12.0, at=AT),
        received_at=AT,
        key_version=1,
        is_confirmed=True,
    )

    beside = directory.silent_beside(position)

    assert beside == tuple(
        replace(one, needs_setup=True, waits_since=AT) for one in (first, silent)
    )
