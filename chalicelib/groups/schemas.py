"""The shapes of groups on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from chalicelib.groups.service import Membership
from chalicelib.web import Answer, Moment, Name, Optional, Request

RetentionDays = Annotated[int, Field(ge=1, le=365)]


class FoundGroupRequest(Request):
    """A new group. New groups require encryption unless they say otherwise."""

    name: Name
    encryption: Literal["required", "optional"] = "required"


class ChangeGroupRequest(Request):
    """What of a group is to change; what is left out stays."""

    name: Name | None = None
    retention_days: RetentionDays | None = None
    encryption: Literal["required"] | None = None

    def changes(self) -> dict[str, object]:
        """Return the columns to set."""
        return self.model_dump(exclude_none=True)


class ChangeRoleRequest(Request):
    """What a member is to be."""

    role: Literal["admin", "member"]


class SharingRequest(Request):
    """Whether the caller's sharing is paused, and until when."""

    paused: bool
    until: Moment | None = None


class SharingAnswer(Answer):
    """Whether sharing is paused; shown to the person alone."""

    paused: bool
    resumes_at: datetime | None = Optional


class GroupAnswer(Answer):
    """A group as one of its members sees it."""

    id: UUID
    name: str
    encryption: str
    key_version: int
    rotation_required: bool
    retention_days: int
    role: str
    joined_at: datetime
    sharing: SharingAnswer

    @classmethod
    def of(cls, membership: Membership) -> "GroupAnswer":
        """Present a membership."""
        paused = membership.sharing_paused
        return cls(
            id=membership.group_id,
            name=membership.name,
            encryption=membership.encryption,
            key_version=membership.key_version,
            rotation_required=membership.rotation_required,
            retention_days=membership.retention_days,
            role=membership.role,
            joined_at=membership.joined_at,
            sharing=SharingAnswer(
                paused=paused, resumes_at=membership.sharing_resumes_at if paused else None
            ),
        )


class GroupsAnswer(Answer):
    """All groups of the caller."""

    groups: list[GroupAnswer]

    @classmethod
    def of(cls, memberships: list[Membership]) -> "GroupsAnswer":
        """Present memberships."""
        return cls(groups=[GroupAnswer.of(membership) for membership in memberships])
