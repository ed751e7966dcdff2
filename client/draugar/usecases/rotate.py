"""Making the next key of a group: for the devices that this one trusts, and no other."""

from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from draugar.errors import (
    AnswerNotUnderstood,
    SurplusDevices,
    VersionConflict,
)
from draugar.models import Code, Device, Rotation
from draugar.protocol.envelopes import wrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.rosters import cut, seal_roster
from draugar.protocol.secrets import GroupKey
from draugar.protocol.statements import Roster, fitted, seal_statement
from draugar.trust import words
from draugar.trust.values import Gift
from draugar.usecases import sync
from draugar.usecases.context import Context
from draugar.usecases.sync import GroupSnapshot

_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class _Proposal:
    """A next key, before it is known whether the group has it."""

    version: int
    key: GroupKey
    envelopes: dict[UUID, bytes] = field(repr=False)
    roster: Roster | None = None
    """What is stated, where that is within its bounds: a key change never fails."""
    statement: bytes | None = field(default=None, repr=False)
    """The roster, signed and sealed."""
    unsigned: bytes | None = field(default=None, repr=False)
    """A roster of form 1."""


def rotate(context: Context, group_id: UUID) -> Rotation:
    """Make the next key for all who are trusted and, says the service, members still.

    Of several who do so at once one wins; the others take that key. Raises NotConfirmed,
    VersionConflict, VersionWentBack.
    """
    surplus: set[UUID] = set()
    for _ in range(_ATTEMPTS):
        view = sync.update(context, group_id)
        proposal = _attempt(context, view, surplus)
        try:
            _send(context, group_id, proposal)
        except SurplusDevices as refusal:
            if not refusal.device_ids or context.me.device_id in refusal.device_ids:
                raise
            surplus |= refusal.device_ids
        except VersionConflict:
            view = sync.update(context, group_id)
            # It may be this very key, whose answer was lost.
            if context.group(group_id).key(proposal.version) == proposal.key:
                return _tell(context, view, proposal)
            if view.key_version >= proposal.version and view.holds_key and not view.must_rotate:
                return Rotation(
                    group_id=group_id,
                    key_version=view.key_version,
                    is_mine=False,
                    wrapped_for=(),
                    left_out=(),
                )
        else:
            now = context.clock().timestamp()
            with context.changing(group_id) as change:
                trust = words.rotated(
                    change.state.trust, proposal.version, proposal.key, proposal.roster, now
                )
                # Also where no roster fits: each has its envelope.
                for id_ in proposal.envelopes.keys() - {context.me.device_id}:
                    trust = words.gave(trust, Gift(id_, proposal.version))
                change.trust(trust)
            return _tell(context, view, proposal)
    raise VersionConflict(status=409, code="key_version_conflict")


def current(context: Context, group_id: UUID) -> GroupSnapshot:
    """Return a group with a key that no device knows that has gone, making one if that is due.

    Raises KeyMissing, KeyPending.
    """
    view = sync.update(context, group_id)
    view.require_key()
    if view.must_rotate:
        rotate(context, group_id)
        view = sync.update(context, group_id)
        view.require_key()
    return view


def catch_up(context: Context, group_id: UUID) -> None:
    """Bring a restored service to where no version comes back that a device has seen.

    The keys made on the way are held by no device and seal nothing. Raises NotConfirmed.
    """
    present = context.api.keys(group_id).key_version
    state = context.group(group_id).trust
    for version in range(present, state.highest):
        key = GroupKey.make()
        envelopes = {state.me.device_id: wrap(key, state.me.public_key, state.key)}
        _send(context, group_id, _Proposal(version=version + 1, key=key, envelopes=envelopes))


def _attempt(context: Context, view: GroupSnapshot, surplus: set[UUID]) -> _Proposal:
    """Make a next key, and note that before it is sent."""
    version = view.key_version + 1
    with context.changing(view.group_id) as change:
        change.trust(words.attempted(change.state.trust, version))
    state, key = view.decision.state, GroupKey.make()
    envelopes = {state.me.device_id: wrap(key, state.me.public_key, state.key)}
    for id_ in view.decision.recipients:
        if id_ not in surplus:
            with suppress(NotAuthentic):  # a public key for which nothing can be wrapped
                envelopes[id_] = wrap(key, state.records[id_].device.public_key, state.key)
    now = context.clock().timestamp()
    left_out = {*view.decision.recipients} - envelopes.keys()
    roster = fitted(
        words.next_roster(view.decision, key, version=version, now=now, surplus=left_out)
    )
    return _Proposal(
        version=version,
        key=key,
        envelopes=envelopes,
        roster=roster,
        statement=None
        if roster is None or view.form == 1
        else seal_statement(
            roster, group_id=view.group_id, version=version, device_key=state.key, key=key
        ),
        unsigned=_unsigned(view, envelopes.keys(), key) if _needs_form_1(view) else None,
    )


def _needs_form_1(view: GroupSnapshot) -> bool:
    return view.form == 1 or view.decision.needs_form_1


def _unsigned(view: GroupSnapshot, recipients: Collection[UUID], key: GroupKey) -> bytes:
    records = [view.decision.state.records[id_] for id_ in view.decision.recipients]
    named = [one for one in records if one.device.device_id in recipients]
    return seal_roster(cut(sync.entries(view, named)), key)


def _send(context: Context, group_id: UUID, proposal: _Proposal) -> None:
    made = context.api.rotate(
        group_id,
        expected_version=proposal.version - 1,
        commitment=proposal.key.commitment(group_id, proposal.version),
        envelopes=proposal.envelopes,
        statement=proposal.statement,
        roster=proposal.unsigned,
    )
    if made != proposal.version:
        raise AnswerNotUnderstood


def _people(devices: Iterable[Device]) -> tuple[tuple[str, int], ...]:
    """Return the name of each person, with how many devices."""
    counted = Counter((device.user_id, device.name) for device in devices)
    return tuple((name, count) for (_, name), count in counted.items())


def _tell(context: Context, view: GroupSnapshot, proposal: _Proposal) -> Rotation:
    devices = view.directory.devices()
    wrapped_for = tuple(device for device in devices if device.id in proposal.envelopes)
    left_out = tuple(device for device in devices if device.id not in proposal.envelopes)
    context.tell(
        Code.ROTATED,
        group_id=view.group_id,
        given=_people(wrapped_for),
        left_out=_people(left_out),
        has_phones=view.key_version > 0 and bool(view.directory.phones),
    )
    return Rotation(
        group_id=view.group_id,
        key_version=proposal.version,
        is_mine=True,
        wrapped_for=wrapped_for,
        left_out=left_out,
    )
