"""Families with their phones: what their clients do all day, and what they hold to be right.

A client waits for each answer before it asks again, repeats what was answered 503 until it is
answered otherwise, and now and then repeats what was answered already, as if that had been lost.
What it was told it writes into its ledger; what it sees at once to be wrong, too.
"""

import base64
import json
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any, NamedTuple
from uuid import UUID

from chalicelib.invites.codes import ALPHABET
from chalicelib.web import to_base64
from tests.bundle.runtime import Function, http_event
from tests.faults.ledger import (
    Change,
    Invited,
    Ledger,
    Mark,
    Point,
    Pruned,
    Read,
    Request,
    longitude,
)
from tests.owntracks import basic

LOST = 0.05
"""How many answers are taken for lost though they arrived."""
MOST_MEMBERS, FEWEST_MEMBERS = 7, 3
MOST_INVITES = 12
"""Of one person: well below what the limiter admits, for a repeat counts too."""
SHORT_LIFE = timedelta(seconds=2)
_WITH_A_PHONE = 0.4
_PATIENCE = 60
_ANDROID = {"User-Agent": "Owntracks-Android/gms/420509000"}
_WHOEVER = frozenset({"unauthenticated", "group_not_found"})
"""What anybody is told once an admin has removed them."""
_OF_THE_KEY = frozenset({"key_version_conflict", "rotation_required", "not_confirmed"})
"""What anybody is told who is behind, until they have caught up."""


class Gone(Exception):
    """The person is a member no more."""


class Answer(NamedTuple):
    """An answer, and the time from the first attempt to it; `is_doubted` after a 503."""

    outcome: str
    headers: dict[str, str]
    body: Any
    begun: float
    ended: float
    is_doubted: bool


@dataclass
class Phone:
    """A phone with OwnTracks, and the version of the key that it was set up with."""

    device_id: str
    password: str
    version: int
    counter: int = 0


@dataclass
class Person:
    """Somebody in one group, and what their app keeps."""

    group_id: str
    user_id: str
    device_id: str
    token: str
    seals: bool
    version: int = 0
    is_founder: bool = False
    counter: int = 0
    invites: int = 0
    phone: Phone | None = None
    since: int = 0
    """When they came in, in milliseconds."""
    own: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=30))
    """The keys and times of their newest points that are stored."""
    newest: dict[str, int] = field(default_factory=dict)
    etag: str | None = None


class Draft(NamedTuple):
    """A point before it is written down for the wire."""

    id: str
    counter: int
    at: int
    is_fresh: bool


class Client:
    """One client after another, at one process of the function."""

    def __init__(self, function: Function, people: list[Person], seed: int) -> None:
        self.ledger = Ledger()
        self.people = people
        self._function = function
        self._chance = random.Random(seed)  # noqa: S311 -- the same choices in every run

    # What they do.

    def found(self, code: str, name: str, *, seals: bool) -> Person:
        """Come in by a founding invite."""
        encryption = "required" if seals else "optional"
        person = self._join(code, {"group": {"name": name, "encryption": encryption}}, None)
        if person is None:
            raise RuntimeError("A founding invite was refused.")
        person.is_founder, person.seals = True, seals
        if seals:
            self.rotate(person)
        return person

    def bring_in(self, founder: Person) -> Person:
        """Let somebody into a family as it is founded."""
        code = self._code()
        made = self._make_invite(founder, code, timedelta(hours=5))
        person = made and self._join(code, {}, founder)
        if made is None or person is None:
            raise RuntimeError("Nobody can come in.")
        self._note_invite(founder, made, "used", person.user_id)
        self._settle_in(person)
        return person

    def work(self, is_over: Callable[[], bool], *, rotate_every: float, part_every: float) -> None:
        """Do everything once, then what comes and now and then what comes seldom, until it is over.

        Every `rotate_every` seconds half of the groups get a new key for no reason; every
        `part_every` seconds somebody is removed or leaves.
        """
        for act in _DAY:
            self._try(act, self._chance.choice(self.people))
        self._part()
        acts, weights = zip(*_DAY.items(), strict=True)
        now = time.monotonic()
        next_rotation = now + rotate_every * self._chance.random()
        next_parting = now + part_every * self._chance.random()
        while not is_over():
            now = time.monotonic()
            if now >= next_rotation:
                next_rotation += rotate_every
                for person in self.people[:]:
                    if person.seals and person.is_founder and self._chance.random() < 0.5:
                        self._try(Client.rotate, person)
            elif now >= next_parting:
                next_parting += part_every
                self._part()
            else:
                (act,) = self._chance.choices(acts, weights)
                self._try(act, self._chance.choice(self.people))

    def post(self, who: Person) -> None:
        """Post where one is now."""
        self._post(who, [self._draft(who, _now())], alone=True)

    def post_batch(self, who: Person) -> None:
        """Post what has waited for network, the newest of it made now."""
        now = _now()
        waited = min(now - who.since, 30_000)
        count = self._chance.randrange(2, 16)
        times = sorted(now - self._chance.randrange(1, waited + 2) for _ in range(count - 1))
        drafts = [self._draft(who, max(at, who.since), is_fresh=False) for at in times]
        self._post(who, [*drafts, self._draft(who, now)], alone=False)

    def read_latest(self, who: Person) -> None:
        """Look where everybody is, if anything has changed."""
        headers = {} if who.etag is None else {"If-None-Match": who.etag}
        answer = self._ask(
            "latest",
            "GET /api/locations/latest",
            who,
            {"200", "304", "not_confirmed"},
            query={"groupId": who.group_id},
            headers=headers,
        )
        if answer.outcome == "not_confirmed":
            who.etag = None
            return
        if answer.outcome == "304":
            shown = who.newest
            if answer.headers.get("ETag") != who.etag:
                self._wrong(f"ETag of another answer: {answer.headers}")
        else:
            points = answer.body["locations"]
            shown = {point["userId"]: self._understood(who, point) for point in points}
            for user_id, key in who.newest.items():
                if shown.get(user_id, key) < key:
                    self._wrong(f"latest that goes back in time: {user_id} to {who.user_id}")
            if answer.headers["ETag"] == who.etag:
                self._wrong("ETag that stays the same, and no 304: latest")
            who.newest, who.etag = shown, answer.headers["ETag"]
        if who.own and shown.get(who.user_id, 0) < who.own[-1][0]:
            self._wrong(f"latest without one's own last point: {answer.outcome}")
        self.ledger.latest.append(
            Read(who.group_id, who.user_id, answer.begun, answer.ended, dict(shown))
        )

    def read_history(self, who: Person) -> None:
        """Page back, once or twice."""
        limit = self._chance.choice((20, 50))
        query = {"groupId": who.group_id, "limit": str(limit)}
        last = 1 << 128
        for number in range(2):
            answer = self._ask(
                "history", "GET /api/locations", who, {"200", "not_confirmed"}, query=query
            )
            if answer.outcome != "200":
                return
            keys = [self._understood(who, point) for point in answer.body["locations"]]
            if sorted(keys, reverse=True) != keys or (keys and keys[0] > last):
                self._wrong(f"history out of order: page {number}")
            least = keys[-1] if len(keys) == limit else 0
            if number == 0 and any(key >= least and key not in keys for key, _ in who.own):
                self._wrong("history without one's own last points: first page")
            if "nextCursor" not in answer.body:
                return
            query["cursor"] = answer.body["nextCursor"]
            last = keys[-1]

    def report_by_phone(self, who: Person) -> None:
        """Let OwnTracks post, sealed or not as the group has it."""
        phone = who.phone
        if phone is None or (who.seals and not self._set_up(who, phone)):
            self.post(who)
            return
        phone.counter += 1
        mark = Mark(who.group_id, who.user_id, phone.device_id, phone.counter, phone.version)
        at = _now() if who.seals else _now() // 1000 * 1000
        if who.seals:
            body: dict[str, Any] = {
                "_type": "encrypted",
                "data": base64.b64encode(mark.sealed()).decode(),
            }
        else:
            place = mark.place()
            body = {
                "_type": "location",
                "_id": f"{phone.counter:08x}",
                "lat": place["latitude"],
                "lon": place["longitude"],
                "acc": phone.counter,
                "tst": at // 1000,
            }
        begun = time.monotonic()
        for _ in range(2 if self._is_lost() else 1):
            answer = self._ask(
                "phone",
                "POST /owntracks",
                who,
                {"200"},
                body=body,
                headers=basic(phone.device_id, phone.password) | _ANDROID,
            )
            self._check_told(who, phone, answer.body, at // 1000)
        fate = "taken" if who.seals else "stored"
        self.ledger.points.append(Point(mark, 0, at, begun, time.monotonic(), fate))

    def list_people(self, who: Person) -> list[Any]:
        """Look who is in the group."""
        answer = self._ask("people", "GET /api/users", who, {"200"})
        people = answer.body["users"]
        if not people:
            raise Gone  # a member of nothing, signed in for a moment yet
        for person in people:
            if [group["groupId"] for group in person["groups"]] != [who.group_id]:
                self._wrong(f"member of another group listed: {person['id']} to {who.user_id}")
        shown = {person["id"]: 1 for person in people}
        self.ledger.listed.append(
            Read(who.group_id, who.user_id, answer.begun, answer.ended, shown)
        )
        return list(people)

    def learn(self, who: Person) -> bool:
        """Learn which key the group has; return whether this device may act."""
        if not who.seals:
            return True
        answer = self._ask(
            "keys", "GET /api/groups/{group_id}/keys", who, {"200"}, group_id=who.group_id
        )
        version = answer.body["keyVersion"]
        versions = [each["keyVersion"] for each in answer.body["versions"]]
        if version < who.version or versions != list(range(1, version + 1)):
            self._wrong(f"versions that do not follow each other: {versions} after {who.version}")
        who.version = version
        self.ledger.versions_seen.append(
            Read(who.group_id, who.user_id, answer.begun, answer.ended, {"version": version})
        )
        return bool(answer.body["confirmed"])

    def rotate(self, who: Person) -> bool:
        """Give the group a new key, unless somebody else just has; return whether there is one."""
        for _ in range(20):
            if who.version and not self.learn(who):
                return False
            devices = {
                device["id"]: secrets.token_bytes(72)
                for person in self.list_people(who)
                for group in person["groups"]
                for device in group["devices"]
            }
            commitment = secrets.token_bytes(32)
            self.ledger.tried[commitment.hex()] = who.user_id
            answer = self._ask(
                "rotate",
                "POST /api/groups/{group_id}/keys",
                who,
                {"201", "key_version_conflict", "surplus_devices", "not_confirmed"},
                body={
                    "expectedVersion": who.version,
                    "commitment": to_base64(commitment),
                    "envelopes": [
                        {"deviceId": device_id, "wrappedKey": to_base64(wrapped)}
                        for device_id, wrapped in devices.items()
                    ],
                },
                group_id=who.group_id,
            )
            expected = who.version + 1
            is_ours = answer.outcome == "201"
            if answer.is_doubted and answer.outcome == "key_version_conflict":
                is_ours = self._is_commitment(who, expected, commitment)
            if is_ours:
                who.version = expected
                if answer.outcome == "201" and answer.body["keyVersion"] != expected:
                    self._wrong(f"new key with another version: {answer.body}")
                change = Change(who.group_id, who.user_id, answer.begun, answer.ended)
                self.ledger.rotated.append((expected, commitment.hex(), change))
                for device_id, wrapped in devices.items():
                    self.ledger.wrapped[who.group_id, expected, device_id] = wrapped.hex()
                return True
            if answer.outcome == "key_version_conflict":
                return self.learn(who)
            if answer.outcome == "not_confirmed":
                return False
        self._wrong("twenty rotations in vain: people come and go")
        return False

    def confirm_others(self, who: Person) -> None:
        """Hand the key on to whoever waits for it."""
        if not who.seals or not self.learn(who):
            self.list_people(who)
            return
        pending = self._ask(
            "pending",
            "GET /api/groups/{group_id}/keys/pending",
            who,
            {"200", "not_confirmed"},
            group_id=who.group_id,
        )
        if pending.outcome == "200":
            for device in pending.body["devices"]:
                self._wrap(who, device["deviceId"])

    def invite(self, who: Person) -> None:
        """Make an invite, and let somebody in by it, revoke it or forget it."""
        is_full = len(self.list_people(who)) >= MOST_MEMBERS
        fates = ("revoked", "short", "open") if is_full else ("used", "used", "revoked", "short")
        if who.invites > MOST_INVITES or not self.learn(who):
            return
        is_first = not self.ledger.invites and not is_full
        fate = "used" if is_first else self._chance.choice(fates)
        code = self._code()
        life = SHORT_LIFE if fate == "short" else timedelta(hours=5)
        made = self._make_invite(who, code, life)
        if made is None:
            return
        invite_id = made.body["id"]
        used_by = None
        if fate == "revoked":
            self._ask(
                "revoke", "DELETE /api/invites/{invite_id}", who, {"204"}, invite_id=invite_id
            )
            self._refused_join(code)
        elif fate == "used":
            newcomer = self._join(code, {}, who)
            if newcomer is None:
                fate = "open"
                self.ledger.unwelcome.append(
                    Change(who.group_id, invite_id, made.begun, time.monotonic())
                )
            else:
                used_by = newcomer.user_id
                self.people.append(newcomer)
                self._refused_join(code)
                self._try(Client._settle_in, newcomer)
                if self._chance.random() < _WITH_A_PHONE:
                    self._try(Client.add_phone, newcomer)
        self._note_invite(who, made, fate, used_by)

    def pause(self, who: Person) -> None:
        """Pause, see that nothing is taken, and go on."""
        route = "PUT /api/groups/{group_id}/sharing"
        self._ask("sharing", route, who, {"204"}, body={"paused": True}, group_id=who.group_id)
        draft = self._draft(who, _now())
        answer = self._ask(
            "post paused",
            "POST /api/locations",
            who,
            {"sharing_paused"},
            body=self._written(who, draft, who.version),
        )
        self._note(who, draft, who.version, answer, "refused")
        self._ask("sharing", route, who, {"204"}, body={"paused": False}, group_id=who.group_id)

    def remove_somebody(self, who: Person) -> None:
        """Remove a member, where one is to spare, and make a new key."""
        others = [person["id"] for person in self.list_people(who) if person["id"] != who.user_id]
        if not who.is_founder or len(others) < FEWEST_MEMBERS:
            return
        user_id = self._chance.choice(others)
        answer = self._ask(
            "remove",
            "DELETE /api/groups/{group_id}/members/{user_id}",
            who,
            {"204", "member_not_found"},
            group_id=who.group_id,
            user_id=user_id,
        )
        if answer.outcome == "204" or answer.is_doubted:
            self.ledger.departed.append(Change(who.group_id, user_id, answer.begun, answer.ended))
        if who.seals:
            self.rotate(who)

    def leave(self, who: Person) -> None:
        """Leave for good, where that empties no group."""
        if who.is_founder or len(self.list_people(who)) <= FEWEST_MEMBERS:
            return
        begun = time.monotonic()
        try:
            answer = self._ask(
                "leave",
                "POST /api/groups/{group_id}/leave",
                who,
                {"204"},
                group_id=who.group_id,
            )
        except Gone:
            if self.ledger.requests[-2].outcome == "503":  # the first attempt may have done it
                change = Change(who.group_id, who.user_id, begun, time.monotonic())
                self.ledger.departed.append(change)
            raise
        change = Change(who.group_id, who.user_id, answer.begun, answer.ended)
        self.ledger.departed.append(change)
        self.read_latest(who)
        self._wrong("group read by somebody who had left it: latest")

    def delete_old(self, who: Person) -> None:
        """Delete one's points but for the last seconds of them."""
        if not who.own:
            return
        before = who.own[-1][1] - 1500
        moment = datetime.fromtimestamp(before / 1000, UTC).isoformat(timespec="milliseconds")
        answer = self._ask(
            "delete points",
            "DELETE /api/locations",
            who,
            {"200"},
            query={"groupId": who.group_id, "to": moment.replace("+00:00", "Z")},
        )
        kept = [(key, at) for key, at in who.own if at >= before]
        who.own.clear()
        who.own.extend(kept)
        self.ledger.pruned.append(Pruned(who.user_id, before, answer.begun, answer.ended))

    def export(self, who: Person) -> None:
        """Take away what is stored about oneself."""
        answer = self._ask("export", "GET /api/export", who, {"200"}, query={"limit": "200"})
        if answer.body["user"]["id"] != who.user_id:
            self._wrong(f"export of somebody else: to {who.user_id}")
        for point in answer.body["locations"]:
            self._understood(who, point)
            if point["userId"] != who.user_id:
                self._wrong(f"export with another's point: {point['userId']} to {who.user_id}")
        groups = [group["id"] for group in answer.body["groups"]]
        if groups != [who.group_id]:
            raise Gone

    def list_invites(self, who: Person) -> None:
        """Look at the invites."""
        answer = self._ask("invites", "GET /api/invites", who, {"200"})
        for invite in answer.body["invites"]:
            if invite["groupId"] != who.group_id:
                self._wrong(f"invite of another group: {invite['id']} to {who.user_id}")

    def read_whole_history(self, who: Person) -> set[str]:
        """Return the ids of all points that a member is shown, page by page."""
        found: set[str] = set()
        query = {"groupId": who.group_id, "limit": "500"}
        while True:
            answer = self._ask("history", "GET /api/locations", who, {"200"}, query=query)
            for point in answer.body["locations"]:
                self._understood(who, point)
                found.add(point["id"])
            if "nextCursor" not in answer.body:
                return found
            query["cursor"] = answer.body["nextCursor"]

    def add_phone(self, who: Person) -> None:
        """Set OwnTracks up."""
        answer = self._ask(
            "add phone",
            "POST /api/devices",
            who,
            {"201", "not_confirmed", "rotation_required"},
            body={"name": "OwnTracks", "kind": "owntracks", "groupId": who.group_id},
        )
        if answer.outcome == "201":
            # Which key it has is known once it has been renewed under a known one.
            who.phone = Phone(answer.body["id"], answer.body["password"], -1 if who.seals else 0)

    # How they do it.

    def _ask(  # noqa: PLR0913 -- an HTTP request has that many parts
        self,
        kind: str,
        route: str,
        by: Person | None,
        expected: Collection[str],
        *,
        body: Any = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **ids: str,
    ) -> Answer:
        """Send a request until it is answered otherwise than 503. Raises Gone."""
        method, resource = route.split()
        token = None if by is None or (headers or {}).keys() & {"Authorization"} else by.token
        first, is_doubted = time.monotonic(), False
        while True:
            event = http_event(
                method, resource, ids, token=token, query=query, body=body, headers=headers
            )
            # The limiter counts by it.
            event["requestContext"]["identity"]["sourceIp"] = str(
                IPv4Address(self._chance.getrandbits(31))
            )
            begun = time.monotonic()
            payload, is_error = self._function.invoke(event)
            ended = time.monotonic()
            if is_error:
                raise RuntimeError(payload)
            status, text = payload["statusCode"], payload["body"]
            read: Any = json.loads(text) if text else None
            outcome = str(read["code"] if status >= 400 else status)
            self.ledger.requests.append(Request(kind, begun, ended, outcome))
            if status != 503:
                break
            is_doubted = True
            if ended - first > _PATIENCE:
                raise TimeoutError(outcome)
            time.sleep(0.05)
        if by is not None and outcome in _WHOEVER - set(expected):
            self.ledger.turned_away.append(Change(by.group_id, by.user_id, begun, ended))
            raise Gone
        if outcome not in expected:
            logged = self._function.log.splitlines()[-1:] if status == 500 else ""
            self._wrong(f"answer {status} {outcome} to {kind}: {route} {logged}")
            if status >= 400:
                raise Unexpected(outcome)
        return Answer(outcome, payload["headers"], read, first, ended, is_doubted)

    def _wrong(self, what: str) -> None:
        self.ledger.wrong.append(what)

    def _try(self, act: Callable[["Client", Person], object], who: Person) -> None:
        try:
            act(self, who)
        except Gone:
            if who in self.people:
                self.people.remove(who)
        except Unexpected:
            pass  # which has been written down

    def _part(self) -> None:
        """Let an admin remove somebody, or somebody leave."""
        act = self._chance.choice((Client.remove_somebody, Client.leave))
        is_founder = act is Client.remove_somebody
        able = [person for person in self.people if person.is_founder == is_founder]
        if able:
            self._try(act, self._chance.choice(able))

    def _is_lost(self) -> bool:
        is_lost = self._chance.random() < LOST
        self.ledger.repeated += is_lost
        return is_lost

    def _draft(self, who: Person, at: int, *, is_fresh: bool = True) -> Draft:
        who.counter += 1
        return Draft(_point_id(at, who.counter), who.counter, at, is_fresh)

    def _mark(self, who: Person, draft: Draft, version: int) -> Mark:
        return Mark(who.group_id, who.user_id, who.device_id, draft.counter, version)

    def _written(self, who: Person, draft: Draft, version: int) -> dict[str, Any]:
        mark = self._mark(who, draft, version)
        said: dict[str, Any] = {"id": draft.id, "groupId": who.group_id}
        if not who.seals:
            return said | mark.place()
        return said | {"encryptedData": to_base64(mark.sealed()), "keyVersion": version}

    def _note(self, who: Person, draft: Draft, version: int, answer: Answer, fate: str) -> None:
        key = UUID(draft.id).int
        self.ledger.points.append(
            Point(
                self._mark(who, draft, version),
                key,
                draft.at,
                answer.begun,
                answer.ended,
                fate,
                draft.is_fresh,
            )
        )
        if fate == "stored" and draft.is_fresh:
            who.own.append((key, draft.at))

    def _post(self, who: Person, drafts: list[Draft], *, alone: bool) -> None:
        """Post points, under whatever key it takes, until all are stored or refused for good."""
        waiting = drafts
        for _ in range(10):
            version = who.version
            points = [self._written(who, draft, version) for draft in waiting]
            body = points[0] if alone else {"locations": points}
            answer, refusals = self._post_once(body, who, alone=alone)
            if None in refusals and self._is_lost():
                again, repeated = self._post_once(body, who, alone=alone)
                if any(
                    first is None and now for first, now in zip(refusals, repeated, strict=True)
                ):
                    self._wrong(f"stored point refused when repeated: {again.body}")
                answer, refusals = again._replace(begun=answer.begun), repeated
            judged = list(zip(waiting, refusals, strict=True))
            for draft, code in judged:
                if code is None:
                    self._note(who, draft, version, answer, "stored")
            waiting = [draft for draft, code in judged if code is not None]
            if not waiting:
                return
            if "not_confirmed" in refusals:
                break
            if "rotation_required" in refusals:
                self.rotate(who)
            else:
                self.learn(who)
        for draft in waiting:
            self._note(who, draft, version, answer, "refused")

    def _post_once(
        self, body: dict[str, Any], who: Person, *, alone: bool
    ) -> tuple[Answer, list[str | None]]:
        passing = _OF_THE_KEY if who.seals else frozenset()
        answer = self._ask(
            "post" if alone else "batch",
            "POST /api/locations",
            who,
            {"200", *passing} if alone else {"200"},
            body=body,
        )
        if alone and answer.outcome != "200":
            return answer, [answer.outcome]
        sent = [body] if alone else body["locations"]
        results = answer.body["results"]
        if [result["id"] for result in results] != [point["id"] for point in sent]:
            self._wrong(f"results of other points: {results}")
        codes = [result.get("code") for result in results]
        for code in codes:
            if code == "group_not_found":
                change = Change(who.group_id, who.user_id, answer.begun, answer.ended)
                self.ledger.turned_away.append(change)
                raise Gone
            if code is not None and code not in passing:
                self._wrong(f"point of a batch refused: {code}")
        return answer, codes

    def _understood(self, who: Person, point: dict[str, Any]) -> int:
        """Check that a point is of this group and of who it is said to be of; return its key."""
        said = point["groupId"], point["userId"], point["deviceId"]
        if who.seals:
            mark = Mark.read(_from_base64(point.get("encryptedData", "")).ljust(60, b"\0"))
            is_right = mark is not None and (*mark[:3], mark.version) == (
                *said,
                point.get("keyVersion"),
            )
        else:
            mark = Mark(*said, int(point.get("accuracy", 0)), 0)
            is_right = mark.place().items() <= point.items()
        if not is_right or said[0] != who.group_id:
            self._wrong(f"foreign point shown: {said} to {who.user_id} of {who.group_id}")
        return UUID(point["id"]).int

    def _check_told(self, who: Person, phone: Phone, told: Any, at: int) -> None:
        """Check what OwnTracks is told of friends."""
        if who.seals:
            if told == []:
                return
            mark = Mark.read(base64.b64decode(told["data"]))
            if mark is None or mark.group_id != who.group_id or mark.user_id == who.user_id:
                self._wrong(f"foreign message told to a phone: {mark} to {who.user_id}")
            elif mark.version < phone.version:
                self._wrong(f"message under a former key told to a phone: {mark}")
            return
        fixes = [element for element in told if element["_type"] == "location"]
        if any(fix["lon"] != longitude(who.group_id) for fix in fixes):
            self._wrong(f"foreign fix told to a phone: to {who.user_id} of {who.group_id}")
        if not any(fix["tst"] >= at for fix in fixes):
            self._wrong(f"fix not told to its own phone: {who.user_id}")

    def _set_up(self, who: Person, phone: Phone) -> bool:
        """Give the phone the present key, if it has another."""
        for _ in range(3):
            if phone.version == who.version:
                return True
            if not self.learn(who):
                return False
            version = who.version
            answer = self._ask(
                "renew phone",
                "POST /api/devices/{device_id}/renew",
                who,
                {"200", "not_confirmed", "rotation_required"},
                device_id=phone.device_id,
            )
            if answer.outcome == "rotation_required":
                self.rotate(who)
            if answer.outcome != "200":
                return False
            phone.password = answer.body["password"]
            self.learn(who)
            phone.version = version if who.version == version else -1
        return False

    def _is_commitment(self, who: Person, version: int, commitment: bytes) -> bool:
        answer = self._ask(
            "keys", "GET /api/groups/{group_id}/keys", who, {"200"}, group_id=who.group_id
        )
        return any(
            each["keyVersion"] == version and each["commitment"] == to_base64(commitment)
            for each in answer.body["versions"]
        )

    def _wrap(self, who: Person, device_id: str) -> None:
        wrapped = secrets.token_bytes(72)
        version = who.version
        for _ in range(2 if self._is_lost() else 1):
            answer = self._ask(
                "envelope",
                "PUT /api/groups/{group_id}/keys/{key_version}/envelopes/{device_id}",
                who,
                {"204", "envelope_exists", "recipient_not_found", "not_confirmed"},
                body={"wrappedKey": to_base64(wrapped)},
                group_id=who.group_id,
                key_version=str(version),
                device_id=device_id,
            )
            if answer.outcome == "204":
                self.ledger.wrapped[who.group_id, version, device_id] = wrapped.hex()

    def _code(self) -> str:
        return "".join(self._chance.choices(ALPHABET, k=16))

    def _note_invite(self, who: Person, made: Answer, fate: str, used_by: str | None) -> None:
        self.ledger.invites.append(
            Invited(
                made.body["id"], who.group_id, who.user_id, fate, used_by, made.begun, made.ended
            )
        )

    def _make_invite(self, who: Person, code: str, life: timedelta) -> Answer | None:
        body: dict[str, Any] = {
            "groupId": who.group_id,
            "code": code,
            "expiresInHours": life / timedelta(hours=1),
        }
        passing = _OF_THE_KEY if who.seals else frozenset()
        first: Answer | None = None
        for _ in range(2 if self._is_lost() else 1):
            if who.seals and first is None:
                body |= {"keyPackage": to_base64(secrets.token_bytes(400))}
                body |= {"keyVersion": who.version}
            requests = len(self.ledger.requests)
            answer = self._ask("invite", "POST /api/invites", who, {"201", *passing}, body=body)
            who.invites += min(2, len(self.ledger.requests) - requests)
            if answer.outcome != "201":
                break
            if first is not None and answer.body != first.body:
                self._wrong("invite made again: a repeat")
            first = first or answer
        return first

    def _join(self, code: str, more: dict[str, Any], inviter: Person | None) -> Person | None:
        """Come in by a code, as somebody new; None when it is refused."""
        body = {
            "code": code,
            "name": "Signy",
            "device": {"name": "Phone", "publicKey": to_base64(secrets.token_bytes(32))},
            **more,
        }
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
        first: Answer | None = None
        for _ in range(2 if self._is_lost() else 1):
            answer = self._ask(
                "join",
                "POST /api/auth/join",
                None,
                {"201", "invite_not_valid"},
                body=body,
                headers=headers,
            )
            if answer.outcome != "201":
                if first is not None:
                    self._wrong("join refused when repeated: invite_not_valid")
                break
            if first is not None and any(
                answer.body[name]["id"] != first.body[name]["id"] for name in ("user", "device")
            ):
                self._wrong("two people made by one join: a repeat")
            first = answer if first is None else answer._replace(begun=first.begun)
        if first is None:
            return None
        joined = first.body
        group_id, user_id = joined["group"]["id"], joined["user"]["id"]
        if inviter is not None and group_id != inviter.group_id:
            self._wrong(f"join into another group: {group_id} not {inviter.group_id}")
        self.ledger.joined.append(Change(group_id, user_id, first.begun, first.ended))
        return Person(
            group_id=group_id,
            user_id=user_id,
            device_id=joined["device"]["id"],
            token=joined["token"],
            seals=inviter is not None and inviter.seals,
            version=joined.get("keyVersion", 0),
            since=_now(),
        )

    def _refused_join(self, code: str) -> None:
        """Try a code that is worth nothing any more."""
        self._ask(
            "join refused",
            "POST /api/auth/join",
            None,
            {"invite_not_valid"},
            body={"code": code, "name": "Nobody"},
            headers={"Idempotency-Key": secrets.token_urlsafe(24)},
        )

    def _settle_in(self, who: Person) -> None:
        """Keep the key that came with the invite, if it did."""
        if self.learn(who) and who.seals:
            self._wrap(who, who.device_id)


class Unexpected(Exception):
    """An answer that has no business to be; what was begun cannot go on."""


_DAY: dict[Callable[[Client, Person], object], float] = {
    Client.post: 36,
    Client.read_latest: 26,
    Client.report_by_phone: 14,
    Client.post_batch: 6,
    Client.read_history: 6,
    Client.list_people: 3,
    Client.confirm_others: 3,
    Client.invite: 0.8,
    Client.pause: 1.5,
    Client.list_invites: 1,
    Client.export: 0.5,
    Client.delete_old: 0.5,
}
"""What a day consists of, and how often in relation to each other."""


def deal(people: Iterable[Person], count: int, seed: int) -> list[list[Person]]:
    """Deal people out to so many clients, so that a family is with several."""
    shuffled = list(people)
    random.Random(seed).shuffle(shuffled)  # noqa: S311 -- the same families in every run
    shuffled.sort(key=lambda person: (not person.is_founder, person.seals))
    return [shuffled[number::count] for number in range(count)]


def _now() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _point_id(at: int, counter: int) -> str:
    """Make a UUID v7 of a time, whose ids follow each other within a millisecond, too."""
    value = at << 80 | 0x7 << 76 | (counter & 0xFFF) << 64 | 0x2 << 62 | secrets.randbits(62)
    return str(UUID(int=value))


def _from_base64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
