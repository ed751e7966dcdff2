"""What was measured, kept, and made into a document: `python -m bench.report`.

Rewrites what stands between two marks in docs/performance.md. A section is shown by its newest
full run, or by its newest quick one while there is no other.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.figures import Figure

RESULTS = Path(__file__).with_name("results")
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- bench.report writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Run:
    """A section's figures, and how they came about; `form` is quick or full, `began` in UTC."""

    section: str
    form: str
    began: str
    command: str
    machine: dict[str, str]
    figures: list[Figure]

    @property
    def label(self) -> str:
        """What a row of the table says of it."""
        return f"{self.began[:10]}, {self.form}"


def keep(run: Run) -> None:
    """Write a run to the file of its day and form, in the place of an earlier one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{run.began[:10]}-{run.form}.json"
    runs = {kept.section: kept for kept in _kept(path)} if path.exists() else {}
    runs[run.section] = run
    path.write_text(json.dumps([asdict(kept) for kept in runs.values()], indent=1) + "\n")


def verdict(figure: Figure) -> str:
    """Say a figure's bounds, and whether they hold."""
    unit = f" {figure.unit}" if figure.ratio is None else ""
    bounds = [
        f"{words} {bound:.4g}{unit}"
        for words, bound in (("at most", figure.at_most), ("at least", figure.at_least))
        if bound is not None
    ]
    if not bounds:
        return ""
    return f"{', '.join(bounds)}: {'reached' if figure.is_reached else 'MISSED'}"


def main() -> None:
    """Rewrite the document's tables."""
    text = DOCUMENT.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{DOCUMENT.name} needs {BEGIN} and {END}, once each.")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(_lines(_chosen()))
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


def _chosen() -> list[Run]:
    runs: dict[str, Run] = {}
    for run in sorted(
        (run for path in RESULTS.glob("*.json") for run in _kept(path)),
        key=lambda run: (run.form == "full", run.began),
    ):
        runs[run.section] = run
    return sorted(runs.values(), key=lambda run: run.section)


def _kept(path: Path) -> list[Run]:
    return [
        Run(**run | {"figures": [Figure(**figure) for figure in run["figures"]]})
        for run in json.loads(path.read_text())
    ]


def _lines(runs: list[Run]) -> Iterator[str]:
    yield "| measured | value | against | its value | ratio | bound | run |"
    yield "|---|---|---|---|---|---|---|"
    for run in runs:
        for figure in run.figures:
            baseline = "" if figure.baseline is None else f"{figure.baseline:.3g} {figure.unit}"
            ratio = "" if figure.ratio is None else f"{figure.ratio:.4g}"
            yield (
                f"| {figure.name} | {figure.value:.3g} {figure.unit} | {figure.against}"
                f" | {baseline} | {ratio} | {verdict(figure)} | {run.label} |"
            )
    yield ""
    for run in runs:
        machine = "; ".join(f"{name} {value}" for name, value in run.machine.items())
        yield f"- {run.section}, {run.label}, `{run.command}`: {machine}"


if __name__ == "__main__":
    main()
