"""Share positions and tracks, and name places."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from draugar.cli.context import Context
from draugar.cli.failures import CommandFailure, told
from draugar.cli.named import checked_name, group_id_of, position
from draugar.cli.options import InGroup, argument, option
from draugar.cli.output import points
from draugar.cli.refusals import REFUSALS
from draugar.cli.situations import TEXTS
from draugar.cli.tracks import left_out
from draugar.errors import Failure, FailureCode, ServiceAway
from draugar.maps import gpx
from draugar.maps.geo import look_swapped
from draugar.maps.track import Track
from draugar.models import (
    PLACE_RADIUS,
    Fix,
    Located,
    Place,
    Position,
    Shared,
)
from draugar.text.display import clock, degrees, metres, plain

if TYPE_CHECKING:
    from draugar.client import Client
    from draugar.storage.home import Home

TYPED_ACCURACY = 10.0
"""Metres."""
SWAPPED = "Latitude and longitude look swapped: this is far from where you were, and would be near."


def share(  # noqa: PLR0913 -- the options of one command
    context: Context,
    latitude: Annotated[
        str | None, argument("LAT", "- reads both from stdin: no shell keeps them.")
    ] = None,
    longitude: Annotated[str | None, argument("LON")] = None,
    *,
    track: Annotated[
        Path | None,
        option("--gpx", "A recorded track.", "FILE", exists=True, dir_okay=False),
    ] = None,
    end_now: Annotated[
        bool, option("--end-now", "Shift the track's times as though it had just ended.")
    ] = False,
    accuracy: Annotated[
        float | None,
        option(
            "--accuracy",
            "Within how much it is right; else 10 for a position, and unknown for a track.",
            "METRES",
            min=0,
        ),
    ] = None,
    again: Annotated[
        bool, option("--again", "Share a track once more that was shared before.")
    ] = False,
    group: InGroup = None,
) -> None:
    """Share where you are, or a recorded track.

    Without network, positions wait on this device and go with the next ones. Without a position,
    this sends what waits.
    """
    if track and latitude is not None:
        raise typer.BadParameter("Give a position or --gpx FILE, not both.")
    fixes = []
    if track:
        read = gpx.read(track)
        recorded = _recorded(context, read, track, end_now=end_now)
    elif latitude is not None:
        here = position(context.terminal, latitude, longitude)
        accuracy = TYPED_ACCURACY if accuracy is None else accuracy
        fixes = [Fix(**here._asdict(), accuracy=accuracy, at=datetime.now(UTC))]
    with context.member() as me:
        held = _queued(context, me, fixes[0], group) if fixes else 0
        if track:
            # What is shifted is another recording each time, and the same file.
            name = me.digest(read if end_now else recorded) + "+" * end_now
            group_id = group_id_of(me, group)
            before = None if again else me.queued_at(name, group_id)
            if before:
                _say_shared_before(context, track, before, end_now=end_now)
            else:
                fixes = recorded.fixes(accuracy=accuracy)
                _say_of_track(context, me, track, fixes, group_id)
                held = me.enqueue(fixes, group_id, track=name)
        try:
            shared = _flush(context, me)
        except ServiceAway as failure:
            shared = Shared(stored=0, dropped=0, waiting=me.waiting(), obstacle=failure)
    outcome = {
        "stored": shared.stored,
        "dropped": shared.dropped + held,
        "waiting": shared.waiting,
    }
    spot = _spot(fixes) * (not track and shared.stored == 1)
    context.terminal.answer(
        outcome,
        *([f"Shared {points(shared.stored)}{spot}."] if shared.stored else []),
        *([] if any(outcome.values()) else ["Nothing waits to be shared."]),
    )
    if held:
        raise _not_kept("sharing_paused", held)
    if shared.dropped:
        raise _not_kept(next(iter(shared.refused)), shared.dropped)
    if shared.waiting and shared.obstacle:
        raise CommandFailure(
            told(shared.obstacle).reason,
            _way_on(shared.obstacle),
            effect=f"Nothing is lost: {points(shared.waiting)} waiting here.",
        )


def _spot(fixes: Sequence[Fix]) -> str:
    """Write a position that was shared alone."""
    return f": {degrees(fixes[0])}" if len(fixes) == 1 else ""


def _known_spots(home: "Home") -> list[Located]:
    from draugar.storage import last_shared, places  # noqa: PLC0415 -- help is shown without libsodium

    return [*places.listed(home), *last_shared.recall(home)]


def _queued(context: Context, me: "Client", here: Fix, group: str | None) -> int:
    """Queue a position that was typed, and warn if it looks swapped; how many are not taken."""
    from draugar.storage import last_shared  # noqa: PLC0415 -- help is shown without libsodium

    held = me.enqueue([here], group_id_of(me, group))
    with context.home() as home:
        is_odd = look_swapped([here], _known_spots(home))
        if not is_odd:
            last_shared.remember(home, here)
    if is_odd:
        context.terminal.say(
            f"{SWAPPED} If so, share it again the other way round: draugar share LAT LON", "yellow"
        )
    return held


def _not_kept(code: str, number: int) -> CommandFailure:
    """Return the failure of positions that were not shared, for a code of the service."""
    was = "was" if number == 1 else "were"
    effect = f"{points(number)} {was} not shared, and not kept."
    return CommandFailure.of(REFUSALS[code]._replace(effect=effect))


def _way_on(obstacle: Failure) -> str:
    """Say what makes waiting positions go."""
    if isinstance(obstacle, ServiceAway):
        return "They go with the next: draugar share"
    return f"{told(obstacle).next_step}. They go then with: draugar share"


def _recorded(context: Context, read: Track, file: Path, *, end_now: bool) -> Track:
    """Return the points of a track that can be shared, and say which cannot. Raises NotATrack."""
    track = read.ending(datetime.now(UTC)) if end_now else read.recorded()
    if track.points:
        if track.left_out:
            context.terminal.say(left_out(track), "yellow")
        return track
    again = f"draugar share --gpx {shlex.quote(str(file))} --end-now"
    raise CommandFailure(
        left_out(track),
        f"Say --end-now to share it as though it had just ended. Next: {again}"
        if read.points
        else TEXTS[FailureCode.NOT_A_TRACK].next_step,
    )


def _say_shared_before(context: Context, file: Path, at: datetime, *, end_now: bool) -> None:
    words = ["draugar", "share", "--gpx", str(file), *(["--end-now"] * end_now), "--again"]
    context.terminal.say(
        f"This track was shared before, {clock(at)}, and is not shared again. To share it all the"
        f" same: {shlex.join(words)}",
        "yellow",
    )


def _say_of_track(
    context: Context, me: "Client", file: Path, fixes: Sequence[Fix], group_id: UUID | None
) -> None:
    """Say before a track is shared that it changes no present position, or looks swapped."""
    seen: list[Position] = []
    with suppress(Failure):  # without the service nothing is known to compare with
        seen = me.where(group_id)
    here = max((one.fix for one in seen if one.is_mine), key=lambda fix: fix.at, default=None)
    first, last = min(fix.at for fix in fixes), max(fix.at for fix in fixes)
    if here is not None and last <= here.at:
        context.terminal.say(
            f"The track ends {clock(last)}, before your present position of {clock(here.at)}: where"
            " and map go on showing that one. To see the track: draugar history --from"
            f" {first.astimezone():%Y-%m-%d}",
            "yellow",
        )
    if look_swapped(fixes, [*(one.fix for one in seen), *context.places()]):
        context.terminal.say(
            f"Warning: the positions of {file} look as though latitude and longitude were swapped."
            " They are shared as they are in the file.",
            "yellow",
        )


def _flush(context: Context, me: "Client") -> Shared:
    """Send what waits, and show how far that is."""
    total = me.waiting()
    if not total:
        return me.flush()
    with context.terminal.progress("Sharing", total) as progress:
        return me.flush(lambda waiting: progress(total - waiting))


def list_places(context: Context) -> None:
    """Show your places."""
    from draugar.storage import places  # noqa: PLC0415 -- help is shown without libsodium

    with context.own_home() as home:
        named = places.listed(home)
    context.terminal.rows(
        {"places": [asdict(place) for place in named]},
        ("Place", "Where", "Within"),
        [(plain(place.name), degrees(place), metres(place.radius)) for place in named],
        nothing="You have named no place. Next: draugar places add NAME LAT LON",
    )


def add_place(
    context: Context,
    name: Annotated[str, argument("NAME")],
    latitude: Annotated[str, argument("LAT", "- reads both from stdin: no shell keeps them.")],
    longitude: Annotated[str | None, argument("LON")] = None,
    *,
    radius: Annotated[
        float,
        option("--radius", "How large it is.", "METRES", min=1, max=100_000, show_default=True),
    ] = PLACE_RADIUS,
) -> None:
    """Name a place; it stays on this device."""
    from draugar.storage import places  # noqa: PLC0415 -- help is shown without libsodium

    here = position(context.terminal, latitude, longitude)
    place = Place(
        checked_name(name, "draugar places add NAME LAT LON"), here.latitude, here.longitude, radius
    )
    with context.own_home() as home:
        is_odd = look_swapped([place], _known_spots(home))
        places.add(home, place)
    context.terminal.answer(
        asdict(place), f"{plain(place.name)} is a place of yours now: {degrees(place)}."
    )
    if is_odd:
        context.terminal.say(
            f"{SWAPPED} If so: draugar places remove {shlex.quote(place.name)}", "yellow"
        )


def remove_place(context: Context, name: Annotated[str, argument("NAME")]) -> None:
    """Forget a place."""
    from draugar.storage import places  # noqa: PLC0415 -- help is shown without libsodium

    with context.own_home() as home:
        places.remove(home, name)
    context.terminal.answer(
        {"removed": name}, f"The place {plain(name)} is removed from this device."
    )
