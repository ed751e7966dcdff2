"""Keys: register a device's key, rotate a group's key, and give it to devices in envelopes."""

from uuid import UUID

from chalice.app import Blueprint

from chalicelib import auth
from chalicelib.auth import Credential
from chalicelib.db import one_statement, transaction
from chalicelib.errors import TooManyRequests
from chalicelib.groups.service import (
    GroupKeyMissing,
    GroupNotFound,
    KeyVersionConflict,
    NotConfirmed,
    TooManyDevices,
    TooManyDevicesInGroup,
)
from chalicelib.keys import service
from chalicelib.keys.schemas import (
    LARGEST_BODY,
    CardRequest,
    KeyPackageAnswer,
    KeysAnswer,
    KeysQuery,
    NewVersionAnswer,
    NewVersionRequest,
    PendingAnswer,
    PutEnvelopeRequest,
    RegisterKeyRequest,
    VouchRequest,
)
from chalicelib.web import Access, FormQuery, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/crypto/register-key", methods=["POST"])
@endpoint(
    access=Access.APP,
    raises=(
        GroupKeyMissing,
        TooManyDevices,
        TooManyDevicesInGroup,
        service.KeyPending,
        service.PublicKeySet,
    ),
)
def register_key(credential: Credential, body: RegisterKeyRequest) -> KeyPackageAnswer:
    """Set this device's public key, once, and show the group's key wrapped for it.

    The public key is kept also when there is nothing to show yet.
    """
    with transaction() as session:
        caller = auth.authenticate(session, credential, alone=True)
        service.register_key(session, caller=caller, public_key=body.public_key)
    with one_statement() as connection:
        envelope = service.find_newest(connection, credential=credential)
    return KeyPackageAnswer.of(envelope)


@blueprint.route("/api/crypto/group-key", methods=["GET"])
@endpoint(access=Access.APP, raises=(GroupKeyMissing, service.KeyPending))
def group_key(credential: Credential) -> KeyPackageAnswer:
    """Show the group's key, wrapped for this device."""
    with one_statement() as connection:
        envelope = service.find_newest(connection, credential=credential)
    return KeyPackageAnswer.of(envelope)


@blueprint.route("/api/groups/{group_id}/keys", methods=["POST"])
@endpoint(
    access=Access.APP,
    status=201,
    largest_body=LARGEST_BODY,
    raises=(
        GroupNotFound,
        KeyVersionConflict,
        NotConfirmed,
        TooManyRequests,
        service.OwnEnvelopeMissing,
        service.SurplusDevices,
    ),
)
def rotate(credential: Credential, group_id: UUID, body: NewVersionRequest) -> NewVersionAnswer:
    """Give a group its first or its next key."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        key_version = service.rotate(
            session, caller=caller, group_id=group_id, version=body.version()
        )
    return NewVersionAnswer(key_version=key_version)


@blueprint.route("/api/groups/{group_id}/keys", methods=["GET"])
@endpoint(access=Access.APP, raises=(GroupNotFound,))
def list_keys(credential: Credential, group_id: UUID, query: KeysQuery) -> KeysAnswer:
    """Show a group's key versions, and what this device was given of them."""
    with one_statement() as connection:
        keys = service.list_keys(
            connection, credential=credential, group_id=group_id, newest=query.newest()
        )
    return KeysAnswer.of(keys, form=query.form)


@blueprint.route("/api/groups/{group_id}/keys/pending", methods=["GET"])
@endpoint(access=Access.APP, raises=(GroupNotFound, NotConfirmed))
def list_pending(credential: Credential, group_id: UUID) -> PendingAnswer:
    """List the devices that wait for the group's key."""
    with one_statement() as connection:
        devices = service.list_pending(connection, credential=credential, group_id=group_id)
    return PendingAnswer.of(devices)


@blueprint.route("/api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}", methods=["PUT"])
@endpoint(
    access=Access.APP,
    raises=(
        GroupNotFound,
        NotConfirmed,
        service.EnvelopeExists,
        service.KeyVersionNotFound,
        service.RecipientNotFound,
    ),
)
def put_envelope(  # noqa: PLR0913, PLR0917 -- each by its name
    credential: Credential,
    group_id: UUID,
    key_version: int,
    device_id: UUID,
    body: PutEnvelopeRequest,
    query: FormQuery,
) -> None:
    """Give a device the group's key, wrapped for it. In form 2 others' envelopes stay beside it."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.put_envelope(
            session,
            caller=caller,
            group_id=group_id,
            key_version=key_version,
            envelope=body.envelope(device_id),
            beside_others=query.form > 1,
        )


@blueprint.route("/api/groups/{group_id}/keys/{key_version}/vouches/{device_id}", methods=["PUT"])
@endpoint(
    access=Access.APP,
    raises=(GroupNotFound, KeyVersionConflict, NotConfirmed, service.RecipientNotFound),
)
def vouch(
    credential: Credential, group_id: UUID, key_version: int, device_id: UUID, body: VouchRequest
) -> None:
    """State that this device has confirmed another one, under the group's present key."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.vouch(
            session,
            caller=caller,
            group_id=group_id,
            key_version=key_version,
            device_id=device_id,
            entry=body.entry,
        )


@blueprint.route("/api/groups/{group_id}/card", methods=["PUT"])
@endpoint(access=Access.APP, raises=(GroupNotFound, KeyVersionConflict, NotConfirmed))
def put_card(credential: Credential, group_id: UUID, body: CardRequest) -> None:
    """State who this device belongs to, under the group's present key."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.put_card(
            session,
            caller=caller,
            group_id=group_id,
            key_version=body.key_version,
            sealed=body.sealed,
        )


@blueprint.route(
    "/api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}", methods=["DELETE"]
)
@endpoint(access=Access.APP, raises=(GroupNotFound, service.EnvelopeNotFound))
def delete_envelope(
    credential: Credential, group_id: UUID, key_version: int, device_id: UUID
) -> None:
    """Delete this device's oldest key envelope of a version if it cannot be decrypted."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.delete_envelope(
            session,
            caller=caller,
            group_id=group_id,
            key_version=key_version,
            device_id=device_id,
        )
