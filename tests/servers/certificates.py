"""Certificates for servers and clients on loopback, from an authority of our own."""

from pathlib import Path

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
