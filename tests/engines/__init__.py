"""Engines that the contract of a Searcher is held against.

A further engine joins by a line in FACTORIES: a function that takes papers in reading order and a folder to write in,
and returns something with `search(Request) -> Answer` and `paper(document number) -> Paper`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from engines.memory import MemorySnapshot
from papersearch.analysis.words import jieba_words
from papersearch.index.documents import to_document
from papersearch.index.reader import open_snapshot
from papersearch.index.writer import Document, IndexWriter
from papersearch.paper import Paper
from papersearch.search import Answer, IndexSearcher, Request


class Engine(Protocol):
    """A Searcher, and the papers that its document numbers stand for."""

    def search(self, request: Request) -> Answer: ...

    def paper(self, doc: int) -> Paper: ...


class OverSnapshot:
    """Our searcher over whatever reads like a snapshot."""

    def __init__(self, snapshot: Any, papers: Sequence[Paper]) -> None:
        self.snapshot = snapshot
        self._papers = {paper.id: paper for paper in papers}
        place = {paper.id: n for n, paper in enumerate(papers)}
        self._searcher = IndexSearcher(snapshot, lambda doc: (place[snapshot.stored(doc)["id"]],))

    def search(self, request: Request) -> Answer:
        return self._searcher.search(request)

    def paper(self, doc: int) -> Paper:
        return self._papers[self.snapshot.stored(doc)["id"]]


def documents(papers: Iterable[Paper]) -> list[Document]:
    return [to_document(paper, jieba_words) for paper in papers]


def on_disk(papers: Sequence[Paper], folder: Path) -> Engine:
    """One segment, as a first build leaves it."""
    with IndexWriter(folder) as writer:
        for document in documents(papers):
            writer.add(document)
        writer.commit({})
    return OverSnapshot(open_snapshot(folder), papers)


def on_disk_in_pieces(papers: Sequence[Paper], folder: Path) -> Engine:
    """Several segments with deleted documents in them, and document numbers far from the reading order."""
    for part in (papers[1::2], papers[::3], papers[::2]):
        with IndexWriter(folder) as writer:
            for document in reversed(documents(part)):
                writer.add(document)
            writer.commit({})
    return OverSnapshot(open_snapshot(folder), papers)


def in_memory(papers: Sequence[Paper], folder: Path) -> Engine:
    """The documents themselves, in dictionaries."""
    return OverSnapshot(MemorySnapshot(documents(papers)), papers)


FACTORIES: dict[str, Callable[[Sequence[Paper], Path], Engine]] = {
    "disk": on_disk,
    "pieces": on_disk_in_pieces,
    "memory": in_memory,
}
