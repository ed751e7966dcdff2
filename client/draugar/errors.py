"""What can go wrong for a member, each with what to do next.

    Failure
    ├── HomeFailure             this device's own memory
    │   ├── NotJoined           there is no membership in this home yet
    │   ├── AlreadyJoined       there is one already
    │   ├── JoinUnfinished      an earlier join is still to be finished
    │   └── HomeUnusable        the directory, the database or its key cannot be used
    ├── ServiceFailure          the way to the service
    │   ├── AddressNotSafe      neither https nor this machine
    │   ├── ServiceAway         no answer for as long as was waited
    │   │   └── ServiceBusy     none but "not now"
    │   ├── AnswerNotUnderstood not of the contract's shape
    │   └── Refused             a problem document; `code` says which
    │       ├── SignedOut       the token is void
    │       ├── NotAMember      not in the group any more
    │       ├── NotConfirmed    the service does not let this device act yet
    │       ├── InviteNotValid  unknown, used, expired or revoked
    │       ├── VersionConflict somebody else has just made a new key
    │       ├── SurplusDevices  some devices may not be given the key
    │       └── TidTaken        another phone with OwnTracks is called that already
    ├── TrustFailure            an answer contradicts what this device knows
    │   └── VersionWentBack     a key version lower than one already seen
    └── NotPossible             what was asked for cannot be done
        ├── KeyPending          nobody has confirmed this device yet
        ├── KeyMissing          the group has no key yet
        ├── InTheClear          it goes without one, and a phone would post unsealed
        ├── NotNamed            several groups, and none was named
        ├── Unknown             no such group, person or device
        └── PointNotPossible    a fix that cannot be shared

No text repeats a key, token, code, coordinate or what the service sent.
"""

from typing import ClassVar
from uuid import UUID


class Failure(Exception):
    """Something went wrong. `advice` says what to do next."""

    text: ClassVar[str] = "It did not work."
    advice: ClassVar[str] = "Try again."

    def __init__(self, text: str | None = None, *, advice: str | None = None) -> None:
        self.reason = text or self.text
        self.next_step = advice or self.advice
        super().__init__(f"{self.reason} {self.next_step}")


class HomeFailure(Failure):
    """This device's own memory does not allow it."""


class NotJoined(HomeFailure):
    """There is no membership in this home yet."""

    text = "This device has not joined any group yet."
    advice = "Join with an invite link, or with the service's address and a code."


class AlreadyJoined(HomeFailure):
    """A home is one device of one person at one service."""

    text = "This home already belongs to somebody."
    advice = "Join a further group from inside it, or choose another home."


class JoinUnfinished(HomeFailure):
    """An earlier join was sent and its answer lost; it can be repeated, not replaced."""

    text = "An earlier join from this home has not been finished."
    advice = "Finish it by joining once more with the same invite, or forget it first."


class HomeUnusable(HomeFailure):
    """The directory, the database or its key cannot be used."""

    text = "The home of this device cannot be used."
    advice = "See that the directory exists, is yours and is not full."


class ServiceFailure(Failure):
    """The way to the service."""


class AddressNotSafe(ServiceFailure):
    """Tokens go over https only, unless they stay on this machine."""

    text = "The service's address is not an https address."
    advice = "Use https://, or http:// with 127.0.0.1 to try it out on this machine."


class ServiceAway(ServiceFailure):
    """No answer for as long as was waited. Whether the request was done is not known."""

    text = "The service does not answer."
    advice = "Nothing is lost: try again later."


class ServiceBusy(ServiceAway):
    """No answer but "not now": it has too much to do, or was asked too often."""

    text = "The service is busy, or was asked too often."


class AnswerNotUnderstood(ServiceFailure):
    """An answer that is not of the contract's shape."""

    text = "The service answered with something that is not of its contract."
    advice = "See that the address is that of a Draugar service, and that this client is current."


class Refused(ServiceFailure):
    """The service refused. Decide by `code`, then by `status`."""

    advice = "See docs/errors.md for what this code means."

    def __init__(self, *, status: int, code: str) -> None:
        self.status, self.code = status, code
        super().__init__(self.text if "text" in type(self).__dict__ else f"Refused: {code}.")


class SignedOut(Refused):
    """The token is void: revoked, replaced or idle for a year."""

    text = "The service does not know this device any more."
    advice = "Ask a member for a new invite, and join with it from a new home."


class NotAMember(Refused):
    """The group is gone, or the member is not in it any more."""

    text = "You are not in this group any more."
    advice = "Ask a member for a new invite."


class NotConfirmed(Refused):
    """The service does not let this device act yet."""

    text = "This device is not confirmed in the group yet."
    advice = "Ask a member to confirm it, and compare the safety number with them."


class InviteNotValid(Refused):
    """Unknown, used, expired or revoked: the service does not say which."""

    text = "There is no valid invite with this code."
    advice = "Check it, or ask for a new one."


class VersionConflict(Refused):
    """Somebody else has just made a new key."""

    text = "Somebody else has just changed the group's key."
    advice = "Try again."


class SurplusDevices(Refused):
    """Some devices may not be given the key: they have gone meanwhile."""

    def __init__(self, device_ids: set[UUID]) -> None:
        super().__init__(status=422, code="surplus_devices")
        self.device_ids = device_ids


class TidTaken(Refused):
    """Another phone with OwnTracks is called that already, or was."""

    text = "Another phone in this group has this tid, or had it."
    advice = "Choose two other letters or digits, or leave the choice to the service."


class TrustFailure(Failure):
    """An answer contradicts what this device knows. Nothing was believed or sent."""


class VersionWentBack(TrustFailure):
    """A key version lower than one already seen: an old key would come back."""

    text = "The service claims an older key for the group than this device has already seen."
    advice = (
        "Nothing was sent. Ask whoever runs the service whether it was restored from a backup: only"
        " then rotate, and say so."
    )


class NotPossible(Failure):
    """What was asked for cannot be done as things are."""


class KeyPending(NotPossible):
    """Nobody has confirmed this device yet, so it can neither read nor share."""

    text = "This device has no key of the group yet."
    advice = "Ask a member to confirm it, and compare the safety number with them."


class KeyMissing(NotPossible):
    """The group has no key yet, and this client sends nothing unsealed."""

    text = "Nobody has made a key for this group yet."
    advice = "Rotate to make the first one; then confirm the others."


class InTheClear(NotPossible):
    """A group goes without a key, or the service says so: its phones would post unsealed."""

    text = "The service says that this group has no key: it could read where the phone is."
    advice = "If that is meant, say so: --in-the-clear. If not, ask whoever invited you."


class NotNamed(NotPossible):
    """Several groups, and none was named."""

    text = "You are in several groups, or in none."
    advice = "Name the group that is meant."


class Unknown(NotPossible):
    """No such group, person or device."""

    text = "There is nothing of that name or id."
    advice = "List what there is, and name one of it."


class PointNotPossible(NotPossible):
    """A fix that cannot be shared."""

    text = "This is not a position that can be shared."
    advice = "Latitude is -90 to 90, longitude -180 to 180, accuracy 0 or more, the time not ahead."
