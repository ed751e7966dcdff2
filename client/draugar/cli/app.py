"""The command line: what somebody types, and what they are told.

A command is a function of its `Context`: a terminal, and the home of one device. It calls one use
case of `Client` and presents what that returns; nothing of the protocol is known here. What is
common to all commands are the options of `_desk`. The docstrings are what `--help` shows.

Exit status: 0 done; 1 it failed, and stderr says why and what to do next; 2 it was mistyped.
"""

import inspect
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import typer
from typer.core import TyperCommand, TyperGroup

from draugar.cli import notices
from draugar.cli import output as present
from draugar.cli.explain import Stakes
from draugar.cli.failures import CommandFailure, told
from draugar.cli.output import PositionRow, points
from draugar.cli.refusals import REFUSALS, Text
from draugar.cli.situations import TEXTS
from draugar.cli.terminal import NobodyToAsk, Terminal
from draugar.cli.times import EmptyRange, NotATime, between, parse_time
from draugar.cli.tracks import left_out
from draugar.client import Client, remind_from_memory
from draugar.errors import Failure, FailureCode, ServiceAway, ServiceFailure, TrustFailure
from draugar.maps import gpx
from draugar.maps import page as maps
from draugar.maps.geo import NotAPosition, Trail, look_swapped, parse_position
from draugar.maps.track import Track
from draugar.models import (
    PLACE_RADIUS,
    Coordinates,
    Fix,
    Group,
    Located,
    OwnDevice,
    Person,
    Place,
    Position,
    Shared,
    TrustState,
    newest,
)
from draugar.protocol.address import is_local, service_url
from draugar.protocol.links import InviteLink, is_link
from draugar.storage import last_shared, places
from draugar.storage.home import Home, directory_of
from draugar.storage.last_known import LastKnown
from draugar.text import pasted
from draugar.text.display import ago, clock, degrees, metres, plain, within
from draugar.text.naming import NotAName, checked, same, told_apart
from draugar.usecases import remind as reminding
from draugar.usecases.phones import PhoneSetup

_Mistyped: Any = typer.BadParameter.__mro__[1]
"""What Typer raises for a command that it cannot read; it has no other public name."""
MISTYPED = (EmptyRange, NotAPosition, NotATime)
STDIO = Path("-")
TYPED_ACCURACY = 10.0
"""Metres."""
COUNTED = 100
"""Positions after which progress is shown."""
LISTED = 200
"""Positions that history lists unless it is told to list all."""
SWAPPED = "Latitude and longitude look swapped: this is far from where you were, and would be near."
LOOKING = Stakes()
"""Of commands that change nothing."""
EVERYDAY, COMING_IN, TRUST, MINE = "Every day", "Coming in", "Whom you trust", "What is yours"


def option(
    name: str, says: str, metavar: str | None = None, *, show_default: bool = False, **more: Any
) -> Any:
    """Declare an option by what its help says."""
    return typer.Option(name, help=says, metavar=metavar, show_default=show_default, **more)


def argument(name: str, says: str = "", **more: Any) -> Any:
    """Declare an argument by what its help says."""
    return typer.Argument(metavar=name, help=says, show_default=False, **more)


def _id(text: str) -> UUID:
    """Read an id as it was pasted. Raises BadParameter."""
    if (found := pasted.as_id(text)) is None:
        raise typer.BadParameter("An id has 32 digits and letters a to f.")
    return found


InHome = Annotated[
    Path | None,
    option(
        "--home",
        "Where this device remembers who you are (also DRAUGAR_HOME). Another home is another"
        " person.",
        "DIRECTORY",
        file_okay=False,
    ),
]
InGroup = Annotated[str | None, option("--group", "Which group, if you are in several.", "NAME")]
DeviceName = Annotated[
    str, option("--device", "What you call this device.", "NAME", show_default=True)
]
Yes = Annotated[bool, option("--yes", "Do not ask.")]
SetupFile = Annotated[
    Path | None,
    option("--file", "Where to put the file; else owntracks-XX.otrc here.", "FILE", dir_okay=False),
]
StartOver = Annotated[
    bool,
    option("--start-over", "Give up an earlier attempt that was sent and never answered."),
]
WriteOver = Annotated[bool, option("--yes", "Write over the file without asking.")]
Unsealed = Annotated[
    bool,
    option("--in-the-clear", "Agree that the service can read it, in a group without a key."),
]


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


class _ListsByDefault(TyperGroup):
    """Commands about a list: without one of them, the list itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _with_lines_to_copy(base: type[TyperCommand], lines: str) -> type[TyperCommand]:
    """Make a kind of command whose help ends with lines as they are.

    In a frame, or wrapped by rich, a command could not be copied.
    """

    class WithLinesToCopy(base):  # type: ignore[valid-type, misc]
        def format_help(self, ctx: Any, formatter: Any) -> None:
            super().format_help(ctx, formatter)
            typer.echo(lines)

    return WithLinesToCopy


class _BelowZero(TyperCommand):
    """A command that takes positions: degrees west and south start with a hyphen, as options do."""

    def __init__(
        self, *args: Any, context_settings: dict[str, Any] | None = None, **more: Any
    ) -> None:
        settings = {"ignore_unknown_options": True} | (context_settings or {})
        super().__init__(*args, context_settings=settings, **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options = {
            name: option
            for option in self.get_params(ctx)
            for name in (*option.opts, *option.secondary_opts)
            if name.startswith("-")
        }
        rest = iter(args)
        for argument in rest:
            name, equals, _ = argument.partition("=")
            if name == "--":
                break
            if name in options:
                if not equals and not getattr(options[name], "is_flag", False):
                    next(rest, None)  # its value
            elif re.match(r"-[^\d.]", name):
                near = get_close_matches(name, options, n=1)
                meant = f" Did you mean {near[0]}?" if near else ""
                raise _Mistyped(f"No such option: {name}.{meant}", ctx)
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="draugar",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _below(name: str, panel: str, says: str) -> typer.Typer:
    commands = typer.Typer(cls=_ListsByDefault)
    app.add_typer(commands, name=name, help=says, rich_help_panel=panel)
    return commands


places_app = _below(
    "places", EVERYDAY, "Name places of your own, such as home. They never leave this device."
)
invites_app = _below("invites", COMING_IN, "Show the invites that are open, and take one back.")
devices_app = _below("devices", MINE, "Show every device that can act for you; revoke a lost one.")
phone_app = typer.Typer(no_args_is_help=True)
app.add_typer(phone_app, name="phone", help="Set up a phone with OwnTracks.", rich_help_panel=MINE)


@dataclass(frozen=True)
class Context:
    """Where a command works: a terminal, and a home (None: the one that is meant by default)."""

    terminal: Terminal
    directory: Path | None
    patience: timedelta
    """How long a service is waited for that is away, or busy."""

    def home(self) -> Home:
        """Open the home."""
        return Home.open(self.directory)

    @contextmanager
    def member(self) -> Iterator[Client]:
        """Open the home of a member, and tell at the end which of their phones wait."""
        with self.home() as home, Client(home, **self.manner) as member:
            try:
                yield member
            except Failure:
                with suppress(Failure):
                    member.remind(by_memory=True)
                raise
            with suppress(Failure):  # the command itself is done
                member.remind()

    @contextmanager
    def own_home(self) -> Iterator[Home]:
        """Open the home for a command that needs no service, and tell which phones wait."""
        with self.home() as home:
            yield home
            remind_from_memory(home, partial(notices.show, self.terminal))

    @property
    def manner(self) -> dict[str, Any]:
        """How a member is to be: whom they tell, and how long they wait."""
        return {"tell": partial(notices.show, self.terminal), "patience": self.patience}

    def places(self) -> list[Place]:
        """Return the places that the member has named."""
        with self.home() as home:
            return places.listed(home)


def _desk(
    *,
    home: InHome = None,
    wait: Annotated[
        float,
        option("--wait", "For a service that is away.", "SECONDS", min=0, show_default=True),
    ] = 10,
    as_json: Annotated[bool, option("--json", "Answer in JSON, for programs.")] = False,
) -> Context:
    return Context(Terminal(as_json=as_json), home, timedelta(seconds=wait))


def command(
    name: str,
    panel: str | None = None,
    to: typer.Typer = app,
    *,
    stakes: Stakes = LOOKING,
    **settings: Any,
) -> Callable[[Callable[..., None]], None]:
    """Make a command of a function of a Context, with the options that are common to all.

    `stakes` is what it says when it fails. Commands that are indented in its docstring end its help
    as they are, with the sentence before them.
    """
    common = inspect.signature(_desk).parameters

    def register(function: Callable[..., None]) -> None:
        signature = inspect.signature(function)
        _, *own = signature.parameters.values()
        every = [*own, *common.values()]

        def run(**given: Any) -> None:
            typed = dict(given)
            desk = _desk(**{option: given.pop(option) for option in common})
            try:
                function(desk, **given)
            except (ServiceFailure, NobodyToAsk) as failure:
                text = stakes.explain(failure, typed, sys.argv[1:])
                raise CommandFailure.of(text) from failure

        run.__annotations__ = {option.name: option.annotation for option in every}
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [option.replace(kind=option.KEYWORD_ONLY) for option in every]
        )
        says: list[str] = []
        to_copy: list[str] = []
        for paragraph in (inspect.getdoc(function) or "").split("\n\n"):
            sentence, indent, lines = paragraph.partition("\n    ")
            said = " ".join(sentence.split())
            (to_copy if indent else says).append(f"{said}{indent}{lines}")
        if to_copy:
            base = settings.get("cls", TyperCommand)
            settings["cls"] = _with_lines_to_copy(base, "\n\n".join(to_copy))
        to.command(name, help="\n\n".join(says), rich_help_panel=panel, **settings)(run)

    return register


def main() -> None:
    """Run the command that was typed."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with suppress(AttributeError):  # another kind of stream stands there
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    said = Terminal(as_json=False)
    try:
        # However it was started; what Typer says itself it would frame, and break what is copied.
        sys.exit(app(prog_name="draugar", standalone_mode=False) or 0)
    except _Mistyped as error:
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


@app.callback(invoke_without_command=True)
def _about(
    *,
    version: Annotated[bool, option("--version", "Show the version.")] = False,
    home: InHome = None,
) -> None:
    """Share where you are with your family, and with nobody else.

    Your devices seal what you share: the service that passes it on cannot read it.
    """
    if version:
        typer.echo(f"draugar {metadata.version('draugar')}")
        raise typer.Exit
    if home:
        os.environ["DRAUGAR_HOME"] = str(home)


# Coming in


@command(
    "found",
    COMING_IN,
    stakes=Stakes(
        "No group was founded.",
        again="draugar found URL CODE --name NAME",
        next_steps={
            "invite_not_valid": (
                "Ask the person who runs the service for a new code. Then: draugar found URL CODE"
                " --name NAME"
            )
        },
    ),
)
def found(  # noqa: PLR0913 -- the options of one command
    desk: Context,
    url: Annotated[str, argument("URL", "The service's address.")],
    code: Annotated[str, argument("CODE", "The founding code; - reads it from stdin.")],
    *,
    name: Annotated[str, option("--name", "What the others shall call you.", "NAME")],
    group: Annotated[
        str, option("--group", "What the group is called.", "NAME", show_default=True)
    ] = "Family",
    device: DeviceName = "Computer",
    start_over: StartOver = False,
) -> None:
    """Found a group, with the founding code from the person who runs the service."""
    terminal = desk.terminal
    code = _typed(terminal, code, "The founding code: ")
    with desk.home() as home:
        if start_over:
            home.forget_join()
        me = Client.found(
            home, url=url, code=code, name=name, group=group, device=device, **desk.manner
        )
        with me:
            founded = me.group()
        terminal.answer(
            present.membership_data(me, founded),
            f"Welcome, {plain(me.name)}. You have founded {plain(founded.name)}. Only its members'"
            " devices can read what is shared in it.",
            "Next: draugar invite",
        )


@command("invite", COMING_IN, stakes=Stakes("No invite was made.", look="draugar invites"))
def invite(
    desk: Context,
    *,
    typed: Annotated[bool, option("--typed", "A short code to read out, not a link.")] = False,
    for_me: Annotated[bool, option("--for-me", "For a further device of your own.")] = False,
    hours: Annotated[
        int | None,
        option("--hours", "How long it is good for: 24 for a link, 1 for a code.", min=1, max=168),
    ] = None,
    group: InGroup = None,
) -> None:
    """Invite a person: a link and its QR code, or a short code.

    A person who joins by the link sees each of you from when you next share; nothing of before. A
    person who types a short code waits until a member has compared a safety number with them.
    """
    if typed and for_me:
        raise typer.BadParameter(
            "A device of your own joins by a link: leave out --typed: draugar invite --for-me"
        )
    terminal = desk.terminal
    with desk.member() as me:
        group_id = _group_id(me, group)
        if typed:
            made = me.invite_by_code(group_id, life=timedelta(hours=hours or 1))
        else:
            made = me.invite(group_id, life=timedelta(hours=hours or 24), for_me=for_me)
        data = present.invitation_data(made, me.url)
    once = f"once, until {clock(made.expires_at, _now())}" if made.expires_at else "once"
    if made.link is None:
        code = "-".join(made.code[start : start + 4] for start in range(0, len(made.code), 4))
        terminal.answer(data, code)
        terminal.say(f"Good {once}; it is shown only now. They type:")
        terminal.say(f"  draugar join {code} --url {data['url']} --name NAME")
        terminal.say("Then compare safety numbers with them: draugar confirm")
        return
    terminal.answer(data, made.link.text)
    terminal.code(made.link.text)
    how = "Open it on your other device." if for_me else "Send it by a private channel."
    terminal.say(
        f"{how} Any person who has this link can join by it, {once}. It is shown only now."
    )
    if for_me:  # a shell would take the ? of this link for a pattern
        terminal.say(f"There: draugar join {shlex.quote(made.link.text)}")
    if is_local(urlsplit(made.link.url).hostname or ""):
        terminal.say("The service is on this machine, so the link works on this machine only.")


@command(
    "join",
    COMING_IN,
    stakes=Stakes("You have not joined.", again="draugar join LINK --name NAME"),
)
def join(  # noqa: PLR0913 -- the options of one command
    desk: Context,
    invite: Annotated[
        str,
        argument("LINK-OR-CODE", "What you were sent; - reads it from stdin: no shell keeps it."),
    ],
    *,
    name: Annotated[str | None, option("--name", "What the others shall call you.", "NAME")] = None,
    url: Annotated[
        str | None, option("--url", "With a code: the service's address.", "URL")
    ] = None,
    device: DeviceName = "Computer",
    start_over: StartOver = False,
) -> None:
    """Join a group by a link or a code; while you are in one, a further one.

    You see each of the others from when they next share; nothing of before.
    """
    terminal = desk.terminal
    invite = _typed(terminal, invite, "The link or code: ")
    with desk.home() as home:
        if start_over:
            home.forget_join()
        is_new = not home.is_joined
        service = service_url(url) if url else None if is_new else home.me().url
        link = InviteLink.paste(invite, url=service) if is_link(invite) else None
        if is_new and not name and not (link and link.for_me):
            raise typer.BadParameter(
                "Say what the others shall call you: draugar join LINK --name NAME"
            )
        if is_new and not link and not url:
            raise typer.BadParameter(
                "A code needs the service's address too: draugar join CODE --url URL --name NAME"
            )
        called: dict[str, Any] = {"name": name or "me", "device": device, **desk.manner}
        if not is_new:
            me = Client(home, **desk.manner)
        elif link:
            me = Client.join(home, link, **called)
        else:
            me = Client.join_by_code(home, url=url or "", code=invite, **called)
        with me:
            group = me.group() if is_new else me.join_group(link or invite)
            terminal.answer(present.membership_data(me, group), *present.entered(group))
            if is_new and link and not link.for_me and me.name != (name or "").strip():
                terminal.say(
                    f"An earlier attempt had arrived, so you are {plain(me.name)} there. To change"
                    " your name: draugar rename NAME",
                    "yellow",
                )
            _warn_of_namesake(desk, me, group)
            with suppress(Failure):
                me.remind()


@command("list", to=invites_app)
def list_invites(desk: Context) -> None:
    """Show the invites that are not used yet, without their codes."""
    with desk.member() as me:
        names = {group.id: plain(group.name) for group in me.groups()}
        made = me.invites()
    live = [
        invite
        for invite in made
        if not invite.used_at and not invite.revoked_at
        if invite.expires_at is None or invite.expires_at > _now()
    ]
    desk.terminal.rows(
        {"invites": [present.invite_data(invite) for invite in live]},
        ("Invite", "Group", "Lets in", "Made", "Good until"),
        [
            (
                str(invite.id),
                names.get(invite.group_id, ""),
                "a device of its maker" if invite.for_me else "a person",
                clock(invite.created_at),
                clock(invite.expires_at) if invite.expires_at else "for ever",
            )
            for invite in live
        ],
        nothing="No invite is open.",
    )


@command(
    "revoke",
    to=invites_app,
    stakes=Stakes(
        "The invite can still be used.",
        look="draugar invites",
    ),
)
def revoke_invite(desk: Context, invite: Annotated[UUID, argument("ID", parser=_id)]) -> None:
    """Take an invite back: no one can join by it any more."""
    with desk.member() as me:
        me.revoke_invite(invite)
    desk.terminal.answer({"revoked": str(invite)}, "No one can join by it any more.")


# Every day


@command("where", EVERYDAY)
def where(desk: Context, *, group: InGroup = None) -> None:
    """Show where each member is, and how far from you.

    While the service does not answer: where they were when it last did.
    """
    named, now = desk.places(), _now()
    known = None
    with desk.member() as me:
        try:
            positions = me.where(_group_id(me, group))
            unseen = _unseen(me, group, positions)
        except ServiceAway as failure:
            known = _last_known(desk, me, group, failure)
            positions, unseen = known.positions, ""
    mine = next((position for position in positions if position.is_mine), None)
    sights = [PositionRow.of(position, mine, named) for position in positions]
    desk.terminal.rows(
        {"positions": [sight.data(as_of=known.as_of if known else None) for sight in sights]},
        ("Who", "Where", "From you", "Seen", "Within", "Battery"),
        [sight.row(now) for sight in sights],
        nothing=unseen or "No one has shared where they are.",
    )
    if positions and unseen:
        desk.terminal.say(unseen)


@command("map", EVERYDAY)
def draw_map(  # noqa: PLR0913 -- the options of one command
    desk: Context,
    file: Annotated[Path, argument("FILE", dir_okay=False)] = Path("draugar-map.html"),
    *,
    hours: Annotated[
        int,
        option("--hours", "How far back the lines go.", min=0, max=8760, show_default=True),
    ] = 12,
    tiles: Annotated[
        str | None,
        option(
            "--tiles",
            "Lay map tiles under it. Their host then learns which area you look at.",
            "URL",
        ),
    ] = None,
    yes: WriteOver = False,
    group: InGroup = None,
) -> None:
    """Draw all members on a map: one file that any browser opens, without any network.

    While the service does not answer, it shows where they were when it last did.

    With map tiles, where HOST stands for who offers them:
        draugar map --tiles 'https://HOST/{z}/{x}/{y}.png'
    """
    named, now = desk.places(), _now()
    _may_write(desk, file, yes=yes)
    known = None
    with desk.member() as me:
        try:
            meant = _group_id(me, group)
            if hours:
                current, read = me.where_and_since(meant, since=now - timedelta(hours=hours))
            else:
                current, read = me.where(meant), iter(())
            trails = _trails(current, _counted(desk, read), now)
            title = me.group_name(meant)
            unseen = _unseen(me, group, current)
        except ServiceAway as failure:
            known = _last_known(desk, me, group, failure)
            title, trails = known.group_name, _trails(known.positions, (), now)
            unseen = ""
    if not trails:
        raise CommandFailure(
            f"No map was drawn. {unseen or 'No one has shared where they are.'}",
            "Share where you are: draugar share LAT LON",
        )
    as_of = known.as_of if known else None
    _keep(file, maps.drawn(trails, named, title=title, now=now, tiles=tiles, as_of=as_of))
    desk.terminal.answer({"file": str(file.absolute())}, f"Open {file.absolute()} in a browser.")
    if tiles:
        desk.terminal.say(
            "Whenever it is opened, the host of the tiles learns which area you look at.", "yellow"
        )


@command("share", EVERYDAY, cls=_BelowZero)
def share(  # noqa: PLR0913 -- the options of one command
    desk: Context,
    latitude: Annotated[
        str | None, argument("LAT", "- reads both from stdin: no shell keeps them.")
    ] = None,
    longitude: Annotated[str | None, argument("LON")] = None,
    *,
    track: Annotated[
        Path | None,
        option("--gpx", "A recorded track.", "FILE", exists=True, dir_okay=False),
    ] = None,
    end_now: Annotated[
        bool, option("--end-now", "Shift the track's times as though it had just ended.")
    ] = False,
    accuracy: Annotated[
        float | None,
        option(
            "--accuracy",
            "Within how much it is right; else 10 for a position, and unknown for a track.",
            "METRES",
            min=0,
        ),
    ] = None,
    again: Annotated[
        bool, option("--again", "Share a track once more that was shared before.")
    ] = False,
    group: InGroup = None,
) -> None:
    """Share where you are, or a recorded track.

    Without network, positions wait on this device and go with the next ones. Without a position,
    this sends what waits.
    """
    if track and latitude is not None:
        raise typer.BadParameter("Give a position or --gpx FILE, not both.")
    fixes = []
    if track:
        read = gpx.read(track)
        recorded = _recorded(desk, read, track, end_now=end_now)
    elif latitude is not None:
        here = _position(desk.terminal, latitude, longitude)
        accuracy = TYPED_ACCURACY if accuracy is None else accuracy
        fixes = [Fix(**here._asdict(), accuracy=accuracy, at=_now())]
    with desk.member() as me:
        held = _queued(desk, me, fixes[0], group) if fixes else 0
        if track:
            # What is shifted is another recording each time, and the same file.
            name = me.digest(read if end_now else recorded) + "+" * end_now
            group_id = _group_id(me, group)
            before = None if again else me.queued_at(name, group_id)
            if before:
                _say_shared_before(desk, track, before, end_now=end_now)
            else:
                fixes = recorded.fixes(accuracy=accuracy)
                _say_of_track(desk, me, track, fixes, group_id)
                held = me.enqueue(fixes, group_id, track=name)
        try:
            shared = _flush(desk, me)
        except ServiceAway as failure:
            shared = Shared(stored=0, dropped=0, waiting=me.waiting(), obstacle=failure)
    outcome = {
        "stored": shared.stored,
        "dropped": shared.dropped + held,
        "waiting": shared.waiting,
    }
    spot = _spot(fixes) * (not track and shared.stored == 1)
    desk.terminal.answer(
        outcome,
        *([f"Shared {points(shared.stored)}{spot}."] if shared.stored else []),
        *([] if any(outcome.values()) else ["Nothing waits to be shared."]),
    )
    if held:
        raise _not_kept("sharing_paused", held)
    if shared.dropped:
        raise _not_kept(next(iter(shared.refused)), shared.dropped)
    if shared.waiting and shared.obstacle:
        raise CommandFailure(
            told(shared.obstacle).reason,
            _way_on(shared.obstacle),
            effect=f"Nothing is lost: {points(shared.waiting)} waiting here.",
        )


@command("history", EVERYDAY)
def history(  # noqa: PLR0913 -- the options of one command
    desk: Context,
    *,
    since: Annotated[
        str, option("--from", "2h, 3d, 18:30 or 2026-08-05.", "TIME", show_default=True)
    ] = "24h",
    until: Annotated[str | None, option("--to", "The same; else now.", "TIME")] = None,
    name: Annotated[str | None, option("--who", "Of one person only.", "NAME")] = None,
    as_gpx: Annotated[Path | None, option("--gpx", "Write tracks; - is stdout.", "FILE")] = None,
    as_geojson: Annotated[
        Path | None, option("--geojson", "Write lines; - is stdout.", "FILE")
    ] = None,
    show_all: Annotated[bool, option("--all", "List all of them, not the newest 200.")] = False,
    yes: WriteOver = False,
    group: InGroup = None,
) -> None:
    """Show where each member has been, the newest first, or write it as GPX or GeoJSON."""
    named, now = desk.places(), _now()
    start, end = between(since, until, now)
    for file in filter(None, (as_gpx, as_geojson)):
        _may_write(desk, file, yes=yes)
    with desk.member() as me:
        group_id = _group_id(me, group)
        user_id = _found(name, me.people(group_id)).user_id if name else None
        read = me.history(group_id, user_id=user_id, since=start, until=end or now)
        positions = sorted(_counted(desk, read), key=lambda position: position.order)
    if as_gpx or as_geojson:
        trails = _trails((), positions, now)
        files = [file for file in (as_gpx, as_geojson) if file]
        if as_gpx:
            _keep(as_gpx, gpx.written(trails))
        if as_geojson:
            _keep(as_geojson, json.dumps(gpx.geojson(trails), ensure_ascii=False) + "\n")
        if STDIO not in files:
            written = [str(file.absolute()) for file in files]
            desk.terminal.answer(
                {"files": written, "points": len(positions)},
                f"Wrote {points(len(positions))} to {' and '.join(written)}.",
            )
        return
    sights = [PositionRow.of(position, None, named) for position in positions]
    listed = sights[::-1] if show_all else sights[: -LISTED - 1 : -1]
    desk.terminal.rows(
        {"points": [sight.data() for sight in sights]},
        ("When", "Who", "Where", "Within"),
        [
            (clock(sight.fix.at), sight.name, sight.spot, within(sight.fix.accuracy))
            for sight in listed
        ],
        nothing="No one has shared anything in that time.",
    )
    if len(listed) < len(sights) and not desk.terminal.is_for_programs:
        everything = shlex.join(["draugar", *sys.argv[1:], "--all"])
        desk.terminal.say(
            f"These are the newest {len(listed)} of {points(len(sights))}. To list them all:"
            f" {everything}"
        )


@command("pause", EVERYDAY)
def pause(
    desk: Context,
    *,
    until: Annotated[
        str | None, option("--until", "2h, 18:30 or 2026-08-05; else until you resume.", "TIME")
    ] = None,
    group: InGroup = None,
) -> None:
    """Stop being seen for a while. To the others you look offline, and no more.

    It begins on this device at once. Without network the service is told later: until then your
    other devices and phones share on.
    """
    resumes_at = parse_time(until, _now(), is_ahead=True) if until else None
    with desk.member() as me:
        untold = me.pause(_group_id(me, group), until=resumes_at)
        waiting = me.waiting()
    end = f"until {clock(resumes_at, _now())}." if resumes_at else "until you run: draugar resume"
    desk.terminal.answer(
        {
            "isPaused": True,
            "resumesAt": present.stamp(resumes_at),
            "serviceKnows": untold is None,
        },
        f"This device shares nothing {end}"
        if untold
        else f"You share nothing, and look offline to the others, {end}",
    )
    if waiting:
        desk.terminal.say(
            f"Shared before the pause, and kept here until it ends: {points(waiting)}. To delete"
            " what waits: draugar erase"
        )
    if untold:
        desk.terminal.say(
            f"{told(untold).reason} So it has not heard of the pause: your other devices and phones"
            " share on. It is told with your next command, such as: draugar where",
            "yellow",
        )


@command("resume", EVERYDAY)
def resume(desk: Context, *, group: InGroup = None) -> None:
    """Be seen again."""
    with desk.member() as me:
        untold = me.resume(_group_id(me, group))
    desk.terminal.answer(
        {"isPaused": False, "resumesAt": None, "serviceKnows": untold is None},
        "This device shares again." if untold else "You share again. Next: draugar share LAT LON",
    )
    if untold:
        desk.terminal.say(
            f"{told(untold).reason} So it has not heard of it: the others cannot see you yet. It"
            " is told with your next command, such as: draugar share LAT LON",
            "yellow",
        )


@command("list", to=places_app)
def list_places(desk: Context) -> None:
    """Show your places."""
    with desk.own_home() as home:
        named = places.listed(home)
    desk.terminal.rows(
        {"places": [asdict(place) for place in named]},
        ("Place", "Where", "Within"),
        [(plain(place.name), degrees(place), metres(place.radius)) for place in named],
        nothing="You have named no place. Next: draugar places add NAME LAT LON",
    )


@command("add", to=places_app, cls=_BelowZero)
def add_place(
    desk: Context,
    name: Annotated[str, argument("NAME")],
    latitude: Annotated[str, argument("LAT", "- reads both from stdin: no shell keeps them.")],
    longitude: Annotated[str | None, argument("LON")] = None,
    *,
    radius: Annotated[
        float,
        option("--radius", "How large it is.", "METRES", min=1, max=100_000, show_default=True),
    ] = PLACE_RADIUS,
) -> None:
    """Name a place; it stays on this device."""
    here = _position(desk.terminal, latitude, longitude)
    place = Place(
        _checked(name, "draugar places add NAME LAT LON"), here.latitude, here.longitude, radius
    )
    with desk.own_home() as home:
        is_odd = look_swapped([place], _known_spots(home))
        places.add(home, place)
    desk.terminal.answer(
        asdict(place), f"{plain(place.name)} is a place of yours now: {degrees(place)}."
    )
    if is_odd:
        desk.terminal.say(
            f"{SWAPPED} If so: draugar places remove {shlex.quote(place.name)}", "yellow"
        )


@command("remove", to=places_app)
def remove_place(desk: Context, name: Annotated[str, argument("NAME")]) -> None:
    """Forget a place."""
    with desk.own_home() as home:
        places.remove(home, name)
    desk.terminal.answer({"removed": name}, f"The place {plain(name)} is removed from this device.")


# Whom you trust


@command("confirm", TRUST, stakes=Stakes("No one was confirmed.", look="draugar people"))
def confirm(
    desk: Context,
    name: Annotated[str | None, argument("NAME", "Whom; without it, see who waits.")] = None,
    *,
    yes: Annotated[bool, option("--yes", "The number has been compared already.")] = False,
    group: InGroup = None,
) -> None:
    """Confirm a person who joined by a code, once you have compared a safety number.

    Call them, or meet. The same command shows them their number: if both are the same, no one
    stands between you.
    """
    terminal = desk.terminal
    with desk.member() as me:
        group_id = _group_id(me, group)
        if name is None:
            waiting = me.pending(group_id)
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
        person = _found(name, _others(me, group_id), _is_unsure)
        comparison = me.compare(person.user_id, group_id)
        if comparison.safety_number and not (yes and comparison.was_shown):
            terminal.say(present.comparison_text(comparison))
            if yes:
                raise NeverShown
            terminal.consent(f"Does {present.called(comparison)} see the very same number?")
        me.confirm(comparison)
    terminal.answer(
        {"confirmed": present.who_data(comparison)}, f"{present.called(comparison)} is confirmed."
    )


@command("people", TRUST)
def people(desk: Context, *, group: InGroup = None) -> None:
    """Show who is in the group, and how this device knows that it is them."""
    with desk.member() as me:
        members = me.people(_group_id(me, group))
    desk.terminal.rows(
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


@command("safety", TRUST)
def safety(desk: Context, name: Annotated[str, argument("NAME")], *, group: InGroup = None) -> None:
    """Show the safety number of you and another member, to compare at any time."""
    with desk.member() as me:
        group_id = _group_id(me, group)
        comparison = me.compare(_found(name, _others(me, group_id)).user_id, group_id)
    data = present.comparison_data(comparison)
    desk.terminal.answer(data, present.comparison_text(comparison))
    if comparison.safety_number:
        desk.terminal.code(comparison.safety_number.replace(" ", ""))


@command(
    "rotate",
    TRUST,
    stakes=Stakes("The group's key was not changed.", look="draugar groups"),
)
def rotate(
    desk: Context,
    *,
    restored: Annotated[
        bool,
        option("--restored", "Only if the person who runs the service has restored a backup."),
    ] = False,
    group: InGroup = None,
) -> None:
    """Change the group's key, for those whose devices you trust."""
    with desk.member() as me:
        meant = me.group(group)
        _warn_of_phones(desk, me, meant)
        rotation = me.rotate(meant.id, is_restored=restored)
    desk.terminal.answer(present.rotation_data(rotation), *present.rotation_texts(rotation))


@command(
    "remove",
    TRUST,
    stakes=Stakes("{name} is still in the group.", look="draugar people"),
)
def remove(
    desk: Context,
    name: Annotated[str, argument("NAME")],
    *,
    yes: Yes = False,
    group: InGroup = None,
) -> None:
    """Remove a member, and change the key; only the group's admins can.

    What a member has seen before cannot be taken back.
    """
    terminal = desk.terminal
    with desk.member() as me:
        meant = me.group(group)
        person = _found(name, _others(me, meant.id))
        _warn_of_phones(desk, me, meant, gone=person.user_id)
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


@command(
    "role",
    TRUST,
    stakes=Stakes(
        "The role of {name} was not changed.",
        look="draugar people",
    ),
)
def set_role(
    desk: Context,
    name: Annotated[str, argument("NAME")],
    role: Annotated[Role, argument("ROLE", "admin or member.")],
    *,
    group: InGroup = None,
) -> None:
    """Make a member an admin of the group, or an admin a member; only its admins can.

    An admin removes people, renames the group and sets how long it keeps positions, and reads
    nothing that the others do not.
    """
    with desk.member() as me:
        meant = me.group(group)
        person = _found(name, me.people(meant.id), lambda one: one.role != role.value)
        me.set_role(person.user_id, role.value, meant.id)
    desk.terminal.answer(
        {**present.who_data(person), "role": role.value},
        f"{present.called(person)} is {'an admin' if role is Role.ADMIN else 'a member'} now.",
    )


# What is yours


@command("groups", MINE)
def groups(desk: Context) -> None:
    """Show the groups you are in."""
    with desk.member() as me:
        mine = me.groups()
    desk.terminal.rows(
        {"groups": [present.group_data(group) for group in mine]},
        present.GROUP_HEADINGS,
        [present.group_row(group, _now()) for group in mine],
        nothing="You are in no group. With an invite: draugar join LINK",
    )


@command("group", MINE, stakes=Stakes("The group was not changed.", look="draugar groups"))
def change_group(
    desk: Context,
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
        name = _checked(name, "draugar group --name NAME")
    with desk.member() as me:
        meant = me.group(group)
        if keep_days is not None and keep_days < meant.retention_days:
            desk.terminal.consent(
                f"Keep positions in {plain(meant.name)} for {present.days(keep_days)} and not"
                f" {present.days(meant.retention_days)}? What is older is deleted for all.",
                is_given=yes,
            )
        if name is not None or keep_days is not None:
            meant = me.change_group(meant.id, name=name, retention_days=keep_days)
    desk.terminal.rows(
        {"group": present.group_data(meant)},
        present.GROUP_HEADINGS,
        [present.group_row(meant, _now())],
        nothing="",
    )


@command("list", to=devices_app)
def list_devices(desk: Context) -> None:
    """Show every device that can act for you."""
    with desk.member() as me:
        mine = me.devices()
    desk.terminal.rows(
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


@command(
    "revoke",
    to=devices_app,
    stakes=Stakes(
        "{device} can still read and share as you.",
        look="draugar devices",
    ),
)
def revoke_device(
    desk: Context, device: Annotated[str, argument("NAME-OR-ID")], *, yes: Yes = False
) -> None:
    """Shut out a device of yours, such as a lost phone, and change the keys that it knows."""
    with desk.member() as me:
        others = [other for other in me.devices() if not other.is_this_one]
        lost = _one_of(device, others, "You have no other device of this name or id.")
        for changed in me.groups():
            if lost.has_key or lost.group_id == changed.id:
                _warn_of_phones(desk, me, changed, gone=lost.id)
        desk.terminal.consent(
            f"Revoke {plain(lost.name)}? It can neither read nor share any more.", is_given=yes
        )
        rotations = me.revoke_device(lost.id)
    desk.terminal.answer(
        {
            "revoked": str(lost.id),
            "rotations": [present.rotation_data(rotation) for rotation in rotations],
        },
        f"{plain(lost.name)} is revoked.",
        *(text for rotation in rotations for text in present.rotation_texts(rotation)),
    )


@command("add", to=phone_app, stakes=Stakes("No phone was added.", look="draugar devices"))
def add_phone(  # noqa: PLR0913 -- the options of one command
    desk: Context,
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
    _see_file(desk, file, yes=yes)
    with desk.member() as me:
        hand_over = partial(_hand_over, desk, me.url, file)
        me.add_phone(
            name, _group_id(me, group), tid, in_the_clear=in_the_clear, hand_over=hand_over
        )


@command("renew", to=phone_app, stakes=Stakes("The phone was not set up again."))
def renew_phone(
    desk: Context,
    phone: Annotated[
        str | None, argument("NAME-OR-TID", "Which, if you have several to set up again.")
    ] = None,
    *,
    file: SetupFile = None,
    yes: WriteOver = False,
    in_the_clear: Unsealed = False,
) -> None:
    """Set a phone up again once the group's key has changed. User name and tid stay."""
    _see_file(desk, file, yes=yes)
    with desk.member() as me:
        mine = [device for device in me.devices() if device.kind == reminding.KIND]
        if phone is None:
            due = [device for device in mine if device.needs_setup] or mine
        else:
            wanted = phone.strip().casefold()
            due = [one for one in mine if wanted == (one.tid or "").casefold()]
            due = due or [_one_of(phone, mine, "You have no phone of this name or tid.")]
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
        hand_over = partial(_hand_over, desk, me.url, file)
        me.renew_phone(due[0].id, in_the_clear=in_the_clear, hand_over=hand_over)


@command(
    "rename",
    MINE,
    stakes=Stakes("Your name was not changed."),
)
def rename(desk: Context, name: Annotated[str, argument("NAME")]) -> None:
    """Change your name. Those who know you already see it with the next key of the group.

    Until then their devices keep the name that they know you by, and are told of the new one once.
    With a new key, phones with OwnTracks have to be set up again.

    To make a new key:
        draugar rotate
    """
    name = _checked(name, "draugar rename NAME")
    with desk.member() as me:
        me.rename(name)
        user_id = me.user_id
        desk.terminal.answer(
            {"userId": str(user_id), "name": me.name},
            f"You are {plain(me.name)} now. The others see your former name until you make a new"
            " key: draugar rotate",
        )
        for group in me.groups():
            _warn_of_namesake(desk, me, group)
            _warn_of_phones(desk, me, group)


@command("erase", MINE, stakes=Stakes("Nothing was deleted.", look="draugar history"))
def erase(  # noqa: PLR0913 -- the options of one command
    desk: Context,
    *,
    since: Annotated[
        str | None, option("--from", "2h, 3d, 18:30 or 2026-08-05; else from the first.", "TIME")
    ] = None,
    until: Annotated[str | None, option("--to", "The same; else to the last.", "TIME")] = None,
    at: Annotated[
        str | None, option("--at", "What history lists under this time, to the minute.", "TIME")
    ] = None,
    point: Annotated[
        UUID | None,
        option("--id", "One position, by its pointId.", "ID", parser=_id),
    ] = None,
    yes: Yes = False,
    group: InGroup = None,
) -> None:
    """Delete what you have shared with a group: all, a range or one; and what still waits here.

    The times of --from and --to are those when you were there; of phones with OwnTracks, when they
    sent it. That of --at is what history shows. What others have fetched they keep, and those who
    have seen newer positions of yours than are left are told that there is less.

    To see the pointId of each position:
        draugar history --json
    """
    if sum((bool(since or until), at is not None, point is not None)) > 1:
        raise typer.BadParameter("Give --from and --to, or --at, or --id: one of the three.")
    if at is not None:
        _erase_some(desk, partial(_at, at=at), yes=yes, group=group)
        return
    if point is not None:
        _erase_some(desk, partial(_of_id, point_id=point), yes=yes, group=group)
        return
    start, end = between(since, until, _now())
    with desk.member() as me:
        meant = me.group(group)
        part = "what you shared then with" if start or end else "all that you have shared with"
        desk.terminal.consent(f"Delete {part} {plain(meant.name)}?", is_given=yes)
        deleted = me.delete_points(meant.id, since=start, until=end)
    desk.terminal.answer(
        {"deleted": deleted},
        f"Deleted {points(deleted)}. What others have fetched before they may keep.",
    )


def _erase_some(
    desk: Context,
    find: Callable[[Client, UUID | None], Mapping[UUID, Fix | None]],
    *,
    yes: bool,
    group: str | None,
) -> None:
    """Delete the single positions that are found, shared or waiting here."""
    with desk.member() as me:
        group_id = _group_id(me, group)
        found = find(me, group_id)
        for point_id, fix in found.items():
            # The service may have a point of that id which this device cannot read.
            shown = f"{clock(fix.at)}  {degrees(fix)}" if fix else f"The position {point_id}"
            desk.terminal.say(shown)
        if found:
            meant = "this position" if len(found) == 1 else points(len(found))
            desk.terminal.consent(f"Delete {meant}?", is_given=yes)
        deleted = sum(me.delete_point(point_id, group_id) for point_id in found)
        if not deleted:
            raise CommandFailure(
                f"You have shared no such position with {plain(me.group(group_id).name)}.",
                f"See what there is: draugar history --from 7d --who {shlex.quote(me.name)}",
                effect="Nothing was deleted.",
            )
    desk.terminal.answer(
        {"deleted": deleted},
        f"Deleted {points(deleted)}. What others have fetched before they may keep.",
    )


def _of_id(me: Client, group_id: UUID | None, *, point_id: UUID) -> dict[UUID, Fix | None]:
    """Return the position of an id; None for one that this device does not see."""
    if fix := me.queued(group_id).get(point_id):
        return {point_id: fix}
    mine = me.history(group_id, user_id=me.user_id)
    return {point_id: next((one.fix for one in mine if one.point_id == point_id), None)}


def _at(me: Client, group_id: UUID | None, *, at: str) -> dict[UUID, Fix]:
    """Return the positions that wait here, or that history lists, under a time."""
    start, end = shown_under(at)
    found = {id_: fix for id_, fix in me.queued(group_id).items() if start <= fix.at < end}
    try:
        shared = list(me.history(group_id, user_id=me.user_id, since=start, until=end))
    except ServiceAway:
        if not found:
            raise
        shared = []  # deleting what waits tells of the service
    found |= {position.point_id: position.fix for position in shared}
    return {id_: fix for id_, fix in found.items() if clock(fix.at) == clock(start)}


def shown_under(at: str) -> tuple[datetime, datetime]:
    """Return between when history shows that time; longer than a minute where it comes twice."""
    first, last = (
        parse_time(at, _now(), is_end=is_end).replace(second=0, microsecond=0)
        for is_end in (False, True)
    )
    return first, last + timedelta(minutes=1)


@command(
    "leave",
    MINE,
    stakes=Stakes("You are still in the group, and it can still see you.", look="draugar groups"),
)
def leave(desk: Context, *, yes: Yes = False, group: InGroup = None) -> None:
    """Leave a group. No one has to agree, and what you posted there is deleted."""
    with desk.member() as me:
        left = me.group(group)
        desk.terminal.consent(
            f"Leave {plain(left.name)}? What you posted there is deleted.", is_given=yes
        )
        me.leave(left.id)
    desk.terminal.answer(
        {"left": {"id": str(left.id), "name": left.name}},
        f"You have left {plain(left.name)}, and what you posted there is deleted.",
    )


@command("export", MINE)
def export(
    desk: Context,
    file: Annotated[Path, argument("FILE", "- is stdout.", dir_okay=False)] = Path(
        "draugar-export.json"
    ),
    *,
    yes: WriteOver = False,
) -> None:
    """Write all that the service stores about you, your positions opened."""
    _may_write(desk, file, yes=yes)
    with desk.member() as me:
        stored = me.export()
    _keep(file, json.dumps(stored, indent=2) + "\n")
    if file != STDIO:
        desk.terminal.answer(
            {"file": str(file.absolute())},
            f"Wrote {file.absolute()}. It says where you were, so only you may read it.",
        )


@command(
    "logout",
    MINE,
    stakes=Stakes(
        "This device is still logged in, and keeps all its data.",
        silence="Run this again {when}: draugar logout. To delete everything on this device now,"
        " without the service: draugar logout --local",
    ),
)
def logout(
    desk: Context,
    *,
    local: Annotated[
        bool, option("--local", "Delete what is on this device, without telling the service.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Take this device out of use, and delete all that it keeps."""
    if local:
        _wipe(desk, yes=yes)
        return
    with desk.member() as me:
        desk.terminal.consent(
            f"Log {plain(me.name)} out here? What only this device can read is lost.", is_given=yes
        )
        me.logout()
    desk.terminal.answer(
        {"loggedOut": True, "serviceKnows": True},
        "This device is logged out, and everything that draugar kept on it is deleted.",
    )


def _wipe(desk: Context, *, yes: bool) -> None:
    if not Home.exists(desk.directory):
        desk.terminal.answer(
            {"loggedOut": False, "serviceKnows": False},
            f"Nothing was there to delete: draugar keeps nothing in {directory_of(desk.directory)}."
            " For another directory: draugar --home DIRECTORY logout --local",
        )
        return
    desk.terminal.consent(
        "Delete everything that draugar keeps on this device? What only this device can read is"
        " lost.",
        is_given=yes,
    )
    may_be_known = Home.destroy(desk.directory)
    desk.terminal.answer(
        {"loggedOut": may_be_known, "serviceKnows": False},
        "Everything that draugar kept on this device is deleted."
        if may_be_known
        else "Everything that draugar kept on this device is deleted. It had not joined a group,"
        " so no service knows it.",
    )
    if not may_be_known:
        return
    desk.terminal.say(
        "The service was not told: it lists this device as one of yours, and a copy of what was"
        " here could still act for you. From another device of yours: draugar devices revoke NAME."
        " If you have none, ask an admin of the group to run: draugar remove NAME",
        "yellow",
    )


@command(
    "delete-account",
    MINE,
    stakes=Stakes("You and your data are still at the service and on this device."),
)
def delete_account(desk: Context, *, yes: Yes = False) -> None:
    """Delete yourself and everything of yours, here and at the service."""
    with desk.member() as me:
        desk.terminal.consent(
            f"Delete {plain(me.name)} and everything that is stored about you? There is no way"
            " back.",
            is_given=yes,
        )
        me.delete_account()
    desk.terminal.answer({"deleted": True}, "You and everything of yours are deleted.")


# What several of them need


def _now() -> datetime:
    return datetime.now(UTC)


def _checked(name: str, again: str) -> str:
    """Return a name as it is sent; `again` is the command to type with another."""
    try:
        return checked(name)
    except NotAName as failure:
        raise CommandFailure(told(failure).reason, f"Choose another name: {again}") from None


def _typed(terminal: Terminal, text: str, prompt: str) -> str:
    """Return what was typed, or, where that is a hyphen, what is pasted into stdin."""
    return terminal.paste(prompt) if text == "-" else text.strip()


def _position(terminal: Terminal, latitude: str, longitude: str | None) -> Coordinates:
    """Read a position as it was typed; in the place of both, a hyphen means stdin."""
    if latitude == "-" and longitude is None:
        latitude = terminal.paste("Latitude and longitude: ")
    return parse_position(latitude, longitude or "")


def _spot(fixes: Sequence[Fix]) -> str:
    """Write a position that was shared alone."""
    return f": {degrees(fixes[0])}" if len(fixes) == 1 else ""


def _known_spots(home: Home) -> list[Located]:
    return [*places.listed(home), *last_shared.recall(home)]


def _queued(desk: Context, me: Client, here: Fix, group: str | None) -> int:
    """Queue a position that was typed, and warn if it looks swapped; how many are not taken."""
    held = me.enqueue([here], _group_id(me, group))
    with desk.home() as home:
        is_odd = look_swapped([here], _known_spots(home))
        if not is_odd:
            last_shared.remember(home, here)
    if is_odd:
        desk.terminal.say(
            f"{SWAPPED} If so, share it again the other way round: draugar share LAT LON", "yellow"
        )
    return held


def _group_id(me: Client, name: str | None) -> UUID | None:
    return me.group_id(name) if name else None


def _not_kept(code: str, number: int) -> CommandFailure:
    """Return the failure of positions that were not shared, for a code of the service."""
    was = "was" if number == 1 else "were"
    effect = f"{points(number)} {was} not shared, and not kept."
    return CommandFailure.of(REFUSALS[code]._replace(effect=effect))


def _way_on(obstacle: Failure) -> str:
    """Say what makes waiting positions go."""
    if isinstance(obstacle, ServiceAway):
        return "They go with the next: draugar share"
    return f"{told(obstacle).next_step}. They go then with: draugar share"


def _unseen(me: Client, group: str | None, positions: Iterable[Position]) -> str:
    """Say why none of the others is to be seen, where that is so; else nothing."""
    if any(not position.is_mine for position in positions):
        return ""
    meant, now = me.group(group), _now()
    if all(person.is_me for person in me.people(meant.id)):
        alone = f"You are the only one in {plain(meant.name)}. Next: draugar invite"
        return "" if list(positions) else alone
    since = f"since you joined ({clock(meant.joined_at, now)})"
    if meant.joined_at < now - timedelta(days=meant.retention_days):
        since = f"in the last {present.days(meant.retention_days)}, and older positions are deleted"
    return (
        f"No one else in {plain(meant.name)} has shared {since}. You see each of them when they"
        " next share."
    )


def _warn_of_namesake(desk: Context, me: Client, group: Group) -> None:
    """Say so where another member of a group has this member's name."""
    members: list[Person] = []
    with suppress(Failure):  # it was done all the same
        members = me.people(group.id)
    if any(person.is_me and person.mark for person in members):
        desk.terminal.say(
            f"Another member of {plain(group.name)} has this name too. What tells you apart stands"
            " behind it in: draugar people. To take another name: draugar rename NAME",
            "yellow",
        )


def _others(me: Client, group_id: UUID | None) -> list[Person]:
    return [person for person in me.people(group_id) if not person.is_me]


def _is_unsure(person: Person) -> bool:
    return any(
        device.standing in (TrustState.PENDING, TrustState.ENDED) for device in person.devices
    )


def _found(
    name: str, among: Sequence[Person], fits: Callable[[Person], bool] = lambda _: True
) -> Person:
    """Return whom a name, an id or its end means; of several, the one that fits. Raises Unknown."""
    wanted, exact = same(name), pasted.as_id(name)
    found = [person for person in among if person.user_id == exact] or [
        person
        for person in among
        if wanted
        in {
            same(person.name),
            same(person.listed_name),
            person.mark or None,
            same(told_apart(person.name, person.mark)),
        }
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


def _one_of(name: str, among: Iterable[OwnDevice], none: str) -> OwnDevice:
    """Return the device that a name or an id means. Raises Unknown."""
    mine = list(among)
    wanted, exact = same(name), pasted.as_id(name)
    found = [one for one in mine if one.id == exact]
    found = found or [one for one in mine if same(one.name) == wanted]
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


def _recorded(desk: Context, read: Track, file: Path, *, end_now: bool) -> Track:
    """Return the points of a track that can be shared, and say which cannot. Raises NotATrack."""
    track = read.ending(_now()) if end_now else read.recorded()
    if track.points:
        if track.left_out:
            desk.terminal.say(left_out(track), "yellow")
        return track
    again = f"draugar share --gpx {shlex.quote(str(file))} --end-now"
    raise CommandFailure(
        left_out(track),
        f"Say --end-now to share it as though it had just ended. Next: {again}"
        if read.points
        else TEXTS[FailureCode.NOT_A_TRACK].next_step,
    )


def _say_shared_before(desk: Context, file: Path, at: datetime, *, end_now: bool) -> None:
    words = ["draugar", "share", "--gpx", str(file), *(["--end-now"] * end_now), "--again"]
    desk.terminal.say(
        f"This track was shared before, {clock(at)}, and is not shared again. To share it all the"
        f" same: {shlex.join(words)}",
        "yellow",
    )


def _say_of_track(
    desk: Context, me: Client, file: Path, fixes: Sequence[Fix], group_id: UUID | None
) -> None:
    """Say before a track is shared that it changes no present position, or looks swapped."""
    seen: list[Position] = []
    with suppress(Failure):  # without the service nothing is known to compare with
        seen = me.where(group_id)
    here = max((one.fix for one in seen if one.is_mine), key=lambda fix: fix.at, default=None)
    first, last = min(fix.at for fix in fixes), max(fix.at for fix in fixes)
    if here is not None and last <= here.at:
        desk.terminal.say(
            f"The track ends {clock(last)}, before your present position of {clock(here.at)}: where"
            " and map go on showing that one. To see the track: draugar history --from"
            f" {first.astimezone():%Y-%m-%d}",
            "yellow",
        )
    if look_swapped(fixes, [*(one.fix for one in seen), *desk.places()]):
        desk.terminal.say(
            f"Warning: the positions of {file} look as though latitude and longitude were swapped."
            " They are shared as they are in the file.",
            "yellow",
        )


def _warn_of_phones(desk: Context, me: Client, group: Group, *, gone: UUID | None = None) -> None:
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
        desk.terminal.say(
            f"With a new key, {many} with OwnTracks in {plain(group.name)} must be set up again:"
            " draugar phone renew",
            "yellow",
        )


def _see_file(desk: Context, file: Path | None, *, yes: bool) -> None:
    """See that a phone's file can be written, before the phone is made."""
    if file == STDIO:
        raise typer.BadParameter("It holds a key: give a file, which only you may read.")
    _may_write(desk, file, yes=yes)


def _may_write(desk: Context, file: Path | None, *, yes: bool) -> None:
    """See before any work that a file can be written, and ask where there is one already."""
    if file == STDIO:
        return
    directory = file.parent if file else Path()
    if not os.access(directory, os.W_OK | os.X_OK):
        raise CommandFailure(
            f"Nothing can be written in {directory}.",
            "Run the same command with a file elsewhere, as in: draugar map FILE",
        )
    if file and file.exists() and not _is_map(file):
        desk.terminal.consent(f"{file} is there already. Write over it?", is_given=yes)


def _is_map(file: Path) -> bool:
    """Whether a file is an earlier map, which a new one replaces."""
    with suppress(OSError), file.open("rb") as stream:
        return maps.GENERATOR in stream.read(maps.HEAD)
    return False


def _hand_over(desk: Context, url: str, file: Path | None, setup: PhoneSetup) -> None:
    """Give out what sets a phone up, and say how it is used and that it is to be deleted."""
    terminal = desk.terminal
    names = ("", *(f"-{number}" for number in range(2, 1000)))
    free = (Path(f"owntracks-{setup.tid}{name}.otrc") for name in names)
    file = file or next(path for path in free if not path.exists())
    try:
        _keep(file, setup.otrc.decode())
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


def _flush(desk: Context, me: Client) -> Shared:
    """Send what waits, and show how far that is."""
    total = me.waiting()
    if not total:
        return me.flush()
    with desk.terminal.progress("Sharing", total) as progress:
        return me.flush(lambda waiting: progress(total - waiting))


def _counted(desk: Context, positions: Iterable[Position]) -> list[Position]:
    """Read positions, and show how many there are so far."""
    found: list[Position] = []
    with desk.terminal.progress("Reading positions") as progress:
        for position in positions:
            found.append(position)
            if len(found) % COUNTED == 0:
                progress(len(found))
    return found


def _last_known(desk: Context, me: Client, group: str | None, failure: ServiceAway) -> LastKnown:
    """Return where the members were when the service last answered, and say so.

    Raises the failure where nothing is known.
    """
    known = me.last_known(group)
    if known is None:
        raise failure
    now = _now()
    desk.terminal.say(
        f"{told(failure).reason} These positions are old: they are the last that this device knows,"
        f" of {clock(known.as_of, now)} ({ago(now - known.as_of)}). To try again: draugar where",
        "yellow",
    )
    return known


def _trails(current: Iterable[Position], past: Iterable[Position], now: datetime) -> list[Trail]:
    """Make a trail of each device; where there are current ones, of the present devices only."""
    standing, past = list(current), list(past)
    present_ones = newest([*standing, *past]).values() if standing else ()
    devices = {position.device_id for position in present_ones}
    walked: dict[UUID, dict[UUID, Position]] = {}
    for position in (*past, *standing):
        if not devices or position.device_id in devices:
            walked.setdefault(position.device_id, {})[position.point_id] = position
    trails = []
    for positions in walked.values():
        ordered = sorted(positions.values(), key=lambda position: position.order)
        fixes = [position.fix for position in ordered]
        waits = present.waits(ordered[-1], now)
        trails.append(Trail(plain(present.owner(ordered)), fixes, waits))
    return sorted(trails, key=lambda trail: trail.fixes[-1].at, reverse=True)


def _keep(file: Path, content: str) -> None:
    """Write a file that only its owner may read, whole or not at all; - is stdout."""
    if file == STDIO:
        sys.stdout.write(content)
        return
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(content)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise CommandFailure(
            f"{file} cannot be written: {error.strerror}.",
            "Run the same command with another file, as in: draugar map FILE",
        ) from None
