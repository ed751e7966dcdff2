"""The shape of an export."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from chalicelib.devices.schemas import DeviceKind, DeviceName
from chalicelib.export.service import Export
from chalicelib.groups.schemas import GroupName, Role
from chalicelib.locations.schemas import (
    LARGEST_BATCH,
    LocationAnswer,
    NextCursor,
    PageAfter,
    join_cursor,
    split_cursor,
)
from chalicelib.web import Answer, Opaque, Optional, Request, Whole

_BYTES = "CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"


class ExportQuery(Request):
    """Which page of points."""

    limit: Annotated[
        Whole, Field(ge=1, le=LARGEST_BATCH, description="How many points at most.")
    ] = LARGEST_BATCH
    cursor: PageAfter = None

    def after(self) -> tuple[UUID, UUID] | None:
        """Return the (group id, id) of the point that the page comes after."""
        return split_cursor(self.cursor)


class ExportedUser(Answer):
    """The person."""

    id: UUID
    name: Annotated[str, Field(examples=["Una"])]
    created_at: datetime


class ExportedDevice(Answer):
    """A device, also one that is revoked. Of its token only a hash exists."""

    id: UUID
    name: DeviceName
    kind: DeviceKind
    tid: Annotated[str | None, Field(description="What OwnTracks shows.", examples=["un"])]
    group_id: Annotated[UUID | None, Field(description="The one group of a phone.")]
    key_version: Annotated[int | None, Field(description="What a phone was set up with.")]
    public_key: Annotated[
        Opaque | None, Field(examples=["CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"])
    ]
    created_at: datetime
    last_used_on: date
    revoked_at: datetime | None
    in_browser: bool


class ExportedMembership(Answer):
    """A group, and what the person is in it."""

    id: UUID
    name: GroupName
    role: Role
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
    join_proof: Annotated[
        Opaque | None,
        Field(description="What my device proved when it joined by a link.", examples=[_BYTES]),
    ]


class ExportedEnvelope(Answer):
    """A group key, wrapped for one of the person's devices, which alone can open it."""

    group_id: UUID
    key_version: int
    device_id: UUID
    created_at: datetime
    wrapper_device_id: UUID | None
    wrapped_key: Annotated[
        Opaque | None, Field(examples=["CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"])
    ]
    wrapper_public_key: Annotated[
        Opaque | None, Field(description="Of the device that wrapped it.", examples=[_BYTES])
    ]
    roster_entry: Annotated[
        Opaque | None,
        Field(description="What that device sealed about this one.", examples=[_BYTES]),
    ]
    former: Annotated[
        Opaque | None, Field(description="Until when a former version was used.", examples=[_BYTES])
    ]


class ExportedGivenKey(Answer):
    """That a device was given a version of a group's key."""

    group_id: UUID
    key_version: int
    device_id: UUID


class ExportedDeviceCard(Answer):
    """What a device states of the person in a group, sealed."""

    group_id: UUID
    device_id: UUID
    key_version: int
    sealed: Annotated[Opaque, Field(examples=[_BYTES])]
    updated_at: datetime


class ExportedVouch(Answer):
    """What a device of the person states of another one, or another one of theirs, sealed."""

    group_id: UUID
    key_version: int
    device_id: UUID
    voucher_device_id: UUID
    created_at: datetime
    entry: Annotated[Opaque, Field(examples=[_BYTES])]


class ExportedCard(Answer):
    """How a phone with OwnTracks wants its person to be shown."""

    device_id: UUID
    name: Annotated[str | None, Field(examples=["Una"])]
    face: Annotated[str | None, Field(description="A picture.", examples=["iVBORw0KGgo="])]
    updated_at: datetime


class ExportedTransition(Answer):
    """That a phone with OwnTracks entered or left a region; kept for a day."""

    group_id: UUID
    device_id: UUID
    event: Annotated[str, Field(examples=["enter"])]
    description: Annotated[str, Field(examples=["Home"])]
    occurred_at: datetime
    waypoint_at: datetime
    latitude: float | None
    longitude: float | None
    accuracy: float | None


class ExportedServing(Answer):
    """What of a member a phone with OwnTracks was given last."""

    device_id: UUID
    user_id: Annotated[UUID, Field(description="The member.")]
    sealed_served_at: datetime | None
    card_served_at: datetime | None
    transition_id: UUID | None


class ExportAnswer(Answer):
    """All that is stored about me; every page repeats all but the points."""

    user: ExportedUser
    devices: list[ExportedDevice]
    groups: list[ExportedMembership]
    invites: list[ExportedInvite]
    key_envelopes: list[ExportedEnvelope]
    further_envelopes: list[ExportedEnvelope]
    given_keys: list[ExportedGivenKey]
    device_cards: list[ExportedDeviceCard]
    vouches: list[ExportedVouch]
    owntracks_cards: list[ExportedCard]
    owntracks_transitions: list[ExportedTransition]
    owntracks_served: list[ExportedServing]
    locations: list[LocationAnswer]
    next_cursor: NextCursor | None = Optional

    @classmethod
    def of(cls, export: Export) -> "ExportAnswer":
        """Present an export."""
        answer = cls.model_validate(export)
        return answer.model_copy(update={"next_cursor": join_cursor(export.last)})
