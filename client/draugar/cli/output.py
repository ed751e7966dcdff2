"""How what a member meets looks: to programs, as JSON of stable keys (`..._data`), and to people.

What JSON has no value for is null, and never left out.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from draugar.models import (
    Comparison,
    Device,
    Group,
    KeyState,
    OpenInvite,
    OwnDevice,
    Person,
    Position,
    Rotation,
    TrustSource,
    TrustState,
)
from draugar.text import display
from draugar.text.display import clock, plain
from draugar.text.naming import same, told_apart

if TYPE_CHECKING:
    from draugar.client import Client
    from draugar.usecases.invite import Invitation
    from draugar.usecases.phones import PhoneSetup


def stamp(at: datetime | None) -> str | None:
    """Write a time for programs."""
    return display.stamp(at) if at else None


def points(number: int) -> str:
    """Count positions."""
    return "1 position" if number == 1 else f"{number} positions"


def membership_data(me: "Client", group: Group) -> dict[str, Any]:
    """Who somebody is, and the group that they have just entered."""
    return {
        "userId": str(me.user_id),
        "deviceId": str(me.device_id),
        "name": me.name,
        "url": me.url,
        "group": group_data(group),
    }


def entered(group: Group) -> list[str]:
    """Say what somebody who has just come in can do."""
    name = plain(group.name)
    if group.key_state is KeyState.READY:
        return [
            f"You are in {name}, and can read and share.",
            "You see each of the others from when they next share: draugar where",
        ]
    return [
        f"You are in {name}, and wait until a member there confirms you.",
        "Call one of them, and compare the number that both of you see by: draugar confirm",
        "Confirm each other: draugar confirm NAME",
    ]


GROUP_HEADINGS = ("Group", "Your role", "Encryption", "This device", "Positions", "Your sharing")
_CAN = {
    KeyState.READY: "can read and share",
    KeyState.PENDING: "waits for the group's key: draugar confirm",
    KeyState.MISSING: "cannot share before there is a key: draugar rotate",
}


def group_row(group: Group, now: datetime) -> tuple[str, ...]:
    """Write a group for people."""
    until = f" until {clock(group.resumes_at, now)}" if group.resumes_at else ""
    return (
        plain(group.name),
        group.role,
        "always" if group.encryption == "required" else "not required",
        _CAN[group.key_state],
        f"kept for {days(group.retention_days)}",
        f"paused{until}" if group.is_paused else "on",
    )


def days(number: int) -> str:
    """Count days."""
    return "1 day" if number == 1 else f"{number} days"


def group_data(group: Group) -> dict[str, Any]:
    """A group, and what the member is in it."""
    return {
        "id": str(group.id),
        "name": group.name,
        "role": group.role,
        "encryption": group.encryption,
        "keyVersion": group.key_version,
        "keyState": group.key_state.value,
        "rotationRequired": group.rotation_required,
        "retentionDays": group.retention_days,
        "joinedAt": stamp(group.joined_at),
        "isPaused": group.is_paused,
        "resumesAt": stamp(group.resumes_at),
    }


def invitation_data(made: "Invitation", url: str, *, web: bool) -> dict[str, Any]:
    """An invite with its code, which is shown once. `web`: its link is one for browsers, too."""
    link = made.link and (made.link.web if web else made.link.text)
    return {
        "id": str(made.id),
        "link": link,
        "code": made.code,
        "url": url,
        "forMe": made.for_me,
        "expiresAt": stamp(made.expires_at),
    }


def invite_data(invite: OpenInvite) -> dict[str, Any]:
    """An invite without its code."""
    return {
        "id": str(invite.id),
        "groupId": str(invite.group_id),
        "createdBy": str(invite.created_by),
        "createdAt": stamp(invite.created_at),
        "expiresAt": stamp(invite.expires_at),
        "forMe": invite.for_me,
    }


def who_data(one: Comparison | Person | Device) -> dict[str, Any]:
    """Who somebody is."""
    return {"userId": str(one.user_id), "name": one.name}


def person_data(person: Person) -> dict[str, Any]:
    """Somebody in a group, and what this device holds of their devices."""
    devices = [
        {
            "id": str(device.id),
            "kind": device.kind,
            "standing": device.standing.value,
            "how": device.how.value if device.how else None,
            "canAct": device.can_act,
        }
        for device in person.devices
    ]
    return {
        **who_data(person),
        "role": person.role,
        "joinedAt": stamp(person.joined_at),
        "isMe": person.is_me,
        "isChanged": person.is_changed,
        "devices": devices,
        "phones": [
            {"id": str(phone.id), "tid": phone.tid, "needsSetup": phone.needs_setup}
            for phone in person.phones
        ],
    }


def person_name(person: Person) -> str:
    """Name a member, and what there is to heed."""
    heed = " (you)" if person.is_me else " (keys changed: compare again)" * person.is_changed
    other = (
        ""
        if same(person.listed_name) == same(person.name) or person.is_me
        else (f" (now {plain(person.listed_name)}, says the service)")
    )
    return called(person) + other + heed


def called(one: Person | Position | Comparison | Device) -> str:
    """Name a person, told apart from others of the same name."""
    return told_apart(plain(one.name), one.mark)


def described(person: Person) -> str:
    """Name a member with what tells them from others of the same name."""
    if not person.mark:
        return plain(person.name)
    known = "; ".join(dict.fromkeys(map(standing, person.devices))) or "no device yet"
    return f"{called(person)}, joined {clock(person.joined_at)}, {known}"


def identified(person: Person) -> str:
    """Say who a member is, by what no member chooses and by the name that the service lists."""
    known = "; ".join(dict.fromkeys(map(standing, person.devices))) or "no device yet"
    listed = f'; the service says "{plain(person.listed_name)}"'
    is_other = same(person.listed_name) != same(person.name)
    return f"{called(person)}: id {person.user_id}, {known}{listed * is_other}"


def standing(device: Device) -> str:
    """Say what this device holds of another."""
    known = _TRUSTED[device.how] if device.how else _STANDINGS[device.standing]
    return f"browser, {known}" if device.kind == "web" else known


_TRUSTED = {
    TrustSource.PROOF: "trusted by the invite link",
    TrustSource.SAFETY: "trusted by the safety number",
    TrustSource.ROSTER: "trusted by another member's word",
}
_STANDINGS = {
    TrustState.THIS: "this device",
    TrustState.TRUSTED: "trusted",
    TrustState.PENDING: "not confirmed yet",
    TrustState.ENDED: "trusted no more: confirm again",
}


def device_data(device: OwnDevice) -> dict[str, Any]:
    """A device that can act for the member."""
    return {
        "id": str(device.id),
        "name": device.name,
        "kind": device.kind,
        "createdAt": stamp(device.created_at),
        "lastUsedOn": device.last_used_on.isoformat(),
        "isThisOne": device.is_this_one,
        "hasKey": device.has_key,
        "groupId": str(device.group_id) if device.group_id else None,
        "tid": device.tid,
        "needsSetup": device.needs_setup,
    }


def setup_data(setup: "PhoneSetup", file: str) -> dict[str, Any]:
    """A phone that was set up, and where what it imports is: only the file holds that."""
    return {
        "id": str(setup.device_id),
        "groupId": str(setup.group_id),
        "name": setup.name,
        "tid": setup.tid,
        "username": str(setup.device_id),
        "file": file,
    }


def setup_steps(*, has_code: bool) -> list[str]:
    """Say how a phone is set up by a file, or a QR code where one is shown."""
    scan = "Scan the code with the phone's camera, or open the file on it"
    return [
        'In OwnTracks on the phone: switch on "Allow external configuration" in its settings.',
        "  Android has it under Remote Control. Before Android 2.6.0 and iOS 26.2.3 there is none.",
        f"{scan if has_code else 'Open the file on the phone'}; let OwnTracks take it.",
        "Switch that off again: any link could set the phone up to report elsewhere.",
        "Delete the file and clear the screen: they hold the phone's password and the group's key.",
    ]


def reach_warning(url: str) -> str:
    """Say why a phone cannot reach an address of the service always; nothing if it can."""
    from draugar.usecases.phones import Reach, reach  # noqa: PLC0415 -- help is shown without httpx

    match reach(url):
        case Reach.NOWHERE:
            return (
                f"The service's address, {url}, is this computer itself: a phone does not reach it,"
                " and shares nothing."
            )
        case Reach.AT_HOME:
            return (
                f"The service's address, {url}, is one of your own network: a phone reaches it at"
                " home only. What it posts elsewhere waits on the phone until it is back."
            )
    return ""


def phone_name(tid: str, *, needs_setup: bool) -> str:
    """Name a phone by its tid, and say what there is to do."""
    return plain(tid) + (" (needs setting up again)" if needs_setup else "")


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Somebody to compare a safety number with."""
    return {
        **who_data(comparison),
        "safetyNumber": comparison.safety_number,
        "deviceIds": [str(device.id) for device in comparison.devices],
        "isMine": comparison.is_mine,
        "wasShown": comparison.was_shown,
        "givesKey": comparison.gives_key,
    }


def comparison_text(comparison: Comparison) -> Text:
    """A name, and below it the number, four groups in a line."""
    text = Text.assemble((called(comparison), "bold"))
    if comparison.safety_number is None:
        advice = (
            "The service lists it as a device of yours. A device of your own joins by a link:"
            " draugar invite --for-me"
        )
        return text.append(f"\n  {advice}")
    parts = comparison.safety_number.split()
    for start in range(0, len(parts), 4):
        text.append(f"\n  {' '.join(parts[start : start + 4])}")
    return text


def rotation_data(rotation: Rotation) -> dict[str, Any]:
    """A new key, and for whom."""
    wrapped_for, left_out = (
        [{**who_data(device), "deviceId": str(device.id)} for device in devices]
        for devices in (rotation.wrapped_for, rotation.left_out)
    )
    return {
        "groupId": str(rotation.group_id),
        "keyVersion": rotation.key_version,
        "wrappedFor": wrapped_for,
        "leftOut": left_out,
    }


def rotation_texts(rotation: Rotation) -> list[str]:
    """Say what a notice of the rotation leaves out: its number, and who waits."""
    said = [f"It is key {rotation.key_version}."]
    if rotation.left_out:
        names = ", ".join(dict.fromkeys(map(called, rotation.left_out)))
        said.append(f"Not confirmed yet: {names}. Next: draugar confirm")
    return said
