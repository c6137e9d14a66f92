"""What a part of a query finds: a *column* (documents, each with a number) and sets of documents.

The search is written once over the operations of `Columns`. Here they work on dictionaries and sets of the standard
library, which is what a fresh process wants; `arrays` has the same ones on numpy arrays for a process that stays.
Both add and multiply the same numbers in the same order, so that their scores are equal to the last bit.
"""

from __future__ import annotations

from bisect import bisect
from heapq import nlargest

from papersearch.fields import GRAMS, TEXT
from papersearch.ideas import Form
from papersearch.occurrences import NEAR_WORDS, Occurrences, distance, width
from papersearch.scoring import idf, saturated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Protocol

    from papersearch.index.reader import Snapshot

    Column = Any
    """Documents, each with a number, of one kind of Columns; only that kind looks inside. It never changes."""
    Docs = Any
    """A set of documents of one kind of Columns: it has `& | -`, a length, and can be iterated."""

    class Places(Protocol):
        """Where forms stand in some documents."""

        def beginning_below(self, end: int) -> Iterable[int]:
            """Documents in which one of the forms begins before a position."""
            ...

        def distances(self, other: Any) -> Column:
            """Document → fewest positions between these places and others, for documents that have both at most
            NEAR_WORDS apart; standing in the query's order is one nearer."""
            ...

        def by_form(self, docs: Sequence[int], starts: Sequence[int]) -> list[list[tuple[int, list[int]]]]:
            """(which of the forms, in which of the zones that begin at `starts` it begins, in order) for the forms that
            each of some documents has. The first zone begins at 0."""
            ...

    class Columns(Protocol):
        """The operations that a search is made of, over one snapshot. Threads may share it."""

        def everything(self) -> Docs:
            """All live documents."""
            ...

        def having(self, name: str, terms: Iterable[str]) -> Docs:
            """Documents that have one of the terms in an exact field."""
            ...

        def counts(self, name: str, docs: Docs) -> dict[str, int]:
            """Term of an exact field → how many of the documents have it, without those that none has."""
            ...

        def prepare(self, forms: Iterable[Form]) -> None:
            """Be told which forms are asked for next, for what takes less time at once."""
            ...

        def saturated(self, forms: tuple[Form, ...], zone: str | None) -> Column:
            """Document → saturated frequency of forms that add up as if they were one term."""
            ...

        def constant(self, docs: Docs, value: float) -> Column:
            """The documents, each with the same number."""
            ...

        def docs(self, column: Column) -> Docs:
            """The documents of a column."""
            ...

        def at(self, column: Column, doc: int) -> float | None:
            """The number of a document, None if the column does not have it."""
            ...

        def scaled(self, column: Column, factor: float) -> Column: ...

        def mapped(self, function: Callable[..., Any], first: Column, *others: Column) -> Column:
            """A function of the numbers of each document that all columns have; it may only calculate."""
            ...

        def lesser(self, first: Column, second: Column) -> Column:
            """The smaller of two numbers, for documents that both columns have."""
            ...

        def capped(self, column: Column, most: float) -> Column:
            """The column with no number above `most`."""
            ...

        def summed(self, columns: Sequence[Column]) -> Column:
            """The sum for each document that a column has, in the order of the columns."""
            ...

        def best(self, columns: Sequence[Column]) -> Column:
            """The largest number for each document that a column has."""
            ...

        def raised(self, column: Column, others: Sequence[Column]) -> Column:
            """The column with others added, whose documents it all has."""
            ...

        def kept(self, column: Column, docs: Docs) -> Column:
            """The column without documents that are not among these."""
            ...

        def above(self, column: Column, least: float) -> Docs:
            """Documents with a larger number."""
            ...

        def weighed(self, docs: Docs, sets: Sequence[tuple[Docs, float]]) -> Column:
            """For each of the documents the sum of the weights of the sets that have it, in their order."""
            ...

        def top(self, column: Column, limit: int) -> list[tuple[int, float]]:
            """The documents with the largest numbers, the largest first; what ties goes by document."""
            ...

        def best_docs(self, column: Column, limit: int) -> Docs:
            """The documents of top()."""
            ...

        def last_of_top(self, column: Column, limit: int) -> float:
            """The `limit`-th largest number; the column has as many, and one at least."""
            ...

        def at_least(self, column: Column, least: float) -> list[tuple[int, float]]:
            """Documents with a number that is no smaller, in any order."""
            ...

        def some(self, docs: Iterable[int]) -> Docs:
            """A set of the given documents."""
            ...

        def places(self, forms: tuple[Form, ...], docs: Docs) -> Places:
            """Where the forms stand in some documents."""
            ...

        def bag_top(
            self, terms: Sequence[str], limit: int, every: bool, admitted: Docs | None
        ) -> list[tuple[int, float]]:
            """The best documents for words, each of which adds its saturated frequency times its idf: those with
            any of the words, or with every one; of `admitted` if it is given."""
            ...


class DictPlaces:
    """Places in dictionaries."""

    def __init__(self, found: list[tuple[int, Mapping[int, Sequence[int]]]]) -> None:
        """`found`: for each form its width and, by document, where it begins."""
        self._found = found
        self._stretches: dict[int, list[tuple[int, int]]] | None = None

    @property
    def stretches(self) -> dict[int, list[tuple[int, int]]]:
        """Document → [start, end) positions of every occurrence of any of the forms, in order."""
        if self._stretches is None:
            found: dict[int, set[tuple[int, int]]] = {}
            for width, by_doc in self._found:
                for doc, positions in by_doc.items():
                    found.setdefault(doc, set()).update([(p, p + width) for p in positions])
            self._stretches = {doc: sorted(stretches) for doc, stretches in found.items()}
        return self._stretches

    def beginning_below(self, end: int) -> set[int]:
        return {doc for doc, stretches in self.stretches.items() if stretches[0][0] < end}

    def distances(self, other: DictPlaces) -> dict[int, float]:
        left, right = self.stretches, other.stretches
        found = {doc: float(distance(left[doc], right[doc])) for doc in left.keys() & right.keys()}
        return {doc: apart for doc, apart in found.items() if apart <= NEAR_WORDS}

    def by_form(self, docs: Sequence[int], starts: Sequence[int]) -> list[list[tuple[int, list[int]]]]:
        return [
            [
                (i, sorted({bisect(starts, position) - 1 for position in positions}))
                for i, (_, by_doc) in enumerate(self._found)
                if (positions := by_doc.get(doc))
            ]
            for doc in docs
        ]


class DictColumns:
    """Columns as dictionaries, documents as sets: nothing to import, nothing to prepare."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._text = snapshot.field(TEXT)
        self._occurrences = Occurrences(self._text, snapshot.field(GRAMS))

    def everything(self) -> set[int]:
        return set(self._snapshot.docs())

    def having(self, name: str, terms: Iterable[str]) -> set[int]:
        reader = self._snapshot.field(name)
        docs: set[int] = set()
        for term in terms:
            postings = reader.postings(term)
            docs.update(postings.docs if postings else ())
        return docs

    def counts(self, name: str, docs: set[int]) -> dict[str, int]:
        reader = self._snapshot.field(name)
        found = {}
        for term in reader.terms():
            postings = reader.postings(term)
            if n := len(docs.intersection(postings.docs)) if postings else 0:
                found[term] = n
        return found

    def saturated(self, forms: tuple[Form, ...], zone: str | None) -> dict[int, float]:
        frequencies: dict[int, float] = {}
        for form in forms:
            found = self._occurrences.frequencies(form, zone)
            if not frequencies:
                frequencies = found
                continue
            for doc, frequency in found.items():
                frequencies[doc] = frequencies.get(doc, 0.0) + frequency
        return saturated(frequencies, self._text.lengths, self._text.average_length or 1.0)

    def prepare(self, forms: Iterable[Form]) -> None:
        """Nothing takes less time at once."""

    def constant(self, docs: set[int], value: float) -> dict[int, float]:
        return dict.fromkeys(docs, value)

    def docs(self, column: dict[int, float]) -> set[int]:
        return set(column)

    def at(self, column: dict[int, float], doc: int) -> float | None:
        return column.get(doc)

    def scaled(self, column: dict[int, float], factor: float) -> dict[int, float]:
        return dict(zip(column, map(factor.__mul__, column.values()), strict=True))

    def mapped(
        self, function: Callable[..., Any], first: dict[int, float], *others: dict[int, float]
    ) -> dict[int, float]:
        return {
            doc: function(value, *[other[doc] for other in others])
            for doc, value in first.items()
            if all(doc in other for other in others)
        }

    def lesser(self, first: dict[int, float], second: dict[int, float]) -> dict[int, float]:
        return {doc: min(value, second[doc]) for doc, value in first.items() if doc in second}

    def capped(self, column: dict[int, float], most: float) -> dict[int, float]:
        return {doc: min(value, most) for doc, value in column.items()}

    def weighed(self, docs: set[int], sets: Sequence[tuple[set[int], float]]) -> dict[int, float]:
        sums = dict.fromkeys(docs, 0.0)
        for others, weight in sets:
            for doc in docs & others:
                sums[doc] += weight
        return sums

    def summed(self, columns: Sequence[dict[int, float]]) -> dict[int, float]:
        scores = columns[0] if columns else {}
        for column in columns[1:]:
            # Of two numbers it does not matter which is added to which: so the shorter column to the longer.
            added, longer = (scores, column) if len(scores) < len(column) else (column, scores)
            if added:
                scores = longer.copy()
                for doc, value in added.items():
                    scores[doc] = scores.get(doc, 0.0) + value
            else:
                scores = longer
        return scores

    def best(self, columns: Sequence[dict[int, float]]) -> dict[int, float]:
        scores = columns[0] if columns else {}
        for column in columns[1:]:
            shorter, longer = (scores, column) if len(scores) < len(column) else (column, scores)
            if shorter:
                scores = longer.copy()
                for doc, value in shorter.items():
                    if value > scores.get(doc, -1.0):
                        scores[doc] = value
            else:
                scores = longer
        return scores

    def raised(self, column: dict[int, float], others: Sequence[dict[int, float]]) -> dict[int, float]:
        return self.summed([column, *others])

    def kept(self, column: dict[int, float], docs: set[int]) -> dict[int, float]:
        if column.keys() <= docs:
            return column
        if len(docs) < len(column):
            return {doc: column[doc] for doc in docs if doc in column}
        return {doc: value for doc, value in column.items() if doc in docs}

    def above(self, column: dict[int, float], least: float) -> set[int]:
        return {doc for doc, value in column.items() if value > least}

    def top(self, column: dict[int, float], limit: int) -> list[tuple[int, float]]:
        rows: Iterable[tuple[int, float]] = column.items()
        if 0 < limit < len(column):
            least = nlargest(limit, column.values())[-1]
            rows = [row for row in rows if row[1] >= least]
        return sorted(rows, key=lambda row: (-row[1], row[0]))[: max(limit, 0)]

    def best_docs(self, column: dict[int, float], limit: int) -> set[int]:
        return set(column) if len(column) <= limit else {doc for doc, _ in self.top(column, limit)}

    def last_of_top(self, column: dict[int, float], limit: int) -> float:
        return nlargest(limit, column.values())[-1]

    def at_least(self, column: dict[int, float], least: float) -> list[tuple[int, float]]:
        return [(doc, value) for doc, value in column.items() if value >= least]

    def some(self, docs: Iterable[int]) -> set[int]:
        return set(docs)

    def bag_top(
        self, terms: Sequence[str], limit: int, every: bool, admitted: set[int] | None
    ) -> list[tuple[int, float]]:
        found = [self.saturated((Form.term(term),), None) for term in terms]
        if limit < 1 or (every and not all(found)):
            return []
        columns = [self.scaled(column, idf(len(column), self._snapshot.doc_count)) for column in found if column]
        scores = self.summed(columns)
        for docs in [*(columns if every else ()), *(() if admitted is None else (admitted,))]:
            scores = {doc: score for doc, score in scores.items() if doc in docs}
        return self.top(scores, limit)

    def places(self, forms: tuple[Form, ...], docs: set[int]) -> DictPlaces:
        return DictPlaces([(width(form), self._occurrences.starts(form, docs)) for form in forms])
