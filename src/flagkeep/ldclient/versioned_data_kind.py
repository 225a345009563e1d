"""Which kinds of item a feature store keeps: `FEATURES`, the flags, and `SEGMENTS`."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from flagkeep.ldclient._items import DataItem, as_dict, named, serialized
from flagkeep.model.item import Kind


class VersionedDataKind:
    """One kind of item.

    Attributes:
        namespace: its name in a store.
        request_api_path: where a single item was once requested.
        stream_api_path: the prefix of its keys in a stream.
    """

    def __init__(
        self,
        namespace: str,
        request_api_path: str,
        stream_api_path: str,
        decoder: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        self.namespace = namespace
        self.request_api_path = request_api_path
        self.stream_api_path = stream_api_path
        self._decoder = decoder

    def decode(self, data: Any) -> Any:
        """Return an item as the SDK uses it, made from its JSON form.

        Raises:
            ValueError: it is no such item.
        """
        if self._decoder is None or isinstance(data, DataItem):
            return data
        return self._decoder(data)

    def encode(self, item: Any) -> dict[str, Any]:
        """Return the JSON form of an item."""
        return as_dict(item)


class VersionedDataKindWithOrdering(VersionedDataKind):
    """A kind whose items must be written in a certain order.

    Attributes:
        priority: kinds with a lower one are written first.
        get_dependency_keys: which items of the same kind must be written before an item; None
            where there are none.
    """

    def __init__(
        self,
        namespace: str,
        request_api_path: str,
        stream_api_path: str,
        decoder: Callable[[dict[str, Any]], Any] | None,
        priority: int,
        get_dependency_keys: Callable[[dict[str, Any]], Iterable[str]] | None,
    ) -> None:
        super().__init__(namespace, request_api_path, stream_api_path, decoder)
        self.priority = priority
        self.get_dependency_keys = get_dependency_keys


def _checked(kind: Kind) -> Callable[[dict[str, Any]], DataItem]:
    def decode(data: dict[str, Any]) -> DataItem:
        item = as_dict(data)
        serialized(named(kind, item), item)
        return DataItem(item)

    return decode


def _prerequisites(flag: dict[str, Any]) -> list[str]:
    return [one["key"] for one in flag.get("prerequisites") or ()]


FEATURES: Final = VersionedDataKindWithOrdering(
    "features", "/sdk/latest-flags", "/flags/", _checked(Kind.FLAG), 1, _prerequisites
)
SEGMENTS: Final = VersionedDataKindWithOrdering(
    "segments", "/sdk/latest-segments", "/segments/", _checked(Kind.SEGMENT), 0, None
)
