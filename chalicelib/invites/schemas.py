"""The shapes of invites and joins on the wire."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from chalicelib.db.base import HASH_BYTES
from chalicelib.devices.schemas import Token
from chalicelib.groups.schemas import FoundGroupRequest, GroupAnswer, GroupName
from chalicelib.groups.service import Membership
from chalicelib.invites.codes import SHORT_LIFE, InviteCode
from chalicelib.invites.service import (
    LONGEST_LIFE_WITH_KEY,
    Joined,
    KeyPackage,
    Newcomer,
    NewGroup,
    NewInvite,
    ValidCode,
    WantedInvite,
)
from chalicelib.keys.schemas import PublicKey
from chalicelib.locations.schemas import KeyVersion
from chalicelib.models.invites import KEY_PACKAGE_BYTES
from chalicelib.web import Answer, Length, Name, Opaque, Optional, Request, Uuid, of_form

SHORTEST_LIFE_HOURS = 1 / 3600
"""A second: what is much shorter would be rounded to no life at all."""

LONGEST_LIFE_HOURS = 10 * 365 * 24

Code = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    Field(
        description="Read in upper or lower case, with or without spaces and dashes, and without"
        " the quotes, punctuation and invisible characters that came along when it was copied.",
        examples=["RT5W-LJ8B"],
    ),
]
CanonicalCode = Annotated[str, Field(examples=["RT5WLJ8B"])]
LEAST_PACKAGE_BYTES = 41
"""Nonce 24 + authentication tag 16 + one byte."""

_PACKAGE = "vD0cV5mB6yqYl3nJx1ZtQw8rKp2sHf4uJb1hA4Gq2rT7mV0sK8dWcE5nYuLiQoFj3xPB6pZ9"


def _own(text: str) -> str:
    code = InviteCode.read(text)
    if code is None or code.is_short:
        raise ValueError("should be 16 to 32 of the letters and digits that codes are made of")
    return code.text


OwnCode = Annotated[
    str,
    StringConstraints(min_length=16, max_length=64),
    AfterValidator(_own),
    Field(examples=["RT5WLJ8BQX2M7KNC"]),
]
Package = Annotated[
    Opaque,
    Length(LEAST_PACKAGE_BYTES, KEY_PACKAGE_BYTES),
    Field(examples=[_PACKAGE]),
]
PackageOnce = Annotated[
    Opaque,
    Field(description="Once, for a device with a public key, if the key is still the same."),
    Field(examples=[_PACKAGE]),
]
Proof = Annotated[
    Opaque,
    Length(HASH_BYTES),
    Field(examples=["CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"]),
]
IdempotencyKey = Annotated[
    str,
    of_form(
        r"^[A-Za-z0-9_-]{22,64}$",
        "should be 22 to 64 of the letters and digits of ASCII, hyphen and underscore",
    ),
]


class CreateInviteRequest(Request):
    """An invite to one of my groups; without `expiresInHours` for an hour, with null for ever."""

    group_id: Annotated[
        Uuid | None, Field(description="May be left out by who is in one group only.")
    ] = None
    expires_in_hours: Annotated[
        Annotated[float, Field(ge=SHORTEST_LIFE_HOURS, le=LONGEST_LIFE_HOURS)] | None,
        Field(
            description="Null is never. A code that lives longer than an hour is longer.",
            examples=[1],
        ),
    ] = SHORT_LIFE / timedelta(hours=1)
    code: Annotated[
        OwnCode | None,
        Field(description="One of the client's own making; posted again it is answered again."),
    ] = None
    key_package: Annotated[
        Package | None,
        Field(description="Beside `code` and `keyVersion`; the invite lives 7 days at most."),
    ] = None
    key_version: Annotated[KeyVersion | None, Field(description="Of the key in the package.")] = (
        None
    )
    for_me: Annotated[bool, Field(description="Whether it is for a further device of my own.")] = (
        False
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Check that a package comes with what it needs."""
        if (self.key_package is None) != (self.key_version is None):
            raise ValueError("keyPackage and keyVersion go together")
        if self.key_package is not None:
            if self.code is None:
                raise ValueError("a keyPackage is made for a code, which goes with it")
            life = self._life()
            if life is None or life > LONGEST_LIFE_WITH_KEY:
                raise ValueError("an invite with a keyPackage lives 168 hours at most")
        return self

    def wanted(self) -> WantedInvite:
        """Return what is asked for."""
        return WantedInvite(
            group_id=self.group_id,
            life=self._life(),
            code=None if self.code is None else InviteCode(self.code),
            key_package=None
            if self.key_package is None or self.key_version is None
            else KeyPackage(sealed=self.key_package, key_version=self.key_version),
            for_me=self.for_me,
        )

    def _life(self) -> timedelta | None:
        hours = self.expires_in_hours
        return None if hours is None else timedelta(hours=hours)


class CodeRequest(Request):
    """A code as a person typed it."""

    code: Code

    def invite_code(self) -> InviteCode | None:
        """Return the code, or None when it cannot be one."""
        return InviteCode.read(self.code)


class JoinGroupRequest(CodeRequest):
    """A code, and the group to found if it is a founding one."""

    proof: Annotated[
        Proof | None, Field(description="By which the inviter knows who came in by a link.")
    ] = None

    group: Annotated[
        FoundGroupRequest | None, Field(description="Only beside the code of a founding invite.")
    ] = None

    def new_group(self) -> NewGroup | None:
        """Return the group to found."""
        if self.group is None:
            return None
        return NewGroup(name=self.group.name, encryption=self.group.encryption)


class DeviceRequest(Request):
    """The device that somebody joins with."""

    name: Annotated[Name, Field(examples=["Ari's phone"])] = "App"
    public_key: PublicKey | None = None
    kind: Annotated[
        Literal["app", "web"], Field(description="`web` where it runs in a browser.")
    ] = "app"


class JoinRequest(JoinGroupRequest):
    """A code, and who comes in by it."""

    name: Annotated[Name, Field(examples=["Ari"])]
    device: DeviceRequest = DeviceRequest()

    def newcomer(self, idempotency_key: str | None) -> Newcomer:
        """Return who wants in."""
        return Newcomer(
            name=self.name,
            device_name=self.device.name,
            public_key=self.device.public_key,
            in_browser=self.device.kind == "web",
            proof=self.proof,
            group=self.new_group(),
            idempotency_key=idempotency_key,
        )


class JoinHeaders(Request):
    """What makes a join repeatable when its answer is lost."""

    idempotency_key: Annotated[
        IdempotencyKey | None,
        Field(
            alias="Idempotency-Key",
            description="22 to 64 random characters. When the answer is lost, the same join with "
            "the same key within 15 minutes is answered again.",
            examples=["vD0cV5mB6yqYl3nJx1ZtQw"],
        ),
    ] = None


class NewInviteAnswer(Answer):
    """A new invite, with the only copy of its code, in canonical form."""

    id: UUID
    group_id: UUID | None
    code: CanonicalCode
    expires_at: Annotated[datetime | None, Field(description="Null: never.")]

    @classmethod
    def of(cls, invite: NewInvite) -> "NewInviteAnswer":
        """Present a new invite."""
        return cls(
            id=invite.id,
            group_id=invite.group_id,
            code=invite.code.text,
            expires_at=invite.expires_at,
        )


class InviteAnswer(Answer):
    """An invite that was made, without its code, which nobody keeps."""

    id: UUID
    group_id: UUID
    created_by: UUID
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(description="Null: never.")]
    for_me: Annotated[bool, Field(description="Whether it admits a device of its maker.")]
    used_at: datetime | None = Optional
    used_by: UUID | None = Optional
    revoked_at: datetime | None = Optional


class InvitesAnswer(Answer):
    """The invites I made, and in groups that I run all of them; newest first."""

    invites: list[InviteAnswer]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "InvitesAnswer":
        """Present rows of invites."""
        return cls(invites=[InviteAnswer.model_validate(row) for row in rows])


class ValidAnswer(Answer):
    """Whether a code would be accepted now."""

    valid: Annotated[bool, Field(examples=[True])]
    code: CanonicalCode | None = Optional
    founds_group: Annotated[
        Literal[True] | None,
        Field(description="Present where the code founds a group and does not join one."),
    ] = Optional

    @classmethod
    def of(cls, valid: ValidCode | None) -> "ValidAnswer":
        """Present the verdict; a valid code is repeated in canonical form."""
        if valid is None:
            return cls(valid=False)
        return cls(valid=True, code=valid.code.text, founds_group=valid.founds_group or None)


class JoinedUserAnswer(Answer):
    """Who came in."""

    id: UUID
    name: Annotated[str, Field(examples=["Ari"])]


class JoinedDeviceAnswer(Answer):
    """The device they came in with."""

    id: UUID


class JoinedGroupAnswer(Answer):
    """The group they are in now."""

    id: UUID
    name: GroupName


class JoinAnswer(Answer):
    """Who came in, with the only copy of their token."""

    token: Token
    user: JoinedUserAnswer
    device: JoinedDeviceAnswer
    group: JoinedGroupAnswer
    key_package: PackageOnce | None = Optional
    key_version: Annotated[
        int | None, Field(description="Of the key in the package.", examples=[1])
    ] = Optional

    @classmethod
    def of(cls, joined: Joined) -> "JoinAnswer":
        """Present a join."""
        package = joined.key_package
        return cls(
            token=joined.token,
            user=JoinedUserAnswer(id=joined.user_id, name=joined.name),
            device=JoinedDeviceAnswer(id=joined.device_id),
            group=JoinedGroupAnswer(id=joined.group_id, name=joined.group_name),
            key_package=None if package is None else package.sealed,
            key_version=None if package is None else package.key_version,
        )


class EnteredGroupAnswer(GroupAnswer):
    """The group that somebody who is signed in is in now."""

    key_package: PackageOnce | None = Optional

    @classmethod
    def entered(cls, membership: Membership, package: KeyPackage | None, *, form: int) -> Self:
        """Present a membership, and the package that came with it."""
        group = GroupAnswer.of(membership, form=form)
        return cls(**dict(group), key_package=None if package is None else package.sealed)
