"""What each notice says to a person: one function for each code, of the notice's parameters."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from draugar.cli.terminal import Terminal
from draugar.models import Code, Notice
from draugar.text.display import clock, plain

_REASONS = {
    "not_agreed": "It is not the key that the group agreed on.",
    "used_before": "It is a key that was used before.",
    "mistaken_identity": "By it others know this device as somebody else's.",
    "misplaced": "It is of another group, another person or another time.",
    "inviter_gone": "Its inviter is not in the group any more.",
}
_NOT_SHARED = {
    "sharing_paused": "you have paused sharing with the group",
    "out_of_range": "the group does not keep positions that old, or this device's clock is wrong",
    "id_time_mismatch": "the service does not understand what this version of draugar sends",
    "invalid_point": "the service does not understand what this version of draugar sends",
    "group_not_found": "you are not in the group any more",
}


def text(notice: Notice) -> str:
    """Return what a notice says: what happened, and the command to type next."""
    return _TEXTS[notice.code](**notice.parameters)


def show(terminal: Terminal, notice: Notice) -> None:
    """Show a notice beside a command's answer."""
    terminal.say(
        f"{'Warning' if notice.is_warning else 'Note'}: {plain(text(notice))}",
        "yellow" if notice.is_warning else "dim",
    )


def _joined(name: str) -> str:
    return f"{name} has joined by your link, and was given the key."


def _key_changed(name: str) -> str:
    return (
        f"The service shows another key, or another owner, for a device of {name}. The key of a"
        " device never changes, so this device does not trust it any more. Ask them whether they"
        " have a new device, and compare numbers: draugar confirm NAME"
    )


def _service_name_differs(name: str, listed: str, shown: str) -> str:
    return (
        f"{name} is listed as {listed} now. This device goes on showing {shown}, until they run:"
        " draugar rotate"
    )


def _ended(name: str, what: str) -> str:
    return f"A device of {name} {what}. It is given no new key, unless a member confirms it again."


def _refused(reason: str, consequence: str) -> str:
    return f"{_REASONS.get(reason, reason)} {consequence}"


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
    Code.JOINED: _joined,
    Code.OWN_DEVICE_JOINED: lambda: _joined("A further device of yours"),
    Code.OWN_DEVICE_ELSEWHERE: lambda: (
        "A device of yours that proved itself in another of your groups can read this one too. If"
        " you do not know it: draugar devices"
    ),
    Code.OWN_DEVICE_PRESENT: lambda since: (
        f"A further device of yours is in this group since {since}. If you do not know it: draugar"
        " devices"
    ),
    Code.OWN_PHONE_PRESENT: lambda tid, since: (
        f"A phone with OwnTracks, {tid}, shares as you since {since}. If you do not know it:"
        " draugar devices"
    ),
    Code.LINK_USED_TWICE: lambda listed: (
        f"A second device, listed as {listed}, has joined by a link that was used already: a third"
        " person has the link. That device is not trusted, and is given no key. See who is in the"
        " group: draugar people"
    ),
    Code.UNCONFIRMED_DEVICE: lambda name: (
        f"The service says that a device of {name} can open what is shared in this group. No member"
        " whom this device trusts has confirmed it. See who is in the group: draugar people"
    ),
    Code.KEY_CHANGED: _key_changed,
    Code.NUMBER_VOID: lambda name: (
        f"{name} has other devices than when you compared your safety numbers. Compare them again:"
        " draugar safety NAME"
    ),
    Code.DEVICE_GONE: lambda name: _ended(
        name, "is gone from the group: they left, were removed, or revoked it"
    ),
    Code.DEVICE_LEFT_OUT: lambda name: _ended(
        name, "was not given the group's new key by the member who made it"
    ),
    Code.VOUCHER_GONE: lambda name, voucher: (
        f"You know a device of {name} by the word of {voucher or 'another device of theirs'} only,"
        " which is not trusted any more. To be sure of it, compare numbers: draugar safety NAME"
    ),
    Code.KEYS_DIFFER: lambda: (
        "The service shows the others another key of the group than this device holds. Ask them, by"
        " another way, whether they see you; if not: draugar rotate"
    ),
    Code.SERVICE_NAME_DIFFERS: _service_name_differs,
    Code.ENVELOPE_REFUSED: lambda reason: (
        "A key for this device was refused. "
        + _refused(
            reason,
            "This device can read and share nothing until another member gives it the key. Ask one"
            " to run: draugar confirm",
        )
    ),
    Code.PACKAGE_REFUSED: lambda reason: (
        "The key that came with the link was refused. "
        + _refused(
            reason,
            "You are in the group, but can neither read nor share. Tell the person who invited you,"
            " by another way. A member can still confirm this device: draugar confirm",
        )
    ),
    Code.ROSTER_REFUSED: lambda: (
        "A list of the group's devices did not open under the group's key, so it was not used. If"
        " it happens again, make a new key: draugar rotate"
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
