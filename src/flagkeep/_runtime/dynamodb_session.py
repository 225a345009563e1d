"""What talks to a table of DynamoDB, the same for both colours: any thread may call at any time.

Rules of this module:
- A call ends in time whatever hangs: the DNS, a program that hands out credentials, the server.
  None of these can be interrupted, so a call runs on a thread of its own that is left behind when
  time is up. That costs 0.1 ms of the 2 that a read takes.
- Nothing is imported, made or connected before the first call.
- A client is never used in another process than the one that made it: the child makes its own. A
  client that was given is its owner's to look after.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, Final

from flagkeep._runtime import at_exit as exits
from flagkeep._runtime import fork, threads
from flagkeep._runtime.dynamodb_driver import new_client
from flagkeep._runtime.dynamodb_errors import TooSlow, translated
from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep._runtime.greenlets import ThreadOfOneProcess
from flagkeep.errors import StoreClosed, StoreError

LONGEST: Final = 30.0  # seconds for one call, whatever hangs

# Clients of parent processes: never used, never closed, never collected.
_abandoned: Final[list[object]] = []


class DynamoDBSession:
    """A client of DynamoDB for one table.

    Args:
        settings: how to reach it.

    Attributes:
        label: what errors call it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.label = settings.label
        self._client = settings.client
        self._lock = threading.Lock()  # held while a client is made
        self._is_closed = False
        fork.watch(self, fork.Rank.STORE)

    def call(
        self,
        operation: str,
        method: str,
        arguments: Mapping[str, Any],
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Return the answer to one request.

        Args:
            operation: of the store, for errors.
            method: of boto3's client.
            arguments: of that.
            timeout: seconds for all of it; None: half a minute, but for a client that was given.

        Raises:
            StoreError: there was none, or it was a refusal.
        """
        if not fork.MARK[0]:
            fork.settle()
        if self._is_closed:
            raise StoreClosed(self.label, operation)
        if timeout is None and self._settings.client is None:
            timeout = LONGEST
        ends = None if timeout is None else time.monotonic() + timeout

        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = getattr(self._ready_client(ends), method)(**arguments)
            return answer

        try:
            return ask() if timeout is None else within(timeout, ask)
        except StoreError:
            raise
        except Exception as exc:  # noqa: BLE001  whatever the driver and its plugins raise
            raise translated(exc, self._settings, operation, self._region()) from None

    def close(self) -> None:
        """Close the connections that are not in use, the others when they are not any more."""
        self._is_closed = True
        self._close_own(self._client)

    def after_fork(self) -> None:
        """Leave the parent's client to the parent."""
        self._lock = threading.Lock()
        if self._settings.client is None and self._client is not None:
            _abandoned.append(self._client)
            self._client = None

    def _ready_client(self, ends: float | None) -> Any:
        if self._client is not None:
            return self._client
        lock = self._lock
        if not lock.acquire(timeout=-1 if ends is None else max(0.0, ends - time.monotonic())):
            raise TooSlow(0.0)  # nobody listens any more
        try:
            if self._client is None:
                client = new_client(self._settings)
                self._client = client
            if self._is_closed:
                self._close_own(self._client)
        finally:
            lock.release()
        return self._client

    def _close_own(self, client: Any) -> None:
        if client is not None and self._settings.client is None:
            client.close()

    def _region(self) -> str | None:
        meta = getattr(self._client, "meta", None)
        return getattr(meta, "region_name", None)


def within(seconds: float, fn: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `fn` returns, or raise what it raises, in so many seconds.

    Raises:
        TooSlow: it did neither; it goes on, and nobody waits for it.
    """
    if threads.needs_pumping():  # no thread can run: then on the caller's time
        return fn()
    aside = _Aside(fn)
    # The caller's context goes with it, for those who trace calls of boto3.
    thread = threading.Thread(
        target=copy_context().run, args=(aside.run,), name="flagkeep-dynamodb-call", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # the process has all the threads it may have, or is ending
        return fn()
    if not aside.done.wait(seconds):
        raise TooSlow(seconds)
    return aside.result()


class _Aside:
    """A call on another thread, and what came of it."""

    def __init__(self, fn: Callable[[], dict[str, Any]]) -> None:
        self._fn = fn
        self._results: list[dict[str, Any]] = []
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        exits.leave_signals_to_others()
        try:
            with ThreadOfOneProcess():
                self._results.append(self._fn())
        except BaseException as exc:  # noqa: BLE001  raised again where the caller is
            self._error = exc
        finally:
            self.done.set()

    def result(self) -> dict[str, Any]:
        if self._error is not None:
            raise self._error
        return self._results[0]
