"""Writing a segment: tokens collected in memory, the two files, and the merging of segments into one.

Everything that becomes postings, whether tokens handed over, tokens from a Whoosh analyzer or older segments, passes
through one shape: the postings of a term (TermPostings), terms ascending, into InvertedWriter.write_field().
"""

from __future__ import annotations

import json
import os
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, compress, count, islice, pairwise, repeat, starmap
from math import fsum, isfinite
from operator import ne
from typing import TYPE_CHECKING, Any, Protocol

from papersearch.analysis.tokens import Pairs, Terms
from papersearch.errors import UsageError
from papersearch.fields import TEXT
from papersearch.index.flatfile import PACKED_START, FlatWriter, damaged, narrow
from papersearch.index.lexicon import (
    BLOCK_BYTE,
    FILTER_BYTES,
    PAIR_CHAR,
    PAIR_FIRST,
    PAIR_NEXT,
    PAIR_START,
    SEPARATOR,
    TERM_BITS,
    TERM_BYTES,
    TERM_FILTER,
    TERM_HEAD,
    encode,
    filter_bits,
    filter_parts,
)
from papersearch.index.segment import (
    BLOCK_BITS,
    BLOCK_DOC,
    BLOCK_ROW,
    CODE_BITS,
    DOCS,
    LARGE_TERM,
    LARGE_VALUE,
    LENGTH,
    LOW_BITS,
    MORE,
    MORE_START,
    ODD,
    ODD_HIGH,
    ODD_ROW,
    ODD_START,
    ODD_WEIGHT,
    POSITION_LOW,
    ROWS,
    RUN_BITS,
    SAVED,
    SHAPE_CODE,
    SHAPE_HIGH,
    SHAPE_START,
    SHAPE_WEIGHT,
    SIZES_BITS,
    STORED_BYTES,
    STORED_DICTIONARY,
    STORED_SIZE,
    STORED_START,
    TERM_SIZES,
    TERMS,
    TOO_LARGE,
    Segment,
    SegmentField,
    all_of,
)
from papersearch.index.toc import DOCUMENTS, INVERTED, SegmentEntry
from papersearch.index.ways import Coding, pack_ways

if TYPE_CHECKING:
    from papersearch.analysis.tokens import Term
    from papersearch.index.codebook import Codebook
    from papersearch.index.coding import Codes, Collector

# A token in the pool is one number: document | position | boost code. Sorting a term's numbers sorts its tokens.
BOOST_BITS, POSITION_BITS, DOC_BITS = 13, 31, 20
POSITION_LIMIT = 1 << POSITION_BITS
MAX_POOL_TOKENS = 8_000_000
"""Tokens after which the pool wants to become a segment: 64 MB of numbers, and some 200 bytes for each term; in arrays
as much again while they are sorted."""
MAX_POOL_DOCUMENTS = 1 << DOC_BITS
MAX_POOL_BOOSTS = 1 << (BOOST_BITS - 1)
MAX_SHAPES = ODD
"""Shapes in the table of a field, the most frequent ones; the rest is written out row by row."""
PACKING_LEVEL = 3
"""For zlib. Level 6 takes off another 4% and half as long again."""
PARTS_LEVEL = 6
"""The same for what is compressed in parts: terms, their sizes, and codes of shapes."""
COPIED_AT_ONCE = 1 << 20
ROWS_FOR_ARRAYS = 1 << 18
"""Postings of a field from which on they are merged on arrays: it takes a while to load them."""
DICTIONARY_BYTES = 1 << 15
DICTIONARY_PAYS = 4
"""Times its size that objects must have before they get a dictionary: below, it costs more than it saves."""
CODEBOOK_PAYS = 1 << 20
"""Bytes of objects from which on they may have a codebook. A tenth would do, but what is compressed is copied where a
small index is merged with each edit."""
COUNT_ALL, COUNT_ONE_OF = 2048, 4
"""Documents of a segment of which the words are counted before a merge; of more, one of so many."""
MOSTLY_ONE = 7 / 8
"""Share of the objects of a merge from which on the codebook that they have is good enough for all."""
PACKED_TO_COMPARE = 64
"""Objects that are compressed to see whether that is less."""

_LOW_MASK = (1 << LOW_BITS) - 1
_POSITION_MASK = POSITION_LIMIT - 1
_BOOST_MASK = (1 << BOOST_BITS) - 1
_DOC_SHIFT = BOOST_BITS + POSITION_BITS


TermPostings = tuple[bytes, Sequence[int], Sequence[float], Sequence[int], Sequence[int]]
"""The postings of one term in one field: the term; document numbers, ascending; weights; numbers of positions; and the
positions of all postings, one posting after the other (the last two are empty in a field without positions)."""


# ---- Collecting


class Collected(Protocol):
    """The postings of one field as they are collected for a segment."""

    positional: bool

    def rows(self, coding: Coding) -> Rows:
        """They as they are written. To be called once, at the end."""
        ...


class CollectedTokens(Collected, Protocol):
    """The same, made from tokens."""

    def add(self, doc: int, code: int, terms: Sequence[str], positions: array[int]) -> None:
        """Add tokens of a document that have the boost of that code; documents ascend."""
        ...

    def add_pairs(self, doc: int, code: int, pairs: Pairs) -> None:
        """Add pairs of characters in the same way."""
        ...


class Tokens:
    """Tokens of one field, per term."""

    positional = True

    def __init__(self, boosts: list[float]) -> None:
        self.packed: defaultdict[str, array[int]] = defaultdict(lambda: array("Q"))
        self._boosts = boosts

    def add(self, doc: int, code: int, terms: Sequence[str], positions: array[int]) -> None:
        packed, base = self.packed, doc << _DOC_SHIFT | code
        for term, position in zip(terms, positions, strict=True):
            packed[term].append(base | position << BOOST_BITS)

    def add_pairs(self, doc: int, code: int, pairs: Pairs) -> None:
        self.add(doc, code, *pairs.columns())

    def rows(self, coding: Coding) -> Rows:
        return rows_of(self._terms(), self.positional, coding)

    def _terms(self) -> Iterator[TermPostings]:
        boosts = self._boosts
        for term in sorted(self.packed):
            tokens = self.packed[term].tolist()
            if len(tokens) == 1:  # most terms
                token = tokens[0]
                position = token >> BOOST_BITS & _POSITION_MASK
                yield encode(term), [token >> _DOC_SHIFT], [boosts[token & _BOOST_MASK]], [1], [position]
                continue
            tokens.sort()
            docs = [token >> _DOC_SHIFT for token in tokens]
            weights = [boosts[token & _BOOST_MASK] for token in tokens]
            positions = [token >> BOOST_BITS & _POSITION_MASK for token in tokens]
            if len(set(docs)) == len(docs):
                yield encode(term), docs, weights, [1] * len(docs), positions
                continue
            starts = [0, *compress(count(1), map(ne, docs[1:], docs))]
            bounds = list(pairwise([*starts, len(docs)]))
            # fsum: a weight must not depend on the order in which the tokens came
            sums = [weights[start] if end - start == 1 else fsum(weights[start:end]) for start, end in bounds]
            yield encode(term), [docs[i] for i in starts], sums, [end - start for start, end in bounds], positions


class _Postings:
    """Postings of one field as Whoosh hands them over, per term."""

    class Lists:
        __slots__ = ("counts", "docs", "positions", "weights")

        def __init__(self) -> None:
            self.docs, self.weights = array("I"), array("d")
            self.counts, self.positions = array("I"), array("I")

    def __init__(self, positional: bool) -> None:
        self.positional = positional
        self._lists: defaultdict[bytes, _Postings.Lists] = defaultdict(self.Lists)

    def add(self, term: bytes, doc: int, weight: float, positions: bytes) -> int:
        lists = self._lists[term]
        lists.docs.append(doc)
        lists.weights.append(weight)
        if self.positional:
            lists.positions.frombytes(positions)
            lists.counts.append(len(positions) // lists.positions.itemsize)
        return 1

    def rows(self, coding: Coding) -> Rows:
        return rows_of(self._terms(), self.positional, coding)

    def _terms(self) -> Iterator[TermPostings]:
        for term, lists in sorted(self._lists.items(), key=lambda pair: pair[0]):
            counts, positions = lists.counts.tolist(), lists.positions.tolist()
            yield term, lists.docs.tolist(), lists.weights.tolist(), counts, positions


def columns_of(tokens: Iterable[Term]) -> Terms | Pairs:
    """Tokens in columns, those that are so already as they are. Raises UsageError where they cannot be."""
    try:
        return tokens if isinstance(tokens, (Terms, Pairs)) else Terms.of(tokens)
    except OverflowError:
        raise _position_error() from None


def _position_error() -> UsageError:
    return UsageError(f"a position of a token is not in [0, 2**{POSITION_BITS})")


class TokenPool:
    """The tokens of the segment being written, in memory, as a few numbers each."""

    def __init__(self, collector: Callable[[list[float]], CollectedTokens] = Tokens) -> None:
        """`collector` makes what holds the tokens of a field, from the list of boosts by their codes."""
        self._collector = collector
        self._boosts: list[float] = []
        self._codes: dict[float, int] = {}
        self._tokens: dict[str, CollectedTokens] = {}
        self._postings: dict[str, _Postings] = {}
        self.token_count = 0

    def is_full(self, documents: int) -> bool:
        """Whether it is time to write the segment."""
        return (
            self.token_count >= MAX_POOL_TOKENS
            or documents >= MAX_POOL_DOCUMENTS
            or len(self._boosts) >= MAX_POOL_BOOSTS
        )

    def check(self, tokens: Terms | Pairs) -> None:
        """Make sure that the tokens can be added.

        Raises:
            UsageError: a position or a boost is out of range.
        """
        boosts = {1.0} if isinstance(tokens, Pairs) else tokens.columns.keys()
        for boost in boosts - self._codes.keys():
            if not (boost > 0 and isfinite(boost)):
                raise UsageError(f"boost {boost} of a token is not a positive number")
            if len(self._boosts) > _BOOST_MASK:
                raise UsageError(f"a document has more than {MAX_POOL_BOOSTS} different boosts")
            self._codes[boost] = len(self._boosts)
            self._boosts.append(float(boost))
        if isinstance(tokens, Pairs):
            end = max([start + len(run) for run, start in tokens.runs()], default=0)
        else:
            end = max([max(positions) + 1 for _, positions in tokens.columns.values()], default=0)
        if end > POSITION_LIMIT:
            raise _position_error()

    def add_tokens(self, field: str, doc: int, tokens: Terms | Pairs) -> None:
        """Add tokens that check() has let pass to the document of that number."""
        if field in self._postings:
            raise TypeError(f"field {field!r} already has postings from an analyzer in this segment")
        streams = self._tokens.get(field)
        if streams is None:
            streams = self._tokens[field] = self._collector(self._boosts)
        if isinstance(tokens, Pairs):
            streams.add_pairs(doc, self._codes[1.0], tokens)
        else:
            for boost, (terms, positions) in tokens.columns.items():
                streams.add(doc, self._codes[boost], terms, positions)
        self.token_count += len(tokens)

    def add_posting(
        self, field: str, term: bytes, doc: int, weight: float, positions: bytes, *, positional: bool
    ) -> None:
        """Add a whole posting; positions are 4-byte numbers in the machine's order."""
        if field in self._tokens:
            raise TypeError(f"field {field!r} already has tokens in this segment")
        postings = self._postings.get(field)
        if postings is None:
            postings = self._postings[field] = _Postings(positional)
        self.token_count += postings.add(term, doc, weight, positions)

    def fields(self) -> Iterator[tuple[str, Collected]]:
        """Name and postings of each field; may be read once."""
        for name in sorted(self._tokens.keys() | self._postings.keys()):
            yield name, self._tokens.pop(name) if name in self._tokens else self._postings.pop(name)

    def clear(self) -> None:
        """Forget everything."""
        self._tokens.clear()
        self._postings.clear()


# ---- The two files


def json_bytes(value: dict[str, Any], what: str) -> bytes:
    """A JSON object as it is written.

    Raises:
        UsageError: `what`, for so the value is called, is not JSON.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{what} is not JSON: {error}") from None
    return text.encode("utf-8", "surrogatepass")


class _Packer:
    """Compresses stored objects, each so that it can be read alone, with a dictionary of what the first ones say.

    Their keys, and the words of their language, stand in nearly all of them, and one object is too short to learn them.
    """

    def __init__(self, dictionary: bytes) -> None:
        self._fresh = zlib.compressobj(PACKING_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, 0, dictionary)

    def pack(self, stored: bytes) -> bytes:
        compressor = self._fresh.copy()  # much faster than to take in the dictionary again
        return compressor.compress(stored) + compressor.flush()


def _dictionary_of(objects: Iterable[bytes]) -> bytes:
    """A dictionary for objects that begin with these; empty if they are too few to pay for one."""
    first, size = [], 0
    for stored in objects:
        first.append(stored)
        size += len(stored)
        if size >= DICTIONARY_BYTES * DICTIONARY_PAYS:
            return b"".join(first)[-DICTIONARY_BYTES:]
    return b""


class DocumentsWriter:
    """Writes the documents file: stored objects and lengths.

    Objects wait until there are enough for a codebook of their words to pay (coding); fewer are compressed. From then
    on they are collected to learn the words, and written in the end.
    """

    def __init__(self, folder: str, segment_id: str) -> None:
        self._segment_id = segment_id
        self._file = FlatWriter(os.path.join(folder, f"{segment_id}.{DOCUMENTS}"))
        self._file.start_stream(STORED_BYTES)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._words: list[str] = []
        """Chinese words that the objects hold which wait."""
        self._collector: Collector | None = None
        self._pack: Callable[[bytes], bytes] | None = None
        """How objects are written, when that is decided."""
        self._codes: Codes | None = None
        self._dictionary = b""
        self._start = array("Q", [0])
        self._size = array("Q")
        self._lengths: dict[str, array[int]] = {}
        self.totals: defaultdict[str, int] = defaultdict(int)
        """Sum of each field's lengths."""

    def add(self, stored: bytes, lengths: Iterable[tuple[str, int]], words: Iterable[str] = ()) -> None:
        """Add the next document. `words`: Chinese ones that the object is known to hold."""
        self.add_lengths(len(self._size), lengths)
        self._size.append(len(stored))
        self._take(stored, words)

    def _take(self, stored: bytes, words: Iterable[str] = ()) -> None:
        if self._pack is not None:
            self._write(self._pack(stored))
            return
        self._waiting.append(stored)
        self._waiting_bytes += len(stored)
        self._words += words
        if self._waiting_bytes >= CODEBOOK_PAYS:
            self._collect()

    def _collect(self) -> None:
        """Collect what has waited: many objects at once, since what it takes is then near in memory."""
        from papersearch.index.coding import Collector  # an edit does without

        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        words, self._words = self._words, []
        if self._collector is None:
            self._dictionary = _dictionary_of(waiting)
            self._collector = Collector(waiting, words)
        self._collector.know(words)
        for number, stored in enumerate(waiting):
            if not self._collector.add(stored):
                self._decide(self._collector)
                for rest in waiting[number:]:
                    self._take(rest)
                return

    def _decide(self, collector: Collector) -> None:
        """Write what was collected, by codes or compressed, whichever is less, and what is still to come likewise."""
        codes = collector.codes()
        coded, packer = list(collector.coded(codes)), _Packer(self._dictionary)
        step = len(coded) // PACKED_TO_COMPARE + 1
        packed = [len(packer.pack(stored)) for stored in collector.objects(step)]
        if codes and sum(map(len, coded)) + codes.size() < sum(packed) * step:
            self.use(codes)
            for data in coded:
                self._write(data)
        else:
            self._pack = packer.pack
            for stored in collector.objects():
                self._take(stored)

    def use(self, codes: Codes) -> None:
        """Write the objects that come from here on, which are the first ones, by these codes."""
        self._codes, self._pack, self._dictionary = codes, codes.encode, b""

    def add_coded(self, coded: bytes, size: int, lengths: Iterable[tuple[str, int]]) -> None:
        """Add a document whose object, of that size, has the codes that are in use."""
        self.add_lengths(len(self._size), lengths)
        self._size.append(size)
        self._write(coded)

    def copy(self, segment: Segment) -> bool:
        """Take the stored objects of a segment as the first ones, compressed as they are; False if that cannot be.
        Their lengths are to be added."""
        dictionary, data, starts, sizes = segment.packed()
        if len(self._size) or not dictionary:
            return False
        self._dictionary, self._pack = dictionary, _Packer(dictionary).pack
        for at in range(0, len(data), COPIED_AT_ONCE):
            self._file.write(bytes(data[at : at + COPIED_AT_ONCE]))
        self._start, self._size = array("Q", starts), array("Q", sizes)
        return True

    def add_lengths(self, number: int, lengths: Iterable[tuple[str, int]]) -> None:
        """Add the lengths of a document; numbers ascend."""
        for field, length in lengths:
            column = self._lengths.get(field)
            if column is None:
                column = self._lengths[field] = array("I")
            column.extend([0] * (number - len(column)))
            column.append(length)
            self.totals[field] += length

    def _write(self, packed: bytes) -> None:
        self._file.write(packed)
        self._start.append(self._start[-1] + len(packed))

    def close(self) -> tuple[int, int]:
        """Finish the file; its size and its directory's CRC-32."""
        file, count = self._file, len(self._size)
        if self._collector is not None and self._pack is None:
            self._collect()
        if self._collector is not None and self._pack is None:
            self._decide(self._collector)
        if self._pack is None:
            self._dictionary = _dictionary_of(self._waiting)
            self._pack = _Packer(self._dictionary).pack
            for stored in self._waiting:
                self._take(stored)
        file.end_stream()
        file.put(STORED_START, narrow(self._start, self._start[-1]))
        file.put(STORED_SIZE, narrow(self._size))
        file.put(STORED_DICTIONARY, self._dictionary)
        if self._codes is not None:
            self._codes.write(file)
        for field in sorted(self._lengths):
            column = self._lengths[field]
            column.extend([0] * (count - len(column)))
            file.put(LENGTH + field, narrow(column))
        file.meta.update(segment=self._segment_id, documents=count)
        file.close()
        return file.size, file.crc32

    def discard(self) -> None:
        """Delete what was written."""
        self._file.discard()


Shape = tuple[float, int | tuple[int, ...]]
"""Weight, and the positions without their last bits; a number where it is one position, as it mostly is."""


class _Shapes(dict[Shape, int]):
    """Shape -> its number, in the order in which they came."""

    def __missing__(self, shape: Shape) -> int:
        number = self[shape] = len(self)
        return number

    def in_order(self) -> list[tuple[float, tuple[int, ...]]]:
        """The shapes by their numbers."""
        return [(weight, highs if isinstance(highs, tuple) else (highs,)) for weight, highs in self]


class Names:
    """The terms of a field as they are written, ascending, with their numbers of rows and the bytes of their
    documents."""

    def __init__(self) -> None:
        self.terms: list[bytes] = []
        self.counts, self.sizes = array("I"), array("I")

    def add(self, term: bytes, rows: int, size: int) -> None:
        """Take the next one. Raises UsageError if it cannot be told from its neighbours."""
        if SEPARATOR in term:
            raise UsageError(f"a term holds the byte FF, which no text in UTF-8 does: {term!r}")
        self.terms.append(term)
        self.counts.append(rows)
        self.sizes.append(size)

    def lexicon(self) -> Sections:
        """The sections of the terms."""
        return lexicon_of(self.terms)


Sections = dict[str, "array[int] | bytes"]


def lexicon_of(terms: list[bytes]) -> Sections:
    """The sections of the terms of a field: those of pairs where they can be that."""
    return lexicon_of_pairs(terms) or lexicon_of_words(terms)


def lexicon_of_words(terms: list[bytes]) -> Sections:
    """The sections of any terms."""
    step = 1 << TERM_BITS
    blocks = [SEPARATOR + SEPARATOR.join(terms[i : i + step]) for i in range(0, len(terms), step)]
    starts = array("Q", accumulate(map(len, blocks), initial=0))
    sections: Sections = {
        TERM_HEAD: SEPARATOR.join(terms[::step]),
        BLOCK_BYTE: narrow(starts, starts[-1]),
        **packed_sections(TERM_BYTES, blocks),
    }
    if parts := filter_parts(len(terms)):
        filtered = bytearray(parts * FILTER_BYTES)
        for term in terms:
            part, one, other = filter_bits(term, parts)
            filtered[part * FILTER_BYTES + (one >> 3)] |= 1 << (one & 7)
            filtered[part * FILTER_BYTES + (other >> 3)] |= 1 << (other & 7)
        sections[TERM_FILTER] = bytes(filtered)
    return sections


def packed_sections(name: str, parts: Iterable[bytes]) -> Sections:
    """The sections of bytes that are compressed part by part: see flatfile.Packed."""
    packed = [zlib.compress(part, PARTS_LEVEL) for part in parts]
    starts = array("Q", accumulate(map(len, packed), initial=0))
    return {name: b"".join(packed), name + PACKED_START: narrow(starts, starts[-1])}


def lexicon_of_pairs(terms: list[bytes]) -> Sections | None:
    """The sections of terms of one character or two; None where one has none or more."""
    texts = []
    for term in terms:
        text = term.decode("utf-8", "surrogatepass")
        if not 1 <= len(text) <= 2:
            return None
        texts.append(text)
    chars = sorted(set("".join(texts)))
    number_of = {char: number for number, char in enumerate(chars, 1)}
    first, start, packed = array("Q", [0]), array("Q", [0]), bytearray()
    ways = [pack_ways([way], 2) for way in range(len(chars) + 1)]
    at = 0
    for char in chars:
        begin = at
        while at < len(texts) and texts[at][0] == char:
            at += 1
        seconds = [number_of[text[1]] if len(text) == 2 else 0 for text in texts[begin:at]]
        packed += b"".join([ways[second - before] for before, second in zip([0, *seconds], seconds)])  # noqa: B905
        first.append(at)
        start.append(len(packed))
    return {
        PAIR_CHAR: narrow(list(map(ord, chars))),
        PAIR_FIRST: narrow(first, first[-1]),
        PAIR_START: narrow(start, start[-1]),
        PAIR_NEXT: bytes(packed),
    }


class Rows:
    """The postings of a field as they are written, but for the table of shapes."""

    def __init__(
        self, names: Names, docs: bytearray, lows: bytearray, shapes: list[tuple[float, tuple[int, ...]]], numbers: Any
    ) -> None:
        self.names = names
        self.docs, self.lows = docs, lows
        """Documents, term after term; the last bits of the positions of each row, if it has any."""
        self.shapes = shapes
        """Weight, and positions without their last bits, in the order in which they come first."""
        self.numbers: Any = numbers
        """Number of the shape of each row."""

    def frequencies(self) -> Sequence[int]:
        """In how many rows each shape is."""
        frequency = Counter(self.numbers)
        return [frequency[number] for number in range(len(self.shapes))]

    def codes(self, code_of: bytearray) -> bytes:
        """The code of each row, where `code_of` has that of each shape."""
        return bytes(map(code_of.__getitem__, self.numbers))

    def starts(self, step: int) -> Sequence[int]:
        """Where the positions of each row begin whose number is a multiple of `step`, and if the number of rows is
        one, where the last ones end."""
        sizes = [len(highs) for _, highs in self.shapes]
        return [*islice(accumulate(map(sizes.__getitem__, self.numbers), initial=0), 0, None, step)]


def rows_of(terms: Iterable[TermPostings], positional: bool, coding: Coding) -> Rows:
    """Postings as they are written; terms ascend by their bytes."""
    names, docs = Names(), bytearray()
    shapes, numbers, lows = _Shapes(), array("I"), bytearray()
    for term, term_docs, weights, counts, positions in terms:
        if len(positions) == 1:  # most terms
            names.add(term, 1, coding.width)
            docs += term_docs[0].to_bytes(coding.width, "little")
            lows.append(positions[0] & _LOW_MASK)
            numbers.append(shapes[weights[0], positions[0] >> LOW_BITS])
            continue
        size = len(docs)
        docs += coding.pack(term_docs)
        names.add(term, len(term_docs), len(docs) - size)
        highs: Iterable[int | tuple[int, ...]] = repeat(())
        if positional:
            highs = flat = [position >> LOW_BITS for position in positions]
            if len(flat) != len(term_docs):
                bounds = pairwise(accumulate(counts, initial=0))
                highs = [flat[start] if end - start == 1 else tuple(flat[start:end]) for start, end in bounds]
            lows += bytes([position & _LOW_MASK for position in positions])
        numbers.extend(map(shapes.__getitem__, zip(weights, highs, strict=positional)))
    return Rows(names, docs, lows, shapes.in_order(), numbers)


class InvertedWriter:
    """Writes the inverted file: for each field its terms and their postings."""

    def __init__(self, folder: str, segment_id: str, documents: int) -> None:
        self._file = FlatWriter(os.path.join(folder, f"{segment_id}.{INVERTED}"))
        self.coding = Coding(documents)
        self._file.meta.update({"segment": segment_id, "documents": documents, "fields": {}, TERMS: {}})

    def write_field(self, name: str, positional: bool, terms: Iterable[TermPostings]) -> None:
        """Write a field; terms ascend by their bytes."""
        self._write(name, positional, rows_of(terms, positional, self.coding))

    def write_rows(self, name: str, rows: Rows) -> None:
        """Write a field with positions."""
        self._write(name, True, rows)

    def write_collected(self, name: str, collected: Collected) -> None:
        """Write a field of which all postings were collected."""
        self._write(name, collected.positional, collected.rows(self.coding))

    def _write(self, name: str, positional: bool, rows: Rows) -> None:
        if not rows.docs:
            return
        self._put_names(name, rows.names)
        self._put(name, DOCS, rows.docs)
        self._put_shapes(name, positional, rows)
        if positional:
            more = [start - (block << BLOCK_BITS) for block, start in enumerate(rows.starts(1 << BLOCK_BITS))]
            starts = more[:: 1 << RUN_BITS]
            self._put(name, MORE_START, narrow(starts))
            self._put(name, MORE, narrow([before - starts[block >> RUN_BITS] for block, before in enumerate(more)]))
            self._put(name, POSITION_LOW, rows.lows)
        self._file.meta["fields"][name] = positional

    def _put_names(self, name: str, terms: Names) -> None:
        counts, sizes, width = terms.counts, terms.sizes, self.coding.width
        self._put_all(name, terms.lexicon())
        for section, numbers in ((BLOCK_ROW, counts), (BLOCK_DOC, sizes)):
            sums = list(accumulate(numbers, initial=0))
            self._put(name, section, narrow(array("Q", [*sums[: -1 : 1 << TERM_BITS], sums[-1]]), sums[-1]))
        saved = array("Q", [count * width - size for count, size in zip(counts, sizes, strict=True)])
        small = []
        for section, numbers in ((ROWS, counts), (SAVED, saved)):
            large = [*compress(count(), map(TOO_LARGE.__le__, numbers))]
            small.append(bytes(map(min, numbers, repeat(TOO_LARGE)) if large else numbers.tolist()))
            if large:
                self._put(name, section + LARGE_TERM, narrow(large))
                self._put(name, section + LARGE_VALUE, narrow([numbers[i] for i in large]))
        step = 1 << SIZES_BITS
        both = b"".join([data[i : i + step] for i in range(0, len(counts), step) for data in small])
        self._put_packed(name, TERM_SIZES, both, SIZES_BITS + 1)
        self._file.meta[TERMS][name] = len(terms.terms)

    def _put_packed(self, name: str, section: str, data: bytes, bits: int) -> None:
        """Write bytes of which 1 << bits are compressed together."""
        step = 1 << bits
        self._put_all(name, packed_sections(section, [data[i : i + step] for i in range(0, len(data), step)]))

    def _put_all(self, field: str, sections: Sections) -> None:
        for section, values in sections.items():
            self._put(field, section, values)

    def _put(self, field: str, section: str, values: array[Any] | bytes | bytearray) -> None:
        self._file.put(f"{field}/{section}", values)

    def _put_shapes(self, name: str, positional: bool, rows: Rows) -> None:
        """Write the most frequent shapes as a table, the code of each row, and the rows of all other shapes."""
        shapes, frequency = rows.shapes, rows.frequencies()
        short = [number for number, (_, highs) in enumerate(shapes) if len(highs) < 1 << LOW_BITS]
        table = sorted(short, key=frequency.__getitem__, reverse=True)[:MAX_SHAPES]
        code_of = bytearray([ODD]) * len(shapes)
        for code, number in enumerate(table):
            code_of[number] = code
        codes = rows.codes(code_of)
        odd_rows = list(all_of(ODD, codes)) if len(table) < len(shapes) else []
        odd_shapes = [shapes[rows.numbers[row]] for row in odd_rows]
        self._put(name, SHAPE_WEIGHT, array("d", [shapes[number][0] for number in table]))
        if len(table) != 1 or odd_rows:
            self._put_packed(name, SHAPE_CODE, codes, CODE_BITS)
        if odd_rows:
            self._put(name, ODD_ROW, narrow(odd_rows))
            self._put(name, ODD_WEIGHT, array("d", [weight for weight, _ in odd_shapes]))
        if positional:
            self._put_highs(name, SHAPE_START, SHAPE_HIGH, [shapes[number][1] for number in table])
            if odd_rows:
                self._put_highs(name, ODD_START, ODD_HIGH, [highs for _, highs in odd_shapes])

    def _put_highs(self, name: str, start: str, high: str, highs: list[tuple[int, ...]]) -> None:
        starts = array("Q", accumulate(map(len, highs), initial=0))
        self._put(name, start, narrow(starts, starts[-1]))
        self._put(name, high, narrow([value for values in highs for value in values]))

    def close(self) -> tuple[int, int]:
        """Finish the file; its size and its directory's CRC-32."""
        self._file.close()
        return self._file.size, self._file.crc32

    def discard(self) -> None:
        """Delete what was written."""
        self._file.discard()


# ---- Merging


MergedDocuments = tuple[dict[str, int], tuple[int, int]]
"""Of a documents file the sums of each field's lengths, and its size and its directory's CRC-32."""


def merge_segments(
    folder: str,
    segments: Sequence[Segment],
    segment_id: str,
    documents: Callable[[], MergedDocuments | None] | None = None,
) -> SegmentEntry:
    """Write one segment with the live documents of several, in their order.

    Works on the files, a field at a time: exact lengths and weights stay exact, and no text is analysed again. Raises
    IndexDamagedError if a byte of them is not what was written: it would get a fresh checksum.

    `documents`: waits for what another process says who does merge_documents(); None if it failed.
    """
    for segment in segments:
        for file in segment.files.values():
            file.check()
    new_numbers: list[list[int]] = []  # per segment: old document number -> new one, -1 for a deleted document
    count = 0
    for segment in segments:
        numbers = []
        for doc in range(segment.documents):
            numbers.append(-1 if doc in segment.deleted else count)
            count += numbers[-1] >= 0
        new_numbers.append(numbers)
    inverted = _merge_fields(folder, segments, segment_id, new_numbers, count)
    merged = None if documents is None else documents()
    if merged is None:
        merged = merge_documents(folder, segments, segment_id)
    totals, stored = merged
    return SegmentEntry(segment_id, count, lengths=totals, files={DOCUMENTS: stored, INVERTED: inverted})


def merge_documents(folder: str, segments: Sequence[Segment], segment_id: str) -> MergedDocuments:
    """Write the live documents, for merge_segments()."""
    documents = DocumentsWriter(folder, segment_id)
    stored = _merge_documents(folder, documents, segments)
    return dict(documents.totals), stored


def _merge_documents(folder: str, documents: DocumentsWriter, segments: Sequence[Segment]) -> tuple[int, int]:
    """Write the live documents; the size of the file and its directory's CRC-32."""
    try:
        recodings = _recodings(documents, segments)
        few = sum(map(_stored_bytes, segments)) < CODEBOOK_PAYS
        for segment in segments:
            recode = recodings.get(segment.entry.segment_id)
            copied = not recodings and few and not segment.deleted and documents.copy(segment)
            words: Sequence[str] = () if recodings or few else _chinese(segment)
            columns = [(name, column) for name in segment.length_names() if (column := segment.lengths(name))]
            for doc in _live(segment):
                lengths = [(name, column[doc]) for name, column in columns]
                if copied:
                    documents.add_lengths(doc, lengths)
                elif recode is not None:
                    packed, size = segment.packed_object(doc)
                    documents.add_coded(recode(packed), size, lengths)
                else:
                    documents.add(segment.stored(doc), lengths, words)
                    words = ()
    except UnicodeDecodeError:
        raise damaged(folder, "a stored object is not UTF-8") from None
    return documents.close()


def _live(segment: Segment) -> Iterator[int]:
    return (doc for doc in range(segment.documents) if doc not in segment.deleted)


def _stored_bytes(segment: Segment) -> int:
    return sum(segment.packed()[3])


def _chinese(segment: Segment) -> Sequence[str]:
    """The Chinese words of the documents, and others."""
    field = segment.field(TEXT)
    return () if field is None else field.texts(range(field.term_count))


def _recodings(
    documents: DocumentsWriter, segments: Sequence[Segment]
) -> dict[str, Callable[[memoryview[Any]], bytes]]:
    """How the objects of each segment that has a codebook are written with the one that the documents get; none if no
    segment has one."""
    books = {segment: book for segment in segments if (book := segment.codebook()) is not None}
    if not books:
        return {}
    from papersearch.index.coding import Codes, Translation, merged_codes  # most merges are of few documents

    def coded(segment: Segment, book: Codebook) -> tuple[Codebook, Iterator[bytes], int]:
        one_of = 1 if segment.deleted or segment.documents < COUNT_ALL else COUNT_ONE_OF
        docs = islice(_live(segment), 0, None, one_of)
        return book, (bytes(segment.packed_object(doc)[0]) for doc in docs), one_of

    largest = max(books, key=_stored_bytes)
    is_mostly_one = _stored_bytes(largest) >= MOSTLY_ONE * sum(map(_stored_bytes, segments))
    if is_mostly_one:
        codes = Codes.of(books[largest])
    else:
        others = (segment.stored(doc) for segment in segments if segment not in books for doc in _live(segment))
        codes = merged_codes(starmap(coded, books.items()), others)
    documents.use(codes)
    return {
        segment.entry.segment_id: bytes if is_mostly_one and segment is largest else Translation(book, codes).of
        for segment, book in books.items()
    }


def _merge_fields(
    folder: str, segments: Sequence[Segment], segment_id: str, new_numbers: list[list[int]], count: int
) -> tuple[int, int]:
    """Write the postings; the size of the file and its directory's CRC-32."""
    inverted = InvertedWriter(folder, segment_id, count)
    positional = {name: kind for segment in segments for name, kind in segment.field_names.items()}
    for name in sorted(positional):
        sources = [
            (field, numbers, bool(segment.deleted))
            for segment, numbers in zip(segments, new_numbers, strict=True)
            if (field := segment.field(name)) is not None
        ]
        if any(field.positional != positional[name] for field, _, _ in sources):
            raise damaged(folder, f"field {name} has positions in some segments only")
        rows = sum([field.row_count for field, _, _ in sources])
        if positional[name] and rows >= ROWS_FOR_ARRAYS and not any(has_deleted for _, _, has_deleted in sources):
            merged = _merged_on_arrays(sources, inverted.coding)
            if merged is not None:
                inverted.write_rows(name, merged)
                continue
        inverted.write_field(name, positional[name], _merged_terms(sources))
    return inverted.close()


def _merged_on_arrays(sources: list[tuple[SegmentField, list[int], bool]], coding: Coding) -> Rows | None:
    """The rows of _merged_terms(), in a tenth of the time; None without numpy."""
    try:
        from papersearch.arrays.postings import merged_rows
    except ImportError:
        return None
    return merged_rows([(numbers[0], field) for field, numbers, _ in sources], coding)


def _merged_terms(sources: list[tuple[SegmentField, list[int], bool]]) -> Iterator[TermPostings]:
    where: defaultdict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for order, (field, _, _) in enumerate(sources):
        for number, term in enumerate(field.terms(range(field.term_count))):
            where[term].append((order, number))
    bounds = [field.all_bounds() for field, _, _ in sources]
    for term in sorted(where):
        docs: list[int] = []
        weights: list[float] = []
        counts: list[int] = []
        positions: list[int] = []
        for order, number in where[term]:
            field, numbers, has_deleted = sources[order]
            first, begin = bounds[order]
            rows = range(first[number], first[number + 1])
            found = [numbers[doc] for doc in field.docs_between(len(rows), begin[number], begin[number + 1])]
            if has_deleted and -1 in found:
                kept = [row for row, doc in zip(rows, found, strict=True) if doc >= 0]
                docs += [doc for doc in found if doc >= 0]
                weights += field.weights(kept)
                for at in map(field.positions, kept) if field.positional else ():
                    counts.append(len(at))
                    positions += at
            else:
                docs += found
                weights += field.weights(rows)
                row_counts, row_positions = field.positions_of(rows)
                counts += row_counts
                positions += row_positions
        if docs:
            yield term, docs, weights, counts, positions
