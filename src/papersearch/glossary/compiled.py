"""A glossary as one file that is looked up in place: reading the groups as text takes longer than a whole search.

Sections: `keys` sorted, with `keys.at`; `ids` and `ids.at`, the groups of each key; `groups`, the groups as in the text
files, with `groups.at`; `near` and `near.at`, the groups near each group; `signature`, what they were made from.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

from papersearch.errors import IndexDamagedError
from papersearch.glossary import AMBIGUOUS, Name, Numbered, key_of, parse_groups, relations_of
from papersearch.index.flatfile import FlatFile, FlatWriter, narrow
from papersearch.index.toc import make_way, sync_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Groups = Iterable[tuple[Name, ...]]

FILE_NAME = "glossary.bin"
SEPARATOR = "\0"
LAYOUT = 2
"""Raised when the sections change: a file of another layout is compiled anew."""
BEGUN = ".tmp"
"""Ends the name of a file that is not yet whole."""


def compile_glossary(
    path: str, groups: Iterable[tuple[Name, ...]], related: Iterable[tuple[Name, ...]], signature: str
) -> None:
    """Write the groups, and which of them lie near each other, to `path` in one step. Raises OSError."""
    rows = list(groups)
    by_key: dict[bytes, list[int]] = {}
    for number, group in enumerate(rows):
        for name in group:
            numbers = by_key.setdefault(key_of(name.text).encode(), [])
            if not numbers or numbers[-1] != number:
                numbers.append(number)
    keys = sorted(by_key)
    lines = [SEPARATOR.join(n.text + (AMBIGUOUS if n.ambiguous else "") for n in group).encode() for group in rows]
    starts = array("Q", [0])
    numbers_of: list[int] = []
    for key in keys:
        numbers_of += by_key[key]
        starts.append(len(numbers_of))
    relations = relations_of(rows, related)
    near: list[int] = []
    near_at = array("Q", [0])
    for number in range(len(rows)):
        near += relations.get(number, ())
        near_at.append(len(near))
    with writing(path) as writer:
        put_strings(writer, "keys", keys)
        writer.put("ids", narrow(numbers_of))
        writer.put("ids.at", narrow(starts))
        put_strings(writer, "groups", lines)
        writer.put("near", narrow(near))
        writer.put("near.at", narrow(near_at))
        writer.put("signature", signature.encode())


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


def put_strings(writer: FlatWriter, name: str, values: list[bytes]) -> None:
    """Write strings as two sections: their bytes, and where each begins, with the end of the last."""
    offsets = array("Q", [0])
    for value in values:
        offsets.append(offsets[-1] + len(value))
    writer.put(name, b"".join(values))
    writer.put(name + ".at", narrow(offsets))


def find_string(values: memoryview[Any], at: memoryview[Any], wanted: str) -> int:
    """Number of a string among sorted ones written by put_strings(), -1 if it is not there."""
    raw = wanted.encode("utf-8", "replace")
    low, high = 0, len(at) - 1
    while low < high:
        middle = (low + high) // 2
        if bytes(values[at[middle] : at[middle + 1]]) < raw:
            low = middle + 1
        else:
            high = middle
    return low if low < len(at) - 1 and bytes(values[at[low] : at[low + 1]]) == raw else -1


class CompiledGlossary(Numbered):
    """A glossary read in place; the same answers as Glossary."""

    def __init__(self, path: str) -> None:
        """Raises IndexDamagedError (a damaged file), OSError (none)."""
        file = FlatFile(path)
        file.check()  # no table vouches for it
        self.path = path
        self.signature = bytes(file.section("signature", "B")).decode("utf-8", "replace")
        self._keys, self._key_at = file.section("keys", "B"), file.section("keys.at")
        self._ids, self._id_at = file.section("ids"), file.section("ids.at")
        self._groups, self._group_at = file.section("groups", "B"), file.section("groups.at")
        self._near, self._near_at = file.section("near"), file.section("near.at")
        keys_fit = len(self._key_at) == len(self._id_at) and len(self._key_at)
        if not keys_fit or len(self._group_at) != len(self._near_at) or not len(self._group_at):
            raise IndexDamagedError(f"{path}: sections do not fit each other")

    def _find(self, key: str) -> int:
        """Number of a key, -1 if it is not there. What was asked before is remembered by whoever asks (Remembered); a
        dictionary of all keys would take one search longer to make than a thousand to do without."""
        return find_string(self._keys, self._key_at, key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) >= 0

    def numbers(self, key: str) -> Sequence[int]:
        number = self._find(key)
        return self._ids[self._id_at[number] : self._id_at[number + 1]] if number >= 0 else ()

    def group(self, number: int) -> tuple[Name, ...]:
        """Raises IndexDamagedError where there is no such group."""
        self._check(number)
        raw = bytes(self._groups[self._group_at[number] : self._group_at[number + 1]]).decode("utf-8", "replace")
        return next(parse_groups([raw.replace(SEPARATOR, "|")]), ())

    def near(self, number: int) -> Sequence[int]:
        """Raises IndexDamagedError where there is no such group."""
        self._check(number)
        return self._near[self._near_at[number] : self._near_at[number + 1]]

    def _check(self, number: int) -> None:
        if number >= len(self._group_at) - 1:
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
