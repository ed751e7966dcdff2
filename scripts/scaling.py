"""The sums of docs/scaling.md: what so many people ask of the service, and what that costs.

    python -m scripts.scaling                                    # for the sizes of the document
    python -m scripts.scaling --people 50000 --posts-per-hour 6  # for others, by other habits
    python -m scripts.scaling --write                            # the tables into the document

Every assumption is an option. A month has 730 hours, a GB 10^9 bytes, and money is US dollars.
"""

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

DOCUMENT = Path(__file__).parents[1] / "docs" / "scaling.md"
SIZES = (5, 10_000, 10_000_000)

DAY = 86_400
DAYS_A_MONTH = 730 / 24
LONGEST_MONTH = 31
PAGE = 8192
GB, TB, GIB = 1e9, 1e12, 2**30
MILLION, HUNDRED = 1e6, 100


def _assumed(value: float, unit: str, why: str) -> Any:
    return field(default=value, metadata={"unit": unit, "why": why})


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What is taken for granted; each field says its unit and why it is believed."""

    moving_hours: float = _assumed(3, "hours a day", "a commute, an errand, a walk")
    posts_per_hour: float = _assumed(12, "points", "one each 5 minutes while moving")
    posts_per_hour_still: float = _assumed(2, "points", "one each 30 minutes otherwise")
    points_per_post: float = _assumed(1, "points", "the dearest case; phones batch after a gap")
    opens: float = _assumed(6, "times a day", "a look now and then")
    polls_per_open: float = _assumed(2, "requests", "open for a minute, asking each 30 s")
    peak: float = _assumed(3, "x the average", "people of one time zone wake up together")
    group: float = _assumed(4, "people", "a family")
    retention_days: float = _assumed(30, "days", "the default; see below for longer ones")

    memory_gb: float = _assumed(1, "GB", "`.chalice/config.json`")
    warm_ms: float = _assumed(12, "ms billed", "assumed: one round trip and the Python around it")
    cold_share: float = _assumed(0.01, "of requests", "AWS: under 1 % in production")
    cold_ms: float = _assumed(1000, "ms billed more", "assumed; 537 measured with byte code")
    headroom: float = _assumed(2, "x", "a database at half its speed doubles every duration")
    other_connections: float = _assumed(20, "connections", "jobs, operator, monitoring")

    post_ms: float = _assumed(1.0, "ms of a core", "measured, at most; statements prepared")
    read_ms: float = _assumed(0.3, "ms of a core", "the same")
    post_ms_unprepared: float = _assumed(2.8, "ms of a core", "the same, planned each time")
    read_ms_unprepared: float = _assumed(2.1, "ms of a core", "the same, planned each time")
    point_bytes: float = _assumed(520, "bytes on disk", "measured: 304-byte payload, one index")
    wal_bytes: float = _assumed(800, "bytes of WAL", "measured: 630 to 810")
    page_image_bytes: float = _assumed(6700, "bytes of WAL", "measured, late in a month")
    checkpoint_minutes: float = _assumed(5, "minutes", "PostgreSQL's default")
    freeze_age: float = _assumed(200e6, "ids", "PostgreSQL's default")
    most_tb: float = _assumed(4, "TB a database", "more takes too long to restore")
    most_load: float = _assumed(0.5, "of cores, of memory", "the rest is for what is not here")

    post_answer_bytes: float = _assumed(1000, "bytes", "mostly headers")
    read_answer_bytes: float = _assumed(750, "bytes a member", "a sealed point in JSON")
    log_bytes: float = _assumed(530, "bytes a request", "our line 140; Lambda's three and overhead")
    standby_from: float = _assumed(1000, "people", "then: Multi-AZ, and a private endpoint")


class Price(NamedTuple):
    """What AWS asks in us-east-1: (up to how many units a month, dollars each)."""

    what: str
    unit: str
    tiers: tuple[tuple[float, float], ...]
    page: str
    believed: str

    def of(self, units: float) -> float:
        """Price so many units, each at the rate of its tier."""
        dollars, begun = 0.0, 0.0
        for end, rate in self.tiers:
            dollars += max(0.0, min(units, end) - begun) * rate
            begun = end
        return dollars


def _flat(rate: float) -> tuple[tuple[float, float], ...]:
    return ((math.inf, rate),)


_RDS = "rds/postgresql/pricing"
_AURORA = "rds/aurora/pricing"

REST = Price(
    "API Gateway, REST API",
    "million requests",
    ((333, 3.50), (1000, 2.80), (20_000, 2.38), (math.inf, 1.51)),
    "api-gateway/pricing",
    "AWS whitepaper, undated",
)
HTTP = Price(
    "API Gateway, HTTP API",
    "million requests",
    ((300, 1.00), (math.inf, 0.90)),
    "api-gateway/pricing",
    "AWS whitepaper, undated",
)
BALANCER = Price(
    "Application Load Balancer",
    "LCU-hour, and 0.0225 an hour",
    _flat(0.008),
    "elasticloadbalancing/pricing",
    "second hand, 2026-05",
)
CALLS = Price(
    "Lambda, requests",
    "million requests",
    ((1, 0), (math.inf, 0.20)),
    "lambda/pricing",
    "second hand, 2024",
)
DURATION = Price(
    "Lambda, arm64",
    "GB-second",
    ((4e5, 0), (7.5e9, 0.0000133334), (18.75e9, 0.0000120001), (math.inf, 0.0000106667)),
    "lambda/pricing",
    "tiers: AWS blog, undated; rates: second hand, 2024",
)
LOGS = Price(
    "CloudWatch, Lambda's logs",
    "GB taken in",
    ((5, 0), (10_000, 0.50), (30_000, 0.25), (50_000, 0.10), (math.inf, 0.05)),
    "cloudwatch/pricing",
    "second hand, 2025-05",
)
TRANSFER = Price(
    "Data transfer out",
    "GB",
    ((100, 0), (10_000, 0.09), (50_000, 0.085), (150_000, 0.07), (math.inf, 0.05)),
    "ec2/pricing/on-demand",
    "second hand, 2026-06",
)
DISK = Price("RDS storage, gp3", "GB-month", _flat(0.115), _RDS, "second hand, 2026-06")
PROXY = Price("RDS Proxy", "vCPU-hour, 2 at least", _flat(0.015), "rds/proxy/pricing", "unverified")
SECRET = Price(
    "Secrets Manager",
    "secret-month",
    _flat(0.40),
    "secrets-manager/pricing",
    "second hand, undated",
)
ENDPOINT = Price(
    "Private endpoint",
    "zone-hour",
    _flat(0.01),
    "privatelink/pricing",
    "second hand, 2026-05",
)
ACU = Price("Aurora Serverless v2", "ACU-hour", _flat(0.12), _AURORA, "AWS's tools, 2026-03")
ACU_IO = Price(
    "Aurora Serverless v2, I/O-Optimized",
    "ACU-hour",
    _flat(0.156),
    _AURORA,
    "AWS's tools, 2026-03",
)
AURORA_DISK = Price(
    "Aurora storage; I/O-Optimized 0.225",
    "GB-month",
    _flat(0.10),
    _AURORA,
    "AWS's tools, 2026-03",
)
AURORA_IO = Price(
    "Aurora I/O, unless I/O-Optimized",
    "million requests",
    _flat(0.20),
    _AURORA,
    "second hand, 2026-03",
)


class Machine(NamedTuple):
    """A class of database instance; the price is for one zone, and two zones cost twice that."""

    name: str
    cores: int
    memory_gib: int
    hourly: float
    believed: str

    @property
    def max_connections(self) -> int:
        """What RDS sets unless told otherwise; a little less in truth, for it keeps some memory."""
        return min(5000, self.memory_gib * GIB // 9_531_392)


_R7G = "second hand, undated; AWS's tools, 2026: 5 % less"
MACHINES = (
    Machine("db.t4g.micro", 2, 1, 0.016, "second hand, 2026"),
    Machine("db.t4g.small", 2, 2, 0.032, "second hand, 2026"),
    Machine("db.t4g.medium", 2, 4, 0.065, "second hand, 2026; AWS's tools, 2026"),
    Machine("db.m7g.large", 2, 8, 0.168, "unverified; AWS's tools, 2026: 0.162"),
    Machine("db.r7g.large", 2, 16, 0.239, _R7G),
    Machine("db.r7g.xlarge", 4, 32, 0.478, _R7G),
    Machine("db.r7g.2xlarge", 8, 64, 0.956, _R7G),
    Machine("db.r7g.4xlarge", 16, 128, 1.912, "twice the one before"),
)
LARGEST = MACHINES[-1]
DIRECTORY = MACHINES[4]
SMALLEST_DISK_GB = 20

PRICES = (
    *(REST, HTTP, BALANCER, CALLS, DURATION, LOGS, TRANSFER, SECRET, ENDPOINT, DISK),
    *(Price(m.name, "hour", _flat(m.hourly), _RDS, m.believed) for m in MACHINES),
    *(PROXY, ACU, ACU_IO, AURORA_DISK, AURORA_IO),
)

GATEWAY_QUOTA = 10_000
"""Requests a second that API Gateway gives an account by default."""
LAMBDA_QUOTA = 1000
"""Functions at once that Lambda gives an account by default."""
NEW_CONNECTIONS_AN_LCU = 25


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What so many people ask of the service. Rates are by second and average unless they say."""

    people: int
    given: Assumptions

    @property
    def points_a_day(self) -> float:
        """Points stored a day."""
        given = self.given
        still = 24 - given.moving_hours
        each = given.moving_hours * given.posts_per_hour + still * given.posts_per_hour_still
        return self.people * each

    @property
    def posts(self) -> float:
        """Posts a second."""
        return self.points_a_day / self.given.points_per_post / DAY

    @property
    def reads(self) -> float:
        """Reads of the latest points a second."""
        return self.people * self.given.opens * self.given.polls_per_open / DAY

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.posts + self.reads

    @property
    def peak_rate(self) -> float:
        """Requests a second at the peak."""
        return self.rate * self.given.peak

    @property
    def requests_a_month(self) -> float:
        """Requests a month."""
        return self.rate * DAY * DAYS_A_MONTH

    @property
    def seconds(self) -> float:
        """How long a request keeps a function busy."""
        return (self.given.warm_ms + self.given.cold_share * self.given.cold_ms) / 1000

    @property
    def at_once(self) -> float:
        """Requests in flight at the peak: Little's law."""
        return self.peak_rate * self.seconds

    @property
    def reserved(self) -> int:
        """Reserved concurrency: chance (five standard deviations) and a slow database included."""
        most = self.at_once + 5 * math.sqrt(self.at_once)
        return math.ceil(most * self.given.headroom / 10) * 10

    @property
    def connections(self) -> int:
        """What max_connections must be: after a deployment the old functions hold theirs too."""
        return 2 * self.reserved + round(self.given.other_connections)

    @property
    def cores(self) -> float:
        """Cores of the database that are busy at the peak."""
        busy_ms = self.posts * self.given.post_ms + self.reads * self.given.read_ms
        return busy_ms * self.given.peak / 1000

    @property
    def cores_unprepared(self) -> float:
        """The same when every statement is planned anew, as behind RDS Proxy."""
        given = self.given
        busy_ms = self.posts * given.post_ms_unprepared + self.reads * given.read_ms_unprepared
        return busy_ms * given.peak / 1000

    @property
    def rows_a_month(self) -> float:
        """Rows of one partition."""
        return self.points_a_day * DAYS_A_MONTH

    @property
    def live_bytes(self) -> float:
        """What the kept points take."""
        return self.points_a_day * self.given.retention_days * self.given.point_bytes

    @property
    def disk_bytes(self) -> float:
        """What they take at worst: a partition goes only when its newest point may go."""
        days = self.given.retention_days + LONGEST_MONTH
        return self.points_a_day * days * self.given.point_bytes

    @property
    def hot_bytes(self) -> float:
        """The index pages that the next points go to: one for each person."""
        return self.people * PAGE

    @property
    def wal_a_day(self) -> float:
        """Bytes of WAL a day; a page that is written first after a checkpoint goes in whole."""
        given = self.given
        checkpoints = 60 / given.checkpoint_minutes
        whole_pages = sum(
            hours * min(points / given.points_per_post, checkpoints)
            for hours, points in (
                (given.moving_hours, given.posts_per_hour),
                (24 - given.moving_hours, given.posts_per_hour_still),
            )
        )
        return (
            self.points_a_day * given.wal_bytes + self.people * whole_pages * given.page_image_bytes
        )

    @property
    def days_to_freeze(self) -> float:
        """Days in which one database uses up the ids after which it must freeze its tables."""
        return self.given.freeze_age / (self.posts * DAY)

    def databases_on(self, machine: Machine) -> int:
        """How many databases of a class the points take, whatever runs out first."""
        most = self.given.most_load
        return math.ceil(
            max(
                self.cores / (machine.cores * most),
                self.hot_bytes / (machine.memory_gib * GIB * most),
                self.disk_bytes / (self.given.most_tb * TB),
                1 / self.days_to_freeze,
            )
        )

    @property
    def databases(self) -> tuple[int, Machine]:
        """The smallest class on which one database does, or how many of the largest."""
        for machine in MACHINES:
            if self.databases_on(machine) == 1 and self.connections <= machine.max_connections:
                return 1, machine
        return self.databases_on(LARGEST), LARGEST

    @property
    def has_standby(self) -> bool:
        """Whether so many depend on it that a second zone is worth its price."""
        return self.people >= self.given.standby_from

    @property
    def machine_hours(self) -> float:
        """The dollars that the databases cost an hour in one zone, directory included."""
        count, machine = self.databases
        return count * machine.hourly + (DIRECTORY.hourly if count > 1 else 0)

    @property
    def bill(self) -> dict[str, float]:
        """Dollars a month, by line."""
        given, zones = self.given, 2 if self.has_standby else 1
        count, _ = self.databases
        millions = self.requests_a_month / MILLION
        seconds_a_month = DAY * DAYS_A_MONTH
        answers = self.posts * given.post_answer_bytes + self.reads * (
            given.post_answer_bytes + given.group * given.read_answer_bytes
        )
        disk_gb = max(SMALLEST_DISK_GB * count, self.disk_bytes / GB)
        return {
            "API Gateway (REST)": REST.of(millions),
            "Lambda, requests": CALLS.of(millions),
            "Lambda, duration": DURATION.of(self.requests_a_month * self.seconds * given.memory_gb),
            "CloudWatch Logs": LOGS.of(self.requests_a_month * given.log_bytes / GB),
            "Data transfer out": TRANSFER.of(answers * seconds_a_month / GB),
            "Database instances": self.machine_hours * 730 * zones,
            "Database storage": DISK.of(disk_gb) * zones,
            "Secrets and their endpoint": (
                SECRET.of(2) + ENDPOINT.of(2 * 730) if self.has_standby else 0
            ),
        }

    @property
    def fronts(self) -> dict[str, float]:
        """Dollars a month for what stands before the functions."""
        millions = self.requests_a_month / MILLION
        return {
            "REST API (today)": REST.of(millions),
            "HTTP API": HTTP.of(millions),
            "Load balancer, a new connection each": 0.0225 * 730
            + BALANCER.of(self.rate / NEW_CONNECTIONS_AN_LCU * 730),
            "Function URL": 0,
        }


# The tables.


def amount(value: float) -> str:
    """Write a number for a person: two or three digits, and a word for the zeros."""
    for unit, word in ((1e9, " billion"), (1e6, " million")):
        if value >= unit:
            return f"{value / unit:.3g}{word}"
    return f"{value:,.0f}" if value >= HUNDRED else _plain(float(f"{value:.2g}"))


def _plain(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")


def size(value: float) -> str:
    """Write bytes for a person."""
    for unit, word in ((TB, "TB"), (GB, "GB"), (MILLION, "MB")):
        if value >= unit:
            return f"{value / unit:.3g} {word}"
    return f"{value / 1000:.3g} kB"


def dollars(value: float) -> str:
    """Write money for a person: cents only where they matter."""
    return f"{value:,.0f}" if value >= HUNDRED else f"{value:.2f}"


def _tier(end: float, rate: float) -> str:
    return _plain(rate) if end == math.inf else f"{_plain(rate)} to {amount(end)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = [
        "---",
        *("---:" if title.endswith(("people", "value")) else "---" for title in head[1:]),
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def _by_size(
    what: str, all_sums: Sequence[Sums], column: Callable[[Sums], Mapping[str, str]]
) -> str:
    columns = [column(sums) for sums in all_sums]
    head = [what, *(f"{amount(sums.people)} people" for sums in all_sums)]
    return _table(head, [[row, *(cells[row] for cells in columns)] for row in columns[0]])


def assumptions(all_sums: Sequence[Sums]) -> str:
    """Tell what is taken for granted, and by which option it is changed."""
    given = all_sums[0].given
    return _table(
        ("option", "value", "unit", "why"),
        [
            (
                f"`{_option(one.name)}`",
                amount(getattr(given, one.name)),
                one.metadata["unit"],
                one.metadata["why"],
            )
            for one in fields(given)
        ],
    )


def load(all_sums: Sequence[Sums]) -> str:
    """Tell what comes in, and what it takes to be there for it."""
    return _by_size(
        "requests and connections",
        all_sums,
        lambda sums: {
            "Points a day": amount(sums.points_a_day),
            "Requests a month": amount(sums.requests_a_month),
            "Requests a second, average": amount(sums.rate),
            "Requests a second, peak": amount(sums.peak_rate),
            "of these, posts": amount(sums.posts * sums.given.peak),
            "In flight at the peak": amount(sums.at_once),
            "**Reserved concurrency**": amount(sums.reserved),
            "**`max_connections`**, at least": amount(sums.connections),
        },
    )


def storage(all_sums: Sequence[Sums]) -> str:
    """Tell what the points take, and what of it wears a database out."""
    return _by_size(
        "the database",
        all_sums,
        lambda sums: {
            "Rows of one partition": amount(sums.rows_a_month),
            "Points kept": size(sums.live_bytes),
            "On disk at worst": size(sums.disk_bytes),
            "Index pages that must be in memory": size(sums.hot_bytes),
            "WAL a day": size(sums.wal_a_day),
            "Rows deleted a day": amount(sums.points_a_day),
            "Cores busy at the peak": amount(sums.cores),
            "Days until tables must be frozen": amount(sums.days_to_freeze),
            "**Databases**": f"{sums.databases[0]} x {sums.databases[1].name}",
        },
    )


def steps(all_sums: Sequence[Sums]) -> str:
    """Tell at how many people each limit is met; all but the functions at once grow in line."""
    one = Sums(people=1, given=all_sums[0].given)
    given = one.given
    half_the_cores = LARGEST.cores * given.most_load

    def people_of(reserved: float) -> float:
        """Undo `reserved`."""
        root = (math.sqrt(25 + 4 * reserved / given.headroom) - 5) / 2
        return root**2 / one.at_once

    limits = {
        f"{size(given.most_tb * TB)} on disk": given.most_tb * TB / one.disk_bytes,
        "All tables to be frozen once a day": one.days_to_freeze,
        f"Half the cores of a {LARGEST.name}": half_the_cores / one.cores,
        f"Half the cores of a {LARGEST.name}, statements not prepared": half_the_cores
        / one.cores_unprepared,
        f"Half the memory of a {LARGEST.name}": LARGEST.memory_gib
        * GIB
        * given.most_load
        / one.hot_bytes,
        f"The {amount(LARGEST.max_connections)} connections of a {LARGEST.name}": people_of(
            (LARGEST.max_connections - given.other_connections) / 2
        ),
        f"API Gateway's {amount(GATEWAY_QUOTA)} requests a second": GATEWAY_QUOTA / one.peak_rate,
        f"Lambda's {amount(LAMBDA_QUOTA)} functions at once": people_of(LAMBDA_QUOTA),
    }
    ordered = sorted(limits.items(), key=lambda limit: limit[1])
    return _table(
        ("limit", "reached at so many people"), [(what, amount(people)) for what, people in ordered]
    )


def bill(all_sums: Sequence[Sums]) -> str:
    """Tell what a month costs."""

    def column(sums: Sums) -> dict[str, str]:
        together = sum(sums.bill.values())
        return {line: dollars(cost) for line, cost in sums.bill.items()} | {
            "**Together**": f"**{dollars(together)}**",
            "For each person": f"{together / sums.people:.3f}",
        }

    return _by_size("dollars a month", all_sums, column)


def fronts(all_sums: Sequence[Sums]) -> str:
    """Tell what else could stand before the functions."""
    return _by_size(
        "dollars a month",
        all_sums,
        lambda sums: {front: dollars(cost) for front, cost in sums.fronts.items()},
    )


def prices(_: Sequence[Sums]) -> str:
    """Tell the list prices, where they stand and how far they were verified."""
    return _table(
        ("price", "dollars", "for each", "AWS's page", "believed by"),
        [
            (
                price.what,
                ", ".join(_tier(end, rate) for end, rate in price.tiers),
                price.unit,
                f"[{price.page}](https://aws.amazon.com/{price.page}/)",
                price.believed,
            )
            for price in PRICES
        ],
    )


TABLES = {
    table.__name__: table for table in (assumptions, load, storage, steps, bill, fronts, prices)
}


def written(document: str, all_sums: Sequence[Sums]) -> str:
    """Return the document with its tables as they are now."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: python -m scripts.scaling --write -->", f"<!-- /{name} -->"
        before, begun, rest = document.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"The document has no place for {name}: {begin} {end}")
        document = f"{before}{begin}\n{table(all_sums)}\n{end}{after}"
    return document


def of_document() -> list[Sums]:
    """Return the sums that the document shows."""
    return [Sums(people=people, given=Assumptions()) for people in SIZES]


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("it must be a number above 0")
    return value


def main() -> None:
    """Print the tables, or write them into the document."""
    parser = argparse.ArgumentParser(description="The sums of docs/scaling.md.", allow_abbrev=False)
    parser.add_argument("--write", action="store_true", help="write the tables into the document")
    parser.add_argument("--people", type=int, nargs="+", help="how many people (the document's)")
    for one in fields(Assumptions):
        unit = one.metadata["unit"].replace("%", "%%")
        parser.add_argument(_option(one.name), type=_positive, metavar="N", help=unit)
    chosen = vars(parser.parse_args())
    if chosen.pop("write"):
        if any(value is not None for value in chosen.values()):
            parser.error(
                "--write takes no other option: the document shows the assumptions as made"
            )
        DOCUMENT.write_text(written(DOCUMENT.read_text(), of_document()))
        return
    sizes = chosen.pop("people") or SIZES
    if min(sizes) < 1:
        parser.error("--people must be 1 or more")
    if (chosen["moving_hours"] or 0) > 24:  # noqa: PLR2004 -- a day's
        parser.error("--moving-hours must be 24 or fewer")
    given = Assumptions(**{name: value for name, value in chosen.items() if value is not None})
    all_sums = [Sums(people=people, given=given) for people in sizes]
    print("\n\n".join(table(all_sums) for table in TABLES.values()))


if __name__ == "__main__":
    main()
