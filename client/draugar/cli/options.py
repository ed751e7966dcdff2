"""Arguments and options, declared by what the help says of them."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from draugar.text import pasted


def option(
    name: str, says: str, metavar: str | None = None, *, show_default: bool = False, **more: Any
) -> Any:
    """Declare an option by what its help says."""
    return typer.Option(name, help=says, metavar=metavar, show_default=show_default, **more)


def argument(name: str, says: str = "", **more: Any) -> Any:
    """Declare an argument by what its help says."""
    return typer.Argument(metavar=name, help=says, show_default=False, **more)


def as_id(text: str) -> UUID:
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
