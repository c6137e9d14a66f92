"""qrels + run → nDCG, MRR, recall, success: how well rankings agree with judgements.

Judgements are graded: 2 is what the user wants, 1 is related. Gain is 2**grade - 1, discounted by log2(rank + 1)
(Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002; the exponential gain of Burges et
al., "Learning to rank using gradient descent", 2005). Wanted documents are those of grade 2, or, where a query has
none, of any grade.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log2
from pathlib import Path
from typing import Any

from papersearch.errors import UsageError

DEPTH = 10
HIGHEST_GRADE = 10


@dataclass(frozen=True)
class JudgedQuery:
    """One query with its judgements. A query without any is one that has no answer."""

    id: str
    query_class: str
    text: str
    filters: Mapping[str, str] = field(default_factory=dict)
    grades: Mapping[str, int] = field(default_factory=dict)
    """Title (or another name of a document) → grade, 1 or 2."""


@dataclass(frozen=True)
class Measures:
    """Means over `queries` queries, each in [0, 1]."""

    queries: int
    ndcg: float = 0.0
    mrr: float = 0.0
    recall: float = 0.0
    success: float = 0.0


def read_queries(path: Path) -> list[JudgedQuery]:
    """Read judged queries, one JSON object a line: id, class, q, filters, rel. Raises UsageError naming the line."""
    queries: list[JudgedQuery] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); name a file of judged queries") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                queries.append(_read_query(json.loads(line)))
            except (ValueError, RecursionError) as error:
                reason = str(error) or type(error).__name__
                message = f"{path}:{number}: not a judged query ({reason}); see papersearch eval --help"
                raise UsageError(message) from None
    return queries


def _read_query(data: Any) -> JudgedQuery:
    """One line of a file of judged queries. Raises ValueError saying what is wrong with it."""
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    for name in ("id", "q"):
        if name not in data:
            raise ValueError(f"{name} is missing")
    for name, kinds in (("id", (str, int)), ("q", str), ("class", str), ("rel", dict), ("filters", dict)):
        if not isinstance(data.get(name, {} if kinds is dict else ""), kinds):
            raise ValueError(f"{name} is no {'object' if kinds is dict else 'string'}")
    grades: dict[str, int] = data.get("rel", {})
    filters: dict[str, str | int] = data.get("filters", {})
    if not all(type(grade) is int and 0 <= grade <= HIGHEST_GRADE for grade in grades.values()):
        raise ValueError(f"a grade in rel is no whole number from 0 to {HIGHEST_GRADE}")
    if not all(isinstance(value, (str, int)) for value in filters.values()):
        raise ValueError("a filter is no string")
    admitted = {name: str(value) for name, value in filters.items()}
    known = {name: grade for name, grade in grades.items() if grade}
    return JudgedQuery(str(data["id"]), data.get("class", "all"), data["q"], admitted, known)


def dcg(grades: Iterable[int]) -> float:
    """Discounted cumulated gain of grades in ranked order."""
    return sum((2.0**grade - 1.0) / log2(rank + 1) for rank, grade in enumerate(grades, 1))


def measure(grades: Mapping[str, int], ranked: Sequence[str], depth: int = DEPTH) -> Measures:
    """Measures of one query's ranking, best first. A document counts once, at its best rank."""
    top = list(dict.fromkeys(ranked))[:depth]
    ideal = dcg(sorted(grades.values(), reverse=True)[:depth])
    wanted = {name for name, grade in grades.items() if grade >= 2} or set(grades)
    first = next((rank for rank, name in enumerate(top, 1) if name in wanted), 0)
    return Measures(
        queries=1,
        ndcg=dcg(grades.get(name, 0) for name in top) / ideal if ideal else 0.0,
        mrr=1 / first if first else 0.0,
        recall=len(wanted.intersection(top)) / min(depth, len(wanted)) if wanted else 0.0,
        success=float(first == 1),
    )


def mean(measures: Sequence[Measures]) -> Measures:
    """Means over queries."""
    n = len(measures)
    if not n:
        return Measures(0)
    return Measures(
        n,
        sum(m.ndcg for m in measures) / n,
        sum(m.mrr for m in measures) / n,
        sum(m.recall for m in measures) / n,
        sum(m.success for m in measures) / n,
    )


@dataclass(frozen=True)
class Evaluation:
    """Measures per class of queries, over all queries with an answer, and for queries without one how often the
    engine kept quiet: class → (queries, share answered with nothing, share answered with nothing or marked partial)."""

    classes: Mapping[str, Measures]
    overall: Measures
    unanswerable: Mapping[str, tuple[int, float, float]]


def evaluate(
    queries: Sequence[JudgedQuery], run: Mapping[str, Sequence[str]], partial: Iterable[str] = ()
) -> Evaluation:
    """Judge a run: query id → ranked names. `partial` names the queries whose answer was marked as partly matched.
    A query that is missing from the run counts as answered with nothing."""
    by_class: dict[str, list[Measures]] = {}
    quiet: dict[str, list[tuple[bool, bool]]] = {}
    marked = set(partial)
    for query in queries:
        ranked = run.get(query.id, ())
        if query.grades:
            by_class.setdefault(query.query_class, []).append(measure(query.grades, ranked))
        else:
            quiet.setdefault(query.query_class, []).append((not ranked, not ranked or query.id in marked))
    return Evaluation(
        {name: mean(rows) for name, rows in by_class.items()},
        mean([row for rows in by_class.values() for row in rows]),
        {
            name: (len(rows), sum(a for a, _ in rows) / len(rows), sum(b for _, b in rows) / len(rows))
            for name, rows in quiet.items()
        },
    )


def table(evaluation: Evaluation) -> str:
    """The evaluation as aligned text, one class a line."""
    rows = [f"{'class':<16}{'n':>4}{'nDCG@10':>9}{'MRR@10':>8}{'R@10':>7}{'S@1':>7}"]
    for name, m in [*evaluation.classes.items(), ("all positive", evaluation.overall)]:
        rows.append(f"{name:<16}{m.queries:>4}{m.ndcg:>9.3f}{m.mrr:>8.3f}{m.recall:>7.3f}{m.success:>7.3f}")
    for name, (n, empty, quiet) in evaluation.unanswerable.items():
        rows.append(f"{name:<16}{n:>4}   empty {empty:.2f}   empty or marked partial {quiet:.2f}")
    return "\n".join(rows)
