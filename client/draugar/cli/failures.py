"""The text of each failure: what happened, what did not because of it, and the command to type.

A failure holds a code and values (`draugar.errors`); only here it becomes a text, of `situations`
or, for what the service refuses, of `refusals`.
"""

import os
import shlex
from collections.abc import Callable, Mapping
from datetime import timedelta
from string import Formatter
from typing import Any, ClassVar, NamedTuple

from draugar.cli.refusals import NEWER_SERVICE, Text
from draugar.cli.situations import TEXTS
from draugar.errors import Done, Failure, FailureCode, NotPossible, ServiceAway


class _Step(NamedTuple):
    """What was done and what was not, and the command for the rest."""

    effect: str
    next_step: str


STEPS: Mapping[Done, _Step] = {
    Done.MEMBER_REMOVED: _Step(
        "The member is removed, but the group's key is not changed yet.",
        "Change it as soon as the service answers: draugar rotate",
    ),
    Done.MEMBER_CONFIRMED: _Step(
        "This device trusts them now, but the key could not be passed on yet.",
        "It is passed on with your next command, such as: draugar where",
    ),
    Done.WAITING_DELETED: _Step(
        "What waited on this device is deleted, but not what was shared before.",
        "As soon as the service answers, run the same command again.",
    ),
    Done.WAITING_POINT_DELETED: _Step(
        "The position that waited on this device is deleted, and is not sent any more.",
        "If it has reached the service before, delete it there as soon as the service answers:"
        " draugar erase --id {point_id}",
    ),
    Done.DEVICE_REVOKED: _Step(
        "The device is revoked, but not every key that it knows is changed yet.",
        "Change them as soon as the service answers, in each of your groups: draugar rotate",
    ),
    Done.PHONE_PERHAPS_ADDED: _Step(
        "The phone may have been added all the same.",
        "Repeat it: draugar phone add {name!q}. If the phone was added, that finishes it and adds"
        " no second one; so does: draugar phone renew",
    ),
}
_WHEN_RIGHT = {
    *(
        FailureCode.NO_SUCH_HOST,
        FailureCode.NOT_THAT_SERVER,
        FailureCode.CERTIFICATE_OF_ANOTHER,
        FailureCode.NO_TLS,
    ),
    *(FailureCode.CERTIFICATE_OUT_OF_DATE, FailureCode.CERTIFICATE_NOT_TRUSTED),
}
"""Failures that do not pass by themselves."""


class CommandFailure(NotPossible):
    """What fails in the command line itself, with its text."""

    code = "command"
    text: ClassVar[Text] = TEXTS[FailureCode.FAILED]

    def __init__(
        self, reason: str | None = None, next_step: str | None = None, *, effect: str = ""
    ) -> None:
        super().__init__()
        self.told = Text(reason or self.text.reason, next_step or self.text.next_step, effect)

    @classmethod
    def of(cls, text: Text) -> "CommandFailure":
        """Make one that says a text."""
        return cls(text.reason, text.next_step, effect=text.effect)


def told(failure: Failure) -> Text:
    """Return what a failure tells a person."""
    if isinstance(failure, CommandFailure):
        return failure.told
    text = TEXTS.get(failure.code, NEWER_SERVICE)
    if failure.code in _FURTHER:
        text = _FURTHER[failure.code](text, failure)
    if failure.done is not None:
        text = text._replace(**STEPS[failure.done]._asdict())
    return Text(*(_FILLED.vformat(part, (), failure.values) for part in text))


def when(failure: ServiceAway) -> str:
    """Say when it is worth trying again."""
    wait = failure.values.get("wait")
    if isinstance(wait, timedelta):
        return f"in {_length(wait)}"
    return "when that is right" if failure.code in _WHEN_RIGHT else "later"


def _asked_too_often(text: Text, failure: Any) -> Text:
    return text._replace(next_step=f"Run the same command again {when(failure)}.")


def _no_track_points(text: Text, failure: Failure) -> Text:
    counts = {
        name: failure.values.get(field, 0)
        for field, name in (("waypoints", "waypoint"), ("route_points", "route point"))
    }
    found = [f"{many} {name}{'s' * (many != 1)}" for name, many in counts.items() if many]
    if not found:
        return text
    return text._replace(
        reason=f"{text.reason} It holds {' and '.join(found)}: they say where to go, not where a"
        " device was. Only recorded tracks are shared."
    )


_FURTHER: Mapping[str, Callable[[Text, Failure], Text]] = {
    FailureCode.ASKED_TOO_OFTEN: _asked_too_often,
    FailureCode.NO_TRACK_POINTS: _no_track_points,
}
"""What no template can say."""


class _Filled(Formatter):
    """Fills in values: `!q` quotes one for a shell, `!e` names an error of the system."""

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion == "q":
            return shlex.quote(str(value))
        if conversion == "e":
            return os.strerror(value) if value else "it cannot be made"
        return super().convert_field(value, conversion)


_FILLED = _Filled()


def _length(wait: timedelta) -> str:
    seconds = max(1, round(wait.total_seconds()))
    for size, one, several in ((3600, "hour", "hours"), (60, "minute", "minutes")):
        if seconds >= size:
            count = -(-seconds // size)
            return f"1 {one}" if count == 1 else f"{count} {several}"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
