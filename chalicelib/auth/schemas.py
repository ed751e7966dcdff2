"""The shapes of who I am."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from chalicelib.auth.service import Me
from chalicelib.web import Answer


class MeAnswer(Answer):
    """The caller."""

    id: UUID
    name: Annotated[str, Field(examples=["Una"])]

    @classmethod
    def of(cls, me: Me) -> "MeAnswer":
        """Present the caller."""
        return cls(id=me.id, name=me.name)
