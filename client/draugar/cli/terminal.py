"""What people read: texts of times and lengths, tables, QR codes, questions.

Answers go to stdout, as text or with `--json` as JSON; everything else goes to stderr. Names, and
all else that others wrote, pass through `plain`: they could steer the terminal.
"""

import json
import re
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import zip_longest

import segno
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from draugar.errors import NotPossible
from draugar.maps.geo import Located
from draugar.models import Notice

REPLACEMENT = "\ufffd"
_STEERS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]")
"""Controls, embeddings, overrides and isolates of directions, annotations, half characters."""
_BLANK = re.compile("[\u2028\u2029]|[^\\S ]")
UNBOUNDED = 10_000
"""Columns where nobody reads on a screen: a pipe's reader cuts for itself."""
PASTING = 0.1
"""Seconds in which the next line of what is pasted is there."""
KILOMETRE = 1000
LONG = 10_000
"""Metres from which nobody asks for hundreds."""
SILENCE = 10.0
"""Seconds after which long work says how far it is."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class NobodyToAsk(NotPossible):
    """A question that needs an answer, and no terminal to ask on."""

    text = "Confirmation needed, but there is no terminal to ask on. Nothing was done."
    advice = "If you are sure, run the same command with: --yes"


class NotDone(NotPossible):
    """The answer to a question was no."""

    text = "Nothing was done."
    advice = "When you are ready, run the same command again."


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

    def notice(self, notice: Notice) -> None:
        """Tell what happened by itself."""
        self.say(
            f"{'Warning' if notice.is_warning else 'Note'}: {plain(notice.text)}",
            "yellow" if notice.is_warning else "dim",
        )

    def fail(self, reason: str, advice: str) -> None:
        """Tell what went wrong, and what to do next."""
        self.say(reason, "red")
        if advice:
            self.say(advice)

    def consent(self, question: str, *, is_given: bool = False) -> None:
        """Ask before something that cannot be undone. Raises NotDone, NobodyToAsk."""
        if is_given:
            return
        if not sys.stdin.isatty():
            raise NobodyToAsk(f"{NobodyToAsk.text} It would ask: {question}")
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
        with Progress(*columns, console=self.err, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)


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
    rows = [
        [bool(module) for module in row]
        for row in segno.make(content, micro=False).matrix_iter(border=4)
    ]
    lines = []
    for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=[False] * len(rows[0])):
        pairs = zip(upper, lower, strict=True)
        lines.append("".join("█▀▄ "[2 * up + down] for up, down in pairs))
    return Text("\n".join(lines), "bright_white on black")


def plain(text: str) -> str:
    """Return others' text without what controls a terminal or turns the direction of writing.

    What steers nothing stays: marks of scripts, flags, characters that this Python does not know.
    """
    return _BLANK.sub(" ", _STEERS.sub(REPLACEMENT, text))


def metres(length: float) -> str:
    """Write a length: 12 m, 850 m, 2.3 km, 1,240 km."""
    if round(length) < KILOMETRE:
        return f"{length:.0f} m"
    if length < LONG:
        return f"{length / KILOMETRE:.1f} km"
    return f"{length / KILOMETRE:,.0f} km"


def within(accuracy: float | None) -> str:
    """Write how far off a fix may be; nothing where that is unknown."""
    return metres(max(1.0, accuracy)) if accuracy else ""


def ago(age: timedelta) -> str:
    """Write how long ago something was."""
    if age < MINUTE:
        return "just now"
    if age < HOUR:
        return f"{age // MINUTE} min ago"
    if age < 2 * DAY:
        return f"{age // HOUR} h ago"
    return f"{age // DAY} days ago"


def clock(at: datetime, now: datetime | None = None) -> str:
    """Write a time as a person here reads it, without the date on the day of `now`."""
    local = at.astimezone()
    if now and local.date() == now.astimezone().date():
        return f"{local:%H:%M}"
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M}"


def degrees(spot: Located) -> str:
    """Write a position to the metre, as maps and GPS devices read it."""
    return f"{spot.latitude:z.5f}, {spot.longitude:z.5f}"
