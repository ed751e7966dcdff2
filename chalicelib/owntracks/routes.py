"""OwnTracks: messages that the apps post in HTTP mode, answered with their friends' positions."""

from chalice.app import Blueprint

from chalicelib.auth import PhoneCredential
from chalicelib.db import one_statement
from chalicelib.owntracks import service
from chalicelib.owntracks.schemas import (
    LARGEST_BODY,
    FriendsAnswer,
    MessageHeaders,
    MessageRequest,
)
from chalicelib.web import Access, endpoint

blueprint = Blueprint(__name__)


# API Gateway, and Chalice on a laptop, cut a slash that somebody types behind either path.
@blueprint.route("/owntracks", methods=["POST"], content_types=["*/*"])
@endpoint(access=Access.PHONE, largest_body=LARGEST_BODY)
def post_message(
    credential: PhoneCredential, headers: MessageHeaders, body: MessageRequest
) -> FriendsAnswer:
    """Take whatever an OwnTracks app posts, and tell it of its friends.

    Answered 200 whatever it is: a refusal would block the phone's queue.
    """
    return _take(credential, headers, body)


@blueprint.route("/pub", methods=["POST"], content_types=["*/*"])
@endpoint(access=Access.PHONE, largest_body=LARGEST_BODY)
def publish(
    credential: PhoneCredential, headers: MessageHeaders, body: MessageRequest
) -> FriendsAnswer:
    """Do the same, on the path of OwnTracks' own server."""
    return _take(credential, headers, body)


def _take(
    credential: PhoneCredential, headers: MessageHeaders, body: MessageRequest
) -> FriendsAnswer:
    with one_statement() as connection:
        told = service.take(
            connection,
            credential=credential,
            message=body.message,
            is_android=headers.is_android,
        )
    return FriendsAnswer.of(told)
