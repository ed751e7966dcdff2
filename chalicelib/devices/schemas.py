"""The shapes of devices on the wire."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from chalicelib.devices.service import NewDevice
from chalicelib.web import Answer, Name, Opaque, Optional, Request

_KEY = "CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"

DeviceName = Annotated[str, Field(examples=["Una's phone"])]
DeviceKind = Annotated[str, Field(examples=["app"])]
Token = Annotated[
    str,
    Field(description="Shown once.", examples=["draugar_xPB6pZ9Jb1hA4Gq2rT7mV0sK8dWcE5nYuLiQoFj3"]),
]


class AddDeviceRequest(Request):
    """A further device of my own."""

    name: Annotated[Name, Field(examples=["Tablet"])]
    kind: Literal["app"] = "app"


class NewDeviceAnswer(Answer):
    """A new device, with the only copy of its token."""

    id: UUID
    name: DeviceName
    token: Token

    @classmethod
    def of(cls, device: NewDevice) -> "NewDeviceAnswer":
        """Present a new device."""
        return cls(id=device.id, name=device.name, token=device.token)


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
    is_this_one: Annotated[bool, Field(description="Whether it is the one that asks.")]


class DevicesAnswer(Answer):
    """Every device that can act for me."""

    devices: list[DeviceAnswer]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "DevicesAnswer":
        """Present rows of devices."""
        return cls(devices=[DeviceAnswer.model_validate(row) for row in rows])
