"""The measurements measure the same thing: digests are the same every time, engines that are compared find the same
papers, tables and bars are computed right."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from corpora import REPOSITORY, read

sys.path.insert(0, str(REPOSITORY / "bench"))

import bags
import bars
import digests
import speed
import stock
import typed
from timing import CommandFailed, child_environment, python, run_once

PAPERS = 60


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digest")
    digests.write_digest(digests.synthetic(PAPERS), folder)
    return folder


@pytest.fixture(scope="module")
def tokens() -> list[bags.Bag]:
    return list(bags.draw_bags(PAPERS))


# ---- digests


def test_a_smaller_digest_is_the_beginning_of_a_larger_one() -> None:
    assert list(digests.synthetic(20)) == list(islice(digests.synthetic(40), 20))
    assert list(digests.synthetic(20)) != list(digests.synthetic(20, seed=digests.SEED + 1))


def test_a_digest_is_read_as_it_was_drawn(digest: Path) -> None:
    drawn = {draft.title: draft for draft in digests.synthetic(PAPERS)}
    papers = read(digest).papers
    assert len(papers) == len(drawn) == PAPERS
    for paper in papers:
        draft = drawn[paper.title]
        assert (paper.venue, paper.year, paper.category) == (draft.venue, draft.year, draft.category)
        assert all(note in paper.sections[0].text for note in draft.notes)


def test_one_file_and_many_hold_the_same_papers(digest: Path, tmp_path: Path) -> None:
    digests.write_digest(digests.synthetic(PAPERS), tmp_path / "many", per_file=7)
    digests.write_digest(digests.synthetic(PAPERS), tmp_path / "one", per_file=0)
    assert len(list((tmp_path / "one").iterdir())) == 1 < len(list((tmp_path / "many").iterdir()))
    assert {p.title for p in read(tmp_path / "one").papers} == {p.title for p in read(tmp_path / "many").papers}


# ---- engines


def test_bags_survive_the_disk(tokens: list[bags.Bag], tmp_path: Path) -> None:
    bags.write_bags(tmp_path / "bags", tokens)
    assert list(bags.read_bags(tmp_path / "bags")) == tokens


def matching(wanted: bags.Wanted, papers: list[bags.Bag]) -> set[int]:
    """The papers that a query admits, found by looking at each."""
    found = set()
    for number, bag in enumerate(papers):
        held = [term in bag.tokens for term in wanted.tokens]
        size = len(wanted.tokens)
        runs = (tuple(bag.tokens[i : i + size]) for i in range(len(bag.tokens)))
        matches = (
            wanted.tokens in runs if wanted.kind == bags.PHRASE else (all if wanted.kind == bags.ALL else any)(held)
        )
        in_time = not wanted.years or wanted.years[0] <= bag.year <= wanted.years[1]
        if matches and in_time and wanted.category in ("", bag.category):
            found.add(number)
    return found


@pytest.mark.parametrize("name", bags.NEEDS)
def test_engines_find_the_same_papers(name: str, tokens: list[bags.Bag], tmp_path: Path) -> None:
    if lacking := bags.missing(name):
        pytest.skip(f"needs {lacking}")
    engine = bags.NEEDS[name][0]()
    engine.build(tmp_path, tokens)
    engine.open(tmp_path)
    queries = [wanted for wanted in bags.draw_queries(tokens, 8, seed=3) if wanted.kind in engine.knows]
    assert any(matching(wanted, tokens) for wanted in queries)
    for wanted in queries:
        assert set(engine.search(wanted, PAPERS)) == matching(wanted, tokens), wanted
        assert engine.search(wanted, 3) == engine.search(wanted, PAPERS)[:3], wanted


@pytest.mark.parametrize("name", stock.SCRIPTS)
def test_scripts_find_and_change_a_paper(name: str, digest: Path, tmp_path: Path) -> None:
    script = stock.SCRIPTS[name]
    if lacking := script.missing():
        pytest.skip(f"needs {lacking}")
    folder = tmp_path / "index"
    stock.build(name, digest, folder)
    titles = [draft.title.split(":")[0] for draft in digests.synthetic(PAPERS) if ":" in draft.title]
    title = next(title for title in titles if title.isalpha())
    command = [sys.executable, "-c", script.code, str(folder), title]
    shown = subprocess.run(command, capture_output=True, env=child_environment(), check=True).stdout.decode()
    assert title in shown
    if script.opened:
        edit, numbers = script.opened(folder)
        assert numbers("zzunheardof") == []
        edit(7, stock.Text("Another title", "others", "zzunheardof"))
        assert numbers("zzunheardof") == [7]


# ---- queries


def test_queries_are_drawn_alike(digest: Path, tokens: list[bags.Bag]) -> None:
    papers = read(digest).papers
    assert typed.type_queries(papers, 3, 1) == typed.type_queries(papers, 3, 1) != typed.type_queries(papers, 3, 2)
    assert bags.draw_queries(tokens, 3, 1) == bags.draw_queries(tokens, 3, 1) != bags.draw_queries(tokens, 3, 2)
    assert {wanted.kind for wanted in bags.draw_queries(tokens, 1, 1)} == set(bags.CLASSES)


def test_slips_are_words_of_no_title(digest: Path) -> None:
    papers = read(digest).papers
    words = {word for paper in papers for word in paper.title.replace("-", " ").split()}
    for slip in typed.slips(papers, 20, 1):
        assert slip not in words
        assert any(sorted(slip) == sorted(word.rstrip(":")) for word in words)


# ---- figures


FIGURES: bars.Figures = {
    "cold": {
        "shipped": {bars.OURS: 30.0, bars.CLICK: 20.0, stock.WHOOSH_NAME: 510.0},
        "1000": {bars.OURS: 10.0, bars.CLICK: 10.0},
        "10000": {bars.OURS: 20.0, bars.CLICK: 10.0},
        "100000": {bars.OURS: 40.0, bars.CLICK: 10.0},
        "zh-en 10000": {bars.OURS: 1000.0, bars.CLICK: 10.0},
    }
}


def test_bars_say_what_is_held() -> None:
    rows = {name: (figure, word) for name, figure, _, word in bars.bar_rows(FIGURES)}
    assert len(rows) == len(bars.BARS)
    assert rows["cold, shipped digest: ours ÷ import click"] == ("1.5", "held")
    assert rows["cold, 10,000: ours ÷ import click"] == ("2", "not held")
    assert rows["cold, shipped digest: Whoosh + jieba ÷ ours"] == ("17", "not held")
    assert rows["cold: slope from 1,000 papers on"] == ("0.301", "not held")
    assert rows["one edit: slope from 1,000 papers on"] == ("–", "not measured")


def test_slopes_are_powers_of_the_number_of_papers() -> None:
    figures = {"edit": {str(n): {"linear": 3.0 * n, "flat": 7.0, "once": 1.0} for n in (1000, 10_000, 100_000)}}
    figures["edit"]["60"] = {"linear": 1e9, "flat": 1e9, "once": 1.0}
    del figures["edit"]["1000"]["once"], figures["edit"]["10000"]["once"]
    assert bars.slope(figures, "edit", "linear") == pytest.approx(1.0)
    assert bars.slope(figures, "edit", "flat") == pytest.approx(0.0)
    with pytest.raises(KeyError):
        bars.slope(figures, "edit", "once")


def test_tables_are_ratios_with_the_figures_beside_them() -> None:
    first, last = speed.tables({"cold": {"1000": {bars.CLICK: 50.0, bars.OURS: 75.0}}}, markdown=True)
    assert first.splitlines() == [
        "| whole process, ÷ import click (ms) | 1000 |",
        "| --- | --: |",
        "| import click | 1 (50) |",
        "| papersearch | 1.5 (75) |",
    ]
    assert "not measured" in last


def test_times_are_medians_of_rounds_by_query() -> None:
    rounds = [[(9.0, 1.0), (20.0, 10.0)], [(7.0, 3.0), (30.0, 30.0)], [(8.0, 2.0), (90.0, 90.0)]]
    assert speed.per_query(rounds) == ([8.0, 30.0], [2.0, 30.0])
    calls: list[int] = []
    first, median = speed.asked_us(lambda: calls.append(1))
    assert len(calls) == speed.ASKED
    assert first > 0.0 < median
    found = speed.spread([4.0, 1.0, 2.0, 3.0, 90.0])
    assert (found["mean"], found["p50"]) == (20.0, 3.0)
    assert 4.0 < found["p99"] <= 90.0


def test_an_edit_adds_a_word_to_one_paper(digest: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    before = next(digest.iterdir()).read_text(encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    speed.edit_notes(file, 3, "zzunheardof")
    after = file.read_text(encoding="utf-8")
    assert after.replace(" zzunheardof", "") == before
    (paper,) = [paper for paper in read(file).papers if "zzunheardof" in paper.sections[0].text]
    assert paper.line == [i for i, line in enumerate(before.split("\n"), 1) if line.startswith("### ")][3]


def test_memory_is_that_of_the_process_alone() -> None:
    held = bytearray(60_000_000)
    small, large = (run_once(python(code), child_environment()) for code in ("pass", "bytearray(120_000_000)"))
    assert len(held) > small.peak_mb * 1e6
    assert large.peak_mb > 120
    with pytest.raises(CommandFailed, match="exit code 3"):
        run_once(python("import sys; sys.exit(3)"), child_environment())
