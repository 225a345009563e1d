"""A real DynamoDB Local, and its API by hand."""

import http.client
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from tests.servers.kept import ROOT, NotMade, kept, once, place_of, run
from tests.servers.server import LOOPBACK, Server, not_here

POM: Final = ROOT / "tools/servers/dynamodb/pom.xml"
COPY_JARS: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
MAIN: Final = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"

# Any credentials will do; without a signature that is right, too.
ACCESS_KEY_ID: Final = "dummy"
SECRET_ACCESS_KEY: Final = "dummy"
REGION: Final = "us-east-1"
_AUTHORIZATION: Final = (
    f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/20250101/{REGION}/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0"
)

KEYS: Final = (("namespace", "HASH"), ("key", "RANGE"))


class DynamoDBServer(Server):
    """A DynamoDB that forgets everything when it ends, unless it keeps its tables on disk.

    All regions and all access keys share its tables.

    Args:
        on_disk: let what is written survive `kill` and `start`.

    Attributes:
        url: what `endpoint_url` must be.
    """

    programs: ClassVar[Sequence[str]] = ("java",)
    install: ClassVar[str] = "a JDK, 17 or later: apt-get install default-jdk-headless"
    start_within: ClassVar[float] = 60.0

    def __init__(self, *, on_disk: bool = False) -> None:
        super().__init__()
        self._keep = ["-dbPath", str(self.folder)] if on_disk else ["-inMemory"]
        self.url = f"http://{LOOPBACK}:{self.port}"

    def command(self) -> Sequence[str]:
        """Return the arguments to start it with, after the program."""
        try:
            here = jars()
        except NotMade as exc:
            not_here(str(exc))
        # It is small and lives for minutes: starting up counts.
        java = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m"]
        libraries = [f"-Djava.library.path={here}", "-cp", f"{here}/*", MAIN]
        listen = ["-port", str(self.port), "-sharedDb", "-disableTelemetry"]
        return [*java, *libraries, *listen, *self._keep]

    def is_ready(self) -> bool:
        """Return whether it answers; it refuses what is no operation."""
        try:
            connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
            try:
                connection.request("GET", "/")
                return connection.getresponse().status == http.client.BAD_REQUEST
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False

    def call(self, operation: str, **arguments: Any) -> Any:
        """Run one operation of the API."""
        return call(self.url, operation, **arguments)


class DynamoDBError(Exception):
    """The server answered with an error.

    Attributes:
        kind: such as `ValidationException`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@once
def jars() -> Path:
    """Return the folder with DynamoDB Local's jars and libraries, fetched at the first call."""
    return kept(place(), _copy_jars)


def place() -> Path:
    """Return where the jars are kept, or will be."""
    return place_of("dynamodb-local", [POM])


def given_url() -> str | None:
    """Return the URL of the DynamoDB Local to be used instead of our own."""
    return os.environ.get("FLAGKEEP_TEST_DYNAMODB_URL")


def call(url: str, operation: str, *, timeout: float = 30, **arguments: Any) -> Any:
    """Run one operation of the API, with its arguments as they travel."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=timeout)
    try:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Authorization": _AUTHORIZATION,
        }
        connection.request("POST", "/", json.dumps(arguments).encode(), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    finally:
        connection.close()
    if response.status != http.client.OK:
        said = answer.get("message") or answer.get("Message") or ""
        raise DynamoDBError(answer["__type"].partition("#")[2], said)
    return answer


def create_table(
    url: str, name: str, *, keys: Sequence[tuple[str, str]] = KEYS, key_type: str = "S"
) -> None:
    """Create a table, by default as SDKs want it; it can be used when this returns.

    Args:
        keys: (attribute, `HASH` or `RANGE`) each.
        key_type: of all of them.
    """
    call(
        url,
        "CreateTable",
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": role} for key, role in keys],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": key_type} for key, _ in keys],
        BillingMode="PAY_PER_REQUEST",
    )


def drop_table(url: str, name: str) -> None:
    """Delete a table, if it is there."""
    try:
        call(url, "DeleteTable", TableName=name)
    except DynamoDBError as exc:
        if exc.kind != "ResourceNotFoundException":
            raise


def rows(url: str, table: str) -> Iterator[Mapping[str, Any]]:
    """Yield every row of a table, as it travels."""
    more: dict[str, Any] = {}
    while True:
        page = call(url, "Scan", TableName=table, ConsistentRead=True, **more)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _copy_jars(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotMade("mvn is not here, DynamoDB Local comes with it: apt-get install maven")
    print("fetching DynamoDB Local, once", file=sys.stderr, flush=True)
    where = [f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    run([maven, "-q", "-B", "-f", str(POM), COPY_JARS, *where], folder)
