"""What the official SDK raises where a database's driver is not installed."""

from collections.abc import Callable
from typing import Final, TypeVar

from flagkeep.errors import MissingExtra

T = TypeVar("T")

FLAGS: Final = "a feature store"
BIG_SEGMENTS: Final = "a Big Segment store"


class DriverNotInstalled(MissingExtra, NotImplementedError):
    """A driver is not there. The official SDK raises `NotImplementedError`; so this is one."""


def with_driver(make: Callable[[], T], purpose: str) -> Callable[[], T]:
    """Return `make` with the official error where the driver is missing.

    Args:
        make: makes a store of `flagkeep.stores`.
        purpose: what the store is for, such as `a feature store in Redis`.
    """

    def made() -> T:
        try:
            return make()
        except MissingExtra as exc:
            raise DriverNotInstalled(exc.extra, purpose) from None

    return made
