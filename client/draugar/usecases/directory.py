"""Who is in a group: what the service lists, held against what this device knows."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

from draugar.models import Code, Device, Phone, Position, TrustSource, TrustState
from draugar.protocol.invites import proof_holds
from draugar.protocol.json import from_base64url
from draugar.protocol.rosters import RosterEntry
from draugar.protocol.secrets import Secret
from draugar.service.responses import ListedDevice, ListedPerson
from draugar.storage.home import Home
from draugar.storage.keyring import Keyring
from draugar.storage.trust_store import Ended, Trusted, TrustStore
from draugar.text import naming
from draugar.text.naming import told_apart
from draugar.usecases.notify import Notifier

_OWN = "own"
_REMINDED = timedelta(days=7)

OWN_NAME = "me"
"""What a further device of one's own proves in the place of a name."""


class DeviceDirectory:
    """The people of one group, as they are listed now."""

    def __init__(
        self, home: Home, teller: Notifier, group_id: UUID, people: Iterable[ListedPerson]
    ) -> None:
        self.group_id = group_id
        self.people = tuple(people)
        self.listed: dict[UUID, tuple[ListedPerson, ListedDevice]] = {
            device.id: (person, device) for person in self.people for device in person.devices
        }
        self.phones = {
            phone.id: (person, phone) for person in self.people for phone in person.phones
        }
        self.waiting: dict[UUID, datetime] = {}
        """Since when phones share nothing, because the key has changed or is about to."""
        self._home = home
        self._teller = teller
        self._me = home.me()
        self._circle = TrustStore(home, group_id)
        self._ring = Keyring(home, group_id)

    def phone(self, device_id: UUID) -> Phone | None:
        """Return a phone, and since when it shares nothing, if that is so."""
        _, phone = self.phones.get(device_id, (None, None))
        since = self.waiting.get(device_id)
        return phone and replace(phone, needs_setup=since is not None, waits_since=since)

    def silent_beside(self, position: Position) -> tuple[Phone, ...]:
        """Return the phones of a person that share nothing, but for the one of a position."""
        phones = map(self.phone, self.waiting.keys() - {position.device_id})
        return tuple(
            sorted(
                (one for one in phones if one and self._is_of(one, position.user_id)),
                key=lambda phone: phone.tid,
            )
        )

    def _is_of(self, phone: Phone, user_id: UUID) -> bool:
        person, _ = self.phones[phone.id]
        return person.user_id == user_id

    def names(self) -> dict[UUID, str]:
        """Return what each person is called: as confirmed, or else as the service says."""
        confirmed = {device.user_id: device.name for device in self._circle.trusted().values()}
        confirmed[self._me.user_id] = self._me.name
        return {
            person.user_id: confirmed.get(person.user_id, person.name) for person in self.people
        }

    def marks(self) -> dict[UUID, str]:
        """Return what tells people of one name apart."""
        return naming.marks(self.names())

    def _called(self, device: Trusted) -> str:
        """Name the person of a device, told apart from others of the same name."""
        return told_apart(device.name, self.marks().get(device.user_id, ""))

    def owner(self, device_id: UUID) -> ListedPerson | None:
        """Return whose device or phone it is, says the service."""
        person, _ = self.listed.get(device_id) or self.phones.get(device_id) or (None, None)
        return person

    def miss(self, trusted: dict[UUID, Trusted], *, at_risk: int) -> None:
        """End the trust in who is gone, or not who they were; they may know a key up to that."""
        gone = []
        called = self.names()
        for id_, device in trusted.items():
            person, now = self.listed.get(id_, (None, None))
            if person is None or now is None:
                gone.append(id_)
                self.tell_ended(Code.DEVICE_GONE, device)
            elif (person.user_id, now.public_key) != (device.user_id, device.public_key):
                gone.append(id_)
                self._teller.tell(
                    Code.KEY_CHANGED, group_id=self.group_id, name=self._called(device)
                )
            elif person.name != device.name and person.name != called[person.user_id]:
                self._teller.tell(
                    Code.SERVICE_NAME_DIFFERS,
                    group_id=self.group_id,
                    once=f"{person.user_id} {person.name}",
                    name=self._called(device),
                    listed=person.name,
                    shown=device.name,
                )
        if gone:
            self._circle.end(gone, Ended.GONE, version=self._ring.highest)
            self._ring.mark_compromised(at_risk)
        self._check_vouchers()
        marks = self.marks()
        for person in self.people:
            if self.is_changed(person):
                self._teller.tell(
                    Code.NUMBER_VOID,
                    group_id=self.group_id,
                    once=f"{person.user_id} {sorted(device.id for device in person.devices)}",
                    name=told_apart(person.name, marks.get(person.user_id, "")),
                )

    def check_own(self) -> None:
        """Remind of what has come to act for this member, be it a device or a phone.

        On several days: somebody else may have let it in here, and have read what was told then.
        """
        today = date.today()  # noqa: DTZ011 -- as the reader counts days
        is_first = self._home.recall(_OWN) is None
        self._home.remember(_OWN, "met")
        for id_, code, parameters in self._own():
            met = self._home.recall(f"{_OWN} {id_}")
            if met is None:
                # A further device of somebody finds the others there.
                day = today - 2 * _REMINDED if is_first and self._me.is_further else today
                self._home.remember(f"{_OWN} {id_}", day.isoformat())
            elif timedelta() < today - date.fromisoformat(met) <= _REMINDED:
                self._teller.tell(
                    code, group_id=self.group_id, once=f"{id_} {today}", since=met, **parameters
                )

    def _own(self) -> Iterator[tuple[UUID, Code, dict[str, str]]]:
        for person in self.people:
            if person.user_id == self._me.user_id:
                for device in person.devices:
                    if device.id != self._me.device_id:
                        yield device.id, Code.OWN_DEVICE_PRESENT, {}
                for phone in person.phones:
                    yield phone.id, Code.OWN_PHONE_PRESENT, {"tid": phone.tid}

    def is_changed(self, person: ListedPerson) -> bool:
        """Whether somebody has other keys than when their safety number was compared."""
        return self._circle.is_changed(
            person.user_id, [device.public_key for device in person.devices]
        )

    def _check_vouchers(self) -> None:
        known = self._circle.known()
        for device in self._circle.trusted().values():
            voucher = known.get(device.vouched_by) if device.vouched_by else None
            if voucher is not None and voucher.ended is not None:
                self._teller.tell(
                    Code.VOUCHER_GONE,
                    group_id=self.group_id,
                    once=f"{device.device_id} {voucher.device_id}",
                    name=self._called(device),
                    voucher=None if voucher.user_id == device.user_id else self._called(voucher),
                )

    def recognise(self) -> list[UUID]:
        """Trust who proves to hold the secret of a link, and this member's own other devices."""
        self._home.do("DELETE FROM invites WHERE expires_at < :now", now=time.time())
        known, proven = self._circle.known(), []
        for id_, (person, device) in self.listed.items():
            before = known.get(id_)
            if id_ == self._me.device_id or (before is not None and before.ended is None):
                continue
            entry = RosterEntry(person.user_id, person.name, id_, device.public_key)
            is_mine = before is None and self._circle.is_mine(entry)
            # A link made since is this member's word on somebody who had gone, too.
            if is_mine or self._proves(entry, device.join_proof):
                self._circle.trust(entry, TrustSource.PROOF, version=self._ring.highest)
                proven.append(id_)
            if is_mine:
                self._teller.tell(Code.OWN_DEVICE_ELSEWHERE, group_id=self.group_id)
        return proven

    def _proves(self, entry: RosterEntry, proof: bytes | None) -> bool:
        is_mine = entry.user_id == self._me.user_id
        name = OWN_NAME if is_mine else entry.name
        for invite in self._home.rows(
            "SELECT * FROM invites WHERE group_id = :group AND for_me = :mine",
            group=self.group_id,
            mine=is_mine,
        ):
            kept = self._home.unseal_json(invite["proof"])
            proof_key, code = Secret(from_base64url(kept["key"])), kept["code"]
            if proof is None or not proof_holds(proof, proof_key, entry.public_key, name, code):
                continue
            if invite["device_id"] == str(entry.device_id):
                return False  # it was believed once
            if invite["device_id"] is not None:
                self._teller.tell(
                    Code.LINK_USED_TWICE,
                    group_id=self.group_id,
                    once=str(entry.device_id),
                    listed=entry.name,
                )
                return False
            self._home.do(
                "UPDATE invites SET device_id = :device WHERE id = :id",
                device=entry.device_id,
                id=invite["id"],
            )
            if is_mine:
                self._teller.tell(Code.OWN_DEVICE_JOINED, group_id=self.group_id)
            else:
                self._teller.tell(Code.JOINED, group_id=self.group_id, name=entry.name)
            return True
        return False

    def warn_of_unconfirmed(self, waiting: Iterable[UUID], key_version: int) -> None:
        """Tell of devices that have the key, says the service, by nobody's word that counts."""
        trusted = self._circle.trusted()
        fine = {*trusted, *waiting, self._me.device_id}
        for id_, (person, device) in self.listed.items():
            if device.can_act and id_ not in fine:
                self._teller.tell(
                    Code.UNCONFIRMED_DEVICE,
                    group_id=self.group_id,
                    once=f"{id_} {key_version}",
                    name=person.name,
                )

    def tell_ended(self, code: Code, device: Trusted) -> None:
        """Tell that a device is trusted no more."""
        self._teller.tell(code, group_id=self.group_id, name=self._called(device))

    def devices(self) -> list[Device]:
        """Every listed device, with what this one holds of it."""
        known, marks = self._circle.known(), self.marks()
        return [
            self._device(person, device, known.get(id_), marks.get(person.user_id, ""))
            for id_, (person, device) in self.listed.items()
        ]

    def _device(
        self, person: ListedPerson, device: ListedDevice, known: Trusted | None, mark: str
    ) -> Device:
        if device.id == self._me.device_id:
            standing = TrustState.THIS
        elif known is None:
            standing = TrustState.PENDING
        elif known.ended is None and known.public_key == device.public_key:
            standing = TrustState.TRUSTED
        else:
            standing = TrustState.ENDED
        confirmed = known if standing is TrustState.TRUSTED else None
        return Device(
            id=device.id,
            user_id=person.user_id,
            name=confirmed.name if confirmed else person.name,
            public_key=device.public_key,
            standing=standing,
            how=confirmed.how if confirmed else None,
            mark=mark,
            can_act=device.can_act,
        )
