import string
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.auth.credentials import app_credential, make_token
from chalicelib.characters import INVISIBLE
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


PASTED = (
    *(
        "{}.",
        "{},",
        "{}!",
        "({})",
        "<{}>",
        '"{}"',
        "'{}'",
        "`{}`",
        "*{}*",
        "_{}_",
        "~{}~",
        "{}\u2026",
    ),
    *("\u201c{}\u201d", "\u201e{}\u201c", "\u00ab{}\u00bb", "\u300c{}\u300d", "\uff08{}\uff09"),
    *("\U0001f449{}\U0001f448", "\U0001f3e1\ufe0f {} \U0001f44d\U0001f3fd", "{}\u3002"),
    *("\ufeff{}", "\u200b{}\u200b", "\u2068{}\u2069", "\t{}\r\n", "\u00a0{}\u3000", "{}\ufe0f"),
)


@pytest.mark.parametrize("around", PASTED, ids=ascii)
def test_a_code_is_read_as_it_was_pasted(around: str) -> None:
    code = InviteCode("7KQMX2HD")

    for written in ("7KQM-X2HD", "7kqm x2hd", "7KQMX2HD", "7KQM\nX2HD", "7KQM-\u200bX2HD"):
        assert InviteCode.read(around.format(written)) == code


@pytest.mark.parametrize(
    "between",
    ["\u2010", "\u2011", "\u2013", "\u2014", "\u2212", "\u00ad", "\ufe63", "\uff0d", "\u2060"],
    ids=ascii,
)
def test_whatever_dash_is_between_the_groups_is_one(between: str) -> None:
    assert InviteCode.read(f"7KQM{between}X2HD") == InviteCode("7KQMX2HD")


def test_a_code_may_be_in_full_width() -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "7KQM-x2hd")

    assert InviteCode.read(wide) == InviteCode("7KQMX2HD")


@given(st.text(max_size=40) | st.from_regex(r"\W*([A-Z2-9]\W?){8,16}\W*", fullmatch=True))
def test_what_is_read_is_the_letters_that_were_typed_and_no_others(text: str) -> None:
    read = InviteCode.read(text)

    shown = "".join(filter(str.isalnum, INVISIBLE.sub("", text)))
    ascii_only = "".join(
        chr(ord(one) - 0xFEE0) if 0xFF01 <= ord(one) <= 0xFF5E else one for one in shown
    )
    if read is not None:
        assert set(ascii_only.replace("\u30fc", "")) <= {*string.ascii_letters, *string.digits}
        assert ascii_only.replace("\u30fc", "").upper() == read.text


@pytest.mark.parametrize(
    "text",
    [
        *("A" * length for length in (1, 7, 9, 15, 33)),
        # Letters whose upper case is a letter of the alphabet, and what only looks like one.
        *("ABCDEF\u00df", "ABCDEFG\u017f", "ABCDEFG\ufb00", "ABCDEFG\u00b2", "ABCDEFGH\u24b6"),
        *("ABCDEFG\u212a", "ABCD.EFGH", "ABCD/EFGH", "ABCD,EFGH", "Code ABCDEFGH"),
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
                in_browser=False,
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
