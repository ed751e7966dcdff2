"""What a member does in groups: found, invite, join, pause, remove, leave, take everything away."""

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from draugar.cli.failures import told
from draugar.client import Client
from draugar.errors import (
    AlreadyJoined,
    Failure,
    FoundingCode,
    InNoGroup,
    InviteNotValid,
    KeyPending,
    NotAMember,
    NotConfirmed,
    NotJoined,
    NotNamed,
    NotPossible,
    Refused,
    SignedOut,
    Unknown,
    VersionWentBack,
)
from draugar.models import KeyState, Kind
from draugar.protocol.links import InviteLink
from draugar.protocol.secrets import InviteSecret
from draugar.storage import groups
from draugar.storage.home import Home
from tests.client.family import Family, fix
from tests.client.malice import KEYS, Forward, Relay, Reply, Request
from tests.client.saying import failing
from tests.laptop.runs import HANGS_AFTER

FOUNDER = """
import sys
from pathlib import Path
from draugar.storage.home import Home
from draugar.client import Client

home, url, code = sys.argv[1:]
with Home.open(Path(home)) as opened:
    print("ready", flush=True)
    Client.found(opened, url=url, code=code, name="Una", group="Hearth", tell=print).close()
"""


def test_a_family_lives(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    sif = family.confirmed(una, "Sif")
    for latitude, member in enumerate((una, ari, sif)):
        member.share([fix(float(latitude))])

    for member in (una, ari, sif):
        seen = {position.name: position.fix.latitude for position in member.where()}
        assert seen == {"Una": 0.0, "Ari": 1.0, "Sif": 2.0}
    una.remove(ari.user_id)
    sif.share([fix(5.0)])

    assert {position.name for position in una.where()} == {"Una", "Sif"}
    assert sif.where()[0].key_version == 2
    assert not [notice for heard in family.heard.values() for notice in heard if notice.is_warning]


def test_whoever_founds_a_group_runs_it_and_holds_its_key(family: Family) -> None:
    una = family.found(group="Bær")

    group = una.group()

    assert (group.name, group.role, group.encryption) == ("Bær", "admin", "required")
    assert (group.key_version, group.key_state) == (1, KeyState.READY)
    assert family.hears("Una").kinds() == [Kind.ROTATED]


def test_it_is_said_once_that_the_key_is_in_a_file(family: Family) -> None:
    family.found()
    family.again("Una")

    kinds = [notice.kind for notice in family.hears("Una")]
    assert kinds.count(Kind.SECRETS_IN_FILE) == 1


def test_a_founding_code_that_is_typed_to_join_founds_nothing_and_is_not_spent(
    family: Family,
) -> None:
    code = family.service.founding_code()

    with pytest.raises(FoundingCode) as refused:
        family.join_by_code(code, "Una")
    una = family.found("Una", code=code)

    assert "draugar found URL CODE --name NAME --group GROUP" in told(refused.value).next_step
    assert una.group().name == "Hearth"


def test_a_founding_code_founds_no_further_group_unasked(family: Family) -> None:
    una = family.found()

    with pytest.raises(FoundingCode):
        una.join_group(family.service.founding_code())

    assert [group.name for group in una.groups()] == ["Hearth"]


def test_a_home_is_one_persons(family: Family) -> None:
    una = family.found()
    link = una.invite().link
    assert link is not None

    with pytest.raises(AlreadyJoined):
        Client.join(una._home, link, name="Ari", tell=print)


def test_a_home_is_nobodys_at_first(tmp_path: Path) -> None:
    with Home.open(tmp_path) as home, pytest.raises(NotJoined):
        Client(home, tell=print)


@pytest.mark.parametrize("name", ["", "  ", "\udcff"])
def test_a_name_that_nobody_can_read_is_refused_before_anything_is_kept(
    family: Family, tmp_path: Path, name: str
) -> None:
    link = family.found().invite().link
    assert link is not None

    with Home.open(tmp_path / "ari") as home:
        for named, device in ((name, "App"), ("Ari", name)):
            with pytest.raises(NotPossible):
                Client.join(home, link, name=named, device=device, tell=print)
        with Client.join(home, link, name="Ari", tell=print) as ari:
            assert ari.name == "Ari"


def test_a_code_is_good_once(family: Family) -> None:
    una = family.found()
    code = una.invite_by_code().code
    family.join_by_code(code)

    with pytest.raises(InviteNotValid):
        family.join_by_code(code, "Sif")
    sif = family.join_by_code(una.invite_by_code().code, "Sif")

    assert sif.group().key_state is KeyState.PENDING


@pytest.mark.parametrize("code", ["", "RT5W", "RT5W-LJ8B-QX2M-7K0C", "x" * 500])
def test_what_is_no_code_is_not_sent(family: Family, code: str) -> None:
    with pytest.raises(NotPossible) as failure:
        family.join_by_code(code)

    assert code not in str(failure.value) or not code


def test_a_code_is_read_as_people_write_it(family: Family) -> None:
    una = family.found()
    code = una.invite_by_code().code

    ari = family.join_by_code(f" {code[:4].lower()}-{code[4:]} ")

    assert len(ari.people()) == 2


def test_an_invite_says_when_it_ends(family: Family) -> None:
    una = family.found()

    link = una.invite(life=timedelta(days=7))
    code = una.invite_by_code()
    for_ever = una.invite_by_code(life=None)

    assert link.expires_at is not None
    assert timedelta(days=6) < link.expires_at - datetime.now(UTC) <= timedelta(days=7)
    assert code.expires_at is not None
    assert for_ever.expires_at is None
    assert (len(code.code), len(for_ever.code), len(link.code)) == (8, 16, 16)
    assert link.link is not None
    assert (code.link, link.link.url) == (None, una.url)
    assert link.code not in repr(link)
    assert link.link.secret.text not in repr(link)


@pytest.mark.parametrize("life", [timedelta(days=8), timedelta(), timedelta(days=-1)])
def test_a_link_lives_for_a_week_at_most(family: Family, life: timedelta) -> None:
    una = family.found()

    with failing(NotPossible, "seven days"):
        una.invite(life=life)


def test_an_invite_that_is_revoked_lets_nobody_in(family: Family) -> None:
    una = family.found()
    invitation = una.invite()

    una.revoke_invite(invitation.id)

    with pytest.raises(InviteNotValid):
        family.join(invitation.link)
    (listed,) = una.invites()
    assert listed.id == invitation.id
    assert listed.revoked_at is not None


def test_a_link_with_another_secret_opens_nothing(family: Family) -> None:
    una = family.found()
    link = una.invite().link
    assert link is not None
    false = InviteLink(url=link.url, code=link.code, secret=InviteSecret.make())

    ari = family.join(false)

    assert ari.group().key_state is KeyState.PENDING
    assert Kind.ENVELOPE_REFUSED in family.hears("Ari").kinds()
    una.where()
    assert Kind.JOINED not in family.hears("Una").kinds()
    una.confirm(una.compare(ari.user_id))
    ari.confirm(ari.compare(una.user_id))
    assert ari.group().key_state is KeyState.READY


def test_a_pending_device_invites_nobody(family: Family) -> None:
    una = family.found()
    ari = family.join_by_code(una.invite_by_code().code)

    with pytest.raises(KeyPending):
        ari.invite()
    with pytest.raises(NotConfirmed):
        ari.invite_by_code()


def test_one_person_is_in_several_groups(family: Family) -> None:
    una = family.found()
    hearth = una.group()
    office = una.found_group("Office")
    ari = family.join(una.invite(office.id).link)

    una.share([fix(1.0)], hearth.id)
    una.share([fix(2.0)], office.id)
    with pytest.raises(NotNamed):
        una.where()

    assert [group.name for group in una.groups()] == ["Hearth", "Office"]
    assert una.group("office").id == office.id
    assert una.group(str(hearth.id)).name == "Hearth"
    assert [position.fix.latitude for position in una.where(hearth.id)] == [1.0]
    assert [position.fix.latitude for position in ari.where()] == [2.0]
    with pytest.raises(Unknown):
        ari.where(hearth.id)
    with pytest.raises(Unknown):
        una.group("Bank")


def test_a_member_joins_a_further_group_by_link_and_by_code(family: Family) -> None:
    una = family.found()
    ari = family.found("Ari", group="Office")
    sif = family.found("Sif", group="Boat")
    link = ari.invite().link
    assert link is not None

    by_link = una.join_group(link)
    by_code = una.join_group(sif.invite_by_code().code)
    ari.where()
    sif.confirm(sif.compare(una.user_id))
    una.confirm(una.compare(sif.user_id, by_code.id))

    assert by_link.key_state is KeyState.READY
    assert by_code.key_state is KeyState.PENDING
    una.share([fix(1.0)], by_link.id)
    una.share([fix(2.0)], by_code.id)
    assert [position.fix.latitude for position in ari.where()] == [1.0]
    assert [position.fix.latitude for position in sif.where()] == [2.0]


def test_a_link_to_elsewhere_or_for_a_device_joins_no_further_group(family: Family) -> None:
    una = family.found()
    ari = family.found("Ari", group="Office")
    link, for_a_device = ari.invite().link, ari.invite(for_me=True).link
    assert link is not None
    assert for_a_device is not None
    elsewhere = InviteLink(url="https://else.example", code=link.code, secret=link.secret)

    for wrong in (elsewhere, for_a_device):
        with pytest.raises(NotPossible):
            una.join_group(wrong)


def test_roles_change_by_admins_only(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)

    with pytest.raises(Refused) as refused:
        ari.set_role(ari.user_id, "admin")
    una.set_role(ari.user_id, "admin")

    assert refused.value.code == "not_an_admin"
    assert ari.group().is_admin


def test_whoever_is_removed_is_out_at_once(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    sif = family.join(una.invite().link, "Sif")
    ari.found_group("Boat")
    una.where()

    rotation = una.remove(ari.user_id)

    assert {device.id for device in rotation.wrapped_for} == {una.device_id, sif.device_id}
    assert rotation.left_out == ()
    with pytest.raises(NotAMember):
        ari.where(una.group().id)
    assert [group.name for group in ari.groups()] == ["Boat"]
    with pytest.raises(NotPossible):
        una.remove(una.user_id)


def test_whoever_does_not_run_the_group_removes_nobody_and_trusts_on(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()

    with pytest.raises(Refused):
        ari.remove(una.user_id)

    una.share([fix(1.0)])
    assert ari.where()[0].is_confirmed
    assert una.group().key_version == 1


def test_whoever_leaves_takes_their_points_along(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    ari.share([fix(1.0)])
    una.where()

    ari.leave()

    assert list(una.history()) == []
    assert ari.groups() == []
    with pytest.raises(InNoGroup):
        ari.where()


def test_pausing_looks_like_being_away(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    ari.share([fix(1.0)])
    until = datetime.now(UTC) + timedelta(hours=1)

    ari.pause(until=until)
    ari.share([fix(2.0)])
    paused, of_others = ari.group(), una.group()
    ari.resume()
    ari.share([fix(3.0)])

    assert paused.is_paused
    assert paused.resumes_at is not None
    assert abs(paused.resumes_at - until) < timedelta(seconds=1)
    assert not of_others.is_paused
    assert [position.fix.latitude for position in una.history()] == [3.0, 1.0]


def test_a_member_deletes_their_own_points(family: Family) -> None:
    una = family.found()
    una.share([fix(1.0)])
    time.sleep(0.01)
    middle = datetime.now(UTC)
    time.sleep(0.01)
    una.share([fix(2.0)])

    before = una.delete_points(until=middle)
    rest = [position.fix.latitude for position in una.history()]
    after = una.delete_points()

    assert (before, rest, after) == (1, [2.0], 1)
    assert list(una.history()) == []


def test_devices_are_listed(family: Family) -> None:
    una = family.found(device="Phone")
    laptop = family.join(una.invite(for_me=True).link, home="laptop", device="Laptop")

    devices = {device.name: device for device in laptop.devices()}

    assert devices.keys() == {"Phone", "Laptop"}
    assert devices["Laptop"].is_this_one
    assert all(device.has_key for device in devices.values())


def test_a_device_that_is_revoked_is_out_and_knows_no_key_any_more(family: Family) -> None:
    una = family.found()
    laptop = family.join(una.invite(for_me=True).link, home="laptop")
    una.where()

    rotations = una.revoke_device(laptop.device_id)

    assert [rotation.key_version for rotation in rotations] == [2]
    assert [device.id for device in rotations[0].wrapped_for] == [una.device_id]
    with pytest.raises(SignedOut):
        laptop.where()
    with pytest.raises(NotPossible):
        una.revoke_device(una.device_id)


def test_a_group_that_cannot_be_updated_keeps_no_revoked_device_in_the_others(
    family: Family,
) -> None:
    una = family.found()
    laptop = family.join(una.invite(for_me=True).link, home="laptop")
    second = una.found_group("Choir").id
    (first,) = (group.id for group in una.groups() if group.id != second)
    una.people(first)
    una.people(second)
    home = family.home("Una")
    with groups.changing(home, first) as change:
        change.trust(replace(change.state.trust, highest=9))

    with pytest.raises(VersionWentBack):
        una.revoke_device(laptop.device_id)

    for group_id in (first, second):
        assert groups.load(home, group_id).trust.records[laptop.device_id].removed
    assert una.group(second).key_version == 2  # it was made, whichever group comes first


def test_whoever_logs_out_leaves_nothing_on_the_device(family: Family) -> None:
    una = family.found()
    laptop = family.join(una.invite(for_me=True).link, home="laptop")

    laptop.logout()

    assert not family.path("laptop").exists()
    assert [device.id for device in una.devices()] == [una.device_id]


def test_a_device_that_was_signed_out_can_still_be_wiped(family: Family) -> None:
    una = family.found()
    laptop = family.join(una.invite(for_me=True).link, home="laptop")
    una.revoke_device(laptop.device_id)

    laptop.logout()

    assert not family.path("laptop").exists()


def test_an_account_is_deleted_with_all_of_it(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    ari.share([fix(1.0)])

    ari.delete_account()

    assert not family.path("Ari").exists()
    assert [person.name for person in una.people()] == ["Una"]
    assert list(una.history()) == []


def test_whoever_is_signed_out_deletes_nothing_and_keeps_the_home(family: Family) -> None:
    una = family.found()
    laptop = family.join(una.invite(for_me=True).link, home="laptop")
    una.revoke_device(laptop.device_id)

    with pytest.raises(SignedOut):
        laptop.delete_account()

    assert family.path("laptop").exists()
    assert una.people()


def test_an_export_is_all_there_is_and_opens_ones_points(family: Family) -> None:
    una = family.found()
    una.share([fix(number / 1000) for number in range(600)])
    una.rotate()
    una.share([fix(7.0)])

    everything = una.export()

    opened = [point["opened"]["lat"] for point in everything["locations"]]
    assert sorted(opened) == [*(number / 1000 for number in range(600)), 7.0]
    assert everything["user"]["name"] == "Una"
    assert {"devices", "groups", "invites", "keyEnvelopes"} <= everything.keys()


def test_a_name_is_ones_own(family: Family) -> None:
    una = family.found()

    una.rename(" Una María ")

    assert una.name == "Una María"
    assert family.again("Una").name == "Una María"
    assert [person.name for person in una.people()] == ["Una María"]


def test_a_crash_while_founding_is_mended_by_the_next_command(
    relayed: Family, relay: Relay
) -> None:
    founders: list[subprocess.Popen[str]] = []

    def crash(request: Request, forward: Forward) -> Reply:
        if request.route == KEYS:  # the answer to the join has been kept, and no key made yet
            founders[-1].kill()
            founders[-1].wait()
        return forward(request)

    with relay.telling(crash):
        command = [sys.executable, "-c", FOUNDER, str(relayed.path("Una")), relay.url]
        founders.append(
            subprocess.Popen(
                [*command, relayed.service.founding_code()], stdout=subprocess.PIPE, text=True
            )
        )
        founders[-1].communicate(timeout=HANGS_AFTER)
    una = relayed.again("Una")

    assert founders[-1].returncode == -9
    assert una.share([fix(1.0)]).stored == 1
    assert una.group().key_version == 1


def test_no_failure_and_no_value_shows_a_name_or_a_place(family: Family) -> None:
    una = family.found("Unnsteinsdóttir", group="Hearthstone")
    una.share([fix(64.146612)])
    values = [una.where(), una.people(), una.groups(), una.devices(), una.invites(), una._home.me()]
    failures: list[Failure] = []
    for ask in (lambda: una.group("Bank"), lambda: una.compare(uuid4())):
        with pytest.raises(Failure) as failure:
            ask()
        failures.append(failure.value)

    shown = f"{values!r} {failures!r} {[str(failure) for failure in failures]}"
    for secret in ("Unnsteinsdóttir", "Hearthstone", "64.14", "-21.9", "Bank", "draugar_"):
        assert secret not in shown
