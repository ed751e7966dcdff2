"""The decision on one update of a group: `reconcile`.

It does all that needs no word of the member. The service says what there is; whom to trust, which
keys to take and what to do follow from proofs, signatures and the member's own words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from uuid import UUID

from draugar.protocol.statements import (
    MOST_OWN,
    Card,
    DeviceKind,
    Entry,
    Introduction,
    Roster,
)
from draugar.text.naming import is_name
from draugar.trust.evidence import Believed, Evidence
from draugar.trust.growth import Ends, Growth, Update, greatest, usable
from draugar.trust.notices import Told, told
from draugar.trust.values import (
    NEVER,
    ROOTS,
    Decision,
    Gift,
    Keys,
    Listed,
    Listing,
    Name,
    Notice,
    State,
    Stop,
    changed,
    introduced,
    own_name,
)


def reconcile(
    state: State,
    listing: Listing,
    keys: Keys,
    now: float,
    *,
    seen: frozenset[UUID] | None = None,
) -> Decision | Stop:
    """Decide on what the service answers: the keys, and the people, who are fetched afterwards.

    `seen` are the devices that were trusted before that was fetched; None: all that are trusted.
    """
    listed = usable(state, listing)
    stop = _gate(state, listed, keys)
    if stop is not None:
        return stop
    update = Update(
        state=state,
        keys=keys,
        listed=listed,
        listed_ids=frozenset(one.device.device_id for one in listing.devices),
        evidence=Evidence(state, keys, listed),
        at=now,
    )
    ends = _ends_by_the_list(update, seen)
    while True:
        growth = Growth(update, ends)
        said = growth.said_gone()
        risen = {
            id_: ends_ for id_, ends_ in said.items() if max(ends_.values()) > growth.ended(id_)
        }
        if not risen:
            break
        # "If there are new ones, the client repeats step 3 with them from the saved state, so that
        # nothing counts that rests on what has ended. The end of a device that it trusted is a
        # departure." "An end only rises, to the highest version at most, so the repeats end."
        authors = growth.authors()
        ends = Ends(
            observed=ends.observed,
            said=dict(ends.said)
            | {id_: greatest(ends.said.get(id_, {}), ends_) for id_, ends_ in risen.items()},
            departure=ends.departure or any(id_ in authors for id_ in risen),
        )
    newer = _newer_form(update, growth)
    if newer is not None:
        return newer
    return _decide(update, listing, growth, said)


def _gate(state: State, listed: Mapping[UUID, Listed], keys: Keys) -> Stop | None:
    # "If the version is below the highest, or this device is not listed, it stops, and changes
    # nothing."
    if keys.version < state.highest:
        return Stop((Notice.of("version_went_back", version=keys.version),))
    me = listed.get(state.me.device_id)
    if me is None or me.device != state.me:
        return Stop((Notice.of("not_listed"),))
    return None


def _ends_by_the_list(update: Update, seen: frozenset[UUID] | None) -> Ends:
    # "There is a *departure* if there was such an end, or the service requires a new key." "A
    # trusted device that is not listed any more ends at the greatest of highest, attempted and
    # `since`."
    state = update.state
    observed = {
        id_: max(state.at_risk, record.since)
        for id_, record in state.trusted().items()
        if (seen is None or id_ in seen) and not update.lists(record.device)
    }
    return Ends(observed=observed, departure=bool(observed) or update.keys.rotation_required)


def _newer_form(update: Update, growth: Growth) -> Stop | None:
    # "When a trusted device has signed it, the client keeps its state as it was, asks its person to
    # update Draugar, and neither makes a key nor ends any trust."
    found = {
        Notice.of("newer_form", device=one.author or "", form=one.newer)
        for one in update.evidence.unbelieved(growth.held, growth.authors())
        if one.newer
    }
    return Stop(tuple(sorted(found, key=repr))) if found else None


def _decide(
    update: Update, listing: Listing, growth: Growth, said: Mapping[UUID, Mapping[UUID, int]]
) -> Decision:
    saved, keys = update.state, update.keys
    state = growth.state(said)
    state = _with_vouchers(state, growth)
    state = _with_names(state, update, growth)
    state = replace(
        state,
        compromised=_compromised(update, growth, state),
        met=_met(update, state),
    )
    holds = keys.version in state.held
    # "It **rotates** if it holds it, and the service requires a new key or the version is
    # compromised."
    rotate = holds and (keys.rotation_required or state.compromised >= keys.version)
    recipients = _recipients(update, state)
    state, notices = told(
        Told(
            saved=saved,
            state=state,
            update=update,
            growth=growth,
            listing=listing,
            holds=holds,
        )
    )
    decision = Decision(
        state=state,
        holds=holds,
        rotate=rotate,
        recipients=recipients,
        give_back=_given_back(update, growth),
        needs_form_1=any(
            listed.card is None and listed.device.kind is DeviceKind.APP
            for id_, listed in update.listed.items()
            if id_ != saved.me.device_id
        ),
        notices=notices,
    )
    if not holds or rotate:
        return decision
    acknowledged = _acknowledged(growth, keys.version)
    return replace(
        decision,
        give=tuple(_gifts(state, keys.version, recipients, acknowledged)),
        vouch=tuple(_vouched(state, keys.version, recipients, growth)),
        greet=tuple(id_ for id_ in recipients if id_ not in state.greeted),
        card=_new_card(state, keys.version, growth),
    )


def _compromised(update: Update, growth: Growth, state: State) -> int:
    # "When a trusted device has ended, it rises to highest and attempted as they were before the
    # update. It rises to the present version when a roster or entry of that version, by a trusted
    # device, names a device whose id is not listed at all, or one that has ended with its `since`
    # not above that end."
    saved, version = update.state, update.keys.version
    found = saved.compromised
    if any(not state.records[id_].trusted for id_ in saved.trusted()):
        found = max(found, saved.at_risk)
    for one in (*growth.signed(), *growth.unsigned()):
        if one.version == version and isinstance(one.statement, Roster | Entry):
            for introduction in one.introductions():
                if _knows_too_much(update, state, introduction):
                    found = max(found, version)
    return found


def _knows_too_much(update: Update, state: State, introduction: Introduction) -> bool:
    device = introduction.device
    record = state.records.get(device.device_id)
    if device.device_id not in update.listed_ids:
        return True
    return (
        record is not None
        and record.device == device
        and not record.trusted
        and introduction.since <= record.ended
    )


def _recipients(update: Update, state: State) -> tuple[UUID, ...]:
    # "Recipients are the trusted devices that are listed, without browsers where they are refused."
    return tuple(
        sorted(
            id_
            for id_, record in state.trusted().items()
            if update.lists(record.device)
            and not (record.device.kind is DeviceKind.WEB and state.refuses_browsers)
        )
    )


def _acknowledged(growth: Growth, version: int) -> frozenset[UUID]:
    # "A card of version v acknowledges that its device holds v."
    return frozenset(
        one.author.device_id
        for one in growth.signed()
        if isinstance(one.statement, Card) and one.version == version
    )


def _gifts(
    state: State, version: int, recipients: tuple[UUID, ...], acknowledged: frozenset[UUID]
) -> Iterator[Gift]:
    # "it gives the key, once, to each recipient whose card is not of this version, and to own
    # devices also the former versions from before they came, each with `former`;"
    for id_ in recipients:
        if id_ not in acknowledged and (id_, version) not in state.gave:
            yield Gift(id_, version)
        record = state.records[id_]
        if state.is_own(record.device):
            # What was made since it came it was given at the time.
            for former in sorted(state.held):
                if former < min(version, record.since) and (id_, former) not in state.gave:
                    ended = state.superseded_at(former)
                    yield Gift(id_, former, None if ended is None else int(ended))


def _vouched(
    state: State, version: int, recipients: tuple[UUID, ...], growth: Growth
) -> Iterator[Introduction]:
    # "it vouches, by an entry, for each root that no roster of this version by a trusted device
    # names, where a roster does not count for its own author;"
    named = {
        introduction.device.device_id
        for one in growth.signed()
        if one.version == version and _names_for_all(one, state)
        for introduction in one.introductions()
        if introduction.device.device_id != one.author.device_id
    }
    for id_ in recipients:
        record = state.records[id_]
        if record.source in ROOTS and id_ not in named and (id_, version) not in state.vouched:
            name = state.name_of(record.device.user_id)
            yield Introduction(record.device, min(record.since, version + 1), name)


def _names_for_all(one: Believed, state: State) -> bool:
    return isinstance(one.statement, Roster) or (
        isinstance(one.statement, Entry) and one.author == state.me
    )


def card_of(state: State, version: int) -> Card | None:
    """Return this device's card as it should be under a version; None while it has no name."""
    name = state.introduced.get(state.me.user_id)
    stated = state.card or (None if name is None else Name(0, name))
    if stated is None or not is_name(stated.name):
        return None
    others = sorted(
        (
            Introduction(record.device, min(record.since, version + 1))
            for record in state.trusted().values()
            if state.is_own(record.device)
        ),
        key=lambda one: one.device.device_id,
    )
    return Card(
        by=state.me.device_id,
        user_id=state.me.user_id,
        n=stated.n,
        name=stated.name,
        kind=state.me.kind,
        own=tuple(others[:MOST_OWN]),
    )


def _new_card(state: State, version: int, growth: Growth) -> Card | None:
    # "it puts its card where that is absent, of another version, or different."
    wanted = card_of(state, version)
    shown = {
        one.version: one.statement
        for one in growth.signed()
        if isinstance(one.statement, Card) and one.author == state.me
    }
    return None if shown.get(version) == wanted else wanted


def _given_back(update: Update, growth: Growth) -> tuple[int, ...]:
    # "At a service of form 1 it also gives back envelopes of unknown wrappers as soon as it trusts
    # any listed device."
    if update.keys.form > 1:
        return ()
    authors = growth.authors()
    known = {device.public_key for device in authors.values()}
    versions = {version for version, _ in growth.refused}
    if len(authors) > 1:
        versions |= {one.version for one in update.keys.envelopes if one.wrapper_key not in known}
    return tuple(sorted(versions - growth.held.keys()))


def _with_vouchers(state: State, growth: Growth) -> State:
    """Name another voucher for a device whose voucher's person has no trusted device left."""
    people = {record.device.user_id for record in state.trusted().values()} | {state.me.user_id}
    words: dict[UUID, list[tuple[bool, int, UUID]]] = {}
    for one in growth.signed():
        for introduction in one.introductions():
            record = state.records.get(introduction.device.device_id)
            ended = record.ended if record else NEVER
            if growth.counts(one, introduction) and introduction.since > ended:
                words.setdefault(introduction.device.device_id, []).append(
                    (not growth.is_own(one.author), -introduction.since, one.author.device_id)
                )
    records = dict(state.records)
    for id_, record in state.trusted().items():
        voucher = state.records.get(record.by) if record.by else None
        if voucher is not None and voucher.device.user_id not in people and id_ in words:
            records[id_] = changed(record, by=min(words[id_])[2])
    return replace(state, records=records)


def _with_names(state: State, update: Update, growth: Growth) -> State:
    # "it is shown while no card of that person was ever seen, the first one stays, and of several
    # in one update the one with the least (v, signer id)."
    first: dict[UUID, tuple[int, UUID, str]] = {}
    for one in (*growth.signed(), *growth.unsigned()):
        for introduction in one.introductions():
            user_id, name = introduction.device.user_id, introduction.name
            record = state.records.get(introduction.device.device_id)
            if (
                name is not None
                and user_id != state.me.user_id
                and record is not None
                and record.device == introduction.device
                and record.trusted
            ):
                stated = (one.version, one.author.device_id, name)
                first[user_id] = min(first.get(user_id, stated), stated)
    # Of a device that came by a link the proof holds for the name, too.
    proven = [
        (listed.device.user_id, listed.name)
        for id_ in sorted(growth.joined)
        if (listed := update.listed[id_]).device.user_id != state.me.user_id
    ]
    others = [(user_id, name) for user_id, (_, _, name) in first.items()]
    return replace(
        state,
        introduced=introduced(state.introduced, [*proven, *others]),
        card=own_name(state),
    )


def _met(update: Update, state: State) -> dict[UUID, int]:
    mine = {
        id_ for id_, listed in update.listed.items() if listed.device.user_id == state.me.user_id
    } - {state.me.device_id}
    today = int(update.at // 86_400)
    return {id_: state.met.get(id_, today) for id_ in sorted(mine | state.met.keys())}
