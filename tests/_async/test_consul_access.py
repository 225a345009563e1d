"""A store in Consul and who may use it: rights, tokens, certificates."""

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flagkeep._async.stores.consul import AsyncConsulStore
from flagkeep.config import HttpSettings
from flagkeep.errors import ConfigError, StoreUnavailable
from flagkeep.model.item import Kind
from flagkeep.storage.consul_layout import Names
from flagkeep.storage.contents import StoreContents
from tests._async.consul_stores import ME, many, record_at, sized, value
from tests._async.store_suite import flag, flags, full, part, refs
from tests.servers.consul import ConsulServer
from tests.servers.consul_faults import ConsulFaults
from tests.servers.http_faults import Ask, Reply, Request

pytestmark = pytest.mark.usefixtures("consul_here")

OWN = Names("p").own
NOBODY = "00000000-0000-0000-0000-000000000002"  # the token of whoever has none
READ = 'key_prefix "p/" { policy = "read" }'
WRITE = 'key_prefix "p/" { policy = "write" }'
MARKER = 'key "p/$inited" { policy = "read" }'
SEGMENTS = 'key_prefix "p/segments/" { policy = "read" }'
READ_RECORD = f'key_prefix "{OWN}" {{ policy = "read" }}'
OF_1_10 = ("Results", "Errors", "Index", "LastContact", "KnownLeader")
WRITE_RECORD = f'key_prefix "{OWN}" {{ policy = "write" }}'


@pytest.fixture(scope="module")
def own_server(consul_here: None) -> Iterator[ConsulServer]:  # noqa: ARG001  it is built first
    """A server that refuses whoever has no token."""
    with ConsulServer(acl=True) as server:
        yield server


@pytest.fixture
def server(own_server: ConsulServer) -> Iterator[ConsulServer]:
    """The same, empty."""
    yield own_server
    own_server.delete("")


@pytest.fixture
def as_who(server: ConsulServer) -> Callable[..., AsyncConsulStore]:
    """Returns a store with a new token that has these rights."""

    def as_who(*rules: str, prefix: str = "p") -> AsyncConsulStore:
        return AsyncConsulStore(server.url, prefix=prefix, token=server.new_token(" ".join(rules)))

    return as_who


def allow_more(server: ConsulServer, secret: str, rules: str) -> None:
    """Give further rights to a token."""
    tokens = server.call("GET", "/v1/acl/tokens").json()
    (one,) = [one for one in tokens if one["SecretID"] == secret]
    policy = {"Name": f"more-{uuid.uuid4()}", "Rules": rules}
    assert server.call("PUT", "/v1/acl/policy", policy).status == 200
    policies = [*({"ID": old["ID"]} for old in one["Policies"]), {"Name": policy["Name"]}]
    said = server.call("PUT", f"/v1/acl/token/{one['AccessorID']}", {"Policies": policies})
    assert said.status == 200, said


def revoke(server: ConsulServer, secret: str) -> None:
    tokens = server.call("GET", "/v1/acl/tokens").json()
    accessor = next(one["AccessorID"] for one in tokens if one["SecretID"] == secret)
    assert server.call("DELETE", f"/v1/acl/token/{accessor}").status == 200


@contextmanager
def everybody_may(server: ConsulServer, rules: str) -> Iterator[None]:
    """Give rights to whoever has no token."""
    policy = {"Name": f"everybody-{uuid.uuid4()}", "Rules": rules}
    assert server.call("PUT", "/v1/acl/policy", policy).status == 200
    give(server, [{"Name": policy["Name"]}])
    try:
        yield
    finally:
        give(server, [])


def give(server: ConsulServer, policies: list[dict[str, str]]) -> None:
    said = server.call("PUT", f"/v1/acl/token/{NOBODY}", {"Policies": policies})
    assert said.status == 200, said


# --- rights ---------------------------------------------------------------------------------------


async def test_the_rights_that_errors_ask_for_are_enough(
    server: ConsulServer, as_who: Callable[..., AsyncConsulStore]
) -> None:
    writer = as_who(WRITE, WRITE_RECORD)
    await writer.replace(full({**many(70), "é": flag("é"), "big": sized("big", 1, 450_000)}), ME)
    assert await writer.upsert(part(flags(a=1))) == {}
    reader = as_who(READ, READ_RECORD)
    assert await reader.is_initialized()
    assert await value(reader) == 1
    assert len(await reader.get_many(refs("a", "é", "f1", "none"))) == 3
    assert len((await reader.get_all()).flags) == 73
    record = await reader.read_record()
    assert record is not None
    assert record.counts[Kind.FLAG] == 73
    before = server.content("p/")
    for write in (
        lambda: reader.replace(full({})),
        lambda: reader.replace(full(many(100)), ME),
        lambda: reader.upsert(part(flags(a=2))),
        lambda: reader.upsert(part({"big": sized("big", 2, 450_000)})),
        reader.clear,
    ):
        with pytest.raises(StoreUnavailable) as caught:
            await write()
        assert "may not" in caught.value.reason
        for rule in (READ, READ_RECORD, 'writers policy = "write"'):
            assert rule in caught.value.reason
    assert server.content("p/") == before
    await writer.clear()
    assert server.content("p/") == {}
    for store in (writer, reader):
        await store.aclose()


@pytest.mark.parametrize("rules", [(READ, READ_RECORD), ()])
async def test_what_may_not_be_read_is_never_taken_for_empty(
    rules: tuple[str, ...], server: ConsulServer, as_who: Callable[..., AsyncConsulStore]
) -> None:
    owner = AsyncConsulStore(server.url, prefix="q", token=server.token)
    await owner.replace(full({**flags(a=1), "é": flag("é")}, segments=["s"]), ME)
    stranger = as_who(*rules, prefix="q")
    for ask in (
        stranger.is_initialized,
        stranger.get_all,
        lambda: value(stranger),
        lambda: value(stranger, "none"),
        lambda: value(stranger, "é"),
        lambda: stranger.get_many(refs("a", "none")),
        lambda: stranger.upsert(part(flags(a=2))),
        lambda: stranger.replace(full({}), ME),
    ):
        with pytest.raises(StoreUnavailable, match=r'key_prefix "q/" \{ policy = "read" \}'):
            await ask()
    for store in (owner, stranger):
        await store.aclose()


async def test_one_flag_that_may_not_be_read_makes_a_set_incomplete(
    server: ConsulServer, as_who: Callable[..., AsyncConsulStore]
) -> None:
    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    await owner.replace(full(flags(a=1, b=1, secret=1)))
    partial = as_who(WRITE, 'key "p/features/secret" { policy = "deny" }')
    assert len(await partial.get_many(refs("a", "b"))) == 2
    for ask in (
        partial.get_all,
        lambda: partial.get_many(refs("a", "secret")),
        lambda: partial.upsert(part(flags(a=2, secret=2))),
        lambda: partial.replace(full(flags(a=2))),
    ):
        with pytest.raises(StoreUnavailable, match="may not"):
            await ask()
    assert (await owner.get_all()).flags == flags(a=1, b=1, secret=1)
    for store in (owner, partial):
        await store.aclose()


@pytest.mark.parametrize("more", [(), (READ_RECORD,)])
async def test_a_token_of_another_sdk_is_enough_but_for_the_record(
    more: tuple[str, ...],
    server: ConsulServer,
    as_who: Callable[..., AsyncConsulStore],
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = as_who(WRITE, *more)
    for version in (1, 3):
        await store.replace(full(flags(a=version)), ME)
        assert await store.upsert(part(flags(a=version + 1))) == {}
        assert await store.upsert(part({"big": sized("big", version, 450_000)})) == {}
        await store.replace(full(many(100, version)), ME)
        assert (await store.get_all()).flags == many(100, version)
        assert await store.read_record() is None
    await store.clear()
    assert server.content("p/") == {}
    assert record_at(server, "p") == {}
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert 1 <= len(said) <= 2  # about reading it, and about writing it
    assert all(f'key_prefix "{OWN}"' in line for line in said)
    await store.aclose()


async def test_a_record_that_may_not_be_written_is_not_written_in_a_change_either(
    server: ConsulServer, as_who: Callable[..., AsyncConsulStore]
) -> None:
    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    await owner.replace(full(flags(a=1)), ME)
    before = record_at(server, "p")
    small, large = as_who(WRITE, READ_RECORD), as_who(WRITE, READ_RECORD)
    assert await small.upsert(part(flags(a=2))) == {}
    assert await large.upsert(part({"big": sized("big", 1, 450_000)})) == {}
    assert len((await owner.get_all()).flags) == 2
    assert record_at(server, "p") == before
    for store in (owner, small, large):
        await store.aclose()


@pytest.mark.parametrize("has_transactions", [True, False])
async def test_a_record_that_may_not_be_read_is_asked_for_once_and_named_once(
    *,
    has_transactions: bool,
    server: ConsulServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    await owner.replace(full(flags(a=1)), ME)
    with ConsulFaults(server.url) as faults:
        if not has_transactions:
            faults.say("PUT txn", 403, b"Access is restricted")
        store = AsyncConsulStore(faults.url, prefix="p", token=server.new_token(READ))
        for version in (1, 2):
            await owner.upsert(part(flags(a=version)))
            contents = await store.get_all()
            assert contents.initialized
            assert contents.flags == flags(a=version)
            assert contents.unfinished is None
        asked = sum("record" in f"{one.path} {one.body!r}" for one in faults.requests)
        assert asked == (1 if has_transactions else 2)  # the first transaction was refused
        assert await store.read_record() is None
        await store.aclose()
    (said,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert f"the token may not read {OWN}record" in said
    await owner.aclose()


async def test_who_may_read_the_record_from_now_on_sees_half_sets_again(
    server: ConsulServer,
) -> None:
    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    await owner.replace(full(flags(a=1)), ME)
    secret = server.new_token(READ)
    store = AsyncConsulStore(server.url, prefix="p", token=secret)
    assert (await store.get_all()).unfinished is None
    allow_more(server, secret, READ_RECORD)
    assert await store.read_record() is not None
    half = ME.before_replace(await owner.read_record())
    server.put(f"{OWN}record", half.encode())
    assert (await store.get_all()).unfinished == half
    for each in (owner, store):
        await each.aclose()


async def test_without_a_token_what_may_not_be_read_is_not_taken_for_empty(
    server: ConsulServer,
) -> None:
    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    with ConsulFaults(server.url) as faults:
        nobody = AsyncConsulStore(faults.url, prefix="p")
        for write in (lambda: owner.upsert(part(flags(a=1))), lambda: owner.replace(full({}))):
            for _ in ("there is nothing", "there is something"):
                with pytest.raises(StoreUnavailable, match="none was given") as caught:
                    await nobody.get_all()
                assert READ in caught.value.reason
            await write()
        faults.say("PUT txn", 403, b"Access is restricted")
        with pytest.raises(StoreUnavailable, match="none was given"):
            await nobody.get_all()
        await nobody.aclose()
    await owner.aclose()


@pytest.mark.parametrize("rules", [READ, MARKER, ""])
async def test_without_a_token_rights_that_everybody_has_are_enough(
    rules: str, server: ConsulServer
) -> None:
    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    with ConsulFaults(server.url) as faults, everybody_may(server, rules):
        nobody = AsyncConsulStore(faults.url, prefix="p")
        if rules != READ:
            with pytest.raises(StoreUnavailable, match="none was given"):
                await nobody.get_all()
        else:
            assert await nobody.get_all() == StoreContents(False, {}, {})
            assert faults.counts == {"PUT txn": 1, "GET kv": 3}
            await owner.replace(full(flags(a=1)), ME)
            assert (await nobody.get_all()).flags == flags(a=1)
            assert faults.counts == {"PUT txn": 2, "GET kv": 4}  # there are no segments
            await owner.replace(full(flags(a=1), segments=["s"]), ME)
            assert (await nobody.get_all()).flags == flags(a=1)
            assert faults.counts == {"PUT txn": 3, "GET kv": 4}
        await nobody.aclose()
    await owner.aclose()


@pytest.mark.parametrize("rules", [MARKER, f"{MARKER} {SEGMENTS}"])
async def test_without_a_token_a_marker_that_may_be_read_says_nothing_of_the_rest(
    rules: str, server: ConsulServer
) -> None:
    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    await owner.replace(full(flags(a=1), segments=["s"]), ME)
    with everybody_may(server, rules):
        nobody = AsyncConsulStore(server.url, prefix="p")
        with pytest.raises(StoreUnavailable, match="none was given"):
            await nobody.get_all()
        await nobody.aclose()
    await owner.aclose()


@pytest.mark.parametrize("rules", [(MARKER,), (MARKER, SEGMENTS), (READ_RECORD,)])
async def test_a_server_before_1_11_is_not_believed_that_there_is_nothing(
    rules: tuple[str, ...], server: ConsulServer
) -> None:
    """It leaves out what the token may not read, and says so to nobody."""

    def as_it_was(request: Request, ask: Ask) -> Reply:
        reply = ask(request)
        said = json.loads(reply.body)
        return reply._replace(body=json.dumps({key: said[key] for key in OF_1_10}).encode())

    owner = AsyncConsulStore(server.url, prefix="p", token=server.token)
    await owner.replace(full(flags(a=1)), ME)
    with ConsulFaults(server.url) as faults:
        faults.on("PUT txn", as_it_was)
        reader = AsyncConsulStore(faults.url, prefix="p", token=server.new_token(READ))
        assert (await reader.get_all()).flags == flags(a=1)
        stranger = AsyncConsulStore(faults.url, prefix="p", token=server.new_token(" ".join(rules)))
        with pytest.raises(StoreUnavailable, match="the token may not"):
            await stranger.get_all()
        for store in (reader, stranger):
            await store.aclose()
    await owner.aclose()


# --- tokens ---------------------------------------------------------------------------------------


async def test_no_token_and_an_unknown_one_are_told_apart(server: ConsulServer) -> None:
    for token, said in ((None, "none was given"), ("unknown", "not known")):
        store = AsyncConsulStore(server.url, prefix="p", token=token)
        asks: list[Callable[[], Any]] = [
            lambda: value(store),  # noqa: B023  called at once
            store.is_initialized,
            lambda: store.replace(full(flags(a=1)), ME),  # noqa: B023
        ]
        for ask in asks:
            with pytest.raises(StoreUnavailable, match=said):
                await ask()
        await store.aclose()
    unknown = AsyncConsulStore(server.url, prefix="p", token="unknown")
    with pytest.raises(StoreUnavailable, match="not known"):
        await unknown.read_record()
    await unknown.aclose()


async def test_a_token_file_is_read_again_when_a_request_is_refused(
    server: ConsulServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    first, second = (server.new_token(f"{WRITE} {WRITE_RECORD}") for _ in range(2))
    file.write_text(f"{first}\n")
    store = AsyncConsulStore(server.url, prefix="p", token_file=file)
    await store.replace(full(flags(a=1)), ME)
    revoke(server, first)
    with pytest.raises(StoreUnavailable, match="not known"):
        await value(store)
    file.write_text(second)
    assert await value(store) == 1
    assert await store.upsert(part(flags(a=2))) == {}
    reader, writer = server.new_token(f"{READ} {READ_RECORD}"), server.new_token(WRITE)
    revoke(server, second)
    file.write_text(reader)
    assert (await store.get_all()).flags == flags(a=2)
    with pytest.raises(StoreUnavailable, match="may not"):
        await store.upsert(part(flags(a=3)))
    file.write_text(writer)
    assert await store.upsert(part(flags(a=3))) == {}
    stranger = server.new_token('key_prefix "q/" { policy = "write" }')
    file.write_text(stranger)
    assert await value(store) == 3  # nobody has refused the old one
    revoke(server, writer)
    for ask in (lambda: value(store), store.get_all):
        with pytest.raises(StoreUnavailable, match="may not"):
            await ask()
    file.write_text(str(server.token))
    assert (await store.get_all()).flags == flags(a=3)
    file.unlink()
    assert await value(store) == 3
    await store.aclose()


async def test_a_token_file_that_is_not_there_yet_is_named(
    server: ConsulServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    store = AsyncConsulStore(server.url, prefix="p", token_file=str(file))
    with pytest.raises(StoreUnavailable, match=r"token_file '.*token' cannot be read: No such"):
        await store.get_all()
    for text in (b"", b"two words", b"\xff\xfe"):
        file.write_bytes(text)
        with pytest.raises(StoreUnavailable, match="token_file"):
            await value(store)
    file.write_text(str(server.token))
    assert await value(store) is None
    await store.aclose()


async def test_secrets_are_shown_nowhere(
    server: ConsulServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = server.new_token(READ)
    file = tmp_path / "file"
    file.write_text(secret)
    shown: list[object] = []
    for store in (
        AsyncConsulStore(server.url, prefix="p", token=secret),
        AsyncConsulStore(server.url, prefix="p", token_file=file),
    ):
        await store.get_all()
        shown += [store, vars(store), vars(store._requests), store._settings, store.label]
        with pytest.raises(StoreUnavailable) as caught:
            await store.replace(full(flags(a=1)), ME)
        shown += [caught.value, caught.value.__cause__, caught.value.reason]
        await store.aclose()
    for url in (f"http://me:{secret}@127.0.0.1:1", f"http://127.0.0.1:1/?token={secret}"):
        with pytest.raises(ConfigError) as refused:
            AsyncConsulStore(url)
        shown += [refused.value]
    with pytest.raises(ConfigError) as refused:
        AsyncConsulStore(token=f"{secret} ")
    nowhere = AsyncConsulStore("http://127.0.0.1:1", token=secret)
    with pytest.raises(StoreUnavailable) as caught:
        await nowhere.get_all()
    shown += [refused.value, caught.value, caught.value.__cause__]
    shown += [record.getMessage() for record in caplog.records if "flagkeep" in record.name]
    texts = [f"{one!r} {one!s}" for one in shown]
    assert not [text for text in texts if secret in text]
    await nowhere.aclose()


async def test_another_server_is_not_told_the_token(server: ConsulServer) -> None:
    with ConsulFaults(server.url) as here, ConsulFaults(server.url) as there:
        store = AsyncConsulStore(here.url, prefix="p", token=server.token)
        await store.replace(full(flags(a=1)))
        assert "authorization" in here.requests[-1].headers
        here.answer("GET kv", 307, b"", {"Location": f"{there.url}/v1/kv/p/features/a?raw"})
        with pytest.raises(StoreUnavailable, match="none was given"):
            await value(store)
        assert "authorization" not in there.requests[0].headers
        here.pass_on()
        here.answer("PUT txn", 307, b"", {"Location": f"{there.url}/v1/txn"})
        with pytest.raises(StoreUnavailable, match="somewhere else"):
            await store.get_all()
        assert len(there.requests) == 1
        await store.aclose()


# --- TLS ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_own_authority_and_client_certificate() -> None:
    with ConsulServer(tls=True, client_certificates=True) as server:
        http = HttpSettings(
            ca_file=server.ca_file, cert_file=server.cert_file, key_file=server.key_file
        )
        good = AsyncConsulStore(server.url, http=http)
        await good.replace(full({**many(70), "big": sized("big", 1, 450_000)}), ME)
        assert await good.upsert(part(flags(a=2))) == {}
        assert await value(good, timeout=5.0) == 2
        assert len((await good.get_all()).flags) == 72
        unknown = AsyncConsulStore(server.url)
        with pytest.raises(StoreUnavailable, match=r"authority that is not trusted here.*ca_file"):
            await unknown.get_all()
        bare = AsyncConsulStore(server.url, http=HttpSettings(ca_file=server.ca_file))
        with pytest.raises(StoreUnavailable, match="cert_file and key_file"):
            await bare.get_all()
        plain = AsyncConsulStore(server.url.replace("https", "http"))
        with pytest.raises(StoreUnavailable, match="write https://"):
            await plain.is_initialized()  # more might be broken off before the answer is read
        for store in (good, unknown, bare, plain):
            await store.aclose()


async def test_a_server_without_tls_is_named(server: ConsulServer) -> None:
    store = AsyncConsulStore(server.url.replace("http", "https"))
    with pytest.raises(StoreUnavailable, match="does not speak TLS"):
        await store.get_all()
    await store.aclose()


async def test_the_certificates_of_settings_need_https_and_are_checked_at_once(
    tmp_path: Path,
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(json.dumps("no certificate"))
    with pytest.raises(ConfigError, match="https://"):
        AsyncConsulStore(http=HttpSettings(ca_file=file))
    with pytest.raises(ConfigError, match="PEM"):
        AsyncConsulStore("https://127.0.0.1:1", http=HttpSettings(ca_file=file))
