"""Postings decoded many at a time, from the bytes of the index as they lie (docs/index-format.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.fields import FIELDS, TABLE
from papersearch.index.flatfile import damaged
from papersearch.index.segment import BLOCK_BITS, LOW_BITS, ODD, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from papersearch.errors import IndexDamagedError
    from papersearch.index.reader import FieldReader
    from papersearch.index.segment import SegmentField

    Array = np.ndarray[Any, np.dtype[Any]]

POSITION_BITS = 31
DOC_SHIFT = 32
"""A place is one number: the document above these bits, the position in them."""

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
    """All numbers of [begin, begin + count), one such run after the other; no count is 0."""
    ends = counts.cumsum()
    if not len(ends) or ends[-1] == len(counts):  # one each, as nearly always
        return begin
    taken: Array = (begin - ends + counts).repeat(counts)
    taken += np.arange(len(taken))
    return taken


class Stored:
    """Postings of a term.

    Attributes:
        field: whose term it is.
        docs: its documents, ascending.
        shapes: the shape of each posting: weight and zones, see FieldRows.
        begin: where the low bits of the positions of each posting begin.
    """

    __slots__ = ("begin", "docs", "field", "shapes")

    def __init__(self, field: FieldRows, docs: Array, shapes: Array, begin: Array) -> None:
        self.field = field
        self.docs, self.shapes, self.begin = docs, shapes, begin

    @property
    def nbytes(self) -> int:
        return int(self.docs.nbytes + self.shapes.nbytes + self.begin.nbytes)

    def chosen(self, at: Array) -> tuple[Array, Array]:
        """(how many positions each of some postings has, all of them one after the other)."""
        return self.field.positions(self.shapes[at], self.begin[at])


class Several:
    """Postings of several terms, one after the other.

    Attributes:
        stored: all of them; its documents ascend within a term only.
        numbers: the number of the term of each posting.
    """

    __slots__ = ("numbers", "stored")

    def __init__(self, stored: Stored, numbers: Array) -> None:
        self.stored, self.numbers = stored, numbers

    @property
    def nbytes(self) -> int:
        return self.stored.nbytes + int(self.numbers.nbytes)

    def places(self, held: Array | None = None) -> tuple[Array, Array, Array]:
        """(document, position, number of the term) of the chosen postings or of all."""
        docs, shapes, begin, numbers = self.stored.docs, self.stored.shapes, self.stored.begin, self.numbers
        if held is not None:
            docs, shapes, begin, numbers = docs[held], shapes[held], begin[held], numbers[held]
        counts, positions = self.stored.field.positions(shapes, begin)
        return docs.repeat(counts), positions, numbers.repeat(counts)


class _Part:
    """What one segment has of a field. A row's shape is numbered by its code; those that the odd rows have of their
    own follow from ODD on. Of these tables, the shapes are few and the odd rows rare."""

    def __init__(self, base: int, deleted: frozenset[int], field: SegmentField) -> None:
        """`base`: number of its first document in the index."""
        self._base, self._field = base, field
        self._live: Array | None = None
        if deleted:
            self._live = np.ones(field.documents, bool)
            self._live[list(deleted)] = False
        self._docs, self.lows = np.asarray(field.docs), np.asarray(field.lows)
        self._codes = None if field.codes is None else np.asarray(field.codes)
        self._odd_rows = np.asarray(field.odd_rows)
        starts = np.asarray(field.shape_start).astype(np.int64)
        odd_start = np.append(np.asarray(field.odd_start), [] if len(self._odd_rows) else 0).astype(np.int64)
        odd_counts = np.diff(odd_start)
        unused = np.zeros(ODD - len(field.shape_weights), np.int64)
        self.highs = np.append(np.asarray(field.shape_high), np.asarray(field.odd_high)).astype(np.int64) << LOW_BITS
        if not (
            len(starts) > len(field.shape_weights)
            and (odd_counts > 0).all()
            and odd_start[-1] <= len(field.odd_high)
            and (self.highs < 1 << POSITION_BITS).all()
        ):
            raise self.damage("positions out of bounds")
        self.begin = np.concatenate([starts[:-1], unused, len(field.shape_high) + odd_start[:-1]])
        self.counts = np.concatenate([np.diff(starts), unused, odd_counts])
        self.weights = np.concatenate([field.shape_weights, unused, np.asarray(field.odd_weights)])

    def damage(self, what: str) -> IndexDamagedError:
        return damaged(self._field.path, what)

    def read(self, text: bytes) -> tuple[Array, Array, Array] | None:
        """(documents of the index, ascending; shapes; where positions begin) of a term; None if it is not there."""
        field = self._field
        number = field.find(text)
        if number < 0:
            return None
        rows = field.rows(number)
        docs = self._documents(self._docs[rows.start : rows.stop])
        if self._codes is None:
            shapes = np.zeros(len(rows), np.int64)
        else:
            shapes = self._codes[rows.start : rows.stop].astype(np.int64)
        if len(self._odd_rows):
            low, high = self._odd_rows.searchsorted((rows.start, rows.stop))
            if low < high:
                shapes[self._odd_rows[low:high] - rows.start] = np.arange(ODD + low, ODD + high)
        counts = self._counted(shapes)
        begin = np.cumsum(counts)
        if field.first_position(rows.start) + begin[-1] > len(self.lows):
            raise self.damage("positions out of bounds")
        begin += field.first_position(rows.start) - counts
        if self._live is not None:
            live = self._live[docs]
            docs, shapes, begin = docs[live], shapes[live], begin[live]
        docs += self._base
        return docs, shapes, begin

    def read_several(self, texts: Sequence[bytes]) -> tuple[Array, Array, Array, Array] | None:
        """As read(), of several terms: with the number of the term of each posting."""
        field = self._field
        found = [(i, field.rows(number)) for i, text in enumerate(texts) if (number := field.find(text)) >= 0]
        if not found:
            return None
        numbers = np.array([i for i, _ in found])
        first = np.array([rows.start for _, rows in found])
        # Where the positions of a row begin is known of the first row of its block.
        blocks = first >> BLOCK_BITS
        begin_rows = blocks << BLOCK_BITS
        sizes = np.array([rows.stop for _, rows in found]) - begin_rows
        rows = runs(begin_rows, sizes)
        shapes = np.zeros(len(rows), np.int64) if self._codes is None else self._codes[rows].astype(np.int64)
        if len(self._odd_rows):
            odd = self._odd_rows.searchsorted(rows)
            is_odd = self._odd_rows.take(odd, mode="clip") == rows
            shapes[is_odd] = ODD + odd[is_odd]
        counts = self._counted(shapes)
        begin = counts.cumsum() - counts
        begin += (np.asarray(field.block_start)[blocks].astype(np.int64) - begin[sizes.cumsum() - sizes]).repeat(sizes)
        if (begin + counts).max() > len(self.lows):
            raise self.damage("positions out of bounds")
        own = rows >= first.repeat(sizes)
        docs = self._documents(self._docs[rows[own]])
        if self._live is not None:
            live = self._live[docs]
            own[own] = live
            docs = docs[live]
        docs += self._base
        return docs, shapes[own], begin[own], numbers.repeat(sizes)[own]

    def _documents(self, docs: Array) -> Array:
        """Documents of postings, checked."""
        if docs.max() >= self._field.documents:
            raise self.damage("a posting of a document that does not exist")
        return docs.astype(np.int64)

    def _counted(self, shapes: Array) -> Array:
        """How many positions postings of some shapes have."""
        counts: Array = self.counts.take(shapes, mode="clip")
        if not counts.all() or shapes.max() >= len(self.counts):
            raise self.damage("a posting of a shape that does not exist")
        return counts


class FieldRows:
    """A field's postings over the whole index. The tables of its segments stand one after the other."""

    def __init__(self, reader: FieldReader) -> None:
        parts = [_Part(base, segment.deleted, field) for base, segment, field in reader.parts]
        self._parts: list[tuple[_Part, int, int]] = []
        shapes = highs = lows = 0
        self._first_low: list[int] = []
        for part in parts:
            self._parts.append((part, shapes, lows))
            self._first_low.append(lows)
            part.begin += highs
            shapes, highs, lows = shapes + len(part.counts), highs + len(part.highs), lows + len(part.lows)
        self._weights = _joined([part.weights for part in parts])
        self._counts = _joined([part.counts for part in parts])
        self._begin = _joined([part.begin for part in parts])
        self._highs = _joined([part.highs for part in parts])
        self._boosted: dict[str | None, Array] = {}

    def read(self, term: str) -> Stored:
        """The postings of a term; none if no live document has it."""
        text = encode(term)
        found = []
        for part, first_shape, first_low in self._parts:
            if (read := part.read(text)) is not None:
                docs, shapes, begin = read
                found.append((docs, shapes + first_shape, begin + first_low) if first_low else read)
        if not found:
            return Stored(self, _NONE, _NONE, _NONE)
        return Stored(self, *(found[0] if len(found) == 1 else map(np.concatenate, zip(*found, strict=True))))

    def read_several(self, terms: Sequence[str]) -> Several:
        """The postings of several terms, those of a document in the order of the terms."""
        texts = [encode(term) for term in terms]
        found = []
        for part, first_shape, first_low in self._parts:
            if (read := part.read_several(texts)) is not None:
                docs, shapes, begin, numbers = read
                found.append((docs, shapes + first_shape, begin + first_low, numbers))
        docs, shapes, begin, numbers = map(np.concatenate, zip(*found, strict=True)) if found else (_NONE,) * 4
        return Several(Stored(self, docs, shapes, begin), numbers)

    def weights(self, shapes: Array) -> Array:
        """Sums of the boosts that terms were indexed with."""
        return self._weights[shapes]

    def boosted(self, shapes: Array, zone: str | None) -> Array:
        """Sums of the boosts of the zones in which the positions lie. A zone begins and ends where high bits change,
        so that the shape says it all."""
        table = self._boosted.get(zone)
        if table is None:
            table = np.zeros(len(self._counts))
            used = np.flatnonzero(self._counts)
            counts = self._counts[used]
            np.add.at(table, used.repeat(counts), boosts(self._highs[runs(self._begin[used], counts)], zone))
            self._boosted[zone] = table
        return table[shapes]

    def positions(self, shapes: Array, begin: Array) -> tuple[Array, Array]:
        """(how many positions each of some postings has, all of them one after the other)."""
        counts = self._counts[shapes]
        at = runs(begin, counts)
        positions = self._highs[runs(self._begin[shapes], counts)]
        if len(self._parts) == 1:
            positions += self._parts[0][0].lows[at]
            return counts, positions
        owners = np.searchsorted(self._first_low, at, "right") - 1
        for number, (part, _, first_low) in enumerate(self._parts):
            own = np.flatnonzero(owners == number)
            positions[own] += part.lows[at[own] - first_low]
        return counts, positions


def _joined(tables: list[Array]) -> Array:
    return np.concatenate(tables) if tables else _NONE


_NONE = np.zeros(0, np.int64)
