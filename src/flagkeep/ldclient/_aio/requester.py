"""A `feature_requester_class` of the application as a source of the core for asyncio."""

import logging

from flagkeep._async.interfaces import AsyncDataSink
from flagkeep._runtime import aio as runtime
from flagkeep.ldclient._core_settings import AnyConfig
from flagkeep.ldclient._requester import RequesterBase, problem_of, received
from flagkeep.model.status import SourceState

log = logging.getLogger("ldclient.util")


class AsyncRequesterSource(RequesterBase):
    """Asks for everything again and again, in a task of the client."""

    def __init__(self, config: AnyConfig) -> None:
        super().__init__(config)
        self._stopped = runtime.Event()

    def async_source(self) -> "AsyncRequesterSource":
        """Return one for one client."""
        return AsyncRequesterSource(self._config)

    async def run(self, sink: AsyncDataSink) -> None:
        """Deliver to `sink` until `stop` is called."""
        requester = None
        while not self._stopped.is_set():
            try:
                requester = self._make() if requester is None else requester
                data = await runtime.call_stage(requester.get_all_data)
                await sink.apply(received(data))
            except Exception as exc:  # noqa: BLE001  foreign code
                await sink.report(SourceState.INTERRUPTED, problem_of(exc))
            await self._stopped.wait(self._interval)
        if requester is not None and hasattr(requester, "close"):
            try:
                await runtime.call_stage(requester.close)
            except Exception:
                log.exception("the feature requester could not be closed")

    def stop(self) -> None:
        """End `run` soon."""
        self._stopped.set()
