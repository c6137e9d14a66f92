"""Query tree + index → ranked Hits: matching, stages, filters, facets.

A `Searcher` is anything that answers `search(Request) -> Answer`; `IndexSearcher` does it over one snapshot of our
index. What is inside an Answer is still documents and scores: snippets and papers are added for the hits shown.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby, pairwise
from operator import add

from papersearch import filters
from papersearch.analysis.normalize import exact_value, fold, is_cjk
from papersearch.analysis.tokens import INITIALS_MARK, STEM_MARK
from papersearch.columns import ROUNDING, DictColumns
from papersearch.errors import UsageError
from papersearch.fields import FIELDS, GRAMS, TEXT
from papersearch.glossary import shipped
from papersearch.ideas import Form, Group, find_ideas, gram_form, name_forms, phrase_form, related_groups, row_form
from papersearch.occurrences import shown_terms
from papersearch.query import SORTS, And, Exact, Fuzzy, Not, Or, Phrase, Prefix, Within, Words, Years
from papersearch.record import Record
from papersearch.results import Part
from papersearch.scoring import idf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from papersearch.columns import Column, Columns, Docs
    from papersearch.glossary import Lookup
    from papersearch.ideas import Idea, Ideas
    from papersearch.index.reader import Snapshot
    from papersearch.query import Node, Query
    from papersearch.results import Stage
    from papersearch.spelling import Speller

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
RELATED_LIMIT = 0.5
"""What names near an idea add together at most, as a part of the idea's own idf: several of them never stand for it."""
PLACE_CANDIDATES = 200
"""How many documents are looked at for where their words stand: the best ones without that."""
SIMILAR_TERMS = 30
"""Words of a paper by which papers like it are looked for: those of the highest tf-idf."""
VERBOSE_IDEAS = 4
"""From so many ideas on, a query describes: words that are found nowhere count less."""
VERBOSE_UNKNOWN = 0.15
ARRAY_DOCUMENTS = 500
"""Documents from which on a process that searches more than once is quicker with arrays."""
REMEMBERED_WORDS = 1 << 16
"""Words of which it is remembered whether the index knows them."""
REMEMBERED_NAMES = 1 << 13
"""Names of the glossary, and words that may be initials, of which the forms are."""
REMEMBERED_FILTERS = 64
TIE = 2e-9
"""Scores that differ by less may tie: what is shown is rounded to 9 digits. Bounds leave ROUNDING, which is more."""


ORDER: tuple[Stage, ...] = ("all", "fuzzy", "some")
"""Papers that match everything stand above those that match it under a corrected spelling, those above partial ones."""


class Request(Record):
    """One search: what is asked, what is admitted, what is to be returned."""

    query: Query
    filters: tuple[Node, ...] = ()
    sort: str = "score"
    limit: int | None = 10
    offset: int = 0
    strict: bool = False
    facets: tuple[str, ...] = ()
    explain: bool = False


class Found(Record):
    """One document of an answer. `parts` are what its score is the sum of, if asked for."""

    doc: int
    score: float
    stage: Stage
    parts: tuple[Part, ...] = ()


class Answer:
    """Ranked documents: `found` those asked for, `total` how many match."""

    __slots__ = ("columns", "facets", "found", "look", "matchers", "notices", "stage", "total")

    def __init__(self, columns: Columns, notices: Iterable[str] = ()) -> None:
        self.stage: Stage = "none"
        self.total = 0
        self.found: list[Found] = []
        self.facets: dict[str, Counter[str]] = {}
        self.notices: list[str] = list(notices)
        self.matchers: list[Matcher] = []
        self.columns = columns
        """What the columns of the matchers are made of."""
        self.look: Look | None = None
        """Where the words of all matchers stand in the best documents, if that was looked up."""


if TYPE_CHECKING:

    class Searcher(Protocol):
        """The seam: what a second engine, a combination of engines or a remote one has to offer."""

        def search(self, request: Request) -> Answer: ...


class Matcher:
    """What one idea or clause found: its documents with their scores, and its forms for showing why."""

    __slots__ = ("forms", "groups", "name", "scores", "spellings", "text", "weight", "zone")

    def __init__(
        self, text: str, scores: Column, weight: float, forms: tuple[Form, ...], zone: str | None = None
    ) -> None:
        self.text = text
        self.scores = scores
        self.weight = weight
        self.forms = forms
        self.zone = zone
        self.spellings: dict[str, Docs] = {}
        """Corrected spelling → documents found under it alone."""
        self.groups: tuple[Group, ...] = ()
        """Those of an idea."""
        self.name = ("", "")
        """As in an Idea."""


class Look:
    """Where the words of matchers, by their numbers, stand in some documents."""

    __slots__ = ("docs", "places")

    def __init__(self, columns: Columns, matchers: Sequence[Matcher], docs: Docs) -> None:
        self.docs = docs
        self.places = columns.places([matcher.forms for matcher in matchers], docs)


class SpanMatch:
    """Documents in which the ideas [start, stop) are found as one, with what that is worth."""

    __slots__ = ("concept", "name", "scores", "start", "stop")

    def __init__(self, start: int, stop: int, scores: Column, concept: bool, name: tuple[str, str]) -> None:
        self.start = start
        self.stop = stop
        self.scores = scores
        self.concept = concept
        self.name = name


class Raise:
    """What is added to scores beyond those of ideas: `scores` by document, and what it depends on, if anything: the
    distance of words, or the columns of what lies near an idea."""

    __slots__ = ("distances", "name", "near", "scores")

    def __init__(
        self,
        name: str,
        scores: Column,
        distances: Column | None = None,
        near: Sequence[tuple[str, Column]] = (),
    ) -> None:
        self.name = name
        self.scores = scores
        self.distances = distances
        self.near = near


class Lack:
    """An idea with the partial matches that lack it, what lies near it, and what that adds at most."""

    __slots__ = ("docs", "most", "near", "text")

    def __init__(self, text: str, docs: Docs, near: Sequence[tuple[str, Group]], most: float) -> None:
        self.text = text
        self.docs = docs
        self.near = near
        self.most = most

    def forms(self) -> tuple[Form, ...]:
        return tuple([form for _, group in self.near for form in group.forms])


class IndexSearcher:
    """Searches one snapshot. Holds no state of a search, so threads may share it.

    A process that searches once works on dictionaries. From the second search on, or where numpy is loaded anyway,
    and if it is there at all, an index of some size is searched on arrays: with the same results.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        order_of: Callable[[int], tuple[object, ...]],
        glossary: Callable[[], Lookup] = shipped,
        *,
        arrays: bool | None = None,
    ) -> None:
        """`order_of(doc)`: where the document stands in reading order; breaks ties and orders lists. `glossary` is
        called when a query has words. `arrays`: whether to search on arrays; None decides as described above."""
        self.snapshot = snapshot
        self._arrays = arrays
        self._searches = 0
        self._index = _Known(snapshot, order_of, glossary)
        self.knows = self._index.knows
        self._plain = _Search(self._index, DictColumns(snapshot))
        self._quick: _Search | None = None

    def _search(self) -> _Search:
        """The search by dictionaries, or by arrays where they pay."""
        if self._quick is not None:
            return self._quick
        self._searches += 1
        arrays = self._arrays
        if arrays is None:
            arrays = self.snapshot.doc_count >= ARRAY_DOCUMENTS and (self._searches > 1 or "numpy" in sys.modules)
        if arrays:
            try:
                from papersearch.arrays import ArrayColumns, ArrayWords
            except ImportError:
                self._arrays = False
            else:
                speller = self._index.speller
                speller.prepared, speller.plain = ArrayWords(speller.words), ArrayWords(speller.plain_words)
                self._quick = _Search(self._index, ArrayColumns(self.snapshot))
        return self._quick or self._plain

    def search(self, request: Request) -> Answer:
        """What a request asks for. Raises UsageError for an unknown order."""
        return self._search().search(request)

    def similar(self, terms: Iterable[tuple[str, float]], but: int, limit: int | None) -> Answer:
        """Documents that hold most of the weight of the given words (term, how often it stands in the paper)."""
        return self._search().similar(terms, but, limit)

    def top(
        self, terms: Sequence[str], limit: int = 10, *, every: bool = False, filters: Sequence[Node] = ()
    ) -> list[tuple[int, float]]:
        """The best documents for a bag of index terms, as an engine ranks them: no ideas, no stages, no places.

        Args:
            terms: terms of the text field as `analysis` makes them; a score adds up BM25 over them.
            limit: documents to return.
            every: whether a document must have all of the terms.
            filters: clauses that a document must match, as parse_query() gives them (`Exact`, `Years`, …).

        Returns:
            (document number in the snapshot, score), the best first; what ties goes by number.
        """
        search = self._search()
        return search.columns.bag_top(terms, limit, every, search.admitted(filters))

    def phrase_top(
        self, terms: Sequence[str], limit: int = 10, *, filters: Sequence[Node] = ()
    ) -> list[tuple[int, float]]:
        """As top(), for documents that have the terms at consecutive positions, scored as one term."""
        search = self._search()
        form = Form(tuple((TEXT, (term,), i) for i, term in enumerate(terms)))
        return search.best_of_group(Group((form,) if terms else ()), limit, search.admitted(filters))

    def matched(self, answer: Answer, docs: Sequence[int]) -> list[tuple[dict[str, list[str]], list[str]]]:
        """(zone → words of the query found there, all index terms that matched), for each of some documents."""
        wanted = answer.columns.some(docs)
        look = answer.look
        if look is None or len(wanted - look.docs):
            look = Look(answer.columns, answer.matchers, wanted)
        rows: list[tuple[dict[str, list[str]], list[str]]] = []
        shown: dict[tuple[int, int], list[str]] = {}
        for held in look.places.by_form(docs, _ZONE_STARTS):
            zones: dict[str, list[str]] = {}
            terms: list[str] = []
            for number, i, numbers in held:
                matcher = answer.matchers[number]
                names = [_ZONE_NAMES[zone] for zone in numbers]
                if matcher.zone:
                    names = [name for name in names if name == matcher.zone]
                if not names:
                    continue
                if (number, i) not in shown:
                    shown[number, i] = shown_terms(matcher.forms[i])
                terms += shown[number, i]
                for name in names:
                    words = zones.setdefault(name, [])
                    if matcher.text and matcher.text not in words:
                        words.append(matcher.text)
            rows.append((zones, list(dict.fromkeys(terms))))
        return rows


class _Known:
    """What every search of a snapshot asks for, however it works: words, orders of documents."""

    def __init__(
        self, snapshot: Snapshot, order_of: Callable[[int], tuple[object, ...]], glossary: Callable[[], Lookup]
    ) -> None:
        self.snapshot = snapshot
        self.order_of = order_of
        self.glossary = glossary
        self.text = snapshot.field(TEXT)
        self.grams = snapshot.field(GRAMS)
        self._speller: Speller | None = None
        self.documents = snapshot.doc_count
        self._frequencies: dict[str, int] = {}
        self._pairs: dict[str, bool] = {}
        self._forms: dict[str, Form | None] = {}
        self._names: dict[str, tuple[Form, ...]] = {}
        self._initials: list[str] | None = None
        self._titles: dict[str, tuple[str, ...]] = {}
        self._values: dict[str, dict[int, list[str]]] = {}
        self._ranks: dict[int, int] | None = None

    @property
    def speller(self) -> Speller:
        """Loaded when a word is not there."""
        if self._speller is None:
            from papersearch.spelling import Speller

            self._speller = Speller(self.text)
        return self._speller

    def frequency(self, term: str) -> int:
        """Number of live documents that have the term among their words."""
        known = self._frequencies.get(term)
        if known is None:
            if len(self._frequencies) >= REMEMBERED_WORDS:
                self._frequencies.clear()
            known = self._frequencies[term] = self.text.doc_frequency(term)
        return known

    def knows(self, term: str) -> bool:
        """Whether a live document has the term among its words."""
        return self.frequency(term) > 0

    def knows_pair(self, pair: str) -> bool:
        """Whether two Chinese characters stand side by side in a live document."""
        known = self._pairs.get(pair)
        if known is None:
            if len(self._pairs) >= REMEMBERED_WORDS:
                self._pairs.clear()
            known = self._pairs[pair] = self.knows(pair) or self.grams.doc_frequency(pair) > 0
        return known

    def forms_of(self, name: str) -> tuple[Form, ...]:
        """The forms of a glossary name."""
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= REMEMBERED_NAMES:
                self._names.clear()
            known = self._names[name] = name_forms(name, self.knows)
        return known

    def form_of(self, name: str) -> Form | None:
        """The form of a glossary name's words in a row, None if there is none."""
        try:
            return self._forms[name]
        except KeyError:
            if len(self._forms) >= REMEMBERED_NAMES:
                self._forms.clear()
            form = self._forms[name] = row_form(name, self.knows)
            return form

    def initials(self, word: str) -> tuple[str, ...]:
        """Terms for titles with consecutive words that begin with the letters of the word."""
        known = self._titles.get(word)
        if known is None:
            if self._initials is None:
                self._initials = list(self.text.terms(INITIALS_MARK))
            if len(self._titles) >= REMEMBERED_NAMES:
                self._titles.clear()
            known = self._titles[word] = tuple([term for term in self._initials if word in term])
        return known

    def values(self, name: str) -> dict[int, list[str]]:
        """Document → its values in an exact field."""
        known = self._values.get(name)
        if known is None:
            known = self._values[name] = filters.values(self.snapshot, name)
        return known

    def rank(self, rows: int) -> Callable[[int], object]:
        """What orders documents by reading order. Looked up for all of them at once where many rows are ordered."""
        if self._ranks is None and rows > self.documents // 4:
            in_order = sorted(self.snapshot.docs(), key=self.order_of)
            self._ranks = {doc: rank for rank, doc in enumerate(in_order)}
        return self.order_of if self._ranks is None else self._ranks.__getitem__


class _Search:
    """The search of a snapshot by one kind of columns."""

    def __init__(self, index: _Known, columns: Columns) -> None:
        self.index = index
        self.snapshot = index.snapshot
        self.columns = columns
        self._filters: dict[Exact | Years, Docs] = {}

    # ---- one search

    def search(self, request: Request) -> Answer:
        query, columns = request.query, self.columns
        answer = Answer(columns, query.notices)
        sort = request.sort if request.sort != "score" else query.sort or "score"
        if sort not in SORTS:
            raise UsageError(f"no order {sort!r}; use one of {', '.join(SORTS)}")
        admitted, words, strict_clauses = self._take_apart([*query.clauses, *request.filters], answer)

        matchers: list[Matcher] = []
        spans: list[SpanMatch] = []
        for clause in words:
            if isinstance(clause, Words):
                vocabulary = _Words(self.index, correcting=not request.strict)
                ideas = find_ideas(clause.text, vocabulary, self.index.glossary())
                self._prepare(ideas)
                base = len(matchers)
                matchers += [self._match_idea(idea) for idea in ideas.ideas]
                spans += self._match_spans(ideas, base, matchers)
            else:
                matchers.append(self._match_clause(clause))
        if len(matchers) >= VERBOSE_IDEAS:
            for matcher in matchers:
                matcher.weight *= 1.0 if len(matcher.scores) else VERBOSE_UNKNOWN
        required = [self._match_clause(clause) for clause in strict_clauses]
        for matcher in required:
            found_in = columns.docs(matcher.scores)
            admitted = found_in if admitted is None else admitted & found_in
        answer.matchers = required + matchers

        partial = None
        if matchers:
            exact, partial = self._combine(matchers, spans, admitted, relaxed=not request.strict)
        else:
            exact = columns.constant(admitted if admitted is not None else columns.everything(), 0.0)
        end = None if request.limit is None else request.offset + request.limit
        tiers = [exact] if partial is None else [exact, partial]
        # Partial matches stand below the others: what raises them does not matter where none of them is shown.
        shown = tiers[:1] if end is not None and len(exact) >= end else tiers
        # Of which of them only the best are shown, by nothing but these scores and what raises them.
        slips = [found for matcher in matchers for found in matcher.spellings.values()]
        by_score = sort == "score" and end is not None and not required and not slips
        ends = [end if by_score else None, end - len(exact) if by_score and end is not None else None]
        lacks = self._lacks(matchers, spans, tiers[1]) if len(shown) > 1 else []
        raises = self._raises(answer, matchers, shown, ends, [0.0, sum(lack.most for lack in lacks)])
        if len(shown) > 1:
            raises[1] += self._related(lacks, tiers[1], raises[1], ends[1])
        for i, raised in enumerate(raises):
            tiers[i] = columns.raised(tiers[i], [row.scores for row in raised])
        for matcher in required:
            tiers = [columns.mapped(add, column, matcher.scores) for column in tiers]
        exact = tiers[0]
        ranked: list[tuple[Stage, Column]] = [("all", exact)]
        if slips:
            docs = columns.docs(exact)
            corrected = docs & _united(slips)
            ranked = [("all", columns.kept(exact, docs - corrected)), ("fuzzy", columns.kept(exact, corrected))]
        if partial is not None:
            ranked.append(("some", tiers[1]))
        answer.stage = next((stage for stage, column in ranked if len(column)), "none")
        answer.total = sum(len(column) for _, column in ranked)
        if request.facets or slips:
            found = _united([columns.docs(column) for _, column in ranked])
            if slips and answer.total:
                answer.notices += self._say_corrections(matchers, found)
            answer.facets = {name: Counter(columns.counts(name, found)) for name in request.facets}
        answer.found = self._window(ranked, sort if answer.matchers or sort != "score" else "", request.offset, end)
        if request.explain:
            answer.found = [
                row.replace(
                    parts=self._explain(row.doc, matchers, required, spans, raises[1 if row.stage == "some" else 0])
                )
                for row in answer.found
            ]
        return answer

    def _take_apart(self, clauses: Iterable[Node], answer: Answer) -> tuple[Docs | None, list[Node], list[Node]]:
        """(documents that filters and negations admit, None for all; clauses that may be relaxed; those that may
        not)."""
        admitted: Docs | None = None
        relaxable: list[Node] = []
        strict: list[Node] = []
        pending = list(clauses)
        while pending:
            clause = pending.pop(0)
            docs: Docs | None = None
            match clause:
                case And(nodes):
                    pending = [*nodes, *pending]
                case Not(node):
                    everything = admitted if admitted is not None else self.columns.everything()
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

    def admitted(self, clauses: Sequence[Node]) -> Docs | None:
        """Documents that match all of the clauses, None for all there are."""
        docs = [self._docs(clause) for clause in clauses]
        found = docs[0] if docs else None
        for other in docs[1:]:
            found = found & other
        return found

    def _remark(self, clause: Node, docs: Docs, answer: Answer) -> None:
        if isinstance(clause, Exact) and not len(docs):
            known = sorted(self.snapshot.field(clause.field).terms())
            if clause.field == "has":
                answer.notices.append(f"has:{clause.values[0]} is held by no paper; known: {', '.join(known)}")
            elif known:
                wanted = ", ".join(clause.values)
                answer.notices.append(f"no {FIELDS[clause.field].name} matches {wanted}")

    # ---- the documents to show

    def _window(self, ranked: Sequence[tuple[Stage, Column]], sort: str, begin: int, end: int | None) -> list[Found]:
        """Those from `begin` to `end` in the wanted order ("": reading order). Full matches stand above relaxed ones
        whatever it is."""
        shown: list[Found] = []
        before = 0
        for stage, column in ranked:
            size = len(column)
            first, last = max(begin - before, 0), size if end is None else min(size, end - before)
            before += size
            if first < last:
                part = self._best if sort == "score" else self._listed
                shown += [Found(doc, score, stage) for doc, score in part(column, sort, first, last)]
        return shown

    def _best(self, column: Column, sort: str, first: int, last: int) -> list[tuple[int, float]]:
        """Rows from first to last by score; what ties goes by id."""
        least = self.columns.last_of_top(column, last) if last < len(column) else 0.0
        rows = sorted(self.columns.at_least(column, least - TIE), key=_rounded)
        result: list[tuple[int, float]] = []
        for _, tied in groupby(rows, key=_rounded):
            group = list(tied)
            if len(group) > 1 and len(result) + len(group) > first:
                group.sort(key=lambda row: str(self.snapshot.stored(row[0])["id"]))
            result += group
            if len(result) >= last:
                break
        return result[first:last]

    def _listed(self, column: Column, sort: str, first: int, last: int) -> list[tuple[int, float]]:
        """Rows from first to last by a value; what ties stays in reading order."""
        from heapq import nsmallest  # which most searches do not need

        key, rank = self._list_key(sort), self.index.rank(len(column))
        rows = self.columns.at_least(column, 0.0)
        return nsmallest(last, rows, key=lambda row: (*key(row), rank(row[0])))[first:]

    def _list_key(self, sort: str) -> Callable[[tuple[int, float]], tuple[object, ...]]:
        if sort in ("year", "-year"):
            years = self.index.values("year")
            sign = -1 if sort == "-year" else 1
            return lambda row: (row[0] not in years, sign * int(years.get(row[0], ["0"])[0]), _rounded(row))
        if sort == "venue":
            venues = self.index.values("venue")
            return lambda row: (row[0] not in venues, venues.get(row[0], [""])[0])
        if sort == "title":
            return lambda row: (exact_value(str(self.snapshot.stored(row[0]).get("title", ""))),)
        return lambda row: ()

    # ---- matching without scores: negations, alternatives

    def _docs(self, node: Node) -> Docs:
        match node:
            case Exact() | Years():
                return self._filtered(node)
            case Not(inner):
                return self.columns.everything() - self._docs(inner)
            case _:
                return self.columns.docs(self._match_clause(node).scores)

    def _filtered(self, node: Exact | Years) -> Docs:
        """Documents that a filter admits, remembered: filters come again with every query of a session."""
        known = self._filters.get(node)
        if known is None:
            if isinstance(node, Years):
                known = self.columns.having("year", filters.year_terms(self.snapshot, node.ranges))
            else:
                known = self.columns.having(node.field, filters.exact_terms(self.snapshot, node.field, node.values))
            if len(self._filters) >= REMEMBERED_FILTERS:
                self._filters.clear()
            self._filters[node] = known
        return known

    # ---- matching with scores

    def _match_clause(self, node: Node, zone: str | None = None) -> Matcher:
        """A clause of which everything must match."""
        columns = self.columns
        match node:
            case Words(text):
                ideas = find_ideas(text, _Words(self.index, correcting=False), self.index.glossary())
                self._prepare(ideas)
                matchers = [self._match_idea(idea, zone) for idea in ideas.ideas]
                spans = self._match_spans(ideas, 0, matchers, zone)
                exact, _ = self._combine(matchers, spans, None, relaxed=False)
                return Matcher(text, exact, sum(m.weight for m in matchers), _forms(matchers), zone)
            case Phrase(text):
                form = phrase_form(text)
                return self._match_forms(text, (form,) if form else (), zone)
            case Prefix(text):
                return self._match_forms(f"{text}*", self._prefix_forms(text), zone)
            case Fuzzy(text, edits):
                from papersearch.spelling import fuzzy_terms

                near = tuple(Form.term(term) for term in fuzzy_terms(self.index.speller, text, edits))
                return self._match_forms(f"{text}~", near, zone)
            case Within(name, inner):
                return self._match_clause(inner, name)
            case Or(nodes):
                matchers = [self._match_clause(n, zone) for n in nodes]
                text = " OR ".join(matcher.text for matcher in matchers)
                weight = max((m.weight for m in matchers), default=0.0)
                return Matcher(text, columns.best([m.scores for m in matchers]), weight, _forms(matchers), zone)
            case And(nodes):
                admitted, relaxable, strict = self._take_apart(nodes, Answer(columns))
                matchers = [self._match_clause(n, zone) for n in (*relaxable, *strict)]
                docs = columns.everything() if admitted is None else admitted
                for matcher in matchers:
                    docs = docs & columns.docs(matcher.scores)
                held = [columns.kept(matcher.scores, docs) for matcher in matchers]
                scores = columns.summed([columns.constant(docs, 0.0), *held])
                return Matcher("", scores, sum(m.weight for m in matchers), _forms(matchers), zone)
            case _:
                return Matcher("", columns.constant(self._docs(node), 0.0), 0.0, (), zone)

    def _prepare(self, ideas: Ideas) -> None:
        """Have the columns look up all that is going to be matched."""
        groups = [idea.groups for idea in ideas.ideas] + [span.groups for span in ideas.spans]
        self.columns.prepare([form for several in groups for group in several for form in group.forms])

    def _match_idea(self, idea: Idea, zone: str | None = None) -> Matcher:
        """The best group of forms counts for each document."""
        columns = self.columns
        scores = columns.remembered(
            ("idea", zone, *[(group.factor, *[form.parts for form in group.forms]) for group in idea.groups]),
            lambda: columns.best([self._match_group(group, zone)[0] for group in idea.groups]),
        )
        # What is nowhere weighs as much as the rarest word there is: more would silence every answer to a query with
        # one word that the digest writes otherwise.
        weight = idea.size * idf(max(1, len(scores)), self.index.documents)
        matcher = Matcher(idea.text, scores, weight, tuple(form for group in idea.groups for form in group.forms), zone)
        matcher.groups, matcher.name = idea.groups, idea.name
        if any(group.corrected for group in idea.groups):
            by_spelling: dict[str, list[Docs]] = {}
            for group in idea.groups:
                by_spelling.setdefault(group.corrected, []).append(columns.docs(self._match_group(group, zone)[0]))
            as_written = by_spelling.pop("", [])
            for spelling, found in by_spelling.items():
                docs = _united(found)
                for others in as_written:
                    docs = docs - others
                if len(docs):
                    matcher.spellings[spelling] = docs
        return matcher

    @staticmethod
    def _say_corrections(matchers: Sequence[Matcher], docs: Docs) -> list[str]:
        return [
            f"searched for {', '.join(used)} instead of {matcher.text}"
            for matcher in matchers
            if (used := [term for term, found in matcher.spellings.items() if len(found & docs)])
        ]

    def _match_group(self, group: Group, zone: str | None = None) -> tuple[Column, float]:
        """(scores of the documents that have one of the forms, idf)."""
        saturated = self.columns.saturated(group.forms, zone)
        weight = idf(len(saturated), self.index.documents)
        return self.columns.scaled(saturated, group.factor * weight), weight

    def _match_forms(self, text: str, forms: tuple[Form, ...], zone: str | None = None) -> Matcher:
        """Forms that a clause asks for."""
        scores, weight = self._match_group(Group(forms), zone)
        return Matcher(text, scores, weight, forms, zone)

    def best_of_group(self, group: Group, limit: int, admitted: Docs | None) -> list[tuple[int, float]]:
        """The best of the documents that a group finds."""
        scores, _ = self._match_group(group)
        return self.columns.top(scores if admitted is None else self.columns.kept(scores, admitted), limit)

    def _match_spans(
        self, ideas: Ideas, base: int, matchers: Sequence[Matcher], zone: str | None = None
    ) -> list[SpanMatch]:
        """Documents in which neighbouring ideas stand together: worth what the ideas are worth on their own."""
        columns = self.columns
        spans = []
        for span in ideas.spans:
            worth = sum(m.weight for m in matchers[base + span.start : base + span.stop])
            scores = columns.best(
                [columns.scaled(columns.saturated(group.forms, zone), group.factor * worth) for group in span.groups]
            )
            if len(scores) or span.concept:
                spans.append(SpanMatch(base + span.start, base + span.stop, scores, span.concept, span.name))
        return spans

    def _combine(
        self, matchers: Sequence[Matcher], spans: Sequence[SpanMatch], admitted: Docs | None, *, relaxed: bool
    ) -> tuple[Column, Column | None]:
        """(scores of documents that match all ideas, of those that match most of the weight: None if there are
        none, or none are wanted)."""
        columns = self.columns

        def of_admitted(column: Column) -> Column:
            return column if admitted is None else columns.kept(column, admitted)

        if len(matchers) == 1 and not spans:
            return of_admitted(matchers[0].scores), None
        together = [of_admitted(span.scores) for span in spans]
        values = [
            columns.best(
                [
                    of_admitted(matcher.scores),
                    *(
                        columns.scaled(scores, self._share(span, i, matchers))
                        for span, scores in zip(spans, together, strict=True)
                        if span.start <= i < span.stop and len(scores)
                    ),
                ]
            )
            for i, matcher in enumerate(matchers)
        ]
        held = [columns.docs(column) for column in values]
        bonus = columns.summed([columns.scaled(scores, SPAN_BONUS) for scores in together if len(scores)])
        scores = columns.summed([columns.summed(values), bonus])
        wanted = [*held, *(columns.docs(s) for s, span in zip(together, spans, strict=True) if span.concept)]
        wanted.sort(key=len)
        whole = wanted[0] if wanted else columns.docs(scores)
        for docs in wanted[1:]:
            whole = whole & docs
        exact = columns.kept(scores, whole)
        if not relaxed:
            return exact, None
        total = sum(m.weight for m in matchers)
        least = (BELOW_SHARE if len(exact) else SOME_SHARE) * min(1.0, FULL_SHARE_IDEAS / len(matchers))
        weights = [(docs, matcher.weight) for matcher, docs in zip(matchers, held, strict=True)]
        enough = columns.heavier(weights, least * total, whole)
        return exact, columns.kept(scores, enough) if len(enough) else None

    @staticmethod
    def _share(span: SpanMatch, i: int, matchers: Sequence[Matcher]) -> float:
        """The part, by weight, that an idea has of a span that is found as one."""
        return matchers[i].weight / (sum(matcher.weight for matcher in matchers[span.start : span.stop]) or 1.0)

    # ---- why a score

    def _explain(
        self,
        doc: int,
        matchers: Sequence[Matcher],
        required: Sequence[Matcher],
        spans: Sequence[SpanMatch],
        raises: Sequence[Raise],
    ) -> tuple[Part, ...]:
        """The parts of a score; they sum up to it."""
        at = self.columns.at
        found = [(span, worth) for span in spans if (worth := at(span.scores, doc)) is not None]
        together: dict[int, float] = {}
        for span, worth in found:
            for i in range(span.start, span.stop):
                together[i] = max(worth * self._share(span, i, matchers), together.get(i, 0.0))
        parts = []
        for i, matcher in enumerate(matchers):
            own = at(matcher.scores, doc)
            if own is None and i not in together:
                parts.append(Part(f"word {matcher.text}", 0.0, "not found"))
            elif together.get(i, 0.0) > (own or 0.0):
                parts.append(Part(f"word {matcher.text}", together[i], "found as one with its neighbours"))
            else:
                parts.append(Part(f"word {matcher.text}", own or 0.0, self._say_group(matcher, doc)))
        for span, worth in found:
            text = " ".join(m.text for m in matchers[span.start : span.stop])
            parts.append(Part(f"together {text}", SPAN_BONUS * worth, f"{SPAN_BONUS} of what it is worth"))
        for row in raises:
            value = at(row.scores, doc)
            if value is not None:
                distance = None if row.distances is None else int(at(row.distances, doc) or 0)
                note = "in the title" if distance is None else f"{distance} apart" if distance else "side by side"
                if row.near:
                    note = f"holds {', '.join(text for text, scores in row.near if at(scores, doc) is not None)}"
                parts.append(Part(row.name, value, note))
        parts += [Part(f"required {matcher.text}", at(matcher.scores, doc) or 0.0) for matcher in required]
        return tuple(parts)

    def _say_group(self, matcher: Matcher, doc: int) -> str:
        """Which of an idea's groups counted in a document, with the numbers of its formula."""
        if not matcher.groups:
            return ""
        found = [(group, *self._match_group(group, matcher.zone)) for group in matcher.groups]
        best, scores, weight = max(found, key=lambda row: self.columns.at(row[1], doc) or 0.0)
        held = self.columns.places((best.forms,), self.columns.some([doc])).by_form([doc], _ZONE_STARTS)[0]
        terms = dict.fromkeys(term for _, i, _ in held for term in shown_terms(best.forms[i]))
        shown = ", ".join(term.lstrip(STEM_MARK) for term in terms)
        spelling = f", for {best.corrected}" if best.corrected else ""
        return f"as {shown}{spelling}: factor {best.factor:.2f} × idf {weight:.2f} ({len(scores)} papers)"

    # ---- papers like one

    def similar(self, terms: Iterable[tuple[str, float]], but: int, limit: int | None) -> Answer:
        columns, frequency = self.columns, self.index.frequency
        known = [(term, often, frequency(term)) for term, often in terms]
        weighted = sorted(((f * idf(df, self.index.documents), term) for term, f, df in known if df > 1), reverse=True)
        answer = Answer(columns)
        answer.matchers = [self._match_forms(t, (Form.term(t),)) for _, t in weighted[:SIMILAR_TERMS]]
        scores = columns.summed([matcher.scores for matcher in answer.matchers])
        scores = columns.kept(scores, columns.docs(scores) - columns.some([but]))
        answer.stage, answer.total = "all" if len(scores) else "none", len(scores)
        answer.found = self._window([("all", scores)], "score", 0, limit)
        return answer

    # ---- places

    def _raises(
        self,
        answer: Answer,
        matchers: Sequence[Matcher],
        tiers: Sequence[Column],
        ends: Sequence[int | None],
        others: Sequence[float],
    ) -> list[list[Raise]]:
        """What raises the scores of the best documents of each tier: that their words stand in the title, which a
        long companion note must not drown, and next to each other where they do so in the query, in whatever form or
        language they are written. Of each tier so many are shown (None: all, or by something else), and so much may yet
        be added to its scores."""
        columns = self.columns
        found = [matcher for matcher in matchers if len(matcher.scores)]
        best = [
            self._to_look_at(column, found, end, more) for column, end, more in zip(tiers, ends, others, strict=False)
        ]
        docs = _united(best)
        if not found or not len(docs):
            return [[] for _ in tiers]
        answer.look = Look(columns, answer.matchers, docs)
        places, number_of = answer.look.places, {id(matcher): i for i, matcher in enumerate(answer.matchers)}
        near = {id(matcher): columns.kept(matcher.scores, docs) for matcher in found}
        title_end = FIELDS["title"].zone[1]
        raises = []
        for matcher in found:
            in_title = columns.some(places.beginning_below(number_of[id(matcher)], title_end))
            worth = columns.capped(columns.kept(near[id(matcher)], in_title), matcher.weight)
            raises.append(Raise(f"title {matcher.text}", columns.scaled(worth, TITLE_BONUS)))
        for a, b in pairwise(matchers):
            if id(a) in near and id(b) in near:
                distances = places.distances(number_of[id(a)], number_of[id(b)])
                if len(distances):
                    worth = columns.lesser(near[id(a)], near[id(b)])
                    value = columns.mapped(_near_bonus, worth, distances)
                    raises.append(Raise(f"near {a.text} {b.text}", value, distances))
        if len(tiers) == 1:
            return [raises]
        return [[Raise(row.name, columns.kept(row.scores, own), row.distances) for row in raises] for own in best]

    def _to_look_at(self, column: Column, found: Sequence[Matcher], end: int | None, more: float) -> Docs:
        """Documents whose words are looked up in the text: the best ones, without those that could not be among the
        first `end` however they stand there and if `more` is added."""
        columns = self.columns
        best = columns.best_docs(column, PLACE_CANDIDATES)
        if not columns.dear_places or end is None or not 0 < end < len(best):
            return best
        held = [columns.kept(matcher.scores, best) for matcher in found]
        most = [
            columns.scaled(columns.capped(scores, matcher.weight), TITLE_BONUS)
            for matcher, scores in zip(found, held, strict=True)
        ]
        most += [columns.scaled(columns.lesser(a, b), NEAR_BONUS) for a, b in pairwise(held)]
        least = columns.last_of_top(column, end) - more - ROUNDING
        return self._reaching(columns.raised(columns.kept(column, best), most), least)

    def _reaching(self, column: Column, least: float) -> Docs:
        """Documents with a number that is no smaller."""
        return self.columns.some([doc for doc, _ in self.columns.at_least(column, least)])

    def _lacks(self, matchers: Sequence[Matcher], spans: Sequence[SpanMatch], column: Column) -> list[Lack]:
        """The ideas that some partial matches lack, and that the glossary knows something near to."""
        columns = self.columns
        docs = columns.docs(column)
        concepts = [span for span in spans if span.concept]
        within = {i for span in concepts for i in range(span.start, span.stop)}
        rows = [(" ".join(m.text for m in matchers[s.start : s.stop]), s.name, s.scores) for s in concepts]
        rows += [(m.text, m.name, m.scores) for i, m in enumerate(matchers) if i not in within]
        lacked = [(*row, left) for row in rows if len(left := docs - columns.docs(row[2]))]
        asked = [*(matcher.name[0] for matcher in matchers), *(span.name[0] for span in spans)]
        groups = related_groups([name for _, name, _, _ in lacked], asked, self.index.form_of, self.index.glossary())
        return [
            Lack(text, left, near, RELATED_LIMIT * idf(max(1, len(scores)), self.index.documents))
            for (text, _, scores, left), near in zip(lacked, groups, strict=True)
            if near
        ]

    def _related(self, lacks: Sequence[Lack], column: Column, raises: Sequence[Raise], end: int | None) -> list[Raise]:
        """What raises the scores of partial matches that lack an idea: that they hold what lies near it. It decides
        about their order alone, neither about what is found nor about stages. `raises` is what else raises them, `end`
        how many are shown, as in _raises()."""
        columns = self.columns
        if end is not None and 0 < end < len(column) and lacks:
            # What could not be among those shown with all of it needs none of it.
            raised = columns.raised(column, [row.scores for row in raises])
            shown = self._reaching(
                raised, columns.last_of_top(raised, end) - sum(lack.most for lack in lacks) - ROUNDING
            )
            lacks = [
                Lack(lack.text, here, lack.near, lack.most)
                for lack in lacks
                if len(here := lack.docs & shown) and len(columns.holding(lack.forms(), here))
            ]
        columns.prepare([form for lack in lacks for form in lack.forms()])
        related = []
        for lack in lacks:
            found = [(name, columns.kept(self._match_group(g)[0], lack.docs)) for name, g in lack.near]
            worth = columns.capped(columns.summed([held for _, held in found]), lack.most)
            if len(worth):
                related.append(Raise(f"related {lack.text}", worth, near=found))
        return related

    def _prefix_forms(self, text: str) -> tuple[Form, ...]:
        run = fold(text)
        if len(run) > 1 and all(is_cjk(c) for c in run):
            return (gram_form(run),)
        from papersearch.spelling import prefix_terms

        return tuple(Form.term(term) for term in prefix_terms(self.index.text, text))


_ZONES = sorted((field.zone[0], field.name) for field in FIELDS.values() if field.zone[1])
_ZONE_STARTS, _ZONE_NAMES = zip(*_ZONES, strict=True)
"""Each zone begins where the one before it ends."""


def _near_bonus(worth: float, distance: float) -> float:
    return NEAR_BONUS * worth / (1 + distance)


def _rounded(row: tuple[int, float]) -> float:
    """What a ranking goes by: scores that differ in rounding alone tie."""
    return -round(row[1], 9)


def _forms(matchers: Iterable[Matcher]) -> tuple[Form, ...]:
    return tuple(form for matcher in matchers for form in matcher.forms)


def _united(sets: Sequence[Docs]) -> Docs:
    found = sets[0]
    for docs in sets[1:]:
        found = found | docs
    return found


class _Words:
    """What find_ideas() asks of the index."""

    def __init__(self, index: _Known, *, correcting: bool) -> None:
        self.knows = index.knows
        self.knows_pair = index.knows_pair
        self.initials = index.initials
        self.forms_of = index.forms_of
        self._index = index
        self._correcting = correcting

    def corrections(self, word: str) -> list[str]:
        return self._index.speller.corrections(word) if self._correcting else []
