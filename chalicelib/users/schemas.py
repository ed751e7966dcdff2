"""The shapes of people on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from chalicelib.devices.schemas import NeedsSetup, Tid
from chalicelib.groups.schemas import Role
from chalicelib.keys.schemas import ShownBytes
from chalicelib.users.service import Person
from chalicelib.web import Answer, Name, Optional, Request


class RenameRequest(Request):
    """My new name."""

    name: Name


class KeyedDeviceAnswer(Answer):
    """A device of somebody, by whose public key others wrap the group's key for it."""

    id: UUID
    public_key: ShownBytes
    confirmed: Annotated[
        bool,
        Field(description="Whether it may act in the group. No reason to give it a key."),
    ]
    join_proof: Annotated[ShownBytes | None, Field(description="Of who came in by a link.")] = (
        Optional
    )


class ListedPhoneAnswer(Answer):
    """A phone with OwnTracks. Its person gives it the group's key, if it has one."""

    id: UUID
    tid: Tid
    needs_setup: NeedsSetup


class SharedGroupAnswer(Answer):
    """What a person is in a group that I am in too."""

    group_id: UUID
    role: Role
    joined_at: datetime
    devices: Annotated[list[KeyedDeviceAnswer], Field(description="Those that have a public key.")]
    phones: Annotated[
        list[ListedPhoneAnswer], Field(description="Those that are set up for this group.")
    ]


class UserAnswer(Answer):
    """Somebody I share groups with."""

    id: UUID
    name: Annotated[str, Field(examples=["Una"])]
    groups: list[SharedGroupAnswer]

    @classmethod
    def of(cls, person: Person) -> "UserAnswer":
        """Present a person."""
        return cls.model_validate(person)


class UsersAnswer(Answer):
    """Everybody in my groups."""

    users: list[UserAnswer]

    @classmethod
    def of(cls, people: list[Person]) -> "UsersAnswer":
        """Present people."""
        return cls(users=[UserAnswer.of(person) for person in people])
