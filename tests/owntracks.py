"""What the OwnTracks apps do with an answer, read as strictly as the strictest of their releases.

A stand-in keeps what its app would: friends by `tid`, each with a card and a position. It raises
where the app would lose an answer, block its queue or alarm its person.
"""

import base64
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

Json = dict[str, Any]

_KNOWN = {
    "location",
    "transition",
    "card",
    "cmd",
    "lwt",
    "waypoint",
    "waypoints",
    "status",
    "encrypted",
}
_NUMBERS = {"lat", "lon", "acc", "tst", "alt", "vac", "vel", "cog", "batt", "bs", "m", "wtst"}
_WHOLE = {"acc", "tst", "wtst", "alt", "vac", "vel", "cog", "batt", "bs", "m"}
_TEXTS = {"tid", "t", "conn", "topic", "name", "face", "event", "desc"}


class NotDelivered(Exception):
    """The app takes its message for undelivered: it sends it again, or drops it with an alert."""


class NotUnderstood(Exception):
    """The app throws the answer away."""


@dataclass
class App(ABC):
    """An app in HTTP mode, with an encryption key if one was set in it."""

    key: bytes | None = None
    friends: dict[str, Json] = field(default_factory=dict)
    notices: list[Json] = field(default_factory=list)

    headers: ClassVar[dict[str, str]]

    def body(self, message: Json) -> bytes:
        """Write a message as it goes out, sealed if the app has a key."""
        text = json.dumps(message).encode()
        if self.key is None:
            return text
        sealed = bytes(SecretBox(self.key).encrypt(text))
        return json.dumps(
            {"_type": "encrypted", "data": base64.b64encode(sealed).decode()} | self._named()
        ).encode()

    def _named(self) -> Json:
        return {}

    def receive(self, status: int, text: str) -> list[Json]:
        """Take an answer; return the messages that were understood.

        Raises NotDelivered, NotUnderstood.
        """
        if status != 200:
            raise NotDelivered(status)
        try:
            answer = json.loads(text)
        except ValueError:
            raise NotDelivered("no JSON") from None
        if isinstance(answer, dict) and "_type" not in answer:
            raise NotDelivered("an object that is no message")
        elements = answer if isinstance(answer, list) else [answer]
        sealed = [element for element in elements if element.get("_type") == "encrypted"]
        if sealed:
            if elements is answer:
                raise NotUnderstood("the app for iOS opens a bare object only")
            elements = self._opened(sealed[0])
        for element in elements:
            self._understand(element)
        for element in elements:
            self._keep(element)
        return elements

    def _opened(self, element: Json) -> list[Json]:
        data = base64.b64decode(element["data"], validate=True)
        if element.keys() != {"_type", "data"}:
            raise NotUnderstood(element.keys())
        if self.key is None:
            raise NotDelivered("sealed, and the app has no key")
        try:
            opened = json.loads(SecretBox(self.key).decrypt(data))
        except CryptoError:
            raise NotUnderstood("sealed with another key") from None
        return opened if isinstance(opened, list) else [opened]

    def _understand(self, element: Json) -> None:
        if element.get("_type") not in _KNOWN or None in element.values():
            raise NotUnderstood(element)
        for name, value in element.items():
            if name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise NotUnderstood(name)
            if name in _WHOLE and not isinstance(value, int):
                raise NotUnderstood(name)
            if name in _TEXTS and not isinstance(value, str):
                raise NotUnderstood(name)
        kind = element["_type"]
        needed = {
            "location": {"tst", "lat", "lon", "tid"},
            "card": {"tid"},
            "transition": {"event", "tst", "wtst", "tid"},
        }.get(kind, set())
        if not needed <= element.keys() or element.get("tst") == 0:
            raise NotUnderstood(element)

    def _keep(self, element: Json) -> None:
        kind = element["_type"]
        if kind == "transition":
            self._notice(element)
            return
        if kind not in {"card", "location"}:
            return
        friend = self.friends.setdefault(element["tid"], {})
        if kind == "card":
            # A card without a face takes away the one before.
            friend |= {"name": element.get("name"), "face": element.get("face")}
        elif element["tst"] > friend.get("tst", 0):
            friend |= {name: element[name] for name in ("tst", "lat", "lon")}

    @abstractmethod
    def _notice(self, element: Json) -> None:
        """Do what the app does when a friend enters or leaves a region."""


class Android(App):
    """OwnTracks for Android."""

    headers: ClassVar[dict[str, str]] = {
        "User-Agent": "Owntracks-Android/gms/420509000",
        "Content-Type": "application/json; charset=utf-8",
    }

    def _named(self) -> Json:
        return {"_id": base64.b16encode(id(self).to_bytes(8)).decode().lower()[:8]}

    def _notice(self, element: Json) -> None:
        self.friends["NOKEY"] = element  # a contact that is nobody


class Ios(App):
    """OwnTracks for iOS, which seals a message once, whatever becomes of it."""

    headers: ClassVar[dict[str, str]] = {
        "User-Agent": "OwnTracks/26.2.3 CFNetwork/1568 Darwin/24.0.0",
        "Content-Type": "application/json",
    }

    def _notice(self, element: Json) -> None:
        self.notices.append(element)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_LIKELY = st.sampled_from([0, 1, -1, 90, 180, 1_800_000_000, 10**400, "enter", "A" * 80, "\0"])
_KINDS = st.sampled_from(["location", "encrypted", "card", "transition", "waypoint", ""])
_NAMES = ["lat", "lon", "acc", "tst", "wtst", "data", "name", "face", "event", "desc", "_id"]
ANYTHING = _JSON | st.fixed_dictionaries(
    {"_type": _KINDS}, optional=dict.fromkeys(_NAMES, _JSON | _LIKELY)
)
"""Whatever may be posted, much of it almost a message."""


def basic(username: object, password: str) -> dict[str, str]:
    """Return the header by which a phone signs in."""
    sent = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {sent}"}
