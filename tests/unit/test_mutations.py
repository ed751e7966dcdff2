"""The small changes by which the tests are tried."""

import ast

import pytest

from scripts.mutants import CONTROLS, PROJECT, Control
from scripts.mutations import mutated, mutations


def changed(source: str) -> list[str]:
    """Return what the only line of a source becomes."""
    return [ast.unparse(mutated(source, each.name)) for each in mutations(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a <= b"]),
        ("a <= b", ["a < b"]),
        ("a == b", ["a != b"]),
        ("a in b", ["a not in b"]),
        ("a is None", ["a is not None"]),
        ("a and b", ["a or b", "b", "a"]),
        ("not a", ["a"]),
        ("~a", ["a"]),
        ("a - b", ["a + b"]),
        ("x = 20", ["x = 21"]),
        ("x = True", ["x = False"]),
        ("x = b'label'", ["x = b'label!'"]),
        ("x = 'code'", ["x = 'code!'"]),
        ("x = 'A text for people.'", []),
        ("a if b else c", ["c if b else a"]),
        ("raise Refused", ["pass"]),
        ("x = query.where(a, b)", ["x = query", "x = query.where(b)", "x = query.where(a)"]),
        ("x = or_(a, b)", ["x = and_(a, b)", "x = or_(b)", "x = or_(a)"]),
        ("x = point.id.desc()", ["x = point.id.asc()"]),
        ("x = query.with_for_update()", ["x = query"]),
        ("x = nonce[:n]", ["x = nonce[:]"]),
        ("x = [a for a in b if c]", ["x = [a for a in b]"]),
        ("x: int = y", []),
        ("import a", []),
    ],
)
def test_a_source_is_changed_in_one_place_at_a_time(source: str, expected: list[str]) -> None:
    assert changed(source) == expected


def test_a_condition_is_negated() -> None:
    (name,) = (each.name for each in mutations("if a:\n    b = c"))

    assert name == "module: if a => if not a"
    assert ast.unparse(mutated("if a:\n    b = c", name)) == "if not a:\n    b = c"


def test_a_mutation_keeps_its_name_when_lines_above_it_change() -> None:
    source = "def f(a):\n    return a < 1 or a < 1\n"

    names = [each.name for each in mutations(source)]

    assert names == [each.name for each in mutations(f"import b\n\n{source}")]
    assert len(set(names)) == len(names)
    assert "f: a < 1 => a <= 1 #2" in names


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.file)
def test_a_planted_fault_can_be_planted(control: Control) -> None:
    file, _, test = control.test.partition("::")

    assert (PROJECT / control.file).read_text().count(control.before) == 1
    assert f"def {test}(" in (PROJECT / file).read_text()
