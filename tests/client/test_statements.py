"""What the vectors cannot say of signatures and statements: whatever is given."""

import hashlib
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

from draugar.protocol import signing
from draugar.protocol.errors import Unsealable
from draugar.protocol.secrets import DeviceKey, GroupKey
from draugar.protocol.statements import (
    LAST_NUMBER,
    LAST_SECOND,
    MOST_BYTES,
    Browsers,
    Card,
    Device,
    DeviceKind,
    Entry,
    Former,
    Introduction,
    NewerForm,
    Opened,
    Roster,
    Statement,
    Unreadable,
    fitted,
    open_statement,
    seal_statement,
)
from scripts import edwards

KEY, OTHER_KEY = GroupKey(b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"), GroupKey(b"_" * 32)
DEVICE = DeviceKey(bytes(range(32)))
GROUP, UNA, ARI, PHONE = (UUID(int=number) for number in range(1, 5))
LONGEST_NAME = "\U0001f9ed" * 64
LOW_ORDER = bytes(32)

device_keys = st.binary(min_size=32, max_size=32).map(DeviceKey)
numbers = st.integers(0, LAST_NUMBER)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=6,
)


def public_key(number: int) -> bytes:
    return DeviceKey(hashlib.sha256(b"%d" % number).digest()).public


def introduction(number: int = 0, user: UUID = UNA, name: str | None = "Una") -> Introduction:
    device = Device(user, UUID(int=1000 + number), public_key(number), DeviceKind.APP)
    return Introduction(device, LAST_NUMBER, name)


def roster(
    people: int = 1, each: int = 1, *, gone: int = 0, name: str | None = LONGEST_NAME
) -> Roster:
    return Roster(
        by=PHONE,
        commitment=bytes(32),
        made=LAST_SECOND,
        browsers=Browsers.ACCEPTED,
        complete=True,
        introductions=tuple(
            introduction(each * person + device, UUID(int=2000 + person), name)
            for person in range(people)
            for device in range(each)
        ),
        gone=tuple((UUID(int=9000 + number), LAST_NUMBER - number) for number in range(gone)),
    )


def card(**more: Any) -> Card:
    plain = Card(by=PHONE, user_id=UNA, n=LAST_NUMBER, name=LONGEST_NAME, kind=DeviceKind.APP)
    return replace(plain, **more)


def sealed(statement: Statement, version: int = 7) -> bytes:
    return seal_statement(statement, group_id=GROUP, version=version, device_key=DEVICE, key=KEY)


def is_signed(opened: Opened, public: bytes = DEVICE.public) -> bool:
    return opened.is_signed_by(public, group_id=GROUP, version=7)


def by_openssl(public: bytes, message: bytes, signature: bytes) -> bool:
    u = int.from_bytes(public, "little")
    y = (u - 1) * pow(u + 1, -1, edwards.P) % edwards.P
    try:
        Ed25519PublicKey.from_public_bytes(y.to_bytes(32, "little")).verify(signature, message)
    except InvalidSignature:
        return False
    return True


# Signatures


@given(key=device_keys, message=st.binary(max_size=300), random=st.binary(min_size=64, max_size=64))
def test_signatures_are_those_of_two_other_implementations(
    key: DeviceKey, message: bytes, random: bytes
) -> None:
    signature = signing.sign(key, message, random=random)

    assert signature == edwards.signed(key.value, message, random)
    assert signing.verify(key.public, message, signature)
    assert by_openssl(key.public, message, signature)


@given(
    key=device_keys,
    message=st.binary(min_size=1, max_size=300),
    of_signature=st.booleans(),
    bit=st.integers(0),
)
def test_another_bit_of_signature_or_message_is_refused_by_both(
    *, key: DeviceKey, message: bytes, of_signature: bool, bit: int
) -> None:
    signature = signing.sign(key, message)
    changed = bytearray(signature if of_signature else message)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    spoiled = (message, bytes(changed)) if of_signature else (bytes(changed), signature)

    assert not signing.verify(key.public, *spoiled)
    assert not by_openssl(key.public, *spoiled)


@given(public=st.binary(max_size=40), message=st.binary(max_size=40), data=st.binary(max_size=80))
def test_arbitrary_bytes_are_no_signature_and_no_error(
    public: bytes, message: bytes, data: bytes
) -> None:
    assert not signing.verify(public, message, data)


@given(st.integers(0, 2**256 - 1))
def test_a_public_key_is_a_devices_where_its_point_is_in_the_group_of_the_base_point(
    number: int,
) -> None:
    public = number.to_bytes(32, "little")
    point = edwards.edwards(public) if number < edwards.P - 1 else None

    is_point = point is not None and point.times(edwards.ORDER) == edwards.NEUTRAL

    assert signing.is_device_key(public) == is_point


@pytest.mark.parametrize("order", [1, 2, 4, 8])
def test_a_key_of_low_order_signs_nothing(order: int) -> None:
    torsion = edwards.of_order_8().times(8 // order)
    public = torsion.montgomery if order > 1 else (edwards.P - 1).to_bytes(32, "little")
    forged = [
        edwards.ending(edwards.BASE.times(nonce).encoded, nonce, 0, torsion.encoded, b"hello")
        for nonce in range(1, 17)
    ]

    assert not any(signing.verify(public, b"hello", signature) for signature in forged)
    assert not signing.is_device_key(public)


# Sizes and bounds


@pytest.mark.parametrize(
    ("statement", "largest"),
    [
        (roster(50, 3, gone=200), 48_409),
        (Entry(PHONE, introduction(name=LONGEST_NAME)), 636),
        (card(own=tuple(introduction(number, name=None) for number in range(16))), 2_792),
        (Former(PHONE, LAST_SECOND), 193),
    ],
    ids=["roster", "entry", "card", "former"],
)
def test_the_largest_statement_has_room_in_what_the_service_takes(
    statement: Statement, largest: int
) -> None:
    made = sealed(statement)

    assert len(made) == largest <= MOST_BYTES[type(statement)]
    assert open_statement(made, key=KEY).statement == statement


@pytest.mark.parametrize("quote", ['"', "\\"])
def test_names_that_json_writes_longer_have_room_too(quote: str) -> None:
    made = sealed(roster(50, 3, gone=200, name=quote * 64))

    assert isinstance(open_statement(made, key=KEY).statement, Roster)


SAME = introduction(0)
BROKEN: dict[str, Statement] = {
    "51 people": roster(51),
    "151 devices": roster(1, 151),
    "201 gone": roster(gone=201),
    "one gone twice": replace(roster(), gone=((ARI, 1), (ARI, 2))),
    "gone below 0": replace(roster(), gone=((ARI, -1),)),
    "gone above the last version": replace(roster(), gone=((ARI, LAST_NUMBER + 1),)),
    "a commitment of 31 bytes": replace(roster(), commitment=bytes(31)),
    "made after the last second": replace(roster(), made=LAST_SECOND + 1),
    "a device twice": replace(roster(), introductions=(SAME, SAME)),
    "a person with two names": replace(
        roster(), introductions=(introduction(0), introduction(1, name="Eve"))
    ),
    "an empty name": Entry(PHONE, introduction(name="")),
    "a name of 65 letters": Entry(PHONE, introduction(name="u" * 65)),
    "a name with a line break": Entry(PHONE, introduction(name="Una\nEve")),
    "a name with a lone surrogate": Entry(PHONE, introduction(name="\ud800")),
    "since below 0": Entry(PHONE, replace(SAME, since=-1)),
    "since after the last version": Entry(PHONE, replace(SAME, since=LAST_NUMBER + 1)),
    "a key of low order": Entry(
        PHONE, replace(SAME, device=replace(SAME.device, public_key=LOW_ORDER))
    ),
    "a card without a name": card(name=""),
    "a card of n above the last": card(n=LAST_NUMBER + 1),
    "a card with 17 devices": card(
        own=tuple(introduction(number, name=None) for number in range(17))
    ),
    "a card with another's device": card(own=(introduction(user=ARI, name=None),)),
    "a card with a name at a device": card(own=(introduction(),)),
    "an end after the last second": Former(PHONE, LAST_SECOND + 1),
}


@pytest.mark.parametrize("statement", BROKEN.values(), ids=BROKEN)
def test_nothing_is_sealed_that_others_would_refuse(statement: Statement) -> None:
    with pytest.raises(Unsealable):
        sealed(statement)


@pytest.mark.parametrize("version", [-1, 0, LAST_NUMBER + 1])
def test_nothing_is_sealed_for_what_is_no_version(version: int) -> None:
    with pytest.raises(Unsealable):
        sealed(Former(PHONE, 1), version)
    assert not open_statement(sealed(Former(PHONE, 1)), key=KEY).is_signed_by(
        DEVICE.public, group_id=GROUP, version=version
    )


# Fitting


def test_a_roster_that_fits_stays_as_it_is() -> None:
    assert fitted(roster(50, 3, gone=200)) == roster(50, 3, gone=200)


@pytest.mark.parametrize("name", ["", "u" * 65, "Una\nEve", " Una", "\u200b", "\ud800"])
def test_a_name_that_breaks_the_rules_is_left_out_and_no_other(name: str) -> None:
    good, bad = introduction(0), introduction(1, ARI, name)

    found = fitted(replace(roster(), introductions=(good, bad)))

    assert found is not None
    assert found.introductions == (good, replace(bad, name=None))


def test_a_public_key_that_no_device_can_have_is_left_out() -> None:
    good, bad = introduction(0), introduction(1)
    bad = replace(bad, device=replace(bad.device, public_key=LOW_ORDER))

    found = fitted(replace(roster(), introductions=(good, bad)))

    assert found == replace(roster(), introductions=(good,))


def test_a_person_with_several_names_costs_the_names_and_not_the_roster() -> None:
    both = (introduction(0, name="Una"), introduction(1, name="Eve"))

    found = fitted(replace(roster(), introductions=both))

    assert found is not None
    assert found.introductions == tuple(replace(one, name=None) for one in both)


def test_of_too_many_that_have_gone_the_newest_stay_and_the_roster_says_so() -> None:
    found = fitted(roster(gone=300))

    assert found == replace(roster(gone=200), complete=False)


@pytest.mark.parametrize("too_many", [roster(51), roster(1, 151)], ids=["people", "devices"])
def test_no_roster_is_written_where_names_are_not_what_is_too_many(too_many: Roster) -> None:
    assert fitted(too_many) is None


@settings(max_examples=50)
@given(
    names=st.lists(st.none() | st.text(max_size=80), max_size=60),
    gone=st.lists(st.tuples(st.uuids(), numbers), max_size=250, unique_by=lambda one: one[0]),
    each=st.integers(1, 3),
)
def test_whatever_fits_can_be_sealed_and_is_read_as_it_was(
    names: list[str | None], gone: list[tuple[UUID, int]], each: int
) -> None:
    introductions = tuple(
        introduction(each * person + number, UUID(int=2000 + person), name)
        for person, name in enumerate(names)
        for number in range(each)
    )

    found = fitted(replace(roster(), introductions=introductions, gone=tuple(gone)))

    assert (found is None) == (len(names) > 50)
    if found is not None:
        assert open_statement(sealed(found), key=KEY).statement == found


# Whatever is opened


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_unreadable(data: bytes) -> None:
    assert open_statement(data, key=KEY) == Opened(Unreadable())
    assert not is_signed(open_statement(data, key=KEY))


@settings(max_examples=300)
@given(
    whole=st.sampled_from([roster(2, 2, gone=2), Entry(PHONE, introduction()), card()]),
    path=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    value=json_values,
)
def test_whatever_a_member_of_a_statement_is_it_is_read_or_refused(
    whole: Statement, path: list[int], value: Any
) -> None:
    made = sealed(whole)
    text = bindings.crypto_secretbox_open_easy(made[24:], made[:24], KEY.value)
    changed = json.loads(text[:-64])
    inner = changed
    for step in path[:-1]:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        child = inner[keys[step % len(keys)]] if keys else None
        if not isinstance(child, dict | list) or not child:
            break
        inner = child
    keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
    inner[keys[path[-1] % len(keys)]] = value

    opened = open_statement(resealed(json.dumps(changed).encode()), key=KEY)

    assert isinstance(opened.statement, Statement | NewerForm | Unreadable)
    if isinstance(opened.statement, Statement):
        assert open_statement(sealed(opened.statement), key=KEY).statement == opened.statement
    if opened.statement.by == PHONE:
        assert is_signed(opened)


def test_a_statement_belongs_to_its_group_version_author_and_key() -> None:
    opened = open_statement(sealed(Former(PHONE, 1)), key=KEY)

    assert is_signed(opened)
    assert not opened.is_signed_by(DEVICE.public, group_id=UNA, version=7)
    assert not opened.is_signed_by(DEVICE.public, group_id=GROUP, version=8)
    assert not is_signed(opened, DeviceKey.make().public)
    assert not is_signed(replace(opened, statement=Former(ARI, 1)))
    assert not is_signed(replace(opened, statement=Unreadable()))
    assert open_statement(sealed(Former(PHONE, 1)), key=OTHER_KEY).statement == Unreadable()


def test_no_name_and_no_signature_is_shown() -> None:
    statements = (roster(), Entry(PHONE, introduction(name=LONGEST_NAME)), card())

    shown = " ".join(repr(open_statement(sealed(one), key=KEY)) for one in statements)

    assert LONGEST_NAME not in shown
    assert "signature" not in shown
    assert "signed" not in shown


def resealed(text: bytes) -> bytes:
    message = b"draugar/statement/v2" + GROUP.bytes + bytes([0, 0, 0, 7]) + PHONE.bytes + text
    nonce = bytes(24)
    signed = text + signing.sign(DEVICE, message)
    return nonce + bindings.crypto_secretbox_easy(signed, nonce, KEY.value)
