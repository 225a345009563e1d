"""What commands say of a set that is half written, where a database cannot take one at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Flagkeep
from tests.servers import aws
from tests.servers.consul_faults import ConsulFaults
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.http_faults import HttpFaults, Request

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("dynamodb_here", "consul_here")]

MAY_BE_HALF = "may have a part of the new set now: load it again"


class Place(NamedTuple):
    """A database with something in between.

    Attributes:
        url: leads through `faults`.
        write: how they call the requests that write items.
    """

    url: str
    faults: HttpFaults
    write: str

    def fails(self) -> None:
        """Let the last of many requests that write a set fail."""
        self.faults.answer(self.write, 400, b"{}", {}, where=has_last)


def has_last(request: Request) -> bool:
    return b"f199" in request.body


def is_write(request: Request) -> bool:
    return (
        "Write" in request.operation or request.operation == "PutItem" or b'"Value"' in request.body
    )


@pytest.fixture(params=["dynamodb", "consul"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for version, name in enumerate(("old", "new"), 1):
        flag = {"version": version, "on": False, "variations": [name], "offVariation": 0}
        document = {"flags": {f"f{number:03}": flag for number in range(200)}}
        Path(f"{name}.json").write_text(json.dumps(document))
    if request.param == "consul":
        prefix = request.getfixturevalue("consul_prefix")
        with ConsulFaults(request.getfixturevalue("consul_url")) as faults:
            yield Place(f"consul://127.0.0.1:{faults.port}/{prefix}", faults, "PUT txn")
        return
    url, table = (request.getfixturevalue(f"dynamodb_{one}") for one in ("url", "table"))
    with DynamoDBFaults(url) as faults:
        for name, value in aws.variables(faults.url).items():
            monkeypatch.setenv(name, value)
        yield Place(f"dynamodb://{table}", faults, "BatchWriteItem")


def test_a_load_that_is_cut_off_says_what_it_leaves(flagkeep: Flagkeep, place: Place) -> None:
    assert flagkeep("store", "load", place.url, "old.json").code == 0
    place.fails()
    ended = flagkeep("store", "load", place.url, "new.json", "--yes")
    assert (ended.code, ended.out) == (4, "")
    left, why = ended.err.splitlines()
    assert MAY_BE_HALF in left
    assert "400" in why
    place.faults.pass_on()
    assert flagkeep("store", "load", place.url, "new.json", "--yes").err == ""
    assert "Record is right  yes" in flagkeep("store", "status", place.url).out


@pytest.mark.slow
def test_a_load_that_ends_because_nothing_answers_any_more_says_it_too(
    flagkeep: Flagkeep, place: Place
) -> None:
    assert flagkeep("store", "load", place.url, "old.json").code == 0
    is_over = False

    def comes_too_late(request: Request) -> bool:
        nonlocal is_over
        is_over = is_over or (request.operation == place.write and has_last(request))
        return is_over

    place.faults.hang(None, where=comes_too_late)
    ended = flagkeep("store", "load", place.url, "new.json", "--yes", "--timeout", "0.4")
    assert (ended.code, ended.out) == (4, "")
    assert MAY_BE_HALF in ended.err


def test_half_of_a_set_is_not_taken_for_a_whole_one_without_a_word(
    flagkeep: Flagkeep, place: Place
) -> None:
    assert flagkeep("store", "load", place.url, "old.json").code == 0
    place.fails()
    assert flagkeep("store", "load", place.url, "new.json", "--yes").code == 4
    half = "has a part of a full set: it is being written, or its writer has stopped"
    dumped = flagkeep("store", "dump", place.url)
    values = {flag["variations"][0] for flag in dumped.json["flags"].values()}
    assert values == {"old", "new"}
    assert half in dumped.err
    assert half in flagkeep("eval", "f000", "-c", "ada", "--store", place.url).err
    assert half in flagkeep("explain", "f000", "-c", "ada", "--store", place.url).err
    status = flagkeep("store", "status", place.url).out
    assert "Under way        a full set: it is being written, or its writer has stopped" in status
    assert "a part of another set is there" in status
    assert "somebody else wrote" not in status


def test_what_wrote_nothing_leaves_nothing_to_load_again(flagkeep: Flagkeep, place: Place) -> None:
    assert flagkeep("store", "load", place.url, "old.json").code == 0
    place.faults.answer(None, 400, b"{}", {}, where=is_write)
    ended = flagkeep("store", "load", place.url, "new.json", "--yes")
    assert ended.code == 4
    assert MAY_BE_HALF not in ended.err
    assert "Record is right  yes" in flagkeep("store", "status", place.url).out
