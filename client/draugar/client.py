"""What a member can do: the use cases, each one method of `Client`.

    with Home.open() as home, Client(home, tell=print) as member:
        member.share([fix])
        for position in member.where():
            ...

Every call that talks to the service first mends what a crash left unfinished, and then does by
itself what needs nobody's word: it takes new keys, gives the key to those who proved to hold an
invite's secret, and rotates when the service asks for it. What the member must know of it is told
as a `Notice`. Whoever is in one group only need not name it. Everything raises `Failure`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from uuid import UUID

from draugar.errors import (
    Done,
    Failure,
    FailureCode,
    InNoGroup,
    KeyPending,
    NotNamed,
    NotPossible,
    ServiceAway,
    SignedOut,
    TrustFailure,
    Unknown,
    so_far,
)
from draugar.maps.track import Track
from draugar.models import (
    Code,
    Comparison,
    Fix,
    Group,
    OpenInvite,
    OwnDevice,
    Person,
    Position,
    Rotation,
    Shared,
)
from draugar.protocol.address import service_url
from draugar.protocol.links import InviteLink
from draugar.service.api import Api
from draugar.service.responses import ListedGroup
from draugar.service.transport import Transport
from draugar.storage import groups, last_known, last_shared, outbox, pauses
from draugar.storage.home import Home
from draugar.storage.last_known import LastKnown
from draugar.storage.vault import KeyLocation
from draugar.text import naming, pasted
from draugar.trust import words
from draugar.usecases import confirm as confirming
from draugar.usecases import invite as inviting
from draugar.usecases import join as joining
from draugar.usecases import leave as leaving
from draugar.usecases import pause as pausing
from draugar.usecases import phones, sync
from draugar.usecases import read as reading
from draugar.usecases import remind as reminding
from draugar.usecases import rotate as rotation
from draugar.usecases import share as sharing
from draugar.usecases.context import Context
from draugar.usecases.invite import Invitation
from draugar.usecases.join import Invite, Newcomer
from draugar.usecases.notify import Notifier, Tell
from draugar.usecases.phones import HandOver, PhoneSetup
from draugar.usecases.sync import GroupSnapshot

PATIENCE = timedelta(seconds=30)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _step(
    method: Callable[Concatenate["Client", _Arguments], _Result],
) -> Callable[Concatenate["Client", _Arguments], _Result]:
    """Have a method tell at its end what its use cases have collected, also when it fails."""

    @wraps(method)
    def step(self: "Client", /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return method(self, *args, **kwargs)
        except KeyPending as failure:
            self._leave_to(failure)
            raise
        finally:
            self._hand_on()

    return step


class Client:
    """One person's one device at one service."""

    def __init__(self, home: Home, *, tell: Tell, patience: timedelta = PATIENCE) -> None:
        """`tell` hears every notice; `patience` is how long a busy service is waited for.

        Raises NotJoined.
        """
        self._home = home
        self._me = home.me()
        self._transport = Transport(self._me.url, patience=patience)
        self._transport.token = self._me.token
        self._api = Api(self._transport)
        self._tell = tell
        self._notifier = Notifier(home)
        self._context = Context(home, self._api, self._notifier)
        self._is_pause_checked = False
        if home.keeps_secrets_in is KeyLocation.FILE:
            self._notifier.tell(Code.SECRETS_IN_FILE, once="home")
        self._hand_on()

    # Coming in

    @classmethod
    def found(  # noqa: PLR0913 -- each by its name
        cls,
        home: Home,
        *,
        url: str,
        code: str,
        name: str,
        group: str,
        encryption: str = "required",
        device: str = "App",
        tell: Tell,
        patience: timedelta = PATIENCE,
    ) -> Self:
        """Redeem a founding invite: a new person, a new group, and its first key.

        When an answer is lost, the same call finishes it; so it is for the two below.
        """
        newcomer = Newcomer(
            name=name, device=device, group={"name": group, "encryption": encryption}
        )
        joining.join(home, Invite.typed(url, code, founds=True), newcomer, patience=patience)
        return cls._settled(home, tell, patience, name=name, group=group)

    @classmethod
    def join(  # noqa: PLR0913 -- each by its name
        cls,
        home: Home,
        invite: InviteLink,
        *,
        name: str,
        device: str = "App",
        tell: Tell,
        patience: timedelta = PATIENCE,
    ) -> Self:
        """Come in by a link; with its key package this device reads at once.

        Of a link `for_me` the name is not used: it makes another device of the inviter.
        """
        joining.join(
            home, Invite.link(invite), Newcomer(name=name, device=device), patience=patience
        )
        return cls._settled(home, tell, patience)

    @classmethod
    def join_by_code(  # noqa: PLR0913 -- each by its name
        cls,
        home: Home,
        *,
        url: str,
        code: str,
        name: str,
        device: str = "App",
        tell: Tell,
        patience: timedelta = PATIENCE,
    ) -> Self:
        """Come in by a typed code; then a member has to confirm this device."""
        newcomer = Newcomer(name=name, device=device)
        joining.join(home, Invite.typed(url, code), newcomer, patience=patience)
        return cls._settled(home, tell, patience, name=name)

    @classmethod
    def _settled(
        cls,
        home: Home,
        tell: Tell,
        patience: timedelta,
        *,
        name: str | None = None,
        group: str | None = None,
    ) -> Self:
        """Finish a join. `name` and `group` correct what an earlier attempt at it had sent.

        Not of a link: it proves the name that was sent with it.
        """
        member = cls(home, tell=tell, patience=patience)
        try:
            if name is not None and naming.checked(name) != member.name:
                member.rename(name)
            for group_id, known in groups.names(home).items() if group is not None else ():
                if known != naming.checked(group or ""):
                    member.change_group(group_id, name=group)
            member._finish()
        except BaseException:
            member.close()
            raise
        return member

    # Who I am: known without the service

    @property
    def user_id(self) -> UUID:
        """The person's id."""
        return self._me.user_id

    @property
    def device_id(self) -> UUID:
        """This device's id."""
        return self._me.device_id

    @property
    def name(self) -> str:
        """The person's name."""
        return self._home.me().name

    @property
    def url(self) -> str:
        """The service's address."""
        return self._me.url

    # Groups

    @_step
    def groups(self) -> list[Group]:
        """The groups I am in."""
        self._settle()
        listed = self._api.groups()
        with self._home.transaction():
            # What is not listed for once is not lost: the service may only say so.
            groups.leave_all(self._home)
            for group in listed:
                groups.enter(self._home, group.id, group.name, is_founding=False)
            self._note_retention(listed)
        return [reading.group(self._context, group) for group in listed]

    def first_group(self) -> Group:
        """The group that this device came in by: another device of mine may be in several."""
        return self.group(self._resolve(None))

    def group(self, name_or_id: str | UUID | None = None) -> Group:
        """One of my groups, by name or id, or the only one. Raises NotNamed, Unknown."""
        groups = self.groups()
        wanted, exact = naming.same(str(name_or_id)), pasted.as_id(str(name_or_id))
        found = [group for group in groups if group.id == exact] or [
            group for group in groups if name_or_id is None or naming.same(group.name) == wanted
        ]
        if len(found) == 1:
            return found[0]
        if not groups:
            raise InNoGroup
        if name_or_id is None:
            raise NotNamed
        if found:
            raise NotNamed(FailureCode.GROUP_NAME_AMBIGUOUS)
        raise Unknown

    @_step
    def found_group(self, name: str, *, encryption: str = "required") -> Group:
        """Found a further group and make its first key."""
        self._settle()
        group = self._api.found_group(naming.checked(name), encryption)
        groups.enter(self._home, group.id, group.name, is_founding=True)
        return self.group(group.id)

    @_step
    def join_group(self, invite: InviteLink | str) -> Group:
        """Join a further group of this service, by a link or a code."""
        self._settle()
        if isinstance(invite, str):
            coming = Invite.typed(self.url, invite)
        else:
            coming = Invite.link(invite)
            if invite.for_me:
                raise NotPossible(FailureCode.LINK_FOR_NEW_DEVICE)
            if service_url(invite.url) != self.url:
                raise NotPossible(FailureCode.LINK_TO_ANOTHER_SERVICE)
        return self.group(joining.join_group(self._context, coming))

    def change_group(
        self,
        group_id: UUID | None = None,
        *,
        name: str | None = None,
        retention_days: int | None = None,
    ) -> Group:
        """Rename a group, or set how many days it keeps points (admins only). None: as it is.

        Raises NotAName.
        """
        group_id = self._resolve(group_id)
        name = None if name is None else naming.checked(name)
        listed = self._api.change_group(group_id, name=name, retention_days=retention_days)
        groups.enter(self._home, listed.id, listed.name, is_founding=False)
        return reading.group(self._context, listed)

    def leave(self, group_id: UUID | None = None) -> None:
        """Leave a group; what I posted there is deleted."""
        leaving.leave(self._context, self._resolve(group_id))

    @_step
    def people(self, group_id: UUID | None = None) -> list[Person]:
        """Everybody in a group, with their devices and what this device holds of them."""
        group_id = self._resolve(group_id)
        self._settle()
        directory = sync.people(self._context, group_id)
        devices = directory.devices()
        names, marks = directory.names, directory.marks
        return [
            Person(
                user_id=person.user_id,
                name=names[person.user_id],
                mark=marks.get(person.user_id, ""),
                listed_name=person.name,
                role=person.role,
                joined_at=person.joined_at,
                is_me=person.user_id == self.user_id,
                is_changed=directory.is_changed(person),
                devices=tuple(device for device in devices if device.user_id == person.user_id),
                phones=tuple(person.phones),
            )
            for person in directory.people
        ]

    @_step
    def remove(self, user_id: UUID, group_id: UUID | None = None) -> Rotation:
        """Remove a person (admins only), and change the key at once if they may know it.

        What they have fetched before cannot be taken back.
        """
        if user_id == self.user_id:
            raise NotPossible(FailureCode.YOURSELF)
        group_id = self._resolve(group_id)
        self._settle()
        leaving.remove(self._context, sync.people(self._context, group_id), user_id)
        with so_far(Done.MEMBER_REMOVED):
            view = sync.update(self._context, group_id)
            if view.holds_key and not view.must_rotate:
                # None of their devices was given a key, so none is changed: phones go on sharing.
                return Rotation(
                    group_id=group_id,
                    key_version=view.key_version,
                    is_mine=False,
                    wrapped_for=(),
                    left_out=(),
                )
            return self._rotate(group_id)

    def set_role(self, user_id: UUID, role: str, group_id: UUID | None = None) -> None:
        """Make a member `admin` or `member` (admins only)."""
        self._api.set_role(self._resolve(group_id), user_id, role)

    # Invites

    @_step
    def invite(
        self,
        group_id: UUID | None = None,
        *,
        life: timedelta = timedelta(days=1),
        for_me: bool = False,
    ) -> Invitation:
        """Make a link that carries the key; at most 7 days. `for_me`: for a device of my own."""
        view = self._current(self._resolve(group_id))
        return inviting.by_link(self._context, view, life=life, for_me=for_me)

    def invite_by_code(
        self, group_id: UUID | None = None, *, life: timedelta | None = timedelta(hours=1)
    ) -> Invitation:
        """Make a code to be typed, whose joiner waits to be confirmed. `life` None is for ever."""
        return inviting.by_code(self._context, self._resolve(group_id), life=life)

    def invites(self) -> list[OpenInvite]:
        """The invites I made, and in groups that I run all of them."""
        return self._api.invites()

    def revoke_invite(self, invite_id: UUID) -> None:
        """Make an invite worthless."""
        self._api.revoke_invite(invite_id)
        inviting.revoked(self._context, invite_id)

    # Whom I trust

    @_step
    def pending(self, group_id: UUID | None = None) -> list[Comparison]:
        """Those who wait for my word.

        While this device itself has no key: those who have given it one, or else those who could.
        """
        return confirming.pending(self._update(self._resolve(group_id)))

    @_step
    def compare(self, user_id: UUID, group_id: UUID | None = None) -> Comparison:
        """The safety number with one person. Raises Unknown, NotPossible."""
        return confirming.compare(self._update(self._resolve(group_id)), user_id)

    def note_shown(self, comparison: Comparison) -> None:
        """Note that I was shown a number: from now on its `was_shown` is true."""
        confirming.note_shown(self._context, comparison)

    @_step
    def confirm(self, comparison: Comparison) -> None:
        """Trust the devices that were compared, and give them the key where this device has it.

        Raises NotPossible.
        """
        group_id = self._resolve(comparison.group_id)
        self._settle()
        confirming.confirm(self._context, comparison)
        with so_far(Done.MEMBER_CONFIRMED):
            view = sync.update(self._context, group_id)  # which takes a key, or gives it
            if view.must_rotate:
                self._rotate(group_id)

    @_step
    def rotate(self, group_id: UUID | None = None, *, is_restored: bool = False) -> Rotation:
        """Make a new key for the devices that are trusted. The others wait.

        `is_restored`: the member knows from whoever runs the service that it was restored from a
        backup, which is why it shows an older version than this device has seen.
        """
        group_id = self._resolve(group_id)
        if is_restored:
            rotation.catch_up(self._context, group_id)
        self._settle()
        return self._rotate(group_id)

    # Where

    @_step
    def where(self, group_id: UUID | None = None) -> list[Position]:
        """The present position of each member, by name. Raises KeyPending."""
        return self._where(self._update(self._resolve(group_id)))

    @_step
    def where_and_since(
        self, group_id: UUID | None = None, *, since: datetime
    ) -> tuple[list[Position], Iterator[Position]]:
        """What `where` and `history` return, by one update: it asks the service less often."""
        view = self._update(self._resolve(group_id))
        return self._where(view), self._history(
            view, reading.Wanted(user_id=None, since=since, until=None)
        )

    def _where(self, view: GroupSnapshot) -> list[Position]:
        positions = reading.where(self._context, view)
        last_known.keep(self._home, view.group_id, positions)
        return positions

    def last_known(self, name_or_id: str | UUID | None = None) -> LastKnown | None:
        """What `where` returned last of a group, by name or id, or of my only one.

        Needs no service. None where nothing is known.
        """
        return last_known.find(self._home, name_or_id)

    @_step
    def history(
        self,
        group_id: UUID | None = None,
        *,
        user_id: UUID | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Position]:
        """Points whose fix lies in [since, until), newest first by the times in their ids."""
        view = self._update(self._resolve(group_id))
        return self._history(view, reading.Wanted(user_id=user_id, since=since, until=until))

    def _history(self, view: GroupSnapshot, wanted: reading.Wanted) -> Iterator[Position]:
        points = reading.history(self._context, view, wanted)
        return self._handing_on(points)

    @_step
    def share(self, fixes: Sequence[Fix], group_id: UUID | None = None) -> Shared:
        """Queue fixes on disk and send what can be sent.

        Raises PointNotPossible with nothing queued, and ServiceFailure with all that is not stored
        still queued.
        """
        dropped = self.enqueue(fixes, group_id)
        if dropped and not self.waiting():
            return Shared(stored=0, dropped=dropped, waiting=0)  # which needs no service
        shared = self.flush()
        return replace(shared, dropped=shared.dropped + dropped)

    @_step
    def enqueue(
        self, fixes: Sequence[Fix], group_id: UUID | None = None, *, track: str | None = None
    ) -> int:
        """Queue only: needs no service. How many are not taken, since sharing is paused here.

        `track` names the recording they are of.
        """
        return sharing.put(self._context, self._resolve(group_id), fixes, track=track)

    def digest(self, track: Track) -> str:
        """Name a recording, as only this device can."""
        return track.digest(self._me.device_key.value)

    def queued_at(self, track: str, group_id: UUID | None = None) -> datetime | None:
        """Return when this device queued a recording for a group, unless that was undone."""
        return outbox.queued_at(self._home, self._resolve(group_id), track)

    @_step
    def flush(self, on_progress: Callable[[int], None] = sharing.unheard) -> Shared:
        """Send the queue, of all groups. `on_progress` hears how many points still wait."""
        self._settle()
        shared = sharing.flush(self._context, on_progress)
        self._leave_to(shared.obstacle)
        self._home.shrink()
        return shared

    def waiting(self) -> int:
        """How many points are queued."""
        return outbox.waiting(self._home)

    def queued(self, group_id: UUID | None = None) -> dict[UUID, Fix]:
        """The fixes that are queued for a group, by the ids of their points."""
        waiting = outbox.queued(self._home, self._resolve(group_id))
        return {one.id: one.fix for one in waiting}

    def delete_points(
        self,
        group_id: UUID | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Delete my own points of a group, by the times in their ids; how many.

        That is the time of the fix, or of sending where the group keeps no points for so long.
        Those that still wait here are deleted too, by the same.
        """
        group_id = self._resolve(group_id)
        last_shared.forget(self._home, group_id)
        waiting = outbox.drop(self._home, group_id, since=since, until=until)
        with so_far(Done.WAITING_DELETED):
            return waiting + self._api.delete_points(group_id, since=since, until=until)

    def delete_point(self, point_id: UUID, group_id: UUID | None = None) -> int:
        """Delete one of my own points of a group, shared or still waiting here; how many.

        Also one that this device cannot read.
        """
        group_id = self._resolve(group_id)
        last_shared.forget(self._home, group_id)
        waiting = outbox.drop_point(self._home, group_id, point_id)
        # One that waits may have been sent, and the answer lost.
        is_half = so_far(Done.WAITING_POINT_DELETED, point_id=point_id)
        with is_half if waiting else nullcontext():
            return max(waiting, self._api.delete_point(group_id, point_id))

    def pause(
        self, group_id: UUID | None = None, *, until: datetime | None = None
    ) -> ServiceAway | None:
        """Pause my sharing; others see me as offline.

        On this device at once. Where the service does not answer, that failure is returned, my
        other devices and phones share on, and it is told at the next call. Raises NotPossible for
        an `until` that is past.
        """
        if until is not None and until <= datetime.now(UTC):
            raise NotPossible(FailureCode.TIME_PAST)
        group_id = self._resolve(group_id)
        pauses.begin(self._home, group_id, until=until)
        return self._tell_of_pause(group_id)

    def resume(self, group_id: UUID | None = None) -> ServiceAway | None:
        """Share again: on this device at once, and elsewhere as `pause` does."""
        group_id = self._resolve(group_id)
        pauses.end(self._home, group_id)
        return self._tell_of_pause(group_id)

    def _tell_of_pause(self, group_id: UUID) -> ServiceAway | None:
        try:
            pausing.tell_service(self._context, group_id)
        except ServiceAway as failure:
            return failure
        return None

    # My devices and my account

    def devices(self) -> list[OwnDevice]:
        """Every device that can act for me."""
        return [OwnDevice(**vars(device)) for device in self._api.devices()]

    @_step
    def add_phone(
        self,
        name: str,
        group_id: UUID | None = None,
        tid: str | None = None,
        *,
        in_the_clear: bool = False,
        hand_over: HandOver = phones.to_caller,
    ) -> PhoneSetup:
        """Make a phone of mine that shares with OwnTracks; what sets it up holds the group's key.

        `tid` is two letters or digits, chosen from my name where it is left out. `in_the_clear`
        agrees to one that shares unsealed, in a group without a key. `hand_over` gives out the
        result; where that fails, the same call finishes the phone. Raises InTheClear, TidTaken.
        """
        name, group_id = naming.checked(name), self._resolve(group_id)
        self._settle()
        making = phones.Making(self._context, in_the_clear=in_the_clear, hand_over=hand_over)
        return phones.add(making, group_id, name=name, tid=tid)

    @_step
    def renew_phone(
        self,
        device_id: UUID,
        *,
        in_the_clear: bool = False,
        hand_over: HandOver = phones.to_caller,
    ) -> PhoneSetup:
        """Set a phone of mine up again: what it has is void, and it gets the present key.

        Raises InTheClear.
        """
        self._settle()
        making = phones.Making(self._context, in_the_clear=in_the_clear, hand_over=hand_over)
        return phones.renew(making, device_id)

    @_step
    def remind(self, *, by_memory: bool = False) -> None:
        """Tell which of my phones must be set up again.

        The service is asked only where I have phones; `by_memory`, or while it is away, not at all.
        """
        if by_memory or self._transport.is_away:
            self._notifier.collect(reminding.from_memory(self._home))
        else:
            reminding.remind(self._context)

    @_step
    def revoke_device(self, device_id: UUID) -> list[Rotation]:
        """Make another device of mine worthless, and change the keys it may know."""
        if device_id == self.device_id:
            raise NotPossible(FailureCode.THIS_DEVICE)
        self._settle()
        phone_group = {device.id: device.group_id for device in self._api.devices()}.get(device_id)
        self._api.revoke_device(device_id)
        with so_far(Done.DEVICE_REVOKED):
            return self._rotate_without(device_id, phone_group)

    def _rotate_without(self, device_id: UUID, phone_group: UUID | None) -> list[Rotation]:
        groups_ = self._my_groups()
        for group_id in groups_:  # before anything can fail
            if group_id == phone_group:
                leaving.expose(self._context, group_id)
            leaving.distrust(self._context, group_id, device_id)
        rotations, failures = [], []
        for group_id in groups_:
            try:
                view = sync.update(self._context, group_id)
                if view.must_rotate and view.holds_key:
                    rotations.append(self._rotate(group_id))
            except TrustFailure as failure:
                failures.append(failure)  # which is of this group alone
        if failures:
            raise failures[0]
        return rotations

    @_step
    def rename(self, name: str) -> None:
        """Change my name. Others see it at their next update. Raises NotAName."""
        name = naming.checked(name)
        for group_id in self._my_groups():
            with self._context.changing(group_id) as change:
                change.trust(words.renamed(change.state.trust, name))
        for group_id in self._my_groups():
            if self._context.group(group_id).highest > 0:
                sync.update(self._context, group_id)  # which puts the card
        self._api.rename(name)
        self._home.rename(name)
        self._me = replace(self._me, name=name)

    @_step
    def export(self) -> dict[str, Any]:
        """All that the service stores about me; of my points also what they say, as `opened`."""
        self._settle()
        return reading.export(self._context)

    def logout(self) -> None:
        """Revoke this device, and wipe its home."""
        with suppress(SignedOut):
            self._api.logout()
        self.close()
        self._home.wipe()

    def delete_account(self) -> None:
        """Delete everything of mine from the service, and wipe the home."""
        self._api.devices()  # whoever is signed out before deletes nothing
        with suppress(SignedOut):  # it is done, and the answer was lost
            self._api.delete_account()
        self.close()
        self._home.wipe()

    def close(self) -> None:
        """Close the way to the service. The home stays open."""
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Within

    def _leave_to(self, failure: Failure | None) -> None:
        """Tell nothing that a failure says."""
        # The others do not say who has given the key, or that this device can make a new one.
        if failure is not None and failure.code == FailureCode.KEY_PENDING:
            self._notifier.drop(Code.WAITING_FOR)

    def _hand_on(self) -> None:
        """Tell what a step has collected."""
        for notice in self._notifier.take():
            self._tell(notice)

    def _handing_on(self, points: Iterator[Position]) -> Iterator[Position]:
        try:
            yield from points
        finally:
            self._hand_on()

    @_step
    def _finish(self) -> None:
        self._settle()

    def _settle(self) -> None:
        joining.settle(self._context)
        if not self._is_pause_checked:
            pausing.check(self._context)
            self._is_pause_checked = True
        if not groups.knows_retentions(self._home):
            self._note_retention(self._api.groups())

    def _note_retention(self, listed: Iterable[ListedGroup]) -> None:
        """Remember how long each group keeps points, for when they are queued without network."""
        for group in listed:
            groups.note_retention(self._home, group.id, group.retention_days)

    def _update(self, group_id: UUID) -> GroupSnapshot:
        self._settle()
        return sync.update(self._context, group_id)

    def _current(self, group_id: UUID) -> GroupSnapshot:
        """Return a view with a key that nobody knows who has gone. Raises KeyPending."""
        self._settle()
        return rotation.current(self._context, group_id)

    def _rotate(self, group_id: UUID) -> Rotation:
        return rotation.rotate(self._context, group_id)

    def _my_groups(self) -> list[UUID]:
        return groups.ids(self._home)

    def group_id(self, name_or_id: str) -> UUID:
        """The group that is meant by a name or id, without the service where it is known here.

        Raises NotNamed, Unknown.
        """
        wanted, exact = naming.same(name_or_id), pasted.as_id(name_or_id)
        names = {id_: naming.same(name) for id_, name in groups.names(self._home).items()}
        found = [id_ for id_ in names if id_ == exact] or [
            id_ for id_, name in names.items() if name == wanted
        ]
        return found[0] if len(found) == 1 else self.group(name_or_id).id

    def group_name(self, group_id: UUID | None = None) -> str:
        """A group's name, as the service said when this device last asked for my groups."""
        group_id = self._resolve(group_id)
        return groups.names(self._home)[group_id]

    def _resolve(self, group_id: UUID | None) -> UUID:
        """Return the group that is meant, without asking the service where it is known."""
        mine = self._my_groups()
        if group_id is None:
            if len(mine) != 1:
                raise NotNamed if mine else InNoGroup
            return mine[0]
        if group_id not in mine and group_id not in {group.id for group in self.groups()}:
            raise Unknown
        return group_id


def remind_from_memory(home: Home, tell: Tell) -> None:
    """Tell which of the member's phones waited when the service was last asked."""
    for notice in reminding.from_memory(home):
        tell(notice)
