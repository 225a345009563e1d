"""What user code hands in to be called: listeners, hooks and plugins, the same for both clients.

Hooks run around each evaluation and after each `track`, on the caller's time. In `AsyncClient` a
stage may be a coroutine function; in `Client` none may. What a stage raises is logged, costs the
evaluation nothing, and counts as having returned no data.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from flagkeep.errors import ConfigError
from flagkeep.model.context import Context
from flagkeep.model.detail import Detail


class FlagChange(msgspec.Struct, frozen=True):
    """A flag, or something its value depends on, changed; the value itself may be the same."""

    key: str


class FlagValueChange(msgspec.Struct, frozen=True):
    """The value of a flag for one context changed. A flag that is gone has the value None."""

    key: str
    old_value: Any
    new_value: Any


ChangeListener = Callable[[FlagChange], object]
ValueChangeListener = Callable[[FlagValueChange], object]
StatusListener = Callable[[Any], object]

HookData = Mapping[str, Any]
StageResult = HookData | Awaitable[HookData | None] | None


class HookMetadata(msgspec.Struct, frozen=True):
    """What a hook says of itself; log lines name it so."""

    name: str


class PluginMetadata(msgspec.Struct, frozen=True):
    """What a plugin says of itself; log lines name it so."""

    name: str


class EvaluationSeries(msgspec.Struct, frozen=True):
    """The evaluation that the stages of a hook run around.

    Attributes:
        key: of the flag.
        context: as it was given, which may be invalid or no context at all.
        default: the caller's; of a migration, the stage's name.
        method: of the client that was called, such as `variation` or `variation_detail`.
        environment_id: what the upstream calls the environment; None while it has not said so.
    """

    key: str
    context: Context
    default: Any
    method: str
    environment_id: str | None = None


class TrackSeries(msgspec.Struct, frozen=True):
    """The call of `track` that a hook is told of."""

    key: str
    context: Context
    data: Any = None
    metric_value: float | None = None
    environment_id: str | None = None


class Hook:
    """Runs beside evaluations and calls of `track`; override the stages you need.

    Stages of several hooks run in the order in which the hooks were given, those after an
    evaluation in the reverse order. They may be called from any thread, several at a time.
    """

    @property
    def metadata(self) -> HookMetadata:
        """What it is called; by default as its class."""
        return HookMetadata(type(self).__name__)

    def before_evaluation(
        self,
        series: EvaluationSeries,  # noqa: ARG002
        data: HookData,
    ) -> StageResult:
        """Run before an evaluation.

        Args:
            series: what is to be evaluated.
            data: empty.

        Returns:
            What `after_evaluation` of this hook gets as its data; None is no data.
        """
        return data

    def after_evaluation(
        self,
        series: EvaluationSeries,  # noqa: ARG002
        data: HookData,
        detail: Detail[Any],  # noqa: ARG002
    ) -> StageResult:
        """Run after an evaluation, also after one that was cancelled: its reason is EXCEPTION.

        Args:
            series: what was evaluated; the same object as before it.
            data: what `before_evaluation` returned; empty if that failed.
            detail: the outcome.

        Returns:
            What the next stage would get; there is none yet.
        """
        return data

    def after_track(self, series: TrackSeries) -> object:
        """Run after a call of `track` with a valid context."""


class SdkMetadata(msgspec.Struct, frozen=True):
    """Which SDK a plugin runs in; the wrapper is the library around it, `""` if there is none."""

    name: str
    version: str
    wrapper_name: str = ""
    wrapper_version: str = ""


class ApplicationMetadata(msgspec.Struct, frozen=True):
    """What the application calls itself; `""` where it does not say."""

    id: str = ""
    version: str = ""


class EnvironmentMetadata(msgspec.Struct, frozen=True):
    """What a plugin may know of the client it runs in; the SDK key is a secret: never log it."""

    sdk: SdkMetadata
    sdk_key: str = ""
    application: ApplicationMetadata | None = None

    def __repr__(self) -> str:
        return f"EnvironmentMetadata(sdk={self.sdk!r}, application={self.application!r})"


class Plugin:
    """Extends a client: brings hooks, and gets hold of the client once that is made."""

    @property
    def metadata(self) -> PluginMetadata:
        """What it is called; by default as its class."""
        return PluginMetadata(type(self).__name__)

    def get_hooks(self, environment: EnvironmentMetadata) -> Sequence[Hook]:  # noqa: ARG002
        """Return the hooks it brings; called before `register`."""
        return ()

    def register(self, client: Any, environment: EnvironmentMetadata) -> object:
        """Take the client. It may not have flag data yet; for `AsyncClient`, may be a coroutine."""


def checked_hook(hook: object) -> Hook:
    """Return what is a hook.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(hook, Hook):
        given = hook.__name__ if isinstance(hook, type) else type(hook).__name__
        hint = " (the class; give an object of it)" if isinstance(hook, type) else ""
        raise ConfigError(f"a hook must be a flagkeep.hooks.Hook, not {given}{hint}")
    return hook


def checked_plugin(plugin: object) -> Plugin:
    """Return what is a plugin.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(plugin, Plugin):
        given = plugin.__name__ if isinstance(plugin, type) else type(plugin).__name__
        hint = " (the class; give an object of it)" if isinstance(plugin, type) else ""
        raise ConfigError(f"a plugin must be a flagkeep.hooks.Plugin, not {given}{hint}")
    return plugin
