"""Phones with OwnTracks beside members' own devices, in groups with a key and without one."""

import base64
import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from draugar.cli.failures import told
from draugar.cli.notices import text
from draugar.client import Client, remind_from_memory
from draugar.errors import (
    AnswerNotUnderstood,
    InTheClear,
    KeyMissing,
    KeyPending,
    NotPossible,
    Refused,
    ServiceAway,
    TidTaken,
    Unknown,
)
from draugar.models import Kind, Notice, OwnDevice, Phone
from draugar.protocol.errors import NotAuthentic
from draugar.protocol.locations import open_location
from draugar.storage.home import Home
from draugar.usecases.phones import PhoneSetup
from tests.client import malice
from tests.client.family import Family, fix
from tests.client.kept import Keyring
from tests.client.malice import KEYS, USERS, Forward, Relay, Reply, Request
from tests.client.saying import failing
from tests.laptop.runs import HANGS_AFTER
from tests.owntracks import Android, App, Ios, NotDelivered, basic

Json = dict[str, Any]
APPS: list[type[App]] = [Android, Ios]
BOTH = pytest.mark.parametrize("app", APPS, ids=["android", "ios"])


@dataclass
class Handset:
    """A phone in somebody's hand: an app of either kind, with what it has imported."""

    app: App
    settings: Json = field(default_factory=dict)

    @classmethod
    def of(cls, app: type[App], setup: PhoneSetup) -> "Handset":
        handset = cls(app())
        handset.imports(setup.otrc)
        return handset

    def imports(self, otrc: bytes) -> None:
        settings = json.loads(otrc)
        assert settings["_type"] == "configuration"
        self.settings |= settings
        key = settings.get("encryptionKey")
        # As both apps do: cut or filled with zeros to 32 bytes.
        self.app.key = key and key.encode()[:32].ljust(32, b"\0")

    def location(self, latitude: float, **more: Any) -> Json:
        said = {"lat": latitude, "lon": -21.5, "acc": 9, "tst": int(time.time()), "batt": 80}
        return {"_type": "location", "tid": self.settings["tid"], **said, **more}

    def posts(self, message: Json) -> list[Json]:
        """Post as in HTTP mode, with the topic in what is sealed; return what is understood."""
        topic = f"owntracks/{self.settings['username']}/{self.settings['deviceId']}"
        reply = httpx.post(
            self.settings["url"],
            content=self.app.body({"topic": topic} | message),
            headers=self.app.headers
            | basic(self.settings["username"], self.settings["password"])
            | {"X-Limit-U": self.settings["username"], "X-Limit-D": self.settings["deviceId"]},
            timeout=HANGS_AFTER,
        )
        return self.app.receive(reply.status_code, reply.text)

    def is_at(self, latitude: float, **more: Any) -> list[Json]:
        return self.posts(self.location(latitude, **more))


@pytest.fixture
def two(relayed: Family) -> tuple[Client, Client]:
    """Una and Ari, who trust each other."""
    una = relayed.found()
    ari = relayed.join(una.invite().link)
    una.where()
    return una, ari


@pytest.fixture
def office(family: Family) -> tuple[Client, UUID]:
    """Una, in a group that goes without a key."""
    una = family.found()
    group_id = una._api.found_group("Office", "optional").id
    una.groups()
    return una, group_id


def seen(member: Client, group_id: UUID | None = None) -> dict[str, float]:
    return {position.name: position.fix.latitude for position in member.where(group_id)}


def ago(seconds: int) -> int:
    return int(time.time()) - seconds


def own_phone(member: Client) -> OwnDevice:
    (phone,) = [device for device in member.devices() if device.kind == "owntracks"]
    return phone


# What sets a phone up


def test_a_phone_is_set_up_with_the_groups_key(two: tuple[Client, Client]) -> None:
    una, _ = two
    key = Keyring(una._home, una.group().id).key(1)
    assert key is not None

    setup = una.add_phone("Una's phone")

    said = json.loads(setup.otrc)
    password = said.pop("password")
    assert len(password) > 40
    assert said == {
        "_type": "configuration",
        "mode": 3,
        "url": f"{una.url}/owntracks",
        "username": str(setup.device_id),
        "auth": True,
        "deviceId": str(una.user_id),
        "tid": "un",
        "encryptionKey": key.value.decode(),
        "cmd": False,
        "remoteConfiguration": False,
        "monitoring": 1,
        "extendedData": True,
    }
    assert (setup.name, setup.tid, setup.group_id) == ("Una's phone", "un", una.group().id)


def test_a_link_holds_what_the_file_does(two: tuple[Client, Client]) -> None:
    una, _ = two

    setup = una.add_phone("Phone")

    link = urlsplit(setup.link)
    assert (link.scheme, link.netloc, link.path) == ("owntracks", "", "/config")
    ((inline,),) = parse_qs(link.query, strict_parsing=True).values()
    assert base64.b64decode(inline, validate=True) == setup.otrc
    assert setup.link == f"owntracks:///config?inline={inline}"


def test_no_secret_of_a_phone_is_shown(two: tuple[Client, Client]) -> None:
    una, _ = two
    setup = una.add_phone("Grandmother's")
    said = json.loads(setup.otrc)

    shown = f"{setup!r} {setup} {una._api.renew_phone(setup.device_id)!r}"

    assert str(setup.device_id) in shown
    for secret in (said["password"], said["encryptionKey"], "Grandmother's", "draugar_"):
        assert secret not in shown


def test_the_service_never_sees_the_key(two: tuple[Client, Client], relay: Relay) -> None:
    una, _ = two

    phone = Handset.of(Android, una.add_phone("Phone"))
    phone.is_at(64.5)

    key = phone.settings["encryptionKey"].encode()
    posted = b"".join(request.content for request in relay.received)
    assert b"owntracks" in posted
    assert b"encrypted" in posted
    assert not any(secret in posted for secret in (key, base64.b64encode(key)))


def test_a_tid_is_chosen_or_asked_for(two: tuple[Client, Client]) -> None:
    una, ari = two

    chosen = [una.add_phone("Phone").tid, una.add_phone("Tablet", tid="X7").tid]

    assert chosen == ["un", "X7"]
    with pytest.raises(TidTaken):
        ari.add_phone("Phone", tid="X7")
    with failing(NotPossible, "two letters or digits"):
        ari.add_phone("Phone", tid="Ari")


def test_a_device_without_the_key_sets_up_no_phone(family: Family) -> None:
    una = family.found()
    ari = family.join_by_code(una.invite_by_code().code)

    with pytest.raises(KeyPending):
        ari.add_phone("Phone")
    assert [device.kind for device in ari.devices()] == ["app"]


def test_a_group_that_waits_for_its_first_key_sets_up_no_phone(family: Family) -> None:
    una = family.found()
    group_id = una._api.found_group("Cabin", "required").id

    with pytest.raises(KeyMissing):
        una.add_phone("Phone", group_id)


def test_a_key_that_changes_meanwhile_is_not_mixed_up(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    rotations: list[int] = []

    def rotating(request: Request, forward: Forward) -> Reply:
        if request.route == "POST /api/devices" and not rotations:
            with Home.open(relayed.path("Ari")) as home, Client(home, tell=print) as other:
                rotations.append(other.rotate().key_version)
        return forward(request)

    with relay.telling(rotating):
        phone = Handset.of(Android, una.add_phone("Phone"))
    phone.is_at(64.5)

    assert rotations == [2]
    assert not own_phone(una).needs_setup
    assert seen(ari) == {"Una": 64.5}


def test_a_key_that_is_due_is_made_first(family: Family) -> None:
    una = family.found()
    ari = family.join(una.invite().link)
    una.where()
    ari.leave()

    phone = Handset.of(Ios, una.add_phone("Phone"))
    phone.is_at(64.5)

    assert una.group().key_version == 2
    assert seen(una) == {"Una": 64.5}


def test_a_phone_whose_answer_was_lost_is_found_again_and_set_up(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two

    def losing(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        return Reply(504, b"") if request.route == "POST /api/devices" else reply

    with relay.telling(losing), pytest.raises(ServiceAway) as caught:
        una.add_phone("Phone")
    assert "draugar phone renew" in told(caught.value).next_step

    Handset.of(Android, una.renew_phone(own_phone(una).id)).is_at(64.5)

    assert seen(ari) == {"Una": 64.5}


def test_a_phone_whose_answer_was_lost_is_finished_by_the_same_command_and_not_made_twice(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two

    def losing(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        return Reply(504, b"") if request.route == "POST /api/devices" else reply

    with relay.telling(losing), pytest.raises(ServiceAway) as caught:
        una.add_phone("Mum's phone")
    setup = una.add_phone("Mum's phone")
    Handset.of(Android, setup).is_at(64.5)

    assert "draugar phone add 'Mum'\"'\"'s phone'" in told(caught.value).next_step
    assert own_phone(una).name == "Mum's phone"
    assert seen(ari) == {"Una": 64.5}
    assert una.add_phone("Mum's phone").device_id != setup.device_id  # now it is another one


def test_a_phone_that_the_service_refuses_leaves_nothing_to_be_finished(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    ari.add_phone("Phone", tid="xx")

    with pytest.raises(TidTaken):
        una.add_phone("Phone", tid="xx")
    una.remind()

    assert Kind.PHONE_WAITS not in relayed.hears("Una").kinds()


def test_a_tid_that_the_service_made_up_is_no_command_to_be_copied(tmp_path: Path) -> None:
    told: list[Notice] = []
    with Home.open(tmp_path / "una") as home:
        home.remember("phones", json.dumps([["Mobile", "$(ls)", "2026-11-30T12:00:00+00:00"]]))
        remind_from_memory(home, told.append)

    assert text(told[0]).endswith("Next: draugar phone renew '$(ls)'")


# Who sees whom


@BOTH
def test_a_phone_and_a_member_see_each_other(two: tuple[Client, Client], app: type[App]) -> None:
    una, ari = two
    ari.share([fix(65.0)])
    phone = Handset.of(app, una.add_phone("Phone"))

    told = phone.is_at(64.5, vel=12, cog=90)

    (element,) = told
    assert (element["_type"], element["lat"]) == ("location", 65.0)
    assert [friend["lat"] for friend in phone.app.friends.values()] == [65.0]
    of_ari, of_una = ari.where()
    assert (of_ari.fix.latitude, of_una.fix.latitude) == (65.0, 64.5)
    assert (of_una.name, of_una.is_confirmed, of_una.is_old) == ("Una", True, False)
    assert (of_una.fix.accuracy, of_una.fix.battery, of_una.fix.velocity) == (9.0, 80, 12.0)
    assert una.where()[1].is_mine
    assert [past.fix.latitude for past in ari.history(user_id=una.user_id)] == [64.5]


def test_phones_see_each_other(two: tuple[Client, Client]) -> None:
    una, ari = two
    hers, his = (
        Handset.of(Android, una.add_phone("Phone")),
        Handset.of(Ios, ari.add_phone("Phone")),
    )

    hers.is_at(64.5)
    his.is_at(65.5)
    hers.is_at(64.6, tst=ago(-1))

    assert hers.app.friends["ar"]["lat"] == 65.5
    assert his.app.friends["un"]["lat"] == 64.5
    assert seen(una) == seen(ari) == {"Ari": 65.5, "Una": 64.6}


@BOTH
def test_without_a_key_phones_and_members_see_each_other_too(
    office: tuple[Client, UUID], family: Family, app: type[App]
) -> None:
    una, group_id = office
    ari = family.join_by_code(una.invite_by_code(group_id).code)
    with pytest.raises(InTheClear):
        una.add_phone("Phone", group_id)
    setup = una.add_phone("Phone", group_id, in_the_clear=True)
    phone = Handset.of(app, setup)
    his = Handset.of(Android, ari.add_phone("Phone", group_id, in_the_clear=True))

    # To the second, that is before the group was founded.
    his.is_at(65.5, tst=ago(-2))
    phone.is_at(64.5, tst=ago(-2))

    assert "encryptionKey" not in phone.settings
    assert phone.app.friends["ar"]["lat"] == 65.5
    assert seen(una, group_id) == seen(ari, group_id) == {"Ari": 65.5, "Una": 64.5}
    assert own_phone(una).group_id == group_id


def test_a_group_without_a_key_that_gets_one_gives_it_to_its_phones(
    office: tuple[Client, UUID],
) -> None:
    una, group_id = office
    setup = una.add_phone("Phone", group_id, in_the_clear=True)
    una.rotate(group_id)

    phone = Handset.of(Android, una.renew_phone(setup.device_id))
    phone.is_at(64.5)

    assert len(phone.settings["encryptionKey"]) == 32
    assert seen(una, group_id) == {"Una": 64.5}


# What phones post besides


OTHERS: list[Json] = [
    {"_type": "status", "iOS": {"version": "26.2.3"}},
    {"_type": "transition", "event": "enter", "tst": 1, "wtst": 1, "tid": "un", "lat": 1.0},
    {"_type": "card", "name": "Una", "tid": "un"},
    {"_type": "waypoint", "desc": "Home", "tst": 1, "lat": 1.0, "lon": 2.0, "rad": 50},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: str(other["_type"]))
def test_behind_another_message_the_last_position_stands(
    two: tuple[Client, Client], relayed: Family, other: Json
) -> None:
    una, ari = two
    phone = Handset.of(Android, una.add_phone("Phone"))
    phone.is_at(64.4, tst=ago(60))
    phone.is_at(64.5)
    for _ in range(3):
        phone.posts(other)

    (position,) = ari.where()

    assert (position.fix.latitude, position.is_old) == (64.5, False)
    assert [past.fix.latitude for past in ari.history()] == [64.5, 64.4]
    assert not [notice for notice in relayed.hears("Ari") if notice.is_warning]


def test_a_position_with_a_picture_is_read(two: tuple[Client, Client]) -> None:
    una, ari = two
    phone = Handset.of(Ios, una.add_phone("Phone"))
    phone.is_at(64.4, tst=ago(60))

    phone.is_at(64.9, poi="Lunch", imagename="IMG_9", image="A" * 16_000)

    assert seen(ari) == seen(una) == {"Una": 64.9}
    assert [past.fix.latitude for past in ari.history()] == [64.9, 64.4]


def test_latest_is_read_to_its_last_page(two: tuple[Client, Client], relay: Relay) -> None:
    una, ari = two
    for member, latitude in ((una, 64.1), (ari, 64.2)):
        member.share([fix(latitude)])

    def one_by_one(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != malice.LATEST:
            return reply
        first, second = reply.json["locations"]
        if "cursor=" in request.target:
            return reply.saying({"locations": [second]})
        return reply.saying({"locations": [first], "nextCursor": "A" * 43})

    with relay.telling(one_by_one):
        assert seen(ari) == {"Una": 64.1, "Ari": 64.2}


def test_pages_of_latest_that_do_not_end_are_refused(
    two: tuple[Client, Client], relay: Relay
) -> None:
    _, ari = two

    def endless(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != malice.LATEST:
            return reply
        return reply.saying(reply.json | {"nextCursor": "A" * 43})

    with relay.telling(endless), pytest.raises(AnswerNotUnderstood):
        ari.where()


def test_whoever_has_posted_no_position_is_nowhere(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    Handset.of(Ios, una.add_phone("Phone")).posts(OTHERS[0])

    assert ari.where() == []
    assert not [notice for notice in relayed.hears("Ari") if notice.is_warning]


def test_of_a_queue_that_comes_late_the_newest_position_stands(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    phone = Handset.of(Android, una.add_phone("Phone"))
    phone.is_at(64.9)
    assert seen(ari) == {"Una": 64.9}
    for minutes in (3, 2, 1):
        phone.is_at(64.0 + minutes / 10, tst=ago(60 * minutes))

    (position,) = ari.where()

    assert (position.fix.latitude, position.is_old) == (64.9, False)
    assert not [notice for notice in relayed.hears("Ari") if notice.is_warning]


def test_how_far_back_is_looked_has_an_end(two: tuple[Client, Client], relay: Relay) -> None:
    una, ari = two
    phone = Handset.of(Android, una.add_phone("Phone"))
    phone.posts(OTHERS[0])
    asked: list[str] = []

    def endless(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != malice.HISTORY:
            return reply
        asked.append(request.target)
        return reply.saying(reply.json | {"nextCursor": "A" * 43})

    with relay.telling(endless):
        assert ari.where() == []

    assert 1 <= len(asked) <= 5


def test_a_phone_and_a_device_of_one_person_are_one_person(two: tuple[Client, Client]) -> None:
    una, ari = two
    phone = Handset.of(Android, una.add_phone("Phone"))

    una.share([fix(64.1, ago=timedelta(minutes=5))])
    phone.is_at(64.5, tst=ago(60))
    first = seen(ari)
    una.share([fix(64.2)])

    assert (first, seen(ari)) == ({"Una": 64.5}, {"Una": 64.2})


# Whom the service says it was


def listing(**owners: UUID) -> malice.Lie:
    """Tell that phones, by their tids, are of other people."""

    def listed(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != USERS:
            return reply
        body = reply.json
        groups = {user["id"]: user["groups"][0] for user in body["users"]}
        phones = [phone for group in groups.values() for phone in group.pop("phones", [])]
        for phone in phones:
            owner = groups[str(owners[phone["tid"]])]
            owner["phones"] = [*owner.get("phones", []), phone]
        return reply.saying(body)

    return listed


def test_a_phone_that_is_shown_as_another_persons_is_not_believed(
    two: tuple[Client, Client], relay: Relay, relayed: Family
) -> None:
    una, ari = two
    Handset.of(Android, una.add_phone("Phone")).is_at(64.5)
    swapped = malice.points(lambda all_: [{**one, "userId": str(ari.user_id)} for one in all_])

    with relay.telling(listing(un=ari.user_id), swapped):
        assert una.where() == []
        assert list(una.history()) == []

    assert Kind.POINTS_DROPPED in relayed.hears("Una").kinds()


def test_a_phone_that_is_shown_as_another_phone_is_not_believed(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, ari = two
    hers, other = una.add_phone("Phone"), una.add_phone("Old phone")
    Handset.of(Android, hers).is_at(64.5)
    moved = malice.points(lambda all_: [{**one, "deviceId": str(other.device_id)} for one in all_])

    def with_its_tid(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route != USERS:
            return reply
        body = reply.json
        for user in body["users"]:
            for phone in user["groups"][0].get("phones", []):
                phone["tid"] = "un" if phone["id"] == str(other.device_id) else "ua"
        return reply.saying(body)

    with relay.telling(with_its_tid, moved):
        assert ari.where() == []


@pytest.mark.parametrize("device_id", ["phone", str(uuid4())], ids=["a name", "an id"])
def test_a_phone_that_was_set_up_by_hand_is_taken_at_the_services_word(
    two: tuple[Client, Client], device_id: str
) -> None:
    una, ari = two
    phone = Handset.of(Ios, una.add_phone("Phone"))
    phone.settings["deviceId"] = device_id
    phone.is_at(64.5)

    (position,) = ari.where()

    assert (position.name, position.fix.latitude) == ("Una", 64.5)
    assert not position.is_confirmed


def test_a_phone_that_calls_itself_otherwise_is_not_believed(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    phone = Handset.of(Android, una.add_phone("Phone"))
    phone.is_at(64.5, tid="zz")

    assert ari.where() == []
    assert Kind.POINTS_DROPPED in relayed.hears("Ari").kinds()


def test_a_phone_of_somebody_who_is_not_trusted_is_not_believed(family: Family) -> None:
    una = family.found()
    ari = family.confirmed(una, "Ari")
    sif = family.join(ari.invite().link, "Sif")
    phone = Handset.of(Android, sif.add_phone("Phone"))
    phone.is_at(64.5)

    assert una.where() == []
    ari.where()
    assert seen(ari) == {"Sif": 64.5}


# When the key changes


@BOTH
def test_after_a_rotation_a_phone_is_set_up_again(
    two: tuple[Client, Client], app: type[App]
) -> None:
    una, ari = two
    first = una.add_phone("Phone")
    phone = Handset.of(app, first)
    phone.is_at(64.4, tst=ago(60))

    ari.rotate()
    unheard = phone.is_at(64.5)
    before = (own_phone(una).needs_setup, una.people()[0].phones, seen(ari))
    second = una.renew_phone(own_phone(una).id)
    with pytest.raises(NotDelivered):
        phone.is_at(64.6)  # the former password is void
    phone.imports(second.otrc)
    phone.is_at(64.7)

    listed = Phone(id=first.device_id, tid="un", needs_setup=True)
    people = {person.name: person.phones for person in ari.people()}
    assert unheard == []
    assert before[0] is True
    assert before[1] in ((listed,), ())
    assert before[2] == {"Una": 64.4}
    assert people == {"Una": (Phone(id=first.device_id, tid="un", needs_setup=False),), "Ari": ()}
    assert not own_phone(una).needs_setup
    assert seen(ari) == {"Una": 64.7}
    assert _changed(first, second) == {"password", "encryptionKey"}


def _changed(first: PhoneSetup, second: PhoneSetup) -> set[str]:
    before, after = json.loads(first.otrc), json.loads(second.otrc)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_a_rotation_says_that_phones_must_be_set_up_again(
    two: tuple[Client, Client], relayed: Family
) -> None:
    una, ari = two
    ari.add_phone("Phone")

    una.rotate()

    first, second = [one for one in relayed.hears("Una") if one.kind is Kind.ROTATED]
    assert "OwnTracks" not in text(first)
    assert "Phones with OwnTracks have to be set up again." in text(second)


def test_who_revokes_a_phone_changes_the_key_that_it_knew(
    two: tuple[Client, Client], relay: Relay
) -> None:
    una, _ = two
    setup = una.add_phone("Phone")
    phone = Handset.of(Android, setup)

    def all_is_well(request: Request, forward: Forward) -> Reply:
        reply = forward(request)
        if request.route == KEYS:
            return reply.saying(reply.json | {"rotationRequired": False})
        return reply

    with relay.telling(all_is_well):  # though the service does not ask for it
        (rotation,) = una.revoke_device(setup.device_id)

    assert rotation.key_version == 2
    with pytest.raises(NotDelivered):
        phone.is_at(64.5)
    key = Keyring(una._home, una.group().id).key(2)
    assert key is not None
    assert key.value != phone.settings["encryptionKey"].encode()


def test_only_phones_of_ones_own_are_set_up_again(two: tuple[Client, Client]) -> None:
    una, ari = two
    setup = una.add_phone("Phone")

    with pytest.raises(Unknown):
        ari.renew_phone(setup.device_id)
    with pytest.raises(Unknown):
        una.renew_phone(una.device_id)
    with pytest.raises(Refused):
        ari._api.renew_phone(setup.device_id)


# What the apps are told


def test_what_a_member_seals_is_of_the_shape_that_the_apps_take(
    two: tuple[Client, Client],
) -> None:
    una, ari = two
    phone = Handset.of(Ios, una.add_phone("Phone"))
    ari.share([fix(65.0, altitude=12.6, velocity=3.4, course=10.2, battery=50)])

    (told,) = phone.is_at(64.5)

    told.pop("draugar")
    assert {name: type(value) for name, value in told.items()} == {
        "_type": str,
        "lat": float,
        "lon": float,
        "acc": int,
        "tst": int,
        "tid": str,
        "alt": int,
        "vel": int,
        "cog": int,
        "batt": int,
    }


def test_what_a_phone_seals_opens_under_the_groups_key_and_no_other(
    two: tuple[Client, Client],
) -> None:
    una, _ = two
    Handset.of(Android, una.add_phone("Phone")).is_at(64.5)
    una.rotate()
    ((stored,), _) = una._api.history({"groupId": str(una.group().id)})
    ring = Keyring(una._home, una.group().id)
    first, second = ring.key(1), ring.key(2)
    assert stored.sealed is not None
    assert first is not None
    assert second is not None

    assert open_location(stored.sealed, first)["lat"] == 64.5
    with pytest.raises(NotAuthentic):
        open_location(stored.sealed, second)
