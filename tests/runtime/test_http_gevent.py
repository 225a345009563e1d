"""HTTP where gevent has replaced sockets and threads: nothing blocks the other greenlets."""

import subprocess
import sys
import textwrap

import pytest

from flagkeep.testing import FakeUpstream
from tests.limits import check_took

pytestmark = pytest.mark.slow

PROGRAM = """
    import sys
    url, when = sys.argv[1:]
    if when == "before":
        from gevent import monkey; monkey.patch_all()
    from flagkeep._runtime.http_threads import Http
    from flagkeep.config import HttpSettings
    from flagkeep.errors import UpstreamUnavailable
    http = Http(HttpSettings())
    if when == "after":
        from gevent import monkey; monkey.patch_all()
    import gevent, time

    turns = []
    def count():
        while True:
            turns.append(None)
            gevent.sleep(0.005)

    def ask():
        # By its name, which a thread looks up.
        return http.request("GET", url.replace("127.0.0.1", "localhost"), {}, timeout=5).status

    def follow():
        stream.open()
        stream.read()
        try:
            stream.read()
        except UpstreamUnavailable as exc:
            return str(exc)
        finally:
            stream.close()

    stream = http.stream(url + "/all", {}, silence=60)
    counter, follower = gevent.spawn(count), gevent.spawn(follow)
    askers = [gevent.spawn(ask) for _ in range(5)]
    assert [asker.get(timeout=5) for asker in askers] == [404] * 5
    gevent.sleep(0.1)
    assert len(turns) >= 10, turns
    began = time.monotonic()
    stream.stop()
    assert "closed by this side" in follower.get(timeout=5)
    print(time.monotonic() - began)
    http.close()
    counter.kill()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_greenlets_wait_while_others_run(when: str) -> None:
    pytest.importorskip("gevent")
    with FakeUpstream() as upstream:
        upstream.put({})
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), upstream.uri, when],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    check_took(float(done.stdout), 0.25)
