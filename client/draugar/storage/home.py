"""What a member's device remembers: one directory, with a database and the key to its secrets.

A database, because two commands may run at once and a crash must lose nothing. Whatever is secret
in it (the token, keys, codes, queued positions) is sealed by the vault.
"""

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import platformdirs

from draugar.errors import FailureCode, HomeUnusable, NotJoined
from draugar.protocol.secrets import DeviceKey, Token
from draugar.storage import schema as layout
from draugar.storage import vault
from draugar.storage.vault import KeyLocation, Vault

_DATABASE = "home.sqlite3"
_MUCH = 1024 * 1024  # bytes
_PATIENCE = 30.0  # seconds, for another command's transaction
_FAILURES: Mapping[int, FailureCode] = {
    sqlite3.SQLITE_FULL: FailureCode.DISK_FULL,
    sqlite3.SQLITE_READONLY: FailureCode.HOME_NOT_WRITABLE,
    sqlite3.SQLITE_PERM: FailureCode.HOME_NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: FailureCode.HOME_NOT_READABLE,
    sqlite3.SQLITE_IOERR: FailureCode.HOME_NOT_READABLE,
    sqlite3.SQLITE_BUSY: FailureCode.HOME_IN_USE,
    sqlite3.SQLITE_LOCKED: FailureCode.HOME_IN_USE,
    sqlite3.SQLITE_PROTOCOL: FailureCode.HOME_IN_USE,
    sqlite3.SQLITE_CORRUPT: FailureCode.HOME_DAMAGED,
    sqlite3.SQLITE_NOTADB: FailureCode.HOME_DAMAGED,
    sqlite3.SQLITE_NOMEM: FailureCode.NO_MEMORY,
}
"""What each error of SQLite means, by its primary code."""


@dataclass(frozen=True, kw_only=True)
class Me:
    """Whose home it is."""

    url: str
    user_id: uuid.UUID
    name: str = field(repr=False)
    device_id: uuid.UUID
    token: Token
    device_key: DeviceKey
    is_further: bool = False
    """Whether it came as a further device of somebody who had one."""


class Home:
    """One device of one person at one service, or of nobody yet.

    `rows`, `row` and `do` are one statement each; those inside `transaction` are one change.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._database = database
        self._prepare()
        self._vault: Vault | None = None
        # Without a lock where there is nothing to do: another command may be writing.
        for number, statements in layout.missing(self._layout()):
            self._upgrade(number, statements)
        self._load_vault()
        self.keeps_secrets_in: KeyLocation = KeyLocation(self.recall("place"))
        """Where the key to its secrets is."""

    @classmethod
    def open(cls, path: Path | None = None) -> Self:
        """Open, or make, a home: `path`, else DRAUGAR_HOME, else the platform's own place.

        Raises HomeUnusable.
        """
        directory = directory_of(path)
        file = directory / _DATABASE
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = [path.name for path in directory.iterdir()]
            if held and not any(name.startswith(_DATABASE) for name in held):
                # Somebody's own directory, or /tmp: to close it would lock others out.
                raise HomeUnusable(FailureCode.HOME_NOT_EMPTY)
            directory.chmod(0o700)
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            file.chmod(0o600)
        except OSError as error:
            raise HomeUnusable(
                FailureCode.HOME_NOT_MADE, directory=str(directory), error=error.errno
            ) from None
        database = sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)
        try:
            return cls(directory, database)
        except BaseException:
            database.close()
            raise

    def _prepare(self) -> None:
        self._database.row_factory = sqlite3.Row
        self._log_ahead()
        self.do("PRAGMA synchronous = FULL")
        self.do("PRAGMA foreign_keys = ON")
        self.do("PRAGMA secure_delete = ON")

    @property
    def _id(self) -> str:
        return str(self.recall("id"))

    def _load_vault(self) -> Vault:
        if self._vault is None:
            self._vault = vault.load(KeyLocation(self.recall("place")), self.path, self._id)
        return self._vault

    def _layout(self) -> int:
        return int(self.row("PRAGMA user_version")[0])

    def _upgrade(self, number: int, statements: str) -> None:
        """Apply an upgrade, all of it or nothing, unless another command was faster."""
        with self.transaction():
            if self._layout() >= number:
                return
            for statement in statements.split(";\n"):
                self.do(statement)
            if number == 1:
                home_id = str(uuid.uuid4())
                self.remember("id", home_id)
                self.remember("place", vault.make(self.path, home_id))
            if number == layout.CARRIED_OVER and self.is_joined:
                from draugar.storage import carry_over  # noqa: PLC0415 -- it builds on this module

                carry_over.run(self)
            self.do(f"PRAGMA user_version = {number}")

    def _log_ahead(self) -> None:
        """Write changes to a log first; where two begin with it at once, SQLite does not wait."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
            except sqlite3.Error as error:
                is_busy = _code(error) == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > until:
                    raise unusable(error) from None
                time.sleep(0.02)
            else:
                return

    # The database

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else's change in between. Inside another: part of it."""
        if self._database.in_transaction:
            yield
            return
        self.do("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.rollback()
            raise
        self.do("COMMIT")

    def rows(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        """Run a statement and return what it finds."""
        return self._run(statement, values).fetchall()

    def row(self, statement: str, **values: Any) -> Any:
        """Run a statement and return the first row, or None."""
        return self._run(statement, values).fetchone()

    def do(self, statement: str, **values: Any) -> int:
        """Run a statement and return how many rows it changed."""
        return self._run(statement, values).rowcount

    def _run(self, statement: str, values: dict[str, Any]) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, _storable(values))
        except sqlite3.Error as error:
            raise unusable(error) from None

    def shrink(self) -> None:
        """Give back to the disk what deleted rows have left, where that is much."""
        free, size = (
            int(self.row(f"PRAGMA {fact}")[0]) for fact in ("freelist_count", "page_size")
        )
        if free * size > _MUCH:
            with suppress(HomeUnusable):  # another command is at work, or the disk is full
                self.do("VACUUM")

    # Secrets and small facts

    def seal(self, plain: bytes) -> bytes:
        """Seal what is to be stored."""
        return self._load_vault().seal(plain)

    def unseal(self, sealed: bytes) -> bytes:
        """Open what was stored."""
        return self._load_vault().open(sealed)

    def seal_json(self, value: Any) -> bytes:
        """Seal a JSON value that is to be stored."""
        return self.seal(json.dumps(value).encode())

    def unseal_json(self, sealed: bytes) -> Any:
        """Open a JSON value that was stored."""
        return json.loads(self.unseal(sealed))

    def remember(self, name: str, value: str | int | bytes) -> None:
        """Keep a small fact."""
        self.do(
            "INSERT INTO facts VALUES (:name, :value) ON CONFLICT DO UPDATE SET value = :value",
            name=name,
            value=value,
        )

    def recall(self, name: str) -> Any:
        """Return a small fact, or None."""
        found = self.row("SELECT value FROM facts WHERE name = :name", name=name)
        return found and found["value"]

    def recall_all(self, prefix: str) -> dict[str, Any]:
        """Return the small facts whose names begin so, by the rest of their names."""
        rows = self.rows("SELECT * FROM facts WHERE name LIKE :some", some=f"{prefix}%")
        return {row["name"].removeprefix(prefix): row["value"] for row in rows}

    def forget(self, name: str, *, value: str | None = None) -> None:
        """Forget a small fact; with `value`, only if that is what it says."""
        self.do(
            "DELETE FROM facts WHERE name = :name AND (:value IS NULL OR value = :value)",
            name=name,
            value=value,
        )

    def forget_all(self, prefix: str) -> None:
        """Forget the small facts whose names begin so."""
        self.do("DELETE FROM facts WHERE name LIKE :some", some=f"{prefix}%")

    def is_news(self, kind: str, about: str) -> bool:
        """Whether this is said for the first time; from now on it is not."""
        return bool(
            self.do("INSERT OR IGNORE INTO told VALUES (:kind, :about)", kind=kind, about=about)
        )

    # Whose it is

    @property
    def is_joined(self) -> bool:
        """Whether it belongs to somebody."""
        return self.row("SELECT 1 FROM me") is not None

    def me(self) -> Me:
        """Return whose it is. Raises NotJoined."""
        found = self.row("SELECT * FROM me")
        if found is None:
            raise NotJoined
        # The key goes to this address, and points are sealed for this person: what is not of this
        # home's own is not used.
        identity = self.unseal_json(found["identity"])
        if identity != [found["url"], found["user_id"], found["device_id"]]:
            raise HomeUnusable(FailureCode.HOME_SECRET_NOT_OPENED)
        return Me(
            url=found["url"],
            user_id=uuid.UUID(found["user_id"]),
            name=found["name"],
            device_id=uuid.UUID(found["device_id"]),
            token=Token(self.unseal(found["token"])),
            device_key=DeviceKey(self.unseal(found["device_key"])),
            is_further=bool(found["is_further"]),
        )

    def belong_to(self, me: Me) -> None:
        """Make it somebody's."""
        self.do(
            "INSERT INTO me VALUES"
            " (1, :url, :user_id, :name, :device_id, :token, :device_key, :is_further, :identity)",
            identity=self.seal_identity(me.url, str(me.user_id), str(me.device_id)),
            url=me.url,
            user_id=me.user_id,
            name=me.name,
            device_id=me.device_id,
            token=self.seal(me.token.value),
            device_key=self.seal(me.device_key.value),
            is_further=me.is_further,
        )

    def seal_identity(self, url: str, user_id: str, device_id: str) -> bytes:
        """Seal whose home it is and at which service."""
        return self.seal_json([url, user_id, device_id])

    def rename(self, name: str) -> None:
        """Change the name of whose it is."""
        self.do("UPDATE me SET name = :name", name=name)

    def begun_join(self) -> dict[str, Any] | None:
        """Return the plan of a join that was begun and not finished."""
        begun = self.row("SELECT plan FROM joining")
        plan: dict[str, Any] | None = begun and self.unseal_json(begun["plan"])
        return plan

    def begin_join(self, plan: dict[str, Any]) -> None:
        """Keep the plan of a join before it is sent."""
        self.do("INSERT OR REPLACE INTO joining VALUES (1, :plan)", plan=self.seal_json(plan))

    def forget_join(self) -> None:
        """Forget a join that was never finished."""
        self.do("DELETE FROM joining")

    def wipe(self) -> None:
        """Delete all of it, the key first."""
        vault.destroy(self.keeps_secrets_in, self.path, self._id)
        self.close()
        for ending in ("", "-wal", "-shm"):
            (self.path / f"{_DATABASE}{ending}").unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    @classmethod
    def exists(cls, path: Path | None = None) -> bool:
        """Whether there is a home, be it one that does not open any more."""
        return (directory_of(path) / _DATABASE).exists()

    @classmethod
    def destroy(cls, path: Path | None = None) -> bool:
        """Delete a home, also one that does not open any more. Raises HomeUnusable.

        Return whether the service may know this device.
        """
        directory = directory_of(path)
        try:
            with cls.open(path) as home:
                may_be_known = home.is_joined or home.row("SELECT 1 FROM joining") is not None
                home.wipe()
                return may_be_known
        except HomeUnusable:
            if not (directory / _DATABASE).exists():
                raise
        for name in (vault.FILE, _DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm"):
            (directory / name).unlink(missing_ok=True)
        with suppress(OSError):
            directory.rmdir()
        return True

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def directory_of(path: Path | None) -> Path:
    """Return the directory of a home: `path`, else DRAUGAR_HOME, else the platform's own place."""
    named = path or os.environ.get("DRAUGAR_HOME") or platformdirs.user_data_path("draugar")
    return Path(named).expanduser()


def _storable(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, uuid.UUID) else value
        for name, value in values.items()
    }


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what the code says in detail


def unusable(error: sqlite3.Error) -> HomeUnusable:
    """Return what an error of SQLite means, without its name."""
    code = _FAILURES.get(_code(error), FailureCode.DATABASE_FAILED)
    return HomeUnusable(code, file=_DATABASE)
