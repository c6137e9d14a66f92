"""One boosted field against several fields: the same tokens, boosts and BM25, only the layout differs.

    python bench/fields.py
    python bench/fields.py --noise FOLDER     among the papers of other digests, which no query is judged for

    one field     a term's frequency is the sum of its boosts over title, aliases, category and notes; one idf and one
                  length
    field sum     each field is scored by itself, with its own idf and lengths, and the boosted scores are added up:
                  what Whoosh's BM25F does with a query over several fields

Both answer a judged query with the sum over all of its words; stages, phrases and translations are left out, so the
figures are below those of bench/relevance.py and only their difference counts
(docs/decisions/0002-one-boosted-field.md).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from papersearch.analysis.tokens import STEM_MARK, tokens
from papersearch.analysis.words import jieba_words, vocabulary_cutter
from papersearch.digest import read_corpus
from papersearch.evaluation import JudgedQuery, evaluate, read_queries
from papersearch.fields import TABLE, TEXT
from papersearch.index.documents import to_document
from papersearch.paper import Paper
from papersearch.scoring import idf, saturation
from timing import table

ZONES = [field for field in TABLE if field.zone[1]]
ROOT = Path(__file__).resolve().parents[1]
Scores = dict[int, float]


class Layout:
    """Boosted frequencies and lengths of some documents in one field."""

    def __init__(self, documents: Sequence[Sequence[tuple[str, int, float]]]) -> None:
        self.frequencies: dict[str, Scores] = defaultdict(dict)
        self.lengths: list[int] = []
        for doc, words in enumerate(documents):
            for term, _, boost in words:
                self.frequencies[term][doc] = self.frequencies[term].get(doc, 0.0) + boost
            self.lengths.append(len({position for _, position, _ in words}))
        self.average = sum(self.lengths) / max(1, sum(map(bool, self.lengths)))

    def score(self, terms: Iterable[str]) -> Scores:
        """BM25 of all documents that have one of the terms."""
        scores: Scores = {}
        for term in terms:
            found = self.frequencies.get(term, {})
            rarity = idf(len(found), len(self.lengths))
            for doc, frequency in found.items():
                worth = rarity * saturation(frequency, self.lengths[doc], self.average)
                scores[doc] = scores.get(doc, 0.0) + worth
        return scores


def one_field(documents: Sequence[Sequence[tuple[str, int, float]]]) -> Callable[[list[str]], Scores]:
    return Layout(documents).score


def field_sum(documents: Sequence[Sequence[tuple[str, int, float]]]) -> Callable[[list[str]], Scores]:
    layouts = []
    for field in ZONES:
        low, high = field.zone
        inside = [[(t, p, b / field.boost) for t, p, b in words if low <= p < high] for words in documents]
        layouts.append((field.boost, Layout(inside)))

    def score(terms: list[str]) -> Scores:
        scores: Scores = {}
        for boost, layout in layouts:
            for doc, worth in layout.score(terms).items():
                scores[doc] = scores.get(doc, 0.0) + boost * worth
        return scores

    return score


def words_of(text: str, knows: Callable[[str], bool]) -> list[str]:
    """The index terms of a query, stems apart, each once."""
    found, _, _ = tokens(text, vocabulary_cutter(knows))
    return list(dict.fromkeys(t.term for t in found if not t.term.startswith(STEM_MARK) and t.factor == 1.0))


def rank(papers: Sequence[Paper], scores: Scores) -> list[str]:
    return [papers[doc].title for doc in sorted(scores, key=lambda doc: (-scores[doc], doc))[:10]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpus")
    parser.add_argument("--queries", type=Path, default=ROOT / "tests" / "eval" / "queries.jsonl")
    parser.add_argument("--noise", type=Path, action="append", default=[], help="a folder of Markdown, or one file")
    options = parser.parse_args()
    papers = [paper for root in (options.corpus, *options.noise) for paper in read_corpus([root])[0].papers]
    documents = [to_document(paper, jieba_words).tokens[TEXT] for paper in papers]
    queries: list[JudgedQuery] = [q for q in read_queries(options.queries) if q.grades and not q.filters]
    known = {term for words in documents for term, _, _ in words}
    rows = []
    for name, layout in (("one field", one_field), ("field sum", field_sum)):
        score = layout(documents)
        run = {query.id: rank(papers, score(words_of(query.text, known.__contains__))) for query in queries}
        overall = evaluate(queries, run).overall
        rows.append([name, *(f"{value:.3f}" for value in (overall.ndcg, overall.mrr, overall.recall, overall.success))])
    print(table([f"{len(queries)} queries, {len(papers)} papers", "nDCG@10", "MRR@10", "R@10", "S@1"], rows))


if __name__ == "__main__":
    main()
