"""What talks to a table of DynamoDB, the same for both colours: any thread may call at any time.

Rules of this module:
- A call ends in time whatever hangs: the DNS, a program that hands out credentials, the server.
  None of these can be interrupted, so a call runs on a thread of its own that is left behind when
  time is up. That costs 0.1 ms of the 2 that a read takes.
- Nothing is imported, made or connected before the first call, unless somebody says `prepare`.
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
from flagkeep._runtime.dynamodb_driver import load, new_client
from flagkeep._runtime.dynamodb_errors import NotAnObject, TooSlow, translated
from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep._runtime.greenlets import ThreadOfOneProcess
from flagkeep.errors import StoreClosed, StoreError, StoreUnavailable

Answer = dict[str, Any]

LONGEST: Final = 30.0  # seconds for one call, whatever hangs
MOST_LEFT: Final = 50  # calls that hang; before there are more, the others fail at once

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
        # Changed in single steps, by any thread.
        self._awaited: set[Aside] = set()
        self._left: set[Aside] = set()
        fork.watch(self, fork.Rank.STORE)

    def call(
        self,
        operation: str,
        method: str,
        arguments: Mapping[str, Any],
        timeout: float | None = None,
        of: float | None = None,
    ) -> Answer:
        """Return the answer to one request.

        Args:
            operation: of the store, for errors.
            method: of boto3's client.
            arguments: of that.
            timeout: seconds for all of it; None: half a minute, but for a client that was given.
            of: the seconds of which these are left, for errors.

        Raises:
            StoreError: there was none, or it was a refusal.
        """
        if not fork.MARK[0]:
            fork.settle()
        if self._is_closed:
            raise StoreClosed(self.label, operation)
        if timeout is None and self._settings.client is None:
            timeout = LONGEST + self._settings.timeout
        ends = None if timeout is None else time.monotonic() + timeout

        def ask() -> Answer:
            client = self._ready_client(ends)
            try:
                answer: Answer = getattr(client, method)(**arguments)
            finally:
                if self._is_closed:  # meanwhile: its connection was still in use
                    self._close_own(client)
            return _checked(answer)

        try:
            return ask() if timeout is None else self._within(operation, timeout, ask)
        except StoreError:
            raise
        except TooSlow:
            late = TooSlow(timeout if of is None else of)
            raise translated(late, self._settings, operation, self._client) from None
        except Exception as exc:  # noqa: BLE001  whatever the driver and its plugins raise
            raise translated(exc, self._settings, operation, self._client) from None

    def prepare(self) -> None:
        """Begin to make the client, beside the caller; what goes wrong is told by the first call.

        Where no thread can run, only what no server is asked for is done, at once.
        """
        if not fork.MARK[0]:
            fork.settle()
        if self._client is not None or self._is_closed:
            return
        if threads.needs_pumping() or not Aside(self._prepared).start():
            load()

    def _prepared(self) -> Answer:
        client = self._ready_client(None)
        if self._is_closed:  # meanwhile
            self._close_own(client)
        return {}

    def close(self) -> None:
        """Close the connections, those that are in use when they are not any more.

        Whoever waits for an answer is told at once: the process may be about to end.
        """
        self._is_closed = True
        for aside in list(self._awaited):
            aside.give_up()
        self._close_own(self._client)

    def after_fork(self) -> None:
        """Leave the parent's client to the parent."""
        self._lock = threading.Lock()
        self._awaited, self._left = set(), set()
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

    def _within(self, operation: str, seconds: float, ask: Callable[[], Answer]) -> Answer:
        """Return the answer, or raise what `ask` raises, in so many seconds.

        Raises:
            TooSlow: it did neither; it goes on, and nobody waits for it.
            StoreClosed: the store was closed meanwhile; likewise.
        """
        if threads.needs_pumping():  # no thread can run: then on the caller's time
            return ask()
        if len(self._left) >= MOST_LEFT:
            reason = f"{MOST_LEFT} earlier calls hang, in the DNS, the credentials or the table"
            raise StoreUnavailable(self.label, operation, reason)
        aside = Aside(ask)
        if not aside.start():
            return ask()
        awaited = self._awaited
        awaited.add(aside)
        if self._is_closed:  # since it was looked at last
            aside.give_up()
        is_over = aside.done.wait(min(seconds, threading.TIMEOUT_MAX))
        awaited.discard(aside)
        if aside.is_given_up:
            raise StoreClosed(self.label, operation)
        if not is_over:
            left = self._left
            left.add(aside)
            aside.after(lambda: left.discard(aside))
            raise TooSlow
        return aside.result()


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


class Aside:
    """A call on another thread, and what came of it.

    Attributes:
        done: set when it is over, or nobody waits for it any more.
        is_given_up: whether that is so.
    """

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._answers: list[Answer] = []
        self._error: BaseException | None = None
        self._last: Callable[[], object] = bool
        self.done = threading.Event()
        self.is_given_up = False

    def give_up(self) -> None:
        """Let nobody wait for it any more, unless it is over."""
        if not self.done.is_set():
            self.is_given_up = True
            self.done.set()

    def start(self) -> bool:
        """Begin; return whether that worked."""
        # The caller's context goes with it, for those who trace calls of boto3.
        run = copy_context().run
        thread = threading.Thread(
            target=run, args=(self._run,), name="flagkeep-dynamodb-call", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the process has all the threads it may have, or is ending
            return False
        return True

    def after(self, fn: Callable[[], object]) -> None:
        """Call `fn` when it is over, maybe twice."""
        self._last = fn
        if self.done.is_set():
            fn()

    def result(self) -> Answer:
        """Return the answer, or raise the error."""
        if self._error is not None:
            raise self._error
        return self._answers[0]

    def _run(self) -> None:
        exits.leave_signals_to_others()
        try:
            with ThreadOfOneProcess():
                self._answers.append(self._ask())
        except BaseException as exc:  # noqa: BLE001  raised again where the caller is
            self._error = exc
        finally:
            self.done.set()
            self._last()
