"""The links that this device has made: what proves who came in by them."""

from collections.abc import Iterator
from uuid import UUID

from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.secrets import Secret
from draugar.storage.home import Home
from draugar.trust.state import OwnLink


def of_group(home: Home, group_id: UUID) -> Iterator[OwnLink]:
    """Yield the links of a group, by their ids."""
    for row in home.rows(
        "SELECT * FROM invites WHERE group_id = :group ORDER BY id", group=group_id
    ):
        kept = home.unseal_json(row["proof"])
        yield OwnLink(
            id=UUID(row["id"]),
            proof_key=Secret(from_base64url(kept["key"])),
            code=kept["code"],
            for_me=bool(row["for_me"]),
            expires_at=row["expires_at"],
            device_id=row["device_id"] and UUID(row["device_id"]),
        )


def keep(home: Home, group_id: UUID, link: OwnLink) -> None:
    """Keep a link, with the device that has proved it."""
    home.do(
        "INSERT OR REPLACE INTO invites VALUES (:id, :group, :proof, :mine, :expires_at, :device)",
        id=link.id,
        group=group_id,
        proof=home.seal_json({"key": to_base64url(link.proof_key.value), "code": link.code}),
        mine=link.for_me,
        expires_at=link.expires_at,
        device=link.device_id,
    )


def forget(home: Home, invite_id: UUID) -> None:
    """Know no device by a link any more."""
    home.do("DELETE FROM invites WHERE id = :id", id=invite_id)
