"""Stored objects as codes of words: what a reader needs. `coding` makes them (docs/index-format.md).

A byte below the number of short words is one of these; that byte or a higher one is, with the byte after it, one of
the long words; and FF stands before and after text that is in no codebook. No text in UTF-8 has that byte.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import pairwise

from papersearch.index.flatfile import damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from papersearch.index.flatfile import FlatFile

# Sections of the documents file.
WORD_SHORT = "word.short"
WORD_BYTES = "word.bytes"
WORD_COUNT = "word.count"

LITERAL = 0xFF
MARK = b"\xff"
"""Stands before and after a literal, and between the short words."""
MAX_WORD = 255
"""Bytes of a word: what so many bytes of codes stand for has an end."""
MOST_BYTES = 3
"""Bytes that a byte of an object may take at most: those of a literal of one."""


class Codebook(dict[bytes, bytes]):
    """What the codes of a segment stand for; what was looked up is remembered, literals are not.

    Raises:
        IndexDamagedError: the sections do not agree.
    """

    __slots__ = ("_data", "_ends", "_lengths", "_path", "pieces", "short")

    def __init__(self, file: FlatFile) -> None:
        self._path = file.path
        self.short = bytes(file.section(WORD_SHORT, "B")).split(MARK)
        self._data = bytes(file.section(WORD_BYTES, "B"))
        counts: Sequence[int] = file.section(WORD_COUNT)[: MAX_WORD + 1].tolist()
        # Of each length of words: the number after the last one, where number 0 would begin, and the length.
        self._ends: list[int] = []
        self._lengths: list[tuple[int, int]] = []
        number = at = 0
        for size, count in enumerate(counts, 1):
            if count:
                self._lengths.append((at - number * size, size))
                number, at = number + count, at + size * count
                self._ends.append(number)
        short = len(self.short)
        if (
            at != len(self._data)
            or not 0 < short < LITERAL
            or len(counts) > MAX_WORD
            or not all(0 < len(word) <= MAX_WORD for word in self.short)
        ):
            raise damaged(self._path, "the words of its stored objects are out of bounds")
        pattern = rb"[\x00-\x%02x]|[\x%02x-\xfe].?|\xff[^\xff]*\xff?" % (short - 1, short)
        self.pieces = re.compile(pattern, re.DOTALL).findall
        """Cuts codes into pieces; no byte is left out."""
        for code, word in enumerate(self.short):
            self[bytes([code])] = word

    def __missing__(self, piece: bytes) -> bytes:
        first, last = piece[0], piece[-1]
        if last == LITERAL:
            if first == LITERAL and len(piece) > 2:
                return piece[1:-1]
        elif len(piece) == 2:
            number = (first - len(self.short)) * LITERAL + last
            group = bisect_right(self._ends, number)
            if group < len(self._ends):
                start, size = self._lengths[group]
                start += number * size
                word = self[piece] = self._data[start : start + size]
                return word
        raise damaged(self._path, "a stored object has a code of no word")

    def long_words(self) -> list[bytes]:
        """The words with a code of two bytes, in the order of their numbers."""
        ends = pairwise([0, *self._ends])
        return [
            self._data[at : at + size]
            for (first, end), (start, size) in zip(ends, self._lengths, strict=True)
            for at in range(start + first * size, start + end * size, size)
        ]

    def decode(self, codes: memoryview[Any], size: int) -> bytes | None:
        """What so many bytes are that the codes stand for; None if they are not so many. No more are ever put
        together."""
        if len(codes) > MOST_BYTES * size:
            return None
        words = list(map(self.__getitem__, self.pieces(codes)))
        return b"".join(words) if sum(map(len, words)) == size else None
