"""Measure: `python -m bench [--full] [section ...]`.

Each section is a module here with `run(*, full: bool) -> list[Figure]`, and runs in a process of
its own. What it found is printed and kept in `results/`; `python -m bench.report` makes the
document's table of it.
"""

import argparse
import shlex
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from multiprocessing import get_context
from typing import Any

from bench.figures import Figure
from bench.machine import describe
from bench.report import Run, keep, verdict

SECTIONS = ("cold", "warm", "owntracks", "batch", "twin", "throughput", "growth", "cost", "client")


def main() -> None:
    """Run the sections that are named, or all; the first that fails ends it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--full", action="store_true", help="more rounds, more rows: many minutes")
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    form = "full" if arguments.full else "quick"
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    for section in arguments.sections or SECTIONS:
        began, machine = datetime.now(UTC), describe()
        figures = _measured(section, full=arguments.full)
        _print(figures)
        keep(Run(section, form, began.isoformat(timespec="seconds"), command, machine, figures))


def _measured(section: str, *, full: bool) -> list[Figure]:
    run: Any = import_module(f"bench.{section}").run
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as processes:
        figures: list[Figure] = processes.submit(run, full=full).result()
    return figures


def _print(figures: list[Figure]) -> None:
    for figure in figures:
        baseline = "" if figure.baseline is None else f"{figure.baseline:.3g}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.4g}x"
        print(
            f"{figure.name:<62} {figure.value:>8.3g} {figure.unit:<10}"
            f" {baseline:>8} {ratio:>7}  {verdict(figure)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
