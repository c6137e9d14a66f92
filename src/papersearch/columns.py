"""What a part of a query finds: a *column* (documents, each with a number) and sets of documents.

The search is written once over the operations of `Columns`. Here they work on dictionaries and sets of the standard
library, which is what a fresh process wants; `arrays` has the same ones on numpy arrays for a process that stays.
Both add and multiply the same numbers in the same order, so that their scores are equal to the last bit.
"""

from __future__ import annotations

from bisect import bisect
from itertools import compress
from math import inf

from papersearch.fields import GRAMS, TEXT
from papersearch.ideas import Form
from papersearch.occurrences import FEW, NEAR_WORDS, Occurrences, distance, picked, united, width
from papersearch.scoring import K1, B, dampening, idf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Protocol

    from papersearch.index.reader import Snapshot
    from papersearch.occurrences import Found

    Column = Any
    """Documents, each with a number, of one kind of Columns; only that kind looks inside. It never changes."""
    Docs = Any
    """A set of documents of one kind of Columns: it has `& | -`, a length, and can be iterated."""

    class Places(Protocol):
        """Where the forms of several groups stand in some documents. A group is named by its number."""

        def beginning_below(self, group: int, end: int) -> Iterable[int]:
            """Documents in which one of the forms begins before a position."""
            ...

        def distances(self, group: int, other: int) -> Column:
            """Document → fewest positions between places of two groups, for documents that have both at most
            NEAR_WORDS apart; standing in the query's order is one nearer."""
            ...

        def by_form(self, docs: Sequence[int], starts: Sequence[int]) -> list[list[tuple[int, int, list[int]]]]:
            """(group, which of its forms, in which of the zones that begin at `starts` it begins, in order) for the
            forms that each of some documents has, in order. The first zone begins at 0."""
            ...

    class Columns(Protocol):
        """The operations that a search is made of, over one snapshot. Threads may share it.

        `dear_places`: whether to look up where words stand in a document takes longer than to find out whether it
        could be among those shown.
        """

        dear_places: bool

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

        def remembered(self, key: tuple[object, ...], make: Callable[[], Column]) -> Column:
            """The column that `make` gives, which further searches may ask for by the same key."""
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

        def heavier(self, sets: Sequence[tuple[Docs, float]], least: float, without: Docs) -> Docs:
            """Documents for which the weights of the sets that have it sum up, in their order, to more; without some.
            Neither the weights nor the least are less than 0."""
            ...

        def holding(self, forms: tuple[Form, ...], docs: Docs) -> Docs:
            """Those of the documents that have one of the forms, or more of them where finding out takes longer than
            what it saves."""
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

        def places(self, groups: Sequence[tuple[Form, ...]], docs: Docs) -> Places:
            """Where the forms of each group stand in some documents."""
            ...

        def bag_top(
            self, terms: Sequence[str], limit: int, every: bool, admitted: Docs | None
        ) -> list[tuple[int, float]]:
            """The best documents for words, each of which adds its saturated frequency times its idf: those with
            any of the words, or with every one; of `admitted` if it is given."""
            ...


KEPT_BEST = 256
"""Best rows of a column that are kept once they were looked for: a search asks for them more than once."""

LONG = 4
"""Times as many rows as are looked for, from which on it pays to find out which may be among them."""
ROUNDING = 1e-6
"""More than what scores and what is calculated about them can differ by for their rounding."""


class DictPlaces:
    """Places in dictionaries."""

    def __init__(self, groups: list[list[tuple[int, Mapping[int, Sequence[int]]]]]) -> None:
        """`groups`: for each form of each its width and, by document, where it begins."""
        self._groups = groups
        self._found: dict[int, dict[int, list[tuple[int, int]]]] = {}

    def _stretches(self, group: int) -> dict[int, list[tuple[int, int]]]:
        """Document → [start, end) positions of every occurrence of any of the forms, in order."""
        stretches = self._found.get(group)
        if stretches is None:
            found: dict[int, set[tuple[int, int]]] = {}
            for width, by_doc in self._groups[group]:
                for doc, positions in by_doc.items():
                    found.setdefault(doc, set()).update([(p, p + width) for p in positions])
            stretches = self._found[group] = {doc: sorted(stretches) for doc, stretches in found.items()}
        return stretches

    def beginning_below(self, group: int, end: int) -> set[int]:
        return {doc for doc, stretches in self._stretches(group).items() if stretches[0][0] < end}

    def distances(self, group: int, other: int) -> _Column:
        left, right = self._stretches(group), self._stretches(other)
        found = {doc: float(distance(left[doc], right[doc])) for doc in left.keys() & right.keys()}
        return _Given({doc: apart for doc, apart in found.items() if apart <= NEAR_WORDS})

    def by_form(self, docs: Sequence[int], starts: Sequence[int]) -> list[list[tuple[int, int, list[int]]]]:
        return [
            [
                (group, i, sorted({bisect(starts, position) - 1 for position in positions}))
                for group, forms in enumerate(self._groups)
                for i, (_, by_doc) in enumerate(forms)
                if (positions := by_doc.get(doc))
            ]
            for doc in docs
        ]


class _Column:
    """Documents, each with a number that is calculated when it is asked for, and only for the documents wanted: most
    of what common words find is ruled out by which documents have the rare ones."""

    __slots__ = ("_best", "_docs", "_least", "_values")

    def __init__(self) -> None:
        self._docs: set[int] | None = None
        self._values: dict[int, float] | None = None
        self._best: list[tuple[int, float]] = []
        self._least = inf
        """All rows with a number no less than `_least`, the largest first."""

    def _find(self) -> set[int]:
        """The documents."""
        raise NotImplementedError

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        """Numbers of those of the documents that the column has; None: of all of them."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.docs)

    @property
    def docs(self) -> set[int]:
        if self._docs is None:
            self._docs = self._find()
        return self._docs

    def among(self, docs: set[int]) -> set[int]:
        """Those of the documents that it has."""
        return self.docs & docs

    @property
    def values(self) -> dict[int, float]:
        if self._values is None:
            self._values = self._calculate(None)
        return self._values

    def within(self, docs: set[int] | None) -> dict[int, float]:
        """The numbers of some documents; None: of all."""
        if docs is None:
            return self.values
        if self._values is None:
            return self._calculate(docs)
        return picked(self._values, docs)

    def top(self, limit: int) -> list[tuple[int, float]]:
        """The `limit` largest rows, as Columns.top() gives them."""
        if limit >= len(self):
            return sorted(self.values.items(), key=_largest_first)
        if limit < 1:
            return []
        if len(self._best) < limit:
            self._find_best(max(limit + limit // 4, KEPT_BEST))
        return self._best[:limit]

    def _find_best(self, limit: int) -> None:
        """Have the best rows, some more than are asked for: the next question is for those that may tie with the last.

        The least of so many rows, whichever they are, is no more than the least of so many best ones. So of a long
        column rows that promise much are calculated first, and then those that may reach the least of them.
        """
        rows = self._values
        if rows is None and len(self) > LONG * limit:
            some = self.within(self.promising(limit))
            if len(some) >= limit:
                rows = self.within(self.reaching(_least_of(some, limit)))
        rows = self.values if rows is None else rows
        self._least = _least_of(rows, limit)
        self._best = sorted([row for row in rows.items() if row[1] >= self._least], key=_largest_first)

    def most(self) -> float:
        """What no number of the column is larger than."""
        return inf

    def promising(self, limit: int) -> set[int]:
        """So many documents or more, among them many of those with the largest numbers."""
        return self.docs

    def reaching(self, least: float) -> set[int]:
        """The documents that may have a number no smaller, and others."""
        return self.docs

    def at_least(self, least: float) -> list[tuple[int, float]]:
        """Rows with a number that is no smaller."""
        rows = self._best if least >= self._least else self.within(self.reaching(least)).items()
        return [row for row in rows if row[1] >= least]


class _Given(_Column):
    """Numbers that are there."""

    __slots__ = ()

    def __init__(self, values: dict[int, float]) -> None:
        super().__init__()
        self._values = values

    def __len__(self) -> int:
        return len(self.values)

    def _find(self) -> set[int]:
        return set(self.values)


class _Constant(_Column):
    """The same number for all."""

    __slots__ = ("number",)

    def __init__(self, docs: set[int], number: float) -> None:
        super().__init__()
        self._docs, self.number = docs, number

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        return dict.fromkeys(self.docs if docs is None else self.docs & docs, self.number)


class _Saturated(_Column):
    """Saturated frequencies of forms that add up."""

    __slots__ = ("_against", "_found", "_frequencies", "_lengths", "_some")

    def __init__(self, found: list[Found], against: _Against, lengths: Sequence[int]) -> None:
        super().__init__()
        self._found, self._against, self._lengths = found, against, lengths
        self._frequencies: dict[int, float] | None = None
        self._some: dict[int, float] = {}
        """Those of some documents, where not all were needed yet."""

    def __len__(self) -> int:
        return len(self._found[0].docs) if len(self._found) == 1 else len(self.docs)

    def _find(self) -> set[int]:
        return united([found.docs for found in self._found])

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        return self.times(1.0, docs)

    def times(self, factor: float, docs: set[int] | None) -> dict[int, float]:
        """dampened() frequencies of some documents or of all, each times a factor, in as few steps as can be."""
        docs = self.docs if docs is None else docs & self.docs
        frequencies = self._frequencies
        if frequencies is None:
            frequencies = self._some
            missing = docs - frequencies.keys()
            if (len(frequencies) + len(missing)) * FEW > len(self.docs):
                frequencies = self._all()
            elif missing:
                frequencies |= self._summed(missing)
        against, lengths, top = self._against, self._lengths, K1 + 1.0
        return {doc: factor * ((often := frequencies[doc]) * top / (often + against[lengths[doc]])) for doc in docs}

    def _all(self) -> dict[int, float]:
        if self._frequencies is None:
            self._frequencies = self._summed(None)
        return self._frequencies

    def _summed(self, docs: set[int] | None) -> dict[int, float]:
        """Frequencies of those of the documents that have any; None: of all."""
        first, *others = self._found
        frequencies = first.frequencies(docs)
        for found in others:
            for doc, frequency in found.frequencies(docs).items():
                frequencies[doc] = frequencies.get(doc, 0.0) + frequency
        return frequencies

    def most(self) -> float:
        return K1 + 1.0

    def promising(self, limit: int) -> set[int]:
        return self._as_often_as(_least_of(self._all(), limit))

    def reaching(self, least: float) -> set[int]:
        least -= ROUNDING
        if least <= 0.0:
            return self.docs
        # What holds the least against a word is a text without length: saturation() solved for the frequency.
        return self._as_often_as(least * K1 * (1.0 - B) / (K1 + 1.0 - least) if least < K1 + 1.0 else inf)

    def _as_often_as(self, often: float) -> set[int]:
        frequencies = self._all()
        return set(compress(frequencies, map(float(often).__le__, frequencies.values())))


class _Scaled(_Column):
    __slots__ = ("_column", "_factor")

    def __init__(self, column: _Column, factor: float) -> None:
        super().__init__()
        self._column, self._factor = column, factor

    def __len__(self) -> int:
        return len(self._column)

    def _find(self) -> set[int]:
        return self._column.docs

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        if isinstance(self._column, _Saturated):
            return self._column.times(self._factor, docs)
        values = self._column.within(docs)
        return dict(zip(values, map(self._factor.__mul__, values.values()), strict=True))

    def most(self) -> float:
        return self._factor * self._column.most()

    def promising(self, limit: int) -> set[int]:
        return self._column.promising(limit)

    def reaching(self, least: float) -> set[int]:
        return self._column.reaching(least / self._factor) if self._factor > 0.0 else self.docs


class _United(_Column):
    """What any of several columns has: the largest number, or the sum in their order."""

    __slots__ = ("columns",)

    def __init__(self, columns: Sequence[_Column]) -> None:
        super().__init__()
        self.columns = columns

    def _find(self) -> set[int]:
        return united([column.docs for column in self.columns])

    def among(self, docs: set[int]) -> set[int]:
        if self._docs is not None:
            return self._docs & docs
        return set().union(*[column.among(docs) for column in self.columns])

    def promising(self, limit: int) -> set[int]:
        found: set[int] = set()
        for column in sorted(self.columns, key=_most_of, reverse=True):
            found |= column.promising(limit)
            if len(found) >= limit:
                break
        return found


class _Best(_United):
    __slots__ = ()

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        best = self.columns[0].within(docs)
        for column in self.columns[1:]:
            values = column.within(docs)
            shorter, longer = (best, values) if len(best) < len(values) else (values, best)
            if shorter:
                best = longer.copy()
                for doc, value in shorter.items():
                    if value > best.get(doc, -1.0):
                        best[doc] = value
            else:
                best = longer
        return best

    def most(self) -> float:
        return max([column.most() for column in self.columns])

    def reaching(self, least: float) -> set[int]:
        return set().union(*[column.reaching(least) for column in self.columns])


class _Sum(_United):
    __slots__ = ()

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        scores = self.columns[0].within(docs)
        for column in self.columns[1:]:
            values = column.within(docs)
            # Of two numbers it does not matter which is added to which: so the shorter column to the longer.
            added, longer = (scores, values) if len(scores) < len(values) else (values, scores)
            if added:
                scores = longer.copy()
                for doc, value in added.items():
                    scores[doc] = scores.get(doc, 0.0) + value
            else:
                scores = longer
        return scores

    def most(self) -> float:
        return sum([column.most() for column in self.columns])

    def reaching(self, least: float) -> set[int]:
        """Where those that can add the least cannot reach it together, one of the others has to be there."""
        columns = sorted(self.columns, key=_most_of)
        without = 0.0
        while len(columns) > 1 and without + columns[0].most() + ROUNDING < least:
            without += columns.pop(0).most()
        if len(columns) == 1:
            return columns[0].reaching(least - without)
        return set().union(*[column.docs for column in columns])


class _Kept(_Column):
    __slots__ = ("_column",)

    def __init__(self, column: _Column, docs: set[int]) -> None:
        super().__init__()
        self._column, self._docs = column, docs

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        return self._column.within(self.docs if docs is None else self.docs & docs)

    def most(self) -> float:
        return self._column.most()

    def promising(self, limit: int) -> set[int]:
        return self.docs & self._column.promising(limit)

    def reaching(self, least: float) -> set[int]:
        return self.docs & self._column.reaching(least)


class _Raised(_Column):
    """A column with a little added to a few of its documents."""

    __slots__ = ("_column", "_others")

    def __init__(self, column: _Column, others: Sequence[_Column]) -> None:
        super().__init__()
        self._column, self._others = column, others

    def __len__(self) -> int:
        return len(self._column)

    def _find(self) -> set[int]:
        return self._column.docs

    def _calculate(self, docs: set[int] | None) -> dict[int, float]:
        return _Sum([self._column, *self._others]).within(docs)

    def top(self, limit: int) -> list[tuple[int, float]]:
        """As of any column; only those of the raised and of the best before can be among them."""
        raised: set[int] = set().union(*[other.docs for other in self._others])
        candidates = {doc for doc, _ in self._column.top(limit + len(raised))} | raised
        return sorted(self.within(candidates).items(), key=_largest_first)[: max(limit, 0)]

    def at_least(self, least: float) -> list[tuple[int, float]]:
        raised: set[int] = set().union(*[other.docs for other in self._others])
        candidates = {doc for doc, _ in self._column.at_least(least)} | raised
        return [row for row in self.within(candidates).items() if row[1] >= least]


def _largest_first(row: tuple[int, float]) -> tuple[float, int]:
    return -row[1], row[0]


def _most_of(column: _Column) -> float:
    return column.most()


def _least_of(values: dict[int, float], limit: int) -> float:
    """The last of so many largest values."""
    return sorted(values.values(), reverse=True)[: max(limit, 1)][-1]


class _Against(dict[int, float]):
    """Length of a text → what it holds against the frequencies of its words, kept as lengths come."""

    def __init__(self, average_length: float) -> None:
        self._average_length = average_length

    def __missing__(self, length: int) -> float:
        found = self[length] = dampening(length, self._average_length)
        return found


class DictColumns:
    """Columns as dictionaries, documents as sets: nothing to import, nothing to prepare."""

    dear_places = True

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._text = snapshot.field(TEXT)
        self._occurrences = Occurrences(self._text, snapshot.field(GRAMS))
        self._against = _Against(self._text.average_length or 1.0)
        self._lengths = self._text.lengths

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

    def saturated(self, forms: tuple[Form, ...], zone: str | None) -> _Column:
        found = [here for form in forms if (here := self._occurrences.found(form, zone))]
        return _Saturated(found, self._against, self._lengths) if found else _Given({})

    def prepare(self, forms: Iterable[Form]) -> None:
        """Nothing takes less time at once."""

    def remembered(self, key: tuple[object, ...], make: Callable[[], _Column]) -> _Column:
        return make()

    def constant(self, docs: set[int], value: float) -> _Column:
        return _Constant(docs, value)

    def docs(self, column: _Column) -> set[int]:
        return column.docs

    def at(self, column: _Column, doc: int) -> float | None:
        return column.within({doc}).get(doc)

    def scaled(self, column: _Column, factor: float) -> _Column:
        return _Scaled(column, factor)

    def mapped(self, function: Callable[..., Any], first: _Column, *others: _Column) -> _Column:
        docs = first.docs
        for other in others:
            docs = docs & other.docs
        held = [other.within(docs) for other in others]
        return _Given({doc: function(v, *[h[doc] for h in held]) for doc, v in first.within(docs).items()})

    def lesser(self, first: _Column, second: _Column) -> _Column:
        return self.mapped(min, first, second)

    def capped(self, column: _Column, most: float) -> _Column:
        return _Given({doc: min(value, most) for doc, value in column.values.items()})

    def summed(self, columns: Sequence[_Column]) -> _Column:
        some = [column for column in columns if len(column)]
        return some[0] if len(some) == 1 else _Sum(some) if some else _Given({})

    def best(self, columns: Sequence[_Column]) -> _Column:
        some = [column for column in columns if len(column)]
        return some[0] if len(some) == 1 else _Best(some) if some else _Given({})

    def raised(self, column: _Column, others: Sequence[_Column]) -> _Column:
        some = [other for other in others if len(other)]
        return _Raised(column, some) if some else column

    def kept(self, column: _Column, docs: set[int]) -> _Column:
        return _Kept(column, column.among(docs))

    def heavier(self, sets: Sequence[tuple[set[int], float]], least: float, without: set[int]) -> set[int]:
        # One of the sets whose weight is not among the least, which sum up to less, has to have it.
        heavy, light = sorted(sets, key=lambda row: row[1]), 0.0
        while heavy and light + heavy[0][1] + ROUNDING < least:
            light += heavy.pop(0)[1]
        # By sets of documents that have the same weights, not one by one.
        alike = [(0.0, set().union(*[docs for docs, _ in heavy]) - without)]
        for others, weight in sets:
            parted = [(total + weight, some & others) for total, some in alike]
            alike = [row for row in [*parted, *((total, some - others) for total, some in alike)] if row[1]]
        return set().union(*[some for total, some in alike if total > least])

    def holding(self, forms: tuple[Form, ...], docs: set[int]) -> set[int]:
        return {doc for form in forms for doc in self._occurrences.starts(form, docs)}

    def top(self, column: _Column, limit: int) -> list[tuple[int, float]]:
        return column.top(limit)

    def at_least(self, column: _Column, least: float) -> list[tuple[int, float]]:
        return column.at_least(least)

    def best_docs(self, column: _Column, limit: int) -> set[int]:
        return column.docs if len(column) <= limit else {doc for doc, _ in column.top(limit)}

    def last_of_top(self, column: _Column, limit: int) -> float:
        return column.top(limit)[-1][1]

    def some(self, docs: Iterable[int]) -> set[int]:
        return set(docs)

    def bag_top(
        self, terms: Sequence[str], limit: int, every: bool, admitted: set[int] | None
    ) -> list[tuple[int, float]]:
        found = [self.saturated((Form.term(term),), None) for term in terms]
        if limit < 1 or (every and not all(map(len, found))):
            return []
        columns = [self.scaled(column, idf(len(column), self._snapshot.doc_count)) for column in found if len(column)]
        scores = self.summed(columns)
        for column in columns if every else ():
            scores = self.kept(scores, column.docs)
        scores = scores if admitted is None else self.kept(scores, admitted)
        return self.top(scores, limit)

    def places(self, groups: Sequence[tuple[Form, ...]], docs: set[int]) -> DictPlaces:
        starts = self._occurrences.starts
        return DictPlaces([[(width(form), starts(form, docs)) for form in forms] for forms in groups])
