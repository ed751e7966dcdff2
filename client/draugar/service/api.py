"""The service's routes, each a method that sends and reads."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from draugar.errors import AnswerNotUnderstood
from draugar.models import OpenInvite
from draugar.protocol.json import to_base64url
from draugar.protocol.statements import Browsers
from draugar.service import responses as answers
from draugar.service.transport import Transport

PAGE = 500  # points
_LATEST_PAGES = 100
"""Of a megabyte each: more than any family fills."""
_KEY_PAGES = 50
"""Of a hundred versions each: older ones than the newest five thousand are not asked for."""
_FORM_2 = {"form": "2"}
"""What a service does not know yet it leaves out: a query that it does not read does no harm."""


def _opaque(**members: bytes | None) -> dict[str, str]:
    """Return members of a body; what is None is left out."""
    return {name: to_base64url(value) for name, value in members.items() if value is not None}


class Api:
    """The routes. Every method raises ServiceFailure."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._call = transport.call

    def close(self) -> None:
        """Close its connections."""
        self._transport.close()

    # Coming and going

    def join(self, body: Mapping[str, Any], *, idempotency_key: str) -> answers.Joined:
        """Spend a code; the same key again is answered again, without the package."""
        headers = {"Idempotency-Key": idempotency_key}
        return answers.Joined.read(self._call("POST", "/auth/join", body, headers=headers))

    def founds_group(self, code: str) -> bool:
        """Whether a code founds a group; it is not spent. Older services do not say."""
        answer = self._call("POST", "/invites/validate", {"code": code})
        return answers.CodeKind.read(answer).founds_group

    def logout(self) -> None:
        """Make this device's token void."""
        self._call("POST", "/auth/logout")

    def rename(self, name: str) -> None:
        """Change the caller's name."""
        self._call("PATCH", "/users/me", {"name": name})

    def delete_account(self) -> None:
        """Delete the caller."""
        self._call("DELETE", "/users/me")

    # Groups

    def groups(self) -> list[answers.ListedGroup]:
        """List the caller's groups."""
        return answers.Groups.read(self._call("GET", "/groups", query=_FORM_2)).groups

    def found_group(self, name: str, encryption: str) -> answers.ListedGroup:
        """Found a further group."""
        body = {"name": name, "encryption": encryption}
        answer = self._call("POST", "/groups", body, query=_FORM_2, is_repeatable=False)
        return answers.ListedGroup.read(answer)

    def join_group(self, body: Mapping[str, Any]) -> answers.ListedGroup:
        """Join a further group by a code."""
        return answers.ListedGroup.read(self._call("POST", "/groups/join", body, query=_FORM_2))

    def change_group(
        self,
        group_id: UUID,
        *,
        name: str | None = None,
        retention_days: int | None = None,
        browsers: Browsers | None = None,
    ) -> answers.ListedGroup:
        """Change a group's name, how long it keeps points, or whether it takes browsers.

        What is None stays.
        """
        changes = {"name": name, "retentionDays": retention_days, "browsers": browsers}
        body = {field: value for field, value in changes.items() if value is not None}
        answer = self._call("PATCH", f"/groups/{group_id}", body, query=_FORM_2)
        return answers.ListedGroup.read(answer)

    def leave(self, group_id: UUID) -> None:
        """Leave a group."""
        self._call("POST", f"/groups/{group_id}/leave")

    def remove(self, group_id: UUID, user_id: UUID) -> None:
        """Remove a member."""
        self._call("DELETE", f"/groups/{group_id}/members/{user_id}")

    def set_role(self, group_id: UUID, user_id: UUID, role: str) -> None:
        """Make a member admin, or an admin a member."""
        self._call("PATCH", f"/groups/{group_id}/members/{user_id}", {"role": role})

    def set_sharing(self, group_id: UUID, *, paused: bool, until: datetime | None) -> None:
        """Pause or resume the caller's sharing."""
        body = {"paused": paused, "until": None if until is None else until.isoformat()}
        self._call("PUT", f"/groups/{group_id}/sharing", body)

    # Invites

    def invite(self, body: Mapping[str, Any]) -> tuple[UUID, str, datetime | None]:
        """Make an invite; its id, code and end."""
        # Only with a code of the client's own is a repeat the same invite.
        answer = self._call("POST", "/invites", body, is_repeatable="code" in body)
        made = answers.NewInvite.read(answer)
        return made.id, made.code, made.expires_at

    def invites(self) -> list[OpenInvite]:
        """List the invites the caller may see."""
        listed = answers.Invites.read(self._call("GET", "/invites"))
        return [invite.value() for invite in listed.invites]

    def revoke_invite(self, invite_id: UUID) -> None:
        """Revoke an invite."""
        self._call("DELETE", f"/invites/{invite_id}")

    # Keys

    def keys(self, group_id: UUID, before: int | None = None) -> answers.Keys:
        """Show a group's versions and this device's envelopes, of all pages that there are.

        `before`: only versions below this one. Of more than 5,000 versions the newest are shown;
        then `next_before` says below which one more are to be asked for.
        """
        keys = self._page_of_keys(group_id, before)
        for _ in range(_KEY_PAGES - 1):
            below = keys.next_before
            if below is None:
                break
            keys = keys.with_older(self._page_of_keys(group_id, below))
        return keys

    def _page_of_keys(self, group_id: UUID, before: int | None) -> answers.Keys:
        query = _FORM_2 if before is None else {**_FORM_2, "before": str(before)}
        page = answers.Keys.read(self._call("GET", f"/groups/{group_id}/keys", query=query))
        if before is not None and page.highest >= before:
            raise AnswerNotUnderstood  # pages that do not end
        return page

    def rotate(  # noqa: PLR0913 -- a new key has that many parts
        self,
        group_id: UUID,
        *,
        expected_version: int,
        commitment: bytes,
        envelopes: Mapping[UUID, bytes],
        statement: bytes | None = None,
        roster: bytes | None = None,
    ) -> int:
        """Give a group its next key; the version it has then. `roster` is of form 1."""
        body = {
            "expectedVersion": expected_version,
            "commitment": to_base64url(commitment),
            **_opaque(statement=statement, roster=roster),
            "envelopes": [
                {"deviceId": str(device_id), "wrappedKey": to_base64url(wrapped_key)}
                for device_id, wrapped_key in envelopes.items()
            ],
        }
        answer = self._call("POST", f"/groups/{group_id}/keys", body)
        return answers.Rotated.read(answer).key_version

    def put_envelope(  # noqa: PLR0913 -- so many parts has an envelope
        self,
        group_id: UUID,
        key_version: int,
        device_id: UUID,
        *,
        wrapped_key: bytes,
        former: bytes | None = None,
        roster_entry: bytes | None = None,
    ) -> None:
        """Give a device a version of the key, beside what others gave it.

        `former`: until when a former version was used. `roster_entry` is of form 1.
        """
        body = _opaque(wrappedKey=wrapped_key, former=former, rosterEntry=roster_entry)
        path = f"/groups/{group_id}/keys/{key_version}/envelopes/{device_id}"
        self._call("PUT", path, body, query=_FORM_2)

    def delete_envelope(self, group_id: UUID, key_version: int, device_id: UUID) -> None:
        """Give back an envelope of this device."""
        self._call("DELETE", f"/groups/{group_id}/keys/{key_version}/envelopes/{device_id}")

    def put_vouch(self, group_id: UUID, key_version: int, device_id: UUID, entry: bytes) -> None:
        """Vouch for a device, under the present version; this replaces an earlier vouch."""
        path = f"/groups/{group_id}/keys/{key_version}/vouches/{device_id}"
        self._call("PUT", path, _opaque(entry=entry))

    def put_card(self, group_id: UUID, key_version: int, sealed: bytes) -> None:
        """Put this device's card, sealed under the present version; it replaces an earlier one."""
        body = {"keyVersion": key_version, **_opaque(sealed=sealed)}
        self._call("PUT", f"/groups/{group_id}/card", body)

    # People and devices

    def people(self, group_id: UUID) -> list[answers.ListedPerson]:
        """List the people in a group."""
        query = {**_FORM_2, "groupId": str(group_id)}
        people = answers.People.read(self._call("GET", "/users", query=query)).of(group_id)
        devices = [device.id for person in people for device in person.devices]
        devices += [phone.id for person in people for phone in person.phones]
        users = {person.user_id for person in people}
        if len(users) != len(people) or len(set(devices)) != len(devices):
            raise AnswerNotUnderstood  # whose device it is would be a guess
        return people

    def devices(self) -> list[answers.ListedOwnDevice]:
        """List the devices that can act for the caller."""
        return answers.OwnDevices.read(self._call("GET", "/devices", query=_FORM_2)).devices

    def revoke_device(self, device_id: UUID) -> None:
        """Revoke a device of the caller's."""
        self._call("DELETE", f"/devices/{device_id}")

    def add_phone(self, name: str, *, group_id: UUID, tid: str | None) -> answers.NewPhone:
        """Add a phone with OwnTracks to the caller."""
        body = {"name": name, "kind": "owntracks", "groupId": str(group_id)}
        if tid is not None:
            body["tid"] = tid
        return answers.NewPhone.read(self._call("POST", "/devices", body, is_repeatable=False))

    def renew_phone(self, device_id: UUID) -> answers.NewPhone:
        """Give a phone of the caller's a new password, and the group's present key version."""
        return answers.NewPhone.read(self._call("POST", f"/devices/{device_id}/renew"))

    # Points

    def store(self, points: Iterable[Mapping[str, Any]]) -> list[answers.Verdict]:
        """Store points that carry their ids; in the order they were sent."""
        sent = list(points)
        answer = self._call("POST", "/locations", {"locations": sent})
        verdicts = answers.Verdicts.read(answer).results
        if [str(verdict.id) for verdict in verdicts] != [point["id"] for point in sent]:
            raise AnswerNotUnderstood
        return verdicts

    def latest(self, group_id: UUID) -> list[answers.StoredPoint]:
        """Show the newest point of each member of a group, of all pages that there are."""
        query = {"groupId": str(group_id)}
        points: list[answers.StoredPoint] = []
        for _ in range(_LATEST_PAGES):
            page = answers.Points.read(self._call("GET", "/locations/latest", query=query))
            points += page.locations
            if page.next_cursor is None:
                return points
            query["cursor"] = page.next_cursor
        raise AnswerNotUnderstood  # pages that do not end

    def history(self, query: Mapping[str, str]) -> tuple[list[answers.StoredPoint], str | None]:
        """Show a page of points, newest first, and the cursor of the next."""
        answer = self._call("GET", "/locations", query={"limit": str(PAGE), **query})
        page = answers.Points.read(answer)
        return page.locations, page.next_cursor

    def delete_point(self, group_id: UUID, point_id: UUID) -> int:
        """Delete one point of the caller's; how many there were."""
        query = {"groupId": str(group_id), "id": str(point_id)}
        deleted = answers.Deleted.read(self._call("DELETE", "/locations", query=query)).deleted
        if deleted > 1:
            raise AnswerNotUnderstood
        return deleted

    def delete_points(
        self, group_id: UUID, *, since: datetime | None, until: datetime | None
    ) -> int:
        """Delete the caller's points of a group; how many there were."""
        query = {"groupId": str(group_id)}
        if since is not None:
            query["from"] = since.isoformat()
        if until is not None:
            query["to"] = until.isoformat()
        return answers.Deleted.read(self._call("DELETE", "/locations", query=query)).deleted

    def export(
        self, cursor: str | None
    ) -> tuple[dict[str, Any], list[answers.StoredPoint], str | None]:
        """Show a page of all that is stored about the caller, its points also as values."""
        query = {} if cursor is None else {"cursor": cursor}
        answer = self._call("GET", "/export", query=query)
        page = answers.Points.read(answer)
        return answer, page.locations, page.next_cursor
