"""What a failure of a command says: what stays as it was, and the command to type next.

A failure knows what happened. Only the command knows what did not happen because of it, and how it
was typed.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from draugar.cli.terminal import NobodyToAsk
from draugar.errors import (
    AskedTooOften,
    NotAMember,
    Refused,
    ServiceAway,
    ServiceFailure,
    SignedOut,
)
from draugar.text.display import plain

NOT_THERE = {
    *("device_not_found", "invite_not_found", "invite_used", "member_not_found", "user_not_found"),
}
"""Codes that say that what was meant is not there to stay as it was."""
PERHAPS = "The service may have done it all the same: its answer was lost."


@dataclass(frozen=True)
class Stakes:
    """What is at stake in a command."""

    undone: str = ""
    """What stays as it was when it fails, with its parameters as `{name}`; empty for a command
    that only shows something."""
    look: str = ""
    """The command that shows whether it was done after all."""
    again: str = ""
    """It in full, where what was typed holds a secret; else it is repeated as it was typed."""

    def explain(
        self,
        failure: ServiceFailure | NobodyToAsk,
        parameters: Mapping[str, Any],
        typed: Sequence[str],
    ) -> None:
        """Have a failure say all of it, for a command as it was typed."""
        if failure.effect:
            return  # what was done so far is known
        if isinstance(failure, Refused) and failure.code in NOT_THERE:
            return
        again = self.again or shlex.join(["draugar", *map(plain, typed)])
        if isinstance(failure, NobodyToAsk):
            failure.next_step = f"If you are sure: {again} --yes"
        elif isinstance(failure, ServiceAway):
            self._explain_silence(failure, parameters, again)
        elif not isinstance(failure, (SignedOut, NotAMember)):
            # Of these two it is not known: others have changed what the member was.
            failure.effect = self._undone(parameters)

    def _explain_silence(
        self, failure: ServiceAway, parameters: Mapping[str, Any], again: str
    ) -> None:
        if failure.next_step == type(failure).advice or isinstance(failure, AskedTooOften):
            failure.next_step = f"Run this again {failure.when}: {again}"
        failure.effect = self._undone(parameters)
        if failure.may_be_done and self.undone:
            failure.effect = PERHAPS
            if self.look:
                failure.next_step = f"See: {self.look}. If it was not done: {again}"

    def _undone(self, parameters: Mapping[str, Any]) -> str:
        return self.undone.format_map({name: plain(str(v)) for name, v in parameters.items()})
