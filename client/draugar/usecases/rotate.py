"""Making the next key of a group: for whom this device trusts, and nobody else."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from draugar.errors import (
    AnswerNotUnderstood,
    SurplusDevices,
    TooManyDevices,
    VersionConflict,
)
from draugar.models import Code, Device, Rotation
from draugar.protocol.envelopes import wrap
from draugar.protocol.errors import NotAuthentic, Unsealable
from draugar.protocol.rosters import RosterEntry, seal_roster
from draugar.protocol.secrets import GroupKey
from draugar.service.api import Api
from draugar.storage.home import Home, Me
from draugar.storage.keyring import Keyring
from draugar.storage.trust_store import TrustStore
from draugar.usecases.notify import Notifier
from draugar.usecases.sync import GroupSnapshot, KeySync

_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class _Proposal:
    """A next key, before it is known whether the group has it."""

    version: int
    key: GroupKey
    roster: bytes
    envelopes: dict[UUID, bytes]


def rotate(home: Home, api: Api, exchange: KeySync, teller: Notifier, group_id: UUID) -> Rotation:
    """Make the next key for all who are trusted and, says the service, members still.

    Of several who do so at once one wins; the others take that key. Raises NotConfirmed,
    VersionConflict, VersionWentBack.
    """
    me, circle, ring = home.me(), TrustStore(home, group_id), Keyring(home, group_id)
    surplus: set[UUID] = set()
    for _ in range(_ATTEMPTS):
        view = exchange.update(group_id)
        trusted = [
            device.entry
            for id_, device in circle.trusted().items()
            if id_ in view.census.listed and id_ not in surplus
        ]
        proposal = _propose(view.key_version + 1, me, trusted)
        ring.attempt(proposal.version)
        try:
            _send(api, group_id, proposal)
        except SurplusDevices as refusal:
            if not refusal.device_ids or me.device_id in refusal.device_ids:
                raise
            surplus |= refusal.device_ids
        except VersionConflict:
            view = exchange.update(group_id)
            # It may be this very key, whose answer was lost.
            if ring.key(proposal.version) == proposal.key:
                return _tell(teller, view, proposal)
            if view.key_version >= proposal.version and view.holds_key and not view.must_rotate:
                return Rotation(
                    group_id=group_id,
                    key_version=view.key_version,
                    is_mine=False,
                    wrapped_for=(),
                    left_out=(),
                )
        else:
            with home.transaction():
                ring.accept(proposal.version, proposal.key)
                circle.advance(proposal.version)
            return _tell(teller, view, proposal)
    raise VersionConflict(status=409, code="key_version_conflict")


def catch_up(home: Home, api: Api, group_id: UUID) -> None:
    """Bring a restored service to where no version comes back that somebody has seen.

    The keys made on the way are held by nobody and seal nothing. Raises NotConfirmed.
    """
    present = api.keys(group_id).key_version
    for version in range(present, Keyring(home, group_id).highest):
        _send(api, group_id, _propose(version + 1, home.me(), []))


def _propose(version: int, me: Me, trusted: list[RosterEntry]) -> _Proposal:
    key = GroupKey.make()
    own = RosterEntry(me.user_id, me.name, me.device_id, me.device_key.public)
    envelopes = {}
    for entry in (own, *trusted):
        with suppress(NotAuthentic):  # a public key for which nothing can be wrapped
            envelopes[entry.device_id] = wrap(key, entry.public_key, me.device_key)
    try:
        roster = seal_roster(
            [entry for entry in (own, *trusted) if entry.device_id in envelopes], key
        )
    except Unsealable:
        raise TooManyDevices from None
    return _Proposal(version=version, key=key, roster=roster, envelopes=envelopes)


def _send(api: Api, group_id: UUID, proposal: _Proposal) -> None:
    made = api.rotate(
        group_id,
        expected_version=proposal.version - 1,
        commitment=proposal.key.commitment(group_id, proposal.version),
        roster=proposal.roster,
        envelopes=proposal.envelopes,
    )
    if made != proposal.version:
        raise AnswerNotUnderstood


def _people(devices: Iterable[Device]) -> tuple[tuple[str, int], ...]:
    """Return the name of each person, with how many devices."""
    counted = Counter((device.user_id, device.name) for device in devices)
    return tuple((name, count) for (_, name), count in counted.items())


def _tell(teller: Notifier, view: GroupSnapshot, proposal: _Proposal) -> Rotation:
    devices = view.census.devices()
    wrapped_for = tuple(device for device in devices if device.id in proposal.envelopes)
    left_out = tuple(device for device in devices if device.id not in proposal.envelopes)
    teller.tell(
        Code.ROTATED,
        group_id=view.group_id,
        given=_people(wrapped_for),
        left_out=_people(left_out),
        has_phones=view.key_version > 0 and bool(view.census.phones),
    )
    return Rotation(
        group_id=view.group_id,
        key_version=proposal.version,
        is_mine=True,
        wrapped_for=wrapped_for,
        left_out=left_out,
    )
