"""Whatever lies in the corpus or happens beside us: the rest is indexed, the old index stays, one line says what was wrong."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from corpora import copy_glossary, write_notes
from papersearch import Index, PapersearchError, UsageError, open_index
from papersearch.api import build_index
from papersearch.errors import CorpusError, IndexFolderError, IndexReadOnlyError
from papersearch.files import read_bytes
from papersearch.index.reader import read_generation

GOOD = "### Good[ICML'20]\n- about zebras\n"
OTHER = "### Other[ICML'21]\n- about yaks\n"


@pytest.fixture(autouse=True)
def _one_glossary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papersearch.glossary.compiled.compile_glossary", copy_glossary)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "corpus", {"good.md": GOOD, "other.md": OTHER})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def titles(index: Index, query: str = "") -> list[str]:
    return [hit.paper.title for hit in index.search(query)]


def reading(path: str, act: Callable[[Path], bytes]) -> Callable[[str], bytes]:
    """read_bytes(), but for one file."""
    return lambda file: act(Path(file)) if os.path.basename(file) == path else read_bytes(file)


def fails(code: int) -> Callable[[Path], bytes]:
    def act(file: Path) -> bytes:
        raise OSError(code, os.strerror(code), str(file))

    return act


# ---- in the corpus


def test_a_file_that_cannot_be_read_is_skipped_and_named(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("papersearch.digest.read_bytes", reading("other.md", fails(errno.EACCES)))
    changes = build_index(corpus, folder)
    assert len(changes.added) == 1
    (line,) = changes.skipped
    assert "other.md" in line and os.strerror(errno.EACCES) in line and "\n" not in line
    with open_index(corpus, folder, refresh=False) as index:
        assert titles(index) == ["Good"]
        assert any("other.md" in notice for notice in index.notices)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read anything")
def test_a_file_without_permission(corpus: Path, folder: Path) -> None:
    (corpus / "other.md").chmod(0)
    changes = build_index(corpus, folder)
    assert (len(changes.added), len(changes.skipped)) == (1, 1)


def test_a_file_that_vanishes_while_it_is_read(corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(file: Path) -> bytes:
        file.unlink()
        return read_bytes(file)

    monkeypatch.setattr("papersearch.digest.read_bytes", reading("other.md", vanish))
    changes = build_index(corpus, folder)
    assert (len(changes.added), len(changes.skipped)) == (1, 1)
    monkeypatch.undo()
    with open_index(corpus, folder) as index:
        assert titles(index) == ["Good"]
        assert index.notices == ()


def test_a_file_that_becomes_readable_again_is_indexed(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("papersearch.digest.read_bytes", reading("other.md", fails(errno.EIO)))
    build_index(corpus, folder)
    monkeypatch.undo()
    with open_index(corpus, folder) as index:
        assert titles(index, "yaks") == ["Other"]
        assert index.notices == ()


def test_a_file_that_changes_while_it_is_read_is_seen_at_the_next_look(corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def change(file: Path) -> bytes:
        data = read_bytes(file)
        write_notes(corpus, {"other.md": OTHER.replace("yaks", "gnus")})
        return data

    monkeypatch.setattr("papersearch.digest.read_bytes", reading("other.md", change))
    build_index(corpus, folder)
    monkeypatch.undo()
    with open_index(corpus, folder) as index:
        assert titles(index, "gnus") == ["Other"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_odd_things_named_like_notes(corpus: Path, folder: Path) -> None:
    os.mkfifo(corpus / "pipe.md")
    (corpus / "loop").symlink_to(corpus, target_is_directory=True)
    (corpus / "self.md").symlink_to("self.md")
    (corpus / "out.md").symlink_to("/etc/passwd")
    (corpus / "folder.md").mkdir()
    write_notes(corpus, {"folder.md/inner.md": "### Inner[ICML'22]\n- about gnus\n"})
    changes = build_index(corpus, folder)
    assert {line.split(":")[0] for line in changes.skipped} == {"pipe.md", "self.md", "out.md"}
    with open_index(corpus, folder) as index:
        assert sorted(titles(index)) == ["Good", "Inner", "Other"]


def test_names_that_are_no_utf_8(corpus: Path, folder: Path) -> None:
    try:
        (corpus / os.fsdecode(b"b\xe4d.md")).write_text("### Named oddly[ICML'22]\n- about gnus\n")
    except (OSError, UnicodeError):
        pytest.skip("this file system wants UTF-8")
    with open_index(corpus, folder) as index:
        assert titles(index, "gnus") == ["Named oddly"]
    with open_index(corpus, folder) as index:
        assert len(titles(index)) == 3


NOTES: dict[str, str | bytes] = {
    "no bytes": b"",
    "nulls": b"\0" * 5000,
    "noise": bytes(range(256)) * 40,
    "gbk": "### 论文[ICML'22]\n- 中文笔记，足够长的一句话\n".encode("gbk"),
    "cut utf-8": "### 论文[ICML'22]\n- 中文".encode()[:-1],
    "one long line": "- " + "zebra " * 50_000,
    "one long word": "x" * 300_000,
    "one long chinese run": "检" * 100_000,
    "many headings": "### A[ICML'22]\n" * 3000,
    "levels": "".join("#" * (i % 7 + 1) + f" H{i}\n" for i in range(2000)),
    "brackets": "[" * 5000,
    "stars": "*" * 5000 + "a" + "_" * 5000,
    "quotes": "> " * 3000 + "deep\n",
    "list": "".join(" " * i + "- x\n" for i in range(400)),
    "references": "".join(f"[r{i}]: x{i}.md\n" for i in range(3000)) + "[r1]" * 500,
    "links": "### A[ICML'22]\n" + "[a](b.md) " * 3000,
    "backticks": "".join("`" * (i % 50) + "a" for i in range(3000)),
    "table": "|a" * 3000 + "\n" + "|-" * 3000 + "\n",
    "html": "<div " * 5000,
    "entities": "&amp;" * 5000 + "&" * 5000,
    "surrogates": "### A\ud800[ICML'22]\n- \udfff zebra\n",
    "bidi": "### \u202eA\u202c[ICML'22]\n- \u2066zebra\u2069\n",
    "accents": "a" + "\u0301" * 20_000,
    "front matter never closed": "---\n" + "key: value\n" * 500,
}


@pytest.mark.parametrize("content", NOTES.values(), ids=NOTES.keys())
def test_hostile_notes_stop_nothing(corpus: Path, folder: Path, content: str | bytes) -> None:
    import time

    write_notes(corpus, {"bad.md": content})
    started = time.perf_counter()
    changes = build_index(corpus, folder)
    assert time.perf_counter() - started < 20
    with open_index(corpus, folder, refresh=False) as index:
        assert titles(index, "yaks")[:1] == ["Other"]
        assert set(titles(index, "title:good")) >= {"Good"}
        assert len(index.papers()) == len(changes.added)
        for hit in index.search("zebra"):
            assert len(hit.snippet) < 1000


# ---- in the index folder


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise IndexReadOnlyError(
            "the index folder x cannot be written (Read-only file system); choose another with --index"
        )

    monkeypatch.setattr("papersearch.index.writer.IndexWriter", refuse)


def test_a_folder_that_cannot_be_written_still_answers(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(corpus, folder)
    write_notes(corpus, {"good.md": GOOD.replace("zebras", "gnus")})
    read_only(monkeypatch)
    with open_index(corpus, folder) as index:
        assert titles(index, "zebras") == ["Good"]
        assert any("cannot be written" in notice for notice in index.notices)
    with pytest.raises(IndexReadOnlyError):
        build_index(corpus, folder)


def test_a_full_disk_still_answers(corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_index(corpus, folder)
    write_notes(corpus, {"good.md": GOOD.replace("zebras", "gnus")})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with open_index(corpus, folder) as index:
        assert titles(index, "zebras") == ["Good"]
        assert any("No space left" in notice and "last finished build" in notice for notice in index.notices)
    with pytest.raises(IndexFolderError, match="No space left"):
        build_index(corpus, folder)


def test_a_folder_that_vanishes_while_it_is_written(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        shutil.rmtree(folder)

    with monkeypatch.context() as patch:
        patch.setattr("papersearch.glossary.shipped_in", lambda *_, **__: gone())
        with pytest.raises(IndexFolderError, match="could not be written"):
            build_index(corpus, folder)
    with open_index(corpus, folder) as index:
        assert titles(index, "zebras") == ["Good"]


def test_a_folder_that_cannot_be_written_and_holds_nothing(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only(monkeypatch)
    with pytest.raises(IndexReadOnlyError):
        open_index(corpus, folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission(corpus: Path, folder: Path) -> None:
    build_index(corpus, folder)
    write_notes(corpus, {"good.md": GOOD.replace("zebras", "gnus")})
    for entry in (*folder.iterdir(), folder):
        entry.chmod(0o500 if entry == folder else 0o400)
    try:
        with open_index(corpus, folder) as index:
            assert titles(index, "zebras") == ["Good"]
            assert index.notices
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("boom"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt(), MemoryError()],
)
def test_a_build_that_fails_leaves_the_old_index(corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:  # fmt: skip
    build_index(corpus, folder)
    generation = read_generation(folder)
    write_notes(corpus, {"good.md": GOOD.replace("zebras", "gnus"), "third.md": "### Third[ICML'22]\n- about oxen\n"})

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("papersearch.index.documents.to_document", fail)
    with pytest.raises(type(error)):
        build_index(corpus, folder)
    assert read_generation(folder) == generation
    with open_index(corpus, folder, refresh=False) as index:
        assert titles(index, "zebras") == ["Good"]
    monkeypatch.undo()
    assert len(build_index(corpus, folder).added) == 1


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_index(
    corpus: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    build_index(corpus, folder)
    write_notes(corpus, {"good.md": GOOD.replace("zebras", "gnus")})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(IndexFolderError, match=os.strerror(errno.ENOSPC)):
        build_index(corpus, folder)
    monkeypatch.undo()
    with open_index(corpus, folder, refresh=False) as index:
        assert titles(index, "zebras") == ["Good"]
    with open_index(corpus, folder) as index:
        assert titles(index, "gnus") == ["Good"]


def test_an_index_where_a_file_stands(corpus: Path, folder: Path) -> None:
    folder.write_text("not a folder")
    with pytest.raises(PapersearchError) as caught:
        open_index(corpus, folder)
    assert "\n" not in str(caught.value)
    assert folder.read_text() == "not a folder"


def test_a_folder_of_other_things_is_left_alone(corpus: Path, folder: Path) -> None:
    write_notes(folder, {"README.md": "mine", "data.bin": b"\0\1"})
    build_index(corpus, folder)
    build_index(corpus, folder, rebuild=True)
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / "data.bin").read_bytes() == b"\0\1"


def test_an_index_that_was_moved_answers_from_its_new_place(corpus: Path, folder: Path, tmp_path: Path) -> None:
    build_index(corpus, folder)
    shutil.move(folder, tmp_path / "elsewhere")
    with open_index(corpus, tmp_path / "elsewhere") as index:
        assert titles(index, "zebras") == ["Good"]


# ---- from the caller


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"year": "20x2"}, "20x2"),
        ({"year": ""}, None),
        ({"sort": ""}, "order"),
        ({"facets": ["title"]}, "title"),
        ({"limit": 10**12}, None),
    ],
)
def test_odd_arguments(corpus: Path, folder: Path, options: dict[str, object], told: str | None) -> None:
    with open_index(corpus, folder) as index:
        if told is None:
            assert len(index.search("", **options)) == 2  # type: ignore[arg-type]
        else:
            with pytest.raises(UsageError, match=told):
                index.search("", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["", "\0", "x" * 5000, "no/such/folder"])
def test_odd_paths(tmp_path: Path, folder: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((CorpusError, UsageError)) as caught:
        open_index(path, folder)
    assert "\n" not in str(caught.value)
    assert read_generation(folder) is None
