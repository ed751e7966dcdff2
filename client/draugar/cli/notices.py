"""What each notice says to a person: one function for each code, of the notice's parameters."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from draugar.cli.terminal import Terminal
from draugar.cli.trust_notices import TRUST_TEXTS, trust_text
from draugar.models import Code, Notice
from draugar.text.display import clock, plain

_NOT_SHARED = {
    "sharing_paused": "you have paused sharing with the group",
    "out_of_range": "the group does not keep positions that old, or this device's clock is wrong",
    "id_time_mismatch": "the service does not understand what this version of draugar sends",
    "invalid_point": "the service does not understand what this version of draugar sends",
    "group_not_found": "you are not in the group any more",
}


def text(notice: Notice) -> str:
    """Return what a notice says: what happened, and the command to type next."""
    if notice.code in TRUST_TEXTS:
        return trust_text(notice.code, notice.parameters)
    return _TEXTS[notice.code](**notice.parameters)


def show(terminal: Terminal, notice: Notice) -> None:
    """Show a notice beside a command's answer."""
    terminal.say(
        f"{'Warning' if notice.is_warning else 'Note'}: {plain(text(notice))}",
        "yellow" if notice.is_warning else "dim",
    )


def _rotated(
    given: Iterable[tuple[str, int]], left_out: Iterable[tuple[str, int]], *, has_phones: bool
) -> str:
    names, waiting = _people(given), _people(left_out)
    return (
        f"The group has a new key, given to {names}."
        + (f" Not given to {waiting}: not confirmed yet." if waiting else "")
        + (" Phones with OwnTracks have to be set up again." if has_phones else "")
    )


def _people(counted: Iterable[tuple[str, int]]) -> str:
    # A person with one device more than they know of has been joined by a stranger.
    return ", ".join(name if count == 1 else f"{name} ({count} devices)" for name, count in counted)


def _points(count: int) -> str:
    return "1 position" if count == 1 else f"{count} positions"


def _left_out(count: int, name: str | None, why: str) -> str:
    who = "a person who is not in the group" if name is None else name
    return f"Left out {_points(count)} of {who}: {why}"


def _not_shared(refusal: str, count: int) -> str:
    many = "1 position was" if count == 1 else f"{count} positions were"
    return f"{many} not shared, and not kept to be sent later: {_NOT_SHARED[refusal]}."


def _phones_wait(phones: Iterable[tuple[str, str, datetime]]) -> str:
    now = datetime.now(UTC)
    waiting = list(phones)
    names = [f"{name} ({tid}) since {clock(since, now)}" for name, tid, since in waiting]
    again = "; ".join(f"draugar phone renew {shlex.quote(tid)}" for _, tid, _ in waiting)
    many = "Your phone shares" if len(names) == 1 else "Your phones share"
    return f"{many} nothing until set up again: {', '.join(names)}. Next: {again}"


_TEXTS: Mapping[Code, Callable[..., str]] = {
    Code.SECRETS_IN_FILE: lambda: (
        "There is no keyring here: the key to this home is a file in it, which only your user may"
        " read."
    ),
    Code.OWN_PHONE_PRESENT: lambda tid, since: (
        f"A phone with OwnTracks, {tid}, shares as you since {since}. If you do not know it:"
        " draugar devices"
    ),
    Code.ROTATED: _rotated,
    Code.POINTS_DROPPED: lambda count, name: _left_out(
        count,
        name,
        "what the service shows is not what was shared. If it happens again, ask the person who"
        " runs the service.",
    ),
    Code.POINTS_UNREADABLE: lambda count, name: _left_out(
        count,
        name,
        "sealed under a key that this device does not have. You see them when they next share.",
    ),
    Code.PLAINTEXT_REFUSED: lambda count, name: _left_out(
        count,
        name,
        "not sealed, though the group has a key, so the service could have made it up.",
    ),
    Code.EXPORT_UNVERIFIED: lambda count, total: (
        f"The service lists {count} of {total} positions as yours that this device cannot verify."
        " They are in the file as they came, and were not opened."
    ),
    Code.OLDER_THAN_SEEN: lambda name: (
        f"The service shows less of {name} than it did before: either they have deleted positions,"
        " or the service withholds them."
    ),
    Code.SEARCH_ENDED: lambda name, points, seconds: (
        f"{name} has sent many messages that arrived late or hold no position. Only the newest"
        f" {points:,} were read here, for {seconds:.0f} seconds at most, so there may be a newer"
        f" position. To read all of them: draugar history --who {shlex.quote(name)}"
    ),
    Code.NOT_SHARED: _not_shared,
    Code.PHONES_WAIT: _phones_wait,
    Code.PAUSE_ENDED: lambda group: (
        f"Sharing with {group} is paused on this device, which sends nothing. But the service says"
        " that you share: another device of yours has ended the pause, or the service has. Your"
        " phones with OwnTracks are seen again. To pause again: draugar pause. To share again:"
        " draugar resume"
    ),
}
