"""A malicious service, played by a relay before the real one.

In every test a family lives through it; then it lies to one of them. At the end of each test all
that any of them ever sent is searched: no key was given away, nothing left unsealed. What is seen
here besides: no false point is believed, the member is told, and the family can go on.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, cycle, product
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from typer.testing import CliRunner

from draugar.cli.app import app
from draugar.client import Client
from draugar.errors import (
    AnswerNotUnderstood,
    Failure,
    KeyPending,
    ServiceAway,
    TrustFailure,
    VersionWentBack,
)
from draugar.models import Kind, Position, TrustState
from draugar.protocol.envelopes import wrap
from draugar.protocol.invites import InviteKeys, join_proof
from draugar.protocol.json import to_base64url
from draugar.protocol.links import InviteLink
from draugar.protocol.locations import seal_location
from draugar.protocol.secrets import GroupKey
from draugar.service import transport
from draugar.storage.home import Home
from tests.client import malice
from tests.client.dump import Traces
from tests.client.family import Family, Service, fix
from tests.client.kept import Keyring, key_states
from tests.client.malice import Ghost, Relay, Reply
from tests.laptop.runs import HANGS_AFTER

_latitudes = count(60)


@dataclass
class Hearth:
    """Una, who has founded a group, Ari, who came by her link, and whoever comes later.

    All of them speak to the service through the relay.
    """

    family: Family
    relay: Relay
    una: Client
    ari: Client
    ghost: Ghost = field(default_factory=Ghost)
    others: list[Client] = field(default_factory=list)

    @property
    def group_id(self) -> UUID:
        """The group."""
        return self.una._my_groups()[0]

    @property
    def members(self) -> list[Client]:
        """Everybody."""
        return [self.una, self.ari, *self.others]

    def key(self, version: int) -> GroupKey:
        """Return the group's key of a version, as Una has it."""
        found = Keyring(self.una._home, self.group_id).key(version)
        assert found is not None
        return found

    def join(self, name: str) -> Client:
        """Let somebody in by a link of Una's."""
        self.others.append(self.family.join(self.una.invite().link, name))
        self.una.people()
        return self.others[-1]

    def heard(self, member: Client) -> list[Kind]:
        """Return what a member has been told since the last time."""
        told = self.family.hears(member._home.path.name)
        kinds = told.kinds()
        told.clear()
        return kinds

    def confirm_each_other(self, one: Client, other: Client) -> None:
        """Two people compare their numbers, and say that they are alike."""
        mine, theirs = one.compare(other.user_id), other.compare(one.user_id)
        assert mine.safety_number == theirs.safety_number
        one.confirm(mine)
        other.confirm(theirs)

    def goes_on(self) -> None:
        """Everybody shares, and everybody sees where the others are."""
        places = {}
        for member in self.members:
            places[member.user_id] = latitude = _somewhere()
            assert member.share([fix(latitude)]).waiting == 0
        for member in self.members:
            assert _seen(member.where()) == places

    def gives_nothing_away(self) -> None:
        """Whatever was sent opens with the family's keys alone, and nothing was sent unsealed."""
        traces = Traces()
        keys = []
        for path in sorted(self.family._directory.iterdir()):
            with Home.open(path) as home:
                keys.append(home.me().device_key)
                traces.add("a device's key", keys[-1].value)
                for _, held in key_states(home):
                    for one in held.values():
                        traces.add("a group's key", one.key.value)
        wrappers = [key.public for key in keys]
        for wrapped_key in self.relay.wrapped_keys():
            assert not self.ghost.opens(wrapped_key, wrappers)
            assert any(replace(self.ghost, key=key).opens(wrapped_key, wrappers) for key in keys)
        sent = b"\n".join(request.content for request in self.relay.received)
        assert traces.found_in(sent) == set()
        assert b"latitude" not in sent


def _somewhere() -> float:
    return 60 + next(_latitudes) * 0.001


def _seen(positions: list[Position]) -> dict[UUID, float]:
    return {position.user_id: position.fix.latitude for position in positions}


@pytest.fixture
def relay(service: Service) -> Iterator[Relay]:
    with Relay(service.url) as relay:
        yield relay


@pytest.fixture
def hearth(family: Family, relay: Relay) -> Iterator[Hearth]:
    una = family.found("Una", url=relay.url)
    ari = family.join(una.invite().link, "Ari")
    hearth = Hearth(family, relay, una, ari)
    una.people()
    for member in hearth.members:
        hearth.heard(member)
    yield hearth
    hearth.gives_nothing_away()


def test_a_key_that_was_given_away_would_be_found(hearth: Hearth) -> None:
    envelope = wrap(hearth.key(1), hearth.ghost.key.public, hearth.una._home.me().device_key)
    path = f"/groups/{hearth.group_id}/keys/1/envelopes/{uuid4()}"
    body = {"wrappedKey": to_base64url(envelope)}

    httpx.put(f"{hearth.relay.url}/api{path}", json=body, timeout=HANGS_AFTER)

    with pytest.raises(AssertionError, match="opens"):
        hearth.gives_nothing_away()
    hearth.relay.received.clear()


# People and devices that are not


def test_a_person_whom_nobody_invited_waits_and_is_shown(hearth: Hearth) -> None:
    una, ghost = hearth.una, hearth.ghost

    with hearth.relay.telling(malice.ghost_person(ghost), to=una.device_id):
        people = {person.user_id: person for person in una.people()}
        waiting = una.pending()
        rotation = una.rotate()
        una.share([fix()])

    assert [device.standing for device in people[ghost.user_id].devices] == [TrustState.PENDING]
    assert [comparison.user_id for comparison in waiting] == [ghost.user_id]
    assert ghost.device_id in {device.id for device in rotation.left_out}
    assert Kind.ROTATED in hearth.heard(una)
    hearth.goes_on()


def test_a_person_who_has_the_key_by_the_word_of_the_service_alone_is_warned_of(
    hearth: Hearth,
) -> None:
    with hearth.relay.telling(
        malice.ghost_person(hearth.ghost),
        malice.every_device_is(confirmed=True),
        to=hearth.una.device_id,
    ):
        hearth.una.where()

    assert hearth.heard(hearth.una) == [Kind.UNCONFIRMED_DEVICE]
    hearth.goes_on()


def test_a_further_device_of_somebody_trusted_is_trusted_no_more_for_that(hearth: Hearth) -> None:
    una, ghost = hearth.una, hearth.ghost
    alike = hearth.ari.compare(una.user_id).safety_number

    with hearth.relay.telling(malice.ghost_device(ghost, of=hearth.ari.user_id), to=una.device_id):
        rotation = una.rotate()
        compared = una.compare(hearth.ari.user_id)

    assert [device.id for device in rotation.left_out] == [ghost.device_id]
    assert compared.safety_number != alike
    hearth.goes_on()


def test_a_further_device_of_ones_own_is_not_believed_to_be_that(hearth: Hearth) -> None:
    una, ghost = hearth.una, hearth.ghost

    with hearth.relay.telling(malice.ghost_device(ghost, of=una.user_id), to=una.device_id):
        rotation = una.rotate()
        (waiting,) = una.pending()
        with pytest.raises(Failure):
            una.confirm(waiting)

    assert [device.id for device in rotation.left_out] == [ghost.device_id]
    assert waiting.is_mine
    hearth.goes_on()


def test_a_device_that_shows_another_key_is_given_none(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    lie = malice.another_public_key(ari.device_id, hearth.ghost.key.public)

    with hearth.relay.telling(lie, to=una.device_id):
        una.share([fix()])
        rotation = una.rotate()

    assert Kind.KEY_CHANGED in hearth.heard(una)
    assert ari.device_id in {device.id for device in rotation.left_out}
    hearth.confirm_each_other(una, ari)
    hearth.goes_on()


def test_a_newcomer_whose_key_was_exchanged_proves_nothing(hearth: Hearth) -> None:
    una = hearth.una
    invitation = una.invite()
    bera = hearth.family.join(invitation.link, "Bera")
    hearth.others.append(bera)
    lie = malice.another_public_key(bera.device_id, hearth.ghost.key.public)

    with hearth.relay.telling(lie, to=una.device_id):
        una.people()
        rotation = una.rotate()

    assert [device.id for device in rotation.left_out] == [bera.device_id]
    una.people()
    assert Kind.JOINED in hearth.heard(una)
    hearth.goes_on()


def test_numbers_differ_where_a_key_was_exchanged(hearth: Hearth) -> None:
    una = hearth.una
    bera = hearth.family.join_by_code(una.invite_by_code().code, "Bera", url=hearth.relay.url)
    hearth.others.append(bera)
    lie = malice.another_public_key(bera.device_id, hearth.ghost.key.public)

    with hearth.relay.telling(lie, to=una.device_id):
        compared = una.compare(bera.user_id)

    assert compared.safety_number != bera.compare(una.user_id).safety_number
    hearth.confirm_each_other(una, bera)
    hearth.goes_on()


def test_a_key_that_was_compared_is_the_one_that_is_trusted(hearth: Hearth) -> None:
    una = hearth.una
    bera = hearth.family.join_by_code(una.invite_by_code().code, "Bera", url=hearth.relay.url)
    hearth.others.append(bera)
    compared = una.compare(bera.user_id)
    lie = malice.another_public_key(bera.device_id, hearth.ghost.key.public)

    with hearth.relay.telling(lie, to=una.device_id):
        una.confirm(compared)

    bera.confirm(bera.compare(una.user_id))
    hearth.confirm_each_other(una, bera)
    hearth.goes_on()


def test_a_number_that_was_compared_is_the_one_that_is_confirmed_later(hearth: Hearth) -> None:
    una = hearth.una
    bera = hearth.family.join_by_code(una.invite_by_code().code, "Bera", url=hearth.relay.url)
    hearth.others.append(bera)
    home = str(hearth.family.path("Una"))
    terminal = CliRunner()
    shown = terminal.invoke(app, ["confirm", "--home", home])
    lie = malice.another_public_key(bera.device_id, hearth.ghost.key.public)

    with hearth.relay.telling(lie, to=una.device_id):
        terminal.invoke(app, ["confirm", "Bera", "--yes", "--home", home])

    wrappers = [una._home.me().device_key.public]
    assert "Bera" in shown.output
    assert not any(hearth.ghost.opens(one, wrappers) for one in hearth.relay.wrapped_keys())
    hearth.confirm_each_other(una, bera)
    hearth.goes_on()


def test_a_link_that_a_former_member_knows_lets_nobody_in(hearth: Hearth) -> None:
    una, ghost, bera = hearth.una, hearth.ghost, hearth.join("Bera")
    invitation = una.invite()  # in the family's chat, which Bera reads too
    assert invitation.link is not None
    una.remove(bera.user_id)
    hearth.others.remove(bera)
    keys = InviteKeys.of(invitation.link.secret, invitation.code)
    proof = join_proof(keys.proof, ghost.key.public, ghost.name, invitation.code)

    lies = malice.ghost_person(ghost), malice.another_proof(proof, of=ghost.device_id)
    with hearth.relay.telling(*lies, to=una.device_id):
        people = {person.user_id: person for person in una.people()}
        una.rotate()

    assert [device.standing for device in people[ghost.user_id].devices] == [TrustState.PENDING]
    hearth.ari.where()
    hearth.goes_on()


def test_whom_one_member_let_in_the_others_know(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    cara = hearth.family.join(ari.invite().link, "Cara")
    hearth.others.append(cara)
    ari.people()

    people = {person.user_id: person for person in una.people()}
    una.rotate()
    ari.where()
    una.people()

    assert [device.standing for device in people[cara.user_id].devices] == [TrustState.TRUSTED]
    hearth.goes_on()


def test_a_device_is_given_no_key_because_the_service_says_that_it_has_none(hearth: Hearth) -> None:
    una = hearth.una

    with hearth.relay.telling(
        malice.ghost_person(hearth.ghost),
        malice.every_device_is(confirmed=False),
        to=una.device_id,
    ):
        una.people()

    hearth.goes_on()


def test_a_forged_proof_is_none(hearth: Hearth) -> None:
    una = hearth.una
    invitation = una.invite()
    assert invitation.link is not None
    proof_key = InviteKeys.of(invitation.link.secret, invitation.code).proof
    of_another_key = join_proof(
        proof_key, hearth.ari._home.me().device_key.public, "Ghost", invitation.code
    )

    for proof in (secrets.token_bytes(32), of_another_key):
        with hearth.relay.telling(
            malice.ghost_person(hearth.ghost),
            malice.another_proof(proof, of=hearth.ghost.device_id),
            to=una.device_id,
        ):
            (waiting,) = una.pending()

        assert [device.standing for device in waiting.devices] == [TrustState.PENDING]
    hearth.goes_on()


def test_a_forged_proof_of_a_further_device_is_none(hearth: Hearth) -> None:
    una = hearth.una
    una.invite(for_me=True)

    lies = (
        malice.ghost_device(hearth.ghost, of=una.user_id),
        malice.another_proof(secrets.token_bytes(32), of=hearth.ghost.device_id),
    )
    with hearth.relay.telling(*lies, to=una.device_id):
        (me,) = (person for person in una.people() if person.is_me)

    standing = {device.id: device.standing for device in me.devices}
    assert standing[hearth.ghost.device_id] is TrustState.PENDING
    hearth.goes_on()


def test_two_who_change_places_are_trusted_no_more(hearth: Hearth) -> None:
    una, ari, bera = hearth.una, hearth.ari, hearth.join("Bera")
    ari.share([fix(61.5)])
    bera.share([fix(62.5)])

    for one, other in ((ari.user_id, bera.user_id), (ari.device_id, bera.device_id)):
        with hearth.relay.telling(malice.exchanged(one, other), to=una.device_id):
            shown = _seen(una.where())

        assert shown == {}
        assert {Kind.KEY_CHANGED, Kind.POINTS_DROPPED} <= set(hearth.heard(una))
        for member in (ari, bera):
            hearth.confirm_each_other(una, member)
    hearth.goes_on()


def test_a_former_member_vouches_for_nobody(hearth: Hearth) -> None:
    una, ari, bera, ghost = hearth.una, hearth.ari, hearth.join("Bera"), hearth.ghost
    ari.people()
    known_to_bera = hearth.key(1)
    forged = malice.vouched_for(ghost, known_to_bera, version=1, by=una.device_id)
    lies = (malice.ghost_person(ghost), forged, malice.rotation_is(due=True))
    una.remove(bera.user_id)
    hearth.others.remove(bera)

    # While a new key is due, as far as Ari knows, and after he has it.
    with hearth.relay.telling(malice.key_version(1), *lies, to=ari.device_id):
        due = {person.user_id: person for person in ari.people()}[ghost.user_id]
    ari.people()
    with hearth.relay.telling(*lies[:2], to=ari.device_id):
        after = {person.user_id: person for person in ari.people()}[ghost.user_id]
        rotation = ari.rotate()

    assert [device.standing for device in due.devices] == [TrustState.PENDING]
    assert [device.standing for device in after.devices] == [TrustState.PENDING]
    assert [device.id for device in rotation.left_out] == [ghost.device_id]
    hearth.goes_on()


# Keys that are not


def test_a_version_that_was_passed_does_not_come_back(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.rotate()
    ari.where()

    for version in (0, 1):
        with hearth.relay.telling(malice.key_version(version), to=ari.device_id):
            for ask in (lambda: ari.share([fix()]), ari.where, ari.rotate):
                with pytest.raises(VersionWentBack):
                    ask()

    ari.flush()
    hearth.goes_on()


def test_a_service_that_is_said_to_be_restored_is_not_helped_for_ever(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.rotate()
    ari.where()

    lies = malice.key_version(0), malice.rotation_accepted(at_most=50)
    with hearth.relay.telling(*lies, to=ari.device_id):
        assert _fails(lambda: ari.rotate(is_restored=True))

    hearth.goes_on()


def test_a_version_that_no_key_can_have_is_no_answer(hearth: Hearth) -> None:
    for version in (-1, 2**31, 2**63, 10**400):
        with (
            hearth.relay.telling(malice.key_version(version), to=hearth.ari.device_id),
            pytest.raises(AnswerNotUnderstood),
        ):
            hearth.ari.share([fix()])

    hearth.ari.flush()
    hearth.goes_on()


def test_a_version_out_of_nowhere_stops_the_member_and_no_more(hearth: Hearth) -> None:
    ari = hearth.ari

    for version, is_due in product((3, 1000, 2**31 - 1), (False, True)):
        lies = (malice.key_version(version), malice.rotation_is(due=is_due))
        with hearth.relay.telling(*lies, to=ari.device_id):
            assert _fails(ari.where)
            assert _fails(ari.rotate)
            assert _fails(lambda: ari.share([fix()])) or ari.waiting() > 0

    ari.flush()
    hearth.goes_on()


def test_nothing_leaves_unsealed_whatever_the_service_says_of_the_group(hearth: Hearth) -> None:
    ari = hearth.ari

    for lie in (malice.no_key_at_all, malice.optional):
        with hearth.relay.telling(lie, to=ari.device_id):
            assert _fails(lambda: ari.share([fix()])) or ari.waiting() > 0
            ari.groups()

    ari.flush()
    hearth.goes_on()


def test_points_in_the_clear_are_not_believed_in_a_group_that_has_a_key(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.share([fix()])

    with hearth.relay.telling(malice.in_the_clear(12.5, 13.5), to=ari.device_id):
        shown = ari.where(), list(ari.history())

    assert shown == ([], [])
    assert Kind.PLAINTEXT_REFUSED in hearth.heard(ari)
    hearth.goes_on()


def test_points_in_the_clear_are_not_believed_of_a_group_without_a_key_that_had_one(
    hearth: Hearth,
) -> None:
    una, ari = hearth.una, hearth.ari
    una.share([fix()])

    before = len(hearth.relay.received)

    with (
        hearth.relay.telling(malice.no_key_at_all, to=ari.device_id),
        pytest.raises(TrustFailure),
    ):
        ari.where()

    asked = {request.route for request in hearth.relay.received[before:]}
    assert malice.KEYS in asked
    assert malice.LATEST not in asked  # no point is looked at
    hearth.goes_on()


def test_an_old_envelope_is_not_taken_for_a_new_key(hearth: Hearth) -> None:
    una, ari, bera = hearth.una, hearth.ari, hearth.join("Bera")
    known_to_bera = hearth.key(1)
    una.remove(bera.user_id)
    hearth.others.remove(bera)
    ari.where()

    hearth.heard(ari)
    for key in (None, known_to_bera):
        with hearth.relay.telling(malice.old_key_as_new(hearth.group_id, key), to=ari.device_id):
            with pytest.raises(KeyPending):
                ari.where()
            assert ari.share([fix()]).stored == 0
    assert Kind.ENVELOPE_REFUSED in hearth.heard(ari)

    ari.flush()
    hearth.goes_on()


def test_an_attempt_that_was_refused_does_not_come_back_after_a_removal(hearth: Hearth) -> None:
    una, ari, bera = hearth.una, hearth.ari, hearth.join("Bera")
    kept: list[Any] = []
    with hearth.relay.telling(malice.rotation_withheld(kept), to=una.device_id):
        assert _fails(una.rotate)

    rotation = una.remove(bera.user_id)
    hearth.others.remove(bera)
    una.share([fix()])

    assert kept
    assert Keyring(una._home, hearth.group_id).highest > rotation.key_version - 1
    assert not Keyring(una._home, hearth.group_id).is_burnt
    ari.where()
    hearth.goes_on()


def test_a_key_of_the_services_own_making_is_not_taken(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari

    for above in (1, 1000, 2**31 - 2):
        lie = malice.key_of_a_stranger(
            hearth.ghost,
            hearth.group_id,
            recipient=ari._home.me().device_key.public,
            instead_of=una.device_id,
            above=above,
        )
        with hearth.relay.telling(lie, to=ari.device_id):
            assert _fails(ari.where)
            assert _fails(lambda: ari.share([fix()])) or ari.waiting() > 0

    assert Keyring(ari._home, hearth.group_id).highest == 1
    ari.flush()
    hearth.goes_on()


def test_a_key_of_the_services_own_making_is_not_taken_for_the_first(
    family: Family, relay: Relay
) -> None:
    ghost = Ghost()
    lie = malice.first_key_of_a_stranger(ghost)

    with relay.telling(lie):
        una = family.found("Una", url=relay.url)
        with pytest.raises(KeyPending):
            una.where()

    una.rotate()
    una.share([fix(61.5)])
    assert list(_seen(una.where()).values()) == [61.5]
    key = una._home.me().device_key
    assert not any(ghost.opens(one, [key.public]) for one in relay.wrapped_keys())


def test_a_joiner_who_is_told_to_found_the_group_finds_out(hearth: Hearth) -> None:
    una = hearth.una
    code = una.invite_by_code().code
    lies = malice.key_version(0), malice.nobody_else, malice.rotation_accepted(at_most=5)

    with hearth.relay.telling(*lies):
        bera = hearth.family.join_by_code(code, "Bera", url=hearth.relay.url)
    hearth.others.append(bera)
    bera.pending()

    assert Kind.KEYS_DIFFER in hearth.heard(bera)
    hearth.confirm_each_other(una, bera)
    una.rotate()
    hearth.ari.where()
    hearth.goes_on()


def test_another_commitment_of_a_key_that_is_held_is_told(hearth: Hearth) -> None:
    ari = hearth.ari

    with hearth.relay.telling(malice.another_commitment, to=ari.device_id):
        told = _fails(ari.where) or bool(hearth.heard(ari))

    assert told
    hearth.goes_on()


def test_a_new_key_that_does_not_match_its_commitment_is_refused(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.rotate()

    with (
        hearth.relay.telling(malice.another_commitment, to=ari.device_id),
        pytest.raises(Failure),
    ):
        ari.where()

    assert Kind.ENVELOPE_REFUSED in hearth.heard(ari)
    una.people()
    hearth.goes_on()


def test_a_rotation_that_is_always_due_ends(hearth: Hearth) -> None:
    ari = hearth.ari

    with hearth.relay.telling(malice.rotation_is(due=True), to=ari.device_id):
        shared = ari.share([fix()])
        ari.where()

    rotations = [one for one in hearth.relay.received if one.route == malice.ROTATE]
    assert shared.stored == 1
    assert len(rotations) <= 3
    assert Kind.ROTATED in hearth.heard(ari)
    hearth.una.where()
    hearth.goes_on()


def test_a_rotation_that_is_due_and_denied_is_done_all_the_same(hearth: Hearth) -> None:
    una, ari, bera = hearth.una, hearth.ari, hearth.join("Bera")
    bera.leave()
    hearth.others.remove(bera)

    with hearth.relay.telling(malice.rotation_is(due=False), to=una.device_id):
        shared = una.share([fix()])

    assert shared.stored == 1
    ari.where()
    hearth.goes_on()


def test_a_rotation_that_was_taken_and_denied_is_the_members_own(hearth: Hearth) -> None:
    una = hearth.una

    with hearth.relay.telling(malice.rotation_refused("key_version_conflict"), to=una.device_id):
        rotation = una.rotate()

    assert rotation.is_mine
    hearth.goes_on()


def test_a_rotation_leaves_out_whom_the_service_refuses_and_says_so(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    lie = malice.surplus(ari.device_id)

    with hearth.relay.telling(lie, to=una.device_id):
        rotation = una.rotate()

    assert [device.id for device in rotation.left_out] == [ari.device_id]
    assert Kind.ROTATED in hearth.heard(una)
    una.people()
    hearth.goes_on()


# Points that are not


def test_points_that_are_withheld_are_missed(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.share([fix()])
    ari.where()

    with hearth.relay.telling(malice.these([]), to=ari.device_id):
        shown = ari.where()

    assert shown == []
    assert hearth.heard(ari) == [Kind.OLDER_THAN_SEEN]
    hearth.goes_on()


def test_an_old_point_is_not_shown_as_the_present_one(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    kept: list[Any] = []
    una.share([fix(61.5)])
    with hearth.relay.telling(malice.points(_keeping(kept)), to=ari.device_id):
        ari.where()
    una.share([fix(62.5)])
    ari.where()

    with hearth.relay.telling(malice.these(kept), to=ari.device_id):
        shown = ari.where()

    assert [position.is_old for position in shown] == [True]
    assert Kind.OLDER_THAN_SEEN in hearth.heard(ari)
    hearth.goes_on()


def test_of_several_points_of_a_person_the_newest_is_the_present_one(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.share([fix(61.5)])
    una.share([fix(62.5)])

    for order in (1, -1):
        lies = malice.history_as_latest, malice.points(partial(_ordered, step=order))
        with hearth.relay.telling(*lies, to=ari.device_id):
            shown = ari.where()

        assert _seen(shown) == {una.user_id: 62.5}
    hearth.goes_on()


def test_a_repeated_point_counts_once(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.share([fix(61.5)])

    def repeat(points: list[Any]) -> list[Any]:
        return [*points, *({**point, "id": malice.id_of(point, 5)} for point in points)]

    with hearth.relay.telling(malice.points(repeat), to=ari.device_id):
        shown = list(ari.history())

    assert [position.fix.latitude for position in shown] == [61.5]
    assert Kind.POINTS_DROPPED in hearth.heard(ari)
    hearth.goes_on()


def test_a_point_cannot_be_moved_in_time(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    past, future = timedelta(days=-3), timedelta(minutes=9)
    at = fix(61.5)
    una.share([at])

    for shift in (past, future):
        with hearth.relay.telling(malice.points(partial(_moved, by=shift)), to=ari.device_id):
            shown = ari.where()

        assert {position.fix.at for position in shown} <= {at.at}
    hearth.goes_on()


def test_a_point_is_believed_only_as_what_it_says_itself(hearth: Hearth) -> None:
    una, ari, bera = hearth.una, hearth.ari, hearth.join("Bera")
    una.share([fix(61.5)])
    bera.share([fix(62.5)])

    def exchange(points: list[Any], member: str) -> list[Any]:
        others = [point[member] for point in points][::-1]
        if member in _OTHERS:
            others = _OTHERS[member][: len(points)]
        return [{**point, member: other} for point, other in zip(points, others, strict=True)]

    for member in ("userId", "deviceId", "groupId", "keyVersion", "encryptedData"):
        lie = malice.points(partial(exchange, member=member))
        with hearth.relay.telling(lie, to=ari.device_id):
            shown = [*ari.where(), *ari.history()]

        # Asked for one person's points alone, there are none to exchange them with.
        assert _seen(shown).items() <= {una.user_id: 61.5, bera.user_id: 62.5}.items()
        assert list(ari.history()) != []
        told = hearth.heard(ari)
        assert Kind.POINTS_DROPPED in told or Kind.POINTS_UNREADABLE in told
    hearth.goes_on()


_OTHERS: dict[str, list[Any]] = {"groupId": [str(uuid4()), str(uuid4())], "keyVersion": [7, 8]}


def test_a_former_member_cannot_speak_for_others(hearth: Hearth) -> None:
    una, ari, bera = hearth.una, hearth.ari, hearth.join("Bera")
    known_to_bera = hearth.key(1)
    una.remove(bera.user_id)
    hearth.others.remove(bera)
    una.share([fix(61.5)])
    ari.where()
    later = datetime.now(UTC) + timedelta(minutes=30)
    forged = seal_location(
        {
            "_type": "location",
            "lat": 12.5,
            "lon": 13.5,
            "acc": 5,
            "tst": int(later.timestamp()),
            "draugar": {
                "g": str(hearth.group_id),
                "u": str(una.user_id),
                "d": str(una.device_id),
                "n": 1_000_000,
            },
        },
        known_to_bera,
    )

    def forge(points: list[Any]) -> list[Any]:
        sealed = {"encryptedData": to_base64url(forged), "keyVersion": 1}
        return [malice.moved({**point, **sealed}, timedelta(minutes=30)) for point in points]

    with hearth.relay.telling(malice.points(forge), to=ari.device_id):
        shown = ari.where()

    assert shown == []
    assert Kind.POINTS_DROPPED in hearth.heard(ari)
    hearth.goes_on()


def test_a_time_at_which_nobody_can_have_been_there_is_not_believed(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    ari.share([fix(61.5)])
    una.where()
    times = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2200-01-01T00:00:00Z"]
    said = {"userId": str(ari.user_id), "latitude": 12.5, "longitude": 13.5, "accuracy": 5}
    kept: list[Any] = []
    with hearth.relay.telling(malice.points(_keeping(kept)), to=una.device_id):
        una.where()

    for time_ in times:
        sealed = to_base64url(seal_location({**said, "timestamp": time_}, hearth.key(1)))
        forged = malice.these([{**point, "encryptedData": sealed} for point in kept])
        with hearth.relay.telling(forged, to=una.device_id):
            assert una.where() == list(una.history()) == []
    hearth.goes_on()


def test_the_points_of_another_group_are_not_of_this_one(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    away = una.found_group("Away")
    invitation = una.invite(away.id)
    assert invitation.link is not None
    ari.join_group(invitation.link)
    una.people(away.id)
    una.share([fix(61.5)], hearth.group_id)
    una.share([fix(62.5)], away.id)
    ari.where(hearth.group_id)
    ari.where(away.id)

    with hearth.relay.telling(malice.exchanged(hearth.group_id, away.id), to=ari.device_id):
        for group_id in (hearth.group_id, away.id):
            try:
                shown = ari.where(group_id)
            except Failure:
                shown = []
            assert shown == []
        _fails(lambda: ari.share([fix(63.5)], away.id))

    ari.flush()
    assert _seen(una.where(hearth.group_id)).get(ari.user_id) is None
    assert _seen(ari.where(hearth.group_id)) == {una.user_id: 61.5}
    assert _seen(una.where(away.id)).get(ari.user_id) in (None, 63.5)


def test_what_is_delivered_twice_is_there_once(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari

    with hearth.relay.telling(malice.twice):
        una.rotate()
        ari.where()
        una.share([fix(61.5), fix(62.5)])
        link = una.invite().link

    hearth.others.append(hearth.family.join(link, "Bera"))
    una.people()
    assert len(list(ari.history(user_id=una.user_id))) == 2
    hearth.goes_on()


# Coming in


def _package_of_another_invite(hearth: Hearth) -> str:
    hearth.una.invite()
    made = [one for one in hearth.relay.received if one.route == malice.INVITE]
    package: str = made[-1].json["keyPackage"]
    return package


def test_a_joiner_is_told_when_the_package_is_not_that_of_the_link(hearth: Hearth) -> None:
    una = hearth.una
    packages = {
        "Bera": _package_of_another_invite(hearth),
        "Cara": to_base64url(secrets.token_bytes(700)),
        "Dora": None,
    }

    for name, package in packages.items():
        link = una.invite().link
        with hearth.relay.telling(malice.another_package(package)):
            joiner = hearth.family.join(link, name)
        hearth.others.append(joiner)
        with pytest.raises(KeyPending):
            joiner.where()
        assert package is None or Kind.ENVELOPE_REFUSED in hearth.heard(joiner)

    una.people()
    for joiner in hearth.others:
        joiner.confirm(joiner.compare(una.user_id))
    hearth.goes_on()


def test_a_further_group_is_not_one_that_a_member_is_in(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    away = una.found_group("Away")
    invitation = una.invite(away.id)
    assert invitation.link is not None
    ari.enqueue([fix(61.5)], hearth.group_id)

    lie = malice.joined(hearth.group_id)
    with hearth.relay.telling(lie, to=ari.device_id):
        _fails(partial(ari.join_group, invitation.link))

    assert ari.waiting() == 1
    assert ari.flush().stored == 1
    people = {person.user_id: person for person in ari.people(hearth.group_id)}
    assert [device.standing for device in people[una.user_id].devices] == [TrustState.TRUSTED]


def test_a_joiner_by_link_knows_that_the_group_has_a_key(hearth: Hearth) -> None:
    link = hearth.una.invite().link
    hearth.una.share([fix(61.5)])

    with hearth.relay.telling(malice.another_package(None), malice.no_key_at_all):
        bera = hearth.family.join(link, "Bera")
        with pytest.raises(Failure):
            bera.where()
        assert _fails(lambda: bera.share([fix()])) or bera.waiting() == 1

    hearth.others.append(bera)
    hearth.una.people()
    bera.confirm(bera.compare(hearth.una.user_id))
    bera.flush()
    hearth.goes_on()


def test_a_joiner_is_not_made_to_speak_as_somebody_else(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    ari.share([fix(61.5)])
    una.where()
    told_to_be = {
        "Bera": malice.you_are(user_id=ari.user_id, device_id=ari.device_id),
        "Cara": malice.you_are(user_id=ari.user_id),
        "Dora": malice.you_are(device_id=ari.device_id),
    }

    for name, lie in told_to_be.items():
        link = una.invite().link
        with hearth.relay.telling(lie):
            is_told = _fails(partial(_joins_and_shares, hearth.family, link, name))
        posted = [one for one in hearth.relay.received if one.route == malice.SHARE][-1].json
        newest = malice.these([malice.shown(one, ari) for one in posted["locations"]])
        with hearth.relay.telling(newest, to=una.device_id):
            shown = _seen(una.where())

        assert shown.get(ari.user_id, 61.5) == 61.5
        assert is_told or Kind.ENVELOPE_REFUSED in hearth.family.hears(name).kinds()


def _joins_and_shares(family: Family, link: InviteLink | None, name: str) -> None:
    member = family.join(link, name)
    member.share([fix(62.5) for _ in range(3)])


def test_a_joiner_keeps_the_name_that_they_came_in_by(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    link = una.invite().link

    with hearth.relay.telling(malice.you_are(name="Ari")):
        bera = hearth.family.join(link, "Bera")
    hearth.others.append(bera)
    una.people()
    ari.people()
    bera.people()
    bera.rotate()

    assert bera.name == "Bera"
    for member in (una, ari):
        people = {person.user_id: person.name for person in member.people()}
        assert people[bera.user_id] == "Bera"
    hearth.goes_on()


def test_a_name_may_be_anything_and_stops_nobody(hearth: Hearth) -> None:
    names = [
        "\x1b[2J\x1b]0;owned\x07",
        "\u202eirA",
        "A\u200dB",
        "\u0000",
        "\ud800",
        "N\u00e4me\u00a0",
        "x" * 100_000,
    ]
    for name in names:
        with hearth.relay.telling(malice.named(hearth.ari.user_id, name), to=hearth.una.device_id):
            people = {person.user_id: person.name for person in hearth.una.people()}

        assert people[hearth.ari.user_id] == "Ari"
    hearth.goes_on()


def test_a_newcomer_whose_public_key_is_no_key_stops_nobody(hearth: Hearth) -> None:
    una = hearth.una
    invitation = una.invite()
    assert invitation.link is not None
    keys = InviteKeys.of(invitation.link.secret, invitation.code)
    proof = join_proof(keys.proof, bytes(32), "Eve", invitation.code)
    body = {
        "code": invitation.code,
        "name": "Eve",
        "device": {"name": "App", "publicKey": to_base64url(bytes(32))},
        "proof": to_base64url(proof),
    }
    url = f"{hearth.relay.url}/api/auth/join"
    joined = httpx.post(url, json=body, timeout=HANGS_AFTER)

    una.people()
    una.rotate()
    if joined.is_success:
        una.remove(UUID(joined.json()["user"]["id"]))

    hearth.goes_on()


# Answers that are none

_HTML = b"<!doctype html><title>Sign in to the network</title>"
_ANSWERS: dict[str, Callable[[], Reply]] = {
    "a page": lambda: Reply(200, _HTML, {"Content-Type": "text/html"}),
    "a redirect": lambda: Reply(307, b"", {"Location": "http://127.0.0.1:1/api/groups"}),
    "a list": lambda: Reply(200, b"[]"),
    "nothing": lambda: Reply(200, b""),
    "a name twice": lambda: Reply(200, b'{"keyVersion": 1, "keyVersion": 2}'),
    "too deep": lambda: Reply(200, b'{"versions":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a long number": lambda: Reply(200, b'{"keyVersion": ' + b"9" * 100_000 + b"}"),
    "not a number": lambda: Reply(200, b'{"keyVersion": NaN}'),
    "other letters": lambda: Reply(200, '{"keyVersion": 1}'.encode("utf-16")),
    "a bomb": lambda: Reply(200, b"\x1f\x8b", {"Content-Encoding": "gzip"}),
    "enormous": lambda: Reply(200, (b" " * 65536 for _ in range(10_000))),
    "a problem that is none": lambda: Reply(400, b'{"code": "\\u001b[2J"}'),
    "a status of nowhere": lambda: Reply(299, b"{}"),
}


def test_an_answer_that_is_none_is_a_failure_and_no_more(hearth: Hearth) -> None:
    ari = hearth.ari
    asked: dict[str, Callable[[], object]] = {
        malice.KEYS: ari.where,
        malice.USERS: ari.where,
        malice.LATEST: ari.where,
        malice.SHARE: lambda: ari.share([fix()]),
    }

    for route, ask in asked.items():
        for what, answer in _ANSWERS.items():
            with hearth.relay.telling(malice.answering(route, answer), to=ari.device_id):
                assert _fails(ask), (route, what)

    ari.flush()
    hearth.goes_on()


def test_a_wrong_type_anywhere_is_a_failure_and_no_more(hearth: Hearth) -> None:
    una, ari = hearth.una, hearth.ari
    una.share([fix(61.5)])
    odd: Iterator[Any] = cycle([None, -1, 2**70, 1.5, True, "", "\x1b[2J", [], {}, [[]], 0])

    for route in (malice.KEYS, malice.USERS, malice.LATEST):
        kept: list[Any] = []
        with hearth.relay.telling(malice.remembering(route, kept), to=ari.device_id):
            ari.where()
        for path in _paths(kept[0]):
            answer = Reply(200, b"").saying(_with(kept[0], path, next(odd)))
            with hearth.relay.telling(malice.answering(route, answer), to=ari.device_id):
                try:
                    shown = _seen(ari.where())
                except Failure:
                    shown = {}
            assert shown in ({}, {una.user_id: 61.5})


def test_an_answer_that_never_ends_is_given_up(
    hearth: Hearth, monkeypatch: pytest.MonkeyPatch
) -> None:
    ari = hearth.family.again("Ari")
    ari.where()  # from here on there is a connection to hang up on
    ari._transport._patience = 0.5
    slow = malice.answering(malice.KEYS, lambda: Reply(200, malice.slowly()))

    with hearth.relay.telling(slow, to=ari.device_id), monkeypatch.context() as patch:
        patch.setattr(transport, "_SLOWEST_ANSWER", 0.3)
        with pytest.raises(ServiceAway):
            ari.where()

    hearth.goes_on()


def test_nobody_waits_for_a_year(hearth: Hearth) -> None:
    ari = hearth.family.again("Ari")
    ari._transport._patience = 0.1

    for pause in ("31536000", "999999", "-1", "Wed, 21 Oct 2099 07:28:00 GMT", "1e9", "x" * 9999):
        busy = malice.refused(503, "temporarily_unavailable", **{"Retry-After": pause})
        with (
            hearth.relay.telling(malice.answering(malice.KEYS, busy), to=ari.device_id),
            pytest.raises(ServiceAway),
        ):
            ari.where()

    hearth.goes_on()


def test_a_group_that_is_not_listed_for_once_is_not_lost(hearth: Hearth) -> None:
    ari = hearth.ari
    ari.enqueue([fix(61.5)])

    with hearth.relay.telling(
        malice.answering(malice.GROUPS, Reply(200, b'{"groups": []}')), to=ari.device_id
    ):
        ari.groups()
    ari.groups()

    assert ari.flush().stored == 1
    hearth.confirm_each_other(ari, hearth.una)
    hearth.goes_on()


def _ordered(points: list[Any], step: int) -> list[Any]:
    return points[::step]


def _moved(points: list[Any], by: timedelta) -> list[Any]:
    return [malice.moved(point, by) for point in points]


def _fails(call: Callable[[], object]) -> bool:
    """Whether it fails as everything here may; any other exception is a bug."""
    try:
        call()
    except Failure:
        return True
    return False


def _keeping(kept: list[Any]) -> Callable[[list[Any]], list[Any]]:
    def keep(points: list[Any]) -> list[Any]:
        kept[:] = points
        return points

    return keep


def _paths(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Return the way to each value in a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, item in items:
        yield (*path, name)
        yield from _paths(item, *path, name)


def _with(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """Return a copy of a JSON value, other in one place."""
    copy = json.loads(json.dumps(value))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = other
    return copy
