"""The files for containers, systemd and Caddy that docs/hosting.md names, by their own programs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import tools
from tests.servers import free_port

from .runs import HANGS_AFTER, HOST, PROJECT, Run, eventually, is_free

Launch = Callable[..., Run]

HOSTING = PROJECT / "docs" / "hosting"


def told(*command: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a program in the project; return its exit status and what it printed."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_AFTER,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.tools("hadolint")
def test_the_dockerfile_has_nothing_to_object_to() -> None:
    assert told(tools.program("hadolint"), "Dockerfile") == (0, "")


@pytest.mark.tools("docker-compose")
def test_compose_reads_its_file_and_keeps_the_service_inside() -> None:
    command = (tools.program("docker-compose"), "config", "--format=json")
    status, printed = told(*command, env=os.environ | {"DOMAIN": "family.example.org"})
    without = told(*command, env=os.environ | {"DOMAIN": ""})

    assert status == 0, printed
    services = json.loads(printed)["services"]
    assert services["app"]["read_only"] is True
    assert services["app"]["environment"]["PUBLIC_URL"] == "https://family.example.org"
    assert [name for name, service in services.items() if "ports" in service] == ["caddy"]
    assert without[0] != 0
    assert "Say by which name the service is reached" in without[1]


@pytest.mark.tools("systemd-analyze")
def test_systemd_knows_every_line_of_the_unit() -> None:
    # An unknown key is a warning and no failure.
    assert told(tools.program("systemd-analyze"), "verify", HOSTING / "draugar.service") == (0, "")


@pytest.mark.tools("caddy")
def test_a_family_is_founded_and_joined_through_caddy(launch: Launch, tmp_path: Path) -> None:
    address = f"localhost:{free_port()}"
    run = launch(*HOST, PUBLIC_URL=f"https://{address}", TRUSTED_PROXIES="127.0.0.1")
    run.printed_until_serving()
    caddy = subprocess.Popen(
        [
            *(tools.program("caddy"), "run", "--adapter=caddyfile"),
            *("--config", HOSTING / "Caddyfile"),
        ],
        env={
            "PATH": os.defpath,
            "HOME": str(tmp_path),
            "XDG_DATA_HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
            "DOMAIN": f"https://{address}",
            "UPSTREAM": f"127.0.0.1:{run.port}",
            # An authority of its own, that is put into no one's store; no port 80.
            "CADDY_OPTIONS": "local_certs\n\tskip_install_trust\n\tauto_https disable_redirects",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        root = tmp_path / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        assert eventually(lambda: root.exists() and not is_free(int(address.rpartition(":")[2])))
        family = Family(tmp_path, root)
        _, made = told(*HOST, "founding-link", env=run.environment)
        code = made.split()[2]

        assert f"https://{address}/#found={code}" in made
        family("una", "found", f"https://{address}", code, "--name", "Una")
        link = json.loads(family("una", "invite", "--json"))["link"]
        assert address in link
        family("ari", "join", link, "--name", "Ari")
        family("ari", "share", "64.1466", "-21.9426")
        family("una", "phone", "add", "Phone", "--file", str(tmp_path / "phone.otrc"))
        seen = family("una", "where")

        assert "Ari" in seen
        phone = json.loads((tmp_path / "phone.otrc").read_text())
        assert phone["url"] == f"https://{address}/owntracks"
    finally:
        caddy.terminate()
        caddy.wait()


class Family:
    """The command line of people who trust the authority of this Caddy."""

    def __init__(self, directory: Path, root: Path) -> None:
        self._directory = directory
        self._variables = {"SSL_CERT_FILE": str(root), "DRAUGAR_KEYRING": "file"}

    def __call__(self, who: str, *arguments: str) -> str:
        command = Path(sys.executable).with_name("draugar")
        done = subprocess.run(
            [command, "--home", self._directory / who, *arguments],
            env=os.environ | self._variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=HANGS_AFTER,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
