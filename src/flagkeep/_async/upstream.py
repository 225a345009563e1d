"""How one client reaches its upstream: who asks, over which connections, and what came of it."""

from flagkeep._async.interfaces import AsyncDataSource
from flagkeep._async.upstream_news import UpstreamNews
from flagkeep._runtime import aio as runtime
from flagkeep._runtime import fork, process
from flagkeep._runtime.http_aio import AsyncHttp
from flagkeep.config import Config, Polling, Streaming
from flagkeep.protocol.http import Requester, user_agent


class AsyncUpstream:
    """The upstream of one client.

    Attributes:
        http: its connections, shared by source and events.
        news: what the upstream said of itself, and how connecting to it went.
        requester: who asks; the child of a fork is somebody else.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.http = AsyncHttp(config.http)
        self.news = UpstreamNews()
        self.requester = self._new_requester()
        fork.watch(self, fork.Rank.STORE)

    def _new_requester(self) -> Requester:
        return Requester(
            sdk_key=self._config.sdk_key,
            user_agent=user_agent(is_async=runtime.IS_ASYNC),
            instance_id=process.new_uuid(),
            application=self._config.application,
            wrapper=self._config.wrapper,
        )

    def after_fork(self) -> None:
        """In a child: be somebody else, with connections of its own."""
        self.requester = self._new_requester()
        self.http.after_fork()

    def source(self, settings: Streaming | Polling) -> AsyncDataSource:
        """Return a new source of this upstream."""
        # here, so that who does not connect need not load it
        if isinstance(settings, Polling):
            from flagkeep._async.polling import AsyncPollingSource  # noqa: PLC0415

            return AsyncPollingSource(
                settings,
                filter=self._config.payload_filter,
                http=self.http,
                requester=self.requester,
                told=self.news,
            )
        from flagkeep._async.streaming import AsyncStreamingSource  # noqa: PLC0415

        return AsyncStreamingSource(
            settings,
            filter=self._config.payload_filter,
            http=self.http,
            requester=self.requester,
            told=self.news,
        )
