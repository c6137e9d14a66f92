"""Ranking figures of any digest and judged queries: one table, a line per class of queries.

python bench/relevance.py corpus/ tests/eval/queries.jsonl
python bench/relevance.py DIGEST QUERIES.jsonl --misses        also the queries that are not ranked ideally
python bench/relevance.py DIGEST QUERIES.jsonl --run RUN.jsonl   also write the run: {"id", "ranked": [title, …]}
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from papersearch import Index, open_index
from papersearch.evaluation import JudgedQuery, evaluate, measure, read_queries, table


def run_queries(index: Index, queries: list[JudgedQuery], limit: int = 10) -> tuple[dict[str, list[str]], list[str]]:
    """(query id → ranked titles, ids of the queries that were answered in part)."""
    run: dict[str, list[str]] = {}
    partial: list[str] = []
    for query in queries:
        filters = {name: value.split(",") for name, value in query.filters.items()}
        results = index.search(query.text, limit=limit, **filters)  # type: ignore[arg-type]
        run[query.id] = [hit.paper.title for hit in results]
        if results and results.stage != "all":
            partial.append(query.id)
    return run, partial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--misses", action="store_true", help="print the queries that are not ranked ideally")
    parser.add_argument("--run", type=Path, help="write the run to this file")
    options = parser.parse_args()
    queries = read_queries(options.queries)
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
        lines = (json.dumps({"id": q.id, "ranked": run[q.id]}, ensure_ascii=False) for q in queries)
        options.run.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
