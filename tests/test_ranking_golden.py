"""Ranking is a tested output: the figures of the judged queries over the shipped digest are committed.

A change of ranking shows as a diff of the tables in tests/eval (written with --update-golden), to be reviewed.
"""

from __future__ import annotations

import pytest

from corpora import REPOSITORY, SHIPPED, index_of, read
from papersearch import open_index
from papersearch.evaluation import evaluate, measure, read_queries, table
from papersearch.judging import run_queries

EVAL = REPOSITORY / "tests" / "eval"
TABLES = {"queries.jsonl": "expected.txt", "questions.jsonl": "expected_questions.txt"}
"""Judged queries → their figures."""


def figures(name: str) -> str:
    """The table by class, then each query that is not ranked ideally."""
    queries = read_queries(EVAL / name)
    with open_index(SHIPPED, index_of(SHIPPED), refresh=False) as index:
        run, partial = run_queries(index, queries)
    lines = [table(evaluate(queries, run, partial)), ""]
    for query in queries:
        if query.grades and (ndcg := measure(query.grades, run[query.id]).ndcg) < 0.9995:
            lines.append(f"{query.id:<8}{ndcg:6.3f}  {query.text}")
        elif not query.grades and run[query.id]:
            lines.append(f"{query.id:<8}{'partial' if query.id in partial else 'answered'}  {query.text}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", TABLES)
def test_ranking_is_as_it_was_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    expected = EVAL / TABLES[name]
    got = figures(name)
    if request.config.getoption("--update-golden"):
        expected.write_text(got, encoding="utf-8")
    assert expected.is_file(), f"{expected.name} is missing; write it with --update-golden"
    assert got == expected.read_text(encoding="utf-8")


def test_judgements_name_papers_that_are_there() -> None:
    titles = {paper.title for paper in read(SHIPPED).papers}
    queries = [query for name in TABLES for query in read_queries(EVAL / name)]
    assert {name for query in queries for name in query.grades} <= titles
    ids = [query.id for query in queries]
    assert len(set(ids)) == len(ids)
