"""The bar on the terminal counts steps, and goes away."""

import io

import pytest

from tests._sync.waiting import until

pytestmark = pytest.mark.extras


class Terminal(io.StringIO):
    """A stream that says of itself that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_counts_the_steps_and_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from flagkeep.cli import progress  # noqa: PLC0415  needs the extra

    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.progress("checking", 2) as advance:
        advance()
        until(lambda: "1/2" in terminal.getvalue())
        advance()
    assert "checking" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")  # the line is wiped


def test_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    from flagkeep.cli.progress import progress  # noqa: PLC0415  needs the extra

    with progress("checking", 1) as advance:
        advance()
    assert capsys.readouterr() == ("", "")
