"""Devices: see, add and revoke those that act for me."""

from uuid import UUID

from chalice.app import Blueprint

from chalicelib import auth
from chalicelib.auth import Credential
from chalicelib.db import one_statement, transaction
from chalicelib.devices import service
from chalicelib.devices.schemas import AddDeviceRequest, DevicesAnswer, NewDeviceAnswer
from chalicelib.web import Access, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/devices", methods=["GET"])
@endpoint(access=Access.APP)
def list_devices(credential: Credential) -> DevicesAnswer:
    """List every device that can act for me."""
    with one_statement() as connection:
        devices = service.list_devices(connection, credential=credential)
    return DevicesAnswer.of(devices)


@blueprint.route("/api/devices", methods=["POST"])
@endpoint(access=Access.APP, status=201)
def add_device(credential: Credential, body: AddDeviceRequest) -> NewDeviceAnswer:
    """Add a device of my own, with a token of its own."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        device = service.add(session, caller=caller, name=body.name)
    return NewDeviceAnswer.of(device)


@blueprint.route("/api/devices/{device_id}", methods=["DELETE"])
@endpoint(access=Access.APP, raises=(service.DeviceNotFound,))
def revoke_device(credential: Credential, device_id: UUID) -> None:
    """Revoke a device of my own; its token is void at once."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.revoke(session, caller=caller, device_id=device_id)
