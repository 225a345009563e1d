"""The two interpreters that are compared: one virtual environment for each SDK, same Python.

They live in `.bench/`, which ignores itself in git. flagkeep is built and installed as a user gets
it: never editable, with its bytecode written, so that start-up times are those of a real package.
"""

import os
import platform
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tests.servers import kept

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".bench"
OFFICIAL: Final = "launchdarkly-server-sdk==9.18.2"
REDIS: Final = "redis"  # the extra, and the module that it brings
DATABASES: Final = {"redis": "redis", "dynamodb": "boto3"}  # likewise


def official() -> Path:
    """Return the Python that has the official SDK with Redis, installing it at the first call."""
    with alone("official"):
        python = environment("official")
        if not (_has(python, "ldclient") and _has(python, REDIS)):
            name, version = OFFICIAL.split("==")
            install(python, f"{name}[{REDIS}]=={version}")
    return python


def flagkeep(*, build: bool = True) -> Path:
    """Return the Python that has flagkeep with all drivers; with `build`, as the source is now."""
    python = environment("flagkeep")
    if build or not all(_has(python, name) for name in ("flagkeep", *DATABASES.values())):
        install(python, f"{ROOT}[{','.join(DATABASES)}]")
    return python


def version_of(package: str, python: Path) -> str:
    """Return which version of a package an interpreter has."""
    text = f"from importlib.metadata import version; print(version({package!r}))"
    command = [str(python), "-P", "-c", text]
    return subprocess.check_output(command, text=True, env=clean_environment()).strip()


def alone(name: str) -> AbstractContextManager[None]:
    """Let other processes wait that would make or fill the environment `name`, too."""
    return kept.alone(FOLDER / name)


def environment(name: str) -> Path:
    """Return the Python of the virtual environment `name`, made if it is not there."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")
    home = FOLDER / f"{name}-{platform.python_version()}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        uv = _uv()
        make = [uv, "venv", "--quiet", "--python", sys.executable] if uv else _stdlib_venv()
        subprocess.run([*make, str(home)], check=True)
    return python


def install(python: Path, requirement: str) -> None:
    """Install `requirement` (a name or a folder, with extras), even if that version is there."""
    uv = _uv()
    if uv:
        # pip compiles by itself; without this the first process would, and be the slower one.
        command = [uv, "pip", "install", "--quiet", "--python", str(python), "--compile-bytecode"]
        command += ["--reinstall-package", "flagkeep", "--refresh-package", "flagkeep"]
    else:
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        if requirement.startswith(str(ROOT)) and _has(python, "flagkeep"):
            subprocess.run([*pip, "uninstall", "--yes", "flagkeep"], check=True)
        command = [*pip, "install"]
    subprocess.run([*command, requirement], check=True)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what changes how a Python starts."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "FLAGKEEP_", "COVERAGE_"))
    }


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return shutil.which("uv") or (str(beside) if beside.exists() else None)


def _stdlib_venv() -> list[str]:
    return [sys.executable, "-m", "venv"]


def _has(python: Path, package: str) -> bool:
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    done = subprocess.run([str(python), "-P", "-c", probe], check=False, env=clean_environment())
    return done.returncode == 0
