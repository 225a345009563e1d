"""Plugins: packages that add hooks to a client and get to know it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flagkeep.ldclient.hook import AsyncHook, Hook

if TYPE_CHECKING:  # the clients' modules need this one
    from flagkeep.ldclient.async_client import AsyncLDClient
    from flagkeep.ldclient.client import LDClient


@dataclass
class SdkMetadata:
    """Which SDK a plugin is used with.

    Attributes:
        name: of the SDK.
        version: of the SDK.
        wrapper_name: of a library around the SDK.
        wrapper_version: of that library.
    """

    name: str
    version: str
    wrapper_name: str | None = None
    wrapper_version: str | None = None


@dataclass
class ApplicationMetadata:
    """Which application a plugin is used in.

    Attributes:
        id: as configured.
        version: as configured.
    """

    id: str | None = None
    version: str | None = None


@dataclass
class EnvironmentMetadata:
    """Where a plugin is used.

    Attributes:
        sdk: which SDK.
        sdk_key: of the environment.
        application: which application, if it was configured.
    """

    sdk: SdkMetadata
    sdk_key: str | None = None
    application: ApplicationMetadata | None = None


@dataclass
class PluginMetadata:
    """Says which plugin it is.

    Attributes:
        name: shown in log messages.
    """

    name: str


class Plugin(ABC):
    """Base class of plugins."""

    @property
    @abstractmethod
    def metadata(self) -> PluginMetadata:
        """Says which plugin it is."""

    @abstractmethod
    def register(self, client: "LDClient", metadata: EnvironmentMetadata) -> None:
        """Get to know a client, before its data source starts."""

    @abstractmethod
    def get_hooks(self, metadata: EnvironmentMetadata) -> list[Hook]:
        """Return the hooks to add to the client."""


class AsyncPlugin(ABC):
    """Base class of plugins for `AsyncLDClient`."""

    @property
    @abstractmethod
    def metadata(self) -> PluginMetadata:
        """Says which plugin it is."""

    async def register(  # noqa: B027  a plugin may bring hooks only
        self, client: "AsyncLDClient", metadata: EnvironmentMetadata
    ) -> None:
        """Get to know a client, before its data source starts."""

    def get_hooks(
        self,
        metadata: EnvironmentMetadata,  # noqa: ARG002  for those who override it
    ) -> list[AsyncHook | Hook]:
        """Return the hooks to add to the client."""
        return []
