"""Words that are spelt nearly like another, found among all words at once."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np

from papersearch.spelling import edit_distance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Array = np.ndarray[Any, np.dtype[Any]]

LONGEST = 64
"""Letters of a word: as many as a number has bits."""
COUNTED = 64
"""Letters of which it is kept how often each word has them."""
FEW = 48
"""Words that are compared one by one."""


class ArrayWords:
    """Words for looking for near ones. Made when the first one is looked for."""

    def __init__(self, words: Callable[[], Iterable[str]]) -> None:
        """`words()` gives each once, of at most LONGEST letters."""
        self._words = words
        self._tables: tuple[_Words, _Words] | None = None

    def near(self, word: str, limit: int) -> list[tuple[int, str]]:
        """(edits, word) of the words at most `limit` edits away."""
        if self._tables is None:
            plain: list[str] = []
            others: list[str] = []
            for each in self._words():
                (plain if each.isascii() else others).append(each)
            self._tables = _Words(plain, np.uint8, "ascii"), _Words(others, np.uint32, "utf-32-le")
        return [row for table in self._tables for row in table.near(word, limit)]


class _Words:
    """Words of one kind, the short ones first, as one array of their letters."""

    def __init__(self, words: list[str], kind: type, encoding: str) -> None:
        words.sort(key=len)
        self._words = words
        data = ("".join(words) + "\0" * LONGEST).encode(encoding, "surrogatepass")
        self._letters = np.frombuffer(data, np.dtype(kind).newbyteorder("<"))
        self._sizes = np.fromiter(map(len, words), np.int64, len(words))
        self._begin = self._sizes.cumsum() - self._sizes
        self._often: dict[str, Array] = self._counts() if kind is np.uint8 else {}

    def _counts(self) -> dict[str, Array]:
        """How often each word has each of the usual letters."""
        usual, size = ascii_lowercase, len(ascii_lowercase) + 1
        numbers = self._letters[: len(self._letters) - LONGEST] - np.uint8(ord(usual[0]))  # others go around
        pairs = np.arange(len(self._words)).repeat(self._sizes) * size + np.minimum(numbers, len(usual))
        counts = np.bincount(pairs, minlength=size * len(self._words)).astype(np.uint8).reshape(-1, size)
        return dict(zip(usual, np.ascontiguousarray(counts.T), strict=False))

    def _count(self, letter: str) -> Array:
        """How often each word has a letter."""
        often = self._often.get(letter)
        if often is None:
            held = self._letters[: len(self._letters) - LONGEST] == ord(letter)
            often = np.add.reduceat(held, self._begin, dtype=np.uint8)
            if len(self._often) >= COUNTED:
                self._often.clear()
            self._often[letter] = often
        return often

    def near(self, word: str, limit: int) -> list[tuple[int, str]]:
        """(edits, word) of the words at most `limit` edits away."""
        low, high = self._sizes.searchsorted((len(word) - limit, len(word) + limit + 1)).tolist()
        if low == high:
            return []
        # Near words have nearly all of their letters in common.
        common = np.zeros(high - low, np.uint8)
        for letter in set(word):
            if ord(letter) < 128 or self._letters.itemsize > 1:
                common += np.minimum(self._count(letter)[low:high], word.count(letter))
        sizes = self._sizes[low:high]
        chosen = np.flatnonzero(common + limit >= np.maximum(sizes, len(word)))
        if len(chosen) <= FEW:
            rows = [
                (edit_distance(word, near, limit), near) for near in [self._words[low + i] for i in chosen.tolist()]
            ]
            return [row for row in rows if row[0] <= limit]
        distances = self._distances(word, self._begin[low:high][chosen], sizes[chosen])
        near = np.flatnonzero(distances <= limit)
        numbers = (chosen[near] + low).tolist()
        return list(zip(distances[near].tolist(), [self._words[i] for i in numbers], strict=True))

    def _distances(self, word: str, begin: Array, sizes: Array) -> Array:
        """What edit_distance() is for each of some words, short ones first, all at once."""
        last = np.uint64(1 << (len(word) - 1))
        one = np.uint64(1)
        places: dict[int, int] = {}
        for i, letter in enumerate(word):
            places[ord(letter)] = places.get(ord(letter), 0) | 1 << i
        up = np.full(len(begin), (1 << len(word)) - 1, np.uint64)
        down, diagonal, before = np.zeros_like(up), np.zeros_like(up), np.zeros_like(up)
        distances = np.full(len(up), len(word))
        # A word that has come to its end is left as it is.
        ended = sizes.searchsorted(np.arange(sizes[-1] + 1 if len(sizes) else 0), "right").tolist()
        codes = np.array(sorted(places))
        bits = np.array([places[code] for code in codes.tolist()] + [0], np.uint64)
        for at in range(len(ended) - 1):
            if done := ended[at] - (len(distances) - len(up)):
                up, down, diagonal, before = up[done:], down[done:], diagonal[done:], before[done:]
            letters = self._letters[begin[len(distances) - len(up) :] + at]
            found = codes.searchsorted(letters)
            here = bits[np.where(codes.take(found, mode="clip") == letters, found, len(codes))]
            swapped = ((~diagonal & here) << one) & before
            diagonal = (((here & up) + up) ^ up) | here | down | swapped
            right, left = down | ~(diagonal | up), diagonal & up
            distances[len(distances) - len(up) :] += (right & last > 0).astype(np.int64) - (left & last > 0)
            right = right << one | one
            up = left << one | ~(diagonal | right)
            down = right & diagonal
            before = here
        return distances
