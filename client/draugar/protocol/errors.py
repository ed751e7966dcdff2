"""What the functions of this package raise."""


class NotAuthentic(Exception):
    """Something does not open, does not match, or does not have the form it should have."""


class NewerFormat(NotAuthentic):
    """It opens, and only a newer client can read it."""


class NotALocation(NotAuthentic):
    """It opens, so a holder of the key sealed it; but it is no JSON object that all read alike."""


class Unsealable(Exception):
    """What should be sealed is too large, or not JSON that everybody reads alike."""
