"""`install()`: `import ldclient` means flagkeep, every module of it, once."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import flagkeep.ldclient
from flagkeep.config import StorePolicy
from flagkeep.errors import ConfigError
from tests.ldclient.programs import attempt, run

INSTALL: Final = "import flagkeep.ldclient; flagkeep.ldclient.install()\n"

SUBMODULES: Final = [
    "client",
    "config",
    "context",
    "evaluation",
    "feature_store",
    "feature_store_helpers",
    "versioned_data_kind",
    "hook",
    "plugin",
    "migrations",
    "migrations.types",
    "migrations.migrator",
    "migrations.tracker",
    "migrations.async_migrator",
    "integrations",
    "integrations.test_data",
    "integrations.test_datav2",
    "interfaces",
    "datasystem",
    "async_client",
    "async_config",
    "async_feature_store",
    "async_feature_store_helpers",
    "version",
    "redis_feature_store",
]


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_submodule_is_the_very_same_module(name: str) -> None:
    run(
        INSTALL
        + f"import importlib, sys, ldclient.{name} as imported\n"
        + f"assert imported is importlib.import_module('ldclient.{name}')\n"
        + f"assert imported is importlib.import_module('flagkeep.ldclient.{name}')\n"
        + f"assert importlib.util.find_spec('ldclient.{name}') is not None\n"
    )


def test_all_ways_of_importing_lead_to_the_same_objects() -> None:
    run(
        INSTALL
        + "import ldclient, ldclient.config as c\n"
        + "from ldclient import Config, Context, LDClient\n"
        + "from ldclient.config import Config as C\n"
        + "from ldclient.integrations import Redis, Files\n"
        + "from ldclient.interfaces import *\n"
        + "assert ldclient is flagkeep.ldclient\n"
        + "assert c.Config is C is Config is ldclient.Config is flagkeep.ldclient.Config\n"
        + "assert ldclient.integrations.Redis is Redis\n"
        + "from flagkeep.ldclient.context import Context as ours\n"
        + "assert isinstance(Context.create('a'), ours)\n"
    )


def test_installing_again_changes_nothing() -> None:
    run(
        INSTALL
        + "import ldclient, sys\n"
        + "before = dict(sys.modules), list(sys.meta_path)\n"
        + "flagkeep.ldclient.install(); ldclient.install()\n"
        + "assert before == (dict(sys.modules), list(sys.meta_path))\n"
    )


def test_it_wins_over_an_installed_official_sdk(tmp_path: Path) -> None:
    (tmp_path / "ldclient").mkdir()
    (tmp_path / "ldclient" / "__init__.py").write_text("official = True", encoding="utf-8")
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    run(path + INSTALL + "import ldclient; assert ldclient is flagkeep.ldclient\n")


def test_it_refuses_when_the_official_sdk_was_imported(tmp_path: Path) -> None:
    (tmp_path / "ldclient").mkdir()
    (tmp_path / "ldclient" / "__init__.py").write_text("official = True", encoding="utf-8")
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport ldclient\n"
    done = attempt(path + INSTALL)
    assert done.returncode != 0
    assert "RuntimeError" in done.stderr
    assert "two SDKs in one process would split its state" in done.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "import ldclient.impl",
        "import ldclient.impl.evaluator",
        "from ldclient.impl.util import log",
        "from ldclient import impl",
        "import importlib; importlib.import_module('ldclient.impl.model')",
    ],
)
def test_private_modules_of_the_official_sdk_say_that_they_are_private(statement: str) -> None:
    done = attempt(INSTALL + statement)
    assert "ImportError" in done.stderr
    assert "private to launchdarkly-server-sdk; flagkeep offers the public API" in done.stderr


def test_an_unknown_module_is_just_not_there() -> None:
    done = attempt(INSTALL + "import ldclient.nonsense")
    assert "ModuleNotFoundError" in done.stderr


def test_pickles_and_messages_name_ldclient() -> None:
    run(
        INSTALL
        + "import pickle, ldclient\n"
        + "from ldclient.interfaces import DataSourceState\n"
        + "from ldclient.evaluation import EvaluationDetail, FeatureFlagsState\n"
        + "context = ldclient.Context.create_multi(ldclient.Context.create('a'),"
        + " ldclient.Context.create('o', 'org'))\n"
        + "for thing in [context, DataSourceState.VALID, EvaluationDetail(1, 0, {}),"
        + " FeatureFlagsState(True), ldclient.Stage.LIVE]:\n"
        + "    text = pickle.dumps(thing)\n"
        + "    assert b'ldclient' in text and b'flagkeep' not in text, text\n"
        + "    assert type(pickle.loads(text)) is type(thing)\n"
        + "assert repr(ldclient.LDClient) == \"<class 'ldclient.client.LDClient'>\"\n"
        + "assert ldclient.set_config.__module__ == 'ldclient'\n"
    )


def test_a_pickle_from_before_still_loads_after() -> None:
    context = flagkeep.ldclient.Context.builder("k").set("x", [1]).private("x").build()
    text = pickle.dumps(context)
    assert b"flagkeep.ldclient" in text
    program = (
        INSTALL
        + "import sys, pickle\n"
        + "context = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        + "import ldclient\n"
        + "assert type(context) is ldclient.Context and context['x'] == [1]\n"
    )
    run(program, text.hex())


def test_an_application_module_that_imports_ldclient_at_its_top_runs_unchanged(
    tmp_path: Path,
) -> None:
    (tmp_path / "application.py").write_text(
        "import ldclient\n"
        "from ldclient.config import Config\n"
        "from ldclient.context import Context\n"
        "ldclient.set_config(Config('key', offline=True))\n"
        "def price(): return ldclient.get().variation('price', Context.create('u'), 10)\n",
        encoding="utf-8",
    )
    path = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    assert run(path + INSTALL + "import application; print(application.price())") == "10\n"


def test_the_store_policy_given_to_install_outranks_the_environment() -> None:
    run(
        "import os; os.environ['FLAGKEEP_MAX_AGE'] = '5'; os.environ['FLAGKEEP_PUSH'] = '0'\n"
        "import flagkeep, flagkeep.ldclient\n"
        "from flagkeep.ldclient._policy import current\n"
        "assert current() is None\n"
        "flagkeep.ldclient.install(store_policy=flagkeep.StorePolicy(max_age=7))\n"
        "flagkeep.ldclient.install()\n"
        "import ldclient\n"
        "client = ldclient.LDClient(ldclient.Config('k', offline=True))\n"
        "policy = client._assembly.policy\n"
        "assert (policy.max_age, policy.push) == (7, True)\n"
    )


def test_without_a_policy_the_environment_counts() -> None:
    run(
        "import os; os.environ['FLAGKEEP_MAX_AGE'] = '5'\n"
        + INSTALL
        + "import ldclient\n"
        + "client = ldclient.LDClient(ldclient.Config('k', offline=True))\n"
        + "assert client._assembly.policy.max_age == 5\n"
    )


def test_a_policy_must_be_one() -> None:
    with pytest.raises(ConfigError, match="store_policy must be a StorePolicy"):
        flagkeep.ldclient.install(store_policy={"push": False})  # type: ignore[arg-type]  # the test
    assert StorePolicy() == StorePolicy()


def test_importing_the_face_needs_neither_asyncio_nor_http() -> None:
    program = (
        "import sys, flagkeep.ldclient; flagkeep.ldclient.install()\n"
        "print(sorted({'asyncio', 'ssl', 'httpx2', 'sqlite3', 'urllib3'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
