"""The program: what the command `papersearch` and `python -m papersearch` run.

A search takes about as long as Python takes to load what it needs, so the process neither looks for cyclic garbage
while it loads, nor takes itself apart object by object at its end: the two are a fifth of its time.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

YOUNGEST_GENERATION = 100_000
"""Objects made before the first look for cyclic garbage: more than a search makes, and few for a large build."""


def main() -> None:
    """Run the command of argv and end the process with its exit code."""
    gc.set_threshold(YOUNGEST_GENERATION, 20, 20)
    from papersearch.cli import main as run

    try:
        run()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        for stream in (sys.stdout, sys.stderr):
            # Closed, or nobody reads any more
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        os._exit(end.code)


if __name__ == "__main__":
    main()
