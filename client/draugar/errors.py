"""What can go wrong for a member, as values: a code, and what it is about.

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
    │   ├── NewerForm           what a trusted device stated takes a newer client
    │   ├── NotListed           this device is not in the list, or is another one there
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

Every situation has one `FailureCode`, or the code of a refusal in docs/errors.md. No failure holds
a text for people: `draugar.cli.failures` has one for each code.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum, StrEnum
from uuid import UUID


class FailureCode(StrEnum):
    """What happened. Its name is stable, as the codes of docs/errors.md are."""

    FAILED = "failed"
    # This device's own memory
    NOT_JOINED = "not_joined"
    ALREADY_JOINED = "already_joined"
    JOIN_UNFINISHED = "join_unfinished"
    HOME_UNUSABLE = "home_unusable"
    HOME_NOT_EMPTY = "home_not_empty"
    HOME_NOT_MADE = "home_not_made"
    """In `directory`; `error`: the number of the operating system's error, or None."""
    HOME_OF_NEWER_VERSION = "home_of_newer_version"
    HOME_KEY_MISSING = "home_key_missing"
    """`place`: where it should be."""
    HOME_KEY_NOT_WRITTEN = "home_key_not_written"
    HOME_SECRET_NOT_OPENED = "home_secret_not_opened"  # noqa: S105 -- a code
    DISK_FULL = "disk_full"
    HOME_NOT_WRITABLE = "home_not_writable"
    HOME_NOT_READABLE = "home_not_readable"
    HOME_IN_USE = "home_in_use"
    HOME_DAMAGED = "home_damaged"
    """`file`: the name of the database."""
    NO_MEMORY = "no_memory"
    DATABASE_FAILED = "database_failed"
    # The way to the service
    ADDRESS_NOT_SAFE = "address_not_safe"
    ADDRESS_NOT_USABLE = "address_not_usable"
    SERVICE_AWAY = "service_away"
    SERVICE_BUSY = "temporarily_unavailable"
    ASKED_TOO_OFTEN = "too_many_requests"
    SERVICE_BROKEN = "internal_error"
    NO_SUCH_HOST = "no_such_host"
    NOT_THAT_SERVER = "not_that_server"
    CERTIFICATE_OF_ANOTHER = "certificate_of_another"
    CERTIFICATE_OUT_OF_DATE = "certificate_out_of_date"
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"
    NO_TLS = "no_tls"
    ANSWER_NOT_UNDERSTOOD = "answer_not_understood"
    REFUSED = "refused"
    """For a code of the service that this version does not know."""
    VERSION_WENT_BACK = "version_went_back"
    NOT_LISTED = "not_listed"
    NEWER_FORM = "newer_form"
    # Keys and trust
    KEY_PENDING = "key_pending"
    KEY_NOT_TRUSTED = "key_not_trusted"
    KEY_OUTDATED = "key_outdated"
    KEY_MISSING = "group_key_missing"
    IN_THE_CLEAR = "in_the_clear"
    ROSTER_FULL = "roster_full"
    NO_DEVICE_TO_COMPARE = "no_device_to_compare"
    OWN_DEVICE_NOT_COMPARED = "own_device_not_compared"
    # Groups, people, devices, places
    IN_NO_GROUP = "in_no_group"
    GROUP_NOT_NAMED = "group_not_named"
    GROUP_NAME_AMBIGUOUS = "group_name_ambiguous"
    GROUP_UNKNOWN = "group_unknown"
    PHONE_UNKNOWN = "phone_unknown"
    PLACE_UNKNOWN = "place_unknown"
    PLACE_NAME_TAKEN = "place_name_taken"
    YOURSELF = "yourself"
    THIS_DEVICE = "this_device"
    NAME_NOT_POSSIBLE = "name_not_possible"
    """`longest`: how many characters a name may have."""
    TID_NOT_POSSIBLE = "tid_not_possible"
    # Invites
    FOUNDING_CODE = "founding_code"
    FOUNDING_CODE_MISTYPED = "founding_code_mistyped"
    INVITE_CODE_MISTYPED = "invite_code_mistyped"
    INVITE_CODE_UNREADABLE = "invite_code_unreadable"
    LINK_UNREADABLE = "link_unreadable"
    LINK_WITHOUT_SERVICE = "link_without_service"
    LINK_DAMAGED = "link_damaged"
    LINK_ADDRESS_NOT_POSSIBLE = "link_address_not_possible"
    SEVERAL_LINKS = "several_links"
    LINK_FOR_NEW_DEVICE = "link_for_new_device"
    LINK_TO_ANOTHER_SERVICE = "link_to_another_service"
    LINK_LIVES_TOO_LONG = "link_lives_too_long"
    NO_LINK_FOR_ADDRESS = "no_link_for_address"
    # Sharing
    SHARING_PAUSED = "sharing_paused"
    TIME_PAST = "time_past"
    POINT_NOT_POSSIBLE = "point_not_possible"
    LATITUDE_OUT_OF_RANGE = "latitude_out_of_range"
    LONGITUDE_OUT_OF_RANGE = "longitude_out_of_range"
    ACCURACY_OUT_OF_RANGE = "accuracy_out_of_range"
    """`largest`: metres."""
    FURTHER_OUT_OF_RANGE = "further_out_of_range"
    """Altitude, velocity, course or battery; `largest`: metres, km/h, degrees, percent."""
    TIME_WITHOUT_ZONE = "time_without_zone"
    TIME_TOO_EARLY = "time_too_early"
    """`year`: the first that is possible."""
    TIME_AHEAD = "time_ahead"
    # Positions, tracks and maps
    NOT_A_POSITION = "not_a_position"
    POSITION_NOT_FOUND = "position_not_found"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    """`name` of the number, and its `limit` on both sides of 0."""
    DECIMAL_COMMA = "decimal_comma"
    NOT_ONE_OF_EACH = "not_one_of_each"
    LOOKS_SWAPPED = "looks_swapped"
    NOT_WGS84 = "not_wgs84"
    SEARCH_ADDRESS = "search_address"
    SIGN_AND_LETTER = "sign_and_letter"
    SIXTY_OR_MORE = "sixty_or_more"
    MAP_LINK_WITHOUT_POSITION = "map_link_without_position"
    MAP_LINK_AMBIGUOUS = "map_link_ambiguous"
    MAP_LINK_DAMAGED = "map_link_damaged"
    SEVERAL_MAP_LINKS = "several_map_links"
    NOT_A_TRACK = "not_a_track"
    """Without a point that can be shared."""
    FILE_TOO_LARGE = "file_too_large"
    """`mebibytes`: how large it may be."""
    NO_TRACK_POINTS = "no_track_points"
    """How many `waypoints` and `route_points` there are instead."""
    NOT_XML = "not_xml"
    """`line`: the first that is broken; so for the next."""
    UNKNOWN_ENTITY = "unknown_entity"
    UNKNOWN_ENCODING = "unknown_encoding"
    DOCUMENT_TYPE = "document_type"
    TILES_NOT_USABLE = "tiles_not_usable"


class Done(StrEnum):
    """What was done before a failure, so that the rest is left to do."""

    MEMBER_REMOVED = "member_removed"
    """The group's key is not changed yet."""
    MEMBER_CONFIRMED = "member_confirmed"
    """The key is not passed on yet."""
    WAITING_DELETED = "waiting_deleted"
    """What waited here is deleted; what was shared before is not."""
    WAITING_POINT_DELETED = "waiting_point_deleted"
    """`point_id`: which. The service may have it."""
    DEVICE_REVOKED = "device_revoked"
    """Not every key that it knows is changed yet."""
    PHONE_PERHAPS_ADDED = "phone_perhaps_added"
    """`name`: what it is called. Its answer was lost."""


class Failure(Exception):
    """Something went wrong: `code` says what, and `values` holds what it is about."""

    code: str = FailureCode.FAILED

    def __init__(self, code: str | None = None, **values: object) -> None:
        if code is not None:
            self.code = code
        self.values = values
        self.done: Done | None = None
        """What was done before it, where it is not nothing."""
        super().__init__(self.code)

    def __str__(self) -> str:
        """Show the code and the values, but no text: one could be a name."""
        shown = _shown(self.values)
        return f"{self.code} ({shown})" if shown else self.code

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def after(self, done: Done, **values: object) -> None:
        """Note what was done before it."""
        self.done = done
        self.values = {**self.values, **values}


@contextmanager
def so_far(done: Done, **values: object) -> Iterator[None]:
    """Have a failure of the service say what was done before it."""
    try:
        yield
    except ServiceFailure as failure:
        failure.after(done, **values)
        raise


def _shown(values: Mapping[str, object]) -> str:
    # No plain texts and no fractions: those are names, and coordinates.
    return ", ".join(
        f"{name}={value}"
        for name, value in values.items()
        if isinstance(value, int | UUID | Enum | timedelta)
    )


class HomeFailure(Failure):
    """This device's own memory does not allow it."""


class NotJoined(HomeFailure):
    """There is no membership in this home yet."""

    code = FailureCode.NOT_JOINED


class AlreadyJoined(HomeFailure):
    """A home is one device of one person at one service."""

    code = FailureCode.ALREADY_JOINED


class JoinUnfinished(HomeFailure):
    """An earlier join was sent and its answer lost; it can be repeated, or given up."""

    code = FailureCode.JOIN_UNFINISHED


class HomeUnusable(HomeFailure):
    """The directory, the database or its key cannot be used."""

    code = FailureCode.HOME_UNUSABLE


class ServiceFailure(Failure):
    """The way to the service."""


class AddressNotSafe(ServiceFailure):
    """Tokens go over https only, unless they stay on this machine."""

    code = FailureCode.ADDRESS_NOT_SAFE


class AddressNotUsable(AddressNotSafe):
    """Not the address of a service, or one that no HTTP request can be sent to."""

    code = FailureCode.ADDRESS_NOT_USABLE


class ServiceAway(ServiceFailure):
    """No answer for as long as was waited.

    `may_be_done`: whether the service may have done what was asked all the same.
    """

    code = FailureCode.SERVICE_AWAY

    def __init__(self, *, may_be_done: bool = False, wait: timedelta | None = None) -> None:
        self.may_be_done = may_be_done
        super().__init__(wait=wait)


class ServiceBusy(ServiceAway):
    """An answer, which was "not now": its database is away, or it has too much to do."""

    code = FailureCode.SERVICE_BUSY


class AskedTooOften(ServiceBusy):
    """Too many attempts. `wait` is how long the service says to wait."""

    code = FailureCode.ASKED_TOO_OFTEN

    def __init__(self, wait: timedelta | None, *, may_be_done: bool = False) -> None:
        self.wait = wait
        super().__init__(may_be_done=may_be_done, wait=wait)


class ServiceBroken(ServiceBusy):
    """The service failed with an error of its own."""

    code = FailureCode.SERVICE_BROKEN


class AnswerNotUnderstood(ServiceFailure):
    """An answer that is not of the contract's shape."""

    code = FailureCode.ANSWER_NOT_UNDERSTOOD


class Refused(ServiceFailure):
    """The service refused. Decide by `code`, then by `status`."""

    code = FailureCode.REFUSED

    def __init__(self, *, status: int, code: str) -> None:
        self.status = status
        super().__init__(code, status=status)


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

    code = FailureCode.VERSION_WENT_BACK


class NotListed(TrustFailure):
    """The service does not list this device in the group, or lists it as another one."""

    code = FailureCode.NOT_LISTED


class NewerForm(TrustFailure):
    """A trusted device has stated what only a newer client can read."""

    code = FailureCode.NEWER_FORM


class NotPossible(Failure):
    """What was asked for cannot be done as things are."""


class KeyPending(NotPossible):
    """No member has given this device a key of the group, so it can neither read nor share."""

    code = FailureCode.KEY_PENDING


class KeyNotTrusted(KeyPending):
    """A member whom this device does not trust has given it the key."""

    code = FailureCode.KEY_NOT_TRUSTED


class KeyOutdated(KeyPending):
    """The group's key was changed, and this device has an earlier one."""

    code = FailureCode.KEY_OUTDATED


class KeyMissing(NotPossible):
    """The group has no key yet, and this client sends nothing unsealed."""

    code = FailureCode.KEY_MISSING


class InTheClear(NotPossible):
    """A group goes without a key, or the service says so: its phones would post unsealed."""

    code = FailureCode.IN_THE_CLEAR


class InNoGroup(NotPossible):
    """There is no group that could be meant."""

    code = FailureCode.IN_NO_GROUP


class NotNamed(NotPossible):
    """Several groups, and none was named."""

    code = FailureCode.GROUP_NOT_NAMED


class Unknown(NotPossible):
    """No such group, person or device."""

    code = FailureCode.GROUP_UNKNOWN


class FoundingCode(NotPossible):
    """A code to found a group, where one to join a group was expected. It was not spent."""

    code = FailureCode.FOUNDING_CODE


class SharingPaused(NotPossible):
    """This member has paused sharing on this device: nothing is queued or sent."""

    code = FailureCode.SHARING_PAUSED


class TooManyDevices(NotPossible):
    """So many devices are trusted that one roster does not hold them."""

    code = FailureCode.ROSTER_FULL


class PointNotPossible(NotPossible):
    """A fix that cannot be shared."""

    code = FailureCode.POINT_NOT_POSSIBLE
