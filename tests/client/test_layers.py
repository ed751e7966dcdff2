"""One synchronisation, traced: a call goes down through the layers, and never up again."""

import ast
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import draugar
from draugar.client import Client
from tests.client.family import Family, Heard, fix

LAYERS = (
    ("draugar.cli",),
    ("draugar.client",),
    ("draugar.usecases", "draugar.maps"),
    ("draugar.storage", "draugar.service"),
    ("draugar.trust",),
    ("draugar.protocol",),
    ("draugar.models", "draugar.errors", "draugar.text"),
)
"""Upper layers first; those in one line do not call each other."""


def depth(module: str) -> int | None:
    """Return how deep the layer of a module lies; None for what is not the client."""
    for number, packages in enumerate(LAYERS):
        if any(module == one or module.startswith(f"{one}.") for one in packages):
            return number
    assert not module.startswith("draugar."), f"{module} is in no layer"
    return None


class Trace:
    """The modules on the way of one thread, and where a call went up."""

    def __init__(self) -> None:
        self.entered: set[str] = set()
        self.upward: set[tuple[str, str]] = set()
        self._below: list[str | None] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        del argument
        if event == "call":
            self._enter(str(frame.f_globals.get("__name__", "")))
        elif event == "return" and self._below:
            self._below.pop()

    def _enter(self, module: str) -> None:
        """Note a call, with the deepest module of the client that it comes from."""
        deepest = self._below[-1] if self._below else None
        here = depth(module)
        if here is not None:
            self.entered.add(module)
            above = depth(deepest) if deepest else None
            if deepest is not None and above is not None and here < above:
                self.upward.add((deepest, module))
            elif above is None or here > above:
                deepest = module
        self._below.append(deepest)


@contextmanager
def traced() -> Iterator[Trace]:
    """Trace all calls of this thread."""
    trace = Trace()
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)


def synchronise(family: Family, member: Client) -> None:
    """Recognise a newcomer, give the key, read, share and make a new key."""
    family.join(member.invite().link)
    with traced() as trace:
        member.where()
        member.share([fix()])
        member.people()
        member.rotate()
    packages = {module.rsplit(".", 1)[0] for module in trace.entered}
    assert packages >= {f"draugar.{name}" for name in ("usecases", "storage", "service", "trust")}
    assert trace.upward == set()


def test_no_layer_is_entered_again_from_a_lower_one(family: Family) -> None:
    synchronise(family, family.found())


def test_the_trace_sees_a_call_that_goes_up(family: Family) -> None:
    una = family.found()
    code = compile("def into(call): return call()", "planted", "exec")
    planted: dict[str, Any] = {"__name__": "draugar.storage.planted"}
    exec(code, planted)  # noqa: S102 -- a storage module that calls the facade

    with traced() as trace:
        planted["into"](una.people)

    assert ("draugar.storage.planted", "draugar.client") in trace.upward


def test_notices_are_handed_on_when_a_step_has_ended(family: Family) -> None:
    una = family.found()
    family.join(una.invite().link)
    heard = Heard()
    again = Client(family.home("Una"), tell=heard.append)
    with again, traced() as trace:
        again.where()

    assert heard.kinds() != []
    assert trace.upward == set()


SOURCE = Path(draugar.__file__).parent
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE FROM|PRAGMA|CREATE|ALTER|DROP|BEGIN|VACUUM)\b ?")


def test_sql_is_in_storage_alone() -> None:
    found = {
        f"{file.relative_to(SOURCE)}: {node.value[:40]}"
        for file in SOURCE.rglob("*.py")
        if "storage" not in file.parts
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    }

    assert found == set()


def test_the_core_imports_no_layer_but_values_and_the_protocol() -> None:
    below = ("trust", "protocol", "models", "errors", "text")
    allowed = tuple(f"draugar.{name}" for name in below)

    imported = {
        name
        for file in (SOURCE / "trust").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else _names(node))
    }

    assert {name for name in imported if name and not name.startswith(allowed)} <= {
        *("collections.abc", "contextlib", "dataclasses", "datetime", "enum", "functools", "re"),
        *("collections", "json", "types", "typing", "uuid"),
    }


def test_the_core_reads_no_clock() -> None:
    clocks = {"now", "today", "utcnow", "time", "monotonic", "astimezone"}

    named = {
        node.attr
        for file in (SOURCE / "trust").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
    }

    # Of a time that a message holds, `astimezone` writes the same moment in another zone.
    assert named & clocks <= {"astimezone"}


def _names(node: ast.Import) -> list[str | None]:
    return [alias.name for alias in node.names]
