"""The shapes of who I am."""

from uuid import UUID

from chalicelib.auth.service import Me
from chalicelib.web import Answer


class MeAnswer(Answer):
    """The caller."""

    id: UUID
    name: str

    @classmethod
    def of(cls, me: Me) -> "MeAnswer":
        """Present the caller."""
        return cls(id=me.id, name=me.name)
