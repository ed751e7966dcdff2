"""Where a credential becomes a person. The only place."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Integer,
    LargeBinary,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    update,
)

from chalicelib.auth.credentials import Caller, Credential
from chalicelib.db import Compiled, Session
from chalicelib.models import Device, Group, Member, User

IDLE_DAYS = 365
"""A token that has not been used for so long is void."""


IS_VALID = and_(
    Device.revoked_at.is_(None),
    Device.last_used_on > func.current_date() - literal_column(str(IDLE_DAYS), Integer),
)

KIND: ColumnElement[str] = case(
    (Device.in_browser, literal_column("'web'", String)), else_=Device.kind
)
"""What a device is called in form 2. In form 1 a browser is an app like any other."""


def caller() -> CTE:
    """Return the CTE `caller`: one row for a valid credential, none for any other.

    It waits for the parameters of a Credential.
    """
    return (
        select(Device.id.label("device_id"), Device.user_id)
        .where(
            Device.token_hash == bindparam("caller_token_hash", type_=LargeBinary),
            Device.kind == bindparam("caller_kind", type_=String),
            IS_VALID,
        )
        .cte("caller")
    )


def phone() -> CTE:
    """Return the CTE `caller` of a phone with OwnTracks, with its group, key version and tid.

    It waits for the parameters of a PhoneCredential.
    """
    return (
        select(
            Device.id.label("device_id"),
            Device.user_id,
            Device.group_id,
            Device.key_version,
            Device.tid,
        )
        .where(
            Device.id == bindparam("caller_device_id", type_=Uuid),
            Device.token_hash == bindparam("caller_token_hash", type_=LargeBinary),
            Device.kind == bindparam("caller_kind", type_=String),
            IS_VALID,
        )
        .cte("caller")
    )


def held_device(caller: CTE, after: CTE) -> CTE:
    """Return the CTE `held_device`: the caller's device, unless it has just been revoked.

    Read FOR SHARE, so that a revocation is either seen or waits until this statement has
    committed; and after the rows of `after` have been locked, for everybody locks groups before
    devices.
    """
    return (
        select(Device.id)
        .where(
            Device.id == select(caller.c.device_id).scalar_subquery(),
            Device.revoked_at.is_(None),
            # A join that is repeated replaces the token of its device.
            Device.token_hash == bindparam("caller_token_hash", type_=LargeBinary),
            select(func.count()).select_from(after).scalar_subquery() >= literal_column("0"),
        )
        .with_for_update(read=True)
        .cte("held_device")
    )


def _alone(caller: CTE) -> Select[UUID, UUID]:
    """Return the read of `caller` that locks the person's groups, the person and the device.

    In this order, as everywhere, and each as strongly as the update of any of them does. What a
    later statement counts in them stays so until the end of the transaction.
    """
    of_person = select(Member.group_id).where(
        Member.user_id == select(caller.c.user_id).scalar_subquery()
    )
    held_groups = (
        select(Group.id)
        .where(Group.id.in_(of_person))
        .order_by(Group.id)
        .with_for_update(key_share=True)
        .cte("held_groups")
    )
    person = (
        select(User.id)
        .where(
            User.id == select(caller.c.user_id).scalar_subquery(),
            select(func.count()).select_from(held_groups).scalar_subquery() >= literal_column("0"),
        )
        .with_for_update(key_share=True)
        .cte("person")
    )
    return (
        select(Device.id.label("device_id"), Device.user_id)
        .join(person, person.c.id == Device.user_id)
        .where(
            Device.id == select(caller.c.device_id).scalar_subquery(),
            Device.token_hash == bindparam("caller_token_hash", type_=LargeBinary),
            IS_VALID,
        )
        .with_for_update(key_share=True, of=Device)
    )


def answer(
    caller: CTE, items: FromClause | None, *columns: ColumnElement[Any], touch: bool = True
) -> Select[Any]:
    """Return a read that always has a row: the caller beside each of the items.

    `caller_user_id` is null where the credential is not valid, the items' columns where there
    are none. `touch` notes that the device has been used today, once a day.
    """
    always = select(literal_column("1").label("row")).subquery("always")
    source = always.outerjoin(caller, true())
    if items is not None:
        source = source.outerjoin(items, true())
    read = select(caller.c.user_id.label("caller_user_id"), *columns).select_from(source)
    if touch:
        used_today = (
            update(Device)
            .where(
                Device.id == select(caller.c.device_id).scalar_subquery(),
                Device.last_used_on < func.current_date(),
            )
            .values(last_used_on=func.current_date())
            .cte("used_today")
        )
        read = read.add_cte(used_today)
    return read


_CALLER = caller()
FIND_CALLER = select(_CALLER)
FIND_CALLER_ALONE = _alone(_CALLER)
_NAME = select(User.name).where(User.id == _CALLER.c.user_id).scalar_subquery()
ME = Compiled(lambda: answer(_CALLER, None, _NAME.label("name")))


def find_caller(session: Session, credential: Credential, *, alone: bool = False) -> Caller | None:
    """Return who is calling, or None; `alone` locks what `_alone` says."""
    statement = FIND_CALLER_ALONE if alone else FIND_CALLER
    row = session.execute(statement, credential.parameters).one_or_none()
    if row is None:
        return None
    return Caller(user_id=row.user_id, device_id=row.device_id, credential=credential)


def lock_device(session: Session, caller: Caller, *, alone: bool) -> bool:
    """Keep the calling device valid until this transaction ends; False if it is not any more.

    The person is held before the device, as by everybody who deletes or signs out people; `alone`
    lets no other request of that person do so at the same time.
    """
    person = (
        select(User.id)
        .where(User.id == caller.user_id)
        .with_for_update(read=not alone, key_share=True)
        .cte("person")
    )
    statement = (
        select(Device.id)
        .join(person, person.c.id == Device.user_id)
        .where(
            Device.id == caller.device_id,
            Device.token_hash == caller.credential.token_hash,
            Device.revoked_at.is_(None),
        )
        .with_for_update(read=True, of=Device)
    )
    return session.scalar(statement) is not None


def replace_token(session: Session, *, device_id: UUID, token_hash: bytes) -> None:
    """Give a device a new token; the former one is void."""
    session.execute(update(Device).where(Device.id == device_id).values(token_hash=token_hash))


def create_person(  # noqa: PLR0913 -- each by its name
    session: Session,
    *,
    name: str,
    device_name: str,
    public_key: bytes | None,
    token_hash: bytes,
    in_browser: bool = False,
) -> tuple[UUID, UUID]:
    """Make a user and their first device; return their ids."""
    newcomer = insert(User).values(name=name).returning(User.id).cte("newcomer")
    statement = (
        insert(Device)
        .from_select(
            ["user_id", "name", "kind", "public_key", "token_hash", "in_browser"],
            select(
                newcomer.c.id,
                literal(device_name),
                literal("app"),
                literal(public_key, LargeBinary),
                literal(token_hash),
                literal(in_browser),
            ),
        )
        .returning(Device.user_id, Device.id)
    )
    row = session.execute(statement).one()
    return row.user_id, row.id


def create_device(  # noqa: PLR0913 -- each by its name
    session: Session,
    *,
    user_id: UUID,
    device_name: str,
    public_key: bytes | None,
    token_hash: bytes,
    in_browser: bool = False,
    alone: bool = False,
) -> UUID:
    """Add an app's device to a person; return its id.

    `alone` makes other writes of the same person that ask for it wait until this has committed.
    """
    found = select(User.id).where(User.id == user_id)
    person = (found.with_for_update(key_share=True) if alone else found).cte("person")
    statement = (
        insert(Device)
        .from_select(
            ["user_id", "name", "kind", "public_key", "token_hash", "in_browser"],
            select(
                person.c.id,
                literal(device_name),
                literal("app"),
                literal(public_key, LargeBinary),
                literal(token_hash),
                literal(in_browser),
            ),
        )
        .returning(Device.id)
    )
    return session.execute(statement).scalar_one()
