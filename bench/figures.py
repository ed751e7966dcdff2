"""What a measurement returns, and how two things are measured against each other."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table: what was measured, and what it was measured against in the same run.

    `ratio` is the median of the pairs' ratios where there were pairs; `at_most` and `at_least`
    bound it, or the value where nothing is compared.
    """

    section: str
    name: str
    value: float
    unit: str
    against: str = ""
    baseline: float | None = None
    ratio: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def judged(self) -> float:
        """The number that the bounds are for."""
        return self.value if self.ratio is None else self.ratio

    @property
    def is_reached(self) -> bool | None:
        """Whether the bounds hold; None where there are none."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.judged <= self.at_most) and (
            self.at_least is None or self.judged >= self.at_least
        )


def paired(
    things: Mapping[str, Callable[[], object]], *, rounds: int, each: int = 1
) -> dict[str, list[float]]:
    """Time every thing once a round, in an order that turns; return milliseconds per call.

    Neighbours in time see the same machine, so only the ratios of one round say much. `each` is
    how many calls are timed together.
    """
    names = list(things)
    times: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()  # a collection would fall on whoever happens to run
    try:
        for turn in range(rounds):
            for name in _from(names, turn):
                thing = things[name]
                begun = time.perf_counter()
                for _ in range(each):
                    thing()
                times[name].append((time.perf_counter() - begun) * 1000 / each)
            gc.collect()
    finally:
        gc.enable()
    return times


def interleaved(
    measures: Mapping[str, Callable[[], float]], *, rounds: int
) -> dict[str, list[float]]:
    """Ask every measure once a round, in an order that turns; return what they said.

    For what is timed elsewhere, in a process of its own.
    """
    names = list(measures)
    said: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in _from(names, turn):
            said[name].append(measures[name]())
    return said


def _from(names: list[str], turn: int) -> list[str]:
    first = turn % len(names)
    return names[first:] + names[:first]


def ratio(times: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    """The median of the rounds' ratios."""
    return median(a / b for a, b in zip(times[ours], times[theirs], strict=True))
