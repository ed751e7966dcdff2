"""Groups: found, list, change, leave and delete groups, and manage their members."""

from uuid import UUID

from chalice.app import Blueprint

from chalicelib import auth, limits
from chalicelib.auth import Credential
from chalicelib.db import one_statement, transaction
from chalicelib.errors import TooManyRequests
from chalicelib.groups import service
from chalicelib.groups.schemas import (
    ChangeGroupRequest,
    ChangeRoleRequest,
    FoundGroupRequest,
    GroupAnswer,
    GroupsAnswer,
    SharingRequest,
)
from chalicelib.web import Access, FormQuery, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/groups", methods=["POST"])
@endpoint(access=Access.APP, status=201, raises=(TooManyRequests, service.TooManyGroups))
def found_group(credential: Credential, body: FoundGroupRequest, query: FormQuery) -> GroupAnswer:
    """Found a group and become its admin."""
    with one_statement() as connection:
        founder = auth.me(connection, credential=credential)
    with one_statement() as connection:
        limits.admit_maker(connection, user_id=founder.id)
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        group = service.found_group(
            session, caller=caller, name=body.name, encryption=body.encryption
        )
    return GroupAnswer.of(group, form=query.form)


@blueprint.route("/api/groups", methods=["GET"])
@endpoint(access=Access.APP)
def list_groups(credential: Credential, query: FormQuery) -> GroupsAnswer:
    """List the groups I am in."""
    with one_statement() as connection:
        groups = service.list_groups(connection, credential=credential)
    return GroupsAnswer.of(groups, form=query.form)


@blueprint.route("/api/groups/{group_id}", methods=["PATCH"])
@endpoint(access=Access.APP, raises=(service.GroupNotFound, service.NotAnAdmin))
def change_group(
    credential: Credential, group_id: UUID, body: ChangeGroupRequest, query: FormQuery
) -> GroupAnswer:
    """Rename a group, set how long it keeps points, refuse browsers, or turn encryption on."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        group = service.change_group(
            session, caller=caller, group_id=group_id, changes=body.changes()
        )
    return GroupAnswer.of(group, form=query.form)


@blueprint.route("/api/groups/{group_id}", methods=["DELETE"])
@endpoint(access=Access.APP, raises=(service.GroupNotFound, service.NotAnAdmin))
def delete_group(credential: Credential, group_id: UUID) -> None:
    """Delete a group with everything in it."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.delete_group(session, caller=caller, group_id=group_id)


@blueprint.route("/api/groups/{group_id}/members/{user_id}", methods=["PATCH"])
@endpoint(
    access=Access.APP,
    raises=(service.GroupNotFound, service.NotAnAdmin, service.MemberNotFound, service.LastAdmin),
)
def change_role(
    credential: Credential, group_id: UUID, user_id: UUID, body: ChangeRoleRequest
) -> None:
    """Make a member an admin, or an admin a member."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.change_role(
            session, caller=caller, group_id=group_id, user_id=user_id, role=body.role
        )


@blueprint.route("/api/groups/{group_id}/members/{user_id}", methods=["DELETE"])
@endpoint(
    access=Access.APP, raises=(service.GroupNotFound, service.NotAnAdmin, service.MemberNotFound)
)
def remove_member(credential: Credential, group_id: UUID, user_id: UUID) -> None:
    """Remove a member, and delete what they posted in this group."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.remove_member(session, caller=caller, group_id=group_id, user_id=user_id)


@blueprint.route("/api/groups/{group_id}/leave", methods=["POST"])
@endpoint(access=Access.APP, raises=(service.GroupNotFound,))
def leave_group(credential: Credential, group_id: UUID) -> None:
    """Leave a group. No consent is needed."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.leave_group(session, caller=caller, group_id=group_id)


@blueprint.route("/api/groups/{group_id}/sharing", methods=["PUT"])
@endpoint(access=Access.APP, raises=(service.GroupNotFound, service.ResumesInThePast))
def set_sharing(credential: Credential, group_id: UUID, body: SharingRequest) -> None:
    """Pause or resume my own sharing."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.set_sharing(
            session, caller=caller, group_id=group_id, paused=body.paused, until=body.until
        )
