"""Running hooks around evaluations and after `track` (the official API's rules for hooks).

Stages before an evaluation run in the order of registration, those after it in the reverse order,
those after `track` in the order of registration again. They are foreign code: what one raises is
logged, and it counts as having returned no data. Only `Exception` counts as that, so that an
interrupt from the keyboard and a cancelled task end what they are meant to end.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from flagkeep._runtime import threads as runtime
from flagkeep.hooks import (
    EnvironmentMetadata,
    EvaluationSeries,
    Hook,
    HookData,
    Plugin,
    TrackSeries,
    checked_hook,
    checked_plugin,
)
from flagkeep.model.detail import Detail, ErrorKind, error_reason

log = logging.getLogger("flagkeep.client")


class HookRunner:
    """The hooks of one client; may be used from anywhere.

    Attributes:
        any: whether there are hooks at all.

    Args:
        hooks: in the order of registration.

    Raises:
        ConfigError: something else than a hook.
    """

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._guard = runtime.Guard()
        self._hooks = tuple(map(checked_hook, hooks))
        self.any = bool(self._hooks)

    def add(self, hook: Hook) -> None:
        """Run one more hook, around evaluations that begin after this.

        Raises:
            ConfigError: it is something else than a hook.
        """
        with self._guard:
            self._hooks = (*self._hooks, checked_hook(hook))
            self.any = True

    def around(
        self, series: EvaluationSeries, evaluate: runtime.Call[Detail[Any]]
    ) -> Detail[Any]:
        """Return what `evaluate` returns, run between the stages.

        If it raises or is cancelled, the later stages see the default with reason EXCEPTION.
        """
        hooks = self._hooks  # those who were called before are called after, and nobody else
        data: list[HookData] = []
        detail: Detail[Any] = Detail(series.default, None, error_reason(ErrorKind.EXCEPTION))
        try:
            for hook in hooks:
                data.append(_before(hook, series))  # noqa: PERF401  kept when cut short
            detail = evaluate()
        finally:
            begun = hooks[: len(data)]
            for hook, own in zip(reversed(begun), reversed(data), strict=True):
                _after(hook, series, own, detail)
        return detail

    def after_track(self, series: TrackSeries) -> None:
        """Tell everybody of a call of `track`; what is to be awaited goes on beside the caller."""
        for hook in self._hooks:
            stage = f"after_track of hook {_name_of(hook)!r}"
            try:
                runtime.start_stage(stage, hook.after_track, series)
            except Exception:
                log.exception("%s failed", stage)


def _before(hook: Hook, series: EvaluationSeries) -> HookData:
    try:
        data = runtime.call_stage(hook.before_evaluation, series, {})
    except Exception:
        log.exception("before_evaluation of hook %r failed", _name_of(hook))
        return {}
    if isinstance(data, Mapping):
        return data
    if data is not None:
        returned = type(data).__name__
        log.error(
            "before_evaluation of hook %r must return a mapping, not %s", _name_of(hook), returned
        )
    return {}


def _after(hook: Hook, series: EvaluationSeries, data: HookData, detail: Detail[Any]) -> None:
    try:
        runtime.call_stage(hook.after_evaluation, series, data, detail)
    except Exception:
        log.exception("after_evaluation of hook %r failed", _name_of(hook))


def hooks_of_plugins(plugins: Iterable[Plugin], environment: EnvironmentMetadata) -> list[Hook]:
    """Return the hooks that plugins bring, in their order; one that fails brings none.

    Raises:
        ConfigError: something else than a plugin.
    """
    hooks: list[Hook] = []
    for plugin in map(checked_plugin, plugins):
        try:
            hooks += [checked_hook(hook) for hook in plugin.get_hooks(environment)]
        except Exception:
            log.exception("get_hooks of plugin %r failed; it brings none", _name_of(plugin))
    return hooks


def register_plugins(
    plugins: Iterable[Plugin], client: Any, environment: EnvironmentMetadata
) -> None:
    """Hand the client to each plugin; what is to be awaited goes on beside the caller."""
    for plugin in plugins:
        try:
            runtime.start_stage("flagkeep-plugin", plugin.register, client, environment)
        except Exception:
            log.exception("register of plugin %r failed", _name_of(plugin))


def _name_of(extension: Hook | Plugin) -> str:
    try:
        return extension.metadata.name
    except Exception:  # noqa: BLE001  it is foreign too, and there is another name
        return type(extension).__name__
