"""A glossary as one file that is looked up in place: reading the groups as text takes longer than a whole search.

Sections: `keys` sorted, with `keys.at`; `ids` and `ids.at`, the groups of each key; `groups`, the groups as in the text
files, with `groups.at`; `signature`, what they were made from.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Callable, Iterable

from papersearch.errors import IndexDamagedError
from papersearch.glossary import AMBIGUOUS, Name, Sense, key_atoms, parse_groups, senses_of
from papersearch.index.flatfile import FlatFile, FlatWriter, narrow

FILE_NAME = "glossary.bin"
SEPARATOR = "\0"


def compile_glossary(path: str, groups: Iterable[tuple[Name, ...]], signature: str) -> None:
    """Write the groups to `path` in one step. Raises OSError."""
    rows = list(groups)
    by_key: dict[bytes, list[int]] = {}
    for number, group in enumerate(rows):
        for name in group:
            numbers = by_key.setdefault(" ".join(key_atoms(name.text)).encode(), [])
            if not numbers or numbers[-1] != number:
                numbers.append(number)
    keys = sorted(by_key)
    lines = [SEPARATOR.join(n.text + (AMBIGUOUS if n.ambiguous else "") for n in group).encode() for group in rows]
    temporary = f"{path}.{os.getpid()}.tmp"
    writer = FlatWriter(temporary)
    try:
        _put_strings(writer, "keys", keys)
        starts = array("Q", [0])
        numbers_of: list[int] = []
        for key in keys:
            numbers_of += by_key[key]
            starts.append(len(numbers_of))
        writer.put("ids", narrow(numbers_of))
        writer.put("ids.at", narrow(starts))
        _put_strings(writer, "groups", lines)
        writer.put("signature", signature.encode())
        writer.close()
        os.replace(temporary, path)
    except BaseException:
        writer.discard()
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _put_strings(writer: FlatWriter, name: str, values: list[bytes]) -> None:
    offsets = array("Q", [0])
    for value in values:
        offsets.append(offsets[-1] + len(value))
    writer.put(name, b"".join(values))
    writer.put(name + ".at", narrow(offsets))


class CompiledGlossary:
    """Looks up what else a form is called; the same answers as Glossary."""

    def __init__(self, path: str) -> None:
        """Raises IndexDamagedError (a damaged file), OSError (none)."""
        file = FlatFile(path)
        self.path = path
        self.signature = bytes(file.section("signature", "B")).decode("utf-8", "replace")
        self._keys, self._key_at = file.section("keys", "B"), file.section("keys.at")
        self._ids, self._id_at = file.section("ids"), file.section("ids.at")
        self._groups, self._group_at = file.section("groups", "B"), file.section("groups.at")
        if len(self._key_at) != len(self._id_at) or not len(self._key_at) or not len(self._group_at):
            raise IndexDamagedError(f"{path}: sections do not fit each other")

    def _find(self, key: str) -> int:
        """Number of the key, -1 if there is none."""
        wanted = key.encode("utf-8", "replace")
        low, high = 0, len(self._key_at) - 1
        keys, at = self._keys, self._key_at
        while low < high:
            middle = (low + high) // 2
            if bytes(keys[at[middle] : at[middle + 1]]) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(at) - 1 and bytes(keys[at[low] : at[low + 1]]) == wanted else -1

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) >= 0

    def senses(self, key: str, spelling: str = "") -> list[Sense]:
        """As Glossary.senses()."""
        number = self._find(key)
        if number < 0:
            return []
        numbers = self._ids[self._id_at[number] : self._id_at[number + 1]]
        return senses_of([self._group(group) for group in numbers], key, spelling)

    def _group(self, number: int) -> tuple[Name, ...]:
        if number >= len(self._group_at) - 1:
            raise IndexDamagedError(f"{self.path}: group {number} is not there")
        raw = bytes(self._groups[self._group_at[number] : self._group_at[number + 1]]).decode("utf-8", "replace")
        return next(parse_groups([raw.replace(SEPARATOR, "|")]), ())


def open_compiled(
    folder: str, signature: str, read: Callable[[], Iterable[tuple[Name, ...]]], *, anew: bool = False
) -> CompiledGlossary | None:
    """The compiled glossary of an index folder, made anew where that is asked for, or it is missing, damaged or of
    other groups; None where it is not there and the folder cannot be written."""
    path = os.path.join(folder, FILE_NAME)
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
            try:
                compile_glossary(path, read(), signature)
            except OSError:
                return None
    return None
