import base64
import secrets
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from chalicelib.models import Location
from tests import factories
from tests.api import Api

LEAST, MOST = 41, 4096
# Every byte there is, and every character of both alphabets.
OPAQUE = bytes(range(256)) + b"\xfb\xff\xbe" * 8


def a_phone(api: Api, session: Session, **columns: Any) -> Api:
    una = factories.someone(session)
    factories.group(session, una, **{"key_version": 3, "encryption": "required", **columns})
    return api.as_(una.token)


def url_safe(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode()


def bare(value: bytes) -> str:
    return url_safe(value).rstrip("=")


def standard(value: bytes) -> str:
    return base64.b64encode(value).decode()


def in_parts(value: bytes, text: Any = url_safe) -> dict[str, Any]:
    """Write a ciphertext as the first Draugar app does: nonce and rest apart."""
    return {"v": 1, "n": text(value[:24]), "c": text(value[24:])}


def shown(phone: Api) -> list[dict[str, Any]]:
    locations: list[dict[str, Any]] = phone.get("/api/locations").json["locations"]
    return locations


@pytest.mark.parametrize("length", [LEAST, LEAST + 1, 280, MOST - 1, MOST])
@pytest.mark.parametrize(
    "form",
    [
        url_safe,
        bare,
        standard,
        lambda value: standard(value).rstrip("="),
        in_parts,
        lambda value: in_parts(value, standard),
        lambda value: in_parts(value, bare),
    ],
    ids=["url", "url bare", "standard", "standard bare", "vnc", "vnc standard", "vnc bare"],
)
def test_a_ciphertext_comes_back_as_it_was_sent_in_whatever_form(
    api: Api, session: Session, form: Any, length: int
) -> None:
    phone = a_phone(api, session)
    opaque = (OPAQUE * 16)[:length] if length != 280 else OPAQUE
    point = factories.sealed_point(encryptedData=form(opaque))

    posted = phone.post("/api/locations", point)

    assert posted.status == 200
    assert session.scalars(select(Location.encrypted_data)).one() == opaque
    (history,) = shown(phone)
    (latest,) = phone.get("/api/locations/latest").json["locations"]
    (exported,) = phone.get("/api/export").json["locations"]
    assert history == latest == exported
    assert history["encryptedData"] == bare(opaque)
    assert history["keyVersion"] == 3
    assert history.keys().isdisjoint({"latitude", "longitude", "accuracy"})


LONG_ENOUGH = secrets.token_bytes(64)


NO_CIPHERTEXTS: list[Any] = [
    url_safe(secrets.token_bytes(LEAST - 1)),
    url_safe(secrets.token_bytes(MOST + 1)),
    in_parts(secrets.token_bytes(LEAST - 1)),
    in_parts(secrets.token_bytes(MOST + 1)),
    url_safe(LONG_ENOUGH)[:-1] + "*",
    url_safe(LONG_ENOUGH)[:60] + "\n" + url_safe(LONG_ENOUGH)[60:],
    " " + url_safe(LONG_ENOUGH),
    "A" * 81,
    "é" * 80,
    in_parts(LONG_ENOUGH) | {"v": 2},
    in_parts(LONG_ENOUGH) | {"v": "1"},
    *(in_parts(LONG_ENOUGH) | {"n": bare(LONG_ENOUGH[:length])} for length in (0, 23, 25, 27)),
    in_parts(LONG_ENOUGH) | {"n": None},
    in_parts(LONG_ENOUGH) | {"c": 1},
    in_parts(LONG_ENOUGH) | {"k": ""},
    {"n": url_safe(LONG_ENOUGH[:24]), "c": url_safe(LONG_ENOUGH[24:])},
    {},
]


@pytest.mark.parametrize("data", NO_CIPHERTEXTS, ids=count())
def test_what_is_no_ciphertext_is_refused(api: Api, session: Session, data: Any) -> None:
    phone = a_phone(api, session)
    good, bad = factories.sealed_point(), factories.sealed_point(encryptedData=data)

    alone = phone.post("/api/locations", bad)
    together = phone.post("/api/locations", {"locations": [bad, good]})

    assert (alone.status, alone.code) == (422, "invalid_request")
    assert "encryptedData" in alone.json["detail"]
    assert together.json["results"] == [
        {"id": bad["id"], "status": "rejected", "code": "invalid_point"},
        {"id": good["id"], "status": "stored"},
    ]
    assert [point["id"] for point in shown(phone)] == [good["id"]]


@pytest.mark.parametrize(
    "content",
    [
        b'{"v":1,"n":"' + b"A" * 32 + b'","c":"' + b"A" * 40 + b'"}',
        b'{"_type": "location", "lat": 64.1466, "lon": -21.9426}',
        b'["' + b"A" * 80 + b'"]',
    ],
)
def test_json_in_base64url_is_refused_and_not_lost(
    api: Api, session: Session, content: bytes
) -> None:
    phone = a_phone(api, session)

    refused = phone.post("/api/locations", factories.sealed_point(sealed=content))

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert "is JSON in base64url" in refused.json["detail"]


def test_sealed_bytes_may_begin_as_json_does(api: Api, session: Session) -> None:
    phone = a_phone(api, session)

    for first in b'{["':
        sealed = bytes([first]) + secrets.token_bytes(80)
        assert phone.post("/api/locations", factories.sealed_point(sealed=sealed)).status == 200


def test_a_batch_of_500_of_the_largest_fits(api: Api, session: Session) -> None:
    phone = a_phone(api, session)
    batch = [factories.sealed_point(sealed=secrets.token_bytes(MOST)) for _ in range(500)]

    posted = phone.post("/api/locations", {"locations": batch})

    assert posted.json["results"] == [{"id": point["id"], "status": "stored"} for point in batch]
    read: dict[str, str] = {}
    cursor: dict[str, str] = {}
    while len(read) < len(batch):
        page = phone.get("/api/locations", limit=500, **cursor).json
        read |= {point["id"]: point["encryptedData"] for point in page["locations"]}
        cursor = {"cursor": page.get("nextCursor", "")}
    assert read == {point["id"]: point["encryptedData"] for point in batch}


@pytest.mark.parametrize(
    "columns", [{"key_version": 0}, {"key_version": 3}, {"rotation_required": True}]
)
def test_a_group_that_may_takes_plaintext_whatever_its_key(
    api: Api, session: Session, columns: dict[str, Any]
) -> None:
    phone = a_phone(api, session, encryption="optional", **columns)

    posted = phone.post("/api/locations", factories.plain_point())

    assert posted.status == 200


def test_a_group_that_may_takes_both_kinds_in_one_batch(api: Api, session: Session) -> None:
    phone = a_phone(api, session, encryption="optional")
    plain, sealed = factories.plain_point(), factories.sealed_point()

    posted = phone.post("/api/locations", {"locations": [plain, sealed]})

    assert [result["status"] for result in posted.json["results"]] == ["stored", "stored"]
    kinds = {point["id"]: "latitude" in point for point in shown(phone)}
    assert kinds == {plain["id"]: True, sealed["id"]: False}
    assert all(("encryptedData" in point) is ("latitude" not in point) for point in shown(phone))
