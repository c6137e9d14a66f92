"""What a run of Chinese is cut by. The only importer of jieba."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from math import inf, log
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


_PLAIN = re.compile(r"[\u4e00-\u9fd5]+")
"""What jieba looks up in its dictionary; other characters it passes on one by one."""
_PREFIX, _UNKNOWN = 1.0, 2.0
"""Weights of what only begins a word, and of what does not even do that; a word's weight is below 0."""
REMEMBERED_WEIGHTS = 1 << 18


class _JiebaCutter:
    """jieba's search mode, HMM off: the same words as its tokenize(run, mode="search", HMM=False), in half the time.

    The cut of a run is the one with the largest sum of log frequencies; of equal ones that with the longer first word.
    Where jieba computes the logarithm and slices anew for each edge, here it is looked up.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._frequencies: dict[str, int] = tokenizer.FREQ
        self._log_total = log(tokenizer.total)
        self._weights: dict[str, float] = {}

    def _weigh(self, text: str) -> float:
        frequency = self._frequencies.get(text)
        if frequency:
            weight = log(frequency) - self._log_total
        else:
            weight = _UNKNOWN if frequency is None else _PREFIX
        if len(self._weights) >= REMEMBERED_WEIGHTS:
            self._weights.clear()
        self._weights[text] = weight
        return weight

    def __call__(self, run: str) -> list[tuple[str, int]]:
        if not _PLAIN.fullmatch(run):
            return [(word, start) for word, start, _ in self._tokenizer.tokenize(run, mode="search", HMM=False)]
        known, weigh = self._weights.get, self._weigh
        size = len(run)
        sums, ends = [0.0] * (size + 1), [0] * size
        alone = log(1) - self._log_total
        for start in range(size - 1, -1, -1):
            best, best_end = -inf, start
            for end in range(start + 1, size + 1):
                part = run[start:end]
                weight = known(part) or weigh(part)
                if weight < _PREFIX:
                    total = weight + sums[end]
                    if total >= best:
                        best, best_end = total, end
                elif weight == _UNKNOWN:
                    break
            if best_end == start:
                best, best_end = alone + sums[start + 1], start + 1
            sums[start], ends[start] = best, best_end
        words: list[tuple[str, int]] = []
        start = 0
        while start < size:
            end = ends[start]
            for length in range(2, min(4, end - start)):
                for at in range(start, end - length + 1):
                    part = run[at : at + length]
                    if (known(part) or weigh(part)) < _PREFIX:
                        words.append((part, at))
            words.append((run[start:end], start))
            start = end
        return words


_shared_cutter: _JiebaCutter | None = None


def jieba_words(run: str) -> list[tuple[str, int]]:
    """jieba's search-mode words of a run, HMM off: every dictionary word of two or three characters inside a longer
    one, then the word itself. Loads the dictionary (half a second) on first use: for building, not for queries."""
    global _shared_cutter
    if _shared_cutter is None:
        _shared_cutter = _JiebaCutter(_jieba())
    return _shared_cutter(run)


def jieba_words_with(words: Sequence[str]) -> Cutter:
    """As jieba_words(), with a user's words added to the dictionary, for this cutter alone."""
    if not words:
        return jieba_words
    shared = _jieba()
    tokenizer = type(shared)()
    tokenizer.FREQ, tokenizer.total, tokenizer.initialized = dict(shared.FREQ), shared.total, True
    for word in words:
        tokenizer.add_word(word)
    return _JiebaCutter(tokenizer)


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
