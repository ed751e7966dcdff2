"""What commands cost: requests, and what is written to the disk."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from draugar.storage.home import Home
from tests.client.commands import Person
from tests.client.family import Family, Service, fix
from tests.client.malice import HISTORY, KEYS, LATEST, USERS, Relay

OLD_POINTS = 100_000
UPLOAD = """
INSERT INTO locations
    (group_id, user_id, recorded_at, id, device_id, encrypted_data, key_version, received_at)
SELECT group_id, user_id, uuid_time(made), made, device_id, encrypted_data, key_version, now()
FROM (
    SELECT point.*, new_id(now() - interval '1 day' - n * interval '1 second') AS made
    FROM generate_series(1, :number::int) n, locations point WHERE point.user_id = :user
) copy
"""
"""Copies of a member's one point, with ids of older fixes, all of them received now."""


def test_what_a_member_uploads_of_long_ago_is_not_downloaded_for_what_is_recent(
    service: Service, relay: Relay, tmp_path: Path
) -> None:
    una, ari = Person(tmp_path / "una"), Person(tmp_path / "ari")
    found = ("found", relay.url, "-", "--name", "Una")
    user_id = una.reads(*found, stdin=service.founding_code())["userId"]
    ari.does("join", "-", "--name", "Ari", stdin=una.does("invite"))
    for person in (una, ari):
        person.does("where")
    una.does("share", 64.1, -21.9)
    ari.does("share", 64.2, -21.9)
    service.query("UPDATE group_members SET joined_at = joined_at - interval '9 days'")
    service.query(UPLOAD, number=OLD_POINTS, user=user_id)

    costs = {}
    for command in (["map"], ["history", "--from", "5m"], ["where"]):
        relay.received.clear()
        answer = ari.does(*command, "--json")
        costs[command[0]] = [request.route for request in relay.received]
        if command[0] != "map":
            assert len(next(iter(json.loads(answer).values()))) == 2

    # The list of people says who waits, so no other request asks for that.
    assert costs == {
        "map": [KEYS, USERS, LATEST, HISTORY],
        "history": [KEYS, USERS, HISTORY],
        "where": [KEYS, USERS, LATEST],
    }


def test_a_track_is_written_to_the_disk_once_a_batch(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    una = family.found()
    una.share([fix()])
    commits: Counter[str] = Counter()
    do = Home.do

    def counted(home: Home, statement: str, **values: Any) -> int:
        if not home._database.in_transaction or statement == "COMMIT":
            commits[statement.split(maxsplit=1)[0]] += 1
        return do(home, statement, **values)

    monkeypatch.setattr(Home, "do", counted)
    una.enqueue([fix(ago=timedelta(seconds=number)) for number in range(1200)])
    una.flush()

    assert commits.total() - commits["BEGIN"] < 12
