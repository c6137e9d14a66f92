"""The operations of `Columns` on numpy arrays.

A column is two arrays, documents ascending and their numbers; a set of documents is an array of booleans. What is read
from the index or found in it (postings, impacts, phrases, filters) is kept for the next query, up to MEMORY_BYTES:
a snapshot never changes, so neither do they. Scores are calculated in the order in which `DictColumns` does it.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.arrays.ranking import Ranking, Word
from papersearch.arrays.ranking import best as best_of
from papersearch.arrays.stored import DOC_SHIFT, SHORT, FieldRows, Several, Stored, boosts, joined, runs
from papersearch.fields import GRAMS, TEXT
from papersearch.ideas import Form
from papersearch.occurrences import FEW, NEAR_WORDS, pairs_with, width
from papersearch.scoring import dampened, dampening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from papersearch.index.reader import Snapshot

    Array = np.ndarray[Any, np.dtype[Any]]

MEMORY_BYTES = 192 << 20
"""What is kept for later queries: all that is ever asked of 10,000 papers, the more common words of 100,000."""
MANY = 16
"""Forms of a group from which on their postings are read at once."""
TOGETHER = 3
"""Words from which on their postings are read at once, if no word has more than SHORT."""
PARTS_AT_ONCE = 64
"""Parts of a phrase that are looked for at once."""
KEY_BITS = 63
DISTANCE_BITS = (NEAR_WORDS + 1).bit_length()


class Mask:
    """A set of documents."""

    __slots__ = ("_count", "_numbers", "bits")

    def __init__(self, bits: Array) -> None:
        self.bits = bits
        self._count = -1
        self._numbers: Array | None = None

    @property
    def numbers(self) -> Array:
        """The documents, ascending."""
        if self._numbers is None:
            self._numbers = self.bits.nonzero()[0]
        return self._numbers

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
        return iter(self.numbers.tolist())


class Column:
    """Documents, ascending, and a number for each."""

    __slots__ = ("docs", "mask", "values")

    def __init__(self, docs: Array, values: Array) -> None:
        self.docs = docs
        self.values = values
        self.mask: Mask | None = None
        """The documents as a set, once that was asked for."""

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


class Read:
    """Postings of a term that were read together with those of others. To be used as Stored."""

    __slots__ = ("_begin", "docs", "field", "shapes")

    def __init__(self, field: FieldRows, docs: Array, shapes: Array, begin: Array) -> None:
        self.field, self.docs, self.shapes, self._begin = field, docs, shapes, begin

    @property
    def nbytes(self) -> int:
        return 3 * int(self.docs.nbytes)

    def rows(self, at: Array) -> None:
        """None: see Stored.rows()."""

    def decoded(self, at: Array) -> tuple[Array, Array]:
        """As Stored.decoded()."""
        return self.shapes[at], self._begin[at]


if TYPE_CHECKING:
    Places = Where | Stored | Read
    Parts = Sequence[tuple[str, tuple[str, ...], int]]
    Rows = Sequence[tuple[list[Places], int]]
    """What a phrase is made of: places any of which count, at an offset."""


def _fields_of(key: str) -> tuple[str, ...]:
    """The fields in which terms are looked up: see Occurrences."""
    return (TEXT,) if key == TEXT else (GRAMS, TEXT)


def _in(where: Places | Column, docs: Array) -> Array:
    """The rows of some documents (ascending)."""
    if not len(where.docs):
        return _NOWHERE.docs
    at: Array = where.docs.searchsorted(docs)
    held: Array = at[where.docs.take(at, mode="clip") == docs]
    return held


def _gathered(found: Iterable[tuple[Array, Places, Array]]) -> tuple[Array, Array]:
    """For rows of places, each with a number: (the number of the row of each position, the position).

    What is stored is decoded at once: there may be many terms with few places each."""
    few: dict[FieldRows, list[tuple[Array, Array]]] = {}
    decoded: dict[FieldRows, list[tuple[Array, Array, Array]]] = {}
    pieces: list[tuple[Array, Array]] = []
    for numbers, where, at in found:
        if isinstance(where, Where):
            counts, positions = where.chosen(at)
            pieces.append((numbers.repeat(counts), positions))
        elif (rows := where.rows(at)) is None:
            decoded.setdefault(where.field, []).append((numbers, *where.decoded(at)))
        else:
            few.setdefault(where.field, []).append((numbers, rows))
    for field, chosen in few.items():
        numbers, rows = map(joined, zip(*chosen, strict=True))
        decoded.setdefault(field, []).append((numbers, *field.at(rows)))
    for field, stored in decoded.items():
        numbers, shapes, begin = map(joined, zip(*stored, strict=True))
        counts, positions = field.positions(shapes, begin)
        pieces.append((numbers.repeat(counts), positions))
    if not pieces:
        return _NOWHERE.docs, _NOWHERE.docs
    numbers, positions = map(joined, zip(*pieces, strict=True))
    return numbers, positions


def _at(keys: Array) -> Where:
    """Places, ascending, by document."""
    docs = keys >> DOC_SHIFT
    first = _new(docs).nonzero()[0]
    bounds = np.empty(len(first) + 1, np.int64)
    bounds[:-1], bounds[-1] = first, len(keys)
    return Where(docs[first], bounds, keys & ((1 << DOC_SHIFT) - 1))


_NOWHERE = Where(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.int64))
_NOTHING = Column(np.zeros(0, np.int64), np.zeros(0))


class ArrayPlaces:
    """Places in arrays, group by group: documents, positions and which form begins there."""

    __slots__ = ("_bounds", "_docs", "_forms", "_numbers", "_starts", "_widths")

    def __init__(
        self, docs: Array, starts: Array, forms: Array, widths: Sequence[int], numbers: list[tuple[int, int]]
    ) -> None:
        """`numbers`: for each form the group it is of, ascending, and which of its forms it is."""
        order = forms.argsort(kind="stable")
        self._docs, self._starts, self._forms = docs[order], starts[order], forms[order]
        self._widths, self._numbers = np.array(widths, np.int64), numbers
        groups = numbers[-1][0] + 1 if numbers else 0
        firsts = [bisect_left(numbers, (group, 0)) for group in range(groups + 1)]
        self._bounds: list[int] = self._forms.searchsorted(firsts).tolist()

    def _of(self, group: int) -> slice:
        return slice(self._bounds[group], self._bounds[group + 1]) if group + 1 < len(self._bounds) else slice(0)

    def beginning_below(self, group: int, end: int) -> Iterable[int]:
        own = self._of(group)
        below: Array = self._docs[own][self._starts[own] < end]
        return below

    def distances(self, group: int, other: int) -> Column:
        own, others = self._of(group), self._of(other)
        begin, other_begin = [(self._docs[at] << DOC_SHIFT) + self._starts[at] for at in (own, others)]
        end, other_end = begin + self._widths[self._forms[own]], other_begin + self._widths[self._forms[others]]
        docs, apart = [], []
        for ends, begins, of, more in (
            (end, np.sort(other_begin), self._docs[own], 0),
            (other_end, np.sort(begin), self._docs[others], 1),
        ):
            if not len(begins):
                return _NOTHING
            next_one = begins.searchsorted(ends)
            distance = begins[np.minimum(next_one, len(begins) - 1)] - ends + more
            near = (distance >= more) & (distance <= NEAR_WORDS)
            docs.append(of[near])
            apart.append(distance[near])
        found, distances = np.concatenate(docs), np.concatenate(apart)
        order = ((found << DISTANCE_BITS) + distances).argsort()
        found, distances = found[order], distances[order]
        first = _new(found).nonzero()[0]
        return Column(found[first], distances[first].astype(np.float64))

    def by_form(self, docs: Sequence[int], starts: Sequence[int]) -> list[list[tuple[int, int, list[int]]]]:
        found: dict[int, dict[int, list[int]]] = {doc: {} for doc in docs}
        if found and len(self._docs):
            wanted = sorted(found)
            at = _held(self._docs, np.array(wanted)).nonzero()[0]
            zones = np.array(starts).searchsorted(self._starts[at], "right") - 1
            keys = (self._docs[at] * len(self._widths) + self._forms[at]) * len(starts) + zones
            for key in _ascending(keys).tolist():
                rest, zone = divmod(key, len(starts))
                doc, form = divmod(rest, len(self._widths))
                found[doc].setdefault(form, []).append(zone)
        return [[(*self._numbers[form], zones) for form, zones in found[doc].items()] for doc in docs]


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

    dear_places = False

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        text = snapshot.field(TEXT)
        self._rows = {TEXT: FieldRows(text), GRAMS: FieldRows(snapshot.field(GRAMS))}
        lengths = np.array(text.lengths, np.float64)
        self._dampening: Array = dampening(lengths, text.average_length or 1.0)  # type: ignore[arg-type, assignment]
        self._size = len(lengths)
        self._memory = _Memory()
        self._own = threading.local()
        live = np.ones(self._size, bool)
        for base, segment in snapshot.segments():
            live[[base + doc for doc in segment.deleted]] = False
        self._everything = Mask(live)
        self._ranking: Ranking | None = None

    # ---- what is read from the index

    def prepare(self, forms: Iterable[Form]) -> None:
        """Read what the forms are made of, and find phrases, all at once: a few calls for many words."""
        get = self._memory.get
        wanted: dict[str, dict[str, None]] = {}
        phrases: dict[Parts, None] = {}
        for form in forms:
            for key, terms, _ in form.parts:
                for field in _fields_of(key) if key == TEXT or len(terms[0]) > 1 else ():
                    wanted.setdefault(field, {}).update([(term, None) for term in terms if get((field, term)) is None])
            if 1 < len(form.parts) <= PARTS_AT_ONCE and get(form.parts) is None:
                phrases[form.parts] = None
        for key, terms_of_field in wanted.items():
            self._read(key, list(terms_of_field))
        if len(phrases) > 1:
            self._find(list(phrases))

    def _read(self, key: str, terms: Sequence[str]) -> None:
        """Read the postings of terms that are not too common."""
        frequency = self._snapshot.field(key).doc_frequency
        terms = [term for term in terms if frequency(term) <= SHORT]
        if len(terms) < TOGETHER:
            return
        rows = self._rows[key]
        several = rows.read_several(terms)
        order = several.numbers.argsort(kind="stable")  # the segments come one after the other
        bounds = several.numbers[order].searchsorted(np.arange(len(terms) + 1)).tolist()
        docs, shapes, begin = several.docs[order], several.shapes[order], several.begin[order]
        for i, term in enumerate(terms):
            own = slice(bounds[i], bounds[i + 1])
            found = Read(rows, docs[own], shapes[own], begin[own])
            self._memory.put((key, term), found, found.nbytes)

    def _find(self, phrases: Sequence[Parts]) -> None:
        """Find where phrases begin."""
        rows = [(parts, *self._held_by_all(parts)) for parts in phrases]
        for parts, _, docs in rows:
            if not len(docs):
                self._memory.put(parts, _NOWHERE, 0)
        rows = [row for row in rows if len(row[2])]
        most = max([len(parts) for parts in phrases])
        at_once = max(1, (1 << KEY_BITS - DOC_SHIFT) // ((self._size + 1) * most) - 1)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            for (parts, _, _), keys in zip(some, self._aligned([row[1:] for row in some]), strict=True):
                found = _at(keys)
                self._memory.put(parts, found, found.nbytes)

    def _stored(self, key: str, term: str) -> Stored | Read:
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
            found = _at(_ascending(joined([self._keys_of(key, char) for key in _fields_of(GRAMS)])))
            self._memory.put(("character", char), found, found.nbytes)
        return found  # type: ignore[no-any-return]

    def _keys_of(self, key: str, char: str) -> Array:
        """The places of a character that terms of one field have, in any order."""
        pairs = pairs_with(self._snapshot.field(key), char)
        docs, positions, numbers = self._rows[key].read_several([pair for pair, _ in pairs]).places()
        offsets = np.array([offset for _, offset in pairs], np.int64)
        return (docs << DOC_SHIFT) + positions + offsets[numbers]

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

    def _places_of(self, key: str, terms: Iterable[str]) -> list[Places]:
        """Where any of the terms stands; a term of GRAMS at places of either field, as it is in Occurrences."""
        found: list[Places] = []
        for term in terms:
            if key == GRAMS and len(term) == 1:
                found.append(self._character(term))
            else:
                found += [self._stored(field, term) for field in _fields_of(key)]
        return [where for where in found if len(where.docs)] or found[:1]

    def _where(self, form: Form) -> Where:
        """Where a form begins."""
        parts = form.parts
        found = self._memory.get(parts)
        if found is None:
            found = self._together(parts)
            self._memory.put(parts, found, found.nbytes)
        return found  # type: ignore[no-any-return]

    def _together(self, parts: Parts) -> Where:
        """Where terms stand at their offsets."""
        rows, docs = self._held_by_all(parts)
        if not len(docs):
            return _NOWHERE
        keys: Array | None = None
        for at in range(0, len(rows), PARTS_AT_ONCE):
            here = self._aligned([(rows[at : at + PARTS_AT_ONCE], docs)])[0]
            keys = here if keys is None else keys[_held(keys, here)]
        assert keys is not None
        return _at(keys)

    def _held_by_all(self, parts: Parts) -> tuple[Rows, Array]:
        """(what a phrase is made of, documents that have all of it): in no others positions are looked up."""
        rows = sorted(
            ((self._places_of(key, terms), offset) for key, terms, offset in parts),
            key=lambda row: sum([len(where.docs) for where in row[0]]),
        )
        docs = _all_of([where.docs for where in rows[0][0]])
        for places, _ in rows[1:]:
            docs = _all_of([docs[_held(docs, where.docs)] for where in places])
            if not len(docs):
                break
        return rows, docs

    def _aligned(self, phrases: Sequence[tuple[Rows, Array]]) -> list[Array]:
        """For each phrase the places, ascending, from which every part stands at its offset, in documents that have
        all parts."""
        most = max([len(rows) for rows, _ in phrases])
        # One number says all of a place: phrase, document, position and which part it is of. A place before the first
        # of a document, from which some part may stand at its offset, is none of another phrase.
        size = self._size + 1
        found: list[tuple[Array, Places, Array]] = []
        for number, (rows, docs) in enumerate(phrases):
            first = number * size + 1
            begin = (docs + first << DOC_SHIFT) * most
            for part, (places, offset) in enumerate(rows):
                shift = part - offset * most
                if len(places) == 1:  # it is in all of the documents
                    found.append((begin + shift, places[0], places[0].docs.searchsorted(docs)))
                    continue
                for where in places:
                    at = _in(where, docs)
                    if len(at):
                        found.append(((where.docs[at] + first << DOC_SHIFT) * most + shift, where, at))
        keys, positions = _gathered(found)
        keys += positions * most
        keys = _ascending(keys)
        keys //= most
        # Each place comes once for each part that has it.
        first_ones = _new(keys).nonzero()[0]
        counts = np.diff(first_ones, append=len(keys))
        keys = keys[first_ones]
        parts_of = np.array([len(rows) for rows, _ in phrases])
        keys = keys[counts == parts_of[(keys >> DOC_SHIFT) // size]]
        starts = np.arange(len(phrases) + 1) * size << DOC_SHIFT
        bounds = keys.searchsorted(starts).tolist()
        return [
            keys[low:high] - (start + (1 << DOC_SHIFT))
            for low, high, start in zip(bounds, bounds[1:], starts.tolist(), strict=False)
        ]

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
        if len(form.parts) == 1 and zone is None and key == TEXT:
            stored = [self._stored(key, term) for term in terms]
            return [Column(found.docs, self._rows[key].weights(found.shapes)) for found in stored]
        if len(form.parts) == 1 and len(terms) == 1:
            column = self.summed([self._boosted(where, zone) for where in self._places_of(key, terms)])
        else:
            column = self._boosted(self._where(form), zone)
        if zone:
            held = column.values > 0.0
            column = Column(column.docs[held], column.values[held])
        return [column]

    @staticmethod
    def _boosted(where: Places, zone: str | None) -> Column:
        """Frequencies by the zones that places lie in."""
        if not isinstance(where, Where):
            return Column(where.docs, where.field.boosted(where.shapes, zone))
        if not len(where.docs):
            return _NOTHING
        return Column(where.docs, np.add.reduceat(boosts(where.positions, zone), where.bounds[:-1]))

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
        bits = np.zeros(self._size, bool)
        bits[several.docs] = True
        docs = bits.nonzero()[0]
        sums = np.bincount(several.docs, several.weights(), self._size)  # one after the other
        return Column(docs, sums[docs])

    def constant(self, docs: Mask, value: float) -> Column:
        return Column(docs.numbers, np.full(len(docs.numbers), value))

    def remembered(self, key: tuple[object, ...], make: Callable[[], Column]) -> Column:
        found = self._memory.get(key)
        if found is None:
            found = make()
            self._memory.put(key, found, found.docs.nbytes + found.values.nbytes + self._size)
        return found  # type: ignore[no-any-return]

    def docs(self, column: Column) -> Mask:
        mask = column.mask
        if mask is None:
            mask = self.some(column.docs)
            if len(column.docs):  # an empty column may be that of every index
                column.mask = mask
        return mask

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

    def capped(self, column: Column, most: float) -> Column:
        return Column(column.docs, np.minimum(column.values, most))

    def heavier(self, sets: Sequence[tuple[Mask, float]], least: float, without: Mask) -> Mask:
        sums = np.zeros(self._size)
        for docs, weight in sets:
            sums[docs.numbers] += weight
        return Mask((sums > least) & ~without.bits)

    def holding(self, forms: tuple[Form, ...], docs: Mask) -> Mask:
        return docs  # where forms stand is kept for the next query, and scores need it anyway

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
        largest = max(columns, key=len)
        # Of two it does not matter which comes first, nor does it for a maximum.
        if (largest is columns[0] or len(columns) == 2 or merge is np.maximum) and (
            sum(map(len, columns)) * FEW < (FEW + 1) * len(largest)
        ):
            found = _within(largest, [column for column in columns if column is not largest], merge)
            if found is not None:
                return found
        numbers = self._numbers()
        bits = np.zeros(self._size, bool)
        first, *others = columns
        bits[first.docs] = True
        numbers[first.docs] = first.values
        for column in others:
            bits[column.docs] = True
            numbers[column.docs] = merge(numbers[column.docs], column.values)
        docs = bits.nonzero()[0]
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
        if len(docs) * FEW < len(column.docs):
            at = _in(column, docs.numbers)
        else:
            at = docs.bits[column.docs].nonzero()[0]
        return column if len(at) == len(column.docs) else Column(column.docs[at], column.values[at])

    def top(self, column: Column, limit: int) -> list[tuple[int, float]]:
        return best_of(column.docs, column.values, limit)

    def best_docs(self, column: Column, limit: int) -> Mask:
        docs, values = column.docs, column.values
        if len(docs) > limit:
            least = np.partition(values, len(docs) - limit)[len(docs) - limit]
            above, equal = (values > least).nonzero()[0], (values == least).nonzero()[0]
            docs = docs[np.concatenate([above, equal[: limit - len(above)]])]
        return self.some(docs)

    def last_of_top(self, column: Column, limit: int) -> float:
        size = len(column.values)
        return float(np.partition(column.values, size - limit)[size - limit])

    def at_least(self, column: Column, least: float) -> list[tuple[int, float]]:
        held = column.values >= least
        return list(zip(column.docs[held].tolist(), column.values[held].tolist(), strict=True))

    # ---- places

    def places(self, groups: Sequence[tuple[Form, ...]], docs: Mask) -> ArrayPlaces:
        widths: list[int] = []
        numbers_of: list[tuple[int, int]] = []
        found: list[tuple[Array, Places, Array]] = []
        pieces: list[tuple[Array, Array, Array]] = []
        for group, forms in enumerate(groups):
            first = len(widths)
            widths += map(width, forms)
            numbers_of += [(group, i) for i in range(len(forms))]
            several = self._several(forms)
            if several is not None:
                held, positions, numbers = several.places(docs.bits[several.docs].nonzero()[0])
                pieces.append((held, positions, numbers + first))
                continue
            for number, form in enumerate(forms, first):
                key, terms, _ = form.parts[0]
                for where in [self._where(form)] if len(form.parts) > 1 else self._places_of(key, terms):
                    at = _in(where, docs.numbers)
                    if len(at):
                        found.append(((where.docs[at] << DOC_SHIFT) + number, where, at))
        keys, positions = _gathered(found)
        pieces.append((keys >> DOC_SHIFT, positions, keys & ((1 << DOC_SHIFT) - 1)))
        held, positions, numbers = map(joined, zip(*pieces, strict=True))
        return ArrayPlaces(held, positions, numbers, widths, numbers_of)

    # ---- the best documents for a bag of words

    def _word(self, term: str) -> Word | None:
        found = self._memory.get(("word", term))
        if found is None:
            found = self.ranking.word(self._memory.get((TEXT, term)) or self._rows[TEXT].read(term))
            if found is not None:
                self._memory.put(("word", term), found, found.nbytes)
        return found  # type: ignore[no-any-return]

    @property
    def ranking(self) -> Ranking:
        """Bounds of words; when it is first asked for, common words are read."""
        if self._ranking is None:
            self._ranking = Ranking(self._snapshot.doc_count, self._dampening)
            for term in self._rows[TEXT].frequent(self._ranking.common):
                if (word := self._word(term)) is not None:
                    word.prepare()
        return self._ranking

    def bag_top(self, terms: Sequence[str], limit: int, every: bool, admitted: Mask | None) -> list[tuple[int, float]]:
        """The best documents for words, each of which adds its impact times its idf."""
        found = [self._word(term) for term in terms]
        words = [word for word in found if word is not None]
        if limit < 1 or not words or (every and len(words) < len(found)):
            return []
        return self.ranking.top(words, limit, every, admitted)


def _within(largest: Column, columns: Sequence[Column], merge: Callable[[Array, Array], Array]) -> Column | None:
    """A column merged with others whose documents it has, None if it has not."""
    places = [largest.docs.searchsorted(column.docs) for column in columns]
    for at, column in zip(places, columns, strict=True):
        if (largest.docs.take(at, mode="clip") != column.docs).any():
            return None
    values = largest.values.copy()
    for at, column in zip(places, columns, strict=True):
        values[at] = merge(values[at], column.values)
    found = Column(largest.docs, values)
    found.mask = largest.mask
    return found


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


def _all_of(lists: list[Array]) -> Array:
    """The documents of all lists, ascending."""
    return _ascending(np.concatenate(lists)) if len(lists) > 1 else lists[0]
