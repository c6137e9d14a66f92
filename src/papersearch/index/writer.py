"""IndexWriter: documents in, a new generation out.

with IndexWriter("index") as writer:
    writer.add(Document("a1", tokens={"text": [("attention", 0, 3.0)]}, stored={"title": "Attention"}))
    writer.commit({"corpus": "notes"})

Readers go on with the generation they have; whoever opens the folder sees the old one or the new one, also when the
writer is killed at any moment. Importing this module imports no Whoosh; creating a writer does.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from papersearch import fields
from papersearch.errors import IndexDamagedError, IndexMissingError, UsageError
from papersearch.index.builder import columns_of, json_bytes
from papersearch.index.lock import WriteLock, folder_error
from papersearch.index.places import NOWHERE, Columns, Edit, pack_id
from papersearch.index.reader import Snapshot, open_snapshot
from papersearch.index.segment import Segment
from papersearch.index.toc import PLACES, PREVIOUS_NAME, SegmentEntry, Toc, new_segment_id, read_toc, remove_left_over

if TYPE_CHECKING:
    from typing_extensions import Self
    from whoosh.fields import Schema

    from papersearch.analysis.tokens import Term
    from papersearch.index.builder import CollectedTokens
    from papersearch.index.codec import FlatSegment, FlatSegmentWriter


class Document(NamedTuple):
    """What is indexed as one unit. No default is ever changed: the empty dicts only stand for "none"."""

    id: str
    """Unique among the documents of an index; adding another document of the same id replaces this one."""
    tokens: Mapping[str, Iterable[Term]] = {}
    """Field with positions -> (term, position in [0, 2**31), boost > 0) in any order. Several tokens may share a
    position; the boosts of a term's tokens are summed. What is in columns (Terms, Pairs) is taken up quicker."""
    lengths: dict[str, int] = {}  # noqa: RUF012
    """Field -> length that counts for BM25, where it is not the number of tokens."""
    keywords: dict[str, list[str]] = {}  # noqa: RUF012
    """Exact field -> whole values."""
    stored: dict[str, Any] = {}  # noqa: RUF012
    """What a hit shows: JSON."""


class IndexWriter:
    """Adds and removes documents under the folder's write lock; nothing is visible before commit().

    A context manager. Leaving it without commit() leaves the index as it was.

    Args:
        folder: the index folder; it is created if missing.
        lock_timeout_s: seconds to wait for another writer.
        fresh: start from nothing, whatever the folder holds, even if that is damaged. The old generation stays
            current until commit().
        like: an open snapshot of the folder, if the caller has one: what has not changed is not opened again.

    Raises:
        IndexBusyError: another process is writing.
        IndexReadOnlyError: the folder cannot be written.
        IndexDamagedError: the index cannot be read, and `fresh` is not given.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        lock_timeout_s: float = 10.0,
        fresh: bool = False,
        like: Snapshot | None = None,
    ) -> None:
        from papersearch.index import codec

        self.folder = os.fspath(folder)
        self._base: Snapshot | None = None
        self._lock: WriteLock | None = WriteLock(self.folder, lock_timeout_s)
        try:
            if fresh:
                toc = Toc(_last_generation(self.folder), [], {})
            else:
                try:
                    self._base = open_snapshot(self.folder, like)
                    toc = self._base.toc
                except IndexMissingError:
                    toc = Toc(0, [], {})
            self._segments = codec.FlatSegmentWriter(codec.FlatIndex(self.folder, _schema(), toc))
        except BaseException:
            self._release()
            raise
        self._added: dict[str, tuple[FlatSegment, int]] = {}
        self._removed: set[int] = set()

    @property
    def base(self) -> Snapshot | None:
        """The generation that is changed; None where it starts from nothing. Closed with the writer."""
        return self._base

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abort()

    def _release(self) -> None:
        if self._base is not None:
            self._base.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def _check_open(self) -> None:
        if self._lock is None:
            raise UsageError(f"this writer of {self.folder} is finished; open another one")

    def add(self, document: Document) -> None:
        """Add a document, in the place of one of the same id if there is one.

        Raises:
            UsageError: something in it cannot be indexed; nothing was changed.
        """
        self._check_open()
        try:
            place = _add(self._segments, document)
        except OSError as error:
            self.abort()
            raise folder_error(self.folder, error) from None
        self.remove(document.id)
        self._added[document.id] = place

    def adopt(self, entries: Sequence[SegmentEntry], doc_ids: Iterable[str]) -> None:
        """Take segments that a SegmentsWriter wrote into the folder; `doc_ids` of all their documents, each in the
        place of one of the same id if there is one, and none of them added before."""
        self._check_open()
        for doc_id in doc_ids:
            self.remove(doc_id)
        self._segments.adopt(entries)

    def remove(self, doc_id: str) -> bool:
        """Remove the document of that id; whether there was one."""
        self._check_open()
        place = self._added.pop(doc_id, None)
        if place is not None:
            segment, number = place
            segment.delete_document(number)
            return True
        committed = self._base.doc_of(doc_id) if self._base is not None else None
        if committed is None or committed in self._removed:
            return False
        self._removed.add(committed)
        self._segments.delete_document(committed)
        return True

    def commit(self, meta: dict[str, Any], places: Columns | Edit | None = None) -> int:
        """Make the changes the current generation; its number. The writer is finished.

        Args:
            meta: JSON that goes with the generation; Snapshot.meta shows it.
            places: where the documents stand in the corpus, all of them and no others.

        Raises:
            IndexFolderError: it could not be written; the old generation is still current.
            UsageError: `meta` is not JSON; the writer is still open.
        """
        self._check_open()
        json_bytes(meta, "the meta data of the index")
        self._segments.meta = meta
        if places is not None:
            self._segments.write_places = partial(self._write_places, places)
        generation: int = self._segments.generation
        try:
            self._segments.commit()
        except OSError as error:
            self.abort()
            raise folder_error(self.folder, error) from None
        self._release()
        return generation

    def _write_places(
        self, columns: Columns | Edit, folder: str, entries: list[SegmentEntry]
    ) -> list[tuple[str, int, int]]:
        """Write where the papers of the segments stand that are about to become current; what Toc.places says of it."""
        name = new_segment_id()
        path = os.path.join(folder, f"{name}.{PLACES}")
        segments = [(entry.segment_id, entry.documents) for entry in entries]
        entry_of = {entry.segment_id: entry for entry in entries}

        def rows(row_of: Callable[[str], int], segment: str) -> array[int]:
            """The rows of the documents of a segment."""
            entry = entry_of[segment]
            found = array("I", [NOWHERE]) * entry.documents
            field = Segment(folder, entry).field(fields.ID)
            if field is not None:
                for number, paper_id in enumerate(field.texts(range(field.term_count))):
                    for doc in field.docs_of(number):
                        if doc not in entry.deleted:
                            found[doc] = row_of(paper_id)
            return found

        if isinstance(columns, Columns):
            rank_of = {number: rank for rank, number in enumerate(columns.ids)}
            ranks = array("I")
            for segment, _ in segments:
                ranks += rows(lambda paper_id: rank_of[pack_id(paper_id)], segment)
            return [(name, *columns.write(path, ranks, segments))]
        assert self._base is not None
        base = self._base

        def row_of(paper_id: str) -> int:
            row = columns.rows_of.get(pack_id(paper_id))
            if row is None:
                doc = base.doc_of(paper_id)
                assert doc is not None  # it was merged from there
                row = columns.base.row(doc)
            return row

        is_part, written = columns.write(path, segments, partial(rows, row_of))
        return [*(base.toc.places[:1] if is_part else ()), (name, *written)]

    def abort(self) -> None:
        """Forget all changes, and delete what was written for them. Does nothing on a writer that is finished."""
        if self._lock is None:
            return
        try:
            self._segments.cancel()
        finally:
            try:
                remove_left_over(self.folder)
            finally:
                self._release()


class SegmentsWriter:
    """Writes documents to segments that belong to no generation yet: IndexWriter.adopt() makes them part of one.

    Takes no lock: that is for whoever adopts them.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        from papersearch.index import codec

        index = codec.FlatIndex(os.fspath(folder), codec.index_schema(), Toc(0, [], {}))
        self._segments = codec.FlatSegmentWriter(index, _collector())

    def add(self, document: Document) -> None:
        """Add a document whose id no other has. Raises UsageError, OSError."""
        _add(self._segments, document)

    def finish(self) -> list[SegmentEntry]:
        """Write everything; what a table of contents has to say of the segments. The writer is finished."""
        entries: list[SegmentEntry] = self._segments.finish()
        return entries

    def discard(self) -> None:
        """Forget everything, and delete what was written."""
        self._segments.cancel()


def _collector() -> Callable[[list[float]], CollectedTokens]:
    """What is quicker for many documents: on arrays, where numpy is installed."""
    try:
        from papersearch.arrays.postings import ArrayTokens
    except ImportError:
        from papersearch.index.builder import Tokens

        return Tokens
    return ArrayTokens


def _add(segments: FlatSegmentWriter, document: Document) -> tuple[FlatSegment, int]:
    """Add a document to the segment that is being written; which segment and number it has."""
    stored = json_bytes(document.stored, "the stored object of a document")
    columns = {name: columns_of(tokens) for name, tokens in document.tokens.items()}
    lengths = {name: len(tokens) for name, tokens in columns.items()} | document.lengths
    for name, length in lengths.items():
        if not 0 <= length < 1 << 32:
            raise UsageError(f"length {length} of field {name!r} is out of range")
    if not document.id or fields.ID in document.keywords:
        raise UsageError("a document needs an id, and only one")
    exact = {fields.ID: [document.id], **{name: values for name, values in document.keywords.items() if values}}
    if not all(isinstance(value, str) for values in exact.values() for value in values):
        raise UsageError(f"a value of an exact field of document {document.id!r} is not text")
    return segments.add_tokens(columns, lengths, stored, exact)


@cache
def _schema() -> Schema:
    """Whoosh compiles much for a schema, and never changes one that it was given."""
    from papersearch.index import codec

    return codec.index_schema()


def _last_generation(folder: str) -> int:
    """The highest generation number the folder knows of; readers take a lower one for an older one."""
    generations = [0]
    for name in (None, PREVIOUS_NAME):
        try:
            generations.append((read_toc(folder) if name is None else read_toc(folder, name)).generation)
        except (IndexMissingError, IndexDamagedError):
            continue
    return max(generations)
