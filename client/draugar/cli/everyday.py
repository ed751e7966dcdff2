"""Every day: see where the others are and were, and be seen or not."""

import json
import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from draugar.cli import output as present
from draugar.cli.context import Context
from draugar.cli.failures import CommandFailure, told
from draugar.cli.files import STDIO, keep, may_write
from draugar.cli.named import group_id_of, member_named
from draugar.cli.options import InGroup, WriteOver, argument, option
from draugar.cli.output import points
from draugar.cli.positions import PositionRow, owner, waits
from draugar.cli.times import between, parse_time
from draugar.errors import ServiceAway
from draugar.maps import geojson, gpx
from draugar.maps import page as maps
from draugar.maps.geo import Trail
from draugar.models import (
    Position,
    newest,
)
from draugar.text.display import ago, clock, plain, within

if TYPE_CHECKING:
    from uuid import UUID

    from draugar.client import Client
    from draugar.storage.last_known import LastKnown

COUNTED = 100
"""Positions after which progress is shown."""
LISTED = 200
"""Positions that history lists unless it is told to list all."""


def where(context: Context, *, group: InGroup = None) -> None:
    """Show where each member is, and how far from you.

    While the service does not answer: where they were when it last did.
    """
    named, now = context.places(), datetime.now(UTC)
    known = None
    with context.member() as me:
        try:
            positions = me.where(group_id_of(me, group))
            unseen = _unseen(me, group, positions)
        except ServiceAway as failure:
            known = _last_known(context, me, group, failure)
            positions, unseen = known.positions, ""
    mine = next((position for position in positions if position.is_mine), None)
    rows = [PositionRow.of(position, mine, named) for position in positions]
    context.terminal.rows(
        {"positions": [row.data(as_of=known.as_of if known else None) for row in rows]},
        ("Who", "Where", "From you", "Seen", "Within", "Battery"),
        [row.row(now) for row in rows],
        nothing=unseen or "No one has shared where they are.",
    )
    if positions and unseen:
        context.terminal.say(unseen)


def draw_map(  # noqa: PLR0913 -- the options of one command
    context: Context,
    file: Annotated[Path, argument("FILE", dir_okay=False)] = Path("draugar-map.html"),
    *,
    hours: Annotated[
        int,
        option("--hours", "How far back the lines go.", min=0, max=8760, show_default=True),
    ] = 12,
    tiles: Annotated[
        str | None,
        option(
            "--tiles",
            "Lay map tiles under it. Their host then learns which area you look at.",
            "URL",
        ),
    ] = None,
    yes: WriteOver = False,
    group: InGroup = None,
) -> None:
    """Draw all members on a map: one file that any browser opens, without any network.

    While the service does not answer, it shows where they were when it last did.

    With map tiles, where HOST stands for who offers them:
        draugar map --tiles 'https://HOST/{z}/{x}/{y}.png'
    """
    named, now = context.places(), datetime.now(UTC)
    may_write(context, file, yes=yes)
    known = None
    with context.member() as me:
        try:
            meant = group_id_of(me, group)
            if hours:
                current, read = me.where_and_since(meant, since=now - timedelta(hours=hours))
            else:
                current, read = me.where(meant), iter(())
            trails = trails_of(current, _counted(context, read), now)
            title = me.group_name(meant)
            unseen = _unseen(me, group, current)
        except ServiceAway as failure:
            known = _last_known(context, me, group, failure)
            title, trails = known.group_name, trails_of(known.positions, (), now)
            unseen = ""
    if not trails:
        raise CommandFailure(
            f"No map was drawn. {unseen or 'No one has shared where they are.'}",
            "Share where you are: draugar share LAT LON",
        )
    as_of = known.as_of if known else None
    keep(file, maps.drawn(trails, named, title=title, now=now, tiles=tiles, as_of=as_of))
    context.terminal.answer({"file": str(file.absolute())}, f"Open {file.absolute()} in a browser.")
    if tiles:
        context.terminal.say(
            "Whenever it is opened, the host of the tiles learns which area you look at.", "yellow"
        )


def history(  # noqa: PLR0913 -- the options of one command
    context: Context,
    *,
    since: Annotated[
        str, option("--from", "2h, 3d, 18:30 or 2026-08-05.", "TIME", show_default=True)
    ] = "24h",
    until: Annotated[str | None, option("--to", "The same; else now.", "TIME")] = None,
    name: Annotated[str | None, option("--who", "Of one person only.", "NAME")] = None,
    as_gpx: Annotated[Path | None, option("--gpx", "Write tracks; - is stdout.", "FILE")] = None,
    as_geojson: Annotated[
        Path | None, option("--geojson", "Write lines; - is stdout.", "FILE")
    ] = None,
    show_all: Annotated[bool, option("--all", "List all of them, not the newest 200.")] = False,
    yes: WriteOver = False,
    group: InGroup = None,
) -> None:
    """Show where each member has been, the newest first, or write it as GPX or GeoJSON."""
    named, now = context.places(), datetime.now(UTC)
    start, end = between(since, until, now)
    for file in filter(None, (as_gpx, as_geojson)):
        may_write(context, file, yes=yes)
    with context.member() as me:
        group_id = group_id_of(me, group)
        user_id = member_named(name, me.people(group_id)).user_id if name else None
        read = me.history(group_id, user_id=user_id, since=start, until=end or now)
        positions = sorted(_counted(context, read), key=lambda position: position.order)
    if as_gpx or as_geojson:
        trails = trails_of((), positions, now)
        files = [file for file in (as_gpx, as_geojson) if file]
        if as_gpx:
            keep(as_gpx, gpx.written(trails))
        if as_geojson:
            keep(as_geojson, json.dumps(geojson.written(trails), ensure_ascii=False) + "\n")
        if STDIO not in files:
            written = [str(file.absolute()) for file in files]
            context.terminal.answer(
                {"files": written, "points": len(positions)},
                f"Wrote {points(len(positions))} to {' and '.join(written)}.",
            )
        return
    rows = [PositionRow.of(position, None, named) for position in positions]
    listed = rows[::-1] if show_all else rows[: -LISTED - 1 : -1]
    context.terminal.rows(
        {"points": [row.data() for row in rows]},
        ("When", "Who", "Where", "Within"),
        [(clock(row.fix.at), row.name, row.spot, within(row.fix.accuracy)) for row in listed],
        nothing="No one has shared anything in that time.",
    )
    if len(listed) < len(rows) and not context.terminal.is_for_programs:
        everything = shlex.join(["draugar", *sys.argv[1:], "--all"])
        context.terminal.say(
            f"These are the newest {len(listed)} of {points(len(rows))}. To list them all:"
            f" {everything}"
        )


def pause(
    context: Context,
    *,
    until: Annotated[
        str | None, option("--until", "2h, 18:30 or 2026-08-05; else until you resume.", "TIME")
    ] = None,
    group: InGroup = None,
) -> None:
    """Stop being seen for a while. To the others you look offline, and no more.

    It begins on this device at once. Without network the service is told later: until then your
    other devices and phones share on.
    """
    resumes_at = parse_time(until, datetime.now(UTC), is_ahead=True) if until else None
    with context.member() as me:
        untold = me.pause(group_id_of(me, group), until=resumes_at)
        waiting = me.waiting()
    end = (
        f"until {clock(resumes_at, datetime.now(UTC))}."
        if resumes_at
        else "until you run: draugar resume"
    )
    context.terminal.answer(
        {
            "isPaused": True,
            "resumesAt": present.stamp(resumes_at),
            "serviceKnows": untold is None,
        },
        f"This device shares nothing {end}"
        if untold
        else f"You share nothing, and look offline to the others, {end}",
    )
    if waiting:
        context.terminal.say(
            f"Shared before the pause, and kept here until it ends: {points(waiting)}. To delete"
            " what waits: draugar erase"
        )
    if untold:
        context.terminal.say(
            f"{told(untold).reason} So it has not heard of the pause: your other devices and phones"
            " share on. It is told with your next command, such as: draugar where",
            "yellow",
        )


def resume(context: Context, *, group: InGroup = None) -> None:
    """Be seen again."""
    with context.member() as me:
        untold = me.resume(group_id_of(me, group))
    context.terminal.answer(
        {"isPaused": False, "resumesAt": None, "serviceKnows": untold is None},
        "This device shares again." if untold else "You share again. Next: draugar share LAT LON",
    )
    if untold:
        context.terminal.say(
            f"{told(untold).reason} So it has not heard of it: the others cannot see you yet. It"
            " is told with your next command, such as: draugar share LAT LON",
            "yellow",
        )


def _unseen(me: "Client", group: str | None, positions: Iterable[Position]) -> str:
    """Say why none of the others is to be seen, where that is so; else nothing."""
    if any(not position.is_mine for position in positions):
        return ""
    meant, now = me.group(group), datetime.now(UTC)
    if all(person.is_me for person in me.people(meant.id)):
        alone = f"You are the only one in {plain(meant.name)}. Next: draugar invite"
        return "" if list(positions) else alone
    since = f"since you joined ({clock(meant.joined_at, now)})"
    if meant.joined_at < now - timedelta(days=meant.retention_days):
        since = f"in the last {present.days(meant.retention_days)}, and older positions are deleted"
    return (
        f"No one else in {plain(meant.name)} has shared {since}. You see each of them when they"
        " next share."
    )


def _counted(context: Context, positions: Iterable[Position]) -> list[Position]:
    """Read positions, and show how many there are so far."""
    found: list[Position] = []
    with context.terminal.progress("Reading positions") as progress:
        for position in positions:
            found.append(position)
            if len(found) % COUNTED == 0:
                progress(len(found))
    return found


def _last_known(
    context: Context, me: "Client", group: str | None, failure: ServiceAway
) -> "LastKnown":
    """Return where the members were when the service last answered, and say so.

    Raises the failure where nothing is known.
    """
    known = me.last_known(group)
    if known is None:
        raise failure
    now = datetime.now(UTC)
    context.terminal.say(
        f"{told(failure).reason} These positions are old: they are the last that this device knows,"
        f" of {clock(known.as_of, now)} ({ago(now - known.as_of)}). To try again: draugar where",
        "yellow",
    )
    return known


def trails_of(current: Iterable[Position], past: Iterable[Position], now: datetime) -> list[Trail]:
    """Make a trail of each device; where there are current ones, of the present devices only."""
    standing, past = list(current), list(past)
    present_ones = newest([*standing, *past]).values() if standing else ()
    devices = {position.device_id for position in present_ones}
    walked: dict[UUID, dict[UUID, Position]] = {}
    for position in (*past, *standing):
        if not devices or position.device_id in devices:
            walked.setdefault(position.device_id, {})[position.point_id] = position
    trails = []
    for positions in walked.values():
        ordered = sorted(positions.values(), key=lambda position: position.order)
        fixes = [position.fix for position in ordered]
        trails.append(Trail(plain(owner(ordered)), fixes, waits(ordered[-1], now)))
    return sorted(trails, key=lambda trail: trail.fixes[-1].at, reverse=True)
