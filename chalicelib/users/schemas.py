"""The shapes of people on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from chalicelib.devices.schemas import NeedsSetup, Tid
from chalicelib.groups.schemas import Role
from chalicelib.keys.schemas import KeyVersion, ShownBytes
from chalicelib.users.service import Person
from chalicelib.web import Answer, FormQuery, Name, Optional, Request, Uuid

_Kind = Annotated[str, Field(json_schema_extra={"enum": ["app", "web"]})]


class RenameRequest(Request):
    """My new name."""

    name: Name


class PeopleQuery(FormQuery):
    """Which people are shown, and in which form."""

    group_id: Annotated[Uuid | None, Field(description="The one group to show.")] = None


class CardAnswer(Answer):
    """What a device states of its person: signed, and sealed under a version of the group's key."""

    sealed: ShownBytes
    key_version: KeyVersion


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
    kind: Annotated[_Kind | None, Field(description="In form 2.")] = Optional
    card: Annotated[
        CardAnswer | None, Field(description="In form 2, where one group is asked for.")
    ] = Optional


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
    def of(cls, person: Person, *, form: int) -> "UserAnswer":
        """Present a person in the form that was asked for."""
        if form == 1:
            for group in person.groups:
                for device in group.devices:
                    del device["kind"]
        return cls.model_validate(person)


class UsersAnswer(Answer):
    """Everybody in my groups."""

    users: list[UserAnswer]

    @classmethod
    def of(cls, people: list[Person], *, form: int) -> "UsersAnswer":
        """Present people in the form that was asked for."""
        return cls(users=[UserAnswer.of(person, form=form) for person in people])
