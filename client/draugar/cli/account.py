"""What is yours: groups, devices, your name, and the way out."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from draugar.cli import output as present
from draugar.cli.context import Context
from draugar.cli.files import STDIO, keep, may_write
from draugar.cli.named import checked_name, device_named, warn_of_namesake, warn_of_phones
from draugar.cli.options import InGroup, WriteOver, Yes, argument, option
from draugar.text.display import clock, plain


def groups(context: Context) -> None:
    """Show the groups you are in."""
    with context.member() as me:
        mine = me.groups()
    context.terminal.rows(
        {"groups": [present.group_data(group) for group in mine]},
        present.GROUP_HEADINGS,
        [present.group_row(group, datetime.now(UTC)) for group in mine],
        nothing="You are in no group. With an invite: draugar join LINK",
    )


def change_group(
    context: Context,
    *,
    name: Annotated[str | None, option("--name", "What the group is called.", "NAME")] = None,
    keep_days: Annotated[
        int | None,
        option("--keep-days", "How long it keeps positions.", "DAYS", min=1, max=365),
    ] = None,
    yes: Yes = False,
    group: InGroup = None,
) -> None:
    """Show a group, rename it, or set how long it keeps positions; only its admins can change it.

    With fewer days, what is older is deleted for all.
    """
    if name is not None:
        name = checked_name(name, "draugar group --name NAME")
    with context.member() as me:
        meant = me.group(group)
        if keep_days is not None and keep_days < meant.retention_days:
            context.terminal.consent(
                f"Keep positions in {plain(meant.name)} for {present.days(keep_days)} and not"
                f" {present.days(meant.retention_days)}? What is older is deleted for all.",
                is_given=yes,
            )
        if name is not None or keep_days is not None:
            meant = me.change_group(meant.id, name=name, retention_days=keep_days)
    context.terminal.rows(
        {"group": present.group_data(meant)},
        present.GROUP_HEADINGS,
        [present.group_row(meant, datetime.now(UTC))],
        nothing="",
    )


def list_devices(context: Context) -> None:
    """Show every device that can act for you."""
    with context.member() as me:
        mine = me.devices()
    context.terminal.rows(
        {"devices": [present.device_data(device) for device in mine]},
        ("Device", "Kind", "OwnTracks", "Since", "Last used", "Id"),
        [
            (
                plain(device.name) + (" (this one)" if device.is_this_one else ""),
                device.kind,
                present.phone_name(device.tid, needs_setup=device.needs_setup)
                if device.tid
                else "",
                clock(device.created_at),
                device.last_used_on.isoformat(),
                str(device.id),
            )
            for device in mine
        ],
        nothing="The service lists no device of yours, not even this one.",
    )


def revoke_device(
    context: Context, device: Annotated[str, argument("NAME-OR-ID")], *, yes: Yes = False
) -> None:
    """Shut out a device of yours, such as a lost phone, and change the keys that it knows."""
    with context.member() as me:
        others = [other for other in me.devices() if not other.is_this_one]
        lost = device_named(device, others, "You have no other device of this name or id.")
        for changed in me.groups():
            if lost.has_key or lost.group_id == changed.id:
                warn_of_phones(context, me, changed, gone=lost.id)
        context.terminal.consent(
            f"Revoke {plain(lost.name)}? It can neither read nor share any more.", is_given=yes
        )
        rotations = me.revoke_device(lost.id)
    context.terminal.answer(
        {
            "revoked": str(lost.id),
            "rotations": [present.rotation_data(rotation) for rotation in rotations],
        },
        f"{plain(lost.name)} is revoked.",
        *(text for rotation in rotations for text in present.rotation_texts(rotation)),
    )


def rename(context: Context, name: Annotated[str, argument("NAME")]) -> None:
    """Change your name. The other members see it at their next update, and are told once."""
    name = checked_name(name, "draugar rename NAME")
    with context.member() as me:
        me.rename(name)
        user_id = me.user_id
        context.terminal.answer(
            {"userId": str(user_id), "name": me.name},
            f"You are {plain(me.name)} now. The others see it at their next update.",
        )
        for group in me.groups():
            warn_of_namesake(context, me, group)


def leave(context: Context, *, yes: Yes = False, group: InGroup = None) -> None:
    """Leave a group. No one has to agree, and what you posted there is deleted."""
    with context.member() as me:
        left = me.group(group)
        context.terminal.consent(
            f"Leave {plain(left.name)}? What you posted there is deleted.", is_given=yes
        )
        me.leave(left.id)
    context.terminal.answer(
        {"left": {"id": str(left.id), "name": left.name}},
        f"You have left {plain(left.name)}, and what you posted there is deleted.",
    )


def export(
    context: Context,
    file: Annotated[Path, argument("FILE", "- is stdout.", dir_okay=False)] = Path(
        "draugar-export.json"
    ),
    *,
    yes: WriteOver = False,
) -> None:
    """Write all that the service stores about you, your positions opened."""
    may_write(context, file, yes=yes)
    with context.member() as me:
        stored = me.export()
    keep(file, json.dumps(stored, indent=2) + "\n")
    if file != STDIO:
        context.terminal.answer(
            {"file": str(file.absolute())},
            f"Wrote {file.absolute()}. It says where you were, so only you may read it.",
        )


def logout(
    context: Context,
    *,
    local: Annotated[
        bool, option("--local", "Delete what is on this device, without telling the service.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Take this device out of use, and delete all that it keeps."""
    if local:
        _wipe(context, yes=yes)
        return
    with context.member() as me:
        context.terminal.consent(
            f"Log {plain(me.name)} out here? What only this device can read is lost.", is_given=yes
        )
        me.logout()
    context.terminal.answer(
        {"loggedOut": True, "serviceKnows": True},
        "This device is logged out, and everything that draugar kept on it is deleted.",
    )


def _wipe(context: Context, *, yes: bool) -> None:
    from draugar.storage.home import Home, directory_of  # noqa: PLC0415 -- help is shown without libsodium

    if not Home.exists(context.directory):
        context.terminal.answer(
            {"loggedOut": False, "serviceKnows": False},
            "Nothing was there to delete: draugar keeps nothing in"
            f" {directory_of(context.directory)}. For another directory: draugar --home DIRECTORY"
            " logout --local",
        )
        return
    context.terminal.consent(
        "Delete everything that draugar keeps on this device? What only this device can read is"
        " lost.",
        is_given=yes,
    )
    may_be_known = Home.destroy(context.directory)
    context.terminal.answer(
        {"loggedOut": may_be_known, "serviceKnows": False},
        "Everything that draugar kept on this device is deleted."
        if may_be_known
        else "Everything that draugar kept on this device is deleted. It had not joined a group,"
        " so no service knows it.",
    )
    if not may_be_known:
        return
    context.terminal.say(
        "The service was not told: it lists this device as one of yours, and a copy of what was"
        " here could still act for you. From another device of yours: draugar devices revoke NAME."
        " If you have none, ask an admin of the group to run: draugar remove NAME",
        "yellow",
    )


def delete_account(context: Context, *, yes: Yes = False) -> None:
    """Delete yourself and everything of yours, here and at the service."""
    with context.member() as me:
        context.terminal.consent(
            f"Delete {plain(me.name)} and everything that is stored about you? There is no way"
            " back.",
            is_given=yes,
        )
        me.delete_account()
    context.terminal.answer({"deleted": True}, "You and everything of yours are deleted.")
