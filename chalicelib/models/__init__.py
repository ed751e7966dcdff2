"""Every table, one file per aggregate."""

from chalicelib.models.groups import Group, Member
from chalicelib.models.invites import InviteCode
from chalicelib.models.keys import (
    DeviceCard,
    FurtherEnvelope,
    GivenKey,
    GroupKey,
    KeyEnvelope,
    Vouch,
)
from chalicelib.models.locations import ErasedPoint, Location
from chalicelib.models.owntracks import (
    DepartedTid,
    OwntracksCard,
    OwntracksServed,
    OwntracksTransition,
)
from chalicelib.models.rate_limits import RateLimit
from chalicelib.models.users import Device, User

__all__ = [
    "DepartedTid",
    "Device",
    "DeviceCard",
    "ErasedPoint",
    "FurtherEnvelope",
    "GivenKey",
    "Group",
    "GroupKey",
    "InviteCode",
    "KeyEnvelope",
    "Location",
    "Member",
    "OwntracksCard",
    "OwntracksServed",
    "OwntracksTransition",
    "RateLimit",
    "User",
    "Vouch",
]
