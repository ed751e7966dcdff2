"""The shapes of invites and joins on the wire."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from chalicelib.devices.schemas import Token
from chalicelib.groups.schemas import FoundGroupRequest, GroupName
from chalicelib.invites.codes import SHORT_LIFE, InviteCode
from chalicelib.invites.service import Joined, Newcomer, NewGroup, NewInvite
from chalicelib.web import Answer, Name, Optional, Request, Uuid

SHORTEST_LIFE_HOURS = 1 / 3600
"""A second: what is much shorter would be rounded to no life at all."""

LONGEST_LIFE_HOURS = 10 * 365 * 24

Code = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    Field(
        description="Read with or without spaces and hyphens, in upper or lower case.",
        examples=["RT5W-LJ8B"],
    ),
]
CanonicalCode = Annotated[str, Field(examples=["RT5WLJ8B"])]
IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,64}$")]


class CreateInviteRequest(Request):
    """An invite to one of my groups; without `expiresInHours` for an hour, with null for ever."""

    group_id: Annotated[
        Uuid | None, Field(description="May be left out by who is in one group only.")
    ] = None
    expires_in_hours: Annotated[
        Annotated[float, Field(ge=SHORTEST_LIFE_HOURS, le=LONGEST_LIFE_HOURS)] | None,
        Field(
            description="Null is never. A code that lives longer than an hour is longer.",
            examples=[1],
        ),
    ] = SHORT_LIFE / timedelta(hours=1)

    def life(self) -> timedelta | None:
        """Return how long the invite is to live; None is for ever."""
        hours = self.expires_in_hours
        return None if hours is None else timedelta(hours=hours)


class CodeRequest(Request):
    """A code as a person typed it."""

    code: Code

    def invite_code(self) -> InviteCode | None:
        """Return the code, or None when it cannot be one."""
        return InviteCode.read(self.code)


class JoinGroupRequest(CodeRequest):
    """A code, and the group to found if it is a founding one."""

    group: Annotated[
        FoundGroupRequest | None, Field(description="Only beside the code of a founding invite.")
    ] = None

    def new_group(self) -> NewGroup | None:
        """Return the group to found."""
        if self.group is None:
            return None
        return NewGroup(name=self.group.name, encryption=self.group.encryption)


class DeviceRequest(Request):
    """The device that somebody joins with."""

    name: Annotated[Name, Field(examples=["Ari's phone"])] = "App"


class JoinRequest(JoinGroupRequest):
    """A code, and who comes in by it."""

    name: Annotated[Name, Field(examples=["Ari"])]
    device: DeviceRequest = DeviceRequest()

    def newcomer(self, idempotency_key: str | None) -> Newcomer:
        """Return who wants in."""
        return Newcomer(
            name=self.name,
            device_name=self.device.name,
            group=self.new_group(),
            idempotency_key=idempotency_key,
        )


class JoinHeaders(Request):
    """What makes a join repeatable when its answer is lost."""

    idempotency_key: Annotated[
        IdempotencyKey | None,
        Field(
            alias="Idempotency-Key",
            description="22 to 64 random characters. When the answer is lost, the same join with "
            "the same key within 15 minutes is answered again.",
            examples=["vD0cV5mB6yqYl3nJx1ZtQw"],
        ),
    ] = None


class NewInviteAnswer(Answer):
    """A new invite, with the only copy of its code, in canonical form."""

    id: UUID
    group_id: UUID | None
    code: CanonicalCode
    expires_at: Annotated[datetime | None, Field(description="Null: never.")]

    @classmethod
    def of(cls, invite: NewInvite) -> "NewInviteAnswer":
        """Present a new invite."""
        return cls(
            id=invite.id,
            group_id=invite.group_id,
            code=invite.code.text,
            expires_at=invite.expires_at,
        )


class InviteAnswer(Answer):
    """An invite that was made, without its code, which nobody keeps."""

    id: UUID
    group_id: UUID
    created_by: UUID
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(description="Null: never.")]
    used_at: datetime | None = Optional
    used_by: UUID | None = Optional
    revoked_at: datetime | None = Optional


class InvitesAnswer(Answer):
    """The invites I made, and in groups that I run all of them; newest first."""

    invites: list[InviteAnswer]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "InvitesAnswer":
        """Present rows of invites."""
        return cls(invites=[InviteAnswer.model_validate(row) for row in rows])


class ValidAnswer(Answer):
    """Whether a code would be accepted now."""

    valid: Annotated[bool, Field(examples=[True])]
    code: CanonicalCode | None = Optional

    @classmethod
    def of(cls, code: InviteCode | None, *, valid: bool) -> "ValidAnswer":
        """Present the verdict; a valid code is repeated in canonical form."""
        return cls(valid=valid, code=code.text if code is not None and valid else None)


class JoinedUserAnswer(Answer):
    """Who came in."""

    id: UUID
    name: Annotated[str, Field(examples=["Ari"])]


class JoinedDeviceAnswer(Answer):
    """The device they came in with."""

    id: UUID


class JoinedGroupAnswer(Answer):
    """The group they are in now."""

    id: UUID
    name: GroupName


class JoinAnswer(Answer):
    """Who came in, with the only copy of their token."""

    token: Token
    user: JoinedUserAnswer
    device: JoinedDeviceAnswer
    group: JoinedGroupAnswer

    @classmethod
    def of(cls, joined: Joined) -> "JoinAnswer":
        """Present a join."""
        return cls(
            token=joined.token,
            user=JoinedUserAnswer(id=joined.user_id, name=joined.name),
            device=JoinedDeviceAnswer(id=joined.device_id),
            group=JoinedGroupAnswer(id=joined.group_id, name=joined.group_name),
        )
