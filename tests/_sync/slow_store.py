"""A store in memory that counts what it is asked, waits when told to, and fails when told to."""

from collections.abc import Iterable

from flagkeep._sync.stores.memory import MemoryStore
from flagkeep._runtime import threads as runtime
from flagkeep.errors import StoreUnavailable
from flagkeep.model.item import ItemRef, SerializedItem
from flagkeep.storage.contents import StoreContents


class SlowStore(MemoryStore):
    """Its answers are those of the moment when it was asked, however late they come.

    Attributes:
        reads: the keys of each read of items, in the order in which they began.
        full_reads: how often everything was read.
        probes: how often it was asked for its marker.
        gate: reads of items wait until it is open.
        is_down: whether everything fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[str, ...]] = []
        self.full_reads = 0
        self.probes = 0
        self.gate = runtime.Event()
        self.gate.set()
        self.is_down = False

    def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        refs = tuple(wanted)
        self.reads.append(tuple(ref.key for ref in refs))
        self._check("get_many")
        found = super().get_many(refs)
        if not self.gate.wait(timeout):
            raise StoreUnavailable(self.name, "get_many", "no answer")
        self._check("get_many")
        return found

    def get_all(self, *, timeout: float | None = None) -> StoreContents:
        self.full_reads += 1
        self._check("get_all")
        contents = super().get_all()
        if not self.gate.wait(timeout):
            raise StoreUnavailable(self.name, "get_all", "no answer")
        return contents

    def is_initialized(self, *, timeout: float | None = None) -> bool:  # noqa: ARG002
        self.probes += 1
        self._check("is_initialized")
        return super().is_initialized()

    @property
    def has_data(self) -> bool:
        """Whether a full set was written, without asking."""
        return self._contents.initialized

    def forget(self, *keys: str) -> None:
        """Lose flags without a tombstone, as an eviction does."""
        for key in keys:
            self._contents.flags.pop(key)

    def lose_everything(self) -> None:
        """Be as empty as a server that was started anew."""
        self._contents = StoreContents(initialized=False, flags={}, segments={})

    def count(self, key: str) -> int:
        """Return how often a flag was read by itself or with others."""
        return sum(key in keys for keys in self.reads)

    def _check(self, operation: str) -> None:
        if self.is_down:
            raise StoreUnavailable(self.name, operation, "it is down")
