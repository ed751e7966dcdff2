"""The log: one line of JSON for each request and each job, of fields that are named.

No body, name, address, token, code or coordinate has a field to stand in. Of an error that
nobody expected it keeps the class and the places it came through, never its text: drivers and
parsers put values into theirs.

Counts become metrics where `METRICS_NAMESPACE` is set: CloudWatch reads them off the line, which
then has its embedded metric format.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any

from chalicelib.settings import SettingsError, settings


def write(
    fields: Mapping[str, Any],
    counts: Mapping[str, int] | None = None,
    *,
    by: str | None = None,
) -> None:
    """Write a line, without the fields that are None; `by` names the one that splits the counts.

    Past the logging module, which takes longer for a line that is finished than we do to make it.
    """
    line = {name: value for name, value in fields.items() if value is not None}
    if counts and (namespace := _namespace()):
        metric = {
            "Namespace": namespace,
            "Dimensions": [[by] if by else []],
            "Metrics": [{"Name": name, "Unit": "Count"} for name in counts],
        }
        timestamp = int(time.time() * 1000)
        line |= counts
        line["_aws"] = {"Timestamp": timestamp, "CloudWatchMetrics": [metric]}
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


def _namespace() -> str | None:
    try:
        return settings().metrics_namespace
    except SettingsError:
        return None  # which may be what there is to tell


def fault(error: BaseException) -> list[str]:
    """Return the classes of an error and of those that led to it, with the places they passed."""
    told: list[str] = []
    seen: BaseException | None = error
    known: set[int] = set()  # two errors may have led to each other
    while seen is not None and id(seen) not in known:
        known.add(id(seen))
        places = traceback.extract_tb(seen.__traceback__)
        told.append(type(seen).__name__)
        told.extend(f"{place.name}:{place.lineno}" for place in places[-8:])
        seen = seen.__cause__ or seen.__context__
    return told
