"""The promise: nothing that opens anything is ever on the server, in whatever spelling."""

import base64
import hashlib
import json
import logging
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import pytest
from nacl.public import Box, PrivateKey, PublicKey
from nacl.secret import SecretBox
from sqlalchemy.orm import Session

from chalicelib.invites.codes import InviteCode as Code
from chalicelib.web import to_base64
from tests import factories
from tests.api import Api
from tests.factories import Someone
from tests.features.keys.hearth import Hearth

PLACE = {"lat": 64.13579135, "lon": -21.24680246, "acc": 13}


@dataclass(frozen=True)
class Phone:
    """A member's device, which makes and opens keys by itself."""

    who: Someone
    private: PrivateKey

    @classmethod
    def joining(cls, code: str, **fields: Any) -> tuple[Self, Any]:
        """Come in by a code; return what was answered too."""
        private = PrivateKey.generate()
        device = {"name": "Phone", "publicKey": to_base64(bytes(private.public_key))}
        body = {"code": code, "name": "Una", "device": device, **fields}
        answer = Api().post("/api/auth/join", body).json
        who = Someone(UUID(answer["user"]["id"]), UUID(answer["device"]["id"]), answer["token"])
        return cls(who, private), answer

    def wrap(self, key: bytes, public_key: str) -> str:
        """Wrap a group key for a device."""
        box = Box(self.private, PublicKey(read(public_key)))
        return to_base64(bytes(box.encrypt(key)))

    def version(self, number: int, key: bytes, *devices: tuple[str, str]) -> dict[str, Any]:
        """Make what a rotation sends: the key wrapped for devices, by id and public key."""
        own = (str(self.who.device_id), to_base64(bytes(self.private.public_key)))
        return {
            "expectedVersion": number - 1,
            "commitment": to_base64(hashlib.sha256(key).digest()),
            "roster": to_base64(bytes(SecretBox(key).encrypt(b"[]" * 20))),
            "envelopes": [
                {"deviceId": device_id, "wrappedKey": self.wrap(key, public_key)}
                for device_id, public_key in (own, *devices)
            ],
        }

    def open(self, hearth: Hearth) -> bytes:
        """Open the newest envelope of this device."""
        envelope = hearth.keys(self.who)["envelopes"][-1]
        box = Box(self.private, PublicKey(read(envelope["wrapperPublicKey"])))
        return box.decrypt(read(envelope["wrappedKey"]))


@dataclass
class Secrets:
    """All that must not be found, in every spelling in which it could be."""

    spellings: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, value: bytes) -> bytes:
        """Remember a secret."""
        self.spellings += [
            (f"{name}, hex", value.hex()),
            (f"{name}, base64", base64.b64encode(value).decode().rstrip("=")),
            (f"{name}, base64url", to_base64(value)),
            (f"{name}, as it is", value.decode("latin-1")),
        ]
        return value

    def found_in(self, text: str) -> list[str]:
        """Return the names of those that stand in a text."""
        return [name for name, spelling in self.spellings if spelling in text]


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let all loggers say all."""
    with caplog.at_level(logging.DEBUG):
        yield


@pytest.mark.usefixtures("every_log", "api")
def test_a_copy_of_the_database_and_of_the_logs_opens_nothing(
    session: Session, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    hidden = Secrets()
    keys = [
        hidden.add("group key", base64.urlsafe_b64encode(secrets.token_bytes(24))) for _ in "12"
    ]
    link_secret = hidden.add("invite secret", secrets.token_bytes(16))
    codes = [factories.founding_invite(session).text, Code.make(None).text, Code.make(None).text]
    point = hidden.add("point", json.dumps(PLACE).encode())

    una, joined = Phone.joining(codes[0])
    hearth = Hearth(UUID(joined["group"]["id"]))
    assert hearth.rotate(una.who, una.version(1, keys[0])).status == 201
    link_key = hidden.add("link's key", hashlib.sha256(link_secret).digest())
    package = to_base64(bytes(SecretBox(link_key).encrypt(keys[0])))
    carried = {"keyPackage": package, "keyVersion": 1}
    for code, fields in ((codes[1], carried), (codes[2], {})):
        assert hearth.invite(una.who, code=code, **fields).status == 201
    ari, by_link = Phone.joining(codes[1])
    bera, _ = Phone.joining(codes[2])
    opened = SecretBox(link_key).decrypt(read(by_link["keyPackage"]))
    own = ari.wrap(opened, to_base64(bytes(ari.private.public_key)))
    assert hearth.hand_on(ari.who, ari.who, own).status == 204
    (waiting,) = hearth.pending(ari.who)
    assert hearth.hand_on(ari.who, bera.who, ari.wrap(opened, waiting["publicKey"])).status == 204
    sealed = factories.sealed_point(sealed=bytes(SecretBox(keys[0]).encrypt(point)), keyVersion=1)
    assert hearth.post(bera.who, sealed).status == 200
    (seen,) = Api(ari.who.token).get("/api/locations/latest").json["locations"]
    assert hearth.leave(ari.who).status == 204
    beras = (waiting["deviceId"], waiting["publicKey"])
    assert hearth.rotate(una.who, una.version(2, keys[1], beras)).status == 201

    # The members' own devices open everything,
    assert bera.open(hearth) == keys[1]
    assert json.loads(SecretBox(keys[0]).decrypt(read(seen["encryptedData"]))) == PLACE
    # and whoever has all of the rest nothing.
    for phone in (una, ari, bera):
        hidden.add("private key", bytes(phone.private))
        hidden.add("token", phone.who.token.encode())
    for code in codes:
        hidden.add("code", code.encode())
    dump = factories.everything(session)
    printed = capfd.readouterr()
    assert hidden.found_in(dump) == []
    assert hidden.found_in(caplog.text + printed.out + printed.err) == []
    assert to_hex(package) not in dump
    # It was all there to be found.
    assert to_hex(sealed["encryptedData"]) in dump
    assert printed.out.count('"status": 20') > 12


def read(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_hex(text: str) -> str:
    """Return how the database writes bytes that were sent as base64url."""
    return read(text).hex()
