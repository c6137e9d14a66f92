"""How the time to read a note grows with its length, for hostile shapes: bench/notes.py [SHAPE]…

Prints CPU seconds at 1, 2, 4 and 8 times the length, and the slope of the last three on a log-log scale: 1 is linear,
2 is quadratic. The exit code is 1 if a slope is above the bar.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from papersearch.digest import parse_note
from torture.shapes import SHAPES

CHARACTERS = 25_000
BAR = 1.3
"""Above the noise of a machine that does other things too; a quadratic shape is near 2."""


def seconds(text: str) -> float:
    """Best of three: anything else that runs only adds to it."""
    times = []
    for _ in range(3):
        started = time.process_time()
        parse_note("a.md", text)
        times.append(time.process_time() - started)
    return min(times)


def main() -> int:
    names = sys.argv[1:] or list(SHAPES)
    print(f"{'shape':<18}" + "".join(f"{CHARACTERS * n // 1000:>8} KB" for n in (1, 2, 4, 8)) + f"{'slope':>8}")
    worst = 0.0
    for name in names:
        times = [seconds(SHAPES[name](CHARACTERS * n)) for n in (1, 2, 4, 8)]
        slope = math.log(times[3] / times[1]) / math.log(4)
        worst = max(worst, slope)
        print(f"{name:<18}" + "".join(f"{t:>11.3f}" for t in times) + f"{slope:>8.2f}")
    print(f"steepest {worst:.2f}, bar {BAR}")
    return int(worst > BAR)


if __name__ == "__main__":
    sys.exit(main())
