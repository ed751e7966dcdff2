"""What the figures were measured on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from scripts.postgres import PROGRAMS

PACKAGES = (
    "chalice",
    "pydantic",
    "sqlalchemy",
    "pg8000",
    "psycopg",
    "asyncpg",
    "fastapi",
)


def describe() -> dict[str, str]:
    """Return what the machine is and runs, a line each, without its name or any path of it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    postgres = subprocess.run(  # noqa: S603 -- the one that is measured
        [PROGRAMS / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": postgres.stdout.split()[-1],
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "load": f"{os.getloadavg()[0]:.1f} over the minute before",
    }


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    for line in known.read_text().splitlines() if known.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()
