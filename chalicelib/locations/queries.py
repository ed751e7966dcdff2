"""Locations in the database: each hot request one statement, built once.

The statements read from the top: who calls, in which groups they are, what is asked, and one row
that says everything, refusals too.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import Insert, aggregate_order_by, insert
from sqlalchemy.orm import aliased
from sqlalchemy.sql.functions import FunctionElement

from chalicelib.auth import Credential
from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, OneStatement, Session, json_object
from chalicelib.db.failure import CHECK_VIOLATION, DEADLOCK_DETECTED, FOREIGN_KEY_VIOLATION
from chalicelib.groups import queries as groups
from chalicelib.models import Device, ErasedPoint, Group, Location, Member

_AHEAD: ColumnElement[Any] = literal_column("interval '10 minutes'")
_ONE: ColumnElement[int] = literal_column("1", Integer)
_MOMENT = DateTime(timezone=True)
_REPEATED_WITHIN: ColumnElement[Any] = literal_column("interval '30 days'")
"""How long a device that was away may wait before it repeats a post."""

_PAGE_BYTES: ColumnElement[int] = literal_column("1000000", Integer)
"""Of points in an answer: with the rest it stays below a mebibyte; Lambda returns 6 MB at most."""
_ALWAYS: ColumnElement[datetime] = literal_column("timestamptz '-infinity'", _MOMENT)
_NEVER: ColumnElement[datetime] = literal_column("timestamptz 'infinity'", _MOMENT)
_NO_ID: ColumnElement[UUID] = literal_column(f"'{UUID(int=0)}'::uuid", Uuid)


class Page(NamedTuple):
    """A page of points as JSON, and whether more follow."""

    points: ColumnElement[Any]
    has_more: ColumnElement[bool]


def _text(code: str) -> ColumnElement[str]:
    """Return a constant of the statement's text: fewer parameters, one plan."""
    return literal_column(f"'{code}'", Text)


def _days(column_: Any) -> ColumnElement[Any]:
    days: ColumnElement[Any] = column_ * literal_column("interval '1 day'")
    return days


def _build_store() -> Select[Any]:
    caller = auth.caller()
    membership = groups.membership(caller, locked=True)
    device = auth.held_device(caller, after=membership)
    sent = (
        func.json_to_recordset(cast(bindparam("sent_points", type_=Text), JSON))
        .table_valued(
            column("n", Integer),
            column("id", Uuid),
            column("group_id", Uuid),
            column("recorded_ms", BigInteger),
            column("latitude", Double),
            column("longitude", Double),
            column("accuracy", Double),
            column("encrypted_data", Text),
            column("key_version", Integer),
            name="sent",
        )
        .render_derived(with_types=True)
    )
    only_group = (
        select(membership.c.group_id)
        .where(select(func.count()).select_from(membership).scalar_subquery() == _ONE)
        .scalar_subquery()
    )
    said_time = func.to_timestamp(sent.c.recorded_ms / literal_column("1000.0::float8", Double))
    point = select(
        sent.c.n,
        func.coalesce(sent.c.group_id, only_group).label("group_id"),
        func.coalesce(sent.c.id, func.new_id(func.coalesce(said_time, func.now()))).label("id"),
        sent.c.latitude,
        sent.c.longitude,
        sent.c.accuracy,
        func.decode(sent.c.encrypted_data, _text("hex")).label("encrypted_data"),
        sent.c.key_version,
    ).cte("point")
    judged = judge(point, membership, device)
    stored = new_points(judged).cte("stored")
    # What was taken once stays taken, whatever would refuse it now: its answer may be lost.
    is_repeat = func.location_is_stored(
        judged.c.group_id, judged.c.user_id, judged.c.recorded_at, judged.c.id
    )
    verdict = case(
        (judged.c.refusal.is_(None), None),
        (or_(is_repeat, _is_erased(judged)), None),
        else_=judged.c.refusal,
    )
    verdicts = select(
        func.json_agg(func.json_build_array(judged.c.n, judged.c.id, verdict))
    ).scalar_subquery()
    return select(
        select(device.c.id).exists().label("is_signed_in"),
        groups.group_ids(membership).label("group_ids"),
        verdicts.label("verdicts"),
    ).add_cte(stored)


def judge(
    point: CTE, membership: CTE, device: CTE, *, digest: ColumnElement[bytes] | None = None
) -> CTE:
    """Return the CTE `judged`: points with who posts them, and why one is refused, or null.

    `digest` is that by which a point is known once it is erased: of its id, unless told.

    `membership` and `device` are read FOR SHARE, so that what is judged so stays so.
    """
    recorded_at = func.uuid_time(point.c.id)
    is_sealed = point.c.encrypted_data.is_not(None)
    oldest = func.now() - _days(membership.c.retention_days)
    return (
        select(
            point,
            membership.c.user_id,
            device.c.id.label("device_id"),
            recorded_at.label("recorded_at"),
            (digest_of_id(point.c.id) if digest is None else digest).label("digest"),
            case(
                (point.c.group_id.is_(None), _text("group_required")),
                (membership.c.group_id.is_(None), _text("group_not_found")),
                (membership.c.sharing_paused, _text("sharing_paused")),
                (
                    and_(~is_sealed, membership.c.encryption == _text("required")),
                    _text("encryption_required"),
                ),
                (
                    and_(is_sealed, membership.c.key_version == literal_column("0")),
                    _text("group_key_missing"),
                ),
                (and_(is_sealed, membership.c.rotation_required), _text("rotation_required")),
                (
                    and_(is_sealed, membership.c.key_version != point.c.key_version),
                    _text("key_version_conflict"),
                ),
                # After what a device learns of a rotation by that left it out.
                (
                    and_(~membership.c.is_confirmed, _has_waited_for_a_key(membership)),
                    _text("key_version_conflict"),
                ),
                (~membership.c.is_confirmed, _text("not_confirmed")),
                (
                    or_(recorded_at < oldest, recorded_at > func.now() + _AHEAD),
                    _text("out_of_range"),
                ),
            ).label("refusal"),
        )
        .select_from(
            point.join(device, true()).outerjoin(
                membership, membership.c.group_id == point.c.group_id
            )
        )
        .cte("judged")
    )


def digest_of_id(id_: ColumnElement[UUID]) -> ColumnElement[bytes]:
    """Return by what a point is known once it is erased."""
    return func.sha256(func.uuid_send(id_))


def _is_erased(judged: CTE) -> ColumnElement[bool]:
    """Whether a point is the repeat of one that was erased."""
    erased: ColumnElement[bool] = func.is_erased(
        judged.c.group_id, judged.c.user_id, judged.c.digest, type_=Boolean
    )
    return erased


def _has_waited_for_a_key(membership: CTE) -> ColumnElement[bool]:
    """Whether the group's key was another when this statement began.

    The group has been read again when its lock was there, and the envelopes of its new key not: who
    is confirmed in it is not known.
    """
    group = aliased(Group)
    before = select(group.key_version).where(group.id == membership.c.group_id).scalar_subquery()
    return before != membership.c.key_version


def new_points(judged: CTE, *conditions: ColumnElement[bool]) -> Insert:
    """Return the statement that stores what was not refused, each point once."""
    taken = [
        "group_id",
        "user_id",
        "recorded_at",
        "id",
        "device_id",
        "latitude",
        "longitude",
        "accuracy",
        "encrypted_data",
        "key_version",
    ]
    return (
        insert(Location)
        .from_select(
            taken,
            select(*(judged.c[name] for name in taken))
            .where(judged.c.refusal.is_(None), not_(_is_erased(judged)), *conditions)
            # Batches that overlap in opposite orders would otherwise deadlock.
            .order_by(judged.c.id),
        )
        .on_conflict_do_nothing()
    )


def _point_object(point: Any) -> ColumnElement[Any]:
    """Return a point as a JSON object with the names it has on the wire."""
    return json_object(
        id=point.id,
        groupId=point.group_id,
        userId=point.user_id,
        deviceId=point.device_id,
        recordedAt=point.recorded_at,
        receivedAt=point.received_at,
        latitude=point.latitude,
        longitude=point.longitude,
        accuracy=point.accuracy,
        encryptedData=func.encode(point.encrypted_data, _text("base64")),
        keyVersion=point.key_version,
    )


def page_of(points: Any, *order: Any, size: ColumnElement[int] | None) -> Page:
    """Return a page of those points that come first in order, as JSON, and whether more follow.

    It holds `size` points at most, and no more than its bytes allow, but always one. To say whether
    more follow, `points` has one more than `size`.
    """
    number = func.row_number().over(order_by=order)
    bytes_ = func.sum(_bytes_of(points)).over(order_by=order, rows=(None, 0))
    numbered = select(points, number.label("n"), bytes_.label("bytes")).cte("numbered")
    fits = or_(numbered.c.n == _ONE, numbered.c.bytes <= _PAGE_BYTES)
    if size is not None:
        fits = and_(fits, numbered.c.n <= size)
    return Page(
        points=select(
            func.json_agg(aggregate_order_by(_point_object(numbered.c), numbered.c.n)).filter(fits)
        ).scalar_subquery(),
        has_more=select(not_(func.coalesce(func.bool_and(fits), true())))
        .select_from(numbered)
        .scalar_subquery(),
    )


def _bytes_of(points: Any) -> ColumnElement[int]:
    """Return as how many bytes of JSON a point goes at most; no ciphertext is read for it."""
    sealed = func.coalesce(func.octet_length(points.c.encrypted_data), literal_column("0"))
    in_base64: ColumnElement[int] = sealed * literal_column("4") // literal_column("3")
    return in_base64 + literal_column("400")


def _is_shown(chosen: CTE, member: Any) -> ColumnElement[bool]:
    """Whether a member's points are shown to the calling device at all."""
    return and_(member.group_id == chosen.c.group_id, chosen.c.is_confirmed)


def _visible_since(chosen: CTE, member: Any) -> ColumnElement[datetime]:
    """Return since when the caller sees a member's points.

    No longer than the group keeps them, and those of others from when the caller joined. One
    bound, so that the index finds it: a second condition would read through all history.
    """
    return func.greatest(
        func.now() - _days(chosen.c.retention_days),
        case((member.user_id != chosen.c.user_id, chosen.c.joined_at)),
    )


def _received_since(chosen: CTE, member: Any) -> ColumnElement[datetime]:
    """Return since when a member's points have to have arrived for the caller to see them.

    Those of others from when the caller joined: a point may be dated ahead, so the time it was
    recorded at is not enough.
    """
    return case((member.user_id != chosen.c.user_id, chosen.c.joined_at), else_=_ALWAYS)


def points_of_member(
    member: tuple[Any, Any],
    *,
    since: Any,
    received_since: Any = _ALWAYS,
    before: tuple[Any, Any, Any] = (_NEVER, _NO_ID, _NO_ID),
    at_most: Any,
) -> Any:
    """Return points of a member, given as (group id, user id), newest first, to join with them.

    The database's function reads no more rows than it returns, whatever the planner expects: as
    a subquery it was sometimes all the member's points that were read, and sorted.
    """
    points = func.points_of_member(*member, since, received_since, *before, at_most)
    return _points(points, "of_member")


def newest_visible(
    chosen: CTE, member: Any, *, key_version: ColumnElement[int | None], among: Any
) -> Any:
    """Return the newest point of a member that the caller may see, to join with it.

    It is one of that key version, null for one in the clear, `among` so many of late.
    """
    return _points(
        func.newest_of_member(
            member.group_id,
            member.user_id,
            _visible_since(chosen, member),
            _received_since(chosen, member),
            key_version,
            among,
        ),
        "newest",
    )


def _points(function: FunctionElement[Any], name: str) -> Any:
    columns = (column(each.name, each.type) for each in Location.__table__.columns)
    return function.table_valued(*columns).lateral(name)


def _build_latest() -> Select[Any]:
    caller, membership, chosen = _reading()
    member = aliased(Member)
    newest = points_of_member(
        (member.group_id, member.user_id),
        since=_visible_since(chosen, member),
        received_since=_received_since(chosen, member),
        at_most=_ONE,
    )
    last_user_id = cast(bindparam("last_user_id"), Uuid)
    shown = (
        select(newest)
        .select_from(chosen)
        .join(member, _is_shown(chosen, member))
        .join(newest, true())
        .where(or_(last_user_id.is_(None), member.user_id > last_user_id))
        .subquery("shown")
    )
    page = page_of(shown, shown.c.user_id, size=None)
    return _answer(caller, membership, chosen, page)


def _build_history() -> Select[Any]:
    caller, membership, chosen = _reading()
    member = aliased(Member)
    since = bindparam("history_since", type_=_MOMENT)
    until = bindparam("history_until", type_=_MOMENT)
    size = bindparam("page_size", type_=Integer)
    one_more = size + _ONE
    last_id = bindparam("last_id", type_=Uuid)
    last_at = func.uuid_time(last_id)
    # The member's own newest points first; then the newest of all members together.
    of_member = points_of_member(
        (member.group_id, member.user_id),
        since=func.greatest(_visible_since(chosen, member), since),
        received_since=_received_since(chosen, member),
        # One bound: of two the walk might begin at the later one.
        before=(
            func.least(until, last_at),
            case((until <= last_at, _NO_ID), else_=last_id),
            bindparam("last_user_id", type_=Uuid),
        ),
        at_most=one_more,
    )
    newest_first = (
        of_member.c.recorded_at.desc(),
        of_member.c.id.desc(),
        of_member.c.user_id.desc(),
    )
    first = (
        select(of_member)
        .select_from(chosen)
        .join(member, _is_shown(chosen, member))
        .join(of_member, true())
        .where(
            member.user_id
            == func.coalesce(bindparam("history_user_id", type_=Uuid), member.user_id)
        )
        .order_by(*newest_first)
        .limit(one_more)
        .subquery("first")
    )
    page = page_of(
        first, first.c.recorded_at.desc(), first.c.id.desc(), first.c.user_id.desc(), size=size
    )
    return _answer(caller, membership, chosen, page)


def _reading() -> tuple[CTE, CTE, CTE]:
    caller = auth.caller()
    membership = groups.membership(caller)
    return caller, membership, groups.chosen(membership)


def _answer(caller: CTE, membership: CTE, chosen: CTE, page: Page) -> Select[Any]:
    return auth.answer(
        caller,
        chosen,
        chosen.c.group_id,
        chosen.c.is_confirmed,
        groups.group_ids(membership).label("group_ids"),
        page.points.label("points"),
        page.has_more.label("has_more"),
    )


_STORE = Compiled(_build_store)
_LATEST = Compiled(_build_latest)
_HISTORY = Compiled(_build_history)


def store(connection: OneStatement, credential: Credential, points: str) -> Any:
    """Judge and store points, given as a JSON array of objects; one row.

    It has `is_signed_in`, `group_ids` and `verdicts`, a list of [n, id, refusal or null]. It is
    run once more when a membership ended under it, a partition was made or dropped, or somebody's
    locks crossed its own.
    """
    return connection.execute(
        _STORE,
        credential.parameters | {"sent_points": points},
        again_on=frozenset({FOREIGN_KEY_VIOLATION, DEADLOCK_DETECTED, CHECK_VIOLATION}),
    )[0]


def latest(
    connection: OneStatement,
    credential: Credential,
    *,
    group_id: UUID | None,
    last_user_id: UUID | None,
) -> Any:
    """Return one row with the newest point of each member as `points`, and `has_more`."""
    return connection.execute(
        _LATEST,
        credential.parameters | {"asked_group_id": group_id, "last_user_id": last_user_id},
    )[0]


def history(connection: OneStatement, credential: Credential, wanted: dict[str, Any]) -> Any:
    """Return one row with `points`, newest first, and `has_more`.

    `wanted` holds the statement's parameters.
    """
    return connection.execute(_HISTORY, credential.parameters | wanted)[0]


def delete_points(  # noqa: PLR0913 -- each by its name
    session: Session,
    *,
    group_id: UUID,
    user_id: UUID,
    since: datetime | None,
    until: datetime | None,
    point_id: UUID | None,
) -> int:
    """Delete a person's points of a group in [since, until), or the one of an id; return how many.

    Those that have arrived of late are remembered: a device that has not got the answer to its post
    repeats it.
    """
    statement = delete(Location).where(Location.group_id == group_id, Location.user_id == user_id)
    if point_id is not None:
        statement = statement.where(Location.id == point_id)
    if since is not None:
        statement = statement.where(Location.recorded_at >= since)
    if until is not None:
        statement = statement.where(Location.recorded_at < until)
    deleted = statement.returning(
        Location.group_id,
        Location.user_id,
        Location.id,
        Location.device_id,
        Location.encrypted_data,
        Location.received_at,
    ).cte("deleted")
    digest = case(
        # The service makes the id of what a phone seals, another one each time.
        (
            and_(Device.kind == "owntracks", deleted.c.encrypted_data.is_not(None)),
            func.sha256(deleted.c.encrypted_data),
        ),
        else_=digest_of_id(deleted.c.id),
    )
    remembered = (
        insert(ErasedPoint)
        .from_select(
            ["group_id", "user_id", "digest"],
            select(deleted.c.group_id, deleted.c.user_id, digest)
            .select_from(deleted.outerjoin(Device, Device.id == deleted.c.device_id))
            .where(deleted.c.received_at > func.now() - _REPEATED_WITHIN),
        )
        .on_conflict_do_nothing()
        .cte("remembered")
    )
    return session.execute(
        select(func.count()).select_from(deleted).add_cte(remembered)
    ).scalar_one()


def lock_member(session: Session, *, group_id: UUID, user_id: UUID) -> None:
    """Let no point of a member be stored until this transaction ends.

    Who deletes the person locks the groups, then the person, then the memberships: the group keeps
    them out until this one has the person, too. Points of other members do not wait.
    """
    group = (
        select(Group.id)
        .where(Group.id == group_id)
        .with_for_update(read=True, key_share=True)
        .cte("held_group")
    )
    session.execute(
        select(Member.id)
        .where(
            Member.group_id == select(group.c.id).scalar_subquery(),
            Member.user_id == user_id,
        )
        .with_for_update()
    )


def forget_erased(session: Session) -> int:
    """Forget erased points that no device repeats any more; return how many."""
    deleted: Any = session.execute(
        delete(ErasedPoint).where(ErasedPoint.erased_at < func.now() - _REPEATED_WITHIN)
    )
    return int(deleted.rowcount)


def delete_past_retention(session: Session, *, at_most: int) -> int:
    """Delete points older than their group's retention; return how many."""
    deletion = func.delete_points_past_retention(at_most)
    return int(session.execute(select(deletion)).scalar_one())


def page_of_mine(caller: CTE) -> Page:
    """Return a page of the caller's own points of all groups as JSON, by group and time.

    It waits for `page_size`, and for `last_group_id` and `last_id`, after which the page begins.
    """
    member = aliased(Member)
    size = bindparam("page_size", type_=Integer)
    one_more = size + _ONE
    last_group_id = bindparam("last_group_id", type_=Uuid)
    last_id = bindparam("last_id", type_=Uuid)
    begun = case((member.group_id == last_group_id, last_id), else_=_NO_ID)
    of_group = _points(
        func.points_of_member_after(
            member.group_id, member.user_id, func.uuid_time(begun), begun, one_more
        ),
        "of_group",
    )
    in_order = (of_group.c.group_id, of_group.c.recorded_at, of_group.c.id)
    first = (
        select(of_group)
        .select_from(member)
        .join(of_group, true())
        .where(
            member.user_id == select(caller.c.user_id).scalar_subquery(),
            member.group_id >= last_group_id,
        )
        .order_by(*in_order)
        .limit(one_more)
        .subquery("first")
    )
    return page_of(first, first.c.group_id, first.c.recorded_at, first.c.id, size=size)
