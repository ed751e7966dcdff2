"""Who is calling: tokens, credentials, callers."""

from chalicelib.auth.credentials import Caller, Credential, PhoneCredential
from chalicelib.auth.service import authenticate, hold, me, read

__all__ = ["Caller", "Credential", "PhoneCredential", "authenticate", "hold", "me", "read"]
