"""A machine about who is in which group, and what they are in it."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis.stateful import rule
from hypothesis.strategies import booleans, fixed_dictionaries, none, sampled_from

from tests import factories
from tests.faults.machines.machine import (
    ADMINS,
    CONFIRMED,
    DEVICES,
    INVITES,
    MEMBERS,
    PAIRS,
    TARGETS,
    Machine,
    Target,
    Where,
    key_for,
    run,
)
from tests.faults.machines.model import Device, Invite, now
from tests.faults.machines.place import Place

CHANGES: Any = fixed_dictionaries(
    {},
    optional={
        "name": sampled_from(["Hearth", "Boat"]),
        "retentionDays": sampled_from([1, 30, 90]),
        "encryption": sampled_from(["required"]),
    },
)
# Before and after what time passes in one step.
PAUSES = none() | sampled_from([timedelta(minutes=15), timedelta(hours=20), timedelta(hours=-1)])


class Groups(Machine):
    def view(self, by: Device) -> None:
        self.family.see_groups(by)
        self.family.see_people(by)

    @rule(by=DEVICES, encryption=sampled_from(["optional", "required"]))
    def found(self, by: Device, encryption: str) -> None:
        self.do(self.family.found_group, by, "Boat", encryption)

    @rule(where=ADMINS, changes=CHANGES)
    def change(self, where: Where, changes: Any) -> None:
        self.do(self.family.change_group, *where, **changes)

    @rule(where=ADMINS)
    def delete(self, where: Where) -> None:
        self.do(self.family.delete_group, *where)

    @rule(whom=TARGETS, role=sampled_from(["admin", "member"]))
    def change_role(self, whom: Target, role: str) -> None:
        self.do(self.family.change_role, *whom, role)

    @rule(whom=TARGETS)
    def remove(self, whom: Target) -> None:
        self.do(self.family.remove, *whom)

    @rule(where=MEMBERS)
    def leave_for_good(self, where: Where) -> None:
        """So that nobody can reach them, unless they have another device or group."""
        by, _ = where
        self.do(self.family.leave, *where)
        self.do(self.family.log_out, by)
        self.do(self.family.maintain)

    @rule(where=MEMBERS, paused=booleans(), span=PAUSES)
    def set_sharing(self, where: Where, span: timedelta | None, *, paused: bool) -> None:
        until = None if span is None else now() + span
        self.do(self.family.set_sharing, *where, until, paused=paused)

    @rule(where=CONFIRMED, for_me=booleans())
    def invite(self, where: Where, *, for_me: bool) -> None:
        self.do(self.family.create_invite, *where, forMe=for_me)

    @rule(invite=INVITES, with_key=booleans())
    def join(self, invite: Invite, *, with_key: bool) -> None:
        key = factories.opaque(32) if with_key else None
        self.do(self.family.join, invite.code, public_key=key)

    @rule(by=DEVICES, invite=INVITES)
    def join_a_further_group(self, by: Device, invite: Invite) -> None:
        self.do(self.family.join_group, by, invite.code)

    @rule(where=CONFIRMED)
    def rotate(self, where: Where) -> None:
        by, group = where
        to = self.family.model.keyed_devices(group) or [by]
        self.do(self.family.rotate, by, group, group.key_version, key_for(*to), to)

    @rule(by=DEVICES)
    def add_device(self, by: Device) -> None:
        self.do(self.family.add_device, by)

    @rule(pair=PAIRS)
    def revoke_device(self, pair: tuple[Device, Device]) -> None:
        self.do(self.family.revoke_device, *pair)

    @rule(by=DEVICES, name=sampled_from(["Sif", "Gerd"]))
    def rename(self, by: Device, name: str) -> None:
        self.do(self.family.rename, by, name)


HIDDEN = {"group_not_found", "unauthenticated"}
OF_ADMINS = HIDDEN | {"not_an_admin"}
SEEN = {
    "found_group": {"201", "unauthenticated"},
    "change_group": {"200"} | OF_ADMINS,
    "delete_group": {"204"} | OF_ADMINS,
    "change_role": {"204", "last_admin", "member_not_found"} | OF_ADMINS,
    "remove": {"204", "member_not_found"} | OF_ADMINS,
    "leave": {"204"} | HIDDEN,
    "set_sharing": {"204", "resumes_in_the_past"} | HIDDEN,
    "create_invite": {"201"},
    "join": {"201"},
    "join_group": {"200"},
    "rotate": {"201"},
    "add_device": {"201"},
    "revoke_device": {"204", "device_not_found", "unauthenticated"},
    "log_out": {"204"},
    "rename": {"204"},
    "delete_account": {"204", "unauthenticated"},
    "maintain": {"some"},
}


def test_groups_are_what_their_members_made_of_them(place: Place) -> None:
    run(Groups, place)


@pytest.mark.full
def test_groups_are_what_their_members_made_of_them_in_every_order(
    place: Place, mortal: Place
) -> None:
    run(Groups, place, mortal, seen=SEEN)
