"""What the trust core tells: each code has one text, which says who did it and what to type."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import draugar
from draugar.cli.trust_notices import _PACKAGES, _STATEMENTS, TRUST_TEXTS, trust_text
from draugar.models import NamedDevice, NamedPerson
from draugar.protocol.secrets import DeviceKey
from draugar.protocol.statements import Device, DeviceKind
from draugar.trust.values import Listed, Listing, Notice, Record, Source, State
from draugar.usecases.telling import named

CORE = Path(draugar.__file__).parent / "trust"
MOST_WORDS = 30
LINK = "01a22ed3-f9e2-752d-b8ec-6813a91207f5"
COMMAND = re.compile(
    r"(: draugar (confirm|people|devices|invite|rotate|groups|remove)\b[^.]*|pipx install --force"
    r" \./client)$"
)


def device(number: int, name: str | None = "Ari", **more: Any) -> NamedDevice:
    owner = None if name is None else NamedPerson(name, is_known=True)
    return NamedDevice(id=UUID(int=number), owner=owner, **more)


DEVICES = [
    device(1),
    device(2, None),
    device(3, is_mine=True),
    NamedDevice(id=UUID(int=4), owner=NamedPerson("Eva", is_known=False)),
]
ACTORS = [*DEVICES, device(5, is_mine=True, is_this_one=True)]
PEOPLE = [NamedPerson("Ari", is_known=True), NamedPerson("Eva", is_known=False), None]
VALUES: dict[str, list[Any]] = {
    "device": DEVICES,
    "by": ACTORS,
    "author": ACTORS,
    "wrapper": DEVICES,
    "person": PEOPLE,
    "link": [LINK],
    "since": [3],
    "ended": [2],
    "version": [3],
    "day": [20_000],
    "n": [1],
    "form": [3],
    "left_out": [0, 1],
    "before": ["Ari"],
    "now": ["Arri"],
    "shown": ["Ari"],
    "listed": ["Eva"],
    "why": ["gone", "changed", "said"],
    "reason": sorted(_PACKAGES),
    "what": sorted(_STATEMENTS),
}


def told_by_the_core() -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each code that the core tells, with the names of its parameters."""
    for file in sorted(CORE.glob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == "Notice.of":
                        names = frozenset(keyword.arg or "" for keyword in call.keywords)
                        for code in texts(call.args[0], function):
                            yield code, names


def texts(value: ast.expr, function: ast.FunctionDef) -> Iterator[str]:
    """Yield the texts that an expression may be."""
    if isinstance(value, ast.Constant):
        yield str(value.value)
    elif isinstance(value, ast.IfExp):
        yield from texts(value.body, function)
        yield from texts(value.orelse, function)
    else:
        assert isinstance(value, ast.Name)
        for given in ast.walk(function):
            if isinstance(given, ast.Assign) and ast.unparse(given.targets[0]) == value.id:
                yield from texts(given.value, function)


CODES = sorted(set(told_by_the_core()), key=str)


def test_each_code_of_the_core_has_one_text_and_each_text_a_code() -> None:
    assert {code for code, _ in CODES} == set(TRUST_TEXTS)


@pytest.mark.parametrize("code", sorted(TRUST_TEXTS))
def test_a_text_has_the_parameters_of_its_code(code: str) -> None:
    told = [names for one, names in CODES if one == code]

    taken = inspect.signature(TRUST_TEXTS[code]).parameters

    assert set(taken) == frozenset().union(*told)
    required = {name for name, one in taken.items() if one.default is one.empty}
    assert required == frozenset.intersection(*told)


def each(names: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Yield parameters, among which each value of each stands once at least."""
    for place in range(max((len(VALUES[name]) for name in names), default=1)):
        yield {name: VALUES[name][place % len(VALUES[name])] for name in names}


@pytest.mark.parametrize(("code", "names"), CODES)
def test_a_text_is_plain_sentences_that_end_in_a_command(code: str, names: frozenset[str]) -> None:
    for parameters in each(names):
        text = trust_text(code, parameters)

        sentences = re.split(r"(?<=[.:]) ", text)
        assert [one for one in sentences if len(one.split()) > MOST_WORDS] == []
        assert COMMAND.search(text), text
        assert text[0].isupper()
        assert "None" not in text


@pytest.mark.parametrize(("code", "names"), CODES)
def test_a_text_names_the_devices_and_people_that_it_is_about(
    code: str, names: frozenset[str]
) -> None:
    stated = {
        name: device(1, "Bera") if name in ("by", "author", "wrapper") else VALUES[name][-1]
        for name in names
    }
    if "device" in names:
        stated["device"] = device(7, "Sif")
    if "person" in names:
        stated["person"] = NamedPerson("Sif", is_known=True)

    text = trust_text(code, {**stated, **({"why": "said"} if "why" in names else {})})

    if names & {"by", "author", "wrapper"}:
        assert "Bera" in text
    if "device" in names:
        assert "Sif" in text or str(UUID(int=7)) in text
    if "link" in names:
        assert LINK in text


def test_a_name_stands_in_a_command_as_a_shell_reads_it() -> None:
    person = NamedPerson("Una; rm -rf ~", is_known=False)
    text = trust_text("waiting", {"device": device(1), "person": person})

    assert text.endswith("draugar confirm 'Una; rm -rf ~'")


# Names in place of ids


ME, ARI, EVA = (UUID(int=number) for number in (10, 20, 30))


def known(number: int, user_id: UUID) -> Device:
    return Device(user_id, UUID(int=number), number.to_bytes(32), DeviceKind.APP)


def test_ids_become_names_and_what_is_known_goes_before_what_is_listed() -> None:
    mine, his, hers = known(1, ME), known(2, ARI), known(3, EVA)
    state = State(
        me=mine,
        key=DeviceKey.make(),
        group_id=UUID(int=9),
        records={his.device_id: Record(device=his, since=1, source=Source.SAFETY)},
        introduced={ARI: "Ari"},
    )
    listing = Listing(
        devices=(
            Listed(device=known(2, EVA), name="Eva"),
            Listed(device=hers, name="Ari"),
            Listed(device=mine, name="Una"),
        )
    )

    found = named(
        Notice.of("trust_ended", device=his.device_id, by=mine.device_id, why="said", ended=1),
        state,
        listing,
    )
    other = named(Notice.of("waiting", device=hers.device_id, person=EVA), state, listing)
    nothing = named(Notice.of("newer_form", device="", form=3), state, listing)
    gone = named(Notice.of("statement_refused", device=UUID(int=8)), state, listing)

    assert found["device"] == NamedDevice(id=his.device_id, owner=NamedPerson("Ari", is_known=True))
    assert found["by"] == NamedDevice(
        id=mine.device_id,
        owner=NamedPerson("Una", is_known=False),
        is_this_one=True,
        is_mine=True,
    )
    assert (found["why"], found["ended"]) == ("said", 1)
    assert other["person"] == NamedPerson("Eva", is_known=False)
    assert nothing["device"] is None
    assert gone["device"] == NamedDevice(id=UUID(int=8), owner=None)


def test_two_people_of_one_name_are_told_apart() -> None:
    mine, his, hers = known(1, ME), known(2, ARI), known(3, EVA)
    state = State(me=mine, key=DeviceKey.make(), group_id=UUID(int=9))
    listing = Listing(
        devices=(Listed(device=his, name="Ari"), Listed(device=hers, name="Ari")),
    )

    found = [
        named(Notice.of("waiting", device=one.device_id, person=one.user_id), state, listing)
        for one in (his, hers)
    ]

    assert found[0]["person"] == NamedPerson("Ari [0014]", is_known=False)
    assert found[1]["person"] == NamedPerson("Ari [001e]", is_known=False)
