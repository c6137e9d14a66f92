"""Medians of whole processes, taken in turns, and a table to print them in.

Commands are run one after the other, round by round, so that a slow minute of the machine falls on all of them alike.
What to compare is the ratio of two medians of one run; milliseconds of different runs or machines say little.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

WARM_UP_ROUNDS = 2
"""Rounds that do not count: they fill the caches of the system and write the bytecode."""


class CommandFailed(Exception):
    """A command to be timed did not do what it should; the message has its standard error."""


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs a line of code in this interpreter, as the script of an installed package does."""
    return [sys.executable, "-c", code, *arguments]


def child_environment() -> dict[str, str]:
    """The environment of this process, with this checkout's package in reach and bytecode written."""
    import papersearch

    source = str(Path(papersearch.__file__).parents[1])
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONIOENCODING": "utf-8"}


def run_once(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Milliseconds from start to end of a process. Raises CommandFailed unless it ends with exit code 0."""
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    took_ms = (time.perf_counter() - started) * 1000
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return took_ms


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each command over so many rounds; each round runs every command once."""
    environment = child_environment()
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(WARM_UP_ROUNDS + rounds):
        for name, command in commands.items():
            took_ms = run_once(command, environment)
            if turn >= WARM_UP_ROUNDS:
                times[name].append(took_ms)
    return {name: statistics.median(taken) for name, taken in times.items()}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned text: the first column to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    fits = (str.ljust, *[str.rjust] * (len(header) - 1))
    return "\n".join(
        "  ".join(fit(cell, width) for fit, cell, width in zip(fits, line, widths, strict=True)).rstrip()
        for line in lines
    )


def ratios(medians: Mapping[str, float], base: str) -> list[list[str]]:
    """Rows of a table: name, median in ms, ratio to the base."""
    return [[name, f"{took:.1f}", f"{took / medians[base]:.2f}"] for name, took in medians.items()]
