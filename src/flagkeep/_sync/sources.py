"""From settings to what makes the live source they describe."""

from functools import partial
from typing import TYPE_CHECKING

from flagkeep._sync.data_system import MakeSource
from flagkeep.config import Config, FileSource, Polling, Streaming
from flagkeep.errors import ConfigError

if TYPE_CHECKING:  # who only reads a store starts faster without it
    from flagkeep._sync.upstream import Upstream


def maker_of_source(config: Config, upstream: "Upstream | None") -> MakeSource | None:
    """Return what makes the source that the settings describe; None: there is none.

    Raises:
        ConfigError: it is for clients of the other colour.
    """
    if config.offline or config.daemon:
        return None
    source = config.source or Streaming()
    if isinstance(source, Streaming | Polling):
        return None if upstream is None else partial(upstream.source, source)
    if isinstance(source, FileSource):
        from flagkeep._sync.file_source import FileDataSource  # noqa: PLC0415

        return partial(FileDataSource, source)
    make: MakeSource | None = getattr(source, "source", None)
    if make is None:
        problem = "this source makes nothing for this colour of client: it lacks source()"
        raise ConfigError(problem)
    return make
