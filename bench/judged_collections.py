"""Ranking figures on public judged collections, beside bm25s in the same run, with our time per query.

python bench/judged_collections.py FOLDER [--only scifact] [--sample 100] [--misses 20] [--without glossary]

FOLDER holds a folder per collection: corpus.jsonl (id, title, text), queries.jsonl (id, text), qrels.tsv (query-id,
corpus-id, score). Collections that are not there are passed over. bm25s runs as its README shows it: Lucene's formula,
its own English stop words and PyStemmer's English stemmer, the one that we use. Needs the `bench` extra for the peer;
without it only our figures are printed. CC-CEDICT is used where the `dictionary` extra is installed. `--without`
switches a mechanism off (bench/ablation.py names them).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ablation import MECHANISMS, patched
from papersearch import glossary
from papersearch.analysis.words import jieba_words
from papersearch.evaluation import JudgedQuery, evaluate, measure
from papersearch.glossary.cedict import compile_dictionary
from papersearch.glossary.dictionary import dictionary_in
from papersearch.index.documents import to_document
from papersearch.index.reader import open_snapshot
from papersearch.index.writer import IndexWriter
from papersearch.paper import Paper, Section
from papersearch.query import parse_query
from papersearch.search import IndexSearcher, Request
from timing import table

NAMES = ("scifact", "dayday-zhq-en", "dayday-en-typo")
DEPTH = 10
SEED = 7
"""Draws the same queries whenever a sample is asked for."""

Searching = Callable[[str], list[str]]
"""Query text → ids of the first documents, best first."""


class Text(NamedTuple):
    """One document of a collection."""

    id: str
    title: str
    text: str


class Collection(NamedTuple):
    """Documents and judged queries."""

    name: str
    documents: list[Text]
    queries: list[JudgedQuery]


def read_collection(folder: Path) -> Collection:
    """Read a collection; queries without a judgement are left out."""
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [Text(str(d["id"]), d["title"], d["text"]) for d in map(json.loads, lines)]
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            grades.setdefault(query, {})[document] = int(grade)
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [
        JudgedQuery(str(q["id"]), folder.name, q["text"], {}, grades[str(q["id"])])
        for q in map(json.loads, lines)
        if str(q["id"]) in grades
    ]
    return Collection(folder.name, documents, queries)


def build(documents: Sequence[Text], folder: str) -> None:
    """An index of the documents, each as a paper with its text for notes."""
    with IndexWriter(folder) as writer:
        for document in documents:
            sections = (Section(document.id, 1, document.text),)
            paper = Paper(document.id, document.title, document.id, 1, 1, sections=sections)
            writer.add(to_document(paper, jieba_words))
        writer.commit({})
    compile_dictionary(folder)


def our_search(folder: str) -> Searching:
    """Search in an index folder; ties go by the order of the documents."""
    snapshot = open_snapshot(folder)
    dictionary = dictionary_in(folder)
    names = glossary.Combined([glossary.shipped_in(folder), *([dictionary] if dictionary else [])])
    searcher = IndexSearcher(snapshot, lambda doc: (doc,), lambda: names)

    def search(text: str) -> list[str]:
        answer = searcher.search(Request(parse_query(text), limit=DEPTH))
        return [str(snapshot.stored(found.doc)["id"]) for found in answer.found]

    return search


def peer_search(documents: Sequence[Text]) -> Searching | None:
    """Search with bm25s over the same texts, None where it is not installed."""
    try:
        import bm25s  # type: ignore[import-untyped]
        import Stemmer
    except ImportError:
        return None
    stemmer = Stemmer.Stemmer("english")
    engine = bm25s.BM25()
    texts = [f"{d.title} {d.text}" for d in documents]
    engine.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)

    def search(text: str) -> list[str]:
        tokens = bm25s.tokenize([text], stopwords="en", stemmer=stemmer, show_progress=False)
        if not tokens.vocab:
            return []
        found, scores = engine.retrieve(tokens, k=DEPTH, show_progress=False)
        return [documents[n].id for n, score in zip(found[0], scores[0], strict=True) if score > 0]

    return search


def run(search: Searching, queries: Sequence[JudgedQuery]) -> tuple[dict[str, list[str]], list[float]]:
    """(query id → ranked ids, milliseconds of each query)."""
    ranked: dict[str, list[str]] = {}
    took: list[float] = []
    for query in queries:
        started = time.perf_counter()
        ranked[query.id] = search(query.text)
        took.append((time.perf_counter() - started) * 1000)
    return ranked, took


def row(name: str, queries: Sequence[JudgedQuery], ranked: dict[str, list[str]], took: list[float]) -> list[str]:
    """Cells of one engine's line."""
    means = evaluate(queries, ranked).overall
    figures = [means.ndcg, means.mrr, means.recall, means.success]
    times = [statistics.fmean(took), statistics.quantiles(took, n=100)[98]]
    return [name, str(len(queries)), *(f"{figure:.3f}" for figure in figures), *(f"{ms:.1f}" for ms in times)]


def show_misses(collection: Collection, ranked: dict[str, list[str]], count: int) -> None:
    """The first queries that are not ranked ideally, with the wanted text."""
    texts = {document.id: document for document in collection.documents}
    missed = [q for q in collection.queries if measure(q.grades, ranked[q.id]).ndcg < 0.999]
    for query in missed[:count]:
        wanted = texts[next(iter(query.grades))]
        print(f"\n{query.text}\n  wanted {wanted.id} {wanted.title} {wanted.text[:300]!r}")
        for found in ranked[query.id][:2]:
            print(f"  got    {found} {texts[found].title} {texts[found].text[:120]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=NAMES, action="append", help="leave the other collections out")
    parser.add_argument("--sample", type=int, metavar="N", help="so many queries of each collection, always the same")
    parser.add_argument("--without", choices=[row.name for row in MECHANISMS], metavar="NAME", help="switch it off")
    parser.add_argument("--misses", type=int, default=0, metavar="N", help="print so many queries not ranked ideally")
    options = parser.parse_args()
    rows: list[list[str]] = []
    for name in options.only or NAMES:
        if not (options.folder / name / "corpus.jsonl").is_file():
            print(f"{name}: not in {options.folder}, passed over")
            continue
        collection = read_collection(options.folder / name)
        if options.sample and options.sample < len(collection.queries):
            chosen = random.Random(SEED).sample(collection.queries, options.sample)
            collection = collection._replace(queries=chosen)
        with tempfile.TemporaryDirectory() as folder, patched(*(r for r in MECHANISMS if r.name == options.without)):
            build(collection.documents, folder)
            ranked, took = run(our_search(folder), collection.queries)
        rows.append(row(f"{name}: papersearch", collection.queries, ranked, took))
        if peer := peer_search(collection.documents):
            rows.append(row(f"{name}: bm25s", collection.queries, *run(peer, collection.queries)))
        show_misses(collection, ranked, options.misses)
    if rows:
        print(table(["", "n", "nDCG@10", "MRR@10", "R@10", "S@1", "mean ms", "p99 ms"], rows))


if __name__ == "__main__":
    main()
