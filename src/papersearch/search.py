"""Query tree + index → ranked Hits: matching, stages, filters, facets.

A `Searcher` is anything that answers `search(Request) -> Answer`; `IndexSearcher` does it over one snapshot of our
index. What is inside an Answer is still documents and scores: snippets and papers are added for the hits shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

from papersearch.analysis.normalize import exact_value, fold, is_cjk
from papersearch.analysis.tokens import MAX_TERM
from papersearch.errors import UsageError
from papersearch.fields import FIELDS, GRAMS, TABLE, TEXT
from papersearch.glossary import Lookup, shipped
from papersearch.ideas import Form, Group, Idea, Ideas, find_ideas, gram_form, phrase_form
from papersearch.index.reader import FieldReader, Snapshot
from papersearch.query import SORTS, And, Exact, Fuzzy, Node, Not, Or, Phrase, Prefix, Query, Within, Words, Years
from papersearch.results import Stage
from papersearch.scoring import idf, saturation
from papersearch.venues import canonical_venue

SOME_SHARE = 0.45
"""Where no paper matches every idea: the share of the query's weight that a paper must match to be shown. Less would
answer queries about what the digest does not hold."""
BELOW_SHARE = 0.3
"""The same for papers shown below some that match every idea."""
SPAN_BONUS = 0.3
"""What ideas that are written as one add, as a part of what they are worth on their own."""
NEAR_BONUS = 0.5
"""What two ideas that stand side by side add, as a part of what the lesser one is worth; less with every word
between."""
NEAR_WORDS = 4
"""Words (Chinese: characters) between two ideas beyond which they are not near each other."""
NEAR_CANDIDATES = 200
"""How many documents are looked at for nearness: the best ones without it."""
VERBOSE_IDEAS = 4
"""From so many ideas on, a query describes: words that are found nowhere count less."""
VERBOSE_UNKNOWN = 0.3
MAX_EXPANSION = 512
"""Terms that a prefix or a fuzzy word may stand for; the shortest (prefix) or nearest come first."""

SHORTEST_CORRECTED = 5
LONGEST_ENDING = 6
"""Letters that a word of the index may have more than an unknown word which it begins with."""
MAX_CORRECTIONS = 3

ORDER: tuple[Stage, ...] = ("all", "fuzzy", "some")
"""Papers that match everything stand above those that match it under a corrected spelling, those above partial ones."""

Scores = dict[int, float]


class Request(NamedTuple):
    """One search: what is asked, what is admitted, what is to be returned."""

    query: Query
    filters: tuple[Node, ...] = ()
    sort: str = "score"
    limit: int | None = 10
    offset: int = 0
    strict: bool = False
    facets: tuple[str, ...] = ()


class Found(NamedTuple):
    """One document of an answer."""

    doc: int
    score: float
    stage: Stage


@dataclass
class Answer:
    """Ranked documents: `found` those asked for, `total` all that match."""

    stage: Stage
    total: int
    found: list[Found]
    facets: dict[str, Counter[str]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    ideas: list[Idea] = field(default_factory=list)
    matchers: list[Matcher] = field(default_factory=list)


class Searcher(Protocol):
    """The seam: what a second engine, a combination of engines or a remote one has to offer."""

    def search(self, request: Request) -> Answer: ...


@dataclass
class Matcher:
    """What one idea or clause found: its documents with their scores, and its forms for showing why."""

    text: str
    scores: Scores
    weight: float
    forms: tuple[Form, ...]
    zone: str | None = None
    spellings: dict[str, set[int]] = field(default_factory=dict)
    """Corrected spelling → documents found under it alone."""


@dataclass
class SpanMatch:
    """Documents in which the ideas [start, stop) are found as one, with what that is worth."""

    start: int
    stop: int
    scores: Scores
    concept: bool


class IndexSearcher:
    """Searches one snapshot. Holds no state of a search, so threads may share it."""

    def __init__(
        self,
        snapshot: Snapshot,
        order_of: Callable[[int], tuple[object, ...]],
        glossary: Callable[[], Lookup] = shipped,
    ) -> None:
        """`order_of(doc)`: where the document stands in reading order; breaks ties and orders lists. `glossary` is
        called when a query has words."""
        self.snapshot = snapshot
        self.order_of = order_of
        self.glossary = glossary
        self.text = snapshot.field(TEXT)
        self.grams = snapshot.field(GRAMS)
        self.documents = snapshot.doc_count

    # ---- one search

    def search(self, request: Request) -> Answer:
        query = request.query
        answer = Answer("none", 0, [], notices=list(query.notices))
        sort = request.sort if request.sort != "score" else query.sort or "score"
        if sort not in SORTS:
            raise UsageError(f"no order {sort!r}; use one of {', '.join(SORTS)}")
        admitted, words, strict_clauses = self._take_apart([*query.clauses, *request.filters], answer)

        matchers: list[Matcher] = []
        spans: list[SpanMatch] = []
        for clause in words:
            if isinstance(clause, Words):
                ideas = find_ideas(clause.text, _Words(self, correcting=not request.strict), self.glossary())
                base = len(matchers)
                matchers += [self._match_idea(idea) for idea in ideas.ideas]
                spans += self._match_spans(ideas, base, matchers)
            else:
                matchers.append(self._match_clause(clause))
        if len(matchers) >= VERBOSE_IDEAS:
            for matcher in matchers:
                matcher.weight *= 1.0 if matcher.scores else VERBOSE_UNKNOWN
        required = [self._match_clause(clause) for clause in strict_clauses]
        for matcher in required:
            found_in = set(matcher.scores)
            admitted = found_in if admitted is None else admitted & found_in
        answer.matchers = required + matchers

        if matchers:
            exact, partial = self._combine(matchers, spans, admitted)
        else:
            docs = admitted if admitted is not None else set(self.snapshot.docs())
            exact, partial = dict.fromkeys(docs, 0.0), {}
        if request.strict:
            partial = {}
        self._add_nearness(matchers, exact, partial)
        for matcher in required:
            for scores in (exact, partial):
                for doc in scores:
                    scores[doc] += matcher.scores[doc]
        corrected = self._correct(matchers, exact)
        found = [Found(doc, score, "fuzzy" if doc in corrected else "all") for doc, score in exact.items()]
        found += [Found(doc, score, "some") for doc, score in partial.items()]
        stages = {f.stage for f in found}
        answer.stage = next((stage for stage in ORDER if stage in stages), "none")
        if found:
            answer.notices += self._say_corrections(matchers, {f.doc for f in found})
        answer.total = len(found)
        answer.facets = self._count(request.facets, [f.doc for f in found])
        found.sort(key=self._sort_key(sort, ranked=bool(answer.matchers)))
        end = None if request.limit is None else request.offset + request.limit
        answer.found = found[request.offset : end]
        return answer

    def _take_apart(self, clauses: Iterable[Node], answer: Answer) -> tuple[set[int] | None, list[Node], list[Node]]:
        """(documents that filters and negations admit, None for all; clauses that may be relaxed; those that may
        not)."""
        admitted: set[int] | None = None
        relaxable: list[Node] = []
        strict: list[Node] = []
        pending = list(clauses)
        while pending:
            clause = pending.pop(0)
            docs: set[int] | None = None
            match clause:
                case And(nodes):
                    pending = [*nodes, *pending]
                case Not(node):
                    everything = admitted if admitted is not None else set(self.snapshot.docs())
                    docs = everything - self._docs(node)
                case Exact() | Years():
                    docs = self._docs(clause)
                    self._remark(clause, docs, answer)
                case Phrase() | Within() | Prefix() | Fuzzy():
                    strict.append(clause)
                case _:
                    relaxable.append(clause)
            if docs is not None:
                admitted = docs if admitted is None else admitted & docs
        return admitted, relaxable, strict

    def _remark(self, clause: Node, docs: set[int], answer: Answer) -> None:
        if isinstance(clause, Exact) and not docs:
            known = sorted(self.snapshot.field(clause.field).terms())
            if clause.field == "has":
                answer.notices.append(f"has:{clause.values[0]} is held by no paper; known: {', '.join(known)}")
            elif known:
                wanted = ", ".join(clause.values)
                answer.notices.append(f"no {FIELDS[clause.field].name} matches {wanted}")

    def _sort_key(self, sort: str, *, ranked: bool) -> Callable[[Found], tuple[object, ...]]:
        """Full matches stand above partial ones whatever the order; ties go by reading order."""
        if sort == "score" and ranked:
            return lambda f: (ORDER.index(f.stage), -round(f.score, 9), self.order_of(f.doc))
        if sort in ("year", "-year"):
            years = self._values("year")
            sign = -1 if sort == "-year" else 1
            return lambda f: (
                f.doc not in years,
                sign * int(years.get(f.doc, ["0"])[0]),
                -f.score,
                self.order_of(f.doc),
            )
        if sort == "venue":
            venues = self._values("venue")
            return lambda f: (f.doc not in venues, venues.get(f.doc, [""])[0], self.order_of(f.doc))
        if sort == "title":
            return lambda f: (exact_value(str(self.snapshot.stored(f.doc).get("title", ""))), self.order_of(f.doc))
        return lambda f: self.order_of(f.doc)

    # ---- exact fields

    def _values(self, name: str) -> dict[int, list[str]]:
        """Document → its values in an exact field."""
        reader = self.snapshot.field(name)
        values: dict[int, list[str]] = {}
        for term in reader.terms():
            postings = reader.postings(term)
            for doc in postings.docs if postings else ():
                values.setdefault(doc, []).append(term)
        return values

    def _count(self, names: Sequence[str], docs: list[int]) -> dict[str, Counter[str]]:
        counts: dict[str, Counter[str]] = {}
        wanted = set(docs)
        for name in names:
            reader = self.snapshot.field(name)
            counts[name] = Counter()
            for term in reader.terms():
                postings = reader.postings(term)
                if n := len(wanted.intersection(postings.docs)) if postings else 0:
                    counts[name][term] = n
        return counts

    def _exact_docs(self, name: str, values: Sequence[str]) -> set[int]:
        """Documents with one of the values: a venue by its canonical name, other fields whole or by a part."""
        reader = self.snapshot.field(name)
        terms = list(reader.terms())
        docs: set[int] = set()
        for value in values:
            wanted = exact_value(value)
            if not wanted:
                continue
            if name == "venue":
                known = exact_value(canonical_venue(value) or value)
                chosen = [t for t in terms if t in (known, wanted)] or [t for t in terms if wanted in t]
            elif name == "has":
                chosen = [t for t in terms if wanted.rstrip("s") == t.rstrip("s")]
            else:
                chosen = [t for t in terms if wanted in t]
            for term in chosen:
                postings = reader.postings(term)
                docs.update(postings.docs if postings else ())
        return docs

    def _year_docs(self, ranges: Sequence[tuple[int | None, int | None]]) -> set[int]:
        reader = self.snapshot.field("year")
        docs: set[int] = set()
        for term in reader.terms():
            if term.isdigit() and any(
                (low is None or int(term) >= low) and (high is None or int(term) <= high) for low, high in ranges
            ):
                postings = reader.postings(term)
                docs.update(postings.docs if postings else ())
        return docs

    # ---- matching without scores: negations, alternatives

    def _docs(self, node: Node) -> set[int]:
        match node:
            case Exact(name, values):
                return self._exact_docs(name, values)
            case Years(ranges):
                return self._year_docs(ranges)
            case Not(inner):
                return set(self.snapshot.docs()) - self._docs(inner)
            case _:
                return set(self._match_clause(node).scores)

    # ---- matching with scores

    def knows(self, term: str) -> bool:
        """Whether a live document has the term among its words."""
        return self.text.doc_frequency(term) > 0

    def _match_clause(self, node: Node, zone: str | None = None) -> Matcher:
        """A clause of which everything must match."""
        match node:
            case Words(text):
                ideas = find_ideas(text, _Words(self, correcting=False), self.glossary())
                matchers = [self._match_idea(idea, zone) for idea in ideas.ideas]
                spans = self._match_spans(ideas, 0, matchers, zone)
                exact, _ = self._combine(matchers, spans, None) if matchers else ({}, {})
                forms = tuple(form for matcher in matchers for form in matcher.forms)
                return Matcher(text, exact, sum(m.weight for m in matchers), forms, zone)
            case Phrase(text):
                form = phrase_form(text)
                return self._match_group(text, Group((form,) if form else ()), zone)
            case Prefix(text):
                return self._match_group(f"{text}*", Group(self._prefix_forms(text)), zone)
            case Fuzzy(text, edits):
                return self._match_group(f"{text}~", Group(self._fuzzy_forms(text, edits)), zone)
            case Within(name, inner):
                return self._match_clause(inner, name)
            case Or(nodes):
                alternatives = [self._match_clause(n, zone) for n in nodes]
                scores: Scores = {}
                for matcher in alternatives:
                    for doc, score in matcher.scores.items():
                        scores[doc] = max(score, scores.get(doc, 0.0))
                forms = tuple(form for matcher in alternatives for form in matcher.forms)
                text = " OR ".join(matcher.text for matcher in alternatives)
                return Matcher(text, scores, max((m.weight for m in alternatives), default=0.0), forms, zone)
            case And(nodes):
                admitted, relaxable, strict = self._take_apart(nodes, Answer("none", 0, []))
                matchers = [self._match_clause(n, zone) for n in (*relaxable, *strict)]
                docs = set(self.snapshot.docs()) if admitted is None else admitted
                for matcher in matchers:
                    docs &= matcher.scores.keys()
                scores = {doc: sum(m.scores[doc] for m in matchers) for doc in docs}
                forms = tuple(form for matcher in matchers for form in matcher.forms)
                return Matcher("", scores, sum(m.weight for m in matchers), forms, zone)
            case _:
                return Matcher("", dict.fromkeys(self._docs(node), 0.0), 0.0, (), zone)

    def _match_idea(self, idea: Idea, zone: str | None = None) -> Matcher:
        """The best group of forms counts for each document."""
        scores: Scores = {}
        as_written: set[int] = set()
        spellings: dict[str, set[int]] = {}
        for group in idea.groups:
            found = self._match_group(idea.text, group, zone).scores
            if group.corrected:
                spellings.setdefault(group.corrected, set()).update(found)
            else:
                as_written.update(found)
            for doc, score in found.items():
                if score > scores.get(doc, 0.0):
                    scores[doc] = score
        forms = tuple(form for group in idea.groups for form in group.forms)
        weight = idea.size * idf(len(scores), self.documents)
        spellings = {term: docs - as_written for term, docs in spellings.items() if docs - as_written}
        return Matcher(idea.text, scores, weight, forms, zone, spellings)

    @staticmethod
    def _correct(matchers: Sequence[Matcher], docs: Iterable[int]) -> set[int]:
        """Those of the documents that match some idea only under a corrected spelling."""
        slips = [found for matcher in matchers for found in matcher.spellings.values()]
        return {doc for doc in docs if any(doc in found for found in slips)}

    @staticmethod
    def _say_corrections(matchers: Sequence[Matcher], docs: set[int]) -> list[str]:
        return [
            f"searched for {', '.join(used)} instead of {matcher.text}"
            for matcher in matchers
            if (used := [term for term, found in matcher.spellings.items() if found & docs])
        ]

    def _match_group(self, text: str, group: Group, zone: str | None = None) -> Matcher:
        frequencies: Scores = {}
        for form in group.forms:
            for doc, frequency in self._frequencies(form, zone).items():
                frequencies[doc] = frequencies.get(doc, 0.0) + frequency
        weight = idf(len(frequencies), self.documents)
        length_of, average = self.text.length, self.text.average_length or 1.0
        scores = {
            doc: group.factor * weight * saturation(frequency, length_of(doc), average)
            for doc, frequency in frequencies.items()
        }
        return Matcher(text, scores, weight, group.forms, zone)

    def _match_spans(
        self, ideas: Ideas, base: int, matchers: Sequence[Matcher], zone: str | None = None
    ) -> list[SpanMatch]:
        """Documents in which neighbouring ideas stand together: worth what the ideas are worth on their own."""
        spans = []
        length_of, average = self.text.length, self.text.average_length or 1.0
        for span in ideas.spans:
            worth = sum(m.weight for m in matchers[base + span.start : base + span.stop])
            scores: Scores = {}
            for group in span.groups:
                frequencies: Scores = {}
                for form in group.forms:
                    for doc, frequency in self._frequencies(form, zone).items():
                        frequencies[doc] = frequencies.get(doc, 0.0) + frequency
                for doc, frequency in frequencies.items():
                    score = group.factor * worth * saturation(frequency, length_of(doc), average)
                    scores[doc] = max(score, scores.get(doc, 0.0))
            if scores or span.concept:
                spans.append(SpanMatch(base + span.start, base + span.stop, scores, span.concept))
        return spans

    def _combine(
        self, matchers: Sequence[Matcher], spans: Sequence[SpanMatch], admitted: set[int] | None
    ) -> tuple[Scores, Scores]:
        """(scores of documents that match all ideas, of those that match most of the weight)."""
        candidates: set[int] = set()
        for scores in [m.scores for m in matchers] + [s.scores for s in spans]:
            candidates |= scores.keys()
        if admitted is not None:
            candidates &= admitted
        total = sum(m.weight for m in matchers)
        exact: Scores = {}
        partial: Scores = {}
        shares: Scores = {}
        for doc in candidates:
            values = [m.scores.get(doc) for m in matchers]
            bonus = 0.0
            whole = True
            for span in spans:
                score = span.scores.get(doc)
                if score is None:
                    whole = whole and not span.concept
                    continue
                bonus += SPAN_BONUS * score
                inside = range(span.start, span.stop)
                worth = sum(matchers[i].weight for i in inside) or 1.0
                for i in inside:
                    values[i] = max(values[i] or 0.0, score * matchers[i].weight / worth)
            held = sum(m.weight for m, value in zip(matchers, values, strict=True) if value is not None)
            score = sum(value for value in values if value is not None) + bonus
            if whole and None not in values:
                exact[doc] = score
            else:
                partial[doc] = score
                shares[doc] = held / total if total else 0.0
        least = BELOW_SHARE if exact else SOME_SHARE
        return exact, {doc: score for doc, score in partial.items() if shares[doc] > least}

    # ---- nearness

    def _add_nearness(self, matchers: Sequence[Matcher], *tiers: Scores) -> None:
        """Raise the scores of documents in which ideas that are neighbours in the query are neighbours too, in
        whatever form or language they are written."""
        pairs = [(a, b) for a, b in pairwise(matchers) if a.scores and b.scores]
        if not pairs:
            return
        for scores in tiers:
            candidates = sorted(scores, key=lambda doc: (-scores[doc], doc))[:NEAR_CANDIDATES]
            docs = set(candidates)
            places: dict[int, dict[int, list[tuple[int, int]]]] = {}
            for a, b in pairs:
                for matcher in (a, b):
                    if id(matcher) not in places:
                        places[id(matcher)] = self._stretches(matcher, docs)
                left, right = places[id(a)], places[id(b)]
                for doc in docs.intersection(left, right):
                    distance = _distance(left[doc], right[doc])
                    if distance <= NEAR_WORDS:
                        worth = min(a.scores.get(doc, 0.0), b.scores.get(doc, 0.0))
                        scores[doc] += NEAR_BONUS * worth / (1 + distance)

    def _stretches(self, matcher: Matcher, docs: set[int]) -> dict[int, list[tuple[int, int]]]:
        """Document → [start, end) positions of every occurrence of the idea, in order."""
        found: dict[int, set[tuple[int, int]]] = {}
        for form in dict.fromkeys(matcher.forms):
            width = _width(form)
            if len(form.parts) == 1:
                key, terms, _ = form.parts[0]
                columns: Mapping[int, Iterable[int]] = self._column_in(key, terms, docs)
            else:
                columns = self._phrase(form, docs)
            for doc, positions in columns.items():
                found.setdefault(doc, set()).update((p, p + width) for p in positions)
        return {doc: sorted(stretches) for doc, stretches in found.items()}

    # ---- forms

    def _frequencies(self, form: Form, zone: str | None) -> Scores:
        """Document → sum of the boosts of the form's occurrences."""
        if len(form.parts) == 1:
            key, terms, _ = form.parts[0]
            if zone is None and key == TEXT and len(terms) == 1:
                postings = self.text.postings(terms[0])
                return dict(zip(postings.docs, postings.weights, strict=True)) if postings else {}
            return self._boosted(self._column(key, terms), zone)
        return self._boosted(self._phrase(form), zone)

    def _column(self, key: str, terms: Sequence[str]) -> Mapping[int, Sequence[int]]:
        """Document → positions of any of the terms."""
        if key == GRAMS and len(terms[0]) == 1:
            return self._character(terms[0])
        found = [p for term in terms if (p := self._reader(key).postings(term))]
        if len(found) == 1:
            postings = found[0]
            return {doc: postings.positions(i) for i, doc in enumerate(postings.docs)}
        merged: dict[int, set[int]] = {}
        for postings in found:
            for i, doc in enumerate(postings.docs):
                merged.setdefault(doc, set()).update(postings.positions(i))
        return {doc: sorted(positions) for doc, positions in merged.items()}

    def _reader(self, key: str) -> FieldReader:
        return self.text if key == TEXT else self.grams

    def _phrase(self, form: Form, within: set[int] | None = None) -> dict[int, Sequence[int]]:
        """Document → first positions of the phrase, for documents (of `within`, if given) that have it."""
        docs = within
        for key, terms, _ in form.parts:
            here = self._docs_of(key, terms)
            docs = here if docs is None else docs & here
            if not docs:
                return {}
        columns = [(offset, self._column_in(key, terms, docs or set())) for key, terms, offset in form.parts]
        result: dict[int, Sequence[int]] = {}
        for doc in docs or ():
            starts: set[int] | None = None
            for offset, positions in columns:
                begin = {position - offset for position in positions.get(doc, ())}
                starts = begin if starts is None else starts & begin
                if not starts:
                    break
            if starts:
                result[doc] = sorted(starts)
        return result

    def _docs_of(self, key: str, terms: Sequence[str]) -> set[int]:
        if key == GRAMS and len(terms[0]) == 1:
            return set(self._character(terms[0]))
        docs: set[int] = set()
        for term in terms:
            postings = self._reader(key).postings(term)
            docs.update(postings.docs if postings else ())
        return docs

    def _column_in(self, key: str, terms: Sequence[str], docs: set[int]) -> Mapping[int, Iterable[int]]:
        """As _column(), for some documents only."""
        if key == GRAMS and len(terms[0]) == 1:
            return self._character(terms[0])
        column: dict[int, list[int]] = {}
        for term in terms:
            postings = self._reader(key).postings(term)
            for i, doc in enumerate(postings.docs if postings else ()):
                if doc in docs:
                    column.setdefault(doc, []).extend(postings.positions(i) if postings else ())
        return column

    def _character(self, char: str) -> dict[int, Sequence[int]]:
        """Document → positions of one Chinese character, from all pairs that begin or end with it."""
        places: dict[int, set[int]] = {}
        for term in self.grams.terms():
            for offset, c in enumerate(term):
                if c == char and (postings := self.grams.postings(term)):
                    for i, doc in enumerate(postings.docs):
                        places.setdefault(doc, set()).update(p + offset for p in postings.positions(i))
        return {doc: sorted(positions) for doc, positions in places.items()}

    def _boosted(self, places: Mapping[int, Sequence[int]], zone: str | None) -> Scores:
        """Positions as a boosted frequency; with a zone, only those inside it."""
        scores: Scores = {}
        low, high = FIELDS[zone].zone if zone else (0, 2**32)
        for doc, positions in places.items():
            frequency = sum(boost_at(p) for p in positions if low <= p < high)
            if frequency:
                scores[doc] = frequency
        return scores

    # ---- why a document matched

    def places(self, form: Form, doc: int, zone: str | None = None) -> list[int]:
        """First positions of the form in one document, only inside the zone if one is given."""
        low, high = FIELDS[zone].zone if zone else (0, 2**32)
        if len(form.parts) == 1:
            key, terms, _ = form.parts[0]
            found: Iterable[int] = sorted(p for term in terms for p in self._positions(key, term, doc))
        else:
            found = self._phrase(form).get(doc, ())
        return [position for position in found if low <= position < high]

    def _positions(self, key: str, term: str, doc: int) -> Sequence[int]:
        if key == GRAMS and len(term) == 1:
            return self._character(term).get(doc, ())
        postings = self._reader(key).postings(term)
        if postings is None:
            return ()
        i = bisect_left(postings.docs, doc)
        return postings.positions(i) if i < len(postings.docs) and postings.docs[i] == doc else ()

    @staticmethod
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

    def corrections(self, word: str) -> list[str]:
        """Words of the index that this one may be a slip of, most likely first: words that begin with it, then words
        a few edits away. A run of Chinese may have one character wrong. Short words are never corrected: too many
        real names lie one letter apart."""
        if is_cjk(word):
            return self._near_run(word)
        if len(word) < SHORTEST_CORRECTED or not word.isalpha():
            return []
        longer = [t for t in self.text.terms(word) if len(t) <= len(word) + LONGEST_ENDING]
        if longer:
            return sorted(longer, key=lambda t: (-self.text.doc_frequency(t), t))[:MAX_CORRECTIONS]
        limit = 1 if len(word) <= 5 else 2
        near = [
            (distance, term[0] != word[0], -self.text.doc_frequency(term), term)
            for term in self.text.terms()
            if abs(len(term) - len(word)) <= limit and term.isalpha() and len(term) >= SHORTEST_CORRECTED - 1
            if (distance := edit_distance(word, term, limit)) <= limit and not is_cjk(term)
        ]
        best = min((row[:2] for row in near), default=None)
        return [row[3] for row in sorted(near) if row[:2] == best][:MAX_CORRECTIONS]

    def _near_run(self, run: str) -> list[str]:
        """Chinese words of the index that differ from the run in one character."""
        if not 2 <= len(run) <= 4:
            return []
        near = [
            (-self.text.doc_frequency(term), term)
            for term in self.text.terms()
            if len(term) == len(run) and is_cjk(term) and sum(a != b for a, b in zip(term, run, strict=True)) == 1
        ]
        return [term for _, term in sorted(near)][:MAX_CORRECTIONS]

    def _prefix_forms(self, text: str) -> tuple[Form, ...]:
        prefix = fold(text)[:MAX_TERM]
        terms = []
        for term in self.text.terms(prefix):
            terms.append(term)
            if len(terms) >= 8 * MAX_EXPANSION:
                break
        terms.sort(key=lambda t: (len(t), t))
        forms = [Form.term(t) for t in terms[:MAX_EXPANSION]]
        if len(prefix) > 1 and all(is_cjk(c) for c in prefix):
            forms = [gram_form(prefix)]
        return tuple(forms)

    def _fuzzy_forms(self, text: str, edits: int) -> tuple[Form, ...]:
        word = fold(text)[:MAX_TERM]
        limit = edits or (1 if len(word) <= 5 else 2)
        near = [
            (distance, term)
            for term in self.text.terms()
            if abs(len(term) - len(word)) <= limit and term[0].isalnum()
            if (distance := edit_distance(word, term, limit)) <= limit
        ]
        return tuple(Form.term(term) for _, term in sorted(near)[:MAX_EXPANSION])


def _width(form: Form) -> int:
    """Positions that an occurrence of the form takes."""
    _, terms, offset = form.parts[-1]
    return offset + (len(terms[0]) if is_cjk(terms[0]) else 1)


def _distance(left: Sequence[tuple[int, int]], right: Sequence[tuple[int, int]]) -> int:
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


class _Words:
    """What find_ideas() asks of the index."""

    def __init__(self, searcher: IndexSearcher, *, correcting: bool) -> None:
        self.knows = searcher.knows
        self.knows_pair = lambda pair: searcher.grams.doc_frequency(pair) > 0
        self._searcher = searcher
        self._correcting = correcting

    def corrections(self, word: str) -> list[str]:
        return self._searcher.corrections(word) if self._correcting else []


_ZONES = tuple((f.zone[0], f.zone[1], f.boost) for f in TABLE if f.zone[1])


def boost_at(position: int) -> float:
    """The boost of the zone that a position lies in."""
    for low, high, boost in _ZONES:
        if low <= position < high:
            return boost
    return 1.0


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
