"""A Whoosh codec over the segment files: Whoosh's SegmentWriter writes them, Whoosh's Searcher reads them.

Whoosh pickles its table of contents, its compound files, the spill of its posting pool and the values of its Positions
format. None of that happens here: the table is papersearch.index.toc, the pool stays in memory, positions are plain
numbers, and the schema comes from code (papersearch.fields).

Not supported, and refused with a TypeError: term vectors, spelling fields, columns (sortable fields), and formats that
pickle their values; a schema of one's own takes flat(TEXT(...)).
"""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NoReturn

from whoosh import formats
from whoosh.analysis import RegexTokenizer
from whoosh.codec.base import (
    Codec,
    EmptyCursor,
    FieldCursor,
    FieldWriter,
    PerDocumentReader,
    PerDocumentWriter,
    TermsReader,
)
from whoosh.codec.base import Segment as WhooshSegment
from whoosh.fields import ID, STORED, TEXT, FieldType, Schema
from whoosh.filedb.filestore import FileStorage
from whoosh.index import FileIndex
from whoosh.matching import LeafMatcher, ReadTooFar
from whoosh.reading import TermInfo, TermNotFound
from whoosh.util.numeric import byte_to_length, length_to_byte
from whoosh.util.text import rcompile
from whoosh.writing import SegmentWriter

from papersearch import fields
from papersearch.analysis.tokens import Pairs, Terms
from papersearch.errors import IndexMissingError, UsageError
from papersearch.index.builder import (
    Collected,
    CollectedTokens,
    DocumentsWriter,
    InvertedWriter,
    TokenPool,
    Tokens,
    json_bytes,
    merge_segments,
)
from papersearch.index.lexicon import encode
from papersearch.index.segment import Segment, SegmentField
from papersearch.index.toc import (
    DOCUMENTS,
    INVERTED,
    TOC_NAME,
    SegmentEntry,
    Toc,
    new_segment_id,
    publish,
    read_generation,
    read_toc,
)
from papersearch.index.workers import DocumentsMerge

STORED_FIELD = "stored"
"""Field of the schema under which Whoosh's hits show the whole stored object."""
MERGE_ALL_BELOW = 256
"""An index of fewer live documents is kept in one segment. Above, rewriting all of it for one changed note would cost
more than analysing that note; what is read does not depend on it."""
MERGE_FACTOR = 8
TOLERATED_DELETED = 0.25
"""Share of a segment's documents that may be deleted before it is written anew on its own."""
SMALLEST_TIER = 16
LARGEST_JOINED = 1 << 26
"""Bytes of segments that are joined after a build: those of some 25,000 papers. On arrays that takes a third of the
time in which two processes have built them."""
_PAST_THE_END = 0xFFFFFFFF


# ---- Schema


class FlatPositions(formats.Positions):  # type: ignore[misc]
    """Positions as plain numbers. Whoosh's own format unpickles a list per posting."""

    def encode(self, positions: Sequence[int]) -> bytes:
        return array("I", sorted(positions)).tobytes()

    def decode_positions(self, value: bytes) -> list[int]:
        return list(memoryview(value).cast("I"))

    def decode_frequency(self, value: bytes) -> int:
        return len(value) // array("I").itemsize


class ExactField(ID):  # type: ignore[misc]
    """Whole values, one or several, without analysis, positions or length."""

    def index(self, value: str | list[str], **options: Any) -> Iterator[tuple[bytes, int, float, bytes]]:
        for text in sorted(set([value] if isinstance(value, str) else value)):
            yield encode(text), 1, 1.0, b""

    def to_bytes(self, value: str | bytes) -> bytes:
        return value if isinstance(value, bytes) else encode(value)

    def from_bytes(self, value: bytes) -> str:
        return value.decode("utf-8", "surrogatepass")


def flat(field: FieldType) -> FieldType:
    """The field, a TEXT with positions, with FlatPositions in the place of Whoosh's format."""
    if type(field.format) is not formats.Positions:
        raise TypeError("flat() wants a field that stores positions and nothing else")
    field.format = FlatPositions(field_boost=field.format.field_boost)
    return field


def index_schema() -> Schema:
    """Schema of the index, made from papersearch.fields: text and grams with positions, exact fields, the id.

    The analyzer only splits at blanks: documents arrive as tokens, and a query for Whoosh has to hold normalised terms.
    """
    analyzer = RegexTokenizer(rcompile(r"\S+"))
    schema = Schema(**{fields.ID: ExactField(unique=True), STORED_FIELD: STORED()})
    for name in (fields.TEXT, fields.GRAMS):
        schema.add(name, flat(TEXT(analyzer=analyzer)))
    for name in fields.EXACT:
        schema.add(name, ExactField())
    return schema


def _check_schema(schema: Schema) -> Schema:
    for name, field in schema.items():
        plain = isinstance(field.format, (formats.Existence, formats.Frequency, FlatPositions))
        if field.indexed and not plain:
            raise TypeError(f"field {name!r} pickles its values; use flat()")
        if field.vector or field.separate_spelling() or field.column_type:
            raise TypeError(f"field {name!r}: vectors, spelling and columns are not supported")
    return schema


# ---- Segment and codec


class FlatSegment(WhooshSegment):  # type: ignore[misc]
    """Whoosh's view of a segment; the deleted documents are kept here until the next table of contents."""

    def __init__(self, indexname: str, entry: SegmentEntry | None = None) -> None:
        super().__init__(indexname)
        self._entry = entry or SegmentEntry(new_segment_id(), 0)
        self.segid: str = self._entry.segment_id
        self._deleted = set(self._entry.deleted)

    def entry(self) -> SegmentEntry:
        """What the table of contents should say about it now."""
        entry = self._entry
        return SegmentEntry(
            entry.segment_id, entry.documents, frozenset(self._deleted), dict(entry.lengths), dict(entry.files)
        )

    def open(self, storage: FileStorage) -> Segment:
        """Open its files."""
        return Segment(storage.folder, self.entry())

    def add_file(self, extension: str, size_and_crc32: tuple[int, int]) -> None:
        """Note that one of its files is complete."""
        self._entry.files[extension] = size_and_crc32

    def set_lengths(self, totals: dict[str, int]) -> None:
        """Note the sum of each field's lengths."""
        self._entry.lengths = totals

    def segment_id(self) -> str:
        return self.segid

    def codec(self) -> FlatCodec:
        return FlatCodec()

    def should_assemble(self) -> bool:
        return False

    def set_doc_count(self, count: int) -> None:
        self._entry.documents = count

    def doc_count_all(self) -> int:
        return self._entry.documents

    def deleted_count(self) -> int:
        return len(self._deleted)

    def deleted_docs(self) -> Iterator[int]:
        return iter(sorted(self._deleted))

    def is_deleted(self, docnum: int) -> bool:
        return docnum in self._deleted

    def delete_document(self, docnum: int, delete: bool = True) -> None:
        if delete:
            self._deleted.add(docnum)
        else:
            self._deleted.discard(docnum)


class FlatCodec(Codec):  # type: ignore[misc]
    """The codec: what Whoosh asks for readers and writers of a segment."""

    length_stats = False  # lengths are exact and apart from the postings

    def per_document_writer(self, storage: FileStorage, segment: FlatSegment) -> FlatPerDocumentWriter:
        return FlatPerDocumentWriter(storage, segment)

    def field_writer(self, storage: FileStorage, segment: FlatSegment) -> FlatFieldWriter:
        return FlatFieldWriter(storage, segment)

    def per_document_reader(self, storage: FileStorage, segment: FlatSegment) -> FlatPerDocumentReader:
        return FlatPerDocumentReader(segment.open(storage))

    def terms_reader(self, storage: FileStorage, segment: FlatSegment) -> FlatTermsReader:
        return FlatTermsReader(segment.open(storage))

    def new_segment(self, storage: FileStorage, indexname: str) -> FlatSegment:
        return FlatSegment(indexname)


# ---- Writing


class FlatPerDocumentWriter(PerDocumentWriter):  # type: ignore[misc]
    """Documents as Whoosh's writer hands them over; the file is begun with the first one."""

    def __init__(self, storage: FileStorage, segment: FlatSegment) -> None:
        self._storage, self._segment = storage, segment
        self._file: DocumentsWriter | None = None
        self._stored: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}
        self.is_closed = False

    def start_doc(self, docnum: int) -> None:
        self._stored, self._lengths = {}, {}

    def add_field(self, fieldname: str, fieldobj: FieldType, value: Any, length: int) -> None:
        if value is not None:
            self._stored[fieldname] = value
        if length:
            self._lengths[fieldname] = length

    def cancel_doc(self) -> None:
        """There is nothing to forget: the next document starts anew."""

    def finish_doc(self) -> None:
        self.add(json_bytes(self._stored, "the stored object of a document"), self._lengths)

    def add(self, stored: bytes, lengths: dict[str, int], words: Iterable[str] = ()) -> None:
        """Add a document as it is written. `words`: see DocumentsWriter.add()."""
        if self._file is None:
            self._file = DocumentsWriter(self._storage.folder, self._segment.segid)
        self._file.add(stored, lengths.items(), words)

    def close(self) -> None:
        if self._file is not None:
            self._segment.add_file(DOCUMENTS, self._file.close())
            self._segment.set_lengths(dict(self._file.totals))
        self.is_closed = True

    def discard(self) -> None:
        """Delete what was written."""
        if self._file is not None:
            self._file.discard()
        self.is_closed = True


class FlatFieldWriter(FieldWriter):  # type: ignore[misc]
    """Takes the postings of a whole pool at once."""

    def __init__(self, storage: FileStorage, segment: FlatSegment) -> None:
        self._storage, self._segment = storage, segment
        self.is_closed = False

    def add_postings(self, schema: Schema, lengths: None, items: Iterable[tuple[str, Collected]]) -> None:
        file = InvertedWriter(self._storage.folder, self._segment.segid, self._segment.doc_count_all())
        try:
            for name, collected in items:
                file.write_collected(name, collected)
            self._segment.add_file(INVERTED, file.close())
        except BaseException:
            file.discard()
            raise

    def close(self) -> None:
        self.is_closed = True


class FlatPool(TokenPool):
    """Stands in for Whoosh's PostingPool, which sorts single postings and spills them as pickles."""

    def __init__(self, schema: Schema, collector: Callable[[list[float]], CollectedTokens]) -> None:
        super().__init__(collector)
        self._schema = schema

    def add(self, item: tuple[str, bytes, int, float, bytes]) -> None:
        """Add a posting from Whoosh's add_document()."""
        name, term, doc, weight, value = item
        positional = isinstance(self._schema[name].format, FlatPositions)
        self.add_posting(name, term, doc, weight, value, positional=positional)

    iter_postings = TokenPool.fields
    cleanup = TokenPool.clear


class FlatSegmentWriter(SegmentWriter):  # type: ignore[misc]
    """Whoosh's SegmentWriter with our pool, our merging and our table of contents. Takes no lock: IndexWriter does."""

    def __init__(self, index: FlatIndex, collector: Callable[[list[float]], CollectedTokens] = Tokens) -> None:
        """`collector`: see TokenPool."""
        super().__init__(index, codec=FlatCodec(), compound=False, _lk=False)
        self._collector = collector
        self.meta: dict[str, Any] = {}
        """What the next table of contents carries."""
        self.write_places: Callable[[str, list[SegmentEntry]], Sequence[tuple[str, int, int]]] | None = None
        """Writes where the documents of these segments stand, where that is known; what Toc.places says of it."""
        self._merged: list[FlatSegment] = []
        self._written: list[FlatSegment] = []
        self._adopted: set[str] = set()
        self._start_segment()

    def _start_segment(self) -> None:
        self.newsegment = self.codec.new_segment(self.storage, self.indexname)
        self.perdocwriter = self.codec.per_document_writer(self.storage, self.newsegment)
        self.fieldwriter = self.codec.field_writer(self.storage, self.newsegment)
        self.pool = FlatPool(self.schema, self._collector)
        self.docnum = 0
        self._added = False

    def add_tokens(
        self,
        tokens: Mapping[str, Terms | Pairs],
        lengths: dict[str, int],
        stored: bytes,
        exact: dict[str, list[str]],
    ) -> tuple[FlatSegment, int]:
        """Add a document that is already analysed; which segment and number it has.

        Raises:
            UsageError: an unknown field, or a token out of range. Nothing was added.
        """
        for name in (*tokens, *exact):
            wanted = FlatPositions if name in tokens else formats.Existence
            if name not in self.schema or not isinstance(self.schema[name].format, wanted):
                raise UsageError(f"field {name!r} does not hold {'tokens' if name in tokens else 'values'}")
        for field_tokens in tokens.values():
            self.pool.check(field_tokens)
        segment, number = self.newsegment, self.docnum
        words = tokens.get(fields.TEXT)
        self.perdocwriter.add(stored, lengths, words.chinese() if isinstance(words, Terms) else ())
        for name, values in exact.items():
            for value in sorted(set(values)):
                self.pool.add_posting(name, encode(value), number, 1.0, b"", positional=False)
        for name, field_tokens in tokens.items():
            self.pool.add_tokens(name, number, field_tokens)
        self._added = True
        self.docnum += 1
        if self.pool.is_full(self.docnum):
            self._write_segment()
        return segment, number

    def _write_segment(self) -> None:
        """Turn the pool into a segment file of its own, and go on with an empty one."""
        segment = self._finalize_segment()
        self.segments.append(segment)
        self._setup_doc_offsets()
        self._written.append(segment)
        self._start_segment()

    def finish(self) -> list[SegmentEntry]:
        """Write what was added, for an index of another writer; this one is finished."""
        if self._added:
            self._write_segment()
        entries = [segment.entry() for segment in self._written]
        self._written = []
        super().cancel()
        return entries

    def adopt(self, entries: Iterable[SegmentEntry]) -> None:
        """Take segments that another writer has finished."""
        adopted = [FlatSegment(self.indexname, entry) for entry in entries]
        self._adopted |= {segment.segid for segment in adopted}
        self.segments += adopted
        self._written += adopted
        self._setup_doc_offsets()

    def _flush_segment(self) -> None:
        self.newsegment.set_doc_count(self.docnum)
        super()._flush_segment()

    def _close_segment(self) -> None:
        if not self._added:
            self.perdocwriter.discard()
        super()._close_segment()

    def _merge_segments(self, mergetype: object, optimize: bool | None, merge: bool | None) -> list[FlatSegment]:
        if mergetype is not None:
            raise TypeError("merge policies of Whoosh do not apply; use optimize or merge")
        if self._added:
            self._write_segment()
        if merge is False:
            return list(self.segments)
        segments = [segment for segment in self.segments if segment.doc_count() > 0]
        tolerated = 0.0 if optimize else TOLERATED_DELETED
        return [
            group[0] if len(group) == 1 and _share_deleted(group[0]) <= tolerated else self._merge(group)
            for group in ([segments] if optimize else self._with_adopted_joined(merge_plan(segments)))
            if group
        ]

    def _with_adopted_joined(self, groups: list[list[FlatSegment]]) -> list[list[FlatSegment]]:
        """The plan with what several processes wrote at once as one segment, if there is not too much of it: every
        search to come reads one lexicon and one list for each word instead of several."""
        at = [i for i, group in enumerate(groups) if len(group) == 1 and group[0].segid in self._adopted]
        adopted = [groups[i][0] for i in at]
        if len(adopted) < 2 or at[-1] - at[0] >= len(at) or find_spec("numpy") is None:
            return groups
        size = sum([size for segment in adopted for size, _ in segment.entry().files.values()])
        if size > LARGEST_JOINED or any(map(_share_deleted, adopted)):
            return groups
        return [*groups[: at[0]], adopted, *groups[at[-1] + 1 :]]

    def _merge(self, group: list[FlatSegment]) -> FlatSegment:
        merged = FlatSegment(self.indexname)
        self._written.append(merged)
        sources = [segment.open(self.storage) for segment in group]
        folder = self.storage.folder
        if self._adopted.issuperset([segment.segid for segment in group]):  # a large build, and a core is free again
            with DocumentsMerge(folder, [source.entry for source in sources], merged.segid) as documents:
                return FlatSegment(self.indexname, merge_segments(folder, sources, merged.segid, documents))
        return FlatSegment(self.indexname, merge_segments(folder, sources, merged.segid))

    def _commit_toc(self, segments: list[FlatSegment]) -> None:
        self._written = []  # from here on they may be current, and no longer ours to delete
        entries = [segment.entry() for segment in segments]
        places = () if self.write_places is None else self.write_places(self.storage.folder, entries)
        publish(self.storage.folder, Toc(self.generation, entries, self.meta, places))

    def cancel(self) -> None:
        """Forget everything, and delete what was written."""
        self._added = False
        super().cancel()
        for segment in self._written:
            for extension in (DOCUMENTS, INVERTED):
                try:
                    os.unlink(os.path.join(self.storage.folder, f"{segment.segid}.{extension}"))
                except OSError:
                    continue  # never begun, or left to the next commit


def _share_deleted(segment: FlatSegment) -> float:
    return segment.deleted_count() / segment.doc_count_all()


def _tier(documents: int) -> int:
    tier, limit = 0, SMALLEST_TIER
    while documents >= limit:
        tier, limit = tier + 1, limit * MERGE_FACTOR
    return tier


def merge_plan(segments: list[FlatSegment]) -> list[list[FlatSegment]]:
    """Which neighbours become one segment.

    Small indexes become one segment. In larger ones, whenever MERGE_FACTOR of the last segments are of one tier (a
    power of MERGE_FACTOR), they and the smaller ones after them become one: each document is rewritten once per tier,
    and there are fewer than MERGE_FACTOR segments of each tier. Fewer large segments and some small ones are left
    alone: an edit should not rewrite all that several processes have built.
    """
    groups = [[segment] for segment in segments]
    sizes = [segment.doc_count() for segment in segments]
    if sum(sizes) < MERGE_ALL_BELOW:
        return [segments]
    tier = 0
    while tier <= _tier(sum(sizes)):
        first = len(sizes)
        while first and _tier(sizes[first - 1]) <= tier:
            first -= 1
        if sum(_tier(size) == tier for size in sizes[first:]) >= MERGE_FACTOR:
            groups[first:] = [[segment for group in groups[first:] for segment in group]]
            sizes[first:] = [sum(sizes[first:])]
        tier += 1
    return groups


# ---- Reading


class FlatPerDocumentReader(PerDocumentReader):  # type: ignore[misc]
    """Stored objects and lengths for Whoosh. Lengths pass through its lossy byte, so that scores are its own."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._lossy: dict[str, list[int]] = {}

    def doc_count(self) -> int:
        return self._segment.entry.live

    def doc_count_all(self) -> int:
        return self._segment.documents

    def has_deletions(self) -> bool:
        return bool(self._segment.deleted)

    def is_deleted(self, docnum: int) -> bool:
        return docnum in self._segment.deleted

    def deleted_docs(self) -> Iterable[int]:
        return sorted(self._segment.deleted)

    def _lengths(self, name: str) -> list[int]:
        lossy = self._lossy.get(name)
        if lossy is None:
            exact = self._segment.lengths(name)
            lossy = [] if exact is None else [byte_to_length(length_to_byte(length)) for length in exact]
            self._lossy[name] = lossy
        return lossy

    def doc_field_length(self, docnum: int, fieldname: str, default: int = 0) -> int:
        lengths = self._lengths(fieldname)
        return (lengths[docnum] or default) if lengths else default

    def field_length(self, fieldname: str) -> int:
        return self._segment.entry.lengths.get(fieldname, 0)

    def min_field_length(self, fieldname: str) -> int:
        return min(self._lengths(fieldname), default=0)

    def max_field_length(self, fieldname: str) -> int:
        return max(self._lengths(fieldname), default=0)

    def stored_fields(self, docnum: int) -> dict[str, Any]:
        stored: dict[str, Any] = json.loads(self._segment.stored(docnum).decode("utf-8", "surrogatepass"))
        return {**stored, STORED_FIELD: stored}  # Whoosh shows the ones its schema names


class FlatMatcher(LeafMatcher):  # type: ignore[misc]
    """Walks the postings of one term."""

    def __init__(
        self,
        field: SegmentField,
        number: int,
        format_: formats.Format,
        term: tuple[str, bytes],
        scorer: Any,
        info: Callable[[], TermInfo],
    ) -> None:
        self._field, self._number, self._info_of = field, number, info
        self._info: TermInfo | None = None
        self.format, self._term, self.scorer = format_, term, scorer
        self._rows = field.rows(number)
        self._ids = field.docs_of(number)
        self._count = len(self._ids)
        self._ids.append(_PAST_THE_END)  # AndNotMatcher asks for an id after the end
        self._weights = field.weights(self._rows)
        self._at = 0

    def copy(self) -> FlatMatcher:
        twin = FlatMatcher(self._field, self._number, self.format, self._term, self.scorer, self._info_of)
        twin._at = self._at
        return twin

    def is_active(self) -> bool:
        return self._at < self._count

    def reset(self) -> None:
        self._at = 0

    def id(self) -> int:
        return self._ids[self._at]

    def all_ids(self) -> Iterator[int]:
        return iter(self._ids[self._at : self._count])

    def next(self) -> bool:
        self._at += 1
        return False  # still in the same block: all postings of a term are one

    def skip_to(self, target: int) -> None:
        if not self.is_active():
            raise ReadTooFar
        if self._ids[self._at] < target:
            self._at = bisect_left(self._ids, target, self._at, self._count)

    def skip_to_quality(self, minimum: float) -> int:
        if self.is_active() and self.block_quality() <= minimum:
            self._at = self._count
            return 1
        return 0

    def weight(self) -> float:
        return self._weights[self._at]

    def value(self) -> bytes:
        return array("I", self._field.positions(self._rows[self._at])).tobytes()

    def block_min_id(self) -> int:
        return self._ids[0]

    def block_max_id(self) -> int:
        return self._ids[self._count - 1]

    def _statistics(self) -> TermInfo:
        if self._info is None:
            self._info = self._info_of()
        return self._info

    def block_max_weight(self) -> float:
        return self._statistics().max_weight()  # type: ignore[no-any-return]

    def block_min_length(self) -> int:
        return self._statistics().min_length()  # type: ignore[no-any-return]

    def block_max_length(self) -> int:
        return self._statistics().max_length()  # type: ignore[no-any-return]


class FlatCursor(FieldCursor):  # type: ignore[misc]
    """Walks the terms of one field."""

    def __init__(self, reader: FlatTermsReader, field: SegmentField, fieldname: str, fieldobj: FieldType) -> None:
        self._reader, self._field, self._fieldname, self._fieldobj = reader, field, fieldname, fieldobj
        self._at = 0

    def first(self) -> str | None:
        self._at = 0
        return self.text()

    def find(self, term: str | bytes) -> str | None:
        self._at = self._field.ceiling(term if isinstance(term, bytes) else self._fieldobj.to_bytes(term))
        return self.text()

    def next(self) -> str | None:
        self._at += 1
        return self.text()

    def is_valid(self) -> bool:
        return self._at < self._field.term_count

    def text(self) -> str | None:
        return self._fieldobj.from_bytes(self._field.term(self._at)) if self.is_valid() else None

    def term_info(self) -> TermInfo | None:
        return self._reader.info(self._field, self._fieldname, self._at) if self.is_valid() else None


class FlatTermsReader(TermsReader):  # type: ignore[misc]
    """Terms and postings of one segment for Whoosh."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._documents = FlatPerDocumentReader(segment)

    def _find(self, fieldname: str, term: bytes) -> tuple[SegmentField, int]:
        field = self._segment.field(fieldname)
        number = -1 if field is None else field.find(term)
        if field is None or number < 0:
            raise TermNotFound(f"no term {fieldname}:{term!r}")
        return field, number

    def info(self, field: SegmentField, fieldname: str, number: int) -> TermInfo:
        """Statistics of a term, worked out from its postings."""
        rows = field.rows(number)
        docs, weights = field.docs_of(number), field.weights(rows)
        lengths = [self._documents.doc_field_length(doc, fieldname) for doc in docs]
        return TermInfo(sum(weights), len(docs), min(lengths), max(lengths), max(weights), docs[0], docs[-1])

    def _numbers_from(self, fieldname: str, prefix: bytes) -> Iterator[tuple[str, SegmentField, int]]:
        for name in self.indexed_field_names():
            field = self._segment.field(name)
            if field is not None and name >= fieldname:
                for number in range(field.ceiling(prefix) if name == fieldname else 0, field.term_count):
                    yield name, field, number

    def __contains__(self, term: tuple[str, bytes]) -> bool:
        field = self._segment.field(term[0])
        return field is not None and field.find(term[1]) >= 0

    def indexed_field_names(self) -> list[str]:
        return sorted(self._segment.field_names)

    def terms(self) -> Iterator[tuple[str, bytes]]:
        return self.terms_from("", b"")

    def terms_from(self, fieldname: str, prefix: bytes) -> Iterator[tuple[str, bytes]]:
        return ((name, field.term(number)) for name, field, number in self._numbers_from(fieldname, prefix))

    def items(self) -> Iterator[tuple[tuple[str, bytes], TermInfo]]:
        return self.items_from("", b"")

    def items_from(self, fieldname: str, prefix: bytes) -> Iterator[tuple[tuple[str, bytes], TermInfo]]:
        return (
            ((name, field.term(number)), self.info(field, name, number))
            for name, field, number in self._numbers_from(fieldname, prefix)
        )

    def cursor(self, fieldname: str, fieldobj: FieldType) -> FlatCursor | EmptyCursor:
        field = self._segment.field(fieldname)
        return EmptyCursor() if field is None else FlatCursor(self, field, fieldname, fieldobj)

    def term_info(self, fieldname: str, term: bytes) -> TermInfo:
        field, number = self._find(fieldname, term)
        return self.info(field, fieldname, number)

    def frequency(self, fieldname: str, term: bytes) -> float:
        # Whoosh's SegmentReader catches KeyError here, which TermNotFound is not
        return self.term_info(fieldname, term).weight() if (fieldname, term) in self else 0

    def doc_frequency(self, fieldname: str, term: bytes) -> int:
        field = self._segment.field(fieldname)
        number = -1 if field is None else field.find(term)
        return 0 if field is None or number < 0 else field.doc_frequency(number)

    def matcher(self, fieldname: str, term: bytes, format_: formats.Format, scorer: Any = None) -> FlatMatcher:
        field, number = self._find(fieldname, term)
        return FlatMatcher(
            field, number, format_, (fieldname, term), scorer, lambda: self.info(field, fieldname, number)
        )


# ---- Index


class _Folder(FileStorage):  # type: ignore[misc]
    """Whoosh's storage without its folder for temporary files."""

    def temp_storage(self, name: str | None = None) -> _Folder:
        return self

    def destroy(self) -> None:
        """Called on what temp_storage() gave; there is nothing to remove."""


class _Info:
    version = release = None

    def __init__(self, schema: Schema, segments: list[FlatSegment], generation: int) -> None:
        self.schema, self.segments, self.generation = schema, segments, generation


class FlatIndex(FileIndex):  # type: ignore[misc]
    """An index folder as a Whoosh index.

    Args:
        folder: the index folder.
        schema: the schema; it is never read from disk.
        toc: the generation to show, instead of always the current one.
    """

    def __init__(self, folder: str | os.PathLike[str], schema: Schema, toc: Toc | None = None) -> None:
        self.storage = _Folder(os.fspath(folder))
        self.indexname = "papersearch"
        self._schema = _check_schema(schema)
        self._toc = toc

    def _read_toc(self) -> _Info:
        toc = self._toc or read_toc(self.storage.folder)
        segments = [FlatSegment(self.indexname, entry) for entry in toc.segments]
        return _Info(self._schema, segments, toc.generation)

    def reader(self, reuse: object = None) -> Any:
        # Whoosh's reuse of readers keeps documents alive that were deleted since; opening anew costs little
        return super().reader()

    def latest_generation(self) -> int:
        generation = read_generation(self.storage.folder)
        if generation is None:
            raise IndexMissingError(f"there is no index in {self.storage.folder}; run: papersearch index")
        return generation

    def last_modified(self) -> float:
        return os.path.getmtime(os.path.join(self.storage.folder, TOC_NAME))

    def writer(self, procs: int = 1, **options: Any) -> NoReturn:
        raise TypeError("this index is for reading; papersearch.index.writer.IndexWriter writes")


def whoosh_index(folder: str | os.PathLike[str]) -> FlatIndex:
    """The current generation, for Whoosh's Searcher and QueryParser. Read-only.

    Raises:
        IndexMissingError: there is no index in the folder.
        IndexDamagedError: the table of contents cannot be trusted.
    """
    index = FlatIndex(folder, index_schema())
    index._read_toc()
    return index
