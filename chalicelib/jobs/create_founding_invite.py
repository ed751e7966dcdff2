"""The function that lets the first person in. Invoked by hand, and by `make run`."""

from datetime import timedelta
from typing import Any

from chalice.app import Blueprint

from chalicelib.db import transaction
from chalicelib.invites import service
from chalicelib.jobs.report import reported

blueprint = Blueprint(__name__)

LIFE = timedelta(hours=1)


@blueprint.lambda_function(name="create_founding_invite")
@reported
def create_founding_invite(event: dict[str, Any], context: object) -> dict[str, str | None]:  # noqa: ARG001 -- Lambda's signature
    """Make an invite whose redeemer founds a group.

    The code is in the answer and nowhere else: what a function prints ends in its log. With
    `{"onlyIfNoUsers": true}` none is made once there is a user, and `code` is null.

    Answers `{"code": "XXXX-XXXX" or null, "expiresAt": ISO 8601 or null}`.
    """
    with transaction() as session:
        if event.get("onlyIfNoUsers") and service.has_users(session):
            return {"code": None, "expiresAt": None}
        invite = service.create_founding(session, life=LIFE)
    expires_at = invite.expires_at
    return {
        "code": invite.code.in_groups,
        "expiresAt": expires_at.isoformat() if expires_at else None,
    }
