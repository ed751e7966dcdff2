import gzip

import pytest

from scripts import coding

BODY = b"draugar " * 1000
PUBLIC = {"Cache-Control": "public, no-cache", "Content-Type": "text/css", "ETag": '"x"'}


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip", "GZIP;q=0.5, br", "*", "gzip ; q=1.0"])
def test_what_is_public_is_compressed_for_a_client_that_accepts_it(accepted: str) -> None:
    headers, body = coding.coded(200, PUBLIC, BODY, accepted)

    assert gzip.decompress(body) == BODY
    assert headers == PUBLIC | {
        "Content-Encoding": "gzip",
        "ETag": 'W/"x"',
        "Vary": "Accept-Encoding",
    }
    assert PUBLIC["ETag"] == '"x"'


@pytest.mark.parametrize("accepted", [None, "", "br", "gzip;q=0", "gzip;q=0.0", "gzip;q=x", "zip"])
def test_another_client_gets_it_as_it_is(accepted: str | None) -> None:
    headers, body = coding.coded(200, PUBLIC, BODY, accepted)

    assert body == BODY
    assert headers == PUBLIC | {"Vary": "Accept-Encoding"}


@pytest.mark.parametrize(
    "change",
    [
        {"Cache-Control": "no-store"},
        {"Cache-Control": "private, no-cache"},
        {"Content-Type": "image/png"},
    ],
)
def test_an_answer_to_one_caller_and_an_image_are_left_alone(change: dict[str, str]) -> None:
    headers, body = coding.coded(200, PUBLIC | change, BODY, "gzip")

    assert (headers, body) == (PUBLIC | change, BODY)


@pytest.mark.parametrize(("status", "body"), [(304, b""), (200, b"short")])
def test_what_is_short_is_not_compressed(status: int, body: bytes) -> None:
    headers, sent = coding.coded(status, PUBLIC, body, "gzip")

    assert (sent, headers.get("Content-Encoding")) == (body, None)


def test_a_file_is_compressed_to_the_same_bytes_each_time() -> None:
    coding._compressed.cache_clear()
    _, first = coding.coded(200, PUBLIC, BODY, "gzip")
    coding._compressed.cache_clear()

    assert coding.coded(200, PUBLIC, BODY, "gzip")[1] == first
