"""Locations: post, latest, history, delete."""

from chalice.app import Blueprint

from chalicelib import auth
from chalicelib.auth import Credential
from chalicelib.db import one_statement, transaction
from chalicelib.groups.service import (
    GroupKeyMissing,
    GroupNotFound,
    GroupRequired,
    KeyVersionConflict,
    NotConfirmed,
    RotationRequired,
)
from chalicelib.locations import service
from chalicelib.locations.schemas import (
    LARGEST_BODY,
    DeletedAnswer,
    DeletionQuery,
    HistoryAnswer,
    HistoryQuery,
    LatestAnswer,
    LatestQuery,
    StoredAnswer,
    StoreLocationsRequest,
)
from chalicelib.web import Access, endpoint

blueprint = Blueprint(__name__)


@blueprint.route("/api/locations", methods=["POST"])
@endpoint(
    access=Access.APP,
    largest_body=LARGEST_BODY,
    raises=(
        GroupNotFound,
        GroupRequired,
        service.IdTimeMismatch,
        service.OutOfRange,
        service.SharingPaused,
        service.EncryptionRequired,
        GroupKeyMissing,
        KeyVersionConflict,
        RotationRequired,
        NotConfirmed,
    ),
)
def store_locations(credential: Credential, body: StoreLocationsRequest) -> StoredAnswer:
    """Store one point or a batch.

    Each point of a batch is judged on its own: a refused one has its code in its result, and the
    answer is still a 200. A point that is refused alone is answered with the code's own status.
    """
    with one_statement() as connection:
        verdicts = service.store(connection, credential=credential, submission=body.submission)
    return StoredAnswer.of(verdicts)


@blueprint.route("/api/locations/latest", methods=["GET"])
@endpoint(access=Access.APP, etag=True, raises=(GroupNotFound, GroupRequired, NotConfirmed))
def latest(credential: Credential, query: LatestQuery) -> LatestAnswer:
    """Show where each member of a group was last.

    One page holds them all, unless the group is very large or the points carry pictures.
    """
    with one_statement() as connection:
        page = service.latest(
            connection, credential=credential, group_id=query.group_id, after=query.after()
        )
    return LatestAnswer.of(page)


@blueprint.route("/api/locations", methods=["GET"])
@endpoint(access=Access.APP, raises=(GroupNotFound, GroupRequired, NotConfirmed))
def history(credential: Credential, query: HistoryQuery) -> HistoryAnswer:
    """Page through a group's points, newest first.

    A page may hold fewer points than `limit`, for it is never larger than a megabyte.
    """
    with one_statement() as connection:
        page = service.history(connection, credential=credential, wanted=query.wanted())
    return HistoryAnswer.of(page)


@blueprint.route("/api/locations", methods=["DELETE"])
@endpoint(access=Access.APP, raises=(GroupNotFound, GroupRequired))
def delete_locations(credential: Credential, query: DeletionQuery) -> DeletedAnswer:
    """Delete my own points of a group: all of them, a range, or one."""
    with transaction() as session:
        caller = auth.authenticate(session, credential)
        deleted = service.delete_mine(
            session,
            caller=caller,
            group_id=query.group_id,
            since=query.since,
            until=query.until,
            point_id=query.id,
        )
    return DeletedAnswer(deleted=deleted)
