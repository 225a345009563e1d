"""How a client of DynamoDB is made: by `botocore`, the core of boto3, with the store's settings.

It takes two things of which each can be slow: much code, which a fork must not cut in two, and
credentials, for which programs may be run and servers be asked, so that nobody knows how long.
"""

import logging
from functools import cache
from typing import Any, Final

from flagkeep._runtime import fork
from flagkeep._runtime.dynamodb_errors import NotAnObject, NotAssumed
from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep.errors import InvalidData
from flagkeep.model.codec import parse_json

log: Final = logging.getLogger("flagkeep.stores.dynamodb")

_ROLE_SESSION: Final = "flagkeep"


def load() -> None:
    """Import and read what is the same for every client: nine tenths of the time that one takes.

    It asks nobody, so that it comes to its end. What is wrong with the driver or with AWS's
    configuration is told by the first call.
    """
    try:
        config = _imported()(defaults_mode="legacy")
        new = _session(None).create_client
        keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "none")
        new("dynamodb", region_name="us-east-1", config=config, **keys).close()
    except Exception as exc:  # noqa: BLE001  whatever the driver raises
        log.debug("the driver of DynamoDB could not be loaded: %s", type(exc).__name__)


def _imported() -> Any:
    """Import the driver; return its class of configurations."""
    with fork.unforkable:
        import encodings.idna  # noqa: F401, PLC0415  the first connection would import it

        import botocore.session  # noqa: F401, PLC0415  takes 150 ms
        from botocore.config import Config  # noqa: PLC0415

    return Config


def new_client(settings: Settings) -> Any:
    """Return a client that belongs to this process; what the driver raises is raised."""
    new_config = _imported()
    source = settings.session
    make = None if source is None else source.client
    if make is None:
        source = _session(settings.profile)
        make = source.create_client
    config = _config(settings, new_config)
    arguments = {
        "region_name": settings.region,
        "endpoint_url": settings.endpoint,
        **settings.options,
        "config": config,
    }
    access, secret, token = settings.keys or (None, None, None)
    keys = {
        "aws_access_key_id": access,
        "aws_secret_access_key": secret,
        "aws_session_token": token,
    }
    if settings.role is None:
        return make("dynamodb", **keys, **arguments)
    region = settings.region or _region_of(source)
    arguments["region_name"] = region
    profile = settings.profile or _profile_of(settings.session)
    assuming = _session(profile)
    giver = make("sts", region_name=region, config=config, **keys)
    assuming.register_component("credential_provider", _Role(giver, settings.role))
    return assuming.create_client("dynamodb", **arguments)


def _session(profile: str | None) -> Any:
    """Return a session of our own, which reads answers faster than botocore's."""
    from botocore.parsers import ResponseParserFactory  # noqa: PLC0415  is imported
    from botocore.session import Session  # noqa: PLC0415  likewise

    class Factory(ResponseParserFactory):  # type: ignore[misc]  # it ships no types
        def create_parser(self, protocol_name: str) -> Any:
            parser = super().create_parser(protocol_name)
            return _Parser(parser) if protocol_name == "json" else parser

    session = Session(profile=profile)
    session.register_component("response_parser_factory", Factory())
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@cache
def _loader(path: str | None) -> Any:
    """Return what reads the descriptions of services and keeps them.

    With one for all clients, the second takes a quarter of the first's time, and so does that of a
    child.
    """
    from botocore.loaders import create_loader  # noqa: PLC0415  is imported

    return create_loader(path)


class _Parser:
    """Reads the answers of DynamoDB, which are JSON of the very form that they are wanted in.

    botocore goes through them attribute by attribute, looking for each of ten types: that takes
    five times as long, and half of the time of a full replace in which nothing has changed. And it
    takes any page of a web server, or half an answer, for one that says nothing at all.

    What is binary stays in base64; errors are left to botocore.

    Args:
        parser: of botocore.
    """

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def parse(self, response: Any, shape: Any) -> Any:
        """Return an answer.

        Raises:
            NotAnObject: it is none.
        """
        status = response["status_code"]
        try:
            answer = parse_json(response["body"])
        except InvalidData:
            answer = None
        if status != 200:  # noqa: PLR2004  OK
            known = response if isinstance(answer, dict) else {**response, "body": b"{}"}
            return self._parser.parse(known, shape)  # which stumbles over other JSON
        if not isinstance(answer, dict):
            raise NotAnObject
        answer["ResponseMetadata"] = {"HTTPStatusCode": status}
        return answer


def _config(settings: Settings, kind: Any) -> Any:
    """Return the store's configuration with the caller's over it."""
    ours = kind(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.timeout,
        max_pool_connections=settings.max_connections,
        tcp_keepalive=True,
        parameter_validation=False,  # a fifth of the time of a write, for arguments that are ours
    )
    given = settings.options.get("config")
    config = ours if given is None else ours.merge(given)
    # How often something is tried is decided by those who know how long it is worth waiting for.
    return config.merge(kind(retries={"total_max_attempts": 1, "mode": "standard"}))


def _region_of(source: Any) -> Any:
    """Return the region that a session has found; boto3's and botocore's say it differently."""
    if hasattr(source, "region_name"):
        return source.region_name
    return source.get_config_variable("region")


def _profile_of(session: Any) -> str | None:
    """Return the profile of a session of boto3, which calls it `default` if there is none."""
    name = getattr(session, "profile_name", None)
    return None if name == "default" else name


class _Role:
    """Takes the place of a session's search for credentials: assumes a role, again when it ends.

    Args:
        giver: a client of STS.
        role: its ARN.
    """

    def __init__(self, giver: Any, role: str) -> None:
        self._giver = giver
        self._role = role

    def load_credentials(self) -> Any:
        """Return credentials that are asked for when they are needed, and renewed."""
        from botocore.credentials import DeferredRefreshableCredentials  # noqa: PLC0415  likewise

        return DeferredRefreshableCredentials(refresh_using=self._assume, method="assume-role")

    def _assume(self) -> dict[str, str]:
        try:
            answer = self._giver.assume_role(RoleArn=self._role, RoleSessionName=_ROLE_SESSION)
        except Exception as exc:  # whatever the driver raises
            raise NotAssumed(self._giver) from exc
        finally:
            self._giver.close()  # its connection: the next is needed in an hour
        found = answer["Credentials"]
        return {
            "access_key": found["AccessKeyId"],
            "secret_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expiry_time": found["Expiration"].isoformat(),
        }
