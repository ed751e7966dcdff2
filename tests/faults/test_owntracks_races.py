"""A sealed message that is on its way while its key is put out of use (e2ee's third rule).

The phone's post is held between what it reads and what it writes; the change waits for it, so that
no row appears after the change has committed.
"""

import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Update, delete, func, select, update
from sqlalchemy.orm import Session

from chalicelib.models import Device, Group, Location, Member
from tests import factories
from tests.faults.holding import Holding
from tests.faults.processes import Call, Processes, perform
from tests.owntracks import basic

CHANGES: dict[str, Any] = {
    "rotation": update(Group).values(key_version=Group.key_version + 1),
    "rotation required": update(Group).values(rotation_required=True),
    "phone revoked": update(Device).where(Device.kind == "owntracks").values(revoked_at=func.now()),
    "phone set up again": update(Device)
    .where(Device.kind == "owntracks")
    .values(token_hash=secrets.token_bytes(32)),
    "sharing paused": update(Member).values(sharing_paused=True),
    "member removed": delete(Member),
}


@pytest.fixture
def processes(url: str) -> Iterator[Processes]:
    with Processes(url, count=1) as processes:
        yield processes


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_sealed_row_appears_after_the_change(
    url: str, session: Session, processes: Processes, change: Update
) -> None:
    una = factories.someone(session)
    phone = factories.phone(
        session, factories.group(session, una, key_version=1), una, key_version=1
    )
    session.commit()
    body = {"_type": "encrypted", "data": base64.b64encode(secrets.token_bytes(64)).decode()}
    headers = basic(phone.device_id, phone.token)

    def commit() -> Any:
        session.execute(change)
        session.commit()
        return session.scalar(select(func.count()).select_from(Location))

    with ThreadPoolExecutor(2) as pool, Holding.of(url, "INSERT ON locations") as held:
        post = pool.submit(
            processes.each, perform, [Call("POST", "/owntracks", body, headers=headers)]
        )
        assert held.has(1)
        committed = pool.submit(commit)
        assert held.keeps_waiting(1)
        held.let_go()
        at_commit = committed.result()
        (reply,) = post.result()
    session.rollback()
    at_the_end = session.scalar(select(func.count()).select_from(Location))
    (again,) = processes.each(perform, [Call("POST", "/owntracks", body, headers=headers)])

    assert reply.status == 200
    assert at_commit == at_the_end
    assert again.status in {200, 401}
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Location)) == at_the_end
