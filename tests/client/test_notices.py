"""What a notice says to a person: a sentence for each code, and what is told once."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from draugar.cli.notices import text
from draugar.cli.trust_notices import TRUST_TEXTS
from draugar.models import Code, Kind, Notice
from draugar.usecases.notify import Notifier
from tests.client.family import Family

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "name": "Una",
    "since": "2026-06-01",
    "tid": "un",
    "given": (("Una", 2),),
    "left_out": (("Ari", 1),),
    "has_phones": True,
    "count": 2,
    "total": 3,
    "points": 3000,
    "seconds": 10.0,
    "refusal": "out_of_range",
    "phones": (("Phone", "un", NOON),),
    "group": "Hearth",
}
PARAMETERS = {
    Code.OWN_PHONE_PRESENT: ("tid", "since"),
    Code.ROTATED: ("given", "left_out", "has_phones"),
    Code.POINTS_DROPPED: ("count", "name"),
    Code.POINTS_UNREADABLE: ("count", "name"),
    Code.PLAINTEXT_REFUSED: ("count", "name"),
    Code.EXPORT_UNVERIFIED: ("count", "total"),
    Code.OLDER_THAN_SEEN: ("name",),
    Code.SEARCH_ENDED: ("name", "points", "seconds"),
    Code.NOT_SHARED: ("refusal", "count"),
    Code.PHONES_WAIT: ("phones",),
    Code.PAUSE_ENDED: ("group",),
}


@pytest.mark.parametrize("code", [code for code in Code if code not in TRUST_TEXTS])
def test_every_code_has_a_kind_and_says_something_with_every_parameter(code: Code) -> None:
    parameters = {name: VALUES[name] for name in PARAMETERS.get(code, ())}

    notice = Notice(code=code, parameters=parameters)

    assert notice.kind in Kind
    assert text(notice).endswith((".", "draugar devices", "draugar rotate", "draugar people")) or (
        "draugar " in text(notice)
    )


def test_a_notice_shows_no_name_where_it_is_logged() -> None:
    notice = Notice(code=Code.JOINED, parameters={"name": "Una"}, once="Una")

    assert "Una" not in repr(notice)


def test_every_code_of_the_core_has_a_kind_or_is_a_failure() -> None:
    codes = {code.value for code in Code}
    failures = {"not_listed", "version_went_back"}

    assert TRUST_TEXTS.keys() - codes == failures
    assert all(Notice(code=code).kind in Kind for code in Code)


def test_what_is_told_once_is_told_once_for_each_kind_group_and_subject(family: Family) -> None:
    home = family.home("Una")
    group, other = UUID(int=1), UUID(int=2)

    for _ in range(2):
        notifier = Notifier(home)  # as in another command
        for group_id, once in ((group, "a"), (group, "b"), (other, "a"), (group, None)):
            notifier.tell(Code.KEYS_DIFFER, group_id=group_id, once=once)
    again = notifier.take()

    assert [notice.once for notice in again] == [None]
    assert notifier.take() == []
