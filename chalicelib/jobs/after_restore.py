"""The function to be run once after a backup was restored. Invoked by hand."""

from typing import Any

from chalice.app import Blueprint

from chalicelib.db import transaction
from chalicelib.groups import service as groups
from chalicelib.invites import service as invites
from chalicelib.jobs.report import reported
from chalicelib.locations import partitions

blueprint = Blueprint(__name__)


@blueprint.lambda_function(name="after_restore")
@reported
def after_restore(event: dict[str, Any], context: object) -> dict[str, int]:  # noqa: ARG001 -- Lambda's signature
    """Undo what a backup must not bring back to life.

    Codes that were spent or revoked after it was made would let people in again, and keys that
    were replaced would be used again: every open code is revoked, and every group that has a key
    makes a new one. An old backup has no partitions for the present months: they are made.
    Safe when run twice.

    Answers `{"invitesRevoked": how many, "groupsToRotate": how many, "partitionsMade": how many}`.
    """
    with transaction() as session:
        rotating = groups.require_new_keys(session)
        revoked = invites.revoke_all(session)
    with transaction() as session:
        made = partitions.make(session)
    return {"invitesRevoked": revoked, "groupsToRotate": rotating, "partitionsMade": made}
