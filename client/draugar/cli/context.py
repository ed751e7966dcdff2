"""A command of Typer's, and where it works: at a terminal, in the home of one device.

Each command is a plain function, whose first parameter is its `Context`. `Command` adds what is
common to all of them: --home, --wait and --json, and what is said where a command fails.
"""

import re
import sys
from contextlib import contextmanager, suppress
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from draugar.cli import notices
from draugar.cli.explain import LOOKING, STAKES
from draugar.cli.failures import CommandFailure
from draugar.cli.options import InHome, option
from draugar.cli.terminal import NobodyToAsk, Terminal
from draugar.errors import Failure, ServiceFailure
from draugar.models import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from draugar.client import Client
    from draugar.storage.home import Home

Mistyped: Any = typer.BadParameter.__mro__[1]
"""What Typer raises for a command that it cannot read; it has no other public name."""


class Context(typer.Context):
    """Where a command works: a terminal, and a home (None: the one that is meant by default)."""

    terminal: Terminal
    directory: Path | None
    patience: timedelta
    """How long a service is waited for that is away, or busy."""

    def take_common(self) -> None:
        """Take the common options, which the function of the command does not have."""
        self.terminal = Terminal(as_json=self.params.pop("as_json"))
        # A home may also be named before the command.
        self.directory = self.params.pop("home") or self.find_root().params.get("home")
        self.patience = timedelta(seconds=self.params.pop("wait"))

    def home(self) -> "Home":
        """Open the home."""
        from draugar.storage.home import Home  # noqa: PLC0415 -- help is shown without libsodium

        return Home.open(self.directory)

    @contextmanager
    def member(self) -> "Iterator[Client]":
        """Open the home of a member, and tell at the end which of their phones wait."""
        from draugar.client import Client  # noqa: PLC0415 -- help is shown without httpx

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
    def own_home(self) -> "Iterator[Home]":
        """Open the home for a command that needs no service, and tell which phones wait."""
        from draugar.client import remind_from_memory  # noqa: PLC0415 -- help is shown without httpx

        with self.home() as home:
            yield home
            remind_from_memory(home, partial(notices.show, self.terminal))

    @property
    def manner(self) -> dict[str, Any]:
        """How a member is to be: whom they tell, and how long they wait."""
        return {"tell": partial(notices.show, self.terminal), "patience": self.patience}

    def places(self) -> list[Place]:
        """Return the places that the member has named."""
        from draugar.storage import places  # noqa: PLC0415 -- help is shown without libsodium

        with self.home() as home:
            return places.listed(home)


def _common(
    *,
    home: InHome = None,
    wait: Annotated[
        float,
        option("--wait", "For a service that is away.", "SECONDS", min=0, show_default=True),
    ] = 10,
    as_json: Annotated[bool, option("--json", "Answer in JSON, for programs.")] = False,
) -> None:
    """Declare the options that all commands have."""


def _common_options() -> list[Any]:
    declared = typer.Typer(add_completion=False)
    declared.command()(_common)
    return list(typer.main.get_command(declared).params)


_COMMON = _common_options()


class Command(TyperCommand):
    """A command in a `Context`, with the options that all commands have.

    Commands that are indented in its docstring end its help as they are, with the sentence before
    them: in a frame, or wrapped by rich, they could not be copied.
    """

    context_class = Context

    def __init__(self, *args: Any, params: list[Any] | None = None, **more: Any) -> None:
        says: list[str] = []
        to_copy: list[str] = []
        for paragraph in cleandoc(more.pop("help", None) or "").split("\n\n"):
            sentence, indent, lines = paragraph.partition("\n    ")
            said = " ".join(sentence.split())
            (to_copy if indent else says).append(f"{said}{indent}{lines}")
        self._to_copy = "\n\n".join(to_copy)
        params = [*(params or ()), *_COMMON]
        super().__init__(*args, params=params, help="\n\n".join(says), **more)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show its help."""
        super().format_help(ctx, formatter)
        if self._to_copy:
            typer.echo(self._to_copy)

    def invoke(self, ctx: Any) -> Any:
        """Run it. A failure of the service's, or without an answer, says what is at stake."""
        stakes = STAKES.get(ctx.command_path.partition(" ")[2], LOOKING)
        typed = dict(ctx.params)
        ctx.take_common()
        try:
            return super().invoke(ctx)
        except (ServiceFailure, NobodyToAsk) as failure:
            raise CommandFailure.of(stakes.explain(failure, typed, sys.argv[1:])) from failure


class BelowZero(Command):
    """A command that takes positions: degrees west and south start with a hyphen, as options do."""

    def __init__(
        self, *args: Any, context_settings: dict[str, Any] | None = None, **more: Any
    ) -> None:
        settings = {"ignore_unknown_options": True} | (context_settings or {})
        super().__init__(*args, context_settings=settings, **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed. Raises Mistyped."""
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
                raise Mistyped(f"No such option: {name}.{meant}", ctx)
        return super().parse_args(ctx, args)


class ListsByDefault(TyperGroup):
    """Commands about a list: without one of them, the list itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)
