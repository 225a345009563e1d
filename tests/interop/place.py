"""Where in Redis an environment is, and a look at what is really there."""

import json
from typing import Any, NamedTuple

from flagkeep.model.item import Kind
from tests.interop.items import LAST, Json

PREFIX = "größe:interop"


class Place(NamedTuple):
    """One environment in one database.

    Attributes:
        raw: a plain `redis.Redis`.
    """

    url: str
    raw: Any
    prefix: str = PREFIX

    @property
    def marker(self) -> str:
        """The key of the marker."""
        return f"{self.prefix}:$inited"

    def hash(self, kind: Kind) -> str:
        """Return the key of the hash with the items of one kind."""
        return f"{self.prefix}:{'features' if kind is Kind.FLAG else 'segments'}"

    def is_written(self) -> bool:
        """Return whether the last item of a data set is there."""
        return bool(self.raw.hexists(self.hash(Kind.FLAG), LAST))

    def text(self, kind: Kind, key: str) -> bytes | None:
        """Return what is stored of one item."""
        found: bytes | None = self.raw.hget(self.hash(kind), key)
        return found

    def items(self, kind: Kind) -> dict[str, Json]:
        """Return everything of one kind, decoded."""
        stored = self.raw.hgetall(self.hash(kind)).items()
        return {key.decode(): json.loads(text) for key, text in stored}
