"""The routes there are, and that none of them forgets to ask who is calling."""

import inspect
import re
from typing import Any

import pytest

from chalicelib.auth import Credential, PhoneCredential
from chalicelib.web import Access
from tests import contract

# Why nobody has to be known there.
PUBLIC = {
    "GET /api/health": "whoever watches the service has no account",
    "GET /api/health/ready": "whoever watches the service has no account",
    "POST /api/auth/join": "whoever comes in has no token yet, but a code",
    "POST /api/invites/validate": "whoever comes in has no token yet, but a code",
    "GET /api/openapi.json": "whoever writes a client needs no account",
    "GET /api/docs": "whoever writes a client needs no account",
    "GET /api/docs/protocol.md": "a developer of a client needs no account",
    "GET /api/docs/errors.md": "a developer of a client needs no account",
    **dict.fromkeys(
        (
            *("GET /", "GET /join", "GET /sw.js", "GET /manifest.webmanifest"),
            *("GET /web/config.json", "GET /web/{}"),
        ),
        "a page has no token before it runs, and the files hold no secret",
    ),
    "GET /api/docs/vectors.json": "a developer of a client needs no account",
}
PRIVATE = {
    "GET /api/auth/me",
    "POST /api/auth/logout",
    "GET /api/devices",
    "POST /api/devices",
    "DELETE /api/devices/{}",
    "POST /api/devices/{}/renew",
    "GET /api/invites",
    "POST /api/invites",
    "DELETE /api/invites/{}",
    "GET /api/users",
    "GET /api/users/{}",
    "PATCH /api/users/me",
    "DELETE /api/users/me",
    "GET /api/groups",
    "POST /api/groups",
    "PATCH /api/groups/{}",
    "DELETE /api/groups/{}",
    "PATCH /api/groups/{}/members/{}",
    "DELETE /api/groups/{}/members/{}",
    "POST /api/groups/join",
    "POST /api/groups/{}/leave",
    "PUT /api/groups/{}/sharing",
    "GET /api/groups/{}/keys",
    "POST /api/groups/{}/keys",
    "GET /api/groups/{}/keys/pending",
    "PUT /api/groups/{}/keys/{}/envelopes/{}",
    "DELETE /api/groups/{}/keys/{}/envelopes/{}",
    "PUT /api/groups/{}/keys/{}/vouches/{}",
    "PUT /api/groups/{}/card",
    "POST /api/crypto/register-key",
    "GET /api/crypto/group-key",
    "GET /api/locations",
    "POST /api/locations",
    "DELETE /api/locations",
    "GET /api/locations/latest",
    "GET /api/export",
}

OF_PHONES = {"POST /owntracks", "POST /pub"}


@pytest.fixture
def views(schema: str) -> dict[str, Any]:
    """The functions that serve, by method and path."""
    del schema
    return {
        f"{method} {re.sub('{.*?}', '{}', path)}": view for method, path, view in contract.routes()
    }


def test_the_routes_are_those_of_the_design(views: dict[str, Any]) -> None:
    assert views.keys() ^ (PUBLIC.keys() | PRIVATE | OF_PHONES) == set(), (
        "A route is new or gone: add it to PRIVATE in tests/guards/test_routes.py, or to PUBLIC"
        " with the reason; or take it out."
    )


def test_a_route_asks_who_is_calling_or_is_known_to_be_public(views: dict[str, Any]) -> None:
    asking = {
        name: inspect.get_annotations(inspect.unwrap(view)).get("credential")
        for name, view in views.items()
    }

    assert asking == (
        dict.fromkeys(PUBLIC)
        | dict.fromkeys(PRIVATE, Credential)
        | dict.fromkeys(OF_PHONES, PhoneCredential)
    )


def test_a_public_route_and_no_other_says_why_it_is(views: dict[str, Any]) -> None:
    saying = {name for name, view in views.items() if view.contract.because}

    assert saying == PUBLIC.keys()
    assert {name for name, view in views.items() if view.contract.access is Access.PUBLIC} == saying
