"""What the environment says, read once and frozen.

The only module that reads `os.environ`. Whatever is missing or weak is refused at the start,
by name and never by value.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from chalicelib import secrets

PEPPER_BYTES = 32
"""The least length of the invite-code pepper: that of the HMAC-SHA-256 it keys."""

_PEPPER_DISTINCT_CHARACTERS = 8
_LONGEST_FUNCTION_SECONDS = 900
_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+pg8000"})
_SSL_MODES = frozenset({"disable", "require", "verify-ca", "verify-full"})
# What a URL may say behind its `?`, and where it is one of a few, which.
_OPTIONS: Mapping[str, frozenset[str] | None] = {
    "host": None,
    "port": None,
    "sslmode": _SSL_MODES,
    "sslrootcert": None,
    "channel_binding": frozenset({"require", "prefer"}),
    "application_name": None,
    "connect_timeout": None,
    "target_session_attrs": frozenset({"any", "read-write", "primary"}),
}
# Further ones that libpq and other drivers know. Any other name may be half of a password.
_REFUSED_OPTIONS = frozenset(
    (
        *("client_encoding", "connection_limit", "dbname", "fallback_application_name"),
        *("gssencmode", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle"),
        *("keepalives_interval", "load_balance_hosts", "options", "passfile", "password"),
        *("pgbouncer", "pool_timeout", "replication", "require_auth", "requirepeer", "schema"),
        *("service", "ssl", "ssl_max_protocol_version", "ssl_min_protocol_version", "sslaccept"),
        *("sslcert", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey"),
        *("sslnegotiation", "sslpassword", "sslsni", "statement_cache_size"),
        *("tcp_user_timeout", "user"),
    )
)
_OPENSTREETMAP = (
    "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
    "\N{COPYRIGHT SIGN} OpenStreetMap contributors",
)
# The origin goes into a header: nothing in it may end a directive.
_TILES = re.compile(r"(https?://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?)/[A-Za-z0-9._~/{}@-]{1,500}")
_LONGEST_ATTRIBUTION = 200
_ENCODE = (
    "If its user or password holds a special character, such as # ? / [ ] @ : or %, percent-encode"
    " it: # is %23, ? is %3F, / is %2F."
)


class SettingsError(Exception):
    """The service cannot start: a setting is missing or unusable. One line, without its value."""


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """Where the database is and how it is reached.

    `socket` is the path of a Unix socket, or None; `sslmode` has libpq's meaning, except that an
    address that says nothing is verified in full unless it is loopback or a socket. With
    `channel_binding="require"` a server that does not prove by SCRAM that the TLS connection ends
    at it is refused. `connect_timeout` is in seconds.
    """

    user: str
    password: str | None = field(repr=False)
    host: str
    port: int
    database: str
    socket: str | None
    sslmode: str
    sslrootcert: str | None
    channel_binding: str = "prefer"
    application_name: str = "draugar"
    connect_timeout: float | None = None
    target_session_attrs: str = "any"

    @classmethod
    def parse(cls, url: str, login: tuple[str, str] | None = None) -> "DatabaseAddress":
        """Read a `postgres://`, `postgresql://` or `postgresql+pg8000://` URL.

        `login`, a user and a password, stands in for those of the URL. Raises SettingsError,
        whose text holds nothing of the URL but the names of its options.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or 5432
            user, password, database, name = (
                _decoded(part or "")
                for part in (
                    parts.username,
                    parts.password,
                    parts.path.removeprefix("/"),
                    parts.hostname,
                )
            )
            options = _options(parts.query)
            port = int(options.pop("port", port))
            is_url = not parts.fragment and "\0" not in f"{user}{password}{database}{name}"
        except ValueError:
            is_url = False
        if not is_url:
            raise SettingsError(f"DATABASE_URL is not a URL. {_ENCODE}") from None
        if not 0 < port < 2**16:
            raise SettingsError("DATABASE_URL: a port is a number from 1 to 65535.")
        if parts.scheme not in _SCHEMES:
            raise SettingsError("DATABASE_URL must begin with postgresql://.")
        user, password = login or (user, password)
        if not user or not database:
            raise SettingsError(f"DATABASE_URL must name a user and a database. {_ENCODE}")
        host = options.get("host") or name or "localhost"
        if "," in host and not host.startswith("/"):  # a directory may have commas
            raise SettingsError("DATABASE_URL: only one host can be named.")
        socket = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else None
        sslmode = options.get(
            "sslmode", "disable" if socket or _is_loopback(host) else "verify-full"
        )
        binding = options.get("channel_binding", "prefer")
        if binding == "require" and (socket or sslmode == "disable"):
            raise SettingsError(
                "DATABASE_URL: channel_binding=require needs TLS; say sslmode=verify-full as well."
            )
        return cls(
            user=user,
            password=password or None,
            host=host,
            port=port,
            database=database,
            socket=socket,
            sslmode=sslmode,
            sslrootcert=_root(options.get("sslrootcert"), sslmode),
            channel_binding=binding,
            application_name=options.get("application_name", "draugar"),
            connect_timeout=_connect_timeout(options.get("connect_timeout", "0")),
            target_session_attrs=options.get("target_session_attrs", "any"),
        )


def _decoded(text: str) -> str:
    """Return what a percent-encoded text stands for. Raises ValueError."""
    return unquote(text, errors="strict")


def _options(query: str) -> dict[str, str]:
    """Return what a URL says behind its `?`. Raises ValueError or SettingsError."""
    # Not by parse_qsl, which takes a plus sign for a blank: libpq does not.
    pairs = [
        (_decoded(name), _decoded(value), said)
        for name, said, value in (pair.partition("=") for pair in query.split("&") if pair)
    ]
    names = [name for name, _, _ in pairs]
    if refused := sorted(_REFUSED_OPTIONS.intersection(names)):
        raise SettingsError(
            f"DATABASE_URL: the option {refused[0]} is not supported; leave it out."
            f" Supported are {', '.join(_OPTIONS)}."
        )
    if not _OPTIONS.keys() >= set(names) or not all(said for *_, said in pairs):
        raise SettingsError(
            f"DATABASE_URL takes the options {', '.join(_OPTIONS)}. If what stands behind the ? is"
            " part of the password, percent-encode it: ? is %3F."
        )
    if twice := next((name for name in _OPTIONS if names.count(name) > 1), None):
        raise SettingsError(f"DATABASE_URL: the option {twice} may be given once only.")
    options = {name: value for name, value, _ in pairs if value}
    for name, value in options.items():
        if (allowed := _OPTIONS[name]) is not None and value not in allowed:
            raise SettingsError(
                f"DATABASE_URL: {name} must be one of {', '.join(sorted(allowed))}"
                + ("; the others may fall back to plain text." if name == "sslmode" else ".")
            )
    return options


def _root(root: str | None, sslmode: str) -> str | None:
    if sslmode == "verify-ca" and root is None:
        raise SettingsError("DATABASE_URL: sslmode=verify-ca needs an sslrootcert.")
    if root == "system" and sslmode != "verify-full":
        # As in libpq: any public authority would do, for whatever name.
        raise SettingsError("DATABASE_URL: sslrootcert=system needs sslmode=verify-full.")
    if root is not None and root != "system" and not Path(root).is_file():
        raise SettingsError("DATABASE_URL: there is no file at sslrootcert.")
    return root


def _connect_timeout(text: str) -> float | None:
    """Return seconds, or None where the URL leaves it open, as 0 and less do in libpq."""
    try:
        seconds = int(text)
    except ValueError:
        seconds = _LONGEST_FUNCTION_SECONDS + 1
    if seconds > _LONGEST_FUNCTION_SECONDS:
        raise SettingsError(
            "DATABASE_URL: connect_timeout must be a whole number of seconds, at most"
            f" {_LONGEST_FUNCTION_SECONDS}."
        )
    return seconds if seconds > 0 else None


@dataclass(frozen=True, kw_only=True)
class DatabaseSource:
    """Where the database's address is written down: in a URL, in a secret, or in both.

    The secret is JSON as RDS writes it: `username` and `password`, and unless there is a URL that
    says the rest, `host`, `port` and `dbname`.
    """

    url: str | None = field(repr=False)
    secret_arn: str | None

    def read(self) -> DatabaseAddress:
        """Return the address as it is now; the secret is fetched. Raises SettingsError."""
        if self.secret_arn is None:
            return DatabaseAddress.parse(self.url or "")
        try:
            held = json.loads(_secret("DATABASE_SECRET_ARN", self.secret_arn))
            login = str(held["username"]), str(held["password"])
            url = self.url or (
                f"postgresql://{held['host']}:{held.get('port', 5432)}/{quote(held['dbname'])}"
            )
        except (ValueError, TypeError, LookupError):
            raise SettingsError(
                "DATABASE_SECRET_ARN: the secret must be JSON with username and password, and"
                " without a DATABASE_URL also with host and dbname."
            ) from None
        return DatabaseAddress.parse(url, login)


@dataclass(frozen=True, kw_only=True)
class MapTiles:
    """Street maps that a person may switch on in the web app.

    `url` has the places {z}, {x} and {y}; `origin` is its scheme, host and port.
    """

    url: str
    origin: str
    attribution: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "MapTiles | None":
        """Return None when MAP_TILES_URL is off. Raises SettingsError."""
        url, attribution = _said(environ, "MAP_TILES_URL"), _said(environ, "MAP_TILES_ATTRIBUTION")
        if url == "off":
            return None
        if url is None:
            url, attribution = _OPENSTREETMAP
        found = _TILES.fullmatch(url)
        if found is None or not all(f"{{{place}}}" in url for place in "zxy"):
            raise SettingsError(
                "MAP_TILES_URL must be off, or a URL such as"
                " https://tiles.example.org/{z}/{x}/{y}.png, in ASCII and without a query."
            )
        if attribution is None:
            raise SettingsError(
                "MAP_TILES_ATTRIBUTION is not set: say whose map MAP_TILES_URL shows."
            )
        if len(attribution) > _LONGEST_ATTRIBUTION or not attribution.isprintable():
            raise SettingsError(
                f"MAP_TILES_ATTRIBUTION must be one line, of {_LONGEST_ATTRIBUTION} characters at"
                " most."
            )
        return cls(url=url, origin=found[1], attribution=attribution)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process.

    `pepper` keys the hash of every invite code and address at rest; it lives outside the
    database, so that a copy of the database alone gives no code away. `timeout_seconds` is how
    long a statement, or a silent server, is waited for. `prepare_statements` keeps the hot
    statements planned on the server; `iam` asks IAM for the database's password. Where there
    is a `metrics_namespace`, the log's counts are CloudWatch's metrics. `web` says whether the web
    app is served; `tiles`, None when they are off, where it may load street maps from.
    """

    database: DatabaseAddress
    database_source: DatabaseSource
    iam: bool
    pepper: bytes = field(repr=False)
    pool_size: int
    timeout_seconds: float
    prepare_statements: bool
    metrics_namespace: str | None
    web: bool
    tiles: "MapTiles | None"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Raises SettingsError."""
        source = DatabaseSource(
            url=_said(environ, "DATABASE_URL"), secret_arn=_said(environ, "DATABASE_SECRET_ARN")
        )
        if source.url is None and source.secret_arn is None:
            raise SettingsError("Neither DATABASE_URL nor DATABASE_SECRET_ARN is set.")
        return cls(
            database=source.read(),
            database_source=source,
            iam=_switch(environ, "DATABASE_IAM", default="off"),
            pepper=_pepper(environ),
            # A Lambda process serves one request at a time; a laptop's server has threads.
            pool_size=1 if "AWS_LAMBDA_FUNCTION_NAME" in environ else 8,
            timeout_seconds=_seconds(environ, "DATABASE_TIMEOUT_SECONDS", default=5),
            metrics_namespace=_said(environ, "METRICS_NAMESPACE"),
            web=_switch(environ, "WEB", default="on"),
            tiles=MapTiles.read(environ),
            prepare_statements=_switch(environ, "DATABASE_PREPARED_STATEMENTS", default="on"),
        )


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises SettingsError."""
    return Settings.from_environment(os.environ)


def _said(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name, "").strip() or None


def _secret(name: str, arn: str) -> str:
    try:
        return secrets.fetch(arn)
    except secrets.SecretUnavailable as error:
        raise SettingsError(f"{name}: the secret cannot be read ({error}).") from None


def _seconds(environ: Mapping[str, str], name: str, *, default: float) -> float:
    try:
        seconds = float(environ.get(name) or default)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= _LONGEST_FUNCTION_SECONDS:
        raise SettingsError(f"{name} must be a number from 1 to {_LONGEST_FUNCTION_SECONDS}.")
    return seconds


def _switch(environ: Mapping[str, str], name: str, *, default: str) -> bool:
    if (text := environ.get(name) or default) not in ("on", "off"):
        raise SettingsError(f"{name} must be on or off.")
    return text == "on"


def _pepper(environ: Mapping[str, str]) -> bytes:
    name, text = "INVITE_CODE_PEPPER", _said(environ, "INVITE_CODE_PEPPER")
    if arn := _said(environ, "PEPPER_SECRET_ARN"):
        if text is not None:
            raise SettingsError("INVITE_CODE_PEPPER and PEPPER_SECRET_ARN are both set.")
        name, text = "PEPPER_SECRET_ARN", _secret("PEPPER_SECRET_ARN", arn)
    if text is None:
        raise SettingsError("Neither INVITE_CODE_PEPPER nor PEPPER_SECRET_ARN is set.")
    pepper = text.encode()
    if len(pepper) < PEPPER_BYTES or len(set(text)) < _PEPPER_DISTINCT_CHARACTERS:
        raise SettingsError(f"{name} is weak: it takes {PEPPER_BYTES} random characters or more.")
    return pepper


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
