"""Delete what was shared, or what waits on this device."""

import shlex
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from draugar.cli.context import Context
from draugar.cli.failures import CommandFailure
from draugar.cli.named import group_id_of
from draugar.cli.options import InGroup, Yes, as_id, option
from draugar.cli.output import points
from draugar.cli.times import between, parse_time
from draugar.errors import ServiceAway
from draugar.models import (
    Fix,
)
from draugar.text.display import clock, degrees, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from draugar.client import Client


def erase(  # noqa: PLR0913 -- the options of one command
    context: Context,
    *,
    since: Annotated[
        str | None, option("--from", "2h, 3d, 18:30 or 2026-08-05; else from the first.", "TIME")
    ] = None,
    until: Annotated[str | None, option("--to", "The same; else to the last.", "TIME")] = None,
    at: Annotated[
        str | None, option("--at", "What history lists under this time, to the minute.", "TIME")
    ] = None,
    point: Annotated[
        UUID | None,
        option("--id", "One position, by its pointId.", "ID", parser=as_id),
    ] = None,
    yes: Yes = False,
    group: InGroup = None,
) -> None:
    """Delete what you have shared with a group: all, a range or one; and what still waits here.

    The times of --from and --to are those when you were there; of phones with OwnTracks, when they
    sent it. That of --at is what history shows. What others have fetched they keep, and those who
    have seen newer positions of yours than are left are told that there is less.

    To see the pointId of each position:
        draugar history --json
    """
    if sum((bool(since or until), at is not None, point is not None)) > 1:
        raise typer.BadParameter("Give --from and --to, or --at, or --id: one of the three.")
    if at is not None:
        _erase_some(context, partial(_at, at=at), yes=yes, group=group)
        return
    if point is not None:
        _erase_some(context, partial(_of_id, point_id=point), yes=yes, group=group)
        return
    start, end = between(since, until, datetime.now(UTC))
    with context.member() as me:
        meant = me.group(group)
        part = "what you shared then with" if start or end else "all that you have shared with"
        context.terminal.consent(f"Delete {part} {plain(meant.name)}?", is_given=yes)
        deleted = me.delete_points(meant.id, since=start, until=end)
    context.terminal.answer(
        {"deleted": deleted},
        f"Deleted {points(deleted)}. What others have fetched before they may keep.",
    )


def _erase_some(
    context: Context,
    find: "Callable[[Client, UUID | None], Mapping[UUID, Fix | None]]",
    *,
    yes: bool,
    group: str | None,
) -> None:
    """Delete the single positions that are found, shared or waiting here."""
    with context.member() as me:
        group_id = group_id_of(me, group)
        found = find(me, group_id)
        for point_id, fix in found.items():
            # The service may have a point of that id which this device cannot read.
            shown = f"{clock(fix.at)}  {degrees(fix)}" if fix else f"The position {point_id}"
            context.terminal.say(shown)
        if found:
            meant = "this position" if len(found) == 1 else points(len(found))
            context.terminal.consent(f"Delete {meant}?", is_given=yes)
        deleted = sum(me.delete_point(point_id, group_id) for point_id in found)
        if not deleted:
            raise CommandFailure(
                f"You have shared no such position with {plain(me.group(group_id).name)}.",
                f"See what there is: draugar history --from 7d --who {shlex.quote(me.name)}",
                effect="Nothing was deleted.",
            )
    context.terminal.answer(
        {"deleted": deleted},
        f"Deleted {points(deleted)}. What others have fetched before they may keep.",
    )


def _of_id(me: "Client", group_id: UUID | None, *, point_id: UUID) -> dict[UUID, Fix | None]:
    """Return the position of an id; None for one that this device does not see."""
    if fix := me.queued(group_id).get(point_id):
        return {point_id: fix}
    mine = me.history(group_id, user_id=me.user_id)
    return {point_id: next((one.fix for one in mine if one.point_id == point_id), None)}


def _at(me: "Client", group_id: UUID | None, *, at: str) -> dict[UUID, Fix]:
    """Return the positions that wait here, or that history lists, under a time."""
    start, end = shown_under(at)
    found = {id_: fix for id_, fix in me.queued(group_id).items() if start <= fix.at < end}
    try:
        shared = list(me.history(group_id, user_id=me.user_id, since=start, until=end))
    except ServiceAway:
        if not found:
            raise
        shared = []  # deleting what waits tells of the service
    found |= {position.point_id: position.fix for position in shared}
    return {id_: fix for id_, fix in found.items() if clock(fix.at) == clock(start)}


def shown_under(at: str) -> tuple[datetime, datetime]:
    """Return between when history shows that time; longer than a minute where it comes twice."""
    first, last = (
        parse_time(at, datetime.now(UTC), is_end=is_end).replace(second=0, microsecond=0)
        for is_end in (False, True)
    )
    return first, last + timedelta(minutes=1)
