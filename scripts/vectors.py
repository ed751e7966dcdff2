"""The test vectors of the protocol, docs/vectors.json.

Made of libsodium's and the standard library's functions alone, not of the client's: a client that
agrees with these vectors agrees with docs/protocol.md, and not only with itself.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from uuid import UUID

from nacl import bindings

from scripts import statement_vectors
from scripts.vector_parts import (
    ARI,
    ARIS_PHONE,
    CODE,
    GROUP,
    KEY,
    LOW_ORDER,
    OTHER_CODE,
    OTHER_GROUP,
    OTHER_KEY,
    SECRET,
    UNA,
    UNAS_PHONE,
    Json,
    base64url,
    commitment_to,
    compact,
    key_pair,
    nonce_for,
    sealed_as,
    tampered,
    without,
)

VECTORS = Path(__file__).parents[1] / "docs" / "vectors.json"

# HSalsa20 with a key and an input of zeros: what crypto_box makes of the shared point 0.
_SHARED_BY_ALL = bytes.fromhex("351f86faa3b988468a850122b65b0acece9c4826806aeee63de9c0da2bd7f91e")


def main() -> None:
    """Write the file."""
    VECTORS.write_text(written())
    print(f"docs/{VECTORS.name} is written.")


def written() -> str:
    """Return the file as it should be."""
    vectors = {
        "about": "Test vectors of docs/protocol.md, made by scripts/vectors.py. Bytes are"
        " lower-case hexadecimal; what goes over the wire or into a hash as text is text. What"
        " stands under `refused`, `differs`, `notWrapped`, `noDeviceKeys` or `unsigned` must not be"
        " taken.",
        "deviceKeys": _device_keys(),
        "groupKey": {"random": bytes(range(24)).hex(), "groupKey": KEY.decode()},
        "commitment": _commitments(),
        "envelope": _envelopes(),
        "signing": statement_vectors.signing(),
        "statement": statement_vectors.statements(),
        "hkdf": _hkdf_of_the_rfc(),
        "codes": _codes(),
        "inviteKeys": _invite_keys(),
        "links": _links(),
        "roster": _rosters(),
        "package": _packages(),
        "joinProof": _proofs(),
        "location": _locations(),
        "safetyNumber": _safety_numbers(),
    }
    return json.dumps(vectors, indent=1, ensure_ascii=True) + "\n"


# What everything is made of


def _boxed(plain: bytes, purpose: str, recipient: str, wrapper: str) -> bytes:
    nonce = nonce_for(purpose)
    to, by = key_pair(recipient)[1], key_pair(wrapper)[0]
    return nonce + bindings.crypto_box_easy(plain, nonce, to, by)


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


# Keys


def _device_keys() -> list[Json]:
    return [
        {"of": name, "secretKey": secret.hex(), "publicKey": public.hex()}
        for name in ("Una's phone", "Ari's phone", "Ari's tablet", "a stranger")
        for secret, public in [key_pair(name)]
    ]


def _commitments() -> Json:
    cases = [(GROUP, 1, KEY), (GROUP, 258, KEY), (GROUP, 2**31 - 1, OTHER_KEY)]
    first = {"groupId": str(GROUP), "keyVersion": 1, "groupKey": KEY.decode()}
    committed = commitment_to(GROUP, 1, KEY).hex()
    return {
        "holds": [
            {
                "groupId": str(group),
                "keyVersion": version,
                "groupKey": key.decode(),
                "commitment": commitment_to(group, version, key).hex(),
            }
            for group, version, key in cases
        ],
        "differs": [
            {"why": "another version", **first, "keyVersion": 2, "commitment": committed},
            {
                "why": "another group",
                **first,
                "groupId": str(OTHER_GROUP),
                "commitment": committed,
            },
            {
                "why": "another key",
                **first,
                "groupKey": OTHER_KEY.decode(),
                "commitment": committed,
            },
        ],
    }


def _envelopes() -> Json:
    una, ari, stranger = key_pair("Una's phone"), key_pair("Ari's phone"), key_pair("a stranger")
    wrapped = _boxed(KEY, "envelope", "Ari's phone", "Una's phone")
    opens = {
        "wrapperPublicKey": una[1].hex(),
        "recipientSecretKey": ari[0].hex(),
        "wrappedKey": wrapped.hex(),
    }
    formless = _boxed(KEY[:-1] + b"=", "a key of another form", "Ari's phone", "Una's phone")
    short = _boxed(KEY[:-1], "a short key", "Ari's phone", "Una's phone")
    refused = {
        "the box is tampered with": {"wrappedKey": tampered(wrapped).hex()},
        "the nonce is tampered with": {"wrappedKey": tampered(wrapped, 0).hex()},
        "a byte is cut off": {"wrappedKey": wrapped[:-1].hex()},
        "a byte is added": {"wrappedKey": (wrapped + b"\0").hex()},
        "it is empty": {"wrappedKey": ""},
        "another sender": {"wrapperPublicKey": stranger[1].hex()},
        "another recipient": {"recipientSecretKey": stranger[0].hex()},
        "inside: no base64url": {"wrappedKey": formless.hex()},
        "inside: 31 bytes": {"wrappedKey": short.hex()},
        "a public key of 31 bytes": {"wrapperPublicKey": una[1][:-1].hex()},
    }
    refused |= {
        f"the wrapper's public key is {name}": {
            "wrapperPublicKey": point.hex(),
            # With such a key everybody shares the same secret, so that anybody could have made it.
            "wrappedKey": _boxed_for_everybody().hex(),
        }
        for name, point in LOW_ORDER.items()
    }
    return {
        "opens": {
            "nonce": wrapped[:24].hex(),
            "wrapperSecretKey": una[0].hex(),
            "recipientPublicKey": ari[1].hex(),
            **opens,
            "groupKey": KEY.decode(),
            "wrappedKeyOnTheWire": base64url(wrapped),
        },
        "refused": [{"why": why, **opens, **other} for why, other in refused.items()],
        "notWrapped": [
            {"why": f"the recipient's public key is {name}", "recipientPublicKey": point.hex()}
            for name, point in LOW_ORDER.items()
        ],
    }


def _boxed_for_everybody() -> bytes:
    """Return a box under the key that everybody agrees on with a point of low order."""
    nonce = nonce_for("a public key of low order")
    return nonce + bindings.crypto_box_easy_afternm(KEY, nonce, _SHARED_BY_ALL)


# Codes, links and what comes of them


def _hkdf_of_the_rfc() -> Json:
    """The first test case of RFC 5869, as far as 32 bytes go."""
    secret, salt, info = b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))
    return {
        "secret": secret.hex(),
        "salt": salt.hex(),
        "info": info.hex(),
        "first32Bytes": _hkdf(secret, salt, info).hex(),
    }


def _codes() -> Json:
    return {
        "canonical": [
            {"typed": "rt5w-lj8b", "code": "RT5WLJ8B"},
            {"typed": " RT5W LJ8B\n", "code": "RT5WLJ8B"},
            {"typed": "RT5W-LJ8B-K2MN-P4QX", "code": CODE},
            {"typed": "rt5wlj8bk2mnp4qx" * 2, "code": CODE * 2},
        ],
        "refused": [
            {"why": "empty", "typed": ""},
            {"why": "7 characters", "typed": "RT5WLJ8"},
            {"why": "between the two lengths", "typed": "RT5WLJ8BK"},
            {"why": "33 characters", "typed": CODE * 2 + "A"},
            {"why": "O is not in the alphabet", "typed": "RT5WLJ8O"},
            {"why": "1 is not in the alphabet", "typed": "RT5WLJ81"},
            {"why": "another script", "typed": "\u0420T5WLJ8B"},
        ],
    }


def _invite_keys() -> Json:
    salt = hashlib.sha256(CODE.encode()).digest()
    return {
        "secret": SECRET.hex(),
        "code": CODE,
        "salt": salt.hex(),
        "wrap": _hkdf(SECRET, salt, b"draugar/invite/wrap").hex(),
        "proof": _hkdf(SECRET, salt, b"draugar/invite/proof").hex(),
    }


def _links() -> Json:
    end = f"{CODE}.{base64url(SECRET)}"
    reads = {
        f"draugar://draugar.example/join#{end}": ("https://draugar.example", False),
        f"draugar://draugar.example:8443/v1/join#{end}": ("https://draugar.example:8443/v1", False),
        f"draugar://draugar.example/join#{end}.me": ("https://draugar.example", True),
        f"draugar://localhost:8000/join#{end}": ("http://localhost:8000", False),
        f"draugar://127.0.0.1:8000/join#{end}": ("http://127.0.0.1:8000", False),
        f"draugar://[::1]:8000/join#{end}.me": ("http://[::1]:8000", True),
    }
    former = {
        f"draugar://draugar.example/join?me#{end}": f"draugar://draugar.example/join#{end}.me",
        f"draugar://[::1]:8000/join?me#{end}": f"draugar://[::1]:8000/join#{end}.me",
    }
    reads |= {link: reads[written] for link, written in former.items()}
    webs = {
        f"https://draugar.example/join#{end}": f"draugar://draugar.example/join#{end}",
        f"https://draugar.example:8443/v1/join#{end}": (
            f"draugar://draugar.example:8443/v1/join#{end}"
        ),
        f"https://draugar.example/join#{end}.me": f"draugar://draugar.example/join#{end}.me",
        f"http://localhost:8000/join#{end}": f"draugar://localhost:8000/join#{end}",
        f"http://127.0.0.1:8000/join#{end}": f"draugar://127.0.0.1:8000/join#{end}",
        f"http://[::1]:8000/join#{end}.me": f"draugar://[::1]:8000/join#{end}.me",
    }
    reads |= {link: reads[written] for link, written in webs.items()}
    tls = f"https://localhost:8443/join#{end}"
    reads[tls] = ("https://localhost:8443", False)
    written_as = former | webs
    refused = {
        "a service that is not encrypted": f"http://draugar.example/join#{end}",
        "a host that only begins as this machine": f"http://localhost.example/join#{end}",
        "a scheme in upper case": f"HTTPS://draugar.example/join#{end}",
        "another scheme": f"ftp://draugar.example/join#{end}",
        "the secret in the query of a page": f"https://draugar.example/join?{end}",
        "a page of another name": f"https://draugar.example/web/join.html#{end}",
        "no secret": f"draugar://draugar.example/join#{CODE}",
        "no code": f"draugar://draugar.example/join#.{base64url(SECRET)}",
        "a secret of 15 bytes": f"draugar://draugar.example/join#{CODE}.{base64url(SECRET[:15])}",
        "a secret with bits to spare": f"draugar://draugar.example/join#{end[:-1]}x",
        "the secret in the query": f"draugar://draugar.example/join?{end}",
        "another query": f"draugar://draugar.example/join?you#{end}",
        "another word at its end": f"draugar://draugar.example/join#{end}.you",
        "`me` in upper case": f"draugar://draugar.example/join#{end}.ME",
        "`me` twice at its end": f"draugar://draugar.example/join#{end}.me.me",
        "`me` in both places": f"draugar://draugar.example/join?me#{end}.me",
        "a dot at its end": f"draugar://draugar.example/join#{end}.",
        "another path": f"draugar://draugar.example/leave#{end}",
        "a path that leads upwards": f"draugar://draugar.example/../join#{end}",
        "a name before the host": f"draugar://user@draugar.example/join#{end}",
        "no host": f"draugar:///join#{end}",
        "a port that is none": f"draugar://draugar.example:65536/join#{end}",
        "a line break": f"draugar://draugar.example/join\n#{end}",
    }
    return {
        "reads": [
            {
                "link": link,
                "url": url,
                "code": CODE,
                "secret": SECRET.hex(),
                "forMe": for_me,
                "written": written_as.get(link, link),
                "web": f"{url}/join#{end}{'.me' if for_me else ''}",
            }
            for link, (url, for_me) in reads.items()
        ],
        "refused": [{"why": why, "link": link} for why, link in refused.items()],
    }


# Rosters and packages


def _entry(user_id: UUID, name: str, device_id: UUID, device: str) -> Json:
    return {
        "userId": str(user_id),
        "name": name,
        "deviceId": str(device_id),
        "publicKey": base64url(key_pair(device)[1]),
    }


_ENTRIES = [
    _entry(UNA, "Una", UNAS_PHONE, "Una's phone"),
    _entry(ARI, "Ari Þór 🧭", ARIS_PHONE, "Ari's phone"),
]


def _rosters() -> Json:
    text = compact(_ENTRIES)
    sealed = sealed_as(text.encode(), "roster", KEY)
    una = _ENTRIES[0]
    misread = {
        "an object": {"roster": _ENTRIES},
        "null": None,
        "an entry that is a list": [una, []],
        "a member that is missing": [without(una, "name")],
        "a member that is unknown": [una | {"confirmed": True}],
        "a kind, which only a package has": [una | {"kind": "web"}],
        "a name that is a number": [una | {"name": 7}],
        "a name that is empty": [una | {"name": ""}],
        "an id that is no UUID": [una | {"userId": "Una"}],
        "an id in another form": [una | {"userId": str(UNA).upper()}],
        "an id without hyphens": [una | {"deviceId": UNAS_PHONE.hex}],
        "a public key of 31 bytes": [una | {"publicKey": base64url(bytes(31))}],
        "a public key with padding": [una | {"publicKey": una["publicKey"] + "="}],
        "a public key in standard base64": [una | {"publicKey": "+" * 42 + "8"}],
        "a public key with bits to spare": [una | {"publicKey": "A" * 42 + "B"}],
        "a device twice": [una, una | {"publicKey": base64url(key_pair("a stranger")[1])}],
    }
    return {
        "opens": {
            "groupKey": KEY.decode(),
            "nonce": sealed[:24].hex(),
            "json": text,
            "sealed": sealed.hex(),
        },
        "rosterEntryOpens": {
            "groupKey": KEY.decode(),
            "json": compact(_ENTRIES[1:]),
            "sealed": sealed_as(compact(_ENTRIES[1:]).encode(), "roster entry", KEY).hex(),
        },
        "refused": [
            *_spoiled(sealed, KEY, OTHER_KEY),
            *_misread(misread, "roster", KEY),
            *_ill_formed(text, '"name":"Una"', "roster", KEY),
        ],
    }


def _spoiled(sealed: bytes, key: bytes, other_key: bytes) -> list[Json]:
    """Return what does not open."""
    changed = {
        "the box is tampered with": tampered(sealed),
        "the nonce is tampered with": tampered(sealed, 0),
        "the tag is tampered with": tampered(sealed, 24),
        "a byte is cut off": sealed[:-1],
        "nothing is left but nonce and tag": sealed[:40],
        "nothing is left but a nonce": sealed[:24],
        "it is empty": b"",
    }
    return [
        *({"why": why, **_under(key), "sealed": it.hex()} for why, it in changed.items()),
        {"why": "another key", **_under(other_key), "sealed": sealed.hex()},
    ]


def _under(key: bytes) -> Json:
    """Name a key: a group's, or the one that an invite's secret gives for its package."""
    return {"groupKey": key.decode()} if key in (KEY, OTHER_KEY) else {"wrap": key.hex()}


def _misread(values: Json, of: str, key: bytes) -> list[Json]:
    """Return what opens and does not have the right form."""
    return [_opening(why, compact(value).encode(), of, key) for why, value in values.items()]


def _ill_formed(text: str, member: str, of: str, key: bytes) -> list[Json]:
    """Return what opens and is not JSON that everybody reads alike, made of what is.

    `member` is one of its members whose value is a text.
    """
    whole, name = text.encode(), member.partition(":")[0].encode()
    texts = {
        "nothing": b"",
        "no JSON": b"Hello from C, how are you?",
        "half of it": whole[: len(whole) // 2],
        "two values": whole + whole,
        "a byte more": whole + b"\0",
        "a byte order mark": b"\xef\xbb\xbf" + whole,
        "UTF-16": text.encode("utf-16"),
        "invalid UTF-8": whole.replace(member.encode(), name + b':"\xff"', 1),
        "overlong UTF-8": whole.replace(member.encode(), name + b':"\xc0\xaf"', 1),
        "a surrogate in UTF-8": whole.replace(member.encode(), name + b':"\xed\xa0\x80"', 1),
        "a lone surrogate": whole.replace(member.encode(), name + b':"\\ud800"', 1),
        "a line break in a text": whole.replace(member.encode(), name + b':"\n"', 1),
        "a name that stands twice": whole.replace(
            member.encode(), f"{member},{member}".encode(), 1
        ),
        "a comma too many": whole.replace(member.encode(), f"{member},".encode(), 1),
    }
    return [_opening(why, text, of, key) for why, text in texts.items()]


def _out_of_bounds(of: str, key: bytes) -> list[Json]:
    """Return JSON of which readers make different things, or nothing."""
    texts = {
        "NaN": '{"lat":NaN}',
        "Infinity": '{"lat":-Infinity}',
        "a number beyond a double": '{"lat":1e999}',
        "a whole number beyond 2^53 - 1": '{"n":9007199254740992}',
        "a number of 2000 digits": '{"n":' + "9" * 2000 + "}",
        "a lone surrogate as a name": '{"\\udfff":1}',
        "17 levels": '{"a":' + "[" * 16 + "]" * 16 + "}",
        "1500 levels": '{"a":' + "[" * 1499 + "]" * 1499 + "}",
    }
    return [_opening(why, text.encode(), of, key) for why, text in texts.items()]


def _opening(why: str, text: bytes, of: str, key: bytes) -> Json:
    sealed = sealed_as(text, f"{of}: {why}", key)
    return {"why": f"inside: {why}", **_under(key), "sealed": sealed.hex()}


def _packages() -> Json:
    keys = _invite_keys()
    wrap = bytes.fromhex(keys["wrap"])
    whole = {
        "groupKey": KEY.decode(),
        "keyVersion": 3,
        "groupId": str(GROUP),
        "inviterUserId": str(UNA),
        "inviterPublicKey": base64url(key_pair("Una's phone")[1]),
        "commitment": base64url(commitment_to(GROUP, 3, KEY)),
        "roster": _ENTRIES[:1],
    }
    text = compact(whole)
    sealed = sealed_as(text.encode(), "package", wrap)
    short = KEY.decode()[:-1]
    misread: Json = {
        "a list": [whole],
        "a commitment to another version": whole | {"keyVersion": 4},
        "a commitment of another group": whole | {"groupId": str(OTHER_GROUP)},
        "another key than it commits to": whole | {"groupKey": OTHER_KEY.decode()},
        "a key of 31 characters": whole
        | {
            "groupKey": short,
            "commitment": base64url(commitment_to(GROUP, 3, short.encode())),
        },
        "a version in a text": whole | {"keyVersion": "3"},
        "a version with a fraction": whole | {"keyVersion": 3.0},
        "a version that is true": whole
        | {"keyVersion": True, "commitment": base64url(commitment_to(GROUP, 1, KEY))},
        "version 0": whole
        | {"keyVersion": 0, "commitment": base64url(commitment_to(GROUP, 0, KEY))},
        "version 2^31": whole
        | {"keyVersion": 2**31, "commitment": base64url(commitment_to(GROUP, 2**31, KEY))},
        "a public key of 33 bytes": whole | {"inviterPublicKey": base64url(bytes(33))},
        "a roster that is null": whole | {"roster": None},
        "a kind that is `app`, which is not written": whole
        | {"roster": [_ENTRIES[0] | {"kind": "app"}]},
        "a kind that is unknown": whole | {"roster": [_ENTRIES[0] | {"kind": "phone"}]},
        "a kind that is null": whole | {"roster": [_ENTRIES[0] | {"kind": None}]},
        "a form, which this form does not write": whole | {"form": 2},
        "a form that is a text": whole | {"form": "3"},
        "a roster with half an entry": whole | {"roster": [without(_ENTRIES[0], "deviceId")]},
        "a member that is unknown": whole | {"secret": base64url(SECRET)},
        **{f"{name} missing": without(whole, name) for name in whole},
    }
    browser = _entry(ARI, "Ari", ARIS_PHONE, "Ari's browser") | {"kind": "web"}
    with_browser = whole | {"roster": [_ENTRIES[0], browser]}
    newer = {
        "form 3 with other members": b'{"form":3,"root":"x"}',
        "form 3 with the same members": compact({"form": 3} | whole).encode(),
    }
    other_salt = hashlib.sha256(OTHER_CODE.encode()).digest()
    of_other_code = _hkdf(SECRET, other_salt, b"draugar/invite/wrap")
    own_salt = bytes.fromhex(keys["salt"])
    return {
        "opens": {
            "secret": SECRET.hex(),
            "code": CODE,
            "wrap": keys["wrap"],
            "nonce": sealed[:24].hex(),
            "json": text,
            "sealed": sealed.hex(),
        },
        "opensWithBrowser": {
            "wrap": keys["wrap"],
            "json": compact(with_browser),
            "sealed": sealed_as(compact(with_browser).encode(), "with a browser", wrap).hex(),
        },
        "newer": [
            {"what": what, "wrap": keys["wrap"], "sealed": sealed_as(it, what, wrap).hex()}
            for what, it in newer.items()
        ],
        "refused": [
            *_spoiled(sealed, wrap, of_other_code),
            *_misread(misread, "package", wrap),
            *_ill_formed(text, '"name":"Una"', "package", wrap),
            {
                "why": "the key of the proof instead of the one of the package",
                **_under(_hkdf(SECRET, own_salt, b"draugar/invite/proof")),
                "sealed": sealed.hex(),
            },
        ],
    }


def _proof_of(key: bytes, public_key: bytes, name: str, kind: str) -> bytes:
    prefix = b"draugar/join/web/v1" if kind == "web" else b""
    named = hashlib.sha256(name.encode()).digest()
    return hmac.digest(key, prefix + public_key + named + CODE.encode(), "sha256")


def _proofs() -> Json:
    key = bytes.fromhex(_invite_keys()["proof"])
    public = key_pair("Ari's phone")[1]
    holds = [
        {
            "proofKey": key.hex(),
            "publicKey": public.hex(),
            "name": name,
            "code": CODE,
            "kind": kind,
            "proof": _proof_of(key, public, name, kind).hex(),
        }
        for kind in ("app", "web")
        for name in ("Ari", "Ari Þór 🧭", "me")
    ]
    proof = bytes.fromhex(holds[0]["proof"])
    stranger = key_pair("a stranger")[1]
    others = {
        "another key of the proof": {"proofKey": _invite_keys()["wrap"]},
        "another public key": {"publicKey": stranger.hex()},
        "another name": {"name": "Una"},
        "another code": {"code": OTHER_CODE},
        "an app that is called a browser": {"kind": "web"},
        "it is tampered with": {"proof": tampered(proof).hex()},
        "a byte is cut off": {"proof": proof[:-1].hex()},
        "it is empty": {"proof": ""},
    }
    return {
        "holds": holds,
        "refused": [
            *({"why": why, **holds[0], **it} for why, it in others.items()),
            {"why": "a browser that is called an app", **holds[3], "kind": "app"},
        ],
    }


# Locations


def _locations() -> Json:
    draugar = {
        "_type": "location",
        "lat": 64.146582,
        "lon": -21.942612,
        "acc": 12,
        "tst": 1782907200,
        "tid": "un",
        "draugar": {"g": str(GROUP), "u": str(UNA), "d": str(UNAS_PHONE), "n": 1},
    }
    owntracks = {
        "_type": "location",
        "BSSID": "00:00:5e:00:53:01",
        "acc": 14,
        "alt": 61,
        "batt": 87,
        "bs": 1,
        "conn": "w",
        "created_at": 1782907203,
        "lat": 64.1471,
        "lon": -21.9408,
        "m": 1,
        "t": "u",
        "tid": "ar",
        "topic": "owntracks/ari/phone",
        "tst": 1782907201,
        "vac": 3,
        "vel": 4,
    }
    first_app = {
        "userId": str(ARI),
        "latitude": 64.1471,
        "longitude": -21.9408,
        "accuracy": 14,
        "timestamp": "2026-07-01T12:00:01.000Z",
    }
    full = compact({"_type": "location", "desc": ""})
    full = compact({"_type": "location", "desc": "x" * (128 - len(full))})
    texts = {
        "of a Draugar client: padded with spaces to 256 bytes": _padded(compact(draugar)),
        "that has 128 bytes already and gets no padding": _padded(full),
        "of one byte more": _padded(full.replace("xx", "xxx", 1)),
        "in another order, with line breaks and letters as they are": json.dumps(
            {"poi": "Þingvellir 🧭", "lon": -21.1299, "lat": 64.2559}, ensure_ascii=False, indent=2
        ),
        "of an OwnTracks phone, which does not pad": compact(owntracks),
        "of the first Draugar app, which does not pad": compact(first_app),
        "that is 16 levels deep": '{"a":' + "[" * 15 + "]" * 15 + "}",
        "with the largest whole number": '{"n":9007199254740991}',
        "without anything in it": "{}",
    }
    opens = [
        {
            "what": f"a location {what}",
            "groupKey": KEY.decode(),
            "nonce": sealed[:24].hex(),
            "json": text,
            "sealed": sealed.hex(),
        }
        for what, text in texts.items()
        for sealed in [sealed_as(text.encode(), f"location {what}", KEY)]
    ]
    sealed = bytes.fromhex(opens[0]["sealed"])
    of_first_app = bytes.fromhex(opens[5]["sealed"])
    values: Json = {"a list": [draugar], "null": None, "a text": "64.1,-21.9", "a number": 64.1}
    return {
        "opens": opens,
        "onTheWire": {
            "firstApp": {
                "sealed": of_first_app.hex(),
                "encryptedData": {
                    "v": 1,
                    "n": base64url(of_first_app[:24]),
                    "c": base64url(of_first_app[24:]),
                },
            },
            "owntracks": {
                "sealed": opens[4]["sealed"],
                "message": {
                    "_type": "encrypted",
                    "data": base64.b64encode(bytes.fromhex(opens[4]["sealed"])).decode(),
                },
            },
            "draugar": {"sealed": sealed.hex(), "encryptedData": base64url(sealed)},
        },
        "passphrase": {
            "what": "a secretbox under an OwnTracks passphrase, as UTF-8 and zeros up to 32 bytes;"
            " the apps' own, from owntracks/owntracks#32 on GitHub",
            "passphrase": "s3cr1t",
            "key": b"s3cr1t".ljust(32, b"\0").hex(),
            "data": "vG0sAik3/+1KwrZ4b27yQtfJEVz6g2v0Os+yGIECNm8PnxwTR7ZUlUYRclgku7eP19FeNjJugxhY"
            "nF9pvlxDBzUxYg==",
            "text": "Hello from C, how are you?\0",
        },
        "refused": [
            *_spoiled(sealed, KEY, OTHER_KEY),
            *_misread(values, "location", KEY),
            *_ill_formed(compact(draugar), '"tid":"un"', "location", KEY),
            *_out_of_bounds("location", KEY),
            _opening(
                "nothing but spaces, 4097 bytes in all", b"{" + b" " * 4055 + b"}", "location", KEY
            ),
        ],
    }


def _padded(text: str) -> str:
    return text + " " * (-len(text.encode()) % 128)


# Safety numbers


def _safety_numbers() -> list[Json]:
    una, ari, tablet, stranger = (
        (key_pair(name)[1], "app")
        for name in ("Una's phone", "Ari's phone", "Ari's tablet", "a stranger")
    )
    browser = (key_pair("Ari's browser")[1], "web")
    phone_as_browser = (ari[0], "web")
    people = [
        ({UNA: [una]}, {ARI: [ari]}, "two people with a device each"),
        ({ARI: [ari]}, {UNA: [una]}, "the same, seen by the other"),
        ({UNA: [una]}, {ARI: [ari, tablet]}, "one has two devices"),
        ({UNA: [una]}, {ARI: [tablet, ari]}, "the same, in another order"),
        ({UNA: [una]}, {ARI: [stranger]}, "a stranger in another person's place"),
        ({UNA: [una]}, {ARI: [ari, browser]}, "one has a browser, too"),
        ({ARI: [browser, ari]}, {UNA: [una]}, "the same, seen by the other, in another order"),
        ({UNA: [una]}, {ARI: [phone_as_browser]}, "a phone that is called a browser"),
    ]
    return [
        {
            "what": what,
            "mine": _person(mine),
            "theirs": _person(theirs),
            "safetyNumber": _number(mine | theirs),
        }
        for mine, theirs, what in people
    ]


_Person = dict[UUID, list[tuple[bytes, str]]]


def _person(person: _Person) -> Json:
    [(user_id, devices)] = person.items()
    return {
        "userId": str(user_id),
        "devices": [
            {"publicKey": key.hex(), "kind": kind, "token": _token(key, kind).hex()}
            for key, kind in devices
        ],
    }


def _token(key: bytes, kind: str) -> bytes:
    return hashlib.sha256(b"draugar/device/web/v1" + key).digest() if kind == "web" else key


def _number(people: _Person) -> str:
    said = b"draugar/safety/v1"
    for user_id in sorted(people, key=lambda one: one.bytes):
        said += user_id.bytes
        said += b"".join(sorted(_token(key, kind) for key, kind in people[user_id]))
    groups = []
    for prefix in (b"", b"\x01"):
        digest = b""
        for _ in range(5200):
            digest = hashlib.sha512(digest + prefix + said).digest()
        groups += [
            f"{int.from_bytes(digest[at : at + 5], 'big') % 100_000:05}" for at in range(0, 30, 5)
        ]
    return " ".join(groups)


if __name__ == "__main__":
    main()
