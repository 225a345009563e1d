"""The real packages of other SDKs, with exact versions, installed at the first run.

Node's and Java's live in `.interop/`, which ignores itself in git; Python's in an environment
beside those of the benchmarks; the program that Go makes is kept in the user's cache. Each folder
knows what it was made from: when that changes, it is made anew.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import interpreters
from tests import outward
from tests.servers import consul, kept
from tests.servers.server import not_here

HERE: Final = Path(__file__).parent
FOLDER: Final = interpreters.ROOT / ".interop"
PYTHON: Final = (interpreters.OFFICIAL, "redis==5.2.1", "boto3==1.35.99", "python-consul==1.1.0")
COPY_JARS: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
MADE_FROM: Final = "made-from"


def python() -> list[str]:
    """Return the command that runs the peer written in Python."""
    with outward.opened():
        home = interpreters.environment("official-with-databases")
    made_from = home.parent.parent / MADE_FROM
    if not _is_written(made_from, " ".join(PYTHON)):
        try:
            with outward.opened():
                for requirement in PYTHON:
                    interpreters.install(home, requirement)
        except (OSError, subprocess.CalledProcessError) as exc:
            not_here(f"{' and '.join(PYTHON)} cannot be installed: {exc}")
        made_from.write_text(" ".join(PYTHON))
    return [str(home), str(HERE / "python/peer.py")]


def node(line: str, *names: str) -> list[str]:
    """Return the command that runs the peer written for Node, up to what it is to do.

    Args:
        line: the folder below `node/` that says what to install.
        names: of the SDK's package and its store's package.
    """
    for program in ("node", "npm"):
        _need(program, "Node 18 or later with npm: apt-get install nodejs npm")
    wanted = [HERE / "node" / line / name for name in ("package.json", "package-lock.json")]
    folder, is_new = _folder(f"node-{line}", wanted)
    if is_new:
        for file in wanted:
            shutil.copy(file, folder)
        _install(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)
        _installed(folder, wanted)
    return ["node", str(HERE / "node/peer.js"), str(folder), *names]


def java(line: str) -> list[str]:
    """Return the command that runs the peer written in Java.

    Args:
        line: the folder below `java/` that says what to install and what to compile.
    """
    for program in ("java", "javac"):
        _need(program, "a JDK, 17 or later: apt-get install default-jdk-headless")
    _need("mvn", "Maven: apt-get install maven")
    source = HERE / "java" / line
    wanted = [source / "pom.xml", source / "Peer.java"]
    folder, is_new = _folder(f"java-{line}", wanted)
    path = f"{folder / 'classes'}:{folder / 'jars'}/*"
    if is_new:
        where = [f"-DoutputDirectory={folder / 'jars'}", "-DincludeScope=runtime"]
        _install(["mvn", "-q", "-B", "-f", str(wanted[0]), COPY_JARS, *where], folder)
        compiler = ["javac", "-encoding", "UTF-8", "-cp", path, "-d", str(folder / "classes")]
        _install([*compiler, str(wanted[1])], folder)
        _installed(folder, wanted)
    # It lives for a few seconds: what takes long to start up or to compile does not pay.
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, "Peer"]


def go() -> list[str]:
    """Return the command that runs the peer written in Go."""
    try:
        return [str(_go_program())]
    except kept.NotMade as exc:
        not_here(str(exc))


@kept.once
def _go_program() -> Path:
    """Return the peer written in Go, built at the first call; that takes a minute."""
    source = HERE / "go"
    wanted = [source / name for name in ("go.mod", "go.sum", "main.go")]
    return kept.kept(kept.place_of("interop-go", wanted), _build_go) / "peer"


def _build_go(folder: Path) -> None:
    go = str(consul._go())
    build = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(folder / "peer"), "."]
    alone = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    kept.run(build, HERE / "go", alone)


def _need(program: str, what: str) -> None:
    if shutil.which(program) is None:
        not_here(f"{program} is not there; install {what}")


def _folder(name: str, wanted: Sequence[Path]) -> tuple[Path, bool]:
    """Return where a package belongs, and whether it must be made; then the folder is empty."""
    folder = FOLDER / name
    if _is_written(folder / MADE_FROM, _digest(wanted)):
        return folder, False
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder, True


def _install(command: list[str], folder: Path) -> None:
    with outward.opened():
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        not_here(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-1000:]}")


def _installed(folder: Path, wanted: Sequence[Path]) -> None:
    (folder / MADE_FROM).write_text(_digest(wanted))


def _digest(wanted: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in wanted)).hexdigest()


def _is_written(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text
