"""A real Redis, or Valkey."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from tests.servers.resp import RedisConnection, RedisError
from tests.servers.server import LOOPBACK, Server


class RedisServer(Server):
    """A Redis that keeps nothing on disk unless told to `SAVE`.

    Args:
        *arguments: further arguments, such as `"--maxmemory", "1mb"`.
        tls: listen with TLS only.
        client_certificates: with TLS, refuse clients without a certificate.
        password: what `default` must give.

    Attributes:
        url: `redis://…` or `rediss://…`, without the password.
        unix_url: the same server by its Unix socket.
        ca_file, cert_file, key_file: with TLS, the authority to trust and a client's certificate.
    """

    programs: ClassVar[Sequence[str]] = ("redis-server", "valkey-server")
    install: ClassVar[str] = "apt-get install redis-server"

    def __init__(
        self,
        *arguments: str,
        tls: bool = False,
        client_certificates: bool = False,
        password: str | None = None,
    ) -> None:
        super().__init__()
        self._arguments = list(arguments)
        self._password = password
        if password is not None:
            self._arguments += ["--requirepass", password]
        self._socket = str(self.folder / "redis.sock")
        self.url = f"redis{'s' if tls else ''}://{LOOPBACK}:{self.port}/0"
        self.unix_url = f"unix://{self._socket}"
        self.ca_file = str(self.folder / "ca.pem")
        self.cert_file = str(self.folder / "client.pem")
        self.key_file = str(self.folder / "client.key")
        self._listen = ["--port", str(self.port)]
        if tls:
            self._listen = self._listen_with_tls(client_certificates=client_certificates)

    def command(self) -> Sequence[str]:
        """Return the arguments to start it with, after the program."""
        listen = [*self._listen, "--bind", LOOPBACK, "--unixsocket", self._socket]
        keep = ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        return [*listen, *keep, *self._arguments]

    def is_ready(self) -> bool:
        """Return whether it answers; not while it loads what it has saved."""
        try:
            return bool(self.cli("PING") == b"PONG")
        except (OSError, RedisError):
            return False

    def cli(self, *arguments: object) -> Any:
        """Send one command; texts come back as bytes, nothing as None."""
        with RedisConnection(self._socket) as connection:
            if self._password is not None:
                connection.command("AUTH", self._password)
            return connection.command(*arguments)

    def forget_saved(self) -> None:
        """Delete what `SAVE` wrote: the next start is an empty one."""
        (self.folder / "dump.rdb").unlink(missing_ok=True)

    def _listen_with_tls(self, *, client_certificates: bool) -> list[str]:
        from tests.servers.certificates import write_certificates  # noqa: PLC0415  seldom needed

        write_certificates(self.folder)
        files = ["--tls-cert-file", str(self.folder / "server.pem")]
        files += ["--tls-key-file", str(self.folder / "server.key")]
        files += ["--tls-ca-cert-file", self.ca_file]
        clients = "yes" if client_certificates else "optional"
        return ["--port", "0", "--tls-port", str(self.port), *files, "--tls-auth-clients", clients]


def given_url() -> str | None:
    """Return the URL of the Redis to be used instead of our own; what it names is emptied."""
    return os.environ.get("FLAGKEEP_TEST_REDIS_URL")


def connect(url: str) -> RedisConnection:
    """Return a connection to the database that a `redis://` URL names."""
    place = urlsplit(url)
    connection = RedisConnection((place.hostname or "localhost", place.port or 6379))
    try:
        if place.password is not None:
            user = [] if not place.username else [unquote(place.username)]
            connection.command("AUTH", *user, unquote(place.password))
        connection.command("SELECT", place.path.strip("/") or 0)
    except BaseException:
        connection.close()
        raise
    return connection


def empty(url: str) -> None:
    """Empty the database that a `redis://` URL names."""
    with connect(url) as connection:
        connection.command("FLUSHDB")
