"""What several settings are checked for; a setting that cannot work raises `ConfigError`."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from flagkeep.errors import ConfigError

log = logging.getLogger("flagkeep.client")

HIGHEST_PORT: Final = 65535
LONGEST: Final = 1_000_000_000  # seconds: 31 years, which the clocks of all systems can wait for

_URL: Final = re.compile(
    r"https?://(?:[^\s/?#]*@)?(?:\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s/?#@:\[\]]+)"
    r"(?::(?P<port>\d{1,5}))?(?:/[^\s?#]*)?"
)


def check_seconds(name: str, seconds: object) -> None:
    """Check a positive number of seconds, of a size that can be waited for."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not seconds > 0:  # type: ignore[operator]  # is_number says so
        raise ConfigError(f"{name} must be a number of seconds above 0, not {_shown(seconds)}")
    if seconds > LONGEST:  # type: ignore[operator]  # as above
        raise ConfigError(f"{name} must be at most {LONGEST} seconds, not {_shown(seconds)}")


def check_count(name: str, value: object) -> None:
    """Check a positive whole number."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a whole number above 0, not {_shown(value)}")


def check_switches(settings: object, *names: str) -> None:
    """Check settings that are either on or off: what is merely true may be the word "false"."""
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, bool):
            raise ConfigError(f"{name} must be True or False, not {_shown(value)}")


def check_text(settings: object, *names: str) -> None:
    """Check settings that are text; what it says may be a secret."""
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, str):
            raise ConfigError(f"{name} must be a string, not {type(value).__name__}")


def check_parts(settings: object, parts: Mapping[str, type]) -> None:
    """Check settings that are settings of a class of their own."""
    for name, kind in parts.items():
        value = getattr(settings, name)
        if not isinstance(value, kind):
            made = "the class itself" if value is kind else type(value).__name__
            raise ConfigError(f"{name} must be a flagkeep.{kind.__name__}(…), not {made}")


def check_uri(settings: msgspec.Struct, name: str) -> None:
    """Check a base URI; the slashes at its end are dropped, and what would be a secret in it."""
    uri = getattr(settings, name)
    if not is_http_url(uri):
        raise ConfigError(
            f"{name} must be a URL that begins with http:// or https:// and has a host, such as"
            " https://relay.example:8030"
        )
    scheme, _, rest = uri.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at:
        log.warning("the user in %s is dropped: the SDK key is what servers are told", name)
        uri = f"{scheme}://{rest[len(user) + 1 :]}"
    msgspec.structs.force_setattr(settings, name, uri.rstrip("/"))


def is_http_url(value: object) -> bool:
    """Whether it is a URL of a web server, without query and fragment."""
    if not isinstance(value, str):
        return False
    found = _URL.fullmatch(value)
    return found is not None and int(found["port"] or 0) <= HIGHEST_PORT


def check_files(settings: Any) -> None:
    """Check the certificate files that settings name, and keep their paths as text."""
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(settings, name)
        if path is None:
            continue
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(f"{name} must be a path, not {type(path).__name__}")
        msgspec.structs.force_setattr(settings, name, os.fspath(path))
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{name}: there is no file {os.fspath(path)!r} that can be read")
    if settings.key_file is not None and settings.cert_file is None:
        raise ConfigError("key_file needs cert_file: the certificate that the key belongs to")


def as_tuple(name: str, values: object) -> tuple[Any, ...]:
    """Return the elements of a list; one string is none."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise ConfigError(f"{name} must be a list, not {type(values).__name__}")
    return tuple(values)


def _shown(value: object) -> str:
    """Return a value for a message: its type unless it is harmless, it might be a secret."""
    is_harmless = value is None or isinstance(value, bool | int | float)
    return repr(value) if is_harmless else f"a {type(value).__name__}"
