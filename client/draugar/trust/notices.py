"""What the member is told of an update, each exactly once for the same parameters."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from draugar.protocol.signing import is_device_key
from draugar.protocol.statements import Card, DeviceKind, Entry, Roster
from draugar.trust.growth import Growth, Update
from draugar.trust.values import Listed, Listing, Notice, Record, Source, State

EVERY_TIME = frozenset({"waiting_for"})
"""Told at every update, as long as it is so."""
REMINDED_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Told:
    """What notices are made from: the state before and after, and what was seen."""

    saved: State
    state: State
    update: Update
    growth: Growth
    listing: Listing
    holds: bool


def told(about: Told) -> tuple[State, tuple[Notice, ...]]:
    """Return the new state, with what is told now and was not told before."""
    found = {notice for part in _PARTS for notice in part(about)}
    state = _with_covered(about)
    new = {notice for notice in found if notice.code in EVERY_TIME or notice not in state.told}
    kept = {notice for notice in new if notice.code not in EVERY_TIME}
    ordered = tuple(sorted(new, key=lambda one: (one.code, str(one.parameters))))
    return replace(state, told=state.told | kept), ordered


# Devices of others


def _standing(about: Told) -> Iterator[Notice]:
    before = about.saved.trusted()
    for id_, record in about.state.records.items():
        if id_ in before and not record.trusted:
            yield _ended(about, id_, record)
        elif record.trusted and id_ not in before:
            if id_ in about.growth.joined:
                yield Notice.of("joined", device=id_, link=about.growth.joined[id_])
            else:
                by = record.by or about.state.me.device_id
                yield Notice.of("device_added", device=id_, by=by, since=record.since)


def _ended(about: Told, id_: UUID, record: Record) -> Notice:
    if record.observed == record.ended:
        listed = id_ in about.update.listed_ids
        why, by = ("changed" if listed else "gone"), ""
    else:
        why = "said"
        by = str(min(signer for signer, end in record.said.items() if end == record.ended))
    return Notice.of("trust_ended", device=id_, why=why, by=by, ended=record.ended)


def _vouchers(about: Told) -> Iterator[Notice]:
    # "a device is trusted only by the word of a person who has no trusted device left"
    people = {record.device.user_id for record in about.state.trusted().values()}
    people.add(about.state.me.user_id)
    for id_, record in about.state.trusted().items():
        voucher = about.state.records.get(record.by) if record.by else None
        if (
            record.source is Source.MEMBER
            and voucher is not None
            and voucher.device.user_id not in people
        ):
            yield Notice.of("voucher_gone", device=id_, person=voucher.device.user_id)


def _listed(about: Told) -> Iterator[Notice]:
    for id_, listed in about.update.listed.items():
        if listed.device != about.state.me:
            record = about.state.records.get(id_)
            if record is not None and record.device != listed.device:
                yield Notice.of("key_changed", device=id_)
            if listed.device.user_id == about.state.me.user_id:
                if not about.state.is_own(listed.device):
                    yield Notice.of("own_unknown", device=id_)
            elif record is None or not record.trusted:
                yield from _untrusted(about, listed, record)
            if listed.device.kind is DeviceKind.WEB:
                is_refused = about.state.refuses_browsers
                yield Notice.of("browser_refused" if is_refused else "browser", device=id_)


def _untrusted(about: Told, listed: Listed, record: Record | None) -> Iterator[Notice]:
    device = listed.device
    if about.holds and listed.confirmed:
        yield Notice.of("unconfirmed_device", device=device.device_id, person=device.user_id)
    elif about.holds and not (record is not None and record.removed):
        yield Notice.of("waiting", device=device.device_id, person=device.user_id)


def _shared(about: Told) -> Iterator[Notice]:
    ids = Counter(listed.device.device_id for listed in about.listing.devices)
    keys = Counter(listed.device.public_key for listed in about.listing.devices)
    for listed in about.listing.devices:
        device = listed.device
        if not is_device_key(device.public_key):
            yield Notice.of("unusable_key", device=device.device_id)
        elif max(ids[device.device_id], keys[device.public_key]) > 1 and not about.update.lists(
            device
        ):
            yield Notice.of("duplicate_key", device=device.device_id)


# One's own


def _own(about: Told) -> Iterator[Notice]:
    today = int(about.update.at // 86_400)
    for id_, day in about.state.met.items():
        if id_ in about.update.listed and 0 < today - day <= REMINDED_DAYS:
            yield Notice.of("new_own_device", device=id_, day=today)


# Names


def _names(about: Told) -> Iterator[Notice]:
    for user_id, name in _people(about).items():
        before, shown = about.saved.name_of(user_id), about.state.name_of(user_id)
        if before is not None and shown is not None and before != shown:
            best = about.state.best_card(user_id)
            n = best[0] if best else 0  # a name that comes back is told again
            yield Notice.of("renamed", person=user_id, before=before, now=shown, n=n)
        is_other = user_id != about.state.me.user_id
        if is_other and shown is not None and name != shown:
            yield Notice.of("service_name_differs", person=user_id, shown=shown, listed=name)


def _people(about: Told) -> Mapping[UUID, str]:
    return {listed.device.user_id: listed.name for _, listed in sorted(about.update.listed.items())}


# Safety numbers


def _numbers(about: Told) -> Iterator[Notice]:
    for user_id, before in about.saved.compared.items():
        covered = _covered(about, before)
        for id_ in _devices(about, user_id) - before:
            code = "person_device_added" if id_ in covered else "number_void"
            yield Notice.of(code, person=user_id, device=id_)


def _devices(about: Told, user_id: UUID) -> set[UUID]:
    return {id_ for id_, one in about.update.listed.items() if one.device.user_id == user_id}


def _covered(about: Told, covered: frozenset[UUID]) -> frozenset[UUID]:
    # "A device that comes later and that the card of a compared and still trusted device names is
    # covered by the comparison." So is one that the card of a covered device names.
    cards = [one for one in about.growth.signed() if isinstance(one.statement, Card)]
    while True:
        named = {
            introduction.device.device_id
            for one in cards
            if one.author.device_id in covered
            for introduction in one.introductions()
            if about.update.lists(introduction.device)
        }
        if named <= covered:
            return covered
        covered |= named


def _with_covered(about: Told) -> State:
    compared = {
        user_id: _covered(about, covered) for user_id, covered in about.saved.compared.items()
    }
    return replace(about.state, compared=compared)


# Links


def _links(about: Told) -> Iterator[Notice]:
    for link_id, device_id in about.growth.used_twice:
        yield Notice.of("link_used_twice", link=link_id, device=device_id)
    left = {link.id for link in about.state.links}
    for link in about.saved.links:
        if link.id not in left and link.expires_at > about.update.at:
            yield Notice.of("link_closed", link=link.id)
    for link in about.state.links:
        # "the service calls a link used, and no listed device proves it"
        if link.open and link.id in about.listing.used_links:
            yield Notice.of("link_used_unproved", link=link.id)


# Keys and statements


def _keys(about: Told) -> Iterator[Notice]:
    state, keys = about.state, about.update.keys
    for shown in keys.versions:
        held = state.held.get(shown.version)
        if held and held.key.commitment(state.group_id, shown.version) != shown.commitment:
            yield Notice.of("keys_differ", version=shown.version)
    for version, wrapper in about.growth.refused:
        if version not in state.held:
            yield Notice.of("envelope_refused", version=version, device=wrapper)
    if not about.holds and keys.version > 0:
        yield from _waits_for(about)


def _waits_for(about: Told) -> Iterator[Notice]:
    # "this device has no key: no device has wrapped it; or X has, who is not trusted; or the author
    # left it out"
    version = about.update.keys.version
    ids = {one.device.public_key: id_ for id_, one in about.update.listed.items()}
    wrappers = {
        ids[one.wrapper_key]
        for one in about.update.keys.envelopes
        if one.version == version and one.wrapper_key in ids
    } - about.growth.authors().keys()
    for wrapper in wrappers:
        yield Notice.of("waiting_for", wrapper=wrapper)
    if not wrappers:
        yield Notice.of("waiting_for", left_out=int(about.state.highest > 0))


def _statements(about: Told) -> Iterator[Notice]:
    authors = about.growth.authors()
    for one in about.update.evidence.unbelieved(about.growth.held, authors):
        yield Notice.of(
            "statement_refused", what=one.what, version=one.version, device=one.author or ""
        )
    for said in about.growth.signed():
        if said.version != about.update.keys.version or said.author == about.state.me:
            continue
        if isinstance(said.statement, Roster | Entry):
            for introduction in said.introductions():
                id_ = introduction.device.device_id
                if id_ not in about.update.listed_ids and id_ != about.state.me.device_id:
                    yield Notice.of("version_names_gone", author=said.author.device_id, device=id_)


_PARTS = (
    _standing,
    _vouchers,
    _listed,
    _shared,
    _own,
    _names,
    _numbers,
    _links,
    _keys,
    _statements,
)
