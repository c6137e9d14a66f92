"""The postings of a field, made of its tokens all at once: the bytes that index/builder.py makes term by term."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import chain
from math import fsum
from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.analysis.words import SEAM
from papersearch.arrays.stored import Rows as StoredRows
from papersearch.arrays.stored import runs
from papersearch.index.builder import Names, Rows, lexicon_of_pairs, lexicon_of_words
from papersearch.index.flatfile import narrow
from papersearch.index.lexicon import PAIR_CHAR, PAIR_FIRST, PAIR_NEXT, PAIR_START, encode
from papersearch.index.segment import LOW_BITS
from papersearch.index.ways import GO_ON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from papersearch.analysis.tokens import Pairs
    from papersearch.index.builder import Sections
    from papersearch.index.segment import SegmentField
    from papersearch.index.ways import Coding

    Array = np.ndarray[Any, np.dtype[Any]]
    Shape = tuple[float, tuple[int, ...]]

KEY_BITS = 64
"""Of the numbers by which tokens are sorted: term, document, position and code of the boost in one."""
EXACT_STEP = 1 << 20
"""Boosts that are multiples of one part in so many have the same sum whatever the order, if they are not large."""
EXACT_LIMIT = 2.0**53 / EXACT_STEP
MOST_BYTES = 4
"""Bytes of a character in UTF-8 at most."""
SPARSE = 4
"""Times the number of values that the largest of them may be for a table to have a place for each."""


class _Numbers(dict[str, int]):
    """Term → its number, in the order in which they come."""

    def __missing__(self, term: str) -> int:
        number = self[term] = len(self)
        return number


class ArrayTokens:
    """Tokens of one field in the order in which they come: see builder.Tokens."""

    positional = True

    def __init__(self, boosts: list[float]) -> None:
        self._boosts = boosts
        self._numbers = _Numbers()
        self._terms, self._positions = array("I"), array("I")
        self._docs, self._codes, self._counts = array("I"), array("I"), array("I")
        """Of tokens that came together: document, code of the boost, how many they are."""
        self._pairs: list[tuple[int, int, Pairs]] = []

    def add(self, doc: int, code: int, terms: Sequence[str], positions: array[int]) -> None:
        self._terms.extend(map(self._numbers.__getitem__, terms))
        self._positions.extend(positions)
        self._docs.append(doc)
        self._codes.append(code)
        self._counts.append(len(terms))

    def add_pairs(self, doc: int, code: int, pairs: Pairs) -> None:
        if pairs.texts:
            self._pairs.append((doc, code, pairs))

    def rows(self, coding: Coding) -> Rows:
        if self._pairs and not self._numbers:  # as always, but where somebody adds other terms to the field
            names, rows = _in_order_of_pairs(self._pairs)
        else:
            for doc, code, pairs in self._pairs:
                self.add(doc, code, *pairs.columns())
            names, rows = self._in_order()
        rows_of_term = np.bincount(rows.terms, minlength=len(names))
        docs, bytes_of_term = _packed_docs(rows.docs, rows_of_term, coding)
        lows = bytearray(rows.positions.astype(np.uint8))
        rows.positions >>= LOW_BITS
        shapes, numbers = _shapes(rows, self._boosts)
        return ArrayRows(_names([*map(encode, names)], rows_of_term, bytes_of_term), docs, lows, shapes, numbers)

    def _in_order(self) -> tuple[list[str], _Sorted]:
        names = sorted(self._numbers)  # the order of code points is that of UTF-8
        ranks = np.empty(len(names), np.uint32)
        ranks[np.fromiter(map(self._numbers.__getitem__, names), np.int64, len(names))] = np.arange(len(names))
        terms, positions, docs, codes, counts = (
            np.frombuffer(column, np.uintc)
            for column in (self._terms, self._positions, self._docs, self._codes, self._counts)
        )
        columns = [ranks[terms], docs.repeat(counts), positions, codes.repeat(counts)]
        del self._terms, terms, positions
        return names, _in_order(columns)[1]


def _in_order_of_pairs(collected: list[tuple[int, int, Pairs]]) -> tuple[list[str], _Sorted]:
    """The different pairs and their tokens, no string being made of each token."""
    columns, known = _columns_of_pairs(collected)
    different, rows = _in_order(columns)
    followed = different % (len(known) + 1)
    firsts, seconds = known[different // (len(known) + 1)], known[followed - 1]
    seconds[followed == 0] = 0
    text = np.column_stack((firsts, seconds)).astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return [one if other == "\0" else one + other for one, other in zip(text[::2], text[1::2], strict=True)], rows


def _columns_of_pairs(collected: list[tuple[int, int, Pairs]]) -> tuple[list[Array], Array]:
    """What _in_order() takes, and the different characters. A term is the number of its first character among these
    times one more than there are, and one more than the number of the second, 0 where there is none."""
    text = "".join([one + SEAM for _, _, pairs in collected for one in pairs.texts])
    chars = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    del text
    known = np.flatnonzero(np.bincount(chars)).astype("<u4")
    first = known.searchsorted(chars).astype(np.uint64)
    second = np.append(first[1:], np.uint64(0)) + np.uint64(1)
    ends = np.flatnonzero(chars == ord(SEAM))
    sizes = np.diff(ends, prepend=-1)
    second[ends - 1] = 0
    kept = np.frombuffer(bytearray().join([pairs.kept for _, _, pairs in collected]), bool)
    kept[ends] = False
    kept[ends[sizes > 2] - 1] = False  # where the last character of a run is not the only one
    at = np.flatnonzero(kept)
    terms = first[at] * np.uint64(len(known) + 1) + second[at]
    del first, second, chars
    starts = np.frombuffer(b"".join([pairs.starts.tobytes() for _, _, pairs in collected]), np.uintc)
    positions = runs(starts.astype(np.int64), sizes)[at].astype(np.uint32)
    counts = [len(pairs.kept) for _, _, pairs in collected]
    docs, codes = (np.array([row[i] for row in collected], np.uint32).repeat(counts)[at] for i in range(2))
    return [terms, docs, positions, codes], known


def _in_order(columns: list[Array]) -> tuple[Array, _Sorted]:
    """The different terms, and the tokens in the order of terms, documents and positions.

    `columns`: these and the codes of the boosts, which are let go of for the memory.
    """
    bits = [int(column.max(initial=0)).bit_length() for column in columns]
    key = columns[0].astype(np.uint64)
    if sum(bits) > KEY_BITS:
        order = np.lexsort(columns[::-1])
        key <<= np.uint64(bits[1])
        key |= columns[1]
        key, positions, codes = key[order], columns[2][order], columns[3][order]
        columns.clear()
    else:
        for size, column in zip(bits[1:], columns[1:], strict=True):
            key <<= np.uint64(size)
            key |= column
        columns.clear()
        del column
        key.sort()
        codes, positions = _taken_off(key, bits[3]), _taken_off(key, bits[2])
    begin = _firsts(key)
    key = key[begin]
    docs = _taken_off(key, bits[1])
    first_rows = _firsts(key)
    numbers = np.zeros(len(key), np.int32)
    numbers[first_rows[1:]] = 1
    numbers = numbers.cumsum(dtype=np.int32)
    sizes: Array = np.diff(begin, append=np.int32(len(codes)))
    return key[first_rows].astype(np.int64), _Sorted(numbers, docs, begin, sizes, positions, codes)


def _firsts(ascending: Array) -> Array:
    """Where each of the different values begins."""
    is_first = np.ones(len(ascending), bool)
    np.not_equal(ascending[1:], ascending[:-1], out=is_first[1:])
    return np.flatnonzero(is_first).astype(np.int32)


@dataclass
class _Sorted:
    """Tokens by terms, documents and positions. A row is those of one term in one document."""

    terms: Array
    """Of each row the number of its term."""
    docs: Array
    begin: Array
    """Number of the first token of each row."""
    sizes: Array
    """How many tokens each row has."""
    positions: Array
    """Of each token."""
    codes: Array
    """Of the boosts."""


def _taken_off(keys: Array, bits: int) -> Array:
    """The last bits of keys, which lose them."""
    taken = np.empty(len(keys), np.uint8 if bits <= 8 else np.uint32)
    np.bitwise_and(keys, np.uint64((1 << bits) - 1), out=taken, casting="unsafe")
    keys >>= np.uint64(bits)
    return taken


def _packed_docs(docs: Array, rows_of_term: Array, coding: Coding) -> tuple[bytearray, Array]:
    """As Coding.pack(), of all terms one after the other; and how many bytes each term takes."""
    if not len(docs):
        return bytearray(), rows_of_term
    first = rows_of_term.cumsum() - rows_of_term
    ways: Array = np.diff(docs.astype(np.int32), prepend=np.int32(0))
    ways[first] = docs[first]
    sizes = rows_of_term * coding.width
    digits = np.zeros(len(sizes), np.uint8)
    have_few = rows_of_term < coding.few
    for number, may in ((3, have_few), (2, ~have_few), (1, True)):
        taken = (np.add.reduceat(ways // GO_ON[number] + 1, first) * number + 1) >> 1
        limit = np.minimum(sizes, rows_of_term) if number == 1 else sizes
        better = (rows_of_term > 1) & (taken < limit) & may
        sizes = np.where(better, taken, sizes)
        digits[better] = number
    begin = sizes.cumsum() - sizes
    packed = np.empty(sizes.sum(), np.uint8)
    for number in np.unique(digits).tolist():
        terms = digits == number
        own, rows = terms.repeat(rows_of_term), rows_of_term[terms]
        if number:
            packed[runs(begin[terms], sizes[terms])] = _packed_ways(ways[own], rows, sizes[terms], number)
        else:
            within = np.arange(rows.sum()) - (rows.cumsum() - rows).repeat(rows)
            at, numbers = begin[terms].repeat(rows) + within * coding.width, docs[own]
            for i in range(coding.width):
                packed[at + i] = numbers >> 8 * i & 255
    return bytearray(packed), sizes


def _packed_ways(ways: Array, rows: Array, sizes: Array, digits: int) -> Array:
    """As pack_ways(), of terms that have so many `rows` and take bytes of these `sizes`."""
    go_on = GO_ON[digits]
    times = ways // go_on + 1
    values = np.full(times.sum(), go_on, np.uint16)
    values[times.cumsum() - 1] = ways % go_on
    if digits == 2:
        return values.astype(np.uint8)
    values_of_term = np.add.reduceat(times, rows.cumsum() - rows)
    nibbles = np.full(2 * sizes.sum(), GO_ON[1], np.uint8)
    each = np.column_stack([values >> shift & 15 for shift in range(4 * digits - 4, -1, -4)])
    nibbles[runs(2 * (sizes.cumsum() - sizes), digits * values_of_term)] = each.ravel()
    joined: Array = nibbles[::2] << 4 | nibbles[1::2]
    return joined


def _shapes(rows: _Sorted, boosts: list[float]) -> tuple[list[Shape], Array]:
    """The shapes of rows in the order in which they come first, and the number of each row's. The positions are without
    their last bits."""
    highs = rows.positions
    numbers = np.empty(len(rows.begin), np.int64)
    single, several = np.flatnonzero(rows.sizes == 1), np.flatnonzero(rows.sizes > 1)
    tokens = rows.begin[single]
    base = int(highs.max(initial=0)) + 1
    place, numbers[single] = _numbered(rows.codes[tokens].astype(np.int64) * base + highs[tokens])
    tokens = tokens[place]
    shapes = [
        (boosts[code], (high,)) for code, high in zip(rows.codes[tokens].tolist(), highs[tokens].tolist(), strict=True)
    ]
    firsts = single[place].tolist()
    begin, sizes = rows.begin[several], rows.sizes[several]
    tokens = runs(begin, sizes)
    weights = _sums(rows.codes[tokens], sizes, np.array(boosts))
    data, step = highs[tokens].tobytes(), highs.itemsize
    known: dict[tuple[float, bytes], int] = {}
    found = []
    end = 0
    for row, size, weight in zip(several.tolist(), sizes.tolist(), weights, strict=True):
        start, end = end, end + size * step
        key = weight, data[start:end]
        number = known.get(key)
        if number is None:
            number = known[key] = len(shapes)
            shapes.append((weight, tuple(np.frombuffer(key[1], highs.dtype).tolist())))
            firsts.append(row)
        found.append(number)
    numbers[several] = found
    order = np.argsort(firsts)
    return [shapes[i] for i in order.tolist()], _inverse(order)[numbers]


def _inverse(order: Array) -> Array:
    """For each number where it stands in an order of them."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _numbered(keys: Array) -> tuple[Array, Array]:
    """Where each of the different keys is first, and for all keys the number of its first one among these."""
    size = int(keys.max(initial=0)) + 1
    if size > SPARSE * max(len(keys), 1 << LOW_BITS):
        _, first, numbers = np.unique(keys, return_index=True, return_inverse=True)
        return first, numbers
    first = np.full(size, -1)
    first[keys[::-1]] = np.arange(len(keys))[::-1]  # of several for one place the last one stays
    there = np.flatnonzero(first >= 0)
    number = np.empty(size, np.int64)
    number[there] = np.arange(len(there))
    return first[there], number[keys]


def _sums(codes: Array, sizes: Array, boosts: Array) -> list[float]:
    """The sum of the boosts of each row, rounded once; no row is empty."""
    if not len(codes):
        return []
    begin = sizes.cumsum() - sizes
    sums = np.add.reduceat(boosts[codes], begin)
    inexact = np.mod(boosts * EXACT_STEP, 1.0) != 0
    rounded = np.logical_or.reduceat(inexact[codes], begin) | (sums >= EXACT_LIMIT)
    for row in np.flatnonzero(rounded).tolist():
        first = begin[row]
        sums[row] = fsum(boosts[codes[first : first + sizes[row]]].tolist())
    exact: list[float] = sums.tolist()
    return exact


def merged_rows(sources: Sequence[tuple[int, SegmentField]], coding: Coding) -> Rows:
    """The postings of a field with positions in several segments as those of one, as they are written.

    Args:
        sources: for each segment the number that its first document gets, ascending, and what it has of the field.
        coding: how documents are written.

    Raises:
        IndexDamagedError: what they have contradicts itself.
    """
    names_of = [field.terms(range(field.term_count)) for _, field in sources]
    names = list(dict.fromkeys(sorted(chain.from_iterable(names_of))))  # of what ascends in stretches
    ranks = dict(zip(names, range(len(names)), strict=True))
    of_names = [np.fromiter(map(ranks.__getitem__, own), np.int32, len(own)) for own in names_of]
    del names_of, ranks
    columns: list[list[Array]] = [[], [], [], [], []]
    lows: list[Array] = []
    shape_numbers: dict[Shape, int] = {}
    for (base, field), own_names in zip(sources, of_names, strict=True):
        stored = StoredRows(field)
        own = np.array([shape_numbers.setdefault(shape, len(shape_numbers)) for shape in stored.shapes], np.int32)
        begin = stored.sizes.cumsum() - stored.sizes + sum(map(len, lows))
        terms, docs = own_names.repeat(stored.rows_of_term), stored.docs + base
        for column, values in zip(columns, (terms, docs, own[stored.numbers], begin, stored.sizes), strict=True):
            column.append(values.astype(np.int32))
        lows.append(stored.lows)
    terms, docs, numbers, begin, sizes = map(np.concatenate, columns)
    columns.clear()
    order = terms.argsort(kind="stable")
    rows_of_term = np.bincount(terms, minlength=len(names))
    docs, numbers = docs[order], numbers[order]
    packed, bytes_of_term = _packed_docs(docs, rows_of_term, coding)
    low_bytes = bytearray(np.concatenate(lows)[runs(begin[order], sizes[order])])
    firsts, found = _numbered(numbers)
    by_first = np.argsort(firsts)
    known = list(shape_numbers)
    shapes = [known[number] for number in numbers[firsts[by_first]].tolist()]
    return ArrayRows(_names(names, rows_of_term, bytes_of_term), packed, low_bytes, shapes, _inverse(by_first)[found])


def _names(names: list[bytes], rows: Array, sizes: Array) -> Names:
    found = ArrayNames()
    found.terms = names
    found.counts, found.sizes = (array("I", column.astype(np.uintc).tobytes()) for column in (rows, sizes))
    return found


class ArrayNames(Names):
    """Names of which pairs are numbered on arrays."""

    def lexicon(self) -> Sections:
        return _pairs(self.terms) or lexicon_of_words(self.terms)


_BETWEEN = "\n"


def _pairs(terms: list[bytes]) -> Sections | None:
    """As lexicon_of_pairs()."""
    if max(map(len, terms)) > 2 * MOST_BYTES:
        return None
    text = _BETWEEN.encode().join(terms).decode("utf-8", "surrogatepass")
    sizes = np.fromiter(map(len, text.split(_BETWEEN)), np.int64)
    if len(sizes) != len(terms):
        return lexicon_of_pairs(terms)
    if sizes.min() < 1 or sizes.max() > 2:
        return None
    chars = np.frombuffer((text + _BETWEEN).encode("utf-32-le", "surrogatepass"), "<u4")
    at = (sizes + 1).cumsum() - sizes - 1
    known = np.unique(chars[chars != ord(_BETWEEN)])
    firsts, seconds = known.searchsorted(chars[at]), known.searchsorted(chars[at + 1]) + 1
    seconds[sizes == 1] = 0
    ways = np.diff(seconds, prepend=0)
    begins = _firsts(firsts)
    ways[begins] = seconds[begins]
    ends = (ways // GO_ON[2] + 1).cumsum()
    first = firsts.searchsorted(np.arange(len(known) + 1))
    return {
        PAIR_CHAR: narrow(known.tolist()),
        PAIR_FIRST: narrow(first.tolist()),
        PAIR_START: narrow(np.append(0, ends)[first].tolist()),
        PAIR_NEXT: _packed_ways(ways, sizes, sizes, 2).tobytes(),
    }


class ArrayRows(Rows):
    """Rows of which much is known in arrays."""

    numbers: Array

    def frequencies(self) -> Sequence[int]:
        counts: list[int] = np.bincount(self.numbers, minlength=len(self.shapes)).tolist()
        return counts

    def codes(self, code_of: bytearray) -> bytes:
        return np.frombuffer(code_of, np.uint8)[self.numbers].tobytes()

    def starts(self, step: int) -> Sequence[int]:
        sizes = np.fromiter((len(highs) for _, highs in self.shapes), np.int64, len(self.shapes))
        ends = sizes[self.numbers].cumsum()
        starts: list[int] = [0, *ends[step - 1 :: step].tolist()]
        return starts
