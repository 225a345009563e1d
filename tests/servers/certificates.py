"""Certificates for servers and clients on loopback, from an authority of our own."""

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import trustme


def write_certificates(folder: Path) -> None:
    """Write `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` into a folder."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, identity in (("server", "127.0.0.1"), ("client", "client@example.com")):
        issued = authority.issue_cert(identity, "localhost")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        for number, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(folder / f"{name}.pem", append=number > 0)


def server_context(
    authority: trustme.CA, *names: str, wants_certificate: bool = False, **facts: Any
) -> ssl.SSLContext:
    """Return what a server of these names speaks TLS with; `facts` are those of trustme."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **facts).configure_cert(context)
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def expired() -> dict[str, Any]:
    """Return the facts of a certificate that was good until yesterday."""
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    return {"not_before": now - 30 * day, "not_after": now - day}
