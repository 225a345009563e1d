"""The other process of the story (`python reader.py CONTEXTS.json FLAG…`).

Evaluates out of the store and never writes to it (daemon mode). Answers the questions that come
in as lines, tells of changed values and of the store's health, and ends with its input.
"""

import json
import logging
import signal
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

from given import fitting_cache, given_store

from flagkeep import Client, Config, Context, FlagValueChange, StoreStatus

ROUNDS = 101  # of timed evaluations

_one_at_a_time = threading.Lock()


def tell(event: str, **more: Any) -> None:
    """Say one line of JSON. Listeners are called on another thread, hence the lock."""
    with _one_at_a_time:
        print(json.dumps({"event": event, "at": time.monotonic(), **more}), flush=True)


def main(contexts_file: str, *flags: str) -> None:
    """Read until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the story ends us
    logging.basicConfig(format="%(message)s")
    client = Client(Config(daemon=True, cache=fitting_cache()), store=given_store())
    contexts = people_in(contexts_file)
    tell_first(client, contexts, flags)
    client.wait_until_ready()
    serve(client, contexts, flags)


def people_in(contexts_file: str) -> dict[str, Context]:
    """Return contexts by name."""
    people = json.loads(Path(contexts_file).read_text(encoding="utf-8"))
    return {name: Context.from_dict(one) for name, one in people.items()}


def tell_first(client: Client, contexts: dict[str, Context], flags: tuple[str, ...]) -> None:
    """Tell the value of the first flag for the first context as soon as there is one."""
    first = next(iter(contexts.values()))
    while (value := client.variation(flags[0], first, None)) is None:
        time.sleep(0.001)  # nothing has come yet
    tell("first", value=value)


def serve(client: Client, contexts: dict[str, Context], flags: tuple[str, ...]) -> None:
    """Answer until nobody asks any more."""
    with client:
        listen(client, contexts, flags)
        tell("ready")
        for line in sys.stdin:
            answer(client, contexts, flags, question=line.strip())


def listen(client: Client, contexts: dict[str, Context], flags: tuple[str, ...]) -> None:
    """Tell of every changed value, and of the store going and coming."""

    def on_store(status: StoreStatus) -> None:
        tell("store", available=status.available, reason=status.reason)

    client.on_store_status(on_store)
    for name, context in contexts.items():

        def on_value(change: FlagValueChange, name: str = name) -> None:
            tell("changed", flag=change.key, context=name, value=change.new_value)

        for flag in flags:
            client.on_value_change(flag, context, on_value)


def answer(
    client: Client, contexts: dict[str, Context], flags: tuple[str, ...], *, question: str
) -> None:
    """Answer with all values, with how client and store are doing, or after reporting."""
    if question == "values":
        values = {
            flag: {name: described(client, flag, context) for name, context in contexts.items()}
            for flag in flags
        }
        seconds = speed(client, contexts, flags)
        tell("values", values=values, microseconds=1e6 * seconds, times=1 + ROUNDS)
    elif question == "status":
        status = client.status
        store = status.store
        tell("status", age=status.data_age, push=store.push if store else "")
    elif question == "report":
        client.track("bought", next(iter(contexts.values())), metric_value=59.9)
        tell("report", delivered=client.flush())


def described(client: Client, flag: str, context: Context) -> dict[str, Any]:
    """Return what a flag says to one context, and why."""
    detail = client.variation_detail(flag, context, None)
    return {"value": detail.value, "reason": detail.reason.to_dict()}


def speed(client: Client, contexts: dict[str, Context], flags: tuple[str, ...]) -> float:
    """Return the seconds that one of many evaluations takes, as a median of rounds."""
    pairs = [(flag, context) for flag in flags for context in contexts.values()]
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for flag, context in pairs:
            client.variation(flag, context, None)
        rounds.append(time.perf_counter() - began)
    return statistics.median(rounds) / len(pairs)


if __name__ == "__main__":
    main(*sys.argv[1:])
