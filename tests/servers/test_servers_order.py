"""What needs a server that is yet to be built comes last, however many processes run the tests."""

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tests.servers.kept import ROOT

# Processes come to hear different things of what is missing, as while it is being built.
CONFTEST = """
import os
import pytest
from tests.conftest import pytest_collection_modifyitems, pytest_configure_node
from tests.servers import prepare

if "PYTEST_XDIST_WORKER" in os.environ:
    prepare.missing = set
else:
    prepare.missing = lambda: set(os.environ["MISSING"].split())

@pytest.fixture
def consul_here():
    pass

@pytest.fixture(autouse=True)
def written(request):
    with open("order-" + os.environ.get("PYTEST_XDIST_WORKER", ""), "a") as order:
        order.write(("late" if "consul_here" in request.fixturenames else "early") + "\\n")
"""
TESTS = """
import pytest

@pytest.mark.usefixtures("consul_here")
@pytest.mark.parametrize("number", range(20))
def test_a(number):
    pass

@pytest.mark.parametrize("number", range(20))
def test_b(number):
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("missing", ["consul", ""])
def test_what_needs_a_server_that_is_being_built_comes_last(
    processes: int, missing: str, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-n", str(processes)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        [*command, "test_it.py"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "MISSING": missing},
    )
    assert done.returncode == 0, done.stdout
    orders = [path.read_text().split() for path in tmp_path.glob("order-*")]
    assert len(orders) == max(1, processes)
    assert sorted(chain.from_iterable(orders)) == ["early"] * 20 + ["late"] * 20
    assert all(order == sorted(order) for order in orders) is bool(missing)
