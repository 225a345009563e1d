import re
from pathlib import Path
from typing import Any

import pytest

from flagkeep._runtime.consul_settings import DEFAULT_URL, NoToken, Settings, Token
from flagkeep.config import HttpSettings
from flagkeep.errors import ConfigError


def settings(url: Any = DEFAULT_URL, **more: Any) -> Settings:
    arguments: dict[str, Any] = {
        "prefix": "p",
        "token": None,
        "token_file": None,
        "datacenter": None,
        "namespace": None,
        "partition": None,
        "consistency": "default",
        "http": None,
        "connect_timeout": 1.0,
        "timeout": 2.0,
    }
    return Settings(url, **{**arguments, **more})


@pytest.mark.parametrize(
    ("url", "label", "base"),
    [
        ("http://127.0.0.1:8500", "consul 127.0.0.1:8500", "http://127.0.0.1:8500"),
        ("consul://my-consul:8100", "consul my-consul:8100", "http://my-consul:8100"),
        ("consul://my-consul/", "consul my-consul:8500", "http://my-consul:8500"),
        ("HTTPS://consul.example", "consul consul.example:443", "https://consul.example:443"),
        ("http://consul", "consul consul:80", "http://consul:80"),
        ("https://[::1]:8501", "consul [::1]:8501", "https://[::1]:8501"),
        ("http://proxy:80/consul/", "consul proxy:80", "http://proxy:80/consul"),
    ],
)
def test_a_url_says_where_it_is(url: str, label: str, base: str) -> None:
    made = settings(url)
    assert made.label == label
    assert made.url("kv/a") == f"{base}/v1/kv/a"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8500", "must begin with"),
        ("redis://127.0.0.1:8500", "must begin with"),
        ("http://", "host or port is missing"),
        ("http://:8500", "host or port is missing"),
        ("http://a b:8500", "host or port is missing"),
        ("http://host:0", "host or port is missing"),
        ("http://host:99999", "host or port cannot be read"),
        ("http://[::1:8500", "host or port cannot be read"),
        ("http://me:hunter2@host:8500", "it has a user"),
        ("http://host:8500?token=hunter2", "after ?"),
        ("http://host:8500#hunter2", "after ?"),
        ("consul://host:8500/hunter2", "given as prefix"),
        (8500, "not int"),
    ],
)
def test_a_url_that_cannot_work_is_explained_without_its_secrets(url: object, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        settings(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prefix", "a//b"),
        ("prefix", "/a"),
        ("prefix", "env1/features"),
        ("prefix", "flagkeep/a"),
        ("prefix", "\ud800"),
        ("prefix", None),
        ("token", "two words"),
        ("token", ""),
        ("token", "é"),
        ("token", b"x"),
        ("token_file", 7),
        ("datacenter", "a\nb"),
        ("namespace", 7),
        ("partition", "\ud800"),
        ("consistency", "strong"),
        ("http", "x"),
        ("connect_timeout", 0),
        ("timeout", -1.0),
        ("timeout", float("nan")),
        ("timeout", "2"),
    ],
)
def test_an_argument_that_cannot_work_is_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        settings(**{name: value})


def test_two_tokens_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of the two"):
        settings(token="x", token_file=tmp_path / "token")


def test_times_are_its_own_and_the_rest_of_http_is_as_given() -> None:
    http = HttpSettings(connect_timeout=9.0, read_timeout=9.0, proxy="http://proxy:3128")
    made = settings(http=http, connect_timeout=0.5, timeout=3).http
    assert (made.connect_timeout, made.read_timeout) == (0.5, 3)
    assert made.proxy == "http://proxy:3128"


def test_reads_say_how_consistent_they_are_and_everything_says_where() -> None:
    plain = settings()
    assert plain.url("txn") == plain.read_url("txn") == f"{DEFAULT_URL}/v1/txn"
    assert plain.read_url("kv/a", "raw") == f"{DEFAULT_URL}/v1/kv/a?raw"
    placed = settings(datacenter="é &x", namespace="team", partition="east", consistency="stale")
    where = "dc=%C3%A9%20%26x&ns=team&partition=east"
    assert placed.url("kv/a", "cas=7") == f"{DEFAULT_URL}/v1/kv/a?{where}&cas=7"
    assert placed.read_url("kv/a", "raw") == f"{DEFAULT_URL}/v1/kv/a?{where}&stale&raw"
    assert (placed.has_place, plain.has_place) == (True, False)
    assert not settings(datacenter="dc1").has_place


def test_a_token_that_was_given_is_never_another() -> None:
    token = Token("x", None)
    assert token.header == {"authorization": "Bearer x"}
    assert not token.is_renewed({})
    assert Token(None, None).header == {}


def test_a_token_file_is_read_once_and_again_when_asked_to(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = Token(None, file)
    with pytest.raises(NoToken, match="cannot be read"):
        _ = token.header
    file.write_text(" one\n")
    first = token.header
    assert first == {"authorization": "Bearer one"}
    file.write_text("two")
    assert token.header == first
    assert token.is_renewed(first)
    assert token.header == {"authorization": "Bearer two"}
    assert not token.is_renewed(token.header)
    assert token.is_renewed(first)  # somebody else was faster
    file.write_text("two words")
    assert not token.is_renewed(token.header)
    assert token.header == {"authorization": "Bearer two"}


def test_a_folder_is_no_token_file(tmp_path: Path) -> None:
    with pytest.raises(NoToken, match="cannot be read"):
        _ = Token(None, str(tmp_path)).header
