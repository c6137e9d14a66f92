"""Any bytes are a note: nothing hostile in one keeps the others from being found, and reading takes linear time."""

from __future__ import annotations

import gc
import io
import os
import random
import socket
import stat
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora import write_notes
from papersearch import open_index
from papersearch.analysis.words import jieba_words
from papersearch.api import build_index
from papersearch.digest import read_corpus
from papersearch.files import decode
from papersearch.index.documents import to_document
from papersearch.paper import Paper, Section
from torture.shapes import SHAPES

Count = Callable[[str, str, int], None]

GOOD = "### Good[ICML'20]\n- about zebras\n"
HEADING = "### 论文：检测[ICML'22]\n- 中文笔记，足够长的一句话\n"

ENCODINGS: dict[str, bytes] = {
    "utf-8": HEADING.encode(),
    "utf-8 with BOM": HEADING.encode("utf-8-sig"),
    "utf-16": HEADING.encode("utf-16"),
    "utf-16 be": b"\xfe\xff" + HEADING.encode("utf-16-be"),
    "gb18030": HEADING.encode("gb18030"),
    "crlf": HEADING.replace("\n", "\r\n").encode(),
    "cr": HEADING.replace("\n", "\r").encode(),
    "nul": HEADING.replace("，", "\0").encode(),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(place: Path, name: str, tally: Count) -> None:
    corpus = write_notes(place / "corpus", {"a.md": ENCODINGS[name], "good.md": GOOD})
    with open_index(corpus, place / "index") as index:
        assert [hit.paper.year for hit in index.search("笔记")] == [2022]
        assert [hit.paper.title for hit in index.search("zebras")] == ["Good"]
    tally("notes", "encodings", 1)


def test_random_bytes_are_read_and_the_rest_is_found(place: Path, rounds: int, tally: Count) -> None:
    rng = random.Random(11)
    pieces = [b"### ", b"[ICML'22]", b"\n", b"\r", b"\0", b"```", b"- ", b"> ", b"|", b"<!--", b"\xff\xfe", b"\xef\xbb\xbf", "检测".encode(), "检".encode()[:2], "检".encode("gbk"), b"](", b"a.md)", b"    "]  # fmt: skip
    files: dict[str, str | bytes] = {"good.md": GOOD}
    count = 150 * rounds
    for number in range(count):
        parts = [rng.choice(pieces) if rng.random() < 0.7 else rng.randbytes(rng.randrange(9)) for _ in range(60)]
        files[f"{number}.md"] = b"".join(parts)
    corpus = write_notes(place / "corpus", files)
    changes = build_index(corpus, place / "index")
    assert changes.files == count + 1 and not changes.skipped
    with open_index(corpus, place / "index", refresh=False) as index:
        assert "Good" in [hit.paper.title for hit in index.search("zebras")]
        assert len(index.papers()) == len(changes.added)
    tally("notes", "random files", count)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_what_is_no_file_is_not_opened(place: Path, tally: Count) -> None:
    corpus = write_notes(place / "corpus", {"good.md": GOOD})
    secret = write_notes(place / "outside", {"secret.md": "### Secret[ICML'22]\n- zebras too\n"})
    os.mkfifo(corpus / "pipe.md")
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.getcwd()
        os.chdir(corpus)
        try:
            bound.bind("socket.md")
        finally:
            os.chdir(here)
        (corpus / "gone.md").symlink_to("nowhere.md")
        (corpus / "loop.md").symlink_to("loop.md")
        (corpus / "up").symlink_to(corpus, target_is_directory=True)
        (corpus / "out.md").symlink_to(secret / "secret.md")
        (corpus / "outside").symlink_to(secret, target_is_directory=True)
        kinds = 7
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            try:
                os.mknod(corpus / "device.md", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
                kinds += 1
            except OSError:
                pass  # not even the superuser may make devices in some containers
        with open_index(corpus, place / "index") as index:
            assert [hit.paper.title for hit in index.search("zebras")] == ["Good"]
    tally("notes", "things that are no files", kinds)


def seconds(file: Path) -> float:
    """CPU time of reading, without that of looking through whatever the tests before have left in memory."""
    gc.disable()
    try:
        started = time.process_time()
        read_corpus([str(file)])
        return time.process_time() - started
    finally:
        gc.enable()


@pytest.mark.parametrize("name", SHAPES)
def test_reading_takes_linear_time(place: Path, name: str, tally: Count) -> None:
    """Four times the text in at most seven times the time: quadratic would be sixteen. bench/notes.py has the curve.

    What else runs on the machine can make one measurement twice as long, never shorter: the best of up to six counts.
    """
    texts = {"small.md": SHAPES[name](10_000), "large.md": SHAPES[name](40_000)}
    files = [write_notes(place, texts) / file for file in texts]
    small, large = map(seconds, files)
    for _ in range(5):
        small, large = min(small, seconds(files[0])), min(large, seconds(files[1]))
        if large < 7 * small + 0.02:
            break
    assert large < 7 * small + 0.02
    tally("notes", "shapes", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_reading_takes_linear_time_in_large_notes(place: Path, name: str, tally: Count) -> None:
    """Where a few characters take so long that what is quadratic does not yet show; and no shape takes more than ten
    times as long as the others."""
    texts = {"small.md": SHAPES[name](100_000), "large.md": SHAPES[name](400_000)}
    small, large = (min(seconds(write_notes(place, texts) / file) for _ in range(2)) for file in texts)
    assert large < 6 * small + 0.1
    assert small < 2
    tally("notes", "large notes", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_large_note_of_any_shape_is_indexed(place: Path, name: str, tally: Count) -> None:
    corpus = write_notes(place / "corpus", {"large.md": SHAPES[name](100_000), "good.md": GOOD})
    started = time.process_time()
    build_index(corpus, place / "index")
    assert time.process_time() - started < 10
    with open_index(corpus, place / "index", refresh=False) as index:
        assert "Good" in [hit.paper.title for hit in index.search("zebras", limit=None)]
    tally("notes", "large notes", 1)


def test_a_large_note_takes_memory_in_proportion(tally: Count) -> None:
    """Its tokens are not all kept apart until it is indexed."""
    rng = random.Random(2)
    words = rng.choices([*(f"w{n} " for n in range(300)), "检测到后门攻击，", "知识蒸馏。"], k=25_000)
    text = "\n- ".join("".join(words[at : at + 60]) for at in range(0, len(words), 60))
    paper = Paper("0123abcd", "Large", "a.md", 1, 2, sections=(Section("a.md", 2, text),))
    gc.collect()
    tracemalloc.start()
    try:
        document = to_document(paper, jieba_words)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(map(len, document.tokens.values())) > 25_000
    assert peak < 100 * len(text.encode())
    tally("notes", "large notes", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one word", "one line", "chinese"])
def test_notes_of_10_mb(place: Path, name: str, rounds: int, tally: Count) -> None:
    """Read, and indexed too where the loops are longer: as many words take a minute."""
    text = f"{GOOD}\n### Large[ICML'21]\n{SHAPES[name](10_000_000)}"
    corpus = write_notes(place / "corpus", {"large.md": text})
    only_read = name != "one word" and rounds == 1
    assert len(build_index(corpus, place / "index", dry_run=only_read).added) >= 2
    if not only_read:
        with open_index(corpus, place / "index", refresh=False) as index:
            assert "Good" in [hit.paper.title for hit in index.search("zebras", limit=None)]
    tally("notes", "notes of 10 MB", 1)


@pytest.mark.slow
def test_a_hundred_thousand_papers_in_one_file(place: Path, rounds: int, tally: Count) -> None:
    """Read and told apart; indexed too where the loops are longer."""
    count = 100_000
    papers = (f"### Paper {n} of very many[ICML'2{n % 5}]\n- note w{n}\n" for n in range(count))
    corpus = write_notes(place / "corpus", {"all.md": "## Kind\n" + "".join(papers)})
    added = build_index(corpus, place / "index", dry_run=rounds == 1).added
    assert len(added) == len(set(added)) == count
    if rounds > 1:
        with open_index(corpus, place / "index", refresh=False) as index:
            assert [hit.paper.title for hit in index.search("w77777")] == ["Paper 77777 of very many"]
    tally("notes", "papers in one file", count)


CHANGES: dict[str, Callable[[Path], object]] = {
    "rewritten": lambda path: path.write_text(CHANGED),
    "longer": lambda path: path.write_text(path.read_text() + CHANGED),
    "shorter": lambda path: os.truncate(path, len(CHANGING) // 3),
    "replaced": lambda path: os.replace(write_notes(path.parents[1], {"new": CHANGED}) / "new", path),
    "removed": lambda path: path.unlink(),
}
FILLER = "<!-- " + "x" * 30_000 + " -->\n"
CHANGING = f"### First[ICML'20]\n- before zebras\n\n{FILLER}\n### Last[ICML'20]\n- before zebras\n"
CHANGED = CHANGING.replace("before", "after")


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "again and again"])
@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("build", ["first", "update"])
def test_a_note_that_changes_while_it_is_read(
    place: Path, monkeypatch: pytest.MonkeyPatch, build: str, how: str, times: int, tally: Count
) -> None:
    """It is read as it was or as it is now, not half and half. One that never stops is left out, or stays as it was
    indexed last, and a line says so; the next look has it right."""
    corpus = write_notes(place / "corpus", {"good.md": GOOD, "changing.md": CHANGING.replace("before", "at first")})
    if build == "update":
        build_index(corpus, place / "index")
    path = corpus / "changing.md"
    path.write_text(CHANGING)
    os.utime(path, (1, 1))
    left = [times]

    class Reading(io.FileIO):
        """A file that somebody changes when half of it has been read."""

        def read(self, size: int | None = -1) -> bytes:
            begun = super().read(len(CHANGING) // 2) or b""
            if left[0] and path.exists() and os.path.samestat(os.fstat(self.fileno()), os.stat(path)):
                left[0] -= 1
                CHANGES[how](path)
            return begun + self.readall()

    with monkeypatch.context() as patch:
        patch.setattr("papersearch.files.open", lambda descriptor, mode: Reading(descriptor, mode), raising=False)
        with open_index(corpus, place / "index") as index:
            found = {hit.paper.title: hit.snippet for hit in index.search("zebras", limit=None)}
            said = [notice for notice in index.notices if "changing.md" in notice]
    assert left[0] < times
    assert "Good" in found
    others = {snippet.split()[0] for title, snippet in found.items() if title != "Good"}
    if how not in ("longer", "replaced"):
        assert len(others) <= 1, found
    if times > 1 and how in ("rewritten", "longer", "shorter"):
        assert len(said) == 1 and "being written" in said[0], said
        assert others == ({"at"} if build == "update" else set()), found
    else:
        assert not said
    with open_index(corpus, place / "index") as index:
        found = {hit.paper.title: hit.snippet for hit in index.search("zebras", limit=None)}
    write_notes(place / "copy", {"good.md": GOOD, **({"changing.md": path.read_bytes()} if path.exists() else {})})
    with open_index(place / "copy", place / "other") as index:
        assert found == {hit.paper.title: hit.snippet for hit in index.search("zebras", limit=None)}
    tally("notes", "files changed while they are read", 1)


def test_bytes_that_are_no_text_are_replaced() -> None:
    text, remark = decode(b"### A\n\xff\xff\xff zebra")
    assert "zebra" in text and remark is not None and "\n" not in remark
    assert sys.getsizeof(text) < 1000
