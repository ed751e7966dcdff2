"""The decisions of a client, docs/decisions.json.

Each case of tests/client/trust/cases.py, with what the client decides. Vectors fix bytes, decisions
fix behaviour: a client in another language has to pass both. Run `python -m scripts.decisions`.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from draugar.trust.as_json import camel, encoded
from draugar.trust.values import Decision, State

DECISIONS = Path(__file__).parents[1] / "docs" / "decisions.json"
_ABOUT = (
    "Decisions of docs/protocol.md, made by scripts/decisions.py: from `state` and `input`, which"
    " are all that a client knows, it decides `decision`. Bytes are base64url without padding, ids"
    " texts, times seconds of Unix time. Sets are lists in ascending order, mappings are objects;"
    " what is null or empty is absent. `is` says of which kind a decision is. The `state` of a"
    " decision has the members that have changed, in full; after a `stop` or a `notice` none has."
    " `key`, `proofKey` and the like are secrets of made-up devices."
)


def document() -> str:
    """Return all cases as the text of the file."""
    from tests.client.trust.cases import CASES  # noqa: PLC0415 -- the tests' cases are the source

    cases = [
        {
            "name": case.name,
            "does": case.does,
            "state": encoded(case.state),
            "input": {camel(name): encoded(value) for name, value in case.input.items()},
            "decision": encoded_decision(case.state, case.decide()),
        }
        for case in CASES
    ]
    return json.dumps({"about": _ABOUT, "cases": cases}, indent=1, ensure_ascii=True) + "\n"


def encoded_decision(before: State, decision: Any) -> dict[str, Any]:
    """Return a decision as JSON: its kind, and of a state what has changed."""
    found: dict[str, Any] = {"is": type(decision).__name__.lower()}
    if isinstance(decision, State):
        return found | {"state": _changes(before, decision)}
    found |= encoded(decision)
    if isinstance(decision, Decision):
        found["state"] = _changes(before, decision.state)
    return found


def _changes(before: State, after: State) -> dict[str, Any]:
    return {
        camel(field.name): encoded(value)
        for field in fields(after)
        if (value := getattr(after, field.name)) != getattr(before, field.name)
    }


if __name__ == "__main__":
    DECISIONS.write_text(document())
