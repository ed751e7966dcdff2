"""The command line: the table of its commands, and what is told where one fails.

A command is a function that calls one use case of `Client` and presents what that returns; nothing
of the protocol is known here. Its docstring is what `--help` shows.

Exit status: 0 done; 1 it failed, and stderr says why and what to do next; 2 it was mistyped.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from draugar.cli import account, erasing, everyday, joining, phone, sharing, trust
from draugar.cli.context import BelowZero, Command, ListsByDefault, Mistyped
from draugar.cli.coordinates import NotAPosition
from draugar.cli.failures import told
from draugar.cli.options import InHome, option
from draugar.cli.refusals import Text
from draugar.cli.terminal import Terminal
from draugar.cli.times import EmptyRange, NotATime
from draugar.errors import Failure

MISTYPED = (EmptyRange, NotAPosition, NotATime)
EVERYDAY, COMING_IN, TRUST, MINE = "Every day", "Coming in", "Whom you trust", "What is yours"

app = typer.Typer(
    name="draugar",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _below(name: str, panel: str, says: str) -> typer.Typer:
    commands = typer.Typer(cls=ListsByDefault)
    app.add_typer(commands, name=name, help=says, rich_help_panel=panel)
    return commands


places_app = _below(
    "places", EVERYDAY, "Name places of your own, such as home. They never leave this device."
)
invites_app = _below("invites", COMING_IN, "Show the invites that are open, and take one back.")
devices_app = _below("devices", MINE, "Show every device that can act for you; revoke a lost one.")
phone_app = typer.Typer(no_args_is_help=True)
app.add_typer(phone_app, name="phone", help="Set up a phone with OwnTracks.", rich_help_panel=MINE)


def _add(
    to: typer.Typer,
    name: str,
    function: Callable[..., None],
    *,
    panel: str | None = None,
    cls: type[Command] = Command,
) -> None:
    to.command(name, cls=cls, rich_help_panel=panel)(function)


_add(app, "found", joining.found, panel=COMING_IN)
_add(app, "invite", joining.invite, panel=COMING_IN)
_add(app, "join", joining.join, panel=COMING_IN)
_add(invites_app, "list", joining.list_invites)
_add(invites_app, "revoke", joining.revoke_invite)
_add(app, "where", everyday.where, panel=EVERYDAY)
_add(app, "map", everyday.draw_map, panel=EVERYDAY)
_add(app, "share", sharing.share, panel=EVERYDAY, cls=BelowZero)
_add(app, "history", everyday.history, panel=EVERYDAY)
_add(app, "pause", everyday.pause, panel=EVERYDAY)
_add(app, "resume", everyday.resume, panel=EVERYDAY)
_add(places_app, "list", sharing.list_places)
_add(places_app, "add", sharing.add_place, cls=BelowZero)
_add(places_app, "remove", sharing.remove_place)
_add(app, "confirm", trust.confirm, panel=TRUST)
_add(app, "people", trust.people, panel=TRUST)
_add(app, "safety", trust.safety, panel=TRUST)
_add(app, "rotate", trust.rotate, panel=TRUST)
_add(app, "remove", trust.remove, panel=TRUST)
_add(app, "role", trust.set_role, panel=TRUST)
_add(app, "groups", account.groups, panel=MINE)
_add(app, "group", account.change_group, panel=MINE)
_add(devices_app, "list", account.list_devices)
_add(devices_app, "revoke", account.revoke_device)
_add(phone_app, "add", phone.add_phone)
_add(phone_app, "renew", phone.renew_phone)
_add(app, "rename", account.rename, panel=MINE)
_add(app, "erase", erasing.erase, panel=MINE)
_add(app, "leave", account.leave, panel=MINE)
_add(app, "export", account.export, panel=MINE)
_add(app, "logout", account.logout, panel=MINE)
_add(app, "delete-account", account.delete_account, panel=MINE)


@app.callback(invoke_without_command=True)
def _about(
    *,
    version: Annotated[bool, option("--version", "Show the version.")] = False,
    home: InHome = None,  # noqa: ARG001 -- each command takes it from here
) -> None:
    """Share where you are with your family, and with nobody else.

    Your devices seal what you share: the service that passes it on cannot read it.
    """
    if version:
        from importlib import metadata  # noqa: PLC0415 -- slow to import

        typer.echo(f"draugar {metadata.version('draugar')}")
        raise typer.Exit


def main() -> None:
    """Run the command that was typed."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with suppress(AttributeError):  # another kind of stream stands there
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    said = Terminal(as_json=False)
    try:
        # However it was started; what Typer says itself it would frame, and break what is copied.
        sys.exit(app(prog_name="draugar", standalone_mode=False) or 0)
    except Mistyped as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # which has shown the help
            said.say(error.ctx.get_usage() if error.ctx else "Usage: draugar COMMAND")
            path = error.ctx.command_path if error.ctx else "draugar"
            said.fail(Text(error.format_message(), f"See what it takes: {path} --help"))
        sys.exit(error.exit_code)
    except typer.Abort:
        said.say("Nothing was done.")
        sys.exit(1)
    except Failure as failure:
        said.fail(told(failure))
        sys.exit(2 if isinstance(failure, MISTYPED) else 1)
    except Exception as error:
        if "DRAUGAR_DEBUG" in os.environ:
            raise
        said.fail(
            Text(
                f"This should not have happened ({type(error).__name__}).",
                "Please report it, with what this shows: DRAUGAR_DEBUG=1 draugar, and then the"
                " command as you typed it.",
            )
        )
        sys.exit(1)
