"""A machine about points: which are stored, who is shown them, and for how long."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis.stateful import rule
from hypothesis.strategies import booleans, fixed_dictionaries, lists, none, sampled_from

from tests import factories
from tests.faults.machines.machine import (
    ADMINS,
    CONFIRMED,
    DEVICES,
    INVITES,
    MEMBERS,
    POINTS,
    Machine,
    Where,
    key_for,
    run,
)
from tests.faults.machines.model import Device, Group, Invite, Point, now
from tests.faults.machines.place import Place

HALF = timedelta(seconds=30)  # so that none is as old to the second as anything is kept
AGES = sampled_from(
    [
        HALF,
        HALF,
        timedelta(minutes=-10) + HALF,
        timedelta(minutes=-10) - HALF,
        timedelta(hours=5) + HALF,
        timedelta(hours=25) + HALF,
        timedelta(days=29) + HALF,
        timedelta(days=31) + HALF,
        timedelta(days=80) + HALF,
    ]
)
SENT = fixed_dictionaries(
    {
        "age": AGES,
        "sealed": booleans(),
        "behind": sampled_from([0, 0, 0, 1]),
        "times": sampled_from(["id", "id", "id", "recordedAt", "neither", "both", "contradiction"]),
        "is_named": sampled_from([True, True, True, False]),
    }
)
SPANS = none() | AGES


def made(group: Group, sent: dict[str, Any]) -> dict[str, Any]:
    """Make a point as it goes over the wire."""
    at = (now() - sent["age"]).replace(microsecond=0)
    if sent["sealed"]:
        version = max(1, group.key_version - sent["behind"])
        point = factories.sealed_point(at, keyVersion=version)
    else:
        point = factories.plain_point(at)
    if sent["times"] in ("recordedAt", "neither"):
        del point["id"]
    if sent["times"] in ("recordedAt", "both"):
        point["recordedAt"] = at.isoformat()
    if sent["times"] == "contradiction":
        point["recordedAt"] = (at + HALF).isoformat()
    return point | ({"groupId": group.id} if sent["is_named"] else {})


class Locations(Machine):
    def view(self, by: Device) -> None:
        self.family.see_points(by)

    @rule(where=CONFIRMED, sent=SENT)
    def post(self, where: Where, sent: dict[str, Any]) -> None:
        by, group = where
        self.do(self.family.post, by, [made(group, sent)], alone=True)

    @rule(where=CONFIRMED, batch=lists(SENT, min_size=1, max_size=6), twice=booleans())
    def post_a_batch(self, where: Where, batch: list[dict[str, Any]], *, twice: bool) -> None:
        by, group = where
        points = [made(group, sent) for sent in batch]
        self.do(self.family.post, by, points + points[:1] * twice, alone=False)

    @rule(by=DEVICES, point=POINTS)
    def post_what_was_posted(self, by: Device, point: Point) -> None:
        body = {name: value for name, value in point.body.items() if name != "recordedAt"}
        self.do(self.family.post, by, [body | {"id": str(point.id)}], alone=True)

    @rule(where=MEMBERS, is_named=booleans(), since=SPANS, until=SPANS)
    def delete(
        self, where: Where, since: timedelta | None, until: timedelta | None, *, is_named: bool
    ) -> None:
        by, group = where
        self.do(
            self.family.delete_points,
            by,
            group if is_named else None,
            None if since is None else now() - since,
            None if until is None else now() - until,
        )

    @rule(where=MEMBERS, paused=booleans(), for_ever=booleans())
    def set_sharing(self, where: Where, *, paused: bool, for_ever: bool) -> None:
        until = None if for_ever or not paused else now() + timedelta(minutes=15)
        self.do(self.family.set_sharing, *where, until, paused=paused)

    @rule(where=ADMINS, days=sampled_from([1, 7, 30, 90]))
    def keep_for(self, where: Where, days: int) -> None:
        self.do(self.family.change_group, *where, retentionDays=days)

    @rule(where=ADMINS, sent=SENT)
    def keep_for_a_day_and_clean(self, where: Where, sent: dict[str, Any]) -> None:
        """With something there to clean, where it may be posted."""
        by, group = where
        sent |= {"age": timedelta(hours=25) + HALF, "times": "id"}
        self.do(self.family.post, by, [made(group, sent)], alone=True)
        self.do(self.family.change_group, by, group, retentionDays=1)
        self.do(self.family.maintain)

    @rule(where=CONFIRMED, sent=SENT)
    def pause_and_post(self, where: Where, sent: dict[str, Any]) -> None:
        by, group = where
        self.do(self.family.set_sharing, by, group, None, paused=True)
        self.do(self.family.post, by, [made(group, sent)], alone=True)

    @rule(where=ADMINS)
    def require_encryption(self, where: Where) -> None:
        self.do(self.family.change_group, *where, encryption="required")

    @rule(by=DEVICES)
    def found(self, by: Device) -> None:
        self.do(self.family.found_group, by, "Boat", "optional")

    @rule(where=CONFIRMED)
    def rotate(self, where: Where) -> None:
        by, group = where
        to = self.family.model.keyed_devices(group) or [by]
        self.do(self.family.rotate, by, group, group.key_version, key_for(*to), to)

    @rule(where=CONFIRMED)
    def invite(self, where: Where) -> None:
        self.do(self.family.create_invite, *where)

    @rule(invite=INVITES)
    def join(self, invite: Invite) -> None:
        self.do(self.family.join, invite.code, public_key=factories.opaque(32))

    @rule(by=DEVICES, invite=INVITES)
    def join_a_further_group(self, by: Device, invite: Invite) -> None:
        self.do(self.family.join_group, by, invite.code)


REFUSALS = {
    "encryption_required",
    "group_key_missing",
    "group_not_found",
    "group_required",
    "id_time_mismatch",
    "key_version_conflict",
    "not_confirmed",
    "out_of_range",
    "rotation_required",
    "sharing_paused",
}  # fmt: skip -- what may be told, side by side
SEEN = {
    "post": {"200", "unauthenticated"} | REFUSALS,
    "post one of a batch": {"stored"} | REFUSALS,
    "delete_points": {"200", "group_not_found", "group_required", "unauthenticated"},
    "set_sharing": {"204"},
    "change_group": {"200"},
    "found_group": {"201"},
    "rotate": {"201"},
    "create_invite": {"201"},
    "join": {"201"},
    "join_group": {"200"},
    "remove": {"204"},
    "leave": {"204"},
    "log_out": {"204"},
    "delete_account": {"204"},
    "maintain": {"some"},
}


def test_points_are_shown_to_whom_they_are_meant_for(place: Place) -> None:
    run(Locations, place)


@pytest.mark.full
def test_points_are_shown_to_whom_they_are_meant_for_in_every_order(
    place: Place, mortal: Place
) -> None:
    run(Locations, place, mortal, seen=SEEN)
