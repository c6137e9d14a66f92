"""Medians of whole processes, taken in turns, and a table to print them in.

Commands are run one after the other, round by round, so that a slow minute of the machine falls on all of them alike.
What to compare is the ratio of two medians of one run; milliseconds of different runs or machines say little.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

WARM_UP_ROUNDS = 2
"""Rounds that do not count: they fill the caches of the system and write the bytecode."""


SEARCH = "from papersearch.__main__ import main; main()"
"""What the installed script does."""


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


class Usage(NamedTuple):
    """What a process took from its start to its end, with the processes it started and waited for."""

    ms: float
    cpu_ms: float
    peak_mb: float
    """Most memory that one of its processes had at a time."""


# The process to be measured is started by a small one: a child begins with the peak of who started it.
_LAUNCHER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
started = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
took_ms = (time.perf_counter() - started) * 1000
unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
print(json.dumps([took_ms, (usage.ru_utime + usage.ru_stime) * 1000, usage.ru_maxrss / unit]))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run_once(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """What a process takes. Raises CommandFailed unless it ends with exit code 0."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(launcher, capture_output=True, env=environment)
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return Usage(*json.loads(done.stdout))


def in_turns(turns: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, list[Usage]]:
    """Usages of each command; each turn runs every command once, the first turns do not count."""
    environment = child_environment()
    usages: dict[str, list[Usage]] = {}
    for number, commands in enumerate(turns):
        for name, command in commands.items():
            usage = run_once(command, environment)
            if number >= WARM_UP_ROUNDS:
                usages.setdefault(name, []).append(usage)
    return usages


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each command over so many rounds; each round runs every command once."""
    usages = in_turns([commands] * (WARM_UP_ROUNDS + rounds))
    return {name: statistics.median(usage.ms for usage in taken) for name, taken in usages.items()}


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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
