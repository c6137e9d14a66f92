"""Postings decoded many at a time, from the bytes of the index as they lie (docs/index-format.md)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.fields import FIELDS, TABLE
from papersearch.index.flatfile import damaged
from papersearch.index.lexicon import encode
from papersearch.index.segment import BLOCK_BITS, CODE_BITS, LOW_BITS, ODD, RUN_BITS
from papersearch.index.ways import GO_ON

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from papersearch.errors import IndexDamagedError
    from papersearch.index.reader import FieldReader
    from papersearch.index.segment import SegmentField

    Array = np.ndarray[Any, np.dtype[Any]]

POSITION_BITS = 31
FEW_BITS = 4
"""Where less than this part of a word's postings is wanted, as a power of two, the others are not decoded."""
SHORT = 4096
"""Up to so many postings are decoded at once and kept, however few are wanted."""
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
    """Postings of a term: what is not asked for of them is not decoded.

    Attributes:
        field: whose term it is.
        docs: its documents, ascending.
    """

    __slots__ = ("_asked", "_begin", "_shapes", "_sources", "docs", "field")

    def __init__(self, field: FieldRows, sources: Sequence[_Source]) -> None:
        """`sources`: the rows of each segment that has the term."""
        self.field, self._sources = field, sources
        self.docs: Array = joined([source.docs for source in sources])
        self._shapes: Array | None = None
        self._begin: Array | None = None
        self._asked = 0
        """Postings that rows() was asked for, some of them more than once."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes when everything was asked for."""
        return 3 * int(self.docs.nbytes)

    @property
    def shapes(self) -> Array:
        """The shape of each posting: weight and zones, see FieldRows."""
        if self._shapes is None:
            self._shapes = joined([source.shapes() for source in self._sources])
        return self._shapes

    def chosen(self, at: Array) -> tuple[Array, Array]:
        """(how many positions each of some postings has, all of them one after the other)."""
        rows = self.rows(at)
        return self.field.positions(*(self.decoded(at) if rows is None else self.field.at(rows)))

    def rows(self, at: Array) -> Array | None:
        """The rows of some postings, for FieldRows.at(); None if they, with those that were asked for before, are so
        many that decoded() is quicker."""
        if self._begin is None and len(self.docs) > SHORT:
            self._asked += len(at)
        if self._begin is not None or len(self.docs) <= max(SHORT, self._asked << FEW_BITS):
            return None
        if len(self._sources) == 1:
            return self._sources[0].rows(at)
        rows = np.empty_like(at)
        before = 0
        for source in self._sources:
            own = ((at >= before) & (at < before + len(source.docs))).nonzero()[0]
            rows[own] = source.rows(at[own] - before)
            before += len(source.docs)
        return rows

    def decoded(self, at: Array) -> tuple[Array, Array]:
        """(shapes of some postings, where their positions begin), for FieldRows.positions(). Decodes all there are."""
        if self._begin is None:
            counts = self.field.counts(self.shapes)
            bounds = np.cumsum([0, *[len(source.docs) for source in self._sources]]).tolist()
            pieces = zip(self._sources, bounds, bounds[1:], strict=False)
            self._begin = joined([source.begin_of(counts[low:high]) for source, low, high in pieces])
        return self.shapes[at], self._begin[at]


class _Source:
    """Postings of a term in one segment.

    Attributes:
        docs: their documents, by their numbers in the index.
    """

    __slots__ = ("_live", "_part", "_rows", "docs")

    def __init__(self, part: _Part, rows: range, docs: Array, live: Array | None) -> None:
        """`live`: which of the rows count, None if all do."""
        self._part, self._rows, self._live = part, rows, live
        self.docs = docs if live is None else docs[live]

    def shapes(self) -> Array:
        shapes = self._part.shapes(self._rows)
        return shapes if self._live is None else shapes[self._live]

    def begin_of(self, counts: Array) -> Array:
        """Where the positions of the postings begin, from how many each has."""
        if self._live is not None:
            return self._part.chosen(np.flatnonzero(self._live) + self._rows.start)[1]
        return self._part.begin_of(self._rows, counts)

    def rows(self, at: Array) -> Array:
        """The rows of some postings, numbered as those of the index."""
        rows = at if self._live is None else self._live.nonzero()[0][at]
        return rows + (self._rows.start + self._part.first_row)


class Several:
    """Postings of several terms, one after the other.

    Attributes:
        docs: their documents, which ascend within a term only.
        shapes: the shape of each, see FieldRows.
        begin: where the positions of each begin, for FieldRows.positions().
        numbers: the number of the term of each.
    """

    __slots__ = ("_field", "begin", "docs", "numbers", "shapes")

    def __init__(self, field: FieldRows, docs: Array, shapes: Array, begin: Array, numbers: Array) -> None:
        self._field = field
        self.docs, self.shapes, self.begin, self.numbers = docs, shapes, begin, numbers

    @property
    def nbytes(self) -> int:
        return int(self.docs.nbytes + self.shapes.nbytes + self.begin.nbytes + self.numbers.nbytes)

    def weights(self) -> Array:
        """The weight of each."""
        return self._field.weights(self.shapes)

    def places(self, held: Array | None = None) -> tuple[Array, Array, Array]:
        """(document, position, number of the term) of the chosen postings or of all."""
        docs, shapes, begin, numbers = self.docs, self.shapes, self.begin, self.numbers
        if held is not None:
            docs, shapes, begin, numbers = docs[held], shapes[held], begin[held], numbers[held]
        counts, positions = self._field.positions(shapes, begin)
        return docs.repeat(counts), positions, numbers.repeat(counts)


class _Codes:
    """The codes of a segment's rows, unpacked as far as they were asked for. Threads may share them: what two of them
    write into the same place is the same."""

    __slots__ = ("_field", "_there", "_values")

    def __init__(self, field: SegmentField) -> None:
        self._field = field
        self._values = np.empty(field.row_count, np.uint8)
        self._there = np.zeros((field.row_count >> CODE_BITS) + 1, bool)

    def _unpack(self, blocks: Iterable[int]) -> None:
        for block in blocks:
            start = block << CODE_BITS
            codes = self._field.code_block(block)
            self._values[start : start + len(codes)] = np.frombuffer(codes, np.uint8)
            self._there[block] = True

    def between(self, rows: range) -> Array:
        """Those of some rows that follow each other; not to be changed."""
        first, end = rows.start >> CODE_BITS, ((rows.stop - 1) >> CODE_BITS) + 1
        if not self._there[first:end].all():
            self._unpack([block for block in range(first, end) if not self._there[block]])
        return self._values[rows.start : rows.stop]

    def at(self, rows: Array, of: Array | None = None) -> Array:
        """Those of any rows, or those `of` other rows of the same blocks, of which some may be after the last row."""
        blocks = rows >> CODE_BITS
        there = self._there[blocks]
        if not there.all():
            self._unpack(np.unique(blocks[~there]).tolist())
        return self._values.take(rows if of is None else of, mode="clip")


class _Part:
    """What one segment has of a field. A row's shape is numbered by its code; those that the odd rows have of their
    own follow from ODD on. Of these tables, the shapes are few and the odd rows rare."""

    def __init__(self, base: int, deleted: frozenset[int], field: SegmentField) -> None:
        """`base`: number of its first document in the index."""
        self._base, self._field = base, field
        self.first_row = self.first_shape = self.first_low = 0
        self.size = field.row_count
        self._powers = 256 ** np.arange(field.coding.width)
        self._live: Array | None = None
        if deleted:
            self._live = np.ones(field.documents, bool)
            self._live[list(deleted)] = False
        self.lows = np.asarray(field.lows)
        self._codes = _Codes(field) if field.has_codes else None
        self._doc_bytes = np.asarray(field.docs)
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
        # By code, for rows before another one; those with the code ODD are counted apart.
        self._code_counts = np.append(np.where(self.counts[:ODD] > 0, self.counts[:ODD], _TOO_MANY), 0)
        self._odd_before = np.append(0, odd_counts.cumsum())

    def damage(self, what: str) -> IndexDamagedError:
        return damaged(self._field.path, what)

    def frequent(self, least: int) -> dict[bytes, int]:
        """Terms with at least so many rows, and with how many."""
        return {self._field.term(number): count for number, count in self._field.numbers_with(least)}

    def read(self, text: bytes) -> _Source | None:
        """The postings of a term; None if it is not there."""
        field = self._field
        number = field.find(text)
        if number < 0:
            return None
        first, end, begin, end_doc = field.bounds(number)
        rows, size = range(first, end), end_doc - begin
        stored = self._doc_bytes[begin:end_doc]
        digits = field.coding.digits(len(rows), size)
        if digits:
            ways = stored if digits == 2 else _values(stored, 0, np.array([2 * size // digits]), digits)
            docs = ways.cumsum(dtype=np.int64)
            ends = ways != GO_ON[digits]
            if not ends.all():
                docs = docs[ends]
        else:
            docs = stored.reshape(-1, field.coding.width) @ self._powers
        self._check(docs, len(rows))
        live = None
        if self._live is not None:
            live = self._live[docs]
            if live.all():
                live = None
        if self._base:
            docs += self._base
        return _Source(self, rows, docs, live)

    def shapes(self, rows: range) -> Array:
        """The shapes of some rows, numbered as those of the index."""
        if self._codes is None:
            shapes = np.zeros(len(rows), np.int64)
        else:
            shapes = self._codes.between(rows).astype(np.int64)
        if len(self._odd_rows):
            low, high = self._odd_rows.searchsorted((rows.start, rows.stop))
            if low < high:
                shapes[self._odd_rows[low:high] - rows.start] = np.arange(ODD + low, ODD + high)
        self._counted(shapes)
        return shapes + self.first_shape if self.first_shape else shapes

    def _numbered(self, rows: Array) -> Array:
        """The shapes of any rows, numbered as those of the segment."""
        if self._codes is None:
            return np.zeros(len(rows), np.int64)
        shapes = self._codes.at(rows).astype(np.int64)
        if len(self._odd_rows):
            at = np.flatnonzero(shapes == ODD)
            odd = self._odd_rows.searchsorted(rows[at])
            known = self._odd_rows.take(odd, mode="clip") == rows[at]
            shapes[at[known]] = ODD + odd[known]
        return shapes

    def begin_of(self, rows: range, counts: Array) -> Array:
        """Where the positions of consecutive rows begin, from how many each has."""
        begin = np.cumsum(counts)
        if self._field.first_position(rows.start) + begin[-1] > len(self.lows):
            raise self.damage("positions out of bounds")
        begin += self._field.first_position(rows.start) + self.first_low - counts
        return begin

    def chosen(self, rows: Array) -> tuple[Array, Array]:
        """(shapes, where the positions begin) of any rows: what the rows before each have in its block is added up."""
        shapes = self._numbered(rows)
        blocks = rows >> BLOCK_BITS
        first = blocks << BLOCK_BITS
        if self._codes is None:
            begin = (rows - first) * self.counts[0]
        else:
            within = first[:, None] + _WITHIN
            counts = self._code_counts[self._codes.at(rows, within)]
            counts[within >= rows[:, None]] = 0
            begin = counts.sum(axis=1)
        if len(self._odd_rows):
            low, high = self._odd_rows.searchsorted(first), self._odd_rows.searchsorted(rows)
            begin += self._odd_before[high] - self._odd_before[low]
        begin += self._begin_of_blocks(blocks)
        if len(rows) and (begin + self._counted(shapes)).max() > len(self.lows):
            raise self.damage("positions out of bounds")
        return shapes + self.first_shape, begin + self.first_low

    def _begin_of_blocks(self, blocks: Array) -> Array:
        """Where the positions of the first rows of some blocks begin."""
        field = self._field
        begin: Array = blocks << BLOCK_BITS
        for more in (np.asarray(field.more_start)[blocks >> RUN_BITS], np.asarray(field.more)[blocks]):
            begin = begin + more.astype(np.int64)
        return begin

    def read_several(self, texts: Sequence[bytes]) -> tuple[Array, Array, Array, Array] | None:
        """As read(), of several terms: with the number of the term of each posting."""
        field = self._field
        found = [(i, *field.bounds(number)) for i, text in enumerate(texts) if (number := field.find(text)) >= 0]
        if not found:
            return None
        numbers, first, end, begin_doc, end_doc = np.array(found).T
        # Where the positions of a row begin is known of the first row of its block.
        blocks = first >> BLOCK_BITS
        begin_rows = blocks << BLOCK_BITS
        sizes = end - begin_rows
        rows = runs(begin_rows, sizes)
        shapes = self._numbered(rows)
        counts = self._counted(shapes)
        begin = counts.cumsum() - counts
        begin += (self._begin_of_blocks(blocks) - begin[sizes.cumsum() - sizes]).repeat(sizes)
        if (begin + counts).max() > len(self.lows):
            raise self.damage("positions out of bounds")
        own = rows >= first.repeat(sizes)
        docs = self._docs_of(end - first, begin_doc, end_doc - begin_doc)
        if self._live is not None:
            live = self._live[docs]
            own[own] = live
            docs = docs[live]
        docs += self._base
        return docs, shapes[own] + self.first_shape, begin[own] + self.first_low, numbers.repeat(sizes)[own]

    def _docs_of(self, counts: Array, begin: Array, sizes: Array) -> Array:
        """Documents of several terms, one after the other: how many each has, and where their bytes are."""
        docs = np.empty(counts.sum(), np.int64)
        before = counts.cumsum() - counts
        coding = self._field.coding
        digits = np.where(sizes < counts, 1, np.where(counts < coding.few, 3, 2))
        digits[sizes == counts * coding.width] = 0
        for number in np.unique(digits).tolist():
            own = digits == number
            docs[runs(before[own], counts[own])] = self._docs_alike(counts[own], begin[own], sizes[own], number)
        self._check(docs, len(docs))
        return docs

    def _docs_alike(self, counts: Array, begin: Array, sizes: Array, digits: int) -> Array:
        """As _docs_of(), where all have ways of so many digits, or all are written whole."""
        if not digits:
            width = self._field.coding.width
            whole: Array = self._doc_bytes[runs(begin, sizes)].reshape(-1, width) @ self._powers
            return whole
        values = 2 * sizes // digits
        if not values.all():
            raise self.damage(_NO_DOCUMENT)
        ways = self._doc_bytes[runs(begin, sizes)] if digits == 2 else _values(self._doc_bytes, begin, values, digits)
        ends = ways != GO_ON[digits]
        last = values.cumsum() - 1
        if (np.add.reduceat(ends, last - values + 1, dtype=np.int64) != counts).any():
            raise self.damage(_NO_DOCUMENT)
        summed = ways.cumsum(dtype=np.int64)
        summed -= np.append(0, summed[last[:-1]]).repeat(values)
        led: Array = summed[ends]
        return led

    def _check(self, docs: Array, count: int) -> None:
        if len(docs) != count or docs.max() >= self._field.documents:
            raise self.damage(_NO_DOCUMENT)

    def _counted(self, shapes: Array) -> Array:
        """How many positions postings of some shapes have."""
        counts: Array = self.counts.take(shapes, mode="clip")
        if not counts.all() or shapes.max() >= len(self.counts):
            raise self.damage("a posting of a shape that does not exist")
        return counts


def _values(data: Array, begin: Array | int, counts: Array, digits: int) -> Array:
    """Numbers of so many hexadecimal digits, some from each of these bytes on."""
    at = runs(2 * np.broadcast_to(begin, counts.shape), digits * counts)
    nibbles = data[at >> 1] >> (4 * (~at & 1)).astype(np.uint8) & 15
    values: Array = nibbles if digits == 1 else nibbles.reshape(-1, digits) @ 16 ** np.arange(digits)[::-1]
    return values


class Rows:
    """All postings of a field with positions in one segment, decoded.

    Attributes:
        rows_of_term: how many each term has.
        docs, sizes: of each its document, and how many positions it has; these are in `lows`, row after row, without
            their other bits.
        shapes: weights, with those bits of each position, not shifted.
        numbers: the shape of each posting.
    """

    def __init__(self, field: SegmentField) -> None:
        """Raises IndexDamagedError where they contradict each other."""
        part = _Part(0, frozenset(), field)
        rows, begin = (np.array(bounds) for bounds in field.all_bounds())
        self.rows_of_term = np.diff(rows)
        self.docs = part._docs_of(self.rows_of_term, begin[:-1], np.diff(begin))
        shapes = part.shapes(range(part.size))
        self.sizes = part.counts[shapes]
        self.lows = part.lows
        if self.sizes.sum() != len(self.lows):
            raise part.damage("positions out of bounds")
        used = np.flatnonzero(np.bincount(shapes, minlength=len(part.counts)))
        number = np.empty(len(part.counts), np.int64)
        number[used] = np.arange(len(used))
        self.numbers: Array = number[shapes]
        bounds = zip(part.begin[used].tolist(), part.counts[used].tolist(), strict=True)
        highs = [tuple((part.highs[start : start + count] >> LOW_BITS).tolist()) for start, count in bounds]
        self.shapes = list(zip(part.weights[used].tolist(), highs, strict=True))


class FieldRows:
    """A field's postings over the whole index. The tables of its segments stand one after the other."""

    def __init__(self, reader: FieldReader) -> None:
        self._parts = [_Part(base, segment.deleted, field) for base, segment, field in reader.parts]
        rows = shapes = highs = lows = 0
        for part in self._parts:
            part.first_row, part.first_shape, part.first_low = rows, shapes, lows
            part.begin += highs
            rows, shapes = rows + part.size, shapes + len(part.counts)
            highs, lows = highs + len(part.highs), lows + len(part.lows)
        self._first_low = [part.first_low for part in self._parts]
        self._weights = joined([part.weights for part in self._parts])
        self._counts = joined([part.counts for part in self._parts])
        self._begin = joined([part.begin for part in self._parts])
        self._highs = joined([part.highs for part in self._parts])
        self._boosted: dict[str | None, Array] = {}

    def read(self, term: str) -> Stored:
        """The postings of a term; none if no live document has it."""
        text = encode(term)
        return Stored(self, [source for part in self._parts if (source := part.read(text)) is not None])

    def read_several(self, terms: Sequence[str]) -> Several:
        """The postings of several terms, those of a document in the order of the terms."""
        texts = [encode(term) for term in terms]
        found = [several for part in self._parts if (several := part.read_several(texts)) is not None]
        return Several(self, *(map(joined, zip(*found, strict=True)) if found else (_NONE,) * 4))

    def at(self, rows: Array) -> tuple[Array, Array]:
        """(shapes of any rows, where their positions begin)."""
        if len(self._parts) == 1:
            return self._parts[0].chosen(rows)
        shapes, begin = np.empty_like(rows), np.empty_like(rows)
        for part in self._parts:
            own = ((rows >= part.first_row) & (rows < part.first_row + part.size)).nonzero()[0]
            if len(own):
                shapes[own], begin[own] = part.chosen(rows[own] - part.first_row)
        return shapes, begin

    def counts(self, shapes: Array) -> Array:
        """How many positions postings have."""
        return self._counts[shapes]

    def frequent(self, least: int) -> list[str]:
        """Terms of at least so many documents, deleted ones included."""
        counts: Counter[bytes] = Counter()
        share = max(1, least // (len(self._parts) or 1))  # a term has as many in one segment at least
        for part in self._parts:
            counts.update(part.frequent(share))
        return [term.decode("utf-8", "surrogatepass") for term, count in counts.items() if count >= least]

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
            positions += self._parts[0].lows[at]
            return counts, positions
        owners = np.searchsorted(self._first_low, at, "right") - 1
        for number, part in enumerate(self._parts):
            own = np.flatnonzero(owners == number)
            positions[own] += part.lows[at[own] - part.first_low]
        return counts, positions


def joined(tables: Sequence[Array]) -> Array:
    """One after the other."""
    if len(tables) == 1:
        return tables[0]
    return np.concatenate(tables) if tables else _NONE


_NONE = np.zeros(0, np.int64)
_WITHIN = np.arange(1 << BLOCK_BITS)
_NO_DOCUMENT = "a posting of a document that does not exist"
_TOO_MANY = 1 << 40
"""Positions of a row that has no shape: more than any file has."""
