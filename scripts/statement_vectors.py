"""The test vectors of signatures and of the statements that they sign."""

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any
from uuid import UUID

from scripts import edwards
from scripts.edwards import BASE, NEUTRAL, ORDER, P
from scripts.vector_parts import (
    ARI,
    ARIS_PHONE,
    GROUP,
    KEY,
    OTHER_GROUP,
    OTHER_KEY,
    UNA,
    UNAS_PHONE,
    Json,
    base64url,
    commitment_to,
    compact,
    key_pair,
    random_for,
    sealed_as,
    tampered,
    without,
)

_KEY_BYTES = 32
_VERSION = 3
_LAST = 2**31 - 1
_LAST_SECOND = 253_402_300_799
_LARGEST = {"roster": 57_344, "entry": 768, "card": 3072, "former": 256}
_EMOJI = "\U0001f9ed"


# Signatures


def signing() -> Json:
    """Signatures with Z given; signatures and public keys that are refused."""
    cases = {
        "nothing": ("Una's phone", b""),
        "a byte": ("Ari's phone", b"\0"),
        "a text": ("Ari's tablet", b"draugar/statement/v2"),
        "1000 bytes": ("a stranger", b"\xa5" * 1000),
        "by another device": ("Ari's browser", b"draugar/statement/v2"),
        "by a device whose point has an odd x": (_of_sign(1), b"a message"),
        "by a device whose point has an even x": (_of_sign(0), b"a message"),
    }
    return {
        "signs": [
            *(
                _signature(what, name, said, random_for(what))
                for what, (name, said) in cases.items()
            ),
            _signature("with a Z of zeros", "Una's phone", b"a message", bytes(64)),
            _signature("with a Z of ones", "Una's phone", b"a message", b"\xff" * 64),
        ],
        "refused": _refused_signatures(),
        "noDeviceKeys": [
            {"why": why, "publicKey": public.hex()} for why, public in _no_device_keys().items()
        ],
    }


def _of_sign(sign: int) -> str:
    """Return the name of a device whose point on Edwards' curve has an x of this parity."""
    names = (f"device {number}" for number in count())
    return next(
        name for name in names if BASE.times(edwards.scalar_of(key_pair(name)[0])).x % 2 == sign
    )


def _signature(what: str, name: str, message: bytes, random: bytes) -> Json:
    secret, public = key_pair(name)
    point = _point(public)
    return {
        "what": what,
        "secretKey": secret.hex(),
        "publicKey": public.hex(),
        "edwardsPublicKey": point.encoded.hex(),
        "random": random.hex(),
        "message": message.hex(),
        "signature": edwards.signed(secret, message, random).hex(),
    }


def _refused_signatures() -> list[Json]:
    secret, public = key_pair("Una's phone")
    message = b"a message"
    right = edwards.signed(secret, message, random_for("a signature that is spoiled"))
    response = int.from_bytes(right[32:], "little")
    scalar, point = edwards.scalar_of(secret) % ORDER, _point(public)
    if BASE.times(scalar) != point:
        scalar = ORDER - scalar
    nonce, torsion = edwards.hashed(b"a nonce"), edwards.of_order_8()
    opposite = BASE.times(ORDER - scalar)
    mixed_commitment = BASE.times(nonce).plus(torsion).encoded
    neutral = NEUTRAL.encoded
    of_una = {
        **{f"bit {bit} is another": _flipped(right, bit) for bit in (0, 100, 255, 256, 400, 511)},
        "a byte is cut off": right[:-1],
        "a byte is added": right + b"\0",
        "it is empty": b"",
        "it is all zero": bytes(64),
        "S is not reduced": right[:32] + (response + ORDER).to_bytes(32, "little"),
        "S is 0": right[:32] + bytes(32),
        "by the point of the other sign": edwards.signature(
            nonce, ORDER - scalar, opposite, message
        ),
        "R is the neutral point": edwards.ending(neutral, 0, scalar, point.encoded, message),
        "R is the neutral point, not reduced": edwards.ending(
            (P + 1).to_bytes(32, "little"), 0, scalar, point.encoded, message
        ),
        "R is beside the group of the base point": edwards.ending(
            mixed_commitment, nonce, scalar, point.encoded, message
        ),
        "R is no point": edwards.ending(_no_point(), nonce, scalar, point.encoded, message),
    }
    found = [
        {"why": why, "publicKey": public.hex(), "message": message.hex(), "signature": it.hex()}
        for why, it in of_una.items()
    ]
    whole = {"publicKey": public.hex(), "message": message.hex(), "signature": right.hex()}
    found += [
        {"why": "another public key", **whole, "publicKey": key_pair("a stranger")[1].hex()},
        {"why": "another message", **whole, "message": b"a massage".hex()},
        {"why": "a longer message", **whole, "message": (message + b"\0").hex()},
        {"why": "a shorter message", **whole, "message": message[:-1].hex()},
    ]
    return found + [
        {
            "why": f"right but for its public key: {why}",
            "publicKey": key.hex(),
            "message": message.hex(),
            "signature": _by_no_device(key, scalar, message, right).hex(),
        }
        for why, key in _no_device_keys().items()
    ]


def _point(public: bytes) -> edwards.Point:
    point = edwards.edwards(public)
    if point is None:
        raise ArithmeticError
    return point


def _flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _no_device_keys() -> dict[str, bytes]:
    """Public keys that no device can have made; X25519 takes them all."""
    _, public = key_pair("Una's phone")
    u = int.from_bytes(public, "little")
    torsion = edwards.of_order_8()
    twisted = next(u for u in count(2) if edwards.edwards(u.to_bytes(32, "little")) is None)
    point = _point(public)
    numbers = {
        "u = 0, of order 2": 0,
        "u = 1, of order 4": 1,
        "u = -1": P - 1,
        "u = p": P,
        "u = p + 1": P + 1,
        "u + p": u + P,
        "a u with its highest bit set": u + 2**255,
        "a u of the twist": twisted,
    }
    return {why: number.to_bytes(32, "little") for why, number in numbers.items()} | {
        "of order 8": torsion.montgomery,
        "another one of order 8": torsion.times(3).montgomery,
        "beside the group of the base point": point.plus(torsion).montgomery,
        "all bits set": b"\xff" * 32,
        "31 bytes": public[:-1],
        "33 bytes": public + b"\0",
        "empty": b"",
    }


def _no_point() -> bytes:
    """Return 32 bytes that are the y of no point."""
    found = next(y for y in count(2) if edwards.Point.of(y) is None)
    return found.to_bytes(32, "little")


def _by_no_device(public: bytes, scalar: int, message: bytes, right: bytes) -> bytes:
    """Return a signature for which the equation of Ed25519 holds.

    Where no equation is to be had: the signature by the key that a reader makes of this one who
    does not check it.
    """
    is_number = len(public) == _KEY_BYTES and int.from_bytes(public, "little") < P - 1
    point = edwards.edwards(public) if is_number else None
    secrets = [
        secret
        for secret in (0, scalar, ORDER - scalar)
        if point and point.plus(BASE.times(ORDER - secret)).times(8) == NEUTRAL
    ]
    if not point or not secrets:
        return right
    for nonce in count(1):
        commitment = BASE.times(nonce).encoded
        if edwards.hashed(commitment, point.encoded, message) % 8 == 0:
            return edwards.ending(commitment, nonce, secrets[0], point.encoded, message)
    raise ArithmeticError


# Statements


def statements() -> Json:
    """Statements that are taken, that another device signed, that are newer or refused."""
    opens = [_opening(what, statement) for what, statement in _taken().items()]
    texts = {
        "an entry in another order and with blanks": json.dumps(
            dict(reversed(_ENTRY.items())), ensure_ascii=False, indent=2
        ),
        "an entry with its letters escaped": json.dumps(_ENTRY, ensure_ascii=True),
    }
    opens += [_opening_text(what, text) for what, text in texts.items()]
    return {
        "opens": opens,
        "unsigned": _unsigned(opens),
        "newer": [_opening(what, statement) for what, statement in _NEWER.items()],
        "refused": [
            *({"why": why, **it, "by": None} for why, it in _not_opening().items()),
            *(_refused(why, compact(it), it) for why, it in _misread().items()),
            *(_refused(why, text) for why, text in _ill_formed().items()),
        ],
        "sizes": [
            {"json": compact(statement), "largest": _LARGEST[statement["is"]], **_author()}
            for statement in (_ROSTER, _ENTRY, _CARD, _FORMER)
        ],
    }


def _frame(what: str) -> Json:
    return {"form": 2, "is": what, "by": str(UNAS_PHONE)}


def _device(device_id: UUID, name: str, kind: str = "app", since: int = 1) -> Json:
    return {
        "deviceId": str(device_id),
        "publicKey": base64url(key_pair(name)[1]),
        "kind": kind,
        "since": since,
    }


def _numbered(number: int) -> UUID:
    return UUID(int=_FIRST_ID + number)


def _devices(first: int, last: int) -> list[Json]:
    return [_device(_numbered(number), f"device {number}") for number in range(first, last)]


_FIRST_ID = 0x019F1CCC_9F43_7CCC_8003_000000000000
_ARIS_BROWSER = UUID("019f1ccc-9f43-7bbb-8003-000000000003")
_GONE = UUID("019f1ccc-9f43-7bbb-8004-000000000004")
_UNA_SAID: Json = {
    "userId": str(UNA),
    "name": "Una",
    "devices": [_device(UNAS_PHONE, "Una's phone")],
}
_ROSTER: Json = _frame("roster") | {
    "commitment": base64url(commitment_to(GROUP, _VERSION, KEY)),
    "made": 1_782_907_200,
    "browsers": "accepted",
    "complete": True,
    "people": [_UNA_SAID],
    "gone": [[str(_GONE), 2]],
}
_ENTRY: Json = _frame("entry") | {
    "userId": str(ARI),
    "name": "Ari \u00de\u00f3r \U0001f9ed",
    "device": _device(ARIS_PHONE, "Ari's phone", since=3),
}
_CARD: Json = _frame("card") | {
    "userId": str(UNA),
    "n": 4,
    "name": "Una",
    "kind": "app",
    "own": [_device(_numbered(1), "device 1")],
}
_FORMER: Json = _frame("former") | {"until": 1_782_907_200}
_NEWER: Json = {
    "form 3 with other members": {"form": 3, "is": "roster", "by": str(UNAS_PHONE), "root": "x"},
    "form 3 of another kind": {"form": 3, "is": {"a": "ledger"}, "by": str(UNAS_PHONE)},
    "form 3 without a kind": {"form": 3, "by": str(UNAS_PHONE)},
    "form 2^31 - 1 that would be an entry": _ENTRY | {"form": _LAST},
}


def _person(user_id: UUID, devices: list[Json], name: str | None = None) -> Json:
    return {"userId": str(user_id)} | ({"name": name} if name else {}) | {"devices": devices}


def _taken() -> Json:
    """Statements within their bounds, among them each bound itself."""
    people = [
        _person(_numbered(number), _devices(3 * number, 3 * number + 3), f"Person {number}")
        for number in range(50)
    ]
    ari = _person(
        ARI,
        [
            _device(ARIS_PHONE, "Ari's phone", since=2),
            _device(_ARIS_BROWSER, "Ari's browser", "web", since=3),
        ],
    )
    return {
        "a roster": _ROSTER | {"people": [_UNA_SAID, ari]},
        "a roster that refuses browsers": _ROSTER | {"browsers": "refused"},
        "a roster that is not complete": _ROSTER | {"complete": False},
        "a roster of a device that has come back": _ROSTER
        | {"people": [_person(UNA, [_device(_GONE, "device 1", since=3)])]},
        "a roster of no device": _ROSTER | {"people": [], "gone": []},
        "a roster of the first second": _ROSTER | {"made": 0},
        "a roster of the last second": _ROSTER | {"made": _LAST_SECOND},
        "a roster of 50 people, 150 devices and 200 that have gone": _ROSTER
        | {"people": people, "gone": _gone(200)},
        "an entry": _ENTRY,
        "an entry without a name": without(_ENTRY, "name"),
        "an entry for a browser": _ENTRY
        | {"device": _device(_ARIS_BROWSER, "Ari's browser", "web", since=3)},
        "an entry of since 0": _ENTRY | {"device": _ENTRY["device"] | {"since": 0}},
        "an entry of since 2^31 - 1": _ENTRY | {"device": _ENTRY["device"] | {"since": _LAST}},
        **{f"an entry with {why}": _ENTRY | {"name": name} for why, name in _NAMES.items()},
        "a card": _CARD,
        "a card without other devices": _CARD | {"own": []},
        "a card of a browser": _CARD | {"kind": "web"},
        "a card of n = 0": _CARD | {"n": 0},
        "a card of n = 2^31 - 1": _CARD | {"n": _LAST},
        "a card with 16 other devices": _CARD | {"own": _devices(0, 16), "name": _EMOJI * 64},
        "the time of a former version": _FORMER,
        "the time of a former version, 0": _FORMER | {"until": 0},
        "the time of a former version, the last second": _FORMER | {"until": _LAST_SECOND},
    }


def _gone(number: int) -> list[Any]:
    return [[str(_numbered(1000 + index)), index] for index in range(number)]


_NAMES = {
    "a name of one letter": "U",
    "a name of 64 letters": "u" * 64,
    "a name of 256 bytes": _EMOJI * 64,
    "a name with quotes": 'Una "the elder" \\',
    "a name with blanks inside": "Una  \u3000 Ari",
    "a name with an invisible character": "U\u200dna",
    "a name that begins with one": "\ufeffUna",
}
_NO_NAMES: Mapping[str, Any] = {
    "empty": "",
    "null": None,
    "a number": 7,
    "a list": ["Una"],
    "65 letters": "u" * 65,
    "blanks": "  ",
    "a blank in front": " Una",
    "a blank behind": "Una\u3000",
    "nothing that shows": "\u200b\u3164\ufeff",
    "a line break": "Una\nEve",
    "a line separator": "Una\u2028Eve",
    "a control character": "Una\u001b[2J",
    "a control character of C1": "Una\u0085Eve",
    "what turns text around": "Una\u202eEve",
    "an isolate": "Una\u2066Eve",
}
_NO_NUMBERS: Mapping[str, Any] = {
    "a text": "1",
    "a fraction": 1.0,
    "true": True,
    "null": None,
    "below 0": -1,
    "2^31": 2**31,
}
_NO_TIMES = dict(_NO_NUMBERS) | {"2^31": _LAST_SECOND + 1}
_NO_IDS: Mapping[str, Any] = {
    "no UUID": "Una",
    "in upper case": "019F1CCC-9F41-7AAA-8001-00000000000A",
    "without hyphens": UNA.hex,
    "null": None,
    "a number": 7,
}
_NO_KEYS: Mapping[str, Any] = {
    "31 bytes": base64url(bytes(range(31))),
    "33 bytes": base64url(bytes(range(33))),
    "with padding": base64url(key_pair("device 1")[1]) + "=",
    "in standard base64": "+" * 42 + "8",
    "null": None,
    "empty": "",
}
_NO_KINDS: Mapping[str, Any] = {
    "another word": "phone",
    "in upper case": "App",
    "null": None,
    "a list": ["app"],
    "an object": {},
}
_NO_LISTS: Mapping[str, Any] = {"null": None, "an object": {}, "a text": "", "a number": 0}


def _misread() -> Json:
    """Statements that are signed and break a rule: each member wrong, each bound exceeded."""
    return {
        **_wrong_frames(),
        **_each_missing(),
        **_wrong_rosters(),
        **_wrong_entries(),
        **_wrong_cards(),
        **_wrong(_FORMER, "until", _NO_TIMES),
    }


def _wrong(statement: Json, member: str, values: Mapping[str, Any], of: Iterable[str] = ()) -> Json:
    """Return a statement with wrong values of a member, which may be one of inner objects."""
    path = [*of, member]
    named = f"{statement['is']}: {' of '.join(reversed(path))}"
    return {f"{named} is {why}": _changed(statement, path, it) for why, it in values.items()}


def _changed(value: Any, path: list[str], to: Any) -> Any:
    name, *inner = path
    if isinstance(value, list):
        return [_changed(value[0], path, to), *value[1:]]
    return value | {name: _changed(value[name], inner, to) if inner else to}


def _wrong_frames() -> Json:
    forms = {
        "0": 0,
        "1": 1,
        "-2": -2,
        "2.0": 2.0,
        "a text": "2",
        "true": True,
        "null": None,
        "3.5": 3.5,
    }
    kinds = {"another word": "ledger", "in upper case": "Entry", "null": None, "a list": ["entry"]}
    return {
        **_wrong(_ENTRY, "form", forms | {"2^31": 2**31}),
        **_wrong(_ENTRY, "is", kinds),
        **_wrong(_ENTRY, "by", _NO_IDS),
        "entry: the members of a card": _CARD | {"is": "entry"},
        "a list with an entry": [_ENTRY],
        "null": None,
        "a roster of form 1": [
            {
                "userId": str(UNA),
                "name": "Una",
                "deviceId": str(UNAS_PHONE),
                "publicKey": base64url(key_pair("Una's phone")[1]),
            }
        ],
        "a newer form that does not say by whom": {"form": 3, "is": "entry"},
    }


def _each_missing() -> Json:
    found: Json = {}
    for whole in (_ROSTER, _ENTRY, _CARD, _FORMER):
        of, optional = whole["is"], {"name"} if whole["is"] == "entry" else set()
        found |= {
            f"{of}: {name} is missing": without(whole, name)
            for name in whole
            if name not in optional
        }
        found[f"{of}: a member is unknown"] = whole | {"seal": 1}
    device = _ENTRY["device"]
    found |= {
        f"entry: {name} of device is missing": _ENTRY | {"device": without(device, name)}
        for name in device
    }
    found["entry: a member of device is unknown"] = _ENTRY | {"device": device | {"name": "Ari"}}
    found |= {
        f"roster: {name} of people is missing": _ROSTER | {"people": [without(_UNA_SAID, name)]}
        for name in ("userId", "devices")
    }
    found["roster: a member of people is unknown"] = _ROSTER | {"people": [_UNA_SAID | {"n": 1}]}
    return found


def _wrong_rosters() -> Json:
    una, people = _device(UNAS_PHONE, "Una's phone"), [_UNA_SAID]
    ari = _person(ARI, [_device(ARIS_PHONE, "Ari's phone")])
    many = [_person(_numbered(number), _devices(number, number + 1)) for number in range(51)]
    in_people, in_devices = ["people"], ["people", "devices"]
    lists: Json = {
        "people: 51": many,
        "people: 151 devices": [
            _person(UNA, _devices(0, 100)),
            _person(ARI, _devices(100, 151)),
        ],
        "people: a person twice": [*people, _person(UNA, _devices(1, 2))],
        "people: a device twice": [*people, _person(ARI, [_device(UNAS_PHONE, "device 1")])],
        "people: a device of one person twice": [_person(UNA, [una, una])],
        "people: a public key twice": [*people, _person(ARI, [_device(ARIS_PHONE, "Una's phone")])],
        "people: a person without a device": [*people, _person(ARI, [])],
        "people: a person who is a list": [*people, []],
        "people: a device that is null": [_UNA_SAID | {"devices": [una, None]}],
    }
    gone: Json = {
        "201": _gone(201),
        "a device twice": [[str(_GONE), 2], [str(_GONE), 1]],
        "a device without a version": [[str(_GONE)]],
        "a device with three members": [[str(_GONE), 2, 2]],
        "a device that is no id": [["phone", 2]],
        "a device in an object": [{"deviceId": str(_GONE), "ended": 2}],
        "a device in a text": ["ab"],
        **{f"a version that is {why}": [[str(_GONE), it]] for why, it in _NO_NUMBERS.items()},
    }
    return {
        **_wrong(_ROSTER, "commitment", _NO_KEYS),
        **_wrong(_ROSTER, "made", _NO_TIMES),
        **_wrong(_ROSTER, "browsers", {**_NO_KINDS, "true": True}),
        **_wrong(_ROSTER, "complete", {"1": 1, "null": None, "a text": "true"}),
        **_wrong(_ROSTER, "people", _NO_LISTS),
        **_wrong(_ROSTER, "gone", {**_NO_LISTS, **gone}),
        **_wrong(_ROSTER, "userId", _NO_IDS, in_people),
        **_wrong(_ROSTER, "name", _NO_NAMES, in_people),
        **_wrong(_ROSTER, "devices", _NO_LISTS, in_people),
        **_wrong(_ROSTER, "deviceId", _NO_IDS, in_devices),
        **_wrong(_ROSTER, "kind", _NO_KINDS, in_devices),
        **_wrong(_ROSTER, "since", _NO_NUMBERS, in_devices),
        **{f"roster: {why}": _ROSTER | {"people": it} for why, it in lists.items()},
        "roster: one of several names is wrong": _ROSTER
        | {"people": [_UNA_SAID, ari | {"name": "\n"}]},
    }


def _wrong_entries() -> Json:
    no_devices = {
        why: base64url(key) for why, key in _no_device_keys().items() if len(key) == _KEY_BYTES
    }
    return {
        **_wrong(_ENTRY, "userId", _NO_IDS),
        **_wrong(_ENTRY, "name", _NO_NAMES),
        **_wrong(_ENTRY, "device", {"null": None, "a list": [_ENTRY["device"]], "a text": "phone"}),
        **_wrong(_ENTRY, "deviceId", _NO_IDS, ["device"]),
        **_wrong(_ENTRY, "publicKey", {**_NO_KEYS, **no_devices}, ["device"]),
        **_wrong(_ENTRY, "kind", _NO_KINDS, ["device"]),
        **_wrong(_ENTRY, "since", _NO_NUMBERS, ["device"]),
    }


def _wrong_cards() -> Json:
    [one] = _CARD["own"]
    own: Json = {
        "17": _devices(0, 17),
        "a device twice": [one, one],
        "a public key twice": [one, one | {"deviceId": str(_GONE)}],
        "a device with a name": [one | {"name": "Una"}],
        "a device that is null": [None],
    }
    return {
        **_wrong(_CARD, "userId", _NO_IDS),
        **_wrong(_CARD, "n", _NO_NUMBERS),
        **_wrong(_CARD, "name", _NO_NAMES),
        **_wrong(_CARD, "kind", _NO_KINDS),
        **_wrong(_CARD, "own", {**_NO_LISTS, **own}),
        **_wrong(_CARD, "since", _NO_NUMBERS, ["own"]),
    }


def _ill_formed() -> Json:
    """Texts that are signed, and are not JSON that every reader reads alike."""
    text = compact(_ENTRY)
    return {
        "inside: nothing": "",
        "inside: no JSON": "Hello",
        "inside: half of it": text[: len(text) // 2],
        "inside: two values": text + text,
        "inside: a byte more": text + "\0",
        "inside: a byte order mark": "\ufeff" + text,
        "inside: a name that stands twice": text.replace(
            '"is":"entry"', '"is":"entry","is":"entry"'
        ),
        "inside: a lone surrogate": text.replace('"name":"', '"name":"\\ud800'),
        "inside: a comma too many": text.replace('"is":"entry",', '"is":"entry",,'),
        "inside: a form beyond 2^53": text.replace('"form":2', '"form":9007199254740992'),
    }


def _author() -> Json:
    """Name what the statements here are signed and sealed by."""
    secret, public = key_pair("Una's phone")
    return {
        "groupId": str(GROUP),
        "keyVersion": _VERSION,
        "groupKey": KEY.decode(),
        "secretKey": secret.hex(),
        "publicKey": public.hex(),
    }


def _opening(what: str, statement: Json) -> Json:
    return _opening_text(what, compact(statement))


def _opening_text(what: str, text: str) -> Json:
    """Return a vector of a text that is signed and sealed."""
    random, public = random_for(what), key_pair("Una's phone")[1]
    return {
        "what": what,
        "groupId": str(GROUP),
        "keyVersion": _VERSION,
        "groupKey": KEY.decode(),
        "publicKey": public.hex(),
        "random": random.hex(),
        "json": text,
        "sealed": _sealed(what, text, random).hex(),
    }


def _refused(why: str, text: str, statement: Any = None) -> Json:
    """Return a vector of a text that is signed and sealed, and by whom it says to be."""
    said = statement.get("by") if isinstance(statement, dict) else None
    return {
        "why": why,
        "groupId": str(GROUP),
        "keyVersion": _VERSION,
        "groupKey": KEY.decode(),
        "publicKey": key_pair("Una's phone")[1].hex(),
        "sealed": _sealed(why, text, random_for(why)).hex(),
        "by": said if said == str(UNAS_PHONE) else None,
    }


def _sealed(purpose: str, text: str, random: bytes) -> bytes:
    said = text.encode()
    signature = edwards.signed(key_pair("Una's phone")[0], _message(said), random)
    return sealed_as(said + signature, purpose, KEY)


def _not_opening() -> Json:
    sealed = _sealed("an entry that is spoiled", compact(_ENTRY), random_for("spoiled"))
    bad = {
        "the box is tampered with": tampered(sealed),
        "the nonce is tampered with": tampered(sealed, 0),
        "a byte is cut off": sealed[:-1],
        "a byte is added": sealed + b"\0",
        "nothing is left but nonce and tag": sealed[:40],
        "it is empty": b"",
        "inside: 63 bytes": sealed_as(bytes(63), "63 bytes", KEY),
        "inside: an entry without a signature": sealed_as(
            compact(_ENTRY).encode(), "an entry without a signature", KEY
        ),
    }
    found = {why: {"groupKey": KEY.decode(), "sealed": it.hex()} for why, it in bad.items()}
    return found | {
        "another key": {"groupKey": OTHER_KEY.decode(), "sealed": sealed.hex()},
    }


def _unsigned(opens: list[Json]) -> list[Json]:
    """Return statements that another device may have made than the one they name."""
    [right] = [
        {name: one[name] for name in ("groupId", "keyVersion", "groupKey", "publicKey", "sealed")}
        for one in opens
        if one["what"] == "an entry"
    ]
    text, ari = compact(_ENTRY).encode(), key_pair("Ari's phone")
    renamed = compact(_ENTRY | {"name": "Eve"}).encode()
    named = compact(_ENTRY | {"by": str(ARIS_PHONE)}).encode()
    una, random = key_pair("Una's phone")[0], random_for("unsigned")
    prefixed = b"draugar/statement/v1" + _message(text)[20:]
    forged = {
        "its name was changed": (renamed, _message(text)),
        "its author was changed": (named, _message(named, signer=ARIS_PHONE)),
        "the JSON alone is signed": (text, text),
        "it is signed as another device": (text, _message(text, signer=ARIS_PHONE)),
        "it is signed for another group": (text, _message(text, group=OTHER_GROUP)),
        "it is signed for another version": (text, _message(text, version=_VERSION + 1)),
        "it is signed for another purpose": (text, prefixed),
    }
    others: Json = {
        "another group": {"groupId": str(OTHER_GROUP)},
        "another version": {"keyVersion": _VERSION + 1},
        "another public key": {"publicKey": ari[1].hex()},
        "a public key of low order": {"publicKey": bytes(32).hex()},
        "it is sealed again under another version": {
            "keyVersion": _VERSION + 1,
            "groupKey": OTHER_KEY.decode(),
            "sealed": sealed_as(
                text + edwards.signed(una, _message(text), random), "sealed again", OTHER_KEY
            ).hex(),
        },
        "its signature is all zero": {"sealed": sealed_as(text + bytes(64), "zeros", KEY).hex()},
    }
    found = [{"why": why, **right, **other} for why, other in others.items()]
    for why, (said, message) in forged.items():
        signature = edwards.signed(una, message, random)
        is_aris = why == "its author was changed"
        public = ari[1].hex() if is_aris else right["publicKey"]
        sealed = sealed_as(said + signature, why, KEY).hex()
        found.append({"why": why, **right, "publicKey": public, "sealed": sealed})
    return found


def _message(
    text: bytes, *, group: UUID = GROUP, version: int = _VERSION, signer: UUID = UNAS_PHONE
) -> bytes:
    return b"draugar/statement/v2" + group.bytes + version.to_bytes(4, "big") + signer.bytes + text
