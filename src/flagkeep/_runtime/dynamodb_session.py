"""What talks to a table of DynamoDB, the same for both colours: any thread may call at any time.

Rules of this module:
- Nothing is imported, made or connected before the first call, unless somebody says `prepare`.
- A call here may take as long as the DNS, a program that hands out credentials or the server like.
  None of these can be interrupted: who has no time makes it on another thread (`dynamodb_calls`).
- A client is never used in another process than the one that made it: the child makes its own. A
  client that was given is its owner's to look after.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from flagkeep._runtime import fork, threads
from flagkeep._runtime.dynamodb_calls import Call, Calls
from flagkeep._runtime.dynamodb_driver import load, new_client
from flagkeep._runtime.dynamodb_errors import NotAnObject, TooSlow, translated
from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep.errors import StoreClosed, StoreError

Answer = dict[str, Any]

_LONGEST: Final = 30.0  # seconds for one call, whatever hangs

# Clients of parent processes: never used, never closed, never collected.
_abandoned: Final[list[object]] = []


class DynamoDBSession:
    """A client of DynamoDB for one table.

    Args:
        settings: how to reach it.

    Attributes:
        label: what errors call it.
        calls: on other threads.
        longest: seconds that a call may take where nobody says how long; None: any number, as a
            client that was given has its own limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.label = settings.label
        self.calls = Calls()
        self.longest = None if settings.client is not None else _LONGEST + settings.timeout
        self._client = settings.client
        self._lock = threading.Lock()  # held while a client is made
        self._is_closed = False
        fork.watch(self, fork.Rank.STORE)

    def call(
        self,
        operation: str,
        method: str,
        arguments: Mapping[str, Any],
        ends: float | None = None,
    ) -> Answer:
        """Return the answer to one request, on this thread.

        Args:
            operation: of the store, for errors.
            method: of boto3's client.
            arguments: of that.
            ends: on the monotonic clock: how long to wait for another call that makes the client.

        Raises:
            StoreError: there was none, or it was a refusal.
            TooSlow: there was no client in time.
        """
        if not fork.MARK[0]:
            fork.settle()
        if self._is_closed:
            raise StoreClosed(self.label, operation)
        try:
            client = self._ready_client(ends)
            try:
                answer: Answer = getattr(client, method)(**arguments)
            finally:
                if self._is_closed:  # meanwhile: its connection was still in use
                    self._close_own(client)
            return _checked(answer)
        except (StoreError, TooSlow):
            raise
        except Exception as exc:  # noqa: BLE001  whatever the driver and its plugins raise
            raise translated(exc, self._settings, operation, self._client) from None

    def late(self, operation: str, seconds: float) -> StoreError:
        """Return what to say where there was no answer within so many seconds."""
        return translated(TooSlow(seconds), self._settings, operation, self._client)

    def prepare(self) -> None:
        """Begin to make the client, beside the caller; what goes wrong is told by the first call.

        Where no thread can run, only what no server is asked for is done, at once.
        """
        if not fork.MARK[0]:
            fork.settle()
        if self._client is not None or self._is_closed:
            return
        if threads.needs_pumping():
            load()
        else:
            self.calls.begin(Call(self._prepared, int))

    def _prepared(self) -> None:
        client = self._ready_client(None)
        if self._is_closed:  # meanwhile
            self._close_own(client)

    def close(self) -> None:
        """Close the connections, those that are in use when they are not any more."""
        self._is_closed = True
        self.calls.close()
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
        patience = -1 if ends is None else max(0.0, ends - time.monotonic())
        if not lock.acquire(timeout=min(patience, threading.TIMEOUT_MAX)):
            raise TooSlow
        try:
            if self._client is None:
                self._client = new_client(self._settings)
            return self._client
        finally:
            lock.release()

    def _close_own(self, client: Any) -> None:
        if client is not None and self._settings.client is None:
            client.close()


def _checked(answer: Answer) -> Answer:
    """Return an answer that may be one: botocore takes any page of a web server for an empty one.

    Raises:
        NotAnObject: it was such a page.
    """
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    kind = headers.get("content-type", "json")
    if "json" not in kind and "cbor" not in kind:
        raise NotAnObject
    return answer
