"""Any string is a query: an answer or one clear line, within a second and 200 MB."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import SHIPPED, index_of
from papersearch import Index, PapersearchError, UsageError, open_index
from papersearch.api import build_index
from torture.scene import environment, many_papers

Count = Callable[[str, str, int], None]

measures_memory = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")

LIMIT_S = 1.0
LIMIT_KIB = 200 * 1024

HOSTILE = {
    "nul": "zebra\0yak\0",
    "surrogates": "\ud800 zebra \udfff",
    "right to left": "\u202ezebra\u202c \u2066yak\u2069 \u200f",
    "a megabyte": "zebra yak " * 100_000,
    "a megabyte, one word": "z" * 1_000_000,
    "a megabyte of Chinese": "检" * 350_000,
    "brackets": "(" * 100_000 + "a" + ")" * 100_000,
    "closing brackets": ")" * 100_000,
    "quotes": '"' * 99_999,
    "negations": "-" * 100_000 + "a",
    "not": "NOT " * 50_000 + "a",
    "or": "a OR " * 50_000 + "b",
    "prefixes": " ".join(f"{a}{b}*" for a in "abcdefghij" for b in "abcdefghij") + " a* b* c*",
    "one letter prefixes": " ".join(f"{letter}*" for letter in "abcdefghijklmnopqrstuvwxyz" * 20),
    "fuzzies": " ".join(f"tranformr{n}~2" for n in range(500)),
    "slips": " ".join(f"tranformr{n}" for n in range(300)),
    "years": " ".join(f"year:{year}" for year in range(1000, 3000)),
    "a list of years": "year:" + ",".join(map(str, range(1000, 3000))),
    "huge year": "year:" + "9" * 10_000,
    "fields": "title:" * 20_000 + "a",
    "unknown fields": " ".join(f"f{n}:x" for n in range(5000)),
    "same phrase": '"w1 w2 w3" ' * 5000,
    "one phrase": '"' + "w1 " * 50_000 + '"',
    "stars": "*" * 50_000,
    "tildes": "a" + "~" * 50_000,
    "combining": "a" + "\u0301" * 100_000,
    "full width": "（年份：２０２２ ＯＲ “" * 5000,
    "many different words": " ".join(f"w{n}" for n in range(3000)),
}

MANY = """
import json, re, sys, time
from papersearch import PapersearchError, open_index

corpus, folder, file = sys.argv[1:]
worst, queries = {}, json.load(open(file))
with open_index(corpus, folder, refresh=False) as index:
    index.search("w1 zebra")
    for name, query in queries.items():
        started = time.process_time()
        try:
            found = index.search(query)
            assert all("\\n" not in notice for notice in found.notices)
        except PapersearchError as error:
            assert "\\n" not in str(error), name
        worst[name] = time.process_time() - started
peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())  # the usual ru_maxrss is at least the parent's
print(json.dumps([worst, int(peak.group(1))]))
"""


def hostile_queries(corpus: Path, folder: Path, place: Path) -> None:
    import json

    file = place / "queries.json"
    file.write_text(json.dumps(HOSTILE), encoding="utf-8")
    command = [sys.executable, "-c", MANY, str(corpus), str(folder), str(file)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    worst, peak_kib = json.loads(done.stdout)
    assert {name: took for name, took in worst.items() if took >= LIMIT_S} == {}
    assert peak_kib < LIMIT_KIB


@measures_memory
def test_hostile_queries_are_answered_in_time(place: Path, tally: Count) -> None:
    corpus = many_papers(place / "corpus", 150)
    build_index(corpus, place / "index")
    hostile_queries(corpus, place / "index", place)
    tally("queries", "hostile queries", len(HOSTILE))


@pytest.mark.slow
@measures_memory
def test_hostile_queries_are_answered_in_time_at_10_000_papers(
    place: Path, ten_thousand: tuple[Path, Path], tally: Count
) -> None:
    hostile_queries(*ten_thousand, place)
    tally("queries", "hostile queries at 10,000 papers", len(HOSTILE))


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    with open_index(SHIPPED, index_of(SHIPPED), refresh=False) as opened:
        yield opened


ATOMS = ["后门", "检测", "backdoor", "tranformer", "YOLOv7", "end-to-end", "x_i", "[4,4,c]", "C++", "ze", "的", "1", "２０２２", "\0", "\ud800", "\u202e", "é", "\U0001f600", ""]  # fmt: skip
words = st.sampled_from(ATOMS) | st.text(max_size=8)
FIELDS = ["title", "note", "category", "venue", "year", "org", "alias", "标题", "年份", "has", "sort", "foo", ""]
clauses = st.recursive(
    st.one_of(
        words,
        words.map(lambda w: f"{w}*"),
        st.builds(lambda w, n: f"{w}~{n}", words, st.sampled_from(["", "1", "2", "9"])),
        st.lists(words, max_size=4).map(lambda ws: '"' + " ".join(ws) + '"'),
        st.builds(lambda a, op, b: f"year:{a}{op}{b}", st.integers(-1, 3000), st.sampled_from(["..", "-", " TO ", ""]), st.sampled_from(["", "2022", "x"])),
    ),
    lambda inner: st.one_of(
        inner.map(lambda c: f"({c})"),
        inner.map(lambda c: f"-{c}"),
        inner.map(lambda c: f"NOT {c}"),
        st.builds(lambda a, b: f"{a} OR {b}", inner, inner),
        st.builds(lambda f, c: f"{f}:{c}", st.sampled_from(FIELDS), inner),
        st.lists(inner, max_size=4).map(" ".join),
    ),
    max_leaves=6,
)  # fmt: skip
raw = st.text(alphabet=st.one_of(st.sampled_from('()"*~:-_.,[]（）：“” \t\n ORNT年份年:后门检测a1'), st.characters()), max_size=60)  # fmt: skip


def ask(index: Index, query: str) -> None:
    for _ in range(3):  # what else the process has to clear away may fall into one of them
        started = time.process_time()
        try:
            found = index.search(query)
        except PapersearchError as error:
            assert isinstance(error, UsageError) and "\n" not in str(error)
            return
        took = time.process_time() - started
        if took < LIMIT_S:
            break
    assert took < LIMIT_S
    assert found.total >= len(found.hits) and (found.stage == "none") == (found.total == 0)
    for hit in found.hits:
        assert all(0 <= start < end <= len(hit.snippet) for start, end in hit.highlights)


def ask_made_up(index: Index, queries: st.SearchStrategy[str], count: int, tally: Count) -> None:
    asked = 0

    @settings(max_examples=count)
    @given(queries)
    def one(query: str) -> None:
        nonlocal asked
        asked += 1
        ask(index, query)

    one()
    tally("queries", "made-up queries", asked)


@pytest.mark.parametrize("queries", [clauses, raw], ids=["grammar", "text"])
def test_any_query(index: Index, queries: st.SearchStrategy[str], tally: Count) -> None:
    ask_made_up(index, queries, 300, tally)


@pytest.mark.slow
@pytest.mark.parametrize(("queries", "count"), [(clauses, 2000), (raw, 8000)], ids=["grammar", "text"])
def test_many_more_queries(
    index: Index, queries: st.SearchStrategy[str], count: int, rounds: int, tally: Count
) -> None:
    ask_made_up(index, queries, count * rounds, tally)


@pytest.mark.parametrize(
    "query", ["zebra\0\x1b[31m", "-" * 5000 + "a", "(" * 2000, "year:20x2\x1b]0;x\x07", "后门\u202e"]
)
def test_the_command_line_says_one_line_about_each_problem(query: str) -> None:
    from click.testing import CliRunner

    from papersearch.cli import program

    done = CliRunner().invoke(program, ["search", "--no-refresh", "--corpus", str(SHIPPED), "--index", str(index_of(SHIPPED)), "--", query.replace("\0", "")])  # fmt: skip
    assert done.exit_code in (0, 1, 2)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stdout + done.stderr)
    assert "Traceback" not in done.stderr
