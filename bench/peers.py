"""nDCG@10 of papersearch and of what else one would search a digest with, class by class, in one run.

python bench/peers.py                            over the shipped digest and its judged queries
python bench/peers.py DIGEST QUERIES.jsonl       over another one
python bench/peers.py --plot docs/img/peers.svg  also a plot (needs matplotlib, in the `bench` extra)

All of them get the same papers as we parse them (title, category, aliases, notes with companion notes) and the same
queries; filters are applied for them.

    whoosh + jieba   Whoosh as its documentation shows it: a field each for title (boost 3), category and notes with
                     jieba's ChineseAnalyzer, MultifieldParser, BM25F, any word may match
    fts5 trigram     SQLite's FTS5 with its trigram tokenizer: words of the query as phrases, any of which may match, by
                     bm25() with the same boosts; words of one or two characters by LIKE, below the others
    2- and 3-grams   bm25s over pairs and triples of characters, the strongest way that knows no language (needs the
                     `bench` extra)
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import stock
from papersearch import Index, open_index
from papersearch.evaluation import DEPTH, Evaluation, JudgedQuery, evaluate, read_queries
from papersearch.judging import run_queries
from papersearch.paper import Paper
from plots import bars
from stock import TITLE_BOOST, Numbers, Text, text_of
from timing import table

ROOT = Path(__file__).resolve().parents[1]


def whoosh_jieba(texts: Sequence[Text], folder: Path) -> Numbers:
    """Whoosh with jieba's analyzer."""
    stock.build_whoosh(folder, ((text, None) for text in texts))
    return stock.whoosh_numbers(folder, any_word=True)


def fts5_trigram(texts: Sequence[Text], folder: Path) -> Numbers:
    """SQLite's full-text search."""
    stock.build_fts5_trigram(folder, ((text, None) for text in texts))
    return stock.fts5_trigram_numbers(folder)


def character_grams(texts: Sequence[Text], folder: Path) -> Numbers:
    """BM25 over pairs and triples of characters; a title counts as often as its boost."""
    import bm25s  # type: ignore[import-untyped]

    engine = bm25s.BM25()
    repeated = [f"{(text.title + ' ') * int(TITLE_BOOST)}{text.category} {text.note}" for text in texts]
    engine.index([_grams(text) for text in repeated], show_progress=False)

    def search(query: str) -> list[int]:
        grams = [gram for gram in _grams(query) if gram in engine.vocab_dict]
        if not grams:
            return []
        found, scores = engine.retrieve([grams], k=len(texts), show_progress=False)
        return [int(number) for number, score in zip(found[0], scores[0], strict=True) if score > 0]

    return search


def _grams(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return [word[i : i + n] for word in words for n in (2, 3) for i in range(len(word) - n + 1)]


PEERS: dict[str, Callable[[Sequence[Text], Path], Numbers]] = {
    "whoosh + jieba": whoosh_jieba,
    "fts5 trigram": fts5_trigram,
    "2- and 3-grams": character_grams,
}


def run_peer(
    search: Numbers, index: Index, papers: Sequence[Paper], queries: Sequence[JudgedQuery]
) -> dict[str, list[str]]:
    """Query id → ranked titles, of the papers that the filters admit; all of them where a query has no words."""
    run: dict[str, list[str]] = {}
    for query in queries:
        filters = {name: value.split(",") for name, value in query.filters.items()}
        admitted = {hit.paper.id for hit in index.search("", limit=None, **filters)}  # type: ignore[arg-type]
        numbers = search(query.text) if query.text else range(len(papers))
        run[query.id] = [papers[n].title for n in numbers if papers[n].id in admitted][:DEPTH]
    return run


def side_by_side(evaluations: dict[str, Evaluation]) -> str:
    """A line per class of queries, a column per engine."""
    first = next(iter(evaluations.values()))
    lines = [
        [name, str(means.queries), *(f"{e.classes[name].ndcg:.3f}" for e in evaluations.values())]
        for name, means in first.classes.items()
    ]
    lines.append(["all positive", str(first.overall.queries), *(f"{e.overall.ndcg:.3f}" for e in evaluations.values())])
    for name, (n, _, _) in first.unanswerable.items():
        quiet = [f"{e.unanswerable[name][2]:.2f}" for e in evaluations.values()]
        lines.append([f"{name}: empty or marked partial", str(n), *quiet])
    return table(["nDCG@10", "n", *evaluations], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?", default=ROOT / "corpus")
    parser.add_argument("queries", type=Path, nargs="?", default=ROOT / "tests" / "eval" / "queries.jsonl")
    parser.add_argument("--plot", type=Path, help="draw the classes side by side (.svg or .png)")
    options = parser.parse_args()
    queries = read_queries(options.queries)
    with tempfile.TemporaryDirectory() as name, open_index(options.corpus, Path(name, "ours")) as index:
        papers = index.papers()
        texts = [text_of(paper) for paper in papers]
        evaluations = {"papersearch": evaluate(queries, *run_queries(index, queries))}
        for peer, build in PEERS.items():
            folder = Path(name, peer)
            folder.mkdir()
            try:
                search = build(texts, folder)
            except ImportError as error:
                print(f"{peer}: left out, {error}")
                continue
            evaluations[peer] = evaluate(queries, run_peer(search, index, papers, queries))
    print(side_by_side(evaluations))
    if options.plot:
        classes = list(evaluations["papersearch"].classes)
        series = {name: [*(e.classes[c].ndcg for c in classes), e.overall.ndcg] for name, e in evaluations.items()}
        bars(options.plot, [*classes, "all positive"], series, "nDCG@10")


if __name__ == "__main__":
    main()
