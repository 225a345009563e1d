"""Certificates for servers and clients on loopback, from an authority of our own."""

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


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


def nameless_context(authority: trustme.CA, common_name: str, folder: Path) -> ssl.SSLContext:
    """Return what a server speaks TLS with whose certificate has no alternative names at all."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    issuer_key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    today = dt.datetime.now(dt.UTC)
    issued = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),  # type: ignore[arg-type]  # one that can sign
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())  # type: ignore[arg-type]  # one that can sign
    )
    file = folder / "nameless.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + issued.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def expired() -> dict[str, Any]:
    """Return the facts of a certificate that was good until yesterday."""
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    return {"not_before": now - 30 * day, "not_after": now - day}
