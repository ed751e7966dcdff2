"""The shapes of devices on the wire."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from chalicelib.devices.service import NewDevice
from chalicelib.web import Answer, Name, Request


class AddDeviceRequest(Request):
    """A further device of my own."""

    name: Name
    kind: Literal["app"] = "app"


class NewDeviceAnswer(Answer):
    """A new device, with the only copy of its token."""

    id: UUID
    name: str
    token: str

    @classmethod
    def of(cls, device: NewDevice) -> "NewDeviceAnswer":
        """Present a new device."""
        return cls(id=device.id, name=device.name, token=device.token)


class DeviceAnswer(Answer):
    """A device that can act for me."""

    id: UUID
    name: str
    kind: str
    created_at: datetime
    last_used_on: date
    is_this_one: bool


class DevicesAnswer(Answer):
    """Every device that can act for me."""

    devices: list[DeviceAnswer]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "DevicesAnswer":
        """Present rows of devices."""
        return cls(devices=[DeviceAnswer.model_validate(row) for row in rows])
