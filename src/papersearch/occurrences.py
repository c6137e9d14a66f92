"""Forms of ideas → where they occur: documents, positions, boosted frequencies."""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, repeat
from math import inf
from operator import add

from papersearch.analysis.normalize import is_cjk
from papersearch.fields import FIELDS, GRAMS, TABLE, TEXT
from papersearch.index.segment import LOW_BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from papersearch.ideas import Form
    from papersearch.index.reader import FieldReader, Postings

    Scores = dict[int, float]
    """Document → a number."""

NEAR_WORDS = 4
"""Words (Chinese: characters) between two ideas beyond which they are not near each other."""

FEW = 8
"""Where a term has so many times the documents that are wanted, these are looked up one by one."""
KEY_SHIFT, KEY_ZERO = 33, 1 << 32
"""A place as one number: the document above these bits, in them the position after so much, as where a phrase would
begin may lie before the first."""
KEY_MASK = (1 << KEY_SHIFT) - 1
REMEMBERED = 512
"""Terms whose postings are kept: those of a few queries."""
REMEMBERED_PHRASES = 16
"""Phrases whose places are kept: ideas, spans and what they mean have some in common."""
REMEMBERED_CHARACTERS = 16
"""Single characters whose places are kept: each is as long as the postings of many pairs."""


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
        lambda docs: frequencies.copy() if docs is None else {d: frequencies[d] for d in docs & frequencies.keys()},
    )


class Occurrences:
    """Looks up forms in the two fields that hold text."""

    def __init__(self, text: FieldReader, grams: FieldReader) -> None:
        self._text = text
        self._grams = grams
        self._read: dict[tuple[str, str], Postings | None] = {}
        self._characters: dict[str, dict[int, Sequence[int]]] = {}
        self._phrases: dict[tuple[tuple[str, tuple[str, ...], int], ...], set[int]] = {}

    def _postings(self, key: str, term: str) -> Postings | None:
        """Postings of a term, remembered: a query looks the same ones up for matching, for places and for showing why.
        Postings never change, so it does not matter which of several threads puts them here."""
        try:
            return self._read[key, term]
        except KeyError:
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            found = self._read[key, term] = self._reader(key).postings(term)
            return found

    def found(self, form: Form, zone: str | None) -> Found | None:
        """Where the form occurs, None if it does nowhere."""
        if len(form.parts) == 1:
            key, terms, _ = form.parts[0]
            if zone is None and key == TEXT:
                known = [postings for term in terms if (postings := self._postings(TEXT, term))]
                if not known:
                    return None
                docs = known[0].docs if len(known) == 1 else united([postings.docs for postings in known])
                return Found(docs, lambda wanted: _summed(known, wanted))
            if len(terms) == 1 and len(terms[0]) > 1:
                return self._zoned(key, terms[0], zone)
            return _found(self._boosted(self._column(key, terms), zone))
        return _found(self._boosted_phrase(self._phrase(form), zone))

    def _zoned(self, key: str, term: str, zone: str | None) -> Found | None:
        """As _boosted(), of one term: zones begin at multiples of 256, so that rough positions are enough."""
        postings = self._postings(key, term)
        if postings is None:
            return None
        if zone is None:
            return Found(postings.docs, lambda wanted: _weighed(postings, wanted, _boosts_of))
        low, high = FIELDS[zone].zone
        values = postings.of_highs(lambda highs: sum([boost_at(p) for p in highs if low <= p < high]))
        return _found({doc: value for doc, value in zip(postings.docs, values, strict=True) if value})

    def _column(self, key: str, terms: Sequence[str]) -> Mapping[int, Sequence[int]]:
        """Document → positions of any of the terms."""
        if key == GRAMS and len(terms[0]) == 1:
            return self._character(terms[0])
        found = [p for term in terms if (p := self._postings(key, term))]
        if len(found) == 1:
            return dict(_places(found[0]))
        merged: dict[int, set[int]] = {}
        for postings in found:
            for doc, positions in _places(postings):
                merged.setdefault(doc, set()).update(positions)
        return {doc: sorted(positions) for doc, positions in merged.items()}

    def _reader(self, key: str) -> FieldReader:
        return self._text if key == TEXT else self._grams

    def _phrase(self, form: Form, within: set[int] | None = None) -> set[int]:
        """Where the phrase begins (keys, see KEY_SHIFT), in documents of `within` if that is given."""
        known = self._phrases.get(form.parts)
        if known is not None:
            return known if within is None else _places_in(known, within)
        # The rarest first: where no document has several of them, those that are left are not even read.
        parts = sorted([(self._often(key, terms), key, terms, offset) for key, terms, offset in form.parts])
        docs = within
        for _, key, terms, _ in parts:
            docs = self._docs_of(key, terms, docs)
            if not docs:
                break
        places: set[int] = set()
        before = 0
        for number, (_, key, terms, offset) in enumerate(parts if docs else ()):
            keys = self._keys(key, terms, docs or set())
            if number:  # few places, moved to where this part should be, are looked for among its many
                places = set(map((offset - before).__add__, places)).intersection(keys)
            else:
                places = set(keys)
            before = offset
        if before:
            places = set(map((-before).__add__, places))
        if within is not None:
            return _places_in(places, within)
        if len(self._phrases) >= REMEMBERED_PHRASES:
            self._phrases.clear()
        self._phrases[form.parts] = places
        return places

    def _keys(self, key: str, terms: Sequence[str], docs: set[int]) -> Iterator[int]:
        """Each place of any of the terms in some documents, and perhaps in others, by calls of C alone where most
        documents that have the term are wanted."""
        if key == GRAMS and len(terms[0]) == 1:
            found = self._character(terms[0])
            return ((doc << KEY_SHIFT) + KEY_ZERO + p for doc in docs for p in found.get(doc, ()))
        return chain.from_iterable([self._keys_of(p, docs) for term in terms if (p := self._postings(key, term))])

    @staticmethod
    def _keys_of(postings: Postings, docs: set[int]) -> Iterator[int]:
        held = postings.docs
        if len(held) < FEW * len(docs):
            counts, positions = postings.all_positions()
            bases = map(KEY_ZERO.__add__, map((1 << KEY_SHIFT).__mul__, held))
            return map(add, chain.from_iterable(map(repeat, bases, counts)), positions)
        rows = ((doc, postings.positions(bisect_left(held, doc))) for doc in docs.intersection(held))
        return ((doc << KEY_SHIFT) + KEY_ZERO + position for doc, positions in rows for position in positions)

    def _often(self, key: str, terms: Sequence[str]) -> float:
        """How many postings the terms have; of a single character, for which many have to be read, more than any."""
        if key == GRAMS and len(terms[0]) == 1:
            return inf
        return sum([self._reader(key).doc_frequency(term) for term in terms])

    def _docs_of(self, key: str, terms: Sequence[str], within: set[int] | None) -> set[int]:
        """Documents that have one of the terms; of some, if these are given."""
        if key == GRAMS and len(terms[0]) == 1:
            docs = set(self._character(terms[0]))
            return docs if within is None else docs & within
        found = [postings.docs for term in terms if (postings := self._postings(key, term))]
        return united(found if within is None else [within.intersection(docs) for docs in found])

    def _column_in(self, key: str, terms: Sequence[str], docs: set[int]) -> Mapping[int, Sequence[int]]:
        """As _column(), for some documents only, positions in any order."""
        if key == GRAMS and len(terms[0]) == 1:
            character = self._character(terms[0])
            return {doc: character[doc] for doc in docs if doc in character}
        column: dict[int, list[int]] = {}
        for term in terms:
            if not (postings := self._postings(key, term)):
                continue
            held = postings.docs
            if len(held) < FEW * len(docs):
                here: Iterable[tuple[int, Sequence[int]]] = _places(postings)
            else:
                here = ((doc, postings.positions(bisect_left(held, doc))) for doc in docs.intersection(held))
            for doc, positions in here:
                if doc not in docs:
                    continue
                if doc in column:
                    column[doc] += positions
                else:
                    column[doc] = [*positions]
        return column

    def _character(self, char: str) -> dict[int, Sequence[int]]:
        """Document → positions of one Chinese character, from all pairs that begin or end with it."""
        known = self._characters.get(char)
        if known is None:
            places: dict[int, set[int]] = {}
            for term, offset in pairs_with(self._grams, char):
                if postings := self._grams.postings(term):
                    for doc, positions in _places(postings):
                        places.setdefault(doc, set()).update([p + offset for p in positions] if offset else positions)
            if len(self._characters) >= REMEMBERED_CHARACTERS:
                self._characters.clear()
            known = self._characters[char] = {doc: sorted(positions) for doc, positions in places.items()}
        return known

    def _boosted(self, places: Mapping[int, Sequence[int]], zone: str | None) -> Scores:
        """Positions as a boosted frequency; with a zone, only those inside it."""
        scores: Scores = {}
        low, high = FIELDS[zone].zone if zone else (0, 2**32)
        for doc, positions in places.items():
            frequency = sum([boost_at(p) for p in positions if low <= p < high])
            if frequency:
                scores[doc] = frequency
        return scores

    def _boosted_phrase(self, places: set[int], zone: str | None) -> Scores:
        """As _boosted(), of keys. Boosts are whole halves: they sum up to the same in any order."""
        scores: Scores = {}
        low, high = FIELDS[zone].zone if zone else (-(2**32), 2**32)
        boosts = _boosts
        for place in places:
            position = (place & KEY_MASK) - KEY_ZERO
            if low <= position < high:
                doc = place >> KEY_SHIFT
                scores[doc] = scores.get(doc, 0.0) + boosts[position >> LOW_BITS]
        return scores

    def starts(self, form: Form, docs: set[int]) -> Mapping[int, Sequence[int]]:
        """Document → positions at which the form begins, for some documents."""
        if len(form.parts) == 1:
            key, terms, _ = form.parts[0]
            return self._column_in(key, terms, docs)
        found: dict[int, Sequence[int]] = {}
        for place in sorted(self._phrase(form, docs)):
            doc, position = place >> KEY_SHIFT, (place & KEY_MASK) - KEY_ZERO
            found[doc] = [*found[doc], position] if doc in found else [position]
        return found


def united(several: Sequence[Collection[int]]) -> set[int]:
    """The documents of all. The largest may have all of them, and is then not copied if it is a set: a document has
    most forms of a common word where it has the most common one."""
    largest: Collection[int] = max(several, key=len, default=())
    found = largest if isinstance(largest, set) else set(largest)
    others = [docs for docs in several if docs is not largest and not found.issuperset(docs)]
    return found.union(*others) if others else found


def _places_in(places: set[int], docs: set[int]) -> set[int]:
    """The keys of those in some documents."""
    return {place for place in places if place >> KEY_SHIFT in docs}


def _places(postings: Postings) -> Iterator[tuple[int, list[int]]]:
    """(document, positions) of all postings, decoded at once."""
    counts, positions = postings.all_positions()
    end = 0
    for doc, count in zip(postings.docs, counts, strict=True):
        start, end = end, end + count
        yield doc, positions[start:end]


def _summed(terms: Sequence[Postings], wanted: set[int] | None) -> Scores:
    """Document → sum of the boosts of terms that stand at different places: their weights, as they are stored."""
    scores = _weighed(terms[0], wanted, _weights_of)
    for postings in terms[1:]:
        for doc, weight in _weighed(postings, wanted, _weights_of).items():
            scores[doc] = scores.get(doc, 0.0) + weight
    return scores


def _weighed(
    postings: Postings, wanted: set[int] | None, weigh: Callable[[Postings, Sequence[int] | None], Sequence[float]]
) -> Scores:
    """Document → weight of its posting; of few documents without reading those of the others."""
    held = postings.docs
    if wanted is None or len(wanted) * FEW > len(held):
        weights = weigh(postings, None)
        found = dict(zip(held, weights, strict=True))
        return found if wanted is None else {doc: found[doc] for doc in wanted & found.keys()}
    docs = sorted(wanted.intersection(held))
    return dict(zip(docs, weigh(postings, [bisect_left(held, doc) for doc in docs]), strict=True))


def _weights_of(postings: Postings, at: Sequence[int] | None) -> Sequence[float]:
    return postings.weights if at is None else postings.weights_at(at)


def _boosts_of(postings: Postings, at: Sequence[int] | None) -> Sequence[float]:
    return postings.of_highs(_boost_of, at)


def _boost_of(positions: Sequence[int]) -> float:
    return sum([boost_at(position) for position in positions])


def width(form: Form) -> int:
    """Positions that an occurrence of the form takes."""
    _, terms, offset = form.parts[-1]
    return offset + (len(terms[0]) if is_cjk(terms[0]) else 1)


def pairs_with(grams: FieldReader, char: str) -> list[tuple[str, int]]:
    """(pair, offset of the character in it) for all pairs of characters that have it."""
    return [(term, i) for term in grams.terms_with(char) for i, c in enumerate(term) if c == char]


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
