"""Who is in a group: what the service lists, held against what this device knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from uuid import UUID

from draugar.models import (
    Device,
    ListedDevice,
    ListedPerson,
    Phone,
    Position,
    TrustSource,
    TrustState,
)
from draugar.protocol import statements
from draugar.text import naming
from draugar.text.naming import told_apart
from draugar.trust import numbers
from draugar.trust.state import GroupState
from draugar.trust.values import Listed, Listing, Record, Source

_SOURCES = {
    Source.PROOF: TrustSource.PROOF,
    Source.SAFETY: TrustSource.SAFETY,
    Source.OWN: TrustSource.PROOF,  # of a link for a further device
    Source.MEMBER: TrustSource.ROSTER,
}


@dataclass(frozen=True)
class DeviceDirectory:
    """The people of one group, as they are listed now, and as this device knows them."""

    state: GroupState
    people: tuple[ListedPerson, ...]
    waiting: Mapping[UUID, datetime] = field(default_factory=dict)
    """Since when phones share nothing, because the key has changed or is about to."""

    @classmethod
    def of(cls, state: GroupState, people: Iterable[ListedPerson]) -> "DeviceDirectory":
        """Hold a list against a state."""
        return cls(state, tuple(people))

    @property
    def group_id(self) -> UUID:
        """The group."""
        return self.state.group_id

    @cached_property
    def listed(self) -> dict[UUID, tuple[ListedPerson, ListedDevice]]:
        """Each listed device with its person, by its id."""
        return {device.id: (person, device) for person in self.people for device in person.devices}

    @cached_property
    def phones(self) -> dict[UUID, tuple[ListedPerson, Phone]]:
        """Each listed phone with its person, by its id."""
        return {phone.id: (person, phone) for person in self.people for phone in person.phones}

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

    @cached_property
    def names(self) -> dict[UUID, str]:
        """What each person is called: as confirmed, or else as the service says."""
        return {
            person.user_id: self.state.name
            if person.user_id == self.state.me.user_id
            else self.state.trust.name_of(person.user_id) or person.name
            for person in self.people
        }

    @cached_property
    def marks(self) -> dict[UUID, str]:
        """What tells people of one name apart."""
        return naming.marks(self.names)

    def called(self, user_id: UUID) -> str:
        """Name a person, told apart from others of the same name."""
        name = self.names.get(user_id) or self.state.trust.name_of(user_id) or "?"
        return told_apart(name, self.marks.get(user_id, ""))

    def owner(self, device_id: UUID) -> ListedPerson | None:
        """Return whose device or phone it is, says the service."""
        person, _ = self.listed.get(device_id) or self.phones.get(device_id) or (None, None)
        return person

    @cached_property
    def listing(self) -> Listing:
        """The devices, as decisions see them; without their cards."""
        return Listing(
            devices=tuple(
                Listed(device=_device(person, device), name=person.name)
                for person, device in self.listed.values()
            )
        )

    def is_changed(self, person: ListedPerson) -> bool:
        """Whether a person has other devices than those that a comparison covers."""
        return numbers.is_void(self.state.trust, self.listing, person.user_id)

    def devices(self) -> list[Device]:
        """Every listed device, with what this one holds of it."""
        return [
            self._device(person, device, self.state.trust.records.get(id_))
            for id_, (person, device) in self.listed.items()
        ]

    def _device(self, person: ListedPerson, device: ListedDevice, known: Record | None) -> Device:
        if device.id == self.state.me.device_id:
            standing = TrustState.THIS
        elif known is None:
            standing = TrustState.PENDING
        elif known.trusted and known.device == _device(person, device):
            standing = TrustState.TRUSTED
        else:
            standing = TrustState.ENDED
        confirmed = known if standing is TrustState.TRUSTED else None
        return Device(
            id=device.id,
            user_id=person.user_id,
            name=self.names[person.user_id] if confirmed else person.name,
            public_key=device.public_key,
            kind=device.kind,
            standing=standing,
            how=_SOURCES[confirmed.source] if confirmed else None,
            mark=self.marks.get(person.user_id, ""),
            can_act=device.can_act,
        )


def _device(person: ListedPerson, device: ListedDevice) -> statements.Device:
    kind = statements.DeviceKind(device.kind)
    return statements.Device(person.user_id, device.id, device.public_key, kind)
