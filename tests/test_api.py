"""The library's front."""

from __future__ import annotations

import os
import re
import shutil
import threading
from pathlib import Path

import pytest

import papersearch
from corpora import MIXED, SHIPPED, copy_glossary, index_of, write_notes
from papersearch import Index, UsageError, open_index
from papersearch.api import build_index, index_status
from papersearch.errors import CorpusError, IndexBusyError, IndexDamagedError, IndexMissingError
from papersearch.index.lock import WriteLock

DIGEST = "# D\n\n## Vision\n\n### One: First[CVPR'22][Acme]\n- about zebras\n\n### Two[ICML'20]\n- about yaks\n"


@pytest.fixture(autouse=True)
def _one_glossary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papersearch.glossary.compiled.compile_glossary", copy_glossary)


@pytest.fixture(scope="module")
def index() -> Index:
    return open_index(MIXED, index_of(MIXED))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "corpus", {"d.md": DIGEST})


def titles(index: Index, query: str = "", **options: object) -> list[str]:
    return [hit.paper.title.split(":")[0] for hit in index.search(query, **options)]  # type: ignore[arg-type]


# ---- opening


def test_opening_builds_then_refreshes_then_leaves_alone(corpus: Path, tmp_path: Path) -> None:
    with open_index(corpus, tmp_path / "index") as index:
        assert titles(index) == ["One", "Two"]
        first = index.status().generation
    with open_index(str(corpus), str(tmp_path / "index")) as index:
        assert index.status().generation == first
    write_notes(corpus, {"more.md": "### Three[ICML'21]\n- about gnus\n"})
    with open_index([corpus], tmp_path / "index") as index:
        assert titles(index, "gnus") == ["Three"]
        assert index.status().generation == first + 1
        assert index.notices == ()


def test_without_refresh_the_last_build_answers(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError):
        open_index(corpus, tmp_path / "index", refresh=False)
    assert not (tmp_path / "index").exists()
    open_index(corpus, tmp_path / "index").close()
    write_notes(corpus, {"d.md": DIGEST.replace("zebras", "gnus")})
    with open_index(corpus, tmp_path / "index", refresh=False) as index:
        assert titles(index, "zebras") == ["One"]
        assert titles(index, "gnus") == []
        assert index.status().stale
        index.refresh()
        assert titles(index, "gnus") == ["One"]
        assert not index.status().stale


def test_a_missing_corpus(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere"):
        open_index(tmp_path / "nowhere", tmp_path / "index")
    open_index(corpus, tmp_path / "index").close()
    corpus.rename(tmp_path / "moved")
    with open_index(corpus, tmp_path / "index") as index:
        assert titles(index, "zebras") == ["One"]
        assert any(str(corpus) in notice for notice in index.notices)


def test_an_empty_corpus_never_erases_an_index(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError):
        open_index(tmp_path / "empty", tmp_path / "index")
    open_index(corpus, tmp_path / "index").close()
    (corpus / "d.md").unlink()
    with open_index(corpus, tmp_path / "index") as index:
        assert titles(index, "zebras") == ["One"]
        assert index.notices
    with pytest.raises(CorpusError):
        build_index(corpus, tmp_path / "index", rebuild=True)
    with open_index(corpus, tmp_path / "index", refresh=False) as index:
        assert titles(index, "zebras") == ["One"]


def test_while_another_writes_the_last_build_answers(corpus: Path, tmp_path: Path) -> None:
    open_index(corpus, tmp_path / "index").close()
    write_notes(corpus, {"d.md": DIGEST.replace("zebras", "gnus")})
    lock = WriteLock(str(tmp_path / "index"), 1)
    try:
        with open_index(corpus, tmp_path / "index") as index:
            assert titles(index, "zebras") == ["One"]
            assert any(str(os.getpid()) in notice for notice in index.notices)
    finally:
        lock.release()
    with open_index(corpus, tmp_path / "index") as index:
        assert titles(index, "gnus") == ["One"]


def test_without_any_index_a_writer_is_waited_for(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("papersearch.api.BUILD_LOCK_S", 0.1)
    lock = WriteLock(str(tmp_path / "index"), 1)
    try:
        with pytest.raises(IndexBusyError):
            open_index(corpus, tmp_path / "index")
    finally:
        lock.release()


def test_a_damaged_index_is_built_anew_and_says_so(corpus: Path, tmp_path: Path) -> None:
    open_index(corpus, tmp_path / "index").close()
    (tmp_path / "index" / "toc.json").write_text("not a table")
    with pytest.raises(IndexDamagedError):
        open_index(corpus, tmp_path / "index", refresh=False)
    with open_index(corpus, tmp_path / "index") as index:
        assert titles(index, "zebras") == ["One"]
        assert any("anew" in notice for notice in index.notices)


@pytest.mark.parametrize("extension", ["doc", "inv"])
def test_damage_inside_a_file_is_mended_or_told(corpus: Path, tmp_path: Path, extension: str) -> None:
    """Wherever it lies and whenever it is found: the answer is right, or an error says that the index is damaged."""
    open_index(corpus, tmp_path / "sound").close()
    (name,) = [path.name for path in (tmp_path / "sound").iterdir() if path.suffix == f".{extension}"]
    sound = (tmp_path / "sound" / name).read_bytes()
    told = 0
    for n, at in enumerate(range(0, len(sound), max(1, len(sound) // 25))):
        folder = tmp_path / f"index{n}"
        shutil.copytree(tmp_path / "sound", folder)
        (folder / name).write_bytes(sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :])
        with open_index(corpus, folder) as index:
            assert titles(index, "zebras") == ["One"]
            assert [paper.title for paper in index.papers()] == ["One: First", "Two"]
            told += bool(index.notices)
    assert told > 0


def test_another_analysis_means_another_build(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_index(corpus, tmp_path / "index").close()
    monkeypatch.setattr("papersearch.analysis.ANALYSIS", 10_000)
    with open_index(corpus, tmp_path / "index", refresh=False) as index:
        assert index.status().stale
    changes = build_index(corpus, tmp_path / "index")
    assert len(changes.added) == 2
    assert "analysis" in changes.rebuilt


def test_several_corpora_are_one_index(corpus: Path, tmp_path: Path) -> None:
    write_notes(tmp_path / "other", {"d.md": DIGEST.replace("One", "Uno")})
    with open_index([corpus, tmp_path / "other"], tmp_path / "index") as index:
        assert [p.path for p in index.papers()] == ["corpus/d.md"] * 2 + ["other/d.md"] * 2
        assert len({p.id for p in index.papers()}) == 4
        assert not index.status().stale


def test_files_that_could_not_be_read_are_told_at_every_opening(corpus: Path, tmp_path: Path) -> None:
    write_notes(corpus, {"gbk.md": "### Drei[ICML'20]\n- 中文笔记，足够长的一句话\n".encode("gbk")})
    for _ in range(2):
        with open_index(corpus, tmp_path / "index") as index:
            assert [notice for notice in index.notices if "gbk.md" in notice]
            assert titles(index, "足够长") == ["Drei"]


# ---- searching


def test_a_hit_says_all_of_its_paper_and_why(index: Index) -> None:
    results = index.search("天线 贴纸", limit=1)
    (hit,) = results
    assert (hit.rank, hit.stage, hit.paper.title) == (
        1,
        "all",
        "Patch Hunters: Finding Adversarial Stickers(PatchHunt)",
    )
    assert hit.score > 0
    assert (hit.paper.path, hit.paper.line, hit.paper.year, hit.paper.orgs) == (
        "digest.md",
        11,
        2022,
        ("Acme", "North University"),
    )
    assert (hit.snippet_path, hit.snippet_line) == ("digest.md", 12)
    assert "贴纸" in [hit.snippet[start:end] for start, end in hit.highlights]
    assert {"天线", "贴纸"} <= set(hit.matched["note"])
    assert (results.query, results.stage, bool(results), len(results)) == ("天线 贴纸", "all", True, 1)
    assert results.took_ms > 0


def test_matched_words_are_told_by_field(index: Index) -> None:
    (hit,) = index.search('title:walking "内积" graph', limit=1)
    assert hit.matched["title"][:1] == ["walking"]
    assert "内积" in hit.matched["note"]


def test_every_hit_is_stored_as_it_was_read(index: Index) -> None:
    from corpora import read

    assert index.papers() == read(MIXED).papers


def test_filters_and_what_they_take(index: Index) -> None:
    assert titles(index, year=2023) == titles(index, year="2023") == titles(index, year=["2023"]) == ["看图说话综述"]
    assert set(titles(index, year=[2021, "2023.."])) == {"TinyDet", "看图说话综述"}
    assert set(titles(index, year="2021,2023")) == {"TinyDet", "看图说话综述"}
    assert set(titles(index, venue=["kdd", "nips"])) == {"Walking Graphs for Inner Product Search", "DeepCross"}
    assert titles(index, venue="kdd", org="google") == ["DeepCross"]
    assert titles(index, category="安全", org="") == titles(index, category=["安全", " "])
    assert index.search(category="安全", year=2019).filters == {"category": ["安全"], "year": ["2019"]}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"year": "soon"}, "soon"), ({"year": "2022..2019"}, "2019..2022"), ({"year": [2020, "x"]}, "x"), ({"sort": "size"}, "size"),
        ({"limit": -1}, "limit"), ({"offset": -1}, "offset"), ({"facets": ["colour"]}, "colour"),
    ],
)  # fmt: skip
def test_wrong_use_is_an_error_of_one_line(index: Index, options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        index.search("x", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_query_must_be_text(index: Index) -> None:
    with pytest.raises(UsageError, match="bytes"):
        index.search(b"x")  # type: ignore[arg-type]


def test_ranks_go_on_over_pages(index: Index) -> None:
    assert [hit.rank for hit in index.search("", limit=3, offset=4)] == [5, 6, 7]
    assert len(index.search("", limit=None)) == index.search("", limit=0).total == 12
    assert list(index.search("", offset=100)) == []


def test_facets_are_written_as_most_notes_write_them(index: Index) -> None:
    facets = index.facets()
    assert list(facets) == ["category", "venue", "year", "org"]
    assert facets["year"] == [("2023", 1), ("2022", 2), ("2021", 1), ("2020", 3), ("2019", 3)]
    assert facets["venue"][0] == ("arXiv", 2)
    assert ("NeurIPS", 1) in facets["venue"] and ("google", 1) in facets["org"]
    assert facets["category"][:2] == [("图像检测", 3), ("检索和推荐", 3)] or dict(facets["category"])["图像检测"] == 3
    assert index.facets(["venue"]) == {"venue": facets["venue"]}
    assert index.search("后门", facets=["year"], limit=0).facets == {"year": [("2019", 2)]}
    with pytest.raises(UsageError, match="colour"):
        index.facets(["colour"])


EXPLAINED = [
    "检测", "graph search", "后门攻击 检测", '"内积" 图', "tranformers", "召回率 三角不等式 贪心 显存", "lite infer 2", "title:graph compilers",
    "a OR 图", "编译器 优化 year:2020", "end-to-end 训练", "",
]  # fmt: skip


@pytest.mark.parametrize("query", EXPLAINED)
def test_the_parts_of_a_score_add_up_to_it(index: Index, query: str) -> None:
    plain, explained = index.search(query, limit=None), index.search(query, limit=None, explain=True)
    assert [(h.paper.id, h.score, h.stage) for h in plain] == [(h.paper.id, h.score, h.stage) for h in explained]
    assert all(hit.explanation == () for hit in plain)
    for hit in explained:
        assert sum(part.value for part in hit.explanation) == pytest.approx(hit.score, abs=1e-5)
        assert bool(hit.explanation) == (hit.score > 0)
        assert all(part.name for part in hit.explanation)


def test_similar_papers_are_of_one_kind() -> None:
    with open_index(SHIPPED, index_of(SHIPPED)) as index:
        by_name = {re.split(r"[:\s]", paper.title)[0]: paper for paper in index.papers()}
        for one, other in [("LightSeq", "LightSeq2"), ("LayoutLMv2", "LayoutLMv3"), ("YOLOv6", "YOLOv7")]:
            assert index.similar(by_name[one].id, limit=1).hits[0].paper == by_name[other]
        near = index.similar(by_name["Latent"].id[:7], limit=3)
        assert {hit.paper.category for hit in near} == {by_name["Latent"].category}


def test_a_paper_is_not_similar_to_itself(index: Index) -> None:
    for paper in index.papers():
        results = index.similar(paper.id, limit=None)
        assert paper not in [hit.paper for hit in results]
        scores = [hit.score for hit in results]
        assert scores == sorted(scores, reverse=True) and all(score > 0 for score in scores)
        assert [hit.rank for hit in results] == list(range(1, len(results) + 1))
    with pytest.raises(UsageError, match="no paper"):
        index.similar("zzzzzzzz")


# ---- papers by id


def test_a_paper_is_found_by_its_id_or_the_beginning_of_it(index: Index) -> None:
    for paper in index.papers():
        assert index.get(paper.id) == index.get(f" {paper.id.upper()} ") == paper
        shortest = next(n for n in range(1, 9) if sum(p.id.startswith(paper.id[:n]) for p in index.papers()) == 1)
        assert index.get(paper.id[:shortest]) == paper


def test_what_names_no_paper_or_several_is_an_error(index: Index) -> None:
    for wrong in ("zzzzzzzz", "", "  ", "\0", "\ud800"):
        with pytest.raises(UsageError, match="no paper"):
            index.get(wrong)
    by_letter: dict[str, list[str]] = {}
    for paper in index.papers():
        by_letter.setdefault(paper.id[0], []).append(paper.id)
    letter, ids = max(by_letter.items(), key=lambda row: len(row[1]))
    assert len(ids) > 1, "twelve ids and thirty-two letters: pick another corpus"
    with pytest.raises(UsageError, match=f"{len(ids)} papers") as caught:
        index.get(letter)
    assert all(paper_id in str(caught.value) for paper_id in ids[:5])


def test_an_id_with_an_ordinal_does_not_hide_the_first(tmp_path: Path) -> None:
    write_notes(tmp_path / "corpus", {"d.md": "### Same[ICML'20]\n- one\n\n### Same[ICML'20]\n- two\n"})
    with open_index(tmp_path / "corpus", tmp_path / "index") as index:
        first, second = index.papers()
        assert second.id == f"{first.id}-2"
        assert index.get(first.id) == first
        assert index.get(second.id) == second


# ---- status, closing, threads


def test_status_of_what_is_built(index: Index) -> None:
    status = index.status()
    assert (status.built, status.stale, status.papers, status.notes, status.files) == (True, False, 11, 1, 3)
    assert status.bytes == sum(f.stat().st_size for f in Path(status.index).iterdir())
    assert status.built_at.endswith("Z") and status.corpus == (str(MIXED),)


def test_status_of_what_is_not(tmp_path: Path, corpus: Path) -> None:
    status = index_status(corpus, tmp_path / "index")
    assert (status.built, status.stale, status.papers) == (False, True, 0)
    assert not (tmp_path / "index").exists()


def test_status_tells_which_files_changed(tmp_path: Path, corpus: Path) -> None:
    open_index(corpus, tmp_path / "index").close()
    write_notes(corpus, {"new.md": "x\n"})
    status = index_status(corpus, tmp_path / "index")
    assert (status.stale, status.stale_files) == (True, ("new.md",))
    corpus.rename(tmp_path / "moved")
    assert index_status(corpus, tmp_path / "index").stale


def test_papers_kept_for_the_next_answer_do_not_change_it(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = ["zebra", "yak OR zebra", "斑马", "nothing"]
    with open_index(corpus, tmp_path / "i") as index:
        answers = [[index.search(query).replace(took_ms=0.0) for query in queries] for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0][0].hits[0].paper is answers[1][0].hits[0].paper
    for name, value in (("KEPT_NOTES", 1), ("LARGEST_KEPT", 10)):
        monkeypatch.setattr("papersearch.api." + name, value)
        with open_index(corpus, tmp_path / "i") as index:
            for _ in range(2):
                assert [index.search(query).replace(took_ms=0.0) for query in queries] == answers[0]


def test_what_was_returned_outlives_the_index(corpus: Path, tmp_path: Path) -> None:
    with open_index(corpus, tmp_path / "index") as index:
        results, papers = index.search("zebras"), index.papers()
    assert results.hits[0].paper == papers[0]
    for use in (index.papers, index.search, lambda: index.get(papers[0].id)):
        with pytest.raises(papersearch.PapersearchError):
            use()
    index.close()


def test_searches_go_on_while_the_corpus_is_refreshed(corpus: Path, tmp_path: Path) -> None:
    wrong: list[object] = []
    done = threading.Event()
    with open_index(corpus, tmp_path / "index") as index:

        def search() -> None:
            while not done.wait(0.002):
                found = [titles(index, "zebras"), titles(index, "yaks")]
                if found != [["One"], ["Two"]]:
                    wrong.append(found)

        threads = [threading.Thread(target=search) for _ in range(2)]
        for thread in threads:
            thread.start()
        for n in range(4):
            write_notes(corpus, {f"n{n}.md": f"### New {n}[ICML'20]\n- about gnu number {n}\n"})
            index.refresh()
        done.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(titles(index, "gnu", limit=None)) == 4


# ---- the package


def test_public_names_are_there_and_all_is_complete() -> None:
    for name in papersearch.__all__:
        assert getattr(papersearch, name) is not None
    assert set(dir(papersearch)) == set(papersearch.__all__)
    with pytest.raises(AttributeError, match="nothing_such"):
        papersearch.nothing_such  # noqa: B018


def test_nothing_is_printed(corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_notes(corpus, {"gbk.md": "中文笔记，足够长的一句话".encode("gbk")})
    with open_index(corpus, tmp_path / "index") as index:
        index.search("zebras 检测")
        index.status()
    assert capfd.readouterr() == ("", "")
