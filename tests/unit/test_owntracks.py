"""What of a phone's message can be told without a database."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from chalice.app import Request
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import log
from chalicelib.auth.credentials import make_token, phone_credential
from chalicelib.devices.service import choose_tid
from chalicelib.owntracks.schemas import FriendsAnswer, MessageRequest
from chalicelib.owntracks.service import (
    Card,
    Fix,
    Friend,
    Sealed,
    Told,
    Transition,
    Unwanted,
    fix_id,
)
from chalicelib.settings import Settings
from chalicelib.web import log as request_log
from tests.database import PEPPER
from tests.owntracks import ANYTHING, Android, Ios, basic

DEVICE = UUID("019f1ccc-9f40-7c1a-9c5e-5d9a4f1f0a77")


@given(ANYTHING)
def test_whatever_comes_is_read_as_something(value: Any) -> None:
    message = MessageRequest.read(value).message

    assert isinstance(message, Fix | Sealed | Card | Transition | Unwanted)
    assert "\0" not in json.dumps(message, default=repr)


@given(
    st.lists(
        st.builds(
            Friend,
            tid=st.from_regex(r"\A[a-z0-9]{2}([a-f0-9]{6})?\Z"),
            name=st.text(min_size=1, max_size=64),
            face=st.none() | st.just("iVBORw0KGgo="),
            is_card_due=st.booleans(),
            fix=st.none()
            | st.builds(
                Fix,
                at=st.integers(1, 2**33),
                latitude=st.floats(-90, 90),
                longitude=st.floats(-180, 180),
                accuracy=st.floats(0, 20_037_508),
            ),
            transitions=st.just([]),
        ),
        max_size=4,
    )
)
def test_whatever_there_is_to_tell_both_apps_understand(friends: list[Friend]) -> None:
    answer = FriendsAnswer.of(Told(friends=friends)).text()

    for app in (Android(), Ios()):
        elements = app.receive(200, answer)
        assert len(elements) == sum(
            friend.is_card_due + (friend.fix is not None) for friend in friends
        )


@given(st.integers(1, 2**48 // 1000 - 1), st.text())
def test_the_id_of_a_fix_is_a_uuid_of_version_7_with_its_time(at: int, key: str) -> None:
    fix = Fix(at=at, latitude=1, longitude=2, accuracy=3, key=key.encode(errors="replace").decode())

    made = fix_id(DEVICE, fix)

    assert made == fix_id(DEVICE, fix)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert int.from_bytes(made.bytes[:6]) == at * 1000
    assert made != fix_id(uuid4(), fix)


def test_a_name_that_android_gives_a_message_tells_it_apart() -> None:
    def read(**fields: Any) -> UUID:
        message = MessageRequest.read({"_type": "location", "lat": 1, "tst": 7, **fields}).message
        assert isinstance(message, Fix)
        return fix_id(DEVICE, message)

    ids = [read(), read(_id="a"), read(_id="b"), read(lat=2), read(acc=5), read(_id="\ud800")]

    assert len(set(ids)) == 5
    assert ids[4] == ids[0]


@pytest.mark.parametrize("said", [{}, {"acc": None}, {"acc": 0}])
def test_an_accuracy_that_is_not_known_costs_no_position(said: dict[str, Any]) -> None:
    value = {"_type": "location", "lat": 1, "lon": 2, "tst": 7, **said}

    message = MessageRequest.read(value).message

    assert isinstance(message, Fix)
    assert message.accuracy == 0


@pytest.mark.parametrize("accuracy", [-1, 20_037_509, "12", True, [1]])
def test_an_accuracy_that_cannot_be_is_no_position(accuracy: object) -> None:
    value = {"_type": "location", "lat": 1, "lon": 2, "tst": 7, "acc": accuracy}

    assert not isinstance(MessageRequest.read(value).message, Fix)


@pytest.mark.parametrize(
    ("name", "taken", "tid"),
    [
        ("Una", [], "un"),
        ("Una", ["UN"], "ua"),
        ("Una", ["un", "ua"], "u0"),
        ("Þórr", [], "or"),
        ("", [], "aa"),
        ("Jón", ["jo"], "jn"),
    ],
)
def test_a_tid_is_of_the_name_as_far_as_it_goes(name: str, taken: list[str], tid: str) -> None:
    assert choose_tid(name, taken) == tid


def test_there_are_no_more_tids_than_two_letters_and_digits_make() -> None:
    taken: list[str] = []
    while (tid := choose_tid("Una", taken)) is not None:
        taken.append(tid)

    assert len(taken) == len(set(taken)) == 36 * 36


def test_a_phones_credential_shows_nothing_of_its_password() -> None:
    token = make_token()

    credential = phone_credential(basic(DEVICE, token)["Authorization"].removeprefix("Basic "))

    assert credential is not None
    assert credential.parameters["caller_device_id"] == DEVICE
    assert token not in repr(credential)
    assert "hash" not in repr(credential)


def test_what_was_put_down_is_counted_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {
        "DATABASE_URL": "postgresql://nobody@localhost/none",
        "INVITE_CODE_PEPPER": PEPPER,
    }
    own = Settings.from_environment(environment | {"METRICS_NAMESPACE": "Draugar"})
    monkeypatch.setattr(log, "settings", lambda: own)
    event = {
        "requestContext": {"httpMethod": "POST", "resourcePath": "/owntracks", "identity": {}},
        "multiValueQueryStringParameters": None,
        "headers": {},
        "pathParameters": {},
        "body": None,
        "stageVariables": None,
    }

    for code in (None, "owntracks_not_kept"):
        request_log.request(Request(event, None), 200, 0, request_log.Outcome(code=code))

    posted, ignored = map(json.loads, capsys.readouterr().out.splitlines())
    assert (posted["posts"], "ignored" in posted) == (1, False)
    assert (ignored["ignored"], ignored["code"], "posts" in ignored) == (
        1,
        "owntracks_not_kept",
        False,
    )
