"""Figures of one run, the bars that this project holds itself to, and tables of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import bags
import stock
from timing import table

Figures = dict[str, dict[str, dict[str, float]]]
"""Measure → digest → what was measured → figure. Its unit goes by the measure."""

OURS, CLICK, PYTHON = "papersearch", "import click", "python -c pass"
SHIPPED = "shipped"
AND, OR = "Whoosh + jieba, all words", "Whoosh + jieba, any word"
ONE_FILE = "papersearch, one file"
FROM, SOME_SIZES = 1000, 2
"""Digests from this size on count for slopes, if there are so many."""


def ratio(figures: Figures, measure: str, digest: str, above: str, below: str) -> float:
    """One figure divided by another of the same run. Raises KeyError if one was not measured."""
    found = figures[measure][digest]
    return found[above] / found[below]


def size_of(digest: str) -> int:
    """Papers of a digest by its name: `10000`, `zh-en 10000`; 0 for the shipped one."""
    last = digest.split()[-1]
    return int(last) if last.isdigit() else 0


def slope(figures: Figures, measure: str, name: str) -> float:
    """By what power of the number of papers a figure grows: the slope of the line of least squares through the
    logarithms, over synthetic digests of 1,000 papers and more. Raises KeyError if there are not two."""
    points = [
        (math.log(size_of(digest)), math.log(found[name]))
        for digest, found in figures[measure].items()
        if digest.isdigit() and size_of(digest) >= FROM and name in found
    ]
    if len(points) < SOME_SIZES:
        raise KeyError(name)
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


class Bar(NamedTuple):
    """What a figure has to be."""

    name: str
    bound: float
    figure: Callable[[Figures], float]
    at_least: bool = False

    def held(self, figure: float) -> bool:
        """Whether a figure is on the right side."""
        return figure >= self.bound if self.at_least else figure <= self.bound


def _warm(kind: str, above: str, below: str) -> Callable[[Figures], float]:
    return lambda f: ratio(f, f"warm: {kind}", "100000", f"{above} mean", f"{below} mean")


BARS = (
    Bar("cold, shipped digest: ours ÷ import click", 1.5, lambda f: ratio(f, "cold", SHIPPED, OURS, CLICK)),
    Bar("cold, 10,000: ours ÷ import click", 1.6, lambda f: ratio(f, "cold", "10000", OURS, CLICK)),
    Bar(
        "cold, shipped digest: Whoosh + jieba ÷ ours",
        18,
        lambda f: ratio(f, "cold", SHIPPED, stock.WHOOSH_NAME, OURS),
        at_least=True,
    ),
    Bar(
        "cold, shipped digest: tantivy + rjieba ÷ ours",
        1.8,
        lambda f: ratio(f, "cold", SHIPPED, stock.TANTIVY_NAME, OURS),
        at_least=True,
    ),
    Bar("cold, 10,000: peak memory, MB", 45, lambda f: f["memory"]["10000"][OURS]),
    Bar("cold: slope from 1,000 papers on", 0.2, lambda f: slope(f, "cold", OURS)),
    Bar("warm, 100,000, any: ours ÷ tantivy, means", 1.0, _warm(bags.ANY, OURS, bags.TANTIVY)),
    Bar("warm, 100,000, all: ours ÷ tantivy, means", 1.0, _warm(bags.ALL, OURS, bags.TANTIVY)),
    Bar("warm, 100,000, filtered: ours ÷ tantivy, means", 0.7, _warm(bags.FILTERED, OURS, bags.TANTIVY)),
    Bar("warm, 100,000, phrase: ours ÷ tantivy, means", 1.5, _warm(bags.PHRASE, OURS, bags.TANTIVY)),
    Bar("warm, 100,000, any: Whoosh ÷ ours, means", 100, _warm(bags.ANY, bags.WHOOSH, OURS), at_least=True),
    Bar("typed query, 10,000: ours, p99, ms", 10, lambda f: f["typed"]["10000"][f"{OURS} p99"]),
    Bar(
        "typed query, 10,000: ours ÷ Whoosh + jieba, p99",
        1 / 20,
        lambda f: ratio(f, "typed", "10000", f"{OURS} p99", f"{AND} p99"),
    ),
    Bar(
        "build, 10,000: papers a second, ours ÷ FTS5 + jieba",
        1.5,
        lambda f: ratio(f, "build", "10000", OURS, stock.FTS5_NAME),
        at_least=True,
    ),
    Bar("one edit, 10,000: ours ÷ Whoosh + jieba", 1.0, lambda f: ratio(f, "edit", "10000", OURS, stock.WHOOSH_NAME)),
    Bar(
        "one edit, 10,000 in one file: ours ÷ Whoosh + jieba",
        1.0,
        lambda f: ratio(f, "edit", "10000", ONE_FILE, stock.WHOOSH_NAME),
    ),
    Bar("one edit: slope from 1,000 papers on", 0.2, lambda f: slope(f, "edit", OURS)),
    Bar("index ÷ digest in bytes, 10,000", 1.5, lambda f: f["size"]["10000"][OURS]),
    Bar("index ÷ digest in bytes, 10,000, Chinese and English text", 1.5, lambda f: f["size"]["zh-en 10000"][OURS]),
    Bar("index ÷ digest in bytes, 10,000, English text", 1.5, lambda f: f["size"]["en 10000"][OURS]),
)

HEADER = ("bar", "figure", "bound", "")


def short(figure: float) -> str:
    """Three digits, or all digits before the point."""
    return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def bar_rows(figures: Figures) -> list[list[str]]:
    """A row for each bar: name, figure, bound, whether it is held."""
    rows = []
    for bar in BARS:
        bound = f"{'≥' if bar.at_least else '≤'} {short(bar.bound)}"
        try:
            figure = bar.figure(figures)
        except KeyError:
            rows.append([bar.name, "–", bound, "not measured"])
            continue
        rows.append([bar.name, short(figure), bound, "held" if bar.held(figure) else "not held"])
    return rows


def ratio_rows(found: Mapping[str, float], base: str) -> list[list[str]]:
    """A row for each name: ratio to the base, and the figure itself."""
    return [[name, short(figure / found[base]), f"({short(figure)})"] for name, figure in found.items()]


def show(header: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """A table for a terminal or for a page."""
    if not markdown:
        return table(header, rows)
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])
