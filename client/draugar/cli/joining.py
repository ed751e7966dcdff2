"""Coming in: found a group, join one, and invite others."""

import shlex
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import typer

from draugar.cli import output as present
from draugar.cli.context import Context
from draugar.cli.named import group_id_of, typed, warn_of_namesake
from draugar.cli.options import DeviceName, InGroup, StartOver, argument, as_id, option
from draugar.cli.terminal import Terminal
from draugar.errors import Failure
from draugar.text.display import clock, plain


def found(  # noqa: PLR0913 -- the options of one command
    context: Context,
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
    terminal = context.terminal
    code = typed(terminal, code, "The founding code: ")
    from draugar.client import Client  # noqa: PLC0415 -- help is shown without httpx

    with context.home() as home:
        if start_over:
            home.forget_join()
        me = Client.found(
            home, url=url, code=code, name=name, group=group, device=device, **context.manner
        )
        with me:
            founded = me.group()
        terminal.answer(
            present.membership_data(me, founded),
            f"Welcome, {plain(me.name)}. You have founded {plain(founded.name)}. Only its members'"
            " devices can read what is shared in it.",
            "Next: draugar invite",
        )
        _warn_of_this_machine(terminal, me.url, "links, codes and phones of this group work")


def invite(  # noqa: PLR0913 -- the options of one command
    context: Context,
    *,
    typed: Annotated[bool, option("--typed", "A short code to read out, not a link.")] = False,
    for_me: Annotated[bool, option("--for-me", "For a further device of your own.")] = False,
    web: Annotated[bool, option("--web", "A link that a browser opens, too.")] = False,
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
    if typed and web:
        raise typer.BadParameter(
            "A short code is typed, in a browser too: leave out --web: draugar invite --typed"
        )
    terminal = context.terminal
    with context.member() as me:
        group_id = group_id_of(me, group)
        if typed:
            made = me.invite_by_code(group_id, life=timedelta(hours=hours or 1))
        else:
            made = me.invite(group_id, life=timedelta(hours=hours or 24), for_me=for_me)
        data = present.invitation_data(made, me.url, web=web)
    once = f"once, until {clock(made.expires_at, datetime.now(UTC))}" if made.expires_at else "once"
    if made.link is None:
        code = "-".join(made.code[start : start + 4] for start in range(0, len(made.code), 4))
        terminal.answer(data, code)
        terminal.say(f"Good {once}; it is shown only now. They type:")
        terminal.say(f"  draugar join {code} --url {data['url']} --name NAME")
        terminal.say("Then compare safety numbers with them: draugar confirm")
        _warn_of_this_machine(terminal, data["url"], "the code works")
        return
    link = made.link.web if web else made.link.text
    terminal.answer(data, link)
    terminal.code(link)
    how = "Open it on your other device." if for_me else "Send it by a private channel."
    terminal.say(
        f"{how} Any person who has this link can join by it, {once}. It is shown only now."
    )
    if for_me:
        terminal.say(f"There: draugar join {shlex.quote(link)}")
    if web:
        terminal.say(
            "Opened in a browser, it makes a page of your server a member, with the key. Where"
            " another person runs the server, send a link without --web: draugar invite"
        )
    _warn_of_this_machine(terminal, made.link.url, "the link works")


def _warn_of_this_machine(terminal: Terminal, url: str, what: str) -> None:
    from draugar.protocol.address import is_local  # noqa: PLC0415 -- help is shown without idna

    if is_local(urlsplit(url).hostname or ""):
        terminal.say(f"The service is on this machine, so {what} on this machine only.")


def join(  # noqa: PLR0913 -- the options of one command
    context: Context,
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
    terminal = context.terminal
    invite = typed(terminal, invite, "The link or code: ")
    from draugar.client import Client  # noqa: PLC0415 -- help is shown without httpx
    from draugar.protocol.address import service_url  # noqa: PLC0415 -- nor idna
    from draugar.protocol.links import InviteLink, is_link  # noqa: PLC0415 -- nor libsodium

    with context.home() as home:
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
        called: dict[str, Any] = {"name": name or "me", "device": device, **context.manner}
        if not is_new:
            me = Client(home, **context.manner)
        elif link:
            me = Client.join(home, link, **called)
        else:
            me = Client.join_by_code(home, url=url or "", code=invite, **called)
        with me:
            group = me.first_group() if is_new else me.join_group(link or invite)
            terminal.answer(present.membership_data(me, group), *present.entered(group))
            if is_new and link and not link.for_me and me.name != (name or "").strip():
                terminal.say(
                    f"An earlier attempt had arrived, so you are {plain(me.name)} there. To change"
                    " your name: draugar rename NAME",
                    "yellow",
                )
            warn_of_namesake(context, me, group)
            with suppress(Failure):
                me.remind()


def list_invites(context: Context) -> None:
    """Show the invites that are not used yet, without their codes."""
    with context.member() as me:
        names = {group.id: plain(group.name) for group in me.groups()}
        made = me.invites()
    live = [
        invite
        for invite in made
        if not invite.used_at and not invite.revoked_at
        if invite.expires_at is None or invite.expires_at > datetime.now(UTC)
    ]
    context.terminal.rows(
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


def revoke_invite(context: Context, invite: Annotated[UUID, argument("ID", parser=as_id)]) -> None:
    """Take an invite back: no one can join by it any more."""
    with context.member() as me:
        me.revoke_invite(invite)
    context.terminal.answer({"revoked": str(invite)}, "No one can join by it any more.")
