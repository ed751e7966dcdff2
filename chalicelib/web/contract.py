"""What a route takes and gives, read from its signature.

One source for the wrapper that serves it and for whoever looks at the routes: guards, documents.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from chalicelib.auth.credentials import Credential, app_credential, phone_credential
from chalicelib.errors import (
    NotFound,
    Problem,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedCoding,
    UnsupportedMedia,
)
from chalicelib.web import body as bodies
from chalicelib.web import request
from chalicelib.web.problems import InternalError
from chalicelib.web.shapes import Answer, InvalidFields, Request


class Access(Enum):
    """Who may call a route.

    A phone with OwnTracks signs in by Basic authentication, and whatever it posts is read: a
    refusal would block its queue, or alarm the person who carries it.
    """

    APP = "app"
    PHONE = "phone"
    PUBLIC = "public"


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Who may call a route, what it takes and what it gives.

    A public route says `because` of what nobody has to be known. `path` has the names in its path,
    each of an id, a whole number or a text.
    """

    access: Access
    because: str | None
    status: int
    largest_body: int
    etag: bool
    raises: tuple[type[Problem], ...]
    path: Mapping[str, type[UUID | int | str]]
    body: type[Request] | None
    query: type[Request] | None
    headers: type[Request] | None
    answer: type[Answer] | None

    @classmethod
    def of(  # noqa: PLR0913 -- each by its name
        cls,
        route: Callable[..., Any],
        *,
        access: Access,
        because: str | None,
        status: int,
        largest_body: int,
        etag: bool,
        raises: tuple[type[Problem], ...],
    ) -> "Contract":
        """Read a route's signature. Raises TypeError when it contradicts what is said of it."""
        hints = inspect.get_annotations(route, eval_str=True)
        answer = hints["return"]
        if (access is Access.PUBLIC) == ("credential" in hints):
            raise TypeError(f"{route.__name__}: a public route, and no other, takes no credential.")
        if (access is Access.PUBLIC) != (because is not None):
            raise TypeError(f"{route.__name__}: a public route, and no other, says why it is.")
        return cls(
            access=access,
            because=because,
            status=204 if answer is None else status,
            largest_body=largest_body,
            etag=etag,
            raises=raises,
            path={name: kind for name, kind in hints.items() if kind in _PATH},
            body=hints.get("body"),
            query=hints.get("query"),
            headers=hints.get("headers"),
            answer=answer,
        )

    @property
    def problems(self) -> list[type[Problem]]:
        """What may be answered instead: what it raises, and what follows from the rest."""
        found = [*self.raises, InternalError]
        if self.access is not Access.PUBLIC:
            found += [Unauthenticated, Unavailable]
        if self.access is not Access.PHONE:
            found.append(UnsupportedMedia)
            if self.path:
                found.append(NotFound)
            if self.body is not None:
                found += [bodies.MalformedBody, TooLarge, UnsupportedCoding]
            if self.body or self.query or self.headers:
                found.append(InvalidFields)
        return sorted(found, key=lambda problem: (problem.status, problem.code))

    def arguments(self, path: dict[str, str]) -> dict[str, Any]:
        """Read what the route takes from the current request.

        Raises NotFound, Unauthenticated, InvalidFields and what reading a body raises.
        """
        found: dict[str, Any] = {name: _PATH[self.path[name]](text) for name, text in path.items()}
        if self.access is not Access.PUBLIC:
            found["credential"] = _credential(self.access)
        if self.headers is not None:
            found["headers"] = self.headers.read(_headers(self.headers))
        if self.query is not None:
            found["query"] = self.query.read(request.query())
        if self.body is not None:
            found["body"] = self.body.read(
                bodies.read_whatever(largest=self.largest_body)
                if self.access is Access.PHONE
                else bodies.read_json(largest=self.largest_body)
            )
        return found


def _credential(access: Access) -> Credential:
    scheme, read = _CREDENTIALS[access]
    sent, _, told = (request.header("authorization") or "").partition(" ")
    credential = read(told.strip()) if sent.lower() == scheme else None
    if credential is None:
        raise Unauthenticated
    return credential


def _headers(shape: type[Request]) -> dict[str, str]:
    names = [str(field.alias) for field in shape.model_fields.values()]
    return {name: value for name in names if (value := request.header(name)) is not None}


def _id(text: str) -> UUID:
    """Raises NotFound: what is no id names nothing. API Gateway leaves the text encoded."""
    try:
        return UUID(unquote(text, errors="strict"))
    except ValueError:
        raise NotFound from None


def _text(text: str) -> str:
    """Raises NotFound: what is not UTF-8 names nothing."""
    try:
        return unquote(text, errors="strict")
    except ValueError:
        raise NotFound from None


def _number(text: str) -> int:
    """Raises NotFound: what is no number from 1 to the database's greatest names nothing."""
    number = int(text) if _DIGITS.fullmatch(text) else 0
    if not 0 < number <= _GREATEST:
        raise NotFound
    return number


_CREDENTIALS: dict[Access, tuple[str, Callable[[str], Credential | None]]] = {
    Access.APP: ("bearer", app_credential),
    Access.PHONE: ("basic", phone_credential),
}
_PATH: dict[Any, Callable[[str], UUID | int | str]] = {UUID: _id, int: _number, str: _text}
_DIGITS = re.compile("[0-9]{1,10}", re.ASCII)
_GREATEST = 2**31 - 1
