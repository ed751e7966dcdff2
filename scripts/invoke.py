"""One function of the bundle, run on this machine: `make invoke FUNCTION=migrate`.

    python -m scripts.invoke FUNCTION [PAYLOAD]

PAYLOAD is JSON; a scheduled function gets its event without one. Prints what the function answers,
as JSON. The environment and the database are those of `make run`, which may be running.
"""

import json
import sys
from contextlib import redirect_stdout
from typing import Any

from chalice.app import CloudWatchEvent, EventSourceHandler

from scripts.jobs import FAILURES
from scripts.serve import laptop


def main() -> None:
    """Invoke the function that the command line names."""
    name, payload = (*sys.argv[1:3], "", "")[:2]
    with laptop(join=True, makes_codes=name == "create_founding_invite") as here:
        handlers = here.config.chalice_app.handler_map  # the views' too
        functions = {
            known: handler.event_class
            for known, handler in handlers.items()
            if isinstance(handler, EventSourceHandler)
        }
        if name not in functions:
            sys.exit(f"There is no function {name!r}; there are {', '.join(sorted(functions))}.")
        event = None if functions[name] is CloudWatchEvent else _object(payload)
        if name != "migrate":
            here.require_schema()
        try:
            with redirect_stdout(sys.stderr):  # what it logs
                answer = here.invoke(name, event)
        except FAILURES as error:
            sys.exit(f"{name} has failed: {error}")
        print(json.dumps(answer))


def _object(payload: str) -> dict[str, Any]:
    try:
        return dict(json.loads(payload or "{}"))
    except (TypeError, ValueError):
        sys.exit("The payload is not a JSON object.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
