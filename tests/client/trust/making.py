"""Devices, keys, statements and answers of a made-up family, the same in every run."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from draugar.protocol.envelopes import wrap
from draugar.protocol.invites import InviteKeys, Package, join_proof, seal_package
from draugar.protocol.json import to_base64url
from draugar.protocol.rosters import RosterEntry, seal_roster
from draugar.protocol.sealing import seal
from draugar.protocol.secrets import DeviceKey, GroupKey, InviteSecret
from draugar.protocol.signing import sign
from draugar.protocol.statements import (
    Browsers,
    Card,
    Device,
    DeviceKind,
    Entry,
    Former,
    Introduction,
    Roster,
    Statement,
    seal_statement,
)
from draugar.trust.values import (
    Envelope,
    Held,
    Keys,
    Link,
    Listed,
    Listing,
    Name,
    OwnDevice,
    Record,
    SealedCard,
    Source,
    State,
    UnsignedEntry,
    Version,
    Vouch,
)

NOW = 1_800_000_000.0


def digest(what: str) -> bytes:
    """Return 32 bytes that belong to a text."""
    return hashlib.sha256(f"draugar/decisions/{what}".encode()).digest()


@contextmanager
def repeatable(seed: str) -> Iterator[None]:
    """Make nonces that are the same in every run."""
    count = itertools.count()

    def token_bytes(size: int) -> bytes:
        return hashlib.shake_256(f"{seed}/{next(count)}".encode()).digest(size)

    with patch("secrets.token_bytes", token_bytes):
        yield


def uuid(what: str) -> UUID:
    """Return the id that belongs to a text."""
    return UUID(bytes=digest(what)[:16], version=4)


GROUP = uuid("group")
OTHER_GROUP = uuid("another group")
_KEYS: dict[bytes, DeviceKey] = {}


def device(name: str, person: str, kind: str = "app", *, key: str | None = None) -> Device:
    """Return a device of a person; `key` names another key than its own."""
    secret = DeviceKey(digest(f"device key {key or name}"))
    _KEYS[secret.public] = secret
    return Device(
        user_id=uuid(f"person {person}"),
        device_id=uuid(f"device {name}"),
        public_key=secret.public,
        kind=DeviceKind(kind),
    )


def secret_of(one: Device) -> DeviceKey:
    """Return the secret key of a device."""
    return _KEYS[one.public_key]


UNA, ARI, BO, EVE = (
    device("una", "Una"),
    device("ari", "Ari"),
    device("bo", "Bo"),
    device("eve", "Eve"),
)
UNAS_LAPTOP, UNAS_TABLET = device("una's laptop", "Una"), device("una's tablet", "Una")
GHOST, EVES_OTHER = device("ghost", "Ghost"), device("eve's other", "Eve")
CLEO, XEN = device("cleo", "Cleo"), device("xen", "Xen")
WES = device("wes", "Wes", "web")
ALL = (UNA, ARI, BO, EVE)
NAMES = {
    uuid(f"person {name}"): name
    for name in ("Una", "Ari", "Bo", "Eve", "Ghost", "Cleo", "Xen", "Wes")
}


def key(version: int, *, other: str = "") -> GroupKey:
    """Return the key of a version."""
    return GroupKey(to_base64url(digest(f"group key {version}{other}")[:24]).encode())


def commitment(version: int, *, of: GroupKey | None = None) -> bytes:
    """Return the commitment of a version."""
    return (of or key(version)).commitment(GROUP, version)


# The state


def held(version: int, **changes: Any) -> Held:
    """Return a key that is held, by default for an hour."""
    known = Held(key=key(version), first_held=NOW - 3600, last_current=NOW - 3600)
    return replace(known, **changes)


def record(one: Device, since: int = 1, **changes: Any) -> Record:
    """Return a device that a member has introduced."""
    known = Record(device=one, since=since, source=Source.MEMBER, by=uuid("device founder"))
    return replace(known, **changes)


def own(*devices: Device, group: UUID = GROUP) -> dict[UUID, OwnDevice]:
    """Return devices of one's own."""
    return {one.device_id: OwnDevice(one.public_key, frozenset({group})) for one in devices}


def state(
    me: Device = UNA,
    version: int = 1,
    trust: Iterable[Device | Record] = (ARI, BO, EVE),
    **changes: Any,
) -> State:
    """Return a state that holds the keys up to a version, and trusts devices."""
    records = [one if isinstance(one, Record) else record(one) for one in trust]
    known = State(
        me=me,
        key=secret_of(me),
        group_id=GROUP,
        held={number: held(number) for number in range(1, version + 1)},
        highest=version,
        records={one.device.device_id: one for one in records if one.device != me},
        card=Name(0, NAMES[me.user_id]),
    )
    return replace(known, **changes)


def link(name: str = "link", *, for_me: bool = False, **changes: Any) -> Link:
    """Return an open link."""
    keys = link_keys(name)
    known = Link(
        id=uuid(name),
        for_me=for_me,
        proof_key=keys.proof,
        code=_CODE,
        version=1,
        expires_at=NOW + 3600,
    )
    return replace(known, **changes)


_CODE = "ABCDEFGHJKLMNPQR"


def link_keys(name: str = "link") -> InviteKeys:
    """Return what both sides of a link make of it."""
    return InviteKeys.of(InviteSecret(digest(name)[:16]), _CODE)


def proof(
    of: Device, name: str | None = None, *, link: str = "link", kind: str | None = None
) -> bytes:
    """Return the proof of a device for a link."""
    proved = NAMES[of.user_id] if name is None else name
    kind_ = of.kind if kind is None else DeviceKind(kind)
    return join_proof(link_keys(link).proof, of.public_key, proved, _CODE, kind_)


# What the service answers


def listing(
    *devices: Device,
    names: Mapping[Device, str] | None = None,
    proofs: Mapping[Device, bytes] | None = None,
    cards: Mapping[Device, SealedCard] | None = None,
    confirmed: Iterable[Device] | None = None,
    used: Iterable[UUID] = (),
) -> Listing:
    """Return a list of devices; by default the service calls all of them confirmed."""
    able = set(devices if confirmed is None else confirmed)
    return Listing(
        devices=tuple(
            Listed(
                device=one,
                name=(names or {}).get(one, NAMES[one.user_id]),
                confirmed=one in able,
                join_proof=(proofs or {}).get(one),
                card=(cards or {}).get(one),
            )
            for one in devices
        ),
        used_links=frozenset(used),
    )


def keys(
    version: int = 1,
    *,
    rosters: Mapping[int, bytes] | None = None,
    unsigned_rosters: Mapping[int, bytes] | None = None,
    commitments: Mapping[int, bytes] | None = None,
    **changes: Any,
) -> Keys:
    """Return the answer of a service with so many versions."""
    known = Keys(
        version=version,
        versions=tuple(
            Version(
                version=number,
                commitment=(commitments or {}).get(number, commitment(number)),
                statement=(rosters or {}).get(number),
                roster=(unsigned_rosters or {}).get(number),
            )
            for number in range(1, version + 1)
        ),
    )
    return replace(known, **changes)


def envelope(
    version: int,
    wrapper: Device,
    to: Device = UNA,
    *,
    of: GroupKey | None = None,
    former: bytes | None = None,
) -> Envelope:
    """Return a key in an envelope."""
    return Envelope(
        version=version,
        wrapped=wrap(of or key(version), to.public_key, secret_of(wrapper)),
        wrapper_key=wrapper.public_key,
        wrapper_id=wrapper.device_id,
        former=former,
    )


def sealed(
    statement: Statement,
    version: int,
    *,
    signer: Device | None = None,
    under: GroupKey | None = None,
) -> bytes:
    """Seal a statement by the device that it names, or by another one."""
    by = signer or next(one for one in _DEVICES if one.device_id == statement.by)
    return seal_statement(
        statement,
        group_id=GROUP,
        version=version,
        device_key=secret_of(by),
        key=under or key(version),
    )


def introduction(one: Device, since: int = 1, name: str | None = "") -> Introduction:
    """Introduce a device; by default with the name of its person."""
    return Introduction(one, since, NAMES[one.user_id] if name == "" else name)


def roster(
    author: Device,
    version: int,
    named: Iterable[Device | Introduction] = ALL,
    *,
    gone: Iterable[tuple[Device, int]] = (),
    signer: Device | None = None,
    **changes: Any,
) -> bytes:
    """Return the roster of a version."""
    stated = Roster(
        by=author.device_id,
        commitment=commitment(version),
        made=int(NOW) - 60,
        browsers=Browsers.ACCEPTED,
        complete=True,
        introductions=tuple(
            introduction(one, min(1, version)) if isinstance(one, Device) else one for one in named
        ),
        gone=tuple((one.device_id, end) for one, end in gone),
    )
    return sealed(replace(stated, **changes), version, signer=signer or author)


def entry(
    author: Device,
    version: int,
    about: Device,
    since: int = 1,
    *,
    name: str | None = "",
    beside: Device | None = None,
    signer: Device | None = None,
) -> Vouch:
    """Return an entry, beside the device that it is about, or another one."""
    stated = Entry(author.device_id, introduction(about, since, name))
    return Vouch(
        about=(beside or about).device_id,
        sealed=sealed(stated, version, signer=signer or author),
        voucher_id=author.device_id,
    )


def card(
    author: Device,
    version: int = 1,
    n: int = 0,
    name: str | None = None,
    *,
    own: Iterable[Device | Introduction] = (),
    signer: Device | None = None,
    **changes: Any,
) -> SealedCard:
    """Return a card."""
    stated = Card(
        by=author.device_id,
        user_id=author.user_id,
        n=n,
        name=NAMES[author.user_id] if name is None else name,
        kind=author.kind,
        own=tuple(introduction(one, 1, None) if isinstance(one, Device) else one for one in own),
    )
    return SealedCard(sealed(replace(stated, **changes), version, signer=signer or author), version)


def former(author: Device, version: int, until: float) -> bytes:
    """Return until when a version was the present one."""
    return sealed(Former(author.device_id, int(until)), version, signer=author)


def newer(
    author: Device, version: int = 1, *, signer: Device | None = None, form: int = 3
) -> Vouch:
    """Return a statement of a newer form, beside a device."""
    text = (
        f'{{"form":{form},"by":"{author.device_id}","what":"no client of form 2 knows"}}'.encode()
    )
    message = (
        b"draugar/statement/v2"
        + GROUP.bytes
        + version.to_bytes(4, "big")
        + author.device_id.bytes
        + text
    )
    signature = sign(secret_of(signer or author), message)
    sealed_ = seal(text + signature, key(version), 768)
    return Vouch(about=BO.device_id, sealed=sealed_, voucher_id=author.device_id)


def unsigned_roster(version: int, named: Iterable[Device]) -> bytes:
    """Return a roster of form 1."""
    return seal_roster([_entry(one) for one in named], key(version))


def unsigned_entry(author: Device, version: int, about: Device) -> UnsignedEntry:
    """Return an entry of form 1."""
    return UnsignedEntry(
        version=version,
        sealed=seal_roster([_entry(about)], key(version)),
        author_id=author.device_id,
    )


def _entry(one: Device, name: str | None = None) -> RosterEntry:
    return RosterEntry(
        one.user_id, name or NAMES[one.user_id], one.device_id, one.public_key, one.kind
    )


def package(
    inviter: Device,
    version: int = 1,
    named: Iterable[Device] = ALL,
    **changes: Any,
) -> bytes:
    """Return a key package."""
    stated = Package(
        group_key=key(version),
        key_version=version,
        group_id=GROUP,
        inviter_user_id=inviter.user_id,
        inviter_public_key=inviter.public_key,
        commitment=commitment(version),
        roster=[_entry(one) for one in named],
    )
    return seal_package(replace(stated, **changes), link_keys())


_DEVICES = (*ALL, UNAS_LAPTOP, UNAS_TABLET, GHOST, EVES_OTHER, CLEO, XEN, WES)
