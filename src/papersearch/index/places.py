"""Where papers stand: the files beside the segments that tell of each document its place in the corpus of today.

Papers are numbered by reading order, their *rank*. What is known of a paper is a *row*: the first file has the rows of
all papers as they were when it was written (Columns), in reading order. A second one (Edit) has the rows of papers that
changed since, and says of which rows, run by run, the reading order is made now. So what an edit writes does not
grow with the papers, and opening costs the same for ten papers and a hundred thousand (docs/index-format.md).
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from operator import eq, gt, itemgetter

from papersearch.analysis.normalize import exact_value
from papersearch.errors import IndexDamagedError
from papersearch.files import DIGEST_BYTES, FileState, Known
from papersearch.index.flatfile import UNSIGNED, FlatFile, FlatWriter, damaged, narrow, unpack
from papersearch.index.objects import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from papersearch.paper import Paper

    Rows = memoryview[int] | range
    """Of the documents of a segment, counted from 1; 0 for those that are deleted."""

PATHS, PATH_START = "paths", "path.start"
SIZE, MTIME, CTIME, FILE_DIGEST = "file.size", "file.mtime", "file.ctime", "file.digest"
ID, ID_HIGH, DIGEST, KEY, FILE, LINE, SPAN = "id", "id.high", "digest", "key", "file", "line", "span"
LINK_FROM, LINK_TO = "link.from", "link.to"
ROW, INSTEAD = "row", "instead"
LABELS = "labels"
OUTLINE, OUTLINE_START, OUTLINE_SIZE = "outline", "outline.start", "outline.size"
STATE_OF, OUTLINE_OF = "state.file", "outline.file"
RUN_FIRST, RUN_COUNT, RUN_SHIFT = "run.first", "run.count", "run.shift"

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_LETTERS)}
_BASE_BITS = 40
_BASE_MASK = (1 << _BASE_BITS) - 1
BY_ROW = {"ids": ID, "digests": DIGEST, "keys": KEY, "files": FILE, "lines": LINE, "spans": SPAN}
"""Arrays of Columns that have a value for each paper, and their sections."""
_TYPES = {"ids": "Q", "digests": "Q", "keys": "Q", "files": "I", "lines": "I", "spans": "I"}
"""Type codes that have room for any value; a section has the smallest that has room for its own."""
_UP_TO_32_BITS = "BHI"
NOWHERE = 0xFFFFFFFF
"""Row of a document that is deleted. In the files rows are counted from 1, and 0 is none."""
FEW, FEW_SHARE, FEW_RUNS = 256, 8, 512
"""An edit is written beside the rows of all papers, not with them, up to so many rows and documents of its own, and as
many more as one in FEW_SHARE papers; and up to so many runs."""
ASKED_ONE_BY_ONE = 256
"""Ranks that are looked up before those of all documents are worked out."""
_LINES = 1 << 32
"""Lines wrap around there, so that a shift backwards is a number like all others."""

Labels = dict[str, dict[str, dict[str, int]]]
"""Exact field → folded value → spelling → number of papers that write it so."""
Run = tuple[int, int, int]
"""Papers that follow each other in reading order: the first row, the number of rows, and what is added to lines."""
Segments = list[tuple[str, int]]
"""Names of segments, and how many documents each has."""


def pack_id(paper_id: str) -> int:
    """An id (paper.make_id(), with its ordinal) as one number below 2**64."""
    base, _, ordinal = paper_id.partition("-")
    value = 0
    for letter in base:
        value = value << 5 | _VALUES[letter]
    return value | int(ordinal or 0) << _BASE_BITS


def unpack_id(number: int) -> str:
    """The id that pack_id() was given."""
    base = "".join(_LETTERS[number >> shift & 31] for shift in range(_BASE_BITS - 5, -1, -5))
    return f"{base}-{number >> _BASE_BITS}" if number > _BASE_MASK else base


def has_ordinal(number: int) -> bool:
    """Whether a packed id is that of a further paper of the same heading."""
    return number > _BASE_MASK


class Columns:
    """The arrays of a generation that is written whole. By rank: `ids` (packed), `digests` (64 bits of what is stored),
    `keys` (64 bits of what is written, 0 if it is not known), `files` (numbers of their notes), `lines` (from 1),
    `spans` (lines after the first). `files` come by `states`; `links` lead from one to another (numbers); `outlines`
    by number of the note: what digest.py wants to know of it again."""

    __slots__ = ("digests", "files", "ids", "keys", "labels", "lines", "links", "outlines", "spans", "states")

    def __init__(self, states: Iterable[FileState]) -> None:
        self.states = list(states)
        self.ids, self.digests, self.keys = array("Q"), array("Q"), array("Q")
        self.files, self.lines, self.spans = array("I"), array("I"), array("I")
        self.links: list[tuple[int, int]] = []
        self.labels: Labels = {}
        self.outlines: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, paper: Paper, file: int, digest: int, key: int) -> None:
        """Take the next paper in reading order, from the file of that number."""
        self.ids.append(pack_id(paper.id))
        self.digests.append(digest)
        self.keys.append(key)
        self.files.append(file)
        self.lines.append(paper.line)
        self.spans.append(paper.end_line - paper.line)
        count_label(self.labels, paper.category, paper.venue, paper.orgs)

    def write(self, path: str, rows: array[int], segments: Segments) -> tuple[int, int]:
        """Write the file; `rows` of the documents of these segments, one after the other. Its size, and the CRC-32 of
        its directory."""
        with _Writing(path) as writer:
            names = [state.path.encode("utf-8", "surrogatepass") for state in self.states]
            starts = array("Q", accumulate(map(len, names), initial=0))
            writer.put(PATHS, b"".join(names))
            writer.put(PATH_START, narrow(starts, starts[-1]))
            _put_states(writer, self.states)
            _put_by_row(writer, {name: getattr(self, name) for name in BY_ROW})
            _put_rows(writer, rows)
            _put_links(writer, self.links)
            _put_labels(writer, self.labels)
            outlines = [self.outlines.get(number, b"") for number in range(len(self.states))]
            _put_outlines(writer, [zlib.compress(outline) if outline else b"" for outline in outlines])
            writer.put(OUTLINE_SIZE, narrow(list(map(len, outlines))))
            writer.meta["segments"] = segments
            writer.close()
        return writer.size, writer.crc32


class _Writing(FlatWriter):
    """Leaves no file where it could not be finished."""

    def __enter__(self) -> _Writing:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is not None:
            self.discard()


def _put_by_row(writer: FlatWriter, columns: Mapping[str, array[int]]) -> None:
    for name, section in BY_ROW.items():
        values = columns[name]
        if name == "ids":  # five bytes but for further papers of one heading
            writer.put(ID_HIGH, narrow([value >> 32 for value in values]))
            values = array("I", [value & 0xFFFFFFFF for value in values])
        writer.put(section, narrow(values))


def _put_rows(writer: FlatWriter, rows: Sequence[int]) -> None:
    """Nothing for documents that have the rows 0, 1, …, as after each build from nothing."""
    in_order = all(map(eq, rows, range(len(rows))))
    writer.put(ROW, narrow(() if in_order else [0 if row == NOWHERE else row + 1 for row in rows]))


def _put_states(writer: FlatWriter, states: Sequence[FileState]) -> None:
    writer.put(SIZE, narrow([state.size for state in states]))
    # Times before 1970 wrap around; they are only compared
    writer.put(MTIME, array("Q", [state.mtime_ns % (1 << 64) for state in states]))
    writer.put(CTIME, array("Q", [state.ctime_ns % (1 << 64) for state in states]))
    writer.put(FILE_DIGEST, Known.of(states).digests)


def _put_links(writer: FlatWriter, links: list[tuple[int, int]]) -> None:
    for side, section in enumerate((LINK_FROM, LINK_TO)):
        writer.put(section, narrow([link[side] for link in links]))


def _put_labels(writer: FlatWriter, labels: Labels) -> None:
    import json

    writer.put(LABELS, json.dumps(labels, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _put_outlines(writer: FlatWriter, outlines: list[bytes]) -> None:
    starts = array("Q", accumulate(map(len, outlines), initial=0))
    writer.put(OUTLINE, b"".join(outlines))
    writer.put(OUTLINE_START, narrow(starts, starts[-1]))


def count_label(labels: Labels, category: str | None, venue: str | None, orgs: Iterable[str], by: int = 1) -> None:
    """Count the spellings of one more paper, or with -1 of one less."""
    for name, written in (("category", [category]), ("venue", [venue]), ("org", orgs)):
        for spelling in filter(None, written):
            by_key = labels.setdefault(name, {})
            counts = by_key.setdefault(exact_value(spelling), {})
            counts[spelling] = counts.get(spelling, 0) + by
            if not counts[spelling]:
                del counts[spelling]
                if not counts:
                    del by_key[exact_value(spelling)]
                    if not by_key:
                        del labels[name]


class _Ids:
    """Packed ids, of which the files have the last 32 bits apart from the rest. Acts as the memoryview of all would."""

    __slots__ = ("_high", "_low")

    def __init__(self, low: Sequence[int], high: Sequence[int]) -> None:
        self._low, self._high = low, high

    def __len__(self) -> int:
        return len(self._low)

    def __getitem__(self, key: Any) -> Any:
        low, high = self._low[key], self._high[key]
        if key.__class__ is slice:
            return array("Q", [last | first << 32 for last, first in zip(low, high, strict=True)])
        return low | high << 32


def _columns_of(file: FlatFile) -> dict[str, Sequence[int]]:
    """The values of the rows of a file. Raises IndexDamagedError where there is not one of each for each row."""
    found: dict[str, Sequence[int]] = {
        name: file.section(section, UNSIGNED if section in (DIGEST, KEY) else _UP_TO_32_BITS)
        for name, section in BY_ROW.items()
    }
    high = file.section(ID_HIGH, _UP_TO_32_BITS)
    if len({len(high), *map(len, found.values())}) != 1:
        raise damaged(file.path, "its sections contradict each other")
    found["ids"] = _Ids(found["ids"], high)  # type: ignore[assignment]
    return found


class _Rows:
    """The rows of all papers and those that edits added: a number below `count` is one of the first."""

    __slots__ = ("count", "first", "more")

    def __init__(self, first: Mapping[str, Sequence[int]], more: Mapping[str, Sequence[int]]) -> None:
        self.first, self.more = first, more
        self.count = len(first["ids"])

    def __len__(self) -> int:
        return self.count + len(self.more["ids"])

    def value(self, name: str, row: int) -> int:
        """One value of one row."""
        return self.first[name][row] if row < self.count else self.more[name][row - self.count]

    def values(self, name: str, runs: Iterable[Run]) -> array[int]:
        """The values of some runs."""
        first, more, count = self.first[name], self.more[name], self.count
        found = array(_TYPES[name])
        for row, length, shift in runs:
            some = first[row : row + length] if row < count else more[row - count : row - count + length]
            if shift and name == "lines":
                found.extend([(line + shift) % _LINES for line in some])
            elif isinstance(some, memoryview):
                if some.format == found.typecode:
                    found.frombytes(some.cast("B") if len(some) else b"")
                else:
                    found.fromlist(some.tolist())
            else:
                found.extend(some)
        return found


class _Order:
    """The reading order, as runs of rows. `instead`: row that a document has → that of its paper today."""

    __slots__ = ("_by_row", "_ends", "_instead", "runs")

    def __init__(self, runs: Sequence[Run], instead: Mapping[int, int]) -> None:
        self.runs, self._instead = runs, instead
        self._ends = list(accumulate([count for _, count, _ in runs]))
        self._by_row: list[tuple[int, int, int]] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def at(self, rank: int) -> tuple[int, int]:
        """The row of a rank, and what is added to its line. Raises IndexError."""
        number = bisect_right(self._ends, rank)
        first, count, shift = self.runs[number]
        return first + count - (self._ends[number] - rank), shift

    def part(self, first: int, end: int) -> list[Run]:
        """The runs of the ranks [first, end)."""
        number, found = bisect_right(self._ends, first), []
        while first < end:
            row, shift = self.at(first)
            count = min(self._ends[number], end) - first
            found.append((row, count, shift))
            first, number = first + count, number + 1
        return found

    def rank(self, row: int) -> int:
        """The rank of the row that a document has, NOWHERE if it is that of no paper any more."""
        row = self._instead.get(row, row)
        if self._by_row is None:
            ranks = accumulate([count for _, count, _ in self.runs], initial=0)
            self._by_row = sorted((first, count, rank) for (first, count, _), rank in zip(self.runs, ranks))  # noqa: B905
        number = bisect_right(self._by_row, row, key=itemgetter(0)) - 1
        if number < 0:
            return NOWHERE
        first, count, rank = self._by_row[number]
        return rank + row - first if row - first < count else NOWHERE

    def ranks(self, rows: int) -> array[int]:
        """The ranks of all rows."""
        ranks = array("I", [NOWHERE]) * rows
        rank = 0
        for first, count, _ in self.runs:
            ranks[first : first + count] = array("I", range(rank, rank + count))
            rank += count
        for row, now in self._instead.items():
            ranks[row] = ranks[now]
        return ranks


class Places:
    """The files as they are read: that of all papers, and perhaps that of what was edited since.

    Raises:
        IndexDamagedError: their sections contradict each other, or the segments.
    """

    __slots__ = (
        "_added", "_asked", "_base", "_edit", "_file", "_known", "_labels", "_order", "_path_start", "_paths", "_ranks",
        "_rows", "_segments",
    )  # fmt: skip

    def __init__(self, files: Sequence[FlatFile], segments: Segments) -> None:
        """`segments`: those of the generation."""
        self._file = base = files[0]
        self._edit = edit = files[1] if len(files) > 1 else None
        self._paths, self._path_start = base.section(PATHS, "B"), base.section(PATH_START)
        self._labels: Labels | None = None
        self._ranks: array[int] | None = None
        self._known: Known | None = None
        self._asked = 0
        first = _columns_of(base)
        papers = len(first["ids"])
        notes = len(self._path_start) - 1
        good = notes >= 0 and base.count(OUTLINE_START) == notes + 1 and base.count(OUTLINE_SIZE) == notes
        good = good and _states_fit(base, notes) and _links_fit(base)
        if not good or self._path_start[-1] != len(self._paths):
            raise damaged(base.path, "its sections contradict each other")
        self._base = _documents_of(base)
        self._added: dict[str, Rows] = {}
        if edit is None:
            self._rows, self._order = _Rows(first, dict.fromkeys(BY_ROW, ())), _Order([(0, papers, 0)], {})
        else:
            more, instead = _columns_of(edit), edit.section(INSTEAD)
            self._rows, self._order = _Rows(first, more), _Order(_runs_of(edit), _latest(instead, papers))
            self._added = _documents_of(edit)
            good = _states_fit(edit, edit.count(STATE_OF)) and _links_fit(edit)
            good = good and edit.count(OUTLINE_OF) + 1 == edit.count(OUTLINE_START)
            good = good and len(instead) == len(more["ids"])
            good = good and all(row <= papers + n for n, row in enumerate(instead))
            if not good or any(first + count > len(self._rows) for first, count, _ in self._order.runs):
                raise damaged(edit.path, "its sections contradict each other")
        known = {**self._base, **self._added}
        self._segments = segments
        if any(name not in known or len(known[name]) != documents for name, documents in segments):
            raise damaged((edit or base).path, "it does not have a row for each document")

    def __len__(self) -> int:
        return len(self._order)

    @property
    def file_count(self) -> int:
        """Number of files of the corpus."""
        return len(self._path_start) - 1

    def row(self, doc: int) -> int:
        """The row of a document."""
        for name, documents in self._segments:
            if doc < documents:
                row = self._rows_of(name)[doc]
                return row - 1 if row else NOWHERE
            doc -= documents
        raise IndexError(doc)

    def _rows_of(self, segment: str) -> Rows:
        found = self._added.get(segment)
        return self._base[segment] if found is None else found

    def rows_of(self, segment: str) -> array[int]:
        """The rows of the documents of a segment."""
        return array("I", [row - 1 if row else NOWHERE for row in _listed(self._rows_of(segment))])

    def rank(self, doc: int) -> int:
        """Where the paper of a live document stands in reading order, from 0."""
        if self._ranks is None:
            self._asked += 1
            if self._asked <= ASKED_ONE_BY_ONE:
                return self._order.rank(self.row(doc))
            ranks = array("I", [NOWHERE]) + self._order.ranks(len(self._rows))
            rows = [row for name, _ in self._segments for row in _listed(self._rows_of(name))]
            last = len(ranks) - 1
            self._ranks = array("I", [ranks[row] if row <= last else NOWHERE for row in rows])
        return self._ranks[doc]

    def values(self, name: str, ranks: range | None = None) -> array[int]:
        """The array of that name (BY_ROW), by rank, or of some ranks."""
        return self._rows.values(name, self._order.runs if ranks is None else self._order.part(ranks.start, ranks.stop))

    def links(self) -> list[tuple[int, int]]:
        """(file, other file that it links to), numbers."""
        return _links_of(self._edit if self._edit is not None and LINK_FROM in self._edit else self._file)

    def of_file(self, number: int) -> range:
        """Ranks of the papers of one file: files follow each other in reading order."""
        ranks = range(len(self))

        def file(rank: int) -> int:
            return self._rows.value("files", self._order.at(rank)[0])

        return range(bisect_left(ranks, number, key=file), bisect_right(ranks, number, key=file))

    def ids(self) -> list[str]:
        """Ids in reading order."""
        return list(map(unpack_id, self.values("ids")))

    def check(self) -> None:
        """Raises IndexDamagedError unless every byte is what was written: an update relies on it. A file that was
        checked before is not again unless its stamp changed."""
        for file in self.files():
            if not (file.is_checked and file.is_as_it_was()):
                file.check()

    def recheck(self) -> None:
        """As check(), if parts of a file are still to be read and it was changed since the last look."""
        for file in self.files():
            file.recheck()

    def files(self) -> list[FlatFile]:
        """The files, that of all papers first."""
        return [self._file] if self._edit is None else [self._file, self._edit]

    def problems(self, docs: Iterable[int]) -> Iterator[str]:
        """What is wrong with the bytes or with the places of these, the live documents; one line each."""
        for file in self.files():
            for section in file.failed_checksums():
                yield f"{file.path}: section {section} fails its checksum"
        path = self.files()[-1].path
        try:
            self.states()
            self.spellings()
            for number in range(self.file_count):
                self.outline(number)
        except IndexDamagedError as error:
            yield str(error)
        if sorted(map(self.rank, docs)) != list(range(len(self))):
            yield f"{path}: the documents are not the papers that have a place"
        numbers = self.values("files").tolist()
        if max(numbers, default=-1) >= self.file_count or any(max(link) >= self.file_count for link in self.links()):
            yield f"{path}: a paper or a link is in a file that is not there"
        if any(map(gt, numbers, numbers[1:])):
            yield f"{path}: papers are not in the order of their files"

    def same(self, columns: Columns) -> bool:
        """Whether these are the places and files that the columns hold."""
        by_row = all(self.values(name) == getattr(columns, name) for name in BY_ROW)
        return by_row and self.states().states() == columns.states and self.links() == columns.links

    def path(self, number: int) -> str:
        """Path of a file of the corpus."""
        if number >= self.file_count:
            raise damaged(self._file.path, f"there is no file {number}")
        name = bytes(self._paths[self._path_start[number] : self._path_start[number + 1]])
        return name.decode("utf-8", "surrogatepass")

    def place(self, doc: int) -> tuple[str, int, int]:
        """Path, line and end line of a live document's paper."""
        rank = self.rank(doc)
        if rank >= len(self):
            raise damaged(self.files()[-1].path, f"document {doc} has no place")
        row, shift = self._order.at(rank)
        line = (self._rows.value("lines", row) + shift) % _LINES
        return self.path(self._rows.value("files", row)), line, line + self._rows.value("spans", row)

    def states(self) -> Known:
        """What is remembered of the files of the corpus."""
        if self._known is None:
            self._known = self._read_states()
        return self._known

    def _read_states(self) -> Known:
        base = self._file
        starts = self._path_start.tolist()
        paths = bytes(self._paths)
        try:
            names = [paths[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(starts)]
        except UnicodeDecodeError:
            raise damaged(base.path, "a path that is not UTF-8") from None
        columns = _stats_of(base)
        digests = bytes(base.section(FILE_DIGEST, "B"))
        if self._edit is not None and self._edit.count(STATE_OF):
            edit, put = self._edit, bytearray(digests)
            newer = _stats_of(edit)
            changed = bytes(edit.section(FILE_DIGEST, "B"))
            for at, number in enumerate(edit.section(STATE_OF)):
                if number >= len(names):
                    raise damaged(edit.path, f"there is no file {number}")
                for column, values in zip(columns, newer, strict=True):
                    column[number] = values[at]
                put[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES] = changed[
                    at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES
                ]
            digests = bytes(put)
        return Known(list(zip(names, *columns, strict=True)), digests)

    def outline(self, number: int) -> bytes:
        """What digest.py wanted to know of a note again, empty if nothing."""
        if self._edit is not None:
            for at, changed in enumerate(self._edit.section(OUTLINE_OF)):
                if changed == number:
                    return _outline(self._edit, at)
        if not (packed := _outline(self._file, number)):
            return b""
        size = self._file.section(OUTLINE_SIZE, _UP_TO_32_BITS)[number]
        outline = unpack(packed, size)
        if outline is None or len(outline) != size:
            raise damaged(self._file.path, f"the outline of file {number} cannot be unpacked")
        return outline

    def spellings(self) -> Labels:
        """How facets are written, with the number of papers for each spelling."""
        if self._labels is None:
            self._labels = _labels_of(self._edit if self._edit is not None and LABELS in self._edit else self._file)
        return self._labels

    def _first_labels(self) -> Labels:
        return _labels_of(self._file) if self._edit is not None and LABELS in self._edit else self.spellings()

    def labels(self, name: str) -> dict[str, str]:
        """Folded value of an exact field → the spelling that most papers use; of equals the first by code points."""
        by_key = self.spellings().get(name, {})
        return {key: min(counts, key=lambda spelling: (-counts[spelling], spelling)) for key, counts in by_key.items()}


def _links_of(file: FlatFile) -> list[tuple[int, int]]:
    return list(zip(file.section(LINK_FROM).tolist(), file.section(LINK_TO).tolist(), strict=True))


def _labels_of(file: FlatFile) -> Labels:
    try:
        raw: Any = loads(bytes(file.section(LABELS, "B")).decode("utf-8", "surrogatepass"))
        good = all(type(n) is int for by_key in raw.values() for counts in by_key.values() for n in counts.values())
    except (ValueError, AttributeError, RecursionError):
        good = False
    if not good:
        raise damaged(file.path, "its labels make no sense")
    return raw  # type: ignore[no-any-return]


def _stats_of(file: FlatFile) -> list[list[int]]:
    """Sizes, times of change of the content and of the inode."""
    times = [file.section(section, "Q") for section in (MTIME, CTIME)]
    return [file.section(SIZE).tolist(), *(t.cast("B").cast("q").tolist() if len(t) else [] for t in times)]


def _states_fit(file: FlatFile, count: int) -> bool:
    return {file.count(SIZE), file.count(MTIME), file.count(CTIME)} == {count} and (
        file.count(FILE_DIGEST) == count * DIGEST_BYTES
    )


def _links_fit(file: FlatFile) -> bool:
    return file.count(LINK_FROM) == file.count(LINK_TO)


def _runs_of(file: FlatFile) -> list[Run]:
    columns = [file.section(section).tolist() for section in (RUN_FIRST, RUN_COUNT, RUN_SHIFT)]
    if len(set(map(len, columns))) != 1:
        raise damaged(file.path, "its sections contradict each other")
    return list(zip(*columns, strict=True))


def _latest(instead: Sequence[int], first: int) -> dict[int, int]:
    """Row → the row that there is today instead of it, from what each row from `first` on was put instead of: rows
    counted from 1, or 0 for none."""
    after = {row - 1: first + n for n, row in enumerate(instead) if row}
    for row in sorted(after, reverse=True):
        after[row] = after.get(after[row], after[row])
    return after


def _listed(rows: Rows) -> Sequence[int]:
    """Quicker to go through."""
    return rows if isinstance(rows, range) else rows.tolist()


def _documents_of(file: FlatFile) -> dict[str, Rows]:
    """Segment → rows of its documents."""
    rows: Rows = file.section(ROW, _UP_TO_32_BITS)
    found: dict[str, Rows] = {}
    start = 0
    try:
        segments = [(name, documents) for name, documents in file.meta.get("segments") or ()]
        rows = rows or range(1, 1 + sum(documents for _, documents in segments))
        for name, documents in segments:
            found[name] = rows[start : start + documents]
            start += documents
        good = start == len(rows)
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise damaged(file.path, "its sections contradict each other")
    return found


def _outline(file: FlatFile, at: int) -> bytes:
    starts = file.section(OUTLINE_START)
    return bytes(file.section(OUTLINE, "B")[starts[at] : starts[at + 1]])


class Edit:
    """Places in which some papers change; what is written of it is the changes.

    Papers are put instead of those of some ranks, from the first such ranks to the last, between replace() and the
    next call of it or of finish(): with keep() what is known of papers, with add() that of new ones.
    """

    def __init__(self, places: Places) -> None:
        self.base = places
        self.states: dict[int, FileState] = {}
        self.outlines: dict[int, bytes] = {}
        self.links = places.links()
        self.rows_of: dict[int, int] = {}
        """Packed id of a paper that was added → its row."""
        self._labels: Labels | None = None
        self._count = places._rows.count
        own = [(self._count, len(places._rows) - self._count, 0)]
        self._more = {name: places._rows.values(name, own) for name in BY_ROW}
        self._instead = array("I", () if places._edit is None else places._edit.section(INSTEAD))
        self._runs: list[Run] = []
        self._done = 0

    def __len__(self) -> int:
        return sum(count for _, count, _ in self._runs)

    def replace(self, ranks: range) -> None:
        """Go on to the papers of these ranks; what stands before them stays."""
        self._pass(ranks.start)
        self._done = ranks.stop

    def finish(self) -> None:
        """All that comes after stays."""
        self._pass(len(self.base))

    def _pass(self, end: int) -> None:
        for run in self.base._order.part(self._done, end):
            self._append(*run)
        self._done = end

    def _append(self, first: int, count: int, shift: int) -> None:
        if self._runs and count:
            last_first, last_count, last_shift = self._runs[-1]
            if first == last_first + last_count != self._count and shift == last_shift:
                self._runs[-1] = (last_first, last_count + count, shift)
                return
        if count:
            self._runs.append((first, count, shift))

    def keep(self, ranks: range, lines: int = 0) -> None:
        """Put papers of the base that stand so many lines further down than there."""
        for first, count, shift in self.base._order.part(ranks.start, ranks.stop):
            self._append(first, count, (shift + lines) % _LINES)

    def add(self, paper: Paper, file: int, digest: int, key: int, document_of: int | None) -> None:
        """Put a paper that is new or has changed; or of which the document did not, that of some rank of the base."""
        values = (pack_id(paper.id), digest, key, file, paper.line, paper.end_line - paper.line)
        self.rows_of[values[0]] = row = self._count + len(self._more["ids"])
        for name, value in zip(BY_ROW, values, strict=True):
            self._more[name].append(value)
        self._instead.append(0 if document_of is None else self.base._order.at(document_of)[0] + 1)
        self._append(row, 1, 0)

    def label(self, category: str | None, venue: str | None, orgs: Iterable[str], by: int = 1) -> None:
        """As count_label()."""
        if self._labels is None:
            known = self.base.spellings()
            self._labels = {name: {k: dict(n) for k, n in by_key.items()} for name, by_key in known.items()}
        count_label(self._labels, category, venue, orgs, by)

    @property
    def changes(self) -> bool:
        """Whether anything is not as it was."""
        return bool(
            self.states or self.outlines or self._runs != list(self.base._order.runs) or self.links != self.base.links()
        )

    def write(self, path: str, segments: Segments, row_of: Callable[[str], array[int]]) -> tuple[bool, tuple[int, int]]:
        """Write the file for the segments of the next generation; `row_of` gives the rows of the documents of one that
        the base does not know. Whether it holds the changes alone, and what Columns.write() says."""
        base = self.base
        known = base._base
        fresh = {
            name: base.rows_of(name) if name in base._added else row_of(name)
            for name, _ in segments
            if name not in known
        }
        own = max(len(self._more["ids"]), sum(map(len, fresh.values())))
        if own > FEW + len(self) // FEW_SHARE or len(self._runs) > FEW_RUNS:
            return False, self._write_whole(path, segments, fresh)
        with _Writing(path) as writer:
            for section, values in zip((RUN_FIRST, RUN_COUNT, RUN_SHIFT), zip(*self._runs), strict=True):  # noqa: B905
                writer.put(section, narrow(values))
            _put_by_row(writer, self._more)
            writer.put(INSTEAD, narrow(self._instead))
            states = self._states()
            writer.put(STATE_OF, narrow(states))
            _put_states(writer, list(states.values()))
            outlines = self._outlines()
            writer.put(OUTLINE_OF, narrow(outlines))
            _put_outlines(writer, list(outlines.values()))
            if self.links != _links_of(base._file):
                _put_links(writer, self.links)
            labels = base.spellings() if self._labels is None else self._labels
            if labels is not base._first_labels() and labels != base._first_labels():
                _put_labels(writer, labels)
            _put_rows(writer, [row for rows in fresh.values() for row in rows])
            writer.meta["segments"] = [(name, len(rows)) for name, rows in fresh.items()]
            writer.close()
        return True, (writer.size, writer.crc32)

    def _states(self) -> dict[int, FileState]:
        """Those that are not as in the first file."""
        known, edit = self.base.states(), self.base._edit
        before = () if edit is None else edit.section(STATE_OF)
        return {number: known.state(number) for number in before} | self.states

    def _outlines(self) -> dict[int, bytes]:
        edit = self.base._edit
        before = {} if edit is None else {n: _outline(edit, at) for at, n in enumerate(edit.section(OUTLINE_OF))}
        return before | self.outlines

    def _write_whole(self, path: str, segments: Segments, fresh: dict[str, array[int]]) -> tuple[int, int]:
        base = self.base
        for file in base.files():
            file.check()  # all of it gets a fresh checksum
        columns = Columns(base.states().states())
        for number, state in self.states.items():
            columns.states[number] = state
        rows = _Rows(base._rows.first, self._more)
        for name in BY_ROW:
            setattr(columns, name, rows.values(name, self._runs))
        columns.links = self.links
        columns.labels = base.spellings() if self._labels is None else self._labels
        outlines = {number: base.outline(number) for number in range(base.file_count)} | self.outlines
        columns.outlines = {number: outline for number, outline in outlines.items() if outline}
        ranks = _Order(self._runs, _latest(self._instead, self._count)).ranks(len(rows))
        last = len(ranks) - 1
        documents = array("I")
        for name, _ in segments:
            of_segment = fresh[name] if name in fresh else base.rows_of(name)
            documents.extend([ranks[row] if row <= last else NOWHERE for row in of_segment])
        return columns.write(path, documents, segments)
