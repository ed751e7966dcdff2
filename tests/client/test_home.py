"""The home: what it keeps, who may read it, and what becomes of it."""

import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import keyring
import keyring.backend
import keyring.errors
import pytest

from draugar.cli.failures import told
from draugar.errors import HomeUnusable, NotJoined
from draugar.protocol.json import to_base64url
from draugar.protocol.secrets import DeviceKey, GroupKey, Secret, Token
from draugar.storage import groups
from draugar.storage import schema as layout
from draugar.storage.groups import enter
from draugar.storage.home import Home, Me, unusable
from draugar.storage.vault import KeyLocation, Vault
from tests.client.family import Family, fix
from tests.client.kept import Keyring
from tests.client.saying import failing, said

HOMES = Path(__file__).parent / "homes"
"""The tables of homes as released clients made them."""


class Chest(keyring.backend.KeyringBackend):
    """A keyring as a platform's would be, of this process."""

    priority = 5
    is_locked = False

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise keyring.errors.KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.is_locked:
            raise keyring.errors.KeyringLocked
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def chest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chest]:
    monkeypatch.delenv("DRAUGAR_KEYRING")
    before, chest = keyring.get_keyring(), Chest()
    keyring.set_keyring(chest)
    yield chest
    keyring.set_keyring(before)


def me() -> Me:
    return Me(
        url="https://draugar.example",
        user_id=uuid4(),
        name="Una",
        device_id=uuid4(),
        token=Token(b"draugar_" + 32 * b"t"),
        device_key=DeviceKey.make(),
    )


def modes(directory: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "home"

    with Home.open(directory) as home:
        home.belong_to(me())

        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert modes(directory) == {0o600}
    with Home.open(directory):
        assert modes(directory) == {0o600}


def test_a_directory_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    Home.open(tmp_path).close()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_directory_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "home.key").write_text("to a door")
    tmp_path.chmod(0o755)

    with pytest.raises(HomeUnusable):
        Home.open(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["home.key"]


def test_its_place_is_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAUGAR_HOME", str(tmp_path / "elsewhere"))

    with Home.open() as home:
        assert home.path == tmp_path / "elsewhere"


def test_it_remembers_whose_it_is(tmp_path: Path) -> None:
    una = me()
    with Home.open(tmp_path) as home:
        home.belong_to(una)

    with Home.open(tmp_path) as home:
        assert home.is_joined
        assert home.me() == una


def test_it_is_nobodys_before_somebody_joins(tmp_path: Path) -> None:
    with Home.open(tmp_path) as home:
        assert not home.is_joined
        with pytest.raises(NotJoined):
            home.me()


def test_the_key_goes_to_the_keyring_where_there_is_one(tmp_path: Path, chest: Chest) -> None:
    una = me()
    with Home.open(tmp_path) as home:
        home.belong_to(una)
        place = home.keeps_secrets_in

    with Home.open(tmp_path) as home:
        assert home.me() == una
    assert place is KeyLocation.KEYRING
    assert len(chest.kept) == 1
    assert not list(tmp_path.glob("*.key"))


def test_without_a_keyring_that_works_the_key_is_a_file(tmp_path: Path, chest: Chest) -> None:
    chest.is_locked = True

    with Home.open(tmp_path) as home:
        assert home.keeps_secrets_in is KeyLocation.FILE


def test_the_environment_can_ask_for_a_file(
    tmp_path: Path, chest: Chest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAUGAR_KEYRING", "file")

    with Home.open(tmp_path) as home:
        assert home.keeps_secrets_in is KeyLocation.FILE
    assert chest.kept == {}


def test_a_locked_keyring_says_what_to_do(tmp_path: Path, chest: Chest) -> None:
    Home.open(tmp_path).close()
    chest.is_locked = True

    with failing(HomeUnusable, "Unlock the keyring"):
        Home.open(tmp_path)


def test_without_its_key_it_cannot_be_read(tmp_path: Path) -> None:
    with Home.open(tmp_path) as home:
        home.belong_to(me())
    (tmp_path / "home.key").unlink()

    with failing(HomeUnusable, "bring the file back"):
        Home.open(tmp_path)


def test_with_another_key_it_cannot_be_read(tmp_path: Path) -> None:
    with Home.open(tmp_path) as home:
        home.belong_to(me())
    (tmp_path / "home.key").write_text(to_base64url(bytes(32)))

    with Home.open(tmp_path) as home, pytest.raises(HomeUnusable):
        home.me()


def test_no_secret_is_in_its_database(family: Family) -> None:
    una = family.found()
    invitation = una.invite()
    group_id = una.group().id
    una.share([fix(64.146698)])
    assert una.where()
    una.enqueue([fix(64.146612)])
    home = una._home
    key = Keyring(home, group_id).key(1)
    assert key is not None
    assert invitation.link is not None
    secrets = [
        home.me().token.value,
        home.me().device_key.value,
        key.value,
        invitation.code.encode(),
        invitation.link.secret.value,
        invitation.link.secret.text.encode(),
        b"64.1466",
    ]

    home.do("PRAGMA wal_checkpoint")
    stored = b"".join(path.read_bytes() for path in home.path.glob("home.sqlite3*"))

    assert len(stored) > 10_000
    assert str(una.device_id).encode() in stored
    assert not [secret for secret in secrets if secret in stored]


def test_no_secret_shows_in_what_is_printed() -> None:
    una = me()

    shown = repr(una)

    assert "t" * 32 not in shown
    assert to_base64url(una.device_key.value) not in shown
    assert repr(una.device_key.value) not in shown


def test_what_is_wiped_is_gone(tmp_path: Path, chest: Chest) -> None:
    directory = tmp_path / "home"
    home = Home.open(directory)
    home.belong_to(me())

    home.wipe()

    assert not directory.exists()
    assert chest.kept == {}


def test_a_key_in_a_file_is_wiped_too(tmp_path: Path) -> None:
    directory = tmp_path / "home"

    Home.open(directory).wipe()

    assert not directory.exists()


def test_wiping_leaves_what_is_not_of_the_home(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    (tmp_path / "letter").write_text("Dear Ari")

    home.wipe()

    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_commands_that_make_one_home_at_once_share_it(tmp_path: Path) -> None:
    def make(_: int) -> bytes:
        with Home.open(tmp_path) as home:
            return home.seal(b"x")

    for _ in range(10):
        with ThreadPoolExecutor(4) as pool:
            sealed = list(pool.map(make, range(4)))
        with Home.open(tmp_path) as home:
            assert {home.unseal(one) for one in sealed} == {b"x"}
            home.wipe()
        tmp_path.mkdir(exist_ok=True)


COUNTING, PHONE = str(UUID(int=1)), str(UUID(int=2))
"""Devices whose points an old home has seen."""


def old_home(directory: Path) -> tuple[Me, UUID]:
    """Write a home of layout 1: a group, its key, and two devices whose points were seen."""
    una, group_id = me(), uuid4()
    key = Secret(bytes(range(32)))
    seal = Vault(key).seal
    directory.mkdir(mode=0o700)
    (directory / "home.key").write_text(to_base64url(key.value))
    with closing(sqlite3.connect(directory / "home.sqlite3")) as database:
        database.executescript((HOMES / "layout_1.sql").read_text())
        database.executemany(
            "INSERT INTO facts VALUES (?, ?)", [("id", str(uuid4())), ("place", "file")]
        )
        database.execute(
            "INSERT INTO me VALUES (1, ?, ?, ?, ?, ?, ?, 0)",
            (
                una.url,
                str(una.user_id),
                una.name,
                str(una.device_id),
                seal(una.token.value),
                seal(una.device_key.value),
            ),
        )
        database.execute(
            "INSERT INTO groups (id, name, highest_version, counter) VALUES (?, 'Hearth', 1, 7)",
            (str(group_id),),
        )
        database.execute(
            "INSERT INTO keys VALUES (?, 1, ?, 1000.0)", (str(group_id), seal(b"k" * 32))
        )
        seen = "INSERT INTO seen VALUES (?, ?, 1, ?, ?, ?, 5000.5)"
        for device, counter, is_counted in ((COUNTING, 7, 1), (PHONE, 4000, 0)):
            database.execute(seen, (str(group_id), device, counter, is_counted, str(uuid4())))
        database.commit()
    return una, group_id


def seen_at(home: Home) -> dict[str, float]:
    rows = home.rows("SELECT device_id, fix_at FROM seen")
    return {row["device_id"]: row["fix_at"] for row in rows}


def test_a_home_of_an_older_client_is_upgraded_and_keeps_what_it_knows(tmp_path: Path) -> None:
    una, group_id = old_home(tmp_path / "home")

    for _ in range(2):
        with Home.open(tmp_path / "home") as home:
            layout_now = home.row("PRAGMA user_version")[0]
            known = (home.me(), Keyring(home, group_id).key(1), seen_at(home))
            counter = home.row("SELECT counter, retention_days FROM groups")

        assert layout_now == len(layout.UPGRADES)
        assert known == (una, GroupKey(b"k" * 32), {COUNTING: 5000.5, PHONE: 4000.0})
        assert tuple(counter) == (7, None)


def test_an_upgraded_home_has_the_layout_of_a_new_one(tmp_path: Path) -> None:
    old_home(tmp_path / "old")
    columns = "SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c"

    with Home.open(tmp_path / "old") as upgraded, Home.open(tmp_path / "new") as new:
        assert {*map(tuple, upgraded.rows(columns))} == {*map(tuple, new.rows(columns))}


def test_commands_that_upgrade_one_home_at_once_upgrade_it_once(tmp_path: Path) -> None:
    una, _ = old_home(tmp_path / "home")

    def use(_: int) -> Me:
        with Home.open(tmp_path / "home") as home:
            return home.me()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(8))) == [una] * 8


def test_an_upgrade_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    una, _ = old_home(tmp_path / "home")
    broken = "CREATE TABLE half (way);\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(layout, "UPGRADES", (layout.UPGRADES[0], broken))

    with pytest.raises(HomeUnusable):
        Home.open(tmp_path / "home")
    monkeypatch.undo()
    monkeypatch.setenv("DRAUGAR_KEYRING", "file")

    with Home.open(tmp_path / "home") as home:
        assert home.me() == una
        assert home.row("SELECT 1 FROM sqlite_master WHERE name = 'half'") is None


@pytest.mark.parametrize("newer", [len(layout.UPGRADES) + 1, 99])
def test_a_home_of_a_newer_client_is_left_alone(tmp_path: Path, newer: int) -> None:
    Home.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "home.sqlite3")) as database:
        database.execute(f"PRAGMA user_version = {newer}")

    with failing(HomeUnusable, "newer version of draugar") as failure:
        Home.open(tmp_path)

    assert "pipx install --force ./client" in told(failure.value).next_step
    with closing(sqlite3.connect(tmp_path / "home.sqlite3")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (newer,)


def test_a_database_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "home.sqlite3").write_bytes(b"Dear Ari, " * 500)

    with failing(HomeUnusable, r"home\.sqlite3.* is damaged\."):
        Home.open(tmp_path)


@pytest.mark.parametrize(
    ("hindrance", "reason"),
    [
        ("PRAGMA max_page_count = 1", "The disk on which this device keeps its data is full."),
        (
            "PRAGMA query_only = ON",
            "The files in which this device keeps its data cannot be written.",
        ),
    ],
)
def test_what_hinders_the_database_is_said_in_words(
    tmp_path: Path, hindrance: str, reason: str
) -> None:
    with Home.open(tmp_path) as home:
        home.do(hindrance)

        with pytest.raises(HomeUnusable) as failure:
            home.remember("much", "x" * 100_000)

    assert told(failure.value).reason == reason
    assert told(failure.value).next_step.endswith("then run the same command again.")


def test_a_home_that_another_command_holds_is_said_to_be_in_use(tmp_path: Path) -> None:
    with Home.open(tmp_path) as home, Home.open(tmp_path) as other:
        home.do("PRAGMA busy_timeout = 0")
        other.do("BEGIN IMMEDIATE")

        with failing(HomeUnusable, "Another draugar command is writing"):
            home.remember("colour", "red")


@pytest.mark.parametrize(
    "name", [name for name in dir(sqlite3) if re.fullmatch("SQLITE_[A-Z]+", name)]
)
def test_no_error_of_the_database_is_shown_by_its_name(name: str) -> None:
    error = sqlite3.OperationalError()
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, name), name

    shown = said(unusable(error))

    assert "SQLITE" not in shown
    assert re.search(r"draugar (--home DIRECTORY )?[a-z]+|the same command again", shown)


def test_a_place_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with failing(HomeUnusable, "cannot keep its data in"):
        Home.open(tmp_path / "file")


def test_a_change_that_fails_half_way_is_none(tmp_path: Path) -> None:
    with Home.open(tmp_path) as home:

        def change() -> None:
            with home.transaction():
                home.remember("colour", "red")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            change()

        assert home.recall("colour") is None


def test_something_is_news_once(tmp_path: Path) -> None:
    with Home.open(tmp_path) as home:
        said = [home.is_news("renamed", about) for about in ("a", "a", "b")]

    assert said == [True, False, True]


def test_a_key_is_held_of_its_version_and_known_in_all(tmp_path: Path) -> None:
    group, other = uuid4(), uuid4()
    with Home.open(tmp_path) as home:
        home.belong_to(me())
        enter(home, group, "Hearth", is_founding=False)
        enter(home, other, "Office", is_founding=False)
        ring, key = Keyring(home, group), GroupKey.make()

        ring.accept(3, key)
        ring.accept(2, older := GroupKey.make())

        assert ring.highest == 3
        assert ring.versions() == [2, 3]
        assert (ring.key(3), ring.key(2), ring.key(1)) == (key, older, None)
        assert Keyring(home, other).holds(key)
        assert not Keyring(home, other).holds(GroupKey.make())


def test_what_somebody_gone_may_know_is_burnt_up_to_what_was_attempted(tmp_path: Path) -> None:
    group = uuid4()
    with Home.open(tmp_path) as home:
        home.belong_to(me())
        enter(home, group, "Hearth", is_founding=False)
        ring = Keyring(home, group)
        ring.accept(1, GroupKey.make())
        ring.attempt(2)

        ring.mark_compromised(ring.at_risk)
        ring.accept(2, GroupKey.make())
        burnt = ring.is_burnt
        ring.accept(3, GroupKey.make())

        assert burnt
        assert not ring.is_burnt


def test_a_lax_umask_opens_it_to_nobody(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        Home.open(tmp_path / "home").close()
    finally:
        os.umask(previous)

    assert modes(tmp_path / "home") == {0o600}


def test_a_home_that_was_large_gives_its_space_back(tmp_path: Path) -> None:
    with Home.open(tmp_path / "una") as home:
        file = home.path / "home.sqlite3"
        enter(home, uuid4(), "Hearth", is_founding=True)
        with home.transaction():
            for number in range(3000):
                home.remember(f"long {number}", "x" * 1000)
    large = file.stat().st_size

    with Home.open(tmp_path / "una") as home:
        home.do("DELETE FROM facts WHERE name LIKE 'long %'")
        home.shrink()
    with Home.open(tmp_path / "una") as home:
        home.remember("kept", "still")
        kept = home.recall("kept"), len(home.rows("SELECT * FROM groups"))

    assert large > 3_000_000
    assert file.stat().st_size < 300_000
    assert kept == ("still", 1)


def test_a_home_at_which_another_command_works_is_not_waited_for_to_shrink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draugar.storage.home._PATIENCE", 0.05)
    with Home.open(tmp_path / "una") as home, Home.open(tmp_path / "una") as other:
        with home.transaction():
            for number in range(3000):
                home.remember(f"long {number}", "x" * 1000)
        home.do("DELETE FROM facts WHERE name LIKE 'long %'")

        with other.transaction():
            other.remember("kept", "still")
            home.shrink()

        assert home.recall("kept") == "still"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE me SET url = 'http://127.0.0.1:1'",
        "UPDATE me SET user_id = '6d1f3c7e-0000-4000-8000-000000000000'",
        (
            "UPDATE states SET state = (SELECT state FROM states other"
            " WHERE other.group_id <> states.group_id)"
        ),
        "UPDATE states SET revision = revision + 1",
    ],
)
def test_what_another_program_writes_into_a_home_is_not_used(family: Family, change: str) -> None:
    una = family.found()
    group_id = una.group().id
    una.found_group("Office")
    una._home.do(change)

    with pytest.raises(HomeUnusable):
        groups.load(una._home, group_id)
