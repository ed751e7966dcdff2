"""Where a group takes plaintext: what a phone posts, and what it is told of the others."""

import base64
import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from chalicelib.models import (
    Device,
    Group,
    Member,
    OwntracksCard,
    OwntracksServed,
    OwntracksTransition,
)
from tests import factories
from tests.api import Api
from tests.features.owntracks.conftest import Family, Phone, noted
from tests.owntracks import ANYTHING, Android, App, Ios, NotDelivered, basic

MakePhone = Callable[..., Phone]
FACE = base64.b64encode(secrets.token_bytes(300)).decode()


@pytest.mark.parametrize("path", ["/owntracks", "/owntracks/", "/pub", "/pub/"])
def test_a_fix_is_stored_and_shown_to_the_group(
    api: Api, family: Family, phone_of: MakePhone, app: type[App], path: str
) -> None:
    phone = phone_of(family.una, app)
    phone.path = path

    phone.post(family.fix())

    (point,) = api.as_(family.ari.token).get("/api/locations/latest").json["locations"]
    assert (point["latitude"], point["longitude"], point["accuracy"]) == (64.1466, -21.9426, 12)
    assert point["userId"] == str(family.una.user_id)
    assert point["deviceId"] == str(phone.who.device_id)
    (stored,) = family.stored()
    assert stored.recorded_at.timestamp() == family.now()


def test_a_phone_is_told_where_everybody_is_and_who(
    family: Family, phone_of: MakePhone, app: type[App]
) -> None:
    una, ari = phone_of(family.una, app), phone_of(family.ari, app)
    ari.post(family.fix(lat=65.0, lon=-18.0, tst=family.now(minutes=5)))

    una.post(family.fix())

    assert una.app.friends == {
        "un": {
            "name": "Una",
            "face": None,
            "tst": family.now(),
            "lat": 64.1466,
            "lon": -21.9426,
        },
        "ar": {
            "name": "Ari",
            "face": None,
            "tst": family.now(minutes=5),
            "lat": 65.0,
            "lon": -18.0,
        },
    }


def test_who_has_no_phone_is_told_by_the_end_of_their_id(
    family: Family, phone_of: MakePhone, app: type[App], session: Session
) -> None:
    una = phone_of(family.una, app)
    factories.stored_point(session, family.group_id, family.ari)

    una.post(family.fix())

    assert una.app.friends.keys() == {"un", str(family.ari.user_id)[-8:]}


def test_a_person_is_known_by_their_oldest_phone_that_is_in_use(
    family: Family, phone_of: MakePhone, session: Session
) -> None:
    una = phone_of(family.una, Android)
    factories.phone(
        session, family.group_id, family.ari, tid="a0", revoked_at=factories.now(session)
    )
    factories.phone(session, family.group_id, family.ari, tid="a1")
    newer = Phone(
        una.api, factories.phone(session, family.group_id, family.ari, tid="a2"), Android()
    )

    newer.post(family.fix())
    una.post(family.fix())

    assert una.app.friends.keys() == {"un", "a1"}
    assert newer.app.friends.keys() >= {"a2"}


def test_a_point_of_before_is_told_when_the_one_posted_is_older(
    family: Family, phone_of: MakePhone, app: type[App]
) -> None:
    una = phone_of(family.una, app)
    una.post(family.fix(lat=1.0))

    told = una.post(family.fix(lat=2.0, tst=family.now(hours=1)))

    (mine,) = (element for element in told if element["_type"] == "location")
    assert (mine["lat"], mine["tst"]) == (1.0, family.now())


def test_a_message_that_is_sent_again_is_stored_once(
    family: Family, phone_of: MakePhone, app: type[App], capsys: pytest.CaptureFixture[str]
) -> None:
    una = phone_of(family.una, app)
    raw = una.app.body(family.fix(_id="4f1f0a77"))

    first, again = una.post_raw(raw), una.post_raw(raw)

    assert again == first
    assert len(family.stored()) == 1
    assert noted(capsys.readouterr().out) == "owntracks_duplicate"


def test_two_fixes_of_one_second_are_two(
    family: Family, phone_of: MakePhone, app: type[App]
) -> None:
    una = phone_of(family.una, app)

    una.post(family.fix())
    una.post(family.fix(lat=64.2))

    assert len(family.stored()) == 2


@pytest.mark.parametrize(
    ("missing", "place"),
    [({"lat"}, (0, -21.9426)), ({"lon"}, (64.1466, 0)), ({"acc"}, (64.1466, -21.9426))],
)
def test_what_is_0_may_be_left_out(
    family: Family, phone_of: MakePhone, missing: set[str], place: tuple[float, float]
) -> None:
    una = phone_of(family.una, Android)

    una.post({name: value for name, value in family.fix().items() if name not in missing})

    (stored,) = family.stored()
    assert (stored.latitude, stored.longitude) == place
    assert stored.accuracy == (0 if "acc" in missing else 12)


NO_NUMBERS: list[Any] = ["1", None, [], True, 1e999]
UNREADABLE: list[Any] = [
    {"lat": None, "lon": None},
    *({name: value} for name in ("lat", "lon") for value in NO_NUMBERS),
    *({"acc": value} for value in NO_NUMBERS if value is not None),  # null is unknown
    {"lat": 90.1},
    {"lon": -180.1},
    {"acc": -1},
    {"acc": 10**400},
    {"lat": float("nan")},
    {"tst": 0},
    {"tst": None},
    {"tst": "1"},
    {"tst": -1},
    {"tst": 10**18},
    {"tst": 10**400},
    {"tst": float("inf")},
]


@pytest.mark.parametrize("fields", UNREADABLE, ids=str)
def test_a_fix_that_cannot_be_is_put_down(
    family: Family,
    phone_of: MakePhone,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
) -> None:
    una = phone_of(family.una, Android)

    told = una.post(family.fix(**fields))

    assert (told, una.last.text) == ([], "[]")
    assert family.stored() == []
    assert noted(capsys.readouterr().out) in {"owntracks_unreadable", "owntracks_out_of_range"}


def test_a_fix_without_a_place_is_put_down(family: Family, phone_of: MakePhone) -> None:
    una = phone_of(family.una, Android)
    fix = family.fix()
    del fix["lat"], fix["lon"]

    assert una.post(fix) == []
    assert family.stored() == []


def test_a_fix_is_kept_as_long_as_the_group_keeps_points(
    family: Family, phone_of: MakePhone, app: type[App], capsys: pytest.CaptureFixture[str]
) -> None:
    una = phone_of(family.una, app)

    kept = una.post(family.fix(tst=family.now(days=30) + 1))
    too_old = una.post(family.fix(tst=family.now(days=31)))
    old = noted(capsys.readouterr().out)
    ahead = una.post(family.fix(tst=family.now() + 660))

    assert kept != []
    assert (too_old, ahead) == ([], [])
    assert len(family.stored()) == 1
    assert old == noted(capsys.readouterr().out) == "owntracks_out_of_range"


MESSAGES: list[Any] = [
    {"_type": "waypoint", "desc": "Home", "tst": 1, "lat": 64.1, "lon": -21.9, "rad": 50},
    {"_type": "waypoints", "_creator": "x", "waypoints": []},
    *(
        {"_type": kind, "tst": 1, "lat": 64.1, "lon": -21.9}
        for kind in ("status", "lwt", "cmd", "configuration", "dump", "steps", "beacon", "request")
    ),
    {"_type": "something new"},
    {"_type": None},
    {"_type": ["location"]},
    {},
    {"lat": 64.1, "lon": -21.9, "tst": 1},
]


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_what_is_no_fix_is_never_kept_as_one(
    family: Family,
    phone_of: MakePhone,
    app: type[App],
    capsys: pytest.CaptureFixture[str],
    message: Any,
) -> None:
    una = phone_of(family.una, app)

    told = una.post(message)

    assert (told, una.last.text) == ([], "[]")
    assert family.stored() == []
    assert noted(capsys.readouterr().out) == "owntracks_not_kept"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"[]",
        b'"location"',
        b"\xff\xfe\xfd",
        b"[" * 100_000,
        b"9" * 5000,
        b'{"_type": "location", "lat": "' + b"x" * 262_144 + b'"}',
    ],
    ids=lambda raw: repr(raw[:10]),
)
def test_whatever_is_sent_is_taken(
    family: Family, phone_of: MakePhone, app: type[App], raw: bytes
) -> None:
    una = phone_of(family.una, app)

    assert una.post_raw(raw) == []
    assert una.last.text == "[]"


@given(message=ANYTHING)
@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_it_means_it_is_taken(session: Session, api: Api, message: Any) -> None:
    una = factories.someone(session)
    made = factories.phone(session, factories.group(session, una), una)
    phone = Phone(api, made, Ios())

    phone.post(message)

    assert phone.last.status == 200


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/octet-stream", "x", ""]
)
def test_whatever_it_is_called_it_is_read(
    family: Family, phone_of: MakePhone, content_type: str
) -> None:
    una = phone_of(family.una, Ios)

    told = una.post_raw(una.app.body(family.fix()), **{"Content-Type": content_type})

    assert told != []
    assert len(family.stored()) == 1
    assert una.last.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("query", ["?", "?u=una&d=phone", "?u=1&u=2"])
def test_what_stands_behind_the_path_does_not_matter(
    family: Family, phone_of: MakePhone, query: str
) -> None:
    una = phone_of(family.una, Ios)
    una.path = f"/pub{query}"

    assert una.post(family.fix()) != []


@pytest.mark.parametrize(
    "change", [{"encryption": "required"}, {"encryption": "required", "key_version": 1}]
)
def test_nothing_in_the_clear_is_kept_where_encryption_is_required(
    family: Family,
    phone_of: MakePhone,
    app: type[App],
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
) -> None:
    una, session = phone_of(family.una, app), family.session
    session.execute(update(Group).values(**change))
    before = factories.everything(session)

    messages = [
        family.fix(),
        {"_type": "card", "name": "Una", "face": FACE},
        {"_type": "transition", "event": "enter", "tst": family.now(), "wtst": 1, "desc": "Home"},
    ]
    told = [(una.post(message), noted(capsys.readouterr().out)) for message in messages]

    assert told == [([], "owntracks_encryption_required")] * 3
    assert factories.everything(session) == before


def test_who_has_paused_is_not_stored(
    family: Family, phone_of: MakePhone, session: Session, app: type[App]
) -> None:
    una = phone_of(family.una, app)
    session.execute(
        update(Member).where(Member.user_id == family.una.user_id).values(sharing_paused=True)
    )
    transition = {"_type": "transition", "event": "enter", "tst": family.now(), "wtst": 1}

    told = [una.post(family.fix()), una.post(transition)]

    assert told == [[], []]
    assert family.stored() == []
    assert session.scalars(select(OwntracksTransition.id)).all() == []


def test_a_newcomer_is_told_nothing_from_before(
    family: Family, phone_of: MakePhone, session: Session
) -> None:
    una, ari = phone_of(family.una, Android), phone_of(family.ari, Ios)
    una.post(family.fix())
    una.post({"_type": "transition", "event": "enter", "tst": family.now(), "wtst": 1})
    session.execute(
        update(Member)
        .where(Member.user_id == family.ari.user_id)
        .values(joined_at=factories.now(session) + timedelta(seconds=1))
    )

    ari.post(family.fix())

    assert "tst" not in ari.app.friends["un"]
    assert ari.app.notices == []


def test_a_point_that_is_sealed_is_not_told_in_the_clear(
    family: Family, phone_of: MakePhone, session: Session
) -> None:
    una = phone_of(family.una, Android)
    hour_ago = factories.now(session) - timedelta(hours=1)
    factories.stored_point(session, family.group_id, family.ari, hour_ago, latitude=65.0)
    factories.stored_point(
        session,
        family.group_id,
        family.ari,
        latitude=None,
        longitude=None,
        accuracy=None,
        encrypted_data=secrets.token_bytes(64),
        key_version=1,
    )

    una.post(family.fix())

    assert una.app.friends[str(family.ari.user_id)[-8:]]["lat"] == 65.0


@pytest.mark.parametrize(("sealed", "told"), [(199, True), (200, False)])
def test_a_point_is_looked_for_among_the_newest_alone(
    family: Family, phone_of: MakePhone, session: Session, sealed: int, *, told: bool
) -> None:
    una, now = phone_of(family.una, Android), factories.now(session)
    day_ago = now - timedelta(days=1)
    factories.stored_point(session, family.group_id, family.ari, day_ago)
    nowhere = dict.fromkeys(("latitude", "longitude", "accuracy"))
    for number in range(sealed):
        factories.stored_point(
            session,
            family.group_id,
            family.ari,
            now - timedelta(minutes=number),
            **nowhere,
            encrypted_data=secrets.token_bytes(64),
            key_version=1,
        )

    una.post(family.fix())

    assert ("lat" in una.app.friends[str(family.ari.user_id)[-8:]]) is told


def test_a_card_names_a_person_and_shows_a_face(
    family: Family, phone_of: MakePhone, app: type[App]
) -> None:
    una, ari = phone_of(family.una, app), phone_of(family.ari, app)

    told = ari.post({"_type": "card", "name": " Ari\x00 the \ud800elder ", "face": FACE})
    una.post(family.fix())

    assert told == []
    assert una.app.friends["ar"] == {"name": "Ari the elder", "face": FACE}


def test_a_face_is_told_once_a_day_and_when_it_has_changed(
    family: Family, phone_of: MakePhone, session: Session, app: type[App]
) -> None:
    una, ari = phone_of(family.una, app), phone_of(family.ari, app)
    other = base64.b64encode(secrets.token_bytes(30)).decode()

    def faces() -> list[Any]:
        told = una.post(family.fix())
        return [element.get("face") for element in told if element.get("name") == "Ari"]

    ari.post({"_type": "card", "name": "Ari", "face": FACE})
    first, second = faces(), faces()
    session.execute(update(OwntracksServed).values(card_served_at=family_ago(session, hours=25)))
    next_day, later = faces(), faces()
    session.execute(update(OwntracksServed).values(card_served_at=family_ago(session, hours=1)))
    session.execute(update(OwntracksCard).values(updated_at=family_ago(session, hours=2)))
    ari.post({"_type": "card", "name": "Ari", "face": FACE})
    repeated = faces()
    ari.post({"_type": "card", "name": "Ari", "face": other})
    changed = faces()

    assert [first, second, next_day, later, repeated, changed] == [
        [FACE],
        [],
        [FACE],
        [],
        [],
        [other],
    ]
    # It was there all the time.
    assert una.app.friends["ar"]["face"] == other


def family_ago(session: Session, **ago: float) -> Any:
    return factories.now(session) - timedelta(**ago)


@pytest.mark.parametrize(
    "face",
    [None, 7, "", "no base64!", "A" * 65_537, FACE[:40] + "\r\n" + FACE[40:]],
    ids=["none", "a number", "empty", "no base64", "too long", "in lines"],
)
def test_what_is_no_face_is_none(family: Family, phone_of: MakePhone, face: Any) -> None:
    una, ari = phone_of(family.una, Ios), phone_of(family.ari, Ios)

    ari.post({"_type": "card", "name": "Ari", "face": face})
    una.post(family.fix())

    is_folded = isinstance(face, str) and "\r\n" in face
    assert una.app.friends["ar"]["face"] == (FACE if is_folded else None)


def test_a_transition_is_told_to_ios_once(family: Family, phone_of: MakePhone) -> None:
    una, ari = phone_of(family.una, Ios), phone_of(family.ari, Android)
    transition = {
        "_type": "transition",
        "event": "enter",
        "desc": "Home",
        "tst": family.now(minutes=1),
        "wtst": 1700000000,
        "lat": 64.1,
        "lon": -21.9,
        "acc": 12.6,
        "tid": "zz",
        "t": "c",
    }

    told = [ari.post(transition), ari.post(transition)]
    una.post(family.fix())
    una.post(family.fix(lat=64.2))
    ari.post(family.fix())

    assert told == [[], []]
    assert una.app.notices == [
        {
            "_type": "transition",
            "event": "enter",
            "desc": "Home",
            "tst": family.now(minutes=1),
            "wtst": 1700000000,
            "lat": 64.1,
            "lon": -21.9,
            "acc": 13,
            "tid": "ar",
            "topic": "owntracks/http/ar",
        }
    ]
    ari.post(transition | {"event": "leave", "tst": family.now()})
    una.post(family.fix(lat=64.3))
    assert [notice["event"] for notice in una.app.notices] == ["enter", "leave"]


def test_of_many_transitions_ios_is_told_in_one_answer_after_another(
    family: Family, phone_of: MakePhone
) -> None:
    una, ari = phone_of(family.una, Ios), phone_of(family.ari, Android)
    described = [f"Place {number}" for number in range(120)]
    for place in described:
        entered = {"_type": "transition", "event": "enter", "desc": place, "wtst": 1700000000}
        ari.post(entered | {"tst": family.now()})

    told = []
    for latitude in (64.1, 64.2, 64.3, 64.4):
        una.post(family.fix(lat=latitude))
        told.append(len(una.app.notices))

    assert told == [50, 100, 120, 120]
    assert [notice["desc"] for notice in una.app.notices] == described


def test_the_app_for_android_is_told_of_no_transition(family: Family, phone_of: MakePhone) -> None:
    una, ari = phone_of(family.una, Android), phone_of(family.ari, Ios)
    ari.post({"_type": "transition", "event": "leave", "tst": family.now(), "wtst": 1})

    told = una.post(family.fix())

    assert {element["_type"] for element in told} == {"card", "location"}
    assert "NOKEY" not in una.app.friends


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "stay"},
        {"event": None},
        {"tst": 0},
        {"wtst": None},
        {"tst": 10**400},
        {"tst": 253_402_300_800},  # the year 10000
        {"wtst": 281_474_976_709},  # the last second that an id has room for
    ],
    ids=str,
)
def test_a_transition_that_cannot_be_is_put_down(
    family: Family, phone_of: MakePhone, session: Session, fields: dict[str, Any]
) -> None:
    una = phone_of(family.una, Ios)
    transition = {"_type": "transition", "event": "enter", "tst": family.now(), "wtst": 1}

    assert una.post(transition | fields) == []
    assert session.scalars(select(OwntracksTransition.id)).all() == []


@pytest.mark.parametrize("seconds", [-86_401, 601])
def test_a_transition_of_another_day_is_put_down(
    family: Family, phone_of: MakePhone, session: Session, seconds: int
) -> None:
    una = phone_of(family.una, Ios)
    at = family.now() + seconds

    una.post({"_type": "transition", "event": "enter", "tst": at, "wtst": 1})

    assert session.scalars(select(OwntracksTransition.id)).all() == []


def headers_of(phone: Phone) -> list[dict[str, str]]:
    """Return headers by which nobody is known."""
    device, token = phone.who.device_id, phone.who.token
    return [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !"},
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"Basic {base64.b64encode(b'no colon').decode()}"},
        {"Authorization": f"Basic {base64.b64encode(bytes(range(128, 255))).decode()}"},
        basic("una", token),
        basic(device, token[:-1]),
        basic(device, "draugar_" + "A" * 43),
        basic(phone.who.user_id, token),
        {"X-Limit-U": str(device), "X-Limit-D": "phone"},
    ]


@pytest.mark.parametrize("number", range(11))
@pytest.mark.parametrize("raw", [b"", b"{"])
def test_who_does_not_sign_in_is_told_to(
    family: Family, phone_of: MakePhone, app: type[App], number: int, raw: bytes
) -> None:
    phone = phone_of(family.una, app)

    answer = phone.api.call("POST", "/owntracks", raw=raw, headers=headers_of(phone)[number])

    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="draugar", charset="UTF-8"'
    with pytest.raises(NotDelivered):
        phone.app.receive(answer.status, answer.text)


@pytest.mark.parametrize(
    "message",
    [
        {"_type": "location", "lat": 1.5, "lon": 1.5, "tst": 1},
        {"_type": "encrypted", "data": base64.b64encode(bytes(64)).decode()},
        {"_type": "card", "name": "Una"},
        {"_type": "transition", "event": "enter", "tst": 1, "wtst": 1},
        {"_type": "lwt"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "change",
    [
        {"revoked_at": "2026-01-01T00:00:00Z"},
        {"last_used_on": "2020-01-01"},
        {"token_hash": secrets.token_bytes(32)},
    ],
    ids=["revoked", "idle for too long", "set up again"],
)
def test_a_phone_that_was_revoked_or_set_up_again_elsewhere_is_told_so(
    family: Family,
    phone_of: MakePhone,
    session: Session,
    message: dict[str, Any],
    change: dict[str, Any],
) -> None:
    una = phone_of(family.una, Ios)
    session.execute(update(Device).where(Device.id == una.who.device_id).values(**change))
    before = factories.everything(session)

    with pytest.raises(NotDelivered):
        una.post(message)

    assert una.last.status == 401
    assert factories.everything(session) == before


def test_an_apps_token_opens_nothing_here(api: Api, family: Family) -> None:
    answer = api.call(
        "POST", "/owntracks", raw=b"", headers=basic(family.una.device_id, family.una.token)
    )

    assert answer.status == 401


def test_a_phone_posts_to_the_group_it_was_set_up_for(
    family: Family, phone_of: MakePhone, session: Session
) -> None:
    una = phone_of(family.una, Android)
    factories.group(session, family.una, name="Another")

    una.post(family.fix())

    assert [point.group_id for point in family.stored()] == [family.group_id]


def test_what_an_app_says_of_itself_is_not_believed(family: Family, phone_of: MakePhone) -> None:
    una = phone_of(family.una, Android)
    ari = phone_of(family.ari, Android)

    una.post_raw(
        json.dumps(family.fix(tid="ar", topic="owntracks/ari/phone")).encode(),
        **{"X-Limit-U": str(ari.who.device_id), "X-Limit-D": str(ari.who.device_id)},
    )

    assert [point.user_id for point in family.stored()] == [family.una.user_id]
    assert una.app.friends["un"]["lat"] == 64.1466
