import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chalice.app import APIGateway, Response

from chalicelib.settings import settings
from chalicelib.web.endpoint import HEADERS
from tests.api import Api, Reply
from tests.features.site import files

PATHS = list(files.paths())
EVERY_PATH = [*PATHS, "/web/config.json"]


def content(reply: Reply) -> bytes:
    return reply.text.encode(errors="surrogateescape")


@pytest.fixture
def set_(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Sets what the environment says, which the service reads anew."""
    settings.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    settings.cache_clear()


def test_hashes_lists_every_file_and_its_hash() -> None:
    built = {
        path.relative_to(files.DIST).as_posix(): files.digest(path.read_bytes())
        for path in files.DIST.rglob("*")
        if path.is_file() and path.name != "HASHES"
    }

    assert files.hashes() == built
    assert {"index.html", "sw.js", "manifest.webmanifest"} < built.keys()


@pytest.mark.parametrize("path", PATHS)
def test_a_file_is_served_as_it_was_built_with_its_type(api: Api, path: str) -> None:
    name = files.paths()[path]

    answer = api.get(path)

    assert (answer.status, answer.headers["Content-Type"]) == (200, files.TYPES[Path(name).suffix])
    assert files.digest(content(answer)) == files.hashes()[name]


@pytest.mark.parametrize("path", EVERY_PATH)
def test_every_file_has_the_policy_of_the_page_and_the_headers_of_all_answers(
    api: Api, path: str
) -> None:
    headers = api.get(path).headers

    assert headers["Content-Security-Policy"] == files.POLICY
    assert {name: headers[name] for name in HEADERS.keys() - files.OWN_HEADERS} == {
        name: value for name, value in HEADERS.items() if name not in files.OWN_HEADERS
    }


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_file_is_not_sent_again_to_a_browser_that_has_it(api: Api, path: str) -> None:
    first = api.get(path)

    for tag in (first.headers["ETag"], f"W/{first.headers['ETag']}"):
        again = api.call("GET", path, headers={"If-None-Match": tag})

        assert (again.status, again.text) == (304, "")
        assert again.headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize("path", EVERY_PATH)
def test_head_is_answered_without_the_file(api: Api, path: str) -> None:
    answer = api.call("HEAD", path)

    assert (answer.status, answer.text) == (200, "")
    assert answer.headers == api.get(path).headers


@pytest.mark.parametrize("path", EVERY_PATH)
def test_only_a_file_whose_name_changes_with_its_content_is_kept_unasked(
    api: Api, path: str
) -> None:
    kept = api.get(path).headers["Cache-Control"]

    if path.startswith("/web/") and path != "/web/config.json":
        assert kept == "public, max-age=31536000, immutable"
        assert files.names().count(path[1:]) == 1
    else:
        assert kept == "public, no-cache"


@pytest.mark.parametrize(
    "accept", [None, "text/html", "image/png", "image/avif,image/webp,image/png,*/*;q=0.8", "x"]
)
@pytest.mark.parametrize("path", ["/", next(path for path in PATHS if path.endswith(".png"))])
def test_what_a_client_accepts_decides_nothing(api: Api, path: str, accept: str | None) -> None:
    headers = {"Accept": accept} if accept else {}

    answer = api.call("GET", path, headers=headers)

    assert answer.status == 200
    assert files.digest(content(answer)) == files.hashes()[files.paths()[path]]


@pytest.mark.parametrize("path", PATHS)
def test_bytes_are_sent_only_of_a_type_that_lambda_can_send(api: Api, path: str) -> None:
    """Lambda's answer is JSON, where bytes of any other type than these fail."""
    del api
    from app import app  # noqa: PLC0415 -- it reads the settings that fixtures make
    from chalicelib.site import service  # noqa: PLC0415

    body, media_type = service.find(files.paths()[path])
    answer = Response(body=body, headers={"Content-Type": media_type}).to_dict(app.api.binary_types)

    assert json.loads(json.dumps(answer))["body"]
    assert answer.get("isBase64Encoded", False) == isinstance(body, bytes)
    assert isinstance(body, bytes) == (media_type in APIGateway().binary_types)


@pytest.mark.parametrize(
    "name",
    [
        "..%2findex.html",
        "%2e%2e%2fHASHES",
        "HASHES",
        "index.html",
        "app.css",
        "%00",
        "%ff",
        "nothing-0123456789.js",
        "..%5cHASHES",
    ],
)
def test_what_is_not_on_the_list_is_not_served(api: Api, name: str) -> None:
    answer = api.get(f"/web/{name}")

    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("path", [*EVERY_PATH, "/web/nothing.js"])
def test_nothing_is_served_where_the_web_app_is_off(
    api: Api, set_: pytest.MonkeyPatch, path: str
) -> None:
    set_.setenv("WEB", "off")

    answer = api.get(path)

    assert (answer.status, answer.code) == (404, "not_found")
    assert api.get("/api/health").status == 200


def test_the_page_is_told_where_street_maps_come_from(api: Api) -> None:
    assert api.get("/web/config.json").json == {
        "tiles": {
            "url": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
            "attribution": "© OpenStreetMap contributors",
        }
    }


def test_another_street_map_may_be_named(api: Api, set_: pytest.MonkeyPatch) -> None:
    set_.setenv("MAP_TILES_URL", "https://tiles.example.org:8443/{z}/{x}/{y}@2x.png")
    set_.setenv("MAP_TILES_ATTRIBUTION", "Example & <b>friends</b>")

    answer = api.get("/web/config.json")

    assert answer.json["tiles"]["attribution"] == "Example & <b>friends</b>"
    assert (
        "img-src 'self' data: https://tiles.example.org:8443;"
        in (api.get("/").headers["Content-Security-Policy"])
    )
    assert "openstreetmap" not in str(api.get("/").headers) + answer.text


def test_without_street_maps_no_other_host_is_named(api: Api, set_: pytest.MonkeyPatch) -> None:
    set_.setenv("MAP_TILES_URL", "off")

    assert api.get("/web/config.json").json == {"tiles": None}
    assert "img-src 'self' data:;" in api.get("/").headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/join", "/sw.js"])
def test_no_byte_of_a_file_depends_on_the_deployment(
    api: Api, set_: pytest.MonkeyPatch, path: str
) -> None:
    before = content(api.get(path))
    set_.setenv("MAP_TILES_URL", "off")

    assert content(api.get(path)) == before
