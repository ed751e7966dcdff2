"""The shapes of groups on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from chalicelib.groups.service import Membership
from chalicelib.web import Answer, Moment, Name, Optional, Request

GroupName = Annotated[str, Field(examples=["Hearth"])]
Encryption = Annotated[
    str,
    Field(
        description="With `required` the group takes sealed points only.",
        json_schema_extra={"enum": ["required", "optional"]},
    ),
]
Browsers = Annotated[
    str,
    Field(
        description="Whether devices that run in a browser may join.",
        json_schema_extra={"enum": ["accepted", "refused"]},
    ),
]
Role = Annotated[str, Field(json_schema_extra={"enum": ["admin", "member"]})]
RetentionDays = Annotated[
    int, Field(ge=1, le=365, description="How long points are kept.", examples=[30])
]


class FoundGroupRequest(Request):
    """A new group. New groups require encryption unless they say otherwise."""

    name: Annotated[Name, Field(examples=["Hearth"])]
    encryption: Annotated[
        Literal["required", "optional"],
        Field(description="With `required` the group takes sealed points only."),
    ] = "required"


class ChangeGroupRequest(Request):
    """What of a group is to change; what is left out stays."""

    name: Annotated[Name | None, Field(examples=["Hearth"])] = None
    retention_days: RetentionDays | None = None
    encryption: Annotated[
        Literal["required"] | None, Field(description="There is no way back.")
    ] = None

    browsers: Annotated[
        Literal["accepted", "refused"] | None,
        Field(description="Whether devices that run in a browser may join."),
    ] = None

    def changes(self) -> dict[str, object]:
        """Return the columns to set."""
        return self.model_dump(exclude_none=True)


class ChangeRoleRequest(Request):
    """What a member is to be."""

    role: Literal["admin", "member"]


class SharingRequest(Request):
    """Whether the caller's sharing is paused, and until when."""

    paused: bool
    until: Annotated[
        Moment | None, Field(description="When sharing resumes by itself; null is never.")
    ] = None


class SharingAnswer(Answer):
    """Whether sharing is paused; shown to the person alone."""

    paused: bool
    resumes_at: Annotated[datetime | None, Field(description="Absent: not by itself.")] = Optional


class GroupAnswer(Answer):
    """A group as one of its members sees it."""

    id: UUID
    name: GroupName
    encryption: Encryption
    key_version: Annotated[int, Field(description="0 while the group has no key.")]
    rotation_required: Annotated[
        bool, Field(description="Whether a new key has to be made before points are taken.")
    ]
    retention_days: RetentionDays
    confirmed: Annotated[
        bool, Field(description="Whether this device may act in the group: one with a key lets it.")
    ]
    role: Role
    joined_at: datetime
    sharing: SharingAnswer
    browsers: Annotated[Browsers | None, Field(description="In form 2.")] = Optional

    @classmethod
    def of(cls, membership: Membership, *, form: int) -> "GroupAnswer":
        """Present a membership in the form that was asked for."""
        paused = membership.sharing_paused
        return cls(
            id=membership.group_id,
            name=membership.name,
            encryption=membership.encryption,
            key_version=membership.key_version,
            rotation_required=membership.rotation_required,
            retention_days=membership.retention_days,
            confirmed=membership.is_confirmed,
            role=membership.role,
            joined_at=membership.joined_at,
            sharing=SharingAnswer(
                paused=paused, resumes_at=membership.sharing_resumes_at if paused else None
            ),
            browsers=membership.browsers if form > 1 else None,
        )


class GroupsAnswer(Answer):
    """All groups of the caller."""

    groups: list[GroupAnswer]

    @classmethod
    def of(cls, memberships: list[Membership], *, form: int) -> "GroupsAnswer":
        """Present memberships in the form that was asked for."""
        return cls(groups=[GroupAnswer.of(membership, form=form) for membership in memberships])
