"""Who stands in the safety number of two people."""

from uuid import UUID

from draugar.protocol.safety import device_token, safety_number
from draugar.trust.values import Listing, State


def halves(
    state: State, listing: Listing, user_id: UUID
) -> tuple[tuple[UUID, frozenset[bytes]], tuple[UUID, frozenset[bytes]]]:
    """Return both people with the tokens of their devices, this person first."""
    # "My half has this device and the own devices that are listed; the other half has all devices
    # that are listed for that person."
    mine = frozenset(
        device_token(one.device.public_key, one.device.kind)
        for one in listing.devices
        if state.is_own(one.device)
    ) | {device_token(state.me.public_key, state.me.kind)}
    theirs = frozenset(
        device_token(one.device.public_key, one.device.kind)
        for one in listing.devices
        if one.device.user_id == user_id
    )
    return (state.me.user_id, mine), (user_id, theirs)


def number(state: State, listing: Listing, user_id: UUID) -> str:
    """Return the safety number with a person. Raises NotAuthentic where there is none."""
    return safety_number(*halves(state, listing, user_id))


def is_void(state: State, listing: Listing, user_id: UUID) -> bool:
    """Whether a person has devices that the number that was compared does not cover."""
    covered = state.compared.get(user_id)
    return covered is not None and any(
        one.device.user_id == user_id and one.device.device_id not in covered
        for one in listing.devices
    )
