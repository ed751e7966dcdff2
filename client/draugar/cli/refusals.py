"""What each refusal of the service means to a person: a sentence, and the command to type next.

Keyed by the codes of the service's contract (docs/errors.md), all of which are here: a person meets
a sentence and never a code. A code that is not here is of a newer service.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Text(NamedTuple):
    """What happened, the command to type next, and what did not happen because of it."""

    reason: str
    next_step: str
    effect: str = ""


UPDATE = (
    "Update draugar, in the repository that it was installed from: git pull && pipx install --force"
    " ./client"
)

_OUT_OF_STEP = Text("The service does not understand what this version of draugar sent.", UPDATE)
_KEY_CHANGED = Text("The group's key has just been changed.", "Run the same command again.")
_PERSON_GONE = Text("This person is not in the group any more.", "See who is: draugar people")
_BUSY = Text("The service cannot do this at the moment.", "Run the same command again later.")

NEWER_SERVICE = Text(
    "The service refused this, for a reason that this version of draugar does not know.", UPDATE
)

REFUSALS: Mapping[str, Text] = {
    # What a person can bring about
    "already_a_member": Text(
        "You are in this group already. The invite was not used up: another person can still"
        " join with it.",
        "See your groups: draugar groups",
    ),
    "body_too_large": Text(
        "This is more than the service takes at once.", "Share fewer positions: draugar share"
    ),
    "device_not_found": Text("You have no such device.", "See which you have: draugar devices"),
    "founding_code": Text(
        "This code is for founding a new group. It was not used up.",
        "Found the group: draugar found URL CODE --name NAME --group GROUP",
    ),
    "group_not_found": Text(
        "You are not in this group any more.",
        "Ask a member for an invite, then: draugar join LINK",
    ),
    "group_not_founded": Text(
        "This code is an invite to a group that exists already, so no group was founded with it."
        " It was not used up.",
        "Join that group: draugar join CODE --url URL --name NAME",
    ),
    "group_required": Text(
        "The service does not know which of your groups is meant.",
        "See them: draugar groups. Then run the command again with --group NAME",
    ),
    "invalid_request": Text(
        "The service does not accept what was typed here: a name, a number or a time is outside"
        " its limits.",
        "See what this command takes: draugar --help",
    ),
    "invite_not_found": Text(
        "There is no such invite, or it is not yours to take back.",
        "See the open invites: draugar invites",
    ),
    "invite_not_valid": Text(
        "There is no valid invite with this code: it was mistyped, used, taken back, or is over.",
        "Ask for a new one, then: draugar join LINK --name NAME",
    ),
    "invite_used": Text(
        "A person has already joined with this invite, so it cannot be taken back.",
        "See who is in the group: draugar people. To remove a person: draugar remove NAME",
    ),
    "last_admin": Text(
        "The group's last admin has to stay one.",
        "Make another member admin first: draugar role NAME admin",
    ),
    "member_not_found": _PERSON_GONE,
    "user_not_found": _PERSON_GONE,
    "not_an_admin": Text(
        "Only an admin of the group can do this, and you are not one.",
        "See who is an admin: draugar people",
    ),
    "out_of_range": Text(
        "The position is older than the group keeps positions, or the clock of this device is"
        " wrong.",
        "See how long positions are kept: draugar groups",
    ),
    "resumes_in_the_past": Text(
        "By the clock of the service, that time is past.",
        "Give a later time: draugar pause --until 2h",
    ),
    "sharing_paused": Text(
        "You have paused sharing with this group.", "Share again: draugar resume"
    ),
    "tid_taken": Text(
        "Another phone in this group has this tid, or had it.",
        "Choose two other letters or digits: draugar phone add NAME --tid XX",
    ),
    "browsers_refused": Text(
        "This group does not accept browsers. Nothing was changed; the invite still works.",
        "Join from a computer: draugar join LINK --name NAME",
    ),
    "too_many_members": Text(
        "This group has 50 members, the most that a group can have. You did not join; the invite"
        " still works.",
        "When a member has left, run the same command again.",
    ),
    "too_many_devices": Text(
        "You have 16 devices, the most that a person can have. Nothing was changed.",
        "On another device of yours, see which one can go: draugar devices",
    ),
    "too_many_devices_in_group": Text(
        "A group of yours, or this one, has 150 devices, the most that a group can have. Nothing"
        " was changed.",
        "Members see which of their devices can go: draugar devices",
    ),
    "too_many_groups": Text(
        "You are in 20 groups, the most that a person can be in. Nothing was changed.",
        "Leave one that you do not need: draugar leave --group NAME",
    ),
    "too_many_requests": Text(
        "The service takes no more attempts for now.", "Run the same command again later."
    ),
    "unauthenticated": Text(
        "The service does not know this device any more: you were removed from your last group,"
        " or this device was revoked or not used for a year.",
        "Ask a member for an invite. Then: draugar logout --local, and: draugar join LINK"
        " --name NAME",
    ),
    # What depends on others
    "not_confirmed": Text(
        "No member has confirmed this device in the group yet.",
        "See the number to compare with a member: draugar confirm",
    ),
    "key_pending": Text(
        "No member has given this device the group's key yet.",
        "See the number to compare with a member: draugar confirm",
    ),
    "group_key_missing": Text("The group has no key yet.", "Make the first one: draugar rotate"),
    "rotation_required": Text(
        "A member has left, so the group needs a new key first.", "Make it: draugar rotate"
    ),
    "key_version_conflict": _KEY_CHANGED,
    "surplus_devices": Text(
        "A member or a device has left the group in this very moment.", "Try again: draugar rotate"
    ),
    "recipient_not_found": Text(
        "The device of this person is not there any more.", "See who is: draugar people"
    ),
    "code_taken": Text("The invite could not be made.", "Make another: draugar invite"),
    "public_key_set": Text(
        "The service knows another key for this device than it has.",
        "Ask a member for an invite. Then: draugar logout --local, and: draugar join LINK"
        " --name NAME",
    ),
    # What the program itself would have to avoid
    "encryption_required": _OUT_OF_STEP,
    "envelope_exists": _KEY_CHANGED,
    "envelope_not_found": _KEY_CHANGED,
    "id_time_mismatch": _OUT_OF_STEP,
    "invalid_point": _OUT_OF_STEP,
    "key_version_not_found": _KEY_CHANGED,
    "length_required": _OUT_OF_STEP,
    "malformed_body": _OUT_OF_STEP,
    "method_not_allowed": _OUT_OF_STEP,
    "not_found": _OUT_OF_STEP,
    "own_envelope_missing": _OUT_OF_STEP,
    "route_not_found": Text(
        "There is no Draugar service at this address, or only an older one.",
        "Give the address without anything behind it, as in: draugar found"
        " https://family.example.org CODE --name NAME",
    ),
    "unacceptable_request": _OUT_OF_STEP,
    "unsupported_content_coding": _OUT_OF_STEP,
    "unsupported_media_type": _OUT_OF_STEP,
    # What passes
    "internal_error": Text(
        "The service has failed with an error of its own.",
        "Run the same command again later; if it fails again, tell the person who runs the"
        " service.",
    ),
    "partition_missing": _BUSY,
    "rows_hidden": _BUSY,
    "schema_not_ready": _BUSY,
    "temporarily_unavailable": _BUSY,
    "timed_out": _BUSY,
}
