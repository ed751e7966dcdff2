"""Versions of group keys and their envelopes in the database."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    extract,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on, insert
from sqlalchemy.orm import aliased

from chalicelib.auth import Caller
from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, Session, base64, json_object
from chalicelib.groups import queries as groups
from chalicelib.models import (
    Device,
    DeviceCard,
    FurtherEnvelope,
    GivenKey,
    Group,
    GroupKey,
    InviteCode,
    KeyEnvelope,
    Member,
    User,
    Vouch,
)

MOST_VERSIONS_A_DAY = 40
"""Of one person in one group, beside those that are required: every one is kept and shown for as
long as the group lives, and each member answers it."""

RECENT_VERSIONS = 20
"""Of so many versions the rosters and statements are shown: what a device needs that was off for a
long time."""

MOST_ENTRIES = 100
"""So many roster entries are shown, or one member could make more of them than an answer holds: the
newest. A device whose entry is left out is not known to be confirmed, which is the safe side."""

MOST_ENTRIES_IN_FORM_2 = 50
"""So many in form 2, whose clients read statements and vouches where there are any."""

MOST_VERSIONS = 5_000
"""So many versions are shown in form 1, which has no pages: the newest."""

PAGE_OF_VERSIONS = 100
"""So many versions stand on a page of form 2."""

MOST_FORMER_ENVELOPES = 4
"""Of the envelopes for one former version so many are shown: the oldest."""

MOST_VOUCHERS = 4
"""Of the persons who vouch for one device so many are shown: those who did so first."""

MOST_VOUCHES = 600
"""So many vouches are shown: four for each of as many devices as a group may have."""


def join_proof(device: Any, member: Any) -> ColumnElement[bytes | None]:
    """Return what a device proved of itself when it came in to the group that it is in now."""
    return (
        select(InviteCode.join_proof)
        .where(
            InviteCode.used_by_device_id == device.id,
            InviteCode.group_id == member.group_id,
            InviteCode.used_at >= member.joined_at,
        )
        .order_by(InviteCode.used_at.desc())
        .limit(literal_column("1"))
        .correlate_except(InviteCode)
        .scalar_subquery()
    )


def _has_envelope(*, group_id: Any, key_version: Any, wrapped: bool) -> ColumnElement[bool]:
    found = select(KeyEnvelope.id).where(
        KeyEnvelope.device_id == Device.id,
        KeyEnvelope.group_id == group_id,
        KeyEnvelope.key_version == key_version,
    )
    if wrapped:
        found = found.where(KeyEnvelope.wrapped_key.is_not(None))
    return found.correlate_except(KeyEnvelope).exists()


def devices_with_keys(person: Any, member: Any, *, cards: bool = False) -> ColumnElement[Any]:
    """Return a person's valid devices with public keys as JSON, and what each is in a group.

    With `cards` also what each states there.
    """
    group = aliased(Group)
    version = (
        select(group.key_version)
        .where(group.id == member.group_id)
        .correlate_except(group)
        .scalar_subquery()
    )
    confirmed = _has_envelope(group_id=member.group_id, key_version=version, wrapped=False)
    card = (
        select(json_object(sealed=base64(DeviceCard.sealed), keyVersion=DeviceCard.key_version))
        .where(DeviceCard.device_id == Device.id, DeviceCard.group_id == member.group_id)
        .correlate_except(DeviceCard)
        .scalar_subquery()
    )
    return (
        select(
            func.json_agg(
                aggregate_order_by(
                    json_object(
                        id=Device.id,
                        publicKey=base64(Device.public_key),
                        confirmed=or_(version == literal_column("0"), confirmed),
                        joinProof=base64(join_proof(Device, member)),
                        kind=auth.KIND,
                        **({"card": card} if cards else {}),
                    ),
                    Device.id,
                )
            )
        )
        .where(Device.user_id == person.id, Device.public_key.is_not(None), auth.IS_VALID)
        .correlate(person, member)
        .scalar_subquery()
    )


def _asked(membership: CTE) -> CTE:
    """Return the CTE `asked`: the membership of the group named by `asked_group_id`."""
    return (
        select(membership)
        .where(membership.c.group_id == bindparam("asked_group_id", type_=Uuid))
        .cte("asked")
    )


class _Page(NamedTuple):
    """Which versions of which group are shown to whom: those above `below`, up to `newest`."""

    caller: CTE
    asked: CTE
    newest: ColumnElement[Any]
    below: ColumnElement[Any]

    def holds(self, table: Any) -> ColumnElement[bool]:
        """Whether a row is of the group, and of a version of the page."""
        return and_(
            table.group_id == self.asked.c.group_id,
            table.key_version > self.below,
            table.key_version <= self.newest,
        )

    def is_recent(self, table: Any) -> ColumnElement[bool]:
        """Whether the rosters and statements of a row's version are shown."""
        recent = literal_column(str(RECENT_VERSIONS), Integer)
        return and_(table.key_version > self.asked.c.key_version - recent)


def _build_keys(*, form: int) -> Select[Any]:
    """Build what a device is shown of a group's keys.

    Form 1 shows one envelope of each version, the oldest, and has no pages. Form 2 waits for
    `newest_shown`, the highest version of the page.
    """
    caller = auth.caller()
    asked = _asked(groups.membership(caller))
    newest: Any = asked.c.key_version
    span = literal_column(str(MOST_VERSIONS if form == 1 else PAGE_OF_VERSIONS), Integer)
    if form > 1:
        newest = func.least(newest, bindparam("newest_shown", type_=Integer))
    page = _Page(caller, asked, newest, newest - span)
    columns: list[Any] = [
        asked.c.group_id,
        asked.c.key_version,
        asked.c.rotation_required,
        asked.c.is_confirmed,
        _versions(page, form=form).label("versions"),
        _envelopes(page, form=form).label("envelopes"),
        _roster_entries(page, most=MOST_ENTRIES if form == 1 else MOST_ENTRIES_IN_FORM_2).label(
            "roster_entries"
        ),
    ]
    if form > 1:
        columns += [asked.c.browsers, _vouches(page).label("vouches"), page.below.label("below")]
    return auth.answer(caller, asked, *columns)


def _versions(page: _Page, *, form: int) -> ColumnElement[Any]:
    """Return the versions of a page as JSON. Form 2 shows a roster where there is no statement."""
    shown: dict[str, Any] = {
        "keyVersion": GroupKey.key_version,
        "commitment": base64(GroupKey.commitment),
    }
    has_roster = page.is_recent(GroupKey)
    if form > 1:
        shown["statement"] = case((has_roster, base64(GroupKey.statement)))
        has_roster = and_(has_roster, GroupKey.statement.is_(None))
    shown["roster"] = case((has_roster, base64(GroupKey.roster)))
    return (
        select(func.json_agg(aggregate_order_by(json_object(**shown), GroupKey.key_version)))
        .where(page.holds(GroupKey))
        .scalar_subquery()
    )


def _envelopes(page: _Page, *, form: int) -> ColumnElement[Any]:
    """Return the calling device's envelopes as JSON.

    In form 2 all of the present version, and the oldest of each former one.
    """

    def of_device(table: Any) -> Select[Any]:
        return (
            select(
                table.id,
                table.key_version,
                table.wrapped_key,
                table.wrapper_public_key,
                table.wrapper_device_id,
                table.former,
            )
            .where(
                table.device_id == select(page.caller.c.device_id).scalar_subquery(),
                page.holds(table),
                table.wrapped_key.is_not(None),
            )
            .correlate(page.asked)
        )

    def as_json(source: Any) -> Select[Any]:
        shown = {
            "keyVersion": source.key_version,
            "wrappedKey": base64(source.wrapped_key),
            "wrapperPublicKey": base64(source.wrapper_public_key),
            "wrapperDeviceId": source.wrapper_device_id,
        }
        if form > 1:
            shown["former"] = base64(source.former)
        order = (source.key_version, source.id)
        return select(func.json_agg(aggregate_order_by(json_object(**shown), *order)))

    if form == 1:
        return as_json(of_device(KeyEnvelope).subquery("shown").c).scalar_subquery()
    every = union_all(of_device(KeyEnvelope), of_device(FurtherEnvelope)).subquery("every")
    place = func.row_number().over(partition_by=every.c.key_version, order_by=every.c.id)
    placed = select(every, place.label("place")).subquery("placed")
    return (
        as_json(placed.c)
        .where(
            or_(
                placed.c.place <= literal_column(str(MOST_FORMER_ENVELOPES)),
                placed.c.key_version == page.asked.c.key_version,
            )
        )
        .correlate(page.asked)
        .scalar_subquery()
    )


def _roster_entries(page: _Page, *, most: int) -> ColumnElement[Any]:
    """Return the newest roster entries of recent versions as JSON."""
    every = union_all(
        *(
            select(table.id, table.key_version, table.roster_entry, table.wrapper_device_id)
            .where(page.holds(table), page.is_recent(table), table.roster_entry.is_not(None))
            .correlate(page.asked)
            for table in (KeyEnvelope, FurtherEnvelope)
        )
    ).subquery("every")
    entry = (
        select(every).order_by(every.c.id.desc()).limit(literal_column(str(most))).subquery("entry")
    )
    return select(
        func.json_agg(
            aggregate_order_by(
                json_object(
                    keyVersion=entry.c.key_version,
                    rosterEntry=base64(entry.c.roster_entry),
                    wrapperDeviceId=entry.c.wrapper_device_id,
                ),
                entry.c.id,
            )
        )
    ).scalar_subquery()


def _vouches(page: _Page) -> ColumnElement[Any]:
    """Return the vouches of the present version as JSON, where the page holds that version.

    Of each device those of the persons who vouched for it first, of each person the first.
    """
    first = (
        select(Vouch.id, Vouch.device_id, Vouch.voucher_device_id, Vouch.entry)
        .where(page.holds(Vouch), Vouch.key_version == page.asked.c.key_version)
        .correlate(page.asked)
        .ext(distinct_on(Vouch.device_id, Vouch.voucher_id))
        .order_by(Vouch.device_id, Vouch.voucher_id, Vouch.id)
        .subquery("first")
    )
    place = func.row_number().over(partition_by=first.c.device_id, order_by=first.c.id)
    placed = select(first, place.label("place")).subquery("placed")
    shown = (
        select(placed)
        .where(placed.c.place <= literal_column(str(MOST_VOUCHERS)))
        .order_by(placed.c.id)
        .limit(literal_column(str(MOST_VOUCHES)))
        .subquery("shown")
    )
    return select(
        func.json_agg(
            aggregate_order_by(
                json_object(
                    deviceId=shown.c.device_id,
                    entry=base64(shown.c.entry),
                    voucherDeviceId=shown.c.voucher_device_id,
                ),
                shown.c.id,
            )
        )
    ).scalar_subquery()


def _build_pending() -> Select[Any]:
    caller = auth.caller()
    asked = _asked(groups.membership(caller))
    has_key = _has_envelope(
        group_id=asked.c.group_id, key_version=asked.c.key_version, wrapped=True
    )
    pending = (
        select(
            func.json_agg(
                aggregate_order_by(
                    json_object(
                        deviceId=Device.id,
                        userId=User.id,
                        name=User.name,
                        publicKey=base64(Device.public_key),
                        joinProof=base64(join_proof(Device, Member)),
                    ),
                    Device.id,
                )
            )
        )
        .select_from(Member)
        .join(User, User.id == Member.user_id)
        .join(Device, Device.user_id == User.id)
        .where(
            Member.group_id == asked.c.group_id,
            asked.c.is_confirmed,
            asked.c.key_version > literal_column("0"),
            Device.public_key.is_not(None),
            auth.IS_VALID,
            ~has_key,
        )
        .scalar_subquery()
    )
    return auth.answer(
        caller, asked, asked.c.group_id, asked.c.is_confirmed, pending.label("devices")
    )


def _build_newest() -> Select[Any]:
    caller = auth.caller()
    membership = groups.membership(caller)
    newest = (
        select(KeyEnvelope.wrapped_key, KeyEnvelope.wrapper_public_key, KeyEnvelope.key_version)
        .join(
            membership,
            and_(
                membership.c.group_id == KeyEnvelope.group_id,
                membership.c.key_version == KeyEnvelope.key_version,
            ),
        )
        .where(
            KeyEnvelope.device_id == select(caller.c.device_id).scalar_subquery(),
            KeyEnvelope.wrapped_key.is_not(None),
        )
        .order_by(KeyEnvelope.id.desc())
        .limit(literal_column("1"))
        .cte("newest")
    )
    has_key = select(membership.c.group_id).where(membership.c.key_version > literal_column("0"))
    return auth.answer(caller, newest, *newest.c, has_key.exists().label("is_pending"))


LIST_KEYS = Compiled(partial(_build_keys, form=1))
LIST_KEYS_IN_FORM_2 = Compiled(partial(_build_keys, form=2))
LIST_PENDING = Compiled(_build_pending)
FIND_NEWEST = Compiled(_build_newest)


def set_public_key(session: Session, *, caller: Caller, public_key: bytes) -> Any | None:
    """Give the calling device its public key, unless it has one.

    The row says which `public_key` it has, whether it `is_new`, and what `room_for_devices` says of
    the time before. None when its token is not valid any more.
    """
    before = select(Device.id, Device.public_key).where(Device.id == caller.device_id).cte("before")
    statement = (
        update(Device)
        .where(
            Device.id == before.c.id,
            Device.token_hash == caller.credential.token_hash,
            Device.revoked_at.is_(None),
        )
        .values(public_key=func.coalesce(Device.public_key, public_key))
        .returning(
            Device.public_key,
            before.c.public_key.is_(None).label("is_new"),
            *groups.room_for_devices(caller.user_id),
        )
    )
    return session.execute(statement).one_or_none()


def list_recipients(session: Session, *, group_id: UUID) -> Mapping[UUID, Any]:
    """Return the devices that may be given a group's key, by their ids.

    Rows have `user_id`, `public_key`, whether the device `is_confirmed` in the group's present
    version, and whether it `was_given` any version.
    """
    version = select(Group.key_version).where(Group.id == group_id).scalar_subquery()
    given = exists().where(GivenKey.device_id == Device.id, GivenKey.group_id == group_id)
    statement = (
        select(
            Device.id,
            Device.user_id,
            Device.public_key,
            _has_envelope(group_id=group_id, key_version=version, wrapped=False).label(
                "is_confirmed"
            ),
            given.label("was_given"),
        )
        .join(Member, Member.user_id == Device.user_id)
        .where(Member.group_id == group_id, Device.kind == "app", auth.IS_VALID)
    )
    return {row.id: row for row in session.execute(statement)}


def wait_for_version(session: Session, *, group_id: UUID, user_id: UUID) -> int:
    """Return how many seconds a person has to wait before one more key of a group; 0: none."""
    day: ColumnElement[Any] = literal_column("interval '1 day'")
    wait = func.ceil(extract("epoch", GroupKey.created_at + day - func.now()))
    statement = (
        select(cast(wait, Integer))
        .where(GroupKey.counted_for == user_id, GroupKey.group_id == group_id)
        .order_by(GroupKey.key_version.desc())
        .offset(MOST_VERSIONS_A_DAY - 1)
        .limit(1)
    )
    return max(0, session.scalar(statement) or 0)


def create_version(
    session: Session,
    *,
    group_id: UUID,
    key_version: int,
    envelopes: Sequence[Mapping[str, Any]],
    **columns: Any,
) -> None:
    """Give a group its next version with the envelopes that carry it.

    Packages with a former key go: they would no longer be handed out. So do the vouches of the
    former version, for the next one has a statement of its own.
    """
    made = (
        insert(GroupKey).values(group_id=group_id, key_version=key_version, **columns).cte("made")
    )
    advanced = (
        update(Group)
        .where(Group.id == group_id)
        .values(key_version=key_version, rotation_required=False)
        .cte("advanced")
    )
    outdated = (
        update(InviteCode)
        .where(InviteCode.group_id == group_id, InviteCode.key_package.is_not(None))
        .values(key_package=None)
        .cte("outdated")
    )
    vouches = delete(Vouch).where(Vouch.group_id == group_id).cte("vouches_of_former")
    session.execute(
        insert(KeyEnvelope)
        .values(
            [
                {"group_id": group_id, "key_version": key_version, **envelope}
                for envelope in envelopes
            ]
        )
        .add_cte(made, advanced, outdated, vouches)
    )


def find_wrapping(
    session: Session, *, group_id: UUID, key_version: int, wrapper_id: UUID, recipient_id: UUID
) -> Any:
    """Return what there is to know before one device wraps a key for another, in one row.

    `version_exists`; of the wrapper `holds_key` in that version and `public_key`; of the recipient
    `user_id` (null where it may not be given the key), `is_admitted` (it has come by key package,
    or has an envelope), `wrapped_key` and its `wrapper_device_id`, and `is_own`: it came by a
    package and wrapped that itself; and `further_key`, which the wrapper has wrapped for it once
    another device had.
    """
    wrapper, envelope = aliased(Device), aliased(KeyEnvelope)
    version = exists().where(GroupKey.group_id == group_id, GroupKey.key_version == key_version)
    held = exists().where(
        KeyEnvelope.device_id == wrapper_id,
        KeyEnvelope.group_id == group_id,
        KeyEnvelope.key_version == key_version,
    )
    came_by_package = exists().where(
        InviteCode.used_by_device_id == recipient_id,
        InviteCode.group_id == group_id,
        InviteCode.key_version == key_version,
    )
    further = (
        select(FurtherEnvelope.wrapped_key)
        .where(
            FurtherEnvelope.device_id == recipient_id,
            FurtherEnvelope.group_id == group_id,
            FurtherEnvelope.key_version == key_version,
            FurtherEnvelope.wrapper_device_id == wrapper_id,
        )
        .scalar_subquery()
    )
    eligible = (
        select(Device.id, Device.user_id)
        .join(Member, and_(Member.user_id == Device.user_id, Member.group_id == group_id))
        .where(Device.id == recipient_id, Device.public_key.is_not(None), auth.IS_VALID)
        .subquery("eligible")
    )
    statement = (
        select(
            version.label("version_exists"),
            held.label("holds_key"),
            wrapper.public_key,
            eligible.c.user_id,
            envelope.id.is_not(None).label("is_admitted"),
            envelope.wrapped_key,
            envelope.wrapper_device_id,
            further.label("further_key"),
            and_(envelope.wrapper_device_id == envelope.device_id, came_by_package).label("is_own"),
        )
        .select_from(wrapper)
        .outerjoin(eligible, literal_column("true"))
        .outerjoin(
            envelope,
            and_(
                envelope.device_id == eligible.c.id,
                envelope.group_id == group_id,
                envelope.key_version == key_version,
            ),
        )
        .where(wrapper.id == wrapper_id)
    )
    return session.execute(statement).one()


def put_envelope(session: Session, **columns: Any) -> None:
    """Keep an envelope, in the place of one without a wrapped key or with the device's own."""
    statement = insert(KeyEnvelope).values(**columns)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["device_id", "group_id", "key_version"],
            set_={
                name: statement.excluded[name]
                for name in (
                    "wrapped_key",
                    "wrapper_public_key",
                    "wrapper_device_id",
                    "roster_entry",
                    "former",
                )
            },
        )
    )


def add_envelope(session: Session, **columns: Any) -> None:
    """Keep one more envelope for a device and version, beside those of other wrappers."""
    session.execute(insert(FurtherEnvelope).values(**columns))


def delete_envelope(session: Session, *, group_id: UUID, key_version: int, device_id: UUID) -> int:
    """Delete a device's oldest envelope of a version; return how many there were.

    The next one takes its place.
    """

    def of_device(table: Any) -> Any:
        return and_(
            table.device_id == device_id,
            table.group_id == group_id,
            table.key_version == key_version,
        )

    deleted = (
        delete(KeyEnvelope).where(of_device(KeyEnvelope)).returning(KeyEnvelope.id).cte("deleted")
    )
    count = select(func.count()).select_from(deleted).scalar_subquery()
    oldest = select(FurtherEnvelope.id).where(of_device(FurtherEnvelope))
    oldest = oldest.order_by(FurtherEnvelope.id).limit(1)
    columns = [column.name for column in FurtherEnvelope.__table__.columns]
    # The count also makes this wait for the deletion, or there would be two for a moment.
    moved = (
        delete(FurtherEnvelope)
        .where(FurtherEnvelope.id == oldest.scalar_subquery(), count > 0)
        .returning(*(FurtherEnvelope.__table__.c[name] for name in columns))
        .cte("moved")
    )
    replaced = insert(KeyEnvelope).from_select(columns, select(moved)).cte("replaced")
    number: int = session.execute(select(count).add_cte(replaced)).scalar_one()
    return number


def put_vouch(session: Session, **columns: Any) -> int:
    """Keep what one device states of another, in the place of what it stated before.

    0 when the other is no valid device with a public key of a member.
    """
    about, group_id = columns.pop("device_id"), columns["group_id"]
    told = {name: literal(value, Vouch.__table__.c[name].type) for name, value in columns.items()}
    statement = insert(Vouch).from_select(
        ["device_id", "user_id", *told],
        select(Device.id, Device.user_id, *told.values())
        .join(Member, and_(Member.user_id == Device.user_id, Member.group_id == group_id))
        .where(Device.id == about, Device.public_key.is_not(None), auth.IS_VALID),
    )
    kept: Any = session.execute(
        statement.on_conflict_do_update(
            index_elements=["device_id", "group_id", "voucher_device_id"],
            set_={name: statement.excluded[name] for name in ("key_version", "entry")},
        )
    )
    return int(kept.rowcount)


def put_card(session: Session, **columns: Any) -> None:
    """Keep what a device states of its person in a group, in the place of what it stated before."""
    statement = insert(DeviceCard).values(**columns)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["device_id", "group_id"],
            set_={
                "key_version": statement.excluded.key_version,
                "sealed": statement.excluded.sealed,
                "updated_at": func.now(),
            },
            # The same again changes nothing, not even the time.
            where=or_(
                DeviceCard.key_version != statement.excluded.key_version,
                DeviceCard.sealed != statement.excluded.sealed,
            ),
        )
    )
