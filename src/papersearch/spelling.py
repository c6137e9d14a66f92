"""Words that the index does not have → words that it has: corrections, prefixes, fuzzy words."""

from __future__ import annotations

from itertools import islice

from papersearch.analysis.normalize import fold, is_cjk
from papersearch.analysis.sounds import sound_alike
from papersearch.analysis.tokens import MAX_TERM
from papersearch.index.reader import FieldReader

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

    A segment keeps the terms of its deleted documents: only words that a live document has are ever proposed."""

    def __init__(self, text: FieldReader) -> None:
        self._text = text
        self._by_length: dict[int, list[tuple[int, str]]] | None = None

    def corrections(self, word: str) -> list[str]:
        """Words of the index that this one may be a slip of, most likely first: words that begin with it, then words
        a few edits away; of a run of Chinese, words that sound the same. Short words are never corrected: too many
        real names lie one letter apart."""
        if is_cjk(word):
            return self._near_run(word)
        if len(word) < SHORTEST_CORRECTED or not (word.isascii() and word.isalpha()):
            return []
        frequency = self._text.doc_frequency
        begin_so = (t for t in self._text.terms(word) if len(word) < len(t) <= len(word) + LONGEST_ENDING)
        longer = [term for term in begin_so if frequency(term)]
        if longer:
            return sorted(longer, key=lambda t: (-frequency(t), t))[:MAX_CORRECTIONS]
        near = self.near(word, 1 if len(word) <= 5 else 2)
        ranked = sorted((d, t[0] != word[0], -df, t) for d, t in near if t != word and (df := frequency(t)))
        return [row[3] for row in ranked if row[:2] == ranked[0][:2]][:MAX_CORRECTIONS]

    def near(self, word: str, limit: int) -> list[tuple[int, str]]:
        """(edits, term) of the words at most `limit` edits away."""
        letters = _letters(word)
        found = []
        for size in range(max(SHORTEST_CORRECTED - 1, len(word) - limit), len(word) + limit + 1):
            for others, term in self._words(size):
                # An edit changes at most two of the letters that a word has.
                if (letters ^ others).bit_count() <= 2 * limit:
                    distance = edit_distance(word, term, limit)
                    if distance <= limit:
                        found.append((distance, term))
        return found

    def _near_run(self, run: str) -> list[str]:
        """The run with the longest part of it that can be replaced by a word of the index that sounds the same."""
        if len(run) > LONGEST_CORRECTED_RUN:
            return []
        for size in range(min(len(run), LONGEST_RUN), 1, -1):
            found = [
                (-df, run[:start] + term + run[start + size :])
                for start in range(len(run) - size + 1)
                for _, term in self._words(-size)
                if sound_alike(term, part := run[start : start + size]) and term != part
                if (df := self._text.doc_frequency(term))
            ]
            if found:
                return [corrected for _, corrected in sorted(found)][:MAX_CORRECTIONS]
        return []

    def _words(self, size: int) -> list[tuple[int, str]]:
        """(letters as bits, word) of words with so many letters; of Chinese words where `size` is negative."""
        if self._by_length is None:
            by_length: dict[int, list[tuple[int, str]]] = {}
            for term in self._text.terms():
                if term.isascii():
                    if term.isalpha():
                        by_length.setdefault(len(term), []).append((_letters(term), term))
                elif len(term) <= LONGEST_RUN and is_cjk(term):
                    by_length.setdefault(-len(term), []).append((0, term))
            self._by_length = by_length
        return self._by_length.get(size, [])


def _letters(word: str) -> int:
    """The letters of a word as bits."""
    bits = 0
    for char in word:
        bits |= 1 << (ord(char) & 63)
    return bits


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


def fuzzy_terms(text: FieldReader, word: str, edits: int) -> list[str]:
    """Words at most `edits` edits away (0: one for short words, two for long ones), the nearest first."""
    word = fold(word)[:MAX_TERM]
    limit = edits or (1 if len(word) <= 5 else 2)
    near = [
        (distance, term)
        for term in text.terms()
        if abs(len(term) - len(word)) <= limit and term[0].isalnum()
        if (distance := edit_distance(word, term, limit)) <= limit
    ]
    return list(islice((term for _, term in sorted(near) if text.doc_frequency(term)), MAX_EXPANSION))


def edit_distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance: insertions, deletions, changes, swaps of neighbours; `limit + 1` if larger."""
    if abs(len(a) - len(b)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return min(previous[-1], limit + 1)
