"""Hooks and plugins written for the official SDK, as the core calls them."""

import logging
from collections.abc import Iterable
from typing import Any

from flagkeep import hooks
from flagkeep.ldclient._core_settings import AnyConfig
from flagkeep.ldclient.evaluation import EvaluationDetail
from flagkeep.ldclient.hook import EvaluationSeriesContext, TrackSeriesContext
from flagkeep.ldclient.plugin import ApplicationMetadata, EnvironmentMetadata, SdkMetadata
from flagkeep.ldclient.version import VERSION
from flagkeep.model.detail import Detail

log = logging.getLogger("ldclient.util")


class OfficialHook(hooks.Hook):
    """A hook of the core around a `Hook`, or in asyncio an `AsyncHook`, of the application.

    FIX (python-api.md 7): what is not an `Exception`, such as KeyboardInterrupt, goes on; the core
    sees to that.
    """

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    @property
    def metadata(self) -> hooks.HookMetadata:
        """What the application's hook calls itself."""
        return hooks.HookMetadata(self._hook.metadata.name)

    def before_evaluation(self, series: hooks.EvaluationSeries, data: hooks.HookData) -> Any:
        """Run the application's stage."""
        return self._hook.before_evaluation(_of_evaluation(series), dict(data))

    def after_evaluation(
        self, series: hooks.EvaluationSeries, data: hooks.HookData, detail: Detail[Any]
    ) -> Any:
        """Run the application's stage."""
        official = EvaluationDetail(detail.value, detail.index, detail.reason.to_dict())
        return self._hook.after_evaluation(_of_evaluation(series), data, official)

    def after_track(self, series: hooks.TrackSeries) -> Any:
        """Run the application's stage, if it has one: the official base class has none."""
        stage = getattr(self._hook, "after_track", None)
        if not callable(stage):
            return None
        return stage(
            TrackSeriesContext(
                series.key,
                series.context,  # type: ignore[arg-type]  # as it was given
                series.data,
                series.metric_value,
                series.environment_id,
            )
        )


def _of_evaluation(series: hooks.EvaluationSeries) -> EvaluationSeriesContext:
    return EvaluationSeriesContext(
        series.key,
        series.context,  # type: ignore[arg-type]  # as it was given
        series.default,
        series.method,
        series.environment_id,
    )


class Plugins:
    """The plugins of one client.

    Args:
        config: the client's.
        sdk_name: what the SDK is called in statistics.
    """

    def __init__(self, config: AnyConfig, sdk_name: str) -> None:
        self._plugins = config.plugins
        self._environment = environment_of(config, sdk_name)

    def hooks(self, kinds: tuple[type, ...]) -> list[hooks.Hook]:
        """Return the hooks they bring, in their order; one that fails brings none.

        Args:
            kinds: what is a hook; others are dropped.
        """
        found: list[hooks.Hook] = []
        for plugin in self._plugins:
            try:
                found += official_hooks(plugin.get_hooks(self._environment), kinds)
            except Exception:
                log.exception("get_hooks of plugin %r failed: it brings none", _name_of(plugin))
        return found

    def register(self, client: Any) -> None:
        """Hand the client to each of them."""
        for plugin in self._plugins:
            try:
                plugin.register(client, self._environment)
            except Exception:
                log.exception("register of plugin %r failed; the client goes on", _name_of(plugin))

    async def register_async(self, client: Any) -> None:
        """Hand the client to each of them, one after the other."""
        for plugin in self._plugins:
            try:
                await plugin.register(client, self._environment)
            except Exception:
                log.exception("register of plugin %r failed; the client goes on", _name_of(plugin))


def official_hooks(given: Iterable[Any], kinds: tuple[type, ...]) -> list[hooks.Hook]:
    """Return those that are hooks, as the core calls them."""
    return [OfficialHook(hook) for hook in given if isinstance(hook, kinds)]


def environment_of(config: AnyConfig, sdk_name: str) -> EnvironmentMetadata:
    """Return what a plugin is told of the client it runs in."""
    return EnvironmentMetadata(
        sdk=SdkMetadata(sdk_name, VERSION, config.wrapper_name, config.wrapper_version),
        sdk_key=config.sdk_key,
        application=ApplicationMetadata(**config.application),
    )


def _name_of(plugin: Any) -> str:
    try:
        return str(plugin.metadata.name)
    except Exception:  # noqa: BLE001  it is foreign too, and there is another name
        return type(plugin).__name__
