"""What tests of the runtime share."""

from collections.abc import Iterator

import pytest

from tests.runtime.http_colours import Maker, makers


@pytest.fixture(params=["threads", "asyncio"])
def new_http(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maker]:
    """HTTP from keyword settings, in both colours; the environment names no proxy."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with makers(request.param) as make:
        yield make
