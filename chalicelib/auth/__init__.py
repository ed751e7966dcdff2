"""Who is calling: tokens, credentials, callers."""

from chalicelib.auth.credentials import Caller, Credential
from chalicelib.auth.service import authenticate, hold, me, read

__all__ = ["Caller", "Credential", "authenticate", "hold", "me", "read"]
