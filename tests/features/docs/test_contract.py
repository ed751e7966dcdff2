import base64
import hashlib
import json
import re
import shlex
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import validate

from chalicelib.docs import page, routes
from tests import contract
from tests.api import Api, Reply

MARK = "<x-mark class='\"&"
DOCUMENTS = {
    "/api/docs/protocol.md": "text/markdown; charset=utf-8",
    "/api/docs/errors.md": "text/markdown; charset=utf-8",
    "/api/docs/vectors.json": "application/json",
}
PATHS = ["/api/openapi.json", "/api/docs", *DOCUMENTS]
ROOT = Path(__file__).parents[3]


class Elements(HTMLParser):
    """The elements of a page, which have to be closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_the_contract_is_an_openapi_document_of_every_route(api: Api) -> None:
    answer = api.get("/api/openapi.json")

    validate(answer.json)
    assert answer.json["openapi"].startswith("3.1.")
    assert {
        f"{method.upper()} {path}"
        for path, known in answer.json["paths"].items()
        for method in known
    } == {f"{method} {path}" for method, path, _ in contract.routes()}


def test_the_page_shows_every_operation_and_every_code(api: Api) -> None:
    document = api.get("/api/openapi.json").json

    text = api.get("/api/docs").text

    for path, known in document["paths"].items():
        for method, operation in known.items():
            name = f'<span class="method {method}">{method.upper()}</span><code>{path}</code>'
            assert f'<article id="{operation["operationId"]}"><h3>{name}</h3>' in text
    for code in document["components"]["examples"].keys() - {"method_not_allowed"}:
        assert f"<code>{code}</code>" in text


def test_the_page_has_no_script_and_loads_nothing(api: Api) -> None:
    answer = api.get("/api/docs")

    elements = Elements(answer.text)
    links = [value for name, value in elements.attributes if name == "href"]
    assert set(elements.names) & {"script", "img", "link", "iframe", "form", "base"} == set()
    assert {name for name, _ in elements.attributes} == {
        *("charset", "class", "content", "href", "id", "lang", "name")
    }
    assert [link for link in links if not re.fullmatch(r"#\w+|[a-z/]+\.(json|md)", str(link))] == []
    assert "url(" not in answer.text


def test_the_page_may_use_its_own_style_and_nothing_else(api: Api) -> None:
    answer = api.get("/api/docs")

    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert sorted(policy) == [
        "base-uri 'none'",
        "default-src 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        f"style-src 'sha256-{digest}'",
    ]


def test_no_text_of_the_contract_becomes_an_element_of_the_page(api: Api) -> None:
    document = api.get("/api/openapi.json").json
    names = set(Elements(page.render(document)).names)

    text = page.render(marked(document))

    assert set(Elements(text).names) <= names
    assert text.count("x-mark") > 1000
    assert "<x-mark" not in text
    assert MARK[-3:] not in text


def test_the_page_shows_a_command_for_every_operation(api: Api) -> None:
    document = api.get("/api/openapi.json").json
    commands = [
        shlex.split(unescape(text))
        for text in re.findall(r"<pre>(curl .*?)</pre>", api.get("/api/docs").text, re.DOTALL)
    ]

    operations = [
        (method, path, said)
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    ]
    assert len(commands) == len(operations)
    by_route = {}
    for curl, option, method, url, *options in commands:
        assert (curl, option) == ("curl", "-X")
        by_route[method.lower(), url.removeprefix("$URL")] = options
    written_out = {(method, path) for method, path, _ in operations}
    for method, path, said in operations:
        (options,) = [
            options
            for (sent, url), options in by_route.items()
            if sent == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), url)
            # A path that is written out goes before a template.
            if url == path or ("{" in path and (method, url) not in written_out)
        ]
        assert ("Authorization: Bearer $TOKEN" in options) == ({"token": []} in said["security"])
        assert ("-d" in options) == ("requestBody" in said)
        if "-d" in options:
            sent_body = json.loads(options[options.index("-d") + 1])
            (content,) = said["requestBody"]["content"].values()
            assert sent_body in [example["value"] for example in content["examples"].values()]


def test_a_length_that_is_exact_is_said_once(api: Api) -> None:
    text = api.get("/api/docs").text

    assert "base64url, 43 characters" in text
    assert "43 characters or more" not in text


def test_the_page_links_to_the_documents_that_a_client_needs(api: Api) -> None:
    elements = Elements(api.get("/api/docs").text)

    links = {
        urljoin("/api/docs", value)
        for name, value in elements.attributes
        if name == "href" and value and not value.startswith("#")
    }
    assert links == {*DOCUMENTS, "/api/openapi.json"}


def test_a_document_of_the_protocol_is_served_as_it_is_in_the_source(api: Api) -> None:
    for path, media_type in DOCUMENTS.items():
        source = (ROOT / path.removeprefix("/api/")).read_text(encoding="utf-8")

        answer = api.get(path)

        assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)
        if media_type == "application/json":
            assert answer.json == json.loads(source)
        else:
            assert answer.text == source


@pytest.mark.parametrize("path", PATHS)
def test_whoever_has_it_is_told_so_and_may_keep_it_for_a_while(api: Api, path: str) -> None:
    first = api.get(path)

    again = api.call("GET", path, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status, again.status, again.text) == (200, 304, "")
    for answer in (first, again):
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert again.headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_not_a_success_is_not_kept(api: Api, path: str) -> None:
    answer = api.post(path)

    assert (answer.status, answer.headers["Cache-Control"]) == (405, "no-store")


def test_it_is_made_once_and_only_when_somebody_asks(api: Api) -> None:
    routes._page.cache_clear()
    routes._contract.cache_clear()
    routes._markdown.cache_clear()
    routes._vectors.cache_clear()

    for path in PATHS * 2:
        api.get(path)

    assert routes._contract.cache_info().misses == 1
    assert routes._page.cache_info().misses == 1
    assert routes._markdown.cache_info().misses == 2
    assert routes._vectors.cache_info().misses == 1


PROBLEM = {
    **dict.fromkeys(("type", "title", "detail", "requestId", "error"), ""),
    "status": 404,
    "code": "user_not_found",
}
USER = "/api/users/01a2035b-5836-71ae-be39-5cf44440785f"


def answered(status: int, body: Any, **headers: str) -> Reply:
    kind = "application/json" if status < 400 else "application/problem+json"
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Type": kind} | names, json.dumps(body))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (answered(409, PROBLEM), "does not declare it"),
        (answered(404, PROBLEM | {"code": "group_not_found"}), '"group_not_found" is not one of'),
        (answered(404, PROBLEM | {"title": None}), 'null is not of type "string"'),
        (answered(404, {"code": "user_not_found"}), '"type" is a required property'),
        (answered(404, PROBLEM, Retry_After="1"), "not ['Retry-After']"),
        (answered(503, PROBLEM | {"code": "temporarily_unavailable"}), "headers ['Retry-After']"),
        (answered(404, PROBLEM, Content_Type="text/html"), "declares application/problem+json"),
        (answered(200, {}), '"id" is a required property'),
        (answered(200, {"id": "1", "name": "x", "groups": []}), '"1" is not a "uuid"'),
    ],
)
@pytest.mark.usefixtures("api")
def test_an_answer_that_is_not_in_the_contract_fails_its_test(
    answer: Reply, complaint: str
) -> None:
    contract.check("GET", USER, answered(404, PROBLEM))

    with pytest.raises(AssertionError) as failed:
        contract.check("GET", f"{USER}?x=1", answer)

    assert complaint in str(failed.value)


@pytest.mark.usefixtures("api")
def test_a_path_that_is_not_in_the_contract_fails_its_test() -> None:
    with pytest.raises(AssertionError, match="no path of the contract"):
        contract.check("GET", "/api/nowhere", answered(404, PROBLEM))


def marked(value: Any, *, names: bool = False) -> Any:
    """Put a mark into every text and every name of a field; references and kinds stay."""
    if isinstance(value, str):
        return value + MARK
    if isinstance(value, list):
        return [marked(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name + MARK if names else name: member
        if name in ("$ref", "type")
        else marked(member, names=name == "properties")
        for name, member in value.items()
    }
