"""A fork in the midst of a step of TLS: OpenSSL has locks of its own, which no child could open."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.certificates import write_certificates

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

PROGRAM = """
import os, signal, ssl, sys, threading
from flagkeep._runtime.http_tls import TlsEnd, new_context
from flagkeep.config import HttpSettings

folder = sys.argv[1]
settings = HttpSettings(ca_file=folder + "/ca.pem")

def shake_hands():
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder + "/server.pem", folder + "/server.key")
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    other = server.wrap_bio(came, goes, server_side=True)
    ours = TlsEnd(new_context(settings), "localhost")
    while not ours.is_agreed():
        came.write(ours.to_send())
        try:
            other.do_handshake()
        except ssl.SSLWantReadError:
            pass
        ours.feed(goes.read())

def go_on():
    while True:
        ours = TlsEnd(new_context(settings), "localhost")
        assert not ours.is_agreed()

for _ in range(2):
    threading.Thread(target=go_on, daemon=True).start()
for number in range(300):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        shake_hands()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"child {number} ended with {status}"
"""


def test_children_can_speak_tls(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
