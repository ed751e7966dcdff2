"""One member is hostile, and the service is honest: what the others' devices then do."""

import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from draugar.client import Client
from draugar.models import Code, Kind, TrustState
from draugar.protocol.envelopes import wrap
from draugar.protocol.rosters import RosterEntry
from draugar.protocol.secrets import DeviceKey, GroupKey
from draugar.protocol.statements import (
    Device,
    DeviceKind,
    Entry,
    Introduction,
    Roster,
    seal_statement,
)
from draugar.trust import words
from draugar.usecases import sync
from draugar.usecases.sync import GroupSnapshot
from tests.client.family import Family, fix
from tests.client.kept import TrustStore

Change = Callable[[Roster], Roster]
LONGEST = "\N{GRINNING FACE}" * 64


def sealed(view: GroupSnapshot, statement: Roster | Entry, version: int, key: GroupKey) -> bytes:
    state = view.decision.state
    return seal_statement(
        statement, group_id=view.group_id, version=version, device_key=state.key, key=key
    )


def make_key(
    member: Client, change: Change = lambda roster: roster, *, statement: bytes | None = None
) -> None:
    """Make a new key for the others, with a roster that no honest client would write."""
    view = sync.update(member._context, member.group().id)
    state, version, key = view.decision.state, view.key_version + 1, GroupKey.make()
    roster = words.next_roster(view.decision, key, version=version, now=time.time())
    devices = [state.me, *(state.records[id_].device for id_ in view.decision.recipients)]
    member._api.rotate(
        view.group_id,
        expected_version=view.key_version,
        commitment=key.commitment(view.group_id, version),
        envelopes={one.device_id: wrap(key, one.public_key, state.key) for one in devices},
        statement=statement or sealed(view, change(roster), version, key),
    )


def vouch(member: Client, device: Device, name: str, *, about: UUID | None = None) -> None:
    """State a device beside that device, or beside another one."""
    view = sync.update(member._context, member.group().id)
    key = view.decision.state.held[view.key_version].key
    entry = Entry(member.device_id, Introduction(device, view.key_version, name))
    member._api.put_vouch(
        view.group_id,
        view.key_version,
        about or device.device_id,
        sealed(view, entry, view.key_version, key),
    )


def trusted(member: Client) -> set[UUID]:
    return {*TrustStore(member._home, member.group().id).trusted()}


def names(member: Client) -> dict[UUID, str]:
    return {person.user_id: person.name for person in member.people()}


@pytest.fixture
def three(family: Family) -> tuple[Client, Client, Client]:
    """Una, Ari and Eve, who all trust each other."""
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    eve = family.join(una.invite().link, "Eve")
    for member in (una, ari, eve, una, ari):
        member.where()
    return una, ari, eve


def test_no_roster_of_another_member_changes_a_name(three: tuple[Client, Client, Client]) -> None:
    una, ari, eve = three
    before = names(ari)

    def swapped(roster: Roster) -> Roster:
        return replace(
            roster,
            introductions=tuple(
                replace(one, name="Ari" if one.device.user_id == eve.user_id else "Eve")
                for one in roster.introductions
            ),
        )

    make_key(eve, swapped)

    assert names(una) == names(ari) == before
    assert una.remove(eve.user_id).is_mine
    assert names(una).keys() == {una.user_id, ari.user_id}


def test_no_name_that_a_member_states_stops_a_key_change(
    three: tuple[Client, Client, Client],
) -> None:
    una, ari, eve = three
    known = TrustStore(eve._home, eve.group().id).trusted()

    def long_names(roster: Roster) -> Roster:
        longest = [replace(one, name=LONGEST) for one in roster.introductions]
        return replace(roster, introductions=tuple(longest))

    make_key(eve, long_names)
    for record in known.values():
        vouch(eve, record.device, LONGEST)
    for member in (una, ari):
        member.where()

    una.remove(eve.user_id)

    for member in (una, ari):
        assert member.share([fix(1.0)]).stored == 1
    assert una.rotate().is_mine


def test_a_stranger_who_leaves_before_being_confirmed_costs_no_key(family: Family) -> None:
    una = family.found()
    una.add_phone("Pocket", tid="po")
    version = una.group().key_version

    gone = [family.join_by_code(una.invite_by_code().code, name) for name in ("Bo", "Kit", "Lo")]
    gone[0].leave()
    gone[1].logout()
    una.remove(gone[2].user_id)
    una.share([fix(1.0)])

    assert (una.group().rotation_required, una.group().key_version) == (False, version)
    assert [device.needs_setup for device in una.devices() if device.tid] == [False]


def test_no_number_of_keys_stops_the_others(three: tuple[Client, Client, Client]) -> None:
    una, ari, eve = three
    for _ in range(40):
        make_key(eve)
    stranger = Device(eve.user_id, ari.device_id, DeviceKey.make().public, DeviceKind.APP)
    vouch(eve, stranger, "Ari")

    for member in (una, ari):
        assert member.share([fix(1.0)]).stored == 1
    assert ari.device_id in trusted(una)
    assert una.rotate().is_mine


def test_no_envelope_of_another_member_keeps_a_newcomer_out(
    family: Family, three: tuple[Client, Client, Client]
) -> None:
    una, _, eve = three
    sif = family.join_by_code(una.invite_by_code().code, "Sif")
    group = una.group()
    eve._api.put_envelope(
        group.id,
        group.key_version,
        sif.device_id,
        wrapped_key=wrap(GroupKey.make(), sif._me.device_key.public, eve._me.device_key),
    )

    una.confirm(una.compare(sif.user_id))
    sif.confirm(sif.compare(una.user_id))

    assert sif.share([fix(1.0)]).stored == 1
    assert [position.name for position in una.where()] == ["Sif"]


def test_a_roster_that_does_not_open_ends_no_trust(three: tuple[Client, Client, Client]) -> None:
    una, ari, eve = three
    before = trusted(una), trusted(ari)

    make_key(eve, statement=secrets.token_bytes(200))
    for member in (una, ari):
        member.where()

    assert (trusted(una), trusted(ari)) == before
    una.remove(eve.user_id)
    assert ari.share([fix(1.0)]).stored == 1
    assert [position.name for position in una.where()] == ["Ari"]


def test_a_link_that_a_removed_member_knew_lets_no_one_in(
    family: Family, three: tuple[Client, Client, Client]
) -> None:
    una, ari, eve = three
    una.set_role(ari.user_id, "admin")
    bo = family.join(una.invite().link, "Bo")  # by a link that Eve has read
    ari.remove(eve.user_id)

    una.where()
    una.rotate()

    assert trusted(una) == {ari.device_id}
    assert Code.LINK_CLOSED in [notice.code for notice in family.hears("Una")]
    held = TrustStore(una._home, una.group().id).state.trust.held
    known_to_bo = TrustStore(bo._home, una.group().id).state.trust.held
    assert held[max(held)].key not in {one.key for one in known_to_bo.values()}


def test_no_package_of_another_member_names_a_device_of_mine(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una, eve = family.found(), family.found("Eve", group="Den")
    entries = sync.entries
    false = RosterEntry(una.user_id, "Una", uuid4(), DeviceKey.make().public)
    with monkeypatch.context() as patch:
        patch.setattr(sync, "entries", lambda *args: [*entries(*args), false])
        link = eve.invite().link
    assert link is not None

    den = una.join_group(link)
    una.people(den.id)

    assert Code.PACKAGE_REFUSED in [notice.code for notice in family.hears("Una")]
    kept = TrustStore(una._home, den.id).state.trust
    assert (kept.own, kept.held, kept.trusted()) == ({}, {}, {})


def test_a_link_that_is_used_without_a_proof_is_told(family: Family) -> None:
    una = family.found()
    link = una.invite().link
    assert link is not None
    bo = family.join_by_code(link.code, "Bo")

    una.where()

    heard = family.hears("Una")
    assert Code.LINK_USED_UNPROVED in [notice.code for notice in heard]
    assert Kind.PROOF_FAILED in heard.kinds()
    assert bo.device_id not in trusted(una)
    (device,) = next(one for one in una.people() if one.user_id == bo.user_id).devices
    assert device.standing is TrustState.PENDING


def test_all_devices_of_two_people_show_one_number(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    laptop = family.join(ari.invite(for_me=True).link, home="laptop")
    ari.where()
    tablet = family.join(ari.invite(for_me=True).link, home="tablet")
    devices = [ari, laptop, tablet]
    for member in (*devices, una, *devices):
        member.where()

    numbers = {member.compare(una.user_id).safety_number for member in devices}

    assert numbers == {una.compare(ari.user_id).safety_number}
