"""Results → text, JSON, CSV, BibTeX: goldens for every format, properties for widths, wrapping and safety."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papersearch.evaluation import Evaluation, Measures
from papersearch.files import Notice
from papersearch.paper import Paper, Section
from papersearch.render import as_json, bibtex, tabular, text
from papersearch.render.screen import NARROWEST, Screen, block, cells, fit, line, merged, wrap
from papersearch.reports import Changes, Status
from papersearch.results import Hit, Part, Results, Stage

Golden = Callable[[str, str], None]

PIPE = Screen()
TERMINAL = Screen(60, color=True)
PLAIN_TERMINAL = Screen(60)

DIN = Paper(
    id="7d3k9x2m",
    title="DIN: Deep Interest Network for Click-Through Rate Prediction",
    path="ctr/notes.md",
    line=12,
    end_line=15,
    aliases=("DIN",),
    category="推荐与点击率预估",
    venue="KDD",
    venue_raw="KDD",
    year=2018,
    orgs=("Alibaba", "某研究院"),
    bullets=2,
    links=("din.md", "https://example.org/din_v2?a=1&b=2"),
    context=("推荐与点击率预估",),
    sections=(
        Section("ctr/notes.md", 13, "- 用注意力对历史行为加权\n  - 见 [笔记](din.md)"),
        Section("ctr/din.md", 1, "# 长笔记\n\n激活单元 activation unit 按候选商品计算兴趣。", companion=True),
    ),
)
PLAIN = Paper("00000001", "池化层的一次综述", "ctr/notes.md", 20, 20)
JOURNAL = Paper(
    "00000002",
    "Ranking {50%} of $x_i$ & more: 100 #tags",
    "文件 一.md",
    3,
    4,
    venue="TOIS",
    venue_raw="ACM TOIS",
    year=1999,
    category="检索",
    links=("http://example.org/a b",),
)
PREPRINT = Paper("00000003", "Interest networks", "a.md", 1, 2, venue="arXiv", venue_raw="arxiv", year=2022)
HOSTILE = Paper(
    "00000004",
    "=cmd\x1b[31m\u202eevil\nline\x07",
    "a\x1b]0;x\x07.md",
    7,
    8,
    category="@SUM(A1)\x9b2J",
    venue="V\u2066",
    year=2001,
    orgs=("-1+1", "\x85o"),
    sections=(Section("a\x1b]0;x\x07.md", 8, "- one\r\x1b[2J\ttab\n- two\u2028end"),),
)


def hits(*papers: Paper) -> tuple[Hit, ...]:
    return tuple(Hit(rank, 10.5 / rank, paper) for rank, paper in enumerate(papers, 1))


ANSWER = Results(
    query="兴趣 network",
    filters={"year": ["2001..", "..2022"]},
    stage="all",
    total=12,
    hits=(
        Hit(
            1,
            9.1234567,
            DIN,
            "激活单元 activation unit 按候选商品计算兴趣，因此 interest 的表示随候选而变化，而不是一个固定的向量。",
            ((28, 30), (34, 42)),
            "ctr/din.md",
            3,
            "all",
            {"title": ["network"], "note": ["兴趣"]},
        ),
        Hit(2, 4.0, PLAIN, "no venue, no year,\nand no highlights", (), "ctr/notes.md", 20),
        Hit(3, 2.5, JOURNAL),
        Hit(4, 1.25, PREPRINT, "Interest networks", ((0, 8), (9, 17)), "a.md", 1, "some", {"title": ["network"]}),
        Hit(5, 0.5, HOSTILE, "- one\r\x1b[2J\ttab", ((2, 5), (6, 10)), "a\x1b]0;x\x07.md", 8),
    ),
    notices=("searched for network instead of netwrok",),
    facets={"venue": [("KDD", 7), ("arXiv", 2)], "year": [("2018", 11)], "org": []},
    took_ms=1.23456,
)
PARTS = (
    Part("word 兴趣", 11.25, "as 兴趣, interest: factor 1.00 × idf 2.32 (4 papers)"),
    Part("word attention\x1b[2J mechanism", 0.0, "not found"),
    Part("near 兴趣 network", 0.4375, "side by side"),
    Part('required "network"', 1.0),
)
EXPLAINED = ANSWER.replace(hits=(ANSWER.hits[0].replace(score=12.6875, explanation=PARTS), ANSWER.hits[2]), facets={})
IN_PART = ANSWER.replace(
    hits=(
        ANSWER.hits[0],
        ANSWER.hits[1].replace(stage="fuzzy"),
        *(h.replace(stage="some") for h in ANSWER.hits[2:4]),
    ),
)
JUDGED = Evaluation(
    {"topics": Measures(3, 0.9123456789, 1.0, 0.5, 2 / 3)},
    Measures(3, 0.9123456789, 1.0, 0.5, 2 / 3),
    {"none\u202e": (2, 0.5, 1.0)},
)
NOTHING = Results("强化学习", {}, "none", 0, ())
BUILD = Changes(
    ("7d3k9x2m", "00000001"), ("00000002",), (), 40, 3, ("b.md: cannot be read (Permission denied); skipped",)
)
STATE = Status(
    ("/home/u/corpus",), "/home/u/index", True, True, 43, 2, 6, 7, "2024-05-06T07:08:09Z", 294_400,
    ("a.md", "b\x1b.md", "c.md", "d.md", "e.md", "f.md", "g.md"),
)  # fmt: skip


def beside(path: str) -> str:
    return f"corpus/{path}"


# ---- goldens


@pytest.mark.parametrize(
    ("name", "rendered"),
    [
        ("hits-terminal.txt", lambda: text.results(ANSWER, TERMINAL, beside)),
        ("hits-terminal-plain.txt", lambda: text.results(ANSWER, PLAIN_TERMINAL, beside)),
        ("explained-terminal.txt", lambda: text.results(EXPLAINED, TERMINAL, beside)),
        ("explained-pipe.txt", lambda: text.results(EXPLAINED, PIPE, beside)),
        ("explained.jsonl", lambda: as_json.lines(EXPLAINED)),
        ("in-part-terminal.txt", lambda: text.results(IN_PART, TERMINAL, beside)),
        ("hits-pipe.txt", lambda: text.results(ANSWER, PIPE, beside)),
        ("hits-pipe-color.txt", lambda: text.results(ANSWER.replace(facets={}), Screen(color=True), beside)),
        ("hits.json", lambda: as_json.results(ANSWER, ["b.md: read as GB18030"])),
        ("hits.jsonl", lambda: as_json.lines(ANSWER)),
        ("hits.csv", lambda: tabular.csv(ANSWER)),
        ("hits.bib", lambda: bibtex.bibtex(ANSWER)),
        ("hits-paths.txt", lambda: tabular.paths(ANSWER, beside)),
        ("nothing.json", lambda: as_json.results(NOTHING)),
        ("list-terminal.txt", lambda: text.listing([h.paper for h in ANSWER.hits], TERMINAL, beside)),
        ("list-pipe.txt", lambda: text.listing([h.paper for h in ANSWER.hits], PIPE, beside)),
        ("show-terminal.txt", lambda: text.paper(DIN, TERMINAL, beside)),
        ("show-pipe.txt", lambda: text.paper(DIN, PIPE, beside)),
        ("show-hostile.txt", lambda: text.paper(HOSTILE, PIPE, beside)),
        ("show.json", lambda: as_json.paper(DIN)),
        ("facets-terminal.txt", lambda: text.facets(ANSWER.facets, TERMINAL)),
        ("facets-pipe.txt", lambda: text.facets(ANSWER.facets, PIPE)),
        ("facets.json", lambda: as_json.facets(ANSWER.facets)),
        ("status.txt", lambda: text.status(STATE, PIPE)),
        ("status.json", lambda: as_json.status(STATE)),
        ("index.txt", lambda: text.changes(BUILD)),
        ("index-dry-run.txt", lambda: text.changes(BUILD.replace(dry_run=True, took_ms=12.6))),
        ("index.json", lambda: as_json.changes(BUILD.replace(rebuilt="no index yet", took_ms=12.34567))),
        (
            "check.txt",
            lambda: text.notices([Notice("a.md", 3, "link to\x1bb.md"), Notice("c.md", 0, "is GBK")], beside),
        ),
        ("doctor.txt", lambda: text.problems(["i/1.inv: section a fails its\nchecksum\x1b", "i: two"])),
        ("doctor.json", lambda: as_json.problems("/home/u/index", ["i: two"], True)),
        ("open.json", lambda: as_json.place(DIN, "/home/u/corpus/ctr/notes.md", DIN.links[1])),
        ("eval.json", lambda: as_json.evaluation(JUDGED, 10, ["no paper has the judged title 'X'"])),
        ("run.jsonl", lambda: as_json.run({"q1": [DIN.title, PLAIN.title], "q\ud800": []})),
        ("check.json", lambda: as_json.notices([Notice("a.md", 3, "link to b.md leads nowhere", "link")])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_golden(name: str, rendered: Callable[[], str], golden: Golden) -> None:
    golden(name, rendered())


# ---- text


def test_on_a_pipe_every_hit_is_one_line_that_begins_with_its_place() -> None:
    rows = text.results(ANSWER.replace(facets={}), PIPE, beside).split("\n")
    assert rows.pop() == ""
    assert [row.partition(": ")[0] for row in rows] == [
        line(f"corpus/{hit.paper.path}:{hit.paper.line}") for hit in ANSWER.hits
    ]


def test_the_place_of_a_companion_is_shown_on_a_terminal_only() -> None:
    assert "corpus/ctr/din.md:3\n" in text.results(ANSWER, PLAIN_TERMINAL, beside)
    assert "din.md:3" not in text.results(ANSWER, PIPE, beside)


BORDER = "— matched in part —"


def bordered(*stages: Stage, rank: int = 1) -> list[str]:
    """The borders and ranks that a terminal shows for hits of these stages."""
    shown = tuple(Hit(rank + n, 1.0, PLAIN, stage=stage) for n, stage in enumerate(stages))
    rows = text.results(Results("q", {}, "all", 9, shown), PLAIN_TERMINAL, beside).splitlines()
    return [row.split(" 池")[0].strip() for row in rows if row == BORDER or " 池" in row]


def test_a_border_stands_above_the_hits_that_match_in_part() -> None:
    assert bordered("all", "fuzzy", "some", "some") == ["1", "2", BORDER, "3", "4"]
    assert bordered("fuzzy", "some") == ["1", BORDER, "2"]
    assert bordered("all", "all") == ["1", "2"]
    assert bordered("some", "some") == ["1", "2"]
    assert bordered("some", rank=11) == ["11"]
    assert bordered("all", "some", "all") == ["1", "2", "3"]
    assert BORDER not in text.results(IN_PART, PIPE, beside)
    assert cells(BORDER) < NARROWEST


def test_parts_of_a_score_are_aligned_and_end_in_the_sum() -> None:
    rows = text.results(EXPLAINED, PIPE, beside).splitlines()
    assert rows[1:6] == [
        "    11.250  word 兴趣 · as 兴趣, interest: factor 1.00 × idf 2.32 (4 papers)",
        "     0.000  word attention\ufffd[2J mechanism · not found",
        "     0.438  near 兴趣 network · side by side",
        '     1.000  required "network"',
        "    12.688  sum",
    ]
    assert [row.startswith("corpus/") for row in rows] == [True, *[False] * 5, True]


def test_nothing_found_is_no_text_at_all() -> None:
    assert text.results(NOTHING, PIPE, beside) == text.results(NOTHING, TERMINAL, beside) == ""
    assert text.listing([], TERMINAL, beside) == text.facets({}, TERMINAL) == ""
    assert tabular.paths(NOTHING, beside) == bibtex.bibtex(NOTHING) == as_json.lines(NOTHING) == ""
    assert tabular.csv(NOTHING) == ",".join(tabular.COLUMNS) + "\r\n"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (ANSWER, "5 of 12 · all words matched"),
        (ANSWER.replace(stage="some", total=5), "5 · only some of the words matched"),
        (ANSWER.replace(stage="fuzzy"), "5 of 12 · matched with the spelling corrected"),
        (ANSWER.replace(query=" "), "5 of 12 papers"),
        (ANSWER.replace(query="", hits=ANSWER.hits[:1], total=1), "1 paper"),
        (NOTHING, "nothing found"),
    ],
)
def test_summary(found: Results, said: str) -> None:
    assert text.summary(found) == said


def test_summary_of_papers_like_one() -> None:
    assert text.summary(ANSWER, by_words=False) == "5 of 12 papers"
    assert text.summary(NOTHING, by_words=False) == "nothing found"


@pytest.mark.parametrize(
    ("venue", "year", "shown"),
    [
        ("KDD", 2018, "KDD'18"),
        ("KDD", 2005, "KDD'05"),
        ("arXiv", None, "arXiv"),
        (None, 1998, "1998"),
        (None, None, ""),
    ],
)
def test_venue_and_year(venue: str | None, year: int | None, shown: str) -> None:
    assert text.venue_year(PLAIN.replace(venue=venue, year=year)) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (294_400, "294 KB"), (1_500_000, "1.5 MB"), (10**13, "10000 GB")],
)
def test_sizes(count: int, shown: str) -> None:
    assert text.size(count) == shown


def test_status_says_what_to_do() -> None:
    assert "build it with: papersearch index" in text.status(Status(("c",), "i", built=False, stale=True), PIPE)
    fresh = STATE.replace(stale=False, stale_files=(), notes=0)
    assert text.status(fresh, PIPE).endswith("state   up to date\n")
    assert "papers  43\n" in text.status(fresh, PIPE)
    assert " (a.md); the next search" in text.status(STATE.replace(stale_files=("a.md",)), PIPE)


def test_a_rebuild_says_why_and_names_no_papers() -> None:
    done = text.changes(BUILD.replace(dry_run=True, rebuilt="no index yet", files=1))
    assert done.startswith("dry run, nothing written: 2 added, 1 changed, 0 removed, 40 unchanged, 1 skipped (1 note, ")
    assert "everything anew: no index yet" in done
    assert "00000001" not in done


# ---- safety

_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("\x1b[]m\x9b\r\n\t\x07\u202e a词")


@given(anything, anything, anything, anything, anything)
def test_nothing_in_a_note_steers_a_terminal(title: str, path: str, name: str, body: str, snippet: str) -> None:
    paper = Paper(
        "0", title, path, 1, 2, aliases=(name,), category=name, venue=name, venue_raw=title, year=2000, orgs=(name,),
        links=("http://" + name,), sections=(Section(path, 2, body), Section(path, 2, body, companion=True)),
    )  # fmt: skip
    hit = Hit(1, 1.0, paper, snippet, ((0, 3),), name, 1)
    found = Results("q", {}, "all", 1, (hit,), facets={"org": [(name, 1)]})
    one_line = [text.results(found.replace(facets={}), PIPE, str), tabular.paths(found, str), as_json.lines(found)]
    one_line.append(text.listing([paper], PIPE, str))
    one_line += [text.facets(found.facets, PIPE), text.problems([body]), as_json.run({name: [title, body]})]
    one_line.append(as_json.place(paper, path, name))
    for rendered in one_line:
        assert rendered.count("\n") == 1
    many = [text.results(found, PLAIN_TERMINAL, str), text.paper(paper, PIPE, str), bibtex.bibtex(found)]
    many += [tabular.csv(found).replace("\r\n", "\n"), as_json.results(found), as_json.paper(paper)]
    many += [text.listing([paper], PLAIN_TERMINAL, str), text.notices([Notice(path, 1, title)], str)]
    explained = found.replace(hits=(hit.replace(explanation=(Part(name, 1.0, body), Part(title, 0.0))),), facets={})
    many += [text.results(explained, PLAIN_TERMINAL, str), as_json.lines(explained)]
    on_a_pipe = text.results(explained, PIPE, str)
    assert on_a_pipe.count("\n") == 4
    many.append(on_a_pipe)
    for rendered in one_line + many:
        assert not _STEERING.search(rendered)


@given(anything)
def test_cleaning_keeps_every_offset(source: str) -> None:
    assert len(line(source)) == len(block(source)) == len(source)
    assert block(source).count("\n") == source.count("\n")
    assert "\n" not in line(source)
    assert all(a == b for a, b in zip(source, block(source), strict=True) if b != "\ufffd")


def test_bytes_that_are_no_utf8_can_be_written() -> None:
    odd = DIN.replace(path="\udcff.md", title="a\udce5")
    found = Results("", {}, "all", 1, hits(odd))
    for rendered in (
        text.results(found, PIPE, str),
        tabular.csv(found),
        bibtex.bibtex(found),
        tabular.paths(found, str),
    ):
        assert "\ufffd.md:12" in rendered or "\ufffd.md,12" in rendered
        rendered.encode("utf-8")


def test_ordinary_text_is_left_alone() -> None:
    kept = "Möbius e\u0301 词，“引号” ‖x_i‖² 👩‍💻 かな 한국어 العربية עברית\ttab"
    assert block(kept) == kept


def test_json_holds_any_string_and_can_be_written_as_utf8() -> None:
    odd = "\udce5\x9b\u2028\x00“词”\u202e\U0001f600"
    written = as_json.facets({"org": [(odd, 1)]})
    assert json.loads(written.encode("utf-8"))["facets"]["org"] == [{"value": odd, "count": 1}]
    assert "“词”" in written


# ---- JSON


def test_json_has_the_fields_of_schema_1() -> None:
    data = json.loads(as_json.results(ANSWER, ["from the index"]))
    assert list(data) == ["schema", "query", "filters", "stage", "total", "took_ms", "notices", "hits", "facets"]
    assert (data["schema"], data["took_ms"], data["total"]) == (1, 1.235, 12)
    assert data["notices"] == ["from the index", *ANSWER.notices]
    promised = {
        "rank", "score", "id", "title", "aliases", "category", "venue", "venue_raw", "year", "orgs", "path", "line",
        "end_line", "links", "snippet", "highlights", "matched", "kind", "bullets", "snippet_path", "snippet_line",
        "explanation",
    }  # fmt: skip
    for hit in data["hits"]:
        assert promised <= hit.keys()
    first = data["hits"][0]
    assert [first["snippet"][a:b] for a, b in first["highlights"]] == ["兴趣", "interest"]
    assert data["facets"]["venue"] == [{"value": "KDD", "count": 7}, {"value": "arXiv", "count": 2}]
    assert json.loads(as_json.results(NOTHING))["hits"] == []


def test_the_document_names_every_field() -> None:
    document = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
    outputs = [
        as_json.results(ANSWER),
        as_json.paper(DIN),
        as_json.facets(ANSWER.facets),
        as_json.status(STATE),
        as_json.changes(BUILD),
        as_json.place(DIN, "/c/a.md", None),
        as_json.problems("i", [], False),
        as_json.evaluation(JUDGED, 10),
        as_json.run({"q1": []}),
        as_json.notices([Notice("a.md", 1, "m")]),
    ]
    data = [json.loads(output) for output in outputs]
    tables = [
        *data,
        data[0]["hits"][0],
        data[0]["facets"]["venue"][0],
        data[1]["paper"],
        data[1]["paper"]["sections"][0],
        json.loads(as_json.lines(EXPLAINED).splitlines()[0])["explanation"][0],
        data[-3]["overall"],
        data[-3]["unanswerable"]["none\u202e"],
    ]
    for table in [*tables, data[-1]["notices"][0]]:
        for name in table:
            assert f"`{name}`" in document or f'"{name}"' in document, name


def test_one_paper_has_the_fields_of_a_hit_and_its_sections() -> None:
    shown = json.loads(as_json.paper(DIN))["paper"]
    hit = json.loads(as_json.lines(ANSWER).splitlines()[0])
    about_the_hit = {
        "rank", "score", "stage", "snippet", "snippet_path", "snippet_line", "highlights", "matched", "explanation",
    }  # fmt: skip
    assert {key: hit[key] for key in hit.keys() - about_the_hit} == {k: v for k, v in shown.items() if k != "sections"}
    assert [(s["path"], s["line"], s["end_line"], s["companion"]) for s in shown["sections"]] == [
        ("ctr/notes.md", 13, 14, False),
        ("ctr/din.md", 1, 3, True),
    ]


# ---- CSV


def test_csv_reads_back_and_starts_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(tabular.csv(ANSWER), newline="")))
    assert len(rows) == len(ANSWER.hits)
    assert rows[0]["orgs"] == "Alibaba; 某研究院"
    assert rows[0]["links"] == "din.md; https://example.org/din_v2?a=1&b=2"
    assert rows[1]["snippet"] == "no venue, no year, and no highlights"
    assert rows[4]["title"].startswith("'=cmd")
    assert rows[4]["category"].startswith("'@SUM")
    assert rows[4]["orgs"].startswith("'-1+1")
    assert not any(cell.startswith(tuple("=+-@＝＋－＠\t\r\n")) for row in rows for cell in row.values())


@given(st.text("=+-@＝＋－＠\t\r\n a,\"'", max_size=8))
def test_no_cell_of_csv_starts_a_formula_or_breaks_a_row(value: str) -> None:
    paper = PLAIN.replace(title=value, category=value, orgs=(value,), path=value)
    row = list(csv.reader(io.StringIO(tabular.csv(Results("", {}, "all", 1, hits(paper))), newline="")))[1]
    assert len(row) == len(tabular.COLUMNS)
    assert not any(cell.startswith(tuple("=+-@＝＋－＠\t\r\n")) for cell in row)


# ---- BibTeX


def entry(paper: Paper) -> str:
    return bibtex.bibtex(Results("", {}, "all", 1, hits(paper)))


@pytest.mark.parametrize(
    ("paper", "key"),
    [
        (DIN, "din2018deep"),
        (PREPRINT, "interest2022networks"),
        (PLAIN, "paper-00000001"),
        (PLAIN.replace(title="The Möbius of a Graph", year=2019), "mobius2019graph"),
        (PLAIN.replace(title="Attention", year=2017), "attention2017"),
        (PLAIN.replace(title="YOLO v7: Faster boxes", aliases=("YOLO v7",), year=2022), "yolov72022faster"),
        (PLAIN.replace(title="Faster boxes (YOLOv7)", aliases=("YOLOv7",), year=2022), "yolov72022faster"),
        (PLAIN.replace(title="3D 100 nets"), "3dnets"),
    ],
)
def test_bibtex_keys(paper: Paper, key: str) -> None:
    assert bibtex.key(paper) == key


def test_bibtex_keys_are_unique() -> None:
    found = Results("", {}, "all", 3, hits(PREPRINT, PREPRINT.replace(id="x"), PREPRINT.replace(id="y")))
    keys = re.findall(r"^@\w+\{(.*),$", bibtex.bibtex(found), re.MULTILINE)
    assert keys == ["interest2022networks", "interest2022networks-x", "interest2022networks-y"]


@pytest.mark.parametrize(
    ("venue", "kind", "home"),
    [
        ("KDD", "inproceedings", "booktitle"),
        ("TOIS", "article", "journal"),
        ("arXiv", "misc", "howpublished"),
        ("A workshop nobody knows", "inproceedings", "booktitle"),
    ],
)
def test_bibtex_kind_goes_by_the_venue(venue: str, kind: str, home: str) -> None:
    written = entry(PLAIN.replace(venue=venue))
    assert written.startswith(f"@{kind}{{")
    assert f"  {home} = {{{venue}}},\n" in written
    assert entry(PLAIN).startswith("@misc{")


def test_every_journal_and_preprint_server_is_a_known_venue() -> None:
    from papersearch.venues import VENUES

    assert set(VENUES) >= bibtex.JOURNALS | bibtex.PREPRINTS


def test_bibtex_takes_the_first_link_that_is_a_url() -> None:
    assert "  url = {https://example.org/din_v2?a=1&b=2},\n" in entry(DIN)
    assert "url" not in entry(JOURNAL)


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("{}\\%$#_&~^\n"), max_size=30))
def test_bibtex_braces_always_balance(title: str) -> None:
    written = entry(PLAIN.replace(title=title, venue=title, path=title, links=("http://" + title,)))
    depth = 0
    for char in written.rstrip("\n"):
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0
    value = re.search(r"title = \{\{(.*)\}\}", written)
    if value:
        assert not re.search(r"(?<!\\)[%$#_&]|~|\^\w", value.group(1))


# ---- widths and wrapping

scripts = st.text(st.sampled_from("ab c词语，。（）「」e\u0301Ａｂ👍한\u200d… 1-"), max_size=60)


@pytest.mark.parametrize(
    ("shown", "width"),
    [
        ("", 0),
        ("abc", 3),
        ("词语", 4),
        ("Ａ", 2),
        ("e\u0301", 1),
        ("한국", 4),
        ("👍", 2),
        ("‖x‖", 3),
        ("\u200b", 0),
        ("a\u00adb", 3),
    ],
)
def test_cells(shown: str, width: int) -> None:
    assert cells(shown) == width


@given(scripts, st.integers(2, 40))
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(source: str, columns: int) -> None:
    spans = wrap(source, columns)
    for start, end in spans:
        assert 0 < cells(source[start:end]) <= columns or unicodedata.category(source[start]) in ("Mn", "Cf")
    assert "".join(source[start:end] for start, end in spans).replace(" ", "") == source.replace(" ", "")
    assert all(source[a:b].strip(" ") == source[a:b] for a, b in spans)
    gaps = [source[a:b] for (_, a), (b, _) in pairwise(spans)]
    assert all(not gap.strip(" ") for gap in gaps)


def wrapped(source: str, columns: int) -> list[str]:
    return [source[start:end] for start, end in wrap(source, columns)]


def test_words_are_kept_whole_and_chinese_is_broken_anywhere() -> None:
    assert wrapped("deep interest network", 13) == ["deep interest", "network"]
    assert wrapped("用注意力加权 attention", 10) == ["用注意力加", "权", "attention"]
    assert wrapped("abcdefghij klm", 4) == ["abcd", "efgh", "ij", "klm"]
    assert wrapped("  a  ", 4) == ["a"]
    assert wrapped("    ", 4) == wrapped("", 4) == []


def test_closing_marks_do_not_begin_a_line_and_opening_ones_do_not_end_it() -> None:
    assert wrapped("注意力，加权", 6) == ["注意", "力，加", "权"]
    assert wrapped("注意（加权）力", 6) == ["注意", "（加", "权）力"]


def test_a_wide_character_wider_than_the_line_still_gets_out() -> None:
    assert wrapped("词语", 1) == ["词", "语"]


@given(scripts, st.integers(1, 30))
def test_fit_takes_exactly_the_columns(source: str, columns: int) -> None:
    fitted = fit(source, columns)
    assert cells(fitted) == columns
    if cells(source) <= columns:
        assert fitted.rstrip(" ") == source.rstrip(" ")
    else:
        assert source.startswith(fitted.rstrip(" ").removesuffix("…"))


def test_columns_of_a_list_stand_below_each_other() -> None:
    papers = [DIN, PLAIN, JOURNAL.replace(title="短"), PREPRINT.replace(title="e\u0301" * 200)]
    for columns in (40, 60, 80, 200):
        rows = text.listing(papers, Screen(columns), beside).splitlines()
        assert all(cells(row) <= columns for row in rows)
        at = {cells(row[: row.index(word)]) for row, word in zip(rows, ["DIN", "池化", "短", "e"], strict=True)}
        assert len(at) == 1
    assert text.listing([PLAIN], Screen(80), beside) == "00000001  池化层的一次综述\n"


def test_hits_fit_the_terminal() -> None:
    for columns in (20, 33, 60, 200):
        for answer in (ANSWER, EXPLAINED, IN_PART):
            rows = text.results(answer, Screen(columns), beside).splitlines()
            assert all(cells(row) <= columns for row in rows if ".md:" not in row)


# ---- marks


@given(st.lists(st.tuples(st.integers(-3, 20), st.integers(-3, 20)), max_size=6), st.integers(0, 12))
def test_merged_spans_cover_the_same_characters(spans: list[tuple[int, int]], length: int) -> None:
    done = merged(spans, length)
    covered = {i for a, b in spans for i in range(max(a, 0), min(b, length))}
    assert {i for a, b in done for i in range(a, b)} == covered
    assert all(b < c for (_, b), (c, _) in pairwise(done))


@given(
    st.text("ab词", max_size=12),
    st.lists(st.tuples(st.integers(-2, 14), st.integers(-2, 14)), max_size=4),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_marks_cover_the_highlights_and_change_no_text(
    source: str, spans: list[tuple[int, int]], start: int, end: int
) -> None:
    start, end = min(start, end, len(source)), min(max(start, end), len(source))
    shown = Screen(80, color=True).marked(source, spans, start, end)
    inside = "".join(re.findall(r"\x1b\[1;33m(.*?)\x1b\[0m", shown))
    assert re.sub(r"\x1b\[[\d;]*m", "", shown) == source[start:end]
    assert inside == "".join(
        source[a:b] for a, b in ((max(a, start), min(b, end)) for a, b in merged(spans, 99)) if a < b
    )
    assert Screen(80).marked(source, spans, start, end) == source[start:end]


def test_no_colour_unless_asked_for() -> None:
    assert "\x1b" not in text.results(ANSWER, PLAIN_TERMINAL, beside) + text.status(STATE, Screen(40))
    assert Screen(color=True).paint("bold", "") == ""
