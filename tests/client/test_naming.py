"""Names: which are taken, and which two mean the same person or place."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from draugar.cli.failures import CommandFailure
from draugar.cli.named import device_named
from draugar.models import OwnDevice
from draugar.text.naming import NotAName, checked, same

INVISIBLE = (
    *"\u200b\u2060\u3164\uffa0\u2800\u115f\u1160\u034f\ufe0f\u17b4\u17b5\u180e\u00ad\u061c\ufeff\ufffc",
    *("\U000e0041", "\U000e0100", "\u2065", "\u00a0\u3164", "\u200d\u200c"),
)
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 65, "two\nlines", "\x9b31m", "Una\u202e", *INVISIBLE]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(NotAName):
        checked(name)


@pytest.mark.parametrize(
    "name",
    [
        "Una",
        "x" * 64,
        "\u674e",
        f"Bea {ENGLAND}",
        "\u05d0\u05d1\u05d9\u200f",
        "\u2764\ufe0f",
        "\U0001faea",
    ],
)
def test_a_name_in_which_something_shows_is_taken_as_it_is(name: str) -> None:
    assert checked(f" {name} ") == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zo\u00eb", "Zoe\u0308"),
        ("ZO\u00cb", "zo\u00eb"),
        ("\u05d0\u05d1\u05d9", "\u05d0\u05d1\u05d9\u200f"),
        ("Una", "U\u200bna\ufeff"),
        ("Anna Lena", "Anna\u00a0 Lena"),
        ("Gro\u00df", "GROSS"),
        ("\uff35\uff4e\uff41", "Una"),
        ("\ufb01n", "fin"),
        ("\u2764\ufe0f", "\u2764"),
        ("Una\u3164", "Una"),
        *(
            ("Sean O'Brien", f"sean o{mark}brien")
            for mark in "\u2019\u02bc\u0060\u00b4\u2018\uff07"
        ),
        ("Ka'ala", "Ka\u02bbala"),
        *(("Anna-Lena", f"Anna{dash}Lena") for dash in "\u2010\u2011\u2013\u2212\uff0d"),
        ('Bea "Bee"', "Bea \u201cBee\u201d"),
    ],
)
def test_two_spellings_of_a_name_are_the_same(one: str, other: str) -> None:
    assert same(one) == same(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Una", "Uma"), ("Zo\u00eb", "Zoe"), ("\u0410", "A"), ("O'Brien", "OBrien")]
)
def test_two_names_are_not_the_same(one: str, other: str) -> None:
    assert same(one) != same(other)


def test_a_text_in_the_form_of_an_id_means_no_device_of_that_name() -> None:
    id_, other = UUID(int=1, version=4), UUID(int=2, version=4)
    now = datetime(2026, 8, 5, tzinfo=UTC)
    listed = OwnDevice(
        id=id_,
        name=str(other),
        kind="app",
        created_at=now,
        last_used_on=now.date(),
        is_this_one=False,
        has_key=True,
    )
    assert device_named(str(id_), [listed], "none") == listed
    with pytest.raises(CommandFailure):
        device_named(str(other), [listed], "none")
