"""Devices: list, add and revoke the devices that act for the caller."""

from uuid import UUID

from chalice.app import Blueprint

from chalicelib import auth, limits
from chalicelib.auth import Credential
from chalicelib.db import one_statement, transaction
from chalicelib.devices import service
from chalicelib.devices.schemas import AddDeviceRequest, DevicesAnswer, NewDeviceAnswer
from chalicelib.errors import TooManyRequests
from chalicelib.groups.service import (
    GroupNotFound,
    GroupRequired,
    NotConfirmed,
    RotationRequired,
)
from chalicelib.web import Access, FormQuery, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/devices", methods=["GET"])
@endpoint(access=Access.APP)
def list_devices(credential: Credential, query: FormQuery) -> DevicesAnswer:
    """List every device that can act for me."""
    with one_statement() as connection:
        devices = service.list_devices(connection, credential=credential)
    return DevicesAnswer.of(devices, form=query.form)


@blueprint.route("/api/devices", methods=["POST"])
@endpoint(
    access=Access.APP,
    status=201,
    raises=(
        GroupNotFound,
        GroupRequired,
        NotConfirmed,
        RotationRequired,
        TooManyRequests,
        service.TidTaken,
    ),
)
def add_device(credential: Credential, body: AddDeviceRequest) -> NewDeviceAnswer:
    """Add a device of my own, with a token of its own."""
    with one_statement() as connection:
        owner = auth.me(connection, credential=credential)
    with one_statement() as connection:
        limits.admit_maker(connection, user_id=owner.id)
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        device = service.add(session, caller=caller, name=body.name, phone=body.phone())
    return NewDeviceAnswer.of(device)


@blueprint.route("/api/devices/{device_id}/renew", methods=["POST"])
@endpoint(access=Access.APP, raises=(service.DeviceNotFound, NotConfirmed, RotationRequired))
def renew_phone(credential: Credential, device_id: UUID) -> NewDeviceAnswer:
    """Set a phone of my own up again: a new password, and the group's present key."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        device = service.renew(session, caller=caller, device_id=device_id)
    return NewDeviceAnswer.of(device)


@blueprint.route("/api/devices/{device_id}", methods=["DELETE"])
@endpoint(access=Access.APP, raises=(service.DeviceNotFound,))
def revoke_device(credential: Credential, device_id: UUID) -> None:
    """Revoke a device of my own; its token is void at once."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.revoke(session, caller=caller, device_id=device_id)
