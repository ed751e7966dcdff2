"""A member's device in a group: it holds the keys, and the service never does.

    client.py      Client, what a program calls: one method per use case
    models.py      positions, people, groups, notices, as values
    errors.py      the tree of failures
    text/          what people type, paste and read: names, pasted text, times, lengths

    protocol/      docs/protocol.md as code: pure functions on bytes and texts
    trust/         whom this device trusts and which keys it takes: pure decisions on values
      state.py       GroupState: what this device knows of one group
      directory.py   the people that the service lists, held against that
      reconcile.py   an update of a group: reconcile(state, listing, keys, now)
      words.py       what the member says, and what this device has done
      joining.py     what is checked before a key package is kept
      points.py      whether a point can be believed
    storage/       the only SQL and the only files: the home of one device
      groups.py      loads and saves a GroupState, in one transaction
    service/       the only HTTP, and what the service answers as values
    usecases/      what a member can do: load, ask, decide, save, act
      context.py     what all of them work with: the home, the service, what is to be told
      listing.py     what the service answers, as the values of the trust core
      greet.py       the latest position once more, for a newcomer
      telling.py     the notices of the trust core, with names in place of ids
    maps/          the page with the map, tracks in files, distances
    cli/           the command line, and every text for people; notices.py and trust_notices.py have
                   those of notices

Imports point one way:

    cli -> client -> usecases -> storage | service | maps -> trust -> protocol -> text -> models
        -> errors

pyproject.toml has this as a contract, with what each package alone may import: SQLite in storage,
httpx in service, PyNaCl in protocol, Typer and rich in cli. trust knows neither storage nor
service; storage keeps the values of `trust.state` and `trust.values`, sealed.

Calls go the same way (tests/client/test_layers.py): what the member must be told is collected, and
`client.py` hands it on after each step.

What the service says is a value of `models`, and is never a reason to give a device a key. Only a
word of the member, a proof or what a trusted device has signed changes its trust.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from draugar import errors
    from draugar.client import Client
    from draugar.errors import Failure
    from draugar.models import Fix, Notice, Position
    from draugar.protocol.links import InviteLink
    from draugar.storage.home import Home

__all__ = ["Client", "Failure", "Fix", "Home", "InviteLink", "Notice", "Position", "errors"]

_MODULES = {
    "Client": "draugar.client",
    "Failure": "draugar.errors",
    "Fix": "draugar.models",
    "Home": "draugar.storage.home",
    "InviteLink": "draugar.protocol.links",
    "Notice": "draugar.models",
    "Position": "draugar.models",
}


def __getattr__(name: str) -> Any:
    # The command line shows its help without libsodium and httpx.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 -- only where a public name is used

    return getattr(import_module(_MODULES[name]), name)
