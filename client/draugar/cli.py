"""The command line: what somebody types, and what they are told.

A command is a function of its `Desk`: a terminal, and the home of one device. It calls one use
case of `Member` and presents what that returns; nothing of the protocol is known here. What is
common to all commands are the options of `_desk`. The docstrings are what `--help` shows.

Exit status: 0 done; 1 it failed, and stderr says why and what to do next; 2 it was mistyped.
"""

import inspect
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.text import Text
from typer.core import TyperGroup

from draugar import gpx, phones, places, present, reminding
from draugar import map as maps
from draugar.errors import Failure, NotPossible, ServiceAway, TrustFailure, Unknown
from draugar.geo import Coordinates, NotAPosition, Trail, look_swapped
from draugar.home import Home
from draugar.links import InviteLink, Unreadable
from draugar.member import Member
from draugar.model import Comparison, Fix, Group, OwnDevice, Person, Position, Shared
from draugar.phones import PhoneSetup
from draugar.places import Place
from draugar.present import Sight, points
from draugar.render import Terminal, clock, degrees, metres, plain, qr
from draugar.teller import Teller
from draugar.track import NotATrack, Track
from draugar.when import EmptyRange, NotATime, between, moment

MISTYPED = (EmptyRange, NotAPosition, NotATime)
STDIO = Path("-")
TYPED_ACCURACY, UNKNOWN_ACCURACY = 10.0, 0.0
"""Metres."""
COUNTED = 100
"""Positions after which progress is shown."""
BELOW_ZERO = {"ignore_unknown_options": True}
"""Degrees west and south start with a hyphen, as options do."""
EVERYDAY, COMING_IN, TRUST, MINE = "Every day", "Coming in", "Whom you trust", "What is yours"


def option(
    name: str, says: str, metavar: str | None = None, *, show_default: bool = False, **more: Any
) -> Any:
    """Declare an option by what its help says."""
    return typer.Option(name, help=says, metavar=metavar, show_default=show_default, **more)


def argument(name: str, says: str = "", **more: Any) -> Any:
    """Declare an argument by what its help says."""
    return typer.Argument(metavar=name, help=says, show_default=False, **more)


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
WriteOver = Annotated[bool, option("--yes", "Write over the file without asking.")]
Unsealed = Annotated[
    bool,
    option("--in-the-clear", "Agree that the service can read it, in a group without a key."),
]


class Role(StrEnum):
    """What somebody is in a group."""

    ADMIN = "admin"
    MEMBER = "member"


class NeverShown(NotPossible):
    """A number cannot have been compared before it was shown; another one may have been."""

    text = "This number was not shown here before: either it has changed, or nobody compared it."
    advice = "Compare it now; if it is the same on both sides, say so once more."


class _ListsByDefault(TyperGroup):
    """Commands about a list: without one of them, the list itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
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
class Desk:
    """Where a command works: a terminal, and a home (None: the one that is meant by default)."""

    terminal: Terminal
    directory: Path | None
    patience: timedelta
    """How long a service is waited for that is away, or busy."""

    def home(self) -> Home:
        """Open the home."""
        return Home.open(self.directory)

    @contextmanager
    def member(self) -> Iterator[Member]:
        """Open the home of a member, and tell at the end which of their phones wait."""
        with self.home() as home, Member(home, **self.manner) as member:
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
            reminding.remind_from_memory(home, Teller(home, self.terminal.notice))

    @property
    def manner(self) -> dict[str, Any]:
        """How a member is to be: whom they tell, and how long they wait."""
        return {"tell": self.terminal.notice, "patience": self.patience}

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
) -> Desk:
    return Desk(Terminal(as_json=as_json), home, timedelta(seconds=wait))


def command(
    name: str, panel: str | None = None, to: typer.Typer = app, **settings: Any
) -> Callable[[Callable[..., None]], None]:
    """Make a command of a function of a Desk, with the options that are common to all."""
    common = inspect.signature(_desk).parameters

    def register(function: Callable[..., None]) -> None:
        signature = inspect.signature(function)
        _, *own = signature.parameters.values()
        every = [*own, *common.values()]

        def run(**given: Any) -> None:
            desk = _desk(**{option: given.pop(option) for option in common})
            function(desk, **given)

        run.__annotations__ = {option.name: option.annotation for option in every}
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [option.replace(kind=option.KEYWORD_ONLY) for option in every]
        )
        says = "\n\n".join(
            " ".join(paragraph.split()) for paragraph in (function.__doc__ or "").split("\n\n")
        )
        to.command(name, help=says, rich_help_panel=panel, **settings)(run)

    return register


def main() -> None:
    """Run the command that was typed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # another kind of stream stands there
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    told = Terminal(as_json=False)
    try:
        app(prog_name="draugar")  # however it was started
    except Failure as failure:
        told.fail(failure.reason, failure.next_step)
        sys.exit(2 if isinstance(failure, MISTYPED) else 1)
    except Unreadable as error:
        told.fail(str(error), "Copy it again, whole, or ask for a new one.")
        sys.exit(1)
    except Exception as error:
        if "DRAUGAR_DEBUG" in os.environ:
            raise
        told.fail(
            f"This should not have happened ({type(error).__name__}).",
            "Please report it, with what DRAUGAR_DEBUG=1 shows besides.",
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


@command("found", COMING_IN)
def found(  # noqa: PLR0913 -- the options of one command
    desk: Desk,
    url: Annotated[str, argument("URL", "The service's address.")],
    code: Annotated[str, argument("CODE", "The founding code; - reads it from stdin.")],
    *,
    name: Annotated[str, option("--name", "What the others shall call you.", "NAME")],
    group: Annotated[
        str, option("--group", "What the group is called.", "NAME", show_default=True)
    ] = "Family",
    device: DeviceName = "Computer",
) -> None:
    """Found a group, with the code that whoever runs the service gave you."""
    terminal = desk.terminal
    code = _typed(terminal, code, "The founding code: ")
    with (
        desk.home() as home,
        Member.found(
            home,
            url=url,
            code=code,
            name=name,
            group=group,
            device=device,
            **desk.manner,
        ) as me,
    ):
        founded = me.group()
        terminal.answer(
            present.membership_data(me, founded),
            f"Welcome, {plain(me.name)}. You have founded {plain(founded.name)}. Only its members'"
            " devices can read what is shared in it.",
            "Next: draugar invite",
        )


@command("invite", COMING_IN)
def invite(
    desk: Desk,
    *,
    typed: Annotated[bool, option("--typed", "A short code to read out, not a link.")] = False,
    for_me: Annotated[bool, option("--for-me", "For a further device of your own.")] = False,
    hours: Annotated[
        int | None,
        option("--hours", "How long it is good for: 24 for a link, 1 for a code.", min=1, max=168),
    ] = None,
    group: InGroup = None,
) -> None:
    """Invite somebody: a link and its QR code, or a short code.

    Whoever opens the link can read where you all are at once, even while you are offline. Whoever
    types a short code waits until a member has compared a safety number with them.
    """
    if typed and for_me:
        raise typer.BadParameter("A device of your own comes in by a link: leave out --typed.")
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
    terminal.answer(data, Text(made.link.text, no_wrap=True, overflow="ignore"))
    if terminal.is_watched:
        terminal.answer(data, qr(made.link.text))
    how = "Open it on your other device." if for_me else "Send it by a private channel."
    terminal.say(f"{how} Whoever has this link comes in by it, {once}. It is shown only now.")


@command("join", COMING_IN)
def join(  # noqa: PLR0913 -- the options of one command
    desk: Desk,
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
    start_over: Annotated[
        bool, option("--start-over", "Forget an earlier join that never finished.")
    ] = False,
) -> None:
    """Join a group by a link or a code; while you are in one, a further one."""
    terminal = desk.terminal
    invite = _typed(terminal, invite, "The link or code: ")
    link = InviteLink.parse(invite) if ":" in invite else None
    with desk.home() as home:
        if start_over:
            home.forget_join()
        is_new = not home.is_joined
        if is_new and not name and not (link and link.for_me):
            raise typer.BadParameter("Say what the others shall call you: --name NAME")
        if is_new and not link and not url:
            raise typer.BadParameter("A code needs the service's address as well: --url URL")
        called: dict[str, Any] = {"name": name or "me", "device": device, **desk.manner}
        if not is_new:
            me = Member(home, **desk.manner)
        elif link:
            me = Member.join(home, link, **called)
        else:
            me = Member.join_by_code(home, url=url or "", code=invite, **called)
        with me:
            group = me.group() if is_new else me.join_group(link or invite)
            terminal.answer(present.membership_data(me, group), *present.entered(group))
            with suppress(Failure):
                me.remind()


@command("list", to=invites_app)
def list_invites(desk: Desk) -> None:
    """Show the invites that nobody has used yet, without their codes."""
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


@command("revoke", to=invites_app)
def revoke_invite(desk: Desk, invite: Annotated[UUID, argument("ID")]) -> None:
    """Take an invite back: nobody can come in by it any more."""
    with desk.member() as me:
        me.revoke_invite(invite)
    desk.terminal.answer({"revoked": str(invite)}, "Nobody can come in by it any more.")


# Every day


@command("where", EVERYDAY)
def where(desk: Desk, *, group: InGroup = None) -> None:
    """Show where everybody is, and how far from you."""
    named, now = desk.places(), _now()
    with desk.member() as me:
        positions = me.where(_group_id(me, group))
    mine = max(
        (position for position in positions if position.is_mine),
        key=lambda position: position.fix.at,
        default=None,
    )
    sights = [Sight.of(position, mine, named) for position in positions]
    desk.terminal.rows(
        {"positions": [sight.data() for sight in sights]},
        ("Who", "Where", "From you", "Seen", "Within", "Battery"),
        [sight.row(now) for sight in sights],
        nothing="Nobody has shared where they are.",
    )


@command("map", EVERYDAY)
def draw_map(  # noqa: PLR0913 -- the options of one command
    desk: Desk,
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
            "Lay map tiles under it, as from https://HOST/{z}/{x}/{y}.png. Their host then learns"
            " which area you look at.",
            "URL",
        ),
    ] = None,
    yes: WriteOver = False,
    group: InGroup = None,
) -> None:
    """Draw everybody on a map: one file that any browser opens, without any network."""
    named, now = desk.places(), _now()
    _may_write(desk, file, yes=yes)
    with desk.member() as me:
        meant = me.group(group)
        current = me.where(meant.id)
        read = me.history(meant.id, since=now - timedelta(hours=hours)) if hours else ()
        past = _counted(desk, read)
        trails = _trails(current, past, now)
    if not trails:
        raise NotPossible("Nobody has shared where they are.", advice="Next: draugar share LAT LON")
    _keep(file, maps.drawn(trails, named, title=meant.name, now=now, tiles=tiles))
    desk.terminal.answer({"file": str(file.absolute())}, f"Open {file.absolute()} in a browser.")
    if tiles:
        desk.terminal.say(
            "Whenever it is opened, the host of the tiles learns which area you look at.", "yellow"
        )


@command("share", EVERYDAY, context_settings=BELOW_ZERO)
def share(  # noqa: PLR0913 -- the options of one command
    desk: Desk,
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
        if fixes:
            me.enqueue(fixes, _group_id(me, group))
        if track:
            # What is shifted is another recording each time, and the same file.
            name = me.digest(read if end_now else recorded) + "+" * end_now
            group_id = _group_id(me, group)
            before = None if again else me.queued_at(name, group_id)
            if before:
                _say_shared_before(desk, track, before, end_now=end_now)
            else:
                fixes = recorded.fixes(accuracy=accuracy or UNKNOWN_ACCURACY)
                _say_of_track(desk, me, track, fixes, group_id)
                me.enqueue(fixes, group_id, track=name)
        try:
            shared, away = _flush(desk, me), None
        except ServiceAway as failure:
            shared, away = Shared(stored=0, dropped=0, waiting=me.waiting()), failure
    desk.terminal.answer(
        asdict(shared),
        *([f"Shared {points(shared.stored)}."] if shared.stored else []),
        *([] if any(vars(shared).values()) else ["Nothing waits to be shared."]),
    )
    if shared.dropped:
        raise NotPossible(
            f"The service refused {points(shared.dropped)} for good.",
            advice="The notes above say why.",
        )
    if shared.waiting:
        reason = away.reason if away else "Nobody has confirmed this device yet."
        raise NotPossible(
            f"{reason} Nothing is lost: {points(shared.waiting)} waiting here.",
            advice="They go with the next: draugar share",
        )


@command("history", EVERYDAY)
def history(  # noqa: PLR0913 -- the options of one command
    desk: Desk,
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
    yes: WriteOver = False,
    group: InGroup = None,
) -> None:
    """Show where everybody has been, or write it as GPX or GeoJSON."""
    named, now = desk.places(), _now()
    start, end = between(since, until, now)
    for file in filter(None, (as_gpx, as_geojson)):
        _may_write(desk, file, yes=yes)
    with desk.member() as me:
        group_id = _group_id(me, group)
        user_id = _found(name, me.people(group_id)).user_id if name else None
        read = me.history(group_id, user_id=user_id, since=start, until=end or now)
        positions = sorted(_counted(desk, read), key=lambda position: position.fix.at)
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
    sights = [Sight.of(position, None, named) for position in positions]
    desk.terminal.rows(
        {"points": [sight.data() for sight in sights]},
        ("When", "Who", "Where", "Within"),
        [
            (clock(sight.fix.at), sight.name, sight.spot, metres(sight.fix.accuracy))
            for sight in sights
        ],
        nothing="Nobody has shared anything in that time.",
    )


@command("pause", EVERYDAY)
def pause(
    desk: Desk,
    *,
    until: Annotated[
        str | None, option("--until", "2h, 18:30 or 2026-08-05; else until you resume.", "TIME")
    ] = None,
    group: InGroup = None,
) -> None:
    """Stop being seen for a while. To the others you look offline, and no more."""
    resumes_at = moment(until, _now(), is_ahead=True) if until else None
    with desk.member() as me:
        me.pause(_group_id(me, group), until=resumes_at)
    end = f"until {clock(resumes_at, _now())}" if resumes_at else "until you say: draugar resume"
    desk.terminal.answer(
        {"isPaused": True, "resumesAt": present.stamp(resumes_at)}, f"You share nothing {end}."
    )


@command("resume", EVERYDAY)
def resume(desk: Desk, *, group: InGroup = None) -> None:
    """Be seen again."""
    with desk.member() as me:
        me.resume(_group_id(me, group))
    desk.terminal.answer({"isPaused": False, "resumesAt": None}, "You can be seen again.")


@command("list", to=places_app)
def list_places(desk: Desk) -> None:
    """Show your places."""
    with desk.own_home() as home:
        named = places.listed(home)
    desk.terminal.rows(
        {"places": [asdict(place) for place in named]},
        ("Place", "Where", "Within"),
        [(plain(place.name), degrees(place), metres(place.radius)) for place in named],
        nothing="You have named no place. Next: draugar places add NAME LAT LON",
    )


@command("add", to=places_app, context_settings=BELOW_ZERO)
def add_place(
    desk: Desk,
    name: Annotated[str, argument("NAME")],
    latitude: Annotated[str, argument("LAT", "- reads both from stdin: no shell keeps them.")],
    longitude: Annotated[str | None, argument("LON")] = None,
    *,
    radius: Annotated[
        float,
        option("--radius", "How large it is.", "METRES", min=1, max=100_000, show_default=True),
    ] = places.RADIUS,
) -> None:
    """Name a place; it stays on this device."""
    here = _position(desk.terminal, latitude, longitude)
    place = Place(name.strip(), here.latitude, here.longitude, radius)
    with desk.own_home() as home:
        places.add(home, place)
    desk.terminal.answer(asdict(place), f"{plain(place.name)} is a place of yours now.")


@command("remove", to=places_app)
def remove_place(desk: Desk, name: Annotated[str, argument("NAME")]) -> None:
    """Forget a place."""
    with desk.own_home() as home:
        places.remove(home, name)
    desk.terminal.answer({"removed": name}, f"{plain(name)} is forgotten.")


# Whom you trust


@command("confirm", TRUST)
def confirm(
    desk: Desk,
    name: Annotated[str | None, argument("NAME", "Whom; without it, see who waits.")] = None,
    *,
    yes: Annotated[bool, option("--yes", "The number has been compared already.")] = False,
    group: InGroup = None,
) -> None:
    """Let somebody in who joined by a code, once you have compared a safety number.

    Call them, or meet. The same command shows them their number: if both are the same, nobody
    stands between you.
    """
    terminal = desk.terminal
    with desk.member() as me:
        group_id = _group_id(me, group)
        if name is None:
            waiting = me.pending(group_id)
            terminal.answer(
                {"pending": [present.comparison_data(comparison) for comparison in waiting]},
                *(map(present.comparison_text, waiting) if waiting else ["Nobody waits."]),
            )
            if waiting:
                terminal.say("Compare it by a call. The same on both sides: draugar confirm NAME")
            return
        # Of this person alone: no other's number counts as shown.
        comparison = me.compare(_found(name, me.people(group_id)).user_id, group_id)
        if comparison.safety_number and not (yes and comparison.was_shown):
            terminal.say(present.comparison_text(comparison))
            if yes:
                raise NeverShown
            terminal.consent(f"Does {plain(comparison.name)} see the very same number?")
        me.confirm(comparison)
    terminal.answer(
        {"confirmed": present.who_data(comparison)}, f"{plain(comparison.name)} is confirmed."
    )


@command("people", TRUST)
def people(desk: Desk, *, group: InGroup = None) -> None:
    """Show who is in the group, and how this device knows that it is them."""
    with desk.member() as me:
        members = me.people(_group_id(me, group))
    desk.terminal.rows(
        {"people": [present.person_data(person) for person in members]},
        ("Who", "Role", "Since", "Devices", "OwnTracks"),
        [
            (
                present.person_name(person),
                person.role,
                clock(person.joined_at),
                "; ".join(map(present.standing, person.devices)) or "none with a key",
                ", ".join(
                    present.phone_name(phone.tid, needs_setup=phone.needs_setup)
                    for phone in person.phones
                ),
            )
            for person in members
        ],
        nothing="There is nobody.",
    )


@command("safety", TRUST)
def safety(desk: Desk, name: Annotated[str, argument("NAME")], *, group: InGroup = None) -> None:
    """Show the safety number of you and somebody, to compare at any time."""
    with desk.member() as me:
        group_id = _group_id(me, group)
        comparison = me.compare(_found(name, me.people(group_id)).user_id, group_id)
    data = present.comparison_data(comparison)
    desk.terminal.answer(data, present.comparison_text(comparison))
    if desk.terminal.is_watched and comparison.safety_number:
        desk.terminal.answer(data, qr(comparison.safety_number.replace(" ", "")))


@command("rotate", TRUST)
def rotate(
    desk: Desk,
    *,
    restored: Annotated[
        bool,
        option("--restored", "Whoever runs the service says that it was restored from a backup."),
    ] = False,
    group: InGroup = None,
) -> None:
    """Change the group's key, for those whose devices you trust."""
    with desk.member() as me:
        meant = me.group(group)
        _warn_of_phones(desk, me, meant)
        rotation = me.rotate(meant.id, is_restored=restored)
    desk.terminal.answer(present.rotation_data(rotation), *present.rotation_texts(rotation))


@command("remove", TRUST)
def remove(
    desk: Desk, name: Annotated[str, argument("NAME")], *, yes: Yes = False, group: InGroup = None
) -> None:
    """Remove somebody, and change the key; only those who run the group can.

    What somebody has seen before cannot be taken back.
    """
    terminal = desk.terminal
    with desk.member() as me:
        meant = me.group(group)
        person = _found(name, me.people(meant.id))
        _warn_of_phones(desk, me, meant, gone=person.user_id)
        terminal.consent(
            f"Remove {plain(person.name)}? What they posted in the group is deleted.", is_given=yes
        )
        rotation = me.remove(person.user_id, meant.id)
    terminal.answer(
        {"removed": present.who_data(person), "rotation": present.rotation_data(rotation)},
        f"{plain(person.name)} is removed. What they have seen before cannot be taken back.",
        *present.rotation_texts(rotation),
    )


@command("role", TRUST)
def set_role(
    desk: Desk,
    name: Annotated[str, argument("NAME")],
    role: Annotated[Role, argument("ROLE", "admin or member.")],
    *,
    group: InGroup = None,
) -> None:
    """Let somebody run the group, or no longer; only those who run it can.

    Who runs a group removes people, and reads nothing that the others do not.
    """
    with desk.member() as me:
        meant = me.group(group)
        person = _found(name, me.people(meant.id))
        me.set_role(person.user_id, role.value, meant.id)
    desk.terminal.answer(
        {**present.who_data(person), "role": role.value}, f"{plain(person.name)} is {role} now."
    )


# What is yours


@command("groups", MINE)
def groups(desk: Desk) -> None:
    """Show the groups you are in."""
    with desk.member() as me:
        mine = me.groups()
    desk.terminal.rows(
        {"groups": [present.group_data(group) for group in mine]},
        ("Group", "You are", "Sealed", "Key", "Kept", "Sharing"),
        [
            (
                plain(group.name),
                group.role,
                "always" if group.encryption == "required" else "not always",
                f"{group.key_state} ({group.key_version})",
                f"{group.retention_days} days",
                "paused" if group.is_paused else "on",
            )
            for group in mine
        ],
        nothing="You are in no group. Next: draugar join LINK",
    )


@command("list", to=devices_app)
def list_devices(desk: Desk) -> None:
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
        nothing="There is none.",
    )


@command("revoke", to=devices_app)
def revoke_device(
    desk: Desk, device: Annotated[str, argument("NAME-OR-ID")], *, yes: Yes = False
) -> None:
    """Make a device worthless, such as a lost phone, and change the keys that it knows."""
    with desk.member() as me:
        others = [other for other in me.devices() if not other.is_this_one]
        lost = _found(device, others, "You have no other device of this name or id.")
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


@command("add", to=phone_app)
def add_phone(  # noqa: PLR0913 -- the options of one command
    desk: Desk,
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
    shares as the person whose home this is. For the phone of a child or a grandparent, give them a
    home of their own on your computer:

    draugar --home ~/kid join LINK --name Kid, with a LINK of: draugar invite

    draugar --home ~/kid phone add
    """
    _see_file(desk, file, yes=yes)
    with desk.member() as me:
        hand_over = partial(_hand_over, desk, me.url, file)
        me.add_phone(
            name, _group_id(me, group), tid, in_the_clear=in_the_clear, hand_over=hand_over
        )


@command("renew", to=phone_app)
def renew_phone(
    desk: Desk,
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
            due = due or [_found(phone, mine, "You have no phone of this name or tid.")]
        if not due:
            raise Unknown("You have no phone with OwnTracks.", advice="Next: draugar phone add")
        if len(due) > 1:
            told = ", ".join(f"{plain(one.name)} ({one.tid})" for one in due)
            raise Unknown(f"You have several phones: {told}.", advice="Name one of them.")
        hand_over = partial(_hand_over, desk, me.url, file)
        me.renew_phone(due[0].id, in_the_clear=in_the_clear, hand_over=hand_over)


@command("rename", MINE)
def rename(desk: Desk, name: Annotated[str, argument("NAME")]) -> None:
    """Change what the others call you. They are told of it."""
    with desk.member() as me:
        me.rename(name)
        user_id = me.user_id
    desk.terminal.answer(
        {"userId": str(user_id), "name": name.strip()}, f"You are {plain(name.strip())} now."
    )


@command("erase", MINE)
def erase(
    desk: Desk,
    *,
    since: Annotated[
        str | None, option("--from", "2h, 3d, 18:30 or 2026-08-05; else from the first.", "TIME")
    ] = None,
    until: Annotated[str | None, option("--to", "The same; else to the last.", "TIME")] = None,
    yes: Yes = False,
    group: InGroup = None,
) -> None:
    """Delete what you have shared with a group, all of it or of a time, and what still waits here.

    The time is that of sending. What others have fetched they keep, and those who have seen newer
    positions of yours than are left are told that there is less.
    """
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


@command("leave", MINE)
def leave(desk: Desk, *, yes: Yes = False, group: InGroup = None) -> None:
    """Leave a group. Nobody is asked, and what you posted there is deleted."""
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
    desk: Desk,
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


@command("logout", MINE)
def logout(desk: Desk, *, yes: Yes = False) -> None:
    """Take this device out of use, and forget here all that it knows."""
    with desk.member() as me:
        desk.terminal.consent(
            f"Log {plain(me.name)} out here? What only this device can read is lost.", is_given=yes
        )
        me.logout()
    desk.terminal.answer({"loggedOut": True}, "This device knows nothing any more.")


@command("delete-account", MINE)
def delete_account(desk: Desk, *, yes: Yes = False) -> None:
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


def _typed(terminal: Terminal, text: str, prompt: str) -> str:
    """Return what was typed, or, where that is a hyphen, the first line of stdin."""
    return terminal.read(prompt) if text == "-" else text.strip()


def _position(terminal: Terminal, latitude: str, longitude: str | None) -> Coordinates:
    """Read a position as it was typed; in the place of both, a hyphen means a line of stdin."""
    if latitude == "-" and longitude is None:
        latitude, _, longitude = terminal.read("Latitude and longitude: ").partition(" ")
    if not longitude:
        raise typer.BadParameter("A position is a latitude and a longitude.")
    return Coordinates.parse(latitude, longitude)


def _group_id(me: Member, name: str | None) -> UUID | None:
    return me.group(name).id if name else None


T = TypeVar("T", bound=Comparison | Person | OwnDevice)


def _found(name: str, among: Iterable[T], nobody: str = "Nobody here has this name.") -> T:
    """Return whom a name or an id means. Raises Unknown."""

    def id_of(one: T) -> str:
        return str(one.id if isinstance(one, OwnDevice) else one.user_id)

    wanted = name.strip().casefold()
    found = [one for one in among if wanted in {one.name.casefold(), id_of(one)}]
    if not found:
        raise Unknown(nobody, advice="See who there is: draugar people, or draugar devices.")
    if len(found) > 1:
        ids = ", ".join(map(id_of, found))
        raise Unknown("Several have this name.", advice=f"Give an id in its place: {ids}")
    return found[0]


def _recorded(desk: Desk, read: Track, file: Path, *, end_now: bool) -> Track:
    """Return the points of a track that can be shared, and say which cannot. Raises NotATrack."""
    track = read.ending(_now()) if end_now else read.recorded()
    if track.points:
        if track.left_out:
            desk.terminal.say(track.explanation(), "yellow")
        return track
    again = f"draugar share --gpx {shlex.quote(str(file))} --end-now"
    raise NotATrack(
        track.explanation(),
        advice=f"Say --end-now to share it as though it had just ended. Next: {again}"
        if read.points
        else None,
    )


def _say_shared_before(desk: Desk, file: Path, at: datetime, *, end_now: bool) -> None:
    words = ["draugar", "share", "--gpx", str(file), *(["--end-now"] * end_now), "--again"]
    desk.terminal.say(
        f"This track was shared before, {clock(at)}, and is not shared again. To share it all the"
        f" same: {shlex.join(words)}",
        "yellow",
    )


def _say_of_track(
    desk: Desk, me: Member, file: Path, fixes: Sequence[Fix], group_id: UUID | None
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


def _warn_of_phones(desk: Desk, me: Member, group: Group, *, gone: UUID | None = None) -> None:
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


def _see_file(desk: Desk, file: Path | None, *, yes: bool) -> None:
    """See that a phone's file can be written, before the phone is made."""
    if file == STDIO:
        raise typer.BadParameter("It holds a key: give a file, which only you may read.")
    _may_write(desk, file, yes=yes)


def _may_write(desk: Desk, file: Path | None, *, yes: bool) -> None:
    """See before any work that a file can be written, and ask where there is one already."""
    if file == STDIO:
        return
    directory = file.parent if file else Path()
    if not os.access(directory, os.W_OK | os.X_OK):
        raise NotPossible(f"Nothing can be written in {directory}.", advice="Name another file.")
    if file and file.exists() and not _is_map(file):
        desk.terminal.consent(f"{file} is there already. Write over it?", is_given=yes)


def _is_map(file: Path) -> bool:
    """Whether a file is an earlier map, which a new one replaces."""
    with suppress(OSError), file.open("rb") as stream:
        return maps.GENERATOR in stream.read(maps.HEAD)
    return False


def _hand_over(desk: Desk, url: str, file: Path | None, setup: PhoneSetup) -> None:
    """Give out what sets a phone up, and say how it is used and that it is to be deleted."""
    terminal = desk.terminal
    names = ("", *(f"-{number}" for number in range(2, 1000)))
    free = (Path(f"owntracks-{setup.tid}{name}.otrc") for name in names)
    file = file or next(path for path in free if not path.exists())
    try:
        _keep(file, setup.otrc.decode())
    except NotPossible as failure:
        raise NotPossible(
            failure.reason,
            advice=f"The phone is not set up. Next: draugar phone renew {setup.tid} --file FILE",
        ) from None
    if warning := phones.unreachable(url):
        terminal.say(f"Warning: {warning}", "yellow")
    data = present.setup_data(setup, str(file.absolute()))
    terminal.answer(data, f"Wrote {file.absolute()}. OwnTracks calls this phone {setup.tid}.")
    if terminal.is_watched:
        code = qr(setup.link)
        columns = code.plain.index("\n")
        if columns <= terminal.out.width:
            terminal.answer(data, code)
        else:
            terminal.say(
                f"For a QR code this window has to be {columns} columns wide: widen it, and run"
                f" draugar phone renew {setup.tid}"
            )
    for step in present.SETUP_STEPS:
        terminal.say(step)


def _flush(desk: Desk, me: Member) -> Shared:
    """Send what waits, and show how far that is."""
    total = me.waiting()
    if not total:
        return me.flush()
    with desk.terminal.progress("Sharing", total) as progress:
        return me.flush(lambda waiting: progress(total - waiting))


def _counted(desk: Desk, positions: Iterable[Position]) -> list[Position]:
    """Read positions, and show how many there are so far."""
    found: list[Position] = []
    with desk.terminal.progress("Reading positions") as progress:
        for position in positions:
            found.append(position)
            if len(found) % COUNTED == 0:
                progress(len(found))
    return found


def _trails(current: Iterable[Position], past: Iterable[Position], now: datetime) -> list[Trail]:
    """Make a trail of each device, newest first; where there are current ones, of theirs only."""
    standing = list(current)
    devices = {position.device_id for position in standing}
    walked: dict[UUID, dict[UUID, Position]] = {}
    for position in (*past, *standing):
        if not devices or position.device_id in devices:
            walked.setdefault(position.device_id, {})[position.point_id] = position
    trails = []
    for positions in walked.values():
        ordered = sorted(positions.values(), key=lambda position: position.fix.at)
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
        raise NotPossible(
            f"{file} cannot be written: {error.strerror}.", advice="Name another file."
        ) from None
