"""The terms of one field of one segment, ascending by their UTF-8 bytes, each with a number: two ways to keep them.

Words stand in blocks of bytes. Where no term has more than two characters, as in the field of pairs of Chinese
characters, a term is its two characters' numbers, of which the first is said once for all terms that begin with it,
and the second by its way from the one before: a byte in the place of seven.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate, count, pairwise
from zlib import crc32

from papersearch.index.flatfile import FlatFile, Packed, damaged
from papersearch.index.ways import GO_ON, along_ways

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Protocol

    from papersearch.errors import IndexDamagedError

    class Lexicon(Protocol):
        """Terms by their numbers, and numbers by their terms."""

        def terms(self, numbers: range) -> list[bytes]:
            """The terms of a range of numbers."""
            ...

        def find(self, text: bytes) -> int:
            """Number of the term, -1 if there is no such term."""
            ...

        def ceiling(self, text: bytes) -> int:
            """Number of the first term that is not less than `text`; the number of terms if there is none."""
            ...

        def with_part(self, part: bytes) -> Iterable[tuple[bytes, int]]:
            """The terms that have some bytes, in order, with their numbers."""
            ...

        def problems(self, terms: Sequence[bytes]) -> Iterable[str]:
            """What is wrong with what helps to find these, which are all terms."""
            ...


# Sections of the words, under "<field>/".
TERM_BYTES = "term.bytes"
TERM_FILTER = "term.filter"
TERM_HEAD = "term.head"
BLOCK_BYTE = "block.byte"
# Sections of the pairs.
PAIR_CHAR = "pair.char"
PAIR_FIRST = "pair.first"
PAIR_START = "pair.start"
PAIR_NEXT = "pair.next"

TERM_BITS = 7
"""Terms in a block, as a power of two: a term is looked for in the bytes of its block, numbers are added up in it."""
SEPARATOR = b"\xff"
"""Stands before, between and after terms: no UTF-8 has it, and nothing that has is less."""


FEWEST_FILTERED = 1 << 10
"""Terms of a lexicon from which on it has a filter."""
FILTER_BITS = 8
"""Bits of the filter for each term: one in twenty terms that are not there is looked for in vain."""
FILTER_BYTES = 64
"""Bytes of a part of the filter, in which all bits of a term are: a look-up reads no more. A power of two."""

_BIT_MASK = 8 * FILTER_BYTES - 1
_MIXER = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, by which Fibonacci hashing multiplies (D. Knuth, The Art of Computer Programming 6.4): a
CRC is linear, and its bits alone would be alike for terms that are alike."""


def encode(text: str) -> bytes:
    """Bytes of a term. Lone surrogates (from file names that are not UTF-8) pass; order is that of code points."""
    return text.encode("utf-8", "surrogatepass")


def open_lexicon(file: FlatFile, prefix: str, count: int) -> Lexicon:
    """The `count` terms of the field whose sections begin with `prefix`.

    Raises:
        IndexDamagedError: sections are missing or contradict each other.
    """
    return Pairs(file, prefix, count) if prefix + PAIR_NEXT in file else Words(file, prefix, count)


class Words:
    """Terms of any kind, in blocks of 1 << TERM_BITS that are compressed.

    Most terms that are looked for are not there. Of many terms a *filter* says so without unpacking a block: a term
    sets two bits of one of its parts, all three chosen by the term's CRC-32 (a blocked Bloom filter: F. Putze,
    P. Sanders, J. Singler, Cache-, Hash- and Space-Efficient Bloom Filters, 2007).
    """

    __slots__ = ("_block_byte", "_count", "_filter", "_filter_parts", "_heads", "_packed", "_path")

    def __init__(self, file: FlatFile, prefix: str, count: int) -> None:
        self._path, self._count = f"{file.path} ({prefix[:-1]})", count
        blocks = -(-count >> TERM_BITS)
        self._heads = bytes(file.section(prefix + TERM_HEAD, "B")).split(SEPARATOR)
        self._block_byte = file.section(prefix + BLOCK_BYTE)
        self._packed = Packed(file, prefix + TERM_BYTES, blocks)
        self._filter, self._filter_parts = memoryview(b""), filter_parts(count)
        if self._filter_parts:
            self._filter = file.section(prefix + TERM_FILTER, "B")
        if not (
            len(self._heads) == blocks
            and len(self._block_byte) == blocks + 1
            and self._block_byte[0] == 0
            and len(self._filter) == self._filter_parts * FILTER_BYTES
        ):
            raise damaged(self._path, "the sections of its terms contradict each other")

    def _block(self, number: int) -> bytes:
        """The terms of a block, SEPARATOR before each."""
        return self._packed.part(number, max(0, self._block_byte[number + 1] - self._block_byte[number]))

    def terms(self, numbers: range) -> list[bytes]:
        if not numbers:
            return []
        first, last = numbers.start >> TERM_BITS, (numbers.stop - 1) >> TERM_BITS
        found = b"".join(map(self._block, range(first, last + 1)))[1:].split(SEPARATOR)
        if len(found) != min(self._count, (last + 1) << TERM_BITS) - (first << TERM_BITS):
            raise damaged(self._path, "its terms are more or fewer than they should be")
        begin = numbers.start - (first << TERM_BITS)
        return found if len(found) == len(numbers) else found[begin : begin + len(numbers)]

    def find(self, text: bytes) -> int:
        if self._filter_parts:
            part, one, other = filter_bits(text, self._filter_parts)
            data = self._filter[part * FILTER_BYTES : (part + 1) * FILTER_BYTES]
            if not data[one >> 3] >> (one & 7) & data[other >> 3] >> (other & 7) & 1:
                return -1
        block = bisect_right(self._heads, text) - 1
        if block < 0 or SEPARATOR in text:
            return -1
        whole = self._block(block) + SEPARATOR
        at = whole.find(b"\xff%b\xff" % text)
        return -1 if at < 0 else (block << TERM_BITS) + whole.count(SEPARATOR, 0, at)

    def ceiling(self, text: bytes) -> int:
        block = bisect_left(self._heads, text)
        if not block or (block < len(self._heads) and self._heads[block] == text):
            return block << TERM_BITS
        numbers = range((block - 1) << TERM_BITS, min(self._count, block << TERM_BITS))
        return numbers.start + bisect_left(self.terms(numbers), text)

    def with_part(self, part: bytes) -> Iterable[tuple[bytes, int]]:
        for block in range(len(self._heads)):
            data = self._block(block)
            at = data.find(part)
            while at >= 0:
                begin, end = data.rfind(SEPARATOR, 0, at) + 1, data.find(SEPARATOR, at)
                end = len(data) if end < 0 else end
                yield data[begin:end], (block << TERM_BITS) + data.count(SEPARATOR, 1, begin)
                at = data.find(part, end)

    def problems(self, terms: Sequence[bytes]) -> Iterable[str]:
        if self._heads != terms[:: 1 << TERM_BITS]:
            yield "its blocks do not begin with the terms that they should"


def filter_parts(terms: int) -> int:
    """Parts of the filter of so many terms; 0 for few, which have none."""
    return terms * FILTER_BITS // (8 * FILTER_BYTES) if terms >= FEWEST_FILTERED else 0


def filter_bits(term: bytes, parts: int) -> tuple[int, int, int]:
    """Number of the term's part in the filter, and the two bits that it sets there."""
    mixed = crc32(term) * _MIXER & 0xFFFFFFFFFFFFFFFF
    return (mixed >> 32) % parts, mixed >> 23 & _BIT_MASK, mixed >> 14 & _BIT_MASK


class _Characters(dict[int, bytes]):
    """One more than the number of a character → its UTF-8; and nothing for 0."""

    def __init__(self, chars: memoryview[Any], path: str) -> None:
        super().__init__({0: b""})
        self._chars, self._path = chars, path

    def __missing__(self, number: int) -> bytes:
        try:
            found = self[number] = encode(chr(self._chars[number - 1]))
        except (ValueError, OverflowError):
            raise damaged(self._path, "a character that does not exist") from None
        return found


class Pairs:
    """Terms of one character or two. A term's numbers are that of its first character, and one more than that of its
    second, or 0."""

    __slots__ = ("_chars", "_count", "_encoded", "_first", "_next", "_path", "_start")

    def __init__(self, file: FlatFile, prefix: str, count: int) -> None:
        self._path, self._count = f"{file.path} ({prefix[:-1]})", count
        self._chars, self._first = file.section(prefix + PAIR_CHAR), file.section(prefix + PAIR_FIRST)
        self._start, self._next = file.section(prefix + PAIR_START), file.section(prefix + PAIR_NEXT, "B")
        good = len(self._first) == len(self._start) == len(self._chars) + 1
        good = good and self._first[0] == self._start[0] == 0
        if not (good and self._first[-1] == count and self._start[-1] == len(self._next)):
            raise self._damaged()
        self._encoded = _Characters(self._chars, self._path)

    def _damaged(self) -> IndexDamagedError:
        return damaged(self._path, "the sections of its terms contradict each other")

    def _seconds(self, char: int) -> list[int]:
        """The second numbers of the terms that begin with a character."""
        found = along_ways(bytes(self._next[self._start[char] : self._start[char + 1]]))
        if len(found) != self._first[char + 1] - self._first[char] or (found and found[-1] > len(self._chars)):
            raise self._damaged()
        return found

    def _number(self, char: str) -> int:
        """Number of a character, -1 if no term has it."""
        code = ord(char)
        at = bisect_left(self._chars, code)
        return at if at < len(self._chars) and self._chars[at] == code else -1

    def _of_char(self, char: int, seconds: Iterable[int]) -> list[bytes]:
        encoded = self._encoded
        first = encoded[char + 1]
        return [first + second for second in map(encoded.__getitem__, seconds)]

    def terms(self, numbers: range) -> list[bytes]:
        if not numbers:
            return []
        char = bisect_right(self._first, numbers.start) - 1
        before = numbers.start - self._first[char]
        found: list[bytes] = []
        while len(found) < before + len(numbers) or before < 0:
            if not (0 <= char < len(self._chars) and before >= 0):
                raise self._damaged()
            found += self._of_char(char, self._seconds(char))
            char += 1
        return found[before : before + len(numbers)]

    def find(self, text: bytes) -> int:
        chars = _decoded(text)
        if not 1 <= len(chars) <= 2:
            return -1
        char, second = self._number(chars[0]), self._number(chars[1]) + 1 if len(chars) == 2 else 0
        if char < 0 or second < len(chars) - 1:
            return -1
        seconds = self._seconds(char)
        at = bisect_left(seconds, second)
        return self._numbered(char, at) if at < len(seconds) and seconds[at] == second else -1

    def _numbered(self, char: int, before: int) -> int:
        """Number of a term, before which so many others begin with the same character."""
        number: int = self._first[char] + before
        if number >= self._count:
            raise self._damaged()
        return number

    def ceiling(self, text: bytes) -> int:
        return bisect_left(range(self._count), text, key=lambda number: self.terms(range(number, number + 1))[0])

    def with_part(self, part: bytes) -> Iterable[tuple[bytes, int]]:
        wanted = self._number(text) if len(text := _decoded(part)) == 1 else -1
        if wanted < 0:
            return [(term, i) for i, term in enumerate(self.terms(range(self._count))) if part in term]
        found: list[tuple[bytes, int]] = []
        data = bytes(self._next)
        led = array("Q", accumulate(data, initial=0))  # where all ways lead, as if they went on from term to term
        for char, (start, end) in enumerate(pairwise(self._start.tolist())):
            if char == wanted:
                found += zip(self._of_char(char, self._seconds(char)), count(self._first[char]), strict=False)
                continue
            if not start <= end < len(led):
                raise self._damaged()
            goal = led[start] + wanted + 1
            at = bisect_left(led, goal, start + 1, end + 1) - 1
            while at < end and led[at + 1] == goal:
                if data[at] != GO_ON[2]:
                    number = self._numbered(char, at - start - data.count(GO_ON[2], start, at))
                    found += zip(self._of_char(char, (wanted + 1,)), (number,), strict=True)
                at += 1
        return found

    def problems(self, terms: Sequence[bytes]) -> Iterable[str]:
        if self._chars.tolist() != sorted(map(ord, set("".join(map(_decoded, terms))))):
            yield "its characters are not those of its terms"


def _decoded(text: bytes) -> str:
    """The text, empty if it is not UTF-8."""
    try:
        return text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return ""
