"""Small changes to a source, each of which a test of behaviour should notice.

A mutation replaces one node of the syntax tree: a condition is negated or dropped, a bound is
shifted by one, an operator becomes its neighbour, a filter of a query is left out, a call or a
`raise` is removed. Annotations, docstrings and texts for people stay as they are.
"""

import ast
import copy
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

_COMPARED: dict[type[ast.cmpop], ast.cmpop] = {
    ast.Lt: ast.LtE(),
    ast.LtE: ast.Lt(),
    ast.Gt: ast.GtE(),
    ast.GtE: ast.Gt(),
    ast.Eq: ast.NotEq(),
    ast.NotEq: ast.Eq(),
    ast.In: ast.NotIn(),
    ast.NotIn: ast.In(),
    ast.Is: ast.IsNot(),
    ast.IsNot: ast.Is(),
}
_COMPUTED: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.FloorDiv(),
    ast.FloorDiv: ast.Mult(),
    ast.Mod: ast.Mult(),
    ast.BitAnd: ast.BitOr(),
    ast.BitOr: ast.BitAnd(),
    ast.LShift: ast.RShift(),
    ast.RShift: ast.LShift(),
}
_PAIRS = (
    *(("and_", "or_"), ("min", "max"), ("any", "all"), ("is_", "is_not"), ("in_", "not_in")),
    *(("asc", "desc"), ("add", "discard"), ("startswith", "endswith")),
)
_NEIGHBOURS = dict(_PAIRS) | {second: first for first, second in _PAIRS}
_LEFT_OUT = {
    *("where", "limit", "order_by", "distinct", "with_for_update", "having", "filter"),
    *("on_conflict_do_nothing", "strip", "lower", "upper", "casefold", "replace"),
}
"""Methods without which there is still a value of the same kind."""
_Node = TypeVar("_Node", bound=ast.AST)
_WORD = re.compile(r"[\w./:-]+")
"""Texts that a program reads: codes, names of columns, labels of a domain."""


@dataclass(frozen=True)
class Mutation:
    """One change. `name` is the same in every run, and also when lines above it change."""

    name: str
    line: int


def mutations(source: str) -> list[Mutation]:
    """Return every mutation of a source, in its order."""
    return [Mutation(name, slot.value.lineno) for name, slot, _ in _all(ast.parse(source))]


def mutated(source: str, name: str) -> ast.Module:
    """Return the tree of a source with the mutation of this name. Raises KeyError."""
    tree = ast.parse(source)
    for each, slot, changed in _all(tree):
        if each == name:
            slot.put(changed)
            return ast.fix_missing_locations(tree)
    raise KeyError(name)


def _all(tree: ast.Module) -> Iterator[tuple[str, "_Slot", ast.AST]]:
    counted: Counter[str] = Counter()
    for slot in _slots(tree, "module"):
        for changed in _replacements(slot.value, slot.parent):
            name = f"{slot.scope}: {_short(slot.value)} => {_short(changed)}"
            counted[name] += 1
            yield name + f" #{counted[name]}" * (counted[name] > 1), slot, changed


def _short(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):  # without what follows the condition
        return f"if {_short(node.test)}"
    return textwrap.shorten(ast.unparse(node), 160, placeholder=" ...")


@dataclass(frozen=True)
class _Slot:
    """Where a node stands."""

    parent: ast.AST
    field: str
    index: int | None
    value: ast.expr | ast.stmt
    scope: str

    def put(self, node: ast.AST) -> None:
        """Put another node there."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def _slots(node: ast.AST, scope: str) -> Iterator[_Slot]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        scope = node.name if scope == "module" else f"{scope}.{node.name}"
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases", "type_params"}:
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_for_people(child):
                continue
            if isinstance(child, ast.expr | ast.stmt):
                place = index if isinstance(value, list) else None
                yield _Slot(node, name, place, child, scope)
            yield from _slots(child, scope)


def _is_for_people(node: ast.AST) -> bool:
    """Whether it is a docstring, an import, an f-string, or what only a type checker reads."""
    return (
        isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    )


def _replacements(  # noqa: C901, PLR0912 -- a table, with a line or two for each kind of node
    node: ast.expr | ast.stmt, parent: ast.AST
) -> Iterator[ast.AST]:
    match node:
        case ast.Compare():
            for number, operator in enumerate(node.ops):
                changed = copy.deepcopy(node)
                changed.ops[number] = _COMPARED[type(operator)]
                yield changed
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
            for number, _ in enumerate(node.values):
                rest = [one for index, one in enumerate(node.values) if index != number]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _COMPUTED:
            yield ast.BinOp(node.left, _COMPUTED[type(node.op)], node.right)
        case ast.AugAssign() if type(node.op) in _COMPUTED:
            yield ast.AugAssign(node.target, _COMPUTED[type(node.op)], node.value)
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)
        case ast.If() | ast.While():
            yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Constant():
            yield from _constants(node, parent)
        case ast.Call():
            yield from _calls(node)
        case ast.Subscript(slice=ast.Slice(lower=None, upper=ast.expr())):
            yield _with(node, slice=ast.Slice())
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            for number, loop in enumerate(node.generators):
                for condition, _ in enumerate(loop.ifs):
                    changed_loop = copy.deepcopy(node)
                    del changed_loop.generators[number].ifs[condition]
                    yield changed_loop


def _constants(node: ast.Constant, parent: ast.AST) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
    elif isinstance(value, bytes):
        yield ast.Constant(value + b"!")
    elif (
        isinstance(value, str) and _WORD.fullmatch(value) and not isinstance(parent, ast.Subscript)
    ):
        yield ast.Constant(f"{value}!")


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    function = node.func
    called = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    if called in _NEIGHBOURS:
        other = _NEIGHBOURS[called]
        yield _with(
            node,
            func=ast.Attribute(function.value, other, ast.Load())
            if isinstance(function, ast.Attribute)
            else ast.Name(other, ast.Load()),
        )
    if isinstance(function, ast.Attribute) and called in _LEFT_OUT:
        yield function.value
    if called in {"where", "and_", "or_", "order_by", "having"} and len(node.args) > 1:
        for number, _ in enumerate(node.args):
            yield _with(node, args=[one for index, one in enumerate(node.args) if index != number])
    if called in {"sorted", "frozenset", "set", "not_"} and len(node.args) == 1:
        yield node.args[0]


def _with(node: _Node, **fields: object) -> _Node:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
