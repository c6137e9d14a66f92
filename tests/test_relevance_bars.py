"""Floors of ranking quality: per class of judged queries where a digest with judgements lies beside this repository,
and that every piece of Chinese text is found, there and in the shipped digest."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from corpora import REPOSITORY
from papersearch import Index, open_index
from papersearch.evaluation import Evaluation, JudgedQuery, evaluate, read_queries
from papersearch.judging import run_queries

SHARED = REPOSITORY.parent / "shared"
DIGEST, FULL_WIDTH = SHARED / "digest" / "digest.md", SHARED / "digest" / "digest_fullwidth.md"
QUERIES = SHARED / "eval" / "queries_dev.jsonl"
CORPUS = REPOSITORY / "corpus"
judged = pytest.mark.skipif(
    not (DIGEST.is_file() and FULL_WIDTH.is_file() and QUERIES.is_file()),
    reason="no judged digest beside the repository",
)

FLOORS = {
    "title_words": 0.97,
    "var_width_case": 0.97,
    "alias": 0.93,
    "zh_topic": 0.92,
    "zh_segment": 0.92,
    "mixed": 0.95,
    "nl_question": 0.88,
    "crosslingual": 0.85,
    "typo": 0.95,
    "var_trad": 0.93,
    "var_hyphen": 0.95,
    "var_stem": 0.95,
    "formula_code": 0.97,
    "filter": 1.0,
}
"""Class → least mean nDCG@10."""
OVERALL_FLOOR = 0.93
PARTIAL_FLOOR = 0.80
"""Least share of hard queries without an answer that get none, or one marked as partial."""

DRAWS, DRAWS_SLOW = 250, 2000
"""Substrings looked for in the quick suite, and in the slow one."""
SHORTEST, LONGEST = 2, 6
SEED = 20220622
CHINESE = re.compile("[\u4e00-\u9fff]{2,}")


@cache
def queries() -> list[JudgedQuery]:
    return read_queries(QUERIES)


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with open_index(DIGEST, tmp_path_factory.mktemp("digest")) as index:
        yield index


def ranked_ids(index: Index, query: JudgedQuery) -> list[str]:
    filters = {name: value.split(",") for name, value in query.filters.items()}
    return [hit.paper.id for hit in index.search(query.text, **filters)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def evaluation(digest: Index) -> Evaluation:
    run, partial = run_queries(digest, queries())
    return evaluate(queries(), run, partial)


@judged
@pytest.mark.parametrize("query_class", FLOORS)
def test_class_reaches_its_floor(query_class: str, evaluation: Evaluation) -> None:
    assert evaluation.classes[query_class].ndcg >= FLOORS[query_class]


@judged
def test_all_queries_with_an_answer_together_reach_their_floor(evaluation: Evaluation) -> None:
    assert evaluation.overall.ndcg >= OVERALL_FLOOR
    assert set(evaluation.classes) == set(FLOORS)


@judged
def test_what_the_digest_does_not_hold_is_not_answered_as_if_it_did(evaluation: Evaluation) -> None:
    _, empty, _ = evaluation.unanswerable["negative"]
    _, _, empty_or_partial = evaluation.unanswerable["negative_hard"]
    assert empty == 1.0
    assert empty_or_partial >= PARTIAL_FLOOR


@judged
def test_full_width_punctuation_changes_no_ranking(digest: Index, tmp_path: Path) -> None:
    with open_index(FULL_WIDTH, tmp_path / "index") as full_width:
        differing = [q.text for q in queries() if ranked_ids(digest, q) != ranked_ids(full_width, q)]
    assert differing == []


def unfound_substrings(index: Index, draws: int) -> list[tuple[str, str]]:
    """(id, substring) of random stretches of Chinese from notes that do not find their paper."""
    runs = [
        (paper.id, run)
        for paper in index.papers()
        for section in paper.sections
        for run in CHINESE.findall(section.text)
    ]
    stretches = [
        (paper_id, run[start : start + size])
        for paper_id, run in runs
        for size in range(SHORTEST, LONGEST + 1)
        for start in range(len(run) - size + 1)
    ]
    assert len(stretches) > draws
    drawn = sorted(set(random.Random(SEED).choices(stretches, k=draws)))
    found: dict[str, set[str]] = {}
    for _, text in drawn:
        if text not in found:
            found[text] = {hit.paper.id for hit in index.search(text, limit=None)}
    return [(paper_id, text) for paper_id, text in drawn if paper_id not in found[text]]


@judged
@pytest.mark.slow
def test_every_substring_of_a_judged_digest_finds_its_paper(digest: Index) -> None:
    assert unfound_substrings(digest, DRAWS_SLOW) == []


def test_substrings_of_the_shipped_digest_find_their_papers(tmp_path: Path) -> None:
    with open_index(CORPUS, tmp_path / "index") as index:
        assert unfound_substrings(index, DRAWS) == []


@pytest.mark.slow
def test_every_substring_of_the_shipped_digest_finds_its_paper(tmp_path: Path) -> None:
    with open_index(CORPUS, tmp_path / "index") as index:
        assert unfound_substrings(index, DRAWS_SLOW) == []
