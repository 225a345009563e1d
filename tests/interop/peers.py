"""SDKs in other languages, each a program that writes a store or says what it reads there."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryFile
from typing import IO, Any, Final, NamedTuple

import pytest

from benchmarks import interpreters
from tests.interop import packages
from tests.interop.contexts import as_user
from tests.interop.dataset import EVERYTHING, OF_USERS, DataSet
from tests.interop.items import Json
from tests.interop.place import Place
from tests.interop.waiting import PATIENCE, until

NODE: Final = "@launchdarkly/node-server-sdk"
NODE_LEGACY: Final = "launchdarkly-node-server-sdk"
Command = Callable[[], list[str]]
Detail = list[Any]  # value, index, reason


class Seen(NamedTuple):
    """What a reader says: every flag for the first context, and every flag in detail for each."""

    all_flags: Json | None
    details: list[dict[str, Detail]]


class Peer(NamedTuple):
    """A program of another SDK.

    Attributes:
        name: what the table of differences calls it.
        commands: by database, what returns the command that runs it, up to `write` or `evaluate`.
        data: what it can do.
        form: how it wants a context.
    """

    name: str
    commands: Mapping[str, Command]
    data: DataSet = EVERYTHING
    form: Callable[[Json], Json] = dict

    @contextmanager
    def writing(self, place: Place, stream: str) -> Iterator[None]:
        """Let it fill the store from a stream for the time of the block.

        Args:
            place: of the store.
            stream: the address of a service.
        """
        with self._writer(place, stream, patience=30) as (process, is_ready):
            assert is_ready, "it did not start"
            yield
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(PATIENCE) == 0

    def fail_to_write(self, place: Place, stream: str, complaint: str) -> None:
        """Let it try to fill the store, until it has complained.

        Args:
            place: of the store.
            stream: the address of a service.
            complaint: a part of what it logs about it.
        """
        with TemporaryFile("w+", encoding="utf-8") as logged:

            def has_complained() -> bool:
                logged.seek(0)
                return complaint in logged.read()

            with self._writer(place, stream, patience=0, log=logged):
                until(has_complained)

    @contextmanager
    def _writer(
        self, place: Place, stream: str, *, patience: int, log: IO[str] | None = None
    ) -> Iterator[tuple[subprocess.Popen[str], bool]]:
        """Run it until the block ends; yields also whether it is ready."""
        process = subprocess.Popen(
            [*self.commands[place.database](), "write"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env=interpreters.clean_environment(),
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                asked = {**place.asked(), "stream": stream, "patience": patience}
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
                yield process, json.loads(process.stdout.readline())
            finally:
                process.kill()

    def evaluate(self, place: Place, data: DataSet) -> Seen:
        """Let it evaluate flags from the store, as a program that does nothing else with it."""
        contexts = [self.form(context) for context in data.contexts]
        asked = {**place.asked(), "keys": data.keys, "contexts": contexts}
        done = subprocess.run(
            [*self.commands[place.database](), "evaluate"],
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


def _node(line: str, *names: str) -> Command:
    return partial(packages.node, line, *names)


PEERS: Final = (
    Peer("python", dict.fromkeys(("redis", "dynamodb", "consul"), packages.python)),
    Peer("go", dict.fromkeys(("redis", "dynamodb", "consul"), packages.go)),
    Peer("node", {"redis": _node("current", NODE, f"{NODE}-redis")}),
    Peer(
        "node-legacy",
        {
            "redis": _node("legacy", NODE_LEGACY, f"{NODE_LEGACY}-redis"),
            "dynamodb": _node("databases", NODE_LEGACY, f"{NODE_LEGACY}-dynamodb"),
            # The SDK under the name by which the store, of before it was renamed, asks for it.
            "consul": _node("databases", "ldclient-node", "ldclient-node-consul-store"),
        },
    ),
    Peer("java", {"redis": partial(packages.java, "sdk7")}),
    # These know users only.
    Peer("java-5", {"redis": partial(packages.java, "sdk5")}, OF_USERS, as_user),
)


class Pair(NamedTuple):
    """A database, and who uses it with us."""

    database: str
    peer: Peer

    def __str__(self) -> str:
        return f"{self.database}-{self.peer.name}"


PAIRS: Final = [Pair(database, peer) for peer in PEERS for database in peer.commands]


def of_pairs(pairs: Iterable[Pair] = PAIRS) -> pytest.MarkDecorator:
    """Run a test, which has a `place`, with each of these pairs."""
    given = [pytest.param(*pair, id=str(pair)) for pair in pairs]
    return pytest.mark.parametrize(("database", "peer"), given, indirect=["database"])
