"""The public API as data: every module, name, parameter, order and default of the official SDK.

`api.json` holds facts about launchdarkly-server-sdk 9.18.2, in the form that `peer/describe.py`
finds out; `test_peer.py` compares it with the real one.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.ldclient.programs import run

HERE: Final = Path(__file__).parent
API: Final[dict[str, dict[str, Any]]] = json.loads((HERE / "api.json").read_text("utf-8"))

DESCRIBE: Final = """
import sys
sys.path.insert(0, sys.argv[1])
import flagkeep.ldclient
flagkeep.ldclient.install()
import json
from describe import describe
json.dump(describe(json.load(sys.stdin)), sys.stdout)
"""

# Where ours says something else, on purpose: (module, class, member) -> what it says.
DIFFERENCES: Final = {
    # Configurations of version 6 have no SDK key; it is missed with a DeprecationWarning.
    ("ldclient.config", "Config", "__init__"): ("(sdk_key, ", "(sdk_key='', "),
    ("ldclient.async_config", "AsyncConfig", "__init__"): ("(sdk_key, ", "(sdk_key='', "),
    # Made for their own class; there is no telling whose result it would be.
    ("ldclient.migrations.types", "OperationResult", "success"): ("static ", "class "),
    ("ldclient.migrations.types", "OperationResult", "fail"): ("static ", "class "),
    # As the interface has it.
    ("ldclient.feature_store", "InMemoryFeatureStore", "all"): ("callback)", "callback=...)"),
    # Its caller passes a kind; the official name is a slip.
    ("ldclient.interfaces", "FeatureStoreCore", "get_all_internal"): ("callback", "kind"),
}


@pytest.fixture(scope="module")
def ours() -> dict[str, dict[str, Any]]:
    described: dict[str, dict[str, Any]] = json.loads(
        run(DESCRIBE, str(HERE / "peer"), given=json.dumps(API))
    )
    return described


@pytest.mark.parametrize("module", API)
def test_every_name_is_there_with_its_parameters(
    ours: dict[str, dict[str, Any]], module: str
) -> None:
    expected: dict[str, Any] = json.loads(json.dumps(API[module]))
    for (changed, owner, member), (official, own) in DIFFERENCES.items():
        if changed == module:
            assert official in expected[owner][member]
            expected[owner][member] = expected[owner][member].replace(official, own)
    assert ours[module] == expected


def test_config_takes_34_settings_by_position() -> None:
    (names,) = [API["ldclient.config"]["Config"]["__init__"]]
    assert names.count(",") == 33
    assert "*" not in names


def test_a_star_import_gives_what_the_official_one_gives() -> None:
    names = "import flagkeep.ldclient; flagkeep.ldclient.install()\nfrom ldclient import *\n"
    found = run(names + "print(*sorted(set(dir()) - {'flagkeep'}))").split()
    assert [name for name in found if not name.startswith("__")] == [
        "Config",
        "Context",
        "ContextBuilder",
        "ContextMultiBuilder",
        "LDClient",
        "client",
        "context",
        "evaluation",
        "integrations",
        "interfaces",
        "migrations",
    ]
