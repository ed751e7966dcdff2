"""Every answer that a test gets is one that the contract promises."""

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema_rs import Draft202012Validator

from chalicelib.web import openapi
from chalicelib.web.endpoint import HEADERS

if TYPE_CHECKING:
    from chalicelib.web.contract import Contract
    from tests.api import Reply

SEEN: set[tuple[str, str]] = set()
"""The codes that have been answered, each after its operation's id."""

DECLARED: set[tuple[str, str]] = set()
"""The codes that a whole run has to have seen, each after its operation's id."""

Json = dict[str, Any]


def check(method: str, target: str, reply: "Reply") -> None:
    """Fail when this is not how the contract says that such a request is answered."""
    status, headers, text = reply.status, reply.headers, reply.text
    path = target.partition("?")[0].rstrip("/") or "/"  # as API Gateway cuts it
    operation = _operation(method, path)
    what = f"{method} {path} answered {status}, and the contract"
    assert str(status) in operation["responses"], f"{what} does not declare it"
    answer = _followed(operation["responses"][str(status)])
    own = headers.keys() - HEADERS.keys() - {"Content-Type"}
    declared = answer.get("headers", {}).keys()
    assert own == declared, f"{what} declares the headers {sorted(declared)}, not {sorted(own)}"
    if method == "HEAD" or "content" not in answer:
        assert text == "", f"{what} declares no body"
        return
    ((media_type, content),) = answer["content"].items()
    assert media_type in ("*/*", headers["Content-Type"]), f"{what} declares {media_type}"
    if media_type == "*/*":
        return  # a file, of which its test knows every byte
    body: Any = json.loads(text) if "json" in media_type else text
    fault = next(_validator(json.dumps(content["schema"])).iter_errors(body), None)
    assert fault is None, f"{what} declares another body: {fault.instance_path}: {fault.message}"
    if status >= 400:
        SEEN.add((operation["operationId"], body["code"]))


@cache
def document() -> Json:
    """The contract that is served."""
    from app import app  # noqa: PLC0415 -- it reads the settings that fixtures make

    return openapi.document(app.routes)


def operations() -> dict[str, "Contract"]:
    """What each operation says of itself, by its id."""
    return {
        document()["paths"][path][method.lower()]["operationId"]: vars(view)["contract"]
        for method, path, view in routes()
    }


def routes() -> list[tuple[str, str, Any]]:
    """The method, path and view of each route; HEAD is left out, because it is served as GET is."""
    from app import app  # noqa: PLC0415 -- it reads the settings that fixtures make

    return [
        (method, path, entry.view_function)
        for path, methods in app.routes.items()
        for method, entry in methods.items()
        if method != "HEAD"
    ]


def declared() -> set[tuple[str, str]]:
    """The codes that routes say they raise, each after its operation's id."""
    return {(name, problem.code) for name, said in operations().items() for problem in said.raises}


@cache
def _paths() -> list[tuple[re.Pattern[str], Json]]:
    # A path that is written out goes before a template, as it does with API Gateway.
    paths = sorted(document()["paths"].items(), key=lambda path: "{" in path[0])
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]*", path)), methods) for path, methods in paths]


def _operation(method: str, path: str) -> Json:
    found = next((methods for known, methods in _paths() if known.fullmatch(path)), None)
    assert found is not None, f"{path} is no path of the contract"
    refused = {"405": {"$ref": "#/components/responses/method_not_allowed"}}
    served_as = "get" if method == "HEAD" else method.lower()
    operation: Json = found.get(served_as, {"operationId": "none", "responses": refused})
    return operation


def _followed(answer: Json) -> Json:
    if "$ref" not in answer:
        return answer
    followed: Json = document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return followed


@cache
def _validator(schema: str) -> Any:
    # In Rust: a whole run asks some ten thousand times.
    within = json.loads(schema) | {"components": document()["components"]}
    return Draft202012Validator(within, validate_formats=True)
