"""Every table, one file per aggregate."""

from chalicelib.models.groups import Group, Member
from chalicelib.models.invites import InviteCode
from chalicelib.models.locations import Location
from chalicelib.models.rate_limits import RateLimit
from chalicelib.models.users import Device, User

__all__ = ["Device", "Group", "InviteCode", "Location", "Member", "RateLimit", "User"]
