"""One segment as it is read: the postings of each field, the lengths and the stored objects of its documents."""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left, bisect_right
from itertools import accumulate, chain, pairwise
from operator import add, sub

from papersearch.index.codebook import WORD_BYTES, Codebook
from papersearch.index.flatfile import FlatFile, PackedBytes, damaged, unpack
from papersearch.index.lexicon import SEPARATOR, TERM_BITS, open_lexicon
from papersearch.index.toc import DOCUMENTS, INVERTED, SegmentEntry
from papersearch.index.ways import Coding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from papersearch.errors import IndexDamagedError
    from papersearch.index.flatfile import Stamp

# Sections of the inverted file, each under "<field>/". Rows are the postings of a field: those of its first term,
# documents ascending, then those of the second term, and so on.
TERM_SIZES = "term.sizes"
ROWS, SAVED = "rows", "saved"
"""What a term has two numbers for: its rows, and by how many bytes its documents are shorter than written whole."""
BLOCK_ROW = "block.row"
BLOCK_DOC = "block.doc"
DOCS = "docs"
SHAPE_WEIGHT = "shape.weight"
SHAPE_START = "shape.start"
SHAPE_HIGH = "shape.high"
SHAPE_CODE = "shape.code"
ODD_ROW = "odd.row"
ODD_WEIGHT = "odd.weight"
ODD_START = "odd.start"
ODD_HIGH = "odd.high"
MORE_START = "more.start"
MORE = "more"
POSITION_LOW = "position.low"
LARGE_TERM, LARGE_VALUE = ".term", ".value"
"""Ends of the sections that say of which terms such a number is too large for a byte, and what it is."""
TERMS = "terms"
"""In the file's meta: number of terms of each field."""
# Sections of the documents file.
STORED_BYTES = "stored.bytes"
STORED_START = "stored.start"
STORED_SIZE = "stored.size"
STORED_DICTIONARY = "stored.dictionary"
LENGTH = "length/"

SIZES_BITS = 9
"""Terms whose numbers are compressed together, as a power of two; no less than TERM_BITS."""
CODE_BITS = 11
"""Rows whose codes are compressed together, as a power of two."""
BLOCK_BITS = 6
"""Rows per entry of MORE, as a power of two; within such a block, numbers of positions are added up."""
RUN_BITS = 4
"""Entries of MORE per entry of MORE_START, as a power of two."""
LOW_BITS = 8
"""Bits of a position that stand in POSITION_LOW; the others belong to the shape."""
ODD = 255
"""Code of a row whose shape is not in the table."""
TOO_LARGE = 255
"""A small number that stands among the large ones."""

REMEMBERED_TERMS = 1 << 13
"""Terms of a field whose numbers are remembered: a search asks for the same one several times."""

SCATTERED = 32
"""Rows apart on average from which on their positions are looked for one by one."""

_SIZES_MASK = (1 << SIZES_BITS) - 1
_INFINITY = float("inf")


class TermSizes:
    """Of each term its rows, and by how many bytes its documents are shorter than written whole. Reads in place.

    Nearly all of these numbers take a byte before they are compressed, 1 << SIZES_BITS terms at a time: first the rows
    of all of them, and then the other number.

    Raises:
        IndexDamagedError: the sections contradict each other.
    """

    __slots__ = ("_data", "_large")

    def __init__(self, file: FlatFile, prefix: str, terms: int) -> None:
        self._data = PackedBytes(file, prefix + TERM_SIZES, 2 * terms, SIZES_BITS + 1)
        self._large: list[tuple[memoryview[Any], memoryview[Any]]] = []
        for name in (ROWS, SAVED):
            numbers = values = memoryview(b"")
            if prefix + name + LARGE_TERM in file:
                numbers, values = file.section(prefix + name + LARGE_TERM), file.section(prefix + name + LARGE_VALUE)
            if len(numbers) != len(values):
                raise damaged(file.path, f"large numbers of {prefix}{name} are not one for each")
            self._large.append((numbers, values))

    def rows(self, number: int) -> int:
        """Rows of a term."""
        count = self._data.run(number >> SIZES_BITS)[number & _SIZES_MASK]
        return count if count != TOO_LARGE else self._value(0, number)

    def of_terms(self, first: int, end: int) -> tuple[list[int], list[int]]:
        """Both numbers of each of the terms [first, end)."""
        found: tuple[list[int], list[int]] = [], []
        while first < end:
            part = self._data.run(first >> SIZES_BITS)
            low, terms = first & _SIZES_MASK, len(part) >> 1
            high = min(terms, low + end - first)
            for which, data in enumerate((part[low:high], part[terms + low : terms + high])):
                found[which].extend(data)
                for i in all_of(TOO_LARGE, data):
                    found[which][i - len(data)] = self._value(which, first + i)
            first += high - low
        return found

    def sums(self, first: int, end: int) -> tuple[int, int]:
        """The sums of both numbers of the terms [first, end), which are compressed together."""
        part = self._data.run(first >> SIZES_BITS)
        low, terms = first & _SIZES_MASK, len(part) >> 1
        high = low + end - first
        rows, saved = part[low:high], part[terms + low : terms + high]
        if TOO_LARGE in rows or TOO_LARGE in saved:
            large_rows, large_saved = self.of_terms(first, end)
            return sum(large_rows), sum(large_saved)
        return sum(rows), sum(saved)

    def _value(self, which: int, number: int) -> int:
        numbers, values = self._large[which]
        at = bisect_left(numbers, number)
        # What is no large number is damage; a small one in its place is found where it has to fit.
        return int(values[at]) if at < len(numbers) and numbers[at] == number else 0


class SegmentField:
    """The postings of one field of one segment.

    A row's *shape* is its weight and, for each of its positions, the position without its last LOW_BITS bits. There
    are few shapes: most rows have one position, and where that is within 256 words of the begin of a zone, the zone
    and the weight say nearly the same. So a row takes a byte for its shape, less when compressed, and one for each
    position.

    For readers that decode many rows at once (a row is the number of a posting in the order above):

    Attributes:
        term_count: number of terms.
        row_count: postings of the field.
        coding: how documents are written.
        docs: bytes of the documents of all terms, one term after the other.
        shape_weights: weight per shape.
        shape_start: where each shape's positions begin in `shape_high`, with the end of the last.
        shape_high: positions of the shapes without their low bits, not shifted.
        has_codes: whether rows have a code for their shape; otherwise all have shape 0.
        lows: low bits of all positions, the rows one after the other; first_position() says where a row's begin.
        more_start, more: how many more positions than rows there are before each (1 << BLOCK_BITS)-th row: those
            before the run of 1 << RUN_BITS such blocks that it is in, and those in it.
        odd_rows: ascending; odd() gives weight and highs of one.
        odd_weights, odd_start, odd_high: for these rows what `shape_…` says of shapes.
    """

    __slots__ = (
        "_block_doc", "_block_row", "_codes", "_counts", "_highs", "_numbers", "_sizes", "_terms", "_weights",
        "coding", "docs", "documents", "has_codes", "lows", "more", "more_start", "odd_high", "odd_rows", "odd_start",
        "odd_weights", "path", "positional", "row_count", "shape_high", "shape_start", "shape_weights", "term_count",
    )  # fmt: skip

    def __init__(self, file: FlatFile, name: str, positional: bool, documents: int) -> None:
        prefix = name + "/"
        self.path = f"{file.path} ({name})"
        self.documents = documents
        self.positional = positional
        self.coding = Coding(documents)
        terms: int = file.meta[TERMS][name]
        self.term_count = terms
        self._terms, self.docs = open_lexicon(file, prefix, terms), file.section(prefix + DOCS, "B")
        self._block_row, self._block_doc = file.section(prefix + BLOCK_ROW), file.section(prefix + BLOCK_DOC)
        self._sizes = TermSizes(file, prefix, terms)
        blocks = -(-terms >> TERM_BITS)
        good = all(len(each) == blocks + 1 and each[0] == 0 for each in (self._block_row, self._block_doc))
        good = good and self._block_doc[-1] == len(self.docs)
        rows = self.row_count = int(self._block_row[-1]) if good else 0
        weights: memoryview[float] = file.section(prefix + SHAPE_WEIGHT, "d")
        self.shape_weights = list(weights)
        good = good and len(weights) <= ODD and all(0.0 < weight < _INFINITY for weight in self.shape_weights)
        self.odd_rows = self.odd_weights = self.odd_start = self.odd_high = memoryview(b"")
        if prefix + ODD_ROW in file:
            self.odd_rows = file.section(prefix + ODD_ROW)
            self.odd_weights = file.section(prefix + ODD_WEIGHT, "d")
            good = good and len(self.odd_weights) == len(self.odd_rows)
        self.has_codes = len(self.shape_weights) != 1 or len(self.odd_rows) > 0
        self._codes = PackedBytes(file, prefix + SHAPE_CODE, rows, CODE_BITS) if self.has_codes else None
        self.more_start = self.more = self.lows = self.shape_start = self.shape_high = memoryview(b"")
        counts = b""
        if positional:
            self.more_start, self.more = file.section(prefix + MORE_START), file.section(prefix + MORE)
            self.lows = file.section(prefix + POSITION_LOW, "B")
            good = good and len(self.more) == (rows >> BLOCK_BITS) + 1
            good = good and len(self.more_start) == (rows >> BLOCK_BITS + RUN_BITS) + 1
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
        self._numbers: dict[bytes, int] = {}
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

    # ---- terms

    def terms(self, numbers: range) -> list[bytes]:
        """The terms of a range of numbers."""
        return self._terms.terms(numbers)

    def term(self, number: int) -> bytes:
        """Bytes of the term of that number."""
        return self.terms(range(number, number + 1))[0]

    def ceiling(self, text: bytes) -> int:
        """Number of the first term that is not less than `text`; term_count if there is none."""
        return self._terms.ceiling(text)

    def find(self, text: bytes) -> int:
        """Number of the term, -1 if the field has no such term."""
        known = self._numbers.get(text)
        if known is None:
            if len(self._numbers) >= REMEMBERED_TERMS:
                self._numbers.clear()
            known = self._numbers[text] = self._terms.find(text)
        return known

    def prefix_range(self, prefix: bytes) -> range:
        """Numbers of the terms that start with `prefix`."""
        if not prefix:
            return range(self.term_count)
        return range(self.ceiling(prefix), self.ceiling(prefix + SEPARATOR))  # nothing that begins so is greater

    def texts_with(self, part: bytes) -> list[str]:
        """The terms that have some bytes, in order, as text."""
        numbers = dict(self._terms.with_part(part))
        if len(self._numbers) + len(numbers) < REMEMBERED_TERMS:
            self._numbers |= numbers  # their postings are asked for next
        return self._decoded(numbers)

    def texts(self, numbers: range) -> list[str]:
        """The terms of a range of numbers as text."""
        return self._decoded(self.terms(numbers))

    def _decoded(self, terms: Iterable[bytes]) -> list[str]:
        try:
            return [term.decode("utf-8", "surrogatepass") for term in terms]
        except UnicodeDecodeError:
            raise damaged(self.path, "a term that is not UTF-8") from None

    # ---- postings

    def rows(self, number: int) -> range:
        """Rows of the term's postings."""
        return self._postings(number)[0]

    def doc_frequency(self, number: int) -> int:
        """How many documents have the term."""
        return self._sizes.rows(number)

    def _postings(self, number: int) -> tuple[range, int, int]:
        """(rows, where the bytes of the documents begin and end) of a term."""
        block = number >> TERM_BITS
        before, saved_before = self._sizes.sums(block << TERM_BITS, number)
        count, saved = self._sizes.sums(number, number + 1)
        row, width = self._block_row[block] + before, self.coding.width
        begin = self._block_doc[block] + before * width - saved_before
        end = begin + count * width - saved
        if not (0 < count <= self.row_count - row and 0 <= begin < end <= len(self.docs)):
            raise damaged(self.path, f"the postings of term {number} are out of bounds")
        return range(row, row + count), begin, end

    def all_bounds(self) -> tuple[list[int], list[int]]:
        """(first row, where the bytes of the documents begin) of each term, with the ends of the last."""
        counts, saved = self._sizes.of_terms(0, self.term_count)
        sizes = [count * self.coding.width - less for count, less in zip(counts, saved, strict=True)]
        rows, begin = list(accumulate(counts, initial=0)), list(accumulate(sizes, initial=0))
        if rows[-1] != self.row_count or begin[-1] != len(self.docs) or min(map(min, counts, sizes), default=1) < 1:
            raise damaged(self.path, "the postings of its terms are out of bounds")
        return rows, begin

    def numbers_with(self, least: int) -> Iterator[tuple[int, int]]:
        """(number, how many) of the terms that at least so many documents have; least > 0."""
        rows = self._block_row.tolist()
        for block, (start, end) in enumerate(pairwise(rows)):
            if end - start >= least:  # hardly ever, if it is many
                first = block << TERM_BITS
                counts, _ = self._sizes.of_terms(first, min(self.term_count, first + (1 << TERM_BITS)))
                yield from ((first + i, count) for i, count in enumerate(counts) if count >= least)

    def bounds(self, number: int) -> tuple[int, int, int, int]:
        """(first row, end of its rows, where the bytes of its documents begin and end in `docs`) of a term."""
        rows, begin, end = self._postings(number)
        return rows.start, rows.stop, begin, end

    def docs_of(self, number: int) -> list[int]:
        """Document numbers of the term's postings, ascending, all below `documents`."""
        rows, begin, end = self._postings(number)
        return self.docs_between(len(rows), begin, end)

    def docs_between(self, count: int, begin: int, end: int) -> list[int]:
        """As docs_of(), of a term with so many postings and these bounds (all_bounds())."""
        docs = self.coding.unpack(bytes(self.docs[begin:end]), count)
        if len(docs) != count or max(docs) >= self.documents:
            raise damaged(self.path, "a posting of a document that does not exist")
        return docs

    def weights(self, rows: Sequence[int]) -> list[float]:
        """Weights of the rows."""
        codes = self._codes_of(rows)
        try:
            weights = list(map(self._weights.__getitem__, codes))
        except KeyError:
            raise self._unknown_shape() from None
        for i in all_of(ODD, codes):
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
            begin = self._block_start(block) + sum(codes[:-1].translate(self._counts))
            highs = self.shape_highs.get(codes[-1], ())
        lows = self.lows[begin : begin + len(highs)]
        if not len(lows) == len(highs) > 0:
            raise damaged(self.path, "positions out of bounds")
        return list(map(add, highs, lows))

    def positions_at(self, rows: Sequence[int]) -> list[list[int]]:
        """positions() of some rows, ascending: from some part of all between the first and the last on, faster."""
        if not rows:
            return []
        first, last = rows[0], rows[-1]
        if not self.positional or len(rows) * SCATTERED < last - first:
            return list(map(self.positions, rows))
        codes, highs = self._codes_of(range(first, last + 1)), self.shape_highs
        counts: Sequence[int] = codes.translate(self._counts)
        if ODD in codes:
            counts = list(counts)
            for i in all_of(ODD, codes):
                counts[i] = len(self.odd(first + i)[1])
        begin = self.first_position(first)
        starts = list(accumulate(counts, initial=0))
        lows = bytes(self.lows[begin : begin + starts[-1]])
        if len(lows) != starts[-1]:
            raise damaged(self.path, "positions out of bounds")
        found: list[list[int]] = []
        for row in rows:
            i = row - first
            start, code = starts[i], codes[i]
            above = self.odd(row)[1] if code == ODD else highs.get(code, ())
            if len(above) == 1:
                found.append([above[0] + lows[start]])
            elif above:
                found.append([*map(add, above, lows[start : starts[i + 1]])])
            else:
                raise self._unknown_shape()
        return found

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
        for i in all_of(ODD, codes):
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
        for i in all_of(ODD, codes):
            values[i] = value(self.odd(rows[i])[1])
        return values

    def first_position(self, row: int) -> int:
        """Index into `lows` of the row's first position; of a row after the last one, where the last one's end."""
        block = row >> BLOCK_BITS
        before = range(block << BLOCK_BITS, row)
        codes = self._codes_of(before)
        begin = self._block_start(block) + sum(codes.translate(self._counts))
        return begin + sum(len(self.odd(before[i])[1]) for i in all_of(ODD, codes))

    def _block_start(self, block: int) -> int:
        start: int = (block << BLOCK_BITS) + self.more_start[block >> RUN_BITS] + self.more[block]
        return start

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
        if self._codes is None:
            return bytes(len(rows))
        if isinstance(rows, range):
            return self._codes.between(rows.start, rows.stop)
        return bytes(map(self._codes.__getitem__, rows))

    def code_block(self, block: int) -> bytes:
        """Codes of the rows from block << CODE_BITS on; only where has_codes."""
        assert self._codes is not None
        return self._codes.run(block)

    def term_problems(self) -> Iterator[str]:
        """What is wrong with the lexicon that finding and reading a term do not notice."""
        terms = self.terms(range(self.term_count))
        if any(second <= first for first, second in pairwise(terms)):
            yield "its terms do not ascend"
        yield from self._terms.problems(terms)

    def _unknown_shape(self) -> IndexDamagedError:
        return damaged(self.path, "a posting of a shape that does not exist")


def all_of(code: int, codes: bytes) -> Iterator[int]:
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
        "_codebook", "_dictionary", "_fields", "_stored", "_stored_size", "_stored_start",
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
        names, terms = inverted.meta.get("fields"), inverted.meta.get(TERMS)
        if type(names) is not dict or type(terms) is not dict or names.keys() != terms.keys():
            raise damaged(inverted.path, "it does not say which fields it has")
        if not all(type(names[name]) is bool and type(terms[name]) is int for name in names):
            raise damaged(inverted.path, "what it says of its fields makes no sense")
        self.field_names: dict[str, bool] = names
        """Indexed fields, and whether each has positions."""
        self._fields: dict[str, SegmentField] = {}
        self._stored = documents.section(STORED_BYTES, "B")
        self._stored_start = documents.section(STORED_START)
        self._stored_size = documents.section(STORED_SIZE)
        self._dictionary = bytes(documents.section(STORED_DICTIONARY, "B"))
        self._codebook: Codebook | None = None
        if len(self._stored_start) != entry.documents + 1 or len(self._stored_size) != entry.documents:
            raise damaged(documents.path, "it does not have one stored object per document")

    def like(self, entry: SegmentEntry) -> Segment:
        """The same files, with what was decoded of them, as another table of contents has them."""
        from copy import copy  # a search in a process of its own does without

        segment = copy(self)
        segment.entry, segment.deleted = entry, entry.deleted
        return segment

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

    def packed(self) -> tuple[bytes, memoryview[Any], Sequence[int], Sequence[int]]:
        """(dictionary of the stored objects, all of them compressed, where each begins, their sizes before)."""
        starts, sizes = self._stored_start.tolist(), self._stored_size.tolist()
        if starts[-1] != len(self._stored):
            raise damaged(self.files[DOCUMENTS].path, "its stored objects do not end where they should")
        return self._dictionary, self._stored, starts, sizes

    def codebook(self) -> Codebook | None:
        """The words by whose codes stored objects are written; None where they are compressed instead."""
        if self._codebook is None and WORD_BYTES in self.files[DOCUMENTS]:
            self._codebook = Codebook(self.files[DOCUMENTS])
        return self._codebook

    def packed_object(self, doc: int) -> tuple[memoryview[Any], int]:
        """(stored object of a document as it is in the file, its size before)."""
        start, end = self._stored_start[doc], self._stored_start[doc + 1]
        if not start <= end <= len(self._stored):
            raise damaged(self.files[DOCUMENTS].path, f"the stored object of document {doc} is out of bounds")
        return self._stored[start:end], self._stored_size[doc]

    def stored(self, doc: int) -> bytes:
        """The stored JSON object of a document as it was written."""
        packed, size = self.packed_object(doc)
        book = self.codebook()
        data = book.decode(packed, size) if book is not None else self._inflated(packed, size)
        if data is None:
            raise damaged(self.files[DOCUMENTS].path, f"the stored object of document {doc} cannot be unpacked")
        return data

    def _inflated(self, packed: memoryview[Any], size: int) -> bytes | None:
        data = unpack(packed, size, zlib.decompressobj(-zlib.MAX_WBITS, self._dictionary))
        return data if data is not None and len(data) == size else None


def locate(bases: Sequence[int], doc: int) -> int:
    """Which of the segments that start at these document numbers holds the document."""
    return bisect_right(bases, doc) - 1
