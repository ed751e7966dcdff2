import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import ColumnElement, func, select, true, update
from sqlalchemy.orm import Session

from chalicelib.limits import Bucket
from chalicelib.models import RateLimit
from tests import factories
from tests.api import Api, Reply
from tests.factories import Someone
from tests.faults.processes import Call, perform

HERE, ELSEWHERE = "203.0.113.7", "203.0.113.8"
DEPLOYMENT = Bucket.FAILED_REDEMPTIONS

NAME = {"name": "Nest"}
PHONE = {"name": "Phone", "kind": "owntracks"}

pytestmark = pytest.mark.usefixtures("api")

WRONG = {
    "/api/auth/join": {"code": "ABCDEFGH", "name": "Ari"},
    "/api/invites/validate": {"code": "ABCDEFGH"},
    "/api/groups/join": {"code": "ABCDEFGH"},
}


@pytest.mark.parametrize("path", WRONG)
def test_ten_attempts_are_let_through_and_then_one_every_six_seconds(
    session: Session, ari: Someone, path: str
) -> None:
    burst = [post(HERE, path, WRONG[path], token=ari.token).status for _ in range(10)]

    refused = post(HERE, path, WRONG[path], token=ari.token)

    assert 429 not in burst
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert refused.headers["Retry-After"] == "6"
    later(session, seconds=6)
    next_two = [post(HERE, path, WRONG[path], token=ari.token).status for _ in range(2)]
    assert next_two == [burst[0], 429]


def test_nobody_saves_attempts_up(session: Session) -> None:
    validate(HERE)
    later(session, seconds=3600)

    answers = [validate(HERE).status for _ in range(11)]

    assert answers == [200] * 10 + [429]


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(days=1), timedelta(days=9999)])
def test_a_bucket_is_never_fuller_than_its_span_from_now(
    session: Session, ahead: timedelta
) -> None:
    exhaust(HERE)
    clock_was_ahead(session, RateLimit.bucket.startswith("join:"), by=ahead)

    refused = [validate(HERE) for _ in range(2)]

    assert [(answer.status, answer.headers["Retry-After"]) for answer in refused] == [
        (429, "6")
    ] * 2
    later(session, seconds=7)
    assert [validate(HERE).status for _ in range(2)] == [200, 429]
    later(session, seconds=3600)
    assert [validate(HERE).status for _ in range(11)] == [200] * 10 + [429]


def test_a_clock_that_was_ahead_is_overcome_by_waiting_as_long_as_is_said(session: Session) -> None:
    validate(HERE)
    clock_was_ahead(session, true(), by=timedelta(days=1))
    waited = []

    while (answer := validate(HERE)).status == 429:
        waited.append(int(answer.headers["Retry-After"]))
        later(session, seconds=waited[-1] + 0.1)

    # At most one wait for each of the three buckets, and none longer than one of its intervals.
    assert waited == [6, 1, 5]


def test_all_ways_to_try_a_code_draw_on_one_bucket(ari: Someone) -> None:
    for _ in range(4):
        for path in ("/api/auth/join", "/api/invites/validate"):
            post(HERE, path, WRONG[path])
    for _ in range(2):
        post(HERE, "/api/groups/join", WRONG["/api/groups/join"], token=ari.token)

    answers = [post(HERE, path, body, token=ari.token).status for path, body in WRONG.items()]

    assert answers == [429, 429, 429]


def test_one_address_does_not_use_up_anothers_attempts() -> None:
    exhaust(HERE)

    assert validate(ELSEWHERE).status == 200


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", 429),
        ("2001:DB8:1:2::1", "2001:0db8:0001:0002::7", 429),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", 200),
        ("203.0.113.7", "203.0.113.6", 200),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.6", 200),
        ("::ffff:203.0.113.7", "203.0.113.7", 429),
        ("not an address", "nor this", 429),
        ("", "nor this", 429),
    ],
)
def test_of_an_ipv6_address_the_network_counts(first: str, second: str, status: int) -> None:
    exhaust(first)

    answer = validate(second)

    assert answer.status == status


def test_an_address_is_what_the_gateway_saw_whatever_headers_say() -> None:
    exhaust(HERE)

    forged = post(
        HERE,
        "/api/invites/validate",
        {"code": "ABCDEFGH"},
        headers={"X-Forwarded-For": ELSEWHERE, "Forwarded": f"for={ELSEWHERE}"},
    )

    assert forged.status == 429


def test_a_refused_join_does_not_give_its_attempt_back(api: Api, session: Session) -> None:
    code = factories.founding_invite(session)
    for _ in range(9):
        post(HERE, "/api/auth/join", WRONG["/api/auth/join"])

    last = post(HERE, "/api/auth/join", {"code": code.text, "name": "Una"})
    over = post(HERE, "/api/auth/join", {"code": code.text, "name": "Una"})

    assert (last.status, over.status) == (201, 429)
    assert api.as_(last.json["token"]).get("/api/auth/me").status == 200


def test_a_request_that_cannot_be_read_is_no_attempt() -> None:
    for _ in range(11):
        post(HERE, "/api/auth/join", {"code": 7, "name": "Ari"})

    assert validate(HERE).status == 200


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_guess_at_a_short_code_counts_in_the_whole_deployment(
    session: Session, ari: Someone, path: str
) -> None:
    for address in (HERE, HERE, ELSEWHERE):
        post(address, path, WRONG[path], token=ari.token)

    assert taken(session) == 3


@pytest.mark.parametrize("path", WRONG)
def test_a_right_code_gives_back_what_it_took_from_the_deployment(
    session: Session, ari: Someone, path: str
) -> None:
    una = factories.someone(session)
    code = factories.invite(session, group_id=factories.group(session, una), by=una)
    post(ELSEWHERE, path, WRONG[path], token=ari.token)

    answer = post(HERE, path, WRONG[path] | {"code": code.text}, token=ari.token)

    assert answer.status < 300
    assert taken(session) == 1


@pytest.mark.parametrize("code", ["ABCDEFGHABCDEFGH", "not a code"])
def test_what_cannot_be_guessed_does_not_count_in_the_deployment(
    session: Session, code: str
) -> None:
    validate(HERE, code)

    assert taken(session) == 0
    assert len(buckets(session)) == 1


def test_a_large_network_does_not_use_up_what_the_whole_deployment_has(session: Session) -> None:
    for number in range(6):
        exhaust(f"2001:db8:1:{number}::1")

    refused = validate("2001:db8:1:6::1")

    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert taken(session) == 60
    assert validate("2001:db8:2::1").status == 200
    assert validate(HERE).status == 200
    later(session, seconds=1)
    assert [validate(f"2001:db8:1:{number}::1").status for number in (7, 8)] == [200, 429]


def test_a_deployment_that_sees_too_many_wrong_guesses_takes_no_short_codes(
    session: Session,
) -> None:
    short = factories.founding_invite(session)
    fill(session, DEPLOYMENT)

    refused = post(HERE, "/api/auth/join", {"code": short.text, "name": "Una"})
    long = validate(HERE, "ABCDEFGHABCDEFGH")

    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert refused.headers["Retry-After"] == "1"
    assert long.status == 200
    assert taken(session) == DEPLOYMENT.burst
    later(session, seconds=0.05)
    assert post(HERE, "/api/auth/join", {"code": short.text, "name": "Una"}).status == 201


def test_a_person_makes_twenty_invites_and_then_one_an_hour(session: Session, ari: Someone) -> None:
    bera = factories.someone(session)
    factories.group(session, ari, bera)
    burst = [invite(ari, address).status for address in (HERE, ELSEWHERE) * 10]

    refused = invite(ari, HERE)

    assert burst == [201] * 20
    assert (refused.status, refused.code) == (429, "too_many_requests")
    assert refused.headers["Retry-After"] == "3600"
    assert invite(bera, HERE).status == 201
    later(session, seconds=3600)
    assert [invite(ari, HERE).status for _ in range(2)] == [201, 429]


def test_a_person_makes_fifty_devices_and_groups_and_then_one_an_hour(
    api: Api, session: Session, ari: Someone
) -> None:
    bera = factories.someone(session)
    factories.group(session, ari, bera)
    made = [("/api/devices", NAME), ("/api/groups", NAME), ("/api/devices", PHONE)]
    burst = [api.as_(ari.token).post(*made[number % 5 == 0]).status for number in range(50)]

    refused = [api.as_(ari.token).post(*thing) for thing in made]

    assert burst == [201] * 50
    assert [(one.status, one.code) for one in refused] == [(429, "too_many_requests")] * 3
    assert refused[0].headers["Retry-After"] == "3600"
    assert api.as_(bera.token).post(*made[0]).status == 201
    later(session, seconds=3600)
    assert [api.as_(ari.token).post(*thing).status for thing in made] == [201, 429, 429]


def test_no_address_is_stored_in_clear(session: Session) -> None:
    addresses = [HERE, "2001:db8:1:2::1"]
    for address in addresses:
        validate(address)

    stored = factories.everything(session)

    assert len(buckets(session)) == 4
    for text in (*addresses, "2001:db8:1:2::/64", "2001:db8:1:2", "2001:db8:1::/48"):
        assert text not in stored
        assert hashlib.sha256(text.encode()).hexdigest() not in stored


@pytest.fixture
def ari(session: Session) -> Someone:
    """Somebody who is signed in."""
    return factories.someone(session, name="Ari")


def post(
    address: str,
    path: str,
    body: Any,
    *,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    # Chalice's test client knows a single address.
    return perform(Call("POST", path, body, token=token, headers=headers or {}, address=address))


def validate(address: str, code: str = "ABCDEFGH") -> Reply:
    return post(address, "/api/invites/validate", {"code": code})


def invite(who: Someone, address: str) -> Reply:
    return post(address, "/api/invites", {}, token=who.token)


def exhaust(address: str) -> None:
    for _ in range(10):
        assert validate(address).status == 200


def buckets(session: Session) -> dict[str, timedelta]:
    """How long each bucket takes to be full again."""
    full_in = RateLimit.theoretical_arrival_at - func.now()
    rows: Any = session.execute(select(RateLimit.bucket, full_in))
    return dict(rows.all())


def taken(session: Session) -> float:
    """How many are missing in the deployment's bucket."""
    missing: timedelta = buckets(session).get(DEPLOYMENT.name, timedelta())
    return missing / DEPLOYMENT.interval


def fill(session: Session, bucket: Bucket) -> None:
    full = factories.now(session) + bucket.burst * bucket.interval
    session.add(RateLimit(bucket=bucket.name, theoretical_arrival_at=full))
    session.commit()


def clock_was_ahead(session: Session, which: ColumnElement[bool], *, by: timedelta) -> None:
    """Leave buckets as a time in which the database's clock was ahead leaves them."""
    later = RateLimit.theoretical_arrival_at + by
    session.execute(update(RateLimit).where(which).values(theoretical_arrival_at=later))
    session.commit()


def later(session: Session, *, seconds: float) -> None:
    """Let time pass for the buckets: for the rest of a test it stands still."""
    earlier = RateLimit.theoretical_arrival_at - timedelta(seconds=seconds)
    session.execute(update(RateLimit).values(theoretical_arrival_at=earlier))
    session.commit()
