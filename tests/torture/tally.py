"""Counts what the tests of durability did: each test says which promise it holds, and how often it tried to break it.

The figures of a run stand in the table of docs/reliability.md, which `--update-golden` writes anew; CI compares all of
it but the figures, which depend on the machine's luck. `--rounds N` makes the loops N times as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
PROPERTY = "tally"
BEGIN, END = "<!-- counts: written by make torture -->\n", "<!-- end of counts -->"

PROMISES = {
    "kill": "A build that is killed at any moment leaves the old or the new index, whole; the next one cleans up",
    "power": "A power failure loses no answer: what was not yet on disk is found damaged and built anew",
    "disk": "A full or failing disk leaves the old index, no lock and no half-written file",
    "readers": "Readers beside a writer see one finished generation each, and never an error",
    "writers": "A second writer waits, says for whom, and gives up with exit code 2",
    "damage": "A damaged index file never gives a wrong answer, a traceback or a crash",
    "foreign": "An index that was not built here is built anew; opening one runs nothing that is in it",
    "queries": "Any string is a query: an answer or one clear line, in bounded time and memory",
    "notes": "Any bytes are a note: the rest is indexed, reading takes time linear in its length",
    "terminal": "Nothing in notes, names or errors can steer the terminal",
    "supply": "What is installed is pinned by its hashes, under licences of a list",
    "watch": "Watching a corpus refreshes the index once per change, and ends quietly",
}
"""What is promised, by the name the tests use."""


class Tally:
    """The counts of one run, by promise and unit, and the tests they came from."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in PROMISES}
        self.modules: dict[str, set[str]] = {name: set() for name in PROMISES}
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed
        for name, value in report.user_properties if report.when == "call" else ():
            if name == PROPERTY:
                promise, unit, count = value  # type: ignore[misc]
                self.counts[promise][unit] += int(count)
                self.modules[promise].add(report.nodeid.split("::")[0])

    def table(self) -> str:
        """Markdown: each promise, the tests that hold it, the counts."""
        rows = ["| Promise | Held by | Last run |", "|---|---|---|"]
        for name, text in PROMISES.items():
            if self.counts[name]:
                modules = " ".join(f"`{module}`" for module in sorted(self.modules[name]))
                counts = ", ".join(f"{count:,} {unit}" for unit, count in sorted(self.counts[name].items()))
                rows.append(f"| {text} | {modules} | {counts} |")
        return "\n".join(rows) + "\n"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not terminalreporter.config.getoption("--promises"):
            return
        for name, text in PROMISES.items():
            if self.counts[name]:
                counts = ", ".join(f"{count:,} {unit}" for unit, count in sorted(self.counts[name].items()))
                terminalreporter.write_line(f"{text}: {counts}")
        if all(self.counts.values()) and not self.failed and terminalreporter.config.getoption("--update-golden"):
            page = PAGE.read_text(encoding="utf-8")
            before, _, rest = page.partition(BEGIN)
            PAGE.write_text(before + BEGIN + self.table() + END + rest.partition(END)[2], encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=1, help="how many times as long the loops of tests/torture are")
    parser.addoption("--promises", action="store_true", help="say what tests/torture did, a line per promise")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tally(), "tally of promises")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """By how much a loop is longer than in CI."""
    count: int = request.config.getoption("--rounds")
    return count


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[[str, str, int], None]:
    """tally(promise, unit, count): this test tried that often to break the promise."""

    def count(promise: str, unit: str, number: int) -> None:
        assert promise in PROMISES
        record_property(PROPERTY, (promise, unit, number))

    return count
