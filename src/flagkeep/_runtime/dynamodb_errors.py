"""What the errors of DynamoDB and of boto3 mean; the seam is here for both colours.

The driver is not imported: its errors are told apart by the names of their classes and by the
service's own codes, neither of which changes. Little of the driver's texts is shown, since they may
hold URLs with passwords, or what a program that hands out credentials has printed.
"""

import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flagkeep._runtime.dynamodb_settings import Settings
from flagkeep.errors import StoreCorrupt, StoreError, StoreMissing, StoreUnavailable

_READER: Final = "dynamodb:GetItem, BatchGetItem and Query"
_WRITER: Final = "dynamodb:PutItem, UpdateItem, DeleteItem and BatchWriteItem"

_BUSY: Final = frozenset(
    (
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    )
)
_SHAKY: Final = frozenset(
    (
        "InternalFailure",
        "InternalServerError",
        "ReplicatedWriteConflictException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "TransactionConflictException",
        "TransactionInProgressException",
    )
)
_DENIED: Final = frozenset(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"))
_INVALID: Final = frozenset(("ValidationErrorException", "ValidationException"))
_MISSING: Final = "ResourceNotFoundException"
_REASONS: Final = {
    "ExpiredToken": "the session token has expired: get new credentials",
    "ExpiredTokenException": "the session token has expired: get new credentials",
    "IncompleteSignature": "the credentials are broken: check access key and secret key",
    "InvalidAccessKeyId": "AWS does not know the access key: check it, and the session token",
    "InvalidClientTokenId": "AWS does not know the access key: check it, and the session token",
    "InvalidSignatureException": (
        "AWS refuses the signature: check the secret key, and the clock of this machine"
    ),
    "MissingAuthenticationToken": "the request was not signed: give credentials",
    "MissingAuthenticationTokenException": "the request was not signed: give credentials",
    "RequestExpired": "AWS takes the request for an old one: check the clock of this machine",
    "SignatureDoesNotMatch": (
        "AWS refuses the signature: check the secret key, and the clock of this machine"
    ),
    "UnknownOperationException": (
        "what answers there does not know this operation: is it DynamoDB, and recent?"
    ),
    "UnrecognizedClientException": (
        "AWS does not know the access key: check it, the session token and the region"
    ),
}
_NO_CREDENTIALS: Final = (
    "there are no AWS credentials: give access_key_id and secret_access_key, a profile or a"
    " session, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or let the machine have a role"
)
_NO_SERVICE: Final = "what answers there is not DynamoDB: check the endpoint"
_NO_WORD: Final = "what answers there does not say why it fails: is it DynamoDB? Check the endpoint"
_INTERNAL: Final = "DynamoDB has a problem of its own"

# By the names of the driver's classes; the first that fits, along the classes an error has.
_OF_DRIVER: Final = {
    "NoCredentialsError": _NO_CREDENTIALS,
    "NoAuthTokenError": _NO_CREDENTIALS,
    "PartialCredentialsError": (
        "the AWS credentials are incomplete: an access key and a secret key are needed"
    ),
    "LoginError": "the login at AWS has expired or is missing: run aws login",
    "SSOError": "the SSO session has expired or is missing: run aws sso login",
    "TokenRetrievalError": "the SSO session has expired or is missing: run aws sso login",
    "CredentialRetrievalError": "the program or service that hands out AWS credentials has failed",
    "MetadataRetrievalError": "the service that hands out AWS credentials does not answer",
    "RefreshWithMFAUnsupportedError": (
        "the profile asks for a code (MFA), which nobody can enter here"
    ),
    "NoRegionError": "there is no region: give region, or set AWS_DEFAULT_REGION",
    "ProfileNotFound": "the AWS configuration has no such profile: check profile and AWS_PROFILE",
    "ConfigNotFound": "the AWS configuration file is missing: check AWS_CONFIG_FILE",
    "ConfigParseError": "the AWS configuration file cannot be read",
    "InvalidConfigError": "the AWS configuration contradicts itself: check the profile",
    "InvalidRegionError": "the region cannot be a part of a host's name: check it",
    "EndpointProviderError": "there is no endpoint for that region: check it",
    "UnknownEndpointError": "there is no endpoint for that region: check it",
    "EndpointVariantError": "there is no endpoint of that variant in that region: check both",
    "MissingDependencyException": "the AWS configuration needs a package that is missing: awscrt",
    "ProxyConnectionError": "the proxy does not answer: check HTTPS_PROXY and HTTP_PROXY",
    "InvalidProxiesConfigError": "the settings of the proxy cannot be used",
    "ConnectionClosedError": "the connection was closed before there was an answer",
    "ResponseStreamingError": "the connection was closed in the middle of an answer",
    "IncompleteReadError": "the connection was closed in the middle of an answer",
    "ChecksumError": "the answer has arrived damaged",
    "NotAnObject": _NO_SERVICE,
    "ResponseParserError": _NO_SERVICE,
}

_ABOUT_KEYS: Final = re.compile(
    r"conditions on the keys|key condition|key element|key schema|missing the key"
    r"|required keys was not given|type mismatch for key|does not match schema type",
    re.IGNORECASE,
)
_ACTION: Final = re.compile(r"\b(?:dynamodb|kms|sts):[A-Za-z]+")
_SCHEMA: Final = (
    "the table has another key: it must have the partition key namespace (String) and the sort key"
    " key (String); delete it or take another name, then"
)
_MISSING_TABLE: Final = (
    "there is no such table in that region and account, or it is still being made; make it with"
)


class TooSlow(Exception):
    """There was no answer within so many seconds, which are its argument."""


class OutOfTime(StoreUnavailable):
    """There was no answer in the time that the caller has given."""


class NotAnObject(Exception):
    """The answer was JSON, and nothing that DynamoDB would say."""


class NotAssumed(Exception):
    """A role could not be assumed; the client of STS is its argument, the reason its cause."""


class Busy(StoreUnavailable):
    """The service asks to try again, more slowly: the table or the account is throttled."""


class Shaky(StoreUnavailable):
    """Something failed inside of the service: worth another try."""


class Lost(StoreUnavailable):
    """A connection was closed, maybe since nobody had used it for long: worth one more try."""


UNCLEAR: Final = (Lost, Shaky)
"""What leaves open whether a request was done or not."""


class Refused(StoreUnavailable):
    """The service refuses the request, and would do so again.

    Attributes:
        code: the service's own.
    """

    def __init__(self, store: str, operation: str, reason: str, code: str) -> None:
        super().__init__(store, operation, reason)
        self.code = code


class ConditionFailed(StoreUnavailable):
    """Something else is there than the condition of a write asks for.

    Attributes:
        row: what is there, if the service has said so.
    """

    def __init__(self, store: str, operation: str, row: Mapping[str, Any] | None) -> None:
        super().__init__(store, operation, "others have written it at the same time")
        self.row = row


def translated(exc: BaseException, settings: Settings, operation: str, client: Any) -> StoreError:
    """Return what an error means to the user of a store.

    Args:
        exc: of the driver, or of the system.
        settings: how the table is reached.
        operation: what was tried.
        client: of the driver; None if there is none yet.
    """
    store = settings.label
    meta = getattr(client, "meta", None)
    if isinstance(exc, TooSlow):
        reason = f"no answer within {exc.args[0]:.3g} s: from the DNS, the credentials or the table"
        return OutOfTime(store, operation, reason)
    if isinstance(exc, NotAssumed) and exc.__cause__ is not None:
        return _of_role(exc.__cause__, settings, operation, exc.args[0])
    response = getattr(exc, "response", None)
    if _is(exc, "ClientError") and isinstance(response, Mapping):
        return _of_service(response, settings, operation, getattr(meta, "region_name", None))
    names = [kind.__name__ for kind in type(exc).__mro__]
    if "ConnectionClosedError" in names:
        return Lost(store, operation, _OF_DRIVER["ConnectionClosedError"])
    for name in names:
        if name in _OF_DRIVER:
            return StoreUnavailable(store, operation, _OF_DRIVER[name])
    return StoreUnavailable(
        store, operation, _of_network(exc, names, getattr(meta, "config", None))
    )


def _of_role(exc: BaseException, settings: Settings, operation: str, giver: Any) -> StoreError:
    """Return why there are no credentials of a role."""
    why = translated(exc, settings, operation, giver)
    host = urlsplit(giver.meta.endpoint_url).hostname
    reason = "it is asked too much" if isinstance(why, Busy) else why.reason
    reason = reason.replace("endpoint and region", "the region")  # the endpoint is the table's
    # Nothing was asked of the table, so that whatever may pass can be tried again.
    kind = Busy if isinstance(why, Busy | Shaky | Lost) else StoreUnavailable
    return kind(settings.label, operation, f"STS ({host}) gives no credentials: {reason}")


def _of_service(
    response: Mapping[str, Any], settings: Settings, operation: str, region: str | None
) -> StoreError:
    """Return what an answer with an error means."""
    store = settings.label
    error = response.get("Error") or {}
    code, text = str(error.get("Code") or ""), _line(str(error.get("Message") or ""))
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(store, operation, response.get("Item"))
    if code == "TransactionCanceledException":
        return _of_transaction(response, settings, operation, region)
    if code in _BUSY:
        reason = f"the table is throttled ({code}): give it more capacity, or on-demand billing"
        return Busy(store, operation, reason)
    if code in _SHAKY:
        return Shaky(store, operation, f"{_INTERNAL} ({code})")
    if code == _MISSING:
        return StoreMissing(store, operation, f"{_MISSING_TABLE}: {settings.creation(region)}")
    if code in _REASONS:
        return Refused(store, operation, _REASONS[code], code)
    if code in _DENIED:
        return Refused(store, operation, _denial(text), code)
    if code in _INVALID and _ABOUT_KEYS.search(text):
        return StoreCorrupt(store, operation, f"{_SCHEMA}: {settings.creation(region)}")
    return _of_unknown(response, settings, operation, code=code, text=text)


def _of_unknown(
    response: Mapping[str, Any], settings: Settings, operation: str, *, code: str, text: str
) -> StoreError:
    """Return what an answer with an error means that has no place in the tables above."""
    store = settings.label
    status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0
    if status >= 500:  # noqa: PLR2004  the server's errors
        if code and not code.isdigit():
            return Shaky(store, operation, f"{_INTERNAL} ({code})")
        return Shaky(store, operation, f"{_NO_WORD} (status {status})")
    if code.endswith("Exception"):
        reason = f"DynamoDB refuses the request ({code}): {text}"
        return Refused(store, operation, reason, code)
    return StoreUnavailable(store, operation, f"{_NO_SERVICE} (status {status})")


def _of_transaction(
    response: Mapping[str, Any], settings: Settings, operation: str, region: str | None
) -> StoreError:
    """Return what the first reason for which a transaction was cancelled means."""
    codes = {
        "ConditionalCheckFailed": "ConditionalCheckFailedException",
        "ProvisionedThroughputExceeded": "ProvisionedThroughputExceededException",
        "ThrottlingError": "ThrottlingException",
        "TransactionConflict": "TransactionConflictException",
    }
    for one in response.get("CancellationReasons") or ():
        code = one.get("Code")
        if code and code != "None":
            error = {"Code": codes.get(code, f"{code}Exception"), "Message": one.get("Message")}
            return _of_service({"Error": error}, settings, operation, region)
    return Shaky(settings.label, operation, "DynamoDB has cancelled the transaction")


def _denial(text: str) -> str:
    found = _ACTION.search(text)
    action = found[0] if found else ""
    if action.startswith("sts:"):
        return f"AWS denies {action}: the credentials must be allowed to assume the role"
    if action.startswith("kms:"):
        return f"AWS denies {action}: the key that the table is encrypted with is not theirs to use"
    which = f" ({action})" if action else ""
    return (
        f"AWS denies the access{which}: whoever reads needs {_READER} on the table, whoever writes"
        f" {_WRITER}, too"
    )


def _of_network(exc: BaseException, names: list[str], config: Any) -> str:
    """Return why there was no conversation."""
    if "ReadTimeoutError" in names:
        return f"no answer within {_seconds(config, 'read_timeout')} s"
    if "ConnectTimeoutError" in names:
        return f"no connection within {_seconds(config, 'connect_timeout')} s"
    if "SSLError" in names:
        return _of_tls(str(exc))
    causes = list(_causes(exc))
    if any(isinstance(one, socket.gaierror) for one in causes):
        return "the name of its host is unknown: check endpoint and region"
    if any(isinstance(one, ConnectionRefusedError) for one in causes):
        return "the connection was refused: is it running there?"
    if "EndpointConnectionError" in names:
        return "there is no connection: check endpoint, region and network"
    if isinstance(exc, ValueError):
        return "boto3 cannot work with these settings: check endpoint, region and options"
    return f"boto3 failed with {type(exc).__name__}"


def _seconds(config: Any, name: str) -> str:
    """Return a timeout of the client, which may have been made by somebody else."""
    seconds = getattr(config, name, None)
    return f"{seconds:.3g}" if isinstance(seconds, int | float) else "its"


def _of_tls(text: str) -> str:
    if "WRONG_VERSION_NUMBER" in text or "wrong version number" in text:
        return "what answers there does not speak TLS: is it http:// instead of https://?"
    found = re.search(r"certificate verify failed: ([\w ,'-]+)", text)
    if found:
        return f"its certificate cannot be trusted: {found[1].strip()}"
    return "no agreement on TLS: check the endpoint and its certificate"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an error and whatever has led to it, as far as the driver kept it."""
    waiting: list[Any] = [exc]
    for _ in range(20):
        if not waiting:
            return
        one = waiting.pop()
        yield one
        inner = (getattr(one, "kwargs", None) or {}).get("error")
        led = (inner, getattr(one, "reason", None), one.__cause__, one.__context__)
        waiting += [more for more in led if isinstance(more, BaseException)]


def _is(exc: BaseException, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(exc).__mro__)


def _line(text: str) -> str:
    """Return the service's text as the one line that it should be."""
    return " ".join(text.split())[:300]
