"""Set up phones with OwnTracks."""

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from draugar.cli import output as present
from draugar.cli.context import Context
from draugar.cli.failures import CommandFailure, told
from draugar.cli.files import STDIO, keep, may_write
from draugar.cli.named import device_named, group_id_of
from draugar.cli.options import InGroup, SetupFile, Unsealed, WriteOver, argument, option
from draugar.text.display import plain

if TYPE_CHECKING:
    from draugar.usecases.phones import PhoneSetup

PHONE = "owntracks"
"""The kind of device that a phone with OwnTracks is."""


def add_phone(  # noqa: PLR0913 -- the options of one command
    context: Context,
    name: Annotated[str, argument("NAME", "What you call it.")] = "Phone",
    *,
    tid: Annotated[
        str | None, option("--tid", "Two letters or digits; else chosen from your name.", "XX")
    ] = None,
    file: SetupFile = None,
    yes: WriteOver = False,
    in_the_clear: Unsealed = False,
    group: InGroup = None,
) -> None:
    """Set up a phone that shares with OwnTracks: a file, and on a screen a QR code.

    They hold the phone's password and the group's key, which the service never sees. The phone
    shares as the person whose home this is.

    For the phone of a child or a grandparent, make a link and join by it, in a home of their own on
    your computer:
        draugar invite
        draugar --home ~/kid join LINK --name Kid
        draugar --home ~/kid phone add
    """
    _see_file(context, file, yes=yes)
    with context.member() as me:
        hand_over = partial(_hand_over, context, me.url, file)
        me.add_phone(
            name, group_id_of(me, group), tid, in_the_clear=in_the_clear, hand_over=hand_over
        )


def renew_phone(
    context: Context,
    phone: Annotated[
        str | None, argument("NAME-OR-TID", "Which, if you have several to set up again.")
    ] = None,
    *,
    file: SetupFile = None,
    yes: WriteOver = False,
    in_the_clear: Unsealed = False,
) -> None:
    """Set a phone up again once the group's key has changed. User name and tid stay."""
    _see_file(context, file, yes=yes)
    with context.member() as me:
        mine = [device for device in me.devices() if device.kind == PHONE]
        if phone is None:
            due = [device for device in mine if device.needs_setup] or mine
        else:
            wanted = phone.strip().casefold()
            due = [one for one in mine if wanted == (one.tid or "").casefold()]
            due = due or [device_named(phone, mine, "You have no phone of this name or tid.")]
        if not due:
            raise CommandFailure(
                "You have no phone with OwnTracks.", "To add one: draugar phone add NAME"
            )
        if len(due) > 1:
            several = ", ".join(f"{plain(one.name)} ({one.tid})" for one in due)
            raise CommandFailure(
                f"Several phones of yours need it: {several}.",
                f"Name one of them: draugar phone renew {shlex.quote(plain(due[0].tid or ''))}",
            )
        hand_over = partial(_hand_over, context, me.url, file)
        me.renew_phone(due[0].id, in_the_clear=in_the_clear, hand_over=hand_over)


def _see_file(context: Context, file: Path | None, *, yes: bool) -> None:
    """See that a phone's file can be written, before the phone is made."""
    if file == STDIO:
        raise typer.BadParameter("It holds a key: give a file, which only you may read.")
    may_write(context, file, yes=yes)


def _hand_over(context: Context, url: str, file: Path | None, setup: "PhoneSetup") -> None:
    """Give out what sets a phone up, and say how it is used and that it is to be deleted."""
    terminal = context.terminal
    names = ("", *(f"-{number}" for number in range(2, 1000)))
    free = (Path(f"owntracks-{setup.tid}{name}.otrc") for name in names)
    file = file or next(path for path in free if not path.exists())
    try:
        keep(file, setup.otrc.decode())
    except CommandFailure as failure:
        raise CommandFailure(
            told(failure).reason,
            "The phone is not set up. Next: draugar phone renew"
            f" {shlex.quote(setup.tid)} --file FILE",
        ) from None
    if warning := present.reach_warning(url):
        terminal.say(f"Warning: {warning}", "yellow")
    data = present.setup_data(setup, str(file.absolute()))
    terminal.answer(data, f"Wrote {file.absolute()}. OwnTracks calls this phone {setup.tid}.")
    is_shown = terminal.code(setup.link)
    if terminal.is_watched and not is_shown:
        terminal.say(
            f"For a QR code, in another window: draugar phone renew {shlex.quote(setup.tid)}"
        )
    for step in present.setup_steps(has_code=is_shown):
        terminal.say(step)
