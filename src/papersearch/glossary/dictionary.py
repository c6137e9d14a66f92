"""A general dictionary as one file that is looked up in place, for Chinese words that no glossary knows.

A build puts it into the index folder where a dictionary is installed (cedict.py). Sections: `lines`, a word and its
meanings each, ascending, BLOCK of them compressed together (zlib, with its checksum); `lines.at`, where each block
begins, with the end of the last; `heads`, the first word of each; `signature`, what they were made from.
"""

from __future__ import annotations

import os
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate

from papersearch.errors import IndexDamagedError
from papersearch.glossary import DICTIONARY_FILE, Name, Sense
from papersearch.glossary.compiled import SEPARATOR, writing
from papersearch.index.flatfile import FlatFile, damaged, narrow

FILE_NAME = DICTIONARY_FILE
SHORTEST_WORD, LONGEST_WORD = 2, 4
"""Characters of a word: a single one means too much, longer ones are sayings and names."""


BLOCK = 128
"""Lines that are compressed together."""
MAX_BLOCK_BYTES = 1 << 20
"""A block is never unpacked further than this."""
END = "\n"
"""Stands before, between and after lines."""


def write_dictionary(path: str, words: Mapping[str, Iterable[str]], signature: str) -> None:
    """Write words with their meanings to `path` in one step. Raises OSError."""
    rows = sorted((word.encode(), SEPARATOR.join([word, *meanings])) for word, meanings in words.items())
    blocks = [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]
    packed = [zlib.compress(f"{END}{END.join([line for _, line in block])}{END}".encode()) for block in blocks]
    starts = array("Q", accumulate(map(len, packed), initial=0))
    with writing(path) as writer:
        writer.put("lines", b"".join(packed))
        writer.put("lines.at", narrow(starts, starts[-1]))
        writer.put("heads", END.encode().join([block[0][0] for block in blocks]))
        writer.put("signature", signature.encode())


class Dictionary:
    """Looks up what a word means in the other language. No glossary: it has no senses of its own."""

    def __init__(self, path: str) -> None:
        """Raises IndexDamagedError (a damaged file), OSError (none)."""
        self._file = file = FlatFile(path)
        self.path = path
        self.signature = bytes(file.section("signature", "B")).decode("utf-8", "replace")
        self._lines, self._line_at = file.section("lines", "B"), file.section("lines.at")
        self._heads = bytes(file.section("heads", "B")).split(END.encode())
        if len(self._line_at) != len(self._heads) + 1 or self._line_at[-1] != len(self._lines):
            raise IndexDamagedError(f"{path}: sections do not fit each other")

    def __contains__(self, key: object) -> bool:
        return False

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """None: what a general dictionary says is weaker than a glossary's names."""
        return []

    def related(self, key: str, spelling: str = "", but: Iterable[str] = ()) -> list[tuple[Name, ...]]:
        """None: it says what words mean, not what lies near them."""
        return []

    def meanings(self, word: str) -> list[str]:
        """The meanings of a word; none if it is not there. Raises IndexDamagedError where a byte was changed: no table
        vouches for this file, but what is looked up in it has a checksum of its own."""
        if not SHORTEST_WORD <= len(word) <= LONGEST_WORD:
            return []
        self._file.recheck()
        raw = word.encode("utf-8", "replace")
        block = bisect_right(self._heads, raw) - 1
        if block < 0:
            return []
        unpacker = zlib.decompressobj()
        try:
            packed = self._lines[self._line_at[block] : self._line_at[block + 1]]
            lines = unpacker.decompress(packed, MAX_BLOCK_BYTES)
        except zlib.error:
            lines = b""
        if not unpacker.eof:
            raise damaged(self.path, f"block {block} of its lines cannot be unpacked")
        begin = lines.find(b"%b%b%b" % (END.encode(), raw, SEPARATOR.encode()))
        if begin < 0:
            return []
        line = lines[begin + 1 : lines.index(END.encode(), begin + 1)]
        return line.decode("utf-8", "replace").split(SEPARATOR)[1:]


def dictionary_in(folder: str) -> Dictionary | None:
    """The dictionary that a build compiled into an index folder; None if there is none. Raises IndexDamagedError."""
    try:
        return Dictionary(os.path.join(folder, FILE_NAME))
    except OSError:
        return None
