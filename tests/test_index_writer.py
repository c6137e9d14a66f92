"""IndexWriter: what it refuses, what it leaves behind, who may write, and what a crash at any step does."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import pytest

from papersearch.errors import (
    IndexBusyError,
    IndexDamagedError,
    IndexFolderError,
    IndexReadOnlyError,
    UsageError,
)
from papersearch.index import builder, codec, flatfile, lock, toc, workers
from papersearch.index.reader import open_snapshot, read_generation
from papersearch.index.toc import SegmentEntry
from papersearch.index.verify import verify
from papersearch.index.writer import Document, IndexWriter

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def document(doc_id: str, word: str = "word") -> Document:
    return Document(doc_id, {"text": [(word, 0, 3.0), ("all", 1, 1.0)]}, {}, {"venue": ["NeurIPS"]}, {"word": word})


def commit(folder: Path, *documents: Document, fresh: bool = False, remove: tuple[str, ...] = ()) -> int:
    with IndexWriter(folder, fresh=fresh) as writer:
        for one in documents:
            writer.add(one)
        for doc_id in remove:
            writer.remove(doc_id)
        return writer.commit({"made by": "test"})


def contents(folder: Path) -> dict[str, str]:
    """Id -> word of each document of the current generation."""
    with open_snapshot(folder) as snapshot:
        return {doc_id: snapshot.stored(snapshot.doc_of(doc_id) or 0)["word"] for doc_id in snapshot.ids()}


def segment_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in (".doc", ".inv")}


def named_files(folder: Path) -> set[str]:
    """Segment files that the current or the previous table names."""
    names = toc.read_toc(str(folder)).file_names()
    if (folder / "toc.prev.json").exists():
        names |= toc.read_toc(str(folder), "toc.prev.json").file_names()
    return names


# ---- Adding and removing


def test_a_generation_is_seen_only_after_commit(tmp_path: Path) -> None:
    assert commit(tmp_path, document("p1")) == 1
    with IndexWriter(tmp_path) as writer:
        writer.add(document("p2"))
        assert writer.remove("p1")
        assert contents(tmp_path) == {"p1": "word"}
        assert writer.commit({}) == 2
    assert contents(tmp_path) == {"p2": "word"}


def test_leaving_without_commit_changes_nothing(tmp_path: Path) -> None:
    commit(tmp_path, document("p1"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with IndexWriter(tmp_path) as writer:
        writer.add(document("p2"))
    with pytest.raises(ZeroDivisionError), IndexWriter(tmp_path) as writer:
        writer.add(document("p1", "other"))
        raise ZeroDivisionError
    with IndexWriter(tmp_path) as writer:
        writer.add(document("p3"))
        writer.abort()
        writer.abort()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_aborting_deletes_segments_that_were_written_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tmp_path, document("p1"))
    before = segment_names(tmp_path)
    monkeypatch.setattr(builder, "MAX_POOL_DOCUMENTS", 2)
    with IndexWriter(tmp_path) as writer:
        for number in range(7):
            writer.add(document(f"new{number}"))
        assert len(segment_names(tmp_path)) >= len(before) + 6
    assert segment_names(tmp_path) == before


def test_the_last_document_of_an_id_stays(tmp_path: Path) -> None:
    commit(tmp_path, document("p1", "old"), document("p2"))
    with IndexWriter(tmp_path) as writer:
        for word in ("one", "two", "three"):
            writer.add(document("p1", word))
        assert writer.remove("p2") and not writer.remove("p2")
        writer.add(document("p3"))
        assert writer.remove("p3") and not writer.remove("p3")
        assert not writer.remove("never there")
        writer.commit({})
    assert contents(tmp_path) == {"p1": "three"}
    with open_snapshot(tmp_path) as snapshot:
        assert snapshot.doc_count == 1
        assert [snapshot.field("text").doc_frequency(word) for word in ("old", "one", "two", "three")] == [0, 0, 0, 1]


def test_seeded_random_numbers_give_no_name_twice(tmp_path: Path) -> None:
    for number in range(3):
        random.seed(0)
        commit(tmp_path, document(f"p{number}"))
    assert len(contents(tmp_path)) == 3


def test_a_removed_document_can_come_back(tmp_path: Path) -> None:
    commit(tmp_path, document("p1", "old"))
    with IndexWriter(tmp_path) as writer:
        assert writer.remove("p1")
        writer.add(document("p1", "new"))
        writer.commit({})
    assert contents(tmp_path) == {"p1": "new"}


def test_a_finished_writer_says_so(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        writer.commit({})
        uses: list[Callable[[], object]] = [
            lambda: writer.add(document("p1")),
            lambda: writer.remove("p1"),
            lambda: writer.commit({}),
        ]
        for use in uses:
            with pytest.raises(UsageError, match="finished"):
                use()


class NotJson:
    pass


@pytest.mark.parametrize(
    "bad",
    [
        Document(""),
        Document("x", {"absent": [("a", 0, 1.0)]}),
        Document("x", {"venue": [("a", 0, 1.0)]}),
        Document("x", {"stored": [("a", 0, 1.0)]}),
        Document("x", {"text": [("a", -1, 1.0)]}),
        Document("x", {"text": [("a", 2**31, 1.0)]}),
        Document("x", {"text": [("a", 0, 0.0)]}),
        Document("x", {"text": [("a", 0, -1.0)]}),
        Document("x", {"text": [("a", 0, float("nan"))]}),
        Document("x", {"text": [("a", 0, float("inf"))]}),
        Document("x", {"text": [("a", 0, 1.0 + number) for number in range(2**13 + 1)]}),
        Document("x", lengths={"text": -1}),
        Document("x", lengths={"text": 2**32}),
        Document("x", keywords={"text": ["a"]}),
        Document("x", keywords={"absent": ["a"]}),
        Document("x", keywords={"id": ["y"]}),
        Document("x", keywords={"venue": ["a", 3]}),  # type: ignore[list-item]
        Document("x", stored={"a": NotJson()}),
        Document("x", stored={"a": float("nan")}),
    ],
    ids=lambda bad: repr(bad)[:60],
)
def test_a_document_that_cannot_be_indexed_changes_nothing(tmp_path: Path, bad: Document) -> None:
    with IndexWriter(tmp_path) as writer:
        writer.add(document("x", "kept"))
        with pytest.raises(UsageError) as caught:
            writer.add(bad)
        assert "\n" not in str(caught.value)
        writer.add(document("y"))
        writer.commit({})
    assert contents(tmp_path) == {"x": "kept", "y": "word"}
    assert verify(tmp_path) == []


def test_meta_that_is_not_json_is_refused_and_the_writer_goes_on(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        writer.add(document("p1"))
        with pytest.raises(UsageError, match="meta data"):
            writer.commit({"a": NotJson()})
        writer.commit({"a": "b"})
    assert contents(tmp_path) == {"p1": "word"}


def test_weights_do_not_depend_on_the_order_of_tokens(tmp_path: Path) -> None:
    boosts = [0.1, 0.2, 0.3, 1e-17, 3.0, 0.7]
    for seed in range(5):
        shuffled = random.Random(seed).sample(boosts, len(boosts))
        commit(tmp_path, Document(f"p{seed}", {"text": [("a", 5, boost) for boost in shuffled]}))
    with open_snapshot(tmp_path) as snapshot:
        postings = snapshot.field("text").postings("a")
        assert postings is not None and len(set(postings.weights)) == 1
        assert list(postings.positions(0)) == [5] * len(boosts)


# ---- Segments


def test_small_indexes_have_one_segment_and_large_ones_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for number in range(20):
        commit(tmp_path, document(f"p{number}"))
        with open_snapshot(tmp_path) as snapshot:
            assert len(snapshot.segments()) == 1
    monkeypatch.setattr(codec, "MERGE_ALL_BELOW", 0)
    for number in range(20, 200):
        commit(tmp_path, document(f"p{number}"), remove=(f"p{number - 20}",) if number % 3 else ())
        with open_snapshot(tmp_path) as snapshot:
            assert len(snapshot.segments()) <= 3 * codec.MERGE_FACTOR
            live = [segment.entry.live for _, segment in snapshot.segments()]
            assert all(live) and all(
                len(segment.deleted) <= segment.documents * codec.TOLERATED_DELETED or len(live) == 1
                for _, segment in snapshot.segments()
            )
    assert verify(tmp_path) == []
    assert len(contents(tmp_path)) == 200 - sum(1 for number in range(20, 200) if number % 3)


def test_merging_keeps_the_order_of_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MERGE_ALL_BELOW", 0)
    monkeypatch.setattr(codec, "MERGE_FACTOR", 3)
    monkeypatch.setattr(codec, "SMALLEST_TIER", 2)
    ids = [f"p{number}" for number in random.Random(3).sample(range(100), 40)]
    for start in range(0, 40, 2):
        commit(tmp_path, document(ids[start]), document(ids[start + 1]))
    with open_snapshot(tmp_path) as snapshot:
        assert [doc for doc_id in ids if (doc := snapshot.doc_of(doc_id)) is not None] == list(range(40))


def test_a_few_edits_do_not_rewrite_what_several_processes_have_built() -> None:
    def sizes(*documents: int) -> list[list[int]]:
        segments = [codec.FlatSegment("", SegmentEntry(f"{n:016}", count)) for n, count in enumerate(documents)]
        return [[segment.doc_count() for segment in group] for group in codec.merge_plan(segments)]

    built = [5000, 5000]
    assert sizes(*built, *[1] * 7) == [[5000], [5000], *[[1]] * 7]
    assert sizes(*built, *[1] * 8) == [[5000], [5000], [1] * 8]
    assert sizes(*built, *[20] * 7, 1) == [[5000], [5000], *[[20]] * 7, [1]]
    assert sizes(*built, *[20] * 8, 1) == [[5000], [5000], [20] * 8 + [1]]
    most = workers.MOST_WORKERS
    assert sizes(*[5000] * most, 1) == [*[[5000]] * most, [1]]


def test_the_same_documents_give_the_same_bytes(tmp_path: Path) -> None:
    sections = []
    for name in ("one", "two"):
        commit(tmp_path / name, *(document(f"p{number}", f"w{number % 5}") for number in range(20)))
        commit(tmp_path / name, document("p3", "other"))
        with open_snapshot(tmp_path / name) as snapshot:
            files = [file for _, segment in snapshot.segments() for file in segment.files.values()]
            sections.append(
                {section: bytes(file.section(section, "BHIQd")) for file in files for section in file.names()}
            )
    assert sections[0] == sections[1]


# ---- Files


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    foreign = {
        "README.md": b"about",
        "abcdefghijklmnop.doc": b"a letter",
        "abcdefghijklmnop.txt": b"",
        "notes.inv": b"",
    }
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "ponmlkjihgfedcba.inv").mkdir()
    for _ in range(3):
        commit(tmp_path, document("p1"), fresh=True)
    assert {name: (tmp_path / name).read_bytes() for name in foreign} == foreign
    assert (tmp_path / "ponmlkjihgfedcba.inv").is_dir()


def test_the_previous_generation_stays_until_the_next_commit(tmp_path: Path) -> None:
    commit(tmp_path, document("p1"))
    first = segment_names(tmp_path)
    commit(tmp_path, document("p1", "again"), fresh=True)
    second = segment_names(tmp_path) - first
    assert segment_names(tmp_path) == first | second
    commit(tmp_path, document("p1", "again"), fresh=True)
    assert segment_names(tmp_path) & (first | second) == second
    assert segment_names(tmp_path) == named_files(tmp_path)


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    commit(tmp_path, document("p1"))
    (tmp_path / "0123456789abcdef.doc").write_bytes(flatfile.MAGIC + b"half")
    (tmp_path / "0123456789abcdef.inv").write_bytes(b"")
    (tmp_path / "toc.json.tmp").write_bytes(b"half")
    commit(tmp_path, document("p2"))
    assert segment_names(tmp_path) == named_files(tmp_path)
    assert not (tmp_path / "toc.json.tmp").exists()


def test_fresh_starts_from_nothing_and_switches_at_commit(tmp_path: Path) -> None:
    commit(tmp_path, document("p1"))
    with IndexWriter(tmp_path, fresh=True) as writer:
        assert not writer.remove("p1")
        writer.add(document("p2"))
        assert contents(tmp_path) == {"p1": "word"}
        assert writer.commit({}) == 2
    assert contents(tmp_path) == {"p2": "word"}


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_fresh_repairs_a_damaged_index(tmp_path: Path, content: bytes | None) -> None:
    commit(tmp_path, document("p1"))
    commit(tmp_path, document("p2"))
    if content is None:
        (tmp_path / sorted(toc.read_toc(str(tmp_path)).file_names())[0]).unlink()
    else:
        (tmp_path / "toc.json").write_bytes(content)
    with pytest.raises(IndexDamagedError):
        IndexWriter(tmp_path)
    generation = commit(tmp_path, document("p3"), fresh=True)
    assert generation >= 2 and contents(tmp_path) == {"p3": "word"} and verify(tmp_path) == []
    assert segment_names(tmp_path) == named_files(tmp_path) or content is None


def test_links_left_in_the_folder_are_not_followed(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "index"
    victim.write_bytes(b"precious")
    commit(folder, document("p1"))
    (folder / "toc.json.tmp").symlink_to(victim)
    commit(folder, document("p2"))
    assert victim.read_bytes() == b"precious" and contents(folder) == {"p1": "word", "p2": "word"}
    for number, content in enumerate((b"precious", b"")):
        victim.write_bytes(content)
        (folder / "lock").unlink()
        (folder / "lock").symlink_to(victim)
        commit(folder, document(f"q{number}"))
        assert victim.read_bytes() == content and not (folder / "lock").is_symlink()
    other = tmp_path / "no index"
    other.mkdir()
    (other / "lock").symlink_to(victim)
    with pytest.raises(IndexFolderError):
        IndexWriter(other)
    assert victim.read_bytes() == b"" and (other / "lock").is_symlink()


@pytest.mark.parametrize("content", [b"apt owns this", b"{}", b"[1]"])
def test_a_lock_file_of_someone_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    with pytest.raises(IndexFolderError, match="not written by papersearch"):
        IndexWriter(tmp_path)
    assert (tmp_path / "lock").read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 40,
        b'{"pyd":123,"since":""}',
        b"",
        b'{"p',
        b'{"pid":12',
        b'{"pid":12,"since":"2020-01-01T00:00:00+00:00"}',
    ],
)
def test_the_lock_file_of_a_dead_writer_is_taken_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    assert commit(tmp_path, document("p1")) == 1


# ---- Who may write


def test_two_writers_in_one_process(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        before = time.monotonic()
        with pytest.raises(IndexBusyError, match=f"process {os.getpid()} since 2"):
            IndexWriter(tmp_path, lock_timeout_s=0.2)
        assert 0.2 <= time.monotonic() - before < 5
        writer.add(document("p1"))
        writer.commit({})
    assert commit(tmp_path, document("p2")) == 2


def test_a_waiting_writer_goes_on_when_the_first_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = IndexWriter(tmp_path)
    first.add(document("p1"))

    def finish_first(seconds: float) -> None:
        first.commit({})

    monkeypatch.setattr(lock, "time", type("time", (), {"sleep": finish_first, "monotonic": time.monotonic}))
    commit(tmp_path, document("p2"))
    assert contents(tmp_path) == {"p1": "word", "p2": "word"}


def fork(work: Callable[[], object]) -> int:
    """Run in a child process that ends without any clean-up; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


@needs_fork
def test_another_process_is_named_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    commit(tmp_path, document("p1"))
    ready = tmp_path / "ready"

    def hold() -> None:
        writer = IndexWriter(tmp_path)
        writer.add(document("p2"))
        ready.touch()
        time.sleep(60)

    pid = fork(hold)
    try:
        deadline = time.monotonic() + 20
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(IndexBusyError, match=f"process {pid} since {datetime.now(timezone.utc).year}"):
            IndexWriter(tmp_path, lock_timeout_s=0)
        assert contents(tmp_path) == {"p1": "word"}, "readers do not wait"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert commit(tmp_path, document("p3")) == 2
    assert contents(tmp_path) == {"p1": "word", "p3": "word"}


def test_a_holder_that_has_not_yet_said_who_it_is(tmp_path: Path) -> None:
    held = lock.WriteLock(str(tmp_path), 0)
    for content in (b"", b"{", b'{"pid":"x"}', b'{"pid":1,"since":3}', b'{"pid":1e400,"since":""}', b"[" * 2000):
        (tmp_path / "lock").write_bytes(content)
        with pytest.raises(IndexBusyError, match="another process"):
            IndexWriter(tmp_path, lock_timeout_s=0)
    held.release()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    commit(tmp_path, document("p1"))
    real_open = os.open

    def refuse(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(number, os.strerror(number), path)
        return real_open(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(IndexReadOnlyError) as caught:
        IndexWriter(tmp_path)
    assert os.strerror(number) in str(caught.value) and str(tmp_path) in str(caught.value)
    assert contents(tmp_path) == {"p1": "word"}, "reading needs no writing"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    commit(tmp_path / "index", document("p1"))
    for path in (tmp_path / "index").iterdir():
        path.chmod(0o444)
    (tmp_path / "index").chmod(0o555)
    try:
        with pytest.raises(IndexReadOnlyError):
            IndexWriter(tmp_path / "index")
        assert contents(tmp_path / "index") == {"p1": "word"}
    finally:
        (tmp_path / "index").chmod(0o755)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "link"):
        with pytest.raises(IndexFolderError, match="is no folder; choose another with --index"):
            IndexWriter(folder)


# ---- Failures and crashes


def full_disk(*arguments: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("target", ["os.fsync", "os.replace", "papersearch.index.flatfile.FlatWriter.close"])
def test_a_full_disk_at_commit_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    commit(tmp_path, document("p1"))
    with IndexWriter(tmp_path) as writer:
        writer.add(document("p2"))
        with monkeypatch.context() as patch:
            patch.setattr(target, full_disk)
            with pytest.raises(IndexFolderError, match="No space left on device"):
                writer.commit({})
        with pytest.raises(UsageError, match="finished"):
            writer.commit({})
    assert contents(tmp_path) == {"p1": "word"} and verify(tmp_path) == []
    assert commit(tmp_path, document("p3")) == 2
    assert segment_names(tmp_path) == named_files(tmp_path)


def test_a_full_disk_while_adding_leaves_the_old_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path, document("p1"))
    before = segment_names(tmp_path)
    with IndexWriter(tmp_path) as writer:
        writer.add(document("p2"))
        with monkeypatch.context() as patch:
            patch.setattr(flatfile.FlatWriter, "_write", full_disk)
            patch.setattr(builder, "MAX_POOL_TOKENS", 1)  # what is added is written then
            with pytest.raises(IndexFolderError, match="No space left on device"):
                writer.add(document("p3"))
        with pytest.raises(UsageError, match="finished"):
            writer.add(document("p3"))
    assert contents(tmp_path) == {"p1": "word"} and segment_names(tmp_path) == before


def test_an_interrupt_after_the_switch_keeps_the_new_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path, document("p1"))

    def interrupt(*arguments: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(toc, "remove_unused", interrupt)
    with pytest.raises(KeyboardInterrupt), IndexWriter(tmp_path) as writer:
        writer.add(document("p2"))
        writer.commit({})
    assert contents(tmp_path) == {"p1": "word", "p2": "word"} and verify(tmp_path) == []


def test_everything_is_on_disk_before_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of system calls that a power failure depends on, at the third commit, which also removes files."""
    commit(tmp_path, document("p1"))
    commit(tmp_path, document("p2"))
    old = segment_names(tmp_path)
    steps: list[tuple[str, str]] = []
    real_sync, real_replace, real_unlink = os.fsync, os.replace, os.unlink

    def name_of(descriptor: int) -> str:
        same = [
            path.name for path in [tmp_path, *tmp_path.iterdir()] if os.path.samestat(os.fstat(descriptor), path.stat())
        ]
        return same[0]

    def sync(descriptor: int) -> None:
        steps.append(("sync", name_of(descriptor)))
        real_sync(descriptor)

    def replace(source: Any, target: Any) -> None:
        steps.append(("replace", os.path.basename(target)))
        real_replace(source, target)

    def unlink(path: Any) -> None:
        steps.append(("unlink", os.path.basename(path)))
        real_unlink(path)

    for name, function in (("fsync", sync), ("replace", replace), ("unlink", unlink)):
        monkeypatch.setattr(os, name, function)
    commit(tmp_path, document("p3"))
    files = [("sync", name) for name in sorted(toc.read_toc(str(tmp_path)).file_names())]
    removed = [step for step in steps if step[0] == "unlink"]
    folder = ("sync", tmp_path.name)
    temporary = ("sync", "toc.json.tmp")
    assert steps == [
        *files,
        folder,
        temporary,
        ("replace", "toc.prev.json"),
        temporary,
        ("replace", "toc.json"),
        folder,
        *removed,
    ]
    assert {name for _, name in removed} >= old - named_files(tmp_path)


def crash_at(step: int) -> None:
    """Make this process die, as by kill -9, just before the step-th change it makes to the disk."""
    left = [step]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)
            return function(*arguments)

        return wrapper

    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    flatfile.FlatWriter._write = counted(flatfile.FlatWriter._write)  # type: ignore[method-assign]


@needs_fork
def test_a_crash_at_any_step_leaves_the_old_or_the_new_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    old, new = {"p1": "word", "p2": "word"}, {"p1": "new", "p2": "word", "p3": "word"}
    seen: set[int] = set()
    step, code = 0, 9
    commit(tmp_path / "start", document("p1"))
    commit(tmp_path / "start", document("p2"))
    while code == 9:
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "start", folder)
        pid = fork(lambda: (crash_at(step), commit(folder, document("p1", "new"), document("p3"))))  # noqa: B023
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        generation = read_generation(folder)
        assert generation in (2, 3) and verify(folder) == []
        assert contents(folder) == (old if generation == 2 else new), f"killed at step {step}"
        seen.add(generation)
        commit(folder, document("p4"))
        assert set(contents(folder)) == {*(old if generation == 2 else new), "p4"}
        assert segment_names(folder) == named_files(folder) and not (folder / "toc.json.tmp").exists()
        step += 1
    assert code == 0 and seen == {2, 3} and step > 30


@needs_fork
def test_kill_9_at_any_moment_beside_a_reader(tmp_path: Path) -> None:
    commit(tmp_path, document("p", "0"))
    rng = random.Random(4)

    def write_on() -> None:
        while True:
            number = int(contents(tmp_path)["p"]) + 1
            commit(tmp_path, document("p", str(number)), *(document(f"q{i}", str(number)) for i in range(20)))

    last = 0
    for turn in range(60):
        if turn > 5 and last > 3:
            break
        pid = fork(write_on)
        deadline = time.monotonic() + rng.uniform(0.05, 0.4)
        while time.monotonic() < deadline:
            words = set(contents(tmp_path).values())
            assert len(words) == 1 and int(min(words)) >= last, "one generation, whole, and never an older one"
            last = int(min(words))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert verify(tmp_path) == []
    assert last > 3


# ---- Nothing is unpickled

NO_PICKLE = """
import pickle, sys

def refuse(*arguments, **options):
    raise AssertionError("something was pickled")

import whoosh.formats, whoosh.index, whoosh.writing, whoosh.codec.base, whoosh.columns  # all that use pickle
for module in list(sys.modules.values()):
    for name in ("dumps", "loads", "dump", "load"):
        value = getattr(module, name, None)
        if module.__name__ != "marshal" and getattr(value, "__module__", "") in ("_pickle", "pickle", "marshal"):
            setattr(module, name, refuse)
pickle.Unpickler = pickle.Pickler = refuse

from papersearch.index.codec import whoosh_index
from papersearch.index.reader import open_snapshot
from papersearch.index.writer import Document, IndexWriter
from whoosh.qparser import QueryParser

try:
    pickle.dumps(1)
except AssertionError:
    pass
else:
    sys.exit("the guard does not work")
folder = sys.argv[1]
for commit in range(3):
    with IndexWriter(folder) as writer:
        for number in range(5):
            writer.add(Document(f"p{commit}{number}", {"text": [("a", 0, 1.0), ("b", 1, 2.0)]}, stored={"n": number}))
        writer.commit({})
index = whoosh_index(folder)
with index.searcher() as searcher:
    assert len(searcher.search(QueryParser("text", index.schema).parse('"a b"'))) == 15
with open_snapshot(folder) as snapshot:
    assert len(snapshot.field("text").postings("a")) == 15
print("done")
"""


def test_nothing_is_pickled_or_unpickled(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", NO_PICKLE, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "done\n", done.stderr


def test_importing_the_writer_imports_no_whoosh() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    code = "import papersearch.index.writer, sys; print([name for name in sys.modules if 'whoosh' in name])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_table_of_contents_is_json_with_its_checksum_first(tmp_path: Path) -> None:
    commit(tmp_path, document("p1"))
    data = (tmp_path / "toc.json").read_bytes()
    table = json.loads(data)
    assert list(table)[:3] == ["crc32", "format", "generation"] and table["meta"] == {"made by": "test"}
    assert data.startswith(b'{"crc32":"%s","format":5,"generation":1,' % table["crc32"].encode())


@pytest.fixture(autouse=True)
def leave_no_lock() -> Iterator[None]:
    """Each writer of a test is finished; a forgotten one would show up as a held descriptor."""
    yield
    if os.path.isdir("/proc/self/fd"):
        held = [
            os.readlink(f"/proc/self/fd/{fd}")
            for fd in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{fd}")
        ]
        assert not [path for path in held if path.endswith("/lock")]
