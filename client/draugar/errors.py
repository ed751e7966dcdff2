"""What can go wrong for a member, each with what to do next.

    Failure
    ├── HomeFailure             this device's own memory
    │   ├── NotJoined           there is no membership in this home yet
    │   ├── AlreadyJoined       there is one already
    │   ├── JoinUnfinished      an earlier join is still to be finished
    │   └── HomeUnusable        the directory, the database or its key cannot be used
    ├── ServiceFailure          the way to the service
    │   ├── AddressNotSafe      neither https nor this machine
    │   │   └── AddressNotUsable    no address at all
    │   ├── ServiceAway         no answer for as long as was waited (further ones: unreachable.py)
    │   │   └── ServiceBusy     an answer, which was "not now"
    │   │       ├── AskedTooOften   too many attempts; `wait` says for how long
    │   │       └── ServiceBroken   an error of the service's own
    │   ├── AnswerNotUnderstood not of the contract's shape
    │   └── Refused             a problem document; `code` says which
    │       ├── SignedOut       the token is void
    │       ├── NotAMember      not in the group any more
    │       ├── NotConfirmed    the service does not let this device act yet
    │       ├── InviteNotValid  unknown, used, expired or revoked
    │       ├── VersionConflict another device has just made a new key
    │       ├── SurplusDevices  some devices may not be given the key
    │       └── TidTaken        another phone with OwnTracks has that tid already
    ├── TrustFailure            an answer contradicts what this device knows
    │   └── VersionWentBack     a key version lower than one already seen
    └── NotPossible             what was asked for cannot be done
        ├── KeyPending          this device has no key of the group
        │   ├── KeyNotTrusted   a member not confirmed here has given it one
        │   └── KeyOutdated     it has an earlier one
        ├── KeyMissing          the group has no key yet
        ├── InTheClear          it goes without one, and a phone would post unsealed
        ├── InNoGroup           there is no group that could be meant
        ├── NotNamed            several groups, and none was named
        ├── Unknown             no such group, person or device
        ├── FoundingCode        a code to found a group, where one to join was expected
        ├── SharingPaused       this member has paused sharing
        ├── TooManyDevices      more than one roster holds
        └── PointNotPossible    a fix that cannot be shared

`reason` says what happened, `effect` what did not happen because of it, and `next_step` ends with a
command in full. No text repeats a key, token, code, name, coordinate or what the service sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from draugar.cli.refusals import NEWER_SERVICE, REFUSALS, UPDATE


class Failure(Exception):
    """Something went wrong. `next_step` says what to do about it."""

    text: ClassVar[str] = "It did not work."
    advice: ClassVar[str] = "Try again, and see what the command takes: draugar --help"

    def __init__(
        self, text: str | None = None, *, effect: str = "", advice: str | None = None
    ) -> None:
        self.reason = text or self.text
        self.effect = effect
        self.next_step = advice or self.advice
        super().__init__(self.reason, self.next_step)

    def __str__(self) -> str:
        return " ".join(part for part in (self.reason, self.effect, self.next_step) if part)


@contextmanager
def so_far(effect: str, next_step: str) -> Iterator[None]:
    """Have a failure of the service say what was done before it, and what is left to do."""
    try:
        yield
    except ServiceFailure as failure:
        failure.effect, failure.next_step = effect, next_step
        raise


class HomeFailure(Failure):
    """This device's own memory does not allow it."""


class NotJoined(HomeFailure):
    """There is no membership in this home yet."""

    text = "This device is not in a group yet."
    advice = (
        "With an invite: draugar join LINK --name NAME. With a founding code: draugar found URL"
        " CODE --name NAME"
    )


class AlreadyJoined(HomeFailure):
    """A home is one device of one person at one service."""

    text = "This device has joined already, as one person at one service."
    advice = (
        "A further group of this service: draugar join LINK. Another person on this machine:"
        " draugar --home DIRECTORY join LINK --name NAME, with a new directory."
        " To found a group there: draugar --home DIRECTORY found URL CODE --name NAME"
    )


class JoinUnfinished(HomeFailure):
    """An earlier join was sent and its answer lost; it can be repeated, or given up."""

    text = "An earlier attempt with another code was sent, and its answer was lost."
    advice = (
        "To finish it, repeat that command with its code. To give it up, whose code may be used up"
        " then, add --start-over to this one: draugar join LINK --name NAME --start-over"
    )


class HomeUnusable(HomeFailure):
    """The directory, the database or its key cannot be used."""

    text = "The directory in which this device keeps its data cannot be used."
    advice = (
        "See that it is yours, can be written and that the disk is not full, or name another:"
        " draugar --home DIRECTORY where"
    )


class ServiceFailure(Failure):
    """The way to the service."""


class AddressNotSafe(ServiceFailure):
    """Tokens go over https only, unless they stay on this machine."""

    text = "The service's address is not an https address."
    advice = (
        "Use https://, or http:// with 127.0.0.1 to try it out on this machine, as in: draugar"
        " found https://family.example.org CODE --name NAME"
    )


class AddressNotUsable(AddressNotSafe):
    """Not the address of a service, or one that no HTTP request can be sent to."""

    text = "This is not the address of a service."
    advice = (
        "Nothing was sent. Give it again, as in: draugar found https://family.example.org CODE"
        " --name NAME, or on this machine: draugar found http://127.0.0.1:8000 CODE --name NAME"
    )


class ServiceAway(ServiceFailure):
    """No answer for as long as was waited.

    `may_be_done`: whether the service may have done what was asked all the same.
    """

    text = "The service does not answer."
    advice = "Run the same command again later."
    when: str = "later"
    """When to try again."""

    def __init__(
        self,
        text: str | None = None,
        *,
        effect: str = "",
        advice: str | None = None,
        may_be_done: bool = False,
    ) -> None:
        self.may_be_done = may_be_done
        super().__init__(text, effect=effect, advice=advice)


class ServiceBusy(ServiceAway):
    """An answer, which was "not now": its database is away, or it has too much to do."""

    text, advice = REFUSALS["temporarily_unavailable"]


class AskedTooOften(ServiceBusy):
    """Too many attempts. `wait` is how long the service says to wait."""

    text, advice = REFUSALS["too_many_requests"]

    def __init__(self, wait: timedelta | None, *, may_be_done: bool = False) -> None:
        self.wait = wait
        super().__init__(may_be_done=may_be_done)
        if wait is not None:
            self.when = f"in {_length(wait)}"
        self.next_step = f"Run the same command again {self.when}."


class ServiceBroken(ServiceBusy):
    """The service failed with an error of its own."""

    text, advice = REFUSALS["internal_error"]


class AnswerNotUnderstood(ServiceFailure):
    """An answer that is not of the contract's shape."""

    text = "What answered is not a Draugar service, or one that this version does not understand."
    advice = f"Check the address, then run the same command again. {UPDATE}"


class Refused(ServiceFailure):
    """The service refused. Decide by `code`, then by `status`."""

    def __init__(self, *, status: int, code: str) -> None:
        self.status, self.code = status, code
        said = REFUSALS.get(code, NEWER_SERVICE)
        super().__init__(said.text, advice=said.advice)


class SignedOut(Refused):
    """The token is void: revoked, replaced or idle for a year."""


class NotAMember(Refused):
    """The group is gone, or the member is not in it any more."""


class NotConfirmed(Refused):
    """The service does not let this device act yet."""


class InviteNotValid(Refused):
    """Unknown, used, expired or revoked: the service does not say which."""


class VersionConflict(Refused):
    """Another device has just made a new key."""


class SurplusDevices(Refused):
    """Some devices may not be given the key: they have gone meanwhile."""

    def __init__(self, device_ids: set[UUID]) -> None:
        super().__init__(status=422, code="surplus_devices")
        self.device_ids = device_ids


class TidTaken(Refused):
    """Another phone with OwnTracks has that tid already, or had it."""


class TrustFailure(Failure):
    """An answer contradicts what this device knows. Nothing was believed or sent."""


class VersionWentBack(TrustFailure):
    """A key version lower than one already seen: an old key would come back."""

    text = (
        "The service shows an older key of the group than this device has seen: it was restored"
        " from a backup, or it tries to bring back a key that a former member knows. Nothing was"
        " sent."
    )
    advice = (
        "Ask the person who runs the service, by another way. Only if they have restored a backup:"
        " draugar rotate --restored"
    )


class NotPossible(Failure):
    """What was asked for cannot be done as things are."""


class KeyPending(NotPossible):
    """No member has given this device a key of the group, so it can neither read nor share."""

    text, advice = REFUSALS["key_pending"]


class KeyNotTrusted(KeyPending):
    """A member whom this device does not trust has given it the key."""

    text = (
        "A member has given this device the group's key, and you have not confirmed that member"
        " here yet."
    )
    advice = "See who it is and the number to compare with them: draugar confirm"


class KeyOutdated(KeyPending):
    """The group's key was changed, and this device has an earlier one."""

    text = "The group's key was changed, and no member has given this device the new one yet."
    advice = (
        "Ask another member to run: draugar confirm. If they are asked to confirm you, compare"
        " the number that both of you see by: draugar confirm"
    )


class KeyMissing(NotPossible):
    """The group has no key yet, and this client sends nothing unsealed."""

    text, advice = REFUSALS["group_key_missing"]


class InTheClear(NotPossible):
    """A group goes without a key, or the service says so: its phones would post unsealed."""

    text = "The service says that this group has no key: it could read where the phone is."
    advice = (
        "If not, ask the person who invited you. If that is what you want: draugar phone add NAME"
        " --in-the-clear"
    )


class InNoGroup(NotPossible):
    """There is no group that could be meant."""

    text = "You are in no group."
    advice = "Ask a member for an invite, then: draugar join LINK"


class NotNamed(NotPossible):
    """Several groups, and none was named."""

    text = "You are in several groups, and have not said which one is meant."
    advice = "See them: draugar groups. Then run the command again with --group NAME"


class Unknown(NotPossible):
    """No such group, person or device."""

    text = "You are in no group of this name or id."
    advice = "See your groups: draugar groups"


class FoundingCode(NotPossible):
    """A code to found a group, where one to join a group was expected. It was not spent."""

    text, advice = REFUSALS["founding_code"]


class SharingPaused(NotPossible):
    """This member has paused sharing on this device: nothing is queued or sent."""

    text, advice = REFUSALS["sharing_paused"]


class TooManyDevices(NotPossible):
    """So many devices are trusted that one roster does not hold them."""

    text = "The group has more devices than one key can be made for."
    advice = "Ask the members to revoke those that they do not use any more: draugar devices"


class PointNotPossible(NotPossible):
    """A fix that cannot be shared."""

    text = "This is not a position that can be shared."
    advice = "Nothing was shared. Give it as in: draugar share 64.1466 -21.9426 --accuracy 15"


def _length(wait: timedelta) -> str:
    seconds = max(1, round(wait.total_seconds()))
    for size, one, several in ((3600, "hour", "hours"), (60, "minute", "minutes")):
        if seconds >= size:
            count = -(-seconds // size)
            return f"1 {one}" if count == 1 else f"{count} {several}"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
