"""OwnTracks in the database: each kind of message one statement, built once.

They read like those of locations: who calls, whether they may, what is stored, and one row that
says everything. They read the phone FOR SHARE, so what they note of it they note elsewhere, in
owntracks_served.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    Select,
    String,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    delete,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.orm import aliased

from chalicelib.auth import PhoneCredential
from chalicelib.auth import queries as auth
from chalicelib.db import Compiled, OneStatement, Session, json_object
from chalicelib.db.failure import CHECK_VIOLATION, DEADLOCK_DETECTED, FOREIGN_KEY_VIOLATION
from chalicelib.groups import queries as groups
from chalicelib.locations import queries as locations
from chalicelib.models import (
    Device,
    Location,
    Member,
    OwntracksCard,
    OwntracksServed,
    OwntracksTransition,
    User,
)

_AGAIN_ON = frozenset({FOREIGN_KEY_VIOLATION, DEADLOCK_DETECTED, CHECK_VIOLATION})
_DAY: ColumnElement[Any] = literal_column("interval '1 day'")
_AHEAD: ColumnElement[Any] = literal_column("interval '10 minutes'")
_EIGHT: ColumnElement[int] = literal_column("8", Integer)
_FIRST = literal_column(f"'{UUID(int=0)}'::uuid", Uuid)
_PLACE = ("latitude", "longitude", "accuracy")
_NONCE: ColumnElement[int] = literal_column("24", Integer)
_ONE: ColumnElement[int] = literal_column("1", Integer)
_OF_LATE: ColumnElement[int] = literal_column("200", Integer)
"""Among so many points of a member one that would do is looked for, or that iOS sends again."""
_AT_ONCE: ColumnElement[int] = literal_column("50", Integer)
"""Of so many transitions of a member a phone is told in one answer, and of the next in the next."""


def _text(code: str) -> ColumnElement[str]:
    return literal_column(f"'{code}'", Text)


def _is_same(stored: Any, sent: Any) -> ColumnElement[bool]:
    """Compare ciphertexts, and read as little as possible of the stored one.

    A large one is stored in chunks of 2 KB in another table. Its length is known without them, and
    its nonce is in the first; a plain equality could be hashed, which reads all of them.
    """
    return case(
        (func.octet_length(stored) != func.octet_length(sent), false()),
        (func.substr(stored, _ONE, _NONCE) != func.substr(sent, _ONE, _NONCE), false()),
        else_=stored == sent,
    )


def _seconds(moment: Any) -> ColumnElement[int]:
    return cast(func.floor(func.date_part(_text("epoch"), moment)), BigInteger)


def _posting() -> tuple[CTE, CTE, CTE]:
    """Return the CTEs of a phone that posts, each read so that it stays as it is."""
    caller = auth.phone()
    membership = groups.membership(caller, locked=True)
    return caller, membership, auth.held_device(caller, after=membership)


def _verdict(device: CTE, judged: CTE, stored: CTE, *columns: ColumnElement[Any]) -> Select[Any]:
    return select(
        select(device.c.id).exists().label("is_signed_in"),
        select(judged.c.refusal).scalar_subquery().label("refusal"),
        select(stored).exists().label("is_stored"),
        *columns,
    )


def _build_post_fix() -> Select[Any]:
    caller, membership, device = _posting()
    point = select(
        literal_column("0", Integer).label("n"),
        caller.c.group_id,
        cast(bindparam("id"), Uuid).label("id"),
        *(cast(bindparam(name), Double).label(name) for name in _PLACE),
        literal_column("null::bytea", LargeBinary).label("encrypted_data"),
        literal_column("null::integer", Integer).label("key_version"),
    ).cte("point")
    judged = locations.judge(point, membership, device)
    stored = locations.new_points(judged).returning(Location.id).cte("stored")
    told = _told(caller, membership, judged)
    friends = select(
        func.json_agg(
            aggregate_order_by(
                json_object(
                    isCaller=told.c.user_id == told.c.caller_user_id,
                    tid=told.c.tid,
                    name=told.c.name,
                    face=told.c.face,
                    isCardDue=told.c.is_card_due,
                    at=told.c.at,
                    latitude=told.c.latitude,
                    longitude=told.c.longitude,
                    accuracy=told.c.accuracy,
                    transitions=told.c.transitions,
                ),
                told.c.user_id,
            )
        )
    ).scalar_subquery()
    return _verdict(device, judged, stored, friends.label("friends")).add_cte(
        _noted(
            caller,
            told,
            card_served_at=case((told.c.face.is_not(None), func.now())),
            transition_id=told.c.transition_id,
        )
    )


def _told(caller: CTE, membership: CTE, judged: CTE) -> CTE:
    """Return the CTE `told`: every member with what the calling phone is told of them.

    A card takes the place of the one before whole, its face too, in both apps: one with a face
    is told whole once a day and when it has changed, or not at all.
    """
    member, phone = aliased(Member), aliased(Device)
    newest = locations.newest_visible(
        membership, member, key_version=literal_column("null::integer", Integer), among=_OF_LATE
    )
    carried = (
        select(phone.tid)
        .where(
            phone.group_id == member.group_id,
            phone.user_id == member.user_id,
            phone.revoked_at.is_(None),
        )
        .order_by(phone.id)
        .limit(_ONE)
        .lateral("carried")
    )
    card = (
        select(OwntracksCard.name, OwntracksCard.face, OwntracksCard.updated_at)
        .join(phone, phone.id == OwntracksCard.device_id)
        .where(
            phone.group_id == member.group_id,
            phone.user_id == member.user_id,
            phone.revoked_at.is_(None),
        )
        .order_by(OwntracksCard.updated_at.desc(), OwntracksCard.device_id)
        .limit(_ONE)
        .lateral("card")
    )
    untold = (
        select(OwntracksTransition)
        .where(
            OwntracksTransition.group_id == member.group_id,
            OwntracksTransition.user_id == member.user_id,
            OwntracksTransition.created_at
            >= func.greatest(membership.c.joined_at, func.now() - _DAY),
            OwntracksTransition.id > func.coalesce(OwntracksServed.transition_id, _FIRST),
            member.user_id != membership.c.user_id,
            bindparam("tells_transitions", type_=Boolean),
        )
        .correlate(member, membership, OwntracksServed)
        .order_by(OwntracksTransition.id)
        .limit(_AT_ONCE)
        .subquery("untold")
    )
    passed = select(
        func.json_agg(
            aggregate_order_by(
                json_object(
                    event=untold.c.event,
                    description=untold.c.description,
                    at=_seconds(untold.c.occurred_at),
                    waypointAt=_seconds(untold.c.waypoint_at),
                    latitude=untold.c.latitude,
                    longitude=untold.c.longitude,
                    accuracy=untold.c.accuracy,
                ),
                untold.c.id,
            )
        ).label("transitions"),
        func.array_agg(aggregate_order_by(untold.c.id, untold.c.id.desc()))[_ONE].label(
            "transition_id"
        ),
    ).lateral("passed")
    is_face_due = or_(
        OwntracksServed.card_served_at.is_(None),
        OwntracksServed.card_served_at < func.greatest(card.c.updated_at, func.now() - _DAY),
    )
    return (
        select(
            member.user_id,
            caller.c.user_id.label("caller_user_id"),
            case(
                (member.user_id == caller.c.user_id, caller.c.tid),
                else_=func.coalesce(carried.c.tid, func.right(cast(member.user_id, Text), _EIGHT)),
            ).label("tid"),
            func.coalesce(card.c.name, User.name).label("name"),
            case((is_face_due, card.c.face)).label("face"),
            or_(card.c.face.is_(None), is_face_due).label("is_card_due"),
            _seconds(newest.c.recorded_at).label("at"),
            *(newest.c[name] for name in _PLACE),
            passed.c.transitions,
            passed.c.transition_id,
        )
        .select_from(caller)
        .join(judged, judged.c.refusal.is_(None))
        .join(membership, true())
        .join(member, member.group_id == membership.c.group_id)
        .join(User, User.id == member.user_id)
        .outerjoin(newest, true())
        .outerjoin(carried, true())
        .outerjoin(card, true())
        .outerjoin(OwntracksServed, _served(caller, member))
        .outerjoin(passed, true())
        .cte("told")
    )


def _build_post_sealed() -> Select[Any]:
    caller, membership, device = _posting()
    point = select(
        literal_column("0", Integer).label("n"),
        caller.c.group_id,
        # Its time is inside: that of its arrival is all there is to order it by.
        func.new_id().label("id"),
        *(literal_column("null::float8", Double).label(name) for name in _PLACE),
        cast(bindparam("ciphertext"), LargeBinary).label("encrypted_data"),
        caller.c.key_version,
    ).cte("point")
    # Its id is another each time: only its bytes tell a repeat of what was erased.
    judged = locations.judge(point, membership, device, digest=func.sha256(point.c.encrypted_data))
    of_late = locations.points_of_member(
        (caller.c.group_id, caller.c.user_id),
        since=func.now() - literal_column("interval '7 days'"),
        at_most=_OF_LATE,
    )
    is_new = ~(
        select(of_late.c.id)
        .select_from(caller.join(of_late, true()))
        .where(_is_same(of_late.c.encrypted_data, judged.c.encrypted_data))
        .correlate(judged)
        .exists()
    )
    stored = locations.new_points(judged, is_new).returning(Location.id).cte("stored")
    member = aliased(Member)
    newest = locations.newest_visible(
        membership, member, key_version=membership.c.key_version, among=_OF_LATE
    )
    turn = (
        select(member.user_id, newest.c.encrypted_data)
        .select_from(caller)
        .join(judged, judged.c.refusal.is_(None))
        .join(membership, true())
        .join(
            member,
            and_(member.group_id == membership.c.group_id, member.user_id != membership.c.user_id),
        )
        .join(newest, true())
        .outerjoin(OwntracksServed, _served(caller, member))
        .order_by(OwntracksServed.sealed_served_at.nulls_first(), member.user_id)
        .limit(_ONE)
        .cte("turn")
    )
    return _verdict(
        device, judged, stored, select(turn.c.encrypted_data).scalar_subquery().label("sealed")
    ).add_cte(_noted(caller, turn, sealed_served_at=func.clock_timestamp()))


def _served(caller: CTE, member: Any) -> ColumnElement[bool]:
    return and_(
        OwntracksServed.device_id == caller.c.device_id, OwntracksServed.user_id == member.user_id
    )


def _noted(caller: CTE, told: CTE, **columns: ColumnElement[Any]) -> CTE:
    """Return the CTE that notes what the phone was told of whom, where there is something to."""
    noting = insert(OwntracksServed).from_select(
        ["device_id", "user_id", *columns],
        select(caller.c.device_id, told.c.user_id, *columns.values())
        .select_from(caller.join(told, true()))
        .where(or_(*(column.is_not(None) for column in columns.values())))
        # Answers to one phone that overlap would otherwise deadlock.
        .order_by(told.c.user_id),
    )
    return noting.on_conflict_do_update(
        index_elements=["device_id", "user_id"],
        set_={
            name: func.coalesce(noting.excluded[name], OwntracksServed.__table__.c[name])
            for name in columns
        },
    ).cte("noted")


def _judged(device: CTE, membership: CTE, *refusals: tuple[ColumnElement[bool], str]) -> CTE:
    """Return the CTE `judged` of what a phone says in the clear beside where it is."""
    cases = [(membership.c.encryption == _text("required"), "encryption_required"), *refusals]
    return (
        select(
            membership.c.group_id,
            membership.c.user_id,
            device.c.id.label("device_id"),
            case(*((condition, _text(code)) for condition, code in cases)).label("refusal"),
        )
        .select_from(device.join(membership, true()))
        .cte("judged")
    )


def _build_put_card() -> Select[Any]:
    _, membership, device = _posting()
    judged = _judged(device, membership)
    card = insert(OwntracksCard).from_select(
        ["device_id", "name", "face"],
        select(
            judged.c.device_id,
            cast(bindparam("name"), String),
            cast(bindparam("face"), String),
        ).where(judged.c.refusal.is_(None)),
    )
    # The apps send it again and again, and a face is told anew when it has changed.
    stored = card.on_conflict_do_update(
        index_elements=["device_id"],
        set_={
            "name": card.excluded.name,
            "face": card.excluded.face,
            "updated_at": card.excluded.updated_at,
        },
        where=or_(
            OwntracksCard.name.is_distinct_from(card.excluded.name),
            OwntracksCard.face.is_distinct_from(card.excluded.face),
        ),
    ).returning(OwntracksCard.device_id)
    return _verdict(device, judged, stored.cte("stored"))


def _build_post_transition() -> Select[Any]:
    _, membership, device = _posting()
    occurred_at = cast(bindparam("at"), DateTime(timezone=True))
    judged = _judged(
        device,
        membership,
        (membership.c.sharing_paused, "sharing_paused"),
        (
            or_(occurred_at < func.now() - _DAY, occurred_at > func.now() + _AHEAD),
            "out_of_range",
        ),
    )
    stored = (
        insert(OwntracksTransition)
        .from_select(
            [
                "group_id",
                "user_id",
                "device_id",
                "event",
                "description",
                "occurred_at",
                "waypoint_at",
                *_PLACE,
            ],
            select(
                judged.c.group_id,
                judged.c.user_id,
                judged.c.device_id,
                cast(bindparam("event"), String),
                cast(bindparam("description"), String),
                occurred_at,
                cast(bindparam("waypoint_at"), DateTime(timezone=True)),
                *(cast(bindparam(name), Double) for name in _PLACE),
            ).where(judged.c.refusal.is_(None)),
        )
        .on_conflict_do_nothing()
        .returning(OwntracksTransition.id)
    )
    return _verdict(device, judged, stored.cte("stored"))


SIGN_IN = Compiled(lambda: auth.answer(auth.phone(), None))
_POST_FIX = Compiled(_build_post_fix)
_POST_SEALED = Compiled(_build_post_sealed)
_PUT_CARD = Compiled(_build_put_card)
_POST_TRANSITION = Compiled(_build_post_transition)


def post_fix(connection: OneStatement, credential: PhoneCredential, fix: Mapping[str, Any]) -> Any:
    """Store a fix in the clear; one row with `friends`, to be told.

    Like the other rows it has `is_signed_in`, `refusal` and `is_stored`, which is false for what
    was stored before.
    """
    return _run(connection, _POST_FIX, credential, fix)


def post_sealed(connection: OneStatement, credential: PhoneCredential, ciphertext: bytes) -> Any:
    """Store a sealed message; one row with `sealed`, another member's newest, or null."""
    return _run(connection, _POST_SEALED, credential, {"ciphertext": ciphertext})


def put_card(connection: OneStatement, credential: PhoneCredential, card: Mapping[str, Any]) -> Any:
    """Keep a card in the place of the phone's former one."""
    return _run(connection, _PUT_CARD, credential, card)


def post_transition(
    connection: OneStatement, credential: PhoneCredential, transition: Mapping[str, Any]
) -> Any:
    """Keep a transition for a day."""
    return _run(connection, _POST_TRANSITION, credential, transition)


def delete_old_transitions(session: Session) -> int:
    """Delete transitions that are more than a day old; return how many."""
    deleted: Any = session.execute(
        delete(OwntracksTransition).where(OwntracksTransition.created_at < func.now() - _DAY)
    )
    return int(deleted.rowcount)


def _run(
    connection: OneStatement,
    statement: Compiled,
    credential: PhoneCredential,
    parameters: Mapping[str, Any],
) -> Any:
    return connection.execute(
        statement, credential.parameters | dict(parameters), again_on=_AGAIN_ON
    )[0]
