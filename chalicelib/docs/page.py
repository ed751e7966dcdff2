"""The contract as a page: one OpenAPI document in, one HTML text out, without scripts.

Whatever is put into an element is escaped unless an element made it, so nothing has to be
remembered where text comes in.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

Json = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1d2430, #e4e8ee);
  --soft: light-dark(#5b6675, #9aa6b5); --paper: light-dark(#fff, #14181e);
  --panel: light-dark(#f4f6f9, #1c222b); --line: light-dark(#dde3ea, #2d3642);
  --get: light-dark(#1a6fb5, #6db3f2); --post: light-dark(#1d7a46, #63c88d);
  --put: light-dark(#946200, #e0b050); --delete: light-dark(#b3332b, #f0857d); }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: var(--paper); overflow-wrap: break-word;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
header, main, nav { max-width: 52rem; padding: 1.25rem; }
header > h2 { margin-top: 1.5rem; }
main { padding-top: 0; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; }
h2::first-letter, nav > a::first-letter { text-transform: uppercase; }
nav > a { display: inline-block; }
h2 { margin: 3rem 0 0; padding-top: 1rem; border-top: 1px solid var(--line); }
h2 + p, .soft { margin-top: .1rem; color: var(--soft); }
h3 { margin: 0; font-size: 1.05rem; }
h4 { margin: 1.25rem 0 .35rem; font-size: .8rem; letter-spacing: .06em; color: var(--soft);
  text-transform: uppercase; }
p { margin: .5rem 0; }
a { color: var(--get); text-decoration: none; }
a:hover { text-decoration: underline; }
code, pre { font: .86em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: .4rem 0; padding: .8rem; overflow-x: auto; background: var(--panel);
  border-radius: .5rem; }
article { margin: 1.25rem 0; padding: 1rem 1.1rem; border: 1px solid var(--line);
  border-radius: .7rem; }
h3 code { font-size: 1rem; }
.method { display: inline-block; min-width: 4.6em; font-weight: 700; }
nav .method { flex: none; font-size: .8em; }
.get { color: var(--get); } .post { color: var(--post); } .delete { color: var(--delete); }
.put, .patch { color: var(--put); }
dl { margin: 0; }
dl > div { padding: .4rem 0; border-top: 1px solid var(--line); }
dl > div:first-child { border-top: 0; }
dt code { font-weight: 600; }
dt .soft, li .soft { font-size: .86em; }
dd { margin: 0; font-size: .93em; }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: .93em; }
nav ul { margin: .2rem 0 1rem; padding: 0; list-style: none; font-size: .86rem; }
nav li a { display: flex; padding: .12rem 0; }
nav code { min-width: 0; overflow-wrap: anywhere; }
@media (min-width: 64rem) {
  body { display: grid; grid-template-columns: 22rem minmax(0, 1fr); align-items: start;
    grid-template-rows: auto 1fr; }
  nav { grid-area: 1 / 1 / 3; position: sticky; top: 0; height: 100vh; overflow-y: auto;
    background: var(--panel); }
  header, main { grid-column: 2; padding: 2rem 3rem 0; }
}
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

_DOCUMENTS = ("openapi.json", "docs/protocol.md", "docs/vectors.json", "docs/errors.md")
"""What else a developer of a client needs, as seen from the page."""

_SIGNED_IN = {
    "token": '-H "Authorization: Bearer $TOKEN"',
    "phone": '-u "$USERNAME:$PASSWORD"',
}
_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "over {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters or fewer",
    "minItems": "{} items or more",
    "maxItems": "{} items or fewer",
    "pattern": "matches {}",
    "default": "by default {}",
}
_LENGTHS = (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "items"))


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Html:
    """Return an element; `class_` is its class, and children that are not Html are text."""
    said = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    inner = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    return Html(f"<{name}{said}>{inner}</{name}>")


def render(document: Json) -> str:
    """Return the page of a document as `web.openapi` makes it."""
    info, components = document["info"], document["components"]
    operations = [
        _Operation(method, path, said, components)
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    ]
    features = {
        tag["name"]: (tag, [known for known in operations if tag["name"] in known.said["tags"]])
        for tag in document["tags"]
    }
    title = f"{info['title']} API"
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Html(STYLE)),
    )
    contents = [
        part
        for name, (_, known) in features.items()
        for part in (
            element("a", name, href=f"#{name}"),
            element("ul", *(element("li", operation.link()) for operation in known)),
        )
    ]
    about = [
        element("h1", title),
        element(
            "p",
            f"Version {info['version']}, {info['license']['name']} license",
            *(
                part
                for name in _DOCUMENTS
                for part in (", ", element("a", name.rpartition("/")[2], href=name))
            ),
            class_="soft",
        ),
        *_prose(info["description"]),
        element("h2", "signing in"),
        element(
            "dl",
            *(
                element(
                    "div",
                    element("dt", element("code", name), f" HTTP {scheme['scheme'].capitalize()}"),
                    element("dd", *_inline(scheme["description"])),
                )
                for name, scheme in components["securitySchemes"].items()
            ),
        ),
    ]
    sections = [
        element(
            "section",
            element("h2", name, id=name),
            *_prose(tag["description"]),
            *(operation.article() for operation in known),
        )
        for name, (tag, known) in features.items()
    ]
    body = element(
        "body",
        element("header", *about),
        element("nav", *contents),
        element("main", *sections),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


@dataclass(frozen=True)
class _Operation:
    method: str
    path: str
    said: Json
    components: Json

    def link(self) -> Html:
        return element("a", *self._name(), href=f"#{self.said['operationId']}")

    def article(self) -> Html:
        said = self.said
        ways = [name for way in said["security"] for name in way]
        parts = [
            element("h3", *self._name()),
            *_prose(said["summary"]),
            *_prose(said.get("description", "")),
            *_prose(f"Signed in by `{'` or `'.join(ways)}`." if ways else ""),
        ]
        if "parameters" in said:
            rows = [
                _row(
                    parameter["name"],
                    parameter["schema"] | parameter,
                    parameter["in"],
                    required=parameter["required"],
                )
                for parameter in said["parameters"]
            ]
            parts += [element("h4", "parameters"), element("dl", *rows)]
        if "requestBody" in said:
            parts += [element("h4", "body"), *self._content(said["requestBody"])]
        parts.append(_folded("Example: curl", element("pre", self._curl())))
        problems: list[Html] = []
        for status, answer in said["responses"].items():
            if "$ref" in answer:
                problems += self._problems(status, self._followed(answer))
            else:
                sent_with = [f" With `{name}`." for name in answer.get("headers", {})]
                parts += [
                    element("h4", f"answer {status}"),
                    *_prose("".join([answer["description"], *sent_with])),
                    *self._content(answer),
                ]
        statuses = [status for status, answer in said["responses"].items() if "$ref" in answer]
        parts.append(_folded(f"Problems: {', '.join(statuses)}", element("dl", *problems)))
        return element("article", *parts, id=said["operationId"])

    def _curl(self) -> str:
        """Return a command that sends the request, with the first example of a body."""
        values = {
            parameter["name"]: str(parameter["schema"]["examples"][0])
            for parameter in self.said.get("parameters", [])
            if parameter["in"] == "path"
        }
        ways = [name for way in self.said["security"] for name in way]
        path = re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], name[0]), self.path)
        lines = [f'curl -X {self.method.upper()} "$URL{path}"']
        lines += [_SIGNED_IN[name] for name in ways]
        for media_type, content in self.said.get("requestBody", {}).get("content", {}).items():
            example = next(iter(content["examples"].values()))["value"]
            lines += [
                f"-H {_quoted(f'Content-Type: {media_type}')}",
                f"-d {_quoted(json.dumps(example))}",
            ]
        return " \\\n  ".join(lines)

    def _name(self) -> tuple[Html, Html]:
        method = element("span", self.method.upper(), class_=f"method {self.method}")
        return method, element("code", self.path)

    def _problems(self, status: str, answer: Json) -> Iterator[Html]:
        (content,) = answer["content"].values()
        sent_with = "".join(f", with {name}" for name in answer.get("headers", {}))
        for code, example in content["examples"].items():
            term = element("dt", f"{status} ", element("code", code), sent_with)
            meaning = element("dd", *_inline(self._followed(example)["summary"]))
            yield element("div", term, meaning)

    def _content(self, holder: Json) -> Iterator[Html]:
        for content in holder.get("content", {}).values():
            schema = self._followed(content["schema"])
            for form in schema.get("anyOf", [schema]):
                rows = list(self._rows(self._followed(form)))
                if "$ref" in form:
                    yield from _prose(f"`{_last(form)}`: {self._followed(form)['description']}")
                if rows:
                    yield element("dl", *rows)
            for name, example in content["examples"].items():
                value = example["value"]
                text = value if isinstance(value, str) else json.dumps(value, indent=2)
                yield _folded(f"Example: {name}", element("pre", text))

    def _rows(self, schema: Json, within: str = "") -> Iterator[Html]:
        for name, member in schema.get("properties", {}).items():
            yield _row(within + name, member, required=name in schema.get("required", ()))
            inner, path = self._followed(_filled(member)), f"{within}{name}."
            if inner.get("type") == "array":
                inner, path = self._followed(inner["items"]), f"{within}{name}[]."
            yield from self._rows(inner, path)

    def _followed(self, holder: Json) -> Json:
        if "$ref" not in holder:
            return holder
        _, _, kind, name = holder["$ref"].split("/")
        found: Json = self.components[kind][name]
        return found


def _quoted(text: str) -> str:
    """Return a text as one word for a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _row(name: str, schema: Json, *notes: str, required: bool) -> Html:
    told = ", ".join([_type(schema), *notes, *([] if required else ["optional"])])
    term = element("dt", element("code", name), " ", element("span", told, class_="soft"))
    about = schema.get("description") or _filled(schema).get("description", "")
    return element("div", term, element("dd", *_inline(about)))


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return _last(schema)
    if "anyOf" in schema:
        kinds = " or ".join(map(_type, schema["anyOf"]))
    elif "enum" in schema or "const" in schema:
        kinds = " or ".join(map(json.dumps, schema.get("enum", [schema.get("const")])))
    elif schema["type"] == "array":
        kinds = f"list of {_type(schema['items'])}"
    else:
        kinds = schema.get("format") or schema.get("contentEncoding") or schema["type"]
    return ", ".join([kinds, *_bounds(schema)])


def _bounds(schema: Json) -> Iterator[str]:
    known = {name: schema[name] for name in _BOUNDS if schema.get(name) not in (None, {})}
    for least, most, unit in _LENGTHS:
        if least in known and known[least] == known.get(most):
            yield f"{known.pop(least)} {unit}"
            del known[most]
    for name, value in known.items():
        yield _BOUNDS[name].format(value)


def _filled(schema: Json) -> Json:
    """Return what a value is where it is not null."""
    forms = [form for form in schema.get("anyOf", []) if form.get("type") != "null"]
    return forms[0] if len(forms) == 1 else schema


def _last(reference: Json) -> str:
    return str(reference["$ref"].rpartition("/")[2])


def _folded(summary: str, *children: Html) -> Html:
    return element("details", element("summary", summary), *children)


def _prose(text: str) -> Iterator[Html]:
    """Read paragraphs, and code between backticks."""
    for paragraph in filter(None, text.split("\n\n")):
        yield element("p", *_inline(paragraph))


def _inline(text: str) -> Iterator[str]:
    for number, part in enumerate(text.split("`")):
        yield element("code", part) if number % 2 else part
