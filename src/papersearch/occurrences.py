"""Forms of ideas → where they occur: documents, positions, boosted frequencies."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import inf

from papersearch.analysis.normalize import is_cjk
from papersearch.fields import FIELDS, GRAMS, TABLE, TEXT
from papersearch.index.segment import LOW_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TypeVar

    from papersearch.ideas import Form
    from papersearch.index.reader import FieldReader, Postings

    _Value = TypeVar("_Value")
    Scores = dict[int, float]
    """Document → a number."""
    Places = dict[int, list[int]]
    """Document → positions, ascending."""
    _Weigh = Callable[[Postings, Sequence[int] | None], Sequence[float]]
    """Gives a weight for each of some postings, or for all."""

NEAR_WORDS = 4
"""Words (Chinese: characters) between two ideas beyond which they are not near each other."""

FEW = 8
"""Where a term has so many times the documents that are wanted, these are looked up one by one."""
REMEMBERED = 512
"""Terms whose postings are kept: those of a few queries."""
REMEMBERED_PHRASES = 16
"""Phrases whose places are kept: ideas, spans and what they mean have some in common."""
REMEMBERED_CHARACTERS = 16
"""Single characters whose places are kept: each is as long as the postings of many pairs."""
REMEMBERED_POSITIONS = 1 << 18
"""Positions of terms in phrases that are kept, for the next phrase that has the term: some 15 MB of them."""


class Found:
    """Documents in which something occurs. How often is looked up when it is asked for: for many it never is."""

    __slots__ = ("docs", "frequencies")

    def __init__(self, docs: Collection[int], frequencies: Callable[[set[int] | None], Scores]) -> None:
        """`frequencies` gives a new dictionary, of the same documents or of those of them that are among some, of sums
        of boosts."""
        self.docs = docs
        self.frequencies = frequencies


def _found(frequencies: Scores) -> Found | None:
    """What is known already."""
    if not frequencies:
        return None
    return Found(
        frequencies.keys(),
        lambda docs: frequencies.copy() if docs is None else picked(frequencies, docs),
    )


class Occurrences:
    """Looks up forms in the two fields that hold text.

    Where a pair of characters is a word of the text, TEXT has it and GRAMS does not: so a term of GRAMS is what both
    have, at places of which none is in both.
    """

    def __init__(self, text: FieldReader, grams: FieldReader) -> None:
        self._text = text
        self._grams = grams
        self._read: dict[tuple[str, str], Postings | None] = {}
        self._characters: dict[str, Places] = {}
        self._phrases: dict[tuple[tuple[str, tuple[str, ...], int], ...], Places] = {}
        self._terms: dict[tuple[str, Sequence[str]], dict[int, list[int]]] = {}
        self._kept_positions = 0

    def _postings(self, key: str, term: str) -> Postings | None:
        """Postings of a term, remembered: a query looks the same ones up for matching, for places and for showing why.
        Postings never change, so it does not matter which of several threads puts them here."""
        try:
            return self._read[key, term]
        except KeyError:
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            reader = self._text if key == TEXT else self._grams
            found = self._read[key, term] = reader.postings(term)
            return found

    def _postings_of(self, key: str, terms: Sequence[str]) -> list[Postings]:
        """Postings of any of the terms."""
        fields = (TEXT,) if key == TEXT else (GRAMS, TEXT)
        return [postings for field in fields for term in terms if (postings := self._postings(field, term))]

    def found(self, form: Form, zone: str | None) -> Found | None:
        """Where the form occurs, None if it does nowhere."""
        if len(form.parts) == 1:
            key, terms, _ = form.parts[0]
            if zone is None and (key == TEXT or len(terms[0]) > 1):
                known = self._postings_of(key, terms)
                if not known:
                    return None
                docs = known[0].docs if len(known) == 1 else united([postings.docs for postings in known])
                weigh = _weights_of if key == TEXT else _boosts_of
                return Found(docs, lambda wanted: _summed(known, wanted, weigh))
            if zone is not None and len(terms) == 1 and len(terms[0]) > 1:
                return self._zoned(key, terms, FIELDS[zone].zone)
            return _found(self._boosted(self._column(key, terms, self._docs_of(key, terms, None)), zone))
        return _found(self._boosted(self._phrase(form), zone))

    def _zoned(self, key: str, terms: Sequence[str], zone: tuple[int, int]) -> Found | None:
        """As _boosted(), of one term: zones begin at multiples of 256, so that rough positions are enough."""
        low, high = zone
        scores: Scores = {}
        for postings in self._postings_of(key, terms):
            values = postings.of_highs(lambda highs: sum([boost_at(p) for p in highs if low <= p < high]))
            for doc, value in zip(postings.docs, values, strict=True):
                if value:
                    scores[doc] = scores.get(doc, 0.0) + value
        return _found(scores)

    def _phrase(self, form: Form, within: set[int] | None = None) -> Places:
        """Document → where the phrase begins; of documents of `within` if that is given."""
        known = self._phrases.get(form.parts)
        if known is not None:
            return known if within is None else picked(known, within)
        # The rarest first: where no document has several of them, those that are left are not even read, and the few
        # places of the rarest are looked for among the many of the others.
        parts = sorted([(self._often(key, terms), key, terms, offset) for key, terms, offset in form.parts])
        docs = within
        for _, key, terms, _ in parts:
            docs = self._docs_of(key, terms, docs)
            if not docs:
                break
        found: dict[int, list[int]] = {}
        if docs:
            (_, key, terms, first), *others = parts
            column = self._column(key, terms, docs)
            places = [(doc, position) for doc in docs for position in column[doc]]
            for _, key, terms, offset in others:
                column, ahead = self._column(key, terms, docs), offset - first
                places = [(doc, position) for doc, position in places if position + ahead in column[doc]]
            for doc, position in places:
                if doc in found:
                    found[doc].append(position - first)
                else:
                    found[doc] = [position - first]
        if within is None:
            if len(self._phrases) >= REMEMBERED_PHRASES:
                self._phrases.clear()
            self._phrases[form.parts] = found
        return found

    def _column(self, key: str, terms: Sequence[str], docs: set[int]) -> Places:
        """Document → positions of any of the terms, of some documents and perhaps of others. What was read is kept:
        the same word is in several phrases."""
        if key == GRAMS and len(terms[0]) == 1:
            return self._character(terms[0])
        known = self._terms.get((key, terms), {})
        missing = docs - known.keys()
        if missing:
            more = _merged([_places(postings, missing) for postings in self._postings_of(key, terms)])
            if self._kept_positions > REMEMBERED_POSITIONS:
                self._terms.clear()
                self._kept_positions = 0
            self._kept_positions += sum(map(len, more.values()))
            known = self._terms[key, terms] = known | more
        return known

    def _often(self, key: str, terms: Sequence[str]) -> float:
        """How many postings the terms have; of a single character, for which many have to be read, more than any."""
        if key == GRAMS and len(terms[0]) == 1:
            return inf
        frequency = sum([self._text.doc_frequency(term) for term in terms])
        return frequency if key == TEXT else frequency + sum([self._grams.doc_frequency(term) for term in terms])

    def _docs_of(self, key: str, terms: Sequence[str], within: set[int] | None) -> set[int]:
        """Documents that have one of the terms; of some, if these are given."""
        if key == GRAMS and len(terms[0]) == 1:
            known = self._character(terms[0]).keys()
            return set(known) if within is None else within & known
        found = [postings.docs for postings in self._postings_of(key, terms)]
        return united(found if within is None else [within.intersection(docs) for docs in found])

    def _character(self, char: str) -> Places:
        """Document → positions of one Chinese character, from all pairs that begin or end with it."""
        known = self._characters.get(char)
        if known is None:
            places: dict[int, set[int]] = {}
            for reader in (self._grams, self._text):
                for term, offset in pairs_with(reader, char):
                    if postings := reader.postings(term):
                        for doc, positions in _places(postings).items():
                            here = [p + offset for p in positions] if offset else positions
                            places.setdefault(doc, set()).update(here)
            if len(self._characters) >= REMEMBERED_CHARACTERS:
                self._characters.clear()
            known = self._characters[char] = {doc: sorted(positions) for doc, positions in places.items()}
        return known

    @staticmethod
    def _boosted(places: Places, zone: str | None) -> Scores:
        """Positions as a boosted frequency; with a zone, only those inside it. Where a phrase begins may be before the
        first position of a zone or of all."""
        scores: Scores = {}
        low, high = FIELDS[zone].zone if zone else (-(2**32), 2**32)
        boosts = _boosts
        for doc, positions in places.items():
            if len(positions) > 1 or zone:
                frequency = sum([boosts[p >> LOW_BITS] for p in positions if low <= p < high])
                if frequency:
                    scores[doc] = frequency
            else:
                scores[doc] = boosts[positions[0] >> LOW_BITS]
        return scores

    def starts(self, form: Form, docs: set[int]) -> Places:
        """Document → positions at which the form begins, for some documents."""
        if len(form.parts) == 1:
            key, terms, _ = form.parts[0]
            return picked(self._column(key, terms, docs), docs)
        return self._phrase(form, docs)


def united(several: Sequence[Collection[int]]) -> set[int]:
    """The documents of all. The largest may have all of them, and is then not copied if it is a set: a document has
    most forms of a common word where it has the most common one."""
    largest: Collection[int] = max(several, key=len, default=())
    found = largest if isinstance(largest, set) else set(largest)
    others = [docs for docs in several if docs is not largest and not found.issuperset(docs)]
    return found.union(*others) if others else found


def picked(values: dict[int, _Value], docs: set[int]) -> dict[int, _Value]:
    """Those of some documents."""
    return {doc: values[doc] for doc in docs & values.keys()}


def _places(postings: Postings, docs: set[int] | None = None) -> Places:
    """Document → positions of the postings of some documents and of no others, or of all."""
    held = postings.docs
    if docs is None or (len(docs) >= len(held) and docs.issuperset(held)):
        counts, positions = postings.all_positions()
        ends = list(accumulate(counts))
        return {doc: positions[start:end] for doc, start, end in zip(held, [0, *ends], ends)}  # noqa: B905
    wanted = sorted(docs.intersection(held))
    return dict(zip(wanted, postings.positions_at([bisect_left(held, doc) for doc in wanted]), strict=True))


def _merged(several: Sequence[Places]) -> Places:
    """The positions of all in each document."""
    if len(several) == 1:
        return several[0]
    merged: Places = {}
    for places in several:
        for doc, positions in places.items():
            known = merged.get(doc)
            merged[doc] = positions if known is None else sorted({*known, *positions})
    return merged


def _summed(terms: Sequence[Postings], wanted: set[int] | None, weigh: _Weigh) -> Scores:
    """Document → sum of what terms that stand at different places weigh."""
    scores = _weighed(terms[0], wanted, weigh)
    for postings in terms[1:]:
        for doc, weight in _weighed(postings, wanted, weigh).items():
            scores[doc] = scores.get(doc, 0.0) + weight
    return scores


def _weighed(postings: Postings, wanted: set[int] | None, weigh: _Weigh) -> Scores:
    """Document → weight of its posting; of few documents without reading those of the others."""
    held = postings.docs
    if wanted is None or len(wanted) * FEW > len(held):
        weights = weigh(postings, None)
        found = dict(zip(held, weights, strict=True))
        return found if wanted is None else picked(found, wanted)
    docs = sorted(wanted.intersection(held))
    return dict(zip(docs, weigh(postings, [bisect_left(held, doc) for doc in docs]), strict=True))


def _weights_of(postings: Postings, at: Sequence[int] | None) -> Sequence[float]:
    """Sums of boosts, as they are stored."""
    return postings.weights if at is None else postings.weights_at(at)


def _boosts_of(postings: Postings, at: Sequence[int] | None) -> Sequence[float]:
    """Sums of the boosts of zones: of numbers with a few bits, which are the same in any order."""
    return postings.of_highs(_boost_of, at)


def _boost_of(positions: Sequence[int]) -> float:
    return sum([boost_at(position) for position in positions])


def width(form: Form) -> int:
    """Positions that an occurrence of the form takes."""
    _, terms, offset = form.parts[-1]
    return offset + (len(terms[0]) if is_cjk(terms[0]) else 1)


def pairs_with(reader: FieldReader, char: str) -> list[tuple[str, int]]:
    """(term, offset of the character in it) for all terms of one or two characters that have it."""
    return [(term, i) for term in reader.terms_with(char) if len(term) < 3 for i, c in enumerate(term) if c == char]


def shown_terms(form: Form) -> list[str]:
    """What to mark in a text for a form: its terms, and a run of characters as one."""
    terms: list[str] = []
    run, run_end = "", -1
    for key, alternatives, offset in form.parts:
        term = alternatives[0]
        if key != GRAMS:
            terms += alternatives
        elif run and offset <= run_end:
            run += term[run_end - offset :]
            run_end = max(run_end, offset + len(term))
        else:
            terms += [run] if run else []
            run, run_end = term, offset + len(term)
    return [*terms, run] if run else terms


def distance(left: Sequence[tuple[int, int]], right: Sequence[tuple[int, int]]) -> int:
    """Fewest positions between a stretch of `left` and one of `right`; standing in the query's order is one nearer."""
    best = NEAR_WORDS + 1
    start = 0
    for begin, end in left:
        while start < len(right) and right[start][1] < begin - NEAR_WORDS:
            start += 1
        for i in range(start, len(right)):
            other_begin, other_end = right[i]
            if other_begin > end + NEAR_WORDS:
                break
            if other_begin >= end:
                best = min(best, other_begin - end)
            elif begin >= other_end:
                best = min(best, begin - other_end + 1)
    return best


_ZONES = tuple((f.zone[0], f.zone[1], f.boost) for f in TABLE if f.zone[1])


def boost_at(position: int) -> float:
    """The boost of the zone that a position lies in."""
    for low, high, boost in _ZONES:
        if low <= position < high:
            return boost
    return 1.0


class _Boosts(dict[int, float]):
    """Position without its low bits → boost: zones begin where the other bits change."""

    def __missing__(self, high: int) -> float:
        boost = self[high] = boost_at(high << LOW_BITS)
        return boost


_boosts = _Boosts()
