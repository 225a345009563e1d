"""SDKs in other languages, each a program that writes a store or says what it reads there."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from benchmarks import interpreters
from tests.interop import packages
from tests.interop.contexts import as_user
from tests.interop.dataset import DataSet
from tests.interop.items import Json
from tests.interop.place import Place

PATIENCE: Final = 60.0
Detail = list[Any]  # value, index, reason


class Seen(NamedTuple):
    """What a reader says: every flag for the first context, and every flag in detail for each."""

    all_flags: Json | None
    details: list[dict[str, Detail]]


class Peer(NamedTuple):
    """A program of another SDK.

    Attributes:
        name: what the table of differences calls it.
        command: returns the command that runs it, up to `write` or `evaluate`.
        form: how it wants a context.
    """

    name: str
    command: Callable[[], list[str]]
    form: Callable[[Json], Json] = dict

    @contextmanager
    def writing(self, place: Place, stream: str) -> Iterator[None]:
        """Let it fill the store from a stream for the time of the block."""
        process = subprocess.Popen(
            [*self.command(), "write"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=interpreters.clean_environment(),
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                asked = {"url": place.url, "prefix": place.prefix, "stream": stream}
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
                assert process.stdout.readline() == "true\n", "it did not start"
                yield
                process.stdin.close()
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()

    def evaluate(self, place: Place, data: DataSet) -> Seen:
        """Let it evaluate flags from the store, as a program that does nothing else with it."""
        contexts = [self.form(context) for context in data.contexts]
        asked = {"url": place.url, "prefix": place.prefix, "keys": data.keys, "contexts": contexts}
        done = subprocess.run(
            [*self.command(), "evaluate"],
            check=False,
            input=json.dumps(asked) + "\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=interpreters.clean_environment(),
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        # Not splitlines: a text may hold other separators than "\n".
        all_flags, *details = [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]
        return Seen(all_flags, [dict(zip(data.keys, one, strict=True)) for one in details])


PEERS: Final = (
    Peer("python", packages.python),
    Peer(
        "node",
        lambda: packages.node(
            "current", "@launchdarkly/node-server-sdk", "@launchdarkly/node-server-sdk-redis"
        ),
    ),
    Peer(
        "node-legacy",
        lambda: packages.node(
            "legacy", "launchdarkly-node-server-sdk", "launchdarkly-node-server-sdk-redis"
        ),
    ),
    Peer("java", lambda: packages.java("sdk7")),
)
# They know users only.
OLDER: Final = (Peer("java-5", lambda: packages.java("sdk5"), as_user),)
