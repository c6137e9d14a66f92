"""Which files are notes, their bytes, their encoding, whether they changed."""

from __future__ import annotations

import itertools
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import write_notes
from papersearch.errors import CorpusError
from papersearch.files import (
    FileState,
    Known,
    Notice,
    changed_files,
    cut,
    decode,
    digest_of,
    digest_of_pieces,
    find_notes,
    read_bytes,
    root_names,
    scan,
)

# ---- which files


def test_markdown_files_are_found_sorted_whatever_their_case(tmp_path: Path) -> None:
    names = ["b.md", "a.MD", "sub/c.markdown", " odd dir/笔记.Md", "z/y/x/w.md"]
    others = ["a.txt", "md", "b.md.bak", ".hidden.md", ".git/x.md", "node_modules/y.md", "sub/.cache/z.md"]
    write_notes(tmp_path, dict.fromkeys([*names, *others], "x"))
    assert find_notes(tmp_path) == (sorted(names), [])


def test_a_file_stands_for_itself(tmp_path: Path) -> None:
    write_notes(tmp_path, {"one.txt": "x"})
    assert find_notes(tmp_path / "one.txt") == (["one.txt"], [])


def test_a_folder_named_like_a_note_is_a_folder(tmp_path: Path) -> None:
    write_notes(tmp_path, {"x.md/inner.md": "x"})
    assert find_notes(tmp_path) == (["x.md/inner.md"], [])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_what_is_no_regular_file_is_skipped_and_named(tmp_path: Path) -> None:
    write_notes(tmp_path, {"real.md": "x", "sub/real.md": "x"})
    os.mkfifo(tmp_path / "fifo.md")
    (tmp_path / "link.md").symlink_to("real.md")
    (tmp_path / "dangling.md").symlink_to("nothing.md")
    (tmp_path / "loop.md").symlink_to("loop.md")
    (tmp_path / "sub/up").symlink_to("..", target_is_directory=True)
    found, notices = find_notes(tmp_path)
    assert found == ["real.md", "sub/real.md"]
    assert {n.path for n in notices} == {"fifo.md", "link.md", "dangling.md", "loop.md"}
    assert {n.kind for n in notices} == {"skipped"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_reading_a_fifo_fails_instead_of_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.md")
    with pytest.raises(OSError, match="regular"):
        read_bytes(tmp_path / "x.md")
    with pytest.raises(OSError):
        read_bytes(tmp_path)


def test_names_of_roots_are_unique(tmp_path: Path) -> None:
    for name in ("a/notes", "b/notes", "c/notes", "other"):
        (tmp_path / name).mkdir(parents=True)
    assert root_names([tmp_path / "other"]) == [""]
    names = root_names([tmp_path / n for n in ("a/notes", "b/notes", "other", "c/notes")])
    assert names == ["notes/", "notes-2/", "other/", "notes-3/"]


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="gone"):
        scan([tmp_path / "gone"])


@pytest.mark.parametrize(
    ("notice", "line"), [(Notice("a.md", 3, "is odd"), "a.md:3: is odd"), (Notice("a.md", 0, "is odd"), "a.md: is odd")]
)
def test_a_notice_as_one_line(notice: Notice, line: str) -> None:
    assert str(notice) == line


# ---- encodings

SAMPLE = "# 标题 Möbius\n- 中文笔记，足够长的一句话\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_in_silence(encoding: str) -> None:
    assert decode(SAMPLE.encode(encoding)) == (SAMPLE, None)


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("gbk", "GB18030"), ("gb18030", "GB18030"), ("utf-16", "UTF-16")],
    ids=["gbk", "gb18030", "utf-16"],
)
def test_other_encodings_are_read_and_told(encoding: str, told: str) -> None:
    sample = SAMPLE.replace("ö", "o") if encoding == "gbk" else SAMPLE
    text, remark = decode(sample.encode(encoding))
    assert text == sample
    assert remark is not None and told in remark and "UTF-8" in remark


@pytest.mark.parametrize(("mark", "encoding"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
def test_both_byte_orders_of_utf_16(mark: bytes, encoding: str) -> None:
    text, remark = decode(mark + SAMPLE.encode(encoding))
    assert (text, bool(remark)) == (SAMPLE, True)


def test_broken_bytes_are_replaced_and_their_line_told() -> None:
    text, remark = decode("第一行\n第二行 ".encode() + b"\xff\xff\x00 end\n")
    assert text.startswith("第一行\n第二行 ") and text.endswith(" end\n") and "\ufffd" in text
    assert remark is not None and "line 2" in remark


@given(st.binary(max_size=60))
def test_any_bytes_are_read(data: bytes) -> None:
    text, remark = decode(data)
    assert isinstance(text, str)
    assert (remark is None) == (text.encode("utf-8", "surrogatepass") == data.removeprefix(b"\xef\xbb\xbf"))


@given(st.text())
def test_any_text_in_utf_8_comes_back(text: str) -> None:
    assert decode(text.encode())[0] == text.removeprefix("\ufeff") or text.encode().startswith(
        (b"\xff\xfe", b"\xfe\xff")
    )


# ---- did it change


def look(*roots: Path) -> tuple[Known, int]:
    """The states of now, as a build remembers them, looked at long after the files were written."""
    states = [FileState(*stat, digest_of(read_bytes(_place(roots, stat[0])))) for stat in scan(roots)[0]]
    known = Known.of(states)
    assert known.states() == states
    return known, time.time_ns() + 10_000_000_000


def _place(roots: tuple[Path, ...], path: str) -> Path:
    if len(roots) == 1:
        return roots[0] / path if roots[0].is_dir() else roots[0]
    for root, prefix in zip(roots, root_names(roots), strict=True):
        if path.startswith(prefix):
            return root / path.removeprefix(prefix) if root.is_dir() else root
    raise AssertionError(path)


def test_added_changed_and_removed_files_are_told(tmp_path: Path) -> None:
    write_notes(tmp_path, {"a.md": "one", "b.md": "two", "sub/c.md": "three"})
    known, at = look(tmp_path)
    assert changed_files([tmp_path], known, at) == []
    write_notes(tmp_path, {"b.md": "two, longer", "sub/d.md": "new"})
    (tmp_path / "a.md").unlink()
    assert sorted(changed_files([tmp_path], known, at)) == ["a.md", "b.md", "sub/d.md"]


def test_a_file_that_was_only_touched_has_not_changed(tmp_path: Path) -> None:
    write_notes(tmp_path, {"a.md": "one"})
    known, at = look(tmp_path)
    os.utime(tmp_path / "a.md", (1, 1))
    assert changed_files([tmp_path], known, at) == []


def test_a_change_of_the_same_size_is_seen(tmp_path: Path) -> None:
    write_notes(tmp_path, {"a.md": "one"})
    known, at = look(tmp_path)
    write_notes(tmp_path, {"a.md": "two"})
    assert changed_files([tmp_path], known, at) == ["a.md"]


def test_a_change_within_the_clock_of_the_file_system_is_seen(tmp_path: Path) -> None:
    """The same size and the same times: what was looked at right after it was written is read again."""
    write_notes(tmp_path, {"a.md": "one"})
    known, _ = look(tmp_path)
    state = known.state(0)
    write_notes(tmp_path, {"a.md": "two"})
    os.utime(tmp_path / "a.md", ns=(state.mtime_ns, state.mtime_ns))
    now = scan([tmp_path])[0][0]
    assert changed_files([tmp_path], Known.of([FileState(*now, state.digest)]), now[3] + 1) == ["a.md"]


def test_several_roots_and_single_files(tmp_path: Path) -> None:
    write_notes(tmp_path, {"one/a.md": "one", "two/a.md": "two", "three.md": "three"})
    roots = (tmp_path / "one", tmp_path / "two", tmp_path / "three.md")
    known, at = look(*roots)
    assert changed_files(roots, known, at) == []
    assert len(known.stats) == 3
    write_notes(tmp_path, {"two/a.md": "changed", "three.md": "changed"})
    assert len(changed_files(roots, known, at)) == 2


def test_a_root_that_is_gone_raises(tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        changed_files([tmp_path / "gone"], Known([], b""), 0)


# ---- pieces


@given(
    st.lists(st.sampled_from(["# A", "#b", "words", "", "## 词", "a # b"]), max_size=60).map("\n".join),
    st.integers(1, 40),
)
def test_pieces_are_all_of_a_file_and_begin_with_a_number_sign(text: str, least: int) -> None:
    data = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("papersearch.files.PIECE_BYTES", least)
        starts, digests = cut(data)
        assert digest_of(data) == digest_of_pieces(digests)
    assert starts[0] == 0 and len(starts) == len(digests)
    pieces = [data[a:b] for a, b in itertools.pairwise([*starts, len(data)])]
    assert b"".join(pieces) == data
    assert all(piece.startswith(b"#") for piece in pieces[1:]) and all(len(piece) > least for piece in pieces[:-1])


def test_after_an_edit_nearly_all_pieces_are_the_same() -> None:
    draw = random.Random(3)
    papers = [f"### Paper {n}\n- {'words ' * draw.randrange(20, 200)}\n\n" for n in range(2000)]
    before = set(cut("".join(papers).encode())[1])
    for _ in range(20):
        at, kind = draw.randrange(len(papers)), draw.randrange(3)
        now = [*papers]
        now[at : at + 1] = [papers[at], "### New\n- words\n"] if kind == 0 else [papers[at] + "- more\n"] * (kind - 1)
        after = cut("".join(now).encode())[1]
        assert len(before) > 60 and len(set(after) - before) <= 6
