"""Named typed arrays in one file of which only what is asked for is read: the container every segment file uses.

    MAGIC | sections, each 8-aligned and little-endian | directory (JSON) | trailer

The directory names each section with its type code, offset, count and CRC-32; the trailer locates the directory and
carries its CRC-32. So one number, the directory's CRC-32, vouches for the whole file (docs/index-format.md).

Reading trusts nothing: a file that is short, swapped or forged gives IndexDamagedError and runs nothing.
"""

from __future__ import annotations

import os
import stat
import sys
import time
import zlib
from array import array

from papersearch.errors import IndexDamagedError
from papersearch.index.objects import loads

TYPE_CHECKING = False  # importing typing would cost a cold start more than this whole module
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
"""Files up to this size are read when they are opened; of larger ones what is asked for."""
CHECK_ON_USE_BYTES = 1 << 18
"""Sections up to this size are read and have their CRC-32 checked when first used (at most a quarter of a millisecond);
larger ones are read through a Window."""
PAGE_BITS = 12
"""So much of a large section is read for a single value, as a power of two of bytes."""
PAGES_KEPT = 256
"""Pages of a section that are remembered: a megabyte."""
PACKED_START = ".start"
"""Ends the name of the section that says where the parts of compressed bytes begin, with the end of the last."""
REMEMBERED_PARTS = 1 << 10
"""Parts of compressed bytes that are remembered: 2 MB of them."""
CHUNK_BYTES = 1 << 20
"""A checksum reads so much at a time."""
MAX_DIRECTORY_BYTES = 1 << 24
CLOCK_STEP_NS = 100_000_000
"""Two changes within it may have the same time: file systems take that of the last tick of the clock."""

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


def unpack(packed: Data, limit: int, unpacker: zlib._Decompress | None = None) -> bytes | None:
    """What zlib.compress() was given; None if that is more than `limit` bytes, or these are not what it made.

    `unpacker`: a new one for what was compressed otherwise.
    """
    unpacker = unpacker or zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, limit + 1)  # never more than it may be, and a byte
    except zlib.error:
        return None
    return data if unpacker.eof and len(data) <= limit else None


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
        import json

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


class _Source:
    """A file that is read piece by piece. It is not mapped: where another program shortened it, a mapped file would end
    the process that touches it. The descriptor is closed with the last one that holds this."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)

    def state(self) -> os.stat_result:
        return os.fstat(self._descriptor)

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from there on. Raises IndexDamagedError if they are not there, or cannot be read."""
        try:
            data = pread(self._descriptor, size, start)
            while len(data) < size and (more := pread(self._descriptor, size - len(data), start + len(data))):
                data += more
        except OSError as error:
            raise damaged(self.path, f"cannot be read ({error.strerror})") from None
        if len(data) != size:
            raise damaged(self.path, "it was shortened while it was read")
        return data


def _pread_by_seeking(descriptor: int, size: int, start: int) -> bytes:
    with _seeking:
        os.lseek(descriptor, start, os.SEEK_SET)
        return os.read(descriptor, size)


if hasattr(os, "pread"):
    pread = os.pread
else:  # Windows
    from threading import Lock

    _seeking = Lock()
    pread = _pread_by_seeking


class Window:
    """A large section: read where it is asked for, checked for bounds, and kept in pages for single values. It acts
    as the memoryview of the values would; threads may share it."""

    __slots__ = ("_bits", "_checksum", "_mask", "_offset", "_pages", "_size", "_source", "_typecode", "_whole")

    def __init__(self, source: _Source, typecode: str, offset: int, size: int, checksum: int) -> None:
        """`offset`: of its first byte in the file; `size`: number of values."""
        self._source, self._typecode, self._offset, self._size = source, typecode, offset, size
        self._checksum = checksum
        self._bits = PAGE_BITS - (SIZES[typecode].bit_length() - 1)
        self._mask = (1 << self._bits) - 1
        self._pages: dict[int, memoryview[Any]] = {}
        self._whole: memoryview[Any] | None = None

    def __len__(self) -> int:
        return self._size

    @property
    def format(self) -> str:
        """The type code."""
        return self._typecode

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return SIZES[self._typecode]

    def __getitem__(self, key: Any) -> Any:
        """A value; or a stretch of them, as a memoryview."""
        if key.__class__ is slice:
            start, stop, _ = key.indices(self._size)
            if self._whole is not None:
                return self._whole[start:stop]
            number = start >> self._bits
            if number != (stop - 1) >> self._bits or stop <= start:
                return self._read(start, stop)
            base = number << self._bits
            return self._page(number)[start - base : stop - base]
        if key < 0:
            key += self._size
        if not 0 <= key < self._size:
            raise IndexError("index out of bounds")
        page = self._pages.get(key >> self._bits)
        return (self._page(key >> self._bits) if page is None else page)[key & self._mask]

    def _page(self, number: int) -> memoryview[Any]:
        page = self._pages.get(number)
        if page is None:
            page = self._read(number << self._bits, min(self._size, (number + 1) << self._bits))
            if len(self._pages) >= PAGES_KEPT:
                self._pages.clear()
            self._pages[number] = page
        return page

    def _read(self, start: int, stop: int) -> memoryview[Any]:
        width = SIZES[self._typecode]
        data = self._source.read(self._offset + start * width, max(0, stop - start) * width)
        return _values(data, self._typecode)

    def whole(self) -> memoryview[Any]:
        """All values, which are kept from then on. Raises IndexDamagedError if they fail their checksum."""
        whole = self._whole
        if whole is None:
            data = self._source.read(self._offset, self._size * SIZES[self._typecode])
            if zlib.crc32(data) != self._checksum:
                raise damaged(self._source.path, "a section fails its checksum")
            self._whole = whole = _values(data, self._typecode)
            self._pages.clear()
        return whole

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])

    def tolist(self) -> list[Any]:
        """All values."""
        return self[:].tolist()  # type: ignore[no-any-return]

    def cast(self, typecode: str) -> memoryview[Any]:
        """All values, as those of another type."""
        return self[:].cast(typecode)  # type: ignore[no-any-return]

    def tobytes(self) -> bytes:
        """All bytes."""
        return bytes(self[:])

    __bytes__ = tobytes

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """What numpy asks for: one array over all of it."""
        whole = self.whole()
        kind = (">" if _SWAP else "<") + ("f" if self._typecode == "d" else "u")
        return {"version": 3, "shape": (len(whole),), "typestr": f"{kind}{whole.itemsize}", "data": whole}


def _values(data: bytes | memoryview[Any], typecode: str) -> memoryview[Any]:
    """Little-endian bytes as the numbers they stand for."""
    if not _SWAP:
        return memoryview(data).cast(typecode)  # type: ignore[call-overload, no-any-return]
    values: array[Any] = array(typecode, bytes(data))
    values.byteswap()
    return memoryview(values)


class FlatFile:
    """Read-only view of one file. Sections are memoryviews of its bytes, or Windows on it where they are large; they
    stay valid as long as someone holds them, whatever becomes of the file's name.

    Args:
        path: the file.
        size: bytes it must have, where known.
        crc32: CRC-32 its directory must have, where known.
        stamp: what stamp_of() said of it when it was written; where that is known and differs, every byte is checked.

    Raises:
        FileNotFoundError: there is no such file (a reader may have lost a race with a commit).
        IndexDamagedError: anything else that is wrong with it.
    """

    __slots__ = ("_cache", "_directory", "_size", "_source", "_view", "is_checked", "meta", "path", "stamp")

    def __init__(
        self, path: str, size: int | None = None, crc32: int | None = None, stamp: Stamp | None = None
    ) -> None:
        self.path = path
        self.is_checked = False
        self._cache: dict[str, memoryview[Any]] = {}
        source = _Source(path, open_regular(path))
        try:
            self._size = source.state().st_size
            if size is not None and self._size != size:
                raise damaged(path, f"{self._size} bytes where {size} were written")
            if self._size < len(MAGIC) + TRAILER_SIZE:
                raise damaged(path, "too short")
            is_small = self._size <= READ_WHOLE_BYTES
            self._view = memoryview(source.read(0, self._size)) if is_small else None
            self._source = None if is_small else source
            self.stamp = stamp_of(source.state())  # not before it was read
        except OSError as error:
            raise damaged(path, f"cannot be read ({error.strerror})") from None
        self._read_directory(crc32)
        if stamp is not None and self.stamp != stamp:
            self.check()

    def _bytes(self, start: int, size: int) -> bytes | memoryview[Any]:
        if self._source is not None:
            return self._source.read(start, size)
        assert self._view is not None
        return self._view[start : start + size]

    def _read_directory(self, crc32: int | None) -> None:
        path = self.path
        trailer = bytes(self._bytes(self._size - TRAILER_SIZE, TRAILER_SIZE))
        start, length = int.from_bytes(trailer[:8], "little"), int.from_bytes(trailer[8:16], "little")
        if self._bytes(0, len(MAGIC)) != MAGIC or trailer[20:] != TRAILER_MAGIC:
            raise damaged(path, "not a segment file of this version")
        if length > MAX_DIRECTORY_BYTES or start + length + TRAILER_SIZE != self._size:
            raise damaged(path, "its directory is not where it should be")
        data = bytes(self._bytes(start, length))
        if zlib.crc32(data) != int.from_bytes(trailer[16:20], "little"):
            raise damaged(path, "its directory fails its checksum")
        if crc32 is not None and zlib.crc32(data) != crc32:
            raise damaged(path, "not the file the table of contents names")
        try:
            directory = loads(data.decode("utf-8", "surrogatepass"))
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
        """The values of a section: of a large one in a large file a Window, which acts as a memoryview does, but is no
        buffer (bytes() makes one).

        Args:
            name: the section.
            kinds: type codes it may have.

        Raises:
            IndexDamagedError: no such section, another type, or (small sections, at first use) a failed checksum.
        """
        values = self._cache.get(name)
        if values is None:
            values = self._open_section(name, kinds)
            self._cache[name] = values
        return values

    def _open_section(self, name: str, kinds: str) -> memoryview[Any]:
        entry = self._directory.get(name)
        if entry is None or entry[0] not in kinds:
            raise damaged(self.path, f"section {name} is missing or of another type")
        typecode, offset, count, checksum = entry
        size = count * SIZES[typecode]
        if self._source is not None and size > CHECK_ON_USE_BYTES:
            return Window(self._source, typecode, offset, count, checksum)  # type: ignore[return-value]
        data = self._bytes(offset, size)
        if size <= CHECK_ON_USE_BYTES and zlib.crc32(data) != checksum:
            raise damaged(self.path, f"section {name} fails its checksum")
        return _values(data, typecode)

    def check(self) -> None:
        """Raises IndexDamagedError unless every byte is what was written."""
        for section in self.failed_checksums():
            raise damaged(self.path, f"section {section} fails its checksum")
        self.is_checked = True

    def recheck(self) -> None:
        """As check(), if parts of the file are still to be read, and it was changed since the last look."""
        if self._source is None:
            return
        try:
            state = self._source.state()
        except OSError as error:
            raise damaged(self.path, f"cannot be read ({error.strerror})") from None
        stamp = stamp_of(state)
        if stamp == self.stamp:
            return
        if state.st_size != self._size:
            raise damaged(self.path, f"{state.st_size} bytes where {self._size} were written")
        if stamp[0] != self.stamp[0] or state.st_nlink:  # else a commit removed its name, and that is all
            self.check()
            if time.time_ns() - max(stamp[:2]) < CLOCK_STEP_NS:
                return  # another change may get the same times: look again
        self.stamp = stamp

    def is_as_it_was(self) -> bool:
        """Whether the file is there and was not changed since it was opened."""
        try:
            state = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(state.st_mode) and state.st_size == self._size and stamp_of(state) == self.stamp

    def failed_checksums(self) -> list[str]:
        """Names of the sections, of any size, whose bytes are not the ones that were written."""
        return [
            name
            for name, (typecode, offset, count, checksum) in self._directory.items()
            if self._crc32(offset, count * SIZES[typecode]) != checksum
        ]

    def _crc32(self, offset: int, size: int) -> int:
        crc32 = 0
        for start in range(offset, offset + size, CHUNK_BYTES):
            crc32 = zlib.crc32(self._bytes(start, min(CHUNK_BYTES, offset + size - start)), crc32)
        return crc32


class Packed:
    """Bytes that are compressed in parts. Reads in place.

    Raises:
        IndexDamagedError: they do not end where they should.
    """

    __slots__ = ("_data", "_name", "_parts", "_start", "path")

    def __init__(self, file: FlatFile, name: str, parts: int) -> None:
        self.path, self._name = file.path, name
        self._data, self._start = file.section(name, "B"), file.section(name + PACKED_START)
        self._parts: dict[int, bytes] = {}
        if len(self._start) != parts + 1 or self._start[-1] != len(self._data):
            raise damaged(file.path, f"{name} does not have all its parts")

    def part(self, number: int, size: int) -> bytes:
        """The bytes of a part, which are so many."""
        part = self._parts.get(number)
        if part is None:
            part = unpack(self._data[self._start[number] : self._start[number + 1]], size)
            if part is None or len(part) != size:
                raise damaged(self.path, f"part {number} of {self._name} cannot be unpacked")
            if len(self._parts) >= REMEMBERED_PARTS:
                self._parts.clear()
            self._parts[number] = part
        return part


class PackedBytes(Packed):
    """Bytes of which as many are compressed together, but for the last of them.

    Raises:
        IndexDamagedError: they do not end where they should.
    """

    __slots__ = ("_bits", "_mask", "_size")

    def __init__(self, file: FlatFile, name: str, size: int, bits: int) -> None:
        """`size`: how many there are; `bits`: how many are compressed together, as a power of two."""
        super().__init__(file, name, -(-size >> bits))
        self._size, self._bits, self._mask = size, bits, (1 << bits) - 1

    def run(self, number: int) -> bytes:
        """The bytes from number << bits on that are compressed together."""
        return self.part(number, min(1 << self._bits, self._size - (number << self._bits)))

    def __getitem__(self, i: int) -> int:
        part = self._parts.get(i >> self._bits)
        return (self.run(i >> self._bits) if part is None else part)[i & self._mask]

    def between(self, start: int, end: int) -> bytes:
        """Those of [start, end)."""
        if start >= end:
            return b""
        first, last = start >> self._bits, (end - 1) >> self._bits
        data = self.run(first) if first == last else b"".join(map(self.run, range(first, last + 1)))
        return data[start - (first << self._bits) : end - (first << self._bits)]
