"""No text of a request steers a terminal, breaks a line or turns the text around it about."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from chalicelib.web import Request

# Fields that take such characters, each with the reason why they do no harm there.
TAKEN = {
    "CodeRequest.code": "is read as an invite code, and neither stored nor shown",
    "JoinGroupRequest.code": "is read as an invite code, and neither stored nor shown",
    "JoinRequest.code": "is read as an invite code, and neither stored nor shown",
    "MessageHeaders.user_agent": "is compared with one name, and neither stored nor shown",
    "MessageRequest.message": "is any JSON; of the texts in it what is printable is kept",
    "Batch.locations": "is read item by item, as points",
}

# C0, DEL, C1, line separators, and what changes the direction of text.
STEERING = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, range(0x2028, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
]
LENGTHS = [*range(2, 70), 128, 256]


def shapes(kind: type[Request] = Request) -> Iterator[type[Request]]:
    for shape in kind.__subclasses__():
        yield shape
        yield from shapes(shape)


def fields(shape: type[Request]) -> Iterator[tuple[str, TypeAdapter[Any]]]:
    for name, field in shape.model_fields.items():
        annotation: Any = (
            Annotated[(field.annotation, *field.metadata)] if field.metadata else (field.annotation)
        )
        yield f"{shape.__name__}.{name}", TypeAdapter(annotation)


def takes(adapter: TypeAdapter[Any], steering: str) -> bool:
    """Whether a text with this character is taken, at any length, and still has it then."""
    for length in LENGTHS:
        text = "A" * (length // 2) + steering + "A" * (length - 1 - length // 2)
        for value in (text, [text]):
            try:
                taken = adapter.validate_python(value)
            except (ValidationError, TypeError):
                continue
            if steering in str(taken if isinstance(taken, str) else "".join(map(str, taken))):
                return True
    return False


@pytest.mark.usefixtures("schema")
def test_every_text_of_a_request_refuses_characters_that_steer() -> None:
    import app  # noqa: F401, PLC0415 -- all shapes are known then

    taking = {
        name: sorted({f"{ord(steering):04X}" for steering in STEERING if takes(adapter, steering)})
        for shape in shapes()
        for name, adapter in fields(shape)
    }

    found = {name: characters for name, characters in taking.items() if characters}
    assert {name: found[name] for name in found.keys() - TAKEN.keys()} == {}, (
        "These fields take characters that steer a terminal or a reader. Give each the type Name"
        " or a pattern, or add it to TAKEN in tests/guards/test_text_fields.py with the reason."
    )
    assert TAKEN.keys() - found.keys() == set(), (
        "These fields refuse such characters by now: take them out of TAKEN in"
        " tests/guards/test_text_fields.py."
    )


def test_a_text_without_a_pattern_is_found() -> None:
    annotations: list[Any] = [str, Annotated[str, "any"], str | None, list[str]]
    for annotation in annotations:
        assert takes(TypeAdapter(annotation), "\x1b")
        assert takes(TypeAdapter(annotation), "\u202e")
    assert not takes(TypeAdapter(int), "\x1b")
