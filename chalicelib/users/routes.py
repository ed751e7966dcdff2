"""People: list the members of the caller's groups; rename or delete the caller."""

from uuid import UUID

from chalice.app import Blueprint

from chalicelib import auth
from chalicelib.auth import Credential
from chalicelib.db import one_statement, transaction
from chalicelib.groups.service import GroupNotFound
from chalicelib.users import service
from chalicelib.users.schemas import PeopleQuery, RenameRequest, UserAnswer, UsersAnswer
from chalicelib.web import Access, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/users", methods=["GET"])
@endpoint(access=Access.APP, raises=(GroupNotFound,))
def list_users(credential: Credential, query: PeopleQuery) -> UsersAnswer:
    """List the members of my groups, or of one of them."""
    with one_statement() as connection:
        people = service.list_people(
            connection,
            credential=credential,
            group_id=query.group_id,
            with_cards=query.form > 1,
        )
    return UsersAnswer.of(people, form=query.form)


@blueprint.route("/api/users/{user_id}", methods=["GET"])
@endpoint(access=Access.APP, raises=(service.UserNotFound,))
def find_user(credential: Credential, user_id: UUID) -> UserAnswer:
    """Show one person in my groups."""
    with one_statement() as connection:
        person = service.find_person(connection, credential=credential, user_id=user_id)
    return UserAnswer.of(person, form=1)


@blueprint.route("/api/users/me", methods=["PATCH"])
@endpoint(access=Access.APP)
def rename(credential: Credential, body: RenameRequest) -> None:
    """Change my name."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.rename(session, caller=caller, name=body.name)


@blueprint.route("/api/users/me", methods=["DELETE"])
@endpoint(access=Access.APP)
def delete_account(credential: Credential) -> None:
    """Delete my account and everything of mine."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        service.delete_account(session, caller=caller)
