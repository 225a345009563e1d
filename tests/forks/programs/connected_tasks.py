"""The connected application as Celery's workers run it."""

import os
from typing import Any

from celery import Celery

from tests.forks.programs import connected

app = Celery("forks", broker=os.environ["FORKS_BROKER"], backend=os.environ["FORKS_BROKER"])


def ask(path: str) -> dict[str, Any]:
    return connected.answer(path)


app.task(name="ask")(ask)
