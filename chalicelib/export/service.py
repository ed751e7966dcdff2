"""All that is stored about the caller."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chalicelib.auth import Credential
from chalicelib.db import OneStatement
from chalicelib.errors import Unauthenticated
from chalicelib.export import queries

_FIRST = (UUID(int=0), UUID(int=0))


@dataclass(frozen=True, kw_only=True)
class Export:
    """What is stored, as JSON values by column name, with one page of points.

    `last` is the (group id, id) of the point after which the next page begins, if there is one.
    """

    user: dict[str, Any]
    devices: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    invites: list[dict[str, Any]]
    key_envelopes: list[dict[str, Any]]
    further_envelopes: list[dict[str, Any]]
    given_keys: list[dict[str, Any]]
    device_cards: list[dict[str, Any]]
    vouches: list[dict[str, Any]]
    owntracks_cards: list[dict[str, Any]]
    owntracks_transitions: list[dict[str, Any]]
    owntracks_served: list[dict[str, Any]]
    locations: list[dict[str, Any]]
    last: tuple[UUID, UUID] | None


def export(
    connection: OneStatement,
    *,
    credential: Credential,
    after: tuple[UUID, UUID] | None,
    limit: int,
) -> Export:
    """Return everything about the caller, with `limit` points after those of the page before.

    Raises Unauthenticated.
    """
    row = queries.export(connection, credential, after=after or _FIRST, limit=limit)
    if row.caller_user_id is None:
        raise Unauthenticated
    page = row.locations or []
    return Export(
        user=row.user,
        devices=row.devices or [],
        groups=row.groups or [],
        invites=row.invites or [],
        key_envelopes=row.key_envelopes or [],
        further_envelopes=row.further_envelopes or [],
        given_keys=row.given_keys or [],
        device_cards=row.device_cards or [],
        vouches=row.vouches or [],
        owntracks_cards=row.owntracks_cards or [],
        owntracks_transitions=row.owntracks_transitions or [],
        owntracks_served=row.owntracks_served or [],
        locations=page,
        last=(UUID(page[-1]["groupId"]), UUID(page[-1]["id"])) if row.has_more else None,
    )
