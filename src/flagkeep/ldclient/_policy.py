"""The store policy that `install` was given; one per process, as `install` itself is."""

from flagkeep.config import StorePolicy

_installed: list[StorePolicy] = []


def install(policy: StorePolicy) -> None:
    """Use `policy` for every client made from now on."""
    _installed[:] = [policy]


def current() -> StorePolicy | None:
    """Return the policy that was installed, None if none was."""
    return _installed[0] if _installed else None
