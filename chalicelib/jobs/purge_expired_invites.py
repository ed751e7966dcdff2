"""The function that deletes expired invite codes, every hour."""

from typing import Any

from chalice.app import Blueprint, Rate

from chalicelib.db import transaction
from chalicelib.invites import service
from chalicelib.jobs.report import reported

blueprint = Blueprint(__name__)

BATCH = 2000
"""Few enough for a batch to take well under a second, so that nobody waits long for its locks."""


@blueprint.schedule(Rate(1, unit=Rate.HOURS), name="purge_expired_invites")
@reported
def purge_expired_invites(event: Any) -> dict[str, int]:  # noqa: ARG001 -- the schedule's signature
    """Delete the codes that have expired unused, in batches that each commit.

    Safe when run twice, by many at once, or killed half-way: what is left, the next run takes.
    Answers `{"deleted": how many}`.
    """
    deleted = 0
    while True:
        with transaction() as session:
            batch = service.purge_expired(session, at_most=BATCH)
        deleted += batch
        if batch < BATCH:
            return {"deleted": deleted}
