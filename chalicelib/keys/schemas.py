"""The shapes of group keys on the wire: opaque bytes, and who is who."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from chalicelib.db.base import HASH_BYTES
from chalicelib.groups.schemas import Browsers
from chalicelib.keys.service import Envelope, NewVersion
from chalicelib.models.keys import (
    CARD_BYTES,
    FORMER_BYTES,
    ROSTER_BYTES,
    ROSTER_ENTRY_BYTES,
    STATEMENT_BYTES,
    VOUCH_BYTES,
    WRAPPED_KEY_BYTES,
)
from chalicelib.web import Answer, FormQuery, Length, Opaque, Optional, Request, Uuid, Whole

LARGEST_BODY = 160 * 1024
"""A roster, a statement, and the envelopes of as many devices as a group can have."""

MOST_ENVELOPES = 500
_KEY = "CoU5zJr3tXqN0bWfYk7HdLsGmVa2Pe9RiUoTx1ZcBnE"

PublicKey = Annotated[
    Opaque,
    Length(32),
    Field(description="An X25519 public key.", examples=[_KEY]),
]
WrappedKey = Annotated[
    Opaque,
    Length(WRAPPED_KEY_BYTES),
    Field(description="A nonce and a box, in one piece.", examples=[_KEY[:24] * 4]),
]
Commitment = Annotated[
    Opaque,
    Length(HASH_BYTES),
    Field(examples=[_KEY]),
]
Roster = Annotated[
    Opaque,
    Length(*ROSTER_BYTES),
    Field(description="Sealed under this version of the key.", examples=[_KEY[:32] * 2]),
]
RosterEntry = Annotated[
    Opaque,
    Length(*ROSTER_ENTRY_BYTES),
    Field(description="Sealed under this version of the key.", examples=[_KEY[:32] * 2]),
]
Statement = Annotated[
    Opaque,
    Length(*STATEMENT_BYTES),
    Field(description="Signed, and sealed under this version.", examples=[_KEY[:32] * 2]),
]
VouchEntry = Annotated[
    Opaque,
    Length(*VOUCH_BYTES),
    Field(description="Signed, and sealed under this version.", examples=[_KEY[:32] * 2]),
]
SealedCard = Annotated[
    Opaque,
    Length(*CARD_BYTES),
    Field(description="Signed, and sealed under this version.", examples=[_KEY[:32] * 2]),
]
Former = Annotated[
    Opaque,
    Length(*FORMER_BYTES),
    Field(description="Until when a former version was used, sealed.", examples=[_KEY[:32] * 2]),
]
ShownBytes = Annotated[Opaque, Field(examples=[_KEY])]
KeyVersion = Annotated[int, Field(description="0 while the group has no key.", examples=[1])]


class RegisterKeyRequest(Request):
    """The public key of the calling device. It is written once."""

    public_key: PublicKey


class EnvelopeRequest(Request):
    """The new key, wrapped for one device."""

    device_id: Uuid
    wrapped_key: WrappedKey


def _for_each_once(envelopes: list[EnvelopeRequest]) -> list[EnvelopeRequest]:
    """Refuse two keys for one device: nobody could say which one it is to have."""
    if len({sent.device_id for sent in envelopes}) < len(envelopes):
        raise ValueError("should name each device once")
    return envelopes


class NewVersionRequest(Request):
    """A key that this device has made: whoever else is to have it gets an envelope."""

    expected_version: Annotated[
        int, Field(ge=0, lt=2**31 - 1, description="The version that the group has now.")
    ]
    commitment: Commitment
    roster: Roster | None = None
    statement: Statement | None = None
    envelopes: Annotated[
        list[EnvelopeRequest],
        Field(min_length=1, max_length=MOST_ENVELOPES),
        AfterValidator(_for_each_once),
    ]

    def version(self) -> NewVersion:
        """Return what was made."""
        return NewVersion(
            expected_version=self.expected_version,
            commitment=self.commitment,
            roster=self.roster,
            statement=self.statement,
            envelopes=[
                Envelope(device_id=sent.device_id, wrapped_key=sent.wrapped_key)
                for sent in self.envelopes
            ],
        )


class PutEnvelopeRequest(Request):
    """The key, wrapped for a device that was confirmed."""

    wrapped_key: WrappedKey
    roster_entry: RosterEntry | None = None
    former: Annotated[
        Former | None, Field(description="Beside a former version, for a device of one's own.")
    ] = None

    def envelope(self, device_id: UUID) -> Envelope:
        """Return the envelope for this device."""
        return Envelope(
            device_id=device_id,
            wrapped_key=self.wrapped_key,
            roster_entry=self.roster_entry,
            former=self.former,
        )


class VouchRequest(Request):
    """What the calling device states of another one."""

    entry: VouchEntry


class CardRequest(Request):
    """What the calling device states of its person."""

    key_version: Annotated[int, Field(ge=1, lt=2**31, description="The present one.")]
    sealed: SealedCard


class KeysQuery(FormQuery):
    """In which form the keys are shown, and in form 2 which page of them."""

    before: Annotated[
        Whole,
        Field(ge=2, lt=2**31, description="With `form=2`: shows versions below this one."),
    ] = 2**31 - 1

    def newest(self) -> int | None:
        """Return the highest version of the page; None in form 1, which has no pages."""
        return self.before - 1 if self.form > 1 else None


class NewVersionAnswer(Answer):
    """The version that the group has now."""

    key_version: KeyVersion


class VersionAnswer(Answer):
    """That the group's key had a version."""

    key_version: KeyVersion
    commitment: ShownBytes
    statement: Annotated[
        ShownBytes | None,
        Field(description="In form 2, of the newest twenty versions, where it has one."),
    ] = Optional
    roster: Annotated[
        ShownBytes | None,
        Field(
            description="Of the newest twenty versions, where it has one; in form 2 only where it"
            " has no statement."
        ),
    ] = Optional


class EnvelopeAnswer(Answer):
    """A key, wrapped for this device."""

    key_version: KeyVersion
    wrapped_key: ShownBytes
    wrapper_public_key: ShownBytes
    wrapper_device_id: UUID
    former: Annotated[ShownBytes | None, Field(description="In form 2.")] = Optional


class VouchAnswer(Answer):
    """What a device states of another one, under the present version."""

    device_id: UUID
    entry: ShownBytes
    voucher_device_id: UUID


class RosterEntryAnswer(Answer):
    """What a device has sealed of another that it confirmed."""

    key_version: KeyVersion
    roster_entry: ShownBytes
    wrapper_device_id: UUID


class KeysAnswer(Answer):
    """A group's keys, as far as the service knows them, and the envelopes of this device."""

    key_version: KeyVersion
    rotation_required: bool
    confirmed: Annotated[bool, Field(description="Whether this device may act in the group.")]
    versions: list[VersionAnswer]
    envelopes: list[EnvelopeAnswer]
    roster_entries: list[RosterEntryAnswer]
    browsers: Annotated[
        Browsers | None, Field(description="In form 2: whether browsers may join.")
    ] = Optional
    vouches: Annotated[
        list[VouchAnswer] | None,
        Field(
            description="In form 2, on the page with the present version: of each device the four"
            " oldest of different persons."
        ),
    ] = Optional
    next_before: Annotated[
        int | None, Field(description="In form 2: `before` of the next page.", examples=[101])
    ] = Optional

    @classmethod
    def of(cls, row: Any, *, form: int) -> "KeysAnswer":
        """Present a row of keys in the form that was asked for."""
        shown: dict[str, Any] = {
            "key_version": row.key_version,
            "rotation_required": row.rotation_required,
            "confirmed": row.is_confirmed,
            "versions": row.versions or [],
            "envelopes": row.envelopes or [],
            "roster_entries": row.roster_entries or [],
        }
        if form > 1:
            shown |= {
                "browsers": row.browsers,
                "vouches": row.vouches or [],
                "next_before": row.below + 1 if row.below > 0 else None,
            }
        return cls.model_validate(shown)


class PendingDeviceAnswer(Answer):
    """A device that has not got the group's present key."""

    device_id: UUID
    user_id: UUID
    name: Annotated[str, Field(description="The person's.", examples=["Ari"])]
    public_key: ShownBytes
    join_proof: Annotated[ShownBytes | None, Field(description="Of who came in by a link.")] = (
        Optional
    )


class PendingAnswer(Answer):
    """The devices that wait for a member to confirm them."""

    devices: list[PendingDeviceAnswer]

    @classmethod
    def of(cls, devices: list[dict[str, Any]]) -> "PendingAnswer":
        """Present devices."""
        return cls.model_validate({"devices": devices})


class KeyPackageAnswer(Answer):
    """The group's key for this device, as the first Draugar app reads it."""

    package: ShownBytes
    admin_public_key: Annotated[ShownBytes, Field(description="Of the device that wrapped it.")]
    key_version: KeyVersion

    @classmethod
    def of(cls, row: Any) -> "KeyPackageAnswer":
        """Present an envelope."""
        return cls(
            package=row.wrapped_key,
            admin_public_key=row.wrapper_public_key,
            key_version=row.key_version,
        )
