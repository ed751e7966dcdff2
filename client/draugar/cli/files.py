"""Files that a command writes: asked for before any work, and written whole or not at all."""

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from draugar.cli.context import Context
from draugar.cli.failures import CommandFailure
from draugar.maps import page as maps

STDIO = Path("-")


def may_write(context: Context, file: Path | None, *, yes: bool) -> None:
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
        context.terminal.consent(f"{file} is there already. Write over it?", is_given=yes)


def _is_map(file: Path) -> bool:
    """Whether a file is an earlier map, which a new one replaces."""
    with suppress(OSError), file.open("rb") as stream:
        return maps.GENERATOR in stream.read(maps.HEAD)
    return False


def keep(file: Path, content: str) -> None:
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
