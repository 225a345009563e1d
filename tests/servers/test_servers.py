"""The servers of the tests do what the tests rely on."""

import gc
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer, empty
from tests.servers.resp import RedisConnection, RedisError
from tests.servers.server import LOOPBACK, Server, free_port

BIG = "x" * 1000


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(redis.port) as proxy:
        yield proxy


def test_redis_answers_on_its_port_and_its_socket(redis: RedisServer) -> None:
    assert redis.cli("SET", "a", BIG) == b"OK"
    with RedisConnection((LOOPBACK, redis.port)) as connection:
        assert connection.command("GET", "a") == BIG.encode()
        assert connection.command("MGET", "a", "b") == [BIG.encode(), None]
    with pytest.raises(RedisError, match="wrong kind"):
        redis.cli("HGET", "a", "b")


def test_a_restarted_redis_is_empty_or_has_what_was_saved(redis: RedisServer) -> None:
    url = redis.url
    redis.cli("SET", "a", 1)
    redis.restart()
    assert redis.cli("GET", "a") is None
    redis.cli("SET", "a", 2)
    redis.cli("SAVE")
    redis.cli("SET", "a", 3)
    redis.kill()
    redis.start()
    assert redis.cli("GET", "a") == b"2"
    redis.forget_saved()
    redis.restart()
    assert redis.cli("DBSIZE") == 0
    assert redis.url == url


def test_a_paused_redis_takes_connections_and_answers_when_it_goes_on(redis: RedisServer) -> None:
    with RedisConnection((LOOPBACK, redis.port), timeout=0.05) as connection:
        redis.pause()
        with pytest.raises(TimeoutError):
            connection.command("PING")
        redis.resume()
    assert redis.cli("PING") == b"PONG"


def test_a_paused_redis_can_be_stopped(redis: RedisServer) -> None:
    redis.pause()
    redis.stop()
    assert redis.pid is None
    with pytest.raises(ConnectionRefusedError):
        RedisConnection((LOOPBACK, redis.port))


def test_redis_is_emptied_with_a_password_too() -> None:
    with RedisServer(password="secret") as server:
        server.cli("SET", "a", 1)
        with pytest.raises(RedisError, match="Authentication"):
            empty(server.url)
        empty(server.url.replace("//", "//:secret@"))
        assert server.cli("DBSIZE") == 0


def test_tls_can_ask_for_a_certificate_of_the_client() -> None:
    with RedisServer(tls=True, client_certificates=True) as server:
        trusting = ssl.create_default_context(cafile=server.ca_file)
        # The server hangs up in the middle of the handshake: its reason may come too late.
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            ping(server, trusting)
        trusting.load_cert_chain(server.cert_file, server.key_file)
        assert ping(server, trusting) == b"+PONG\r\n"


def ping(server: RedisServer, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((LOOPBACK, server.port)) as plain,
        context.wrap_socket(plain, server_hostname=LOOPBACK) as secure,
    ):
        secure.sendall(b"PING\r\n")
        return secure.recv(100)


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(RuntimeError, match="nonsense"),
        RedisServer("--nonsense", "1"),
    ):
        pass
    monkeypatch.setattr(RedisServer, "programs", ("no-such-redis",))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install"), RedisServer():
        pass
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install"), RedisServer():
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
@pytest.mark.slow
def test_a_server_ends_with_a_process_that_was_killed() -> None:
    script = (
        "import sys; from tests.servers.redis import RedisServer; server = RedisServer();"
        "server.start(); print(server.port, server.folder, flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        port, folder = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    give_up = time.monotonic() + 10
    while is_open(int(port)):
        assert time.monotonic() < give_up
    for left in Path(os.fsdecode(folder)).iterdir():
        left.unlink()
    Path(os.fsdecode(folder)).rmdir()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def test_servers_get_different_ports() -> None:
    assert issubclass(RedisServer, Server)
    assert free_port() != free_port()


def test_the_proxy_passes_on(redis: RedisServer, proxy: FaultProxy) -> None:
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("SET", "a", BIG) == b"OK"
        assert connection.command("GET", "a") == BIG.encode()
    assert redis.cli("GET", "a") == BIG.encode()


@pytest.mark.slow
def test_the_proxy_delays_replies_until_told_otherwise(proxy: FaultProxy) -> None:
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        proxy.delay(0.2)
        begun = time.monotonic()
        assert connection.command("PING") == b"PONG"
        assert time.monotonic() - begun >= 0.2
        proxy.pass_on()
        assert connection.command("PING") == b"PONG"


def test_the_proxy_resets_a_connection_in_the_middle_of_a_reply(
    redis: RedisServer, proxy: FaultProxy
) -> None:
    redis.cli("SET", "a", BIG)
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("PING") == b"PONG"
        proxy.cut_after(100)
        with pytest.raises(ConnectionError):
            connection.command("GET", "a")
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("PING") == b"PONG"  # new ones have a hundred bytes too
        with pytest.raises(ConnectionError):
            connection.command("GET", "a")
    proxy.pass_on()
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("GET", "a") == BIG.encode()


def test_the_proxy_refuses_and_comes_back(proxy: FaultProxy) -> None:
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("PING") == b"PONG"
        proxy.refuse()
        with pytest.raises(ConnectionError):
            connection.command("PING")
    with pytest.raises(ConnectionRefusedError):
        RedisConnection((LOOPBACK, proxy.port))
    proxy.pass_on()
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("PING") == b"PONG"


def test_who_comes_as_the_proxy_ends_leaves_nothing_behind(redis: RedisServer) -> None:
    for _ in range(30):
        with socket.socket() as client, FaultProxy(redis.port) as proxy:
            client.setblocking(False)
            client.connect_ex((LOOPBACK, proxy.port))
        gc.collect()


def test_the_proxy_passes_on_that_the_server_is_gone(redis: RedisServer, proxy: FaultProxy) -> None:
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("PING") == b"PONG"
        redis.stop()
        with pytest.raises(ConnectionError):
            connection.command("PING")
    redis.start()
    with RedisConnection((LOOPBACK, proxy.port)) as connection:
        assert connection.command("PING") == b"PONG"


def test_a_shared_redis_is_empty_at_first(redis_url: str) -> None:
    assert redis_url.startswith("redis://")
