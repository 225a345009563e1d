"""The documentation is complete where that can be said, and what it shows runs."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import flagkeep
from flagkeep import (
    Application,
    BigSegmentSettings,
    CachePolicy,
    ClientStatus,
    Config,
    EventSettings,
    FileSource,
    HttpSettings,
    Polling,
    SourceStatus,
    StorePolicy,
    Streaming,
    Wrapper,
)
from flagkeep._runtime.consul_errors import rules
from flagkeep._runtime.dynamodb_errors import translated
from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep._runtime.redis_errors import refusal
from flagkeep.config import RedisTLS
from flagkeep.errors import ConfigError
from flagkeep.events.losses import Loss
from flagkeep.model.detail import BigSegmentsStatus, ErrorKind, ReasonKind
from flagkeep.model.status import SourceError, SourceErrorKind, StoreStatus
from flagkeep.storage.consul_layout import Names
from flagkeep.stores import ConsulStore, DynamoDBStore, RedisStore, SQLiteStore
from tests.servers.certificates import write_certificates

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
PAGES_WITH_CODE = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
REDIS_URL = "redis://localhost:6379/0"  # in examples; the test puts its own server's there
PAGES_WITH_REDIS = [page for page in PAGES_WITH_CODE if REDIS_URL in page.read_text("utf-8")]
PAGES_WITHOUT = [page for page in PAGES_WITH_CODE if page not in PAGES_WITH_REDIS]
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def headings(name: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", text_of(name), re.MULTILINE)


SETTINGS = (
    Config, Streaming, Polling, FileSource, HttpSettings, EventSettings, BigSegmentSettings,
    Application, Wrapper, CachePolicy, StorePolicy, RedisTLS,
)  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_every_setting_has_a_heading_in_its_section(settings: Any) -> None:
    section = text_of("configuration.md").split(f"\n## {settings.__name__}\n")[1].split("\n## ")[0]
    described = re.findall(r"^### (\w+)$", section, re.MULTILINE)
    is_struct = issubclass(settings, msgspec.Struct)
    names = settings.__struct_fields__ if is_struct else settings.__slots__
    assert sorted(described) == sorted(names)


def test_every_default_is_described() -> None:
    text = text_of("configuration.md")
    for settings in (Streaming, Polling, HttpSettings, EventSettings, BigSegmentSettings):
        section = text.split(f"\n## {settings.__name__}\n")[1].split("\n## ")[0]
        for name, default in msgspec.structs.asdict(settings()).items():
            said = section.split(f"\n### {name}\n\n")[1].split("\n")[0]
            shown = f"{default:,g}" if isinstance(default, float) else str(default)
            forms = {f"Default {shown}", f"Default `{shown}`", f"Default {default}"}
            if type(default) is int:
                forms.add(f"Default {default:,}")
            assert said.startswith(tuple(forms)), name


@pytest.mark.parametrize("kind", list(SourceErrorKind))
def test_every_kind_of_error_is_described(kind: str) -> None:
    assert f"`{kind}`" in text_of("status.md").split("\n## SourceError\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("reason", list(Loss))
def test_every_reason_of_a_loss_has_a_row(reason: str) -> None:
    section = text_of("events.md").split("\n## What is lost, and how you know\n")[1]
    assert f"\n| `{reason}` |" in section.split("\n## ")[0]


@pytest.mark.parametrize("status", list(BigSegmentsStatus))
def test_every_status_of_big_segments_has_a_row(status: str) -> None:
    assert f"\n| `{status}` |" in text_of("big-segments.md")


@pytest.mark.parametrize("setting", StorePolicy.__struct_fields__)
def test_every_environment_variable_has_a_heading_and_is_read(setting: str) -> None:
    variable = f"FLAGKEEP_{setting.upper()}"
    assert variable in headings("configuration.md")
    with pytest.raises(ConfigError, match=variable):
        StorePolicy.from_environment({variable: "?"})


def test_every_variable_in_the_documentation_exists() -> None:
    named = set(re.findall(r"FLAGKEEP_[A-Z_]*[A-Z]", text_of("configuration.md")))
    assert named == {f"FLAGKEEP_{field.upper()}" for field in StorePolicy.__struct_fields__}


@pytest.mark.parametrize("store", [SQLiteStore, RedisStore, DynamoDBStore, ConsulStore])
def test_every_argument_of_a_store_is_described(store: type) -> None:
    section = text_of("stores.md").split(f"\n## {store.__name__} and ")[1].split("\n## ")[0]
    described = re.findall(r"^([\w, ]+)\n: ", section, re.MULTILINE)
    arguments = [name for name in inspect.signature(store).parameters if name != "self"]
    assert ", ".join(described).split(", ") == arguments


def test_the_rights_that_a_user_of_redis_needs_are_those_of_the_error() -> None:
    reason = refusal(Exception("NOPERM no"), "redis", "get_many").reason
    needed = re.findall(r"[~+-][\w@|:*]+", reason.replace("~P:", "~launchdarkly:"))
    table = text_of("stores.md").split("\nreaders ")[1].split("```")[0]
    assert re.findall(r"[~+-][\w@|:*]+", table) == needed


def section_of(store: type) -> str:
    return text_of("stores.md").split(f"\n## {store.__name__} and ")[1].split("\n## ")[0]


class ClientError(Exception):
    """Looks as boto3's error of that name."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code, "Message": ""}}


@pytest.mark.extras
def test_the_rights_that_credentials_need_are_those_of_the_error() -> None:
    denied = translated(ClientError("AccessDeniedException"), Settings("flags"), "get_many", None)
    readers, writers = denied.reason.split(", whoever writes ")
    row = re.compile(r"^\| (?:readers|writers, too) \| (.*) \|$", re.MULTILINE)
    shown = [re.findall(r"dynamodb:(\w+)", one) for one in row.findall(section_of(DynamoDBStore))]
    named = re.compile(r"\b[A-Z][a-z]+\w*Item|Query")
    assert shown == [named.findall(readers), named.findall(writers)]
    assert [len(one) for one in shown] == [3, 4]


@pytest.mark.extras
def test_the_command_that_makes_the_table_is_that_of_the_error() -> None:
    shown = section_of(DynamoDBStore).split("```sh\n")[1].split("```")[0]
    command = Settings("flags", region="eu-west-1").creation()
    assert " ".join(shown.replace("\\\n", " ").split()) == command


def test_the_rules_that_a_token_needs_are_those_of_the_error() -> None:
    shown = section_of(ConsulStore).split("```hcl\n")[1].split("```")[0]
    needed = re.findall(r"key_prefix .*? }", rules(Names("launchdarkly")))
    assert len(needed) == 2
    assert shown.splitlines() == needed


@pytest.mark.parametrize("name", flagkeep.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", page.read_text(encoding="utf-8")) for page in PAGES[1:])


@pytest.mark.parametrize("status", [ClientStatus, SourceStatus, SourceError, StoreStatus])
def test_every_field_of_the_status_has_a_row(status: type[msgspec.Struct]) -> None:
    section = text_of("status.md").split(f"\n## {status.__name__}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(status.__struct_fields__)


@pytest.mark.parametrize("kinds", [ReasonKind, ErrorKind])
def test_every_reason_has_a_row(kinds: type[ReasonKind] | type[ErrorKind]) -> None:
    section = text_of("evaluation.md").split(f"\n### {kinds.__name__}\n")[1].split("\n##")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(kinds)


def test_every_logger_is_documented_and_exists() -> None:
    named = set(re.findall(r"^\| `(flagkeep\.[\w.]+)` \|", text_of("status.md"), re.MULTILINE))
    sources = [
        *(ROOT / "src" / "flagkeep" / "_async").rglob("*.py"),
        *(ROOT / "src" / "flagkeep" / "_runtime").rglob("*.py"),
        *(ROOT / "src" / "flagkeep" / "model").rglob("*.py"),
        *(ROOT / "src" / "flagkeep" / "config").rglob("*.py"),
        *(ROOT / "src" / "flagkeep" / "events").rglob("*.py"),
    ]
    used = {
        name
        for source in sources
        for name in re.findall(r'getLogger\("([^"]+)"\)', source.read_text(encoding="utf-8"))
    }
    assert named == used


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_index_leads_to_every_page(page: Path) -> None:
    assert page.name == "index.md" or f"]({page.name})" in text_of("index.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        found = page.parent / target if target else page
        assert found.exists(), target
        if anchor:
            assert anchor.removeprefix("#") in anchors(found), target + anchor


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_WITHOUT, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    run_code(page, tmp_path)


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.parametrize("page", PAGES_WITH_REDIS, ids=lambda page: page.name)
def test_the_code_of_a_page_with_redis_runs(page: Path, tmp_path: Path, redis_url: str) -> None:
    write_certificates(tmp_path)
    run_code(page, tmp_path, f"{REDIS_URL}={redis_url}")


def run_code(page: Path, folder: Path, *arguments: str) -> None:
    example = re.search(r"^```json\n(.*?)^```$", text_of("quickstart.md"), re.DOTALL | re.MULTILINE)
    assert example
    (folder / "flags.json").write_text(example.group(1), encoding="utf-8")
    program = str(Path(__file__).with_name("run_blocks.py"))
    shown = subprocess.run(
        [sys.executable, "-W", "error", program, str(page), *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert shown.returncode == 0, shown.stderr
