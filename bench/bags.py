"""Engines at their own level: all of them get the same tokens of the same papers, and queries of tokens.

What is left to compare is how an engine finds the best ten numbers of papers: no parser, no snippets, no stored
fields. An engine is left out of the classes of queries that it does not know.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from digests import drawn
from papersearch.fields import TEXT

LIMIT = 10
ONE, ANY, ALL, PHRASE, FILTERED = "one term", "any of 2 to 6", "all of 2 to 4", "phrase", "any, filtered"
CLASSES = (ONE, ANY, ALL, PHRASE, FILTERED)


class Bag(NamedTuple):
    """The tokens of a paper in order, with what it is filtered by."""

    tokens: list[str]
    year: int
    category: str


class Wanted(NamedTuple):
    """A query of tokens, and the papers it is restricted to."""

    kind: str
    tokens: tuple[str, ...]
    years: tuple[int, int] | None = None
    category: str = ""


class Engine(Protocol):
    """An index of bags. Papers are numbered from 0 in the order in which they come."""

    knows: Sequence[str]
    """Classes of queries it can answer."""

    def build(self, folder: Path, bags: Iterable[Bag]) -> None:
        """Make an index in an empty folder."""
        ...

    def open(self, folder: Path) -> None:
        """Open it for searching."""
        ...

    def search(self, wanted: Wanted, limit: int = LIMIT) -> list[int]:
        """Numbers of the best papers, best first."""
        ...


# ---- bags of papers


_PART = re.compile(r"[\u4e00-\u9fd5]+|[a-z0-9.%]*[a-z0-9%]")


def draw_bags(count: int) -> Iterator[Bag]:
    """The papers of a synthetic digest as the words that they are made of: cutting them again would take most of the
    time, and change nothing for engines that all get the same tokens."""
    for draft, words in drawn(count):
        yield Bag(_PART.findall(" ".join(words).lower()), draft.year, draft.category)


def write_bags(path: Path, bags: Iterable[Bag]) -> None:
    """One line each: year, category, tokens."""
    with path.open("w", encoding="utf-8") as file:
        for bag in bags:
            file.write(f"{bag.year}\t{bag.category}\t{' '.join(bag.tokens)}\n")


def read_bags(path: Path) -> Iterator[Bag]:
    """What write_bags() wrote. A token is one string, however often it occurs."""
    known: dict[str, str] = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            year, category, words = line.rstrip("\n").split("\t")
            yield Bag([known.setdefault(word, word) for word in words.split(" ")], int(year), category)


# ---- queries

_ASKED = re.compile(r"[\u4e00-\u9fd5]{2,4}\Z|[a-z][a-z0-9]{2,}\Z")
COMMON, USUAL = 0.05, 0.002
"""Shares of the papers above which a term is common, or usual; the others are rare."""
BANDS = (0.3, 0.75)
"""Of terms drawn for a query so many are common, and so many common or usual."""


class Drawer:
    """Draws queries from what the papers hold."""

    def __init__(self, bags: Sequence[Bag], seed: int) -> None:
        self._bags = bags
        self._draw = random.Random(seed)
        counts: Counter[str] = Counter()
        for bag in bags:
            counts.update(set(bag.tokens))
        asked = sorted(term for term, n in counts.items() if n > 1 and _ASKED.match(term))
        shares = {term: counts[term] / len(bags) for term in asked}
        common = [term for term in asked if shares[term] > COMMON]
        usual = [term for term in asked if USUAL < shares[term] <= COMMON]
        rare = [term for term in asked if shares[term] <= USUAL]
        self._bands = [band or asked for band in (common, usual, rare)]
        self._known = shares

    def _pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self._draw.random() * len(choices))]

    def _terms(self, count: int) -> tuple[str, ...]:
        found: list[str] = []
        for _ in range(count):
            share = self._draw.random()
            found.append(self._pick(self._bands[sum(share > bound for bound in BANDS)]))
        return tuple(dict.fromkeys(found))

    def _held(self, count: int) -> tuple[str, ...]:
        """Terms of one paper."""
        while True:
            known = sorted({term for term in self._pick(self._bags).tokens if term in self._known})
            if len(known) >= count:
                return tuple(self._draw.sample(known, count))

    def _run(self) -> tuple[str, ...]:
        """Neighbours in one paper."""
        while True:
            tokens = self._pick(self._bags).tokens
            size = 2 + int(self._draw.random() * 2)
            start = int(self._draw.random() * max(1, len(tokens) - size))
            run = tuple(tokens[start : start + size])
            if len(run) == size and all(term in self._known for term in run):
                return run

    def wanted(self, kind: str) -> Wanted:
        """A query of a class."""
        if kind == ONE:
            return Wanted(kind, self._terms(1))
        if kind == ALL:
            return Wanted(kind, self._held(2 + int(self._draw.random() * 3)))
        if kind == PHRASE:
            return Wanted(kind, self._run())
        terms = self._terms(2 + int(self._draw.random() * 5))
        if kind == ANY:
            return Wanted(kind, terms)
        one = self._pick(self._bags)
        if self._draw.random() < 0.5:
            return Wanted(kind, terms, years=(one.year, one.year + 2))
        return Wanted(kind, terms, category=one.category)


def draw_queries(bags: Sequence[Bag], per_class: int, seed: int) -> list[Wanted]:
    """So many queries of each class, in turns; the same ones for the same seed."""
    drawer = Drawer(bags, seed)
    return [drawer.wanted(kind) for _ in range(per_class) for kind in CLASSES]


# ---- papersearch


class Ours:
    """papersearch: its index writer, and the scores of its text field."""

    knows = CLASSES

    def build(self, folder: Path, bags: Iterable[Bag]) -> None:
        from papersearch.index.writer import Document, IndexWriter

        with IndexWriter(folder) as writer:
            for number, bag in enumerate(bags):
                tokens = [(term, position, 1.0) for position, term in enumerate(bag.tokens)]
                keywords = {"year": [str(bag.year)], "category": [bag.category]}
                writer.add(Document(f"{number:07d}", {TEXT: tokens}, keywords=keywords))
            writer.commit({})

    def open(self, folder: Path) -> None:
        from papersearch.index.reader import open_snapshot
        from papersearch.search import IndexSearcher

        self._snapshot = open_snapshot(folder)
        self._searcher = IndexSearcher(self._snapshot, lambda doc: (doc,))

    def search(self, wanted: Wanted, limit: int = LIMIT) -> list[int]:
        from papersearch.query import Exact, Years

        filters: list[Years | Exact] = [Years((wanted.years,))] if wanted.years else []
        if wanted.category:
            filters = [Exact("category", (wanted.category,))]
        if wanted.kind == PHRASE:
            found = self._searcher.phrase_top(wanted.tokens, limit, filters=filters)
        else:
            found = self._searcher.top(wanted.tokens, limit, every=wanted.kind == ALL, filters=filters)
        return [number for number, _ in found]


# ---- the others


class Whoosh:
    """Whoosh as it comes."""

    knows = CLASSES

    def build(self, folder: Path, bags: Iterable[Bag]) -> None:
        from whoosh.analysis import SpaceSeparatedTokenizer
        from whoosh.fields import ID, NUMERIC, TEXT, Schema
        from whoosh.index import create_in

        schema = Schema(text=TEXT(analyzer=SpaceSeparatedTokenizer()), year=NUMERIC(int), category=ID())
        writer = create_in(folder, schema).writer(limitmb=256)
        for bag in bags:
            writer.add_document(text=" ".join(bag.tokens), year=bag.year, category=bag.category)
        writer.commit()

    def open(self, folder: Path) -> None:
        from whoosh.index import open_dir

        self._searcher = open_dir(folder).searcher()

    def search(self, wanted: Wanted, limit: int = LIMIT) -> list[int]:
        from whoosh.query import And, NumericRange, Or, Phrase, Term

        if wanted.kind == PHRASE:
            query = Phrase("text", list(wanted.tokens))
        else:
            query = (And if wanted.kind == ALL else Or)([Term("text", term) for term in wanted.tokens])
        admitted = NumericRange("year", *wanted.years) if wanted.years else None
        if wanted.category:
            admitted = Term("category", wanted.category)
        found = self._searcher.search(query.normalize(), limit=limit, filter=admitted)
        return [number for _, number in found.top_n]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Fts5:
    """SQLite FTS5: its own tokenizer, told to leave our tokens whole, over a table without content."""

    knows = CLASSES

    def build(self, folder: Path, bags: Iterable[Bag]) -> None:
        rows = list(bags)
        symbols = "".join(sorted({c for bag in rows for term in bag.tokens for c in term if not c.isalnum()}))
        whole = f" tokenchars {_quoted(symbols)}" if symbols else ""
        tokenize = _quoted(f"unicode61 remove_diacritics 0{whole}")
        database = sqlite3.connect(folder / "bags.db")
        database.execute("CREATE TABLE facts (number INTEGER PRIMARY KEY, year INTEGER, category TEXT)")
        database.execute(f"CREATE VIRTUAL TABLE bags USING fts5(text, content='', tokenize={tokenize})")
        numbered = [(number, *bag) for number, bag in enumerate(rows)]
        database.executemany(
            "INSERT INTO bags(rowid, text) VALUES (?, ?)", ((n, " ".join(t)) for n, t, _, _ in numbered)
        )
        database.executemany("INSERT INTO facts VALUES (?, ?, ?)", ((n, year, name) for n, _, year, name in numbered))
        database.execute("INSERT INTO bags(bags) VALUES ('optimize')")
        database.commit()
        database.close()

    def open(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "bags.db")

    def search(self, wanted: Wanted, limit: int = LIMIT) -> list[int]:
        terms = ['"' + term.replace('"', '""') + '"' for term in wanted.tokens]
        joined = {PHRASE: " + ", ALL: " AND "}.get(wanted.kind, " OR ").join(terms)
        if wanted.years or wanted.category:
            condition = "year BETWEEN ? AND ?" if wanted.years else "category = ?"
            rows = self._database.execute(
                "SELECT bags.rowid FROM bags JOIN facts ON facts.number = bags.rowid "
                f"WHERE bags MATCH ? AND {condition} ORDER BY rank LIMIT ?",
                (joined, *(wanted.years or (wanted.category,)), limit),
            )
        else:
            rows = self._database.execute(
                "SELECT rowid FROM bags WHERE bags MATCH ? ORDER BY rank LIMIT ?", (joined, limit)
            )
        return [number for (number,) in rows]


class Tantivy:
    """tantivy; one writing thread, so that it has fewer segments to search."""

    knows = CLASSES

    def build(self, folder: Path, bags: Iterable[Bag]) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", tokenizer_name="whitespace")
        schema.add_integer_field("number", fast=True)
        schema.add_integer_field("year", indexed=True, fast=True)
        schema.add_text_field("category", tokenizer_name="raw", index_option="basic")
        writer = tantivy.Index(schema.build(), path=str(folder)).writer(heap_size=512_000_000, num_threads=1)
        for number, bag in enumerate(bags):
            writer.add_document(
                tantivy.Document(text=" ".join(bag.tokens), number=number, year=bag.year, category=bag.category)
            )
        writer.commit()
        writer.wait_merging_threads()

    def open(self, folder: Path) -> None:
        import tantivy

        index = tantivy.Index.open(str(folder))
        self._schema, self._searcher = index.schema, index.searcher()

    def search(self, wanted: Wanted, limit: int = LIMIT) -> list[int]:
        from tantivy import FieldType, Occur, Query

        schema = self._schema
        if wanted.kind == PHRASE:
            query = Query.phrase_query(schema, "text", list(wanted.tokens))
        else:
            occur = Occur.Must if wanted.kind == ALL else Occur.Should
            terms = [Query.term_query(schema, "text", term) for term in wanted.tokens]
            query = terms[0] if len(terms) == 1 else Query.boolean_query([(occur, term) for term in terms])
        admitted = Query.range_query(schema, "year", FieldType.Integer, *wanted.years) if wanted.years else None
        if wanted.category:
            admitted = Query.term_query(schema, "category", wanted.category)
        if admitted is not None:
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, Query.const_score_query(admitted, 0.0))])
        hits = self._searcher.search(query, limit, count=False).hits
        numbers: list[int] = self._searcher.fast_field_values("number", [address for _, address in hits])
        return numbers


class Bm25s:
    """bm25s with its numba backend; filters as a mask of weights. It knows neither phrases nor AND."""

    knows = (ONE, ANY, FILTERED)

    def build(self, folder: Path, bags: Iterable[Bag]) -> None:
        import bm25s
        import numpy as np

        rows = list(bags)
        engine = bm25s.BM25(backend="numba")
        engine.index([bag.tokens for bag in rows], show_progress=False)
        engine.save(folder)
        np.save(folder / "years.npy", np.array([bag.year for bag in rows]))
        np.save(folder / "categories.npy", np.array([bag.category for bag in rows]))

    def open(self, folder: Path) -> None:
        import bm25s
        import numpy as np

        self._engine = bm25s.BM25.load(folder)
        self._engine.backend = "numba"
        self._engine.activate_numba_scorer()
        self._years, self._categories = np.load(folder / "years.npy"), np.load(folder / "categories.npy")

    def search(self, wanted: Wanted, limit: int = LIMIT) -> list[int]:
        mask = None
        if wanted.years:
            mask = ((self._years >= wanted.years[0]) & (self._years <= wanted.years[1])).astype("float32")
        if wanted.category:
            mask = (self._categories == wanted.category).astype("float32")
        count = min(limit, len(self._years))
        found, scores = self._engine.retrieve(
            [list(wanted.tokens)], k=count, show_progress=False, weight_mask=mask, n_threads=0
        )
        return [int(number) for number, score in zip(found[0], scores[0], strict=True) if score > 0]


class Xapian:
    """Xapian; a category is a boolean term, a year a value."""

    knows = CLASSES

    def build(self, folder: Path, bags: Iterable[Bag]) -> None:
        import xapian

        database = xapian.WritableDatabase(str(folder), xapian.DB_CREATE_OR_OPEN)
        for bag in bags:
            document = xapian.Document()
            for position, term in enumerate(bag.tokens, 1):
                document.add_posting(term.encode(), position)
            document.add_value(0, xapian.sortable_serialise(bag.year))
            document.add_boolean_term("C" + bag.category)
            database.add_document(document)
        database.commit()
        database.close()

    def open(self, folder: Path) -> None:
        import xapian

        self._database = xapian.Database(str(folder))

    def search(self, wanted: Wanted, limit: int = LIMIT) -> list[int]:
        from xapian import Enquire, Query, sortable_serialise

        operator = {PHRASE: Query.OP_PHRASE, ALL: Query.OP_AND}.get(wanted.kind, Query.OP_OR)
        query = Query(operator, [term.encode() for term in wanted.tokens])
        if wanted.years:
            low, high = map(sortable_serialise, wanted.years)
            query = Query(Query.OP_FILTER, query, Query(Query.OP_VALUE_RANGE, 0, low, high))
        if wanted.category:
            query = Query(Query.OP_FILTER, query, Query("C" + wanted.category))
        enquire = Enquire(self._database)
        enquire.set_query(query)
        return [hit.docid - 1 for hit in enquire.get_mset(0, limit)]


OURS, WHOOSH, TANTIVY = "papersearch", "Whoosh", "tantivy"
NEEDS: dict[str, tuple[Callable[[], Engine], tuple[str, ...]]] = {
    OURS: (Ours, ()),
    WHOOSH: (Whoosh, ("whoosh",)),
    "FTS5": (Fts5, ()),
    TANTIVY: (Tantivy, ("tantivy",)),
    "bm25s + numba": (Bm25s, ("bm25s", "numba")),
    "Xapian": (Xapian, ("xapian",)),
}


def missing(name: str) -> str:
    """Which module an engine lacks, empty if none."""
    return ", ".join(module for module in NEEDS[name][1] if find_spec(module) is None)


def engines() -> dict[str, Engine]:
    """Those that are installed."""
    return {name: make() for name, (make, _) in NEEDS.items() if not missing(name)}
