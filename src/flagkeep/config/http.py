"""How servers are reached, and who asks."""

import logging
import os
import re
from typing import Final

import msgspec

from flagkeep.config.checks import (
    check_count,
    check_files,
    check_seconds,
    check_switches,
    check_text,
    is_http_url,
)
from flagkeep.errors import ConfigError

log = logging.getLogger("flagkeep.client")

_TAG: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How servers are reached: for the stream, polls and events alike.

    Attributes:
        connect_timeout: seconds until a connection must stand.
        read_timeout: seconds without a byte of an answer; the stream has its own, 300 s.
        proxy: URL of an HTTP proxy for everything, `http://user:password@host:port`; None: what the
            environment variables `http_proxy`, `https_proxy` and `no_proxy` say.
        ca_file: certificates to trust, in PEM form; None: those of the system.
        cert_file: our own certificate, for servers that ask for one.
        key_file: its key; None: it is in `cert_file`.
        key_password: of the key, if it is encrypted.
        verify: whether a server's certificate and name are checked.
        max_response_bytes: the longest answer, or event of a stream, that is taken in.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 15.0
    proxy: str | None = None
    ca_file: str | os.PathLike[str] | None = None
    cert_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    key_password: str | None = None
    verify: bool = True
    max_response_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        check_seconds("connect_timeout", self.connect_timeout)
        check_seconds("read_timeout", self.read_timeout)
        check_files(self)
        if self.key_password is not None:
            check_text(self, "key_password")
        check_switches(self, "verify")
        check_count("max_response_bytes", self.max_response_bytes)
        if self.proxy is not None and not is_http_url(self.proxy):
            raise ConfigError("proxy must be a URL such as http://user:password@host:3128")

    def __repr__(self) -> str:
        return f"HttpSettings(verify={self.verify}, …)"  # a proxy's URL may hold a password


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """What the application calls itself, for statistics upstream.

    Each is at most 64 letters, digits, `.`, `_` or `-`; another one is dropped with a warning.
    """

    id: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "version"):
            value = getattr(self, name)
            if not isinstance(value, str) or (value and not _TAG.fullmatch(value)):
                log.warning(
                    "application %s is dropped: it may have at most 64 letters, digits, '.', '_'"
                    " and '-'",
                    name,
                )
                msgspec.structs.force_setattr(self, name, "")


class Wrapper(msgspec.Struct, frozen=True, kw_only=True):
    """The library around this one that the application uses, for statistics upstream."""

    name: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        check_text(self, "name", "version")
