"""What the documentation says of these tests: which SDKs they run, and in which versions."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.peers import PAIRS
from tests.interop.styles import STYLES

pytestmark = pytest.mark.extras  # nothing of it depends on the Python

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/interoperation.md"
DATABASES = ("redis", "dynamodb", "consul")
# By peer: how the page names its SDK, what pins it, and where in it.
NPM = r'node-server-sdk": "(.+?)"'
MAVEN = r"<artifactId>launchdarkly-java-server-sdk</artifactId>\s*<version>(.+?)</version>"
PINNED = {
    "python": ("Python", "benchmarks/interpreters.py", r"launchdarkly-server-sdk==([\d.]+)"),
    "go": ("Go", "tests/interop/go/go.mod", r"/go-server-sdk/v7 v(\S+)"),
    "node": ("Node", "tests/interop/node/current/package.json", NPM),
    "node-legacy": ("Node", "tests/interop/node/legacy/package.json", NPM),
    "java": ("Java", "tests/interop/java/sdk7/pom.xml", MAVEN),
    "java-5": ("Java", "tests/interop/java/sdk5/pom.xml", MAVEN),
}


def rows(title: str) -> Iterator[list[str]]:
    """Yield the rows of the first table below a heading, without links."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    for line in re.findall(r"^\| (.+) \|$", section, re.MULTILINE)[1:]:
        yield re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line).split(" | ")


def said(peer: str, title: str) -> list[list[str]]:
    """Return the rows of a table about an SDK in the version that the tests run."""
    name, file, pattern = PINNED[peer]
    (version,) = re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"))
    start = re.compile(re.escape(f"{name} {version}") + r"(?![.\d])")
    return [row for row in rows(title) if start.match(row[0])]


@pytest.mark.parametrize("peer", PINNED)
def test_the_table_says_which_pairs_are_run(peer: str) -> None:
    ((_, *cells),) = said(peer, "Who can do what")
    run = {pair.database for pair in PAIRS if pair.peer.name == peer}
    assert [cell.endswith("**t**") for cell in cells] == [one in run for one in DATABASES]


def test_nobody_else_is_said_to_be_run() -> None:
    assert sum(cell.endswith("**t**") for row in rows("Who can do what") for cell in row) == len(
        PAIRS
    )


def test_who_is_imitated_is_one_of_those_whose_texts_are_here() -> None:
    imitated = [row[0].split()[0] for row in rows("Who can do what") if "**i**" in "".join(row)]
    assert len(imitated) == 2
    assert {*imitated} <= STYLES.keys()


@pytest.mark.parametrize("peer", PINNED)
def test_every_version_has_a_row_among_the_tests(peer: str) -> None:
    assert len(said(peer, "What is tested")) == 1


def test_every_peer_is_here() -> None:
    assert {pair.peer.name for pair in PAIRS} == PINNED.keys()


@pytest.mark.parametrize("database", ["DynamoDB", "Consul"])
def test_what_is_too_large_is_said_to_be_named_in_the_status(database: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    section = page.split(f"\n### {database}\n")[1].split("\n## ")[0].split("\n### ")[0]
    assert "[`status.store.unstored`](status.md#storestatus)" in section
