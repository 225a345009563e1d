"""A store that a command works on, and what the parts of store URLs have in common."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

from flagkeep._sync.interfaces import FeatureStore
from flagkeep.cli.connection import Connection
from flagkeep.errors import ConfigError

CONNECT_TIMEOUT: Final = 3.0
# What a name after ? must look like to be repeated in a message: a secret does not.
_HARMLESS: Final = re.compile(r"[a-z_]{1,24}")


class Store(FeatureStore, Protocol):
    """A store that commands work on."""

    def clear(self) -> None:
        """Remove this environment, and nothing else."""
        ...


class OpenStore(NamedTuple):
    """A store, and what to call it.

    Attributes:
        store: it connects when it is first used.
        name: without user and password.
        prefix: the one in force; "" for none.
    """

    store: Store
    name: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.name} {f'under prefix {self.prefix!r}' if self.prefix else '(no prefix)'}"


def options_of(query: str, known: Sequence[str]) -> dict[str, str]:
    """Return what is after the ? of a URL, by name.

    Raises:
        ConfigError: something there is not known, twice there, or has no value.
    """
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in known:
            shown = f"{name!r}" if _HARMLESS.fullmatch(name) else "something"
            raise ConfigError(f"it has {shown} after ?, where only {', '.join(known)} may be")
        if name in found or not value:
            problem = "is there twice" if name in found else "has no value"
            raise ConfigError(f"{name} {problem} after ?")
        found[name] = decoded(value)
    return found


def decoded(text: str) -> str:
    """Return a part of a URL without its escapes.

    Raises:
        ConfigError: they are no text.
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ConfigError("it has escapes (%) that are no UTF-8") from None


def one_prefix(of_url: str | None, connection: Connection) -> str | None:
    """Return the prefix that the URL or the option names, None if none does.

    Raises:
        ConfigError: they name two.
    """
    if of_url and connection.prefix and of_url != connection.prefix:
        raise ConfigError("--prefix and the URL name two prefixes: one is enough")
    return of_url or connection.prefix
