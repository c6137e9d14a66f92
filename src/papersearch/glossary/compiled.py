"""A glossary as one file that is looked up in place: reading the groups as text takes longer than a whole search.

Keys are not written, only 24 bits of a hash of each: whether a group that these lead to has the key, its names say.
Sections: `hashes`, the last 16 of these bits, ascending by all 24, and `ids`, the group of each; `hashes.at`, where
those of each value of the first 8 bits begin, with the end of the last; `groups` and `groups.at`, the groups as in the
text files, blocks of BLOCK of them compressed together; `near` and `near.at`, the groups near each group; `signature`,
what they were made from.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from papersearch.errors import IndexDamagedError
from papersearch.glossary import AMBIGUOUS, Name, Numbered, forms_of, kept, key_of, parse_groups, relations_of
from papersearch.index.flatfile import FlatFile, FlatWriter, damaged, narrow, unpack
from papersearch.index.toc import make_way, sync_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    Groups = Iterable[tuple[Name, ...]]

FILE_NAME = "glossary.bin"
SEPARATOR = "\0"
END = "\n"
"""Stands between the groups of a block."""
LAYOUT = 3
"""Raised when the sections change: a file of another layout is compiled anew."""
BLOCK = 64
"""Groups that are compressed together: fewer take more bytes, and of more the first look-up takes longer."""
BLOCKS_KEPT = 256
"""Blocks that are remembered: all that the glossary of the package has."""
MAX_BLOCK_BYTES = 1 << 20
"""A block is never unpacked further than this."""
BUCKET_BITS, HASH_BITS = 8, 24
"""Bits of a hash by which its place is known, and all of them."""
BEGUN = ".tmp"
"""Ends the name of a file that is not yet whole."""


def compile_glossary(
    path: str, groups: Iterable[tuple[Name, ...]], related: Iterable[tuple[Name, ...]], signature: str
) -> None:
    """Write the groups, and which of them lie near each other, to `path` in one step. Raises OSError."""
    rows = list(groups)
    hashed = sorted({(hash_of(key_of(name.text)), number) for number, group in enumerate(rows) for name in group})
    sizes = [0] * (1 << BUCKET_BITS)
    for value, _ in hashed:
        sizes[value >> HASH_BITS - BUCKET_BITS] += 1
    lines = [SEPARATOR.join(n.text + (AMBIGUOUS if n.ambiguous else "") for n in group) for group in rows]
    relations = relations_of(rows, related)
    near: list[int] = []
    near_at = array("Q", [0])
    for number in range(len(rows)):
        near += relations.get(number, ())
        near_at.append(len(near))
    with writing(path) as writer:
        writer.put("hashes", narrow([value & _REST for value, _ in hashed]))
        writer.put("hashes.at", narrow(list(accumulate(sizes, initial=0))))
        writer.put("ids", narrow([number for _, number in hashed]))
        put_blocks(writer, "groups", [END.join(lines[i : i + BLOCK]).encode() for i in range(0, len(rows), BLOCK)])
        writer.put("near", narrow(near))
        writer.put("near.at", narrow(near_at))
        writer.put("signature", signature.encode())


_REST = (1 << HASH_BITS - BUCKET_BITS) - 1


def hash_of(key: str) -> int:
    """What a key is looked up by."""
    return zlib.crc32(key.encode("utf-8", "replace")) >> 32 - HASH_BITS


@contextlib.contextmanager
def writing(path: str) -> Iterator[FlatWriter]:
    """A writer whose file takes the place of `path` when all is on the disk, and is gone if that fails.

    What other writers left half-written is removed first. One of them may still live: it then fails with an OSError,
    and what it would have written is written here.
    """
    _remove_begun(path)
    make_way(*os.path.split(path))
    temporary = f"{path}.{os.urandom(4).hex()}{BEGUN}"
    writer = FlatWriter(temporary)
    try:
        yield writer
        writer.close()
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(os.path.dirname(path) or ".")
    except BaseException:
        with contextlib.suppress(OSError):
            writer.discard()
        raise


def _remove_begun(path: str) -> None:
    folder, name = os.path.split(path)
    for other in os.listdir(folder or "."):
        if other.startswith(f"{name}.") and other.endswith(BEGUN):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, other))


def put_blocks(writer: FlatWriter, name: str, blocks: Iterable[bytes]) -> None:
    """Write blocks, each compressed (zlib, with its checksum), as two sections: their bytes, and where each begins,
    with the end of the last."""
    packed = [zlib.compress(block, 9) for block in blocks]
    starts = array("Q", accumulate(map(len, packed), initial=0))
    writer.put(name, b"".join(packed))
    writer.put(name + ".at", narrow(starts, starts[-1]))


def read_block(file: FlatFile, name: str, number: int) -> bytes:
    """A block that put_blocks() wrote. Raises IndexDamagedError if it cannot be unpacked, IndexError if there is no
    such block."""
    starts = file.section(name + ".at")
    packed = file.section(name, "B")[starts[number] : starts[number + 1]]
    block = unpack(packed, MAX_BLOCK_BYTES)
    if block is None:
        raise damaged(file.path, f"block {number} of its {name} cannot be unpacked")
    return block


class CompiledGlossary(Numbered):
    """A glossary read in place; the same answers as Glossary."""

    def __init__(self, path: str) -> None:
        """Raises IndexDamagedError (a damaged file), OSError (none)."""
        self._file = file = FlatFile(path)
        file.check()  # no table vouches for it
        self.path = path
        self.signature = bytes(file.section("signature", "B")).decode("utf-8", "replace")
        self._hashes, self._ids = file.section("hashes"), file.section("ids")
        self._hash_at = file.section("hashes.at").tolist()
        self._near, self._near_at = file.section("near"), file.section("near.at")
        self._blocks: dict[int, list[str]] = {}
        self._numbers: dict[str, list[int]] = {}
        self._count = len(self._near_at) - 1
        blocks = file.section("groups.at")
        good = len(self._hash_at) == (1 << BUCKET_BITS) + 1 and sorted(self._hash_at) == self._hash_at
        good = good and self._hash_at[-1] == len(self._hashes) == len(self._ids)
        good = good and self._count >= 0 and self._near_at[-1] == len(self._near)
        if not good or len(blocks) != -(-self._count // BLOCK) + 1 or blocks[-1] != file.count("groups"):
            raise IndexDamagedError(f"{path}: sections do not fit each other")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.numbers(key))

    def numbers(self, key: str) -> Sequence[int]:
        """Raises IndexDamagedError where the file contradicts itself."""
        return kept(self._numbers, key, lambda: [n for n in self._maybe(key) if forms_of(self.group(n), key)])

    def _maybe(self, key: str) -> Sequence[int]:
        """The groups of all keys of the same hash, ascending."""
        value = hash_of(key)
        bucket, rest = value >> HASH_BITS - BUCKET_BITS, value & _REST
        hashes, end = self._hashes, self._hash_at[bucket + 1]
        first = last = bisect_left(hashes, rest, self._hash_at[bucket], end)
        while last < end and hashes[last] == rest:
            last += 1
        return self._ids[first:last]

    def group(self, number: int) -> tuple[Name, ...]:
        """Raises IndexDamagedError where there is no such group."""
        self._check(number)
        lines = self._blocks.get(number // BLOCK)
        if lines is None:
            lines = self._read(number // BLOCK)
        return next(parse_groups([lines[number % BLOCK].replace(SEPARATOR, "|")]), ())

    def _read(self, block: int) -> list[str]:
        lines = read_block(self._file, "groups", block).decode("utf-8", "replace").split(END)
        if len(lines) != min(BLOCK, self._count - block * BLOCK):
            raise damaged(self.path, f"block {block} of its groups has {len(lines)} of them")
        if len(self._blocks) >= BLOCKS_KEPT:
            self._blocks.clear()
        self._blocks[block] = lines
        return lines

    def near(self, number: int) -> Sequence[int]:
        """Raises IndexDamagedError where there is no such group."""
        self._check(number)
        return self._near[self._near_at[number] : self._near_at[number + 1]]

    def _check(self, number: int) -> None:
        if number >= self._count:
            raise IndexDamagedError(f"{self.path}: group {number} is not there")


def open_compiled(
    folder: str, signature: str, read: Callable[[], tuple[Groups, Groups]], *, anew: bool = False
) -> CompiledGlossary | None:
    """The compiled glossary of an index folder, made anew where that is asked for, or it is missing, damaged or of
    other groups; None where it is not there and the folder cannot be written. `read` gives the groups, and the rows
    that say which of them lie near each other."""
    path = os.path.join(folder, FILE_NAME)
    signature = f"{LAYOUT} {signature}"
    if anew:
        with contextlib.suppress(OSError):
            os.unlink(path)
    for attempt in range(2):
        try:
            glossary = CompiledGlossary(path)
            if glossary.signature == signature:
                return glossary
        except (OSError, IndexDamagedError):
            pass
        if attempt == 0:
            with contextlib.suppress(OSError):  # the folder cannot be written, or another writer was faster
                compile_glossary(path, *read(), signature)
    return None
