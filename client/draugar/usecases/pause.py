"""Pausing: on this device at once, and at the service as soon as it answers.

The service takes nothing of a person who has paused, nor of their phones. What was sealed and sent
all the same it could keep, and hand to a person who has the key. So a device sends nothing of a
group in which sharing was paused on it, and says so when the service shares again.
"""

from datetime import datetime
from uuid import UUID

from draugar.errors import Refused
from draugar.models import Code
from draugar.storage import pauses
from draugar.usecases.context import Context


def tell_service(context: Context, group_id: UUID) -> None:
    """Tell the service what was last decided here and it does not know yet.

    Raises ServiceFailure; a refusal is not repeated.
    """
    wanted = pauses.wanted(context.home, group_id)
    if wanted is None:
        return
    try:
        if wanted == pauses.NOT:
            context.api.set_sharing(group_id, paused=False, until=None)
        elif pauses.is_ahead(wanted):
            end = None if wanted == pauses.FOR_EVER else datetime.fromisoformat(wanted)
            context.api.set_sharing(group_id, paused=True, until=end)
    except Refused:
        pauses.note_told(context.home, group_id, wanted)
        raise
    pauses.note_told(context.home, group_id, wanted)


def check(context: Context) -> None:
    """Tell the service what it has missed, and the member where it has ended a pause.

    It is asked only while there is a pause.
    """
    for group_id in pauses.untold(context.home):
        try:
            tell_service(context, group_id)
        except Refused:
            continue  # the member has left meanwhile, or the pause is over by the service's clock
    if not pauses.are_any(context.home):
        return
    for group in context.api.groups():
        if not group.is_paused and pauses.is_on(context.home, group.id):
            context.tell(Code.PAUSE_ENDED, group_id=group.id, group=group.name)
