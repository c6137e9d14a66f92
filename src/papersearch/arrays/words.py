"""Words that are spelt nearly like another, found among all words at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Array = np.ndarray[Any, np.dtype[Any]]


class ArrayWords:
    """Words by length, a row for each letter, for looking for near ones."""

    def __init__(self, words: Callable[[], Iterable[str]]) -> None:
        """`words()` is called when the first word is looked for."""
        self._words = words
        self._by_kind: dict[tuple[int, bool], tuple[list[str], Array]] | None = None

    def _tables(self) -> dict[tuple[int, bool], tuple[list[str], Array]]:
        """(letters, whether they are ASCII) → words, and their code points with a row for the first letters, …"""
        if self._by_kind is None:
            kinds: dict[tuple[int, bool], list[str]] = {}
            for word in self._words():
                kinds.setdefault((len(word), word.isascii()), []).append(word)
            self._by_kind = {
                (size, ascii_only): (
                    words,
                    np.ascontiguousarray(
                        np.frombuffer(
                            "".join(words).encode("ascii" if ascii_only else "utf-32-le", "surrogatepass"),
                            np.uint8 if ascii_only else "<u4",
                        )
                        .reshape(len(words), size)
                        .T
                    ),
                )
                for (size, ascii_only), words in kinds.items()
            }
        return self._by_kind

    def near(self, word: str, limit: int) -> list[tuple[int, str]]:
        """(edits, word) of the words at most `limit` edits away."""
        tables = self._tables()
        found: list[tuple[int, str]] = []
        for size in range(max(1, len(word) - limit), len(word) + limit + 1):
            for ascii_only in (True, False):
                if (size, ascii_only) in tables:
                    words, letters = tables[size, ascii_only]
                    chosen = self._alike(word, letters, limit)
                    distances = self._distances(word, letters[:, chosen])
                    near = np.flatnonzero(distances <= limit)
                    found += zip(distances[near].tolist(), [words[i] for i in chosen[near].tolist()], strict=True)
        return found

    @staticmethod
    def _alike(word: str, letters: Array, limit: int) -> Array:
        """Which words have as many letters in common with the word as near ones must."""
        common = np.zeros(letters.shape[1], np.uint8)
        for char in set(word):
            if ord(char) < 256 or letters.itemsize > 1:
                often = np.add.reduce(letters == ord(char), axis=0, dtype=np.uint8)
                common += np.minimum(often, word.count(char))
        return np.flatnonzero(common >= max(0, max(len(word), len(letters)) - limit))

    @staticmethod
    def _distances(word: str, letters: Array) -> Array:
        """What edit_distance() is for each of some words, all at once; `word` has at most 64 letters."""
        size = len(word)
        one = np.uint64(1)
        last = np.uint64(1 << (size - 1))
        up = np.full(letters.shape[1], (1 << size) - 1, np.uint64)
        down, diagonal, before = np.zeros_like(up), np.zeros_like(up), np.zeros_like(up)
        distances = np.full(len(up), size)
        places: dict[int, int] = {}
        for i, char in enumerate(word):
            places[ord(char)] = places.get(ord(char), 0) | 1 << i
        if letters.itemsize > 1:
            known, codes = np.unique(letters, return_inverse=True)
            codes = codes.reshape(letters.shape)
        else:
            known, codes = np.arange(256), letters
        bits = np.array([places.get(code, 0) for code in known.tolist()], np.uint64)
        for row in codes:
            here = bits[row]
            swapped = ((~diagonal & here) << one) & before
            diagonal = (((here & up) + up) ^ up) | here | down | swapped
            right, left = down | ~(diagonal | up), diagonal & up
            distances += (right & last > 0).astype(np.int64) - (left & last > 0)
            right = right << one | one
            up = left << one | ~(diagonal | right)
            down = right & diagonal
            before = here
        return distances
