"""The application as Celery's workers run it: imported by the first process, before it forks."""

import os
from typing import Any

from celery import Celery

from tests.runtime.exits import application

app = Celery("exits", broker=os.environ["EXIT_BROKER"], backend=os.environ["EXIT_BROKER"])


def ask(path: str) -> dict[str, Any]:
    process = application.record(application.CLIENT, path.strip("/"))
    return {"process": process, "imported_by": application.RECORDED_BY}


app.task(name="ask")(ask)
