"""What each notice of the trust core says to a person: one text for each code.

The parameters are those of the core, with names in place of ids (`draugar.usecases.telling`).
"""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from draugar.cli.refusals import UPDATE
from draugar.models import NamedDevice, NamedPerson

_SEE_PEOPLE = "See who is in the group: draugar people"
_SEE_DEVICES = "See your devices: draugar devices"
_NO_KEY = "This device has no key of the group, so it can neither read nor share."
_PACKAGES: Mapping[str, str] = {
    "newer_form": "It is of a newer version of Draugar than this one.",
    "not_authentic": "It does not open by this link.",
    "group": "It is of another group.",
    "version": "It is of another version of the key than the service says.",
    "commitment": "It is not the key that the service shows for the group.",
    "old_version": "It is not newer than a key that this device has held.",
    "old_key": "It is a key that this device has held before.",
    "inviter": "The device that made the link is not in the group as the link states it.",
    "home_in_use": "The link is for a new device of its maker, and this device is in use already.",
    "inviter_person": "The link is for a device of another person.",
    "this_device": "It states another key or another owner for this device.",
    "own_device": "It names a device as yours that none of your devices names.",
}
_STATEMENTS = {
    "roster": "A list of the group's devices",
    "entry": "A statement about one device",
    "card": "A statement of a person's name and devices",
    "former": "A statement of how long a key was used",
}


def trust_text(code: str, parameters: Mapping[str, Any]) -> str:
    """Return what a notice of the trust core says, with the command to type next."""
    return TRUST_TEXTS[code](**parameters)


def _who(person: NamedPerson | None) -> str:
    if person is None:
        return "a person who is not in the group"
    return person.name if person.is_known else f"a person listed as {person.name}"


def _what(device: NamedDevice | None) -> str:
    if device is None:
        return "a device that is not named"
    if device.is_this_one:
        return "this device"
    if device.is_mine:
        return f"your device {device.id}"
    if device.owner is None:
        return f"device {device.id} of no member"
    return f"device {device.id} of {_who(device.owner)}"


def _first(text: str) -> str:
    """Begin a sentence; the name of a person stays as it is."""
    begins = ("a ", "this ", "your ", "device ")
    return text[:1].upper() + text[1:] if text.startswith(begins) else text


def _actor(device: NamedDevice | None) -> str:
    """Begin a sentence with who did something: their device, where that says more."""
    if device is None or device.is_this_one or device.is_mine or device.owner is None:
        return _first(_what(device))
    return _first(_who(device.owner))


def _compare(person: NamedPerson | None) -> str:
    if person is None:
        return _SEE_PEOPLE
    return f"Compare your numbers: draugar confirm {shlex.quote(person.name)}"


def _compare_device(device: NamedDevice | None) -> str:
    if device is not None and device.is_mine:
        return _SEE_DEVICES
    return _compare(device.owner if device else None)


def _remove(device: NamedDevice | None) -> str:
    if device is not None and device.is_mine:
        return _SEE_DEVICES
    if device is None or device.owner is None:
        return _SEE_PEOPLE
    name = shlex.quote(device.owner.name)
    return f"Ask them about it, by a call. To remove them, as an admin: draugar remove {name}"


def _revoke(device: NamedDevice) -> str:
    return f"If you do not know it: draugar devices revoke {device.id}"


def _device_joined(device: NamedDevice, link: str) -> str:
    whose = "a further device of yours" if device.is_mine else _who(device.owner)
    return f"{_first(whose)} has joined by your link {link}, and is given the key. {_SEE_PEOPLE}"


def _device_added(device: NamedDevice, by: NamedDevice, since: int) -> str:
    if by.is_this_one:
        return f"This device now trusts {_what(device)}, from key {since} on. {_SEE_PEOPLE}"
    return (
        f"{_actor(by)} vouches for {_what(device)}. So this device now trusts it, from key {since}"
        f" on, and gives it the key. {_SEE_PEOPLE}"
    )


def _trust_ended(device: NamedDevice, why: str, by: NamedDevice | None, ended: int) -> str:
    what = _what(device)
    reasons = {
        "gone": f"The service does not list {what} any more: it was revoked, or its person left"
        " or was removed.",
        "changed": f"The service lists another key, owner or kind for {what} than before.",
        "said": f"{_actor(by)} states that {what} has gone.",
    }
    return (
        f"{reasons[why]} This device gives it no key after key {ended}. It is trusted again only"
        f" after a new comparison or vouch. {_compare_device(device)}"
    )


def _voucher_gone(device: NamedDevice, person: NamedPerson | None) -> str:
    return (
        f"This device knows {_what(device)} only by the word of {_who(person)}, who has no trusted"
        f" device any more. It still trusts that device. {_compare_device(device)}"
    )


def _device_changed(device: NamedDevice) -> str:
    return (
        f"The service lists another key, owner or kind for {_what(device)} than this device knows."
        " These never change. This device kept what it knows, and gives what is listed no key."
        f" {_remove(device)}"
    )


def _duplicate_key(device: NamedDevice) -> str:
    return (
        f"The service lists {_what(device)} with an id or a key that another device has too. This"
        f" device ignored that entry, and gave it no key. {_remove(device)}"
    )


def _unusable_key(device: NamedDevice) -> str:
    return (
        f"The service lists {_what(device)} with a public key that no real device has. This device"
        f" ignored that entry, and gave it no key. {_remove(device)}"
    )


def _browser(device: NamedDevice) -> str:
    return (
        f"{_first(_what(device))} is a browser. The service delivers the page that runs there, so a"
        " malicious service could read what that device can read. This device gives it keys as any"
        f" other, once it is trusted. {_SEE_PEOPLE}"
    )


def _browser_refused(device: NamedDevice) -> str:
    return (
        f"{_first(_what(device))} is a browser, and the group does not accept browsers. This device"
        " gives it no key. Its person can join with an installed app, by a new link: draugar invite"
    )


def _own_unknown(device: NamedDevice) -> str:
    return (
        f"The service lists {_what(device)}, but no device of yours has named it. This device does"
        f" not trust it, and gives it no key. {_revoke(device)}"
    )


def _new_own_device(device: NamedDevice, day: int) -> str:
    del day  # by which it is told again on the next
    return (
        f"{_first(_what(device))} has come into this group within the last week. It acts as you,"
        f" and reads what you can read once it has the key. {_revoke(device)}"
    )


def _unconfirmed(device: NamedDevice, person: NamedPerson | None) -> str:
    return (
        f"The service says that {_what(device)} is confirmed. No member whom this device trusts has"
        f" confirmed it, so this device gives it no key. {_compare(person)}"
    )


def _waiting(device: NamedDevice, person: NamedPerson | None) -> str:
    return (
        f"{_first(_what(device))} waits to be confirmed. This device gives it no key until then."
        f" {_compare(person)}"
    )


def _waits_for(wrapper: NamedDevice | None = None, left_out: int = 0) -> str:
    if wrapper is not None:
        return (
            f"{_NO_KEY} {_actor(wrapper)} has given it one, but this device does not trust"
            f" {_what(wrapper)}. {_compare_device(wrapper)}"
        )
    if left_out:
        return (
            f"{_NO_KEY} Another member has changed the key, and no member has given the new one to"
            " this device. Ask a member to open Draugar, or make a new key: draugar rotate"
        )
    return (
        f"{_NO_KEY} No member has given it one yet. Ask a member to compare numbers with you. To"
        " see them: draugar confirm"
    )


def _renamed(person: NamedPerson | None, before: str, now: str, n: int) -> str:
    del person, n  # by which a name that comes back is told again
    return f"{before} has changed their name, and is now called {now}. {_SEE_PEOPLE}"


def _named_otherwise(person: NamedPerson | None, shown: str, listed: str) -> str:
    return (
        f"The service now calls {shown} by another name: {listed}. No device of theirs has stated"
        f" that name, so this device goes on showing {shown}. {_compare(person)}"
    )


def _person_device_added(person: NamedPerson | None, device: NamedDevice) -> str:
    return (
        f"{_first(_who(person))} has a further device, {device.id}. A device that you have compared"
        f" names it, so you need not compare your numbers again. {_SEE_PEOPLE}"
    )


def _number_void(person: NamedPerson | None, device: NamedDevice) -> str:
    return (
        f"{_first(_who(person))} has a further device, {device.id}, that no device that you have"
        f" compared names. Your earlier comparison does not cover it. {_compare(person)}"
    )


def _second_by_link(link: str, device: NamedDevice) -> str:
    return (
        f"More than one device has joined by your link {link}, {_what(device)} among them: another"
        " person has the link. This device does not trust that device by the link, and gives it no"
        " key. Make a new link for each person: draugar invite"
    )


def _link_closed(link: str) -> str:
    return (
        f"Your link {link} is closed, because a device has left the group. A person who joins by it"
        " is not recognised, and is given no key. Make a new link: draugar invite"
    )


def _link_unproved(link: str) -> str:
    return (
        f"The service says that your link {link} was used, but no listed device proves it. No"
        f" device was given the key by that link. {_SEE_PEOPLE}. Make a new link: draugar invite"
    )


def _keys_differ(version: int) -> str:
    return (
        f"For key {version}, the service shows the others another key than this device holds. They"
        " may not be able to read what you share. Ask them, by a call, whether they see you. If"
        " not: draugar rotate"
    )


def _key_refused(version: int, device: NamedDevice | None) -> str:
    return (
        f"{_actor(device)} gave this device key {version}, which is not the key that the group"
        " agreed on, or was used before. This device did not take it. Ask another member, by a"
        " call, to make a new key: draugar rotate"
    )


def _package(reason: str) -> str:
    return (
        f"The key that came with the link was refused. {_PACKAGES[reason]} You are in the group,"
        " but can neither read nor share yet. Tell the person who invited you, by a call, and"
        " compare numbers: draugar confirm"
    )


def _statement_refused(what: str, version: int, device: NamedDevice | None) -> str:
    return (
        f"{_STATEMENTS[what]} under key {version}, by {_what(device)}, is not signed or breaks a"
        f" rule. This device believed nothing of it. {_remove(device)}"
    )


def _names_gone(author: NamedDevice, device: NamedDevice) -> str:
    return (
        f"{_actor(author)} states that {_what(device)} is in the group, but the service does not"
        " list it. That device may know the present key, so a new one is made without it."
        f" {_SEE_PEOPLE}"
    )


def _went_back(version: int) -> str:
    return (
        f"The service shows key {version} as the group's present key, but this device has held a"
        " later one. Nothing was believed or sent. Only if the person who runs the service has"
        " restored a backup: draugar rotate --restored"
    )


def _newer_form(device: NamedDevice | None, form: int) -> str:
    return (
        f"{_actor(device)} uses a newer version of draugar: a statement of form {form} could not be"
        f" read. This device made no key, and changed nothing of whom it trusts. {UPDATE}"
    )


TRUST_TEXTS: Mapping[str, Callable[..., str]] = {
    "browser": _browser,
    "browser_refused": _browser_refused,
    "device_added": _device_added,
    "duplicate_key": _duplicate_key,
    "envelope_refused": _key_refused,
    "joined": _device_joined,
    "key_changed": _device_changed,
    "keys_differ": _keys_differ,
    "link_closed": _link_closed,
    "link_used_twice": _second_by_link,
    "link_used_unproved": _link_unproved,
    "new_own_device": _new_own_device,
    "newer_form": _newer_form,
    "not_listed": lambda: (
        "The service does not list this device in the group, or lists it with another key or"
        " owner. This device changed nothing, and took and gave no key. See your groups: draugar"
        " groups"
    ),
    "number_void": _number_void,
    "own_unknown": _own_unknown,
    "package_refused": _package,
    "person_device_added": _person_device_added,
    "renamed": _renamed,
    "service_name_differs": _named_otherwise,
    "statement_refused": _statement_refused,
    "trust_ended": _trust_ended,
    "unconfirmed_device": _unconfirmed,
    "unusable_key": _unusable_key,
    "version_names_gone": _names_gone,
    "version_went_back": _went_back,
    "voucher_gone": _voucher_gone,
    "waiting": _waiting,
    "waiting_for": _waits_for,
}
"""By the codes of the trust core."""
