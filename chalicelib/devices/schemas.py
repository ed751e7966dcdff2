"""The shapes of devices on the wire."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from chalicelib.devices.service import NewDevice, NewPhone
from chalicelib.models.users import TID_PATTERN
from chalicelib.web import Answer, Name, Opaque, Optional, Request, Uuid, of_form

_KEY = "CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"

DeviceName = Annotated[str, Field(examples=["Una's phone"])]
DeviceKind = Annotated[str, Field(examples=["app"])]
Token = Annotated[
    str,
    Field(description="Shown once.", examples=["draugar_xPB6pZ9Jb1hA4Gq2rT7mV0sK8dWcE5nYuLiQoFj3"]),
]


Tid = Annotated[
    str, Field(description="By it the OwnTracks apps tell friends apart.", examples=["un"])
]


NeedsSetup = Annotated[
    bool, Field(description="Whether the phone has to be set up again, with the present key.")
]


class AddDeviceRequest(Request):
    """A further device of my own: an app's, or a phone with OwnTracks, which has one group."""

    name: Annotated[Name, Field(examples=["Tablet"])]
    kind: Literal["app", "owntracks"] = "app"
    group_id: Annotated[
        Uuid | None,
        Field(description="Of a phone. May be left out by who is in one group only."),
    ] = None
    tid: Annotated[
        Annotated[str, of_form(TID_PATTERN, "should be two letters or digits of ASCII")] | None,
        Field(description="Of a phone. Chosen where it is left out."),
    ] = None

    @model_validator(mode="after")
    def _of_a_phone(self) -> Self:
        if self.kind == "app" and (self.group_id or self.tid):
            raise ValueError("groupId and tid are a phone's")
        return self

    def phone(self) -> NewPhone | None:
        """Return what is asked for when it is a phone with OwnTracks."""
        return NewPhone(group_id=self.group_id, tid=self.tid) if self.kind == "owntracks" else None


class NewDeviceAnswer(Answer):
    """A new device, with the only copy of its token.

    A phone with OwnTracks signs in by Basic authentication, as `username` with `password`.
    """

    id: UUID
    name: DeviceName
    token: Token
    username: Annotated[UUID | None, Field(description="Of a phone: its id.")] = Optional
    password: Annotated[Token | None, Field(description="Of a phone: its token.")] = Optional
    tid: Tid | None = Optional

    @classmethod
    def of(cls, device: NewDevice) -> "NewDeviceAnswer":
        """Present a new device."""
        is_phone = device.tid is not None
        return cls(
            id=device.id,
            name=device.name,
            token=device.token,
            username=device.id if is_phone else None,
            password=device.token if is_phone else None,
            tid=device.tid,
        )


class DeviceAnswer(Answer):
    """A device that can act for me."""

    id: UUID
    name: DeviceName
    kind: DeviceKind
    created_at: datetime
    last_used_on: Annotated[date, Field(description="Exact to a day.")]
    public_key: Annotated[
        Opaque | None, Field(description="By it others wrap keys for this device.", examples=[_KEY])
    ] = Optional
    group_id: Annotated[UUID | None, Field(description="The one group of a phone.")] = Optional
    tid: Tid | None = Optional
    needs_setup: NeedsSetup | None = Optional
    is_this_one: Annotated[bool, Field(description="Whether it is the one that asks.")]


class DevicesAnswer(Answer):
    """Every device that can act for me."""

    devices: list[DeviceAnswer]

    @classmethod
    def of(cls, rows: Sequence[Any], *, form: int) -> "DevicesAnswer":
        """Present rows of devices in the form that was asked for."""
        if form > 1:
            rows = [row._replace(kind=row.kind_in_form_2) for row in rows]
        return cls(devices=[DeviceAnswer.model_validate(row) for row in rows])
