"""Query tree + index → ranked Hits: matching, stages, filters, facets.

A `Searcher` is anything that answers `search(Request) -> Answer`; `IndexSearcher` does it over one snapshot of our
index. What is inside an Answer is still documents and scores: snippets and papers are added for the hits shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

from papersearch import filters
from papersearch.analysis.normalize import exact_value, fold, is_cjk
from papersearch.analysis.tokens import INITIALS_MARK, STEM_MARK
from papersearch.errors import UsageError
from papersearch.fields import FIELDS, GRAMS, TEXT
from papersearch.glossary import Lookup, shipped
from papersearch.ideas import Form, Group, Idea, Ideas, find_ideas, gram_form, phrase_form
from papersearch.index.reader import Snapshot
from papersearch.occurrences import NEAR_WORDS, Occurrences, Scores
from papersearch.occurrences import distance as distance_between
from papersearch.query import SORTS, And, Exact, Fuzzy, Node, Not, Or, Phrase, Prefix, Query, Within, Words, Years
from papersearch.results import Part, Stage
from papersearch.scoring import idf, saturation
from papersearch.spelling import Speller, fuzzy_terms, prefix_terms

SOME_SHARE = 0.45
"""Where no paper matches every idea: the share of the query's weight that a paper must match to be shown. Less would
answer queries about what the digest does not hold."""
BELOW_SHARE = 0.3
"""The same for papers shown below some that match every idea."""
FULL_SHARE_IDEAS = 3
"""With more ideas than these both shares go down in proportion: the longer a query, the less of it any paper holds."""
SPAN_BONUS = 0.3
"""What ideas that are written as one add, as a part of what they are worth on their own."""
NEAR_BONUS = 0.5
"""What two ideas that stand side by side add, as a part of what the lesser one is worth; less with every word
between."""
TITLE_BONUS = 0.1
"""What an idea in the title adds, as a part of what it is worth."""
PLACE_CANDIDATES = 200
"""How many documents are looked at for where their words stand: the best ones without that."""
SIMILAR_TERMS = 30
"""Words of a paper by which papers like it are looked for: those of the highest tf-idf."""
VERBOSE_IDEAS = 4
"""From so many ideas on, a query describes: words that are found nowhere count less."""
VERBOSE_UNKNOWN = 0.3


ORDER: tuple[Stage, ...] = ("all", "fuzzy", "some")
"""Papers that match everything stand above those that match it under a corrected spelling, those above partial ones."""


class Request(NamedTuple):
    """One search: what is asked, what is admitted, what is to be returned."""

    query: Query
    filters: tuple[Node, ...] = ()
    sort: str = "score"
    limit: int | None = 10
    offset: int = 0
    strict: bool = False
    facets: tuple[str, ...] = ()
    explain: bool = False


class Found(NamedTuple):
    """One document of an answer. `parts` are what its score is the sum of, if asked for."""

    doc: int
    score: float
    stage: Stage
    parts: tuple[Part, ...] = ()


@dataclass
class Answer:
    """Ranked documents: `found` those asked for, `total` all that match."""

    stage: Stage
    total: int
    found: list[Found]
    facets: dict[str, Counter[str]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
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
    idea: Idea | None = None


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
        self.occurrences = Occurrences(self.text, self.grams)
        self.speller = Speller(self.text)
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
        near = self._add_places(matchers, exact, partial)
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
        answer.facets = filters.count(self.snapshot, request.facets, [f.doc for f in found])
        found = self._sorted(found, sort, ranked=bool(answer.matchers))
        end = None if request.limit is None else request.offset + request.limit
        answer.found = found[request.offset : end]
        if request.explain:
            answer.found = [
                f._replace(parts=self._explain(f.doc, matchers, required, spans, near.get(f.doc, [])))
                for f in answer.found
            ]
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

    def _sorted(self, found: Iterable[Found], sort: str, *, ranked: bool) -> list[Found]:
        """In the wanted order. Full matches stand above relaxed ones whatever it is; what ties in a ranking goes by
        id, what ties in a list by reading order."""
        if not ranked or sort != "score":
            key = self._list_key(sort)
            return sorted(found, key=lambda f: (ORDER.index(f.stage), *key(f), self.order_of(f.doc)))
        rows = sorted(found, key=_rank)
        result: list[Found] = []
        for _, tied in groupby(rows, key=_rank):
            group = list(tied)
            result += group if len(group) == 1 else sorted(group, key=lambda f: str(self.snapshot.stored(f.doc)["id"]))
        return result

    def _list_key(self, sort: str) -> Callable[[Found], tuple[object, ...]]:
        if sort in ("year", "-year"):
            years = filters.values(self.snapshot, "year")
            sign = -1 if sort == "-year" else 1
            return lambda f: (f.doc not in years, sign * int(years.get(f.doc, ["0"])[0]), -round(f.score, 9))
        if sort == "venue":
            venues = filters.values(self.snapshot, "venue")
            return lambda f: (f.doc not in venues, venues.get(f.doc, [""])[0])
        if sort == "title":
            return lambda f: (exact_value(str(self.snapshot.stored(f.doc).get("title", ""))),)
        return lambda f: ()

    # ---- matching without scores: negations, alternatives

    def _docs(self, node: Node) -> set[int]:
        match node:
            case Exact(name, values):
                return filters.exact_docs(self.snapshot, name, values)
            case Years(ranges):
                return filters.year_docs(self.snapshot, ranges)
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
                near = tuple(Form.term(term) for term in fuzzy_terms(self.text, text, edits))
                return self._match_group(f"{text}~", Group(near), zone)
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
        # What is nowhere weighs as much as the rarest word there is: more would silence every answer to a query with
        # one word that the digest writes otherwise.
        weight = idea.size * idf(max(1, len(scores)), self.documents)
        spellings = {term: docs - as_written for term, docs in spellings.items() if docs - as_written}
        return Matcher(idea.text, scores, weight, forms, zone, spellings, idea)

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
        saturated = self._saturated(group, zone)
        weight = idf(len(saturated), self.documents)
        scores = {doc: group.factor * weight * part for doc, part in saturated.items()}
        return Matcher(text, scores, weight, group.forms, zone)

    def _saturated(self, group: Group, zone: str | None) -> Scores:
        """Document → saturated frequency of a group, whose forms add up as if they were one term."""
        frequencies: Scores = {}
        for form in group.forms:
            for doc, frequency in self.occurrences.frequencies(form, zone).items():
                frequencies[doc] = frequencies.get(doc, 0.0) + frequency
        length_of, average = self.text.length, self.text.average_length or 1.0
        return {doc: saturation(frequency, length_of(doc), average) for doc, frequency in frequencies.items()}

    def _match_spans(
        self, ideas: Ideas, base: int, matchers: Sequence[Matcher], zone: str | None = None
    ) -> list[SpanMatch]:
        """Documents in which neighbouring ideas stand together: worth what the ideas are worth on their own."""
        spans = []
        for span in ideas.spans:
            worth = sum(m.weight for m in matchers[base + span.start : base + span.stop])
            scores: Scores = {}
            for group in span.groups:
                for doc, part in self._saturated(group, zone).items():
                    score = group.factor * worth * part
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
                if doc in span.scores:
                    bonus += SPAN_BONUS * span.scores[doc]
                    for i, share in self._shares(span, doc, matchers):
                        values[i] = max(values[i] or 0.0, share)
                elif span.concept:
                    whole = False
            held = sum(m.weight for m, value in zip(matchers, values, strict=True) if value is not None)
            score = sum(value for value in values if value is not None) + bonus
            if whole and None not in values:
                exact[doc] = score
            else:
                partial[doc] = score
                shares[doc] = held / total if total else 0.0
        least = (BELOW_SHARE if exact else SOME_SHARE) * min(1.0, FULL_SHARE_IDEAS / (len(matchers) or 1))
        return exact, {doc: score for doc, score in partial.items() if shares[doc] > least}

    @staticmethod
    def _shares(span: SpanMatch, doc: int, matchers: Sequence[Matcher]) -> Iterable[tuple[int, float]]:
        """What each idea of a span is worth where the span is found as one: its share by weight."""
        inside = range(span.start, span.stop)
        worth = sum(matchers[i].weight for i in inside) or 1.0
        return [(i, span.scores[doc] * matchers[i].weight / worth) for i in inside]

    # ---- why a score

    def _explain(
        self,
        doc: int,
        matchers: Sequence[Matcher],
        required: Sequence[Matcher],
        spans: Sequence[SpanMatch],
        near: Sequence[Part],
    ) -> tuple[Part, ...]:
        """The parts of a score; they sum up to it."""
        found = [span for span in spans if doc in span.scores]
        together: dict[int, float] = {}
        for span in found:
            for i, share in self._shares(span, doc, matchers):
                together[i] = max(share, together.get(i, 0.0))
        parts = []
        for i, matcher in enumerate(matchers):
            own = matcher.scores.get(doc)
            if own is None and i not in together:
                parts.append(Part(f"word {matcher.text}", 0.0, "not found"))
            elif together.get(i, 0.0) > (own or 0.0):
                parts.append(Part(f"word {matcher.text}", together[i], "found as one with its neighbours"))
            else:
                parts.append(Part(f"word {matcher.text}", own or 0.0, self._say_group(matcher, doc)))
        for span in found:
            text = " ".join(m.text for m in matchers[span.start : span.stop])
            parts.append(Part(f"together {text}", SPAN_BONUS * span.scores[doc], f"{SPAN_BONUS} of what it is worth"))
        parts += near
        parts += [Part(f"required {matcher.text}", matcher.scores[doc]) for matcher in required]
        return tuple(parts)

    def _say_group(self, matcher: Matcher, doc: int) -> str:
        """Which of an idea's groups counted in a document, with the numbers of its formula."""
        if matcher.idea is None:
            return ""
        best = max(matcher.idea.groups, key=lambda group: self._match_group("", group).scores.get(doc, 0.0))
        hits = self._match_group("", best)
        held = [form for form in best.forms if self.occurrences.places(form, doc)]
        terms = dict.fromkeys(term for form in held for term in self.occurrences.shown_terms(form))
        shown = ", ".join(term.lstrip(STEM_MARK) for term in terms)
        spelling = f", for {best.corrected}" if best.corrected else ""
        return f"as {shown}{spelling}: factor {best.factor:.2f} × idf {hits.weight:.2f} ({len(hits.scores)} papers)"

    # ---- papers like one

    def similar(self, terms: Iterable[tuple[str, float]], but: int, limit: int | None) -> Answer:
        """Documents that hold most of the weight of the given words (term, how often it stands in the paper)."""
        known = [(term, frequency, self.text.doc_frequency(term)) for term, frequency in terms]
        weighted = sorted(((f * idf(df, self.documents), term) for term, f, df in known if df > 1), reverse=True)
        matchers = [self._match_group(t, Group((Form.term(t),))) for _, t in weighted[:SIMILAR_TERMS]]
        scores: Scores = {}
        for matcher in matchers:
            for doc, score in matcher.scores.items():
                scores[doc] = scores.get(doc, 0.0) + score
        scores.pop(but, None)
        found = [Found(doc, score, "all") for doc, score in scores.items()]
        found = self._sorted(found, "score", ranked=True)
        return Answer("all" if found else "none", len(found), found[:limit], matchers=matchers)

    # ---- places

    def _add_places(self, matchers: Sequence[Matcher], *tiers: Scores) -> dict[int, list[Part]]:
        """Raise the scores of the best documents for where their words stand: in the title, which a long companion
        note must not drown, and next to each other where they do so in the query, in whatever form or language they
        are written. Returns what was added."""
        added: dict[int, list[Part]] = {}

        def add(scores: Scores, doc: int, name: str, value: float, note: str) -> None:
            scores[doc] += value
            added.setdefault(doc, []).append(Part(name, value, note))

        title_end = FIELDS["title"].zone[1]
        found = [matcher for matcher in matchers if matcher.scores]
        for scores in tiers:
            candidates = sorted(scores, key=lambda doc: (-scores[doc], doc))[:PLACE_CANDIDATES]
            docs = set(candidates)
            places = {id(matcher): self.occurrences.stretches(matcher.forms, docs) for matcher in found}
            for matcher in found:
                for doc, stretches in places[id(matcher)].items():
                    if doc in docs and stretches[0][0] < title_end:
                        value = TITLE_BONUS * min(matcher.weight, matcher.scores.get(doc, 0.0))
                        add(scores, doc, f"title {matcher.text}", value, "in the title")
            for a, b in pairwise(matchers):
                left, right = places.get(id(a), {}), places.get(id(b), {})
                for doc in docs.intersection(left, right):
                    distance = distance_between(left[doc], right[doc])
                    if distance <= NEAR_WORDS:
                        worth = min(a.scores.get(doc, 0.0), b.scores.get(doc, 0.0))
                        note = f"{distance} apart" if distance else "side by side"
                        add(scores, doc, f"near {a.text} {b.text}", NEAR_BONUS * worth / (1 + distance), note)
        return added

    def _prefix_forms(self, text: str) -> tuple[Form, ...]:
        run = fold(text)
        if len(run) > 1 and all(is_cjk(c) for c in run):
            return (gram_form(run),)
        return tuple(Form.term(term) for term in prefix_terms(self.text, text))


def _rank(found: Found) -> tuple[int, float]:
    return ORDER.index(found.stage), -round(found.score, 9)


class _Words:
    """What find_ideas() asks of the index."""

    def __init__(self, searcher: IndexSearcher, *, correcting: bool) -> None:
        self.knows = searcher.knows
        self.knows_pair = lambda pair: searcher.grams.doc_frequency(pair) > 0
        self._searcher = searcher
        self._correcting = correcting

    def initials(self, word: str) -> tuple[str, ...]:
        return tuple(term for term in self._searcher.text.terms(INITIALS_MARK) if word in term)

    def corrections(self, word: str) -> list[str]:
        return self._searcher.speller.corrections(word) if self._correcting else []
