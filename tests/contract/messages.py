"""What the harness sends, as JSON with names in camelCase; `null` is the same as nothing."""

from typing import Any, Literal

import msgspec

ValueType = Literal["bool", "int", "double", "string", "any"]
Json = dict[str, Any]


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What all of them have in common."""


# --- making a client -------------------------------------------------------------------------


class Endpoints(Message, frozen=True, kw_only=True):
    """Base URIs; the section of a service outranks them."""

    streaming: str | None = None
    polling: str | None = None
    events: str | None = None


class StreamingSection(Message, frozen=True, kw_only=True):
    """Flag data comes over a stream."""

    base_uri: str | None = None
    initial_retry_delay_ms: float | None = None
    filter: str | None = None


class PollingSection(Message, frozen=True, kw_only=True):
    """Flag data is polled."""

    base_uri: str | None = None
    poll_interval_ms: float | None = None
    filter: str | None = None


class EventsSection(Message, frozen=True, kw_only=True):
    """Analytics events are sent; without this section there are none."""

    base_uri: str | None = None
    capacity: int | None = None
    enable_diagnostics: bool | None = None
    all_attributes_private: bool | None = None
    global_private_attributes: list[str] | None = None
    flush_interval_ms: float | None = None
    omit_anonymous_contexts: bool | None = None
    enable_gzip: bool | None = None


class BigSegmentsSection(Message, frozen=True, kw_only=True):
    """There is a Big Segment store, behind callbacks."""

    callback_uri: str
    user_cache_size: int | None = None
    user_cache_time_ms: float | None = None
    status_poll_interval_ms: float | None = None
    stale_after_ms: float | None = None


class TagsSection(Message, frozen=True, kw_only=True):
    """What the application calls itself."""

    application_id: str | None = None
    application_version: str | None = None


class HookSection(Message, frozen=True, kw_only=True):
    """One hook: what it returns, or raises, by stage."""

    name: str
    callback_uri: str
    data: dict[str, Json] | None = None
    errors: dict[str, str | None] | None = None


class HooksSection(Message, frozen=True, kw_only=True):
    """All hooks, in the order of their registration."""

    hooks: list[HookSection] | None = None


class WrapperSection(Message, frozen=True, kw_only=True):
    """The library around the SDK."""

    name: str | None = None
    version: str | None = None


class TLSSection(Message, frozen=True, kw_only=True):
    """Which certificates are trusted."""

    skip_verify_peer: bool | None = None
    custom_ca_file: str | None = msgspec.field(default=None, name="customCAFile")


class ProxySection(Message, frozen=True, kw_only=True):
    """Everything goes through an HTTP proxy."""

    http_proxy: str | None = None


class StoreSection(Message, frozen=True, kw_only=True):
    """Which database."""

    type: str
    dsn: str
    prefix: str | None = None


class CacheSection(Message, frozen=True, kw_only=True):
    """How long what was read from it counts."""

    mode: Literal["off", "ttl", "infinite"]
    ttl: float | None = None


class PersistenceSection(Message, frozen=True, kw_only=True):
    """There is a persistent store."""

    store: StoreSection
    cache: CacheSection


class Configuration(Message, frozen=True, kw_only=True):
    """The settings of a client."""

    credential: str = ""
    start_wait_time_ms: float | None = None
    init_can_fail: bool | None = None
    service_endpoints: Endpoints | None = None
    streaming: StreamingSection | None = None
    polling: PollingSection | None = None
    events: EventsSection | None = None
    big_segments: BigSegmentsSection | None = None
    tags: TagsSection | None = None
    hooks: HooksSection | None = None
    wrapper: WrapperSection | None = None
    tls: TLSSection | None = None
    proxy: ProxySection | None = None
    persistent_data_store: PersistenceSection | None = None


class NewClient(Message, frozen=True, kw_only=True):
    """A client is to be made."""

    configuration: Configuration
    tag: str = ""


# --- commands --------------------------------------------------------------------------------


class About(Message, frozen=True, kw_only=True):
    """A command about a context: its JSON, or that of a user from before there were contexts."""

    context: Json | None = None
    user: Json | None = None


class Evaluate(About, frozen=True, kw_only=True):
    """Evaluate one flag."""

    flag_key: str
    value_type: ValueType = "any"
    default_value: Any = None
    detail: bool | None = None


class EvaluateAll(About, frozen=True, kw_only=True):
    """Evaluate all flags."""

    with_reasons: bool | None = None
    client_side_only: bool | None = None
    details_only_for_tracked_flags: bool | None = None


class CustomEvent(About, frozen=True, kw_only=True):
    """Track something."""

    event_key: str
    data: Any = None
    omit_null_data: bool | None = None
    metric_value: float | None = None


class SingleContext(Message, frozen=True, kw_only=True):
    """How a context is to be built."""

    key: str
    kind: str | None = None
    name: str | None = None
    anonymous: bool | None = None
    private: list[str] | None = None
    custom: Json | None = None


class ContextBuild(Message, frozen=True, kw_only=True):
    """Build a context, or several in one."""

    single: SingleContext | None = None
    multi: list[SingleContext] | None = None


class ContextConvert(Message, frozen=True, kw_only=True):
    """Read a context and write it again."""

    input: str


class Attribute(Message, frozen=True, kw_only=True):
    """An attribute to be set."""

    name: str
    value: Any = None


class PrivateAttribute(Message, frozen=True, kw_only=True):
    """A private attribute: its reference, or its plain name if `literal`."""

    value: str
    literal: bool | None = None


class ComparedContext(Message, frozen=True, kw_only=True):
    """How a context to be compared is to be built."""

    kind: str
    key: str
    attributes: list[Attribute] | None = None
    private_attributes: list[PrivateAttribute] | None = None


class ComparedContexts(Message, frozen=True, kw_only=True):
    """One of two contexts to be compared."""

    single: ComparedContext | None = None
    multi: list[ComparedContext] | None = None


class ContextComparison(Message, frozen=True, kw_only=True):
    """Compare two contexts."""

    context1: ComparedContexts
    context2: ComparedContexts


class MigrationVariation(About, frozen=True, kw_only=True):
    """Find the stage of a migration."""

    key: str
    default_stage: str


class MigrationOperation(About, frozen=True, kw_only=True):
    """Read or write as the stage of a migration says."""

    key: str
    default_stage: str
    read_execution_order: Literal["serial", "concurrent", "random"]
    operation: Literal["read", "write"]
    old_endpoint: str
    new_endpoint: str
    payload: str | None = None
    track_latency: bool = False
    track_errors: bool = False
    track_consistency: bool = False


class Command(Message, frozen=True, kw_only=True):
    """A command: its arguments stand under its own name."""

    command: str
    evaluate: Evaluate | None = None
    evaluate_all: EvaluateAll | None = None
    identify_event: About | None = None
    custom_event: CustomEvent | None = None
    secure_mode_hash: About | None = None
    context_build: ContextBuild | None = None
    context_convert: ContextConvert | None = None
    context_comparison: ContextComparison | None = None
    migration_variation: MigrationVariation | None = None
    migration_operation: MigrationOperation | None = None
