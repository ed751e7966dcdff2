"""What the vectors cannot say: all that may not happen, whatever is given."""

import copy
import hashlib
import hmac
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings

from draugar.protocol.envelopes import unwrap, wrap
from draugar.protocol.errors import NotAuthentic, Unsealable
from draugar.protocol.invites import (
    InviteKeys,
    Package,
    fitted,
    join_proof,
    open_package,
    proof_holds,
    seal_package,
)
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.locations import open_location, seal_location
from draugar.protocol.rosters import RosterEntry, cut, open_roster, seal_roster
from draugar.protocol.safety import safety_number
from draugar.protocol.sealing import open_sealed, seal
from draugar.protocol.secrets import DeviceKey, GroupKey, InviteSecret, Secret, Token
from draugar.protocol.statements import DeviceKind

KEY = GroupKey(b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")
DEVICE = DeviceKey(bytes(range(32)))
GROUP, UNA, ARI, PHONE = (UUID(int=number) for number in range(1, 5))
CODE = "RT5WLJ8BK2MNP4QX"
KEYS = InviteKeys.of(InviteSecret(bytes(range(16))), CODE)
LARGEST_TEXT = 31 * 128
"""Of a location, in bytes: with nonce and tag the next block would be over 4096."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)
openers = pytest.mark.parametrize(
    "opener",
    [
        lambda sealed: open_location(sealed, KEY),
        lambda sealed: open_roster(sealed, KEY),
        lambda sealed: open_package(sealed, KEYS),
    ],
    ids=["location", "roster", "package"],
)


def una(**other: Any) -> RosterEntry:
    entry = RosterEntry(user_id=UNA, name="Una", device_id=PHONE, public_key=DEVICE.public)
    return replace(entry, **other)


def package(**other: Any) -> Package:
    whole = Package(
        group_key=KEY,
        key_version=1,
        group_id=GROUP,
        inviter_user_id=UNA,
        inviter_public_key=DEVICE.public,
        commitment=KEY.commitment(GROUP, 1),
        roster=[una()],
    )
    return replace(whole, **other)


def sealed_by_hand(plain: bytes, key: Secret) -> bytes:
    nonce = bytes(24)
    return nonce + bindings.crypto_secretbox_easy(plain, nonce, key.value)


# Secrets


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        DEVICE,
        InviteSecret(b"0123456789abcdef"),
        Secret(b"a token"),
        KEYS,
        package(),
        una(),
    ],
    ids=lambda secret: type(secret).__name__,
)
def test_nothing_secret_is_shown(secret: object) -> None:
    shown = f"{secret} {secret!r} {[secret]}"

    for hidden in (
        KEY.value.decode(),
        "Una",
        "0123456789",
        "a token",
        *(repr(key.value)[2:-1] for key in (KEY, DEVICE, KEYS.wrap, KEYS.proof)),
        *(key.value.hex() for key in (KEY, DEVICE, KEYS.wrap, KEYS.proof)),
    ):
        assert hidden not in shown


@pytest.mark.parametrize("store", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
@pytest.mark.parametrize("secret", [KEY, KEYS.wrap])
def test_a_secret_is_not_stored_by_accident(secret: Secret, store: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        store(secret)


def test_secrets_are_equal_when_kind_and_bytes_are() -> None:
    same = GroupKey(KEY.value)

    assert same == KEY
    assert hash(KEY) == hash(same)
    assert GroupKey.make() != KEY
    assert Secret(KEY.value) != KEY
    assert KEY.value != KEY


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (GroupKey, b""),
        (GroupKey, KEY.value[:-1]),
        (GroupKey, KEY.value + b"A"),
        (GroupKey, KEY.value[:-1] + b"\n"),
        (GroupKey, KEY.value[:-1] + b"+"),
        (GroupKey, bytes(32)),
        (DeviceKey, bytes(31)),
        (DeviceKey, bytes(33)),
        (InviteSecret, bytes(15)),
        (InviteSecret, bytes(17)),
    ],
)
def test_a_secret_of_another_form_is_refused(kind: type[Secret], value: bytes) -> None:
    with pytest.raises(NotAuthentic):
        kind(value)


@pytest.mark.parametrize(("kind", "size"), [(GroupKey, 32), (DeviceKey, 32), (InviteSecret, 16)])
def test_each_secret_made_is_another(kind: Any, size: int) -> None:
    made = [kind.make() for _ in range(50)]

    assert {len(secret.value) for secret in made} == {size}
    assert len({secret.value for secret in made}) == 50


@pytest.mark.parametrize("value", [b"a" * 15, b"a" * 257, b"a" * 15 + b"!", b"a" * 15 + b"\n"])
def test_a_token_of_another_form_is_refused(value: bytes) -> None:
    with pytest.raises(NotAuthentic):
        Token(value)


def test_a_token_has_16_to_256_characters_of_its_form() -> None:
    for value in (b"Az09._~-" * 2, b"a" * 256):
        assert Token(value).value == value


@pytest.mark.parametrize("version", [0, -1, 2**31, 2**32 + 1, True, 1.0])
def test_there_is_no_commitment_to_what_is_no_version(version: Any) -> None:
    with pytest.raises(NotAuthentic):
        KEY.commitment(GROUP, version)


# Whatever is opened


@openers
@given(sealed=st.binary(max_size=200))
def test_what_nobody_sealed_is_refused(opener: Callable[[bytes], Any], sealed: bytes) -> None:
    with pytest.raises(NotAuthentic):
        opener(sealed)


@openers
@given(plain=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_what_opens_has_the_form_it_should_have_or_is_refused(
    opener: Callable[[bytes], Any], plain: bytes
) -> None:
    for key in (KEY, KEYS.wrap):
        try:
            opened = opener(sealed_by_hand(plain, key))
        except NotAuthentic:
            continue
        assert opened == json.loads(plain)
        assert isinstance(opened, dict) or opened == []


@given(
    wrapped=st.binary(max_size=80) | st.binary(min_size=72, max_size=72),
    wrapper=st.binary(max_size=40) | st.binary(min_size=32, max_size=32),
)
def test_what_nobody_wrapped_is_refused(wrapped: bytes, wrapper: bytes) -> None:
    with pytest.raises(NotAuthentic):
        unwrap(wrapped, wrapper, DEVICE)


@given(recipient=st.binary(max_size=40).filter(lambda key: len(key) != 32))
def test_nothing_is_wrapped_for_what_is_no_public_key(recipient: bytes) -> None:
    with pytest.raises(NotAuthentic):
        wrap(KEY, recipient, DEVICE)


@openers
@pytest.mark.parametrize("size", [4097, 16 * 1024 + 1, 20 * 1024 + 1, 5_000_000])
def test_what_is_larger_than_the_service_takes_is_not_even_opened(
    opener: Callable[[bytes], Any], size: int
) -> None:
    largest = {4097: "location", 16 * 1024 + 1: "roster"}.get(size, "package")
    key = KEYS.wrap if largest == "package" else KEY
    sealed = sealed_by_hand(b"{}".rjust(size - 40), key)

    with pytest.raises(NotAuthentic):
        opener(sealed)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: open_location(sealed_by_hand(b'{"lat":64.1466,"lat":64.1466}', KEY), KEY),
        lambda: open_location(sealed_by_hand(b'{"lat":"64.1466 \xff"}', KEY), KEY),
        lambda: open_roster(sealed_by_hand(b'[{"name":"64.1466"}]', KEY), KEY),
        lambda: unwrap(wrap(KEY, DEVICE.public, DEVICE), bytes(32), DEVICE),
        lambda: seal_location({"lat": "64.1466 \ud800"}, KEY),
        lambda: seal_location({"lat": "64.1466" * 1000}, KEY),
        lambda: GroupKey(b"64.1466"),
        lambda: from_base64url("64.1466"),
        lambda: join_proof(KEYS.proof, DEVICE.public, "64.1466", "64.1466"),
    ],
)
def test_what_is_refused_is_neither_repeated_nor_kept(refused: Callable[[], Any]) -> None:
    with pytest.raises((NotAuthentic, Unsealable)) as caught:
        refused()

    said = "".join(traceback.format_exception_only(caught.value))
    assert "64.1466" not in said
    assert KEY.value.decode() not in said
    # What the parser or libsodium raised would hold what it was given.
    assert caught.value.__context__ is None


# Locations


@given(location=st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=5))
def test_a_location_comes_out_as_it_went_in(location: dict[str, Any]) -> None:
    sealed = seal_location(location, KEY)

    assert open_location(sealed, KEY) == location
    assert len(sealed) % 128 == 40


def test_locations_of_about_the_same_length_look_alike() -> None:
    sizes = {len(seal_location({"lat": "1" * size}, KEY)) for size in range(119)}

    assert sizes == {168}
    assert len(seal_location({"lat": "1" * 119}, KEY)) == 168 + 128


def test_a_location_fills_what_the_service_takes_and_no_more() -> None:
    text = "x" * (LARGEST_TEXT - len('{"a":""}'))

    assert len(seal_location({"a": text}, KEY)) == 4096 - 88
    with pytest.raises(Unsealable):
        seal_location({"a": text + "x"}, KEY)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        1e300,
        2**53,
        -(2**53),
        10**5000,
        "\ud800",
        b"bytes",
        {1: "one", "1": "one"},
        UNA,
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_sealed_that_others_could_not_open(value: Any) -> None:
    with pytest.raises(Unsealable):
        seal_location({"a": value}, KEY)


@pytest.mark.parametrize("levels", [16, 2000])
def test_nothing_is_sealed_that_is_too_deep(levels: int) -> None:
    deep: list[Any] = []
    for _ in range(levels - 1):
        deep = [deep]

    with pytest.raises(Unsealable):
        seal_location({"a": deep}, KEY)


def test_a_location_within_itself_is_not_sealed() -> None:
    location: dict[str, Any] = {}
    location["a"] = location

    with pytest.raises(Unsealable):
        seal_location(location, KEY)


def test_no_two_boxes_have_the_same_nonce() -> None:
    sealed = [
        *(seal_location({}, KEY) for _ in range(20)),
        *(seal_roster([una()], KEY) for _ in range(20)),
        *(seal_package(package(), KEYS) for _ in range(20)),
        *(wrap(KEY, DEVICE.public, DEVICE) for _ in range(20)),
    ]

    assert len({box[:24] for box in sealed}) == 80


def test_a_box_fills_what_it_may_and_no_more() -> None:
    most = 100

    whole = seal(bytes(most - 40), KEY, most)

    assert len(whole) == most
    assert open_sealed(whole, KEY, most) == bytes(most - 40)
    with pytest.raises(Unsealable):
        seal(bytes(most - 39), KEY, most)
    with pytest.raises(NotAuthentic):
        open_sealed(whole, KEY, most - 1)


def test_every_byte_of_a_nonce_is_random() -> None:
    nonces = [seal_location({}, KEY)[:24] for _ in range(40)]
    wrapped = [wrap(KEY, DEVICE.public, DEVICE)[:24] for _ in range(40)]

    for boxes in (nonces, wrapped):
        assert all(len(set(values)) > 1 for values in zip(*boxes, strict=True))


# Rosters and packages


@pytest.mark.parametrize(
    "other", [{"name": ""}, {"name": "\ud800"}, {"public_key": b""}, {"public_key": bytes(33)}]
)
def test_there_is_no_entry_for_what_could_not_be_a_device(other: dict[str, Any]) -> None:
    with pytest.raises(NotAuthentic):
        una(**other)


def test_a_device_stands_once_in_a_roster() -> None:
    with pytest.raises(Unsealable):
        seal_roster([una(), una(name="Ari")], KEY)


def test_a_roster_fills_16_kib_and_no_more() -> None:
    entries = [replace(una(), name="a", device_id=UUID(int=number)) for number in range(200)]

    sealed = [seal_roster(entries[:number], KEY) for number in (1, 2)]
    each = len(sealed[1]) - len(sealed[0])
    whole = 2 + (16 * 1024 - len(sealed[1])) // each

    assert 16 * 1024 - each < len(seal_roster(entries[:whole], KEY)) <= 16 * 1024
    with pytest.raises(Unsealable):
        seal_roster(entries[: whole + 1], KEY)


def test_an_entry_of_a_roster_of_form_1_does_not_say_what_kind_of_device_it_is() -> None:
    (entry,) = json.loads(open_sealed(seal_roster([una()], KEY), KEY, 16 * 1024))
    as_browser = json.dumps([{**entry, "kind": "web"}]).encode()

    assert open_roster(sealed_by_hand(json.dumps([entry]).encode(), KEY), KEY) == [una()]
    with pytest.raises(NotAuthentic):
        open_roster(sealed_by_hand(as_browser, KEY), KEY)


def test_an_empty_roster_is_a_roster() -> None:
    assert open_roster(seal_roster([], KEY), KEY) == []


def test_a_roster_holds_some_fifty_devices_with_the_longest_names_there_are() -> None:
    names = ["🧭" * 64, "x" * 64]
    wide, narrow = (
        [una(name=name, device_id=UUID(int=number)) for number in range(60)] for name in names
    )

    assert len(seal_roster(narrow, KEY)) <= 16 * 1024
    assert len(seal_roster(wide[:34], KEY)) <= 16 * 1024
    with pytest.raises(Unsealable):
        seal_roster(wide, KEY)


@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=64), max_size=9),
    times=st.integers(1, 12),
)
def test_a_roster_and_a_package_are_cut_to_the_first_entries_that_have_room(
    names: list[str], times: int
) -> None:
    entries = [
        una(name=name * 4, device_id=UUID(int=number)) for number, name in enumerate(names * times)
    ]

    short, inside = cut(entries), fitted(package(roster=entries))

    assert open_roster(seal_roster(short, KEY), KEY) == short == entries[: len(short)]
    assert open_package(seal_package(inside, KEYS), KEYS) == inside
    assert inside.roster == entries[: len(inside.roster)]
    if len(short) < len(entries):
        with pytest.raises(Unsealable):
            seal_roster(entries[: len(short) + 1], KEY)
    if len(inside.roster) < len(entries):
        with pytest.raises(Unsealable):
            seal_package(package(roster=entries[: len(inside.roster) + 1]), KEYS)


def test_a_browser_stands_in_a_package_and_in_no_roster_of_form_1() -> None:
    browser = una(device_id=UUID(int=99), kind=DeviceKind.WEB)

    assert cut([browser, una()]) == [una()]
    assert open_roster(seal_roster([browser, una()], KEY), KEY) == [una()]
    assert open_package(seal_package(package(roster=[browser]), KEYS), KEYS).roster == [browser]


def test_what_fits_a_version_fits_a_package_too() -> None:
    entry = len(seal_roster([una()], KEY)) - 42
    most = (16 * 1024 - 42) // (entry + 1)
    roster = [una(device_id=UUID(int=number)) for number in range(most)]

    assert len(seal_roster(roster, KEY)) > 16 * 1024 - entry - 1
    sealed = seal_package(package(roster=roster), KEYS)
    assert open_package(sealed, KEYS).roster == roster


@pytest.mark.parametrize(
    "other",
    [
        {"commitment": KEY.commitment(GROUP, 2)},
        {"commitment": b""},
        {"group_id": ARI},
        {"group_key": GroupKey.make()},
        {"key_version": 0},
        {"inviter_public_key": bytes(31)},
    ],
)
def test_a_package_agrees_with_itself(other: dict[str, Any]) -> None:
    with pytest.raises(NotAuthentic):
        package(**other)


# Invites


def test_a_name_is_proved_as_the_service_stores_it() -> None:
    proof = join_proof(KEYS.proof, DEVICE.public, "  Ari \n", CODE)

    assert proof_holds(proof, KEYS.proof, DEVICE.public, "Ari", CODE)
    assert not proof_holds(proof, KEYS.proof, DEVICE.public, "A ri", CODE)


def test_a_proof_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return True

    proof = join_proof(KEYS.proof, DEVICE.public, "Ari", CODE)
    monkeypatch.setattr(hmac, "compare_digest", compare)

    assert proof_holds(bytes(32), KEYS.proof, DEVICE.public, "Ari", CODE)
    assert compared == [(bytes(32), proof)]


@pytest.mark.parametrize(
    ("public_key", "name", "code"),
    [
        (bytes(31), "Ari", CODE),
        (DEVICE.public, "\ud800", CODE),
        (DEVICE.public, "", CODE),
        (DEVICE.public, "Ari", "rt5w-lj8b-k2mn-p4qx"),
        *((DEVICE.public, "Ari", length * "A") for length in (0, 7, 9, 15, 33)),
    ],
)
def test_what_cannot_be_proved_is_no_proof(public_key: bytes, name: str, code: str) -> None:
    with pytest.raises(NotAuthentic):
        join_proof(KEYS.proof, public_key, name, code)
    assert not proof_holds(bytes(32), KEYS.proof, public_key, name, code)


@pytest.mark.parametrize("code", [CODE.lower(), 9 * "A", 15 * "A", 33 * "A", "I" + 7 * "A"])
def test_an_invites_keys_are_made_of_the_canonical_code_alone(code: str) -> None:
    with pytest.raises(NotAuthentic):
        InviteKeys.of(InviteSecret.make(), code)


@pytest.mark.parametrize("length", [8, 16, 32])
def test_an_invites_keys_are_made_of_a_code_of_each_length_that_there_is(length: int) -> None:
    secret = InviteSecret.make()

    assert InviteKeys.of(secret, length * "A") == InviteKeys.of(secret, length * "A")


# Safety numbers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((UNA, [DEVICE.public]), (UNA, [DEVICE.public])),
        ((UNA, []), (ARI, [DEVICE.public])),
        ((UNA, [DEVICE.public]), (ARI, [])),
        ((UNA, [DEVICE.public]), (ARI, [DEVICE.public, b""])),
    ],
    ids=["one person", "nothing of mine", "nothing of theirs", "no key"],
)
def test_there_is_no_safety_number_of_nothing(one: Any, other: Any) -> None:
    with pytest.raises(NotAuthentic):
        safety_number(one, other)


def test_a_safety_number_is_of_the_sorted_keys_of_all_devices() -> None:
    keys = [bytes([number]) * 32 for number in range(40, 0, -1)]
    said = b"draugar/safety/v1" + UNA.bytes + b"".join(sorted(keys)) + ARI.bytes + bytes(32)

    def digits(start: bytes) -> list[str]:
        digest = b""
        for _ in range(5200):
            digest = hashlib.sha512(digest + start + said).digest()
        fives = [digest[first : first + 5] for first in range(0, 30, 5)]
        return [f"{int.from_bytes(five, 'big') % 100_000:05}" for five in fives]

    by_hand = " ".join(digits(b"") + digits(b"\x01"))
    assert safety_number((UNA, keys), (ARI, [bytes(32)])) == by_hand
    assert safety_number((ARI, [bytes(32)]), (UNA, keys[::-1])) == by_hand


@settings(max_examples=10)
@given(key=st.binary(min_size=32, max_size=32).filter(lambda key: key != DEVICE.public))
def test_a_safety_number_tells_of_any_other_key(key: bytes) -> None:
    mine = (UNA, [bytes(32)])
    number = safety_number(mine, (ARI, [DEVICE.public]))

    assert safety_number(mine, (ARI, [DEVICE.public] * 2)) == number
    assert safety_number(mine, (ARI, [key])) != number
    assert safety_number(mine, (ARI, [DEVICE.public, key])) != number


# Base64


@given(value=st.binary(max_size=50))
def test_bytes_have_one_text(value: bytes) -> None:
    text = to_base64url(value)

    assert from_base64url(text) == value
    for other in (f"{text}=", f" {text}", f"{text}\n", f"{text}A===="):
        with pytest.raises(NotAuthentic):
            from_base64url(other)


@pytest.mark.parametrize("text", ["A", "AB", "+A", "/A", "é", "A A", "AA=="])
def test_what_is_no_base64url_is_refused(text: str) -> None:
    with pytest.raises(NotAuthentic):
        from_base64url(text)
