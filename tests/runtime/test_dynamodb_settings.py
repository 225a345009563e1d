"""Which arguments of a store in DynamoDB can work."""

import sys
from typing import Any

import pytest

pytest.importorskip("boto3")

from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep.errors import ConfigError, MissingExtra

SECRET = "hunter2-%3A/secret"
KEYS: dict[str, Any] = {"access_key_id": "AKIA", "secret_access_key": SECRET}
ARN = "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/flags"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"table": ""}, "table"),
        ({"table": "ab"}, "table"),
        ({"table": "x" * 256}, "table"),
        ({"table": "a b c"}, "table"),
        ({"table": "arn:aws:s3:::bucket"}, "table"),
        ({"table": 7}, "table"),
        ({"region": "eu west"}, "region"),
        ({"region": "-"}, "region"),
        ({"region": ""}, "region must not be empty"),
        ({"region": 7}, "region must be text"),
        ({"endpoint": "localhost:8000"}, "endpoint"),
        ({"endpoint": f"ftp://u:{SECRET}@host"}, "endpoint"),
        ({"endpoint": "http://host:99999"}, "endpoint"),
        ({"access_key_id": "AKIA"}, "belong together"),
        ({"secret_access_key": SECRET}, "belong together"),
        ({"session_token": SECRET}, "needs access_key_id"),
        ({**KEYS, "profile": "dev"}, "one of the two"),
        ({"role": "flags"}, "ARN"),
        ({"role": f"arn:aws:iam::1:role/{SECRET}"}, "ARN"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"max_connections": 0}, "max_connections"),
        ({"options": {"token": 1}}, "no 'token'"),
        ({"options": {"config": {"retries": 1}}}, "botocore.config.Config"),
        ({"options": {"aws_access_key_id": "AKIA"}}, "belong together"),
        ({"session": object()}, "boto3.Session, not a builtins.object"),
        ({"client": object()}, "not a builtins.object"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        Settings(**{"table": "flags", **arguments})
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_store_names_its_table_and_no_secrets() -> None:
    settings = Settings("flags", endpoint=f"https://u:{SECRET.replace('/', '')}@h:1/x/", **KEYS)
    assert settings.label == "dynamodb flags at https://h:1/x"
    assert repr(settings) == "<Settings dynamodb flags at https://h:1/x>"
    assert Settings("flags").label == "dynamodb flags"


def test_arguments_outrank_options_of_the_same_meaning() -> None:
    options = {
        "region_name": "eu-west-1",
        "endpoint_url": "http://other",
        "aws_access_key_id": "other",
        "aws_secret_access_key": "other",
        "aws_session_token": "token",
        "verify": False,
        "use_ssl": None,
    }
    settings = Settings("flags", region="us-east-1", options=options, **KEYS)
    assert settings.region == "us-east-1"
    assert settings.endpoint == "http://other"
    assert settings.keys == ("AKIA", SECRET, "token")
    assert settings.options == {"verify": False}


def test_the_command_that_makes_a_table_names_its_place() -> None:
    made = "--key-schema AttributeName=namespace,KeyType=HASH AttributeName=key,KeyType=RANGE"
    assert made in Settings("flags").creation()
    assert Settings("flags").creation().endswith("--billing-mode PAY_PER_REQUEST")
    assert Settings("flags").creation("eu-west-1").endswith(" --region eu-west-1")
    assert " --region us-east-1" in Settings("flags", region="us-east-1").creation()
    there = Settings("flags", endpoint="http://u:p@localhost:8000/").creation("x")
    assert there.endswith(" --region x --endpoint-url http://localhost:8000")
    arn = Settings(ARN).creation("us-east-1")
    assert "--table-name flags " in arn
    assert arn.endswith(" --region cn-north-1")


def test_without_boto3_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra, match=r"flagkeep\[dynamodb\]"):
        Settings("flags")


class _Meta:
    def __init__(self, service: str) -> None:
        self.service_model = type("Model", (), {"service_name": service})


def of_module(name: str, **attributes: Any) -> Any:
    """Return something whose class seems to come from a module."""
    return type("Thing", (), {"__module__": name, **attributes})()


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        (of_module("botocore.client", meta=_Meta("s3")), 'boto3.client."dynamodb".'),
        (of_module("boto3.resources.factory"), "take .meta.client"),
        (of_module("aiobotocore.client", meta=_Meta("dynamodb")), "takes boto3's clients"),
    ],
)
def test_what_is_no_client_of_boto3_is_refused(client: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Settings("flags", client=client)


@pytest.mark.parametrize(
    "beside",
    [
        {"region": "us-east-1"},
        {"endpoint": "http://host"},
        KEYS,
        {"profile": "dev"},
        {"role": "arn:aws:iam::123456789012:role/flags"},
        {"max_connections": 3},
        {"options": {"verify": False}},
        {"session": of_module("boto3.session", client=print)},
    ],
)
def test_a_client_has_its_own_settings(beside: dict[str, Any]) -> None:
    client = of_module("botocore.client", meta=_Meta("dynamodb"))
    with pytest.raises(ConfigError, match="its own settings"):
        Settings("flags", client=client, **beside)
    assert Settings("flags", client=client, timeout=3.0).client is client


def test_a_session_has_its_own_profile() -> None:
    session = of_module("boto3.session", client=print)
    with pytest.raises(ConfigError, match="own profile"):
        Settings("flags", session=session, profile="dev")
    with pytest.raises(ConfigError, match="must be a boto3"):
        Settings("flags", session=of_module("aiobotocore.session", client=print))
    assert Settings("flags", session=session, region="us-east-1").session is session
