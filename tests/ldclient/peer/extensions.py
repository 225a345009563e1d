"""Hooks, plugins, migrations, and an event processor of the application: what each is told."""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

from datetime import timedelta
from typing import Any

from ldclient import (
    Config,
    Context,
    ExecutionOrder,
    LDClient,
    MigratorBuilder,
    Operation,
    OperationResult,
    OpTracker,
    Origin,
    Result,
    Stage,
)
from ldclient.hook import Hook, Metadata
from ldclient.integrations.test_data import TestData
from ldclient.interfaces import EventProcessor
from ldclient.plugin import Plugin, PluginMetadata
from recording import detail, finish, record

user = Context.create("u")
invalid = Context.create("")
notes: list[Any] = []


def noted() -> list[Any]:
    """Return what was noted since the last call."""
    seen = list(notes)
    notes.clear()
    return seen


class Noting(Hook):
    """Notes each stage."""

    def __init__(self, name: str, error: Any = None) -> None:
        self.name = name
        self.error = error

    @property
    def metadata(self) -> Metadata:
        return Metadata(self.name)

    def before_evaluation(self, series_context: Any, data: dict) -> dict:
        one = series_context
        default = one.default_value
        notes.append([self.name, "before", one.key, default, one.method, one.environment_id, data])
        if self.error is not None:
            raise self.error
        return {"from": self.name}

    def after_evaluation(self, series_context: Any, data: dict, detail_: Any) -> dict:
        notes.append([self.name, "after", series_context.key, data, detail(detail_)])
        return data


class Plugged(Plugin):
    """Notes what it is told."""

    def __init__(self, name: str, hooks: list[Any]) -> None:
        self.name = name
        self.hooks = hooks

    @property
    def metadata(self) -> PluginMetadata:
        return PluginMetadata(self.name)

    def register(self, client: Any, metadata: Any) -> None:
        notes.append([self.name, "register", client.is_initialized(), *self.shown(metadata)])

    def get_hooks(self, metadata: Any) -> list[Any]:
        notes.append([self.name, "hooks", *self.shown(metadata)])
        return self.hooks

    def shown(self, metadata: Any) -> list[Any]:
        sdk, application = metadata.sdk, metadata.application
        names = [sdk.name, sdk.wrapper_name, sdk.wrapper_version, metadata.sdk_key]
        return [*names, application.id, application.version]


class Events(EventProcessor):
    """Notes each event."""

    def __init__(self, config: Any) -> None:
        notes.append(["made for", config.sdk_key])

    def send_event(self, event: Any) -> None:
        shown = [type(event).__name__.removeprefix("EventInput"), event.context.key]
        names = ("key", "variation", "value", "default_value", "reason", "track_events")
        shown += [getattr(event, name, "none") for name in names]
        flag, above = getattr(event, "flag", None), getattr(event, "prereq_of", None)
        shown += [None if one is None else [one.key, one.version] for one in (flag, above)]
        shown += [getattr(event, "data", None), getattr(event, "metric_value", None)]
        notes.append(shown)

    def flush(self) -> None:
        notes.append("flush")

    def stop(self) -> None:
        notes.append("stop")


data = TestData.data_source()
data.update(data.flag("f").variations("a", "b").variation_for_user("u", 1))

# --- hooks and plugins -------------------------------------------------------------------------

config = Config(
    "k",
    send_events=False,
    update_processor_class=data,
    hooks=[Noting("one"), Noting("two")],
    plugins=[Plugged("p", [Noting("three")]), Plugged("q", [])],
    application={"id": "shop"},
    wrapper_name="w",
)
client = LDClient(config)
record("plugins", noted)
client.add_hook(Noting("four"))
client.variation("f", user, 7)
record("hooks", noted)
client.variation_detail("unknown", invalid, [1])
record("hooks of an invalid context", noted)
client.migration_variation("f", user, Stage.LIVE)
record("hooks of a migration", noted)
client.all_flags_state(user)
client.track("e", user)
client.identify(user)
record("hooks of nothing else", noted)
client.add_hook(Noting("failing", ValueError()))
client.variation("f", user, 7)
record("a hook fails", noted)
client.close()
interrupted = LDClient(Config("k", offline=True, hooks=[Noting("n", KeyboardInterrupt())]))


def interrupt() -> Any:
    try:
        return interrupted.variation("f", user, 7)
    except KeyboardInterrupt:
        return "interrupted"


record("a hook is interrupted", interrupt)
noted()

# --- events ------------------------------------------------------------------------------------

client = LDClient(Config("k", update_processor_class=data, event_processor_class=Events))
record("processor", noted)
client.variation("f", user, 7)
client.variation("unknown", user, 7)
client.variation("f", invalid, 7)
record("evaluations", noted)
client.variation_detail("f", user, 7)
client.variation_detail("unknown", user, 7)
record("details", noted)
client.all_flags_state(user)
record("all flags", noted)
client.track("bought", user, {"x": 1}, 2.5)
client.track("bought", user)
client.track("bought", invalid)
record("track", noted)
client.identify(user)
client.identify(invalid)
record("identify", noted)
client.flush()
record("flushed", noted)

# --- migrations --------------------------------------------------------------------------------


def succeed(value: Any) -> Any:
    return lambda payload: Result.success([value, payload])


def fail(_payload: Any) -> Result:
    return Result.fail("full")


def explode(_payload: Any) -> Result:
    raise OSError("no disk")


def shown(result: Any) -> Any:
    if result is None:
        return None
    return [result.origin.value, result.is_success(), result.value, result.error is None]


def run(migrator: Any) -> Any:
    read = migrator.read("m", user, Stage.OFF, "p")
    write = migrator.write("m", user, Stage.OFF)
    written = [shown(write.authoritative), shown(write.nonauthoritative)]
    events = [one for one in noted() if one[0] == "MigrationOpEvent"]
    return [shown(read), written, len(events)]


for stage in Stage:
    flag = data.flag("m").variations(*[one.value for one in Stage])
    data.update(flag.variation_for_all(list(Stage).index(stage)))
    noted()
    record(
        f"{stage} of the flag", lambda: client.migration_variation("m", user, Stage.OFF)[0].value
    )
    record(f"{stage} evaluated", noted)
    for order in ExecutionOrder:
        builder = MigratorBuilder(client).read_execution_order(order)
        good = builder.read(succeed("old"), succeed("new")).write(succeed("o"), succeed("n"))
        record(f"{stage} {order}", lambda: run(good.build()))
        bad = builder.read(fail, explode).write(fail, explode)
        record(f"{stage} {order} fails", lambda: run(bad.build()))
for default in [Stage.SHADOW, "live", None]:
    found = client.migration_variation("unknown", user, default)[0]
    record(f"no flag, {default}", lambda: found.value)
    other = client.migration_variation("f", user, default)[0]
    record(f"no stage, {default}", lambda: other.value)
noted()

builder = MigratorBuilder(client)
record("builder without anything", lambda: isinstance(builder.build(), str))
builder.read(succeed(1), succeed(2))
record("builder without write", lambda: isinstance(builder.build(), str))
builder.write(succeed(1), succeed(2)).track_errors(False).track_latency(False)
record("builder", lambda: isinstance(builder.build(), str))


def tracker() -> Any:
    return client.migration_variation("m", user, Stage.OFF)[1]


def built(tracker: Any) -> Any:
    event = tracker.build()
    if isinstance(event, str):
        return "no event"
    sides = [sorted(one.value for one in which) for which in (event.invoked, event.errors)]
    took = {one.value: found.total_seconds() for one, found in event.latencies.items()}
    return [event.operation.value, event.key, event.consistent, *sides, took]


old, new, second = Origin.OLD, Origin.NEW, timedelta(seconds=1)
record("nothing tracked", lambda: built(tracker()))
record("no operation", lambda: built(tracker().invoked(old)))
record("not invoked", lambda: built(tracker().operation(Operation.READ)))
reading = tracker().operation(Operation.READ).invoked(old)
record("invoked", lambda: built(reading))
record("an error", lambda: built(reading.error(old)))
record("a latency", lambda: built(reading.latency(old, second)))
record("an error of the other", lambda: built(reading.error(new)))
record("both invoked", lambda: built(reading.invoked(new).latency(new, second * 2)))
record("consistent", lambda: built(reading.consistent(lambda: True)))
record("not consistent", lambda: built(reading.consistent(lambda: False)))
record("comparison fails", lambda: built(reading.consistent(lambda: 1 / 0)))
lone = tracker().operation(Operation.READ).invoked(old).consistent(lambda: True)
record("consistent with itself", lambda: built(lone))
record("odd operation", lambda: built(tracker().operation("x").invoked(old)))
record("odd origin", lambda: built(tracker().operation(Operation.READ).invoked("x")))
record("odd error", lambda: reading.error("x") is reading)
record("odd latency", lambda: reading.latency(old, 3) is reading)
record("event can be shown", lambda: bool(repr(reading.build())))
record("of an invalid context", lambda: built(
    client.migration_variation("m", invalid, Stage.OFF)[1].operation(Operation.READ).invoked(old)
))  # fmt: skip
flagless = OpTracker("x", None, user, client.variation_detail("x", user, "off"), Stage.OFF)
record("without a flag", lambda: built(flagless.operation(Operation.WRITE).invoked(old)))
result = OperationResult(old, Result.fail("e", OSError()))
record("result", lambda: [result.error, str(type(result.exception)), result.is_success()])
exploding = MigratorBuilder(client).read(explode, explode).write(explode, explode).build()
record("exceptions are kept", lambda: str(exploding.read("m", user, Stage.OFF).exception))
noted()
client.close()
record("stopped", noted)
finish()
