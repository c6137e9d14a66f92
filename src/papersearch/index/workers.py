"""Analysing many papers on all cores: each worker process turns a share of them into segments of its own.

A worker is another Python that runs main() of this module, told so on its command line: it needs nothing of the
program that started it, is never forked, and works from scripts without a `__main__` of their own. It reads JSON lines
on its standard input (what it has to know, papers as they are stored, `null` at the end) and writes JSON lines: how
many papers are done, in the end the segments it has written. A worker whose input ends without `null` writes nothing.

Workers may be started before the papers are known: they load jieba's dictionary while notes are read.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any

from papersearch.errors import IndexFolderError, PapersearchError
from papersearch.index.toc import DOCUMENTS, SegmentEntry
from papersearch.paper import Paper

if TYPE_CHECKING:
    from typing_extensions import Self

PARALLEL_FROM = 500
"""Papers from which on a second process pays: one takes a second to start, with jieba's dictionary."""
MOST_WORKERS = 7
"""More would make segments that a search has to look through one by one, or that the commit would merge."""
PAPER_BYTES = 1000
"""Of notes, by which the number of papers is guessed before they are read."""
REPORT_EVERY = 25
"""Papers between two reports of a worker."""

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from papersearch.index.workers import main; main()"


def workers_for(papers: int) -> int:
    """How many processes that many papers are worth; 1 for this one alone."""
    if papers < PARALLEL_FROM or not sys.executable:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, MOST_WORKERS, papers * 2 // PARALLEL_FROM))


def shares(papers: Sequence[Paper], count: int) -> list[Sequence[Paper]]:
    """The papers in order, cut into so many stretches of about as much text each."""
    sizes = [sum(len(section.text) for section in paper.sections) + len(paper.title) + 200 for paper in papers]
    total, done, cuts = sum(sizes), 0, [0]
    for number, size in enumerate(sizes):
        done += size
        if done * count >= total * len(cuts) and len(cuts) < count:
            cuts.append(number + 1)
    return [papers[a:b] for a, b in zip(cuts, [*cuts[1:], len(papers)], strict=True) if a < b]


def _start() -> subprocess.Popen[bytes]:
    """Another Python that runs main(). Raises OSError."""
    return subprocess.Popen(
        [sys.executable, "-c", _START, json.dumps(sys.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # of which numpy would start one for each core
    )  # fmt: skip


class _Worker:
    """One process with the threads that feed it and listen to it."""

    def __init__(self, number: int, folder: str, words: Sequence[str], told: _Told) -> None:
        self._number, self._told = number, told
        self.process = _start()
        self._shares = queue.SimpleQueue[Sequence[Paper]]()
        head = {"folder": folder, "words": list(words)}
        for work in (lambda: self._feed(self.process.stdin, head), lambda: self._listen(self.process.stdout)):
            threading.Thread(target=work, daemon=True).start()

    def give(self, share: Sequence[Paper]) -> None:
        """Tell it what to do; to be called once."""
        self._shares.put(share)

    def _feed(self, pipe: IO[bytes] | None, head: dict[str, Any]) -> None:
        assert pipe is not None
        try:
            with pipe:
                pipe.write(_line(head))
                pipe.flush()
                for paper in self._shares.get():
                    pipe.write(_line([paper.stored(), paper.path, paper.line, paper.end_line]))
                pipe.write(_line(None))
        except (OSError, ValueError):
            return  # it died, which the other thread tells

    def _listen(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        with pipe:
            for line in pipe:
                self._told.put((self._number, json.loads(line)))
        self._told.put((self._number, None))


_Told = queue.SimpleQueue[tuple[int, Any]]


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


class Workers:
    """Processes that write segments into a folder; they start at once. A context manager: leaving it ends them.

    `words`: the user's own. Raises IndexFolderError when a process cannot be started.
    """

    def __init__(self, folder: str, words: Sequence[str], count: int) -> None:
        self._folder = folder
        self._told: _Told = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._busy = 0
        try:
            for number in range(count):
                self._workers.append(_Worker(number, folder, words, self._told))
        except OSError as error:
            self.close()
            raise IndexFolderError(
                f"no process could be started to help to build the index ({error.strerror})"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for worker in self._workers:
            worker.process.kill()
            worker.give(())  # for its thread to end
        for worker in self._workers:
            worker.process.wait()

    def give(self, papers: Sequence[Paper]) -> None:
        """Have the papers analysed. To be called once."""
        given = shares(papers, len(self._workers))
        self._busy = len(given)
        for worker, share in zip(self._workers, given, strict=False):
            worker.give(share)

    def segments(self, progress: Callable[[int], None]) -> list[SegmentEntry]:
        """Segments with the documents of all papers that were given, in their order, when they are done.

        `progress(done)` is called now and then. Raises IndexFolderError when a worker fails; what was written by then
        is left to the caller to remove.
        """
        found: dict[int, list[SegmentEntry]] = {}
        done = [0] * len(self._workers)
        while len(found) < self._busy:
            number, message = self._told.get()
            if type(message) is int:
                done[number] = message
                progress(sum(done))
            elif type(message) is list:
                found[number] = [_entry(*values) for values in message]
            elif number not in found:
                reason = message["error"] if message else f"exit code {self._workers[number].process.wait()}"
                raise IndexFolderError(
                    f"a process that helped to build the index in {self._folder} failed ({reason}); try again"
                )
        return [entry for number in range(self._busy) for entry in found[number]]


class DocumentsMerge:
    """A process that does builder.merge_documents() while this one merges the postings of the segments. A context
    manager: leaving it ends the process. Called once, it waits for what comes of it; None if nothing does, and then
    there is no file."""

    def __init__(self, folder: str, entries: Sequence[SegmentEntry], segment_id: str) -> None:
        """`entries`: of segments of which no document is deleted."""
        self._path = os.path.join(folder, f"{segment_id}.{DOCUMENTS}")
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._process = _start()
            assert self._process.stdin is not None
            head = {"folder": folder, "merge": [_told(entry) for entry in entries], "into": segment_id}
            self._process.stdin.write(_line(head))
            self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def __call__(self) -> tuple[dict[str, int], tuple[int, int]] | None:
        if self._process is not None and self._process.stdout is not None:
            with contextlib.suppress(ValueError):  # it ended in the middle of a line
                answer = json.loads(self._process.stdout.readline() or b"null")
                if type(answer) is list:
                    totals, size, crc32 = answer
                    return totals, (size, crc32)
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        return None


def _told(entry: SegmentEntry) -> list[Any]:
    """What _entry() makes one of again."""
    return [entry.segment_id, entry.documents, entry.lengths, entry.files]


def _entry(name: str, documents: int, lengths: dict[str, int], files: dict[str, list[int]]) -> SegmentEntry:
    sizes = {extension: (size, crc32) for extension, (size, crc32) in files.items()}
    return SegmentEntry(name, documents, lengths=lengths, files=sizes)


def main() -> None:
    """What a worker does."""
    gc.disable()  # what a document leaves behind has no cycles, and looking for some takes longer the larger the pool
    out = sys.stdout.buffer

    def tell(value: object) -> None:
        out.write(_line(value))
        out.flush()

    try:
        _work(sys.stdin.buffer, tell)
    except (PapersearchError, OSError, MemoryError) as error:
        tell({"error": str(error) or type(error).__name__})
    os._exit(0)  # to take a dictionary and a pool apart, object by object, would take a while


def _work(lines: IO[bytes], tell: Callable[[object], None]) -> None:
    from papersearch.analysis.words import jieba_words_with
    from papersearch.index.documents import to_document
    from papersearch.index.writer import SegmentsWriter

    head = json.loads(next(lines, b"null"))
    if head is None:
        tell([])
        return
    if "merge" in head:
        _merge(head["folder"], [_entry(*values) for values in head["merge"]], head["into"], tell)
        return
    cut = jieba_words_with(head["words"])
    cut("字")  # loads the dictionary, mostly before there are papers
    writer = SegmentsWriter(head["folder"])
    try:
        for done, line in enumerate(lines, 1):
            paper = json.loads(line)
            if paper is None:
                break
            writer.add(to_document(Paper.from_stored(*paper), cut))
            if done % REPORT_EVERY == 0:
                tell(done)
        else:
            sys.exit(1)  # whoever was to read the segments is gone
        entries = writer.finish()
    except BaseException:
        writer.discard()
        raise
    _hand_over(entries, head["folder"], tell)


def _merge(folder: str, entries: Sequence[SegmentEntry], segment_id: str, tell: Callable[[object], None]) -> None:
    from papersearch.index.builder import merge_documents
    from papersearch.index.segment import Segment

    totals, stored = merge_documents(folder, [Segment(folder, entry) for entry in entries], segment_id)
    try:
        tell([totals, *stored])
    except OSError:
        os.unlink(os.path.join(folder, f"{segment_id}.{DOCUMENTS}"))
        sys.exit(1)


def _hand_over(entries: Sequence[SegmentEntry], folder: str, tell: Callable[[object], None]) -> None:
    """Tell of segments that are written; delete them where nobody is there any more to be told."""
    try:
        tell(list(map(_told, entries)))
    except OSError:
        for name in (name for entry in entries for name in entry.file_names()):
            os.unlink(os.path.join(folder, name))
        sys.exit(1)
