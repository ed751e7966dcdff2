"""A machine about group keys: who made which version, who holds it, and what it lets them do."""

import pytest
from hypothesis.stateful import rule
from hypothesis.strategies import booleans, sampled_from

from tests import factories
from tests.faults.machines.machine import (
    CONFIRMED,
    DEVICES,
    HANDINGS,
    INVITES,
    MEMBERS,
    PAIRS,
    Machine,
    Where,
    key_for,
    run,
)
from tests.faults.machines.model import Device, Group, Invite
from tests.faults.machines.place import Place


class Keys(Machine):
    def view(self, by: Device) -> None:
        self.family.see_keys(by)

    @rule(where=CONFIRMED, behind=sampled_from([0, 0, 0, 1]), how=sampled_from(
        ["all", "all", "without one", "without oneself", "with one more"]), other=DEVICES,
        tells=booleans())  # fmt: skip
    def rotate(self, where: Where, behind: int, how: str, other: Device, *, tells: bool) -> None:
        by, group = where
        to = self.family.model.keyed_devices(group)
        to = {
            "all": to,
            "without one": [device for device in to if device is not other],
            "without oneself": [device for device in to if device is not by] or [other],
            "with one more": [*to, other] if other not in to else to,
        }[how] or [other]
        key = key_for(*to, **({"roster": factories.opaque(64)} if tells else {}))
        self.do(self.family.rotate, by, group, max(0, group.key_version - behind), key, to)

    @rule(handing=HANDINGS, behind=sampled_from([0, 0, 1]), vouches=booleans())
    def hand_on(self, handing: tuple[Device, Group, Device], behind: int, *, vouches: bool) -> None:
        by, group, to = handing
        sent = {"wrappedKey": factories.opaque()}
        sent |= {"rosterEntry": factories.opaque(64)} if vouches else {}
        version = max(1, group.key_version - behind)
        self.do(self.family.put_envelope, by, group, version, to, sent)

    @rule(where=CONFIRMED)
    def keep_for_oneself(self, where: Where) -> None:
        by, group = where
        version, sent = max(1, group.key_version), {"wrappedKey": factories.opaque()}
        self.do(self.family.put_envelope, by, group, version, by, sent)

    @rule(where=CONFIRMED, others=booleans(), other=DEVICES)
    def give_back(self, where: Where, other: Device, *, others: bool) -> None:
        by, group = where
        version = max(1, group.key_version)
        self.do(self.family.delete_envelope, by, group, version, other if others else by)

    @rule(by=DEVICES, again=booleans())
    def register(self, by: Device, *, again: bool) -> None:
        known = by.public_key if again else None
        self.do(self.family.register_key, by, known or factories.opaque(32))

    @rule(where=CONFIRMED, for_me=booleans(), behind=sampled_from([0, 0, 0, 1]))
    def invite_by_link(self, where: Where, behind: int, *, for_me: bool) -> None:
        self.invite_with_a_key(where, behind=behind, for_me=for_me)

    @rule(where=CONFIRMED)
    def invite_by_typed_code(self, where: Where) -> None:
        self.do(self.family.create_invite, *where)

    @rule(invite=INVITES, with_key=sampled_from([True, True, False]), proves=booleans())
    def join(self, invite: Invite, *, with_key: bool, proves: bool) -> None:
        self.do(
            self.family.join,
            invite.code,
            public_key=factories.opaque(32) if with_key else None,
            proof=factories.opaque(32) if proves else None,
        )

    @rule(by=DEVICES, invite=INVITES, proves=booleans())
    def join_a_further_group(self, by: Device, invite: Invite, *, proves: bool) -> None:
        proof = factories.opaque(32) if proves else None
        self.do(self.family.join_group, by, invite.code, proof=proof)

    @rule(where=MEMBERS, behind=sampled_from([0, 0, 1]))
    def post(self, where: Where, behind: int) -> None:
        by, group = where
        version = max(1, group.key_version - behind)
        point = factories.sealed_point(keyVersion=version, groupId=group.id)
        self.do(self.family.post, by, [point], alone=True)

    @rule(by=DEVICES)
    def add_device(self, by: Device) -> None:
        self.do(self.family.add_device, by)

    @rule(where=CONFIRMED)
    def a_device_comes_and_goes(self, where: Where) -> None:
        """With the key, if there is one: then another is due."""
        by, _ = where
        invites, devices = len(self.family.invites), len(self.family.devices)
        self.invite_with_a_key(where, for_me=True)
        for invite in self.family.invites[invites:]:
            self.do(self.family.join, invite.code, public_key=factories.opaque(32))
        for device in self.family.devices[devices:]:
            self.do(self.family.revoke_device, by, device)

    @rule(pair=PAIRS)
    def revoke_device(self, pair: tuple[Device, Device]) -> None:
        self.do(self.family.revoke_device, *pair)


HIDDEN = {"group_not_found", "unauthenticated"}
SEEN = {
    "rotate": {
        "201",
        "key_version_conflict",
        "not_confirmed",
        "own_envelope_missing",
        "surplus_devices",
    }
    | HIDDEN,
    "put_envelope": {
        "204",
        "envelope_exists",
        "key_version_not_found",
        "not_confirmed",
        "recipient_not_found",
    }
    | HIDDEN,
    "delete_envelope": {"204", "envelope_not_found"} | HIDDEN,
    "register_key": {
        "200",
        "group_key_missing",
        "key_pending",
        "public_key_set",
        "unauthenticated",
    },
    "create_invite": {"201", "key_version_conflict", "not_confirmed", "rotation_required"},
    "join": {"201"},
    "join_group": {"200"},
    "post": {
        "200",
        "group_key_missing",
        "key_version_conflict",
        "not_confirmed",
        "rotation_required",
    }
    | HIDDEN,
    "remove": {"204"},
    "leave": {"204"},
    "add_device": {"201"},
    "revoke_device": {"204"},
    "after_restore": {"some"},
}  # fmt: skip -- what may be told, side by side


def test_keys_are_held_by_whom_they_were_given_to(place: Place) -> None:
    run(Keys, place)


@pytest.mark.full
def test_keys_are_held_by_whom_they_were_given_to_in_every_order(
    place: Place, mortal: Place
) -> None:
    run(Keys, place, mortal, seen=SEEN)
