"""Each vector twice: by the client, and by libsodium's and the standard library's own functions."""

import base64
import hashlib
import hmac
import json
import re
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl import bindings
from nacl.exceptions import CryptoError

from draugar.protocol import signing, statements
from draugar.protocol.envelopes import unwrap, wrap
from draugar.protocol.errors import NewerFormat, NotAuthentic
from draugar.protocol.invites import (
    InviteKeys,
    _hkdf,
    join_proof,
    open_package,
    proof_holds,
    seal_package,
)
from draugar.protocol.json import from_base64url, to_base64url
from draugar.protocol.links import InviteLink, Unreadable, canonical
from draugar.protocol.locations import LOCATION_BYTES, open_location, seal_location
from draugar.protocol.rosters import RosterEntry, open_roster, seal_roster
from draugar.protocol.safety import device_token, safety_number
from draugar.protocol.sealing import open_sealed
from draugar.protocol.secrets import DeviceKey, GroupKey, InviteSecret, Secret
from draugar.protocol.statements import (
    Card,
    DeviceKind,
    Entry,
    Former,
    Introduction,
    NewerForm,
    Opened,
    Roster,
    Statement,
    open_statement,
    seal_statement,
)
from scripts import vector_parts, vectors

Json = dict[str, Any]

VECTORS: Json = json.loads(vectors.VECTORS.read_text())


def each(section: str, *names: str) -> pytest.MarkDecorator:
    """Run a test with each vector of some lists of a section, named by what it is about."""
    found = VECTORS[section]
    cases = [case for name in names for case in found[name]] if names else found
    return pytest.mark.parametrize(
        "vector", [pytest.param(case, id=case.get("why") or case.get("what")) for case in cases]
    )


def raw(vector: Json, name: str) -> bytes:
    return bytes.fromhex(vector[name])


def key_of(vector: Json) -> GroupKey:
    return GroupKey(vector["groupKey"].encode())


def test_the_file_is_what_the_script_makes() -> None:
    assert vectors.VECTORS.read_text() == vectors.written()


def test_the_examples_of_the_protocol_are_vectors() -> None:
    page = (vectors.VECTORS.parent / "protocol.md").read_text()

    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]

    written = {one["what"]: json.loads(one["json"]) for one in VECTORS["statement"]["opens"]}
    assert examples == [
        written["a roster"],
        written["an entry"],
        written["a card"],
        written["the time of a former version"],
        json.loads(VECTORS["roster"]["opens"]["json"])[:1],
        json.loads(VECTORS["package"]["opens"]["json"]),
        json.loads(VECTORS["location"]["opens"][0]["json"]),
    ]


def test_the_errors_of_the_protocol_are_the_services() -> None:
    docs = vectors.VECTORS.parent
    named = re.findall(
        r"^\| (\d{3}) \| `(\w+)` \|", (docs / "protocol.md").read_text(), re.MULTILINE
    )
    sections = re.findall(
        r"^## (\d{3}) (.*?)(?=^## |\Z)", (docs / "errors.md").read_text(), re.MULTILINE | re.DOTALL
    )

    documented = {
        (status, code)
        for status, section in sections
        for code in re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    }

    assert len(named) > 10
    assert set(named) - documented == set()


# Keys


@each("deviceKeys")
def test_a_public_key_comes_of_its_secret_key(vector: Json) -> None:
    assert DeviceKey(raw(vector, "secretKey")).public == raw(vector, "publicKey")
    assert bindings.crypto_scalarmult_base(raw(vector, "secretKey")) == raw(vector, "publicKey")


def test_a_group_key_is_24_bytes_written_as_32_characters() -> None:
    vector = VECTORS["groupKey"]

    assert key_of(vector).value == base64.urlsafe_b64encode(raw(vector, "random"))


@each("commitment", "holds")
def test_a_commitment_is_a_hash_of_purpose_group_version_and_key(vector: Json) -> None:
    by_hand = hashlib.sha256(
        b"draugar/group-key/v1"
        + bytes.fromhex(vector["groupId"].replace("-", ""))
        + bytes.fromhex(f"{vector['keyVersion']:08x}")
        + vector["groupKey"].encode()
    )

    made = key_of(vector).commitment(UUID(vector["groupId"]), vector["keyVersion"])

    assert made == by_hand.digest() == raw(vector, "commitment")


@each("commitment", "differs")
def test_a_commitment_holds_for_one_key_of_one_version_of_one_group(vector: Json) -> None:
    made = key_of(vector).commitment(UUID(vector["groupId"]), vector["keyVersion"])

    assert made != raw(vector, "commitment")


# Envelopes


def test_an_envelope_opens_to_the_key_that_was_wrapped() -> None:
    vector = VECTORS["envelope"]["opens"]
    wrapped, nonce = raw(vector, "wrappedKey"), raw(vector, "nonce")
    to, by = raw(vector, "recipientPublicKey"), raw(vector, "wrapperSecretKey")
    by_hand = nonce + bindings.crypto_box_easy(vector["groupKey"].encode(), nonce, to, by)

    opened = unwrap(
        wrapped, raw(vector, "wrapperPublicKey"), DeviceKey(raw(vector, "recipientSecretKey"))
    )

    assert opened == key_of(vector)
    assert wrapped == by_hand
    assert to_base64url(wrapped) == vector["wrappedKeyOnTheWire"]
    assert from_base64url(vector["wrappedKeyOnTheWire"]) == wrapped
    assert len(vector["wrappedKeyOnTheWire"]) == 96


def test_libsodium_opens_what_the_client_wraps() -> None:
    vector = VECTORS["envelope"]["opens"]

    wrapped = wrap(
        key_of(vector),
        raw(vector, "recipientPublicKey"),
        DeviceKey(raw(vector, "wrapperSecretKey")),
    )

    assert len(wrapped) == 72
    opened = bindings.crypto_box_open_easy(
        wrapped[24:],
        wrapped[:24],
        raw(vector, "wrapperPublicKey"),
        raw(vector, "recipientSecretKey"),
    )
    assert opened == vector["groupKey"].encode()


@each("envelope", "refused")
def test_an_envelope_is_refused(vector: Json) -> None:
    recipient = DeviceKey(raw(vector, "recipientSecretKey"))

    with pytest.raises(NotAuthentic):
        unwrap(raw(vector, "wrappedKey"), raw(vector, "wrapperPublicKey"), recipient)


def test_a_box_of_a_low_order_key_would_open_without_libsodiums_check() -> None:
    low_order = [case for case in VECTORS["envelope"]["refused"] if "public key is" in case["why"]]
    # HSalsa20 of a zero key and input, as NaCl's own test of it has it.
    shared = bytes.fromhex("351f86faa3b988468a850122b65b0acece9c4826806aeee63de9c0da2bd7f91e")

    for vector in low_order:
        wrapped = raw(vector, "wrappedKey")
        opened = bindings.crypto_box_open_easy_afternm(wrapped[24:], wrapped[:24], shared)
        assert opened == VECTORS["groupKey"]["groupKey"].encode()
    assert len(low_order) == 3


@each("envelope", "notWrapped")
def test_nothing_is_wrapped_for_a_key_that_agrees_with_everybody(vector: Json) -> None:
    key = GroupKey(VECTORS["groupKey"]["groupKey"].encode())
    recipient = raw(vector, "recipientPublicKey")

    with pytest.raises(NotAuthentic):
        wrap(key, recipient, DeviceKey.make())
    with pytest.raises(CryptoError):
        bindings.crypto_box_beforenm(recipient, DeviceKey.make().value)


# Signatures


@each("signing", "signs")
def test_a_signature_by_a_device_is_one_of_ed25519(vector: Json) -> None:
    key, message = DeviceKey(raw(vector, "secretKey")), raw(vector, "message")

    made = signing.sign(key, message, random=raw(vector, "random"))

    assert made == raw(vector, "signature")
    assert signing.verify(raw(vector, "publicKey"), message, made)
    Ed25519PublicKey.from_public_bytes(raw(vector, "edwardsPublicKey")).verify(made, message)


@each("signing", "signs")
def test_each_signature_of_a_message_is_another(vector: Json) -> None:
    key, message = DeviceKey(raw(vector, "secretKey")), raw(vector, "message")

    made = {signing.sign(key, message) for _ in range(5)}

    assert len(made | {raw(vector, "signature")}) == 6
    assert all(signing.verify(key.public, message, signature) for signature in made)


@each("signing", "refused")
def test_a_signature_is_refused(vector: Json) -> None:
    assert not signing.verify(
        raw(vector, "publicKey"), raw(vector, "message"), raw(vector, "signature")
    )


@each("signing", "noDeviceKeys")
def test_a_public_key_that_no_device_can_have_is_known_as_such(vector: Json) -> None:
    assert not signing.is_device_key(raw(vector, "publicKey"))


@each("deviceKeys")
def test_a_public_key_of_a_device_is_known_as_such(vector: Json) -> None:
    assert signing.is_device_key(raw(vector, "publicKey"))


# Statements


@each("statement", "opens")
def test_a_statement_opens_and_is_signed_by_its_device(vector: Json) -> None:
    sealed, key, by_hand = raw(vector, "sealed"), key_of(vector), by_openssl(vector)

    opened = open_statement(sealed, key=key)

    assert by_hand == vector["json"].encode()
    assert said(opened.statement) == json.loads(vector["json"])
    assert is_signed(opened, vector)


@each("statement", "opens")
def test_a_statement_is_sealed_again_as_it_was(vector: Json) -> None:
    opened = open_statement(raw(vector, "sealed"), key=key_of(vector))
    assert isinstance(opened.statement, Statement)

    sealed = seal_statement(
        opened.statement,
        group_id=UUID(vector["groupId"]),
        version=vector["keyVersion"],
        device_key=DeviceKey(vector_parts.key_pair("Una's phone")[0]),
        key=key_of(vector),
    )

    again = open_statement(sealed, key=key_of(vector))
    assert again.statement == opened.statement
    assert is_signed(again, vector)


@each("statement", "unsigned")
def test_a_statement_is_not_believed_to_be_of_another_device(vector: Json) -> None:
    opened = open_statement(raw(vector, "sealed"), key=key_of(vector))

    assert isinstance(opened.statement, Entry)
    assert not is_signed(opened, vector)


@each("statement", "newer")
def test_a_statement_of_a_newer_form_says_so_and_by_whom(vector: Json) -> None:
    opened, text = open_statement(raw(vector, "sealed"), key=key_of(vector)), vector["json"]

    assert opened.statement == NewerForm(by=vector_parts.UNAS_PHONE, form=json.loads(text)["form"])
    assert is_signed(opened, vector)
    assert not is_signed(opened, vector | {"keyVersion": vector["keyVersion"] + 1})


@each("statement", "refused")
def test_a_statement_is_refused_whole(vector: Json) -> None:
    opened = open_statement(raw(vector, "sealed"), key=key_of(vector))

    by = UUID(vector["by"]) if vector["by"] else None
    assert opened.statement == statements.Unreadable(by)
    assert "publicKey" not in vector or is_signed(opened, vector) == (by is not None)


@each("statement", "sizes")
def test_a_statement_may_be_as_large_as_the_service_takes_and_no_larger(vector: Json) -> None:
    key, text = key_of(vector), vector["json"]
    room = vector["largest"] - len(text.encode()) - 24 - 16 - 64

    largest, larger = (
        open_statement(signed_and_sealed(text + " " * spaces, vector), key=key)
        for spaces in (room, room + 1)
    )

    assert said(largest.statement) == json.loads(text)
    author = None if "roster" in text else vector_parts.UNAS_PHONE
    assert larger.statement == statements.Unreadable(author)


# Codes and links


def test_keys_are_derived_as_rfc_5869_does_it() -> None:
    vector = VECTORS["hkdf"]

    derived = _hkdf(raw(vector, "secret"), raw(vector, "salt"), raw(vector, "info"))

    assert derived.value == raw(vector, "first32Bytes")
    assert derived.value == bytes.fromhex(
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    )


@each("codes", "canonical")
def test_a_code_is_read_however_it_is_typed(vector: Json) -> None:
    assert canonical(vector["typed"]) == vector["code"]


@each("codes", "refused")
def test_what_is_no_code_is_refused(vector: Json) -> None:
    with pytest.raises(Unreadable):
        canonical(vector["typed"])


def test_the_keys_of_an_invite_come_of_its_secret_and_its_code() -> None:
    vector = VECTORS["inviteKeys"]
    salt = hashlib.sha256(vector["code"].encode()).digest()
    extracted = hmac.new(salt, raw(vector, "secret"), hashlib.sha256).digest()
    wrap, proof = (
        hmac.new(extracted, f"draugar/invite/{use}\x01".encode(), hashlib.sha256).digest()
        for use in ("wrap", "proof")
    )

    keys = InviteKeys.of(InviteSecret(raw(vector, "secret")), vector["code"])

    assert salt == raw(vector, "salt")
    assert keys.wrap.value == wrap == raw(vector, "wrap")
    assert keys.proof.value == proof == raw(vector, "proof")


@each("links", "reads")
def test_a_link_says_where_and_by_what_somebody_can_join(vector: Json) -> None:
    link = InviteLink.parse(vector["link"])

    assert link == InviteLink(
        url=vector["url"],
        code=vector["code"],
        secret=InviteSecret(raw(vector, "secret")),
        for_me=vector["forMe"],
    )
    assert link.text == vector["written"]
    assert link.web == vector["web"]
    assert InviteLink.paste(f"<{vector['link']}>") == link


@each("links", "refused")
def test_what_is_no_link_is_refused(vector: Json) -> None:
    with pytest.raises(Unreadable):
        InviteLink.parse(vector["link"])


# Rosters and packages


@pytest.mark.parametrize("name", ["opens", "rosterEntryOpens"])
def test_a_roster_opens_to_whom_its_author_has_confirmed(name: str) -> None:
    vector = VECTORS["roster"][name]
    sealed, key = raw(vector, "sealed"), key_of(vector)

    opened = open_roster(sealed, key)

    assert plain(sealed, key) == vector["json"].encode()
    assert opened == entries(json.loads(vector["json"]))
    assert plain(seal_roster(opened, key), key) == vector["json"].encode()


@each("roster", "refused")
def test_a_roster_is_refused(vector: Json) -> None:
    sealed, key = raw(vector, "sealed"), key_of(vector)

    with pytest.raises(NotAuthentic):
        open_roster(sealed, key)
    assert opens(sealed, key) == vector["why"].startswith("inside: ")


def test_a_package_opens_to_all_that_a_joiner_needs() -> None:
    vector = VECTORS["package"]["opens"]
    sealed, said = raw(vector, "sealed"), json.loads(vector["json"])
    keys = InviteKeys.of(InviteSecret(raw(vector, "secret")), vector["code"])

    package = open_package(sealed, keys)

    assert plain(sealed, keys.wrap) == vector["json"].encode()
    assert package.group_key.value.decode() == said["groupKey"]
    assert package.key_version == said["keyVersion"]
    assert str(package.group_id) == said["groupId"]
    assert str(package.inviter_user_id) == said["inviterUserId"]
    assert to_base64url(package.inviter_public_key) == said["inviterPublicKey"]
    assert to_base64url(package.commitment) == said["commitment"]
    assert package.roster == entries(said["roster"])
    assert plain(seal_package(package, keys), keys.wrap) == vector["json"].encode()


def test_a_package_says_which_device_is_a_browser() -> None:
    vector = VECTORS["package"]["opensWithBrowser"]
    wrap = Secret(raw(vector, "wrap"))

    package = open_package(raw(vector, "sealed"), InviteKeys(wrap=wrap, proof=wrap))

    assert [entry.kind for entry in package.roster] == ["app", "web"]
    sealed = seal_package(package, InviteKeys(wrap=wrap, proof=wrap))
    assert plain(sealed, wrap) == vector["json"].encode()


@each("package", "newer")
def test_a_package_of_a_newer_form_says_so(vector: Json) -> None:
    wrap = Secret(raw(vector, "wrap"))

    with pytest.raises(NewerFormat):
        open_package(raw(vector, "sealed"), InviteKeys(wrap=wrap, proof=wrap))


@each("package", "refused")
def test_a_package_is_refused(vector: Json) -> None:
    sealed, wrap = raw(vector, "sealed"), Secret(raw(vector, "wrap"))

    with pytest.raises(NotAuthentic) as refused:
        open_package(sealed, InviteKeys(wrap=wrap, proof=wrap))
    assert not isinstance(refused.value, NewerFormat)
    assert opens(sealed, wrap) == vector["why"].startswith("inside: ")


# Proofs


@each("joinProof", "holds")
def test_a_proof_binds_key_name_code_and_kind(vector: Json) -> None:
    prefix = {"app": b"", "web": b"draugar/join/web/v1"}[vector["kind"]]
    said = prefix + raw(vector, "publicKey") + hashlib.sha256(vector["name"].encode()).digest()
    by_hand = hmac.new(raw(vector, "proofKey"), said + vector["code"].encode(), hashlib.sha256)

    made = join_proof(
        Secret(raw(vector, "proofKey")),
        raw(vector, "publicKey"),
        vector["name"],
        vector["code"],
        DeviceKind(vector["kind"]),
    )

    assert made == by_hand.digest() == raw(vector, "proof")
    assert holds(vector)


@each("joinProof", "refused")
def test_a_proof_is_refused(vector: Json) -> None:
    assert not holds(vector)


# Locations


@each("location", "opens")
def test_a_location_opens(vector: Json) -> None:
    sealed, key = raw(vector, "sealed"), key_of(vector)

    opened = open_location(sealed, key)

    assert plain(sealed, key) == vector["json"].encode()
    assert opened == json.loads(vector["json"])


def test_a_location_is_padded_to_a_multiple_of_128_bytes() -> None:
    padded = [case for case in VECTORS["location"]["opens"] if len(raw(case, "sealed")) % 128 == 40]

    for vector in padded:
        sealed = seal_location(json.loads(vector["json"]), key_of(vector))
        assert plain(sealed, key_of(vector)) == vector["json"].encode()
    assert [len(vector["json"]) for vector in padded] == [256, 128, 256]


@each("location", "refused")
def test_a_location_is_refused(vector: Json) -> None:
    sealed, key = raw(vector, "sealed"), key_of(vector)

    with pytest.raises(NotAuthentic):
        open_location(sealed, key)
    assert opens(sealed, key) == vector["why"].startswith("inside: ")


def test_each_app_has_its_own_way_to_write_the_same_bytes() -> None:
    wire = VECTORS["location"]["onTheWire"]
    first_app, owntracks = wire["firstApp"]["encryptedData"], wire["owntracks"]["message"]

    joined = from_base64url(first_app["n"]) + from_base64url(first_app["c"])

    assert joined == raw(wire["firstApp"], "sealed")
    assert base64.b64decode(owntracks["data"], validate=True) == raw(wire["owntracks"], "sealed")
    assert from_base64url(wire["draugar"]["encryptedData"]) == raw(wire["draugar"], "sealed")
    assert open_location(joined, GroupKey(vector_parts.KEY))["userId"] == str(vector_parts.ARI)


def test_a_passphrase_of_owntracks_is_a_key_with_zeros_after_it() -> None:
    vector = VECTORS["location"]["passphrase"]
    data = base64.b64decode(vector["data"], validate=True)

    opened = open_sealed(data, Secret(raw(vector, "key")), LOCATION_BYTES)

    assert raw(vector, "key") == b"s3cr1t" + bytes(26)
    assert opened == vector["text"].encode() == plain(data, Secret(raw(vector, "key")))


# The safety number


@each("safetyNumber")
def test_a_safety_number_is_that_of_two_people_and_their_devices(vector: Json) -> None:
    mine, theirs = (
        (
            UUID(vector[who]["userId"]),
            [
                device_token(raw(device, "publicKey"), DeviceKind(device["kind"]))
                for device in vector[who]["devices"]
            ],
        )
        for who in ("mine", "theirs")
    )

    number = safety_number(mine, theirs)

    assert number == safety_number(theirs, mine) == vector["safetyNumber"]
    assert number == number_by_hand(vector)
    assert re.fullmatch(r"\d{5}( \d{5}){11}", number)


@each("safetyNumber")
def test_a_browser_stands_in_a_safety_number_by_a_hash(vector: Json) -> None:
    for device in (*vector["mine"]["devices"], *vector["theirs"]["devices"]):
        hashed = hashlib.sha256(b"draugar/device/web/v1" + raw(device, "publicKey")).digest()
        token = {"app": raw(device, "publicKey"), "web": hashed}[device["kind"]]
        assert raw(device, "token") == token


def test_safety_numbers_differ_when_a_device_does() -> None:
    numbers = [vector["safetyNumber"] for vector in VECTORS["safetyNumber"]]

    assert numbers[0] == numbers[1]
    assert numbers[2] == numbers[3]
    assert numbers[5] == numbers[6]
    assert len({*numbers}) == 5


def plain(sealed: bytes, key: Secret) -> bytes:
    return bindings.crypto_secretbox_open_easy(sealed[24:], sealed[:24], key.value)


def by_openssl(vector: Json) -> bytes:
    """Return the JSON of a statement whose signature another library has verified."""
    opened = plain(raw(vector, "sealed"), key_of(vector))
    text, signature = opened[:-64], opened[-64:]
    u = int.from_bytes(raw(vector, "publicKey"), "little")
    y = (u - 1) * pow(u + 1, -1, 2**255 - 19) % (2**255 - 19)
    message = (
        b"draugar/statement/v2"
        + bytes.fromhex(vector["groupId"].replace("-", ""))
        + bytes.fromhex(f"{vector['keyVersion']:08x}")
        + bytes.fromhex(json.loads(text)["by"].replace("-", ""))
        + text
    )
    Ed25519PublicKey.from_public_bytes(y.to_bytes(32, "little")).verify(signature, message)
    return text


def is_signed(opened: Opened, vector: Json) -> bool:
    return opened.is_signed_by(
        raw(vector, "publicKey"),
        group_id=UUID(vector["groupId"]),
        version=vector["keyVersion"],
    )


def signed_and_sealed(text: str, vector: Json) -> bytes:
    message = (
        b"draugar/statement/v2"
        + UUID(vector["groupId"]).bytes
        + vector["keyVersion"].to_bytes(4, "big")
        + UUID(json.loads(text)["by"]).bytes
        + text.encode()
    )
    signature = signing.sign(DeviceKey(raw(vector, "secretKey")), message)
    nonce, key = bytes(24), vector["groupKey"].encode()
    return nonce + bindings.crypto_secretbox_easy(text.encode() + signature, nonce, key)


def said(statement: object) -> Json:
    """Write a statement as its vector has it."""
    match statement:
        case Roster():
            people: dict[UUID, Json] = {}
            for one in statement.introductions:
                person = people.setdefault(
                    one.device.user_id, {"userId": str(one.device.user_id), "devices": []}
                )
                person["devices"].append(introduced(one))
                if one.name is not None:
                    person["name"] = one.name
            members = {
                "commitment": to_base64url(statement.commitment),
                "made": statement.made,
                "browsers": str(statement.browsers),
                "complete": statement.complete,
                "people": list(people.values()),
                "gone": [[str(device_id), ended] for device_id, ended in statement.gone],
            }
        case Entry(introduction=one):
            members = {"userId": str(one.device.user_id), "device": introduced(one)}
            if one.name is not None:
                members["name"] = one.name
        case Card():
            members = {
                "userId": str(statement.user_id),
                "n": statement.n,
                "name": statement.name,
                "kind": str(statement.kind),
                "own": [introduced(one) for one in statement.own],
            }
        case Former():
            members = {"until": statement.until}
        case _:
            raise TypeError(statement)
    return {"form": 2, "is": type(statement).__name__.lower(), "by": str(statement.by)} | members


def introduced(one: Introduction) -> Json:
    return {
        "deviceId": str(one.device.device_id),
        "publicKey": to_base64url(one.device.public_key),
        "kind": str(one.device.kind),
        "since": one.since,
    }


def opens(sealed: bytes, key: Secret) -> bool:
    try:
        plain(sealed, key)
    except CryptoError:
        return False
    return True


def entries(said: list[dict[str, str]]) -> list[RosterEntry]:
    return [
        RosterEntry(
            user_id=UUID(entry["userId"]),
            name=entry["name"],
            device_id=UUID(entry["deviceId"]),
            public_key=base64.urlsafe_b64decode(entry["publicKey"] + "="),
        )
        for entry in said
    ]


def holds(vector: Json) -> bool:
    return proof_holds(
        raw(vector, "proof"),
        Secret(raw(vector, "proofKey")),
        raw(vector, "publicKey"),
        vector["name"],
        vector["code"],
        DeviceKind(vector["kind"]),
    )


def number_by_hand(vector: Json) -> str:
    halves = {
        bytes.fromhex(vector[who]["userId"].replace("-", "")): "".join(
            sorted(device["token"] for device in vector[who]["devices"])
        )
        for who in ("mine", "theirs")
    }
    said = b"draugar/safety/v1"
    for user_id in sorted(halves):
        said += user_id + bytes.fromhex(halves[user_id])
    digits = ""
    for text in (said, b"\x01" + said):
        digest = hashlib.sha512(text).digest()
        for _ in range(5199):
            digest = hashlib.sha512(digest + text).digest()
        for group in range(6):
            five = digest[group * 5 : group * 5 + 5]
            digits += f" {int(five.hex(), 16) % 100000:05d}"
    return digits.strip()
