"""How keys get from device to device: taking those that come, and giving them on.

`update` does all that needs no member's word, and tells of it. Nothing here is done because the
service says so: it says what there is, and `trust.reconcile` decides.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from uuid import UUID

from draugar.errors import (
    KeyMissing,
    KeyNotTrusted,
    KeyOutdated,
    KeyPending,
    NewerForm,
    NotListed,
    Refused,
    TrustFailure,
    VersionWentBack,
)
from draugar.models import Code, ListedPerson, Notice
from draugar.protocol.envelopes import wrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.rosters import RosterEntry, longest, seal_roster
from draugar.protocol.sealing import OVERHEAD
from draugar.protocol.secrets import GroupKey
from draugar.protocol.statements import DeviceKind, Entry, Former, Statement, seal_statement
from draugar.storage import phones as known_phones
from draugar.trust import words
from draugar.trust.directory import DeviceDirectory
from draugar.trust.reconcile import reconcile
from draugar.trust.values import Decision, Gift, Keys, Listing, Record, State, Stop
from draugar.usecases import greet as greeting
from draugar.usecases import listing as listed
from draugar.usecases import remind as reminding
from draugar.usecases import telling
from draugar.usecases.context import Context

_ENTRY_BYTES = 4096
"""What the service takes beside an envelope, of form 1."""
_REMINDED = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class GroupSnapshot:
    """A group as it was at an update."""

    group_id: UUID
    key_version: int
    form: int
    """Of the service."""
    decision: Decision = field(repr=False)
    untrusted_wrappers: frozenset[UUID]
    """Devices that are not trusted and have wrapped the present key for this one."""
    directory: DeviceDirectory
    has_older_clients: bool
    """Whether a device that is no newcomer may be a client of form 1."""

    @property
    def holds_key(self) -> bool:
        """Whether this device holds the version that the service says is the present one."""
        return self.key_version > 0 and self.decision.holds

    @property
    def must_rotate(self) -> bool:
        """Whether the group needs a new key, which this device can make."""
        return self.decision.rotate

    def require_key(self) -> None:
        """Raises KeyMissing, and KeyPending as the case is."""
        if self.key_version == 0:
            raise KeyMissing
        if self.holds_key:
            return
        if self.untrusted_wrappers:
            raise KeyNotTrusted
        raise KeyOutdated if self.decision.state.highest > 0 else KeyPending


def update(context: Context, group_id: UUID) -> GroupSnapshot:
    """Take keys, learn who is there, and give the key to those who are trusted.

    Raises TrustFailure, and ServiceFailure.
    """
    view = None
    while view is None:
        view = _update(context, group_id)
    _act(context, view)
    return view


def people(context: Context, group_id: UUID) -> DeviceDirectory:
    """Update a group, and return who is in it: also while a newer form stops the update.

    So the author of a newer form can be removed. Raises TrustFailure, and ServiceFailure.
    """
    try:
        return update(context, group_id).directory
    except NewerForm:
        return DeviceDirectory(context.group(group_id), tuple(context.api.people(group_id)))


def _update(context: Context, group_id: UUID) -> GroupSnapshot | None:
    """Decide once; None where another command has made or taken a newer key meanwhile."""
    before = context.group(group_id).trust
    # Keys first: a list of people that is newer than the keys is harmless, and an older one looks
    # like a departure.
    keys = listed.keys(context.api.keys(group_id))
    people = tuple(context.api.people(group_id))
    has_open_link = any(link.open for link in before.links)
    listing = listed.listing(people, context.api.invites() if has_open_link else ())
    decision = _decide(context, group_id, listing, keys, seen=frozenset(before.trusted()))
    if isinstance(decision, Stop):
        if decision.code == "version_went_back" and keys.version >= before.highest:
            return None
        if decision.code == "newer_form":  # the failure does not say by whom
            _tell(context, group_id, decision, before, listing)
        raise _failure(decision)
    directory = _directory(context, group_id, people, decision, keys)
    _tell(context, group_id, decision, decision.state, listing)
    return GroupSnapshot(
        group_id=group_id,
        key_version=keys.version,
        form=keys.form,
        decision=decision,
        untrusted_wrappers=_untrusted_wrappers(directory, keys),
        directory=directory,
        # They drop a point with a member that they do not know, and warn of it.
        has_older_clients=any(
            one.card is None and one.device.kind is DeviceKind.APP
            for one in listing.devices
            if one.device.device_id not in {*decision.greet, context.me.device_id}
        ),
    )


def _tell(
    context: Context, group_id: UUID, found: Decision | Stop, state: State, listing: Listing
) -> None:
    context.notifier.add(
        Notice(
            code=Code(notice.code),
            group_id=group_id,
            parameters=telling.named(notice, state, listing),
        )
        for notice in found.notices
    )


def _decide(
    context: Context, group_id: UUID, listing: Listing, keys: Keys, *, seen: frozenset[UUID]
) -> Decision | Stop:
    """Decide on what the service answers, and save that if nothing else was saved meanwhile."""
    while True:
        before = context.group(group_id)
        now = context.clock().timestamp()
        decision = reconcile(before.trust, listing, keys, now, seen=seen)
        if isinstance(decision, Stop):
            return decision
        with context.changing(group_id) as change:
            if change.state.trust == before.trust:
                change.trust(decision.state)
                name = decision.state.name_of(before.me.user_id)
                if name is not None and name != before.name:
                    context.home.rename(name)
                return decision


def _failure(stop: Stop) -> TrustFailure:
    match stop.code:
        case "version_went_back":
            return VersionWentBack()
        case "newer_form":
            return NewerForm()
        case _:
            return NotListed()


def _untrusted_wrappers(directory: DeviceDirectory, keys: Keys) -> frozenset[UUID]:
    state = directory.state.trust
    if keys.version in state.held:
        return frozenset()
    ids = {device.public_key: id_ for id_, (_, device) in directory.listed.items()}
    wrappers = {
        ids[one.wrapper_key]
        for one in keys.envelopes
        if one.version == keys.version and one.wrapper_key in ids
    }
    return frozenset(wrappers - state.trusted().keys() - {state.me.device_id})


# Phones


def _directory(
    context: Context,
    group_id: UUID,
    people: Sequence[ListedPerson],
    decision: Decision,
    keys: Keys,
) -> DeviceDirectory:
    state = context.group(group_id)
    directory = DeviceDirectory(state, tuple(people))
    phones = [phone for _, phone in directory.phones.values()]
    is_due = keys.version > 0 and (decision.rotate or keys.rotation_required)
    waiting = reminding.note(context.home, state, phones, is_rotation_due=is_due)
    mine = [
        phone for person, phone in directory.phones.values() if person.user_id == state.me.user_id
    ]
    if mine:
        known_phones.note_own(context.home)
    _meet(context, group_id, {phone.id: phone.tid for phone in mine})
    return replace(directory, waiting=waiting)


def _meet(context: Context, group_id: UUID, phones: dict[UUID, str]) -> None:
    """Remind of phones that have come to act for this person, for a week.

    On several days: a stranger may have let one in here, and have read what was told then.
    """
    today = context.clock().date()
    with context.changing(group_id) as change:
        state = change.state
        # A further device of a person finds the others there.
        first = today if state.has_met or not state.is_further else today - 2 * _REMINDED
        met: dict[UUID, date] = {id_: state.met.get(id_, first) for id_ in phones}
        change.state = replace(state, met={**state.met, **met}, has_met=True)
    for id_, day in met.items():
        if timedelta() < today - day <= _REMINDED:
            context.tell(
                Code.OWN_PHONE_PRESENT,
                group_id=group_id,
                once=f"{id_} {today}",
                since=day.isoformat(),
                tid=phones[id_],
            )


# Acting


def _act(context: Context, view: GroupSnapshot) -> None:
    decision, version = view.decision, view.key_version
    state, api = decision.state, context.api
    for former in decision.give_back:
        with suppress(Refused):
            api.delete_envelope(view.group_id, former, state.me.device_id)
    if not (decision.give or decision.vouch or decision.card or decision.greet):
        return
    key = state.held[version].key
    given: list[Gift] = []
    vouched: list[UUID] = []
    try:
        for gift in (*decision.give, *_form_1_vouches(view)):
            with _tried():
                _give(context, view, gift)
            given.append(gift)
        for one in decision.vouch if view.form > 1 else ():
            id_ = one.device.device_id
            entry = _sealed(state, Entry(state.me.device_id, one), version, key)
            with _tried():
                api.put_vouch(view.group_id, version, id_, entry)
            vouched.append(id_)
        if decision.card is not None and view.form > 1:
            with _tried():
                api.put_card(view.group_id, version, _sealed(state, decision.card, version, key))
    finally:  # also where the service is away by now
        if given or vouched:
            _note_done(context, view, given, vouched)
    if decision.greet:
        _greet(context, view)


def _greet(context: Context, view: GroupSnapshot) -> None:
    done = greeting.show_latest(
        context, view.group_id, view.key_version, is_marked=not view.has_older_clients
    )
    if done:
        with context.changing(view.group_id) as change:
            change.trust(words.greeted(change.state.trust, view.decision.greet))


@contextmanager
def _tried() -> Iterator[None]:
    # Refused for good: the device has gone, the key has changed, or it is there already.
    with suppress(Refused, NotAuthentic):
        yield


def _note_done(
    context: Context, view: GroupSnapshot, given: Sequence[Gift], vouched: Sequence[UUID]
) -> None:
    with context.changing(view.group_id) as change:
        trust = change.state.trust
        for gift in given:
            trust = words.gave(trust, gift)
        for id_ in vouched:
            trust = words.vouched(trust, id_, view.key_version)
        change.trust(trust)


def _sealed(state: State, statement: Statement, version: int, key: GroupKey) -> bytes:
    return seal_statement(
        statement, group_id=state.group_id, version=version, device_key=state.key, key=key
    )


def _give(context: Context, view: GroupSnapshot, gift: Gift) -> None:
    state = view.decision.state
    key, device = state.held[gift.version].key, state.records[gift.device_id].device
    former = None
    if gift.until is not None and view.form > 1:
        former = _sealed(state, Former(state.me.device_id, gift.until), gift.version, key)
    entry = None
    if gift.version == view.key_version and view.decision.needs_form_1:
        entry = _entry(view, state.records[gift.device_id], key)
    context.api.put_envelope(
        view.group_id,
        gift.version,
        gift.device_id,
        wrapped_key=wrap(key, device.public_key, state.key),
        former=former,
        roster_entry=entry,
    )


# Form 1


def _form_1_vouches(view: GroupSnapshot) -> Iterator[Gift]:
    """Yield envelopes for those who have the key already, and whom members of form 1 do not know.

    They read no vouch of form 2. The entry that they read stands beside an envelope.
    """
    decision, version = view.decision, view.key_version
    if decision.needs_form_1:
        given = {(gift.device_id, gift.version) for gift in decision.give}
        vouched = (Gift(one.device.device_id, version) for one in decision.vouch)
        yield from (gift for gift in vouched if (gift.device_id, version) not in given)


def entries(view: GroupSnapshot, records: Sequence[Record]) -> list[RosterEntry]:
    """Return devices as form 1 vouches for them, this one first."""
    me, names = view.directory.state, view.directory.names
    return [
        RosterEntry(me.me.user_id, me.name, me.me.device_id, me.me.public_key, me.me.kind),
        *(
            RosterEntry(
                one.device.user_id,
                names.get(one.device.user_id, "?"),
                one.device.device_id,
                one.device.public_key,
                one.device.kind,
            )
            for one in records
        ),
    ]


def _entry(view: GroupSnapshot, record: Record, key: GroupKey) -> bytes | None:
    """Return a device, and as many of the others as there is room for, sealed."""
    if record.device.kind is not DeviceKind.APP:
        return None
    others = [one for one in view.decision.state.trusted().values() if one != record]
    me, first, *rest = entries(view, [record, *others])
    apps = [one for one in (first, me, *rest) if one.kind is DeviceKind.APP]
    return seal_roster(longest(apps, _ENTRY_BYTES - OVERHEAD), key)
