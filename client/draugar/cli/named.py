"""Whom and what a person names on the command line, and warnings about them."""

import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from draugar.cli import output as present
from draugar.cli.context import Context
from draugar.cli.coordinates import parse_position
from draugar.cli.failures import CommandFailure, told
from draugar.cli.terminal import Terminal
from draugar.errors import Failure, TrustFailure
from draugar.models import (
    Coordinates,
    Group,
    OwnDevice,
    Person,
    TrustState,
)
from draugar.text import pasted
from draugar.text.display import clock, plain
from draugar.text.naming import NotAName, checked, same, told_apart

if TYPE_CHECKING:
    from draugar.client import Client


def checked_name(name: str, again: str) -> str:
    """Return a name as it is sent; `again` is the command to type with another."""
    try:
        return checked(name)
    except NotAName as failure:
        raise CommandFailure(told(failure).reason, f"Choose another name: {again}") from None


def typed(terminal: Terminal, text: str, prompt: str) -> str:
    """Return what was typed, or, where that is a hyphen, what is pasted into stdin."""
    return terminal.paste(prompt) if text == "-" else text.strip()


def position(terminal: Terminal, latitude: str, longitude: str | None) -> Coordinates:
    """Read a position as it was typed; in the place of both, a hyphen means stdin."""
    if latitude == "-" and longitude is None:
        latitude = terminal.paste("Latitude and longitude: ")
    return parse_position(latitude, longitude or "")


def group_id_of(me: "Client", name: str | None) -> UUID | None:
    """Return the group that is named, if one is."""
    return me.group_id(name) if name else None


def others(me: "Client", group_id: UUID | None) -> list[Person]:
    """Return the other members of a group."""
    return [person for person in me.people(group_id) if not person.is_me]


def is_unsure(person: Person) -> bool:
    """Whether a device of a person is not confirmed."""
    return any(
        device.standing in (TrustState.PENDING, TrustState.ENDED) for device in person.devices
    )


def member_named(
    name: str, among: Sequence[Person], fits: Callable[[Person], bool] = lambda _: True
) -> Person:
    """Return whom a name, an id or its end means; of several, the one that fits. Raises Unknown.

    A text in the form of an id is an id: a member may have taken another one's for a name.
    """
    wanted, exact = same(name), pasted.as_id(name)
    found = [
        person
        for person in among
        if (
            person.user_id == exact
            if exact
            else wanted
            in {
                same(person.name),
                same(person.listed_name),
                person.mark or None,
                same(told_apart(person.name, person.mark)),
            }
        )
    ]
    if len(found) > 1:
        found = [person for person in found if fits(person)] or found
    if not found:
        raise CommandFailure(
            "No other member has this name." if among else "There is no other member.",
            "See who is in the group: draugar people",
        )
    if len(found) > 1:
        several = "; ".join(map(present.described, found))
        line = shlex.join(["draugar", *map(plain, sys.argv[1:])])
        raise CommandFailure(
            f"Several members have this name: {several}.",
            "Run the same command again with what stands in brackets, as in: "
            f"{line.replace(shlex.quote(plain(name)), found[0].mark, 1)}",
        )
    return found[0]


def device_named(name: str, among: Iterable[OwnDevice], none: str) -> OwnDevice:
    """Return the device that a name or an id means. Raises Unknown.

    A text in the form of an id is an id: the service may list one device by the id of another.
    """
    mine = list(among)
    wanted, exact = same(name), pasted.as_id(name)
    found = [one for one in mine if (one.id == exact if exact else same(one.name) == wanted)]
    if not found:
        raise CommandFailure(none, "See which you have: draugar devices")
    if len(found) > 1:
        several = "; ".join(
            f"{plain(one.name)}, {one.kind}, since {clock(one.created_at)}, id {one.id}"
            for one in found
        )
        raise CommandFailure(
            f"Several devices of yours have this name: {several}.",
            f"Give an id in its place: draugar devices revoke {found[0].id}",
        )
    return found[0]


def warn_of_namesake(context: Context, me: "Client", group: Group) -> None:
    """Say so where another member of a group has this member's name."""
    members: list[Person] = []
    with suppress(Failure):  # it was done all the same
        members = me.people(group.id)
    if any(person.is_me and person.mark for person in members):
        context.terminal.say(
            f"Another member of {plain(group.name)} has this name too. What tells you apart stands"
            " behind it in: draugar people. To take another name: draugar rename NAME",
            "yellow",
        )


def warn_of_phones(
    context: Context, me: "Client", group: Group, *, gone: UUID | None = None
) -> None:
    """Say, before a group's key is changed, what that means for the phones that know it.

    Not for that of the person, or the phone, that is gone then.
    """
    members: list[Person] = []
    with suppress(TrustFailure):  # which is no reason not to change it
        members = me.people(group.id)
    known = [
        phone
        for person in members
        for phone in person.phones
        if not phone.needs_setup and gone not in (person.user_id, phone.id)
    ]
    if known and group.key_version:
        many = "1 phone" if len(known) == 1 else f"{len(known)} phones"
        context.terminal.say(
            f"With a new key, {many} with OwnTracks in {plain(group.name)} must be set up again:"
            " draugar phone renew",
            "yellow",
        )
