"""The notices of the trust core, with people and devices by their names in place of ids."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from draugar.models import NamedDevice, NamedPerson
from draugar.protocol.statements import Device
from draugar.text import naming
from draugar.trust.values import Listing, Notice, State

_DEVICES = ("device", "by", "author", "wrapper")
_PEOPLE = ("person",)


def named(notice: Notice, state: State, listing: Listing) -> dict[str, object]:
    """Return what the text of a notice is made of.

    What this device knows of a device goes before what the service lists. A parameter that names no
    device, such as the author of a statement without one, is left out of the names: it is None.
    """
    devices = _devices(state, listing)
    names = _names(state, listing)
    marks = naming.marks({user_id: name for user_id, (name, _) in names.items()})
    people = {
        user_id: NamedPerson(name=naming.told_apart(name, marks.get(user_id, "")), is_known=known)
        for user_id, (name, known) in names.items()
    }
    found: dict[str, object] = dict(notice.parameters)
    for parameter in found.keys() & {*_DEVICES}:
        found[parameter] = _device(str(found[parameter]), state, devices, people)
    for parameter in found.keys() & {*_PEOPLE}:
        found[parameter] = people.get(UUID(str(found[parameter])))
    return found


def _device(
    id_: str, state: State, devices: Mapping[UUID, Device], people: Mapping[UUID, NamedPerson]
) -> NamedDevice | None:
    if not id_:
        return None
    device_id = UUID(id_)
    device = devices.get(device_id)
    return NamedDevice(
        id=device_id,
        owner=None if device is None else people.get(device.user_id),
        is_this_one=device_id == state.me.device_id,
        is_mine=device is not None and device.user_id == state.me.user_id,
    )


def _devices(state: State, listing: Listing) -> dict[UUID, Device]:
    listed = {one.device.device_id: one.device for one in listing.devices}
    known = {id_: record.device for id_, record in state.records.items()}
    return listed | known | {state.me.device_id: state.me}


def _names(state: State, listing: Listing) -> dict[UUID, tuple[str, bool]]:
    """Return the name of each person, and whether it is more than the service's word."""
    listed = _first((one.device.user_id, one.name) for one in listing.devices)
    known = {record.device.user_id for record in state.records.values()} | {state.me.user_id}
    names = {user_id: (name, False) for user_id, name in listed.items()}
    for user_id in known:
        name = state.name_of(user_id)
        if name is not None:
            names[user_id] = (name, True)
    return names


def _first(pairs: Iterable[tuple[UUID, str]]) -> dict[UUID, str]:
    found: dict[UUID, str] = {}
    for user_id, name in pairs:
        found.setdefault(user_id, name)
    return found
