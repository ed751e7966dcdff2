"""What imports what, and what it costs: the import rule, and what stays out of cold starts."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.database import PEPPER

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "chalicelib").rglob("*.py"))
JOBS = sorted(f"chalicelib.jobs.{path.stem}" for path in ROOT.glob("chalicelib/jobs/[a-z]*.py"))
ENVIRONMENT = {"DATABASE_URL": "postgresql://nobody@localhost/none", "INVITE_CODE_PEPPER": PEPPER}

# For each contract of pyproject.toml an import, from one module of another, that breaks it alone.
BREACHES = {
    "app is imported by nobody": ("chalicelib.errors", "app"),
    "The service does not know its client": ("chalicelib.keys.service", "nacl"),
    "Routes and jobs are imported by app alone": (
        "chalicelib.jobs.migrate",
        "chalicelib.health.routes",
    ),
    "Schemas are imported by routes and schemas": (
        "chalicelib.users.service",
        "chalicelib.users.schemas",
    ),
    "HTTP is known to web, and web to routes and schemas": (
        "chalicelib.devices.service",
        "chalicelib.web",
    ),
    "Services are imported by routes, schemas, jobs and services": (
        "chalicelib.settings",
        "chalicelib.health.service",
    ),
    "Queries are imported by services and queries": (
        "chalicelib.health.routes",
        "chalicelib.health.queries",
    ),
    "Models are imported by queries, and by schemas for their bounds": (
        "chalicelib.locations.routes",
        "chalicelib.models",
    ),
    "Models import db.base alone": ("chalicelib.models.users", "chalicelib.errors"),
    "The database is opened in routes and jobs": (
        "chalicelib.groups.service",
        "chalicelib.db.transaction",
    ),
    "SQL is built in queries, on models": ("chalicelib.export.service", "sqlalchemy"),
    "Chalice is known to routes, jobs and web": ("chalicelib.invites.service", "chalice"),
    "Pydantic is known to schemas and web": ("chalicelib.limits.service", "pydantic"),
    "That a group needs a new key is a fact of the group: groups know nothing of keys": (
        "chalicelib.groups.queries",
        "chalicelib.keys",
    ),
    "The client's imports point one way": ("draugar.maps.nearby", "draugar.storage.places"),
    "The client does not know the service's code": ("draugar.models", "chalicelib.errors"),
    "SQLite is known to storage": ("draugar.usecases.pause", "sqlite3"),
    "HTTP is known to the client's service package": ("draugar.protocol.address", "httpx"),
    "Pydantic reads what the service answers": ("draugar.service.api", "pydantic"),
    "Cryptography is known to protocol": ("draugar.storage.vault", "nacl"),
    "The terminal is known to cli": ("draugar.maps.page", "rich"),
}


def lint_imports(root: Path) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Return the exit status, and for each broken contract who imports what."""
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root / "client")},  # before the client that is installed
        capture_output=True,
        text=True,
        check=False,
    )
    _, _, broken = run.stdout.partition("Broken contracts\n")
    _, *sections = re.split(r"\n(.+)\n-{3,}\n", broken)
    return run.returncode, {
        name: re.findall(r"^- +(\S+) -> (\S+) ", section, re.MULTILINE)
        for name, section in zip(sections[::2], sections[1::2], strict=True)
    }


def loaded_by(module: str) -> set[str]:
    """Return the modules that a process has once it has imported one."""
    program = f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout))


def test_the_import_rule_is_kept() -> None:
    assert lint_imports(ROOT) == (0, {})


def test_each_contract_sees_what_breaks_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "chalicelib", tmp_path / "chalicelib")
    shutil.copytree(ROOT / "client" / "draugar", tmp_path / "client" / "draugar")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    keys = tmp_path / "chalicelib" / "keys" / "__init__.py"
    keys.parent.mkdir(exist_ok=True)
    keys.touch()
    for importer, imported in BREACHES.values():
        root = tmp_path / "client" if importer.startswith("draugar") else tmp_path
        path = root / f"{importer.replace('.', '/')}.py"
        path.write_text(f"{path.read_text()}\nimport {imported}\n")

    status, broken = lint_imports(tmp_path)

    assert status == 1
    assert broken == {name: [breach] for name, breach in BREACHES.items()}


def test_every_contract_has_been_seen_to_break() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

    names = [contract["name"] for contract in settings["contracts"]]

    assert sorted(names) == sorted(BREACHES)


# `chalicelib.db` offers the openers beside their types, and import-linter sees the module alone.
def test_services_and_queries_are_handed_their_connection() -> None:
    openers = {"transaction", "one_statement", "engine"}

    users = {
        module.relative_to(ROOT / "chalicelib").as_posix()
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chalicelib.db")
        if openers & {alias.name for alias in node.names}
    }

    others = {user for user in users if not re.fullmatch(r"\w+/routes\.py|(db|jobs)/\w+\.py", user)}
    assert users
    assert others == set()


def test_settings_alone_read_the_environment() -> None:
    readers = [
        module.name
        for module in MODULES
        if re.search(r"\b(environ|getenv|putenv)\b", module.read_text())
    ]

    assert readers == ["settings.py"]


def test_the_app_starts_without_what_requests_do_not_need() -> None:
    loaded = loaded_by("app")

    assert {"app", "sqlalchemy", "pydantic", "pg8000"} <= loaded
    assert (
        loaded & {"alembic", "mako", "boto3", "botocore", "moto", "pytest", "migrations"} == set()
    )


@pytest.mark.parametrize("job", JOBS)
def test_a_job_starts_without_the_app(job: str) -> None:
    loaded = loaded_by(job)

    assert job in loaded
    assert "app" not in loaded
    assert {module for module in loaded if module.startswith("chalicelib.web")} == set()
