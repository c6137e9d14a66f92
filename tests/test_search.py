"""How our own searcher scores and corrects. What any engine must do is in test_search_contract."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import SHIPPED, index_of, papers_in
from engines import Engine, in_memory
from papersearch import open_index
from papersearch.fields import FIELDS
from papersearch.index.segment import LOW_BITS
from papersearch.occurrences import boost_at, shown_terms
from papersearch.paper import Paper, Section
from papersearch.query import parse_query
from papersearch.scoring import K1, B, idf, saturation
from papersearch.search import RELATED_LIMIT, TITLE_BONUS, Answer, Request
from papersearch.spelling import edit_distance

Ask = Callable[[str], list[tuple[str, float]]]


def paper(title: str, note: str = "", **more: object) -> Paper:
    return Paper(title, title, "d.md", 1, 2, sections=(Section("d.md", 2, note),), **more)  # type: ignore[arg-type]


def answer(engine: Engine, text: str, **options: object) -> Answer:
    return engine.search(Request(parse_query(text), **{"limit": None, **options}))  # type: ignore[arg-type]


def ranked(engine: Engine, text: str, **options: object) -> list[str]:
    return [engine.paper(found.doc).title for found in answer(engine, text, **options).found]


def engine_of(*papers: Paper) -> Engine:
    return in_memory(papers, Path())


FILLER = [paper(f"filler{i}", "some other plain words stand here") for i in range(8)]

# ---- scores


def test_idf_by_hand() -> None:
    assert idf(1, 10) == pytest.approx(math.log(1 + 9.5 / 1.5))
    assert idf(10, 10) == pytest.approx(math.log(1 + 0.5 / 10.5))
    assert idf(0, 0) == pytest.approx(math.log(2))


def test_saturation_by_hand() -> None:
    """A text of average length is not changed by B; one twice as long has the length factor 1 + B."""
    assert saturation(1, 10, 10) == pytest.approx(1.0)
    assert saturation(2, 10, 10) == pytest.approx(2 * (K1 + 1) / (2 + K1))
    assert saturation(1, 20, 10) == pytest.approx((K1 + 1) / (1 + K1 * (1 + B)))
    assert saturation(1, 0, 10) == pytest.approx((K1 + 1) / (1 + K1 * (1 - B)))


@given(st.floats(0.1, 1e6), st.floats(0, 1e6), st.floats(0.1, 1e6))
def test_more_occurrences_and_shorter_texts_never_score_less(frequency: float, length: float, average: float) -> None:
    score = saturation(frequency, length, average)
    assert 0 < score < K1 + 1 + 1e-9
    assert saturation(frequency * 2, length, average) >= score
    assert saturation(frequency, length + 1, average) <= score


def test_the_score_of_one_word_is_bm25_over_the_boosted_field() -> None:
    """Three texts of 1 + 3 positions, 1 + 1 and 1 + 2; `zebra` in the title of one and twice in the note of another."""
    engine = engine_of(paper("zebra", "ax bx cx"), paper("yak", "ax"), paper("gnu", "zebra zebra"))
    got = {engine.paper(f.doc).title: f.score for f in answer(engine, "zebra").found}
    average = (4 + 2 + 3) / 3
    in_title = idf(2, 3) * saturation(FIELDS["title"].boost, 4, average)
    assert got == {
        "zebra": pytest.approx(in_title + TITLE_BONUS * min(in_title, idf(2, 3))),
        "gnu": pytest.approx(idf(2, 3) * saturation(2, 3, average)),
    }


@pytest.mark.parametrize(
    ("better", "worse", "query"),
    [
        (paper("Zebra walks", "text of a note"), paper("Other walks", "text of zebra"), "zebra"),
        (paper("A", "zebra zebra zebra and more"), paper("B", "zebra and more and some"), "zebra"),
        (paper("A", "zebra in few words"), paper("B", "zebra in very many words" + " that go on and on" * 20), "zebra"),
        (paper("A", "lightzeb is here"), paper("B", "LightZeb2 is here"), "lightzeb"),
        (paper("A", "one zebras yak"), paper("B", "one zebra yak"), "zebras"),
        (paper("A", "so zebra yak it goes"), paper("B", "so yak it goes zebra"), "zebra yak"),
        (paper("A", "斑马检测方法"), paper("B", "斑驳的马检测方法"), "斑马"),
        (paper("A", "walks", category="Zebra"), paper("B", "walks", context=("Zebra",)), "zebra"),
    ],
    ids=["title", "often", "short", "whole word", "as written", "together", "in a row", "category"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_what_fits_better_stands_above(better: Paper, worse: Paper, query: str, turned: bool) -> None:
    pair = [worse, better] if turned else [better, worse]
    found = ranked(engine_of(*pair, *FILLER), query)
    assert found[0] == better.title


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    common = [paper(f"common{i}", "about yaks alone") for i in range(9)]
    engine = engine_of(paper("rare", "about zebras alone"), *common)
    scores = {engine.paper(f.doc).title: f.score for f in answer(engine, "zebras OR yaks").found}
    assert max(scores, key=lambda title: scores[title]) == "rare"


def test_the_better_of_two_alternatives_counts() -> None:
    engine = engine_of(paper("A", "zebra zebra yak"), paper("B", "yak"), *FILLER)

    def score(text: str) -> float:
        return max((f.score for f in answer(engine, text).found if engine.paper(f.doc).title == "A"), default=0.0)

    assert score("zebra OR yak") == score("yak OR zebra") == score("zebra") > score("yak") > 0


# ---- what lies near an idea

NEAR = paper("near", "zebra yak with pruning of a network")
FAR = paper("far", "zebra yak with plums of a garden")
COMPRESSION = "zebra yak model compression"


@pytest.mark.parametrize("text", [COMPRESSION, "zebra yak 模型压缩"], ids=["en", "zh"])
def test_what_lies_near_a_missing_idea_raises_a_partial_match(text: str) -> None:
    engine = engine_of(FAR, NEAR, *FILLER)
    near, far = answer(engine, text, explain=True).found
    assert [engine.paper(found.doc).title for found in (near, far)] == ["near", "far"]
    assert near.stage == far.stage == "some"
    (part,) = [part for part in near.parts if part.name.startswith("related ")]
    assert part.name in ("related model compression", "related 模型 压缩")
    assert part.detail == "holds pruning / 剪枝"
    assert part.value == pytest.approx(near.score - far.score)
    assert not [part for part in far.parts if part.name.startswith("related ")]


def test_what_lies_near_adds_less_than_half_of_what_the_idea_would() -> None:
    everything = "quantization and pruning and knowledge distillation and weight sharing and low-rank decomposition"
    engine = engine_of(FAR, paper("all", f"zebra yak {everything}"), *FILLER)
    first = answer(engine, COMPRESSION, explain=True).found[0]
    (part,) = [part for part in first.parts if part.name.startswith("related ")]
    assert part.detail.count(" / ") == 5
    assert 0 < part.value <= RELATED_LIMIT * idf(1, len(FILLER) + 2)


def test_what_lies_near_finds_nothing_and_is_not_what_matched() -> None:
    engine = engine_of(FAR, NEAR, *FILLER)
    assert ranked(engine, "model compression") == []
    assert ranked(engine, "model compression of giraffes") == []
    assert ranked(engine, COMPRESSION, strict=True) == []
    found = answer(engine, COMPRESSION)
    assert [matcher.text for matcher in found.matchers] == ["zebra", "yak", "model", "compression"]
    shown = [term for matcher in found.matchers for form in matcher.forms for term in shown_terms(form)]
    assert shown
    assert not [term for term in shown if "prun" in term]


def test_what_the_query_names_itself_is_not_counted_again() -> None:
    engine = engine_of(FAR, NEAR, *FILLER)
    parts = answer(engine, f"{COMPRESSION} pruning", explain=True).found[0].parts
    assert not [part for part in parts if part.name.startswith("related ")]


def test_a_paper_that_holds_the_idea_gets_nothing_for_what_lies_near() -> None:
    engine = engine_of(NEAR, paper("idea", "zebra yak with model compression and pruning"), *FILLER)
    found = {engine.paper(f.doc).title: f for f in answer(engine, f"{COMPRESSION} gnu", explain=True).found}
    assert [part.name for part in found["idea"].parts if part.name.startswith("related ")] == []
    assert found["idea"].score > found["near"].score


def test_venue_and_aliases_do_not_make_a_paper_longer() -> None:
    """They are searched, but a paper with a long list of organisations is not held to say less of its subject."""
    bare = paper("bare", "zebra walks")
    dressed = paper("dressed", "zebra walks", aliases=("Alias One",), context=("Some Venue", "Org One", "Org Two"))
    engine = engine_of(bare, dressed, *FILLER)
    assert len({f.score for f in answer(engine, "zebra").found}) == 1
    assert ranked(engine, "org two") == ["dressed"]


def test_repeating_a_document_far_away_changes_no_order() -> None:
    """Statistics are those of the whole index, and every document counts in them once."""
    papers = [paper("A", "zebra yak"), paper("B", "zebra gnu gnu"), *FILLER]
    assert ranked(engine_of(*papers), "zebra gnu")[0] == "B"
    assert ranked(engine_of(*papers, *(paper(f"x{i}", "zebra") for i in range(50))), "zebra gnu")[0] == "B"


def test_every_position_has_the_boost_of_its_zone() -> None:
    for name in ("title", "alias", "category", "note"):
        low, high = FIELDS[name].zone
        assert boost_at(low) == boost_at(high - 1) == FIELDS[name].boost
    zones = sorted(f.zone for f in FIELDS.values() if f.zone[1])
    assert all(a[1] == b[0] for a, b in itertools.pairwise(zones))
    assert zones[0][0] == 0
    assert not any(low % (1 << LOW_BITS) for low, _ in zones), "a posting's shape tells which zones it is in"


def test_a_title_that_fills_its_zone_loses_no_word() -> None:
    low, high = FIELDS["title"].zone
    long = " ".join(f"w{i}" for i in range(high - low + 50))
    engine = engine_of(paper(long, "zebra"), *FILLER)
    assert ranked(engine, f"w{high - low + 49}") == [long]
    assert ranked(engine, f'"w{high - low + 48} w{high - low + 49}"') == [long]


def test_no_phrase_runs_from_one_text_into_the_next() -> None:
    engine = engine_of(
        Paper("x", "Title End", "d.md", 1, 4, aliases=("Alias",), category="Cat", sections=(
            Section("d.md", 2, "Note begins"), Section("c.md", 1, "Companion begins", companion=True))),
        *FILLER,
    )  # fmt: skip
    assert ranked(engine, '"title end"') == ["Title End"]
    for phrase in ("end alias", "end note", "end cat", "alias cat", "begins companion"):
        assert ranked(engine, f'"{phrase}"') == []


# ---- variants of one spelling


@pytest.mark.parametrize(
    ("note", "queries"),
    [
        ("max pooling", ["maxpooling", "max-pooling", "MaxPooling", '"max pooling"']),
        ("maxpooling", ["max pooling", "max-pooling"]),
        ("pre-training", ["pretraining", "pre training", "pre-training", "Pre-Training"]),
        ("LightSeq2", ["lightseq 2", "lightseq2", "LIGHTSEQ-2", "light seq", "lightseq"]),
        ("YOLOv7", ["yolo v7", "yolov7", "YOLO-v7", "yolo 7", "yolo"]),
        ("OCR-2.0", ["ocr2.0", "ocr 2.0", "ocr20"]),
        ("end-to-end", ["end to end", "endtoend", "End-to-End"]),
        ("Möbius", ["mobius", "MÖBIUS", "Mo\u0308bius"]),
        ("４＊４ 的分块", ["4*4", "4\\*4"]),
        ("[4,4,c]", ["[4,4,c]", "4,4,c"]),
        ("$x_i/\\|x_i\\|^2$", ["x_i/\\|x_i\\|^2", "x_i"]),
        ("機器學習", ["机器学习", "機器學習"]),
        ("机器学习", ["機器學習"]),
        ("C++ code", ["c++", "C++"]),
        ("generation of zebras", ["generating zebra", "generations"]),
    ],
)
def test_spellings_that_mean_the_same_find_each_other(note: str, queries: list[str]) -> None:
    engine = engine_of(*FILLER, paper("wanted", note))
    for query in queries:
        assert ranked(engine, query)[:1] == ["wanted"], query
        assert answer(engine, query).found[0].stage == "all", query


# ---- slips


@pytest.mark.parametrize(
    ("slip", "word"),
    [("convlution", "convolution"), ("convoluttion", "convolution"), ("cnovolution", "convolution"), ("convolvtion", "convolution"),
     ("hippopotmus", "hippopotamus"), ("zebrs", "zebra"), ("convol", "convolution")],
)  # fmt: skip
def test_slips_are_mended(slip: str, word: str) -> None:
    engine = engine_of(*FILLER, paper("wanted", f"some {word} here"))
    got = answer(engine, slip)
    assert ranked(engine, slip) == ["wanted"]
    assert got.stage == "fuzzy"
    assert [notice for notice in got.notices if slip in notice and word in notice]
    assert ranked(engine, slip, strict=True) == []


@pytest.mark.parametrize("text", ["zeb", "gna", "x1", "2021", '"zebrs"', "title:zebrs", "note:zebrs"])
def test_short_words_numbers_and_quoted_ones_are_not_mended(text: str) -> None:
    engine = engine_of(*FILLER, paper("wanted", "some gnu x2 2020 zebra"))
    assert ranked(engine, text) == []


def test_a_word_that_is_held_is_never_mended() -> None:
    engine = engine_of(*FILLER, paper("right", "the zebra"), paper("near", "the zebro"))
    got = answer(engine, "zebro")
    assert ranked(engine, "zebro") == ["near"]
    assert (got.stage, got.notices) == ("all", [])


def edits(a: str, b: str) -> int:
    """Optimal string alignment distance by its definition: the whole table."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            costs = [table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1])]
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                costs.append(table[i - 2][j - 2] + 1)
            table[i][j] = min(costs)
    return table[-1][-1]


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.integers(0, 3))
def test_edit_distance_is_exact_up_to_the_limit(a: str, b: str, limit: int) -> None:
    assert edit_distance(a, b, limit) == min(edits(a, b), limit + 1)


# ---- a searcher is shared


def test_threads_may_share_a_searcher() -> None:
    queries = [
        "后门攻击",
        "graph search",
        "检测 -YOLO",
        "lightseq 2",
        '"动态形状"',
        "",
        "year:2022",
        "量化 OR 蒸馏",
        "tranformer",
    ]
    with open_index(SHIPPED, index_of(SHIPPED)) as index:

        def hits(query: str) -> list[tuple[str, float, str]]:
            return [(hit.paper.id, hit.score, hit.snippet) for hit in index.search(query, limit=5)]

        wanted = {query: hits(query) for query in queries}
        with ThreadPoolExecutor(8) as pool:
            for query, got in zip(queries * 12, pool.map(hits, queries * 12), strict=True):
                assert got == wanted[query]


@pytest.mark.parametrize(
    "text", ["a" * 1000, "学" * 1000, "a-" * 500, "(a OR b) " * 100, "a* " * 300, "zebra~ " * 120, '"a b c" ' * 140, "检测 " * 300,
             "title:" * 150 + "a", "检" * 30, "-a " * 300, "a1" * 500]
)  # fmt: skip
def test_hostile_queries_are_answered_in_time(text: str) -> None:
    import time

    with open_index(SHIPPED, index_of(SHIPPED)) as index:
        started = time.perf_counter()
        index.search(text)
        assert time.perf_counter() - started < 3


@given(st.text(max_size=30) | st.text('"()-:*~ORNTAD 检测图后门攻击\ud800', max_size=30))
def test_no_query_raises(text: str) -> None:
    with open_index(SHIPPED, index_of(SHIPPED), refresh=False) as index:
        results = index.search(text, limit=3, facets=True)
    assert results.total >= len(results)
    assert (results.stage == "none") == (results.total == 0)


def test_papers_of_this_module_are_read_as_any(tmp_path: Path) -> None:
    """A digest on disk and papers made by hand are searched alike."""
    engine = in_memory(
        papers_in(tmp_path, {"d.md": "### A Title[CVPR'22]\n- zebra\n\n### B[ICML'20]\n- yak\n"}), tmp_path
    )
    assert ranked(engine, "zebra") == ["A Title"]


def test_a_name_that_the_glossary_has_is_no_slip() -> None:
    with open_index(SHIPPED, index_of(SHIPPED)) as index:
        assert not any("instead of" in notice for notice in index.search("差分隐私").notices)
        assert any("攻击 instead of 攻机" in notice for notice in index.search("攻机").notices)


def test_values_of_a_filter_may_be_joined_by_commas() -> None:
    with open_index(SHIPPED, index_of(SHIPPED)) as index:
        apart = [hit.paper.id for hit in index.search(venue=["AAAI", "IJCAI"])]
        assert len(apart) > 2
        assert [hit.paper.id for hit in index.search(venue="AAAI, IJCAI")] == apart
        assert [hit.paper.id for hit in index.search("venue:AAAI，IJCAI")] == apart
