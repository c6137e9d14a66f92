"""Snapshot: one generation of an index, read in place. Standard library only, and cheap to import.

    with open_snapshot("index") as snapshot:
        text = snapshot.field("text")
        postings = text.postings("attention")

What a snapshot answers does not depend on how the index is split into segments: deleted documents are never seen,
frequencies and lengths count live documents only, and lengths are exact. A snapshot never changes and may be shared by
threads; it stays readable whatever later commits do.
"""

from __future__ import annotations

import os
import time
from array import array
from bisect import bisect_left

from papersearch.errors import IndexDamagedError, UsageError
from papersearch.index.flatfile import FlatFile, damaged
from papersearch.index.lexicon import encode
from papersearch.index.objects import loads
from papersearch.index.places import Places
from papersearch.index.segment import Segment, SegmentField, locate
from papersearch.index.toc import PLACES, TOC_NAME, Toc, read_generation, read_toc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from typing_extensions import Self

__all__ = ["FieldReader", "Postings", "Snapshot", "open_snapshot", "read_generation"]

ID_FIELD = "id"
_OPEN_ATTEMPTS = 20
_RETRY_S = 0.01
_TERMS_AT_A_TIME = 4096
"""Few enough to take no memory, many enough for the loop over them not to count."""


class Postings:
    """The live documents of one term over the whole index.

    Attributes:
        docs: global document numbers, ascending.
    """

    __slots__ = ("_parts", "_weights", "docs")

    def __init__(self, docs: list[int], parts: list[tuple[int, SegmentField, Sequence[int]]]) -> None:
        self.docs: Sequence[int] = docs
        self._parts = parts  # per segment: number of postings before it, its field, the rows
        self._weights: Sequence[float] | None = None

    def __len__(self) -> int:
        return len(self.docs)

    @property
    def weights(self) -> Sequence[float]:
        """Sum of the boosts of the term's tokens, per document."""
        weights = self._weights
        if weights is None:
            collected: list[float] = []
            for _, field, rows in self._parts:
                collected += field.weights(rows)
            self._weights = weights = collected
        return weights

    def positions(self, i: int) -> Sequence[int]:
        """Ascending positions of the i-th posting, 0 <= i < len(self). A position repeats only if the token did."""
        part = len(self._parts) - 1
        while self._parts[part][0] > i:
            part -= 1
        before, field, rows = self._parts[part]
        return field.positions(rows[i - before])

    def positions_at(self, at: Sequence[int]) -> list[list[int]]:
        """positions() of the postings of some numbers, ascending."""
        found: list[list[int]] = []
        for field, rows in self._rows(at):
            found += field.positions_at(rows)
        return found

    def weights_at(self, at: Sequence[int]) -> list[float]:
        """Weights of the postings of some numbers, ascending."""
        weights: list[float] = []
        for field, rows in self._rows(at):
            weights += field.weights(rows)
        return weights

    def of_highs(self, value: Callable[[tuple[int, ...]], float], at: Sequence[int] | None = None) -> list[float]:
        """A function of each posting's positions, rounded down to multiples of 256; of those of some numbers,
        ascending, or of all."""
        values: list[float] = []
        for field, rows in self._rows(at):
            values += field.of_highs(rows, value)
        return values

    def _rows(self, at: Sequence[int] | None) -> Iterator[tuple[SegmentField, Sequence[int]]]:
        """The rows of postings."""
        end = 0
        for number, (before, field, rows) in enumerate(self._parts):
            if at is None:
                yield field, rows
                continue
            last = number + 1 == len(self._parts)
            begin, end = end, len(at) if last else bisect_left(at, self._parts[number + 1][0], end)
            if begin < end:
                yield field, [rows[i - before] for i in at[begin:end]]

    def all_positions(self) -> tuple[list[int], list[int]]:
        """(number of positions of each posting, the positions of all postings one after the other)."""
        counts: list[int] = []
        positions: list[int] = []
        for _, field, rows in self._parts:
            if isinstance(rows, range):
                some_counts, some = field.positions_of(rows)
                counts += some_counts
                positions += some
                continue
            for row in rows:
                here = field.positions(row)
                counts.append(len(here))
                positions += here
        return counts, positions


class FieldReader:
    """One field over the whole index.

    Attributes:
        name: the field.
        parts: (number of its first document, segment, what the segment has of the field), for readers that decode
            many postings at once.
        total_length: sum of the lengths of all live documents.
        average_length: total_length over the number of live documents, 0.0 in an empty index.
    """

    __slots__ = ("_lengths", "_segments", "average_length", "name", "parts", "total_length")

    def __init__(self, name: str, segments: list[tuple[int, Segment]], doc_count: int) -> None:
        self.name = name
        self._segments = segments
        self.parts = [(base, part, field) for base, part in segments if (field := part.field(name)) is not None]
        self._lengths: Sequence[int] | None = None
        self.total_length = 0
        for _, segment in segments:
            lengths = segment.lengths(name)
            if lengths is not None:
                total = segment.entry.lengths.get(name, 0)
                self.total_length += max(0, total - sum(lengths[doc] for doc in segment.deleted))
        self.average_length = self.total_length / doc_count if doc_count else 0.0

    def postings(self, term: str) -> Postings | None:
        """The term's postings, None if no live document has it."""
        text = encode(term)
        all_docs: list[int] = []
        parts: list[tuple[int, SegmentField, Sequence[int]]] = []
        for base, segment, field in self.parts:
            number = field.find(text)
            if number < 0:
                continue
            all_rows = field.rows(number)
            rows: Sequence[int] = all_rows
            docs = field.docs_of(number)
            deleted = segment.deleted
            if deleted and not deleted.isdisjoint(docs):
                rows = [row for row, doc in zip(rows, docs, strict=True) if doc not in deleted]
                docs = [doc for doc in docs if doc not in deleted]
                if not docs:
                    continue
            parts.append((len(all_docs), field, rows))
            all_docs += [base + doc for doc in docs] if base else docs
        return Postings(all_docs, parts) if all_docs else None

    def doc_frequency(self, term: str) -> int:
        """Number of live documents that have the term."""
        text, count = encode(term), 0
        for _, segment, field in self.parts:
            number = field.find(text)
            if number >= 0:
                count += field.doc_frequency(number)
                if segment.deleted:
                    count -= len(segment.deleted.intersection(field.docs_of(number)))
        return count

    def terms(self, prefix: str = "") -> Iterator[str]:
        """Terms that start with `prefix`, each once, by their UTF-8 bytes; some may have no live document left."""
        start = encode(prefix)
        runs = [field.texts(field.prefix_range(start)) for _, _, field in self.parts]
        if len(runs) == 1:
            return iter(runs[0])
        return iter(sorted(set().union(*runs)))

    def raw_terms(self, prefix: str = "") -> Iterator[list[bytes]]:
        """UTF-8 bytes of the terms that start with `prefix`, some thousand at a time; a term comes once for each
        segment that has it."""
        text = encode(prefix)
        for _, _, field in self.parts:
            numbers = field.prefix_range(text)
            for start in range(numbers.start, numbers.stop, _TERMS_AT_A_TIME):
                yield field.terms(range(start, min(numbers.stop, start + _TERMS_AT_A_TIME)))

    def terms_with(self, text: str) -> list[str]:
        """Terms that `text` is a part of, each once, by their UTF-8 bytes; some may have no live document left."""
        part = encode(text)
        runs = [field.texts_with(part) for _, _, field in self.parts]
        return runs[0] if len(runs) == 1 else sorted(set().union(*runs))

    def live_terms(self, prefix: str = "") -> set[str]:
        """Terms that start with `prefix` and that a live document has."""
        start = encode(prefix)
        live: set[str] = set()
        for _, segment, field in self.parts:
            numbers = field.prefix_range(start)
            texts = field.texts(numbers)
            if segment.deleted:
                texts = [
                    text
                    for number, text in zip(numbers, texts, strict=True)
                    if not segment.deleted.issuperset(field.docs_of(number))
                ]
            live.update(texts)
        return live

    def has_prefix(self, prefix: str) -> bool:
        """Whether a term starts with `prefix`."""
        start = encode(prefix)
        for _, _, field in self.parts:
            number = field.ceiling(start)
            if number < field.term_count and field.term(number).startswith(start):
                return True
        return False

    @property
    def lengths(self) -> Sequence[int]:
        """Exact length per global document number, deleted documents included; 0 where a document lacks the field."""
        lengths = self._lengths
        if lengths is None:
            runs = []
            for _, segment in self._segments:
                run = segment.lengths(self.name)
                runs.append(memoryview(bytes(segment.documents)) if run is None else run[:])
            self._lengths = lengths = runs[0] if len(runs) == 1 else _joined(runs)
        return lengths

    def length(self, doc: int) -> int:
        """Exact number of tokens that count as the document's length in this field."""
        return self.lengths[doc]


def _joined(runs: Sequence[memoryview[int]]) -> array[int]:
    """The runs as one; those of the widest type, which are nearly all, are copied as they are."""
    widest = max(runs, key=lambda run: run.itemsize).format if runs else "B"
    joined = array(widest)
    for run in runs:
        if run.format == widest and len(run):
            joined.frombytes(run.cast("B"))
        else:
            joined.extend(run.tolist())
    return joined


class Snapshot:
    """One generation of an index.

    Attributes:
        toc: what the table of contents says of it.
        generation: its number; each commit adds one.
        meta: what commit() was given.
        doc_count: number of live documents.
        files: name of each file → its stamp when it had been written, if that is known.
        places: where the papers stand in the corpus, if commit() was told.
    """

    def __init__(self, folder: str, toc: Toc, like: Snapshot | None = None) -> None:
        """`like`: another one of the same folder, whose files are taken over where they are the same."""
        self.folder = folder
        like_files = {} if like is None else like._same_files(toc)
        like_segments = {} if like is None else {segment.entry.segment_id: segment for _, segment in like._segments}
        self.toc = toc
        self.generation = toc.generation
        self.meta: dict[str, Any] = toc.meta
        self.files = {name: toc.stamps.get(name) for name in toc.file_names()}
        self.doc_count = sum(entry.live for entry in toc.segments)
        self._closed = False
        self._fields: dict[str, FieldReader] = {}
        self._segments: list[tuple[int, Segment]] = []
        base = 0
        for entry in toc.segments:
            names = entry.file_names()
            if like_files.keys() >= set(names):
                segment = like_segments[entry.segment_id].like(entry)
            else:
                segment = Segment(folder, entry, toc.stamps)
            self._segments.append((base, segment))
            base += entry.documents
        self._bases = [base for base, _ in self._segments]
        self._end = base
        self.places: Places | None = None
        if toc.places:
            files = [
                like_files.get(file_name)
                or FlatFile(os.path.join(folder, file_name), size, crc32, toc.stamps.get(file_name))
                for name, size, crc32 in toc.places
                for file_name in (f"{name}.{PLACES}",)
            ]
            self.places = Places(files, [(entry.segment_id, entry.documents) for entry in toc.segments])

    def _same_files(self, toc: Toc) -> dict[str, FlatFile]:
        """Name → file of those that a table names as this one's does, and that nobody has changed since."""
        of_segments = {file.path: file for _, segment in self._segments for file in segment.files.values()}
        of_places = {file.path: file for file in self.places.files()} if self.places is not None else {}
        known = {os.path.basename(path): file for path, file in (of_segments | of_places).items()}
        mine, other = self.toc.sizes(), toc.sizes()
        return {
            name: file
            for name, file in known.items()
            if mine[name] == other.get(name) and file.stamp == toc.stamps.get(name) and file.is_as_it_was()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files. What was read before stays usable."""
        self._closed = True
        self._fields = {}
        self._segments = []

    def recheck(self) -> None:
        """Look whether somebody changed the files of which parts are still to be read. Raises IndexDamagedError if they
        are not what was written any more; a few microseconds where nothing happened."""
        for _, segment in self._segments:
            for file in segment.files.values():
                file.recheck()
        if self.places is not None and not self._closed:
            self.places.recheck()

    def segments(self) -> list[tuple[int, Segment]]:
        """The segments, each with the global number of its first document."""
        if self._closed:
            raise UsageError(f"the snapshot of {self.folder} is closed; open another one")
        return self._segments

    def docs(self) -> Iterable[int]:
        """Global numbers of the live documents, ascending. They are valid within this snapshot only."""
        if self.doc_count == self._end:
            return range(self._end)
        return [
            base + doc
            for base, segment in self.segments()
            for doc in range(segment.documents)
            if doc not in segment.deleted
        ]

    def stored_raw(self, doc: int) -> bytes:
        """The stored object as JSON bytes.

        Raises:
            IndexError: there is no document of that number.
        """
        segments = self.segments()
        if not 0 <= doc < self._end:
            raise IndexError(f"no document {doc}")
        base, segment = segments[locate(self._bases, doc)]
        return segment.stored(doc - base)

    def stored(self, doc: int) -> dict[str, Any]:
        """The stored object, decoded anew at each call."""
        data = self.stored_raw(doc)
        try:
            stored = loads(data.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            stored = None
        if type(stored) is not dict:
            raise damaged(self.folder, f"the stored object of document {doc} is not a JSON object")
        return stored

    def doc_of(self, doc_id: str) -> int | None:
        """Number of the live document of that id, None if there is none."""
        postings = self.field(ID_FIELD).postings(doc_id)
        return None if postings is None else postings.docs[-1]

    def ids(self, prefix: str = "") -> list[str]:
        """Ids of live documents that start with `prefix`, by their UTF-8 bytes."""
        return sorted(self.field(ID_FIELD).live_terms(prefix))

    def field(self, name: str) -> FieldReader:
        """The field of that name; one without terms if no document has it."""
        reader = self._fields.get(name)
        if reader is None:
            reader = FieldReader(name, self.segments(), self.doc_count)
            self._fields[name] = reader
        return reader


def open_snapshot(folder: str | os.PathLike[str], like: Snapshot | None = None) -> Snapshot:
    """Open the current generation. `like`: an open one of the same folder, of which it takes over the files that are
    the same, with what was decoded of them.

    A commit may remove the files between reading the table of contents and opening them; then the new table is read.

    Raises:
        IndexMissingError: there is no index in the folder.
        IndexDamagedError: what is there cannot be read, is of another version, or contradicts itself.
    """
    folder = os.fspath(folder)
    for _ in range(_OPEN_ATTEMPTS):
        toc = read_toc(folder)
        try:
            return Snapshot(folder, toc, like)
        except FileNotFoundError as error:
            missing = os.path.basename(str(error.filename))
            if read_generation(folder) == toc.generation:
                raise damaged(folder, f"{missing} is missing") from None
            time.sleep(_RETRY_S)
    raise IndexDamagedError(f"{os.path.join(folder, TOC_NAME)} changes faster than it can be read; try again")
