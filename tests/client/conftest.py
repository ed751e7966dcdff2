"""A really running service on a real PostgreSQL, and homes for whoever joins it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from draugar.cli.app import main
from tests.client.commands import Result, Type
from tests.client.family import Family, Service
from tests.client.malice import Relay
from tests.database import PEPPER, Server
from tests.faults.processes import own_database
from tests.laptop.runs import Run


@pytest.fixture(scope="session")
def service_of_the_run(
    server: Server, schema: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for all tests; what they found in it are groups of their own."""
    with own_database(server, schema) as url:
        run = Run(tmp_path_factory.mktemp("service"), DATABASE_URL=url, INVITE_CODE_PEPPER=PEPPER)
        # What it logs would fill the pipe, and it would wait for a reader.
        reader = Thread(target=lambda: list(run.process.stdout or ()))
        try:
            run.printed_until_serving()
            reader.start()
            yield Service(f"http://127.0.0.1:{run.port}", url)
        finally:
            run.process.kill()
            reader.join()
            run.kill()


@pytest.fixture
def service(service_of_the_run: Service) -> Service:
    """The service, which has forgotten how often this address has tried to join."""
    service_of_the_run.query("TRUNCATE rate_limits")
    return service_of_the_run


@pytest.fixture(autouse=True)
def keys_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the keyring of whoever runs it."""
    monkeypatch.setenv("DRAUGAR_KEYRING", "file")


@pytest.fixture
def family(service: Service, tmp_path: Path) -> Iterator[Family]:
    """A family without anybody in it yet."""
    with ExitStack() as stack:
        yield Family(service, tmp_path, stack)


@pytest.fixture
def types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Run a command of a person in this very process, which is quicker."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: object) -> Result:
        monkeypatch.setenv("DRAUGAR_HOME", str(tmp_path / name))
        monkeypatch.setattr("sys.argv", ["draugar", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Result(ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def relay(service: Service) -> Iterator[Relay]:
    """What stands between a family and the service, and can lie or lose what it passes on."""
    with Relay(service.url) as relay:
        yield relay


@pytest.fixture
def relayed(service: Service, relay: Relay, tmp_path: Path) -> Iterator[Family]:
    """A family that meets the service through the relay only."""
    with ExitStack() as stack:
        yield Family(replace(service, url=relay.url), tmp_path, stack)
