"""What a caller is told of a field is a sentence, with nothing of how the field was checked."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.web import InvalidFields, Request, to_base64
from tests.factories import point_id
from tests.guards.test_text_fields import shapes

# Fields that are refused nothing.
TAKES_ALL = {"MessageRequest.message"}

VALUES: list[Any] = [
    *("", " ", "A", "AAA", "A" * 23, "A" * 5000, "a\nb", "a b/c", "\x1b", "\u200b", "\u202e", "é"),
    *(to_base64(bytes(length)) for length in (1, 31, 33, 40, 41, 200_000)),
    *(
        "2026-01-01",
        "9999-12-31T23:00:00-05:00",
        "0",
        "NaN",
        "1e999",
        point_id().replace("-7", "-4"),
    ),
    *(None, True, 0, -1, 1.5, 1e300, 2**40, float("nan"), [], [[]], {}, {"a": 1}, [{}] * 501),
    *({"v": 1, "n": "", "c": ""}, to_base64(b"{}" + b" " * 60)),
]
MACHINERY = re.compile(
    r"[\\^$\[\]{}*+|<>]|pattern|regex|[Ii]nput|[Vv]alue|valid|pydantic|not of the form"
)


def refused(shape: type[Request], alias: str) -> Iterator[str]:
    """Return what is told of a field, where it is told something."""
    for value in VALUES:
        try:
            shape.read({alias: value})
        except InvalidFields as error:
            told = dict(part.split(": ", 1) for part in error.detail.split("; "))
            yield from (
                sentence
                for path, sentence in told.items()
                if path == alias or path.startswith(f"{alias}.")
            )


@pytest.mark.usefixtures("schema")
def test_every_field_is_refused_in_a_sentence_without_the_machinery_behind_it() -> None:
    import app  # noqa: F401, PLC0415 -- all shapes are known then

    told = {
        f"{shape.__name__}.{name}": {*refused(shape, str(field.alias))}
        for shape in shapes()
        for name, field in shape.model_fields.items()
        if not name.startswith("submission")
    }

    assert {name for name, sentences in told.items() if not sentences} == TAKES_ALL
    assert {
        name: [sentence for sentence in sentences if MACHINERY.search(sentence)]
        for name, sentences in told.items()
        if any(map(MACHINERY.search, sentences))
    } == {}


@pytest.mark.usefixtures("schema")
def test_a_field_of_one_length_is_said_to_have_exactly_that() -> None:
    import app  # noqa: F401, PLC0415 -- all shapes are known then

    exact = {
        f"{shape.__name__}.{alias}": (shape, alias)
        for shape in shapes()
        for alias, member in shape.model_json_schema().get("properties", {}).items()
        if any(
            form.get("minLength", 0) == form.get("maxLength")
            for form in member.get("anyOf", [member])
        )
    }

    assert len(exact) > 5
    for shape, alias in exact.values():
        told = [sentence for sentence in refused(shape, alias) if "bytes" in sentence]
        assert told
        for sentence in told:
            assert sentence.startswith("should be exactly "), json.dumps(told)
