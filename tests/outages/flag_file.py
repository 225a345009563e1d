"""The file of a client that is fed by one."""

import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

from tests.outages.environment import file_text

GENERATIONS: Final = 3


class FlagFile:
    """A flag file that changes by being replaced, which works without room and without rights.

    Attributes:
        path: of the file.
    """

    def __init__(self) -> None:
        # Not pytest's own folder: that one is closed to other users.
        self._folder = Path(tempfile.mkdtemp(prefix="flagkeep-"))
        self.path = self._folder / "flags.json"

    def __enter__(self) -> Self:
        self._folder.chmod(0o777)
        for generation in range(1, GENERATIONS + 1):
            prepared = self._prepared(generation)
            prepared.write_text(file_text(generation))
            prepared.chmod(0o644)
        self.show(1)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)

    def show(self, generation: int) -> None:
        """Let the file hold a generation; each only once."""
        self._prepared(generation).replace(self.path)

    def _prepared(self, generation: int) -> Path:
        return self._folder / f"{generation}.json"
