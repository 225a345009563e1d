"""Where a store in Redis connects to, and what it says of addresses that cannot work."""

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from flagkeep._runtime.redis_settings import Settings
from flagkeep.config import RedisTLS
from flagkeep.errors import ConfigError
from tests.servers.certificates import write_certificates

GOOD = {
    "redis://localhost": ("redis localhost:6379/0", []),
    "redis://localhost/": ("redis localhost:6379/0", []),
    "REDIS://h:1/2": ("redis h:1/2", [(b"SELECT", b"2")]),
    "redis://h?db=3": ("redis h:6379/3", [(b"SELECT", b"3")]),
    "redis://:p%40ss@h:7/0": ("redis h:7/0", [(b"AUTH", b"p@ss")]),
    "redis://u:p%3A%2F%C3%A9@h": ("redis h:6379/0", [(b"AUTH", b"u", "p:/é".encode())]),
    "redis://u@h": ("redis h:6379/0", [(b"AUTH", b"u", b"")]),
    "redis://[::1]:7000/1": ("redis [::1]:7000/1", [(b"SELECT", b"1")]),
    "rediss://u:p@h": ("redis h:6379/0", [(b"AUTH", b"u", b"p")]),
    "unix:///run/redis.sock": ("redis /run/redis.sock/0", []),
    "unix:///run/a%20b.sock?db=4": ("redis /run/a b.sock/4", [(b"SELECT", b"4")]),
    "unix://u:p@/run/redis.sock": ("redis /run/redis.sock/0", [(b"AUTH", b"u", b"p")]),
}
BAD = {
    "localhost": "it has no ://",
    "": "it has no ://",
    "http://h": "its beginning",
    "redis+tls://h": "its beginning",
    "redis://": "the host is missing",
    "redis:///0": "the host is missing",
    "redis://:6379": "the host is missing",
    "redis://u:secret@": "the host is missing",
    "redis://h:port": "host or port",
    "redis://h:70000": "host or port",
    "redis://h:0": "1 to 65535",
    "redis://[::1": "host or port",
    "redis://u:sec/ret@h": "host or port",
    "redis://u:6379?secret@h": "an option",
    "redis://h/secret": "database",
    "redis://h/-1": "database",
    "redis://h/1/2": "database",
    "redis://h/٣": "database",
    "redis://h?db=secret": "database",
    "redis://h?decode_responses=secret": "'decode_responses' after",
    "redis://h#secret": "after #",
    "unix://run/secret.sock": "third slash",
    "unix://": "third slash",
}


@pytest.mark.parametrize("url", GOOD)
def test_a_url_says_where_and_who(url: str) -> None:
    label, greeting = GOOD[url]
    settings = Settings(url)
    assert (settings.label, settings.greeting) == (label, greeting)


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_cannot_work_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(url)
    assert BAD[url] in str(caught.value)
    assert "redis://host:6379/0" in str(caught.value)
    assert "sec" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_arguments_outrank_the_url_and_that_the_options() -> None:
    options = {"username": "o", "password": "o", "db": 9, "socket_timeout": 5, "max_connections": 3}
    settings = Settings("redis://h", options=options)
    assert settings.greeting == [(b"AUTH", b"o", b"o"), (b"SELECT", b"9")]
    assert (settings.timeout, settings.max_connections) == (5.0, 3)
    settings = Settings("redis://u:p@h/1", options=options)
    assert settings.greeting == [(b"AUTH", b"u", b"p"), (b"SELECT", b"1")]
    settings = Settings("redis://u:p@h/1", username="a", password="a", database=0, options=options)
    assert settings.greeting == [(b"AUTH", b"a", b"a")]
    assert "p" not in repr(settings.arguments.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database", -1),
        ("database", True),
        ("timeout", 0),
        ("timeout", float("inf")),
        ("connect_timeout", "1"),
        ("max_connections", 0),
        ("username", b"u"),
        ("password", 5),
    ],
)
def test_an_argument_that_cannot_work_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Settings("redis://h", **{name: value})  # type: ignore[arg-type]  # that is what is wrong


def test_tls_needs_files_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ca_file: there is no file .*none\.pem"):
        RedisTLS(ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="cert_file must be a path"):
        RedisTLS(cert_file=5)  # type: ignore[arg-type]  # that is what is wrong with it
    write_certificates(tmp_path)
    key = tmp_path / "client.key"
    with pytest.raises(ConfigError, match="needs cert_file"):
        RedisTLS(key_file=str(key))
    cert: Any = tmp_path / "client.pem"
    tls = RedisTLS(cert_file=cert, key_file=str(key), key_password="secret")
    assert repr(tls) == f"RedisTLS(cert_file={str(cert)!r}, key_file={str(key)!r}, verify=True)"
    with pytest.raises(ConfigError, match="rediss://"):
        Settings("redis://h", tls=tls)


def test_tls_files_must_hold_what_they_should(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    ca, cert, key, other = (
        str(tmp_path / name) for name in ("ca.pem", "client.pem", "client.key", "server.key")
    )
    arguments = Settings("rediss://h", tls=RedisTLS(ca_file=ca, cert_file=cert, key_file=key))
    assert arguments.arguments["ssl_keyfile"] == key
    with pytest.raises(ConfigError, match="ca_file"):
        Settings("rediss://h", tls=RedisTLS(ca_file=key))
    with pytest.raises(ConfigError, match="do not belong together"):
        Settings("rediss://h", tls=RedisTLS(cert_file=cert, key_file=other))
    with pytest.raises(ConfigError, match="the key in it"):
        Settings("rediss://h", tls=RedisTLS(cert_file=cert))
    private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    locked = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    Path(key).write_bytes(locked)
    right = RedisTLS(cert_file=cert, key_file=key, key_password="secret")
    assert Settings("rediss://h", tls=right).arguments["ssl_password"] == "secret"
    for password in (None, "wrong"):
        wrong = RedisTLS(cert_file=cert, key_file=key, key_password=password)
        with pytest.raises(ConfigError, match="key_password"):
            Settings("rediss://h", tls=wrong)


def test_tls_can_be_told_not_to_verify() -> None:
    arguments = Settings("rediss://h", tls=RedisTLS(verify=False)).arguments
    assert (arguments["ssl_cert_reqs"], arguments["ssl_check_hostname"]) == ("none", False)
    assert Settings("rediss://h").arguments["ssl_check_hostname"] is True
    for nothing in ("none", None, ssl.CERT_NONE):
        arguments = Settings("rediss://h", options={"ssl_cert_reqs": nothing}).arguments
        assert arguments["ssl_check_hostname"] is False


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_driver_is_imported_when_a_store_is_made() -> None:
    seen = run(
        "import sys; from flagkeep.stores import RedisStore; print('redis' in sys.modules);"
        "RedisStore(); print('redis' in sys.modules)"
    )
    assert seen.split() == ["False", "True"]


@pytest.mark.parametrize("name", ["RedisStore", "AsyncRedisStore"])
def test_without_the_driver_it_says_what_to_install(name: str) -> None:
    seen = run(
        f"import sys; sys.modules['redis'] = None; from flagkeep.stores import {name}\n"
        f"try: {name}()\nexcept ImportError as exc: print(exc)"
    )
    assert seen == "a store in Redis needs an extra: pip install 'flagkeep[redis]'"
