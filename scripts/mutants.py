"""Mutation testing: each small change of the code should make a test fail.

    python -m scripts.mutants                     trust and protocol
    python -m scripts.mutants keys locations      these targets
    python -m scripts.mutants --budget 10 keys    stop after ten minutes; run it again to go on
    python -m scripts.mutants --controls          do the planted faults fail, by their test alone?

Each mutant is tried in a process of its own, which imports the mutated module from memory: files
stay as they are, and a statement that is built once and kept is built from the mutant. The process
runs the tests of the target and stops at the first that fails; those that failed for the same
function before run first. All share one PostgreSQL, on which the schema is made once.

Results are kept in .local/mutants. A mutant that was killed is not tried again while its file stays
the same; one that survived is. `equivalent_mutants.toml` names those that change no behaviour.
Libraries were looked at: mutmut 3 changes what is inside functions only, and cosmic-ray
changes the files in place, one mutant at a time.
"""

import argparse
import ast
import hashlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from scripts.mutations import mutated, mutations
from scripts.postgres import Postgres

PROJECT = Path(__file__).parents[1]
RESULTS = PROJECT / ".local" / "mutants"
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
TEMPLATE = "mutants"
WORKERS = os.cpu_count() or 1
PATIENCE = 900.0
"""Seconds that a mutant may wait; one that computes is stopped by the time of the processor."""
QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Plugins of pytest are among what was imported before."""
EXIT_PASSED = 0
PRELOADED = (
    *("pytest", "hypothesis", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql", "pg8000"),
    *("chalice.test", "pydantic", "alembic.command", "httpx", "nacl.bindings", "jsonschema_rs"),
)
"""Of others; nothing of this repository, for each mutant imports that anew."""


@dataclass(frozen=True)
class Target:
    """Files to be mutated, and the tests that should notice: those first that are quick."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    unchanged: tuple[str, ...] = ()
    """Modules of this repository that import none of the files: they are imported once."""


def _feature(name: str, *tests: str) -> Target:
    sources = (f"chalicelib/{name}/queries.py", f"chalicelib/{name}/service.py")
    rights = "tests/features/test_rights.py"
    return Target(sources, (f"tests/features/{name}", *tests, rights))


_SERVICE = ("chalicelib.web.openapi", "chalicelib.web.endpoint", "chalicelib.jobs.migrate")
_CLIENT = (
    "tests/client/test_member_trust.py",
    "tests/client/test_member_points.py",
    "tests/client/test_malicious_server.py",
)
TARGETS = {
    "trust": Target(("client/draugar/trust/*.py",), ("tests/client/trust", *_CLIENT), _SERVICE),
    "protocol": Target(
        ("client/draugar/protocol/*.py",),
        (
            "tests/client/test_crypto.py",
            "tests/client/test_vectors.py",
            "tests/client/test_links.py",
            "tests/client/test_address.py",
            "tests/client/test_statements.py",
        ),
        _SERVICE,
    ),
    "keys": _feature("keys", "tests/faults/test_keys.py"),
    "auth": _feature("auth", "tests/features/devices", "tests/features/test_http.py"),
    "groups": _feature("groups", "tests/features/users", "tests/features/keys"),
    "locations": _feature("locations", "tests/data/test_points_of_member.py"),
    "invites": _feature("invites", "tests/features/auth", "tests/features/keys"),
}
BY_DEFAULT = ("trust", "protocol")


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    name: str
    line: int
    source: str
    """A digest of the file."""

    @property
    def scope(self) -> str:
        """The function that is changed."""
        return f"{self.file} {self.name.partition(':')[0]}"


@dataclass(frozen=True)
class Control:
    """A fault that was planted once and seen by no test, and the test that sees it now."""

    file: str
    before: str
    after: str
    test: str


CONTROLS = (
    Control(
        "client/draugar/trust/growth.py",
        "return proof_holds(",
        "return link.for_me or proof_holds(",
        "tests/client/test_malicious_server.py::test_a_forged_proof_of_a_further_device_is_none",
    ),
    Control(
        "client/draugar/protocol/sealing.py",
        "nonce = secrets.token_bytes(_NONCE)",
        "nonce = secrets.token_bytes(_NONCE - 16) + bytes(16)",
        "tests/client/test_crypto.py::test_every_byte_of_a_nonce_is_random",
    ),
    Control(
        "chalicelib/web/endpoint.py",
        "hashlib.sha256(_bytes(body))",
        "hashlib.sha256(_bytes(body)[:1024])",
        "tests/features/locations/test_latest.py"
        "::test_the_etag_changes_with_the_last_byte_of_a_long_answer",
    ),
)


def mutants(target: Target) -> Iterator[Mutant]:
    """Return the mutants in an order in which the first so many are a fair sample."""
    found = [
        Mutant(str(path.relative_to(PROJECT)), each.name, each.line, _digest(path.read_text()))
        for pattern in target.sources
        for path in sorted(PROJECT.glob(pattern))
        for each in mutations(path.read_text())
    ]
    yield from sorted(found, key=lambda one: _digest(one.file + one.name))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# A process of its own


class _Loader(SourceFileLoader):
    """Loads a module from a tree in place of its file."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        """Compile the tree; what was compiled before is not looked at."""
        del fullname
        code: CodeType = compile(self._tree, self.path, "exec", dont_inherit=True)
        return code


class _Finder(MetaPathFinder):
    """Finds one module, and leaves all others to those who found them before."""

    def __init__(self, file: Path, tree: ast.Module) -> None:
        self._file = str(file)
        self._tree = tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module whose file it is."""
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and _same(spec.origin, self._file):
            spec.loader = _Loader(fullname, self._file, self._tree)
            return spec
        return None


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


class _Watcher:
    """A plugin of pytest: runs some tests first, and keeps which one failed."""

    def __init__(self, first: Sequence[str]) -> None:
        self._first = {test: number for number, test in enumerate(first)}
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Sort; those that are not named stay as they are."""
        _copy_the_schema()
        _try_the_same_examples()
        items.sort(key=lambda item: self._first.get(item.nodeid, len(self._first)))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the first failure."""
        if report.failed and not self.failed:
            self.failed = report.nodeid


@dataclass(frozen=True)
class Trial:
    """Tests that are run once, with a tree in place of a file if one is given."""

    arguments: tuple[str, ...]
    file: Path | None = None
    tree: ast.Module | None = None
    first: tuple[str, ...] = ()

    def run(self, base: Path) -> tuple[int, str]:
        """Run the tests in this process; return the exit code and the first test that failed."""
        import pytest  # noqa: PLC0415 -- only in the process that runs tests

        if self.file is not None and self.tree is not None:
            sys.meta_path.insert(0, _Finder(self.file, self.tree))
        watcher = _Watcher(self.first)
        options = ("-q", "-x", "-p", "no:cacheprovider", f"--basetemp={base}", *QUIET)
        code = pytest.main([*options, *self.arguments], plugins=[watcher])
        return int(code), watcher.failed or f"exit code {int(code)}"


def _try_the_same_examples() -> None:
    """Let hypothesis make few examples, and the same for each mutant."""
    from hypothesis import settings  # noqa: PLC0415 -- a plugin of pytest

    few = {"max_examples": 30, "derandomize": True, "database": None}
    settings.register_profile("mutants", settings.default, **few)
    settings.load_profile("mutants")


def _copy_the_schema() -> None:
    """Let a database without a template be a copy of the migrated one: migrating takes seconds."""
    from tests import database  # noqa: PLC0415 -- imports what is mutated

    plain = database.Server.database

    def copied(self: Any, *, template: str | None = None) -> Any:
        return plain(self, template=template or TEMPLATE)

    database.Server.database = copied  # type: ignore[method-assign]


def _prepare() -> None:
    """Make the database with the schema, in a process that imports what mutants import anew."""
    from tests.database import PEPPER, Server  # noqa: PLC0415

    server = Server(os.environ["TEST_DATABASE_URL"])
    with server.connect() as operator:
        operator.run(f"CREATE DATABASE {TEMPLATE}")
    os.environ["DATABASE_URL"] = server.url_of(TEMPLATE)
    os.environ["INVITE_CODE_PEPPER"] = PEPPER
    from chalicelib.jobs.migrate import migrate  # noqa: PLC0415

    migrate({}, None)


class Child:
    """A process that was forked to run a trial."""

    def __init__(self, trial: Trial | None, *, seconds: float) -> None:
        self.started = time.monotonic()
        self._directory = tempfile.TemporaryDirectory(prefix="mutant-")
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            _live(trial, writer, Path(self._directory.name), seconds)
        os.close(writer)
        self._reader = reader

    def ended(self) -> tuple[int, str] | None:
        """Return how it has ended, once it has."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid and time.monotonic() - self.started < PATIENCE:
            return None
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # what it has started, too
        if not pid:
            os.waitpid(self.pid, 0)
        with os.fdopen(self._reader) as said:
            line = said.read()
        self._directory.cleanup()
        if not pid or not os.WIFEXITED(status) or not line:
            return 1, "time"
        code, failed = json.loads(line)
        return code, failed


def _live(trial: Trial | None, writer: int, directory: Path, seconds: float) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    try:
        if trial is None:
            _prepare()
        outcome = trial.run(directory / "base") if trial else (0, "")
    except BaseException as error:  # noqa: BLE001 -- a mutant can break anything
        outcome = 3, type(error).__name__
    os.write(writer, json.dumps(outcome).encode())
    os._exit(0)


def alone(trial: Trial | None, *, seconds: float = PATIENCE) -> tuple[int, str]:
    """Run a trial in a process of its own and wait for it."""
    child = Child(trial, seconds=seconds)
    while (outcome := child.ended()) is None:
        time.sleep(0.05)
    return outcome


# The results


class Results:
    """What became of the mutants of a target, in a file that is only added to."""

    def __init__(self, name: str) -> None:
        self._file = RESULTS / f"{name}.jsonl"
        self.killer: dict[tuple[str, str, str], str | None] = {}
        """By file, name and digest; None: it survived."""
        if self._file.exists():
            for line in self._file.read_text().splitlines():
                said = json.loads(line)
                self.killer[said["file"], said["name"], said["source"]] = said["killer"]

    def keep(self, mutant: Mutant, killer: str | None) -> None:
        """Add one."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        self.killer[mutant.file, mutant.name, mutant.source] = killer
        with self._file.open("a") as stream:
            stream.write(json.dumps({**asdict(mutant), "killer": killer}) + "\n")

    def of(self, mutant: Mutant) -> str | None:
        """Return what killed it; None where it survived. Raises KeyError if it was not tried."""
        return self.killer[mutant.file, mutant.name, mutant.source]

    def has_survived(self, mutant: Mutant) -> bool:
        """Whether it survived in any state of its file: a test may have been written for it."""
        return any(
            (file, name) == (mutant.file, mutant.name) and killer is None
            for (file, name, _), killer in self.killer.items()
        )

    def is_killed(self, mutant: Mutant) -> bool:
        """Whether a test has killed it."""
        return self.killer.get((mutant.file, mutant.name, mutant.source)) is not None


def attempt(target: Target, results: Results, *, until: float) -> None:
    """Try all mutants that were not killed before, until a time. Raises SystemExit."""
    sources = {str(path) for pattern in target.sources for path in PROJECT.glob(pattern)}
    if known := sources & {getattr(module, "__file__", None) for module in sys.modules.values()}:
        sys.exit(f"These are imported already, so that no mutant would take effect: {known}")
    tests = tuple(test for test in target.tests if (PROJECT / test).exists())
    code, failed = alone(Trial(tests))
    if code != EXIT_PASSED:
        sys.exit(f"Without a mutant the tests do not pass: {failed}")
    seconds = 4 * os.times().children_user + 60
    waiting = [one for one in mutants(target) if not results.is_killed(one)]
    waiting.sort(key=lambda one: not results.has_survived(one))
    killers: dict[str, Counter[str]] = {}
    running: dict[Child, Mutant] = {}
    total, done = len(waiting), 0
    while waiting or running:
        while waiting and len(running) < WORKERS and time.monotonic() < until:
            mutant = waiting.pop(0)
            file = PROJECT / mutant.file
            if _digest(file.read_text()) != mutant.source:
                continue  # it was edited meanwhile: the next run tries what it is then
            usual = killers.get(mutant.scope, Counter()) + killers.get(mutant.file, Counter())
            first = tuple(test for test, _ in usual.most_common(20))
            tree = mutated(file.read_text(), mutant.name)
            running[Child(Trial(tests, file, tree, first), seconds=seconds)] = mutant
        if not running:
            break
        time.sleep(0.05)
        for child, mutant in list(running.items()):
            outcome = child.ended()
            if outcome is None:
                continue
            del running[child]
            done += 1
            code, failed = outcome
            results.keep(mutant, None if code == EXIT_PASSED else failed)
            if code != EXIT_PASSED:
                killers.setdefault(mutant.scope, Counter())[failed] += 3
                killers.setdefault(mutant.file, Counter())[failed] += 1
            said = "survived" if code == EXIT_PASSED else "killed"
            print(f"{done}/{total} {said} {mutant.file}:{mutant.line} {mutant.name}", flush=True)


def report(name: str, target: Target, results: Results) -> int:
    """Print the score and the survivors; return how many of them no sentence explains."""
    explained = equivalent(name)
    known = {(one.file, one.name): one for one in mutants(target)}
    tried = [one for one in known.values() if (one.file, one.name, one.source) in results.killer]
    survivors = [one for one in tried if results.of(one) is None]
    stale = explained.keys() - known.keys()
    left = [one for one in survivors if (one.file, one.name) not in explained]
    print(f"\n{name}: {len(tried)} of {len(known)} mutants tried")
    for file in sorted({one.file for one in tried}):
        total = sum(one.file == file for one in tried)
        alive = sum(one.file == file for one in survivors)
        print(f"  {file:45} {total:5} tried {total - alive:5} killed")
    killed = len(tried) - len(survivors)
    score = 100 * killed / max(len(tried) - len(survivors) + len(left), 1)
    equal = len(survivors) - len(left)
    print(f"  {killed} killed, {len(left)} survived, {equal} equivalent: {score:.1f} %")
    for one in sorted(left, key=lambda one: (one.file, one.line)):
        print(f"  survived {one.file}:{one.line} {one.name}")
    for file, change in sorted(stale):
        print(f"  no longer a mutant, though called equivalent: {file} {change}")
    return len(left) + len(stale)


def equivalent(name: str) -> dict[tuple[str, str], str]:
    """Return the mutants of a target that change no behaviour, each with the reason.

    Raises SystemExit where they are more than a twentieth of those that survived at first.
    """
    said = tomllib.loads(EQUIVALENT.read_text()).get(name, {})
    named = {(one["file"], one["name"]): one["because"] for one in said.get("mutants", ())}
    if 20 * len(named) > said.get("survived_at_first", 0):
        sys.exit(f"{EQUIVALENT.name} explains more than 5 % of the survivors of {name}")
    return named


def controls() -> Iterable[str]:
    """Yield what is wrong: a planted fault that survives, or that another test sees as well."""
    for control in CONTROLS:
        file = PROJECT / control.file
        source = file.read_text()
        if source.count(control.before) != 1:
            yield f"{control.file} does not have once: {control.before}"
            continue
        tree = ast.parse(source.replace(control.before, control.after))
        whole = control.test.partition("::")[0]
        code, failed = alone(Trial((whole,), file, tree))
        if code == EXIT_PASSED or failed != control.test:
            yield f"{control.after}: {failed or 'survived'}, not {control.test}"
        code, failed = alone(Trial((whole, f"--deselect={control.test}"), file, tree))
        if code != EXIT_PASSED:
            yield f"{control.after} is killed without {control.test} too: {failed}"


def main() -> None:
    """Try the mutants of the targets that are named."""
    parser = argparse.ArgumentParser(description="Mutation testing")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    parser.add_argument("--budget", type=float, default=24 * 60, help="minutes")
    parser.add_argument("--controls", action="store_true", help="try the planted faults only")
    parser.add_argument("--report", action="store_true", help="print the last results only")
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.budget
    chosen = given.targets or BY_DEFAULT
    if len(chosen) > 1 and not given.report and not given.controls:
        # What one target imports once is what another mutates.
        options = [f"--budget={given.budget / len(chosen)}"]
        runs = [
            subprocess.run([sys.executable, "-m", "scripts.mutants", *options, name], check=False)
            for name in chosen
        ]
        sys.exit(any(run.returncode for run in runs))
    if given.report:
        sys.exit(sum(report(name, TARGETS[name], Results(name)) for name in chosen) > 0)
    for module in PRELOADED:
        importlib.import_module(module)
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as directory,
        Postgres(Path(directory), durable=False) as postgres,
    ):
        os.environ["TEST_DATABASE_URL"] = postgres.url("postgres")
        code, failed = alone(None)
        if code != EXIT_PASSED:
            sys.exit(f"The schema was not made: {failed}")
        if given.controls:
            sys.exit("\n".join(controls()) or None)
        unexplained = 0
        for name in chosen:
            for module in TARGETS[name].unchanged:
                importlib.import_module(module)
            results = Results(name)
            attempt(TARGETS[name], results, until=until)
            unexplained += report(name, TARGETS[name], results)
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    main()
