from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest

from chalicelib.auth.credentials import app_credential, make_token
from chalicelib.devices.service import NewDevice
from chalicelib.invites import codes
from chalicelib.invites.codes import ALPHABET, InviteCode
from chalicelib.invites.service import Joined, KeyPackage, Newcomer, NewInvite
from chalicelib.keys.service import Envelope

PEPPER = b"0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("life", "length"),
    [
        (timedelta(microseconds=1), 8),
        (timedelta(hours=1), 8),
        (timedelta(hours=1, microseconds=1), 16),
        (None, 16),
    ],
)
def test_codes_use_every_letter_of_the_alphabet_and_no_other(
    life: timedelta | None, length: int
) -> None:
    made = [InviteCode.make(life).text for _ in range(400)]

    assert {len(code) for code in made} == {length}
    assert len(set(made)) == 400
    seen = Counter("".join(made))
    assert set(seen) == set(ALPHABET)
    assert len(ALPHABET) == 32
    # Far from even by chance once in 10^9 runs or so: each is expected length * 12.5 times.
    assert min(seen.values()) > length * 4


@pytest.mark.parametrize("length", [8, 16, 20, 32])
def test_a_code_is_read_back_from_any_spelling(length: int) -> None:
    code = InviteCode(("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")[:length])

    assert InviteCode.read(code.in_groups.lower()) == code
    assert InviteCode.read(f"\u00a0{code.text}\n") == code
    assert all(len(group) == 4 for group in code.in_groups.split("-"))


@pytest.mark.parametrize(
    "text",
    [
        *("A" * length for length in (1, 7, 9, 15, 33)),
        *("ABCDEFG" + letter for letter in "IO01io!_.é\0\ud800٣"),
        *("", " ", "--------"),
    ],
    ids=ascii,
)
def test_what_cannot_be_a_code_is_none(text: str) -> None:
    assert InviteCode.read(text) is None


def test_a_hash_says_what_it_is_of_and_needs_the_pepper() -> None:
    text = "ABCDEFGHJKLMNPQRSTUVWX"

    hashes = {
        codes.code_hash(InviteCode(text), PEPPER),
        codes.key_hash(text, PEPPER),
        codes.code_hash(InviteCode(text), PEPPER + b"x"),
        codes.key_hash(text, PEPPER + b"x"),
        bytes.fromhex(codes.keyed_address(text, PEPPER)),
    }

    assert len(hashes) == 5
    assert {len(each) for each in hashes} == {32}


def test_what_holds_a_secret_does_not_show_it() -> None:
    token, code, key = make_token(), InviteCode.make(None), "k" * 22
    wrapped, sealed, proof = (letter * 40 for letter in (b"w", b"s", b"p"))
    credential = app_credential(token)
    assert credential is not None
    joined = Joined(
        token=token,
        user_id=uuid4(),
        name="Una",
        device_id=uuid4(),
        group_id=uuid4(),
        group_name="Hearth",
        key_package=KeyPackage(sealed=sealed, key_version=1),
    )

    shown = repr(
        [
            code,
            credential,
            NewInvite(id=uuid4(), group_id=None, code=code, expires_at=None),
            Newcomer(
                name="Una",
                device_name="App",
                public_key=bytes(32),
                proof=proof,
                group=None,
                idempotency_key=key,
            ),
            joined,
            NewDevice(id=uuid4(), name="Tablet", token=token),
            Envelope(device_id=uuid4(), wrapped_key=wrapped),
        ]
    )

    texts = (repr(secret) for secret in (credential.token_hash, wrapped, sealed, proof))
    for secret in (token, code.text, key, *texts):
        assert secret not in shown
