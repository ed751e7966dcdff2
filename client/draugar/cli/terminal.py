"""What people read: texts of times and lengths, tables, QR codes, questions.

Answers go to stdout, as text or with `--json` as JSON; everything else goes to stderr. Names, and
all else that others wrote, pass through `plain`: they could steer the terminal.
"""

import json
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from draugar.cli.failures import CommandFailure
from draugar.cli.refusals import Text as Told

UNBOUNDED = 10_000
"""Columns where nobody reads on a screen: a pipe's reader cuts for itself."""
PASTING = 0.1
"""Seconds in which the next line of what is pasted is there."""
SILENCE = 10.0
"""Seconds after which long work says how far it is."""


class NobodyToAsk(CommandFailure):
    """A question that needs an answer, and no terminal to ask on."""

    text = Told(
        "Confirmation needed, but there is no terminal to ask on. Nothing was done.",
        "If you are sure, run the same command with: --yes",
    )


class NotDone(CommandFailure):
    """The answer to a question was no."""

    text = Told("Nothing was done.", "When you are ready, run the same command again.")


class Terminal:
    """Where a command's answer, its notices and its questions go.

    Texts are never wrapped: a terminal does that by itself, and then a link, a command or a path
    that is copied from it is in one piece.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    @property
    def is_watched(self) -> bool:
        """Whether somebody sees the answer on a screen."""
        return self.out.is_terminal and not self._as_json

    @property
    def is_for_programs(self) -> bool:
        """Whether the answer is in JSON."""
        return self._as_json

    def answer(self, data: object, *texts: str | Table | Text) -> None:
        """Give the answer: the data, or the texts."""
        if self._as_json:
            # In ASCII, so that no name can steer a terminal and no encoding is in the way.
            sys.stdout.write(json.dumps(data, indent=2) + "\n")
            return
        for text in texts:
            self.out.print(text, crop=False, soft_wrap=not isinstance(text, Table))

    def rows(
        self,
        data: object,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        nothing: str,
    ) -> None:
        """Give an answer of rows: as a table, or below each other where it is too wide."""
        if not rows:
            self.answer(data, nothing)
            return
        shown = [index for index, _ in enumerate(headings) if any(row[index] for row in rows)]
        names, *cells = ([row[index] for index in shown] for row in (headings, *rows))
        table = Table(*names, box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
        for first, *others in cells:
            table.add_row(Text(first, "bold"), *map(Text, others))
        boundless = self.out.options.update(max_width=UNBOUNDED)
        if Measurement.get(self.out, boundless, table).maximum <= self.out.width:
            self.answer(data, table)
            return
        blocks = []
        for first, *others in cells:
            block = Text.assemble((first, "bold"))
            for name, value in zip(names[1:], others, strict=True):
                if value:
                    block.append(f"\n  {name}: ", "dim").append(value)
            blocks.append(block)
        self.answer(data, *blocks)

    def say(self, text: str | Text, style: str = "") -> None:
        """Say something beside the answer."""
        self.err.print(text, style=style, soft_wrap=True)

    def fail(self, text: Told) -> None:
        """Tell what went wrong, and what to do next."""
        self.say(" ".join(filter(None, (text.reason, text.effect))), "red")
        if text.next_step:
            self.say(text.next_step)

    def consent(self, question: str, *, is_given: bool = False) -> None:
        """Ask before something that cannot be undone. Raises NotDone, NobodyToAsk."""
        if is_given:
            return
        if not sys.stdin.isatty():
            raise NobodyToAsk(f"{NobodyToAsk.text.reason} It would ask: {question}")
        if self.read(f"{question} [y/N] ").casefold() not in {"y", "yes"}:
            raise NotDone

    def read(self, prompt: str) -> str:
        """Read a line of stdin; the prompt shows only where somebody can answer it."""
        if sys.stdin.isatty():
            self.err.print(prompt, end="", soft_wrap=True)
        return sys.stdin.readline().strip()

    def paste(self, prompt: str) -> str:
        """Read what is pasted, which may have been wrapped: all of stdin, or what comes at once."""
        if not sys.stdin.isatty():
            return sys.stdin.read().strip()
        pasted = self.read(prompt)
        with suppress(OSError, ValueError):  # where no more than files can be waited for
            while select.select([sys.stdin], [], [], PASTING)[0] and (more := sys.stdin.readline()):
                pasted += f"\n{more}"
        return pasted.strip()

    def code(self, content: str) -> bool:
        """Show a QR code on a screen that it fits on, whole or not at all; whether it is shown."""
        if not self.is_watched:
            return False
        drawn = qr(content)
        columns = drawn.plain.index("\n")
        try:
            drawn.plain.encode(self.out.encoding)
        except (UnicodeEncodeError, LookupError):
            self.say(
                f"There is no QR code: the encoding {self.out.encoding} has no characters for it."
            )
            return False
        if columns > self.out.width:
            self.say(f"For a QR code this window has to be {columns} columns wide.")
            return False
        self.out.print(drawn, soft_wrap=True)
        return True

    @contextmanager
    def progress(self, doing: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Yield what is to be told how much is done: a bar on a screen, else a line at times."""
        if not self.err.is_terminal:
            yield Lines(self.say, doing, total)
            return
        columns = TextColumn(doing), BarColumn(), MofNCompleteColumn()
        # Drawn when it hears of more, and by no thread of its own.
        with Progress(*columns, console=self.err, transient=True, auto_refresh=False) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done, refresh=True)


class Lines:
    """Progress where no screen is: a line every ten seconds, and none for what is quick."""

    def __init__(
        self,
        say: Callable[[str], None],
        doing: str,
        total: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._doing = doing
        self._of = "" if total is None else f" of {total}"
        self._clock = clock
        self._due = clock() + SILENCE

    def __call__(self, done: int) -> None:
        """Hear how much is done."""
        if self._clock() >= self._due:
            self._due = self._clock() + SILENCE
            self._say(f"{self._doing}: {done}{self._of}")


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = UNBOUNDED
    return console


def qr(content: str) -> Text:
    """Draw a QR code, two rows of it in a line: dark on bright, whatever the terminal's colours.

    Where there are no colours, its bright squares are the letters' colour: as most terminals are.
    """
    import segno  # noqa: PLC0415 -- slow to import

    rows = [
        [bool(module) for module in row]
        for row in segno.make(content, micro=False).matrix_iter(border=4)
    ]
    lines = []
    for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=[False] * len(rows[0])):
        pairs = zip(upper, lower, strict=True)
        lines.append("".join("█▀▄ "[2 * up + down] for up, down in pairs))
    return Text("\n".join(lines), "bright_white on black")
