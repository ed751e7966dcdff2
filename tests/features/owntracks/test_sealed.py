"""Where only members can read: what is kept of a sealed message, and whose is told in turn."""

import base64
import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from nacl.secret import SecretBox
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from chalicelib.models import Group, Location, Member
from tests import factories
from tests.api import Api
from tests.features.owntracks.conftest import Family, Phone, noted
from tests.owntracks import Android, App, Ios, NotDelivered, NotUnderstood

MakePhone = Callable[..., Phone]
KEY = base64.urlsafe_b64encode(secrets.token_bytes(24))


@pytest.fixture
def family(session: Session) -> Family:
    una, ari = factories.someone(session, name="Una"), factories.someone(session, name="Ari")
    group_id = factories.group(session, una, ari, encryption="required", key_version=3)
    return Family(una, ari, group_id, session)


def keyed(phone_of: MakePhone, who: Any, app: type[App], **columns: Any) -> Phone:
    return phone_of(who, app, key=KEY, **{"key_version": 3, **columns})


def test_a_sealed_message_is_kept_as_it_came(
    api: Api, family: Family, phone_of: MakePhone, app: type[App]
) -> None:
    una = keyed(phone_of, family.una, app)

    told = una.post(family.fix())

    (stored,) = family.stored()
    assert told == []
    assert (stored.key_version, stored.device_id) == (3, una.who.device_id)
    assert stored.encrypted_data is not None
    opened = json.loads(SecretBox(KEY).decrypt(stored.encrypted_data))
    assert opened == family.fix()
    assert abs(stored.recorded_at - stored.received_at) < timedelta(seconds=5)
    (point,) = api.as_(family.ari.token).get("/api/locations/latest").json["locations"]
    assert point["keyVersion"] == 3


def test_a_phone_is_told_of_one_other_member_as_the_bare_object(
    family: Family, phone_of: MakePhone, app: type[App]
) -> None:
    una, ari = keyed(phone_of, family.una, app), keyed(phone_of, family.ari, app)
    ari.post(family.fix(tid="ar", lat=65.0, topic="owntracks/http/ar"))

    una.post(family.fix(tid="un"))

    sent = json.loads(una.last.text)
    (of_ari,) = (point for point in family.stored() if point.user_id == family.ari.user_id)
    assert of_ari.encrypted_data is not None
    assert sent == {
        "_type": "encrypted",
        "data": base64.b64encode(of_ari.encrypted_data).decode(),
    }
    assert una.app.friends.keys() == {"ar"}
    assert una.app.friends["ar"]["lat"] == 65.0


def test_friends_take_turns(family: Family, phone_of: MakePhone, session: Session) -> None:
    una = keyed(phone_of, family.una, Ios)
    others = []
    for name in ("aa", "bb", "cc"):
        other = factories.someone(session, name=name)
        factories.add_member(session, family.group_id, other)
        made = factories.phone(session, family.group_id, other, tid=name, key_version=3)
        others.append(Phone(una.api, made, Android(key=KEY)))
    for sender, tid in zip(others, ("aa", "bb", "cc"), strict=True):
        sender.post(family.fix(tid=tid))

    told = [una.post(family.fix(lat=number))[0]["tid"] for number in range(6)]

    assert sorted(told[:3]) == ["aa", "bb", "cc"]
    assert told[3:] == told[:3]


def test_what_ios_sends_again_is_stored_once(
    family: Family, phone_of: MakePhone, capsys: pytest.CaptureFixture[str]
) -> None:
    una, ari = keyed(phone_of, family.una, Ios), keyed(phone_of, family.ari, Ios)
    ari.post(family.fix(tid="ar"))
    raw = una.app.body(family.fix())

    first, again = una.post_raw(raw), una.post_raw(raw)

    assert again == first != []
    assert len(family.stored()) == 2
    assert noted(capsys.readouterr().out) == "owntracks_duplicate"


def test_what_ios_sends_again_is_told_apart_from_what_another_member_has_sent(
    family: Family, phone_of: MakePhone
) -> None:
    una, ari = keyed(phone_of, family.una, Ios), keyed(phone_of, family.ari, Ios)
    raw = una.app.body(family.fix())

    una.post_raw(raw)
    ari.post_raw(raw)

    assert len(family.stored()) == 2


def test_what_is_sealed_is_stored_beside_plaintext_too(
    family: Family, phone_of: MakePhone, session: Session
) -> None:
    # Nothing is equal to the ciphertext of a point that has none.
    una = keyed(phone_of, family.una, Ios)
    factories.stored_point(session, family.group_id, family.una)

    una.post(family.fix())

    assert [point.encrypted_data is None for point in family.stored()].count(False) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key_version": 4}, "owntracks_key_version_conflict"),
        ({"rotation_required": True}, "owntracks_rotation_required"),
    ],
)
def test_a_phone_that_has_to_be_set_up_again_is_not_stored_and_told_nothing(
    family: Family,
    phone_of: MakePhone,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    code: str,
) -> None:
    una = keyed(phone_of, family.una, Android)
    keyed(phone_of, family.ari, Android).post(family.fix(tid="ar"))
    family.session.execute(update(Group).values(**change))
    before = factories.everything(family.session)

    told = una.post(family.fix())

    assert (told, una.last.text) == ([], "[]")
    assert factories.everything(family.session) == before
    assert noted(capsys.readouterr().out) == code


@pytest.mark.parametrize("key_version", [0, 2])
def test_a_phone_that_was_not_set_up_with_the_present_key_is_not_stored(
    family: Family, phone_of: MakePhone, app: type[App], key_version: int
) -> None:
    una = keyed(phone_of, family.una, app, key_version=key_version)

    assert una.post(family.fix()) == []
    assert family.stored() == []


def test_a_group_without_a_key_keeps_nothing_sealed(
    phone_of: MakePhone, session: Session, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    del phone_of
    una = factories.someone(session)
    made = factories.phone(session, factories.group(session, una), una)
    phone = Phone(api, made, Android(key=KEY))

    assert phone.post({"_type": "location", "lat": 1, "lon": 1, "tst": 1}) == []
    assert session.scalar(select(func.count(Location.id))) == 0
    assert noted(capsys.readouterr().out) == "owntracks_group_key_missing"


def test_only_what_is_sealed_with_the_present_key_is_told(
    family: Family, phone_of: MakePhone, session: Session
) -> None:
    una = keyed(phone_of, family.una, Android)
    stale: dict[str, Any] = {
        "latitude": None,
        "longitude": None,
        "accuracy": None,
        "encrypted_data": secrets.token_bytes(64),
    }
    factories.stored_point(session, family.group_id, family.ari, key_version=2, **stale)

    una.post(family.fix())

    assert una.last.text == "[]"


def test_what_is_sealed_is_never_told_to_who_posts_in_the_clear(
    family: Family, phone_of: MakePhone, session: Session, app: type[App]
) -> None:
    session.execute(update(Group).values(key_version=3))
    hearth = factories.group(session, family.una, family.ari, key_version=3)
    ari = factories.phone(session, hearth, family.ari, tid="a1", key_version=3)
    una = factories.phone(session, hearth, family.una, tid="u1", key_version=3)
    api = phone_of(family.una, app).api
    Phone(api, ari, app(key=KEY)).post(family.fix())
    without_key = Phone(api, una, app())

    told = without_key.post(family.fix())

    assert {element["_type"] for element in told} == {"card", "location"}
    assert "tst" not in without_key.app.friends["a1"]


def test_a_newcomer_is_told_nothing_from_before(
    family: Family, phone_of: MakePhone, session: Session
) -> None:
    una, ari = keyed(phone_of, family.una, Ios), keyed(phone_of, family.ari, Ios)
    una.post(family.fix())
    session.execute(
        update(Member)
        .where(Member.user_id == family.ari.user_id)
        .values(joined_at=factories.now(session) + timedelta(minutes=1))
    )

    ari.post(family.fix())

    assert ari.last.text == "[]"


def test_who_has_paused_is_not_stored(
    family: Family, phone_of: MakePhone, session: Session, app: type[App]
) -> None:
    una = keyed(phone_of, family.una, app)
    session.execute(update(Member).values(sharing_paused=True))

    assert una.post(family.fix()) == []
    assert family.stored() == []


@pytest.mark.parametrize(
    ("length", "stored"), [(40, 0), (41, 1), (4097, 1), (20480, 1), (20481, 0)]
)
def test_a_sealed_message_is_as_long_as_one_may_be(
    family: Family, phone_of: MakePhone, length: int, stored: int
) -> None:
    una = keyed(phone_of, family.una, Ios)
    data = base64.b64encode(secrets.token_bytes(length)).decode()

    una.post_raw(json.dumps({"_type": "encrypted", "data": data}).encode())

    assert len(family.stored()) == stored


def test_a_picture_that_ios_attaches_arrives(family: Family, phone_of: MakePhone, api: Api) -> None:
    una = keyed(phone_of, family.una, Ios)
    picture = base64.b64encode(secrets.token_bytes(12 * 1024)).decode()

    una.post(family.fix(poi="Lunch", imagename="IMG_9", image=picture))

    (point,) = api.as_(family.ari.token).get("/api/locations/latest").json["locations"]
    opened = SecretBox(KEY).decrypt(base64.urlsafe_b64decode(point["encryptedData"] + "=="))
    assert json.loads(opened)["image"] == picture


@pytest.mark.parametrize("data", [None, 7, [], "", "A" * 81, "é" * 80, "A" * 60 + "\n" + "A" * 60])
def test_what_is_no_ciphertext_is_put_down(
    family: Family, phone_of: MakePhone, capsys: pytest.CaptureFixture[str], data: Any
) -> None:
    una = keyed(phone_of, family.una, Ios)

    told = una.post_raw(json.dumps({"_type": "encrypted", "data": data}).encode())

    assert told == []
    assert family.stored() == []
    assert noted(capsys.readouterr().out) == "owntracks_unreadable"


def test_the_stand_ins_are_as_strict_as_the_apps() -> None:
    sealed = {"_type": "encrypted", "data": base64.b64encode(bytes(64)).decode()}
    location = {"_type": "location", "lat": 1.5, "lon": 1.5, "tst": 1, "tid": "ar"}
    spoilt: list[tuple[App, Any, type[Exception]]] = [
        (Android(), sealed, NotDelivered),
        (Android(key=KEY), sealed, NotUnderstood),
        (Ios(key=KEY), [sealed], NotUnderstood),
        (Android(), {}, NotDelivered),
        (Android(), [location | {"tst": 0}], NotUnderstood),
        (Android(), [location | {"acc": 1.5}], NotUnderstood),
        (Android(), [location | {"acc": None}], NotUnderstood),
        (Android(), [location, {"_type": "new"}], NotUnderstood),
        (Ios(), [location | {"tid": 1}], NotUnderstood),
        (Android(), [location | {"_type": "transition"}], NotUnderstood),
        (Ios(), [{"_type": "card", "name": "Ari"}], NotUnderstood),
    ]

    for app, answer, error in spoilt:
        with pytest.raises(error):
            app.receive(200, json.dumps(answer))
    for app in (Android(), Ios()):
        assert app.receive(200, "[]") == []
        for status in (301, 400, 404, 429, 503):
            with pytest.raises(NotDelivered):
                app.receive(status, "[]")


CHUNKS_READ = """
    SELECT coalesce(sum(idx_tup_fetch), 0) FROM pg_stat_xact_all_tables
    WHERE relid IN (
        SELECT reltoastrelid FROM pg_class
        WHERE oid IN (SELECT relid FROM pg_partition_tree('locations'))
    )
"""


@pytest.mark.parametrize(("length", "chunks"), [(20_000, 0), (20_480, 100)])
def test_looking_for_a_duplicate_reads_little_of_large_messages(
    family: Family, phone_of: MakePhone, length: int, chunks: int
) -> None:
    una = keyed(phone_of, family.una, Ios)
    large = [sealed_of(20_480) for _ in range(100)]
    for message in large:
        una.post_raw(message)
    stored = len(family.stored())
    before = family.session.scalar(text(CHUNKS_READ))

    una.post_raw(sealed_of(length))

    # One chunk of each of the same length, and none of the others; a message has eleven.
    after = family.session.scalar(text(CHUNKS_READ))
    assert after is not None
    assert before is not None
    assert after - before <= chunks
    assert stored == 100
    assert len(family.stored()) == 101
    una.post_raw(large[0])
    assert len(family.stored()) == 101


def sealed_of(length: int) -> bytes:
    """Return a message whose ciphertext has so many bytes."""
    data = base64.b64encode(secrets.token_bytes(length)).decode()
    return json.dumps({"_type": "encrypted", "data": data}).encode()
