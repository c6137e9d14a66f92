"""A general dictionary as one file that is looked up in place, for Chinese words that no glossary knows.

A build puts it into the index folder where a dictionary is installed (cedict.py). Sections: `words` sorted, with
`words.at`; `meanings` of each, with `meanings.at`; `signature`, what they were made from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from papersearch.errors import IndexDamagedError
from papersearch.glossary import Name, Sense
from papersearch.glossary.compiled import SEPARATOR, find_string, put_strings, writing
from papersearch.index.flatfile import FlatFile

FILE_NAME = "dictionary.bin"
SHORTEST_WORD, LONGEST_WORD = 2, 4
"""Characters of a word: a single one means too much, longer ones are sayings and names."""


def write_dictionary(path: str, words: Mapping[str, Iterable[str]], signature: str) -> None:
    """Write words with their meanings to `path` in one step. Raises OSError."""
    rows = sorted((word.encode(), SEPARATOR.join(meanings).encode()) for word, meanings in words.items())
    with writing(path) as writer:
        put_strings(writer, "words", [word for word, _ in rows])
        put_strings(writer, "meanings", [meanings for _, meanings in rows])
        writer.put("signature", signature.encode())


class Dictionary:
    """Looks up what a word means in the other language. No glossary: it has no senses of its own."""

    def __init__(self, path: str) -> None:
        """Raises IndexDamagedError (a damaged file), OSError (none)."""
        self._file = file = FlatFile(path)
        self._is_checked = False
        self.path = path
        self.signature = bytes(file.section("signature", "B")).decode("utf-8", "replace")
        self._words, self._word_at = file.section("words", "B"), file.section("words.at")
        self._meanings, self._meaning_at = file.section("meanings", "B"), file.section("meanings.at")
        if len(self._word_at) != len(self._meaning_at) or not len(self._word_at):
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
        """The meanings of a word; none if it is not there. Raises IndexDamagedError where a byte was changed: no
        table vouches for this file, so all of it is verified at the first look-up, and again after a change."""
        if not SHORTEST_WORD <= len(word) <= LONGEST_WORD:
            return []
        if self._is_checked:
            self._file.recheck()
        else:
            self._file.check()
            self._is_checked = True
        number = find_string(self._words, self._word_at, word)
        if number < 0:
            return []
        raw = bytes(self._meanings[self._meaning_at[number] : self._meaning_at[number + 1]])
        return raw.decode("utf-8", "replace").split(SEPARATOR)


def dictionary_in(folder: str) -> Dictionary | None:
    """The dictionary that a build compiled into an index folder; None if there is none. Raises IndexDamagedError."""
    try:
        return Dictionary(os.path.join(folder, FILE_NAME))
    except OSError:
        return None
