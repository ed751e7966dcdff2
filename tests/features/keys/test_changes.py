"""Somebody goes who knows the key: what ends with them, and until when nobody posts."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from chalicelib.models import InviteCode, Location
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone, new_key, opaque
from tests.features.keys.hearth import Hearth

CODE = "RT5WLJ8BK2MNP4QX"

CHANGES: dict[str, Callable[[Hearth, Someone, Someone], Reply]] = {
    "removed": lambda hearth, una, ari: hearth.remove(una, ari),
    "left": lambda hearth, _, ari: hearth.leave(ari),
    "account deleted": lambda *people: Api(people[2].token).delete("/api/users/me"),
    "signed out": lambda *people: Api(people[2].token).post("/api/auth/logout"),
    "device revoked": lambda *people: Api(people[2].token).delete(
        f"/api/devices/{people[2].device_id}"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_until_a_new_key_is_made_nobody_posts_under_the_former_one(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, change: str
) -> None:
    hearth.invite(una, code=CODE, keyPackage=opaque(100), keyVersion=1)

    gone = CHANGES[change](hearth, una, ari)

    assert gone.status == 204
    assert hearth.keys(una)["rotationRequired"] is True
    assert hearth.post_sealed(una).code == "rotation_required"
    assert hearth.post(una, factories.plain_point()).status == 200
    assert session.scalars(select(InviteCode.key_package)).all() == [None]
    assert Api().post("/api/invites/validate", {"code": CODE}).json == {"valid": False}
    assert hearth.rotate(una, new_key(1, una)).status == 201
    assert hearth.post_sealed(una, 1).code == "key_version_conflict"
    assert hearth.post_sealed(una, 2).status == 200


@pytest.mark.parametrize("change", CHANGES)
def test_whoever_has_gone_does_nothing_more_in_the_group(
    hearth: Hearth, session: Session, una: Someone, ari: Someone, change: str
) -> None:
    factories.group(session, ari)  # where they stay

    CHANGES[change](hearth, una, ari)

    group = f"/api/groups/{hearth.group_id}"
    answers = [
        hearth.rotate(ari, new_key(1, ari)),
        hearth.hand_on(ari, una),
        hearth.give_back(ari),
        hearth.post_sealed(ari),
        hearth.invite(ari),
        Api(ari.token).get(f"{group}/keys"),
        Api(ari.token).get(f"{group}/keys/pending"),
        Api(ari.token).get("/api/locations", groupId=str(hearth.group_id)),
    ]
    signed_in = change in {"removed", "left"}
    refusal = (404, "group_not_found") if signed_in else (401, "unauthenticated")
    assert [(answer.status, answer.code) for answer in answers] == [refusal] * len(answers)
    assert str(ari.device_id) not in Api(una.token).get(f"{group}/keys").text
    assert hearth.pending(una) == []


@pytest.mark.parametrize("change", ["removed", "left", "device revoked"])
@pytest.mark.parametrize(
    "refused",
    ["groups ADD CHECK (NOT rotation_required)", "invite_codes ADD CHECK (revoked_at IS NULL)"],
    ids=["no rotation", "no revocation"],
)
def test_all_of_it_happens_or_nothing(  # noqa: PLR0913, PLR0917 -- what changes, and what hinders it
    hearth: Hearth,
    session: Session,
    database: Connection,
    una: Someone,
    ari: Someone,
    change: str,
    refused: str,
) -> None:
    hearth.invite(una, code=CODE, keyPackage=opaque(100), keyVersion=1)
    hearth.post_sealed(ari)
    database.execute(text(f"ALTER TABLE {refused}"))
    before = factories.everything(session)

    hindered = CHANGES[change](hearth, una, ari)

    assert hindered.status == 500
    session.expire_all()
    assert factories.everything(session) == before
    assert hearth.is_confirmed(ari)


@pytest.mark.parametrize("encryption", ["optional", "required"])
def test_a_group_without_a_key_takes_no_ciphertext(
    session: Session, una: Someone, encryption: str
) -> None:
    keyless = Hearth(factories.group(session, una, encryption=encryption))

    refused = keyless.post_sealed(una)

    assert (refused.status, refused.code) == (409, "group_key_missing")
    assert session.scalars(select(Location.id)).all() == []


def test_encryption_only_ever_becomes_required(hearth: Hearth, una: Someone) -> None:
    path = f"/api/groups/{hearth.group_id}"

    there = Api(una.token).patch(path, {"encryption": "required"})
    back = Api(una.token).patch(path, {"encryption": "optional"})
    plain = hearth.post(una, factories.plain_point())

    assert there.json["encryption"] == "required"
    assert (back.status, back.code) == (422, "invalid_request")
    assert (plain.status, plain.code) == (409, "encryption_required")
