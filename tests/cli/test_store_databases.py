"""How commands reach tables of DynamoDB and environments in Consul, and what they say if not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from flagkeep.stores import ConsulStore, DynamoDBStore
from tests.cli.conftest import AnyStore, Ended, Flagkeep
from tests.cli.test_store_connections import COMMANDS, with_url
from tests.servers import aws, consul, dynamodb
from tests.servers.consul import ConsulServer
from tests.servers.consul_faults import ConsulFaults
from tests.servers.dynamodb import REGION
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.server import free_port

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("dynamodb_here", "consul_here")]

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags_file: Path) -> None:
    assert flags_file.parent == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Path("good.json").write_text('{"flagValues": {"beta": true}}')


@pytest.fixture
def _at_aws(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, region and endpoint are in the environment."""
    for name, value in aws.variables(dynamodb_url).items():
        monkeypatch.setenv(name, value)


def check_one_line(ended: Ended, code: int = 4) -> str:
    """Return the complaint of a command that could do nothing."""
    assert ended.code == code
    assert ended.err.startswith("flagkeep: ")
    assert ended.err.count("\n") == 1
    assert SECRET not in ended.out + ended.err
    return ended.err


# --- DynamoDB ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_at_aws")
def test_a_table_may_be_all_that_is_named(flagkeep: Flagkeep, dynamodb_table: str) -> None:
    url = f"dynamodb://{dynamodb_table}"
    assert flagkeep("store", "load", url, "flags.json").code == 1  # `broken` is an error
    for command in COMMANDS:
        ended = flagkeep(*with_url(command, url))
        assert (ended.code, ended.err) == (0, ""), command
        flagkeep("store", "load", url, "flags.json", "--yes")
    status = flagkeep("store", "status", url, "--json").json
    assert (status["store"], status["prefix"]) == (f"dynamodb {dynamodb_table}", "")


@pytest.mark.usefixtures("_at_aws")
def test_the_rest_is_in_the_url_or_is_an_option(
    flagkeep: Flagkeep,
    dynamodb_table: str,
    dynamodb_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    base = f"DynamoDB://{dynamodb_table}?region=eu-west-1&endpoint={quote(dynamodb_url)}"
    url = f"{base}&prefix=my%20shop"
    ended = flagkeep("store", "load", url, "good.json")
    assert ended.out.endswith(
        f"dynamodb {dynamodb_table} at {dynamodb_url} under prefix 'my shop'\n"
    )
    namespaces = {row["namespace"]["S"] for row in dynamodb.rows(dynamodb_url, dynamodb_table)}
    assert namespaces == {"my shop:features", "my shop:$inited", "my shop:$flagkeep"}
    for way in ([base, "--prefix", "my shop"], [url], [url, "--prefix", "my shop"]):
        assert flagkeep("store", "list", *way, "--json").json[0]["key"] == "beta"
    nothing = flagkeep("store", "dump", base)
    assert "nothing was ever written to dynamodb" in check_one_line(nothing)


@pytest.mark.usefixtures("_at_aws")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_table_is_one_line_with_the_command_that_makes_it(
    flagkeep: Flagkeep, command: list[str]
) -> None:
    ended = flagkeep(*with_url(command, "dynamodb://not-there"))
    said = check_one_line(ended)
    assert said.startswith("flagkeep: dynamodb not-there: there is no such table")
    assert "aws dynamodb create-table --table-name not-there" in said
    assert f"--region {REGION}" in said
    if "--json" in command:
        assert "create-table" in ended.json["reason"]


@pytest.mark.usefixtures("_at_aws")
@pytest.mark.parametrize("keys", [[("id", "HASH")], [("namespace", "HASH")]])
def test_a_table_with_another_key_is_one_line_that_says_so(
    flagkeep: Flagkeep, dynamodb_url: str, keys: list[tuple[str, str]]
) -> None:
    table = "flagkeep-other-key"
    dynamodb.create_table(dynamodb_url, table, keys=keys)
    try:
        for command in [*COMMANDS, ["store", "clear"], ["store", "load", "good.json"]]:
            said = check_one_line(flagkeep(*with_url(command, f"dynamodb://{table}")))
            assert "partition key namespace (String) and the sort key key" in said, command
    finally:
        dynamodb.drop_table(dynamodb_url, table)


@pytest.mark.usefixtures("_at_aws")
@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "there are no AWS credent"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "the AWS credentials are incomplete"),
        ({"AWS_DEFAULT_REGION": None}, "there is no region"),
        ({"AWS_PROFILE": "nobody"}, "has no such profile"),
        ({"AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{free_port()}"}, "refused"),
    ],
)
def test_what_the_environment_lacks_is_said(
    flagkeep: Flagkeep,
    dynamodb_table: str,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str | None],
    problem: str,
) -> None:
    for name, value in changed.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    ended = flagkeep("store", "status", f"dynamodb://{dynamodb_table}")
    assert problem in check_one_line(ended)


@pytest.mark.usefixtures("_at_aws")
def test_a_profile_may_have_credentials_and_region(
    flagkeep: Flagkeep, dynamodb_table: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    file = tmp_path / "aws"
    file.write_text(
        f"[profile shop]\nregion = {REGION}\naws_access_key_id = dummy\n"
        "aws_secret_access_key = dummy\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    url = f"dynamodb://{dynamodb_table}?profile=shop"
    assert flagkeep("store", "status", url).code == 0


@pytest.mark.usefixtures("_at_aws")
def test_a_refusal_names_the_permission(
    flagkeep: Flagkeep, dynamodb_url: str, dynamodb_table: str
) -> None:
    with DynamoDBFaults(dynamodb_url) as faults:
        faults.deny("Query")
        url = f"dynamodb://{dynamodb_table}?endpoint={faults.url}"
        said = check_one_line(flagkeep("store", "status", url))
    assert "dynamodb:Query" in said


@pytest.mark.slow
@pytest.mark.usefixtures("_at_aws")
def test_a_table_that_does_not_answer_is_given_up(
    flagkeep: Flagkeep, dynamodb_url: str, dynamodb_table: str
) -> None:
    with DynamoDBFaults(dynamodb_url) as faults:
        faults.hang(None)
        url = f"dynamodb://{dynamodb_table}?endpoint={faults.url}"
        said = check_one_line(flagkeep("store", "status", url, "--timeout", "0.3"))
    assert "no answer within 0.3 s" in said


# --- Consul --------------------------------------------------------------------------------------


def address(server_url: str) -> str:
    return server_url.partition("://")[2]


@pytest.mark.parametrize(
    ("path", "options", "prefix"),
    [
        ("", [], "launchdarkly"),
        ("/", [], "launchdarkly"),
        ("/shop", [], "shop"),
        ("/shop/", [], "shop"),
        ("/team/shop", [], "team/shop"),
        ("/my%20shop%40home", [], "my shop@home"),
        ("", ["--prefix", "shop"], "shop"),
        ("/shop", ["--prefix", "shop"], "shop"),
    ],
)
def test_the_path_is_the_prefix(
    flagkeep: Flagkeep, consul_server: ConsulServer, path: str, options: list[str], prefix: str
) -> None:
    consul.remove(consul_server.url, "")
    url = f"consul://{address(consul_server.url)}{path}"
    ended = flagkeep("store", "load", url, "good.json", *options)
    assert ended.out.endswith(f"consul {address(consul_server.url)} under prefix {prefix!r}\n")
    assert f"{prefix}/features/beta" in consul_server.content(prefix)
    for command in COMMANDS:
        ended = flagkeep(*with_url(command, url, *options))
        assert (ended.code, ended.err) == (0, ""), command
        flagkeep("store", "load", url, "good.json", "--yes", *options)


def test_the_options_of_the_url_reach_consul(flagkeep: Flagkeep, consul_url: str) -> None:
    with ConsulFaults(consul_url) as faults:
        url = f"consul://{address(faults.url)}/x?dc=dc1&consistency=stale"
        assert flagkeep("store", "status", url).code == 0
    assert faults.requests
    for request in faults.requests:
        assert {"dc=dc1", "stale"} <= set(request.path.partition("?")[2].split("&"))


@pytest.fixture(scope="module")
def guarded() -> Iterator[ConsulServer]:
    """A Consul that wants certificates and tokens."""
    with ConsulServer(acl=True, tls=True, client_certificates=True) as server:
        yield server


def ways(server: ConsulServer) -> list[str]:
    own = ["--tls-cert", server.cert_file, "--tls-key", server.key_file]
    return [*own, "--tls-ca", server.ca_file]


@pytest.mark.parametrize("variable", ["FLAGKEEP_CONSUL_TOKEN", "CONSUL_HTTP_TOKEN"])
def test_certificates_are_options_and_the_token_is_in_the_environment(
    flagkeep: Flagkeep, guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", f"{SECRET}-of-another")
    monkeypatch.setenv(variable, str(guarded.token))
    url = f"consul+https://{address(guarded.url)}/shop"
    assert flagkeep("store", "load", url, "flags.json", "--yes", *ways(guarded)).code == 1
    for command in COMMANDS[:5]:
        ended = flagkeep(*with_url(command, url, *ways(guarded)))
        assert (ended.code, ended.err) == (0, "")
        assert str(guarded.token) not in ended.out
    own = ways(guarded)[:4]
    assert flagkeep("store", "status", url, *own, "--tls-insecure").code == 0
    for too_few in (own, ways(guarded)[4:], []):
        check_one_line(flagkeep("store", "status", url, *too_few))


def test_the_token_may_be_in_a_file(
    flagkeep: Flagkeep, guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("CONSUL_HTTP_TOKEN_FILE", str(file))
    command = ["store", "load", f"consul+https://{address(guarded.url)}/in-file", "good.json"]
    said = check_one_line(flagkeep(*command, "--yes", *ways(guarded)))
    assert str(file) in said
    file.write_text(f"{guarded.token}\n", encoding="utf-8")
    assert flagkeep(*command, "--yes", *ways(guarded)).code == 0
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", f"{SECRET}-of-another")  # it counts, and not the file
    assert "token" in check_one_line(flagkeep(*command, "--yes", *ways(guarded)))


def test_a_key_with_a_password_is_opened(
    flagkeep: Flagkeep, guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization as forms  # noqa: PLC0415  of trustme

    key = forms.load_pem_private_key(Path(guarded.key_file).read_bytes(), None)
    locked = forms.BestAvailableEncryption(SECRET.encode())
    file = tmp_path / "locked.key"
    pem = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, locked)
    file.write_bytes(pem)
    monkeypatch.setenv("FLAGKEEP_CONSUL_TOKEN", str(guarded.token))
    given = ["--tls-ca", guarded.ca_file, "--tls-cert", guarded.cert_file, "--tls-key", file]
    url = f"consul+https://{address(guarded.url)}"
    said = check_one_line(flagkeep("store", "status", url, *given), 2)
    assert "cert_file, key_file and key_password do not go together" in said
    monkeypatch.setenv("FLAGKEEP_CONSUL_TLS_KEY_PASSWORD", SECRET)
    assert flagkeep("store", "status", url, *given).code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_a_token_that_may_not_do_it_is_one_line_without_it(
    flagkeep: Flagkeep, guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    url = f"consul+https://{address(guarded.url)}/shop"
    monkeypatch.setenv("FLAGKEEP_CONSUL_TOKEN", str(guarded.token))
    flagkeep("store", "load", url, "good.json", "--yes", *ways(guarded))
    token = guarded.new_token('key_prefix "another/" { policy = "read" }')
    for given, problem in ((token, "key_prefix"), (f"{SECRET}-unknown", "token")):
        monkeypatch.setenv("FLAGKEEP_CONSUL_TOKEN", given)
        ended = flagkeep(*with_url(command, url, *ways(guarded)))
        assert problem in check_one_line(ended)
        assert given not in ended.out + ended.err


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_token_nothing_looks_empty(
    flagkeep: Flagkeep, guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    url = f"consul+https://{address(guarded.url)}/shop"
    monkeypatch.setenv("FLAGKEEP_CONSUL_TOKEN", str(guarded.token))
    assert flagkeep("store", "load", url, "good.json", "--yes", *ways(guarded)).code == 0
    monkeypatch.delenv("FLAGKEEP_CONSUL_TOKEN")
    monkeypatch.delenv("CONSUL_HTTP_TOKEN", raising=False)
    ended = flagkeep(*with_url(command, url, *ways(guarded)))
    assert "it asks for a token, and none was given" in check_one_line(ended)
    assert "nothing" not in ended.out + ended.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_consul_that_is_down_is_one_line(flagkeep: Flagkeep, command: list[str]) -> None:
    port = free_port()
    ended = flagkeep(*with_url(command, f"consul://127.0.0.1:{port}/x"))
    said = check_one_line(ended)
    assert said.startswith(f"flagkeep: consul 127.0.0.1:{port}: ")
    assert "refused" in said
    if "--json" in command:
        assert ended.json["reachable"] is False


@pytest.mark.slow
def test_a_consul_that_does_not_answer_is_given_up(flagkeep: Flagkeep, consul_url: str) -> None:
    with ConsulFaults(consul_url) as faults:
        faults.hang(None)
        url = f"consul://{address(faults.url)}/x"
        said = check_one_line(flagkeep("store", "get", url, "beta", "--timeout", "0.3"))
    assert "within 0.3 s" in said


@pytest.mark.parametrize("token", ["a b", "ä", "a\n"])
def test_a_token_that_cannot_be_one_is_named_by_its_variable(
    flagkeep: Flagkeep, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", token)
    said = check_one_line(flagkeep("store", "status", "consul://h"), 2)
    assert "CONSUL_HTTP_TOKEN must be text in ASCII without blanks" in said


def test_an_empty_token_is_none(
    flagkeep: Flagkeep, monkeypatch: pytest.MonkeyPatch, consul_url: str
) -> None:
    monkeypatch.setenv("FLAGKEEP_CONSUL_TOKEN", "")
    with ConsulFaults(consul_url) as faults:
        assert flagkeep("store", "status", f"consul://{address(faults.url)}/x").code == 0
    assert not any("authorization" in request.headers for request in faults.requests)


@pytest.mark.parametrize("problem", ["dc=nowhere", "namespace=x", "partition=x"])
@pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[5], COMMANDS[6], COMMANDS[7]])
def test_a_place_that_consul_does_not_have_is_one_line(
    flagkeep: Flagkeep, consul_url: str, command: list[str], problem: str
) -> None:
    said = check_one_line(flagkeep(*with_url(command, f"consul://{address(consul_url)}?{problem}")))
    assert ("no such datacenter" in said) or ("it is not Consul Enterprise" in said)


# --- what does not fit ---------------------------------------------------------------------------


def flag_of(size: int) -> dict[str, Any]:
    """Return a flag whose text is a little longer than so many bytes."""
    text = "x" * size
    return {"version": 1, "on": True, "variations": [text], "fallthrough": {"variation": 0}}


@pytest.mark.parametrize("options", [["--yes"], ["--update"]])
def test_what_consul_does_not_take_is_not_said_to_be_there(
    flagkeep: Flagkeep, consul_url: str, consul_prefix: str, options: list[str]
) -> None:
    url = f"consul://{address(consul_url)}/{consul_prefix}"
    Path("old.json").write_text(json.dumps({"flags": {"big": {**flag_of(9), "on": False}}}))
    assert flagkeep("store", "load", url, "old.json").code == 0
    big = {**flag_of(600_000), "version": 2}
    Path("big.json").write_text(json.dumps({"flags": {"big": big, "small": flag_of(9)}}))
    ended = flagkeep("store", "load", url, "big.json", "--json", *options)
    assert (ended.code, ended.json["flags"]) == (1, 1)
    assert ended.json["refused"] == [{"kind": "flag", "key": "big"}]
    why, what = ended.err.splitlines()
    assert why.startswith(f"flagkeep: consul {address(consul_url)}: not stored: flag 'big'")
    assert why.endswith("is too large for the server (kv_max_value_size)")
    assert what == "flagkeep: flag 'big' was not stored; what was there of it stays"
    assert flagkeep("store", "get", url, "big", "--json").json["version"] == 1
    assert flagkeep("store", "get", url, "small").code == 0


@pytest.mark.usefixtures("_at_aws")
@pytest.mark.parametrize("options", [["--yes"], ["--update"]])
def test_what_a_row_does_not_take_is_kept_in_parts_and_said(
    flagkeep: Flagkeep, dynamodb_table: str, options: list[str]
) -> None:
    url, key = f"dynamodb://{dynamodb_table}", "k" * 1025
    document = {"flags": {"big": flag_of(500_000), "small": flag_of(9)}}
    Path("big.json").write_text(json.dumps(document))
    ended = flagkeep("store", "load", url, "big.json", "--json", *options)
    assert (ended.code, ended.json["flags"], ended.json["refused"]) == (0, 2, [])
    assert "flag 'big' is over 409000 bytes" in ended.err.splitlines()[0]
    assert "which only flagkeep reads" in ended.err.splitlines()[0]
    flagkeep("store", "dump", url, "-o", "dump.json")
    dumped = json.loads(Path("dump.json").read_text())
    assert dumped["flags"]["big"]["variations"] == document["flags"]["big"]["variations"]
    Path("long.json").write_text(json.dumps({"flags": {key: flag_of(9), "other": flag_of(9)}}))
    ended = flagkeep("store", "load", url, "long.json", "--json", *options)
    assert (ended.code, ended.json["flags"]) == (1, 1)
    assert ended.json["refused"] == [{"kind": "flag", "key": key}]
    assert f"not stored: flag '{key}' at $.key:" in ended.err


# --- URLs ----------------------------------------------------------------------------------------

TLS = ["--tls-insecure"]


@pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[-1]])
@pytest.mark.parametrize(
    ("url", "options", "problem"),
    [
        ("dynamodb://", [], "the name of a table comes after dynamodb://"),
        ("dynamodb://a", [], "the name of a table comes after dynamodb://"),
        ("dynamodb://flags/shop", [], "the name of a table comes after dynamodb://"),
        ("dynamodb://localhost:8000/flags", [], "the name of a table comes after dynamodb://"),
        ("dynamodb://AKIA:s3cr3t@flags", [], "credentials do not belong into the URL"),
        ("dynamodb://s3cr3t@flags", [], "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("dynamodb://flags?secret_access_key=s3cr3t", [], "credentials do not belong"),
        ("dynamodb://flags?aws_session_token=s3cr3t", [], "credentials do not belong"),
        ("dynamodb://flags?s3cr3t", [], "it has something after ?, where only prefix, region,"),
        ("dynamodb://flags?regoin=x", [], "it has 'regoin' after ?, where only prefix, region,"),
        ("dynamodb://flags?region=", [], "region has no value after ?"),
        ("dynamodb://flags?region=a&region=b", [], "region is there twice after ?"),
        ("dynamodb://flags?region=s3cr3t/x", [], "region must be a name such as eu-west-1"),
        ("dynamodb://flags?endpoint=s3cr3t:8000", [], "endpoint must be a URL"),
        ("dynamodb://flags?role=s3cr3t", [], "role must be an ARN such as arn:aws:iam"),
        ("dynamodb://flags?prefix=%FF", [], "it has escapes (%) that are no UTF-8"),
        ("dynamodb://flags?prefix=a", ["--prefix", "b"], "--prefix and the URL name two prefixes"),
        ("dynamodb://flags", TLS, "AWS_CA_BUNDLE names the authority to trust"),
        ("consul://", [], "the host is missing"),
        ("consul:///shop", [], "the host is missing"),
        ("consul://h:port", [], "its host or port cannot be read"),
        ("consul://h:99999/x", [], "its host or port cannot be read"),
        ("consul://s3cr3t@h", [], "set FLAGKEEP_CONSUL_TOKEN or CONSUL_HTTP_TOKEN"),
        ("consul://u:s3/cr3t@h", [], "a token does not belong into the URL"),
        ("consul://h?token=s3cr3t", [], "a token does not belong into the URL"),
        ("consul://h?s3cr3t", [], "it has something after ?, where only dc, namespace,"),
        ("consul://h?datacenter=x", [], "it has 'datacenter' after ?, where only dc, namespace,"),
        ("consul://h?consistency=s", [], "consistency must be one of 'default', 'consistent'"),
        ("consul://h/a#b", [], "the host is missing, or something else cannot be read"),
        ("consul://h//x", [], "prefix cannot be '/x'"),
        ("consul://h/%FF", [], "it has escapes (%) that are no UTF-8"),
        ("consul://h/a", ["--prefix", "b"], "--prefix and the URL name two prefixes"),
        ("consul://h/a", TLS, "--tls-insecure goes with consul+https://, not with consul://"),
        ("consul+https://h", ["--tls-ca", "/no/ca.pem"], "there is no file '/no/ca.pem'"),
        ("consul+https://h", ["--tls-key", "flags.json"], "key_file needs cert_file"),
        ("consul+http://h", [], "stores of kind 'consul+http' are not known: use sqlite:///"),
        ("http://s3cr3t@h:8500", [], "consul://host:8500/prefix"),
        ("https://s3cr3t@h:8500", [], "dynamodb://table?region=eu-west-1&prefix=shop"),
    ],
)
def test_a_wrong_url_is_one_line_that_says_what_to_write(
    flagkeep: Flagkeep, command: list[str], url: str, options: list[str], problem: str
) -> None:
    ended = flagkeep(*with_url(command, url, *options))
    said = check_one_line(ended, 2)
    assert ended.out == ""
    assert said.startswith(("flagkeep: URL: ", "flagkeep: --store: "))
    assert problem in said
    assert "cr3t" not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("consul://my-consul", "consul my-consul:8500"),
        ("CONSUL://my-consul:8100/x", "consul my-consul:8100"),
        ("consul+https://my-consul/x", "consul my-consul:8501"),
        ("consul://[::1]:8100/x", "consul [::1]:8100"),
    ],
)
def test_the_port_of_consul_has_a_default(url: str, shown: str) -> None:
    from flagkeep.cli.connection import Connection  # noqa: PLC0415  needs the extra
    from flagkeep.cli.stores import open_store  # noqa: PLC0415  the same

    opened = open_store(url, Connection())
    assert opened.name == shown
    assert isinstance(opened.store, ConsulStore)
    opened.store.close()


def test_a_table_may_be_named_by_its_arn() -> None:
    from flagkeep.cli.connection import Connection  # noqa: PLC0415  needs the extra
    from flagkeep.cli.stores import open_store  # noqa: PLC0415  the same

    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/flags"
    opened = open_store(f"dynamodb://{arn}?prefix=p", Connection())
    assert (opened.name, opened.prefix) == (f"dynamodb {arn}", "p")
    assert isinstance(opened.store, DynamoDBStore)
    opened.store.close()


def test_flags_move_from_one_database_to_the_other(
    flagkeep: Flagkeep, any_store: AnyStore, consul_url: str, consul_prefix: str
) -> None:
    any_store.fill()
    assert flagkeep("store", "dump", any_store.url, "--tombstones", "-o", "dump.json").code == 0
    other = f"consul://{address(consul_url)}/{consul_prefix}"
    flagkeep("store", "load", other, "dump.json")
    again: Any = json.loads(flagkeep("store", "dump", other, "--tombstones").out)
    assert again == json.loads(Path("dump.json").read_text())
