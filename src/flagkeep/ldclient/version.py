"""Which release of the official SDK this face is compatible with."""

from typing import Final

VERSION: Final = "9.18.2"
