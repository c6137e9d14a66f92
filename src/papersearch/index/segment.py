"""One segment as it is read: the postings of each field, the lengths and the stored objects of its documents."""

from __future__ import annotations

import os
import zlib
from bisect import bisect_right
from itertools import pairwise

from papersearch.index.flatfile import FlatFile, damaged
from papersearch.index.toc import DOCUMENTS, INVERTED, SegmentEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# Sections of the inverted file, each under "<field>/". Rows are the postings of a field: those of its first term,
# documents ascending, then those of the second term, and so on.
TERM_BYTES = "term.bytes"
TERM_START = "term.start"
FIRST_ROW = "term.row"
DOCS = "docs"
WEIGHT_TABLE = "weight.table"
WEIGHT_CODE = "weight.code"
WEIGHTS = "weights"
POSITION_BLOCK = "position.block"
POSITION_START = "position.start"
POSITIONS = "positions"
# Sections of the documents file.
STORED_BYTES = "stored.bytes"
STORED_START = "stored.start"
STORED_SIZE = "stored.size"
STORED_DICTIONARY = "stored.dictionary"
LENGTH = "length/"

BLOCK_BITS = 3
"""Rows per entry of POSITION_BLOCK, as a power of two; POSITION_START is relative to it, so mostly one byte a row."""

ABOVE_ANY_UTF8 = b"\xff"
_INFINITY = float("inf")


def encode(text: str) -> bytes:
    """Bytes of a term. Lone surrogates (from file names that are not UTF-8) pass; order is that of code points."""
    return text.encode("utf-8", "surrogatepass")


class SegmentField:
    """The postings of one field of one segment."""

    __slots__ = (
        "_block", "_code", "_path", "_position_start", "_positions", "_table", "_weights",
        "docs", "documents", "first_row", "positional", "term_bytes", "term_count", "term_start",
    )  # fmt: skip

    def __init__(self, file: FlatFile, name: str, positional: bool, documents: int) -> None:
        prefix = name + "/"
        self._path = f"{file.path} ({name})"
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
        self._code: memoryview[Any] | None = None
        self._weights: memoryview[Any] | None = None
        self._table: Sequence[float] = []
        if prefix + WEIGHTS in file:
            self._weights = file.section(prefix + WEIGHTS, "d")
            good = good and len(self._weights) == rows
        else:
            self._table = file.section(prefix + WEIGHT_TABLE, "d").tolist()
            good = good and all(0.0 < weight < _INFINITY for weight in self._table)
            if len(self._table) != 1:
                self._code = file.section(prefix + WEIGHT_CODE)
                good = good and len(self._code) == rows
        self._block: memoryview[Any] | None = None
        self._position_start = self._positions = memoryview(b"")
        if positional:
            self._block = file.section(prefix + POSITION_BLOCK)
            self._position_start = file.section(prefix + POSITION_START)
            self._positions = file.section(prefix + POSITIONS)
            good = good and len(self._position_start) == rows + 1 and len(self._block) == (rows >> BLOCK_BITS) + 1
        if not good:
            raise damaged(self._path, "its sections contradict each other")

    def term(self, number: int) -> bytes:
        """Bytes of the term of that number."""
        start = self.term_start
        return bytes(self.term_bytes[start[number] : start[number + 1]])

    def ceiling(self, text: bytes) -> int:
        """Number of the first term that is not less than `text`; term_count if there is none."""
        low, high, start, terms = 0, self.term_count, self.term_start, self.term_bytes
        while low < high:
            middle = (low + high) >> 1
            if bytes(terms[start[middle] : start[middle + 1]]) < text:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, text: bytes) -> int:
        """Number of the term, -1 if the field has no such term."""
        number = self.ceiling(text)
        return number if number < self.term_count and self.term(number) == text else -1

    def rows(self, number: int) -> range:
        """Rows of the term's postings."""
        rows = range(self.first_row[number], self.first_row[number + 1])
        if not 0 <= rows.start < rows.stop <= len(self.docs):
            raise damaged(self._path, f"the postings of term {number} are out of bounds")
        return rows

    def docs_of(self, rows: range) -> list[int]:
        """Document numbers of the rows, all below `documents`."""
        docs: list[int] = self.docs[rows.start : rows.stop].tolist()
        if docs and max(docs) >= self.documents:
            raise damaged(self._path, "a posting of a document that does not exist")
        return docs

    def weights(self, rows: Sequence[int]) -> Sequence[float]:
        """Weights of the rows."""
        values = self._weights if self._code is None else self._code
        if values is None:
            return [self._table[0]] * len(rows)
        if isinstance(rows, range) and rows.step == 1:
            raw: list[Any] = values[rows.start : rows.stop].tolist()
        else:
            raw = [values[row] for row in rows]
        if self._code is None:
            return raw
        try:
            return list(map(self._table.__getitem__, raw))
        except IndexError:
            raise damaged(self._path, "a weight that is not in its table") from None

    def positions(self, row: int) -> list[int]:
        """Ascending positions of the row; empty in a field without positions."""
        block, start = self._block, self._position_start
        if block is None:
            return []
        begin = block[row >> BLOCK_BITS] + start[row]
        end = block[(row + 1) >> BLOCK_BITS] + start[row + 1]
        if not begin < end <= len(self._positions):
            raise damaged(self._path, "positions out of bounds")
        return self._positions[begin:end].tolist()

    def positions_of(self, rows: range) -> tuple[list[int], list[int]]:
        """How many positions each of the rows has, and all of them one after the other; as positions(), but faster."""
        block, start = self._block, self._position_start
        if block is None:
            return [], []
        bounds = [block[row >> BLOCK_BITS] + start[row] for row in range(rows.start, rows.stop + 1)]
        counts = [end - begin for begin, end in pairwise(bounds)]
        if min(counts) < 1 or bounds[-1] > len(self._positions):
            raise damaged(self._path, "positions out of bounds")
        return counts, self._positions[bounds[0] : bounds[-1]].tolist()

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

    def texts(self, numbers: range) -> list[str]:
        """The terms of a range of numbers as text."""
        try:
            return [term.decode("utf-8", "surrogatepass") for term in self.terms(numbers)]
        except UnicodeDecodeError:
            raise damaged(self._path, "a term that is not UTF-8") from None


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

    def __init__(self, folder: str, entry: SegmentEntry) -> None:
        self.entry = entry
        self.documents = entry.documents
        self.deleted = entry.deleted
        self.files = {
            extension: FlatFile(os.path.join(folder, f"{entry.segment_id}.{extension}"), size, crc32)
            for extension, (size, crc32) in entry.files.items()
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
