"""The application as Celery's workers run it: imported by the first process, before it forks."""

import os
from typing import Any

from celery import Celery

from tests.forks.programs import application

app = Celery("forks", broker=os.environ["FORKS_BROKER"], backend=os.environ["FORKS_BROKER"])


def ask(path: str) -> dict[str, Any]:
    return application.close() if path == "/close" else application.report()


app.task(name="ask")(ask)
