"""The real command: started, piped, interrupted, in poor terminals, without its extra."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-W", "error", "-m", "flagkeep"]


def ran(arguments: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )


@pytest.mark.extras
def test_python_m_flagkeep_evaluates_from_a_store(store_url: str) -> None:
    ended = ran(["eval", "beta", "-c", "ada", "--store", store_url, "--json"])
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout)[0]["value"] is True


@pytest.mark.extras
def test_a_terminal_without_unicode_gets_escapes(flags_file: Path) -> None:
    poor = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "COLUMNS": "20", "NO_COLOR": "1"}
    for arguments in (["eval", "--all"], ["explain", "été"]):
        ended = ran([*arguments, "-c", "née", "-f", flags_file], **poor)
        assert ended.stderr == b""
        assert ended.stdout.isascii()
        assert b"\x1b" not in ended.stdout
    ended = ran(["eval", "été", "-c", "née", "-f", flags_file, "--json"], **poor)
    assert json.loads(ended.stdout)[0]["flag"] == "été"
    ended = ran(["eval", "è", "-c", "née", "-f", flags_file], **poor)
    assert ended.returncode == 3
    assert b"'\\xe8'" in ended.stderr


@pytest.mark.extras
def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(json.dumps({"flagValues": {f"flag-{n}": "x" * 500 for n in range(2000)}}))
    command = [*COMMAND, "eval", "--all", "-c", "a", "-f", str(file), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.extras
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a single process there")
@pytest.mark.timeout(30)  # opening the pipe waits for the command to open it too
def test_an_interruption_is_one_line(flags_file: Path) -> None:
    # The command says that it waits by opening the pipe that it is given as a file.
    pipe = flags_file.with_name("pipe")
    os.mkfifo(pipe)
    # No warnings as errors: the standard library's own reading is interrupted before it can close.
    command = [sys.executable, "-m", "flagkeep", "eval", "open", "-c", f"@{pipe}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with pipe.open("wb"):
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (130, b"", b"flagkeep: interrupted\n")


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['typer'] = None; from flagkeep.__main__ import main;"
        " sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60, text=True
    )
    assert (ended.returncode, ended.stdout) == (5, "")
    assert ended.stderr.count("\n") == 1
    assert "pip install 'flagkeep[cli]'" in ended.stderr
