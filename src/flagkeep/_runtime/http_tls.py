"""TLS without a socket, so that both colours encrypt in the same way, also inside of TLS.

What goes in and out are bytes. So a blocked read is always one of a plain socket, which can be shut
down from any thread; and a proxy that is itself reached by TLS is one more layer. And no step waits
for anything, so that a fork can wait for its end.
"""

import ssl
from typing import Final

import httpcore2

from flagkeep._runtime import fork
from flagkeep.config import HttpSettings
from flagkeep.errors import ConfigError

_PIECE: Final = 65_536


def new_context(settings: HttpSettings) -> ssl.SSLContext:
    """Return what connections are encrypted with. Reading the system's authorities takes 30 ms.

    Raises:
        ConfigError: the certificates cannot be used.
    """
    with fork.unforkable:
        return _new_context(settings)


def _new_context(settings: HttpSettings) -> ssl.SSLContext:
    context = _trusting(settings)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file is not None:
        try:
            # Without a password OpenSSL would ask at the terminal.
            context.load_cert_chain(
                settings.cert_file, settings.key_file, lambda: settings.key_password or ""
            )
        except (ssl.SSLError, OSError, ValueError) as exc:
            problem = (
                "cert_file, key_file and key_password do not go together: cert_file needs a"
                " certificate in PEM form, and its key must be there or in key_file"
            )
            raise ConfigError(problem) from exc
    return context


def _trusting(settings: HttpSettings) -> ssl.SSLContext:
    if settings.ca_file is not None:
        try:
            return ssl.create_default_context(cafile=settings.ca_file)
        except (ssl.SSLError, OSError) as exc:
            problem = f"ca_file: {settings.ca_file!r} has no certificates in PEM form"
            raise ConfigError(problem) from exc
    if not settings.verify:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpcore2.default_ssl_context()


class TlsEnd:
    """Our end of an encrypted connection.

    Attributes:
        ssl_object: of the ssl module.
    """

    __slots__ = ("_incoming", "_outgoing", "ssl_object")

    def __init__(self, context: ssl.SSLContext, server_name: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with fork.unforkable:
            self.ssl_object = context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=server_name
            )

    def is_agreed(self) -> bool:
        """Go on with the handshake; return whether it is done. Else feed more, after sending."""
        try:
            with fork.unforkable:
                self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def to_send(self) -> bytes:
        """Return what the other end is to get, `b""` for nothing."""
        return self._outgoing.read()

    def feed(self, data: bytes) -> None:
        """Take what came from the other end, `b""` at its end."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def take(self, size: int) -> bytes | None:
        """Return up to `size` decrypted bytes, `b""` at the end, None if more must come first."""
        pieces: list[bytes] = []
        while size > 0:
            try:
                with fork.unforkable:
                    piece = self.ssl_object.read(size)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                # Many servers end without saying so; what is missing of a body, HTTP finds out.
                return b"".join(pieces)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces) if pieces else None

    def encrypt(self, data: bytes) -> bytes:
        """Return what to send for `data`."""
        view = memoryview(data)
        while view:
            with fork.unforkable:
                sent = self.ssl_object.write(view[:_PIECE])
            view = view[sent:]
        return self._outgoing.read()


class Trust:
    """Whom we trust and who we are, read from the files once and when it is first needed.

    What is wrong with files that the settings name is told at once.
    """

    __slots__ = ("_context", "_settings")

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        if settings.ca_file is not None or settings.cert_file is not None:
            self._context = new_context(settings)

    @property
    def is_read(self) -> bool:
        """Whether `context` returns without reading files."""
        return self._context is not None

    def context(self) -> ssl.SSLContext:
        """Return what connections are encrypted with. Safe from several threads."""
        if self._context is None:
            self._context = new_context(self._settings)
        return self._context
