"""Run the python blocks of a page one after the other: python run_blocks.py PAGE [OLD=NEW …].

A block may await. What it prints must be what its comments `#> …` say, where it has any. OLD in a
block is replaced by NEW. A client that would connect to LaunchDarkly is offline.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import re
import sys
from pathlib import Path
from types import FunctionType

REAL = 'Config(sdk_key="sdk-key")'
OFFLINE = 'Config(sdk_key="sdk-key", offline=True)'
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def main(page: str, *replacements: str) -> None:
    text = Path(page).read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "__main__"}
    for found in BLOCK.finditer(text):
        source = found.group(1).replace(REAL, OFFLINE)
        for replacement in replacements:
            old, _, new = replacement.partition("=")
            source = source.replace(old, new)
        line = text.count("\n", 0, found.start()) + 2
        said = run("\n" * (line - 1) + source, page, names)
        wanted = "".join(one[3:] + "\n" for one in source.splitlines() if one.startswith("#> "))
        if wanted and said != wanted:
            sys.exit(f"{page}:{line}: it printed\n{said}instead of\n{wanted}")


def run(source: str, page: str, names: dict[str, object]) -> str:
    code = compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(FunctionType(code, names)())
        else:
            exec(code, names)  # noqa: S102  our own documentation
    return said.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
