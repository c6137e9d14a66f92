"""Judged queries → an Index → a run: the ranked titles of each query, for evaluation.py to judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from papersearch.errors import UsageError
from papersearch.evaluation import DEPTH, JudgedQuery, read_queries
from papersearch.fields import FACETS
from papersearch.query import parse_years

if TYPE_CHECKING:
    from papersearch.api import Index

HIGHEST_GRADE = 10
"""More grades than anybody tells apart; gain doubles with each of them, so an unbounded one could not be added up."""


def load_queries(path: Path) -> list[JudgedQuery]:
    """Read judged queries and check that each can be run. Raises UsageError naming the file and the line."""
    queries = read_queries(path)
    if not queries:
        raise UsageError(f"{path}: holds no judged queries; write one JSON object a line, with id, q and rel")
    for number, problem in _problems(queries):
        raise UsageError(f"{path}:{_line_of(path, number)} {problem}")
    return queries


def _problems(queries: Sequence[JudgedQuery]) -> Iterator[tuple[int, str]]:
    """(number of the query from 0, what is wrong with it)."""
    taken: set[str] = set()
    for number, query in enumerate(queries):
        if query.id in taken:
            yield number, f"the id {query.id!r} is taken by a query above; give each its own"
        taken.add(query.id)
        for name, value in query.filters.items():
            if name not in FACETS:
                yield number, f"no filter {name!r}; use {', '.join(FACETS)}"
            elif name == "year":
                try:
                    for part in value.split(","):
                        parse_years(part)
                except ValueError as error:
                    yield number, f"filter year: {error}"
        for title, grade in query.grades.items():
            if grade > HIGHEST_GRADE:
                yield number, f"grade {grade} of {title!r} is above {HIGHEST_GRADE}; 2 is wanted, 1 related"


def _line_of(path: Path, number: int) -> str:
    """The line of a query and a colon; nothing where the file cannot be read a second time, as from a pipe."""
    try:
        rows = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    full = [at for at, row in enumerate(rows, 1) if row.strip()]
    return f"{full[number]}:" if number < len(full) else ""


def run_queries(
    index: Index, queries: Sequence[JudgedQuery], limit: int = DEPTH
) -> tuple[dict[str, list[str]], list[str]]:
    """(query id → ranked titles, ids of the queries that were answered in part). Raises UsageError as search() does."""
    run: dict[str, list[str]] = {}
    partial: list[str] = []
    for query in queries:
        filters = {name: value.split(",") for name, value in query.filters.items()}
        results = index.search(query.text, limit=limit, **filters)  # type: ignore[arg-type]
        run[query.id] = [hit.paper.title for hit in results]
        if results and results.stage != "all":
            partial.append(query.id)
    return run, partial


def unknown_titles(index: Index, queries: Sequence[JudgedQuery]) -> list[str]:
    """Judged titles that no paper of the index has, each once: nothing can find them, so they are worth a look."""
    known = {paper.title for paper in index.papers()}
    return list(dict.fromkeys(title for query in queries for title in query.grades if title not in known))
