"""Forms of ideas → where they occur: documents, positions, boosted frequencies."""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain, repeat
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
REMEMBERED_CHARACTERS = 16
"""Single characters whose places are kept: each is as long as the postings of many pairs."""


class Found:
    """Documents in which something occurs. How often is looked up when it is asked for: for many it never is."""

    __slots__ = ("docs", "frequencies")

    def __init__(self, docs: Collection[int], frequencies: Callable[[], Scores]) -> None:
        """`frequencies` gives a new dictionary, of the same documents, of sums of boosts."""
        self.docs = docs
        self.frequencies = frequencies


class Occurrences:
    """Looks up forms in the two fields that hold text."""

    def __init__(self, text: FieldReader, grams: FieldReader) -> None:
        self._text = text
        self._grams = grams
        self._read: dict[tuple[str, str], Postings | None] = {}
        self._characters: dict[str, dict[int, Sequence[int]]] = {}

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
                docs = known[0].docs if len(known) == 1 else set().union(*[postings.docs for postings in known])
                return Found(docs, lambda: _summed(known))
            if len(terms) == 1 and len(terms[0]) > 1:
                return self._zoned(key, terms[0], zone)
            frequencies = self._boosted(self._column(key, terms), zone)
        else:
            frequencies = self._boosted(self._phrase(form), zone)
        return Found(frequencies.keys(), frequencies.copy) if frequencies else None

    def _zoned(self, key: str, term: str, zone: str | None) -> Found | None:
        """As _boosted(), of one term: zones begin at multiples of 256, so that rough positions are enough."""
        postings = self._postings(key, term)
        if postings is None:
            return None
        if zone is None:
            return Found(postings.docs, lambda: dict(zip(postings.docs, postings.of_highs(_boost_of), strict=True)))
        low, high = FIELDS[zone].zone
        values = postings.of_highs(lambda highs: sum([boost_at(p) for p in highs if low <= p < high]))
        frequencies = {doc: value for doc, value in zip(postings.docs, values, strict=True) if value}
        return Found(frequencies.keys(), frequencies.copy) if frequencies else None

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

    def _phrase(self, form: Form, within: set[int] | None = None) -> dict[int, Sequence[int]]:
        """Document → first positions of the phrase, for documents (of `within`, if given) that have it."""
        parts = []
        for key, terms, offset in form.parts:
            held = self._docs_of(key, terms)
            parts.append((len(held), key, terms, offset))
            within = held if within is None else within & held
            if not within:
                return {}
        docs: set[int] = within or set()
        starts: set[int] | None = None
        for _, key, terms, offset in sorted(parts):
            here = self._keys_in(key, terms, docs)
            if starts is not None:  # few places are looked for among many
                here = here.intersection(map(offset.__add__, starts))
            starts = set(map((-offset).__add__, here))
            if len(starts) < len(docs):
                docs = docs.intersection([start >> KEY_SHIFT for start in starts])
        result: dict[int, Sequence[int]] = {}
        for start in sorted(starts or ()):
            doc = start >> KEY_SHIFT
            if doc in docs:
                position = (start & KEY_MASK) - KEY_ZERO
                result[doc] = [*result[doc], position] if doc in result else [position]
        return result

    def _keys_in(self, key: str, terms: Sequence[str], docs: set[int]) -> set[int]:
        """Each place of any of the terms in some documents, and perhaps in others, as one number: the document above
        the position. Made by calls of C alone where most documents that have the term are wanted."""
        if key == GRAMS and len(terms[0]) == 1:
            places = self._character(terms[0])
            return {(doc << KEY_SHIFT) + KEY_ZERO + p for doc in docs for p in places.get(doc, ())}
        keys: set[int] = set()
        for term in terms:
            if not (postings := self._postings(key, term)):
                continue
            held = postings.docs
            if len(held) < FEW * len(docs):
                counts, positions = postings.all_positions()
                bases = map(KEY_ZERO.__add__, map((1 << KEY_SHIFT).__mul__, held))
                keys.update(map(add, chain.from_iterable(map(repeat, bases, counts)), positions))
            else:
                for doc in docs.intersection(held):
                    base = (doc << KEY_SHIFT) + KEY_ZERO
                    keys.update([base + p for p in postings.positions(bisect_left(held, doc))])
        return keys

    def _docs_of(self, key: str, terms: Sequence[str]) -> set[int]:
        if key == GRAMS and len(terms[0]) == 1:
            return set(self._character(terms[0]))
        docs: set[int] = set()
        for term in terms:
            postings = self._postings(key, term)
            docs.update(postings.docs if postings else ())
        return docs

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
        if zone is None:
            boosts = _boosts
            return {doc: sum([boosts[p >> LOW_BITS] for p in positions]) for doc, positions in places.items()}
        scores: Scores = {}
        low, high = FIELDS[zone].zone
        for doc, positions in places.items():
            frequency = sum([boost_at(p) for p in positions if low <= p < high])
            if frequency:
                scores[doc] = frequency
        return scores

    def starts(self, form: Form, docs: set[int]) -> Mapping[int, Sequence[int]]:
        """Document → positions at which the form begins, for some documents."""
        if len(form.parts) == 1:
            key, terms, _ = form.parts[0]
            return self._column_in(key, terms, docs)
        return self._phrase(form, docs)


def _places(postings: Postings) -> Iterator[tuple[int, list[int]]]:
    """(document, positions) of all postings, decoded at once."""
    counts, positions = postings.all_positions()
    end = 0
    for doc, count in zip(postings.docs, counts, strict=True):
        start, end = end, end + count
        yield doc, positions[start:end]


def _summed(terms: Sequence[Postings]) -> Scores:
    """Document → sum of the boosts of terms that stand at different places: their weights, as they are stored."""
    scores: Scores = dict(zip(terms[0].docs, terms[0].weights, strict=True))
    for postings in terms[1:]:
        for doc, weight in zip(postings.docs, postings.weights, strict=True):
            scores[doc] = scores.get(doc, 0.0) + weight
    return scores


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
