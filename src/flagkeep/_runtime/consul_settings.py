"""Where a Consul is and how to get there; knows neither colour, and opens no connection.

No message of this module shows a part of a URL in which a password could be, and no object of it
shows a token when it is printed.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Never
from urllib.parse import urlsplit

import msgspec

from flagkeep.config import HttpSettings
from flagkeep.config.checks import check_seconds
from flagkeep.errors import ConfigError
from flagkeep.storage.consul_layout import DEFAULT_PREFIX, Names, escaped, prefix_problem

Consistency = Literal["default", "consistent", "stale"]

DEFAULT_URL: Final = "http://127.0.0.1:8500"
FORMS: Final = "http://host:8500, https://host:8501 (TLS) or consul://host:8500"
DEFAULT_CONNECT_TIMEOUT: Final = 1.0
DEFAULT_TIMEOUT: Final = 2.0
# A whole environment may take so many times longer to arrive, as long as something keeps coming.
LONG: Final = 10

_PORTS: Final = {"http": 80, "https": 443, "consul": 8500}
_CONSISTENCIES: Final = ("default", "consistent", "stale")
_TOKEN: Final = re.compile(r"[!-~]+")


class NoToken(Exception):
    """There is no token to be had; the text says why."""


class Token:
    """Who we are to the server, if we say so.

    Attributes:
        file: from which it is read; None if it was given.
    """

    __slots__ = ("_token", "file")

    def __init__(self, token: str | None, file: str | os.PathLike[str] | None) -> None:
        if token is not None and file is not None:
            raise ConfigError("token and token_file were given: one of the two is enough")
        if token is not None and (not isinstance(token, str) or not _TOKEN.fullmatch(token)):
            raise ConfigError("token must be text in ASCII without blanks")
        if file is not None and not isinstance(file, str | os.PathLike):
            raise ConfigError(f"token_file must be a path, not {type(file).__name__}")
        self.file = None if file is None else Path(file)
        self._token = token

    @property
    def header(self) -> dict[str, str]:
        """What a request says; a redirect to another server does not take it along.

        Raises:
            NoToken: the file cannot be read.
        """
        if self._token is None and self.file is not None:
            self._token = self._read(self.file)
        return {} if self._token is None else {"authorization": f"Bearer {self._token}"}

    def is_renewed(self, refused: dict[str, str]) -> bool:
        """Read the file again; return whether there is another token than in that `header`."""
        if self.file is None:
            return False
        try:
            self._token = self._read(self.file)
        except NoToken:
            return False
        return self.header != refused

    @staticmethod
    def _read(file: Path) -> str:
        try:
            token = file.read_text("utf-8").strip()
        except (OSError, ValueError) as exc:
            problem = exc.strerror if isinstance(exc, OSError) else "it is not text"
            raise NoToken(f"token_file {str(file)!r} cannot be read: {problem}") from None
        if not _TOKEN.fullmatch(token):
            raise NoToken(f"token_file {str(file)!r} must hold a token and nothing else")
        return token


class Settings:
    """Everything that is needed to ask a Consul.

    Attributes:
        label: what errors call the server.
        http: how it is reached.
        token: who we are to it.
        names: of the environment's keys.
        timeout: seconds for one answer, and of silence at most.
        has_place: whether keys are in a namespace or partition of their own.
    """

    __slots__ = ("_base", "_consistency", "_place", "has_place", "http", "label", "names",
                 "timeout", "token")  # fmt: skip

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        token: str | None,
        token_file: str | os.PathLike[str] | None,
        datacenter: str | None,
        namespace: str | None,
        partition: str | None,
        consistency: Consistency,
        http: HttpSettings | None,
        connect_timeout: float,
        timeout: float,
    ) -> None:
        self._base, self.label = _server(url)
        check_seconds("connect_timeout", connect_timeout)
        check_seconds("timeout", timeout)
        self.timeout = float(timeout)
        if http is not None and not isinstance(http, HttpSettings):
            raise ConfigError(f"http must be a flagkeep.HttpSettings(…), not {type(http).__name__}")
        has_files = http is not None and (http.ca_file or http.cert_file)
        if has_files and not self._base.startswith("https:"):
            raise ConfigError("http has certificates: they need a url that begins with https://")
        self.http = msgspec.structs.replace(
            http or HttpSettings(), connect_timeout=connect_timeout, read_timeout=timeout
        )
        self.token = Token(token, token_file)
        places = {"dc": datacenter, "ns": namespace, "partition": partition}
        for name, value in places.items():
            if value is not None and (not isinstance(value, str) or not value.isprintable()):
                given = {"dc": "datacenter", "ns": "namespace"}.get(name, name)
                raise ConfigError(f"{given} must be text, not {value!r}")
        self._place = [f"{name}={escaped(value)}" for name, value in places.items() if value]
        self.has_place = bool(namespace or partition)
        if consistency not in _CONSISTENCIES:
            known = ", ".join(map(repr, _CONSISTENCIES))
            raise ConfigError(f"consistency must be one of {known}, not {consistency!r}")
        self._consistency = [] if consistency == "default" else [consistency]
        self.names = Names(
            _checked_prefix(prefix), namespace=namespace or "", partition=partition or ""
        )

    def url(self, path: str, *options: str) -> str:
        """Return where to ask, for what decides about a write or is one."""
        return _joined(f"{self._base}/v1/{path}", [*self._place, *options])

    def read_url(self, path: str, *options: str) -> str:
        """Return where to ask as consistently as was asked for."""
        return self.url(path, *self._consistency, *options)


def _joined(url: str, options: Sequence[str]) -> str:
    return f"{url}?{'&'.join(options)}" if options else url


def _server(url: object) -> tuple[str, str]:
    """Return the base of all URLs, and what errors call the server."""
    if not isinstance(url, str):
        raise ConfigError(f"url must be text such as {DEFAULT_URL}, not {type(url).__name__}")
    scheme = url.partition("://")[0].lower()
    if "://" not in url or scheme not in _PORTS:
        _refuse("it must begin with http://, https:// or consul://")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        _refuse("its host or port cannot be read")
    if not host or port == 0 or not host.isprintable() or " " in host:
        _refuse("its host or port is missing")
    if parts.username is not None:
        _refuse("it has a user; a token is given as token or token_file")
    if parts.query or parts.fragment:
        _refuse("it has a part after ? or #")
    path = parts.path.rstrip("/")
    if path and scheme == "consul":
        _refuse("it has a path; the prefix of an environment is given as prefix")
    shown = f"[{host}]" if ":" in host else host
    number = _PORTS[scheme] if port is None else port
    base = f"{'https' if scheme == 'https' else 'http'}://{shown}:{number}{path}"
    return base, f"consul {shown}:{number}"


def _refuse(problem: str) -> Never:
    raise ConfigError(f"url cannot be used: {problem}. Write {FORMS}") from None


def _checked_prefix(prefix: object) -> str:
    if not isinstance(prefix, str):
        raise ConfigError(f"prefix must be text, not {type(prefix).__name__}")
    problem = prefix_problem(prefix or DEFAULT_PREFIX)
    if problem is not None:
        raise ConfigError(f"prefix cannot be {prefix!r}: {problem}")
    return prefix
