"""Phones with OwnTracks: what sets one up, made on this device because it holds the group's key.

The service gives a phone its user name and password. The key goes from here to the phone, in a
file or a QR code, and the service never sees it.

Both apps write the topic into what they seal, `owntracks/<user name>/<device id>`. So that it says
whose it is, the device id that is set up is the person's id.
"""

import ipaddress
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from draugar.errors import (
    AnswerNotUnderstood,
    Done,
    FailureCode,
    InTheClear,
    NotPossible,
    Refused,
    ServiceAway,
    Unknown,
    VersionConflict,
)
from draugar.protocol.secrets import GroupKey
from draugar.service.responses import NewPhone
from draugar.storage import phones as known_phones
from draugar.storage.home import Me
from draugar.storage.phones import Unfinished
from draugar.usecases import rotate as rotation
from draugar.usecases import sync
from draugar.usecases.context import Context
from draugar.usecases.sync import GroupSnapshot

TID = re.compile("[A-Za-z0-9]{2}")
"""By what the apps tell friends apart. Android cuts what is longer."""

_ATTEMPTS = 5
_AT_HOME = (".local", ".lan", ".home", ".internal", ".home.arpa", ".fritz.box")
_HTTP, _SIGNIFICANT_CHANGES = 3, 1


class Reach(StrEnum):
    """From where a phone reaches an address of the service."""

    NOWHERE = "nowhere"
    """It is this computer itself."""
    AT_HOME = "at_home"
    """It is one of the own network."""
    ANYWHERE = "anywhere"


@dataclass(frozen=True, kw_only=True)
class PhoneSetup:
    """What sets a phone up, once: it holds the phone's password and the group's key."""

    device_id: UUID
    """The phone's; its user name too."""
    group_id: UUID
    name: str = field(repr=False)
    tid: str
    otrc: bytes = field(repr=False)
    """A configuration that both apps import, as a file `.otrc`."""

    @property
    def link(self) -> str:
        """The same as a link, which the phone's camera reads off a QR code."""
        return f"owntracks:///config?inline={quote(b64encode(self.otrc), safe='')}"


HandOver = Callable[[PhoneSetup], None]
"""Gives out what sets a phone up, such as in a file."""


def to_caller(setup: PhoneSetup) -> None:
    """Give out nothing: the caller has the result."""
    del setup


@dataclass(frozen=True)
class Making:
    """How phones are set up."""

    context: Context
    in_the_clear: bool
    """Whether the member agrees to a phone that shares unsealed."""
    hand_over: HandOver


def add(making: Making, group_id: UUID, *, name: str, tid: str | None) -> PhoneSetup:
    """Make a phone of this member's, or finish the one of this name that was begun before.

    Until `hand_over` has returned, the phone counts as unfinished: the same call finishes it, and
    makes no second one. Raises NotPossible, ServiceAway, TidTaken.
    """
    if tid is not None and not TID.fullmatch(tid):
        raise NotPossible(FailureCode.TID_NOT_POSSIBLE)
    context, home = making.context, making.context.home
    mine = context.api.devices()
    begun = known_phones.unfinished(home)
    orphan = None
    if begun is not None and (begun.group_id, begun.name, begun.tid) == (group_id, name, tid):
        orphan = next((device.id for device in mine if begun.is_it(device)), None)
    if orphan is not None:
        make = partial(context.api.renew_phone, orphan)
    else:
        known = tuple(device.id for device in mine)
        known_phones.begin(home, Unfinished(group_id=group_id, name=name, tid=tid, known=known))
        make = partial(context.api.add_phone, name, group_id=group_id, tid=tid)
    try:
        setup = _set_up(making, group_id, make)
    except ServiceAway as failure:
        if failure.may_be_done:
            failure.after(Done.PHONE_PERHAPS_ADDED, name=name)
        raise
    except Refused:
        if orphan is None:
            known_phones.finish(home)
        raise
    if tid is not None and setup.tid != tid:
        raise AnswerNotUnderstood
    making.hand_over(setup)
    known_phones.finish(home)
    return setup


def renew(making: Making, device_id: UUID) -> PhoneSetup:
    """Set a phone of this member's up again, with a new password and the present key."""
    context = making.context
    phone = next((one for one in context.api.devices() if one.id == device_id), None)
    if phone is None or phone.group_id is None:
        raise Unknown(FailureCode.PHONE_UNKNOWN)
    begun = Unfinished(
        group_id=phone.group_id, name=phone.name, tid=phone.tid, known=(), device_id=device_id
    )
    known_phones.begin(context.home, begun)
    make = partial(context.api.renew_phone, device_id)
    setup = _set_up(making, phone.group_id, make)
    making.hand_over(setup)
    known_phones.finish(context.home)
    return setup


def reach(url: str) -> Reach:
    """Return from where a phone reaches an address of the service."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_loopback = host == "localhost" or host.endswith(".localhost")
        is_private = "." not in host or host.endswith(_AT_HOME)
    else:
        address = getattr(address, "ipv4_mapped", None) or address
        is_loopback = address.is_loopback or address.is_unspecified
        is_private = not address.is_global
    if is_loopback:
        return Reach.NOWHERE
    return Reach.AT_HOME if is_private else Reach.ANYWHERE


def _set_up(making: Making, group_id: UUID, make: Callable[[], NewPhone]) -> PhoneSetup:
    context = making.context
    for _ in range(_ATTEMPTS):
        view = _usable(making, group_id)
        try:
            phone = make()
        except Refused as refusal:
            if refusal.code != "rotation_required":
                raise
            continue
        make = partial(context.api.renew_phone, phone.id)
        # The service takes the phone to have the key of the moment when it was made.
        if context.api.keys(group_id).key_version == view.key_version:
            key = context.group(group_id).key(view.key_version)
            return PhoneSetup(
                device_id=phone.id,
                group_id=group_id,
                name=phone.name,
                tid=phone.tid,
                otrc=_otrc(context.me, phone, key),
            )
    raise VersionConflict(status=409, code="key_version_conflict")


def _usable(making: Making, group_id: UUID) -> GroupSnapshot:
    """Return a group with the key to be used in it now; version 0 where it goes without.

    That it goes without is only the service's word. Raises InTheClear, Unknown.
    """
    context = making.context
    view = sync.update(context, group_id)
    if view.key_version > 0 or context.group(group_id).is_keyed:
        return rotation.current(context, group_id)
    encryption = {group.id: group.encryption for group in context.api.groups()}.get(group_id)
    if encryption is None:
        raise Unknown
    if encryption == "required":
        return rotation.current(context, group_id)
    if not making.in_the_clear:
        raise InTheClear
    return view


def _otrc(me: Me, phone: NewPhone, key: GroupKey | None) -> bytes:
    configuration: dict[str, Any] = {
        "_type": "configuration",
        "mode": _HTTP,
        "url": f"{me.url}/owntracks",
        "username": str(phone.id),
        "password": phone.password.value.decode(),
        "auth": True,
        "deviceId": str(me.user_id),
        "tid": phone.tid,
        **({} if key is None else {"encryptionKey": key.value.decode()}),
        # No service should be able to change a phone's settings.
        "cmd": False,
        "remoteConfiguration": False,
        "monitoring": _SIGNIFICANT_CHANGES,
        "extendedData": True,
    }
    written = json.dumps(configuration, separators=(",", ":")).encode()
    return written + b" " * (-len(written) % 3)  # so that its base64 ends without padding
