"""Ranking figures of any digest and judged queries: one table, a line per class of queries.

python bench/relevance.py corpus/ tests/eval/queries.jsonl
python bench/relevance.py DIGEST QUERIES.jsonl --misses        also the queries that are not ranked ideally
python bench/relevance.py DIGEST QUERIES.jsonl --run RUN.jsonl   also write the run: {"id", "ranked": [title, …]}
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from papersearch import open_index
from papersearch.evaluation import evaluate, measure, table
from papersearch.judging import load_queries, run_queries
from papersearch.render.as_json import run as run_as_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--misses", action="store_true", help="print the queries that are not ranked ideally")
    parser.add_argument("--run", type=Path, help="write the run to this file")
    options = parser.parse_args()
    queries = load_queries(options.queries)
    with tempfile.TemporaryDirectory() as folder, open_index(options.corpus, folder) as index:
        run, partial = run_queries(index, queries)
    if options.misses:
        for query in queries:
            score = measure(query.grades, run[query.id]).ndcg if query.grades else float(not run[query.id])
            if score < 0.999:
                shown = ", ".join(title[:32] for title in run[query.id][:4])
                print(f"{score:5.2f} {query.id} {query.query_class} {query.text!r} → {shown}")
    print(table(evaluate(queries, run, partial)))
    if options.run:
        options.run.write_text(run_as_json(run), encoding="utf-8")


if __name__ == "__main__":
    main()
