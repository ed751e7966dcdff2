import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import Request as ChaliceRequest

from chalicelib import log
from chalicelib.db import round_trips
from chalicelib.errors import Unavailable
from chalicelib.jobs.report import JobFailed, reported
from chalicelib.settings import Settings
from chalicelib.web import log as request_log

SETTINGS = Settings.from_environment(
    {"DATABASE_URL": "postgresql://una@/draugar", "INVITE_CODE_PEPPER": "0123456789abcdef" * 2}
)


@pytest.fixture(autouse=True)
def no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave counts out, unless a test asks for them."""
    monkeypatch.setattr(log, "settings", lambda: SETTINGS)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn counts into metrics."""
    monkeypatch.setattr(log, "settings", lambda: replace(SETTINGS, metrics_namespace="Hearth"))


def last_line(told: str) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(told.splitlines()[-1])
    return line


def test_a_fault_keeps_classes_and_places_and_no_text() -> None:
    fault = log.fault(raised(RuntimeError("secret"), cause=KeyError("secret")))

    assert [line for line in fault if ":" not in line] == ["RuntimeError", "KeyError"]
    assert [line.split(":")[0] for line in fault if ":" in line] == ["raised", "raised"]
    assert "secret" not in str(fault)


def test_of_a_deep_fault_the_last_places_are_kept() -> None:
    def descend(levels: int) -> None:
        if levels == 0:
            raise ValueError
        descend(levels - 1)

    with pytest.raises(ValueError, match=r"^$") as error:
        descend(100)

    assert len(log.fault(error.value)) == 1 + 8


def test_errors_that_led_to_each_other_are_told_once() -> None:
    first, second = RuntimeError(), KeyError()
    first.__cause__, second.__context__ = second, first

    assert log.fault(first) == ["RuntimeError", "KeyError"]


def test_the_line_of_a_request_has_the_fields_that_are_named_and_no_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = called(
        headers={"authorization": "secret"},
        body="secret",
        pathParameters={"id": "secret"},
        multiValueQueryStringParameters={"secret": ["secret"]},
    )

    request_log.request(event, 200, 0.01234, request_log.Outcome())

    assert last_line(capsys.readouterr().out) == {
        "requestId": "an-id",
        "method": "POST",
        "route": "/api/things/{id}",
        "status": 200,
        "durationMs": 12.3,
        "roundTrips": 0,
    }


def test_a_database_that_is_away_is_told_by_class_and_sqlstate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = request_log.Outcome(round_trips_before=round_trips() - 2)
    problem = Unavailable(retry_after=1)
    problem.__cause__ = RuntimeError({"C": "57014", "M": "secret"})

    outcome.note_problem(problem)
    request_log.request(called(), 503, 0, outcome)

    told = capsys.readouterr().out
    line = last_line(told)
    assert (line["code"], line["cause"]) == ("temporarily_unavailable", "RuntimeError")
    assert (line["sqlstate"], line["roundTrips"]) == ("57014", 2)
    assert "secret" not in told


@pytest.mark.usefixtures("metrics")
@pytest.mark.parametrize(
    ("answered", "name", "dimensions"),
    [
        (("/api/locations", 200, None), "posts", [[]]),
        (("/api/auth/join", 201, None), "joins", [[]]),
        (("/api/groups/join", 200, None), "joins", [[]]),
        (("/api/locations", 409, "sharing_paused"), "refusals", [["code"]]),
    ],
)
def test_what_is_counted_is_a_metric_in_the_line(
    capsys: pytest.CaptureFixture[str],
    answered: tuple[str, int, str | None],
    name: str,
    dimensions: list[list[str]],
) -> None:
    path, status, code = answered

    request_log.request(
        called(requestContext={"resourcePath": path}), status, 0, request_log.Outcome(code=code)
    )

    line = last_line(capsys.readouterr().out)
    assert line[name] == 1
    assert line["_aws"]["Timestamp"] > 1_700_000_000_000
    assert line["_aws"]["CloudWatchMetrics"] == [
        {
            "Namespace": "Hearth",
            "Dimensions": dimensions,
            "Metrics": [{"Name": name, "Unit": "Count"}],
        }
    ]


@pytest.mark.usefixtures("metrics")
def test_a_job_tells_the_numbers_of_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    @reported
    def purge(_: object) -> dict[str, Any]:
        return {"deleted": 3, "code": "secret"}

    answer = purge(None)

    assert answer == {"deleted": 3, "code": "secret"}
    line = last_line(capsys.readouterr().out)
    metric = line.pop("_aws")["CloudWatchMetrics"][0]
    assert line == {"job": "purge", "deleted": 3}
    assert (metric["Dimensions"], metric["Metrics"][0]["Name"]) == ([["job"]], "deleted")


def test_a_job_that_fails_says_how_and_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    @reported
    def purge(_: object) -> dict[str, Any]:
        raise RuntimeError({"C": "42501", "M": "secret"})

    with pytest.raises(JobFailed, match=r"^RuntimeError 42501$") as failed:
        purge(None)

    assert failed.value.__suppress_context__
    told = capsys.readouterr().out
    line = last_line(told)
    assert (line["job"], line["sqlstate"], line["fault"][0]) == ("purge", "42501", "RuntimeError")
    assert "secret" not in told


def test_a_job_that_found_the_database_away_says_so_itself() -> None:
    @reported
    def purge(_: object) -> dict[str, Any]:
        raise Unavailable(retry_after=1)

    with pytest.raises(Unavailable):
        purge(None)


def raised(error: Exception, *, cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except type(cause) as inner:
            raise error from inner
    except type(error) as outer:
        return outer


def called(**event: Any) -> ChaliceRequest:
    around = {"httpMethod": "POST", "resourcePath": "/api/things/{id}"}
    event["requestContext"] = around | event.get("requestContext", {})
    defaults: dict[str, Any] = {
        "headers": {},
        "body": None,
        "pathParameters": {},
        "stageVariables": {},
        "multiValueQueryStringParameters": None,
    }
    return ChaliceRequest(defaults | event, SimpleNamespace(aws_request_id="an-id"))
