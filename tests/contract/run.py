"""The contract harness over both clients: `make contract` and `make contract-long`.

    python -m tests.contract.run --harness PROGRAM [--colour both|sync|async] [--long] [-- …]

What follows `--` goes to the harness, such as `-run streaming`. There is no list of tests to be
left out. The exit code is 0 if every test that ran passed, 1 if not, 2 if nothing could be run.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.contract.colours import COLOURS
from tests.contract.databases import databases_for_the_harness, refuse
from tests.contract.harness import ServiceProcess, Tally, free_port_pairs, run_harness

ALWAYS: Final = ("-enable-persistence-tests",)

_STREAMING: Final = "^streaming$/^retry behavior$"
_UNEXPECTED: Final = "^retry after unexpected HTTP error on"
_STATUSES: Final = (401, 403, 405)

# Each takes minutes, nearly all of them waiting: each gets a harness of its own.
LONG: Final = (
    *(f"{_STREAMING}/{_UNEXPECTED} initial connect$/^error {status}$" for status in _STATUSES),
    *(f"{_STREAMING}/{_UNEXPECTED} reconnect$/^error {status}$" for status in _STATUSES),
    f"{_STREAMING}/^enters extended-regime backoff",
    f"{_STREAMING}/^does not permanently stop",
    f"{_STREAMING}/^returns to normal-regime",
    *(f"^polling$/retry/{_UNEXPECTED} initial poll$/^error {status}$" for status in _STATUSES),
    "^polling$/retry/^returns to normal-regime",
)


def main() -> int:
    """Run it."""
    arguments = _arguments()
    program = shutil.which(arguments.harness) if arguments.harness else None
    if program is None:
        refuse(
            f"there is no program {arguments.harness!r}: give the SDK contract harness, version 2"
            if arguments.harness
            else "the SDK contract harness is needed: make contract HARNESS_V2=<its program>"
        )
    colours = sorted(COLOURS, reverse=True) if arguments.colour == "both" else [arguments.colour]
    logs = Path(tempfile.mkdtemp(prefix="flagkeep-contract-"))
    if arguments.long:
        tallies = run_long(program, colours, logs)
    else:
        tallies = run_all(program, colours, arguments.rest, logs)
    for colour, those in tallies.items():
        if arguments.long:
            print(f"{colour} in all: {_total(those)}")
        for path in (path for tally in those for path in tally.failed):
            print(f"{colour} failed: {path}")
    if all(tally.is_good for those in tallies.values() for tally in those):
        shutil.rmtree(logs)
        return 0
    print(f"what the harness and the service said is in {logs}")
    return 1


def run_all(
    program: str, colours: Sequence[str], arguments: Sequence[str], logs: Path
) -> dict[str, list[Tally]]:
    """Run every test but the long ones, one colour after the other: they share databases."""
    tallies = {}
    with databases_for_the_harness():
        for colour in colours:
            with ServiceProcess(colour) as service:
                log = logs / f"{colour}.log"
                (port,) = free_port_pairs(1)
                tally = run_harness(program, service, (*ALWAYS, *arguments), port=port, log=log)
                (logs / f"{colour}-service.log").write_text(service.log, encoding="utf-8")
            tallies[colour] = [tally]
            print(f"{colour}: {tally}", flush=True)
    return tallies


def run_long(program: str, colours: Sequence[str], logs: Path) -> dict[str, list[Tally]]:
    """Run the long tests, all at the same time."""

    def run(colour: str, tests: str, port: int) -> Tally:
        log = logs / f"{colour}-{port}.log"
        arguments = ("-enable-long-running-tests", "-run", tests)
        tally = run_harness(program, services[colour], arguments, port=port, log=log)
        print(f"{colour}: {tally}: {', '.join(tally.tests)}", flush=True)
        return tally

    services = {colour: ServiceProcess(colour) for colour in colours}
    ports = free_port_pairs(len(LONG) * len(colours))
    with ThreadPoolExecutor(len(LONG) * len(colours)) as crowd:
        try:
            for service in services.values():
                service.start()
            futures = {
                colour: [crowd.submit(run, colour, tests, ports.pop()) for tests in LONG]
                for colour in colours
            }
            return {colour: [one.result() for one in those] for colour, those in futures.items()}
        finally:
            for colour, service in services.items():
                (logs / f"{colour}-service.log").write_text(service.log, encoding="utf-8")
                service.remove()


def _total(tallies: Sequence[Tally]) -> str:
    total = {
        "ran": sum(one.ran for one in tallies),
        "passed": sum(one.passed for one in tallies),
        "skipped": sum(one.skipped for one in tallies),
        "failed": sum(len(one.failed) for one in tallies),
    }
    text = ", ".join(f"{word} {number}" for word, number in total.items())
    broken = sum(not one.is_complete or one.ran == 0 for one in tallies)
    return f"{text}; {broken} without a result" if broken else text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="the contract harness over both clients")
    parser.add_argument("--harness", metavar="PROGRAM", default="")
    parser.add_argument("--colour", choices=["both", *sorted(COLOURS)], default="both")
    parser.add_argument("--long", action="store_true", help="the tests that take minutes, only")
    parser.add_argument("rest", nargs="*", help="arguments of the harness, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
