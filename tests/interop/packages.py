"""The real packages of other SDKs, with exact versions, installed at the first run.

Node's, Java's and Go's are kept in the user's cache, as servers are (`tests/servers/kept.py`);
Python's in an environment beside those of the benchmarks. Each knows what it was made from: when
that changes, it is made anew.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks import interpreters
from tests import outward
from tests.servers import consul, kept
from tests.servers.server import not_here

HERE: Final = Path(__file__).parent
PYTHON: Final = (interpreters.OFFICIAL, "redis==5.2.1", "boto3==1.35.99", "python-consul==1.1.0")
COPY_JARS: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
MADE_FROM: Final = "made-from"


def python() -> list[str]:
    """Return the command that runs the peer written in Python."""
    name = "official-with-databases"
    with interpreters.alone(name), outward.opened():
        home = interpreters.environment(name)
        made_from = home.parent.parent / MADE_FROM
        if not (made_from.exists() and made_from.read_text() == " ".join(PYTHON)):
            try:
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
    try:
        return ["node", str(HERE / "node/peer.js"), str(_node_packages(line)), *names]
    except kept.NotMade as exc:
        not_here(str(exc))


@kept.once
def _node_packages(line: str) -> Path:
    """Return where `node_modules` is, with what a folder below `node/` asks for."""
    wanted = [HERE / "node" / line / name for name in ("package.json", "package-lock.json")]

    def install(folder: Path) -> None:
        for file in wanted:
            shutil.copy(file, folder)
        kept.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], folder)

    return kept.kept(kept.place_of(f"interop-node-{line}", wanted), install)


def java(line: str) -> list[str]:
    """Return the command that runs the peer written in Java.

    Args:
        line: the folder below `java/` that says what to install and what to compile.
    """
    for program in ("java", "javac"):
        _need(program, "a JDK, 17 or later: apt-get install default-jdk-headless")
    _need("mvn", "Maven: apt-get install maven")
    try:
        path = _class_path(_java_program(line))
    except kept.NotMade as exc:
        not_here(str(exc))
    # It lives for a few seconds: what takes long to start up or to compile does not pay.
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, "Peer"]


@kept.once
def _java_program(line: str) -> Path:
    """Return where the peer is, compiled, with what a folder below `java/` asks for."""
    pom, source = wanted = [HERE / "java" / line / name for name in ("pom.xml", "Peer.java")]

    def build(folder: Path) -> None:
        where = [f"-DoutputDirectory={folder / 'jars'}", "-DincludeScope=runtime"]
        kept.run(["mvn", "-q", "-B", "-f", str(pom), COPY_JARS, *where], folder)
        compiler = ["javac", "-encoding", "UTF-8", "-cp", _class_path(folder)]
        kept.run([*compiler, "-d", str(folder / "classes"), str(source)], folder)

    return kept.kept(kept.place_of(f"interop-java-{line}", wanted), build)


def _class_path(folder: Path) -> str:
    return f"{folder / 'classes'}:{folder / 'jars'}/*"


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
