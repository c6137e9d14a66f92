"""A general dictionary as one file that is looked up in place, for Chinese words that no glossary knows.

A build puts it into the index folder where a dictionary is installed (cedict.py). Sections: `lines`, a word and its
meanings each, ascending, with END before, between and after them, BLOCK of them compressed together; `lines.at`, where
each block begins, with the end of the last; `heads`, the first word of each; `signature`, what they were made from.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Mapping

from papersearch.errors import IndexDamagedError
from papersearch.glossary import DICTIONARY_FILE, Name, Sense
from papersearch.glossary.compiled import END, SEPARATOR, put_blocks, read_block, writing
from papersearch.index.flatfile import FlatFile

FILE_NAME = DICTIONARY_FILE
SHORTEST_WORD, LONGEST_WORD = 2, 4
"""Characters of a word: a single one means too much, longer ones are sayings and names."""


BLOCK = 128
"""Lines that are compressed together."""


def write_dictionary(path: str, words: Mapping[str, Iterable[str]], signature: str) -> None:
    """Write words with their meanings to `path` in one step. Raises OSError."""
    rows = sorted((word.encode(), SEPARATOR.join([word, *meanings])) for word, meanings in words.items())
    blocks = [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]
    with writing(path) as writer:
        put_blocks(writer, "lines", [f"{END}{END.join([line for _, line in block])}{END}".encode() for block in blocks])
        writer.put("heads", END.encode().join([block[0][0] for block in blocks]))
        writer.put("signature", signature.encode())


class Dictionary:
    """Looks up what a word means in the other language. No glossary: it has no senses of its own."""

    def __init__(self, path: str) -> None:
        """Raises IndexDamagedError (a damaged file), OSError (none)."""
        self._file = file = FlatFile(path)
        self.path = path
        self.signature = bytes(file.section("signature", "B")).decode("utf-8", "replace")
        starts = file.section("lines.at")
        self._heads = bytes(file.section("heads", "B")).split(END.encode())
        if len(starts) != len(self._heads) + 1 or starts[-1] != file.count("lines"):
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
        lines = read_block(self._file, "lines", block)
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
