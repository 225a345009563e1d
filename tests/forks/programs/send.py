"""Sends Celery a task for each line of standard input, and prints what it returns."""

import json
import os
import sys

from celery import Celery

if __name__ == "__main__":
    app = Celery("forks", broker=os.environ["FORKS_BROKER"], backend=os.environ["FORKS_BROKER"])
    for line in sys.stdin:
        answer = app.send_task("ask", (line.strip(),)).get(timeout=20)
        print(json.dumps(answer), flush=True)
