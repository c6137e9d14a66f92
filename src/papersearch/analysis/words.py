"""What a run of Chinese is cut by. The only importer of jieba."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol


class Cutter(Protocol):
    """Cuts a run of Chinese characters into words."""

    def __call__(self, run: str) -> Iterable[tuple[str, int]]:
        """(word, offset in `run`) in order of offset; words may overlap (search mode) and need not cover the run."""
        ...


_lock = threading.Lock()
_tokenizer: Any = None


def _jieba() -> Any:
    """A jieba tokenizer of our own with jieba's dictionary, its HMM unused.

    The dictionary is read here and not by jieba's initialize(), which would trust a cache file that anybody may have
    put into the shared temp folder, write one there, and report on standard error.
    """
    global _tokenizer
    with _lock:
        if _tokenizer is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import jieba
            tokenizer = jieba.Tokenizer()
            tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
            tokenizer.initialized = True
            _tokenizer = tokenizer
    return _tokenizer


def jieba_words(run: str) -> Iterable[tuple[str, int]]:
    """jieba's search-mode words of a run, HMM off: every dictionary word of two or three characters inside a longer
    one, then the word itself. Loads the dictionary (half a second) on first use: for building, not for queries."""
    for word, start, _end in _jieba().tokenize(run, mode="search", HMM=False):
        yield word, start


def jieba_words_with(words: Sequence[str]) -> Cutter:
    """As jieba_words(), with a user's words added to the dictionary, for this cutter alone."""
    if not words:
        return jieba_words
    shared = _jieba()
    tokenizer = type(shared)()
    tokenizer.FREQ, tokenizer.total, tokenizer.initialized = dict(shared.FREQ), shared.total, True
    for word in words:
        tokenizer.add_word(word)

    def cut(run: str) -> Iterable[tuple[str, int]]:
        for word, start, _end in tokenizer.tokenize(run, mode="search", HMM=False):
            yield word, start

    return cut


LONGEST_WORD = 8


def vocabulary_cutter(has_term: Callable[[str], bool]) -> Cutter:
    """Cuts by the terms of an index instead of a dictionary: what the query cannot find there it need not cut out.

    The cut covers as many characters as possible with terms of two characters or more, then uses as few terms as
    possible, then single characters that are terms. What is covered by none is left out of the result as a gap:
    the caller knows that the index does not hold it (docs/decisions/0003-no-dictionary-at-query-time.md).
    """

    def cut(run: str) -> list[tuple[str, int]]:
        n = len(run)
        # best[i]: (characters covered by words of two or more, minus the number of parts, minus sum of squares of
        # short parts) of the best cut of run[i:], and the length of its first part.
        best: list[tuple[int, int, int]] = [(0, 0, 0)] * (n + 1)
        first = [1] * n
        for i in range(n - 1, -1, -1):
            covered, parts, single = best[i + 1]
            known = has_term(run[i])
            choice, length = (covered, parts - 1, single + known), 1
            for size in range(2, min(LONGEST_WORD, n - i) + 1):
                if has_term(run[i : i + size]):
                    covered, parts, single = best[i + size]
                    candidate = (covered + size, parts - 1, single)
                    if candidate > choice:
                        choice, length = candidate, size
            best[i], first[i] = choice, length
        words = []
        i = 0
        while i < n:
            word = run[i : i + first[i]]
            if len(word) > 1 or has_term(word):
                words.append((word, i))
            i += first[i]
        return words

    return cut
