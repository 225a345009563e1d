"""How a store in Consul writes: in transactions, one after the other, the marker last."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from flagkeep._sync.stores import attempts
from flagkeep._sync.stores.consul_requests import ConsulRequests, Deadline
from flagkeep._runtime import threads as runtime
from flagkeep._runtime.consul_errors import Late, NameRefused, TooLarge, Unreachable, rules
from flagkeep._runtime.consul_settings import LONG
from flagkeep.errors import StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, Kind, SerializedItem
from flagkeep.storage import consul_answers as answers
from flagkeep.storage.consul_answers import Failure, Pair
from flagkeep.storage.consul_batches import MOST_BYTES, MOST_OPERATIONS, Limit, Replacement
from flagkeep.storage.consul_layout import Operation, escaped
from flagkeep.storage.contents import WriterRecord
from flagkeep.storage.items import without_unstorable
from flagkeep.storage.ordering import write_order
from flagkeep.storage.unstored import Unstored
from flagkeep.storage.updates import Update

log: Final = logging.getLogger("flagkeep.stores.consul")


class ConsulWrites:
    """What changes the keys of one environment. Any number of calls may run at a time.

    Args:
        requests: to the server.

    Attributes:
        unstored: what the server does not take.
    """

    def __init__(self, requests: ConsulRequests) -> None:
        self._requests = requests
        self._settings = requests.settings
        self._names = requests.settings.names
        self._may_sign = True
        self._has_complained = False
        self.unstored = Unstored()

    def replace(self, changes: ChangeSet, record: WriterRecord | None) -> None:
        """Put a full set in the place of everything.

        In one transaction where it fits into one. Else a reader may see a part of it. Items that
        the server does not take stay as they are.
        """
        operation = "replace"
        self._may_sign = True  # the token may have got the right meanwhile
        changes = self._storable(changes)
        stored = {kind: self._stored(operation, kind) for kind in Kind}
        found = self._fresh(operation, ())
        plan = Replacement(
            self._names,
            changes,
            stored,
            old_record=self._record_in(found),
            record=record if self._may_sign else None,
            now=runtime.wall_time(),
        )
        limit = Limit()
        if not self._is_done_at_once(operation, plan.at_once(limit), limit):
            refused = self._send(operation, plan.first(), limit)
            kept = {ref: self._text(operation, ref) for ref in refused}
            self._send(operation, plan.last(kept), limit)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer; return what is there instead of the rest.

        What fits into one transaction is written at once. Nothing of that is written unless all of
        it still is what the decision was made on.
        """
        items = write_order(self._storable(changes))
        steps = [self._names.put(self._names.key(ref), item.data) for ref, item in items]
        refused: dict[ItemRef, SerializedItem] = {}
        limit, place = Limit(), 0
        while place < len(steps):
            batch = limit.batch(steps, place, MOST_OPERATIONS - 1)  # and the record
            try:
                refused |= self._upsert(dict(items[place : place + len(batch)]), limit)
            except TooLarge:
                if not limit.allows(batch):  # it was not about this
                    raise
                limit.lower_below(batch)
            else:
                place += len(batch)
        return refused

    def clear(self) -> None:
        """Remove everything, at once."""
        self._run("clear", self._names.delete_everything())

    # --- reading what is to be written over ---------------------------------------------------

    def _stored(self, operation: str, kind: Kind) -> list[str]:
        """Return the keys of all items of a kind that are there."""
        url = self._settings.url(f"kv/{escaped(self._names.trees[kind])}", "keys")
        return self._requests.below(operation, url, self._ends(), answers.keys)

    def _fresh(self, operation: str, refs: Iterable[ItemRef]) -> dict[str, Pair]:
        """Return what is there of items, and of the record if we may write it."""
        keys = [self._names.key(ref) for ref in refs]
        asked = [*keys, self._names.record] if self._may_sign else keys
        if not asked:
            return {}
        url = self._settings.url("txn")
        found = self._requests.pairs(operation, asked, self._ends(), url)
        if not all(key in found for key in keys):
            raise self._requests.denied(operation)
        if self._may_sign and self._names.record not in found:
            self._sign_no_more()
        return found

    def _text(self, operation: str, ref: ItemRef) -> bytes | None:
        found = self._fresh(operation, [ref])
        return found[self._names.key(ref)].text

    def _record_in(self, found: Mapping[str, Pair]) -> bytes | None:
        pair = found.get(self._names.record)
        return None if pair is None else pair.text

    # --- a full set ---------------------------------------------------------------------------

    def _is_done_at_once(
        self, operation: str, steps: Sequence[Operation] | None, limit: Limit
    ) -> bool:
        if steps is None:
            return False
        try:
            self._run(operation, steps)
        except TooLarge:
            limit.lower_below(steps)
            return False
        return True

    def _send(
        self, operation: str, steps: Sequence[Operation], limit: Limit
    ) -> list[ItemRef]:
        """Write one batch after the other; return the items that are too large."""
        place = 0
        refused = []
        while place < len(steps):
            batch = limit.batch(steps, place)
            try:
                if len(batch) > 1 or limit.allows(batch):
                    self._run(operation, batch)
                else:
                    refused += self._refused_alone(operation, batch[0])
            except TooLarge:
                limit.lower_below(batch)
            else:
                place += len(batch)
        return refused

    def _run(self, operation: str, steps: Sequence[Operation]) -> None:
        """Run a transaction, without the record where the token has no right to it."""
        while steps:
            reply = self._requests.transact(operation, steps, self._ends())
            if not reply.failures:
                return
            if not self._is_unsigned_by(reply.failures, steps):
                raise self._requests.failed(operation, reply)
            steps = [step for step in steps if step.key != self._names.record]

    def _refused_alone(self, operation: str, step: Operation) -> list[ItemRef]:
        """Do to one item what no transaction can; return it if the server does not take it."""
        ref = self._names.ref(step.key)
        path = None if ref is None else self._names.path(ref)
        if step.value is None and path is not None:
            self._requests.delete(operation, path, self._ends())
            return []
        if ref is None or step.value is None:
            reason = "it does not even take a transaction of one short key: see txn_max_req_len"
            raise StoreUnavailable(self._settings.label, operation, reason)
        if path is not None and self._put(operation, path, step.value) is not None:
            return []
        self._complain(ref, step.value)
        return [ref]

    def _put(self, operation: str, path: str, data: bytes, *cas: str) -> bool | None:
        """Write one key; return whether it was as `cas` demands, None if it is not taken."""
        try:
            return self._requests.put(operation, path, data, self._ends(), *cas)
        except (TooLarge, NameRefused):
            return None
        except Late:
            raise
        except Unreachable:
            if len(data) <= MOST_BYTES:
                raise
            # It may have hung up on so much. Or was it something else?
            with suppress(NameRefused):
                self._requests.value(operation, self._names.marker_path, self._ends())
            return None

    # --- changes ------------------------------------------------------------------------------

    def _upsert(
        self, items: Mapping[ItemRef, SerializedItem], limit: Limit
    ) -> dict[ItemRef, SerializedItem]:
        """Write what is newer of items that go together; return what is there instead of others."""
        operation, changes = "upsert", ChangeSet.partial(items)
        for attempt in range(attempts.MOST):
            attempts.pause(attempt)
            found = self._fresh(operation, items)
            texts = answers.texts(self._names, items, found)
            update = Update(changes, texts, self._record_in(found), runtime.wall_time())
            if not update.items or self._is_written(operation, update, found, limit):
                return update.refused
        count = "1 item was" if len(items) == 1 else f"{len(items)} items were"
        reason = f"{attempts.OVERTAKEN}; {count} not written"
        raise StoreUnavailable(self._settings.label, operation, reason)

    def _is_written(
        self, operation: str, update: Update, found: Mapping[str, Pair], limit: Limit
    ) -> bool:
        """Write an update; return False if it has to be made again."""
        steps = [
            self._put_over(found, self._names.key(ref), item.data)
            for ref, (_, item) in update.items.items()
        ]
        if len(steps) == 1 and not limit.allows(steps):
            return self._is_written_alone(operation, steps[0], update)
        if update.record is not None:
            steps.append(self._put_over(found, self._names.record, update.record))
        reply = self._requests.transact(operation, steps, self._ends())
        if not reply.failures:
            return True
        is_stale = all(one.is_stale for one in reply.failures)
        if not is_stale and not self._is_unsigned_by(reply.failures, steps):
            raise self._requests.failed(operation, reply)
        return False

    def _is_written_alone(self, operation: str, step: Operation, update: Update) -> bool:
        """Write an item that no transaction can, and then the record."""
        (ref,), data = update.items, step.value or b""
        path = self._names.path(ref)
        is_as_read = None
        if path is not None:
            is_as_read = self._put(operation, path, data, f"cas={step.index}")
        if is_as_read is None:
            self._complain(ref, data)
        elif is_as_read:
            self._sign_after(operation, update)
        return is_as_read is not False

    def _sign_after(self, operation: str, update: Update) -> None:
        """Write into the record what has been written already."""
        items = {ref: item for ref, (_, item) in update.items.items()}
        texts = {ref: text for ref, (text, _) in update.items.items()}
        for attempt in range(attempts.MOST):
            attempts.pause(attempt)
            found = self._fresh(operation, ())
            old = self._record_in(found)
            record = Update(ChangeSet.partial(items), texts, old, runtime.wall_time()).record
            if record is None:
                return
            steps = [self._put_over(found, self._names.record, record)]
            reply = self._requests.transact(operation, steps, self._ends())
            if not reply.failures or self._is_unsigned_by(reply.failures, steps):
                return
        log.info("%s: the record does not count the last change", self._settings.label)

    def _put_over(self, found: Mapping[str, Pair], key: str, data: bytes) -> Operation:
        return self._names.put_over(key, data, found[key].modify_index)

    # --- what cannot be stored ----------------------------------------------------------------

    def _is_unsigned_by(self, failures: Sequence[Failure], steps: Sequence[Operation]) -> bool:
        """Whether it failed only because the token may not write the record: then none is."""
        record = self._names.record
        if any(not one.is_denied or steps[one.op_index].key != record for one in failures):
            return False
        self._sign_no_more()
        return True

    def _sign_no_more(self) -> None:
        self._may_sign = False
        if not self._has_complained:
            self._has_complained = True
            log.warning(
                "%s: the token may not write %s, so nobody can see who wrote and when; %s",
                self._settings.label,
                self._names.record,
                rules(self._names),
            )

    def _storable(self, changes: ChangeSet) -> ChangeSet:
        kept, bad = without_unstorable(changes)
        self.unstored.note(changes, bad)
        for complaint in bad:
            log.warning("%s: not stored: %s", self._settings.label, complaint)
        return kept

    def _complain(self, ref: ItemRef, data: bytes) -> None:
        problem = f"a text of {len(data)} bytes is too large for the server (kv_max_value_size)"
        if self._names.path(ref) is None:
            problem = (
                f"a text of {len(data)} bytes is too large for a transaction (txn_max_req_len), and"
                " a key like this needs one"
            )
        complaint = BadItem(*ref, "$", problem)
        log.error("%s: not stored: %s", self._settings.label, complaint)
        self.unstored.refuse(complaint)

    def _ends(self) -> Deadline:
        return self._requests.ends(None, LONG * self._settings.timeout)
