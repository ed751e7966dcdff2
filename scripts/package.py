"""The bundle that Lambda runs, and its CloudFormation template: `make package`.

    python -m scripts.package

The environment says STAGE (prod). Makes build/deployment.zip and build/template.json, which are
the same bytes whenever and wherever they are made of the same files.

`chalice package` puts our code and its own runtime together and writes the template, in a copy that
holds what ships and nothing else: its cache goes by contents and would give an old layout to
renamed files, and it would take a `__pycache__` along. The packages are added here, because Chalice
fetches those for another kind of processor without looking at their hashes, and only warns when it
finds none.

Lambda cannot keep the byte code that it compiles, so the bundle brings that of the modules which
its functions load. They are found by importing the handlers here: all that a function needs is
loaded then, but for Alembic, which `migrate` imports when it runs.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import yaml  # type: ignore[import-untyped]

from scripts import packages

PROJECT = Path(__file__).resolve().parent.parent
TEMPLATE = Path(".chalice", "template.yaml")
API = "api_handler"  # as Chalice calls the function
# Not by the script of that name: in it pip writes the path of this Python for a shell to read.
CHALICE = (sys.executable, "-c", "import sys; from chalice.cli import main; sys.exit(main())")
SHIPPED = ("app.py", "chalicelib", "vendor", ".chalice")
UNUSED = (
    *("alembic/testing", "sqlalchemy/testing"),
    *("sqlalchemy/dialects/mssql", "sqlalchemy/dialects/mysql", "sqlalchemy/dialects/oracle"),
    "dateutil/zoneinfo",
)
"""Parts of packages that nothing here imports: tests, other dialects, time zones."""
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}  # Lambda's names, and those of wheels
TASK = "/var/task"  # where Lambda unpacks the bundle

# The app reads its settings when it is imported. These reach nothing and go nowhere; hashing is
# fixed for the sake of equal bytes, the region because Chalice asks for one.
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://nobody@localhost/nothing",
    "INVITE_CODE_PEPPER": "only-to-import-the-app-0123456789",
    "AWS_DEFAULT_REGION": "us-east-1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}
LATER = ("alembic.command", "alembic.config", "alembic.runtime.migration")

# A module that is tried and fails is compiled all the same, and is not in sys.modules.
LOADED = """
import importlib, sys
tried = set()
sys.addaudithook(lambda event, values: tried.add(values[0]) if event == "import" else None)
for handler in sys.argv[1:]:
    importlib.import_module(handler)
for name in sorted(tried.union(sys.modules)):
    if (getattr(sys.modules.get(name), "__file__", None) or ".py").endswith(".py"):
        print(name)
"""


class Bundle(NamedTuple):
    """What a deployment takes: the functions' code, and the template of all around them."""

    code: Path
    template: Path


def package(stage: str, *, project: Path = PROJECT, build: Path | None = None) -> Bundle:
    """Make the bundle of a stage. Raises SystemExit."""
    stages = require_releasable(stage, project=project)
    build = build or project / "build"
    build.mkdir(exist_ok=True)
    bundle = Bundle(build / "deployment.zip", build / "template.json")
    with TemporaryDirectory() as temporary:
        copy, made, tree = (Path(temporary) / name for name in ("copy", "made", "tree"))
        _copy(project, copy)
        merge = copy / TEMPLATE
        _run(*CHALICE, "package", "--stage", stage, "--merge-template", merge, made, cwd=copy)
        template = yaml.safe_load((made / "sam.yaml").read_text())
        wheels = _wheels(
            project / "requirements.txt",
            Path(temporary) / "wheels",
            stages[stage].get("lambda_architecture"),
        )
        for archive in (made / "deployment.zip", *wheels):
            ZipFile(archive).extractall(tree)
        for part in UNUSED:
            shutil.rmtree(tree / part)
        _compile(tree, _loaded(template, copy))
        _zip(tree, bundle.code)
    bundle.template.write_text(json.dumps(template, indent=1, sort_keys=True) + "\n")
    return bundle


def require_releasable(stage: str, *, project: Path = PROJECT) -> dict[str, Any]:
    """Return the stages of the project, of which this is one with a bundle. Raises SystemExit.

    A bundle is made for a stage that gives each function a policy of its own.
    """
    stages: dict[str, Any] = json.loads((project / ".chalice/config.json").read_text())["stages"]
    releasable = [
        name for name, said in stages.items() if said.get("lambda_functions", {}).get(API)
    ]
    if stage in releasable:
        return stages
    instead = {
        "local": "; the stage local is what make run serves",
        "try": "; the stage try is released by: .venv/bin/chalice deploy --stage try",
    }
    sys.exit(
        f"There is no bundle for STAGE={stage}, and nothing was made. STAGE is one of"
        f" {', '.join(releasable)}{instead.get(stage, '')}"
    )


def parameters_of_the_template(project: Path = PROJECT) -> dict[str, Any]:
    """Return the parameters of the template that a bundle will have, without making it."""
    read: dict[str, Any] = _ParametersLoader((project / TEMPLATE).read_text()).get_single_data()
    found: dict[str, Any] = read["Parameters"]
    return found


class _ParametersLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads a template for its parameters, in which no function of CloudFormation may stand."""


_ParametersLoader.add_multi_constructor("!", lambda *_: None)


def _copy(project: Path, copy: Path) -> None:
    unwanted = shutil.ignore_patterns("__pycache__", "deployments", "deployed")
    copy.mkdir()
    for name in SHIPPED:
        if (project / name).is_dir():
            shutil.copytree(project / name, copy / name, ignore=unwanted)
        else:
            shutil.copy(project / name, copy / name)


def _wheels(requirements: Path, directory: Path, architecture: str | None) -> list[Path]:
    """Fetch the packages for Lambda's processor, each by its hash."""
    machine = MACHINES[architecture or "x86_64"]
    # Built on an older C library than any of Lambda's runtimes has.
    platforms = [f"--platform=manylinux_2_17_{machine}", f"--platform=manylinux2014_{machine}"]
    _run(
        *(*packages.PIP, "download", "--quiet"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", *platforms),
        *("--requirement", requirements, "--dest", directory),
        environment=packages.environment("download") | ENVIRONMENT,
    )
    return list(directory.iterdir())


def _loaded(template: dict[str, Any], copy: Path) -> list[str]:
    """Return the names of the modules that the functions load.

    The packages are those of this machine, in the same versions: the bundle's may be for another
    kind of processor.
    """
    handlers = {
        resource["Properties"]["Handler"].rpartition(".")[0]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    return _run(sys.executable, "-c", LOADED, *sorted(handlers), *LATER, cwd=copy).split()


def _compile(tree: Path, modules: list[str]) -> None:
    paths = (name.replace(".", "/") for name in modules)
    candidates = (tree / file for path in paths for file in (f"{path}.py", f"{path}/__init__.py"))
    _run(
        *(sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"),
        *("-s", tree, "-p", TASK),
        *(file for file in candidates if file.is_file()),
    )


def _zip(tree: Path, path: Path) -> None:
    with ZipFile(path, "w") as archive:
        for file in sorted(tree.rglob("*")):
            if file.is_file():
                entry = ZipInfo(file.relative_to(tree).as_posix())  # in 1980, when zips begin
                entry.create_system = 3  # Unix: the permissions below are meant
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, file.read_bytes(), ZIP_DEFLATED)


def _run(
    *command: str | Path, cwd: Path | None = None, environment: dict[str, str] = ENVIRONMENT
) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nThe bundle could not be made: see above.")
    return done.stdout


def main() -> None:
    """Package the stage, and say where it is."""
    bundle = package(os.environ.get("STAGE") or "prod")
    print(f"{bundle.code}: {bundle.code.stat().st_size / 1e6:.1f} MB")
    print(bundle.template)


if __name__ == "__main__":
    main()
