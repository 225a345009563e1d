"""What one evaluation reads from: memory, or single items of the store."""

from flagkeep._sync.item_cache import ItemCache
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.item import ItemRef, Kind, SerializedItem


class ItemReading:
    """Reads what is fresh, and asks the cache for what is not.

    What an evaluation has asked for it keeps until its end, however short the cache's time is; so
    an evaluation asks for each item once, and sees one state of it.

    Attributes:
        catalog: what to evaluate with.
    """

    def __init__(self, cache: ItemCache) -> None:
        self._cache = cache
        self._flags: dict[str, SerializedItem] = {}
        self._segments: dict[str, SerializedItem] = {}
        self._absent: set[ItemRef] = set()
        self.catalog: Catalog = cache.catalog

    def begin(self, key: str, deadline: float) -> None:
        """Read the flag itself at once, where nothing is ever fresh."""
        if not self._cache.caches:
            self.fetch((ItemRef(Kind.FLAG, key),), deadline)

    def fetch(self, refs: tuple[ItemRef, ...], deadline: float) -> None:
        """Bring in what an evaluation lacked.

        Raises:
            StoreError: it cannot be had.
        """
        for ref, item in (self._cache.load(refs, deadline)).items():
            if item is None:
                self._absent.add(ref)
            elif ref.kind is Kind.FLAG:
                self._flags[ref.key] = item
            else:
                self._segments[ref.key] = item
        self.catalog = Catalog(self._flags, self._segments, complete=False, absent=self._absent)
        self._cache.adopt(self.catalog)
