"""Where papers stand: the file beside the segments that tells of each document its place in the corpus of today.

Papers are numbered by reading order, their *rank*. Everything is a flat array, so that opening costs the same for ten
papers and a hundred thousand (docs/index-format.md).
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from operator import gt

from papersearch.analysis.normalize import exact_value
from papersearch.errors import IndexDamagedError
from papersearch.index.flatfile import FlatFile, FlatWriter, damaged, narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from papersearch.files import FileState
    from papersearch.paper import Paper

PATHS, PATH_START = "paths", "path.start"
SIZE, MTIME, CTIME, FILE_DIGEST = "file.size", "file.mtime", "file.ctime", "file.digest"
ID, DIGEST, KEY, FILE, LINE, SPAN = "id", "digest", "key", "file", "line", "span"
LINK_FROM, LINK_TO = "link.from", "link.to"
RANK = "rank"
LABELS = "labels"

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_LETTERS)}
_BASE_BITS = 40
_BASE_MASK = (1 << _BASE_BITS) - 1
BY_RANK = {"ids": ID, "digests": DIGEST, "keys": KEY, "files": FILE, "lines": LINE, "spans": SPAN}
"""Arrays of Columns that have a value for each paper, and their sections."""
NOWHERE = 0xFFFFFFFF
"""Rank of a document that is deleted."""
DIGEST_BYTES = 16
"""Of a file; all zero where it could not be read."""

Labels = dict[str, dict[str, dict[str, int]]]
"""Exact field → folded value → spelling → number of papers that write it so."""


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
    """The arrays of a generation that is being written. By rank: `ids` (packed), `digests` (64 bits of what is stored),
    `keys` (64 bits of what is written, 0 if it is not known), `files` (numbers of their notes), `lines` (from 1),
    `spans` (lines after the first). `files` come by `states`; `links` lead from one to another (numbers)."""

    __slots__ = ("base", "digests", "files", "ids", "keys", "labels", "lines", "links", "spans", "spliced", "states")

    def __init__(self, states: Sequence[FileState]) -> None:
        self.states = list(states)
        self.ids, self.digests, self.keys = array("Q"), array("Q"), array("Q")
        self.files, self.lines, self.spans = array("I"), array("I"), array("I")
        self.links: list[tuple[int, int]] = []
        self.labels: Labels = {}
        self.base: Places | None = None
        """What these columns are a copy of, but for what was `spliced`: first rank and end there, ids put instead."""
        self.spliced: list[tuple[int, int, array[int]]] = []

    def add(self, paper: Paper, file: int, digest: int, key: int) -> None:
        """Take the next paper in reading order, from the file of that number."""
        self.ids.append(pack_id(paper.id))
        self.digests.append(digest)
        self.keys.append(key)
        self.files.append(file)
        self.lines.append(paper.line)
        self.spans.append(paper.end_line - paper.line)
        self.label(paper.category, paper.venue, paper.orgs)

    def keep(self, places: Places, ranks: range, lines: Sequence[int]) -> None:
        """Take the papers of ranks of other places as the next ones; they begin in these lines now."""
        for name in BY_RANK:
            if name != "lines":
                getattr(self, name).frombytes(places.values(name)[ranks.start : ranks.stop].cast("B"))
        self.lines.extend(lines)

    def label(self, category: str | None, venue: str | None, orgs: Iterable[str], by: int = 1) -> None:
        """Count the spellings of one more paper, or with -1 of one less."""
        for name, written in (("category", [category]), ("venue", [venue]), ("org", orgs)):
            for spelling in filter(None, written):
                by_key = self.labels.setdefault(name, {})
                counts = by_key.setdefault(exact_value(spelling), {})
                counts[spelling] = counts.get(spelling, 0) + by
                if not counts[spelling]:
                    del counts[spelling]
                    if not counts:
                        del by_key[exact_value(spelling)]
                        if not by_key:
                            del self.labels[name]

    def splice(self, first: int, end: int, others: Columns) -> None:
        """Put the papers of other columns in the place of those of ranks [first, end) of the base, which stand after
        all that was spliced before. Labels are left as they are."""
        shift = sum(len(ids) - (b - a) for a, b, ids in self.spliced)
        for name in BY_RANK:
            getattr(self, name)[first + shift : end + shift] = getattr(others, name)
        self.spliced.append((first, end, others.ids))

    def ranks_now(self) -> array[int] | None:
        """Rank in the base → rank here, NOWHERE for a paper that is gone; None where all are the same."""
        assert self.base is not None
        if all(self.base.packed(a, b) == ids for a, b, ids in self.spliced):
            return None
        now, last, at = array("I"), 0, 0
        for first, end, ids in self.spliced:
            now.extend(range(at, at + first - last))
            at += first - last
            rank_of = {number: at + n for n, number in enumerate(ids)}
            now.extend(rank_of.get(number, NOWHERE) for number in self.base.packed(first, end))
            at += len(ids)
            last = end
        now.extend(range(at, at + len(self.base) - last))
        return now

    def write(self, path: str, ranks: Iterable[int]) -> tuple[int, int]:
        """Write the file; `ranks` by global document number. Its size, and the CRC-32 of its directory."""
        writer = FlatWriter(path)
        try:
            names = [state.path.encode("utf-8", "surrogatepass") for state in self.states]
            starts = array("Q", [0])
            for name in names:
                starts.append(starts[-1] + len(name))
            writer.put(PATHS, b"".join(names))
            writer.put(PATH_START, narrow(starts, starts[-1]))
            writer.put(SIZE, array("Q", [state.size for state in self.states]))
            # Times before 1970 wrap around; they are only compared
            writer.put(MTIME, array("Q", [state.mtime_ns % (1 << 64) for state in self.states]))
            writer.put(CTIME, array("Q", [state.ctime_ns % (1 << 64) for state in self.states]))
            writer.put(FILE_DIGEST, b"".join(bytes.fromhex(s.digest or "00" * DIGEST_BYTES) for s in self.states))
            for values, section in BY_RANK.items():
                writer.put(section, getattr(self, values))
            writer.put(RANK, array("I", ranks))
            for side, section in enumerate((LINK_FROM, LINK_TO)):
                writer.put(section, array("I", [link[side] for link in self.links]))
            writer.put(LABELS, json.dumps(self.labels, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            writer.close()
        except BaseException:
            writer.discard()
            raise
        return writer.size, writer.crc32


class Places:
    """The file as it is read.

    Raises:
        IndexDamagedError: its sections contradict each other, or the number of documents.
    """

    __slots__ = ("_file", "_files", "_ids", "_labels", "_lines", "_path_start", "_paths", "_ranks", "_spans")

    def __init__(self, file: FlatFile, documents: int) -> None:
        self._file = file
        self._paths, self._path_start = file.section(PATHS, "B"), file.section(PATH_START)
        self._ids, self._files = file.section(ID), file.section(FILE)
        self._lines, self._spans, self._ranks = file.section(LINE), file.section(SPAN), file.section(RANK)
        self._labels: Labels | None = None
        papers = len(self._ids)
        sizes = {file.count(section) for section in BY_RANK.values()}
        per_file = {file.count(name) for name in (SIZE, MTIME, CTIME)}
        notes = len(self._path_start) - 1
        linked = file.count(LINK_FROM) == file.count(LINK_TO)
        if sizes != {papers} or not linked or len(self._ranks) != documents or per_file != {notes}:
            raise damaged(file.path, "its sections contradict each other")
        if file.count(FILE_DIGEST) != notes * DIGEST_BYTES or self._path_start[-1] != len(self._paths):
            raise damaged(file.path, "its sections contradict each other")

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def file_count(self) -> int:
        """Number of files of the corpus."""
        return len(self._path_start) - 1

    def rank(self, doc: int) -> int:
        """Where the paper of a live document stands in reading order, from 0."""
        return int(self._ranks[doc])

    def ranks(self) -> array[int]:
        """Rank by global document number; NOWHERE for deleted ones."""
        return array("I", self._ranks)

    def values(self, name: str) -> memoryview[Any]:
        """The array of that name (BY_RANK), by rank."""
        return self._file.section(BY_RANK[name])

    def links(self) -> list[tuple[int, int]]:
        """(file, other file that it links to), numbers."""
        return list(zip(self._file.section(LINK_FROM).tolist(), self._file.section(LINK_TO).tolist(), strict=True))

    def packed(self, first: int, end: int) -> array[int]:
        """Packed ids of the papers of ranks [first, end)."""
        return array("Q", self._ids[first:end])

    def of_file(self, number: int) -> range:
        """Ranks of the papers of one file, where files follow each other in reading order."""
        return range(bisect_left(self._files, number), bisect_right(self._files, number))

    def copied(self, states: Sequence[FileState]) -> Columns:
        """The columns of these places, to be changed; the files are as many, in the same order."""
        columns = Columns(states)
        columns.base = self
        for name in BY_RANK:
            getattr(columns, name).frombytes(self.values(name).cast("B"))
        columns.links = self.links()
        columns.labels = json.loads(json.dumps(self.spellings()))
        return columns

    def ids(self, ranks: range | None = None) -> list[str]:
        """Ids in reading order, of all papers or of those of some ranks."""
        ids = self._ids if ranks is None else self._ids[ranks.start : ranks.stop]
        return list(map(unpack_id, ids))

    def digests(self, ranks: range | None = None) -> list[int]:
        """64 bits each that tell two states of a paper apart, likewise."""
        digests = self._file.section(DIGEST)
        found: list[int] = (digests if ranks is None else digests[ranks.start : ranks.stop]).tolist()
        return found

    def check(self) -> None:
        """Raises IndexDamagedError unless every byte is what was written: an update carries it on."""
        self._file.check()

    def recheck(self) -> None:
        """As check(), if the file is mapped and was changed since the last look."""
        self._file.recheck()

    def problems(self, docs: Iterable[int]) -> Iterator[str]:
        """What is wrong with the bytes or with the places of these, the live documents; one line each."""
        for section in self._file.failed_checksums():
            yield f"{self._file.path}: section {section} fails its checksum"
        try:
            self.states()
            self.spellings()
        except IndexDamagedError as error:
            yield str(error)
        if sorted(self._ranks[doc] for doc in docs) != list(range(len(self))):
            yield f"{self._file.path}: the documents are not the papers that have a place"
        numbers = self._files.tolist()
        if max(numbers, default=-1) >= self.file_count or any(max(link) >= self.file_count for link in self.links()):
            yield f"{self._file.path}: a paper or a link is in a file that is not there"
        if any(map(gt, numbers, numbers[1:])):
            yield f"{self._file.path}: papers are not in the order of their files"

    def same(self, columns: Columns) -> bool:
        """Whether these are the places and files that the columns hold."""
        by_rank = all(self.values(name).tolist() == getattr(columns, name).tolist() for name in BY_RANK)
        return by_rank and self.states() == columns.states and self.links() == columns.links

    def path(self, number: int) -> str:
        """Path of a file of the corpus."""
        if number >= self.file_count:
            raise damaged(self._file.path, f"there is no file {number}")
        name = bytes(self._paths[self._path_start[number] : self._path_start[number + 1]])
        return name.decode("utf-8", "surrogatepass")

    def place(self, doc: int) -> tuple[str, int, int]:
        """Path, line and end line of a live document's paper."""
        rank = self._ranks[doc]
        if rank >= len(self._ids):
            raise damaged(self._file.path, f"document {doc} has no place")
        line = self._lines[rank]
        return self.path(self._files[rank]), line, line + self._spans[rank]

    def states(self) -> list[FileState]:
        """What is remembered of the files of the corpus."""
        from papersearch.files import FileState

        file = self._file
        times = (file.section(SIZE).tolist(), file.section(MTIME).tolist(), file.section(CTIME).tolist())
        digests = bytes(file.section(FILE_DIGEST, "B"))
        starts = self._path_start.tolist()
        paths = bytes(self._paths)
        try:
            names = [paths[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(starts)]
        except UnicodeDecodeError:
            raise damaged(file.path, "a path that is not UTF-8") from None
        found = []
        for number, (name, size, mtime, ctime) in enumerate(zip(names, *times, strict=True)):
            digest = digests[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
            found.append(FileState(name, size, _signed(mtime), _signed(ctime), digest.hex() if any(digest) else ""))
        return found

    def spellings(self) -> Labels:
        """How facets are written, with the number of papers for each spelling."""
        if self._labels is None:
            try:
                raw: Any = json.loads(bytes(self._file.section(LABELS, "B")).decode("utf-8", "surrogatepass"))
                good = all(
                    type(n) is int for by_key in raw.values() for counts in by_key.values() for n in counts.values()
                )
            except (ValueError, AttributeError, RecursionError):
                good = False
            if not good:
                raise damaged(self._file.path, "its labels make no sense")
            self._labels = raw
        return self._labels

    def labels(self, name: str) -> dict[str, str]:
        """Folded value of an exact field → the spelling that most papers use; of equals the first by code points."""
        by_key = self.spellings().get(name, {})
        return {key: min(counts, key=lambda spelling: (-counts[spelling], spelling)) for key, counts in by_key.items()}


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
