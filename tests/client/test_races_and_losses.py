"""What goes wrong between people ends in a state from which everybody can go on."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from draugar.client import Client
from draugar.errors import (
    InviteNotValid,
    JoinUnfinished,
    KeyPending,
    NotConfirmed,
    ServiceAway,
    SignedOut,
)
from draugar.models import KeyState, Kind, TrustState
from draugar.storage.home import Home
from tests.client.family import Family, fix
from tests.client.kept import age_links
from tests.client.malice import JOIN, KEYS, ROTATE, Forward, Relay, Reply, Request, refused


@pytest.fixture
def family(relayed: Family) -> Family:
    """A family between which and the service answers can be lost."""
    return relayed


class Lost:
    """What is asked of a route is done, and its answer never arrives."""

    def __init__(self, route: str) -> None:
        self.route = route

    def __call__(self, request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != self.route:
            return reply
        return refused(503, "temporarily_unavailable", **{"Retry-After": "0"})


class LostOnce(Lost):
    """Only the first answer is lost."""

    def __call__(self, request: Request, forward: Forward) -> Reply:
        reply = super().__call__(request, forward)
        if request.route == self.route:
            self.route = ""
        return reply


def everybody_sees(*members: Client) -> None:
    """Assert that each shares a new position and all see it."""
    for number, member in enumerate(members):
        latitude = 10.0 + number
        member.share([fix(latitude)])
        for other in members:
            seen = {position.user_id: position for position in other.where()}
            assert seen[member.user_id].fix.latitude == latitude
            assert seen[member.user_id].is_confirmed


def compared(joiner: Client, inviter: Client) -> None:
    """Let a joiner take the key of an inviter who has given it by an invite proof."""
    (theirs,) = joiner.pending()
    assert theirs.gives_key
    assert theirs.safety_number == inviter.compare(joiner.user_id).safety_number
    joiner.confirm(theirs)


def test_a_join_whose_answer_was_lost_is_repeated_and_makes_one_person(
    family: Family, relay: Relay
) -> None:
    una = family.found()
    link = una.invite().link

    with relay.telling(LostOnce(JOIN)):
        ari = family.join(link)

    # The key package comes once only: the inviter gives the key unasked, for the proof holds, and
    # whether it is the inviter who gives it the joiner finds out by the number.
    with pytest.raises(KeyPending):
        ari.where()
    assert [person.name for person in una.people()] == ["Una", "Ari"]
    assert Kind.JOINED in family.hears("Una").kinds()
    compared(ari, una)
    everybody_sees(una, ari)


def test_a_join_whose_answer_was_lost_is_repeated_by_a_later_command(
    family: Family, relay: Relay
) -> None:
    una = family.found()
    link, other_link = una.invite().link, una.invite().link

    with relay.telling(Lost(JOIN)), pytest.raises(ServiceAway):
        family.join(link, patience=timedelta())
    with pytest.raises(JoinUnfinished):
        family.join(other_link)
    ari = family.join(link)

    assert len(una.people()) == 2
    compared(ari, una)
    everybody_sees(una, ari)


def test_a_join_that_is_forgotten_makes_room_for_another(family: Family, relay: Relay) -> None:
    una = family.found()
    link, other_link = una.invite().link, una.invite().link
    with relay.telling(Lost(JOIN)), pytest.raises(ServiceAway):
        family.join(link, patience=timedelta())

    family.home("Ari").forget_join()
    ari = family.join(other_link)

    everybody_sees(una, ari)


@pytest.mark.parametrize("route", [JOIN, ROTATE])
def test_a_group_is_founded_though_an_answer_was_lost(
    family: Family, relay: Relay, route: str
) -> None:
    with relay.telling(LostOnce(route)):
        una = family.found()

    assert una.group().key_version == 1
    everybody_sees(una)


@pytest.mark.parametrize("route", [JOIN, KEYS, ROTATE])
def test_a_group_is_founded_by_a_later_command_if_need_be(
    family: Family, relay: Relay, route: str
) -> None:
    code = family.service.founding_code()
    with relay.telling(Lost(route)), pytest.raises(ServiceAway):
        family.found(code=code, patience=timedelta())

    una = family.again("Una") if family.home("Una").is_joined else family.found(code=code)

    assert una.group().key_version == 1
    everybody_sees(una)


def test_an_inviter_who_is_offline_for_a_day_meets_who_has_come_in(family: Family) -> None:
    una = family.found()
    link = una.invite(life=timedelta(days=2)).link
    una.close()

    ari = family.join(link)
    ari.share([fix(1.0)])
    seen_by_ari = ari.where()
    una = family.again("Una")
    age_links(family.home("Una"), una.group().id, 86400)

    assert [position.name for position in seen_by_ari] == ["Ari"]
    assert [position.name for position in una.where()] == ["Ari"]
    assert una.where()[0].is_confirmed
    everybody_sees(una, ari)


def test_points_wait_until_an_inviter_who_was_offline_gives_the_key(
    family: Family, relay: Relay
) -> None:
    una = family.found()
    link = una.invite().link
    with relay.telling(LostOnce(JOIN)):
        ari = family.join(link)

    waiting = ari.share([fix(1.0), fix(2.0)])
    una.where()
    compared(ari, una)
    sent = ari.flush()

    assert (waiting.stored, waiting.waiting) == (0, 2)
    assert (sent.stored, sent.waiting) == (2, 0)
    assert [position.fix.latitude for position in una.history()] == [2.0, 1.0]


def test_a_link_outlives_a_rotation_by_hand(family: Family) -> None:
    una = family.found()
    link = una.invite().link
    una.rotate()

    ari = family.join(link)

    assert ari.group().key_state is KeyState.PENDING
    una.where()
    compared(ari, una)
    assert ari.group().key_version == 2
    everybody_sees(una, ari)


def test_a_link_is_void_once_somebody_has_left_and_another_is_good(family: Family) -> None:
    una = family.found()
    sif = family.join(una.invite().link, "Sif")
    link = una.invite().link
    sif.leave()

    with pytest.raises(InviteNotValid):
        family.join(link)
    ari = family.join(una.invite().link)

    everybody_sees(una, ari)


def test_two_members_confirm_the_same_joiner(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    sif = family.join_by_code(una.invite_by_code().code, "Sif")
    by_una, by_ari = una.compare(sif.user_id), ari.compare(sif.user_id)

    una.confirm(by_una)
    ari.confirm(by_ari)
    sif.confirm(sif.compare(una.user_id))

    everybody_sees(una, ari, sif)


def test_two_members_confirm_the_same_joiner_at_once(family: Family) -> None:
    una = family.found()
    family.join(una.invite().link)
    una.where()
    sif = family.join_by_code(una.invite_by_code().code, "Sif")

    def confirm(name: str) -> None:
        with Home.open(family.path(name)) as home, Client(home, tell=print) as member:
            member.confirm(member.compare(sif.user_id))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(confirm, ["Una", "Ari"]))
    for comparison in sif.pending():
        sif.confirm(comparison)

    everybody_sees(family.again("Una"), family.again("Ari"), sif)


def test_of_two_who_rotate_at_once_both_hold_the_key_that_won(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()

    def rotate(name: str) -> bool:
        with Home.open(family.path(name)) as home, Client(home, tell=print) as member:
            return member.rotate().is_mine

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            assert any(pool.map(rotate, ["Una", "Ari"]))

    everybody_sees(una, ari)


def test_two_commands_of_one_device_rotate_at_once(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()

    def rotate(_: int) -> int:
        with Home.open(family.path("Una")) as home, Client(home, tell=print) as member:
            return member.rotate().key_version

    with ThreadPoolExecutor(3) as pool:
        versions = list(pool.map(rotate, range(3)))

    assert max(versions) == una.group().key_version
    everybody_sees(una, ari)


def test_a_pending_device_can_neither_rotate_nor_give_anybody_the_key(family: Family) -> None:
    una = family.found()
    ari = family.join_by_code(una.invite_by_code().code)
    sif = family.join_by_code(una.invite_by_code().code, "Sif")

    with pytest.raises(NotConfirmed):
        ari.rotate()
    with pytest.raises(NotConfirmed):
        ari._api.put_envelope(
            una.group().id, 1, sif.device_id, wrapped_key=bytes(72), roster_entry=None
        )

    assert una.group().key_version == 1
    assert {comparison.user_id for comparison in una.pending()} == {ari.user_id, sif.user_id}
    for member in (ari, sif):
        una.confirm(una.compare(member.user_id))
        member.confirm(member.compare(una.user_id))
    everybody_sees(una, ari, sif)


def test_a_device_is_replaced_by_one_that_reads_what_the_former_read(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    ari.share([fix(1.0)])
    una.rotate()
    ari.share([fix(2.0)])

    phone = family.join(una.invite(for_me=True).link, "ignored", home="phone")
    una.where()
    old_points = [position.fix.latitude for position in phone.history()]
    (rotation,) = phone.revoke_device(una.device_id)

    assert phone.user_id == una.user_id
    assert phone.name == "Una"
    assert old_points == [2.0, 1.0]
    assert {device.id for device in rotation.wrapped_for} == {phone.device_id, ari.device_id}
    with pytest.raises(SignedOut):
        una.where()
    # Ari has never met the new device: its key is taken on Ari's word.
    for comparison in ari.pending():
        assert comparison.safety_number == phone.compare(ari.user_id).safety_number
        ari.confirm(comparison)
    everybody_sees(phone, ari)


def test_when_the_last_admin_leaves_the_longest_standing_member_runs_the_group(
    family: Family,
) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    sif = family.join(una.invite().link, "Sif")
    una.where()
    una.rotate()  # by which Ari and Sif know of each other
    ari.where()
    sif.where()

    una.leave()

    assert ari.group().is_admin
    everybody_sees(ari, sif)
    ari.remove(sif.user_id)
    everybody_sees(ari)


def test_when_the_last_confirmed_device_is_lost_an_admins_begins_anew(family: Family) -> None:
    una = family.found()
    ari = family.join_by_code(una.invite_by_code().code)
    una.delete_account()

    with pytest.raises(KeyPending):
        ari.where()
    assert ari.group().is_admin
    rotation = ari.rotate()
    sif = family.join(ari.invite().link, "Sif")
    ari.where()

    assert rotation.key_version == 2
    everybody_sees(ari, sif)


def test_an_account_that_had_wrapped_keys_for_others_is_deleted(family: Family) -> None:
    una = family.found()
    ari = family.confirmed(una, "Ari")
    sif = family.confirmed(una, "Sif")
    una.share([fix(3.0)])
    ari.share([fix(4.0)])
    # Both hold keys that only Una has wrapped for them, and are away while she goes.
    una.delete_account()

    assert not family.path("Una").exists()
    assert [position.fix.latitude for position in sif.where()] == [4.0]
    rotations = ari.share([fix(5.0)])
    waiting = [comparison.user_id for comparison in sif.pending()]
    for user_id in waiting:
        sif.confirm(sif.compare(user_id))
    for comparison in ari.pending():
        ari.confirm(comparison)

    assert rotations.stored == 1
    everybody_sees(ari, sif)


def test_a_member_who_is_away_while_keys_change_reads_all_of_it(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    for latitude in (1.0, 2.0, 3.0):
        una.rotate()
        una.share([fix(latitude)])

    assert [position.fix.latitude for position in ari.history()] == [3.0, 2.0, 1.0]
    everybody_sees(una, ari)


def test_a_person_who_was_removed_comes_in_again_by_a_new_link(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.remove(ari.user_id)

    with pytest.raises(SignedOut):
        ari.where()
    again = family.join(una.invite().link, "Ari", home="again")

    everybody_sees(una, again)


def test_whoever_left_and_joins_again_reads_only_what_is_shared_from_then_on(
    family: Family,
) -> None:
    una = family.found()
    hearth = una.group().id
    ari = family.join(una.invite().link)
    ari.found_group("Office")
    una.where()
    ari.leave(hearth)
    una.share([fix(1.0)])
    link = una.invite().link
    assert link is not None

    ari.join_group(link)
    una.share([fix(2.0)])

    assert [position.fix.latitude for position in ari.history(hearth)] == [2.0]
    assert ari.where(hearth)[0].is_confirmed
    assert una.people()[1].devices[0].standing is TrustState.TRUSTED


def test_waiting_points_of_a_group_that_was_left_are_dropped(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    ari.enqueue([fix(1.0)])

    ari.leave()

    assert ari.waiting() == 0
    everybody_sees(una)
