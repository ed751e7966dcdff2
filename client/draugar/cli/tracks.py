"""What a person reads of a recorded track: which points cannot be shared, and why."""

from collections import defaultdict
from collections.abc import Sequence

from draugar.maps.track import Fault, Track

MOST_NAMED = 6
"""Runs of points that a sentence names one by one."""
_FAULTS = {
    Fault.LATITUDE: "no latitude from -90 to 90",
    Fault.SWAPPED: "no latitude from -90 to 90 (it looks swapped with the longitude)",
    Fault.LONGITUDE: "no longitude from -180 to 180",
    Fault.NO_TIME: "no time",
    Fault.UNREADABLE: "a time that cannot be read",
    Fault.EARLY: "a time before the year 2000",
    Fault.AHEAD: "a time in the future",
}
"""What a point has that cannot be shared."""


def left_out(track: Track) -> str:
    """Say in one sentence how many points are left out, which and why; "" where none is."""
    if not track.left_out:
        return ""
    numbers = defaultdict(list)
    for number, fault in sorted(track.left_out.items()):
        numbers[fault].append(number)
    reasons = "; ".join(
        f"{_named(those)} {'has' if len(those) == 1 else 'have'} {_FAULTS[fault]}"
        for fault, those in numbers.items()
    )
    if not track.points:
        which = "The only track point" if track.count == 1 else "No track point"
        return f"{which} can{'not' * (track.count == 1)} be shared: {reasons}."
    many = len(track.left_out)
    verb = "is" if many == 1 else "are"
    return f"{many} of {track.count} track points {verb} left out: {reasons}."


def _named(numbers: Sequence[int]) -> str:
    """Name points by their numbers: point 3; points 1, 3 to 9 and 12."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    names: list[str] = []
    for run in runs[:MOST_NAMED]:
        is_long = len(run) > 2  # noqa: PLR2004 -- of two both are named
        names += [f"{run[0]} to {run[-1]}"] if is_long else map(str, run)
    if more := sum(map(len, runs[MOST_NAMED:])):
        names.append(f"{more} more")
    if len(names) == 1:
        return f"point{'s' * (len(numbers) > 1)} {names[0]}"
    return f"points {', '.join(names[:-1])} and {names[-1]}"
