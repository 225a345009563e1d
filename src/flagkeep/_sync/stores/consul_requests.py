"""How a store in Consul asks: with its token, again where that helps, and never for too long."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from flagkeep._sync.stores.consul_turns import Turns
from flagkeep._runtime import threads as runtime
from flagkeep._runtime import fork
from flagkeep._runtime.consul_errors import Late, refused, unreachable
from flagkeep._runtime.consul_settings import NoToken, Settings
from flagkeep._runtime.http_threads import Http
from flagkeep._runtime.http_response import HttpResponse
from flagkeep.errors import StoreClosed, StoreError, StoreUnavailable, UpstreamUnavailable
from flagkeep.storage import consul_answers as answers
from flagkeep.storage.consul_answers import (
    NONE_GIVEN,
    NOT_CONSUL,
    NotConsul,
    Pair,
    Refusal,
    Reply,
    Why,
)
from flagkeep.storage.consul_layout import Operation, transaction

T = TypeVar("T")

_RENEWABLE: Final = (Why.DENIED, Why.UNKNOWN)
_MOST: Final = 16  # of all processes of a machine together an agent takes 200
_NOTHING: Final = 0.001  # seconds
_PAUSE: Final = 0.02  # seconds; grows with every refusal, up to one second


class Deadline(NamedTuple):
    """When something must be over.

    Attributes:
        at: by the runtime's monotonic clock.
        seconds: that there were in the beginning.
    """

    at: float
    seconds: float

    @property
    def left(self) -> float:
        """Seconds that there are still, 0 at least."""
        return max(0.0, self.at - runtime.monotonic())


class ConsulRequests:
    """Requests to one Consul. Any number may run at a time.

    Attributes:
        settings: of the store.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._http = Http(settings.http)
        self._turns = Turns(_MOST)
        self._is_closed = False
        self._is_placed = not settings.has_place
        self._knows_empty = True

    def check_open(self, operation: str) -> None:
        """Raise StoreClosed if it is closed."""
        if not fork.MARK[0]:
            fork.settle()
        if self._is_closed:
            raise StoreClosed(self.settings.label, operation)

    def ends(self, timeout: float | None, most: float) -> Deadline:
        """Return when something must be over that may take `timeout` seconds, or `most`."""
        seconds = most if timeout is None else min(timeout, most)
        return Deadline(runtime.monotonic() + seconds, seconds)

    # --- what the store needs -----------------------------------------------------------------

    def value(self, operation: str, path: str, ends: Deadline) -> bytes | None:
        """Return what the key of a path holds; None if it is not there."""
        url = self.settings.read_url(f"kv/{path}", "raw")
        answer = self.request(operation, "GET", url, ends)
        if not answers.is_read(answer.headers):
            raise self.no_consul(operation)
        return answer.body if answer.status == 200 else None  # noqa: PLR2004

    def below(
        self, operation: str, url: str, ends: Deadline, read: Callable[[bytes], list[T]]
    ) -> list[T]:
        """Return what is said of a tree of keys."""
        answer = self.request(operation, "GET", url, ends)
        if not answers.is_read(answer.headers):
            raise self.no_consul(operation)
        if answer.status != 200:  # noqa: PLR2004
            return []
        return self._read(operation, answer.body, read)

    def put(self, operation: str, path: str, value: bytes, ends: Deadline, *cas: str) -> bool:
        """Write one key; return whether it was as `cas` demands."""
        url = self.settings.url(f"kv/{path}", *cas)
        answer = self.request(operation, "PUT", url, ends, body=value)
        return self._is_true(operation, answer.body)

    def delete(self, operation: str, path: str, ends: Deadline) -> None:
        """Remove one key, be it there or not."""
        answer = self.request(operation, "DELETE", self.settings.url(f"kv/{path}"), ends)
        self._is_true(operation, answer.body)

    def _is_true(self, operation: str, body: bytes) -> bool:
        said = body.strip()
        if said not in {b"true", b"false"}:
            raise self.no_consul(operation)
        return said == b"true"

    def is_nobody(self, operation: str) -> bool:
        """Whether we do not say who we are: there is no token."""
        return not self._token(operation)

    def read(self, operation: str, steps: Sequence[Operation], ends: Deadline) -> Reply:
        """Return what a transaction of reads found, as consistent as was asked for."""
        return self._transact(operation, steps, self.settings.read_url("txn"), ends)

    def transact(self, operation: str, steps: Sequence[Operation], ends: Deadline) -> Reply:
        """Return what came of a transaction that decides about a write, or is one."""
        return self._transact(operation, steps, self.settings.url("txn"), ends)

    def pairs(
        self, operation: str, keys: Sequence[str], ends: Deadline, url: str
    ) -> dict[str, Pair]:
        """Return what keys hold as of one moment; what the token may not read is missing."""
        names = self.settings.names
        if self._knows_empty:
            reply = self._transact(operation, [names.get(key) for key in keys], url, ends)
            if not reply.failures:
                return reply.pairs()
            # Consul before 1.14 takes what it does not know for a write. Later ones deny no read.
            if not all(one.is_unknown or one.is_denied for one in reply.failures):
                raise self.failed(operation, reply)
            self._knows_empty = False
        present, absent = list(dict.fromkeys(keys)), dict[str, Pair]()
        while present:
            steps = [names.get_present(key) for key in present]
            reply = self._transact(operation, steps, url, ends)
            if not reply.failures:
                return absent | reply.pairs()
            if not all(one.is_absent for one in reply.failures):
                raise self.failed(operation, reply)
            gone = [present[one.op_index] for one in reply.failures]
            absent |= {key: Pair(key) for key in gone}
            present = [key for key in present if key not in absent]
        return absent

    def close(self) -> None:
        """Close all connections; what is under way fails."""
        self._is_closed = True
        self._http.close()

    def failed(self, operation: str, reply: Reply) -> StoreError:
        """Return the error for a transaction that failed; no text of the server is shown."""
        if reply.is_denied:
            return self.denied(operation)
        reason = "the transaction failed, and nothing of it was done: see the log of the agent"
        return StoreUnavailable(self.settings.label, operation, reason)

    def denied(self, operation: str) -> StoreError:
        """Return the error for a token that has too few rights."""
        is_nobody = self.is_nobody(operation)
        reason = NONE_GIVEN if is_nobody else "the token may not do all of it"
        return self._refused(operation, Refusal(Why.DENIED, reason))

    # --- how it is asked ----------------------------------------------------------------------

    def _transact(
        self, operation: str, steps: Sequence[Operation], url: str, ends: Deadline
    ) -> Reply:
        body = transaction(steps)
        self._check_place(operation, ends)
        while True:
            token = self._token(operation)
            answer = self.request(operation, "PUT", url, ends, body=body)
            reply = self._read(operation, answer.body, answers.reply)
            if not reply.is_denied or not self.settings.token.is_renewed(token):
                return reply

    def _read(self, operation: str, body: bytes, read: Callable[[bytes], T]) -> T:
        try:
            return runtime.beside(len(body), read, body)
        except NotConsul:
            raise self.no_consul(operation) from None

    def _check_place(self, operation: str, ends: Deadline) -> None:
        """Fail where there are no namespaces: a transaction would use the only one there is."""
        if not self._is_placed:
            self.value(operation, self.settings.names.marker_path, ends)
            self._is_placed = True

    def request(
        self, operation: str, method: str, url: str, ends: Deadline, *, body: bytes | None = None
    ) -> HttpResponse:
        """Return an answer that is one; a key that is not there is an answer, too."""
        pause = _PAUSE
        refusal: Refusal | None = None
        while True:
            token = self._token(operation)
            try:
                answer = self._answer(operation, method, url, ends, token=token, body=body)
            except Late:
                if refusal is None:
                    raise
                raise self._refused(operation, refusal) from None  # that is what took the time
            refusal = answers.refusal(answer.status, answer.headers, answer.body)
            if refusal is None:
                return answer
            if refusal.why in _RENEWABLE and self.settings.token.is_renewed(token):
                continue
            wait = refusal.pause or pause * random.uniform(0.5, 1.5)  # noqa: S311  no secret
            if refusal.why is not Why.BUSY or wait >= ends.left:
                raise self._refused(operation, refusal)
            runtime.Event().wait(wait)
            pause = min(1.0, 2 * pause)

    def _answer(
        self,
        operation: str,
        method: str,
        url: str,
        ends: Deadline,
        *,
        token: Mapping[str, str],
        body: bytes | None,
    ) -> HttpResponse:
        self.check_open(operation)
        if not self._turns.take(ends.left):
            reason = f"{_MOST} requests are under way, and none ended within {ends.seconds:g} s"
            raise StoreUnavailable(self.settings.label, operation, reason)
        try:
            left = max(ends.left, _NOTHING)
            return self._http.request(method, url, token, body, timeout=left)
        except UpstreamUnavailable as exc:
            self.check_open(operation)
            raise unreachable(self.settings.label, operation, exc, ends.seconds) from exc
        finally:
            self._turns.give()

    def _token(self, operation: str) -> dict[str, str]:
        try:
            return self.settings.token.header
        except NoToken as exc:
            raise StoreUnavailable(self.settings.label, operation, str(exc)) from None

    def _refused(self, operation: str, refusal: Refusal) -> StoreError:
        return refused(self.settings.label, operation, refusal, self.settings.names)

    def no_consul(self, operation: str) -> StoreUnavailable:
        """Return the error for an answer that no Consul gives."""
        return StoreUnavailable(self.settings.label, operation, NOT_CONSUL)
