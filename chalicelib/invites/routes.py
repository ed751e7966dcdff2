"""Invites: make, list, check, revoke, and join a further group by one."""

from uuid import UUID

from chalice.app import Blueprint

from chalicelib import auth
from chalicelib.auth import Credential
from chalicelib.db import one_statement, transaction
from chalicelib.errors import TooManyRequests, Unavailable
from chalicelib.groups.service import (
    BrowsersRefused,
    GroupNotFound,
    GroupRequired,
    KeyVersionConflict,
    NotConfirmed,
    RotationRequired,
    TooManyDevicesInGroup,
    TooManyGroups,
    TooManyMembers,
)
from chalicelib.invites import service
from chalicelib.invites.schemas import (
    CodeRequest,
    CreateInviteRequest,
    EnteredGroupAnswer,
    InvitesAnswer,
    JoinGroupRequest,
    NewInviteAnswer,
    ValidAnswer,
)
from chalicelib.web import Access, FormQuery, address, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/invites", methods=["POST"])
@endpoint(
    access=Access.APP,
    status=201,
    raises=(
        GroupNotFound,
        GroupRequired,
        KeyVersionConflict,
        NotConfirmed,
        RotationRequired,
        TooManyRequests,
        service.CodeTaken,
    ),
)
def create_invite(credential: Credential, body: CreateInviteRequest) -> NewInviteAnswer:
    """Make an invite to one of my groups."""
    with one_statement() as connection:
        inviter = auth.me(connection, credential=credential)
    with one_statement() as connection:
        service.admit_inviter(connection, user_id=inviter.id)
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        invite = service.create(session, caller=caller, wanted=body.wanted())
    return NewInviteAnswer.of(invite)


@blueprint.route("/api/invites", methods=["GET"])
@endpoint(access=Access.APP)
def list_invites(credential: Credential) -> InvitesAnswer:
    """List the invites I made, and all of the groups I run."""
    with one_statement() as connection:
        invites = service.list_invites(connection, credential=credential)
    return InvitesAnswer.of(invites)


@blueprint.route("/api/invites/validate", methods=["POST"])
@endpoint(
    access=Access.PUBLIC,
    because="a newcomer has a code and no token yet",
    raises=(TooManyRequests, Unavailable),
)
def validate_invite(body: CodeRequest) -> ValidAnswer:
    """Say whether a code would be accepted now, without spending it."""
    code = body.invite_code()
    with one_statement() as connection:
        service.admit_attempt(connection, code=code, address=address())
    with transaction() as session:
        valid = service.validate(session, code=code)
    return ValidAnswer.of(valid)


@blueprint.route("/api/invites/{invite_id}", methods=["DELETE"])
@endpoint(access=Access.APP, raises=(service.InviteNotFound, service.InviteUsed))
def revoke_invite(credential: Credential, invite_id: UUID) -> None:
    """Revoke an invite."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.revoke(session, caller=caller, invite_id=invite_id)


@blueprint.route("/api/groups/join", methods=["POST"])
@endpoint(
    access=Access.APP,
    raises=(
        BrowsersRefused,
        TooManyDevicesInGroup,
        TooManyGroups,
        TooManyMembers,
        TooManyRequests,
        service.AlreadyAMember,
        service.GroupNotFounded,
        service.InviteNotValid,
    ),
)
def join_group(
    credential: Credential, body: JoinGroupRequest, query: FormQuery
) -> EnteredGroupAnswer:
    """Join a further group by a code."""
    code = body.invite_code()
    with one_statement() as connection:
        service.admit_attempt(connection, code=code, address=address())
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        group, package = service.join_group(
            session, caller=caller, code=code, proof=body.proof, group=body.new_group()
        )
    return EnteredGroupAnswer.entered(group, package, form=query.form)
