"""The table of contents: which segment files make up the current generation, and the atomic switch to the next one.

`toc.json` is one JSON object whose first member is the CRC-32 of every byte after it. `toc.prev.json` is the table it
replaced; the files either of them names are kept, so that a reader between "read the table" and "open the files"
survives one whole commit.
"""

from __future__ import annotations

import os
import stat
import zlib

from papersearch.errors import IndexDamagedError, IndexMissingError
from papersearch.index.flatfile import MAGIC, FlatFile, damaged, open_regular, stamp_of
from papersearch.index.objects import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from papersearch.index.flatfile import Stamp

FORMAT = 5
"""Version of everything in an index folder; any change that an older reader would misread raises it."""
TOC_NAME = "toc.json"
PREVIOUS_NAME = "toc.prev.json"
TEMPORARY_NAME = "toc.json.tmp"
LOCK_NAME = "lock"
DOCUMENTS, INVERTED = "doc", "inv"
"""Extensions of the two files of a segment."""
PLACES = "map"
"""Extension of the file that says where the papers stand (papersearch.index.places)."""
SEGMENT_ID_LENGTH = 16
MAX_TOC_BYTES = 1 << 28

_ID_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyz")
_CRC_START = b'{"crc32":"'
_CRC_END = len(_CRC_START) + 8


def new_segment_id() -> str:
    """A name that no segment had before; the system's randomness, as a seeded generator would repeat names."""
    return os.urandom(SEGMENT_ID_LENGTH // 2).hex()


def is_segment_id(text: object) -> bool:
    """Whether the text can be a segment's id, and so is safe in a file name."""
    return isinstance(text, str) and len(text) == SEGMENT_ID_LENGTH and _ID_CHARACTERS.issuperset(text)


class SegmentEntry:
    """What the table says about one segment. `deleted` belongs to the table: segment files never change."""

    __slots__ = ("deleted", "documents", "files", "lengths", "segment_id")

    def __init__(
        self,
        segment_id: str,
        documents: int,
        deleted: frozenset[int] = frozenset(),
        lengths: dict[str, int] | None = None,
        files: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self.segment_id = segment_id
        self.documents = documents
        self.deleted = deleted
        self.lengths = lengths or {}
        """Sum of a field's lengths over all documents, the deleted ones included."""
        self.files = files or {}
        """Extension -> (size in bytes, CRC-32 of the file's directory)."""

    @property
    def live(self) -> int:
        """Number of documents that are not deleted."""
        return self.documents - len(self.deleted)

    def file_names(self) -> list[str]:
        """Names of the segment's files."""
        return [f"{self.segment_id}.{extension}" for extension in self.files]


class Toc:
    """One generation of an index."""

    __slots__ = ("generation", "meta", "places", "segments", "stamps")

    def __init__(
        self,
        generation: int,
        segments: list[SegmentEntry],
        meta: dict[str, Any],
        places: Sequence[tuple[str, int, int]] = (),
        stamps: dict[str, Stamp] | None = None,
    ) -> None:
        self.generation = generation
        self.segments = segments
        self.meta = meta
        self.places = tuple(places)
        """Of each file of places: its name without extension, its size, the CRC-32 of its directory."""
        self.stamps = stamps or {}
        """Name of a file → its stamp when it had been written."""

    def file_names(self) -> set[str]:
        """Names of all files of this generation."""
        names = {name for segment in self.segments for name in segment.file_names()}
        return names | {f"{name}.{PLACES}" for name, _, _ in self.places}

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Name of a file → its size, and the CRC-32 of its directory."""
        of_segments = {
            f"{segment.segment_id}.{extension}": written
            for segment in self.segments
            for extension, written in segment.files.items()
        }
        return of_segments | {f"{name}.{PLACES}": (size, crc32) for name, size, crc32 in self.places}

    def to_bytes(self) -> bytes:
        """The file's content. `generation` stands early, so that read_generation() need not parse the rest.

        Raises:
            TypeError, ValueError: `meta` is not JSON.
        """
        content = {
            "format": FORMAT,
            "generation": self.generation,
            "segments": [
                {
                    "id": segment.segment_id,
                    "documents": segment.documents,
                    "deleted": sorted(segment.deleted),
                    "lengths": segment.lengths,
                    "files": {
                        extension: {"size": size, "crc32": crc32} for extension, (size, crc32) in segment.files.items()
                    },
                }
                for segment in self.segments
            ],
            "places": self.places,
            "stamps": self.stamps,
            "meta": self.meta,
        }
        import json

        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        rest = b'",' + text[1:].encode("utf-8", "surrogatepass")
        return _CRC_START + b"%08x" % zlib.crc32(rest) + rest


def _natural(value: object) -> bool:
    return type(value) is int and value >= 0


def _segment_of(raw: Any) -> SegmentEntry | None:
    """The entry a JSON value stands for, None if it is not one."""
    documents, deleted, lengths, files = raw["documents"], raw["deleted"], raw["lengths"], raw["files"]
    good = (
        is_segment_id(raw["id"])
        and _natural(documents)
        and type(deleted) is list
        and all(type(doc) is int and 0 <= doc < documents for doc in deleted)
        and type(lengths) is dict
        and all(map(_natural, lengths.values()))
        and type(files) is dict
        and files.keys() == {DOCUMENTS, INVERTED}
        and all(_natural(file["size"]) and _natural(file["crc32"]) for file in files.values())
    )
    if not good:
        return None
    sizes = {extension: (file["size"], file["crc32"]) for extension, file in files.items()}
    return SegmentEntry(raw["id"], documents, frozenset(deleted), lengths, sizes)


def _are_places(raw: Any) -> bool:
    return (
        type(raw) is list
        and len(raw) <= 2
        and all(is_segment_id(name) and _natural(size) and _natural(crc32) for name, size, crc32 in raw)
    )


def _are_stamps(raw: Any) -> bool:
    return type(raw) is dict and all(
        type(stamp) is list and len(stamp) == 3 and all(type(n) is int for n in stamp) for stamp in raw.values()
    )


def _read_bytes(folder: str, name: str, limit: int = -1) -> bytes:
    path = os.path.join(folder, name)
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_TOC_BYTES:
                raise damaged(path, "far too large")
            return file.read(limit)
    except FileNotFoundError:
        raise IndexMissingError(f"there is no index in {folder}; run: papersearch index") from None
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror})") from None


def read_toc(folder: str, name: str = TOC_NAME) -> Toc:
    """Read and check the table of contents.

    Raises:
        IndexMissingError: there is none.
        IndexDamagedError: it is not one, of another version, or was changed.
    """
    data, path = _read_bytes(folder, name), os.path.join(folder, name)
    try:
        raw = loads(data.decode("utf-8", "surrogatepass"))
        version = raw["format"]
        if type(version) is int and version != FORMAT:
            raise damaged(path, f"format version {version}, and this program reads version {FORMAT}")
        if data[:_CRC_END] != _CRC_START + b"%08x" % zlib.crc32(data[_CRC_END:]):
            raise damaged(path, "fails its checksum")
        segments = [_segment_of(segment) for segment in raw["segments"]]
        generation, meta, places, stamps = raw["generation"], raw["meta"], raw["places"], raw["stamps"]
        good = type(version) is int and _natural(generation) and type(meta) is dict and _are_places(places)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise damaged(path, "not a table of contents, or cut short") from None
    good = good and _are_stamps(stamps)
    if not good or None in segments:
        raise damaged(path, "makes no sense")
    whole = [segment for segment in segments if segment is not None]
    known = {name: (stamp[0], stamp[1], stamp[2]) for name, stamp in stamps.items()}
    return Toc(generation, whole, meta, [(name, size, crc32) for name, size, crc32 in places], known)


def read_generation(folder: str | os.PathLike[str]) -> int | None:
    """Number of the current generation, None where there is no index; reads one small piece of one file.

    Raises:
        IndexDamagedError: what stands there is no table of contents.
    """
    folder = os.fspath(folder)
    try:
        head = _read_bytes(folder, TOC_NAME, 128)
        before, _, after = head[_CRC_END:].partition(b'"generation":')
        digits, comma, _ = after.partition(b",")
        if before == b'","format":%d,' % FORMAT and comma and digits.isdigit():
            return int(digits)
        return read_toc(folder).generation
    except IndexMissingError:
        return None


def sync_folder(folder: str) -> None:
    """Make renames and new names in the folder durable (a no-op where folders cannot be synced)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_way(folder: str, *names: str) -> None:
    """Clear away what is no file and stands where one of an index belongs: links and pipes are removed, folders that
    hold something get another name. Does nothing where the folder holds no index. Raises OSError."""
    for path in [os.path.join(folder, name) for name in names]:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISREG(mode) or not _holds_an_index(folder):
            continue
        if not stat.S_ISDIR(mode):
            os.unlink(path)
            continue
        try:
            os.rmdir(path)
        except OSError:
            os.rename(path, f"{path}.{os.urandom(4).hex()}.aside")


def _holds_an_index(folder: str) -> bool:
    """Whether a file in the folder is one of ours, and so the names that we use there are."""
    return any(_is_file_of_ours(folder, name) for name in os.listdir(folder))


def _is_file_of_ours(folder: str, name: str) -> bool:
    """Whether it is a file of a segment or of places, whole or begun."""
    stem, _, extension = name.partition(".")
    if not is_segment_id(stem) or extension not in (DOCUMENTS, INVERTED, PLACES):
        return False
    try:
        with os.fdopen(open_regular(os.path.join(folder, name)), "rb") as file:
            begun = file.read(len(MAGIC))
    except (OSError, IndexDamagedError):
        return False
    return MAGIC.startswith(begun)  # an empty file is one whose writer was killed at once


def _replace(folder: str, name: str, data: bytes) -> None:
    temporary = os.path.join(folder, TEMPORARY_NAME)
    if os.path.lexists(temporary):
        os.unlink(temporary)
    with open(temporary, "xb") as file:  # never through a link that someone left there
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, os.path.join(folder, name))


def publish(folder: str, toc: Toc) -> None:
    """Make `toc` the current generation; its new files are written but not yet synced.

    Every step leaves either the old or the new generation whole: files, folder, previous table, table, folder; only
    then are files removed that neither table names.

    Raises:
        OSError: the old generation is still current.
        TypeError, ValueError: `toc.meta` is not JSON; likewise.
    """
    try:
        current: Toc | None = read_toc(folder)
        previous_data = _read_bytes(folder, TOC_NAME)
    except (IndexMissingError, IndexDamagedError):
        current, previous_data = None, b""
    for name in sorted(toc.file_names() - (current.file_names() if current else set())):
        with open(os.path.join(folder, name), "r+b") as file:
            os.fsync(file.fileno())
    toc.stamps = {name: _stamp(folder, name, current) for name in sorted(toc.file_names())}
    data = toc.to_bytes()
    sync_folder(folder)
    if current is not None:
        _replace(folder, PREVIOUS_NAME, previous_data)
    _replace(folder, TOC_NAME, data)
    sync_folder(folder)
    remove_unused(folder, toc.file_names() | (current.file_names() if current else set()))
    if current is None:
        _forget_previous(folder)


def _stamp(folder: str, name: str, current: Toc | None) -> Stamp:
    """What the next table says of a file. One that was there and has changed keeps the stamp it had, unless every byte
    is as it was written: else its damage would not be found."""
    path = os.path.join(folder, name)
    now = stamp_of(os.stat(path))
    before = current.stamps.get(name) if current is not None and name in current.file_names() else None
    if before is None or before == now:
        return now
    try:
        return before if FlatFile(path).failed_checksums() else now
    except IndexDamagedError:
        return before


def _forget_previous(folder: str) -> None:
    """Remove the previous table where the one after it was damaged or gone: the files it names are no longer kept."""
    try:
        os.unlink(os.path.join(folder, PREVIOUS_NAME))
    except OSError:
        return  # mostly because there is none; the switch is done either way


def remove_left_over(folder: str) -> None:
    """Delete what builds that failed or died have left, so that a full disk has room again. Only for who has the lock;
    does nothing where a table is damaged."""
    keep: set[str] = set()
    for name in (TOC_NAME, PREVIOUS_NAME):
        try:
            keep |= read_toc(folder, name).file_names()
        except IndexMissingError:
            continue
        except IndexDamagedError:
            return
    remove_unused(folder, keep)
    try:
        os.unlink(os.path.join(folder, TEMPORARY_NAME))
    except OSError:
        return  # mostly because there is none


def remove_unused(folder: str, keep: Iterable[str]) -> None:
    """Delete files of segments and places, whole or begun, that no table names. Nothing else is touched."""
    kept = set(keep)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name not in kept and _is_file_of_ours(folder, name):
            try:
                os.unlink(os.path.join(folder, name))
            except OSError:
                continue  # still open in a reader (Windows): the next commit tries again
