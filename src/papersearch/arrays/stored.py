"""Postings decoded many at a time, from the bytes of the index as they lie (docs/index-format.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.fields import FIELDS, TABLE
from papersearch.index.flatfile import damaged
from papersearch.index.segment import BLOCK_BITS, LOW_BITS, ODD, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from papersearch.errors import IndexDamagedError
    from papersearch.index.reader import FieldReader
    from papersearch.index.segment import SegmentField

    Array = np.ndarray[Any, np.dtype[Any]]

POSITION_BITS = 31
DOC_SHIFT = 32
"""A place is one number: the document above these bits, the position in them."""
SCATTERED = 16
"""Where one in more rows than so many is wanted, all are counted through to find where the wanted ones begin."""

_ZONES = sorted((f.zone[0], f.boost) for f in TABLE if f.zone[1])
_ZONE_STARTS = np.array([start for start, _ in _ZONES])
_ZONE_BOOSTS = np.array([boost for _, boost in _ZONES])


def boosts(positions: Array, zone: str | None) -> Array:
    """What each of some positions adds to a frequency; 0 outside of the zone, if one is given."""
    found = _ZONE_BOOSTS[_ZONE_STARTS.searchsorted(positions, "right") - 1]
    if zone:
        low, high = FIELDS[zone].zone
        found[(positions < low) | (positions >= high)] = 0.0
    return found


def runs(begin: Array, counts: Array) -> Array:
    """All numbers of [begin, begin + count), one such run after the other."""
    taken = np.repeat(begin - (np.cumsum(counts) - counts), counts)
    taken += np.arange(len(taken))
    return taken


class _Part:
    """What one segment has of a field.

    A row's shape is numbered by its code; those that the odd rows have of their own follow from ODD on.
    """

    def __init__(self, base: int, first: int, deleted: frozenset[int], field: SegmentField) -> None:
        """`base`: number of its first document in the index. `first`: of its first row among those of all parts."""
        self.base, self.first, self._field = base, first, field
        self._live: Array | None = None
        if deleted:
            self._live = np.ones(field.documents, bool)
            self._live[list(deleted)] = False
        self._docs, self._lows = np.asarray(field.docs), np.asarray(field.lows)
        self._codes = np.broadcast_to(np.uint8(0), len(self._docs)) if field.codes is None else np.asarray(field.codes)
        self._odd_rows, self._blocks = np.asarray(field.odd_rows), np.asarray(field.block_start)
        # Of these tables, the shapes are few and the odd rows rare.
        starts = np.asarray(field.shape_start).astype(np.int64)
        self._odd_start = np.append(np.asarray(field.odd_start), [] if len(self._odd_rows) else 0).astype(np.int64)
        odd_counts = np.diff(self._odd_start)
        unused = np.zeros(ODD - len(field.shape_weights), np.int64)
        self.highs = np.append(np.asarray(field.shape_high), np.asarray(field.odd_high)).astype(np.int64) << LOW_BITS
        if not (
            len(starts) > len(field.shape_weights)
            and (odd_counts > 0).all()
            and self._odd_start[-1] <= len(field.odd_high)
            and (self.highs < 1 << POSITION_BITS).all()
        ):
            raise self._damage("positions out of bounds")
        self.begin = np.concatenate([starts[:-1], unused, len(field.shape_high) + self._odd_start[:-1]])
        self.counts = np.concatenate([np.diff(starts), unused, odd_counts])
        self.weights = np.concatenate([field.shape_weights, unused, np.asarray(field.odd_weights)])

    def _damage(self, what: str) -> IndexDamagedError:
        return damaged(self._field.path, what)

    def read(self, text: bytes) -> tuple[Array, Array] | None:
        """(documents of the index, rows of all parts) of a term, ascending; None if it is not there."""
        number = self._field.find(text)
        if number < 0:
            return None
        held = self._field.rows(number)
        docs = self._docs[held.start : held.stop].astype(np.int64)
        if docs.max() >= self._field.documents:
            raise self._damage("a posting of a document that does not exist")
        rows = np.arange(self.first + held.start, self.first + held.stop)
        if self._live is not None:
            live = self._live[docs]
            docs, rows = docs[live], rows[live]
        docs += self.base
        return docs, rows

    def shapes(self, rows: Array) -> Array:
        """Numbers of the shapes of some of its own rows."""
        shapes = self._codes[rows].astype(np.int64)
        odd = np.flatnonzero(shapes == ODD)
        if len(odd):
            numbers = self._odd_rows.searchsorted(rows[odd])
            if not np.array_equal(self._odd_rows.take(numbers, mode="clip"), rows[odd]):
                raise self._damage("a posting of a shape that does not exist")
            shapes[odd] += numbers
        if len(shapes) and not (shapes.max() < len(self.weights) and self.weights[shapes].all()):
            raise self._damage("a posting of a shape that does not exist")
        return shapes

    def lows(self, rows: Array, counts: Array) -> Array:
        """Low bits of all positions of some of its own rows, of which each has so many."""
        heads = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        before = np.cumsum(counts) - counts
        begin = self._first_positions(rows[heads]) - before[heads]
        begin = before + np.repeat(begin, np.diff(heads, append=len(rows)))
        taken = runs(begin, counts)
        if len(taken) and taken.max() >= len(self._lows):
            raise self._damage("positions out of bounds")
        return self._lows[taken]

    def _first_positions(self, rows: Array) -> Array:
        """Where the positions of some rows begin: where those of their blocks do, and what the block has before."""
        blocks = rows >> BLOCK_BITS
        begin = self._blocks[blocks].astype(np.int64)
        starts = blocks << BLOCK_BITS
        before = starts[:, None] + np.arange(1 << BLOCK_BITS)
        codes = self._codes.take(before, mode="clip")
        known = np.append(self.counts[:ODD], 0)  # odd rows are added up apart
        begin += (known[codes] * (before < rows[:, None])).sum(axis=1)
        odd = self._odd_rows.searchsorted(np.stack([starts, rows]))
        held = self._odd_start[odd]
        return begin + held[1] - held[0]


class Stored:
    """Postings of a term: documents, ascending, and the rows that say more about them."""

    __slots__ = ("_field", "docs", "rows")

    def __init__(self, field: FieldRows, docs: Array, rows: Array) -> None:
        self._field = field
        self.docs = docs
        self.rows = rows

    @property
    def nbytes(self) -> int:
        return int(self.docs.nbytes + self.rows.nbytes)

    def chosen(self, at: Array) -> tuple[Array, Array]:
        """(how many positions each of some postings has, all of them one after the other)."""
        if len(at) * SCATTERED < len(self.rows) or len(at) == len(self.rows):
            return self._field.positions(self.rows[at])
        counts, positions = self._field.positions(self.rows)
        begin = (np.cumsum(counts) - counts)[at]
        counts = counts[at]
        return counts, positions[runs(begin, counts)]


class FieldRows:
    """A field's postings over the whole index. The rows of its parts are numbered one after the other."""

    def __init__(self, reader: FieldReader) -> None:
        self._parts: list[_Part] = []
        first = 0
        for base, segment, field in reader.parts:
            self._parts.append(_Part(base, first, segment.deleted, field))
            first += len(field.docs)
        self._boosted: dict[str | None, list[Array]] = {}

    def read(self, term: str) -> Stored:
        """The postings of a term; none if no live document has it."""
        text = encode(term)
        found = [read for part in self._parts if (read := part.read(text)) is not None]
        if not found:
            return Stored(self, _NONE, _NONE)
        docs, rows = found[0] if len(found) == 1 else map(np.concatenate, zip(*found, strict=True))
        return Stored(self, docs, rows)

    def _split(self, rows: Array) -> Iterator[tuple[int, _Part, Any]]:
        """(number of a part, the part, which of the rows are its)."""
        if len(self._parts) == 1:
            yield 0, self._parts[0], slice(None)
            return
        owners = np.array([part.first for part in self._parts]).searchsorted(rows, "right") - 1
        for number, part in enumerate(self._parts):
            at = np.flatnonzero(owners == number)
            if len(at):
                yield number, part, at

    def weights(self, rows: Array) -> Array:
        """Sums of the boosts that the terms of some rows were indexed with."""
        return self._of_shapes(rows, [part.weights for part in self._parts])

    def boosted(self, rows: Array, zone: str | None) -> Array:
        """Sums of the boosts of the zones in which the positions of some rows lie. A zone begins and ends where high
        bits change, so the shape of a row says it all."""
        tables = self._boosted.get(zone)
        if tables is None:
            tables = []
            for part in self._parts:
                table = np.zeros(len(part.counts))
                np.add.at(table, np.repeat(np.arange(len(table)), part.counts), boosts(part.highs, zone))
                tables.append(table)
            self._boosted[zone] = tables
        return self._of_shapes(rows, tables)

    def _of_shapes(self, rows: Array, tables: list[Array]) -> Array:
        values = np.empty(len(rows))
        for number, part, at in self._split(rows):
            values[at] = tables[number][part.shapes(rows[at] - part.first)]
        return values

    def positions(self, rows: Array) -> tuple[Array, Array]:
        """(how many positions each of some rows has, all of them one after the other)."""
        found = []
        counts = np.empty(len(rows), np.int64)
        for _, part, at in self._split(rows):
            own = rows[at] - part.first
            shapes = part.shapes(own)
            held = counts[at] = part.counts[shapes]
            found.append((at, part.highs[runs(part.begin[shapes], held)] + part.lows(own, held)))
        if len(found) == 1:
            return counts, found[0][1]
        positions = np.empty(int(counts.sum()), np.int64)
        begin = np.cumsum(counts) - counts
        for at, some in found:
            positions[runs(begin[at], counts[at])] = some
        return counts, positions


_NONE = np.zeros(0, np.int64)
