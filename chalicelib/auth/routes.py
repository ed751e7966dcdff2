"""Sign-in: join by an invite code, show the caller, sign out."""

from chalice.app import Blueprint

from chalicelib import auth
from chalicelib.auth import Credential
from chalicelib.auth.schemas import MeAnswer
from chalicelib.db import one_statement, transaction
from chalicelib.devices import service as devices
from chalicelib.errors import TooManyRequests, Unavailable
from chalicelib.groups.service import (
    BrowsersRefused,
    TooManyDevices,
    TooManyDevicesInGroup,
    TooManyMembers,
)
from chalicelib.invites import service as invites
from chalicelib.invites.schemas import JoinAnswer, JoinHeaders, JoinRequest
from chalicelib.web import Access, address, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/auth/join", methods=["POST"])
@endpoint(
    access=Access.PUBLIC,
    because="a newcomer has a code and no token yet",
    status=201,
    raises=(
        BrowsersRefused,
        TooManyDevices,
        TooManyDevicesInGroup,
        TooManyMembers,
        TooManyRequests,
        Unavailable,
        invites.GroupNotFounded,
        invites.InviteNotValid,
    ),
)
def join(body: JoinRequest, headers: JoinHeaders) -> JoinAnswer:
    """Redeem an invite code for a new person with a first device.

    The code of a founding invite founds a group, which `group` may name.
    """
    code = body.invite_code()
    with one_statement() as connection:
        invites.admit_attempt(connection, code=code, address=address())
    with transaction() as session:
        joined = invites.join(session, code=code, newcomer=body.newcomer(headers.idempotency_key))
    return JoinAnswer.of(joined)


@blueprint.route("/api/auth/me", methods=["GET"])
@endpoint(access=Access.APP)
def me(credential: Credential) -> MeAnswer:
    """Say who I am.

    Forget the token when this answers 401, and on no other failure.
    """
    with one_statement() as connection:
        person = auth.me(connection, credential=credential)
    return MeAnswer.of(person)


@blueprint.route("/api/auth/logout", methods=["POST"])
@endpoint(access=Access.APP)
def logout(credential: Credential) -> None:
    """Sign this device out: its token is void at once."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        devices.revoke(session, caller=caller, device_id=caller.device_id)
