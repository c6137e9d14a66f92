"""The best documents for a bag of words, without scoring those that cannot be among them.

What a word adds to the score of a document is known beforehand, rounded up to whole steps of 1/STEPS: the quantised
impacts of Anh and Moffat, "Pruned query evaluation using pre-computed impacts" (2006). Bounds are added up in whole
numbers; only documents whose sum reaches the limit-th best score seen so far are scored in full, by the formula and in
the order of words that every other way of searching has. Words that together cannot reach it are not even added up
(MaxScore: Turtle and Flood, "Query evaluation: strategies and optimizations", 1995).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from papersearch.scoring import K1, idf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from papersearch.arrays.stored import Stored

    Array = np.ndarray[Any, np.dtype[Any]]

STEPS = 256
"""Steps of a score of 1 in which bounds count. A power of two: multiplying by it loses nothing."""
CHAMPIONS = 64
"""Documents that are remembered as those in which a word counts most."""
USUAL_LIMIT = 10
"""Documents that most queries want: for so many, what the best of a word reach is found out beforehand."""
PREPARED = 512
"""Words in more documents are read before they are asked for, if in more than PREPARED_SHARE of all, too."""
PREPARED_SHARE = 1 / 64
ROW_SHARE = 1 / 16
"""A word in more than this part of all documents has its bounds in a row, a number per document of the index."""
CLOSER = 4
"""With more candidates than so many for each document wanted, some are scored to rule out others."""
FEW = 256
"""Documents that are scored at once, where all words are in them."""
FEW_POSTINGS = 4096
"""Postings that are added up at once: finding out which of them cannot matter would take longer."""
SLACK = 1e-9
"""Part of a score that rounding may take from a bound."""


class Word:
    """A word of the index and what it adds to scores.

    Attributes:
        docs: its documents, ascending.
        added: what it adds to the score of each of them.
        bounds: the same in steps: more, but not by more than one.
        row: bounds by document of the index, of a very common word.
        best: the largest bound.
    """

    __slots__ = ("_champions", "_reached", "_top", "added", "best", "bounds", "docs", "row")

    def __init__(self, docs: Array, added: Array, size: int) -> None:
        """`size`: documents of the index."""
        self.docs, self.added = docs, added
        self.bounds: Array = (added * STEPS).astype(np.uint16)
        self.bounds += 1
        self.best = int(self.bounds.max())
        self.row: Array | None = None
        if len(docs) > ROW_SHARE * size:
            self.row = np.zeros(size, np.uint16)
            self.row[docs] = self.bounds
        self._champions: Array | None = None
        self._reached: dict[int, int] = {}
        self._top: list[tuple[int, float]] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = int(self.docs.nbytes + self.added.nbytes + self.bounds.nbytes)
        return arrays + (0 if self.row is None else int(self.row.nbytes)) + CHAMPIONS * 100

    def prepare(self) -> None:
        """Find out what a query would have to find out first."""
        self.reached(USUAL_LIMIT, None)

    @property
    def champions(self) -> Array:
        """Indices of the postings, ascending, of the largest bounds: CHAMPIONS, and more where some are equal."""
        if self._champions is None:
            if len(self.docs) <= CHAMPIONS:
                self._champions = np.arange(len(self.docs))
            else:
                least = np.partition(self.bounds, len(self.docs) - CHAMPIONS)[len(self.docs) - CHAMPIONS]
                self._champions = np.flatnonzero(self.bounds >= least)
        return self._champions

    @property
    def top(self) -> list[tuple[int, float]]:
        """The best CHAMPIONS documents for this word alone, with their scores."""
        if self._top is None:
            at = self.champions
            self._top = best(self.docs[at], self.added[at], CHAMPIONS)
        return self._top

    def reached(self, limit: int, admitted: Admitted | None) -> int:
        """Steps that at least `limit` of the champions reach by this word alone."""
        known = self._reached.get(limit) if admitted is None else None
        if known is None:
            at = self.champions
            bounds = self.bounds[at]
            if admitted is not None:
                bounds = bounds[admitted.bits[self.docs[at]]]
            if len(bounds) < limit:
                known = 0
            else:
                bounds.partition(len(bounds) - limit)
                known = int(bounds[len(bounds) - limit]) - 1
            if admitted is None:
                self._reached[limit] = known
        return known

    def look_up(self, docs: Array) -> tuple[Array, Array]:
        """(index of the posting, or of some other one; whether there is one) of documents."""
        at = self.docs.searchsorted(docs)
        return at, self.docs.take(at, mode="clip") == docs

    def bounds_in(self, docs: Array) -> Array:
        """The bounds in any documents, 0 where the word is not."""
        if self.row is not None:
            return self.row[docs]
        at, held = self.look_up(docs)
        return self.bounds.take(at, mode="clip") * held

    def held_in(self, docs: Array) -> Array:
        """Which of some documents have the word."""
        return self.look_up(docs)[1] if self.row is None else self.row[docs] > 0

    def add_to(self, sums: Array) -> None:
        """Add the bounds to a number for each document of the index."""
        if self.row is None:
            sums[self.docs] += self.bounds
        else:
            np.add(sums, self.row, out=sums)


class Ranking:
    """What words of a field add to scores, and the best documents by it. Threads may share it."""

    def __init__(self, documents: int, dampening: Array) -> None:
        """`documents`: how many are live. `dampening`: of every document of the index (see scoring)."""
        self._documents, self._dampening = documents, dampening

    @property
    def common(self) -> int:
        """Documents from which on a word is worth being read before it is asked for."""
        return int(max(PREPARED, PREPARED_SHARE * len(self._dampening)))

    def word(self, stored: Stored) -> Word | None:
        """What is known of a word; None if no live document has it."""
        docs = stored.docs
        if not len(docs):
            return None
        added = stored.field.weights(stored.shapes)
        divisor = added + self._dampening[docs]
        added *= K1 + 1.0  # as dampened() calculates
        added /= divisor
        added *= idf(len(docs), self._documents)
        return Word(docs, added, len(self._dampening))

    def top(self, words: Sequence[Word], limit: int, every: bool, admitted: Admitted | None) -> list[tuple[int, float]]:
        """The best documents and their scores, the best first; what ties goes by number.

        Exactly those that adding up everything would give: what bounds rule out could not be among them. `admitted`
        are the documents that count, None for all.
        """
        if len(words) == 1 and admitted is None and limit <= CHAMPIONS:
            return words[0].top[:limit]
        if every and len(words) > 1:
            docs = _in_all(words, admitted)
            if len(docs) <= FEW:
                scores = np.zeros(len(docs))
                for word in words:
                    scores += word.added[word.docs.searchsorted(docs)]
                return best(docs, scores, limit)
            sums = np.zeros(len(docs), np.uint32)
            for word in words:
                sums += word.bounds_in(docs)
            return _closer(words, docs, sums, [], limit)
        if sum([len(word.docs) for word in words]) <= FEW_POSTINGS:
            return _all_added(words, limit, admitted)
        return _closer(words, *self._in_any(words, limit, admitted), limit)

    def _in_any(self, words: Sequence[Word], limit: int, admitted: Admitted | None) -> tuple[Array, Array, list[Word]]:
        """(documents, ascending, that hold the best ones for any of the words; their bounds for some of the words; the
        other words, which alone do not bring a document among the best)."""
        least = max([word.reached(limit, admitted) for word in words])
        essential = sorted(words, key=_best_bound, reverse=True)
        others: list[Word] = []
        while len(essential) > 1 and essential[-1].best < least:
            least -= essential[-1].best
            others.append(essential.pop())
        least = max(1, least)
        if len(essential) == 1:
            word = essential[0]
            held = (word.bounds >= least).nonzero()[0]
            docs, bounds = word.docs[held], word.bounds[held]
            if admitted is not None:
                held = admitted.bits[docs]
                docs, bounds = docs[held], bounds[held]
            return docs, bounds, others
        most = sum([word.best for word in essential])
        sums = np.zeros(len(self._dampening), np.uint16 if most < 1 << 16 else np.uint32)
        for word in essential:
            word.add_to(sums)
        if admitted is None:
            docs = (sums >= least).nonzero()[0]
            return docs, sums[docs], others
        bounds = sums[admitted.numbers]
        held = (bounds >= least).nonzero()[0]
        return admitted.numbers[held], bounds[held], others


def _scores(words: Sequence[Word], docs: Array) -> Array:
    """Scores of documents (ascending): what each of the words adds, one after the other."""
    scores = np.zeros(len(docs))
    for word in words:
        at, held = word.look_up(docs)
        scores += word.added.take(at, mode="clip") * held
    return scores


def _all_added(words: Sequence[Word], limit: int, admitted: Admitted | None) -> list[tuple[int, float]]:
    """The best documents, everything added up: for few postings."""
    docs = np.concatenate([word.docs for word in words])
    added = np.concatenate([word.added for word in words])
    if admitted is not None:
        held = admitted.bits[docs].nonzero()[0]
        docs, added = docs[held], added[held]
        if not len(docs):
            return []
    order = docs.argsort(kind="stable")  # the words of a document stay in their order
    docs, added = docs[order], added[order]
    new = np.empty(len(docs), bool)
    new[0] = True
    np.not_equal(docs[1:], docs[:-1], out=new[1:])
    rows = new.cumsum()
    rows -= 1
    return best(docs[new], np.bincount(rows, added), limit)  # one after the other, which reduceat() does not


def _in_all(words: Sequence[Word], admitted: Admitted | None) -> Array:
    """Documents, ascending, that have all of the words."""
    rarest, *others = sorted(words, key=_frequency)
    docs = rarest.docs
    if admitted is not None:
        docs = docs[admitted.bits[docs]]
    for word in others:
        docs = docs[word.held_in(docs)]
    return docs


def _closer(
    words: Sequence[Word], docs: Array, bounds: Array, others: Sequence[Word], limit: int
) -> list[tuple[int, float]]:
    """The best of some documents. `bounds` are those for all words but `others`."""
    if len(docs) <= CLOSER * limit:
        return best(docs, _scores(words, docs), limit)
    # The best by their bounds are nearly the best: they show how little the others may reach.
    first = bounds.argpartition(len(docs) - 2 * limit)[len(docs) - 2 * limit :]
    first.sort()
    scores = _scores(words, docs[first])
    least = float(np.partition(scores, limit)[limit]) * (STEPS * (1 - SLACK))
    beyond = sum([word.best for word in others])
    held = (bounds >= least - beyond).nonzero()[0]
    if len(held) <= len(first) and len(held) == np.count_nonzero(bounds[first] >= least - beyond):
        return best(docs[first], scores, limit)
    docs, bounds = docs[held], bounds[held].astype(np.uint32)
    for word in others:
        bounds += word.bounds_in(docs)
        beyond -= word.best
        held = (bounds >= least - beyond).nonzero()[0]
        docs, bounds = docs[held], bounds[held]
    return best(docs, _scores(words, docs), limit)


class Admitted(Protocol):
    """Documents that count."""

    @property
    def bits(self) -> Array:
        """Whether it does, for each document of the index."""
        ...

    @property
    def numbers(self) -> Array:
        """Their numbers, ascending."""
        ...


def best(docs: Array, values: Array, limit: int) -> list[tuple[int, float]]:
    """The `limit` largest numbers, the largest first; `docs` ascend, and what ties stays in their order."""
    if 0 < limit < len(docs) // 4:
        least = np.partition(values, len(docs) - limit)[len(docs) - limit]
        held = (values >= least).nonzero()[0]
        docs, values = docs[held], values[held]
    order = (-values).argsort(kind="stable")[:limit]
    return list(zip(docs[order].tolist(), values[order].tolist(), strict=True))


def _best_bound(word: Word) -> int:
    return word.best


def _frequency(word: Word) -> int:
    return len(word.docs)
