"""Whom a member's device trusts: by proof, number and roster, never by the service's word."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from draugar.client import Client
from draugar.errors import KeyMissing, KeyPending, NotPossible, Unknown, VersionWentBack
from draugar.models import KeyState, Kind, TrustSource, TrustState
from draugar.protocol.envelopes import unwrap
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.invites import InviteKeys, join_proof
from draugar.protocol.json import to_base64url
from draugar.protocol.statements import Device, DeviceKind
from draugar.storage.home import Home
from tests.client import malice
from tests.client.family import Family, fix
from tests.client.kept import Keyring, TrustStore, age_links
from tests.client.malice import USERS, Forward, Ghost, Lie, Relay, Reply, Request
from tests.client.saying import failing
from tests.database import connect


def test_trust_in_one_group_is_none_in_another(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    here, other = TrustStore(una._home, una.group().id), una.found_group("Office").id

    assert here.trusted().keys() == {ari.device_id}
    assert TrustStore(una._home, other).trusted() == {}


# Numbers


def test_two_people_see_one_number(family: Family) -> None:
    una = family.found()
    ari = family.join_by_code(una.invite_by_code().code)

    theirs, mine = una.compare(ari.user_id), ari.compare(una.user_id)

    assert theirs.safety_number == mine.safety_number
    assert theirs.name == "Ari"
    assert (theirs.is_mine, theirs.gives_key) == (False, False)


def test_a_stranger_among_ones_devices_changes_the_number(relayed: Family, relay: Relay) -> None:
    una = relayed.found()
    ari = relayed.join_by_code(una.invite_by_code().code)
    ghost = Ghost()

    with relay.telling(malice.ghost_device(ghost, of=una.user_id), to=ari.device_id):
        seen_by_ari = ari.compare(una.user_id)

    assert seen_by_ari.safety_number != una.compare(ari.user_id).safety_number


def test_what_is_confirmed_is_what_was_compared(relayed: Family, relay: Relay) -> None:
    una = relayed.found()
    ari = relayed.join_by_code(una.invite_by_code().code)
    compared = una.compare(ari.user_id)
    ghost = Ghost()

    with relay.telling(malice.ghost_device(ghost, of=ari.user_id), to=una.device_id):
        una.confirm(compared)
        una.where()

    trusted = TrustStore(una._home, una.group().id).trusted()
    assert trusted.keys() == {ari.device_id}
    assert not any(
        ghost.opens(wrapped, [una._me.device_key.public]) for wrapped in relay.wrapped_keys()
    )


def test_a_further_device_that_a_compared_one_names_is_not_compared_again(
    family: Family,
) -> None:
    una = family.found()
    ari = family.confirmed(una, "Ari")
    before = una.people()[1].is_changed
    family.join(ari.invite(for_me=True).link, home="laptop")
    ari.where()

    with_laptop = una.people()[1].is_changed
    una.confirm(una.compare(ari.user_id))
    after = una.people()[1].is_changed

    # Ari's compared device names the laptop, so the comparison covers it.
    assert [before, with_laptop, after] == [False, False, False]
    assert Kind.KEY_CHANGED not in family.hears("Una").kinds()


def test_it_is_known_which_numbers_were_shown_before(relayed: Family, relay: Relay) -> None:
    una = relayed.found()
    ari = relayed.join_by_code(una.invite_by_code().code)
    lie = malice.another_public_key(ari.device_id, Ghost().key.public)

    first = una.compare(ari.user_id)
    una.note_shown(first)
    second = una.compare(ari.user_id)
    with relay.telling(lie):
        false = una.compare(ari.user_id)

    assert [first.was_shown, second.was_shown, false.was_shown] == [False, True, False]


def test_a_stranger_has_no_number(family: Family) -> None:
    una = family.found()

    with pytest.raises(Unknown):
        una.compare(uuid4())
    with pytest.raises(NotPossible):
        una.compare(una.user_id)


def test_ones_own_device_is_confirmed_by_a_link_only(family: Family) -> None:
    una = family.found()
    answer = una._api.invite({"groupId": str(una.group().id), "forMe": True})
    family.join_by_code(answer[1], "me")

    (waiting,) = una.pending()

    assert waiting.is_mine
    assert waiting.safety_number is None
    with failing(NotPossible, "link"):
        una.confirm(waiting)


def test_a_key_by_a_stranger_is_not_taken_before_they_are_confirmed(family: Family) -> None:
    una = family.found()
    ari = family.join_by_code(una.invite_by_code().code)
    before = ari.pending()
    una.confirm(una.compare(ari.user_id))

    with pytest.raises(KeyPending):
        ari.where()
    (after,) = ari.pending()

    assert [comparison.gives_key for comparison in before] == [False]
    assert after.gives_key
    assert after.user_id == una.user_id
    ari.confirm(after)
    assert ari.group().key_state is KeyState.READY


def test_without_a_key_nothing_is_sealed_and_nothing_is_sent_in_the_clear(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    group = una._api.found_group("Office", "optional")

    with pytest.raises(KeyMissing):
        una.invite(group.id)
    shared = una.share([fix(1.0)], group.id)

    assert (shared.stored, shared.waiting) == (0, 1)
    assert not [asked for asked in relay.received if asked.route == malice.SHARE]
    assert una.group(group.id).key_state is KeyState.MISSING
    una.rotate(group.id)
    assert una.flush().stored == 1


# Proofs


def test_a_device_that_proved_a_link_is_trusted_unasked(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)

    (_, person) = una.people()

    assert person.devices[0].id == ari.device_id
    assert (person.devices[0].standing, person.devices[0].how) == (
        TrustState.TRUSTED,
        TrustSource.PROOF,
    )
    assert family.hears("Una").kinds().count(Kind.JOINED) == 1
    una.people()
    assert family.hears("Una").kinds().count(Kind.JOINED) == 1


def test_a_second_device_that_proves_one_link_is_told_and_not_trusted(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    link = una.invite().link
    assert link is not None
    ari = relayed.join(link)
    una.where()
    ghost = Ghost(name="Ari")
    proof_key = InviteKeys.of(link.secret, link.code).proof
    proof = join_proof(proof_key, ghost.key.public, ghost.name, link.code)

    def proving(request: Request, forward: Forward) -> Reply:
        reply = malice.ghost_person(ghost)(request, forward)
        if request.route == USERS:
            body = reply.json
            for user in body["users"]:
                for group in user["groups"]:
                    for device in group["devices"]:
                        if device["id"] == str(ghost.device_id):
                            device["joinProof"] = to_base64url(proof)
            return reply.saying(body)
        return reply

    with relay.telling(proving):
        una.where()

    assert TrustStore(una._home, una.group().id).trusted().keys() == {ari.device_id}
    warnings = [notice.kind for notice in relayed.hears("Una") if notice.is_warning]
    assert Kind.PROOF_FAILED in warnings


def test_a_proof_of_a_link_that_has_expired_is_not_believed(family: Family) -> None:
    una = family.found()
    link = una.invite(life=timedelta(hours=1)).link
    family.join(link)
    age_links(una._home, una.group().id, 3601)

    una.where()

    assert [device.standing for device in una.people()[1].devices] == [TrustState.PENDING]
    assert Kind.UNCONFIRMED_DEVICE in family.hears("Una").kinds()


def test_ones_own_device_is_trusted_in_all_of_ones_groups(family: Family) -> None:
    una = family.found()
    hearth = una.group().id
    office = una.found_group("Office").id
    una.share([fix(1.0)], office)

    phone = family.join(una.invite(hearth, for_me=True).link, "ignored", home="phone")
    una.where(hearth)
    una.where(office)

    assert [position.fix.latitude for position in phone.where(office)] == [1.0]


# Leaving out


def test_a_removal_that_the_service_hides_is_heard_of_by_the_roster(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    sif = relayed.join(ari.invite().link, "Sif")
    ari.where()
    una.confirm(una.compare(sif.user_id))
    still_there = _as_before(relay, ari, sif)

    una.remove(sif.user_id)
    with relay.telling(still_there, to=ari.device_id):
        ari.where()
        rotation = ari.rotate()
        ari.where()

    assert [device.id for device in rotation.left_out] == [sif.device_id]
    assert Kind.TRUST_ENDED in relayed.hears("Ari").kinds()
    wrappers = [una._me.device_key.public, ari._me.device_key.public]
    held = {Keyring(sif._home, una.group().id).key(1)}
    for wrapped in relay.wrapped_keys():
        for wrapper in wrappers:
            try:
                assert unwrap(wrapped, wrapper, sif._me.device_key) in held
            except NotAuthentic:
                continue


def _as_before(relay: Relay, asker: Client, gone: Client) -> Lie:
    """Show a person who has gone as one who waits for the key."""
    kept: list[Any] = []

    def watch(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route == USERS and not kept:
            kept.extend(user for user in reply.json["users"] if user["id"] == str(gone.user_id))
        return reply

    with relay.telling(watch, to=asker.device_id):
        asker.people()

    def show(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route == USERS:
            return reply.saying({"users": [*reply.json["users"], *kept]})
        return reply

    return show


def test_a_key_is_replaced_once_somebody_who_knew_it_is_gone_whatever_the_service_says(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    ari.leave()

    with relay.telling(malice.rotation_is(due=False)):
        una.share([fix(1.0)])

    assert una.where()[0].key_version == 2


def test_a_key_is_replaced_once_and_not_by_everybody(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    sif = family.join(una.invite().link, "Sif")
    una.where()
    una.rotate()
    bo = family.join(una.invite().link, "Bo")
    for member in (ari, sif, una):
        member.where()

    una.remove(bo.user_id)
    for member in (ari, sif, una):
        member.share([fix(1.0)])

    assert una.group().key_version == 3


def test_whoever_a_removed_person_vouched_for_is_told_of(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    sif = family.join(ari.invite().link, "Sif")
    ari.where()
    ari.rotate()
    una.where()

    una.remove(ari.user_id)
    una.where()

    assert family.hears("Una").kinds().count(Kind.VOUCHED_BY_GONE) == 1
    assert sif.group().key_version == 3


def test_a_device_with_another_key_than_it_had_is_not_trusted_any_more(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()

    with relay.telling(malice.another_public_key(ari.device_id, Ghost().key.public)):
        una.where()

    assert Kind.KEY_CHANGED in relayed.hears("Una").kinds()
    assert TrustStore(una._home, una.group().id).trusted() == {}


def test_a_new_name_is_told_and_taken_at_the_next_update_without_a_new_key(
    family: Family,
) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()

    ari.rename("Arinbjörn")
    version = una.group().key_version
    names = {person.name for person in una.people()}

    assert names == {"Una", "Arinbjörn"}
    assert una.group().key_version == version
    assert family.hears("Una").kinds().count(Kind.RENAMED) == 1


def test_a_member_is_not_told_of_the_name_that_they_took_themselves(family: Family) -> None:
    una = family.found()
    family.join(una.invite(for_me=True).link, home="laptop")
    una.where()

    una.rename("Unna")
    una.where()

    assert Kind.RENAMED not in family.hears("Una").kinds()


def test_a_public_key_for_which_nothing_can_be_wrapped_stops_nobody(family: Family) -> None:
    una = family.found()
    group_id = una.group().id
    ari = family.join(una.invite().link)
    una.where()
    zero = Device(ari.user_id, ari.device_id, bytes(32), DeviceKind.APP)
    with connect(family.service.database_url) as operator:
        operator.run("SET session_replication_role = replica")
        operator.run(
            "UPDATE devices SET public_key = :key WHERE id = :id", key=bytes(32), id=ari.device_id
        )
    TrustStore(una._home, group_id).trust(zero, "Zero")

    rotation = una.rotate()

    assert [device.id for device in rotation.left_out] == [ari.device_id]
    assert una.share([fix(1.0)]).stored == 1


# Versions


def test_a_version_lower_than_seen_is_refused_and_nothing_is_sent(
    relayed: Family, relay: Relay
) -> None:
    una = relayed.found()
    una.rotate()
    sent = len(relay.received)

    with relay.telling(malice.key_version(1)):
        for ask in (una.where, una.rotate, una.flush, una.invite):
            if ask == una.flush:
                una.enqueue([fix(1.0)])
            with pytest.raises(VersionWentBack):
                ask()

    routes = {asked.route for asked in relay.received[sent:]}
    assert routes == {malice.KEYS, malice.USERS}
    assert una.flush().stored == 1


def test_after_a_restore_a_member_leads_the_group_on(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    una.rotate()
    una.rotate()
    ari.share([fix(1.0)])
    group_id = una.group().id
    with connect(family.service.database_url) as operator:
        operator.run("SET session_replication_role = replica")
        for table in ("key_envelopes", "group_keys"):
            operator.run(
                f"DELETE FROM {table} WHERE group_id = :id AND key_version > 1",  # noqa: S608
                id=group_id,
            )
        operator.run(
            "UPDATE groups SET key_version = 1, rotation_required = true WHERE id = :id",
            id=group_id,
        )

    with pytest.raises(VersionWentBack):
        ari.where()
    with pytest.raises(VersionWentBack):
        una.rotate()
    rotation = una.rotate(is_restored=True)

    assert rotation.key_version == 4
    assert una.share([fix(2.0)]).stored == 1
    assert {position.fix.latitude for position in ari.where()} == {1.0, 2.0}
    assert ari.share([fix(3.0)]).stored == 1


def test_a_home_knows_no_group_that_it_is_not_in(family: Family) -> None:
    una = family.found()

    with Home.open(family.path("Una")) as home:
        assert Keyring(home, UUID(int=7)).highest == 0
    with pytest.raises(Unknown):
        una.where(UUID(int=7))
