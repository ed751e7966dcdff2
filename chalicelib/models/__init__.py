"""Every table, one file per aggregate."""

from chalicelib.models.groups import Group, Member
from chalicelib.models.invites import InviteCode
from chalicelib.models.keys import GroupKey, KeyEnvelope
from chalicelib.models.locations import Location
from chalicelib.models.owntracks import OwntracksCard, OwntracksServed, OwntracksTransition
from chalicelib.models.rate_limits import RateLimit
from chalicelib.models.users import Device, User

__all__ = [
    "Device",
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
]
