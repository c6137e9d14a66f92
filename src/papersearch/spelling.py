"""Words that the index does not have → words that it has: corrections, prefixes, fuzzy words."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice

from papersearch.analysis.normalize import fold, is_cjk
from papersearch.analysis.sounds import sounding_like
from papersearch.analysis.tokens import MAX_TERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from papersearch.index.reader import FieldReader

    class NearWords(Protocol):
        """Words prepared for looking for near ones often."""

        def near(self, word: str, limit: int) -> list[tuple[int, str]]:
            """(edits, word) of the words at most `limit` edits away."""
            ...


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What a word that is proposed may begin with."""
SHORTEST_CORRECTED = 5
LONGEST_ENDING = 6
"""Letters that a word of the index may have more than an unknown word which it begins with."""
LONGEST_RUN = 4
"""Characters of a Chinese word that is corrected."""
LONGEST_CORRECTED_RUN = 8
"""Characters of an unknown run in which a slip is looked for."""
MAX_CORRECTIONS = 3
MAX_EXPANSION = 512
"""Terms that a prefix or a fuzzy word may stand for; the shortest (prefix) or nearest come first."""


class Speller:
    """Finds words of one field that are spelt nearly like another. Made once per snapshot; threads may share it.

    A segment keeps the terms of its deleted documents: only words that a live document has are ever proposed. Words
    are looked for in the bytes of the terms as they lie in the index, without making a string of each, unless
    `prepared` has them in a form that is faster to look through, or `plain` those of letters alone."""

    def __init__(self, text: FieldReader) -> None:
        self.text = text
        self.prepared: NearWords | None = None
        self.plain: NearWords | None = None
        self._runs: dict[int, list[str]] = {}

    def corrections(self, word: str) -> list[str]:
        """Words of the index that this one may be a slip of, most likely first: words that begin with it, then words
        a few edits away; of a run of Chinese, words that sound the same. Short words are never corrected: too many
        real names lie one letter apart."""
        if is_cjk(word):
            return self._near_run(word)
        if len(word) < SHORTEST_CORRECTED or not (word.isascii() and word.isalpha()):
            return []
        frequency = self.text.doc_frequency
        begin_so = (t for t in self.text.terms(word) if len(word) < len(t) <= len(word) + LONGEST_ENDING)
        longer = [term for term in begin_so if frequency(term)]
        if longer:
            return sorted(longer, key=lambda t: (-frequency(t), t))[:MAX_CORRECTIONS]
        for near in self._nearest_first(word, 1 if len(word) <= 5 else 2):
            ranked = sorted(
                (d, t[0] != word[0], -df, t)
                for d, t in near
                if t != word
                and t.isascii()
                and t.isalpha()
                and len(t) >= SHORTEST_CORRECTED - 1
                and (df := frequency(t))
            )
            if ranked:
                return [row[3] for row in ranked if row[:2] == ranked[0][:2]][:MAX_CORRECTIONS]
        return []

    def _nearest_first(self, word: str, limit: int) -> Iterator[list[tuple[int, str]]]:
        """near(), of plain words at least, in parts that come one after the other in the order of edits, within that of
        words that begin with another letter after those that begin with the same one: few words are looked at where an
        early part has some."""
        if self.plain is not None:
            yield self.plain.near(word, limit)
        else:
            same = self._near(word, limit, word[0])
            yield [row for row in same if row[0] == 1]
            one_edit = {letter + word[1:] for letter in LETTERS} | {letter + word for letter in LETTERS}
            one_edit |= {word[1:], word[1] + word[0] + word[2:]}
            yield [(1, term) for term in one_edit if term[0] != word[0] and self.text.doc_frequency(term)]
            yield [row for row in same if row[0] > 1]
            if limit > 1:
                yield self._near(word, limit)

    def near(self, word: str, limit: int) -> list[tuple[int, str]]:
        """(edits, term) of the words at most `limit` edits away; a word begins with a letter or a digit."""
        if self.prepared is not None:
            return self.prepared.near(word, limit)
        return self._near(word, limit)

    def _near(self, word: str, limit: int, prefix: str = "") -> list[tuple[int, str]]:
        alike = self._alike(word, limit, prefix)
        return [(d, term) for term in alike if (d := edit_distance(word, term, limit)) <= limit]

    def words(self) -> list[str]:
        """All terms that begin with a letter or a digit, each once."""
        found: set[bytes] = set()
        for terms in self.text.raw_terms():
            found.update(terms)
        return [text for term in found if (text := term.decode("utf-8", "surrogatepass"))[0].isalnum()]

    def plain_words(self) -> list[str]:
        """Those of ASCII letters alone that may be proposed for another word, each once."""
        found: set[bytes] = set()
        for terms in self.text.raw_terms():
            found.update([term for term in terms if term.isalpha() and len(term) >= SHORTEST_CORRECTED - 1])
        return b" ".join(found).decode("ascii").split()

    def _alike(self, word: str, limit: int, prefix: str) -> set[str]:
        """Words with the prefix that are about as long and written with about the same letters: an edit brings in one
        letter at most and takes one away, and no letter takes more than four bytes."""
        letters, most = word.encode("utf-8", "surrogatepass"), 4 * limit
        shortest, longest = len(letters) - most, len(letters) + most
        if word.isascii():
            shortest = len(letters) - limit
        found = set()
        for terms in self.text.raw_terms(prefix):
            for term in terms:
                if not shortest <= len(term) <= longest:
                    continue
                foreign = len(term.translate(None, letters))
                if foreign > most or (foreign > limit and term.isascii() and word.isascii()):
                    continue
                if len(letters.translate(None, term)) <= most:
                    text = term.decode("utf-8", "surrogatepass")
                    if text[0].isalnum():
                        found.add(text)
        return found

    def _near_run(self, run: str) -> list[str]:
        """The run with the longest part of it that can be replaced by a word of the index that sounds the same."""
        if len(run) > LONGEST_CORRECTED_RUN:
            return []
        like_run = [sounding_like(char) for char in run]
        for size in range(min(len(run), LONGEST_RUN), 1, -1):
            words = self._words_of_run(size)
            found = set()
            for start in range(len(run) - size + 1):
                part, sounds = run[start : start + size], like_run[start : start + size]
                for first in sounds[0]:
                    for term in words[bisect_left(words, first) : bisect_left(words, chr(ord(first) + 1))]:
                        alike = term[1] in sounds[1] and term != part and all(map(_has, sounds, term))
                        if alike and (df := self.text.doc_frequency(term)):
                            found.add((-df, run[:start] + term + run[start + size :]))
            if found:
                return [corrected for _, corrected in sorted(found)][:MAX_CORRECTIONS]
        return []

    def _words_of_run(self, size: int) -> list[str]:
        """Terms of so many characters that are no letters, in order."""
        if not self._runs:
            words = set()
            for terms in self.text.raw_terms():
                words.update([term for term in terms if 6 <= len(term) <= 4 * LONGEST_RUN and not term.isascii()])
            texts = sorted(b" ".join(words).decode("utf-8", "surrogatepass").split(" "))
            runs = {size: [text for text in texts if len(text) == size] for size in range(2, LONGEST_RUN + 1)}
            self._runs = runs
        return self._runs[size]


def _has(characters: frozenset[str], char: str) -> bool:
    return char in characters


def prefix_terms(text: FieldReader, prefix: str) -> list[str]:
    """Words that begin so, the shortest first."""
    prefix = fold(prefix)[:MAX_TERM]
    terms = []
    for term in text.terms(prefix):
        terms.append(term)
        if len(terms) >= 8 * MAX_EXPANSION:
            break
    terms.sort(key=lambda t: (len(t), t))
    return list(islice((term for term in terms if text.doc_frequency(term)), MAX_EXPANSION))


def fuzzy_terms(speller: Speller, word: str, edits: int) -> list[str]:
    """Words at most `edits` edits away (0: one for short words, two for long ones), the nearest first."""
    word = fold(word)[:MAX_TERM]
    near = sorted(speller.near(word, edits or (1 if len(word) <= 5 else 2)))
    return list(islice((term for _, term in near if speller.text.doc_frequency(term)), MAX_EXPANSION))


def edit_distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance: insertions, deletions, changes, swaps of neighbours; `limit + 1` if larger.

    The columns of its table are differences of neighbours, kept in the bits of numbers: H. Hyyrö, "A bit-vector
    algorithm for computing Levenshtein and Damerau edit distances" (2003)."""
    size = len(a)
    if abs(size - len(b)) > limit:
        return limit + 1
    if not size:
        return len(b)
    places: dict[str, int] = {}
    for i, char in enumerate(a):
        places[char] = places.get(char, 0) | 1 << i
    every, last = (1 << size) - 1, 1 << (size - 1)
    up, down, diagonal, before, distance = every, 0, 0, 0, size
    for char in b:
        here = places.get(char, 0)
        swapped = ((~diagonal & here) << 1) & before
        diagonal = ((((here & up) + up) ^ up) | here | down | swapped) & every
        right, left = down | (every & ~(diagonal | up)), diagonal & up
        distance += (right & last > 0) - (left & last > 0)
        right = right << 1 | 1
        up = (left << 1 | ~(diagonal | right)) & every
        down = right & diagonal
        before = here
    return min(distance, limit + 1)
