"""What a failure of a command says: what stays as it was, and the command to type next.

A failure knows what happened. Only the command knows what did not happen because of it, and how it
was typed.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from draugar.cli.failures import told, when
from draugar.cli.refusals import Text
from draugar.cli.terminal import NobodyToAsk
from draugar.errors import Failure, NotAMember, Refused, ServiceAway, ServiceFailure, SignedOut
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
    silence: str = ""
    """What to do where the service does not answer, with `{when}`; else to run it again."""
    next_steps: Mapping[str, str] = field(default_factory=dict)
    """What to do at a code, where this command knows better than the code."""

    def explain(
        self, failure: Failure, parameters: Mapping[str, Any], typed: Sequence[str]
    ) -> Text:
        """Return all that a failure of a command says, as the command was typed."""
        text = told(failure)
        again = self.again or shlex.join(["draugar", *map(plain, typed)])
        if isinstance(failure, NobodyToAsk):
            return text._replace(next_step=f"If you are sure: {again} --yes")
        if not isinstance(failure, ServiceFailure) or text.effect:
            return text  # or what was done so far is known
        if isinstance(failure, Refused) and failure.code in NOT_THERE:
            return text
        if isinstance(failure, ServiceAway):
            return self._of_silence(text, failure, parameters, again)
        if failure.code in self.next_steps:
            text = text._replace(next_step=self.next_steps[failure.code])
        if isinstance(failure, (SignedOut, NotAMember)):
            return text  # it is not known: others have changed what the member was
        return text._replace(effect=self._undone(parameters))

    def _of_silence(
        self, text: Text, failure: ServiceAway, parameters: Mapping[str, Any], again: str
    ) -> Text:
        next_step = (self.silence or "Run this again {when}: {again}").format(
            when=when(failure), again=again
        )
        effect = self._undone(parameters)
        if failure.may_be_done and self.undone:
            effect = PERHAPS
            if self.look:
                next_step = f"See: {self.look}. If it was not done: {again}"
        return text._replace(effect=effect, next_step=next_step)

    def _undone(self, parameters: Mapping[str, Any]) -> str:
        return self.undone.format_map({name: plain(str(v)) for name, v in parameters.items()})


LOOKING = Stakes()
"""Of commands that change nothing."""
STAKES: Mapping[str, Stakes] = {
    "found": Stakes(
        "No group was founded.",
        again="draugar found URL CODE --name NAME",
        next_steps={
            "invite_not_valid": (
                "Ask the person who runs the service for a new code. Then: draugar found URL CODE"
                " --name NAME"
            )
        },
    ),
    "invite": Stakes("No invite was made.", look="draugar invites"),
    "join": Stakes("You have not joined.", again="draugar join LINK --name NAME"),
    "invites revoke": Stakes(
        "The invite can still be used.",
        look="draugar invites",
    ),
    "confirm": Stakes("No one was confirmed.", look="draugar people"),
    "rotate": Stakes("The group's key was not changed.", look="draugar groups"),
    "remove": Stakes("{name} is still in the group.", look="draugar people"),
    "role": Stakes(
        "The role of {name} was not changed.",
        look="draugar people",
    ),
    "group": Stakes("The group was not changed.", look="draugar groups"),
    "devices revoke": Stakes(
        "{device} can still read and share as you.",
        look="draugar devices",
    ),
    "phone add": Stakes("No phone was added.", look="draugar devices"),
    "phone renew": Stakes("The phone was not set up again."),
    "rename": Stakes("Your name was not changed."),
    "erase": Stakes("Nothing was deleted.", look="draugar history"),
    "leave": Stakes("You are still in the group, and it can still see you.", look="draugar groups"),
    "logout": Stakes(
        "This device is still logged in, and keeps all its data.",
        silence="Run this again {when}: draugar logout. To delete everything on this device now,"
        " without the service: draugar logout --local",
    ),
    "delete-account": Stakes("You and your data are still at the service and on this device."),
}
"""Of the others, by their names."""
