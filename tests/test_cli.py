"""The command line: exit codes, streams, options, and what must not happen on odd terminals and with odd input."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from papersearch import __version__, api, cli
from papersearch.cli import commands
from papersearch.errors import IndexBusyError
from papersearch.files import Notice
from papersearch.paper import Paper
from papersearch.reports import Changes
from papersearch.results import Hit, Results

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")

READING = """# 读书笔记

## 推荐系统

### DIN: Deep Interest Network for Click-Through Rate Prediction[KDD'18][Alibaba]
- 用注意力按候选商品给历史行为加权
- 详见 [长笔记](more/din.md)

### Wide & Deep Learning for Recommender Systems[DLRS'16][Google]
- 线性部分记忆，深层部分泛化

## 模型安全

### Spectral Signatures in Backdoor Attacks[NeurIPS'18][MIT]
- 用谱特征找出后门样本
- 后门检测，不需要改训练过程

### A note without any venue
- \x1b[31m红\x1b[0m 后门 \u202e 攻击
"""
COMPANION = "# DIN 长笔记\n\n激活单元的输出不做归一化，保留兴趣强度。\n"

Run = Callable[..., "Done"]


class Done:
    """What one run of the command line left."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus and its finished index."""
    folder = tmp_path_factory.mktemp("digest")
    (folder / "corpus" / "more").mkdir(parents=True)
    (folder / "corpus" / "reading.md").write_text(READING, encoding="utf-8")
    (folder / "corpus" / "more" / "din.md").write_text(COMPANION, encoding="utf-8")
    api.build_index(folder / "corpus", folder / "index")
    return folder


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAPERSEARCH_CORPUS", "PAPERSEARCH_INDEX", "PAPERSEARCH_DEBUG", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def runner(*args: str) -> Done:
        capsys.readouterr()
        code = cli.program.main(args, standalone_mode=False)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return runner


@pytest.fixture
def here(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(built)
    return built


def assert_one_line_error(done: Done) -> None:
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("papersearch: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    assert len(done.err) > 30


class FakeIndex:
    """Answers every call with what the test gave it, and keeps the arguments."""

    def __init__(self, found: Results, notices: tuple[str, ...] = ()) -> None:
        self.found, self.notices = found, notices
        self.query: str | None = None
        self.options: dict[str, Any] = {}
        self.refresh: bool | None = None

    def __enter__(self) -> FakeIndex:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def search(self, query: str, **options: Any) -> Results:
        self.query, self.options = query, options
        return self.found


PAPER = Paper("abcd1234", "T", "a.md", 5, 6)
ONE = Results("q", {}, "all", 1, (Hit(1, 1.0, PAPER, "s"),))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeIndex]:
    def install(found: Results = ONE, notices: tuple[str, ...] = ()) -> FakeIndex:
        index = FakeIndex(found, notices)

        def opened(corpus: object, folder: object, *, refresh: bool = True) -> FakeIndex:
            index.refresh = refresh
            return index

        monkeypatch.setattr(api, "open_index", opened)
        return index

    return install


# ---- help


@pytest.mark.parametrize("command", sorted(cli.program.commands))
def test_every_command_has_help_with_an_example_and_names_its_places(command: str, run: Run) -> None:
    for option in ("--help", "-h"):
        done = run(command, option)
        assert (done.code, done.err) == (0, "")
        assert f"  papersearch {command}" in done.out.partition("Options:")[0].partition("\n")[2]
        for name in ("--corpus", "--index", *(["--json"] if command != "completion" else [])):
            assert f"{name} " in done.out


def test_without_a_command_there_is_help(run: Run) -> None:
    done = run()
    assert done.code == 0
    assert "Exit codes" in done.out
    assert all(f"\n  {name}" in done.out for name in cli.program.commands)


def test_help_of_search_names_every_field(run: Run) -> None:
    from papersearch.fields import TABLE

    named = run("search", "--help").out.partition("field:value")[2].partition("\n\n")[0]
    assert set(re.findall(r"\w+", named)) - {"with"} == {field.name for field in TABLE}


def test_version(run: Run) -> None:
    assert run("--version").out == f"papersearch {__version__}\n"


def test_every_option_is_explained() -> None:
    for command in (cli.program, *cli.program.commands.values()):
        for param in command.params:
            assert isinstance(param, click.Argument) or getattr(param, "help", None), (command.name, param.name)


# ---- search


def test_on_a_pipe_each_hit_is_a_line_that_opens_from_here(here: Path, run: Run) -> None:
    done = run("search", "后门")
    assert (done.code, done.err) == (0, "")
    assert len(done.lines) == 2
    for row in done.lines:
        path, number, _ = row.split(":", 2)
        title = Path(path).read_text(encoding="utf-8").split("\n")[int(number) - 1]
        assert title.startswith("### ")
        assert row.split(": ", 1)[1].split(" [")[0].split(" ·")[0] in title
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out


def test_places_open_from_any_folder(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(here / "corpus" / "more")
    below = run("search", "后门", "--format", "paths").lines[0].rpartition(":")[0]
    assert Path(below).resolve() == (here / "corpus" / "reading.md").resolve()
    monkeypatch.chdir(tmp_path)
    far = run("search", "后门", "--corpus", str(here / "corpus"), "--index", str(here / "index"), "--format", "paths")
    assert Path(far.lines[0].rpartition(":")[0]).resolve() == (here / "corpus" / "reading.md").resolve()


def test_a_word_of_a_companion_leads_to_the_paper(here: Path, run: Run) -> None:
    done = run("search", "激活单元")
    assert done.code == 0
    assert done.out.startswith(f"{Path('corpus/reading.md')}:5: DIN: Deep")
    hit = run("search", "激活单元", "--json").json["hits"][0]
    assert (hit["path"], hit["line"], hit["snippet_path"], hit["snippet_line"]) == ("reading.md", 5, "more/din.md", 3)


def test_nothing_found(here: Path, run: Run) -> None:
    done = run("search", "quantumchromodynamics")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("papersearch: nothing found\n")
    done = run("search", "quantumchromodynamics", "--json")
    assert done.code == 1
    assert done.json["hits"] == []
    assert done.json["total"] == 0
    assert done.err == ""
    for output in ("jsonl", "bibtex", "paths"):
        assert run("search", "quantumchromodynamics", "--format", output).code == 1


def test_no_query_lists_what_the_filters_admit(here: Path, run: Run) -> None:
    assert run("search", "--json", "-n", "1").json["total"] == len(run("list").lines)
    found = run("search", "--json", "--year", "2018", "--venue", "nips", "--venue", "kdd").json
    assert sorted(hit["venue"] for hit in found["hits"]) == ["KDD", "NeurIPS"]
    assert found["filters"] == {"venue": ["nips", "kdd"], "year": ["2018"]}


def test_limit_and_offset(here: Path, run: Run) -> None:
    everything = [hit["id"] for hit in run("search", "--json", "-n", "99").json["hits"]]
    page = run("search", "--json", "-n2", "--offset", "1").json
    assert [hit["id"] for hit in page["hits"]] == everything[1:3]
    assert [hit["rank"] for hit in page["hits"]] == [2, 3]
    assert page["total"] == len(everything)
    beyond = run("search", "--json", "--offset", "99")
    assert (beyond.code, beyond.json["hits"], beyond.json["total"]) == (1, [], len(everything))
    counted = run("search", "--json", "-n", "0", "--facets")
    assert (counted.code, counted.json["hits"]) == (0, [])
    assert counted.json["facets"]["year"]


@pytest.mark.parametrize(
    ("args", "query"),
    [
        (["后门", "-检测"], "后门 -检测"),
        (["-检测", "后门"], "-检测 后门"),
        (["-n", "3", "-neural", "net"], "-neural net"),
        (["-network"], "-network"),
        (["a", "-n3", "b"], "a b"),
        (["a", "-"], "a -"),
        (["-hardware"], "-hardware"),
        (["-后门 检测"], "-后门 检测"),
        (["--", "--year", "-n", "5"], "--year -n 5"),
        (["--sort", "-year", "x", "-y"], "x -y"),
        (["--venue=-x", "y"], "y"),
        (["--year", "2019", "a", "--strict", "b"], "a b"),
        (['"a phrase" OR b', "c"], '"a phrase" OR b c'),
        ([], ""),
        (["", "a"], " a"),
        (["\udce5\udc90"], "\ufffd\ufffd"),
    ],
)
def test_words_of_a_query(args: list[str], query: str, here: Path, run: Run, fake: Callable[..., FakeIndex]) -> None:
    index = fake()
    done = run("search", *args)
    assert (done.code, done.err) == (0, "")
    assert index.query == query


def test_every_option_reaches_the_search(here: Path, run: Run, fake: Callable[..., FakeIndex]) -> None:
    index = fake()
    run(
        "search", "q", "--category", "A", "--category", "B", "--venue", "V", "--org", "O", "--year", "2019..", "--year",
        "2001", "--sort", "-year", "--limit", "7", "--offset", "3", "--strict", "--facets", "--explain", "--no-refresh",
    )  # fmt: skip
    assert index.options == {
        "category": ["A", "B"], "venue": ["V"], "org": ["O"], "year": ["2019..", "2001"], "sort": "-year", "limit": 7,
        "offset": 3, "strict": True, "facets": True, "explain": True,
    }  # fmt: skip
    assert index.refresh is False
    run("search", "q")
    assert index.options == {
        "category": [], "venue": [], "org": [], "year": [], "sort": "score", "limit": 10, "offset": 0, "strict": False,
        "facets": False, "explain": False,
    }  # fmt: skip
    assert index.refresh is True


def test_orders_offered_are_those_the_library_knows() -> None:
    from papersearch.query import SORTS

    assert sorted(cli.SORTS) == sorted(SORTS)


def test_formats(here: Path, run: Run) -> None:
    hits = run("search", "后门", "--json").json["hits"]
    assert run("search", "后门", "--format", "json").json["hits"] == hits
    assert [json.loads(row) for row in run("search", "后门", "--format", "jsonl").lines] == hits
    rows = list(csv.DictReader(io.StringIO(run("search", "后门", "--format", "csv").out, newline="")))
    assert [row["id"] for row in rows] == [hit["id"] for hit in hits]
    assert run("search", "后门", "--format", "bibtex").out.count("\n}\n") == len(hits)
    assert run("search", "后门", "--format", "paths").lines == [
        f"{os.path.join('corpus', hit['path'])}:{hit['line']}" for hit in hits
    ]


def test_facets_of_an_answer(here: Path, run: Run) -> None:
    assert "venue\t1\tNeurIPS" in run("search", "后门", "--facets").lines
    facets = run("search", "后门", "--facets", "--json").json["facets"]
    assert facets["venue"] == [{"value": "NeurIPS", "count": 1}]
    assert run("search", "后门", "--json").json["facets"] == {}


def test_notices_go_to_standard_error_or_into_json(here: Path, run: Run, fake: Callable[..., FakeIndex]) -> None:
    found = Results("q", {}, "fuzzy", 1, ONE.hits, ("searched for transformer instead of\ntranformer\x1b",))
    fake(found, ("b.md: is not UTF-8",))
    said = ["papersearch: b.md: is not UTF-8", "papersearch: searched for transformer instead of tranformer\ufffd"]
    for output in ("jsonl", "csv", "bibtex", "paths"):
        assert run("search", "q", "--format", output).err.splitlines() == said
    done = run("search", "q")
    assert done.err.splitlines() == ["papersearch: 1 · matched with the spelling corrected", *said]
    done = run("search", "q", "--json")
    assert done.err == ""
    assert done.json["notices"] == ["b.md: is not UTF-8", "searched for transformer instead of\ntranformer\x1b"]


def test_colours_on_a_pipe_only_when_asked_for(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in run("search", "后门").out
    assert "\x1b" not in run("search", "后门", "--color", "never").out
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = run("search", "后门", "--color", "always")
    assert "\x1b[1;33m后门" in coloured.out
    assert len(coloured.lines) == 2


# ---- why a score


def test_explain_shows_what_each_score_is_the_sum_of(here: Path, run: Run) -> None:
    hits = run("search", "后门", "检测", "--explain", "--json").json["hits"]
    assert hits
    for hit in hits:
        assert sum(part["value"] for part in hit["explanation"]) == pytest.approx(hit["score"], abs=1e-5)
        assert all(list(part) == ["name", "value", "detail"] for part in hit["explanation"])
    shown = run("search", "后门", "检测", "--explain").lines
    assert len(shown) == sum(len(hit["explanation"]) + 2 for hit in hits)
    first = len(hits[0]["explanation"]) + 1
    assert [row[:4] for row in shown[1 : first + 1]] == ["    "] * first
    assert shown[first].split() == [f"{hits[0]['score']:.3f}", "sum"]
    assert float(shown[1].split()[0]) == pytest.approx(hits[0]["explanation"][0]["value"], abs=6e-4)
    assert [json.loads(row) for row in run("search", "后门", "检测", "--explain", "--format", "jsonl").lines] == hits
    assert {str(hit["explanation"]) for hit in run("search", "后门", "--json").json["hits"]} == {"[]"}


def test_filters_alone_have_nothing_to_explain(here: Path, run: Run) -> None:
    assert run("search", "--venue", "kdd", "--explain").lines == run("search", "--venue", "kdd").lines


# ---- errors


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["search", "x", "--yaer", "2020"], "--year"),
        (["search", "--yaer"], "--yaer"),
        (["search", "x", "--year"], "--year"),
        (["search", "x", "-n"], "-n"),
        (["search", "x", "-n", "-5"], "-5"),
        (["search", "x", "-n-5"], "-5"),
        (["search", "x", "-n=5"], "=5"),
        (["search", "x", "--limit", "many"], "many"),
        (["search", "x", "--offset", "-1"], "-1"),
        (["search", "x", "--sort", "size"], "size"),
        (["search", "x", "--format", "xml"], "xml"),
        (["search", "x", "--color", "blue"], "blue"),
        (["search", "x", "--year", "soon"], "soon"),
        (["search", "x", "--year", "2022..2019"], "2022"),
        (["search", "x", "--year", "--limit", "5"], "--limit"),
        (["search", "x", "--json", "--format", "csv"], "csv"),
        (["search", "x", "--facets", "--format", "paths"], "paths"),
        (["search", "x", "--explain", "--format", "csv"], "csv"),
        (["similar", "zzzzzz"], "zzzzzz"),
        (["similar"], "ID"),
        (["similar", "a", "--json", "--format", "csv"], "csv"),
        (["export", "x", "--format", "text"], "text"),
        (["export", "x", "--json", "--format", "bibtex"], "bibtex"),
        (["export", "x", "--year", "soon"], "soon"),
        (["export", "x", "--yaer", "2020"], "--year"),
        (["open", "zzzzzz"], "zzzzzz"),
        (["open"], "ID"),
        (["doctor", "--corpus", "nowhere", "--index", "none", "--repair"], "nowhere"),
        (["completion", "tcsh"], "tcsh"),
        (["completion"], "SHELL"),
        (["search", "x", "--corpus", ""], "empty path"),
        (["search", "x", "--corpus", "nowhere", "--index", "none"], "nowhere"),
        (["search", "x", "--no-refresh", "--index", "none"], "none"),
        (["show", "zzzzzz"], "zzzzzz"),
        (["show"], "ID"),
        (["show", "a", "b"], "b"),
        (["show", "\udcff"], "\ufffd"),
        (["list", "-n", "-1"], "-1"),
        (["facets", "colour"], "category, venue, year, org"),
        (["index", "nowhere", "--index", "none"], "nowhere"),
        (["check", "--corpus", "nowhere"], "nowhere"),
        (["serch", "x"], "serch"),
        (["--corpus", "x"], "--corpus"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(args: list[str], said: str, here: Path, run: Run) -> None:
    done = run(*args)
    assert_one_line_error(done)
    assert said in done.err
    assert not (here / "none").exists()


def test_wrong_settings_are_told_by_every_command(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "papersearch.toml").write_text("corpsu = 'x'")
    monkeypatch.chdir(tmp_path)
    told = [["index"], ["search"], ["show", "x"], ["list"], ["facets"], ["status"], ["check"], ["similar", "x"]]
    for command in (*told, ["export"], ["open", "x"], ["doctor"]):
        done = run(*command)
        assert_one_line_error(done)
        assert "corpsu" in done.err


def test_an_error_of_the_library_is_one_line(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise IndexBusyError("the index is being\nwritten \x1b[31mby another process")

    monkeypatch.setattr(api, "build_index", busy)
    done = run("index")
    assert_one_line_error(done)
    assert done.err == "papersearch: the index is being written \ufffd[31mby another process\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one\ntwo"), "papersearch: internal error: ValueError: one two; please report it\n"),
        (RecursionError(), "papersearch: internal error: RecursionError: ; please report it\n"),
        (MemoryError(), "papersearch: there is not enough memory\n"),
        (PermissionError(13, "Permission denied", "/i/toc"), "papersearch: /i/toc: Permission denied\n"),
    ],
)
def test_an_unforeseen_error_is_one_line(
    error: Exception, said: str, here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(api, "open_index", fails)
    done = run("search", "x")
    assert (done.code, done.out, done.err) == (2, "", said)
    monkeypatch.setenv("PAPERSEARCH_DEBUG", "1")
    done = run("search", "x")
    assert done.code == 2
    assert done.err.startswith("Traceback")


def test_interrupted(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "open_index", interrupted)
    done = run("search", "x")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_click_runs_it_like_the_shell_does(here: Path) -> None:
    for args, code in ((["search", "后门"], 0), (["search", "quantumchromodynamics"], 1), (["search", "--yaer"], 2)):
        result = CliRunner().invoke(cli.program, args)
        assert result.exit_code == code
        assert result.exception is None or isinstance(result.exception, SystemExit)


# ---- the other commands


def test_show(here: Path, run: Run) -> None:
    paper_id = run("search", "DIN", "--json").json["hits"][0]["id"]
    done = run("show", paper_id)
    assert done.code == 0
    place = os.path.join("corpus", "reading.md")
    assert done.lines[0] == f"{place}:5: DIN: Deep Interest Network for Click-Through Rate Prediction"
    for shown in (
        "KDD",
        "2018",
        "Alibaba",
        "推荐系统",
        paper_id,
        "- 用注意力按候选商品给历史行为加权",
        COMPANION.strip(),
    ):
        assert shown in done.out
    assert f"{os.path.join('corpus', 'more', 'din.md')}:1:" in done.out
    paper = run("show", paper_id[:6].upper(), "--json").json["paper"]
    assert paper["id"] == paper_id
    assert [section["companion"] for section in paper["sections"]] == [False, True]
    assert paper["sections"][1]["text"] == COMPANION.strip()


def test_list(here: Path, run: Run) -> None:
    done = run("list")
    assert done.code == 0
    place = os.path.join("corpus", "reading.md")
    assert f"{place}:9: Wide & Deep Learning for Recommender Systems" in done.lines
    assert len(run("list", "-n", "2").lines) == 2
    found = run("list", "--json").json
    assert len(found["hits"]) == found["total"] == len(done.lines)
    assert {(hit["score"], hit["snippet"]) for hit in found["hits"]} == {(0.0, "")}
    assert found.keys() == run("search", "--json").json.keys()
    assert [hit["rank"] for hit in run("list", "--json", "-n", "2").json["hits"]] == [1, 2]


def test_facets(here: Path, run: Run) -> None:
    assert {row.split("\t")[0] for row in run("facets").lines} == {"category", "venue", "year", "org"}
    assert sorted(run("facets", "year").lines) == ["year\t1\t2016", "year\t2\t2018"]
    for spelling in ("venue", "venues", "会议", "VENUE"):
        assert list(run("facets", spelling, "--json").json["facets"]) == ["venue"]
    counts = run("facets", "org", "year", "--json").json["facets"]
    assert {"value": "MIT", "count": 1} in counts["org"]


def test_status(here: Path, run: Run, tmp_path: Path) -> None:
    state = run("status", "--json")
    assert state.code == 0
    assert (state.json["schema"], state.json["built"], state.json["files"]) == (1, True, 2)
    assert "up to date" in run("status").out
    none = run("status", "--index", str(tmp_path / "none"))
    assert none.code == 1
    assert "papersearch index" in none.out
    assert run("status", "--index", str(tmp_path / "none"), "--json").json["built"] is False
    assert not (tmp_path / "none").exists()


def test_check(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    notices = [Notice("reading.md", 7, "link to\nb.md leads nowhere", "link"), Notice("b.md", 0, "is GBK", "encoding")]
    monkeypatch.setattr(api, "check_corpus", lambda corpus: notices)
    done = run("check")
    assert done.code == 1
    assert done.lines == [
        f"{os.path.join('corpus', 'reading.md')}:7: link to b.md leads nowhere",
        f"{os.path.join('corpus', 'b.md')}:1: is GBK",
    ]
    assert run("check", "--json").json == {
        "schema": 1,
        "notices": [
            {"path": "reading.md", "line": 7, "kind": "link", "message": "link to\nb.md leads nowhere"},
            {"path": "b.md", "line": 0, "kind": "encoding", "message": "is GBK"},
        ],
    }
    monkeypatch.setattr(api, "check_corpus", lambda corpus: [])
    clean = run("check")
    assert (clean.code, clean.out, clean.err) == (0, "", "")
    assert run("check", "--json").json == {"schema": 1, "notices": []}


# ---- similar, export


def id_of(query: str, run: Run) -> str:
    found: str = run("search", query, "--json").json["hits"][0]["id"]
    return found


def test_similar_has_the_shape_of_search(here: Path, run: Run) -> None:
    din = id_of("DIN", run)
    found = run("similar", din[:6], "--json")
    assert found.code == 0
    assert found.json.keys() == run("search", "DIN", "--json").json.keys()
    ids = [hit["id"] for hit in found.json["hits"]]
    assert ids
    assert din not in ids
    assert found.json["hits"][0].keys() == run("search", "DIN", "--json").json["hits"][0].keys()
    assert [json.loads(row)["id"] for row in run("similar", din, "--format", "jsonl").lines] == ids
    assert [row.rpartition(":")[0] for row in run("similar", din, "--format", "paths").lines] == [
        os.path.join("corpus", hit["path"]) for hit in found.json["hits"]
    ]
    shown = run("similar", din, "-n", "1")
    assert (len(shown.lines), shown.err) == (1, "")
    assert shown.out.startswith(os.path.join("corpus", "reading.md:"))


def test_nothing_is_similar(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Results("similar:x", {}, "none", 0, ())
    monkeypatch.setattr(api.Index, "similar", lambda *_, **__: alone)
    done = run("similar", "x")
    assert (done.code, done.out, done.err) == (1, "", "papersearch: nothing found\n")
    assert run("similar", "x", "--json").json["hits"] == []


def test_export_writes_all_that_filters_admit(here: Path, run: Run) -> None:
    everything = run("export")
    total = len(run("list").lines)
    assert (everything.code, everything.err) == (0, "")
    assert everything.out.count("\n}\n") == total > 3
    assert everything.out == run("export", "--format", "bibtex").out
    rows = list(csv.DictReader(io.StringIO(run("export", "--format", "csv", "后门").out, newline="")))
    hits = run("export", "后门", "--json").json["hits"]
    assert [row["id"] for row in rows] == [hit["id"] for hit in hits]
    assert hits == run("search", "后门", "--json").json["hits"]
    assert [hit["venue"] for hit in run("export", "--format", "json", "--venue", "kdd").json["hits"]] == ["KDD"]
    assert run("export", "后门", "-检测", "--json").json["query"] == "后门 -检测"
    nothing = run("export", "quantumchromodynamics", "--format", "json")
    assert (nothing.code, nothing.json["hits"]) == (1, [])


def test_every_option_reaches_the_export(here: Path, run: Run, fake: Callable[..., FakeIndex]) -> None:
    index = fake()
    run("export", "q")
    assert index.options["limit"] is None
    run(
        "export", "q", "--category", "A", "--venue", "V", "--org", "O", "--year", "2019..", "--sort", "title",
        "-n", "7", "--offset", "3", "--strict", "--no-refresh",
    )  # fmt: skip
    assert index.options == {
        "category": ["A"], "venue": ["V"], "org": ["O"], "year": ["2019.."], "sort": "title", "limit": 7, "offset": 3,
        "strict": True,
    }  # fmt: skip
    assert index.refresh is False


# ---- open


LINKED = """# D

## C

### Linked net[KDD'18]
- [local](a.md) https://example.org/p?a=1&b=(2)

### Odd link[KDD'19]
- <http://example.org/$(id)`x`>
- [x](http://example.org/a"b)

### Plain net[KDD'20]
- x
"""


@pytest.fixture
def linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "corpus" / "a b").mkdir(parents=True)
    (tmp_path / "corpus" / "a b" / "c;d.md").write_text(LINKED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "corpus" / "a b" / "c;d.md"


def test_open_prints_the_place_or_the_link(linked: Path, run: Run) -> None:
    paper = id_of("linked", run)
    assert run("open", paper, "--print").out == f"{os.path.join('corpus', 'a b', 'c;d.md')}:5\n"
    assert run("open", paper[:7], "--link", "--print").out == "https://example.org/p?a=1&b=(2)\n"
    assert run("open", paper, "--json").json == {
        "schema": 1, "id": paper, "path": "a b/c;d.md", "line": 5, "file": str(linked),
        "link": "https://example.org/p?a=1&b=(2)",
    }  # fmt: skip
    for query in ("plain", "odd"):
        without = id_of(query, run)
        for options in (["--link"], ["--link", "--print"], ["--link", "--json"]):
            assert run("open", without, *options).code == 1
        assert run("open", without, "--json").json["link"] is None
        assert run("open", without, "--link").err == f"papersearch: paper {without} has no web link\n"


def test_open_launches_the_link(linked: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", lambda url: opened.append(url) or 0)
    paper = id_of("linked", run)
    assert run("open", paper, "--link").code == 0
    assert opened == ["https://example.org/p?a=1&b=(2)"]
    monkeypatch.setattr(click, "launch", lambda url: 1)
    assert_one_line_error(run("open", paper, "--link"))


RECORDER = """#!{python}
import json, sys
open({file!r}, "w").write(json.dumps(sys.argv[1:]))
sys.exit({code})
"""


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], list[str]]]:
    """editor(name): a program of that name on the PATH; what it gives tells the arguments of its last run."""

    def install(name: str, code: int = 0) -> Callable[[], list[str]]:
        folder, said = tmp_path / "bin of editors", tmp_path / "arguments.json"
        folder.mkdir(exist_ok=True)
        program = folder / name
        program.write_text(RECORDER.format(python=sys.executable, file=str(said), code=code), encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("VISUAL", raising=False)
        return lambda: json.loads(said.read_text(encoding="utf-8"))

    return install


@POSIX
def test_open_starts_the_editor_at_the_line(
    linked: Path, run: Run, monkeypatch: pytest.MonkeyPatch, editor: Callable[..., Callable[[], list[str]]]
) -> None:
    arguments = editor("nvim")
    plain = id_of("plain", run)
    monkeypatch.setenv("EDITOR", "nvim -c 'set nu; $(touch x)' --")
    monkeypatch.setenv("VISUAL", "no-such-editor")
    done = run("open", plain)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert arguments() == ["-c", "set nu; $(touch x)", "--", "+12", str(linked)]
    monkeypatch.setenv("EDITOR", "")
    monkeypatch.setenv("VISUAL", "nvim")
    assert run("open", plain).code == 0
    assert arguments() == ["+12", str(linked)]


@POSIX
def test_an_editor_that_fails_is_told(
    linked: Path, run: Run, monkeypatch: pytest.MonkeyPatch, editor: Callable[..., Callable[[], list[str]]]
) -> None:
    editor("nano", code=3)
    plain = id_of("plain", run)
    for setting, said in (
        ("nano", "exit code 3"),
        ("no-such-editor -x", "no-such-editor"),
        ("vi 'x", "No closing quotation"),
        ("", "EDITOR"),
        ("  ", "EDITOR"),
        ("/", "Permission denied"),
    ):
        monkeypatch.setenv("EDITOR", setting)
        done = run("open", plain)
        assert_one_line_error(done)
        assert said in done.err
    monkeypatch.setenv("EDITOR", "nano")
    linked.unlink()
    gone = run("open", plain, "--no-refresh")
    assert_one_line_error(gone)
    assert "is gone" in gone.err


@pytest.mark.parametrize(
    ("editor", "arguments"),
    [
        ("vim", ["vim", "+7", "/n/a.md"]),
        ("/usr/bin/vi -u NONE", ["/usr/bin/vi", "-u", "NONE", "+7", "/n/a.md"]),
        ("nvim", ["nvim", "+7", "/n/a.md"]),
        ("nano", ["nano", "+7", "/n/a.md"]),
        ("emacs -nw", ["emacs", "-nw", "+7", "/n/a.md"]),
        ("emacsclient", ["emacsclient", "+7", "/n/a.md"]),
        ("code --wait", ["code", "--wait", "-g", "/n/a.md:7"]),
        ("codium", ["codium", "-g", "/n/a.md:7"]),
        ("cursor", ["cursor", "-g", "/n/a.md:7"]),
        ("Code.exe", ["Code.exe", "-g", "/n/a.md:7"]),
        ("subl -w", ["subl", "-w", "/n/a.md:7"]),
        ("hx", ["hx", "/n/a.md:7"]),
        ("ed", ["ed", "/n/a.md"]),
        ("'/my editors/vim'", ["/my editors/vim", "+7", "/n/a.md"]),
    ],
)
@POSIX
def test_editors_are_told_the_line_in_their_own_way(editor: str, arguments: list[str]) -> None:
    from papersearch import editors

    assert editors.arguments(editor, "/n/a.md", 7) == arguments


IMPATIENT = """
import sys
from papersearch import editors
print("ready", flush=True)
editors.edit(sys.executable + " -c 'import signal, time; signal.signal(2, lambda *_: sys.exit(0)); "
             "import sys; print(1, flush=True); time.sleep(60)'", "x", 1)
print("returned")
"""


@POSIX
def test_ctrl_c_is_for_the_editor(here: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert started.stdout is not None
    assert [started.stdout.readline(), started.stdout.readline()] == [b"ready\n", b"1\n"]
    os.killpg(started.pid, signal.SIGINT)
    assert started.communicate(timeout=30) == (b"returned\n", b"")
    assert started.returncode == 0


# ---- doctor


def break_a_byte(folder: Path, suffix: str) -> None:
    (file,) = folder.glob(f"*{suffix}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)


def test_doctor_finds_and_repairs(notes: Path, run: Run) -> None:
    index = notes.parent / "index"
    run("index")
    sound = run("doctor")
    assert (sound.code, sound.out, sound.err) == (0, "", "")
    assert run("doctor", "--json").json == {"schema": 1, "index": str(index), "problems": [], "repaired": False}
    generation = run("status", "--json").json["generation"]
    assert run("doctor", "--repair").code == 0
    assert run("status", "--json").json["generation"] == generation

    break_a_byte(index, ".inv")
    found = run("doctor")
    assert found.code == 1
    assert "fails its checksum" in found.out
    assert found.err == "papersearch: build the index anew with: papersearch doctor --repair\n"
    listed = run("doctor", "--json")
    assert (listed.code, listed.err) == (1, "")
    assert listed.json["problems"] == found.lines
    assert run("doctor").code == 1
    repaired = run("doctor", "--repair", "--json")
    assert repaired.code == 0
    assert repaired.json["repaired"] is True
    assert repaired.json["problems"] == found.lines
    assert run("doctor").code == 0
    assert run("search", "nets", "--no-refresh").code == 0


def test_doctor_repairs_what_cannot_be_opened(notes: Path, run: Run) -> None:
    missing = run("doctor")
    assert missing.code == 1
    assert "no index" in missing.out
    run("index")
    (notes.parent / "index" / "toc.json").write_text("{")
    assert run("doctor").code == 1
    repaired = run("doctor", "--repair")
    assert (repaired.code, repaired.err) == (0, "papersearch: the index was built anew and is sound now\n")
    assert run("doctor").code == 0


def test_doctor_says_what_it_could_not_repair(notes: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("index")
    break_a_byte(notes.parent / "index", ".inv")
    monkeypatch.setattr(api, "build_index", lambda *_, **__: Changes())
    done = run("doctor", "--repair")
    assert done.code == 1
    assert "fails its checksum" in done.out
    assert run("doctor", "--repair", "--json").json["repaired"] is False


# ---- index


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.md").write_text("# D\n\n## C\n\n### One net[KDD'18]\n- x\n\n### Two nets[KDD'19]\n- y\n")
    monkeypatch.chdir(tmp_path)
    return folder


def test_index_says_what_changed(notes: Path, run: Run) -> None:
    dry = run("index", "--dry-run")
    assert dry.code == 0
    assert dry.out.startswith("dry run, nothing written: ")
    assert not (notes.parent / "index").exists()
    first = run("index")
    assert (first.code, first.err) == (0, "")
    assert re.match(r"2 added, 0 changed, 0 removed, 0 unchanged, 0 skipped \(1 note, \d+ ms; ", first.out)
    again = run("index", "--json").json
    assert (again["schema"], again["added"], again["changed"], again["unchanged"]) == (1, [], [], 2)
    (notes / "a.md").write_text("# D\n\n## C\n\n### One net[KDD'18]\n- x, more\n\n### Three[KDD'20]\n- z\n")
    planned = run("index", "--dry-run", "--json").json
    assert [len(planned[key]) for key in ("added", "changed", "removed")] == [1, 1, 1]
    assert f"\nadded {planned['added'][0]}\n" in run("index", "--dry-run").out
    assert run("index").out.startswith("1 added, 1 changed, 1 removed, 0 unchanged, 0 skipped (")
    assert run("index", "--rebuild", "--json").json["rebuilt"]


def test_index_names_skipped_files_and_warns_of_encodings(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Changes(files=2, skipped=("x.md: cannot be read (Permission denied); skipped",), warnings=("y.md: is GBK",))
    monkeypatch.setattr(api, "build_index", lambda *_, **__: done)
    shown = run("index")
    assert shown.lines[1:] == ["x.md: cannot be read (Permission denied); skipped"]
    assert shown.err == "papersearch: y.md: is GBK\n"


def test_several_corpora_by_argument_and_option(notes: Path, run: Run) -> None:
    other = notes.parent / "elsewhere"
    other.mkdir()
    (other / "b.md").write_text("# E\n\n## F\n\n### Four nets[KDD'21]\n- x\n\n### Five nets[KDD'22]\n- y\n")
    single = notes.parent / "single.md"
    single.write_text("# G\n\n## H\n\n### Six nets[KDD'15]\n- x\n\n### Seven nets[KDD'16]\n- y\n")
    corpora = ["--corpus", str(other), "--corpus", str(single)]
    done = run("index", "corpus", "--corpus", str(other), "--corpus", str(single), "--index", "idx")
    assert done.code == 0
    rows = run("list", "--corpus", "corpus", *corpora, "--index", "idx").lines
    assert len(rows) == 6
    for row in rows:
        path, number, title = re.match(r"(.*?\.md):(\d+): (.*)", row).groups()  # type: ignore[union-attr]
        assert title in Path(path).read_text().split("\n")[int(number) - 1]
    assert run("search", "six", "--corpus", str(single), "--index", "idx1", "--format", "paths").lines == [
        "single.md:5"
    ]


def test_environment_names_the_places(notes: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    monkeypatch.setenv("PAPERSEARCH_CORPUS", str(notes))
    monkeypatch.setenv("PAPERSEARCH_INDEX", str(tmp_path / "by-env"))
    assert run("index").code == 0
    assert (tmp_path / "by-env").is_dir()
    assert os.listdir(away) == []


def test_progress_is_shown_on_a_terminal_only(
    notes: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*_: object, progress: Callable[[int, int], None], **__: object) -> Changes:
        for done in range(1001):
            progress(done, 1000)
        return Changes()

    monkeypatch.setattr(api, "build_index", build)
    assert run("index").err == ""
    monkeypatch.setattr(commands, "is_terminal", lambda stream: stream is sys.stderr)
    shown = run("index")
    assert shown.out.startswith("0 added")
    bar = commands._Progress()
    bar(0, 0)
    bar.close()
    assert capsys.readouterr().err == ""


# ---- as a process


def process(*args: str | bytes, cwd: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "papersearch", *args],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(started: subprocess.Popen[bytes]) -> Done:
    out, err = started.communicate(timeout=60)
    return Done(started.returncode, out.decode(), err.decode())


def in_terminal(*args: str, cwd: Path, columns: int = 60, **environment: str) -> Done:
    """A run whose standard streams are a terminal; `out` is everything that appears on it."""
    import pty

    master, slave = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-m", "papersearch", *args],
        cwd=cwd,
        env={**os.environ, "COLUMNS": str(columns), **environment},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(master)
    return Done(started.wait(timeout=60), shown.decode().replace("\r\n", "\n"), "")


@POSIX
def test_on_a_terminal_hits_are_laid_out_and_marked(here: Path) -> None:
    done = in_terminal("search", "后门", "检测", cwd=here)
    assert done.code == 0
    assert done.out.startswith(
        " 1 \x1b[1mSpectral Signatures in Backdoor Attacks\x1b[0m\n    NeurIPS'18 · 模型安全 ·"[:40]
    )
    assert "\x1b[1;33m" in done.out
    assert re.search(r"\x1b\[2m\d.* · (all|only some of the) words matched\x1b\[0m\n$", done.out)
    assert "\x1b[31m" not in done.out


@POSIX
@pytest.mark.parametrize(
    ("args", "environment"), [(["--color", "never"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})]
)
def test_a_terminal_without_colours(args: list[str], environment: dict[str, str], here: Path) -> None:
    done = in_terminal("search", "后门", *args, cwd=here, **environment)
    assert done.code == 0
    assert done.out.startswith(" 1 ")
    assert "\x1b" not in done.out


@POSIX
def test_papers_like_one_are_counted_on_a_terminal(here: Path, run: Run) -> None:
    done = in_terminal("similar", id_of("DIN", run), "-n", "1", cwd=here, NO_COLOR="1")
    assert done.code == 0
    assert done.out.startswith(" 1 ")
    assert re.search(r"\n(1 of \d papers|1 paper)\n$", done.out)


@POSIX
def test_scores_are_explained_on_a_terminal(here: Path) -> None:
    done = in_terminal("search", "后门", "--explain", cwd=here, NO_COLOR="1")
    assert re.search(r"^   \d\.\d{3}  word 后门 · as ", done.out, re.MULTILINE)
    assert re.search(r"^   \d\.\d{3}  sum$", done.out, re.MULTILINE)


@POSIX
def test_doctor_says_on_a_terminal_that_all_is_well(here: Path) -> None:
    done = in_terminal("doctor", cwd=here)
    assert (done.code, done.out) == (0, "papersearch: the index is sound\n")


@POSIX
def test_lists_and_papers_on_a_terminal(here: Path) -> None:
    rows = in_terminal("list", cwd=here, columns=70).out.splitlines()
    assert any("\x1b[1mDIN: Deep" in row and "KDD" in row for row in rows)
    assert "\x1b[1mvenue\x1b[0m" in in_terminal("facets", cwd=here).out
    assert "up to date" in in_terminal("status", cwd=here).out


@POSIX
def test_the_current_folder_may_be_gone(here: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert_one_line_error(run("list"))
    done = run("list", "--corpus", str(here / "corpus"), "--index", str(here / "index"))
    assert done.code == 0
    assert done.out.startswith(str(here / "corpus"))


@POSIX
def test_names_of_files_may_be_any_bytes(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpus").mkdir()
    try:
        (tmp_path / "corpus" / "a\nb\udcff.md").write_text("# D\n\n## C\n\n### Odd net[KDD'18]\n- x\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    monkeypatch.chdir(tmp_path)
    row = os.path.join("corpus", "a b\ufffd.md") + ":5"
    assert run("list").out == f"{row}: Odd net\n"
    assert run("search", "odd", "--format", "paths").out == f"{row}\n"
    assert run("search", "odd", "--json").json["hits"][0]["path"] == "a\nb\udcff.md"


@POSIX
def test_indexing_shows_its_progress_on_a_terminal(notes: Path) -> None:
    done = in_terminal("index", cwd=notes.parent)
    assert done.code == 0
    assert re.search(r"indexing +\[#+\] +2/2 .*papers/s", done.out)
    assert "\n2 added, " in done.out


def test_any_locale_and_any_bytes(here: Path) -> None:
    word: str | bytes = "后门\udcff".encode("utf-8", "surrogateescape") if os.name == "posix" else "后门"
    for environment in (
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1:strict"},
    ):
        done = finished(process("search", word, "后门", cwd=here, **environment))
        assert done.code in (0, 1)
        assert "Traceback" not in done.err
        done = finished(process("search", "--venue", "NeurIPS", cwd=here, **environment))
        assert done.code == 0
        assert "后门" in done.out
        shown = finished(process("search", "--year", "后门", cwd=here, **environment))
        assert_one_line_error(shown)
        assert "后门" in shown.err or "\\u" in shown.err or "\ufffd" in shown.err


@POSIX
@pytest.mark.parametrize(
    "args", [["search", "后门"], ["list"], ["search", "后门", "--json"], ["--help"], ["facets", "-h"]]
)
def test_a_closed_pipe_ends_quietly(args: list[str], here: Path) -> None:
    started = process(*args, cwd=here)
    assert started.stdout is not None
    started.stdout.close()
    assert started.stderr is not None
    err = started.stderr.read()
    started.stderr.close()
    assert (started.wait(timeout=60), err) == (0, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_a_full_disk_is_told(here: Path) -> None:
    for args in (["list"], ["--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "papersearch", *args],
                cwd=here,
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
        assert done.returncode == 2
        assert done.stderr == b"papersearch: reading or writing failed: No space left on device\n"


@POSIX
@pytest.mark.parametrize(("close", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_closed_streams(close: str, code: int, here: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m papersearch list {close}', sys.executable],
        cwd=here,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr == b""
    wrong = subprocess.run(
        ["sh", "-c", f'"$0" -m papersearch list --no {close}', sys.executable],
        cwd=here,
        capture_output=True,
        check=False,
    )
    assert wrong.returncode == 2


SLOW = """
import sys, time
from papersearch import api, cli
def slow(*_, **__):
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
api.open_index = slow
cli.main()
"""


@POSIX
def test_ctrl_c_ends_quietly(here: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", SLOW, "search", "x"], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert started.stderr is not None
    assert started.stderr.readline() == b"ready\n"
    time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    assert started.communicate(timeout=30) == (b"", b"")
    assert started.returncode == 130


def test_watching_ends_even_where_an_interrupt_is_lost(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one is that comes while an object is being disposed of."""
    looks: list[int] = []

    def lose_it(places: object) -> bool:
        looks.append(1)
        assert len(looks) < 3
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return False

    monkeypatch.setattr(commands, "_is_stale", lose_it)
    monkeypatch.setattr(commands, "WATCH_EVERY_S", 0.0)
    before = signal.getsignal(signal.SIGINT)
    done = CliRunner().invoke(cli.program, ["index", "--watch"])
    assert (done.exit_code, len(looks)) == (0, 1)
    assert signal.getsignal(signal.SIGINT) is before


INTERRUPTED_WHILE_LOADING = """
import sys

wanted = sys.argv.pop(1)

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
from papersearch.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["typing", "click", "papersearch.cli", "papersearch.api", "papersearch.render"])
def test_ctrl_c_while_modules_are_loaded_ends_quietly(here: Path, module: str) -> None:
    """Half of the time of a search."""
    command = [sys.executable, "-S", "-c", INTERRUPTED_WHILE_LOADING, module, "search", "后门"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, cwd=here, capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("papersearch sear", {"search"}),
        ("papersearch search --ye", {"--year"}),
        ("papersearch search 后门 -检测 --sort ", set(cli.SORTS)),
        ("papersearch list --color a", {"auto", "always"}),
        ("papersearch search --venue ", {"DLRS", "KDD", "NeurIPS"}),
        ("papersearch search --venue neu", {"NeurIPS"}),
        ("papersearch search 后门 -检测 --venue=K", {"KDD"}),
        ("papersearch export --org A", {"Alibaba"}),
        ("papersearch export --year 201", {"2016", "2018"}),
        ("papersearch search --category 模", {"模型安全"}),
        ("papersearch search --index nowhere --venue ", set()),
        ("papersearch export --format ", set(commands.EXPORTS)),
        ("papersearch completion ", set(commands.SHELLS)),
        ("papersearch show zz", set()),
    ],
)
def test_shells_can_complete(words: str, offered: set[str], here: Path) -> None:
    asked = {
        "_PAPERSEARCH_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = finished(process(cwd=here, **asked))
    assert (done.code, done.err) == (0, "")
    assert {row.partition(",")[2] for row in done.lines if row} == offered


@pytest.mark.parametrize("command", ["show", "similar", "open"])
def test_shells_complete_ids_with_their_titles(command: str, here: Path, run: Run) -> None:
    titles = {hit["id"]: hit["title"] for hit in run("list", "--json").json["hits"]}
    asked = {"_PAPERSEARCH_COMPLETE": "zsh_complete", "COMP_CWORD": "2"}
    done = finished(process(cwd=here, COMP_WORDS=f"papersearch {command} ", **asked))
    assert (done.code, done.err) == (0, "")
    shown = done.out.rstrip("\n").split("\n")
    assert set(shown[::3]) == {"plain"}
    assert {a: b.replace("\\:", ":") for a, b in zip(shown[1::3], shown[2::3], strict=True)} == titles
    begin = next(iter(titles))
    done = finished(process(cwd=here, COMP_WORDS=f"papersearch {command} {begin[:7].upper()}", **asked))
    assert done.lines[1] == begin
    done = finished(process(cwd=here.parent, COMP_WORDS=f"papersearch {command} ", **asked))
    assert (done.code, done.out.strip(), done.err) == (0, "", "")


def test_completing_builds_nothing_and_reports_nothing(notes: Path) -> None:
    asked = {"_PAPERSEARCH_COMPLETE": "bash_complete", "COMP_WORDS": "papersearch show ", "COMP_CWORD": "2"}
    done = finished(process(cwd=notes.parent, **asked))
    assert (done.code, done.out.strip(), done.err) == (0, "", "")
    assert sorted(os.listdir(notes.parent)) == ["corpus"]
    (notes.parent / "papersearch.toml").write_text("nonsense")
    done = finished(process(cwd=notes.parent, **asked))
    assert (done.code, done.out.strip(), done.err) == (0, "", "")
    for wrong in ({"_PAPERSEARCH_COMPLETE": "bash_complete"}, {**asked, "COMP_CWORD": "x"}):
        done = finished(process(cwd=notes.parent, **wrong))
        assert (done.code, done.out, done.err) == (2, "", "")


def test_what_a_note_says_cannot_steer_a_shell_that_completes(notes: Path) -> None:
    from papersearch.completions import offers, quoted

    (notes / "a.md").write_text("# D\n\n## a; $(id) \\`x 'y'\n\n### One\x1b[2J net[KDD'18]\n- x\n")
    api.build_index(notes, notes.parent / "index")
    assert offers("category", "A;") == [("a; $(id) `x 'y'", "")]
    assert quoted("a; $(id) `x 'y'", "bash") == r"a\\;\\ \\$\\(id\\)\\ \\`x\\ \\'y\\'"
    assert quoted("a; b", "zsh") == "a; b"
    ((_, title),) = [offer for offer in offers("id", "") if "One" in offer[1]]
    assert "\x1b" not in title
    assert offers("no such field", "") == []


@pytest.mark.parametrize("shell", commands.SHELLS)
def test_completion_scripts(shell: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_PAPERSEARCH_COMPLETE={shell}_complete" in done.out
    assert "_papersearch_completion" in done.out


BASH = """
source completion.bash
COMP_WORDS=(papersearch search --venue "$1") COMP_CWORD=3
_papersearch_completion papersearch
printf '%s\\n' "${COMPREPLY[@]}"
"""


@POSIX
@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_gets_values_that_are_one_word_to_it(notes: Path, run: Run) -> None:
    folder = notes.parent
    (notes / "a.md").write_text("# D\n\n## C\n\n### One net[S&P'18]\n- x\n\n### Two nets[KDD'19]\n- y\n")
    run("index")
    venue = run("search", "one", "--json").json["hits"][0]["venue"]
    assert " " in venue
    assert "&" in venue
    (folder / "completion.bash").write_text(run("completion", "bash").out)
    (folder / "bin").mkdir()
    script = folder / "bin" / "papersearch"
    script.write_text(f"#!{sys.executable}\nfrom papersearch.__main__ import main\nmain()\n")
    script.chmod(0o755)
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", venue[0].lower()], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"}, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert shlex.split(done.stdout) == [venue]


def loaded(code: str, *args: str, cwd: Path) -> set[str]:
    """Modules that a process has loaded at its end."""
    after = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); " + code
    done = subprocess.run(
        [sys.executable, "-c", after, *args], cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_starting_loads_nothing_but_click(here: Path) -> None:
    modules = loaded("import papersearch.cli", cwd=here)
    assert {name for name in modules if name.startswith("papersearch")} == {"papersearch", "papersearch.cli"}
    assert modules - loaded("import click, locale", cwd=here) == {"papersearch", "papersearch.cli"}


HEAVY = {
    "markdown_it",
    "whoosh",
    "jieba",
    "rjieba",
    "csv",
    "tomllib",
    "tomli",
    "importlib.metadata",
    "rich",
    "numpy",
    "shutil",
}


@pytest.mark.parametrize("options", [[], ["--json"], ["--explain"]])
def test_a_search_loads_no_heavy_module(options: list[str], here: Path) -> None:
    modules = loaded("from papersearch.cli import main; main()", "search", "后门 signatures", *options, cwd=here)
    assert "papersearch.api" in modules
    assert not HEAVY & modules


def test_completing_loads_neither_the_library_nor_a_heavy_module(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("_PAPERSEARCH_COMPLETE", "bash_complete"),
        ("COMP_WORDS", "papersearch show "),
        ("COMP_CWORD", "2"),
    ):
        monkeypatch.setenv(name, value)
    modules = loaded("from papersearch.cli import main; main()", cwd=here)
    assert "papersearch.completions" in modules
    assert not (HEAVY | {"papersearch.api"}) & modules


@pytest.fixture(autouse=True, scope="session")
def importable() -> Iterator[None]:
    """Processes find the package where this one found it, installed or not."""
    source = str(Path(api.__file__).parents[1])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, before]))
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
