"""The full check of an index folder: every byte against its checksum, every structure against its rules.

Opening an index checks what can be checked in constant time, reading checks what it touches; this reads everything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from math import isfinite

from papersearch.errors import IndexDamagedError, IndexMissingError
from papersearch.index.builder import POSITION_LIMIT
from papersearch.index.flatfile import FlatFile
from papersearch.index.reader import ID_FIELD, Snapshot, open_snapshot
from papersearch.index.segment import Segment, SegmentField


def verify(folder: str | os.PathLike[str]) -> list[str]:
    """What is wrong with the current generation, one line each; empty if all is well."""
    try:
        with open_snapshot(folder) as snapshot:
            return [*_problems(snapshot), *_beside(folder)]
    except (IndexMissingError, IndexDamagedError) as error:
        return [str(error)]


def _beside(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Problems of files beside the segments that searches read in place (the compiled glossary)."""
    for name in sorted(os.listdir(folder)):
        if name.endswith(".bin"):
            path = os.path.join(folder, name)
            try:
                for section in FlatFile(path).failed_checksums():
                    yield f"{path}: section {section} fails its checksum"
            except (IndexDamagedError, OSError) as error:
                yield str(error)


def _problems(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.places is not None:
        yield from snapshot.places.problems(snapshot.docs())
    owners: dict[str, str] = {}
    for _, segment in snapshot.segments():
        name = segment.entry.segment_id
        for file in segment.files.values():
            for section in file.failed_checksums():
                yield f"{file.path}: section {section} fails its checksum"
        for part in (_stored_problems, _length_problems, _field_problems):
            try:
                for problem in part(segment):
                    yield f"segment {name}: {problem}"
            except IndexDamagedError as error:
                yield str(error)
        try:
            for doc, ids in enumerate(_ids_by_document(segment)):
                if doc in segment.deleted:
                    continue
                if len(ids) != 1:
                    yield f"segment {name}: document {doc} has {len(ids)} ids"
                for doc_id in ids:
                    if doc_id in owners:
                        yield f"segment {name}: the id {doc_id!r} of document {doc} is also in {owners[doc_id]}"
                    owners[doc_id] = f"segment {name}"
        except IndexDamagedError as error:
            yield str(error)


def _stored_problems(segment: Segment) -> Iterator[str]:
    book = segment.codebook()
    if book is not None:
        words = [word for several in book.words() for word in several]
        for several, room in zip(book.words(), book.room, strict=True):
            if len(several) > room:
                yield "its codebook has words that have no code"
            if any(len(first) == len(second) and first >= second for first, second in pairwise(several)):
                yield "the words of its codebook do not ascend"
        if len(set(words)) != len(words) or any(b"\xff" in word for word in words):
            yield "its codebook has a word twice, or one that is no text"
    for doc in range(segment.documents):
        try:
            good = type(json.loads(segment.stored(doc).decode("utf-8", "surrogatepass"))) is dict
        except (ValueError, RecursionError):
            good = False
        if not good:
            yield f"the stored object of document {doc} is not a JSON object"


def _length_problems(segment: Segment) -> Iterator[str]:
    totals = {name: sum(column) for name in segment.length_names() if (column := segment.lengths(name)) is not None}
    if totals != segment.entry.lengths:
        yield "the sums of the lengths are not those of the table of contents"


def _field_problems(segment: Segment) -> Iterator[str]:
    for name in segment.field_names:
        field = segment.field(name)
        if field is not None:
            for problem in _posting_problems(field):
                yield f"field {name}: {problem}"


def _posting_problems(field: SegmentField) -> Iterator[str]:
    numbers = range(field.term_count)
    terms = field.terms(numbers)
    field.texts(numbers)  # raises where a term is not UTF-8
    yield from field.term_problems()
    firsts, _ = field.all_bounds()
    positions_before = 0
    for number in numbers:
        rows = field.rows(number)
        if rows.start != firsts[number] or field.find(terms[number]) != number:
            yield f"term {terms[number]!r} is not where its block says"
            return
        docs = field.docs_of(number)
        if any(second <= first for first, second in pairwise(docs)):
            yield f"the documents of term {terms[number]!r} do not ascend"
        if not all(weight > 0 and isfinite(weight) for weight in field.weights(rows)):
            yield f"a weight of term {terms[number]!r} is not a positive number"
        if not field.positional:
            continue
        for row in rows:
            if field.first_position(row) != positions_before:
                yield f"the positions of term {terms[number]!r} do not begin where those before end"
                return
            positions = field.positions(row)
            if positions[-1] >= POSITION_LIMIT or any(second < first for first, second in pairwise(positions)):
                yield f"the positions of term {terms[number]!r} make no sense"
            positions_before += len(positions)
    if positions_before != len(field.lows):
        yield "it has positions of no posting"


def _ids_by_document(segment: Segment) -> list[list[str]]:
    ids: list[list[str]] = [[] for _ in range(segment.documents)]
    field = segment.field(ID_FIELD)
    if field is not None:
        for number, doc_id in enumerate(field.texts(range(field.term_count))):
            for doc in field.docs_of(number):
                ids[doc].append(doc_id)
    return ids
