"""What every engine must do, whatever it is made of. Engines are listed in tests/engines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from corpora import MIXED, papers_in, read
from engines import FACTORIES, Engine
from papersearch.analysis.normalize import exact_value, normalize
from papersearch.errors import UsageError
from papersearch.paper import Paper
from papersearch.query import Exact, Node, Years, parse_query
from papersearch.results import Stage
from papersearch.search import Answer, Request

PAPERS = read(MIXED).papers
ORDER: tuple[Stage, ...] = ("all", "some", "fuzzy")


@pytest.fixture(scope="module", params=FACTORIES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return FACTORIES[request.param](PAPERS, tmp_path_factory.mktemp("engine"))


@pytest.fixture(params=FACTORIES)
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, str]], Engine]:
    """An engine over notes of a test's own."""

    def built(files: dict[str, str]) -> Engine:
        return FACTORIES[request.param](papers_in(tmp_path / "corpus", files), tmp_path / "index")

    return built


def ask(engine: Engine, text: str, *filters: Node, limit: int | None = None, **options: object) -> Answer:
    return engine.search(Request(parse_query(text), filters, limit=limit, **options))  # type: ignore[arg-type]


def names(engine: Engine, answer: Answer, *stages: Stage) -> list[str]:
    """First words of the titles found, in order; only those of some stages if these are given."""
    found = [f for f in answer.found if not stages or f.stage in stages]
    return [re.split(r"[:\s]", engine.paper(f.doc).title)[0] for f in found]


def found(engine: Engine, text: str, *filters: Node) -> set[str]:
    """What matches all of the query."""
    return set(names(engine, ask(engine, text, *filters), "all"))


EVERYTHING = [
    "读过的论文", "TinyDet", "Patch", "看图说话综述", "Walking", "DeepCross", "Query", "Graph", "LiteInfer2", "Memory", "Sleeping", "Clean",
]  # fmt: skip


# ---- words, phrases, alternatives, negations


def test_an_empty_query_lists_everything_in_reading_order(engine: Engine) -> None:
    answer = ask(engine, "")
    assert names(engine, answer) == EVERYTHING
    assert (answer.stage, answer.total) == ("all", len(EVERYTHING))
    assert {f.score for f in answer.found} == {0.0}


@pytest.mark.parametrize(
    "text", ["zebrafish", "鸵鸟", '"鸵鸟"', "title:zebrafish", "zebra*", "zebrafish~", "qqxx yyzz", "鸵鸟 zebrafish"]
)
def test_what_is_not_held_is_not_found(engine: Engine, text: str) -> None:
    answer = ask(engine, text)
    assert (answer.stage, answer.total, answer.found) == ("none", 0, [])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("贴纸 天线", {"Patch"}),
        ("召回率 三角不等式", {"Walking"}),
        ("微调 代价", {"Sleeping"}),
        ("int8 显存", {"LiteInfer2"}),
        ("编译器 寄存器", {"Graph"}),
        ("sticker zebrafish", set()),
        ("贴纸 zebrafish", set()),
    ],
)
def test_words_are_all_wanted(engine: Engine, text: str, wanted: set[str]) -> None:
    assert found(engine, text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("召回率 OR 寄存器", {"Walking", "Graph"}),
        ("召回率 OR 鸵鸟", {"Walking"}),
        ("鸵鸟 OR zebrafish", set()),
        ("(召回率 OR 寄存器) 溢出", {"Graph"}),
        ('"内积" OR "冷启动" OR year:2023', {"Walking", "Query", "看图说话综述"}),
    ],
)
def test_alternatives(engine: Engine, text: str, wanted: set[str]) -> None:
    assert found(engine, text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('"后门"', {"Sleeping", "Clean"}),
        ('"后门" -投毒', {"Sleeping"}),
        ('"后门" NOT 投毒', {"Sleeping"}),
        ('"后门" －"数据投毒"', {"Sleeping"}),
        ('"后门" -venue:ccs', {"Clean"}),
        ('"后门" -year:2019', set()),
        ('"后门" -(投毒 聚类)', {"Sleeping"}),
        ('"后门" -(鸵鸟 聚类)', {"Sleeping", "Clean"}),
        ('"后门" -鸵鸟', {"Sleeping", "Clean"}),
        ("-检测 year:2019", {"Walking", "Sleeping"}),
    ],
)
def test_negations(engine: Engine, text: str, wanted: set[str]) -> None:
    assert found(engine, text) == wanted


def test_a_negation_alone_leaves_the_rest_in_reading_order(engine: Engine) -> None:
    assert names(engine, ask(engine, '-"后门"')) == [n for n in EVERYTHING if n not in ("Sleeping", "Clean")]


def test_negations_phrases_and_filters_are_never_relaxed(engine: Engine) -> None:
    for relaxable in ("召回率 三角不等式 显存", "检测 蒸馏 池化 鸵鸟", "tranformers 推理"):
        everything = set(names(engine, ask(engine, relaxable)))
        for strict, kept in [('-"召回率"', "召回率"), ('-"检测"', "检测")]:
            left = names(engine, ask(engine, f"{relaxable} {strict}"))
            assert set(left) <= everything
            assert all(kept not in text_of(p) for p in PAPERS if re.split(r"[:\s]", p.title)[0] in left)
        assert ask(engine, f'{relaxable} "鸵鸟在跑"').total == 0
        assert ask(engine, relaxable, Years(((1950, 1951),))).total == 0
        for name in names(engine, ask(engine, f"{relaxable} year:2019")):
            assert name in ("Walking", "Sleeping", "Clean")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('"inner product"', {"Walking"}),
        ('"product inner"', set()),
        ('"INNER   Product"', {"Walking"}),
        ('"One GPU"', {"LiteInfer2"}),
        ('"fast object detection on small devices"', {"TinyDet"}),
        ('"small fast"', set()),
        ('"近邻图上贪心"', {"Walking"}),
        ('"近鄰圖"', {"Walking"}),
        ('"贪心近邻"', set()),
        ('"与 Wide & Deep 比"', {"DeepCross"}),
        ('"量化到 int8"', {"LiteInfer2"}),
        ('"end to end"', {"DeepCross"}),
        ('"C++ 写成"', {"LiteInfer2"}),
        ('title:"inner product"', {"Walking"}),
        ('note:"inner product"', set()),
        ('"图"', {"Patch", "Walking", "Memory", "Graph", "看图说话综述", "TinyDet"}),
    ],
)
def test_phrases(engine: Engine, text: str, wanted: set[str]) -> None:
    assert found(engine, text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("title:说话", {"看图说话综述"}),
        ("title:话综", {"看图说话综述"}),
        ("title:寄存器", set()),
        ("title:graph title:compilers", {"Graph"}),
        ("title:(walking OR compilers)", {"Walking", "Graph"}),
        ("alias:PatchHunt", {"Patch"}),
        ("note:PatchHunt", set()),
        ("note:天线", {"Patch"}),
        ("标题：Backdoors", {"Sleeping"}),
        ("walk*", {"Walking"}),
        ("title:tin*", {"TinyDet"}),
        ("寄存*", {"Graph"}),
        ("wlaking~1", {"Walking"}),
        ("walkin~", {"Walking"}),
    ],
)
def test_zones_prefixes_and_slips(engine: Engine, text: str, wanted: set[str]) -> None:
    assert found(engine, text) == wanted


# ---- Chinese without word borders


def text_of(paper: Paper) -> str:
    """All that a paper is found by, lines of one paragraph run together."""
    parts = [paper.title, *paper.aliases, paper.category or "", *paper.context, *(s.text for s in paper.sections)]
    joined = "\n\n".join(normalize(part)[0] for part in parts)
    return re.sub(r"(?<=[\u4e00-\u9fff])[ \t]*\n[ \t]*(?=[\u4e00-\u9fff])", "", joined)


def substrings() -> dict[str, set[str]]:
    """Every run of two to six Chinese characters in the corpus → ids of the papers that hold it."""
    held: dict[str, set[str]] = {}
    for paper in PAPERS:
        for run in re.findall(r"[\u4e00-\u9fff]+", text_of(paper)):
            for size in range(2, 7):
                for i in range(len(run) - size + 1):
                    held.setdefault(run[i : i + size], set()).add(paper.id)
    return held


SUBSTRINGS = substrings()


@pytest.mark.parametrize("size", range(2, 7))
def test_every_quoted_substring_finds_just_the_papers_that_hold_it(engine: Engine, size: int) -> None:
    for text, wanted in SUBSTRINGS.items():
        if len(text) == size:
            answer = ask(engine, f'"{text}"')
            assert {engine.paper(f.doc).id for f in answer.found} == wanted, text
            assert answer.stage == "all"


@pytest.mark.parametrize("size", range(2, 7))
def test_every_substring_finds_its_papers(engine: Engine, size: int) -> None:
    """Unquoted it may find more, but those that hold it are there, and nothing that matches less stands above."""
    for text, wanted in SUBSTRINGS.items():
        if len(text) == size:
            answer = ask(engine, text)
            assert {engine.paper(f.doc).id for f in answer.found if f.stage == "all"} >= wanted, text


# ---- filters


@pytest.mark.parametrize(
    ("field", "values", "wanted"),
    [
        ("venue", ("KDD",), {"DeepCross"}),
        ("venue", ("kdd",), {"DeepCross"}),
        ("venue", ("nips",), {"Walking"}),
        ("venue", ("NeurIPS",), {"Walking"}),
        ("venue", ("ARXIV",), {"看图说话综述", "LiteInfer2"}),
        ("venue", ("Arixv",), {"看图说话综述", "LiteInfer2"}),
        ("venue", ("KDD", "SIGIR"), {"DeepCross", "Query"}),
        ("venue", ("ICML",), set()),
        ("category", ("安全",), {"Sleeping", "Clean"}),
        ("category", ("检索",), {"Walking", "DeepCross", "Query"}),
        ("category", ("安全", "系统"), {"Sleeping", "Clean", "Graph", "LiteInfer2", "Memory"}),
        ("category", ("没有这一类",), set()),
        ("org", ("Google",), {"DeepCross"}),
        ("org", ("university",), {"Patch"}),
        ("org", ("Acme",), {"TinyDet", "Patch"}),
        ("org", ("ＡＣＭＥ", "ibm"), {"TinyDet", "Patch", "Clean"}),
        ("org", ("nobody",), set()),
        ("has", ("companion",), {"Patch", "Graph"}),
        ("has", ("links",), {"Patch", "Graph"}),
        ("has", ("link",), {"Patch", "Graph"}),
    ],
)
def test_filters_of_exact_fields(engine: Engine, field: str, values: tuple[str, ...], wanted: set[str]) -> None:
    assert found(engine, "", Exact(field, values)) == wanted


@pytest.mark.parametrize(
    ("ranges", "wanted"),
    [
        (((2023, 2023),), {"看图说话综述"}),
        (((2021, 2022),), {"TinyDet", "Patch", "LiteInfer2"}),
        (((2022, None),), {"Patch", "看图说话综述", "LiteInfer2"}),
        (((None, 2019),), {"Walking", "Sleeping", "Clean"}),
        (((2021, 2021), (2023, None)), {"TinyDet", "看图说话综述"}),
        (((1950, 1960),), set()),
    ],
)
def test_filters_of_years(engine: Engine, ranges: tuple[tuple[int | None, int | None], ...], wanted: set[str]) -> None:
    assert found(engine, "", Years(ranges)) == wanted


def test_different_fields_must_all_hold(engine: Engine) -> None:
    assert found(engine, "", Exact("org", ("Acme",)), Years(((2022, 2022),))) == {"Patch"}
    assert found(engine, "", Exact("org", ("Acme",)), Exact("venue", ("KDD",))) == set()
    assert found(engine, '"检测"', Exact("category", ("安全",))) == {"Clean"}


def test_a_filter_in_the_query_is_the_same_as_one_beside_it(engine: Engine) -> None:
    pairs: list[tuple[str, Node]] = [
        ("检测 venue:cvpr", Exact("venue", ("cvpr",))),
        ("检测 org:(acme OR ibm)", Exact("org", ("acme", "ibm"))),
        ("检测 year:2019..2021", Years(((2019, 2021),))),
        ("检测 类别：安全", Exact("category", ("安全",))),
    ]
    for inside, beside in pairs:
        assert ask(engine, inside).found == ask(engine, "检测", beside).found != []


def test_a_filter_changes_no_score(engine: Engine) -> None:
    free = {f.doc: f.score for f in ask(engine, "检测").found}
    for f in ask(engine, "检测", Years(((2019, 2021),))).found:
        assert f.score == pytest.approx(free[f.doc])


def test_a_filter_that_no_paper_can_pass_says_so(engine: Engine) -> None:
    for node, told in [
        (Exact("venue", ("ICML",)), "ICML"),
        (Exact("org", ("nobody",)), "nobody"),
        (Exact("has", ("wings",)), "wings"),
    ]:
        answer = ask(engine, "", node)
        assert answer.total == 0
        assert any(told in notice for notice in answer.notices)


# ---- pages and orders


@pytest.mark.parametrize("text", ["", "检测", '"图"', "检测 OR 图 OR year:2020"])
def test_pages_are_pieces_of_the_whole_answer(engine: Engine, text: str) -> None:
    whole = ask(engine, text)
    assert whole.total == len(whole.found)
    for size in (1, 2, 5, 100):
        pages = [ask(engine, text, limit=size, offset=at) for at in range(0, whole.total + 2, size)]
        assert [f for page in pages for f in page.found] == whole.found
        assert {(page.total, page.stage) for page in pages} == {(whole.total, whole.stage)}
    none = ask(engine, text, limit=0)
    assert (none.found, none.total) == ([], whole.total)


def test_scores_fall_and_stages_come_in_order(engine: Engine) -> None:
    for text in ("检测", "召回率 三角不等式 显存", "graph search 图", "检测 贴纸 聚类", "tranformers 推理 服务"):
        answer = ask(engine, text)
        keys = [(ORDER.index(f.stage), -round(f.score, 9)) for f in answer.found]
        assert keys == sorted(keys) and keys
        assert all(f.score > 0 for f in answer.found)
        assert answer.stage == answer.found[0].stage


@pytest.mark.parametrize("text", ["", "检测", '"图" OR year:2019'])
def test_orders(engine: Engine, text: str) -> None:
    def papers(sort: str) -> list[Paper]:
        return [engine.paper(f.doc) for f in ask(engine, text, sort=sort).found]

    orders: list[tuple[str, Callable[[Paper], Any]]] = [
        ("year", lambda p: (p.year is None, p.year or 0)),
        ("-year", lambda p: (p.year is None, -(p.year or 0))),
        ("venue", lambda p: (p.venue is None, exact_value(p.venue or ""))),
        ("title", lambda p: exact_value(p.title)),
    ]
    for sort, key in orders:
        ordered = papers(sort)
        assert [key(p) for p in ordered] == sorted(map(key, ordered))
        assert {p.id for p in ordered} == {p.id for p in papers("score")}


def test_an_order_in_the_query_counts_where_none_is_asked_for(engine: Engine) -> None:
    assert ask(engine, "检测 sort:year").found == ask(engine, "检测", sort="year").found
    assert ask(engine, "检测 sort:year", sort="title").found == ask(engine, "检测", sort="title").found


def test_an_unknown_order_is_an_error(engine: Engine) -> None:
    with pytest.raises(UsageError, match="size"):
        ask(engine, "检测", sort="size")


def test_lists_go_by_reading_order_and_ties_of_a_ranking_by_id(build: Callable[[dict[str, str]], Engine]) -> None:
    digest = "## C\n\n" + "".join(f"### Same Title[CVPR'{year}]\n- the same words\n\n" for year in (22, 20, 24, 21, 23))
    engine = build({"b.md": digest, "a.md": "## C\n\n### Same Title[CVPR'19]\n- the same words\n"})
    wanted = [2019, 2022, 2020, 2024, 2021, 2023]
    assert [engine.paper(f.doc).year for f in ask(engine, "").found] == wanted
    for text in ("same", "words title", '"the same"'):
        for _ in range(3):
            answer = ask(engine, text)
            ids = [engine.paper(f.doc).id for f in answer.found]
            assert ids == sorted(ids)
            assert len(ids) == len(wanted)
            assert len({round(f.score, 9) for f in answer.found}) == 1


# ---- facets


def test_facets_count_all_that_matches_whatever_is_shown(engine: Engine) -> None:
    answer = ask(engine, "", limit=1, facets=("venue", "year", "org", "category"))
    assert answer.facets["year"] == {"2019": 3, "2020": 3, "2021": 1, "2022": 2, "2023": 1}
    assert answer.facets["venue"]["arxiv"] == 2 and answer.facets["venue"]["neurips"] == 1
    assert answer.facets["org"]["acme"] == 2 and answer.facets["org"]["north university"] == 1
    assert answer.facets["category"] == {"图像检测": 3, "检索和推荐": 3, "系统": 3, "安全": 2}


def test_facets_go_with_the_query(engine: Engine) -> None:
    answer = ask(engine, '"后门"', Years(((2019, 2019),)), limit=0, facets=("venue", "year"))
    assert answer.facets == {"venue": {"ccs": 1, "aaai": 1}, "year": {"2019": 2}}
    assert ask(engine, "鸵鸟", facets=("venue",)).facets == {"venue": {}}
    assert ask(engine, "检测").facets == {}


# ---- stages


def test_most_of_the_weight_is_enough_only_where_nothing_has_all(engine: Engine) -> None:
    answer = ask(engine, "召回率 三角不等式 贪心 显存")
    assert answer.stage == "some"
    assert names(engine, answer)[0] == "Walking"
    assert "LiteInfer2" not in names(engine, answer)


def test_what_matches_all_stands_above_what_matches_some(engine: Engine) -> None:
    answer = ask(engine, "贴纸 检测")
    stages = [f.stage for f in answer.found]
    assert stages == sorted(stages, key=ORDER.index)
    assert names(engine, answer, "all") == ["Patch"]


def test_strict_answers_only_what_matches_all(engine: Engine) -> None:
    for text in ("召回率 三角不等式 贪心 显存", "贴纸 检测", "tranformers", "检测"):
        strict = ask(engine, text, strict=True)
        assert {f.stage for f in strict.found} <= {"all"}
        assert {f.doc for f in strict.found} == {f.doc for f in ask(engine, text).found if f.stage == "all"}


def test_a_slip_is_corrected_and_told(engine: Engine) -> None:
    answer = ask(engine, "tranformers")
    assert answer.stage == "fuzzy"
    assert names(engine, answer)[0] == "LiteInfer2"
    assert any("tranformers" in notice and "transformers" in notice for notice in answer.notices)
    assert ask(engine, "transformers").stage == "all"


def test_notices_of_the_query_are_passed_on(engine: Engine) -> None:
    query = parse_query('检测 "open year:soon')
    answer = engine.search(Request(query))
    assert query.notices and set(query.notices) <= set(answer.notices)


# ---- the engines among each other


QUERIES = [
    "", "检测", "图", "graph", "graph search", "后门攻击 检测", "Patch -检测", "title:graph", "lite infer 2", "liteinfer", "int8 量化",
    "max-pooling", "maxpooling", "256", "[4,4,c]", "x_i/‖x_i‖^2", "end to end", '"end to end"', "walk*", "compiler", "编译器 优化",
    "目标检测 小设备", "tranformers", "检 测", "wide deep", "year:2019 sort:title", "a OR 图", "推荐系统", "请问有哪些关于检测的论文", "backdoor",
]  # fmt: skip


def test_engines_answer_alike(tmp_path: Path) -> None:
    engines = {name: make(PAPERS, tmp_path / name) for name, make in FACTORIES.items()}

    def answers(engine: Engine) -> Iterable[object]:
        for text in QUERIES:
            answer = ask(engine, text, facets=("venue", "year"))
            hits = [(engine.paper(f.doc).id, pytest.approx(f.score, rel=1e-5), f.stage) for f in answer.found]
            yield text, answer.stage, answer.total, hits, answer.facets, answer.notices

    wanted = list(answers(engines["memory"]))
    for engine in engines.values():
        assert list(answers(engine)) == wanted
