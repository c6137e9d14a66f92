"""`papersearch eval`: a user's own judged queries in, measures and a run out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from papersearch import api, cli
from papersearch.errors import UsageError
from papersearch.evaluation import JudgedQuery, evaluate, read_queries
from papersearch.judging import HIGHEST_GRADE, load_queries, run_queries, unknown_titles

NOTES = """# D

## Storage

### Merge trees for flash[VLDB'18]
- compaction stalls

### Learned indexes[SIGMOD'18]
- a model instead of a tree

## Networks

### Congestion by delay[SIGCOMM'20]
- delay as the signal

### Congestion by loss[SIGCOMM'16]
- loss as the signal
"""

QUERIES: list[dict[str, Any]] = [
    {"id": "q1", "class": "topic", "q": "congestion", "rel": {"Congestion by delay": 2, "Congestion by loss": 2}},
    {"id": "q2", "class": "topic", "q": "compaction", "rel": {"Learned indexes": 2}},
    {"id": "q3", "q": "congestion", "filters": {"year": "2020..", "venue": "VLDB,SIGCOMM"},
     "rel": {"Congestion by delay": 2}},
    {"id": "q4", "class": "none", "q": "photosynthesis", "rel": {}},
    {"id": "q5", "class": "none", "q": "compaction"},
]  # fmt: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a small digest and judged queries over it."""
    for name in ("PAPERSEARCH_CORPUS", "PAPERSEARCH_INDEX", "PAPERSEARCH_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "notes.md").write_text(NOTES, encoding="utf-8")
    write(tmp_path / "queries.jsonl", *QUERIES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments of eval) → exit code, standard output, standard error."""

    def runner(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.program.main(["eval", *args], standalone_mode=False)
        said = capsys.readouterr()
        return code, said.out, said.err

    return runner


def write(file: Path, *queries: dict[str, Any]) -> None:
    file.write_text("".join(json.dumps(query) + "\n" for query in queries), encoding="utf-8")


def test_measures_are_told_per_class(folder: Path, run: Run) -> None:
    code, out, err = run("queries.jsonl")
    assert (code, err) == (0, "")
    rows = {row.split("  ")[0]: row.split() for row in out.splitlines()}
    assert rows["class"] == ["class", "n", "nDCG@10", "MRR@10", "R@10", "S@1"]
    assert rows["topic"][1:] == ["2", "0.500", "0.500", "0.500", "0.500"]
    assert rows["all"][1:] == ["1", "1.000", "1.000", "1.000", "1.000"]
    assert rows["all positive"][2:] == ["3", "0.667", "0.667", "0.667", "0.667"]
    assert rows["none"] == ["none", "2", "empty", "0.50", "empty", "or", "marked", "partial", "0.50"]


def test_json_has_the_same_figures(folder: Path, run: Run) -> None:
    code, out, err = run("queries.jsonl", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert list(data) == ["schema", "depth", "notices", "classes", "overall", "unanswerable"]
    assert (data["schema"], data["depth"], data["notices"]) == (1, 10, [])
    assert data["classes"]["topic"] == {"queries": 2, "ndcg": 0.5, "mrr": 0.5, "recall": 0.5, "success": 0.5}
    assert data["overall"]["queries"] == 3
    assert data["overall"]["ndcg"] == pytest.approx(2 / 3, abs=1e-6)
    assert data["unanswerable"] == {"none": {"queries": 2, "empty": 0.5, "empty_or_partial": 0.5}}


def test_the_run_is_written_and_judges_alike(folder: Path, run: Run) -> None:
    code, out, _ = run("queries.jsonl", "--run", "run.jsonl", "--json")
    assert code == 0
    rows = [json.loads(row) for row in (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [list(row) for row in rows] == [["id", "ranked"]] * len(QUERIES)
    ranked = {row["id"]: row["ranked"] for row in rows}
    assert sorted(ranked["q1"]) == ["Congestion by delay", "Congestion by loss"]
    assert ranked["q3"] == ["Congestion by delay"]
    assert ranked["q4"] == []
    judged = evaluate(read_queries(folder / "queries.jsonl"), ranked)
    assert judged.overall.ndcg == pytest.approx(json.loads(out)["overall"]["ndcg"], abs=1e-6)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("not JSON", "not a judged query"),
        ("[1]", "not a judged query"),
        ('{"id": "x"}', "not a judged query"),
        ('{"id": "x", "q": "a", "rel": ["T"]}', "not a judged query"),
        ('{"id": "x", "q": "a", "rel": {"T": "two"}}', "not a judged query"),
        ('{"id": "x", "q": "a", "filters": {"author": "A"}}', "category, venue, year, org"),
        ('{"id": "x", "q": "a", "filters": {"sort": "year"}}', "category, venue, year, org"),
        ('{"id": "x", "q": "a", "filters": {"year": "2018,soon"}}', "soon"),
        ('{"id": "x", "q": "a", "filters": {"year": "2022..2019"}}', "2022"),
        ('{"id": "q1", "q": "a"}', "q1"),
        ('{"id": "x", "q": "a", "rel": {"T": 9999}}', str(HIGHEST_GRADE)),
    ],
)
def test_a_bad_line_is_named(row: str, said: str, folder: Path, run: Run) -> None:
    good = json.dumps(QUERIES[0])
    (folder / "bad.jsonl").write_text(f"{good}\n\n{row}\n", encoding="utf-8")
    code, out, err = run("bad.jsonl", "--run", "run.jsonl")
    assert (code, out) == (2, "")
    assert err.startswith("papersearch: bad.jsonl:3: ")
    assert err.count("\n") == 1
    assert said in err
    assert not (folder / "run.jsonl").exists()
    assert not (folder / "index").exists()


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe\xff"])
def test_a_file_without_queries_is_told(content: bytes | None, folder: Path, run: Run) -> None:
    if content is not None:
        (folder / "odd.jsonl").write_bytes(content)
    code, out, err = run("odd.jsonl")
    assert (code, out) == (2, "")
    assert err.startswith("papersearch: odd.jsonl: ")
    assert err.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_queries_may_come_through_a_pipe() -> None:
    """A pipe can be read once: the number of the line is lost, what is wrong with it is not."""

    def load(row: dict[str, Any]) -> list[JudgedQuery]:
        reading, writing = os.pipe()
        try:
            os.write(writing, json.dumps(row).encode())
            os.close(writing)
            return load_queries(Path(f"/dev/fd/{reading}"))
        finally:
            os.close(reading)

    assert [query.id for query in load(QUERIES[0])] == ["q1"]
    with pytest.raises(UsageError, match=r"^/dev/fd/\d+: no filter 'x'"):
        load({**QUERIES[0], "filters": {"x": "y"}})


def test_wrong_use(folder: Path, run: Run) -> None:
    for args, said in (
        ([], "QUERIES.jsonl"),
        (["queries.jsonl", "more.jsonl"], "more.jsonl"),
        (["queries.jsonl", "--run", str(folder)], str(folder)),
        (["queries.jsonl", "--run", os.path.join("no", "run.jsonl")], "cannot be written"),
    ):
        code, out, err = run(*args)
        assert (code, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1


def test_titles_that_no_paper_has_are_told(folder: Path, run: Run) -> None:
    write(folder / "queries.jsonl", *QUERIES, {"id": "q6", "q": "trees", "rel": {"Merge tree for flash": 2}})
    said = "no paper has the judged title 'Merge tree for flash'"
    code, out, err = run("queries.jsonl")
    assert (code, err) == (0, f"papersearch: {said}\n")
    assert "Merge tree" not in out
    code, out, err = run("queries.jsonl", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["notices"] == [said]


def test_names_in_the_file_cannot_steer_a_terminal(folder: Path, run: Run) -> None:
    write(folder / "queries.jsonl", {"id": "q\ud800", "class": "a\x1b[2J", "q": "trees", "rel": {"\x1b[2J": 1}})
    code, out, err = run("queries.jsonl", "--run", "run.jsonl")
    assert code == 0
    assert "\x1b" not in out + err
    assert json.loads((folder / "run.jsonl").read_text(encoding="utf-8"))["id"] == "q\ud800"


def test_last_build_answers_if_asked_to(folder: Path, run: Run) -> None:
    assert run("queries.jsonl", "--no-refresh")[0] == 2
    before = run("queries.jsonl")[1]
    (folder / "corpus" / "notes.md").write_text("# D\n\n## C\n\n### Other[KDD'18]\n- x\n\n### More[KDD'19]\n- y\n")
    assert run("queries.jsonl", "--no-refresh")[1] == before
    assert run("queries.jsonl")[1] != before


def test_running_queries_is_a_search_each(folder: Path) -> None:
    queries = [
        JudgedQuery("whole", "c", "congestion delay", {}, {"Congestion by delay": 2}),
        JudgedQuery("part", "c", "congestion delay photosynthesis", {}, {"Lost": 1, "Congestion by loss": 2}),
        JudgedQuery("nothing", "c", "photosynthesis"),
        JudgedQuery("one", "c", "signal", {}, {"Lost": 2}),
    ]
    with api.open_index(folder / "corpus", folder / "index") as index:
        ranked, partial = run_queries(index, queries, limit=1)
        assert ranked == {q.id: [hit.paper.title for hit in index.search(q.text, limit=1)] for q in queries}
        assert unknown_titles(index, queries) == ["Lost"]
    assert ranked["whole"] == ranked["part"] == ["Congestion by delay"]
    assert ranked["nothing"] == []
    assert len(ranked["one"]) == 1
    assert partial == ["part"]
