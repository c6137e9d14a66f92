"""The program: what the command `papersearch` and `python -m papersearch` run.

A search takes about as long as Python takes to load what it needs, so the process neither looks for cyclic garbage
while it loads, nor takes itself apart object by object at its end: the two are a fifth of its time.
"""

from __future__ import annotations

import gc
import os
import sys

YOUNGEST_GENERATION = 100_000
"""Objects made before the first look for cyclic garbage: more than a search makes, and few for a large build."""


def main() -> None:
    """Run the command of argv and end the process with its exit code."""
    gc.set_threshold(YOUNGEST_GENERATION, 20, 20)
    try:
        from papersearch.cli import main as run  # half of the time of a search, in which Ctrl-C is as likely as later

        run()
    except KeyboardInterrupt:
        os._exit(130)  # cli.INTERRUPTED, which may not be there yet
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                continue  # closed, or nobody reads any more
        os._exit(end.code)


if __name__ == "__main__":
    main()
