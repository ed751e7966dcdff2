"""What the service answers, as the values on which the trust core decides."""

from collections.abc import Iterable

from draugar.models import OpenInvite
from draugar.protocol.statements import Browsers, Device
from draugar.service import responses as answers
from draugar.trust.values import (
    Envelope,
    Keys,
    Listed,
    Listing,
    SealedCard,
    UnsignedEntry,
    Version,
    Vouch,
)


def listing(people: Iterable[answers.ListedPerson], invites: Iterable[OpenInvite] = ()) -> Listing:
    """Return the devices of a group's members, and which of its links the service calls used."""
    return Listing(
        devices=tuple(_listed(person, device) for person in people for device in person.devices),
        used_links=frozenset(invite.id for invite in invites if _is_used(invite)),
    )


def _is_used(invite: OpenInvite) -> bool:
    return invite.used_at is not None or invite.used_by is not None


def _listed(person: answers.ListedPerson, device: answers.ListedDevice) -> Listed:
    card = device.card
    return Listed(
        device=Device(person.user_id, device.id, device.public_key, device.kind),
        name=person.name,
        confirmed=device.can_act,
        join_proof=device.join_proof,
        card=None if card is None else SealedCard(card.sealed, card.key_version),
    )


def keys(answer: answers.Keys) -> Keys:
    """Return what the service has of a group's keys; its form by whether it tells of browsers."""
    return Keys(
        form=1 if answer.browsers is None else 2,
        version=answer.key_version,
        rotation_required=answer.rotation_required,
        browsers=answer.browsers or Browsers.ACCEPTED,
        versions=tuple(
            Version(
                version=one.key_version,
                commitment=one.commitment,
                statement=one.statement,
                roster=one.roster,
            )
            for one in answer.listed
        ),
        envelopes=tuple(
            Envelope(
                version=one.key_version,
                wrapped=one.wrapped_key,
                wrapper_key=one.wrapper_public_key,
                wrapper_id=one.wrapper_device_id,
                former=one.former,
            )
            for one in answer.envelopes
        ),
        vouches=tuple(
            Vouch(about=one.device_id, sealed=one.entry, voucher_id=one.voucher_device_id)
            for one in answer.vouches
        ),
        unsigned_entries=tuple(
            UnsignedEntry(
                version=one.key_version, sealed=one.sealed, author_id=one.wrapper_device_id
            )
            for one in answer.entries
        ),
    )
