"""Index files that somebody changes: noticed at the next opening, at the next search of an open index, in a merge."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora import write_notes
from papersearch import IndexDamagedError, open_index
from papersearch.api import build_index
from papersearch.index import codec, flatfile
from papersearch.index.reader import open_snapshot
from papersearch.index.toc import read_toc
from papersearch.index.verify import verify

PAPERS = "".join(f"### Paper {n}[CVPR'22]\n- about yaks and w{n}\n\n" for n in range(300))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index that is read piece by piece, and no section of which is small enough to be checked when it is used."""
    monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", 0)
    monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", 0)
    write_notes(tmp_path / "corpus", {"d.md": f"## C\n\n{PAPERS}"})
    build_index(tmp_path / "corpus", tmp_path / "index")
    return tmp_path / "index"


def flip(path: Path, at: int) -> None:
    """Change a byte in place: the file stays the same inode, which readers have open."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def middle_of(path: Path, section: str) -> int:
    _, offset, count, _ = flatfile.FlatFile(str(path))._directory[section]
    return offset + count // 2


def postings(index: Path) -> Path:
    (path,) = index.glob("*.inv")
    return path


def test_a_changed_byte_is_found_at_the_next_opening(index: Path) -> None:
    path = postings(index)
    open_snapshot(index).close()
    flip(path, middle_of(path, "text/docs"))
    with pytest.raises(IndexDamagedError, match="section text/docs fails its checksum"):
        open_snapshot(index)
    with open_index(index.parent / "corpus", index) as mended:
        assert mended.search("yaks").total == 300 and "was built anew" in mended.notices[0]
    assert verify(index) == []


def test_who_sets_the_time_back_is_found_out(index: Path) -> None:
    path = postings(index)
    before = path.stat()
    flip(path, middle_of(path, "text/docs"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(IndexDamagedError):
        open_snapshot(index)


def test_a_change_that_changes_nothing_costs_a_look(index: Path) -> None:
    path = postings(index)
    os.utime(path)
    for _ in range(2):
        open_snapshot(index).close()
    write_notes(index.parent / "corpus", {"e.md": "### New[ICML'20]\n- about oxen\n"})
    build_index(index.parent / "corpus", index)
    stamps = read_toc(index).stamps
    assert stamps[path.name] == flatfile.stamp_of(path.stat())


def test_what_is_damaged_is_not_published_as_whole(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that takes over a file which was changed after it was opened."""
    path = postings(index)
    write_notes(index.parent / "corpus", {"e.md": "### New[ICML'20]\n- about oxen\n"})
    write = codec.FlatSegmentWriter._commit_toc

    def commit(self: codec.FlatSegmentWriter, segments: list[codec.FlatSegment]) -> None:
        flip(path, middle_of(path, "text/docs"))
        write(self, segments)

    with monkeypatch.context() as patch:
        patch.setattr(codec.FlatSegmentWriter, "_commit_toc", commit)
        build_index(index.parent / "corpus", index)
    with pytest.raises(IndexDamagedError, match="checksum"):
        open_snapshot(index)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "change",
    [lambda path: flip(path, middle_of(path, "text/docs")), truncate, lambda path: path.write_bytes(b"")],
    ids=["flipped", "cut in half", "emptied"],
)
def test_an_open_index_notices(index: Path, change: Callable[[Path], None]) -> None:
    with open_index(index.parent / "corpus", index) as opened, open_snapshot(index) as snapshot:
        assert opened.search("yaks").total == 300
        change(postings(index))
        with pytest.raises(IndexDamagedError):
            snapshot.recheck()
        assert opened.search("yaks").total == 300
        assert any("was built anew" in notice for notice in opened.notices)


def test_an_open_index_does_not_mind_what_is_no_damage(index: Path) -> None:
    with open_index(index.parent / "corpus", index) as opened:
        os.utime(postings(index))
        assert opened.search("yaks").total == 300
        for path in index.iterdir():  # as after commits; what is open stays
            path.unlink()
        assert opened.search("yaks").total == 300 and not opened.notices


def test_a_damaged_segment_is_not_merged(index: Path) -> None:
    """Two thirds of the papers change, so that the segment is written anew: not from what cannot be trusted."""
    path = postings(index)
    changed = PAPERS.replace("yaks", "oxen", 200)
    with open_snapshot(index) as snapshot:
        at = middle_of(path, "text/docs")
        stamp = snapshot.segments()[0][1].files["inv"].stamp
    flip(path, at)
    table = read_toc(index)
    table.stamps[path.name] = flatfile.stamp_of(path.stat())  # as if the file system had not noticed
    assert table.stamps[path.name] != stamp
    (index / "toc.json").write_bytes(table.to_bytes())
    write_notes(index.parent / "corpus", {"d.md": f"## C\n\n{changed}"})
    assert build_index(index.parent / "corpus", index).rebuilt == "the index was damaged"
    assert verify(index) == []


LARGE_QUERIES = ["yaks w77", "检测", "oxen", "w5*", "year:2021 w8", ""]


@pytest.mark.parametrize("arrays", [False, True], ids=["plain", "arrays"])
def test_large_sections_are_read_as_small_ones_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arrays: bool
) -> None:
    """Several segments, some papers changed or gone: everything that reads sections has to bear a Window."""
    if arrays:
        pytest.importorskip("numpy")
    monkeypatch.setattr("papersearch.search.ARRAY_DOCUMENTS", 0 if arrays else 1 << 30)
    found = []
    for limit in (flatfile.READ_WHOLE_BYTES, 0):
        monkeypatch.setattr(flatfile, "READ_WHOLE_BYTES", limit)
        monkeypatch.setattr(flatfile, "CHECK_ON_USE_BYTES", limit)
        corpus, folder = tmp_path / f"corpus {limit}", tmp_path / f"index {limit}"
        for step in range(4):
            papers = [
                f"### Paper {n}[CVPR'2{n % 5}]\n- yaks 检测 w{n} {'oxen' * (n < 9 * step)}\n" for n in range(step, 600)
            ]
            write_notes(corpus, {f"d{at}.md": "".join(papers[at : at + 150 + 9 * step]) for at in range(0, 600, 150)})
            build_index(corpus, folder, rebuild=not step)
        with open_index(corpus, folder) as index:
            answers = [index.search(query, facets=True, limit=None) for query in 2 * LARGE_QUERIES]
            hits = [[(hit.paper, hit.score, hit.snippet) for hit in answer] for answer in answers]
            found.append(([(answer.total, answer.facets) for answer in answers], hits, index.papers()))
            assert len(index._now.snapshot.segments()) > 1 and not index.notices
        assert verify(folder) == []
    assert found[0] == found[1]
