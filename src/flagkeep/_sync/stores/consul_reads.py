"""How a store in Consul reads: in transactions, or by GET alone where it may not use them."""

import logging
from collections.abc import Sequence
from typing import Final

from flagkeep._sync.stores.consul_requests import ConsulRequests, Deadline
from flagkeep._runtime.consul_errors import (
    AccessDenied,
    NameRefused,
    TokenUnknown,
    TooLarge,
    WritesRefused,
    rules,
)
from flagkeep.model.item import ItemRef
from flagkeep.storage import consul_answers as answers
from flagkeep.storage.consul_answers import Everything, Pair
from flagkeep.storage.consul_batches import Limit
from flagkeep.storage.consul_layout import escaped
from flagkeep.storage.contents import WriterRecord, half_done

log: Final = logging.getLogger("flagkeep.stores.consul")


class ConsulReads:
    """What reads the keys of one environment. Any number of calls may run at a time.

    A transaction is the only way to read several keys as of one moment. It is sent by PUT, which
    an agent may be told to take from certain machines only.

    Args:
        requests: to the server.
    """

    def __init__(self, requests: ConsulRequests) -> None:
        self._requests = requests
        self._settings = requests.settings
        self._names = requests.settings.names
        self._may_transact = True
        self._may_see_record = True
        self._has_complained = False

    def item(self, operation: str, ref: ItemRef, ends: Deadline) -> bytes | None:
        """Return the text of an item; None if it is not there."""
        path = self._names.path(ref)
        if path is not None:  # nearly always, and the cheapest
            return self._value(operation, self._names.key(ref), path, ends)
        found = self.items(operation, [ref], ends)
        return found[ref]

    def items(
        self, operation: str, refs: Sequence[ItemRef], ends: Deadline
    ) -> dict[ItemRef, bytes | None]:
        """Return the texts of items; None for one that is not there."""
        if self._may_transact:
            try:
                keys = [self._names.key(ref) for ref in refs]
                found = self._transacted(operation, keys, ends)
            except WritesRefused as exc:
                self._transact_no_more(exc.reason)
            else:
                return answers.texts(self._names, refs, found)
        paths = {ref: self._names.path(ref) for ref in refs}
        texts = {
            ref: self._requests.value(operation, path, ends)
            for ref, path in paths.items()
            if path is not None
        }
        if len(texts) == len(paths):
            return texts
        everything = self.everything(operation, ends)
        found = {pair.key: pair for pair in everything.pairs}
        keyed = {ref: found.get(self._names.key(ref)) for ref in paths}
        return {ref: None if pair is None else pair.text for ref, pair in keyed.items()}

    def is_marked(self, operation: str, ends: Deadline) -> bool:
        """Return whether the marker is there."""
        names = self._names
        return self._value(operation, names.marker, names.marker_path, ends) is not None

    def _value(self, operation: str, key: str, path: str, ends: Deadline) -> bytes | None:
        """Return what a key holds, which a URL ought to carry; None if it is not there."""
        try:
            return self._requests.value(operation, path, ends)
        except NameRefused:
            if not self._may_transact:
                raise
        found = self._transacted(operation, [key], ends)
        return found[key].text

    def everything(self, operation: str, ends: Deadline) -> Everything:
        """Return all there is, and whether somebody is replacing it."""
        found = self._at_once(operation, ends) if self._may_transact else None
        if found is None:
            found = self._one_by_one(operation, ends)
        if not found.is_sure or self._requests.is_nobody(operation):
            self._check_rights(operation, found, ends)
        return found

    def _at_once(self, operation: str, ends: Deadline) -> Everything | None:
        """Return all there is as of one moment; None if there are no transactions for us."""
        names, requests = self._names, self._requests
        steps = names.get_everything()
        asked = [*steps, names.get_record()] if self._may_see_record else steps
        try:
            reply = requests.read(operation, asked, ends)
            if reply.is_denied and len(asked) > len(steps):
                reply = requests.read(operation, steps, ends)
                if not reply.is_denied:
                    self._see_record_no_more()
        except WritesRefused as exc:
            self._transact_no_more(exc.reason)
            return None
        if reply.failures or reply.is_filtered:
            raise requests.failed(operation, reply)
        pairs = [result.kv for result in reply.results or ()]
        return answers.as_of_one_moment(names, pairs, is_sure=reply.is_filtered is not None)

    def _one_by_one(self, operation: str, ends: Deadline) -> Everything:
        """Return all there is by several requests, between two looks at the record."""
        names = self._names
        before = self._record(operation, ends)
        marker = self._requests.value(operation, names.marker_path, ends)
        found = [] if marker is None else [Pair(names.marker, marker, modify_index=1)]
        for start in names.trees.values():
            url = self._settings.read_url(f"kv/{escaped(start)}", "recurse")
            found += self._requests.below(operation, url, ends, answers.pairs)
        unfinished = half_done(before, self._record(operation, ends))
        return Everything(found, unfinished)

    def _record(self, operation: str, ends: Deadline) -> WriterRecord | None:
        if not self._may_see_record:
            return None
        return WriterRecord.decode(self.record(operation, ends))

    def _check_rights(self, operation: str, found: Everything, ends: Deadline) -> None:
        """Fail if what seems to be empty may not be read.

        Of what it leaves out of a set Consul tells those alone who have a token, and before 1.11
        nobody. Whoever asks for a single key is refused, be it there or not.
        """
        names = self._names
        for start in (names.marker, *names.trees.values()):
            if not any(pair.key.startswith(start) for pair in found.pairs):
                self._value(operation, start, escaped(start), ends)

    def record(self, operation: str, ends: Deadline) -> bytes | None:
        """Return the text of the record; None if there is none, or the token may not read it."""
        try:
            text = self._requests.value(operation, self._names.record_path, ends)
        except TokenUnknown:
            raise
        except AccessDenied:
            self._see_record_no_more()
            return None
        self._may_see_record = True  # the token may have got the right meanwhile
        return text

    def _transacted(
        self, operation: str, keys: Sequence[str], ends: Deadline
    ) -> dict[str, Pair]:
        url = self._settings.read_url("txn")
        steps = [self._names.get(key) for key in keys]
        found: dict[str, Pair] = {}
        limit = Limit()
        place = 0
        while place < len(steps):
            batch = limit.batch(steps, place)
            try:
                asked = [step.key for step in batch]
                found |= self._requests.pairs(operation, asked, ends, url)
            except TooLarge:
                if len(batch) == 1:
                    raise
                limit.lower_below(batch)
            else:
                place += len(batch)
        if len(found) < len(set(keys)):
            raise self._requests.denied(operation)
        return found

    def _see_record_no_more(self) -> None:
        self._may_see_record = False
        if not self._has_complained:
            self._has_complained = True
            text = "%s: the token may not read %s, so nobody can see who wrote and when; %s"
            log.warning(text, self._settings.label, self._names.record, rules(self._names))

    def _transact_no_more(self, reason: str) -> None:
        self._may_transact = False
        log.info("%s: reads key by key: %s", self._settings.label, reason)
