"""One segment as it is read: the postings of each field, the lengths and the stored objects of its documents."""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left, bisect_right
from itertools import chain, pairwise
from operator import add, sub

from papersearch.index.flatfile import FlatFile, damaged
from papersearch.index.toc import DOCUMENTS, INVERTED, SegmentEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from papersearch.errors import IndexDamagedError
    from papersearch.index.flatfile import Stamp

# Sections of the inverted file, each under "<field>/". Rows are the postings of a field: those of its first term,
# documents ascending, then those of the second term, and so on.
TERM_BYTES = "term.bytes"
TERM_START = "term.start"
FIRST_ROW = "term.row"
DOCS = "docs"
SHAPE_WEIGHT = "shape.weight"
SHAPE_START = "shape.start"
SHAPE_HIGH = "shape.high"
SHAPE_CODE = "shape.code"
ODD_ROW = "odd.row"
ODD_WEIGHT = "odd.weight"
ODD_START = "odd.start"
ODD_HIGH = "odd.high"
POSITION_START = "position.start"
POSITION_LOW = "position.low"
# Sections of the documents file.
STORED_BYTES = "stored.bytes"
STORED_START = "stored.start"
STORED_SIZE = "stored.size"
STORED_DICTIONARY = "stored.dictionary"
LENGTH = "length/"

BLOCK_BITS = 6
"""Rows per entry of POSITION_START, as a power of two; within a block, numbers of positions are added up."""
LOW_BITS = 8
"""Bits of a position that stand in POSITION_LOW; the others belong to the shape."""
ODD = 255
"""Code of a row whose shape is not in the table."""

PROBE_BITS = 12
"""So many halvings of all terms are remembered, at most as many terms as this power of two."""
REMEMBERED_TERMS = 1 << 13
"""Terms of a field whose numbers are remembered: a search asks for the same one several times."""

KEY_BYTES = 8
ABOVE_ANY_UTF8 = b"\xff"
_INFINITY = float("inf")


def encode(text: str) -> bytes:
    """Bytes of a term. Lone surrogates (from file names that are not UTF-8) pass; order is that of code points."""
    return text.encode("utf-8", "surrogatepass")


class SegmentField:
    """The postings of one field of one segment.

    A row's *shape* is its weight and, for each of its positions, the position without its last LOW_BITS bits. There
    are few shapes: most rows have one position, and where that is within 256 words of the begin of a zone, the zone
    and the weight say nearly the same. So a row takes a byte for its shape and one for each position.

    For readers that decode many rows at once (a row is an index into `docs` and `codes`):

    Attributes:
        docs: document number of each row.
        codes: number of each row's shape, ODD for a row of `odd_rows`; None where all rows have shape 0.
        shape_weights: weight per shape.
        shape_start: where each shape's positions begin in `shape_high`, with the end of the last.
        shape_high: positions of the shapes without their low bits, not shifted.
        lows: low bits of all positions, the rows one after the other; first_position() says where a row's begin.
        block_start: the same for each (1 << BLOCK_BITS)-th row.
        odd_rows: ascending; odd() gives weight and highs of one.
        odd_weights, odd_start, odd_high: for these rows what `shape_…` says of shapes.
        keys: the first KEY_BYTES of each term as a number, if a reader that looks up many terms has made them.
    """

    __slots__ = (
        "_counts", "_highs", "_numbers", "_probes", "_weights", "block_start", "codes", "docs", "documents",
        "first_row", "keys", "lows", "odd_high", "odd_rows", "odd_start", "odd_weights", "path", "positional",
        "shape_high", "shape_start", "shape_weights", "term_bytes", "term_count", "term_start",
    )  # fmt: skip

    def __init__(self, file: FlatFile, name: str, positional: bool, documents: int) -> None:
        prefix = name + "/"
        self.path = f"{file.path} ({name})"
        self.documents = documents
        self.positional = positional
        self.term_bytes = file.section(prefix + TERM_BYTES, "B")
        self.term_start = file.section(prefix + TERM_START)
        self.first_row = file.section(prefix + FIRST_ROW)
        self.docs = file.section(prefix + DOCS)
        self.term_count = len(self.first_row) - 1
        rows = len(self.docs)
        good = (
            len(self.term_start) == len(self.first_row) > 0
            and self.term_start[0] == self.first_row[0] == 0
            and self.term_start[-1] == len(self.term_bytes)
            and self.first_row[-1] == rows
        )
        weights: memoryview[float] = file.section(prefix + SHAPE_WEIGHT, "d")
        self.shape_weights = list(weights)
        good = good and len(weights) <= ODD and all(0.0 < weight < _INFINITY for weight in self.shape_weights)
        self.codes: memoryview[Any] | None = None
        self.odd_rows = self.odd_weights = self.odd_start = self.odd_high = memoryview(b"")
        if prefix + ODD_ROW in file:
            self.odd_rows = file.section(prefix + ODD_ROW)
            self.odd_weights = file.section(prefix + ODD_WEIGHT, "d")
            good = good and len(self.odd_weights) == len(self.odd_rows)
        if len(self.shape_weights) != 1 or len(self.odd_rows):
            self.codes = file.section(prefix + SHAPE_CODE, "B")
            good = good and len(self.codes) == rows
        self.block_start = self.lows = self.shape_start = self.shape_high = memoryview(b"")
        counts = b""
        if positional:
            self.block_start = file.section(prefix + POSITION_START)
            self.lows = file.section(prefix + POSITION_LOW, "B")
            good = good and len(self.block_start) == (rows >> BLOCK_BITS) + 1
            self.shape_start, self.shape_high = file.section(prefix + SHAPE_START), file.section(prefix + SHAPE_HIGH)
            starts = self.shape_start.tolist()
            good = good and len(starts) == len(weights) + 1 and starts[0] == 0 and starts[-1] == len(self.shape_high)
            try:
                counts = bytes(map(sub, starts[1:], starts))
            except ValueError:
                good = False
            good = good and 0 not in counts
            if len(self.odd_rows):
                self.odd_start, self.odd_high = file.section(prefix + ODD_START), file.section(prefix + ODD_HIGH)
                good = good and len(self.odd_start) == len(self.odd_rows) + 1
        if not good:
            raise damaged(self.path, "its sections contradict each other")
        # Keyed by code, with a place for ODD: a code that stands for nothing is a KeyError.
        self._weights: dict[int, float] = dict(enumerate(self.shape_weights)) | {ODD: 0.0}
        self._highs: dict[int, tuple[int, ...]] = {}
        self._probes: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self.keys: array[int] | None = None
        self._counts = counts.ljust(1 << LOW_BITS, b"\0")

    @property
    def shape_highs(self) -> dict[int, tuple[int, ...]]:
        """Per code, what to add to the low bits of each of its positions; ODD and fields without positions have ()."""
        highs = self._highs
        if not highs:  # not before it is asked for: most fields of most searches need no positions
            values = [high << LOW_BITS for high in self.shape_high.tolist()]
            bounds = pairwise(self.shape_start.tolist())
            highs = {code: tuple(values[start:end]) for code, (start, end) in enumerate(bounds)} | {ODD: ()}
            self._highs = highs
        return highs

    def term(self, number: int) -> bytes:
        """Bytes of the term of that number."""
        start = self.term_start
        return bytes(self.term_bytes[start[number] : start[number + 1]])

    def ceiling(self, text: bytes, low: int = 0, high: int | None = None) -> int:
        """Number of the first term in [low, high) that is not less than `text`; `high`, or term_count, if there is
        none."""
        start, terms = self.term_start, self.term_bytes
        if high is None:
            high = self.term_count
        probes, far = self._probes, self.term_count >> PROBE_BITS
        while low < high:
            middle = (low + high) >> 1
            probe = probes.get(middle)
            if probe is None:
                probe = bytes(terms[start[middle] : start[middle + 1]])
                if high - low > far:
                    probes[middle] = probe
            if probe < text:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, text: bytes) -> int:
        """Number of the term, -1 if the field has no such term."""
        known = self._numbers.get(text)
        if known is None:
            low, high = 0, self.term_count
            if self.keys is not None:
                key = int.from_bytes(text[:KEY_BYTES].ljust(KEY_BYTES, b"\0"), "big")
                low = bisect_left(self.keys, key)
                high = bisect_right(self.keys, key, low)
            number = self.ceiling(text, low, high)
            known = number if number < high and self.term(number) == text else -1
            if len(self._numbers) >= REMEMBERED_TERMS:
                self._numbers.clear()
            self._numbers[text] = known
        return known

    def rows(self, number: int) -> range:
        """Rows of the term's postings."""
        rows = range(self.first_row[number], self.first_row[number + 1])
        if not 0 <= rows.start < rows.stop <= len(self.docs):
            raise damaged(self.path, f"the postings of term {number} are out of bounds")
        return rows

    def docs_of(self, rows: range) -> list[int]:
        """Document numbers of the rows, all below `documents`."""
        docs: list[int] = self.docs[rows.start : rows.stop].tolist()
        if docs and max(docs) >= self.documents:
            raise damaged(self.path, "a posting of a document that does not exist")
        return docs

    def weights(self, rows: Sequence[int]) -> list[float]:
        """Weights of the rows."""
        codes = self._codes_of(rows)
        try:
            weights = list(map(self._weights.__getitem__, codes))
        except KeyError:
            raise self._unknown_shape() from None
        for i in _all(ODD, codes):
            weights[i] = self.odd(rows[i])[0]
        return weights

    def positions(self, row: int) -> list[int]:
        """Ascending positions of the row; empty in a field without positions."""
        if not self.positional:
            return []
        block = row >> BLOCK_BITS
        codes = self._codes_of(range(block << BLOCK_BITS, row + 1))
        if ODD in codes:
            begin, code = self.first_position(row), codes[-1]
            highs = self.odd(row)[1] if code == ODD else self.shape_highs.get(code, ())
        else:
            begin = self.block_start[block] + sum(codes[:-1].translate(self._counts))
            highs = self.shape_highs.get(codes[-1], ())
        lows = self.lows[begin : begin + len(highs)]
        if not len(lows) == len(highs) > 0:
            raise damaged(self.path, "positions out of bounds")
        return list(map(add, highs, lows))

    def positions_of(self, rows: range) -> tuple[list[int], list[int]]:
        """How many positions each of the rows has, and all of them one after the other; as positions(), but faster."""
        if not self.positional:
            return [], []
        codes = self._codes_of(rows)
        try:
            highs = list(map(self.shape_highs.__getitem__, codes))
        except KeyError:
            raise self._unknown_shape() from None
        counts = list(codes.translate(self._counts))
        for i in _all(ODD, codes):
            highs[i] = self.odd(rows[i])[1]
            counts[i] = len(highs[i])
        begin, total = self.first_position(rows.start), sum(counts)
        lows = self.lows[begin : begin + total].tolist()
        if len(lows) != total:
            raise damaged(self.path, "positions out of bounds")
        return counts, list(map(add, chain.from_iterable(highs), lows))

    def of_highs(self, rows: Sequence[int], value: Callable[[tuple[int, ...]], float]) -> list[float]:
        """A function of each row's positions without their low bits: computed once for all rows of a shape."""
        codes, highs = self._codes_of(rows), self.shape_highs
        try:
            table = {code: value(highs[code]) for code in set(codes)}
        except KeyError:
            raise self._unknown_shape() from None
        values = list(map(table.__getitem__, codes))
        for i in _all(ODD, codes):
            values[i] = value(self.odd(rows[i])[1])
        return values

    def first_position(self, row: int) -> int:
        """Index into `lows` of the row's first position; of a row after the last one, where the last one's end."""
        block = row >> BLOCK_BITS
        before = range(block << BLOCK_BITS, row)
        codes = self._codes_of(before)
        begin: int = self.block_start[block] + sum(codes.translate(self._counts))
        return begin + sum(len(self.odd(before[i])[1]) for i in _all(ODD, codes))

    def odd(self, row: int) -> tuple[float, tuple[int, ...]]:
        """Weight and highs of a row of `odd_rows`."""
        number = bisect_left(self.odd_rows, row)
        if number == len(self.odd_rows) or self.odd_rows[number] != row:
            raise self._unknown_shape()
        if not self.positional:
            return self.odd_weights[number], ()
        start, end = self.odd_start[number], self.odd_start[number + 1]
        if not start < end <= len(self.odd_high):
            raise damaged(self.path, "positions out of bounds")
        return self.odd_weights[number], tuple([high << LOW_BITS for high in self.odd_high[start:end]])

    def _codes_of(self, rows: Sequence[int]) -> bytes:
        if self.codes is None:
            return bytes(len(rows))
        if isinstance(rows, range):
            return bytes(self.codes[rows.start : rows.stop])
        return bytes([self.codes[row] for row in rows])

    def _unknown_shape(self) -> IndexDamagedError:
        return damaged(self.path, "a posting of a shape that does not exist")

    def prefix_range(self, prefix: bytes) -> range:
        """Numbers of the terms that start with `prefix`."""
        if not prefix:
            return range(self.term_count)
        return range(self.ceiling(prefix), self.ceiling(prefix + ABOVE_ANY_UTF8))

    def terms(self, numbers: range) -> list[bytes]:
        """The terms of a range of numbers."""
        if not numbers:
            return []
        starts = self.term_start[numbers.start : numbers.stop + 1].tolist()
        base = starts[0]
        data = bytes(self.term_bytes[base : starts[-1]])
        return [data[start - base : end - base] for start, end in pairwise(starts)]

    def texts_with(self, part: bytes) -> list[str]:
        """The terms that have some bytes, in order, as text."""
        return self._decoded(self._terms_with(part))

    def _terms_with(self, part: bytes) -> Iterator[bytes]:
        data, starts = bytes(self.term_bytes), self.term_start
        at = data.find(part)
        while at >= 0:
            number = bisect_right(starts, at) - 1
            end = starts[number + 1]
            if at + len(part) <= end:
                yield data[starts[number] : end]
                at = end - 1
            at = data.find(part, at + 1)

    def texts(self, numbers: range) -> list[str]:
        """The terms of a range of numbers as text."""
        return self._decoded(self.terms(numbers))

    def _decoded(self, terms: Iterable[bytes]) -> list[str]:
        try:
            return [term.decode("utf-8", "surrogatepass") for term in terms]
        except UnicodeDecodeError:
            raise damaged(self.path, "a term that is not UTF-8") from None


def _all(code: int, codes: bytes) -> Iterator[int]:
    """Where the code stands among codes."""
    i = codes.find(code)
    while i >= 0:
        yield i
        i = codes.find(code, i + 1)


class Segment:
    """One segment: its two files, and what the table of contents says about it.

    Raises:
        FileNotFoundError: a file is gone (the reader may have lost a race with a commit).
        IndexDamagedError: a file cannot be trusted.
    """

    __slots__ = (
        "_dictionary", "_fields", "_stored", "_stored_size", "_stored_start",
        "deleted", "documents", "entry", "field_names", "files",
    )  # fmt: skip

    def __init__(self, folder: str, entry: SegmentEntry, stamps: Mapping[str, Stamp] | None = None) -> None:
        """`stamps`: by names of files, what they were like when they had been written."""
        self.entry = entry
        self.documents = entry.documents
        self.deleted = entry.deleted
        self.files = {
            extension: FlatFile(os.path.join(folder, name), size, crc32, (stamps or {}).get(name))
            for extension, (size, crc32) in entry.files.items()
            for name in (f"{entry.segment_id}.{extension}",)
        }
        for file in self.files.values():
            if file.meta.get("segment") != entry.segment_id or file.meta.get("documents") != entry.documents:
                raise damaged(file.path, "it belongs to another segment")
        documents, inverted = self.files[DOCUMENTS], self.files[INVERTED]
        names = inverted.meta.get("fields")
        if type(names) is not dict or not all(type(positional) is bool for positional in names.values()):
            raise damaged(inverted.path, "it does not say which fields it has")
        self.field_names: dict[str, bool] = names
        """Indexed fields, and whether each has positions."""
        self._fields: dict[str, SegmentField] = {}
        self._stored = documents.section(STORED_BYTES, "B")
        self._stored_start = documents.section(STORED_START)
        self._stored_size = documents.section(STORED_SIZE)
        self._dictionary = documents.section(STORED_DICTIONARY, "B")
        if len(self._stored_start) != entry.documents + 1 or len(self._stored_size) != entry.documents:
            raise damaged(documents.path, "it does not have one stored object per document")

    def field(self, name: str) -> SegmentField | None:
        """The postings of a field, None if no document of the segment has it."""
        field = self._fields.get(name)
        if field is None and name in self.field_names:
            field = SegmentField(self.files[INVERTED], name, self.field_names[name], self.documents)
            self._fields[name] = field
        return field

    def length_names(self) -> list[str]:
        """Fields that have lengths."""
        return [name[len(LENGTH) :] for name in self.files[DOCUMENTS].names() if name.startswith(LENGTH)]

    def lengths(self, name: str) -> memoryview[Any] | None:
        """Length of the field in each document, None if it has none in this segment."""
        file = self.files[DOCUMENTS]
        if LENGTH + name not in file:
            return None
        lengths = file.section(LENGTH + name)
        if len(lengths) != self.documents:
            raise damaged(file.path, f"it does not have one length of {name} per document")
        return lengths

    def stored(self, doc: int) -> bytes:
        """The stored JSON object of a document as it was written."""
        start, end, size = self._stored_start[doc], self._stored_start[doc + 1], self._stored_size[doc]
        if not start <= end <= len(self._stored):
            raise damaged(self.files[DOCUMENTS].path, f"the stored object of document {doc} is out of bounds")
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS, self._dictionary)
        try:
            data = unpacker.decompress(self._stored[start:end], size + 1)  # never more than it should be, and a byte
        except zlib.error:
            data = b""
        if len(data) != size or not unpacker.eof:
            raise damaged(self.files[DOCUMENTS].path, f"the stored object of document {doc} cannot be unpacked")
        return data


def locate(bases: Sequence[int], doc: int) -> int:
    """Which of the segments that start at these document numbers holds the document."""
    return bisect_right(bases, doc) - 1
