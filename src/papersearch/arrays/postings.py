"""The postings of a field, made of its tokens all at once: the bytes that index/builder.py makes term by term."""

from __future__ import annotations

from array import array
from math import fsum
from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.index.builder import Names, Rows
from papersearch.index.segment import GO_ON, LOW_BITS, SEPARATOR, TERM_BITS, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = np.ndarray[Any, np.dtype[Any]]
    Shape = tuple[float, tuple[int, ...]]

KEY_BITS = 64
"""Of the numbers by which tokens are sorted: term, document, position and code of the boost in one."""
EXACT_STEP = 1 << 20
"""Boosts that are multiples of one part in so many have the same sum whatever the order, if they are not large."""
EXACT_LIMIT = 2.0**53 / EXACT_STEP


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

    def add(self, doc: int, code: int, terms: Sequence[str], positions: array[int]) -> None:
        self._terms.extend(map(self._numbers.__getitem__, terms))
        self._positions.extend(positions)
        self._docs.append(doc)
        self._codes.append(code)
        self._counts.append(len(terms))

    def rows(self, width: int) -> Rows:
        names = sorted(self._numbers)  # the order of code points is that of UTF-8
        terms, docs, positions, codes = self._in_order(names)
        if not len(terms):
            return Rows(Names(), bytearray(), bytearray(), [], array("I"))
        is_first = np.ones(len(terms), bool)
        np.not_equal(terms[1:], terms[:-1], out=is_first[1:])
        is_first[1:] |= docs[1:] != docs[:-1]
        begin = np.flatnonzero(is_first)
        sizes = np.diff(begin, append=len(terms))
        row_docs = docs[begin]
        rows_of_term = np.bincount(terms[begin], minlength=len(names))
        packed, packed_sizes = _packed_docs(row_docs, rows_of_term, width)
        shapes, numbers = _shapes(positions >> LOW_BITS, begin, sizes, self._weights(codes, begin, sizes))
        lows = bytearray((positions & ((1 << LOW_BITS) - 1)).astype(np.uint8))
        return ArrayRows(_names(names, rows_of_term, packed_sizes), packed, lows, shapes, numbers)

    def _in_order(self, names: list[str]) -> tuple[Array, Array, Array, Array]:
        """Number of the term among the names, document, position and code of the boost of each token, sorted."""
        rank = np.empty(len(names), np.int64)
        rank[np.fromiter(map(self._numbers.__getitem__, names), np.int64, len(names))] = np.arange(len(names))
        self._numbers.clear()
        counts = np.frombuffer(self._counts, np.uintc)
        columns: list[Array] = [
            rank[np.frombuffer(self._terms, np.uintc)],
            np.frombuffer(self._docs, np.uintc).repeat(counts),
            np.frombuffer(self._positions, np.uintc),
            np.frombuffer(self._codes, np.uintc).repeat(counts),
        ]
        bits = [int(column.max(initial=0)).bit_length() for column in columns]
        if sum(bits) > KEY_BITS:
            order = np.lexsort(columns[::-1])
            found = [column[order] for column in columns]
        else:
            key = columns[0].astype(np.uint64)
            for column, size in zip(columns[1:], bits[1:], strict=True):
                key <<= np.uint64(size)
                key |= column
            key.sort()
            found = []
            for size in reversed(bits[1:]):
                found.append((key & np.uint64((1 << size) - 1)).astype(np.uint32))
                key >>= np.uint64(size)
            found = [key.astype(np.int64), *reversed(found)]
        return found[0], found[1], found[2], found[3]

    def _weights(self, codes: Array, begin: Array, sizes: Array) -> Array:
        """The weight of each row: the sum of its boosts, rounded once."""
        boosts = np.array(self._boosts)
        weights = boosts[codes[begin]]
        several = np.flatnonzero(sizes > 1)
        if len(several):
            sums = np.add.reduceat(boosts[codes], begin)[several]
            weights[several] = sums
            inexact = np.mod(boosts * EXACT_STEP, 1.0)[codes] != 0
            rounded = np.logical_or.reduceat(inexact, begin)[several] | (sums >= EXACT_LIMIT)
            for row in several[rounded].tolist():
                first = begin[row]
                weights[row] = fsum(boosts[codes[first : first + sizes[row]]].tolist())
        return weights


def _packed_docs(docs: Array, rows_of_term: Array, width: int) -> tuple[bytearray, Array]:
    """As builder.packed_docs(), of all terms one after the other; and how many bytes each term takes."""
    first = rows_of_term.cumsum() - rows_of_term
    ways: Array = np.diff(docs.astype(np.int64), prepend=0)
    ways[first] = docs[first]
    sizes = ways // GO_ON + 1
    as_ways = np.add.reduceat(sizes, first)
    whole = rows_of_term * width
    saves = (rows_of_term > 1) & (as_ways < whole)
    is_way = saves.repeat(rows_of_term)
    ends = np.where(is_way, sizes, width).cumsum()
    packed = np.full(ends[-1], GO_ON, np.uint8)
    packed[ends[is_way] - 1] = ways[is_way] % GO_ON
    at, numbers = ends[~is_way] - width, docs[~is_way]
    for i in range(width):
        packed[at + i] = numbers >> 8 * i & 255
    return bytearray(packed), np.where(saves, as_ways, whole)


def _shapes(highs: Array, begin: Array, sizes: Array, weights: Array) -> tuple[list[Shape], Array]:
    """The shapes of rows in the order in which they come first, and the number of each row's."""
    numbers = np.empty(len(begin), np.int64)
    shapes: list[Shape] = []
    firsts: list[int] = []
    single = np.flatnonzero(sizes == 1)
    weight_numbers = np.unique(weights, return_inverse=True)[1]
    if len(single):
        keys = weight_numbers[single] << (32 - LOW_BITS) | highs[begin[single]]
        _, where, inverse = np.unique(keys, return_index=True, return_inverse=True)
        numbers[single] = inverse
        rows = single[where]
        firsts = rows.tolist()
        shapes = [(w, (high,)) for w, high in zip(weights[rows].tolist(), highs[begin[rows]].tolist(), strict=True)]
    known: dict[tuple[float, bytes], int] = {}
    several = np.flatnonzero(sizes > 1)
    data, step = highs.tobytes(), highs.itemsize
    starts = begin[several] * step
    ends = starts + sizes[several] * step
    found = []
    for row, start, end, weight in zip(
        several.tolist(), starts.tolist(), ends.tolist(), weights[several].tolist(), strict=True
    ):
        key = weight, data[start:end]
        number = known.get(key)
        if number is None:
            number = known[key] = len(shapes)
            shapes.append((weight, tuple(np.frombuffer(key[1], highs.dtype).tolist())))
            firsts.append(row)
        found.append(number)
    numbers[several] = found
    order = np.argsort(np.array(firsts, np.int64))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return [shapes[i] for i in order.tolist()], place[numbers]


def _names(names: list[str], rows: Array, sizes: Array) -> Names:
    found = Names()
    encoded = [encode(name) for name in names]
    found.data = bytearray(SEPARATOR + SEPARATOR.join(encoded))
    found.heads = encoded[:: 1 << TERM_BITS]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded)) + len(SEPARATOR)
    found.blocks = (lengths.cumsum() - lengths)[:: 1 << TERM_BITS].tolist()
    found.counts, found.sizes = (array("I", column.astype(np.uintc).tobytes()) for column in (rows, sizes))
    return found


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
