"""How a store in Consul finds out whether other SDKs may delete its environment, or it others'."""

import logging
from typing import Final

from flagkeep._async.stores.consul_requests import AsyncConsulRequests
from flagkeep.errors import StoreError
from flagkeep.storage import consul_answers as answers
from flagkeep.storage.consul_layout import escaped
from flagkeep.storage.consul_neighbours import complaints, markers_above

log: Final = logging.getLogger("flagkeep.stores.consul")


class AsyncConsulNeighbours:
    """Looks once at what lies beside an environment. Any number of calls may run at a time.

    Args:
        requests: to the server.
    """

    def __init__(self, requests: AsyncConsulRequests) -> None:
        self._requests = requests
        self._settings = requests.settings
        self._has_looked = False

    async def look(self, operation: str) -> None:
        """Warn of what is in the way; a token that may not see it, or any trouble, is no error."""
        if self._has_looked:
            return
        self._has_looked = True
        try:
            said = complaints(
                self._settings.names, await self._above(operation), await self._beside(operation)
            )
        except StoreError as exc:
            log.debug("%s: its neighbours cannot be seen: %s", self._settings.label, exc)
            return
        for complaint in said:
            log.warning("%s: %s", self._settings.label, complaint)

    async def _above(self, operation: str) -> list[str]:
        """Return the prefixes of other environments that ours begins with."""
        markers = markers_above(self._settings.names)
        if not markers:
            return []
        ends = self._requests.ends(None, self._settings.timeout)
        url = self._settings.url("txn")
        found = await self._requests.pairs(operation, list(markers), ends, url)
        return [markers[key] for key, pair in found.items() if pair.text is not None]

    async def _beside(self, operation: str) -> list[str]:
        """Return what begins with our prefix, each folder as one."""
        found: list[str] = []
        prefix = self._settings.names.prefix
        for start in (prefix, f"{prefix}/"):
            ends = self._requests.ends(None, self._settings.timeout)
            url = self._settings.url(f"kv/{escaped(start)}", "keys", "separator=/")
            found += await self._requests.below(operation, url, ends, answers.keys)
        return found
