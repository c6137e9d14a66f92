"""The operations of `Columns` on numpy arrays.

A column is two arrays, documents ascending and their numbers; a set of documents is an array of booleans. What is read
from the index or found in it (postings, impacts, phrases, filters) is kept for the next query, up to MEMORY_BYTES:
a snapshot never changes, so neither do they. Scores are calculated in the order in which `DictColumns` does it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.arrays.stored import DOC_SHIFT, FieldRows, Several, Stored, boosts, runs
from papersearch.fields import GRAMS, TEXT
from papersearch.ideas import Form
from papersearch.occurrences import NEAR_WORDS, pairs_with, width
from papersearch.scoring import K1, dampened, dampening, idf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from papersearch.index.reader import Snapshot

    Array = np.ndarray[Any, np.dtype[Any]]

MEMORY_BYTES = 192 << 20
"""What is kept for later queries: all that is ever asked of 10,000 papers, the more common words of 100,000."""
CHAMPIONS = 64
"""Documents kept apart as those in which a common word counts most."""
COMMON = 512
"""Documents from which on a word is common enough for that."""
FEW = 2048
"""Postings that are added up at once: finding out which of them cannot matter would take longer."""
CLOSER = 4
"""With more candidates than so many for each document wanted, some are looked at to rule out others."""
ROW_SHARE = 64
"""A word in more than this part of all documents has its bounds in a row, a number per document of the index."""
STEPS = 255
"""Steps in which bounds count."""
MOST = K1 + 1.0
"""What saturation() stays below."""
MANY = 16
"""Forms of a group from which on their postings are read at once."""
PARTS_AT_ONCE = 64
"""Parts of a phrase that are looked for at once."""
SLACK = 1e-9
"""Part of a score that rounding may take from a bound."""


class Mask:
    """A set of documents."""

    __slots__ = ("_count", "bits")

    def __init__(self, bits: Array) -> None:
        self.bits = bits
        self._count = -1

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.bits & other.bits)

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.bits | other.bits)

    def __sub__(self, other: Mask) -> Mask:
        return Mask(self.bits & ~other.bits)

    def __len__(self) -> int:
        if self._count < 0:
            self._count = int(np.count_nonzero(self.bits))
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.bits).tolist())


class Column:
    """Documents, ascending, and a number for each."""

    __slots__ = ("docs", "values")

    def __init__(self, docs: Array, values: Array) -> None:
        self.docs = docs
        self.values = values

    def __len__(self) -> int:
        return len(self.docs)


class Where:
    """Documents, ascending, and the positions of something in each: those of row i are positions[bounds[i] :
    bounds[i + 1]]."""

    __slots__ = ("bounds", "docs", "positions")

    def __init__(self, docs: Array, bounds: Array, positions: Array) -> None:
        self.docs = docs
        self.bounds = bounds
        self.positions = positions

    @property
    def nbytes(self) -> int:
        return int(self.docs.nbytes + self.bounds.nbytes + self.positions.nbytes)

    def chosen(self, at: Array) -> tuple[Array, Array]:
        """(how many positions each of some rows has, all of them one after the other)."""
        begin = self.bounds[at]
        counts = self.bounds[at + 1] - begin
        return counts, self.positions[runs(begin, counts)]


def _keys(where: Where | Stored, at: Array | None = None) -> Array:
    """The places of some rows or of all, ascending."""
    if at is None:
        at = np.arange(len(where.docs))
    counts, positions = where.chosen(at)
    keys = np.repeat(where.docs[at], counts) << DOC_SHIFT
    keys += positions
    return keys


def _in(where: Where | Stored, docs: Array) -> Array:
    """The rows of some documents (ascending)."""
    if not len(where.docs):
        return _NOWHERE.docs
    at: Array = where.docs.searchsorted(docs)
    held: Array = at[where.docs.take(at, mode="clip") == docs]
    return held


def _gathered(places: Iterable[tuple[int, Where | Stored]], docs: Array) -> tuple[Array, Array, Array]:
    """(document, position, number) of numbered places in some documents (ascending).

    What is stored is decoded at once: there may be many terms with few places each."""
    stored: dict[FieldRows, list[tuple[Array, ...]]] = {}
    found: list[tuple[Array, ...]] = []
    for number, where in places:
        at = _in(where, docs)
        if not len(at):
            continue
        if isinstance(where, Stored):
            row = np.full(len(at), number), where.docs[at], where.shapes[at], where.begin[at]
            stored.setdefault(where.field, []).append(row)
        else:
            counts, positions = where.chosen(at)
            found.append((where.docs[at].repeat(counts), positions, np.full(len(positions), number)))
    for field, rows in stored.items():
        numbers, held, shapes, begin = map(_joined, zip(*rows, strict=True))
        counts, positions = field.positions(shapes, begin)
        found.append((held.repeat(counts), positions, numbers.repeat(counts)))
    if not found:
        return _NOWHERE.docs, _NOWHERE.docs, _NOWHERE.docs
    held, positions, numbers = map(_joined, zip(*found, strict=True))
    return held, positions, numbers


def _at(keys: Array) -> Where:
    """Places, ascending, by document."""
    docs = keys >> DOC_SHIFT
    first = np.flatnonzero(_new(docs))
    return Where(docs[first], np.append(first, len(keys)), keys & ((1 << DOC_SHIFT) - 1))


_NOWHERE = Where(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))
_NOTHING = Column(np.zeros(0, np.int64), np.zeros(0))


class Impacts:
    """Postings of a word with what each adds to a score, before the word's idf.

    Attributes:
        idf: the word's.
        best: the largest impact.
        champions: documents, ascending, in which a common word counts most; all documents of another.
        rest: the largest impact in a document that is no champion.
        row: bounds of the impacts by document of the index, of a very common word: impact <= bound * MOST / STEPS.
            In 16 bits, in which those of several words are added up.
    """

    __slots__ = ("best", "champions", "docs", "idf", "rest", "row", "values")

    def __init__(self, column: Column, documents: int, size: int) -> None:
        self.docs, self.values = column.docs, column.values
        self.idf = idf(len(self.docs), documents)
        self.best = float(self.values.max())
        self.champions, self.rest = self.docs, 0.0
        self.row: Array | None = None
        if len(self.docs) > COMMON:
            order = np.argpartition(self.values, len(self.docs) - CHAMPIONS)
            self.champions = self.docs[np.sort(order[-CHAMPIONS:])]
            self.rest = float(self.values[order[:-CHAMPIONS]].max())
        if len(self.docs) > max(COMMON, size // ROW_SHARE):
            row = np.zeros(size, np.uint16)
            row[self.docs] = np.minimum(np.ceil(self.values * (STEPS / MOST) * (1 + SLACK)), STEPS)
            self.row = row

    @property
    def nbytes(self) -> int:
        """Bytes that it adds to the column it was made from."""
        return int(self.champions.nbytes + (0 if self.row is None else self.row.nbytes))


class ArrayPlaces:
    """Places in arrays: documents, positions and which form begins there."""

    __slots__ = ("_docs", "_forms", "_starts", "_widths")

    def __init__(self, docs: Array, starts: Array, forms: Array, widths: Array) -> None:
        self._docs = docs
        self._starts = starts
        self._forms = forms
        self._widths = widths

    def beginning_below(self, end: int) -> Iterable[int]:
        return np.unique(self._docs[self._starts < end])

    def _keys(self) -> tuple[Array, Array]:
        """(where something begins, where it ends)."""
        begin = (self._docs << DOC_SHIFT) + self._starts
        return begin, begin + self._widths[self._forms]

    def distances(self, other: ArrayPlaces) -> Column:
        begin, end = self._keys()
        other_begin, other_end = other._keys()
        docs, apart = [], []
        for ends, begins, of, more in (
            (end, np.sort(other_begin), self._docs, 0),
            (other_end, np.sort(begin), other._docs, 1),
        ):
            if not len(begins):
                return _NOTHING
            next_one = begins.searchsorted(ends)
            distance = begins[np.minimum(next_one, len(begins) - 1)] - ends + more
            near = (distance >= more) & (distance <= NEAR_WORDS)
            docs.append(of[near])
            apart.append(distance[near])
        found, distances = np.concatenate(docs), np.concatenate(apart)
        order = np.lexsort((distances, found))
        found, distances = found[order], distances[order]
        first = np.flatnonzero(_new(found))
        return Column(found[first], distances[first].astype(np.float64))

    def by_form(self, docs: Sequence[int]) -> list[list[tuple[int, Sequence[int]]]]:
        found: dict[int, dict[int, list[int]]] = {doc: {} for doc in docs}
        if found and len(self._docs):
            wanted = np.array(sorted(found))
            at = np.flatnonzero(_held(self._docs, wanted))
            rows = self._docs[at].tolist(), self._forms[at].tolist(), self._starts[at].tolist()
            for doc, form, start in zip(*rows, strict=True):
                found[doc].setdefault(form, []).append(start)
        return [sorted(found[doc].items()) for doc in docs]


class _Memory:
    """What was found before. The oldest goes when there is too much; threads may share it."""

    def __init__(self) -> None:
        self._kept: dict[Any, tuple[Any, int]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        found = self._kept.get(key)
        return None if found is None else found[0]

    def put(self, key: Any, value: Any, size: int) -> None:
        size += 256
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = value, size
            self._bytes += size
            while self._bytes > MEMORY_BYTES and len(self._kept) > 1:
                self._bytes -= self._kept.pop(next(iter(self._kept)))[1]


class ArrayColumns:
    """Columns as arrays."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        text = snapshot.field(TEXT)
        self._rows = {TEXT: FieldRows(text), GRAMS: FieldRows(snapshot.field(GRAMS))}
        lengths = np.array(text.lengths, np.float64)
        self._dampening: Array = dampening(lengths, text.average_length or 1.0)  # type: ignore[arg-type, assignment]
        self._size = len(lengths)
        self._memory = _Memory()
        self._own = threading.local()
        self._everything = self.some(snapshot.docs())

    # ---- what is read from the index

    def _stored(self, key: str, term: str) -> Stored:
        """The postings of a term."""
        found = self._memory.get((key, term))
        if found is None:
            found = self._rows[key].read(term)
            self._memory.put((key, term), found, found.nbytes)
        return found  # type: ignore[no-any-return]

    def _character(self, char: str) -> Where:
        """Where a single Chinese character stands: wherever a pair has it."""
        found = self._memory.get(("character", char))
        if found is None:
            pairs = pairs_with(self._snapshot.field(GRAMS), char)
            docs, positions, numbers = self._rows[GRAMS].read_several([pair for pair, _ in pairs]).places()
            offsets = np.array([offset for _, offset in pairs], np.int64)
            found = _at(_ascending((docs << DOC_SHIFT) + positions + offsets[numbers]))
            self._memory.put(("character", char), found, found.nbytes)
        return found  # type: ignore[no-any-return]

    def _several(self, forms: tuple[Form, ...]) -> Several | None:
        """The postings of many words, each a form of its own; None if the forms are something else."""
        if len(forms) < MANY or not all(len(form.parts) == 1 and form.parts[0][0] == TEXT for form in forms):
            return None
        terms = tuple([form.parts[0][1][0] for form in forms if len(form.parts[0][1]) == 1])
        if len(terms) < len(forms):
            return None
        found = self._memory.get(("several", terms))
        if found is None:
            found = self._rows[TEXT].read_several(terms)
            self._memory.put(("several", terms), found, found.nbytes + 64 * len(terms))
        return found  # type: ignore[no-any-return]

    def _places_of(self, key: str, term: str) -> Where | Stored:
        """Where a term stands."""
        return self._character(term) if key == GRAMS and len(term) == 1 else self._stored(key, term)

    def _where(self, form: Form) -> Where | Stored:
        """Where a form begins."""
        parts = form.parts
        if len(parts) == 1 and len(parts[0][1]) == 1:
            return self._places_of(parts[0][0], parts[0][1][0])
        found = self._memory.get(parts)
        if found is None:
            found = self._together(parts)
            self._memory.put(parts, found, found.nbytes)
        return found  # type: ignore[no-any-return]

    def _together(self, parts: Sequence[tuple[str, tuple[str, ...], int]]) -> Where:
        """Where terms stand at their offsets. Positions are only looked up in documents that have all of them."""
        rows = sorted(
            (([self._places_of(key, term) for term in terms], offset) for key, terms, offset in parts),
            key=lambda row: sum([len(where.docs) for where in row[0]]),
        )
        docs = _all_of([where.docs for where in rows[0][0]])
        for places, _ in rows[1:]:
            docs = _all_of([docs[_held(docs, where.docs)] for where in places])
            if not len(docs):
                return _NOWHERE
        keys: Array | None = None
        for at in range(0, len(rows), PARTS_AT_ONCE):
            some = rows[at : at + PARTS_AT_ONCE]
            here = self._aligned(some, docs)
            keys = here if keys is None else keys[_held(keys, here)]
        assert keys is not None
        return _at(keys)

    def _aligned(self, rows: Sequence[tuple[list[Where | Stored], int]], docs: Array) -> Array:
        """Places, ascending, from which every part stands at its offset, in documents that have all parts."""
        docs, starts, numbers = _gathered([(n, where) for n, (places, _) in enumerate(rows) for where in places], docs)
        keys = (docs << DOC_SHIFT) + starts - np.array([offset for _, offset in rows])[numbers]
        if len(rows) == 1:
            return _ascending(keys)
        # Each place comes once for each part that has it.
        keys = _ascending(keys * len(rows) + numbers) // len(rows)
        last: Array = keys[len(rows) - 1 :]
        held: Array = last[last == keys[: len(last)]]
        return held

    # ---- columns

    def everything(self) -> Mask:
        return self._everything

    def some(self, docs: Iterable[int]) -> Mask:
        bits = np.zeros(self._size, bool)
        bits[docs if isinstance(docs, np.ndarray) else list(docs)] = True
        return Mask(bits)

    def _values(self, name: str) -> tuple[list[str], Array, Array]:
        """All terms of an exact field; for each posting the number of its term, and its document."""
        found = self._memory.get(("field", name))
        if found is None:
            reader = self._snapshot.field(name)
            terms = list(reader.terms())
            lists = [postings.docs if (postings := reader.postings(term)) else () for term in terms]
            numbers = np.repeat(np.arange(len(terms)), [len(docs) for docs in lists])
            docs = np.array([doc for docs in lists for doc in docs], np.int64)
            found = terms, numbers, docs
            self._memory.put(("field", name), found, numbers.nbytes + docs.nbytes + 64 * len(terms))
        return found  # type: ignore[no-any-return]

    def having(self, name: str, terms: Iterable[str]) -> Mask:
        wanted = frozenset(terms)
        found = self._memory.get(("having", name, wanted))
        if found is None:
            known, numbers, docs = self._values(name)
            chosen = np.array([term in wanted for term in known], bool)
            found = self.some(docs[chosen[numbers]])
            self._memory.put(("having", name, wanted), found, self._size)
        return found  # type: ignore[no-any-return]

    def counts(self, name: str, docs: Mask) -> dict[str, int]:
        terms, numbers, held = self._values(name)
        counts = np.bincount(numbers[docs.bits[held]], minlength=len(terms)).tolist()
        return {term: count for term, count in zip(terms, counts, strict=True) if count}

    def _frequencies(self, form: Form, zone: str | None) -> list[Column]:
        """Frequencies that add up to those of a form."""
        key, terms, _ = form.parts[0]
        alone = len(form.parts) == 1 and not (key == GRAMS and len(terms[0]) == 1)
        if alone and zone is None and key == TEXT:
            stored = [self._stored(key, term) for term in terms]
            return [Column(found.docs, self._rows[key].weights(found.shapes)) for found in stored]
        where = self._where(form)
        if isinstance(where, Stored):
            column = Column(where.docs, self._rows[key].boosted(where.shapes, zone))
        elif len(where.docs):
            column = Column(where.docs, np.add.reduceat(boosts(where.positions, zone), where.bounds[:-1]))
        else:
            return []
        if zone:
            held = column.values > 0.0
            column = Column(column.docs[held], column.values[held])
        return [column]

    def saturated(self, forms: tuple[Form, ...], zone: str | None) -> Column:
        key = tuple([form.parts for form in forms]), zone
        found = self._memory.get(key)
        if found is None:
            several = None if zone else self._several(forms)
            if several is not None:
                column = self._summed_up(several)
            else:
                column = self.summed([column for form in forms for column in self._frequencies(form, zone)])
            found = Column(column.docs, dampened(column.values, self._dampening[column.docs]))  # type: ignore[arg-type]
            self._memory.put(key, found, found.docs.nbytes + found.values.nbytes)
        return found  # type: ignore[no-any-return]

    def _summed_up(self, several: Several) -> Column:
        """As summed(), of the weights of several terms."""
        stored = several.stored
        bits = np.zeros(self._size, bool)
        bits[stored.docs] = True
        docs = np.flatnonzero(bits)
        sums = np.bincount(stored.docs, stored.field.weights(stored.shapes), self._size)  # one after the other
        return Column(docs, sums[docs])

    def constant(self, docs: Mask, value: float) -> Column:
        numbers = np.flatnonzero(docs.bits)
        return Column(numbers, np.full(len(numbers), value))

    def docs(self, column: Column) -> Mask:
        bits = np.zeros(self._size, bool)
        bits[column.docs] = True
        return Mask(bits)

    def at(self, column: Column, doc: int) -> float | None:
        i = int(column.docs.searchsorted(doc))
        return float(column.values[i]) if i < len(column.docs) and column.docs[i] == doc else None

    def scaled(self, column: Column, factor: float) -> Column:
        return Column(column.docs, factor * column.values)

    def mapped(self, function: Callable[..., Any], first: Column, *others: Column) -> Column:
        columns = _common([first, *others])
        return Column(columns[0].docs, function(*[column.values for column in columns]))

    def lesser(self, first: Column, second: Column) -> Column:
        a, b = _common([first, second])
        return Column(a.docs, np.minimum(a.values, b.values))

    def _numbers(self) -> Array:
        """A zero for each document of the index, this thread's own; whoever changes it leaves it as it was."""
        numbers: Array | None = getattr(self._own, "numbers", None)
        if numbers is None:
            numbers = self._own.numbers = np.zeros(self._size)
        return numbers

    def _merged(self, columns: Sequence[Column], merge: Callable[[Array, Array], Array]) -> Column:
        columns = [column for column in columns if len(column.docs)]
        if len(columns) < 2:
            return columns[0] if columns else _NOTHING
        numbers = self._numbers()
        bits = np.zeros(self._size, bool)
        for column in columns:
            bits[column.docs] = True
            numbers[column.docs] = merge(numbers[column.docs], column.values)
        docs = np.flatnonzero(bits)
        values = numbers[docs]
        numbers[docs] = 0.0
        return Column(docs, values)

    def summed(self, columns: Sequence[Column]) -> Column:
        return self._merged(columns, np.add)

    def best(self, columns: Sequence[Column]) -> Column:
        return self._merged(columns, np.maximum)

    def raised(self, column: Column, others: Sequence[Column]) -> Column:
        values = column.values.copy()
        for other in others:
            values[column.docs.searchsorted(other.docs)] += other.values
        return Column(column.docs, values)

    def kept(self, column: Column, docs: Mask) -> Column:
        held = docs.bits[column.docs]
        return Column(column.docs[held], column.values[held])

    def above(self, column: Column, least: float) -> Mask:
        return self.some(column.docs[column.values > least])

    def top(self, column: Column, limit: int) -> list[tuple[int, float]]:
        docs, values = _best(column.docs, column.values, limit)
        return list(zip(docs.tolist(), values.tolist(), strict=True))

    def at_least(self, column: Column, least: float) -> list[tuple[int, float]]:
        held = column.values >= least
        return list(zip(column.docs[held].tolist(), column.values[held].tolist(), strict=True))

    # ---- places

    def places(self, forms: tuple[Form, ...], docs: Mask) -> ArrayPlaces:
        widths = np.array([width(form) for form in forms], np.int64)
        several = self._several(forms)
        if several is not None:
            held, positions, numbers = several.places(np.flatnonzero(docs.bits[several.stored.docs]))
            return ArrayPlaces(held, positions, numbers, widths)
        where = [(number, self._where(form)) for number, form in enumerate(forms)]
        return ArrayPlaces(*_gathered(where, np.flatnonzero(docs.bits)), widths)

    # ---- the best documents for a bag of words

    def _impacts(self, term: str) -> Impacts | None:
        found = self._memory.get(("impacts", term))
        if found is None:
            column = self.saturated((Form.term(term),), None)
            if not len(column):
                return None
            found = Impacts(column, self._snapshot.doc_count, self._size)
            self._memory.put(("impacts", term), found, found.nbytes)
        return found  # type: ignore[no-any-return]

    def bag_top(self, terms: Sequence[str], limit: int, every: bool, admitted: Mask | None) -> list[tuple[int, float]]:
        """The best documents for words, each of which adds its impact times its idf.

        Exactly those that adding up everything would give: what bounds rule out could not be among them, and what they
        leave is added up in full, in the order of the words.
        """
        found = [self._impacts(term) for term in terms]
        words = [word for word in found if word is not None]
        if limit < 1 or not words or (every and len(words) < len(found)):
            return []
        bits = None if admitted is None else admitted.bits
        if every and len(words) > 1:
            docs = self._in_all(words, limit, bits)
        elif sum(len(word.docs) for word in words) <= FEW:
            column = self.summed([Column(word.docs, word.values * word.idf) for word in words])
            return self.top(column if admitted is None else self.kept(column, admitted), limit)
        else:
            docs = self._in_any(words, limit, bits)
        if not len(docs):
            return []
        docs, scores = _best(docs, _added(words, docs), limit)
        return list(zip(docs.tolist(), scores.tolist(), strict=True))

    def _in_any(self, words: list[Impacts], limit: int, bits: Array | None) -> Array:
        """Documents, ascending, that hold the best ones for any of the words."""
        first = _admitted(_all_of([word.champions for word in words]), bits)
        if len(first) < limit:
            return _admitted(_all_of([word.docs for word in words]), bits)
        least = _least(_added(words, first), limit)
        if len(words) == 1:
            word = words[0]
            return first if least > word.rest * word.idf else _admitted(word.docs, bits)
        # A document that has none but the words of least weight stays below the limit-th best seen so far.
        out_of_reach = 0.0
        essential: list[Impacts] = []
        for word in sorted(words, key=lambda word: word.best * word.idf):
            if not essential and out_of_reach + word.best * word.idf < least:
                out_of_reach += word.best * word.idf
            else:
                essential.append(word)
        if all(len(word.champions) == len(word.docs) for word in essential):
            return first
        docs, bounds = self._bounded(essential, least - out_of_reach)
        if bits is not None:
            held = bits[docs]
            docs, bounds = docs[held], bounds[held]
        if len(docs) > CLOSER * limit:
            # The best by their bounds are nearly the best: they show how little the others may reach.
            order = np.argpartition(bounds, len(docs) - 2 * limit)[len(docs) - 2 * limit :]
            closer = _least(_added(words, docs[np.sort(order)]), limit)
            if closer > least:
                docs = docs[bounds >= (closer - out_of_reach) * (1 - SLACK)]
        return docs

    def _bounded(self, words: list[Impacts], least: float) -> tuple[Array, Array]:
        """Documents, ascending, whose bounds for the words add up to no less, and these sums. They are added up in
        whole steps, of such a size that the sum for very common words stays within 16 bits."""
        per_idf = (65535 // STEPS - len(words)) / sum(word.idf for word in words)
        rows = [word for word in words if word.row is not None]
        if not rows or per_idf <= 0.0:
            column = self.summed([Column(word.docs, word.values * word.idf) for word in words])
            held = column.values >= least * (1 - SLACK)
            return column.docs[held], column.values[held]
        scale = per_idf * STEPS / MOST
        sums: Array | None = None
        for word in rows:
            steps = word.row * np.uint16(np.ceil(word.idf * per_idf))
            sums = steps if sums is None else np.add(sums, steps, out=sums)
        assert sums is not None
        for word in words:
            if word.row is None:
                sums[word.docs] += np.ceil(word.values * (word.idf * scale * (1 + SLACK))).astype(np.uint16)
        docs = np.flatnonzero(sums >= max(1, int(least * scale * (1 - SLACK))))
        return docs, sums[docs] / scale

    def _in_all(self, words: list[Impacts], limit: int, bits: Array | None) -> Array:
        """Documents, ascending, that hold the best ones of those that have all of the words."""
        rarest, *others = sorted(words, key=lambda word: len(word.docs))
        docs, sums = rarest.docs, rarest.values
        if bits is not None:
            held = bits[docs]
            docs, sums = docs[held], sums[held]
        sums = sums * rarest.idf
        slack = 0.0
        for word in others:
            if not len(docs):
                break
            if word.row is not None:
                steps = word.row[docs]
                held = steps > 0
                docs, sums = docs[held], sums[held] + steps[held] * (word.idf * MOST / STEPS)
                slack += word.idf * MOST / STEPS
            else:
                at = word.docs.searchsorted(docs)
                held = word.docs.take(at, mode="clip") == docs
                docs, sums = docs[held], sums[held] + word.values[at[held]] * word.idf
        if len(docs) > CLOSER * limit:
            # A bound is at most one step for each word too high.
            docs = docs[sums >= (_least(sums, limit) - slack) * (1 - SLACK) - SLACK]
        return docs


def _joined(arrays: Sequence[Array]) -> Array:
    """One after the other."""
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


def _held(numbers: Array, others: Array) -> Array:
    """Which of the numbers are among others, which ascend."""
    if not len(others):
        return np.zeros(len(numbers), bool)
    held: Array = others.take(others.searchsorted(numbers), mode="clip") == numbers
    return held


def _ascending(numbers: Array) -> Array:
    """The numbers in order, each once."""
    numbers = np.sort(numbers)
    return numbers[_new(numbers)]


def _new(numbers: Array) -> Array:
    """Which of the numbers, in order, are not those before them."""
    new = np.ones(len(numbers), bool)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    return new


def _common(columns: list[Column]) -> list[Column]:
    """The columns for documents that all of them have."""
    docs = columns[0].docs
    for column in columns[1:]:
        if column.docs is not docs:
            docs = docs[_held(docs, column.docs)]
    return [
        column if len(column.docs) == len(docs) else Column(docs, column.values[column.docs.searchsorted(docs)])
        for column in columns
    ]


def _best(docs: Array, values: Array, limit: int) -> tuple[Array, Array]:
    """The `limit` largest numbers, the largest first; `docs` ascend, and what ties stays in their order."""
    if 0 < limit < len(docs) // 4:
        least = np.partition(values, len(docs) - limit)[len(docs) - limit]
        held = np.flatnonzero(values >= least)
        docs, values = docs[held], values[held]
    order = np.argsort(-values, kind="stable")[:limit]
    return docs[order], values[order]


def _least(scores: Array, limit: int) -> float:
    """The limit-th largest score, or a little less."""
    if len(scores) < limit:
        return 0.0
    return float(np.partition(scores, len(scores) - limit)[len(scores) - limit]) * (1 - SLACK)


def _added(words: list[Impacts], docs: Array) -> Array:
    """Scores of documents (ascending): what each of the words adds."""
    scores = np.zeros(len(docs))
    for word in words:
        at = word.docs.searchsorted(docs)
        held = word.docs.take(at, mode="clip") == docs
        scores += word.values.take(at, mode="clip") * word.idf * held
    return scores


def _all_of(lists: list[Array]) -> Array:
    """The documents of all lists, ascending."""
    return _ascending(np.concatenate(lists)) if len(lists) > 1 else lists[0]


def _admitted(docs: Array, bits: Array | None) -> Array:
    return docs if bits is None else docs[bits[docs]]
