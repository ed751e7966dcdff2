"""The function that makes room for new points and forgets old ones, every day."""

from typing import Any

from chalice.app import Blueprint, Rate

from chalicelib.db import transaction
from chalicelib.devices import service as devices
from chalicelib.errors import Unavailable
from chalicelib.jobs.report import reported
from chalicelib.limits import service as limits
from chalicelib.locations import partitions
from chalicelib.locations import service as locations
from chalicelib.owntracks import service as owntracks
from chalicelib.users import service as users

blueprint = Blueprint(__name__)

BATCH = 10_000


@blueprint.schedule(Rate(1, unit=Rate.DAYS), name="maintain_locations")
@reported
def maintain_locations(event: Any) -> dict[str, int]:  # noqa: ARG001 -- the schedule's signature
    """Make the coming months' partitions and drop those past every group's retention.

    Then delete what single groups keep no longer, what everybody was told of the regions that
    phones were in, and accounts nobody can reach, and bring the
    devices' last use and the limiter up to date. Safe when run twice or by many at once.
    Answers what was done, by count. Raises Unavailable, after everything else, when partitions
    could not be dropped because somebody is using them: the next run will.
    """
    with transaction() as session:
        made = partitions.make(session)
    dropped, busy = 0, None
    try:
        with transaction() as session:
            dropped = partitions.drop(session)
    except Unavailable as error:
        # Somebody reads for long, such as a backup: nothing else has to wait for that.
        busy = error
    deleted = 0
    while True:
        with transaction() as session:
            batch = locations.delete_past_retention(session, at_most=BATCH)
        deleted += batch
        if batch < BATCH:
            break
    with transaction() as session:
        told = owntracks.delete_old_transitions(session)
    with transaction() as session:
        erased = locations.forget_erased(session)
    with transaction() as session:
        released = devices.release_tids(session)
    with transaction() as session:
        used = devices.note_use_by_posting(session)
    with transaction() as session:
        forgotten = limits.forget_full_buckets(session)
    with transaction() as session:
        unreachable = users.delete_unreachable(session)
    if busy is not None:
        raise busy
    return {
        "partitionsMade": made,
        "partitionsDropped": dropped,
        "pointsDeleted": deleted,
        "transitionsDeleted": told,
        "erasuresForgotten": erased,
        "tidsReleased": released,
        "devicesUsed": used,
        "bucketsForgotten": forgotten,
        "peopleDeleted": unreachable,
    }
