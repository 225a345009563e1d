"""How to reach a store: options that every command with a store has."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from flagkeep.cli.options import Prefix

PASSWORD_VARIABLE: Final = "FLAGKEEP_REDIS_PASSWORD"  # noqa: S105  the variable's name
KEY_PASSWORD_VARIABLE: Final = "FLAGKEEP_REDIS_TLS_KEY_PASSWORD"  # noqa: S105  the same
# The first that is set counts; all but the first are what Consul's own tools take.
CONSUL_TOKEN_VARIABLES: Final = ("FLAGKEEP_CONSUL_TOKEN", "CONSUL_HTTP_TOKEN")
CONSUL_TOKEN_FILE_VARIABLE: Final = "CONSUL_HTTP_TOKEN_FILE"  # noqa: S105  the variable's name
CONSUL_KEY_PASSWORD_VARIABLE: Final = "FLAGKEEP_CONSUL_TLS_KEY_PASSWORD"  # noqa: S105  the same

_File = str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a command was told about reaching its store; its fields are the options."""

    prefix: Prefix = None
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.001, max=3600, help="How long to wait for the store."
        ),
    ] = 5.0
    tls_ca: Annotated[
        _File, typer.Option(metavar="FILE", help="With TLS: trust this authority (PEM).")
    ] = None
    tls_cert: Annotated[
        _File, typer.Option(metavar="FILE", help="With TLS: the certificate to show (PEM).")
    ] = None
    tls_key: Annotated[
        _File, typer.Option(metavar="FILE", help="With TLS: the key of that certificate.")
    ] = None
    tls_insecure: Annotated[
        bool,
        typer.Option("--tls-insecure", help="With TLS: do not check the server's certificate."),
    ] = False

    def tls_options(self) -> list[str]:
        """Return the names of the TLS options that were given."""
        names = ("tls_ca", "tls_cert", "tls_key", "tls_insecure")
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name)]


def connects(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Connection`, in the place of its argument `connection`."""
    options = inspect.signature(Connection).parameters

    @functools.wraps(command)
    def call(**given: Any) -> None:
        connection = Connection(**{name: given.pop(name) for name in options})
        command(connection=connection, **given)

    own: Mapping[str, inspect.Parameter] = inspect.signature(command).parameters
    parameters = [one for name, one in own.items() if name != "connection"]
    parameters += options.values()
    # Typer reads what it offers from these two.
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # for inspect
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    return call
