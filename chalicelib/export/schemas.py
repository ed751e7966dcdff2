"""The shape of an export."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from chalicelib.export.service import Export
from chalicelib.locations.schemas import (
    LARGEST_BATCH,
    Cursor,
    LocationAnswer,
    join_cursor,
    split_cursor,
)
from chalicelib.web import Answer, Opaque, Optional, Request, Whole


class ExportQuery(Request):
    """Which page of points."""

    limit: Annotated[Whole, Field(ge=1, le=LARGEST_BATCH)] = LARGEST_BATCH
    cursor: Cursor | None = None

    def after(self) -> tuple[UUID, UUID] | None:
        """Return the (group id, id) of the point that the page comes after."""
        return split_cursor(self.cursor)


class ExportedUser(Answer):
    """The person."""

    id: UUID
    name: str
    created_at: datetime


class ExportedDevice(Answer):
    """A device, also one that is revoked. Of its token only a hash exists."""

    id: UUID
    name: str
    kind: str
    tid: str | None
    public_key: Opaque | None
    created_at: datetime
    last_used_on: date
    revoked_at: datetime | None


class ExportedMembership(Answer):
    """A group, and what the person is in it."""

    id: UUID
    name: str
    role: str
    joined_at: datetime
    sharing_paused: bool
    sharing_resumes_at: datetime | None


class ExportedInvite(Answer):
    """An invite that the person made, or came in by. Of its code only a keyed hash exists."""

    id: UUID
    group_id: UUID | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None
    made_by_me: bool


class ExportAnswer(Answer):
    """All that is stored about me; every page repeats all but the points."""

    user: ExportedUser
    devices: list[ExportedDevice]
    groups: list[ExportedMembership]
    invites: list[ExportedInvite]
    locations: list[LocationAnswer]
    next_cursor: str | None = Optional

    @classmethod
    def of(cls, export: Export) -> "ExportAnswer":
        """Present an export."""
        answer = cls.model_validate(export)
        return answer.model_copy(update={"next_cursor": join_cursor(export.last)})
