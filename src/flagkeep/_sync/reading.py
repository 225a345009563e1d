"""What one evaluation reads from: memory, or, with the cache off, the store itself."""

from flagkeep._sync.environment import Environment
from flagkeep._sync.store_reader import StoreReader
from flagkeep.errors import StoreError
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import ItemRef


class Reading:
    """Reads memory, and brings into memory what is missing there."""

    def __init__(self, environment: Environment, reader: StoreReader | None) -> None:
        self._environment = environment
        self._reader = reader

    @property
    def catalog(self) -> Catalog:
        """What to evaluate with."""
        return self._environment.catalog

    def fetch(self, refs: tuple[ItemRef, ...], deadline: float) -> None:
        """Bring in what an evaluation lacked.

        Raises:
            StoreError: it cannot be had.
        """
        if self._reader is None:
            return
        found = self._reader.fetch(refs, deadline)
        self._environment.learn(found, refs)
        self._reader.hurry()


class ReadThrough(Reading):
    """Reads the store for each evaluation; memory answers only when the store does not."""

    def __init__(self, environment: Environment, reader: StoreReader | None) -> None:
        super().__init__(environment, reader)
        self._fresh = Catalog({}, {}, complete=False)

    @property
    def catalog(self) -> Catalog:
        """What to evaluate with: what this evaluation has read so far."""
        return self._fresh

    def fetch(self, refs: tuple[ItemRef, ...], deadline: float) -> None:
        """Read what an evaluation lacked, or take the last known good of it.

        Raises:
            StoreError: the store does not answer and nothing is known.
        """
        if self._reader is None:
            return
        found: ChangeSet | None
        try:
            found = self._reader.fetch(refs, deadline)
            self._environment.learn(found, refs)
        except StoreError:
            found = self._last_known_good(refs)
            if found is None:
                raise
        items = dict(found.items())
        self._fresh = Catalog(
            {**self._fresh.flag_items, **found.flags},
            {**self._fresh.segment_items, **found.segments},
            complete=False,
            absent=self._fresh.absent | {ref for ref in refs if ref not in items},
        )

    def _last_known_good(self, refs: tuple[ItemRef, ...]) -> ChangeSet | None:
        """Return `refs` from memory; None if memory knows nothing of one of them."""
        memory = self._environment.catalog
        if not all(memory.knows(ref) for ref in refs):
            return None
        known = {ref: self._environment.data.item(ref) for ref in refs}
        return ChangeSet.partial({ref: item for ref, item in known.items() if item is not None})
