"""Named typed arrays in one file that is read in place: the container every segment file uses.

    MAGIC | sections, each 8-aligned and little-endian | directory (JSON) | trailer

The directory names each section with its type code, offset, count and CRC-32; the trailer locates the directory and
carries its CRC-32. So one number, the directory's CRC-32, vouches for the whole file (docs/index-format.md).

Reading trusts nothing: a file that is short, swapped or forged gives IndexDamagedError and runs nothing.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import sys
import zlib
from array import array

from papersearch.errors import IndexDamagedError

TYPE_CHECKING = False  # importing typing would cost a cold start more than this whole module
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Data = bytes | bytearray | memoryview[Any]

MAGIC = b"PSFLAT1\n"
TRAILER_MAGIC = b"PSFE"
TRAILER_SIZE = 24
"""Directory offset and length (8 bytes each), its CRC-32 (4 bytes), TRAILER_MAGIC."""
SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8, "d": 8}
"""Bytes per value of each type code a section may have, as in the array module."""
UNSIGNED = "BHIQ"
READ_WHOLE_BYTES = 1 << 20
"""Files up to this size are read, larger ones mapped. A file read whole cannot fault later, whatever happens to it."""
CHECK_ON_USE_BYTES = 1 << 18
"""Sections up to this size have their CRC-32 checked when first used (at most a quarter of a millisecond)."""
MAX_DIRECTORY_BYTES = 1 << 24

_SWAP = sys.byteorder == "big"


def damaged(path: str, what: str) -> IndexDamagedError:
    """The one error for bytes that cannot be trusted: what is wrong, where, and what to do."""
    return IndexDamagedError(f"the index is damaged: {path}: {what}; run: papersearch index --rebuild")


def narrow(values: Iterable[int], top: int | None = None) -> array[int]:
    """The values in the smallest unsigned array that holds them.

    Args:
        values: integers >= 0.
        top: the largest of them where the caller knows it; otherwise it is looked for, in a sequence.
    """
    if top is None:
        values = values if isinstance(values, (array, list)) else list(values)
        top = max(values, default=0)
    code = "B" if top < 1 << 8 else "H" if top < 1 << 16 else "I" if top < 1 << 32 else "Q"
    return values if isinstance(values, array) and values.typecode == code else array(code, values)


Stamp = tuple[int, int, int]


def stamp_of(state: os.stat_result) -> Stamp:
    """Times in ns at which a file's content and its inode were changed, and the inode's number: what differs after any
    change to the file, but for those that the file system does not see."""
    return state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def open_regular(path: str) -> int:
    """A descriptor of a regular file; never waits on a FIFO. Errors but FileNotFoundError are IndexDamagedError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise damaged(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise damaged(path, "not a regular file")
    return descriptor


class FlatWriter:
    """Writes one file. It is created by the first section, and is complete only after close()."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.meta: dict[str, Any] = {}
        self.size = 0
        self.crc32 = 0
        self._directory: dict[str, tuple[str, int, int, int]] = {}
        self._stream = ""
        self._stream_start = self._stream_crc32 = 0
        self._file = open(path, "xb")  # noqa: SIM115 - closed by close() or discard()
        self._write(MAGIC)

    def _write(self, data: Data) -> None:
        self.size += self._file.write(data)

    def put(self, name: str, values: array[Any] | bytes | bytearray) -> None:
        """Write one whole section; bytes have the type code B."""
        typecode = values.typecode if isinstance(values, array) else "B"
        if _SWAP and isinstance(values, array):
            values = values[:]
            values.byteswap()
        data = memoryview(values).cast("B") if len(values) else memoryview(b"")
        self.start_stream(name)
        self.write(data)
        self._end_section(typecode)

    def start_stream(self, name: str) -> None:
        """Begin a section of bytes that is written piece by piece with write() up to end_stream()."""
        if self._stream or name in self._directory:
            raise ValueError(f"section {name!r} while {self._stream or name!r} exists")
        self._write(bytes(-self.size % 8))
        self._stream, self._stream_start, self._stream_crc32 = name, self.size, 0

    def write(self, data: Data) -> None:
        """Append to the section begun by start_stream()."""
        self._stream_crc32 = zlib.crc32(data, self._stream_crc32)
        self._write(data)

    def end_stream(self) -> None:
        """End the section begun by start_stream()."""
        self._end_section("B")

    def _end_section(self, typecode: str) -> None:
        count = (self.size - self._stream_start) // SIZES[typecode]
        self._directory[self._stream] = (typecode, self._stream_start, count, self._stream_crc32)
        self._stream = ""

    def close(self) -> None:
        """Write the directory. Then `size` and `crc32` (of the directory) are what a table of contents records."""
        directory = {"sections": self._directory, "meta": self.meta}
        data = json.dumps(directory, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        start, self.crc32 = self.size, zlib.crc32(data)
        self._write(data)
        for number, width in ((start, 8), (len(data), 8), (self.crc32, 4)):
            self._write(number.to_bytes(width, "little"))
        self._write(TRAILER_MAGIC)
        self._file.close()

    def discard(self) -> None:
        """Close and delete the file."""
        try:
            self._file.close()  # writes what it still holds, which fails on a full disk
        finally:
            if os.path.lexists(self.path):  # unless somebody removed the folder
                os.unlink(self.path)


class FlatFile:
    """Read-only view of one file. Sections are memoryviews of its bytes; they stay valid as long as someone holds them.

    Args:
        path: the file.
        size: bytes it must have, where known.
        crc32: CRC-32 its directory must have, where known.
        stamp: what stamp_of() said of it when it was written; where that is known and differs, every byte is checked.

    Raises:
        FileNotFoundError: there is no such file (a reader may have lost a race with a commit).
        IndexDamagedError: anything else that is wrong with it.
    """

    __slots__ = ("_cache", "_directory", "_view", "is_checked", "is_mapped", "meta", "path", "stamp")

    def __init__(
        self, path: str, size: int | None = None, crc32: int | None = None, stamp: Stamp | None = None
    ) -> None:
        self.path = path
        self.is_checked = False
        self._cache: dict[str, memoryview[Any]] = {}
        descriptor = open_regular(path)
        try:
            state = os.fstat(descriptor)
            actual, self.stamp = state.st_size, stamp_of(state)
            if size is not None and actual != size:
                raise damaged(path, f"{actual} bytes where {size} were written")
            if actual < len(MAGIC) + TRAILER_SIZE:
                raise damaged(path, "too short")
            data: bytes | mmap.mmap
            self.is_mapped = actual > READ_WHOLE_BYTES
            if not self.is_mapped:
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    data = file.read()
            else:
                data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise damaged(path, f"cannot be read ({error.strerror})") from None
        finally:
            os.close(descriptor)
        self._view = memoryview(data)
        if len(data) != actual:
            raise damaged(path, "it changed while it was read")
        self._read_directory(crc32)
        if stamp is not None and self.stamp != stamp:
            self.check()

    def _read_directory(self, crc32: int | None) -> None:
        view, path = self._view, self.path
        trailer = bytes(view[-TRAILER_SIZE:])
        start, length = int.from_bytes(trailer[:8], "little"), int.from_bytes(trailer[8:16], "little")
        if bytes(view[: len(MAGIC)]) != MAGIC or trailer[20:] != TRAILER_MAGIC:
            raise damaged(path, "not a segment file of this version")
        if length > MAX_DIRECTORY_BYTES or start + length + TRAILER_SIZE != len(view):
            raise damaged(path, "its directory is not where it should be")
        data = bytes(view[start : start + length])
        if zlib.crc32(data) != int.from_bytes(trailer[16:20], "little"):
            raise damaged(path, "its directory fails its checksum")
        if crc32 is not None and zlib.crc32(data) != crc32:
            raise damaged(path, "not the file the table of contents names")
        try:
            directory = json.loads(data.decode("utf-8", "surrogatepass"))
            sections, meta = directory["sections"], directory["meta"]
            good = type(sections) is dict and type(meta) is dict
            for typecode, offset, count, checksum in sections.values() if good else ():
                good = (
                    type(offset) is type(count) is type(checksum) is int
                    and offset % 8 == 0
                    and offset >= len(MAGIC)
                    and count >= 0
                    and offset + count * SIZES[typecode] <= start
                )
                if not good:
                    break
        except (ValueError, TypeError, KeyError, RecursionError):
            good = False
        if not good:
            raise damaged(path, "its directory makes no sense")
        self._directory: dict[str, tuple[str, int, int, int]] = sections
        self.meta: dict[str, Any] = meta

    def __contains__(self, name: str) -> bool:
        return name in self._directory

    def names(self) -> list[str]:
        """Names of all sections."""
        return list(self._directory)

    def count(self, name: str) -> int:
        """Number of values of a section; -1 if there is none of that name."""
        entry = self._directory.get(name)
        return -1 if entry is None else entry[2]

    def section(self, name: str, kinds: str = UNSIGNED) -> memoryview[Any]:
        """The values of a section.

        Args:
            name: the section.
            kinds: type codes it may have.

        Raises:
            IndexDamagedError: no such section, another type, or (small sections, at first use) a failed checksum.
        """
        view = self._cache.get(name)
        if view is None:
            view = self._open_section(name, kinds)
            self._cache[name] = view
        return view

    def _open_section(self, name: str, kinds: str) -> memoryview[Any]:
        entry = self._directory.get(name)
        if entry is None or entry[0] not in kinds:
            raise damaged(self.path, f"section {name} is missing or of another type")
        typecode, offset, count, checksum = entry
        data = self._view[offset : offset + count * SIZES[typecode]]
        if len(data) <= CHECK_ON_USE_BYTES and zlib.crc32(data) != checksum:
            raise damaged(self.path, f"section {name} fails its checksum")
        if not _SWAP:
            return data.cast(typecode)  # type: ignore[call-overload, no-any-return]
        values: array[Any] = array(typecode, data.tobytes())
        values.byteswap()
        return memoryview(values)

    def check(self) -> None:
        """Raises IndexDamagedError unless every byte is what was written."""
        for section in self.failed_checksums():
            raise damaged(self.path, f"section {section} fails its checksum")
        self.is_checked = True

    def recheck(self) -> None:
        """As check(), if the file lies in memory only as far as it was touched, and was changed since the last look."""
        if not self.is_mapped:
            return
        try:
            state = os.stat(self.path)
        except OSError:
            return  # replaced by a commit: what is mapped stays as it was
        stamp = stamp_of(state)
        if stamp == self.stamp or stamp[2] != self.stamp[2]:
            return
        if state.st_size != len(self._view):
            raise damaged(self.path, f"{state.st_size} bytes where {len(self._view)} were written")
        self.check()
        self.stamp = stamp

    def is_as_it_was(self) -> bool:
        """Whether the file is there and was not changed since it was opened."""
        try:
            state = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(state.st_mode) and state.st_size == len(self._view) and stamp_of(state) == self.stamp

    def failed_checksums(self) -> list[str]:
        """Names of the sections, of any size, whose bytes are not the ones that were written."""
        return [
            name
            for name, (typecode, offset, count, checksum) in self._directory.items()
            if zlib.crc32(self._view[offset : offset + count * SIZES[typecode]]) != checksum
        ]
