"""Measures of rankings: by hand, and as a well-kept library has them."""

from __future__ import annotations

import json
import random
from math import log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papersearch.errors import UsageError
from papersearch.evaluation import Evaluation, JudgedQuery, Measures, dcg, evaluate, mean, measure, read_queries, table

IDEAL = 3 + 3 / log2(3) + 1 / log2(4)
"""Discounted gain of the grades 2, 2, 1 in this order."""


def test_discounted_gain_by_hand() -> None:
    assert dcg([]) == 0
    assert dcg([2]) == 3
    assert dcg([0, 1]) == pytest.approx(1 / log2(3))
    assert dcg([2, 2, 1]) == pytest.approx(IDEAL)


@pytest.mark.parametrize(
    ("ranked", "ndcg", "mrr", "recall", "success"),
    [
        (["a", "b", "c"], 1.0, 1.0, 1.0, 1.0),
        (["b", "a", "c"], 1.0, 1.0, 1.0, 1.0),
        (["c", "a", "b"], (1 + 3 / log2(3) + 3 / 2) / IDEAL, 0.5, 1.0, 0.0),
        (["x", "y", "a"], (3 / 2) / IDEAL, 1 / 3, 0.5, 0.0),
        (["c"], 1 / IDEAL, 0.0, 0.0, 0.0),
        (["a", "a", "b"], (3 + 3 / log2(3)) / IDEAL, 1.0, 1.0, 1.0),
        ([*"0123456789", "a"], 0.0, 0.0, 0.0, 0.0),
        ([], 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_one_query_by_hand(ranked: list[str], ndcg: float, mrr: float, recall: float, success: float) -> None:
    """a and b are wanted, c is related."""
    got = measure({"a": 2, "b": 2, "c": 1}, ranked)
    assert (got.ndcg, got.mrr, got.recall, got.success) == pytest.approx((ndcg, mrr, recall, success))


def test_related_documents_are_wanted_where_there_is_nothing_better() -> None:
    got = measure({"a": 1, "b": 1}, ["x", "a"])
    assert (got.mrr, got.recall) == (0.5, 0.5)


def test_recall_counts_no_more_than_the_list_can_hold() -> None:
    grades = {f"d{i}": 2 for i in range(30)}
    assert measure(grades, list(grades)).recall == 1.0
    assert measure(grades, list(grades), depth=3).ndcg == pytest.approx(1.0)


def test_a_query_without_judgements_measures_nothing() -> None:
    assert measure({}, ["a"]) == Measures(1, 0, 0, 0, 0)


def test_means() -> None:
    assert mean([]) == Measures(0)
    got = mean([Measures(1, 1.0, 1.0, 0.5, 1.0), Measures(1, 0.0, 0.5, 0.5, 0.0)])
    assert got == Measures(2, 0.5, 0.75, 0.5, 0.5)


runs = st.lists(st.sampled_from("abcdefghijklmnop"), max_size=16)
judgements = st.dictionaries(st.sampled_from("abcdefghijklmnop"), st.sampled_from([1, 2]), min_size=1)


@given(judgements, runs)
def test_measures_are_shares(grades: dict[str, int], ranked: list[str]) -> None:
    got = measure(grades, ranked)
    assert all(0 <= value <= 1 + 1e-12 for value in (got.ndcg, got.mrr, got.recall, got.success))
    ideal = sorted(grades, key=lambda name: -grades[name])
    assert measure(grades, ideal).ndcg == pytest.approx(1.0)
    assert measure(grades, ideal).ndcg >= got.ndcg - 1e-12


def test_the_measures_are_those_of_trec_eval() -> None:
    """trec_eval's gain is the grade, so it is given 2**grade - 1; its recall is over all wanted documents."""
    trec = pytest.importorskip("pytrec_eval")
    rng = random.Random(7)
    names = [f"d{i:02}" for i in range(40)]
    for _ in range(200):
        grades = {name: rng.choice([1, 2]) for name in rng.sample(names, rng.randint(1, 25))}
        ranked = rng.sample(names, rng.randint(0, 30))
        if not ranked:
            continue
        run = {"q": {name: float(len(ranked) - i) for i, name in enumerate(ranked)}}
        gains = {"q": {name: 2**grade - 1 for name, grade in grades.items()}}
        wanted = [name for name, grade in grades.items() if grade == 2] or list(grades)
        binary = {"q": dict.fromkeys(wanted, 1)}
        graded = trec.RelevanceEvaluator(gains, {"ndcg_cut_10"}).evaluate(run)["q"]
        top = {"q": {name: score for name, score in run["q"].items() if name in ranked[:10]}}
        plain = trec.RelevanceEvaluator(binary, {"recip_rank", "recall_10", "success_1"}).evaluate(top)["q"]
        got = measure(grades, ranked)
        assert got.ndcg == pytest.approx(graded["ndcg_cut_10"])
        assert got.mrr == pytest.approx(plain["recip_rank"])
        assert got.success == pytest.approx(plain["success_1"])
        assert got.recall == pytest.approx(plain["recall_10"] * len(wanted) / min(10, len(wanted)))


# ---- runs over classes

QUERIES = [
    JudgedQuery("1", "words", "x", {}, {"a": 2}),
    JudgedQuery("2", "words", "y", {}, {"b": 2}),
    JudgedQuery("3", "filters", "z", {}, {"a": 1}),
    JudgedQuery("4", "negative", "q"),
    JudgedQuery("5", "negative", "r"),
]


def test_a_run_is_judged_by_class() -> None:
    got = evaluate(QUERIES, {"1": ["a"], "2": ["a", "b"], "4": ["a"], "5": ["c"]}, partial=["5"])
    words = got.classes["words"]
    assert words == Measures(2, words.ndcg, 0.75, 1.0, 0.5)
    assert words.ndcg == pytest.approx((1 + 1 / log2(3)) / 2)
    assert got.classes["filters"] == Measures(1, 0, 0, 0, 0)
    assert got.overall.queries == 3
    assert got.overall.mrr == pytest.approx((1 + 0.5 + 0) / 3)
    assert got.unanswerable == {"negative": (2, 0.0, 0.5)}
    assert evaluate(QUERIES, {}).unanswerable == {"negative": (2, 1.0, 1.0)}


def test_the_table_has_a_line_for_each_class() -> None:
    lines = table(evaluate(QUERIES, {"1": ["a"]})).split("\n")
    assert [line.split("  ")[0] for line in lines] == ["class", "words", "filters", "all positive", "negative"]
    assert "1.000" not in lines[2] and "0.500" in lines[1]
    assert len(table(Evaluation({}, Measures(0), {})).split("\n")) == 2


# ---- files of judged queries


def test_queries_are_read_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    row = {"id": 1, "class": "c", "q": "词", "filters": {"year": 2020}, "rel": {"A": 2, "B": 0, "C": 1}, "more": 1}
    path.write_text("\ufeff" + json.dumps(row, ensure_ascii=False) + "\n\n" + '{"id":"2","q":"x"}', encoding="utf-8")
    assert read_queries(path) == [
        JudgedQuery("1", "c", "词", {"year": "2020"}, {"A": 2, "C": 1}),
        JudgedQuery("2", "all", "x"),
    ]


@pytest.mark.parametrize("line", ["{", "[]", '"x"', "{}", '{"id":1}', '{"id":1,"q":"x","rel":{"A":"high"}}', '{"id":1,"q":"x","rel":3}'])  # fmt: skip
def test_a_line_that_is_no_query_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id":1,"q":"x"}\n' + line)
    with pytest.raises(UsageError, match=r"q\.jsonl:2:"):
        read_queries(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "q.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"q\.jsonl"):
        read_queries(path)
