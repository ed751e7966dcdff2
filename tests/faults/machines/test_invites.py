"""A machine about the codes by which people come in: each once, and as long as it is meant to."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis.stateful import rule
from hypothesis.strategies import booleans, none, sampled_from

from tests import factories
from tests.faults.machines.machine import (
    CONFIRMED,
    DEVICES,
    INVITES,
    KEYS,
    REPEATS,
    REVOCATIONS,
    SPANS,
    Machine,
    Where,
    key_for,
    own_code,
    run,
)
from tests.faults.machines.model import Device, Invite
from tests.faults.machines.place import Place

HOURS = sampled_from([0.5, 1, 2, 24, None])
NEW_GROUPS = none() | none() | sampled_from([{"name": "Boat", "encryption": "optional"}])


class Invites(Machine):
    def view(self, by: Device) -> None:
        self.family.see_invites(by)

    @rule(where=CONFIRMED, is_named=booleans(), hours=HOURS, for_me=booleans())
    def make(self, where: Where, hours: float | None, *, is_named: bool, for_me: bool) -> None:
        by, group = where
        self.do(
            self.family.create_invite,
            by,
            group if is_named else None,
            expiresInHours=hours,
            forMe=for_me,
        )

    @rule(where=CONFIRMED, for_me=booleans(), behind=sampled_from([0, 0, 0, 1]))
    def make_with_a_key(self, where: Where, behind: int, *, for_me: bool) -> None:
        self.invite_with_a_key(where, behind=behind, for_me=for_me)

    @rule(where=CONFIRMED, invite=INVITES)
    def make_with_a_code_that_there_is(self, where: Where, invite: Invite) -> None:
        by, group = where
        code = invite.code if len(invite.code) > 8 else own_code()
        self.do(self.family.create_invite, by, group, code=code)

    @rule(invite=INVITES, with_key=booleans(), proves=booleans(), group=NEW_GROUPS,
          key=sampled_from(KEYS))  # fmt: skip
    def join(
        self, invite: Invite, key: str | None, group: Any, *, with_key: bool, proves: bool
    ) -> None:
        self.do(
            self.family.join,
            invite.code,
            public_key=factories.opaque(32) if with_key else None,
            proof=factories.opaque(32) if proves else None,
            key=key,
            group=group,
        )

    @rule(invite=REPEATS)
    def join_again(self, invite: Invite) -> None:
        self.do(self.family.join, invite.code, key=invite.key)

    @rule(where=CONFIRMED, span=sampled_from(SPANS), key=sampled_from(KEYS[1:]))
    def join_and_ask_later(self, where: Where, span: timedelta, key: str) -> None:
        """For the answer, which was lost."""
        there = len(self.family.invites)
        self.do(self.family.create_invite, *where)
        for invite in self.family.invites[there:]:
            self.do(self.family.join, invite.code, key=key)
            self.let_pass(span)
            self.do(self.family.join, invite.code, key=key)

    @rule(invite=INVITES)
    def join_by_something_like_it(self, invite: Invite) -> None:
        self.do(self.family.join, own_code()[: len(invite.code)])
        self.do(self.family.join, "-".join(invite.code.lower()), key=KEYS[-1])

    @rule(by=DEVICES, invite=INVITES, group=NEW_GROUPS, proves=booleans())
    def join_a_further_group(self, by: Device, invite: Invite, group: Any, *, proves: bool) -> None:
        proof = factories.opaque(32) if proves else None
        self.do(self.family.join_group, by, invite.code, group=group, proof=proof)

    @rule(invite=INVITES)
    def validate(self, invite: Invite) -> None:
        self.do(self.family.validate, invite.code)

    @rule(what=REVOCATIONS)
    def revoke(self, what: tuple[Device, Invite]) -> None:
        self.do(self.family.revoke_invite, *what)

    @rule()
    def let_somebody_found_a_group(self) -> None:
        self.do(self.family.founding_code)

    @rule(where=CONFIRMED)
    def rotate(self, where: Where) -> None:
        by, group = where
        to = self.family.model.keyed_devices(group) or [by]
        self.do(self.family.rotate, by, group, group.key_version, key_for(*to), to)


SEEN = {
    "create_invite": {
        "201",
        "code_taken",
        "group_not_found",
        "group_required",
        "key_version_conflict",
        "not_confirmed",
        "rotation_required",
        "unauthenticated",
    },
    "join": {"201", "invite_not_valid", "group_not_founded"},
    "join_group": {
        "200",
        "already_a_member",
        "group_not_founded",
        "invite_not_valid",
        "unauthenticated",
    },
    "revoke_invite": {"204", "invite_not_found", "invite_used", "unauthenticated"},
    "validate": {"200"},
    "rotate": {"201"},
    "remove": {"204"},
    "leave": {"204"},
    "log_out": {"204"},
    "delete_account": {"204"},
    "purge": {"some"},
    "after_restore": {"some"},
}  # fmt: skip -- what may be told, side by side


def test_codes_let_in_whom_they_should(place: Place) -> None:
    run(Invites, place)


@pytest.mark.full
def test_codes_let_in_whom_they_should_in_every_order(place: Place, mortal: Place) -> None:
    run(Invites, place, mortal, seen=SEEN)
