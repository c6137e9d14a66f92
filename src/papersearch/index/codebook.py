"""Stored objects as codes of words: what a reader needs. `coding` makes them (docs/index-format.md).

A code has two to five hexadecimal digits, fewer for more frequent words; how many, its first digit says. An F begins
text that is in no codebook, byte by byte up to FF, which no text in UTF-8 has; or fills up the last byte.
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
WORD_BYTES = "word.bytes"
WORD_COUNT = "word.count"
WORD_FIRST = "word.first"

DIGITS = (2, 3, 4, 5)
"""How many digits codes have."""
FIRST_DIGITS = "0123456789abcde"
LITERAL, END = "f", "ff"
"""Before and after a literal. A single LITERAL may stand in the end."""
MAX_WORD = 255
"""Bytes of a word: what so many bytes of codes stand for has an end."""
MOST_BYTES = 3
"""Bytes that a byte of an object may take at most: those of a literal of one."""


class Codebook(dict[str, bytes]):
    """What the codes of a segment stand for; what was looked up is remembered, literals are not.

    Attributes:
        pieces: cuts digits into codes and literals; no digit is left out.
        room: how many words could have codes of so many digits, in the order of DIGITS.

    Raises:
        IndexDamagedError: the sections do not agree.
    """

    __slots__ = ("_data", "_of_digits", "_path", "pieces", "room")

    def __init__(self, file: FlatFile) -> None:
        self._path = file.path
        self._data = bytes(file.section(WORD_BYTES, "B"))
        firsts = bytes(file.section(WORD_FIRST, "B"))
        counts: Sequence[int] = file.section(WORD_COUNT)[: len(DIGITS) * MAX_WORD + 1].tolist()
        sizes = len(counts) // len(DIGITS)
        self._of_digits: dict[int, tuple[int, list[int], list[tuple[int, int]]]] = {}
        """Of the codes of so many digits: the lowest one; and for each length of words the number after the last one,
        where number 0 would begin in the data, and the length."""
        patterns, at, first = [], 0, 0
        for i, (digits, several) in enumerate(zip(DIGITS, firsts, strict=False)):
            ends: list[int] = []
            starts: list[tuple[int, int]] = []
            number = 0
            for size, count in enumerate(counts[i * sizes : (i + 1) * sizes], 1):
                if count:
                    starts.append((at - number * size, size))
                    number, at = number + count, at + size * count
                    ends.append(number)
            self._of_digits[digits] = first << 4 * (digits - 1), ends, starts
            if several:
                patterns.append(f"[{FIRST_DIGITS[first : first + several]}]" + "." * (digits - 1))
            first += several
        if (
            len(firsts) != len(DIGITS)
            or first > len(FIRST_DIGITS)
            or len(counts) != len(DIGITS) * sizes
            or sizes > MAX_WORD
            or at != len(self._data)
        ):
            raise damaged(self._path, "the words of its stored objects are out of bounds")
        self.room = [several << 4 * (digits - 1) for digits, several in zip(DIGITS, firsts, strict=True)]
        self.pieces = re.compile("|".join([*patterns, r"f(?:..)*?ff", r"f\Z", "..?"])).findall
        self[LITERAL] = b""

    def __missing__(self, piece: str) -> bytes:
        if piece[0] == LITERAL:
            if len(piece) > len(LITERAL + END) and piece.endswith(END):
                return bytes.fromhex(piece[1:-2])
        elif len(piece) > 1:
            lowest, ends, starts = self._of_digits[len(piece)]
            number = int(piece, 16) - lowest
            group = bisect_right(ends, number)
            if group < len(ends) and number >= 0:
                start, size = starts[group]
                start += number * size
                word = self[piece] = self._data[start : start + size]
                return word
        raise damaged(self._path, "a stored object has a code of no word")

    def words(self) -> list[list[bytes]]:
        """The words with codes of so many digits, in the order of DIGITS and of their codes."""
        found: list[list[bytes]] = []
        for _, ends, starts in self._of_digits.values():
            several: list[bytes] = []
            for (first, end), (start, size) in zip(pairwise([0, *ends]), starts, strict=True):
                several += [self._data[at : at + size] for at in range(start + first * size, start + end * size, size)]
            found.append(several)
        return found

    def decode(self, codes: memoryview[Any], size: int) -> bytes | None:
        """What so many bytes are that the codes stand for; None if they are not so many. No more are ever put
        together."""
        if len(codes) > MOST_BYTES * size:
            return None
        words = list(map(self.__getitem__, self.pieces(codes.hex())))
        return b"".join(words) if sum(map(len, words)) == size else None
