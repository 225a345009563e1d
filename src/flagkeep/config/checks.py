"""What several settings are checked for; a setting that cannot work raises `ConfigError`."""

import math
import os
from collections.abc import Iterable
from typing import Any

import msgspec

from flagkeep.errors import ConfigError


def check_seconds(name: str, seconds: object) -> None:
    """Check a positive number of seconds."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds < math.inf:  # type: ignore[operator]  # is_number says so
        raise ConfigError(f"{name} must be a number of seconds above 0, not {seconds!r}")


def check_count(name: str, value: object) -> None:
    """Check a positive whole number."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name} must be a whole number above 0, not {value!r}")


def check_uri(settings: msgspec.Struct, name: str) -> None:
    """Check a base URI, and drop the slashes at its end."""
    uri = getattr(settings, name)
    if not is_http_url(uri):
        raise ConfigError(f"{name} must be a URL that begins with http:// or https://")
    msgspec.structs.force_setattr(settings, name, uri.rstrip("/"))


def is_http_url(value: object) -> bool:
    """Whether it is a URL of a web server."""
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        return False
    return bool(value.partition("://")[2].strip("/"))


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
