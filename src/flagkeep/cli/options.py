"""Options that several commands share."""

from typing import Annotated

import typer

Contexts = Annotated[
    list[str],
    typer.Option(
        "--context",
        "-c",
        metavar="KEY|JSON|@FILE",
        help="Whom to evaluate for; repeatable. A key means a user; @FILE holds one context,"
        " a list, or contexts by name (@FILE#NAME picks one); @- reads stdin.",
    ),
]
Store = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Read this store, such as redis://host:6379/0."),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        help="Which environment of the store; default: launchdarkly in Redis and Consul, none in"
        " SQLite and DynamoDB.",
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="FILE", help="Read this file instead; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of text.")]
