"""What a crowd has done and was told, and whether the database and every answer agree with it.

Times are of the machine's monotonic clock, which all processes share: what had been answered
before something else began has to be seen by it. A point says in itself whose it is, so that one
in foreign hands is recognised: sealed ones in their first bytes, others by where they are.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from hashlib import sha256, shake_256
from typing import Any, NamedTuple
from uuid import UUID

from tests.database import connect

SEALED_BYTES = 168
_HEAD = 16 + 16 + 16 + 8 + 4
_PLACES = 1_000_000

# Which rule a row breaks is found out when it commits, with the eyes of whoever comes later.
WITNESS = [
    "CREATE TABLE broken (rule text)",
    """
    CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO broken SELECT rule FROM groups g, devices d,
            LATERAL (VALUES
                ('the present key', g.key_version IS DISTINCT FROM new.key_version),
                ('a key that need not be replaced', g.rotation_required),
                ('a valid device', d.revoked_at IS NOT NULL),
                ('a confirmed device', d.kind = 'app' AND NOT EXISTS (
                    SELECT FROM key_envelopes e WHERE e.device_id = d.id
                    AND e.group_id = g.id AND e.key_version = g.key_version)),
                ('a phone with the key', d.kind <> 'app' AND d.key_version <> g.key_version)
            ) judged (rule, is_broken)
            WHERE g.id = new.group_id AND d.id = new.device_id AND g.encryption = 'required'
            AND is_broken;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER judge AFTER INSERT ON locations DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION judge()
    """,
]


class Mark(NamedTuple):
    """Whose a point is, which of theirs, and under which version of the group's key, 0 for none."""

    group_id: str
    user_id: str
    device_id: str
    counter: int
    version: int

    def sealed(self) -> bytes:
        """Return what is posted as a ciphertext."""
        ids = b"".join(UUID(text).bytes for text in self[:3])
        head = ids + self.counter.to_bytes(8) + self.version.to_bytes(4)
        return head + shake_256(head).digest(SEALED_BYTES - _HEAD)

    def place(self) -> dict[str, float]:
        """Return where it is when everybody may read it; the longitude is the group's."""
        own = sha256(f"{self.device_id} {self.counter}".encode()).digest()
        return {
            "latitude": int.from_bytes(own[:8]) % (180 * _PLACES) / _PLACES - 90,
            "longitude": longitude(self.group_id),
            "accuracy": float(self.counter),
        }

    @classmethod
    def read(cls, sealed: bytes) -> "Mark | None":
        """Read a ciphertext; None when it is not whole."""
        group_id, user_id, device_id = (str(UUID(bytes=sealed[at : at + 16])) for at in (0, 16, 32))
        counter, version = int.from_bytes(sealed[48:56]), int.from_bytes(sealed[56:_HEAD])
        mark = cls(group_id, user_id, device_id, counter, version)
        return mark if mark.sealed() == sealed else None


def longitude(group_id: str) -> float:
    """Return where all points of a group are that does not seal them."""
    return int.from_bytes(sha256(group_id.encode()).digest()[:8]) % (360 * _PLACES) / _PLACES - 180


class Request(NamedTuple):
    """One request, as its client met it; `outcome` is a status or a problem's code."""

    kind: str
    begun: float
    ended: float
    outcome: str

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.ended - self.begun) * 1000


class Point(NamedTuple):
    """A point and what its client was told of it.

    `fate` is "stored", "refused", or "taken" for what a phone has sealed: whether that is kept, the
    answer does not say. `key` orders points as the service does, 0 where only it knows; `is_fresh`
    says that it was posted as soon as it was made.
    """

    mark: Mark
    key: int
    at: int
    begun: float
    ended: float
    fate: str
    is_fresh: bool = False


class Read(NamedTuple):
    """What a member was shown of a group: for each person a number that only grows."""

    group_id: str
    user_id: str
    begun: float
    ended: float
    shown: dict[str, int]


class Change(NamedTuple):
    """That something happened to a group: to a person, or to its key."""

    group_id: str
    what: str
    begun: float
    ended: float


class Invited(NamedTuple):
    """An invite and what was done with it: "used" by somebody, "revoked", "short" or "open"."""

    id: str
    group_id: str
    by: str
    fate: str
    used_by: str | None
    begun: float
    ended: float


class Pruned(NamedTuple):
    """That somebody deleted what they had recorded before a time, in milliseconds."""

    user_id: str
    before: int
    begun: float
    ended: float


@dataclass
class Ledger:
    """What one client, or all together, have done and were told."""

    requests: list[Request] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    latest: list[Read] = field(default_factory=list)
    listed: list[Read] = field(default_factory=list)
    versions_seen: list[Read] = field(default_factory=list)
    joined: list[Change] = field(default_factory=list)
    departed: list[Change] = field(default_factory=list)
    turned_away: list[Change] = field(default_factory=list)
    """Members who were told that they are none."""
    unwelcome: list[Change] = field(default_factory=list)
    """Live invites that were refused."""
    rotated: list[tuple[int, str, Change]] = field(default_factory=list)
    """Each new version with its commitment; the change is by whom."""
    tried: dict[str, str] = field(default_factory=dict)
    """Commitments that were sent, by whom."""
    wrapped: dict[tuple[str, int, str], str] = field(default_factory=dict)
    invites: list[Invited] = field(default_factory=list)
    pruned: list[Pruned] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    repeated: int = 0
    """Requests that were sent again though they had been answered."""

    def add(self, other: "Ledger") -> None:
        """Take over what another client has written down."""
        for each in fields(self):
            ours, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(ours, dict):
                ours |= theirs
            else:
                setattr(self, each.name, ours + theirs)


class Rows(NamedTuple):
    """What the database holds in the end."""

    locations: list[tuple[Any, ...]]
    members: set[tuple[str, str]]
    users: set[str]
    versions: dict[str, dict[int, str]]
    present: dict[str, int]
    envelopes: dict[tuple[str, int, str], str]
    invites: dict[str, tuple[Any, ...]]
    broken: Counter[str]

    @classmethod
    def of(cls, url: str) -> "Rows":
        """Read them beside the service."""
        with connect(url) as operator:

            def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
                return [tuple(row) for row in operator.run(f"SELECT {columns} FROM {table}")]  # noqa: S608 -- names

            versions: dict[str, dict[int, str]] = defaultdict(dict)
            for group_id, version, commitment in rows(
                "group_id::text, key_version, encode(commitment, 'hex')", "group_keys"
            ):
                versions[group_id][version] = commitment
            return cls(
                locations=rows(
                    "id::text, group_id::text, user_id::text, device_id::text,"
                    " coalesce(key_version, 0), encrypted_data, latitude, longitude, accuracy",
                    "locations",
                ),
                members={
                    (row[0], row[1])
                    for row in rows("group_id::text, user_id::text", "group_members")
                },
                users={row[0] for row in rows("id::text", "users")},
                versions=versions,
                present={row[0]: row[1] for row in rows("id::text, key_version", "groups")},
                envelopes={
                    (row[0], row[1], row[2]): row[3]
                    for row in rows(
                        "group_id::text, key_version, device_id::text, encode(wrapped_key, 'hex')",
                        "key_envelopes WHERE wrapped_key IS NOT NULL",
                    )
                },
                invites={
                    row[0]: row[1:]
                    for row in rows(
                        "id::text, used_by::text, used_at IS NOT NULL, revoked_at IS NOT NULL,"
                        " expires_at < now() - interval '5 seconds'",
                        "invite_codes WHERE created_by IS NOT NULL",
                    )
                },
                broken=Counter(row[0] for row in rows("rule", "broken")),
            )


def check(ledger: Ledger, rows: Rows) -> Counter[str]:
    """Return what is wrong, counted by its kind with one example of each."""
    examples: dict[str, str] = {}
    found: Counter[str] = Counter()
    for wrong in _Judge(ledger, rows).everything():
        kind, _, example = wrong.partition(": ")
        found[f"{kind}: {examples.setdefault(kind, example)}"] += 1
    return found


class _Judge:
    def __init__(self, ledger: Ledger, rows: Rows) -> None:
        self._ledger, self._rows = ledger, rows
        self._departure = {change.what: change for change in ledger.departed}
        self._departures: dict[str, list[Change]] = defaultdict(list)
        for change in ledger.departed:
            self._departures[change.group_id].append(change)
        self._joined = {change.what: change for change in ledger.joined}
        self._rotation = {
            (change.group_id, version): change for version, _, change in ledger.rotated
        }
        self._pruned: dict[str, list[Pruned]] = defaultdict(list)
        for pruned in ledger.pruned:
            self._pruned[pruned.user_id].append(pruned)

    def everything(self) -> Iterator[str]:
        yield from self._ledger.wrong
        yield from (f"row that breaks a rule: {rule}" for rule in self._rows.broken.elements())
        yield from self._points()
        yield from self._latest()
        yield from self._people()
        yield from self._keys()
        yield from self._versions_seen()
        yield from self._invites()

    def _points(self) -> Iterator[str]:
        expected = {
            (point.mark.device_id, point.mark.counter): point for point in self._ledger.points
        }
        seen: set[tuple[str, int]] = set()
        for id_, *claimed, sealed, latitude, longitude_, accuracy in self._rows.locations:
            group_id, user_id, device_id, version = claimed
            if sealed is None:
                mark = Mark(group_id, user_id, device_id, int(accuracy), 0)
                place = {"latitude": latitude, "longitude": longitude_, "accuracy": accuracy}
                is_right = mark.place() == place and version == 0
            else:
                mark = Mark.read(bytes(sealed)) or Mark("", "", "", 0, 0)
                is_right = mark[:3] == (group_id, user_id, device_id) and mark.version == version
            which = mark.device_id, mark.counter
            sent = expected.get(which)
            if not is_right or sent is None or sent.mark != mark:
                yield f"point that nobody sent: {id_}"
            elif which in seen:
                yield f"point stored twice: {id_}"
            elif sent.fate == "refused" or self._was_void(sent):
                yield f"point stored that should have been refused: {id_} {sent.fate}"
            elif sent.key and sent.key != UUID(id_).int:
                yield f"point with another id: {id_}"
            elif self._is_deleted(sent) is True:
                yield f"point that was deleted: {id_}"
            seen.add(which)
        for which, sent in expected.items():
            if which not in seen and self._has_to_be_there(sent):
                yield f"acknowledged point lost: {sent.mark}, sent as {sent.fate}"

    def _was_void(self, point: Point) -> bool:
        """Whether its key had been replaced, or had to be, before it was posted."""
        mark = point.mark
        if not mark.version:
            return False
        own, following = (self._rotation.get((mark.group_id, mark.version + n)) for n in (0, 1))
        if following is not None and following.ended <= point.begun:
            return True
        return own is not None and any(
            own.ended <= departure.begun and departure.ended <= point.begun
            for departure in self._departures[mark.group_id]
        )

    def _is_valid(self, point: Point) -> bool:
        """Whether it was sealed under a key that was the present one the whole time."""
        mark = point.mark
        own, following = (self._rotation.get((mark.group_id, mark.version + n)) for n in (0, 1))
        is_last = mark.version == self._rows.present.get(mark.group_id)
        return (
            own is not None
            and own.ended <= point.begun
            and (is_last or (following is not None and following.begun >= point.ended))
            and not any(
                departure.ended >= own.begun and departure.begun <= point.ended
                for departure in self._departures[mark.group_id]
            )
        )

    def _is_deleted(self, point: Point) -> bool | None:
        """Whether it has to be gone; None where that cannot be said to the millisecond."""
        if point.mark.user_id in self._departure:
            return True
        told: bool | None = False
        took = (point.ended - point.begun) * 1000 + 1
        for pruned in self._pruned[point.mark.user_id]:
            if point.ended <= pruned.begun and point.at < pruned.before:
                # The time of what a phone has sealed is that of its arrival.
                if point.fate != "taken" or point.at + took < pruned.before:
                    return True
                told = None
        return told

    def _has_to_be_there(self, point: Point) -> bool:
        if self._is_deleted(point) is not False or point.fate == "refused":
            return False
        return point.fate == "stored" or self._is_valid(point)

    def _latest(self) -> Iterator[str]:
        """Check that what was acknowledged before a read began is seen, and nobody's who left."""
        newest: dict[tuple[str, str], list[Point]] = defaultdict(list)
        for point in sorted(self._ledger.points, key=lambda point: point.ended):
            if point.fate == "stored" and point.is_fresh:
                newest[point.mark.group_id, point.mark.user_id].append(point)
        ends = {who: [point.ended for point in points] for who, points in newest.items()}
        members: dict[str, list[str]] = defaultdict(list)
        for change in self._ledger.joined:
            members[change.group_id].append(change.what)
        for read in self._ledger.latest:
            yield from self._strangers(read)
            for user_id in members[read.group_id]:
                points = newest[read.group_id, user_id]
                at = bisect_left(ends.get((read.group_id, user_id), []), read.begun)
                departure = self._departure.get(user_id)
                if at == 0 or (departure is not None and departure.begun < read.ended):
                    continue
                known = points[at - 1]  # who posts does so one by one
                if known.begun < self._joined[read.user_id].ended:
                    continue
                if read.shown.get(user_id, 0) < known.key:
                    yield f"acknowledged point not seen by a later read: {known.mark} {read}"

    def _strangers(self, read: Read) -> Iterator[str]:
        for user_id in read.shown:
            joined, departed = self._joined.get(user_id), self._departure.get(user_id)
            if joined is None or joined.group_id != read.group_id or joined.begun > read.ended:
                yield f"stranger shown: {user_id} to {read.user_id}"
            elif departed is not None and departed.ended < read.begun:
                yield f"somebody shown who has gone: {user_id} to {read.user_id}"

    def _people(self) -> Iterator[str]:
        ledger, rows = self._ledger, self._rows
        members: dict[str, list[Change]] = defaultdict(list)
        for change in ledger.joined:
            members[change.group_id].append(change)
        for read in ledger.listed:
            yield from self._strangers(read)
            for change in members[read.group_id]:
                departed = self._departure.get(change.what)
                is_there = departed is None or departed.begun > read.ended
                if change.ended < read.begun and is_there and change.what not in read.shown:
                    yield f"member not listed: {change.what} to {read.user_id}"
        present = {
            (change.group_id, change.what)
            for change in ledger.joined
            if change.what not in self._departure
        }
        yield from (f"member lost: {who}" for who in present - rows.members)
        yield from (f"member who never joined or has gone: {who}" for who in rows.members - present)
        yield from (f"person whom nobody is: {who}" for who in rows.users - self._joined.keys())
        for change in ledger.turned_away:
            departed = self._departure.get(change.what)
            if departed is None or departed.begun > change.ended:
                yield f"member turned away: {change.what}"

    def _keys(self) -> Iterator[str]:
        ledger, rows = self._ledger, self._rows
        for version, commitment, change in ledger.rotated:
            if rows.versions.get(change.group_id, {}).get(version) != commitment:
                yield f"new key lost: {change.group_id} {version}"
        acknowledged = {commitment for _, commitment, _ in ledger.rotated}
        for group_id, versions in rows.versions.items():
            if sorted(versions) != list(range(1, rows.present[group_id] + 1)):
                yield f"versions that do not follow each other: {group_id} {sorted(versions)}"
            for version, commitment in versions.items():
                maker = ledger.tried.get(commitment)
                # Whoever goes while the answer is on its way does not hear of it.
                if commitment not in acknowledged and maker not in self._departure:
                    yield f"key that nobody made: {group_id} {version}"
        for which, wrapped in ledger.wrapped.items():
            if rows.envelopes.get(which) not in (None, wrapped):
                yield f"envelope with another key: {which}"

    def _versions_seen(self) -> Iterator[str]:
        ends: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for version, _, change in self._ledger.rotated:
            ends[change.group_id].append((change.ended, version))
        for moments in ends.values():
            moments.sort()
        for read in self._ledger.versions_seen:
            moments = ends[read.group_id]
            at = bisect_left(moments, (read.begun, 0))
            if at and read.shown["version"] < max(version for _, version in moments[:at]):
                yield f"new key not seen by a later read: {read}"

    def _invites(self) -> Iterator[str]:
        ledger, rows = self._ledger, self._rows
        for invite in ledger.invites:
            found = rows.invites.get(invite.id)
            if found is None:
                # They go with whoever made them, and the purge takes what has expired.
                if invite.by not in self._departure and invite.fate != "short":
                    yield f"invite lost: {invite.fate}"
                continue
            used_by, is_used, is_revoked, is_expired = found
            is_right = {
                "used": is_used and used_by in (invite.used_by, None),
                "revoked": is_revoked and not is_used,
                "short": not is_used and not is_expired,
                "open": not is_used,
            }[invite.fate]
            if not is_right:
                yield f"invite in another state than {invite.fate}: {found}"
        used = Counter(row[0] for row in rows.invites.values() if row[0])
        yield from (f"two invites used by one person: {who}" for who in used if used[who] > 1)
        known = {invite.id for invite in ledger.invites}
        yield from (f"invite that nobody made: {id_}" for id_ in rows.invites.keys() - known)
        for change in ledger.unwelcome:
            if not any(
                departure.ended > change.begun and departure.begun < change.ended
                for departure in self._departures[change.group_id]
            ):
                yield f"live invite refused: {change}"


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value below which such a share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
