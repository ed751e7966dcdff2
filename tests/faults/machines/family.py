"""What people do with the API, each beside what should come of it.

Every method sends one request, lets the model say what a client should be told, compares, and
does to the model what follows. The order in which the model checks is the one in which several
reasons to refuse are told.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.api import UNSET, Reply
from tests.faults.machines.model import (
    AHEAD,
    REPEATABLE,
    Device,
    Envelope,
    Group,
    Invite,
    Model,
    Person,
    Point,
    Refused,
    Version,
    moment,
    now,
    time_of,
)
from tests.faults.machines.place import Place
from tests.guards.test_errors import documented

STATUSES = dict(documented())
LONG = timedelta(seconds=20)
"""Longer than any request takes."""

Json = dict[str, Any]


def said(reply: Reply) -> str:
    """Return what an answer comes to: the code of a problem, or the status of a success."""
    return reply.code if reply.status >= 400 else str(reply.status)


class Family:
    """The people at a place, and the model of what is true of them."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.model = Model()
        self.doing = ""
        # All that there has ever been, for those who are gone try things too.
        self.devices: list[Device] = []
        self.groups: list[Group] = []
        self.invites: list[Invite] = []

    # --- How a request goes

    def ask(
        self, by: Device | None, method: str, path: str, body: Any = UNSET, **options: Any
    ) -> Reply:
        """Send a request as somebody's device, or as nobody."""
        return self.place.ask(None if by is None else by.token, method, path, body, **options)

    @contextmanager
    def answered(self, reply: Reply, status: int = 204) -> Iterator[Callable[[], Any]]:
        """Compare an answer with what the block says of it: it raises Refused, or does not.

        The block may call what it is given, for the body of a success.
        """
        self.place.outcomes[self.doing, said(reply)] += 1

        def told() -> Any:
            assert said(reply) == str(status), self.doing
            return reply.json if reply.text else None

        wanted = str(status)
        try:
            yield told
        except Refused as refused:
            wanted = refused.code
            status = STATUSES[wanted]
        assert (reply.status, said(reply)) == (status, wanted), self.doing

    # --- Coming in

    def founding_code(self) -> None:
        """Let somebody found a group."""
        code = self.place.invoke("create_founding_invite")
        ((id_,),) = self.place.run(
            "SELECT id FROM invite_codes WHERE group_id IS NULL ORDER BY id DESC LIMIT 1"
        )
        self._add_invite(
            Invite(
                id=str(id_),
                code=code["code"].replace("-", ""),
                group=None,
                maker=None,
                expires_at=moment(code["expiresAt"]),
            )
        )

    def join(  # noqa: PLR0913 -- what there is to say of oneself
        self,
        code: str,
        *,
        name: str = "Guest",
        public_key: str | None = None,
        key: str | None = None,
        proof: str | None = None,
        group: Json | None = None,
    ) -> None:
        """Join by a code, as somebody who has no token."""
        body: Json = {"code": code, "name": name}
        if public_key is not None:
            body["device"] = {"publicKey": public_key}
        body |= {} if proof is None else {"proof": proof}
        body |= {} if group is None else {"group": group}
        headers = {} if key is None else {"Idempotency-Key": key}
        reply = self.ask(None, "POST", "/api/auth/join", body, headers=headers)
        with self.answered(reply, 201) as told:
            invite = self.model.by_code(code)
            if invite is None:
                raise Refused("invite_not_valid")
            if not invite.is_live:
                self._join_again(invite, key, told)
                return
            if group is not None and invite.group is not None:
                raise Refused("group_not_founded")
            made = told()
            owner = invite.maker if invite.for_me else Person(made["user"]["id"], name)
            assert owner is not None
            assert made["user"] == {"id": owner.id, "name": owner.name}
            device = Device(made["device"]["id"], owner, made["token"], public_key)
            if not invite.for_me:
                self.model.people.append(owner)
            self.model.devices.append(device)
            self.devices.append(device)
            package, version = invite.package, invite.key_version
            self._spend(invite, device, made["group"]["id"], role="member")
            invite.key, invite.proof = key, proof
            given = {"keyPackage": package, "keyVersion": version}
            expected = given if package is not None and public_key is not None else {}
            assert {name: made[name] for name in made.keys() & given.keys()} == expected

    def _join_again(self, invite: Invite, key: str | None, told: Callable[[], Any]) -> None:
        """A lost answer is given again to whoever has its key, while what it made lasts."""
        device, owner = invite.used_by_device, invite.used_by
        if (
            invite.used_at is None
            or invite.used_at <= now() - REPEATABLE
            or device is None
            or not device.is_valid
            or key is None
            or key != invite.key
        ):
            raise Refused("invite_not_valid")
        assert owner is not None
        groups = [g for g in self.model.groups_of(owner) if invite.group in (None, g)]
        if not groups:
            raise Refused("invite_not_valid")
        made = told()
        assert made == {
            "token": made["token"],
            "user": {"id": owner.id, "name": owner.name},
            "device": {"id": device.id},
            "group": {"id": groups[0].id, "name": groups[0].name},
        }
        former, device.token = device.token, made["token"]
        assert self.place.ask(former, "GET", "/api/auth/me").status == 401

    def join_group(
        self, by: Device, code: str, *, proof: str | None = None, group: Json | None = None
    ) -> None:
        """Join a further group by a code."""
        body: Json = {"code": code}
        body |= {} if proof is None else {"proof": proof}
        body |= {} if group is None else {"group": group}
        reply = self.ask(by, "POST", "/api/groups/join", body)
        with self.answered(reply, 200) as told:
            self.model.known(by)
            invite = self.model.by_code(code)
            if invite is None or invite.for_me:
                raise Refused("invite_not_valid")
            package = None
            if not invite.is_live:
                mine = invite.used_by is by.owner and invite.group is not None
                if not mine or invite.group not in self.model.groups_of(by.owner):
                    raise Refused("invite_not_valid")
            elif invite.group is not None and group is not None:
                raise Refused("group_not_founded")
            elif invite.group is not None and by.owner in invite.group.members:
                raise Refused("already_a_member")
            else:
                package = invite.package if by.public_key is not None else None
                self._spend(invite, by, told()["id"], role="member")
                invite.proof = proof
            assert told().pop("keyPackage", None) == package

    def _spend(self, invite: Invite, device: Device, group_id: str, *, role: str) -> None:
        """Mark a code as used, and let its redeemer in."""
        shown = self.ask(device, "GET", "/api/groups").json["groups"]
        (told,) = [group for group in shown if group["id"] == group_id]
        joined_at, owner = moment(told["joinedAt"]), device.owner
        invite.used_at = now()
        if invite.group is None:
            self.groups.append(self.model.found(owner, told))
        elif not invite.for_me:
            assert group_id == invite.group.id
            assert now() - LONG < joined_at <= now()
            self.model.enter(invite.group, owner, joined_at, role)
            invite.used_at = joined_at
        group = invite.group or self.groups[-1]
        if invite.package is not None and device.public_key is not None:
            assert invite.key_version is not None
            admitted = Envelope(next(self.model.ticks))
            group.give(invite.key_version, device, admitted)
        invite.package = None
        invite.used_by, invite.used_by_device = owner, device

    # --- Invites

    def create_invite(self, by: Device, group: Group | None, **fields: Any) -> None:
        """Make an invite; `fields` go as they are."""
        body = fields | ({} if group is None else {"groupId": group.id})
        reply = self.ask(by, "POST", "/api/invites", body)
        with self.answered(reply, 201) as told:
            target = self.model.named(by, group)
            self.model.confirmed(by, target)
            package, version = fields.get("keyPackage"), fields.get("keyVersion")
            for_me = fields.get("forMe", False)
            if package is not None:
                if target.rotation_required:
                    raise Refused("rotation_required")
                if version != target.key_version:
                    raise Refused("key_version_conflict")
            there = self.model.by_code(fields["code"]) if "code" in fields else None
            wanted = (target, by.owner, package, version, for_me)
            if there is not None:
                same = (there.group, there.maker, there.package, there.key_version, there.for_me)
                if not there.is_live or same != wanted:
                    raise Refused("code_taken")
                assert told() == {
                    "id": there.id,
                    "groupId": target.id,
                    "code": there.code,
                    "expiresAt": told()["expiresAt"],
                }
                return
            made = told()
            hours = fields.get("expiresInHours", 1)
            expires_at = made["expiresAt"] and moment(made["expiresAt"])
            if hours is None:
                assert expires_at is None
            else:
                assert timedelta() <= now() + timedelta(hours=hours) - expires_at < LONG
            short = hours is not None and hours <= 1 and not for_me
            if "code" in fields:
                assert made["code"] == fields["code"]
            else:
                assert len(made["code"]) == (8 if short else 16)
            assert made["groupId"] == target.id
            self._add_invite(
                Invite(
                    id=made["id"],
                    code=made["code"],
                    group=target,
                    maker=by.owner,
                    expires_at=expires_at,
                    for_me=for_me,
                    package=package,
                    key_version=version,
                )
            )

    def revoke_invite(self, by: Device, invite: Invite) -> None:
        """Make an invite worthless."""
        reply = self.ask(by, "DELETE", f"/api/invites/{invite.id}")
        with self.answered(reply):
            self.model.known(by)
            member = invite.group and invite.group.members.get(by.owner)
            is_mine = member and (member.role == "admin" or invite.maker is by.owner)
            if invite not in self.model.invites or not is_mine:
                raise Refused("invite_not_found")
            if invite.used_at is not None:
                raise Refused("invite_used")
            invite.revoke()

    def validate(self, code: str) -> None:
        """Ask whether a code would do."""
        reply = self.ask(None, "POST", "/api/invites/validate", {"code": code})
        with self.answered(reply, 200) as told:
            invite = self.model.by_code(code)
            is_live = invite is not None and invite.is_live
            shown = {"code": invite.code} if invite is not None and is_live else {}
            assert told() == {"valid": is_live} | shown

    def _add_invite(self, invite: Invite) -> None:
        self.model.invites.append(invite)
        self.invites.append(invite)

    # --- Groups

    def found_group(self, by: Device, name: str, encryption: str) -> None:
        """Found a group."""
        reply = self.ask(by, "POST", "/api/groups", {"name": name, "encryption": encryption})
        with self.answered(reply, 201) as told:
            self.model.known(by)
            made = told()
            assert (made["name"], made["encryption"]) == (name, encryption)
            self.groups.append(self.model.found(by.owner, made))

    def change_group(self, by: Device, group: Group, **changes: Any) -> None:
        """Rename a group, set its retention, turn encryption on."""
        reply = self.ask(by, "PATCH", f"/api/groups/{group.id}", changes)
        with self.answered(reply, 200) as told:
            self.model.admin(by, group)
            if changes.get("retentionDays", 0) > group.retention_days:
                self.model.forget_old_points(group)  # or they would be shown again
            group.name = changes.get("name", group.name)
            group.retention_days = changes.get("retentionDays", group.retention_days)
            group.encryption = changes.get("encryption", group.encryption)
            assert told() == self._shown(group, by, told())

    def delete_group(self, by: Device, group: Group) -> None:
        """Delete a group."""
        reply = self.ask(by, "DELETE", f"/api/groups/{group.id}")
        with self.answered(reply):
            self.model.admin(by, group)
            self.model.end_group(group)

    def change_role(self, by: Device, group: Group, who: Person, role: str) -> None:
        """Make somebody an admin, or no admin."""
        path = f"/api/groups/{group.id}/members/{who.id}"
        reply = self.ask(by, "PATCH", path, {"role": role})
        with self.answered(reply):
            self.model.admin(by, group)
            if who not in group.members:
                raise Refused("member_not_found")
            others = [member.role for person, member in group.members.items() if person is not who]
            if role != "admin" and "admin" not in others:
                raise Refused("last_admin")
            group.members[who].role = role

    def remove(self, by: Device, group: Group, who: Person) -> None:
        """Remove somebody; who has no other group is signed out, unless it is oneself."""
        reply = self.ask(by, "DELETE", f"/api/groups/{group.id}/members/{who.id}")
        with self.answered(reply):
            self.model.admin(by, group)
            if who not in group.members:
                raise Refused("member_not_found")
            self.model.end_membership(group, who)
            if who is not by.owner and not self.model.groups_of(who):
                self.model.revoke_devices(who)

    def leave(self, by: Device, group: Group) -> None:
        """Leave a group."""
        reply = self.ask(by, "POST", f"/api/groups/{group.id}/leave")
        with self.answered(reply):
            self.model.member(by, group)
            self.model.end_membership(group, by.owner)

    def set_sharing(
        self, by: Device, group: Group, until: datetime | None, *, paused: bool
    ) -> None:
        """Pause, for ever or until a time, or resume."""
        body = {"paused": paused} | ({} if until is None else {"until": until.isoformat()})
        reply = self.ask(by, "PUT", f"/api/groups/{group.id}/sharing", body)
        with self.answered(reply):
            member = self.model.member(by, group)
            if until is not None and (not paused or until <= now()):
                raise Refused("resumes_in_the_past")
            member.paused, member.resumes_at = paused, until

    # --- Oneself

    def add_device(self, by: Device) -> None:
        """Add a device, which has no public key yet."""
        reply = self.ask(by, "POST", "/api/devices", {"name": "Tablet"})
        with self.answered(reply, 201) as told:
            self.model.known(by)
            device = Device(told()["id"], by.owner, told()["token"], None)
            self.model.devices.append(device)
            self.devices.append(device)

    def revoke_device(self, by: Device, device: Device) -> None:
        """Revoke a device of one's own."""
        reply = self.ask(by, "DELETE", f"/api/devices/{device.id}")
        with self.answered(reply):
            self.model.known(by)
            if device.owner is not by.owner:
                raise Refused("device_not_found")
            self.model.revoke_device(device)

    def log_out(self, by: Device) -> None:
        """Revoke the device that calls."""
        reply = self.ask(by, "POST", "/api/auth/logout")
        with self.answered(reply):
            self.model.known(by)
            self.model.revoke_device(by)

    def rename(self, by: Device, name: str) -> None:
        """Change one's name."""
        reply = self.ask(by, "PATCH", "/api/users/me", {"name": name})
        with self.answered(reply):
            self.model.known(by)
            by.owner.name = name

    def delete_account(self, by: Device) -> None:
        """Delete one's account."""
        reply = self.ask(by, "DELETE", "/api/users/me")
        with self.answered(reply):
            self.model.known(by)
            self.model.delete_person(by.owner)

    # --- Keys

    def register_key(self, by: Device, public_key: str) -> None:
        """Give the calling device a public key, and ask for the group's."""
        body = {"publicKey": public_key}
        reply = self.ask(by, "POST", "/api/crypto/register-key", body)
        with self.answered(reply, 200) as told:
            self.model.known(by)
            if by.public_key not in (None, public_key):
                raise Refused("public_key_set")
            by.public_key = public_key
            newest = self._newest_key(by)
            assert told() == newest

    def rotate(
        self, by: Device, group: Group, expected: int, key: Json, to: Sequence[Device]
    ) -> None:
        """Give a group a new key, as `key` holds it, wrapped for some devices."""
        body = {"expectedVersion": expected, **key}
        reply = self.ask(by, "POST", f"/api/groups/{group.id}/keys", body)
        with self.answered(reply, 201) as told:
            member = self.model.member(by, group)
            if expected != group.key_version:
                raise Refused("key_version_conflict")
            eligible = self.model.keyed_devices(group)
            nobody = not any((expected, device) in group.envelopes for device in eligible)
            may_begin = group.was_given(by) or (nobody and member.role == "admin")
            if not group.is_confirmed(by) and not may_begin:
                raise Refused("not_confirmed")
            if any(device not in eligible for device in to):
                raise Refused("surplus_devices")
            if by not in to:
                raise Refused("own_envelope_missing")
            assert told() == {"keyVersion": expected + 1}
            group.key_version, group.rotation_required = expected + 1, False
            group.versions[expected + 1] = Version(key["commitment"], key.get("roster"))
            for device, sent in zip(to, key["envelopes"], strict=True):
                wrapped = sent["wrappedKey"]
                given = Envelope(next(self.model.ticks), wrapped, by, by.public_key)
                group.give(expected + 1, device, given)
            for invite in self.model.invites_of(group):
                invite.package = None

    def put_envelope(
        self, by: Device, group: Group, version: int, to: Device, sent: dict[str, str]
    ) -> None:
        """Give a device a version of the key."""
        reply = self.ask(by, "PUT", _envelope_path(group, version, to), sent)
        wrapped, entry = sent["wrappedKey"], sent.get("rosterEntry")
        with self.answered(reply):
            self.model.confirmed(by, group)
            if version not in group.versions:
                raise Refused("key_version_not_found")
            if (version, by) not in group.envelopes:
                raise Refused("not_confirmed")
            if to not in self.model.keyed_devices(group):
                raise Refused("recipient_not_found")
            there = group.envelopes.get((version, to)) or Envelope(next(self.model.ticks))
            if there.wrapped == wrapped:
                return
            gives_way = there.wrapper is to and entry is not None and to is not by
            if there.wrapped is not None and not (gives_way and self._came_by(to, group, version)):
                raise Refused("envelope_exists")
            there.wrapped, there.entry = wrapped, entry
            there.wrapper, there.wrapper_key = by, by.public_key
            group.give(version, to, there)

    def delete_envelope(self, by: Device, group: Group, version: int, of: Device) -> None:
        """Give an envelope back."""
        reply = self.ask(by, "DELETE", _envelope_path(group, version, of))
        with self.answered(reply):
            self.model.member(by, group)
            if of is not by or (version, by) not in group.envelopes:
                raise Refused("envelope_not_found")
            del group.envelopes[version, by]

    def _came_by(self, device: Device, group: Group, version: int) -> bool:
        """Whether it was a key package that brought a device the key."""
        return any(
            invite.used_by_device is device and invite.key_version == version
            for invite in self.model.invites_of(group)
        )

    def _newest_key(self, by: Device) -> Json:
        self.model.known(by)
        groups = self.model.groups_of(by.owner)
        envelopes = [
            (envelope, group.key_version)
            for group in groups
            if (envelope := group.envelopes.get((group.key_version, by))) is not None
            and envelope.wrapped is not None
        ]
        if not envelopes:
            has_key = any(group.key_version for group in groups)
            raise Refused("key_pending" if has_key else "group_key_missing")
        newest, version = max(envelopes, key=lambda found: found[0].happened)
        return {
            "package": newest.wrapped,
            "adminPublicKey": newest.wrapper_key,
            "keyVersion": version,
        }

    # --- Points

    def post(self, by: Device, points: Sequence[Json], *, alone: bool) -> None:
        """Post points. In a batch each is judged on its own."""
        body = points[0] if alone else {"locations": points}
        reply = self.ask(by, "POST", "/api/locations", body)
        with self.answered(reply, 200) as told:
            self.model.known(by)
            if alone and (code := self._refusal(by, points[0])) is not None:
                raise Refused(code)
            results = told()["results"]
            assert len(results) == len(points)
            for point, result in zip(points, results, strict=True):
                code = self._refusal(by, point)
                outcome = {"status": "stored"} if code is None else {"status": "rejected"}
                outcome |= {} if code is None else {"code": code}
                named = point.get("id") or (result["id"] if code is None else None)
                outcome |= {} if named is None else {"id": named}
                assert result == outcome
                self.place.outcomes["post one of a batch", code or "stored"] += 1
                if code is None:
                    self._store(by, point, UUID(named))

    def _refusal(self, by: Device, point: Json) -> str | None:
        """Return why a point should be refused. One that is stored already is not."""
        id_ = UUID(point["id"]) if "id" in point else None
        said_at = moment(point["recordedAt"]) if "recordedAt" in point else None
        if id_ and said_at and time_of(id_) != said_at:
            return "id_time_mismatch"
        groups = self.model.groups_of(by.owner)
        if "groupId" not in point and len(groups) != 1:
            return "group_required"
        named = [g for g in groups if g.id == point.get("groupId", g.id)]
        if not named:
            return "group_not_found"
        group, member = named[0], named[0].members[by.owner]
        if id_ in member.points:
            return None
        is_sealed = "encryptedData" in point
        recorded_at = time_of(id_) if id_ else said_at or now()
        reasons = {
            "sharing_paused": member.is_paused,
            "encryption_required": not is_sealed and group.encryption == "required",
            "group_key_missing": is_sealed and group.key_version == 0,
            "rotation_required": is_sealed and group.rotation_required,
            "key_version_conflict": is_sealed and point["keyVersion"] != group.key_version,
            "not_confirmed": not group.is_confirmed(by),
            "out_of_range": not (
                now() - timedelta(days=group.retention_days) <= recorded_at <= now() + AHEAD
            ),
        }
        return next((code for code, holds in reasons.items() if holds), None)

    def _store(self, by: Device, point: Json, id_: UUID) -> None:
        groups = self.model.groups_of(by.owner)
        (group,) = [g for g in groups if g.id == point.get("groupId", g.id)]
        kept = Point(id_, by, point, next(self.model.ticks))
        group.members[by.owner].points.setdefault(id_, kept)

    def delete_points(
        self, by: Device, group: Group | None, since: datetime | None, until: datetime | None
    ) -> None:
        """Delete one's own points, or a range of them."""
        query = {} if group is None else {"groupId": group.id}
        query |= {} if since is None else {"from": since.isoformat()}
        query |= {} if until is None else {"to": until.isoformat()}
        reply = self.ask(by, "DELETE", "/api/locations", query=query)
        with self.answered(reply, 200) as told:
            points = self.model.member(by, self.model.named(by, group)).points
            doomed = [point for point in points.values() if in_range(point, since, until)]
            for point in doomed:
                del points[point.id]
            assert told() == {"deleted": len(doomed)}

    # --- What runs by itself

    def purge(self) -> None:
        """Delete what expired unused."""
        doomed = [each for each in self.model.invites if each.is_expired and not each.used_at]
        assert self.place.invoke("purge_expired_invites") == {"deleted": len(doomed)}
        self.model.invites = [each for each in self.model.invites if each not in doomed]
        self.place.outcomes[self.doing, "some" if doomed else "none"] += 1

    def maintain(self) -> None:
        """Delete what is kept no longer, and whom nobody can reach."""
        deleted = sum(map(self.model.forget_old_points, self.model.groups))
        unreachable = [
            person
            for person in self.model.people
            if not self.model.groups_of(person) and not self.model.devices_of(person)
        ]
        for person in unreachable:
            self.model.delete_person(person)
        told = self.place.invoke("maintain_locations")
        assert told["peopleDeleted"] == len(unreachable)
        # Some go with the partition of their month, and are not counted.
        assert told["pointsDeleted"] <= deleted
        self.place.outcomes[self.doing, "some" if deleted or unreachable else "none"] += 1

    def after_restore(self) -> None:
        """Void what a backup would bring back to life."""
        open_ = [each for each in self.model.invites if not (each.used_at or each.is_revoked)]
        keyed = [group for group in self.model.groups if group.key_version]
        assert self.place.invoke("after_restore") == {
            "invitesRevoked": len(open_),
            "groupsToRotate": len(keyed),
        }
        for invite in open_:
            invite.revoke()
        for group in keyed:
            group.rotation_required = True
        self.place.outcomes[self.doing, "some" if open_ or keyed else "none"] += 1

    # --- What everybody sees

    def see_groups(self, by: Device) -> None:
        """Compare what somebody is told of their groups."""
        with self.seen(by, "/api/groups") as told:
            shown = {group["id"]: group for group in told()["groups"]}
            groups = {group.id: group for group in self.model.groups_of(by.owner)}
            assert shown == {
                id_: self._shown(group, by, shown.get(id_, {})) for id_, group in groups.items()
            }

    def see_oneself(self, by: Device) -> None:
        """Compare what somebody is told of themselves."""
        with self.seen(by, "/api/auth/me") as told:
            assert told() == {"id": by.owner.id, "name": by.owner.name}
        with self.seen(by, "/api/devices") as told:
            assert {device["id"]: device.get("publicKey") for device in told()["devices"]} == {
                device.id: device.public_key for device in self.model.devices_of(by.owner)
            }

    def _shown(self, group: Group, by: Device, told: Json) -> Json:
        member = group.members[by.owner]
        sharing: Json = {"paused": member.is_paused}
        if member.is_paused and member.resumes_at is not None:
            sharing["resumesAt"] = told.get("sharing", {}).get("resumesAt")
            assert moment(sharing["resumesAt"]) == member.resumes_at
        assert moment(told["joinedAt"]) == member.joined_at
        return {
            "id": group.id,
            "name": group.name,
            "encryption": group.encryption,
            "keyVersion": group.key_version,
            "rotationRequired": group.rotation_required,
            "retentionDays": group.retention_days,
            "confirmed": group.is_confirmed(by),
            "role": member.role,
            "joinedAt": told["joinedAt"],
            "sharing": sharing,
        }

    def see_people(self, by: Device) -> None:
        """Compare what somebody is told of the others."""
        with self.seen(by, "/api/users") as told:
            shown = {
                (person["id"], group["groupId"]): (
                    person["name"],
                    group["role"],
                    moment(group["joinedAt"]),
                    {device.pop("id"): device for device in group["devices"]},
                )
                for person in told()["users"]
                for group in person["groups"]
            }
            assert shown == {
                (person.id, group.id): (
                    person.name,
                    member.role,
                    member.joined_at,
                    {
                        device.id: {
                            "publicKey": device.public_key,
                            "confirmed": group.is_confirmed(device),
                        }
                        | self._proof(device, group)
                        for device in self.model.keyed_devices(group)
                        if device.owner is person
                    },
                )
                for group in self.model.groups_of(by.owner)
                for person, member in group.members.items()
            }

    def _proof(self, device: Device, group: Group) -> Json:
        proof = self.model.proof_of(device, group)
        return {} if proof is None else {"joinProof": proof}

    def see_invites(self, by: Device) -> None:
        """Compare what somebody is told of invites."""
        with self.seen(by, "/api/invites") as told:
            listed = told()["invites"]
            assert [each["id"] for each in listed] == sorted(
                (each["id"] for each in listed), reverse=True
            )
            shown = {
                each["id"]: (
                    each["groupId"],
                    each["createdBy"],
                    each["forMe"],
                    each["expiresAt"] and moment(each["expiresAt"]),
                    "usedAt" in each,
                    each.get("usedBy"),
                    "revokedAt" in each,
                )
                for each in listed
            }
            assert shown == {
                invite.id: (
                    group.id,
                    invite.maker.id,
                    invite.for_me,
                    invite.expires_at,
                    invite.used_at is not None,
                    invite.used_by and invite.used_by.id,
                    invite.is_revoked,
                )
                for group in self.model.groups_of(by.owner)
                for invite in self.model.invites_of(group)
                if invite.maker is not None
                and (invite.maker is by.owner or group.members[by.owner].role == "admin")
            }

    def see_keys(self, by: Device) -> None:
        """Compare what somebody is told of keys, in every group there is or was."""
        with self.seen(by, "/api/crypto/group-key") as told:
            newest = self._newest_key(by)
            assert told() == newest
        for group in self.groups:
            with self.seen(by, f"/api/groups/{group.id}/keys") as told:
                self.model.member(by, group)
                assert told() == self._keys(by, group)
            with self.seen(by, f"/api/groups/{group.id}/keys/pending") as told:
                self.model.confirmed(by, group)
                waiting = [
                    device
                    for device in (self.model.keyed_devices(group) if group.key_version else [])
                    if (there := group.envelopes.get((group.key_version, device))) is None
                    or there.wrapped is None
                ]
                assert told()["devices"] == [
                    {
                        "deviceId": device.id,
                        "userId": device.owner.id,
                        "name": device.owner.name,
                        "publicKey": device.public_key,
                    }
                    | self._proof(device, group)
                    for device in sorted(waiting, key=lambda device: device.id)
                ]

    def _keys(self, by: Device, group: Group) -> Json:
        entries = [
            (envelope, version)
            for (version, _), envelope in group.envelopes.items()
            if envelope.entry is not None
        ]
        return {
            "keyVersion": group.key_version,
            "rotationRequired": group.rotation_required,
            "confirmed": group.is_confirmed(by),
            "versions": [
                {"keyVersion": number, "commitment": version.commitment}
                | ({} if version.roster is None else {"roster": version.roster})
                for number, version in sorted(group.versions.items())
            ],
            "envelopes": [
                {
                    "keyVersion": version,
                    "wrappedKey": envelope.wrapped,
                    "wrapperPublicKey": envelope.wrapper_key,
                    "wrapperDeviceId": envelope.wrapper and envelope.wrapper.id,
                }
                for (version, device), envelope in sorted(
                    group.envelopes.items(), key=lambda item: item[0][0]
                )
                if device is by and envelope.wrapped is not None
            ],
            "rosterEntries": [
                {
                    "keyVersion": version,
                    "rosterEntry": envelope.entry,
                    "wrapperDeviceId": envelope.wrapper and envelope.wrapper.id,
                }
                for envelope, version in sorted(entries, key=lambda found: found[0].happened)
            ],
        }

    def see_points(self, by: Device, *, page: int = 3) -> None:
        """Compare what somebody is shown of points: the latest, all pages of history, their own."""
        for group in self.groups:
            named = {"groupId": group.id}
            with self.seen(by, "/api/locations/latest", query=named) as told:
                self.model.confirmed(by, group)
                newest: dict[Person, Point] = {}
                for point in self.model.visible(by, group):
                    newest.setdefault(point.device.owner, point)
                assert sorted(map(summary, told()["locations"])) == sorted(
                    self._summary(point, group) for point in newest.values()
                )
            with self.seen(by, "/api/locations", query=named | {"limit": page}) as told:
                self.model.confirmed(by, group)
                shown, cursor = told()["locations"], told().get("nextCursor")
                while cursor is not None:
                    assert len(shown) % page == 0
                    further = self.ask(
                        by, "GET", "/api/locations",
                        query=named | {"limit": page, "cursor": cursor},
                    ).json  # fmt: skip
                    shown += further["locations"]
                    cursor = further.get("nextCursor")
                assert list(map(summary, shown)) == [
                    self._summary(point, group) for point in self.model.visible(by, group)
                ]
        with self.seen(by, "/api/export") as told:
            self.model.known(by)
            assert sorted(map(summary, told()["locations"])) == sorted(
                self._summary(point, group)
                for group in self.model.groups_of(by.owner)
                for point in group.members[by.owner].points.values()
            )

    def _summary(self, point: Point, group: Group) -> tuple[str, ...]:
        told = {"id": str(point.id), "groupId": group.id, "deviceId": point.device.id}
        said = {name: value for name, value in point.body.items() if name != "recordedAt"}
        return summary(said | told | {"userId": point.device.owner.id})

    @contextmanager
    def seen(self, by: Device, path: str, **options: Any) -> Iterator[Callable[[], Any]]:
        """Read something, and compare as `answered` does."""
        self.doing = "read " + re.sub("/[0-9a-f-]{36}", "/{id}", path)
        reply = self.ask(by, "GET", path, **options)
        with self.answered(reply, 200) as answer:

            def told() -> Any:
                self.model.known(by)
                return answer()

            yield told

    # --- What is stored

    def stored(self) -> Json:
        """Return what the database should hold, in the form of `Place.state`."""
        model = self.model
        return {
            "people": {person.id: person.name for person in model.people},
            "devices": {
                device.id: [device.owner.id, in_hex(device.public_key), device.is_valid]
                for device in model.devices
            },
            "groups": {
                group.id: [
                    group.name,
                    group.encryption,
                    group.retention_days,
                    group.key_version,
                    group.rotation_required,
                ]
                for group in model.groups
            },
            "members": rows(
                [group.id, person.id, member.role]
                for group in model.groups
                for person, member in group.members.items()
            ),
            "invites": {
                invite.id: [
                    invite.group and invite.group.id,
                    invite.maker and invite.maker.id,
                    invite.for_me,
                    invite.used_at is not None,
                    invite.used_by and invite.used_by.id,
                    invite.used_by_device and invite.used_by_device.id,
                    invite.is_revoked,
                    in_hex(invite.package),
                    invite.key_version,
                    invite.key is not None,
                    in_hex(invite.proof),
                ]
                for invite in model.invites
            },
            "versions": rows(
                [group.id, number, in_hex(version.commitment), in_hex(version.roster)]
                for group in model.groups
                for number, version in group.versions.items()
            ),
            "envelopes": rows(
                [
                    group.id,
                    number,
                    device.owner.id,
                    device.id,
                    in_hex(envelope.wrapped),
                    envelope.wrapper and envelope.wrapper.id,
                    in_hex(envelope.wrapper_key),
                    in_hex(envelope.entry),
                ]
                for group in model.groups
                for (number, device), envelope in group.envelopes.items()
            ),
            "points": rows(
                [
                    group.id,
                    person.id,
                    point.device.id,
                    str(point.id),
                    point.body.get("latitude"),
                    in_hex(point.body.get("encryptedData")),
                    point.body.get("keyVersion"),
                ]
                for group in model.groups
                for person, member in group.members.items()
                for point in member.points.values()
            ),
        }


def _envelope_path(group: Group, version: int, device: Device) -> str:
    return f"/api/groups/{group.id}/keys/{version}/envelopes/{device.id}"


def in_hex(sent: str | None) -> str | None:
    """Return bytes of the wire as the database shows them."""
    return sent and urlsafe_b64decode(sent + "=" * (-len(sent) % 4)).hex()


def rows(found: Iterable[list[Any]]) -> list[str]:
    """Return rows in an order of their own."""
    return sorted(map(str, found))


def in_range(point: Point, since: datetime | None, until: datetime | None) -> bool:
    """Whether a point was recorded in [since, until)."""
    return (since is None or since <= point.recorded_at) and (
        until is None or point.recorded_at < until
    )


def summary(point: Json) -> tuple[str, ...]:
    """Return a point as one can be compared with another, sent or shown."""
    if "recordedAt" in point:
        assert moment(point["recordedAt"]) == time_of(UUID(point["id"]))
    names = ("id", "groupId", "userId", "deviceId", "encryptedData", "keyVersion")
    return tuple(str(point.get(name)) for name in (*names, "latitude", "longitude", "accuracy"))
