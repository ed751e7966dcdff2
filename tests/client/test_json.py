"""`--json` is a contract: docs/json has a schema for each command, docs/json.md says what stays.

The same life is played with the command line of this release and with that of each former one.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from draugar.cli.app import app
from tests.client import json_contract
from tests.client.commands import Person
from tests.client.family import Service
from tests.client.json_contract import NOW
from tests.client.life import FormerPerson, play
from tests.releases.checkout import client_of
from tests.releases.listed import releases

FORMER = {listed.version: listed.commit for listed in releases()[1:]}
RELEASES = [NOW, *(pytest.param(version, marks=pytest.mark.tools("git")) for version in FORMER)]
LIES = "only a service that lies lists nothing, not even the one who asks"
UNSEEN = {
    ("people.json.people", "none"): LIES,
    ("devices.json.devices", "none"): LIES,
    ("invite.json.expiresAt", 1): "draugar always gives an invite a life; a service might not",
    ("devices-revoke.json.rotations", "many"): "the device that is lost has the key of one group",
    ("devices.json.devices[].kind", "web"): "draugar is no page in a browser",
    ("people.json.people[].devices[].kind", "web"): "draugar is no page in a browser",
}
"""The variants that this life does not have, and why."""

Answers = dict[str, list[Any]]


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """A release whose command line is played with."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def answers(
    release: str, service_of_the_run: Service, tmp_path_factory: pytest.TempPathFactory
) -> Answers:
    """What each command of the release has answered."""
    directory = tmp_path_factory.mktemp("life")
    service_of_the_run.query("TRUNCATE rate_limits")
    if release == NOW:
        return play(release, lambda name: Person(directory / name), service_of_the_run, directory)
    python = client_of(FORMER[release], tmp_path_factory.mktemp("release"))

    def person(name: str) -> Person:
        return FormerPerson(directory / name, python=python)

    return play(release, person, service_of_the_run, directory)


def test_every_answer_is_as_the_schema_says(release: str, answers: Answers) -> None:
    wrong = [
        f"{name}: {error.instance_path}: {error.message}"
        for name, given in answers.items()
        for answer in given
        for error in json_contract.validator(name, release).iter_errors(answer)
    ]

    assert wrong == []
    expected = {name for name in json_contract.commands() if json_contract.is_known(name, release)}
    assert answers.keys() == expected


@pytest.mark.parametrize("release", [NOW], indirect=True)
def test_every_variant_that_a_schema_describes_is_answered(answers: Answers) -> None:
    described = {it for name in json_contract.commands() for it in json_contract.alternatives(name)}
    shown = {
        it
        for name, given in answers.items()
        for one in given
        for it in json_contract.shown(name, one)
    }

    assert described - shown == UNSEEN.keys()


def test_every_command_that_answers_in_json_has_a_schema() -> None:
    assert set(commands_with_json(typer.main.get_command(app))) == set(json_contract.commands())


def test_a_member_is_never_left_out() -> None:
    """What is missing is null: so scripts need not ask whether a member is there."""
    for place, schema in json_contract.objects():
        assert schema["required"] == list(schema["properties"]), place
        assert schema.get("additionalProperties", True) is True, place


def commands_with_json(command: Any, *path: str) -> Iterator[str]:
    """Return the names of the commands that take --json; a list by default has its group's name."""
    below = getattr(command, "commands", None)
    if below is None:
        if any("--json" in option.opts for option in command.params):
            yield "-".join(word for word in path if word != "list")
        return
    for name, sub in below.items():
        yield from commands_with_json(sub, *path, name)
