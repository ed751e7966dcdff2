"""Whom you trust: safety numbers, members, roles and the key."""

from enum import StrEnum
from typing import Annotated

from draugar.cli import output as present
from draugar.cli.context import Context
from draugar.cli.failures import CommandFailure
from draugar.cli.named import group_id_of, is_unsure, member_named, others, warn_of_phones
from draugar.cli.options import InGroup, Yes, argument, option
from draugar.cli.refusals import Text
from draugar.text.display import clock


class Role(StrEnum):
    """What a person is in a group."""

    ADMIN = "admin"
    MEMBER = "member"


class NeverShown(CommandFailure):
    """A number cannot have been compared before it was shown; another one may have been."""

    text = Text(
        "This number was not shown here before: it has changed, or was never compared.",
        "Compare it now. If it is the same on both sides: draugar confirm NAME --yes",
    )


def confirm(
    context: Context,
    name: Annotated[str | None, argument("NAME", "Whom; without it, see who waits.")] = None,
    *,
    yes: Annotated[bool, option("--yes", "The number has been compared already.")] = False,
    group: InGroup = None,
) -> None:
    """Confirm a person who joined by a code, once you have compared a safety number.

    Call them, or meet. The same command shows them their number: if both are the same, no one
    stands between you.
    """
    terminal = context.terminal
    with context.member() as me:
        group_id = group_id_of(me, group)
        if name is None:
            waiting = me.pending(group_id)
            for comparison in waiting:
                me.note_shown(comparison)
            terminal.answer(
                {"pending": [present.comparison_data(comparison) for comparison in waiting]},
                *(
                    map(present.comparison_text, waiting)
                    if waiting
                    else ["No one is waiting to be confirmed."]
                ),
            )
            if waiting:
                terminal.say(
                    "Compare it by a call. If it is the same on both sides: draugar confirm NAME"
                )
            return
        # Of this person alone: no other's number counts as shown.
        person = member_named(name, others(me, group_id), is_unsure)
        terminal.say(present.identified(person))
        comparison = me.compare(person.user_id, group_id)
        if comparison.safety_number and not (yes and comparison.was_shown):
            terminal.say(present.comparison_text(comparison))
            me.note_shown(comparison)
            if yes:
                raise NeverShown
            terminal.consent(f"Does {present.called(comparison)} see the very same number?")
        me.confirm(comparison)
    terminal.answer(
        {"confirmed": present.who_data(comparison)}, f"{present.called(comparison)} is confirmed."
    )


def people(context: Context, *, group: InGroup = None) -> None:
    """Show who is in the group, and how this device knows that it is them."""
    with context.member() as me:
        members = me.people(group_id_of(me, group))
    context.terminal.rows(
        {"people": [present.person_data(person) for person in members]},
        ("Who", "Role", "Joined", "Devices", "OwnTracks"),
        [
            (
                present.person_name(person),
                person.role,
                clock(person.joined_at),
                "; ".join(map(present.standing, person.devices)) or "none yet",
                ", ".join(
                    present.phone_name(phone.tid, needs_setup=phone.needs_setup)
                    for phone in person.phones
                ),
            )
            for person in members
        ],
        nothing="The service lists no one in this group, not even you.",
    )


def safety(
    context: Context, name: Annotated[str, argument("NAME")], *, group: InGroup = None
) -> None:
    """Show the safety number of you and another member, to compare at any time."""
    with context.member() as me:
        group_id = group_id_of(me, group)
        comparison = me.compare(member_named(name, others(me, group_id)).user_id, group_id)
        me.note_shown(comparison)
    data = present.comparison_data(comparison)
    context.terminal.answer(data, present.comparison_text(comparison))
    if comparison.safety_number:
        context.terminal.code(comparison.safety_number.replace(" ", ""))


def rotate(
    context: Context,
    *,
    restored: Annotated[
        bool,
        option("--restored", "Only if the person who runs the service has restored a backup."),
    ] = False,
    group: InGroup = None,
) -> None:
    """Change the group's key, for those whose devices you trust."""
    with context.member() as me:
        meant = me.group(group)
        warn_of_phones(context, me, meant)
        rotation = me.rotate(meant.id, is_restored=restored)
    context.terminal.answer(present.rotation_data(rotation), *present.rotation_texts(rotation))


def remove(
    context: Context,
    name: Annotated[str, argument("NAME")],
    *,
    yes: Yes = False,
    group: InGroup = None,
) -> None:
    """Remove a member, and change the key; only the group's admins can.

    What a member has seen before cannot be taken back.
    """
    terminal = context.terminal
    with context.member() as me:
        meant = me.group(group)
        person = member_named(name, others(me, meant.id))
        terminal.say(present.identified(person))
        warn_of_phones(context, me, meant, gone=person.user_id)
        terminal.consent(
            f"Remove {present.described(person)}? What they posted in the group is deleted.",
            is_given=yes,
        )
        rotation = me.remove(person.user_id, meant.id)
    terminal.answer(
        {"removed": present.who_data(person), "rotation": present.rotation_data(rotation)},
        f"{present.called(person)} is removed. What they have seen before cannot be taken back.",
        *present.rotation_texts(rotation),
    )


def set_role(
    context: Context,
    name: Annotated[str, argument("NAME")],
    role: Annotated[Role, argument("ROLE", "admin or member.")],
    *,
    group: InGroup = None,
) -> None:
    """Make a member an admin of the group, or an admin a member; only its admins can.

    An admin removes people, renames the group and sets how long it keeps positions, and reads
    nothing that the others do not.
    """
    with context.member() as me:
        meant = me.group(group)
        person = member_named(name, me.people(meant.id), lambda one: one.role != role.value)
        me.set_role(person.user_id, role.value, meant.id)
    context.terminal.answer(
        {**present.who_data(person), "role": role.value},
        f"{present.called(person)} is {'an admin' if role is Role.ADMIN else 'a member'} now.",
    )
