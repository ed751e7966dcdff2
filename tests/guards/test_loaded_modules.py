"""What a cold start loads, by name: nobody makes it longer without noticing.

A test that fails here names what is new. Where it is needed by every request, or by that job, it is
added to the list; otherwise it is imported in the function that needs it, as Alembic is in
chalicelib/jobs/migrate.py. `python -X importtime -c 'import app'` says what it costs, and
`python -m bench cold` what a start costs.
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterable

import pytest

from tests.guards.test_imports import ENVIRONMENT, JOBS, ROOT

# What a job has as well; the API has Pydantic, and what that takes, on top.
DRIVERS = {"asn1crypto", "chalice", "dateutil", "pg8000", "scramp", "six", "sqlalchemy"}
DRIVERS |= {"typing_extensions"}
SCHEMAS = {"annotated_types", "pydantic", "pydantic_core", "typing_inspection"}

# Of the standard library, what no package of ours would load by itself.
STANDARD = {"gc", "html"}

PARTS = {
    "sqlalchemy": {
        *("connectors", "dialects", "engine", "event", "exc", "future", "inspection", "log"),
        *("orm", "pool", "schema", "sql", "types", "util"),
    },
    "sqlalchemy.dialects": {"_typing", "postgresql"},
    "pydantic": {
        *("_internal", "_migration", "alias_generators", "aliases", "annotated_handlers"),
        *("config", "errors", "fields", "functional_serializers"),
        *("functional_validators", "json_schema", "main", "plugin", "root_model"),
        *("type_adapter", "types", "version", "warnings"),
    },
    "chalicelib": {
        *("auth", "characters", "db", "devices", "docs", "errors", "export", "groups"),
        *("health", "invites", "jobs", "keys", "limits", "locations", "log", "models"),
        *("owntracks", "release", "secrets", "settings", "site", "users", "web"),
    },
    # Not service: it reads the files, for the few processes that serve them.
    "chalicelib.site": {"routes"},
    "chalicelib.jobs": {
        *("after_restore", "create_founding_invite", "maintain_locations", "migrate"),
        *("purge_expired_invites", "report"),
    },
}

EVERY_JOB = {"db", "errors", "jobs", "log", "secrets", "settings"}
OF_INVITES = {"auth", "characters", "groups", "invites", "limits", "locations", "models"}
OF_JOBS = {
    "after_restore": OF_INVITES,
    "create_founding_invite": OF_INVITES,
    "maintain_locations": {
        *("auth", "devices", "groups", "keys", "limits", "locations", "models", "owntracks"),
        "users",
    },
    "migrate": {"locations"},
    "purge_expired_invites": OF_INVITES,
}

NEW = "A cold start loads more than it did. See the top of this file."
GONE = "A cold start does not load this any more: take it off the list."


def loaded_by(*modules: str) -> set[str]:
    """Return what a process loads to import modules, with nothing that an installation adds."""
    program = f"import json, sys, {', '.join(modules)}; print(json.dumps(list(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=ROOT,
        env=ENVIRONMENT | {"PYTHONPATH": sysconfig.get_path("purelib")},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout))


def tops(modules: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def packages(modules: Iterable[str]) -> set[str]:
    """Return the packages that are not Python's own, nor made up by compiled modules."""
    made_up = ("_", "cython_runtime")
    return {
        name for name in tops(modules) - sys.stdlib_module_names if not name.startswith(made_up)
    }


def parts(modules: Iterable[str], package: str) -> set[str]:
    """Return what lies directly below a package."""
    start = f"{package}."
    return {
        name.removeprefix(start).partition(".")[0] for name in modules if name.startswith(start)
    }


def compare(loaded: set[str], listed: set[str]) -> None:
    assert loaded - listed == set(), NEW
    assert listed - loaded == set(), GONE


@pytest.fixture(scope="module")
def app() -> set[str]:
    """What `import app` loads."""
    return loaded_by("app")


def test_the_app_loads_the_packages_that_it_has_to(app: set[str]) -> None:
    compare(packages(app), DRIVERS | SCHEMAS | {"app", "chalicelib"})


def test_the_app_loads_little_of_the_standard_library_by_itself(app: set[str]) -> None:
    by_packages = loaded_by(
        "chalice.app",
        "pg8000",
        "pydantic.root_model",
        "pydantic.types",
        "sqlalchemy.dialects.postgresql.pg8000",
        "sqlalchemy.orm",
    )

    compare((tops(app) - tops(by_packages)) & sys.stdlib_module_names, STANDARD)


@pytest.mark.parametrize("package", PARTS)
def test_of_a_large_package_the_app_loads_parts(app: set[str], package: str) -> None:
    compare(parts(app, package), PARTS[package])


def test_every_job_is_listed() -> None:
    assert {job.rpartition(".")[2] for job in JOBS} == OF_JOBS.keys() | {"report"}


@pytest.mark.parametrize("job", OF_JOBS)
def test_a_job_loads_what_it_works_with(job: str) -> None:
    loaded = loaded_by(f"chalicelib.jobs.{job}")

    compare(parts(loaded, "chalicelib"), EVERY_JOB | OF_JOBS[job])
    compare(packages(loaded), DRIVERS | {"chalicelib"})
