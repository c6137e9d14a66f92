"""What a run of Chinese is cut by. The only importer of jieba and rjieba."""

from __future__ import annotations

import os
import re
import threading
import warnings
from itertools import islice, repeat
from math import inf, log
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Protocol

    class Cutter(Protocol):
        """Cuts a run of Chinese characters into words, or several runs with SEAM between them."""

        def __call__(self, run: str) -> Iterable[tuple[str, int]]:
            """(word, offset in `run`) in order of offset; words may overlap (search mode) and need not cover the
            run. None goes across a SEAM."""
            ...


SEAM = "\n"
_lock = threading.Lock()


def dictionary_path() -> str:
    """Where jieba's dictionary is; jieba is not imported for it."""
    from importlib.util import find_spec

    spec = find_spec("jieba")
    return os.path.join(os.path.dirname(spec.origin), "dict.txt") if spec and spec.origin else ""


def _read_dictionary() -> tuple[dict[str, int], int]:
    """Word → frequency, and the sum of all, as jieba's gen_pfdict() has them, without what only begins words.

    The dictionary is read here and not by jieba's initialize(), which would trust a cache file that anybody may have
    put into the shared temp folder, write one there, and report on standard error.
    """
    with open(dictionary_path(), encoding="utf-8") as file:
        cells = file.read().split()  # word, frequency, part of speech
    try:
        frequencies = list(map(int, cells[1::3]))
        return dict(zip(cells[::3], frequencies, strict=True)), sum(frequencies)
    except ValueError:  # lines of another form, which jieba may know
        tokenizer = _tokenizer()
        return tokenizer.FREQ, tokenizer.total


def _tokenizer() -> Any:
    """A jieba tokenizer of our own with jieba's dictionary, its HMM unused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer


_PLAIN = r"[\u4e00-\u9fd5]+"
"""What jieba looks up in its dictionary; other characters it passes on one by one. Compiled when notes are cut: that
takes a twentieth of the time in which a search is done."""
_PLAIN_RUNS = rf"[{SEAM}\u4e00-\u9fd5]*"
REMEMBERED_WORDS = 1 << 16
_Words = list[tuple[str, int]]
_Begin = tuple[float, str, int]
"""Weight of two characters as a word, those that follow them in longer words, and the length of the longest word."""
_NOTHING: dict[str, _Begin] = {}


class _JiebaCutter:
    """jieba's search mode, HMM off: the same words as its tokenize(run, mode="search", HMM=False), several times as
    fast.

    The cut of a run is the one with the largest sum of log frequencies; of equal ones that with the longer first word.
    Sums are made in jieba's order, so that they are rounded as there. What may begin with a pair of characters is known
    for each pair, so that few words are looked for that are not there.
    """

    def __init__(self, frequencies: dict[str, int], total: int) -> None:
        log_total = log(total)
        weights = {frequency: log(frequency) - log_total for frequency in set(frequencies.values()) if frequency}
        self._weights = {word: weights[frequency] for word, frequency in frequencies.items() if frequency}
        self._unknown = log(1) - log_total
        same = self._same = {char: char for word in self._weights for char in word[:2]}
        """Character → the one object for it: looked up faster than one made anew, and all are near each other."""
        self._alone = {same[word]: weight for word, weight in self._weights.items() if len(word) == 1}
        self._following: dict[str, dict[str, _Begin]] = {char: {} for char in same}
        """Character → one that follows it in the begin of words → what may begin with the two."""
        only = {weight: (weight, "", 2) for weight in weights.values()}
        longer: dict[str, list[str]] = {}
        for word, weight in self._weights.items():
            if len(word) == 2:
                self._following[word[0]][same[word[1]]] = only[weight]
            elif len(word) > 2:
                longer.setdefault(word[:2], []).append(word)
        for pair, words in longer.items():
            thirds = "".join([word[2] for word in words])
            begin = (self._weights.get(pair, -inf), thirds, max(map(len, words)))
            self._following[pair[0]][same[pair[1]]] = begin
        self._parts: dict[str, _Words] = {}
        self._plain_runs = re.compile(_PLAIN_RUNS)

    def __call__(self, run: str) -> _Words:
        if not self._plain_runs.fullmatch(run):
            return _cut_mixed(run, self._cut)
        words: _Words = []
        at = 0
        for one in run.split(SEAM):
            words += self._cut(one, at)
            at += len(one) + len(SEAM)
        return words

    def _cut(self, run: str, at: int) -> _Words:
        """Cut a plain run that stands at that offset."""
        size = len(run)
        chars = [*map(self._same.get, run, run)]
        begins = [*map(dict.get, map(self._following.get, chars, repeat(_NOTHING)), islice(chars, 1, None)), None]
        alone, weight_of, unknown = self._alone.get, self._weights.get, self._unknown
        sums, ends = [0.0] * (size + 1), list(range(1, size + 1))
        total = 0.0
        for start in range(size - 1, -1, -1):
            begin = begins[start]
            if begin is None:
                total += alone(chars[start], unknown)
                sums[start] = total
                continue
            weight, thirds, longest = begin
            best = alone(chars[start], -inf) + total
            if weight + sums[start + 2] >= best:
                best, ends[start] = weight + sums[start + 2], start + 2
            if thirds and run[start + 2 : start + 3] in thirds:
                for end in range(start + 3, min(start + longest, size) + 1):
                    weight = weight_of(run[start:end], -inf)
                    if weight + sums[end] >= best:
                        best, ends[start] = weight + sums[end], end
            if best == -inf:
                best, ends[start] = unknown + total, start + 1
            total = sums[start] = best
        words: _Words = []
        start = 0
        while start < size:
            end = ends[start]
            word = run[start:end]
            if end - start > 2:
                words += [(part, at + start + i) for part, i in self._parts.get(word) or self._parts_of(word)]
            else:
                words.append((word, at + start))
            start = end
        return words

    def _parts_of(self, word: str) -> _Words:
        """The words of two and of three characters within a word, and the word itself, which are remembered."""
        parts = [
            (part, at)
            for length in range(2, min(4, len(word)))
            for at in range(len(word) - length + 1)
            if (part := word[at : at + length]) in self._weights
        ]
        if len(self._parts) >= REMEMBERED_WORDS:
            self._parts.clear()
        self._parts[word] = [*parts, (word, 0)]
        return self._parts[word]


class _RjiebaCutter:
    """What _JiebaCutter finds, looked for in Rust: a quarter of the time, and a quarter of a second to load."""

    def __init__(self) -> None:
        import rjieba

        jieba = rjieba.Jieba()  # of our own: anybody may add words to the one that the module has
        jieba.add_word(_FILLER, _MORE_IN_JIEBA, None)
        self._jieba, self._tokenize = jieba, jieba.tokenize
        self._plain_runs = re.compile(_PLAIN_RUNS)

    def __call__(self, run: str) -> _Words:
        # It takes more characters for those of words than jieba does. A SEAM is a word to it.
        if self._plain_runs.fullmatch(run):
            return [(word, start) for word, start, _ in self._tokenize(run, "search", False) if word != SEAM]
        return _cut_mixed(run, self._cut)

    def _cut(self, run: str, at: int) -> _Words:
        return [(word, at + start) for word, start, _ in self._tokenize(run, "search", False)]

    def parts(self, run: str) -> list[str]:
        """The run cut into words that do not overlap."""
        parts: list[str] = self._jieba.cut(run, False)
        return parts


RJIEBA_VERSION = "0.2.2"
"""The one whose dictionary and way of cutting were compared with jieba's, and found to be the same but for one line."""
DICTIONARY_CRC32 = 0x1394096D
"""Of the dictionary of jieba that it was compared with."""
_MORE_IN_JIEBA = 3
"""Of a word that jieba's dictionary has twice, rjieba's once: counted in the sum of frequencies. By that all weights
are rounded, and so it is decided between cuts of equal weight."""
_FILLER = "B超\n"
"""A word that no run has, to count that much instead."""


def _is_rjieba_the_same() -> bool:
    """Whether rjieba is there, and known to find what jieba finds with the dictionary that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        if version("rjieba") != RJIEBA_VERSION:
            return False
        with open(dictionary_path(), "rb") as file:
            return crc32(file.read()) == DICTIONARY_CRC32
    except (PackageNotFoundError, OSError):
        return False


def _cut_mixed(run: str, cut: Callable[[str, int], _Words]) -> _Words:
    """Cut the plain parts of a run; other characters but a SEAM are words."""
    words: _Words = []
    end = 0
    for part in re.compile(_PLAIN).finditer(run):
        start = part.start()
        words += [(char, i) for i, char in enumerate(run[end:start], end) if char != SEAM]
        words += cut(part.group(), start)
        end = part.end()
    words += [(char, i) for i, char in enumerate(run[end:], end) if char != SEAM]
    return words


def _new_cutter() -> Callable[[str], _Words]:
    if _is_rjieba_the_same():
        try:
            return _RjiebaCutter()
        except ImportError:  # what is installed is for another Python
            pass
    return _JiebaCutter(*_read_dictionary())


_shared_cutter: Callable[[str], _Words] | None = None


def jieba_words(run: str) -> list[tuple[str, int]]:
    """jieba's search-mode words of a run, HMM off: every dictionary word of two or three characters inside a longer
    one, then the word itself. Loads the dictionary (half a second, a quarter with rjieba) on first use: for building,
    not for queries."""
    global _shared_cutter
    if _shared_cutter is None:
        with _lock:
            if _shared_cutter is None:
                _shared_cutter = _new_cutter()
    return _shared_cutter(run)


def quick_cutter() -> Callable[[str], list[str]] | None:
    """What cuts a run into words of jieba's that do not overlap, in Rust; None where rjieba is not in use already."""
    return _shared_cutter.parts if isinstance(_shared_cutter, _RjiebaCutter) else None


def jieba_words_with(words: Sequence[str]) -> Cutter:
    """As jieba_words(), with a user's words added to the dictionary, for this cutter alone."""
    if not words:
        return jieba_words
    tokenizer = _tokenizer()
    for word in words:
        tokenizer.add_word(word)
    return _JiebaCutter(tokenizer.FREQ, tokenizer.total)


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
