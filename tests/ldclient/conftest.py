"""Nothing here reaches LaunchDarkly, whatever a test forgets: its requests go to a dead proxy."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_launchdarkly() -> Iterator[None]:
    """Send what would leave this machine to a port where nobody listens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("https_proxy", "http://127.0.0.1:9")
        yield
