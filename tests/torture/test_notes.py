"""Any bytes are a note: nothing hostile in one keeps the others from being found, and reading takes linear time."""

from __future__ import annotations

import gc
import os
import random
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora import write_notes
from papersearch import open_index
from papersearch.api import build_index
from papersearch.digest import parse_note
from papersearch.files import decode
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


def seconds(text: str) -> float:
    """CPU time of parsing, without that of looking through whatever the tests before have left in memory."""
    gc.disable()
    try:
        started = time.process_time()
        parse_note("a.md", text)
        return time.process_time() - started
    finally:
        gc.enable()


@pytest.mark.parametrize("name", SHAPES)
def test_reading_takes_linear_time(name: str, tally: Count) -> None:
    """Four times the text in at most seven times the time: quadratic would be sixteen. bench/notes.py has the curve.

    What else runs on the machine can make one measurement twice as long, never shorter: the best of up to six counts.
    """
    texts = SHAPES[name](10_000), SHAPES[name](40_000)
    small, large = map(seconds, texts)
    for _ in range(5):
        small, large = min(small, seconds(texts[0])), min(large, seconds(texts[1]))
        if large < 7 * small + 0.02:
            break
    assert large < 7 * small + 0.02
    tally("notes", "shapes", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_large_note_of_any_shape_is_indexed(place: Path, name: str, tally: Count) -> None:
    corpus = write_notes(place / "corpus", {"large.md": SHAPES[name](250_000), "good.md": GOOD})
    started = time.process_time()
    build_index(corpus, place / "index")
    assert time.process_time() - started < 15
    with open_index(corpus, place / "index", refresh=False) as index:
        assert "Good" in [hit.paper.title for hit in index.search("zebras", limit=None)]
    tally("notes", "large notes", 1)


def test_bytes_that_are_no_text_are_replaced() -> None:
    text, remark = decode(b"### A\n\xff\xff\xff zebra")
    assert "zebra" in text and remark is not None and "\n" not in remark
    assert sys.getsizeof(text) < 1000
