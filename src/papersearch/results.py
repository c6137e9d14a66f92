"""What a search returns: plain data, no engine and no markup in it."""

from __future__ import annotations

from typing import Any, Literal

from papersearch.paper import Paper
from papersearch.record import Record

Stage = Literal["all", "some", "fuzzy", "none"]
FacetCounts = dict[str, list[tuple[str, int]]]
"""Field → (value as written, number of papers), most frequent first."""


class Part(Record):
    """One part of a score: what it is for, how much, and how it came about."""

    name: str
    value: float
    detail: str = ""


class Hit(Record):
    """One paper of the answer. `highlights` are [start, end) character offsets into `snippet`."""

    rank: int
    score: float
    paper: Paper
    snippet: str = ""
    highlights: tuple[tuple[int, int], ...] = ()
    snippet_path: str = ""
    snippet_line: int = 0
    stage: Stage = "all"
    """Whether this paper matches every idea of the query ("all") or most of its weight ("some")."""
    matched: dict[str, list[str]] = {}  # noqa: RUF012
    """Field (title, alias, category, note) → the words of the query that were found there, as the query has them."""
    explanation: tuple[Part, ...] = ()
    """What the score is the sum of, if it was asked for."""


class Results(Record):
    """The answer to one query. `total` counts all papers that match, `hits` those asked for."""

    query: str
    filters: dict[str, list[str]]
    stage: Stage
    total: int
    hits: tuple[Hit, ...]
    notices: tuple[str, ...] = ()
    facets: FacetCounts = {}  # noqa: RUF012
    took_ms: float = 0.0

    def __iter__(self) -> Any:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __bool__(self) -> bool:
        return bool(self.hits)
