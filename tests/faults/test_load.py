"""Families at the highest rate that the machine holds, while keys change and the database dies."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.load import JOBS, Outcome, Plan, endure

MOST_MEGABYTES_AN_HOUR = 10
"""A sandbox of Lambda is replaced within hours, however busy; in twelve of them this is an eighth
of what the function is given. At twenty requests a second it is 140 bytes for each."""

MOST_UNAVAILABLE = 1 / 1000
"""Besides those around a restart: a machine that stands still for seconds makes some. None is the
aim, and the report says how many there were."""

SHORT = Plan(
    seconds=4,
    unloaded=1,
    clients=3,
    families=4,
    restarts={0.5: "killed"},
    rotate_every=2,
    part_every=1,
    jobs_every=1,
    warm_up=1,
    sample_every=0.25,
)
FULL = Plan(
    seconds=30 * 60,
    unloaded=60,
    clients=6,
    families=32,
    restarts={1 / 3: "orderly", 2 / 3: "killed"},
    rotate_every=60,
    part_every=20,
    jobs_every=10,
    warm_up=5 * 60,
    sample_every=2,
)


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(SHORT, id="seconds"),
        pytest.param(FULL, id="half an hour", marks=pytest.mark.full),
    ],
)
def test_nothing_goes_wrong_under_load(tmp_path: Path, plan: Plan) -> None:
    outcome = endure(_as_wished(plan), tmp_path)

    _tell(outcome)
    assert outcome.wrong == {}
    assert outcome.unavailable <= outcome.requests.total() * MOST_UNAVAILABLE
    assert min(outcome.departures, outcome.joins) > 0
    assert all(outcome.jobs[job, "done"] for job in JOBS)
    assert [restart["how"] for restart in outcome.restarts] == list(plan.restarts.values())
    assert any(answer == "temporarily_unavailable" for _, answer in outcome.requests)
    if outcome.plan == FULL:
        assert outcome.rotations >= plan.seconds / plan.rotate_every
        assert all(slope.per_hour < MOST_MEGABYTES_AN_HOUR for slope in outcome.private)


def _as_wished(plan: Plan) -> Plan:
    """Return the plan, cut to the seconds that the environment wishes for."""
    if plan is FULL and (seconds := os.environ.get("LOAD_SECONDS")):
        share = float(seconds) / plan.seconds
        return replace(
            plan,
            seconds=float(seconds),
            unloaded=plan.unloaded * share,
            warm_up=plan.warm_up * share,
            rotate_every=max(5, plan.rotate_every * share),
            part_every=max(2, plan.part_every * share),
        )
    return plan


def _tell(outcome: Outcome) -> None:
    """Print what came of it, and write it where the environment says."""
    report = json.dumps(outcome.report(), indent=1)
    print(report)  # noqa: T201 -- for who asks for it with -s
    if path := os.environ.get("LOAD_REPORT"):
        Path(path).write_text(report)
